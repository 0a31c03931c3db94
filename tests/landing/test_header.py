"""Where the table is: titles, repeated headers, totals and records around the lines, and names that come twice."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from rfm.dialect import Columns
from rfm.errors import InputError
from rfm.landing import decode
from rfm.landing.csv import ReadOptions, iter_tables, parse
from rfm.landing.header import detect_separator, find_header, join_headers, with_places

NAMES = ["Order", "Day", "Buyer", "Sum"]
COLUMNS = Columns(
    invoice="Order", invoice_date="Day", customer_id="Buyer", price="Sum", quantity="", stock_code="", description="", country=""
)
LINES = [[f"A{number}", "2025-01-05", f"C{number % 7}", f"{number}.50"] for number in range(120)]


def text(*lines: Sequence[str], separator: str = ",") -> bytes:
    """Return lines as CSV."""
    return "".join(f"{separator.join(line)}\n" for line in lines).encode()


def bronze(raw: bytes, columns: Columns = COLUMNS, **more: Any) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    return parse(raw, "x.csv", columns=columns, **more).to_pylist()


def apart(raw: bytes, columns: Columns = COLUMNS) -> list[dict[str, Any]]:
    """Return the lines of a file that are no rows."""
    found = [json.loads(row["_rescued_data"] or "{}") for row in bronze(raw, columns)]
    return [one for one in found if "_raw" in one]


# each: the lines, how many are rows, and the kinds of the others with their line
AROUND: dict[str, tuple[list[list[str]], int, list[tuple[str, int]]]] = {
    "nothing": ([NAMES, *LINES], 120, []),
    "titles": ([["Sales of the week"], ["Made 2025-04-01"], NAMES, *LINES], 120, [("title", 1), ("title", 2)]),
    "titles as wide as the table": ([["Sales", "", "", ""], ["", "", "", ""], NAMES, *LINES], 120, [("title", 1)]),
    "a blank line below the title": ([["Sales"], [], NAMES, *LINES], 120, [("title", 1)]),
    "the header again": ([NAMES, *LINES[:60], NAMES, *LINES[60:]], 120, [("header", 62)]),
    "the header in other letters": ([NAMES, *LINES[:9], ["ORDER", "DAY", "BUYER", "SUM"], *LINES[9:]], 120, [("header", 11)]),
    "a total": ([NAMES, *LINES, ["", "", "Total:", "99.00"]], 120, [("total", 122)]),
    "a total in the first column": ([NAMES, *LINES, ["Summe", "", "", "99.00"]], 120, [("total", 122)]),
    "a total in the column of the day": ([NAMES, *LINES, ["", "Grand Total", "", "99.00"]], 120, [("total", 122)]),
    "a short total": ([NAMES, *LINES, ["Razem", "99.00"]], 120, [("total", 122)]),
    "empty lines": ([NAMES, *LINES, ["", "", "", ""], [" ", ""]], 120, [("empty", 122), ("empty", 123)]),
    "records": ([["HDR", "2025", "SALES"], NAMES, *LINES, ["TRL", "120"]], 120, [("record", 1), ("record", 123)]),
    "all at once": (
        [["HDR", "1"], ["Sales"], NAMES, *LINES[:50], NAMES, *LINES[50:], ["Total", "", "", "9"], ["EOF"]],
        120,
        [("record", 1), ("title", 2), ("header", 54), ("total", 125), ("record", 126)],
    ),
}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("case", AROUND)
def test_lines_around_the_table_are_kept_by_kind(case, separator):
    lines, rows, kinds = AROUND[case]
    raw = text(*lines, separator=separator)
    found = apart(raw)
    assert [(one["_kind"], one["_line"]) for one in found] == kinds
    assert len(bronze(raw)) == rows + len(kinds)
    assert [row["Invoice"] for row in bronze(raw) if row["Invoice"]] == [line[0] for line in LINES]
    written = raw.decode().splitlines()
    assert [one["_raw"] for one in found] == [written[one["_line"] - 1] for one in found]


@pytest.mark.parametrize("size", [7, 64, 1000])
@pytest.mark.parametrize("case", AROUND)
def test_small_pieces_give_the_same_rows(case, size, monkeypatch):
    raw = text(*AROUND[case][0])
    whole = bronze(raw)
    monkeypatch.setattr(decode, "PIECE", size)
    pieces = [row for piece in iter_tables(io.BytesIO(raw), "x.csv", ReadOptions(columns=COLUMNS)) for row in piece.to_pylist()]
    assert sorted(pieces, key=str) == sorted(whole, key=str)


def test_a_customer_called_total_is_no_total():
    line = ["A900", "2025-01-05", "Total", "7.00"]
    assert apart(text(NAMES, *LINES, line)) == []


def test_a_line_cut_off_is_none_of_these():
    (found,) = apart(text(NAMES, *LINES, ["A900", "2025-01-05"]))
    assert "_kind" not in found


def test_sales_above_the_header_are_no_titles():
    """Lines under another header, which lacks a column, are unread sales: they count as dropped."""
    old = ["Order", "Day", "Sum"], *([number, day, money] for number, day, _, money in LINES[:9])
    found = apart(text(*([*line, "1"] for line in old), NAMES, *LINES))
    assert [one.get("_kind") for one in found] == ["title", *[None] * 9]


def test_hidden_customers_are_not_in_the_lines_around(monkeypatch):
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "key")
    raw = text(["Sales to Jane"], NAMES, *LINES, ["", "", "Total", "9"], ["TRL", "Jane"])
    found = str(bronze(raw, COLUMNS.model_copy(update={"hash_customers": True})))
    assert "Jane" not in found
    assert all(f'"_kind": "{kind}"' in found for kind in ("title", "total", "record"))


# ── trailing separators ──────────────────────────────────────────────
def test_lines_that_all_end_with_a_separator_fit():
    raw = text(NAMES, *([*line, ""] for line in LINES))
    assert [row["Invoice"] for row in bronze(raw)] == [line[0] for line in LINES]
    assert {row["_rescued_data"] for row in bronze(raw)} == {None}


@pytest.mark.parametrize("lines", [1, 2, 30, 31, 32, 120])
def test_a_header_that_ends_with_a_separator_fits(lines):
    raw = text([*NAMES, ""], *LINES[:lines])
    assert [row["Price"] for row in bronze(raw)] == [line[3] for line in LINES[:lines]]


def test_a_last_field_with_a_value_does_not_fit():
    found = apart(text(NAMES, *([*line, "7"] for line in LINES)))
    assert len(found) == len(LINES)


# ── names ────────────────────────────────────────────────────────────
def test_unused_columns_of_one_name_are_told_by_their_place():
    raw = text([*NAMES, "Note", "note"], *([*line, "a", "b"] for line in LINES[:3]))
    assert {row["_rescued_data"] for row in bronze(raw)} == {'{"Note (column 5)": "a", "note (column 6)": "b"}'}


def test_a_used_column_that_comes_twice_is_refused():
    with pytest.raises(InputError, match=r"Sum appear twice; .*Sum \(column 4\), Sum \(column 5\)"):
        bronze(text([*NAMES, "Sum"], *([*line, "1"] for line in LINES)))


def test_one_of_two_columns_can_be_set_by_its_place():
    columns = COLUMNS.model_copy(update={"price": "Sum (column 5)"})
    rows = bronze(text([*NAMES, "Sum"], *([*line, "1.25"] for line in LINES)), columns)
    assert {row["Price"] for row in rows} == {"1.25"}


def test_names_get_a_place_only_where_they_need_one():
    assert with_places(["a", " ", "B", "b"]) == ["a", "column 2", "B (column 3)", "b (column 4)"]


# ── the header without settings ──────────────────────────────────────
@pytest.mark.parametrize(
    ("lines", "at"),
    [
        ([NAMES, *LINES], 0),
        ([["Sales"], NAMES, *LINES], 1),
        ([["Sales", "", "", ""], ["Period", "2025-01-01", "", ""], NAMES, *LINES], 2),
        ([["HDR", "2025", "SALES"], ["Sales"], NAMES, *LINES], 2),
        ([["Shop:", "Corner", "", ""], NAMES, *LINES], 1),
        ([["", *NAMES], *(["7", *line] for line in LINES)], 0),
        (LINES, 0),
        ([["Day", "Note"], ["Jan 5, 2025", "a"], ["Jan 6, 2025", "b"]], 0),
    ],
)
def test_the_header_names_the_columns_below(lines, at):
    assert find_header(lines) == at


def test_the_separator_is_that_of_the_table_not_of_its_title():
    raw = text(["Sales, by order, day, buyer"], []) + text(NAMES, *LINES, separator=";")
    assert detect_separator(raw) == ";"
    assert detect_separator(raw, ["order", "day", "buyer", "sum"]) == ";"


def test_the_separator_is_found_where_all_lines_end_with_one():
    raw = text(["HDR 2025"], ["Sales report of"]) + text(NAMES, *([*line, ""] for line in LINES), separator=";")
    assert detect_separator(raw, blanks=True) == ";"


TWO_ROWS = [  # groups, names below them, and what both are
    (
        "Order,,Customer,,Payment",
        "Number,Date,ID,Name,Amount",
        "Order Number,Order Date,Customer ID,Customer Name,Payment Amount",
    ),
    ("Order,,Product,,Customer", "ID,Date,ID,Name,ID", "Order ID,Order Date,Product ID,Product Name,Customer ID"),
    ("Order,Order,Customer,Total", "No.,date,ID,amount", "Order No.,Order date,Customer ID,Total amount"),
    ("Sales report,,,,", "Order,Date,Customer,City,Amount", "Order,Date,Customer,City,Amount"),  # a title
    ("Exported by,Anna,,,", "Order,Date,Customer,City,Amount", "Order,Date,Customer,City,Amount"),
]


@pytest.mark.parametrize(("groups", "names", "whole"), TWO_ROWS)
def test_names_in_two_rows_are_put_together(groups, names, whole):
    sales = [f"{i},2026-03-0{i},K{i},X,{i}.50"[: None if names.count(",") == 4 else -4] for i in range(1, 9)]
    rows = [line.split(",") for line in (groups, names, *sales)]
    assert ",".join(join_headers(rows)[find_header(join_headers(rows))]) == whole
