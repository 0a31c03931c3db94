"""A frame as people read it in a notebook: every cell a text, every column with its type."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pandas as pd
from narwhals.typing import IntoFrame

if TYPE_CHECKING:
    import pandas as pd


LONG = 10_000  # a column that reaches it has its thousands parted, so that years stay as they are
SMALL = 10  # a column of numbers below it has up to four decimals, else up to two
KINDS: dict[str, tuple[type, ...]] = {  # what stands over a column: the values that it is said of; the first that fits
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

    Thousands are parted in amounts and in columns that reach 10,000, numbers have up to two decimals (four where all are small),
    dates are ISO, times are given to the minute, and what is missing is left empty.

    Parameters
    ----------
    frame
        Any frame that narwhals knows, eager or lazy: pandas, Polars, a table of the lake.
    rows
        How many rows are shown, and computed.

    Returns
    -------
    pandas.DataFrame
        All cells are text. To calculate, take the frame itself.

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
    """Return a value of Python: nothing for every kind of missing, a date for a midnight without a zone."""
    value = value.item() if hasattr(value, "item") else value
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    midnight = isinstance(value, dt.datetime) and value.tzinfo is None and value.time() == dt.time.min
    return value.date() if midnight else value


def _kind(values: list[Any]) -> str:
    """Name the type of a column by its values; empty if there are none."""
    there = [value for value in values if value is not None]
    fitting = (kind for kind, types in KINDS.items() if there and all(isinstance(value, types) for value in there))
    return next(fitting, "")


def _forms(values: list[Any]) -> dict[type, str]:
    """Return how the numbers of a column are written, all alike: with their thousands parted, and as few decimals as will do."""
    numbers = [value for value in values if isinstance(value, int | float)]
    largest = max(map(abs, numbers), default=0)
    most = 2 if largest >= SMALL else 4
    digits = next(n for n in range(most + 1) if all(round(value, n) == round(value, most) for value in numbers))
    return {int: "," if largest >= LONG else "", Decimal: ",", float: f",.{digits}f"}


def _text(value: Any, forms: dict[type, str]) -> str:
    """Write one value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return format(value, forms.get(type(value), ""))


RISKY = "(?:^|(?<=[;\t\r\n]))%s(?='*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
"""Where a text would be run as a formula: at its start, and where a spreadsheet may part it. Apostrophes of the text's own
count as part of it, so that the one that `harmless` puts there can be taken away again."""


RUN, TAMED = re.compile(RISKY % ""), re.compile(RISKY % "'")


def escape_formulas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with an apostrophe before each text that a spreadsheet would run as a formula; numbers stay numbers."""
    texts = [name for name, kind in rows.dtypes.items() if str(kind) == "object" or "str" in str(kind)]
    return rows.assign(**{name: [harmless(value) for value in rows[name]] for name in texts})


def harmless(value: Any) -> Any:
    """Return a text with an apostrophe before each place where a spreadsheet would run it as a formula; a missing one is None.

    `as_it_was` takes the apostrophes away again.
    """
    return RUN.sub("'", value) if isinstance(value, str) else None


def as_it_was(text: str | None) -> str | None:
    """Return a text without the apostrophes that `harmless` put into it."""
    return text and TAMED.sub("", text)


SIZES = ("B", "kB", "MB", "GB", "TB")


def file_size(count: int | None) -> str:
    """Return bytes in words of four characters or so."""
    if count is None:
        return "-"
    value, unit = float(count), 0
    while value >= 1000 and unit < len(SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {SIZES[unit]}" if unit else f"{count} B"
