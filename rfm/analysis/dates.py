"""Read dates from text, as a shop writes them, with equal results on every engine; no calendar of an engine is asked."""

from __future__ import annotations

import re

import narwhals as nw

from rfm.dialect import DATE_TOKENS, UNUSUAL_DATES, WEEKDAY, Format, month_names

_MONTHS = (  # first letters of their names in English, German, French, Spanish, Italian and Dutch
    "jan|ene|gen feb|fév|fev mar|mär|mrz|mrt|maa apr|avr|abr may|mai|mag|mei jun|juin|giu jul|juil|lug "
    "aug|aoû|aou|ago sep|set oct|okt|ott nov dec|dez|déc|dic"
)
MONTHS = dict(enumerate(_MONTHS.split(), 1))
FIRST_OF_LAST_CENTURY = 69  # for years of two digits, as in POSIX: 69 is 1969, 68 is 2068

_PLACEHOLDERS = "0001-01-01 1899-12-30 1899-12-31 1900-01-01 1970-01-01 2099-12-31 9999-12-31"
PLACEHOLDERS = tuple(_PLACEHOLDERS.split())
"""Days that stand for no date in exports."""
_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "b": 2}
_LENIENT = {"m": "[0-9]{1,2}", "d": "[0-9]{1,2}"}  # if the pattern has separators
BESIDE_NAMES = "(?:st|nd|rd|th|er|[ºª°])?(?:[ ,./-]|de |del |of )+"
"""What a blank of a pattern stands for beside the name of a month: ``3rd of March``, ``3. März``, ``3 de marzo de 2025``."""
_AFTER_DATE = ",?[ T]"  # between a date and a time
_TEXT = "plain_InvoiceDate"


def plain_dates(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Rewrite dates as ``2025-12-31`` by the first pattern that they match; null where they match none."""
    patterns = (form.date, *form.also)
    for place, pattern in enumerate(patterns):
        # No time, in the type of the text: pandas cannot cast the missing values of a literal.
        rows = rows.with_columns(part=nw.col(_TEXT), time=nw.col(_TEXT).str.slice(0, 0))
        rows = _counted_date(rows, pattern) if pattern in UNUSUAL_DATES else _plain_date(rows, pattern, form)
        rows = rows.rename({"part": f"date_{place}", "time": f"time_{place}"})
    date, time = nw.col("date_0"), nw.col("time_0")
    for place in range(1, len(patterns)):
        found = ~date.is_null()
        date = nw.when(found).then(date).otherwise(nw.col(f"date_{place}"))
        time = nw.when(found).then(time).otherwise(nw.col(f"time_{place}"))
    rows = rows.with_columns(date.alias(_TEXT), **({"plain_time": time} if form.timezone else {}))
    return rows.drop(*(f"{kind}_{place}" for kind in ("date", "time") for place in range(len(patterns))))


def _plain_date(rows: nw.LazyFrame, pattern: str, form: Format) -> nw.LazyFrame:
    """Rewrite ``part`` as ``2025-12-31``, without checking the calendar, and set ``time`` to what follows it."""
    text = nw.col("part")
    if pattern.startswith(WEEKDAY):
        pattern = pattern.removeprefix(WEEKDAY)
        rows = rows.with_columns(part=text.str.replace_all(before_date(pattern), ""))
    shape = _shape(pattern)
    if "%b" in pattern:
        rows = rows.with_columns(part=_months_as_digits(text, pattern, form.months))
    rows = rows.with_columns(part=nw.when(text.str.contains(f"^{shape}(?:{_AFTER_DATE}.*)?$")).then(text))
    if form.timezone:
        rows = rows.with_columns(time=text.str.replace_all(f"^{shape}", ""))
    parts = {DATE_TOKENS[token]: part for token, part in _parts(text, pattern).items()}
    rows = rows.with_columns(plain_year=parts["%Y"], plain_month=parts["%m"].str.zfill(2), plain_day=parts["%d"].str.zfill(2))
    if "%y" in pattern:
        short = nw.col("plain_year").cast(nw.Int64)
        century = nw.when(short < FIRST_OF_LAST_CENTURY).then(nw.lit(2000)).otherwise(nw.lit(1900))
        rows = rows.with_columns(plain_year=(short + century).cast(nw.String))
    date = nw.concat_str("plain_year", "plain_month", "plain_day", separator="-")
    return rows.with_columns(part=date).drop("plain_year", "plain_month", "plain_day")


_COUNTED = {  # shape of dates that are numbers
    "serial": "^[0-9]{5}(?:[.,][0-9]*)?$",
    "epoch": "^[0-9]{9,10}(?:[.][0-9]*)?$",
    "epoch_ms": "^[0-9]{12,13}(?:[.][0-9]*)?$",
    "%G-W%V": "^[0-9]{4}-?W(?:0[1-9]|[1-4][0-9]|5[0-3])$",
}
_DAYS_TO_1970, _SERIAL_OF_1970 = 719_162, 25_569  # since 0001-01-01, and since 1899-12-30


def _counted_date(rows: nw.LazyFrame, pattern: str) -> nw.LazyFrame:
    """Rewrite ``part``, which counts days, seconds or weeks, as ``2025-12-31``, and set ``time`` to the minute in UTC."""
    rows = rows.with_columns(part=nw.when(nw.col("part").str.contains(_COUNTED[pattern])).then(nw.col("part")))
    number = nw.col("part").str.replace_all("[^0-9].*$", "").cast(nw.Int64)
    if pattern == "serial":
        return _date_of_day(rows.with_columns(day=number - _SERIAL_OF_1970))
    if pattern == "%G-W%V":
        before, week = number - 1, nw.col("part").str.replace_all("^.*W", "").cast(nw.Int64)
        # 4 January, of the first week
        rows = rows.with_columns(day=365 * before + before // 4 - before // 100 + before // 400 + 3)
        return _date_of_day(rows.with_columns(day=nw.col("day") // 7 * 7 + (week - 1) * 7 - _DAYS_TO_1970))
    rows = rows.with_columns(minute=number // (60_000 if pattern == "epoch_ms" else 60))
    rows = rows.with_columns(day=nw.col("minute") // 1440)
    clock = nw.col("minute") - nw.col("day") * 1440
    hour, minute = (clock // 60).cast(nw.String).str.zfill(2), (clock - clock // 60 * 60).cast(nw.String).str.zfill(2)
    return _date_of_day(rows.with_columns(time=nw.concat_str(nw.lit(" "), hour, nw.lit(":"), minute)).drop("minute"))


def _date_of_day(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Set ``part`` to the date of ``day``, counted from 1970."""
    # Formula: Howard Hinnant (2013), civil_from_days; March is the first month, and an era has 400 years.
    day = nw.col("day")
    rows = rows.with_columns(day=day + 719_468).with_columns(era=day // 146_097)
    rows = rows.with_columns(day=day - nw.col("era") * 146_097)
    rows = rows.with_columns(year=(day - day // 1460 + day // 36_524 - day // 146_096) // 365)
    year = nw.col("year")
    rows = rows.with_columns(day=day - (365 * year + year // 4 - year // 100))
    rows = rows.with_columns(march=(5 * day + 2) // 153)
    march = nw.col("march")
    rows = rows.with_columns(day=day - (153 * march + 2) // 5 + 1, month=march + 3 - march // 10 * 12)
    rows = rows.with_columns(year=year + nw.col("era") * 400 + march // 10)
    digits = [nw.col(name).cast(nw.String).str.zfill(width) for name, width in (("year", 4), ("month", 2), ("day", 2))]
    return rows.with_columns(part=nw.concat_str(*digits, separator="-")).drop("day", "era", "year", "march", "month")


def _compact(pattern: str) -> bool:
    """Return True if a date pattern has no separators."""
    return len(pattern) == len("%Y%m%d")


def _shape(pattern: str) -> str:
    """Return a regular expression that matches dates of a pattern."""
    exact = {token: f"[0-9]{{{width}}}" for token, width in _WIDTHS.items()}
    digits = exact if _compact(pattern) else exact | _LENIENT
    pieces = re.split("%(.)", pattern)  # text, token, text …
    between = {" ": BESIDE_NAMES} if "%b" in pattern else {}
    shape = "".join(digits[piece] if place % 2 else between.get(piece, re.escape(piece)) for place, piece in enumerate(pieces))
    return f"{shape}(?:[0-9]{{6}})?" if pattern == "%Y%m%d" else shape  # the time may follow without a mark


def before_date(pattern: str) -> str:
    """Return the regular expression of the day of the week before a date: one word, or all before the first digit."""
    return r"^\pL+[.,]* *" if pattern.startswith("%b") else "^[^0-9]+"


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


def _months_as_digits(text: nw.Expr, pattern: str, language: str) -> nw.Expr:
    """Replace month names, full or short, by two digits; the point of a short name too, unless the pattern has it."""
    end = "" if "%b." in pattern else "[.]?"
    if not language:
        for month, names in MONTHS.items():
            text = text.str.replace_all(f"(?i)\\b(?:{names})\\p{{L}}*{end}", f"{month:02}")
        return text
    found = [(name, f"{month:02}") for month, names in enumerate(month_names()[language], 1) for name in names.split("|")]
    text = text.str.to_lowercase()
    for name, digits in sorted(found, key=lambda one: -len(one[0])):  # a short name may begin a longer one
        text = text.str.replace_all(f"{re.escape(name)}{end}", digits)
    return text


# ── casts ────────────────────────────────────────────────────────────
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
_ISO_DATE = f"^(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)(?:[ T].*)?$"
_FIRST_DAY = 1_753_470  # the Julian day before 0001-01-01, and the 32,045 days of the formula


def calendar_date(text: nw.Expr) -> nw.Expr:
    """Cast ``YYYY-MM-DD`` to a date, ignoring a time after it; null where there is no such day."""
    day = text.str.slice(0, 10)
    return nw.when(text.str.contains(_ISO_DATE) & ~day.is_in(PLACEHOLDERS)).then(day).str.to_date("%Y-%m-%d")


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
