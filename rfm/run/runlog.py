"""The log of runs, table ``pipeline_runs``: one row a run and stage, for runs that went well and for those that did not.

A run writes a row ``running`` before its first stage and replaces it when it ends, so a run that was killed can
be told from one that failed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import rfm
from rfm.errors import first_line, redacted
from rfm.io.lake.facts import rows_added, versions
from rfm.io.lineage import run_id
from rfm.run.stages import STAGES

TABLE = "pipeline_runs"
RUN, BACKFILL = "run", "backfill"  # names of the row for a whole run
ARRIVED = "retail_transactions_bronze"
WRITTEN = tuple(dict.fromkeys(name for stage in STAGES for name in stage.writes))


def write(lake: rfm.Lake, record: Mapping[str, Any], whole: str = RUN) -> list[str]:
    """Write what is known of a run, in place of what was known before.

    Parameters
    ----------
    lake
        The tables.
    record
        The run record.
    whole
        Name of the row for the whole run.

    Returns
    -------
    list of str
        What went wrong, if anything did: a run does not fail because its log cannot be written.
    """
    import pandas as pd

    try:
        lake.replace(TABLE, pd.DataFrame(rows(record, whole)), run_id=record["run_id"])
    except Exception as error:  # noqa: BLE001 (as the docstring says)
        return [f"run log: not written: {redacted(first_line(error))}"]
    return []


def rows(record: Mapping[str, Any], whole: str = RUN) -> list[dict[str, Any]]:
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
def logged(lake: rfm.Lake, day: dt.date) -> Iterator[None]:
    """Keep the log of a day that runs without notebooks: one row, with the rows that arrived and the rows written.

    Parameters
    ----------
    lake
        The tables.
    day
        The run date.
    """
    now, clock = dt.datetime.now(dt.UTC).isoformat(), time.monotonic()
    record: dict[str, Any] = {"run_id": run_id(str(day), now), "run_date": str(day), "started": now, "stages": []}
    write(lake, {**record, "status": "running"}, BACKFILL)
    before = versions(lake, WRITTEN)
    try:
        yield
        record["status"] = "done"
    except BaseException as error:
        record |= {"status": "failed", "error": reason(error)}
        raise
    finally:
        record["seconds"] = round(time.monotonic() - clock, 2)
        write(lake, {**record, **_written(lake, before)}, BACKFILL)


def reason(error: BaseException) -> str:
    """Return in one line why a run ended."""
    return redacted(first_line(error)) if isinstance(error, Exception) else f"stopped ({type(error).__name__})"


def _written(lake: rfm.Lake, before: Mapping[str, int]) -> dict[str, Any]:
    """Return what commits since some versions of the tables have added."""
    changed = {name: version for name, version in versions(lake, WRITTEN).items() if before.get(name) != version}
    added = {name: rows_added(lake, name, before.get(name)) for name in changed}
    states = {name: {"version": version} for name, version in changed.items()}
    return {"writes": states, "rows_read": added.get(ARRIVED, 0), "rows_written": sum(added.values())}


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
