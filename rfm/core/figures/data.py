"""Figures of the data: what arrived, what was refused, how the metrics are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rfm.core.figures.style import BLUE, GREY, INK, ORANGE, RED, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go


AXES = {"Recency": "days since the last purchase", "Frequency": "invoices", "Monetary": "spent in all (log scale)"}


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
    return finish(figure, "How many lines did each day's file bring?", y="lines")


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
    return finish(figure, "Which rules were broken, and how often?", x="rows", height=380)


def distributions(gold: pd.DataFrame) -> go.Figure:
    """Draw how recency, frequency and monetary value are spread over the customers.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.14)
    for place, name in enumerate(AXES, start=1):
        edges, counts = _histogram(gold[name].astype(float).to_numpy(), log=name == "Monetary")
        centres = [(low + high) / 2 for low, high in zip(edges, edges[1:], strict=False)]
        hover = [f"{low:,.0f} to {high:,.0f}: {n:,} customers" for low, high, n in zip(edges, edges[1:], counts, strict=False)]
        widths = [high - low for low, high in zip(edges, edges[1:], strict=False)]
        figure.add_bar(x=centres, y=counts, width=widths, hovertext=hover, hoverinfo="text", marker_color=BLUE, row=place, col=1)
        figure.layout[f"xaxis{place}"].title.text = AXES[name]
    figure.update_xaxes(type="log", row=3, col=1)
    figure.update_layout(showlegend=False)
    return finish(figure, "How are recency, frequency and spending spread?", y="customers", height=680)


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
