"""Who bought between two runs: what steadiness and movement both ask."""

from __future__ import annotations

from typing import Any

BOUGHT = ("MaxInvoiceDate", "Frequency", "Monetary")


def bought_since(customers: Any, earlier: Any) -> Any:
    """Tell who bought since an earlier run: last purchase, invoices or spend changed, or the customer is new.

    Parameters
    ----------
    customers, earlier
        Pandas frames with CustomerID, MaxInvoiceDate, Frequency and Monetary, one row a customer.

    Returns
    -------
    numpy.ndarray
        Of bool, one a row of `customers`.
    """
    import pandas as pd

    def comparable(frame: Any) -> Any:
        days = pd.to_datetime(frame["MaxInvoiceDate"]).astype("datetime64[s]")
        numbers = frame[["Frequency", "Monetary"]].astype(float)
        return numbers.assign(MaxInvoiceDate=days).set_axis(frame["CustomerID"].astype(str), axis=0)[list(BOUGHT)]

    now = comparable(customers)
    return (now != comparable(earlier).reindex(now.index)).any(axis=1).to_numpy(bool)
