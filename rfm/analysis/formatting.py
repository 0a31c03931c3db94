"""Format values for readers: amounts, counts, shares, days and file sizes; frames to look at; text safe in spreadsheets."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import narwhals as nw
import pandas as pd
from narwhals.typing import IntoFrame

from rfm.words import N_, _, digits, money, ngettext, nN_, percent, pgettext


def amount(value: float | Decimal, currency: str = "", *, whole_from: float = 10) -> str:
    """Return an amount, without decimals from `whole_from` on: ``£1,234``, ``£9.50``."""
    places = 2 if abs(float(value)) < whole_from else 0
    return _amount(value, currency, f"{abs(value):,.{places}f}")


def exact_amount(value: float | Decimal, currency: str = "", *, minus: str = "−") -> str:
    """Return an amount with two decimals: ``£1,234.50``."""
    return _amount(value, currency, f"{abs(value):,.2f}", minus)


def short_amount(value: float | Decimal, currency: str = "", *, narrow: bool = False) -> str:
    """Return an amount in few characters: ``£1.24 M``, ``£53 k``, ``£871``; in fewest, if it is `narrow`."""
    size = abs(float(value))
    for least, unit, divisor, places in _UNITS:
        if size >= least:
            number = digits(f"{size / divisor:.{places}f}")
            text = pgettext("narrow", "{n} k") if narrow and unit == _THOUSANDS else _(unit)
            return ("−" if value < 0 else "") + money(text.format(n=number), currency)
    return _amount(value, currency, f"{size:,.0f}", "−")


_MILLIONS, _THOUSANDS = N_("{n} M"), N_("{n} k")
_UNITS = ((999_500, _MILLIONS, 1e6, 2), (9_999.5, _THOUSANDS, 1e3, 0), (999.5, _THOUSANDS, 1e3, 1))  # from, unit, is, decimals


def _amount(value: float | Decimal, currency: str, size: str, minus: str = "−") -> str:
    return (minus if value < 0 else "") + money(digits(size), currency)


def whole(value: float | Decimal) -> str:
    """Return a number without decimals: ``1,234``."""
    return digits(f"{value:,.0f}")


def number(value: float | Decimal) -> str:
    """Return a number with at most one decimal: ``1,234.5``, ``3``."""
    return digits(f"{value:,.1f}".removesuffix(".0"))


def decimal(value: float | Decimal, places: int) -> str:
    """Return a number with a given number of decimals: ``1,234.50``."""
    return digits(f"{value:,.{places}f}")


def growth(value: float | Decimal, places: int = 1) -> str:
    """Return a change in percent with its sign: ``+1.5%``."""
    return percent(digits(f"{100 * value:+.{places}f}").replace("-", "−"))


def count(value: float | Decimal, thing: str) -> str:
    """Return a number of things: ``1 day``, ``2.5 days``."""
    one = "{n} " + thing
    return ngettext(one, one + "s", value, n=number(value))


_COUNTED = (  # things that pages count
    nN_("{n} customer", "{n} customers"),
    nN_("{n} day", "{n} days"),
    nN_("{n} invoice", "{n} invoices"),
)


def share(value: float | Decimal) -> str:
    """Return a share in percent, with one decimal below 10 %: ``12%``, ``1.5%``, ``−3%``."""
    places = 1 if 0 < abs(float(value)) < 0.0995 else 0
    text = f"{100 * value:.{places}f}".removesuffix(".0")
    return percent("0" if text == "-0" else digits(text).replace("-", "−"))


def exact_share(value: float | Decimal) -> str:
    """Return a share in percent with one decimal: ``12.3%``."""
    return percent(digits(f"{100 * value:.1f}"))


def whole_share(value: float | Decimal) -> str:
    """Return a share in whole percent: ``12%``."""
    return percent(f"{100 * value:.0f}")


def times(value: float) -> str:
    """Return how often: ``once``, ``twice``, ``2.5 times``."""
    return _("once") if value == 1 else _("twice") if value == 2 else _("{n} times", n=number(value))


def ago(days: float) -> str:
    """Return how long ago: ``today``, ``3 days ago``."""
    return ngettext("{n} day ago", "{n} days ago", days, n=number(days)) if days else _("today")


def file_size(size: int | None) -> str:
    """Return a number of bytes: ``512 B``, ``1.5 MB``."""
    if size is None:
        return "-"
    if size < 1000:
        return f"{size} B"
    power = min((len(str(size)) - 1) // 3, 4)
    return f"{size / 1000**power:.1f} {' kMGT'[power]}B"


def as_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as values for JSON; what is unknown is None."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


# ── a frame to look at ──────────────────────────────────────────────────
_KINDS: dict[str, tuple[type, ...]] = {  # type shown above a column: types of its values; the first match counts
    "yes or no": (bool,),
    "whole number": (int,),
    "amount": (Decimal,),
    "number": (float,),
    "time": (dt.datetime,),
    "date": (dt.date,),
    "text": (str,),
}


def show(frame: IntoFrame, rows: int = 5) -> pd.DataFrame:
    """Return the first rows of a frame as a table to look at, with the type of each column under its name.

    The frame is any that narwhals supports, eager or lazy; only the rows shown are computed. All cells are text: calculate
    with the frame itself. Amounts and columns that reach 10,000 have thousands separators, numbers up to two decimals (four
    below 10), dates are ISO, times end at the minute, and missing values are empty.

    Examples
    --------
    >>> import rfm
    >>> rfm.show(rfm.example("customer_rfm_gold"), 2)
     CustomerID MaxInvoiceDate      Recency    Frequency Monetary
           text           date whole number whole number   amount
          12348     2025-10-23            0            1    37.20
          12352     2025-10-16            7            2    40.95
    """
    table: Any = nw.from_native(frame).lazy().head(rows).collect()
    cells = {name: [_plain(value) for value in table[name].to_list()] for name in table.columns}
    heads = [(name, _kind(values)) for name, values in cells.items()]
    texts = [[_text(value, _forms(values)) for value in values] for values in cells.values()]
    shown = pd.DataFrame(dict(enumerate(texts)), index=[""] * len(table), dtype=object)
    return shown.set_axis(pd.MultiIndex.from_tuples(heads), axis=1) if heads else shown


def _plain(value: Any) -> Any:
    """Return a Python value: None for missing ones, a date for midnight without a time zone."""
    value = value.item() if hasattr(value, "item") else value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    midnight = isinstance(value, dt.datetime) and value.tzinfo is None and value.time() == dt.time.min
    return value.date() if midnight else value


def _kind(values: list[Any]) -> str:
    """Return the type of a column in words; empty if it has no values."""
    there = [value for value in values if value is not None]
    fitting = (kind for kind, types in _KINDS.items() if there and all(isinstance(value, types) for value in there))
    return next(fitting, "")


def _forms(values: list[Any]) -> dict[type, str]:
    """Return the format of each type of number in a column: same separators, same and fewest decimals."""
    numbers = [value for value in values if isinstance(value, int | float)]
    largest = max(map(abs, numbers), default=0)
    most = 2 if largest >= 10 else 4
    digits = next(n for n in range(most + 1) if all(round(value, n) == round(value, most) for value in numbers))
    # whole numbers below 10,000 get no separators, because they can be years
    return {int: "," if largest >= 10_000 else "", Decimal: ",", float: f",.{digits}f"}


def _text(value: Any, forms: dict[type, str]) -> str:
    """Return one value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return format(value, forms.get(type(value), ""))


# ── text that is safe in a spreadsheet ──────────────────────────────────
# Where a spreadsheet would run text as a formula: at the start, and after a sign at which it may split the text. Apostrophes
# in front are part of the match, so that `as_it_was` takes away exactly the one that `harmless` has added.
_RISKY = "(?:^|(?<=[;\t\r\n]))%s(?='*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
_FORMULA, _ESCAPED = re.compile(_RISKY % ""), re.compile(_RISKY % "'")


def harmless(value: Any) -> Any:
    """Return text with an apostrophe before each place where it would be run as a formula; None for anything else."""
    return _FORMULA.sub("'", value) if isinstance(value, str) else None


def as_it_was(text: str | None) -> str | None:
    """Return text without the apostrophes of `harmless`."""
    return text and _ESCAPED.sub("", text)


def escape_formulas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose text columns are `harmless`; numbers stay numbers."""
    texts = [name for name, kind in rows.dtypes.items() if str(kind) == "object" or "str" in str(kind)]
    return rows.assign(**{name: [harmless(value) for value in rows[name]] for name in texts})
