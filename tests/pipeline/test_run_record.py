"""The log of runs, and what `rfm status` makes of it: done, failed and killed runs."""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

import rfm
from rfm.cli import status as overview
from rfm.cli import status as screen
from rfm.datasets.sample import make_sample
from rfm.errors import ContractError
from rfm.pipeline import run_record
from rfm.pipeline.backfill import backfill
from rfm.pipeline.run_record import RunRecord, StageRecord
from rfm.settings import Settings

DAY, NEXT = dt.date(2025, 10, 22), dt.date(2025, 10, 23)
KILLED = """
import datetime as dt, os, signal, sys, rfm
from rfm.pipeline.run_record import logged
with logged(rfm.Lake(sys.argv[1]), dt.date(2025, 10, 23)):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def place(root: Path) -> Settings:
    return rfm.load_settings(**{name: str(root / name) for name in ("landing", "lake", "reports", "notebooks")})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a shop, nothing run yet."""
    return place(tmp_path)


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return the settings of a small shop after a backfill of two days; not to be written to."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=6, lines=1200, customers=120)
    list(backfill(place(root), DAY, NEXT))
    return place(root)


def log_of(settings: Settings) -> list[dict[str, Any]]:
    """Return the log, oldest run first."""
    return rfm.Lake(settings.lake).read(run_record.PIPELINE_RUNS).sort("started", "stage").collect().to_dicts()


def drawn(settings: Settings) -> str:
    """Return what a terminal of eighty columns shows."""
    terminal = Console(file=io.StringIO(), width=80)
    terminal.print(screen.render_overview(overview.overview(settings), settings.lake, settings.reports))
    return terminal.file.getvalue()


def record(status: str = "done", run_id: str = "r1", **more: Any) -> RunRecord:
    """Return a run record with two stages."""
    given = {"started": "2025-10-24T05:00:01+00:00", "seconds": 1.5, "rows_read": 10, "rows_written": 9}
    table = {"retail_transactions_bronze": {"version": 3, "rows": 10}}
    stages = [StageRecord("1_bronze", writes=table, status="done", **given)]
    stages += [StageRecord("2_silver", reads=table, status=status, **given)]
    return replace(RunRecord(NEXT, run_id, status, "2025-10-24T05:00:00+00:00", stages=stages), **more)


# ── the log ────────────────────────────────────────────────────────────────────────────────────────
def test_a_row_for_the_run_and_one_for_each_stage(settings):
    assert run_record.log_rows(rfm.Lake(settings.lake), record()) == []
    by_stage = {row["stage"]: row for row in log_of(settings)}
    assert set(by_stage) == {"1_bronze", "2_silver", "run"}
    assert {name: by_stage["run"][name] for name in ("status", "seconds", "rows_read", "rows_written", "error")} == {
        "status": "done",
        "seconds": 3.0,
        "rows_read": 10,
        "rows_written": 18,
        "error": None,
    }
    assert json.loads(by_stage["2_silver"]["versions"]) == {"reads": {"retail_transactions_bronze": 3}, "writes": {}}
    assert by_stage["1_bronze"]["started"] == dt.datetime(2025, 10, 24, 5, 0, 1, tzinfo=dt.UTC)


def test_the_end_of_a_run_takes_the_place_of_its_beginning(settings):
    lake = rfm.Lake(settings.lake)
    run_record.log_rows(lake, record("running", stages=[]))
    run_record.log_rows(lake, record(run_id="r2"))
    assert [row["status"] for row in log_of(settings) if row["run_id"] == "r1"] == ["running"]
    run_record.log_rows(lake, record("failed", error="stage 2_silver failed"))
    told = {row["stage"]: (row["status"], row["error"]) for row in log_of(settings) if row["run_id"] == "r1"}
    assert told == {"run": ("failed", "stage 2_silver failed"), "1_bronze": ("done", None), "2_silver": ("failed", None)}
    assert len(log_of(settings)) == 6


def test_a_log_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "lake").write_text("I am a file")
    (warning,) = run_record.log_rows(rfm.Lake(str(tmp_path / "lake")), record())
    assert warning.startswith("run log: not written: ")
    assert "\n" not in warning


def test_backfill_logs_a_row_per_day_with_rows_read_and_written(two_days):
    first, second = log_of(two_days)
    lake = rfm.Lake(two_days.lake)
    assert [(row["run_date"], row["stage"], row["status"]) for row in (first, second)] == [
        (DAY, "backfill", "done"),
        (NEXT, "backfill", "done"),
    ]
    for row in (first, second):
        assert row["rows_read"] == lake.read("retail_transactions_bronze", processing_date=row["run_date"]).collect().height > 0
        assert row["rows_written"] > row["rows_read"]
        assert row["seconds"] > 0
    writes = json.loads(second["versions"])["writes"]
    assert {"retail_transactions_silver", "customer_rfm_gold", "segment_summary"} <= set(writes)
    assert writes == {name: state.version for name, state in lake.state(writes).items()}


def test_a_day_that_fails_is_in_the_log_with_its_error(settings):
    with pytest.raises(ContractError, match="x"), run_record.logged(rfm.Lake(settings.lake), DAY):
        raise ContractError("x: too many\nrows")
    (row,) = log_of(settings)
    assert (row["status"], row["error"]) == ("failed", "x: too many")


# ── a run that was killed ──────────────────────────────────────────────────────────────────────────
@pytest.fixture
def killed(settings: Settings) -> Settings:
    """Return the settings of a shop whose only run was killed."""
    done = subprocess.run([sys.executable, "-c", KILLED, settings.lake], check=False)
    assert done.returncode == -signal.SIGKILL
    return settings


def test_a_killed_run_did_not_finish(killed):
    assert [row["status"] for row in log_of(killed)] == ["running"]
    told = overview.overview(killed)
    assert [(run["run_date"], run["status"]) for run in told["runs"]] == [("2025-10-23", "did not finish")]
    assert "did not finish" in drawn(killed)


def test_a_run_that_goes_on_is_running(settings):
    with run_record.logged(rfm.Lake(settings.lake), DAY):
        assert [run["status"] for run in overview.overview(settings)["runs"]] == ["running"]
    assert [run["status"] for run in overview.overview(settings)["runs"]] == ["done"]


@pytest.mark.parametrize(("hours", "status"), [(11, "running"), (13, "did not finish")])
def test_a_run_on_another_machine_is_given_twelve_hours(settings, monkeypatch, hours, status):
    begun = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
    with monkeypatch.context() as patch:
        patch.setattr(run_record.platform, "node", lambda: "elsewhere")
        run_record.log_rows(rfm.Lake(settings.lake), record("running", started=begun.isoformat(), stages=[]))
    assert [run["status"] for run in overview.overview(settings)["runs"]] == [status]


# ── status ─────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_yet(settings):
    assert overview.overview(settings) == {
        "runs": [],
        "stages": [],
        "tables": {},
        "quality": {},
        "warnings": [],
        "freshness": {"newest_file": None, "newest_sale": None, "newest_run": None},
    }
    assert "".join(drawn(settings).split()).count("noneyet") == 2


def test_overview_of_days_that_went_well(two_days):
    told, lake = overview.overview(two_days), rfm.Lake(two_days.lake)
    assert [(run["run_date"], run["stage"], run["status"]) for run in told["runs"]] == [
        ("2025-10-23", "backfill", "done"),
        ("2025-10-22", "backfill", "done"),
    ]
    for name, state in lake.state().items():
        files = list(Path(two_days.lake, name).glob("*.parquet"))
        size = told["tables"][name]
        assert (size["version"], size["rows"]) == state
        assert size["files"] <= len(files)
        assert size["bytes"] <= sum(path.stat().st_size for path in files)
    bronze = lake.read("retail_transactions_bronze", processing_date=NEXT).collect().height
    refused = lake.read("retail_transactions_quarantine", processing_date=NEXT).collect().height
    quality = told["quality"]
    assert (quality["processing_date"], quality["lines"], quality["dropped"]) == ("2025-10-23", bronze, refused)
    assert quality["dropped_share"] == pytest.approx(refused / bronze)
    assert all(row["failed"] > 0 for row in quality["broken"])
    assert told["freshness"] == dict.fromkeys(("newest_file", "newest_sale", "newest_run"), "2025-10-23")


def test_text_fits_eighty_columns_and_names_the_trouble(two_days, tmp_path):
    settings = place(Path(shutil.copytree(Path(two_days.lake).parent, tmp_path / "copy")))
    lake = rfm.Lake(settings.lake)
    later = "2099-01-01T00:00:00+00:00"
    run_record.log_rows(lake, record("failed", started=later, error="stage 2_silver failed: the [red] file"))
    said = {"run_date": NEXT, "stage": "1_bronze", "kind": "refused_file", "severity": "warning", "message": "one [b] file"}
    lake.replace("run_warnings", pl.DataFrame([said], schema=rfm.TABLES["run_warnings"].polars), run_date=NEXT)
    shown = drawn(settings)
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "failed stage 2_silver failed: the [red] file" in shown
    assert "warning one [b] file" in shown
    assert all(name in shown for name in lake.state())


def test_stages_of_the_newest_run_are_told(settings):
    run_record.log_rows(rfm.Lake(settings.lake), record())
    assert [stage["stage"] for stage in overview.overview(settings)["stages"]] == ["1_bronze", "2_silver"]


def test_reports_add_what_they_know_and_runs_older_than_the_log(settings):
    run_record.log_rows(rfm.Lake(settings.lake), record())
    known = {"status": "done", "seconds": 3.0, "customers": 12, "revenue": "9.50", "orders": 7, "warnings": 1}
    runs = [
        {"run_date": "2025-10-23", "started": "2025-10-24T05:00:00+00:00", **known},
        {"run_date": "2025-10-22", "started": "2025-10-23T05:00:00+00:00", **known},
    ]
    Path(settings.reports).mkdir()
    Path(settings.reports, "runs.json").write_text(json.dumps({"runs": runs, "newest": {**runs[0], "warnings": []}}))
    newest, older = overview.overview(settings)["runs"]
    assert (newest["run_id"], newest["customers"], newest["rows_read"]) == ("r1", 12, 10)
    assert (older["run_id"], older["run_date"], older["customers"], older["status"]) == (None, "2025-10-22", 12, "done")
    assert set(newest) == set(older)
