"""The tables of a lake by name: read, replace, and write landing files exactly once.

Exactly once rests on Delta's transaction ids: the id is the name of a landing file, the version (see `version_of`) tells
its content. A commit holds rows and versions together, so the table's own log says which files it holds.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import deltalake
import narwhals as nw
import polars as pl

from rfm.contracts import BRONZE, LEDGER, SILVER, TABLES, conform
from rfm.errors import InputError, friendly_io_errors
from rfm.lake import delta
from rfm.lake.delta import CHUNK_ROWS, Rows, Stream, TableCache, commit_of, retried, scan, sql_equals, writing
from rfm.landing.files import filesystem

if TYPE_CHECKING:
    import pandas as pd


class TableSize(NamedTuple):
    """Size of the newest version of a table; only the rows are known of a table in a catalog."""

    version: int | None
    rows: int
    files: int | None
    bytes: int | None


def table_sizes(lake: Lake) -> dict[str, TableSize]:
    """Return version, rows, data files and bytes of each table that exists."""
    tables = {name: lake.open(name) for name in TABLES}
    found = {name: _size(table) for name, table in tables.items() if table}
    return found or {name: TableSize(None, state.rows, None, None) for name, state in lake.state().items()}


def rows_added(lake: Lake, name: str, since: int | None) -> int:
    """Return the rows that the commits after a version have added to a table."""
    table = lake.open(name)
    commits = 0 if table is None else table.version() - (-1 if since is None else since)
    if table is None or commits <= 0:
        return 0
    found = table.history(commits) or _commits(f"{lake.url}/{name}", range(table.version() - commits + 1, table.version() + 1))
    return sum(int(commit.get("operationMetrics", {}).get("num_added_rows", 0)) for commit in found)


def _commits(path: str, versions: Iterable[int]) -> list[dict[str, Any]]:
    """Read some commits from a table's log: delta-rs finds none below a path with a # or a question mark."""
    system, root = filesystem(path)
    lines = [line for each in versions for line in system.cat_file(f"{root}/_delta_log/{each:020}.json").splitlines()]
    return [action["commitInfo"] for action in map(json.loads, lines) if "commitInfo" in action]


def _size(table: deltalake.DeltaTable) -> TableSize:
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    return TableSize(table.version(), int(files["num_records"].sum()), len(files), int(files["size_bytes"].sum()))


DIGEST_BITS = 40
# half the size of Snappy at no cost; small groups, as a streaming reader holds several at once
ROW_GROUPS = deltalake.WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=CHUNK_ROWS // 2)


class WriteResult(NamedTuple):
    """Rows that a commit of files wrote, and the version of each file that the table holds now."""

    rows: int
    held: dict[str, int]


def version_of(sha256: str, revision: int = 1) -> int:
    """Return the version of a file: its revision (how many contents it has had) and the first 40 bits of its digest."""
    return revision << DIGEST_BITS | int(sha256[: DIGEST_BITS // 4], 16)


def revision_of(version: int) -> int:
    """Return the revision in a version."""
    return max(1, version >> DIGEST_BITS)


def files_due(versions: Mapping[str, int], held: Mapping[str, int], again: bool = False) -> list[str]:
    """Return the files of which a table holds no revision or an earlier one; with ``again``, all of them."""
    older = (name for name, version in versions.items() if name not in held or revision_of(held[name]) < revision_of(version))
    return list(versions if again else older)


def _write(table: deltalake.DeltaTable, name: str, rows: Rows, ids: list[deltalake.Transaction], replaced: list[str]) -> int:
    """Append rows, or replace the rows of some files, in one commit; return their number."""
    stream = Stream(TABLES[name], rows)
    how: dict[str, Any] = {"mode": "append"}
    if replaced:
        how = {"mode": "overwrite", "predicate": sql_equals("source_file", replaced)}
    try:
        with writing(table.table_uri.removeprefix("file://")):
            deltalake.write_deltalake(table, stream.reader(), writer_properties=ROW_GROUPS, **how, **commit_of(*ids))
    except Exception as error:
        raise (stream.refusal or error) from None
    return stream.rows


def newest_per_order(silver: Any, ranks: Any) -> Any:
    """Return the rows of each order that are of the newest file that has it; a file without a rank comes first."""
    # decided when silver is read, not when it is written: a run of an earlier day sees the file that was the newest then
    order, rows = ["InvoiceNo", "InvoiceDate", "Buyer"], nw.from_native(silver)
    names, customer = rows.collect_schema().names(), nw.col("CustomerID")
    ranked = rows.join(nw.from_native(ranks), on="source_file", how="left").with_columns(
        Buyer=nw.when(~customer.is_null()).then(customer).otherwise(nw.lit("")), Rank=nw.col("Rank").cast(nw.Int64).fill_null(0)
    )
    newest = ranked.group_by(*order).agg(nw.col("Rank").max().alias("Newest"))
    found: Any = ranked.join(newest, on=order, how="left").filter(nw.col("Rank") == nw.col("Newest")).select(names)
    return found.to_native()


# ── tables ────────────────────────────────────────────────────────────
WRITERS = 4  # tables that are written at once
MANY = 2_000_000  # rows


class State(NamedTuple):
    """Version of a table's log, and its rows."""

    version: int
    rows: int


@dataclass(frozen=True)
class Lake:
    """A folder or bucket prefix with one Delta table per subfolder.

    The credentials and the endpoint of an ``s3://`` address come from the environment.

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
    once: bool = field(default=False, kw_only=True)  # silver until a day has each order as the newest file has it

    @cached_property
    def _handles(self) -> TableCache:
        return TableCache(self.url)

    def read(
        self, name: str, *, until: dt.date | None = None, version: int | None = None, ledger: int | None = None, **equal: object
    ) -> pl.LazyFrame:
        """Return a table or some of its rows.

        ``until`` leaves out the rows of files dated later, as a run of that date does; ``version`` and ``ledger`` are versions
        of the table and of ``landing_files``, if not the newest. Further keywords are columns, each with the value, or the list
        of values, that a row must have: ``processing_date=date``. A table that does not exist yet has no rows.
        """
        table = self._handles.open(name, version)
        if version is not None and not table:
            raise InputError(f"{self.url}/{name}: version {version} cannot be read; versions are kept for [care] retain_days")
        keys = delta.credentials(self.url)
        rows = scan(table, keys) if table else pl.LazyFrame(schema=TABLES[name].polars)
        for column, value in equal.items():
            rows = rows.filter(pl.col(column).is_in(value) if isinstance(value, list) else pl.col(column) == value)
        if until and name == LEDGER:
            return rows.filter(pl.col("file_date").is_null() | (pl.col("file_date") <= until))
        later = self._files_after(until, ledger) if until else []
        rows = rows.filter(~pl.col("source_file").is_in(later)) if later else rows
        return newest_per_order(rows, self._ranks(ledger).lazy()) if self.once and until and name == SILVER else rows

    def rows(self, name: str, *, columns: Sequence[str] = (), **wanted: Any) -> pl.DataFrame:
        """Return rows of a table in memory, only some columns if they are named; parameters as for `read`."""
        found = self.read(name, **wanted)
        return (found.select(*columns) if columns else found).collect()

    def frame(self, name: str, **wanted: Any) -> pd.DataFrame:
        """Return a table as a pandas frame with Arrow types; parameters as for `read`."""
        return self.rows(name, **wanted).to_pandas(use_pyarrow_extension_array=True)

    def count(self, name: str, files: Iterable[str] | None = None) -> pl.DataFrame:
        """Return the number of rows per landing file in a table, under ``rows``; of all files by default."""
        some: dict[str, Any] = {} if files is None else {"source_file": list(files)}
        found = self.read(name, **some).group_by("source_file")
        return found.agg(pl.len().cast(pl.Int64).alias("rows")).collect()

    def put_files(self, name: str, rows: Rows, versions: Mapping[str, int], again: bool = False) -> WriteResult:
        """Write the rows of landing files in one commit, except files of which the table holds this revision or a later one.

        ``again`` replaces the rows of all of them.
        """

        def attempt() -> WriteResult:
            table = self.handle(name)
            held = Lake.held(self, name, versions)
            due = files_due(versions, held, again)
            if not due:
                return WriteResult(0, held)
            some = isinstance(rows, pl.DataFrame | pl.LazyFrame) and len(due) < len(versions)
            wanted = rows.filter(pl.col("source_file").is_in(due)) if some else rows  # type: ignore[union-attr]
            ids = [deltalake.Transaction(file, versions[file]) for file in due]
            replaced = again or [file for file in due if file in held]
            written = _write(table, name, wanted, ids, due if replaced else [])
            return WriteResult(written, held | {file: versions[file] for file in due})

        return retried(attempt)

    def open(self, name: str) -> deltalake.DeltaTable | None:
        """Return a handle on the newest version of a table, None if there is no table."""
        return self._handles.open(name)

    def handle(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on the newest version of a table, created empty if it does not exist."""
        return self._handles.ensure(name)

    def held(self, name: str, files: Iterable[str]) -> dict[str, int]:
        """Return the version of each landing file that a table's log knows; each file costs about a millisecond."""
        table = self.open(name)
        found = {file: table.transaction_version(file) for file in files} if table else {}
        return {file: version for file, version in found.items() if version is not None}

    def replace(
        self, name: str, rows: pl.DataFrame | pl.LazyFrame | pd.DataFrame, **equal: dt.date | str | list[str] | list[dt.date]
    ) -> int:
        """Replace a table, or the rows of it that have some values, in one commit.

        ``equal`` names the rows to replace: ``UpdateDate=run_date``. A row that breaks the contract raises ContractError, and
        nothing is written.
        """
        return self._put(name, conform(TABLES[name], rows), equal)

    def _put(self, name: str, frame: pl.DataFrame, equal: Mapping[str, Any]) -> int:
        """Write rows that keep the contract; parameters as for `replace`."""
        predicate = " AND ".join(sql_equals(column, value) for column, value in equal.items()) or None

        def attempt() -> int:
            table = self._handles.ensure(name)
            unchanged = predicate and frame.is_empty() and self.read(name, **equal).head(1).collect().is_empty()
            if not unchanged:  # no rows in the place of no rows need no commit
                # of two writers that replace all of an empty table at once, delta-rs would keep the rows of both
                turn = [] if predicate else [deltalake.Transaction("replace", table.version() + 1)]
                with writing(f"{self.url}/{name}"):
                    deltalake.write_deltalake(table, frame, mode="overwrite", predicate=predicate, **commit_of(*turn))
            return len(frame)

        return retried(attempt)

    def replace_each(
        self, frames: Mapping[str, pl.LazyFrame | pd.DataFrame], **equal: dt.date | str | list[dt.date]
    ) -> dict[str, int]:
        """Replace several tables at once, when all rows are known to keep their contracts; lazy frames are computed together."""
        lazy = {name: frame for name, frame in frames.items() if isinstance(frame, pl.LazyFrame)}
        bronze = self.open(BRONZE)  # what is shared is held in memory, so a large bronze is rather read again
        shared = pl.QueryOptFlags(comm_subplan_elim=bronze is None or bronze.count() <= MANY)
        computed = dict(zip(lazy, pl.collect_all(list(lazy.values()), optimizations=shared), strict=True))
        rows = {name: conform(TABLES[name], frame) for name, frame in {**frames, **computed}.items()}
        with ThreadPoolExecutor(WRITERS) as pool:
            return dict(zip(rows, pool.map(lambda name: self._put(name, rows[name], equal), rows), strict=True))

    def state(self, names: Iterable[str] | None = None) -> dict[str, State]:
        """Return version and number of rows of each table that exists, by default of all tables, from its log alone."""
        tables = {name: self.open(name) for name in (TABLES if names is None else names)}
        return {name: State(table.version(), table.count()) for name, table in tables.items() if table}

    def optimize(self, name: str, retain_days: int = delta.RETAIN_DAYS) -> dict[str, int]:
        """Join small files and remove those no recent version needs; see `rfm.lake.delta.optimize`."""
        with friendly_io_errors(f"{self.url}/{name}: its files cannot be joined", "fix that first"):
            return delta.optimize(self._handles, name, retain_days)

    def maintain(self, every: int, retain_days: int = delta.RETAIN_DAYS) -> list[str]:
        """Optimize each table that has had ``every`` commits since the last time; see `rfm.lake.delta.maintain`."""
        with friendly_io_errors(f"{self.url}: the files of its tables cannot be joined", "fix that first"):
            return delta.maintain(self._handles, every, retain_days)

    def fingerprint(self, name: str, **wanted: Any) -> str:
        """Return a digest of a table's rows, whatever their order; parameters as for `read`."""
        import hashlib

        rows = self.rows(name, **wanted)
        return hashlib.sha256(rows.sort(TABLES[name].key or rows.columns).write_csv().encode()).hexdigest()

    def _files_after(self, until: dt.date, version: int | None = None) -> list[str]:
        later = self.read(LEDGER, version=version, layer="bronze").filter(pl.col("file_date") > until)
        return later.select("source_file").collect()["source_file"].to_list()

    def _ranks(self, version: int | None = None) -> pl.DataFrame:
        """Return the place of each landing file in the order of dates and names."""
        files = self.read(LEDGER, version=version, layer="bronze").select("source_file", "file_date").collect()
        return files.sort("file_date", "source_file", nulls_last=False).select("source_file").with_row_index("Rank", 1)
