"""The record of a run, kept as ``run.json``, and the log of runs, table ``pipeline_runs``: one row per run and stage.

A run writes a row ``running`` before its first stage and replaces it when it ends, so a killed run differs from a failed one.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rfm import contracts as tables
from rfm.config import VERSION
from rfm.contracts import BRONZE, CLUSTER_MODELS, GOLD, HISTORY, PIPELINE_RUNS, RUN_WARNINGS
from rfm.errors import first_line
from rfm.lake import Lake
from rfm.lake.tables import rows_added
from rfm.pipeline.chain import BACKFILL, EXPORTS, RESULTS, RUN, STAGES, Stage
from rfm.pipeline.lineage import run_id
from rfm.settings import Settings
from rfm.words import _

PACKAGES = ("polars", "pandas", "numpy", "narwhals", "deltalake", "pyarrow", "pandera", "scikit-learn", "plotly", "papermill")
# sections that the result tables depend on
GROUPS = ("columns", "format", "rules", "clusters", "cutoffs", "states", "exclusions", "shop")
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


States = dict[str, dict[str, int]]  # version and rows by table


@dataclass
class StageRecord:
    """What a stage read, wrote and took; the keys of a stage in ``run.json``."""

    name: str
    title: str = ""
    reads: States = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    status: str = "running"
    spent: dict[str, float] | None = None
    writes: States = field(default_factory=dict)
    error: str | None = None
    added: dict[str, int] | None = None
    rows_read: int | None = None
    rows_written: int | None = None

    @property
    def stage(self) -> Stage:
        """The stage of the chain that this is about."""
        return next(stage for stage in STAGES if stage.name == self.name)

    def to_json(self) -> dict[str, Any]:
        """Return what is known, under the keys of ``run.json``."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class RunRecord:
    """A run with its inputs and results; the keys of ``run.json``."""

    run_date: dt.date
    run_id: str
    status: str
    started: str
    parameters: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    code: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    stages: list[StageRecord] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] | None = None
    headline: str | None = None
    summary: dict[str, Any] | None = None
    stability: dict[str, Any] | None = None
    seconds: float | None = None
    errors: list[str] | None = None
    noted: list[str] | None = None
    first_days: list[str] | None = None  # run dates that this run computed before its own
    error: str | None = None

    def warn(self, lines: Iterable[str]) -> None:
        """Add the warnings that are not there yet."""
        self.warnings += [line for line in dict.fromkeys(lines) if line not in self.warnings]

    def to_json(self) -> dict[str, Any]:
        """Return what is known, under the keys of ``run.json``; later changes of the record do not show in it."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        stages = [stage.to_json() for stage in self.stages]
        return known | {"run_date": self.run_date.isoformat(), "stages": stages, "warnings": list(self.warnings)}


def new_record(settings: Settings, run_date: dt.date, parameters: Mapping[str, Any]) -> RunRecord:
    """Return the record of a run before its first stage."""
    now = dt.datetime.now(dt.UTC)
    shop = {"reports": settings.reports, "shop": settings.shop.name, "currency": settings.shop.currency}
    return RunRecord(
        run_date,
        run_id(run_date.isoformat(), now.isoformat()),
        "running",
        now.isoformat(timespec="seconds"),
        parameters={**parameters, **shop},
        settings=settings.model_dump(mode="json", include={*GROUPS, "recommendations"}),
        code={"rfm": VERSION, "commit": _commit()},
        versions={"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    )


def digests(lake: Lake, run_date: dt.date) -> dict[str, str]:
    """Return the digest of the rows of each result table; of the history, those of the run date."""
    return {name: lake.fingerprint(name) for name in RESULTS} | {HISTORY: lake.fingerprint(HISTORY, UpdateDate=run_date)}


def conclude(settings: Settings, lake: Lake, record: RunRecord) -> None:
    """Add the results: the tables with their digests, and the segments."""
    from rfm.analysis.segments import headline, held_against

    found = digests(lake, record.run_date)
    summary, people = lake.frame(tables.SEGMENT_SUMMARY), lake.frame(tables.DESCRIBED_CUSTOMERS)
    held = people["Cluster_Description"][held_against(people, lake.frame(tables.DESCRIBED_CLUSTERS)) != ""].value_counts()
    record.tables = {name: {**state, "sha256": found[name]} for name, state in states(lake, found).items()}
    record.headline = headline(summary, settings.shop.currency)
    record.summary = {
        "customers": int(summary["Customers"].sum()),
        "revenue": str(summary["Revenue"].sum()),
        "orders": int(lake.frame(GOLD)["Frequency"].sum()),
        "segments": [
            {name: str(row[column]) if column == "Revenue" else row[column] for column, name in SEGMENT_NAMES.items()}
            | {"held": int(held.get(row["Cluster_Description"], 0))}
            for row in summary.to_dict("records")
        ],
    }
    record.stability = _stability(lake, record.run_date)
    record.seconds = round(sum(stage.seconds for stage in record.stages), 2)
    add_warnings(lake, record)


def _stability(lake: Lake, run_date: dt.date) -> dict[str, Any]:
    """Return the stability of the clusters, and the chain of run dates from the last full fit on."""
    from rfm.analysis.clustering import Model

    found = lake.frame(tables.SEGMENT_STABILITY, UpdateDate=run_date).astype(object)
    known = found.where(found.notna(), None).iloc[0]
    row = {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in known.items()}
    models = Model.kept(lake.frame(CLUSTER_MODELS), run_date)
    chain = [run_date.isoformat()]
    while before := models[dt.date.fromisoformat(chain[0])].previous:
        chain.insert(0, before)
    return row | {"chain": chain}


def add_warnings(lake: Lake, record: RunRecord) -> None:
    """Add the warnings that the stages have written for the run date; errors also under ``errors``, notes under ``noted``."""
    said = lake.frame(RUN_WARNINGS, run_date=record.run_date).sort_values(["severity", "stage", "kind", "message"])
    noted = said["severity"] == "note"
    record.warn(said.loc[~noted, "message"])
    record.noted = list(said.loc[noted, "message"])
    record.errors = list(said.loc[said["severity"] == "error", "message"])


def states(lake: Lake, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return version and rows of tables, as the record keeps them."""
    return {name: state._asdict() for name, state in lake.state(names).items()}


def keep_notebooks(work: Path, record: RunRecord, reports: str) -> str:
    """Keep the notebooks and the record of a failed run in a folder of the reports; return its path."""
    write_record(work, record)
    if "://" in reports:
        kept = Path(tempfile.mkdtemp(prefix=f"rfm-failed-{record.run_date}-"))
    else:
        kept = Path(reports) / "failed" / str(record.run_date)
        shutil.rmtree(kept, ignore_errors=True)  # what an earlier failure of the day left
    shutil.copytree(work, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns(EXPORTS))
    return str(kept)


def write_record(work: Path, record: RunRecord) -> None:
    """Write ``run.json``."""
    (work / "run.json").write_text(json.dumps(record.to_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _commit() -> str | None:
    """Return the commit of the code, where it runs from a git checkout."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--show-prefix", "--short", "HEAD"]
        said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout.split()
        return said[1] if said[:-1] == ["rfm/pipeline/"] else None  # None if another project's checkout holds the environment
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str:
    """Return the installed version of a package."""
    with suppress(PackageNotFoundError):
        return version(package)
    return "not installed"


WRITTEN = tuple(dict.fromkeys(name for stage in STAGES for name in stage.writes))


def written_versions(lake: Lake) -> dict[str, int]:
    """Return the version of each table that stages write; a catalog does not tell it."""
    return {name: table.version() for name in WRITTEN if (table := lake.open(name))}


def log_rows(lake: Lake, record: RunRecord, whole: StageRecord | None = None) -> list[str]:
    """Write what is known of a run, in place of what was known before; return what went wrong as a warning."""
    import polars as pl

    rows = [_row(record, stage) for stage in (whole or _whole(record), *record.stages)]
    try:
        lake.replace(PIPELINE_RUNS, pl.DataFrame(rows), run_id=record.run_id)
    except Exception as error:  # noqa: BLE001 (a run never fails because of its log)
        return [_("run log: not written: {why}", why=first_line(error))]
    return []


def _whole(record: RunRecord) -> StageRecord:
    """Return the whole run as one stage, with the last state of each table."""
    stages = record.stages
    return StageRecord(
        RUN,
        reads={name: state for stage in stages for name, state in stage.reads.items()},
        writes={name: state for stage in stages for name, state in stage.writes.items()},
        started=record.started,
        seconds=sum(stage.seconds for stage in stages) if record.seconds is None else record.seconds,
        status=record.status,
        error=record.error,
        rows_read=stages[0].rows_read if stages else 0,  # the lines that arrived
        rows_written=sum(stage.rows_written or 0 for stage in stages),
    )


@contextmanager
def logged(lake: Lake, run_date: dt.date, ahead: Mapping[str, int] | None = None, lines: int = 0) -> Iterator[None]:
    """Log a day that runs without notebooks: one row, with the rows that arrived and the rows written."""
    # Where the lines of the day are in the layers already, `ahead` holds the versions of the tables before that. Such a day
    # takes under a second: it is logged when it ends.
    now, clock = dt.datetime.now(dt.UTC).isoformat(), time.monotonic()
    record, whole = RunRecord(run_date, run_id(str(run_date), now), "running", now), StageRecord(BACKFILL, started=now)
    if ahead is None:
        log_rows(lake, record, whole)
    before = written_versions(lake)
    try:
        yield
        whole.status = "done"
    except BaseException as error:
        whole.status, whole.error = "failed", reason_of(error)
        raise
    finally:
        whole.seconds = round(time.monotonic() - clock, 2)
        _count_written(lake, whole, before, before if ahead is None else ahead, lines)
        log_rows(lake, record, whole)


def reason_of(error: BaseException) -> str:
    """Return in one line why a run ended."""
    return first_line(error) if isinstance(error, Exception) else f"stopped ({type(error).__name__})"


def _count_written(lake: Lake, whole: StageRecord, before: Mapping[str, int], ahead: Mapping[str, int], lines: int) -> None:
    """Record which tables changed since ``ahead``, and the rows that commits since ``before`` and the lines ahead have added."""
    now = written_versions(lake)
    added = {name: rows_added(lake, name, before.get(name)) for name, version in now.items() if before.get(name) != version}
    whole.writes = {name: {"version": version} for name, version in now.items() if ahead.get(name) != version}
    whole.rows_read = added.get(BRONZE, 0) + lines
    whole.rows_written = sum(added.values()) + 2 * lines  # in bronze, and in silver or the quarantine


def _row(record: RunRecord, stage: StageRecord) -> dict[str, Any]:
    """Return the row of a stage, or of the whole run."""
    ways = {"reads": stage.reads, "writes": stage.writes}
    known: dict[str, Any] = {way: {name: state["version"] for name, state in each.items()} for way, each in ways.items()}
    if stage.status == "running":
        known["process"] = {"host": platform.node(), "id": os.getpid()}
    return {
        "run_id": record.run_id,
        "run_date": record.run_date,
        "stage": stage.name,
        "status": stage.status,
        "started": dt.datetime.fromisoformat(stage.started),
        "seconds": float(stage.seconds),
        "rows_read": stage.rows_read or 0,
        "rows_written": stage.rows_written or 0,
        "versions": json.dumps(known),
        "error": stage.error,
    }
