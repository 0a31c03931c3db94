"""What the values tell of a shop's rules: cancellations, invoice numbers, stock codes, ids that are nobody's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from rfm.core.guess.numbers import number_of, without_sign
from rfm.core.guess.words import NO_PRODUCT, NOBODY, plain

LEAST_OF_SHAPE = 0.02  # share of the codes that a shape must have to be one of products
MOST_SHAPES = 5
MOSTLY = 0.9
LETTERS = re.compile(r"^([A-Za-z]{1,4})(?=[-_]?[0-9])")


def negatives(numbers: Sequence[str], decimal: str, thousands: str) -> list[bool]:
    """Tell of each text whether it is a number below 0.

    Parameters
    ----------
    numbers
        Texts of a column.
    decimal, thousands
        The marks.
    """
    known = {text: (number_of(without_sign(text), decimal, thousands) or 0) < 0 for text in set(numbers)}
    return [known[text] for text in numbers]


def cancel_prefix(invoices: Sequence[str], negative: Sequence[bool]) -> str:
    """Return the letters before the numbers of cancelled invoices; empty if no letters mark them.

    Parameters
    ----------
    invoices
        Number of each line's invoice.
    negative
        Whether quantity or amount of the line is below 0.
    """
    starts = [_letters(invoice) for invoice in invoices]
    lines, below = Counter(starts), Counter(start for start, back in zip(starts, negative, strict=True) if back)
    marks = [start for start in lines if start and below[start] >= MOSTLY * lines[start]]
    rest = sum(lines.values()) - sum(lines[mark] for mark in marks)
    return max(marks, key=lines.__getitem__) if marks and rest else ""


def _letters(invoice: str) -> str:
    found = LETTERS.match(invoice)
    return found.group(1) if found else ""


def shapes_of(codes: Sequence[str]) -> list[str]:
    """Return regular expressions of the shapes that product codes have, the most frequent first; none if they have too many.

    Parameters
    ----------
    codes
        Different stock codes.

    Examples
    --------
    >>> shapes_of(["SKU-0012", "SKU-0013A", "AB-77", "POST"])
    ['[A-Za-z]+-[0-9]+', '[A-Za-z]+-[0-9]+[A-Za-z]+']
    """
    products = [code for code in codes if not is_no_product(code)]
    shapes = Counter(map(_shape, products))
    frequent = [shape for shape, count in shapes.most_common() if count >= LEAST_OF_SHAPE * len(products)]
    covered = sum(shapes[shape] for shape in frequent)
    return frequent if len(frequent) <= MOST_SHAPES and covered >= MOSTLY * len(products) else []


def _shape(code: str) -> str:
    """Return a regular expression of a code's kind: letters, digits and the marks between them."""
    return "".join(map(_kind, re.findall("[0-9]+|[A-Za-z]+|[^0-9A-Za-z]", code.strip())))


def _kind(part: str) -> str:
    """Return a regular expression of digits, letters or a mark like these."""
    if part.isascii() and part.isalnum():
        return "[0-9]+" if part.isdigit() else "[A-Za-z]+"
    return f"[{part}]" if part in ".+*?()|${}" else f"\\{part}" if part in "^[]\\" else part


def is_no_product(code: str) -> bool:
    """Tell whether a stock code is known to be postage, a fee, a voucher or the like.

    Examples
    --------
    >>> is_no_product("POST"), is_no_product("Versand DE"), is_no_product("85048")
    (True, True, False)
    """
    bare = plain(code)
    return any(bare == word or len(word) > 3 and bare.startswith(word) for word in NO_PRODUCT)


def nobodies(customers: Mapping[str, int]) -> dict[str, int]:
    """Return the ids that stand for no customer, and on how many lines.

    Parameters
    ----------
    customers
        Id, and on how many lines it is.
    """
    return {one: lines for one, lines in customers.items() if plain(one.removesuffix(".0")) in NOBODY or one.strip() in NOBODY}


def totals_for_prices(lines: pd.DataFrame) -> bool:
    """Tell whether prices are amounts of lines: of one product, they grow with the quantity.

    Parameters
    ----------
    lines
        ``product``, ``quantity`` and ``price`` as numbers.
    """
    sold = lines[(lines["quantity"] > 0) & (lines["price"] > 0)].drop_duplicates()
    groups = sold.groupby("product")
    several = sold[(groups["quantity"].transform("nunique") > 1)]
    if several["product"].nunique() < 3:
        return False
    each = several.assign(each=several["price"] / several["quantity"]).groupby("product")[["price", "each"]]
    spread = each.std() / each.mean()
    return bool((spread["each"] < 0.5 * spread["price"]).mean() > 0.7)
