"""Read numbers, prices and dates from text, as a shop writes them, with equal results on every engine.

Engines differ in rounding, in failing and in calendars. So a pattern guards each cast, money is counted in whole cents,
and text that does not match the settings is null: a point is never read as a comma.
"""

from __future__ import annotations

import re

import narwhals as nw

from rfm.config import BLANKS, DATE_TOKENS, Format

_MONTHS = (  # first letters of their names in English, German, French, Spanish, Italian and Dutch
    "jan|ene|gen feb|fév|fev mar|mär|mrz|mrt|maa apr|avr|abr may|mai|mag|mei jun|juin|giu jul|juil|lug "
    "aug|aoû|aou|ago sep|set oct|okt|ott nov dec|dez|déc|dic"
)
MONTHS = dict(enumerate(_MONTHS.split(), 1))
FIRST_OF_LAST_CENTURY = 69  # for years of two digits, as in POSIX: 69 is 1969, 68 is 2068

CURRENCIES = {"£": "GBP", "€": "EUR", "$": "USD", "¥": "JPY", "zł": "PLN", "kr": "SEK", "Fr.": "CHF", "₹": "INR"}  # sign: code
SPACES = " \u00a0\u2009\u202f"  # between thousands, or a number and its currency
GROUPED = {" ": f"[{SPACES}]", "'": "['\u2019]"}  # with non-breaking spaces, and the typographic apostrophe
_WORDS = "|".join((*CURRENCIES.values(), "zł", "kr", r"Fr\."))
CURRENCY = rf"\B[£€$¥₹][{SPACES}]*|^(?:{_WORDS})[{SPACES}]*|[{SPACES}]*(?:[£€$¥₹]|{_WORDS})$"
"""A currency before or after an amount, as a regular expression: ``-$5``, ``USD 5``, ``5 €``, but not ``5€50``."""
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "b": 2}
_LENIENT = {"m": "[0-9]{1,2}", "d": "[0-9]{1,2}"}  # if the pattern has separators
_AFTER_DATE = ",?[ T]"  # between a date and a time
_NUMBERS, _DATE = ("Quantity", "Price"), "InvoiceDate"
_TEXT = f"plain_{_DATE}"


def number_shape(decimal: str, thousands: str) -> str:
    """Return the regular expression of a whole number or decimal, with or without thousands separators."""
    mark = GROUPED.get(thousands, f"[{thousands}]")
    grouped = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|" if thousands else ""
    return f"[+-]?(?:{grouped}[0-9]+)(?:[{decimal}][0-9]*)?"


def normalize(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Add ``plain_…``: quantity and price as ``1234.50``, the date as ``2025-12-31``, what follows it as ``plain_time``."""
    # One with_columns per step: an engine that does not share common expressions would repeat each step many times.
    raw = {name: nw.col(f"raw_{name}") for name in (*_NUMBERS, _DATE)}
    if form == Format():
        return rows.with_columns(**{f"plain_{name}": text for name, text in raw.items()})
    rows = rows.with_columns(**{f"plain_{name}": text.str.strip_chars(BLANKS) for name, text in raw.items()})
    if (form.decimal, form.thousands) != (".", ""):
        rows = rows.with_columns(plain_Price=nw.col("plain_Price").str.replace_all(CURRENCY, ""))
        rows = rows.with_columns(_plain_number(nw.col(f"plain_{name}"), form) for name in _NUMBERS)
    if "%b" in form.date:
        rows = rows.with_columns(_months_as_digits(nw.col(_TEXT), form.date))
    if form.timezone:
        rows = rows.with_columns(plain_time=nw.col(_TEXT).str.replace_all(f"^{_shape(form.date)}", ""))
    return rows if form.date == "%Y-%m-%d" else _plain_date(rows, form.date)


def _plain_number(text: nw.Expr, form: Format) -> nw.Expr:
    """Rewrite a number as ``1234.50``; null where its points and commas are not those of the settings."""
    number = nw.when(text.str.contains(f"^{number_shape(form.decimal, form.thousands)}$")).then(text)
    mark = GROUPED.get(form.thousands, f"[{form.thousands}]")
    number = number.str.replace_all(mark, "") if form.thousands else number
    return number.str.replace_all(form.decimal, ".", literal=True)


def _plain_date(rows: nw.LazyFrame, pattern: str) -> nw.LazyFrame:
    """Rewrite dates as ``2025-12-31``, without checking the calendar; null where they do not match the pattern."""
    text = nw.col(_TEXT)
    rows = rows.with_columns(nw.when(text.str.contains(f"^{_shape(pattern)}(?:{_AFTER_DATE}.*)?$")).then(text))
    parts = {DATE_TOKENS[token]: part for token, part in _parts(text, pattern).items()}
    rows = rows.with_columns(plain_year=parts["%Y"], plain_month=parts["%m"].str.zfill(2), plain_day=parts["%d"].str.zfill(2))
    if "%y" in pattern:
        short = nw.col("plain_year").cast(nw.Int64)
        century = nw.when(short < FIRST_OF_LAST_CENTURY).then(nw.lit(2000)).otherwise(nw.lit(1900))
        rows = rows.with_columns((short + century).cast(nw.String))
    date = nw.concat_str("plain_year", "plain_month", "plain_day", separator="-")
    return rows.with_columns(date.alias(_TEXT)).drop("plain_year", "plain_month", "plain_day")


def _compact(pattern: str) -> bool:
    """Return True if a date pattern has no separators."""
    return len(pattern) == len("%Y%m%d")


def _shape(pattern: str) -> str:
    """Return a regular expression that matches dates of a pattern."""
    exact = {token: f"[0-9]{{{width}}}" for token, width in _WIDTHS.items()}
    digits = exact if _compact(pattern) else exact | _LENIENT
    pieces = re.split("%(.)", pattern)  # text, token, text …
    return "".join(digits[piece] if place % 2 else re.escape(piece) for place, piece in enumerate(pieces))


def _parts(date: nw.Expr, pattern: str) -> dict[str, nw.Expr]:
    """Return the digits of each token of a pattern, by position or as the first, second and third number."""
    tokens = re.findall("%(.)", pattern)
    if _compact(pattern):
        starts = [sum(_WIDTHS[token] for token in tokens[:place]) for place in range(3)]
        return {token: date.str.slice(start, _WIDTHS[token]) for token, start in zip(tokens, starts, strict=True)}
    return {token: _number(date, place) for place, token in enumerate(tokens)}


def _number(text: nw.Expr, place: int) -> nw.Expr:
    """Return the digits of the number at a place, counted from 0."""
    rest = text.str.replace_all(f"^(?:[^0-9]*[0-9]+){{{place}}}[^0-9]*", "")
    return rest.str.replace_all("[^0-9].*$", "")


def _months_as_digits(text: nw.Expr, pattern: str) -> nw.Expr:
    """Replace month names, full or short, by two digits; the point of a short name too, unless the pattern has it."""
    end = "" if "%b." in pattern else "[.]?"
    for month, names in MONTHS.items():
        text = text.str.replace_all(f"(?i)\\b(?:{names})\\p{{L}}*{end}", f"{month:02}")
    return text


# ── casts ────────────────────────────────────────────────────────────
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
_ISO_DATE = f"^(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)(?:[ T].*)?$"
_WHOLE_NUMBER = "^[+-]?[0-9]{1,9}(?:[.]0*)?$"
_PRICE = "^[+-]?[0-9]{1,8}(?:[.][0-9]*)?$"
_FIRST_DAY = 1_753_470  # the Julian day before 0001-01-01, and the 32,045 days of the formula


def whole_number(text: nw.Expr) -> nw.Expr:
    """Cast text such as ``12`` or ``12.0``, up to nine digits, to an integer; null for anything else."""
    text = text.str.strip_chars(BLANKS)
    # not every engine reads a leading plus
    return nw.when(text.str.contains(_WHOLE_NUMBER)).then(text.str.strip_chars("+")).cast(nw.Float64).cast(nw.Int64)


def cents(text: nw.Expr) -> nw.Expr:
    """Cast a price to whole cents, rounding half away from zero; null for anything else."""
    text = text.str.strip_chars(BLANKS)
    price = nw.when(text.str.contains(_PRICE)).then(text)
    long = price.str.contains("[.][0-9]{7}")
    return nw.when(long).then(_cents_of_text(nw.when(long).then(price))).otherwise(_cents_of_number(nw.when(~long).then(price)))


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
    """Cast whole cents to DECIMAL(precision, 2), exactly up to twelve digits."""
    return (cents.cast(nw.Float64) * 0.01).cast(nw.Decimal(precision, 2))


def calendar_date(text: nw.Expr) -> nw.Expr:
    """Cast ``YYYY-MM-DD`` to a date, ignoring a time after it; null where there is no such day."""
    text = text.str.strip_chars(BLANKS)
    return nw.when(text.str.contains(_ISO_DATE)).then(text.str.slice(0, 10)).str.to_date("%Y-%m-%d")


def day_number(date: nw.Expr) -> nw.Expr:
    """Return the ordinal of a date, as `datetime.date.toordinal` counts days."""
    # The difference of two dates is a duration on one engine, a number on the next, so days are counted in integers.
    # Formula: Fliegel and Van Flandern (1968), Communications of the ACM 11(10); March is the first month, so that leap
    # days come last.
    year, month, day = date.dt.year().cast(nw.Int64), date.dt.month().cast(nw.Int64), date.dt.day().cast(nw.Int64)
    before_march = (14 - month) // 12
    year, month = year + 4800 - before_march, month + 12 * before_march - 3
    return day + (153 * month + 2) // 5 + 365 * year + year // 4 - year // 100 + year // 400 - _FIRST_DAY


# ── time zones ──────────────────────────────────────────────────────────
_HALF = "[AaPp][.]?[Mm][.]?"  # of the day
# Hours run to 29 because tills count a night's sales on past midnight.
_TIME = (
    f"^,?[ T]+[0-2]?[0-9]:[0-9]{{2}}(?::[0-9]{{2}}(?:[.,][0-9]*)?)? ?(?:{_HALF})? ?"
    "(?:Z|UTC|GMT|[+-][0-9]{2}:?(?:[0-9]{2})?)?$"
)


def local_day(rows: nw.LazyFrame, zone: str) -> nw.LazyFrame:
    """Move InvoiceDate to the day in a time zone; a date without a time stays, one with an unreadable time is null."""
    date, time, clock = nw.col("InvoiceDate"), nw.col("plain_time"), nw.col("clock")
    rows = rows.with_columns(clock=nw.when(time.str.contains(_TIME)).then(time.str.replace_all("^[, T]+", "")))
    rows = rows.with_columns(minute=_minute(clock) - _offset(clock))
    moment = (date.cast(nw.Datetime("ms")).dt.timestamp("ms") + nw.col("minute") * 60_000).cast(nw.Datetime("ms"))
    local = moment.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    return rows.with_columns(InvoiceDate=nw.when(time == "").then(date).otherwise(local)).drop("plain_time", "clock", "minute")


def _minute(clock: nw.Expr) -> nw.Expr:
    """Return the minute of the day of a time such as ``23:59:30`` or ``11:59 PM``."""
    hour = clock.str.replace_all("[^0-9].*$", "").cast(nw.Int64)
    minute = clock.str.replace_all("^[0-9]+:", "").str.slice(0, 2).cast(nw.Int64)
    noon = nw.when(clock.str.contains("[Pp][.]?[Mm]")).then(nw.lit(12)).otherwise(nw.lit(0))
    twelve = nw.when(clock.str.contains(_HALF)).then(hour - hour // 12 * 12).otherwise(hour)
    return (twelve + noon) * 60 + minute


def _offset(clock: nw.Expr) -> nw.Expr:
    """Return the minutes that a time's own offset is ahead of UTC; 0 if it has none."""
    signed = nw.when(clock.str.contains("[+-]")).then(clock)
    digits = signed.str.replace_all("^.*[+-]", "").str.replace_all(":", "")
    minutes = digits.str.slice(0, 2).cast(nw.Int64) * 60 + digits.str.slice(2, 2).str.zfill(2).cast(nw.Int64)
    ahead = nw.when(clock.str.contains("-")).then(-minutes).otherwise(minutes)
    return nw.when(clock.str.contains("[+-]")).then(ahead).otherwise(nw.lit(0))
