"""A lake whose large tables are read and written by a cluster; what is one row a customer or a day comes home.

Of a folder or bucket, Delta's own log is written from here as ever, bronze in the same transactions; the cluster
reads bronze and silver and writes silver and the quarantine. Of a schema of a catalog, everything goes through the cluster.
There a table cannot say which landing files it holds, so the ledger does, and rows are put in the place of those of
the same files: a run that died or is repeated replaces what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import deltalake
import narwhals as nw
import polars as pl
import pyarrow as pa

from rfm.contract import conform
from rfm.io.lake import care, ledger
from rfm.io.lake.commit import IN_SPARK, arrow_schema, is_
from rfm.io.lake.once import Put, revision_of
from rfm.io.lake.tables import Lake, State
from rfm.schema import TABLES, InputError

LAYER = {name: layer for layer, name in ledger.LAYERS.items()}  # the large tables, and what the ledger calls them
UNKNOWN = -1  # version of a table of a catalog


@dataclass(frozen=True)
class SpreadLake(Lake):
    """A folder or bucket prefix, or a schema of a catalog, whose large tables a cluster reads and writes.

    Parameters
    ----------
    url
        As for `Lake`, and the cluster reaches it under the same address; or ``catalog.schema``.
    cluster
        A `rfm.io.spark.Cluster`.
    """

    cluster: Any = field(compare=False)

    def read(self, name: str, *, version: int | None = None, **wanted: Any) -> Any:
        """Return a table, a layer as the cluster's frame and any other as a Polars frame; parameters as for `read` of `Lake`.

        Raises
        ------
        InputError
            If an earlier version of a catalog's table is asked for.
        """
        named = self.cluster.named
        if not named and (name not in LAYER or version is not None):
            return super().read(name, version=version, **wanted)
        if version not in (None, UNKNOWN):
            raise InputError(f"{self.url}.{name}: earlier versions of a catalog's tables are read in Spark, not here")
        rows = self._chosen(name, **wanted)
        return rows if name in LAYER else self._home(rows).sort(TABLES[name].key).lazy()  # a cluster keeps no order

    def rows(self, name: str, *, columns: Sequence[str] = (), **wanted: Any) -> pl.DataFrame:
        """Return rows of a table on this machine; parameters as for `rows` of `Lake`."""
        found = self.read(name, **wanted)
        return pl.DataFrame(self._local(found.select(*columns) if columns else found).lazy().collect())

    def count(self, name: str, files: Iterable[str] | None = None) -> pl.DataFrame:
        """Return the rows of each landing file in a layer; parameters as for `count` of `Lake`."""
        some: dict[str, Any] = {} if files is None else {"source_file": list(files)}
        found = self._chosen(name, **some).group_by("source_file").agg(nw.len().alias("rows"))
        return self._home(found).with_columns(pl.col("rows").cast(pl.Int64))

    def held(self, name: str, files: Iterable[str]) -> dict[str, int]:
        """Return the transaction version of each landing file that a table holds; parameters as for `held` of `Lake`."""
        return super().held(name, files) if self._logs_files(name) else ledger.versions(self, LAYER[name], files)

    def put_files(self, name: str, rows: Any, versions: Mapping[str, int]) -> Put:
        """Write the rows of landing files in one commit; parameters as for `put_files` of `Lake`."""
        if self._logs_files(name):
            return super().put_files(name, rows, versions)
        held = self.held(name, versions)
        due = [file for file, version in versions.items() if file not in held or revision_of(held[file]) < revision_of(version)]
        if not due:
            return Put(0, held)
        self._ensure(name)
        self.cluster.write(TABLES[name], _of_files(name, rows, due), is_("source_file", due, IN_SPARK))
        return Put(int(self.count(name, due)["rows"].sum()), held | {file: versions[file] for file in due})

    def replace(self, name: str, rows: Any, **equal: Any) -> int:
        """Replace a table, or the rows of it that have some values, in one commit; parameters as for `replace` of `Lake`."""
        return super().replace(name, self._local(rows), **equal)

    def _put(self, name: str, frame: pl.DataFrame, equal: Mapping[str, Any]) -> int:
        """Write rows that keep the contract; parameters as for `replace`."""
        if not self.cluster.named:
            return super()._put(name, frame, equal)
        self._ensure(name)
        where = " AND ".join(is_(column, value, IN_SPARK) for column, value in equal.items()) or None
        self.cluster.write(TABLES[name], _arrow(frame), where)
        return len(frame)

    def replace_each(self, frames: Mapping[str, Any], **equal: Any) -> dict[str, int]:
        """Replace several tables; parameters as for `replace_each` of `Lake`."""
        return super().replace_each({name: self._local(rows) for name, rows in frames.items()}, **equal)

    def open(self, name: str) -> deltalake.DeltaTable | None:
        """Return a handle on a table of a folder or bucket; nothing for one of a catalog, whose log is not read here."""
        return None if self.cluster.named else super().open(name)

    def state(self, names: Iterable[str] | None = None) -> dict[str, State]:
        """Return version and number of rows of each table that exists; of a catalog's tables the version is not known: -1."""
        if not self.cluster.named:
            return super().state(names)
        there = [name for name in (TABLES if names is None else names) if self.cluster.exists(TABLES[name])]
        return {name: State(UNKNOWN, self._home(self._chosen(name).select(nw.len().alias("rows"))).item()) for name in there}

    def optimize(self, name: str, retain_days: int = care.RETAIN_DAYS) -> dict[str, int]:
        """Join small files, remove old ones, in a catalog by its own habits; parameters as for `optimize` of `Lake`."""
        if not self.cluster.named:
            return super().optimize(name, retain_days)
        self.cluster.optimize(TABLES[name])
        return {}

    def tend(self, every: int, retain_days: int = care.RETAIN_DAYS) -> list[str]:
        """Optimize the tables that are due, a catalog tends its own; parameters as for `tend` of `Lake`."""
        return [] if self.cluster.named else super().tend(every, retain_days)

    def _chosen(self, name: str, until: Any = None, ledger: int | None = None, **equal: Any) -> nw.LazyFrame[Any]:
        """Return the rows of a table that are wanted, as the cluster's frame."""
        self._handles.path(name)  # a name that is none is refused
        there = self.cluster.exists(TABLES[name]) if self.cluster.named else self.open(name)
        rows = self.cluster.read(TABLES[name]) if there else self.cluster.empty(arrow_schema(TABLES[name]))
        for column, value in equal.items():
            rows = rows.filter(nw.col(column).is_in(value) if isinstance(value, list) else nw.col(column) == value)
        later = self._files_after(until, ledger) if until else []
        return rows.filter(~nw.col("source_file").is_in(later)) if later else rows

    def _home(self, rows: Any) -> pl.DataFrame:
        """Return rows of the cluster on this machine."""
        return pl.DataFrame(pl.from_arrow(self.cluster.fetch(rows)))

    def _local(self, rows: Any) -> Any:
        """Return rows on this machine: as they are, or brought home from the cluster."""
        here = isinstance(rows, pl.DataFrame | pl.LazyFrame) or hasattr(type(rows), "convert_dtypes")
        return rows if here else self._home(rows).lazy()

    def _logs_files(self, name: str) -> bool:
        """Tell whether the table's own log says which landing files it holds: bronze is written from here."""
        return not self.cluster.named and name == ledger.BRONZE

    def _ensure(self, name: str) -> None:
        """Make an empty table, unless it is there."""
        if self.cluster.named:
            self.cluster.create(TABLES[name])
        else:
            self.handle(name)


def _of_files(name: str, rows: Any, files: list[str]) -> Any:
    """Return the rows of some files: what was read here as checked Arrow rows, what the cluster computed as its frame."""
    if isinstance(rows, pl.DataFrame):
        return _arrow(conform(TABLES[name], rows.filter(pl.col("source_file").is_in(files))))
    if isinstance(rows, Iterable):  # the pieces of one large file; they travel together, to be one commit
        return _of_files(name, pl.DataFrame(pa.concat_tables(rows)), files)
    return nw.from_native(rows).filter(nw.col("source_file").is_in(files))


def _arrow(rows: pl.DataFrame) -> pa.Table:
    """Return rows in types that every Delta reader knows."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())
