"""A run under watch: its log, its lineage and its hooks, none of which ever makes it fail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import rfm
from rfm.errors import first_line, printable, redacted
from rfm.io import lineage
from rfm.io.lake.facts import rows_added
from rfm.run import hooks, runlog
from rfm.run import record as recording
from rfm.run.stages import STAGES, Stage
from rfm.settings import Settings, papers_of

JOB = "daily"
LEDGER = "landing_files"
NEW_ROWS = {  # stages that read only what is new: its table, and the tables in which every line read ends, once
    "1_bronze": (lineage.LANDING, ("retail_transactions_bronze",)),
    "2_silver": ("retail_transactions_bronze", ("retail_transactions_silver", "retail_transactions_quarantine")),
}


class Watch:
    """What notes how a run goes.

    Parameters
    ----------
    settings
        Where things are.
    record
        The run record; what the stages read and wrote is added to it.
    """

    def __init__(self, settings: Settings, record: dict[str, Any]) -> None:
        self.settings, self.record, self.lake = settings, record, rfm.open_lake(settings)
        self.sender = lineage.Sender(lineage_file(settings, record))
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        """Note that the run has begun."""
        self.record["warnings"] += runlog.write(self.lake, self.record)
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
            self.record |= {"status": "failed", "error": runlog.reason(error)}
            with self._forgiving("warnings"):
                recording.add_warnings(self.lake, self.record)
        self._tell("FAIL" if error else "COMPLETE", None)
        self._warn([*runlog.write(self.lake, self.record), *self.sender.close()])
        self._warn(hooks.call(self.settings.on_failure, self.record))

    def _warn(self, lines: list[str]) -> None:
        self.record["warnings"] += [line for line in map(printable, lines) if line not in self.record["warnings"]]

    @contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        """Turn an error into a warning."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (a run never fails with its own watch)
            self._warn([f"{what}: {redacted(first_line(error))}"])

    def _tell(self, kind: Any, noted: Mapping[str, Any] | None) -> None:
        """Send what happened to a stage, or to the whole run, as lineage."""
        with self._forgiving("lineage"):
            self.sender.send(self._moment(kind, noted))

    def _moment(self, kind: Any, noted: Mapping[str, Any] | None) -> lineage.Moment:
        """Return what happened to a stage, or to the whole run."""
        run_id, day = self.record["run_id"], self.record["run_date"]
        started = (noted or self.record)["started"]
        moment = lineage.Moment(kind, started if kind == "START" else _now(), run_id, JOB, day)
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
def watched(settings: Settings, record: dict[str, Any]) -> Iterator[Watch]:
    """Watch a run from its first stage to its end.

    Parameters
    ----------
    settings, record
        As for `Watch`.
    """
    watch = Watch(settings, record)
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
    """Return where the events of a run go if the environment does not say: beside the tables, one file a run.

    Parameters
    ----------
    settings, record
        As for `Watch`.
    """
    where = f"{papers_of(settings.lake)}/_lineage/{record['run_date']}/{record['run_id']}"
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
