"""What a commit is made of: rows checked piece by piece, conditions in SQL, another try after a conflict."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import deltalake
import polars as pl
import pyarrow as pa
from deltalake.exceptions import CommitFailedError

from rfm.contract import Table, conform
from rfm.errors import ContractError, InputError

CHUNK_ROWS = 250_000
TRIES = 20
LEAN: dict[str, Any] = {"post_commithook_properties": deltalake.PostCommitHookProperties(cleanup_expired_logs=False)}
"""A commit does not look through the log for what is too old, which costs the more the longer the log: `care` does that."""
Rows: TypeAlias = pl.DataFrame | pl.LazyFrame | Iterable[pa.Table]
Result = TypeVar("Result")


class Stream:
    """Rows on their way into a commit, checked piece by piece and counted.

    Parameters
    ----------
    table
        The contract that they keep.
    rows
        Lazy rows are computed in pieces, and Arrow tables come one after the other, so they need not fit into memory.
    """

    def __init__(self, table: Table, rows: Rows) -> None:
        self.table, self.pieces, self.rows = table, _pieces(rows), 0
        self.refusal: ContractError | InputError | None = None  # Arrow streams carry an error's text, not the error

    def reader(self) -> pa.RecordBatchReader:
        """Return the rows as an Arrow stream with the schema of the contract."""
        return pa.RecordBatchReader.from_batches(arrow_schema(self.table), self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for piece in self.pieces:
                frame = conform(self.table, piece)
                self.rows += len(frame)
                yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()
        except (ContractError, InputError) as refusal:
            self.refusal = refusal
            raise


def _pieces(rows: Rows) -> Iterable[pl.DataFrame]:
    """Return the rows in pieces that fit into memory."""
    if isinstance(rows, pl.LazyFrame):
        return rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True, engine="streaming")
    frames = [rows] if isinstance(rows, pl.DataFrame) else map(pl.DataFrame, rows)
    return (piece for frame in frames for piece in frame.iter_slices(CHUNK_ROWS))


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a contract, in types that every Delta reader knows.

    Parameters
    ----------
    table
        The contract.
    """
    return pl.DataFrame(schema=table.polars).to_arrow(compat_level=pl.CompatLevel.oldest()).schema


IN_DELTA, IN_SPARK = str.maketrans({"'": "''"}), str.maketrans({"'": "\\'", "\\": "\\\\"})
"""How a text stands between quotes: Spark drops a doubled quote, and reads a backslash as the start of an escape."""


def is_(column: str, value: dt.date | str | list[str] | list[dt.date], escapes: dict[int, str] = IN_DELTA) -> str:
    """Return the SQL condition that a column has a value, or one of some values.

    Parameters
    ----------
    column
        Name of the column.
    value
        One value, or several.
    escapes
        Of the engine that reads the condition.
    """
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and value and isinstance(value[0], dt.date):  # delta-rs compares a date with a text by = alone
        return "(" + " OR ".join(is_(column, one, escapes) for one in value) + ")"
    quoted = ", ".join("'" + str(one).translate(escapes) + "'" for one in values)
    return f"{column} IN ({quoted})" if isinstance(value, list) else f"{column} = {quoted}"


def alone(table: deltalake.DeltaTable) -> deltalake.CommitProperties:
    """Return what makes a commit fail if another replacement was faster.

    delta-rs lets two writers replace all of an empty table at once, and both their rows stand there then.

    Parameters
    ----------
    table
        What the commit is based on.
    """
    return deltalake.CommitProperties(app_transactions=[deltalake.Transaction("replace", table.version() + 1)])


def retried(attempt: Callable[[], Result]) -> Result:
    """Return what an attempt gives, trying again where another writer was faster.

    Parameters
    ----------
    attempt
        Reads the newest version, then commits.
    """
    for turn in range(TRIES):
        try:
            return attempt()
        except CommitFailedError:
            time.sleep(0.05 * (turn + 1))
    return attempt()
