"""The sections of ``rfm.toml``: part of `rfm.settings`, which everyone reads them from."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from rfm.errors import printable

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _pattern(cls: type[Section], pattern: str, given: ValidationInfo) -> str:
    """Return a regular expression if it is one, for Python, which `rfm check` asks, and for Polars, which runs it."""
    if pattern == cls.model_fields[str(given.field_name)].default:
        return pattern
    import polars as pl  # takes a while: only a shop with its own pattern waits for it

    try:
        re.compile(pattern)
        pl.Series([""]).str.contains(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"is not a regular expression of RE2 ({_last_line(error)})") from None
    return pattern


def _last_line(error: Exception) -> str:
    """Return what Polars says in the end of a pattern that it draws."""
    said = str(error).partition("\n\n")[0].strip()
    return said.splitlines()[-1].removeprefix("error: ")


class Section(BaseModel):
    """A section of rfm.toml: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        # a section is the default of many functions, and their help is read for its first line
        return [(name, value) for name, value in self if value != type(self).model_fields[name].default]


class Landing(Section):
    """How files are found: ``[files]``."""

    pattern: str = Field("*_transactions.csv*", description="name of a landing file, as a shell pattern")
    encoding: str = Field("auto", description="codec of the files; auto: UTF-8, UTF-16 or Windows-1252, found out line by line")
    separator: Literal["auto", ",", ";", "\t", "|", " "] = Field(
        "auto", description="between two fields, a blank for any number of them; auto: what fits the header"
    )
    on_refused: Literal["after", "before"] = Field(
        "after", description="a run with a refused file ends with exit status 1 after publishing, or before gold"
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
    """What counts: ``[rules]``."""

    stock_code_pattern: str = Field(
        r"^(?:[0-9]{5}[A-Za-z]*|PADS)$", description="products that count for RFM, as a regular expression (RE2)"
    )
    max_dropped_share: Share = Field(0.25, description="a day that drops a larger share of its rows stops before gold")
    invoice_pattern: str = Field(r"(?s)^.{6,7}$", description="invoice numbers that can be, as a regular expression (RE2)")
    cancellation: Literal["prefix", "negative", "flag"] = Field(
        "prefix", description="what makes a line a cancellation: its invoice number, a quantity or amount below 0, or a column"
    )
    cancellation_pattern: str = Field("^[Cc]", description="invoice numbers of cancellations, for prefix")
    revenue: Literal["gross", "net"] = Field("gross", description="net: returns are taken off a customer's Monetary, down to 0")

    _compiles = field_validator("stock_code_pattern", "invoice_pattern", "cancellation_pattern")(_pattern)

    @property
    def keeps_returns(self) -> bool:
        """Whether silver keeps cancellations with a quantity below 0; by the defaults they go to the quarantine."""
        return (self.cancellation, self.revenue) != ("prefix", "gross")


class Watch(Section):
    """When a run warns: ``[quality]``."""

    z: float = Field(4.0, gt=0, description="a volume or a share this many robust standard deviations off is warned of")
    history: int = Field(6, ge=2, description="earlier same weekdays, or runs, that must be there before a run warns")
    days: int = Field(14, ge=1, description="days up to the run date that a run warns of")
    fresh_days: int = Field(2, ge=0, description="days that the newest sale may lie before the run date")


class Clusters(Section):
    """How customers are grouped: ``[clusters]``."""

    k_min: int = Field(2, ge=2, description="smallest number of clusters tried")
    k_max: int = Field(12, le=50, description="largest number of clusters tried")
    iqr_factor: float = Field(1.5, gt=0, description="fences of the outlier rule, in interquartile ranges")
    n_init: int = Field(10, ge=1, description="starts of K-means; the best is kept")
    seed: int = Field(42, ge=0, description="seed of K-means")
    stability: Literal["steady", "off"] = Field("steady", description="start from the run before, or off: fit afresh each day")
    band: Share = Field(0.05, description="share by which another cluster must be nearer before a customer goes there")
    name_band: Share = Field(0.3, description="share by which a cluster's medians must pass a cut-off to change its name")
    max_drift: float = Field(0.1, gt=0, description="standard deviations that a centroid may move in a run")
    k_margin: float = Field(0.05, ge=0, description="share by which another k must score better to take over,")
    k_days: int = Field(7, ge=1, description="and for how many days")
    gap_days: int = Field(7, ge=1, description="days since the run before after which all is fitted afresh")

    @model_validator(mode="after")
    def _range(self) -> Clusters:
        if self.k_max < self.k_min + 2:
            raise ValueError("k_max must be at least k_min + 2, or no elbow can be seen")
        return self


class Cutoffs(Section):
    """Where the bands of the segments end, as multiples of the median customer's: ``[cutoffs]``."""

    monetary: tuple[Positive, Positive, Positive] = Field((1.0, 2.0, 4.0), description="spend: middling, high, very high above")
    frequency: tuple[Positive, Positive] = Field((1.0, 2.0), description="invoices: often, very often above")
    recency: Positive = Field(1.0, description="days since the last purchase: recent below")

    @field_validator("monetary", "frequency")
    @classmethod
    def _rise(cls, multiples: tuple[float, ...]) -> tuple[float, ...]:
        if list(multiples) != sorted(set(multiples)):
            raise ValueError("must rise from one multiple to the next")
        return multiples


class Exclusions(Section):
    """Whose orders are not like a customer's: kept out of the fit, and still assigned: ``[exclusions]``."""

    bulk_amount: float = Field(0, ge=0, description="an invoice of more than this amount is a bulk order; 0: none is")
    bulk_quantity: int = Field(0, ge=0, description="an invoice of more than so many pieces is a bulk order; 0: none is")
    test_pattern: str = Field("", description="stock codes of test transactions, as a regular expression; empty: none")

    _compiles = field_validator("test_pattern")(_pattern)

    @property
    def on(self) -> bool:
        """Whether any filter is in force."""
        return bool(self.bulk_amount or self.bulk_quantity or self.test_pattern)


class Care(Section):
    """How the tables are kept small and quick: ``[care]``."""

    optimize_every: int = Field(50, ge=0, description="commits after which a table is compacted at the end of a run; 0: never")
    retain_days: int = Field(7, ge=7, description="days that a past version of a table stays readable")


class OnFailure(Section):
    """Who is told of a run that went wrong: ``[on_failure]``."""

    when: Literal["failed", "warned"] = Field("failed", description="failed runs alone, or those with warnings too")
    command: str = Field("", description="command that gets the run's record as JSON on standard input, without a shell")
    webhook: str = Field("", description="http or https address that the record is posted to")

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
    """What leaves the house: ``[publish]``."""

    customers: bool = Field(False, description="single customers too: their page, the exports, the executed notebooks")
    hash_ids: bool = Field(False, description="customer ids as a hash with the key RFM_PUBLISH_KEY; the notebooks stay at home")


class Archive(Section):
    """The public data set that `rfm prepare` fetches: ``[archive]``."""

    url: str = Field(
        "https://archive.ics.uci.edu/static/public/502/online+retail+ii.zip",
        pattern="^https?://",
        description="address of the workbook, or of a zip archive with it",
    )
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$", description="checksum the file must have; any if empty")


class Shop(Section):
    """What the report calls things: ``[shop]``."""

    name: str = Field("Online Retail", description="name on the report")
    currency: str = Field("£", description="sign before an amount", max_length=10)

    @field_validator("name", "currency")
    @classmethod
    def _is_a_line(cls, text: str) -> str:
        if printable(text) != text:
            raise ValueError("must be one line without control characters")
        return text

    @field_validator("currency")
    @classmethod
    def _is_a_sign(cls, currency: str) -> str:
        if re.search(r"[<>&|*`_#\[\]\\]", currency):  # figures and the model card would take it for markup
            raise ValueError("must be a sign or a word, as € or kr, without < > & | * ` _ # [ ] \\")
        return currency
