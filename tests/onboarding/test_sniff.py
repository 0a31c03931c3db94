"""The beginnings of files: the table below titles, the sheets with sales, files in archives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from rfm.landing.header import AUTO
from rfm.onboarding.sniff import FileProfile, input_of, look_at
from tests.landing.test_sheets import workbook

NAMES = ["Order", "Day", "Buyer", "Sum"]
LINES = [[f"A{number}", "2025-01-05", f"C{number % 7}", f"{number}.50"] for number in range(60)]


def profile(folder: Path, name: str, raw: bytes) -> FileProfile:
    """Return what the beginning of a file says."""
    (folder / name).write_bytes(raw)
    sample = look_at(input_of([str(folder / name)], "*"))
    assert sample.refused == {}
    return sample.first


def text(*lines: list[str], separator: str = ",") -> bytes:
    """Return lines as CSV."""
    return "".join(f"{separator.join(line)}\n" for line in lines).encode()


def test_lines_around_the_table_are_no_samples(tmp_path):
    lines = [
        ["HDR", "2025"],
        ["Sales of the week"],
        NAMES,
        *LINES[:30],
        NAMES,
        *LINES[30:],
        ["Total", "", "", "9"],
        ["TRL", "60"],
    ]
    found = profile(tmp_path, "a.csv", text(*lines, separator=";"))
    assert (found.between, found.separator, found.header) == (";", AUTO, "Order;Day;Buyer;Sum")
    assert found.lines.to_pydict() == {name: list(column) for name, column in zip(NAMES, zip(*LINES, strict=True), strict=True)}


def test_names_that_come_twice_are_told_by_their_place(tmp_path):
    found = profile(tmp_path, "a.csv", text([*NAMES, "Note", "Note"], *([*line, "", "x"] for line in LINES)))
    assert found.lines.column_names == [*NAMES, "Note (column 5)", "Note (column 6)"]


def test_a_separator_at_the_end_of_lines_is_an_empty_column(tmp_path):
    found = profile(tmp_path, "a.csv", text(NAMES, *([*line, ""] for line in LINES), separator="|"))
    assert (found.lines.num_rows, found.lines.column_names) == (60, [*NAMES, "column 5"])


def test_sheets_are_named_with_why_they_are_not_read(tmp_path):
    raw = workbook(Cover=[["Report"]], One=[["Sales"], NAMES, *LINES], Two=[row[::-1] for row in [NAMES, *LINES]], Rest=LINES)
    found = profile(tmp_path, "a.xlsx", raw)
    assert found.sheets == {"Cover": "has no table", "One": "read", "Two": "read", "Rest": "has other columns"}
    assert found.lines.num_rows == 120


def test_the_first_file_of_an_archive_is_looked_at(tmp_path):
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as packed:
        packed.writestr("in/sales.csv", text(NAMES, *LINES))
    assert profile(tmp_path, "a.zip", written.getvalue()).lines.num_rows == 60
