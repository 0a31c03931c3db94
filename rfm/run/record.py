"""The record of a run, ``run.json``: what ran on what, what it found, so that two runs of a day can be compared."""

from __future__ import annotations

import datetime as dt
import json
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import rfm
from rfm.core import segments
from rfm.io.lineage import run_id
from rfm.run import exports
from rfm.run.stages import HISTORY, RESULTS
from rfm.settings import Settings

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


def begin(settings: Settings, day: dt.date, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run record as it is before the first stage.

    Parameters
    ----------
    settings
        Where things are.
    day
        The run date.
    parameters
        Of the notebooks.
    """
    now = dt.datetime.now(dt.UTC)
    return {
        "run_date": day.isoformat(),
        "run_id": run_id(day.isoformat(), now.isoformat()),
        "status": "running",
        "started": now.isoformat(timespec="seconds"),
        "parameters": {**parameters, "reports": settings.reports, "shop": settings.shop.name, "currency": settings.shop.currency},
        "settings": settings.model_dump(mode="json", include={*GROUPS, "recommendations"}),
        "code": {"rfm": rfm.__version__, "commit": _commit()},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "stages": [],
        "warnings": [],
    }


def digests(lake: rfm.Lake, day: dt.date) -> dict[str, str]:
    """Return the digest of the rows of each result table; of the history, those of the run date.

    Parameters
    ----------
    lake
        The tables.
    day
        The run date.
    """
    return {name: lake.fingerprint(name) for name in RESULTS} | {HISTORY: lake.fingerprint(HISTORY, UpdateDate=day)}


def conclude(settings: Settings, lake: rfm.Lake, day: dt.date, record: dict[str, Any]) -> None:
    """Add what the run found: the result tables with their digests, and the segments.

    Parameters
    ----------
    settings, day
        As for `begin`.
    lake
        The tables.
    record
        Changed in place.
    """
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


def _stability(lake: rfm.Lake, day: dt.date) -> dict[str, Any]:
    """Return how the clusters came about and how steady they were: the row of ``segment_stability``, and the chain of runs.

    The result depends on the files, the settings and this chain: the run dates from the last full fit to the day.
    """
    found = lake.frame("segment_stability", UpdateDate=day).astype(object)
    known = found.where(found.notna(), None).iloc[0]
    row = {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in known.items()}
    models = rfm.Model.kept(lake.frame("cluster_models"), day)
    chain = [day.isoformat()]
    while before := models[dt.date.fromisoformat(chain[0])].previous:
        chain.insert(0, before)
    return row | {"chain": chain}


def add_warnings(lake: rfm.Lake, record: dict[str, Any]) -> None:
    """Add the warnings that the stages have written for the run date; those of severity ``error`` also under ``errors``.

    Parameters
    ----------
    lake
        The tables.
    record
        Changed in place.
    """
    day = dt.date.fromisoformat(record["run_date"])
    said = lake.frame("run_warnings", run_date=day).sort_values(["severity", "stage", "kind", "message"]).to_dict("records")
    record["warnings"] += [row["message"] for row in said if row["message"] not in record["warnings"]]
    record["errors"] = [row["message"] for row in said if row["severity"] == "error"]


def states(lake: rfm.Lake, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return version and rows of tables, as they stand in the record.

    Parameters
    ----------
    lake
        The tables.
    names
        Those wanted; one that does not exist yet is left out.
    """
    return {name: state._asdict() for name, state in lake.state(names).items()}


def keep(work: Path, record: Mapping[str, Any], reports: str) -> str:
    """Keep the notebooks and the record of a failed run beside the reports; return where.

    Parameters
    ----------
    work
        Folder of the run.
    record
        The run record.
    reports
        Folder of the site; where it is a URL, a temporary folder keeps them.
    """
    write(work, record)
    if "://" in reports:
        kept = Path(tempfile.mkdtemp(prefix=f"rfm-failed-{record['run_date']}-"))
    else:
        kept = Path(reports) / "failed" / str(record["run_date"])
        shutil.rmtree(kept, ignore_errors=True)  # what an earlier failure of the day left
    shutil.copytree(work, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns(exports.FOLDER))
    return str(kept)


def write(work: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``.

    Parameters
    ----------
    work
        Folder of the run.
    record
        The run record.
    """
    (work / "run.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _segment(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``segment_summary`` as it stands in the record; money as text, exact."""
    return {name: str(row[column]) if column == "Revenue" else row[column] for column, name in SEGMENT_NAMES.items()}


def _commit() -> str | None:
    """Return the commit of the code, where it runs from a git checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--show-prefix", "--short", "HEAD"]
        said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout.split()
        return said[1] if said[:-1] == ["rfm/run/"] else None  # not that of a shop that keeps its environment in a checkout
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str:
    """Return the installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
