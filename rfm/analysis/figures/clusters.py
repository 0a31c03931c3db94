"""Static figures of the metrics, the outliers and the clusters, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, ScalarFormatter

from rfm.analysis.figures import style
from rfm.analysis.figures.diagnostics import count_along, no_data, set_labels, set_legend, start
from rfm.analysis.figures.style import class_edges, cluster_name, day_edges, every_nth, whole_edges
from rfm.analysis.formatting import decimal, exact_share, whole
from rfm.analysis.outliers import fences_of
from rfm.words import N_, _, digits, tell

MOST_PAIRED, MOST_REGULAR = 500, 5000  # points of a figure, which keeps its file small
EDGES = {"Recency": day_edges, "Frequency": whole_edges, "Monetary": class_edges}  # of the classes of a histogram
PAIRS = (("Frequency", "Monetary"), ("Recency", "Monetary"), ("Recency", "Frequency"))
MARKERS, OUTLIER_MARKERS = "os^DPXvp*h", {-1: "D", -2: "s", -3: "P"}
MARKS = {
    0: (N_("regular"), style.GREY),
    -1: (N_("spend"), style.ORANGE),
    -2: (N_("frequency"), style.SKY),
    -3: (N_("both"), style.BLUE),
}
LINES = {N_("score"): (style.BLUE, "o-"), N_("silhouette"): (style.GREEN, "s--"), N_("elbow"): (style.ORANGE, "D:")}


def _unit(metric: str) -> str:
    """Return the title of an axis; all but the days are on a log scale."""
    return style.unit(metric) if metric == "Recency" else _("{unit} (log)", unit=style.unit(metric))


def distributions(gold: pd.DataFrame, outliers: pd.Series | None = None) -> Figure:
    """Draw histograms of recency, frequency and monetary value.

    `gold` has the columns of ``customer_rfm_gold``. `outliers` holds the cluster of each row, negative for outliers,
    which are then stacked on the others in their own colour.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_gold")
    >>> panels = rfm.figures.distributions(gold).axes
    >>> [int(sum(bar.get_height() for bar in panel.patches)) for panel in panels] == [len(gold)] * 3
    True
    """
    title = _("How are recency, frequency and spending spread?")
    if gold.empty:
        return no_data(title)
    out = np.zeros(len(gold), bool) if outliers is None else (outliers < 0).to_numpy()
    parts = {_("regular customers"): (~out, style.BLUE), _("outliers"): (out, style.ORANGE)}
    shown = list(parts)[: 2 if out.any() else 1]
    middle = [f"{style.unit(name)} {whole(float(gold[name].median()))}" for name in EDGES]
    figure, panels = start(
        title, _("Medians of {n} customers: {medians}.", n=whole(len(gold)), medians=", ".join(middle)), height=3.6, columns=3
    )
    for axes, (name, edges_of) in zip(panels, EDGES.items(), strict=True):
        values = gold[name].astype(float).to_numpy()
        edges = edges_of(values)
        heights = [np.maximum(values[parts[label][0]], edges[0]) for label in shown]
        colours = [parts[label][1] for label in shown]
        axes.hist(heights, edges.tolist(), stacked=True, label=shown, color=colours, edgecolor="white", linewidth=0.4)
        axes.set_xscale("linear" if name == "Recency" else "log")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(visible=False, axis="x")
        _plain_ticks(axes)
        set_labels(axes, _unit(name), _("customers") if name == "Recency" else "")
    if len(shown) > 1:
        _legend_below(figure, panels[0])
    return figure


def _plain_ticks(axes: Axes) -> None:
    """Write the numbers of both axes in full."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _place: digits(f"{value:,.10g}")))
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log" and high > 100 * low:  # nobody sees these ticks, which take a third of the drawing
            axis.set_minor_locator(NullLocator())


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, labelcolor=style.INK)


# ── outliers ────────────────────────────────────────────────────────────
def outlier_fences(gold: pd.DataFrame, outliers: pd.Series, fences: Mapping[str, tuple[float, float]] | None = None) -> Figure:
    """Draw monetary value against frequency on log scales, with the fences beyond which customers are outliers.

    `gold` has the columns of ``customer_rfm_gold``; `outliers` is 0 for regular customers and -1, -2 or -3 for outliers;
    `fences` are the lowest and the highest regular Monetary and Frequency; without them, those that `rfm.outlier_clusters` left
    in the attributes of `outliers`. More than 5,000 regular customers are sampled evenly.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_gold")
    >>> points = rfm.figures.outlier_fences(gold, rfm.outlier_clusters(gold)).axes[0].collections
    >>> [cloud.get_label() for cloud in points]
    ['regular: 332', 'spend: 14', 'frequency: 33', 'both: 21']
    """
    title = _("Which customers are too far out for K-means?")
    if gold.empty:
        return no_data(title)
    places = {mark: np.flatnonzero(outliers == mark) for mark in MARKS}
    labels = {mark: f"{_(name)}: {whole(len(places[mark]))}" for mark, (name, _colour) in MARKS.items()}
    ends = fences or outliers.attrs.get("fences") or fences_of(gold)
    spend, orders = (float(ends[name][1]) for name in ("Monetary", "Frequency"))
    alt = _("Customers: {counts}. Fences at {spend} {spent} and {orders} {invoices}.")
    units = {"spent": style.unit("Monetary"), "invoices": style.unit("Frequency")}
    alt = alt.format(counts=", ".join(labels.values()), spend=whole(spend), orders=decimal(orders, 1), **units)
    figure, (axes,) = start(title, alt)
    for mark, (_name, colour) in MARKS.items():
        rows = gold.iloc[every_nth(places[mark], MOST_REGULAR) if mark == 0 else places[mark]]
        x, y = rows["Frequency"].astype(float), rows["Monetary"].astype(float).clip(lower=0.01)
        look: dict[str, Any] = {"color": colour, "marker": OUTLIER_MARKERS.get(mark, "o"), "s": 18, "alpha": 0.7, "linewidths": 0}
        axes.scatter(x, y, label=labels[mark], **look)
    axes.set(xscale="log", yscale="log")
    if spend > 0:
        axes.axhline(spend, color=style.INK, linestyle="--", linewidth=1)
        _note(axes, _("fence: {n}", n=whole(spend)), (1, spend), ("axes fraction", "data"), right=True)
    if orders > 0:
        axes.axvline(orders, color=style.INK, linestyle="--", linewidth=1)
        _note(axes, _("fence: {n}", n=decimal(orders, 1)), (orders, 0), ("data", "axes fraction"))
    _plain_ticks(axes)
    set_labels(axes, _unit("Frequency"), _unit("Monetary"))
    set_legend(axes)
    return figure


def _note(
    axes: Axes, text: str, place: tuple[float, float], scales: tuple[str, str], *, right: bool = False, top: bool = False
) -> None:
    """Write a text beside a place: to the left of it if that is at the right, below it if that is at the top."""
    sides: dict[str, Any] = {"horizontalalignment": "right" if right else "left", "verticalalignment": "top" if top else "bottom"}
    away = (-6 if right else 6, -4 if top else 4)
    axes.annotate(text, place, away, xycoords=scales, textcoords="offset points", color=style.INK, **sides)


# ── clusters ────────────────────────────────────────────────────────────
def k_selection(scores: pd.DataFrame, k: int) -> Figure:
    """Draw silhouette, elbow and combined score of every k that was tried, and the lead of the chosen `k`.

    `scores` has the columns k, silhouette, elbow and score. A column error, the standard error of the silhouette, is
    drawn twice as wide.

    Examples
    --------
    >>> import datetime
    >>> import pandas as pd
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> model = rfm.Model.kept(rfm.example("cluster_models"), day)[day]
    >>> score = rfm.figures.k_selection(pd.DataFrame(model.scores), model.k).axes[0].lines[0]
    >>> model.k in score.get_xdata()
    True
    """
    title = _("How many clusters?")
    if scores.empty:
        return no_data(title)
    chosen = _chosen(scores, k)
    figure, (axes,) = start(title, f"{chosen[0].upper()}{chosen[1:]}.")
    sure = "error" not in scores or not (scores["error"] > 0).any()
    for name, (colour, form) in LINES.items():
        spans = None if sure or name != "silhouette" else 2 * scores["error"]
        axes.errorbar(scores["k"], scores[name], yerr=spans, fmt=form, label=_(name), color=colour, markersize=5, capsize=2)
    axes.axvline(k, color=style.GREY, linestyle="--", linewidth=1)
    _note(axes, chosen, (k, 1), ("data", "axes fraction"), right=k > scores["k"].mean(), top=True)
    axes.set_ylim(min(0.0, scores["silhouette"].min()) - 0.05, 1.15 * scores["score"].max())
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(_Spoken())
    set_labels(axes, _("number of clusters k"), _("score (higher is better)"))
    set_legend(axes)
    return figure


class _Spoken(ScalarFormatter):
    """Ticks with the separators of the language."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return digits(super().__call__(x, pos))


def _chosen(scores: pd.DataFrame, k: int) -> str:
    """Return the chosen k, and how far its score is ahead of the best other one."""
    own, others = scores.loc[scores["k"] == k, "score"], scores.loc[scores["k"] != k].nlargest(1, "score")
    if own.empty or others.empty or not others["score"].iloc[0]:
        return _("chosen: {k}", k=k)
    lead = own.iloc[0] / others["score"].iloc[0] - 1
    text = _("chosen: {k}, {share} ahead of {other}") if lead >= 0 else _("chosen: {k}, {share} behind {other}")
    return text.format(k=k, share=exact_share(abs(lead)), other=whole(others["k"].iloc[0]))


def cluster_profiles(summary: pd.DataFrame, medians: Mapping[str, float]) -> Figure:
    """Draw the median metrics of each cluster as multiples of the median customer's.

    `summary` has the columns of ``cluster_description_and_recommendation``; `medians` comes from `rfm.segments.medians_of`.

    Examples
    --------
    >>> import rfm
    >>> summary = rfm.example("cluster_description_and_recommendation")
    >>> medians = rfm.segments.medians_of(rfm.example("customer_rfm_kmeans_clustered"))
    >>> len(rfm.figures.cluster_profiles(summary, medians).axes[0].get_yticklabels()) == len(summary)
    True
    """
    title = _("How do the clusters differ from the median customer?")
    if summary.empty:
        return no_data(title)
    rows = summary.sort_values("Cluster")
    own = rows[[f"Median{name}" for name in medians]].to_numpy(float)
    ratios = own / np.array([float(median) or 1.0 for median in medians.values()])
    names = [f"{cluster} · {tell(label)}" for cluster, label in zip(rows["Cluster"], rows["Cluster_Label"], strict=True)]
    columns = [_("{unit}\nmedian {n}", unit=style.unit(name), n=whole(float(median))) for name, median in medians.items()]
    texts = [[f"{decimal(ratio, 1)} ×" for ratio in row] for row in ratios]
    told = "; ".join(f"{name}: {', '.join(row)}" for name, row in zip(names, texts, strict=True))
    figure, (axes,) = start(title, f"{', '.join(map(style.unit, medians))}; {told}.", height=1.4 + 0.45 * len(rows))
    _heat(axes, np.log2(np.maximum(ratios, 1 / 16)).clip(-4, 4), 7.0, texts)
    _name_cells(axes, columns, [fill(name, 32) for name in names])
    return figure


def _heat(axes: Axes, z: np.ndarray, far: float, texts: Sequence[Sequence[str]]) -> None:
    """Draw a text per cell, on colours from ``-far`` to ``far`` that are pale enough to read it."""
    axes.pcolormesh(z, cmap="BrBG", vmin=-far, vmax=far, edgecolors="white", linewidth=2)
    place: dict[str, Any] = {"horizontalalignment": "center", "verticalalignment": "center"}
    for row, column in np.ndindex(z.shape):
        axes.text(column + 0.5, row + 0.5, texts[row][column], color=style.INK, **place)


def _name_cells(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    axes.set_xticks(np.arange(len(columns)) + 0.5, list(columns))
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(rows), parse_math=False)
    axes.invert_yaxis()
    axes.grid(visible=False)


def clusters_pairs(customers: pd.DataFrame) -> Figure:
    """Draw each two metrics of ``customer_rfm_kmeans_clustered``; more than 500 customers are sampled evenly.

    Examples
    --------
    >>> import rfm
    >>> customers = rfm.example("customer_rfm_kmeans_clustered")
    >>> panels = rfm.figures.clusters_pairs(customers).axes
    >>> [sum(len(points.get_offsets()) for points in panel.collections) for panel in panels]
    [400, 400, 400]
    """
    title = "Which two metrics separate the clusters?"
    if customers.empty:
        return no_data(title)
    shown = every_nth(customers.sort_values("CustomerID"), MOST_PAIRED)
    groups = sorted(shown.groupby("Cluster"), key=lambda group: (group[0] < 0, abs(group[0])))
    alt = ", ".join(f"{cluster_name(cluster)}: {len(rows):,}" for cluster, rows in groups)
    figure, panels = start(title, f"Customers drawn: {alt}.", height=4, columns=3)
    figure.set_dpi(90)  # many points make a large file
    for axes, (x, y) in zip(panels, PAIRS, strict=True):
        for cluster, rows in groups:
            # a log scale has no place for amounts of 0 or below
            places = (rows[one].astype(float).clip(lower=0.0 if one == "Recency" else 0.1) for one in (x, y))
            axes.scatter(*places, **_dot(cluster))
        axes.set(xscale="linear" if x == "Recency" else "log", yscale="log")
        set_labels(axes, _unit(x), _unit(y))
    _legend_below(figure, panels[0])
    return figure


def _dot(cluster: int) -> dict[str, Any]:
    """Return label, colour and marker of a cluster; outliers are hollow."""
    look: dict[str, Any] = {"label": cluster_name(cluster), "s": 12, "linewidths": 0.7}
    if cluster < 0:
        return look | {"facecolors": "none", "edgecolors": style.GREY, "marker": OUTLIER_MARKERS.get(cluster, "o")}
    return look | {"color": style.CLUSTER_COLOURS[cluster % 12], "marker": MARKERS[cluster % 10]}


def centroids(model: Sequence[Sequence[float]], mean: Sequence[float], scale: Sequence[float], names: Sequence[str]) -> Figure:
    """Draw the centroids on the scale that K-means uses: standard deviations from the mean customer.

    `model` holds Monetary, Frequency and Recency of each centroid in their own units; `mean` and `scale` are the model's,
    per metric; `names` are those of the clusters.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> model = rfm.Model.kept(rfm.example("cluster_models"), day)[day]
    >>> names = [f"cluster {number}" for number in range(model.k)]
    >>> figure = rfm.figures.centroids(model.centroids, model.mean, model.scale, names)
    >>> len(figure.axes[0].texts) == 3 * model.k
    True
    """
    title = "Where do the centroids lie?"
    if not len(model):
        return no_data(title)
    z = ((np.asarray(model, float) - np.asarray(mean)) / np.asarray(scale)).round(3)
    told = [f"{name}: {', '.join(f'{one:+.1f}' for one in row)}" for name, row in zip(names, z, strict=True)]
    figure, (axes,) = start(title, f"{', '.join(style.UNITS)}; {'; '.join(told)}.", height=1.4 + 0.45 * len(z))
    far = 1.75 * max(2.0, float(np.abs(z).max()))
    _heat(axes, z, far, [[f"{value:+.1f}" for value in row] for row in z])
    _name_cells(axes, list(style.UNITS), names)
    set_labels(axes, "standard deviations from the mean customer")
    return figure


# ── states ────────────────────────────────────────────────────────────
LEAST_LABELLED = 0.04  # of the longest bar: a shorter part has no room for its number


def segment_states(states: pd.DataFrame) -> Figure:
    """Draw the customers of each segment of ``customer_states`` by their states, the largest segment first.

    Examples
    --------
    >>> import rfm
    >>> drawn = rfm.figures.segment_states(rfm.example("customer_states")).axes[0].get_legend_handles_labels()[1]
    >>> drawn
    ['active', 'cooling']
    """
    title = "How are the customers of each segment doing?"
    if states.empty:
        return no_data(title)
    counts = states.groupby(["Segment", "State"]).size().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    sums = counts.sum()
    shown = [state for state in style.STATE_COLOURS if sums.get(state, 0)]
    said = ", ".join(f"{sums[state]:,} {state}" for state in shown)
    figure, (axes,) = start(title, f"Of {len(states):,} customers: {said}.", height=1.4 + 0.42 * len(counts))
    left, least = np.zeros(len(counts)), LEAST_LABELLED * counts.sum(axis=1).max()
    for state in shown:
        colour = style.STATE_COLOURS[state]
        bars = axes.barh(counts.index.tolist(), counts[state], left=left, label=state, color=colour, edgecolor="white")
        labels = [f"{n:,}" if n > least else "" for n in counts[state]]
        axes.bar_label(bars, labels, label_type="center", fontsize=8)
        left += counts[state].to_numpy()
    axes.invert_yaxis()
    count_along(axes, "x")
    set_labels(axes, "customers")
    set_legend(axes, columns=6)
    return figure
