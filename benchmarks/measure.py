"""Run the cases in turns, each time in a fresh process, and refuse times of results that differ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.cases import CASES, PEERS, PYTHONS, ROOT, Case, Inputs
from benchmarks.memory import watched

PEERS_LIST = ROOT / "benchmarks" / "peers.txt"
SHORT, SHORT_RUNS, LONG_RUNS = 10.0, 5, 3  # what takes less than so many seconds is run more often
KEPT = ("RFM_REAL_DATA", "RFM_KERNELS", "RFM_CLASSIC_SPARK")
Measured = dict[str, list[dict[str, Any]]]


class BenchError(Exception):
    """A benchmark failed, or two that must agree do not."""


def measure(cases: Sequence[Case], inputs: Inputs, runs: int, say: Callable[[str], None]) -> Measured:
    """Measure all cases.

    Parameters
    ----------
    cases
        In the order of `CASES`; a block is run A B A B.
    inputs
        The folder with the landing files.
    runs
        Runs of each; 0 for five of what takes under ten seconds, three of what takes longer.
    say
        Called with a line of progress, which tells no time: times are told when all results agree.

    Returns
    -------
    dict
        The runs of each case, as `benchmarks.one` prints them.

    Raises
    ------
    BenchError
        If a process fails or two results differ, naming both.
    """
    prepare(cases, inputs, say)
    measured: Measured = {case.name: [] for case in cases}
    for case, turn in turns(cases, measured, runs):
        say(f"{case.name}, run {turn + 1}")
        measured[case.name].append(call(case.name, inputs))
        agree(cases, measured)
    return measured


def prepare(cases: Sequence[Case], inputs: Inputs, say: Callable[[str], None]) -> None:
    """Make what the cases need, once: the environment of the peers, and data."""
    if any(case.python == "peers" for case in cases) and not PYTHONS["peers"].exists():
        say(f"installing the peers in {PEERS.name} (once, some minutes)")
        _installed()
    for name in dict.fromkeys(case.needs for case in cases if case.needs):
        say(f"preparing {name}")
        call(name, inputs)


def _installed() -> None:
    """Make the environment of the peers, whose versions do not go with the project's."""
    for command in (
        [sys.executable, "-m", "venv", str(PEERS)],
        [str(PYTHONS["peers"]), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(PEERS_LIST)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(PEERS, ignore_errors=True)
            raise BenchError(f"the peers cannot be installed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def turns(cases: Sequence[Case], measured: Mapping[str, list], runs: int) -> Iterator[tuple[Case, int]]:
    """Yield the cases of a block in turns until each has been run often enough."""
    for _, block in groupby(cases, lambda case: case.block):
        rows = list(block)
        for turn in range(runs or SHORT_RUNS):
            yield from ((case, turn) for case in rows if turn < (runs or _wanted(measured[case.name])))


def _wanted(done: Sequence[Mapping[str, Any]]) -> int:
    """Return how often a case is run, by what its first run took."""
    return SHORT_RUNS if not done or done[0]["seconds"] < SHORT else LONG_RUNS


def agree(cases: Sequence[Case], measured: Measured) -> None:
    """Compare what the runs found with the first run of the same kind, figure by figure.

    Raises
    ------
    BenchError
        Naming the two cases, the figure and both values.
    """
    first: dict[tuple[str, str], tuple[str, Any]] = {}
    for case in cases:
        for run in measured[case.name]:
            for name, value in run["same"].items():
                other, wanted = first.setdefault((case.agree or case.name, name), (case.name, value))
                if value != wanted:
                    raise BenchError(f"{case.name} found {name} {value}, {other} found {wanted}; no time is reported")


def call(name: str, inputs: Inputs) -> dict[str, Any]:
    """Run one case or preparation in a process of its own and return what it prints.

    Raises
    ------
    BenchError
        If it fails, with the last line that it said.
    """
    python = next((PYTHONS[case.python] for case in CASES if case.name == name), sys.executable)
    command = [str(python), "-m", "benchmarks.one", name, str(inputs.folder), "--days", str(inputs.days)]
    neutral = {key: value for key, value in os.environ.items() if not key.startswith("RFM_") or key in KEPT}
    process = subprocess.Popen(command, cwd=ROOT, env=neutral, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with watched(process.pid) as memory:
        out, said = process.communicate()
    if process.returncode:
        raise BenchError(f"{name} failed: {(said.strip().splitlines() or ['no message'])[-1]}")
    found = json.loads(out.splitlines()[-1])
    return {**found, "tree": max(memory.most, found.get("peak", 0.0))}
