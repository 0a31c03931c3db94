"""The run date: the one that was set, the newest day in the names of the files, or that of the newest sale in them."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from rfm.io.landing import filesystem, list_files
from rfm.io.landing.parse import pieces
from rfm.schema import InputError, SettingsError
from rfm.settings import Settings

OLDEST = dt.date(1990, 1, 1)  # sales before are odd: 1899, 1900 and 1970 are what programs write for no date
NEWEST_SALE = "newest sale in the files, as no file name has a date"
DATE = "InvoiceDate"


def run_date(settings: Settings) -> dt.date:
    """Return the run date: the one that was set, or the newest day in the names of the landing files.

    Where no name has a date, it is the day of the newest sale in the files, and a Python warning says so. Days
    before 1990 or after today do not count for that.

    Raises
    ------
    SettingsError
        If there is no file, or neither a name nor a sale has a date that can be.

    Examples
    --------
    >>> import rfm
    >>> settings = rfm.load_settings(date="2025-10-23")
    >>> rfm.run_date(settings)
    datetime.date(2025, 10, 23)
    """
    if found := named_date(settings):
        return found
    day = newest_sale(settings)
    warnings.warn(f"run date {day}: {NEWEST_SALE}", stacklevel=2)
    return day


def named_date(settings: Settings) -> dt.date | None:
    """Return the run date that was set, or the newest one in a file's name, if there is any; no file is opened."""
    if settings.date:
        return settings.date
    files = list_files(settings.landing, settings.files.pattern)
    return max((file.file_date for file in files if file.file_date), default=None)


def newest(days: Iterable[dt.date], today: dt.date) -> dt.date | None:
    """Return the newest of some days on which a shop can have sold, if there is any.

    Parameters
    ----------
    days
        Of sales.
    today
        Later ones do not count.

    Examples
    --------
    >>> newest([dt.date(1900, 1, 1), dt.date(2026, 2, 1), dt.date(9999, 12, 31)], dt.date(2026, 11, 23))
    datetime.date(2026, 2, 1)
    """
    return max((day for day in days if OLDEST <= day <= today), default=None)


def newest_sale(settings: Settings) -> dt.date:
    """Return the day of the newest line in the landing files that silver would keep.

    Raises
    ------
    SettingsError
        If no line has a day that can be.
    """
    found, today = OLDEST - dt.timedelta(days=1), dt.date.today()
    refused: list[str] = []
    for rows in _pieces(settings, refused):
        found = next(_newer(settings, rows, found, today), found)
    if found < OLDEST and refused:
        raise SettingsError(f"{settings.landing}: no file can be read; {refused[0]}")
    if found < OLDEST:
        raise SettingsError(
            f"{settings.landing}: no file has a date in its name, and no sale one between {OLDEST} and today; "
            "give the run date with --date"
        )
    return found


def _pieces(settings: Settings, refused: list[str]) -> Iterator[Any]:
    """Yield the lines of all files, some megabytes at a time; note why a run would refuse a file."""
    system, root = filesystem(settings.landing)
    given = settings.files.encoding, settings.files.separator
    columns = settings.columns.model_copy(update={"hash_customers": False})  # nobody sees them here
    for file in list_files(settings.landing, settings.files.pattern):
        try:
            with system.open(f"{root}/{file.source_file}", "rb") as source:
                yield from pieces(source, file.source_file, *given, columns, further=False)
        except InputError as error:
            refused.append(str(error))


def _newer(settings: Settings, rows: Any, than: dt.date, today: dt.date) -> Iterator[dt.date]:
    """Yield days newer than one of which silver would keep a line, the newest first; only lines of such days are cleaned."""
    import polars as pl  # heavy, and needless where a file's name has a date

    from rfm.core.cleaning import clean, judge

    lines = pl.DataFrame(pl.from_arrow(rows))
    dates = judge(lines.unique(DATE), dialect=settings.dialect).select(f"raw_{DATE}", DATE).drop_nulls().rows()
    while day := newest((one for _, one in dates if one > than), today):
        of_day = lines.filter(pl.col(DATE).is_in([text for text, one in dates if one == day]))
        silver, _ = clean(of_day, severities=settings.expectations, dialect=settings.dialect)
        if len(silver):
            yield day
        dates = [(text, one) for text, one in dates if one != day]
