"""Care of the tables: small files joined, files that no recent version needs removed, the log kept short."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path

import deltalake
import fsspec
from deltalake.exceptions import CommitFailedError

from rfm.io.lake import bucket
from rfm.io.lake.commit import retried
from rfm.io.lake.handles import Handles
from rfm.schema import TABLES

RETAIN_DAYS = 7
SHORT_LOG = 20  # commits that are read one by one, by every reader and every commit, before a checkpoint sums them up
LOG_DAYS = 30  # what Delta keeps of a log by itself
KEEP_LOG = "delta.logRetentionDuration"
LEFTOVER = re.compile(r"\.(?:parquet|json)#[0-9]+$")  # what a killed writer leaves on a disk; Delta never removes it


def optimize(handles: Handles, name: str, retain_days: int = RETAIN_DAYS) -> dict[str, int]:
    """Join a table's small files, remove files that no version of the last days needs, write a checkpoint.

    Parameters
    ----------
    handles
        The tables.
    name
        Name of the table.
    retain_days
        A file stays this long after the last version that needs it, so every version that a run of these days
        has published, or a reader holds, can be read.

    Returns
    -------
    dict
        Data files before, data files after, files removed from the store.

    Raises
    ------
    InputError
        If there is no such table.
    """
    before = len(handles.existing(name).file_uris())
    retried(lambda: handles.existing(name).optimize.compact())
    table = handles.existing(name)
    _keep_log(table, retain_days)
    removed = len(table.vacuum(retention_hours=24 * retain_days, dry_run=False, full=True))
    table.update_incremental()
    table.create_checkpoint()
    table.cleanup_metadata()
    handles.forget(name)
    removed += _sweep(handles.path(name), retain_days)
    return {"before": before, "after": len(handles.existing(name).file_uris()), "removed": removed}


def tend(handles: Handles, every: int, retain_days: int = RETAIN_DAYS, names: Iterable[str] = TABLES) -> list[str]:
    """Optimize the tables that have had enough commits since their last checkpoint; return their names.

    A table is due when a multiple of so many commits lies between its last checkpoint and its newest version. In between,
    a checkpoint keeps the log short. A table that another writer is busy with is left for the next run.

    Parameters
    ----------
    handles
        The tables.
    every
        Commits after which a table is due; 0 for never.
    retain_days
        As for `optimize`.
    names
        Tables to look after.
    """
    cared = []
    for name in names if every else ():
        table = handles.open(name)
        if not table or table.version() < min(every, SHORT_LOG):
            continue
        version, last = table.version(), _checkpoint(handles.path(name))
        if version // every > last // every:
            try:
                optimize(handles, name, retain_days)
            except CommitFailedError:
                continue
            cared.append(name)
        elif version - last >= SHORT_LOG:
            table.create_checkpoint()
            handles.forget(name)
    return cared


def _checkpoint(path: str) -> int:
    """Return the version of a table's last checkpoint, 0 if there is none."""
    system, root = fsspec.core.url_to_fs(path, **(bucket.S3FS if path.startswith(bucket.S3) else {}))
    try:
        return int(json.loads(system.cat_file(f"{root}/_delta_log/_last_checkpoint"))["version"])
    except (FileNotFoundError, ValueError, KeyError):
        return 0


def _keep_log(table: deltalake.DeltaTable, retain_days: int) -> None:
    """Let the log last as long as the files, where that is longer than Delta's own habit."""
    wanted = f"interval {retain_days} days"
    if retain_days > LOG_DAYS and table.metadata().configuration.get(KEEP_LOG) != wanted:
        table.alter.set_table_properties({KEEP_LOG: wanted})


def _sweep(path: str, retain_days: int) -> int:
    """Remove what killed writers left on a disk, if it is old enough; return how many files. A bucket holds none."""
    if "://" in path:
        return 0
    oldest = time.time() - retain_days * 86_400
    left = [file for file in Path(path).rglob("*#*") if LEFTOVER.search(file.name) and file.stat().st_mtime < oldest]
    for file in left:
        file.unlink(missing_ok=True)
    return len(left)
