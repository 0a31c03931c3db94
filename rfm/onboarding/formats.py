"""Detect how a column writes its numbers (marks, currency) and its dates (pattern, order of day and month)."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from statistics import median
from typing import NamedTuple

from rfm.analysis.dates import BESIDE_NAMES, FIRST_OF_LAST_CENTURY, MONTHS, before_date
from rfm.analysis.parsing import AROUND_NUMBER, CURRENCIES, GROUPED, SPACES, TIDY, number_shape
from rfm.dialect import WEEKDAY, month_names

MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))  # the simplest first
MARKED = (".", ",")  # for the simplest numbers, if a currency sign is beside them
CODE_OF = {sign.upper(): code for sign, code in CURRENCIES.items()}
SIGN_OF = {code: sign for sign, code in reversed(CURRENCIES.items())} | {"EURO": "€"}  # the first of several
WITHOUT_DECIMALS = {SIGN_OF.get(code, code) for code in ("CLP", "COP", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "VND")}  # prices
_SIGNS = (*sorted(CURRENCIES, key=len, reverse=True), *SIGN_OF)
SIGN = re.compile(
    "|".join(rf"\b{one}\b" if one.isalpha() else re.sub(r"^(?=\w)", r"\\b", re.escape(one)) for one in _SIGNS), re.IGNORECASE
)


class Numbers(NamedTuple):
    """How numbers are written."""

    decimal: str
    thousands: str
    share: float  # of the values that these marks read
    sure: bool
    sign: str  # of a currency


def numbers_of(values: Mapping[str, int]) -> Numbers:
    """Detect how the values of a column write numbers."""
    rows, signs, seen = sum(values.values()) or 1, Counter(map(sign_in, islice(values, SEEN))), min(len(values), SEEN)
    del signs[""]
    values = _kinds(values)
    bare = {value: without_sign(value) for value in values}
    shares = [sum(count for value, count in values.items() if number_of(bare[value], *marks) is not None) for marks in MARKS]
    best = shares.index(max(shares))
    alike = [marks for marks, share in zip(MARKS, shares, strict=True) if share == shares[best]]
    sure = all(number_of(value, *MARKS[best]) == number_of(value, *marks) for marks in alike for value in bare.values())
    sign = max(signs, key=signs.__getitem__) if signs.total() * 20 > seen else ""
    marks = MARKED if sign and not best else MARKS[best]
    return Numbers(*marks, shares[best] / rows, sure, sign)


def _kinds(values: Mapping[str, int]) -> dict[str, int]:
    """Return one text for all values that differ by their digits alone: marks read all of them, or none."""
    kinds: Counter[str] = Counter()
    for value, count in values.items():
        kinds[value.translate(NINES)] += count
    return kinds


def number_of(text: str, decimal: str = ".", thousands: str = "") -> float | None:
    """Parse a number; return None if the marks do not read it."""
    text = text.strip()
    if not _shape(decimal, thousands).fullmatch(text):
        return None
    digits = re.sub(GROUPED.get(thousands, re.escape(thousands)), "", text) if thousands else text
    return float(digits.replace(decimal, "."))


@cache
def _shape(decimal: str, thousands: str) -> re.Pattern[str]:
    return re.compile(number_shape(decimal, thousands))


NINES, SEEN = str.maketrans("012345678", "9" * 9), 2000
AROUND = f"()+-{SPACES}"
LONGEST, DIGIT = 40, re.compile("[0-9]")  # of a number with all that is around it
PLAIN = re.compile("-?[0-9](?:[0-9.,]*[0-9])?")


@lru_cache(maxsize=1 << 16)
def without_sign(text: str) -> str:
    """Remove what stands around a number, as a run does: blanks, an apostrophe, a currency, and a sign in another shape."""
    if PLAIN.fullmatch(text) or len(text) > LONGEST or not DIGIT.search(text):
        return text
    for pattern, better in TIDY:
        text = re.sub(pattern, better, text)
    sign = re.sub("[^()-]", "", text).replace("()", "-")
    digits = re.sub(AROUND_NUMBER, "", text.strip(AROUND)).strip(AROUND)
    return sign + re.sub("^(?=[.,])", "0", digits)


def grouped_by_three(values: Collection[str]) -> str:
    """Return "thousands" or "decimals" for numbers like 1.250, of which the digits alone say what the mark is; else empty."""
    bare = [without_sign(value).lstrip("-") for value in values]
    marked = [text for text in bare if re.fullmatch(r"[0-9]{1,3}(?:[.,][0-9]{3})+", text)]
    plain = [text for text in bare if text.isdigit()]
    if not marked or len(marked) + len(plain) < len(bare) or any(len(text) > 3 for text in plain):
        return "decimals"
    if any(text.startswith("0") for text in marked):
        return "decimals"
    if len(plain) > 4 and median(map(int, plain)) >= 100:  # below a thousand, of sums that go on above it
        return "thousands" if len(set(marked)) > 4 else ""
    round_sums = all(text.endswith(("00", "50")) for text in marked)
    return "thousands" if len(set(marked)) > 4 and round_sums else ""


def sign_in(text: str) -> str:
    """Return the currency sign in a text, also for a currency code; empty if there is none."""
    found = SIGN.search(text)
    named = found.group().upper() if found else ""
    return SIGN_OF.get(CODE_OF.get(named, named), named)


# ── dates ────────────────────────────────────────────────────────────
FIELDS = {"%Y": "(?P<y>[0-9]{4})", "%y": "(?P<y>[0-9]{2})", "%m": "(?P<m>[0-9]{1,2})", "%d": "(?P<d>[0-9]{1,2})"}
FIELDS["%b"] = r"(?P<m>[^\W\d_]{3,12})[.]?"
ISO, WEEK = "%Y-%m-%d", "%G-W%V"
MONTH_OF = {name: int(digits) for digits, names in MONTHS.items() for name in names.split("|")}
ORDERS = (  # of year, month and day, the usual ones first
    "%Y{0}%m{0}%d", "%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d",
    "%d{0}%b{0}%Y", "%d{0}%b{0}%y", "%b{0}%d{0}%Y", "%b{0}%d{0}%y", "%Y{0}%b{0}%d",
)  # fmt: skip
PATTERNS = (
    "%b %d, %Y",
    *(order.format(mark) for order in ORDERS for mark in "-./ "),
    "%Y%m%d", "%d%m%Y", "%m%d%Y",
    "%Y年%m月%d日", "%Y년 %m월 %d일", "%Y. %m. %d.", "%Y.%m.%d.", "%d. %m. %Y", WEEK,
)  # fmt: skip
KINDS = 200  # shapes of dates that are compared with each pattern
OLDEST = 1970  # sales before this year are as implausible as those after today
TIME = r"(?:(?:[ T]|, ?).*)?"
CLOCK = re.compile(r"[T ,]+[0-9]{1,2}:[0-9]{2}(?P<rest>.*)$")
OFFSET = re.compile(r"(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})$")
COUNTED = {  # numbers that other programs use for days, and how they are read
    "epoch": (re.compile("([0-9]{9,10})(?:[.][0-9]+)?"), lambda number: dt.date(1970, 1, 1) + dt.timedelta(seconds=number)),
    "epoch_ms": (re.compile("([0-9]{12,13})"), lambda number: dt.date(1970, 1, 1) + dt.timedelta(milliseconds=number)),
    "serial": (re.compile("([2-6][0-9]{4})(?:[.,][0-9]+)?"), lambda number: dt.date(1899, 12, 30) + dt.timedelta(days=number)),
}


class Dates(NamedTuple):
    """How dates are written."""

    pattern: str = ""
    share: float = 0.0  # of the values that it reads
    other: str = ""  # a second pattern that is as plausible
    reason: str = ""
    also: tuple[str, ...] = ()  # patterns of most other values
    swapped: bool = False  # days and months of a part were swapped by a spreadsheet
    months: str = ""  # language of the names of months, if it is not one of those always known


def dates_of(values: Mapping[str, int], today: dt.date | None = None) -> Dates:
    """Detect how the values of a column write dates."""
    days, rows = days_in(values), sum(values.values()) or 1
    months = _language_of(days)
    kinds = list(dict.fromkeys(re.sub("[0-9]", "9", text) for text in days))[:KINDS]
    likely = [one for one in PATTERNS if one == WEEK or any(map(_date_shape(one).fullmatch, kinds))]
    read = {one: {text: day for text in days if (day := date_of(text, one, months))} for one in likely}
    shares = {pattern: sum(days[text] for text in found) / rows for pattern, found in read.items()}
    best = max(shares.values(), default=0.0)
    if days and best < 0.5 and (named := _with_weekdays(days, today)).share > max(best, 0.5):
        return named
    alike = [pattern for pattern, share in shares.items() if share >= best - 0.0005 and share > 0]
    counted = {name: sum(days[text] for text in days if _counted(text, name)) / rows for name in COUNTED}
    if max(counted.values()) > best:
        name = max(counted, key=counted.__getitem__)
        return Dates(name, counted[name], reason=f"the values are numbers that programs use for days ({name})")
    if not alike:
        return Dates(reason="no known date format reads the values")
    chosen = min(alike, key=lambda one: (*_strangeness(set(read[one].values()), today), PATTERNS.index(one)))
    found = Dates(chosen, best, *_doubt(chosen, alike, read, today), months=months)
    return found if best == 1 else _mixed(found, days, read)


def _without_weekday(text: str, pattern: str) -> str:
    """Return a date without the day of the week before it."""
    return re.sub(before_date(pattern).replace(r"\pL", r"[^\W\d_]"), "", text)  # Python's regular expressions have no \pL


def _with_weekdays(days: Mapping[str, int], today: dt.date | None) -> Dates:
    """Detect how dates are written that have a day of the week before them."""
    tried = []
    for first in ("%b", "%d"):
        rest: Counter[str] = Counter()
        for text, count in days.items():
            rest[_without_weekday(text, first)] += count
        tried.append(dates_of(rest, today) if not rest.keys() & days.keys() and "" not in rest else Dates())
    found = max(tried, key=lambda one: one.share if one.pattern and not one.pattern.startswith(WEEKDAY) else 0.0)
    also = tuple(f"{WEEKDAY}{one}" for one in found.also)
    fits = found.pattern in PATTERNS and found.pattern != WEEK
    return found._replace(pattern=f"{WEEKDAY}{found.pattern}", also=also) if fits else Dates()


def _mixed(found: Dates, days: Mapping[str, int], read: Mapping[str, Mapping[str, dt.date]]) -> Dates:
    """Add the patterns of the values that the first one does not read, if their shapes exclude each other."""
    own, also = read[found.pattern], []
    left = {text: count for text, count in days.items() if text not in own}
    for pattern in sorted(read, key=lambda one: -sum(left.get(text, 0) for text in read[one])):
        fits = {text for text in left if text in read[pattern]}
        rest = sum(left.values())
        if not fits or sum(map(left.__getitem__, fits)) < 0.5 * rest or rest < 0.002 * sum(days.values()):
            continue
        if _swapped(own.values(), [read[pattern][text] for text in fits]):
            return found._replace(swapped=True, other=pattern)
        if _marks(found.pattern) == _marks(pattern) and not _unlike(pattern, found.pattern):
            continue
        also.append(pattern)
        left = {text: count for text, count in left.items() if text not in fits}
    return found._replace(also=tuple(also), reason=f"{found.reason}; others like {', '.join(also)}") if also else found


def _marks(pattern: str) -> str:
    return re.sub("%.", "", pattern)


def _unlike(pattern: str, first: str) -> bool:
    """Return True if a text can be read by one of two patterns alone: the year comes first, or the month has a name."""
    fields = [re.sub("[^Yymbd]", "", one) for one in (pattern, first)]
    return fields[0][0] == "Y" != fields[1][0] or fields[1][0] == "Y" != fields[0][0] or ("b" in fields[0]) != ("b" in fields[1])


def _swapped(read: Collection[dt.date], left: Collection[dt.date]) -> bool:
    """Return True if one part has days up to 12 alone and the other has later ones alone: opened in another order of dates."""
    early, late = sorted(({day.day for day in read}, {day.day for day in left}), key=min)
    telling = len(late) >= 5 and len(early) >= 5 or len(late) >= 8  # months in the place of days are few
    return telling and max(early) <= 12 < min(late)


def _counted(text: str, name: str) -> dt.date | None:
    """Return the day that a number stands for; None if it is none, or not of a likely year."""
    shape, day_of = COUNTED[name]
    found = shape.fullmatch(text.strip())
    day = day_of(int(found[1])) if found else None
    return day if day and 1990 <= day.year <= 2079 else None


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


def days_in(values: Mapping[str, int]) -> dict[str, int]:
    """Count the texts of days, without their times."""
    days: Counter[str] = Counter()
    for value, count in values.items():
        days[CLOCK.sub("", value.strip())] += count
    return days


@cache
def _months_in(language: str) -> dict[str, int]:
    """Return the names of the months in a language, full and short, with their numbers."""
    named = month_names()[language]
    return {name: month for month, names in enumerate(named, 1) for name in names.split("|")}


def _language_of(days: Collection[str]) -> str:
    """Return the language of the names of months; empty without names, or if the usual languages have them all."""
    names = {name.casefold() for text in days for name in re.findall(r"[^\W\d_]{3,12}", text)} - {"del"}
    if not names or len(names) > 60 or all(any(name[:size] in MONTH_OF for size in (4, 3)) for name in names):
        return ""
    return next((language for language in month_names() if names <= _months_in(language).keys()), "")


@cache
def _date_shape(pattern: str) -> re.Pattern[str]:
    exact = pattern == ISO or not re.search("[^%a-zA-Z]", pattern)
    pieces = re.split("(%[Yymbd])", pattern)
    named = {" ": BESIDE_NAMES} if "%b" in pattern else {}
    shape = "".join(FIELDS.get(piece) or named.get(piece, re.escape(piece)) for piece in pieces)
    shape += "(?:[0-9]{6})?" if pattern == "%Y%m%d" else ""
    return re.compile((shape.replace("{1,2}", "{2}") if exact else shape) + TIME)


def date_of(text: str, pattern: str, months: str = "") -> dt.date | None:
    """Parse a day; return None if the pattern does not read it. Years of two digits are 1969 to 2068."""
    if pattern in COUNTED:
        return _counted(text, pattern)
    if pattern == WEEK:
        found = re.fullmatch("([0-9]{4})-?W([0-9]{2})", text.strip())
        return dt.date.fromisocalendar(int(found[1]), int(found[2]), 1) if found and 0 < int(found[2]) < 53 else None
    if pattern.startswith(WEEKDAY):
        pattern = pattern.removeprefix(WEEKDAY)
        text = _without_weekday(text.strip(), pattern)
    found = _date_shape(pattern).fullmatch(text.strip())
    if not found:
        return None
    year, month = int(found["y"]), found["m"]
    if len(found["y"]) == 2:
        year += 2000 if year < FIRST_OF_LAST_CENTURY else 1900
    if not month.isdigit():  # a name, in full or shortened
        name = month.casefold()
        usual = next((MONTH_OF[name[:size]] for size in (4, 3) if name[:size] in MONTH_OF), 0)
        month = _months_in(months).get(name, 0) if months else usual
    try:
        return dt.date(year, int(month), int(found["d"]))
    except ValueError:
        return None


def zones(values: Mapping[str, int]) -> dict[str, int]:
    """Count the UTC offsets after the times of a column; ``Z`` is UTC."""
    found: Counter[str] = Counter()
    for value, count in values.items():
        clock = CLOCK.search(value.strip())
        if clock and (offset := OFFSET.search(clock["rest"].strip())):
            found["Z" if offset["zone"] in {"UTC", "GMT", "+0000", "+00:00"} else offset["zone"]] += count
    return found


# ── codes ────────────────────────────────────────────────────────────
def shapes_of(codes: Sequence[str]) -> list[str]:
    """Return regular expressions for the shapes of codes, the most frequent first; none if there are too many."""
    shapes = Counter(map(_shape_of, codes))
    frequent = [shape for shape, count in shapes.most_common() if count >= 0.02 * len(codes)]
    covered = sum(shapes[shape] for shape in frequent)
    return frequent if len(frequent) <= 5 and covered >= 0.9 * len(codes) else []


def _shape_of(code: str) -> str:
    """Return a regular expression for codes like this one: letters, digits and the marks between them."""
    return "".join(map(_part, re.findall("[0-9]+|[A-Za-z]+|[^0-9A-Za-z]", code.strip())))


def _part(part: str) -> str:
    if part.isascii() and part.isalnum():
        return "[0-9]+" if part.isdigit() else "[A-Za-z]+"
    return f"[{part}]" if part in ".+*?()|${}" else f"\\{part}" if part in "^[]\\" else part
