"""Bytes of a landing file → rows of text: any encoding, separator and order of columns, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import re

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from rfm.io.landing.encoding import AUTO, utf8
from rfm.schema import LANDING_COLUMNS, InputError

REQUIRED = ("Invoice", "StockCode", "Quantity", "Price", "Customer ID", "InvoiceDate")
BEFORE_HEADER = rb"\A\s*(?:sep=.[\r\n]+\s*)?"  # blank lines, and the line that tells a spreadsheet the separator
SEPARATORS = (",", ";", "\t", "|")


def parse(raw: bytes, name: str, encoding: str = AUTO, separator: str = AUTO) -> pa.Table:
    """Turn the bytes of a landing file into rows of text.

    Parameters
    ----------
    raw
        Content; UTF-8, UTF-16 or Windows-1252, gzip or plain, separated by comma, semicolon, tab or bar.
    name
        For errors.
    encoding
        Name of a codec, or found out.
    separator
        One character, or the one of the four that fits the header best.

    Returns
    -------
    pyarrow.Table
        Columns of bronze up to ``_rescued_data``; empty texts are null. Lines with too few or too many fields, and
        lines that stray quotes join into one row, have nulls and their raw text in ``_rescued_data``.

    Raises
    ------
    InputError
        If it is not a sales file: no table at all, or a required column is missing or twice.
    """
    text = re.sub(BEFORE_HEADER, b"", utf8(raw, name, encoding))
    if not text.strip():
        return _empty()
    separator, header = _header(text, name, SEPARATORS if separator == AUTO else (separator,))
    bad: list[dict] = []
    table = _read_csv(text, header, separator, bad, name)
    if table.num_rows + len(bad) + 1 != _lines(text):
        table = _part_joined(table, separator, bad)
    wanted = {_plain(column): i for i, column in enumerate(header)}
    places = {column: wanted.get(_plain(column)) for column in LANDING_COLUMNS}
    columns = [table[i] if i is not None else pa.nulls(table.num_rows, pa.string()) for i in places.values()]
    extra = [i for i in range(len(header)) if i not in places.values()]
    good = pa.table([*columns, _extra_fields(table, header, extra)], _bronze_names())
    return pa.concat_tables([good, _rescued(bad)]) if bad else good


def _header(text: bytes, name: str, separators: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the separator that fits, and the names in the first line."""
    first = text[: 1 << 16].decode("utf-8", "replace")
    known = {_plain(column) for column in LANDING_COLUMNS}
    found = [next(csv.reader(io.StringIO(first, newline=None), delimiter=separator), []) for separator in separators]
    matches = [len({_plain(column) for column in header} & known) for header in found]
    best = matches.index(max(matches))
    header = [column.strip() or f"column {place}" for place, column in enumerate(found[best], 1)]
    plain = [_plain(column) for column in header]
    if not matches[best]:
        raise InputError(
            f"{name}: not a sales file, first line {first.splitlines()[0][:60]!r}; wanted {', '.join(LANDING_COLUMNS)}"
        )
    if missing := [column for column in REQUIRED if _plain(column) not in plain]:
        raise InputError(f"{name}: lacks {len(missing)} required column(s): {', '.join(missing)}; add them to the file")
    if twice := sorted({column for column in header if plain.count(_plain(column)) > 1}):
        raise InputError(f"{name}: column(s) {', '.join(twice)} stand twice; keep one of each")
    if re.search(r"[\r\n]", "".join(found[best])):
        raise InputError(f"{name}: a column name spans lines; write the header in one line")
    return separators[best], header


def _plain(column: str) -> str:
    """Return a column name without case, blanks and underscores: ``Customer ID`` is ``customerid``."""
    return re.sub(r"[\s_]", "", column).casefold()


def _read_csv(text: bytes, header: list[str], separator: str, bad: list[dict], name: str) -> pa.Table:
    """Parse the lines below the header into columns of text; lines that do not fit go to `bad`."""

    def rescue(row: pyarrow.csv.InvalidRow) -> str:
        bad.append({"_raw": row.text, "_line": row.number, "_fields": row.actual_columns})
        return "skip"

    names = [str(i) for i in range(len(header))]
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text),
            # one block and one thread: line numbers are known, and no quoted newline is cut
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False, block_size=len(text)),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=rescue),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return pa.table([pa.array([], pa.string())] * len(header), names)
        raise InputError(f"{name}: cannot be read as a table ({error}); send the file again") from None


def _lines(text: bytes) -> int:
    """Return the number of physical lines; as many rows mean that no quoted field spans lines."""
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _part_joined(table: pa.Table, separator: str, bad: list[dict]) -> pa.Table:
    """Move rows that stray quotes made of several lines to `bad`: one field holds line ends and a line's separators."""
    joined = pa.repeat(pa.scalar(False), table.num_rows)
    for column in table.columns:
        full = pa.compute.greater_equal(pa.compute.count_substring(column, separator), table.num_columns - 1)
        broken = pa.compute.match_substring_regex(column, "[\\r\\n]")
        joined = pa.compute.or_(joined, pa.compute.fill_null(pa.compute.and_(full, broken), False))
    for row in table.filter(joined).to_pylist():
        fields = [value or "" for value in row.values()]
        raw = separator.join(f'"{value}"' if re.search(r"[\r\n]", value) else value for value in fields)
        bad.append({"_raw": raw, "_line": None, "_fields": len(fields)})
    return table.filter(pa.compute.invert(joined))


def _extra_fields(table: pa.Table, header: list[str], extra: list[int]) -> pa.Array:
    """Return, a row each, the JSON of the fields under columns that bronze does not know."""
    if not extra:
        return pa.nulls(table.num_rows, pa.string())
    names, columns = [header[i] for i in extra], [table[i].to_pylist() for i in extra]
    present = ({k: v for k, v in zip(names, row, strict=True) if v is not None} for row in zip(*columns, strict=True))
    return pa.array([json.dumps(fields, ensure_ascii=False) if fields else None for fields in present], pa.string())


def _rescued(bad: list[dict]) -> pa.Table:
    """Return rows of nulls with the raw text of the lines that did not fit."""
    nulls = [pa.nulls(len(bad), pa.string())] * len(LANDING_COLUMNS)
    return pa.table([*nulls, pa.array([json.dumps(line, ensure_ascii=False) for line in bad], pa.string())], _bronze_names())


def _empty() -> pa.Table:
    """Return no rows."""
    return pa.table([pa.array([], pa.string())] * (len(LANDING_COLUMNS) + 1), _bronze_names())


def _bronze_names() -> list[str]:
    """Return the columns of bronze that come from the file."""
    return [*LANDING_COLUMNS.values(), "_rescued_data"]
