"""Find the columns of the money: by what multiplies or adds up to what, then by their names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import NamedTuple


import pandas as pd

from rfm.onboarding.columns import HEAD, MADE, PART, WEAK, Facts, Match, is_other, name_score

HOLDS, LINES, CENT = 0.95, 20, 0.011  # share of the lines, and least number of lines, of a relation; rounding
REPEATED = 5  # orders of several lines that show an order's total
MULTIPLIED, ADDED = "price × quantity is {!r} on each line", "the amounts of an order's lines add up to {!r}"
GROWS = "it grows with the quantity, so it is the amount of the line"
ON_EACH = "the same on each line of an order, so it is the order's total"


class Money(NamedTuple):
    """The columns of the money; `total` if the price is the order's, on each of its lines."""

    price: Match | None = None
    quantity: Match | None = None
    total: bool = False
    rivals: tuple[tuple[str, str], ...] = ()  # other prices and quantities that fit as well


class Numbers(NamedTuple):
    """The numeric columns of the lines, and the order and the product of each line."""

    values: pd.DataFrame
    facts: Mapping[str, Facts]
    orders: pd.Series
    products: pd.Series | None

    @property
    def several(self) -> pd.Series:
        """True for each line of an order that has several."""
        return self.orders.map(self.orders.value_counts()) > 1

    def per_order(self, column: str) -> bool:
        """Return True if a column has one value for all lines of an order, in orders of several lines."""
        groups = self.values[column][self.several].groupby(self.orders[self.several]).nunique()
        return len(groups) >= REPEATED and float((groups <= 1).mean()) >= HOLDS

    def adds_up(self, amounts: pd.Series, total: str) -> bool:
        """Return True if the amounts of the lines of an order add up to the column of its total."""
        some = self.several & amounts.notna()
        sums = amounts[some].groupby(self.orders[some]).sum()
        totals = self.values[total][some].groupby(self.orders[some]).first()
        return len(sums) >= REPEATED and float(((sums - totals).abs() <= 0.051).mean()) >= HOLDS


def money_of(numbers: Numbers, named: Mapping[str, Match]) -> Money:
    """Return the columns of the money, the first answer that the lines give."""
    ways = (_multiplied, _added, _of_lines, _of_orders, _by_name)
    return next((found for way in ways if (found := way(numbers, named))), Money())


def _usable(numbers: Numbers) -> list[str]:
    return [name for name in numbers.values if not is_other(name)]


def _multiplied(numbers: Numbers, named: Mapping[str, Match]) -> Money | None:
    """Return price and quantity if their product is a third column."""
    found = []
    for price, quantity, amount in permutations(_usable(numbers), 3):
        names = name_score("price", price) + name_score("quantity", quantity) + name_score("amount", amount)
        if names < WEAK or name_score("quantity", price) > name_score("price", price):
            continue
        p, q, a = (numbers.values[name] for name in (price, quantity, amount))
        telling = p.notna() & q.notna() & a.notna() & (q.abs() != 1) & (q != 0) & (p != 0)
        if telling.sum() >= 5 and len(p) >= LINES and _holds(p * q, a, telling) and numbers.facts[quantity].money:
            found.append((names, price, quantity, amount))
    if not found:
        return None
    _, price, quantity, amount = max(found)
    reason = MULTIPLIED.format(amount)
    return Money(Match(price, "sure", reason), Match(quantity, "sure", reason))


def _holds(left: pd.Series, right: pd.Series, where: pd.Series) -> bool:
    return float(((left[where] - right[where]).abs() <= CENT).mean()) >= HOLDS


def _added(numbers: Numbers, named: Mapping[str, Match]) -> Money | None:
    """Return the price, alone or with the quantity, whose sum over an order is a third column."""
    quantity = named.get("quantity")
    lines = [name for name in _usable(numbers) if _says_money(name) > PART and not numbers.per_order(name)]
    totals = [name for name in _usable(numbers) if _says_money(name) and numbers.per_order(name)]
    for price in sorted(lines, key=_says_money, reverse=True):
        amounts = numbers.values[price]
        for total in totals:
            reason = ADDED.format(total)
            if numbers.adds_up(amounts, total):
                return Money(Match(price, "sure", reason))
            if quantity and quantity.column != price and numbers.adds_up(amounts * numbers.values[quantity.column], total):
                return Money(Match(price, "sure", reason), quantity)
    return None


def _says_money(column: str) -> float:
    return max(name_score("price", column), name_score("amount", column))


def _of_lines(numbers: Numbers, named: Mapping[str, Match]) -> Money | None:
    """Return a price per piece with its quantity, or the amount of a line."""
    repeated = {name for name in _usable(numbers) if numbers.per_order(name)}
    price, amount, quantity = (
        one if (one := named.get(role)) and one.column not in repeated else None for role in ("price", "amount", "quantity")
    )
    if price and quantity:
        if _grows(numbers, price.column, quantity.column):
            return Money(price._replace(sure="likely", reason=f"{price.reason}; {GROWS}"))
        if numbers.products is None and not numbers.several.any() and not _is_of_a_piece(price.column, quantity.column):
            return Money(price, rivals=((price.column, quantity.column),))
        rivals = ((amount.column, ""),) if amount and name_score("amount", amount.column) >= HEAD else ()
        return Money(price, quantity, rivals=rivals)
    if price and amount and name_score("price", price.column) >= MADE > name_score("amount", amount.column):
        amount = None
    found = amount or price
    if not found or found.column in repeated:
        return None
    rival = [one.column for one in (price, amount) if one and one.column != found.column]
    return Money(found, rivals=tuple((one, "") for one in rival))


def _is_of_a_piece(price: str, quantity: str) -> bool:
    return name_score("price", price) >= MADE and name_score("quantity", quantity) >= MADE


def _grows(numbers: Numbers, price: str, quantity: str) -> bool:
    if numbers.products is None:
        return False
    lines = {"product": numbers.products, "quantity": numbers.values[quantity], "price": numbers.values[price]}
    return totals_for_prices(pd.DataFrame(lines).dropna())


def totals_for_prices(lines: pd.DataFrame) -> bool:
    """Return True if prices are amounts of lines: for one product, they grow with the quantity."""
    sold = lines[(lines["quantity"] > 0) & (lines["price"] > 0)].drop_duplicates()
    groups = sold.groupby("product")
    several = sold[(groups["quantity"].transform("nunique") > 1)]
    if several["product"].nunique() < 3:
        return False
    each = several.assign(each=several["price"] / several["quantity"]).groupby("product")[["price", "each"]]
    spread = each.std() / each.mean()
    return bool((spread["each"] < 0.5 * spread["price"]).mean() > 0.7)


def _of_orders(numbers: Numbers, named: Mapping[str, Match]) -> Money | None:
    """Return the total of an order that stands on each of its lines."""
    totals = [one for role in ("amount", "price") if (one := named.get(role)) and numbers.per_order(one.column)]
    return Money(totals[0]._replace(reason=ON_EACH), total=True) if totals else None


def _by_name(numbers: Numbers, named: Mapping[str, Match]) -> Money | None:
    found = named.get("amount") or named.get("price")
    return Money(found) if found else Money(quantity=named.get("quantity"))


def line_amounts(values: pd.DataFrame, money: Money, orders: pd.Series) -> pd.Series:
    """Return the amount of each line; of an order's total, on its first line alone."""
    if not money.price:
        return values[money.quantity.column] if money.quantity else pd.Series(1.0, index=orders.index)
    amounts = values[money.price.column]
    if money.quantity:
        amounts = amounts * values[money.quantity.column]
    return amounts.where(~orders.duplicated(), 0.0) if money.total else amounts


