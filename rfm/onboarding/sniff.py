"""Find a shop's files, read their beginnings, and find the line of a file on which a row is."""

from __future__ import annotations

import csv
import fnmatch
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import fsspec
import pandas as pd
import pyarrow as pa

from rfm.analysis.cleaning import EXPECTATIONS, FURTHER
from rfm.analysis.quality.gate import FITS_HEADER, QuarantineReason
from rfm.config import EXTRA_KEYS, Columns, plain_name
from rfm.errors import InputError, SettingsError, friendly_io_errors
from rfm.landing.csv import read_records, records_of
from rfm.landing.decode import FORMATS, GZIP_MAGIC, UTF8_BOM, UTF16_BOMS, after_last_line, decode_stream, detect_format
from rfm.landing.files import filesystem, outside_reports, temporary, walk
from rfm.landing.header import (
    AUTO,
    BLANK,
    FIRST_LINES,
    detect_separator,
    head_of,
    kind_of,
    place_header,
    plain_names,
    required,
    skip_preamble,
    whitespace_reader,
    with_places,
)
from rfm.onboarding.columns import MADE, ROLES, name_score
from rfm.settings import Settings, absolute

# ── the beginning of a file ──────────────────────────────────────────
GLANCE = 8 << 20  # bytes that are read
WESTERN = (  # the letters of each language beside a to z
    "äöüÄÖÜß", "àâçèéêëîïôùûœæÀÇÈÉÊŒ", "áéíñóúüÁÉÍÑÓÚ¿¡", "àèéìòùÀÈÉ", "àáâãçéêíóôõúÁÂÃÇÉÊÍÓÔÕÚ", "åäöéÅÄÖ", "æøåéÆØÅ", "ëéèïöüó",
    "áðéíóúýþæöÁÐÉÍÓÚÝÞÆÖ",
)  # fmt: skip
CENTRAL = (
    "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "áčďéěíňóřšťúůýžÁČĎÉĚÍŇÓŘŠŤÚŮÝŽ", "áäčďéíĺľňóôŕšťúýžÁČĎÉÍĽŇÓŠŤÚÝŽ", "áéíóöőúüűÁÉÍÓÖŐÚÜŰ",
    "ăâîșțşţĂÂÎŞŢ", "čćđšžČĆĐŠŽ", "äöüÄÖÜß",
)  # fmt: skip
CODECS: dict[str, tuple[str, ...]] = {  # the most likely first
    "cp1252": WESTERN, "cp850": WESTERN, "mac_roman": WESTERN, "cp1250": CENTRAL, "iso8859_2": CENTRAL,
    "cp1254": ("çğıöşüÇĞİÖŞÜâî",), "cp1257": ("ąčęėįšųūžĄČĘĖĮŠŲŪŽ", "āčēģīķļņšūžĀČĒĢĪĶĻŅŠŪŽ", "äõöüšžÄÕÖÜŠŽ"),
    "cp1255": ("א-ת",), "cp1251": ("а-яіїєґА-Я",), "koi8_r": ("а-яА-Я",), "cp866": ("а-яА-Я",),
    "cp1253": ("α-ωάέήίόύώϊΑ-ΩΆΈΉΊΌ",),
    "cp1256": ("ء-ي",), "cp949": ("가-힣",), "gb18030": ("一-龠",), "euc_jp": ("ぁ-ヶー一-龠",),
    "big5": ("一-龠",), "cp932": ("ぁ-ヶー一-龠",),
}  # fmt: skip
COMMON = "€£°’‘“”–…§«»º\u00a0"
USUAL = {  # first bytes of the characters that are in daily use, of codecs with two bytes per character
    "cp949": ((0xB0, 0xC8),), "gb18030": ((0xB0, 0xD7),), "big5": ((0xA4, 0xC6),), "euc_jp": ((0xA4, 0xA5), (0xB0, 0xCF)),
    "cp932": ((0x82, 0x83), (0x88, 0x98)),
}  # fmt: skip
NAMES = {"cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp932": "Shift JIS"}


class FileProfile(NamedTuple):
    """The encoding, the separator and the first lines of a file."""

    encoding: str  # in words
    codec: str  # as `files.encoding` takes it
    separator: str  # as `files.separator` takes it
    between: str  # the separator itself
    lines: pa.Table
    ragged: int  # lines with another number of fields
    whole: bool  # True if these are all lines
    header: str
    sheets: dict[str, str]  # of a workbook: "read", or why not


def sniff(system: fsspec.AbstractFileSystem, path: str, name: str, limit: int = GLANCE) -> FileProfile:
    """Read the beginning of a file."""
    with system.open(path, "rb") as file:
        encoding, codec = _encoding(file.read(limit))
    with system.open(path, "rb") as file:
        sheets: dict[str, str] = {}
        text, last = _beginning(decode_stream(file, name, codec, sheets), limit)
    text = skip_preamble(text)
    if len(text) > limit:
        text, last = text[: after_last_line(text[:limit])], False
    if not text:
        raise InputError(f"{name}: is empty; export it again")
    return _table(text, last, name, encoding, codec, sheets)


def _beginning(pieces: Iterator[tuple[bytes, bool]], limit: int) -> tuple[bytes, bool]:
    """Return the beginning of a text, and True if it is the whole text."""
    text, last = b"", False
    while not last and len(text) <= limit:
        piece, last = next(pieces)
        text += piece
    return text, last


def _table(text: bytes, last: bool, name: str, encoding: str, codec: str, sheets: dict[str, str] | None = None) -> FileProfile:
    """Parse the beginning of a file."""
    between = detect_separator(text, blanks=True)
    layout = place_header(head_of(text) or [], between)
    header = text[: layout.size].splitlines()[-1].decode("utf-8", "replace").strip()
    names = with_places(layout.header)
    table, bad = read_records(records_of(text[layout.size :], layout, last), layout, 1, name)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    kept = pa.array([not kind_of(row, names) for row in rows], pa.bool_())
    wanted = BLANK if between == BLANK else AUTO
    lines = table.filter(kept).rename_columns(names)
    ragged = sum(not kind_of(next(whitespace_reader([one["_raw"]], between), []), names, ragged=True) for one in bad)
    return FileProfile(encoding, codec, wanted, between, lines, ragged, last, header, sheets or {})


def _encoding(raw: bytes) -> tuple[str, str]:
    """Detect an encoding; return it in words, and as the codec to set."""
    if raw.startswith(GZIP_MAGIC):
        return "gzip", AUTO
    if label := next((one.label for one in FORMATS if one.label and re.match(one.magic, raw, re.DOTALL)), ""):
        return label, AUTO
    if raw.startswith(UTF16_BOMS):
        return "UTF-16", AUTO
    if codec := _utf16(raw[: 1 << 16]):
        return "UTF-16 without a byte order mark", codec
    if _is_utf8(raw):
        return "UTF-8 with a byte order mark" if raw.startswith(UTF8_BOM) else "ASCII" if raw.isascii() else "UTF-8", AUTO
    sample = raw[: 1 << 18]
    codec = max(CODECS, key=lambda one: _likeness(sample, one))
    return NAMES.get(codec, codec), AUTO if codec == "cp1252" else codec


def _utf16(raw: bytes) -> str:
    """Return the order of bytes of UTF-16 without a mark: digits and separators have a zero on the same side; else nothing."""
    zeros = raw[::2].count(0), raw[1::2].count(0)
    if max(zeros) < 0.1 * len(raw) / 2 or min(zeros) > 0.1 * max(zeros):
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _likeness(raw: bytes, codec: str) -> tuple[int, float]:
    """Return how much a text looks like one of a codec: headers that are words, and letters of one language."""
    text = raw.decode(codec, "replace")
    odd = Counter(letter for letter in text if not letter.isascii())
    words = {word for line in text.splitlines()[:5] for word in re.split(r"[,;|\t\"]", line) if not word.isascii()}
    known = sum(any(name_score(role, word) >= MADE for role in ROLES) for word in words)
    usual = {letter for letter in odd if _is_usual(letter, codec)}
    languages = [usual & set(re.findall(f"[{letters}{COMMON}]", "".join(odd))) for letters in CODECS[codec]]
    fitting = max(sum(map(odd.__getitem__, letters)) for letters in languages)
    swapped = len(re.findall(r"[a-zа-я][А-Я]", text))  # of two codecs for one script, one mixes the cases
    return known, (fitting - swapped) / max(odd.total(), 1)


def _is_usual(letter: str, codec: str) -> bool:
    """Return True for a letter in daily use."""
    first = letter.encode(codec, "replace")[0]
    return codec not in USUAL or any(least <= first <= most for least, most in USUAL[codec])


def _is_utf8(raw: bytes) -> bool:
    """Return True if bytes are UTF-8, apart from a last character that may be cut."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(raw) - 4
    return True


# ── the line of a row ────────────────────────────────────────────────
Row = tuple[str | None, ...]


def _line_numbers(
    system: Any, path: str, rows: Iterable[Mapping[str, Any]], columns: Columns, between: str, encoding: str = AUTO
) -> list[int | None]:
    """Return the first line of each row; None for a row that is not found."""
    with system.open(path, "rb") as file:
        rows_of = whitespace_reader(_lines(file, path, encoding), between)
        header = _header(rows_of, plain_names(required(columns)))
        named = {raw: plain_name(name) for raw, name in columns.headers.items() if name and plain_name(name) in header}
        if columns.hash_customers:
            named.pop("CustomerID", None)
        places = [header.index(name) for name in named.values()]
        wanted = [tuple(row[raw] for raw in named) for row in rows]
        found = _first(rows_of, places, set(wanted))
    with system.open(path, "rb") as file:
        above = 1 if detect_format(file, path)[0].suffixes else 0  # the header is no line of Parquet or JSON lines
    return [found[row] - above if row in found else None for row in wanted]


def _header(reader: Any, wanted: set[str]) -> list[str]:
    """Return the names in the header that the next rows begin with, as they are compared."""
    names: list[str] = []
    for _, row in zip(range(FIRST_LINES), reader, strict=False):
        names = max(names, [plain_name(name) for name in row], key=lambda one: len(wanted.intersection(one)))
        if wanted <= set(names):
            break
    return [plain_name(name) for name in with_places(names)]


def _first(reader: Any, places: list[int], wanted: set[Row]) -> dict[Row, int]:
    """Return the first line of each row that is found."""
    found: dict[Row, int] = {}
    try:
        for row in reader:
            if len(row) > max(places, default=0):
                values = tuple(row[place] or None for place in places)
                if values in wanted and values not in found:
                    found[values] = reader.line_num
                    if len(found) == len(wanted):
                        break
    except csv.Error:  # a field is longer than the reader allows; rows after it are not found
        pass
    return found


def _lines(file: Any, name: str, encoding: str) -> Iterator[str]:
    rest = ""
    for text, _ in decode_stream(file, name, encoding):
        *lines, rest = (rest + text.decode("utf-8", "replace")).splitlines(keepends=True) or [""]
        if rest.endswith("\n"):
            lines, rest = [*lines, rest], ""
        yield from lines
    yield rest


# ── files named on the command line ────────────────────────────────────────
class Input(NamedTuple):
    """A folder, and files below it."""

    landing: str
    system: Any
    root: str
    names: list[str]


def input_of(files: Sequence[str], pattern: str) -> Input:
    """Find files, and the one folder that has them all."""
    found = [one for file in files for one in _files(absolute(file), pattern)]
    folders = [one.rpartition("/")[0] for one in found]
    landing = folders[0] if len(set(folders)) == 1 else _common(folders)
    system, root = filesystem(landing)
    return Input(landing, system, root, [one.removeprefix(f"{landing}/") for one in dict.fromkeys(found)])


def _common(folders: Sequence[str]) -> str:
    """Return the folder above all folders."""
    if any("://" in folder for folder in folders):
        return os.path.commonprefix([f"{folder}/" for folder in folders]).rpartition("/")[0]
    return os.path.commonpath(folders)


def _files(address: str, pattern: str) -> list[str]:
    """Return a file, or the files of a folder."""
    system, root = filesystem(address)
    with friendly_io_errors(f"{address}: cannot be read"):
        there, folder = system.exists(root), system.isdir(root)
        names = sorted(walk(address)[0]) if folder else []
    if not there:
        raise SettingsError(f"{address}: there is no such file; correct its name")
    if not folder:
        return [address]
    shown = [name.removeprefix(root).lstrip("/") for name in outside_reports(names)]
    kept = [name for name in shown if not temporary(name)]
    if not kept:
        raise SettingsError(f"{address}: the folder has no files; name another")
    seen = [name for name in kept if fnmatch.fnmatch(PurePosixPath(name).name, pattern)]
    return [f"{address}/{name}" for name in seen or kept]


# ── the beginnings of several files ──────────────────────────────────
Tell = Callable[[str, int, int | None], None]
MOST_FILES = 40  # that are sampled, from the first to the last


@dataclass
class Sample:
    """Beginnings of files that have the same columns."""

    glances: dict[str, FileProfile] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # file: why it cannot be read
    others: dict[str, str] = field(default_factory=dict)  # file with other columns: its header

    @property
    def first(self) -> FileProfile:
        """The first of the files."""
        return next(iter(self.glances.values()))

    @property
    def lines(self) -> pd.DataFrame:
        """Lines of all files as text, under the names in the header."""
        frames = [one.lines.to_pandas(types_mapper=pd.ArrowDtype) for one in self.glances.values()]
        return pd.concat(frames, ignore_index=True)

    @property
    def sources(self) -> pd.Series:
        """File of each line."""
        names = [name for name, one in self.glances.items() for _ in range(one.lines.num_rows)]
        return pd.Series(pd.Categorical(names), dtype="category")


def silent(what: str, done: int, of: int | None) -> None:
    """Ignore the progress of a check."""


def look_at(place: Input, tell: Tell = silent) -> Sample:
    """Read the beginnings of files."""
    sample, names = Sample(), _spread(place.names, MOST_FILES)
    for done, name in enumerate(names):
        tell("sampling files", done, len(names))
        try:
            with friendly_io_errors(f"{name}: cannot be read"):
                path = f"{place.root}/{name}"
                sample.glances[name] = sniff(place.system, path, PurePosixPath(name).name, GLANCE // len(names))
        except InputError as error:
            sample.refused[name] = str(error)
    return _of_one_kind(sample)


def _spread(names: Sequence[str], most: int) -> list[str]:
    """Return at most `most` names, evenly from the first to the last."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def _of_one_kind(sample: Sample) -> Sample:
    """Keep the files whose columns most files have, and list the others."""
    headers = [tuple(one.lines.column_names) for one in sample.glances.values()]
    usual = max(headers, key=headers.count, default=())
    for name, one in list(sample.glances.items()):
        if tuple(one.lines.column_names) != usual:
            sample.others[name] = one.header
            del sample.glances[name]
    return sample


# ── examples of dropped lines ────────────────────────────────────────
COLUMN = {rule.name: rule.column for rule in EXPECTATIONS}
MEANINGS = {rule.name: rule.meaning for rule in EXPECTATIONS} | {FITS_HEADER: "as many fields as the header"}


class Example(NamedTuple):
    """A rule, how many lines break it, and one of these lines."""

    rule: str
    meaning: str
    lines: int
    file: str
    line: int | None
    column: str
    value: str | None


def example_of(reason: QuarantineReason, place: Input, settings: Settings, between: str) -> Example:
    """Return a dropped line as an example of a reason."""
    row, rule = reason.example, reason.rule
    rescued = json.loads(row["_rescued_data"] or "{}")
    file = str(row["source_file"])
    if rule == FITS_HEADER:
        return Example(rule, MEANINGS[rule], reason.rows, file, rescued.get("_line"), "", rescued.get("_raw"))
    (line,) = _line_numbers(place.system, f"{place.root}/{file}", [row], settings.columns, between, settings.files.encoding)
    further = [(names, one.meaning) for names, one in FURTHER.items() if one.name == rule]
    for names, meaning in further:
        name, header = next((name, header) for name, header in settings.columns.extras.items() if name in names)
        return Example(rule, meaning, reason.rows, file, line, header, rescued.get(EXTRA_KEYS[name]))
    raw = COLUMN.get(rule, "")
    named = settings.columns.headers[raw] if raw else ""
    return Example(rule, MEANINGS.get(rule, ""), reason.rows, file, line, named, row.get(raw))
