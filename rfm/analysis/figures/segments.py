"""Figures of the customers: spread of the metrics, clusters, segments, movement and stability."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rfm.analysis.figures import style
from rfm.analysis.figures.style import box_of, cluster_name, cut, dates, every_nth, finish, short
from rfm.analysis.formatting import whole, whole_share
from rfm.words import N_, _, ngettext, tell

MOST_POINTS = 5000
MOST_FLOWS = 15
FEW = 31  # runs whose marks are larger
SCORES = [1, 2, 3, 4, 5]
STEADINESS = {  # column of segment_stability: axis, format, colour
    "RenamedShare": (N_("renamed"), ".1%", style.RED),
    "AdjustedRand": (N_("adjusted Rand"), ".2f", style.BLUE),
    "KMargin": (N_("lead of k"), ".0%", style.GREEN),
}
WAYS = {
    "Segment": N_("segment"),
    "ScoreName": N_("RFM score"),
    "ValueTier": N_("value tier"),
    "Engagement": N_("engagement"),
}


# ── metrics ────────────────────────────────────────────────────────────
def boxes(gold: pd.DataFrame, outliers: pd.Series) -> go.Figure:
    """Draw box plots of the metrics of ``customer_rfm_gold``, with and without rows whose `outliers` cluster is negative.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_kmeans_clustered")
    >>> regular, everyone = rfm.figures.boxes(gold, gold["Cluster"]).data[:2]
    >>> regular.upperfence[0] < everyone.upperfence[0]
    True
    """
    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.16)
    parts = ((_("without outliers"), style.BLUE, gold[(outliers >= 0).to_numpy()]), (_("all customers"), style.ORANGE, gold))
    for place, name in enumerate(style.UNITS, start=1):
        for label, colour, rows in parts:
            values = rows[name].astype(float).clip(lower=0.01 if name == "Monetary" else 0.0)
            box = {} if values.empty else {"y": [label], **box_of([values])}
            figure.add_box(**box, orientation="h", marker_color=colour, name=label, row=place, col=1, showlegend=False)
        axis = figure.layout[f"xaxis{place}"]
        axis.title.text = style.unit(name)
        if name != "Recency":
            axis.update(type="log", dtick=1, title_text=_("{unit} (log scale)", unit=style.unit(name)))
    return finish(figure, _("What do the outliers do to the spread?"), height=620)


# ── clusters ────────────────────────────────────────────────────────────
def clusters_3d(customers: pd.DataFrame) -> go.Figure:
    """Draw ``customer_rfm_kmeans_clustered`` in three dimensions; more than 5,000 customers are sampled evenly.

    Examples
    --------
    >>> import rfm
    >>> customers = rfm.example("customer_rfm_kmeans_clustered")
    >>> sum(len(points.x) for points in rfm.figures.clusters_3d(customers).data) == len(customers)
    True
    """
    shown = every_nth(customers.sort_values("CustomerID"), MOST_POINTS)
    figure = go.Figure()
    for cluster, rows in sorted(shown.groupby("Cluster"), key=lambda pair: -pair[0] if pair[0] < 0 else pair[0] - 1000):
        marker = {"size": 3, "opacity": 0.8, "color": style.CLUSTER_COLOURS[cluster % 12] if cluster >= 0 else style.GREY}
        marker["symbol"] = style.OUTLIER_SYMBOLS.get(cluster, "circle")
        recency, frequency, money = (rows[axis].astype(float).round(2).tolist() for axis in ("Recency", "Frequency", "Monetary"))
        figure.add_scatter3d(x=recency, y=frequency, z=money, mode="markers", name=cluster_name(cluster), marker=marker)
    figure.update_scenes(
        xaxis_title_text=_("Recency (days)"),
        yaxis={"title": {"text": _("Frequency")}, "type": "log", "dtick": 1},
        zaxis={"title": {"text": _("Monetary")}, "type": "log", "dtick": 1},
        camera={"eye": {"x": 2.2, "y": 2.0, "z": 0.9}, "center": {"z": -0.15}},
    )
    return finish(figure, _("Where do the clusters lie?"), height=560)


# ── segments ────────────────────────────────────────────────────────────
def segment_shares(summary: pd.DataFrame) -> go.Figure:
    """Draw each segment's share of customers against its share of revenue, from ``segment_summary``.

    Examples
    --------
    >>> import rfm
    >>> revenue, customers = rfm.figures.segment_shares(rfm.example("segment_summary")).data
    >>> round(sum(revenue.x), 3), round(sum(customers.x), 3)
    (1.0, 1.0)
    """
    rows = summary.iloc[::-1]
    names, colours = rows["Cluster_Description"].map(tell).tolist(), [style.TIER_COLOURS[tier] for tier in rows["Tier"]]
    figure = go.Figure()
    for name, column, shade in (
        (_("share of revenue"), "RevenueShare", colours),
        (_("share of customers"), "CustomerShare", style.GREY),
    ):
        shares = rows[column].astype(float)
        text = [whole_share(share) for share in shares]
        figure.add_bar(y=names, x=shares.tolist(), name=name, orientation="h", marker_color=shade, text=text)
    figure.update_traces(textposition="outside", cliponaxis=False, showlegend=False)
    figure.update_xaxes(tickformat=".0%").update_layout(margin_r=44)  # room for the share beside the longest bar
    title, below = _("Who brings the revenue?"), _("coloured: share of revenue; grey: share of customers")
    return finish(figure, f"{title}<br><sup>{below}</sup>", height=140 + 64 * len(rows))


def segment_treemap(summary: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue of each segment of ``segment_summary`` as an area, grouped by tier.

    Examples
    --------
    >>> import rfm
    >>> summary = rfm.example("segment_summary")
    >>> len(rfm.figures.segment_treemap(summary).data[0].ids) == summary["Tier"].nunique() + len(summary)
    True
    """
    money = summary["Revenue"].astype(float)
    tiers = money.groupby(summary["Tier"]).sum()
    parts = [
        f"{short(value, currency)} · {whole_share(share)}" for value, share in zip(money, summary["RevenueShare"], strict=True)
    ]
    area = go.Treemap(
        ids=[f"tier {tier}" for tier in tiers.index] + summary["Cluster_Description"].tolist(),
        labels=[*map(tell, tiers.index), *summary["Cluster_Description"].map(tell)],
        parents=[""] * len(tiers) + [f"tier {tier}" for tier in summary["Tier"]],
        values=[*tiers.round(2), *money.round(2)],
        text=[short(value, currency) for value in tiers] + parts,
        marker_colors=[style.TIER_COLOURS[tier] for tier in [*tiers.index, *summary["Tier"]]],
    )
    area.update(branchvalues="total", textinfo="label+text", hoverinfo="label+text", textfont_size=14)
    area.update(pathbar_visible=False, tiling_pad=2)
    return finish(go.Figure(area), _("Which segments bring the revenue?"), height=520).update_layout(margin={"l": 4, "r": 4})


def score_map(scored: pd.DataFrame, customers: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw mean spend and number of customers for each recency and frequency score.

    `scored` has the columns of ``customer_segmentations``; `customers` has CustomerID and Monetary.

    Examples
    --------
    >>> import rfm
    >>> scored, customers = rfm.example("customer_segmentations"), rfm.example("customer_rfm_kmeans_clustered")
    >>> rfm.figures.score_map(scored, customers).data[0].x
    (1, 2, 3, 4, 5)
    """
    money = scored["CustomerID"].map(customers.set_index("CustomerID")["Monetary"]).astype(float)
    cells = scored.assign(Monetary=money).groupby(["FScore", "RScore"])["Monetary"].agg(["mean", "size"])
    found = [[cells.loc[(f, r)] if (f, r) in cells.index else None for r in SCORES] for f in SCORES]
    text = [
        ["" if one is None else f"{short(one['mean'], currency, narrow=True)}<br>{whole(one['size'])}" for one in row]
        for row in found
    ]
    z = [[None if one is None else round(float(np.log10(max(one["mean"], 0.01))), 3) for one in row] for row in found]
    hover = _("recency %{x}, frequency %{y}<br>%{text} customers<extra></extra>")
    figure = style.heat_map(z, SCORES, SCORES, text, hover).update_traces(textfont_size=12, zmin=None)
    figure.update_xaxes(dtick=1).update_yaxes(dtick=1)
    x, y = _("recency score (5: bought lately)"), _("frequency score (5: often)")
    title, below = _("Do those who come often and lately spend more?"), _("mean spend, and number of customers")
    return finish(figure, f"{title}<br><sup>{below}</sup>", x=x, y=y, height=480)


def agreement(segmentations: pd.DataFrame, first: str = "Segment", second: str = "ScoreName") -> go.Figure:
    """Draw how the customers of each group of one segmentation are spread over the groups of another, in percent.

    `segmentations` has the columns of ``customer_segmentations``; `first` and `second` name two of them.

    Examples
    --------
    >>> import rfm
    >>> scored = rfm.example("customer_segmentations")
    >>> len(rfm.figures.agreement(scored).data[0].y) == scored["Segment"].nunique()
    True
    """
    counts = pd.crosstab(segmentations[first], segmentations[second])
    counts = counts.loc[counts.sum(axis=1).sort_values().index, counts.sum().sort_values(ascending=False).index]
    share = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    names = [f"{'<br>'.join(wrap(cut(str(tell(name)), 40), 14))}<br>{whole(total)}" for name, total in counts.sum(axis=1).items()]
    text = [[f"{100 * one:.0f}" if one >= 0.005 else "" for one in row] for row in share.to_numpy()]
    z, x = share.round(4).to_numpy().tolist(), [cut(str(tell(name)), 26) for name in share.columns]
    figure = style.heat_map(z, x, names, text, "%{y}<br>%{x}: %{text}<extra></extra>").update_traces(zmax=1, xgap=1, ygap=1)
    figure.update_xaxes(tickangle=-90, dtick=1)
    title = _("Of a hundred in each {one}, how many are in each {other}?")
    title = title.format(one=_(WAYS.get(first, first)), other=_(WAYS.get(second, second)))
    return finish(figure, title, height=260 + 52 * len(names))


# ── from run to run ────────────────────────────────────────────────────────────
def movement(moves: pd.DataFrame, tiers: Mapping[str, str]) -> go.Figure:
    """Draw how many customers moved from one segment to another; the 15 largest flows.

    `moves` holds rows of ``segment_movement`` of one run date and one number of days; `tiers` maps a segment to its tier.

    Examples
    --------
    >>> import rfm
    >>> flow = rfm.figures.movement(rfm.example("segment_movement"), rfm.segments.TIER_OF).data[0]
    >>> len(flow.link.value) <= 15
    True
    """
    moved = moves[moves["From_Segment"] != moves["To_Segment"]]
    shown = moved.sort_values(["Customers", "From_Segment", "To_Segment"], ascending=[False, True, True]).head(MOST_FLOWS)
    sides = [moved.groupby(side)["Customers"].sum()[sorted({*shown[side]})] for side in ("From_Segment", "To_Segment")]
    places = {(side, name): at for at, (side, name) in enumerate((s, n) for s, part in enumerate(sides) for n in part.index)}
    hover = [_move(row) for row in shown.itertuples()]
    ends = [[places[at, name] for name in shown[side]] for at, side in enumerate(("From_Segment", "To_Segment"))]
    link = {"source": ends[0], "target": ends[1], "value": shown["Customers"].tolist(), "color": "rgba(123,135,148,0.35)"}
    link |= {"customdata": hover, "hovertemplate": "%{customdata}<extra></extra>"}
    first = _("first purchase")
    labels = [f"{tell(name) or first} · {whole(total)}" for part in sides for name, total in part.items()]
    colours = [style.TIER_COLOURS.get(tiers.get(name, ""), style.GREY) for part in sides for name in part.index]
    node = {"label": labels, "color": colours, "pad": 14, "thickness": 12, "line": {"width": 0}}
    node |= {"hovertemplate": "%{label}<extra></extra>"}
    figure = go.Figure(go.Sankey(node=node, link=link, textfont={"size": 12}))
    height = 160 + 34 * max(*map(len, sides), 4)
    title, small = _("Who moved to another segment?"), int(moved["Customers"].sum() - shown["Customers"].sum())
    if small:
        left = ngettext(
            "{n} more customer is in flows too small to draw",
            "{n} more customers are in flows too small to draw",
            small,
            n=whole(small),
        )
        title += f"<br><sup>{left}</sup>"
    figure = finish(figure, title, height=height, alt="; ".join(hover[:5]))
    return figure.update_layout(margin={"l": 8, "r": 8, "b": 20})


def migration(shares: pd.DataFrame) -> go.Figure:
    """Draw how many in a hundred of each state were in each state 30 days later, from `rfm.analysis.migration.shares`.

    Examples
    --------
    >>> import pandas as pd
    >>> import rfm
    >>> found = pd.DataFrame({"From_State": ["active"], "active": [0.7], "lost": [0.3], "Pairs": [12], "Few": [True]})
    >>> [list(row) for row in rfm.figures.migration(found).data[0].text]
    [['70', '30']]
    """
    rows = shares.iloc[::-1]
    states = [state for state in style.STATE_COLOURS if state in shares and (len(shares) == 0 or shares[state].sum() > 0)]
    values = rows[states].astype(float).round(4).to_numpy().tolist()
    text = [[f"{100 * one:.0f}" if one >= 0.005 else "" for one in row] for row in values]
    names = [f"{tell(row.From_State)}{'*' if row.Few else ''}<br>{whole(row.Pairs)}" for row in rows.itertuples()]
    hover = _("%{y} customers<br>%{x} 30 days later: %{z:.1%}<extra></extra>")
    figure = style.heat_map(values, [tell(state) for state in states], names, text, hover).update_xaxes(tickangle=-90)
    title = _("Of a hundred in each state, how many are where 30 days later?")
    return finish(figure, title, height=180 + 52 * len(names))


def _move(row: Any) -> str:
    """Return a flow in words, with its causes."""
    causes = {_("bought"): row.Bought, _("time passed"): row.TimePassed, _("model changed"): row.ModelChanged}
    why = ", ".join(f"{whole(count)} {cause}" for cause, count in causes.items() if count)
    before = tell(row.From_Segment) or _("first purchase")
    move = _("{before} to {now}: {n}", before=before, now=tell(row.To_Segment), n=whole(row.Customers))
    return f"{move} ({why})" if why else move


def stability(table: pd.DataFrame) -> go.Figure:
    """Draw how stable the names in ``segment_stability`` are from run to run; a diamond marks a full fit.

    Examples
    --------
    >>> import rfm
    >>> runs = rfm.example("segment_stability")
    >>> len(rfm.figures.stability(runs).data[0].y) == len(runs)
    True
    """
    rows = table.sort_values("UpdateDate")
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    full, x = (rows["Method"] == "full").to_numpy(), dates(rows["UpdateDate"])
    sizes = np.where(full, 9, 4 if len(rows) > FEW else 7)
    marker = {"symbol": np.where(full, "diamond", "circle").tolist(), "size": sizes.tolist()}
    for place, (column, (axis, form, colour)) in enumerate(STEADINESS.items(), start=1):
        y = [None if pd.isna(one) else round(float(one), 4) for one in rows[column]]
        line = {"mode": "lines+markers", "line_color": colour, "marker": marker}
        figure.add_scatter(x=x, y=y, name=_(axis), showlegend=False, row=place, col=1, **line)
        figure.layout[f"yaxis{place}"].update(title_text=_(axis), tickformat=form)
    figure.update_xaxes(type="date").update_xaxes(title_text=_("diamond: full fit"), row=3, col=1)
    return finish(figure, _("How steady are the names from run to run?"), height=560)
