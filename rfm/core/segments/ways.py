"""Three ways to segment the same customers, side by side, and how far they agree."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import pandas as pd

from rfm.agreement import adjusted_rand, crosstab
from rfm.core.segments.describe import value_engagement
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
