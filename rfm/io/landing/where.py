"""On which line of a file a row stands, for people who want to see it there."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rfm.dialect import Columns, plain
from rfm.io.landing.blanks import reader
from rfm.io.landing.encoding import AUTO, texts

Row = tuple[str | None, ...]


def line_numbers(
    system: Any, path: str, rows: Iterable[Mapping[str, Any]], columns: Columns, between: str, encoding: str = AUTO
) -> list[int | None]:
    """Return the first line on which each row stands; none for one that is not found.

    Parameters
    ----------
    system, path
        Where the file lies.
    rows
        Raw columns of bronze.
    columns
        What the file calls them.
    between
        Separator.
    encoding
        As for `pieces`.
    """
    with system.open(path, "rb") as file:
        rows_of = reader(_lines(file, path, encoding), between)
        header = [plain(name) for name in next((row for row in rows_of if any(row)), [])]
        named = {raw: plain(name) for raw, name in columns.headers.items() if name and plain(name) in header}
        if columns.hash_customers:
            named.pop("CustomerID", None)
        places = [header.index(name) for name in named.values()]
        wanted = [tuple(row[raw] for raw in named) for row in rows]
        found = _first(rows_of, places, set(wanted))
    return [found.get(row) for row in wanted]


def _first(reader: Any, places: list[int], wanted: set[Row]) -> dict[Row, int]:
    """Return the first line of each row, as far as they are found."""
    found: dict[Row, int] = {}
    try:
        for row in reader:
            if len(row) > max(places, default=0):
                values = tuple(row[place] or None for place in places)
                if values in wanted and values not in found:
                    found[values] = reader.line_num
                    if len(found) == len(wanted):
                        break
    except csv.Error:  # a field longer than the reader allows: what is not found has no number
        pass
    return found


def _lines(file: Any, name: str, encoding: str) -> Iterator[str]:
    """Yield the lines of a file."""
    rest = ""
    for text, _ in texts(file, name, encoding):
        *lines, rest = (rest + text.decode("utf-8", "replace")).splitlines(keepends=True) or [""]
        if rest.endswith("\n"):
            lines, rest = [*lines, rest], ""
        yield from lines
    yield rest
