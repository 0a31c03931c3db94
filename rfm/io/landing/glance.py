"""The beginning of a file of which nothing is known yet: its encoding, its separator, and its columns as they are called."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import fsspec
import pyarrow as pa

from rfm.io.landing.blanks import BLANK, reader
from rfm.io.landing.encoding import AUTO, GZIP_MAGIC, UTF8_BOM, UTF16_BOMS, after_last_line, texts
from rfm.io.landing.header import SEPARATORS, Layout, beginning, from_header
from rfm.io.landing.parse import read_records, records_of
from rfm.schema import InputError

GLANCE = 8 << 20  # bytes that are looked at
LINES = 50  # that tell the separator
WORKBOOKS = (b"PK", b"\xd0\xcf\x11\xe0")  # how they begin
CODECS = ("cp1252", "cp850", "mac_roman")  # of one byte a letter, in the order in which they are believed
LETTERS = frozenset("äöüÄÖÜßéèêëÉÈàâçîïôûùœñÑáíóúìò€£°’‘–§")  # what their bytes should be


class Glance(NamedTuple):
    """What the beginning of a file looks like.

    Parameters
    ----------
    encoding
        In words.
    codec, separator
        For the settings; ``auto`` where that finds out by itself.
    between
        The separator found.
    lines
        The lines that fit the header, as columns of text under the names in the header.
    ragged
        Lines that do not fit.
    whole
        Whether the file was seen to its end.
    header
        First line, as it stands there.
    """

    encoding: str
    codec: str
    separator: str
    between: str
    lines: pa.Table
    ragged: int
    whole: bool
    header: str


def glance(system: fsspec.AbstractFileSystem, path: str, name: str, limit: int = GLANCE) -> Glance:
    """Look at the beginning of a file.

    Parameters
    ----------
    system, path
        Where it lies.
    name
        For errors.
    limit
        Bytes of text to look at.

    Raises
    ------
    InputError
        If it is of a kind that is no text, is damaged, or holds no line.
    """
    with system.open(path, "rb") as file:
        encoding, codec = _encoding(file.read(limit))
    with system.open(path, "rb") as file:
        text, last = _beginning(texts(file, name, codec), limit)
    text = from_header(text)
    if len(text) > limit:
        text, last = text[: after_last_line(text[:limit])], False
    if not text:
        raise InputError(f"{name}: is empty; send it again")
    return _table(text, last, name, encoding, codec)


def _beginning(pieces: Iterator[tuple[bytes, bool]], limit: int) -> tuple[bytes, bool]:
    """Return so much of a text, or all of it, and whether it is all."""
    text, last = b"", False
    while not last and len(text) <= limit:
        piece, last = next(pieces)
        text += piece
    return text, last


def _table(text: bytes, last: bool, name: str, encoding: str, codec: str) -> Glance:
    """Return what UTF-8 text looks like."""
    between = separator_of(text)
    first = beginning(text)
    header = first.decode("utf-8", "replace").strip()
    names = unique([column.strip() for column in next(reader([header], between))])
    layout = Layout(between, names)
    table, bad = read_records(records_of(text[len(first) :], layout, last), layout, 1, name)
    wanted = BLANK if between == BLANK else AUTO
    return Glance(encoding, codec, wanted, between, table.rename_columns(names), len(bad), last, header)


def unique(names: list[str]) -> list[str]:
    """Return names that differ, each there and none empty."""
    named = [name or f"column {place}" for place, name in enumerate(names, 1)]
    seen = Counter(named)
    return [name if seen[name] == 1 else f"{name} (column {place})" for place, name in enumerate(named, 1)]


def separator_of(text: bytes) -> str:
    """Return the separator that gives the first lines of a text most columns, as many in most lines as in the header; or blanks.

    Parameters
    ----------
    text
        UTF-8.
    """
    lines = "\n".join(text[: 1 << 16].decode("utf-8", "replace").splitlines()[:LINES])

    def fit(separator: str) -> tuple[bool, int, int]:
        rows = [row for row in reader(io.StringIO(lines), separator) if row]
        width = len(rows[0]) if rows else 0
        alike = sum(len(row) == width for row in rows)
        return width > 1 and 2 * alike >= len(rows), width, alike

    found = max(SEPARATORS, key=fit)
    return found if fit(found)[0] or not fit(BLANK)[0] else BLANK


def _encoding(raw: bytes) -> tuple[str, str]:
    """Return how a content is encoded, in words and as the codec to set."""
    if raw.startswith((GZIP_MAGIC, *WORKBOOKS)):
        return "gzip" if raw.startswith(GZIP_MAGIC) else "a workbook", AUTO
    if raw.startswith(UTF16_BOMS):
        return "UTF-16", AUTO
    if 2 * raw[1:200:2].count(0) > len(raw[:200:2]) > 4 * raw[:200:2].count(0):
        return "UTF-16 without a mark", "utf-16-le"
    if _is_utf8(raw):
        return "UTF-8 with a mark" if raw.startswith(UTF8_BOM) else "ASCII" if raw.isascii() else "UTF-8", AUTO
    codec = max(CODECS, key=lambda one: sum(letter in LETTERS for letter in raw[: 1 << 20].decode(one, "replace")))
    return codec.replace("cp1252", "Windows-1252"), AUTO if codec == "cp1252" else codec


def _is_utf8(raw: bytes) -> bool:
    """Tell whether bytes are UTF-8, a last letter that was cut aside."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(raw) - 4
    return True
