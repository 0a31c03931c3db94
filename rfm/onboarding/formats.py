"""Detect how a column writes its numbers (marks, currency) and its dates (pattern, order of day and month)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import NamedTuple

from rfm.analysis.parsing import CURRENCIES, CURRENCY, FIRST_OF_LAST_CENTURY, GROUPED, MONTHS, number_shape

MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))  # the simplest first
MARKED = (".", ",")  # for the simplest numbers, if a currency sign is beside them
SIGN = re.compile("|".join([*map(re.escape, CURRENCIES), *(rf"\b{code}\b" for code in CURRENCIES.values()), r"\bEuro?\b"]), re.I)


class Numbers(NamedTuple):
    """How numbers are written."""

    decimal: str
    thousands: str
    share: float  # of the values that these marks read
    sure: bool
    sign: str  # of a currency


def numbers_of(values: Mapping[str, int]) -> Numbers:
    """Detect how the values of a column write numbers."""
    rows = sum(values.values()) or 1
    bare = {value: without_sign(value) for value in values}
    shares = [sum(count for value, count in values.items() if number_of(bare[value], *marks) is not None) for marks in MARKS]
    best = shares.index(max(shares))
    alike = [marks for marks, share in zip(MARKS, shares, strict=True) if share == shares[best]]
    sure = all(number_of(value, *MARKS[best]) == number_of(value, *marks) for marks in alike for value in bare.values())
    signs = [sign for value in values if (sign := sign_in(value))]
    sign = max(set(signs), key=signs.count) if len(signs) * 20 > len(values) else ""
    marks = MARKED if sign and not best else MARKS[best]
    return Numbers(*marks, shares[best] / rows, sure, sign)


def number_of(text: str, decimal: str = ".", thousands: str = "") -> float | None:
    """Parse a number; return None if the marks do not read it."""
    text = text.strip()
    if not _shape(decimal, thousands).fullmatch(text):
        return None
    digits = re.sub(GROUPED.get(thousands, re.escape(thousands)), "", text)
    return float(digits.replace(decimal, "."))


@cache
def _shape(decimal: str, thousands: str) -> re.Pattern[str]:
    return re.compile(number_shape(decimal, thousands))


def without_sign(text: str) -> str:
    """Remove a currency sign and the blanks around a number, as a run does."""
    return re.sub(CURRENCY, "", text.strip())


def sign_in(text: str) -> str:
    """Return the currency sign in a text, also for a currency code; empty if there is none."""
    found = SIGN.search(text)
    codes = {code: sign for sign, code in CURRENCIES.items()} | {"EURO": "€", "EUR": "€"}
    return codes.get(found.group().upper(), found.group()) if found else ""


# ── dates ────────────────────────────────────────────────────────────
FIELDS = {"%Y": "(?P<y>[0-9]{4})", "%y": "(?P<y>[0-9]{2})", "%m": "(?P<m>[0-9]{1,2})", "%d": "(?P<d>[0-9]{1,2})"}
FIELDS["%b"] = r"(?P<m>[^\W\d_]{3,10})[.]?"
ISO = "%Y-%m-%d"
MONTH_OF = {name: month for month, names in MONTHS.items() for name in names.split("|")}
ORDERS = (  # of year, month and day, the usual ones first
    "%Y{0}%m{0}%d", "%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d",
    "%d{0}%b{0}%Y", "%d{0}%b{0}%y", "%b{0}%d{0}%Y", "%Y{0}%b{0}%d",
)  # fmt: skip
PATTERNS = (
    *(order.format(mark) for order in ORDERS for mark in "-./ "),
    "%Y%m%d", "%d%m%Y", "%m%d%Y",
    "%b %d, %Y",
)  # fmt: skip
KINDS = 200  # shapes of dates that are compared with each pattern
OLDEST = 1970  # sales before this year are as implausible as those after today
TIME = r"(?:(?:[ T]|, ?).*)?"
CLOCK = re.compile(r"[T ,]+[0-9]{1,2}:[0-9]{2}(?P<rest>.*)$")
OFFSET = re.compile(r"(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})$")
OTHERS = {  # numbers that other programs use for dates
    r"[0-9]{10}(?:[.][0-9]+)?": "seconds since 1970",
    r"[0-9]{13}": "milliseconds since 1970",
    r"[34][0-9]{4}(?:[.,][0-9]+)?": "day numbers of a spreadsheet",
}


class Dates(NamedTuple):
    """How dates are written."""

    pattern: str
    share: float  # of the values that it reads
    other: str  # a second pattern that is as plausible
    reason: str


def dates_of(values: Mapping[str, int], today: dt.date | None = None) -> Dates:
    """Detect how the values of a column write dates."""
    days, rows = _days(values), sum(values.values()) or 1
    kinds = list(dict.fromkeys(re.sub("[0-9]", "9", text) for text in days))[:KINDS]
    read = {pattern: _read(days, pattern) for pattern in PATTERNS if any(map(_date_shape(pattern).fullmatch, kinds))}
    shares = {pattern: sum(days[text] for text in found) / rows for pattern, found in read.items()}
    best = max(shares.values(), default=0.0)
    alike = [pattern for pattern, share in shares.items() if share >= best - 0.0005 and share > 0]
    if not alike:
        return Dates("", 0.0, "", _others(values))
    chosen = min(alike, key=lambda one: (*_strangeness(set(read[one].values()), today), PATTERNS.index(one)))
    return Dates(chosen, best, *_doubt(chosen, alike, read, today))


def _doubt(chosen: str, alike: list[str], read: Mapping[str, Mapping[str, dt.date]], today: dt.date | None) -> tuple[str, str]:
    """Return a second pattern if one is as plausible, and the reason for the chosen one."""
    fields = {one: sorted(re.findall("[Yymdb]", one)) for one in alike}
    rivals = [one for one in alike if one != chosen and fields[one] == fields[chosen]]
    rivals = [one for one in rivals if read[one] != read[chosen] and read[one].keys() == read[chosen].keys()]
    if not rivals:
        return "", "no other order of day, month and year reads them all"
    odd, gaps = _strangeness(set(read[chosen].values()), today)
    rival = min(rivals, key=lambda one: _strangeness(set(read[one].values()), today))
    other_odd, other_gaps = _strangeness(set(read[rival].values()), today)
    if other_odd > odd:
        return "", f"read as {rival}, some would be in the future or before {OLDEST}"
    if other_gaps > 2 * gaps and len(read[chosen]) > 5:
        return "", f"read so, the days follow each other; as {rival}, they would be far apart"
    return rival, f"{rival} reads all of them as well"


def _strangeness(days: set[dt.date], today: dt.date | None) -> tuple[int, float]:
    """Return how many days are implausible, and the average gap between days of sales."""
    odd = sum(day.year < OLDEST or bool(today and day > today) for day in days)
    return odd, round((max(days) - min(days)).days / max(len(days) - 1, 1), 3)


def _days(values: Mapping[str, int]) -> dict[str, int]:
    """Count the texts of days, without their times."""
    days: dict[str, int] = {}
    for value, count in values.items():
        text = CLOCK.sub("", value.strip())
        days[text] = days.get(text, 0) + count
    return days


def _read(days: Collection[str], pattern: str) -> dict[str, dt.date]:
    return {text: day for text in days if (day := date_of(text, pattern))}


@cache
def _date_shape(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern, with an optional time after it."""
    exact = pattern == ISO or not re.search("[^%a-zA-Z]", pattern)
    pieces = re.split("(%[Yymbd])", pattern)
    shape = "".join(FIELDS[piece] if piece in FIELDS else re.escape(piece) for piece in pieces)
    return re.compile((shape.replace("{1,2}", "{2}") if exact else shape) + TIME)


def date_of(text: str, pattern: str) -> dt.date | None:
    """Parse a day; return None if the pattern does not read it. Years of two digits are 1969 to 2068."""
    found = _date_shape(pattern).fullmatch(text.strip())
    if not found:
        return None
    year, month = int(found["y"]), found["m"]
    if len(found["y"]) == 2:
        year += 2000 if year < FIRST_OF_LAST_CENTURY else 1900
    if not month.isdigit():  # a name, in full or shortened
        name = month.casefold()
        month = next((MONTH_OF[name[:size]] for size in (4, 3) if name[:size] in MONTH_OF), 0)
    try:
        return dt.date(year, int(month), int(found["d"]))
    except ValueError:
        return None


def zones(values: Mapping[str, int]) -> dict[str, int]:
    """Count the UTC offsets after the times of a column; ``Z`` is UTC."""
    found: dict[str, int] = {}
    for value, count in values.items():
        clock = CLOCK.search(value.strip())
        offset = OFFSET.search(clock["rest"].strip()) if clock else None
        if offset:
            name = "Z" if offset["zone"] in {"UTC", "GMT", "+0000", "+00:00"} else offset["zone"]
            found[name] = found.get(name, 0) + count
    return found


def _others(values: Mapping[str, int]) -> str:
    """Explain why values are not dates."""
    for pattern, meaning in OTHERS.items():
        if values and all(re.fullmatch(pattern, value.strip()) for value in values):
            return f"the values are {meaning}; export them as dates"
    return "no known date format reads the values"
