"""Bytes of a landing file → UTF-8: gzip, byte order marks, any encoding; what is no text at all is refused by its kind."""

from __future__ import annotations

import gzip
import re
import zlib

from rfm.schema import InputError

AUTO = "auto"
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


def utf8(raw: bytes, name: str, encoding: str = AUTO) -> bytes:
    """Return the content of a landing file as UTF-8 without a byte order mark, ending with a line end.

    Parameters
    ----------
    raw
        Content, gzip or plain.
    name
        For errors.
    encoding
        Name of a codec; otherwise a byte order mark tells, and a line that is not UTF-8 is read as Windows-1252.
        What the encoding does not know becomes the replacement mark U+FFFD.

    Raises
    ------
    InputError
        If the gzip is damaged, or the file is of a kind that is no text (see `KINDS`).
    """
    raw = _unpacked(raw, name)
    if kind := next((said for start, said in KINDS.items() if re.match(start, raw, re.DOTALL)), None):
        raise InputError(f"{name}: not a sales file but {kind}; export it as CSV and send it again")
    text = _lines_utf8(raw) if encoding == AUTO else raw.decode(encoding, "replace").encode("utf-8", "replace")
    text = text.removeprefix(UTF8_BOM)
    return text if text.endswith((b"\n", b"\r")) else text + b"\n"


def _unpacked(raw: bytes, name: str) -> bytes:
    """Return the content, unpacked if it is gzip."""
    if not raw.startswith(GZIP_MAGIC):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: damaged gzip ({error}); send the file again") from None


def _lines_utf8(raw: bytes) -> bytes:
    """Return the content as UTF-8, by its byte order mark or else line by line."""
    if raw.startswith(UTF16_BOMS):
        raw = raw.decode("utf-16", "replace").encode("utf-8", "replace")
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
