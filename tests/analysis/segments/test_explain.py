"""Explanations: the wording, and an outlook that equals what the model predicts."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from rfm.analysis.clustering import Model
from rfm.analysis.segments.explain import HORIZON, cluster_labels, explain_customers, explanation, next_segment
from rfm.analysis.segments.profiles import describe_clusters
from rfm.analysis.segments.rules import SEGMENTS, decision_of, decisions, segment_of
from rfm.config import Cutoffs
from rfm.contracts import TABLES

D = dt.date(2025, 6, 30)
MEDIANS = {"Monetary": 100.0, "Frequency": 2.0, "Recency": 54.0}
OWN = Cutoffs(monetary=(1, 3, 9), frequency=(1.5, 4), recency=0.5)


# ── clusters ───────────────────────────────────────────────────────────────────────────────────────
def test_labels_distinguish_clusters_of_one_segment():
    labels = cluster_labels([-3, -2, -1, 0], ["Champions"] * 4)
    assert labels == [
        "Champions (spend and frequency outlier)",
        "Champions (frequency outlier)",
        "Champions (spend outlier)",
        "Champions",
    ]
    assert cluster_labels([0, 1], ["Hibernating"] * 2) == ["Hibernating (cluster 0)", "Hibernating (cluster 1)"]


@pytest.mark.parametrize(
    ("values", "segment", "said"),
    [
        ((780, 17, 6), "Super VIP Champions", "spend above £200 (2 ×), invoices above 4 (2 ×), days below 54 (1 ×)"),
        (
            (150, 4, 54),
            "Loyal Customers At Risk",
            "spend above £100 up to £200 (1 to 2 ×), invoices above 2 up to 4 (1 to 2 ×), days from 54 (1 ×)",
        ),
        ((9.5, 1, 0), "New Customers", "spend up to £100 (1 ×), invoices up to 2 (1 ×), days below 54 (1 ×)"),
        (
            (300, 2, 90),
            "Premium Dormant Customers",
            "spend above £200 up to £400 (2 to 4 ×), invoices up to 2 (1 ×), days from 54 (1 ×)",
        ),
    ],
)
def test_explanation_names_the_deciding_cutoffs(values, segment, said):
    assert explanation(values, segment, MEDIANS).split("; cut-offs: ")[1] == said


def test_numbers_are_worded_for_people():
    said = [explanation(row, "New Customers", MEDIANS).split(";")[0] for row in ((50, 1, 0), (50, 2, 1), (50, 1.5, 20.5))]
    assert said == [
        "spends 0.5 × the median, bought once, last seen today",
        "spends 0.5 × the median, bought twice, last seen 1 day ago",
        "spends 0.5 × the median, bought 1.5 times, last seen 20.5 days ago",
    ]
    assert explanation((5, 1, 0), "VIP At Risk", dict.fromkeys(MEDIANS, 0.0), currency="€").startswith("spent €5.00, bought once")


def test_explanation_mentions_a_kept_name():
    said = explanation((199, 5, 6), "Super VIP Champions", MEDIANS)
    assert said.endswith("; held by the dead band, the cut-offs alone give Super Frequent Active")


def test_own_cutoffs_decide_and_are_named():
    assert segment_of(250, 5, 26, MEDIANS, cutoffs=OWN) == "Champions"
    assert segment_of(250, 5, 27, MEDIANS, cutoffs=OWN) == "Loyal Customers At Risk"
    assert segment_of(250, 5, 26, MEDIANS) == "Super VIP Champions"
    assert explanation((250, 5, 26), "Champions", MEDIANS, OWN, "€") == (
        "spends 2.5 × the median, bought 5 times, last seen 26 days ago; "
        "cut-offs: spend above €100 up to €300 (1 to 3 ×), invoices above 3 up to 8 (1.5 to 4 ×), days below 27 (0.5 ×)"
    )


def test_the_shops_own_cut_offs_reach_the_table(described):
    row = described.iloc[[1]][["Cluster", "Count", "MedianMonetary", "MedianFrequency", "MedianRecency"]]  # £610, 6, 10 days
    own = describe_clusters(row, MEDIANS, cutoffs=Cutoffs(monetary=(1, 7, 9), frequency=(1, 4)), currency="€").iloc[0]
    assert (own["Cluster_Description"], own["Cluster_Label"]) == ("Champions", "Champions")
    assert "spend above €100 up to €700 (1 to 7 ×)" in own["Explanation"]


def test_any_cut_offs_leave_each_segment_one_row():
    assert all(segment in SEGMENTS for row in decisions(OWN) for segment in row[2:])
    assert decision_of("Premium Dormant Customers", OWN) == decision_of("Dormant High Value", OWN)
    edges = [0.5 * x for x in range(40)]
    for money in edges:
        for orders in edges:
            fits = [
                r for r in decisions(OWN) if r.monetary[0] < money <= r.monetary[1] and r.frequency[0] < orders <= r.frequency[1]
            ]
            assert len(fits) == 1


# ── customers ──────────────────────────────────────────────────────────────────────────────────────
def model(**changed: object) -> Model:
    """Return three clusters: rich and recent, poor and recent, poor and dormant; fences at 1,000 and 20 invoices."""
    fixed = {"trained": D.isoformat(), "k": 3, "mean": [0.0, 0.0, 0.0], "scale": [100.0, 5.0, 50.0], "scores": [], "version": "0"}
    centroids = [[600.0, 6.0, 10.0], [100.0, 1.0, 20.0], [100.0, 1.0, 180.0]]
    fences = {"Monetary": [-200.0, 1000.0], "Frequency": [-3.0, 20.0]}
    return Model(**fixed | {"centroids": centroids, "fences": fences} | changed)


SEGMENT = {0: "Super VIP Champions", 1: "New Customers", 2: "Hibernating", -1: "Super VIP Champions"}


def named(*customers: tuple[str, int, int, int]) -> pd.DataFrame:
    """Return customers of (spend, invoices, days, cluster)."""
    rows = [
        (f"{n}", D - dt.timedelta(days=days), days, orders, Decimal(money), cluster, D, SEGMENT[cluster], "a tier", "an action")
        for n, (money, orders, days, cluster) in enumerate(customers)
    ]
    return pd.DataFrame(rows, columns=TABLES["customer_rfm_description_and_recommendation"].names)


@pytest.fixture
def described() -> pd.DataFrame:
    rows = [(-1, 1200.0, 3.0, 5.0), (0, 610.0, 6.0, 10.0), (1, 90.0, 1.0, 20.0), (2, 95.0, 1.0, 170.0)]
    values = pd.DataFrame(rows, columns=["Cluster", "MedianMonetary", "MedianFrequency", "MedianRecency"])
    described = describe_clusters(values.assign(Count=1), MEDIANS)
    assert dict(zip(described["Cluster"], described["Cluster_Description"], strict=True)).items() >= {2: "Hibernating"}.items()
    return described.assign(Cluster_Description=described["Cluster"].map(SEGMENT))


def test_why_by_hand(described):
    customers = named(("100", 1, 50, 1), ("1500", 3, 5, -1))
    table = explain_customers(customers, described, model())
    assert table.columns.tolist() == TABLES["customer_explanations"].names
    assert table["Why"].tolist() == [
        "spent £100, bought once, last seen 50 days ago: closest to cluster 1 (its middle customer: £90, 1 invoice, 20 days), "
        "so New Customers; next is Hibernating, 4.3 × as far; no order for another 51 days: Hibernating",
        "spent £1,500, bought 3 times, last seen 5 days ago: a spend outlier (regular is up to £1,000), kept apart in cluster -1 "
        "(its middle customer: £1,200, 3 invoices, 5 days), so Super VIP Champions",
    ]
    assert table["Next_Segment"].tolist()[0] == "Hibernating"
    assert table["Distance"].tolist()[0] == pytest.approx((130 - 30) / 130)
    assert table[["Next_Segment", "Distance"]].isna().to_numpy().tolist() == [[False, False], [True, True]]


def test_a_customer_on_the_border_and_one_beyond_it(described):
    customers = named(("100", 1, 100, 1), ("100", 1, 110, 1))
    table = explain_customers(customers, described, model())
    assert table["Distance"].tolist() == pytest.approx([0, -20 / 90])
    assert "; Hibernating is nearer by now, but not clearly" in table["Why"][1]
    assert "no order" not in table["Why"][1]


def random_customers(count: int, fitted: Model) -> pd.DataFrame:
    """Return random customers, each in the cluster that the model predicts."""
    random = np.random.default_rng(1)
    rows = zip(random.integers(0, 1000, count), random.integers(1, 21, count), random.integers(0, 300, count), strict=True)
    frame = named(*((str(money), int(orders), int(days), 0) for money, orders, days in rows))
    cluster = fitted.predict(frame)
    return frame.assign(Cluster=cluster, Cluster_Description=[SEGMENT[number] for number in cluster])


def test_outlook_equals_what_the_model_predicts(described):
    fitted = model(centroids=[[601.3, 6.1, 10.7], [102.9, 1.3, 20.9], [99.1, 1.1, 181.3]])  # nobody stands on a border
    customers = random_customers(200, fitted)
    ahead = next_segment(customers, described, fitted)
    values = customers.assign(Monetary=customers["Monetary"].astype(float))
    order = values.assign(
        Monetary=values["Monetary"] * (1 + 1 / values["Frequency"]), Frequency=values["Frequency"] + 1, Recency=0
    )
    bought = [SEGMENT.get(number, "") for number in fitted.predict(order)]
    own = customers["Cluster_Description"].tolist()
    assert ahead.after_order.tolist() == ["" if then == now else then for then, now in zip(bought, own, strict=True)]
    later = np.array([fitted.nearest(values.assign(Recency=values["Recency"] + day)) for day in range(1, HORIZON + 1)])
    for place, (day, segment) in enumerate(zip(ahead.days, ahead.after_days, strict=True)):
        left = [n for n, number in enumerate(later[:, place], start=1) if SEGMENT[number] != own[place]]
        assert (day, segment) == (left[0], SEGMENT[later[left[0] - 1, place]]) if left else np.isnan(day)


def test_an_empty_cluster_is_never_the_next_segment(described):
    table = explain_customers(named(("100", 1, 50, 1)), described[described["Cluster"] != 2], model())
    assert table["Next_Segment"].tolist() == ["Super VIP Champions"]


def test_one_segment_alone_has_no_next(described):
    table = explain_customers(named(("100", 1, 50, 1)), described[described["Cluster"] == 1], model())
    assert table[["Next_Segment", "Distance"]].isna().all(axis=None)
    assert table["Why"][0].endswith("so New Customers")


def test_explanation_without_fences(described):
    table = explain_customers(named(("1500", 3, 5, -1)), described, model(fences={}))
    assert "a spend outlier, kept apart in cluster -1" in table["Why"][0]
