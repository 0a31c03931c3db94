"""Quarantined rows are put right and released: exactly once, whoever dies, with a record of what was changed."""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from rfm.contracts import BRONZE, QUARANTINE, SILVER
from rfm.errors import ContractError, InputError, SettingsError
from rfm.lake import ingest
from rfm.lake.tables import Lake
from rfm.pipeline import backfill, release
from rfm.settings import Settings, load_settings

DAY = dt.date(2025, 6, 26)
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
GOOD = "489434,85048,BALL,12,6.95,13085.0,EIRE,2025-06-26"
BAD = "489435,85048,BALL,-1,6.95,13085.0,EIRE,2025-06-26"
NAME = "2025-06-26_transactions.csv"


def place(root: Path) -> Settings:
    """Return the settings of a shop in a folder."""
    return load_settings(landing=str(root / "landing"), lake=str(root / "lake"), rules={"max_dropped_share": 1.0})


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a shop after the first two stages; not to be written to."""
    root = tmp_path_factory.mktemp("begun")
    (root / "landing").mkdir()
    lines = [HEADER, GOOD, GOOD, BAD, BAD, BAD.replace("6.95", "").replace("-1", "1"), "489436,85048", ""]
    (root / "landing" / NAME).write_text("\n".join(lines), encoding="utf-8")
    settings = place(root)
    backfill.to_bronze(settings, Lake(settings.lake), DAY)
    backfill.to_silver(settings, Lake(settings.lake), DAY)
    return root


@pytest.fixture
def shop(begun: Path, tmp_path: Path) -> Settings:
    """Return a copy of it: two good lines and four in quarantine: two equal ones, one without a price, one cut off."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return place(tmp_path)


@pytest.fixture
def exported(shop: Settings, tmp_path: Path) -> Path:
    """Return the file of its quarantined rows."""
    assert release.release_or_export(shop, None, str(tmp_path / "rows.csv")).startswith("4 quarantined row(s) in ")
    return tmp_path / "rows.csv"


def edit(path: Path, delimiter: str = ",", **changed: str) -> None:
    """Change a column of all rows of a file where the rows lack a right value."""
    rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    with path.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({**row, **changed} if row["failed_expectations"] == "valid_quantity" else row for row in rows)


def counts(settings: Settings) -> tuple[int, int, int]:
    """Return the rows of bronze, silver and quarantine."""
    lake = Lake(settings.lake)
    return tuple(lake.read(name).select(pl.len()).collect().item() for name in (BRONZE, SILVER, QUARANTINE))  # type: ignore[return-value]


def test_rows_come_out_with_their_reasons_and_an_id_each(exported):
    rows = list(csv.DictReader(exported.read_text("utf-8-sig").splitlines()))
    assert len({row["row_id"] for row in rows}) == len(rows) == 4
    assert sorted(row["failed_expectations"] for row in rows)[-1] == "valid_unit_price"
    assert any("489436,85048" in row["_rescued_data"] for row in rows)


@pytest.fixture(scope="module")
def released(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    """Return the settings of a copy of that shop after a release, and what it said; not to be written to."""
    root = Path(shutil.copytree(begun, tmp_path_factory.mktemp("released") / "shop"))
    release.release_or_export(place(root), None, str(root / "rows.csv"))
    edit(root / "rows.csv", Quantity="3")
    return place(root), release.release_or_export(place(root), str(root / "rows.csv"), None)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_file_is_read_whatever_stands_between_its_cells(exported, delimiter):
    edit(exported, Quantity="3")
    rows = release._read(str(exported))
    edit(exported, delimiter, Quantity="3")
    assert f"row_id{delimiter}" in exported.read_text("utf-8-sig")
    assert release._read(str(exported)) == rows
    assert len(rows) == 4


def test_corrected_rows_go_to_silver_and_leave_the_quarantine(released):
    shop, said = released
    assert said.startswith("2 row(s) released into silver; 2 still refused (")
    assert counts(shop) == (6, 4, 2)
    assert ingest.reconcile(Lake(shop.lake)) == {"bronze": 6, "silver": 4, "quarantine": 2}
    released = Lake(shop.lake).read(SILVER).filter(pl.col("InvoiceNo") == "489435").collect()
    assert (released["Quantity"].to_list(), released["source_file"].to_list()) == ([3, 3], [NAME, NAME])


def test_the_record_says_what_was_changed_and_when(released):
    record = Lake(released[0].lake).read("released_rows").collect().row(0, named=True)
    assert (json.loads(record["raw_before"])["Quantity"], json.loads(record["raw_after"])["Quantity"]) == ("-1", "3")
    assert (record["source_file"], record["failed_expectations"], record["run_date"]) == (NAME, "valid_quantity", DAY)
    assert record["released_timestamp"].tzinfo is not None


FORMULAS = [
    "=1+1",
    "+A1",
    "-A1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "'=1",
    "''=1",
    "'x",
    "'",
    "-12",
    "'-12",
    "",
    None,
    "a=b",
    "box;=1+1",
    "box\t'@SUM(A1)\n-A1",
    "\uff1d1+1",
    '="a""b"',
    "=a\nb",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_in_a_cell_is_escaped_and_restored(shop, tmp_path, monkeypatch, text):
    row = dict.fromkeys(release.SHOWN, text) | {"row_id": "x-0"}
    monkeypatch.setattr(release, "quarantined", lambda lake: pl.DataFrame([row], infer_schema_length=None))
    release.release_or_export(shop, None, str(tmp_path / "rows.csv"))
    with (tmp_path / "rows.csv").open(encoding="utf-8-sig", newline="") as file:
        (shown,) = csv.DictReader(file)
    assert all(cell[:1] not in tuple("=+-@\t\r") or cell == "-12" for cell in shown.values())
    assert release._read(str(tmp_path / "rows.csv")) == {"x-0": dict.fromkeys(release.RAW, text or None)}


def test_a_release_repeated_changes_nothing(shop, exported):
    edit(exported, Quantity="3")
    release.release_or_export(shop, str(exported), None)
    before = {name: Lake(shop.lake).fingerprint(name) for name in Lake(shop.lake).state()}
    assert release.release_or_export(shop, str(exported), None).startswith("0 row(s) released into silver; 2 still refused")
    assert {name: Lake(shop.lake).fingerprint(name) for name in before} == before


def test_of_two_equal_rows_the_other_stays_and_keeps_its_id(shop, exported):
    edit(exported, Quantity="3")
    lines = exported.read_text("utf-8-sig").splitlines(keepends=True)
    first = [line for line in lines if "valid_quantity" in line and "valid_quantity," in line][:1]
    only = exported.with_name("one.csv")
    only.write_text("".join([lines[0], *first]), encoding="utf-8")
    assert release.release_or_export(shop, str(only), None).startswith("1 row(s) released")
    assert release.release_or_export(shop, str(only), None).startswith(
        "0 row(s) released into silver; 1 no longer in the quarantine"
    )
    assert release.release_or_export(shop, str(exported), None).startswith("1 row(s) released into silver; 2 still refused")
    assert counts(shop) == (6, 4, 2)


def test_quality_tables_follow(released):
    totals = Lake(released[0].lake).frame("bronze_silver_dq_comparison").set_index("layer")["total_records"]
    assert totals.to_dict() == {"bronze": 6, "silver": 4}


def test_a_later_run_takes_nothing_back(shop, exported):
    edit(exported, Quantity="3")
    release.release_or_export(shop, str(exported), None)
    backfill.to_bronze(shop, Lake(shop.lake), DAY)
    backfill.to_silver(shop, Lake(shop.lake), DAY)
    assert counts(shop) == (6, 4, 2)


@pytest.mark.parametrize("dies", ["record", "silver", "quarantine"])
def test_a_release_that_died_is_finished_by_the_next_one(shop, exported, dies, monkeypatch):
    edit(exported, Quantity="3")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if dies == "record":
            patch.setattr(Lake, "put_files", die)
        patch.setattr(release, "_take_out" if dies == "silver" else "_count", die)
        with pytest.raises(KeyboardInterrupt):
            release.release_or_export(shop, str(exported), None)
    release.release_or_export(shop, str(exported), None)
    assert counts(shop) == (6, 4, 2)
    assert ingest.reconcile(Lake(shop.lake)) == {"bronze": 6, "silver": 4, "quarantine": 2}


def test_a_restated_file_takes_the_place_of_released_rows(shop, exported):
    edit(exported, Quantity="3")
    release.release_or_export(shop, str(exported), None)
    (Path(shop.landing) / NAME).write_text("\n".join([HEADER, GOOD, BAD, ""]), encoding="utf-8")
    backfill.to_bronze(shop, Lake(shop.lake), DAY, restate=True)
    backfill.to_silver(shop, Lake(shop.lake), DAY)
    assert counts(shop) == (2, 1, 1)
    assert "no longer in the quarantine" in release.release_or_export(shop, str(exported), None)
    assert counts(shop) == (2, 1, 1)


def test_recorded_rows_that_break_newer_rules_are_not_lost(shop):
    lake = Lake(shop.lake)
    rows = release.quarantined(lake).filter(pl.col("failed_expectations") == "valid_quantity")
    still_wrong = {row["row_id"]: {name: row[name] for name in release.RAW} for row in rows.to_dicts()}
    release.record_release(lake, rows, still_wrong, DAY)
    with pytest.raises(ContractError, match=r"2 recorded row\(s\) break the rules of today"):
        release.finish_release(lake, shop)
    assert counts(shop) == (6, 2, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "lacks 9 column"),
        ("row_id,{raw}\nx,,,,,,,,\nx,,,,,,,,\n", r"1 row\(s\) appear twice, first x"),
        ("%PDF-1.7", "not a sales file but a PDF"),
    ],
)
def test_a_file_that_cannot_be_released_is_refused(shop, tmp_path, text, said):
    path = tmp_path / "bad.csv"
    path.write_text(text.format(raw=",".join(release.RAW)), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        release.release_or_export(shop, str(path), None)


def test_wrong_use(shop, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        release.release_or_export(shop, str(tmp_path / "no.csv"), None)
    with pytest.raises(InputError, match="cannot be written"):
        release.release_or_export(shop, None, str(tmp_path / "no" / "no.csv"))
    for both in ((None, None), ("a", "b")):
        with pytest.raises(SettingsError, match="give either"):
            release.release_or_export(shop, *both)
