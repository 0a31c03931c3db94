"""Figures of the data's quality: where the money went, which rules held, how many lines a day has."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from rfm import words
from rfm.analysis.figures import style
from rfm.analysis.figures.style import box_of, dates, finish, hatched, named_bars, short
from rfm.analysis.formatting import exact_share, whole
from rfm.words import _, ngettext, tell

COLOURS = (style.BLUE, style.RED, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, "#b8a100", style.GREY)
SHAPES = ("", "/", "x", ".", "-", "+", "\\", "|")
NEWEST = 7  # days drawn against their weekday's range


def money_waterfall(flow: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw how the money of `rfm.quality.money_flow` becomes the revenue in the segments; steps without lines are left out.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> refused = rfm.judge(rfm.example("retail_transactions_quarantine"))
    >>> flow = rfm.quality.money_flow(refused, rfm.example("retail_transactions_silver"), datetime.date(2025, 10, 23))
    >>> bars, names, labels = rfm.figures.money_waterfall(flow).data
    >>> names.text[0], labels.text[0].split(" · ")[1]
    ('Lines that arrived', '3,998 lines')
    """
    rows = flow[(flow["Lines"] != 0) | flow["Kind"].isin(["start", "end"])]
    amounts = rows["Amount"].astype(float)
    after = amounts.where(rows["Kind"].isin(["start", "step"]), 0).cumsum()
    moved = rows["Kind"] == "step"
    base = (after - amounts).where(moved & (amounts >= 0), after.where(moved, 0)).round(2)
    labels = [_step_label(*row, currency) for row in zip(rows["Kind"], amounts, rows["Lines"], strict=True)]
    looks = {"step": style.RED, "gain": style.GREEN, "note": style.GREY}
    colours = rows["Kind"].mask(moved & (amounts > 0), "gain").map(looks).fillna(style.BLUE).tolist()
    marker = hatched(colours, ["/" if kind == "note" else "" for kind in rows["Kind"]])
    lengths = amounts.abs().round(2).tolist()
    names = rows["Label"].map(tell).tolist()
    figure = named_bars(go.Figure(), names, lengths, labels, base=base.tolist(), marker=marker)
    alt = "; ".join(f"{name}: {label}" for name, label in zip(names, labels, strict=True))
    return finish(figure, _("Where did the money go?"), height=110 + 44 * len(rows), alt=alt)


def _step_label(kind: str, amount: float, lines: int, currency: str) -> str:
    """Return the label at the end of a step; a change has its sign."""
    sign = "+" if kind == "step" and amount > 0 else ""
    text = ngettext(
        "{amount} · {n} line", "{amount} · {n} lines", abs(lines), amount=short(float(amount), currency), n=whole(abs(lines))
    )
    return f"{sign}{text}"


def pass_rates(results: pd.DataFrame) -> go.Figure:
    """Draw the share of rows that pass each rule of ``expectation_results``, over time; rules never broken share a line.

    Examples
    --------
    >>> import rfm
    >>> [line.name for line in rfm.figures.pass_rates(rfm.example("expectation_results")).data][-1]
    '4 never broken'
    """
    figure = go.Figure()
    rows = results.assign(share=1 - results["failed"] / results["checked"].clip(lower=1)).sort_values("processing_date")
    broken = [name for name, part in rows.groupby("expectation") if part["failed"].any()]
    kept = rows[~rows["expectation"].isin(broken)]
    for at, name in enumerate(broken):
        part = rows[rows["expectation"] == name]
        line = {"color": COLOURS[at % len(COLOURS)], "dash": style.DASHES[at % len(style.DASHES)]}
        y = part["share"].astype(float).round(5).tolist()
        figure.add_scatter(
            x=dates(part["processing_date"]), y=y, name=f"{name}: {exact_share(y[-1])}", line=line, mode=_mode(part)
        )
    if len(kept):
        days = sorted(kept["processing_date"].unique())
        name = _("{n} never broken", n=kept["expectation"].nunique())
        figure.add_scatter(x=dates(days), y=[1] * len(days), name=name, mode=_mode(days), line={"color": style.GREY, "width": 1})
    style.by_day(figure.update_yaxes(tickformat=".0%"), dates(rows["processing_date"]))
    return finish(figure, _("Which rules do the lines keep, day after day?"), y=_("share of rows that pass"), height=460)


def _mode(points: Sized) -> str:
    """Return the mode of a line; many points are not marked."""
    return "lines" if len(points) > 31 else "lines+markers"


def layers_by_day(counts: pd.DataFrame) -> go.Figure:
    """Draw how many lines of ``daily_counts`` are in bronze and in silver, per day of sale.

    Examples
    --------
    >>> import rfm
    >>> bronze, silver = rfm.figures.layers_by_day(rfm.example("daily_counts")).data
    >>> sum(bronze.y) > sum(silver.y)
    True
    """
    figure = go.Figure()
    days = counts.dropna(subset="InvoiceDate").groupby(["layer", "InvoiceDate"], as_index=False)["total_records"].sum()
    for layer, name, colour in (("bronze", _("bronze: arrived"), style.GREY), ("silver", _("silver: kept"), style.BLUE)):
        rows = days[days["layer"] == layer]
        figure.add_bar(x=dates(rows["InvoiceDate"]), y=rows["total_records"].tolist(), name=name, marker_color=colour)
    figure.update_layout(barmode="overlay", bargap=0.1).update_xaxes(type="date")
    return finish(figure, _("How many lines of each day were kept?"), y=_("lines"))


def refusals(results: pd.DataFrame) -> go.Figure:
    """Draw why lines were dropped according to ``expectation_results``; a line that broke two rules counts in both.

    Examples
    --------
    >>> import rfm
    >>> results = rfm.example("expectation_results")
    >>> dropped = results.loc[results["severity"].isin(["drop", "fail"]), "failed"].sum()
    >>> sum(sum(bars.y) for bars in rfm.figures.refusals(results).data) == dropped
    True
    """
    figure = go.Figure()
    rows = results[results["severity"].isin(["drop", "fail"])].sort_values("processing_date")
    broken = rows.groupby("expectation")["failed"].sum().sort_values(ascending=False)
    for at, (name, total) in enumerate(broken[broken > 0].items()):
        part = rows[rows["expectation"] == name]
        marker = hatched(COLOURS[(at + 1) % len(COLOURS)], SHAPES[at % len(SHAPES)])
        x, y = dates(part["processing_date"]), part["failed"].tolist()
        figure.add_bar(x=x, y=y, name=f"{name}: {whole(total)}", marker=marker)
    style.by_day(figure.update_layout(barmode="stack", bargap=0.1, showlegend=True), dates(rows["processing_date"]))
    return finish(figure, _("Why were lines dropped?"), y=_("lines"))


def weekday_volume(volume: pd.DataFrame) -> go.Figure:
    """Draw the usual number of lines per weekday in ``daily_volume``, and the newest seven days against it.

    Examples
    --------
    >>> import rfm
    >>> ranges, newest = rfm.figures.weekday_volume(rfm.example("daily_volume")).data
    >>> len(newest.y)
    7
    """
    newest = volume.sort_values("processing_date").drop_duplicates(["InvoiceDate", "source_file"], keep="last")
    days = newest.groupby("InvoiceDate")["lines"].sum().sort_index()
    at = np.array([day.weekday() for day in days.index], dtype=int)
    figure = go.Figure()
    weekdays = words.weekdays("abbreviated")
    found = {name: days.loc[at == number] for number, name in enumerate(weekdays) if (at == number).any()}
    figure.add_box(x=list(found), **box_of(found.values()), name=_("all days: least, middle half, most"), marker_color=style.GREY)
    last = days.tail(NEWEST)
    x = [weekdays[number] for number in at[-NEWEST:]]
    marker = {"color": style.RED, "symbol": "diamond", "size": 11}
    figure.add_scatter(x=x, y=last.tolist(), name=_("newest 7 days"), mode="markers", marker=marker, hovertext=dates(last.index))
    figure.update_yaxes(rangemode="tozero").update_xaxes(categoryorder="array", categoryarray=weekdays)
    return finish(figure, _("Were the newest days as usual for their weekday?"), y=_("lines"))
