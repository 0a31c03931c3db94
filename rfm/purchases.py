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
    import pyarrow.compute as pc

    now, then = _comparable(customers), _comparable(earlier)
    place = pc.index_in(now["CustomerID"], value_set=then["CustomerID"])
    same = [pc.fill_null(pc.equal(now[name], then[name].take(place)), fill_value=False).to_numpy() for name in BOUGHT]
    return ~(same[0] & same[1] & same[2])


def _comparable(frame: Any) -> Any:
    """Return customers and what a purchase changes as an Arrow table, in types that are the same for every frame."""
    import pyarrow as pa

    types = {"CustomerID": pa.large_string(), "MaxInvoiceDate": pa.date32(), "Frequency": pa.int64()}
    types["Monetary"] = pa.decimal128(38, 2)  # exact: not every way from a decimal to a float ends in the same one
    return pa.Table.from_pandas(frame[[*types]], preserve_index=False).cast(pa.schema(types), safe=False)
