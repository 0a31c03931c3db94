"""Figures of the files, the rules, the money and the backtest, and what all figures of matplotlib share (no pyplot)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence, Sized
from io import BytesIO
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter

from rfm import words
from rfm.analysis.figures import style
from rfm.analysis.figures.style import box_of, dates, finish, hatched, named_bars, short
from rfm.analysis.formatting import decimal, exact_share, whole, whole_share
from rfm.words import _, ngettext, tell

SEVERITIES = {"drop": style.RED, "warn": style.ORANGE, "fail": style.PURPLE}
SERIES = ((style.BLUE, "o"), (style.ORANGE, "s"), (style.GREEN, "D"), (style.PURPLE, "^"))  # told apart in grey, too


class _Diagnostic(Figure):
    """A figure that Jupyter shows as an image with alternative text."""

    alt = ""

    def base64_png(self) -> str:
        """Return the image, the same text each time."""
        content = BytesIO()  # by the canvas itself: `savefig` would lay the figure out and draw it a second time
        FigureCanvasAgg(self).print_png(content, metadata={"Software": None})
        return b64encode(content.getvalue()).decode()

    # Jupyter shows a plain Figure only after pyplot has drawn one, and without alternative text.
    def _repr_mimebundle_(self, **_given: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        return {"image/png": self.base64_png(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def start(title: str, alt: str, *, height: float = 4.5, columns: int = 1) -> tuple[_Diagnostic, list[Axes]]:
    """Return a figure with its title, and its empty axes in a row; colours do not depend on the user's style."""
    figure = _Diagnostic((8, height), dpi=96, facecolor="white", layout="constrained")
    figure.alt = f"{title} {alt}"
    figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=13, color=style.INK)
    row = list(figure.subplots(1, columns, squeeze=False)[0])
    for axes in row:
        axes.set(facecolor="white", axisbelow=True)
        axes.tick_params(which="both", colors=style.INK, length=0)
        axes.spines[:].set_visible(False)
        axes.grid(color=style.GREY, alpha=0.25)
    return figure, row


def set_labels(axes: Axes, x: str = "", y: str = "") -> None:
    """Name the axes."""
    axes.set_xlabel(x, color=style.INK)
    axes.set_ylabel(y, color=style.INK)


def set_legend(axes: Axes, columns: int = 4) -> None:
    """Put the legend in a line above the axes."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, frameon=False, labelcolor=style.INK)


def count_along(axes: Axes, side: Literal["x", "y"]) -> None:
    """Write whole numbers along one axis, with a grid for these alone."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(visible=False, axis="y" if side == "x" else "x")


def no_data(title: str) -> Figure:
    """Return a figure that says that there is nothing to draw."""
    figure, (axes,) = start(title, _("No data yet."), height=1.8)
    axes.set_axis_off()
    axes.text(0.5, 0.5, _("no data yet"), horizontalalignment="center", color=style.INK)
    return figure


# ── files and rules ──────────────────────────────────────────────────────────────
def arrivals(ledger: pd.DataFrame) -> Figure:
    """Draw how many lines the dated files of ``landing_files`` brought per day, and how many of them silver kept.

    Examples
    --------
    >>> import rfm
    >>> arrived, kept = rfm.figures.arrivals(rfm.example("landing_files")).axes[0].patches
    >>> int(arrived.get_data().values[0]), int(kept.get_data().values[0])
    (173, 173)
    """
    title = "How many lines did each day's file bring?"
    dated = ledger[ledger["file_date"].notna() & ledger["layer"].isin(["bronze", "silver"])]
    days = dated.groupby(["layer", "file_date"])["rows"].sum()
    if days.empty:
        return no_data(title)
    figure, (axes,) = start(title, f"From {days.min():,} to {days.max():,} lines per day.")
    span = pd.date_range(dated["file_date"].min(), dated["file_date"].max()).date
    edges = date2num(span[0]) - 0.5 + np.arange(len(span) + 1)
    for layer, name, colour in (("bronze", "arrived", style.GREY), ("silver", "kept in silver", style.BLUE)):
        if layer in days.index:  # one shape for all days: a bar for each is drawn ten times as slowly
            values = days[layer].reindex(span)
            axes.stairs(values, edges, fill=True, label=name, color=colour)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator := AutoDateLocator(maxticks=9)))
    axes.xaxis.set_major_locator(locator)
    count_along(axes, "y")
    set_labels(axes, "date in the file's name", "lines")
    set_legend(axes)
    return figure


def broken_expectations(results: pd.DataFrame) -> Figure:
    """Draw how many rows failed each rule of ``expectation_results``.

    Examples
    --------
    >>> import rfm
    >>> bars = rfm.figures.broken_expectations(rfm.example("expectation_results")).axes[0].patches
    >>> int(max(bar.get_width() for bar in bars))
    781
    """
    title = "Which rules were broken, and how often?"
    totals = results.groupby(["expectation", "severity"], as_index=False)[["failed", "checked"]].sum()
    totals = totals.sort_values(["failed", "expectation"])
    if totals.empty:
        return no_data(title)
    parts = zip(totals["failed"], totals["checked"].clip(lower=1), totals["severity"], strict=True)
    labels = [f"{failed:,} ({failed / checked:.2%}), {severity}" for failed, checked, severity in parts]
    worst = totals["expectation"].iloc[-1]
    figure, (axes,) = start(title, f"Most often {worst}: {labels[-1]}.", height=1.3 + 0.32 * len(totals))
    bars = axes.barh(totals["expectation"], totals["failed"], color=totals["severity"].map(SEVERITIES).tolist())
    axes.bar_label(bars, labels, padding=4, color=style.INK)
    axes.margins(x=0.3)
    axes.set_xlim(left=0)
    count_along(axes, "x")
    set_labels(axes, "rows that failed")
    return figure


# ── did forecasts and segments come true? ────────────────────────────────────────────
FORETOLD = {  # measure: the question, the axis, its format, the value if all customers are alike
    "auc": ("Which way tells best who buys again?", "AUC", ".2f", 0.5),
    "spearman": ("Which way ranks customers best by what they then spend?", "rank correlation", ".2f", 0.0),
    "top_fifth": ("Whose highest ranked fifth brings most of the revenue?", "share of the revenue", ".0%", 0.2),
    "explained": ("Which way says best how much each will spend?", "share of the differences explained", ".0%", 0.0),
    "renamed": ("How many who bought nothing get another name?", "share renamed from run to run", ".1%", 0.0),
}


def foretold(results: pd.DataFrame, measure: str) -> Figure:
    """Draw one measure of every segmentation way with its interval, for each horizon.

    `results` comes from `rfm.analysis.backtest.backtest`; `measure` is auc, spearman, top_fifth, explained or renamed.

    Examples
    --------
    >>> import pandas as pd
    >>> import rfm
    >>> row = {"way": "steady", "horizon": 30, "measure": "auc", "against": "", "value": 0.7, "low": 0.6, "high": 0.8}
    >>> figure = rfm.figures.foretold(pd.DataFrame([row]), "auc")
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['steady']
    """
    title, axis, form, alike = FORETOLD[measure]
    rows = results[(results["measure"] == measure) & (results["against"] == "") & (results["way"] != "all alike")]
    series = {f"{horizon} days": own.set_index("way") for horizon, own in rows.groupby("horizon")}
    return _intervals(title, series, rows["way"].unique().tolist(), axis, form, (alike, "all customers alike"))


def reliability(curve: pd.DataFrame, ways: Sequence[str] = ("forecast", "BG/NBD")) -> Figure:
    """Draw how many of those who were given a probability of an order did order, by band of ``forecast_reliability``.

    Examples
    --------
    >>> import pandas as pd
    >>> import rfm
    >>> band = {"Way": "forecast", "Band": 0.2, "Customers": 40, "Forecast": 0.25, "Actual": 0.3}
    >>> rfm.figures.reliability(pd.DataFrame([band])).alt
    'Does what is forecast happen? On average 5.0 percentage points beside the forecast.'
    """
    title = _("Does what is forecast happen?")
    if curve.empty:
        return no_data(title)
    distance = (curve["Forecast"] - curve["Actual"]).abs() * curve["Customers"]
    away = distance.groupby(curve["Way"]).sum() / curve.groupby("Way")["Customers"].sum()
    points = decimal(100 * away.get(ways[0], 0.0), 1)
    figure, (axes,) = start(title, _("On average {n} percentage points beside the forecast.", n=points))
    axes.plot([0, 1], [0, 1], color=style.GREY, linestyle="--", linewidth=1, label=_("exactly as forecast"))
    for way, (colour, marker) in zip(ways, SERIES, strict=False):
        rows = curve[curve["Way"] == way]
        sizes = 12 + 300 * rows["Customers"] / rows["Customers"].sum()
        axes.plot(rows["Forecast"], rows["Actual"], color=colour, linewidth=1)
        axes.scatter(rows["Forecast"], rows["Actual"], s=sizes, color=colour, marker=marker, label=tell(way))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _place: whole_share(value)))
    set_labels(axes, _("forecast probability of an order within 30 days"), _("share who ordered"))
    set_legend(axes)
    return figure


def segment_lifts(results: pd.DataFrame, way: str, horizon: int) -> Figure:
    """Draw how often the customers of each segment buy again and how much they spend, as multiples of the average.

    `results` comes from `rfm.analysis.backtest.backtest`; `way` is one that makes segments; `horizon` is in days.

    Examples
    --------
    >>> import pandas as pd
    >>> import rfm
    >>> row = {"way": "steady", "horizon": 30, "segment": "Champions", "value": 2.0, "low": 1.8, "high": 2.2}
    >>> results = pd.DataFrame([row | {"measure": "lift"}, row | {"measure": "spend_lift"}])
    >>> [text.get_text() for text in rfm.figures.segment_lifts(results, "steady", 30).axes[0].get_yticklabels()]
    ['Champions']
    """
    rows = results[(results["way"] == way) & (results["horizon"] == horizon)]
    measures = {"buy again": "lift", "spend": "spend_lift"}
    series = {label: rows[rows["measure"] == measure].set_index("segment") for label, measure in measures.items()}
    names = series["buy again"].sort_values("value", ascending=False).index.tolist()
    title = f"Which segments do better than everyone in the next {horizon} days?"
    return _intervals(title, series, names, f"{way}: times the average customer", ".1f", (1.0, "average customer"))


def _intervals(
    title: str, series: dict[str, pd.DataFrame], names: list[str], axis: str, form: str, mark: tuple[float, str]
) -> Figure:
    """Draw points with their intervals, a row per name; a thin line goes from the least to the most of separate windows."""
    if not names:
        return no_data(title)
    first = next(iter(series.values()))["value"]
    ends = f"highest: {first.idxmax()}, {first.max():{form}}; lowest: {first.idxmin()}, {first.min():{form}}"
    figure, (axes,) = start(title, f"{next(iter(series))}, {ends}.", height=1.6 + 0.36 * len(names))
    axes.axvline(mark[0], color=style.GREY, linestyle="--", linewidth=1, label=mark[1])
    for number, (label, rows) in enumerate(series.items()):
        places = [names.index(name) + (number - (len(series) - 1) / 2) * 0.22 for name in rows.index]
        spans = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        colour, marker = SERIES[number % len(SERIES)]
        if "least" in rows:
            axes.hlines(places, rows["least"], rows["most"], color=style.GREY, linewidth=0.8, zorder=1)
        axes.errorbar(rows["value"], places, xerr=spans, label=label, color=colour, fmt=marker, markersize=5, capsize=2)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(StrMethodFormatter(f"{{x:{form}}}"))
    set_labels(axes, axis)
    set_legend(axes)
    return figure


# ── figures of plotly: where the money went, which rules held, how many lines a day has ──────────────
COLOURS = (style.BLUE, style.RED, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, "#b8a100", style.GREY)
SHAPES = ("", "/", "x", ".", "-", "+", "\\", "|")
NEWEST = 7  # days drawn against their weekday's range


def money_waterfall(flow: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw how the money of `rfm.quality.money_flow` becomes the revenue in the segments; steps without lines are left out.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> quarantined = rfm.judge(rfm.example("retail_transactions_quarantine"))
    >>> flow = rfm.quality.money_flow(quarantined, rfm.example("retail_transactions_silver"), datetime.date(2025, 10, 23))
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
