"""Data to try rfm with: the tables of a small invented shop in memory, and the public archive Online Retail II (Chen 2012).

The archive's trading day *i* becomes the calendar day ``start`` + *i*, without times. The two sheets of its workbook overlap by
some days: each is taken once.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from io import BytesIO, StringIO
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from zipfile import BadZipFile, ZipFile

import pandas as pd

from rfm.contracts import TABLES, Table
from rfm.datasets.sample import HEADER, make_sample
from rfm.dialect import Section
from rfm.errors import InputError, SettingsError, friendly_io_errors, unknown
from rfm.lake.delta import scratch
from rfm.lake.tables import Lake
from rfm.pipeline.backfill import backfill
from rfm.settings import Settings, load_settings

# ── the sample shop in memory ─────────────────────────────────────────────────────
RUN_DATES = (dt.date(2025, 10, 22), dt.date(2025, 10, 23))


def example(table: str) -> pd.DataFrame:
    """Return a table of a small invented shop; no file is kept.

    The table is one of `rfm.TABLES`, with Arrow types. The shop sold to 400 customers for 30 days and was segmented on the last
    two, 2025-10-22 and 2025-10-23. The first call makes the tables, which takes some seconds; every call returns a new frame.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_gold")
    >>> best = gold.sort_values("Monetary", ascending=False).head(2)
    >>> best[["CustomerID", "Recency", "Frequency", "Monetary"]]
        CustomerID  Recency  Frequency  Monetary
    398      13543        1          7   3705.66
    158      12822        0         36   2833.25
    """
    if table not in _tables():
        raise InputError(unknown("table", [table], _tables()))
    return _tables()[table].copy()


@cache
def _tables() -> dict[str, pd.DataFrame]:
    """Create the shop's files, run two days on them with the default settings, and keep the tables in memory."""
    with scratch("rfm-example-") as folder:
        make_sample(Path(folder, "landing"), days=30, end=RUN_DATES[-1], customers=400, lines=4_000)
        # the default of every section, whatever rfm.toml says
        sections = {name: one.default for name, one in Settings.model_fields.items() if isinstance(one.default, Section)}
        settings = load_settings(landing=f"{folder}/landing", lake=f"{folder}/lake", engine="polars", **sections)
        list(backfill(settings, *RUN_DATES))
        lake = Lake(settings.lake)
        return {name: _sorted(lake.rows(name), TABLES[name]) for name in lake.state()}


def _sorted(rows: Any, table: Table) -> pd.DataFrame:
    """Return the rows of a table in the same order each time."""
    # A table that one run writes as a whole is in order already
    whole = table.key and not any(column.type == "DATE" for column in table.columns if column.name in table.key)
    ordered = rows if whole else rows.sort(list(table.key) or rows.columns)
    return ordered.to_pandas(use_pyarrow_extension_array=True)


# ── the archive: download ─────────────────────────────────────────────────────────
def download(url: str, folder: str | Path, sha256: str = "") -> tuple[Path, str]:
    """Download a file unless it is there, resuming an interrupted download; return its path and its checksum."""
    target = Path(folder) / (PurePosixPath(unquote(urlsplit(url).path)).name or "archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        part = target.with_name(target.name + ".part")
        _resume(url, part)
        _checksum(url, part, sha256)
        part.replace(target)
    return target, _checksum(str(target), target, sha256)


def _checksum(source: str, file: Path, sha256: str) -> str:
    """Return the checksum of a file; remove the file if another one was expected."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if sha256 and found != sha256:
        file.unlink()
        remedy = "run again; if that does not help, check whether the archive has changed"
        raise InputError(f"{source}: sha256 is {found}, not {sha256} as set under [archive] in rfm.toml; file removed: {remedy}")
    return found


def _resume(url: str, part: Path) -> None:
    """Fetch what is missing of a file; start again if the server has another one."""
    had = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "rfm"} | ({"Range": f"bytes={had}-"} if had else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            rest = str(answer.headers.get("Content-Range", "")).startswith(f"bytes {had}-")
            resumes = answer.status == HTTPStatus.PARTIAL_CONTENT and rest
            with part.open("ab" if resumes else "wb") as file:
                missing = int(answer.headers.get("Content-Length") or 0)
                while piece := answer.read(1 << 20):
                    missing -= file.write(piece)
        if missing > 0:
            raise OSError(f"{missing:,} bytes are missing")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not had:
            raise InputError(f"{url}: the server answers {error.code} {error.reason}; check `url` under [archive]") from None
        # The part is either the whole file already, or of another file
        if not str(error.headers.get("Content-Range", "")).endswith(f"/{had}"):
            part.unlink()
            _resume(url, part)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        had = part.stat().st_size if part.exists() else 0
        kept = f" after {had / 1e6:,.1f} MB; run again to resume" if had else "; check the internet connection and run again"
        said = f"{url}: cannot be downloaded ({reason}){kept}, or name a copy of the file: `rfm prepare FILE`"
        raise InputError(said) from None


# ── the archive: columns of a daily file ──────────────────────────────────────────
def _text(value: Any) -> str:
    """Return a text unchanged, and a number without a needless ".0": a sheet holds invoice 489434 as 489434.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: Any) -> Any:
    """Return a number as float, and anything else unchanged: the run reports it."""
    try:
        return float(value)
    except ValueError:
        return value


ARCHIVE_COLUMNS: dict[str, Callable[[Any], str]] = {  # of a daily file, before its date: how a value is written
    "Invoice": _text,
    "StockCode": _text,
    "Description": _text,
    "Quantity": lambda value: _text(_number(value)),
    "Price": lambda value: str(_number(value)),  # at least one decimal
    "Customer ID": lambda value: str(_number(value)),
    "Country": _text,
}
FORMS = tuple(ARCHIVE_COLUMNS.values())


# ── the archive: workbook or CSV ──────────────────────────────────────────────────
FORMER = {"InvoiceNo": "Invoice", "UnitPrice": "Price", "CustomerID": "Customer ID"}  # in the archive's first edition
UNDATED = "\0"  # in place of the date, which is written at the end
LINE_END = b"\0\r\n"  # of such a line; with \r every Python version quotes the same fields
REMEDY = "name the workbook online_retail_II.xlsx or its CSV"


class Part(NamedTuple):
    """A sheet, or lines of a CSV with rising dates: the text of each day, without the date."""

    sheet: str
    days: dict[dt.date, bytes]


def _parts(source: Path, sheets: Sequence[str] = ()) -> Iterator[Part]:
    """Yield the parts of a workbook or CSV, one in memory at a time."""
    with friendly_io_errors(f"{source}: cannot be read", REMEDY):
        packed = source.open("rb").read(2) == b"PK"
    if packed:
        yield from _sheets(source, sheets)
    elif sheets:
        raise SettingsError(f"{source}: is not a workbook, so it has no sheet {sheets[0]!r}; omit --sheet")
    else:
        yield from _blocks(source)


def _sheets(source: Path, wanted: Sequence[str]) -> Iterator[Part]:
    """Yield the sheets of a workbook, or of the workbook in a zip archive."""
    import python_calamine

    try:
        with ZipFile(source) as packed:
            names = packed.namelist()
            # a zip archive with such a file is a workbook itself
            inner = "" if "[Content_Types].xml" in names else next(one for one in names if one.endswith(".xlsx"))
            book = python_calamine.CalamineWorkbook.from_object(BytesIO(packed.read(inner)) if inner else str(source))
    except (python_calamine.CalamineError, BadZipFile, StopIteration):
        raise InputError(f"{source}: is not a readable workbook; download it again, or {REMEDY}") from None
    if strange := [name for name in wanted if name not in book.sheet_names]:
        raise SettingsError(f"{source}: " + unknown("sheet", strange, book.sheet_names))
    for name in wanted or book.sheet_names:
        lines = enumerate(book.get_sheet_by_name(name).iter_rows(), 1)
        yield from (Part(name, days) for days in _by_day(f"{source}, sheet {name!r}", lines, starts_again=False))


def _blocks(source: Path) -> Iterator[Part]:
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = ((reader.line_num, row) for row in reader if row)
            yield from (Part("", days) for days in _by_day(str(source), lines, starts_again=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source}: is not a CSV in UTF-8 ({error}); {REMEDY}") from None


def _by_day(place: str, lines: Iterator[tuple[int, Sequence[Any]]], starts_again: bool) -> Iterator[dict[dt.date, bytes]]:
    """Yield the text of each day; with ``starts_again``, begin anew where a date is before the one above."""
    header = [str(name).strip() for name in next(lines, (0, ()))[1]]
    pick, when = _columns(place, header)
    days: dict[dt.date, StringIO] = {}
    last, write = dt.date.min, csv.writer(StringIO()).writerow
    for number, row in lines:
        if not any(row):
            continue
        if len(row) < len(header):
            raise InputError(f"{place}, line {number}: has {len(row)} of {len(header)} fields; correct the line")
        day = _day(place, number, row[when])
        if day != last:
            if starts_again and day < last:
                yield _encoded(days)
                days = {}
            page = days.setdefault(day, StringIO(newline=""))
            write, last = csv.writer(page, lineterminator="\r\n").writerow, day
        write([*(form(value) for form, value in zip(FORMS, pick(row), strict=True)), UNDATED])
    yield _encoded(days)


def _encoded(days: dict[dt.date, StringIO]) -> dict[dt.date, bytes]:
    """Return the text of each day as bytes, which take the least memory."""
    return {day: page.getvalue().encode() for day, page in days.items()}


def _columns(place: str, header: list[str]) -> tuple[Callable[[Sequence[Any]], tuple[Any, ...]], int]:
    found = {FORMER.get(name, name): i for i, name in enumerate(header)}
    if missing := [name for name in (*ARCHIVE_COLUMNS, "InvoiceDate") if name not in found]:
        raise InputError(f"{place}: has no column {', '.join(missing)}, only {', '.join(header) or 'empty lines'}; {REMEDY}")
    return itemgetter(*(found[name] for name in ARCHIVE_COLUMNS)), found["InvoiceDate"]


def _day(place: str, number: int, value: Any) -> dt.date:
    try:
        return value.date() if isinstance(value, dt.datetime) else _date(str(value))
    except ValueError:
        raise InputError(
            f"{place}, line {number}: InvoiceDate is not a date like 2009-12-01 07:45:00; correct the column"
        ) from None


@cache
def _date(text: str) -> dt.date:
    return dt.datetime.fromisoformat(text).date()


# ── the archive: daily files ──────────────────────────────────────────────────────
START = dt.date(2025, 6, 26)
FILES = "*_transactions.csv*"


class ArchiveReport(NamedTuple):
    """What `prepare` wrote."""

    files: int
    lines: int
    first_day: dt.date
    last_day: dt.date
    repeated: int  # lines left out, because an earlier sheet has their day
    differing: list[dt.date]  # days of which a later sheet has other lines
    others: int  # daily files in the folder that are not from this archive


def prepare(source: str | Path, folder: str, *, start: dt.date = START, sheets: Sequence[str] = ()) -> ArchiveReport:
    """Write the archive's trading days as daily files; files of the same name are replaced, others are kept."""
    if "://" in folder:
        raise SettingsError(f"{folder}: daily files can only be written to a local folder; upload them with `rfm upload`")
    days, repeated, differing = _join(str(source), _parts(Path(source), sheets))
    if not days:
        raise InputError(f"{source}: has no line below its header; {REMEDY}")
    dated = {start + dt.timedelta(days=i): days[day] for i, day in enumerate(sorted(days))}
    _write_days(Path(folder), dated)
    others = len(list(Path(folder).glob(FILES))) - len(dated)
    lines = sum(text.count(LINE_END) for text in days.values())
    return ArchiveReport(len(days), lines, min(dated), max(dated), repeated, differing, others)


def _join(source: str, found: Iterable[Part]) -> tuple[dict[dt.date, bytes], int, list[dt.date]]:
    """Join parts, each day from the first that has it; return also the lines left out, and the days that differ."""
    days: dict[dt.date, bytes] = {}
    repeated, differing = 0, []
    for part in found:
        for day in part.days.keys() & days.keys():
            repeated += part.days[day].count(LINE_END)
            if sorted(part.days[day].splitlines()) != sorted(days[day].splitlines()):
                differing.append(day)
        if differing and not part.sheet:
            raise InputError(f"{source}: {min(differing)} occurs twice, with different lines; sort the file by InvoiceDate")
        days = {**part.days, **days}
    return days, repeated, sorted(differing)


def _write_days(folder: Path, days: Mapping[dt.date, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder}: the folder cannot be created ({error.strerror}); name another") from None
    for day, text in days.items():
        path = folder / f"{day}_transactions.csv"
        part = path.with_name(path.name + ".part")
        part.write_bytes(HEADER.encode() + text.replace(LINE_END, f"{day}\n".encode()))
        part.replace(path)
