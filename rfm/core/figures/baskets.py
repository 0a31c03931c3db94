"""Figures of what is sold where: countries, products, the size of an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from rfm.core.figures.style import BLUE, GREEN, GREY, class_edges, cut, finish, named_bars, short

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
        As `rfm.core.trade.countries` returns it.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
    >>> rfm.figures.countries(trade.countries(orders, day)).layout.title.text
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
        As `rfm.core.trade.products` returns it.
    by
        What is most.
    currency
        Sign before amounts.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> products = trade.products(rfm.example("retail_transactions_silver"), day)
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
        As `rfm.core.trade.orders` returns them.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> from rfm.core import trade
    >>> day = datetime.date(2025, 10, 23)
    >>> orders = trade.orders(rfm.example("retail_transactions_silver"), day)
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
