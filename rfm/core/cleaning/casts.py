"""Text to numbers, money and dates, alike on every engine.

Casts differ between engines (rounding, failing, calendars), so a pattern guards each one, money is made of whole
cents in integers, and the pattern of dates knows the calendar.
"""

from __future__ import annotations

import narwhals as nw

from rfm.dialect import BLANKS

_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
ISO_DATE = f"^(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)(?:[ T].*)?$"
WHOLE_NUMBER = "^[+-]?[0-9]{1,9}(?:[.]0*)?$"
PRICE = "^[+-]?[0-9]{1,8}(?:[.][0-9]*)?$"
LONG_PRICE = "[.][0-9]{7}"


def whole_number(text: nw.Expr) -> nw.Expr:
    """Return an integer of up to nine digits from text, ``12`` and ``12.0`` alike; null for anything else.

    Parameters
    ----------
    text
        Any text.
    """
    text = text.str.strip_chars(BLANKS)  # and not every engine reads a leading plus
    return nw.when(text.str.contains(WHOLE_NUMBER)).then(text.str.strip_chars("+")).cast(nw.Float64).cast(nw.Int64)


def cents(text: nw.Expr) -> nw.Expr:
    """Return whole cents from a price in text, rounded half away from zero at the third decimal, exactly.

    Parameters
    ----------
    text
        Up to eight digits before the point, any number behind it.

    Notes
    -----
    Eight digits before and six behind the point are fourteen, which a double holds exactly: millionths are whole
    numbers from there on. The few prices with more decimals are taken apart as text, which costs four times as much.
    """
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
    """Return DECIMAL(precision, 2) from whole cents, exactly: up to twelve digits, a double is nearer than a millionth of a cent.

    Parameters
    ----------
    cents
        Whole cents.
    precision
        Digits in all, two of them behind the point, at most twelve.
    """
    return (cents.cast(nw.Float64) * 0.01).cast(nw.Decimal(precision, 2))


def calendar_date(text: nw.Expr) -> nw.Expr:
    """Return a date from ``YYYY-MM-DD``, a time after it ignored; null where there is no such day.

    Parameters
    ----------
    text
        Any text.
    """
    text = text.str.strip_chars(BLANKS)
    return nw.when(text.str.contains(ISO_DATE)).then(text.str.slice(0, 10)).str.to_date("%Y-%m-%d")
