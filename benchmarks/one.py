"""Measure one thing in this process and print it as JSON: ``python -m benchmarks.one gold.polars FOLDER``.

A fresh process a run keeps memory honest and runs apart. Imports and preparations are not in the time. Memory
is the peak of this process or of the largest of those that it started and waited for.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, PREPARATIONS, Case, Inputs


def main() -> None:
    """Measure the case, or make the preparation, that is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one")
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    inputs = Inputs(given.folder, given.days)
    if given.name in PREPARATIONS:
        found = located(PREPARATIONS[given.name])(inputs)
    else:
        found = measure(next(case for case in CASES if case.name == given.name), inputs)
    print(json.dumps(found))


def measure(case: Case, inputs: Inputs) -> dict[str, Any]:
    """Run a case once.

    Returns
    -------
    dict
        ``seconds``, ``cpu`` (seconds of all cores), ``imports`` (seconds), ``before`` and ``peak`` (MB, at the start and at the
        most), and what it found: ``same``, ``units``, ``stages``.
    """
    started = time.perf_counter()
    for name in case.imports:
        import_module(name)
    imports = time.perf_counter() - started
    with tempfile.TemporaryDirectory(dir=inputs.folder) as scratch:
        work, outcome = located(case.make)(inputs, Path(scratch), **case.options)
        gc.collect()
        before, busy, started = peak(), cpu(), time.perf_counter()
        value = work()
        seconds, busy = time.perf_counter() - started, cpu() - busy
        most = peak()  # before the outcome is looked at
        return {"seconds": seconds, "cpu": busy, "imports": imports, "before": before, "peak": most, **outcome(value)._asdict()}


def located(place: str) -> Any:
    """Return the function that ``module:function`` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def cpu() -> float:
    """Return the seconds that all cores worked for this process and for those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak() -> float:
    """Return the peak memory of this process, or of the largest process that it has waited for, in MB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


if __name__ == "__main__":
    main()
