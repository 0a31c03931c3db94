"""Care of the tables: few files, a short log, nothing lost that a recent version needs, and still everything once."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import time
from pathlib import Path

import deltalake
import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from rfm.contracts import BRONZE, SILVER
from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.lake import delta, ledger
from rfm.lake.tables import Lake
from rfm.pipeline.backfill import backfill, to_bronze, to_silver
from rfm.settings import Settings, load_settings

FIRST = dt.date(2025, 10, 1)
MODELS = "cluster_models"


def model(day: dt.date) -> pl.DataFrame:
    """Return a row of a small table."""
    return pl.DataFrame({"UpdateDate": [day], "k": [2], "model": ["{}"]})


def written(lake: Lake, commits: int) -> Lake:
    """Write a small table so many times, a day each."""
    for place in range(commits):
        lake.replace(MODELS, model(FIRST + dt.timedelta(days=place)), UpdateDate=FIRST + dt.timedelta(days=place))
    return lake


def data_files(lake: Lake, name: str) -> int:
    """Return the number of data files of the newest version."""
    return len(deltalake.DeltaTable(f"{lake.url}/{name}").file_uris())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return an empty lake."""
    return Lake(str(tmp_path / "lake"))


def settings(tmp_path: Path, days: int, every: int) -> Settings:
    """Make a sample of some days; return settings with quick clusters."""
    make_sample(tmp_path / "landing", days=days, end=FIRST + dt.timedelta(days=days - 1), lines=60 * days, customers=60)
    quick = {"clusters": {"k_max": 4, "n_init": 1}, "care": {"optimize_every": every}}
    return load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"), **quick)


def test_a_table_is_due_every_so_many_commits(lake):
    written(lake, 4)
    assert lake.maintain(5) == []
    written(lake, 1)
    assert lake.maintain(5) == [MODELS]
    assert data_files(lake, MODELS) == 1
    assert lake.maintain(5) == []
    written(lake, 3)
    assert lake.maintain(5) == []
    written(lake, 2)
    assert lake.maintain(5) == [MODELS]
    assert lake.maintain(0) == []


def test_a_table_of_one_file_is_due_as_often_as_any_other(lake):
    for _ in range(6):
        lake.replace(MODELS, model(FIRST))
    assert lake.maintain(5) == [MODELS]
    assert lake.maintain(5) == []


def test_a_table_that_is_being_written_waits_for_the_next_run(lake, monkeypatch):
    written(lake, 5)

    def busy(*_: object) -> None:
        raise CommitFailedError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(delta, "optimize", busy)
        assert lake.maintain(5) == []
    assert lake.maintain(5) == [MODELS]


@pytest.mark.whole
def test_maintenance_bounds_files_and_changes_no_row(tmp_path):
    cared, wild = settings(tmp_path, 3, every=2), Lake(str(tmp_path / "wild"))
    careless = {"lake": wild.url, "care": cared.care.model_copy(update={"optimize_every": 0})}
    first, *later = (FIRST + dt.timedelta(days=day) for day in range(3))  # one by one: several days share their commits
    list(backfill(cared, first, first))
    shutil.copytree(cared.lake, wild.url)
    for run_date in later:
        list(backfill(cared, run_date, run_date))
        list(backfill(cared.model_copy(update=careless), run_date, run_date))
    lake = Lake(cared.lake)
    assert {name: data_files(wild, name) for name in (BRONZE, SILVER)} == {BRONZE: 3, SILVER: 3}
    assert max(data_files(lake, name) for name in lake.state()) <= 2
    for name in (BRONZE, SILVER, "customer_rfm_gold", "customer_rfm_kmeans_clustered_history", "expectation_results"):
        one, other = (home.read(name).drop("ingestion_timestamp", strict=False).collect() for home in (lake, wild))
        assert one.sort(one.columns).equals(other.sort(other.columns)), name


def test_files_stay_exactly_once_after_maintenance(tmp_path):
    given = settings(tmp_path, 3, every=0)
    lake = Lake(given.lake)
    for place in range(3):
        to_bronze(given, lake, FIRST + dt.timedelta(days=place))
        to_silver(given, lake, FIRST + dt.timedelta(days=place))
    before = {name: lake.fingerprint(name) for name in ledger.LAYERS.values()}
    lake.optimize(BRONZE)
    _age_log(lake, BRONZE)
    for name in lake.state():
        lake.optimize(name)
    log = Path(lake.url) / BRONZE / "_delta_log"
    assert not (log / "00000000000000000001.json").exists()
    again = Lake(lake.url)
    names = sorted(path.name for path in Path(given.landing).iterdir())
    deltalake.DeltaTable(f"{lake.url}/landing_files").delete()  # the log alone must know
    to_bronze(given, again, FIRST + dt.timedelta(days=3))
    to_silver(given, again, FIRST + dt.timedelta(days=3))
    assert {name: again.fingerprint(name) for name in before} == before
    assert again.read("landing_files", layer="bronze").collect()["source_file"].sort().to_list() == names


def _age_log(lake: Lake, name: str) -> None:
    """Let a table's log so far be two days old, and allow it a day."""
    for path in (Path(lake.url) / name / "_delta_log").glob("0*"):
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    deltalake.DeltaTable(f"{lake.url}/{name}").alter.set_table_properties({delta.KEEP_LOG: "interval 1 days"})


def test_every_version_of_the_last_days_can_be_read_after_care(lake):
    written(lake, 8)
    lake.optimize(MODELS)
    assert [lake.read(MODELS, version=version).collect().height for version in range(9)] == list(range(9))


def test_the_log_is_kept_as_long_as_the_files(lake):
    written(lake, 2)
    lake.optimize(MODELS, 7)
    assert delta.KEEP_LOG not in deltalake.DeltaTable(f"{lake.url}/{MODELS}").metadata().configuration
    lake.optimize(MODELS, 90)
    lake.optimize(MODELS, 90)
    table = deltalake.DeltaTable(f"{lake.url}/{MODELS}")
    assert table.metadata().configuration[delta.KEEP_LOG] == "interval 90 days"
    assert [step["operation"] for step in table.history()].count("SET TBLPROPERTIES") == 1
    assert lake.read(MODELS).collect().height == 2


def test_a_version_that_is_not_there_is_refused_not_empty(lake):
    written(lake, 2)
    with pytest.raises(InputError, match="cluster_models: .* cannot be read"):
        lake.read(MODELS, version=9)


def test_between_two_cares_a_checkpoint_keeps_the_log_short(lake):
    written(lake, delta.SHORT_LOG)
    pointer = Path(lake.url) / MODELS / "_delta_log" / "_last_checkpoint"
    assert lake.maintain(50) == []
    assert json.loads(pointer.read_text())["version"] == deltalake.DeltaTable(f"{lake.url}/{MODELS}").version()
    assert data_files(lake, MODELS) == delta.SHORT_LOG  # nothing is joined before its time
    written(lake, 50 - delta.SHORT_LOG)
    assert lake.maintain(50) == [MODELS]
