"""A workbook as CSV text: the sheets that have the header of the first, one below the other.

Bytes of a landing file → UTF-8: gzip, byte order marks, any encoding; what is no text at all is refused by its kind.

Customers without their ids: each id becomes a keyed hash as it is read, and no text of the file is kept that may hold one.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import gzip
import hashlib
import hmac
import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO, StringIO
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from rfm.config import BLANKS, FLAG, Columns
from rfm.errors import InputError, SettingsError

# ── workbook ────────────────────────────────────────────────────────────
ROWS = 50_000  # rows of a piece


def as_csv(content: bytes, name: str, kind: str) -> Iterator[bytes]:
    """Yield a workbook as CSV in UTF-8, separated by commas, rows without a value left out."""
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_object(BytesIO(content))
        sheets = [book.get_sheet_by_name(sheet) for sheet in book.sheet_names]
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise InputError(f"{name}: not a sales file but {kind} that cannot be read ({error}); export it as CSV") from None
    header: list[str] | None = None
    for sheet in sheets:
        rows = (row for row in map(_texts, sheet.iter_rows()) if any(row))
        first = next(rows, None)
        if first and header in (None, first):
            yield from _pieces(rows, [first] if header is None else [])
            header = first


def _pieces(rows: Iterator[list[str]], waiting: list[list[str]]) -> Iterator[bytes]:
    """Yield rows as CSV, some at a time."""
    for row in rows:
        waiting.append(row)
        if len(waiting) >= ROWS:
            yield _csv(waiting)
            waiting = []
    yield _csv(waiting)


def _csv(rows: list[list[str]]) -> bytes:
    """Return rows as CSV."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _texts(row: list[Any]) -> list[str]:
    """Return cells as text."""
    return [_text(cell) for cell in row]


def _text(cell: Any) -> str:
    """Return a cell as text: whole numbers without decimals, days and times as ISO 8601 writes them."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, dt.datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    return str(cell)


# ── encoding ────────────────────────────────────────────────────────────
AUTO = "auto"
PIECE = 8 << 20  # bytes that are worked on at a time
LONGEST_LINE = 64 << 20
GZIP_MAGIC, UTF8_BOM, UTF16_BOMS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
KINDS = {  # how files begin that are sent in place of a CSV file, and what they are
    rb"%PDF-": "a PDF document",
    rb"PK\x03\x04(?=.{0,4000}(?:xl/|\[Content_Types\]))": "an XLSX workbook",
    rb"PK(?:\x03\x04|\x05\x06)": "a ZIP archive",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an XLS workbook",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive",
    rb"Rar!\x1a\x07": "a RAR archive",
    rb"BZh[1-9]1AY&SY": "a bzip2 archive",
    rb"\xfd7zXZ\x00": "an xz archive",
    rb"\x28\xb5\x2f\xfd": "a zstd archive",
    rb"PAR1": "a Parquet file",
    rb"SQLite format 3\x00": "an SQLite database",
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a": "a picture",
    rb"\x7fELF|MZ\x90\x00": "a program",
    rb"\s*(?i:<!doctype html|<html)": "an HTML page",
    rb"\s*<\?xml": "an XML document",
    rb"\s*(?:\{\s*[\"}]|\[\s*[\[\{\]])": "a JSON document",
}
KIND = re.compile(b"|".join(b"(%s)" % start for start in KINDS), re.DOTALL)
WORKBOOKS = {"an XLSX workbook", "an XLS workbook"}  # of these kinds, which are read


def to_utf8(raw: bytes, name: str, encoding: str = AUTO) -> bytes:
    """Return a content as UTF-8 without a byte order mark, ending with a line end."""
    return b"".join(text for text, _ in decode_stream(io.BytesIO(raw), name, encoding))


def decode_stream(source: Any, name: str, encoding: str = AUTO) -> Iterator[tuple[bytes, bool]]:
    """Yield the content of a landing file piece by piece as UTF-8 without a byte order mark, the last with a line end."""
    chunks = _chunks(source, name)
    first = next(chunks, b"")
    found = KIND.match(first)
    kind = list(KINDS.values())[found.lastindex - 1] if found and found.lastindex else None
    if kind in WORKBOOKS:
        yield from _with_last(as_csv(b"".join([first, *chunks]), name, kind))
        return
    if kind:
        raise InputError(f"{name}: not a sales file but {kind}; export it as CSV and send it again")
    codec = "utf-16" if encoding == AUTO and first.startswith(UTF16_BOMS) else encoding
    pieces = _by_line(chain([first], chunks), name) if codec == AUTO else _decoded(chain([first], chunks), codec)
    yield from _with_last(pieces)


def _with_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield pieces of text without a byte order mark, the last with a line end and marked."""
    text = next(pieces, b"").removeprefix(UTF8_BOM)
    for following in pieces:
        yield text, False
        text = following
    yield text if text.endswith((b"\n", b"\r")) else text + b"\n", True


def _chunks(source: Any, name: str) -> Iterator[bytes]:
    """Yield the content as it is, unpacked if it is gzip."""
    buffered = io.BufferedReader(source)
    unpacked: Any = gzip.GzipFile(fileobj=buffered) if buffered.peek(2).startswith(GZIP_MAGIC) else buffered
    try:
        while chunk := unpacked.read(PIECE):
            yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: damaged gzip ({error}); send the file again") from None


def _decoded(chunks: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Yield chunks of an encoding as UTF-8, cut between characters."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _by_line(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield chunks as UTF-8, cut at line ends, each line by itself where one is not UTF-8."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = after_last_line(text)
        rest = text[end:]
        if len(rest) > LONGEST_LINE:
            raise InputError(f"{name}: more than {LONGEST_LINE >> 20} MB without a line end; see whether it is a sales file")
        if end:
            yield _lines_utf8(text[:end])
    if rest:
        yield _lines_utf8(rest)


def after_last_line(text: bytes) -> int:
    """Return the place after the last line end, 0 if there is none."""
    return text.rfind(b"\n") + 1 or text.rfind(b"\r") + 1


def _lines_utf8(raw: bytes) -> bytes:
    """Return lines as UTF-8."""
    if raw.isascii():
        return raw
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raw = b"\n".join(_line_utf8(line) for line in raw.split(b"\n"))
    return raw


def _line_utf8(line: bytes) -> bytes:
    """Return a line as UTF-8, read as Windows-1252 where it is not UTF-8 already."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").encode()
    return line


# ── customers ────────────────────────────────────────────────────────────
KEY = "RFM_CUSTOMER_KEY"  # environment variable


class Mask(NamedTuple):
    """What hides customers."""

    key: bytes

    def __call__(self, ids: Any) -> pa.Array:
        """Return a column of ids as hashes; what is missing stays so."""
        known = pa.chunked_array(ids) if isinstance(ids, pa.Array) else ids
        coded = known.combine_chunks().dictionary_encode()
        hashes = pa.array([self.one(text) for text in coded.dictionary.to_pylist()], pa.string())
        return pa.DictionaryArray.from_arrays(coded.indices, hashes).cast(pa.string())

    def one(self, text: str | None) -> str | None:
        """Return the hash of an id: HMAC-SHA-256, 16 hexadecimal digits of it behind a letter; ``13085.0`` is ``13085``."""
        plain = (text or "").strip(BLANKS).removesuffix(".0")
        return f"c{hmac.new(self.key, plain.encode(), hashlib.sha256).hexdigest()[:16]}" if plain else None

    def extra(self, columns: Mapping[int, str]) -> dict[int, str]:
        """Return the further columns that are kept, by place and name: none but the flag, as any may hold ids or names."""
        return {place: name for place, name in columns.items() if name == FLAG}

    def bad(self, lines: list[dict]) -> list[dict]:
        """Return lines that did not fit without their text."""
        return [{name: value for name, value in line.items() if name != "_raw"} for line in lines]


def mask_of(columns: Columns) -> Mask | None:
    """Return what hides the customers, if the shop wants that."""
    if not columns.hash_customers:
        return None
    if not (key := os.environ.get(KEY, "").encode()):
        raise SettingsError(f"[columns] hash_customers needs a key: set {KEY} in the environment, and keep it")
    return Mask(key)
