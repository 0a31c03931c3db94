"""What to expect of each customer: the probability of an order within 30 and 60 days, the spend within 90, and why.

Who buys is learned by a logistic regression on the shop's own past days, each with its own level. How many buy is the
total of BG/NBD, moved by how far that total was from the orders of the last weeks: a regression knows who is more likely
than whom, but not the season.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.analysis.formatting import ago, amount, count, number
from rfm.contracts import TABLES
from rfm.words import _, ngettext

HORIZON, LATER, SPEND_DAYS = 30, 60, 90
PENALTY = 0.03  # inverse strength of the penalty on the regression's weights
DAYS_BEFORE = 45  # days of sales before the first day that is learned from
EVERY, PAST_DAYS = 7, 8  # the model learns from 8 past days, a week apart; more did not improve it
RECENT = 21  # days that show how the season differs from the expected total
STRONGEST = 1.0  # a difference counts up to this, in logits: a closed shop or missing files are no season
HALF_LIFE = 35  # days in which half of such a difference is gone
FEWEST = 100  # customers on the newest day that is learned from
MOST = 20_000  # customers to learn from, of a larger shop every second, third ...
ORDERS_OF_MEDIAN = 2  # weight of the median order value in a customer's own, in orders
DIGITS = 6  # the same bytes whatever the number of threads
DECAYS = (30, 90, 360)  # days after which a purchase counts e times less
FEATURES = (*(f"purchases, {days} days" for days in DECAYS), "just bought", "overdue", "age", "value")


# ── BG/NBD: how often customers buy, and after which purchase they leave (Fader, Hardie and Lee 2005) ──
class BgNbd(NamedTuple):
    """Rates of purchase are gamma distributed (r, alpha); the chance to leave after a purchase is beta distributed (a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def alive(self, repeats: np.ndarray, last: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Return the probability that customers have not left."""
        silent = ((self.alpha + age) / (self.alpha + last)) ** (self.r + repeats)
        return np.where(repeats > 0, 1 / (1 + self.a / (self.b + np.maximum(repeats, 1) - 1) * silent), 1.0)

    def order(self, repeats: np.ndarray, last: np.ndarray, age: np.ndarray, days: float) -> np.ndarray:
        """Return the probability of at least one purchase in the next days."""
        none = ((self.alpha + age) / (self.alpha + age + days)) ** (self.r + repeats)
        return self.alive(repeats, last, age) * (1 - none)

    def orders_of_buyers(self, repeats: np.ndarray, age: np.ndarray, days: float) -> np.ndarray:
        """Return the mean number of days with a purchase of those who buy at all in the next days."""
        from scipy.special import hyp2f1

        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6  # the limit at 1
        none, part = (self.alpha + age) / (self.alpha + age + days), days / (self.alpha + age + days)
        top = a + self.b + repeats - 1
        # equation 10 of the paper for customers who have not left, after Euler's transformation, which does not overflow
        expected = top / (a - 1) * (1 - none ** (a - 1) * hyp2f1(a + self.b - 1 - self.r, a - 1, top, part))
        return expected / (1 - none ** (self.r + repeats))


def fit_bgnbd(repeats: np.ndarray, last: np.ndarray, age: np.ndarray) -> BgNbd:
    """Return the parameters of maximum likelihood, found on the distinct histories."""
    from scipy.optimize import minimize

    rows, times = np.unique(np.column_stack([repeats, last, age]).astype(float), axis=0, return_counts=True)
    unit = max(age.max(), 1) / 10  # the optimiser wants parameters of like size
    known = rows[:, 0], rows[:, 1] / unit, rows[:, 2] / unit, times / times.sum()
    found = minimize(_loss, np.zeros(4), args=known, method="L-BFGS-B", bounds=[(-7, 7)] * 4)
    r, alpha, a, b = np.exp(found.x)
    return BgNbd(float(r), float(alpha * unit), float(a), float(b))


def _loss(logs: np.ndarray, repeats: np.ndarray, last: np.ndarray, age: np.ndarray, weights: np.ndarray) -> float:
    """Return the negative mean log-likelihood, equation 6 of the paper."""
    from scipy.special import gammaln

    r, alpha, a, b = np.exp(logs)
    rate = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha)
    stay = gammaln(a + b) - gammaln(b) + gammaln(b + repeats) - gammaln(a + b + repeats)
    active = -(r + repeats) * np.log(alpha + age)
    left = np.log(a / (b + np.maximum(repeats, 1) - 1)) - (r + repeats) * np.log(alpha + last)
    either = np.where(repeats > 0, np.logaddexp(active, left), active)
    return -float(weights @ (rate + stay + either))


# ── what is known on a day ────────────────────────────────────────────
class History(NamedTuple):
    """One row per customer and day with a purchase, sorted by both; days are ordinal numbers."""

    customers: pd.Index
    customer: np.ndarray
    day: np.ndarray
    orders: np.ndarray
    spent: np.ndarray


class State(NamedTuple):
    """What is known of the customers as of a day; days counts those with a purchase."""

    day: int
    customer: np.ndarray
    days: np.ndarray
    age: np.ndarray
    since: np.ndarray
    decayed: np.ndarray  # purchases, one column per decay
    orders: np.ndarray
    spent: np.ndarray

    @property
    def lives(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Repeats, days from the first to the last purchase, and age, as BG/NBD counts."""
        return self.days - 1, self.age - self.since, self.age


class Who(NamedTuple):
    """A logistic regression of who orders, on standardised features and their products."""

    mean: np.ndarray
    spread: np.ndarray
    linear: np.ndarray
    products: np.ndarray  # upper triangle
    levels: np.ndarray  # log odds of the past days, newest first

    def score(self, values: np.ndarray) -> np.ndarray:
        """Return log odds without a level."""
        scaled = _scaled(values, self.mean, self.spread)
        return scaled @ self.linear + ((scaled @ self.products) * scaled).sum(axis=1)


class Learned(NamedTuple):
    """What a shop's past teaches as of a day."""

    day: int
    expected: BgNbd
    season: float  # of the last weeks, in logits over the expected total
    who: Who
    value: float  # what orders cost, relative to their expected value


def history_of(purchases: pd.DataFrame, as_of: dt.date) -> History:
    """Return the purchases up to a day, one row per customer and day."""
    dates = pd.to_datetime(purchases["InvoiceDate"]).to_numpy("datetime64[D]")
    days = dates.astype(int) + dt.date(1970, 1, 1).toordinal()
    rows, span = purchases[days <= as_of.toordinal()], as_of.toordinal() + 1
    codes, customers = pd.factorize(rows["CustomerID"], sort=True)
    keys, place = np.unique(codes * span + days[days < span], return_inverse=True)
    spent = np.bincount(place, rows["TotalPrice"].to_numpy(float), len(keys))
    return History(pd.Index(customers), keys // span, keys % span, np.bincount(place, minlength=len(keys)), spent)


def state_of(history: History, day: int) -> State:
    """Return what was known of the customers as of a day."""
    rows = history.day <= day
    customer, days, size = history.customer[rows], history.day[rows], len(history.customers)

    def total(amounts: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(customer, amounts, size)[known]

    known = np.bincount(customer, minlength=size) > 0
    first, last = np.zeros(size, int), np.zeros(size, int)
    first[customer[::-1]] = days[::-1]  # of several rows of a customer the last one written stays
    last[customer] = days
    decayed = np.column_stack([total(np.exp((days - day) / decay)) for decay in DECAYS])
    sums = (total(amounts[rows]) for amounts in (history.orders, history.spent))
    return State(day, np.flatnonzero(known), total(), day - first[known], day - last[known], decayed, *sums)


def bought_after(history: History, state: State, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Return orders and spend of the customers of a state in the days after it."""
    rows = (history.day > state.day) & (history.day <= state.day + days)
    customer, size = history.customer[rows], len(history.customers)
    orders, spent = (np.bincount(customer, amounts[rows], size) for amounts in (history.orders, history.spent))
    return orders[state.customer], spent[state.customer]


def features(state: State, since: np.ndarray | float | None = None) -> np.ndarray:
    """Return the columns of FEATURES, also as they would be if the last purchase were another number of days ago."""
    since = state.since if since is None else np.full(len(state.since), since)
    gap = (state.age - state.since) / np.maximum(state.days - 1, 1)
    decayed = state.decayed * np.exp((state.since - since)[:, None] / np.array(DECAYS))
    overdue = np.where(state.days > 1, np.log((since + 3) / (gap + 3)), 0)
    value = np.log1p(np.maximum(state.spent, 0) / state.days)
    return np.column_stack([np.log1p(decayed), np.exp(-since / 30), overdue, np.log1p(state.age), value])


def past_days(history: History, as_of: int) -> list[int]:
    """Return the days to learn from, newest first; none while a shop is too young."""
    new = np.r_[True, history.customer[1:] != history.customer[:-1]][: len(history.day)]
    oldest = _oldest(np.sort(history.day[new]))
    return list(range(as_of - HORIZON, oldest - 1, -EVERY))[:PAST_DAYS] if oldest else []


def _oldest(firsts: np.ndarray) -> int:
    """Return the first day to learn from, given the days of first purchases in order; 0 while there are too few customers."""
    return int(max(firsts[0] + DAYS_BEFORE, firsts[FEWEST - 1])) if len(firsts) >= FEWEST else 0


# ── the forecast ────────────────────────────────────────────────────────────
def first_day(purchases: pd.DataFrame, as_of: dt.date) -> dt.date | None:
    """Return the first day with a forecast, as far as it is known on a day; None while there are too few customers."""
    days = pd.to_datetime(purchases["InvoiceDate"])
    firsts = days[days <= pd.Timestamp(as_of)].groupby(purchases["CustomerID"]).min().sort_values()
    oldest = _oldest(np.array([day.toordinal() for day in firsts]))
    return dt.date.fromordinal(oldest + HORIZON) if oldest else None


def summary(forecast: pd.DataFrame, purchases: pd.DataFrame, run_date: dt.date) -> str:
    """Describe ``customer_forecast`` in a sentence, or from when there will be one."""
    if len(forecast):
        buyers, money = forecast["Order30"].sum(), forecast["Spend90"].sum()
        return f"about {buyers:,.0f} of {len(forecast):,} customers will order within 30 days, and spend {money:,.0f} within 90"
    first = first_day(purchases, run_date)
    if first is None:
        return f"no forecast yet: fewer than {FEWEST} customers have bought"
    return f"no forecast yet: the first is on {first}" if first > run_date else "no forecast: nobody has come back yet"


def learn(history: History, as_of: int) -> Learned | None:
    """Learn from the past days of a shop; None if it is too young."""
    from threadpoolctl import threadpool_limits

    days = past_days(history, as_of)
    with threadpool_limits(1, "blas"):  # small matrices: threads only wait for each other
        return _learn(_sample(history), days, as_of)


def _learn(history: History, days: list[int], as_of: int) -> Learned | None:
    """Learn from some past days."""
    states = [state_of(history, day) for day in days]
    bought = [bought_after(history, state, HORIZON)[0] > 0 for state in states]
    if not days or not 0 < np.mean(np.concatenate(bought)) < 1:
        return None
    recent = state_of(history, as_of - RECENT)
    orders = bought_after(history, recent, RECENT)[0] > 0
    season = _level(_logit(fit_bgnbd(*recent.lives).order(*recent.lives, RECENT)), orders.mean())
    season = float(np.clip(season, -STRONGEST, STRONGEST))
    now = state_of(history, as_of)
    return Learned(as_of, fit_bgnbd(*now.lives), season, _who(states, bought), _value_factor(history, as_of))


def _sample(history: History) -> History:
    """Return the rows of every n-th customer of a large shop."""
    step = max(-(-len(history.customers) // MOST), 1)
    rows = history.customer % step == 0
    return History(history.customers[::step], history.customer[rows] // step, *(part[rows] for part in history[2:]))


def _who(states: list[State], bought: list[np.ndarray]) -> Who:
    """Learn who orders; each past day has a level of its own, so that the season is not taken for the customers."""
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([features(state) for state in states])
    mean, spread, size = values.mean(axis=0), values.std(axis=0) + 1e-9, len(FEATURES)
    scaled, (row, column) = _scaled(values, mean, spread), np.triu_indices(size)
    days = np.repeat(np.arange(len(states)), [len(state.days) for state in states])
    level = 100.0 * (days[:, None] == np.arange(len(states)))  # so large that the penalty hardly touches it
    model = LogisticRegression(C=PENALTY, solver="newton-cholesky", fit_intercept=False)
    found = model.fit(np.hstack([scaled, scaled[:, row] * scaled[:, column], level]), np.concatenate(bought)).coef_[0]
    products = np.zeros((size, size))
    products[row, column] = found[size : -len(states)]
    return Who(mean, spread, found[:size], products, 100 * found[-len(states) :])


def _scaled(values: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return standardised features; extreme ones are cut off, because products make them more extreme."""
    return np.clip((values - mean) / spread, -3, 3)


def _logit(chance: np.ndarray) -> np.ndarray:
    """Return log odds."""
    inside = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.log(inside / (1 - inside))


def chance_at(logits: np.ndarray) -> np.ndarray:
    """Return probabilities of log odds."""
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def _level(logits: np.ndarray, mean: float) -> float:
    """Return what must be added to log odds for a mean probability."""
    from scipy.optimize import brentq

    wanted = float(np.clip(mean, 1e-4, 1 - 1e-4))
    return float(brentq(lambda level: chance_at(logits + level).mean() - wanted, -60, 60))


def lasting(days: int) -> float:
    """Return the part of a difference of the last weeks that is left on average over the next days."""
    decay = np.log(2) / HALF_LIFE
    return float(np.exp(-decay * RECENT / 2) * (1 - np.exp(-decay * days)) / (decay * days))


def chance_of_order(learned: Learned, state: State, days: int) -> np.ndarray:
    """Return the probability that customers order in the next days: who by the regression, how many by BG/NBD and season."""
    expected = _logit(learned.expected.order(*state.lives, days)) + lasting(days) * learned.season
    who = learned.who.score(features(state))
    return chance_at(who + _level(who, chance_at(expected).mean()))


def order_value(state: State) -> np.ndarray:
    """Return the expected amount of an order of each customer, shrunk to the median customer's."""
    spent = np.maximum(state.spent, 0)  # discounts may be more than what was bought
    usual = np.median(spent / state.orders)
    return (ORDERS_OF_MEDIAN * usual + spent) / (ORDERS_OF_MEDIAN + state.orders)


def _value_factor(history: History, as_of: int) -> float:
    """Return half of how far orders of the newest closed window cost more or less than expected, as a factor."""
    oldest = int(history.day.min()) + DAYS_BEFORE
    before = state_of(history, max(as_of - SPEND_DAYS, min(oldest, as_of - HORIZON)))
    orders, spent = bought_after(history, before, as_of - before.day)
    expected = float(orders @ order_value(before))
    return float(np.sqrt(spent.sum() / expected)) if expected > 0 < spent.sum() else 1.0


def expected_orders(learned: Learned, state: State, days: int) -> np.ndarray:
    """Return the expected number of orders in the next days; a day may have several."""
    repeats, _, age = state.lives
    per_day = state.orders / state.days
    return chance_of_order(learned, state, days) * learned.expected.orders_of_buyers(repeats, age, days) * per_day


def expected_spend(learned: Learned, state: State, days: int) -> np.ndarray:
    """Return the expected spend in the next days."""
    return expected_orders(learned, state, days) * order_value(state) * learned.value


def customer_forecast(purchases: pd.DataFrame, run_date: dt.date, currency: str = "") -> pd.DataFrame:
    """Return ``customer_forecast`` from the invoices up to a day; no row while the shop is too young, see `first_day`."""
    history = history_of(purchases, run_date)
    today = run_date.toordinal()
    learned = learn(history, today)
    if learned is None:
        return TABLES["customer_forecast"].without_rows()
    now, before = state_of(history, today), state_of(history, today - HORIZON)
    soon, later = (chance_of_order(learned, now, days).round(DIGITS) for days in (HORIZON, LATER))
    spend = pd.Series(expected_spend(learned, before, SPEND_DAYS).round(2), before.customer).reindex(now.customer)
    found = {
        "CustomerID": history.customers[now.customer],
        "UpdateDate": run_date,
        "Order30": soon,
        "Order60": np.maximum(soon, later),
        "Orders90": expected_orders(learned, now, SPEND_DAYS).round(DIGITS),
        "Spend90": expected_spend(learned, now, SPEND_DAYS).round(2),
        "Spend90Before": spend.to_numpy(),  # by what is known today: only the customer has changed since, not the season
        "Drivers": drivers(learned, now, currency),
    }
    return pd.DataFrame(found)


def expected_within(purchases: pd.DataFrame, as_of: dt.date, days: int) -> pd.DataFrame:
    """Return CustomerID, OrderExpected (probability) and SpendExpected of any window; no row while the shop is too young."""
    history, today = history_of(purchases, as_of), as_of.toordinal()
    if (learned := learn(history, today)) is None:
        return pd.DataFrame({"CustomerID": [], "OrderExpected": [], "SpendExpected": []})
    now = state_of(history, today)
    chance, spend = chance_of_order(learned, now, days).round(DIGITS), expected_spend(learned, now, days).round(2)
    return pd.DataFrame({"CustomerID": history.customers[now.customer], "OrderExpected": chance, "SpendExpected": spend})


def drivers(learned: Learned, state: State, currency: str) -> list[str]:
    """Return what most raises or lowers the probability of an order, compared with the shop's other customers."""
    typical = features(state, float(np.median(state.since)))  # as if all had been silent for as long
    alike = np.column_stack([typical[:, :-1], np.full(len(typical), typical[:, -1].mean())])  # and spent as much a time
    orders, value = learned.who.score(alike), learned.who.score(typical)
    silence, once = learned.who.score(features(state)) - value, state.days == 1
    weights = np.column_stack([orders - orders.mean() + once * silence, ~once * silence, value - orders])
    two = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, :2]
    raises = np.take_along_axis(weights, two, axis=1) > 0
    worth = [amount(value, currency) for value in (state.spent / state.days).tolist()]
    parts = (two, raises, state.days, state.age, state.since)
    return [_in_words(*row) for row in zip(*(part.tolist() for part in parts), worth, strict=True)]


def _in_words(two: list[int], raises: list[bool], days: int, age: int, since: int, worth: str) -> str:
    """Return the two drivers of a customer as text."""
    span = number(age + 1)
    often = ngettext("bought on {n2} of the last {n} day", "bought on {n2} of the last {n} days", age + 1, n=span, n2=days)
    bought = _("bought only once, {ago}", ago=ago(since)) if days == 1 else often
    silent = _("silent for {days}", days=count(since, "day")) if since else _("bought today")
    facts = (bought, silent, _("spends {amount} a time", amount=worth))
    way = {True: _("{fact} raises it"), False: _("{fact} lowers it")}
    first, second = (way[bool(up)].format(fact=facts[place]) for place, up in zip(two, raises, strict=True))
    return f"{first}; {second}"
