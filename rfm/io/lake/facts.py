"""Facts about tables from their logs alone: how large they are, what a commit added."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import deltalake
import fsspec
import polars as pl

from rfm.io.lake import bucket
from rfm.io.lake.tables import Lake
from rfm.schema import TABLES


class Size(NamedTuple):
    """How large the newest version of a table is; of a catalog's tables, the rows alone are known."""

    version: int | None
    rows: int
    files: int | None
    bytes: int | None


def sizes(lake: Lake, names: Iterable[str] = tuple(TABLES)) -> dict[str, Size]:
    """Return version, rows, data files and bytes of each table that exists.

    Parameters
    ----------
    lake
        The tables.
    names
        Those wanted; all if not given.
    """
    tables = {name: lake.open(name) for name in names}
    found = {name: _size(table) for name, table in tables.items() if table}
    return found or {name: Size(None, state.rows, None, None) for name, state in lake.state(names).items()}


def versions(lake: Lake, names: Iterable[str]) -> dict[str, int]:
    """Return the version of each table that exists, none of a catalog's, where it is not known; parameters as for `sizes`."""
    tables = {name: lake.open(name) for name in names}
    return {name: table.version() for name, table in tables.items() if table}


def rows_added(lake: Lake, name: str, since: int | None) -> int:
    """Return the rows that the commits after a version have added to a table.

    Parameters
    ----------
    lake
        The tables.
    name
        Name of the table.
    since
        Version of the table's log; all commits if not given, as when there was no table.
    """
    table = lake.open(name)
    commits = 0 if table is None else table.version() - (-1 if since is None else since)
    if table is None or commits <= 0:
        return 0
    found = table.history(commits) or _commits(f"{lake.url}/{name}", range(table.version() - commits + 1, table.version() + 1))
    return sum(int(commit.get("operationMetrics", {}).get("num_added_rows", 0)) for commit in found)


def _commits(path: str, versions: Iterable[int]) -> list[dict[str, Any]]:
    """Read what a table's log says of some commits; delta-rs finds none below a path with a # or a question mark."""
    system, root = fsspec.core.url_to_fs(path, **(bucket.S3FS if path.startswith(bucket.S3) else {}))
    lines = [line for each in versions for line in system.cat_file(f"{root}/_delta_log/{each:020}.json").splitlines()]
    return [action["commitInfo"] for action in map(json.loads, lines) if "commitInfo" in action]


def _size(table: deltalake.DeltaTable) -> Size:
    """Return the size of a table, from the statistics in its log."""
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    return Size(table.version(), int(files["num_records"].sum()), len(files), int(files["size_bytes"].sum()))
