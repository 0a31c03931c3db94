"""Figures of the segments: their size, the scores, how the ways agree, who moved, how steady the names are.

Figures of the backtest: what each way foretells, and what each segment does next.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rfm.analysis.figures.style import BLUE, GREEN, GREY, LOW_HIGH, ORANGE, PURPLE, RED, TIER_COLOURS, cut, dates, finish, short

if TYPE_CHECKING:
    import plotly.graph_objects as go

# ── segments ────────────────────────────────────────────────────────────
MOST_FLOWS = 15
SCORES = [1, 2, 3, 4, 5]
STEADINESS = {  # column of segment_stability: axis, format, colour
    "RenamedShare": ("renamed", ".1%", RED),
    "AdjustedRand": ("adjusted Rand", ".2f", BLUE),
    "KMargin": ("lead of k", ".0%", GREEN),
}


def segment_treemap(summary: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue of each segment as an area, tiers together.

    Parameters
    ----------
    summary
        Columns of ``segment_summary``.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.segment_treemap(rfm.example("segment_summary")).layout.title.text
    'Which segments bring the revenue?'
    """
    import plotly.graph_objects as go

    money = summary["Revenue"].astype(float)
    tiers = money.groupby(summary["Tier"]).sum()
    ids = [f"tier {tier}" for tier in tiers.index] + summary["Cluster_Description"].tolist()
    parents = [""] * len(tiers) + [f"tier {tier}" for tier in summary["Tier"]]
    parts = [f"{short(value, currency)} · {share:.0%}" for value, share in zip(money, summary["RevenueShare"], strict=True)]
    text = [short(value, currency) for value in tiers] + parts
    labels = [*map(str, tiers.index), *summary["Cluster_Description"]]
    colours = [TIER_COLOURS[tier] for tier in [*tiers.index, *summary["Tier"]]]
    values = [*tiers.round(2), *money.round(2)]
    area = go.Treemap(
        ids=ids, labels=labels, parents=parents, values=values, text=text, branchvalues="total", marker_colors=colours
    )
    area.update(
        textinfo="label+text",
        hoverinfo="label+text",
        pathbar_visible=False,
        textfont_size=14,
        tiling_pad=2,
    )
    return finish(go.Figure(area), "Which segments bring the revenue?", height=520).update_layout(margin={"l": 4, "r": 4})


def score_map(scored: pd.DataFrame, customers: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw mean spend and number of customers for each recency and frequency score.

    Parameters
    ----------
    scored
        Columns of ``customer_segmentations``.
    customers
        CustomerID and Monetary of each.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import rfm
    >>> scored, customers = rfm.example("customer_segmentations"), rfm.example("customer_rfm_kmeans_clustered")
    >>> rfm.figures.score_map(scored, customers).layout.title.text
    'Do those who come often and lately spend more?'
    """
    import plotly.graph_objects as go

    money = scored["CustomerID"].map(customers.set_index("CustomerID")["Monetary"]).astype(float)
    cells = scored.assign(Monetary=money).groupby(["FScore", "RScore"])["Monetary"].agg(["mean", "size"])
    found = [[cells.loc[(f, r)] if (f, r) in cells.index else None for r in SCORES] for f in SCORES]
    text = [["" if one is None else f"{short(one['mean'], currency)}<br>{one['size']:,.0f}" for one in row] for row in found]
    z = [[None if one is None else round(float(np.log10(max(one["mean"], 0.01))), 3) for one in row] for row in found]
    heat = go.Heatmap(
        z=z, x=SCORES, y=SCORES, text=text, texttemplate="%{text}", colorscale=LOW_HIGH, showscale=False, xgap=2, ygap=2
    )
    heat.update(
        hovertemplate="recency %{x}, frequency %{y}<br>%{text} customers<extra></extra>", hoverongaps=False, textfont_size=12
    )
    figure = go.Figure(heat).update_xaxes(dtick=1, showgrid=False).update_yaxes(dtick=1, showgrid=False)
    x, y = "recency score (5: bought lately)", "frequency score (5: often)"
    return finish(figure, "Do those who come often and lately spend more?", x=x, y=y, height=480)


def agreement(segmentations: pd.DataFrame, first: str = "Segment", second: str = "ScoreName") -> go.Figure:
    """Draw how the customers of each group of one way are spread over the groups of another.

    Parameters
    ----------
    segmentations
        Columns of ``customer_segmentations``.
    first, second
        Columns that name the groups; rows add up to 100 %.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.agreement(rfm.example("customer_segmentations")).layout.title.text
    'Of a hundred in each segment, how many are in each RFM score?'
    """
    import plotly.graph_objects as go

    counts = pd.crosstab(segmentations[first], segmentations[second])
    counts = counts.loc[counts.sum(axis=1).sort_values().index, counts.sum().sort_values(ascending=False).index]
    share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    names = [f"{_wrapped(name)}<br>{total:,}" for name, total in counts.sum(axis=1).items()]
    text = [[f"{100 * one:.0f}" if one >= 0.005 else "" for one in row] for row in share.to_numpy()]
    columns = [cut(str(name), 26) for name in share.columns]
    heat = go.Heatmap(
        z=share.round(4).to_numpy().tolist(), x=columns, y=names, text=text, texttemplate="%{text}", colorscale=LOW_HIGH
    )
    heat.update(
        zmin=0, zmax=1, showscale=False, xgap=1, ygap=1, hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>", textfont_size=11
    )
    figure = go.Figure(heat).update_xaxes(tickangle=-90, dtick=1, showgrid=False).update_yaxes(showgrid=False)
    return finish(
        figure, f"Of a hundred in each {_way(first)}, how many are in each {_way(second)}?", height=260 + 52 * len(names)
    )


def _wrapped(name: object) -> str:
    """Return a name over several lines."""
    return "<br>".join(wrap(cut(str(name), 40), 14))


def _way(column: str) -> str:
    """Return what a column of groups is called in a sentence."""
    return {"Segment": "segment", "ScoreName": "RFM score", "ValueTier": "value tier", "Engagement": "engagement"}.get(
        column, column
    )


def movement(moves: pd.DataFrame, tiers: Mapping[str, str]) -> go.Figure:
    """Draw who moved from which segment to which; who stayed is left out.

    Parameters
    ----------
    moves
        Rows of ``segment_movement`` of one run date and one number of days; the 15 largest are drawn.
    tiers
        Tier of each segment.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.movement(rfm.example("segment_movement"), rfm.segments.TIER_OF).layout.title.text
    'Who moved to another segment?'
    """
    import plotly.graph_objects as go

    moved = moves[moves["From_Segment"] != moves["To_Segment"]]
    shown = moved.sort_values(["Customers", "From_Segment", "To_Segment"], ascending=[False, True, True]).head(MOST_FLOWS)
    sides = [shown.groupby(side)["Customers"].sum() for side in ("From_Segment", "To_Segment")]
    places = {(side, name): at for at, (side, name) in enumerate((s, n) for s, part in enumerate(sides) for n in part.index)}
    labels = [f"{name or 'first purchase'} · {total:,}" for part in sides for name, total in part.items()]
    colours = [TIER_COLOURS.get(tiers.get(name, ""), GREY) for part in sides for name in part.index]
    hover = [_move(row) for row in shown.itertuples()]
    link = {
        "source": [places[0, name] for name in shown["From_Segment"]],
        "target": [places[1, name] for name in shown["To_Segment"]],
        "value": shown["Customers"].tolist(),
        "customdata": hover,
        "hovertemplate": "%{customdata}<extra></extra>",
        "color": "rgba(123,135,148,0.35)",
    }
    node = {
        "label": labels,
        "color": colours,
        "pad": 14,
        "thickness": 12,
        "hovertemplate": "%{label}<extra></extra>",
        "line": {"width": 0},
    }
    figure = go.Figure(go.Sankey(node=node, link=link, textfont={"size": 12}))
    height = 160 + 34 * max(*map(len, sides), 4)
    return finish(figure, "Who moved to another segment?", height=height, alt="; ".join(hover[:5])).update_layout(
        margin={"l": 8, "r": 8, "b": 20}
    )


def _move(row: Any) -> str:
    """Say a move in a line, with its causes."""
    causes = {"bought": row.Bought, "time passed": row.TimePassed, "model changed": row.ModelChanged}
    why = ", ".join(f"{count:,} {cause}" for cause, count in causes.items() if count)
    said = f"{row.From_Segment or 'first purchase'} to {row.To_Segment}: {row.Customers:,}"
    return f"{said} ({why})" if why else said


def stability(table: pd.DataFrame) -> go.Figure:
    """Draw how steady the names are from run to run, and where the model was fitted afresh.

    Parameters
    ----------
    table
        Columns of ``segment_stability``.

    Examples
    --------
    >>> import rfm
    >>> rfm.figures.stability(rfm.example("segment_stability")).layout.title.text
    'How steady are the names from run to run?'
    """
    from plotly.subplots import make_subplots

    rows = table.sort_values("UpdateDate")
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    full, x = (rows["Method"] == "full").to_numpy(), dates(rows["UpdateDate"])
    for place, (column, (axis, form, colour)) in enumerate(STEADINESS.items(), start=1):
        y = [None if pd.isna(one) else round(float(one), 4) for one in rows[column]]
        marker = {"symbol": np.where(full, "diamond", "circle").tolist(), "size": np.where(full, 9, 4).tolist()}
        figure.add_scatter(
            x=x, y=y, mode="lines+markers", line_color=colour, marker=marker, name=axis, showlegend=False, row=place, col=1
        )
        figure.layout[f"yaxis{place}"].update(title_text=axis, tickformat=form)
    figure.update_xaxes(type="date").update_xaxes(title_text="diamond: fitted afresh", row=3, col=1)
    return finish(figure, "How steady are the names from run to run?", height=560)


# ── backtest ────────────────────────────────────────────────────────────
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
        As `rfm.analysis.backtest.backtest` returns them.
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
        As `rfm.analysis.backtest.backtest` returns them.
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
