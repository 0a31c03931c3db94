"""The sheets of a workbook, or the parts of a CSV, as text by day."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

from rfm.errors import reaching, unknown
from rfm.schema import InputError, SettingsError

FORMER = {"InvoiceNo": "Invoice", "UnitPrice": "Price", "CustomerID": "Customer ID"}  # in the archive's first edition
UNDATED = "\0"  # where the date is still to come
LINE_END = b"\0\r\n"  # of such a line; with the \r every Python quotes the same fields
CONTENTS = "[Content_Types].xml"  # what makes a zip archive a workbook
REMEDY = "name the workbook online_retail_II.xlsx or its CSV"


class Part(NamedTuple):
    """A sheet, or the lines of a CSV up to where its dates fall back: the text of each day, without the date."""

    sheet: str
    days: dict[dt.date, bytes]


def parts(source: Path, sheets: Sequence[str] = ()) -> Iterator[Part]:
    """Yield the parts of a workbook or CSV, one in memory at a time.

    Parameters
    ----------
    source
        Workbook, zip archive with a workbook in it, or CSV.
    sheets
        Names of sheets; all if none is given.

    Raises
    ------
    InputError
        If the source cannot be read, misses a column or holds an odd date.
    SettingsError
        If there is no such sheet.
    """
    with reaching(f"{source}: cannot be read", REMEDY):
        packed = source.open("rb").read(2) == b"PK"
    if packed:
        yield from _sheets(source, sheets)
    elif sheets:
        raise SettingsError(f"{source}: is no workbook, so it has no sheet {sheets[0]!r}; leave --sheet out")
    else:
        yield from _blocks(source)


def _sheets(source: Path, wanted: Sequence[str]) -> Iterator[Part]:
    """Yield the sheets of a workbook."""
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_object(_workbook(source))
    except (python_calamine.CalamineError, BadZipFile, StopIteration):
        raise InputError(f"{source}: is no workbook that can be read; load it down again, or {REMEDY}") from None
    if strange := [name for name in wanted if name not in book.sheet_names]:
        raise SettingsError(f"{source}: " + unknown("sheet", strange, book.sheet_names))
    for name in wanted or book.sheet_names:
        lines = enumerate(book.get_sheet_by_name(name).iter_rows(), 1)
        yield from (Part(name, days) for days in _by_day(f"{source}, sheet {name!r}", lines, falls_back=False))


def _workbook(source: Path) -> str | BytesIO:
    """Return where a workbook is, or its bytes, taken out of the zip archive that holds it."""
    with ZipFile(source) as packed:
        names = packed.namelist()
        return str(source) if CONTENTS in names else BytesIO(packed.read(next(one for one in names if one.endswith(".xlsx"))))


def _blocks(source: Path) -> Iterator[Part]:
    """Yield the blocks of a CSV in which dates rise."""
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = ((reader.line_num, row) for row in reader if row)
            yield from (Part("", days) for days in _by_day(str(source), lines, falls_back=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source}: is no CSV in UTF-8 ({error}); {REMEDY}") from None


def _by_day(place: str, lines: Iterator[tuple[int, Sequence[Any]]], falls_back: bool) -> Iterator[dict[dt.date, bytes]]:
    """Yield the text of each day; with ``falls_back`` anew where a date is before the one above."""
    header = [str(name).strip() for name in next(lines, (0, ()))[1]]
    pick, when = _columns(place, header)
    days: dict[dt.date, tuple[list[str], Any]] = {}
    last, write = dt.date.min, _page()[1]
    for number, row in lines:
        if not any(row):
            continue
        if len(row) < len(header):
            raise InputError(f"{place}, line {number}: has {len(row)} of {len(header)} fields; put the line right")
        day = _day(place, number, row[when])
        if day != last:
            if falls_back and day < last:
                yield _encoded(days)
                days = {}
            write, last = days.setdefault(day, _page())[1], day
        write([*(form(value) for form, value in zip(FORMS, pick(row), strict=True)), UNDATED])
    yield _encoded(days)


def _page() -> tuple[list[str], Any]:
    """Return an empty list of lines, and what writes a row into it."""
    lines: list[str] = []
    return lines, csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n").writerow


def _encoded(days: dict[dt.date, tuple[list[str], Any]]) -> dict[dt.date, bytes]:
    """Return the text of each day, a sixth of what its lines take."""
    return {day: "".join(lines).encode() for day, (lines, _) in days.items()}


def _columns(place: str, header: list[str]) -> tuple[Callable[[Sequence[Any]], tuple[Any, ...]], int]:
    """Return what picks the columns in the order of a daily file, and where the date stands."""
    found = {FORMER.get(name, name): i for i, name in enumerate(header)}
    if missing := [name for name in (*COLUMNS, "InvoiceDate") if name not in found]:
        raise InputError(f"{place}: has no column {', '.join(missing)}, but {', '.join(header) or 'nothing'}; {REMEDY}")
    return itemgetter(*(found[name] for name in COLUMNS)), found["InvoiceDate"]


def _day(place: str, number: int, value: Any) -> dt.date:
    """Return the day of an InvoiceDate."""
    try:
        return value.date() if isinstance(value, dt.datetime) else _parsed(str(value))
    except ValueError:
        said = f"{place}, line {number}: InvoiceDate is {value!r}"
        raise InputError(f"{said}, not a date like 2009-12-01 07:45:00; put the column right") from None


@cache
def _parsed(text: str) -> dt.date:
    """Return the day of a date's text, with or without a time."""
    return dt.datetime.fromisoformat(text).date()


def _text(value: Any) -> str:
    """Return a text as it is, and a number as short as it can be: a sheet holds invoice 489434 as 489434.0."""
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _whole(value: Any) -> str:
    """Return a quantity."""
    return _text(_number(value))


def _decimal(value: Any) -> str:
    """Return a price or a customer's id with the decimals it needs, at least one."""
    return str(_number(value))


def _number(value: Any) -> Any:
    """Return what is a number as one, and anything else as it is: the run says what is wrong with it."""
    try:
        return float(value)
    except ValueError:
        return value


COLUMNS = {  # of a daily file, before its date: how a value is written
    "Invoice": _text,
    "StockCode": _text,
    "Description": _text,
    "Quantity": _whole,
    "Price": _decimal,
    "Customer ID": _decimal,
    "Country": _text,
}
FORMS = tuple(COLUMNS.values())
