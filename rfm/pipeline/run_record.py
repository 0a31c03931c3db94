"""The log of runs, table ``pipeline_runs``: one row a run and stage, for runs that went well and for those that did not.

A run writes a row ``running`` before its first stage and replaces it when it ends, so a run that was killed can
be told from one that failed.

The record of a run, ``run.json``: what ran on what, what it found, so that two runs of a day can be compared.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rfm.analysis import segments
from rfm.analysis.clustering import Model
from rfm.config import VERSION
from rfm.errors import first_line, redact
from rfm.lake import Lake
from rfm.lake.tables import rows_added
from rfm.lake.tables import table_versions as versions
from rfm.pipeline.lineage import run_id
from rfm.pipeline.stages import EXPORTS, HISTORY, RESULTS, STAGES
from rfm.settings import Settings

# ── runlog ────────────────────────────────────────────────────────────
TABLE = "pipeline_runs"
RUN, BACKFILL = "run", "backfill"  # names of the row for a whole run
ARRIVED = "retail_transactions_bronze"
WRITTEN = tuple(dict.fromkeys(name for stage in STAGES for name in stage.writes))


def log_rows(lake: Lake, record: Mapping[str, Any], whole: str = RUN) -> list[str]:
    """Write what is known of a run, in place of what was known before."""
    import pandas as pd

    try:
        lake.replace(TABLE, pd.DataFrame(run_rows(record, whole)), run_id=record["run_id"])
    except Exception as error:  # noqa: BLE001 (as the docstring says)
        return [f"run log: not written: {redact(first_line(error))}"]
    return []


def run_rows(record: Mapping[str, Any], whole: str = RUN) -> list[dict[str, Any]]:
    """Return the rows of a run, the whole run first; parameters as for `write`."""
    stages = record["stages"]
    total = {
        "seconds": sum(stage["seconds"] for stage in stages),
        "reads": _joined(stage["reads"] for stage in stages),
        "writes": _joined(stage["writes"] for stage in stages),
        "rows_read": stages[0].get("rows_read", 0) if stages else 0,  # the lines that arrived
        "rows_written": sum(stage.get("rows_written", 0) for stage in stages),
    }
    return [_row(record, {**total, **record, "name": whole}), *(_row(record, stage) for stage in stages)]


@contextmanager
def logged(lake: Lake, run_date: dt.date, ahead: Mapping[str, int] | None = None, lines: int = 0) -> Iterator[None]:
    """Keep the log of a day that runs without notebooks: one row, with the rows that arrived and the rows written.

    Where the lines of the day are in the layers already, ``ahead`` holds the versions of the tables before that.
    """
    now, clock = dt.datetime.now(dt.UTC).isoformat(), time.monotonic()
    record: dict[str, Any] = {"run_id": run_id(str(run_date), now), "run_date": str(run_date), "started": now, "stages": []}
    log_rows(lake, {**record, "status": "running"}, BACKFILL)
    before = versions(lake, WRITTEN)
    try:
        yield
        record["status"] = "done"
    except BaseException as error:
        record |= {"status": "failed", "error": reason_of(error)}
        raise
    finally:
        record["seconds"] = round(time.monotonic() - clock, 2)
        log_rows(lake, {**record, **_written(lake, before, before if ahead is None else ahead, lines)}, BACKFILL)


def reason_of(error: BaseException) -> str:
    """Return in one line why a run ended."""
    return redact(first_line(error)) if isinstance(error, Exception) else f"stopped ({type(error).__name__})"


def _written(lake: Lake, before: Mapping[str, int], ahead: Mapping[str, int], lines: int) -> dict[str, Any]:
    """Return which tables changed since ``ahead``, and the rows that commits since ``before`` and the lines ahead have added."""
    now = versions(lake, WRITTEN)
    added = {name: rows_added(lake, name, before.get(name)) for name, version in now.items() if before.get(name) != version}
    states = {name: {"version": version} for name, version in now.items() if ahead.get(name) != version}
    read = added.get(ARRIVED, 0) + lines
    return {"writes": states, "rows_read": read, "rows_written": sum(added.values()) + 2 * lines}  # in bronze and beyond


def _row(record: Mapping[str, Any], stage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a stage, or of the whole run."""
    versions: dict[str, Any] = {
        way: {name: state["version"] for name, state in stage.get(way, {}).items()} for way in ("reads", "writes")
    }
    if stage["status"] == "running":
        versions["process"] = {"host": platform.node(), "id": os.getpid()}
    return {
        "run_id": record["run_id"],
        "run_date": dt.date.fromisoformat(record["run_date"]),
        "stage": stage["name"],
        "status": stage["status"],
        "started": dt.datetime.fromisoformat(stage["started"]),
        "seconds": float(stage["seconds"]),
        "rows_read": int(stage.get("rows_read", 0)),
        "rows_written": int(stage.get("rows_written", 0)),
        "versions": json.dumps(versions),
        "error": stage.get("error"),
    }


def _joined(states: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tables of all stages, the last state of each."""
    return {name: state for stage in states for name, state in stage.items()}


# ── record ────────────────────────────────────────────────────────────
PACKAGES = ("polars", "pandas", "numpy", "narwhals", "deltalake", "pyarrow", "pandera", "scikit-learn", "plotly", "papermill")
GROUPS = ("columns", "format", "rules", "clusters", "cutoffs", "exclusions", "shop")  # sections that the result tables depend on
SEGMENT_NAMES = {
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


def new_record(settings: Settings, day: dt.date, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run record as it is before the first stage."""
    now = dt.datetime.now(dt.UTC)
    return {
        "run_date": day.isoformat(),
        "run_id": run_id(day.isoformat(), now.isoformat()),
        "status": "running",
        "started": now.isoformat(timespec="seconds"),
        "parameters": {**parameters, "reports": settings.reports, "shop": settings.shop.name, "currency": settings.shop.currency},
        "settings": settings.model_dump(mode="json", include={*GROUPS, "recommendations"}),
        "code": {"rfm": VERSION, "commit": _commit()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "stages": [],
        "warnings": [],
    }


def digests(lake: Lake, day: dt.date) -> dict[str, str]:
    """Return the digest of the rows of each result table; of the history, those of the run date."""
    return {name: lake.fingerprint(name) for name in RESULTS} | {HISTORY: lake.fingerprint(HISTORY, UpdateDate=day)}


def conclude(settings: Settings, lake: Lake, day: dt.date, record: dict[str, Any]) -> None:
    """Add what the run found: the result tables with their digests, and the segments."""
    found = digests(lake, day)
    results = {name: {**state, "sha256": found[name]} for name, state in states(lake, found).items()}
    summary = lake.frame("segment_summary")
    record["tables"] = results
    record["headline"] = segments.headline(summary, settings.shop.currency)
    record["summary"] = {
        "customers": int(summary["Customers"].sum()),
        "revenue": str(summary["Revenue"].sum()),
        "orders": int(lake.frame("customer_rfm_gold")["Frequency"].sum()),
        "segments": [_segment(row) for row in summary.to_dict("records")],
    }
    record["stability"] = _stability(lake, day)
    record["seconds"] = round(sum(stage["seconds"] for stage in record["stages"]), 2)
    add_warnings(lake, record)


def _stability(lake: Lake, day: dt.date) -> dict[str, Any]:
    """Return how the clusters came about and how steady they were: the row of ``segment_stability``, and the chain of runs.

    The result depends on the files, the settings and this chain: the run dates from the last full fit to the day.
    """
    found = lake.frame("segment_stability", UpdateDate=day).astype(object)
    known = found.where(found.notna(), None).iloc[0]
    row = {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in known.items()}
    models = Model.kept(lake.frame("cluster_models"), day)
    chain = [day.isoformat()]
    while before := models[dt.date.fromisoformat(chain[0])].previous:
        chain.insert(0, before)
    return row | {"chain": chain}


def add_warnings(lake: Lake, record: dict[str, Any]) -> None:
    """Add the warnings that the stages have written for the run date; those of severity ``error`` also under ``errors``."""
    day = dt.date.fromisoformat(record["run_date"])
    said = lake.frame("run_warnings", run_date=day).sort_values(["severity", "stage", "kind", "message"]).to_dict("records")
    record["warnings"] += [row["message"] for row in said if row["message"] not in record["warnings"]]
    record["errors"] = [row["message"] for row in said if row["severity"] == "error"]


def states(lake: Lake, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return version and rows of tables, as they stand in the record."""
    return {name: state._asdict() for name, state in lake.state(names).items()}


def keep_notebooks(work: Path, record: Mapping[str, Any], reports: str) -> str:
    """Keep the notebooks and the record of a failed run beside the reports; return where."""
    write_record(work, record)
    if "://" in reports:
        kept = Path(tempfile.mkdtemp(prefix=f"rfm-failed-{record['run_date']}-"))
    else:
        kept = Path(reports) / "failed" / str(record["run_date"])
        shutil.rmtree(kept, ignore_errors=True)  # what an earlier failure of the day left
    shutil.copytree(work, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns(EXPORTS))
    return str(kept)


def write_record(work: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``."""
    (work / "run.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _segment(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``segment_summary`` as it stands in the record; money as text, exact."""
    return {name: str(row[column]) if column == "Revenue" else row[column] for column, name in SEGMENT_NAMES.items()}


def _commit() -> str | None:
    """Return the commit of the code, where it runs from a git checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--show-prefix", "--short", "HEAD"]
        said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout.split()
        return said[1] if said[:-1] == ["rfm/pipeline/"] else None  # not that of a shop that keeps its environment in a checkout
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
