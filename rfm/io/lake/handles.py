"""Handles on the tables of a lake: opened once, brought up to date, made empty where there is no table yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any
from urllib.parse import quote, unquote

import deltalake
import polars as pl
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rfm.errors import refusal
from rfm.io.lake import bucket
from rfm.io.lake.commit import arrow_schema
from rfm.schema import TABLES, InputError
from rfm.settings import NO_DELTA, NO_DELTA_ON_DISK, real_path

PLAIN = re.compile(r"[\w/.:@+=,~-]*", re.ASCII)  # addresses that delta-rs and Polars write alike


class _Decoded(deltalake.DeltaTable):
    """A handle that gives file addresses as Polars reads them, as they are: delta-rs encodes them as it would a URL."""

    def file_uris(self, *wanted: Any) -> list[str]:
        return [_as_polars_reads(uri) for uri in super().file_uris(*wanted)]

    @property
    def table_uri(self) -> str:
        return _as_polars_reads(super().table_uri)

    def deletion_vectors(self) -> Any:
        return pl.DataFrame(super().deletion_vectors()).with_columns(pl.col("filepath").map_elements(unquote, pl.String))


def _as_polars_reads(uri: str) -> str:
    """Return an address that delta-rs gives in the words of Polars."""
    return unquote(uri.removeprefix("file://"))


def scan(table: deltalake.DeltaTable, keys: dict[str, Any] | None) -> pl.LazyFrame:
    """Return the rows of a table, wherever it lies.

    Parameters
    ----------
    table
        Handle on it.
    keys
        As `rfm.io.lake.bucket.credentials` returns them.
    """
    if not PLAIN.fullmatch(table.table_uri):
        table, encoded = _Decoded.__new__(_Decoded), table
        table.__dict__ = encoded.__dict__
    return pl.scan_delta(table, storage_options=keys)


def scratch(prefix: str) -> TemporaryDirectory[str]:
    """Return a temporary folder where tables can lie, also if the usual one has an impossible name."""
    odd = NO_DELTA_ON_DISK.search(real_path(gettempdir()))
    return TemporaryDirectory(prefix=prefix, dir="/var/tmp" if odd else None, ignore_cleanup_errors=True)


@dataclass(frozen=True)
class Handles:
    """The tables under a folder or URL.

    Parameters
    ----------
    url
        Folder or URL of the lake.
    """

    url: str
    _kept: dict[str, deltalake.DeltaTable] = field(default_factory=dict, repr=False, compare=False)

    def path(self, name: str) -> str:
        """Return where a table lies.

        Parameters
        ----------
        name
            Name of the table.

        Raises
        ------
        InputError
            If there is no such name.
        """
        if name not in TABLES:
            raise InputError(f"there is no table {name}; tables: {', '.join(TABLES)}")
        return f"{self.url}/{name}"

    def open(self, name: str, version: int | None = None) -> deltalake.DeltaTable | None:
        """Return a handle on the newest or the given version of a table, or nothing if there is no table.

        A handle on the newest version is kept: bringing it up to date costs a fraction of opening the table.

        Parameters
        ----------
        name
            Name of the table.
        version
            The newest if not given.

        Raises
        ------
        InputError
            If the table cannot be read.
        """
        path = self.path(name)
        try:
            if version is not None:
                return self._handle(name, version)
            if name in self._kept:
                if _moved_on(path, self._kept[name].version()):
                    self._kept[name].update_incremental()
            else:
                self._kept[name] = self._handle(name)
            return self._kept[name]
        except TableNotFoundError:
            return None
        except Exception as error:
            self._kept.pop(name, None)
            said = f"{path}: the table cannot be read"
            raise refusal(error, said, "restore it or remove the folder", DeltaError, ValueError) from None

    def forget(self, name: str) -> None:
        """Let go of a kept handle: after a checkpoint a new one is smaller and quicker."""
        self._kept.pop(name, None)

    def existing(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on a table that must be there.

        Parameters
        ----------
        name
            Name of the table.

        Raises
        ------
        InputError
            If it is not.
        """
        if table := self.open(name):
            return table
        raise InputError(
            f"{self.url}: there is no table {name}; tables: {', '.join(name for name in TABLES if self.open(name)) or 'none'}"
        )

    def ensure(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on a table, made empty first if need be.

        Parameters
        ----------
        name
            Name of the table.

        Raises
        ------
        InputError
            If it cannot be made.
        """
        if table := self.open(name):
            return table
        try:
            self._make(name)
        except CommitFailedError:
            raise
        except Exception as error:
            raise refusal(error, f"{self.path(name)}: no table can be made", "name another lake", DeltaError) from None
        self._kept[name] = self._handle(name)
        return self._kept[name]

    def _address(self, name: str) -> str:
        """Return where a table lies in the words of delta-rs: a path in UTF-8 in any locale, a bucket's address as a URL."""
        path = self.path(name)
        scheme, parted, rest = path.partition("://")
        whole = rest if parted else real_path(path)
        if found := (NO_DELTA if parted else NO_DELTA_ON_DISK).search(whole):
            remedy = "name a folder whose whole path is without it: --lake, RFM_LAKE or `lake` in rfm.toml"
            raise InputError(f"{self.url}: Delta tables cannot lie under a path with {found[0]!r} in it; {remedy}")
        return f"{scheme}://{quote(rest, safe='/=')}" if parted else whole

    def _handle(self, name: str, version: int | None = None) -> deltalake.DeltaTable:
        """Open a table."""
        return deltalake.DeltaTable(self._address(name), version=version, storage_options=bucket.options(self.url))

    def _make(self, name: str) -> None:
        """Make an empty table, unless somebody else was faster."""
        deltalake.DeltaTable.create(
            self._address(name),
            arrow_schema(TABLES[name]),
            mode="ignore",
            name=name,
            description=TABLES[name].grain,
            storage_options=bucket.options(self.url),
        )


def _moved_on(path: str, version: int) -> bool:
    """Tell whether a table may have a version after this one; on a disk one look at the log saves reading it again."""
    following = Path(f"{path}/_delta_log/{version + 1:020}.json")
    return "://" in path or following.exists() or not following.parent.is_dir()
