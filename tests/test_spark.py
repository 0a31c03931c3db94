"""The daily run on Spark Connect: every table equal to the Polars run's, by path and by catalog name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import narwhals as nw
import polars as pl
import polars.selectors as cs
import pytest
from conftest import sail_address, spark_session

import rfm
from rfm.io.lake.spread import SpreadLake
from rfm.io.prepare import make_sample
from rfm.io.spark import session
from rfm.run.backfill import backfill
from rfm.schema import TABLES, SettingsError

pytestmark = pytest.mark.spark

LAST = dt.date(2025, 10, 23)
FIRST = LAST - dt.timedelta(days=1)
MOMENTS = ("pipeline_runs",)  # what tells of hours and seconds
LAYERS = ("retail_transactions_bronze", "retail_transactions_silver", "retail_transactions_quarantine")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rfm.settings.Settings]:
    """Return settings of a small shop whose days are run by Polars."""
    folder = tmp_path_factory.mktemp("shop")
    make_sample(str(folder / "landing"), days=12, customers=60, lines=900, end=LAST)
    settings = rfm.load_settings(landing=str(folder / "landing"), lake=str(folder / "polars"))
    list(backfill(settings, FIRST, LAST))
    return settings


def on_spark(settings: rfm.settings.Settings, lake: str) -> rfm.settings.Settings:
    return rfm.load_settings(landing=settings.landing, lake=lake, engine="spark", remote=sail_address())


def rows(lake: rfm.Lake, name: str) -> list[tuple]:
    """Return a table's rows in one order, without the moment of ingestion."""
    frame = lake.rows(name)
    assert frame.schema == TABLES[name].polars, name
    steady = frame.drop("ingestion_timestamp", "token", strict=False).with_columns(
        cs.float().round(12)
    )  # threads add in any order
    return sorted(steady.rows(), key=repr)


def assert_same_tables(found: rfm.Lake, wanted: rfm.Lake) -> None:
    there = set(wanted.state())
    assert set(found.state()) == there
    for name in sorted(there.difference(MOMENTS)):
        assert rows(found, name) == rows(wanted, name), name


@pytest.fixture(scope="module", params=["path", "catalog"])
def spread(request: pytest.FixtureRequest, shop: rfm.settings.Settings, tmp_path_factory: pytest.TempPathFactory) -> SpreadLake:
    folder = tmp_path_factory.mktemp("spark")
    lake = str(folder)
    if request.param == "catalog":
        lake = "sail.shop"
        spark_session().sql(f"CREATE SCHEMA IF NOT EXISTS {lake} LOCATION '{folder}'").collect()
    settings = on_spark(shop, lake)
    list(backfill(settings, FIRST, LAST))
    return rfm.open_lake(settings)


def test_all_tables_are_those_of_polars(spread: SpreadLake, shop: rfm.settings.Settings) -> None:
    assert_same_tables(spread, rfm.open_lake(shop))


def test_the_same_day_again_changes_nothing(spread: SpreadLake, shop: rfm.settings.Settings) -> None:
    list(backfill(on_spark(shop, spread.url), LAST, LAST))
    assert_same_tables(spread, rfm.open_lake(shop))


def test_a_run_that_died_before_it_noted_its_files_is_finished_by_the_next(
    spread: SpreadLake, shop: rfm.settings.Settings
) -> None:
    nothing = spread.rows("landing_files").filter(layer="silver").clear()
    spread.replace("landing_files", nothing, layer="silver")
    list(backfill(on_spark(shop, spread.url), LAST, LAST))
    for name in LAYERS:
        assert rows(spread, name) == rows(rfm.open_lake(shop), name), name


def test_layers_stay_on_the_cluster_and_the_rest_comes_home(spread: SpreadLake) -> None:
    assert isinstance(spread.read(LAYERS[1]), nw.LazyFrame)
    assert isinstance(spread.read("customer_rfm_gold"), pl.LazyFrame)
    assert spread.frame(LAYERS[1], until=FIRST)["processing_date"].max() <= LAST


# ── what a user can get wrong ──────────────────────────────────────────────────────────────────────
def test_spark_needs_an_address() -> None:
    with pytest.raises(SettingsError, match="setting remote: engine spark needs the address"):
        rfm.load_settings(engine="spark")


def test_nobody_answers() -> None:
    with pytest.raises(SettingsError, match="nobody answers at `remote`"):
        session("sc://127.0.0.1:1")


@pytest.mark.parametrize(("engine", "kept"), [("spark", True), ("polars", False)])
def test_a_catalog_name_is_one_for_spark_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str, kept: bool) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RFM_ENGINE", engine)
    monkeypatch.setenv("RFM_REMOTE", "sc://127.0.0.1:1")
    assert (rfm.load_settings(lake="main.shop").lake == "main.shop") is kept
    (tmp_path / "rfm.toml").write_text('lake = "main.shop"\n')
    assert (rfm.load_settings().lake == "main.shop") is kept
    assert rfm.load_settings(lake="./main.shop").lake == str(tmp_path / "main.shop")


@pytest.mark.real
@pytest.mark.long
def test_real_days_give_the_tables_of_polars(real_files: Path, tmp_path: Path) -> None:
    """Sixty days in one run, and one more."""
    first = dt.date(2025, 8, 24)
    settings = rfm.load_settings(landing=str(real_files), lake=str(tmp_path / "polars"))
    other = on_spark(settings, str(tmp_path / "spark"))
    for one in (settings, other):
        list(backfill(one, first, first + dt.timedelta(days=1)))
    assert_same_tables(rfm.open_lake(other), rfm.open_lake(settings))
