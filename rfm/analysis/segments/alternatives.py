"""How far two ways of grouping the same customers agree, whatever the groups are called.

The classic RFM scores, 1 to 5, and the eleven usual names: no clusters, no cut-offs, only how customers compare.

Three ways to segment the same customers, side by side, and how far they agree.
"""

from __future__ import annotations

import datetime as dt
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from rfm.analysis.segments.profiles import medians_of
from rfm.analysis.segments.rules import ENGAGEMENTS, METRICS, VALUE_TIERS
from rfm.config import Cutoffs
from rfm.contracts import TABLES


# ── agreement ────────────────────────────────────────────────────────────
def crosstab(first: Any, second: Any) -> Any:
    """Count the customers of each pair of groups."""
    import numpy as np
    import pandas as pd

    (rows, row_names), (columns, column_names) = (pd.factorize(pd.Series(groups), sort=True) for groups in (first, second))
    shape = len(row_names), len(column_names)
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def adjusted_rand(first: Any, second: Any) -> float:
    """Return the adjusted Rand index: 1 for the same groups, about 0 for groups that have nothing to do with each other.

    Of all pairs of customers, the share that both ways treat alike (together, or apart), corrected for chance.
    """
    table = crosstab(first, second)
    together, rows, columns, pairs = (_pairs(part) for part in (table, table.sum(1), table.sum(0), table.sum()))
    expected, most = rows * columns / pairs if pairs else 0.0, (rows + columns) / 2
    return (together - expected) / (most - expected) if most != expected else 1.0


def _pairs(sizes: Any) -> float:
    """Return how many pairs there are within groups of some sizes."""
    return float((sizes * (sizes - 1)).sum() / 2)


# ── scores ────────────────────────────────────────────────────────────
SCORE_NAMES: dict[int, tuple[str, ...]] = {  # recency score: the name by value score, 1 to 5
    5: ("New Customers", "Potential Loyalist", "Loyal Customers", "Champions", "Champions"),
    4: ("Promising", "Potential Loyalist", "Loyal Customers", "Champions", "Champions"),
    3: ("About To Sleep", "About To Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "At Risk"),
    1: ("Lost", "Lost", "At Risk", "Can't Lose Them", "Can't Lose Them"),
}
"""Five rows of five, so every customer has one name and no name is a remainder.

The names are the usual eleven. Their usual ranges overlap (those of the ``rfm`` package for R, say); each cell here
has a name whose usual range holds it, the narrower one where two do.
"""


def rfm_scores(gold: pd.DataFrame) -> pd.DataFrame:
    """Score each customer on recency, frequency and monetary value, and give the usual name.

    Parameters
    ----------
    gold
        One row a customer with Monetary, Frequency, Recency.

    Returns
    -------
    pandas.DataFrame
        RScore, FScore, MScore (1 to 5, 5 is best, see `quintile`; few days count as good), RFMScore ("545") and
        ScoreName, on the index of `gold`.

    References
    ----------
    Hughes (1994), Strategic Database Marketing.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.rfm_scores(rfm.example("customer_rfm_gold")).head(3)
       RScore  FScore  MScore RFMScore           ScoreName
    0       5       2       1      521  Potential Loyalist
    1       3       3       2      332      Need Attention
    2       5       3       4      534           Champions
    """
    scores = [quintile(values) for values in (-gold["Recency"].astype(float), gold["Frequency"], gold["Monetary"])]
    columns = dict(zip(("RScore", "FScore", "MScore"), scores, strict=True))
    names, digits = np.array([SCORE_NAMES[score] for score in range(1, 6)]), np.array(list("012345"), dtype=object)
    recency, frequency, monetary = scores
    columns["RFMScore"] = digits[recency] + digits[frequency] + digits[monetary]
    columns["ScoreName"] = names[recency - 1, value_score(frequency, monetary) - 1]
    return pd.DataFrame(columns, index=gold.index)


def value_score(frequency: np.ndarray, monetary: np.ndarray) -> np.ndarray:
    """Return the value score, 1 to 5: the mean of two scores, a half rounded up."""
    return (frequency + monetary + 1) // 2


def quintile(values: pd.Series) -> np.ndarray:
    """Score values 1 to 5 by the fifth of the customers in which they stand; equal values get equal scores.

    A value stands at its mid-distribution rank: the share of customers below it and half the share of those equal to it.
    So nothing is broken by id or order, a value that a third of the customers share stands in the middle of its third,
    and a shift or another unit changes nothing. Without ties each score has a fifth of the customers; with ties the fifths
    are as even as equal scores allow, and one may stay empty.
    """
    _, place, counts = np.unique(values.astype(float).to_numpy(), return_inverse=True, return_counts=True)
    twice = 2 * np.cumsum(counts) - counts  # twice the number below, and once those equal: whole numbers
    return (5 * twice // (2 * max(1, len(values))) + 1).astype(np.int32)[place]


# ── ways ────────────────────────────────────────────────────────────
WAYS = {"segments": ["Segment"], "tiers": ["ValueTier", "Engagement"], "scores": ["ScoreName"]}
"""Name of a way, the columns of ``customer_segmentations`` that make its groups."""


def segmentations(customers: pd.DataFrame, cutoffs: Cutoffs = Cutoffs()) -> pd.DataFrame:
    """Put the three ways side by side: segment of the cluster, value tier and engagement, RFM scores.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_description_and_recommendation``.
    cutoffs
        The shop's own, see `value_engagement`.

    Returns
    -------
    pandas.DataFrame
        Columns of ``customer_segmentations``, a row for every customer.

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
    """Say how far each two of the three ways agree.

    Parameters
    ----------
    ways
        Columns of ``customer_segmentations``, at least one row.
    run_date
        Becomes UpdateDate.

    Returns
    -------
    pandas.DataFrame
        Columns of ``segmentation_agreement``, a row for each ordered pair. AdjustedRand is the same both ways; SameShare
        is the share of customers whose group in `Second` is guessed right from their group in `First`, by naming the
        one most of them are in.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> table = rfm.segments.agreement(rfm.example("customer_segmentations"), datetime.date(2025, 10, 23))
    >>> table[["First", "Second", "AdjustedRand"]].head(2).round(2)
          First  Second  AdjustedRand
    0  segments   tiers          0.31
    1  segments  scores          0.24
    """
    groups = {name: ways.groupby(columns).ngroup() for name, columns in WAYS.items()}
    rows = [
        (run_date, *pair, adjusted_rand(*(groups[way] for way in pair)), _guessed(*(groups[way] for way in pair)))
        for pair in permutations(WAYS, 2)
    ]
    return pd.DataFrame(rows, columns=TABLES["segmentation_agreement"].names)


def _guessed(first: pd.Series, second: pd.Series) -> float:
    """Return the share of customers in the commonest group of the second way among those of their group in the first."""
    return float(crosstab(first, second).max(axis=1).sum() / len(first))


def value_engagement(gold: pd.DataFrame, cutoffs: Cutoffs = Cutoffs()) -> pd.DataFrame:
    """Put each customer into a value tier and an engagement, without any clustering.

    Parameters
    ----------
    gold
        One row a customer with Monetary, Frequency, Recency.
    cutoffs
        Multiples of the medians: growing and high spend, often, recent are the first ones.

    Returns
    -------
    pandas.DataFrame
        ValueTier (`VALUE_TIERS`) and Engagement (`ENGAGEMENTS`) on the index of `gold`.

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
