"""Take landing files through the layers exactly once: find new and changed ones, write them, and reconcile the rows.

Examples
--------
>>> import datetime, tempfile
>>> import rfm
>>> from rfm.datasets.sample import make_sample
>>> day, landing, tables = datetime.date(2025, 10, 23), tempfile.mkdtemp(), rfm.Lake(tempfile.mkdtemp())
>>> _ = make_sample(landing, days=2, lines=100, customers=20)
>>> new = rfm.ingest.new_files(tables, rfm.list_files(landing))
>>> rfm.ingest.write_bronze(tables, rfm.read_files(landing, new, day))
101
>>> new = rfm.ingest.files_to_clean(tables)
>>> silver, quarantine = rfm.clean(tables.read("retail_transactions_bronze", source_file=new))
>>> rfm.ingest.write_silver(tables, silver, quarantine, new)
{'bronze': 101, 'silver': 98, 'quarantine': 3}
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import polars as pl
import pyarrow as pa

from rfm.errors import ContractError
from rfm.lake import ledger
from rfm.lake.ledger import (
    BRONZE,
    LAYERS,
    QUARANTINE,
    SILVER,
    Pending,
    audit,
    clear_restatements,
    processing_dates,
    stop_if_refused,
    totals,
    unbalanced,
    warn,
)
from rfm.lake.tables import LEDGER, Lake, revision_of, version_of
from rfm.landing.files import LandingFile

__all__ = [
    "BRONZE",
    "LEDGER",
    "QUARANTINE",
    "SILVER",
    "Pending",
    "audit",
    "reconcile",
    "processing_dates",
    "clear_restatements",
    "write_bronze",
    "files_to_clean",
    "write_silver",
    "stop_if_refused",
    "new_files",
    "warn",
]


File = TypeVar("File", bound="str | LandingFile")


def new_files(lake: Lake, files: Iterable[File], *, restate: bool = False) -> list[File]:
    """Return the landing files, in order, whose present content is not known to be in bronze.

    Parameters
    ----------
    lake
        The tables.
    files
        As `list_files` returns them, or paths under the landing folder; a path alone cannot show a changed content.
    restate
        Return changed files that earlier runs refused, too.
    """
    known = _stamps(ledger.read_entries(lake, "bronze"))
    other = _stamps(ledger.changed_files(lake))
    due = set(other) if restate else ledger.half_restated(lake) if other else set()

    def is_new(file: File) -> bool:
        if isinstance(file, str):
            return file not in known or file in due
        seen = other.get(file.source_file, known.get(file.source_file))
        return file.source_file in due or (file.bytes, file.token) != seen

    return [file for file in files if is_new(file)]


def files_to_clean(lake: Lake) -> Pending:
    """Return the landing files of which silver or the quarantine is not known to hold the content that bronze holds."""
    bronze, silver, quarantine = ledger.versions_by_layer(lake)
    behind = {name for name, version in bronze.items() if {silver.get(name), quarantine.get(name)} != {version}}
    return Pending({name: bronze[name] for name in behind - (ledger.half_restated(lake) if behind else set())})


def write_bronze(lake: Lake, batches: Iterable[tuple[pa.Table, pa.Table | Iterable[pa.Table]]], *, restate: bool = False) -> int:
    """Write landing files to bronze exactly once; return the rows that were written.

    Parameters
    ----------
    lake
        The tables.
    batches
        As `read_files` returns them: pairs of files and their rows.
    restate
        Replace a file whose content changed. Otherwise it is noted and left out, unless a run died while it restated it.
    """
    written = 0
    for files, rows in batches:
        read = _compare(lake, pl.DataFrame(files))
        due = read.filter(pl.col("new") | pl.col("changed") & (pl.lit(restate) | pl.col("begun")))
        put = lake.put_files(BRONZE, _rows_of(rows, due, len(files)), _versions(lake, due))
        ledger.record_layer(lake, "bronze", due.select(files.column_names), put.held)
        _refresh(lake, read.filter(~pl.col("new") & ~pl.col("changed")))
        written += put.rows
    return written


def write_silver(lake: Lake, silver: pl.LazyFrame, quarantine: pl.LazyFrame, files: Sequence[str]) -> dict[str, int]:
    """Write cleaned landing files to silver and the quarantine exactly once; return the rows of the files by layer.

    Parameters
    ----------
    lake
        The tables.
    silver, quarantine
        Rows that keep the contracts, with a column ``source_file``.
    files
        Files that the rows come from, as `files_to_clean` returns them. Those that a table holds are left out, those
        of which it holds an earlier content are replaced.

    Raises
    ------
    ContractError
        If a row breaks the contract (nothing is written then), or if for a file rows(bronze) is not
        rows(silver) + rows(quarantine).
    """
    read = ledger.read_entries(lake, "bronze", files).drop("layer", "rows", "version")
    wanted = files.versions if isinstance(files, Pending) else ledger.versions_in_layer(lake, "bronze", files)
    cleaned = {"silver": silver, "quarantine": quarantine}
    held = {layer: lake.put_files(LAYERS[layer], rows, wanted).held for layer, rows in cleaned.items()}
    ledger.write_entries(lake, pl.concat(ledger.count_layer(lake, layer, read, versions) for layer, versions in held.items()))
    audit(lake)
    return reconcile(lake, files)


def reconcile(lake: Lake, files: Sequence[str] | None = None) -> dict[str, int]:
    """Return the rows of landing files by layer, by default of all files that reached silver and the quarantine.

    Raises
    ------
    ContractError
        If for a file rows(bronze) is not rows(silver) + rows(quarantine).
    """
    if files is None:
        files = sorted(set.intersection(*(set(ledger.versions_in_layer(lake, layer)) for layer in ("silver", "quarantine"))))
    noted = lake.read(LEDGER, source_file=list(files)).filter(pl.col("layer").is_in(list(LAYERS))).collect()
    if wrong := unbalanced(noted):
        raise ContractError(f"{lake.url}: {wrong}; restore the tables, or start an empty lake and run again")
    return totals(noted)


def _stamps(files: pl.DataFrame) -> dict[str, tuple[int, str | None]]:
    """Return size and token of files: what a listing shows of their content."""
    return {name: (size, token) for name, size, token in files.select("source_file", "bytes", "token").rows()}


def _compare(lake: Lake, read: pl.DataFrame) -> pl.DataFrame:
    """Add to each file whether it is new to bronze, changed, or half restated; record the changed ones."""
    names = read["source_file"].to_list()
    known = ledger.read_entries(lake, "bronze", names).select(
        "source_file", pl.col("version").alias("was"), pl.col("sha256").alias("old"), pl.col("processing_date").alias("day")
    )
    half = pl.col("source_file").is_in(list(ledger.half_restated(lake)) if len(known) else [])
    read = read.join(known, on="source_file", how="left", maintain_order="left").with_columns(
        begun=half, new=pl.col("old").is_null()
    )
    read = read.with_columns(changed=~pl.col("new") & ((pl.col("old") != pl.col("sha256")) | pl.col("begun")))
    waits = read.filter("changed").with_columns(processing_date="day")
    ledger.record_changed(lake, waits.drop("was", "old", "day", "begun", "new", "changed"))
    return read


def _versions(lake: Lake, due: pl.DataFrame) -> dict[str, int]:
    """Return the transaction version that bronze is to hold of each file."""
    held = lake.held(BRONZE, due.filter("changed")["source_file"].to_list())
    was = dict(due.filter("changed").select("source_file", pl.col("was").fill_null(1)).rows())
    seen = {name: revision_of(max(held.get(name, 1), version)) for name, version in was.items()}
    return {name: version_of(sha, seen.get(name, 0) + 1) for name, sha in due.select("source_file", "sha256").iter_rows()}


def _rows_of(rows: pa.Table | Iterable[pa.Table], due: pl.DataFrame, files: int) -> pl.DataFrame | Iterable[pa.Table]:
    """Return the rows of the files that are due."""
    if not isinstance(rows, pa.Table):
        return rows
    frame = pl.DataFrame(rows)
    return frame if len(due) == files else frame.filter(pl.col("source_file").is_in(due["source_file"].to_list()))


def _refresh(lake: Lake, same: pl.DataFrame) -> None:
    """Record the new tokens of files whose content is the same, so that they are not read again."""
    names = same["source_file"].to_list()
    if names:
        noted = (
            ledger.read_entries(lake, "bronze", names).drop("token").join(same.select("source_file", "token"), on="source_file")
        )
        lake.replace(LEDGER, noted, layer="bronze", source_file=names)
        ledger.clear_changed(lake, names)
