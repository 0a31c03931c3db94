"""How a column writes its numbers: the mark of decimals, that of thousands, and a currency beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from rfm.dialect import CURRENCIES, CURRENCY, GROUPED, number_shape

MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))  # the plainest first
MARKED = (".", ",")  # what reads the plainest numbers with a currency sign too
SIGN = re.compile("|".join([*map(re.escape, CURRENCIES), *(rf"\b{code}\b" for code in CURRENCIES.values()), r"\bEuro?\b"]), re.I)


class Numbers(NamedTuple):
    """How numbers are written.

    Parameters
    ----------
    decimal, thousands
        The marks; an empty one stands for none.
    share
        Of the values that they read.
    sure
        Whether no other marks read as many values as other numbers.
    sign
        Currency sign beside the values; empty if there is none.
    """

    decimal: str
    thousands: str
    share: float
    sure: bool
    sign: str


def numbers_of(values: Mapping[str, int]) -> Numbers:
    """Return how the values of a column write numbers.

    Parameters
    ----------
    values
        Value, and how often it is there.
    """
    rows = sum(values.values()) or 1
    bare = {value: without_sign(value) for value in values}
    shares = [sum(count for value, count in values.items() if number_of(bare[value], *marks) is not None) for marks in MARKS]
    best = shares.index(max(shares))
    alike = [marks for marks, share in zip(MARKS, shares, strict=True) if share == shares[best]]
    sure = all(_same(bare.values(), MARKS[best], marks) for marks in alike)
    signs = [sign for value in values if (sign := sign_in(value))]
    sign = max(set(signs), key=signs.count) if len(signs) * 20 > len(values) else ""
    marks = MARKED if sign and not best else MARKS[best]
    return Numbers(*marks, shares[best] / rows, sure, sign)


def _same(values: object, marks: tuple[str, str], others: tuple[str, str]) -> bool:
    """Tell whether two pairs of marks read the same numbers."""
    return all(number_of(value, *marks) == number_of(value, *others) for value in values)  # type: ignore[attr-defined]


def number_of(text: str, decimal: str = ".", thousands: str = "") -> float | None:
    """Return the number of a text, none if the marks do not read it.

    Parameters
    ----------
    text
        A number without a currency sign.
    decimal, thousands
        The marks.

    Examples
    --------
    >>> number_of("1.234,50", ",", "."), number_of("1.234,50")
    (1234.5, None)
    """
    text = text.strip()
    if not _shape(decimal, thousands).fullmatch(text):
        return None
    digits = re.sub(GROUPED.get(thousands, re.escape(thousands)), "", text)
    return float(digits.replace(decimal, "."))


@cache
def _shape(decimal: str, thousands: str) -> re.Pattern[str]:
    return re.compile(number_shape(decimal, thousands))


def without_sign(text: str) -> str:
    """Return a text without a currency sign beside it and the blanks around it, as a run does.

    Examples
    --------
    >>> without_sign("€ 12,50"), without_sign("12.50 USD")
    ('12,50', '12.50')
    """
    return re.sub(CURRENCY, "", text.strip())


def sign_in(text: str) -> str:
    """Return the currency sign that stands in a text, that of a code for a code; empty if there is none.

    Examples
    --------
    >>> sign_in("12,50 EUR"), sign_in("Price (£)"), sign_in("12.50")
    ('€', '£', '')
    """
    found = SIGN.search(text)
    if not found:
        return ""
    told = found.group()
    codes = {code: sign for sign, code in CURRENCIES.items()} | {"EURO": "€", "EUR": "€"}
    return codes.get(told.upper(), told)
