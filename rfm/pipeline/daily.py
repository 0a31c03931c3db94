"""The daily run: each notebook of the chain in its own kernel, then the report, with a monitor that keeps log and lineage.

A run stops at the first failure, keeps the notebook with the error and leaves the published days as they are.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rfm.config import OnDone, OnFailure
from rfm.contracts import EXPECTATION_RESULTS, LEDGER
from rfm.errors import LEAST, StageError, first_line, in_words, printable, redact
from rfm.lake import Lake, open_lake, verify
from rfm.lake.tables import rows_added
from rfm.pipeline import lineage, notebooks, run_record
from rfm.pipeline.chain import CLEAN, STAGES, Stage
from rfm.pipeline.kernels import Kernels, Worker, kernel_environment, run_folder, warm_kernels
from rfm.pipeline.notebooks import execute
from rfm.pipeline.run_record import RunRecord, StageRecord
from rfm.pipeline.schedule import CaughtUp, first_days, locked, run_date, run_first
from rfm.settings import Settings, artifacts_dir, is_catalog_name
from rfm.words import _


def run(
    settings: Settings,
    parameters: Mapping[str, Any] | None = None,
    on_stage: Callable[[Mapping[str, Any]], None] = lambda stage: None,
    kernels: Kernels | None = None,
    on_begin: Callable[[Stage], None] = lambda stage: None,
    on_past: Callable[[Sequence[dt.date]], None] = lambda days: None,
) -> dict[str, Any]:
    """Run all stages for one run date and publish the report; return the record as in ``run.json``, with its address."""
    if not kernels:  # the command line checks before it warms them
        notebooks.check(settings, parameters or {})
    kept_here = not is_catalog_name(settings.lake)
    if kept_here:
        Lake(settings.lake).open(LEDGER)  # a place where no table can be kept is refused before anything runs
    warm = nullcontext(kernels) if kernels else warm_kernels()
    with kernel_environment(settings), warm as kernels, run_folder("run") as folder:
        work, day = Path(folder), run_date(settings)
        if "://" in settings.reports:
            _check_bucket(settings)
        wanted = {"date": day.isoformat(), "landing": settings.landing, "lake": settings.lake, **(parameters or {})}
        given = {name: {one: wanted[one] for one in names} for name, names in notebooks.declared(settings, list(wanted)).items()}
        record = run_record.new_record(settings, day, wanted)
        with locked(settings, day):
            damage = verify.find_damage(Lake(settings.lake)) if kept_here else []  # before the run itself writes its log
            with monitored(settings, record) as watch:
                verify.refuse_damage(watch.lake, damage)
                with kernels.worker(BESIDE, settings, work) as worker:
                    _run_stages(watch, given, work, worker, kernels, on_stage, on_begin, on_past)
                    vars(record).update(vars(worker.ask("conclude", record)))
                    watch.warn(watch.emitter.said())  # before the record is published
                    run_record.write_record(work, record)
                    address = worker.ask("publish", record.to_json())
                    folder_of_brief = work if "://" in settings.reports else Path(settings.reports, day.isoformat())
                    watch.warn(send_brief(settings.on_done, record.to_json() | {"report": address}, folder_of_brief))
            watch.lake.maintain(settings.care.optimize_every, settings.care.retain_days)
            if kept_here:
                verify.note_tables(watch.lake)
    return record.to_json() | {"report": address}


def _check_bucket(settings: Settings) -> None:
    """Raise an error before anything runs if the bucket of the reports is out of reach, or the key of its ids is missing."""
    from rfm.report import publish, site

    site.published_runs(settings.reports)
    publish.publishable_files({}, settings.publish)


def _run_stages(
    watch: Monitor,
    given: Mapping[str, Mapping[str, Any]],
    work: Path,
    worker: Worker,
    kernels: Kernels,
    on_stage: Callable[[Mapping[str, Any]], None],
    on_begin: Callable[[Stage], None],
    on_past: Callable[[Sequence[dt.date]], None],
) -> None:
    """Run the notebooks in order, build pages meanwhile, record each stage; stop at the first failure."""
    settings, record = watch.settings, watch.record
    for stage in STAGES:
        on_begin(stage)
        with watch.stage(stage) as noted:
            started = waited = time.monotonic()
            try:
                with kernels.kernel(last=stage == STAGES[-1]) as kernel:
                    waited = time.monotonic()
                    notebook = Path(settings.notebooks) / f"{stage.name}.ipynb"
                    noted.error, spent = execute(notebook, work, given[stage.name], kernel)
            except OSError as error:  # as where the disk of the temporary folder is full
                noted.error, spent = in_words(error) or first_line(error), {}
            noted.seconds, noted.status = round(time.monotonic() - started, 2), "failed" if noted.error else "done"
            noted.spent = spent | {"kernel": round(spent.get("kernel", 0.0) + waited - started, 3)}
        on_stage(noted.to_json())
        if noted.error:
            record.status = "failed"
            failed = f"{record.run_date}: stage {stage.name} failed: {noted.error}"
            try:
                kept = run_record.keep_notebooks(work, record, settings.reports)
            except OSError as error:
                why = in_words(error) or first_line(error)
                raise StageError(f"{failed}; its notebook cannot be kept in {settings.reports} ({why})") from None
            raise StageError(f"{failed}; its notebook: {kept}/{stage.name}.ipynb")
        worker.tell("build_parts", record.to_json())
        if stage == CLEAN:
            _run_first(watch, kernels, on_past)
    record.status = "done"


def _run_first(watch: Monitor, kernels: Kernels, on_past: Callable[[Sequence[dt.date]], None]) -> None:
    """Give a shop without any past some earlier days, for the comparison; a day that fails is a warning."""
    settings, record = watch.settings, watch.record
    if not (days := first_days(settings, watch.lake, record.run_date)):
        return
    on_past(days)
    with kernels.worker(EARLIER, settings) as worker:
        done = worker.ask("run", days)
    record.first_days = [one.day.isoformat() for one in done if one.well]
    lacking = _("first run: {day} was not computed for the comparison: {why}")
    watch.warn(lacking.format(day=one.day, why=one.said) for one in done if not one.well)


class Beside:
    """What is done beside the notebooks of a run, in a process that has what it needs imported already."""

    def __init__(self, settings: Settings, work: Path) -> None:
        from rfm.report import brief, site  # brief: imported while the notebooks run

        self.settings, self.work, self.site, self.brief = settings, work, site, brief
        self.parts: dict[str, Any] = {}
        self.kept: dict[Any, Any] = {}

    def build_parts(self, record: Mapping[str, Any]) -> None:
        """Build the parts of the site whose tables the newest stage has completed."""
        self.parts |= self.site.parts_after(self.settings, self.work, record, self.kept)

    def conclude(self, record: RunRecord) -> RunRecord:
        """Return the record of a run with its results."""
        run_record.conclude(self.settings, open_lake(self.settings), record)
        return record

    def publish(self, record: Mapping[str, Any]) -> str:
        """Build the site of a run, publish it and return its address."""
        self.site.build(self.settings, self.work, record, self.parts, self.kept)
        return self.site.publish(self.work, self.settings.reports, record, self.settings.publish)


class Earlier:
    """The earlier days of a first run, in a process that has what they need imported already."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, days: Sequence[dt.date]) -> list[CaughtUp]:
        """Run the days and return what became of each."""
        return list(run_first(self.settings, days))


BESIDE, EARLIER = (f"{__name__}:{worker.__name__}" for worker in (Beside, Earlier))
JOB = "daily"


class Monitor:
    """Keep the log and the lineage of a run, and its record up to date, from the start of the run on."""

    def __init__(self, settings: Settings, record: RunRecord) -> None:
        self.settings, self.record, self.lake = settings, record, open_lake(settings)
        self.emitter = lineage.EventEmitter(lineage_file(settings, record.run_date, record.run_id))
        self.record.warn(run_record.log_rows(self.lake, self.record))
        self._emit("START", None)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[StageRecord]:
        """Record a stage: table versions before it, rows read and written after it; the caller sets its status."""
        states, now = run_record.states(self.lake, stage.reads), dt.datetime.now(dt.UTC).isoformat()
        noted = StageRecord(stage.name, stage.title, states, now)
        before: dict[str, int] = {}
        with self._forgiving("run log"):
            before = {name: state.version for name, state in self.lake.state(stage.writes).items()}
        self._emit("START", noted)
        yield noted
        noted.writes = {} if noted.error else run_record.states(self.lake, stage.writes)
        with self._forgiving("run log"):
            added = {name: rows_added(self.lake, name, before.get(name)) for name in stage.writes}
            there = self.lake.state(added)
            noted.added = {name: rows for name, rows in added.items() if name in there}
            noted.rows_read, noted.rows_written = sum(_rows_read(noted).values()), sum(added.values())
        self._emit("FAIL" if noted.error else "COMPLETE", noted)
        self.record.stages.append(noted)

    def end(self, error: BaseException | None = None) -> None:
        """Record the end of the run, done or failed, then call the hooks."""
        if error:
            self.record.status, self.record.error = "failed", run_record.reason_of(error)
            with self._forgiving("warnings"):
                run_record.add_warnings(self.lake, self.record)
        self._emit("FAIL" if error else "COMPLETE", None)
        self.warn([*run_record.log_rows(self.lake, self.record), *self.emitter.close()])
        self.warn(notify(self.settings.on_failure, self.record.to_json()))

    def warn(self, lines: Iterable[str]) -> None:
        """Add printable warnings without secrets to the record."""
        self.record.warn(printable(redact(line)) for line in lines)

    @contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        """Turn an error into a warning."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 (a run never fails because of its monitor)
            self.warn([f"{what}: {first_line(error)}"])

    def _emit(self, kind: Any, noted: StageRecord | None) -> None:
        """Send a lineage event of a stage, or of the whole run."""
        with self._forgiving("lineage"):
            run_id, about = self.record.run_id, noted or self.record
            time = about.started if kind == "START" else dt.datetime.now(dt.UTC).isoformat()
            event = lineage.RunEvent(kind, time, run_id, JOB, self.record.run_date.isoformat(), error=about.error or "")
            if noted:
                own = lineage.run_id(run_id, noted.name)
                event = event._replace(run_id=own, job=f"{JOB}.{noted.name}", parent=(run_id, JOB))
            of = [noted] if noted else self.record.stages
            inputs = [data for data in self._data(of, "reads") if noted or data.table == lineage.LANDING]
            self.emitter.send(event._replace(inputs=tuple(inputs), outputs=self._data(of, "writes")))

    def _data(self, of: list[StageRecord], way: str) -> tuple[lineage.Data, ...]:
        """Return the tables that stages read or wrote, each once, with versions and rows."""
        found = {}
        for noted in of:
            rows = _rows_read(noted) if way == "reads" else noted.added or {}
            for name, version in _versions(noted, way).items():
                results = self._results(noted, name) if way == "reads" else ()
                address = self.settings.landing if name == lineage.LANDING else f"{self.settings.lake}/{name}"
                found[name] = lineage.Data(name, address, version, rows.get(name), results)
        return tuple(found.values())

    def _results(self, noted: StageRecord, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return what the expectations found in the lines that silver read."""
        if noted.name != CLEAN.name or name != CLEAN.new_from or noted.rows_read is None:
            return ()
        return tuple(self.lake.rows(EXPECTATION_RESULTS, processing_date=self.record.run_date).to_dicts())


@contextmanager
def monitored(settings: Settings, record: RunRecord) -> Iterator[Monitor]:
    """Log a run and its lineage from the first stage to the end."""
    watch = Monitor(settings, record)
    try:
        yield watch
    except BaseException as error:
        before = len(record.warnings)
        watch.end(error)
        for line in record.warnings[before:]:
            error.add_note(f"warning: {line}")
        raise
    watch.end()


def lineage_file(settings: Settings, run_date: dt.date | str, run_id: str) -> str:
    """Return the default address of a run's events: one file per run, in a folder of the lake."""
    where = f"{artifacts_dir(settings.lake)}/_lineage/{run_date}/{run_id}"
    return where if "://" in where else f"{where}.ndjson"


def _versions(noted: StageRecord, way: str) -> dict[str, int | None]:
    """Return the version of each table that a stage reads or writes, as far as it is known; of the landing folder, None."""
    states, stage = getattr(noted, way), noted.stage
    first: dict[str, int | None] = {lineage.LANDING: None} if way == "reads" and stage.new_from == lineage.LANDING else {}
    return first | {name: states.get(name, {}).get("version") for name in getattr(stage, way)}


def _rows_read(noted: StageRecord) -> dict[str, int]:
    """Return the rows that a stage read of each table; of a table of which it reads only the new rows, these."""
    rows = {name: state["rows"] for name, state in noted.reads.items() if name != LEDGER}
    if noted.stage.new_from and noted.added is not None:
        rows[noted.stage.new_from] = sum(noted.added.get(name, 0) for name in noted.stage.new_into)
    return rows


# ── hooks ────────────────────────────────────────────────────────────
PATIENCE = 60.0  # seconds that a hook may take
SECRET = "RFM_WEBHOOK_SECRET"  # environment variable, sent as a bearer token


def notify(settings: OnFailure, record: Mapping[str, Any]) -> list[str]:
    """Send the record of a run to the hooks, if it failed or they also want warned runs; return what went wrong."""
    failed = record["status"] == "failed" or record.get("errors")
    if not (failed or settings.when == "warned" and record["warnings"]):
        return []
    return _call("on_failure", settings, record, record, {})


def send_brief(settings: OnDone, record: Mapping[str, Any], folder: Path) -> list[str]:
    """Hand the brief of a published run to the hooks; return what went wrong."""
    if not (settings.command or settings.webhook):
        return []
    from rfm.report.filters import headline
    from rfm.report.pages import BRIEF
    from rfm.words import ENGLISH, speaking

    pdf, html = (folder / name for name in BRIEF)
    summary = record.get("summary") or {}
    with speaking(record.get("settings", {}).get("shop", {}).get("language", ENGLISH)):
        said = headline(summary)
    lines = [said, f"{record['run_date']}: {record['report']}"]
    chat = {"text": "\n".join(filter(None, lines)), "run_date": record["run_date"], "report": record["report"]}
    chat |= {"brief_html": html.read_text(encoding="utf-8"), "brief_pdf": b64encode(pdf.read_bytes()).decode()}
    return _call("on_done", settings, record, chat, {"RFM_BRIEF_PDF": str(pdf), "RFM_BRIEF_HTML": str(html)})


def _call(
    section: str, hooks: OnFailure | OnDone, record: Mapping[str, Any], message: Mapping[str, Any], environment: Mapping[str, str]
) -> list[str]:
    """Give the record to the command and the message to the webhook of a section; return what went wrong."""
    body, posted = (redact(json.dumps(one, ensure_ascii=False, default=str)).encode() for one in (record, message))
    tried = [
        _troubles(hooks.command, "command", lambda command: _run(command, body, environment)),
        _troubles(hooks.webhook, "webhook", lambda url: _post(url, posted)),
    ]
    return [redact(f"{section}: {trouble}") for trouble in tried if trouble]


def _troubles(target: str, kind: str, hook: Callable[[str], None]) -> str:
    """Call a hook if there is one; return what went wrong, without the arguments or the path, which may be secret."""
    if not target:
        return ""
    shown = urlsplit(target).hostname if kind == "webhook" else shlex.split(target)[0]
    try:
        hook(target)
    except subprocess.TimeoutExpired:
        said = f"no end within {PATIENCE:g} seconds"
    except subprocess.CalledProcessError as error:
        words = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        said = f"exit status {error.returncode}" + (f" ({words[-1]})" if words else "")
    except Exception as error:  # noqa: BLE001 (a hook may fail as it likes)
        said = f"{type(error).__name__}: {first_line(error)}"
    else:
        return ""
    secret = [urlsplit(target).path] if kind == "webhook" else shlex.split(target)[1:]
    for word in sorted(secret, key=len, reverse=True):
        said = said.replace(word, "***") if len(word) >= LEAST else said
    return f"{kind} {shown}: {said}"


def _run(command: str, body: bytes, environment: Mapping[str, str]) -> None:
    """Run a command, without a shell, with the record on its standard input."""
    given = {**os.environ, **environment}
    subprocess.run(shlex.split(command), input=body, env=given, capture_output=True, timeout=PATIENCE, check=True)


def _post(url: str, body: bytes) -> None:
    """Post JSON to a webhook."""
    headers = {"Content-Type": "application/json", "User-Agent": "rfm"}
    if secret := os.environ.get(SECRET):
        headers["Authorization"] = f"Bearer {secret}"
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 (settings allow http and https alone)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        answer.read()
