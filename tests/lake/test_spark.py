"""The daily run on Spark Connect: every table equal to the Polars run's, by path and by catalog name."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pytest

import rfm
from benchmarks import spark as bench
from benchmarks.cases import Inputs
from rfm.cli.status import overview
from rfm.config import History
from rfm.contracts import OVER_TIME, TABLES
from rfm.datasets.sample import make_sample
from rfm.errors import InputError, RfmError, SettingsError, explain_cloud_error
from rfm.lake import verify
from rfm.lake.delta import IN_SPARK, sql_equals
from rfm.lake.spark import SparkLake, frame, session
from rfm.pipeline.backfill import backfill, replay, to_bronze, to_silver
from rfm.pipeline.backtest import run_backtest
from rfm.pipeline.daily import run
from rfm.pipeline.models import score_customers
from rfm.pipeline.release import release_or_export
from rfm.pipeline.run_record import digests
from rfm.pipeline.schedule import first_days, run_first
from rfm.report.site import rebuild
from rfm.settings import is_catalog_name
from tests.conftest import ROOT, sail_address, spark_session

if not find_spec("pyspark"):
    pytest.skip("the Spark client is missing; `make bench` or `make lint` installs it", allow_module_level=True)
from pyspark.errors.exceptions.connect import AnalysisException, SparkConnectGrpcException  # noqa: E402

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


def on_spark(settings: rfm.settings.Settings, lake: str, mode: str = "local", **more: str) -> rfm.settings.Settings:
    return rfm.load_settings(landing=settings.landing, lake=lake, engine="spark", remote=sail_address(mode), **more)


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
def spread(
    request: pytest.FixtureRequest, shop: rfm.settings.Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkLake]:
    folder = tmp_path_factory.mktemp("spark")
    lake = str(folder)
    if request.param == "catalog":
        lake = "sail.shop"
        spark_session().sql(f"CREATE SCHEMA IF NOT EXISTS {lake} LOCATION '{folder}'").collect()
    settings = on_spark(shop, lake)
    with contextlib.chdir(folder.parent):  # where the papers of a catalog are kept
        list(backfill(settings, FIRST, LAST))
        yield rfm.open_lake(settings)


def test_all_tables_are_those_of_polars(spread: SparkLake, shop: rfm.settings.Settings) -> None:
    assert_same_tables(spread, rfm.open_lake(shop))


def test_a_cluster_of_several_workers_gives_the_same(shop: rfm.settings.Settings, tmp_path: Path) -> None:
    """Sail's driver and workers, in one process, that speak to each other by RPC."""
    settings = on_spark(shop, str(tmp_path), "local-cluster")
    list(backfill(settings, FIRST, LAST))
    assert_same_tables(rfm.open_lake(settings), rfm.open_lake(shop))


def test_the_same_day_again_changes_nothing(spread: SparkLake, shop: rfm.settings.Settings) -> None:
    list(backfill(on_spark(shop, spread.url), LAST, LAST))
    assert_same_tables(spread, rfm.open_lake(shop))


def test_the_next_run_finishes_one_that_died_before_the_ledger(spread: SparkLake, shop: rfm.settings.Settings) -> None:
    nothing = spread.rows("landing_files").filter(layer="silver").clear()
    spread.replace("landing_files", nothing, layer="silver")
    list(backfill(on_spark(shop, spread.url), LAST, LAST))
    for name in LAYERS:
        assert rows(spread, name) == rows(rfm.open_lake(shop), name), name


def test_a_commit_of_the_cluster_is_no_change_by_others(shop: rfm.settings.Settings, tmp_path: Path) -> None:
    lake, name = rfm.open_lake(on_spark(shop, str(tmp_path))), LAYERS[2]
    lines = pl.DataFrame(rfm.example(name)).with_columns(source_file=pl.lit("a.csv"))

    def changed() -> list[str]:
        return [one.table for one in verify.find_damage(lake) if "another program" in one.what]

    lake.put_files(name, lines, {"a.csv": 1})
    verify.note_tables(lake)
    lake.put_files(name, lines, {"a.csv": 1}, again=True)
    assert changed() == []
    frame(spark_session(), lines.to_arrow()).write.format("delta").mode("append").save(f"{tmp_path}/{name}")
    assert changed() == [name]


def test_layers_stay_on_the_cluster_and_the_rest_comes_home(spread: SparkLake) -> None:
    assert isinstance(spread.read(LAYERS[1]), nw.LazyFrame)
    assert isinstance(spread.read("customer_rfm_gold"), pl.LazyFrame)
    assert spread.frame(LAYERS[1], until=FIRST)["processing_date"].max() <= LAST


def test_the_past_of_a_first_run_is_that_of_polars(shop: rfm.settings.Settings, tmp_path: Path) -> None:
    other = shop.model_copy(update={"lake": str(tmp_path / "polars"), "history": History(first=(30, 7, 1))})
    for settings in (other, on_spark(shop, str(tmp_path / "spark"), history={"first": [30, 7, 1]})):
        lake = rfm.open_lake(settings)
        to_bronze(settings, lake, LAST)
        to_silver(settings, lake, LAST)
        assert first_days(settings, lake, LAST) == [LAST - dt.timedelta(days=7), FIRST]
        assert [one.well for one in run_first(settings, [FIRST])] == [True]
    for name in OVER_TIME:
        assert rows(lake, name) == rows(rfm.open_lake(other), name), name


# ── the other verbs ────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def published(spread: SparkLake, shop: rfm.settings.Settings) -> tuple[rfm.settings.Settings, dict[str, Any]]:
    """Return settings of a shop whose last day is run with its notebooks and published, and the record of that run."""
    places = {"reports": "reports", "notebooks": str(ROOT / "notebooks"), "date": LAST}
    settings = on_spark(shop, spread.url, **places)
    return settings, run(settings)


def test_the_daily_run_finds_what_polars_finds(published: tuple, shop: rfm.settings.Settings) -> None:
    settings, record = published
    assert {name: table["sha256"] for name, table in record["tables"].items()} == digests(rfm.open_lake(shop), LAST)
    assert record["warnings"] == []
    assert rebuild(settings).endswith("reports/index.html")


def test_status_counts_the_rows_of_every_table(published: tuple, shop: rfm.settings.Settings) -> None:
    told, wanted = overview(published[0]), overview(shop)
    rows = lambda tables: {name: table["rows"] for name, table in tables.items() if name not in MOMENTS}
    assert rows(told["tables"]) == rows(wanted["tables"])
    assert told["freshness"] == wanted["freshness"]


def test_sales_are_scored_by_the_model_that_was_kept(published: tuple, shop: rfm.settings.Settings) -> None:
    sales = next(Path(shop.landing).rglob(f"{LAST}*.csv"))
    assert score_customers(published[0], str(sales)).customers.equals(score_customers(shop, str(sales)).customers)


def test_backtest_reads_the_sales_of_the_cluster(published: tuple) -> None:
    with pytest.raises(InputError, match="days have both 30 days of sales after them"):  # twelve days are too few
        run_backtest(published[0], FIRST, LAST)


def test_work_on_the_log_is_refused_for_a_catalog(published: tuple) -> None:
    settings, _ = published
    list(backfill(settings, FIRST, FIRST))
    if is_catalog_name(settings.lake):
        for verb, error in (
            (rebuild, "holds another day now"),
            (lambda one: replay(one, LAST), "a past day again needs Delta's log"),
        ):
            with pytest.raises(RfmError, match=error):
                verb(settings)
        with pytest.raises(RfmError, match="`rfm release` needs Delta's log"):
            release_or_export(settings, None, "rows.csv")
        with pytest.raises(InputError, match=r"retail_transactions_silver: the server refuses OPTIMIZE"):
            rfm.open_lake(settings).optimize(LAYERS[1])
    else:
        assert rebuild(settings).endswith("reports/index.html")
        assert replay(settings, LAST).differing == []
        assert rfm.open_lake(settings).optimize(LAYERS[1])["after"] == 1
    list(backfill(settings, LAST, LAST))


def test_a_released_row_stays_released(spread: SparkLake, shop: rfm.settings.Settings, tmp_path: Path) -> None:
    if spread.cluster.named:
        pytest.skip("refused, see above")
    shutil.copytree(spread.url, tmp_path / "lake")
    settings = on_spark(shop, str(tmp_path / "lake"))
    release_or_export(settings, None, str(tmp_path / "rows.csv"))
    refused = pl.read_csv(tmp_path / "rows.csv", infer_schema=False).with_columns(Quantity=pl.lit("1"), Price=pl.lit("1.00"))
    refused.write_csv(tmp_path / "rows.csv")
    assert release_or_export(settings, str(tmp_path / "rows.csv"), None).startswith(f"{len(refused)} row(s) released into silver")
    list(backfill(settings, LAST, LAST))
    lake = rfm.open_lake(settings)
    counted = {
        layer: int(lake.count(name)["rows"].sum()) for layer, name in zip(("bronze", "silver", "quarantine"), LAYERS, strict=True)
    }
    assert counted == {"bronze": len(rows(spread, LAYERS[0])), "silver": len(rows(spread, LAYERS[0])), "quarantine": 0}


def test_the_bench_finds_the_same_on_sail(shop: rfm.settings.Settings, tmp_path: Path) -> None:
    (tmp_path / "landing").symlink_to(shop.landing)
    inputs = Inputs(tmp_path, 0)
    assert bench.silver(inputs)["rows"] > 800
    found = [outcome(work()) for work, outcome in (make(inputs, tmp_path) for make in (bench.on_polars, bench.on_sail))]
    assert found[0] == found[1]


# ── what a user can get wrong ──────────────────────────────────────────────────────────────────────
NAMES = ["it's", "its", "it''s", "a\\", "a", "\\n", "\n", "a\\' OR '1'='1", 'a"b', "`a`", "$(a)", "%"]


def test_a_condition_means_one_text_whatever_it_holds() -> None:
    files = frame(spark_session(), pa.table({"source_file": NAMES}))
    for name in NAMES:
        assert files.where(sql_equals("source_file", name, IN_SPARK)).toArrow()["source_file"].to_pylist() == [name]
    some = files.where(sql_equals("source_file", NAMES[:3], IN_SPARK)).toArrow()["source_file"].to_pylist()
    assert sorted(some) == sorted(NAMES[:3])


def test_spark_needs_an_address() -> None:
    with pytest.raises(SettingsError, match="setting remote: engine spark needs the address"):
        rfm.load_settings(engine="spark")


def test_nobody_answers() -> None:
    with pytest.raises(SettingsError, match="no answer at `remote`"):
        session("sc://127.0.0.1:1")


def test_a_server_that_ends_in_the_middle_is_told_in_words() -> None:
    assert "the Spark server ended or is out of reach" in str(explain_cloud_error(SparkConnectGrpcException("failed to connect")))
    assert explain_cloud_error(AnalysisException("no such column")) is None


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
