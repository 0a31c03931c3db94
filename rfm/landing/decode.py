"""Decode landing files of any format and encoding to UTF-8 text or columns of text; replace customer ids by keyed hashes."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import hmac
import io
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from rfm.dialect import BLANKS, Columns
from rfm.errors import InputError, SettingsError, first_line
from rfm.landing.header import AUTO, SEND_AGAIN, Rows, numbered, text_rows, valid
from rfm.landing.sheets import ODS, PIECE, ROWS, as_csv, read_archive, read_workbook
from rfm.words import N_, _


class Format(NamedTuple):
    """A file format: its name (empty for text), a pattern of its first bytes, suffixes, and what reads its unpacked bytes."""

    label: str
    magic: bytes
    suffixes: tuple[str, ...]
    read: Callable[[Iterator[bytes], str, str], Iterator[Any]]
    kind: str = "rows"  # what that yields: "text", "rows", "sheets" or "files"
    by_line: bool = False  # text, whose lines all have an end; a cut file of any other format is damaged


def detect_format(source: Any, name: str, packed: bool = False) -> tuple[Format, Iterator[bytes]]:
    """Return the format of a file and its unpacked bytes; refuse files that cannot hold sales."""
    chunks = _unpack(source, name)
    first, stem = next(chunks, b""), name.lower().removesuffix(".gz")
    found = next((one for one in FORMATS if one.magic and re.match(one.magic, first, re.DOTALL)), None)
    found = found or next((one for one in FORMATS if one.suffixes and stem.endswith(one.suffixes)), None)
    if not found and (kind := next((kind for start, kind in REFUSED.items() if re.match(start, first, re.DOTALL)), None)):
        said = _("{file}: not a sales file but {what}").format(file=name, what=_(kind))
        raise InputError(said + "; " + _("export it as CSV and send it again"))
    if packed and found and found.kind == "files":
        said = _("{file}: an archive in an archive", file=name)
        raise InputError(said + "; " + _("unpack it and send the files in it"))
    return found or TEXT, chain([first], chunks)


def to_utf8(raw: bytes, name: str, encoding: str = AUTO) -> bytes:
    """Return the content of a file as UTF-8 without a byte order mark, ending with a line end."""
    return b"".join(text for text, _ in decode_stream(io.BytesIO(raw), name, encoding))


def decode_stream(
    source: Any, name: str, encoding: str = AUTO, sheets: dict[str, str] | None = None, packed: bool = False
) -> Iterator[tuple[bytes, bool]]:
    """Yield a file as CSV text in UTF-8, and whether a piece is the last; ``sheets`` gets whether each sheet is read."""
    found, chunks = detect_format(source, name, packed)
    pieces = found.read(chunks, name, encoding)
    if found.kind == "files":
        for member, file in pieces:  # the first file of an archive
            yield from decode_stream(file, f"{name}: {member}", encoding, sheets, packed=True)
            return
    if found.kind == "sheets":
        pieces = as_csv(list(pieces), {} if sheets is None else sheets)
    yield from pieces if found is TEXT else _mark_last(pieces if found.kind == "sheets" else _as_csv(pieces))


def _as_csv(pieces: Iterator[Rows]) -> Iterator[bytes]:
    """Yield rows as CSV text under the header of the first piece."""
    first = next(pieces, Rows([], pa.table({}), []))
    names = io.StringIO()
    csv.writer(names, lineterminator="\n").writerow(first.header)
    yield names.getvalue().encode("utf-8", "replace")
    for piece in chain([first], pieces):
        table, lines = piece.table, io.BytesIO()
        if table.num_rows and first.header:
            table = table.select(range(len(first.header)))
            pyarrow.csv.write_csv(table, lines, pyarrow.csv.WriteOptions(include_header=False))
        yield lines.getvalue() + "".join(f"{line['_raw']}\n" for line in piece.bad).encode()


def _unpack(source: Any, name: str) -> Iterator[bytes]:
    """Yield the content in chunks, unpacked if it is gzip."""
    buffered = io.BufferedReader(source)
    unpacked: Any = gzip.GzipFile(fileobj=buffered) if buffered.peek(2).startswith(GZIP_MAGIC) else buffered
    try:
        while chunk := unpacked.read(PIECE):
            yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        said = _("{file}: damaged gzip ({error})", file=name, error=error)
        raise InputError(f"{said}; {_(SEND_AGAIN)}") from None


def _read_parquet(chunks: Iterator[bytes], name: str, encoding: str) -> Iterator[Rows]:
    """Yield the rows of a Parquet file, some of a row group at a time."""
    from pyarrow import parquet

    with SpooledTemporaryFile(8 * PIECE) as held:  # the columns are found from the end of the file
        held.writelines(chunks)
        try:
            file = parquet.ParquetFile(held)
            header = file.schema_arrow.names
            yield text_rows(header, [])
            for batch in file.iter_batches(ROWS):
                yield Rows(header, numbered([_column_text(column) for column in batch.columns]), [])
        except (pa.ArrowException, OSError) as error:
            said = _("{file}: a Parquet file that cannot be read ({error})", file=name, error=first_line(error))
            raise InputError(f"{said}; {_(SEND_AGAIN)}") from None


def _column_text(column: pa.Array) -> pa.Array:
    """Return a column as text, as in a CSV file: dates as in a workbook, decimals with all digits."""
    kind = column.type
    if pa.types.is_dictionary(kind) or isinstance(column, pa.ExtensionArray):
        return _column_text(column.dictionary_decode() if pa.types.is_dictionary(kind) else column.storage)
    if pa.types.is_nested(kind):
        texts = [None if one is None else json.dumps(one, ensure_ascii=False, default=str) for one in column.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([one and one.decode("utf-8", "replace") or None for one in column.to_pylist()], pa.string())
    if pa.types.is_floating(kind):
        column = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        column = pc.if_else(pc.is_nan(column), None, column)
    text = column.cast(pa.string())
    if (pa.types.is_floating(kind) or pa.types.is_decimal(kind)) and pc.any(pc.match_substring_regex(text, "[eE]")).as_py():
        text = pa.array([one and _without_exponent(one) for one in text.to_pylist()], pa.string())
    if pa.types.is_temporal(kind):
        text = pc.replace_substring_regex(text, r"\.0+(Z|[+-]\d{4})?$", r"\1")
        text = pc.replace_substring_regex(text, r" 00:00:00$", "")
    return pc.if_else(pc.equal(text, ""), None, text)


def _without_exponent(text: str) -> str:
    """Return a number with all its digits, as silver reads no exponents, unless these are hundreds."""
    if "e" not in text.lower():
        return text
    number = Decimal(text)
    return format(number, "f") if abs(number.adjusted()) < 100 else text


# ── JSON lines ────────────────────────────────────────────────────────────
def _read_json_lines(chunks: Iterator[bytes], name: str, encoding: str) -> Iterator[Rows]:
    """Yield one row per line that is a JSON object; the header grows by the keys of later lines."""
    header: dict[str, None] = {}
    rest, number = b"", 0
    for text, last in _read_text(chunks, name, encoding):
        text = rest + text
        end = len(text) if last else after_last_line(text)
        lines, rest = text[:end].splitlines(), text[end:]
        rows, bad = _json_rows(lines, number)
        header |= dict.fromkeys(chain.from_iterable(rows))
        arrays = [pa.array([row.get(key) for row in rows], pa.string()) for key in header]
        number += len(lines)
        yield Rows(list(header), numbered(arrays), bad)


def _json_rows(lines: list[bytes], before: int) -> tuple[list[dict[str, str | None]], list[dict]]:
    """Return the objects in lines as text, and the lines that are none with their number."""
    rows, bad = [], []
    for number, line in enumerate(lines, before + 1):
        if not line.strip():
            continue
        try:
            rows.append(_json_row(line))
        except (ValueError, RecursionError):
            bad.append({"_raw": line.decode("utf-8", "replace"), "_line": number})
    return rows, bad


def _json_row(line: bytes) -> dict[str, str | None]:
    """Return a JSON object as text by key, its numbers with the digits that they have in the line."""
    texts: dict[str, Any] = {"parse_int": str, "parse_float": lambda text: re.sub(r"\.0+$", "", _without_exponent(text))}
    found = json.loads(line, object_pairs_hook=_unique, parse_constant=lambda text: text.replace("NaN", ""), **texts)
    if not isinstance(found, dict):
        raise ValueError
    if any(isinstance(value, dict | list) for value in found.values()):
        nested = {key: value for key, value in json.loads(line).items() if isinstance(value, dict | list)}
        found |= {key: json.dumps(value, ensure_ascii=False) for key, value in nested.items()}
    return {valid(key): _json_text(value) for key, value in found.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, unless it has a key twice: one of the values would be lost."""
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError
    return found


def _json_text(value: Any) -> str | None:
    return str(value).lower() if isinstance(value, bool) else valid(value) or None if value else None


# ── text ────────────────────────────────────────────────────────────
LONGEST_LINE = 64 << 20
GZIP_MAGIC, UTF8_BOM, UTF16_BOMS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


def _read_text(chunks: Iterator[bytes], name: str, encoding: str) -> Iterator[tuple[bytes, bool]]:
    """Yield text as UTF-8; where no encoding is set, each line that is not UTF-8 is read as Windows-1252."""
    first = next(chunks, b"")
    codec = "utf-16" if encoding == AUTO and first.startswith(UTF16_BOMS) else encoding
    chunks = chain([first], chunks)
    return _mark_last(_by_line(chunks, name) if codec == AUTO else _decode(chunks, codec, name))


def _mark_last(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield pieces of text without a byte order mark, the last with a line end, and whether a piece is the last."""
    text = next(pieces, b"").removeprefix(UTF8_BOM)
    for following in pieces:
        yield text, False
        text = following
    yield text if text.endswith((b"\n", b"\r")) else text + b"\n", True


def _decode(chunks: Iterable[bytes], codec: str, name: str) -> Iterator[bytes]:
    """Yield chunks of an encoding as UTF-8, cut between characters."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "replace")
        yield decoder.decode(b"", final=True).encode("utf-8", "replace")
    except UnicodeError:
        said = _("{file}: is not text in {codec}", file=name, codec=codec)
        raise InputError(said + "; " + _("set [files] encoding to its own, or to auto")) from None


def _by_line(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield chunks as UTF-8, cut at line ends, each line by itself where one is not UTF-8."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = after_last_line(text)
        rest = text[end:]
        if len(rest) > LONGEST_LINE:
            said = _("{file}: more than {n} MB without a line end", file=name, n=LONGEST_LINE >> 20)
            raise InputError(said + "; " + _("see whether it is a sales file"))
        if end:
            yield _lines_utf8(text[:end])
    if rest:
        yield _lines_utf8(rest)


def after_last_line(text: bytes) -> int:
    """Return the place after the last line end, 0 if there is none."""
    return text.rfind(b"\n") + 1 or text.rfind(b"\r") + 1


def _lines_utf8(raw: bytes) -> bytes:
    """Return lines as UTF-8."""
    if raw.isascii() or _is_utf8(raw):
        return raw
    return b"\n".join(line if _is_utf8(line) else line.decode("cp1252", "replace").encode() for line in raw.split(b"\n"))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# ── the table of formats ────────────────────────────────────────────────────────────
# To read another format, write a function that yields its rows as `Rows` and add one line here; everything behind it
# (column names, further columns, hashed customers, `rfm check`) works on `Rows`. The first magic that fits the unpacked
# bytes decides, then the suffix of the name (without .gz); a file without either is CSV text.
TEXT = Format("", b"", (), _read_text, "text", by_line=True)  # records and columns are found by `rfm.landing.csv`
JSON_LINE = rb'(?:\xef\xbb\xbf)?\s*\{[^\S\r\n]*(?:"[^\r\n]*)?\}[^\S\r\n]*(?:[\r\n]|\Z)'
OFFICE = rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|docProps/|customXml/|xl/|mimetype.{0,64}?%s)" % re.escape(ODS)
FORMATS = (
    Format("Parquet", rb"PAR1", (".parquet", ".pq"), _read_parquet),
    Format("JSON lines", JSON_LINE, (".jsonl", ".ndjson"), _read_json_lines, by_line=True),
    Format("a workbook", OFFICE, (), read_workbook, "sheets"),
    Format("a workbook", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", (), read_workbook, "sheets"),
    Format("a ZIP archive", rb"PK(?:\x03\x04|\x05\x06)", (), read_archive, "files"),
    TEXT,
)
PACKED = re.compile(b"|".join([GZIP_MAGIC, *(one.magic for one in FORMATS if not one.by_line)]), re.DOTALL)
REFUSED = {  # how files begin that are no sales files, and what they are
    rb"%PDF-": N_("a PDF document"),
    rb"7z\xbc\xaf\x27\x1c": N_("a 7z archive"),
    rb"Rar!\x1a\x07": N_("a RAR archive"),
    rb"BZh[1-9]1AY&SY": N_("a bzip2 archive"),
    rb"\xfd7zXZ\x00": N_("an xz archive"),
    rb"\x28\xb5\x2f\xfd": N_("a zstd archive"),
    rb"SQLite format 3\x00": N_("an SQLite database"),
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a": N_("a picture"),
    rb"\x7fELF|MZ\x90\x00": N_("a program"),
    rb"\s*(?i:<!doctype html|<html)": N_("an HTML page"),
    rb"\s*<\?xml": N_("an XML document"),
    rb"\s*(?:\{\s*[\"}]|\[\s*[\[\{\]])": N_("a JSON document"),
}

# ── customers ────────────────────────────────────────────────────────────
KEY = "RFM_CUSTOMER_KEY"  # environment variable


def pseudonymize(customer: str, key: bytes) -> str:
    """Return a customer id as a keyed hash, the same for ``13085`` and ``13085.0``; an empty id stays empty."""
    # 64 bits of HMAC-SHA-256 behind a letter, so that it stays text everywhere
    plain = customer.strip(BLANKS).removesuffix(".0")
    return f"c{hmac.new(key, plain.encode(), hashlib.sha256).hexdigest()[:16]}" if plain else ""


class Mask(NamedTuple):
    """Replaces customer ids by hashes while a file is read, and drops all text that may hold one."""

    key: bytes

    def __call__(self, column: Any) -> pa.Array:
        """Return a column of ids as hashes; what is missing stays so."""
        known = pa.chunked_array(column) if isinstance(column, pa.Array) else column
        coded = known.combine_chunks().dictionary_encode()
        hashes = pa.array([self.one(text) for text in coded.dictionary.to_pylist()], pa.string())
        return pa.DictionaryArray.from_arrays(coded.indices, hashes).cast(pa.string())

    def one(self, text: str | None) -> str | None:
        """Return the hash of an id, None if there is none."""
        return pseudonymize(text or "", self.key) or None

    def bad(self, lines: list[dict]) -> list[dict]:
        """Return lines that did not fit without their text."""
        return [{name: value for name, value in line.items() if name != "_raw"} for line in lines]


def mask_of(columns: Columns) -> Mask | None:
    """Return the mask if the shop wants its customers hashed."""
    if not columns.hash_customers:
        return None
    if not (key := os.environ.get(KEY, "").encode()):
        raise SettingsError(f"[columns] hash_customers needs a key: set {KEY} in the environment, and keep it")
    return Mask(key)
