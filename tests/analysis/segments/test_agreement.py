"""How far two ways agree: against scikit-learn, and by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from rfm.analysis.segments.alternatives import WAYS, adjusted_rand, agreement, crosstab, segmentations
from rfm.config import Cutoffs
from rfm.contracts import TABLES

D = dt.date(2025, 6, 30)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_adjusted_rand_index_is_that_of_scikit_learn(pairs):
    first, second = zip(*pairs, strict=True)
    assert adjusted_rand(first, second) == pytest.approx(adjusted_rand_score(first, second), abs=1e-12)
    assert adjusted_rand(second, first) == pytest.approx(adjusted_rand(first, second), abs=1e-12)


def test_names_do_not_matter_and_nothing_in_common_is_about_nothing():
    assert adjusted_rand(["a", "a", "b", "b"], [1, 1, 0, 0]) == 1
    random = np.random.default_rng(0)
    assert abs(adjusted_rand(random.integers(0, 5, 5000), random.integers(0, 5, 5000))) < 0.01
    assert adjusted_rand([], []) == 1


def test_the_table_of_pairs_by_hand():
    assert crosstab(["b", "a", "b"], [1, 2, 2]).tolist() == [[0, 1], [1, 1]]


def customers() -> pd.DataFrame:
    """Return six customers in three segments; medians are 100.00, 3 invoices and 25 days."""
    rows = [("1000", 9, 2), ("200.10", 4, 10), ("150", 4, 20), ("50", 2, 30), ("40", 1, 60), ("40", 1, 60)]
    segments = ["Champions"] * 3 + ["New Customers"] + ["Hibernating"] * 2
    columns = TABLES["customer_rfm_description_and_recommendation"].names
    return pd.DataFrame(
        [
            (f"{n}", D - dt.timedelta(days), days, orders, Decimal(money), 0, D, segment, "tier", "action")
            for n, ((money, orders, days), segment) in enumerate(zip(rows, segments, strict=True))
        ],
        columns=columns,
    )


def test_three_ways_side_by_side():
    table = segmentations(customers())
    assert table.columns.tolist() == TABLES["customer_segmentations"].names
    assert table["Segment"].tolist() == customers()["Cluster_Description"].tolist()
    assert table["ValueTier"].tolist() == ["High", "High", "Growing", "Base", "Base", "Base"]
    assert table["RFMScore"].tolist() == ["555", "444", "343", "333", "111", "111"]
    assert table["ScoreName"].tolist()[-1] == table["ScoreName"].tolist()[-2] == "Lost"


def test_the_shops_cut_offs_move_the_tiers():
    table = segmentations(customers(), Cutoffs(monetary=(1, 4, 5), frequency=(2, 4), recency=3))
    assert table["ValueTier"].tolist() == ["High", "Growing", "Growing", "Base", "Base", "Base"]
    assert table["Engagement"].tolist() == ["Active & Engaged"] + ["Developing"] * 5


def test_agreement_of_each_two_by_hand():
    table = agreement(segmentations(customers()), D)
    assert table.columns.tolist() == TABLES["segmentation_agreement"].names
    assert len(table) == 6
    assert set(table["First"]) == set(table["Second"]) == set(WAYS)
    shares = table.set_index(["First", "Second"])["SameShare"]
    # two of the three Champions are High and engaged, all others of a segment share a tier
    assert shares["segments", "tiers"] == pytest.approx(5 / 6)
    # Base and inactive are one New Customer and two Hibernating
    assert shares["tiers", "segments"] == pytest.approx(5 / 6)
    rand = table.set_index(["First", "Second"])["AdjustedRand"]
    assert all(rand[pair] == rand[pair[::-1]] for pair in rand.index)
