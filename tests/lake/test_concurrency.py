"""Several runs at once over the same files: every line is there once, whoever was first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from rfm.contracts import BRONZE
from rfm.datasets.sample import make_sample
from rfm.lake import ingest, ledger
from rfm.lake.tables import Lake
from tests.forks import Forks, contents, differing

LAST = dt.date(2025, 8, 4)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """Return a process that forks runs."""
    with Forks() as forking:
        yield forking


def landing(folder: Path, files: int) -> dict[str, int]:
    """Make daily files; return the lines of each."""
    made = folder / "landing"
    make_sample(made, days=files, end=LAST, lines=40 * files, customers=60)
    return {path.name: len(path.read_text("utf-8").splitlines()) - 1 for path in made.iterdir()}


def race(forks: Forks, folder: Path, runs: int) -> None:
    """Let runs wait for one file, make it, and wait until all have ended well."""
    given = {"landing": str(folder / "landing"), "lake": str(folder / "lake"), "days": [str(LAST)], "start": str(folder / "go")}
    pids = [forks.start("ingest_each", **given) for _ in range(runs)]
    (folder / "go").touch()
    assert [forks.wait(pid) for pid in pids] == [0] * runs


def each_line_once(folder: Path, wanted: dict[str, int]) -> None:
    """Hold bronze, the ledger and the balance against the files."""
    lake = Lake(str(folder / "lake"))
    assert dict(lake.read(BRONZE).group_by("source_file").len().collect().rows()) == wanted
    noted = lake.read("landing_files", layer="bronze").select("source_file", "rows").collect()
    assert (len(noted), dict(noted.rows())) == (len(wanted), wanted)
    balance = ingest.reconcile(lake)
    assert balance["bronze"] == balance["silver"] + balance["quarantine"] == sum(wanted.values())
    assert {name: state.rows for name, state in lake.state(ledger.LAYERS.values()).items()} == {
        table: balance[layer] for layer, table in ledger.LAYERS.items()
    }


@pytest.mark.whole
def test_three_runs_at_once_write_each_line_once(forks, tmp_path):
    wanted = landing(tmp_path, 12)
    race(forks, tmp_path, 3)
    each_line_once(tmp_path, wanted)


@pytest.mark.long
@pytest.mark.parametrize("turn", range(3))
def test_six_runs_at_once_over_forty_files_write_each_line_once(forks, tmp_path, turn):
    wanted = landing(tmp_path, 40)
    race(forks, tmp_path, 6)
    each_line_once(tmp_path, wanted)


@pytest.mark.whole
def test_whole_runs_of_one_day_at_once_leave_what_one_leaves(forks, tmp_path):
    wanted = landing(tmp_path, 6)
    given = {"landing": str(tmp_path / "landing"), "days": [str(LAST)], "every": 3}
    assert forks.wait(forks.start("run_days", lake=str(tmp_path / "alone"), **given)) == 0
    pids = [forks.start("run_days", lake=str(tmp_path / "lake"), **given) for _ in range(2)]
    assert [forks.wait(pid) for pid in pids] == [0, 0]
    each_line_once(tmp_path, wanted)
    assert differing(contents(str(tmp_path / "alone")), contents(str(tmp_path / "lake"))) == []
