"""A frame as people read it: the same on every engine, nothing computed that is not shown."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

import rfm

ROWS = {
    "Name": ["a", None],
    "Year": [2025, 2026],
    "Lines": [9_999, 10_000],
    "Spent": [Decimal("1234.50"), Decimal("0.00")],
    "Share": [0.25, None],
    "Average": [1234.5, 2.0],
    "Known": [True, None],
    "Day": [dt.date(2025, 6, 26), None],
    "At": [dt.datetime(2025, 6, 26, 5, 4, 59, tzinfo=dt.UTC), None],
    "Nothing": pl.Series([None, None], dtype=pl.String),
}
FRAME = pl.DataFrame(ROWS)
KINDS = ["text", "whole number", "whole number", "amount", "number", "number", "yes or no", "date", "time", ""]
SHOWN = [
    ["a", "2025", "9,999", "1,234.50", "0.25", "1,234.5", "yes", "2025-06-26", "2025-06-26 05:04", ""],
    ["", "2026", "10,000", "0.00", "", "2.0", "", "", "", ""],
]


@pytest.mark.parametrize("frame", [FRAME, FRAME.lazy(), FRAME.to_pandas(use_pyarrow_extension_array=True), FRAME.to_pandas()])
def test_values_are_written_as_people_read_them(frame):
    shown = rfm.show(frame)
    assert shown.to_numpy().tolist() == SHOWN
    assert shown.columns.tolist() == list(zip(ROWS, KINDS, strict=True))


def test_numbers_have_the_decimals_that_they_need():
    frame = pd.DataFrame({"Whole": [2.0, 14.0], "Half": [13.5, 1164.0], "Share": [0.12345, 0.5], "Spent": [12.345, 0.1]})
    assert rfm.show(frame).to_numpy().T.tolist() == [["2", "14"], ["13.5", "1,164.0"], ["0.1235", "0.5000"], ["12.35", "0.10"]]


def test_first_rows_alone_are_shown_and_the_frame_is_as_it_was():
    frame = pd.DataFrame({"Lines": range(7)})
    assert [len(rfm.show(frame)), len(rfm.show(frame, 2)), len(rfm.show(frame, 9))] == [5, 2, 7]
    assert frame.equals(pd.DataFrame({"Lines": range(7)}))


def test_frame_without_rows_shows_its_columns():
    assert [name for name, _ in rfm.show(FRAME.head(0)).columns] == list(ROWS)


def test_text_of_the_data_is_escaped_in_a_notebook():
    assert "<script>" not in rfm.show(pd.DataFrame({"Name": ["<script>alert(1)</script>"]}))._repr_html_()
