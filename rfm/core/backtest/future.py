"""What was known on a past day, and what came after it."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pandas as pd


class Snapshot(NamedTuple):
    """What each way said of each customer on a past day.

    Parameters
    ----------
    day
        The run date; nothing later is known.
    ways
        A column a way: text is the name of a segment, a number ranks (more is better). The index is CustomerID.
    """

    day: dt.date
    ways: pd.DataFrame


def outcomes(purchases: pd.DataFrame, day: dt.date, horizon: int, customers: pd.Index) -> pd.DataFrame:
    """Return what customers did in the days after a day.

    Parameters
    ----------
    purchases
        One row an invoice: CustomerID, InvoiceDate, TotalPrice; only what counts for RFM.
    day
        The first day that counts is the next one.
    horizon
        How many days count.
    customers
        CustomerIDs that were known on the day.

    Returns
    -------
    pandas.DataFrame
        On `customers`: bought (bool) and spent (float, in the shop's currency).
    """
    invoices, spent = _within(purchases, day, day + dt.timedelta(days=horizon), customers)
    return pd.DataFrame({"bought": invoices > 0, "spent": spent}, index=customers)


def spent_within(purchases: pd.DataFrame, day: dt.date, days: int, customers: pd.Index) -> np.ndarray:
    """Return what customers spent in some days up to a day, that day included.

    Parameters
    ----------
    purchases, customers
        As for `outcomes`.
    day
        The last day that counts.
    days
        How many days count.
    """
    return _within(purchases, day - dt.timedelta(days=days), day, customers)[1]


def _within(purchases: pd.DataFrame, after: dt.date, until: dt.date, customers: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Return number and worth of the invoices of each customer, after a day and up to another."""
    dates = pd.to_datetime(purchases["InvoiceDate"])
    rows = purchases[(dates > pd.Timestamp(after)) & (dates <= pd.Timestamp(until))]
    place = customers.get_indexer(rows["CustomerID"])
    known = place >= 0
    place, money = place[known], rows["TotalPrice"].to_numpy(float)[known]
    return np.bincount(place, minlength=len(customers)), np.bincount(place, money, minlength=len(customers))
