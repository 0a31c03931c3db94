"""Handles on the tables of a lake: opened once, brought up to date, made empty where there is no table yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rfm.errors import refusal
from rfm.io.lake import bucket
from rfm.io.lake.commit import arrow_schema
from rfm.schema import TABLES, InputError


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

    def _handle(self, name: str, version: int | None = None) -> deltalake.DeltaTable:
        """Open a table."""
        return deltalake.DeltaTable(self.path(name), version=version, storage_options=bucket.options(self.url))

    def _make(self, name: str) -> None:
        """Make an empty table, unless somebody else was faster."""
        deltalake.DeltaTable.create(
            self.path(name),
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
