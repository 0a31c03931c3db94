"""Figures of the data: what arrived, what was refused, how the metrics are spread.

Figures of the quality: where the money went, which rules held, how many lines a day has.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rfm.analysis.figures.style import (
    BLUE,
    DASHES,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    class_edges,
    dates,
    finish,
    hatched,
    named_bars,
    short,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

# ── data ────────────────────────────────────────────────────────────
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


# ── quality ────────────────────────────────────────────────────────────
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, "#b8a100", GREY)
SHAPES = ("", "/", "x", ".", "-", "+", "\\", "|")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NEWEST = 7  # days shown against their weekday's range


def money_waterfall(flow: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the way of the money from the lines that arrived to the revenue in the segments.

    Parameters
    ----------
    flow
        As `rfm.analysis.quality.money_flow` returns it; steps that no line takes are left out.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> refused = rfm.judge(rfm.example("retail_transactions_quarantine"))
    >>> flow = rfm.quality.money_flow(refused, rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.money_waterfall(flow).layout.title.text
    'Where did the money go?'
    """
    import plotly.graph_objects as go

    rows = flow[(flow["Lines"] != 0) | flow["Kind"].isin(["start", "end"])]
    amounts = rows["Amount"].astype(float)
    after = amounts.where(rows["Kind"].isin(["start", "step"]), 0).cumsum()
    moved = rows["Kind"] == "step"
    base = (after - amounts).where(moved & (amounts >= 0), after.where(moved, 0)).round(2)
    labels = [_step_label(*row, currency) for row in zip(rows["Kind"], amounts, rows["Lines"], strict=True)]
    colours = [_step_colour(*row) for row in zip(rows["Kind"], amounts, strict=True)]
    marker = hatched(colours, ["/" if kind == "note" else "" for kind in rows["Kind"]])
    lengths = amounts.abs().round(2).tolist()
    figure = named_bars(go.Figure(), rows["Label"].tolist(), lengths, labels, base=base.tolist(), marker=marker)
    alt = "; ".join(f"{name}: {label}" for name, label in zip(rows["Label"], labels, strict=True))
    return finish(figure, "Where did the money go?", height=110 + 44 * len(rows), alt=alt)


def _step_label(kind: str, amount: float, lines: int, currency: str) -> str:
    """Return what stands at the end of a step: a change carries its sign."""
    sign = "+" if kind == "step" and amount > 0 else ""
    return f"{sign}{short(float(amount), currency)} · {abs(lines):,} lines"


def _step_colour(kind: str, amount: float) -> str:
    """Return the colour of a step."""
    return {"step": GREEN if amount > 0 else RED, "note": GREY}.get(kind, BLUE)


def pass_rates(results: pd.DataFrame) -> go.Figure:
    """Draw which share of the rows kept each expectation, over time; those that were never broken share a line.

    Parameters
    ----------
    results
        Columns of ``expectation_results``.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.pass_rates(rfm.example("expectation_results")).layout.title.text
    'Which rules do the lines keep, day after day?'
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    rows = results.assign(share=1 - results["failed"] / results["checked"].clip(lower=1)).sort_values("processing_date")
    broken = [name for name, part in rows.groupby("expectation") if part["failed"].any()]
    whole = rows[~rows["expectation"].isin(broken)]
    for at, name in enumerate(broken):
        part = rows[rows["expectation"] == name]
        line = {"color": COLOURS[at % len(COLOURS)], "dash": DASHES[at % len(DASHES)]}
        y = part["share"].astype(float).round(5).tolist()
        figure.add_scatter(x=dates(part["processing_date"]), y=y, name=f"{name}: {y[-1]:.1%}", line=line, mode=_mode(part))
    if len(whole):
        days = sorted(whole["processing_date"].unique())
        name = f"{whole['expectation'].nunique()} never broken"
        figure.add_scatter(x=dates(days), y=[1] * len(days), name=name, mode=_mode(days), line={"color": GREY, "width": 1})
    figure.update_yaxes(tickformat=".0%").update_xaxes(type="date")
    return finish(figure, "Which rules do the lines keep, day after day?", y="share of rows that pass", height=460)


def _mode(points: Sized) -> str:
    """Return how a line is drawn: with its points where they are few."""
    return "lines" if len(points) > 31 else "lines+markers"


def layers_by_day(counts: pd.DataFrame) -> go.Figure:
    """Draw how many lines of each day of sale lie in bronze, and how many of them in silver.

    Parameters
    ----------
    counts
        Columns of ``daily_counts``; lines without a readable date are not drawn.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.layers_by_day(rfm.example("daily_counts")).layout.title.text
    'How many lines of each day were kept?'
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    days = counts.dropna(subset="InvoiceDate").groupby(["layer", "InvoiceDate"], as_index=False)["total_records"].sum()
    for layer, name, colour in (("bronze", "bronze: arrived", GREY), ("silver", "silver: kept", BLUE)):
        rows = days[days["layer"] == layer]
        figure.add_bar(x=dates(rows["InvoiceDate"]), y=rows["total_records"].tolist(), name=name, marker_color=colour)
    figure.update_layout(barmode="overlay", bargap=0.1).update_xaxes(type="date")
    return finish(figure, "How many lines of each day were kept?", y="lines")


def refusals(results: pd.DataFrame) -> go.Figure:
    """Draw why lines were dropped, over time.

    Parameters
    ----------
    results
        Columns of ``expectation_results``; rules that only warn drop nothing. A line that broke two rules is in both.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.refusals(rfm.example("expectation_results")).layout.title.text
    'Why were lines dropped?'
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    rows = results[results["severity"].isin(["drop", "fail"])].sort_values("processing_date")
    broken = rows.groupby("expectation")["failed"].sum().sort_values(ascending=False)
    for at, (name, total) in enumerate(broken[broken > 0].items()):
        part = rows[rows["expectation"] == name]
        marker = hatched(COLOURS[(at + 1) % len(COLOURS)], SHAPES[at % len(SHAPES)])
        x, y = dates(part["processing_date"]), part["failed"].tolist()
        figure.add_bar(x=x, y=y, name=f"{name}: {total:,}", marker=marker)
    figure.update_layout(barmode="stack", bargap=0.1, showlegend=True).update_xaxes(type="date")
    return finish(figure, "Why were lines dropped?", y="lines")


def weekday_volume(volume: pd.DataFrame) -> go.Figure:
    """Draw the usual number of lines of each weekday, and the newest seven days against it.

    Parameters
    ----------
    volume
        Columns of ``daily_volume``; of several readings of a file, the newest counts.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.weekday_volume(rfm.example("daily_volume")).layout.title.text
    'Were the newest days as usual for their weekday?'
    """
    import plotly.graph_objects as go

    newest = volume.sort_values("processing_date").drop_duplicates(["InvoiceDate", "source_file"], keep="last")
    days = newest.groupby("InvoiceDate")["lines"].sum().sort_index()
    at = np.array([day.weekday() for day in days.index], dtype=int)
    figure = go.Figure()
    found = [(name, days.loc[at == number]) for number, name in enumerate(WEEKDAYS) if (at == number).any()]
    quarters = {q: [float(part.quantile(q)) for _, part in found] for q in (0, 0.25, 0.5, 0.75, 1)}
    box = {
        "lowerfence": quarters[0],
        "q1": quarters[0.25],
        "median": quarters[0.5],
        "q3": quarters[0.75],
        "upperfence": quarters[1],
    }
    figure.add_box(x=[name for name, _ in found], **box, name="all days: least, middle half, most", marker_color=GREY)
    last = days.tail(NEWEST)
    x = [WEEKDAYS[number] for number in at[-NEWEST:]]
    marker = {"color": RED, "symbol": "diamond", "size": 11}
    figure.add_scatter(x=x, y=last.tolist(), name="newest 7 days", mode="markers", marker=marker, hovertext=dates(last.index))
    figure.update_yaxes(rangemode="tozero").update_xaxes(categoryorder="array", categoryarray=list(WEEKDAYS))
    return finish(figure, "Were the newest days as usual for their weekday?", y="lines")
