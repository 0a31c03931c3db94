"""The tables by name, on Delta: read, append once, replace a day, optimise. Every write is checked.

*Exactly once* rests on Delta's transaction ids: each landing file that a commit holds leaves its name in the
table's log, in the same commit as its rows. A run that died, is repeated or races another asks the log first.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import deltalake
import polars as pl
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rfm.schema import TABLES, ContractError, InputError, check

if TYPE_CHECKING:
    import pandas as pd

BRONZE = "retail_transactions_bronze"
SILVER = "retail_transactions_silver"
QUARANTINE = "retail_transactions_quarantine"
LAYERS = {"bronze": BRONZE, "silver": SILVER, "quarantine": QUARANTINE}
LEDGER = "landing_files"
CHUNK_ROWS = 250_000
TRIES = 20
RETAIN_HOURS = 7 * 24
Result = TypeVar("Result")


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
    """

    url: str
    _handles: dict[str, deltalake.DeltaTable] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str, *, until: dt.date | None = None, version: int | None = None, **equal: object) -> pl.LazyFrame:
        """Return a table, or the rows of it that are wanted.

        Parameters
        ----------
        name
            Name of the table, a key of `rfm.schema.TABLES`.
        until
            Leave out rows from files dated later: what a run of that date sees.
        version
            An earlier version of the table; the newest if not given.
        **equal
            Column and value, or values, that a row must have: ``processing_date=date``.

        Returns
        -------
        polars.LazyFrame
            Columns of the contract; no rows where the table does not exist yet.

        Raises
        ------
        InputError
            If the table cannot be read.
        """
        table = self._open(name, version)
        rows = pl.scan_delta(table) if table else pl.LazyFrame(schema=TABLES[name].polars)
        for column, value in equal.items():
            rows = rows.filter(pl.col(column).is_in(value) if isinstance(value, list) else pl.col(column) == value)
        later = self._files_after(until) if until else []
        return rows.filter(~pl.col("source_file").is_in(later)) if later else rows

    def frame(self, name: str, **wanted: object) -> pd.DataFrame:
        """Return a table as a pandas frame with Arrow types; parameters as for `read`."""
        return self.read(name, **wanted).collect().to_pandas(use_pyarrow_extension_array=True)

    def unseen(self, files: Iterable[str]) -> list[str]:
        """Return the landing files, in order, that are not known to be in bronze."""
        known = set(self._files("bronze"))
        return [file for file in files if file not in known]

    def pending(self) -> list[str]:
        """Return the landing files whose rows are in bronze, but not known to be in silver and the quarantine."""
        done = set(self._files("silver")) & set(self._files("quarantine"))
        return sorted(set(self._files("bronze")) - done)

    def ingest(self, batches: Iterable[tuple[object, object]]) -> int:
        """Append what was read from landing files to bronze, once.

        Parameters
        ----------
        batches
            Pairs of Arrow tables: the files (``landing_files`` without layer and rows) and their rows of
            ``retail_transactions_bronze``.

        Returns
        -------
        int
            Rows that bronze gained.
        """
        gained = 0
        for files, rows in batches:
            read = pl.from_arrow(files)
            gained += self._append_once(BRONZE, pl.from_arrow(rows), read["source_file"].to_list())
            self._note("bronze", read)
        return gained

    def settle(self, silver: pl.LazyFrame, quarantine: pl.LazyFrame, files: Sequence[str]) -> dict[str, int]:
        """Append the cleaned rows of landing files to silver and to the quarantine, once.

        Parameters
        ----------
        silver, quarantine
            Rows that keep the contracts, from the files; with a column ``source_file``.
        files
            Landing files that the rows come from. Those that a table holds already are left out.

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
        read = self.read(LEDGER, layer="bronze", source_file=list(files)).drop("layer", "rows").collect()
        for layer, name, rows in (("quarantine", QUARANTINE, quarantine), ("silver", SILVER, silver)):
            self._append_once(name, rows, files)
            self._note(layer, read)
        return self.balance(files)

    def balance(self, files: Sequence[str] | None = None) -> dict[str, int]:
        """Return the rows of landing files by layer, and refuse to go on if they do not add up.

        Parameters
        ----------
        files
            All files that silver has if not given.

        Raises
        ------
        ContractError
            If rows(bronze) is not rows(silver) + rows(quarantine) for a file, naming it.
        """
        files = self._files("silver") if files is None else list(files)
        rows = self.read(LEDGER, source_file=files).collect().pivot("layer", index="source_file", values="rows")
        rows = rows.select("source_file", *(_column(rows, layer) for layer in LAYERS))
        odd = rows.filter(pl.col("bronze") != pl.col("silver") + pl.col("quarantine"))
        if len(odd):
            raise ContractError(
                f"{self.url}: bronze = silver + quarantine fails for {len(odd)} file(s), first {odd.row(0, named=True)}; "
                "restore the tables, or start an empty lake and run again"
            )
        return rows.select(*LAYERS).sum().row(0, named=True)

    def _files(self, layer: str) -> list[str]:
        """Return the landing files that are known to be in a layer."""
        return self.read(LEDGER, layer=layer).select("source_file").collect()["source_file"].to_list()

    def _note(self, layer: str, files: pl.DataFrame) -> None:
        """Note in the ledger how many rows of each file a layer holds, counted in the layer itself."""
        names = files["source_file"].to_list()
        held = self.read(LAYERS[layer], source_file=names).group_by("source_file").agg(pl.len().alias("rows")).collect()
        noted = files.join(held, on="source_file", how="left").with_columns(pl.col("rows").fill_null(0), layer=pl.lit(layer))
        self.replace(LEDGER, noted, layer=layer, source_file=names)

    def _append_once(self, name: str, rows: pl.DataFrame | pl.LazyFrame, files: Sequence[str]) -> int:
        """Append rows in one commit, unless their files are in the table already; return the rows written.

        The table's own log decides, so it does not matter what the ledger knows.
        """

        def attempt() -> int:
            table = self._ensure(name)
            missing = [file for file in files if table.transaction_version(file) is None]
            if not missing:
                return 0
            wanted = rows if len(missing) == len(files) else rows.filter(pl.col("source_file").is_in(missing))
            properties = deltalake.CommitProperties(app_transactions=[deltalake.Transaction(file, 1) for file in missing])
            stream = _Stream(name, wanted)
            try:
                deltalake.write_deltalake(table, stream.reader(), mode="append", commit_properties=properties)
            except Exception:
                raise stream.refusal or sys.exception() from None
            return stream.rows

        return _retried(attempt)

    def replace(self, name: str, rows: pl.DataFrame | pl.LazyFrame | pd.DataFrame, **equal: dt.date | str | list[str]) -> int:
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
        frame = conform(name, rows)
        predicate = " AND ".join(_is(column, value) for column, value in equal.items()) or None

        def attempt() -> int:
            deltalake.write_deltalake(self._ensure(name), frame, mode="overwrite", predicate=predicate)
            return len(frame)

        return _retried(attempt)

    def replace_each(self, frames: Mapping[str, pl.LazyFrame | pd.DataFrame], **equal: dt.date | str) -> dict[str, int]:
        """Replace several tables; lazy frames are computed together, so that what they share is read once.

        Parameters
        ----------
        frames
            Name of the table and what is to stand there afterwards.
        **equal
            As for `replace`.

        Returns
        -------
        dict
            Rows written, by table.
        """
        lazy = [name for name, frame in frames.items() if isinstance(frame, pl.LazyFrame)]
        computed = dict(zip(lazy, pl.collect_all([frames[name] for name in lazy]), strict=True))
        return {name: self.replace(name, computed.get(name, frame), **equal) for name, frame in frames.items()}

    def state(self, names: Iterable[str] = TABLES) -> dict[str, State]:
        """Return version and number of rows of each table that exists, from its log alone."""
        tables = {name: self._open(name) for name in names}
        return {name: State(table.version(), table.count()) for name, table in tables.items() if table}

    def optimize(self, name: str) -> dict[str, int]:
        """Join a table's small files, remove files that no version of the last week needs, write a checkpoint.

        Returns
        -------
        dict
            Files before, files after, files removed from disk.
        """
        table = self._open(name)
        if table is None:
            raise InputError(f"{self.url}: there is no table {name}; tables: {', '.join(self.state()) or 'none'}")
        before = len(table.file_uris())
        _retried(lambda: self._open(name).optimize.compact())
        table = self._open(name)
        removed = table.vacuum(retention_hours=RETAIN_HOURS, dry_run=False)
        table.create_checkpoint()
        return {"before": before, "after": len(table.file_uris()), "removed": len(removed)}

    def fingerprint(self, name: str, **wanted: object) -> str:
        """Return a digest of a table's rows, whatever their order; parameters as for `read`."""
        import hashlib

        rows = self.read(name, **wanted).collect()
        return hashlib.sha256(rows.sort(TABLES[name].key or rows.columns).write_csv().encode()).hexdigest()

    def _files_after(self, until: dt.date) -> list[str]:
        """Return the landing files that are dated later than a day."""
        later = self.read(LEDGER, layer="bronze").filter(pl.col("file_date") > until)
        return later.select("source_file").collect()["source_file"].to_list()

    def _path(self, name: str) -> str:
        if name not in TABLES:
            raise InputError(f"there is no table {name}; tables: {', '.join(TABLES)}")
        return f"{self.url}/{name}"

    def _open(self, name: str, version: int | None = None) -> deltalake.DeltaTable | None:
        """Return a handle on the newest or the given version of a table, or nothing if there is no table.

        A handle on the newest version is kept: bringing it up to date costs a fraction of opening the table.
        """
        path = self._path(name)
        try:
            if version is not None:
                return deltalake.DeltaTable(path, version=version)
            if name in self._handles:
                self._handles[name].update_incremental()
            else:
                self._handles[name] = deltalake.DeltaTable(path)
            return self._handles[name]
        except TableNotFoundError:
            return None
        except (DeltaError, OSError, ValueError) as error:
            self._handles.pop(name, None)
            raise InputError(
                f"{path}: the table cannot be read ({_first_line(error)}); restore it or remove the folder"
            ) from None

    def _ensure(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on a table, made empty first if need be."""
        if table := self._open(name):
            return table
        schema = pl.DataFrame(schema=TABLES[name].polars).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        deltalake.DeltaTable.create(self._path(name), schema, mode="ignore", name=name, description=TABLES[name].grain)
        self._handles[name] = deltalake.DeltaTable(self._path(name))
        return self._handles[name]


def conform(name: str, rows: pl.DataFrame | pl.LazyFrame | pd.DataFrame) -> pl.DataFrame:
    """Return rows as the contract of a table wants them: columns in order, types exact, rules checked.

    Parameters
    ----------
    name
        Name of the table.
    rows
        Any frame with the columns of the contract. Integers and decimals are widened or narrowed where no
        value changes; nothing else is cast, so a text never becomes a number by accident.

    Raises
    ------
    ContractError
        If a column is missing or a rule is broken.
    """
    frame = rows.collect() if isinstance(rows, pl.LazyFrame) else rows if isinstance(rows, pl.DataFrame) else pl.from_pandas(rows)
    wanted = TABLES[name].polars
    if missing := [column for column in wanted if column not in frame.columns]:
        raise ContractError(f"{name}: {len(missing)} column(s) missing: {', '.join(missing)}; nothing was written")
    try:
        frame = frame.select(
            pl.col(column).cast(dtype) if _safe(frame[column].dtype, dtype) else column for column, dtype in wanted.items()
        )
    except pl.exceptions.InvalidOperationError as error:
        raise ContractError(f"{name}: {_first_line(error)}; nothing was written") from None
    return check(name, frame)


def _is(column: str, value: dt.date | str | list[str]) -> str:
    """Return the SQL condition that a column has a value, or one of some values."""
    values = value if isinstance(value, list) else [value]
    quoted = ", ".join("'" + str(one).replace("'", "''") + "'" for one in values)
    return f"{column} IN ({quoted})" if isinstance(value, list) else f"{column} = {quoted}"


def _column(rows: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column of counts, zeros where the frame lacks it."""
    return pl.col(name).fill_null(0) if name in rows.columns else pl.lit(0, pl.Int64).alias(name)


def _safe(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Tell whether a cast changes no value, or fails."""
    same_scale = found.is_decimal() and wanted.is_decimal() and found.scale == wanted.scale
    clock = isinstance(found, pl.Datetime) and isinstance(wanted, pl.Datetime) and found.time_zone == wanted.time_zone
    return found == pl.Null or found.is_integer() and wanted.is_integer() or same_scale or clock


class _Stream:
    """Rows on their way into a commit, checked piece by piece and counted."""

    def __init__(self, name: str, rows: pl.DataFrame | pl.LazyFrame) -> None:
        self.name, self.pieces, self.rows = name, _pieces(rows), 0
        self.refusal: ContractError | None = None  # Arrow streams carry an error's text, not the error

    def reader(self):  # noqa: ANN201 - an Arrow stream
        """Return the rows as an Arrow stream with the schema of the contract."""
        import pyarrow as pa

        empty = pl.DataFrame(schema=TABLES[self.name].polars).to_arrow(compat_level=pl.CompatLevel.oldest())
        return pa.RecordBatchReader.from_batches(empty.schema, self._batches())

    def _batches(self) -> Iterator[object]:
        for piece in self.pieces:
            try:
                frame = conform(self.name, piece)
            except ContractError as refusal:
                self.refusal = refusal
                raise
            self.rows += len(frame)
            yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()


def _pieces(rows: pl.DataFrame | pl.LazyFrame) -> Iterable[pl.DataFrame]:
    """Return the rows in pieces that fit into memory."""
    if isinstance(rows, pl.LazyFrame):
        return rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True, engine="streaming")
    return rows.iter_slices(CHUNK_ROWS)


def _retried(attempt: Callable[[], Result]) -> Result:
    """Return what an attempt gives, trying again where another writer was faster."""
    for turn in range(TRIES):
        try:
            return attempt()
        except CommitFailedError:
            time.sleep(0.05 * (turn + 1))
    return attempt()


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
