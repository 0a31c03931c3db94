"""A large file fetched from the web, once: a download that broke off goes on where it stopped.

The sheets of a workbook, or the parts of a CSV, as text by day.

The public archive as daily files: the workbook of Online Retail II (Chen 2012), or its CSV.

Trading day *i*, in the order of dates, becomes the calendar day ``start`` + *i*; times of day fall away. The two
sheets of the workbook overlap by some days, which its usual CSV holds twice: such a day is taken once.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from operator import itemgetter
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit
from zipfile import BadZipFile, ZipFile

from rfm.datasets.sample import HEADER
from rfm.errors import InputError, SettingsError, friendly_io_errors, unknown

# ── download ────────────────────────────────────────────────────────────
PATIENCE = 30  # seconds without a byte
PIECE = 1 << 20  # bytes
COMPLETE = 416  # the answer to a range that begins at the end of the file


def download(url: str, folder: str | Path, sha256: str = "") -> tuple[Path, str]:
    """Fetch a file unless it is there, and tell its checksum."""
    target = Path(folder) / (PurePosixPath(unquote(urlsplit(url).path)).name or "archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        part = target.with_name(target.name + ".part")
        _complete(url, part)
        _check(url, part, sha256)
        part.replace(target)
    return target, _check(str(target), target, sha256)


def _check(said: str, file: Path, sha256: str) -> str:
    """Return the checksum of a file; remove a file that has another than it must have."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if sha256 and found != sha256:
        file.unlink()
        remedy = "run again, and if that does not help, see whether the archive has changed"
        raise InputError(f"{said}: sha256 is {found}, not {sha256} as [archive] in rfm.toml says; it was removed: {remedy}")
    return found


def _complete(url: str, part: Path) -> None:
    """Fetch what is missing of a file."""
    had = part.stat().st_size if part.exists() else 0
    try:
        with _ask(url, had) as answer:
            goes_on = answer.status == http.client.PARTIAL_CONTENT and _starts(answer) == had
            with part.open("ab" if goes_on else "wb") as file:
                missing = _copy(answer, file)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != COMPLETE or not had:
            raise InputError(f"{url}: the server answers {error.code} {error.reason}; see `url` under [archive]") from None
        if not str(error.headers.get("Content-Range", "")).endswith(f"/{had}"):  # else all was there already
            part.unlink()
            _complete(url, part)
        return
    except (OSError, http.client.HTTPException) as error:
        raise InputError(_broken(url, part, str(getattr(error, "reason", None) or error or type(error).__name__))) from None
    if missing:
        raise InputError(_broken(url, part, f"{missing:,} bytes are missing"))


def _ask(url: str, start: int) -> Any:
    """Return the answer of a server that is asked for a file from a byte on."""
    headers = {"User-Agent": "rfm"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE)


def _starts(answer: Any) -> int | None:
    """Return the byte that a part of a file begins with."""
    found = re.match(r"bytes ([0-9]+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _copy(answer: Any, file: BinaryIO) -> int:
    """Write an answer to a file; return the bytes that were announced and did not come."""
    announced, come = int(answer.headers.get("Content-Length") or 0), 0
    while piece := answer.read(PIECE):
        come += file.write(piece)
    return max(announced - come, 0)


def _broken(url: str, part: Path, reason: str) -> str:
    """Say that a download broke off, and what is there."""
    had = part.stat().st_size if part.exists() else 0
    kept = f" after {had / 1e6:,.1f} MB; run again, it goes on from there" if had else ""
    byhand = "or fetch the file by another way and name it: `rfm prepare FILE`"
    return f"{url}: cannot be fetched ({reason}){kept or '; see whether this computer is online and run again'}, {byhand}"


# ── workbook ────────────────────────────────────────────────────────────
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
    """Yield the parts of a workbook or CSV, one in memory at a time."""
    with friendly_io_errors(f"{source}: cannot be read", REMEDY):
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


# ── archive ────────────────────────────────────────────────────────────
START = dt.date(2025, 6, 26)
FILES = "*_transactions.csv*"


class ArchiveReport(NamedTuple):
    """What `prepare` wrote: counts and days.

    ``repeated`` counts lines of days that were there already; ``differing`` are those days of which a later sheet
    holds other lines; ``others`` counts daily files in the folder that are not of this archive.
    """

    files: int
    lines: int
    first_day: dt.date
    last_day: dt.date
    repeated: int
    differing: list[dt.date]
    others: int


def prepare(source: str | Path, folder: str, *, start: dt.date = START, sheets: Sequence[str] = ()) -> ArchiveReport:
    """Write the archive's trading days as daily files.

    One sheet at a time is held in memory, and the text of all days. Files of the same name are replaced, each
    whole or not at all; others are left alone.
    """
    if "://" in folder:
        raise SettingsError(f"{folder}: daily files are made in a folder; send them on with `rfm upload`")
    days, repeated, differing = _joined(str(source), parts(Path(source), sheets))
    if not days:
        raise InputError(f"{source}: holds no line below its header")
    dated = {start + dt.timedelta(days=i): days[day] for i, day in enumerate(sorted(days))}
    _write(Path(folder), dated)
    others = len(list(Path(folder).glob(FILES))) - len(dated)
    lines = sum(text.count(LINE_END) for text in days.values())
    return ArchiveReport(len(days), lines, min(dated), max(dated), repeated, differing, others)


def _joined(source: str, found: Iterable[Part]) -> tuple[dict[dt.date, bytes], int, list[dt.date]]:
    """Put parts together, each day from the first that has it; return also the lines left out, and days that differ."""
    days: dict[dt.date, bytes] = {}
    repeated, differing = 0, []
    for part in found:
        for day in part.days.keys() & days.keys():
            repeated += part.days[day].count(LINE_END)
            if sorted(part.days[day].splitlines()) != sorted(days[day].splitlines()):
                differing.append(day)
        if differing and not part.sheet:
            raise InputError(f"{source}: {min(differing)} comes twice, with different lines; sort the file by InvoiceDate")
        days = {**part.days, **days}
    return days, repeated, sorted(differing)


def _write(folder: Path, days: Mapping[dt.date, bytes]) -> None:
    """Write each day under a temporary name, then give it its own."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder}: no folder can be made there ({error.strerror}); name another") from None
    for day, text in days.items():
        path = folder / f"{day}_transactions.csv"
        part = path.with_name(path.name + ".part")
        part.write_bytes(HEADER.encode() + text.replace(LINE_END, f"{day}\n".encode()))
        part.replace(path)
