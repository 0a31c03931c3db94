"""What a customer is expected to buy, by BG/NBD and Gamma-Gamma: an extra, fitted by clvkit where that is installed."""

from __future__ import annotations

import datetime as dt
import warnings
from importlib.util import find_spec

import pandas as pd


def fits_lifetimes() -> bool:
    """Tell whether the library of the extra `backtest` is installed."""
    return find_spec("clvkit") is not None


def expected(purchases: pd.DataFrame, day: dt.date, days: int, customers: pd.Index) -> pd.DataFrame:
    """Return how often each customer is expected to buy in the next days, and for how much: purchases times the worth of one.

    Parameters
    ----------
    purchases
        One row an invoice: CustomerID, InvoiceDate, TotalPrice. A day with several invoices is one purchase.
    day
        Later purchases are not seen.
    days
        How far to look ahead.
    customers
        CustomerIDs; one without a purchase above 0 is expected to buy nothing.

    Returns
    -------
    pandas.DataFrame
        orders and spend, on `customers`.

    References
    ----------
    Fader, Hardie and Lee (2005), Marketing Science 24(2); Fader and Hardie (2013), The Gamma-Gamma Model of Monetary Value.
    """
    from clvkit import BGNBD, CustomerBase, GammaGamma

    dates = pd.to_datetime(purchases["InvoiceDate"])
    log = pd.DataFrame({"customer_id": purchases["CustomerID"].to_numpy(object), "date": dates.to_numpy("datetime64[ns]")})
    log["amount"] = purchases["TotalPrice"].to_numpy(float)
    log = log[(log["date"] <= pd.Timestamp(day)) & (log["amount"] > 0)]
    base = CustomerBase.from_transactions(log, time_unit="D", collapse="D", observation_period_end=pd.Timestamp(day))
    with warnings.catch_warnings():  # a step that the search for a maximum backs away from
        warnings.simplefilter("ignore", RuntimeWarning)
        orders, worth = BGNBD().fit(base).predict(days), GammaGamma().fit(base).predict()
    found = pd.DataFrame({"orders": orders.to_pandas().squeeze(axis=1), "worth": worth.to_pandas().squeeze(axis=1)})
    return found.assign(spend=found["orders"] * found["worth"])[["orders", "spend"]].reindex(customers).fillna(0.0)
