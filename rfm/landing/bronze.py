"""Rows of a file → rows of bronze: columns by name, further columns as JSON, blank repeats filled, lines of orders numbered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.config import EXTRA_KEYS, FLAG, RAW, Columns, plain_name
from rfm.landing.decode import Mask
from rfm.landing.header import Rows

ESCAPED = r'["\\\x00-\x1f]'  # characters that JSON writes otherwise
BETWEEN = ", "
ORDER_LINE, FILLED = "_order_line", "_filled"
RESERVED = {*EXTRA_KEYS.values(), ORDER_LINE, FILLED, "_raw", "_line", "_kind", "_fields"} - {FLAG}


@dataclass
class Bronze:
    """Makes the rows of a file rows of bronze, piece by piece; it remembers the row above and the orders seen."""

    columns: Columns
    mask: Mask | None
    further: bool
    fill_down: tuple[str, ...]
    count_orders: tuple[str, ...]
    above: dict[str, str | None] = field(default_factory=dict)
    seen: Counter = field(default_factory=Counter)

    def table(self, rows: Rows) -> pa.Table:
        """Return rows with the columns of bronze, whatever their names and order in the file, and below them the other lines."""
        table, header, bad = rows.table, rows.header, rows.bad
        found = {plain_name(column): i for i, column in enumerate(header)}
        places = {raw: found.get(plain_name(name)) if name else None for raw, name in self.columns.headers.items()}
        named = {key: found[plain_name(name)] for key, name in self.columns.extras.items()} if header else {}
        self.above = {} if rows.first else self.above
        table, filled = self._filled(table, header, places["Invoice"])
        values = {raw: pa.nulls(table.num_rows, pa.string()) if i is None else table[i] for raw, i in places.items()}
        members = [_extra_member(key, table[i]) for key, i in named.items()]
        members += [_member(ORDER_LINE, self._order_lines(values, table[named["store"]] if "store" in named else None))] * bool(
            self.count_orders
        )
        members += filled
        if self.further and not self.mask:  # of customers to hide, any other column may hold ids or names
            used = {*places.values(), *named.values()}
            members += [_member(self._key(name), table[i]) for i, name in enumerate(header) if i not in used]
        if self.mask:
            values["CustomerID"], bad = self.mask(values["CustomerID"]), self.mask.bad(bad)
        rescued = _json_of(members) if members else pa.nulls(table.num_rows, pa.string())
        good = pa.table([*values.values(), rescued], [*values, "_rescued_data"])
        return pa.concat_tables([good, _rescued(bad, good.schema)]) if bad else good

    def _key(self, name: str) -> str:
        """Return the key of a further column, which is none of those with a meaning."""
        return f" {name}" if name in RESERVED or name == FLAG and self.columns.cancelled else name

    def _filled(self, table: pa.Table, header: Sequence[str], order: int | None) -> tuple[pa.Table, list[Any]]:
        """Return a table whose blank cells have the value above, within an order, and which cells of a row these are."""
        wanted = {plain_name(name) for name in self.fill_down}
        places = [i for i, name in enumerate(header) if plain_name(name) in wanted]
        if not places or not table.num_rows:
            return table, []
        row = pa.table([pa.array([self.above.get(name)], pa.string()) for name in header], table.column_names)
        table = pa.concat_tables([row, table]).combine_chunks()
        known = {i: _known(table[i]) for i in range(len(header))}
        empty = ~np.logical_or.reduce(list(known.values()))
        at = np.arange(table.num_rows)
        start, texts = np.zeros_like(at), []
        if order is not None:  # a blank order is that of the line above
            orders = pc.fill_null_forward(table[order]).combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
            start = np.maximum.accumulate(np.where(np.append(True, orders[1:] != orders[:-1]), at, 0))
        for i in places:
            last = np.maximum.accumulate(np.where(known[i], at, -1))
            takes = ~known[i] & (last >= (0 if i == order else start))
            self.above[header[i]] = table[i][int(last[-1] if takes[-1] else at[-1])].as_py()
            takes &= ~empty
            table = table.set_column(i, table.column_names[i], table[i].take(pa.array(np.where(takes, last, at))))
            texts.append(pc.if_else(pa.array(takes), f",{header[i]}", ""))
        if order is not None and order not in places:
            self.above[header[order]] = pc.fill_null_forward(table[order])[-1].as_py()
        joined = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*texts, ""), 1)
        return table.slice(1), [_member(FILLED, pc.if_else(pc.equal(joined, ""), None, joined).slice(1))]

    def _order_lines(self, values: dict[str, Any], store: Any) -> pa.Array:
        """Return the number of each line within its order, in the file so far; a line without an order is one of its own."""
        keys = [values[name].to_pylist() for name in self.count_orders] + ([] if store is None else [store.to_pylist()])
        return pa.array(list(map(self._next, zip(*keys, strict=True))), pa.string())

    def _next(self, key: tuple) -> str:
        """Return the number of the next line of an order."""
        if key[0] is None:
            return "1"
        self.seen[key] += 1
        return str(self.seen[key])


def _known(column: Any) -> np.ndarray:
    """Return which cells hold more than blanks."""
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
