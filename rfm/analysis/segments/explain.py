"""Explain in words why a cluster, a segment or a customer is named so, and what would move a customer to another segment."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rfm.analysis.clustering import Model
from rfm.analysis.formatting import ago, amount, count, decimal, number, times
from rfm.analysis.outliers import LABELS, words_of
from rfm.analysis.segments.rules import METRICS, decision_of, plain_name, segment_of
from rfm.config import Cutoffs
from rfm.contracts import TABLES
from rfm.words import N_, _

_HELD_AS = N_("held by the dead band, the cut-offs alone give {segment}")
HELD = _HELD_AS.partition(" {")[0]  # in an explanation, before the other name


def cluster_labels(clusters: Sequence[int], segments: Sequence[str]) -> list[str]:
    """Return a label for each cluster: its segment, and its number or kind of outlier where clusters share a segment.

    Examples
    --------
    >>> cluster_labels([-1, 0, 1, 2], ["Champions", "Champions", "Hibernating", "Hibernating"])
    ['Champions (spend outlier)', 'Champions', 'Hibernating (cluster 1)', 'Hibernating (cluster 2)']
    """
    regular = [segment for cluster, segment in zip(clusters, segments, strict=True) if cluster >= 0]
    shared = {segment for segment in regular if regular.count(segment) > 1}
    numbered = _("{segment} (cluster {n})")
    labels = [LABELS.get(n, numbered if name in shared else "{segment}") for n, name in zip(clusters, segments, strict=True)]
    return [_(label).format(segment=name, n=n) for label, name, n in zip(labels, segments, clusters, strict=True)]


def explanation(
    values: Sequence[float], segment: str, medians: Mapping[str, float], cutoffs: Cutoffs = Cutoffs(), currency: str = "£"
) -> str:
    """Describe the median customer (Monetary, Frequency, Recency) of a cluster or segment, and the cut-offs of its name.

    If the cut-offs alone give another name (one can be kept for stability), the text says so.

    Examples
    --------
    >>> explanation((780, 17, 6), "Super VIP Champions", {"Monetary": 100, "Frequency": 2, "Recency": 54})  # doctest: +ELLIPSIS
    'spends 7.8 × the median, bought 17 times, last seen 6 days ago; cut-offs: spend above £200 (2 ×), ...'
    """
    money, orders, days = values
    middle = medians["Monetary"]
    times_median, spent = _("spends {n} × the median"), _("spent {amount}")
    spends = times_median.format(n=decimal(money / middle, 1)) if middle else spent.format(amount=amount(money, currency))
    said = _("{spends}, bought {times}, last seen {ago}", spends=spends, times=times(orders), ago=ago(days))
    said = f"{said}; {_cutoffs(segment, medians, cutoffs, currency)}"
    plain = segment_of(money, orders, days, medians, cutoffs=cutoffs)
    return said if plain == plain_name(segment) else f"{said}; {_(_HELD_AS, segment=plain)}"


def _cutoffs(segment: str, medians: Mapping[str, float], cutoffs: Cutoffs, currency: str) -> str:
    """Describe the bands of spend, invoices and days that give a segment."""
    row = decision_of(segment, cutoffs)
    money, orders, days = (medians[name] for name in METRICS)
    spend = _band(row.monetary, [amount(limit * money, currency) for limit in row.monetary])
    often = _band(row.frequency, [number(limit * orders) for limit in row.frequency])
    lately = _("below {amount} ({n} ×)") if segment == row.recent else _("from {amount} ({n} ×)")
    lately = lately.format(amount=number(cutoffs.recency * days), n=format(cutoffs.recency, "g"))
    return _("cut-offs: spend {spend}, invoices {often}, days {lately}", spend=spend, often=often, lately=lately)


def _band(band: tuple[float, float], said: Sequence[str]) -> str:
    """Describe low < value <= high by the texts for low and high and the multiples of the median."""
    (low, high), (bottom, top) = band, said
    if math.isinf(high):
        return _("above {amount} ({n} ×)", amount=bottom, n=format(low, "g"))
    if math.isinf(low):
        return _("up to {amount} ({n} ×)", amount=top, n=format(high, "g"))
    both = {"amount": bottom, "amount2": top, "n": f"{low:g}", "n2": f"{high:g}"}
    return _("above {amount} up to {amount2} ({n} to {n2} ×)", **both)


# ── customers ────────────────────────────────────────────────────────────────────────────────────
HORIZON = 365  # days ahead


def explain_customers(customers: pd.DataFrame, described: pd.DataFrame, model: Model, currency: str = "£") -> pd.DataFrame:
    """Return ``customer_explanations``: why each customer is in its segment, and what would move it to the next one.

    From ``customer_rfm_description_and_recommendation``, ``cluster_description_and_recommendation`` and the model of the day:
    another order of the customer's usual size, and days without one, are assigned by it. Distance is the simplified silhouette
    of Hruschka, de Castro and Campello (2004): with a and b the distances to the nearest centroid of the own and of another
    segment, (b − a) / max(a, b).

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> models = rfm.Model.kept(rfm.example("cluster_models"), day)
    >>> customers = rfm.example("customer_rfm_description_and_recommendation")
    >>> described = rfm.example("cluster_description_and_recommendation")
    >>> why = rfm.segments.explain_customers(customers, described, models[day])
    >>> why["Why"].iloc[0].split("; ")[1:]
    ['next is Hibernating, 3.9 × as far', 'no order for another 14 days: Hibernating']
    """
    ahead = next_segment(customers, described, model)
    because, then = _because(customers, described, model, currency), _then(customers, ahead, currency)
    added = customers[["CustomerID", "UpdateDate"]].assign(
        Why=[first + second for first, second in zip(because, then, strict=True)],
        Next_Segment=[name or None for name in ahead["next_segment"]],
        Distance=ahead["distance"].to_numpy(),
    )
    return added[TABLES["customer_explanations"].names]


def held_against(customers: pd.DataFrame, described: pd.DataFrame) -> pd.Series:
    """Return the name that the decision table gives the cluster of each customer who bears another; empty for all others.

    From ``customer_rfm_description_and_recommendation`` and ``cluster_description_and_recommendation``.

    Examples
    --------
    >>> import rfm
    >>> customers = rfm.example("customer_rfm_description_and_recommendation")
    >>> held = rfm.segments.held_against(customers, rfm.example("cluster_description_and_recommendation"))
    >>> int((held != "").sum())
    10
    """
    plain = described["Explanation"].fillna("").map(lambda text: text.partition(HELD)[2].strip())  # none in older tables
    given = customers["Cluster"].map(plain.where(plain != "", described["Cluster_Description"]).set_axis(described["Cluster"]))
    bears = customers["Cluster_Description"].map(plain_name)
    return given.where(given.map(plain_name) != bears, "").fillna("")


def next_segment(customers: pd.DataFrame, described: pd.DataFrame, model: Model) -> pd.DataFrame:
    """Find the nearest other segment of each customer, and the segments after an order and without one."""
    names = dict(zip(described["Cluster"].tolist(), described["Cluster_Description"], strict=True))
    values = customers[list(METRICS)].astype(float)
    segment = _named(customers["Cluster"].to_numpy(), names)  # of the cluster: a customer may wait for its name
    squared = model.distances(values.to_numpy()) ** 2
    centroids = _named(np.arange(squared.shape[1]), names)
    squared[:, centroids == ""] = np.inf  # a centroid without a customer has no segment
    settled = model.predict(values) == customers["Cluster"].to_numpy()
    usual = values["Monetary"] / values["Frequency"]
    after_order = values.assign(Monetary=values["Monetary"] + usual, Frequency=values["Frequency"] + 1, Recency=0.0)
    ordered = _named(model.predict(after_order), names)
    days, later = _without_order(squared, -2 * np.asarray(model.centroids)[:, 2] / model.scale[2] ** 2, segment, centroids)
    regular = customers["Cluster"].to_numpy() >= 0
    shown = regular & settled & (days <= HORIZON)
    allowed = np.where(regular[:, None], squared, np.inf)
    nearest, distance = _nearest(allowed, segment[:, None] == centroids, centroids)
    found = {"next_segment": nearest, "distance": distance, "after_order": np.where(settled & (ordered != segment), ordered, "")}
    return pd.DataFrame(found | {"after_days": np.where(shown, later, ""), "days": np.where(shown, days, np.nan)})


def _nearest(squared: np.ndarray, own: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the segment of the nearest centroid of another segment, and the simplified silhouette."""
    others = np.where(own, np.inf, squared)
    inside, outside = np.sqrt(np.where(own, squared, np.inf).min(axis=1)), np.sqrt(others.min(axis=1))
    known, widest = np.isfinite(outside), np.maximum(inside, outside)
    distance = np.full(len(squared), np.nan)
    distance[known] = (outside[known] - inside[known]) / np.where(widest[known] > 0, widest[known], 1)
    return np.where(known, centroids[others.argmin(axis=1)], ""), distance


def _named(clusters: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    """Return the segments of clusters; empty for a cluster without customers."""
    return np.array([names.get(cluster, "") for cluster in clusters.tolist()], dtype=object)


def _without_order(
    squared: np.ndarray, slope: np.ndarray, segment: np.ndarray, centroids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return after how many days without an order a centroid of another segment is the nearest, and that segment."""
    # The difference of the squared distances to two centroids is linear in time, so the first day is exact: the first on
    # which a centroid of another segment is nearer than all of the own.
    days, later = np.full(len(squared), np.inf), np.full(len(squared), "", dtype=object)
    for name in set(centroids) - {""}:
        rows, own = np.flatnonzero(segment == name), np.flatnonzero(centroids == name)
        for other in np.flatnonzero((centroids != name) & (centroids != "")):
            day = _first_day(squared[np.ix_(rows, [other])] - squared[np.ix_(rows, own)], slope[own] - slope[other])
            sooner = day < days[rows]
            days[rows[sooner]], later[rows[sooner]] = day[sooner], centroids[other]
    return days, later


def _first_day(ahead: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Return the first whole day t > 0 with ahead < gain · t in all columns; infinite where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = ahead / gain
    after = np.where(gain > 0, crossing, np.where((gain == 0) & (ahead >= 0), np.inf, -np.inf)).max(axis=1)
    before = np.where(gain < 0, crossing, np.inf).min(axis=1)
    day = np.floor(np.maximum(after, 0)) + 1
    return np.where(day < before, day, np.inf)


def _because(customers: pd.DataFrame, described: pd.DataFrame, model: Model, currency: str) -> list[str]:
    """Describe each customer and its cluster."""
    where = {row["Cluster"]: _cluster(row, model, currency) for row in described.to_dict("records")}
    money, orders, days = (customers[name].astype(float).tolist() for name in METRICS)
    sentence = _("spent {amount}, bought {times}, last seen {ago}: {where}")
    held = "{said}; " + _("the name {segment} is held for now, the numbers of today give {other}")
    said = [
        sentence.format(amount=amount(spent, currency), times=times(n), ago=ago(day), where=where[cluster])
        for spent, n, day, cluster in zip(money, orders, days, customers["Cluster"].tolist(), strict=True)
    ]
    given = customers["Cluster"].map(described.set_index("Cluster")["Cluster_Description"])
    names = zip(said, customers["Cluster_Description"], given, strict=True)
    return [held.format(said=one, segment=own, other=other) if own != other else one for one, own, other in names]


def _cluster(row: Mapping[Hashable, Any], model: Model, currency: str) -> str:
    """Describe a cluster and its median customer."""
    mark = row["Cluster"]
    regular = _("closest to cluster {n} (its middle customer: {amount}, {invoices}, {days}), so {segment}")
    apart = _("{outlier}, kept apart in cluster {n} (its middle customer: {amount}, {invoices}, {days}), so {segment}")
    return (apart if mark < 0 else regular).format(
        outlier=words_of(mark, model.fences, currency) if mark < 0 else "",
        n=mark,
        amount=amount(row["MedianMonetary"], currency),
        invoices=count(row["MedianFrequency"], "invoice"),
        days=count(row["MedianRecency"], "day"),
        segment=row["Cluster_Description"],
    )


def _then(customers: pd.DataFrame, ahead: pd.DataFrame, currency: str) -> list[str]:
    """Describe the next segment and what would move each customer there; empty if no event would."""
    usual = (customers["Monetary"].astype(float) / customers["Frequency"].astype(float)).tolist()
    order_now = _("another order of its usual {amount} today: {segment}")
    no_order = _("no order for another {days}: {segment}")
    return [
        (f"; {_next(near, far)}" if near else "")
        + (f"; {order_now.format(amount=amount(order, currency), segment=ordered)}" if ordered else "")
        + (f"; {no_order.format(days=count(days, 'day'), segment=later)}" if later else "")
        for order, near, far, ordered, later, days in zip(usual, *(ahead[name].tolist() for name in ahead), strict=True)
    ]


def _next(segment: str, distance: float) -> str:
    """Describe the next segment and its distance."""
    if distance < 0:
        return _("{segment} is nearer by now, but not clearly", segment=segment)
    if distance > 0.9:
        return _("next is {segment}, over 10 × as far", segment=segment)
    return _("next is {segment}, {n} × as far", segment=segment, n=decimal(1 / (1 - distance), 1))
