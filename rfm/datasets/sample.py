"""Daily files to start with: the built-in sample, a gift-ware shop made from a seed.

The sample has the shape of the example data (Online Retail II, Chen 2012), measured on its first 120 days,
in names and numbers of its own: few customers bring most of the money, many buy once, some stop, autumn
sells more, a fifth of the lines has no customer, and what a real till leaves behind (cancellations, write-
offs, vouchers, repeated lines) is there as well.

It is made in four rooms: `catalogue` knows what the shop sells and at what price, `customers` who comes on which
day, `trade` what is bought, and `sample` numbers the invoices and writes the files.

What is bought on a day: the lines of customers and guests, and what a real till leaves behind.

The sample as a whole: arguments checked, invoices numbered, lines turned into text, files written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.datasets.shoppers import (
    BASKET,
    COUNTRIES,
    DEBT,
    GUEST_COUNTRIES,
    LEVEL,
    NOTES,
    SPECIALS,
    Plan,
    Shop,
    apportion,
    draw_customers,
    make_catalogue,
    pick,
    plan_visits,
    weigh_days,
)
from rfm.errors import SettingsError

# ── trade ────────────────────────────────────────────────────────────
GUEST_LINES = 8  # mean lines of an invoice without a customer
RETURNABLE = 40_000  # lines remembered, from which cancellations are drawn
GIFT_SHARE = 0.0003  # lines of customers given away: price 0
NEGATIVE_SHARE = 2 / 3  # write-offs that take from the stock; the others add to it
PACKS = np.array([1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 25, 36, 48, 60, 72, 96, 100, 144, 200, 288, 432, 600, 1440, 2880])
PACK_BORDERS = np.sqrt(PACKS[1:] * PACKS[:-1])  # a wish between two packs goes to the nearer, in logs
MOOD, THRIFT = 0.75, 0.55  # log quantity of a line: its spread, and its fall with the log of the price
GUEST_LEVEL, GUEST_SPREAD = 0.1, 2.2  # without a customer: log quantity of a line, spread of the lines of an invoice
BULK, BULK_PRICE, GUEST_PRICE = 48, 0.85, 1.175  # pieces for a lower price; guests pay tax, hence odd prices

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


def make_lines(shop: Shop, crowd: np.ndarray, budget: dict[str, int], pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make the lines of a day, or of a piece of it."""
    known = _purchases(shop, crowd, budget["visits"])
    sold = _repeated(shop.rng, _stack(known, _guests(shop, budget["guests"])), budget["repeats"])
    sold = np.concatenate([sold, _specials(shop, sold, budget["specials"])])
    chosen = shop.rng.choice(len(pool), min(budget["returns"], len(pool)), replace=False)
    fresh = shop.rng.choice(len(known), min(len(known), 8 + 4 * len(chosen)), replace=False)
    returned, written_off = _returns(shop.rng, pool[chosen]), _write_offs(shop, budget["write_offs"])
    lines = _stack(sold, returned, written_off, _debts(shop, budget["debts"]))
    return lines, np.concatenate([np.delete(pool, chosen), known[fresh]])[-RETURNABLE:]


def _purchases(shop: Shop, crowd: np.ndarray, total: int) -> np.ndarray:
    """Fill an invoice for each of `crowd`, `total` lines together; a few lines are given away."""
    basket = shop.people["basket"][crowd] + BASKET[1] * shop.rng.standard_normal(len(crowd))
    sizes = 1 + apportion(np.exp(basket), total - len(crowd)) if len(crowd) else np.zeros(0, "i8")
    lines = _fill(shop, sizes, shop.people["level"][crowd], crowd, shop.people["country"][crowd])
    lines["mills"][shop.rng.random(len(lines)) < GIFT_SHARE] = 0
    return lines


def _guests(shop: Shop, total: int) -> np.ndarray:
    """Fill invoices without a customer: mostly one or two lines, now and then hundreds."""
    count = min(total, 1 + total // GUEST_LINES)
    sizes = 1 + apportion(shop.rng.lognormal(0, GUEST_SPREAD, count), total - count)
    country = np.array([list(COUNTRIES).index(name) for name in GUEST_COUNTRIES])
    country = country[pick(shop.rng, GUEST_COUNTRIES.values(), count)]
    return _fill(shop, sizes, np.full(count, GUEST_LEVEL), np.full(count, GUEST), country)


def _fill(shop: Shop, sizes: np.ndarray, level: np.ndarray, customer: np.ndarray, country: np.ndarray) -> np.ndarray:
    """Choose products, packs and prices for invoices of `sizes` lines."""
    lines = np.zeros(int(sizes.sum()), LINE)
    invoice = lines["invoice"] = np.repeat(np.arange(len(sizes)), sizes)
    lines["customer"], lines["country"] = customer[invoice], country[invoice]
    lines["item"] = np.searchsorted(shop.goods.popularity[:-1], shop.rng.random(len(lines)), side="right")
    price = shop.goods.mills[lines["item"]]
    lines["quantity"] = _packs(level[invoice] + MOOD * shop.rng.standard_normal(len(lines)), price)
    lines["mills"] = _charged(price, lines["quantity"], lines["customer"] == GUEST)
    return lines


def _packs(wish: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Round a wish (log quantity at two pounds) to PACKS; the cheap is bought in large packs."""
    return PACKS[np.searchsorted(PACK_BORDERS, np.exp(wish - THRIFT * np.log(price.clip(200) / 2000)))]


def _charged(price: np.ndarray, quantity: np.ndarray, guest: np.ndarray) -> np.ndarray:
    """Turn list prices into the prices paid, in whole pennies; a list price of broken pennies stays as it is."""
    factor = np.where(guest, GUEST_PRICE, np.where(quantity >= BULK, BULK_PRICE, 1.0))
    return np.where(price % 10, price, np.floor(price * factor / 10 + 0.5) * 10)


def _repeated(rng: np.random.Generator, lines: np.ndarray, count: int) -> np.ndarray:
    """Repeat `count` lines of chance, each right after itself."""
    again = rng.integers(0, max(len(lines), 1), count if len(lines) else 0)
    return np.repeat(lines, 1 + np.bincount(again, minlength=len(lines)))


def _returns(rng: np.random.Generator, bought: np.ndarray) -> np.ndarray:
    """Cancel purchases, half of them in part; one cancellation a customer."""
    lines = bought.copy()
    lines["invoice"] = np.unique(lines["customer"], return_inverse=True)[1]
    lines["kind"] = CANCELLATION
    lines["quantity"] = -np.ceil(bought["quantity"] * np.minimum(1, 2 * rng.random(len(lines))).clip(1e-6))
    return lines


def _write_offs(shop: Shop, count: int) -> np.ndarray:
    """Correct the stock: no customer, no price, two in three negative, mostly without a description."""
    one = np.ones(count, "i8")
    lines = _fill(shop, one, one * LEVEL[0], one * GUEST, 0 * one)
    lines["item"] += len(shop.goods.mills) * (1 + pick(shop.rng, NOTES.values(), count)) + len(SPECIALS)
    lines["quantity"] *= np.where(shop.rng.random(count) < NEGATIVE_SHARE, -1, 1)
    lines["mills"] = 0
    return lines


def _specials(shop: Shop, sold: np.ndarray, count: int) -> np.ndarray:
    """Add SPECIALS to invoices of `sold`; those of a negative quantity become cancellations of their own."""
    kind = pick(shop.rng, [special.weight for special in SPECIALS], count)
    low, high, quantity, known = (np.array(column)[kind] for column in list(zip(*SPECIALS, strict=True))[3:])
    lines = sold[_hosts(shop.rng, sold, known)]
    if not len(lines):
        return lines
    lines["item"], lines["quantity"], lines["kind"] = len(shop.goods.mills) + kind, quantity, quantity < 0
    lines["mills"] = np.floor(low * (high / low) ** shop.rng.random(count) / 10) * 10
    lines["invoice"] = np.where(quantity < 0, sold["invoice"].max() + 1 + np.arange(count), lines["invoice"])
    return lines


def _hosts(rng: np.random.Generator, sold: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Draw a line of a customer where `known`, else of a guest; none at all if either is missing."""
    buyers, guests = np.flatnonzero(sold["customer"] >= 0), np.flatnonzero(sold["customer"] == GUEST)
    if not (len(buyers) and len(guests)):
        return np.empty(0, "i8")
    return np.where(known, rng.choice(buyers, len(known)), rng.choice(guests, len(known)))


def _debts(shop: Shop, count: int) -> np.ndarray:
    """Adjust bad debts: no customer, a large negative price, an invoice that begins with A."""
    lines = np.zeros(count, LINE)
    lines["invoice"], lines["kind"], lines["customer"] = np.arange(count), ADJUSTMENT, GUEST
    lines["item"], lines["quantity"] = len(shop.goods.mills) + SPECIALS.index(DEBT), DEBT.quantity
    lines["mills"] = shop.rng.integers(DEBT.low // 10, DEBT.high // 10, count) * 10
    return lines


def _stack(*parts: np.ndarray) -> np.ndarray:
    """Put lines together, with invoices kept apart."""
    ends = np.cumsum([0, *(part["invoice"].max(initial=-1) + 1 for part in parts)])
    lines = np.concatenate(parts)
    lines["invoice"] += np.repeat(ends[:-1], [len(part) for part in parts])
    return lines


# ── sample ────────────────────────────────────────────────────────────
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
PIECE_LINES = 250_000  # what is held in memory at once, in lines
MOST_DAYS, MOST_LINES, MOST_SEED = 36_500, 1_000_000_000, 2**63
DEBT_EVERY = 40  # one bad debt is adjusted (an A-invoice) every so many days, from the second day on

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
    """Write a made-up shop's daily files, one a calendar day, ending on `end`.

    Memory is bounded by `PIECE_LINES` and by about sixty bytes a customer and twenty a visit. Measured: 10 M
    lines in 277 MB at about 1 M lines/s (207 MB with 365 days and 100,000 customers, 310 MB with 30 days and
    a million). Files of the same name are replaced, others are left alone. Invoices count up from 480000 in six digits and go on
    from 999999 to B00000 in base 36, so that numbers stay distinct and, as text, keep rising; none begins
    with C or A but cancellations and adjustments.
    """
    folder = Path(folder)
    _check(days, end, customers, lines, seed)
    _make_folder(folder)
    rng, dates = np.random.default_rng(seed), [end - timedelta(days=days - 1 - i) for i in range(days)]
    shop = Shop(rng, draw_customers(rng, min(customers, lines // 4)), make_catalogue())
    plan = plan_visits(shop, weigh_days(rng, dates), lines)
    rows = size = 0
    for day, pieces in groupby(_pieces(shop, plan), key=itemgetter(0)):
        texts = (_text(shop, piece, dates[day]) for _, piece in pieces)
        more, wide = _write(folder / f"{dates[day]}_transactions.csv", texts)
        rows, size = rows + more, size + wide
    return SampleReport(days, rows, len(shop.people), dates[0], end, size)


def _check(days: int, end: date, customers: int, lines: int, seed: int) -> None:
    """Refuse arguments no sample can be made from."""
    _check_whole("days", days, 1, MOST_DAYS)
    _check_whole("customers", customers, 1, MOST_LINES)
    _check_whole("seed", seed, 0, MOST_SEED)
    _check_whole("lines", lines, max(100, 10 * days), MOST_LINES)
    if type(end) is not date or end.toordinal() <= days:
        raise SettingsError(f"sample: end is {end!r}; give a date at least {days} days into the calendar")


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"sample: {name} is {value!r}; give a whole number from {low} to {high}")


def _make_folder(folder: Path) -> None:
    """Make the folder where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"sample: no folder at {folder} ({error.strerror}); name another") from error


def _portions(plan: Plan) -> Iterator[tuple[int, np.ndarray, dict[str, int]]]:
    """Cut the plan into (day, visitors, budget), a day in as many portions as PIECE_LINES asks for."""
    for day, (start, stop) in enumerate(zip(plan.bounds[:-1], plan.bounds[1:], strict=True)):
        budget = {sort: int(lines[day]) for sort, lines in plan.budget.items()}
        count = 1 + sum(budget.values()) // PIECE_LINES
        parts = {sort: apportion(np.ones(count), lines) for sort, lines in budget.items()}
        for i, crowd in enumerate(np.array_split(plan.visitors[start:stop], count)):
            debts = int(day % DEBT_EVERY == 1 and i == 0)
            yield day, crowd, {sort: int(lines[i]) for sort, lines in parts.items()} | {"debts": debts}


def _pieces(shop: Shop, plan: Plan) -> Iterator[tuple[int, np.ndarray]]:
    """Give (day, LINEs) in the order of days and invoices, numbered from FIRST_INVOICE on."""
    pool, first = np.empty(0, LINE), FIRST_INVOICE
    for day, crowd, budget in _portions(plan):
        lines, pool = make_lines(shop, crowd, budget, pool)
        lines["invoice"], first = _numbered(shop.rng, lines["invoice"], first)
        yield day, lines[np.argsort(lines["invoice"], kind="stable")]


def _numbered(rng: np.random.Generator, invoices: np.ndarray, first: int) -> tuple[np.ndarray, int]:
    """Renumber invoices from `first` on, in an order of chance; return also the next free number."""
    labels, position = np.unique(invoices, return_inverse=True)
    return first + rng.permutation(len(labels))[position], first + len(labels)


def _text(shop: Shop, lines: np.ndarray, day: date) -> tuple[int, pa.Buffer]:
    """Turn lines into CSV without a header, and count them."""
    starts = np.diff(lines["invoice"], prepend=-1) > 0
    number, tail = _invoice_fields(shop, lines[starts], day)
    row = pa.array(np.cumsum(starts) - 1)  # the invoice of each line
    item = shop.goods.text.take(pa.array(lines["item"]))
    quantity = pa.array(np.ascontiguousarray(lines["quantity"])).cast(pa.string())
    fields = (number.take(row), item, quantity, _price_text(lines["mills"]), tail.take(row))
    text = pc.binary_join_element_wise(*fields, ",")
    end = pc.sum(pc.binary_length(text)).as_py() or 0
    return len(text), (text.buffers()[2] or pa.py_buffer(b""))[:end]


def _invoice_fields(shop: Shop, heads: np.ndarray, day: date) -> tuple[pa.Array, pa.Array]:
    """Write what all lines of an invoice share, from the first of each: its number, and buyer, country, date."""
    join = pc.binary_join_element_wise
    number = join(MARKS.take(pa.array(heads["kind"])), _invoice_text(heads["invoice"]), "")
    buyer = join(pa.array(shop.people["id"][heads["customer"]]).cast(pa.string()), ".0", "")
    buyer = pc.if_else(pa.array(heads["customer"] < 0), "", buyer)
    country = pa.array(list(COUNTRIES)).take(pa.array(heads["country"]))
    return number, join(buyer, country, f"{day}\n", ",")


def _invoice_text(numbers: np.ndarray) -> pa.Array:
    """Write six characters: decimal below a million, then base 36 from B00000 on with a lead of LEADS."""
    plain = numbers < PLAIN_INVOICES
    rest, text = np.where(plain, numbers, numbers - PLAIN_INVOICES), np.empty((len(numbers), 6), "u1")
    for place in range(5, 0, -1):
        rest, digit = np.divmod(rest, np.where(plain, 10, 36))
        text[:, place] = DIGITS[digit]
    text[:, 0] = np.where(plain, DIGITS[rest], LEADS[rest])
    return pa.array(text.view("S6").ravel()).cast(pa.string())


def _price_text(mills: np.ndarray) -> pa.Array:
    """Write thousandths of a pound as pounds, in as few decimals as they need but at least one."""
    mills, price = np.unique(mills, return_inverse=True)
    return pa.array([str(m / 1000) for m in mills.tolist()], pa.string()).take(pa.array(price))


def _write(path: Path, texts: Iterable[tuple[int, pa.Buffer]]) -> tuple[int, int]:
    """Write a day under a temporary name, then give it its own; return its lines and bytes."""
    part, rows = path.with_name(path.name + ".part"), 0
    with part.open("wb") as file:
        size = file.write(HEADER.encode())
        for count, text in texts:
            rows, size = rows + count, size + file.write(text)
    part.replace(path)
    return rows, size
