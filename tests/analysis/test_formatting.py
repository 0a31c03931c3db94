"""A frame as people read it: the same on every engine, nothing computed that is not shown."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

import rfm
from rfm.analysis import formatting

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


WORDS = [
    (formatting.amount(9.5, "£"), "£9.50"),
    (formatting.amount(1234.5, "£"), "£1,234"),
    (formatting.amount(Decimal("-1234.50"), "£", whole_from=1000), "−£1,234"),
    (formatting.amount(Decimal("999.9"), "£", whole_from=1000), "£999.90"),
    (formatting.exact_amount(Decimal("-1234.5"), "€", minus="-"), "-€1,234.50"),
    (formatting.short_amount(1_240_000, "£"), "£1.24 M"),
    (formatting.short_amount(-53_400, "£"), "−£53 k"),
    (formatting.short_amount(871), "871"),
    (formatting.number(1234.0), "1,234"),
    (formatting.count(1, "day"), "1 day"),
    (formatting.count(2.5, "day"), "2.5 days"),
    (formatting.share(0.123), "12%"),
    (formatting.share(Decimal("0.015")), "1.5%"),
    (formatting.share(Decimal("-0.03")), "−3%"),
    (formatting.share(-0.0001), "0%"),
    (formatting.times(1), "once"),
    (formatting.times(2.5), "2.5 times"),
    (formatting.ago(0), "today"),
    (formatting.ago(3), "3 days ago"),
    (formatting.file_size(None), "-"),
    (formatting.file_size(999), "999 B"),
    (formatting.file_size(1_500_000), "1.5 MB"),
]


@pytest.mark.parametrize(("text", "wanted"), WORDS, ids=[wanted for _, wanted in WORDS])
def test_numbers_in_words(text, wanted):
    assert text == wanted


@pytest.mark.parametrize("text", ["=1+1", "'=1", "a;=1", "\t@x", "\uff1d1", "-5"])
def test_formulas_are_escaped_and_read_back(text):
    assert formatting.harmless(text) != text
    assert formatting.as_it_was(formatting.harmless(text)) == text
