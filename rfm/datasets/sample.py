"""Daily files of an invented gift-ware shop, made from a seed; its goods and customers are in `catalogue.toml`.

They have the shape of Online Retail II (Chen 2012): few customers bring most of the money, many buy once, autumn sells more, and
cancellations, write-offs, vouchers and repeated lines occur in their shares.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import groupby, pairwise, product
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.errors import SettingsError

HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
PIECE_LINES = 250_000  # held in memory at once, beside about 60 bytes per customer and 20 per visit
MOST_DAYS, MOST_LINES, MOST_SEED = 36_500, 1_000_000_000, 2**63
FIRST_INVOICE, PLAIN_INVOICES = 480_000, 1_000_000
DIGITS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
LEADS = np.frombuffer(b"BDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)  # without A and C, which are MARKS
MARKS = pa.array(["", "C", "A"])  # before the number: a sale, a cancellation, an adjustment


class SampleReport(NamedTuple):
    """What `make_sample` wrote: counts, days and bytes; `customers` are those with at least one purchase."""

    files: int
    lines: int
    customers: int
    first_day: date
    last_day: date
    bytes: int


def make_sample(
    folder: str | Path,
    *,
    days: int = 120,
    end: date = date(2025, 10, 23),
    customers: int = 1500,
    lines: int = 60_000,
    seed: int = 20100,
) -> SampleReport:
    """Write the daily files of an invented shop, one per calendar day up to `end`; files of the same name are replaced."""
    folder = Path(folder)
    _check_arguments(days, end, customers, lines, seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"sample: the folder {folder} cannot be created ({error.strerror}); name another") from error
    rng, dates = np.random.default_rng(seed), [end - timedelta(days=days - 1 - i) for i in range(days)]
    shop = Shop(rng, draw_customers(rng, min(customers, lines // 4)), make_catalogue())
    plan = plan_visits(shop, _weigh_days(rng, dates), lines)
    rows = size = 0
    for day, pieces in groupby(_pieces(shop, plan), key=itemgetter(0)):
        texts = (_text(shop, piece, dates[day]) for _, piece in pieces)
        more, wide = _write(folder / f"{dates[day]}_transactions.csv", texts)
        rows, size = rows + more, size + wide
    return SampleReport(days, rows, len(shop.people), dates[0], end, size)


def _check_arguments(days: int, end: date, customers: int, lines: int, seed: int) -> None:
    def check(name: str, value: int, low: int, high: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise SettingsError(f"sample: {name} is {value!r}; give a whole number from {low} to {high}")

    check("days", days, 1, MOST_DAYS)
    check("customers", customers, 1, MOST_LINES)
    check("seed", seed, 0, MOST_SEED)
    check("lines", lines, max(100, 10 * days), MOST_LINES)
    if type(end) is not date or end.toordinal() <= days:
        raise SettingsError(f"sample: end is {end!r}; give a date at least {days} days into the calendar")


# ── catalogue ────────────────────────────────────────────────────────
PLAIN, FAMILIES = 600, 30  # products with five digits; families in the five colours
SPREAD = 1.1  # of the popularity between products, in logs
SLIP_SHARE = 0.01  # of a family's sales that are keyed in with a lower-case code


class Catalogue(NamedTuple):
    """The products, and every text that a line can have: of products, of specials, of products under each note."""

    text: pa.Array  # "StockCode,Description" as CSV
    mills: np.ndarray  # list price of each product in thousandths of a pound
    popularity: np.ndarray  # cumulated share of each product in the sales; ends at 1


@cache
def shop_data() -> dict[str, Any]:
    """Return the data of `catalogue.toml`."""
    return tomllib.loads(Path(__file__).with_name("catalogue.toml").read_text(encoding="utf-8"))


def make_catalogue() -> Catalogue:
    """Make the products: plain ones, colour families, the families' lower-case slips, rare ones."""
    rng, data = np.random.default_rng(1), shop_data()
    products, priced = _products(rng), PLAIN + FAMILIES * len(data["colours"])
    specials = [(special["code"], special["description"]) for special in data["specials"]]
    noted = [(code, note) for note, _ in data["notes"] for code, _ in products]
    quoted = {name: '"' + name.replace('"', '""') + '"' for _, name in products if {",", '"'} & {*name}}
    text = pa.array([f"{code},{quoted.get(name, name)}" for code, name in products + specials + noted])
    prices, weights = zip(*data["prices"], strict=True)
    mills = np.array(prices)[_pick(rng, weights, priced)]
    wanted = rng.lognormal(0, SPREAD, priced)
    # a slip costs what its family costs, and is rare
    mills = np.concatenate([mills, mills[PLAIN:], [price for _, _, price, _ in data["rare"]]])
    up_to = np.cumsum(np.concatenate([wanted, wanted[PLAIN:] * SLIP_SHARE, [share for *_, share in data["rare"]]]))
    return Catalogue(text, mills, up_to / up_to[-1])


def _products(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Draw names and give each its stock code: five digits, for families a suffix per colour, for slips in lower case."""
    data = shop_data()
    pairs = rng.permutation(list(product(data["motifs"], data["things"])))[: PLAIN + FAMILIES]  # no two have both in common
    patterns = [pattern for pattern, count in data["names"] for _ in range(count)]
    names = [rng.choice(patterns).format(motif=motif, thing=thing, n=rng.choice(data["set_sizes"])) for motif, thing in pairs]
    plain = [(f"{20600 + 4 * i}", name) for i, name in enumerate(names[:PLAIN])]
    bases = [(f"{84010 + 7 * i}", name.strip()) for i, name in enumerate(names[PLAIN:])]
    family = [(base + mark, f"{colour} {name}") for base, name in bases for colour, mark in data["colours"]]
    slips = [(code.lower(), name) for code, name in family]
    return plain + family + slips + [(code, name) for code, name, *_ in data["rare"]]


def _pick(rng: np.random.Generator, weights: Sequence[float], size: int) -> np.ndarray:
    up_to = np.cumsum(weights) / sum(weights)
    return np.searchsorted(up_to[:-1], rng.random(size, dtype="f4"), side="right")


# ── customers and their visits; every count of lines is decided here, before any line is drawn ────────
# Shares of all lines; the others are customers' purchases
SHARES = {"guests": 0.185, "returns": 0.02, "write_offs": 0.008, "specials": 0.0065, "repeats": 0.0035}
VISIT_LINES, GUEST_LINES = 12, 8  # mean lines of an invoice, with a customer and without
# In logs: quantity (mean, spread), basket (spread between customers, visits), visit rate
LEVEL, BASKET, RATE_SPREAD = (2.08, 0.65), (0.45, 0.75), 1.2
WHOLESALE_SHARE, WHOLESALE_LEVEL = 0.02, 2.3  # bulk buyers, and how much more they buy (in logs)
FOUNDERS, STAYERS = 0.6, 0.6  # share known from the first day, share never stopping
DAY_SPREAD = 0.12  # noise between days, in logs
CUSTOMER = np.dtype(
    [
        ("id", "i4"),
        ("country", "u1"),  # position among the countries
        ("level", "f4"),  # mean log quantity of a line
        ("basket", "f4"),  # log of the lines of an invoice, relative to others
        ("start", "f4"),  # first and last moment, in shares of the whole period's business
        ("stop", "f4"),
        ("rate", "f4"),  # visits, relative to others
    ]
)


class Shop(NamedTuple):
    """What stays the same from day to day, and the source of chance."""

    rng: np.random.Generator
    people: np.ndarray  # of CUSTOMER
    goods: Catalogue


class Plan(NamedTuple):
    """The customer of every visit in day order, day i from `bounds[i]` on, and the lines per day of each sort."""

    visitors: np.ndarray
    bounds: np.ndarray
    budget: dict[str, np.ndarray]


def _apportion(weights: np.ndarray, total: int) -> np.ndarray:
    """Split a total into whole numbers in proportion to weights."""
    up_to = np.cumsum(weights, dtype="f8")
    return np.diff(np.floor(up_to / (up_to[-1] if len(up_to) else 1) * total).astype("i8"), prepend=0)


def _weigh_days(rng: np.random.Generator, dates: list[date]) -> np.ndarray:
    """Weigh each day's business: weekday, season (rising to Christmas), and noise."""
    data = shop_data()
    season = np.interp([d.month - 1 + d.day / 31 for d in dates], np.arange(12) + 0.5, data["months"], period=12)
    return season * np.array(data["weekdays"])[[d.weekday() for d in dates]] * rng.lognormal(0, DAY_SPREAD, len(dates))


def draw_customers(rng: np.random.Generator, customers: int) -> np.ndarray:
    """Draw the customers: country, size and frequency of their orders, first and last day."""
    people = np.zeros(customers, CUSTOMER)
    bulk = rng.random(customers, dtype="f4") < WHOLESALE_SHARE
    people["id"] = 12_347 + 3 * np.arange(customers) + rng.integers(0, 3, customers)
    _, home, abroad, _ = zip(*shop_data()["countries"], strict=True)
    people["country"] = np.where(bulk, _pick(rng, abroad, customers), _pick(rng, home, customers))
    people["level"] = LEVEL[0] + LEVEL[1] * rng.standard_normal(customers, dtype="f4") + WHOLESALE_LEVEL * bulk
    people["basket"] = BASKET[0] * rng.standard_normal(customers, dtype="f4")
    start, length, founder, stayer = rng.random((4, customers), dtype="f4")
    people["start"] = start = np.where(founder < FOUNDERS, 0, start)
    people["stop"] = np.where(stayer < STAYERS, 1, start + length * (1 - start))
    people["rate"] = np.exp(RATE_SPREAD * rng.standard_normal(customers, dtype="f4")) * (people["stop"] - people["start"])
    return people


def plan_visits(shop: Shop, busy: np.ndarray, lines: int) -> Plan:
    """Plan the day of each visit, at least one per customer, and the number of lines of each sort per day."""
    people, customers = shop.people, len(shop.people)
    known = lines - sum(int(lines * part) for part in SHARES.values())
    visits = max(known // VISIT_LINES, min(known // 3, int(2.3 * customers)), customers)
    visitors = np.repeat(np.arange(customers, dtype="i4"), 1 + _apportion(people["rate"], visits - customers))
    length = (people["stop"] - people["start"])[visitors]
    moment = people["start"][visitors] + length * shop.rng.random(visits, dtype="f4")
    calendar = (np.cumsum(busy) / np.sum(busy)).astype("f4")  # days pass at the pace of business
    day = np.searchsorted(calendar[:-1], moment, side="right").astype("u2")
    a_day = np.bincount(day, minlength=len(busy))
    budget = {sort: _apportion(busy, int(lines * part)) for sort, part in SHARES.items()}
    budget["visits"] = a_day + _apportion(a_day + 1e-9, known - visits)
    return Plan(visitors[np.argsort(day, kind="stable")], np.concatenate([[0], np.cumsum(a_day)]), budget)


# ── the lines of a day ────────────────────────────────────────────────
RETURNABLE = 40_000  # lines remembered, from which cancellations are drawn
GIFT_SHARE, NEGATIVE_SHARE = 0.0003, 2 / 3  # lines of customers given away; write-offs that take from the stock
MOOD, THRIFT = 0.75, 0.55  # log quantity of a line: its spread, and its fall with the log of the price
GUEST_LEVEL, GUEST_SPREAD = 0.1, 2.2  # without a customer: log quantity of a line, spread of the lines of an invoice
BULK, BULK_PRICE, GUEST_PRICE = 48, 0.85, 1.175  # pieces for a lower price; guests pay tax, hence odd prices
DEBT_EVERY = 40  # days between adjustments of a bad debt (an A-invoice), from the second day on
SALE, CANCELLATION, ADJUSTMENT = range(3)  # kinds of invoice
GUEST = -1  # the customer of a line without one
LINE = np.dtype(
    [
        ("invoice", "i8"),
        ("kind", "u1"),  # SALE, CANCELLATION or ADJUSTMENT
        ("item", "i4"),  # position in the catalogue's text
        ("quantity", "i4"),
        ("mills", "i8"),  # price in thousandths of a pound
        ("customer", "i4"),  # position among the people, or GUEST
        ("country", "u1"),
    ]
)


def _lines(shop: Shop, crowd: np.ndarray, budget: dict[str, int], pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make the lines of a day, or of a piece of it; return also what can be cancelled later."""
    known = _purchases(shop, crowd, budget["visits"])
    sold = _stack(known, _guests(shop, budget["guests"]))
    again = shop.rng.integers(0, max(len(sold), 1), budget["repeats"] if len(sold) else 0)
    sold = np.repeat(sold, 1 + np.bincount(again, minlength=len(sold)))
    sold = np.concatenate([sold, _specials(shop, sold, budget["specials"])])
    chosen = shop.rng.choice(len(pool), min(budget["returns"], len(pool)), replace=False)
    fresh = shop.rng.choice(len(known), min(len(known), 8 + 4 * len(chosen)), replace=False)
    returned, written_off = _returns(shop.rng, pool[chosen]), _write_offs(shop, budget["write_offs"])
    lines = _stack(sold, returned, written_off, _debts(shop, budget["debts"]))
    return lines, np.concatenate([np.delete(pool, chosen), known[fresh]])[-RETURNABLE:]


def _purchases(shop: Shop, crowd: np.ndarray, total: int) -> np.ndarray:
    """Fill an invoice for each of `crowd`, `total` lines together; a few lines are given away."""
    basket = shop.people["basket"][crowd] + BASKET[1] * shop.rng.standard_normal(len(crowd))
    sizes = 1 + _apportion(np.exp(basket), total - len(crowd)) if len(crowd) else np.zeros(0, "i8")
    lines = _fill(shop, sizes, shop.people["level"][crowd], crowd, shop.people["country"][crowd])
    lines["mills"][shop.rng.random(len(lines)) < GIFT_SHARE] = 0
    return lines


def _guests(shop: Shop, total: int) -> np.ndarray:
    """Fill invoices without a customer: mostly one or two lines, sometimes hundreds."""
    count = min(total, 1 + total // GUEST_LINES)
    sizes = 1 + _apportion(shop.rng.lognormal(0, GUEST_SPREAD, count), total - count)
    country = _pick(shop.rng, [weight for *_, weight in shop_data()["countries"]], count)
    return _fill(shop, sizes, np.full(count, GUEST_LEVEL), np.full(count, GUEST), country)


def _fill(shop: Shop, sizes: np.ndarray, level: np.ndarray, customer: np.ndarray, country: np.ndarray) -> np.ndarray:
    """Choose products, packs and prices for invoices of `sizes` lines."""
    lines = np.zeros(int(sizes.sum()), LINE)
    invoice = lines["invoice"] = np.repeat(np.arange(len(sizes)), sizes)
    lines["customer"], lines["country"] = customer[invoice], country[invoice]
    lines["item"] = np.searchsorted(shop.goods.popularity[:-1], shop.rng.random(len(lines)), side="right")
    price = shop.goods.mills[lines["item"]]
    # A wish (log quantity at two pounds) goes to the nearer of two packs, in logs; the cheap is bought in large packs
    wish = level[invoice] + MOOD * shop.rng.standard_normal(len(lines)) - THRIFT * np.log(price.clip(200) / 2000)
    packs = np.array(shop_data()["packs"])
    lines["quantity"] = packs[np.searchsorted(np.sqrt(packs[1:] * packs[:-1]), np.exp(wish))]
    # Prices are paid in whole pennies; a list price with a fraction of a penny is unchanged
    factor = np.where(lines["customer"] == GUEST, GUEST_PRICE, np.where(lines["quantity"] >= BULK, BULK_PRICE, 1.0))
    lines["mills"] = np.where(price % 10, price, np.floor(price * factor / 10 + 0.5) * 10)
    return lines


def _returns(rng: np.random.Generator, bought: np.ndarray) -> np.ndarray:
    """Cancel purchases, half of them in part; one cancellation per customer."""
    lines = bought.copy()
    lines["invoice"], lines["kind"] = np.unique(lines["customer"], return_inverse=True)[1], CANCELLATION
    lines["quantity"] = -np.ceil(bought["quantity"] * np.minimum(1, 2 * rng.random(len(lines))).clip(1e-6))
    return lines


def _write_offs(shop: Shop, count: int) -> np.ndarray:
    """Correct the stock: no customer, no price, two in three negative, mostly without a description."""
    one, weights = np.ones(count, "i8"), [weight for _, weight in shop_data()["notes"]]
    lines = _fill(shop, one, one * LEVEL[0], one * GUEST, 0 * one)
    lines["item"] += len(shop.goods.mills) * (1 + _pick(shop.rng, weights, count)) + len(shop_data()["specials"])
    lines["quantity"] *= np.where(shop.rng.random(count) < NEGATIVE_SHARE, -1, 1)
    lines["mills"] = 0
    return lines


def _specials(shop: Shop, sold: np.ndarray, count: int) -> np.ndarray:
    """Add lines that are no products to invoices of `sold`; those of a negative quantity become cancellations of their own."""
    specials = shop_data()["specials"]
    kind = _pick(shop.rng, [special["weight"] for special in specials], count)
    low, high, quantity, known = (
        np.array([special[name] for special in specials])[kind] for name in ("low", "high", "quantity", "known")
    )
    buyers, guests = np.flatnonzero(sold["customer"] >= 0), np.flatnonzero(sold["customer"] == GUEST)
    if not (len(buyers) and len(guests) and count):
        return sold[:0]
    lines = sold[np.where(known, shop.rng.choice(buyers, count), shop.rng.choice(guests, count))]
    lines["item"], lines["quantity"], lines["kind"] = len(shop.goods.mills) + kind, quantity, quantity < 0
    lines["mills"] = np.floor(low * (high / low) ** shop.rng.random(count) / 10) * 10
    lines["invoice"] = np.where(quantity < 0, sold["invoice"].max() + 1 + np.arange(count), lines["invoice"])
    return lines


def _debts(shop: Shop, count: int) -> np.ndarray:
    lines, (*specials, debt) = np.zeros(count, LINE), shop_data()["specials"]
    lines["invoice"], lines["kind"], lines["customer"] = np.arange(count), ADJUSTMENT, GUEST
    lines["item"], lines["quantity"] = len(shop.goods.mills) + len(specials), debt["quantity"]
    lines["mills"] = shop.rng.integers(debt["low"] // 10, debt["high"] // 10, count) * 10
    return lines


def _stack(*parts: np.ndarray) -> np.ndarray:
    """Concatenate lines, with invoices kept apart."""
    ends = np.cumsum([0, *(part["invoice"].max(initial=-1) + 1 for part in parts)])
    lines = np.concatenate(parts)
    lines["invoice"] += np.repeat(ends[:-1], [len(part) for part in parts])
    return lines


# ── files ────────────────────────────────────────────────────────────
def _pieces(shop: Shop, plan: Plan) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (day, lines), a day in as many pieces as PIECE_LINES asks for; its invoices are numbered in an order of chance."""
    pool, first = np.empty(0, LINE), FIRST_INVOICE
    for day, (start, stop) in enumerate(pairwise(plan.bounds)):
        budget = {sort: int(lines[day]) for sort, lines in plan.budget.items()}
        count = 1 + sum(budget.values()) // PIECE_LINES
        parts = {sort: _apportion(np.ones(count), lines) for sort, lines in budget.items()}
        for i, crowd in enumerate(np.array_split(plan.visitors[start:stop], count)):
            debts = int(day % DEBT_EVERY == 1 and i == 0)
            share = {sort: int(lines[i]) for sort, lines in parts.items()} | {"debts": debts}
            lines, pool = _lines(shop, crowd, share, pool)
            labels, position = np.unique(lines["invoice"], return_inverse=True)
            lines["invoice"] = first + shop.rng.permutation(len(labels))[position]
            first += len(labels)
            yield day, lines[np.argsort(lines["invoice"], kind="stable")]


def _text(shop: Shop, lines: np.ndarray, day: date) -> tuple[int, pa.Buffer]:
    """Write lines as CSV without a header, and count them."""
    starts, join = np.diff(lines["invoice"], prepend=-1) > 0, pc.binary_join_element_wise
    heads, row = lines[starts], pa.array(np.cumsum(starts) - 1)  # the invoice of each line
    number = join(MARKS.take(pa.array(heads["kind"])), _invoice_text(heads["invoice"]), "")
    buyer = join(pa.array(shop.people["id"][heads["customer"]]).cast(pa.string()), ".0", "")
    buyer = pc.if_else(pa.array(heads["customer"] < 0), "", buyer)
    country = pa.array([name for name, *_ in shop_data()["countries"]]).take(pa.array(heads["country"]))
    tail = join(buyer, country, f"{day}\n", ",")
    item = shop.goods.text.take(pa.array(lines["item"]))
    quantity = pa.array(np.ascontiguousarray(lines["quantity"])).cast(pa.string())
    mills, price = np.unique(lines["mills"], return_inverse=True)  # in as few decimals as they need but at least one
    pounds = pa.array([str(one / 1000) for one in mills.tolist()], pa.string()).take(pa.array(price))
    text = join(number.take(row), item, quantity, pounds, tail.take(row), ",")
    end = pc.sum(pc.binary_length(text)).as_py() or 0
    return len(text), (text.buffers()[2] or pa.py_buffer(b""))[:end]


def _invoice_text(numbers: np.ndarray) -> pa.Array:
    """Write six characters: decimal below a million, then base 36 from B00000 on, so that the texts keep their order."""
    plain = numbers < PLAIN_INVOICES
    rest, text = np.where(plain, numbers, numbers - PLAIN_INVOICES), np.empty((len(numbers), 6), "u1")
    for place in range(5, 0, -1):
        rest, digit = np.divmod(rest, np.where(plain, 10, 36))
        text[:, place] = DIGITS[digit]
    text[:, 0] = np.where(plain, DIGITS[rest], LEADS[rest])
    return pa.array(text.view("S6").ravel()).cast(pa.string())


def _write(path: Path, texts: Iterable[tuple[int, pa.Buffer]]) -> tuple[int, int]:
    """Write a day under a temporary name, then rename it; return its lines and bytes."""
    part, rows = path.with_name(path.name + ".part"), 0
    with part.open("wb") as file:
        size = file.write(HEADER.encode())
        for count, text in texts:
            rows, size = rows + count, size + file.write(text)
    part.replace(path)
    return rows, size
