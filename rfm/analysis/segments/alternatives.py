"""Other ways to segment customers (value tiers, RFM scores, their own numbers), and how far they agree with the segments."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import numpy as np
import pandas as pd

from rfm.analysis.segments.profiles import medians_of
from rfm.analysis.segments.rules import ENGAGEMENTS, METRICS, VALUE_TIERS, decisions, within
from rfm.config import Cutoffs
from rfm.contracts import TABLES

# The usual eleven names by recency score, then by value score 1 to 5. Their usual ranges overlap (those of R's `rfm` package,
# for example); each cell has a name whose usual range includes it, the one with the narrower range where two do.
SCORE_NAMES: dict[int, tuple[str, ...]] = {
    5: ("New Customers", "Potential Loyalist", "Loyal Customers", "Champions", "Champions"),
    4: ("Promising", "Potential Loyalist", "Loyal Customers", "Champions", "Champions"),
    3: ("About To Sleep", "About To Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "At Risk"),
    1: ("Lost", "Lost", "At Risk", "Can't Lose Them", "Can't Lose Them"),
}
# Name of a way to segment: the columns of ``customer_segmentations`` that make its groups.
WAYS = {"segments": ["Segment"], "tiers": ["ValueTier", "Engagement"], "scores": ["ScoreName"]}


def value_engagement(gold: pd.DataFrame, cutoffs: Cutoffs = Cutoffs()) -> pd.DataFrame:
    """Return ValueTier (`VALUE_TIERS`) and Engagement (`ENGAGEMENTS`) of each customer, on the index of `gold`.

    Of the multiples of the medians in `cutoffs`, the first two count for spend, and the first for invoices.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.value_engagement(rfm.example("customer_rfm_gold")).value_counts().head(3)
    ValueTier  Engagement
    Base       Inactive            121
               Developing           69
    High       Active & Engaged     45
    Name: count, dtype: int64
    """
    medians = medians_of(gold)
    money, orders, days = (gold[name].astype(float) for name in METRICS)
    growing, high, _ = (multiple * medians["Monetary"] for multiple in cutoffs.monetary)
    value = np.select([money > high, money > growing], VALUE_TIERS[:2], VALUE_TIERS[2])
    recent, often = days < cutoffs.recency * medians["Recency"], orders > cutoffs.frequency[0] * medians["Frequency"]
    engagement = np.select([recent & often, ~recent & often, recent], ENGAGEMENTS[:3], ENGAGEMENTS[3])
    return pd.DataFrame({"ValueTier": value, "Engagement": engagement}, index=gold.index)


def own_segments(gold: pd.DataFrame, cutoffs: Cutoffs = Cutoffs()) -> pd.Series:
    """Return the segment that each customer's own numbers give by the decision table, on the index of `gold`.

    The segment of a customer is that of her cluster, whose median customer named it; her own numbers may give another.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.own_segments(rfm.example("customer_rfm_gold")).head(2).tolist()
    ['New Customers', 'New Customers']
    """
    medians, rows = medians_of(gold), decisions(cutoffs)
    money, orders, days = (gold[name].astype(float).to_numpy() for name in METRICS)
    met = [within(money, row.monetary, medians["Monetary"]) & within(orders, row.frequency, medians["Frequency"]) for row in rows]
    recent = np.select(met, [row.recent for row in rows], "")
    dormant = np.select(met, [row.dormant for row in rows], "")
    return pd.Series(np.where(days < cutoffs.recency * medians["Recency"], recent, dormant), gold.index)


def rfm_scores(gold: pd.DataFrame) -> pd.DataFrame:
    """Return RScore, FScore and MScore (1 to 5, 5 is best), RFMScore ("545") and ScoreName, on the index of `gold`.

    After Hughes (1994), Strategic Database Marketing. Customers with equal values get equal scores.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.rfm_scores(rfm.example("customer_rfm_gold")).head(3)
       RScore  FScore  MScore RFMScore           ScoreName
    0       5       2       1      521  Potential Loyalist
    1       3       3       2      332      Need Attention
    2       5       3       4      534           Champions
    """
    metrics = (-gold["Recency"].astype(float), gold["Frequency"], gold["Monetary"])
    recency, frequency, monetary = (quintile(values) for values in metrics)
    names = np.array([SCORE_NAMES[score] for score in range(1, 6)])[recency - 1, value_score(frequency, monetary) - 1]
    scores = pd.DataFrame({"RScore": recency, "FScore": frequency, "MScore": monetary}, index=gold.index)
    return scores.assign(RFMScore=(100 * recency + 10 * frequency + monetary).astype(str), ScoreName=names)


def value_score(frequency: np.ndarray, monetary: np.ndarray) -> np.ndarray:
    """Return the value score, 1 to 5: the mean of two scores, a half rounded up."""
    return (frequency + monetary + 1) // 2


def quintile(values: pd.Series) -> np.ndarray:
    """Score values from 1 to 5 by fifths of the customers; equal values get equal scores."""
    # The rank of a value is its mid-distribution rank: the share of customers below it, and half the share of those equal to it.
    # So neither ids nor order break a tie, and another unit or a shift changes no score.
    _, place, counts = np.unique(values.astype(float).to_numpy(), return_inverse=True, return_counts=True)
    twice = 2 * np.cumsum(counts) - counts  # twice the rank, so that it is a whole number
    return (5 * twice // (2 * max(1, len(values))) + 1).astype(np.int32)[place]


def segmentations(customers: pd.DataFrame, cutoffs: Cutoffs = Cutoffs()) -> pd.DataFrame:
    """Return ``customer_segmentations``: segments, value tiers with engagement and RFM scores side by side.

    From the columns of ``customer_rfm_description_and_recommendation``.

    Examples
    --------
    >>> import rfm
    >>> ways = rfm.segments.segmentations(rfm.example("customer_rfm_description_and_recommendation"))
    >>> ways[["Segment", "ValueTier", "Engagement", "ScoreName"]].head(3)
             Segment ValueTier  Engagement           ScoreName
    0  New Customers      Base  Developing  Potential Loyalist
    1  New Customers      Base  Developing      Need Attention
    2  New Customers   Growing  Developing           Champions
    """
    named = customers.rename(columns={"Cluster_Description": "Segment"})
    table = pd.concat([named, value_engagement(customers, cutoffs), rfm_scores(customers)], axis=1)
    return table[TABLES["customer_segmentations"].names]


def agreement(ways: pd.DataFrame, run_date: dt.date) -> pd.DataFrame:
    """Return ``segmentation_agreement``: how far each ordered pair of ways in ``customer_segmentations`` agrees.

    AdjustedRand is symmetric. SameShare is the share of customers whose group in `Second` is the most common one among the
    customers of their group in `First`.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> table = rfm.segments.agreement(rfm.example("customer_segmentations"), datetime.date(2025, 10, 23))
    >>> table[["First", "Second", "AdjustedRand"]].head(2).round(2)
          First  Second  AdjustedRand
    0  segments   tiers          0.29
    1  segments  scores          0.22
    """
    from sklearn.metrics import adjusted_rand_score
    from sklearn.metrics.cluster import contingency_matrix

    groups = {name: ways.groupby(columns).ngroup() for name, columns in WAYS.items()}
    rows = []
    for first, second in permutations(WAYS, 2):
        pairs = contingency_matrix(groups[first], groups[second])
        guessed = float(pairs.max(axis=1).sum() / len(ways))
        rows.append((run_date, first, second, adjusted_rand_score(groups[first], groups[second]), guessed))
    return pd.DataFrame(rows, columns=TABLES["segmentation_agreement"].names)
