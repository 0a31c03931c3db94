"""The daily run: the stages as data, run as notebooks by papermill, recorded, published.

The run itself touches no row: it runs the notebooks of the chain one after the other, each in a kernel of its
own, so that a stage at night and a stage by hand are the same stage. It stops at the first failure, keeps the
notebook with the error and leaves the published days as they are.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import rfm
from rfm.contract import unknown
from rfm.core import segments
from rfm.io.landing import run_date as resolve_run_date
from rfm.run import site
from rfm.run.kernels import skip_slow_import, warm_kernels
from rfm.schema import RfmError, SettingsError, StageError
from rfm.settings import Settings

CELL_TIMEOUT = 3600  # seconds
OWN_ERRORS = {RfmError.__name__, *(kind.__name__ for kind in RfmError.__subclasses__())}


class Stage(NamedTuple):
    """A notebook of the chain: its name, what it is, the tables it reads and writes."""

    name: str
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


STAGES: tuple[Stage, ...] = (
    Stage("1_bronze", "everything that arrived", (), ("retail_transactions_bronze", "landing_files")),
    Stage(
        "2_silver",
        "clean and typed",
        ("retail_transactions_bronze", "landing_files"),
        (
            "retail_transactions_silver",
            "retail_transactions_quarantine",
            "landing_files",
            "bronze_daily_quality",
            "daily_counts",
            "bronze_silver_dq_comparison",
            "expectation_results",
        ),
    ),
    Stage("3_gold", "one row per customer", ("retail_transactions_silver", "landing_files"), ("customer_rfm_gold",)),
    Stage(
        "4_clusters",
        "customers who behave alike",
        ("customer_rfm_gold",),
        ("customer_rfm_kmeans_clustered", "cluster_models"),
    ),
    Stage(
        "5_segments",
        "a name and an action for everyone",
        ("customer_rfm_kmeans_clustered",),
        (
            "cluster_summary",
            "cluster_description_and_recommendation",
            "customer_rfm_description_and_recommendation",
            "segment_summary",
            "customer_rfm_kmeans_clustered_history",
        ),
    ),
    Stage(
        "6_report",
        "who they are and what to do",
        ("customer_rfm_description_and_recommendation", "cluster_description_and_recommendation"),
        (),
    ),
)
RESULTS = (
    "customer_rfm_gold",
    "customer_rfm_kmeans_clustered",
    "cluster_models",
    "cluster_summary",
    "cluster_description_and_recommendation",
    "customer_rfm_description_and_recommendation",
    "segment_summary",
)
PACKAGES = ("polars", "pandas", "numpy", "narwhals", "deltalake", "pyarrow", "pandera", "scikit-learn", "plotly", "papermill")


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
        Before anything runs: a parameter that no notebook has, a missing notebook, no file to read.
    StageError
        Naming the stage that failed, why, and where its notebook is.
    """
    with warm_kernels() as kernel, tempfile.TemporaryDirectory(prefix="rfm-run-") as work:
        day = resolve_run_date(settings)
        rfm.list_files(settings.landing, settings.files.pattern, until=day)
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = _declared(Path(settings.notebooks), wanted)
        record = _begin(settings, day, wanted)
        _run_stages(settings, given, record, Path(work), kernel, on_stage)
        _conclude(settings, day, record)
        site.pages(Path(work), record)
        _write_record(Path(work), record)
        record["report"] = site.publish(Path(work), settings.reports, record)
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
    settings: Settings,
    given: Mapping[str, Mapping[str, Any]],
    record: dict[str, Any],
    work: Path,
    kernel: Mapping[str, Any],
    on_stage: Callable[[Mapping[str, Any]], None],
) -> None:
    """Run the notebooks in order into the work folder; note each in the record; stop at the first failure."""
    lake = rfm.Lake(settings.lake)
    for stage in STAGES:
        noted: dict[str, Any] = {"name": stage.name, "title": stage.title, "reads": _states(lake, stage.reads)}
        started = time.monotonic()
        error = _execute(Path(settings.notebooks) / f"{stage.name}.ipynb", work, given[stage.name], kernel)
        noted |= {"seconds": round(time.monotonic() - started, 2), "status": "failed" if error else "done"}
        noted |= {"writes": _states(lake, stage.writes)} if not error else {"writes": {}, "error": error}
        record["stages"].append(noted)
        on_stage(noted)
        if error:
            record["status"] = "failed"
            kept = _keep(work, record, settings.reports)
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
    left = any(output.output_type == "error" for cell in done.cells for output in cell.get("outputs", ()))
    return "SystemExit: the notebook ended before its last cell" if left else None


def _reason(kind: str, said: str) -> str:
    """Return an error of a notebook in one line: what we say ourselves as it is, any other with its kind."""
    said = " ".join(said.split())
    return said if said and kind in OWN_ERRORS else f"{kind}: {said}".removesuffix(": ")


def _states(lake: rfm.Lake, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return version and rows of tables, as they stand in the record."""
    return {name: state._asdict() for name, state in lake.state(names).items()}


def _begin(settings: Settings, day: dt.date, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run record as it is before the first stage."""
    return {
        "run_date": day.isoformat(),
        "status": "running",
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "parameters": {**parameters, "reports": settings.reports, "shop": settings.shop.name, "currency": settings.shop.currency},
        "code": {"rfm": rfm.__version__, "commit": _commit()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "stages": [],
        "warnings": [],
    }


def _conclude(settings: Settings, day: dt.date, record: dict[str, Any]) -> None:
    """Add what the run found: the result tables with their digests, and the segments."""
    lake = rfm.Lake(settings.lake)
    results = {name: {**state._asdict(), "sha256": lake.fingerprint(name)} for name, state in lake.state(RESULTS).items()}
    history = "customer_rfm_kmeans_clustered_history"
    results[history] = {**lake.state([history])[history]._asdict(), "sha256": lake.fingerprint(history, UpdateDate=day)}
    summary = lake.frame("segment_summary")
    record["tables"] = results
    record["headline"] = segments.headline(summary, settings.shop.currency)
    record["summary"] = {
        "customers": int(summary["Customers"].sum()),
        "revenue": str(summary["Revenue"].sum()),
        "orders": int(lake.frame("customer_rfm_gold")["Frequency"].sum()),
        "segments": [_segment(row) for row in summary.to_dict("records")],
    }
    record["seconds"] = round(sum(stage["seconds"] for stage in record["stages"]), 2)


def _segment(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``segment_summary`` as it stands in the record; money as text, exact."""
    names = {
        "Cluster_Description": "segment",
        "Tier": "tier",
        "Customers": "customers",
        "CustomerShare": "customer_share",
        "Revenue": "revenue",
        "RevenueShare": "revenue_share",
        "MedianMonetary": "median_monetary",
        "MedianFrequency": "median_frequency",
        "MedianRecency": "median_recency",
        "Cluster_Recommendation": "recommendation",
    }
    return {name: str(row[column]) if column == "Revenue" else row[column] for column, name in names.items()}


def _keep(work: Path, record: Mapping[str, Any], reports: str) -> str:
    """Keep the notebooks and the record of a failed run beside the reports; return where."""
    _write_record(work, record)
    if "://" in reports:
        kept = Path(tempfile.mkdtemp(prefix=f"rfm-failed-{record['run_date']}-"))
    else:
        kept = Path(reports) / "failed" / str(record["run_date"])
        shutil.rmtree(kept, ignore_errors=True)  # what an earlier failure of the day left
    shutil.copytree(work, kept, dirs_exist_ok=True)
    return str(kept)


def _write_record(work: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    (work / "run.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> str | None:
    """Return the commit of the code, where it runs from a git checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
