"""The public archive as daily files: the workbook of Online Retail II (Chen 2012), or its CSV.

Trading day *i*, in the order of dates, becomes the calendar day ``start`` + *i*; times of day fall away. The two
sheets of the workbook overlap by some days, which its usual CSV holds twice: such a day is taken once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rfm.io.prepare.sample import HEADER
from rfm.io.prepare.workbook import LINE_END, Part, parts
from rfm.schema import InputError, SettingsError

START = dt.date(2025, 6, 26)
FILES = "*_transactions.csv*"


class ArchiveReport(NamedTuple):
    """What `prepare` wrote: counts and days.

    ``repeated`` counts lines of days that were there already; ``differing`` are those days of which a later sheet
    holds other lines; ``others`` counts daily files in the folder that are not of this archive.
    """

    files: int
    lines: int
    first_day: dt.date
    last_day: dt.date
    repeated: int
    differing: list[dt.date]
    others: int


def prepare(source: str | Path, folder: str, *, start: dt.date = START, sheets: Sequence[str] = ()) -> ArchiveReport:
    """Write the archive's trading days as daily files.

    One sheet at a time is held in memory, and the text of all days. Files of the same name are replaced, each
    whole or not at all; others are left alone.

    Parameters
    ----------
    source
        Workbook (.xlsx), a zip archive that holds it, or a CSV with the same columns, in order of date.
    folder
        Where the ``YYYY-MM-DD_transactions.csv`` go; made if missing.
    start
        The calendar day of the first trading day.
    sheets
        Names of sheets; all if none is given.

    Returns
    -------
    ArchiveReport

    Raises
    ------
    InputError
        If the source cannot be read, misses a column, holds no line or an odd date.
    SettingsError
        If there is no such sheet, or the folder is an address.
    """
    if "://" in folder:
        raise SettingsError(f"{folder}: daily files are made in a folder; send them on with `rfm upload`")
    days, repeated, differing = _joined(str(source), parts(Path(source), sheets))
    if not days:
        raise InputError(f"{source}: holds no line below its header")
    dated = {start + dt.timedelta(days=i): days[day] for i, day in enumerate(sorted(days))}
    _write(Path(folder), dated)
    others = len(list(Path(folder).glob(FILES))) - len(dated)
    lines = sum(text.count(LINE_END) for text in days.values())
    return ArchiveReport(len(days), lines, min(dated), max(dated), repeated, differing, others)


def _joined(source: str, found: Iterable[Part]) -> tuple[dict[dt.date, bytes], int, list[dt.date]]:
    """Put parts together, each day from the first that has it; return also the lines left out, and days that differ."""
    days: dict[dt.date, bytes] = {}
    repeated, differing = 0, []
    for part in found:
        for day in part.days.keys() & days.keys():
            repeated += part.days[day].count(LINE_END)
            if sorted(part.days[day].splitlines()) != sorted(days[day].splitlines()):
                differing.append(day)
        if differing and not part.sheet:
            raise InputError(f"{source}: {min(differing)} comes twice, with different lines; sort the file by InvoiceDate")
        days = {**part.days, **days}
    return days, repeated, sorted(differing)


def _write(folder: Path, days: Mapping[dt.date, bytes]) -> None:
    """Write each day under a temporary name, then give it its own."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder}: no folder can be made there ({error.strerror}); name another") from None
    for day, text in days.items():
        path = folder / f"{day}_transactions.csv"
        part = path.with_name(path.name + ".part")
        part.write_bytes(HEADER.encode() + text.replace(LINE_END, f"{day}\n".encode()))
        part.replace(path)
