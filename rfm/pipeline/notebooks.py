"""Where the notebooks of the chain lie: in the shop's own folder, or in the package.

One notebook of the chain, run by papermill: what went wrong in it, in one line, and no secret in what is kept.

How papermill runs a notebook here: as always, but written when it is done and not twice a cell.

What is wrong with settings, notebooks and landing files, said before anything heavy is imported or run.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import RfmError, SettingsError, explain_cloud_error, friendly_io_errors, printable, redact, unknown
from rfm.landing.decode import mask_of
from rfm.landing.files import list_files
from rfm.pipeline.fork_server import skip_slow_import
from rfm.pipeline.stages import STAGES
from rfm.settings import EXAMPLE_FILE, PATHS, Settings, packaged


# ── folder ────────────────────────────────────────────────────────────
class Copied(NamedTuple):
    """Names of files that were copied, that were there already, and that were left because they differ."""

    new: list[str]
    same: list[str]
    kept: list[str]


def chain_of(settings: Settings) -> Path:
    """Return the folder with the notebooks of the chain."""
    folder = Path(settings.notebooks)
    if missing := [f"{stage.name}.ipynb" for stage in STAGES if not (folder / f"{stage.name}.ipynb").is_file()]:
        remedy = f"`rfm notebooks '{folder}'` copies what is missing, or set `notebooks` to the folder of the chain"
        raise SettingsError(f"{folder}: there is no {', '.join(missing)}; {remedy}")
    return folder


def copy_notebooks(folder: Path, force: bool = False) -> Copied:
    """Copy the notebooks of the package into a folder, and `rfm.example.toml` beside it."""
    files = {folder / source.name: source for source in sorted(packaged(PATHS["notebooks"]).glob("*.ipynb"))}
    if (example := packaged(EXAMPLE_FILE)).is_file():
        files[folder.parent / EXAMPLE_FILE] = example
    done = Copied([], [], [])
    with friendly_io_errors(f"{folder}: cannot be written", "name another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for target, source in files.items():
            if target.is_file() and target.read_bytes() == source.read_bytes():
                done.same.append(target.name)
            elif target.exists() and not force:
                done.kept.append(target.name)
            else:
                shutil.copyfile(source, target)
                done.new.append(target.name)
    return done


# ── notebook ────────────────────────────────────────────────────────────
CELL_TIMEOUT = 3600  # seconds
OWN_ERRORS = {RfmError.__name__, *(kind.__name__ for kind in RfmError.__subclasses__())}


class NotebookResult(NamedTuple):
    """How a notebook ran: what went wrong, if anything did, and what the seconds were spent on, see `spent`."""

    error: str | None
    timings: dict[str, float] = {}


def parameters_of(notebook: Path) -> list[str]:
    """Return the names that a notebook's parameters cell assigns."""
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


def execute(notebook: Path, work: Path, parameters: Mapping[str, Any], kernel: Mapping[str, Any]) -> NotebookResult:
    """Run a notebook into the work folder."""
    skip_slow_import()
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    pass

    try:
        done = papermill.execute_notebook(
            _no_pattern(notebook),
            _no_pattern(work / notebook.name),
            dict(parameters),
            engine_name=engine(),
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT,
            **kernel,
        )
    except papermill.PapermillExecutionError as error:
        return NotebookResult(_reason(error.ename, str(error.evalue)))
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        return NotebookResult(f"the kernel died or did not answer ({type(error).__name__}); run it by hand to see more")
    finally:
        _redact(work / notebook.name)
    left = any(output.output_type == "error" for cell in done.cells for output in cell.get("outputs", ()))
    return NotebookResult("SystemExit: the notebook ended before its last cell") if left else NotebookResult(None, timings(done))


def _no_pattern(path: Path) -> str:
    """Return a path that papermill, to which braces are fields to fill in, takes as it is."""
    return str(path).replace("{", "{{").replace("}", "}}")


def timings(notebook: Mapping[str, Any]) -> dict[str, float]:
    """Return what the seconds of an executed notebook were spent on, by the times that papermill left in it."""
    start, end = _times(notebook)
    cells = [(*_times(cell), cell) for cell in notebook["cells"]]
    parts = {"kernel": cells[0][0] - start + end - cells[-1][1], "imports": 0.0, "work": 0.0}
    for begun, ended, cell in cells:
        if cell["cell_type"] == "code" and not {"parameters", "injected-parameters"} & set(cell["metadata"].get("tags", ())):
            parts["imports" if "import rfm" in "".join(cell["source"]) else "work"] += ended - begun
    return {name: round(seconds, 3) for name, seconds in parts.items()}


def _times(marked: Mapping[str, Any]) -> tuple[float, float]:
    """Return when papermill began and ended a notebook or a cell, in seconds."""
    marks = marked["metadata"]["papermill"]
    begun, ended = (dt.datetime.fromisoformat(marks[name]).timestamp() for name in ("start_time", "end_time"))
    return begun, ended


def _reason(kind: str, said: str) -> str:
    """Return an error of a notebook in one line: what we say ourselves as it is, any other with its kind."""
    said = printable(" ".join(redact(said).split()))
    if said and kind in OWN_ERRORS:
        return said
    known = explain_cloud_error(f"{kind}: {said}")  # of Polars, when a bucket fails in the middle of a stage
    return f"a service failed: {known}" if known else f"{kind}: {said}".removesuffix(": ")


def _redact(notebook: Path) -> None:
    """Take the secrets of the environment out of an executed notebook, whatever wrote them there."""
    text = notebook.read_text(encoding="utf-8") if notebook.is_file() else ""
    if (clean := redact(text)) != text:
        notebook.write_text(clean, encoding="utf-8")


# ── engine ────────────────────────────────────────────────────────────
ENGINE = "rfm"


@cache
def engine() -> str:
    """Register an engine with papermill that saves a notebook before and after its run, not twice a cell; return its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):
        """Run a notebook as papermill does; save it when it is done, however it ends."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **given: Any) -> Any:
            """Run the cells; parameters as for `NBClientEngine`."""
            save, nb_man.save = nb_man.save, lambda **_: None
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **given)
            finally:
                nb_man.save = save

    papermill_engines.register(ENGINE, Engine)
    return ENGINE


# ── preflight ────────────────────────────────────────────────────────────
GIVEN = ("date", "landing", "lake")  # parameters that a run gives to each notebook that has them


def check(settings: Settings, parameters: Mapping[str, Any]) -> None:
    """Check what a run needs."""
    if settings.expectations:
        from rfm.analysis.cleaning import SEVERITIES
        from rfm.config import severities

        severities(SEVERITIES, settings.expectations)
    mask_of(settings.columns)
    list_files(settings.landing, settings.files.pattern, until=settings.date)
    declared(settings, (*GIVEN, *parameters))


def declared(settings: Settings, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each stage, the wanted parameters that its notebook declares."""
    chain = chain_of(settings)
    found = {stage.name: parameters_of(chain / f"{stage.name}.ipynb") for stage in STAGES}
    known = set().union(*found.values())
    if strange := [name for name in wanted if name not in known]:
        raise SettingsError(unknown("parameter", strange, known))
    return {name: [one for one in wanted if one in names] for name, names in found.items()}
