"""Many days without notebooks: each day leaves what the day alone would leave, in whatever order they run."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest

from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.errors import InputError, SettingsError
from rfm.lake import ingest
from rfm.lake.tables import Lake
from rfm.pipeline.backfill import backfill, days, run_day
from rfm.pipeline.backfill import warnings_of as told
from rfm.settings import Settings, load_settings
from tests.forks import contents, differing

FIRST, LAST = dt.date(2025, 10, 20), dt.date(2025, 10, 23)
MIDDLE = dt.date(2025, 10, 21)
HISTORY, GOLD = "customer_rfm_kmeans_clustered_history", "customer_rfm_gold"
OF_A_DAY = (
    GOLD,
    "customer_rfm_kmeans_clustered",
    "cluster_summary",
    "customer_rfm_description_and_recommendation",
    "segment_summary",
)


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four days of an invented shop."""
    folder = tmp_path_factory.mktemp("landing")
    make_sample(folder, days=4, end=LAST, lines=1000, customers=80)
    return folder


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, landing: Path) -> tuple[Settings, list[tuple[dt.date, str]]]:
    """Return settings whose lake holds all four days, and what the backfill said; not to be written to."""
    settings = load_settings(landing=str(landing), lake=str(tmp_path_factory.mktemp("lake")))
    return settings, list(backfill(settings, FIRST, LAST))


@pytest.fixture
def again(tmp_path: Path, first_run: tuple) -> Settings:
    """Return settings with a copy of that lake."""
    shutil.copytree(first_run[0].lake, tmp_path / "lake")
    return load_settings(landing=first_run[0].landing, lake=str(tmp_path / "lake"))


def fingerprints(settings: Settings, names: tuple[str, ...] = tuple(TABLES.keys() - {"pipeline_runs"})) -> dict[str, str]:
    """Return a digest of the rows of each table."""
    lake = Lake(settings.lake)
    return {name: lake.fingerprint(name) for name in names}


def count(settings: Settings, name: str, **wanted: object) -> int:
    """Return the number of rows of a table."""
    return Lake(settings.lake).read(name, **wanted).select(pl.len()).collect().item()


# ── days ───────────────────────────────────────────────────────────────────────────────────────────
def test_days_are_inclusive():
    assert days(FIRST, LAST) == [dt.date(2025, 10, day) for day in range(20, 24)]
    assert days(FIRST, FIRST) == [FIRST]
    assert days(dt.date(2024, 2, 28), dt.date(2024, 3, 1))[1] == dt.date(2024, 2, 29)


def test_the_last_day_before_the_first_is_refused(first_run):
    with pytest.raises(SettingsError, match="--to 2025-10-20 is before --from 2025-10-23; give the earlier day first"):
        days(LAST, FIRST)
    with pytest.raises(SettingsError, match="is before"):
        next(backfill(first_run[0], LAST, FIRST))


# ── the tables ─────────────────────────────────────────────────────────────────────────────────────
def test_every_day_is_told_with_its_headline(first_run):
    told = first_run[1]
    assert [day for day, _ in told] == days(FIRST, LAST)
    assert all("customers" in headline and "£" in headline for _, headline in told)
    assert len({headline for _, headline in told}) == 4


def test_all_tables_are_there_and_rows_are_conserved(first_run):
    settings, _ = first_run
    assert set(Lake(settings.lake).state()) == set(TABLES) - {"released_rows"} - {
        one for one in TABLES if one.startswith("campaign")
    }
    balance = ingest.reconcile(Lake(settings.lake))
    lines = sum(len(file.read_text("utf-8").splitlines()) - 1 for file in Path(settings.landing).iterdir())
    assert balance["bronze"] == lines == balance["silver"] + balance["quarantine"]
    assert balance["quarantine"] > 0


def test_every_file_was_ingested_by_the_run_of_its_own_day(first_run):
    ledger = Lake(first_run[0].lake).read("landing_files", layer="bronze").collect()
    assert ledger["file_date"].to_list() == ledger["processing_date"].to_list()
    assert sorted(ledger["file_date"].to_list()) == days(FIRST, LAST)


def test_history_has_one_row_per_customer_and_day(first_run):
    history = Lake(first_run[0].lake).read(HISTORY).collect()
    assert history.select("CustomerID", "UpdateDate").is_unique().all()
    assert history["UpdateDate"].unique().sort().to_list() == days(FIRST, LAST)
    per_day = history.group_by("UpdateDate").len().sort("UpdateDate")["len"]
    assert per_day.is_sorted()
    assert per_day[-1] == count(first_run[0], GOLD)


def test_recency_grows_by_a_day_while_nothing_is_bought(first_run):
    history = Lake(first_run[0].lake).read(HISTORY).sort("CustomerID", "UpdateDate").collect()
    assert (history["UpdateDate"] - history["MaxInvoiceDate"]).dt.total_days().to_list() == history["Recency"].to_list()


def test_gold_is_what_the_landing_files_add_up_to(first_run):
    files = sorted(Path(first_run[0].landing).iterdir())
    lines = pl.concat([pl.read_csv(file, infer_schema=False) for file in files])
    quantity, thousandths = pl.col("Quantity").cast(pl.Int64), (pl.col("Price").cast(pl.Decimal(12, 3)) * 1000).cast(pl.Int64)
    product = pl.col("StockCode").str.contains("^([0-9]{5}[A-Za-z]*|PADS)$")
    kept = lines.filter((pl.col("Customer ID") != "") & ~pl.col("Invoice").str.starts_with("C") & (quantity > 0) & product)
    found = Lake(first_run[0].lake).read(GOLD).collect()
    assert len(found) == kept["Customer ID"].n_unique()
    assert found["Frequency"].sum() == kept["Invoice"].n_unique()
    assert int(found["Monetary"].sum() * 100) == kept.select((quantity * ((thousandths + 5) // 10)).sum()).item()


@pytest.mark.whole
def test_running_the_days_twice_gives_the_same_tables(first_run, again):
    before = fingerprints(again)
    told = list(backfill(again, FIRST, LAST))
    assert fingerprints(again) == before
    assert told == first_run[1]


@pytest.mark.whole
def test_days_together_leave_the_tables_of_days_one_by_one(first_run, tmp_path):
    one_by_one = load_settings(landing=first_run[0].landing, lake=str(tmp_path / "lake"))
    told = [line for day in days(FIRST, LAST) for line in backfill(one_by_one, day, day)]
    assert told == first_run[1]
    assert differing(contents(one_by_one.lake), contents(first_run[0].lake)) == []


@pytest.mark.whole
def test_an_earlier_day_after_a_later_one_gives_the_same_gold(again, first_run, tmp_path):
    alone = load_settings(landing=again.landing, lake=str(tmp_path / "alone"))
    list(backfill(alone, FIRST, MIDDLE))
    list(backfill(again, MIDDLE, MIDDLE))
    assert fingerprints(again, OF_A_DAY) == fingerprints(alone, OF_A_DAY)
    assert fingerprints(again, (HISTORY,)) == fingerprints(first_run[0], (HISTORY,))
    list(backfill(again, LAST, LAST))
    assert fingerprints(again) == fingerprints(first_run[0])


def test_all_files_in_one_run_give_the_gold_of_day_after_day(first_run, tmp_path):
    at_once = load_settings(landing=first_run[0].landing, lake=str(tmp_path / "lake"))
    list(backfill(at_once, LAST, LAST))
    assert fingerprints(at_once, (GOLD,)) == fingerprints(first_run[0], (GOLD,))  # clusters depend on the chain of runs
    assert count(at_once, HISTORY) == count(first_run[0], HISTORY, UpdateDate=LAST)


def test_a_day_without_a_file_counts_recency_on(again):
    day = LAST + dt.timedelta(days=2)
    before = Lake(again.lake).read(GOLD).sort("CustomerID").collect()
    told = list(backfill(again, day, day))
    after = Lake(again.lake).read(GOLD).sort("CustomerID").collect()
    assert len(told) == 1
    assert after["Recency"].to_list() == [days + 2 for days in before["Recency"]]
    assert after.drop("Recency").equals(before.drop("Recency"))


def test_days_after_one_that_stops_are_not_segmented(again, tmp_path):
    landing = shutil.copytree(again.landing, tmp_path / "landing")
    header = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
    (landing / "2025-10-25_transactions.csv").write_text(header + "1,2,BALL,-1,6.95,13085.0,EIRE,2025-10-25\n" * 4)
    shutil.copy(landing / "2025-10-23_transactions.csv", landing / "2025-10-26_transactions.csv")
    settings = load_settings(landing=str(landing), lake=again.lake)
    with pytest.raises(InputError, match="4 of 4 rows dropped"):
        list(backfill(settings, dt.date(2025, 10, 24), dt.date(2025, 10, 26)))
    lake = Lake(settings.lake)
    assert lake.rows(HISTORY)["UpdateDate"].max() == dt.date(2025, 10, 24)
    assert set(lake.rows("customer_segmentations")["UpdateDate"]) == {dt.date(2025, 10, 24)}
    assert lake.rows(GOLD)["Recency"].min() == 1


# ── what stops a day ───────────────────────────────────────────────────────────────────────────────
def test_a_day_before_the_first_file_is_refused(first_run, tmp_path):
    settings = load_settings(landing=first_run[0].landing, lake=str(tmp_path / "lake"))
    with pytest.raises(SettingsError, match="the first is of 2025-10-20"):
        list(backfill(settings, dt.date(2025, 10, 19), LAST))


def test_a_day_that_drops_too_much_stops_before_gold(again, tmp_path):
    landing = shutil.copytree(again.landing, tmp_path / "landing")
    header = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
    (landing / "2025-10-24_transactions.csv").write_text(header + "1,2,BALL,-1,6.95,13085.0,EIRE,2025-10-24\n" * 4)
    settings = load_settings(landing=str(landing), lake=again.lake)
    before = fingerprints(settings, OF_A_DAY)
    day = dt.date(2025, 10, 24)
    for _ in range(2):  # running it again changes nothing
        with pytest.raises(InputError, match=r"stopped before gold: 4 of 4 rows dropped \(100.0%, limit 25%\)") as caught:
            run_day(settings, Lake(settings.lake), day)
        assert "\n" not in str(caught.value)
        assert fingerprints(settings, OF_A_DAY) == before
        assert count(settings, "retail_transactions_quarantine", processing_date=day) == 4


def test_a_file_without_sales_is_named_and_can_be_corrected(again, tmp_path):
    landing = shutil.copytree(again.landing, tmp_path / "landing")
    good = (landing / "2025-10-23_transactions.csv").read_text("utf-8").replace("2025-10-23", "2025-10-24")
    (landing / "2025-10-24_transactions.csv").write_text("not a table\n")
    settings, day = load_settings(landing=str(landing), lake=again.lake), dt.date(2025, 10, 24)
    before = count(settings, "retail_transactions_bronze")
    assert len(list(backfill(settings, day, day))) == 1
    assert count(settings, "retail_transactions_bronze") == before
    messages, refused = told(settings, day, day)
    assert refused
    assert any(line.startswith("2025-10-24_transactions.csv: not a sales file") for line in messages)
    (landing / "2025-10-24_transactions.csv").write_text(good, encoding="utf-8")
    assert len(list(backfill(settings, day, day))) == 1
    assert count(settings, "retail_transactions_bronze") == before + len(good.splitlines()) - 1
