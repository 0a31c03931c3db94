"""Rows of landing files written exactly once: the table's own log says which content of which file it holds.

Delta's transaction ids carry it: the id is the file's name, the version is made of how often the file was
restated and of a digest of its content. A commit holds the rows and the versions together or neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import deltalake
import polars as pl

from rfm.io.lake.commit import CHUNK_ROWS, LEAN, Rows, Stream, is_, retried
from rfm.io.lake.handles import Handles
from rfm.schema import TABLES

DIGEST_BITS = 40
ROW_GROUPS = deltalake.WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=CHUNK_ROWS // 2)
"""Half the size of Snappy at no cost; small groups, as whoever reads a table piece by piece holds some groups at once."""


class Put(NamedTuple):
    """What a commit of files did: rows written, and the version of each file that the table now holds."""

    rows: int
    held: dict[str, int]


def version_of(sha256: str, revision: int = 1) -> int:
    """Return the transaction version of a content.

    Parameters
    ----------
    sha256
        Digest of the content, in hexadecimal.
    revision
        1 when the file is read first, one more with every restatement.
    """
    return revision << DIGEST_BITS | int(sha256[: DIGEST_BITS // 4], 16)


def revision_of(version: int) -> int:
    """Return how many contents of a file a transaction version has seen."""
    return max(1, version >> DIGEST_BITS)


def put_files(handles: Handles, name: str, rows: Rows, versions: Mapping[str, int]) -> Put:
    """Write the rows of landing files in one commit; leave out files of which the table holds this revision or a later.

    Parameters
    ----------
    handles
        The tables.
    name
        Name of the table.
    rows
        Rows that keep the contract, with a column ``source_file``; Arrow tables, gone through once an attempt, for one
        file alone. Rows of an earlier revision are replaced.
    versions
        File and transaction version that the table is to hold.

    Returns
    -------
    Put

    Raises
    ------
    ContractError
        If a row breaks the contract; nothing is written then.
    """

    def attempt() -> Put:
        table = handles.ensure(name)
        held = {file: version for file in versions if (version := table.transaction_version(file)) is not None}
        due = [file for file, version in versions.items() if file not in held or revision_of(held[file]) < revision_of(version)]
        if not due:
            return Put(0, held)
        some = isinstance(rows, pl.DataFrame | pl.LazyFrame) and len(due) < len(versions)
        wanted = rows.filter(pl.col("source_file").is_in(due)) if some else rows  # type: ignore[union-attr]
        ids = [deltalake.Transaction(file, versions[file]) for file in due]
        replaced = [file for file in due if file in held]
        written = _write(table, name, wanted, ids, due if replaced else [])
        return Put(written, held | {file: versions[file] for file in due})

    return retried(attempt)


def _write(
    table: deltalake.DeltaTable,
    name: str,
    rows: Rows,
    ids: list[deltalake.Transaction],
    replaced: list[str],
) -> int:
    """Append rows, or put them in place of the rows of some files, in one commit; return how many they are."""
    stream = Stream(TABLES[name], rows)
    how: dict[str, Any] = {"mode": "overwrite", "predicate": is_("source_file", replaced)} if replaced else {"mode": "append"}
    how |= {"commit_properties": deltalake.CommitProperties(app_transactions=ids), "writer_properties": ROW_GROUPS, **LEAN}
    try:
        deltalake.write_deltalake(table, stream.reader(), **how)
    except Exception as error:
        raise (stream.refusal or error) from None
    return stream.rows
