"""Other people's public data, from raw file to report by configuration alone; a new user's first report from an export."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from typer.testing import CliRunner

import rfm
from rfm.cli.options import app
from rfm.datasets.sample import make_sample
from rfm.pipeline import backfill
from rfm.settings import Settings, load_settings
from tests import shop

pytestmark = pytest.mark.foreign
NEWEST = {"CDNOW_master.txt": dt.date(1998, 6, 30), "example_transactions.csv": dt.date(2014, 12, 31)}
LINES = {
    "CDNOW_master.txt": (23_570, 69_659),
    "example_transactions.csv": (5_000, 15_273),
}  # and customers
ANSWERS = {"example_transactions.csv": ["--set", "columns.price="]}  # it has no money: each line counts as 1


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no setting in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_up(home: Path, files: Path, name: str) -> Settings:
    """Let `rfm init --yes` write rfm.toml for a file; return the settings."""
    (home / "exports").mkdir()
    shutil.copy(files / name, home / "exports")
    shown = CliRunner().invoke(app, ["init", "exports", "--yes", *ANSWERS.get(name, [])])
    assert shown.exit_code == 0, shown.output
    assert shown.output.endswith("Next: rfm daily\n")
    return load_settings()


def calculated(file: Path, day: dt.date) -> pd.DataFrame:
    """Return the RFM values of a file in plain pandas, customer by customer."""
    if file.suffix == ".txt":
        lines = pd.read_csv(file, sep=r"\s+", dtype={"customer_id": str})
        lines = lines.rename(columns={"customer_id": "id", "dollar_value": "amount"})
        lines["date"] = pd.to_datetime(lines["date"].astype(str), format="%Y%m%d")
    else:
        lines = pd.read_csv(file, dtype={"id": str}, parse_dates=["date"]).assign(amount=1.0)
    lines["date"] = lines["date"].dt.normalize()
    groups = lines.groupby("id")
    return pd.DataFrame(
        {
            "Recency": (pd.Timestamp(day) - groups["date"].max()).dt.days,
            "Frequency": groups["date"].nunique(),
            "Monetary": groups["amount"].sum().mul(100).round(),
        }
    ).astype("int64")


def gold_of(lake: rfm.Lake) -> pd.DataFrame:
    """Return gold, amounts in cents."""
    rows = lake.frame("customer_rfm_gold").set_index("CustomerID").rename_axis("id").sort_index()
    return rows[["Recency", "Frequency", "Monetary"]].assign(Monetary=rows["Monetary"] * 100).astype("int64")


@pytest.mark.parametrize("name", ["example_transactions.csv", pytest.param("CDNOW_master.txt", marks=pytest.mark.long)])
def test_foreign_files_give_independently_calculated_values(home, foreign_files, name):
    settings, day = set_up(home, foreign_files, name), NEWEST[name]
    lake = rfm.open_lake(settings)
    backfill.to_bronze(settings, lake, day)
    backfill.to_silver(settings, lake, day)
    silver = lake.read("retail_transactions_silver")
    lake.replace("customer_rfm_gold", rfm.rfm_metrics(silver, day, stock_code_pattern=settings.rules.stock_code_pattern))
    found, wanted = gold_of(lake), calculated(foreign_files / name, day)
    pd.testing.assert_frame_equal(found, wanted.sort_index(), check_index_type=False, check_names=False)
    assert (len(found), silver.select(pl.len()).collect().item()) == LINES[name]


@pytest.mark.long
@pytest.mark.parametrize("name", NEWEST)
def test_foreign_files_end_in_a_report(home, foreign_files, name):
    settings = set_up(home, foreign_files, name)
    shop.run(settings, NEWEST[name])
    page = (home / "reports" / str(NEWEST[name]) / "index.html").read_text()
    assert f"{LINES[name][0]:,}" in page


def test_a_file_without_a_header_is_told_in_a_sentence(home, foreign_files):
    shutil.copy(foreign_files / "CDNOW_sample.txt", home)
    shown = CliRunner().invoke(app, ["init", "CDNOW_sample.txt", "--yes"])
    assert (shown.exit_code, "no header: the first line has values" in shown.output) == (2, True)
    assert not (home / "rfm.toml").exists()


# ── a new user ─────────────────────────────────────────────────────────────────────────────────────
NAMES = {
    "Invoice": "Rechnung",
    "StockCode": "Artikelnr",
    "Description": "Bezeichnung",
    "Quantity": "Menge",
    "Price": "Einzelpreis",
    "Customer ID": "Kundennr",
    "Country": "Land",
    "InvoiceDate": "Datum",
}


def export(source: Path, target: Path) -> None:
    """Write daily files as a German till exports them: other names, semicolons, decimal commas, days as 31.12.2025."""
    target.mkdir()
    for file in sorted(source.glob("*_transactions.csv")):
        lines = pd.read_csv(file, dtype=str).rename(columns=NAMES)
        lines["Einzelpreis"] = lines["Einzelpreis"].str.replace(".", ",")
        lines["Datum"] = pd.to_datetime(lines["Datum"]).dt.strftime("%d.%m.%Y")
        lines.to_csv(target / f"Verkauf_{file.name[:10]}.csv", sep=";", index=False, encoding="cp1252")


def test_an_export_is_set_up_by_two_commands_to_the_same_gold(home):
    make_sample(home / "days", days=12, lines=1500, customers=120)
    export(home / "days", home / "exports")
    assert CliRunner().invoke(app, ["check", "exports"]).exit_code == 0
    assert CliRunner().invoke(app, ["init", "exports", "--yes"]).exit_code == 0
    own, plain = load_settings(), load_settings(**usual(home))
    day = rfm.run_date(own)
    for settings in (own, plain):
        backfill.run_day(settings, rfm.open_lake(settings), day)
    pd.testing.assert_frame_equal(gold_of(rfm.open_lake(own)), gold_of(rfm.open_lake(plain)))


def usual(home: Path) -> dict[str, object]:
    """Return the settings for the daily files as they were, whatever rfm.toml says."""
    defaults = {name: Settings.model_fields[name].default for name in ("files", "columns", "format", "rules")}
    places = {"landing": str(home / "days"), "lake": str(home / "other")}
    return {name: part.model_dump() for name, part in defaults.items()} | places


@pytest.mark.real
@pytest.mark.long
def test_four_commands_report_real_days_of_another_till(home, real_files):
    export(real_files, home / "exports")
    for command in (["check", "exports"], ["init", "exports", "--yes"], ["daily"], ["status"]):
        shown = CliRunner().invoke(app, command)
        assert shown.exit_code in ((0, 1) if command[0] == "check" else (0,)), shown.output
    assert (home / "reports" / "index.html").is_file()
