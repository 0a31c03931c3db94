"""Handles on the tables of a lake: opened once, brought up to date, made empty where there is no table yet."""

from __future__ import annotations

from dataclasses import dataclass, field

import deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rfm.errors import first_line
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
                return deltalake.DeltaTable(path, version=version)
            if name in self._kept:
                self._kept[name].update_incremental()
            else:
                self._kept[name] = deltalake.DeltaTable(path)
            return self._kept[name]
        except TableNotFoundError:
            return None
        except (DeltaError, OSError, ValueError) as error:
            self._kept.pop(name, None)
            raise InputError(f"{path}: the table cannot be read ({first_line(error)}); restore it or remove the folder") from None

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
        schema = arrow_schema(TABLES[name])
        try:
            deltalake.DeltaTable.create(self.path(name), schema, mode="ignore", name=name, description=TABLES[name].grain)
        except (DeltaError, OSError) as error:
            if isinstance(error, CommitFailedError):
                raise
            raise InputError(f"{self.path(name)}: no table can be made ({first_line(error)}); name another lake") from None
        self._kept[name] = deltalake.DeltaTable(self.path(name))
        return self._kept[name]
