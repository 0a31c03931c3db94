"""Figures of the clusters: bars, points, lines and cells are the numbers of the frame."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from rfm.analysis import figures
from rfm.analysis.figures import clusters, style
from rfm.analysis.outliers import iqr_fences, outlier_clusters
from tests.analysis.figures.frames import CENTROIDS, MEDIANS, SCORES, customers_of


def heights(axes: Axes) -> dict[str, list[int]]:
    """Return the heights of the bars that are not empty, by their label."""
    return {bars[0].get_label(): [int(bar.get_height()) for bar in bars if bar.get_height()] for bars in axes.containers}


# ── metrics ────────────────────────────────────────────────────────────────────────────────────────
def test_distributions_hold_every_customer_once(customers: pd.DataFrame) -> None:
    panels = figures.distributions(customers).axes
    assert [panel.get_xlabel() for panel in panels] == ["days since last purchase", "invoices (log)", "spent in all (log)"]
    assert [sum(heights(panel)["regular customers"]) for panel in panels] == [60, 60, 60]
    assert heights(panels[0])["regular customers"] == [2] * 30
    assert heights(panels[1])["regular customers"] == [9, 9, 9, 9, 8, 8, 8]  # one to seven invoices


def test_distributions_stack_the_outliers(customers: pd.DataFrame) -> None:
    figure = figures.distributions(customers, customers["Cluster"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["regular customers", "outliers"]
    for panel in figure.axes:
        assert {label: sum(bars) for label, bars in heights(panel).items()} == {"regular customers": 54, "outliers": 6}
        below, above = panel.containers
        assert [bar.get_y() for bar in above] == [bar.get_height() for bar in below]


def test_distributions_of_customers_who_are_all_alike() -> None:
    gold = customers_of(1)
    gold = pd.concat([gold] * 5, ignore_index=True).assign(Monetary=Decimal("0.00"))
    assert [heights(panel) for panel in figures.distributions(gold).axes] == [{"regular customers": [5]}] * 3


# ── outliers ───────────────────────────────────────────────────────────────────────────────────────
def test_outlier_fences_show_every_customer_and_the_fences(customers: pd.DataFrame) -> None:
    gold = pd.concat([customers, customers.tail(1).assign(CustomerID="9", Monetary=Decimal("9999.00"))], ignore_index=True)
    (axes,) = figures.outlier_fences(gold, outlier_clusters(gold)).axes
    assert [cloud.get_label() for cloud in axes.collections] == ["regular: 60", "spend: 1", "frequency: 0", "both: 0"]
    assert [len(cloud.get_offsets()) for cloud in axes.collections] == [60, 1, 0, 0]
    assert axes.collections[1].get_offsets().tolist() == [[4.0, 9999.0]]
    across, up = axes.lines
    spend, orders = (iqr_fences(gold[name]).high for name in ("Monetary", "Frequency"))
    assert across.get_ydata() == pytest.approx([spend, spend])
    assert up.get_xdata() == pytest.approx([orders, orders])
    assert [text.get_text() for text in axes.texts] == [f"fence: {spend:,.0f}", f"fence: {orders:,.1f}"]


@pytest.mark.parametrize(("count", "shown"), [(5000, 5000), (5001, 2501)])
def test_many_regular_customers_are_sampled_evenly(count: int, shown: int) -> None:
    cloud, *_ = figures.outlier_fences(customers_of(count), pd.Series([0] * count)).axes[0].collections
    assert (cloud.get_label(), len(cloud.get_offsets())) == (f"regular: {count:,}", shown)


# ── clusters ───────────────────────────────────────────────────────────────────────────────────────
def test_k_selection_draws_the_scores() -> None:
    (axes,) = figures.k_selection(SCORES, 3).axes
    drawn = {points.get_label(): points[0] for points in axes.containers}
    assert list(drawn) == ["score", "silhouette", "elbow"]
    for name, line in drawn.items():
        assert (list(line.get_xdata()), list(line.get_ydata())) == (SCORES["k"].tolist(), SCORES[name].tolist())
    assert axes.lines[-1].get_xdata() == [3, 3]
    assert [text.get_text() for text in axes.texts] == ["chosen: 3, 50.0% ahead of 2"]
    assert len({line.get_linestyle() for line in drawn.values()}) == len({line.get_marker() for line in drawn.values()}) == 3


def test_k_selection_shows_how_sure_a_sample_is() -> None:
    (axes,) = figures.k_selection(SCORES.assign(error=[0.01, 0.02, 0.0]), 2).axes
    score, silhouette, elbow = axes.containers
    assert (score.has_yerr, silhouette.has_yerr, elbow.has_yerr) == (False, True, False)
    ends = [segment[:, 1].tolist() for segment in silhouette[2][0].get_segments()]
    assert np.array(ends) == pytest.approx(np.array([[0.48, 0.52], [0.36, 0.44], [0.2, 0.2]]))
    assert axes.texts[0].get_text() == "chosen: 2, 33.3% behind 3"
    assert not any(points.has_yerr for points in figures.k_selection(SCORES.assign(error=0.0), 2).axes[0].containers)


def test_cluster_profiles_are_multiples_of_the_median_customer(described: pd.DataFrame) -> None:
    (axes,) = figures.cluster_profiles(described, MEDIANS).axes
    rows = described.set_index("Cluster").loc[[-1, 0, 1]]
    names = [text.get_text().replace("\n", " ") for text in axes.get_yticklabels()]
    assert names == [f"{n} · {label}" for n, label in rows["Cluster_Label"].items()]
    ratios = [[float(rows.loc[cluster, f"Median{name}"]) / median for name, median in MEDIANS.items()] for cluster in rows.index]
    assert [text.get_text() for text in axes.texts] == [f"{ratio:.1f} ×" for row in ratios for ratio in row]
    (mesh,) = axes.collections
    assert np.asarray(mesh.get_array()) == pytest.approx(np.log2(ratios))
    units = [f"{style.UNITS[name]}\nmedian {median:,.0f}" for name, median in MEDIANS.items()]
    assert [text.get_text() for text in axes.get_xticklabels()] == units


def test_cluster_profiles_against_medians_of_zero(described: pd.DataFrame) -> None:
    (mesh,) = figures.cluster_profiles(described, dict.fromkeys(MEDIANS, 0.0)).axes[0].collections
    assert np.isfinite(np.asarray(mesh.get_array())).all()


def test_pairs_are_all_the_customers(customers: pd.DataFrame) -> None:
    panels = figures.clusters_pairs(customers).axes
    for axes, pair in zip(panels, clusters.PAIRS, strict=True):
        drawn = {tuple(map(float, point)) for cloud in axes.collections for point in cloud.get_offsets()}
        assert drawn == set(customers[list(pair)].astype(float).itertuples(index=False, name=None))
    assert [cloud.get_label() for cloud in panels[0].collections] == ["cluster 0", "cluster 1", "outliers -1"]
    assert [axes.get_xlabel() for axes in panels] == ["invoices (log)"] + ["days since last purchase"] * 2
    assert [axes.get_xscale() for axes in panels] == ["log", "linear", "linear"]


def test_pairs_of_many_customers_are_a_sample() -> None:
    panels = figures.clusters_pairs(customers_of(501)).axes
    assert [sum(len(cloud.get_offsets()) for cloud in axes.collections) for axes in panels] == [251] * 3


def test_clusters_of_pairs_differ_without_colour(customers: pd.DataFrame) -> None:
    clouds = figures.clusters_pairs(customers).axes[0].collections
    shapes = {cloud.get_paths()[0].vertices.tobytes() for cloud in clouds}
    assert len(shapes) == len(clouds) == 3


def test_centroids_are_in_standard_deviations() -> None:
    (axes,) = figures.centroids(CENTROIDS, [500.0, 5.0, 100.0], [250.0, 5.0, 50.0], ["A", "$B_1$"]).axes
    (mesh,) = axes.collections
    assert np.asarray(mesh.get_array()).reshape(2, 3).tolist() == [[2, 1, -1], [-1, -1, 1]]
    assert [text.get_text() for text in axes.texts] == ["+2.0", "+1.0", "-1.0", "-1.0", "-1.0", "+1.0"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["A", "$B_1$"]
    assert [text.get_parse_math() for text in axes.get_yticklabels()] == [False, False]
    assert [text.get_text() for text in axes.get_xticklabels()] == list(style.UNITS)
