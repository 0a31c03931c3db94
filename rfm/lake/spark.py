"""A lake whose large tables a Spark cluster, Databricks or Sail reads and writes, through Spark Connect.

In a folder or bucket the cluster reads bronze and silver, and writes silver and the quarantine; in a schema of a catalog it
does everything. Its tables do not know which landing files they hold, so the ledger does: a repeated run writes them again.
"""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import deltalake
import narwhals as nw
import polars as pl
import pyarrow as pa

from rfm.contracts import BRONZE, SILVER, TABLES, Table, conform
from rfm.errors import ContractError, InputError, SettingsError, first_line
from rfm.lake import delta
from rfm.lake.delta import IN_SPARK, MARK, MARKED, arrow_schema, sql_equals, to_arrow
from rfm.lake.ledger import LAYERS, versions_in_layer
from rfm.lake.tables import Lake, State, WriteResult, files_due, newest_per_order
from rfm.settings import Settings, is_catalog_name

PORT = 15002  # of a server whose address names none
PATIENCE = 10.0  # seconds; the client itself tries for ten minutes


@cache
def session(remote: str) -> Any:
    """Return a session of a Spark Connect server."""
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)  # what is used here works
    try:
        with _program():
            from pyspark.sql.connect.session import SparkSession
    except ImportError:
        raise SettingsError("engine spark: its client is not installed; pip install 'rfm[spark]'") from None
    try:
        address = urlsplit(remote)
        socket.create_connection((address.hostname or "", address.port or PORT), timeout=PATIENCE).close()
        spark = SparkSession.builder.remote(remote).create()
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    except Exception:  # whatever it is, its words may hold the address with its token
        raise SettingsError("engine spark: no answer at `remote`; start a server or fix the address") from None
    return spark


@contextmanager
def _program() -> Iterator[None]:
    """Give the main module a file: without one the client takes the process for its own doctests, and ends it."""
    main = sys.modules["__main__"]
    nameless = not hasattr(main, "__file__")
    if nameless:
        main.__file__ = __file__
    try:
        yield
    finally:
        if nameless:
            del main.__file__


def frame(spark: Any, rows: pa.Table) -> Any:
    """Return Arrow rows as a Spark frame; the client itself refuses a frame without rows."""
    if len(rows):
        return spark.createDataFrame(rows)
    empty = pa.table([pa.nulls(1, kind) for kind in rows.schema.types], schema=rows.schema)
    return spark.createDataFrame(empty).limit(0)


class Cluster:
    """The tables of a lake as Spark sees them."""

    def __init__(self, remote: str, home: str, named: bool) -> None:
        self.session, self.home, self.named = session(remote), home, named

    def exists(self, table: Table) -> bool:
        """Return True if the catalog has a table."""
        return bool(self.session.catalog.tableExists(self._name(table)))

    def create(self, table: Table) -> None:
        """Create an empty table in the catalog, unless it exists."""
        columns = ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
        self.session.sql(f"CREATE TABLE IF NOT EXISTS {self._name(table)} ({columns}) USING delta").collect()

    def read(self, table: Table) -> nw.LazyFrame[Any]:
        """Return the rows of a table that exists as a narwhals frame."""
        if self.named:
            return nw.from_native(self.session.read.table(self._name(table)))
        return nw.from_native(self.session.read.format("delta").load(f"{self.home}/{table.name}"))

    def write(self, table: Table, rows: Any, where: str | None) -> None:
        """Replace the rows that meet a condition, or all, in one commit."""
        frame = self._conform(table, rows)
        if not self.named:
            writer = frame.write.format("delta").mode("overwrite").option(MARK, MARKED)
            (writer.option("replaceWhere", where) if where else writer).save(f"{self.home}/{table.name}")
            return
        view = f"rfm_{uuid4().hex}"  # tables are written several at once
        frame.createOrReplaceTempView(view)
        target = f"INTO {self._name(table)} REPLACE WHERE {where}" if where else f"OVERWRITE {self._name(table)}"
        self.session.sql(f"INSERT {target} SELECT * FROM {view}").collect()
        self.session.catalog.dropTempView(view)

    def optimize(self, table: Table) -> None:
        """Join the small files of a table in the catalog, and remove those that no version of the last week needs."""
        from pyspark.errors import PySparkException

        for verb in ("OPTIMIZE", "VACUUM"):
            try:
                self.session.sql(f"{verb} {self._name(table)}").collect()
            except PySparkException as error:
                raise InputError(f"{self.home}.{table.name}: the server refuses {verb} ({first_line(error)})") from None

    def _conform(self, table: Table, rows: Any) -> Any:
        """Return a Spark frame with the columns of a contract, in their order; refuse other types."""
        native = frame(self.session, rows) if isinstance(rows, pa.Table) else nw.to_native(rows, pass_through=True)
        found = {field.name: field.dataType.simpleString().upper() for field in native.schema.fields}
        if wrong := [f"{one.name} ({found.get(one.name)})" for one in table.columns if found.get(one.name) != one.type]:
            raise ContractError(
                f"{table.name}: {len(wrong)} column(s) lacking or mistyped: {', '.join(wrong)}; nothing was written"
            )
        return native.select(*table.names)

    def _name(self, table: Table) -> str:
        return ".".join(f"`{part}`" for part in (*self.home.split("."), table.name))


LAYER = {name: layer for layer, name in LAYERS.items()}  # the large tables, and what the ledger calls them
UNKNOWN = -1  # version of a table of a catalog


@dataclass(frozen=True)
class SparkLake(Lake):
    """A folder, a bucket prefix or a schema of a catalog whose large tables are on a cluster."""

    cluster: Any = field(compare=False)

    def read(self, name: str, *, version: int | None = None, **wanted: Any) -> Any:
        """Return a layer as a frame of the cluster, any other table as a Polars frame; parameters as for `Lake.read`."""
        named = self.cluster.named
        if not named and (name not in LAYER or version is not None):
            return super().read(name, version=version, **wanted)
        if version not in (None, UNKNOWN):
            raise InputError(f"{self.url}.{name}: earlier versions of a catalog's tables are read in Spark, not here")
        rows = self._chosen(name, **wanted)
        return rows if name in LAYER else self._fetch(rows).sort(TABLES[name].key).lazy()  # a cluster keeps no order

    def rows(self, name: str, *, columns: Sequence[str] = (), **wanted: Any) -> pl.DataFrame:
        """Return rows of a table in memory; parameters as for `Lake.rows`."""
        found = self.read(name, **wanted)
        return pl.DataFrame(self._local(found.select(*columns) if columns else found).lazy().collect())

    def count(self, name: str, files: Iterable[str] | None = None) -> pl.DataFrame:
        """Return the number of rows per landing file in a layer; parameters as for `Lake.count`."""
        some: dict[str, Any] = {} if files is None else {"source_file": list(files)}
        found = self._chosen(name, **some).group_by("source_file").agg(nw.len().alias("rows"))
        return self._fetch(found).with_columns(pl.col("rows").cast(pl.Int64))

    def held(self, name: str, files: Iterable[str]) -> dict[str, int]:
        """Return the version of each landing file that a table holds; parameters as for `Lake.held`."""
        return super().held(name, files) if self._logs_files(name) else versions_in_layer(self, LAYER[name], files)

    def put_files(self, name: str, rows: Any, versions: Mapping[str, int], again: bool = False) -> WriteResult:
        """Write the rows of landing files in one commit; parameters as for `Lake.put_files`."""
        if self._logs_files(name):
            return super().put_files(name, rows, versions, again)
        held = self.held(name, versions)
        due = files_due(versions, held, again)
        if not due:
            return WriteResult(0, held)
        self._ensure(name)
        self.cluster.write(TABLES[name], _of_files(name, rows, due), sql_equals("source_file", due, IN_SPARK))
        return WriteResult(int(self.count(name, due)["rows"].sum()), held | {file: versions[file] for file in due})

    def replace(self, name: str, rows: Any, **equal: Any) -> int:
        """Replace a table, or the rows of it that have some values, in one commit; parameters as for `replace` of `Lake`."""
        return super().replace(name, self._local(rows), **equal)

    def _put(self, name: str, frame: pl.DataFrame, equal: Mapping[str, Any]) -> int:
        """Write rows that keep the contract; parameters as for `replace`."""
        if not self.cluster.named:
            return super()._put(name, frame, equal)
        self._ensure(name)
        where = " AND ".join(sql_equals(column, value, IN_SPARK) for column, value in equal.items()) or None
        self.cluster.write(TABLES[name], to_arrow(frame), where)
        return len(frame)

    def replace_each(self, frames: Mapping[str, Any], **equal: Any) -> dict[str, int]:
        """Replace several tables; parameters as for `replace_each` of `Lake`."""
        return super().replace_each({name: self._local(rows) for name, rows in frames.items()}, **equal)

    def open(self, name: str) -> deltalake.DeltaTable | None:
        """Return a handle on a table of a folder or bucket, None for one of a catalog, whose log is not read here."""
        return None if self.cluster.named else super().open(name)

    def state(self, names: Iterable[str] | None = None) -> dict[str, State]:
        """Return version and rows of each table that exists; the version is -1 in a catalog, which does not tell it."""
        if not self.cluster.named:
            return super().state(names)
        there = [name for name in (TABLES if names is None else names) if self.cluster.exists(TABLES[name])]
        return {name: State(UNKNOWN, self._fetch(self._chosen(name).select(nw.len().alias("rows"))).item()) for name in there}

    def optimize(self, name: str, retain_days: int = delta.RETAIN_DAYS) -> dict[str, int]:
        """Join small files and remove old ones, in a catalog with its own defaults; parameters as for `Lake.optimize`."""
        if not self.cluster.named:
            return super().optimize(name, retain_days)
        self.cluster.optimize(TABLES[name])
        return {}

    def maintain(self, every: int, retain_days: int = delta.RETAIN_DAYS) -> list[str]:
        """Optimize the tables that are due, but not in a catalog; parameters as for `Lake.maintain`."""
        return [] if self.cluster.named else super().maintain(every, retain_days)

    def _chosen(self, name: str, until: Any = None, ledger: int | None = None, **equal: Any) -> nw.LazyFrame[Any]:
        """Return some rows of a table as a frame of the cluster."""
        self._handles.path(name)  # refuses an unknown name
        there = self.cluster.exists(TABLES[name]) if self.cluster.named else self.open(name)
        none = arrow_schema(TABLES[name]).empty_table()
        rows = self.cluster.read(TABLES[name]) if there else nw.from_native(frame(self.cluster.session, none))
        for column, value in equal.items():
            rows = rows.filter(nw.col(column).is_in(value) if isinstance(value, list) else nw.col(column) == value)
        later = self._files_after(until, ledger) if until else []
        rows = rows.filter(~nw.col("source_file").is_in(later)) if later else rows
        if not (self.once and until and name == SILVER):
            return rows
        return nw.from_native(newest_per_order(rows, frame(self.cluster.session, to_arrow(self._ranks(ledger)))))

    def _fetch(self, rows: Any) -> pl.DataFrame:
        native = nw.to_native(rows, pass_through=True)
        return pl.DataFrame(pl.from_arrow(native if isinstance(native, pa.Table) else native.toArrow()))

    def _local(self, rows: Any) -> Any:
        """Return rows of this machine as they are, those of the cluster in memory."""
        here = isinstance(rows, pl.DataFrame | pl.LazyFrame) or hasattr(type(rows), "convert_dtypes")
        return rows if here else self._fetch(rows).lazy()

    def _logs_files(self, name: str) -> bool:
        """Return True if the table's own log tells which landing files it holds, as for bronze, which is written from here."""
        return not self.cluster.named and name == BRONZE

    def _ensure(self, name: str) -> None:
        if self.cluster.named:
            self.cluster.create(TABLES[name])
        else:
            self.handle(name)


def open_lake(settings: Settings) -> Lake:
    """Return the lake of the settings, with its large tables on the cluster at ``remote``."""
    cluster = Cluster(settings.remote, settings.lake, named=is_catalog_name(settings.lake))
    return SparkLake(settings.lake, cluster, once=settings.files.overlap == "once")


def _of_files(name: str, rows: Any, files: list[str]) -> Any:
    """Return the rows of some files: those read here as checked Arrow rows, those of the cluster as its frame."""
    if isinstance(rows, pl.DataFrame):
        return to_arrow(conform(TABLES[name], rows.filter(pl.col("source_file").is_in(files))))
    if isinstance(rows, Iterable):  # pieces of one large file, sent together so that they are one commit
        return _of_files(name, pl.DataFrame(pa.concat_tables(rows)), files)
    return nw.from_native(rows).filter(nw.col("source_file").is_in(files))
