"""Figures of the customers: points, bars and cells are the numbers of the frame."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from rfm.analysis import figures
from rfm.analysis.figures import style
from rfm.analysis.outliers import iqr_fences, outlier_clusters
from rfm.analysis.segments.rules import TIER_OF
from tests.analysis.figures.frames import (
    MEDIANS,
    MOVES,
    SCORES,
    STEADY,
    WAYS,
    customers_of,
)


def test_distributions_hold_every_customer_once(customers: pd.DataFrame) -> None:
    bars = figures.distributions(customers).data
    assert [sum(bar.y) for bar in bars] == [60, 60, 60]
    assert list(bars[1].y) == [9, 9, 9, 9, 8, 16]  # one to five invoices; six and seven share a class
    for bar in bars:
        assert len(bar.x) == len(bar.y) == len(bar.width) == len(bar.hovertext)


def test_distributions_of_customers_who_are_all_alike() -> None:
    gold = customers_of(1)
    gold = pd.concat([gold] * 5, ignore_index=True).assign(Monetary=Decimal("0.00"))
    assert [sum(bar.y) for bar in figures.distributions(gold).data] == [5, 5, 5]


def test_outlier_fences_show_every_customer_and_the_fences(customers: pd.DataFrame) -> None:
    gold = pd.concat([customers, customers.tail(1).assign(CustomerID="9", Monetary=Decimal("9999.00"))], ignore_index=True)
    marks = outlier_clusters(gold)
    figure = figures.outlier_fences(gold, marks)
    assert [len(points.x) for points in figure.data] == [int((marks == mark).sum()) for mark in (0, -1, -2, -3)]
    assert [points.name for points in figure.data] == ["regular: 60", "spend: 1", "frequency: 0", "both: 0"]
    across, up = figure.layout.shapes
    assert across.y0 == pytest.approx(iqr_fences(gold["Monetary"]).high)
    assert up.x0 == pytest.approx(iqr_fences(gold["Frequency"]).high)


def test_k_selection_draws_the_scores() -> None:
    figure = figures.k_selection(SCORES, 3)
    assert {line.name for line in figure.data} == {"score", "silhouette", "elbow"}
    for line in figure.data:
        assert (list(line.x), list(line.y)) == (SCORES["k"].tolist(), SCORES[line.name].tolist())
    assert figure.layout.shapes[0].x0 == 3
    assert figure.layout.annotations[0].text == "chosen: 3, 33.3% ahead of 2"


def test_k_selection_shows_how_sure_a_sample_is() -> None:
    silhouette = figures.k_selection(SCORES.assign(error=[0.01, 0.02, 0.0]), 2).data[1]
    assert (silhouette.name, list(silhouette.error_y.array)) == ("silhouette", [0.02, 0.04, 0.0])
    assert figures.k_selection(SCORES.assign(error=0.0), 2).data[1].error_y.array is None
    assert figures.k_selection(SCORES, 2).layout.annotations[0].text == "chosen: 2, 50.0% behind 3"


def test_clusters_in_space_are_all_the_customers(customers: pd.DataFrame) -> None:
    figure = figures.clusters_3d(customers)
    assert {cloud.name: len(cloud.x) for cloud in figure.data} == {"outliers -1": 6, "cluster 0": 36, "cluster 1": 18}
    drawn = {point for cloud in figure.data for point in zip(cloud.x, cloud.y, cloud.z, strict=True)}
    assert drawn == set(customers[["Recency", "Frequency", "Monetary"]].astype(float).itertuples(index=False, name=None))


@pytest.mark.parametrize(("count", "shown"), [(5000, 5000), (5001, 2501), (10001, 3334)])
def test_more_than_5000_points_are_sampled_evenly(count: int, shown: int) -> None:
    figure = figures.clusters_3d(customers_of(count))
    assert sum(len(cloud.x) for cloud in figure.data) == shown


def test_segment_shares_are_those_of_the_summary(summary: pd.DataFrame) -> None:
    revenue, customers = figures.segment_shares(summary).data
    for bars, column in ((revenue, "RevenueShare"), (customers, "CustomerShare")):
        assert dict(zip(bars.y, bars.x, strict=True)) == dict(zip(summary["Cluster_Description"], summary[column], strict=True))
        assert sum(bars.x) == pytest.approx(1)


def test_cluster_profiles_are_multiples_of_the_median_customer(described: pd.DataFrame) -> None:
    (heat,) = figures.cluster_profiles(described, MEDIANS).data
    rows = described.set_index("Cluster").loc[[1, 0, -1]]
    assert [name.replace("<br>", " ") for name in heat.y] == [f"{n} · {label}" for n, label in rows["Cluster_Label"].items()]
    ratios = [[rows.loc[cluster, f"Median{name}"] / median for name, median in MEDIANS.items()] for cluster in rows.index]
    assert [list(row) for row in heat.text] == [[f"{ratio:.1f} ×" for ratio in row] for row in ratios]
    assert np.array(heat.z) == pytest.approx(np.log2(ratios))


def test_cluster_profiles_against_medians_of_zero(described: pd.DataFrame) -> None:
    (heat,) = figures.cluster_profiles(described, dict.fromkeys(MEDIANS, 0.0)).data
    assert np.isfinite(np.array(heat.z, dtype=float)).all()


def test_boxes_with_and_without_outliers(customers: pd.DataFrame) -> None:
    drawn = figures.boxes(customers, pd.Series([-1] + [0] * 59)).data
    assert [box.y[0] for box in drawn] == ["without outliers", "all customers"] * 3
    assert [(box.lowerfence[0], box.upperfence[0]) for box in drawn[:2]] == [(2, 60), (1, 60)]


def test_the_treemap_holds_the_revenue(summary: pd.DataFrame) -> None:
    (area,) = figures.segment_treemap(summary).data
    values = dict(zip(area.ids, area.values, strict=True))
    assert sum(value for name, value in values.items() if name.startswith("tier ")) == float(summary["Revenue"].sum())
    assert all(values[row.Cluster_Description] == float(row.Revenue) for row in summary.itertuples())


def test_the_score_map_counts_customers(customers: pd.DataFrame) -> None:
    (heat,) = figures.score_map(WAYS, customers, "£").data
    assert (heat.text[4][4], heat.text[1][0], heat.z[0][0]) == ("£2<br>2", "£3<br>1", None)


def test_agreement_adds_up_to_a_hundred_in_a_row() -> None:
    (heat,) = figures.agreement(WAYS).data
    assert (list(heat.y), list(heat.x)) == (["Hibernating<br>1", "Champions<br>2"], ["Lost", "Champions"])
    assert [list(row) for row in heat.text] == [["100", ""], ["50", "50"]]


def test_movement_leaves_out_who_stayed() -> None:
    (flow,) = figures.movement(MOVES, TIER_OF).data
    assert list(flow.node.label) == [
        "first purchase · 7",
        "Champions · 5",
        "Hibernating · 2",
        "Hibernating · 5",
        "New Customers · 9",
    ]
    assert list(zip(flow.link.source, flow.link.target, flow.link.value, strict=True)) == [(0, 4, 7), (1, 3, 5), (2, 4, 2)]
    assert flow.link.customdata[1] == "Champions to Hibernating: 5 (4 time passed, 1 model changed)"
    assert flow.node.color[1] == style.TIER_COLOURS["high value"]


def test_stability_marks_the_full_fits() -> None:
    renamed, rand, lead = figures.stability(STEADY).data
    assert (list(renamed.y), list(rand.y), list(lead.y)) == ([None, 0.004], [None, 0.98], [0.1, 0.2])
    assert list(renamed.marker.symbol) == ["diamond", "circle"]
