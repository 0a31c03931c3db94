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

import rfm
from rfm.run import preflight, site
from rfm.run import record as recording
from rfm.run.kernels import warm_kernels
from rfm.run.lakes import told_to_kernels
from rfm.run.notebook import execute
from rfm.run.publish import shared
from rfm.run.schedule.lock import locked
from rfm.run.stages import STAGES, Stage
from rfm.run.watch import Watch, watched
from rfm.schema import StageError
from rfm.settings import Settings, is_catalog_name

if TYPE_CHECKING:
    from rfm.run.kernels.manager import Kernels


def run(
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    on_stage: Callable[[Mapping[str, Any]], None] = lambda stage: None,
    kernels: Kernels | None = None,
    on_begin: Callable[[Stage], None] = lambda stage: None,
) -> dict[str, Any]:
    """Run all stages for one run date and publish the report.

    Parameters
    ----------
    settings
        Where things are, and the run date if it is not the newest day.
    parameters
        Further notebook parameters by name; each stage gets those that it declares.
    on_stage
        Called with the record of each stage when it is done.
    kernels
        Those of `rfm.run.kernels.warm_kernels`, if the caller has begun to warm them; otherwise that begins here.
    on_begin
        Called with each stage when it begins.

    Returns
    -------
    dict
        The run record, as written to ``run.json``, with the address of the front page under ``report``.

    Raises
    ------
    SettingsError
        Before anything runs: a parameter that no notebook has, a missing notebook, no file to read, a severity that
        cannot be.
    StageError
        Naming the stage that failed, why, and where its notebook is.
    """
    preflight.check(settings, parameters or {})
    if not is_catalog_name(settings.lake):
        rfm.Lake(settings.lake).open("landing_files")  # a place where no table can be kept is refused before anything runs
    warm = nullcontext(kernels) if kernels else warm_kernels()
    with told_to_kernels(settings), warm as kernels, tempfile.TemporaryDirectory(prefix="rfm-run-") as folder:
        work = Path(folder)
        day = rfm.run_date(settings)
        if "://" in settings.reports:
            site.published_runs(settings.reports)  # a bucket out of reach is known before anything runs,
            shared({}, settings.publish)  # and so is a missing key
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = {name: {one: wanted[one] for one in names} for name, names in preflight.declared(settings, list(wanted)).items()}
        record = recording.begin(settings, day, wanted)
        with locked(settings, day), watched(settings, record) as watch, site.Ahead(settings, work) as ahead:
            _run_stages(watch, given, ahead, kernels, on_stage, on_begin)
            recording.conclude(settings, watch.lake, day, record)
            watch.settle()
            site.build(settings, work, record, ahead)
            recording.write(work, record)
            record["report"] = site.publish(work, settings.reports, record, settings.publish)
    watch.lake.tend(settings.care.optimize_every, settings.care.retain_days)
    return record


def _run_stages(
    watch: Watch,
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
        noted: dict[str, Any] = {"name": stage.name, "title": stage.title, "reads": recording.states(lake, stage.reads)}
        watch.begin_stage(noted)
        started = time.monotonic()
        with kernels.kernel(last=stage == STAGES[-1]) as kernel:
            waited = time.monotonic() - started
            error, spent = execute(Path(settings.notebooks) / f"{stage.name}.ipynb", ahead.work, given[stage.name], kernel)
        noted |= {"seconds": round(time.monotonic() - started, 2), "status": "failed" if error else "done"}
        noted["spent"] = spent | {"kernel": round(spent.get("kernel", 0.0) + waited, 3)}
        noted |= {"writes": recording.states(lake, stage.writes)} if not error else {"writes": {}, "error": error}
        watch.end_stage(noted)
        record["stages"].append(noted)
        on_stage(noted)
        if error:
            record["status"] = "failed"
            kept = recording.keep(ahead.work, record, settings.reports)
            raise StageError(f"{record['run_date']}: stage {stage.name} failed: {error}; its notebook: {kept}/{stage.name}.ipynb")
        ahead.begin(record)
    record["status"] = "done"
