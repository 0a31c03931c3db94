"""One class per section of ``rfm.toml``, the columns and flags of the files, and the severity of rules."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from rfm.errors import SettingsError, printable, unknown

VERSION = "0.1.0"

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _pattern(cls: type[Section], pattern: str, given: ValidationInfo) -> str:
    """Return a regular expression that both Python (`rfm check`) and Polars (a run) accept."""
    if pattern == cls.model_fields[str(given.field_name)].default:
        return pattern
    import polars as pl  # slow to import: only a shop with its own pattern waits for it

    try:
        re.compile(pattern)
        pl.Series([""]).str.contains(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    except pl.exceptions.ComputeError as error:
        reason = str(error).partition("\n\n")[0].strip().splitlines()[-1]  # after the pattern, which Polars shows first
        raise ValueError(f"is not a regular expression of RE2 ({reason.removeprefix('error: ')})") from None
    return pattern


class Section(BaseModel):
    """A section of rfm.toml: unknown names are rejected, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        # sections are defaults of many functions, whose help shows them above its first line
        return [(name, value) for name, value in self if value != type(self).model_fields[name].default]


class Files(Section):
    """How files are found: ``[files]``."""

    pattern: str = Field("*_transactions.csv*", description="names of the landing files, as a shell pattern")
    encoding: str = Field("auto", description='"auto" detects it; or a codec: utf-8, cp1252, latin-1, utf-16')
    separator: Literal["auto", ",", ";", "\t", "|", " "] = Field(
        "auto", description="between two fields, a blank for one or more; auto: detected in the header"
    )
    on_refused: Literal["after", "before"] = Field(
        "after", description="a refused file ends the run with status 1: after publishing, or before gold changes"
    )

    @field_validator("encoding")
    @classmethod
    def _is_codec(cls, encoding: str) -> str:
        try:
            "".encode(encoding if encoding != "auto" else "utf-8")
        except LookupError:
            raise ValueError("is not a text encoding; write auto, utf-8, cp1252 …") from None
        return encoding


class Rules(Section):
    """Which lines count: ``[rules]``."""

    stock_code_pattern: str = Field(
        r"^(?:[0-9]{5}[A-Za-z]*|PADS)$", description="products, as a regular expression (RE2); postage, fees … do not count"
    )
    max_dropped_share: Share = Field(0.25, description="a run that drops a larger share of its rows stops before gold")
    invoice_pattern: str = Field(r"(?s)^.{6,7}$", description="valid invoice numbers (RE2): 6 or 7 characters")
    cancellation: Literal["prefix", "negative", "flag"] = Field(
        "prefix", description="mark of a cancellation: its invoice number, a quantity or amount below 0, or a column"
    )
    cancellation_pattern: str = Field("^[Cc]", description="invoice numbers of cancellations, for prefix")
    revenue: Literal["gross", "net"] = Field("gross", description="net: returns reduce Monetary; after a change, empty the lake")

    _compiles = field_validator("stock_code_pattern", "invoice_pattern", "cancellation_pattern")(_pattern)

    @property
    def keeps_returns(self) -> bool:
        """Whether silver keeps cancellations with a quantity below 0; by default they go to the quarantine."""
        return (self.cancellation, self.revenue) != ("prefix", "gross")


class Quality(Section):
    """When a run warns: ``[quality]``."""

    z: float = Field(4.0, gt=0, description="warn if a volume or share is this many robust standard deviations from normal")
    history: int = Field(6, ge=2, description="number of earlier same weekdays, or runs, needed before a run warns")
    days: int = Field(14, ge=1, description="number of days up to the run date that are checked")
    fresh_days: int = Field(2, ge=0, description="warn if the newest sale is more than this many days before the run date")


class Clusters(Section):
    """How customers are grouped: ``[clusters]``."""

    k_min: int = Field(2, ge=2, description="smallest number of clusters tried")
    k_max: int = Field(12, le=50, description="largest number of clusters tried")
    silhouette_weight: Share = Field(0.6, description="weight of the silhouette in the score of a k; the elbow has the rest")
    iqr_factor: float = Field(1.5, gt=0, description="distance of the outlier fences from the quartiles, in interquartile ranges")
    n_init: int = Field(10, ge=1, description="number of starts of K-means; the best result is kept")
    seed: int = Field(42, ge=0, description="seed of K-means")
    stability: Literal["steady", "off"] = Field("steady", description="start from the previous model; off: fit anew each day")
    band: Share = Field(0.05, description="a customer moves only to a cluster that is nearer by more than this share")
    name_band: Share = Field(0.3, description="a cluster is renamed only if its medians pass a cut-off by more than this share")
    max_drift: float = Field(0.1, gt=0, description="how far a centroid may move in a run, in standard deviations")
    k_margin: float = Field(0.05, ge=0, description="another k is chosen only if its score is better by this share")
    k_days: int = Field(7, ge=1, description="for this many days in a row")
    gap_days: int = Field(7, ge=1, description="fit a new model if the previous run is more than this many days ago")

    @model_validator(mode="after")
    def _range(self) -> Clusters:
        if self.k_max < self.k_min + 2:
            raise ValueError("k_max must be at least k_min + 2, or there is no elbow to find")
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


class Exclusions(Section):
    """Which customers are kept out of the fit, and assigned to a cluster all the same: ``[exclusions]``."""

    bulk_amount: float = Field(0, ge=0, description="an invoice above this amount is a bulk order; 0: none")
    bulk_quantity: int = Field(0, ge=0, description="an invoice with more pieces than this is a bulk order; 0: none")
    test_pattern: str = Field("", description='stock codes of test transactions, as a regular expression, such as "^TEST"')

    _compiles = field_validator("test_pattern")(_pattern)

    @property
    def on(self) -> bool:
        """Whether any of the filters is set."""
        return bool(self.bulk_amount or self.bulk_quantity or self.test_pattern)


class Care(Section):
    """How tables are maintained: ``[care]``."""

    optimize_every: int = Field(50, ge=0, description="a run compacts a table after this many commits; 0: never")
    retain_days: int = Field(7, ge=7, description="number of days that a past version of a table stays readable (at least 7)")


class OnFailure(Section):
    """Who is notified of a failed run: ``[on_failure]``."""

    when: Literal["failed", "warned"] = Field("failed", description="warned: also after a run with warnings")
    command: str = Field("", description="receives the run record as JSON on standard input, and has one minute")
    webhook: str = Field("", description="http(s) address that receives the run record; RFM_WEBHOOK_SECRET is its bearer token")

    @field_validator("command")
    @classmethod
    def _splits(cls, command: str) -> str:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"is not a command ({error})") from None
        if command and not words:
            raise ValueError("is not a command (nothing but blanks)")
        return command

    @field_validator("webhook")
    @classmethod
    def _is_web(cls, webhook: str) -> str:
        if webhook and not webhook.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return webhook


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
    """Name and currency on the report: ``[shop]``."""

    name: str = Field("Online Retail", description="name of the shop on the report")
    currency: str = Field("£", description="currency sign, written before an amount", max_length=10)

    @field_validator("name", "currency")
    @classmethod
    def _is_a_line(cls, text: str) -> str:
        if printable(text) != text:
            raise ValueError("must be one line without control characters")
        return text

    @field_validator("currency")
    @classmethod
    def _is_a_sign(cls, currency: str) -> str:
        if re.search(r"[<>&|*`_#\[\]\\]", currency):  # markup in figures and in the model card
            raise ValueError("must be a sign or a word, such as € or kr, without < > & | * ` _ # [ ] \\")
        return currency


# ── how files are written ────────────────────────────────────────────────────────────────────────────────────────
FLAG = "cancelled"
"""Setting of the column that flags cancelled lines, and the name of its value in ``_rescued_data``."""
RAGGED = '^[{]"_(?:raw|line)": '
"""Start of ``_rescued_data`` for a line with more or fewer fields than the header."""
BLANKS = " \t\n\v\f\r\u00a0"
"""Characters stripped around a value; listed, because engines disagree on what whitespace is."""
YES = (
    "1|true|t|yes|y|x|ja|j|wahr|oui|o|vrai|si|sí|s|verdadero|vero|waar|cancell?ed|cancellation|returned|return|refunded|refund|"
    "void|voided|storno|storniert|retoure|gutschrift|annulée?|annulee?|retour|avoir|cancelad[oa]|anulad[oa]|devuelt[oa]|"
    "annullat[oa]|stornat[oa]|reso|geannuleerd"
)
"""Values of a flag that mean cancelled, in any case."""

DATE_TOKENS = {"Y": "%Y", "y": "%Y", "m": "%m", "b": "%m", "d": "%d"}


@lru_cache(maxsize=1024)
def plain_name(name: str) -> str:
    """Return a header as it is compared: in lower case, without whitespace, underscores and byte order mark."""
    return re.sub(r"[\s_\ufeff]", "", name).casefold()


class LandingColumn(NamedTuple):
    """A column of the files: its usual header, its names in bronze and in silver, what it is, and what happens without it."""

    header: str
    bronze: str
    silver: str
    meaning: str
    without: str | None  # None: it is required; empty: files may lack it, even if no setting says so


def _raw(header: str, meaning: str, without: str | None, silver: str = "") -> Any:
    """Return the setting of a column of the files, with its usual header."""
    bronze = header.replace(" ", "")
    column = LandingColumn(header, bronze, silver or bronze, meaning, without)
    described = meaning if without is None else f'{meaning}; "": {without}' if without else f"{meaning}; files may lack it"
    least = 1 if without is None else None
    return Field(header, min_length=least, description=described, json_schema_extra={"landing": column})  # type: ignore[dict-item]


class Columns(Section):
    """Name of each column in the files; "": the files have no such column: ``[columns]``."""

    model_config = ConfigDict(str_strip_whitespace=True)

    # A further column of text needs a line here, its columns in `rfm.schema`, and words that shops use for it in vocabulary.toml
    invoice: str = _raw("Invoice", "invoice or order number", "all lines of a customer on one day are one purchase", "InvoiceNo")
    stock_code: str = _raw("StockCode", "product code", "every line counts as a product")
    description: str = _raw("Description", "product name", "")
    quantity: str = _raw("Quantity", "quantity", "a price is the amount of its line")
    price: str = _raw("Price", "price or amount", "each piece or line counts as 1", "UnitPrice")
    customer_id: str = _raw("Customer ID", "customer", None)
    country: str = _raw("Country", "country", "")
    invoice_date: str = _raw("InvoiceDate", "date", None)
    cancelled: str = Field("", description='column that marks cancelled lines, for rules.cancellation = "flag"')
    hash_customers: bool = Field(False, description="true: ids are hashed while files are read; the key is RFM_CUSTOMER_KEY")

    @property
    def headers(self) -> dict[str, str]:
        """Header of each column of bronze; empty where the files have none."""
        return {one.bronze: getattr(self, name) for name, one in LANDING_COLUMNS.items()}

    @property
    def own(self) -> bool:
        """Whether any name differs from the default."""
        return self != Columns()

    @model_validator(mode="after")
    def _once(self) -> Columns:
        names = Counter(plain_name(name) for name in (*self.headers.values(), self.cancelled) if name)
        twice = [field for field in (*LANDING_COLUMNS, FLAG) if names[plain_name(getattr(self, field))] > 1]
        if twice:
            raise ValueError(f"{' and '.join(twice)} have the same name; give each the header of its own column")
        return self


LANDING_COLUMNS: dict[str, LandingColumn] = {
    name: one.json_schema_extra["landing"]  # type: ignore[misc]  # put there by `_raw`
    for name, one in Columns.model_fields.items()
    if isinstance(one.json_schema_extra, dict)
}
"""The columns of the files by their setting."""
RAW = tuple(one.bronze for one in LANDING_COLUMNS.values())  # columns of bronze that hold the text of the files


class Format(Section):
    """How dates and numbers are written: ``[format]``."""

    date: str = Field("%Y-%m-%d", description='of %Y %y %m %b %d, as in "%d.%m.%Y" or "%m/%d/%Y"; a time after it is ignored')
    decimal: Literal[".", ","] = Field(".", description="decimal mark")
    thousands: Literal["", ".", ",", " ", "'"] = Field("", description="thousands separator")
    timezone: str = Field("", description='zone that defines a day, such as "Europe/Berlin", for times in UTC or with an offset')

    @field_validator("date")
    @classmethod
    def _is_date(cls, pattern: str) -> str:
        pattern = re.sub(r",?[ T]*%[HI].*$", "", pattern)
        tokens = re.findall(r"%(.?)", pattern)
        if sorted(DATE_TOKENS.get(token, "") for token in tokens) != ["%Y", "%d", "%m"]:
            raise ValueError("must hold a year (%Y or %y), a month (%m or %b) and a day (%d), once each, as in %d.%m.%Y")
        if re.search(r"%b[0-9A-Za-z]|%b%|%y%|%Y%|%[md]%", pattern) and pattern not in ("%Y%m%d", "%y%m%d", "%d%m%Y", "%m%d%Y"):
            raise ValueError("must have something between year, month and day, unless it is %Y%m%d, %y%m%d, %d%m%Y or %m%d%Y")
        return pattern

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        try:
            return zone if not zone else ZoneInfo(zone).key
        except (KeyError, ValueError, OSError):
            raise ValueError("is not a time zone; write it as Europe/Berlin, or leave it empty") from None

    @model_validator(mode="after")
    def _differ(self) -> Format:
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal are the same character; give each its own")
        return self


class Dialect(Section):
    """How a shop's lines are read: its headers, formats and rules."""

    columns: Columns = Columns()
    format: Format = Format()
    rules: Rules = Rules()


# ── severity of rules ───────────────────────────────────────────────────────────────────────────────────────
REPEATS = "unique_surrogate_key"  # a rule about several rows, which no expression of one row can check


def severities(defaults: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the severity of every expectation: ``drop``, ``warn`` or ``fail``, with those of ``[expectations]`` first.

    A rule that does not exist, ``warn`` for a rule that silver's columns rest on, and ``drop`` for repeated keys, of
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
        raise SettingsError(f"expectations: {', '.join(soft)}: silver's columns rest on this rule; use drop or fail, not warn")
    if chosen.get(REPEATS) == "drop":
        raise SettingsError(f"expectations: {REPEATS}: nobody knows which row of a key is right; use warn or fail, not drop")
    return {**known, **chosen}
