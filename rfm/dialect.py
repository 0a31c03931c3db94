"""How a shop writes its lines and which of them count: the sections of ``rfm.toml`` that give lines their meaning."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


def compiles(cls: type[Section], pattern: str, given: ValidationInfo) -> str:
    """Return a regular expression that both Python (`rfm check`) and Polars (a run) accept."""
    if pattern in ("", ".", cls.model_fields[str(given.field_name)].default):
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

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        # sections are defaults of many functions, whose help shows them above its first line
        return [(name, value) for name, value in self if value != type(self).model_fields[name].default]


# ── how files are written ────────────────────────────────────────────────────────────────────────────────────────
FLAG = "cancelled"
"""Setting of the column that flags cancelled lines, and the name of its value in ``_rescued_data``."""
EXTRA_KEYS = {FLAG: FLAG} | {name: f"_{name}" for name in ("status", "line_type", "refunded", "discount", "currency", "store")}
"""Settings of the further columns that have a meaning, and the names of their values in ``_rescued_data``."""
RAGGED = '^[{]"_(?:raw|line)": '
"""Start of ``_rescued_data`` for a line with more or fewer fields than the header."""
AROUND = '^[{]"_(?:raw|line)".*"_kind": "'
"""A line around the table, such as a title or a total, in ``_rescued_data``."""
BLANKS = " \t\n\v\f\r\u00a0"
"""Characters stripped around a value; listed, because engines disagree on what whitespace is."""
YES = (
    "1|true|t|yes|y|x|ja|j|wahr|oui|o|vrai|si|sí|s|verdadero|vero|waar|cancell?ed|cancellation|returned|return|refunded|refund|"
    "void|voided|storno|storniert|retoure|gutschrift|annulée?|annulee?|retour|avoir|cancelad[oa]|anulad[oa]|devuelt[oa]|"
    "annullat[oa]|stornat[oa]|reso|geannuleerd|"
    "[0-9]{1,4}[-./][0-9]{1,2}[-./](?:[1-9][0-9]|0[1-9])[0-9:.T Z+-]*"
)
"""Values of a flag that mean cancelled, in any case: words, and the day on which it was."""

DISCOUNT_LINE, OTHER_LINE = "DISCOUNT", "~"
"""Product codes in silver of lines that reduce their order, and of lines that are no products."""
NEUTRAL = {
    "stock_code_pattern": "",
    "invoice_pattern": ".",
    "cancellation": "negative",
    "cancellation_pattern": "",
    "code_required": False,
}
"""Rules of a shop with columns of its own, where its rfm.toml has none: those of the example say nothing about it."""
UNUSUAL_DATES = ("serial", "epoch", "epoch_ms", "%G-W%V")
"""Days since 1899-12-30, as in a spreadsheet; seconds and milliseconds since 1970; the Monday of an ISO week."""
WEEKDAY = "%a "
"""Start of the pattern of dates with a day of the week before them."""
DATE_TOKENS = {"Y": "%Y", "y": "%Y", "m": "%m", "b": "%m", "d": "%d"}


@lru_cache(maxsize=1)
def month_names() -> dict[str, list[str]]:
    """Return the names of the twelve months by language, each as ``full|short``, from `months.toml`."""
    found = tomllib.loads(Path(__file__).with_name("months.toml").read_text(encoding="utf-8"))
    return {language: names.split(", ") for language, names in found.items()}


@lru_cache(maxsize=1024)
def plain_name(name: str) -> str:
    """Return a header as it is compared: in lower case, without whitespace, underscores and byte order mark."""
    return re.sub(r"[\s_\ufeff]", "", name).casefold()


def plain_values(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return values as those of lines are compared."""
    return tuple(value.strip(BLANKS).lower() for value in values)


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
    status: str = Field("", description="column with the state of an order (paid, failed …); see rules.sold")
    line_type: str = Field("", description="column with the kind of a line (sale, return …); see rules.sold")
    refunded: str = Field("", description='column with the amount paid back; rules.revenue = "net" takes it off')
    discount: str = Field("", description="column with the amount by which a line or order was reduced")
    currency: str = Field("", description="column with the currency of an amount; see [currencies]")
    store: str = Field("", description="column with the shop or till, where each has order numbers of its own")
    hash_customers: bool = Field(False, description="true: ids are hashed while files are read; the key is RFM_CUSTOMER_KEY")

    @property
    def headers(self) -> dict[str, str]:
        """Header of each column of bronze; empty where the files have none."""
        return {one.bronze: getattr(self, name) for name, one in LANDING_COLUMNS.items()}

    @property
    def extras(self) -> dict[str, str]:
        """Header of each further column that has a meaning, by its setting; those that are set."""
        return {field: header for field in EXTRA_KEYS if (header := getattr(self, field))}

    @property
    def own(self) -> bool:
        """Whether any name differs from the default."""
        return self != Columns()

    @model_validator(mode="after")
    def _once(self) -> Columns:
        names = Counter(plain_name(name) for name in (*self.headers.values(), *self.extras.values()) if name)
        twice = [field for field in (*LANDING_COLUMNS, *EXTRA_KEYS) if names[plain_name(getattr(self, field))] > 1]
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

    date: str = Field(
        "%Y-%m-%d",
        description='of %Y %y %m %b %d, as in "%d.%m.%Y", after %a; a time is ignored; or %G-W%V, serial, epoch, epoch_ms',
    )
    also: tuple[str, ...] = Field((), description="further date patterns, for dates that do not match the first")
    months: str = Field("", description='language of month names, such as "pl"; "" knows en, de, fr, es, it and nl')
    decimal: Literal[".", ","] = Field(".", description="decimal mark")
    thousands: Literal["", ".", ",", " ", "'"] = Field("", description="thousands separator")
    price_decimals: int = Field(2, ge=2, le=6, description="decimals of a price that are kept until it is multiplied")
    cents: bool = Field(False, description="true: amounts are in cents, pence …: 1999 is 19.99")
    fractions: bool = Field(False, description="true: quantities may have decimals, such as kilograms")
    timezone: str = Field("", description='zone that defines a day, such as "Europe/Berlin", for times in UTC or with an offset')

    @field_validator("date")
    @classmethod
    def _is_date(cls, pattern: str) -> str:
        if pattern in UNUSUAL_DATES:
            return pattern
        pattern = re.sub(r",?[ T]*%[HI].*$", "", pattern)
        tokens = re.findall(r"%(.?)", pattern.removeprefix(WEEKDAY))
        if sorted(DATE_TOKENS.get(token, "") for token in tokens) != ["%Y", "%d", "%m"]:
            raise ValueError("must hold a year (%Y or %y), a month (%m or %b) and a day (%d), once each, as in %d.%m.%Y")
        if re.search(r"%b[0-9A-Za-z]|%b%|%y%|%Y%|%[md]%", pattern) and pattern not in ("%Y%m%d", "%y%m%d", "%d%m%Y", "%m%d%Y"):
            raise ValueError("must have something between year, month and day, unless it is %Y%m%d, %y%m%d, %d%m%Y or %m%d%Y")
        return pattern

    @field_validator("also")
    @classmethod
    def _are_dates(cls, patterns: tuple[str, ...], given: ValidationInfo) -> tuple[str, ...]:
        patterns = tuple(map(cls._is_date, patterns))
        if len({given.data.get("date"), *patterns}) <= len(patterns):
            raise ValueError("holds a pattern twice, or that of format.date")
        return patterns

    @field_validator("months")
    @classmethod
    def _has_months(cls, language: str) -> str:
        if language and language not in (known := month_names()):
            raise ValueError(f"is not one of {', '.join(known)}")
        return language

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


class Rules(Section):
    """Which lines count: ``[rules]``."""

    stock_code_pattern: str = Field(
        r"^(?:[0-9]{5}[A-Za-z]*|PADS)$", description="products, as a regular expression (RE2); postage, fees … do not count"
    )
    max_dropped_share: Share = Field(0.25, description="a run that drops a larger share of its rows stops before gold")
    invoice_pattern: str = Field(r"(?s)^.{6,7}$", description="valid invoice numbers (RE2): 6 or 7 characters")
    cancellation: Literal["prefix", "negative", "flag", "none"] = Field(
        "prefix", description="mark of a cancellation: its invoice number, a quantity or amount below 0, or a column"
    )
    cancellation_pattern: str = Field("^[Cc]", description="invoice numbers of cancellations, for prefix")
    revenue: Literal["gross", "net"] = Field(
        "gross", description="net: returns reduce a customer's Monetary; after a change, start with an empty lake"
    )

    sold: tuple[str, ...] = Field((), description='values of columns.status and line_type of lines that count; "" is blank')
    not_sold: tuple[str, ...] = Field((), description="values of lines that never count, such as failed or voided")
    refunds: tuple[str, ...] = Field((), description="values of lines that pay money back; in no list: quarantined")
    discount_pattern: str = Field("", description="product code or description of lines below 0 that reduce their order")
    other_lines: str = Field("", description="product code or description of lines that are no products, such as shipping")
    order_total: bool = Field(False, description="true: the amount is the order's, repeated on its lines; the first counts")
    order_amounts: bool = Field(
        True, description="columns.refunded and discount: true: of the order, so its first line's counts; false: of the line"
    )
    invoice_restarts: Literal["never", "year", "month", "day"] = Field("never", description="when order numbers start again")
    code_required: bool = Field(True, description="false: a line without product code counts")

    _compiles = field_validator(
        "stock_code_pattern", "invoice_pattern", "cancellation_pattern", "discount_pattern", "other_lines"
    )(compiles)

    _plain = field_validator("sold", "not_sold", "refunds")(plain_values)

    @model_validator(mode="after")
    def _told_apart(self) -> Rules:
        lines = Counter([*self.sold, *self.not_sold, *self.refunds])
        if twice := [value for value, count in lines.items() if count > 1]:
            raise ValueError(f"sold, not_sold and refunds have {', '.join(map(repr, twice))} twice; give each value one meaning")
        return self

    @property
    def keeps_returns(self) -> bool:
        """Whether silver keeps cancellations with a quantity below 0; by default they go to the quarantine."""
        return bool(self.not_sold or self.refunds) or (self.cancellation, self.revenue) != ("prefix", "gross")


class Customers(Section):
    """Who a customer is: ``[customers]``."""

    nobody: tuple[str, ...] = Field((), description='ids that stand for no customer, such as "walk-in" or "0"')
    compare: Literal["exact", "case", "phone"] = Field(
        "exact", description="case: in lower case, blanks as one, for e-mails; phone: digits, without country_prefix"
    )
    country_prefix: str = Field("", pattern="^[0-9]*$", description="of phone numbers of the own country, such as 49")
    width: int = Field(0, ge=0, le=30, description="numbers with fewer digits get leading zeros; 0: none")

    _plain = field_validator("nobody")(plain_values)


class Dialect(Section):
    """How a shop's lines are read: its headers, formats, rules, customers and currencies."""

    columns: Columns = Columns()
    format: Format = Format()
    rules: Rules = Rules()
    customers: Customers = Customers()
    currencies: dict[str, Positive] = {}

    @property
    def order(self) -> tuple[str, ...]:
        """Columns of bronze that tell orders apart, if the first line of an order differs from the others; else none."""
        rules = self.rules
        if not (rules.order_total or rules.order_amounts and {"refunded", "discount"} & self.columns.extras.keys()):
            return ()
        if not self.columns.invoice:
            return ("CustomerID", "InvoiceDate")
        return ("Invoice",) if rules.invoice_restarts == "never" else ("Invoice", "InvoiceDate")
