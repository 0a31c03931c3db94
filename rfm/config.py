"""One class per section of ``rfm.toml``, and the severity of rules."""

from __future__ import annotations

import codecs
import datetime as dt
import re
import shlex
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from rfm.dialect import Positive, Section, Share, compiles
from rfm.errors import SettingsError, printable, unknown
from rfm.words import languages

VERSION = "0.1.0"
# codecs of Python that are no encodings of files
NO_TEXT = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
LONGEST_PAST = 36_600  # days


class Files(Section):
    """How files are found: ``[files]``."""

    pattern: str = Field("*_transactions.csv*", description="names of the landing files, as a shell pattern")
    encoding: str = Field("auto", description='"auto" detects it; or a codec: utf-8, cp1252, latin-1, utf-16')
    separator: Literal["auto", ",", ";", "\t", "|", " "] = Field(
        "auto", description="between two fields, a blank for one or more; auto: detected in the header"
    )
    fill_down: tuple[str, ...] = Field((), description="headers whose blank cells take the value of the line above")
    overlap: Literal["add", "once"] = Field("add", description="once: an order counts as the newest file has it")
    settle_seconds: float = Field(
        5,
        ge=0,
        le=3600,
        description="a file changed fewer than this many seconds ago that does not end with a line break waits for a run; 0: off",
    )
    on_refused: Literal["after", "before"] = Field(
        "after", description="a refused file ends the run with status 1: after publishing, or before gold changes"
    )

    @field_validator("encoding")
    @classmethod
    def _is_codec(cls, encoding: str) -> str:
        try:
            "".encode(encoding if encoding != "auto" else "utf-8")  # LookupError: also for a codec of bytes, such as base64
            strange = encoding != "auto" and codecs.lookup(encoding).name in NO_TEXT
        except (LookupError, ValueError):
            strange = True
        if strange:
            raise ValueError("is not a text encoding; write auto, utf-8, cp1252 …")
        return encoding


class Quality(Section):
    """When a run warns: ``[quality]``."""

    z: float = Field(4.0, gt=0, description="warn if a volume or share is this many robust standard deviations from normal")
    history: int = Field(6, ge=2, le=10_000, description="number of earlier same weekdays, or runs, needed before a run warns")
    days: int = Field(14, ge=1, le=3660, description="number of days up to the run date that are checked")
    fresh_days: int = Field(
        2, ge=0, le=36_600, description="warn if the newest sale is more than this many days before the run date"
    )


class Baseline(Section):
    """What the files were like when `rfm init` wrote the settings; a run warns when they leave it: ``[baseline]``."""

    made: dt.date | None = Field(None, description="day on which it was measured")
    unread: Share | None = Field(None, description="share of lines that cannot be read")
    guests: Share | None = Field(None, description="share of lines without a customer")
    order_value: float | None = Field(None, ge=0, description="median amount of an order")
    revenue_per_day: float | None = Field(None, ge=0, description="median revenue of a day")


class Clusters(Section):
    """How customers are grouped: ``[clusters]``."""

    k_min: int = Field(2, ge=2, description="smallest number of clusters tried")
    k_max: int = Field(12, le=50, description="largest number of clusters tried; as k_min: fixed")
    silhouette_weight: Share = Field(0.6, description="weight of the silhouette in the score of a k; the elbow has the rest")
    iqr_factor: float = Field(1.5, gt=0, description="distance of the outlier fences from the quartiles, in interquartile ranges")
    n_init: int = Field(10, ge=1, le=1000, description="number of starts of K-means; the best result is kept")
    seed: int = Field(42, ge=0, le=2**32 - 1, description="seed of K-means")
    stability: Literal["steady", "off"] = Field("steady", description="steady starts from the previous model, off fits every day")
    band: Share = Field(0.05, description="a customer moves only to a cluster that is nearer by more than this share")
    name_band: Share = Field(0.1, description="a cluster is renamed only if its medians pass a cut-off by more than this share")
    max_renamed: Share = Field(
        0.025, description="share of the customers without a purchase who may get another name in a run; the others wait"
    )
    max_drift: float = Field(0.1, gt=0, description="how far a centroid may move in a run, in standard deviations")
    k_margin: float = Field(
        0.05,
        ge=0,
        description="another k is chosen only if its score is better by this share; half as much for each 14 days it waits",
    )
    k_days: int = Field(7, ge=1, le=36_600, description="for this many days in a row")
    gap_days: int = Field(7, ge=1, le=36_600, description="fit a new model if the previous run is more than this many days ago")

    @model_validator(mode="after")
    def _range(self) -> Clusters:
        if self.k_max != self.k_min and self.k_max < self.k_min + 2:
            raise ValueError("k_max must be k_min, for a fixed k, or at least k_min + 2, or there is no elbow to find")
        return self


class Cutoffs(Section):
    """Where the bands of the segments end, as multiples of the median customer's: ``[cutoffs]``."""

    monetary: tuple[Positive, Positive, Positive] = Field((1.0, 2.0, 4.0), description="cut-offs, multiples of the median spend")
    frequency: tuple[Positive, Positive] = Field((1.0, 2.0), description="cut-offs, multiples of the median number of invoices")
    recency: Positive = Field(1.0, description="cut-off, a multiple of the median days since the last purchase; below is recent")

    @field_validator("monetary", "frequency")
    @classmethod
    def _rise(cls, multiples: tuple[float, ...]) -> tuple[float, ...]:
        if list(multiples) != sorted(set(multiples)):
            raise ValueError("must rise from one multiple to the next")
        return multiples


class States(Section):
    """When a customer is new, cooling, at risk or lost: ``[states]``."""

    new_days: int = Field(30, ge=0, description="new, or won back, for this many days after the first order, or the return")
    cooling: Positive = Field(1.5, description="cooling: silent for more than this many usual gaps, or for more than quiet_days")
    overdue: Positive = Field(4.0, description="at risk or lost: silent for more than this many usual gaps")
    quiet_days: int = Field(90, ge=0, description="at risk: also silent for more than this many days")
    lost_days: int = Field(180, ge=0, description="lost: also silent for more than this many days")
    worth: float = Field(2.0, ge=0, description="worth keeping: spent more than this many times the median; premium tiers always")
    own_gaps: int = Field(2, ge=1, le=100, description="gaps between purchase days from which a customer has a rhythm")
    shortest_gap: Positive = Field(7, description="a usual gap below this many days counts as this many")
    usual_gap: Positive = Field(30, description="counts as 100 gaps beside those of customers alike: steadies a young shop")

    @model_validator(mode="after")
    def _in_order(self) -> States:
        if not self.new_days <= self.quiet_days <= self.lost_days or self.cooling > self.overdue:
            raise ValueError("must rise: new_days, quiet_days, lost_days; and cooling, overdue")
        return self


class Exclusions(Section):
    """Which customers are kept out of the fit, and assigned to a cluster all the same: ``[exclusions]``."""

    bulk_amount: float = Field(0, ge=0, description="an invoice above this amount is a bulk order; 0: none")
    bulk_quantity: int = Field(
        0, ge=0, le=2**31 - 1, description="an invoice with more pieces than this is a bulk order; 0: none"
    )
    test_pattern: str = Field("", description='stock codes of test transactions, as a regular expression, such as "^TEST"')

    _compiles = field_validator("test_pattern")(compiles)

    @property
    def on(self) -> bool:
        """Whether any of the filters is set."""
        return bool(self.bulk_amount or self.bulk_quantity or self.test_pattern)


class History(Section):
    """What the first run of a shop also computes, so that it has a past to be compared with: ``[history]``."""

    first: tuple[int, ...] = Field((30, 7, 1), description="days before the first run that it also computes; []: none")

    @field_validator("first")
    @classmethod
    def _lie_back(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= back <= LONGEST_PAST for back in days):
            raise ValueError(f"must be numbers of days from 1 to {LONGEST_PAST:,}")
        return tuple(sorted(set(days), reverse=True))


class Care(Section):
    """How tables are maintained: ``[care]``."""

    optimize_every: int = Field(50, ge=0, le=1_000_000, description="a run compacts a table after this many commits; 0: never")
    lock: Literal["auto", "none"] = Field(
        "auto", description="none: no lock of runs, where only one program ever writes to the tables"
    )
    retain_days: int = Field(
        7, ge=7, le=36_600, description="number of days that a past version of a table stays readable (at least 7)"
    )


class _Hooks(Section):
    """A ``command`` and a ``webhook`` that a run calls; each section says what they receive."""

    @field_validator("command", check_fields=False)
    @classmethod
    def _is_command(cls, command: str) -> str:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"is not a command ({error})") from None
        if command and not words:
            raise ValueError("is not a command (nothing but blanks)")
        return command

    @field_validator("webhook", check_fields=False)
    @classmethod
    def _is_web_address(cls, webhook: str) -> str:
        if webhook and not webhook.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return webhook


class OnFailure(_Hooks):
    """Who is notified of a failed run: ``[on_failure]``."""

    when: Literal["failed", "warned"] = Field("failed", description="warned: also after a run with warnings")
    command: str = Field("", description="receives the run record as JSON on standard input, and has one minute")
    webhook: str = Field("", description="http(s) address that receives the run record; RFM_WEBHOOK_SECRET is its bearer token")


class OnDone(_Hooks):
    """Who gets the brief of a published run: ``[on_done]``."""

    command: str = Field("", description="finds the files in RFM_BRIEF_PDF and RFM_BRIEF_HTML, the record on standard input")
    webhook: str = Field("", description="http(s) address that receives the headline as text, and both files")


class Publish(Section):
    """What `rfm publish` uploads, and a run whose reports are a URL: ``[publish]``."""

    customers: bool = Field(False, description="true: single customers too: their pages, the exports, the executed notebooks")
    hash_ids: bool = Field(False, description="true: customer ids are hashed with the key RFM_PUBLISH_KEY; no notebooks then")


class Archive(Section):
    """Public data set for `rfm prepare`, Online Retail II (Chen 2012, CC BY 4.0): ``[archive]``."""

    url: str = Field(
        "https://archive.ics.uci.edu/static/public/502/online+retail+ii.zip",
        pattern="^https?://",
        description="its workbook, or a zip archive with it",
    )
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$", description="checksum that the file must have; `rfm prepare` prints it")


class Shop(Section):
    """Name, currency and language of the report: ``[shop]``."""

    name: str = Field("Online Retail", description="name of the shop on the report")
    currency: str = Field("£", description="currency sign, written before an amount", max_length=10)
    language: str = Field("en", description="language of the report: en or de")

    @field_validator("name", "currency")
    @classmethod
    def _is_a_line(cls, text: str) -> str:
        if printable(text) != text:
            raise ValueError("must be one line without control characters")
        return text

    @field_validator("language")
    @classmethod
    def _is_translated(cls, language: str) -> str:
        if language not in (known := languages()):
            raise ValueError(unknown("language", [language], known))
        return language

    @field_validator("currency")
    @classmethod
    def _is_a_sign(cls, currency: str) -> str:
        if re.search(r"[<>&|*`_#\[\]\\]", currency):  # markup in figures and in the model card
            raise ValueError("must be a sign or a word, such as € or kr, without < > & | * ` _ # [ ] \\")
        return currency


# ── severity of rules ───────────────────────────────────────────────────────────────────────────────────────
REPEATS = "unique_surrogate_key"  # a rule about several rows, which no expression of one row can check


def severities(defaults: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the severity of every expectation: ``drop``, ``warn`` or ``fail``, with those of ``[expectations]`` first.

    A rule that does not exist, ``warn`` for a rule that drops lines by default, and ``drop`` for repeated keys, of
    which none is known to be right, raise a SettingsError.

    Examples
    --------
    >>> severities({"known_country": "warn"}, {"known_country": "drop"})
    {'known_country': 'drop', 'unique_surrogate_key': 'warn'}
    """
    known = {**defaults, REPEATS: "warn"}
    if strange := [name for name in chosen if name not in known]:
        raise SettingsError(f"expectations: {unknown('rule', strange, known)}")
    if soft := [name for name, severity in chosen.items() if severity == "warn" and known[name] == "drop"]:
        raise SettingsError(f"expectations: {', '.join(soft)}: it drops what silver cannot hold; use drop or fail, not warn")
    if chosen.get(REPEATS) == "drop":
        raise SettingsError(f"expectations: {REPEATS}: nobody knows which row of a key is right; use warn or fail, not drop")
    return {**known, **chosen}
