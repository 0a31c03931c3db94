"""Make shops from seeds: a truth in exact cents, and landing files that say it as real exports do.

    python -m tests.onboarding.shops SEED FOLDER    # writes the files of one shop, and prints its spec and totals

The truth never passes through `rfm`: it is counted here, with `Decimal`, from the orders that the files are written from.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import gzip
import io
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from tests.onboarding.shop_words import LANGUAGES, MONTHS, words

CENT = Decimal("0.01")
NBSP, THIN, MINUS = "\u00a0", "\u202f", "\u2212"
EMAIL, PHONE = "{}@example.org", "555{:07}"
SOLD = "sold"
NOT_SOLD = ("refunded", "failed", "pending", "voided", "draft")


@dataclass(frozen=True)
class Spec:
    """How a shop's files are written; the defaults are an export without anything unusual."""

    seed: int
    language: str = "English"
    # files
    split: str = "one"  # one, day, month, range, cumulative
    format: str = "csv"  # csv, txt, xlsx, gz
    separator: str = ","
    encoding: str = "utf-8"
    quote_all: bool = False
    # lines
    layout: str = "lines"  # lines, orders, groups (blank below the first line), first (status and total on the first line)
    money: str = "unit"  # unit, amount, amount_quantity, both, unit_total, total
    scale: str = "small"  # small, large (thousands)
    quantities: str = "whole"  # whole, weight
    places: int = 2  # decimals of a unit price
    # numbers
    decimal: str = "."
    thousands: str = ""  # a mark, or "lakh"
    negative: str = "-"  # -, trailing, unicode, parentheses
    currency: str = ""  # a sign or code with its place, such as "€ " or " €"
    trimmed: bool = False  # 12.5 in place of 12.50
    typed: bool = True  # cells of a workbook are numbers and days, not texts
    # days
    dates: str = "iso"  # a key of DATES
    ambiguous: str = ""  # dates, currencies: no reading of the files is certain
    # who and what
    orders: str = "number"  # number, letters (CA-…), hash (#…), daily, till, none
    customers: str = "number"  # number, code, zeros, float, email, email_case, phone
    walk_in: str | None = None  # what stands in place of a customer; None: nobody is unknown
    statuses: tuple[str, ...] = ()  # states of orders besides the sold ones
    returns: str = "none"  # none, quantity, prefix, type, type_negative, column
    same_number: bool = False  # a return has the number of its order
    # around the table
    distractors: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    shuffled: bool = False  # columns in random order


PLAIN = Spec(0)
DATES = {  # how days are written; "clock" has the time in a column of its own
    "iso": "%Y-%m-%d",
    "iso_time": "%Y-%m-%d %H:%M:%S",
    "zone": "%Y-%m-%dT%H:%M:%S+01:00",
    "slash_dmy": "%d/%m/%Y",
    "slash_dmy_time": "%d/%m/%Y %H:%M",
    "slash_mdy": "%m/%d/%Y",
    "slash_mdy_time": "%m/%d/%Y %H:%M",
    "dots": "%d.%m.%Y",
    "dots_short": "%d.%m.%y",
    "dots_time": "%d.%m.%Y %H:%M",
    "dashes_dmy": "%d-%m-%Y",
    "clock": "%d.%m.%Y",
    "compact": "%Y%m%d",
    "month_name": "%d {month} %Y",
    "epoch": "",
    "serial": "",
}
USUAL_DATES = {
    "English": ["slash_dmy", "slash_dmy_time", "slash_mdy", "slash_mdy", "slash_mdy_time"],
    "German": ["dots", "dots", "dots_short", "dots_time", "clock"],
    "Polish": ["dots", "dots_time", "dashes_dmy", "clock"],
    "Dutch": ["dashes_dmy", "dashes_dmy", "slash_dmy", "clock"],
}
CURRENCIES = {
    "English": ["$", "£", "US$ ", " USD", "₹"],
    "German": ["€", " €", " EUR", "EUR ", "CHF "],
    "Polish": [" zł", " PLN"],
    "Portuguese": ["R$ ", "R$", "€ ", " €"],
    "Spanish": [" €", "$", "€"],
}


# ── a spec from a seed ───────────────────────────────────────────────
def draw(seed: int) -> Spec:
    """Return the spec of a seed; each feature is drawn on its own, then put in accord with the others."""
    rng = random.Random(f"spec {seed}")
    pick, chance = rng.choice, lambda share: rng.random() < share
    language = pick(LANGUAGES)
    english = language == "English"
    separator = pick([",", ",", "\t"]) if english else pick([";", ";", ";", ",", "\t", "|"])
    decimal = "." if english or chance(0.25) else ","
    marks = {".": ["", "", ",", ",", "'", "lakh" if english else " "], ",": ["", "", ".", ".", " ", NBSP, THIN]}
    spec = Spec(
        seed,
        language,
        split=pick(["one"] * 5 + ["day"] * 2 + ["month"] * 2 + ["range", "cumulative"]),
        format=pick(["csv"] * 7 + ["txt", "xlsx", "xlsx", "gz"]),
        separator=separator,
        encoding=pick(["utf-8"] * 4 + ["utf-8-sig", "utf-8-sig", "cp1252", "cp1252", "latin-1", "utf-16"]),
        quote_all=chance(0.2),
        layout=pick(["lines"] * 5 + ["orders"] * 3 + ["groups", "first"]),
        money=pick(["unit"] * 4 + ["amount", "amount_quantity", "both", "both", "unit_total", "total"]),
        scale=pick(["small", "small", "large"]),
        quantities="weight" if chance(0.04) else "whole",
        places=4 if chance(0.04) else 2,
        decimal=decimal,
        thousands=pick(marks[decimal]),
        negative=pick(["-"] * 5 + ["trailing", "unicode", "parentheses"]),
        currency=pick(CURRENCIES.get(language, [" €", "€", "€ ", " EUR"])) if chance(0.3) else "",
        trimmed=chance(0.1),
        typed=chance(0.75),
        dates=pick(["iso", "iso_time", "iso_time", "zone", "compact", "month_name", "epoch", "serial"])
        if chance(0.4)
        else pick(USUAL_DATES.get(language, ["slash_dmy", "slash_dmy", "slash_dmy_time", "dashes_dmy", "clock"])),
        ambiguous=pick(["dates", "currencies"]) if chance(0.05) else "",
        orders=pick(["number"] * 4 + ["letters", "letters", "hash", "daily", "till", "none"]),
        customers=pick(["number"] * 3 + ["code"] * 3 + ["zeros", "float", "email", "email_case", "phone"]),
        walk_in=pick(["", "0", "NULL", r"\N", "N/A", "-", "word", "word"]) if chance(0.3) else None,
        statuses=tuple(rng.sample(NOT_SOLD, rng.randint(1, 3))) if chance(0.3) else (),
        returns=pick(["quantity", "quantity", "prefix", "type", "type_negative", "column"]) if chance(0.4) else "none",
        same_number=chance(0.3),
        distractors=tuple(rng.sample(sorted(DISTRACTORS), rng.randint(0, 8))),
        faults=tuple(rng.sample(FAULTS, pick([0, 0, 0, 1, 1, 2]))),
        shuffled=chance(0.5),
    )
    return sensible(spec)


FAULTS = ("titles", "total", "header_again", "trailing", "blank_lines", "nul", "twin_column", "sep_line", "cover_sheet")


def sensible(spec: Spec) -> Spec:
    """Return a spec whose features can stand together in one export."""
    put = dataclasses.replace
    if spec.format == "txt" and spec.separator in ",;":
        spec = put(spec, separator="\t")
    if spec.format == "xlsx":
        spec = put(spec, encoding="utf-8", separator=",", quote_all=False)
        spec = put(spec, faults=tuple(one for one in spec.faults if one not in ("trailing", "nul", "sep_line")))
    else:
        unfit = {"cover_sheet"} | ({"sep_line"} if spec.separator != ";" or spec.encoding == "utf-16" else set())
        unfit |= {"nul"} if spec.encoding == "utf-16" else set()
        spec = put(spec, typed=True, faults=tuple(one for one in spec.faults if one not in unfit))
    if spec.layout == "orders":  # one row per order
        spec = put(spec, money="total", quantities="whole", places=2)
        spec = put(spec, orders="number" if spec.orders == "none" else spec.orders)
    elif spec.layout in ("groups", "first") and spec.orders == "none":
        spec = put(spec, orders="number")
    if spec.money == "total" and spec.orders == "none":
        spec = put(spec, money="unit")
    if spec.money not in ("unit", "both", "unit_total"):
        spec = put(spec, places=2)
    if spec.scale == "small" or spec.trimmed and spec.thousands:
        spec = put(spec, thousands="")
    if spec.quantities == "weight" or spec.places != 2:
        spec = put(spec, trimmed=False)
    if spec.thousands == ",":
        spec = put(spec, decimal=".")
    if spec.orders in ("none", "daily", "till") or spec.money == "unit_total":
        spec = put(spec, same_number=False)
    if spec.orders in ("none", "letters") and spec.returns == "prefix":
        spec = put(spec, returns="quantity")
    if spec.returns not in ("quantity", "prefix", "type_negative"):
        spec = put(spec, negative="-")
    if spec.negative != "-" and spec.currency:
        spec = put(spec, currency="")
    if spec.walk_in and spec.customers == "phone":
        spec = put(spec, walk_in="")
    if spec.layout == "groups" and spec.walk_in == "":  # a blank means: as above
        spec = put(spec, walk_in="word")
    if spec.ambiguous == "dates":  # neither the names of the files nor the language may decide
        spec = put(spec, split="one", dates=spec.dates if spec.dates in ("slash_dmy", "slash_mdy") else "slash_dmy", typed=False)
    if spec.ambiguous == "currencies":
        spec = put(spec, currency="")
    if spec.format == "xlsx" and spec.typed:
        spec = put(spec, currency="", thousands="", negative="-", trimmed=False, decimal=".")
        spec = put(spec, dates=spec.dates if spec.dates in ("iso", "iso_time") else "iso_time")
    try:
        _sample_text(spec).encode(spec.encoding)
    except UnicodeEncodeError:
        spec = put(spec, encoding="utf-8-sig")
    return spec


def _sample_text(spec: Spec) -> str:
    """Return the letters that the files of a spec may have."""
    roles = ("order", "date", "customer", "name", "quantity", "price", "amount", "total", "status", "type", *spec.distractors)
    said = [
        word
        for role in (*roles, "sold", *NOT_SOLD, "sale", "return", "walk_in", "title", "refund", "time", "sku", "till")
        for word in words(DISTRACTORS.get(role, role), spec.language)
    ]
    return "".join([*said, *MONTHS[spec.language], spec.currency, spec.thousands, MINUS if spec.negative == "unicode" else ""])


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


# ── orders ───────────────────────────────────────────────────────────
def make(spec: Spec | int) -> Shop:
    """Return the shop of a spec, or of a seed."""
    spec = draw(spec) if isinstance(spec, int) else sensible(spec)
    rng = random.Random(f"shop {spec.seed}")
    people = rng.randint(20, 60)
    shop = Shop(spec, list(_orders(spec, rng, people)), {})
    for one in range(people):
        shop.customers |= {
            plain(name): one for name in (_customer(spec, one), EMAIL.format(_user(one)), PHONE.format(one * 7919))
        }
    shop.files = dict(_files(shop, rng))
    return shop


def _days(spec: Spec, rng: random.Random) -> list[dt.date]:
    first = dt.date(2024, 1, 1) + dt.timedelta(days=rng.randrange(400))
    if spec.split == "day":
        return [first + dt.timedelta(days=day) for day in range(14)]
    if spec.ambiguous == "dates":  # the same days with day and month swapped
        return [dt.date(first.year, month, day) for month in range(1, 13) for day in range(1, 13)]
    return [first + dt.timedelta(days=day) for day in range(110)]


def _orders(spec: Spec, rng: random.Random, people: int) -> Iterator[Order]:
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
        order.currency = rng.choice(["EUR", "USD", "GBP"]) if spec.ambiguous == "currencies" else "EUR"
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


def _user(customer: int) -> str:
    return f"{['anna', 'ben', 'carla', 'david', 'eva'][customer % 5]}.{customer:03}"


def _customer(spec: Spec, customer: int) -> str:
    """Return the plain spelling of a customer."""
    number = 12_000 + customer * 37
    return {
        "code": f"K{number}",
        "zeros": f"{customer * 37 + 11:07}",
        "float": f"{number}.0",
        "email": EMAIL.format(_user(customer)),
        "email_case": EMAIL.format(_user(customer)),
        "phone": PHONE.format(customer * 7919),
    }.get(spec.customers, str(number))


# ── texts ────────────────────────────────────────────────────────────
class Writer:
    """Values as the files of a spec have them."""

    def __init__(self, spec: Spec, rng: random.Random) -> None:
        self.spec, self.rng = spec, rng
        self.native = spec.format == "xlsx" and spec.typed

    def amount(self, number: Decimal, places: int = 2, sign: bool = True) -> Any:
        """Return an amount of money."""
        if self.native:
            return number
        spec, digits = self.spec, f"{abs(number):.{places}f}"
        if spec.trimmed:
            digits = digits.rstrip("0").rstrip(".")
        whole, _, rest = digits.partition(".")
        text = self._grouped(whole) + (spec.decimal + rest if rest else "")
        if sign and spec.currency:
            text = text + spec.currency if spec.currency.startswith(" ") else spec.currency + text
        return self._signed(text) if number < 0 else text

    def number(self, number: Decimal) -> Any:
        """Return a quantity."""
        if self.native:
            return number
        if number == number.to_integral_value():
            return self._signed(f"{abs(number):.0f}") if number < 0 else f"{number:.0f}"
        text = f"{abs(number):.3f}".replace(".", self.spec.decimal)
        return self._signed(text) if number < 0 else text

    def _grouped(self, whole: str) -> str:
        mark = self.spec.thousands
        if mark == "lakh" and len(whole) > 3:
            head, tail = whole[:-3], whole[-3:]
            pairs = [head[max(at - 2, 0) : at] for at in range(len(head), 0, -2)][::-1]
            return ",".join([*pairs, tail])
        return f"{int(whole):,}".replace(",", mark if mark != "lakh" else ",") if mark else whole

    def _signed(self, text: str) -> str:
        return {"-": f"-{text}", "trailing": f"{text}-", "unicode": f"{MINUS}{text}"}.get(self.spec.negative, f"({text})")

    def day(self, moment: dt.datetime) -> Any:
        """Return a day, with its time where the format has one."""
        if self.native:
            return moment if self.spec.dates == "iso_time" else moment.date()
        if self.spec.dates == "epoch":
            return str(int(moment.replace(tzinfo=dt.UTC).timestamp()))
        if self.spec.dates == "serial":
            return str((moment.date() - dt.date(1899, 12, 30)).days)
        month = MONTHS[self.spec.language][moment.month - 1]
        return moment.strftime(DATES[self.spec.dates].replace("{month}", month))

    def customer(self, customer: int | None) -> str:
        """Return a customer, spelled as people type it."""
        if customer is None:
            stand_in = self.spec.walk_in or ""
            return words("walk_in", self.spec.language)[0] if stand_in == "word" else stand_in
        text = _customer(self.spec, customer)
        if self.spec.customers == "email_case":
            return self.rng.choice([text, text, text.title(), text.upper()])
        if self.spec.customers == "phone":
            return self.rng.choice([text, f"{text[:3]} {text[3:6]} {text[6:]}", f"{text[:3]}-{text[3:]}"])
        return text


DISTRACTORS = {  # column: the role that names it
    "email": "email",
    "phone": "phone",
    "currency": "currency",
    "country": "country",
    "tax": "tax",
    "shipping": "shipping",
    "discount": "discount",
    "cost": "cost",
    "points": "points",
    "shipped": "shipped",
    "channel": "channel",
    "warehouse": "warehouse",
    "payment": "payment",
    "note": "note",
    "row": "row",
    "line": "line",
    "items": "items",
}


def _distractor(name: str, order: Order, line: Line | None, index: int, row: int, to: Writer) -> Any:
    """Return a value that has nothing to do with what counts."""
    known, amount = order.customer is not None, line.amount if line else order.total
    whole = {"points": int(abs(order.total)) // 10, "row": row, "line": index + 1, "items": len(order.lines)}
    if name in whole:
        return to.number(Decimal(whole[name]))
    return {
        "email": lambda: EMAIL.format(_user(order.customer)) if known else "",
        "phone": lambda: PHONE.format(order.customer * 7919) if known else "",
        "currency": lambda: order.currency,
        "country": lambda: ["DE", "FR", "GB"][(order.customer or 0) % 3],
        "tax": lambda: to.amount((amount - amount / Decimal("1.19")).quantize(CENT, ROUND_HALF_UP)),
        "shipping": lambda: to.amount(Decimal("4.90") if len(order.lines) < 3 else Decimal(0)),
        "discount": lambda: to.number(Decimal(0)),
        "cost": lambda: to.amount((abs(line.price if line else order.total) * Decimal("0.6")).quantize(CENT)),
        "shipped": lambda: to.day(order.moment + dt.timedelta(days=1 + len(order.lines))),
        "channel": lambda: "Web",
        "warehouse": lambda: f"W{1 + len(order.lines) % 3}",
        "payment": lambda: ["Visa", "PayPal"][len(order.lines) % 2],
        "note": lambda: "ok" if row % 9 == 0 else "",
    }[name]()


# ── rows ─────────────────────────────────────────────────────────────
ON_FIRST = {
    "groups": ("order", "date", "time", "customer", "till", "status", "type", "total", "refund"),
    "first": ("status", "total", "refund"),
}
QUANTIFIED, PRICED, AMOUNTED = (
    ("unit", "amount_quantity", "both", "unit_total", "total"),
    ("unit", "both", "unit_total"),
    ("amount", "both"),
)


def _roles(spec: Spec) -> list[str]:
    """Return the columns, in a usual order."""
    single = spec.layout == "orders"
    wanted = {
        "order": spec.orders != "none",
        "date": True,
        "time": spec.dates == "clock" and not (spec.format == "xlsx" and spec.typed),
        "till": spec.orders == "till",
        "customer": True,
        "type": spec.returns.startswith("type"),
        "status": bool(spec.statuses),
        "sku": not single,
        "name": not single,
        "quantity": not single and spec.money in QUANTIFIED,
        "price": spec.money in PRICED,
        "amount": spec.money in ("amount", "amount_quantity", "both"),
        "total": spec.money in ("total", "unit_total"),
        "refund": spec.returns == "column",
    }
    own = [role for role, there in wanted.items() if there]
    unfit = {"line", "cost"} if single else {"items"} if spec.money == "total" else set()
    unfit |= {"email"} if spec.customers.startswith("email") else {"phone"} if spec.customers == "phone" else set()
    extra = [one for one in spec.distractors if one not in unfit]
    return [*own, *extra, *(["currency"] if spec.ambiguous == "currencies" and "currency" not in extra else [])]


def _headers(spec: Spec, rng: random.Random, roles: Sequence[str]) -> dict[str, str]:
    """Return a name for each column; no name comes twice."""
    found: dict[str, str] = {}
    for role in roles:
        free = [word for word in words(role, spec.language) if word.casefold() not in {one.casefold() for one in found.values()}]
        found[role] = rng.choice(free) if free else f"{words(role, spec.language)[0]} 2"
    return found


def _rows(orders: Iterable[Order], roles: Sequence[str], to: Writer) -> Iterator[dict[str, Any]]:
    """Yield a row per line, or per order."""
    spec, row = to.spec, 0
    for order in orders:
        customer = to.customer(order.customer)
        for index, line in enumerate([None] if spec.layout == "orders" else order.lines):
            row += 1
            cells = {role: _distractor(role, order, line, index, row, to) for role in roles if role in DISTRACTORS}
            cells |= _order_cells(order, customer, to)
            if line:
                cells |= {"sku": line.sku, "name": line.name, "quantity": to.number(line.quantity)}
                cells |= {"price": to.amount(line.price, spec.places), "amount": to.amount(line.amount)}
            if index:
                cells |= dict.fromkeys(ON_FIRST.get(spec.layout, ()), "")
            yield {role: cells[role] for role in roles}


def _order_cells(order: Order, customer: str, to: Writer) -> dict[str, Any]:
    language = to.spec.language
    states = words(order.state, language)
    return {
        "order": order.number,
        "date": to.day(order.moment),
        "time": order.moment.strftime("%H:%M"),
        "till": order.till,
        "customer": customer,
        "type": words("return" if order.returned else "sale", language)[0],
        "status": states[hash_of(order.number) % len(states)],
        "total": to.amount(order.total),
        "refund": to.amount(order.refund),
    }


def hash_of(text: str) -> int:
    """Return a number of a text that is the same in every process."""
    return sum(map(ord, text))


# ── files ────────────────────────────────────────────────────────────
def _files(shop: Shop, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    spec, to = shop.spec, Writer(shop.spec, rng)
    roles = _roles(spec)
    if spec.shuffled:
        rng.shuffle(roles)
    headers = _headers(spec, rng, roles)
    ending = {"txt": "txt", "xlsx": "xlsx", "gz": "csv.gz"}.get(spec.format, "csv")
    for name, orders in _parts(shop, rng):
        rows = list(_rows(orders, roles, to))
        table = _table(spec, headers, rows, orders, to)
        yield f"{name}.{ending}", _workbook(spec, table, rng) if spec.format == "xlsx" else _text(spec, table, len(headers))


def _parts(shop: Shop, rng: random.Random) -> Iterator[tuple[str, list[Order]]]:
    """Yield the name of each file without its ending, and its orders."""
    spec, stem = shop.spec, rng.choice(words("file", shop.spec.language))
    days = sorted({order.moment.date() for order in shop.orders})
    styled = rng.choice([f"%Y-%m-%d_{stem}", f"{stem}_%Y%m%d", f"{stem} %d.%m.%Y"])
    if spec.split == "one":
        yield stem, shop.orders
    elif spec.split == "day":
        for day in days:
            yield day.strftime(styled), [order for order in shop.orders if order.moment.date() == day]
    elif spec.split == "cumulative":
        for until in (days[len(days) // 3], days[2 * len(days) // 3], days[-1]):
            yield until.strftime(f"{stem}_%Y-%m-%d"), [order for order in shop.orders if order.moment.date() <= until]
    else:
        for month in sorted({day.replace(day=1) for day in days}):
            some = [order for order in shop.orders if order.moment.date().replace(day=1) == month]
            last = max(order.moment.date() for order in some)
            name = f"{stem}_%Y-%m" if spec.split == "month" else f"{stem}_%Y-%m-%d_{last}"
            yield month.strftime(name), some


def _table(
    spec: Spec, headers: Mapping[str, str], rows: list[dict[str, Any]], orders: Sequence[Order], to: Writer
) -> list[list[Any]]:
    """Return the lines of a file: the header, the rows, and the faults around them."""
    names = list(headers.values())
    lines: list[list[Any]] = [list(row.values()) for row in rows]
    if "nul" in spec.faults:
        at = list(headers).index("customer")
        for line in lines[::17]:
            line[at] = f"{line[at]}\0\0" if line[at] else line[at]
    if "twin_column" in spec.faults:
        names, lines = (
            [*names, words("note", spec.language)[0], words("note", spec.language)[0]],
            [[*line, "", "x"] for line in lines],
        )
    if "header_again" in spec.faults:
        lines = [one for at, line in enumerate(lines) for one in ([names, line] if at and at % 40 == 0 else [line])]
    if "blank_lines" in spec.faults:
        lines = [one for at, line in enumerate(lines) for one in ([[], line] if at % 25 == 24 else [line])] + [[], []]
    if "total" in spec.faults:
        lines.append(_total_row(spec, headers, orders, len(names), to))
    if "titles" in spec.faults:
        return [[words("title", spec.language)[0]], ["2024-2025"], [], names, *lines]
    return [names, *lines]


def _total_row(spec: Spec, headers: Mapping[str, str], orders: Sequence[Order], width: int, to: Writer) -> list[Any]:
    row: list[Any] = [""] * width
    sums = {
        role: to.amount(sum((order.total for order in orders), Decimal(0))) for role in ("amount", "total") if role in headers
    }
    for role, text in sums.items():
        row[list(headers).index(role)] = text
    row[next(at for at, role in enumerate(headers) if role not in sums)] = words("label", spec.language)[0]
    return row


def _text(spec: Spec, table: list[list[Any]], width: int) -> bytes:
    written = io.StringIO()
    if "sep_line" in spec.faults:
        written.write(f"sep={spec.separator}\r\n")
    quoting = csv.QUOTE_ALL if spec.quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(written, delimiter=spec.separator, quoting=quoting, lineterminator="\r\n")
    header = next(at for at, line in enumerate(table) if len(line) >= width)
    for at, line in enumerate(table):
        writer.writerow([*line, ""] if "trailing" in spec.faults and at > header and line else line)
    raw = written.getvalue().encode(spec.encoding)
    return gzip.compress(raw, 1, mtime=0) if spec.format == "gz" else raw


def _workbook(spec: Spec, table: list[list[Any]], rng: random.Random) -> bytes:
    raw = io.BytesIO()
    with xlsxwriter.Workbook(raw, {"in_memory": True}) as book:
        if "cover_sheet" in spec.faults:
            book.add_worksheet("Info").write_row(0, 0, [words("title", spec.language)[0], "2024-2025"])
        sheet = book.add_worksheet("Data")
        day, moment = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for at, line in enumerate(table):
            for column, value in enumerate(line):
                if isinstance(value, Decimal):
                    sheet.write_number(at, column, float(value))
                elif isinstance(value, dt.datetime):
                    sheet.write_datetime(at, column, value, moment)
                elif isinstance(value, dt.date):
                    sheet.write_datetime(at, column, value, day)
                elif value != "":
                    sheet.write_string(at, column, value)
    return raw.getvalue()


def write(shop: Shop, folder: Path) -> None:
    """Write the files of a shop into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in shop.files.items():
        (folder / name).write_bytes(raw)


def described(spec: Spec) -> str:
    """Return what is unusual about a spec on one line."""
    unlike = {one.name: getattr(spec, one.name) for one in dataclasses.fields(spec)}
    return f"seed {spec.seed}: " + ", ".join(
        f"{name}={value!r}" for name, value in unlike.items() if value != getattr(PLAIN, name) and name != "seed"
    )


if __name__ == "__main__":
    made = make(int(sys.argv[1]))
    write(made, Path(sys.argv[2]))
    counted = made.truth()
    total = sum(one.cents for one in counted.values())
    sys.stdout.write(
        f"{made.spec}\n{len(counted)} customers, {sum(one.frequency for one in counted.values())} orders, "
        f"{total / 100:.2f} gross, last day {made.last_day}\n"
    )
