"""How a shop's own files are written: ``[columns]`` and ``[format]``; part of `rfm.settings`, which everyone reads it from."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator

from rfm.schema import LANDING_COLUMNS
from rfm.sections import Rules, Section

FIELDS = dict(
    zip(
        LANDING_COLUMNS.values(),
        ("invoice", "stock_code", "description", "quantity", "price", "customer_id", "country", "invoice_date"),
        strict=True,
    )
)
"""Column of bronze, and the setting that says what the files call it."""
FLAG = "cancelled"
"""Setting of the column that says whether a line is cancelled, and its name in ``_rescued_data``."""
RAGGED = '^[{]"_(?:raw|line)": '
"""How the JSON of a line in ``_rescued_data`` begins that has other fields than its header."""
BLANKS = " \t\n\v\f\r\u00a0"
"""What does not count around a value; named, as engines do not agree on what a blank is."""
YES = "|".join(
    (
        "1|true|t|yes|y|x|ja|j|wahr|oui|o|vrai|si|sí|s|verdadero|vero|waar|cancell?ed|cancellation|returned|return|refunded|refund",
        "void|voided|storno|storniert|retoure|gutschrift|annulée?|annulee?|retour|avoir|cancelad[oa]|anulad[oa]|devuelt[oa]",
        "annullat[oa]|stornat[oa]|reso|geannuleerd",
    )
)
"""What a flag says of a cancelled line, whatever its case."""

DATE_TOKENS = {"Y": "%Y", "y": "%Y", "m": "%m", "b": "%m", "d": "%d"}
MONTHS = (  # how their names begin in English, German, French, Spanish, Italian and Dutch, where they begin alike
    ("01", "jan|ene|gen"),
    ("02", "feb|f\u00e9v|fev"),
    ("03", "mar|m\u00e4r|mrz|mrt|maa"),
    ("04", "apr|avr|abr"),
    ("05", "may|mai|mag|mei"),
    ("06", "jun|juin|giu"),
    ("07", "jul|juil|lug"),
    ("08", "aug|ao\u00fb|aou|ago"),
    ("09", "sep|set"),
    ("10", "oct|okt|ott"),
    ("11", "nov"),
    ("12", "dec|dez|d\u00e9c|dic"),
)
FIRST_OF_LAST_CENTURY = 69  # of years of two digits, as POSIX has it: 69 is 1969, 68 is 2068

CURRENCIES = {"£": "GBP", "€": "EUR", "$": "USD", "¥": "JPY", "zł": "PLN", "kr": "SEK", "Fr.": "CHF", "₹": "INR"}  # sign: code
SPACES = " \u00a0\u2009\u202f"  # between thousands, or a number and its currency
GROUPED = {" ": f"[{SPACES}]", "'": "['\u2019]"}  # blanks that do not break a line, and a printer's apostrophe
_WORDS = "|".join((*CURRENCIES.values(), "zł", "kr", r"Fr\."))
CURRENCY = rf"\B[£€$¥₹][{SPACES}]*|^(?:{_WORDS})[{SPACES}]*|[{SPACES}]*(?:[£€$¥₹]|{_WORDS})$"
"""What stands beside an amount, before or behind it, as a regular expression: ``-$5``, ``USD 5``, ``5 €``, but not ``5€50``."""


def number_shape(decimal: str, thousands: str) -> str:
    """Return the regular expression of a number, from its first to its last sign: thousands may be parted, or not.

    Parameters
    ----------
    decimal, thousands
        The marks, as in ``[format]``.
    """
    mark = GROUPED.get(thousands, f"[{thousands}]")
    grouped = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|" if thousands else ""
    return f"[+-]?(?:{grouped}[0-9]+)(?:[{decimal}][0-9]*)?"


@lru_cache(maxsize=1024)
def plain(name: str) -> str:
    """Return a column's name without case, blanks, underscores and byte order mark, by which names are compared.

    Examples
    --------
    >>> plain("Customer ID") == plain("customer_id")
    True
    """
    return re.sub(r"[\s_\ufeff]", "", name).casefold()


class Columns(Section):
    """What the files call each column; an empty name says that they have no such column: ``[columns]``."""

    model_config = ConfigDict(str_strip_whitespace=True)

    invoice: str = Field("Invoice", description="order; empty: what a customer buys on a day is one purchase")
    stock_code: str = Field("StockCode", description="product; empty: every line counts")
    description: str = Field("Description", description="name of the product; may be empty")
    quantity: str = Field("Quantity", description="pieces; empty: 1, the price is then the amount of the line or order")
    price: str = Field("Price", description="price of a piece, or the amount; empty: 1, so that amounts count pieces or lines")
    customer_id: str = Field("Customer ID", min_length=1, description="the customer")
    country: str = Field("Country", description="where the customer lives; may be empty")
    invoice_date: str = Field("InvoiceDate", min_length=1, description="day of the sale")
    cancelled: str = Field("", description="whether the line is cancelled, for rules.cancellation flag")
    hash_customers: bool = Field(False, description="ids are replaced, as they are read, by a hash with RFM_CUSTOMER_KEY")

    @property
    def headers(self) -> dict[str, str]:
        """What the files call each column of bronze; empty where they have none."""
        return {raw: getattr(self, field) for raw, field in FIELDS.items()}

    @property
    def own(self) -> bool:
        """Whether the shop names any column itself."""
        return self != Columns()

    @model_validator(mode="after")
    def _once(self) -> Columns:
        names = Counter(plain(name) for name in (*self.headers.values(), self.cancelled) if name)
        twice = [field for field in (*FIELDS.values(), FLAG) if names[plain(getattr(self, field))] > 1]
        if twice:
            raise ValueError(f"{' and '.join(twice)} have the same name; give each the header of its own column")
        return self


class Format(Section):
    """How dates and numbers are written: ``[format]``."""

    date: str = Field("%Y-%m-%d", description="pattern of %Y or %y, %m or %b, and %d; a time after it is ignored")
    decimal: Literal[".", ","] = Field(".", description="before the decimals")
    thousands: Literal["", ".", ",", " ", "'"] = Field("", description="between groups of three digits, where there is one")
    timezone: str = Field("", description="zone whose days count, as Europe/Berlin, of times in UTC or with their offset")

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
            raise ValueError("thousands and decimal are the same sign; give each its own")
        return self


class Dialect(Section):
    """How a shop's lines are read: the names of its columns, its formats and its rules."""

    columns: Columns = Columns()
    format: Format = Format()
    rules: Rules = Rules()
