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
from rfm.config import EXTRA_KEYS, LANDING_COLUMNS, Columns, plain_name
from rfm.errors import InputError, SettingsError, friendly_io_errors
from rfm.landing.csv import read_records, records_of
from rfm.landing.decode import after_last_line, decode_stream, detect_format
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
from rfm.onboarding.columns import HEAD, name_score, named_for
from rfm.onboarding.encodings import encoding_of
from rfm.settings import Settings, absolute

# ── the beginning of a file ──────────────────────────────────────────
GLANCE = 8 << 20  # bytes that are read


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
    return Input(landing, system, root, [spelled(one.removeprefix(f"{landing}/")) for one in dict.fromkeys(found)])


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
    sample, names = Sample(), _spread(place.names, MOST_FILES)
    for done, name in enumerate(names):
        tell("sampling files", done, len(names))
        try:
            path = f"{place.root}/{name}"
            sample.glances[name] = sniff(place.system, path, PurePosixPath(name).name, GLANCE // len(names))
        except Exception as error:  # noqa: BLE001 (one file never stops the others)
            sample.refused[name] = why_not_read(name, error)
    return _of_one_kind(sample)


def _spread(names: Sequence[str], most: int) -> list[str]:
    """Return at most `most` names, evenly from the first to the last."""
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


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
