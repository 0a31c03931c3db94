"""Who the customers are and who comes on which day: their profiles, the days' weights, the plan of visits.

Every count of lines is decided here, before any line is drawn, so a sample has the size it was asked for and
can be made piece by piece.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np

from rfm.io.prepare.catalogue import COUNTRIES, Catalogue, pick

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
    """Split a total into whole numbers in proportion to weights.

    Parameters
    ----------
    weights : numpy.ndarray
        One a part, none negative.
    total : int
        What to split.

    Returns
    -------
    numpy.ndarray
        One whole number a part; they add up to `total` exactly, if there is a part at all.
    """
    up_to = np.cumsum(weights, dtype="f8")
    return np.diff(np.floor(up_to / (up_to[-1] if len(up_to) else 1) * total).astype("i8"), prepend=0)


def weigh_days(rng: np.random.Generator, dates: list[date]) -> np.ndarray:
    """Weigh each day's business: weekday, season (rising to Christmas), and noise.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the noise.
    dates : list of date
        The days.

    Returns
    -------
    numpy.ndarray
        One positive weight a day, about 1.
    """
    season = np.interp([d.month - 1 + d.day / 31 for d in dates], np.arange(12) + 0.5, MONTHS, period=12)
    return season * np.array(WEEKDAYS)[[d.weekday() for d in dates]] * rng.lognormal(0, DAY_SPREAD, len(dates))


def draw_customers(rng: np.random.Generator, customers: int) -> np.ndarray:
    """Draw the customers: where they live, how much and how often they buy, when they come and go.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of chance.
    customers : int
        How many.

    Returns
    -------
    numpy.ndarray
        One CUSTOMER each, ids rising.
    """
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
    """Plan who comes when, at least once each, and how many lines of each sort every day gets.

    Parameters
    ----------
    shop : Shop
        Its people come; at most a quarter of `lines`.
    busy : numpy.ndarray
        Weight of each day, see `weigh_days`.
    lines : int
        Lines of the whole period.

    Returns
    -------
    Plan
        As many days as `busy`; the budget's lines add up to `lines`.
    """
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
