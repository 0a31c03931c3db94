"""One landing file: its rows at once, or piece by piece where they are too many to hold; its digest on the way."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa

from rfm.dialect import Columns
from rfm.io.landing.encoding import AUTO, PIECE, texts
from rfm.io.landing.parse import pieces
from rfm.schema import InputError

WHOLE_BYTES = 32 << 20  # rows of a file that are held at once


class Content(NamedTuple):
    """What tells a file's content from another: its size, and the digest of its bytes as they lie there."""

    bytes: int
    sha256: str


class _Hashed(io.RawIOBase):
    """A file whose bytes are counted and digested as they are read."""

    def __init__(self, file: Any) -> None:
        self.file, self.bytes, self.digest = file, 0, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self.file.read(len(buffer))
        buffer[: len(read)] = read
        self.digest.update(read)
        self.bytes += len(read)
        return len(read)

    def close(self) -> None:
        self.file.close()
        super().close()

    def content(self) -> Content:
        """Return what was read so far."""
        return Content(self.bytes, self.digest.hexdigest())


@dataclass(frozen=True)
class Source:
    """A landing file.

    Parameters
    ----------
    system, path
        Where it lies.
    name
        Path under the landing folder.
    bytes
        Size as listed, 0 if nobody knows; a small object of a bucket is fetched by one request.
    encoding, separator, columns
        As for `pieces`.
    """

    system: fsspec.AbstractFileSystem
    path: str
    name: str
    bytes: int = 0
    encoding: str = AUTO
    separator: str = AUTO
    columns: Columns = Columns()

    def rows(self, run_date: dt.date) -> tuple[Content, pa.Table | Large]:
        """Return content and rows; the rows of a file that is too large to hold are left where they are.

        Parameters
        ----------
        run_date
            Becomes ``processing_date``.

        Raises
        ------
        InputError
            If it is not a sales file.
        """
        held, size = [], 0
        with self._open() as file:
            for table in self._tables(file, run_date):
                held.append(table)
                if (size := size + table.nbytes) > WHOLE_BYTES:
                    content = self._look_through()
                    return content, Large(self, content, run_date)
            return file.content(), pa.concat_tables(held)

    def again(self, content: Content, run_date: dt.date) -> Iterator[pa.Table]:
        """Yield the rows piece by piece.

        Parameters
        ----------
        content
            What the file must still hold.
        run_date
            Becomes ``processing_date``.

        Raises
        ------
        InputError
            If its content has changed.
        """
        with self._open() as file:
            yield from self._tables(file, run_date)
            if file.content() != content:
                raise InputError(f"{self.name}: its content changed while it was read; nothing of it was written, run again")

    def _look_through(self) -> Content:
        """Read the file to its end, so that a damaged one is refused before a row of it is written."""
        with self._open() as file:
            for _ in texts(file, self.name, self.encoding):
                pass
            return file.content()

    def _open(self) -> _Hashed:
        """Open the file for reading."""
        small = 0 < self.bytes <= PIECE
        return _Hashed(
            io.BytesIO(self.system.cat_file(self.path)) if small else self.system.open(self.path, "rb", block_size=PIECE)
        )

    def _tables(self, file: _Hashed, run_date: dt.date) -> Iterator[pa.Table]:
        """Yield the rows with when, from which file and in which run they came."""
        for table in pieces(file, self.name, self.encoding, self.separator, self.columns):
            yield stamped(table, [(self.name, table.num_rows)], run_date)


def stamped(rows: pa.Table, files: Iterable[tuple[str, int]], run_date: dt.date) -> pa.Table:
    """Return rows with when, from which file and in which run they came.

    Parameters
    ----------
    rows
        Columns of bronze up to ``_rescued_data``.
    files
        Name of each file and number of its rows, in their order.
    run_date
        Becomes ``processing_date``.
    """
    now = pa.scalar(dt.datetime.now(dt.UTC), pa.timestamp("us", "UTC"))
    names = [pa.repeat(pa.scalar(name, pa.string()), count) for name, count in files]
    rows = rows.append_column("ingestion_timestamp", pa.repeat(now, rows.num_rows))
    rows = rows.append_column("source_file", pa.chunked_array(names, pa.string()))
    return rows.append_column("processing_date", pa.repeat(pa.scalar(run_date, pa.date32()), rows.num_rows))


@dataclass(frozen=True)
class Large:
    """Rows of a file that are too many to hold: each time one goes through them, they are read anew, piece by piece.

    Parameters
    ----------
    source, content
        The file, and what it held when it was looked through.
    run_date
        Becomes ``processing_date``.
    """

    source: Source
    content: Content
    run_date: dt.date

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows, a table some megabytes."""
        return self.source.again(self.content, self.run_date)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Let `polars.DataFrame` and `pyarrow.table` read the rows, all at once."""
        return pa.concat_tables(self).__arrow_c_stream__(requested_schema)
