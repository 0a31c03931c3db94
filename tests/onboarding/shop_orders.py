"""The orders of a made shop, and the truth about its customers, counted with `Decimal` from the orders alone."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from tests.onboarding.shop_spec import SOLD, Spec

CENT = Decimal("0.01")
EMAIL, PHONE = "{}@example.org", "555{:07}"
CODES = {
    "€": "EUR",
    "EUR": "EUR",
    "£": "GBP",
    "US$": "USD",
    "USD": "USD",
    "$": "USD",
    "₹": "INR",
    "CHF": "CHF",
    "zł": "PLN",
    "PLN": "PLN",
    "R$": "BRL",
}


# ── the truth ────────────────────────────────────────────────────────
@dataclass
class Line:
    """A product of an order."""

    sku: str
    name: str
    quantity: Decimal
    price: Decimal

    @property
    def amount(self) -> Decimal:
        """Amount of the line, rounded once."""
        return (self.quantity * self.price).quantize(CENT, ROUND_HALF_UP)


@dataclass
class Order:
    """A purchase, or a return of one."""

    number: str
    till: str
    customer: int | None
    moment: dt.datetime
    lines: list[Line]
    state: str = SOLD
    returned: bool = False
    refund: Decimal = Decimal(0)  # in a column of its own
    currency: str = "EUR"

    @property
    def total(self) -> Decimal:
        """Amount of all lines."""
        return sum((line.amount for line in self.lines), Decimal(0))


@dataclass(frozen=True)
class Customer:
    """What counts of a customer: orders, cents and the last day."""

    frequency: int
    cents: int
    last: dt.date


@dataclass
class Shop:
    """A spec with its orders, its files and its truth."""

    spec: Spec
    orders: list[Order]
    customers: dict[str, int]  # every plain spelling of a customer: customer
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def last_day(self) -> dt.date:
        """Last day of any order, and of the names of the files."""
        return max(order.moment.date() for order in self.orders)

    def truth(self, revenue: str = "gross") -> dict[int, Customer]:
        """Return what counts per customer: orders that were sold; with net, returns reduce the money, down to 0."""
        sold, net = defaultdict(list), defaultdict(Decimal)
        for order in self.orders:
            if order.customer is None or order.state != SOLD:
                continue
            if order.returned:
                net[order.customer] -= abs(order.total)
            else:
                sold[order.customer].append(order)
                net[order.customer] += order.total - order.refund

        def money(customer: int) -> Decimal:
            gross = sum((order.total for order in sold[customer]), Decimal(0))
            return max(net[customer], Decimal(0)) if revenue == "net" else gross

        return {
            one: Customer(len(orders), int(money(one) * 100), max(order.moment.date() for order in orders))
            for one, orders in sold.items()
        }


def plain(text: str) -> str:
    """Return a customer as it is compared: letter case, blanks and the `.0` of spreadsheets make no difference."""
    return "".join(text.split()).replace("-", "").replace("\0", "").lower().removesuffix(".0").lstrip("0")


# ── orders of a spec ─────────────────────────────────────────────────
def _days(spec: Spec, rng: random.Random) -> list[dt.date]:
    first = dt.date(2024, 1, 1) + dt.timedelta(days=rng.randrange(400))
    if spec.split == "day":
        return [first + dt.timedelta(days=day) for day in range(14)]
    if spec.ambiguous == "dates":  # the same days with day and month swapped
        return [dt.date(2024, month, day) for month in range(1, 13) for day in range(1, 13)]
    return [first + dt.timedelta(days=day) for day in range(110)]


def orders_of(spec: Spec, rng: random.Random, people: int) -> Iterator[Order]:
    products = [
        (
            f"{rng.choice('ABCDEFGH')}{rng.randint(1000, 9999)}",
            f"{rng.choice(['Lamp', 'Box', 'Café', 'Mug', 'Tea'])} {one}",
            _price(spec, rng),
        )
        for one in range(25)
    ]
    days, wanted, start = _days(spec, rng), rng.randint(90, 140), rng.randint(10_000, 700_000)
    moments = sorted(
        dt.datetime.combine(rng.choice(days), dt.time(rng.randint(9, 18), rng.randint(0, 59), rng.randint(0, 59)))
        for _ in range(wanted)
    )
    counted, seen, before = defaultdict(int), set(), []
    for index, moment in enumerate(moments):
        customer = None if spec.walk_in is not None and rng.random() < 0.12 else min(int(rng.expovariate(3) * people), people - 1)
        if spec.orders == "none" and (customer, moment.date()) in seen:
            continue  # without a number, all that a customer buys on a day is one purchase
        seen.add((customer, moment.date()))
        till = str(rng.randint(1, 3))
        counter = {"daily": str(moment.date()), "till": till}.get(spec.orders, "")
        counted[counter] += 1
        number = (
            counted[counter] if spec.orders == "daily" else 1000 + counted[counter] if spec.orders == "till" else start + index
        )
        some = rng.sample(products, rng.randint(1, 4))
        lines = [Line(sku, name, _quantity(spec, rng), price) for sku, name, price in some]
        order = Order(_number(spec, number, moment), till, customer, moment, lines)
        order.currency = (
            rng.choice(["EUR", "USD", "GBP"]) if spec.ambiguous == "currencies" else CODES.get(spec.currency.strip(), "EUR")
        )
        unsold = bool(spec.statuses) and rng.random() < 0.12
        order.state = rng.choice(spec.statuses) if unsold else SOLD
        if spec.returns == "column" and order.state == SOLD and rng.random() < 0.08:
            order.refund = (order.total / rng.choice([1, 2])).quantize(CENT, ROUND_HALF_UP)
        elif spec.returns not in ("none", "column") and before and not unsold and rng.random() < 0.08:
            order = _return(spec, order, rng.choice(before))
        if order.state == SOLD and not order.returned:
            before.append(order)
        yield order


def _price(spec: Spec, rng: random.Random) -> Decimal:
    cents = rng.randint(80, 6000) if spec.scale == "small" else rng.randint(8_000, 900_000)
    if spec.thousands == "lakh":
        cents *= 20
    return Decimal(cents) / 100 + (Decimal(rng.randint(1, 99)) / 10_000 if spec.places == 4 else 0)


def _quantity(spec: Spec, rng: random.Random) -> Decimal:
    if spec.quantities == "weight":
        return Decimal(rng.randint(100, 4000)) / 1000
    return Decimal(rng.choice([1, 1, 1, 2, 2, 3, 4, 6, 12]))


def _number(spec: Spec, number: int, moment: dt.datetime) -> str:
    return {"letters": f"CA-{moment.year}-{number}", "hash": f"#{number}", "none": ""}.get(spec.orders, str(number))


def _return(spec: Spec, order: Order, of: Order) -> Order:
    """Return an order that takes another one back, whole or in part."""
    lines = [dataclasses.replace(line) for line in of.lines[: random.Random(order.number).randint(1, len(of.lines))]]
    for line in lines:
        line.quantity *= 1 if spec.returns == "type" else -1
    number = of.number if spec.same_number else order.number
    if spec.returns == "prefix":
        number = f"C{number.lstrip('#')}"
    return dataclasses.replace(
        order, number=number, customer=of.customer, lines=lines, returned=True, till=of.till if spec.same_number else order.till
    )


def user(customer: int) -> str:
    return f"{['anna', 'ben', 'carla', 'david', 'eva'][customer % 5]}.{customer:03}"


def spelled(spec: Spec, customer: int) -> str:
    """Return the plain spelling of a customer."""
    number = 12_000 + customer * 37
    return {
        "code": f"K{number}",
        "zeros": f"{customer * 37 + 11:07}",
        "float": f"{number}.0",
        "email": EMAIL.format(user(customer)),
        "email_case": EMAIL.format(user(customer)),
        "phone": PHONE.format(customer * 7919),
    }.get(spec.customers, str(number))
