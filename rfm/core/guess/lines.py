"""Lines of a shop's files, and what is found out of them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import pandas as pd

from rfm.core.guess import rules
from rfm.core.guess.columns import Match, match
from rfm.core.guess.dates import Dates, dates_of
from rfm.core.guess.numbers import Numbers, number_of, numbers_of, without_sign
from rfm.core.guess.words import ZONES, plain
from rfm.dialect import FLAG, YES, Columns
from rfm.dialect import plain as header_plain

LANDED = (*Columns.model_fields.keys() - {"hash_customers"},)
SEEN = 2000  # different values by which a column is known
GROWS = "it grows with the quantity, so it is the amount of the line"
CHOSEN = "as it is set"


class Lines:
    """Lines of a shop's files, and what is found out of them, each when it is asked for.

    Parameters
    ----------
    lines
        Columns of text as the files call them; what is missing is null.
    files
        Names of the files.
    today
        Sales after it are odd.
    encoding, separator
        What must be set for the files to be read; ``auto`` if nothing.
    known
        Settings that somebody chose, as ``columns.invoice``: these are not guessed.
    """

    def __init__(
        self,
        lines: pd.DataFrame,
        files: Sequence[str] = (),
        today: dt.date | None = None,
        *,
        encoding: str = "auto",
        separator: str = "auto",
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self.lines, self.files, self.today, self.known = lines, files, today, known or {}
        self.given = {"encoding": encoding, "separator": separator}

    @cached_property
    def values(self) -> dict[str, dict[str, int]]:
        """Values of each column, and how often each is there."""
        stripped = {name: self.lines[name].dropna().astype("string").str.strip() for name in self.lines}
        return {name: column[column != ""].value_counts().to_dict() for name, column in stripped.items()}

    @cached_property
    def matches(self) -> dict[str, Match]:
        """Column taken for each role; the amount of a line takes the place of a price that is none."""
        chosen = {field: self._named(str(self.known[f"columns.{field}"])) for field in LANDED if f"columns.{field}" in self.known}
        free = {name: dict(islice(values.items(), SEEN)) for name, values in self.values.items() if name not in chosen.values()}
        found = {role: one for role, one in match(free).items() if role not in chosen}
        found |= {role: Match(column, "sure", CHOSEN) for role, column in chosen.items() if column}
        if "columns.price" in self.known:
            return found
        amount, price = found.pop("amount", None), found.get("price")
        if price and amount and "quantity" not in found:
            price = None
        if not price and amount:
            found["price"] = amount
            found.pop("quantity", None)
        elif price and "quantity" in found and self._totals(price.column, found):
            reason = f"{price.reason}; {GROWS}"
            found["price"] = price._replace(sure="likely", reason=reason)
            found.pop("quantity")
        return found

    def _named(self, column: str) -> str:
        """Return the column of the files that a setting names; empty if they have none."""
        return next((name for name in self.values if header_plain(name) == header_plain(column)), "")

    def _totals(self, price: str, found: Mapping[str, Match]) -> bool:
        """Tell whether a price is an amount of a line."""
        product = found.get("stock_code") or found.get("description")
        if not product:
            return False
        numbers = {"price": price, "quantity": found["quantity"].column}
        columns = {name: self._numbers(column) for name, column in numbers.items()}
        return rules.totals_for_prices(pd.DataFrame({"product": self.lines[product.column], **columns}).dropna())

    def _numbers(self, column: str) -> pd.Series:
        marks = numbers_of(self.values[column])
        return self.lines[column].map(lambda text: _number(text, marks)).astype(float)

    def column(self, role: str) -> dict[str, int]:
        """Return the values of the column taken for a role, and how often each is there; none without such a column."""
        return self.values[self.matches[role].column] if role in self.matches else {}

    @cached_property
    def dates(self) -> Dates:
        """How dates are written."""
        if pattern := self.known.get("format.date"):
            return Dates(pattern, 1.0, "", CHOSEN)
        return dates_of(self.column("invoice_date"), self.today)

    @cached_property
    def numbers(self) -> Numbers:
        """How prices and quantities are written."""
        price, both = numbers_of(self.column("price")), dict(self.column("price"))
        for value, count in self.column("quantity").items():
            both[value] = both.get(value, 0) + count
        marks = {mark: self.known[f"format.{mark}"] for mark in ("decimal", "thousands") if f"format.{mark}" in self.known}
        found = numbers_of(both)._replace(sign=price.sign)
        return found._replace(**marks, sure=True) if marks else found

    @cached_property
    def negative(self) -> list[bool]:
        """Whether quantity or amount of each line is below 0."""
        columns = [self.matches[role].column for role in ("quantity", "price") if role in self.matches]
        marks = (self.numbers.decimal, self.numbers.thousands)
        found = [rules.negatives(self.lines[name].fillna("").astype(str).tolist(), *marks) for name in columns]
        return [any(line) for line in zip(*found, strict=True)] if found else []

    @cached_property
    def zone(self) -> str:
        """Time zone of the country that most lines are of; empty if that is not known."""
        countries = self.column("country")
        return ZONES.get(plain(max(countries, key=countries.__getitem__)), "") if countries else ""

    @cached_property
    def flagged(self) -> bool:
        """Whether a column alone tells which lines are cancelled."""
        return bool(self.flag_lines) and not (self.prefix or any(self.negative))

    @cached_property
    def flag_lines(self) -> int:
        """How many lines such a column calls cancelled."""
        return sum(lines for value, lines in self.column(FLAG).items() if is_set(value))

    @cached_property
    def prefix(self) -> str:
        """Letters that mark the invoices of cancellations; empty if none do."""
        if "invoice" not in self.matches or not any(self.negative):
            return ""
        invoices = self.lines[self.matches["invoice"].column].fillna("").astype(str).tolist()
        return rules.cancel_prefix(invoices, self.negative)


def is_set(flag: str) -> bool:
    """Tell whether a value of a column of flags says that a line is cancelled.

    Examples
    --------
    >>> is_set("storniert"), is_set("0"), is_set("paid")
    (True, False, False)
    """
    return bool(re.fullmatch(YES, flag.strip(), re.IGNORECASE))


def _number(text: object, marks: Numbers) -> float | None:
    """Return the number of a value of a column; none for a missing one."""
    return number_of(without_sign(text), marks.decimal, marks.thousands) if isinstance(text, str) else None
