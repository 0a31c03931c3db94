"""Measure forecasts made on past days, beside simpler ones, against what customers did in the days that followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.analysis import forecast as model
from rfm.analysis.backtest import DRAWS, SEED, apart, auc, bootstrap_weights, interval, interval_text, tied_ranks
from rfm.analysis.forecast import DIGITS, HORIZON, SPEND_DAYS, History, State
from rfm.contracts import TABLES


class Rule(StrEnum):
    """A way to forecast."""

    FORECAST = "forecast"
    BGNBD = "BG/NBD"
    REGRESSION = "logistic regression"
    MEAN = "mean of these two"
    RECENCY = "recency only"
    RATE = "rate of all customers"
    NAIVE = "last 90 days' spend"


MEASURES = {
    "brier": "Mean squared difference between the probability and what happened (0 or 1); less is better.",
    "calibration": "Expected calibration error: distance of forecast from actual share of buyers, mean of ten bands, and days.",
    "auc": "Probability that a customer who orders is ranked above one who does not; 0.5 is chance.",
    "total": "Forecast number of buyers, or amount, divided by the actual one.",
    "error": "Sum of the differences between forecast and actual spend, without signs, divided by the actual spend.",
}
COLUMNS = ["way", "horizon", "measure", "against", "value", "low", "high", "days", "least", "most", "windows"]
CURVE = ["Way", "Band", "Customers", "Forecast", "Actual"]
SCORES = {  # measure: its name, and 1 if more is better, −1 if less
    "brier": ("Brier score, less is better", -1),
    "calibration": ("Calibration error, less is better", -1),
    "auc": ("AUC, more is better", 1),
}
READ = (
    "The forecast of each customer was tried on {days} past days. In round brackets is how far a figure would move with other "
    "customers and other ones of these days; in square brackets, the least and the most of the windows of {horizon} days that do "
    "not overlap: as far may another season move it."
)
BANDS = 10


class Tried(NamedTuple):
    """Forecasts of a past day by way, and what happened: True or False, or an amount."""

    day: dt.date
    customers: np.ndarray
    ways: dict[Rule, np.ndarray]
    happened: np.ndarray


def evaluate(purchases: pd.DataFrame, days: Sequence[dt.date], *, draws: int = DRAWS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecast on each past day with what was known then; return the measures of all ways, and the curve of reliability."""
    # An interval holds for other customers and other ones of these days, as each draw samples both, but not for other seasons.
    # All ways share the draws, so the rows with `against` are paired differences from BG/NBD, or from the naive rule.
    last = pd.to_datetime(purchases["InvoiceDate"]).max()
    history = model.history_of(purchases, last.date())
    orders = list(_tries(history, days, last.toordinal()))
    if not orders:  # the shop is too young, or no window has closed
        return pd.DataFrame(columns=COLUMNS), pd.DataFrame(columns=CURVE)
    weights = bootstrap_weights(len(history.customers), draws, SEED)
    rows = _rows(orders, weights, ("brier", "calibration", "auc", "total"), HORIZON, Rule.BGNBD)
    if spend := list(_spend(history, days)):
        rows += _rows(spend, weights, ("error", "total"), SPEND_DAYS, Rule.NAIVE)
    return pd.DataFrame(rows, columns=COLUMNS), reliability(orders)


def forecast_reliability(purchases: pd.DataFrame, run_date: dt.date) -> pd.DataFrame:
    """Return ``forecast_reliability``: the forecasts of 30 days ago beside what happened since, by band of probability."""
    history, day = model.history_of(purchases, run_date), run_date - dt.timedelta(days=HORIZON)
    tries = list(_tries(history, [day], run_date.toordinal()))
    table = TABLES["forecast_reliability"]
    return reliability(tries).assign(UpdateDate=run_date)[table.names] if tries else table.without_rows()


def comparison(results: pd.DataFrame) -> pd.DataFrame:
    """Return value, interval and the least and most of windows that do not overlap, per way, and measure and horizon."""
    whole = results[results["against"] == ""]
    texts = [interval_text(row) for row in whole.itertuples()]
    heads = [f"{row.measure}, {row.horizon} days" for row in whole.itertuples()]
    wide = whole.assign(text=texts, head=heads).pivot(index="way", columns="head", values="text")
    return wide.reindex(index=whole["way"].unique(), columns=dict.fromkeys(heads)).fillna("").rename_axis(columns=None)


def verdict(results: pd.DataFrame) -> list[str]:
    """Describe how good the forecast of each customer is, beside BG/NBD."""
    found = results[results["measure"].isin(SCORES)].set_index(["measure", "way", "against"])
    if found.empty:
        return ["There is no forecast of each customer to try: the shop was too young on these days."]
    said = [READ.format(days=found["days"].iloc[0], horizon=HORIZON)]
    for measure, (name, better) in SCORES.items():
        own, other = (interval_text(found.loc[(measure, way, "")]) for way in (Rule.FORECAST, Rule.BGNBD))
        lead = found.loc[(measure, Rule.FORECAST, Rule.BGNBD)]
        ahead, behind = (lead["low"] > 0, lead["high"] < 0)[::better]
        word = "better" if ahead else "worse" if behind else "too close to call"
        said.append(f"{name}: {own}; BG/NBD {other}. The difference is {interval_text(lead)}: {word}.")
    return said


def _tries(history: History, days: Sequence[dt.date], until: int) -> Iterator[Tried]:
    """Yield the days that have a forecast and a closed window."""
    for day in days:
        learned = model.learn(history, day.toordinal())
        if learned is None or day.toordinal() + HORIZON > until:
            continue
        now, before = model.state_of(history, day.toordinal()), model.state_of(history, day.toordinal() - HORIZON)
        bought = model.bought_after(history, before, HORIZON)[0] > 0
        expected = learned.expected.order(*now.lives, HORIZON)
        alone = model.chance_at(learned.who.score(model.features(now)) + learned.who.levels.mean())  # of the regression
        ways = {
            Rule.FORECAST: model.chance_of_order(learned, now, HORIZON),
            Rule.BGNBD: expected,
            Rule.RECENCY: _by_recency(before, bought, now),
            Rule.RATE: np.full(len(now.days), bought.mean()),
            Rule.REGRESSION: alone,
            Rule.MEAN: (expected + alone) / 2,
        }
        yield Tried(day, now.customer, ways, model.bought_after(history, now, HORIZON)[0] > 0)


def _by_recency(before: State, bought: np.ndarray, now: State) -> np.ndarray:
    """Return the share of buyers of the customers of the newest closed window who had been silent for as long."""
    edges = np.unique(np.quantile(before.since, np.linspace(0, 1, BANDS + 1))[1:-1])
    then, today = np.digitize(before.since, edges), np.digitize(now.since, edges)
    sizes = np.bincount(then, minlength=len(edges) + 1)
    shares = np.bincount(then, bought, minlength=len(edges) + 1) / np.maximum(sizes, 1)
    return np.where(sizes > 0, shares, bought.mean())[today]


def _spend(history: History, days: Sequence[dt.date]) -> Iterator[Tried]:
    """Yield the expected spend of the days that have a forecast and a closed window for it."""
    for day in days:
        learned = model.learn(history, day.toordinal())
        if learned is None or day.toordinal() + SPEND_DAYS > history.day.max():
            continue
        now = model.state_of(history, day.toordinal())
        rows = (history.day > now.day - SPEND_DAYS) & (history.day <= now.day)
        naive = np.bincount(history.customer[rows], history.spent[rows], len(history.customers))[now.customer]
        ways = {Rule.FORECAST: model.expected_spend(learned, now, SPEND_DAYS), Rule.NAIVE: naive}
        yield Tried(day, now.customer, ways, model.bought_after(history, now, SPEND_DAYS)[1])


def _rows(tries: list[Tried], weights: np.ndarray, measures: Sequence[str], horizon: int, other: Rule) -> list[dict[str, object]]:
    """Return value and interval of each way and measure, and the difference from another way."""
    drawn = bootstrap_weights(len(tries), weights.shape[1] - 1, SEED + 1) / len(tries)
    rows = []
    alone = apart([one.day for one in tries], horizon)
    for measure in measures:
        each = {  # per way, day and draw
            way: np.stack([_measure(measure, one.ways[way], one.happened, weights[one.customers]) for one in tries])
            for way in tries[0].ways
        }
        for way, values in each.items():
            named = {"way": str(way), "horizon": horizon, "measure": measure, "days": len(tries)}
            for against, found in [("", values)] + [(str(other), values - each[other])] * (way != other):
                rows.append(named | {"against": against} | interval((found * drawn).sum(axis=0), found[alone, 0]))
    return rows


def _measure(measure: str, forecast: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return a measure per column of weights."""
    if measure == "auc":
        return auc(weights, tied_ranks(forecast), happened)
    if measure == "brier":
        return (forecast - happened) ** 2 @ weights / weights.sum(axis=0)
    if measure == "total":
        return forecast @ weights / (happened @ weights)
    if measure == "error":
        return np.abs(forecast - happened) @ weights / (happened @ weights)
    return sum(np.abs((band * (forecast - happened)) @ weights) for band in _bands(forecast)) / weights.sum(axis=0)


def _bands(forecast: np.ndarray) -> Iterator[np.ndarray]:
    """Yield who is in each band of probability."""
    band = np.minimum((forecast * BANDS).astype(int), BANDS - 1)
    yield from (band == one for one in range(BANDS))


def reliability(tries: Sequence[Tried]) -> pd.DataFrame:
    """Return forecast and actual share of buyers per way and band of probability, over all days."""
    rows = []
    happened = np.concatenate([one.happened for one in tries])
    for way in tries[0].ways:
        forecast = np.concatenate([one.ways[way] for one in tries])
        for number, band in enumerate(_bands(forecast)):
            if band.any():
                means = {"Forecast": round(float(forecast[band].mean()), DIGITS), "Actual": float(happened[band].mean())}
                rows.append({"Way": str(way), "Band": number / BANDS, "Customers": int(band.sum())} | means)
    return pd.DataFrame(rows, columns=CURVE)
