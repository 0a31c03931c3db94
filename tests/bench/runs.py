"""The whole thing: the daily run stage by stage, the backfill, the sample maker."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.cases import ROOT, Inputs, Outcome, Work


def before(inputs: Inputs) -> dict[str, Any]:
    """Prepare a lake as it is on the evening before the newest day."""
    import rfm
    from rfm.run.backfill import run_day

    settings = _settings(inputs, inputs.folder, "before")
    return {"headline": run_day(settings, rfm.Lake(settings.lake), inputs.day(-2))}


def daily(inputs: Inputs, scratch: Path, *, start: str = "", kernels: str = "") -> Work:
    """Run all notebooks and publish, into an empty lake or a copy of a prepared one.

    Parameters
    ----------
    inputs, scratch
        As for every benchmark.
    start
        Name of a prepared lake.
    kernels
        ``fresh`` for ordinary kernels; as the run chooses if not given.
    """
    from rfm.run.daily import run

    if kernels:
        os.environ["RFM_KERNELS"] = kernels
    if start:
        shutil.copytree(inputs.folder / start, scratch / "lake")
    settings = _settings(inputs, scratch, "lake")
    return lambda: run(settings), lambda record: _ran(record, scratch / "reports", 1 if start else len(inputs.files))


def _settings(inputs: Inputs, folder: Path, lake: str) -> Any:
    """Return settings with everything in one folder."""
    import rfm

    places = {"lake": str(folder / lake), "reports": str(folder / "reports"), "notebooks": str(ROOT / "notebooks")}
    return rfm.load_settings(landing=str(inputs.landing), **places)


def _ran(record: Mapping[str, Any], reports: Path, files: int) -> Outcome:
    """Return what a daily run found, and the split of its stages."""
    same = {name: record["summary"][name] for name in ("customers", "orders", "revenue")}
    folder = reports / record["run_date"] / "notebooks"
    return Outcome(
        same, files, [split(stage, json.loads((folder / f"{stage['name']}.ipynb").read_text())) for stage in record["stages"]]
    )


def split(stage: Mapping[str, Any], notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Part the seconds of a stage by the times that papermill left in its notebook.

    Parameters
    ----------
    stage
        ``name`` and ``seconds`` of a stage in the run record.
    notebook
        The executed notebook.

    Returns
    -------
    dict
        ``stage``, ``seconds`` and its parts: ``kernel`` (from the start of the notebook to its first cell, and
        from its last cell to its end), ``imports`` (the cell with the imports and the settings), ``work`` (the
        other code cells), ``rest`` (parameters, text, files, papermill itself).
    """
    start, end = _times(notebook)
    cells = [(*_times(cell), cell) for cell in notebook["cells"]]
    parts = {"kernel": cells[0][0] - start + end - cells[-1][1], "imports": 0.0, "work": 0.0}
    for begun, ended, cell in cells:
        if cell["cell_type"] == "code" and not {"parameters", "injected-parameters"} & set(cell["metadata"].get("tags", ())):
            parts["imports" if "import rfm" in "".join(cell["source"]) else "work"] += ended - begun
    parts["rest"] = stage["seconds"] - sum(parts.values())
    return {"stage": stage["name"], "seconds": stage["seconds"], **parts}


def _times(marked: Mapping[str, Any]) -> tuple[float, float]:
    """Return when papermill began and ended a notebook or a cell, in seconds."""
    marks = marked["metadata"]["papermill"]
    begun, ended = (dt.datetime.fromisoformat(marks[name]).timestamp() for name in ("start_time", "end_time"))
    return begun, ended


def backfill(inputs: Inputs, scratch: Path) -> Work:
    """Backfill the last days into an empty lake; the first of them reads all files before it, too."""
    import rfm
    from rfm.run.backfill import backfill, days
    from tests.bench.gold import sums

    last, oldest = inputs.day(), inputs.day(0)
    first = max(oldest, last - dt.timedelta(days=inputs.days - 1)) if inputs.days else oldest
    settings = _settings(inputs, scratch, "lake")
    gold = lambda _: sums(rfm.Lake(settings.lake).read("customer_rfm_gold").collect())
    return lambda: list(backfill(settings, first, last)), lambda done: Outcome(gold(done), len(days(first, last)))


def sample(inputs: Inputs, scratch: Path, *, lines: int = 60_000, customers: int = 1500) -> Work:
    """Make the sample of a size."""
    from rfm.io.prepare import make_sample

    made = lambda: make_sample(scratch / "sample", lines=lines, customers=customers)
    return made, lambda report: Outcome(
        {"lines": report.lines, "customers": report.customers, "bytes": report.bytes}, report.lines
    )
