"""Read landing files, some at a time, the next while the last is parsed; a refused one does not stop the others."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import fsspec
import pyarrow as pa

from rfm.errors import refusal, trouble
from rfm.io.landing.encoding import AUTO
from rfm.io.landing.files import LandingFile, date_in
from rfm.io.landing.parse import parse
from rfm.io.landing.place import filesystem
from rfm.schema import InputError

BATCH_BYTES = 64 << 20
THREADS = 2  # files at once: one is fetched while another is parsed


@dataclass
class Reading:
    """Landing files on their way into bronze: batches to go through once, and what was refused on the way.

    Parameters
    ----------
    landing
        Folder or URL.
    files
        Those to read.
    run_date
        Becomes ``processing_date``.
    encoding, separator
        As for `parse`.
    refused
        Filled while the batches are gone through: one line a file that was not read, with name, reason and remedy.
    """

    landing: str
    files: Sequence[LandingFile]
    run_date: dt.date
    encoding: str = AUTO
    separator: str = AUTO
    refused: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield what was read and its rows, a pair a batch of about 64 MB of files."""
        ledger: list[tuple] = []
        rows: list[pa.Table] = []
        size = 0
        for read, table in self._read():
            ledger.append(read)
            rows.append(table)
            size += read[2]
            if size > BATCH_BYTES:
                yield _ledger(ledger), pa.concat_tables(rows)
                ledger, rows, size = [], [], 0
        if rows:
            yield _ledger(ledger), pa.concat_tables(rows)

    def _read(self) -> Iterator[tuple[tuple, pa.Table]]:
        """Yield each file that can be read, in order; note the others."""
        self.refused.clear()
        for found in self._ahead():
            if isinstance(found, str):
                self.refused.append(found)
            else:
                yield found

    def _ahead(self) -> Iterator[tuple[tuple, pa.Table] | str]:
        """Yield what becomes of each file, in order, while the next ones are being read."""
        system, root = filesystem(self.landing)
        with ThreadPoolExecutor(THREADS) as pool:
            waiting: deque[Future] = deque()
            for file in self.files:
                waiting.append(pool.submit(self._one, system, f"{root}/{file.source_file}", file))
                if len(waiting) > THREADS:
                    yield waiting.popleft().result()
            yield from (future.result() for future in waiting)

    def _one(self, system: fsspec.AbstractFileSystem, path: str, file: LandingFile) -> tuple[tuple, pa.Table] | str:
        """Return a file as it stands in the ledger and its rows, or why it is refused."""
        name = file.source_file
        try:
            raw = system.cat_file(path)
            table = parse(raw, name, self.encoding, self.separator)
        except InputError as error:
            return _reason(name, error)
        except Exception as error:  # one file that is not there is refused; a bucket out of reach stops the run
            if isinstance(error, OSError) and not trouble(error):
                return _reason(name, error)
            raise refusal(error, f"{self.landing}: {name} cannot be read") from None
        read = (name, date_in(name), len(raw), hashlib.sha256(raw).hexdigest(), self.run_date, file.token)
        return read, _arrived(table, name, self.run_date)


def read_files(
    landing: str, files: Iterable[LandingFile | str], run_date: dt.date, *, encoding: str = AUTO, separator: str = AUTO
) -> Reading:
    """Read landing files as text, some at a time.

    Parameters
    ----------
    landing
        Folder or URL.
    files
        As `list_files` gives them, or their paths under the folder.
    run_date
        Becomes ``processing_date``.
    encoding, separator
        As for `parse`.

    Returns
    -------
    Reading
        To go through: pairs of what was read (``landing_files`` without layer, rows and version) and rows of
        ``retail_transactions_bronze``, a pair about 64 MB of files. ``refused`` says afterwards which files were
        not read, and why.
    """
    listed = [file if isinstance(file, LandingFile) else LandingFile(file, date_in(file), 0) for file in files]
    return Reading(landing, listed, run_date, encoding, separator)


def _reason(name: str, error: Exception) -> str:
    """Say in one line why a file was not read."""
    if isinstance(error, InputError):
        return " ".join(str(error).split())
    return f"{name}: cannot be read ({type(error).__name__}); see whether it is there and may be read, then run again"


def _ledger(rows: list[tuple]) -> pa.Table:
    """Return rows of ``landing_files``, without layer, rows and version."""
    types = [pa.string(), pa.date32(), pa.int64(), pa.string(), pa.date32(), pa.string()]
    names = ["source_file", "file_date", "bytes", "sha256", "processing_date", "token"]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names)


def _arrived(table: pa.Table, name: str, run_date: dt.date) -> pa.Table:
    """Add when, from which file and in which run the rows came."""
    now = dt.datetime.now(dt.UTC)
    for column, value, kind in (
        ("ingestion_timestamp", now, pa.timestamp("us", "UTC")),
        ("source_file", name, pa.string()),
        ("processing_date", run_date, pa.date32()),
    ):
        table = table.append_column(column, pa.repeat(pa.scalar(value, kind), table.num_rows))
    return table
