"""The house style of figures.

Colours are told apart by the colour-blind (Okabe and Ito, 2008) and belong to a tier or a cluster, so that
the same thing has the same colour on every page and every day; names stand beside them always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
CLUSTER_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, SKY, RED, INK, "#b8a100", "#7a5195", "#4d7c0f", "#be185d", "#0f766e")
OUTLIER_SYMBOLS = {-1: "diamond", -2: "square", -3: "cross"}
MOST_POINTS = 5000
UNITS = {"Monetary": "spent in all", "Frequency": "invoices", "Recency": "days since the last purchase"}


def finish(figure: go.Figure, title: str, *, x: str = "", y: str = "", height: int = 420) -> go.Figure:
    """Give a figure its title, axes, house style and height.

    Parameters
    ----------
    figure
        Changed in place.
    title
        The question that the figure answers.
    x, y
        Titles of the axes.
    height
        In pixels.
    """
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top", "font": {"size": 17}},
        template="none",
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        colorway=[BLUE, ORANGE, GREEN, PURPLE, SKY, RED],
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 60, "r": 20, "t": 80, "b": 50},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "itemsizing": "constant"},
        height=height,
    )
    figure.update_xaxes({"title_text": x} if x else {}, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    figure.update_yaxes({"title_text": y} if y else {}, automargin=True, gridcolor="rgba(139,151,168,0.25)", zeroline=False)
    return figure
