"""Alternatives: RFM scores and their eleven names, the three ways side by side, how far they agree."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.analysis.segments.alternatives import SCORE_NAMES, WAYS, agreement, quintile, rfm_scores, segmentations, value_score
from rfm.config import Cutoffs
from rfm.contracts import TABLES

D = dt.date(2025, 6, 30)
NAMES = "Champions/Loyal Customers/Potential Loyalist/New Customers/Promising/Need Attention/About To Sleep/At Risk/"
NAMES += "Can't Lose Them/Hibernating/Lost"
USUAL = {  # name: lowest and highest recency score, lowest and highest of value, as they are usually given (they overlap)
    "Champions": (4, 5, 4, 5),
    "Loyal Customers": (2, 5, 3, 5),
    "Potential Loyalist": (3, 5, 1, 3),
    "New Customers": (4, 5, 1, 1),
    "Promising": (3, 4, 1, 1),
    "Need Attention": (2, 3, 2, 3),
    "About To Sleep": (2, 3, 1, 2),
    "At Risk": (1, 2, 2, 5),
    "Can't Lose Them": (1, 1, 4, 5),
    "Hibernating": (1, 2, 1, 2),
    "Lost": (1, 2, 1, 2),
}
VALUES = st.lists(st.integers(0, 30), min_size=1, max_size=60)


def gold(*customers: tuple[float, int, int]) -> pd.DataFrame:
    """Return customers of (spend, invoices, days)."""
    return pd.DataFrame(customers, columns=["Monetary", "Frequency", "Recency"])


def name_of(recency: int, frequency: int, monetary: int) -> str:
    return SCORE_NAMES[recency][int(value_score(np.array(frequency), np.array(monetary))) - 1]


# ── names ──────────────────────────────────────────────────────────────────────────────────────────
def test_all_125_combinations_have_one_of_the_eleven_names():
    found = Counter(name_of(*scores) for scores in product(range(1, 6), repeat=3))
    assert set(found) == set(NAMES.split("/")) == set(USUAL)
    assert sum(found.values()) == 125
    assert {score: len(row) for score, row in SCORE_NAMES.items()} == dict.fromkeys((5, 4, 3, 2, 1), 5)


@pytest.mark.parametrize(("recency", "value"), list(product(range(1, 6), repeat=2)))
def test_every_name_stands_within_its_usual_range(recency, value):
    low_recency, high_recency, low, high = USUAL[SCORE_NAMES[recency][value - 1]]
    assert low_recency <= recency <= high_recency
    assert low <= value <= high


@pytest.mark.parametrize(
    ("scores", "name"),
    [
        ((5, 5, 5), "Champions"),
        ((4, 5, 4), "Champions"),  # 4.5 is 5
        ((3, 4, 4), "Loyal Customers"),
        ((5, 1, 1), "New Customers"),
        ((5, 1, 2), "Potential Loyalist"),  # 1.5 is 2
        ((1, 5, 5), "Can't Lose Them"),
        ((1, 1, 1), "Lost"),
    ],
)
def test_names_by_hand(scores, name):
    assert name_of(*scores) == name


# ── scores ─────────────────────────────────────────────────────────────────────────────────────────
def test_five_customers_without_ties_get_one_to_five():
    table = rfm_scores(gold((10, 1, 90), (20, 2, 60), (30, 3, 40), (40, 4, 20), (50, 5, 1)))
    assert table["RFMScore"].tolist() == ["111", "222", "333", "444", "555"]
    assert table["ScoreName"].tolist() == ["Lost", "Hibernating", "Need Attention", "Champions", "Champions"]


def test_a_third_with_one_order_gets_one_score():
    orders = pd.Series([1] * 33 + [2] * 18 + [3] * 12 + list(range(4, 41)))
    scores = quintile(orders)
    assert set(scores[:33]) == {1}
    assert set(scores[33:51]) == {3}  # in the middle of the 34th to the 51st of a hundred
    assert np.bincount(scores, minlength=6).tolist()[1:] == [33, 0, 30, 17, 20]


@given(VALUES)
def test_equal_values_get_equal_scores_and_larger_never_less(values):
    scores = dict(zip(values, quintile(pd.Series(values)), strict=True))
    assert [scores[value] for value in values] == quintile(pd.Series(values)).tolist()
    ordered = [scores[value] for value in sorted(scores)]
    assert ordered == sorted(ordered)
    assert set(ordered) <= {1, 2, 3, 4, 5}


@given(VALUES, st.randoms(use_true_random=False))
def test_order_unit_and_shift_change_nothing(values, random):
    scores = quintile(pd.Series(values))
    assert quintile(pd.Series(values) * 100 + 7).tolist() == scores.tolist()
    shuffled = random.sample(range(len(values)), len(values))
    assert quintile(pd.Series(values).iloc[shuffled]).tolist() == scores[shuffled].tolist()


@given(st.sets(st.integers(0, 10**6), min_size=5, max_size=80))
def test_without_ties_each_score_has_a_fifth(values):
    counts = np.bincount(quintile(pd.Series(sorted(values))), minlength=6)[1:]
    assert counts.max() - counts.min() <= 1


def test_customers_all_alike_are_in_the_middle():
    assert quintile(pd.Series([7, 7, 7])).tolist() == [3, 3, 3]
    assert quintile(pd.Series([], dtype=float)).tolist() == []


def test_index_and_input_are_kept():
    given_ = gold((10, 1, 90), (20, 2, 60)).set_axis([7, 3])
    before = given_.copy(deep=True)
    assert rfm_scores(given_).index.tolist() == [7, 3]
    pd.testing.assert_frame_equal(given_, before)


# ── agreement ──────────────────────────────────────────────────────────────────────────────────────
def six_customers() -> pd.DataFrame:
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
    table = segmentations(six_customers())
    assert table.columns.tolist() == TABLES["customer_segmentations"].names
    assert table["Segment"].tolist() == six_customers()["Cluster_Description"].tolist()
    assert table["ValueTier"].tolist() == ["High", "High", "Growing", "Base", "Base", "Base"]
    assert table["RFMScore"].tolist() == ["555", "444", "343", "333", "111", "111"]
    assert table["ScoreName"].tolist()[-1] == table["ScoreName"].tolist()[-2] == "Lost"


def test_the_shops_cut_offs_move_the_tiers():
    table = segmentations(six_customers(), Cutoffs(monetary=(1, 4, 5), frequency=(2, 4), recency=3))
    assert table["ValueTier"].tolist() == ["High", "Growing", "Growing", "Base", "Base", "Base"]
    assert table["Engagement"].tolist() == ["Active & Engaged"] + ["Developing"] * 5


def test_agreement_of_each_two_by_hand():
    table = agreement(segmentations(six_customers()), D)
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
