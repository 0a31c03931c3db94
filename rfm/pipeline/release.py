"""Corrected rows of the quarantine: export them to a file, record them, then move them into silver exactly once.

The record comes first. Silver and quarantine follow, each in one commit with the release's id, so the next release finishes it.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import polars as pl

from rfm.analysis.formatting import as_it_was, harmless
from rfm.contracts import QUARANTINE, RELEASED_ROWS, SILVER, TABLES, conform
from rfm.dialect import RAW
from rfm.errors import ContractError, InputError, SettingsError, friendly_io_errors
from rfm.lake import ledger, open_lake_log
from rfm.lake.delta import commit_of, retried, sql_equals
from rfm.lake.tables import Lake
from rfm.landing.decode import mask_of, to_utf8
from rfm.landing.header import detect_separator
from rfm.pipeline.stages import cleaner, recount_quality
from rfm.settings import Settings


class ReleaseResult(NamedTuple):
    """Rows that releases moved, and their processing dates."""

    rows: int
    days: list[dt.date]


def quarantined(lake: Lake, files: Iterable[str] | None = None) -> pl.DataFrame:
    """Return the rows of the quarantine with an id each that stays the same until the row is released."""
    some: dict[str, Any] = {} if files is None else {"source_file": sorted(files)}
    return _with_ids(lake.rows(QUARANTINE, **some), ledger.versions_in_layer(lake, "quarantine"), _finished(lake))


def _with_ids(rows: pl.DataFrame, versions: Mapping[str, int], finished: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the quarantine with ids that none of the rows has whose release is finished."""
    digests = [_digest([versions.get(row["source_file"], 1), *_identity(row)]) for row in rows.iter_rows(named=True)]
    ids = _numbered(digests, finished)
    known = [versions.get(name, 1) for name in rows["source_file"]]
    return rows.with_columns(row_id=pl.Series(ids, dtype=pl.String), version=pl.Series(known, dtype=pl.Int64))


def record_release(lake: Lake, rows: pl.DataFrame, after: Mapping[str, Mapping[str, str | None]], run_date: dt.date) -> int:
    """Record which rows are released, with their corrected values; `finish_release` changes the tables."""

    def attempt() -> int:
        table = lake.handle(RELEASED_ROWS)
        turn = deltalake.Transaction(RELEASED_ROWS, (table.transaction_version(RELEASED_ROWS) or 0) + 1)  # two at once conflict
        known = lake.read(RELEASED_ROWS).select("row_id").collect()["row_id"]
        new = rows.filter(~pl.col("row_id").is_in(known.to_list())).sort("row_id")
        if len(new):
            deltalake.write_deltalake(table, _noted(new, after, run_date), mode="append", **commit_of(turn))
        return len(new)

    return retried(attempt)


def finish_release(lake: Lake, settings: Settings) -> ReleaseResult:
    """Move the recorded rows that are still in the quarantine into silver."""
    noted, moved = lake.read(RELEASED_ROWS).collect(), 0
    days: set[dt.date] = set()
    done = set(_finished(lake)["release_id"])
    for release in noted["release_id"].unique(maintain_order=True):
        if release in done:
            continue
        rows = noted.filter(release_id=release)
        left = quarantined(lake, rows["source_file"].unique()).filter(pl.col("row_id").is_in(rows["row_id"].to_list()))
        good = _as_silver(settings, left, rows, "release again")
        lake.put_files(SILVER, good, {_transaction(release): 1})
        _take_out(lake, left, release)
        _count(lake, left)
        moved, days = moved + len(left), days | set(left["processing_date"])
    _count(lake, noted.sort("released_timestamp").tail(1))  # where the last one died before it counted
    return ReleaseResult(moved, sorted(days))


def released_again(
    lake: Lake, settings: Settings, quarantined: pl.DataFrame, versions: Mapping[str, int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Clean files again from bronze; split their quarantined rows into released ones, as rows of silver, and the others."""
    noted = lake.rows(RELEASED_ROWS, source_file=list(versions))
    rows = _with_ids(quarantined, versions, noted.head(0))
    left = rows.filter(pl.col("row_id").is_in(noted["row_id"].to_list()))
    good = _as_silver(settings, left, noted, "repair again")
    others = rows.filter(~pl.col("row_id").is_in(left["row_id"].to_list()))
    return good.select(TABLES[SILVER].names), others.select(TABLES[QUARANTINE].names)


def _identity(row: Mapping[str, object]) -> list[object]:
    """Return what makes a quarantined row this one."""
    return [row["source_file"], row["_rescued_data"], *(row[name] for name in RAW)]


def _digest(value: object) -> str:
    """Return a short digest of JSON."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()[:16]


def _numbered(digests: list[str], finished: pl.DataFrame) -> list[str]:
    """Return one id per row: its digest and a number among equal rows that no released row has."""
    taken: defaultdict[str, set[int]] = defaultdict(set)
    for row_id in finished["row_id"]:
        digest, _, number = row_id.partition("-")
        taken[digest].add(int(number))
    totals = Counter(digests)
    free = {digest: iter(sorted(set(range(total + len(taken[digest]))) - taken[digest])) for digest, total in totals.items()}
    return [f"{digest}-{next(free[digest])}" for digest in digests]


def _finished(lake: Lake) -> pl.DataFrame:
    """Return the recorded rows whose release has left the quarantine."""
    noted = lake.read(RELEASED_ROWS).select("row_id", "release_id").collect()
    releases = noted["release_id"].unique().to_list()
    held = lake.held(QUARANTINE, [_transaction(release) for release in releases]) if releases else {}
    return noted.filter(pl.col("release_id").is_in([one for one in releases if _transaction(one) in held]))


def _transaction(release: str) -> str:
    """Return the id under which a table's log notes a release."""
    return f"release {release}"


def _noted(rows: pl.DataFrame, after: Mapping[str, Mapping[str, str | None]], run_date: dt.date) -> pl.DataFrame:
    """Return rows of the record."""
    right = [json.dumps(dict(after[row_id]), ensure_ascii=False) for row_id in rows["row_id"]]
    raw = rows.select(*RAW, "_rescued_data").iter_rows(named=True)
    noted = rows.with_columns(
        raw_before=pl.Series([json.dumps(row, ensure_ascii=False) for row in raw], dtype=pl.String),
        raw_after=pl.Series(right, dtype=pl.String),
        release_id=pl.lit(_digest([*rows["row_id"], *right])),
        released_timestamp=pl.lit(dt.datetime.now(dt.UTC)),
        run_date=pl.lit(run_date),
    )
    return conform(TABLES[RELEASED_ROWS], noted)


def _as_silver(settings: Settings, left: pl.DataFrame, noted: pl.DataFrame, then: str) -> pl.DataFrame:
    """Return quarantined rows, with the recorded values that are right, as rows of silver."""
    if left.is_empty():
        return TABLES[SILVER].polars.to_frame()
    after = {row_id: json.loads(text) for row_id, text in noted.select("row_id", "raw_after").iter_rows()}
    rows = [row | after[row["row_id"]] for row in left.iter_rows(named=True)]
    bronze = pl.DataFrame(rows, schema=left.schema).drop("row_id", "version", "failed_expectations")
    good = cleaner(settings)(bronze.lazy())[0].collect()
    if len(good) != len(left):
        raise ContractError(f"{len(left) - len(good)} recorded row(s) break the rules of today; ease the rules, then {then}")
    return good


def _take_out(lake: Lake, left: pl.DataFrame, release: str) -> None:
    """Remove released rows from the quarantine in one commit that carries the release's id."""
    files = left["source_file"].unique().sort().to_list()
    how = commit_of(deltalake.Transaction(_transaction(release), 1))

    def attempt() -> None:
        table = lake.handle(QUARANTINE)
        if table.transaction_version(_transaction(release)) is not None:
            return
        rows = quarantined(lake, files).filter(~pl.col("row_id").is_in(left["row_id"].to_list()))
        rows = rows.select(TABLES[QUARANTINE].names)
        where = sql_equals("source_file", files) if files else "source_file = ''"
        deltalake.write_deltalake(table, rows, mode="overwrite", predicate=where, **how)

    retried(attempt)


def _count(lake: Lake, left: pl.DataFrame) -> None:
    """Count the rows of the files in silver and in the quarantine again."""
    files = left["source_file"].unique().to_list()
    for layer in ("silver", "quarantine"):
        noted = ledger.read_entries(lake, layer, files)
        versions = dict(noted.select("source_file", "version").rows())
        ledger.record_layer(lake, layer, noted.drop("layer", "rows", "version"), versions)


RELEASE = "`rfm release`"
NUMBER = re.compile("[+-]?[0-9]+(?:[.,][0-9]+)?")
Raw = dict[str, str | None]
SHOWN = ("row_id", "failed_expectations", *RAW, "_rescued_data", "source_file", "processing_date")


def release_or_export(settings: Settings, file: str | None, export_to: str | None) -> str:
    """Export or release; return the message."""
    if bool(file) == bool(export_to):
        raise SettingsError("give either a file to release, or --export and a file to write")
    return export(settings, str(export_to)) if export_to else release(settings, str(file))


def export(settings: Settings, path: str) -> str:
    """Write the rows of the quarantine to a CSV file, those of the run date alone if one is set; return the message."""
    rows = quarantined(open_lake_log(settings, RELEASE)).to_dicts()
    wanted = [row for row in rows if settings.date in (None, row["processing_date"])]

    def shown(value: Any) -> Any:  # no spreadsheet takes a text for a formula, and a number stays one, to be corrected
        return harmless(value) if isinstance(value, str) and not NUMBER.fullmatch(value) else value

    with (
        friendly_io_errors(f"{path}: cannot be written", "name another file"),
        Path(path).open("w", encoding="utf-8-sig", newline="", errors="replace") as target,
    ):
        writer = csv.DictWriter(target, SHOWN)
        writer.writeheader()
        writer.writerows({name: shown(row[name]) for name in SHOWN} for row in wanted)
    return f"{len(wanted):,} quarantined row(s) in {path}; correct them there, then: rfm release {path}"


def release(settings: Settings, path: str) -> str:
    """Clean corrected rows by the same rules, and move those that pass into silver; return the message."""
    given, lake = _read(path), open_lake_log(settings, RELEASE)
    late = finish_release(lake, settings)
    rows = quarantined(lake)
    found = {row["row_id"]: row for row in rows.to_dicts() if row["row_id"] in given}
    wanted = _masked(settings, {one: given[one] for one in found}, found)
    passing, broken = _judged(settings, wanted, found)
    day = settings.date or max((row["processing_date"] for row in found.values()), default=dt.date.min)
    record_release(lake, rows.filter(rows["row_id"].is_in(list(passing))), passing, day)
    done = finish_release(lake, settings)
    if moved := sorted({*late.days, *done.days}):
        recount_quality(lake, settings, moved)
    return _said(late.rows + done.rows, len(given) - len(found), len(found) - len(passing), broken)


def _read(path: str) -> dict[str, Raw]:
    """Return the raw values of each row of a file, by its id."""
    try:
        raw = to_utf8(Path(path).read_bytes(), path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}); name a file that `rfm release --export` wrote"
        ) from None
    try:
        text = io.StringIO(raw.decode("utf-8", "replace"), newline="")
        rows = list(csv.DictReader(text, delimiter=detect_separator(raw)))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); export the rows again") from None
    if missing := [name for name in ("row_id", *RAW) if rows and name not in rows[0]]:
        raise InputError(f"{path}: lacks {len(missing)} column(s): {', '.join(missing)}; export the rows again")
    if twice := [one for one, count in Counter(row["row_id"] for row in rows).items() if count > 1]:
        raise InputError(f"{path}: {len(twice)} row(s) appear twice, first {twice[0]}; keep one of each")
    return {row["row_id"]: {name: as_it_was(row[name]) or None for name in RAW} for row in rows if row["row_id"]}


def _masked(settings: Settings, given: dict[str, Raw], found: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return rows in which a customer entered by hand is a hash, if the settings say so; those of the quarantine are."""
    if not (mask := mask_of(settings.columns)):
        return given
    same = {one: row["CustomerID"] == found[one]["CustomerID"] for one, row in given.items()}
    return {one: row if same[one] else row | {"CustomerID": mask.one(row["CustomerID"])} for one, row in given.items()}


def _judged(settings: Settings, given: Mapping[str, Raw], found: Mapping[str, Raw]) -> tuple[dict[str, Raw], Counter[str]]:
    """Return the rows that pass the rules, and how often the others break which."""
    import pandas as pd

    if not given:
        return {}, Counter()
    rows = [{**values, "_rescued_data": found[one]["_rescued_data"], "source_file": one} for one, values in given.items()]
    _, quarantined = cleaner(settings)(pd.DataFrame(rows))
    broken = Counter(name for names in quarantined["failed_expectations"] for name in names.split(","))
    left = set(quarantined["source_file"])
    return {one: values for one, values in given.items() if one not in left}, broken


def _said(released: int, unknown: int, refused: int, broken: Mapping[str, int]) -> str:
    """Return the outcome in one line."""
    parts = (
        f"{released:,} row(s) released into silver",
        f"{refused:,} still refused ({', '.join(f'{name} {count}' for name, count in broken.items())})" if refused else "",
        f"{unknown:,} no longer in the quarantine" if unknown else "",
    )
    return "; ".join(filter(None, parts)) + ". Gold follows with the next `rfm daily`"
