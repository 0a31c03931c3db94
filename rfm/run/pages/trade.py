"""Trade: what the shop sold, to whom, and who came back; guests, who left no customer id, always apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rfm.core import figures, trade
from rfm.run.pages.figures import drawn
from rfm.run.pages.tables import SILVER, RunTables

BEST = 20  # products and countries shown

MONTHS = {
    "Period": ("Month", "month"),
    "Revenue": ("Revenue", "money"),
    "RevenueGrowth": ("Growth", "growth"),
    "Orders": ("Orders", "count"),
    "OrdersGrowth": ("Growth", "growth"),
    "Customers": ("Customers", "count"),
    "GuestRevenue": ("Guests' revenue", "money"),
    "GuestOrders": ("Guests' orders", "count"),
    "Complete": ("Whole month", "text"),
}
COMING = {"Month": ("Month", "month")} | {
    name: (name, "count") for name in ("New", "Returning", "Quiet", "Lapsed", "Lost", "Customers")
}
DAYS = {"Period": ("Day", "day")} | {
    name: MONTHS[name] for name in ("Revenue", "Orders", "Customers", "GuestRevenue", "GuestOrders")
}
COHORTS = {
    "Cohort": ("First bought in", "month"),
    "Age": ("Months later", "count"),
    "Size": ("Customers", "count"),
    "Customers": ("Bought again", "count"),
    "Share": ("Share", "share"),
}
GAPS = {"Days": ("Days between", "count"), "Purchases": ("Purchases", "count")}
COUNTRIES = {
    "Country": ("Country", "text"),
    "Revenue": ("Revenue", "money"),
    "RevenueShare": ("Share", "share"),
    "Orders": ("Orders", "count"),
    "Customers": ("Customers", "count"),
    "GuestRevenue": ("Guests' revenue", "money"),
}
PRODUCTS = {
    "StockCode": ("Code", "text"),
    "Description": ("Product", "text"),
    "Revenue": ("Revenue", "money"),
    "Units": ("Units", "count"),
    "GuestRevenue": ("Guests' revenue", "money"),
}
BASKETS = {"Who": ("Who", "text"), "Orders": ("Orders", "count")} | {
    f"{how}{what}": (f"{how} {what.lower()}", "money" if what == "Value" else "count")
    for what in ("Value", "Units", "Lines")
    for how in ("Median", "Average")
}


def build(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows.

    Parameters
    ----------
    tables
        Of the run.

    Returns
    -------
    dict
        ``guests``, their revenue and orders; ``parts``, each with ``id``, ``title``, ``hint`` and ``figures``; ``net``,
        whether the segments take returns off, which these figures do not.
    """
    found = trade.kpis(tables.orders, tables.day)
    parts = [{"id": id, "title": title, "hint": hint, **part(tables)} for id, title, hint, part in PARTS] if found.orders else []
    guests = {"revenue": str(found.guest_revenue), "orders": found.guest_orders}
    return {"guests": guests, "parts": parts, "net": tables.rules.revenue == "net"}


def by_month(tables: RunTables) -> dict[str, Any]:
    """Return revenue and orders over time; parameters as for `build`."""
    months, days = (trade.periods(tables.orders, tables.day, unit) for unit in ("month", "day"))
    return {
        "figures": [
            drawn(figures.revenue_by_month(months, tables.currency), table=months.iloc[::-1], columns=MONTHS),
            drawn(figures.revenue_by_day(days, tables.currency), table=days.iloc[::-1], columns=DAYS),
        ]
    }


def coming(tables: RunTables) -> dict[str, Any]:
    """Return what became of all customers, month by month, and which cohorts came back; parameters as for `build`."""
    months, cohorts = trade.customer_months(tables.orders, tables.day), trade.cohorts(tables.orders, tables.day)
    gaps = trade.days_between(tables.orders, tables.day)
    return {
        "figures": [
            drawn(figures.customers_by_month(months), table=months.iloc[::-1], columns=COMING),
            drawn(figures.retention(cohorts), table=cohorts, columns=COHORTS),
            drawn(figures.purchase_gaps(gaps), table=gaps, columns=GAPS),
        ]
    }


def countries(tables: RunTables) -> dict[str, Any]:
    """Return the countries that brought most; parameters as for `build`."""
    found = trade.countries(tables.orders, tables.day)
    return {"figures": [drawn(figures.countries(found, tables.currency), table=found.head(BEST), columns=COUNTRIES)]}


def products(tables: RunTables) -> dict[str, Any]:
    """Return the products that brought most, and those sold most often; parameters as for `build`."""
    found = trade.products(tables.read(SILVER), tables.day, stock_code_pattern=tables.rules.stock_code_pattern)
    often = found.sort_values(["Units", "StockCode"], ascending=[False, True])
    return {
        "figures": [
            drawn(figures.best_products(found, "Revenue", tables.currency), table=found.head(BEST), columns=PRODUCTS),
            drawn(figures.best_products(found, "Units", tables.currency), table=often.head(BEST), columns=PRODUCTS),
        ]
    }


def baskets(tables: RunTables) -> dict[str, Any]:
    """Return how large an order is; parameters as for `build`."""
    found = trade.baskets(tables.orders, tables.day)
    return {"figures": [drawn(figures.basket_size(tables.orders), table=found, columns=BASKETS)]}


PARTS: tuple[tuple[str, str, str, Callable[[RunTables], dict[str, Any]]], ...] = (  # id, title, hint, builder
    ("months", "Revenue and orders", "Growth is against the month before, where both months are whole.", by_month),
    (
        "coming",
        "Who came, came back and stayed away",
        f"Quiet: not this month, but in the last {trade.customers.LAPSED} days. Lapsed: not for longer. Lost: not for more than "
        f"{trade.customers.LOST} days.",
        coming,
    ),
    ("countries", "Countries", "Of customers; what guests brought stands beside it.", countries),
    ("products", "Best products", "By what customers paid, and by how many they bought; guests stand in the tables.", products),
    ("baskets", "Size of an order", "The middle and the average order.", baskets),
)
