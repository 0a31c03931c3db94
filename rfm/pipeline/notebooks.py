"""The notebooks of the chain: where they are, what they declare, and how papermill runs one."""

from __future__ import annotations

import ast
import datetime as dt
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from rfm.errors import QUOTED, RfmError, SettingsError, friendly_io_errors, in_words, printable, redact, unknown
from rfm.landing.decode import mask_of
from rfm.landing.files import list_files
from rfm.pipeline.chain import STAGES
from rfm.settings import EXAMPLE_FILE, PATHS, Settings, packaged


class Copied(NamedTuple):
    """Names of files that were copied, that were already there, and that were left because they differ."""

    new: list[str]
    same: list[str]
    kept: list[str]


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


CELL_TIMEOUT = 3600  # seconds
OWN_ERRORS = {RfmError.__name__, *(kind.__name__ for kind in RfmError.__subclasses__())}
ENGINE = "rfm"


class NotebookResult(NamedTuple):
    """The error of a notebook in one line, or None, and the seconds by what they were spent on, see `timings`."""

    error: str | None
    timings: dict[str, float] = {}


def skip_slow_import() -> None:
    """Keep jsonschema from building two grammars, of formats that no notebook has; call it before importing nbformat."""
    for name in ("rfc3987_syntax", "isoduration"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


@cache
def _papermill() -> Any:
    """Import papermill, with an engine that saves a notebook once, at the end, instead of twice per cell."""
    skip_slow_import()
    absent = sys.modules.setdefault("boto3", None)  # type: ignore[arg-type] # 0.3 s; for notebooks in S3, which ours are not
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines

    if absent is None:
        del sys.modules["boto3"]

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **given: Any) -> Any:
            save, nb_man.save = nb_man.save, lambda **_: None
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **given)
            except BaseException:
                nb_man.save = save  # papermill itself writes a notebook that has run, and none whose kernel died
                raise

    papermill_engines.register(ENGINE, Engine)
    return papermill


def execute(notebook: Path, work: Path, parameters: Mapping[str, Any], kernel: Mapping[str, Any]) -> NotebookResult:
    """Run a notebook into the work folder."""
    papermill = _papermill()
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        done = papermill.execute_notebook(
            _no_pattern(notebook),
            _no_pattern(work / notebook.name),
            dict(parameters),
            engine_name=ENGINE,
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT,
            **kernel,
        )
    except papermill.PapermillExecutionError as error:
        return NotebookResult(_reason(error.ename, str(error.evalue)))
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        return NotebookResult(
            f"the kernel died or did not answer ({type(error).__name__}), as when memory is short; run it by hand to see more"
        )
    finally:
        _redact(work / notebook.name)
    left = any(output.output_type == "error" for cell in done.cells for output in cell.get("outputs", ()))
    return NotebookResult("SystemExit: the notebook ended before its last cell") if left else NotebookResult(None, timings(done))


def _no_pattern(path: Path) -> str:
    """Escape the braces of a path, which papermill takes for fields to fill in."""
    return str(path).replace("{", "{{").replace("}", "}}")


def timings(notebook: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of an executed notebook spent on kernel, imports and work, by the times that papermill noted in it."""
    start, end = _times(notebook)
    cells = [(*_times(cell), cell) for cell in notebook["cells"]]
    parts = {"kernel": cells[0][0] - start + end - cells[-1][1], "imports": 0.0, "work": 0.0}
    for begun, ended, cell in cells:
        if cell["cell_type"] == "code" and not {"parameters", "injected-parameters"} & set(cell["metadata"].get("tags", ())):
            parts["imports" if "import rfm" in "".join(cell["source"]) else "work"] += ended - begun
    return {name: round(seconds, 3) for name, seconds in parts.items()}


def _times(marked: Mapping[str, Any]) -> tuple[float, float]:
    """Return the start and end of a notebook or a cell as papermill noted them, in seconds."""
    marks = marked["metadata"]["papermill"]
    begun, ended = (dt.datetime.fromisoformat(marks[name]).timestamp() for name in ("start_time", "end_time"))
    return begun, ended


def _reason(kind: str, said: str) -> str:
    """Return an error of a notebook in one line; one that is not of rfm with its kind."""
    said = printable(" ".join(redact(said).split()))
    if said and kind in OWN_ERRORS:
        return said
    if kind == "CellExecutionError" and not said:  # the kernel could not even send what went wrong
        return "a cell ended without a word, as when memory is short, or too few files may be open (`ulimit -n`)"
    known = in_words(f"{kind}: {said}")  # Polars raises it when a bucket fails in the middle of a stage
    return known or f"{kind}: {QUOTED.sub('…', said)}".removesuffix(": ")


def _redact(notebook: Path) -> None:
    """Remove the secrets of the environment from an executed notebook."""
    text = notebook.read_text(encoding="utf-8") if notebook.is_file() else ""
    if (clean := redact(text)) != text:
        notebook.write_text(clean, encoding="utf-8")


# ── before a run ────────────────────────────────────────────────────────
GIVEN = ("date", "landing", "lake")  # parameters that a run passes to each notebook that declares them


def check(settings: Settings, parameters: Mapping[str, Any]) -> None:
    """Check settings, landing files and notebooks before anything heavy is imported or run."""
    if settings.expectations:
        from rfm.analysis.cleaning import severities_of

        severities_of(settings.dialect, settings.expectations)
    mask_of(settings.columns)
    list_files(settings.landing, settings.files.pattern, until=settings.date)
    declared(settings, (*GIVEN, *parameters))


def declared(settings: Settings, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each stage, the wanted parameters that its notebook declares."""
    chain = Path(settings.notebooks)
    if missing := [f"{stage.name}.ipynb" for stage in STAGES if not (chain / f"{stage.name}.ipynb").is_file()]:
        remedy = f"`rfm notebooks '{chain}'` copies what is missing, or set `notebooks` to the folder of the chain"
        raise SettingsError(f"{chain}: there is no {', '.join(missing)}; {remedy}")
    found = {stage.name: parameters_of(chain / f"{stage.name}.ipynb") for stage in STAGES}
    known = set().union(*found.values())
    if strange := [name for name in wanted if name not in known]:
        raise SettingsError(unknown("parameter", strange, known))
    return {name: [one for one in wanted if one in names] for name, names in found.items()}
