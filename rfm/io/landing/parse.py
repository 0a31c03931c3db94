"""Bytes of a landing file → rows of text: any encoding, separator and order of columns, nothing lost."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.csv

from rfm.dialect import FLAG, Columns, plain
from rfm.io.landing.blanks import BLANK, single, spaced
from rfm.io.landing.customers import Mask, mask_of
from rfm.io.landing.encoding import AUTO, texts
from rfm.io.landing.header import Layout, beginning, from_header, layout_of
from rfm.io.landing.records import Records, fields, whole
from rfm.schema import LANDING_COLUMNS, InputError


def parse(raw: bytes, name: str, encoding: str = AUTO, separator: str = AUTO, columns: Columns = Columns()) -> pa.Table:
    """Turn the bytes of a landing file into rows of text: all pieces of them in one table.

    Parameters
    ----------
    raw
        Content.
    name, encoding, separator, columns
        As for `pieces`, errors too.
    """
    return pa.concat_tables(pieces(io.BytesIO(raw), name, encoding, separator, columns))


def pieces(
    source: Any,
    name: str,
    encoding: str = AUTO,
    separator: str = AUTO,
    columns: Columns = Columns(),
    further: bool = True,
) -> Iterator[pa.Table]:
    """Turn a landing file into rows of text, some megabytes at a time.

    Parameters
    ----------
    source
        File open for reading; UTF-8, UTF-16 or Windows-1252, gzip or plain, separated by comma, semicolon, tab or bar.
    name
        For errors.
    encoding
        Name of a codec, or found out.
    separator
        One character, a blank for runs of them, or the one of the other four that fits the header best.
    columns
        What the file calls its columns; columns that it does not have are null, further ones go into ``_rescued_data``.
    further
        Whether they do; what is only read for its dates is read faster without.

    Yields
    ------
    pyarrow.Table
        At least one; columns of bronze up to ``_rescued_data``; empty texts are null. Lines with too few or too many
        fields, and lines that open a quoted field which makes no record (see `records.whole`), have nulls and their
        raw text in ``_rescued_data``.

    Raises
    ------
    InputError
        If it is not a sales file: no table at all, or a required column is missing or twice.
    SettingsError
        If customers are to be hashed and there is no key.
    """
    layout, rest, number, mask = None, b"", 1, mask_of(columns)
    for text, last in texts(source, name, encoding):
        text = rest + text if layout else from_header(rest + text)
        if not layout and text:
            layout = layout_of(text, name, separator, columns)
            text = text[len(beginning(text)) :]
        if layout:
            records = records_of(text, layout, last)
            table, bad = read_records(records, layout, number, name)
            number, rest = number + table.num_rows + len(bad), records.rest
            yield as_bronze(table, layout.header, bad, columns, mask, further)
    if not layout:
        yield as_bronze(pa.table({}), [], [], columns, mask)


def records_of(text: bytes, layout: Layout, last: bool) -> Records:
    """Return the whole records of the lines below a header.

    Parameters
    ----------
    text, last
        As for `records.whole`.
    layout
        Separator and header.
    """
    if layout.separator == BLANK:
        return spaced(text, len(layout.header), last)
    return whole(text, layout.separator.encode(), len(layout.header), last)


def as_bronze(
    table: pa.Table, header: list[str], bad: list[dict], columns: Columns, mask: Mask | None, further: bool = True
) -> pa.Table:
    """Return the columns of bronze, whatever the file calls them and in whatever order, and the lines that did not fit.

    Parameters
    ----------
    table, bad
        As `read_records` gives them.
    header
        Names of the table's columns.
    columns
        As for `pieces`.
    mask
        What hides the customers.
    further
        Whether columns that bronze does not know are kept.
    """
    found = {plain(column): i for i, column in enumerate(header)}
    places = {raw: found.get(plain(name)) if name else None for raw, name in columns.headers.items()}
    values = {raw: pa.nulls(table.num_rows, pa.string()) if i is None else table[i] for raw, i in places.items()}
    extra = {i: name for i, name in enumerate(header) if further and i not in places.values()}
    if columns.cancelled and header:
        flag = found[plain(columns.cancelled)]
        extra = {flag: FLAG} | {i: name for i, name in extra.items() if i != flag}
    if mask:
        values["CustomerID"], extra, bad = mask(values["CustomerID"]), mask.extra(extra), mask.bad(bad)
    good = pa.table([*values.values(), _extra_fields(table, extra)], [*values, "_rescued_data"])
    return pa.concat_tables([good, _rescued(bad, good.schema)]) if bad else good


def read_records(records: Records, layout: Layout, number: int, name: str) -> tuple[pa.Table, list[dict]]:
    """Parse lines into columns of text; return them, and the lines that do not fit with their number and raw text.

    Parameters
    ----------
    records, layout
        The lines, and how they are built.
    number
        That of the first line.
    name
        For errors.

    Raises
    ------
    InputError
        If they are no table.
    """
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
    text = single(raw) if separator == BLANK else raw
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
