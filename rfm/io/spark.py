"""Delta tables on Spark, by path or by catalog name, spoken to through Spark Connect; loaded only when asked for.

The server may be a Spark cluster, Databricks or Sail. The client is the extra ``spark``; it needs no Java.
"""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import narwhals as nw
import pyarrow as pa

from rfm.contract import Table
from rfm.errors import first_line
from rfm.schema import ContractError, InputError, SettingsError

PORT = 15002  # of a server whose address names none
PATIENCE = 10.0  # seconds; the client itself tries for ten minutes


@cache
def session(remote: str) -> Any:
    """Return a session of a Spark Connect server.

    Parameters
    ----------
    remote
        Address, ``sc://host:port``.

    Raises
    ------
    SettingsError
        If the client is not installed, or nobody answers.
    """
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
        raise SettingsError("engine spark: nobody answers at `remote`; start a server or mend the address") from None
    return spark


@contextmanager
def _program() -> Iterator[None]:
    """Give the main module a file meanwhile: without one the client takes the process for its own doctests, and ends it."""
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
    """Return Arrow rows as a Spark frame; the client itself takes no frame without a row.

    Parameters
    ----------
    spark
        Of `session`.
    rows
        At most some hundred megabytes: they travel to the server.
    """
    if len(rows):
        return spark.createDataFrame(rows)
    nothing = pa.table([pa.nulls(1, kind) for kind in rows.schema.types], schema=rows.schema)
    return spark.createDataFrame(nothing).limit(0)


class Cluster:
    """The tables of a lake as Spark sees them.

    Parameters
    ----------
    remote
        Address of a Spark Connect server.
    home
        Folder or URL that the server reaches too, or ``catalog.schema``.
    named
        Whether ``home`` is the name of a schema.
    """

    def __init__(self, remote: str, home: str, named: bool) -> None:
        self.session, self.home, self.named = session(remote), home, named

    def exists(self, table: Table) -> bool:
        """Tell whether a table of the catalog is there."""
        return bool(self.session.catalog.tableExists(self._name(table)))

    def create(self, table: Table) -> None:
        """Make an empty table of the catalog, unless it is there."""
        columns = ", ".join(f"`{column.name}` {column.type}" for column in table.columns)
        self.session.sql(f"CREATE TABLE IF NOT EXISTS {self._name(table)} ({columns}) USING delta").collect()

    def read(self, table: Table) -> nw.LazyFrame[Any]:
        """Return the rows of a table that is there, in narwhals' frame, whose verbs are those of Polars."""
        if self.named:
            return nw.from_native(self.session.read.table(self._name(table)))
        return nw.from_native(self.session.read.format("delta").load(self._path(table)))

    def empty(self, schema: pa.Schema) -> nw.LazyFrame[Any]:
        """Return no row, in the columns of a schema."""
        return nw.from_native(frame(self.session, schema.empty_table()))

    def write(self, table: Table, rows: Any, where: str | None) -> None:
        """Put rows in the place of those that meet a condition, in one commit; writing the same again changes nothing.

        Parameters
        ----------
        table
            The contract; its table is there.
        rows
            Frame of Spark or of narwhals, or Arrow rows.
        where
            SQL condition that all rows meet; all rows of the table are replaced if not given.

        Raises
        ------
        ContractError
            If a column is missing or has another type; nothing is written then.
        """
        frame = self._conform(table, rows)
        if not self.named:
            writer = frame.write.format("delta").mode("overwrite")
            (writer.option("replaceWhere", where) if where else writer).save(self._path(table))
            return
        view = f"rfm_{uuid4().hex}"  # tables are written several at once
        frame.createOrReplaceTempView(view)
        target = f"INTO {self._name(table)} REPLACE WHERE {where}" if where else f"OVERWRITE {self._name(table)}"
        self.session.sql(f"INSERT {target} SELECT * FROM {view}").collect()
        self.session.catalog.dropTempView(view)

    def optimize(self, table: Table) -> None:
        """Join the small files of a table of the catalog, and remove those that no version of the last week needs.

        Raises
        ------
        InputError
            If the server refuses; Sail knows neither verb.
        """
        from pyspark.errors import PySparkException

        for verb in ("OPTIMIZE", "VACUUM"):
            try:
                self.session.sql(f"{verb} {self._name(table)}").collect()
            except PySparkException as error:
                raise InputError(f"{self.home}.{table.name}: the server refuses {verb} ({first_line(error)})") from None

    def fetch(self, rows: Any) -> pa.Table:
        """Return the rows of a frame of Spark, or of narwhals, on this machine."""
        native = nw.to_native(rows, pass_through=True)
        return native if isinstance(native, pa.Table) else native.toArrow()

    def _conform(self, table: Table, rows: Any) -> Any:
        """Return a Spark frame in the order of a contract, refused if a type is another."""
        native = frame(self.session, rows) if isinstance(rows, pa.Table) else nw.to_native(rows, pass_through=True)
        found = {field.name: field.dataType.simpleString().upper() for field in native.schema.fields}
        if wrong := [f"{one.name} ({found.get(one.name)})" for one in table.columns if found.get(one.name) != one.type]:
            raise ContractError(
                f"{table.name}: {len(wrong)} column(s) lacking or mistyped: {', '.join(wrong)}; nothing was written"
            )
        return native.select(*table.names)

    def _path(self, table: Table) -> str:
        return f"{self.home}/{table.name}"

    def _name(self, table: Table) -> str:
        return ".".join(f"`{part}`" for part in (*self.home.split("."), table.name))
