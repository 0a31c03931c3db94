"""Read landing files in batches, the next file while one is parsed; stream files that are too large for memory."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.dialect import Columns
from rfm.errors import NO_MEMORY, InputError, RfmError, as_user_error, explain_cloud_error
from rfm.landing.csv import ReadOptions, iter_tables, read_records, records_of
from rfm.landing.decode import AUTO, GZIP_MAGIC, PACKED, PIECE, TEXT, detect_format
from rfm.landing.files import LandingFile, date_in, filesystem, still_arriving
from rfm.landing.header import Rows, first_line, head_of, layout_of, set_apart, skip_preamble
from rfm.words import N_, _

WHOLE_BYTES = 32 << 20  # rows of a file that are held at once
BATCH_BYTES = 64 << 20
GROUP_FILES, GROUP_BYTES = 16, 1 << 20  # small files that are parsed as one, at most
FORMAT_BYTES, MAGIC_BYTES = 1 << 12, 1 << 7  # tell whether a file is CSV text, and which format it has
TAIL_BYTES, FEWEST_ALIKE = 1 << 12, 10  # the end of a file that is looked at; the lines in it that must agree
LAST_NUMBER = re.compile(r"""(?:[,;\t|]"?-?\d+(?:\.(\d*))?|[;\t|]"?-?[\d.' ]*\d(?:,(\d*))?)"?$""")  # of a line, and its decimals
PANIC = "PanicException"  # what each library written in Rust raises where it fails: a class of its own, and no Exception
LEFT = N_("left for the next run")
CUT = N_("{file}: the last line has no end, and its last number fewer decimals than those above")
SEND_AGAIN = N_("if it was cut, send the whole file again")
THREADS = 2  # groups of files read at once: one is fetched while another is parsed


class FileContent(NamedTuple):
    """Identity of a file's content: its size, and the digest of its bytes as they are stored; and its last bytes."""

    bytes: int
    sha256: str
    tail: str


class _Hashed(io.RawIOBase):
    """A file whose bytes are counted and digested as they are read."""

    def __init__(self, file: Any) -> None:
        self.file, self.bytes, self.digest, self.tail = file, 0, hashlib.sha256(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self.file.read(len(buffer))
        buffer[: len(read)] = read
        self.digest.update(read)
        self.bytes += len(read)
        self.tail = (self.tail + read if len(read) < TAIL_BYTES else read)[-TAIL_BYTES:]
        return len(read)

    def close(self) -> None:
        self.file.close()
        super().close()

    def content(self) -> FileContent:
        """Return the identity of what was read so far."""
        return FileContent(self.bytes, self.digest.hexdigest(), self.tail.decode("latin-1"))


@dataclass(frozen=True)
class FileReader:
    """Reads one landing file."""

    system: fsspec.AbstractFileSystem
    path: str
    name: str
    size: int
    options: ReadOptions
    notes: dict[str, list[str]]
    raw: bytes = b""  # content of a small file that was fetched with others
    parsed: tuple[Rows, ...] = ()  # its rows, if they were parsed with others

    def rows(self, run_date: dt.date) -> tuple[FileContent, pa.Table | StreamedRows]:
        """Return the file's content and rows; the rows of a file that is too large to hold are streamed later."""
        held, size = [], 0
        if self.parsed:
            content = FileContent(len(self.raw), hashlib.sha256(self.raw).hexdigest(), self.raw[-TAIL_BYTES:].decode("latin-1"))
            return content, pa.concat_tables(self.tables(io.BytesIO(), run_date))
        with self.open() as file:
            for table in self.tables(file, run_date):
                held.append(table)
                if (size := size + table.nbytes) > WHOLE_BYTES:
                    content = self._read_through()
                    return content, StreamedRows(self, content, run_date)
            return file.content(), pa.concat_tables(held)

    def _read_through(self) -> FileContent:
        """Read the file to its end, so that a damaged one is refused before a row of it is written."""
        with self.open() as file:
            found, chunks = detect_format(file, self.name)
            deque(found.read(chunks, self.name, self.options.encoding), maxlen=0)
            return file.content()

    def open(self) -> _Hashed:
        """Open the file; a small one is fetched in one request."""
        if 0 < self.size <= PIECE:
            return _Hashed(io.BytesIO(self.raw or self.system.cat_file(self.path)))
        return _Hashed(self.system.open(self.path, "rb", block_size=PIECE))

    def tables(self, file: Any, run_date: dt.date) -> Iterator[pa.Table]:
        """Yield the rows with the time of reading, the file and the run date."""
        now = dt.datetime.now(dt.UTC)
        notes = self.notes[self.name] = []
        added = {
            "ingestion_timestamp": pa.scalar(now, pa.timestamp("us", "UTC")),
            "source_file": pa.scalar(self.name, pa.string()),
            "processing_date": pa.scalar(run_date, pa.date32()),
        }
        for rows in iter_tables(file, self.name, self.options, notes, self.parsed):
            for column, value in added.items():
                rows = rows.append_column(column, pa.repeat(value, rows.num_rows))
            yield rows


@dataclass(frozen=True)
class StreamedRows:
    """Rows of a file that are too many to hold: each iteration reads the file again, piece by piece."""

    source: FileReader
    content: FileContent
    run_date: dt.date

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows as tables of some megabytes; refuse the file if its content is another one by now."""
        with self.source.open() as file:
            yield from self.source.tables(file, self.run_date)
            if file.content() != self.content:
                said = _("{file}: its content changed while it was read", file=self.source.name)
                raise InputError(said + "; " + _("nothing of it was written, run again"))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Let `polars.DataFrame` and `pyarrow.table` read all rows at once."""
        return pa.concat_tables(self).__arrow_c_stream__(requested_schema)


class Waiting(str):
    """Why a file is left for the next run."""


Read = tuple[tuple, pa.Table | StreamedRows, list[str]]  # a file's row of the ledger, its rows, and doubts about it


@dataclass
class Reading:
    """Landing files while they are read: iterate over the batches.

    ``refused`` gets one line per file that was not read, ``doubts`` one per file that is not whole or may be cut, ``left_out``
    one per sheet; ``progress`` is called with the number of files that are done.
    """

    landing: str
    files: Sequence[LandingFile]
    run_dates: Sequence[dt.date]
    options: ReadOptions
    settle: float
    notes: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    progress: Callable[[int], None] = lambda files: None

    @property
    def left_out(self) -> list[str]:
        """Sheets of workbooks that are not read, and why."""
        return [note for file in self.files for note in self.notes.get(file.source_file, ())]

    def __iter__(self) -> Iterator[tuple[pa.Table, pa.Table | StreamedRows]]:
        """Yield files and their rows, a pair per batch of about 64 MB of rows, or per file that is too large to hold."""
        ledger: list[tuple] = []
        rows: list[pa.Table] = []
        size = 0
        for entry, table in self._without_refused():
            if isinstance(table, StreamedRows):
                yield _ledger([entry]), table
                continue
            ledger.append(entry)
            rows.append(table)
            size += table.nbytes
            if size > BATCH_BYTES:
                yield _ledger(ledger), pa.concat_tables(rows)
                ledger, rows, size = [], [], 0
        if rows:
            yield _ledger(ledger), pa.concat_tables(rows)

    def _without_refused(self) -> Iterator[tuple[tuple, pa.Table | StreamedRows]]:
        """Yield the files that can be read; list the others in ``refused``, and report progress."""
        self.refused.clear()
        self.doubts.clear()
        for done, found in enumerate(self._read_ahead(), 1):
            if isinstance(found, str):
                (self.doubts if isinstance(found, Waiting) else self.refused).append(found)
            else:
                entry, rows, doubts = found
                self.doubts += doubts  # here, because threads read the files and end in any order
                yield entry, rows
            self.progress(done)

    def _read_ahead(self) -> Iterator[Read | str]:
        """Yield each file as `_read_or_refuse` returns it, in order, while the next ones are being read."""
        system, root = filesystem(self.landing)
        with ThreadPoolExecutor(THREADS) as pool:
            waiting: deque[Future] = deque()
            for group in _in_groups(self.files):
                waiting.append(pool.submit(self._read_group, system, root, group))
                if len(waiting) > THREADS:
                    yield from waiting.popleft().result()
            for future in waiting:
                yield from future.result()

    def _read_group(self, system: fsspec.AbstractFileSystem, root: str, files: Sequence[LandingFile]) -> list[Read | str]:
        """Return each file as `_read_or_refuse` does; files that are alike are parsed as one."""
        named = [(file.source_file, file.bytes) for file in files]
        readers = [FileReader(system, f"{root}/{name}", name, size, self.options, self.notes) for name, size in named]
        if len(files) > 1:
            readers = _parse_together(readers)
        return [self._read_or_refuse(reader, file) for reader, file in zip(readers, files, strict=True)]

    def _read_or_refuse(self, reader: FileReader, file: LandingFile) -> Read | str:
        """Return a file's row of the ledger, its rows and doubts about it, or why it is refused."""
        name = reader.name
        run_date = next((day for day in self.run_dates if file.file_date is None or file.file_date <= day), self.run_dates[-1])
        settle = self.settle if "local" in reader.system.protocol else 0  # an object in a bucket is there when it is whole
        try:
            if settle and (why := still_arriving(reader.path, file)):
                return Waiting(f"{why}; {_(LEFT)}")
            content, rows = reader.rows(run_date)
            if settle and (why := still_arriving(reader.path, file) or _is_cut(reader.path, name, settle)):
                return Waiting(f"{why}; {_(LEFT)}")
            doubts = [f"{_(CUT, file=name)}; {_(SEND_AGAIN)}"] if _is_last_number_cut(content.tail) else []
        except InputError as error:
            return why_not_read(name, error)
        except RfmError:  # a wrong setting is no fault of the file
            raise
        except BaseException as error:  # one file never stops the others
            if not isinstance(error, Exception) and type(error).__name__ != PANIC:  # Ctrl-C, the end of the process
                raise
            if explain_cloud_error(error):  # a bucket out of reach stops the run
                raise as_user_error(error, f"{self.landing}: {name} cannot be read") from None
            return why_not_read(name, error)
        return (name, file.file_date, content.bytes, content.sha256, run_date, file.token), rows, doubts


def _is_cut(path: str, name: str, settle: float) -> str:
    """Return that text was changed a moment ago and ends within a line; nothing if not."""
    age = abs(time.time() - Path(path).stat().st_mtime)  # the clock of another host may be ahead
    with Path(path).open("rb") as content:
        packed = PACKED.match(content.read(MAGIC_BYTES))
        size = content.seek(0, os.SEEK_END)
        content.seek(max(0, size - 2))
        ended = bool(packed) or any(byte in b"\r\n" for byte in content.read())
    cut = _("{file}: changed {n} seconds ago and ends within a line", file=name, n=round(age))
    return "" if ended or age >= settle else cut


def _is_last_number_cut(tail: str) -> bool:
    """Return True if the last line is not ended, and ends with fewer decimals than every line above it."""
    *lines, last = tail.splitlines()[1:] or [""]
    if len(lines) < FEWEST_ALIKE or tail.endswith(("\n", "\r")):
        return False
    found = [LAST_NUMBER.search(line) for line in (*lines, last)]
    decimals = [len(one[1] or one[2] or "") for one in found if one]
    return len(decimals) == len(found) and len({*decimals[:-1]}) == 1 and decimals[-1] < decimals[0]


def _in_groups(files: Iterable[LandingFile]) -> Iterator[list[LandingFile]]:
    """Yield files in order, small ones some at a time; a file of unknown size stands alone."""
    group: list[LandingFile] = []
    size = 0
    for file in files:
        size += file.bytes or GROUP_BYTES
        if group and (size > GROUP_BYTES or len(group) == GROUP_FILES):
            yield group
            group, size = [], file.bytes or GROUP_BYTES
        group.append(file)
    if group:
        yield group


def _parse_together(readers: list[FileReader]) -> list[FileReader]:
    """Return readers with the content of small files, and with their rows if the files are alike."""
    with suppress(Exception):  # whatever it is, the file with which it happens says so when it is read by itself
        readers = [replace(reader, raw=reader.system.cat_file(reader.path)) for reader in readers]
        if rows := _parse_alike(readers):
            return [replace(reader, parsed=(one,)) for reader, one in zip(readers, rows, strict=True)]
    return readers


def _parse_alike(readers: Sequence[FileReader]) -> list[Rows] | None:
    """Return the rows of each of some small CSV files, parsed as one; None if headers differ, or a line does not fit."""
    texts = []  # parsed as one, because a parser takes as long to begin as to read a small file
    for reader in readers:
        found, _ = detect_format(io.BytesIO(reader.raw[:FORMAT_BYTES]), reader.name)
        if found is not TEXT or reader.raw.startswith(GZIP_MAGIC):
            return None
        pieces = TEXT.read(iter([reader.raw]), reader.name, reader.options.encoding)
        texts.append(skip_preamble(b"".join(piece for piece, _ in pieces)))
    header, like = first_line(texts[0]), readers[0]
    if not header or b'"' in header or not all(text.startswith(header) for text in texts):
        return None
    layout = layout_of(head_of(texts[0]) or [], like.name, like.options.separator, like.options.columns)
    if layout.size != len(header):  # it is not in the first line
        return None
    mark = secrets.token_hex().encode()  # in every field of the line that ends a file, and nowhere else
    end = layout.separator.encode().join([mark] * len(layout.header)) + b"\n"
    parts = (part for text in texts for part in (memoryview(text)[len(header) :], end))
    records = records_of(b"".join(parts), layout, last=True)
    table, bad = read_records(records, layout, 0, like.name)
    ends = np.flatnonzero(pc.fill_null(pc.equal(table[0], mark.decode()), False).to_numpy())
    if bad or records.ragged or len(ends) != len(texts):
        return None
    starts = [0, *(ends[:-1] + 1)]
    tables = [table.slice(start, end - start) for start, end in zip(starts, ends, strict=True)]
    return [set_apart(Rows(layout.header, one, [], 1, True), like.options.columns, layout.separator) for one in tables]


def read_files(
    landing: str,
    files: Iterable[LandingFile | str],
    run_date: dt.date | Sequence[dt.date],
    *,
    encoding: str = AUTO,
    separator: str = AUTO,
    columns: Columns = Columns(),
    further: bool = True,
    fill_down: Sequence[str] = (),
    count_orders: Sequence[str] = (),
    settle: float = 0,
) -> Reading:
    """Read landing files of any format as text, in batches of about 64 MB.

    ``files`` are those of `list_files`, or their paths; of several run dates, a file belongs to the first that sees it. Iterate
    over the result: pairs of files (rows of ``landing_files``) and their rows of ``retail_transactions_bronze``; afterwards
    ``refused`` says which files were not read, and why, and ``left_out`` which sheets of workbooks. ``further=False`` leaves out
    columns without a meaning. Blank cells under the headers in ``fill_down`` take the value above. ``count_orders`` names the
    columns of bronze that tell orders apart, such as ``("Invoice",)``: then ``_rescued_data`` has the number of each line within
    its order. ``settle`` leaves files on a disk that are not whole yet for the next run, and names them in ``waiting``: those
    that change while they are read, that a program is still writing, or that changed less than this many seconds ago and do not
    end with a line break.

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
    run_dates = [run_date] if isinstance(run_date, dt.date) else run_date
    options = ReadOptions(encoding, separator, columns, further, fill_down, count_orders)
    return Reading(landing, listed, run_dates, options, settle)


def why_not_read(name: str, error: BaseException) -> str:
    """Return in one line why a file was not read."""
    if isinstance(error, InputError):
        return " ".join(str(error).split())
    if known := explain_cloud_error(error):
        return f"{name}: cannot be read ({known})"
    if isinstance(error, FileNotFoundError) and "\\x" in name:
        return _("{file}: its name is not UTF-8", file=name) + "; " + _("rename it, then run again")
    if isinstance(error, MemoryError):
        return f"{name}: {NO_MEMORY}"
    why = getattr(error, "strerror", None) or type(error).__name__
    said = _("{file}: cannot be read ({error})", file=name, error=why)
    return said + "; " + _("see whether it is there, whole, and may be read, then run again")


def _ledger(rows: list[tuple]) -> pa.Table:
    """Return rows of ``landing_files`` without layer, rows and version."""
    types = [pa.string(), pa.date32(), pa.int64(), pa.string(), pa.date32(), pa.string()]
    names = ["source_file", "file_date", "bytes", "sha256", "processing_date", "token"]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names)
