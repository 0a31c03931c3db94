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
from rfm.errors import unknown
from rfm.io.landing import run_date as resolve_run_date
from rfm.io.landing.customers import mask_of
from rfm.run import record as recording
from rfm.run import site
from rfm.run.kernels import warm_kernels
from rfm.run.lakes import told_to_kernels
from rfm.run.notebook import execute, parameters_of
from rfm.run.publish import shared
from rfm.run.schedule.lock import locked
from rfm.run.stages import STAGES
from rfm.run.watch import Watch, watched
from rfm.schema import SettingsError, StageError
from rfm.settings import Settings, is_catalog_name

if TYPE_CHECKING:
    from rfm.run.kernels.manager import Kernels


def run(
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    on_stage: Callable[[Mapping[str, Any]], None] = lambda stage: None,
    kernels: Kernels | None = None,
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
    rfm.quality.severities(rfm.SEVERITIES, settings.expectations)  # a rule that does not exist is refused before anything runs
    mask_of(settings.columns)  # and so is a missing key
    if not is_catalog_name(settings.lake):
        rfm.Lake(settings.lake).open("landing_files")  # and so is a place where no table can be kept
    warm = nullcontext(kernels) if kernels else warm_kernels()
    with told_to_kernels(settings), warm as kernels, tempfile.TemporaryDirectory(prefix="rfm-run-") as folder:
        work = Path(folder)
        if settings.date:  # a day without any file is refused before anything runs; the newest file's day has one
            rfm.list_files(settings.landing, settings.files.pattern, until=settings.date)
        day = resolve_run_date(settings)
        if "://" in settings.reports:
            site.published_runs(settings.reports)  # a bucket out of reach is known before anything runs,
            shared({}, settings.publish)  # and so is a missing key
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = _declared(Path(settings.notebooks), wanted)
        record = recording.begin(settings, day, wanted)
        with locked(settings, day), watched(settings, record) as watch, site.Ahead(settings, work) as ahead:
            _run_stages(watch, given, ahead, kernels, on_stage)
            recording.conclude(settings, watch.lake, day, record)
            watch.settle()
            site.build(settings, work, record, ahead)
            recording.write(work, record)
            record["report"] = site.publish(work, settings.reports, record, settings.publish)
    watch.lake.tend(settings.care.optimize_every, settings.care.retain_days)
    return record


def _declared(folder: Path, wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return, for each stage, the wanted parameters that its notebook declares."""
    declared = {stage.name: parameters_of(folder / f"{stage.name}.ipynb") for stage in STAGES}
    known = set().union(*declared.values())
    if strange := [name for name in wanted if name not in known]:
        raise SettingsError(unknown("parameter", strange, known))
    return {name: {key: value for key, value in wanted.items() if key in names} for name, names in declared.items()}


def _run_stages(
    watch: Watch,
    given: Mapping[str, Mapping[str, Any]],
    ahead: site.Ahead,
    kernels: Kernels,
    on_stage: Callable[[Mapping[str, Any]], None],
) -> None:
    """Run the notebooks in order, make pages beside them, note each in the record; stop at the first failure."""
    settings, record, lake = watch.settings, watch.record, watch.lake
    for stage in STAGES:
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
