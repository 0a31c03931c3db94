"""Figures of the trade over time: revenue, customers who come and stay away, cohorts, the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rfm.core.figures.style import BLUE, GREEN, GREY, LOW_HIGH, ORANGE, RED, SKY, dates, finish, hatched, short

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
        As `rfm.core.trade.periods` returns months; those not complete are hatched and not compared.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.revenue_by_month(trade.periods(orders, day)).layout.title.text
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
        As `rfm.core.trade.periods` returns days.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.revenue_by_day(trade.periods(orders, day, "day")).layout.title.text
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
        As `rfm.core.trade.customer_months` returns them.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.customers_by_month(trade.customer_months(orders, day)).layout.title.text
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
        As `rfm.core.trade.cohorts` returns them; months in the future stay empty, the one that is not over has a ``*``.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.retention(trade.cohorts(orders, day)).layout.title.text
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
        As `rfm.core.trade.days_between` returns them.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.purchase_gaps(trade.days_between(orders, day)).layout.title.text
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
