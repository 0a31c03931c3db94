"""What the shop sells, at what price, to which countries: the tables, and the products made of them.

Who the customers are and who comes on which day: their profiles, the days' weights, the plan of visits.

Every count of lines is decided here, before any line is drawn, so a sample has the size it was asked for and
can be made piece by piece.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa


# ── catalogue ────────────────────────────────────────────────────────────
class Special(NamedTuple):
    """A line that is no product: money in thousandths of a pound, `weight` its share among the specials."""

    code: str
    description: str
    weight: int
    low: int  # lowest price
    high: int  # highest price
    quantity: int
    known: bool  # of a known customer?


COUNTRIES = {  # country: (weight among customers, weight among wholesalers)
    "United Kingdom": (92.0, 70.0),
    "Germany": (1.9, 5.0),
    "France": (1.4, 4.0),
    "EIRE": (0.8, 5.0),
    "Spain": (0.6, 2.0),
    "Netherlands": (0.6, 5.0),
    "Belgium": (0.5, 1.5),
    "Sweden": (0.4, 2.5),
    "Austria": (0.4, 1.0),
    "Portugal": (0.4, 1.0),
    "Italy": (0.3, 0.5),
    "Unspecified": (0.4, 0.0),
    "Channel Islands": (0.2, 1.0),
    "Australia": (0.1, 1.5),
}
GUEST_COUNTRIES = {"United Kingdom": 97.5, "EIRE": 1.5, "Unspecified": 1.0}  # country: weight

COLOURS = {"PINK": "P", "SKY BLUE": "BL", "WHITE": "W", "GREEN": "G", "IVORY": "N"}  # and their suffix
MOTIFS = (
    "WOODLAND FOX,HARVEST MOUSE,PAPER LANTERN,SAILOR KNOT,MEADOW DAISY,TIN ROBOT,LEMON GROVE,"
    "NIGHT OWL,BUTTERCUP,PLAIN OAK,RAINY DAY,CIRCUS TENT,GINGHAM,HERB GARDEN,SNOW CABIN,"
    "RED SQUIRREL,SEA GLASS,FOLK HEART,OLD ATLAS,PEAR TREE,SILVER STAR,COPPER LEAF,TEA DANCE,"
    "HOLLY WREATH,MILK BAR,BLUE TIT,ROSE ARBOUR,STRIPED CAT"
)
THINGS = (
    "MUG,TEA TOWEL,CANDLE JAR,LUNCH TIN,DOOR STOP,WALL HOOK,BUNTING,GIFT BAG,WRAPPING PAPER,"
    "PHOTO FRAME,CUSHION COVER,EGG CUP,T-LIGHT DISH,NOTEBOOK,KEY RING,APRON,CAKE STAND,"
    "WATER BOTTLE,TRINKET BOX,HANGING HEART,STORAGE TIN,ALARM CLOCK,COASTER,NAPKINS,PENCIL CASE,"
    "MOBILE,DOORMAT,SHOPPER"
)
NAMES = {  # pattern: how many in a hundred names; stray blanks, commas and quotes are meant
    "{motif} {thing}": 62,
    "{motif} {thing} ": 15,
    " {motif} {thing}": 1,
    "SET OF {n} {motif} {thing}": 9,
    "{thing} {motif} SMALL": 9,
    "{thing} , {motif} DESIGN": 3,
    '{motif} {thing} {n}" ': 1,
}
SET_SIZES = (2, 3, 5, 6)  # the {n} of a name

PLAIN, FAMILIES = 600, 30  # products with five digits; families in the five colours
PRICED = PLAIN + FAMILIES * len(COLOURS)  # products whose price and popularity are drawn
SPREAD = 1.1  # of the popularity between products, in logs
SLIP_SHARE = 0.01  # of a family's sales that are keyed in with a lower-case code
PRICES = {  # list price in thousandths of a pound: weight
    290: 2,
    420: 4,
    550: 3,
    650: 4,
    850: 9,
    1250: 15,
    1450: 4,
    1650: 11,
    1950: 8,
    2100: 8,
    2550: 8,
    2950: 11,
    3750: 8,
    4250: 4,
    4950: 7,
    5950: 5,
    6750: 4,
    8500: 3,
    9950: 3,
    12750: 1.5,
    16950: 1,
}
RARE_PRODUCTS = (  # stock code, description, price, popularity (1 is a usual product)
    ("PADS", "PADS FOR ALL CUSHIONS", 1, 0.15),
    ("48191", "PAPER STRAWS 8 FOR 17", 2125, 0.15),
    ("48192", "WOODEN BEADS 8 FOR 5", 625, 0.15),
    ("48193", "£2 TREAT BAG", 1700, 0.6),
)

DEBT = Special("B", "Adjust bad debt", 0, -54_000_000, -9_000_000, 1, False)  # no weight: has days of its own
SPECIALS = (
    Special("POST", "POSTAGE", 27, 8_000, 40_000, 1, True),
    Special("M", "Manual", 18, 420, 300_000, 1, True),
    Special("M", "Manual", 7, 420, 90_000, -1, True),
    Special("DOT", "DOTCOM POSTAGE", 22, 14_940, 450_000, 1, False),
    Special("ADJUST", "Adjustment by head office", 5, 11_310, 205_000, 1, True),
    Special("C2", "CARRIAGE", 4, 50_000, 50_000, 1, True),
    Special("D", "Discount", 4, 550, 64_000, -1, True),
    Special("BANK CHARGES", " Bank Charges", 3, 15_000, 605_000, -1, False),
    Special("gift_0001_20", "Gift Voucher £20.00", 3, 17_020, 17_020, 1, False),
    Special("gift_0001_50", "Gift Voucher £50.00", 2, 42_550, 42_550, 1, False),
    Special("TEST001", "This is a test product.", 3, 4_500, 4_500, 5, True),
    DEBT,
)
NOTES = {"": 92, "damages": 3, "missing": 3, "found": 1, "?": 1}  # what stock-takers write: weight


class Catalogue(NamedTuple):
    """The shop's products, of which there are `len(mills)`, and every text that can stand on a line.

    `text` holds "StockCode,Description" as CSV: of the products, then of SPECIALS, then of all products again
    under each of NOTES. `mills` are list prices in thousandths of a pound; `popularity` is the cumulated
    share of each product in the sales and ends at 1.
    """

    text: pa.Array
    mills: np.ndarray
    popularity: np.ndarray


def make_catalogue() -> Catalogue:
    """Make the products: plain ones, colour families, the families' lower-case slips, rare ones."""
    rng = np.random.default_rng(1)
    products = _products(_names(rng))
    specials = [(special.code, special.description) for special in SPECIALS]
    noted = [(code, note) for note in NOTES for code, _ in products]
    text = pa.array([f"{code},{_quoted(name)}" for code, name in products + specials + noted])
    return Catalogue(text, _list_prices(rng), _popularity(rng))


def pick(rng: np.random.Generator, weights: Collection[float], size: int) -> np.ndarray:
    """Draw positions with probability in proportion to their weights."""
    up_to = np.cumsum(list(weights)) / sum(weights)
    return np.searchsorted(up_to[:-1], rng.random(size, dtype="f4"), side="right")


def _names(rng: np.random.Generator) -> list[str]:
    """Draw PLAIN + FAMILIES names; no two have both motif and thing in common."""
    pairs = rng.permutation(list(product(MOTIFS.split(","), THINGS.split(","))))[: PLAIN + FAMILIES]
    patterns = [pattern for pattern, count in NAMES.items() for _ in range(count)]
    return [rng.choice(patterns).format(motif=motif, thing=thing, n=rng.choice(SET_SIZES)) for motif, thing in pairs]


def _products(names: list[str]) -> list[tuple[str, str]]:
    """Give each name its stock code: five digits, for families a suffix per colour, for slips in lower case."""
    plain = [(f"{20600 + 4 * i}", name) for i, name in enumerate(names[:PLAIN])]
    bases = [(f"{84010 + 7 * i}", name.strip()) for i, name in enumerate(names[PLAIN:])]
    family = [(base + mark, f"{colour} {name}") for base, name in bases for colour, mark in COLOURS.items()]
    slips = [(code.lower(), name) for code, name in family]
    rare = [(code, name) for code, name, _, _ in RARE_PRODUCTS]
    return plain + family + slips + rare


def _list_prices(rng: np.random.Generator) -> np.ndarray:
    """Draw a list price for each product, in thousandths of a pound; a slip costs what its family costs."""
    mills = np.array(list(PRICES))[pick(rng, PRICES.values(), PRICED)]
    return np.concatenate([mills, mills[PLAIN:], [price for _, _, price, _ in RARE_PRODUCTS]])


def _popularity(rng: np.random.Generator) -> np.ndarray:
    """Draw the cumulated share of each product in the sales: few sell well, slips are rare."""
    wanted = rng.lognormal(0, SPREAD, PRICED)
    slips, rare = wanted[PLAIN:] * SLIP_SHARE, [share for _, _, _, share in RARE_PRODUCTS]
    up_to = np.cumsum(np.concatenate([wanted, slips, rare]))
    return up_to / up_to[-1]


def _quoted(name: str) -> str:
    """Quote a CSV field where it needs it."""
    return '"' + name.replace('"', '""') + '"' if set(name) & {",", '"'} else name


# ── customers ────────────────────────────────────────────────────────────
# Shares of all lines; what is left are customers' purchases
SHARES = {"guests": 0.185, "returns": 0.02, "write_offs": 0.008, "specials": 0.0065, "repeats": 0.0035}
VISIT_LINES = 12  # mean lines of an invoice

# Customers, all in logs: quantity (mean, spread), basket (spread between customers, visits), visit rate
LEVEL, BASKET, RATE_SPREAD = (2.08, 0.65), (0.45, 0.75), 1.2
WHOLESALE_SHARE, WHOLESALE_LEVEL = 0.02, 2.3  # bulk buyers, and how much more they buy (in logs)
FOUNDERS, STAYERS = 0.6, 0.6  # share known from the first day, share never stopping

WEEKDAYS = (1.05, 1.15, 1.1, 1.25, 1.0, 0.45, 0.8)  # Monday first
MONTHS = (0.75, 0.7, 0.85, 0.8, 0.85, 0.85, 0.8, 0.85, 1.1, 1.4, 1.75, 1.1)  # at mid-month, January first
DAY_SPREAD = 0.12  # noise between days, in logs

CUSTOMER = np.dtype(
    [
        ("id", "i4"),
        ("country", "u1"),  # position in COUNTRIES
        ("level", "f4"),  # mean log quantity of a line
        ("basket", "f4"),  # log of the lines of an invoice, relative to others
        ("start", "f4"),  # first and last moment, in shares of the whole period's business
        ("stop", "f4"),
        ("rate", "f4"),  # visits, relative to others
    ]
)


class Shop(NamedTuple):
    """What stays the same from day to day, and the source of chance; `people` is one CUSTOMER each."""

    rng: np.random.Generator
    people: np.ndarray
    goods: Catalogue


class Plan(NamedTuple):
    """Who comes when, and how many lines each day gets.

    `visitors` is the customer of every visit in day order, day i from `bounds[i]` to `bounds[i + 1]`; `budget`
    holds the lines a day of customers ("visits") and of each of SHARES.
    """

    visitors: np.ndarray
    bounds: np.ndarray
    budget: dict[str, np.ndarray]


def apportion(weights: np.ndarray, total: int) -> np.ndarray:
    """Split a total into whole numbers in proportion to weights."""
    up_to = np.cumsum(weights, dtype="f8")
    return np.diff(np.floor(up_to / (up_to[-1] if len(up_to) else 1) * total).astype("i8"), prepend=0)


def weigh_days(rng: np.random.Generator, dates: list[date]) -> np.ndarray:
    """Weigh each day's business: weekday, season (rising to Christmas), and noise."""
    season = np.interp([d.month - 1 + d.day / 31 for d in dates], np.arange(12) + 0.5, MONTHS, period=12)
    return season * np.array(WEEKDAYS)[[d.weekday() for d in dates]] * rng.lognormal(0, DAY_SPREAD, len(dates))


def draw_customers(rng: np.random.Generator, customers: int) -> np.ndarray:
    """Draw the customers: where they live, how much and how often they buy, when they come and go."""
    people = np.zeros(customers, CUSTOMER)
    bulk = rng.random(customers, dtype="f4") < WHOLESALE_SHARE
    people["id"] = 12_347 + 3 * np.arange(customers) + rng.integers(0, 3, customers)
    home, abroad = zip(*COUNTRIES.values(), strict=True)
    people["country"] = np.where(bulk, pick(rng, abroad, customers), pick(rng, home, customers))
    people["level"] = LEVEL[0] + LEVEL[1] * rng.standard_normal(customers, dtype="f4") + WHOLESALE_LEVEL * bulk
    people["basket"] = BASKET[0] * rng.standard_normal(customers, dtype="f4")
    people["start"], people["stop"] = _lifetimes(rng, customers)
    rate = np.exp(RATE_SPREAD * rng.standard_normal(customers, dtype="f4"))
    people["rate"] = rate * (people["stop"] - people["start"])
    return people


def _lifetimes(rng: np.random.Generator, customers: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw first and last moments: FOUNDERS are there from the start, STAYERS to the end."""
    start, length, founder, stayer = rng.random((4, customers), dtype="f4")
    start = np.where(founder < FOUNDERS, 0, start)
    return start, np.where(stayer < STAYERS, 1, start + length * (1 - start))


def plan_visits(shop: Shop, busy: np.ndarray, lines: int) -> Plan:
    """Plan who comes when, at least once each, and how many lines of each sort every day gets."""
    known = lines - sum(int(lines * part) for part in SHARES.values())
    customers = len(shop.people)
    visits = max(known // VISIT_LINES, min(known // 3, int(2.3 * customers)), customers)
    visitors, day = _visits(shop, busy, visits)
    a_day = np.bincount(day, minlength=len(busy))
    budget = {sort: apportion(busy, int(lines * part)) for sort, part in SHARES.items()}
    budget["visits"] = a_day + apportion(a_day + 1e-9, known - visits)
    return Plan(visitors[np.argsort(day, kind="stable")], np.concatenate([[0], np.cumsum(a_day)]), budget)


def _visits(shop: Shop, busy: np.ndarray, visits: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the customer and the day of each visit; days go by in the pace of business."""
    people, customers = shop.people, len(shop.people)
    visitors = np.repeat(np.arange(customers, dtype="i4"), 1 + apportion(people["rate"], visits - customers))
    length = (people["stop"] - people["start"])[visitors]
    moment = people["start"][visitors] + length * shop.rng.random(visits, dtype="f4")
    calendar = (np.cumsum(busy) / np.sum(busy)).astype("f4")
    return visitors, np.searchsorted(calendar[:-1], moment, side="right").astype("u2")
