"""Rows of bronze: further columns as JSON, columns with a meaning first, lines of orders numbered, blank repeats filled."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.dialect import Columns
from rfm.landing import decode
from rfm.landing.csv import ReadOptions, iter_tables, parse

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


# ── columns with a meaning, orders, blank repeats ────────────────────
COLUMNS = Columns(
    invoice="Order", invoice_date="Day", customer_id="Buyer", price="Sum", quantity="", stock_code="", description="", country="",
    cancelled="Void", status="State", store="Till",
)  # fmt: skip
NAMED = ["Order", "Day", "Buyer", "Sum", "Note", "Till", "State", "Void"]


def rescued(*lines: str, columns: Columns = COLUMNS, **more: Any) -> list[str | None]:
    """Return what bronze keeps of lines besides its columns."""
    raw = "\n".join([",".join(NAMED), *lines]).encode() + b"\n"
    return parse(raw, "x.csv", "utf-8", ",", columns, **more)["_rescued_data"].to_pylist()


def test_columns_with_a_meaning_come_first_and_always():
    assert rescued("1,2025-01-05,C1,2.50,gift,M1,Paid,x", "2,2025-01-05,C1,2.50,,,,") == [
        '{"cancelled": "x", "_status": "Paid", "_store": "M1", "Note": "gift"}',
        '{"_status": "", "_store": ""}',
    ]


def test_values_cannot_forge_the_keys_before_them():
    (found,) = rescued('1,2025-01-05,C1,2.50,,M1,"a"", ""_store"": ""M2\\",')
    assert found == '{"_status": "a, _store: M2", "_store": "M1"}'


def test_headers_cannot_forge_the_keys():
    raw = b"Order,Day,Buyer,Sum,_order_line,_kind,Void,State,Till,cancelled\n1,2025-01-05,C1,2.50,1,total,,Paid,M1,x\n"
    (found,) = parse(raw, "x.csv", "utf-8", ",", COLUMNS)["_rescued_data"].to_pylist()
    assert found == '{"_status": "Paid", "_store": "M1", " _order_line": "1", " _kind": "total", " cancelled": "x"}'


def test_only_known_columns_stay_where_customers_are_hidden(monkeypatch):
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "key")
    hidden = COLUMNS.model_copy(update={"hash_customers": True})
    assert rescued("1,2025-01-05,C1,2.50,Jane,M1,Paid,", columns=hidden) == ['{"_status": "Paid", "_store": "M1"}']


def test_further_columns_can_be_left_out():
    assert rescued("1,2025-01-05,C1,2.50,gift,M1,Paid,", further=False) == ['{"_status": "Paid", "_store": "M1"}']


def test_lines_of_an_order_are_numbered_by_order_and_till():
    lines = ["1,2025-01-05,C1,1,,M1,,", "1,2025-01-05,C1,1,,M2,,", "2,2025-01-05,C1,1,,M1,,", "1,2025-01-05,C1,1,,M1,,"]
    found = [json.loads(one)["_order_line"] for one in rescued(*lines, ",2025-01-05,C1,1,,M1,,", count_orders=("Invoice",))]
    assert found == ["1", "1", "1", "2", "1"]


def test_orders_that_start_again_are_told_apart_by_day():
    lines = ["1,2025-01-05,C1,1,,,,", "1,2025-01-06,C2,1,,,,", "1,2025-01-06,C2,1,,,,"]
    found = [json.loads(one)["_order_line"] for one in rescued(*lines, count_orders=("Invoice", "InvoiceDate"))]
    assert found == ["1", "1", "2"]


GROUPED = [
    "1,2025-01-05,C1,1,,M1,Paid,",
    ",,,2,,,,",
    " ,,,3,,,,",
    "2,2025-01-06,,4,,,,",
    ",,,5,,,,",
    "2,,,6,,,,",
    "3,2025-01-07,C3,7,,,,",
]
FILL = ("Order", "Day", "Buyer")


def filled(*lines: str, fill: tuple[str, ...] = FILL, **more: Any) -> list[tuple]:
    """Return order, day and buyer of lines after blank repeats are filled."""
    raw = "\n".join([",".join(NAMED), *lines]).encode() + b"\n"
    pieces = iter_tables(io.BytesIO(raw), "x.csv", ReadOptions("utf-8", ",", COLUMNS, fill_down=fill, **more))
    rows = [row for piece in pieces for row in piece.to_pylist()]
    return [(row["Invoice"], row["InvoiceDate"], row["CustomerID"]) for row in rows]


WHOLE = [("1", "2025-01-05", "C1")] * 3 + [("2", "2025-01-06", None)] * 3 + [("3", "2025-01-07", "C3")]


def test_blank_cells_have_the_value_above_within_their_order():
    assert filled(*GROUPED) == WHOLE


@pytest.mark.parametrize("size", [10, 50, 90])
def test_blank_cells_are_filled_across_pieces(size, monkeypatch):
    monkeypatch.setattr(decode, "PIECE", size)
    monkeypatch.setattr("rfm.landing.header.FIRST_BYTES", 70)
    assert filled(*GROUPED) == WHOLE


def test_a_row_says_which_cells_were_filled():
    found = [json.loads(one).get("_filled") for one in rescued(*GROUPED, fill_down=FILL)]
    assert found == [None, "Order,Day,Buyer", "Order,Day,Buyer", None, "Order,Day", "Day", None]


def test_empty_lines_and_totals_are_not_filled():
    lines = [GROUPED[0], ",,,,,,,", ",,Total,9,,,,", GROUPED[1]]
    assert filled(*lines) == [("1", "2025-01-05", "C1")] * 2 + [(None, None, None)] * 2


def test_a_value_on_the_first_line_only_is_filled_for_its_order():
    lines = ["1,2025-01-05,C1,1,,,,", "1,,,2,,,,", "2,,,3,,,,"]
    assert filled(*lines, fill=("Day", "Buyer")) == [("1", "2025-01-05", "C1")] * 2 + [("2", None, None)]
