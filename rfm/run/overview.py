"""How things stand: the last runs, the tables, how good the newest data are, and how fresh."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from typing import Any

import rfm
from rfm.io.lake.facts import sizes
from rfm.run import runlog
from rfm.run.site import published_runs
from rfm.settings import Settings

KEPT = 50  # runs told of
LONGEST = dt.timedelta(hours=6)  # a run on another machine that began earlier is taken for dead
FOUND = ("customers", "revenue", "orders", "warnings")  # what the reports know of a run


def overview(settings: Settings) -> dict[str, Any]:
    """Return how things stand, as plain values that JSON can hold.

    Parameters
    ----------
    settings
        Where the tables and the reports are.

    Returns
    -------
    dict
        ``runs``, newest first (``run_id``, ``run_date``, ``stage`` (run or backfill), ``status`` (done, failed,
        running or did not finish), ``started``, ``seconds``, ``rows_read``, ``rows_written``, ``error``, and what the
        report says: ``customers``, ``revenue``, ``orders``, ``warnings``); ``stages`` of the newest run;
        ``tables`` by name (``version``, ``rows``, ``files``, ``bytes``); ``quality`` of the newest run
        (``processing_date``, ``lines``, ``dropped``, ``dropped_share``, ``broken`` expectations); ``warnings`` of the
        newest run date; ``freshness`` (``newest_file``, ``newest_sale``, ``newest_run``).
    """
    lake = rfm.open_lake(settings)
    logged = sorted(_rows(lake, runlog.TABLE), key=lambda row: row["started"], reverse=True)
    whole = [row for row in logged if row["stage"] in (runlog.RUN, runlog.BACKFILL)]
    runs = _runs(whole, published_runs(settings.reports))
    newest = whole[0]["run_id"] if whole else None
    newest_date = max((run["run_date"] for run in runs if run["status"] in ("done", "failed")), default=None)
    told = {
        "runs": runs[:KEPT],
        "stages": _stages([row for row in logged if row["run_id"] == newest]),
        "tables": {name: size._asdict() for name, size in sizes(lake).items()},
        "quality": _quality(lake),
        "warnings": [row for row in _rows(lake, "run_warnings") if str(row["run_date"]) == newest_date],
        "freshness": _freshness(lake, runs),
    }
    return json.loads(json.dumps(told, default=lambda moment: moment.isoformat()))


def _rows(lake: rfm.Lake, name: str, **equal: Any) -> list[dict[str, Any]]:
    """Return the rows of a small table."""
    return lake.read(name, **equal).collect().to_dicts()


def _runs(logged: list[dict[str, Any]], published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the runs of the log with what the reports know of them, and those that only the reports know."""
    reports = {(run["run_date"], _second(run.get("started"))): run for run in published}
    runs = []
    for row in logged:
        report = reports.pop((str(row["run_date"]), _second(row["started"])), {})
        runs.append(_run(row) | {name: report.get(name) for name in FOUND})
    older = [{**dict.fromkeys(_run({})), **_report(run)} for run in reports.values()]
    return sorted(runs + older, key=lambda run: _second(run["started"]) or run["run_date"], reverse=True)


def _run(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a row of the log."""
    names = ("run_id", "run_date", "stage", "status", "started", "seconds", "rows_read", "rows_written", "error")
    told = {name: row.get(name) for name in names}
    if row.get("status") == "running" and not _alive(row):
        told["status"] = "did not finish"
    return told | {name: str(told[name]) for name in ("run_date",) if told[name]}


def _report(run: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a run that only the reports know."""
    return {"stage": runlog.RUN} | {name: run.get(name) for name in ("run_date", "status", "started", "seconds", *FOUND)}


def _second(moment: Any) -> str:
    """Return a moment in UTC to the second, as text that sorts."""
    moment = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S") if moment else ""


def _alive(row: dict[str, Any]) -> bool:
    """Tell whether a run that has not ended may still be going on."""
    process = json.loads(row["versions"]).get("process", {})
    if process.get("host") != platform.node():
        return dt.datetime.now(dt.UTC) - row["started"] < LONGEST
    try:
        os.kill(process["id"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _stages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the stages of a run in their order."""
    names = ("stage", "status", "seconds", "rows_read", "rows_written", "error")
    stages = sorted((row for row in rows if row["stage"] not in (runlog.RUN, runlog.BACKFILL)), key=lambda row: row["stage"])
    return [{name: row[name] for name in names} for row in stages]


def _quality(lake: rfm.Lake) -> dict[str, Any]:
    """Return how good the lines of the newest processing date are; empty before the first run."""
    results = _rows(lake, "expectation_results")
    if not results:
        return {}
    day = max(row["processing_date"] for row in results)
    counts = {row["layer"]: row["total_records"] for row in _rows(lake, "bronze_silver_dq_comparison", processing_date=day)}
    lines, kept = counts.get("bronze", 0), counts.get("silver", 0)
    broken = [row for row in results if row["processing_date"] == day and row["failed"]]
    return {
        "processing_date": day,
        "lines": lines,
        "dropped": lines - kept,
        "dropped_share": (lines - kept) / lines if lines else 0.0,
        "broken": [{name: row[name] for name in ("expectation", "severity", "checked", "failed")} for row in broken],
    }


def _freshness(lake: rfm.Lake, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the newest days: of a file, of a sale, of a finished run."""
    files = [row["file_date"] for row in _rows(lake, "landing_files", layer="bronze") if row["file_date"]]
    sales = [row["InvoiceDate"] for row in _rows(lake, "daily_counts", layer="silver") if row["InvoiceDate"]]
    done = [run["run_date"] for run in runs if run["status"] == "done"]
    return {
        name: max(days, default=None)
        for name, days in zip(("newest_file", "newest_sale", "newest_run"), (files, sales, done), strict=True)
    }
