"""Verify a lake, and repair it: rebuild what is damaged from the layer before it, and set damaged files aside.

Bronze comes from the landing files, silver and the quarantine from bronze, quality, results and history from silver, all by
the verbs of a run. Nothing is deleted: damaged files are moved to the folder ``damaged`` of the lake.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from rfm import contracts as tables
from rfm.contracts import BRONZE, CLUSTER_MODELS, HISTORY, LEDGER, PIPELINE_RUNS, QUARANTINE, RELEASED_ROWS, RUN_WARNINGS, SILVER
from rfm.errors import REPAIR, InputError, RfmError
from rfm.lake import Lake, ingest, ledger, open_lake_log, verify
from rfm.lake.ledger import LAYERS, LOST
from rfm.lake.tables import revision_of, version_of
from rfm.lake.verify import MODELS, NOTE, Damage
from rfm.landing.files import LandingFile, date_in, list_files
from rfm.pipeline import backfill, release, stages
from rfm.pipeline.run_record import digests, logged
from rfm.report.publish import published_record
from rfm.report.site import published_runs
from rfm.settings import Settings

LAYERED = {LEDGER, *LAYERS.values(), RELEASED_ROWS}
BY_DAY = {*tables.OVER_TIME, CLUSTER_MODELS, tables.FIT_EXCLUSIONS, RUN_WARNINGS}  # every run adds to them, for its run date
DAY = "UpdateDate"
SOME_DAYS = {tables.FIT_EXCLUSIONS, tables.SEGMENT_MOVEMENT, RUN_WARNINGS}  # have no rows of many days, so all are run again
REFINED = ("silver", "quarantine")
LOGS = {PIPELINE_RUNS, RELEASED_ROWS, tables.CAMPAIGNS, tables.CAMPAIGN_MEMBERS}  # no other table has their rows


# ── verify ────────────────────────────────────────────────────────────
def verify_lake(settings: Settings) -> list[Damage]:
    """Return all damage: of files and logs, of rows and money by file, of models, of the records of published runs."""
    lake = open_lake_log(settings, "`rfm verify`")
    found = verify.find_damage(lake)
    damaged = {one.table for one in found}
    if not damaged & {*LAYERED, *tables.QUALITY_TABLES}:
        found += verify.compare_rows(lake)
    if MODELS not in damaged and (bad := verify.bad_models(lake.url)):
        found.append(Damage(MODELS, f"{len(bad)} file(s) unreadable, first {bad[0]}"))
    for name in sorted({HISTORY, CLUSTER_MODELS} - damaged):
        if lacking := sorted(set(verify.kept_days(lake.url)) - _days_in(lake, name)):
            found.append(Damage(name, f"lacks {len(lacking)} day(s) that have a model, first {lacking[0]}"))
    return found or list(_damaged_records(settings, lake))


def _days_of(models: Iterable[str]) -> set[dt.date]:
    """Return the days of the paths of models."""
    return {dt.date.fromisoformat(path.partition("/")[0]) for path in models}


def _days_in(lake: Lake, name: str, column: str = DAY) -> set[dt.date]:
    """Return the days that a table has rows of."""
    return set(lake.read(name).select(column).unique().collect()[column])


def _damaged_records(settings: Settings, lake: Lake) -> Iterator[Damage]:
    """Yield which records of published runs are unreadable, and whether the tables differ from the digests of the newest."""
    for place, run in enumerate(published_runs(settings.reports)):
        day = dt.date.fromisoformat(run["run_date"])
        name, again = f"{day}/run.json", f"`rfm daily --date {day}`"
        try:
            record = published_record(settings.reports, day)
        except InputError as error:
            yield Damage(name, str(error).partition("; ")[0], again)
            continue
        if place == 0 and (odd := _unlike_record(lake, day, record.get("tables") or {})):
            yield Damage(name, f"{len(odd)} table(s) hold other rows than were published, first {odd[0]}", again)


def _unlike_record(lake: Lake, day: dt.date, noted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the tables whose rows differ from the digests of a run, unless a later run has written them."""
    if not noted or any(state.version != noted[name]["version"] for name, state in lake.state(noted).items()):
        return []
    return [name for name, found in digests(lake, day).items() if found != noted.get(name, {}).get("sha256")]


# ── repair ────────────────────────────────────────────────────────────
@dataclass
class Repair:
    """The damage of a lake, what a repair did or would do about it, and what cannot come back, in sentences."""

    settings: Settings
    lake: Lake
    found: list[Damage]
    steps: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    lost: list[dt.date] = field(default_factory=list)  # days whose results are to be computed again
    failed: bool = False  # a day could not be run again
    back: set[str] = field(default_factory=set)  # tables of which the changes of other programs are undone
    changed: set[str] = field(default_factory=set)  # tables of which they cannot be undone, as their old files are gone

    @property
    def tables(self) -> set[str]:
        """The names of what is damaged."""
        return {one.table for one in self.found}

    @cached_property
    def landed(self) -> dict[str, LandingFile]:
        """The landing files that are left, by name."""
        with suppress(RfmError):
            return {file.source_file: file for file in list_files(self.settings.landing, self.settings.files.pattern)}
        return {}


def repair(settings: Settings, dry_run: bool = False, tell: Callable[[str], None] = lambda step: None) -> Repair:
    """Repair a lake, or say what that would do; the caller holds the lock of the lake."""
    lake = open_lake_log(settings, REPAIR)
    work = Repair(settings, lake, verify_lake(settings))
    work.found = [one for one in work.found if one.remedy == REPAIR]
    plan = [step for step in STEPS if work.tables & step.of]
    if dry_run or not work.found:
        work.steps = [step.text for step in plan]
        return work
    noted = verify.list_files(lake.url)
    models = {*noted.get(MODELS, {}), *verify.read_note(lake.url, noted)[0]["models"]}
    _take_back(work)
    spans = {name: verify.lost_spans(lake.url, name, DAY) for name in work.tables & BY_DAY - work.back}
    _set_aside(work)
    work.lake = open_lake_log(settings, REPAIR)
    days = _days_that_ran(work.lake, models)
    work.lost = [day for day in days if any(_lost_day(work.lake, name, day, spans[name]) for name in spans)]
    for step in plan:
        tell(step.text)
        step.act(work, days)
        work.steps.append(step.text)
    if not work.failed:  # what is not whole must not be noted as what a run left
        verify.note_tables(work.lake, from_scratch=True)
    return work


def _take_back(work: Repair) -> None:
    """Undo the changes of other programs; set aside a ledger for which that is impossible, to rebuild it."""
    versions = {name: verify.take_back(work.lake.url, name) for name in sorted(work.tables & tables.TABLES.keys())}
    work.back = {name for name, version in versions.items() if version is not None and version >= 0}
    work.changed = {name for name, version in versions.items() if version == -1}
    work.steps += [f"take {name} back to version {versions[name]}, before others changed it" for name in sorted(work.back)]
    if LEDGER in work.changed:
        work.steps.append(f"set aside: {verify.set_aside(work.lake.url, LEDGER)}")


def _set_aside(work: Repair) -> None:
    """Set aside what keeps tables and models from being read."""
    url = work.lake.url
    done = {name: verify.make_readable(url, name) for name in sorted(work.tables & tables.TABLES.keys())}
    if MODELS in work.tables:
        done[MODELS] = [verify.set_aside(url, f"{MODELS}/{path}") for path in verify.bad_models(url, there=True)]
    if NOTE in work.tables:
        done[NOTE] = [verify.set_aside(url, NOTE)]
    work.steps += [f"set aside: {path}" for paths in done.values() for path in paths]
    lost = sorted(LOGS & done.keys() - work.back)
    work.gone += [f"{name}: rows that the damage took from it; no other table has them" for name in lost]


def _days_that_ran(lake: Lake, models: Iterable[str]) -> list[dt.date]:
    """Return the days that were run, by the paths of models, history and log of runs, as far as they can be read."""
    days = _days_of(models) | _days_in(lake, CLUSTER_MODELS) | _days_in(lake, HISTORY)
    return sorted(days | set(lake.rows(PIPELINE_RUNS, status="done")["run_date"]))


def _lost_day(lake: Lake, name: str, day: dt.date, spans: list[tuple[Any, Any]]) -> bool:
    """Return True if a table may have lost rows of a day: it has none, or a lost file had days around it."""
    if any(first is None or first <= day <= last for first, last in spans):
        return True
    return name in SOME_DAYS or lake.read(name).filter(pl.col(DAY) == day).head(1).collect().is_empty()


# ── layers ────────────────────────────────────────────────────────────
def _rebuild_layers(work: Repair, days: list[dt.date]) -> None:
    """Bring back the rows of bronze, then those of silver and the quarantine, and count them in the ledger."""
    known = _known_files(work)
    if LEDGER in work.tables:
        known = _with_landing_files(work, known, days)
    doubted, same = BRONZE in work.changed, pl.col("bronze_rows") == pl.col("bronze_held")
    behind = known.filter(_lacks("bronze") | doubted)
    came = [name for day, files in _by_day(behind) for name in _read_again(work, day, files)]
    now = ledger.versions_in_layer(work.lake, "bronze", came)
    versions = pl.coalesce("version", pl.col("source_file").replace_strict(now, default=None, return_dtype=pl.Int64))
    known = known.with_columns(version=versions).drop_nulls("version")  # what had none is no file of sales
    behind = behind.filter(pl.col("source_file").is_in(known["source_file"].to_list()))
    missing = behind.filter(~pl.col("source_file").is_in(came), ~same.fill_null(False) | doubted)
    if len(missing):
        counted = f"{int(missing['bronze_rows'].sum()):,} rows of {len(missing)} file(s), first {missing['source_file'].min()!s}"
        others = "; another program may have changed these rows, which stay" if doubted else ""
        work.gone.append(f"{BRONZE}: {counted}, whose landing files are gone or have other content now{others}")
    whole = known.filter(~pl.col("source_file").is_in(missing["source_file"].to_list()))
    odd = verify.odd_files(work.lake)["source_file"].to_list() if SILVER in work.tables else []
    changed = pl.lit(bool(work.changed & {SILVER, QUARANTINE}))
    redo = whole.filter(_lacks("silver") | _lacks("quarantine") | changed | pl.col("source_file").is_in([*came, *odd]))
    for _, files in _by_day(redo):
        _clean_again(work, files)
    _count_files(work, known.filter(pl.col("source_file").is_in([*behind["source_file"], *redo["source_file"]])))
    release.finish_release(work.lake, work.settings)
    ledger.audit(work.lake)


def _lacks(layer: str) -> pl.Expr:
    """Return the condition that a layer lacks rows of a file, or its log the file, or the ledger either."""
    same = (pl.col(f"{layer}_held") == pl.col(f"{layer}_rows")) & (pl.col(f"{layer}_version") == pl.col("version"))
    return ~same.fill_null(False)


def _known_files(work: Repair) -> pl.DataFrame:
    """Return each file that ledger or layers know, with run date and version; of each layer rows noted, rows held, version."""
    lake, names, day = work.lake, ["source_file"], pl.col("processing_date")
    known = pl.DataFrame(schema={"source_file": pl.String, "processing_date": pl.Date, "version": pl.Int64})
    for layer, name in LAYERS.items():
        noted = ledger.read_entries(lake, layer).select(*names, day, "version", rows="rows")
        held = lake.read(name).group_by(names).agg(day.min(), pl.len().cast(pl.Int64).alias("held")).collect()
        both = noted.join(held, on=names, how="full", coalesce=True, suffix="_held")
        files = both["source_file"].to_list()
        log = lake.held(name, files) if work.settings.computes_here else dict(both.select(*names, "version").rows())
        both = both.select(
            *names,
            day.fill_null(pl.col("processing_date_held")).alias("day"),
            pl.col("version").alias("noted"),
            pl.col("rows").alias(f"{layer}_rows"),
            pl.col("held").fill_null(0).alias(f"{layer}_held"),
            pl.Series(f"{layer}_version", [log.get(file) for file in files], pl.Int64),
        )
        known = known.join(both, on=names, how="full", coalesce=True).with_columns(
            day.fill_null(pl.col("day")), pl.max_horizontal("version", "noted", f"{layer}_version").alias("version")
        )
        known = known.drop("day", "noted")
    return known.with_columns(pl.col(f"{layer}_held").fill_null(0) for layer in LAYERS)


def _with_landing_files(work: Repair, known: pl.DataFrame, days: list[dt.date]) -> pl.DataFrame:
    """Return known files and those of the landing folder that a damaged ledger forgot, each with the first run that saw it."""
    files = work.landed.values()
    seen = [(file.source_file, next((day for day in days if day >= (file.file_date or day)), None)) for file in files]
    forgotten = pl.DataFrame(seen, schema={"source_file": pl.String, "processing_date": pl.Date}, orient="row")
    forgotten = forgotten.drop_nulls().join(known, on="source_file", how="anti")
    return pl.concat([known, forgotten], how="diagonal").with_columns(pl.col(f"{layer}_held").fill_null(0) for layer in LAYERS)


def _by_day(files: pl.DataFrame) -> Iterator[tuple[dt.date, pl.DataFrame]]:
    """Yield files by the run date that brought them, the oldest first."""
    for some in files.sort("processing_date", "source_file").partition_by("processing_date", maintain_order=True):
        yield some["processing_date"][0], some


def _read_again(work: Repair, day: dt.date, files: pl.DataFrame) -> Iterator[str]:
    """Write landing files to bronze again as the run of a day did; yield those whose content is still the same."""
    landed, wanted = work.landed, dict(files.select("source_file", "version").rows())
    for read, rows in stages.read_landing(work.settings, [landed[name] for name in wanted if name in landed], day):
        found = pl.DataFrame(read)
        digests = dict(found.select("source_file", "sha256").rows())
        versions = {name: version_of(sha, revision_of(wanted[name] or 1)) for name, sha in digests.items()}
        forgotten = found.filter(pl.col("source_file").is_in([name for name in versions if wanted[name] is None]))
        twice = ingest.repeated(work.lake, forgotten, rows) if len(forgotten) else {}
        same = {name: sha for name, sha in versions.items() if wanted[name] in (None, sha) and name not in twice}
        due = found.filter(pl.col("source_file").is_in(list(same)))
        if same:
            put = work.lake.put_files(BRONZE, ingest.rows_of(rows, due, len(found)), same, again=True)
            ledger.record_layer(work.lake, "bronze", due, put.held)
        yield from same


def _clean_again(work: Repair, files: pl.DataFrame) -> None:
    """Write the rows of some files of bronze to silver and the quarantine again, with those that were released."""
    lake, names = work.lake, files["source_file"].to_list()
    valid, quarantined = stages.clean_rows(lake, work.settings, names)
    versions = ledger.versions_in_layer(lake, "bronze", names)
    good, left = release.released_again(lake, work.settings, quarantined.collect(), versions)
    lake.put_files(SILVER, pl.concat([valid.collect().select(good.columns), good]), versions, again=True)
    lake.put_files(QUARANTINE, left, versions, again=True)


def _count_files(work: Repair, files: pl.DataFrame) -> None:
    """Count files in all layers, and write them to the ledger; one that no layer knows leaves it."""
    lake, names = work.lake, files["source_file"].to_list()
    logs = [lake.held(name, names) for name in LAYERS.values()]
    entries = _entries(
        lake, files.filter(pl.col("source_file").is_in([name for name in names if any(name in log for log in logs)]))
    )
    versions = dict(entries.select("source_file", "version").rows())
    noted = {layer: ledger.count_layer(lake, layer, entries.drop("version"), versions) for layer in LAYERS}
    counts = {layer: noted[layer].select("source_file", pl.col("rows").alias(layer)) for layer in REFINED}
    both = noted["bronze"].join(counts["silver"], on="source_file").join(counts["quarantine"], on="source_file")
    lost = both.with_columns(rows=pl.col("silver") + pl.col("quarantine") - pl.col("rows"), layer=pl.lit(LOST))
    rows = [*noted.values(), lost.filter(pl.col("rows") > 0)]
    if names:
        columns = noted["bronze"].columns
        lake.replace(LEDGER, pl.concat(one.select(columns) for one in rows), layer=[*LAYERS, LOST], source_file=names)


def _entries(lake: Lake, files: pl.DataFrame) -> pl.DataFrame:
    """Return the ledger's rows of files; of one that is gone from ledger and landing what its version tells of its content."""
    known = ledger.read_entries(lake, "bronze", files["source_file"]).drop("layer", "rows", "version")
    day, name = pl.col("processing_date"), "source_file"
    entries = files.select(name, "version", day).join(known.drop("processing_date"), on=name, how="left")
    dates = pl.Series([date_in(name) for name in entries["source_file"]], dtype=pl.Date)
    given = {"file_date": dates, "bytes": pl.lit(0), "sha256": pl.lit("")}
    return entries.with_columns(pl.col(name).fill_null(value) for name, value in given.items()).select(*known.columns, "version")


# ── what follows from the layers ────────────────────────────────────────────────────────────
def _count_quality(work: Repair, days: list[dt.date]) -> None:
    """Measure the quality of the rows of all runs again."""
    if every := sorted(_days_in(work.lake, BRONZE, "processing_date") | set(days)):
        stages.recount_quality(work.lake, work.settings, every)


def _run_days(work: Repair, days: list[dt.date]) -> None:
    """Run the days again whose results or models are lost, and the newest, from gold on."""
    kept = verify.kept_days(work.lake.url)
    due = [day for day in days if day in work.lost or day not in kept or day == days[-1]]
    with closing(backfill.kept_latest(work.settings, work.lake)) as held:
        for day in due:
            try:
                _run_again(work, work.lake if day == due[-1] else held, day)
            except RfmError as error:
                work.gone.append(f"results of {day}: {error}")
                work.failed = True
        held.kept.clear()


def _run_again(work: Repair, home: Any, day: dt.date) -> None:
    """Run a day again from gold on; ``home`` is the lake, or keeps in memory what the next day overwrites."""
    settings, lake = work.settings, work.lake
    with logged(lake, day):
        if RUN_WARNINGS in work.tables:
            ingest.warn(lake, day, *_unread_files(work, day))
            stages.warn_of_quality(lake, settings, day)
        backfill.from_gold(settings, home, day)


def _unread_files(work: Repair, day: dt.date) -> tuple[list[str], list[tuple[str, str]]]:
    """Return why files up to a day that bronze does not have are refused, and which are skipped."""
    seen = list_files(work.settings.landing, work.settings.files.pattern, until=day)
    reading = stages.read_landing(work.settings, ingest.new_files(work.lake, seen), day)
    twice = [ingest.repeated(work.lake, pl.DataFrame(files), rows) for files, rows in reading]
    refused = [*reading.refused, *(said for one in twice for said in one.values())]
    return refused, [*seen.said, *(("warning", line) for line in reading.doubts)]


@dataclass(frozen=True)
class Step:
    """A step of a repair, and what must be damaged for it to be taken."""

    text: str
    of: set[str]
    act: Callable[[Repair, list[dt.date]], None]


STEPS = (
    Step("read landing files again, clean them again, and count their rows in the ledger", LAYERED, _rebuild_layers),
    Step("count the quality of all days again", {*LAYERED, *tables.QUALITY_TABLES}, _count_quality),
    Step(
        "run days again from gold on: those whose results are lost, and the newest",
        {*tables.TABLES, MODELS} - LOGS,
        _run_days,
    ),
)
