"""Quarantined rows that were put right by hand: recorded, then moved into silver, exactly once.

The record comes first. What it says is then done in silver and in the quarantine, each in one commit that carries
the id of the release; so a release that died is finished by the next one, and one that is repeated does nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import deltalake
import polars as pl

from rfm.contract import conform
from rfm.io.lake import ledger
from rfm.io.lake.commit import is_, retried
from rfm.io.lake.ledger import QUARANTINE, SILVER
from rfm.io.lake.tables import Lake
from rfm.schema import LANDING_COLUMNS, TABLES, ContractError

RELEASED = "released_rows"
RAW = tuple(LANDING_COLUMNS.values())
Clean = Callable[[pl.LazyFrame], tuple[pl.LazyFrame, pl.LazyFrame]]


class Done(NamedTuple):
    """What finishing the releases did: rows moved, and the processing dates that they belong to."""

    rows: int
    days: list[dt.date]


def quarantined(lake: Lake, files: Iterable[str] | None = None) -> pl.DataFrame:
    """Return the rows of the quarantine with an id each that stays the same until the row is released.

    Parameters
    ----------
    lake
        The tables.
    files
        Landing files; all if not given.

    Returns
    -------
    polars.DataFrame
        Columns of the quarantine, and ``row_id`` and ``version`` (the transaction of the file's content).
    """
    some: dict[str, Any] = {} if files is None else {"source_file": sorted(files)}
    rows = lake.rows(QUARANTINE, **some)
    versions = ledger.versions(lake, "quarantine")
    digests = [_digest([versions.get(row["source_file"], 1), *_identity(row)]) for row in rows.iter_rows(named=True)]
    ids = _numbered(digests, _finished(lake))
    known = [versions.get(name, 1) for name in rows["source_file"]]
    return rows.with_columns(row_id=pl.Series(ids, dtype=pl.String), version=pl.Series(known, dtype=pl.Int64))


def record(lake: Lake, rows: pl.DataFrame, after: Mapping[str, Mapping[str, str | None]], run_date: dt.date) -> int:
    """Note which rows are released, and as what; the tables follow by `finish`.

    Parameters
    ----------
    lake
        The tables.
    rows
        Of `quarantined`, those that are released.
    after
        The raw values that are right, by ``row_id``.
    run_date
        Of the release.

    Returns
    -------
    int
        Rows noted; those that an earlier release noted are left out.
    """

    def attempt() -> int:
        table = lake.handle(RELEASED)
        turn = deltalake.Transaction(RELEASED, (table.transaction_version(RELEASED) or 0) + 1)  # two at once conflict
        known = lake.read(RELEASED).select("row_id").collect()["row_id"]
        new = rows.filter(~pl.col("row_id").is_in(known.to_list())).sort("row_id")
        if len(new):
            properties = deltalake.CommitProperties(app_transactions=[turn])
            noted = _noted(new, after, run_date)
            deltalake.write_deltalake(table, noted, mode="append", commit_properties=properties)
        return len(new)

    return retried(attempt)


def finish(lake: Lake, clean: Clean) -> Done:
    """Move the recorded rows that still stand in the quarantine into silver.

    Parameters
    ----------
    lake
        The tables.
    clean
        Rows of bronze → rows of silver and rows of the quarantine.

    Raises
    ------
    ContractError
        If a recorded row does not pass any more; nothing is moved then.
    """
    noted, moved = lake.read(RELEASED).collect(), 0
    days: set[dt.date] = set()
    done = set(_finished(lake)["release_id"])
    for release in noted["release_id"].unique(maintain_order=True):
        if release in done:
            continue
        rows = noted.filter(release_id=release)
        left = quarantined(lake, rows["source_file"].unique()).filter(pl.col("row_id").is_in(rows["row_id"].to_list()))
        good = clean(_corrected(left, rows).lazy())[0].collect()
        if len(good) != len(left):
            raise ContractError(
                f"{len(left) - len(good)} recorded row(s) break the rules of today; ease the rules, then release again"
            )
        lake.put_files(SILVER, good, {_transaction(release): 1})
        _take_out(lake, left, release)
        _count(lake, left)
        moved, days = moved + len(left), days | set(left["processing_date"])
    _count(lake, noted.sort("released_timestamp").tail(1))  # where the last one died before it counted
    return Done(moved, sorted(days))


def _identity(row: Mapping[str, object]) -> list[object]:
    """Return what makes a quarantined row this one."""
    return [row["source_file"], row["_rescued_data"], *(row[name] for name in RAW)]


def _digest(value: object) -> str:
    """Return a short digest of JSON."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()[:16]


def _numbered(digests: list[str], finished: pl.DataFrame) -> list[str]:
    """Return an id a row: its digest and a number among equal rows that no released row has."""
    taken: defaultdict[str, set[int]] = defaultdict(set)
    for row_id in finished["row_id"]:
        digest, _, number = row_id.partition("-")
        taken[digest].add(int(number))
    totals = Counter(digests)
    free = {digest: iter(sorted(set(range(total + len(taken[digest]))) - taken[digest])) for digest, total in totals.items()}
    return [f"{digest}-{next(free[digest])}" for digest in digests]


def _finished(lake: Lake) -> pl.DataFrame:
    """Return the recorded rows whose release has left the quarantine."""
    noted = lake.read(RELEASED).select("row_id", "release_id").collect()
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
    return conform(TABLES[RELEASED], noted)


def _corrected(left: pl.DataFrame, noted: pl.DataFrame) -> pl.DataFrame:
    """Return quarantined rows as rows of bronze, with the values that are right."""
    after = {row_id: json.loads(text) for row_id, text in noted.select("row_id", "raw_after").iter_rows()}
    rows = [row | after[row["row_id"]] for row in left.iter_rows(named=True)]
    return pl.DataFrame(rows, schema=left.schema).drop("row_id", "version", "failed_expectations")


def _take_out(lake: Lake, left: pl.DataFrame, release: str) -> None:
    """Remove released rows from the quarantine in one commit that carries the release's id."""
    files = left["source_file"].unique().sort().to_list()
    properties = deltalake.CommitProperties(app_transactions=[deltalake.Transaction(_transaction(release), 1)])

    def attempt() -> None:
        table = lake.handle(QUARANTINE)
        if table.transaction_version(_transaction(release)) is not None:
            return
        rows = quarantined(lake, files).filter(~pl.col("row_id").is_in(left["row_id"].to_list()))
        rows = rows.select(TABLES[QUARANTINE].names)
        where = is_("source_file", files) if files else "source_file = ''"
        deltalake.write_deltalake(table, rows, mode="overwrite", predicate=where, commit_properties=properties)

    retried(attempt)


def _count(lake: Lake, left: pl.DataFrame) -> None:
    """Count the rows of the files in silver and in the quarantine anew."""
    files = left["source_file"].unique().to_list()
    for layer in ("silver", "quarantine"):
        noted = ledger.entries(lake, layer, files)
        versions = dict(noted.select("source_file", pl.col("version").fill_null(1)).rows())
        ledger.note(lake, layer, noted.drop("layer", "rows", "version"), versions)
