"""A lake and a site that an earlier version made are read, continued and published by this one.

`tests/fixtures/before_0.1.0.tar.xz` holds two run dates of an invented shop, made before the library was rebuilt.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rfm
from rfm.cli.options import app
from rfm.pipeline.backfill import backfill
from tests.conftest import unpack

FIXTURE = Path(__file__).parents[1] / "fixtures" / "before_0.1.0.tar.xz"
LAST = dt.date(2025, 10, 23)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return the settings of the shop, unpacked into a folder of its own."""
    unpack(FIXTURE, tmp_path)
    monkeypatch.chdir(tmp_path)
    return rfm.load_settings()


def command(*words: str) -> str:
    """Run a command; return what it prints."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def test_every_table_of_an_earlier_lake_is_read(shop):
    lake = rfm.open_lake(shop)
    there = {path.name for path in Path(shop.lake).iterdir() if (path / "_delta_log").is_dir()}
    assert there
    assert there <= rfm.TABLES.keys()
    assert {name for name in there if lake.frame(name).columns.tolist() != rfm.TABLES[name].names} == set()
    assert len(lake.frame("customer_rfm_gold")) == 80


def test_the_last_day_run_again_gives_the_recorded_rows(shop):
    recorded = json.loads((Path(shop.reports) / str(LAST) / "run.json").read_text(encoding="utf-8"))["tables"]
    lake = rfm.open_lake(shop)
    before = lake.frame("customer_rfm_description_and_recommendation").sort_values("CustomerID", ignore_index=True)
    then = shop.clusters.model_copy(update={"name_band": 0.3})  # the default of that version
    list(backfill(shop.model_copy(update={"clusters": then}), LAST, LAST))
    after = lake.frame("customer_rfm_description_and_recommendation").sort_values("CustomerID", ignore_index=True)
    assert before.equals(after)
    assert len(after) == recorded["customer_rfm_description_and_recommendation"]["rows"]


def test_the_day_after_continues_the_history(shop):
    day = LAST + dt.timedelta(days=1)
    list(backfill(shop, day, day))
    history = rfm.open_lake(shop).frame("customer_rfm_kmeans_clustered_history")
    assert sorted(set(history["UpdateDate"])) == [LAST - dt.timedelta(days=1), LAST, day]


def test_a_published_day_is_repeated_identically(shop):
    assert "identical" in command("daily", "--as-published", str(LAST))


def test_pages_of_an_earlier_run_are_made_again(shop):
    page = Path(shop.reports) / str(LAST) / "index.html"
    page.unlink()
    command("report", "--date", str(LAST))
    assert "80" in page.read_text(encoding="utf-8")
    assert "2025-10-22" in (Path(shop.reports) / "index.html").read_text(encoding="utf-8")


def test_status_shows_the_earlier_runs(shop):
    assert "2025-10-22" in command("status")
