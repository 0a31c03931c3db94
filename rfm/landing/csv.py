"""CSV text → rows of bronze: separator, header, whole records and columns; a line that does not fit is kept as it came.

A quote opens a field only at its start, two quotes inside stand for one, and a quote anywhere else is text, as in
pyarrow's reader. A quoted field may hold line ends; a quote that is never closed may not.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rfm.dialect import EXTRA_KEYS, FLAG, RAW, Columns, plain_name
from rfm.errors import InputError
from rfm.landing.decode import TEXT, Mask, after_last_line, detect_format, mask_of
from rfm.landing.header import (
    AUTO,
    BLANK,
    SEND_AGAIN,
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
from rfm.landing.sheets import rows_of_sheets
from rfm.words import _

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
def parse(raw: bytes, name: str, *options: Any, **more: Any) -> pa.Table:
    """Return the content of a landing file as rows of bronze; options as of `ReadOptions`."""
    return pa.concat_tables(iter_tables(io.BytesIO(raw), name, ReadOptions(*options, **more)))


class ReadOptions(NamedTuple):
    """How files are read; see `rfm.read_files`."""

    encoding: str = AUTO
    separator: str = AUTO
    columns: Columns = Columns()
    further: bool = True
    fill_down: Sequence[str] = ()
    count_orders: Sequence[str] = ()


def iter_tables(
    source: Any, name: str, options: ReadOptions, notes: list[str] | None = None, parsed: Sequence[Rows] = ()
) -> Iterator[pa.Table]:
    """Yield a landing file of any format as rows of bronze, some megabytes at a time."""
    # `notes` gets the parts of the file that are not read; `parsed` has its rows, if it was parsed with others
    bronze = Bronze(options, mask_of(options.columns))
    for rows in parsed or _rows_of_file(source, name, options, [] if notes is None else notes):
        yield bronze.table(rows)


def _rows_of_file(source: Any, name: str, options: ReadOptions, notes: list[str], packed: bool = False) -> Iterator[Rows]:
    """Yield the rows of a file of any format, or of the files in an archive."""
    found, chunks = detect_format(source, name, packed)
    pieces = found.read(chunks, name, options.encoding)
    if found is TEXT:
        yield from _rows_of_text(pieces, name, options.separator, options.columns)
    elif found.kind == "sheets":
        yield from rows_of_sheets(pieces, name, options.columns, notes)
    elif found.kind == "files":
        for member, file in pieces:
            yield from _rows_of_file(file, f"{name}: {member}", options, notes, packed=True)
    else:
        yield from _rows_of_sales(pieces, name, options.columns)


def _rows_of_text(pieces: Iterator[tuple[bytes, bool]], name: str, separator: str, columns: Columns) -> Iterator[Rows]:
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
            said = _("{file}: cannot be read as a table", file=name)
            raise InputError(f"{said}; {_(SEND_AGAIN)}") from None
        table = pa.table([pa.array([], pa.string())] * len(names), names)
    return table, [_with_own_text(line, records.ragged, layout.separator) for line in bad]


def _with_own_text(line: dict, ragged: Mapping[bytes, bytes], separator: str) -> dict:
    """Return a line that does not fit, with its own text if a mark stands in its place."""
    raw = ragged.get(line["_raw"].encode("utf-8", "replace"))
    if raw is None:
        return line
    text = _collapse_spaces(raw) if separator == BLANK else raw
    return {**line, "_raw": raw.decode("utf-8", "replace"), "_fields": _count_fields(text, separator.encode())}


# ── rows of bronze ───────────────────────────────────────────────────
ESCAPED = r'["\\\x00-\x1f]'  # characters that JSON writes otherwise
BETWEEN = ", "
ORDER_LINE, FILLED = "_order_line", "_filled"
RESERVED = {*EXTRA_KEYS.values(), ORDER_LINE, FILLED, "_raw", "_line", "_kind", "_fields"} - {FLAG}


@dataclass
class Bronze:
    """Makes the rows of a file rows of bronze, piece by piece; it remembers the row above and the orders seen."""

    options: ReadOptions
    mask: Mask | None
    above: dict[str, str | None] = field(default_factory=dict)
    seen: Counter = field(default_factory=Counter)

    def table(self, rows: Rows) -> pa.Table:
        """Return rows with the columns of bronze, whatever their names and order in the file, and below them the other lines."""
        table, header, bad = rows.table, rows.header, rows.bad
        found = {plain_name(column): i for i, column in enumerate(header)}
        places = {raw: found.get(plain_name(name)) if name else None for raw, name in self.options.columns.headers.items()}
        named = {key: found[plain_name(name)] for key, name in self.options.columns.extras.items()} if header else {}
        self.above = {} if rows.first else self.above
        table, filled = self._filled(table, header, places["Invoice"])
        values = {raw: pa.nulls(table.num_rows, pa.string()) if i is None else table[i] for raw, i in places.items()}
        members = [_extra_member(key, table[i]) for key, i in named.items()]
        if self.options.count_orders:
            members.append(_member(ORDER_LINE, self._order_lines(values, table[named["store"]] if "store" in named else None)))
        members += filled
        if self.options.further and not self.mask:  # of customers to hide, any other column may hold ids or names
            used = {*places.values(), *named.values()}
            members += [_member(self._key(name), table[i]) for i, name in enumerate(header) if i not in used]
        if self.mask:
            values["CustomerID"], bad = self.mask(values["CustomerID"]), self.mask.bad(bad)
        rescued = _json_of(members) if members else pa.nulls(table.num_rows, pa.string())
        good = pa.table([*values.values(), rescued], [*values, "_rescued_data"])
        return pa.concat_tables([good, _rescued(bad, good.schema)]) if bad else good

    def _key(self, name: str) -> str:
        """Return the key of a further column, which is none of those with a meaning."""
        return f" {name}" if name in RESERVED or name == FLAG and self.options.columns.cancelled else name

    def _filled(self, table: pa.Table, header: Sequence[str], order: int | None) -> tuple[pa.Table, list[Any]]:
        """Return a table whose blank cells have the value above, within an order, and which cells of a row these are."""
        wanted, plain = {plain_name(name) for name in self.options.fill_down}, [plain_name(name) for name in header]
        places = [i for i, name in enumerate(plain) if name in wanted]
        if not places or not table.num_rows:
            return table, []
        row = pa.table([pa.array([self.above.get(name)], pa.string()) for name in plain], table.column_names)
        table = pa.concat_tables([row, table]).combine_chunks()
        known = {i: _known(table[i]) for i in {*places, *([] if order is None else [order])}}
        at = np.arange(table.num_rows)
        start, texts = np.zeros_like(at), []
        if order is not None:  # a blank order is that of the line above
            orders = pc.fill_null_forward(pc.if_else(known[order], table[order], None)).combine_chunks()
            self.above[plain[order]] = orders[-1].as_py()
            codes = orders.dictionary_encode().indices.fill_null(-1).to_numpy()
            start = np.maximum.accumulate(np.where(np.append(True, codes[1:] != codes[:-1]), at, 0))
        for i in places:
            last = np.maximum.accumulate(np.where(known[i], at, -1))
            takes = ~known[i] & (last >= (0 if i == order else start))
            self.above[plain[i]] = table[i][int(last[-1] if takes[-1] else at[-1])].as_py()
            table = table.set_column(i, table.column_names[i], table[i].take(pa.array(np.where(takes, last, at))))
            texts.append(pc.if_else(pa.array(takes), f",{header[i]}", ""))
        joined = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*texts, ""), 1)
        return table.slice(1), [_member(FILLED, pc.if_else(pc.equal(joined, ""), None, joined).slice(1))]

    def _order_lines(self, values: dict[str, Any], store: Any) -> pa.Array:
        """Return the number of each line within its order, in the file so far; a line without an order is one of its own."""
        columns = [values[name] for name in self.options.count_orders] + ([] if store is None else [store])
        numbers = []
        for key in zip(*(column.to_pylist() for column in columns), strict=True):
            self.seen[key] += key[0] is not None
            numbers.append(str(self.seen[key] or 1))
        return pa.array(numbers, pa.string())


def _known(column: Any) -> np.ndarray:
    return pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(column), ""), False).to_numpy()


def _extra_member(field: str, column: Any) -> Any:
    """Return a further column that has a meaning: always there, and without what ends a text in JSON; a flag as it came."""
    if field == FLAG:
        return _member(FLAG, column)
    return _member(EXTRA_KEYS[field], pc.replace_substring_regex(pc.fill_null(column, ""), ESCAPED, ""))


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
