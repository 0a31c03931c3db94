"""Runs in processes that can be killed: one process imports everything once and forks on request.

The forking process never computes, so it has no threads that a fork would lose. A line of JSON asks it to start a run
(it answers with the process id) or to wait for one (it answers with the exit code, negative after a signal).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from rfm.contracts import TABLES
from rfm.lake.tables import Lake
from rfm.pipeline.kernels import ENVIRONMENT

ROOT = Path(__file__).parents[1]
WITH_CLOCK = ("ingestion_timestamp",)
LOGS = ("pipeline_runs",)  # say how often something ran, which is not the same after a kill


class Forks:
    """The forking process, for a `with` block."""

    def __enter__(self) -> Forks:
        command, streams = [sys.executable, "-m", "tests.forks"], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, **streams, text=True, cwd=ROOT, env=os.environ | ENVIRONMENT)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=600)

    def start(self, run: str, **given: Any) -> int:
        """Start a run, one of `RUNS`, and return its process id."""
        return self._ask({"run": run, "given": given})

    def wait(self, pid: int) -> int:
        """Return the exit code of a run."""
        return self._ask({"wait": pid})

    def kill(self, pid: int) -> int:
        """Kill a run, if it has not ended, and return its exit code; until it is waited for, nobody else has its id."""
        os.kill(pid, signal.SIGKILL)
        return self.wait(pid)

    def _ask(self, question: dict[str, Any]) -> int:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def run_days(landing: str, lake: str, days: list[str], every: int = 0) -> None:
    """Run stages 1 to 5 for each day, as `rfm backfill` does."""
    from rfm.pipeline.backfill import backfill
    from rfm.settings import load_settings

    quick = {"clusters": {"k_max": 4, "n_init": 1}, "care": {"optimize_every": every}}
    settings = load_settings(landing=landing, lake=lake, **quick)
    for day in map(dt.date.fromisoformat, days):
        list(backfill(settings, day, day))


def ingest_each(landing: str, lake: str, days: list[str], start: str) -> None:
    """Wait for the start file, ingest each landing file in its own commit, then clean the pending files."""
    import time

    import rfm

    home = rfm.Lake(lake)
    while not Path(start).exists():
        time.sleep(0.002)
    for file in rfm.list_files(landing):
        rfm.ingest.write_bronze(home, rfm.read_files(landing, [file.source_file], dt.date.fromisoformat(days[-1])))
    new = rfm.ingest.files_to_clean(home)
    rfm.ingest.write_silver(home, *rfm.clean(home.read("retail_transactions_bronze", source_file=new)), new)


RUNS = {"run_days": run_days, "ingest_each": ingest_each}


def contents(lake: str, leave: Iterable[str] = LOGS) -> dict[str, pl.DataFrame]:
    """Return the sorted rows of every table, without times of day."""
    home = Lake(lake)
    frames = {name: home.read(name).collect().drop(*WITH_CLOCK, strict=False) for name in TABLES if name not in leave}
    return {name: frame.sort(frame.columns) for name, frame in frames.items()}


def differing(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> list[str]:
    """Return the names of the tables that differ."""
    return [name for name in one.keys() | other.keys() if not one[name].equals(other[name])]


def main() -> None:
    """Import everything, then fork and wait on request until the input ends."""
    import pandera.backends.polars.container  # noqa: F401
    import pandera.polars  # noqa: F401
    import sklearn.cluster  # noqa: F401

    import rfm
    import rfm.pipeline.backfill  # noqa: F401

    _ = [getattr(rfm, name) for name in rfm.__all__ if name != "figures"]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(f"{_answer(json.loads(line))}\n")
        sys.stdout.flush()


def _answer(asked: dict[str, Any]) -> int:
    """Wait for a run, or start one; return its exit code or its process id."""
    if "wait" in asked:
        return os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
    if pid := os.fork():
        return pid
    try:
        RUNS[asked["run"]](**asked["given"])
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
