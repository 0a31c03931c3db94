"""Figures of the sales: revenue and customers over time, cohorts, countries, products, orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rfm import words
from rfm.analysis.figures import style
from rfm.analysis.figures.style import class_edges, cut, dates, finish, hatched, named_bars, short, whole_edges
from rfm.analysis.formatting import amount, count, exact_amount, exact_share, growth, whole
from rfm.words import N_, _, ngettext

STATES = {  # column of `customer_months`: label, colour, hatching
    "Returning": (N_("came back"), style.BLUE, ""),
    "New": (N_("new"), style.GREEN, ""),
    "Quiet": (N_("quiet"), style.SKY, "."),
    "Lapsed": (N_("lapsed"), style.ORANGE, "/"),
    "LongLapsed": (N_("long lapsed"), style.RED, "x"),
}
WEEKS = 26  # bars of one week between purchases; longer gaps share one more bar
MOST_BARS = 10
SIZES = {
    "Value": N_("value of an order (log scale)"),
    "Lines": N_("products in an order (log scale)"),
    "Units": N_("items in an order (log scale)"),
}


def revenue_by_month(months: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue per month of `sales.periods`, with its growth; incomplete months are hatched and not compared.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> months = sales.periods(sales.orders(rfm.example("retail_transactions_silver"), day), day)
    >>> customers, guests, growth = rfm.figures.revenue_by_month(months).data
    >>> len(customers.y) == len(months)
    True
    """
    figure, x = go.Figure(), dates(months["Period"])
    hatch = ["" if whole else "/" for whole in months["Complete"]]
    for name, column, colour in ((_("customers"), "Revenue", style.BLUE), (_("guests"), "GuestRevenue", style.GREY)):
        y = months[column].astype(float).round(2).tolist()
        said = [_("{who}: {amount}, part of a month") if part else "{who}: {amount}" for part in hatch]
        hover = [text.format(who=name, amount=exact_amount(value, currency)) for value, text in zip(y, said, strict=True)]
        figure.add_bar(x=x, y=y, name=name, marker=hatched(colour, hatch), hovertext=hover, hoverinfo="text+x")
    top = (months["Revenue"].astype(float) + months["GuestRevenue"].astype(float)).round(2).tolist()
    grown = months["RevenueGrowth"].map(lambda share: "" if pd.isna(share) else growth(share, 0))
    above = [_("part") if part else text for part, text in zip(hatch, grown, strict=True)]
    labels = {"text": above, "mode": "text", "textposition": "top center", "hoverinfo": "skip", "cliponaxis": False}
    figure.add_scatter(x=x, y=top, showlegend=False, **labels)
    figure.update_layout(barmode="stack", bargap=0.25)
    style.by_month(figure, len(x))
    style.by_amount(figure, currency)
    alt = _("Revenue by month, last {amount}", amount=short(top[-1], currency)) if top else ""
    return finish(figure, _("How does revenue grow from month to month?"), alt=alt)


def revenue_by_day(days: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue per day of `sales.periods`, and its mean over seven days, for customers and for guests.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> days = sales.periods(sales.orders(rfm.example("retail_transactions_silver"), day), day, "day")
    >>> points, customers, guests = rfm.figures.revenue_by_day(days).data
    >>> len(points.y) == len(days)
    True
    """
    figure, x = go.Figure(), dates(days["Period"])
    money = days["Revenue"].astype(float)
    figure.add_scatter(x=x, y=money.round().tolist(), name=_("a day"), mode="markers", marker={"color": style.SKY, "size": 4})
    for name, values, line in (
        (_("customers, mean of 7 days"), money, {"color": style.BLUE, "width": 2.5}),
        (_("guests, mean of 7 days"), days["GuestRevenue"].astype(float), {"color": style.GREY, "width": 2, "dash": "dot"}),
    ):
        mean = values.rolling(7).mean().round()
        figure.add_scatter(x=x, y=[None if pd.isna(one) else one for one in mean], name=name, mode="lines", line=line)
    style.by_amount(figure, currency)
    figure.update_xaxes(type="date")
    return finish(figure, _("What does a day bring?"))


def customers_by_month(months: pd.DataFrame) -> go.Figure:
    """Draw how many customers were new, came back or stayed away in each month of `sales.customer_months`.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> months = sales.customer_months(sales.orders(rfm.example("retail_transactions_silver"), day), day)
    >>> [bars.name for bars in rfm.figures.customers_by_month(months).data]
    ['came back', 'new', 'quiet', 'lapsed', 'long lapsed']
    """
    figure, x = go.Figure(), dates(months["Month"])
    room = max(months["Customers"], default=0) * 0.06  # a lower bar has no room for its number
    place = {"textposition": "inside", "textangle": 0, "insidetextanchor": "middle"}
    for column, (name, colour, shape) in STATES.items():
        y = months[column].tolist()
        text = [whole(value) if value >= room else "" for value in y]
        figure.add_bar(x=x, y=y, name=_(name), marker=hatched(colour, shape), text=text, **place)
    figure.update_layout(barmode="stack", bargap=0.18, uniformtext={"minsize": 9, "mode": "hide"})
    style.by_month(figure, len(x))
    return finish(figure, _("How many customers come, come back and stay away?"), y=_("customers"), height=480)


def retention(cohorts: pd.DataFrame) -> go.Figure:
    """Draw which share of each cohort of `sales.cohorts` bought again, per month; ``*`` marks a month that is not over.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> cohorts = sales.cohorts(sales.orders(rfm.example("retail_transactions_silver"), day), day)
    >>> rfm.figures.retention(cohorts).data[0].type
    'heatmap'
    """
    later = cohorts[cohorts["Age"] > 0]
    hover = _("%{y} customers<br>after %{x} months: %{z:.1%}<extra></extra>")
    figure = _by_cohort(later, "Share", lambda share: f"{100 * share:.0f}", hover)
    return finish(figure, _("How many in a hundred new customers buy again?"), height=figure.layout.height)


def cohort_value(cohorts: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw what a customer of each cohort of `sales.cohorts` has spent by the end of each month; ``*`` marks the running one.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> cohorts = sales.cohorts(sales.orders(rfm.example("retail_transactions_silver"), day), day)
    >>> rfm.figures.cohort_value(cohorts, "£").data[0].text[-1][0]
    '14'
    """
    unit = 10 ** max(len(str(int(max(cohorts["Value"], default=0)))) - 2, 0)  # two digits fit into a cell on a phone
    hover = _("%{y} customers<br>spent by %{x} months later: %{z:,.2f} each<extra></extra>")
    figure = _by_cohort(cohorts, "Value", lambda value: whole(value / unit), hover)
    return finish(
        figure,
        _("What has a new customer spent so far, in {amount}?", amount=amount(unit, currency, whole_from=0)),
        height=figure.layout.height,
    )


def _by_cohort(cohorts: pd.DataFrame, column: str, form: Callable[[Any], str], hover: str) -> go.Figure:
    """Draw a column of `sales.cohorts` per cohort, newest below, and months since."""
    starts = cohorts.drop_duplicates("Cohort").sort_values("Cohort", ascending=False)
    ages, months = sorted(cohorts["Age"].unique().tolist()), starts["Cohort"].tolist()
    cell = {(row.Cohort, row.Age): row for row in cohorts.itertuples()}
    found = [[cell.get((month, age)) for age in ages] for month in months]
    text = [[f"{form(getattr(one, column))}{'' if one.Complete else '*'}" if one else "" for one in row] for row in found]
    values = [[round(float(getattr(one, column)), 4) if one else None for one in row] for row in found]
    names = [f"{words.short_month(row.Cohort)} · {whole(row.Size)}" for row in starts.itertuples()]
    figure = style.heat_map(values, ages, names, text, hover).update_layout(height=150 + 34 * len(names))
    # short enough for a phone beside the longest name
    return figure.update_xaxes(dtick=1, title_text=_("months later (* so far)"))


def purchase_gaps(gaps: pd.DataFrame) -> go.Figure:
    """Draw how many weeks pass from one purchase to the next, from `sales.days_between`, with the median in days.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> gaps = sales.days_between(sales.orders(rfm.example("retail_transactions_silver"), day), day)
    >>> bool(sum(rfm.figures.purchase_gaps(gaps).data[0].y) == gaps["Purchases"].sum())
    True
    """
    week = np.minimum((gaps["Days"] - 1) // 7, WEEKS).astype(int)
    counts = gaps["Purchases"].groupby(week).sum().reindex(range(WEEKS + 1), fill_value=0).tolist() if len(gaps) else []
    hover = [_("{low} to {high} days: {n}", low=7 * at + 1, high=7 * at + 7, n=whole(n)) for at, n in enumerate(counts[:-1])]
    hover += [_("more than {low} days: {n}", low=7 * WEEKS, n=whole(n)) for n in counts[-1:]]
    bars = {"hovertext": hover, "hoverinfo": "text", "marker_color": [style.BLUE] * WEEKS + [style.GREY]}
    figure = go.Figure(go.Bar(x=list(range(1, len(counts) + 1)), y=counts, **bars))
    if counts:
        half = int(gaps["Days"].iloc[np.searchsorted(gaps["Purchases"].cumsum(), gaps["Purchases"].sum() / 2)])
        figure.add_vline(x=half / 7 + 0.5, line={"color": style.GREY, "dash": "dash", "width": 1.5})
        label = {
            "text": ngettext("half within {n} day", "half within {n} days", half, n=half),
            "x": half / 7 + 0.5,
            "y": 1,
            "yref": "paper",
        }
        figure.add_annotation(**label, xanchor="left", showarrow=False, xshift=6, yanchor="top")
        ticks = [1, *range(4, WEEKS, 4), WEEKS + 1]
        figure.update_xaxes(tickvals=ticks, ticktext=[*map(str, ticks[:-1]), _("more")])
    return finish(
        figure, _("How long until a customer buys again?"), x=_("weeks between purchases"), y=_("purchases that another followed")
    )


def countries(table: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue of the ten largest countries of `sales.countries`, and of all others together.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> table = sales.countries(sales.orders(rfm.example("retail_transactions_silver"), day), day)
    >>> bars, names, labels = rfm.figures.countries(table).data
    >>> names.text[0], bars.x[0] == float(table["Revenue"].max())
    ('United Kingdom', True)
    """
    shown, rest = table.iloc[:MOST_BARS], table.iloc[MOST_BARS:]
    names = [cut(name, 20) for name in shown["Country"]] + [_("{n} others", n=len(rest))] * (not rest.empty)
    money = [float(value) for value in shown["Revenue"]] + [float(rest["Revenue"].sum())] * (not rest.empty)
    customers = [*shown["Customers"], *[rest["Customers"].sum()] * (not rest.empty)]
    pairs = zip(money, customers, strict=True)
    labels = [f"{short(value, currency)} · {count(people, 'customer')}" for value, people in pairs]
    colours = [style.BLUE] * len(shown) + [style.GREY] * (not rest.empty)
    figure = named_bars(go.Figure(), names, [round(value, 2) for value in money], labels, marker_color=colours)
    return finish(figure, _("Which countries bring the revenue?"), height=110 + 42 * len(names))


def best_products(table: pd.DataFrame, by: Literal["Revenue", "Units"] = "Revenue", currency: str = "") -> go.Figure:
    """Draw the ten products of `sales.products` with the highest revenue, or with the most items sold.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> table = sales.products(rfm.example("retail_transactions_silver"), datetime.date(2025, 10, 23))
    >>> len(rfm.figures.best_products(table, by="Units").data[0].x)
    10
    """
    values = table[by].astype(float)
    rows = table.loc[values.sort_values(ascending=False, kind="stable").index[:MOST_BARS]]
    names = [cut(name, 30) for name in rows["Description"]]
    labels = [short(float(value), currency) if by == "Revenue" else whole(int(value)) for value in rows[by]]
    colour = style.BLUE if by == "Revenue" else style.GREEN
    figure = named_bars(go.Figure(), names, rows[by].astype(float).tolist(), labels, marker_color=colour)
    title = {"Revenue": _("Which products bring most?"), "Units": _("Of which products are most items sold?")}[by]
    return finish(figure, title, height=110 + 42 * len(rows))


def basket_size(orders: pd.DataFrame) -> go.Figure:
    """Draw how large the orders of `sales.orders` are, as shares of the customers' and of the guests' orders.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), datetime.date(2025, 10, 23))
    >>> [round(sum(line.y), 2) for line in rfm.figures.basket_size(orders).data]
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.14)
    guests = orders["CustomerID"].isna().to_numpy()
    sizes = orders[["Lines", "Units"]].assign(Value=orders["Cents"] / 100).astype(float)
    for place, (name, axis) in enumerate(SIZES.items(), start=1):
        values = np.maximum(sizes[name].to_numpy(), 0.01)
        edges = class_edges(values) if name == "Value" else whole_edges(values)
        filled = {"line": {"color": style.BLUE, "shape": "hvh"}, "fill": "tozeroy", "fillcolor": "rgba(0,114,178,0.25)"}
        dotted = {"line": {"color": style.GREY, "shape": "hvh", "dash": "dot"}}
        for who, rows, look in ((_("customers"), ~guests, filled), (_("guests"), guests, dotted)):
            figure.add_scatter(**_shares(who, values[rows], edges), **look, name=who, mode="lines", row=place, col=1)
        figure.layout[f"xaxis{place}"].update(title_text=_(axis), type="log", dtick=1)
    figure.update_traces(showlegend=False, selector=lambda trace: trace.xaxis not in (None, "x"))
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return finish(figure, _("How large is an order?"), y=_("share of orders"), height=680)


def _shares(who: str, values: Sequence[float], edges: np.ndarray) -> dict[str, Any]:
    """Return the share of values in each class, as points with hover texts."""
    share = (np.histogram(values, edges)[0] / max(len(values), 1)).round(4).tolist()
    classes = zip(edges, edges[1:], share, strict=False)
    text = _("{who}, {low} to {high}: {share}")
    hover = [text.format(who=who, low=whole(low), high=whole(high), share=exact_share(part)) for low, high, part in classes]
    middles = [float(f"{one:.4g}") for one in np.sqrt(edges[:-1] * edges[1:])]
    return {"x": middles, "y": share, "hovertext": hover, "hoverinfo": "text"}
