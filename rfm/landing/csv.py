"""Text of a landing file → whole records: a quoted field may hold line ends, a quote that is never closed may not.

The patterns follow pyarrow's reader: a quote opens a field only at its start, two quotes inside stand for one, and a
quote anywhere else is text.

Fields that blanks keep apart, as many as line the columns up: each run of them is one separator.

The first line of a landing file: where it begins, which separator it has, and whether the columns are those of sales.

Bytes of a landing file → rows of text: any encoding, separator and order of columns, nothing lost.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv

from rfm.config import FLAG, Columns, plain_name
from rfm.contracts import LANDING_COLUMNS
from rfm.errors import InputError
from rfm.landing.decode import AUTO, Mask, after_last_line, decode_stream, mask_of

# ── records ────────────────────────────────────────────────────────────
RECORD_LINES = 50
"""A quoted field that is open for more lines was never closed."""
LINES = re.compile(rb"(?:[^\r\n]*+(?>\r\n|[\r\n])){%d}" % RECORD_LINES)  # (?>: no end of a line is tried in two ways
LINE_END = re.compile(rb"[\r\n]")
MARK = b"\x1aragged"


class Records(NamedTuple):
    """Whole records."""

    text: bytes
    ragged: dict[bytes, bytes]
    rest: bytes


class _Patterns(NamedTuple):
    """Patterns for a separator: a quoted field; all up to a quoted field that spans lines; a record."""

    quoted: re.Pattern[bytes]
    closed: re.Pattern[bytes]
    record: re.Pattern[bytes]


def repeated(pattern: bytes, broken: bool = sys.version_info < (3, 11, 5)) -> bytes:
    """Return a pattern for another one, repeated as often as it fits, that never goes back."""
    return b"(?>(?:%s)*)" % pattern if broken else b"(?:%s)*+" % pattern


@cache
def _patterns(separator: bytes) -> _Patterns:
    """Return the patterns for a separator; none of them goes back on its steps, so none is slow on any text."""
    start = b'"(?<![^%s\\r\\n]")' % re.escape(separator)
    stray = b'(?<=[^%s\\r\\n])"' % re.escape(separator)
    quoted = start + b'[^"]*+%s"' % repeated(b'""[^"]*+')
    in_line = start + b'[^"\\r\\n]*+%s"' % repeated(b'""[^"\\r\\n]*+')
    return _Patterns(
        re.compile(quoted),
        re.compile(repeated(b'[^"]++|%s|%s' % (in_line, stray))),
        re.compile(repeated(b'[^"\\r\\n]++|%s|%s' % (quoted, stray)) + b"(?=[\\r\\n])"),
    )


def split_records(text: bytes, separator: bytes, width: int, last: bool) -> Records:
    """Return the whole records of a text, with the lines marked that open a quoted field but make no record.

    Such a line is one whose quoted field is never closed, or is closed by the quote of a later line: its record has
    another number of fields than the header, or one field holds line ends and as many separators as a line. The line
    is ragged by itself; the lines after it are read on their own.
    """
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


def fields(record: bytes, separator: bytes) -> int:
    """Return the number of fields of a record."""
    return 1 + _patterns(separator).quoted.sub(b"", record).count(separator)


def _fits(record: bytes, separator: bytes, width: int, quoted: re.Pattern[bytes]) -> bool:
    """Tell whether a record has as many fields as the header, and none of them holds a line."""
    found = quoted.findall(record)
    joined = any(LINE_END.search(field) and field.count(separator) >= width - 1 for field in found)
    return not joined and fields(record, separator) == width


# ── blanks ────────────────────────────────────────────────────────────
BLANK = " "
_QUOTED = rb'"%s"(?![^ \r\n])' % repeated(rb'[^"\r\n]|""')
_FIELD = rb'(?:%s|[^ "\r\n][^ \r\n]*+)' % _QUOTED
_GAP = re.compile(rb"((?<![^ \r\n])%s)(?: ++|(?![^\r\n]))| ++" % _QUOTED)
_RUN = re.compile(rb"  ++")
_ENDS = re.compile(rb"(?<![^\r\n]) | (?![^\r\n])")


def split_whitespace_delimited(text: bytes, width: int, last: bool) -> Records:
    """Return the lines of a text with one blank between two fields; the lines that have not as many as the header are marked."""
    end = len(text) if last else after_last_line(text)
    ragged: dict[bytes, bytes] = {}

    def mark(line: re.Match[bytes]) -> bytes:
        name = b"%s-%d" % (MARK, len(ragged))
        ragged[name] = line.group()
        return name

    fits = rb"(?:%s ++){%d}%s" % (_FIELD, width - 1, _FIELD)
    marked = re.sub(rb"(?<![^\r\n])(?! *+(?:%s *+)?[\r\n])[^\r\n]++" % fits, mark, text[:end])
    return Records(collapse_spaces(marked), ragged, text[end:])


def collapse_spaces(text: bytes) -> bytes:
    r"""Return text with one blank for each run of them outside quotes, and none at the ends of lines."""
    text = _GAP.sub(rb"\1 ", text) if b'"' in text else _RUN.sub(b" ", text)
    return _ENDS.sub(b"", text)


def whitespace_reader(lines: Iterable[str], separator: str) -> Any:
    """Return a reader of lines as the `csv` module has it, which takes a run of blanks for one if they separate."""
    if separator != BLANK:
        return csv.reader(lines, delimiter=separator)
    return csv.reader((line.strip(" \r\n") for line in lines), delimiter=BLANK, skipinitialspace=True)


# ── header ────────────────────────────────────────────────────────────
OPTIONAL = ("Description", "Country")  # of bronze: what files may lack, unless the shop names them itself
BEFORE_HEADER = re.compile(rb"\s*(?:sep=.[\r\n]+\s*)?")  # blank lines, and the line that tells a spreadsheet the separator
FIRST_LINE = re.compile(rb"[^\r\n]*(?:\r\n|[\r\n])?")
SEPARATORS = (",", ";", "\t", "|")


class Layout(NamedTuple):
    """How the lines of a file are built: their separator, and the names in the header."""

    separator: str
    header: list[str]


def skip_preamble(text: bytes) -> bytes:
    """Return the beginning of a file without what may stand before the header; empty if there is none yet."""
    return text[BEFORE_HEADER.match(text).end() :]  # type: ignore[union-attr]  # matches anything


def first_line(text: bytes) -> bytes:
    """Return the first line of a text, with its end."""
    return FIRST_LINE.match(text).group()  # type: ignore[union-attr]  # matches anything


def layout_of(text: bytes, name: str, separator: str, columns: Columns) -> Layout:
    """Return the separator that fits, and the names in the first line."""
    first, separators = text[: 1 << 16], SEPARATORS if separator == AUTO else (separator,)
    wanted = {plain_name(column): column for column in (*columns.headers.values(), columns.cancelled) if column}
    found: list[list[str]] = [next(whitespace_reader(_lines(first), separator), []) for separator in separators]
    matches = [len({plain_name(column) for column in header} & wanted.keys()) for header in found]
    best = matches.index(max(matches))
    header = [column.strip() or f"column {place}" for place, column in enumerate(found[best], 1)]
    names = [plain_name(column) for column in header]
    if not matches[best]:
        shown = "" if columns.hash_customers else f", first line {next(_lines(first)).strip()[:60]!r}"
        raise InputError(
            f"{name}: not a sales file{shown}; wanted {', '.join(wanted.values())}, or what [columns] in rfm.toml calls them"
        )
    told = f"found {', '.join(header)}"
    if missing := [column for column in _required(columns) if plain_name(column) not in names]:
        raise InputError(
            f"{name}: lacks {len(missing)} required column(s): {', '.join(missing)}; {told}; "
            "say under [columns] in rfm.toml what the file calls them"
        )
    if twice := sorted({column for column in header if names.count(plain_name(column)) > 1}):
        raise InputError(f"{name}: column(s) {', '.join(twice)} stand twice; {told}; keep one of each")
    if re.search(r"[\r\n]", "".join(found[best])):
        raise InputError(f"{name}: a column name spans lines; write the header in one line")
    return Layout(separators[best], header)


def _lines(text: bytes) -> io.TextIOWrapper:
    """Return the lines of a text, decoded as far as one reads."""
    return io.TextIOWrapper(io.BytesIO(text), "utf-8", "replace")


def _required(columns: Columns) -> list[str]:
    """Return the names that a header must have."""
    usual = Columns().headers
    named = [name for raw, name in columns.headers.items() if raw not in OPTIONAL or name != usual[raw]]
    return [name for name in (*named, columns.cancelled) if name]


# ── parse ────────────────────────────────────────────────────────────
def parse(raw: bytes, name: str, encoding: str = AUTO, separator: str = AUTO, columns: Columns = Columns()) -> pa.Table:
    """Turn the bytes of a landing file into rows of text: all pieces of them in one table."""
    return pa.concat_tables(iter_tables(io.BytesIO(raw), name, encoding, separator, columns))


def iter_tables(
    source: Any,
    name: str,
    encoding: str = AUTO,
    separator: str = AUTO,
    columns: Columns = Columns(),
    further: bool = True,
) -> Iterator[pa.Table]:
    """Turn a landing file into rows of text, some megabytes at a time."""
    layout, rest, number, mask = None, b"", 1, mask_of(columns)
    for text, last in decode_stream(source, name, encoding):
        text = rest + text if layout else skip_preamble(rest + text)
        if not layout and text:
            layout = layout_of(text, name, separator, columns)
            text = text[len(first_line(text)) :]
        if layout:
            records = records_of(text, layout, last)
            table, bad = read_records(records, layout, number, name)
            number, rest = number + table.num_rows + len(bad), records.rest
            yield to_bronze_columns(table, layout.header, bad, columns, mask, further)
    if not layout:
        yield to_bronze_columns(pa.table({}), [], [], columns, mask)


def records_of(text: bytes, layout: Layout, last: bool) -> Records:
    """Return the whole records of the lines below a header."""
    if layout.separator == BLANK:
        return split_whitespace_delimited(text, len(layout.header), last)
    return split_records(text, layout.separator.encode(), len(layout.header), last)


def to_bronze_columns(
    table: pa.Table, header: list[str], bad: list[dict], columns: Columns, mask: Mask | None, further: bool = True
) -> pa.Table:
    """Return the columns of bronze, whatever the file calls them and in whatever order, and the lines that did not fit."""
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
    """Parse lines into columns of text; return them, and the lines that do not fit with their number and raw text."""
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
    return table, [_as_it_came(line, records.ragged, layout.separator) for line in bad]


def _as_it_came(line: dict, ragged: Mapping[bytes, bytes], separator: str) -> dict:
    """Return a line that did not fit with its own text, where a mark stands in its place."""
    raw = ragged.get(line["_raw"].encode("utf-8", "replace"))
    if raw is None:
        return line
    text = collapse_spaces(raw) if separator == BLANK else raw
    return {**line, "_raw": raw.decode("utf-8", "replace"), "_fields": fields(text, separator.encode())}


def _extra_fields(table: pa.Table, extra: Mapping[int, str]) -> pa.Array:
    """Return, a row each, the JSON of the fields in columns that bronze does not know, by place and name."""
    if not extra:
        return pa.nulls(table.num_rows, pa.string())
    columns = [table[i].to_pylist() for i in extra]
    rows = zip(*columns, strict=True)
    present = ({k: v for k, v in zip(extra.values(), row, strict=True) if v is not None} for row in rows)
    return pa.array([json.dumps(fields, ensure_ascii=False) if fields else None for fields in present], pa.string())


def _rescued(bad: list[dict], schema: pa.Schema) -> pa.Table:
    """Return rows of nulls with the raw text of the lines that did not fit."""
    nulls = [pa.nulls(len(bad), pa.string())] * len(LANDING_COLUMNS)
    return pa.table([*nulls, pa.array([json.dumps(line, ensure_ascii=False) for line in bad], pa.string())], schema)
