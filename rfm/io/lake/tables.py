"""The tables of a lake, by name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import deltalake
import polars as pl

from rfm.contract import conform
from rfm.io.lake import bucket, care
from rfm.io.lake.commit import LEAN, Rows, alone, is_, retried
from rfm.io.lake.handles import Handles, scan
from rfm.io.lake.once import Put, put_files
from rfm.schema import TABLES, InputError

if TYPE_CHECKING:
    import pandas as pd

LEDGER = "landing_files"
WRITERS = 4  # tables that are written at once
MANY = 2_000_000  # rows


class State(NamedTuple):
    """What a table is at one moment: version of its log, and rows."""

    version: int
    rows: int


@dataclass(frozen=True)
class Lake:
    """A folder or bucket prefix with one Delta table a subfolder.

    Parameters
    ----------
    url
        Folder or URL; ``s3://`` takes its credentials and endpoint from the environment.

    Examples
    --------
    >>> import tempfile
    >>> import rfm
    >>> tables = rfm.Lake(tempfile.mkdtemp())
    >>> tables.replace("customer_rfm_gold", rfm.example("customer_rfm_gold"))
    400
    >>> tables.frame("customer_rfm_gold")["Frequency"].sum()
    919
    >>> tables.state()
    {'customer_rfm_gold': State(version=1, rows=400)}
    """

    url: str

    @cached_property
    def _handles(self) -> Handles:
        return Handles(self.url)

    def read(
        self,
        name: str,
        *,
        until: dt.date | None = None,
        version: int | None = None,
        ledger: int | None = None,
        **equal: object,
    ) -> pl.LazyFrame:
        """Return a table, or the rows of it that are wanted.

        Parameters
        ----------
        name
            Name of the table, a key of `rfm.schema.TABLES`.
        until
            Leave out rows from files dated later: what a run of that date sees.
        version
            An earlier version of the table; the newest if not given.
        ledger
            Version of ``landing_files`` that knows which files are later; the newest if not given.
        **equal
            Column and value, or values, that a row must have: ``processing_date=date``.

        Returns
        -------
        polars.LazyFrame
            Columns of the contract; no rows where the table does not exist yet.

        Raises
        ------
        InputError
            If the table, or that version of it, cannot be read.
        """
        table = self._handles.open(name, version)
        if version is not None and not table:
            raise InputError(f"{self.url}/{name}: version {version} cannot be read; versions are kept for [care] retain_days")
        keys = bucket.credentials(self.url)
        rows = scan(table, keys) if table else pl.LazyFrame(schema=TABLES[name].polars)
        for column, value in equal.items():
            rows = rows.filter(pl.col(column).is_in(value) if isinstance(value, list) else pl.col(column) == value)
        if until and name == LEDGER:
            return rows.filter(pl.col("file_date").is_null() | (pl.col("file_date") <= until))
        later = self._files_after(until, ledger) if until else []
        return rows.filter(~pl.col("source_file").is_in(later)) if later else rows

    def rows(self, name: str, *, columns: Sequence[str] = (), **wanted: Any) -> pl.DataFrame:
        """Return rows of a table on this machine, some columns alone if they are named; parameters as for `read`."""
        found = self.read(name, **wanted)
        return (found.select(*columns) if columns else found).collect()

    def frame(self, name: str, **wanted: Any) -> pd.DataFrame:
        """Return a table as a pandas frame with Arrow types; parameters as for `read`."""
        return self.rows(name, **wanted).to_pandas(use_pyarrow_extension_array=True)

    def count(self, name: str, files: Iterable[str] | None = None) -> pl.DataFrame:
        """Return the rows of each landing file in a table, under ``rows``.

        Parameters
        ----------
        name
            Name of the table.
        files
            Landing files; all if not given.
        """
        some: dict[str, Any] = {} if files is None else {"source_file": list(files)}
        found = self.read(name, **some).group_by("source_file")
        return found.agg(pl.len().cast(pl.Int64).alias("rows")).collect()

    def put_files(self, name: str, rows: Rows, versions: Mapping[str, int]) -> Put:
        """Write the rows of landing files in one commit, as `rfm.io.lake.once.put_files` does; parameters as for `put_files`."""
        return put_files(self._handles, name, rows, versions)

    def open(self, name: str) -> deltalake.DeltaTable | None:
        """Return a handle on the newest version of a table, or nothing if there is no table."""
        return self._handles.open(name)

    def handle(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on the newest version of a table, made empty first if need be."""
        return self._handles.ensure(name)

    def held(self, name: str, files: Iterable[str]) -> dict[str, int]:
        """Return the transaction version of each landing file that a table's log knows.

        Parameters
        ----------
        name
            Name of the table.
        files
            Landing files; each costs about a millisecond.
        """
        table = self.open(name)
        found = {file: table.transaction_version(file) for file in files} if table else {}
        return {file: version for file, version in found.items() if version is not None}

    def replace(
        self, name: str, rows: pl.DataFrame | pl.LazyFrame | pd.DataFrame, **equal: dt.date | str | list[str] | list[dt.date]
    ) -> int:
        """Replace a table, or the rows of it that have some values, in one commit.

        Parameters
        ----------
        name
            Name of the table.
        rows
            Everything that is to stand there afterwards.
        **equal
            Column and value, or values, of the rows to replace: ``UpdateDate=run_date``. All rows if not given.

        Returns
        -------
        int
            Rows written.

        Raises
        ------
        ContractError
            If a row breaks the contract; nothing is written then.
        """
        return self._put(name, conform(TABLES[name], rows), equal)

    def _put(self, name: str, frame: pl.DataFrame, equal: Mapping[str, Any]) -> int:
        """Write rows that keep the contract; parameters as for `replace`."""
        predicate = " AND ".join(is_(column, value) for column, value in equal.items()) or None

        def attempt() -> int:
            table = self._handles.ensure(name)
            nothing = predicate and frame.is_empty() and self.read(name, **equal).head(1).collect().is_empty()
            if not nothing:  # in the place of nothing: then there is nothing to commit
                how = LEAN if predicate else {**LEAN, "commit_properties": alone(table)}
                deltalake.write_deltalake(table, frame, mode="overwrite", predicate=predicate, **how)
            return len(frame)

        return retried(attempt)

    def replace_each(
        self, frames: Mapping[str, pl.LazyFrame | pd.DataFrame], **equal: dt.date | str | list[dt.date]
    ) -> dict[str, int]:
        """Replace several tables at once, when all rows are known to keep their contracts; parameters as for `replace`.

        Parameters
        ----------
        frames
            Name of the table and what is to stand there afterwards. Lazy frames are computed together.

        Returns
        -------
        dict
            Rows written, by table.
        """
        lazy = {name: frame for name, frame in frames.items() if isinstance(frame, pl.LazyFrame)}
        shared = pl.QueryOptFlags(comm_subplan_elim=not self._large())  # what is shared is held, so much is rather read again
        computed = dict(zip(lazy, pl.collect_all(list(lazy.values()), optimizations=shared), strict=True))
        rows = {name: conform(TABLES[name], frame) for name, frame in {**frames, **computed}.items()}
        with ThreadPoolExecutor(WRITERS) as pool:
            return dict(zip(rows, pool.map(lambda name: self._put(name, rows[name], equal), rows), strict=True))

    def state(self, names: Iterable[str] | None = None) -> dict[str, State]:
        """Return version and number of rows of each table that exists, by default of all tables, from its log alone."""
        tables = {name: self.open(name) for name in (TABLES if names is None else names)}
        return {name: State(table.version(), table.count()) for name, table in tables.items() if table}

    def optimize(self, name: str, retain_days: int = care.RETAIN_DAYS) -> dict[str, int]:
        """Join small files and remove those no recent version needs; parameters as for `optimize` of `rfm.io.lake.care`."""
        return care.optimize(self._handles, name, retain_days)

    def tend(self, every: int, retain_days: int = care.RETAIN_DAYS) -> list[str]:
        """Optimize the tables that have had so many commits; parameters as for `tend` of `rfm.io.lake.care`."""
        return care.tend(self._handles, every, retain_days)

    def fingerprint(self, name: str, **wanted: Any) -> str:
        """Return a digest of a table's rows, whatever their order; parameters as for `read`."""
        import hashlib

        rows = self.rows(name, **wanted)
        return hashlib.sha256(rows.sort(TABLES[name].key or rows.columns).write_csv().encode()).hexdigest()

    def _large(self) -> bool:
        """Tell whether bronze holds more rows than one should hold at once."""
        bronze = self.open("retail_transactions_bronze")
        return bronze is not None and bronze.count() > MANY

    def _files_after(self, until: dt.date, version: int | None = None) -> list[str]:
        """Return the landing files that are dated later than a day."""
        later = self.read(LEDGER, version=version, layer="bronze").filter(pl.col("file_date") > until)
        return later.select("source_file").collect()["source_file"].to_list()
