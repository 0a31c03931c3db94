"""A shop's way to write dates and numbers → the plain way, which the casts know: ``2025-12-31`` and ``1234.50``.

All of it is text, by patterns that hold on every engine. What is not written as the settings say is null, so that a
point is never taken for a comma.
"""

from __future__ import annotations

import re

import narwhals as nw

from rfm.dialect import BLANKS, CURRENCY, DATE_TOKENS, FIRST_OF_LAST_CENTURY, GROUPED, MONTHS, Format, number_shape

WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "b": 2}
LENIENT = {"m": "[0-9]{1,2}", "d": "[0-9]{1,2}"}  # where something stands between the parts
AFTER_DATE = ",?[ T]"  # between a date and a time
ISO = "%Y-%m-%d"
NUMBERS, DATE = ("Quantity", "Price"), "InvoiceDate"
TEXT = f"plain_{DATE}"


def in_plain(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Add quantity, price and date in the plain way, under the prefix ``plain_``; what follows the date is in ``plain_time``.

    A currency sign or code beside a price is taken off where the shop has a format of its own.
    One step a frame: an engine that does not see that it computes the same twice would do so many times over.

    Parameters
    ----------
    rows
        With the raw text under the prefix ``raw_``.
    form
        The shop's way to write.
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
