"""The lines of a shop's files, and the facts derived from them, each when it is needed."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rfm.dialect import BLANKS, EXTRA_KEYS, LANDING_COLUMNS, plain_name
from rfm.onboarding import contradictions, evidence, formats, misreadings
from rfm.onboarding.columns import PART, ZONES, Facts, Match, facts_of, match, name_score, plain_words
from rfm.onboarding.formats import CLOCK, Dates, Numbers, date_of, dates_of, grouped_by_three, number_of, numbers_of, without_sign
from rfm.onboarding.identity import placeholder_customers
from rfm.onboarding.kinds import Sums, states_of, sums_of
from rfm.onboarding.money import Money, NumericColumns, line_amounts, money_of, named_in_cents
from rfm.onboarding.questions import CHOSEN, Doubt, Guess, Question, is_answered, own

MOST_LINES, BLOCK = 20_000, 500  # of a sample: blocks of lines that follow each other, so that orders stay together
GROUPED, REPEATS = 0.2, 0.05  # least share of blank lines in groups, and of further lines of orders
EXPORTS = tomllib.loads(Path(__file__).with_name("known_exports.toml").read_text(encoding="utf-8"))["export"]


class Profile:
    """Lines of a shop's files, and the facts derived from them."""

    def __init__(
        self,
        lines: pd.DataFrame,
        files: Sequence[str] = (),
        today: dt.date | None = None,
        *,
        encoding: str = "auto",
        separator: str = "auto",
        known: Mapping[str, Any] | None = None,
        sources: pd.Series | None = None,
    ) -> None:
        self.lines, self.files, self.today, self.known = lines, files, today, known or {}
        self.encoding, self.separator = encoding, separator
        self._parsed: dict[str, pd.Series] = {}
        self.all_sources = pd.Series("", index=lines.index) if sources is None else sources

    # ── the sample ──────────────────────────────────────────────────
    @cached_property
    def sample(self) -> pd.DataFrame:
        """At most 20,000 lines, as text without blanks around it."""
        lines = self.lines
        if len(lines) > MOST_LINES:
            starts = np.linspace(0, len(lines) - BLOCK, MOST_LINES // BLOCK).astype(int)
            lines = lines.iloc[np.unique(np.concatenate([np.arange(start, start + BLOCK) for start in starts]))]
        texts = {name: lines[name].astype("string").fillna("").astype(object) for name in lines}
        return pd.DataFrame({name: text.str.strip(BLANKS + "\0") for name, text in texts.items()}, index=lines.index)

    @cached_property
    def sources(self) -> pd.Series:
        """File of each line of the sample."""
        return self.all_sources.loc[self.sample.index]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Columns that are blank together below the first line of each order."""
        blank = {name: (self.sample[name] == "").to_numpy() for name in self.sample}
        masks = [one.tobytes() for one in blank.values() if len(one) and GROUPED <= one.mean() < 1 and not one[0]]
        usual = max(masks, key=masks.count, default=b"")
        if masks.count(usual) < 3:
            return ()
        below = np.frombuffer(usual, dtype=bool)
        alike = [name for name, one in blank.items() if one.tobytes() == usual]
        dated = any(facts_of(_counts(self.sample[name])).dates > 0.9 for name in alike)
        if not dated or all(one[below].any() for one in blank.values()):
            return ()
        groups = [name for name, one in blank.items() if one[below].all() and not one[~below].all()]
        return tuple(sorted(groups, key=lambda name: name not in alike))  # those that say where an order begins first

    @cached_property
    def table(self) -> pd.DataFrame:
        """The sample, with blank repeats filled."""
        table = self.sample.copy()
        for name in self.groups:
            table[name] = _filled(table[name], self.sample[self.groups[0]] == "")
        return table

    @cached_property
    def firsts(self) -> tuple[str, ...]:
        """Columns that are filled on the first line of an order alone."""
        if "invoice" not in self._named_columns:
            return ()
        orders = self.table[self._named_columns["invoice"].column]
        further = (orders == orders.shift()) & (orders != "")
        if further.sum() < 3 or further.mean() < REPEATS:
            return ()
        blank = {name: self.table[name] == "" for name in self.table if name not in self.groups}
        starts = ~further & further.shift(-1, fill_value=False)
        return tuple(name for name, one in blank.items() if one[further].mean() >= 0.98 and not one[starts].mean() > 0.5)

    @cached_property
    def filled(self) -> pd.DataFrame:
        """The sample, with what stands on the first line of an order on all of its lines."""
        table = self.table.copy()
        if self.firsts:
            orders = table[self._named_columns["invoice"].column]
            for name in self.firsts:
                table[name] = _filled(table[name], (table[name] == "") & (orders == orders.shift()))
        return table

    @property
    def fill_down(self) -> tuple[str, ...]:
        """Columns in use whose blank cells take the value of the line above."""
        used = {one.column for role, one in self.matches.items() if role not in ("refunded", "discount")}
        return tuple(name for name in (*self.groups, *self.firsts) if name in used)

    @cached_property
    def values(self) -> dict[str, dict[str, int]]:
        """Values of each column, with their counts."""
        return self._table_values | {name: _counts(self.filled[name]) for name in self.firsts}

    @cached_property
    def facts(self) -> dict[str, Facts]:
        """Facts about the values of each column."""
        changed = {name: facts_of(self.values[name]) for name in self.firsts}
        return self._table_facts | changed

    @cached_property
    def _table_values(self) -> dict[str, dict[str, int]]:
        return {name: _counts(self.table[name]) for name in self.table}

    @cached_property
    def _table_facts(self) -> dict[str, Facts]:
        return {name: facts_of(values) for name, values in self._table_values.items()}

    # ── the columns ─────────────────────────────────────────────────
    @cached_property
    def known_export(self) -> dict[str, Any]:
        """The known export with the most headers of which all are there; empty if there is none."""
        header = {plain_name(name) for name in self.lines.columns}
        fits = [one for one in EXPORTS if all(plain_name(name) in header for name in one["headers"])]
        return max(fits, key=lambda one: len(one["headers"]), default={})

    @property
    def export(self) -> str:
        """Name of the known export; empty if it is none."""
        return str(self.known_export.get("name", ""))

    @cached_property
    def _given_columns(self) -> dict[str, Match]:
        """Columns that are chosen, or known of an export; with an empty name if there is to be none."""
        usual = {f"columns.{role}": name for role, name in self.known_export.get("columns", {}).items()}
        named = {name.removeprefix("columns."): value for name, value in (usual | dict(self.known)).items()}
        reason = {name: CHOSEN if f"columns.{name}" in self.known else f"the export of {self.export}" for name in named}
        roles = [role for role in (*LANDING_COLUMNS, *EXTRA_KEYS) if role in named]
        return {role: Match(self._named(str(named[role])), "sure", reason[role]) for role in roles}

    def _named(self, column: str) -> str:
        """Return the column that a setting names; empty if the files do not have it."""
        return next((name for name in self.lines.columns if column and plain_name(name) == plain_name(column)), "")

    @cached_property
    def _named_columns(self) -> dict[str, Match]:
        """Column of each role by names and values, before the money is looked at."""
        given = {one.column for one in self._given_columns.values()}
        free = {name: facts for name, facts in self._table_facts.items() if name not in given}
        found = {role: one for role, one in match(self._table_values, free).items() if role not in self._given_columns}
        return found | {role: one for role, one in self._given_columns.items() if one.column}

    @cached_property
    def money(self) -> Money:
        """The columns of the money."""
        if "columns.price" in self.known or "price" in self._given_columns:
            total = bool(self.known_export.get("rules", {}).get("order_total")) or bool(self.known.get("rules.order_total"))
            return Money(self._named_columns.get("price"), self._named_columns.get("quantity"), total)
        return self.shown_money

    @cached_property
    def shown_money(self) -> Money:
        """The columns of the money by what the lines show, whatever the settings say."""
        return money_of(self.numeric, self._named_columns)

    @cached_property
    def numeric(self) -> NumericColumns:
        """The columns of numbers, with the order and the product of each line."""
        numeric = ("price", "amount", "quantity", "refunded", "discount")
        taken = {one.column for role, one in self._named_columns.items() if role not in numeric}
        named = {one.column for role, one in self._named_columns.items() if role in numeric}
        there = {name for name, facts in self.facts.items() if facts.money or name in named and facts.numbers >= 0.9}
        names = [name for name in self.facts if name in there - taken]
        product = self._named_columns.get("stock_code") or self._named_columns.get("description")
        products = self.filled[product.column] if product else None
        values = pd.DataFrame({name: self.parsed(name) for name in names}, index=self.filled.index)
        return NumericColumns(values, self.facts, self.orders + "\0" + self.sources.astype(str), products)

    @cached_property
    def matches(self) -> dict[str, Match]:
        """Column of each role; the amount of a line serves as price where there is no price per piece."""
        found = {role: one for role, one in self._named_columns.items() if role not in ("price", "quantity", "amount")}
        found |= {role: one for role, one in (("price", self.money.price), ("quantity", self.money.quantity)) if one}
        used = {found[role].column for role in ("price", "quantity") if role in found}
        return {role: one for role, one in found.items() if role in ("price", "quantity") or one.column not in used}

    @property
    def unmatched(self) -> list[str]:
        """Columns without a role."""
        used = {one.column for one in self.matches.values()}
        return [name for name in self.values if name not in used]

    def parsed(self, column: str) -> pd.Series:
        """Return the numbers of a column."""
        if column in self._parsed:
            return self._parsed[column]
        marks = numbers_of(self.values[column])[:2]
        if max(name_score("price", column), name_score("amount", column)) > max(PART, name_score("quantity", column)):
            marks = self._as_chosen(_marks(self.values[column]))[:2]
        numbers = {text: number_of(without_sign(text), *marks) for text in self.values[column]}
        self._parsed[column] = self.filled[column].map(numbers).astype(float)
        return self._parsed[column]

    def column(self, role: str) -> dict[str, int]:
        """Return the values of a role's column with their counts; empty without such a column."""
        return self.values[self.matches[role].column] if role in self.matches else {}

    def text(self, role: str) -> pd.Series:
        """Return the values of a role's column on each line; blank without such a column."""
        found = (self.matches if role in ("price", "quantity") else self._named_columns).get(role)
        return self.filled[found.column] if found else pd.Series("", index=self.filled.index)

    # ── who, when, which order, how much ────────────────────────────
    @cached_property
    def nobody(self) -> dict[str, int]:
        """Ids that stand for no customer, with their counts."""
        return placeholder_customers(self.column("customer_id"))

    @cached_property
    def dates(self) -> Dates:
        """How dates are written."""
        if pattern := self.known.get("format.date"):
            return Dates(pattern, 1.0, "", CHOSEN, tuple(self.known.get("format.also", ())))
        found = self._named_columns.get("invoice_date")
        return dates_of(_counts(self.filled[found.column]) if found else {}, self.today)

    @cached_property
    def days(self) -> pd.Series:
        """The day of each line as text; blank where it cannot be read."""
        texts = self.text("invoice_date")
        read = partial(_day_of, patterns=(self.dates.pattern, *self.dates.also), months=self.dates.months)
        return texts.map({text: read(text) for text in texts.unique()}).astype(object)

    @cached_property
    def orders(self) -> pd.Series:
        """An identity of each line's order: its number, day, customer and till."""
        given = [self._named_columns[role].column for role in ("invoice", "customer_id", "store") if role in self._named_columns]
        joined = self.days.astype(object)
        for name in given:
            joined = joined + "\0" + self.filled[name]
        return joined

    @cached_property
    def amounts(self) -> pd.Series:
        """The amount of each line; 0 where it cannot be read."""
        used = [self.matches[role].column for role in ("price", "quantity") if role in self.matches]
        values = {name: self.parsed(name) for name in used}
        return line_amounts(pd.DataFrame(values, index=self.filled.index), self.money, self.orders).fillna(0.0)

    @cached_property
    def in_cents(self) -> bool:
        """True if amounts are whole cents, as their header or a setting says."""
        column = self.matches["price"].column if "price" in self.matches else ""
        named = named_in_cents(column) and self.facts[column].whole == 1
        return bool(self.known.get("format.cents", named))

    @cached_property
    def sums(self) -> Sums:
        """Lines that are sums of others."""
        return sums_of(self)

    @property
    def used(self) -> dict[str, Match]:
        """Column of each role, with those that the kinds of lines show."""
        shown = {role: Match(column, "likely", reason) for role, (column, reason) in states_of(self).items()}
        return self.matches | {role: one for role, one in shown.items() if role not in self.matches}

    @cached_property
    def numbers(self) -> Numbers:
        """How prices and quantities are written."""
        price, both = _marks(self.column("price")), Counter(self.column("price"))
        both.update(self.column("quantity"))
        found = _marks(both)._replace(sign=price.sign)
        if price.sure and not found.sure and price.decimal in "".join(self.column("price")):
            found = found._replace(decimal=price.decimal, thousands=price.thousands, sure=True)
        return self._as_chosen(found)

    def _as_chosen(self, found: Numbers) -> Numbers:
        """Return numbers with the marks that are known; one mark is never both."""
        marks = {mark: self.known[f"format.{mark}"] for mark in ("decimal", "thousands") if f"format.{mark}" in self.known}
        found = found._replace(**marks, sure=found.sure or bool(marks))
        other = "," if found.decimal == "." else "."
        return found._replace(thousands=other) if found.thousands == found.decimal else found

    @cached_property
    def negative(self) -> list[bool]:
        """True for each line with a negative quantity or amount."""
        return (self.amounts < 0).tolist()

    @cached_property
    def zone(self) -> str:
        """Time zone of the most frequent country; empty if unknown."""
        countries = self.column("country")
        return ZONES.get(plain_words(max(countries, key=countries.__getitem__)), "") if countries else ""

    # ── what follows from it ────────────────────────────────────────
    @cached_property
    def found(self) -> list[Guess | Question | Doubt]:
        """What the rules of evidence find."""
        if self.lines.empty:
            return []
        answered = [one for rule in evidence.RULES for one in rule(self)]
        settled = {one.setting: one.value for one in answered if isinstance(one, Guess)}
        if {"customer_id", "price"} <= self.matches.keys():
            kept = contradictions.kept_lines(self, settled)
            answered += [*contradictions.found(self, settled, kept), *misreadings.found(self, kept)]
        return answered

    @property
    def questions(self) -> list[Question]:
        """What the files leave open; a setting is asked for once."""
        first_of = {one.setting: one for one in reversed([*self.found, *own(self)]) if isinstance(one, Question)}
        return [one for one in reversed(first_of.values()) if not is_answered(one, self.known)]

    @property
    def doubts(self) -> list[Doubt]:
        """What may be read wrong, with the money of the sample."""
        return [one for one in self.found if isinstance(one, Doubt)]


def _marks(values: Mapping[str, int]) -> Numbers:
    """Detect how amounts are written; numbers like 1.250 by their currency or their last digits."""
    found = numbers_of(values)
    if found.sure or found.thousands and found[:2] != formats.MARKED:
        return found
    meant = "thousands" if found.sign in formats.WITHOUT_DECIMALS else grouped_by_three(list(values))
    if meant == "decimals":
        return found._replace(sure=True)
    other = "," if found.decimal == "." else "."  # without evidence the more likely, of which `unsure_marks` asks
    return found._replace(decimal=other, thousands=found.decimal, sure=meant == "thousands")


def _counts(column: pd.Series) -> dict[str, int]:
    return {str(value): int(count) for value, count in column[column != ""].value_counts().items()}


def _filled(column: pd.Series, blank: pd.Series) -> pd.Series:
    return column.where(~blank).ffill().fillna("")


def _day_of(text: str, patterns: Sequence[str], months: str) -> str:
    return next(
        (day.isoformat() for pattern in patterns if pattern and (day := date_of(CLOCK.sub("", text), pattern, months))), ""
    )
