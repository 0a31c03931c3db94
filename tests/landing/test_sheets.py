"""Sheets of workbooks and files in archives: those with sales are read, all others are named, bombs are refused."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from typing import Any

import pytest
import xlsxwriter

from rfm.dialect import Columns
from rfm.errors import InputError
from rfm.landing.csv import ReadOptions, iter_tables, parse
from rfm.landing.decode import to_utf8
from rfm.landing.reader import read_files
from rfm.landing.sheets import read_archive

DAY = dt.date(2025, 3, 1)
NAMES = ["Order", "Day", "Buyer", "Sum"]
COLUMNS = Columns(
    invoice="Order", invoice_date="Day", customer_id="Buyer", price="Sum", quantity="", stock_code="", description="", country=""
)
LINES = [[f"A{number}", "2025-01-05", f"C{number}", 1.5 + number] for number in range(30)]
SALES = [NAMES, *LINES]


def workbook(**sheets: list[list[Any]]) -> bytes:
    """Return a workbook of sheets."""
    written = io.BytesIO()
    with xlsxwriter.Workbook(written, {"in_memory": True}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for at, row in enumerate(rows):
                sheet.write_row(at, 0, row)
    return written.getvalue()


def archive(**files: bytes) -> bytes:
    """Return a ZIP archive; `__` in a name stands for a dot."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, raw in files.items():
            packed.writestr(name.replace("__", "."), raw)
    return written.getvalue()


def csv(rows: list[list[Any]]) -> bytes:
    """Return rows as CSV."""
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def rows(raw: bytes, notes: list[str] | None = None, columns: Columns = COLUMNS) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    return [row for piece in iter_tables(io.BytesIO(raw), "x", ReadOptions(columns=columns), notes) for row in piece.to_pylist()]


def orders(raw: bytes, notes: list[str] | None = None) -> list[str]:
    """Return the orders in a file."""
    return [row["Invoice"] for row in rows(raw, notes) if row["Invoice"]]


ALL = [line[0] for line in LINES]


def test_titles_and_totals_of_a_sheet_are_kept_with_their_row():
    found = rows(workbook(S=[["Sales"], [], *SALES, [], ["Total", "", "", 7]]))
    apart = [json.loads(row["_rescued_data"]) for row in found if row["_rescued_data"]]
    assert [(one["_kind"], one["_line"]) for one in apart] == [("title", 1), ("total", 35)]
    assert len(found) == len(LINES) + 2


def test_a_sheet_of_other_columns_is_named():
    notes: list[str] = []
    raw = workbook(Notes=[["Ask the office"]], Data=SALES, Month=[["Day", "Sum"], ["2025-01-05", 7]], More=LINES)
    assert orders(raw, notes) == ALL
    said = "x: sheet 'More' is not read: it lacks 4 of the 4 columns; give it the same header as the others if it has sales"
    assert notes == [said]


def test_all_sheets_with_the_columns_are_read_in_any_order():
    second = [[str(cell).upper() for cell in row][::-1] for row in SALES]
    assert orders(workbook(One=SALES, Two=second)) == ALL * 2


def test_an_order_that_goes_on_in_the_next_sheet_is_filled():
    head, more = ["Order", "Day", "Buyer", "Sum"], ["SUM", "BUYER", "DAY", "ORDER"]
    raw = workbook(
        One=[head, ["A1", "2025-01-05", "C1", 5], ["", "", "", 6]], Two=[more, [7, "", "", ""], [8, "C2", "2025-01-06", "A2"]]
    )
    pieces = iter_tables(io.BytesIO(raw), "x", ReadOptions(columns=COLUMNS, fill_down=("Order", "Day", "Buyer")))
    found = [(row["Invoice"], row["CustomerID"]) for piece in pieces for row in piece.to_pylist()]
    assert found == [("A1", "C1")] * 3 + [("A2", "C2")]


def test_a_workbook_without_sales_says_which_sheets_it_has():
    with pytest.raises(InputError, match=r"sheet 'B' \(the other sheets: A\): lacks 2 required column\(s\): Sum, Buyer"):
        rows(workbook(A=[["Notes"], ["x"]], B=[["Order", "Day"], ["A1", "2025-01-05"]]))


def test_text_of_a_workbook_has_its_largest_table():
    raw = workbook(Notes=[["a"], ["b"]], One=SALES, Two=[row[::-1] for row in SALES], Stock=[["Item", "Left"], ["x", 5]])
    assert to_utf8(raw, "x") == csv(SALES) + csv(LINES)


def test_rows_of_a_sheet_stand_on_their_line_of_the_text():
    lines = to_utf8(workbook(S=[["Sales"], [], *SALES]), "x").decode().split("\n")
    assert lines[:3] == ["Sales,,,", "", "Order,Day,Buyer,Sum"]


def test_the_reader_says_which_sheets_it_left_out(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(workbook(More=LINES, Data=SALES))
    reading = read_files(str(tmp_path), ["a.xlsx"], DAY, columns=COLUMNS)
    assert sum(table.num_rows for _, table in reading) == len(LINES)
    (said,) = reading.left_out
    assert said.startswith("a.xlsx: sheet 'More' is not read")


# ── archives ─────────────────────────────────────────────────────────
def test_all_files_of_an_archive_are_read():
    assert orders(archive(a__csv=csv(SALES), b__xlsx=workbook(S=SALES), __MACOSX=b"x")) == ALL * 2
    about = {"README.txt": b"An export\n", "../a.csv": csv(SALES), "./b.csv": csv(SALES), "d/.c.csv": b"x"}
    assert orders(archive(**about)) == ALL * 2


def test_files_stored_in_an_archive_are_not_taken_for_a_workbook():
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("sales.xlsx", workbook(S=SALES))
    assert orders(written.getvalue()) == ALL


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (archive(), "without a file"),
        (archive(a__zip=archive(b__csv=csv(SALES))), "an archive in an archive"),
        (archive(a__csv=csv(SALES), b__csv=b"a,b\n1,2\n"), "x: b.csv: not a sales file"),
        (archive(a__csv=csv(SALES), readme__csv=b"a,b\n1,2\n"), "x: readme.csv: not a sales file"),
        (archive(**{f"f{number}": csv(SALES) for number in range(21)}), "send at most 20 files"),
        (archive(a__csv=bytes(40 << 20)), "unpack from"),
        (archive(a__csv=csv(SALES))[:-30], "a ZIP archive that cannot be read"),
        (archive(a__csv=csv(SALES)).replace(b"PK\x01\x02\x14\x03\x14\0\0", b"PK\x01\x02\x14\x03\x14\0\1"), "cannot be read"),
    ],
)
def test_archives_that_are_no_export_are_refused(raw, said):
    with pytest.raises(InputError, match=said):
        rows(raw)


# ── bombs ────────────────────────────────────────────────────────────
def with_part(raw: bytes, part: str, old: bytes, new: bytes) -> bytes:
    """Return a packed file with another text in one of its parts."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as source, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            assert name != part or old in content
            target.writestr(name, content.replace(old, new) if name == part else content)
    return written.getvalue()


def test_a_cell_far_from_its_table_is_refused():
    raw = with_part(workbook(S=SALES), "xl/worksheets/sheet1.xml", b'r="D31"', b'r="XFD1048576"')
    with pytest.raises(InputError, match="cells far from its table"):
        rows(raw)


ODS = "application/vnd.oasis.opendocument.spreadsheet"


def open_document(cells: str) -> bytes:
    """Return an ODS workbook with rows."""
    spaces = " ".join(f'xmlns:{one}="urn:oasis:names:tc:opendocument:xmlns:{one}:1.0"' for one in ("office", "table", "text"))
    sheet = f'<office:spreadsheet><table:table table:name="S">{cells}</table:table></office:spreadsheet>'
    body = f"<office:document-content {spaces}><office:body>{sheet}</office:body></office:document-content>"
    entry = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{ODS}"/>'
    manifest = (
        f'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entry}</manifest:manifest>'
    )
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("mimetype"), ODS)
        packed.writestr("META-INF/manifest.xml", manifest)
        packed.writestr("content.xml", body)
    return written.getvalue()


def cell(value: Any, repeated: int = 1) -> str:
    """Return a cell of an ODS sheet."""
    again = f' table:number-columns-repeated="{repeated}"' if repeated > 1 else ""
    return f'<table:table-cell{again} office:value-type="string"><text:p>{value}</text:p></table:table-cell>'


def row(*cells: str, repeated: int = 1) -> str:
    """Return a row of an ODS sheet."""
    return f'<table:table-row table:number-rows-repeated="{repeated}">{"".join(cells)}</table:table-row>'


def test_an_ods_workbook_is_read():
    assert orders(open_document("".join(row(*map(cell, line)) for line in SALES))) == ALL


@pytest.mark.parametrize(
    "cells", [row(cell("x", 16384)), row(cell("x"), repeated=1_000_000), row(cell("x", 16384), repeated=1_000_000)]
)
def test_values_repeated_without_end_are_refused(cells):
    with pytest.raises(InputError, match="cells far from its table"):
        rows(open_document(row(*map(cell, NAMES)) + cells))


def test_hidden_customers_of_a_sheet_are_in_no_title(monkeypatch):
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "key")
    hidden = COLUMNS.model_copy(update={"hash_customers": True})
    assert "C7" not in str(rows(workbook(S=[["C7"], *SALES, ["Total", "", "C7", 7]]), columns=hidden))


def test_parse_takes_archives_as_well():
    assert parse(archive(a__csv=csv(SALES)), "x", columns=COLUMNS).num_rows == len(LINES)


def test_a_source_that_fails_is_no_damaged_archive():
    def chunks() -> Any:
        yield b"PK\x03\x04"
        raise ConnectionResetError("the bucket hung up")

    with pytest.raises(ConnectionResetError):
        next(read_archive(chunks(), "sales.zip", "auto"))
