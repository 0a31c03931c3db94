"""Landing files on their way through the layers: which are new, changed or half-way, and do the rows add up.

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
from typing import Protocol, TypeVar

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


class Listed(Protocol):
    """A landing file as a listing shows it."""

    @property
    def source_file(self) -> str:
        """Path under the landing folder."""

    @property
    def bytes(self) -> int:
        """Size."""

    @property
    def token(self) -> str | None:
        """ETag or modification time."""


File = TypeVar("File", bound="str | Listed")


def new_files(lake: Lake, files: Iterable[File], *, restate: bool = False) -> list[File]:
    """Return the landing files, in order, that are not known to be in bronze as they are.

    Parameters
    ----------
    lake
        The tables.
    files
        As listed, or paths under the landing folder; of a path alone nobody can tell whether the content changed.
    restate
        Return changed files that earlier runs refused, too.
    """
    known = {name: (size, token) for name, size, token in _looks(ledger.entries(lake, "bronze"))}
    other = {name: (size, token) for name, size, token in _looks(ledger.waiting(lake))}
    due = set(other) if restate else ledger.begun(lake) if other else set()

    def fresh(file: File) -> bool:
        if isinstance(file, str):
            return file not in known or file in due
        look = (file.bytes, file.token)
        return file.source_file in due or look != other.get(file.source_file, known.get(file.source_file))

    return [file for file in files if fresh(file)]


def files_to_clean(lake: Lake) -> Pending:
    """Return the landing files whose rows are in bronze, but not known to be in silver and the quarantine as they are.

    Parameters
    ----------
    lake
        The tables.
    """
    bronze, silver, quarantine = ledger.versions_each(lake)
    behind = {name for name, version in bronze.items() if {silver.get(name), quarantine.get(name)} != {version}}
    return Pending({name: bronze[name] for name in behind - (ledger.begun(lake) if behind else set())})


def write_bronze(lake: Lake, batches: Iterable[tuple[pa.Table, pa.Table | Iterable[pa.Table]]], *, restate: bool = False) -> int:
    """Write what was read from landing files to bronze, once.

    Parameters
    ----------
    lake
        The tables.
    batches
        Pairs of Arrow tables: the files (``landing_files`` without layer, rows and version) and their rows of
        ``retail_transactions_bronze``, for one file alone also as tables to go through, again if a commit must be repeated.
    restate
        Put a file whose content changed in the place of what bronze has of it. Otherwise it is noted and left
        out, unless a run died over its restatement.

    Returns
    -------
    int
        Rows that were written to bronze.
    """
    written = 0
    for files, rows in batches:
        read = _compared(lake, pl.DataFrame(files))
        due = read.filter(pl.col("new") | pl.col("changed") & (pl.lit(restate) | pl.col("begun")))
        put = lake.put_files(BRONZE, _rows_of(rows, due, len(files)), _versions(lake, due))
        ledger.note(lake, "bronze", due.select(files.column_names), put.held)
        _refresh(lake, read.filter(~pl.col("new") & ~pl.col("changed")))
        written += put.rows
    return written


def write_silver(lake: Lake, silver: pl.LazyFrame, quarantine: pl.LazyFrame, files: Sequence[str]) -> dict[str, int]:
    """Write the cleaned rows of landing files to silver and to the quarantine, once.

    Parameters
    ----------
    lake
        The tables.
    silver, quarantine
        Rows that keep the contracts, from the files; with a column ``source_file``.
    files
        Landing files that the rows come from, as `pending` gives them. Those that a table holds already are left
        out, those of which it holds an earlier content are replaced.

    Returns
    -------
    dict
        Rows of the files in ``bronze``, ``silver`` and ``quarantine``.

    Raises
    ------
    ContractError
        If a row breaks the contract (nothing is written then), or rows(bronze) is not
        rows(silver) + rows(quarantine) for every file.
    """
    read = ledger.entries(lake, "bronze", files).drop("layer", "rows", "version")
    wanted = files.versions if isinstance(files, Pending) else ledger.versions(lake, "bronze", files)
    cleaned = {"silver": silver, "quarantine": quarantine}
    held = {layer: lake.put_files(LAYERS[layer], rows, wanted).held for layer, rows in cleaned.items()}
    ledger.write(lake, pl.concat(ledger.counted(lake, layer, read, versions) for layer, versions in held.items()))
    audit(lake)
    return reconcile(lake, files)


def reconcile(lake: Lake, files: Sequence[str] | None = None) -> dict[str, int]:
    """Return the rows of landing files by layer, and refuse to go on if they do not add up.

    Parameters
    ----------
    lake
        The tables.
    files
        All files that silver and the quarantine have if not given.

    Raises
    ------
    ContractError
        If rows(bronze) is not rows(silver) + rows(quarantine) for a file, naming it.
    """
    files = sorted(_settled(lake)) if files is None else list(files)
    noted = lake.read(LEDGER, source_file=files).filter(pl.col("layer").is_in(list(LAYERS))).collect()
    if wrong := unbalanced(noted):
        raise ContractError(f"{lake.url}: {wrong}; restore the tables, or start an empty lake and run again")
    return totals(noted)


def _looks(files: pl.DataFrame) -> list[tuple[str, int, str | None]]:
    """Return name, size and token of files."""
    return files.select("source_file", "bytes", "token").rows()


def _compared(lake: Lake, read: pl.DataFrame) -> pl.DataFrame:
    """Say of each file whether bronze lacks it, has another content, or half a restatement; note the changed ones."""
    names = read["source_file"].to_list()
    known = ledger.entries(lake, "bronze", names).select(
        "source_file", pl.col("version").alias("was"), pl.col("sha256").alias("old"), pl.col("processing_date").alias("day")
    )
    half = pl.col("source_file").is_in(list(ledger.begun(lake)) if len(known) else [])
    read = read.join(known, on="source_file", how="left", maintain_order="left").with_columns(
        begun=half, new=pl.col("old").is_null()
    )
    read = read.with_columns(changed=~pl.col("new") & ((pl.col("old") != pl.col("sha256")) | pl.col("begun")))
    waits = read.filter("changed").with_columns(processing_date="day")
    ledger.note_changed(lake, waits.drop("was", "old", "day", "begun", "new", "changed"))
    return read


def _versions(lake: Lake, due: pl.DataFrame) -> dict[str, int]:
    """Return the transaction version that bronze is to hold of each file."""
    held = lake.held(BRONZE, due.filter("changed")["source_file"].to_list())
    was = dict(due.filter("changed").select("source_file", pl.col("was").fill_null(1)).rows())
    seen = {name: revision_of(max(held.get(name, 1), version)) for name, version in was.items()}
    return {name: version_of(sha, seen.get(name, 0) + 1) for name, sha in due.select("source_file", "sha256").iter_rows()}


def _rows_of(rows: pa.Table | Iterable[pa.Table], due: pl.DataFrame, files: int) -> pl.DataFrame | Iterable[pa.Table]:
    """Return the rows of the files that are due, where these are not all that were read."""
    if not isinstance(rows, pa.Table):
        return rows
    frame = pl.DataFrame(rows)
    return frame if len(due) == files else frame.filter(pl.col("source_file").is_in(due["source_file"].to_list()))


def _refresh(lake: Lake, same: pl.DataFrame) -> None:
    """Note that files only look changed, so that nobody reads them again for that."""
    names = same["source_file"].to_list()
    if names:
        noted = ledger.entries(lake, "bronze", names).drop("token").join(same.select("source_file", "token"), on="source_file")
        lake.replace(LEDGER, noted, layer="bronze", source_file=names)
        ledger.forget_changed(lake, names)


def _settled(lake: Lake) -> set[str]:
    """Return the landing files that are known to be in silver and in the quarantine."""
    return set(ledger.versions(lake, "silver")) & set(ledger.versions(lake, "quarantine"))
