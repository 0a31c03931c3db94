"""One notebook of the chain, run by papermill: what went wrong in it, in one line, and no secret in what is kept."""

from __future__ import annotations

import ast
import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import printable, redacted, trouble
from rfm.run.kernels import skip_slow_import
from rfm.schema import RfmError, SettingsError

CELL_TIMEOUT = 3600  # seconds
OWN_ERRORS = {RfmError.__name__, *(kind.__name__ for kind in RfmError.__subclasses__())}


class Ran(NamedTuple):
    """How a notebook ran: what went wrong, if anything did, and what the seconds were spent on, see `spent`."""

    error: str | None
    spent: dict[str, float] = {}


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


def execute(notebook: Path, work: Path, parameters: Mapping[str, Any], kernel: Mapping[str, Any]) -> Ran:
    """Run a notebook into the work folder.

    Parameters
    ----------
    notebook, work
        Path of the notebook, and the folder for the executed one.
    parameters
        Those that it declares.
    kernel
        As `rfm.run.kernels.Kernels.kernel` yields it.
    """
    skip_slow_import()
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    from rfm.run.notebook.engine import engine

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
        return Ran(_reason(error.ename, str(error.evalue)))
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        return Ran(f"the kernel died or did not answer ({type(error).__name__}); run it by hand to see more")
    finally:
        _redact(work / notebook.name)
    left = any(output.output_type == "error" for cell in done.cells for output in cell.get("outputs", ()))
    return Ran("SystemExit: the notebook ended before its last cell") if left else Ran(None, spent(done))


def _no_pattern(path: Path) -> str:
    """Return a path that papermill, to which braces are fields to fill in, takes as it is."""
    return str(path).replace("{", "{{").replace("}", "}}")


def spent(notebook: Mapping[str, Any]) -> dict[str, float]:
    """Return what the seconds of an executed notebook were spent on, by the times that papermill left in it.

    Parameters
    ----------
    notebook
        With its ``metadata`` and ``cells``.

    Returns
    -------
    dict
        Seconds: ``kernel``, before the first cell and after the last; ``imports``, the cell with the imports and the settings;
        ``work``, the other code cells, which is what the library does. The rest of a stage went into parameters, text,
        files and papermill itself.
    """
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
    said = printable(" ".join(redacted(said).split()))
    if said and kind in OWN_ERRORS:
        return said
    known = trouble(f"{kind}: {said}")  # of Polars, when a bucket fails in the middle of a stage
    return f"a service failed: {known}" if known else f"{kind}: {said}".removesuffix(": ")


def _redact(notebook: Path) -> None:
    """Take the secrets of the environment out of an executed notebook, whatever wrote them there."""
    text = notebook.read_text(encoding="utf-8") if notebook.is_file() else ""
    if (clean := redacted(text)) != text:
        notebook.write_text(clean, encoding="utf-8")
