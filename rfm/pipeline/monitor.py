"""Who is told of a run that failed, or of one with warnings: a command, a webhook, as settings say.

A run under watch: its log, its lineage and its hooks, none of which ever makes it fail.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from rfm.config import OnFailure
from rfm.errors import first_line, printable, redact
from rfm.lake import open_lake
from rfm.lake.tables import rows_added
from rfm.pipeline import lineage, run_record
from rfm.pipeline.stages import STAGES, Stage
from rfm.settings import Settings, artifacts_dir

# ── hooks ────────────────────────────────────────────────────────────
PATIENCE = 60.0  # seconds that a hook may take
SECRET = "RFM_WEBHOOK_SECRET"  # environment variable, sent as a bearer token


def notify(settings: OnFailure, record: Mapping[str, Any]) -> list[str]:
    """Give the record of a run to the hooks that want it."""
    failed = record["status"] == "failed" or record.get("errors")
    if not (failed or settings.when == "warned" and record["warnings"]):
        return []
    body = redact(json.dumps(record, ensure_ascii=False, default=str)).encode()
    tried = [_troubles(settings.command, "command", _run, body), _troubles(settings.webhook, "webhook", _post, body)]
    return [redact(f"on_failure: {trouble}") for trouble in tried if trouble]


def _troubles(target: str, kind: str, hook: Callable[[str, bytes], None], body: bytes) -> str:
    """Call a hook if there is one; return what went wrong, without the arguments or the path, which may be secret."""
    if not target:
        return ""
    shown = urlsplit(target).hostname if kind == "webhook" else shlex.split(target)[0]
    try:
        hook(target, body)
    except subprocess.TimeoutExpired:
        return f"{kind} {shown}: no end within {PATIENCE:g} seconds"
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        return f"{kind} {shown}: exit status {error.returncode}" + (f" ({said[-1]})" if said else "")
    except Exception as error:  # noqa: BLE001 (a hook may fail as it likes)
        return f"{kind} {shown}: {type(error).__name__}: {first_line(error)}"
    return ""


def _run(command: str, body: bytes) -> None:
    """Run a command, without a shell, with the record on its standard input."""
    subprocess.run(shlex.split(command), input=body, capture_output=True, timeout=PATIENCE, check=True)


def _post(url: str, body: bytes) -> None:
    """Post the record to a webhook."""
    headers = {"Content-Type": "application/json", "User-Agent": "rfm"}
    if secret := os.environ.get(SECRET):
        headers["Authorization"] = f"Bearer {secret}"
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 (settings allow http and https alone)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        answer.read()


# ── watch ────────────────────────────────────────────────────────────
JOB = "daily"
LEDGER = "landing_files"
NEW_ROWS = {  # stages that read only what is new: its table, and the tables in which every line read ends, once
    "1_bronze": (lineage.LANDING, ("retail_transactions_bronze",)),
    "2_silver": ("retail_transactions_bronze", ("retail_transactions_silver", "retail_transactions_quarantine")),
}


class Monitor:
    """What notes how a run goes."""

    def __init__(self, settings: Settings, record: dict[str, Any]) -> None:
        self.settings, self.record, self.lake = settings, record, open_lake(settings)
        self.sender = lineage.EventEmitter(lineage_file(settings, record))
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        """Note that the run has begun."""
        self.record["warnings"] += run_record.log_rows(self.lake, self.record)
        self._tell("START", None)

    def begin_stage(self, noted: dict[str, Any]) -> None:
        """Note that a stage begins; ``noted`` is its part of the record."""
        noted["started"] = _now()
        with self._forgiving("run log"):
            self._before = {name: state.version for name, state in self.lake.state(_stage(noted).writes).items()}
        self._tell("START", noted)

    def end_stage(self, noted: dict[str, Any]) -> None:
        """Note that a stage has ended: rows read and written, and how good they were."""
        with self._forgiving("run log"):
            added = {name: rows_added(self.lake, name, self._before.get(name)) for name in _stage(noted).writes}
            there = self.lake.state(added)
            noted["added"] = {name: rows for name, rows in added.items() if name in there}
            noted["rows_read"] = sum(_rows_read(noted).values())
            noted["rows_written"] = sum(added.values())
        self._tell("FAIL" if noted["status"] == "failed" else "COMPLETE", noted)

    def settle(self) -> None:
        """Put the troubles so far among the warnings, before the record is published."""
        self._warn(self.sender.said())

    def end(self, error: BaseException | None = None) -> None:
        """Note that the run has ended, well or not; then call the hooks."""
        if error:
            self.record |= {"status": "failed", "error": run_record.reason_of(error)}
            with self._forgiving("warnings"):
                run_record.add_warnings(self.lake, self.record)
        self._tell("FAIL" if error else "COMPLETE", None)
        self._warn([*run_record.log_rows(self.lake, self.record), *self.sender.close()])
        self._warn(notify(self.settings.on_failure, self.record))

    def _warn(self, lines: list[str]) -> None:
        self.record["warnings"] += [line for line in map(printable, lines) if line not in self.record["warnings"]]

    @contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        """Turn an error into a warning."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (a run never fails with its own watch)
            self._warn([f"{what}: {redact(first_line(error))}"])

    def _tell(self, kind: Any, noted: Mapping[str, Any] | None) -> None:
        """Send what happened to a stage, or to the whole run, as lineage."""
        with self._forgiving("lineage"):
            self.sender.send(self._moment(kind, noted))

    def _moment(self, kind: Any, noted: Mapping[str, Any] | None) -> lineage.RunEvent:
        """Return what happened to a stage, or to the whole run."""
        run_id, day = self.record["run_id"], self.record["run_date"]
        started = (noted or self.record)["started"]
        moment = lineage.RunEvent(kind, started if kind == "START" else _now(), run_id, JOB, day)
        if noted:
            name = noted["name"]
            moment = moment._replace(run_id=lineage.run_id(run_id, name), job=f"{JOB}.{name}", parent=(run_id, JOB))
        stages = [noted] if noted else self.record["stages"]
        inputs = [data for data in self._data(stages, "reads") if noted or data.table == lineage.LANDING]
        moment = moment._replace(inputs=tuple(inputs), outputs=self._data(stages, "writes"))
        return moment._replace(error=(noted or self.record).get("error", ""))

    def _data(self, stages: list[Mapping[str, Any]], way: str) -> tuple[lineage.Data, ...]:
        """Return the tables that stages read or wrote, each once, with versions and rows."""
        found = {}
        for stage in stages:
            rows = _rows_read(stage) if way == "reads" else stage.get("added", {})
            for name, version in _versions(stage, way).items():
                found[name] = lineage.Data(name, self._address(name), version, rows.get(name), self._results(stage, name, way))
        return tuple(found.values())

    def _address(self, name: str) -> str:
        return self.settings.landing if name == lineage.LANDING else f"{self.settings.lake}/{name}"

    def _results(self, stage: Mapping[str, Any], name: str, way: str) -> tuple[Mapping[str, Any], ...]:
        """Return what the expectations found in the lines that silver read."""
        if way == "writes" or stage["name"] != "2_silver" or name == LEDGER or "rows_read" not in stage:
            return ()
        day = dt.date.fromisoformat(self.record["run_date"])
        return tuple(self.lake.frame("expectation_results", processing_date=day).to_dict("records"))


@contextmanager
def monitored(settings: Settings, record: dict[str, Any]) -> Iterator[Monitor]:
    """Watch a run from its first stage to its end."""
    watch = Monitor(settings, record)
    watch.begin()
    try:
        yield watch
    except BaseException as error:
        before = len(record["warnings"])
        watch.end(error)
        for line in record["warnings"][before:]:
            error.add_note(f"warning: {line}")
        raise
    watch.end()


def lineage_file(settings: Settings, record: Mapping[str, Any]) -> str:
    """Return where the events of a run go if the environment does not say: beside the tables, one file a run."""
    where = f"{artifacts_dir(settings.lake)}/_lineage/{record['run_date']}/{record['run_id']}"
    return where if "://" in where else f"{where}.ndjson"


def _stage(noted: Mapping[str, Any]) -> Stage:
    """Return the stage that a part of the record is about."""
    return next(stage for stage in STAGES if stage.name == noted["name"])


def _versions(noted: Mapping[str, Any], way: str) -> dict[str, int | None]:
    """Return the version of each table that a stage reads or writes, as far as it is known; of the landing folder, none."""
    states = noted.get(way) or {}
    first: dict[str, int | None] = {lineage.LANDING: None} if way == "reads" and noted["name"] == "1_bronze" else {}
    return first | {name: states.get(name, {}).get("version") for name in getattr(_stage(noted), way)}


def _rows_read(noted: Mapping[str, Any]) -> dict[str, int]:
    """Return the rows that a stage read of each table; of tables that it reads piece by piece, the new ones."""
    rows = {name: state["rows"] for name, state in noted["reads"].items() if name != LEDGER}
    if noted["name"] in NEW_ROWS and "added" in noted:
        name, ends = NEW_ROWS[noted["name"]]
        rows[name] = sum(noted["added"].get(end, 0) for end in ends)
    return rows


def _now() -> str:
    """Return the time in UTC."""
    return dt.datetime.now(dt.UTC).isoformat()
