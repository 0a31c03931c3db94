"""CSV text → rows of bronze: separator, header, whole records and columns; a line that does not fit is kept as it came.

A quote opens a field only at its start, two quotes inside stand for one, and a quote anywhere else is text, as in
pyarrow's reader. A quoted field may hold line ends; a quote that is never closed may not.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv

from rfm.config import FLAG, RAW, Columns, plain_name
from rfm.errors import InputError
from rfm.landing.decode import TEXT, Mask, after_last_line, detect_format, mask_of
from rfm.landing.header import (
    AUTO,
    BLANK,
    Layout,
    Rows,
    above_of,
    check_header,
    head_of,
    layout_of,
    set_apart,
    skip_preamble,
    with_places,
)

RECORD_LINES = 50  # a quoted field that is open for more lines was never closed
LINES = re.compile(rb"(?:[^\r\n]*+(?>\r\n|[\r\n])){%d}" % RECORD_LINES)  # (?>: \r\n is never tried as two line ends
LINE_END = re.compile(rb"[\r\n]")
MARK = b"\x1aragged"


class Records(NamedTuple):
    """Whole records, the ragged lines by the mark that stands in their place, and the text behind the last record."""

    text: bytes
    ragged: dict[bytes, bytes]
    rest: bytes


class _Patterns(NamedTuple):
    """Patterns for one separator: a quoted field; everything up to a quoted field that spans lines; a record."""

    quoted: re.Pattern[bytes]
    closed: re.Pattern[bytes]
    record: re.Pattern[bytes]


def repeated(pattern: bytes, broken: bool = sys.version_info < (3, 11, 5)) -> bytes:
    """Return a pattern that repeats another one without backtracking."""
    return b"(?>(?:%s)*)" % pattern if broken else b"(?:%s)*+" % pattern


@cache
def _patterns(separator: bytes) -> _Patterns:
    """Return the patterns for a separator; none of them backtracks, so none is slow on any text."""
    start = b'"(?<![^%s\r\n]")' % re.escape(separator)
    stray = b'(?<=[^%s\r\n])"' % re.escape(separator)
    quoted = start + b'[^"]*+%s"' % repeated(b'""[^"]*+')
    in_line = start + b'[^"\r\n]*+%s"' % repeated(b'""[^"\r\n]*+')
    return _Patterns(
        re.compile(quoted),
        re.compile(repeated(b'[^"]++|%s|%s' % (in_line, stray))),
        re.compile(repeated(b'[^"\r\n]++|%s|%s' % (quoted, stray)) + b"(?=[\r\n])"),
    )


def _split_records(text: bytes, separator: bytes, width: int, last: bool) -> Records:
    """Return the whole records of a text, with a mark in the place of each line whose quoted field is never closed."""
    # Such a quote may be closed by the quote of a later line: then the record has another number of fields than the
    # header, or one field holds line ends and as many separators as a line. The lines after it are read on their own.
    end = len(text) if last else after_last_line(text)
    if b'"' not in text:
        return Records(text[:end], {}, text[end:])
    ragged: dict[bytes, bytes] = {}
    find, parts, kept, place = _patterns(separator), [], 0, 0
    while (opened := find.closed.match(text, place, end).end()) < end:  # type: ignore[union-attr]  # matches anything
        start = 1 + max(text.rfind(b"\n", place, opened), text.rfind(b"\r", place, opened), place - 1)
        long = LINES.match(text, opened, end)
        record = find.record.match(text, start, long.end() if long else end)
        if not (record or long or last):
            end = start
        elif record and _fits(record.group(), separator, width, find.quoted):
            place = record.end()
        else:
            place = LINE_END.search(text, opened).start()  # type: ignore[union-attr]  # ends with one
            mark = b"%s %d" % (MARK, len(ragged))
            ragged[mark] = text[start:place]
            parts += [text[kept:start], mark]
            kept = place
    return Records(b"".join([*parts, text[kept:end]]), ragged, text[end:])


def _count_fields(record: bytes, separator: bytes) -> int:
    """Return the number of fields of a record."""
    return 1 + _patterns(separator).quoted.sub(b"", record).count(separator)


def _fits(record: bytes, separator: bytes, width: int, quoted: re.Pattern[bytes]) -> bool:
    """Return True if a record has as many fields as the header, and no field holds a whole line."""
    found = quoted.findall(record)
    joined = any(LINE_END.search(field) and field.count(separator) >= width - 1 for field in found)
    return not joined and _count_fields(record, separator) == width


_QUOTED = rb'"%s"(?![^ \r\n])' % repeated(rb'[^"\r\n]|""')
_FIELD = rb'(?:%s|[^ "\r\n][^ \r\n]*+)' % _QUOTED
_GAP = re.compile(rb"((?<![^ \r\n])%s)(?: ++|(?![^\r\n]))| ++" % _QUOTED)
_RUN = re.compile(rb"  ++")
_ENDS = re.compile(rb"(?<![^\r\n]) | (?![^\r\n])")


def _split_whitespace_delimited(text: bytes, width: int, last: bool) -> Records:
    """Return the records of a text whose fields are apart by blanks, with a mark in the place of each ragged line."""
    end = len(text) if last else after_last_line(text)
    ragged: dict[bytes, bytes] = {}

    def mark(line: re.Match[bytes]) -> bytes:
        name = b"%s-%d" % (MARK, len(ragged))
        ragged[name] = line.group()
        return name

    fits = rb"(?:%s ++){%d}%s" % (_FIELD, width - 1, _FIELD)
    marked = re.sub(rb"(?<![^\r\n])(?! *+(?:%s *+)?[\r\n])[^\r\n]++" % fits, mark, text[:end])
    return Records(_collapse_spaces(marked), ragged, text[end:])


def _collapse_spaces(text: bytes) -> bytes:
    """Return text with one blank per run of blanks outside quotes, and none at the ends of lines."""
    text = _GAP.sub(rb"\1 ", text) if b'"' in text else _RUN.sub(b" ", text)
    return _ENDS.sub(b"", text)


# ── parse ────────────────────────────────────────────────────────────
def parse(raw: bytes, name: str, encoding: str = AUTO, separator: str = AUTO, columns: Columns = Columns(), **more: Any) -> pa.Table:
    """Return the content of a landing file as rows of bronze."""
    return pa.concat_tables(iter_tables(io.BytesIO(raw), name, encoding, separator, columns, **more))


def iter_tables(
    source: Any,
    name: str,
    encoding: str = AUTO,
    separator: str = AUTO,
    columns: Columns = Columns(),
    further: bool = True,
    fill_down: Sequence[str] = (),
    count_orders: Sequence[str] = (),
    notes: list[str] | None = None,
) -> Iterator[pa.Table]:
    """Yield a landing file of any format as rows of bronze, some megabytes at a time.

    ``fill_down`` names headers whose blank cells take the value above; ``count_orders`` the columns of bronze that tell orders
    apart, whose lines get a number; ``notes`` gets the parts of the file that are not read.
    """
    bronze = Bronze(columns, mask_of(columns), further, tuple(fill_down), tuple(count_orders))
    for rows in _rows_of_file(source, name, encoding, separator, columns, [] if notes is None else notes):
        yield bronze.table(rows)


def _rows_of_file(
    source: Any, name: str, encoding: str, separator: str, columns: Columns, notes: list[str], packed: bool = False
) -> Iterator[Rows]:
    """Yield the rows of a file of any format, or of the files in an archive."""
    found, chunks = detect_format(source, name, packed)
    pieces = found.read(chunks, name, encoding)
    if found is TEXT:
        yield from _rows_of_text(pieces, name, separator, columns)
    elif found.kind == "sheets":
        yield from _rows_of_sheets(pieces, name, columns, notes)
    elif found.kind == "files":
        for member, file in pieces:
            yield from _rows_of_file(file, f"{name}: {member}", encoding, separator, columns, notes, packed=True)
    else:
        yield from _rows_of_sales(pieces, name, columns)


def _rows_of_text(pieces: Iterator[tuple[bytes, bool]], name: str, separator: str, columns: Columns) -> Iterator[Rows]:
    """Yield the rows of CSV text."""
    layout, rest, number, first = None, b"", 0, True
    for text, last in pieces:
        text, above = rest + text if layout else skip_preamble(rest + text), []
        if not layout and text and (lines := head_of(text, last)):
            layout = layout_of(lines, name, separator, columns)
            text, above, number = text[layout.size :], above_of(layout), len(layout.above) + 1
        rest = text
        if layout:
            records = records_of(text, layout, last)
            table, bad = read_records(records, layout, number, name)
            rows = set_apart(Rows(layout.header, table, bad, number), columns, layout.separator)
            number, rest = number + table.num_rows + len(bad), records.rest
            yield rows._replace(bad=above + rows.bad, first=first)
            first = False
    if not layout:
        yield Rows([], pa.table({}), [])


def _rows_of_sales(pieces: Iterator[Rows], name: str, columns: Columns) -> Iterator[Rows]:
    """Yield the rows of a file of another format, if its header is one of sales; an empty file has no rows."""
    number = 0
    for place, rows in enumerate(pieces):
        if place == 0 and (rows.header or rows.bad):
            check_header(rows.header, name, columns)
        yield set_apart(Rows(with_places(rows.header), rows.table, rows.bad, number, place == 0), columns)
        number += rows.table.num_rows + len(rows.bad)


def _rows_of_sheets(sheets: Iterator[Sheet], name: str, columns: Columns, notes: list[str]) -> Iterator[Rows]:
    """Yield the rows of all sheets that have the columns of sales; note the others."""
    needed, kept = plain_names(required(columns)), False
    left: list[tuple[int, str, list[str]]] = []
    for sheet in sheets:
        if head := sheet.head():
            at = find_header(head, needed)
            has = len(needed & plain_names(head[at]))
            if has < len(needed):
                left.append((has, sheet.name, head[at]))
                continue
            kept = True
            yield from _rows_of_sheet(sheet, at, f"{name}: sheet {sheet.name!r}", columns)
    if left and not kept:
        _, best, header = max(left, key=itemgetter(0))
        others = f" (the other sheets: {', '.join(one for _, one, _ in left if one != best)})" if len(left) > 1 else ""
        check_header(header, f"{name}: sheet {best!r}{others}", columns)
    if not left and not kept:
        yield Rows([], pa.table({}), [])
    notes += [f"{name}: sheet {one!r} is not read: it lacks {len(needed) - has} of {len(needed)} columns" for has, one, _ in left]


def _rows_of_sheet(sheet: Sheet, at: int, name: str, columns: Columns) -> Iterator[Rows]:
    """Yield the rows of a sheet below its header."""
    rows = sheet.rows()
    above = [line_apart(cells, number, "title") for number, cells in islice(rows, at)]
    header = check_header(next(rows)[1], name, columns)
    yield Rows(header, pa.table([pa.array([], pa.string())] * len(header), [*map(str, range(len(header)))]), above, first=True)
    while some := list(islice(rows, ROWS)):
        table = text_rows(header, [cells for _, cells in some]).table
        yield set_apart(Rows(header, table, [], [number for number, _ in some]), columns)


def records_of(text: bytes, layout: Layout, last: bool) -> Records:
    """Return the whole records of the lines below a header."""
    if layout.separator == BLANK:
        return _split_whitespace_delimited(text, len(layout.header), last)
    return _split_records(text, layout.separator.encode(), len(layout.header), last)


def read_records(records: Records, layout: Layout, number: int, name: str) -> tuple[pa.Table, list[dict]]:
    """Return records as columns of text, and the lines that do not fit with their number and raw text."""
    bad: list[dict] = []

    def rescue(row: pyarrow.csv.InvalidRow) -> str:
        bad.append({"_raw": row.text, "_line": row.number + number, "_fields": row.actual_columns})
        return "skip"

    names = [str(i) for i in range(len(layout.header))]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(records.text),
            # one block and one thread: line numbers are known, and no quoted newline is cut
            read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(records.text) or 1),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=rescue
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                check_utf8=False,  # it is UTF-8 by now
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise InputError(f"{name}: cannot be read as a table ({error}); send the file again") from None
        table = pa.table([pa.array([], pa.string())] * len(names), names)
    return table, [_with_own_text(line, records.ragged, layout.separator) for line in bad]


def _with_own_text(line: dict, ragged: Mapping[bytes, bytes], separator: str) -> dict:
    """Return a line that does not fit, with its own text if a mark stands in its place."""
    raw = ragged.get(line["_raw"].encode("utf-8", "replace"))
    if raw is None:
        return line
    text = _collapse_spaces(raw) if separator == BLANK else raw
    return {**line, "_raw": raw.decode("utf-8", "replace"), "_fields": _count_fields(text, separator.encode())}
