"""Days without notebooks, by the calls of the notebooks: backfill many days, repeat a published one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import pandas as pd

from rfm import contracts as tables
from rfm.analysis.outliers import fit_exclusions
from rfm.analysis.segments.profiles import headline
from rfm.config import VERSION
from rfm.contracts import CLUSTER_MODELS, CLUSTERED, GOLD, HISTORY, LEDGER, OF_THE_DAY, RUN_WARNINGS, SILVER
from rfm.errors import InputError, RfmError, SettingsError, first_line
from rfm.lake import Lake, ingest, ledger, open_lake, open_lake_log, verify
from rfm.lake.delta import scratch
from rfm.landing.files import list_files
from rfm.pipeline import campaigns, chain, stages
from rfm.pipeline.models import keep_model
from rfm.pipeline.run_record import GROUPS, digests, logged, written_versions
from rfm.report.publish import published_record
from rfm.settings import Settings, is_catalog_name

DAYS_AT_ONCE = 31  # days whose files are read, cleaned and counted together


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return every day from the first to the last, both included."""
    if last < first:
        raise SettingsError(f"--to {last} is before --from {first}; give the earlier day first")
    return [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]


def backfill(
    settings: Settings, first: dt.date, last: dt.date, restate: bool = False, refit: bool = False
) -> Iterator[tuple[dt.date, str]]:
    """Run every day from the first to the last; leave the tables that `rfm daily` of each day would leave."""
    lake, run_dates = open_lake(settings), days(first, last)
    guarded = not is_catalog_name(settings.lake)
    if guarded:
        verify.refuse_damage(lake, verify.find_damage(lake))
    for some in (run_dates[i : i + DAYS_AT_ONCE] for i in range(0, len(run_dates), DAYS_AT_ONCE)):
        before = written_versions(lake)
        ahead = clean_ahead(settings, lake, some) if len(some) > 1 and not restate else {}
        with closing(kept_latest(settings, lake)) as held:
            for run_date in some:
                brought, last_one = ahead.get(run_date), run_date == some[-1]
                with logged(lake, run_date, before if brought else None, brought.lines if brought else 0):
                    home: Any = lake if last_one else held  # the last day writes as it goes, its model after its tables
                    headline = run_day(settings, home, run_date, restate, refit and run_date == first, brought)
                if last_one:
                    held.kept.clear()
                yield run_date, headline
        lake.maintain(settings.care.optimize_every, settings.care.retain_days)
        if guarded:
            verify.note_tables(lake)


def clean_ahead(settings: Settings, lake: Lake, run_dates: list[dt.date]) -> dict[dt.date, stages.Ingested]:
    """Read, clean and count the files of several days in one commit per table; return what each day brought."""
    # A day sees files by their dates, so those of later days change none of its results. Days with files that are changed,
    # refused or not whole yet, and days that fail here, run one by one.
    try:
        list_files(settings.landing, settings.files.pattern, until=run_dates[0])  # raises if the first day has no file yet
        found = stages.ingest_files(lake, settings, run_dates)
        left = any(severity != "note" for severity, _ in found.skipped)
        if found.refused or left or len(ledger.changed_files(lake)):
            return {}
        stages.clean_files(lake, settings)
        stages.count_quality(lake, settings, *run_dates)
    except RfmError:
        return {}
    lines = ledger.read_entries(lake, "bronze", [file.source_file for file in found.files])
    return {day: found._replace(lines=int(lines.filter(processing_date=day)["rows"].sum())) for day in run_dates}


@dataclass(frozen=True)
class _Latest:
    """A lake that keeps in memory the tables that every day overwrites, until the last of several days is done."""

    lake: Lake
    names: tuple[str, ...] = (GOLD, CLUSTERED, *OF_THE_DAY)
    kept: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the lake itself."""
        return getattr(self.lake, name)

    def replace(self, name: str, rows: Any, **equal: Any) -> int:
        """Replace a table, in memory if each day overwrites it; parameters as for `Lake.replace`."""
        if name not in self.names:
            return self.lake.replace(name, rows, **equal)
        self.kept[name] = tables.conform(tables.TABLES[name], rows)
        return len(self.kept[name])

    def replace_each(self, frames: Mapping[str, Any], **equal: Any) -> dict[str, int]:
        """Replace several tables; parameters as for `Lake.replace_each`."""
        counts = {name: self.replace(name, rows) for name, rows in frames.items() if name in self.names}  # each day is checked
        written = {name: rows for name, rows in frames.items() if name not in counts}
        return counts | (self.lake.replace_each(written, **equal) if written else {})

    def frame(self, name: str, **wanted: Any) -> pd.DataFrame:
        """Return a table as a pandas frame; parameters as for `Lake.frame`."""
        if name not in self.kept:
            return self.lake.frame(name, **wanted)
        return self.kept[name].filter(**wanted).to_pandas(use_pyarrow_extension_array=True)

    def close(self) -> None:
        """Write all kept tables at once, then those of the single customer."""
        write_each = self.kept.pop(chain.STATE.name, None)
        if self.kept:
            self.lake.replace_each(self.kept)
        if write_each:
            write_each(self.lake)


def kept_latest(settings: Settings, lake: Lake) -> Any:
    """Return a lake that keeps in memory what the next day overwrites; frames of a cluster are not kept."""
    return _Latest(lake, _Latest.names if settings.computes_here else ())


def warnings_of(settings: Settings, first: dt.date, last: dt.date) -> tuple[list[str], bool]:
    """Return the warnings of some days' runs, and whether a file was refused."""
    said = open_lake(settings).frame(RUN_WARNINGS, run_date=days(first, last))
    return list(dict.fromkeys(said.loc[said["severity"] != "note", "message"])), bool((said["severity"] == "error").any())


def results(settings: Settings, headlines: Mapping[dt.date, str]) -> list[dict[str, Any]]:
    """Return the results of some days' runs as values for JSON."""
    lake, days = open_lake(settings), list(headlines)
    said = lake.frame(RUN_WARNINGS, run_date=days)
    runs = lake.frame(tables.PIPELINE_RUNS, run_date=days, stage=chain.BACKFILL).sort_values("started")

    def result(day: dt.date) -> dict[str, Any]:
        run, of_day = runs[runs["run_date"] == day].iloc[-1], said[said["run_date"] == day]
        messages = {kind: list(of_day.loc[of_day["severity"] == kind, "message"]) for kind in ("warning", "error")}
        counts = {"seconds": float(run["seconds"]), "lines_read": int(run["rows_read"]), "rows_written": int(run["rows_written"])}
        warnings_of = {"warnings": messages["warning"], "errors": messages["error"]}
        return {"run_date": day.isoformat(), "headline": headlines[day]} | counts | warnings_of

    return [result(day) for day in days]


def run_day(
    settings: Settings,
    lake: Lake,
    run_date: dt.date,
    restate: bool = False,
    refit: bool = False,
    ahead: stages.Ingested | None = None,
) -> str:
    """Run stages 1 to 6 for one run date; return the headline. ``ahead`` says that its files are clean and counted already."""
    to_bronze(settings, lake, run_date, restate, ahead)
    to_silver(settings, lake, run_date, ahead is not None)
    return from_gold(settings, lake, run_date, refit)


def from_gold(settings: Settings, lake: Any, run_date: dt.date, refit: bool = False) -> str:
    """Run stages 3 to 6; return the headline."""
    to_gold(settings, lake, run_date)
    return _from_clusters(settings, lake, run_date, refit)


def _from_clusters(settings: Settings, lake: Any, run_date: dt.date, refit: bool, silver: Any = None) -> str:
    """Run stages 4 to 6, the states on the rows of silver if they are given; return the headline."""
    to_clusters(settings, lake, run_date, refit)
    headline = to_segments(settings, lake, run_date)
    to_states(settings, lake, run_date, silver)
    return headline


def to_bronze(
    settings: Settings, lake: Lake, run_date: dt.date, restate: bool = False, ahead: stages.Ingested | None = None
) -> None:
    """Run the stage of notebook 1."""
    found = ahead or stages.ingest_files(lake, settings, run_date, restate)
    ingest.warn(lake, run_date, found.refused, found.skipped)


def to_silver(settings: Settings, lake: Lake, run_date: dt.date, ahead: bool = False) -> None:
    """Run the stage of notebook 2."""
    if not ahead:
        stages.clean_files(lake, settings)
        stages.count_quality(lake, settings, run_date)
    stages.warn_of_quality(lake, settings, run_date)
    stages.check_quality(lake, settings, run_date)


def to_gold(settings: Settings, lake: Lake, run_date: dt.date) -> None:
    """Run the stage of notebook 3."""
    lake.replace(GOLD, stages.customer_metrics(lake.read(SILVER, until=run_date), settings, run_date))


def to_clusters(settings: Settings, lake: Lake, run_date: dt.date, refit: bool = False) -> None:
    """Run the stage of notebook 4."""
    excluded = fit_exclusions(lake.read(SILVER, until=run_date), run_date, settings.exclusions)
    before = stages.predecessor(lake, settings, run_date, refit)
    clustered = stages.cluster_customers(lake.frame(GOLD), excluded, settings, run_date, before)
    stages.write_clusters(lake, clustered, run_date)


def to_segments(settings: Settings, lake: Lake, run_date: dt.date) -> str:
    """Run the stage of notebook 5; return the headline."""
    models, history = stages.past_runs(lake, run_date)
    named, frames = stages.segment_customers(lake.frame(CLUSTERED, UpdateDate=run_date), models, history, settings, run_date)
    stages.write_segments(lake, settings, named, frames, run_date)
    keep_model(lake.url, run_date, stages.model_documents(lake, settings, named, run_date))
    return headline(frames[tables.SEGMENT_SUMMARY], settings.shop.currency)


def to_states(settings: Settings, lake: Any, run_date: dt.date, silver: Any = None) -> None:
    """Run the stage of notebook 6, on the rows of silver if they are given."""
    bought = cache(lambda: stages.purchases(lake.read(SILVER, until=run_date) if silver is None else silver, settings, run_date))
    if isinstance(lake, _Latest):  # no later day reads these tables, so those of the last day are enough
        lake.kept[chain.STATE.name] = partial(_write_each, settings, bought, run_date)
    else:
        _write_each(settings, bought, run_date, lake)
    if len(campaigns.begun_by(lake, run_date)):
        stages.measure_campaigns(lake, bought(), run_date)


def _write_each(settings: Settings, bought: Callable[[], pd.DataFrame], run_date: dt.date, lake: Lake) -> None:
    """Write the tables of the single customer."""
    customers = lake.frame(tables.DESCRIBED_CUSTOMERS, UpdateDate=run_date)
    lake.replace_each(stages.state_customers(customers, bought(), settings, run_date))


# The stages whose inputs a replay restores. It also repeats the states, which read nothing further but campaigns; it skips those.
REPEATED = (chain.MEASURE, chain.CLUSTER, chain.SEGMENT)


class Replay(NamedTuple):
    """The result of repeating a published day."""

    run_date: dt.date
    silver: int
    differing: list[str]
    made_by: str
    now: str
    compared: int = len(chain.RESULTS) + 1

    def __str__(self) -> str:
        """Return the comparison in one line."""
        text = f"{self.run_date} as published, from silver version {self.silver}: "
        if not self.differing:
            return f"{text}all {self.compared} result tables are identical"
        changed = "" if self.made_by == self.now else f"; made by rfm {self.made_by}, this is {self.now}"
        return f"{text}{len(self.differing)} result table(s) differ: {', '.join(self.differing)}{changed}"


def replay(settings: Settings, run_date: dt.date) -> Replay:
    """Run gold to segments of a published day again, and compare; neither the lake nor the reports are written to."""
    record = published_record(settings.reports, run_date)
    settings = settings.model_copy(update=_as_then(settings, record))
    lake = open_lake_log(settings, "a past day again")
    versions = _versions(settings.reports, record)
    with scratch("rfm-replay-") as folder:
        again = Lake(folder)
        _repeat(settings, lake, again, run_date, versions, record["parameters"].get("refit", False))
        found = digests(again, run_date)
    then = {name: state["sha256"] for name, state in record["tables"].items()}  # an older record may have fewer tables
    differing = [name for name, digest in found.items() if digest != then.get(name, digest)]
    return Replay(run_date, versions[SILVER], differing, record["code"]["rfm"], VERSION, len(found.keys() & then))


def _as_then(settings: Settings, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups of settings that the record keeps, typed."""
    kept = record.get("settings", {})
    try:
        groups = {name: type(getattr(settings, name)).model_validate(kept[name]) for name in GROUPS if name in kept}
    except ValueError as error:
        raise InputError(f"{settings.reports}: the record's settings cannot be ({error}); publish the day again") from None
    return {**groups, "recommendations": kept.get("recommendations", settings.recommendations)}


def _versions(reports: str, record: Mapping[str, Any]) -> dict[str, int]:
    """Return the version of each table that the stages from gold on read, and of those that keep earlier days."""
    try:
        noted = {stage["name"]: stage for stage in record["stages"]}
        reads = {name: state for stage in reversed(REPEATED) for name, state in noted[stage.name]["reads"].items()}
        made = {name for stage in REPEATED for name in stage.writes}
        kept = {name: record["tables"][name] for name in (CLUSTER_MODELS, HISTORY)}
        outside = {name: state for name, state in reads.items() if name not in made}
        return {name: int(state["version"]) for name, state in (kept | outside).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{reports}: the record of {record.get('run_date')} lacks {error}; only whole runs can be repeated"
        ) from None


def _repeat(settings: Settings, lake: Lake, again: Lake, run_date: dt.date, versions: Mapping[str, int], refit: bool) -> None:
    """Make the result tables of a day in another lake, from the versions of this one."""
    try:
        for name in versions.keys() - {SILVER, LEDGER}:
            again.replace(name, lake.read(name, version=versions[name]))
        silver = lake.read(SILVER, until=run_date, version=versions[SILVER], ledger=versions.get(LEDGER))
        again.replace(GOLD, stages.customer_metrics(silver, settings, run_date))
        if settings.exclusions.on:
            again.replace(SILVER, silver)
    except (InputError, OSError) as error:
        raise InputError(
            f"{settings.lake}: the versions that {run_date} was made from are gone ({first_line(error)}); "
            "they are kept for [care] retain_days, so raise that to go back further"
        ) from None
    _from_clusters(settings, again, run_date, refit, silver)
