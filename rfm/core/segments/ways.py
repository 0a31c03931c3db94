"""Three ways to segment the same customers, side by side, and how far they agree."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import numpy as np
import pandas as pd

from rfm.agreement import adjusted_rand, crosstab
from rfm.core.segments.describe import medians_of
from rfm.core.segments.rules import ENGAGEMENTS, METRICS, VALUE_TIERS
from rfm.core.segments.scores import rfm_scores
from rfm.schema import TABLES
from rfm.sections import Cutoffs

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
