"""Hold the segments of past days against what came after, with intervals.

Everything a forecast uses was known on its day: what a segment is worth is learned on the latest earlier day whose
window had closed by then. Intervals come from drawing customers, not days: the windows of neighbouring days
overlap, so days are no independent draws, and a customer drawn brings all of its days along. All ways see the same
draws, so differences between ways are paired.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from rfm.core.backtest.future import Snapshot, outcomes
from rfm.core.backtest.ways import DEFAULT
from rfm.core.backtest.weighted import auc, draw, explained, middle_ranks, spearman, ties, top_share
from rfm.schema import InputError

HORIZONS = (30, 60)
DRAWS, SEED, DIGITS = 200, 20100, 6
COLUMNS = ["way", "horizon", "measure", "segment", "against", "value", "low", "high", "days"]


class Forecast(NamedTuple):
    """What an earlier day taught about customers: their rank as buyers, their rank as spenders, what they will spend."""

    buyer: np.ndarray
    spender: np.ndarray
    amount: np.ndarray


class Window(NamedTuple):
    """A day and what came after: who was known, the draws of them, what they did, how that ranks; what an earlier day taught."""

    now: pd.DataFrame
    then: pd.DataFrame
    weights: np.ndarray
    bought: np.ndarray
    spent: np.ndarray
    ranked: np.ndarray
    taught: pd.DataFrame


def backtest(
    snapshots: Sequence[Snapshot],
    purchases: pd.DataFrame,
    horizons: Sequence[int] = HORIZONS,
    *,
    draws: int = DRAWS,
    default: str = DEFAULT,
) -> pd.DataFrame:
    """Measure how well each way foretells the days to come.

    Parameters
    ----------
    snapshots
        One a day, days rising.
    purchases
        One row an invoice: CustomerID, InvoiceDate, TotalPrice; only what counts for RFM.
    horizons
        Days to look ahead.
    draws
        Draws of the bootstrap.
    default
        The way that the others are held against.

    Returns
    -------
    pandas.DataFrame
        One row a figure: way, horizon in days, measure (`MEASURES`), segment ("" for the way as a whole), against
        (the way whose value is taken off, "" if none), value, low and high (95 %), days (how many went into it).

    Raises
    ------
    InputError
        If no day has both a closed window after it and an earlier day to learn from.
    """
    customers = pd.Index(sorted(set().union(*(snapshot.ways.index for snapshot in snapshots))))
    weights = draw(len(customers), draws, SEED)
    last = pd.Timestamp(pd.to_datetime(purchases["InvoiceDate"]).max()).date()
    found: list[dict[str, Any]] = []
    for horizon in horizons:
        windows = list(_windows(snapshots, purchases, horizon, last, customers, weights))
        found += [row for way in snapshots[0].ways for row in _foretold(windows, way, horizon)] if windows else []
    if not found:
        raise InputError(
            f"0 of {len(snapshots)} days have both {min(horizons)} days of sales after them (up to {last}) and "
            "a day at least as long before them; give an earlier --from"
        )
    found += list(_steadiness(snapshots, purchases, customers, weights))
    return pd.DataFrame([_row(one) for one in [*found, *_differences(found, default)]], columns=COLUMNS)


def learned_on(days: Sequence[dt.date], day: dt.date, horizon: int) -> dt.date | None:
    """Return the latest earlier day whose window had closed by a day, if any.

    Parameters
    ----------
    days
        Those to choose from.
    day
        On which the forecast is made.
    horizon
        Days ahead.
    """
    return max((one for one in days if one + dt.timedelta(days=horizon) <= day), default=None)


def _windows(
    snapshots: Sequence[Snapshot],
    purchases: pd.DataFrame,
    horizon: int,
    last: dt.date,
    customers: pd.Index,
    weights: np.ndarray,
) -> Iterator[Window]:
    """Yield the days whose window lies in the past and that have an earlier day to learn from."""
    known = {snapshot.day: snapshot.ways for snapshot in snapshots}
    for day, now in known.items():
        earlier = learned_on(list(known), day, horizon)
        if earlier is None or day + dt.timedelta(days=horizon) > last:
            continue
        then, did = known[earlier], outcomes(purchases, day, horizon, now.index)
        taught = outcomes(purchases, earlier, horizon, then.index)
        drawn = weights[customers.get_indexer(now.index)]
        bought, spent = did["bought"].to_numpy(), did["spent"].to_numpy()
        yield Window(now, then, drawn, bought, spent, middle_ranks(drawn, ties(spent)), taught)


def _forecast(then: pd.Series, now: pd.Series, taught: pd.DataFrame) -> Forecast:
    """Learn on an earlier day: the rate and the mean of each segment, or the straight line through a number."""
    if is_numeric_dtype(now):
        number, spread = now.to_numpy(float), then.to_numpy(float).var()
        slope = np.cov(then.to_numpy(float), taught["spent"], bias=True)[0, 1] / spread if spread else 0.0
        return Forecast(number, number, taught["spent"].mean() + slope * (number - then.to_numpy(float).mean()))
    learned = taught.astype(float).groupby(then.to_numpy()).mean()
    rates, means = (now.map(learned[name]).fillna(taught[name].mean()).to_numpy(float) for name in ("bought", "spent"))
    return Forecast(rates, means, means)


def _foretold(windows: Sequence[Window], way: str, horizon: int) -> Iterator[dict[str, Any]]:
    """Yield the figures of a way: of the whole, and of its segments if it has any."""
    each = [_measures(window, way) for window in windows]
    for measure in each[0]:
        values = np.mean([one[measure] for one in each], axis=0)
        yield _figure(way, horizon, measure, values, len(windows))
    if not is_numeric_dtype(windows[0].now[way]):
        yield from _segments(windows, way, horizon)


def _measures(window: Window, way: str) -> dict[str, np.ndarray]:
    """Return the measures of a way on one day, each with one value a draw."""
    weights, spent = window.weights, window.spent
    forecast = _forecast(window.then[way], window.now[way], window.taught)
    buyer, spender = ties(forecast.buyer), ties(forecast.spender)
    return {
        "auc": auc(weights, buyer, window.bought),
        "spearman": spearman(weights, spender, window.ranked),
        "explained": explained(weights, spent, forecast.amount, window.taught["spent"].mean()),
        "top_fifth": top_share(weights, spender, spent),
    }


def _segments(windows: Sequence[Window], way: str, horizon: int) -> Iterator[dict[str, Any]]:
    """Yield lift in buying, lift in spending and share of each segment, all days taken together."""
    names = sorted(set().union(*(window.now[way] for window in windows)))
    seen = np.sum([np.isin(names, window.now[way]) for window in windows], axis=0)
    sums = np.sum([_sums(window, window.now[way].to_numpy() == np.array(names)[:, None]) for window in windows], axis=0)
    size, buyers, buyers_if_alike, money, money_if_alike, everyone = sums
    ratios = {"lift": (buyers, buyers_if_alike), "spend_lift": (money, money_if_alike), "share": (size, everyone)}
    for measure, (above, below) in ratios.items():
        values = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        for number, name in enumerate(names):
            yield _figure(way, horizon, measure, values[number], int(seen[number]), name)


def _sums(window: Window, member: np.ndarray) -> np.ndarray:
    """Return what the segments of a day add up to, and what they would if they were like everyone; shape (6, segments, draws)."""
    weights, total = window.weights, window.weights.sum(axis=0)
    size, buyers, money = ((member * values) @ weights for values in (1.0, window.bought, window.spent))
    rate, mean = window.bought @ weights / total, window.spent @ weights / total
    return np.stack([size, buyers, size * rate, money, size * mean, np.broadcast_to(total, size.shape)])


def _steadiness(
    snapshots: Sequence[Snapshot], purchases: pd.DataFrame, customers: pd.Index, weights: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield, for each way with segments, the share renamed from one run to the next of those who bought nothing between."""
    steps: dict[str, list[np.ndarray]] = {}
    for before, after in pairwise(snapshots):
        both = before.ways.index.intersection(after.ways.index)
        horizon = (after.day - before.day).days
        still = both[~outcomes(purchases, before.day, horizon, both)["bought"].to_numpy()]
        drawn = weights[customers.get_indexer(still)]
        for way in after.ways.columns[[not is_numeric_dtype(kind) for kind in after.ways.dtypes]]:
            changed = before.ways.loc[still, way].to_numpy() != after.ways.loc[still, way].to_numpy()
            steps.setdefault(way, []).append(changed @ drawn / np.maximum(drawn.sum(axis=0), 1))
    for way, shares in steps.items():
        yield _figure(way, horizon, "renamed", np.mean(shares, axis=0), len(shares))


def _figure(way: str, horizon: int, measure: str, values: np.ndarray, days: int, segment: str = "") -> dict[str, Any]:
    """Return a figure with all its draws."""
    name = str(way)
    return {
        "way": name,
        "horizon": horizon,
        "measure": measure,
        "segment": segment,
        "against": "",
        "values": values,
        "days": days,
    }


def _differences(found: Sequence[dict[str, Any]], default: str) -> Iterator[dict[str, Any]]:
    """Yield by how much each way differs from the default, draw by draw."""
    whole = [one for one in found if not one["segment"]]
    yardstick = {(one["horizon"], one["measure"]): one["values"] for one in whole if one["way"] == default}
    for one in whole:
        if one["way"] != default and (key := (one["horizon"], one["measure"])) in yardstick:
            yield one | {"against": str(default), "values": one["values"] - yardstick[key]}


def _row(figure: dict[str, Any]) -> dict[str, Any]:
    """Return the value, which counts everyone once, and the middle 95 % of the draws."""
    value, *drawn = figure["values"]
    low, high = np.quantile(drawn, [0.025, 0.975]) if drawn else (np.nan, np.nan)
    return figure | {name: round(float(one), DIGITS) + 0.0 for name, one in (("value", value), ("low", low), ("high", high))}
