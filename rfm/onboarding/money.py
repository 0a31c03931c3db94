"""Find the columns of the money: by what multiplies or adds up to what, then by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import permutations, product
from typing import Any, NamedTuple

import pandas as pd

from rfm.analysis.quality.anomalies import DOUBT
from rfm.onboarding.columns import HEAD, MADE, PART, VALUES, WEAK, Facts, Match, is_other, name_score, plain_words, words_of
from rfm.onboarding.formats import number_of, sign_in, without_sign
from rfm.onboarding.questions import CURRENCIES, Doubt, Guess, Option, Question

Lines = Any  # a `Profile`, whose module imports this one
Found = Iterator[Guess | Question | Doubt]
HOLDS, LINES, CENT = 0.95, 20, 0.011  # share of the lines, and least number of lines, of a relation; rounding
REPEATED = 5  # orders of several lines that show an order's total
EXACT = "price × quantity is"
MULTIPLIED, ADDED = EXACT + " {!r} on each line", "the amounts of an order's lines add up to {!r}"
SCALES, SCALED = (10.0, 12.0, 100.0, 1000.0, 0.1, 0.01, 0.001), EXACT + " {} {!r} on each line"
GROWS = "it grows with the quantity, so it is the amount of the line"
ON_EACH = "the same on each line of an order, so it is the order's total"


class Money(NamedTuple):
    """The columns of the money; `total` if the price is the order's, on each of its lines."""

    price: Match | None = None
    quantity: Match | None = None
    total: bool = False
    rivals: tuple[tuple[str, str], ...] = ()  # other prices and quantities that fit as well
    explained: str = ""  # the discount that the amount has taken off


class NumericColumns(NamedTuple):
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


def money_of(numbers: NumericColumns, named: Mapping[str, Match]) -> Money:
    """Return the columns of the money, the first answer that the lines give."""
    ways = (_multiplied, _scaled, _added, _of_lines, _of_orders, _by_name)
    return next((found for way in ways if (found := way(numbers, named))), Money())


def _usable(numbers: NumericColumns) -> list[str]:
    return [name for name in numbers.values if not is_other(name)]


def _multiplied(numbers: NumericColumns, named: Mapping[str, Match]) -> Money | None:
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


def _scaled(numbers: NumericColumns, named: Mapping[str, Match]) -> Money | None:
    """Return the amount of a line that is price × quantity per hundred, in packs, or less a discount."""
    usable = _usable(numbers)
    prices, quantities, amounts = (
        [one for one in numbers.values if name_score(role, one) >= HEAD] for role in ("price", "quantity", "amount")
    )
    others = [one for one in numbers.values if one not in named or one not in usable]
    for price, quantity, amount in product(prices, quantities, amounts):
        if len({price, quantity, amount}) < 3 or amount not in usable:
            continue
        whole, left = numbers.values[price] * numbers.values[quantity], numbers.values[amount]
        there = whole.notna() & left.notna() & (whole != 0) & (left != 0)
        if there.sum() < LINES:
            continue
        ratio = float((whole[there] / left[there]).median())
        if abs(ratio) in SCALES and _holds(whole / ratio, left, there):
            return Money(Match(amount, "sure", SCALED.format(f"{ratio:,.3g} times", amount)))
        for other in set(others) - {price, quantity, amount}:
            more = numbers.values[other].fillna(0.0)
            ways = {"/": whole / more.where(more != 0), "×": whole * more}
            less = {"less": whole - more, "less %": whole * (1 - more / 100), "less share": whole * (1 - more)}
            for how, made in (ways | less).items():
                telling = there & (more != (0 if how in less else 1))
                if telling.sum() >= 5 and _holds(made, left, there):
                    reason = f"price × quantity {how} {other!r} is {amount!r} on each line"
                    return Money(Match(amount, "sure", reason), explained=other if how in less else "")
    return None


def _added(numbers: NumericColumns, named: Mapping[str, Match]) -> Money | None:
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
            several = quantity and quantity.column in set(numbers.values) - {price}
            if quantity and several and numbers.adds_up(amounts * numbers.values[quantity.column], total):
                return Money(Match(price, "sure", reason), quantity)
    return None


def _says_money(column: str) -> float:
    return max(name_score("price", column), name_score("amount", column))


def _of_lines(numbers: NumericColumns, named: Mapping[str, Match]) -> Money | None:
    repeated = {name for name in _usable(numbers) if numbers.per_order(name)}
    price, amount, quantity = (
        one if (one := named.get(role)) and one.column not in repeated else None for role in ("price", "amount", "quantity")
    )
    if price and quantity:
        if _grows(numbers, price.column, quantity.column):
            return Money(price._replace(sure="likely", reason=f"{price.reason}; {GROWS}"))
        of_a_piece = name_score("price", price.column) >= MADE and name_score("quantity", quantity.column) >= MADE
        if numbers.products is None and not numbers.several.any() and not of_a_piece:
            return Money(price, rivals=((price.column, quantity.column),))
        rivals = ((amount.column, ""),) if amount and name_score("amount", amount.column) >= HEAD else ()
        return Money(price, quantity, rivals=rivals)
    if price and amount and name_score("price", price.column) >= MADE > name_score("amount", amount.column):
        amount = None
    found = amount or price
    if not found or found.column in repeated:
        return None
    also = [(one.column, "") for one in (price, amount) if one and one.column != found.column]
    if quantity and found.sure == "unsure":  # no name says whether it is of the line or of one piece
        also.append((found.column, quantity.column))
    return Money(found, rivals=tuple(also))


def _grows(numbers: NumericColumns, price: str, quantity: str) -> bool:
    if numbers.products is None or not {price, quantity} <= set(numbers.values):
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


def _of_orders(numbers: NumericColumns, named: Mapping[str, Match]) -> Money | None:
    there = [one for role in ("amount", "price") if (one := named.get(role)) and one.column in numbers.values]
    totals = [one for one in there if numbers.per_order(one.column)]
    return Money(totals[0]._replace(reason=ON_EACH), total=True) if totals else None


def _by_name(numbers: NumericColumns, named: Mapping[str, Match]) -> Money | None:
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


def cash(lines: Lines, amount: float) -> Decimal:
    """Return a sum of amounts as money."""
    return Decimal(f"{amount / (100 if lines.in_cents else 1):.2f}")


def worth(lines: Lines, where: pd.Series) -> Decimal:
    """Return the money of some lines, whatever its signs."""
    return cash(lines, lines.amounts[where].abs().sum())


def doubted(lines: Lines, about: str, where: pd.Series, said: str) -> Found:
    """Doubt some lines, if there are any: how many they are, what may be wrong, and their money."""
    if where.any():
        yield Doubt(about, f"{int(where.sum()):,} lines {said}", worth(lines, where))


def totals(lines: Lines, amounts: pd.Series) -> tuple[Decimal, int]:
    """Return revenue and customers, as of an `Option`, of the lines above 0 that have a customer."""
    counts = (amounts > 0) & (lines.text("customer_id") != "")
    return cash(lines, amounts[counts].sum()), lines.text("customer_id")[counts].nunique()


def weighty(lines: Lines, amount: float) -> bool:
    """Return True if an amount is more than half a percent of the money."""
    return abs(amount) > float(DOUBT) * float(lines.amounts.abs().sum())


def differ(lines: Lines, one: Option, other: Option) -> bool:
    """Return True if it matters which of two answers is right."""
    return weighty(lines, float((one.revenue or 0) - (other.revenue or 0)))


def some(texts: Sequence[str]) -> str:
    """Return the first of some texts."""
    return ", ".join(list(texts)[:3]) + (" …" if len(texts) > 3 else "")


# ── rules of evidence about the money ─────────────────────────────────
def order_totals(lines: Lines) -> Found:
    """Count an amount once that stands on each line of its order."""
    if lines.money.total:
        yield Guess("rules.order_total", True, "likely", lines.money.price.reason if lines.money.price else "")


def rival_amounts(lines: Lines) -> Found:
    """Ask which column is the money, if names and relations leave it open and the totals differ."""
    for price, quantity in lines.money.rivals if "columns.price" not in lines.known else ():
        column = lines.matches["price"].column
        setting, *values = ("columns.quantity", "", quantity) if quantity else ("columns.price", column, price)
        more = f"{price!r} is " + (f"multiplied by {quantity!r}" if quantity else "it")
        amounts = lines.parsed(price) * (lines.parsed(quantity) if quantity else 1.0)
        first = Option(values[0], f"{column!r} is the amount of a line", *totals(lines, lines.amounts))
        other = Option(values[1], more, *totals(lines, amounts.fillna(0.0)))
        if differ(lines, first, other):
            yield Question(setting, "Which column is the amount of a line?", [first, other], "both fit, and their totals differ")
            return


def price_decimals(lines: Lines) -> Found:
    """Keep the decimals of a price until it is multiplied."""
    mark = lines.numbers.decimal
    places = [len(one.rpartition(mark)[2]) for one in map(without_sign, lines.column("price")) if mark in one]
    if places and max(places) > 2 and lines.numbers.thousands != mark and "quantity" in lines.matches:
        yield Guess("format.price_decimals", min(max(places), 6), "likely", f"prices have up to {max(places)} decimals")


def fractions(lines: Lines) -> Found:
    """Read quantities that are no whole numbers."""
    marks = (lines.numbers.decimal, lines.numbers.thousands)
    read = (number_of(without_sign(one), *marks) for one in lines.column("quantity"))
    if any(number is not None and number != int(number) for number in read):
        yield Guess("format.fractions", True, "likely", "some quantities are no whole numbers")


SERVICE = re.compile(r"(?:ch|pi|py|cus|in|txn|pay|order|tr)_[A-Za-z0-9]")  # ids of payment services


def named_in_cents(column: str) -> bool:
    """Return True if a header says that its amounts are cents."""
    return bool(VALUES["cents"].intersection(map(plain_words, re.findall(r"[A-Z]*[^\W\d_A-Z]+|[A-Z]+", column))))


def in_cents(lines: Lines) -> Found:
    """Read whole amounts as cents if their header says so; ask if they are of a payment service, which often writes cents."""
    if "price" not in lines.matches or "format.cents" in lines.known:
        return
    column = lines.matches["price"].column
    numbers = lines.parsed(column).abs()
    if numbers.empty or not bool((numbers == numbers.round()).all()):
        return
    if lines.in_cents:
        yield Guess("format.cents", True, "sure", f"{column!r} is in cents")
        return
    ids = [one for role in ("invoice", "customer_id") for one in list(lines.column(role))[:20]]
    if numbers.median() >= 100 and any(map(SERVICE.match, ids)):
        revenue, customers = totals(lines, lines.amounts)
        cents = Option(True, "cents: 1999 is 19.99", revenue / 100, customers)
        options = [cents, Option(False, "whole units", revenue, customers)]
        why = "all amounts are whole, and payment services write cents"
        yield Question("format.cents", f"Is {column!r} in cents?", options, why)


def unsure_marks(lines: Lines) -> Found:
    """Ask what 1.250 is, if the digits do not say it."""
    if lines.numbers.sure or "price" not in lines.matches or {"format.decimal", "format.thousands"} & lines.known.keys():
        return
    decimal, mark = lines.numbers[:2]
    sample = next((one for one in lines.column("price") if mark in one), "")
    marked = lines.text("price").str.contains(mark, regex=False)
    small = lines.amounts.where(~marked, lines.amounts / 1000)
    options = [
        Option(decimal, f"{sample} is more than a thousand", *totals(lines, lines.amounts)),
        Option(mark, f"{sample} has three decimals", *totals(lines, small)),
    ]
    yield Question("format.decimal", "What is the decimal mark?", options, "the mark could separate decimals or thousands")


def currencies(lines: Lines) -> Found:
    """Never add up several currencies."""
    codes = lines.column("currency")
    if "currency" in lines.matches and codes and lines.facts[lines.matches["currency"].column].codes > 0.9:
        column, written = lines.matches["currency"].column, lines.text("currency")
        if len(codes) == 1 and (written != "").all():
            (code,) = codes
            yield Guess("columns.currency", column, "likely", f"all amounts are in {code}")
            yield Guess(f"currencies.{code}", 1.0, "likely", "another currency needs its rate")
        if len(codes) > 1:
            yield Guess("columns.currency", column, "likely", f"amounts are in {some(list(codes))}")
            yield _which_currency(lines, {code: written == code for code in codes})
        return
    signs = Counter(sign for value in lines.column("price") if (sign := sign_in(value)))
    if len(signs) > 1:
        where = lines.text("price").map({value: sign_in(value) for value in lines.column("price")})
        asked = _which_currency(lines, {sign: where == sign for sign in signs})
        yield asked._replace(options=[Option({}, "export one currency, or a column with the currency of each line")])


def _which_currency(lines: Lines, where: Mapping[str, pd.Series]) -> Question:
    options = [
        Option({code: 1.0}, f"count {code} alone; or give the rates of the others", *totals(lines, lines.amounts.where(own, 0.0)))
        for code, own in sorted(where.items(), key=lambda one: -int(one[1].sum()))
    ]
    why = f"amounts are in {some(list(where))}, and are never added up"
    return Question(CURRENCIES, "Which currency counts?", options, why)


REMEDY = "export the amount of each line too, or leave that column out if it does not change the amount"


def units(lines: Lines) -> Found:
    """Doubt quantities in grams with prices per kilogram, prices per hundred, and packs, where no amount of lines shows it."""
    price, quantity = lines.matches.get("price"), lines.matches.get("quantity")
    shown = lines.shown_money.price
    if not price or shown and shown.column == price.column and "× quantity" in shown.reason:
        return
    hundred = bool(re.search("10+", price.column))
    large, small = hundred or bool(VALUES["large_units"] & set(words_of(price.column))), VALUES["small_units"]
    if large and (hundred or not quantity or small & set(words_of(quantity.column))):
        said = f"{price.column!r} is a price of another unit than the quantity"
        yield Doubt("units", said, cash(lines, lines.amounts.abs().sum()))
    if not quantity and name_score("price", price.column) <= name_score("amount", price.column):
        return
    for column in lines.unmatched:
        words = words_of(column)
        if not VALUES["units"] & {*words, "".join(words)}:
            continue
        facts = lines.facts[column]
        if facts.numbers >= HOLDS and facts.whole >= HOLDS and facts.distinct <= LINES:
            other = lines.parsed(column).fillna(1.0) != 1
        else:
            values = lines.filled[column].str.lower()
            other = values.isin(small) & (large or values.nunique() > 1)
        yield from doubted(lines, "units", other, f"have a {column!r} that quantity × price leaves out; {REMEDY}")


RULES = (order_totals, rival_amounts, in_cents, price_decimals, fractions, unsure_marks, currencies, units)
