"""Totals of the orders: by day and month, by country, by basket, and the figures of a run."""

from __future__ import annotations

import calendar
import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal, NamedTuple

import pandas as pd

from rfm.core.trade.sales import apart, money, with_money

ACTIVE_DAYS = 30
CENT = Decimal("0.01")


class Kpis(NamedTuple):
    """The figures of a run; averages and shares are None where nobody bought.

    Parameters
    ----------
    customers
        Known customers with an order so far.
    active_customers
        Of them, those who bought in the last 30 days, the run date among them.
    revenue, orders
        Of known customers so far.
    average_order
        Revenue by order, rounded half up to the cent.
    one_time_share
        Share of customers with one order.
    guest_revenue, guest_orders
        Of sales without a customer, in none of the above.
    """

    customers: int
    active_customers: int
    revenue: Decimal
    orders: int
    average_order: Decimal | None
    one_time_share: float | None
    guest_revenue: Decimal
    guest_orders: int


def kpis(orders: pd.DataFrame, as_of: dt.date) -> Kpis:
    """Return the figures as of a date; of the same orders, those of yesterday and of a month ago.

    Parameters
    ----------
    orders
        As `orders` returns them, up to that date or later.
    as_of
        Later orders are not seen.
    """
    known, guests = parted(orders, as_of)
    recent = known["InvoiceDate"] > pd.Timestamp(as_of) - pd.Timedelta(days=ACTIVE_DAYS)
    each = known.groupby("CustomerID").size()
    revenue = money(known["Cents"].sum())
    return Kpis(
        len(each),
        known.loc[recent, "CustomerID"].nunique(),
        revenue,
        len(known),
        (revenue / len(known)).quantize(CENT, ROUND_HALF_UP) if len(known) else None,
        float((each == 1).mean()) if len(each) else None,
        money(guests["Cents"].sum()),
        len(guests),
    )


def periods(orders: pd.DataFrame, as_of: dt.date, unit: Literal["day", "month"] = "month") -> pd.DataFrame:
    """Return revenue, orders and customers of each day or calendar month, with growth against the one before.

    Parameters
    ----------
    orders
        As `orders` returns them.
    as_of
        Last day that counts.
    unit
        Length of a period.

    Returns
    -------
    pandas.DataFrame
        Period (its first day), Revenue, Orders and Customers (who bought in it), GuestRevenue and GuestOrders; Complete:
        no for a month that began before the first sale or goes on after the run date; RevenueGrowth, OrdersGrowth and
        GuestGrowth (of revenue), missing unless this period and the one before are complete and that one was not 0.
        No period is left out between the first and the last.
    """
    freq = {"day": "D", "month": "M"}[unit]
    rows = orders[orders["InvoiceDate"] <= pd.Timestamp(as_of)]
    rows = rows.assign(Period=rows["InvoiceDate"].dt.to_period(freq), Guest=rows["CustomerID"].isna(), Orders=1)
    table = apart(rows, "Period", {"Revenue": "Cents", "Orders": "Orders"})
    span = pd.period_range(rows["Period"].min(), pd.Period(as_of, freq)) if len(rows) else pd.PeriodIndex([], freq=freq)
    table = table.reindex(span, fill_value=0)
    table["Customers"] = rows.groupby("Period")["CustomerID"].nunique().reindex(table.index).fillna(0).astype("int64")
    starts, ends = table.index.start_time, table.index.end_time.normalize()
    table["Complete"] = (starts >= rows["InvoiceDate"].min()) & (ends <= pd.Timestamp(as_of))
    whole = table["Complete"] & table["Complete"].shift(fill_value=False)
    for name, column in (("RevenueGrowth", "Revenue"), ("OrdersGrowth", "Orders"), ("GuestGrowth", "GuestRevenue")):
        before = table[column].shift()
        table[name] = (table[column] / before - 1).where(whole & (before != 0))
    return with_money(table.reset_index(drop=True)).assign(Period=starts.date)[
        ["Period", "Revenue", "Orders", "Customers", "GuestRevenue", "GuestOrders", "Complete"]
        + ["RevenueGrowth", "OrdersGrowth", "GuestGrowth"]
    ]


def countries(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return revenue, orders and customers of each country, the largest first.

    Parameters
    ----------
    orders, as_of
        As for `periods`.

    Returns
    -------
    pandas.DataFrame
        Country, Revenue, RevenueShare, Orders, Customers (one who ordered from two countries counts in both),
        GuestRevenue, GuestOrders.
    """
    rows = orders[orders["InvoiceDate"] <= pd.Timestamp(as_of)]
    rows = rows.assign(Country=rows["Country"].fillna("(none)"), Guest=rows["CustomerID"].isna(), Orders=1)
    table = apart(rows, "Country", {"Revenue": "Cents", "Orders": "Orders"})
    table["Customers"] = rows.groupby("Country")["CustomerID"].nunique().astype("int64")
    table["RevenueShare"] = table["Revenue"] / max(table["Revenue"].sum(), 1)
    table = with_money(table.reset_index()).sort_values(["Revenue", "Country"], ascending=[False, True], ignore_index=True)
    return table[["Country", "Revenue", "RevenueShare", "Orders", "Customers", "GuestRevenue", "GuestOrders"]]


def baskets(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return how large an order is, of customers and of guests.

    Parameters
    ----------
    orders, as_of
        As for `periods`.

    Returns
    -------
    pandas.DataFrame
        Who (customers, guests), Orders, and median and average Lines, Units and Value (currency) of an order, rounded
        to 2; missing where there is none.
    """
    rows = []
    for who, part in zip(("customers", "guests"), parted(orders, as_of), strict=True):
        sizes = part[["Lines", "Units"]].assign(Value=part["Cents"] / 100)
        middle, mean = sizes.median().round(2), sizes.mean().round(2)
        each = {f"{how}{name}": found[name] for name in sizes for how, found in (("Median", middle), ("Average", mean))}
        rows.append({"Who": who, "Orders": len(part), **each})
    return pd.DataFrame(rows)


def parted(orders: pd.DataFrame, as_of: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the orders of customers and those of guests up to a date; parameters as for `periods`."""
    seen = orders[orders["InvoiceDate"] <= pd.Timestamp(as_of)]
    return seen[seen["CustomerID"].notna()], seen[seen["CustomerID"].isna()]


def month_end(month: pd.Period, as_of: dt.date) -> pd.Timestamp:
    """Return the last day of a month that a run sees.

    Parameters
    ----------
    month, as_of
        The month, and the run date.
    """
    return pd.Timestamp(min(dt.date(month.year, month.month, calendar.monthrange(month.year, month.month)[1]), as_of))
