"""Why a cluster or a segment has its name: its numbers, and the cut-offs that decided, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rfm.core.segments.rules import METRICS, decision_of, plain_name, segment_of
from rfm.schema import OUTLIER_LABELS
from rfm.sections import Cutoffs


def cluster_labels(clusters: Sequence[int], segments: Sequence[str]) -> list[str]:
    """Return the segment of each cluster, with what tells clusters of one segment apart.

    Parameters
    ----------
    clusters, segments
        Number and segment of each cluster, in the same order.

    Examples
    --------
    >>> cluster_labels([-1, 0, 1, 2], ["Champions", "Champions", "Hibernating", "Hibernating"])
    ['Champions (spend outlier)', 'Champions', 'Hibernating (cluster 1)', 'Hibernating (cluster 2)']
    """
    regular = [segment for cluster, segment in zip(clusters, segments, strict=True) if cluster >= 0]
    shared = {segment for segment in regular if regular.count(segment) > 1}
    marks = [OUTLIER_LABELS.get(n, f"cluster {n}" if name in shared else "") for n, name in zip(clusters, segments, strict=True)]
    return [f"{name} ({mark})" if mark else name for name, mark in zip(segments, marks, strict=True)]


def explanation(
    values: Sequence[float],
    segment: str,
    medians: Mapping[str, float],
    cutoffs: Cutoffs = Cutoffs(),
    currency: str = "£",
) -> str:
    """Say what the middle customer of a cluster or a segment is like, and which cut-offs give the name.

    Parameters
    ----------
    values
        Medians of Monetary, Frequency and Recency of the cluster or segment.
    segment
        Its name.
    medians
        Of all customers.
    cutoffs
        Multiples of the medians where the bands end.
    currency
        Sign before an amount.

    Returns
    -------
    str
        Where the name is not the one that the cut-offs give (a name can be kept for steadiness), it says so.

    Examples
    --------
    >>> explanation((780, 17, 6), "Super VIP Champions", {"Monetary": 100, "Frequency": 2, "Recency": 54})  # doctest: +ELLIPSIS
    'spends 7.8 × the median, bought 17 times, last seen 6 days ago; cut-offs: spend above £200 (2 ×), ...'
    """
    money, orders, days = values
    middle = medians["Monetary"]
    spends = f"spends {money / middle:.1f} × the median" if middle else f"spent {amount(money, currency)}"
    said = f"{spends}, bought {times(orders)}, last seen {ago(days)}; cut-offs: {_cutoffs(segment, medians, cutoffs, currency)}"
    plain = segment_of(money, orders, days, medians, cutoffs=cutoffs)
    return said if plain == plain_name(segment) else f"{said}; held by the dead band, the cut-offs alone give {plain}"


def _cutoffs(segment: str, medians: Mapping[str, float], cutoffs: Cutoffs, currency: str) -> str:
    """Say between which values spend, invoices and days give a segment."""
    row = decision_of(segment, cutoffs)
    money, orders, days = (medians[name] for name in METRICS)
    spend = _band(row.monetary, [amount(limit * money, currency) for limit in row.monetary])
    often = _band(row.frequency, [number(limit * orders) for limit in row.frequency])
    lately = f"{'below' if segment == row.recent else 'from'} {number(cutoffs.recency * days)} ({cutoffs.recency:g} ×)"
    return f"spend {spend}, invoices {often}, days {lately}"


def _band(band: tuple[float, float], said: Sequence[str]) -> str:
    """Say low < value <= high, in the words for low and high, and which multiples of the median they are."""
    (low, high), (bottom, top) = band, said
    if math.isinf(high):
        return f"above {bottom} ({low:g} ×)"
    return f"up to {top} ({high:g} ×)" if math.isinf(low) else f"above {bottom} up to {top} ({low:g} to {high:g} ×)"


def amount(value: float, currency: str) -> str:
    """Say an amount, whole from ten on.

    Parameters
    ----------
    value
        In the shop's currency.
    currency
        Sign before it.
    """
    return f"{currency}{value:,.{0 if abs(value) >= 10 else 2}f}"


def number(value: float) -> str:
    """Say a number with at most one decimal."""
    return f"{value:,.1f}".removesuffix(".0")


def count(value: float, thing: str) -> str:
    """Say how many things.

    Parameters
    ----------
    value
        How many.
    thing
        What they are called, if it is one.
    """
    return f"{number(value)} {thing}" if value == 1 else f"{number(value)} {thing}s"


def times(orders: float) -> str:
    """Say how many invoices."""
    return "once" if orders == 1 else "twice" if orders == 2 else f"{number(orders)} times"


def ago(days: float) -> str:
    """Say how long ago."""
    return f"{count(days, 'day')} ago" if days else "today"
