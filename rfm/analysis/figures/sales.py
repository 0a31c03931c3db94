"""Figures of the trade over time: revenue, customers who come and stay away, cohorts, the way back.

Figures of what is sold where: countries, products, the size of an order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from rfm.analysis.figures.style import (
    BLUE,
    GREEN,
    GREY,
    LOW_HIGH,
    ORANGE,
    RED,
    SKY,
    class_edges,
    cut,
    dates,
    finish,
    hatched,
    named_bars,
    short,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

# ── trade ────────────────────────────────────────────────────────────
BECAME = {  # column: what it is called, its colour and its hatching
    "Returning": ("came back", BLUE, ""),
    "New": ("new", GREEN, ""),
    "Quiet": ("quiet", SKY, "."),
    "Lapsed": ("lapsed", ORANGE, "/"),
    "Lost": ("lost", RED, "x"),
}
WEEKS = 26  # of days between purchases, one bar each; longer ones share the last


def revenue_by_month(months: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue of each month, customers and guests, with the growth of the customers' above it.

    Parameters
    ----------
    months
        As `rfm.analysis.sales.periods` returns months; those not complete are hatched and not compared.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.revenue_by_month(sales.periods(orders, day)).layout.title.text
    'How does revenue grow from month to month?'
    """
    import plotly.graph_objects as go

    figure, x = go.Figure(), dates(months["Period"])
    hatch = ["" if whole else "/" for whole in months["Complete"]]
    for name, column, colour in (("customers", "Revenue", BLUE), ("guests", "GuestRevenue", GREY)):
        y = months[column].astype(float).round(2).tolist()
        hover = [
            f"{name}: {currency}{value:,.2f}{'' if whole else ', part of a month'}" for value, whole in zip(y, hatch, strict=True)
        ]
        figure.add_bar(x=x, y=y, name=name, marker=hatched(colour, hatch), hovertext=hover, hoverinfo="text+x")
    top = (months["Revenue"].astype(float) + months["GuestRevenue"].astype(float)).round(2).tolist()
    said = [
        "part" if part else "" if pd.isna(grown) else f"{grown:+.0%}"
        for part, grown in zip(hatch, months["RevenueGrowth"], strict=True)
    ]
    figure.add_scatter(
        x=x, y=top, text=said, mode="text", textposition="top center", showlegend=False, hoverinfo="skip", cliponaxis=False
    )
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_xaxes(tickformat="%b\n%Y", type="date")
    figure.update_yaxes(tickprefix=currency, rangemode="tozero")
    alt = f"Revenue by month, last {short(top[-1], currency)}" if top else ""
    return finish(figure, "How does revenue grow from month to month?", alt=alt)


def revenue_by_day(days: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue of each day as dots, and the mean of seven days as a line; guests apart.

    Parameters
    ----------
    days
        As `rfm.analysis.sales.periods` returns days.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.revenue_by_day(sales.periods(orders, day, "day")).layout.title.text
    'What does a day bring?'
    """
    import plotly.graph_objects as go

    figure, x = go.Figure(), dates(days["Period"])
    money = days["Revenue"].astype(float)
    figure.add_scatter(x=x, y=money.round().tolist(), name="a day", mode="markers", marker={"color": SKY, "size": 4})
    for name, values, line in (
        ("customers, mean of 7 days", money, {"color": BLUE, "width": 2.5}),
        ("guests, mean of 7 days", days["GuestRevenue"].astype(float), {"color": GREY, "width": 2, "dash": "dot"}),
    ):
        mean = values.rolling(7).mean().round()
        figure.add_scatter(x=x, y=[None if pd.isna(one) else one for one in mean], name=name, mode="lines", line=line)
    figure.update_yaxes(tickprefix=currency, rangemode="tozero")
    figure.update_xaxes(type="date")
    return finish(figure, "What does a day bring?")


def customers_by_month(months: pd.DataFrame) -> go.Figure:
    """Draw what became of all customers so far at the end of each month.

    Parameters
    ----------
    months
        As `rfm.analysis.sales.customer_months` returns them.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.customers_by_month(sales.customer_months(orders, day)).layout.title.text
    'How many customers come, come back and stay away?'
    """
    import plotly.graph_objects as go

    figure, x = go.Figure(), dates(months["Month"])
    room = max(months["Customers"], default=0) * 0.06  # less is too little for a number
    for column, (name, colour, shape) in BECAME.items():
        y = months[column].tolist()
        marker = hatched(colour, shape)
        text = [f"{value:,}" if value >= room else "" for value in y]
        figure.add_bar(
            x=x, y=y, name=name, marker=marker, text=text, textposition="inside", textangle=0, insidetextanchor="middle"
        )
    figure.update_layout(barmode="stack", bargap=0.18, uniformtext={"minsize": 9, "mode": "hide"})
    figure.update_xaxes(tickformat="%b\n%Y", type="date")
    return finish(figure, "How many customers come, come back and stay away?", y="customers", height=480)


def retention(cohorts: pd.DataFrame) -> go.Figure:
    """Draw which share of the customers who first bought in a month bought again in each month after.

    Parameters
    ----------
    cohorts
        As `rfm.analysis.sales.cohorts` returns them; months in the future stay empty, the one that is not over has a ``*``.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.retention(sales.cohorts(orders, day)).layout.title.text
    'How many in a hundred new customers buy again?'
    """
    import plotly.graph_objects as go

    later = cohorts[cohorts["Age"] > 0]
    starts = later.drop_duplicates("Cohort").sort_values("Cohort", ascending=False)
    ages, months = sorted(later["Age"].unique().tolist()), starts["Cohort"].tolist()
    cell = {(row.Cohort, row.Age): row for row in later.itertuples()}
    found = [[cell.get((month, age)) for age in ages] for month in months]
    text = [[f"{100 * one.Share:.0f}{'' if one.Complete else '*'}" if one else "" for one in row] for row in found]
    names = [f"{row.Cohort:%b %y} · {row.Size:,}" for row in starts.itertuples()]
    z = [[round(float(one.Share), 4) if one else None for one in row] for row in found]
    heat = go.Heatmap(
        z=z, x=ages, y=names, text=text, texttemplate="%{text}", colorscale=LOW_HIGH, zmin=0, showscale=False, xgap=2, ygap=2
    )
    heat.update(hovertemplate="%{y} customers<br>after %{x} months: %{z:.1%}<extra></extra>", hoverongaps=False, textfont_size=11)
    figure = go.Figure(heat).update_xaxes(dtick=1, showgrid=False).update_yaxes(showgrid=False)
    x = "months later (* so far)"  # short enough for a phone beside the longest name
    return finish(figure, "How many in a hundred new customers buy again?", x=x, height=150 + 34 * len(names))


def purchase_gaps(gaps: pd.DataFrame) -> go.Figure:
    """Draw how many days pass from one purchase to the next, in weeks, with the median.

    Parameters
    ----------
    gaps
        As `rfm.analysis.sales.days_between` returns them.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.purchase_gaps(sales.days_between(orders, day)).layout.title.text
    'How long until a customer buys again?'
    """
    import plotly.graph_objects as go

    week = np.minimum((gaps["Days"] - 1) // 7, WEEKS).astype(int)
    counts = gaps["Purchases"].groupby(week).sum().reindex(range(WEEKS + 1), fill_value=0).tolist() if len(gaps) else []
    hover = [f"{7 * at + 1} to {7 * at + 7} days: {n:,}" for at, n in enumerate(counts[:-1])]
    hover += [f"more than {7 * WEEKS} days: {n:,}" for n in counts[-1:]]
    colours = [BLUE] * WEEKS + [GREY]
    figure = go.Figure(
        go.Bar(x=list(range(1, len(counts) + 1)), y=counts, hovertext=hover, hoverinfo="text", marker_color=colours)
    )
    if counts:
        half = int(gaps["Days"].iloc[np.searchsorted(gaps["Purchases"].cumsum(), gaps["Purchases"].sum() / 2)])
        figure.add_vline(x=half / 7 + 0.5, line={"color": GREY, "dash": "dash", "width": 1.5})
        said = {"text": f"half within {half} days", "x": half / 7 + 0.5, "y": 1, "yref": "paper"}
        figure.add_annotation(**said, xanchor="left", showarrow=False, xshift=6, yanchor="top")
        ticks = [1, *range(4, WEEKS, 4), WEEKS + 1]
        figure.update_xaxes(tickvals=ticks, ticktext=[*map(str, ticks[:-1]), "more"])
    return finish(figure, "How long until a customer buys again?", x="weeks between purchases", y="purchases")


# ── baskets ────────────────────────────────────────────────────────────
MOST = 10
SIZES = {
    "Value": "value of an order (log scale)",
    "Lines": "products in an order (log scale)",
    "Units": "items in an order (log scale)",
}


def countries(table: pd.DataFrame, currency: str = "") -> go.Figure:
    """Draw the revenue of known customers in the ten largest countries, and in all others together.

    Parameters
    ----------
    table
        As `rfm.analysis.sales.countries` returns it.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.countries(sales.countries(orders, day)).layout.title.text
    'Which countries bring the revenue?'
    """
    import plotly.graph_objects as go

    shown, rest = table.iloc[:MOST], table.iloc[MOST:]
    names = [cut(name, 20) for name in shown["Country"]] + [f"{len(rest)} others"] * (not rest.empty)
    money = [float(value) for value in shown["Revenue"]] + [float(rest["Revenue"].sum())] * (not rest.empty)
    customers = [*shown["Customers"], *[rest["Customers"].sum()] * (not rest.empty)]
    labels = [
        f"{short(value, currency)} · {who:,} customer{'s' if who != 1 else ''}"
        for value, who in zip(money, customers, strict=True)
    ]
    colours = [BLUE] * len(shown) + [GREY] * (not rest.empty)
    figure = named_bars(go.Figure(), names, [round(value, 2) for value in money], labels, marker_color=colours)
    return finish(figure, "Which countries bring the revenue?", height=110 + 42 * len(names))


def best_products(table: pd.DataFrame, by: Literal["Revenue", "Units"] = "Revenue", currency: str = "") -> go.Figure:
    """Draw the ten products that bring most, or of which most are sold, to known customers.

    Parameters
    ----------
    table
        As `rfm.analysis.sales.products` returns it.
    by
        What is most.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> products = sales.products(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.best_products(products).layout.title.text
    'Which products bring most?'
    """
    import plotly.graph_objects as go

    values = table[by].astype(float)
    rows = table.loc[values.sort_values(ascending=False, kind="stable").index[:MOST]]
    names = [cut(name, 30) for name in rows["Description"]]
    labels = [short(float(value), currency) if by == "Revenue" else f"{int(value):,}" for value in rows[by]]
    colour = BLUE if by == "Revenue" else GREEN
    figure = named_bars(go.Figure(), names, rows[by].astype(float).tolist(), labels, marker_color=colour)
    title = {"Revenue": "Which products bring most?", "Units": "Of which products are most items sold?"}[by]
    return finish(figure, title, height=110 + 42 * len(rows))


def basket_size(orders: pd.DataFrame) -> go.Figure:
    """Draw how large the orders of customers are, and of guests, as shares of the orders of each.

    Parameters
    ----------
    orders
        As `rfm.analysis.sales.orders` returns them.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.analysis import sales
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = sales.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.basket_size(orders).layout.title.text
    'How large is an order?'
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=3, cols=1, vertical_spacing=0.14)
    guests = orders["CustomerID"].isna().to_numpy()
    sizes = orders[["Lines", "Units"]].assign(Value=orders["Cents"] / 100).astype(float)
    for place, (name, axis) in enumerate(SIZES.items(), start=1):
        values = np.maximum(sizes[name].to_numpy(), 0.01)
        edges = class_edges(values, log=True) if name == "Value" else _whole(values)
        middles = [float(f"{one:.4g}") for one in np.sqrt(edges[:-1] * edges[1:])]
        for who, rows, line in (
            ("customers", ~guests, {"color": BLUE, "shape": "hvh"}),
            ("guests", guests, {"color": GREY, "shape": "hvh", "dash": "dot"}),
        ):
            share = (np.histogram(values[rows], edges)[0] / max(rows.sum(), 1)).round(4).tolist()
            fill = {"fill": "tozeroy", "fillcolor": "rgba(0,114,178,0.25)"} if who == "customers" else {}
            hover = [
                f"{who}, {low:,.0f} to {high:,.0f}: {part:.1%}" for low, high, part in zip(edges, edges[1:], share, strict=False)
            ]
            figure.add_scatter(
                x=middles, y=share, name=who, line=line, mode="lines", hovertext=hover, hoverinfo="text", row=place, col=1, **fill
            )
        figure.layout[f"xaxis{place}"].update(title_text=axis, type="log", dtick=1)
    figure.update_traces(showlegend=False, selector=lambda trace: trace.xaxis not in (None, "x"))
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return finish(figure, "How large is an order?", y="share of orders", height=680)


def _whole(values: np.ndarray) -> np.ndarray:
    """Return edges of classes for whole numbers: one a number at first, of equal ratio later."""
    most = max(values.max(initial=1.0), 2.0)
    return np.unique(np.floor(np.geomspace(1, most + 1, 24))) - 0.5
