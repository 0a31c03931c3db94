"""Sales by time, country, basket and product, and customers who come back or stay away; guests always separate.

Silver is filtered as for gold, so the customers' revenue equals that of the segments, unless ``revenue = "net"``.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from rfm.contracts import dated_silver, eager
from rfm.dialect import Rules

UNNAMED = "(no description)"
PATTERN = Rules().stock_code_pattern


def orders(silver: Any, as_of: dt.date, *, stock_code_pattern: str = PATTERN) -> pd.DataFrame:
    """Return one row per order: an invoice of a customer or a guest."""
    grouped = _sold(silver, as_of, stock_code_pattern).group_by("CustomerID", "InvoiceNo")
    sums = nw.len().alias("Lines"), nw.col("Quantity").sum().alias("Units"), nw.col("TotalPrice").sum()
    found = grouped.agg(nw.col("InvoiceDate", "Country").max(), *sums)
    rows = _collected(found.sort("InvoiceDate", "CustomerID", "InvoiceNo", nulls_last=True)).reset_index(drop=True)
    return rows[["CustomerID", "InvoiceNo", "InvoiceDate", "Country", "Lines", "Units", "Cents"]]


def products(silver: Any, as_of: dt.date, *, stock_code_pattern: str = PATTERN) -> pd.DataFrame:
    """Return one row per product, by falling revenue."""
    rows = _sold(silver, as_of, stock_code_pattern).with_columns(Guest=nw.col("CustomerID").is_null())
    found = rows.group_by("StockCode", "Description", "Guest").agg(
        nw.len().alias("Lines"), nw.col("Quantity").sum().alias("Units"), nw.col("TotalPrice").sum()
    )
    named = _collected(found)
    named["StockCode"] = named["StockCode"].str.upper()
    table = _split_guests(named, "StockCode", {"Units": "Units", "Revenue": "Cents"})
    table["Lines"] = named.groupby("StockCode")["Lines"].sum()
    table["Description"] = _usual_name(named).reindex(table.index).fillna(UNNAMED)
    table = _with_money(table.reset_index()).sort_values(["Revenue", "StockCode"], ascending=[False, True], ignore_index=True)
    return table[["StockCode", "Description", "Revenue", "Units", "GuestRevenue", "GuestUnits", "Lines"]]


GROUP = ["Segment", "State"]
FEWEST = 3  # customers of a group who bought a product: fewer say nothing about the others, and too much about themselves


def products_by_group(
    silver: Any, customers: pd.DataFrame, as_of: dt.date, *, stock_code_pattern: str = PATTERN, most: int = 20
) -> pd.DataFrame:
    """Return the products that brought most from each segment in each state, and from all of them (an empty name)."""
    names = products(silver, as_of, stock_code_pattern=stock_code_pattern).set_index("StockCode")["Description"]
    lines = _sold(silver, as_of, stock_code_pattern).filter(~nw.col("CustomerID").is_null())
    each = lines.with_columns(nw.col("StockCode").str.to_uppercase()).group_by("CustomerID", "StockCode")
    bought = _collected(each.agg(nw.len().alias("Lines"), nw.col("Quantity").sum().alias("Units"), nw.col("TotalPrice").sum()))
    who = pd.Index(customers["CustomerID"].astype(object)).get_indexer(bought["CustomerID"])
    bought, who = bought[who >= 0], who[who >= 0]
    groups = [pd.factorize(customers[name].to_numpy(object), sort=True) for name in GROUP]
    product, products_of = pd.factorize(bought["StockCode"].to_numpy(object), sort=True)
    shape = tuple(len(found) for _, found in groups)
    cell, sizes = (groups[0][0][who], groups[1][0][who], product), _summed([codes for codes, _ in groups], shape)
    sums = {name: _summed(cell, (*shape, len(products_of)), bought[name]) for name in ("Units", "Cents")}
    people = _summed(cell, (*shape, len(products_of)))
    at = np.nonzero(people >= FEWEST)
    names_of = [np.array([*found, ""], object) for _, found in groups]
    table = pd.DataFrame({name: own[at[side]] for side, (name, own) in enumerate(zip(GROUP, names_of, strict=True))})
    share = people[at] / sizes[at[:2]]  # of the group's customers who bought a product; the lift is by that of all customers
    found = table.assign(
        GroupSize=sizes[at[:2]],
        StockCode=products_of[at[2]],
        Description=pd.Series(products_of[at[2]]).map(names),
        Units=sums["Units"][at],
        Revenue=sums["Cents"][at],
        Customers=people[at],
        Share=share,
        Lift=share / (people[-1, -1, at[2]] / len(customers)),
    )
    found = found.sort_values([*GROUP, "Revenue", "StockCode"], ascending=[True, True, False, True])
    return _with_money(found.groupby(GROUP).head(most).reset_index(drop=True))


def _summed(codes: Sequence[Any], shape: tuple[int, ...], values: Any = None) -> Any:
    """Return counts, or sums of whole numbers, by segment and state, with those of all in the last place of both."""
    weights = None if values is None else values.to_numpy(float)
    found = np.bincount(np.ravel_multi_index(tuple(codes), shape), weights, math.prod(shape)).astype("int64").reshape(shape)
    for side in (0, 1):
        found = np.concatenate([found, found.sum(axis=side, keepdims=True)], axis=side)
    return found


def _usual_name(named: pd.DataFrame) -> pd.Series:
    """Return the most frequent description of each stock code."""
    lines = named.dropna(subset="Description").groupby(["StockCode", "Description"], as_index=False)["Lines"].sum()
    first = lines.sort_values(["Lines", "Description"], ascending=[False, True]).drop_duplicates("StockCode")
    return first.set_index("StockCode")["Description"]


def _sold(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return the lines that count: products sold to customers and guests up to a date."""
    product = nw.col("StockCode").str.contains(stock_code_pattern)
    return dated_silver(silver).filter(nw.col("InvoiceDate") <= nw.lit(as_of), ~nw.col("IsCancellation"), product)


def _collected(found: Any) -> pd.DataFrame:
    """Return a small result in pandas, with the same types from every engine and money in whole cents."""
    cents = (nw.col("TotalPrice").cast(nw.Decimal(38, 2)).cast(nw.Float64) * 100).round(0).cast(nw.Int64)
    found = found.with_columns(nw.col("Lines", "Units").cast(nw.Int64), Cents=cents).drop("TotalPrice")
    rows = eager(found).to_pandas()
    whole = dict.fromkeys(("Lines", "Units", "Cents"), "int64")
    texts = dict.fromkeys(rows.columns.intersection(["CustomerID", "InvoiceNo", "Country", "StockCode", "Description"]), object)
    rows = rows.astype(whole | texts | ({"InvoiceDate": "datetime64[s]"} if "InvoiceDate" in rows else {}))
    return rows.assign(**{name: rows[name].where(rows[name].notna(), None) for name in texts})


def _split_guests(rows: pd.DataFrame, key: str, sums: dict[str, str]) -> pd.DataFrame:
    """Sum columns per key, guests in columns called Guest…."""
    guests = rows["Guest"].astype(bool)
    parts = {"": rows[~guests], "Guest": rows[guests]}
    found = {f"{who}{name}": part.groupby(key)[column].sum() for who, part in parts.items() for name, column in sums.items()}
    return pd.DataFrame(found).fillna(0).astype("int64").rename_axis(key)


def _with_money(table: pd.DataFrame) -> pd.DataFrame:
    """Convert the columns called …Revenue from whole cents to exact amounts."""
    return table.assign(**{name: table[name].map(_money).astype(object) for name in table.columns if name.endswith("Revenue")})


def _money(cents: int) -> Decimal:
    """Return whole cents as an exact amount."""
    return Decimal(int(cents)).scaleb(-2)


# ── totals of the orders ────────────────────────────────────────────────
ACTIVE_DAYS = 30
CENT = Decimal("0.01")


class Kpis(NamedTuple):
    """The key figures of a run; averages and shares are None without orders."""

    customers: int
    active_customers: int
    revenue: Decimal
    orders: int
    average_order: Decimal | None
    one_time_share: float | None
    guest_revenue: Decimal
    guest_orders: int


def kpis(orders: pd.DataFrame, as_of: dt.date) -> Kpis:
    """Return the key figures as of a date; the same orders give those of earlier dates."""
    known, guests = _split_orders(orders, as_of)
    recent = known["InvoiceDate"] > pd.Timestamp(as_of) - pd.Timedelta(days=ACTIVE_DAYS)
    each = known.groupby("CustomerID").size()
    revenue = _money(known["Cents"].sum())
    average = (revenue / len(known)).quantize(CENT, ROUND_HALF_UP) if len(known) else None
    once = float((each == 1).mean()) if len(each) else None
    active, guest_revenue = known.loc[recent, "CustomerID"].nunique(), _money(guests["Cents"].sum())
    return Kpis(len(each), active, revenue, len(known), average, once, guest_revenue, len(guests))


def periods(orders: pd.DataFrame, as_of: dt.date, unit: Literal["day", "month"] = "month") -> pd.DataFrame:
    """Return revenue, orders and customers per day or calendar month, with growth against the one before."""
    freq = {"day": "D", "month": "M"}[unit]
    rows = orders[orders["InvoiceDate"] <= pd.Timestamp(as_of)]
    rows = rows.assign(Period=rows["InvoiceDate"].dt.to_period(freq), Guest=rows["CustomerID"].isna(), Orders=1)
    table = _split_guests(rows, "Period", {"Revenue": "Cents", "Orders": "Orders"})
    span = pd.period_range(rows["Period"].min(), pd.Period(as_of, freq)) if len(rows) else pd.PeriodIndex([], freq=freq)
    table = table.reindex(span, fill_value=0)
    table["Customers"] = rows.groupby("Period")["CustomerID"].nunique().reindex(table.index).fillna(0).astype("int64")
    starts, ends = table.index.start_time, table.index.end_time.normalize()
    table["Complete"] = (starts >= rows["InvoiceDate"].min()) & (ends <= pd.Timestamp(as_of))
    whole = table["Complete"] & table["Complete"].shift(fill_value=False)
    for name, column in (("RevenueGrowth", "Revenue"), ("OrdersGrowth", "Orders"), ("GuestGrowth", "GuestRevenue")):
        before = table[column].shift()
        table[name] = (table[column] / before - 1).where(whole & (before != 0))
    columns = ["Period", "Revenue", "Orders", "Customers", "GuestRevenue", "GuestOrders", "Complete"]
    columns += ["RevenueGrowth", "OrdersGrowth", "GuestGrowth"]
    return _with_money(table.reset_index(drop=True)).assign(Period=starts.date)[columns]


def countries(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return revenue, orders and customers per country, by falling revenue."""
    rows = orders[orders["InvoiceDate"] <= pd.Timestamp(as_of)]
    rows = rows.assign(Country=rows["Country"].fillna("(none)"), Guest=rows["CustomerID"].isna(), Orders=1)
    table = _split_guests(rows, "Country", {"Revenue": "Cents", "Orders": "Orders"})
    table["Customers"] = rows.groupby("Country")["CustomerID"].nunique().astype("int64")
    table["RevenueShare"] = table["Revenue"] / max(table["Revenue"].sum(), 1)
    table = _with_money(table.reset_index()).sort_values(["Revenue", "Country"], ascending=[False, True], ignore_index=True)
    return table[["Country", "Revenue", "RevenueShare", "Orders", "Customers", "GuestRevenue", "GuestOrders"]]


def baskets(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return the size of orders, of customers and of guests."""
    rows = []
    for who, part in zip(("customers", "guests"), _split_orders(orders, as_of), strict=True):
        sizes = part[["Lines", "Units"]].assign(Value=part["Cents"] / 100)
        middle, mean = sizes.median().round(2), sizes.mean().round(2)
        each = {f"{how}{name}": found[name] for name in sizes for how, found in (("Median", middle), ("Average", mean))}
        rows.append({"Who": who, "Orders": len(part), **each})
    return pd.DataFrame(rows)


def _split_orders(orders: pd.DataFrame, as_of: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the orders of customers and those of guests up to a date."""
    seen = orders[orders["InvoiceDate"] <= pd.Timestamp(as_of)]
    return seen[seen["CustomerID"].notna()], seen[seen["CustomerID"].isna()]


# ── customers over time ─────────────────────────────────────────────────
LAPSED, LONG_LAPSED = 90, 180  # days without a purchase


def customer_months(orders: pd.DataFrame, as_of: dt.date, *, lapsed: int = LAPSED, long: int = LONG_LAPSED) -> pd.DataFrame:
    """Count new, returning, quiet, lapsed and long lapsed customers at the end of each month; *lost* is a state, not this."""
    known = _numbered(orders, as_of)
    bought = known.groupby("CustomerID")["InvoiceDate"]
    first = bought.min().dt.to_period("M")
    months = known["InvoiceDate"].dt.to_period("M")
    span = pd.period_range(months.min(), pd.Period(as_of, "M")) if len(known) else []
    rows = []
    for month in span:
        last = known.loc[months <= month].groupby("CustomerID")["InvoiceDate"].max()
        end = min(month.end_time.normalize(), pd.Timestamp(as_of))
        here, away = last.dt.to_period("M") == month, (end - last).dt.days
        new = int((first == month).sum())
        quiet = ~here & (away <= lapsed)
        gone = ~here & (away > long)
        counts = (new, int(here.sum()) - new, quiet.sum(), len(last) - here.sum() - quiet.sum() - gone.sum(), gone.sum())
        rows.append((month.start_time.date(), *map(int, counts), len(last)))
    table = pd.DataFrame(rows, columns=["Month", "New", "Returning", "Quiet", "Lapsed", "LongLapsed", "Customers"])
    whole = periods(orders, as_of).set_index("Period")["Complete"]
    return table.assign(Complete=[bool(whole[month]) for month in table["Month"]])


def cohorts(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Count the customers of each month of first purchase who bought in the months after, and what each has spent by then."""
    known = _numbered(orders, as_of)
    month = known["InvoiceDate"].dt.to_period("M")
    cohort = month.groupby(known["CustomerID"]).transform("min")
    groups = known.assign(Cohort=cohort, Month=month).groupby(["Cohort", "Month"])
    bought, cents = groups["CustomerID"].nunique(), groups["Cents"].sum()
    end, rows = pd.Period(as_of, "M"), []
    for start in sorted(cohort.unique()):
        size, spent = int(bought[start, start]), 0
        for age, now in enumerate(pd.period_range(start, end)):
            count, spent = int(bought.get((start, now), 0)), spent + int(cents.get((start, now), 0))
            each = (_money(spent) / size).quantize(CENT, ROUND_HALF_UP)
            rows.append((start.start_time.date(), age, size, count, count / size, each, now.end_time.date() <= as_of))
    return pd.DataFrame(rows, columns=["Cohort", "Age", "Size", "Customers", "Share", "Value", "Complete"])


def days_between(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Count the days between consecutive purchases of a customer."""
    known = _numbered(orders, as_of)
    visits = known[["CustomerID", "InvoiceDate"]].drop_duplicates().sort_values(["CustomerID", "InvoiceDate"])
    days = visits.groupby("CustomerID")["InvoiceDate"].diff().dropna().dt.days.astype("int64")
    return days.value_counts().sort_index().rename_axis("Days").reset_index(name="Purchases")


def _numbered(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return the orders of customers up to a date, with numbers as ids, because they group faster than text."""
    known, _ = _split_orders(orders, as_of)
    return known.assign(CustomerID=pd.factorize(known["CustomerID"])[0])
