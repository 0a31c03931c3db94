"""The house style of figures.

Colours are told apart by the colour-blind (Okabe and Ito, 2008) and belong to a tier or a cluster, so that
the same thing has the same colour on every page and every day; names stand beside them always. They are
seen on light pages and on dark ones; the ink of texts is the page's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rfm.analysis.formatting import short_amount

if TYPE_CHECKING:
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
CLUSTER_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, SKY, RED, "#5b4a9c", "#b8a100", "#7a5195", "#4d7c0f", "#be185d", "#0f766e")
LOW_HIGH = [[0, "#f3f7fb"], [1, "#86b8e6"]]  # light enough for dark figures on all of it
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
OUTLIER_SYMBOLS = {-1: "diamond", -2: "square", -3: "cross"}
MOST_POINTS = 5000
UNITS = {"Monetary": "spent in all", "Frequency": "invoices", "Recency": "days since last purchase"}


def finish(figure: go.Figure, title: str, *, x: str = "", y: str = "", height: int = 420, alt: str = "") -> go.Figure:
    """Give a figure its title, axes, house style and height."""
    figure.update_layout({"meta": {"alt": alt}} if alt else {})
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top", "font": {"size": 17}},
        template="none",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        colorway=[BLUE, ORANGE, GREEN, PURPLE, SKY, RED],
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 20, "b": 50} | figure.layout.margin.to_plotly_json() | {"t": 80},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "itemsizing": "constant"},
        height=height,
    )
    figure.update_xaxes({"title_text": x} if x else {}, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    figure.update_yaxes({"title_text": y} if y else {}, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    return figure


def named_bars(figure: go.Figure, names: Sequence[str], values: Sequence[float], labels: Sequence[str], **bar: Any) -> go.Figure:
    """Draw horizontal bars, above each its name and at the right a label, which fits on any width."""
    places = [-place for place in range(len(names))]
    starts = bar.get("base") or [0.0] * len(names)
    most = max([start + value for start, value in zip(starts, values, strict=True)], default=0.0) or 1.0
    figure.add_bar(y=places, x=list(values), orientation="h", width=0.4, hovertext=labels, hoverinfo="text", **bar)
    for x, side, said in ((0.0, "right", names), (most, "left", labels)):
        text = {"mode": "text", "text": list(said), "textposition": f"middle {side}", "textfont": {"size": 12}}
        figure.add_scatter(x=[x] * len(names), y=[at + 0.41 for at in places], hoverinfo="skip", cliponaxis=False, **text)
    figure.update_yaxes(visible=False, range=[0.7 - len(names), 0.7], fixedrange=True)
    figure.update_xaxes(visible=False, range=[0, most], fixedrange=True)
    return figure.update_layout(showlegend=False, margin={"l": 8, "r": 8, "b": 8})


def hatched(colour: Any, shape: Any) -> dict[str, Any]:
    """Return the marker of bars with white lines over their colour."""
    return {"color": colour, "pattern": {"shape": shape, "fillmode": "overlay", "fgcolor": "#ffffff", "size": 6, "solidity": 0.2}}


short = short_amount


def cut(text: str, most: int = 38) -> str:
    """Return a text cut to a length, and as text: plotly reads markup in names."""
    text = text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def dates(values: Iterable[Any]) -> list[str]:
    """Return dates as ISO text."""
    return [value.isoformat()[:10] for value in values]


def class_edges(values: np.ndarray, *, log: bool) -> np.ndarray:
    """Return the edges of about thirty classes."""
    if not log:
        return np.histogram_bin_edges(values, bins=min(30, max(1, int(np.ptp(values)) if len(values) else 1)))
    values = np.maximum(values, 0.01)
    edges = np.geomspace(values.min(), max(values.max(), values.min() * 1.01), 31) if len(values) else np.array([1.0, 10.0])
    edges[[0, -1]] *= (1 - 1e-9, 1 + 1e-9)
    return edges
