"""The daily run: the notebooks of the chain, each in its own kernel, then the report.

It stops at the first failure, keeps the notebook with the error and leaves the published days as they are.
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
    """Run all stages for one run date and publish the report; return the record as in ``run.json``, with its address."""
    if not kernels:  # the command line checks before it warms them
        notebooks.check(settings, parameters or {})
    if not is_catalog_name(settings.lake):
        Lake(settings.lake).open("landing_files")  # a place where no table can be kept is refused before anything runs
    warm = nullcontext(kernels) if kernels else warm_kernels()
    with kernel_environment(settings), warm as kernels, tempfile.TemporaryDirectory(prefix="rfm-run-") as folder:
        work, day = Path(folder), run_date(settings)
        if "://" in settings.reports:
            site.published_runs(settings.reports)  # a bucket out of reach is known before anything runs,
            publishable_files({}, settings.publish)  # and so is a missing key
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = {name: {one: wanted[one] for one in names} for name, names in notebooks.declared(settings, list(wanted)).items()}
        record = run_record.new_record(settings, day, wanted)
        with locked(settings, day), monitored(settings, record) as watch, site.Ahead(settings, work) as ahead:
            _run_stages(watch, given, ahead, kernels, on_stage, on_begin)
            run_record.conclude(settings, watch.lake, record)
            watch.settle()
            site.build(settings, work, record.to_json(), ahead)
            run_record.write_record(work, record)
            address = site.publish(work, settings.reports, record.to_json(), settings.publish)
    watch.lake.tend(settings.care.optimize_every, settings.care.retain_days)
    return record.to_json() | {"report": address}


def _run_stages(
    watch: Monitor,
    given: Mapping[str, Mapping[str, Any]],
    ahead: site.Ahead,
    kernels: Kernels,
    on_stage: Callable[[Mapping[str, Any]], None],
    on_begin: Callable[[Stage], None],
) -> None:
    """Run the notebooks in order, make pages beside them, note each in the record; stop at the first failure."""
    settings, record = watch.settings, watch.record
    for stage in STAGES:
        on_begin(stage)
        with watch.stage(stage) as noted:
            started = time.monotonic()
            with kernels.kernel(last=stage == STAGES[-1]) as kernel:
                waited = time.monotonic() - started
                notebook = Path(settings.notebooks) / f"{stage.name}.ipynb"
                noted.error, spent = execute(notebook, ahead.work, given[stage.name], kernel)
            noted.seconds, noted.status = round(time.monotonic() - started, 2), "failed" if noted.error else "done"
            noted.spent = spent | {"kernel": round(spent.get("kernel", 0.0) + waited, 3)}
        on_stage(noted.to_json())
        if noted.error:
            record.status = "failed"
            kept = run_record.keep_notebooks(ahead.work, record, settings.reports)
            raise StageError(
                f"{record.run_date}: stage {stage.name} failed: {noted.error}; its notebook: {kept}/{stage.name}.ipynb"
            )
        ahead.begin(record.to_json())
    record.status = "done"
