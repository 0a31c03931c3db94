"""The style that figures share: colours, symbols, labels, and the layout of plotly's figures.

The colours of Okabe and Ito (2008) are distinct for the colour-blind. A tier or a cluster has the same colour in every
figure, always with its name beside it. Backgrounds are transparent, because pages are light or dark.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from rfm import words
from rfm.analysis.formatting import exact_share, short_amount
from rfm.words import N_, _

if TYPE_CHECKING:
    import plotly.graph_objects as go

Rows = TypeVar("Rows", pd.DataFrame, np.ndarray)

INK, GREY, BLUE, ORANGE = "#334155", "#8b97a8", "#0072b2", "#e69f00"
GREEN, PURPLE, SKY, RED = "#009e73", "#cc79a7", "#56b4e9", "#d55e00"
TIER_COLOURS = {"premium": BLUE, "high value": GREEN, "active engagement": SKY, "risk": RED, "growth and new": ORANGE}
STATE_COLOURS = {"new": SKY, "active": GREEN, "won back": BLUE, "cooling": ORANGE, "at risk": RED, "lost": GREY}
CLUSTER_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, SKY, RED, "#5b4a9c", "#b8a100", "#7a5195", "#4d7c0f", "#be185d", "#0f766e")
LOW_HIGH = [[0, "#f3f7fb"], [1, "#86b8e6"]]  # light enough for dark figures on all of it
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
OUTLIER_SYMBOLS = {-1: "diamond", -2: "square", -3: "cross"}
DAY = 24 * 3600 * 1000  # milliseconds
MOST_LABELS = 18  # months that are all labelled
FEW_DAYS = 7  # are all labelled
UNITS = {"Monetary": N_("spent in all"), "Frequency": N_("invoices"), "Recency": N_("days since last purchase")}


def finish(figure: go.Figure, title: str, *, x: str = "", y: str = "", height: int = 420, alt: str = "") -> go.Figure:
    """Set title, axis titles, style and height of a plotly figure."""
    layout = figure.layout.to_plotly_json() | ({"meta": {"alt": alt}} if alt else {})
    figure.layout = layout | {  # at once: `update_layout` takes six times as long
        "title": {"text": title, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top", "font": {"size": 17}},
        "template": "none",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "colorway": [BLUE, ORANGE, GREEN, PURPLE, SKY, RED],
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 60, "r": 20, "b": 50} | layout.get("margin", {}) | {"t": 80},
        "legend": layout.get("legend", {})
        | {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "itemsizing": "constant"},
        "height": height,
    }
    if words.language() != words.ENGLISH:
        _speak(figure)
    figure.update_xaxes({"title_text": x} if x else {}, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    figure.update_yaxes({"title_text": y} if y else {}, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    return figure


def _speak(figure: go.Figure) -> None:
    """Write numbers and shares in the language: plotly.js knows its separators, but always writes ``15%``, k and M."""
    figure.layout.separators = words.digits(".,")
    figure.update_xaxes(exponentformat="none").update_yaxes(exponentformat="none")
    figure.update_scenes(yaxis_exponentformat="none", zaxis_exponentformat="none")
    for name, axis in figure.layout.to_plotly_json().items():
        if name[1:5] == "axis" and str(axis.get("tickformat", "")).endswith("%"):
            _in_hundredths(figure, name[0], name[5:])
    for heat in figure.select_traces({"type": "heatmap"}):
        if SHARE in (heat.hovertemplate or ""):
            shares = [[None if one is None else exact_share(one) for one in row] for row in heat.z]
            heat.update(customdata=shares, hovertemplate=heat.hovertemplate.replace(SHARE, "%{customdata}"))


SHARE = "%{z:.1%}"  # in the hover text of a heat map


def _in_hundredths(figure: go.Figure, side: str, number: str) -> None:
    """Give the axis of a share the percent sign of the language, and its traces a hundred times their values."""
    axis = figure.layout[f"{side}axis{number}"]
    axis.update(tickformat=axis.tickformat.replace("%", "f"), ticksuffix=words.percent(""))
    for trace in figure.data:
        if (trace[f"{side}axis"] or side) == side + number:
            trace[side] = [None if one is None else round(100 * one, 6) for one in trace[side]]


def heat_map(z: list[list[Any]], x: Sequence[Any], y: Sequence[Any], text: list[list[str]], hover: str) -> go.Figure:
    """Draw shares or amounts as cells with their text, pale where they are low."""
    import plotly.graph_objects as go

    heat = go.Heatmap(z=z, x=x, y=y, text=text, texttemplate="%{text}", textfont_size=11, colorscale=LOW_HIGH, zmin=0)
    heat.update(showscale=False, xgap=2, ygap=2, hovertemplate=hover, hoverongaps=False)
    return go.Figure(heat).update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def by_month(figure: go.Figure, months: int) -> go.Figure:
    """Label months, each once where there are few of them."""
    return figure.update_xaxes(tickformat="%b\n%Y", type="date", dtick="M1" if months <= MOST_LABELS else None)


def by_day(figure: go.Figure, days: Sequence[str]) -> go.Figure:
    """Label days: each of a few, or plotly would label their hours; a single one stands among its neighbours."""
    figure.update_xaxes(type="date")
    dates = sorted({dt.date.fromisoformat(day[:10]) for day in days})
    if not dates or (dates[-1] - dates[0]).days > FEW_DAYS:
        return figure
    figure.update_xaxes(dtick=DAY)
    if len(dates) > 1:
        return figure
    near = [str(dates[0] + dt.timedelta(days=away)) for away in (-3, 3)]
    figure.update_traces(width=0.8 * DAY, selector={"type": "bar"})
    return figure.update_xaxes(range=near)


def named_bars(figure: go.Figure, names: Sequence[str], values: Sequence[float], labels: Sequence[str], **bar: Any) -> go.Figure:
    """Add horizontal bars with the name above each and a label at the right, which fits any width."""
    places = [-place for place in range(len(names))]
    starts = bar.get("base") or [0.0] * len(names)
    most = max([start + value for start, value in zip(starts, values, strict=True)], default=0.0) or 1.0
    figure.add_bar(y=places, x=list(values), orientation="h", width=0.4, hovertext=labels, hoverinfo="text", **bar)
    for x, side, texts in ((0.0, "right", names), (most, "left", labels)):
        text = {"mode": "text", "text": list(texts), "textposition": f"middle {side}", "textfont": {"size": 12}}
        figure.add_scatter(x=[x] * len(names), y=[at + 0.41 for at in places], hoverinfo="skip", cliponaxis=False, **text)
    figure.update_yaxes(visible=False, range=[0.7 - len(names), 0.7], fixedrange=True)
    figure.update_xaxes(visible=False, range=[0, most], fixedrange=True)
    return figure.update_layout(showlegend=False, margin={"l": 8, "r": 8, "b": 8})


def hatched(colour: Any, shape: Any) -> dict[str, Any]:
    """Return a marker for bars with white hatching over their colour."""
    return {"color": colour, "pattern": {"shape": shape, "fillmode": "overlay", "fgcolor": "#ffffff", "size": 6, "solidity": 0.2}}


short = short_amount


def cut(text: str, most: int = 38) -> str:
    """Return a text cut to a length and escaped, because plotly reads markup in names."""
    text = text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def dates(values: Iterable[Any]) -> list[str]:
    """Return dates in ISO format."""
    return [value.isoformat()[:10] for value in values]


def class_edges(values: np.ndarray) -> np.ndarray:
    """Return the edges of thirty classes of equal ratio."""
    values = np.maximum(values, 0.01)
    edges = np.geomspace(values.min(), max(values.max(), values.min() * 1.01), 31) if len(values) else np.array([1.0, 10.0])
    edges[[0, -1]] *= (1 - 1e-9, 1 + 1e-9)
    return edges


def day_edges(days: np.ndarray) -> np.ndarray:
    """Return the edges of at most thirty classes of equally many whole days."""
    first, beyond = int(days.min()), int(days.max()) + 1
    width = -(-(beyond - first) // 30)
    return np.arange(first, beyond + width, width) - 0.5


def whole_edges(values: np.ndarray) -> np.ndarray:
    """Return the edges of classes of whole numbers: one number each at first, later of equal ratio."""
    most = max(values.max(initial=1.0), 2.0)
    return np.unique(np.floor(np.geomspace(1, most + 1, 24))) - 0.5


def box_of(parts: Iterable[pd.Series]) -> dict[str, list[float]]:
    """Return the five numbers of one box per part: smallest, quartiles, largest."""
    numbers = np.array([part.quantile([0, 0.25, 0.5, 0.75, 1]).round(2) for part in parts], dtype=float).reshape(-1, 5)
    return dict(zip(("lowerfence", "q1", "median", "q3", "upperfence"), numbers.T.tolist(), strict=True))


def every_nth(rows: Rows, most: int) -> Rows:
    """Return an even sample of at most so many rows."""
    return rows[:: max(1, -(-len(rows) // most))]


def cluster_name(cluster: int) -> str:
    """Return the label of a cluster in a legend."""
    return _("cluster {n}", n=cluster) if cluster >= 0 else _("outliers {n}", n=cluster)


def unit(metric: str) -> str:
    """Return what an axis of a metric counts."""
    return _(UNITS[metric])


def by_amount(figure: go.Figure, currency: str) -> go.Figure:
    """Write the currency beside the amounts of the vertical axis."""
    before, after = words.money("|", currency).split("|")
    return figure.update_yaxes(tickprefix=before, ticksuffix=after, rangemode="tozero")
