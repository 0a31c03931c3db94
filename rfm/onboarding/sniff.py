"""Find a shop's files, detect their encoding, read their beginnings, and find the line of a file on which a row is."""

from __future__ import annotations

import csv
import fnmatch
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import fsspec
import pandas as pd
import pyarrow as pa

from rfm.analysis.cleaning import EXPECTATIONS, FURTHER
from rfm.analysis.quality.gate import FITS_HEADER, QuarantineReason
from rfm.dialect import EXTRA_KEYS, LANDING_COLUMNS, plain_name
from rfm.errors import InputError, SettingsError, friendly_io_errors
from rfm.landing.csv import read_records, records_of
from rfm.landing.decode import FORMATS, GZIP_MAGIC, UTF8_BOM, UTF16_BOMS, after_last_line, decode_stream, detect_format
from rfm.landing.files import filesystem, outside_reports, spelled, temporary, walk
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
from rfm.landing.reader import why_not_read
from rfm.onboarding.columns import HEAD, MADE, ROLES, VOCABULARY, name_score, named_for
from rfm.settings import Settings, absolute

# ── the encoding ─────────────────────────────────────────────────────
# of each codec, the most likely first, the letters of its languages
CODECS: dict[str, list[str]] = {codec: VOCABULARY["letters"][letters] for codec, letters in VOCABULARY["codecs"].items()}
COMMON = "€£°’‘“”–…§«»º\u00a0"
USUAL = {  # first bytes of the characters that are in daily use, of codecs with two bytes per character
    "cp949": ((0xB0, 0xC8),), "gb18030": ((0xB0, 0xD7),), "big5": ((0xA4, 0xC6),), "euc_jp": ((0xA4, 0xA5), (0xB0, 0xCF)),
    "cp932": ((0x82, 0x83), (0x88, 0x98)),
}  # fmt: skip
NAMES = {"cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp932": "Shift JIS"}


def encoding_of(raw: bytes) -> tuple[str, str]:
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
    ranges = USUAL.get(codec, ((0, 255),))
    usual = {one for one in odd if any(least <= one.encode(codec, "replace")[0] <= most for least, most in ranges)}
    languages = [usual & set(re.findall(f"[{letters}{COMMON}]", "".join(odd))) for letters in CODECS[codec]]
    fitting = max(sum(map(odd.__getitem__, letters)) for letters in languages)
    swapped = sum(one.islower() and other.isupper() and not other.isascii() for one, other in pairwise(text))  # as in "hÉlÈne"
    return known, (fitting - swapped) / max(odd.total(), 1)


def _is_utf8(raw: bytes) -> bool:
    """Return True if bytes are UTF-8, apart from a last character that may be cut."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(raw) - 4
    return True


# ── the beginning of a file ──────────────────────────────────────────
GLANCE = 8 << 20  # bytes that are read


class FileProfile(NamedTuple):
    """The encoding, the separator and the first lines of a file."""

    encoding: str  # in words
    codec: str  # as `files.encoding` takes it
    separator: str  # as `files.separator` takes it
    between: str  # the separator itself
    lines: pa.Table
    whole: bool  # True if these are all lines
    header: str
    sheets: dict[str, str]  # of a workbook: "read", or why not


def sniff(system: fsspec.AbstractFileSystem, path: str, name: str, limit: int = GLANCE) -> FileProfile:
    """Read the beginning of a file."""
    with system.open(path, "rb") as file:
        encoding, codec = encoding_of(file.read(limit))
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
    between = detect_separator(text, blanks=True)
    layout = place_header(head_of(text) or [], between)
    header = text[: layout.size].splitlines()[-1].decode("utf-8", "replace").strip()
    names = with_places(layout.header)
    table, _ = read_records(records_of(text[layout.size :], layout, last), layout, 1, name)
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    kept = pa.array([not kind_of(row, names) for row in rows], pa.bool_())
    wanted = BLANK if between == BLANK else AUTO
    lines = table.filter(kept).rename_columns(names)
    return FileProfile(encoding, codec, wanted, between, lines, last, header, sheets or {})


# ── the line of a row ────────────────────────────────────────────────
def _line_of(place: Input, row: Mapping[str, Any], settings: Settings, between: str) -> int | None:
    """Return the first line of a file that has the values of a row; None if it is not found."""
    path, columns = f"{place.root}/{row['source_file']}", settings.columns
    with place.system.open(path, "rb") as file:
        reader = whitespace_reader(_lines(file, path, settings.files.encoding), between)
        header = _header(reader, plain_names(required(columns)))
        named = {raw: plain_name(name) for raw, name in columns.headers.items() if name and plain_name(name) in header}
        if columns.hash_customers:
            named.pop("CustomerID", None)
        line = _first(reader, [header.index(name) for name in named.values()], tuple(row[raw] for raw in named))
    with place.system.open(path, "rb") as file:
        above = 1 if detect_format(file, path)[0].suffixes else 0  # the header is no line of Parquet or JSON lines
    return line and line - above


def _header(reader: Any, wanted: set[str]) -> list[str]:
    """Return the names in the header that the next rows begin with, as they are compared."""
    names: list[str] = []
    for _, row in zip(range(FIRST_LINES), reader, strict=False):
        names = max(names, [plain_name(name) for name in row], key=lambda one: len(wanted.intersection(one)))
        if wanted <= set(names):
            break
    return [plain_name(name) for name in with_places(names)]


def _first(reader: Any, places: Sequence[int], wanted: tuple[str | None, ...]) -> int | None:
    with suppress(csv.Error):  # a field is longer than the reader allows; rows after it are not found
        for row in reader:
            if len(row) > max(places, default=0) and tuple(row[place] or None for place in places) == wanted:
                return int(reader.line_num)
    return None


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
    if any("://" in folder for folder in folders):
        landing = os.path.commonprefix([f"{folder}/" for folder in folders]).rpartition("/")[0]
    else:
        landing = os.path.commonpath(folders)
    system, root = filesystem(landing)
    return Input(landing, system, root, [spelled(one.removeprefix(f"{landing}/")) for one in dict.fromkeys(found)])


def _files(address: str, pattern: str) -> list[str]:
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
FEWEST_GROUPS = 3  # rows with one value alone, which name the lines below them
MOST_FILES = 40  # that are sampled, from the first to the last


@dataclass
class Sample:
    """Beginnings of files that have the same columns."""

    glances: dict[str, FileProfile] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # file: why it cannot be read
    others: dict[str, str] = field(default_factory=dict)  # file with other columns: what is to be done
    spread: str = ""  # how to join files that have the parts of a sale

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
    sample, last = Sample(), len(place.names) - 1
    many = last >= MOST_FILES
    names = [place.names[round(i * last / (MOST_FILES - 1))] for i in range(MOST_FILES)] if many else place.names
    for done, name in enumerate(names):
        tell("sampling files", done, len(names))
        try:
            path = f"{place.root}/{name}"
            sample.glances[name] = sniff(place.system, path, PurePosixPath(name).name, GLANCE // len(names))
        except Exception as error:  # noqa: BLE001 (one file never stops the others)
            sample.refused[name] = why_not_read(name, error)
    return _of_one_kind(sample)


PARTS_OF_SALES = ("customer_id", "invoice_date", "price")
CDNOW = re.compile(r"[0-9]{5} ([0-9]{4} )?[0-9]{8} [0-9]+ [0-9]+[.][0-9]+")  # a line, with or without the number in a sample


def header_for(line: str) -> str:
    """Return the header that a known data set without one needs, as a remedy; empty for others."""
    found = CDNOW.fullmatch(" ".join(line.split()))
    return f": id{' sample' if found[1] else ''} date number dollars (the columns of CDNOW)" if found else ""


def _joined(glances: Mapping[str, FileProfile]) -> str:
    """Return how to join files of which none has a customer, a date and an amount, but all together have; else nothing."""
    kinds = {tuple(one.lines.column_names): name for name, one in glances.items()}
    roles = {names: {role for role in PARTS_OF_SALES if _has(role, names)} for names in kinds}
    if len(kinds) < 2 or any(len(found) == len(PARTS_OF_SALES) for found in roles.values()):
        return ""
    if set().union(*roles.values()) < set(PARTS_OF_SALES):
        return ""
    needed = [names for names in kinds if roles[names]]
    counts = Counter(plain for names in needed for plain in {plain_name(name) for name in names})
    keys = list(dict.fromkeys(name for names in needed for name in names if counts[plain_name(name)] > 1))
    shown = ", ".join(f"{kinds[names]} ({', '.join(names[:5])})" for names in needed)
    by = f" by {', '.join(dict.fromkeys(keys))}" if keys else ""
    return f"sales are spread over {len(needed)} files: {shown}; join them{by} into one, with a line for each line of an order"


def _has(role: str, names: Sequence[str]) -> bool:
    """Return True if a column is named for a role; an amount serves as a price."""
    return any(name_score(one, name) >= HEAD for name in names for one in ((role, "amount") if role == "price" else (role,)))


def _of_one_kind(sample: Sample) -> Sample:
    """Keep the files whose columns most files have, and list the others."""
    sample.spread = _joined(sample.glances)
    headers = [sorted(one.lines.column_names) for one in sample.glances.values()]  # files may order them as they like
    usual = max(headers, key=headers.count, default=[])
    for name, one in list(sample.glances.items()):
        if sorted(one.lines.column_names) != usual:
            sample.others |= {} if sample.spread else {name: _other_names(one, usual)}
            del sample.glances[name]
    return sample


def _other_names(glance: FileProfile, usual: Sequence[str]) -> str:
    """Return how the columns of a file differ from the usual ones: the same ones under other names, or others."""
    names = glance.lines.column_names
    pairs = {named_for(role, names): named_for(role, usual) for role in LANDING_COLUMNS}
    pairs = {theirs: ours for theirs, ours in pairs.items() if theirs and ours and plain_name(theirs) != plain_name(ours)}
    if len(names) == len(usual) and all(_has(role, names) and _has(role, usual) for role in PARTS_OF_SALES) and pairs:
        renamed = ", ".join(f"{theirs!r} to {ours!r}" for theirs, ours in pairs.items())
        return f"has the same columns under other names, and its lines do not count; rename {renamed}"
    return f"has other columns than most files ({shortened(glance.header)}); export it with the same columns"


def shortened(text: str) -> str:
    """Return the beginning of a header, quoted."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def grouped_column(lines: pd.DataFrame) -> str:
    """Return a column whose values stand in rows of their own above their lines, blank in these; empty if there is none."""
    filled = lines.fillna("").ne("")
    own = filled[filled.sum(axis=1) == 1]
    name = str(own.sum().idxmax()) if len(own) else ""
    values = lines[name][own.index][own[name]] if name else pd.Series(dtype=str)
    alone = len(values) >= FEWEST_GROUPS and values.nunique() == len(values)
    return name if alone and len(lines) > 2 * len(values) and not filled[name][filled.sum(axis=1) > 3].any() else ""


# ── examples of dropped lines ────────────────────────────────────────
COLUMN = {rule.name: rule.column for rule in EXPECTATIONS}
MEANINGS = {rule.name: rule.meaning for rule in (*EXPECTATIONS, *FURTHER.values())} | {
    FITS_HEADER: "as many fields as the header"
}


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
    line = _line_of(place, row, settings, between)
    if names := next((names for names, one in FURTHER.items() if one.name == rule), ()):
        name, header = next((name, header) for name, header in settings.columns.extras.items() if name in names)
        return Example(rule, MEANINGS[rule], reason.rows, file, line, header, rescued.get(EXTRA_KEYS[name]))
    raw = COLUMN.get(rule, "")
    named = settings.columns.headers[raw] if raw else ""
    return Example(rule, MEANINGS.get(rule, ""), reason.rows, file, line, named, row.get(raw))
