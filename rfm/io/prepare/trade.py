"""What is bought on a day: the lines of customers and guests, and what a real till leaves behind."""

from __future__ import annotations

import numpy as np

from rfm.io.prepare.catalogue import COUNTRIES, DEBT, GUEST_COUNTRIES, NOTES, SPECIALS, pick
from rfm.io.prepare.customers import BASKET, LEVEL, Shop, apportion

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
    """Make the lines of a day, or of a piece of it.

    Parameters
    ----------
    shop : Shop
        The people, the goods and the source of chance.
    crowd : numpy.ndarray
        Position among the people of each visitor; who comes twice is there twice.
    budget : dict of str to int
        Lines of customers ("visits"), of each of `customers.SHARES` and of bad "debts".
    pool : numpy.ndarray
        Earlier purchases, one LINE each, of which some are now returned.

    Returns
    -------
    tuple of numpy.ndarray
        LINEs with invoices numbered from 0, and the next pool: without the returned, with some of the new.
    """
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
