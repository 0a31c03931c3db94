"""The days that no run has seen: those with a file and without a segment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from rfm.io.landing import list_files
from rfm.run import backfill
from rfm.run.models import kept_days
from rfm.run.run_date import named_date
from rfm.run.schedule.lock import BusyError, locked
from rfm.schema import RfmError
from rfm.settings import Settings


class CaughtUp(NamedTuple):
    """A missed day: its headline or what went wrong, whether all went well, and what it warned of."""

    day: dt.date
    said: str
    well: bool
    warnings: list[str]


def missed(settings: Settings) -> list[dt.date]:
    """Return the days before the run date that have a landing file of their own and were never run to the end.

    Parameters
    ----------
    settings
        Where the files and the tables are; the run date, if it is not that of the newest file.
    """
    if not (newest := named_date(settings)):
        return []  # no file is of a day
    files = list_files(settings.landing, settings.files.pattern, until=newest)
    return sorted({file.file_date for file in files if file.file_date} - {newest, *kept_days(settings.lake)})


def catch_up(settings: Settings) -> Iterator[CaughtUp]:
    """Run each missed day without notebooks, the oldest first; a day that fails does not keep the next from running.

    Parameters
    ----------
    settings
        As for `missed`.

    Yields
    ------
    CaughtUp
        A day that is done, or failed.

    Raises
    ------
    BusyError
        If another run is at work.
    """
    for day in missed(settings):
        try:
            with locked(settings, day):
                *_, (_, headline) = backfill.backfill(settings, day, day)
            warnings, refused = backfill.told(settings, day, day)
            yield CaughtUp(day, headline, not refused, warnings)
        except BusyError:
            raise
        except RfmError as error:
            yield CaughtUp(day, str(error), False, [])
