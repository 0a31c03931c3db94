"""Silver to gold: recency, frequency and monetary value per customer as of a date, and who purchased between two runs.

Recency is the days since the last purchase; frequency counts invoices, not lines; monetary is what the customer spent,
gross or net of returns.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import narwhals as nw
import pandas as pd
from narwhals.typing import IntoFrameT

from rfm.analysis.dates import day_number
from rfm.contracts import TABLES, dated_silver, eager
from rfm.dialect import Rules


def _of_products(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return the rows of products and known customers up to a date: sales, cancellations and returns."""
    known, product = ~nw.col("CustomerID").is_null(), nw.col("StockCode").str.contains(stock_code_pattern)
    return dated_silver(silver).filter(nw.col("InvoiceDate") <= nw.lit(as_of), known, product)


def rfm_metrics(
    silver: IntoFrameT,
    as_of: dt.date,
    *,
    stock_code_pattern: str = Rules().stock_code_pattern,
    revenue: Literal["gross", "net"] = "gross",
) -> IntoFrameT:
    """Return ``customer_rfm_gold``: recency, frequency and monetary value per customer, a frame of the kind of `silver`.

    Parameters
    ----------
    silver
        Rows of ``retail_transactions_silver`` in any frame that narwhals supports, eager or lazy.
    as_of
        Run date: later sales are ignored, and Recency, in days, counts from here.
    stock_code_pattern
        Regular expression for stock codes of products; other lines are ignored.
    revenue
        ``net`` subtracts cancellations from Monetary; Recency and Frequency are the same. Monetary stays at 0 or more.

    Examples
    --------
    >>> import datetime as dt, pandas as pd
    >>> silver = pd.DataFrame({
    ...     "CustomerID": ["1", "1", "1", "2"], "InvoiceNo": ["489434", "489434", "489500", "489501"],
    ...     "StockCode": ["85048", "21232", "POST", "PADS"], "InvoiceDate": pd.to_datetime(["2025-06-26"] * 4),
    ...     "IsCancellation": [False] * 4, "TotalPrice": [12, 30, 18, 1]})
    >>> rfm_metrics(silver, dt.date(2025, 6, 30))[["CustomerID", "Recency", "Frequency", "Monetary"]].to_dict("list")
    {'CustomerID': ['1', '2'], 'Recency': [4, 4], 'Frequency': [1, 1], 'Monetary': [Decimal('42.00'), Decimal('1.00')]}
    """
    # Grouping by customer and invoice first needs a sixth of the memory of counting distinct invoices, at ten million rows.
    invoices = (_net if revenue == "net" else _invoices)(silver, as_of, stock_code_pattern)
    customers = invoices.group_by("CustomerID").agg(
        nw.col("Purchases", "TotalPrice").sum(), nw.col("InvoiceDate").max().alias("MaxInvoiceDate")
    )
    customers = customers.filter(nw.col("Purchases") > 0).with_columns(
        Recency=(nw.lit(as_of.toordinal()) - day_number(nw.col("MaxInvoiceDate"))).cast(nw.Int32),
        Frequency=nw.col("Purchases").cast(nw.Int32),
        Monetary=nw.col("TotalPrice").cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2)),
    )
    # returns and discounts may be more than what was bought here
    zero = nw.lit(0).cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2))
    customers = customers.with_columns(nw.when(nw.col("Monetary") > zero).then(nw.col("Monetary")).otherwise(zero))
    gold = customers.select(TABLES["customer_rfm_gold"].names).sort("CustomerID")
    return gold if isinstance(silver, nw.LazyFrame) else gold.to_native()


def purchases(silver: IntoFrameT, as_of: dt.date, *, stock_code_pattern: str = Rules().stock_code_pattern) -> IntoFrameT:
    """Return CustomerID, InvoiceNo, TotalPrice (exact) and InvoiceDate of the invoices that `rfm_metrics` counts."""
    return _invoices(silver, as_of, stock_code_pattern).drop("Purchases").sort("CustomerID", "InvoiceNo").to_native()


def collected_purchases(silver: Any, as_of: dt.date, *, stock_code_pattern: str = Rules().stock_code_pattern) -> pd.DataFrame:
    """Return `purchases` as a pandas frame, from a frame of any engine."""
    return eager(nw.from_native(purchases(silver, as_of, stock_code_pattern=stock_code_pattern))).to_pandas()


def _invoices(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return one row per invoice of a known customer, as a narwhals frame."""
    sales = _of_products(silver, as_of, stock_code_pattern).filter(~nw.col("IsCancellation"))
    invoices = sales.group_by("CustomerID", "InvoiceNo")
    return invoices.agg(nw.col("TotalPrice").sum(), nw.col("InvoiceDate").max()).with_columns(Purchases=nw.lit(1))


def _net(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return one row per invoice, and one per return, which is no purchase and has no date."""
    sale = ~nw.col("IsCancellation")
    found = _of_products(silver, as_of, stock_code_pattern).filter(sale | (nw.col("TotalPrice") < 0))
    invoices = found.group_by("CustomerID", "InvoiceNo", "IsCancellation").agg(
        nw.col("TotalPrice").sum(), nw.col("InvoiceDate").max()
    )
    purchases = nw.when(sale).then(nw.lit(1)).otherwise(nw.lit(0))
    return invoices.with_columns(Purchases=purchases, InvoiceDate=nw.when(sale).then(nw.col("InvoiceDate")))


def purchased_since(customers: Any, earlier: Any) -> Any:
    """Return True per customer who is new or whose last purchase, invoices or spend differ from an earlier run."""
    import pyarrow.compute as pc

    now, before = _comparable(customers), _comparable(earlier)
    then = before.take(pc.index_in(now["CustomerID"], before["CustomerID"]))  # nulls for a new customer
    same = True
    for name in now.column_names:
        same = pc.and_(same, pc.fill_null(pc.equal(now[name], then[name]), False))
    return pc.invert(same).to_numpy()


def _comparable(frame: Any) -> Any:
    """Return what a purchase changes, in types that are the same for every frame."""
    import pyarrow as pa

    # exact decimals: not every conversion from decimal to float gives the same float
    types = {"CustomerID": pa.large_string(), "MaxInvoiceDate": pa.date32(), "Frequency": pa.int64()}
    types["Monetary"] = pa.decimal128(38, 2)
    return pa.Table.from_pandas(frame[[*types]], preserve_index=False).cast(pa.schema(types), safe=False)
