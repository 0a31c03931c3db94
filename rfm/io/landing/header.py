"""The first line of a landing file: where it begins, which separator it has, and whether the columns are those of sales."""

from __future__ import annotations

import io
import re
from typing import NamedTuple

from rfm.dialect import Columns, plain
from rfm.io.landing.blanks import reader
from rfm.io.landing.encoding import AUTO
from rfm.schema import InputError

OPTIONAL = ("Description", "Country")  # of bronze: what files may lack, unless the shop names them itself
BEFORE_HEADER = re.compile(rb"\s*(?:sep=.[\r\n]+\s*)?")  # blank lines, and the line that tells a spreadsheet the separator
FIRST_LINE = re.compile(rb"[^\r\n]*(?:\r\n|[\r\n])?")
SEPARATORS = (",", ";", "\t", "|")


class Layout(NamedTuple):
    """How the lines of a file are built: their separator, and the names in the header."""

    separator: str
    header: list[str]


def from_header(text: bytes) -> bytes:
    """Return the beginning of a file without what may stand before the header; empty if there is none yet.

    Parameters
    ----------
    text
        UTF-8.
    """
    return text[BEFORE_HEADER.match(text).end() :]  # type: ignore[union-attr]  # matches anything


def beginning(text: bytes) -> bytes:
    """Return the first line of a text, with its end.

    Parameters
    ----------
    text
        UTF-8.
    """
    return FIRST_LINE.match(text).group()  # type: ignore[union-attr]  # matches anything


def layout_of(text: bytes, name: str, separator: str, columns: Columns) -> Layout:
    """Return the separator that fits, and the names in the first line.

    Parameters
    ----------
    text
        UTF-8, from the header on.
    name
        For errors.
    separator
        One character, a blank for runs of them, or the one of the other four that fits best.
    columns
        What the file calls its columns.

    Raises
    ------
    InputError
        If it is no sales file: a required column is missing, one is there twice, or a name spans lines.
    """
    first, separators = text[: 1 << 16], SEPARATORS if separator == AUTO else (separator,)
    wanted = {plain(column): column for column in (*columns.headers.values(), columns.cancelled) if column}
    found: list[list[str]] = [next(reader(_lines(first), separator), []) for separator in separators]
    matches = [len({plain(column) for column in header} & wanted.keys()) for header in found]
    best = matches.index(max(matches))
    header = [column.strip() or f"column {place}" for place, column in enumerate(found[best], 1)]
    names = [plain(column) for column in header]
    if not matches[best]:
        shown = "" if columns.hash_customers else f", first line {next(_lines(first)).strip()[:60]!r}"
        raise InputError(
            f"{name}: not a sales file{shown}; wanted {', '.join(wanted.values())}, or what [columns] in rfm.toml calls them"
        )
    told = f"found {', '.join(header)}"
    if missing := [column for column in _required(columns) if plain(column) not in names]:
        raise InputError(
            f"{name}: lacks {len(missing)} required column(s): {', '.join(missing)}; {told}; "
            "say under [columns] in rfm.toml what the file calls them"
        )
    if twice := sorted({column for column in header if names.count(plain(column)) > 1}):
        raise InputError(f"{name}: column(s) {', '.join(twice)} stand twice; {told}; keep one of each")
    if re.search(r"[\r\n]", "".join(found[best])):
        raise InputError(f"{name}: a column name spans lines; write the header in one line")
    return Layout(separators[best], header)


def _lines(text: bytes) -> io.TextIOWrapper:
    """Return the lines of a text, decoded as far as one reads."""
    return io.TextIOWrapper(io.BytesIO(text), "utf-8", "replace")


def _required(columns: Columns) -> list[str]:
    """Return the names that a header must have."""
    usual = Columns().headers
    named = [name for raw, name in columns.headers.items() if raw not in OPTIONAL or name != usual[raw]]
    return [name for name in (*named, columns.cancelled) if name]
