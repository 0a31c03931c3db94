"""Figures of the customers: points, bars and cells are the numbers of the frame."""

from __future__ import annotations

import pandas as pd
import pytest

from rfm.analysis import figures
from rfm.analysis.figures import style
from rfm.analysis.segments.rules import TIER_OF
from tests.analysis.figures.frames import (
    MOVES,
    SHARES,
    STEADY,
    WAYS,
    customers_of,
)


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


def test_migration_says_how_often_a_state_was_seen() -> None:
    (heat,) = figures.migration(SHARES).data
    assert (list(heat.y), list(heat.x)) == (["lost*<br>12", "active<br>1,234"], ["active", "cooling", "lost"])
    assert [list(row) for row in heat.text] == [["", "", "100"], ["60", "40", ""]]


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


def test_movement_says_how_many_moved_in_flows_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "more" not in figures.movement(MOVES, TIER_OF).layout.title.text
    monkeypatch.setattr("rfm.analysis.figures.segments.MOST_FLOWS", 1)
    figure = figures.movement(MOVES, TIER_OF)
    assert list(figure.data[0].link.value) == [7]
    assert "7 more customers are in flows too small to draw" in figure.layout.title.text


def test_stability_marks_the_full_fits() -> None:
    renamed, rand, lead = figures.stability(STEADY).data
    assert (list(renamed.y), list(rand.y), list(lead.y)) == ([None, 0.004], [None, 0.98], [0.1, 0.2])
    assert list(renamed.marker.symbol) == ["diamond", "circle"]
