"""A shop's way to write dates and numbers → the plain way, which the casts know: ``2025-12-31`` and ``1234.50``.

All of it is text, by patterns that hold on every engine. What is not written as the settings say is null, so that a
point is never taken for a comma.

Text to numbers, money and dates, alike on every engine.

Casts differ between engines (rounding, failing, calendars), so a pattern guards each one, money is made of whole
cents in integers, and the pattern of dates knows the calendar.

The day that a moment belongs to in a time zone: by the zone's offsets from UTC, as data, so that every engine agrees.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import narwhals as nw

from rfm.config import BLANKS, CURRENCY, DATE_TOKENS, FIRST_OF_LAST_CENTURY, GROUPED, MONTHS, Format, number_shape

# ── notation ────────────────────────────────────────────────────────────
WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "b": 2}
LENIENT = {"m": "[0-9]{1,2}", "d": "[0-9]{1,2}"}  # where something stands between the parts
AFTER_DATE = ",?[ T]"  # between a date and a time
ISO = "%Y-%m-%d"
NUMBERS, DATE = ("Quantity", "Price"), "InvoiceDate"
TEXT = f"plain_{DATE}"


def normalize(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Add quantity, price and date in the plain way, under the prefix ``plain_``; what follows the date is in ``plain_time``.

    A currency sign or code beside a price is taken off where the shop has a format of its own.
    One step a frame: an engine that does not see that it computes the same twice would do so many times over.
    """
    raw = {name: nw.col(f"raw_{name}") for name in (*NUMBERS, DATE)}
    if form == Format():  # the casts know it as it is
        return rows.with_columns(**{f"plain_{name}": text for name, text in raw.items()})
    rows = rows.with_columns(**{f"plain_{name}": text.str.strip_chars(BLANKS) for name, text in raw.items()})
    if (form.decimal, form.thousands) != (".", ""):
        rows = rows.with_columns(plain_Price=nw.col("plain_Price").str.replace_all(CURRENCY, ""))
        rows = rows.with_columns(_plain_number(nw.col(f"plain_{name}"), form) for name in NUMBERS)
    if "%b" in form.date:
        rows = rows.with_columns(_months_as_digits(nw.col(TEXT), form.date))
    if form.timezone:
        rows = rows.with_columns(plain_time=nw.col(TEXT).str.replace_all(f"^{_shape(form.date)}", ""))
    return rows if form.date == ISO else _plain_date(rows, form.date)


def _plain_number(text: nw.Expr, form: Format) -> nw.Expr:
    """Return a number as ``1234.50``; null where its points and commas do not stand as the settings say."""
    number = nw.when(text.str.contains(f"^{number_shape(form.decimal, form.thousands)}$")).then(text)
    mark = GROUPED.get(form.thousands, f"[{form.thousands}]")
    number = number.str.replace_all(mark, "") if form.thousands else number
    return number.str.replace_all(form.decimal, ".", literal=True)


def _plain_date(rows: nw.LazyFrame, pattern: str) -> nw.LazyFrame:
    """Bring dates into the order of ``2025-12-31``, whether there is such a day or not; null where they are written otherwise."""
    text = nw.col(TEXT)
    rows = rows.with_columns(nw.when(text.str.contains(f"^{_shape(pattern)}(?:{AFTER_DATE}.*)?$")).then(text))
    parts = {DATE_TOKENS[token]: part for token, part in _parts(text, pattern).items()}
    rows = rows.with_columns(plain_year=parts["%Y"], plain_month=parts["%m"].str.zfill(2), plain_day=parts["%d"].str.zfill(2))
    if "%y" in pattern:
        rows = rows.with_columns(_whole_year(nw.col("plain_year").cast(nw.Int64)))
    date = nw.concat_str("plain_year", "plain_month", "plain_day", separator="-")
    return rows.with_columns(date.alias(TEXT)).drop("plain_year", "plain_month", "plain_day")


def _whole_year(short: nw.Expr) -> nw.Expr:
    """Return the text of a year of which the century is left out."""
    century = nw.when(short < FIRST_OF_LAST_CENTURY).then(nw.lit(2000)).otherwise(nw.lit(1900))
    return (short + century).cast(nw.String)


def _compact(pattern: str) -> bool:
    """Tell whether nothing stands between the parts of a date."""
    return len(pattern) == len("%Y%m%d")


def _shape(pattern: str) -> str:
    """Return a regular expression for dates of a pattern."""
    exact = {token: f"[0-9]{{{width}}}" for token, width in WIDTHS.items()}
    digits = exact if _compact(pattern) else exact | LENIENT
    pieces = re.split("%(.)", pattern)  # text, token, text …
    return "".join(digits[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))


def _parts(date: nw.Expr, pattern: str) -> dict[str, nw.Expr]:
    """Return the digits behind each token of a pattern: those of fixed places, or the first, second and third number."""
    tokens = re.findall("%(.)", pattern)
    if _compact(pattern):
        starts = [sum(WIDTHS[token] for token in tokens[:place]) for place in range(3)]
        return {token: date.str.slice(start, WIDTHS[token]) for token, start in zip(tokens, starts, strict=True)}
    return {token: _number(date, place) for place, token in enumerate(tokens)}


def _number(text: nw.Expr, place: int) -> nw.Expr:
    """Return the digits of one of the numbers in a text, counted from 0."""
    from_it = text.str.replace_all(f"^(?:[^0-9]*[0-9]+){{{place}}}[^0-9]*", "")
    return from_it.str.replace_all("[^0-9].*$", "")


def _months_as_digits(text: nw.Expr, pattern: str) -> nw.Expr:
    """Return text with the name of a month in it, whole or short, as two digits."""
    end = "" if "%b." in pattern else "[.]?"  # of a short name
    for digits, names in MONTHS:
        text = text.str.replace_all(f"(?i)\\b(?:{names})\\p{{L}}*{end}", digits)
    return text


# ── casts ────────────────────────────────────────────────────────────
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
ISO_DATE = f"^(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)(?:[ T].*)?$"
WHOLE_NUMBER = "^[+-]?[0-9]{1,9}(?:[.]0*)?$"
PRICE = "^[+-]?[0-9]{1,8}(?:[.][0-9]*)?$"
LONG_PRICE = "[.][0-9]{7}"


def whole_number(text: nw.Expr) -> nw.Expr:
    """Return an integer of up to nine digits from text, ``12`` and ``12.0`` alike; null for anything else."""
    text = text.str.strip_chars(BLANKS)  # and not every engine reads a leading plus
    return nw.when(text.str.contains(WHOLE_NUMBER)).then(text.str.strip_chars("+")).cast(nw.Float64).cast(nw.Int64)


def cents(text: nw.Expr) -> nw.Expr:
    """Return whole cents from a price in text, rounded half away from zero at the third decimal, exactly."""
    text = text.str.strip_chars(BLANKS)
    price = nw.when(text.str.contains(PRICE)).then(text)
    long = price.str.contains(LONG_PRICE)
    taken_apart = _cents_of_text(nw.when(long).then(price))
    return nw.when(long).then(taken_apart).otherwise(_cents_of_number(nw.when(~long).then(price)))


def _cents_of_number(price: nw.Expr) -> nw.Expr:
    """Return cents of prices with at most six decimals."""
    millionths = (price.str.strip_chars("+").cast(nw.Float64) * 1_000_000).round(0).cast(nw.Int64)
    sign = nw.when(millionths < 0).then(nw.lit(-1)).otherwise(nw.lit(1))
    return sign * ((sign * millionths // 1000 + 5) // 10)


def _cents_of_text(price: nw.Expr) -> nw.Expr:
    """Return cents of prices with any number of decimals."""
    digits = price.str.strip_chars("+-")
    units = digits.str.replace_all("[.].*$", "").cast(nw.Int64)
    decimals = digits.str.replace_all("^[0-9]*[.]", "").str.slice(0, 3).cast(nw.Int64)
    sign = nw.when(price.str.starts_with("-")).then(nw.lit(-1)).otherwise(nw.lit(1))
    return sign * (units * 100 + (decimals + 5) // 10)


def money(cents: nw.Expr, precision: int) -> nw.Expr:
    """Return DECIMAL(precision, 2) from whole cents, exactly; up to twelve digits a double is precise enough."""
    return (cents.cast(nw.Float64) * 0.01).cast(nw.Decimal(precision, 2))


def calendar_date(text: nw.Expr) -> nw.Expr:
    """Return a date from ``YYYY-MM-DD``, a time after it ignored; null where there is no such day."""
    text = text.str.strip_chars(BLANKS)
    return nw.when(text.str.contains(ISO_DATE)).then(text.str.slice(0, 10)).str.to_date("%Y-%m-%d")


# ── zones ────────────────────────────────────────────────────────────
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
    """Move InvoiceDate to the day of the zone; a date without a time stays, one with a time that cannot be read is null."""
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
