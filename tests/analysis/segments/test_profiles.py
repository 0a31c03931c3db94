"""Segments: the table of the specification row by row, and that it leaves no gap and no overlap."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from itertools import product

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rfm
from rfm.analysis import segments
from rfm.analysis.segments.alternatives import value_engagement
from rfm.analysis.segments.explain import HELD, held_against
from rfm.analysis.segments.profiles import (
    describe_clusters,
    describe_customers,
    medians_of,
    summarise_clusters,
    summarise_segments,
)
from rfm.analysis.segments.rules import (
    CLUSTER_NAMES,
    DECISIONS,
    ENGAGEMENTS,
    RECOMMENDATIONS,
    SEGMENTS,
    TIER_OF,
    TIERS,
    VALUE_TIERS,
    segment_of,
)
from rfm.contracts import TABLES
from rfm.errors import InputError, SettingsError

D = dt.date(2025, 6, 30)
MEDIANS = {"Monetary": 100.0, "Frequency": 10.0, "Recency": 50.0}

# M and F as multiples of the median customer's, in each row once inside and once on the boundary that belongs to it
BY_ROW = [
    ((2.01, 9.0), (2.1, 9.0), "Super VIP Champions", "VIP At Risk"),
    ((4.01, 9.0), (1.1, 2.0), "Ultra High Value Active", "Ultra High Value At Risk"),
    ((4.01, 9.0), (0.1, 1.0), "Ultra Big Spenders", "Dormant Ultra High Value"),
    ((2.01, 4.0), (1.1, 2.0), "High Value Active", "High Value At Risk"),
    ((2.01, 4.0), (0.1, 1.0), "Big Spenders", "Dormant High Value"),
    ((1.01, 2.0), (2.1, 9.0), "Super Frequent Active", "Super Frequent At Risk"),
    ((1.01, 2.0), (1.1, 2.0), "Champions", "Loyal Customers At Risk"),
    ((1.01, 2.0), (0.1, 1.0), "Potential Loyalists", "At Risk Customers"),
    ((0.0, 1.0), (2.1, 9.0), "Frequent Low Value", "At Risk Frequent"),
    ((0.0, 1.0), (1.1, 2.0), "Frequent Buyers", "Cannot Lose Them"),
    ((0.0, 1.0), (0.1, 1.0), "New Customers", "Hibernating"),
]


@pytest.mark.parametrize(("money", "orders", "recent", "dormant"), BY_ROW, ids=[row[2] for row in BY_ROW])
def test_the_table_row_by_row(money: tuple, orders: tuple, recent: str, dormant: str) -> None:
    for m, f in product(money, orders):
        values = 100 * m, 10 * f
        assert {segment_of(*values, days, MEDIANS) for days in (0, 49.9)} == {recent}
        assert {segment_of(*values, days, MEDIANS) for days in (50, 51, 900)} == {dormant}


def test_the_example_of_the_specification() -> None:
    medians = {"Monetary": 800, "Frequency": 4, "Recency": 60}
    assert segment_of(1500, 8, 45, medians) == "Champions"
    assert segment_of(1600.01, 8.5, 45, medians) == "Super VIP Champions"


def test_only_spend_outliers_are_premium_dormant() -> None:
    names = {cluster: segment_of(300, 5, 60, MEDIANS, cluster) for cluster in (-3, -2, -1, 0, 1)}
    assert names == dict.fromkeys((-3, -2, 0, 1), "Dormant High Value") | {-1: "Premium Dormant Customers"}
    assert segment_of(300, 5, 40, MEDIANS, -1) == "Big Spenders"
    assert segment_of(500, 5, 60, MEDIANS, -1) == "Dormant Ultra High Value"


def holds(value: float, band: tuple[float, float], median: float) -> bool:
    low, high = (limit if math.isinf(limit) else limit * median for limit in band)
    return low < value <= high


def names_that_match(money: float, orders: float, days: float, medians: dict[str, float]) -> list[str]:
    rows = [row for row in DECISIONS if holds(money, row.monetary, medians["Monetary"])]
    rows = [row for row in rows if holds(orders, row.frequency, medians["Frequency"])]
    return [row.recent if days < medians["Recency"] else row.dormant for row in rows]


def test_a_grid_of_metrics_reaches_every_name_once() -> None:
    ratios = (0, 0.5, 0.999, 1, 1.001, 1.5, 2, 2.001, 3, 4, 4.001, 9)
    reached = set()
    for m, f, r in product(ratios, ratios, (0, 1, 2)):
        values = 100 * m, 10 * f, 50 * r
        assert names_that_match(*values, MEDIANS) == [segment_of(*values, MEDIANS)]
        reached |= {segment_of(*values, MEDIANS, cluster) for cluster in (-1, 0)}
    assert reached == set(SEGMENTS)


NUMBERS = st.floats(0, 1e9, allow_subnormal=False) | st.integers(0, 10**6)


@given(NUMBERS, NUMBERS, NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS), st.integers(-3, 5))
def test_any_combination_has_exactly_one_name(m: float, f: float, r: float, medians: tuple, cluster: int) -> None:
    scale = dict(zip(MEDIANS, medians, strict=True))
    if all(scale.values()):
        assert len(names_that_match(m, f, r, scale)) == 1
    assert segment_of(m, f, r, scale, cluster) in SEGMENTS


@pytest.mark.parametrize(
    ("money", "orders", "days", "name"),
    [(0, 0, 0, "Hibernating"), (1, 0, 0, "Dormant Ultra High Value"), (0, 1, 0, "At Risk Frequent"), (1, 1, 0, "VIP At Risk")],
)
def test_medians_of_zero_leave_no_gap(money: float, orders: float, days: float, name: str) -> None:
    assert segment_of(money, orders, days, dict.fromkeys(MEDIANS, 0.0)) == name


def test_each_segment_has_one_tier_and_one_action() -> None:
    named = {name for row in DECISIONS for name in row[2:]} | set(CLUSTER_NAMES.values())
    assert set(SEGMENTS) == named == set(TIER_OF) == set(RECOMMENDATIONS)
    assert len(SEGMENTS) == sum(map(len, TIERS.values())) == len(set(SEGMENTS)) == 23
    assert len(set(RECOMMENDATIONS.values())) == 23
    assert list(TIERS) == ["premium", "high value", "active engagement", "risk", "growth and new"]


# ── frames ─────────────────────────────────────────────────────────────────────────────────────────
def clustered(*customers: tuple[str, int, int, int]) -> pd.DataFrame:
    """Return customers of (spend, invoices, days, cluster)."""
    rows = [
        (f"{12000 + n}", D - dt.timedelta(days=days), days, orders, Decimal(money), number, D)
        for n, (money, orders, days, number) in enumerate(customers)
    ]
    return pd.DataFrame(rows, columns=TABLES["customer_rfm_kmeans_clustered"].names)


@pytest.fixture
def customers() -> pd.DataFrame:
    """Return six customers in three clusters; medians are 100.00, 3 invoices and 25 days."""
    return clustered(
        ("1000.00", 9, 2, -3),
        ("200.10", 4, 10, 0),
        ("150.00", 4, 20, 0),
        ("50.00", 2, 30, 1),
        ("40.00", 1, 60, 1),
        ("33.33", 1, 90, 1),
    )


@pytest.fixture
def described(customers: pd.DataFrame) -> pd.DataFrame:
    return describe_clusters(summarise_clusters(customers), medians_of(customers))


def test_medians_are_those_of_all_customers(customers: pd.DataFrame) -> None:
    assert medians_of(customers) == {"Monetary": 100.0, "Frequency": 3.0, "Recency": 25.0}


def test_the_summary_of_clusters_by_hand(customers: pd.DataFrame) -> None:
    summary = summarise_clusters(customers)
    assert summary.columns.tolist() == TABLES["cluster_summary"].names
    assert summary.values.tolist() == [
        [-3, 1, 1000.0, 1000.0, 9.0, 9.0, 2.0, 2.0],
        [0, 2, 175.05, 175.05, 4.0, 4.0, 15.0, 15.0],
        [1, 3, 41.11, 40.0, 1.33, 1.0, 60.0, 60.0],
    ]


def test_clusters_get_segment_tier_and_action(described: pd.DataFrame) -> None:
    assert described.columns.tolist() == TABLES["cluster_description_and_recommendation"].names
    assert described["Cluster_Description"].tolist() == ["Super VIP Champions", "Champions", "Hibernating"]
    assert described["Tier"].tolist() == ["premium", "high value", "growth and new"]
    assert described["Cluster_Recommendation"].tolist() == [RECOMMENDATIONS[name] for name in described["Cluster_Description"]]


def test_the_number_of_the_cluster_reaches_the_table() -> None:
    customers = clustered(("300", 1, 60, -1), ("100", 1, 50, 0), ("100", 1, 50, 0))
    described = describe_clusters(summarise_clusters(customers), medians_of(customers))
    assert described["Cluster_Description"].tolist() == ["Premium Dormant Customers", "Hibernating"]


def test_own_recommendations_win(customers: pd.DataFrame) -> None:
    described = describe_clusters(summarise_clusters(customers), medians_of(customers), {"Champions": "Send flowers."})
    words = dict(zip(described["Cluster_Description"], described["Cluster_Recommendation"], strict=True))
    assert words["Champions"] == "Send flowers."
    assert words["Hibernating"] == RECOMMENDATIONS["Hibernating"]
    assert RECOMMENDATIONS["Champions"] != "Send flowers."


def test_an_action_for_an_unknown_segment_is_an_error(customers: pd.DataFrame) -> None:
    with pytest.raises(SettingsError, match=r"recommendations: unknown segment 'Champion' \(did you mean 'Champions'\?\)"):
        describe_clusters(summarise_clusters(customers), medians_of(customers), {"Champion": "Send flowers."})


def test_every_customer_gets_the_segment_of_the_cluster(customers: pd.DataFrame, described: pd.DataFrame) -> None:
    result = describe_customers(customers, described)
    assert result.columns.tolist() == TABLES["customer_rfm_description_and_recommendation"].names
    assert result["CustomerID"].tolist() == customers["CustomerID"].tolist()
    assert result["Cluster_Description"].tolist() == ["Super VIP Champions"] + ["Champions"] * 2 + ["Hibernating"] * 3
    assert not result.isna().any(axis=None)


def test_of_many_new_names_the_largest_spenders_get_theirs(customers: pd.DataFrame, described: pd.DataFrame) -> None:
    before = customers.assign(Cluster_Description="New Customers")
    result = describe_customers(customers, described, before, 0.5)
    kept = ["Super VIP Champions"] + ["Champions"] * 2 + ["New Customers"] * 3
    assert result["Cluster_Description"].tolist() == kept
    assert (result["Tier"][3:] == TIER_OF["New Customers"]).all()
    assert held_against(result, described).tolist() == [""] * 3 + ["Hibernating"] * 3
    bought = before.assign(Frequency=before["Frequency"] + 1)
    assert describe_customers(customers, described, bought, 0.0).equals(describe_customers(customers, described))


def test_a_name_held_by_the_band_is_told(customers: pd.DataFrame, described: pd.DataFrame) -> None:
    said = described.assign(Explanation=[f"spends; {HELD} Big Spenders" if n == 0 else "spends" for n in range(len(described))])
    held = held_against(describe_customers(customers, said), said)
    assert set(held) == {"", "Big Spenders"}


def test_the_summary_of_segments_by_hand(customers: pd.DataFrame, described: pd.DataFrame) -> None:
    summary = summarise_segments(describe_customers(customers, described))
    assert summary.columns.tolist() == TABLES["segment_summary"].names
    assert summary["Cluster_Description"].tolist() == ["Super VIP Champions", "Champions", "Hibernating"]
    assert summary["Customers"].tolist() == [1, 2, 3]
    assert summary["Revenue"].tolist() == [Decimal("1000.00"), Decimal("350.10"), Decimal("123.33")]
    assert summary["CustomerShare"].tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert summary["RevenueShare"].tolist() == pytest.approx([1000 / 1473.43, 350.10 / 1473.43, 123.33 / 1473.43])
    assert summary["AverageFrequency"].tolist() == [9.0, 4.0, 1.33]


def test_clusters_of_one_name_are_one_segment(described: pd.DataFrame) -> None:
    customers = clustered(
        ("1000.00", 9, 2, -3), ("2000.00", 8, 4, -2), ("10.00", 1, 60, 0), ("11.00", 1, 60, 0), ("12.00", 1, 60, 0)
    )
    named = describe_customers(customers, describe_clusters(summarise_clusters(customers), medians_of(customers)))
    assert summarise_segments(named)["Customers"].tolist() == [2, 3]


CENTS = st.integers(0, 10**9).map(lambda cents: str(Decimal(cents) / 100))
CUSTOMERS = st.lists(st.tuples(CENTS, st.integers(1, 50), st.integers(0, 400), st.integers(-3, 3)), min_size=1, max_size=20)


@given(CUSTOMERS)
def test_no_customer_and_no_cent_is_lost(rows: list[tuple]) -> None:
    customers = clustered(*rows)
    described = describe_clusters(summarise_clusters(customers), medians_of(customers))
    summary = summarise_segments(describe_customers(customers, described))
    assert summary["Customers"].sum() == len(customers)
    assert summary["Revenue"].sum() == customers["Monetary"].sum()
    assert summary["CustomerShare"].sum() == pytest.approx(1)
    assert summary["RevenueShare"].sum() == pytest.approx(1 if customers["Monetary"].sum() else 0)
    assert summary["Cluster_Description"].is_unique


def test_no_customers_is_an_error() -> None:
    with pytest.raises(InputError, match="customer_rfm_kmeans_clustered has 0 customers"):
        summarise_clusters(clustered())


def test_the_headline_and_the_table_of_actions(customers: pd.DataFrame, described: pd.DataFrame) -> None:
    summary = summarise_segments(describe_customers(customers, described))
    assert segments.headline(summary) == (
        "6 customers in 3 segments brought £1,473; 1 Super VIP Champions (17%) brought 68% of it"
    )
    table = segments.action_table(summary, "€")
    assert table.index.tolist() == summary["Cluster_Description"].tolist()
    first = ["premium", "1", "17%", "€1,000", "68%", "€1,000", "9", "2", RECOMMENDATIONS["Super VIP Champions"]]
    assert table.iloc[0].tolist() == first


def test_inputs_are_not_changed(customers: pd.DataFrame, described: pd.DataFrame) -> None:
    before, described_before = customers.copy(deep=True), described.copy(deep=True)
    named = describe_customers(customers, described)
    named_before = named.copy(deep=True)
    summarise_segments(named)
    value_engagement(customers)
    pd.testing.assert_frame_equal(customers, before)
    pd.testing.assert_frame_equal(described, described_before)
    pd.testing.assert_frame_equal(named, named_before)


# ── model documents ────────────────────────────────────────────────────────────────────────────────
def card(**options: float) -> str:
    model = rfm.Model.kept(rfm.example("cluster_models"), dt.date(2025, 10, 23))[dt.date(2025, 10, 23)]
    described, files = rfm.example("cluster_description_and_recommendation"), rfm.example("landing_files")
    return segments.model_artifacts(model, described, MEDIANS, files, **options)["model_card.md"]


def test_the_model_card_names_the_weights_of_the_score() -> None:
    assert "Score = 0.6 · silhouette / largest + 0.4 · elbow / largest." in card()
    assert "Score = 0.7 · silhouette / largest + 0.3 · elbow / largest." in card(silhouette_weight=0.7)


# ── tiers without clusters ─────────────────────────────────────────────────────────────────────────
def test_value_and_engagement_by_hand(customers: pd.DataFrame) -> None:
    table = value_engagement(customers)
    assert table["ValueTier"].tolist() == ["High", "High", "Growing", "Base", "Base", "Base"]
    assert table["Engagement"].tolist() == ["Active & Engaged"] * 3 + ["Inactive"] * 3


def test_all_four_engagements_and_the_boundaries() -> None:
    gold = clustered(*((money, orders, days, 0) for money in ("10", "20", "20.01") for orders in (1, 2) for days in (1, 5)))
    middle = clustered(*[("10", 1, 5, 0)] * 13)
    table = value_engagement(pd.concat([gold, middle], ignore_index=True)).iloc[:12]
    assert table["ValueTier"].tolist() == ["Base"] * 4 + ["Growing"] * 4 + ["High"] * 4
    assert table["Engagement"].tolist() == ["Developing", "Inactive", "Active & Engaged", "At Risk"] * 3
    assert set(table["ValueTier"]) == set(VALUE_TIERS)
    assert set(table["Engagement"]) == set(ENGAGEMENTS)
