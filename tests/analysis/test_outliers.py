"""Outliers: Tukey's fences against numpy, and the marks."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.analysis.outliers import BOTH, FREQUENCY, LABELS, REGULAR, SPEND, Fences, iqr_fences, outlier_clusters

CENTS = st.integers(0, 10**7)
CUSTOMERS = st.lists(st.tuples(CENTS, st.integers(1, 200)), min_size=1, max_size=40)


def gold_of(customers: list[tuple[int, int]], unit: float = 0.25) -> pd.DataFrame:
    """Return gold with spend in quarters, which floats hold exactly."""
    money, orders = zip(*customers, strict=True)
    return pd.DataFrame({"Monetary": [amount * unit for amount in money], "Frequency": orders})


def test_fences_of_numbers_one_can_check() -> None:
    assert iqr_fences(pd.Series([1, 2, 3, 4, 5])) == Fences(-1.0, 7.0)
    assert iqr_fences(pd.Series([1, 2, 3, 4])) == Fences(1.75 - 2.25, 3.25 + 2.25)
    assert iqr_fences(pd.Series([1, 2, 3, 4, 5]), factor=3) == Fences(-4.0, 10.0)


@given(st.lists(CENTS, min_size=1, max_size=50), st.floats(0.1, 5))
def test_fences_equal_numpys(values: list[int], factor: float) -> None:
    q1, q3 = np.quantile(values, [0.25, 0.75])
    expected = (q1 - factor * (q3 - q1), q3 + factor * (q3 - q1))
    assert iqr_fences(pd.Series(values), factor) == pytest.approx(expected, rel=1e-12, abs=1e-9)


def test_all_four_marks() -> None:
    usual = [(100 + n, 2 + n % 3) for n in range(20)]
    marks = outlier_clusters(gold_of([*usual, (9000, 3), (105, 90), (9000, 90)]))
    assert marks.tolist() == [REGULAR] * 20 + [SPEND, FREQUENCY, BOTH]
    assert (REGULAR, SPEND, FREQUENCY, BOTH) == (0, -1, -2, -3)
    assert (marks.name, str(marks.dtype)) == ("Cluster", "int32")


def test_every_mark_of_an_outlier_has_a_name() -> None:
    assert set(LABELS) == {SPEND, FREQUENCY, BOTH}


def test_too_little_is_far_out_too() -> None:
    assert outlier_clusters(gold_of([(1000, 2)] * 9 + [(0, 2)])).tolist() == [0] * 9 + [SPEND]


def test_values_on_the_fence_are_regular() -> None:
    base = [(1, 1), (2, 1), (3, 1), (4, 1)]
    gold = gold_of([*base, (5, 1)], unit=1.0)
    low, high = iqr_fences(gold["Monetary"])
    assert (low, high) == (-1.0, 7.0)
    beside = pd.DataFrame({"Monetary": [2.0, 2.0, 3.0, 4.0, 4.0, 7.0, -1.0], "Frequency": 1})
    assert iqr_fences(beside["Monetary"]) == (-1.0, 7.0)
    assert outlier_clusters(beside).tolist() == [0] * 7
    beyond = beside.assign(Monetary=[2.0, 2.0, 3.0, 4.0, 4.0, 7.01, -1.01])
    assert outlier_clusters(beyond).tolist() == [0] * 5 + [SPEND] * 2


def test_wider_fences_mark_fewer() -> None:
    gold = gold_of([(n, 1) for n in range(20)] + [(40, 1)])
    assert outlier_clusters(gold, 1.0).tolist() == [0] * 20 + [SPEND]
    assert outlier_clusters(gold, 10.0).tolist() == [0] * 21


def test_exact_money_is_understood() -> None:
    gold = pd.DataFrame({"Monetary": [Decimal("1.10")] * 9 + [Decimal("900.00")], "Frequency": [1] * 10})
    assert outlier_clusters(gold).tolist() == [0] * 9 + [SPEND]


@given(CUSTOMERS, st.randoms(use_true_random=False))
def test_order_does_not_matter(customers: list[tuple[int, int]], random: object) -> None:
    gold = gold_of(customers)
    shuffled = gold.sample(frac=1, random_state=random.randint(0, 1000))
    pd.testing.assert_series_equal(outlier_clusters(shuffled).sort_index(), outlier_clusters(gold))


@given(CUSTOMERS, st.sampled_from([0.25, 2, 64]))
def test_the_unit_of_money_does_not_matter(customers: list[tuple[int, int]], scale: float) -> None:
    gold = gold_of(customers)
    scaled = gold.assign(Monetary=gold["Monetary"] * scale)
    assert outlier_clusters(scaled).tolist() == outlier_clusters(gold).tolist()


@given(CUSTOMERS)
def test_the_middle_half_is_regular(customers: list[tuple[int, int]]) -> None:
    gold = gold_of(customers)
    money = gold["Monetary"].between(*gold["Monetary"].quantile([0.25, 0.75]))
    orders = gold["Frequency"].between(*gold["Frequency"].quantile([0.25, 0.75]))
    assert (outlier_clusters(gold)[money & orders] == REGULAR).all()


def test_customers_who_are_all_alike_are_regular() -> None:
    assert outlier_clusters(gold_of([(100, 2)] * 5)).tolist() == [0] * 5
    assert outlier_clusters(gold_of([(100, 2)])).tolist() == [0]


def test_an_empty_frame_gives_no_marks() -> None:
    marks = outlier_clusters(pd.DataFrame({"Monetary": [], "Frequency": []}))
    assert (marks.tolist(), marks.name, str(marks.dtype)) == ([], "Cluster", "int32")


def test_the_input_is_not_changed_and_its_index_kept() -> None:
    gold = gold_of([(1, 1), (2, 2)]).set_index(pd.Index(["a", "b"]))
    before = gold.copy(deep=True)
    assert outlier_clusters(gold).index.tolist() == ["a", "b"]
    pd.testing.assert_frame_equal(gold, before)
