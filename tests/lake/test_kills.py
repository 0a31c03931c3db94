"""A run that is killed at a random moment, and then run once more, leaves the tables of a run that nobody touched."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from rfm.datasets.sample import make_sample
from rfm.lake import ingest
from rfm.lake.delta import LEFTOVER
from rfm.lake.tables import Lake
from rfm.lake.verify import find_damage
from rfm.pipeline.backfill import replay
from rfm.pipeline.repair import verify_lake
from rfm.settings import load_settings
from tests.conftest import ROOT
from tests.forks import Forks, contents, differing

FIRST, DAYS, LINES, SEED = dt.date(2025, 6, 26), 8, 80, 20100
CARE = 5  # commits after which a table is compacted, so that kills hit compactions, too


class Runs(NamedTuple):
    """What a kill needs: the forking process, the landing folder, what an undisturbed run leaves, and its commits."""

    forks: Forks
    landing: Path
    lake: Path  # of an undisturbed run, to be copied
    undisturbed: dict[str, pl.DataFrame]
    commits: int
    pause: float  # seconds from one commit to the next

    def given(self, lake: Path) -> dict[str, Any]:
        """Return the arguments of a run over all days: four files each time."""
        days = [str(FIRST + dt.timedelta(days=place)) for place in (DAYS // 2 - 1, DAYS - 1)]
        return {"landing": str(self.landing), "lake": str(lake), "days": days, "every": CARE}


@pytest.fixture(scope="module", params=["sample", pytest.param("real", marks=pytest.mark.real)])
def landing(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return eight days of the sample, and of the real files too where they are: the first lines of each."""
    folder, source = tmp_path_factory.mktemp("days"), tmp_path_factory.mktemp("source")
    if request.param == "real":
        source = request.getfixturevalue("real_files")
    else:
        make_sample(source, days=DAYS, end=FIRST + dt.timedelta(days=DAYS - 1), lines=4 * DAYS * LINES, customers=150)
    for path in sorted(source.rglob("*_transactions.csv"), key=lambda path: path.name)[:DAYS]:
        header, *lines = path.read_text("utf-8").splitlines(keepends=True)
        assert len(lines) >= LINES, path.name
        (folder / path.name).write_text("".join([header, *lines[:LINES]]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, landing: Path) -> Iterator[Runs]:
    """Run all days undisturbed, which says how many commits there are, and how long one takes."""
    lake = tmp_path_factory.mktemp("undisturbed") / "lake"
    with Forks() as forks:
        started = time.monotonic()
        assert forks.wait(forks.start("run_days", **Runs(forks, landing, lake, {}, 0, 0).given(lake))) == 0
        seconds = time.monotonic() - started
        yield Runs(forks, landing, lake, contents(str(lake)), commits(lake), seconds / commits(lake))


def commits(lake: Path) -> int:
    """Return the number of commits to all tables of a lake."""
    return len(list(lake.glob("*/_delta_log/*.json")))


def until_written(lake: Path, number: float, run: subprocess.Popen | None = None) -> None:
    """Wait until a lake has so many commits, however fast the machine is, or the run that writes it is done."""
    end = time.monotonic() + 300
    while commits(lake) < number and (run is None or run.poll() is None):
        assert time.monotonic() < end, f"{lake}: {commits(lake)} of {number:.0f} commits after five minutes"
        time.sleep(0.01)


def kill_at(runs: Runs, lake: Path, moment: float) -> int:
    """Start a run, kill it after a share of all commits, at a random point of the next, and return its exit code."""
    pid = runs.forks.start("run_days", **runs.given(lake))
    until_written(lake, moment * runs.commits)
    time.sleep(random.Random(str(moment)).random() * runs.pause)
    return runs.forks.kill(pid)


def killed_then_repaired(runs: Runs, lake: Path, moment: float) -> int:
    """Kill a run, run once more, compare; return the killed run's exit code."""
    shutil.rmtree(lake, ignore_errors=True)
    code = kill_at(runs, lake, moment)
    assert code in (0, -signal.SIGKILL)
    assert runs.forks.wait(runs.forks.start("run_days", **runs.given(lake))) == 0
    assert differing(contents(str(lake)), runs.undisturbed) == [], f"killed after {moment:.3f} of a run"
    balance = ingest.reconcile(Lake(str(lake)))
    assert balance["bronze"] == balance["silver"] + balance["quarantine"] == DAYS * LINES
    return code


def moments(seed: int, number: int) -> list[float]:
    """Return random moments, as shares of a run's commits: one in each of as many equal parts of it, in order."""
    return [(i + random.Random(f"{seed} {i}").random()) / number for i in range(number)]


def test_a_run_killed_at_two_moments_loses_nothing(runs, tmp_path):
    codes = [killed_then_repaired(runs, tmp_path / "lake", moment) for moment in moments(SEED, 2)]
    assert -signal.SIGKILL in codes, "the runs were over before they could be killed"


@pytest.mark.long
def test_a_run_killed_at_two_hundred_moments_loses_nothing(runs, tmp_path):
    codes = [killed_then_repaired(runs, tmp_path / "lake", moment) for moment in moments(SEED + 1, 200)]
    assert codes.count(-signal.SIGKILL) > 100


@pytest.mark.whole
def test_many_kills_before_one_run_ends_do_no_harm_either(runs, tmp_path):
    lake = tmp_path / "lake"
    codes = [kill_at(runs, lake, moment) for moment in moments(SEED + 2, 3)]
    assert -signal.SIGKILL in codes
    assert runs.forks.wait(runs.forks.start("run_days", **runs.given(lake))) == 0
    assert differing(contents(str(lake)), runs.undisturbed) == []


# ── the whole chain: a run of notebooks is killed with its kernels ─────────────────────────────────
def start_daily(root: Path, day: dt.date) -> subprocess.Popen:
    """Start `rfm daily` in a project, as a user does, in a process group of its own."""
    (root / "tmp").mkdir(exist_ok=True)
    neutral = {name: value for name, value in os.environ.items() if not name.startswith("RFM_")}
    command = [sys.executable, "-c", "from rfm.cli import main; main()", "daily", "--date", str(day)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    given = neutral | {"PYTHONPATH": str(ROOT), "TMPDIR": str(root / "tmp")}
    return subprocess.Popen(command, cwd=root, env=given, start_new_session=True, **streams)


def run_daily(root: Path, day: dt.date) -> None:
    """Run `rfm daily` to its end; no folder of a killed run is left in the temporary directory."""
    _, said = (done := start_daily(root, day)).communicate()
    assert done.returncode == 0, said.decode()
    assert [path.name for path in (root / "tmp").glob("rfm-*")] == []


def project(root: Path, landing: Path) -> Path:
    """Make a project with the daily files and the notebooks."""
    shutil.copytree(landing, root / "data" / "landing")
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns("0_tour*"))
    return root


def kill_group(run: subprocess.Popen) -> None:
    """Kill a run with its kernels and all others of its process group."""
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL, "the run was over before it could be killed"


def daily_killed(landing: Path, root: Path, kills: int, seed: int) -> None:
    """Kill `rfm daily` at random moments, then let it run, and compare with a project that nobody touched."""
    day = FIRST + dt.timedelta(days=DAYS - 1)
    quiet, harried = project(root / "quiet", landing), project(root / "harried", landing)
    run_daily(quiet, day)
    left = 0
    for moment in moments(seed, kills):
        run = start_daily(harried, day)
        until_written(harried / "data" / "lake", moment * commits(quiet / "data" / "lake"), run)
        kill_group(run)
        left += len(list((harried / "tmp").glob("rfm-run-*")))
    run_daily(harried, day)
    assert left > 0, "no killed run left a folder, so nothing was swept"
    assert differing(contents(str(quiet / "data" / "lake")), contents(str(harried / "data" / "lake"))) == []
    pages = [sorted(path.name for path in (place / "reports" / str(day)).rglob("*")) for place in (quiet, harried)]
    assert pages[0] == pages[1]
    settings = load_settings(lake=str(harried / "data" / "lake"), reports=str(harried / "reports"))
    assert verify_lake(settings) == []
    told = replay(load_settings(lake=str(quiet / "data" / "lake"), reports=str(quiet / "reports")), day)
    assert str(told).endswith("result tables are identical")


@pytest.mark.long
def test_a_killed_daily_run_ends_like_an_undisturbed_one(landing, tmp_path):
    daily_killed(landing, tmp_path, 1, SEED)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_daily_run_killed_often_ends_like_an_undisturbed_one(landing, tmp_path, seed):
    daily_killed(landing, tmp_path, 20, SEED + 10 + seed)


# ── what the killed leave behind ───────────────────────────────────────────────────────────────────
def test_old_leftovers_of_killed_writers_are_removed(runs, tmp_path):
    lake = Path(shutil.copytree(runs.lake, tmp_path / "lake"))
    folder = lake / "retail_transactions_bronze"
    old, young, other = folder / "part-1.snappy.parquet#1", folder / "_delta_log" / "9.json#12", folder / "mine#1"
    for path in (old, young, other):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 8 * 86_400,) * 2)
    os.utime(other, (time.time() - 8 * 86_400,) * 2)
    gone = folder / "_delta_log" / "1.checkpoint.parquet#1"
    gone.symlink_to(tmp_path / "nowhere")  # listed, but without a file: another run has just renamed it
    Lake(str(lake)).optimize("retail_transactions_bronze")
    assert [path.exists() for path in (old, young, other)] == [False, True, True]
    assert [bool(LEFTOVER.search(path.name)) for path in (old, young, other)] == [True, True, False]
    assert differing(contents(str(lake)), runs.undisturbed) == []


def test_a_table_whose_making_was_killed_is_no_damage(runs, tmp_path):
    lake = Path(shutil.copytree(runs.lake, tmp_path / "lake"))
    shutil.rmtree(lake / "segment_stability")
    (lake / "tables.json").unlink()
    (lake / "segment_stability" / "_delta_log").mkdir(parents=True)
    (lake / "segment_stability" / "_delta_log" / "00000000000000000000.json#1").write_bytes(b"{")
    assert find_damage(Lake(str(lake))) == []
