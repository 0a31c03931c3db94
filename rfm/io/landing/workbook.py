"""A workbook as CSV text: the sheets that have the header of the first, one below the other."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from io import BytesIO, StringIO
from typing import Any

from rfm.schema import InputError

ROWS = 50_000  # rows of a piece


def as_csv(content: bytes, name: str, kind: str) -> Iterator[bytes]:
    """Yield a workbook as CSV in UTF-8, separated by commas, rows without a value left out.

    Parameters
    ----------
    content
        Of an XLSX or XLS file.
    name, kind
        For errors: the file's name, and what it is.

    Raises
    ------
    InputError
        If it cannot be read.
    """
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
