"""CSV text → rows of bronze: separator, header, whole records and columns; a line that does not fit is kept as it came.

A quote opens a field only at its start, two quotes inside stand for one, and a quote anywhere else is text, as in
pyarrow's reader. A quoted field may hold line ends; a quote that is never closed may not.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rfm.config import FLAG, LANDING_COLUMNS, RAW, Columns, plain_name
from rfm.errors import InputError
from rfm.landing.decode import AUTO, TEXT, Mask, Rows, after_last_line, detect_format, mask_of

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


BLANK = " "
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


def whitespace_reader(lines: Iterable[str], separator: str) -> Any:
    """Return a `csv` reader of lines; where blanks separate, a run of them counts as one."""
    if separator != BLANK:
        return csv.reader(lines, delimiter=separator)
    return csv.reader((line.strip(" \r\n") for line in lines), delimiter=BLANK, skipinitialspace=True)


# ── header ────────────────────────────────────────────────────────────
USUAL = Columns().headers
# columns that files may lack, unless the shop names them itself
OPTIONAL = [one.bronze for one in LANDING_COLUMNS.values() if one.without == ""]
BEFORE_HEADER = re.compile(rb"\s*(?:sep=.[\r\n]+\s*)?")  # blank lines, and the line for spreadsheets
FIRST_LINE = re.compile(rb"[^\r\n]*(?:\r\n|[\r\n])?")
SEPARATORS = (",", ";", "\t", "|")
FIRST_BYTES, FIRST_LINES = 1 << 16, 50  # that tell the separator


class Layout(NamedTuple):
    """Separator of a file, and the names in its header."""

    separator: str
    header: list[str]


def skip_preamble(text: bytes) -> bytes:
    """Return a text from the header on, empty if it is not reached yet."""
    return text[BEFORE_HEADER.match(text).end() :]  # type: ignore[union-attr]  # matches anything


def first_line(text: bytes) -> bytes:
    """Return the first line of a text, with its end."""
    return FIRST_LINE.match(text).group()  # type: ignore[union-attr]  # matches anything


def detect_separator(text: bytes, names: Collection[str] = (), blanks: bool = False) -> str:
    """Return the separator of a text."""
    # The one that yields the most of the names in the first line; then the one that splits the first lines into the most
    # columns, as many in most lines as in the first. Blanks, if they may separate, come last.
    found = {separator: {plain_name(name) for name in _first_record(text, separator)} for separator in SEPARATORS}
    matches = {separator: len(header.intersection(names)) for separator, header in found.items()}
    best = [separator for separator in SEPARATORS if matches[separator] == max(matches.values())]
    if len(best) == 1:
        return best[0]
    lines = "\n".join(text[:FIRST_BYTES].decode("utf-8", "replace").splitlines()[:FIRST_LINES])
    separator = max(best, key=lambda one: _fit(lines, one))
    return BLANK if blanks and not _fit(lines, separator)[0] and _fit(lines, BLANK)[0] else separator


def _fit(lines: str, separator: str) -> tuple[bool, int, int]:
    """Return whether most lines have as many columns as the first, more than one; how many columns, and how many such lines."""
    rows = [row for row in whitespace_reader(io.StringIO(lines), separator) if row]
    width = len(rows[0]) if rows else 0
    fitting = sum(len(row) == width for row in rows)
    return width > 1 and 2 * fitting >= len(rows), width, fitting


def _layout_of(text: bytes, name: str, separator: str, columns: Columns) -> Layout:
    """Return the separator that fits, and the names in the first line."""
    if separator == AUTO:
        separator = detect_separator(text, _wanted(columns))
    found = _first_record(text, separator)
    header = check_header(found, name, columns, first_line(text).decode("utf-8", "replace").strip()[:60])
    if re.search(r"[\r\n]", "".join(found)):
        raise InputError(f"{name}: a column name spans lines; write the header in one line")
    return Layout(separator, header)


def check_header(found: list[str], name: str, columns: Columns, line: str = "") -> list[str]:
    """Return the names in a header, those without a name by their place; refuse a header that is not one of sales."""
    header, wanted = _with_places(found), _wanted(columns)
    names = [plain_name(column) for column in header]
    if not wanted.keys() & set(names):
        shown = f", first line {line!r}" if line and not columns.hash_customers else ""
        raise InputError(
            f"{name}: not a sales file{shown}; wanted {', '.join(wanted.values())}, or what [columns] in rfm.toml calls them"
        )
    shown_names = f"found {', '.join(header)}"
    named = [name for raw, name in columns.headers.items() if raw not in OPTIONAL or name != USUAL[raw]]
    if missing := [name for name in (*named, columns.cancelled) if name and plain_name(name) not in names]:
        raise InputError(
            f"{name}: lacks {len(missing)} required column(s): {', '.join(missing)}; {shown_names}; "
            "say under [columns] in rfm.toml what the file calls them"
        )
    if twice := sorted({column for column in header if names.count(plain_name(column)) > 1}):
        raise InputError(f"{name}: column(s) {', '.join(twice)} appear twice; {shown_names}; keep one of each")
    return header


def _with_places(found: list[str]) -> list[str]:
    """Return the names in a header, those without a name by their place."""
    return [column.strip() or f"column {place}" for place, column in enumerate(found, 1)]


def _wanted(columns: Columns) -> dict[str, str]:
    """Return the names that a header may have, by their plain form."""
    return {plain_name(column): column for column in (*columns.headers.values(), columns.cancelled) if column}


def _first_record(text: bytes, separator: str) -> list[str]:
    """Return the fields of the first record, which may span lines."""
    lines = io.TextIOWrapper(io.BytesIO(text[:FIRST_BYTES]), "utf-8", "replace")  # decoded as far as they are read
    return next(whitespace_reader(lines, separator), [])


# ── parse ────────────────────────────────────────────────────────────
def parse(raw: bytes, name: str, encoding: str = AUTO, separator: str = AUTO, columns: Columns = Columns()) -> pa.Table:
    """Return the content of a landing file as rows of bronze."""
    return pa.concat_tables(iter_tables(io.BytesIO(raw), name, encoding, separator, columns))


def iter_tables(
    source: Any, name: str, encoding: str = AUTO, separator: str = AUTO, columns: Columns = Columns(), further: bool = True
) -> Iterator[pa.Table]:
    """Yield a landing file of any format as rows of bronze, some megabytes at a time."""
    mask = mask_of(columns)
    found, chunks = detect_format(source, name)
    pieces = found.read(chunks, name, encoding)
    rows = _rows_of_text(pieces, name, separator, columns) if found is TEXT else _rows_of_sales(pieces, name, columns)
    for header, table, bad in rows:
        yield _to_bronze_columns(table, header, bad, columns, mask, further)


def _rows_of_text(pieces: Iterator[tuple[bytes, bool]], name: str, separator: str, columns: Columns) -> Iterator[Rows]:
    """Yield the rows of CSV text."""
    layout, rest, number = None, b"", 1
    for text, last in pieces:
        text = rest + text if layout else skip_preamble(rest + text)
        if not layout and text:
            layout = _layout_of(text, name, separator, columns)
            text = text[len(first_line(text)) :]
        if layout:
            records = records_of(text, layout, last)
            table, bad = read_records(records, layout, number, name)
            number, rest = number + table.num_rows + len(bad), records.rest
            yield Rows(layout.header, table, bad)
    if not layout:
        yield Rows([], pa.table({}), [])


def _rows_of_sales(pieces: Iterator[Rows], name: str, columns: Columns) -> Iterator[Rows]:
    """Yield the rows of a file of another format, if its header is one of sales; an empty file has no rows."""
    for place, (header, table, bad) in enumerate(pieces):
        if place == 0 and (header or bad):
            check_header(header, name, columns)
        yield Rows(_with_places(header), table, bad)


def records_of(text: bytes, layout: Layout, last: bool) -> Records:
    """Return the whole records of the lines below a header."""
    if layout.separator == BLANK:
        return _split_whitespace_delimited(text, len(layout.header), last)
    return _split_records(text, layout.separator.encode(), len(layout.header), last)


def _to_bronze_columns(
    table: pa.Table, header: list[str], bad: list[dict], columns: Columns, mask: Mask | None, further: bool = True
) -> pa.Table:
    """Return the columns of bronze, whatever their names and order in the file, and below them the lines that do not fit."""
    found = {plain_name(column): i for i, column in enumerate(header)}
    places = {raw: found.get(plain_name(name)) if name else None for raw, name in columns.headers.items()}
    values = {raw: pa.nulls(table.num_rows, pa.string()) if i is None else table[i] for raw, i in places.items()}
    extra = {i: name for i, name in enumerate(header) if further and i not in places.values()}
    if columns.cancelled and header:
        flag = found[plain_name(columns.cancelled)]
        extra = {flag: FLAG} | {i: name for i, name in extra.items() if i != flag}
    if mask:
        values["CustomerID"], extra, bad = mask(values["CustomerID"]), mask.extra(extra), mask.bad(bad)
    good = pa.table([*values.values(), _extra_fields(table, extra)], [*values, "_rescued_data"])
    return pa.concat_tables([good, _rescued(bad, good.schema)]) if bad else good


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


ESCAPED = r'["\\\x00-\x1f]'  # characters that JSON writes otherwise
BETWEEN = ", "


def _extra_fields(table: pa.Table, extra: Mapping[int, str]) -> pa.Array:
    """Return per row the JSON of its fields in columns that bronze does not know."""
    if not extra:
        return pa.nulls(table.num_rows, pa.string())
    return _json_of([_member(name, table[i]) for i, name in extra.items()])


def _json_of(members: list[Any]) -> pa.Array:
    """Return per row the JSON of its members; null if it has none."""
    # not `null_handling="skip"`, which loses the rows where all are null
    inside = pc.binary_join_element_wise(*(pc.fill_null(one, "") for one in members), "")
    closed = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(inside, len(BETWEEN)), "}", "")
    return pc.if_else(pc.equal(inside, ""), None, closed)


def _member(name: str, column: Any) -> Any:
    """Return a column as members of JSON objects, null where it is null."""
    # a million lines are no place for a call of Python per line: only texts with marks are written by `encode_basestring`
    if pc.any(pc.match_substring_regex(column, ESCAPED)).as_py():
        coded = pa.chunked_array(column).combine_chunks().dictionary_encode()
        texts = [None if text is None else encode_basestring(text)[1:-1] for text in coded.dictionary.to_pylist()]
        column = pa.DictionaryArray.from_arrays(coded.indices, pa.array(texts, pa.string())).cast(pa.string())
    return pc.binary_join_element_wise(f'{BETWEEN}{encode_basestring(name)}: "', column, '"', "")


def _rescued(bad: list[dict], schema: pa.Schema) -> pa.Table:
    """Return rows of nulls with the raw text of the lines that do not fit."""
    nulls = [pa.nulls(len(bad), pa.string())] * len(RAW)
    return pa.table([*nulls, pa.array([json.dumps(line, ensure_ascii=False) for line in bad], pa.string())], schema)
