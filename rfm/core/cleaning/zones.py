"""The day that a moment belongs to in a time zone: by the zone's offsets from UTC, as data, so that every engine agrees."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import narwhals as nw

YEARS = range(1995, 2041)  # whose changes of the clock are known; before and after them the nearest offset holds
HALF = "[AaPp][.]?[Mm][.]?"  # of the day
TIME = (
    f"^,?[ T]+[0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:[.,][0-9]*)?)? ?(?:{HALF})? ?"
    "(?:Z|UTC|GMT|[+-][0-9]{2}:?(?:[0-9]{2})?)?$"
)
AT_ONCE = 30  # terms of a sum: an engine takes expressions of so much depth
DAY = 24 * 60
SHIFTS = (-2, -1, 1, 2)  # days that a zone, and the offset that a time says, can move it by


def local_day(rows: nw.LazyFrame, zone: str) -> nw.LazyFrame:
    """Move InvoiceDate to the day of the zone; a date without a time stays, one with a time that cannot be read is null.

    Parameters
    ----------
    rows
        With InvoiceDate, and ``plain_time``, the text after it; a time without an offset is in UTC.
    zone
        Name of the zone, as ``Europe/Berlin``.
    """
    date, time, clock, minute = (nw.col(name) for name in ("InvoiceDate", "plain_time", "clock", "minute"))
    cut = nw.when(time.str.contains(TIME)).then(time.str.replace_all("^[, T]+", ""))
    rows = rows.with_columns(clock=cut).with_columns(minute=_minute(clock) - _offset(clock))
    year, month, day = (part.cast(nw.Int64) for part in (date.dt.year(), date.dt.month(), date.dt.day()))
    rows = rows.with_columns(moment=_moment(year, month, day) + minute)
    for ahead in _zone_offset(nw.col("moment"), nw.col("ahead"), zone):
        rows = rows.with_columns(ahead=ahead)
    rows = rows.with_columns(minute=minute + nw.col("ahead"))
    moved: nw.Expr = nw.when((time == "") | minute.is_between(0, DAY - 1)).then(date)  # null where a time cannot be read
    for shift in SHIFTS:
        there = minute.is_between(shift * DAY, (shift + 1) * DAY - 1)
        moved = nw.when(there).then(date.dt.offset_by(f"{shift}d").cast(nw.Date)).otherwise(moved)
    return rows.with_columns(InvoiceDate=moved).drop("plain_time", "clock", "minute", "moment", "ahead")


def _moment(year: Any, month: Any, day: Any) -> Any:
    """Return a number that rises with the days, by a day's minutes from each to the next of its month."""
    return ((year * 13 + month) * 32 + day) * DAY


def _minute(clock: nw.Expr) -> nw.Expr:
    """Return the minute of the day of a time such as ``23:59:30`` or ``11:59 PM``."""
    hour = clock.str.replace_all("[^0-9].*$", "").cast(nw.Int64)
    minute = clock.str.replace_all("^[0-9]+:", "").str.slice(0, 2).cast(nw.Int64)
    noon = nw.when(clock.str.contains("[Pp][.]?[Mm]")).then(nw.lit(12)).otherwise(nw.lit(0))
    twelve = nw.when(clock.str.contains(HALF)).then(hour - hour // 12 * 12).otherwise(hour)
    return (twelve + noon) * 60 + minute


def _offset(clock: nw.Expr) -> nw.Expr:
    """Return the minutes that a time's own offset says it is ahead of UTC; 0 where it says none."""
    signed = nw.when(clock.str.contains("[+-]")).then(clock)
    digits = signed.str.replace_all("^.*[+-]", "").str.replace_all(":", "")
    minutes = digits.str.slice(0, 2).cast(nw.Int64) * 60 + digits.str.slice(2, 2).str.zfill(2).cast(nw.Int64)
    ahead = nw.when(clock.str.contains("-")).then(-minutes).otherwise(minutes)
    return nw.when(clock.str.contains("[+-]")).then(ahead).otherwise(nw.lit(0))


def _zone_offset(moment: nw.Expr, ahead: nw.Expr, zone: str) -> Iterator[nw.Expr]:
    """Yield, each from the one before, the minutes that a zone is ahead of UTC; at a moment as `_moment` counts."""
    first, changes = _changes(zone)
    yield nw.lit(first)
    steps = [nw.when(moment >= minute).then(nw.lit(step)).otherwise(nw.lit(0)) for minute, step in changes]
    for place in range(0, len(steps), AT_ONCE):
        yield nw.sum_horizontal(ahead, *steps[place : place + AT_ONCE])


@cache
def _changes(zone: str) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Return a zone's first offset, and the moments at which it changes by so many minutes."""
    start = dt.datetime(YEARS.start, 1, 1, tzinfo=dt.UTC)
    days = (dt.datetime(YEARS.stop, 1, 1, tzinfo=dt.UTC) - start).days
    offsets = [_ahead(zone, start + dt.timedelta(days=day)) for day in range(days + 1)]
    found = [day for day in range(days) if offsets[day] != offsets[day + 1]]
    dates = {day: start + dt.timedelta(days=day) for day in found}
    return offsets[0], tuple(
        (_moment(date.year, date.month, date.day) + _change_within(zone, date), offsets[day + 1] - offsets[day])
        for day, date in dates.items()
    )


def _change_within(zone: str, day: dt.datetime) -> int:
    """Return the minute of a day in UTC from which the new offset holds."""
    old, low, high = _ahead(zone, day), 0, DAY
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _ahead(zone, day + dt.timedelta(minutes=middle)) == old else (low, middle)
    return high


def _ahead(zone: str, moment: dt.datetime) -> int:
    """Return the minutes that a zone is ahead of UTC at a moment."""
    return round(moment.astimezone(ZoneInfo(zone)).utcoffset().total_seconds() / 60)  # type: ignore[union-attr]
