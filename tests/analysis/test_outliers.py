"""Who is kept out of the fit: outliers by Tukey's fences, and by choice bulk orders and tests; all still assigned."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.analysis.clustering import cluster
from rfm.analysis.outliers import (
    BOTH,
    FREQUENCY,
    LABELS,
    REGULAR,
    SPEND,
    Fences,
    fences_of,
    fit_exclusions,
    headline,
    iqr_fences,
    marks_of,
    outlier_clusters,
    words_of,
)
from rfm.config import Clusters, Exclusions
from rfm.contracts import TABLES, conform
from rfm.errors import SettingsError
from rfm.settings import load_settings

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


def test_other_customers_are_marked_by_kept_fences() -> None:
    fences = {"Monetary": Fences(0, 10), "Frequency": Fences(1, 3)}
    values = {"Monetary": np.array([0.0, 10.5, 5.0, 11.0]), "Frequency": np.array([3.0, 1.0, 4.0, 0.0])}
    assert marks_of(values, fences).tolist() == [REGULAR, SPEND, FREQUENCY, BOTH]
    assert marks_of(values, {"Frequency": fences["Frequency"]}).tolist() == [REGULAR, REGULAR, FREQUENCY, FREQUENCY]
    assert marks_of(values, {}).tolist() == [REGULAR] * 4


def test_fences_travel_with_the_marks() -> None:
    gold = gold_of([(n, 1 + n % 3) for n in range(20)])
    assert outlier_clusters(gold, 2.0).attrs["fences"] == fences_of(gold, Clusters(iqr_factor=2.0))


def test_an_outlier_in_words_says_what_would_be_regular() -> None:
    fences = {"Monetary": (0.0, 1234.6), "Frequency": (1.0, 1.0)}
    assert words_of(SPEND, fences, "£") == "a spend outlier (regular is up to £1,235)"
    assert words_of(BOTH, fences, "£") == "a spend and frequency outlier (regular is up to £1,235 and 1 invoice)"
    assert words_of(FREQUENCY, {}, "£") == "a frequency outlier"


# ── exclusions ─────────────────────────────────────────────────────────────────────────────────────
D = dt.date(2025, 6, 30)
LINES = [  # customer, invoice, code, pieces, amount, day, cancelled
    ("1", "500001", "85048", 900, "90.00", 26, False),
    ("1", "500001", "21232", 200, "30.00", 26, False),
    ("1", "500002", "21232", 1, "9.99", 27, False),
    ("2", "500003", "TEST001", 1, "4.50", 27, False),
    ("2", "500004", "TEST001", 5, "22.50", 28, False),
    ("3", "C50005", "85048", 9000, "9000.00", 28, True),
    ("4", "500006", "85048", 10, "500.00", 30, False),
    (None, "500007", "TEST001", 5000, "5000.00", 28, False),
]
BULK_AND_TESTS = Exclusions(bulk_amount=119.99, bulk_quantity=1000, test_pattern="^TEST")


def lines_of(lines: list[tuple] = LINES) -> list[dict]:
    names = ("CustomerID", "InvoiceNo", "StockCode", "Quantity", "TotalPrice", "InvoiceDate", "IsCancellation")
    found = [dict(zip(names, line, strict=True)) for line in lines]
    return [
        row | {"TotalPrice": Decimal(row["TotalPrice"]), "InvoiceDate": dt.date(2025, 6, row["InvoiceDate"])} for row in found
    ]


def excluded(engine, options: Exclusions, day: dt.date = D) -> list[tuple]:
    found = fit_exclusions(engine.frame(lines_of(), "retail_transactions_silver"), day, options)
    return conform(TABLES["fit_exclusions"], found).rows()


def test_each_reason_is_counted_and_named(engine):
    assert excluded(engine, BULK_AND_TESTS) == [
        ("1", D, "bulk order", 1, Decimal("120.00")),
        ("2", D, "test transaction", 2, Decimal("27.00")),
        ("4", D, "bulk order", 1, Decimal("500.00")),
    ]


def test_an_order_at_the_limit_is_no_bulk_order(engine):
    assert excluded(engine, Exclusions(bulk_amount=500)) == []
    assert [row[0] for row in excluded(engine, Exclusions(bulk_quantity=1099))] == ["1"]
    assert excluded(engine, Exclusions(bulk_quantity=1100)) == []


def test_later_sales_are_not_seen(engine):
    assert excluded(engine, Exclusions(bulk_amount=200), dt.date(2025, 6, 29)) == []


def test_off_by_default_and_silver_is_not_read():
    found = fit_exclusions(object(), D)
    assert conform(TABLES["fit_exclusions"], found).is_empty()
    assert headline(found) == "no customer is kept out of the fit"


def test_the_headline_counts_customers_and_reasons(engine):
    found = fit_exclusions(engine.frame(lines_of(), "retail_transactions_silver"), D, BULK_AND_TESTS)
    assert headline(found) == "3 customer(s) kept out of the fit: 2 for a bulk order, 1 for a test transaction"


def test_who_is_left_out_shapes_no_cluster_and_gets_one():
    random = np.random.default_rng(2)
    days = random.integers(1, 90, 60)
    gold = pd.DataFrame({"CustomerID": [f"{n:03}" for n in range(60)], "Recency": days, "Frequency": random.integers(1, 9, 60)})
    gold["Monetary"] = random.uniform(10, 900, 60).round(2)
    gold["MaxInvoiceDate"] = [D - dt.timedelta(days=int(n)) for n in days]
    marks, options = pd.Series(0, index=gold.index), Clusters(k_max=5)
    without = cluster(gold[5:], marks[5:], D, options)
    found = cluster(gold, marks, D, options, left_out=["000", "001", "002", "003", "004"])
    assert found.model.centroids == without.model.centroids
    assert found.customers["Cluster"].tolist()[:5] == found.model.predict(gold[:5]).tolist()


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(SettingsError, match=r"exclusions\.test_pattern: is not a regular expression"):
        load_settings(exclusions={"test_pattern": "("})
