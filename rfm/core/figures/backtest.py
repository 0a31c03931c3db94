"""Figures of the backtest: what each way foretells, and what each segment does next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from rfm.core.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, finish

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
FORETOLD = {  # measure: the question, the axis, its format, where a coin or "all alike" stands
    "auc": ("Which way tells best who buys again?", "AUC", ".2f", 0.5),
    "spearman": ("Which way ranks customers best by what they then spend?", "rank correlation", ".2f", 0.0),
    "top_fifth": ("Whose highest ranked fifth brings most of the revenue?", "share of the revenue", ".0%", 0.2),
    "explained": ("Which way says best how much each will spend?", "share of the differences explained", ".0%", 0.0),
    "renamed": ("How many who bought nothing get another name?", "share renamed from run to run", ".1%", 0.0),
}


def foretold(results: pd.DataFrame, measure: str) -> go.Figure:
    """Draw one measure of every way, with its interval, a colour a horizon; the dashed line is all customers alike.

    Parameters
    ----------
    results
        As `rfm.core.backtest.backtest` returns them.
    measure
        A key of `FORETOLD`.

    Examples
    --------
    >>> import pandas as pd
    >>> import rfm
    >>> row = {"way": "steady", "horizon": 30, "measure": "auc", "against": "", "value": 0.7, "low": 0.6, "high": 0.8}
    >>> rfm.figures.foretold(pd.DataFrame([row]), "auc").layout.title.text
    'Which way tells best who buys again?'
    """
    import plotly.graph_objects as go

    title, axis, form, nothing = FORETOLD[measure]
    rows = results[(results["measure"] == measure) & (results["against"] == "") & (results["way"] != "all alike")]
    ways, horizons = rows["way"].unique().tolist(), sorted(rows["horizon"].unique())
    figure = go.Figure()
    for number, (horizon, own) in enumerate(rows.groupby("horizon")):
        shift = (number - (len(horizons) - 1) / 2) * 0.24
        places = [-ways.index(way) - shift for way in own["way"]]
        _dots(figure, own, places, own["way"].tolist(), f"{horizon} days", COLOURS[number % len(COLOURS)], form)
    figure.add_vline(x=nothing, line_width=1, line_dash="dash", line_color=GREY)
    figure.update_yaxes(tickvals=[-i for i in range(len(ways))], ticktext=ways)
    figure.update_layout(xaxis_tickformat=form, showlegend=True)
    return finish(figure, title, x=axis, height=150 + 44 * len(ways))


def segment_lifts(results: pd.DataFrame, way: str, horizon: int) -> go.Figure:
    """Draw how often the customers of each segment buy again, and how much they spend, against everyone.

    Parameters
    ----------
    results
        As `rfm.core.backtest.backtest` returns them.
    way
        One with segments.
    horizon
        Days ahead.

    Examples
    --------
    >>> import pandas as pd
    >>> import rfm
    >>> row = {"way": "steady", "horizon": 30, "segment": "Champions", "value": 2.0, "low": 1.8, "high": 2.2}
    >>> lifts = pd.DataFrame([row | {"measure": "lift"}, row | {"measure": "spend_lift"}])
    >>> rfm.figures.segment_lifts(lifts, "steady", 30).layout.title.text
    'Which segments do better than everyone in the next 30 days?'
    """
    import plotly.graph_objects as go

    rows = results[(results["way"] == way) & (results["horizon"] == horizon)]
    names = rows[rows["measure"] == "lift"].sort_values("value", ascending=False)["segment"].tolist()
    figure = go.Figure()
    for number, (measure, label) in enumerate({"lift": "buy again", "spend_lift": "spend"}.items()):
        own = rows[rows["measure"] == measure]
        places = [-names.index(name) - (number - 0.5) * 0.24 for name in own["segment"]]
        _dots(figure, own, places, own["segment"].tolist(), label, COLOURS[number], ".2f")
    figure.add_vline(x=1, line_width=1, line_dash="dash", line_color=GREY)
    figure.update_yaxes(tickvals=[-i for i in range(len(names))], ticktext=names)
    title = f"Which segments do better than everyone in the next {horizon} days?"
    return finish(figure, title, x=f"{way}: times the average customer", height=150 + 40 * len(names))


def _dots(
    figure: go.Figure, rows: pd.DataFrame, places: list[float], names: list[str], label: str, colour: str, form: str
) -> None:
    """Add a dot and its interval for each row."""
    values, spans = rows["value"], {"array": (rows["high"] - rows["value"]).tolist()}
    spans |= {"arrayminus": (rows["value"] - rows["low"]).tolist()}
    figure.add_scatter(
        x=values.tolist(),
        y=places,
        name=label,
        mode="markers",
        marker={"color": colour, "size": 9},
        error_x={"type": "data", "symmetric": False, "thickness": 1.5, "width": 3, **spans},
        customdata=list(zip(names, rows["low"], rows["high"], strict=True)),
        hovertemplate=f"%{{customdata[0]}}: %{{x:{form}}} (%{{customdata[1]:{form}}} to %{{customdata[2]:{form}}})",
    )
