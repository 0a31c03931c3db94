"""The command: measure, compare, print a table, keep it. ``python -m benchmarks --only gold k --full``."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, Inputs, chosen
from benchmarks.measure import BenchError, Measured, call, measure
from benchmarks.table import growth, markdown, rows, stages

PACKAGES = ("polars", "pandas", "numpy", "pyarrow", "narwhals", "deltalake", "scikit-learn", "papermill")
QUICK_DAYS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments ask for; print and keep the table; return the exit status."""
    given = options(arguments)
    cases = chosen(given.only, given.full)
    try:
        with tempfile.TemporaryDirectory(prefix="rfm-bench-") as folder:
            inputs = Inputs(Path(folder), 0 if given.full else given.days)
            about = surroundings(given)
            data = call("landing", inputs)
            measured = measure(cases, inputs, given.runs, lambda line: print(f"bench: {line}", file=sys.stderr, flush=True))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped by hand, nothing is kept", file=sys.stderr)
        return 130
    keep(found({**about, "data": data}, cases, measured), given.json)
    return 0


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory against baselines, in one run.")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="names of benchmarks or blocks: gold, k.ours")
    parser.add_argument("--full", action="store_true", help="the long ones too, and backfill of all days")
    parser.add_argument("--days", type=int, default=QUICK_DAYS, help="days to backfill, counted from the last")
    parser.add_argument("--runs", type=int, default=0, help="runs of each; 5 under ten seconds, otherwise 3, if not given")
    parser.add_argument("--json", type=Path, default=Path("reports/bench/bench.json"), help="bench.md goes beside it")
    given = parser.parse_args(arguments)
    try:
        chosen(given.only, given.full)
    except ValueError as error:
        parser.error(str(error))
    return given


def surroundings(given: argparse.Namespace) -> dict[str, Any]:
    """Return date, command, machine and versions: what a reader needs to judge the figures. No path is told."""
    asked = [f"--only {' '.join(given.only)}"] * bool(given.only) + ["--full"] * given.full
    asked += [f"--days {given.days}"] * (given.days != QUICK_DAYS) + [f"--runs {given.runs}"] * bool(given.runs)
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="minutes"),
        "command": " ".join(["python -m benchmarks", *asked]),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "memory_gb": _memory_gb(), "load": os.getloadavg()[0]},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def _cpu() -> str:
    """Return the model of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gb() -> float:
    """Return the memory of the machine."""
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def found(about: dict[str, Any], cases: Sequence[Case], measured: Measured) -> dict[str, Any]:
    """Return all that is kept: surroundings, rows, growth, stages, every run."""
    table = {"rows": [row._asdict() for row in rows(cases, measured)], "growth": growth(cases, measured)}
    return {**about, **table, "stages": stages(measured), "runs": measured}


def keep(everything: dict[str, Any], place: Path) -> None:
    """Print the table and write it, and the JSON, to a folder."""
    text = markdown(everything)
    print(text)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    place.with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
