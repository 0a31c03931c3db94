"""Silver to gold: recency, frequency and monetary value of each customer, as of a date.

Recency is the days since the last purchase, so small is good; frequency counts invoices, not lines;
monetary is what the customer spent in all: gross, or net of what came back.

Who bought between two runs: what steadiness and movement both ask.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import narwhals as nw
from narwhals.typing import IntoFrameT

from rfm.config import Rules
from rfm.contracts import TABLES, arrow_typed


# ── metrics ────────────────────────────────────────────────────────────
def counted(silver: nw.LazyFrame, as_of: dt.date, stock_code_pattern: str) -> nw.LazyFrame:
    """Return the rows that count for RFM: sales of products to known customers up to a date."""
    return _of_products(silver, as_of, stock_code_pattern).filter(~nw.col("IsCancellation"))


def _of_products(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return the rows of products and known customers up to a date: sales, and what was cancelled or came back."""
    dated = silver.with_columns(nw.col("InvoiceDate").cast(nw.Date))
    return dated.filter(
        nw.col("InvoiceDate") <= nw.lit(as_of),
        ~nw.col("CustomerID").is_null(),
        nw.col("StockCode").str.contains(stock_code_pattern),
    )


def rfm_metrics(
    silver: IntoFrameT,
    as_of: dt.date,
    *,
    stock_code_pattern: str = Rules().stock_code_pattern,
    revenue: Literal["gross", "net"] = "gross",
) -> IntoFrameT:
    """Return recency, frequency and monetary value per customer.

    Parameters
    ----------
    silver
        Rows of ``retail_transactions_silver`` in any frame that narwhals knows, eager or lazy.
    as_of
        Run date: later sales are not seen, and recency counts from here.
    stock_code_pattern
        Which stock codes are products, as a regular expression.
    revenue
        ``net`` takes cancellations with an amount below 0 off the customer's Monetary, which does not fall below 0;
        Recency and Frequency are those of the purchases either way.

    Returns
    -------
    frame of the same kind
        One row a customer, columns of ``customer_rfm_gold``: MaxInvoiceDate; Recency in days;
        Frequency in distinct invoices; Monetary, exact.

    Notes
    -----
    Rows are grouped by customer and invoice first, then by customer: on ten million rows that needs a
    sixth of the memory of counting distinct invoices directly.

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
    today = _day_number(as_of)
    invoices = (_net if revenue == "net" else _invoices)(silver, as_of, stock_code_pattern)
    customers = invoices.group_by("CustomerID").agg(
        nw.col("Purchases", "TotalPrice").sum(), nw.col("InvoiceDate").max().alias("MaxInvoiceDate")
    )
    customers = customers.filter(nw.col("Purchases") > 0).with_columns(
        Recency=(nw.lit(today) - day_number(nw.col("MaxInvoiceDate"))).cast(nw.Int32),
        Frequency=nw.col("Purchases").cast(nw.Int32),
        Monetary=nw.col("TotalPrice").cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2)),
    )
    if revenue == "net":
        nothing = nw.lit(0).cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2))
        customers = customers.with_columns(nw.when(nw.col("Monetary") > nothing).then(nw.col("Monetary")).otherwise(nothing))
    gold = customers.select(TABLES["customer_rfm_gold"].names).sort("CustomerID")
    return gold if isinstance(silver, nw.LazyFrame) else gold.to_native()


def purchases(silver: IntoFrameT, as_of: dt.date, *, stock_code_pattern: str = Rules().stock_code_pattern) -> IntoFrameT:
    """Return the invoices that `rfm_metrics` counts: CustomerID, InvoiceNo, TotalPrice (exact), InvoiceDate.

    Parameters as for `rfm_metrics`.
    """
    return _invoices(silver, as_of, stock_code_pattern).drop("Purchases").sort("CustomerID", "InvoiceNo").to_native()


def _invoices(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return one row an invoice of a known customer, in narwhals' frame."""
    rows: Any = nw.from_native(arrow_typed(TABLES["retail_transactions_silver"], silver))
    invoices = counted(rows, as_of, stock_code_pattern).group_by("CustomerID", "InvoiceNo")
    return invoices.agg(nw.col("TotalPrice").sum(), nw.col("InvoiceDate").max()).with_columns(Purchases=nw.lit(1))


def _net(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return one row an invoice, and one a return, which is no purchase and has no day."""
    rows: Any = nw.from_native(arrow_typed(TABLES["retail_transactions_silver"], silver))
    sale = ~nw.col("IsCancellation")
    found = _of_products(rows, as_of, stock_code_pattern).filter(sale | (nw.col("TotalPrice") < 0))
    invoices = found.group_by("CustomerID", "InvoiceNo", "IsCancellation").agg(
        nw.col("TotalPrice").sum(), nw.col("InvoiceDate").max()
    )
    purchases = nw.when(sale).then(nw.lit(1)).otherwise(nw.lit(0))
    return invoices.with_columns(Purchases=purchases, InvoiceDate=nw.when(sale).then(nw.col("InvoiceDate")))


def day_number(date: nw.Expr) -> nw.Expr:
    """Return the Julian day number of a date, in integer arithmetic that every engine shares.

    The difference of two of them is the days between; engines disagree on what a difference of dates is.
    Formula: Fliegel and Van Flandern (1968), Communications of the ACM 11(10).
    """
    year, month, day = date.dt.year().cast(nw.Int64), date.dt.month().cast(nw.Int64), date.dt.day().cast(nw.Int64)
    return _julian(year, month, day)


def _day_number(date: dt.date) -> int:
    """Return the Julian day number of one date."""
    return _julian(date.year, date.month, date.day)


def _julian(year: Any, month: Any, day: Any) -> Any:
    """Return the Julian day number, of integers or expressions; March is the first month, so that leap days come last."""
    before_march = (14 - month) // 12
    year, month = year + 4800 - before_march, month + 12 * before_march - 3
    return day + (153 * month + 2) // 5 + 365 * year + year // 4 - year // 100 + year // 400 - 32045


# ── purchases ────────────────────────────────────────────────────────────
BOUGHT = ("MaxInvoiceDate", "Frequency", "Monetary")


def purchased_since(customers: Any, earlier: Any) -> Any:
    """Tell who bought since an earlier run: last purchase, invoices or spend changed, or the customer is new."""
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
