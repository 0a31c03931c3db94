"""Figures of the data: what arrived, what was refused, how the metrics are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rfm.core.figures.style import BLUE, GREY, ORANGE, PURPLE, RED, class_edges, dates, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go


AXES = {"Recency": "days since last purchase", "Frequency": "invoices", "Monetary": "spent in all (log scale)"}


def arrivals(ledger: pd.DataFrame) -> go.Figure:
    """Draw how many lines the files of each day brought, and how many silver kept.

    Parameters
    ----------
    ledger
        Columns of ``landing_files``.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.arrivals(rfm.example("landing_files")).layout.title.text
    "How many lines did each day's file bring?"
    """
    import plotly.graph_objects as go

    days = ledger.dropna(subset=["file_date"]).groupby(["file_date", "layer"], as_index=False)["rows"].sum()
    figure = go.Figure()
    for layer, name, colour in (("bronze", "arrived", GREY), ("silver", "kept in silver", BLUE)):
        rows = days[days["layer"] == layer]
        figure.add_bar(x=dates(rows["file_date"]), y=rows["rows"].tolist(), name=name, marker_color=colour)
    figure.update_layout(barmode="overlay", bargap=0.1)
    return finish(figure, "How many lines did each day's file bring?", y="lines")


def broken_expectations(results: pd.DataFrame) -> go.Figure:
    """Draw which expectations were broken, and by how many rows.

    Parameters
    ----------
    results
        Columns of ``expectation_results``.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.broken_expectations(rfm.example("expectation_results")).layout.title.text
    'Which rules were broken, and how often?'
    """
    import plotly.graph_objects as go

    totals = results.groupby(["expectation", "severity"], as_index=False)[["failed", "checked"]].sum()
    totals = totals.sort_values(["failed", "expectation"])
    colours = totals["severity"].map({"drop": RED, "warn": ORANGE, "fail": PURPLE}).tolist()
    share = (totals["failed"] / totals["checked"].clip(lower=1)).map("{:.2%}".format)
    text = [
        f"{failed:,} ({part}), {severity}"
        for failed, part, severity in zip(totals["failed"], share, totals["severity"], strict=True)
    ]
    figure = go.Figure(
        go.Bar(x=totals["failed"].tolist(), y=totals["expectation"].tolist(), orientation="h", text=text, marker_color=colours)
    )
    figure.update_traces(textposition="auto", cliponaxis=False)
    return finish(figure, "Which rules were broken, and how often?", x="rows", height=380)


def distributions(gold: pd.DataFrame, outliers: pd.Series | None = None) -> go.Figure:
    """Draw how recency, frequency and monetary value are spread over the customers.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``.
    outliers
        Cluster of each row, below 0 for outliers, which then stand on top of the others in a colour of their own.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.distributions(rfm.example("customer_rfm_gold")).layout.title.text
    'How are recency, frequency and spending spread?'
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.14)
    out = np.zeros(len(gold), bool) if outliers is None else (outliers < 0).to_numpy()
    parts = [("customers" if outliers is None else "regular customers", BLUE, ~out), ("outliers", ORANGE, out)]
    for place, name in enumerate(AXES, start=1):
        values = gold[name].astype(float).to_numpy()
        edges = class_edges(values, log=name == "Monetary")
        for label, colour, rows in parts[: 1 if outliers is None else 2]:
            counts = np.histogram(np.maximum(values[rows], edges[0]), edges)[0].tolist()
            bar = _classes(edges.tolist(), counts, label)
            figure.add_bar(**bar, name=label, marker_color=colour, showlegend=place == 1, row=place, col=1)
        figure.layout[f"xaxis{place}"].title.text = AXES[name]
    figure.update_xaxes(type="log", row=3, col=1)
    figure.update_layout(barmode="stack", showlegend=outliers is not None)
    return finish(figure, "How are recency, frequency and spending spread?", y="customers", height=680)


def _classes(edges: list[float], counts: list[int], who: str) -> dict[str, Any]:
    """Return counted classes as bars that fill them."""
    pairs = list(zip(edges, edges[1:], strict=False))
    hover = [f"{low:,.0f} to {high:,.0f}: {n:,} {who}" for (low, high), n in zip(pairs, counts, strict=True)]
    centres, widths = [(low + high) / 2 for low, high in pairs], [high - low for low, high in pairs]
    return {"x": _rounded(centres), "y": counts, "width": _rounded(widths), "hovertext": hover, "hoverinfo": "text"}


def _rounded(values: list[float]) -> list[float]:
    """Return numbers with six digits that count, which no eye can tell from the whole."""
    return [float(f"{value:.6g}") for value in values]
