"""The daily run: the stages as data, run as notebooks by papermill, recorded, published.

The run itself touches no row: it runs the notebooks of the chain one after the other, each in a kernel of its
own, so that a stage at night and a stage by hand are the same stage. It stops at the first failure, keeps the
notebook with the error and leaves the published days as they are.
"""

from __future__ import annotations

import ast
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rfm
from rfm.errors import redacted, trouble, unknown
from rfm.io.landing import run_date as resolve_run_date
from rfm.run import record as recording
from rfm.run import site
from rfm.run.kernels import skip_slow_import, warm_kernels
from rfm.run.lakes import told_to_kernels
from rfm.run.publish import shared
from rfm.run.schedule.lock import locked
from rfm.run.stages import STAGES
from rfm.run.watch import Watch, watched
from rfm.schema import RfmError, SettingsError, StageError
from rfm.settings import Settings

CELL_TIMEOUT = 3600  # seconds
OWN_ERRORS = {RfmError.__name__, *(kind.__name__ for kind in RfmError.__subclasses__())}


def run(
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    on_stage: Callable[[Mapping[str, Any]], None] = lambda stage: None,
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
    with told_to_kernels(settings), warm_kernels() as kernel, tempfile.TemporaryDirectory(prefix="rfm-run-") as work:
        if settings.date:  # a day without any file is refused before anything runs; the newest file's day has one
            rfm.list_files(settings.landing, settings.files.pattern, until=settings.date)
        day = resolve_run_date(settings)
        if "://" in settings.reports:
            site.published_runs(settings.reports)  # a bucket out of reach is known before anything runs,
            shared({}, settings.publish)  # and so is a missing key
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = _declared(Path(settings.notebooks), wanted)
        record = recording.begin(settings, day, wanted)
        with locked(settings, day), watched(settings, record) as watch:
            _run_stages(watch, given, Path(work), kernel, on_stage)
            recording.conclude(settings, watch.lake, day, record)
            watch.settle()
            site.build(settings, Path(work), record)
            recording.write(Path(work), record)
            record["report"] = site.publish(Path(work), settings.reports, record, settings.publish)
    watch.lake.tend(settings.care.optimize_every, settings.care.retain_days)
    return record


def _declared(folder: Path, wanted: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return, for each stage, the wanted parameters that its notebook declares."""
    declared = {stage.name: parameters_of(folder / f"{stage.name}.ipynb") for stage in STAGES}
    known = set().union(*declared.values())
    if strange := [name for name in wanted if name not in known]:
        raise SettingsError(unknown("parameter", strange, known))
    return {name: {key: value for key, value in wanted.items() if key in names} for name, names in declared.items()}


def parameters_of(notebook: Path) -> list[str]:
    """Return the names that a notebook's parameters cell assigns.

    Parameters
    ----------
    notebook
        Path of a notebook; it is read, not run.

    Raises
    ------
    SettingsError
        If the notebook is missing, cannot be read, or has no cell tagged ``parameters``.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        cell = next(cell for cell in cells if "parameters" in cell["metadata"].get("tags", ()))
        tree = ast.parse("".join(cell["source"]))
    except FileNotFoundError:
        raise SettingsError(f"{notebook}: there is no such notebook; set `notebooks` to the folder of the chain") from None
    except (ValueError, KeyError, StopIteration, SyntaxError) as error:
        raise SettingsError(f"{notebook}: no parameters can be read ({error!r}); tag its first code cell `parameters`") from None
    assigned = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    targets = [target for node in assigned for target in (node.targets if isinstance(node, ast.Assign) else [node.target])]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _run_stages(
    watch: Watch,
    given: Mapping[str, Mapping[str, Any]],
    work: Path,
    kernel: Mapping[str, Any],
    on_stage: Callable[[Mapping[str, Any]], None],
) -> None:
    """Run the notebooks in order into the work folder; note each in the record; stop at the first failure."""
    settings, record, lake = watch.settings, watch.record, watch.lake
    for stage in STAGES:
        noted: dict[str, Any] = {"name": stage.name, "title": stage.title, "reads": recording.states(lake, stage.reads)}
        watch.begin_stage(noted)
        started = time.monotonic()
        error = _execute(Path(settings.notebooks) / f"{stage.name}.ipynb", work, given[stage.name], kernel)
        noted |= {"seconds": round(time.monotonic() - started, 2), "status": "failed" if error else "done"}
        noted |= {"writes": recording.states(lake, stage.writes)} if not error else {"writes": {}, "error": error}
        watch.end_stage(noted)
        record["stages"].append(noted)
        on_stage(noted)
        if error:
            record["status"] = "failed"
            kept = recording.keep(work, record, settings.reports)
            raise StageError(f"{record['run_date']}: stage {stage.name} failed: {error}; its notebook: {kept}/{stage.name}.ipynb")
    record["status"] = "done"


def _execute(notebook: Path, work: Path, parameters: Mapping[str, Any], kernel: Mapping[str, Any]) -> str | None:
    """Run one notebook into the work folder; return what went wrong, if anything did."""
    skip_slow_import()
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        done = papermill.execute_notebook(
            str(notebook),
            str(work / notebook.name),
            dict(parameters),
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT,
            **kernel,
        )
    except papermill.PapermillExecutionError as error:
        return _reason(error.ename, str(error.evalue))
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        return f"the kernel died or did not answer ({type(error).__name__}); run it by hand to see more"
    finally:
        _redact(work / notebook.name)
    left = any(output.output_type == "error" for cell in done.cells for output in cell.get("outputs", ()))
    return "SystemExit: the notebook ended before its last cell" if left else None


def _reason(kind: str, said: str) -> str:
    """Return an error of a notebook in one line: what we say ourselves as it is, any other with its kind."""
    said = " ".join(redacted(said).split())
    if said and kind in OWN_ERRORS:
        return said
    known = trouble(f"{kind}: {said}")  # of Polars, when a bucket fails in the middle of a stage
    return f"a bucket failed: {known}" if known else f"{kind}: {said}".removesuffix(": ")


def _redact(notebook: Path) -> None:
    """Take the secrets of the environment out of an executed notebook, whatever wrote them there."""
    text = notebook.read_text(encoding="utf-8") if notebook.is_file() else ""
    if (clean := redacted(text)) != text:
        notebook.write_text(clean, encoding="utf-8")
