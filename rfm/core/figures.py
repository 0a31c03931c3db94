"""One function a figure: frame in, figure out; never shows, never saves. Titles are the questions answered.

Colours are told apart by the colour-blind (Okabe and Ito, 2008) and belong to a tier or a cluster, so that
the same thing has the same colour on every page and every day; names stand beside them always.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import matplotlib.figure
    import plotly.graph_objects as go

INK, GREY, BLUE, ORANGE, GREEN, PURPLE, SKY, RED = (
    "#334155",
    "#8b97a8",
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
)
TIER_COLOURS = {
    "premium": BLUE,
    "high value": GREEN,
    "active engagement": SKY,
    "risk": RED,
    "growth and new": ORANGE,
}
CLUSTER_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, SKY, RED, INK, "#b8a100", "#7a5195", "#4d7c0f", "#be185d", "#0f766e")
OUTLIER_SYMBOLS = {-1: "diamond", -2: "square", -3: "cross"}
MOST_POINTS = 5000
UNITS = {"Monetary": "spent in all", "Frequency": "invoices", "Recency": "days since the last purchase"}


def arrivals(ledger: pd.DataFrame) -> go.Figure:
    """Draw how many lines the files of each day brought, and how many silver kept.

    Parameters
    ----------
    ledger
        Columns of ``landing_files``.
    """
    import plotly.graph_objects as go

    days = ledger.dropna(subset=["file_date"]).groupby(["file_date", "layer"], as_index=False)["rows"].sum()
    figure = go.Figure()
    for layer, name, colour in (("bronze", "arrived", GREY), ("silver", "kept in silver", BLUE)):
        rows = days[days["layer"] == layer]
        figure.add_bar(x=_dates(rows["file_date"]), y=rows["rows"].tolist(), name=name, marker_color=colour)
    figure.update_layout(barmode="overlay", bargap=0.1)
    return _finish(figure, "How many lines did each day's file bring?", y="lines")


def broken_expectations(results: pd.DataFrame) -> go.Figure:
    """Draw which expectations were broken, and by how many rows.

    Parameters
    ----------
    results
        Columns of ``expectation_results``.
    """
    import plotly.graph_objects as go

    totals = results.groupby(["expectation", "severity"], as_index=False)[["failed", "checked"]].sum()
    totals = totals.sort_values(["failed", "expectation"])
    colours = totals["severity"].map({"drop": RED, "warn": ORANGE, "fail": INK}).tolist()
    share = (totals["failed"] / totals["checked"].clip(lower=1)).map("{:.2%}".format)
    text = [
        f"{failed:,} ({part}), {severity}"
        for failed, part, severity in zip(totals["failed"], share, totals["severity"], strict=True)
    ]
    figure = go.Figure(
        go.Bar(x=totals["failed"].tolist(), y=totals["expectation"].tolist(), orientation="h", text=text, marker_color=colours)
    )
    figure.update_traces(textposition="auto", cliponaxis=False)
    return _finish(figure, "Which rules were broken, and how often?", x="rows", height=380)


def distributions(gold: pd.DataFrame) -> go.Figure:
    """Draw how recency, frequency and monetary value are spread over the customers.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=1, cols=3, subplot_titles=("Recency (days)", "Frequency (invoices)", "Monetary (log scale)"))
    for place, name in enumerate(("Recency", "Frequency", "Monetary"), start=1):
        edges, counts = _histogram(gold[name].astype(float).to_numpy(), log=name == "Monetary")
        centres = [(low + high) / 2 for low, high in zip(edges, edges[1:], strict=False)]
        hover = [f"{low:,.0f} to {high:,.0f}: {n:,} customers" for low, high, n in zip(edges, edges[1:], counts, strict=False)]
        widths = [high - low for low, high in zip(edges, edges[1:], strict=False)]
        figure.add_bar(x=centres, y=counts, width=widths, hovertext=hover, hoverinfo="text", marker_color=BLUE, row=1, col=place)
    figure.update_xaxes(type="log", row=1, col=3)
    figure.update_layout(showlegend=False)
    return _finish(figure, "How are recency, frequency and spending spread?", y="customers")


def outlier_fences(gold: pd.DataFrame, outliers: pd.Series, factor: float = 1.5) -> matplotlib.figure.Figure:
    """Draw which customers lie beyond the fences, spend against frequency, both on log scales.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``.
    outliers
        Cluster of each row: 0 regular, -1, -2, -3 outliers.
    factor
        Width of the fences in interquartile ranges.
    """
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    plt.close(figure)  # whoever asked for it shows it
    money, orders = gold["Monetary"].astype(float), gold["Frequency"].astype(float)
    marks = {0: ("regular", GREY, "o"), -1: ("spend", ORANGE, "D"), -2: ("frequency", SKY, "s"), -3: ("both", BLUE, "X")}
    for mark, (label, colour, symbol) in marks.items():
        rows = (outliers == mark).to_numpy()
        label = f"{label}: {rows.sum():,}"
        axes.scatter(orders[rows], money[rows].clip(lower=0.01), s=14, c=colour, marker=symbol, alpha=0.7, lw=0, label=label)
    for draw, values in ((axes.axhline, money), (axes.axvline, orders)):
        low, high = values.quantile([0.25, 0.75])
        draw(high + factor * (high - low), color=INK, lw=1, ls="--")
    axes.set(xscale="log", yscale="log", xlabel=UNITS["Frequency"], ylabel=UNITS["Monetary"])
    axes.set_title("Which customers are too far out for K-means?", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def k_selection(scores: pd.DataFrame, k: int) -> go.Figure:
    """Draw silhouette, elbow and combined score of every k tried.

    Parameters
    ----------
    scores
        Columns k, silhouette, elbow, score.
    k
        The one chosen.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, colour, dash in (("score", BLUE, "solid"), ("silhouette", GREEN, "dash"), ("elbow", ORANGE, "dot")):
        figure.add_scatter(
            x=scores["k"].tolist(), y=scores[name].tolist(), name=name, mode="lines+markers", line={"color": colour, "dash": dash}
        )
    figure.add_vline(x=k, line_width=1, line_dash="dash", line_color=GREY, annotation_text=f"chosen: {k}")
    figure.update_xaxes(dtick=1)
    return _finish(figure, "How many clusters?", x="number of clusters k", y="score (higher is better)")


def clusters_3d(customers: pd.DataFrame) -> go.Figure:
    """Draw the clusters in space: recency, frequency and monetary value, the last two on log scales.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_kmeans_clustered``; more than 5,000 customers are sampled evenly.
    """
    import plotly.graph_objects as go

    step = max(1, int(np.ceil(len(customers) / MOST_POINTS)))
    shown = customers.sort_values("CustomerID").iloc[::step]
    figure = go.Figure()
    for cluster, rows in sorted(shown.groupby("Cluster"), key=lambda pair: -pair[0] if pair[0] < 0 else pair[0] - 1000):
        marker = {"size": 3, "opacity": 0.8, "color": CLUSTER_COLOURS[cluster % 12] if cluster >= 0 else INK}
        marker["symbol"] = OUTLIER_SYMBOLS.get(cluster, "circle")
        name = f"cluster {cluster}" if cluster >= 0 else f"outliers {cluster}"
        recency, frequency, money = (rows[axis].astype(float).round(2).tolist() for axis in ("Recency", "Frequency", "Monetary"))
        figure.add_scatter3d(x=recency, y=frequency, z=money, mode="markers", name=name, marker=marker)
    figure.update_scenes(
        xaxis_title_text="Recency (days)",
        yaxis={"title": {"text": "Frequency"}, "type": "log"},
        zaxis={"title": {"text": "Monetary"}, "type": "log"},
        camera_eye={"x": 1.7, "y": 1.5, "z": 0.8},
    )
    return _finish(figure, "Where do the clusters lie?", height=560)


def segment_shares(summary: pd.DataFrame) -> go.Figure:
    """Draw each segment's share of customers against its share of revenue.

    Parameters
    ----------
    summary
        Columns of ``segment_summary``.
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
    return _finish(figure, "Who brings the revenue?", height=height).update_layout(legend_traceorder="reversed")


def cluster_profiles(summary: pd.DataFrame, medians: Mapping[str, float]) -> go.Figure:
    """Draw the median metrics of each cluster as multiples of the median customer's.

    Parameters
    ----------
    summary
        Columns of ``cluster_description_and_recommendation``.
    medians
        Monetary, Frequency and Recency of the median customer.
    """
    import plotly.graph_objects as go

    rows = summary.sort_values("Cluster", ascending=False)
    metrics = list(medians)
    ratios = [[float(row[f"Median{name}"]) / (medians[name] or 1.0) for name in metrics] for _, row in rows.iterrows()]
    names = [f"{cluster} · {name}" for cluster, name in zip(rows["Cluster"], rows["Cluster_Description"], strict=True)]
    text = [[f"{ratio:.1f} ×" for ratio in row] for row in ratios]
    logs = np.log2(np.maximum(ratios, 1 / 16)).clip(-4, 4)
    heat = go.Heatmap(z=logs.tolist(), x=metrics, y=names, text=text, texttemplate="%{text}", colorscale="BrBG", zmin=-7, zmax=7)
    heat.update(textfont_color=INK, hovertemplate="%{y}<br>%{x}: %{text} the median customer<extra></extra>", showscale=False)
    return _finish(go.Figure(heat), "How do the clusters differ from the median customer?", height=140 + 40 * len(rows))


def _histogram(values: np.ndarray, *, log: bool) -> tuple[list[float], list[int]]:
    """Return edges and counts of about thirty classes; classes of equal ratio on a log scale."""
    if log:
        values = np.maximum(values, 0.01)
        edges = np.geomspace(values.min(), max(values.max(), values.min() * 1.01), 31) if len(values) else np.array([1.0, 10.0])
        edges[[0, -1]] *= (1 - 1e-9, 1 + 1e-9)
    else:
        edges = np.histogram_bin_edges(values, bins=min(30, max(1, int(np.ptp(values)) if len(values) else 1)))
    counts, edges = np.histogram(values, edges)
    return edges.tolist(), counts.tolist()


def _dates(values: pd.Series) -> list[str]:
    """Return dates as ISO text."""
    return [value.isoformat()[:10] for value in values]


def _finish(figure: go.Figure, title: str, *, x: str = "", y: str = "", height: int = 420) -> go.Figure:
    """Give a figure its title, axes, house style and height in pixels."""
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top", "font": {"size": 17}},
        template="none",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        colorway=[BLUE, ORANGE, GREEN, PURPLE, SKY, RED],
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 20, "t": 80, "b": 50},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        height=height,
    )
    figure.update_xaxes(title_text=x or None, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    figure.update_yaxes(title_text=y or None, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    return figure
