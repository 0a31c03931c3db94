"""Packed tables: the sheets of workbooks, and the files in ZIP archives; what is larger than it can be is refused unread."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

from rfm.dialect import Columns, plain_name
from rfm.errors import InputError, first_line
from rfm.landing.header import (
    HEAD,
    SEND_AGAIN,
    VALUE,
    Rows,
    check_header,
    find_header,
    join_headers,
    kind_above,
    line_apart,
    plain_names,
    required,
    set_apart,
    text_rows,
    with_places,
)
from rfm.words import N_, _

PIECE, ROWS = 8 << 20, 50_000  # bytes, and rows of a workbook or a Parquet file, that are worked on at a time
# What the libraries raise for bytes that they cannot read; OSError for a place that is not in them, RuntimeError for a password.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError)
MOST_MEMBERS, MOST_RATIO, SMALL, MOST_BYTES = 20, 200, 1 << 24, 4 << 30  # of an archive: files; how far it may unpack
MOST_CELLS, MOST_REPEATED = 50_000_000, 1000  # of a sheet: cells of the rectangle that holds all; how often a value repeats
FEW_VALUES, SMALL_SHEET = 5, 5  # values in a sheet that has no table; how often a sheet is in another that matters more
CELL = re.compile(rb"""<(?:\w+:)?c\s[^<>]*?\br\s*=\s*["']([A-Za-z]{1,9})([0-9]{1,12})["']""")  # in XLSX
BINARY = b"\x81\x01"  # how a sheet of an XLSB workbook begins
ROW_HEADER, CELLS, DIMENSION = 0, range(1, 12), 148  # its records: a row, cells, and the rectangle of all
TAG = re.compile(rb"<table:(table-row|table-cell|covered-table-cell|table)(?=[\s/>])([^>]*)>")  # in ODS
REPEATED = re.compile(rb"""\btable:number-(?:columns|rows)-repeated\s*=\s*["']([0-9]+)""")


class Sheet(NamedTuple):
    """A sheet: its name, how many cells it has, and its rows that are not empty, as text, with their numbers."""

    name: str
    size: int
    rows: Callable[[], Iterator[tuple[int, list[str]]]]

    def head(self) -> list[list[str]]:
        """Return the first rows, with a header of two rows in the lower."""
        return join_headers([cells for _, cells in islice(self.rows(), HEAD)])


# ── workbooks ────────────────────────────────────────────────────────
def read_workbook(chunks: Iterator[bytes], name: str, encoding: str) -> Iterator[Sheet]:
    """Yield the sheets of a workbook: XLSX, XLS, XLSB or ODS."""
    import python_calamine

    content = b"".join(chunks)
    packed = "ODS" if ODS in content[:200] else "XLSX"
    kind = packed if content.startswith(b"PK") else "XLS"
    said = N_("{file}: not a sales file but an {kind} workbook that cannot be read ({error})")
    with _readable(said, {"file": name, "kind": kind}, N_("export it as CSV"), python_calamine.CalamineError):
        if content.startswith(b"PK"):
            _check_cells(content, name)
        book = python_calamine.CalamineWorkbook.from_object(io.BytesIO(content))
        sheets = [book.get_sheet_by_name(sheet) for sheet in book.sheet_names]
    for sheet in sheets:
        yield Sheet(sheet.name, sheet.height * sheet.width, partial(_rows_of, sheet))


ODS = b"application/vnd.oasis.opendocument.spreadsheet"


@contextmanager
def _readable(said: str, fields: Mapping[str, str], remedy: str, *more: Any) -> Iterator[None]:
    """Refuse a file that its library cannot read."""
    try:
        yield
    except InputError:
        raise
    except (*DAMAGED, *more) as error:
        raise InputError(f"{_(said).format(error=first_line(error), **fields)}; {_(remedy)}") from None


def _rows_of(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a sheet that are not empty, with their numbers in it."""
    first = 1 + (sheet.start or (0, 0))[0] if sheet.total_height != sheet.height else 1
    for number, row in enumerate(sheet.iter_rows(), first):
        cells = [_cell_text(cell) for cell in row]
        if any(cells):
            yield number, cells


def _cell_text(cell: Any) -> str:
    """Return a cell as text: whole numbers without decimals, dates and times in ISO 8601."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, dt.datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    return str(cell)


def _check_cells(content: bytes, name: str) -> None:
    """Refuse a workbook whose parts are damaged, or that claims more cells than any export has: its reader would make room."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        _check_sizes(book, len(content), name, most=10_000)
        for part in book.infolist():
            with book.open(part) as file:  # a wrong size or checksum is an error here
                rows, columns, repeated = _extent(file, part.filename)
            if rows * columns > MOST_CELLS or repeated > MOST_REPEATED:
                many = N_("{file}: a workbook of more than {n} million cells, or with cells far from its table")
                raise InputError(_(many).format(file=name, n=MOST_CELLS // 1_000_000) + "; " + _("export it as CSV"))


def _extent(file: Any, part: str) -> tuple[int, int, int]:
    """Return rows and columns of the rectangle of all cells in a part of a workbook, and how often a value is repeated."""
    if part == "content.xml":
        return _extent_of_ods(file.read())
    text = file.read(PIECE)
    if text.startswith(BINARY):
        return *_extent_of_records(text + file.read()), 1
    columns, rows = {b"A"}, 1
    while text:
        found = CELL.findall(text)
        columns |= {column.upper() for column, _ in found}
        rows = max(rows, max((int(row) for _, row in found), default=1))
        following = file.read(PIECE)
        text = text[-4000:] + following if following else b""
    return rows, max(map(_column_number, columns)), 1


def _extent_of_records(data: bytes) -> tuple[int, int]:
    """Return rows and columns of a sheet of an XLSB workbook."""
    at, rows, columns = 0, 1, 1
    with suppress(IndexError):  # the end may be cut off, which its reader will say
        while at < len(data):
            kind, size, at = data[at], 0, at + 1
            if kind > 127:
                kind, at = kind & 127 | (data[at] & 127) << 7, at + 1
            for shift in range(0, 28, 7):
                size, at = size | (data[at] & 127) << shift, at + 1
                if data[at - 1] < 128:
                    break
            number = int.from_bytes(data[at : at + 4], "little")
            if kind == ROW_HEADER:
                rows = max(rows, number + 1)
            elif kind in CELLS:
                columns = max(columns, number + 1)
            elif kind == DIMENSION:
                rows = max(rows, int.from_bytes(data[at + 4 : at + 8], "little") + 1)
                columns = max(columns, int.from_bytes(data[at + 12 : at + 16], "little") + 1)
            at += size
    return rows, columns


def _extent_of_ods(text: bytes) -> tuple[int, int, int]:
    """Return rows and columns up to the last value of an ODS workbook, and how often a value is repeated."""
    rows = columns = most = 1
    row = column = down = 0
    for tag, given in TAG.findall(text):
        times = int(found[1]) if (found := REPEATED.search(given)) else 1
        if tag == b"table":
            row = down = 0
        elif tag == b"table-row":
            row, column, down = row + down, 0, times
        else:
            column += times
            if b"value-type" in given or not given.endswith(b"/"):
                rows, columns, most = max(rows, row + down), max(columns, column), max(most, times, down)
    return rows, columns, most


def _column_number(letters: bytes) -> int:
    """Return the number of a column: A is 1, AA is 27."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def main_sheets(sheets: Sequence[Sheet]) -> tuple[list[tuple[Sheet, int]], dict[str, str]]:
    """Return the sheets with the largest table and those with its columns, with the place of their header; and of all, why."""
    heads = {sheet.name: sheet.head() for sheet in sheets}
    places = {name: find_header(head) for name, head in heads.items()}
    tables = [sheet for sheet in sheets if _is_table(heads[sheet.name], places[sheet.name])]
    best = max(tables or sheets, key=lambda sheet: sheet.size, default=None)
    if not best or not heads[best.name]:
        return [], dict.fromkeys(heads, "is empty")
    names = {name: plain_names(head[places[name]]) - {""} if head else set() for name, head in heads.items()}
    wanted = names[best.name]
    kept = [one for one in sheets if one is best or one in tables and 4 * len(wanted - names[one.name]) <= len(wanted)]
    reasons = {one.name: "read" if one in kept else why_not(heads[one.name]) for one in sheets}
    return [(one, places[one.name]) for one in kept], reasons


def _is_table(head: list[list[str]], at: int) -> bool:
    """Return True if rows have a header, and numbers or dates below it."""
    below = [cell for row in head[at + 1 :] for cell in row]
    return sum(map(bool, head[at])) > 1 and any(map(VALUE.search, below)) if head else False


def why_not(head: list[list[str]]) -> str:
    """Return why a sheet is not read."""
    values = sum(bool(VALUE.search(cell)) for row in head for cell in row)
    return "is empty" if not head else "has other columns" if values >= FEW_VALUES else "has no table"


def as_csv(sheets: Sequence[Sheet], reasons: dict[str, str]) -> Iterator[bytes]:
    """Yield the main sheets as CSV text: a line per row of the first; the rows of others below, in the order of its columns."""
    kept, found = main_sheets(sheets)
    reasons |= found
    names: list[str] = []
    for sheet, at in kept:
        header = [plain_name(name) or f"column {place}" for place, name in enumerate(sheet.head()[at], 1)]
        order = [header.index(name) if name in header else None for name in names] if names else list(range(len(header)))
        lines, written, rows = io.StringIO(), 1, sheet.rows()
        writer = csv.writer(lines, lineterminator="\n")
        for number, cells in islice(rows, at + 1 if names else 0, None):
            lines.write("\n" * (0 if names else number - written))
            written = number + 1
            writer.writerow(["" if place is None else cells[place] for place in order])
            if lines.tell() > PIECE:
                yield lines.getvalue().encode("utf-8", "replace")
                lines.seek(0)
                lines.truncate()
        yield lines.getvalue().encode("utf-8", "replace")
        names = names or header


def rows_of_sheets(sheets: Iterator[Sheet], name: str, columns: Columns, notes: list[str]) -> Iterator[Rows]:
    """Yield the rows of all sheets that have the columns of sales; note others that are not small."""
    needed, read = plain_names(required(columns)), 0
    left: list[tuple[int, Sheet, list[str]]] = []
    for sheet in sheets:
        if head := sheet.head():
            at = find_header(head, needed)
            has = len(needed & plain_names([*head[at], *with_places(head[at])]))
            if has < len(needed):
                left.append((has, sheet, head[at]))
                continue
            yield from _table_of(sheet, at, f"{name}: sheet {sheet.name!r}", columns, first=not read)
            read += sheet.size
    if left and not read:
        _, best, header = max(left, key=itemgetter(0))
        others = f" (the other sheets: {', '.join(one.name for _, one, _ in left if one is not best)})" if len(left) > 1 else ""
        check_header(header, f"{name}: sheet {best.name!r}{others}", columns)
    if not left and not read:
        yield text_rows([], [])
    notes += [
        f"{name}: sheet {sheet.name!r} is not read: it lacks {len(needed) - has} of the {len(needed)} columns; "
        "give it the same header as the others if it has sales"
        for has, sheet, _ in left
        if sheet.size * SMALL_SHEET >= read and why_not(sheet.head()) == "has other columns"
    ]


def _table_of(sheet: Sheet, at: int, name: str, columns: Columns, first: bool) -> Iterator[Rows]:
    """Yield the rows of a sheet below its header; an order may begin on the sheet before, so that only the first is ``first``."""
    rows = sheet.rows()
    titles = list(islice(rows, at))
    next(rows)
    header = check_header(sheet.head()[at], name, columns)
    above = [line_apart(cells, number, kind_above(cells, header)) for number, cells in titles]
    yield text_rows(header, [])._replace(bad=above, first=first)
    while some := list(islice(rows, ROWS)):
        table = text_rows(header, [cells for _, cells in some]).table
        yield set_apart(Rows(header, table, [], [number for number, _ in some]), columns)


# ── archives ─────────────────────────────────────────────────────────
ABOUT = ("readme", "read_me", "read me", "liesmich", "lisezmoi", "leeme", "leggimi", "license", "licence", "copyright")
ABOUT_ENDINGS = ("", ".txt", ".md", ".rtf", ".html", ".pdf")


def read_archive(chunks: Iterator[bytes], name: str, encoding: str) -> Iterator[tuple[str, Any]]:
    """Yield the files in a ZIP archive, by name; their content has been compared with its checksums."""
    said = N_("{file}: not a sales file but a ZIP archive that cannot be read ({error})")
    remedy = N_("send it again, or the files in it, without a password")
    with SpooledTemporaryFile(8 * PIECE) as held:
        held.writelines(chunks)  # the list of files is at the end; a source or a disk that fails here is no damaged archive
        packed = held.tell()
        with _readable(said, {"file": name}, remedy), zipfile.ZipFile(held) as archive:
            members = [one for one in archive.infolist() if not one.is_dir() and not _is_hidden(one.filename)]
            if not members:
                raise InputError(_("{file}: a ZIP archive without a file", file=name) + "; " + _("export it again"))
            _check_sizes(archive, packed, name)
            if damaged := archive.testzip():
                raise InputError(_("{file}: {file2} in it is damaged", file=name, file2=damaged) + "; " + _(SEND_AGAIN))
            for one in members:
                with archive.open(one) as file:
                    yield one.filename, file


def _is_hidden(path: str) -> bool:
    """Return True for what packing programs add, and for the words that a shop's program sends along."""
    name = PurePosixPath(path)
    about = name.suffix.lower() in ABOUT_ENDINGS and name.stem.lower().startswith(ABOUT)
    return about or any(part.startswith((".", "__MACOSX")) and part.strip(".") for part in name.parts)


def _check_sizes(archive: zipfile.ZipFile, packed: int, name: str, most: int = MOST_MEMBERS) -> None:
    """Refuse an archive that unpacks to much more than an export does."""
    members = [one for one in archive.infolist() if not _is_hidden(one.filename)]
    size = sum(one.file_size for one in archive.infolist())
    if len(members) > most or size > MOST_BYTES or size > max(SMALL, MOST_RATIO * packed):
        large = _("{file}: an archive of {n} files that unpack from {n2} to {n3} bytes")
        large = large.format(file=name, n=f"{len(members):,}", n2=f"{packed:,}", n3=f"{size:,}")
        raise InputError(large + "; " + _("send at most {n} files, or the CSV files themselves", n=most))
