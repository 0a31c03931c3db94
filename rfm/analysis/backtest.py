"""Which way of segmenting foretells anything: segments of past days, held against what came after.

The ways that are compared and what is measured of them, as data.

What was known on a past day, and what came after it.

What a customer is expected to buy, by BG/NBD and Gamma-Gamma: an extra, fitted by clvkit where that is installed.

Measures of customers with weights: every column of weights is a draw of the bootstrap, the first counts each customer once.

All functions take `weights` of shape (customers, draws) and return one value a draw.

Hold the segments of past days against what came after, with intervals.

Everything a forecast uses was known on its day: what a segment is worth is learned on the latest earlier day whose
window had closed by then. Intervals come from drawing customers, not days: the windows of neighbouring days
overlap, so days are no independent draws, and a customer drawn brings all of its days along. All ways see the same
draws, so differences between ways are paired.

The backtest in words and as a table that people read.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from rfm.errors import InputError


# ── ways ────────────────────────────────────────────────────────────
class Way(StrEnum):
    """A way to tell customers apart: by a segment's name, or by a number of which more is better."""

    STEADY = "K-means, steady"
    PLAIN = "K-means, afresh"
    TIERS = "value × engagement"
    SCORES = "RFM score names"
    ALIKE = "all alike"
    MONTH = "last month's spend"
    SUM = "RFM sum"
    ORDERS = "BG/NBD purchases"
    LIFETIME = "BG/NBD × Gamma-Gamma"


DEFAULT = Way.STEADY  # the one that `rfm daily` publishes
SEGMENTATIONS = (Way.STEADY, Way.PLAIN, Way.TIERS, Way.SCORES)
MEASURES = {
    "auc": "The chance that of two customers, one who buys again and one who does not, the first is ranked higher; "
    "equal ranks count a half. 0.5 is no better than a coin.",
    "spearman": "Correlation of the customers' ranks with the ranks of what they then spend; equal ones share the middle rank.",
    "explained": "Share of the differences in spending that are foretold: 1 − squared error of the forecast ÷ squared error of "
    "forecasting for everyone the mean of the earlier window. 0 for all alike, below 0 if worse than that.",
    "top_fifth": "Share of the revenue that comes from the fifth of the customers ranked highest; of a tie, a proportional part.",
    "lift": "How many of a segment buy again, over how many would if they were like everyone on that day.",
    "spend_lift": "What a segment spends, over what it would spend if it were like everyone on that day.",
    "share": "Share of the customers who are in the segment.",
    "renamed": "Of the customers who bought nothing since the run before, the share whose segment has another name; "
    "the horizon is the days between two runs.",
}


# ── future ────────────────────────────────────────────────────────────
class Snapshot(NamedTuple):
    """What each way said of each customer on a past day."""

    day: dt.date
    ways: pd.DataFrame


def outcomes(purchases: pd.DataFrame, day: dt.date, horizon: int, customers: pd.Index) -> pd.DataFrame:
    """Return what customers did in the days after a day."""
    invoices, spent = _within(purchases, day, day + dt.timedelta(days=horizon), customers)
    return pd.DataFrame({"bought": invoices > 0, "spent": spent}, index=customers)


def spent_within(purchases: pd.DataFrame, day: dt.date, days: int, customers: pd.Index) -> np.ndarray:
    """Return what customers spent in some days up to a day, that day included."""
    return _within(purchases, day - dt.timedelta(days=days), day, customers)[1]


def _within(purchases: pd.DataFrame, after: dt.date, until: dt.date, customers: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Return number and worth of the invoices of each customer, after a day and up to another."""
    dates = pd.to_datetime(purchases["InvoiceDate"])
    rows = purchases[(dates > pd.Timestamp(after)) & (dates <= pd.Timestamp(until))]
    place = customers.get_indexer(rows["CustomerID"])
    known = place >= 0
    place, money = place[known], rows["TotalPrice"].to_numpy(float)[known]
    return np.bincount(place, minlength=len(customers)), np.bincount(place, money, minlength=len(customers))


# ── lifetime ────────────────────────────────────────────────────────────
def fits_lifetimes() -> bool:
    """Tell whether the library of the extra `backtest` is installed."""
    return find_spec("clvkit") is not None


def expected(purchases: pd.DataFrame, day: dt.date, days: int, customers: pd.Index) -> pd.DataFrame:
    """Return how often each customer is expected to buy in the next days, and for how much: purchases times the worth of one."""
    from clvkit import BGNBD, CustomerBase, GammaGamma

    dates = pd.to_datetime(purchases["InvoiceDate"])
    log = pd.DataFrame({"customer_id": purchases["CustomerID"].to_numpy(object), "date": dates.to_numpy("datetime64[ns]")})
    log["amount"] = purchases["TotalPrice"].to_numpy(float)
    log = log[(log["date"] <= pd.Timestamp(day)) & (log["amount"] > 0)]
    base = CustomerBase.from_transactions(log, time_unit="D", collapse="D", observation_period_end=pd.Timestamp(day))
    with warnings.catch_warnings():  # a step that the search for a maximum backs away from
        warnings.simplefilter("ignore", RuntimeWarning)
        orders, worth = BGNBD().fit(base).predict(days), GammaGamma().fit(base).predict()
    found = pd.DataFrame({"orders": orders.to_pandas().squeeze(axis=1), "worth": worth.to_pandas().squeeze(axis=1)})
    return found.assign(spend=found["orders"] * found["worth"])[["orders", "spend"]].reindex(customers).fillna(0.0)


# ── weighted ────────────────────────────────────────────────────────────
class TiedRanks(NamedTuple):
    """Customers in rising order of a number, and where each set of equal numbers starts."""

    order: np.ndarray
    starts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values per set of equals, shape (sets, draws)."""
        return np.add.reduceat(values[self.order], self.starts, axis=0)


def tied_ranks(numbers: np.ndarray) -> TiedRanks:
    """Sort numbers and find the equal ones."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    return TiedRanks(order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]))


def bootstrap_weights(customers: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each customer is drawn, shape (customers, 1 + draws); the first column counts everyone once."""
    drawn = np.random.default_rng(seed).multinomial(customers, np.full(customers, 1 / customers), size=draws)
    return np.vstack([np.ones(customers), drawn]).T.copy()


def auc(weights: np.ndarray, rank: TiedRanks, bought: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve: the chance that a buyer is ranked above another, ties a half; 0.5 where undefined."""
    buyers = rank.sums(weights * bought[:, None])
    others = rank.sums(weights) - buyers
    below = (buyers * (others.cumsum(axis=0) - others / 2)).sum(axis=0)
    return _ratio(below, buyers.sum(axis=0) * others.sum(axis=0), 0.5)


def middle_ranks(weights: np.ndarray, rank: TiedRanks) -> np.ndarray:
    """Return the weighted rank of each customer, equal ones sharing the middle; parameters as for `auc`."""
    sums = rank.sums(weights)
    sizes = np.diff(np.r_[rank.starts, len(rank.order)])
    ranks = np.empty_like(weights)
    ranks[rank.order] = np.repeat(sums.cumsum(axis=0) - sums / 2, sizes, axis=0)
    return ranks


def spearman(weights: np.ndarray, rank: TiedRanks, ranked: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation; 0 where either side is constant."""
    sums, total, weighted = rank.sums(weights), weights.sum(axis=0), weights * ranked
    own = sums.cumsum(axis=0) - sums / 2  # weighted middle ranks have the mean total / 2
    common = (own * rank.sums(weighted)).sum(axis=0) - total**3 / 4
    spread = ((sums * own**2).sum(axis=0) - total**3 / 4) * ((weighted * ranked).sum(axis=0) - total**3 / 4)
    return _ratio(common, np.sqrt(np.maximum(spread, 0)), 0.0)


def explained(weights: np.ndarray, spent: np.ndarray, forecast: np.ndarray, mean: float) -> np.ndarray:
    """Return 1 − squared error of a forecast over that of one mean for all; 0 where there is nothing to explain."""
    return 1 - _ratio((spent - forecast) ** 2 @ weights, (spent - mean) ** 2 @ weights, 1.0)


def top_share(weights: np.ndarray, rank: TiedRanks, spent: np.ndarray, part: float = 0.2) -> np.ndarray:
    """Return the share of spending by the part of the customers ranked highest, of a tie a proportional part."""
    sums, money = rank.sums(weights)[::-1], rank.sums(weights * spent[:, None])[::-1]
    wanted = part * sums.sum(axis=0)
    taken = np.clip(_ratio(wanted - (sums.cumsum(axis=0) - sums), sums, 0.0), 0, 1)
    return _ratio((taken * money).sum(axis=0), money.sum(axis=0), part)


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float) -> np.ndarray:
    """Divide; another value where the divisor is not above zero."""
    return np.divide(above, below, out=np.full(np.shape(above), otherwise, dtype=float), where=below > 0)


# ── score ────────────────────────────────────────────────────────────
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
    """Measure how well each way foretells the days to come."""
    customers = pd.Index(sorted(set().union(*(snapshot.ways.index for snapshot in snapshots))))
    weights = bootstrap_weights(len(customers), draws, SEED)
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


def training_day(days: Sequence[dt.date], day: dt.date, horizon: int) -> dt.date | None:
    """Return the latest earlier day whose window had closed by a day, if any."""
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
        earlier = training_day(list(known), day, horizon)
        if earlier is None or day + dt.timedelta(days=horizon) > last:
            continue
        then, did = known[earlier], outcomes(purchases, day, horizon, now.index)
        taught = outcomes(purchases, earlier, horizon, then.index)
        drawn = weights[customers.get_indexer(now.index)]
        bought, spent = did["bought"].to_numpy(), did["spent"].to_numpy()
        yield Window(now, then, drawn, bought, spent, middle_ranks(drawn, tied_ranks(spent)), taught)


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
    buyer, spender = tied_ranks(forecast.buyer), tied_ranks(forecast.spender)
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


# ── verdict ────────────────────────────────────────────────────────────
class Question(NamedTuple):
    """What a shop wants to know, the figure that answers it, and which end of it is good."""

    measure: str
    task: str
    figure: str
    form: str = "{:.3f}"
    best: str = "max"


QUESTIONS = (
    Question("auc", "To tell who buys again", "AUC"),
    Question("spearman", "To put customers in the order of what they will spend", "rank correlation"),
    Question("top_fifth", "To pick the fifth of the customers who bring most", "share of the revenue", "{:.1%}"),
    Question("explained", "To say how much each will spend", "share explained", "{:.1%}"),
    Question("renamed", "To keep the names of customers who bought nothing", "renamed from run to run", "{:.2%}", "min"),
)


def verdict(results: pd.DataFrame, default: str = DEFAULT) -> list[str]:
    """Say which way is best for what, and whether the default wins or loses."""
    others = [str(way) for way in SEGMENTATIONS if way != default and way in set(results["way"])]
    duels = [_duel(results, other, default) for other in others]
    return [_tried(results), *duels, *(_answer(results, question, default) for question in QUESTIONS)]


def comparison(results: pd.DataFrame) -> pd.DataFrame:
    """Return a row a way and a column a question and horizon: value and interval, as text."""
    whole = _whole(results)
    columns = {}
    for question in QUESTIONS:
        for horizon, rows in whole[whole["measure"] == question.measure].groupby("horizon"):
            texts = [_interval(row, question.form) for row in rows.itertuples()]
            columns[f"{question.figure}, {horizon} days"] = pd.Series(texts, index=rows["way"])
    return pd.DataFrame(columns).reindex(whole["way"].unique()).fillna("").rename_axis("way")


def lifts(results: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return a row a segment: way, segment, share of customers, lift in buying again and in spending with intervals, as text."""
    rows = results[(results["segment"] != "") & (results["horizon"] == horizon) & results["way"].isin(SEGMENTATIONS)]
    texts = [_interval(row, "{:.1%}" if row.measure == "share" else "{:.2f}") for row in rows.itertuples()]
    wide = rows.assign(text=texts).pivot(index=["way", "segment"], columns="measure", values="text")
    order = rows[rows["measure"] == "lift"].sort_values(["way", "value"], ascending=[True, False])
    wide = wide.loc[pd.MultiIndex.from_frame(order[["way", "segment"]])]
    return wide[["share", "lift", "spend_lift"]].rename_axis(columns=None)


def _whole(results: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of whole ways, not of segments and not differences."""
    return results[(results["segment"] == "") & (results["against"] == "")]


def _tried(results: pd.DataFrame) -> str:
    """Say on how many days each way was tried."""
    rows = results[(results["measure"] == "auc") & (results["against"] == "")].drop_duplicates("horizon")
    tried = " and ".join(f"on {row.days} for the {row.horizon} days after them" for row in rows.itertuples())
    return f"Each way was tried on past days: {tried}."


def _duel(results: pd.DataFrame, other: str, default: str) -> str:
    """Say in how many figures the default is better or worse than another way with segments."""
    rows = results[(results["way"] == other) & (results["against"] == default) & (results["measure"] != "renamed")]
    worse, better = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    word = "loses to" if worse > better else "beats" if better > worse else "is level with"
    return (
        f"The default, {default}, {word} {other}: of {len(rows)} figures that foretell it is worse in {worse}, better in "
        f"{better} and not told apart in {len(rows) - worse - better}."
    )


def _answer(results: pd.DataFrame, question: Question, default: str) -> str:
    """Say which way answers a question best, which of those with segments, and how the default stands."""
    rows = _whole(results)
    rows = rows[(rows["measure"] == question.measure) & (rows["way"] != "all alike")]
    named = rows[rows["way"].isin(SEGMENTATIONS)]
    best, best_named = _best(rows, question), _best(named, question)
    said = f"{question.task}: {best} is best ({question.figure} {_values(rows, best, question)})"
    if best_named != best:
        said += f"; of the ways with segments, {best_named} ({_values(rows, best_named, question)})"
    if default not in (best, best_named):
        said += f"; the default, {default}, has {_values(rows, default, question)}"
        said += _how_far(results, question, best_named, default)
    return said + "."


def _best(rows: pd.DataFrame, question: Question) -> str:
    """Return the way with the best mean over the horizons."""
    means = rows.groupby("way", sort=False)["value"].mean()
    return str(means.idxmax() if question.best == "max" else means.idxmin())


def _values(rows: pd.DataFrame, way: str, question: Question) -> str:
    """Return the values of a way, one a horizon."""
    own = rows[rows["way"] == way]
    return " and ".join(f"{question.form.format(row.value)} over {row.horizon} days" for row in own.itertuples())


def _how_far(results: pd.DataFrame, question: Question, best: str, default: str) -> str:
    """Say over which horizons the default is surely behind the best way with segments."""
    rows = results[(results["way"] == best) & (results["against"] == default) & (results["measure"] == question.measure)]
    behind = rows[rows["low"] > 0 if question.best == "max" else rows["high"] < 0]
    if behind.empty:
        return ", not told apart"
    return ", behind" + (f" over {behind['horizon'].iloc[0]} days" if len(behind) < len(rows) else "")


def _interval(row: Sequence, form: str) -> str:
    """Return value and interval as text."""
    value, low, high = (form.format(getattr(row, name)) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
