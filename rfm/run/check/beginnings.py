"""What is odd about the beginnings of files, in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pandas as pd

from rfm.core.guess import rules
from rfm.core.guess.columns import named_for
from rfm.core.guess.dates import dates_of, zones
from rfm.core.guess.lines import GROWS, Lines
from rfm.core.guess.numbers import number_of, without_sign
from rfm.run.check.findings import Finding
from rfm.run.check.sample import Sample

NEEDED = {"customer_id": "the customer", "invoice_date": "the date of the sale"}
NAMED = NEEDED | {"price": "price or amount"}
DATUM = re.compile(r"^[-+]?[0-9][0-9.,:/ -]*$")  # a value where a name should be
PENCE = re.compile(r"\b(?:pence|pennies|cents?|centimes|centesimi|cent[aei]vos)\b", re.IGNORECASE)
ONE_CUSTOMER = 0.2  # of the lines


def of_sample(sample: Sample, lines: Lines) -> Iterator[Finding]:
    """Yield what the beginnings of files tell.

    Parameters
    ----------
    sample, lines
        The beginnings, and what was found out of them.
    """
    for name, header in sample.others.items():
        yield Finding("mend", "columns", f"{name} has other columns than most files ({_short(header)}); bring it into line")
    if unusable := _of_header(sample, lines):
        yield unusable
        return
    for role, match in lines.matches.items():
        if match.sure == "unsure":
            said = f"{match.column!r} is taken for {NAMED.get(role, role.replace('_', ' '))}: {match.reason}; see whether it is"
            yield Finding("mend", "columns", said)
    if not lines.dates.pattern:
        column, reason = lines.matches["invoice_date"].column, lines.dates.reason
        yield Finding("unusable", "dates", f"column {column!r}: {reason}; write days like 2025-12-31")
    if lines.dates.other:
        said = f"day and month could be the other way: {lines.dates.pattern} is taken, {lines.dates.other} fits as well"
        yield Finding("mend", "dates", said)
    yield from _of_zones(lines)
    yield from _of_prices(lines)
    yield from _of_customers(lines)


def _of_header(sample: Sample, lines: Lines) -> Finding | None:
    """Say why the header, or what is below it, is of no use; nothing if it is."""
    cells, first = list(sample.first.lines.column_names), _short(sample.first.header)
    missing = {role: named for role, named in NEEDED.items() if role not in lines.matches}
    if any(DATUM.search(cell) for cell in cells) and all(match.sure == "unsure" for match in lines.matches.values()):
        return Finding("unusable", "columns", f"no header: the first line is {first}; put the names of the columns above it")
    if len(cells) == 1:
        said = f"only one column, {first}; take off lines above the header, and separate fields by comma, semicolon, tab or bar"
        return Finding("unusable", "columns", said)
    if lines.lines.empty and len(missing) < len(NEEDED):
        return Finding("unusable", "lines", "no line below the header; send files with sales")
    for role in NAMED.keys() - lines.matches.keys():
        if column := named_for(role, [name for name in cells if lines.values[name]]):
            return Finding("unusable", "columns", _unlike(role, column, lines.values[column]))
    if missing:
        wanted, there = " or ".join(missing.values()), _short(", ".join(cells))
        return Finding("unusable", "columns", f"no column is {wanted}, among {there}; name it under [columns], or export it")
    return None


def _unlike(role: str, column: str, values: Mapping[str, int]) -> str:
    """Say that the values of a column are not what its name says."""
    reason = dates_of(values).reason if role == "invoice_date" else "see whether the export has them in another column"
    return f"column {column!r} is named like {NAMED[role]}, but holds {next(iter(values))!r} and the like: {reason}"


def _of_zones(lines: Lines) -> Iterator[Finding]:
    """Say what times tell of their zone."""
    offsets = zones(lines.column("invoice_date"))
    if offsets.get("Z") and not lines.zone:
        said = "times are in UTC, so a late sale can count for another day; set format.timezone to the shop's zone"
        yield Finding("mend", "times", said)
    elif len(offsets) > 2:
        yield Finding("note", "times", f"times have {len(offsets)} different offsets ({', '.join(sorted(offsets)[:4])})")


def _of_prices(lines: Lines) -> Iterator[Finding]:
    """Say what is odd about prices: that there are none, the scale, totals."""
    if "price" not in lines.matches:
        said = f"no column is {NAMED['price']}: each {'piece' if 'quantity' in lines.matches else 'line'} counts 1"
        yield Finding("note", "prices", f"{said}, so amounts are numbers of them; if there is one, name it under [columns]")
        return
    if GROWS in lines.matches["price"].reason:
        yield Finding("note", "prices", f"{lines.matches['price'].column!r} is no price of a piece: {GROWS}")
    column, values = lines.matches["price"].column, lines.column("price")
    marks = lines.numbers.decimal, lines.numbers.thousands
    numbers = pd.Series({value: number_of(without_sign(value), *marks) for value in values}, dtype=float).dropna()
    if not numbers.empty and PENCE.search(column) or _whole_and_large(numbers, values):
        said = f"{column!r} holds whole numbers only, the middle one is {numbers.median():,.0f}: pence or cents?"
        yield Finding("mend", "prices", f"{said} A run takes them for pounds, euros …")


def _whole_and_large(numbers: pd.Series, values: dict[str, int]) -> bool:
    """Tell whether many different prices are all whole, and not small."""
    return len(numbers) > 20 and bool((numbers == numbers.round()).all()) and numbers.abs().median() >= 100


def _of_customers(lines: Lines) -> Iterator[Finding]:
    """Say what is odd about the customers."""
    customers = lines.column("customer_id")
    rows = sum(customers.values()) or 1
    nobody = rules.nobodies(customers)
    if sum(nobody.values()) > 1:
        ids = ", ".join(map(repr, list(nobody)[:3]))
        said = f"{sum(nobody.values()):,} lines have {ids} for a customer; leave the field empty for guests"
        yield Finding("mend", "customers", said)
    top = max((one for one in customers if one not in nobody), key=customers.__getitem__, default="")
    if len(customers) > 20 and customers[top] > ONE_CUSTOMER * rows:
        yield Finding(
            "mend", "customers", f"customer {top!r} stands on {customers[top] / rows:.0%} of the lines; see whether that is one"
        )
    if any("@" in one for one in list(customers)[:100]):
        yield Finding(
            "note", "customers", "customers are e-mail addresses; columns.hash_customers = true keeps them out of all tables"
        )


def _short(text: str, most: int = 60) -> str:
    """Return the beginning of a text in quotes."""
    return repr(text if len(text) <= most else f"{text[:most]}…")
