"""The customers of a run as files: the rows of the tables, harmless in a spreadsheet, the same bytes for the same customers."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from rfm.report import customers as exports
from rfm.report.filters import slug

DAY = dt.date(2025, 10, 23)
SEGMENTS = ["Champions", "VIP At Risk", "Champions", "Hibernating"]
WHY = ["=1+1", "Müller, «naïve» £", "box;@SUM(A1)", None]


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """Return four customers in the types of the lake; one came into a dormant segment, one is new."""
    text, number = pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.int32())
    frame = pd.DataFrame({name: pd.array(["x"] * 4, text) for name in exports.COLUMNS})
    return frame.assign(
        CustomerID=pd.array(["12346", "-7", "\t3", "+44"], text),
        Cluster_Description=pd.array(SEGMENTS, text),
        Segment_Before=pd.array(["Champions", "Champions", None, "Hibernating"], text),
        MaxInvoiceDate=pd.array([DAY] * 4, pd.ArrowDtype(pa.date32())),
        Recency=pd.array([0, 3, 10, 400], number),
        Frequency=pd.array([4, 3, 2, 1], number),
        Monetary=pd.array(
            [Decimal("1200.50"), Decimal("90.10"), Decimal("9.00"), Decimal("-1.25")], pd.ArrowDtype(pa.decimal128(18, 2))
        ),
        Why=pd.array(WHY, text),
        Entered_Risk=[False, True, False, False],
        AtStake=[10.5, 20.0, 0.0, 30.25],
        ToCall=[True, False, False, True],
    )


@pytest.fixture(scope="module")
def folder(customers: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the lists."""
    folder = tmp_path_factory.mktemp("exports")
    exports.write_exports(customers, folder, DAY)
    return folder


def read(folder: Path, kind: str, title: str = "Customers") -> pd.DataFrame:
    """Return a list as a person's program reads it."""
    kinds = {"Customer": str, "Why here": str}
    if kind == "csv":
        return pd.read_csv(folder / f"{slug(title)}.csv", dtype=kinds)
    return pd.read_excel(folder / "customers.xlsx", title, engine="calamine", dtype=kinds)


def test_lists_are_of_all_of_those_at_risk_and_per_segment(folder):
    names = {"customers", "to-call", "entered-risk", "champions", "vip-at-risk", "hibernating"}
    assert {path.name for path in folder.iterdir()} == {f"{name}.csv" for name in names} | {"customers.xlsx", "customers.parquet"}
    sheets = pd.ExcelFile(folder / "customers.xlsx", engine="calamine").sheet_names
    assert sheets == ["Customers", "To call", "Entered risk", "Champions", "Hibernating", "VIP At Risk"]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_lists_hold_the_rows_of_the_customers(folder, customers, kind):
    found = read(folder, kind)
    assert found["Spent"].map(lambda value: round(Decimal(str(value)), 2)).tolist() == customers["Monetary"].tolist()
    assert found["Orders"].tolist() == [4, 3, 2, 1]
    assert read(folder, kind, "Champions")["Segment"].tolist() == ["Champions", "Champions"]
    assert read(folder, kind, "Entered risk")["Segment"].tolist() == ["VIP At Risk"]
    assert read(folder, kind, "To call")["At stake"].tolist() == [30.25, 10.5]
    assert found["Why here"][1] == WHY[1]
    assert pd.to_datetime(found["Last purchase"]).dt.date.tolist() == [DAY] * 4


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_formulas_are_escaped_and_numbers_stay_numbers(folder, kind):
    found = read(folder, kind)
    assert found["Customer"].tolist() == ["12346", "'-7", "'\t3", "'+44"]
    assert found["Why here"].dropna().tolist() == ["'=1+1", WHY[1], "box;'@SUM(A1)"]
    assert found["Spent"].iloc[-1] == -1.25


def test_csv_opens_right_in_excel(folder):
    raw = (folder / "customers.csv").read_bytes()
    assert raw.startswith("\ufeffCustomer,Segment".encode())
    assert "Müller" in raw.decode("utf-8-sig")


def test_workbook_has_fixed_header_widths_formats_no_formula(folder):
    with zipfile.ZipFile(folder / "customers.xlsx") as book:
        sheet, styles = (book.read(f"xl/{name}.xml").decode() for name in ("worksheets/sheet1", "styles"))
    assert 'ySplit="1"' in sheet
    assert '<dimension ref="A1:V5"/>' in sheet
    assert "<f>" not in sheet
    assert len(re.findall("<col ", sheet)) == len(exports.COLUMNS)
    assert "yyyy-mm-dd" in styles


def test_same_customers_give_the_same_bytes(folder, customers, tmp_path):
    exports.write_exports(customers, tmp_path, DAY)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_lists_are_written_again_with_hashed_ids(folder, customers, tmp_path):
    exports.rewrite_exports((folder / "customers.parquet").read_bytes(), tmp_path, DAY, b"key")
    hashed = [exports.pseudonymize(id, b"key") for id in customers["CustomerID"]]
    assert read(tmp_path, "xlsx")["Customer"].tolist() == hashed
    assert read(tmp_path, "csv", "Entered risk")["Customer"].tolist() == hashed[1:2]
    assert (
        pd.read_parquet(io.BytesIO((tmp_path / "customers.parquet").read_bytes()))["Monetary"].tolist()
        == customers["Monetary"].tolist()
    )


def test_hash_is_keyed_and_is_never_a_number():
    one, other = (exports.pseudonymize("12346", key) for key in (b"one", b"other"))
    assert one != other
    assert exports.pseudonymize("12346", b"one") == one
    assert re.fullmatch("c[0-9a-f]{16}", one)


def test_long_lists_have_no_workbook(customers, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "MOST_IN_EXCEL", 3)
    exports.write_exports(customers, tmp_path, DAY)
    assert not (tmp_path / "customers.xlsx").exists()
    assert (tmp_path / "champions.csv").exists()
    assert [file["label"] for file in exports.downloads("customers", "All", 4)] == ["All, CSV", "All, Parquet"]


def test_nobody_is_an_empty_list(customers, tmp_path):
    exports.write_exports(customers.head(0), tmp_path, DAY)
    assert len(read(tmp_path, "csv")) == len(read(tmp_path, "xlsx", "Entered risk")) == 0


def test_control_characters_leave_the_workbook_readable(customers, tmp_path):
    exports.write_exports(customers.assign(Tier="a\x01b <i> & \x0bc"), tmp_path, DAY)
    assert read(tmp_path, "xlsx")["Tier"].unique().tolist() == ["ab <i> & c"]
