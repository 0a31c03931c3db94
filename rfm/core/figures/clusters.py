"""Figures of the clusters: spread with and without outliers, pairs of metrics, centroids on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rfm.core.figures.style import BLUE, CLUSTER_COLOURS, GREY, ORANGE, OUTLIER_SYMBOLS, UNITS, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
