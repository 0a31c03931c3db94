"""Backtest ways to segment: compare forecasts made on past days with what customers did in the days that followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rfm.errors import InputError


class Way(StrEnum):
    """A way to rank customers: by the name of a segment, or by a number of which more is better."""

    STEADY = "K-means, steady"
    PLAIN = "K-means, afresh"
    TIERS = "value × engagement"
    SCORES = "RFM score names"
    ALIKE = "all alike"
    MONTH = "last month's spend"
    SUM = "RFM sum"
    ORDERS = "BG/NBD purchases"
    LIFETIME = "BG/NBD × Gamma-Gamma"


DEFAULT = Way.STEADY  # published by `rfm daily`
SEGMENTATIONS = (Way.STEADY, Way.PLAIN, Way.TIERS, Way.SCORES)
MEASURES = {
    "auc": "Probability that a customer who buys again is ranked above one who does not; ties count a half. 0.5 is chance.",
    "spearman": "Correlation of the customers' ranks with the ranks of their later spend; ties share the middle rank.",
    "explained": "1 − squared error of the forecast spend ÷ squared error of forecasting the mean of the earlier window for all.",
    "top_fifth": "Share of the revenue of the fifth of the customers ranked highest; of a tie, a proportional part.",
    "lift": "Number of customers of a segment who buy again, relative to the average customer of that day.",
    "spend_lift": "Spend of a segment, relative to the average customer of that day.",
    "share": "Share of the customers who are in the segment.",
    "renamed": "Share of customers without a purchase between two runs whose segment changed; the horizon is the days between.",
}


class Snapshot(NamedTuple):
    """The value of each way for each customer on a past day."""

    day: dt.date
    ways: pd.DataFrame


def outcomes(purchases: pd.DataFrame, day: dt.date, horizon: int, customers: pd.Index) -> pd.DataFrame:
    """Return `bought` (True or False) and `spent` of each customer in the days after a day."""
    orders, spent = bought_between(purchases, day, day + dt.timedelta(days=horizon), customers)
    return pd.DataFrame({"bought": orders > 0, "spent": spent}, index=customers)


def spent_within(purchases: pd.DataFrame, day: dt.date, days: int, customers: pd.Index) -> np.ndarray:
    """Return what customers spent in the days up to a day, that day included."""
    return bought_between(purchases, day - dt.timedelta(days=days), day, customers)[1]


def bought_between(purchases: pd.DataFrame, after: dt.date, until: dt.date, customers: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Return number and amount of each customer's invoices after a day and up to another."""
    dates = pd.to_datetime(purchases["InvoiceDate"])
    rows = purchases[(dates > pd.Timestamp(after)) & (dates <= pd.Timestamp(until))]
    rows = rows[rows["CustomerID"].isin(customers)]
    place, money = customers.get_indexer(rows["CustomerID"]), rows["TotalPrice"].to_numpy(float)
    return np.bincount(place, minlength=len(customers)), np.bincount(place, money, minlength=len(customers))


class TiedRanks(NamedTuple):
    """Customers in ascending order of a number, and the start of each group of equal numbers."""

    order: np.ndarray
    starts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values per group, shape (groups, draws)."""
        return np.add.reduceat(values[self.order], self.starts, axis=0)


def tied_ranks(numbers: np.ndarray) -> TiedRanks:
    """Sort numbers and group the equal ones."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    return TiedRanks(order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]))


def bootstrap_weights(customers: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each customer is drawn, shape (customers, 1 + draws); the first column counts each once."""
    drawn = np.random.default_rng(seed).multinomial(customers, np.full(customers, 1 / customers), size=draws)
    return np.vstack([np.ones(customers), drawn]).T.copy()


def auc(weights: np.ndarray, rank: TiedRanks, bought: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve per column of weights; 0.5 where undefined."""
    buyers = rank.sums(weights * bought[:, None])
    others = rank.sums(weights) - buyers
    below = (buyers * (others.cumsum(axis=0) - others / 2)).sum(axis=0)
    return _ratio(below, buyers.sum(axis=0) * others.sum(axis=0), 0.5)


def middle_ranks(weights: np.ndarray, rank: TiedRanks) -> np.ndarray:
    """Return the weighted rank of each customer; ties share the middle rank."""
    sums = rank.sums(weights)
    ranks = np.empty_like(weights)
    ranks[rank.order] = np.repeat(sums.cumsum(axis=0) - sums / 2, np.diff(np.r_[rank.starts, len(rank.order)]), axis=0)
    return ranks


def spearman(weights: np.ndarray, rank: TiedRanks, ranked: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation; 0 where either side is constant."""
    sums, total, weighted = rank.sums(weights), weights.sum(axis=0), weights * ranked
    own = sums.cumsum(axis=0) - sums / 2  # weighted middle ranks have the mean total / 2
    common = (own * rank.sums(weighted)).sum(axis=0) - total**3 / 4
    spread = ((sums * own**2).sum(axis=0) - total**3 / 4) * ((weighted * ranked).sum(axis=0) - total**3 / 4)
    return _ratio(common, np.sqrt(np.maximum(spread, 0)), 0.0)


def explained(weights: np.ndarray, spent: np.ndarray, forecast: np.ndarray, mean: float) -> np.ndarray:
    """Return 1 − squared error of a forecast over that of one mean for all; 0 where both are 0."""
    return 1 - _ratio((spent - forecast) ** 2 @ weights, (spent - mean) ** 2 @ weights, 1.0)


def top_share(weights: np.ndarray, rank: TiedRanks, spent: np.ndarray, part: float = 0.2) -> np.ndarray:
    """Return the share of spend of the part of the customers ranked highest, of a tie a proportional part."""
    sums, money = rank.sums(weights)[::-1], rank.sums(weights * spent[:, None])[::-1]
    wanted = part * sums.sum(axis=0)
    taken = np.clip(_ratio(wanted - (sums.cumsum(axis=0) - sums), sums, 0.0), 0, 1)
    return _ratio((taken * money).sum(axis=0), money.sum(axis=0), part)


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float) -> np.ndarray:
    """Divide; another value where the divisor is not positive."""
    return np.divide(above, below, out=np.full(np.shape(above), otherwise, dtype=float), where=below > 0)


# A forecast learns on the latest earlier day whose window had closed by its own day. The bootstrap draws customers, not days,
# because the windows of neighbouring days overlap; all ways share the draws, so that their differences are paired.
HORIZONS = (30, 60)
DRAWS, SEED = 200, 20100
COLUMNS = ["way", "horizon", "measure", "segment", "against", "value", "low", "high", "days", "least", "most", "windows"]


class Window(NamedTuple):
    """Ways, bootstrap weights and outcomes of a day; ways and outcomes of the earlier day that forecasts learn from."""

    day: dt.date
    now: pd.DataFrame
    earlier: pd.DataFrame
    weights: np.ndarray
    bought: np.ndarray
    spent: np.ndarray
    ranked: np.ndarray
    learned: pd.DataFrame


def backtest(
    snapshots: Sequence[Snapshot], purchases: pd.DataFrame, horizons: Sequence[int] = HORIZONS, *, draws: int = DRAWS
) -> pd.DataFrame:
    """Measure how well each way forecasts the days after each snapshot."""
    customers = sorted(set().union(*(snapshot.ways.index for snapshot in snapshots)))
    weights = pd.DataFrame(bootstrap_weights(len(customers), draws, SEED), index=customers)
    found: list[dict[str, Any]] = []
    for horizon in horizons:
        if windows := list(_windows(snapshots, purchases, horizon, weights)):
            found += [row for way in snapshots[0].ways for row in _figures(windows, way, horizon)]
    if not found:
        last = pd.to_datetime(purchases["InvoiceDate"]).max()
        raise InputError(
            f"0 of {len(snapshots)} days have both {min(horizons)} days of sales after them (up to {last:%Y-%m-%d}) and "
            "a day at least as long before them; give an earlier --from"
        )
    found += _renamed(snapshots, purchases, weights)
    return pd.DataFrame([_with_interval(one) for one in [*found, *_differences(found)]], columns=COLUMNS)


def training_day(days: Sequence[dt.date], day: dt.date, horizon: int) -> dt.date | None:
    """Return the latest earlier day whose window had closed by a day, or None."""
    return max((one for one in days if one + dt.timedelta(days=horizon) <= day), default=None)


def apart(days: Sequence[dt.date], horizon: int) -> list[int]:
    """Return the places of days, newest first, so far apart that the windows after them do not overlap."""
    kept: list[int] = []
    for place in sorted(range(len(days)), key=days.__getitem__, reverse=True):
        if not kept or (days[kept[-1]] - days[place]).days >= horizon:
            kept.append(place)
    return kept


def interval(values: np.ndarray, each: np.ndarray) -> dict[str, float]:
    """Return the first of the values, the middle 95 % of the others, which are draws, and the ends of separate windows."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    known = each[~np.isnan(each)]
    ends = {"least": min(known, default=np.nan), "most": max(known, default=np.nan), "windows": len(known)}
    return {"value": float(values[0]), "low": float(low), "high": float(high), **ends}


def _windows(snapshots: Sequence[Snapshot], purchases: pd.DataFrame, horizon: int, weights: pd.DataFrame) -> Iterator[Window]:
    """Yield the days with a closed window and an earlier day to learn from."""
    known, last = {snapshot.day: snapshot.ways for snapshot in snapshots}, pd.to_datetime(purchases["InvoiceDate"]).max()
    for day, now in known.items():
        before = training_day(list(known), day, horizon)
        if before is None or pd.Timestamp(day) + pd.Timedelta(days=horizon) > last:
            continue
        did = outcomes(purchases, day, horizon, now.index)
        drawn, spent = weights.loc[now.index].to_numpy(), did["spent"].to_numpy()
        ranked, learned = middle_ranks(drawn, tied_ranks(spent)), outcomes(purchases, before, horizon, known[before].index)
        yield Window(day, now, known[before], drawn, did["bought"].to_numpy(), spent, ranked, learned)


def _forecast(then: pd.Series, now: pd.Series, learned: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ranks as buyers, ranks as spenders and forecast spend, learned by segment or by a linear fit on a number."""
    if pd.api.types.is_numeric_dtype(now):
        number, known = now.to_numpy(float), then.to_numpy(float)
        spread = known.var()
        slope = np.cov(known, learned["spent"], bias=True)[0, 1] / spread if spread else 0.0
        return number, number, learned["spent"].mean() + slope * (number - known.mean())
    means = learned.astype(float).groupby(then.to_numpy()).mean()
    bought, spent = (now.map(means[name]).fillna(learned[name].mean()).to_numpy(float) for name in ("bought", "spent"))
    return bought, spent, spent


def _figures(windows: Sequence[Window], way: str, horizon: int) -> Iterator[dict[str, Any]]:
    """Yield the measures of a way, and of its segments if it has any."""
    found, alone = [_measures(window, way) for window in windows], apart([window.day for window in windows], horizon)
    for measure in found[0]:
        values = np.array([one[measure] for one in found])
        yield _figure(way, horizon, measure, values.mean(axis=0), len(windows), values[alone, 0])
    if not pd.api.types.is_numeric_dtype(windows[0].now[way]):
        yield from _segments(windows, way, horizon)


def _measures(window: Window, way: str) -> dict[str, np.ndarray]:
    """Return the measures of a way on one day."""
    weights, spent = window.weights, window.spent
    buyer, spender, amount = _forecast(window.earlier[way], window.now[way], window.learned)
    buyers, spenders = tied_ranks(buyer), tied_ranks(spender)
    return {
        "auc": auc(weights, buyers, window.bought),
        "spearman": spearman(weights, spenders, window.ranked),
        "explained": explained(weights, spent, amount, window.learned["spent"].mean()),
        "top_fifth": top_share(weights, spenders, spent),
    }


def _segments(windows: Sequence[Window], way: str, horizon: int) -> Iterator[dict[str, Any]]:
    """Yield lift, spend lift and share of each segment over all days."""
    names = np.array(sorted(set().union(*(window.now[way] for window in windows))))
    found, days = [], np.zeros(len(names), int)
    for window in windows:
        member, weights = window.now[way].to_numpy() == names[:, None], window.weights
        everyone = weights.sum(axis=0)
        size, buyers, money = ((member * values) @ weights for values in (1.0, window.bought, window.spent))
        # of as many customers who are like the average of the day
        usual_buyers, usual_money = (size * (values @ weights / everyone) for values in (window.bought, window.spent))
        found.append(np.stack([buyers, usual_buyers, money, usual_money, size, np.broadcast_to(everyone, size.shape)]))
        days += member.any(axis=1)
    sums, alone = np.sum(found, axis=0), np.stack(found)[apart([window.day for window in windows], horizon), ..., 0]
    for measure, (above, below) in {"lift": (0, 1), "spend_lift": (2, 3), "share": (4, 5)}.items():
        each = _ratio(alone[:, above], alone[:, below], np.nan).T
        for name, values, seen, own in zip(
            names.tolist(), _ratio(sums[above], sums[below], 0.0), days.tolist(), each, strict=True
        ):
            yield _figure(way, horizon, measure, values, seen, own, name)


def _renamed(snapshots: Sequence[Snapshot], purchases: pd.DataFrame, weights: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield, for each way with segments, the share of customers without a purchase between two runs who were renamed."""
    steps: dict[str, list[np.ndarray]] = {}
    for before, after in pairwise(snapshots):
        both = before.ways.index.intersection(after.ways.index)
        horizon = (after.day - before.day).days
        still = both[~outcomes(purchases, before.day, horizon, both)["bought"].to_numpy()]
        drawn = weights.loc[still].to_numpy()
        for way in after.ways.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in after.ways.dtypes]]:
            changed = before.ways.loc[still, way].to_numpy() != after.ways.loc[still, way].to_numpy()
            steps.setdefault(way, []).append(changed @ drawn / np.maximum(drawn.sum(axis=0), 1))
    for way, shares in steps.items():
        yield _figure(way, horizon, "renamed", np.mean(shares, axis=0), len(shares), np.array(shares)[:, 0])


def _figure(way: str, horizon: int, measure: str, values: Any, days: int, each: Any, segment: str = "") -> dict[str, Any]:
    """Return a figure with all its draws, and its value in each window that does not overlap another."""
    named = {"way": str(way), "horizon": horizon, "measure": measure, "segment": segment, "against": ""}
    return {**named, "values": values, "days": days, "each": each}


def _differences(found: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the difference of each way from the default, draw by draw."""
    whole = [one for one in found if not one["segment"]]
    standard = {(one["horizon"], one["measure"]): one for one in whole if one["way"] == DEFAULT}
    for one in whole:
        if one["way"] != DEFAULT and (other := standard.get((one["horizon"], one["measure"]))):
            yield one | {"against": str(DEFAULT)} | {name: one[name] - other[name] for name in ("values", "each")}


def _with_interval(figure: dict[str, Any]) -> dict[str, Any]:
    """Return a figure with its value and `interval`, rounded."""
    found = interval(figure["values"], figure["each"])
    return figure | {name: round(float(one), 6) + 0.0 for name, one in found.items()} | {"windows": found["windows"]}


# ── verdict ──────────────────────────────────────────────────────────────────────────────────────
class Question(NamedTuple):
    """A task of a shop, the measure for it and its name, and which value is best: the largest or the smallest."""

    measure: str
    task: str
    figure: str
    form: str = "{:.3f}"
    best: str = "max"


INTERVALS = "With other customers on these days, a figure would lie in its interval 19 times in 20; other seasons are not in it."
SEASONS = (
    "Of the windows of {horizon} days, {windows} do not overlap; in them the AUC of the default was {least:.3f} to {most:.3f}."
)
WHOLE = "segment == '' and against == ''"  # figures of whole ways: not of segments, and no differences
QUESTIONS = (
    Question("auc", "To predict who buys again", "AUC"),
    Question("spearman", "To put customers in the order of what they will spend", "rank correlation"),
    Question("top_fifth", "To pick the fifth of the customers who bring most", "share of the revenue", "{:.1%}"),
    Question("explained", "To say how much each will spend", "share explained", "{:.1%}"),
    Question("renamed", "To keep the names of customers without a purchase", "renamed from run to run", "{:.2%}", "min"),
)


def verdict(results: pd.DataFrame) -> list[str]:
    """Describe which way is best for each task, and whether the default wins or loses."""
    rows = results.query(f"{WHOLE} and measure == 'auc' and way == '{DEFAULT}'")
    tried = " and ".join(f"on {row.days} for the {row.horizon} days after them" for row in rows.itertuples())
    seasons = " ".join(SEASONS.format(**row) for row in rows.to_dict("records"))
    duels = [_duel(results, way) for way in SEGMENTATIONS if way != DEFAULT and way in set(results["way"])]
    answers = [_answer(results, question) for question in QUESTIONS]
    return [f"Each way was tried on past days: {tried}.", f"{INTERVALS} {seasons}", *duels, *answers]


def comparison(results: pd.DataFrame) -> pd.DataFrame:
    """Return value and interval as text, one row per way, one column per question and horizon."""
    whole = results.query(WHOLE)
    columns = {}
    for question in QUESTIONS:
        for horizon, rows in whole[whole["measure"] == question.measure].groupby("horizon"):
            texts = [interval_text(row, question.form) for row in rows.itertuples()]
            columns[f"{question.figure}, {horizon} days"] = pd.Series(texts, index=rows["way"])
    return pd.DataFrame(columns).reindex(whole["way"].unique()).fillna("").rename_axis("way")


def lifts(results: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return share, lift and spend lift with intervals as text, one row per way and segment."""
    rows = results[(results["segment"] != "") & (results["horizon"] == horizon) & results["way"].isin(SEGMENTATIONS)]
    texts = [interval_text(row, "{:.1%}" if row.measure == "share" else "{:.2f}") for row in rows.itertuples()]
    wide = rows.assign(text=texts).pivot(index=["way", "segment"], columns="measure", values="text")
    order = rows[rows["measure"] == "lift"].sort_values(["way", "value"], ascending=[True, False])
    rows_in_order, columns = pd.MultiIndex.from_frame(order[["way", "segment"]]), ["share", "lift", "spend_lift"]
    return wide.loc[rows_in_order, columns].rename_axis(columns=None)


def _duel(results: pd.DataFrame, other: str) -> str:
    """Describe in how many figures the default is better or worse than another way with segments."""
    rows = results[(results["way"] == other) & (results["against"] == DEFAULT) & (results["measure"] != "renamed")]
    worse, better = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    word = "loses to" if worse > better else "beats" if better > worse else "is level with"
    return (
        f"The default, {DEFAULT}, {word} {other}: of {len(rows)} forecast figures it is worse in {worse}, better in {better} "
        f"and too close to call in {len(rows) - worse - better}."
    )


def _answer(results: pd.DataFrame, question: Question) -> str:
    """Describe the best way for a question, the best with segments, and the default."""
    figures = results[results["measure"] == question.measure]
    rows = figures.query(f"{WHOLE} and way != '{Way.ALIKE}'")
    means = rows.groupby("way", sort=False)["value"].mean() * (1 if question.best == "max" else -1)
    best, best_named = means.idxmax(), means[means.index.isin(SEGMENTATIONS)].idxmax()

    def values(way: str) -> str:
        own = rows[rows["way"] == way]
        return " and ".join(f"{question.form.format(row.value)} over {row.horizon} days" for row in own.itertuples())

    said = f"{question.task}: {best} is best ({question.figure} {values(best)})"
    if best_named != best:
        said += f"; of the ways with segments, {best_named} ({values(best_named)})"
    if DEFAULT not in (best, best_named):
        lead = figures[(figures["way"] == best_named) & (figures["against"] == DEFAULT)]
        behind = lead[lead["low"] > 0 if question.best == "max" else lead["high"] < 0]
        where = f" over {behind['horizon'].iloc[0]} days" if 0 < len(behind) < len(lead) else ""
        said += f"; the default, {DEFAULT}, has {values(DEFAULT)}, {'too close to call' if behind.empty else 'behind'}{where}"
    return said + "."


def interval_text(row: Any, form: str = "{:.3f}") -> str:
    """Return value, interval, and the least and most of the windows that do not overlap, as text."""
    value, low, high, least, most = (form.format(getattr(row, name)) for name in ("value", "low", "high", "least", "most"))
    return f"{value} ({low} to {high}) [{least} to {most} in {row.windows:.0f}]"
