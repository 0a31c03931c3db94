"""Figures of the clusters: spread with and without outliers, pairs of metrics, centroids on one scale.

Figures of the customers: outliers, clusters, segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rfm.analysis.figures.style import (
    BLUE,
    CLUSTER_COLOURS,
    GREEN,
    GREY,
    MOST_POINTS,
    ORANGE,
    OUTLIER_SYMBOLS,
    SKY,
    TIER_COLOURS,
    UNITS,
    finish,
)
from rfm.analysis.outliers import fences_of

if TYPE_CHECKING:
    import plotly.graph_objects as go

# ── clusters ────────────────────────────────────────────────────────────
MOST_PAIRED = 1500
PAIRS = (("Frequency", "Monetary"), ("Recency", "Monetary"), ("Recency", "Frequency"))
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "cross", "x", "triangle-down", "pentagon", "star", "hexagon")


def boxes(gold: pd.DataFrame, outliers: pd.Series) -> go.Figure:
    """Draw the spread of each metric over all customers, and without the outliers.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``.
    outliers
        Cluster of each row, below 0 for outliers.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_kmeans_clustered")
    >>> rfm.figures.boxes(gold, gold["Cluster"]).layout.title.text
    'What do the outliers do to the spread?'
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.16)
    regular = (outliers >= 0).to_numpy()
    parts = (("without outliers", BLUE, gold[regular]), ("all customers", ORANGE, gold))
    for place, (name, unit) in enumerate(UNITS.items(), start=1):
        for label, colour, rows in parts:
            box = _box(rows[name].astype(float), label, least=0.01 if name == "Monetary" else 0.0)
            figure.add_box(**box, orientation="h", marker_color=colour, name=label, row=place, col=1, showlegend=False)
        figure.layout[f"xaxis{place}"].title.text = f"{unit}{' (log scale)' if name != 'Recency' else ''}"
        if name != "Recency":
            figure.layout[f"xaxis{place}"].update(type="log", dtick=1)
    return finish(figure, "What do the outliers do to the spread?", height=620)


def _box(values: pd.Series, label: str, least: float) -> dict[str, list[Any]]:
    """Return the place of a box and its five numbers: quartiles, smallest and largest; nothing without a value."""
    if values.empty:
        return {}
    low, q1, middle, q3, high = (float(one) for one in values.clip(lower=least).quantile([0, 0.25, 0.5, 0.75, 1]).round(2))
    return {"y": [label], "lowerfence": [low], "q1": [q1], "median": [middle], "q3": [q3], "upperfence": [high]}


def clusters_pairs(customers: pd.DataFrame) -> go.Figure:
    """Draw each two of recency, frequency and monetary value, a colour and a shape a cluster.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_kmeans_clustered``; more than 1,500 customers are sampled evenly.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.clusters_pairs(rfm.example("customer_rfm_kmeans_clustered")).layout.title.text
    'Which two metrics part the clusters?'
    """
    from plotly.subplots import make_subplots

    shown = customers.sort_values("CustomerID").iloc[:: max(1, int(np.ceil(len(customers) / MOST_PAIRED)))]
    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.1)
    clusters = sorted(shown["Cluster"].unique(), key=lambda one: (one < 0, abs(one)))
    for place, (x, y) in enumerate(PAIRS, start=1):
        for cluster in clusters:
            rows = shown[shown["Cluster"] == cluster]
            points = {"x": rows[x].astype(float).round(1).tolist(), "y": rows[y].astype(float).round(1).clip(lower=0.1).tolist()}
            name = f"cluster {cluster}" if cluster >= 0 else f"outliers {cluster}"
            figure.add_scatter(
                **points,
                mode="markers",
                name=name,
                marker=_marker(cluster),
                legendgroup=name,
                showlegend=place == 1,
                row=place,
                col=1,
            )
        for axis, metric in (("x", x), ("y", y)):
            log = metric != "Recency"
            title = f"{UNITS[metric]}{' (log)' if log else ''}"
            figure.layout[f"{axis}axis{place}"].update(
                title_text=title, type="log" if log else "linear", **({"dtick": 1} if log else {})
            )
    return finish(figure, "Which two metrics part the clusters?", height=1000)


def _marker(cluster: int) -> dict[str, object]:
    """Return colour and shape of a cluster."""
    if cluster < 0:
        return {"color": GREY, "symbol": f"{OUTLIER_SYMBOLS.get(cluster, 'circle')}-open", "size": 6}
    return {"color": CLUSTER_COLOURS[cluster % 12], "symbol": SYMBOLS[cluster % 10], "size": 5, "opacity": 0.75}


def centroids(model: Sequence[Sequence[float]], mean: Sequence[float], scale: Sequence[float], names: Sequence[str]) -> go.Figure:
    """Draw the centroids on the scale that K-means saw: standard deviations from the average customer in the fit.

    Parameters
    ----------
    model
        Centroids in the metrics' own units: Monetary, Frequency, Recency of each, cluster 0 first.
    mean, scale
        Of each metric, as the model keeps them.
    names
        Of the clusters.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> model = rfm.Model.kept(rfm.example("cluster_models"), day)[day]
    >>> names = [f"cluster {i}" for i in range(model.k)]
    >>> rfm.figures.centroids(model.centroids, model.mean, model.scale, names).layout.title.text
    'Where do the centroids lie?'
    """
    import plotly.graph_objects as go

    points = np.asarray(model, float).reshape(-1, 3)[::-1]
    z = ((points - np.asarray(mean)) / np.asarray(scale)).round(3)
    text = [[f"{one:+.1f}" for one in row] for row in z]
    far = max(2.0, float(np.abs(z).max(initial=0)))
    heat = go.Heatmap(z=z.tolist(), x=list(UNITS), y=list(names)[::-1], text=text, texttemplate="%{text}", colorscale="BrBG")
    heat.update(
        zmin=-1.75 * far,
        zmax=1.75 * far,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{y}<br>%{x}: %{text} standard deviations<extra></extra>",
    )
    figure = go.Figure(heat)
    x = "in standard deviations"
    return finish(figure, "Where do the centroids lie?", x=x, height=150 + 40 * len(z))


# ── customers ────────────────────────────────────────────────────────────
def outlier_fences(gold: pd.DataFrame, outliers: pd.Series, factor: float = 1.5) -> go.Figure:
    """Draw which customers lie beyond the fences, spend against frequency, both on log scales.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``; of more than 5,000 regular customers an even sample, of the others all.
    outliers
        Cluster of each row: 0 regular, -1, -2, -3 outliers.
    factor
        Width of the fences in interquartile ranges.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_gold")
    >>> rfm.figures.outlier_fences(gold, rfm.outlier_clusters(gold)).layout.title.text
    'Which customers are too far out for K-means?'
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    money, orders = gold["Monetary"].astype(float), gold["Frequency"].astype(float)
    marks = {0: ("regular", GREY), -1: ("spend", ORANGE), -2: ("frequency", SKY), -3: ("both", BLUE)}
    for mark, (label, colour) in marks.items():
        rows = np.flatnonzero(outliers == mark)
        shown = rows[:: max(1, int(np.ceil(len(rows) / MOST_POINTS)))] if mark == 0 else rows
        points = {"x": orders.iloc[shown].tolist(), "y": money.iloc[shown].clip(lower=0.01).round(2).tolist()}
        marker = {"color": colour, "symbol": OUTLIER_SYMBOLS.get(mark, "circle"), "size": 5, "opacity": 0.7}
        figure.add_scatter(**points, mode="markers", name=f"{label}: {len(rows):,}", marker=marker)
    for draw, fences in zip((figure.add_hline, figure.add_vline), fences_of(gold, factor).values(), strict=True):
        if fences.high > 0:
            draw(float(fences.high), line={"color": GREY, "width": 1, "dash": "dash"})
    figure.update_xaxes(type="log", dtick=1).update_yaxes(type="log", dtick=1)
    x, y = f"{UNITS['Frequency']} (log scale)", f"{UNITS['Monetary']} (log scale)"
    return finish(figure, "Which customers are too far out for K-means?", x=x, y=y, height=460)


def k_selection(scores: pd.DataFrame, k: int) -> go.Figure:
    """Draw silhouette, elbow and combined score of every k tried, and by how much the chosen one leads.

    Parameters
    ----------
    scores
        Columns k, silhouette, elbow, score; where there is one, error: standard error of the silhouette, drawn twice as wide.
    k
        The one chosen.

    Examples
    --------
    >>> import datetime
    >>> import pandas as pd
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> model = rfm.Model.kept(rfm.example("cluster_models"), day)[day]
    >>> rfm.figures.k_selection(pd.DataFrame(model.scores), model.k).layout.title.text
    'How many clusters?'
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, colour, dash in (("score", BLUE, "solid"), ("silhouette", GREEN, "dash"), ("elbow", ORANGE, "dot")):
        line = {"color": colour, "dash": dash}
        figure.add_scatter(x=scores["k"].tolist(), y=scores[name].round(6).tolist(), name=name, mode="lines+markers", line=line)
    if "error" in scores and (scores["error"] > 0).any():
        figure.data[1].error_y = {"array": (2 * scores["error"]).round(6).tolist(), "color": GREEN}
    figure.add_vline(x=k, line_width=1, line_dash="dash", line_color=GREY)
    said = {"text": f"chosen: {k}{_lead(scores, k)}", "x": k, "y": 1, "yref": "paper", "yanchor": "top"}
    right = len(scores) and k > scores["k"].mean()
    side = {"xanchor": "right", "xshift": -6} if right else {"xanchor": "left", "xshift": 6}
    figure.add_annotation(**said, **side, showarrow=False).update_xaxes(dtick=1, tickangle=0)
    if len(scores):
        figure.update_xaxes(range=[min(scores["k"]) - 0.5, max(scores["k"]) + 0.5])
        figure.update_yaxes(range=[min(0.0, scores["silhouette"].min()) - 0.05, 1.15 * scores["score"].max()])
    return finish(figure, "How many clusters?", x="number of clusters k", y="score (higher is better)")


def _lead(scores: pd.DataFrame, k: int) -> str:
    """Say how far the score of the chosen k is ahead of the best other."""
    own, others = scores.loc[scores["k"] == k, "score"], scores.loc[scores["k"] != k].nlargest(1, "score")
    if own.empty or others.empty or not own.iloc[0]:
        return ""
    lead, other = 1 - others["score"].iloc[0] / own.iloc[0], others["k"].iloc[0]
    return f", {abs(lead):.1%} {'ahead of' if lead >= 0 else 'behind'} {other:.0f}"


def clusters_3d(customers: pd.DataFrame) -> go.Figure:
    """Draw the clusters in space: recency, frequency and monetary value, the last two on log scales.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_kmeans_clustered``; more than 5,000 customers are sampled evenly.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.clusters_3d(rfm.example("customer_rfm_kmeans_clustered")).layout.title.text
    'Where do the clusters lie?'
    """
    import plotly.graph_objects as go

    step = max(1, int(np.ceil(len(customers) / MOST_POINTS)))
    shown = customers.sort_values("CustomerID").iloc[::step]
    figure = go.Figure()
    for cluster, rows in sorted(shown.groupby("Cluster"), key=lambda pair: -pair[0] if pair[0] < 0 else pair[0] - 1000):
        marker = {"size": 3, "opacity": 0.8, "color": CLUSTER_COLOURS[cluster % 12] if cluster >= 0 else GREY}
        marker["symbol"] = OUTLIER_SYMBOLS.get(cluster, "circle")
        name = f"cluster {cluster}" if cluster >= 0 else f"outliers {cluster}"
        recency, frequency, money = (rows[axis].astype(float).round(2).tolist() for axis in ("Recency", "Frequency", "Monetary"))
        figure.add_scatter3d(x=recency, y=frequency, z=money, mode="markers", name=name, marker=marker)
    figure.update_scenes(
        xaxis_title_text="Recency (days)",
        yaxis={"title": {"text": "Frequency"}, "type": "log", "dtick": 1},
        zaxis={"title": {"text": "Monetary"}, "type": "log", "dtick": 1},
        camera={"eye": {"x": 2.2, "y": 2.0, "z": 0.9}, "center": {"z": -0.15}},
    )
    return finish(figure, "Where do the clusters lie?", height=560)


def segment_shares(summary: pd.DataFrame) -> go.Figure:
    """Draw each segment's share of customers against its share of revenue.

    Parameters
    ----------
    summary
        Columns of ``segment_summary``.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.segment_shares(rfm.example("segment_summary")).layout.title.text
    'Who brings the revenue?'
    """
    import plotly.graph_objects as go

    rows = summary.iloc[::-1]
    names, colours = rows["Cluster_Description"].tolist(), [TIER_COLOURS[tier] for tier in rows["Tier"]]
    figure = go.Figure()
    for name, column, shade in (("share of revenue", "RevenueShare", colours), ("share of customers", "CustomerShare", GREY)):
        shares = rows[column].astype(float)
        text = [f"{share:.0%}" for share in shares]
        figure.add_bar(y=names, x=shares.tolist(), name=name, orientation="h", marker_color=shade, text=text)
    figure.update_traces(textposition="outside", cliponaxis=False)
    figure.update_xaxes(tickformat=".0%")
    height = 140 + 64 * len(rows)
    return finish(figure, "Who brings the revenue?", height=height).update_layout(legend_traceorder="reversed")


def cluster_profiles(summary: pd.DataFrame, medians: Mapping[str, float]) -> go.Figure:
    """Draw the median metrics of each cluster as multiples of the median customer's.

    Parameters
    ----------
    summary
        Columns of ``cluster_description_and_recommendation``.
    medians
        Monetary, Frequency and Recency of the median customer.

    Examples
    --------
    >>> import rfm
    >>> medians = rfm.segments.medians_of(rfm.example("customer_rfm_kmeans_clustered"))
    >>> rfm.figures.cluster_profiles(rfm.example("cluster_description_and_recommendation"), medians).layout.title.text
    'How do the clusters differ from the median customer?'
    """
    import plotly.graph_objects as go

    rows = summary.sort_values("Cluster", ascending=False)
    metrics = list(medians)
    ratios = [[float(row[f"Median{name}"]) / (medians[name] or 1.0) for name in metrics] for _, row in rows.iterrows()]
    labelled = zip(rows["Cluster"], rows["Cluster_Label"], strict=True)
    names = ["<br>".join(wrap(f"{cluster} · {label}", 24)) for cluster, label in labelled]  # short lines leave room on a phone
    text = [[f"{ratio:.1f} ×" for ratio in row] for row in ratios]
    logs = np.log2(np.maximum(ratios, 1 / 16)).clip(-4, 4)
    heat = go.Heatmap(z=logs.tolist(), x=metrics, y=names, text=text, texttemplate="%{text}", colorscale="BrBG", zmin=-7, zmax=7)
    heat.update(hovertemplate="%{y}<br>%{x}: %{text} the median customer<extra></extra>", showscale=False)
    return finish(go.Figure(heat), "How do the clusters differ from the median customer?", height=140 + 52 * len(rows))
