"""Columns that bronze does not know: their JSON, byte for byte as `json.dumps` writes it."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from rfm.landing.csv import parse

USUAL = ["Invoice", "StockCode", "Description", "Quantity", "Price", "Customer ID", "Country", "InvoiceDate"]
LINE = ["1", "A", "MUG", "1", "2.50", "7", "EIRE", "2026-01-05"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1a\r\n\ufeff"), max_size=6)
NAMES = st.lists(st.text('ab"\\é ,', min_size=1, max_size=4).map(lambda text: f"n{text}n"), min_size=1, max_size=3)


@given(names=NAMES, rows=st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=1, max_size=6))
def test_further_columns_are_the_json_of_python(names, rows):
    names = [f"{name}{place}" for place, name in enumerate(names)]
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([[*USUAL, *names], *([*LINE, *row[: len(names)]] for row in rows)])
    found = parse(written.getvalue().encode(), "x.csv", "utf-8", ",")["_rescued_data"].to_pylist()
    kept = [{name: text for name, text in zip(names, row, strict=False) if text} for row in rows]
    assert found == [json.dumps(fields, ensure_ascii=False) if fields else None for fields in kept]
