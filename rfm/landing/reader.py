"""One landing file: its rows at once, or piece by piece where they are too many to hold; its digest on the way.

Small files with the same header, taken apart as one: a reader of CSV takes longer to begin than to read a day's file.

Read landing files, some at a time, the next while the last is parsed; a refused one does not stop the others.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from rfm.config import Columns
from rfm.errors import InputError, as_user_error, explain_cloud_error
from rfm.landing.csv import first_line, iter_tables, layout_of, read_records, records_of, skip_preamble, to_bronze_columns
from rfm.landing.decode import AUTO, GZIP_MAGIC, PIECE, decode_stream, mask_of, to_utf8
from rfm.landing.files import LandingFile, date_in, filesystem

# ── source ────────────────────────────────────────────────────────────
WHOLE_BYTES = 32 << 20  # rows of a file that are held at once


class FileContent(NamedTuple):
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

    def content(self) -> FileContent:
        """Return what was read so far."""
        return FileContent(self.bytes, self.digest.hexdigest())


@dataclass(frozen=True)
class FileReader:
    """A landing file."""

    system: fsspec.AbstractFileSystem
    path: str
    name: str
    bytes: int = 0
    encoding: str = AUTO
    separator: str = AUTO
    columns: Columns = Columns()

    def rows(self, run_date: dt.date) -> tuple[FileContent, pa.Table | StreamedRows]:
        """Return content and rows; the rows of a file that is too large to hold are left where they are."""
        held, size = [], 0
        with self._open() as file:
            for table in self._tables(file, run_date):
                held.append(table)
                if (size := size + table.nbytes) > WHOLE_BYTES:
                    content = self._look_through()
                    return content, StreamedRows(self, content, run_date)
            return file.content(), pa.concat_tables(held)

    def again(self, content: FileContent, run_date: dt.date) -> Iterator[pa.Table]:
        """Yield the rows piece by piece."""
        with self._open() as file:
            yield from self._tables(file, run_date)
            if file.content() != content:
                raise InputError(f"{self.name}: its content changed while it was read; nothing of it was written, run again")

    def _look_through(self) -> FileContent:
        """Read the file to its end, so that a damaged one is refused before a row of it is written."""
        with self._open() as file:
            for _ in decode_stream(file, self.name, self.encoding):
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
        for table in iter_tables(file, self.name, self.encoding, self.separator, self.columns):
            yield with_provenance(table, [(self.name, table.num_rows)], run_date)


def with_provenance(rows: pa.Table, files: Iterable[tuple[str, int]], run_date: dt.date) -> pa.Table:
    """Return rows with when, from which file and in which run they came."""
    now = pa.scalar(dt.datetime.now(dt.UTC), pa.timestamp("us", "UTC"))
    names = [pa.repeat(pa.scalar(name, pa.string()), count) for name, count in files]
    rows = rows.append_column("ingestion_timestamp", pa.repeat(now, rows.num_rows))
    rows = rows.append_column("source_file", pa.chunked_array(names, pa.string()))
    return rows.append_column("processing_date", pa.repeat(pa.scalar(run_date, pa.date32()), rows.num_rows))


@dataclass(frozen=True)
class StreamedRows:
    """Rows of a file that are too many to hold: each time one goes through them, they are read anew, piece by piece."""

    source: FileReader
    content: FileContent
    run_date: dt.date

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows, a table some megabytes."""
        return self.source.again(self.content, self.run_date)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Let `polars.DataFrame` and `pyarrow.table` read the rows, all at once."""
        return pa.concat_tables(self).__arrow_c_stream__(requested_schema)


# ── alike ────────────────────────────────────────────────────────────
FILES, BYTES = 16, 1 << 20  # taken apart as one, at most
PACKED = (GZIP_MAGIC, b"PK")  # files whose text may be far longer than they are
END = b"\x1aend"  # in every field of the line between two files


def batches(files: Iterable[LandingFile]) -> Iterator[list[LandingFile]]:
    """Yield files in order, small ones some at a time; a file of unknown size stands alone."""
    group: list[LandingFile] = []
    size = 0
    for file in files:
        size += file.bytes or BYTES
        if group and (size > BYTES or len(group) == FILES):
            yield group
            group, size = [], file.bytes or BYTES
        group.append(file)
    if group:
        yield group


def read_together(sources: Sequence[FileReader], run_date: dt.date) -> tuple[list[FileContent], pa.Table] | None:
    """Return contents and rows of small files, the same rows as each gives by itself."""
    try:
        contents = (source.system.cat_file(source.path) for source in sources)
        raws = list(takewhile(lambda raw: not raw.startswith(PACKED), contents))
        if len(raws) < len(sources):
            return None
        texts = [skip_preamble(to_utf8(raw, source.name, source.encoding)) for raw, source in zip(raws, sources, strict=True)]
        found = _rows(texts, sources[0])
    except Exception:  # whatever it is, it is told of the file that it is about when that is read by itself
        return None
    if found is None:
        return None
    table, counts = found
    files = [(source.name, count) for source, count in zip(sources, counts, strict=True)]
    return [FileContent(len(raw), hashlib.sha256(raw).hexdigest()) for raw in raws], with_provenance(table, files, run_date)


def _rows(texts: Sequence[bytes], like: FileReader) -> tuple[pa.Table, list[int]] | None:
    """Return the rows of texts and how many each has; none where one has another header or a line that does not fit."""
    first = first_line(texts[0])
    if not first or any(first_line(text) != first or END in text for text in texts):
        return None
    layout = layout_of(first, like.name, like.separator, like.columns)
    end = layout.separator.encode().join([END] * len(layout.header)) + b"\n"
    records = records_of(b"".join(text[len(first) :] + end for text in texts), layout, last=True)
    table, bad = read_records(records, layout, 1, like.name)
    ends = pc.fill_null(pc.equal(table[0], END.decode()), False)
    places = pc.indices_nonzero(ends).to_pylist()
    if bad or records.ragged or len(places) != len(texts):
        return None
    counts = [place - before - 1 for before, place in pairwise([-1, *places])]
    rows = table.filter(pc.invert(ends))
    return to_bronze_columns(rows, layout.header, [], like.columns, mask_of(like.columns)), counts


# ── reading ────────────────────────────────────────────────────────────
BATCH_BYTES = 64 << 20
THREADS = 2  # files, or groups of small ones, at once: one is fetched while another is parsed
Read = tuple[list[tuple], pa.Table | StreamedRows]  # files as they stand in the ledger, and their rows


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

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table | StreamedRows]]:
        """Yield what was read and its rows, a pair a batch of about 64 MB of rows, or a file too large to hold."""
        ledger: list[tuple] = []
        rows: list[pa.Table] = []
        size = 0
        for read, table in self._read():
            if isinstance(table, StreamedRows):
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
            for group in batches(self.files):
                waiting.append(pool.submit(self._some, system, root, group))
                if len(waiting) > THREADS:
                    yield from waiting.popleft().result()
            for future in waiting:
                yield from future.result()

    def _some(self, system: fsspec.AbstractFileSystem, root: str, files: Sequence[LandingFile]) -> list[Read | str]:
        """Return what becomes of some files, taken apart as one if they are alike."""
        options = self.encoding, self.separator, self.columns
        sources = [FileReader(system, f"{root}/{file.source_file}", file.source_file, file.bytes, *options) for file in files]
        if len(files) > 1 and (found := read_together(sources, self.run_date)):
            contents, rows = found
            return [([self._line(file, content) for file, content in zip(files, contents, strict=True)], rows)]
        return [self._one(source, file) for source, file in zip(sources, files, strict=True)]

    def _one(self, source: FileReader, file: LandingFile) -> Read | str:
        """Return a file as it stands in the ledger and its rows, or why it is refused."""
        name = file.source_file
        try:
            content, rows = source.rows(self.run_date)
        except InputError as error:
            return _reason(name, error)
        except Exception as error:  # one file that is not there is refused; a bucket out of reach stops the run
            if isinstance(error, OSError) and not explain_cloud_error(error):
                return _reason(name, error)
            raise as_user_error(error, f"{self.landing}: {name} cannot be read") from None
        return [self._line(file, content)], rows

    def _line(self, file: LandingFile, content: FileContent) -> tuple:
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
    >>> from rfm.datasets.sample import make_sample
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
