"""Read landing files, some at a time, the next while the last is parsed; a refused one does not stop the others."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import fsspec
import pyarrow as pa

from rfm.dialect import Columns
from rfm.errors import refusal, trouble
from rfm.io.landing.alike import in_groups, together
from rfm.io.landing.encoding import AUTO
from rfm.io.landing.files import LandingFile, date_in
from rfm.io.landing.place import filesystem
from rfm.io.landing.source import Content, Large, Source
from rfm.schema import InputError

BATCH_BYTES = 64 << 20
THREADS = 2  # files, or groups of small ones, at once: one is fetched while another is parsed
Read = tuple[list[tuple], pa.Table | Large]  # files as they stand in the ledger, and their rows


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
    encoding, separator, columns
        As for `parse`.
    refused
        Filled while the batches are gone through: one line a file that was not read, with name, reason and remedy.
    told
        Called with the number of files that were gone through, as it grows.
    """

    landing: str
    files: Sequence[LandingFile]
    run_date: dt.date
    encoding: str = AUTO
    separator: str = AUTO
    columns: Columns = Columns()
    refused: list[str] = field(default_factory=list)
    told: Callable[[int], None] = lambda files: None

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table | Large]]:
        """Yield what was read and its rows, a pair a batch of about 64 MB of rows, or a file too large to hold."""
        ledger: list[tuple] = []
        rows: list[pa.Table] = []
        size = 0
        for read, table in self._read():
            if isinstance(table, Large):
                yield _ledger(read), table
                continue
            ledger += read
            rows.append(table)
            size += table.nbytes
            if size > BATCH_BYTES:
                yield _ledger(ledger), pa.concat_tables(rows)
                ledger, rows, size = [], [], 0
        if rows:
            yield _ledger(ledger), pa.concat_tables(rows)

    def _read(self) -> Iterator[Read]:
        """Yield the files that can be read, in order; note the others."""
        self.refused.clear()
        done = 0
        for found in self._ahead():
            if isinstance(found, str):
                self.refused.append(found)
            else:
                yield found
            self.told(done := done + (1 if isinstance(found, str) else len(found[0])))

    def _ahead(self) -> Iterator[Read | str]:
        """Yield what becomes of the files, in order, while the next ones are being read."""
        system, root = filesystem(self.landing)
        with ThreadPoolExecutor(THREADS) as pool:
            waiting: deque[Future] = deque()
            for group in in_groups(self.files):
                waiting.append(pool.submit(self._some, system, root, group))
                if len(waiting) > THREADS:
                    yield from waiting.popleft().result()
            for future in waiting:
                yield from future.result()

    def _some(self, system: fsspec.AbstractFileSystem, root: str, files: Sequence[LandingFile]) -> list[Read | str]:
        """Return what becomes of some files, taken apart as one if they are alike."""
        options = self.encoding, self.separator, self.columns
        sources = [Source(system, f"{root}/{file.source_file}", file.source_file, file.bytes, *options) for file in files]
        if len(files) > 1 and (found := together(sources, self.run_date)):
            contents, rows = found
            return [([self._line(file, content) for file, content in zip(files, contents, strict=True)], rows)]
        return [self._one(source, file) for source, file in zip(sources, files, strict=True)]

    def _one(self, source: Source, file: LandingFile) -> Read | str:
        """Return a file as it stands in the ledger and its rows, or why it is refused."""
        name = file.source_file
        try:
            content, rows = source.rows(self.run_date)
        except InputError as error:
            return _reason(name, error)
        except Exception as error:  # one file that is not there is refused; a bucket out of reach stops the run
            if isinstance(error, OSError) and not trouble(error):
                return _reason(name, error)
            raise refusal(error, f"{self.landing}: {name} cannot be read") from None
        return [self._line(file, content)], rows

    def _line(self, file: LandingFile, content: Content) -> tuple:
        """Return a file as it stands in the ledger."""
        return file.source_file, file.file_date, content.bytes, content.sha256, self.run_date, file.token


def read_files(
    landing: str,
    files: Iterable[LandingFile | str],
    run_date: dt.date,
    *,
    encoding: str = AUTO,
    separator: str = AUTO,
    columns: Columns = Columns(),
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
    encoding, separator, columns
        As for `parse`: ``settings.files`` and ``settings.columns``.

    Returns
    -------
    Reading
        To go through: pairs of what was read (``landing_files`` without layer, rows and version) and rows of
        ``retail_transactions_bronze``, a pair about 64 MB. The rows of a file that is too large to hold come as
        `Large`, from which they are read piece by piece. ``refused`` says afterwards which files were not read, and why.

    Examples
    --------
    >>> import datetime
    >>> import tempfile
    >>> import rfm
    >>> from rfm.io.prepare import make_sample
    >>> folder = tempfile.mkdtemp()
    >>> _ = make_sample(folder, days=2, lines=100, customers=20)
    >>> files = rfm.list_files(folder)
    >>> [(files, rows)] = rfm.read_files(folder, files, datetime.date(2025, 10, 23))
    >>> files.num_rows, rows.num_rows, rows.column_names[:3]
    (2, 101, ['Invoice', 'StockCode', 'Description'])
    """
    listed = [file if isinstance(file, LandingFile) else LandingFile(file, date_in(file), 0) for file in files]
    return Reading(landing, listed, run_date, encoding, separator, columns)


def _reason(name: str, error: Exception) -> str:
    """Say in one line why a file was not read."""
    if isinstance(error, InputError):
        return " ".join(str(error).split())
    if isinstance(error, FileNotFoundError) and "\\x" in name:
        return f"{name}: its name is not UTF-8; rename it, then run again"
    return f"{name}: cannot be read ({type(error).__name__}); see whether it is there and may be read, then run again"


def _ledger(rows: list[tuple]) -> pa.Table:
    """Return rows of ``landing_files``, without layer, rows and version."""
    types = [pa.string(), pa.date32(), pa.int64(), pa.string(), pa.date32(), pa.string()]
    names = ["source_file", "file_date", "bytes", "sha256", "processing_date", "token"]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names)
