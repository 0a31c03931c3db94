"""The customers of a run as files to take away: CSV and Excel for people, a list a segment, Parquet for machines."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfm.run.template.filters import slug

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "exports"  # of a run, beside its pages
ALL, ENTERED = "customers", "entered-risk"  # the lists that are no segment's
MOST_IN_EXCEL = 100_000  # rows; a longer list is for CSV and Parquet
RISKY = "(?:^|(?<=[;\t\r\n]))%s(?='*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])"
"""Where a text would be run as a formula: at its start, and where a spreadsheet may part it. Apostrophes of the text's own
count as part of it, so that the one that `harmless` puts there can be taken away again."""
RUN, TAMED = re.compile(RISKY % ""), re.compile(RISKY % "'")
COLUMNS: dict[str, tuple[str, int, str]] = {  # of a list: heading, width in Excel, form of its numbers
    "CustomerID": ("Customer", 14, ""),
    "Cluster_Description": ("Segment", 26, ""),
    "Tier": ("Tier", 18, ""),
    "Segment_Before": ("Segment in the run before", 26, ""),
    "MaxInvoiceDate": ("Last purchase", 14, "yyyy-mm-dd"),
    "Recency": ("Days since", 11, "0"),
    "Frequency": ("Orders", 9, "#,##0"),
    "Monetary": ("Spent", 13, "#,##0.00"),
    "ValueTier": ("Value", 11, ""),
    "Engagement": ("Engagement", 18, ""),
    "RFMScore": ("RFM score", 11, ""),
    "ScoreName": ("By score", 20, ""),
    "Why": ("Why here", 60, ""),
}


def lists(customers: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Return each list with its name: all customers, those who entered a risk segment, and one a segment.

    Parameters
    ----------
    customers
        One row a customer: the columns of `COLUMNS`, and Entered_Risk, whether the customer came into a risk segment
        since the run before.
    """
    yield ALL, customers
    yield ENTERED, customers[customers["Entered_Risk"].astype(bool)]
    for segment, rows in customers.groupby("Cluster_Description", sort=True):
        yield slug(str(segment)), rows


def write(customers: pd.DataFrame, folder: Path, day: dt.date) -> None:
    """Write the lists as CSV and Excel, and all customers as Parquet; the same customers give the same bytes.

    Parameters
    ----------
    customers
        As for `lists`.
    folder
        Where; made if missing.
    day
        The run date, which the workbooks carry as the day they were made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    customers.to_parquet(folder / f"{ALL}.parquet", index=False)
    for name, rows in lists(customers):
        listed = tamed(rows[list(COLUMNS)])
        headed = listed.rename(columns={column: heading for column, (heading, _, _) in COLUMNS.items()})
        headed.to_csv(folder / f"{name}.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
        if len(rows) <= MOST_IN_EXCEL:
            _workbook(listed, folder / f"{name}.xlsx", day)


def rewritten(parquet: bytes, folder: Path, day: dt.date, key: bytes) -> None:
    """Write the lists of a run again with each customer id as a keyed hash.

    Parameters
    ----------
    parquet
        The file of all customers.
    folder, day
        As for `write`.
    key
        Of the hash.
    """
    import io

    import pandas as pd

    customers = pd.read_parquet(io.BytesIO(parquet), dtype_backend="pyarrow")
    hashed = customers["CustomerID"].map(lambda id: disguised(str(id), key))
    write(customers.assign(CustomerID=hashed), folder, day)


def disguised(customer: str, key: bytes) -> str:
    """Return a customer id as a keyed hash (HMAC-SHA256, 64 bits of it); it starts with a letter, so it stays text everywhere.

    Parameters
    ----------
    customer
        The id.
    key
        Who has it can tell which customer is meant; nobody else can.
    """
    return "c" + hmac.new(key, customer.encode(), hashlib.sha256).hexdigest()[:16]


def tamed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with an apostrophe before each text that a spreadsheet would run as a formula; numbers stay numbers.

    Parameters
    ----------
    rows
        Text, numbers and days.
    """
    texts = [name for name, kind in rows.dtypes.items() if str(kind) == "object" or "str" in str(kind)]
    return rows.assign(**{name: [harmless(value) for value in rows[name]] for name in texts})


def harmless(value: Any) -> Any:
    """Return a text with an apostrophe before each place where a spreadsheet would run it as a formula; a missing one is None.

    `as_it_was` takes the apostrophes away again.

    Parameters
    ----------
    value
        Text; anything else counts as missing.

    Examples
    --------
    >>> harmless("=1+1"), harmless("box;@SUM(1)"), harmless("a=b")
    ("'=1+1", "box;'@SUM(1)", 'a=b')
    """
    return RUN.sub("'", value) if isinstance(value, str) else None


def as_it_was(text: str | None) -> str | None:
    """Return a text without the apostrophes that `harmless` put into it."""
    return text and TAMED.sub("", text)


def downloads(name: str, label: str, count: int) -> list[dict[str, str]]:
    """Return what a page offers to take away of a list: address and label.

    Parameters
    ----------
    name
        Of the list.
    label
        What a person calls it; empty where that is clear.
    count
        Its rows.
    """
    kinds = (
        {"csv": "CSV"} | ({"xlsx": "Excel"} if count <= MOST_IN_EXCEL else {}) | ({"parquet": "Parquet"} if name == ALL else {})
    )
    return [{"href": f"{FOLDER}/{name}.{kind}", "label": f"{label}, {word}" if label else word} for kind, word in kinds.items()]


def _workbook(rows: pd.DataFrame, path: Path, day: dt.date) -> None:
    """Write a list as an Excel workbook of constants: header in sight, a width and a form for each column."""
    import xlsxwriter

    with xlsxwriter.Workbook(path, {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        book.set_properties({"title": f"Customers, run of {day}", "created": dt.datetime.combine(day, dt.time())})
        sheet = book.add_worksheet("Customers")
        sheet.freeze_panes(1, 1)
        bold = book.add_format({"bold": True, "bottom": 1})
        for at, (heading, width, form) in enumerate(COLUMNS.values()):
            sheet.set_column(at, at, width, book.add_format({"num_format": form}) if form else None)
            sheet.write_string(0, at, heading, bold)
        sheet.autofilter(0, 0, len(rows), len(COLUMNS) - 1)
        days = book.add_format({"num_format": "yyyy-mm-dd"})
        for line, row in enumerate(zip(*(rows[name].tolist() for name in COLUMNS), strict=True), start=1):
            for at, value in enumerate(row):
                if isinstance(value, str):
                    sheet.write_string(line, at, value)
                elif isinstance(value, dt.date):
                    sheet.write_datetime(line, at, value, days)
                elif value is not None and value == value:  # noqa: PLR0124  # not NaN
                    sheet.write_number(line, at, float(value))
