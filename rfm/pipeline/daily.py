"""The daily run: the stages as data, run as notebooks by papermill, recorded, published.

The run itself touches no row: it runs the notebooks of the chain one after the other, each in a kernel of its
own, so that a stage at night and a stage by hand are the same stage. It stops at the first failure, keeps the
notebook with the error and leaves the published days as they are.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfm.errors import StageError
from rfm.lake import Lake, kernel_environment
from rfm.pipeline import notebooks, run_record
from rfm.pipeline.kernels import warm_kernels
from rfm.pipeline.monitor import Monitor, monitored
from rfm.pipeline.notebooks import execute
from rfm.pipeline.schedule import locked, run_date
from rfm.pipeline.stages import STAGES, Stage
from rfm.report import site
from rfm.report.publish import publishable_files
from rfm.settings import Settings, is_catalog_name

if TYPE_CHECKING:
    from rfm.pipeline.kernels import Kernels


def run(
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    on_stage: Callable[[Mapping[str, Any]], None] = lambda stage: None,
    kernels: Kernels | None = None,
    on_begin: Callable[[Stage], None] = lambda stage: None,
) -> dict[str, Any]:
    """Run all stages for one run date and publish the report."""
    notebooks.check(settings, parameters or {})
    if not is_catalog_name(settings.lake):
        Lake(settings.lake).open("landing_files")  # a place where no table can be kept is refused before anything runs
    warm = nullcontext(kernels) if kernels else warm_kernels()
    with kernel_environment(settings), warm as kernels, tempfile.TemporaryDirectory(prefix="rfm-run-") as folder:
        work = Path(folder)
        day = run_date(settings)
        if "://" in settings.reports:
            site.published_runs(settings.reports)  # a bucket out of reach is known before anything runs,
            publishable_files({}, settings.publish)  # and so is a missing key
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = {name: {one: wanted[one] for one in names} for name, names in notebooks.declared(settings, list(wanted)).items()}
        record = run_record.new_record(settings, day, wanted)
        with locked(settings, day), monitored(settings, record) as watch, site.Ahead(settings, work) as ahead:
            _run_stages(watch, given, ahead, kernels, on_stage, on_begin)
            run_record.conclude(settings, watch.lake, day, record)
            watch.settle()
            site.build(settings, work, record, ahead)
            run_record.write_record(work, record)
            record["report"] = site.publish(work, settings.reports, record, settings.publish)
    watch.lake.tend(settings.care.optimize_every, settings.care.retain_days)
    return record


def _run_stages(
    watch: Monitor,
    given: Mapping[str, Mapping[str, Any]],
    ahead: site.Ahead,
    kernels: Kernels,
    on_stage: Callable[[Mapping[str, Any]], None],
    on_begin: Callable[[Stage], None],
) -> None:
    """Run the notebooks in order, make pages beside them, note each in the record; stop at the first failure."""
    settings, record, lake = watch.settings, watch.record, watch.lake
    for stage in STAGES:
        on_begin(stage)
        noted: dict[str, Any] = {"name": stage.name, "title": stage.title, "reads": run_record.states(lake, stage.reads)}
        watch.begin_stage(noted)
        started = time.monotonic()
        with kernels.kernel(last=stage == STAGES[-1]) as kernel:
            waited = time.monotonic() - started
            error, spent = execute(Path(settings.notebooks) / f"{stage.name}.ipynb", ahead.work, given[stage.name], kernel)
        noted |= {"seconds": round(time.monotonic() - started, 2), "status": "failed" if error else "done"}
        noted["spent"] = spent | {"kernel": round(spent.get("kernel", 0.0) + waited, 3)}
        noted |= {"writes": run_record.states(lake, stage.writes)} if not error else {"writes": {}, "error": error}
        watch.end_stage(noted)
        record["stages"].append(noted)
        on_stage(noted)
        if error:
            record["status"] = "failed"
            kept = run_record.keep_notebooks(ahead.work, record, settings.reports)
            raise StageError(f"{record['run_date']}: stage {stage.name} failed: {error}; its notebook: {kept}/{stage.name}.ipynb")
        ahead.begin(record)
    record["status"] = "done"
