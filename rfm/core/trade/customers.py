"""Who came, came back and stayed away: customers month by month, cohorts, and days between purchases."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from rfm.core.trade.totals import month_end, parted, periods

LAPSED, LOST = 90, 180  # days without a purchase after which a customer has lapsed, and is lost


def customer_months(orders: pd.DataFrame, as_of: dt.date, *, lapsed: int = LAPSED, lost: int = LOST) -> pd.DataFrame:
    """Return what became of all customers so far, at the end of each month.

    Parameters
    ----------
    orders
        As `orders` returns them.
    as_of
        Run date; the end of the last month as far as it has come.
    lapsed, lost
        Days without a purchase after which a customer has lapsed, and is lost; at least a month.

    Returns
    -------
    pandas.DataFrame
        Month (its first day); New: first purchase in this month; Returning: bought in this month and before it;
        Quiet: not in this month, but within the last `lapsed` days; Lapsed: not for longer, but within `lost` days;
        Lost: not for longer still; Customers: all of them, the five add up to it; Complete as for `periods`.
        Where the history begins everybody is new.
    """
    known = _numbered(orders, as_of)
    bought = known.groupby("CustomerID")["InvoiceDate"]
    first = bought.min().dt.to_period("M")
    months = known["InvoiceDate"].dt.to_period("M")
    span = pd.period_range(months.min(), pd.Period(as_of, "M")) if len(known) else []
    rows = []
    for month in span:
        last = known.loc[months <= month].groupby("CustomerID")["InvoiceDate"].max()
        here, away = last.dt.to_period("M") == month, (month_end(month, as_of) - last).dt.days
        new = int((first == month).sum())
        quiet = ~here & (away <= lapsed)
        gone = ~here & (away > lost)
        counts = (new, int(here.sum()) - new, quiet.sum(), len(last) - here.sum() - quiet.sum() - gone.sum(), gone.sum())
        rows.append((month.start_time.date(), *map(int, counts), len(last)))
    table = pd.DataFrame(rows, columns=["Month", "New", "Returning", "Quiet", "Lapsed", "Lost", "Customers"])
    whole = periods(orders, as_of).set_index("Period")["Complete"]
    return table.assign(Complete=[bool(whole[month]) for month in table["Month"]])


def cohorts(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return how many of the customers who first bought in a month bought again in the months after.

    Parameters
    ----------
    orders, as_of
        As for `customer_months`.

    Returns
    -------
    pandas.DataFrame
        Cohort (first day of the month of the first purchase), Age (months since), Size (customers of the cohort),
        Customers (of them, who bought in that month), Share; Complete: whether the run date has reached that month's end.
        Months that lie in the future have no row; a month that is past and without purchases has a 0.
    """
    known = _numbered(orders, as_of)
    month = known["InvoiceDate"].dt.to_period("M")
    cohort = month.groupby(known["CustomerID"]).transform("min")
    seen = pd.DataFrame({"CustomerID": known["CustomerID"], "Cohort": cohort, "Month": month}).drop_duplicates()
    size, bought = seen.groupby("Cohort")["CustomerID"].nunique(), seen.groupby(["Cohort", "Month"]).size()
    end, rows = pd.Period(as_of, "M"), []
    for start, customers in size.items():
        for age, now in enumerate(pd.period_range(start, end)):
            count = int(bought.get((start, now), 0))
            rows.append((start.start_time.date(), age, int(customers), count, count / customers, now.end_time.date() <= as_of))
    return pd.DataFrame(rows, columns=["Cohort", "Age", "Size", "Customers", "Share", "Complete"])


def days_between(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Count the days from one purchase of a customer to the next.

    Parameters
    ----------
    orders, as_of
        As for `customer_months`; orders of one day are one purchase.

    Returns
    -------
    pandas.DataFrame
        Days (1 or more) and Purchases that came so many days after the one before. Who has not come back yet is not in it,
        so long breaks are rarer here than they will turn out to be.
    """
    known = _numbered(orders, as_of)
    visits = known[["CustomerID", "InvoiceDate"]].drop_duplicates().sort_values(["CustomerID", "InvoiceDate"])
    days = visits.groupby("CustomerID")["InvoiceDate"].diff().dropna().dt.days.astype("int64")
    return days.value_counts().sort_index().rename_axis("Days").reset_index(name="Purchases")


def _numbered(orders: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return the orders of customers up to a date, with numbers for ids, which group faster than text."""
    known, _ = parted(orders, as_of)
    return known.assign(CustomerID=pd.factorize(known["CustomerID"])[0])
