"""Customers too far out for K-means: marked, never dropped.

Customers who are kept out of the fit at the shop's wish: those with bulk orders or test transactions, counted and named.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import narwhals as nw
import pandas as pd
from narwhals.typing import IntoFrame

from rfm.config import Exclusions
from rfm.contracts import OUTLIER_LABELS, TABLES, arrow_typed

# ── outliers ────────────────────────────────────────────────────────────
REGULAR, SPEND, FREQUENCY, BOTH = 0, -1, -2, -3
LABELS = OUTLIER_LABELS


class Fences(NamedTuple):
    """The range in which a value is regular, both ends included."""

    low: float
    high: float


def iqr_fences(values: pd.Series, factor: float = 1.5) -> Fences:
    """Return Tukey's fences: the quartiles, widened by a multiple of the interquartile range.

    Parameters
    ----------
    values
        Numbers, at least one.
    factor
        How many interquartile ranges beyond the quartiles are still regular.

    Returns
    -------
    Fences
        In the unit of the values; quantiles by linear interpolation.

    References
    ----------
    Tukey (1977), Exploratory Data Analysis.
    """
    q1, q3 = values.astype(float).quantile([0.25, 0.75])
    return Fences(q1 - factor * (q3 - q1), q3 + factor * (q3 - q1))


def outlier_clusters(gold: pd.DataFrame, factor: float = 1.5) -> pd.Series:
    """Mark the customers whose spend or frequency lies beyond the fences of all customers.

    Parameters
    ----------
    gold
        One row a customer with Monetary and Frequency.
    factor
        See `iqr_fences`.

    Returns
    -------
    pd.Series
        Cluster, named so, on the index of `gold`: 0 regular, -1 spend only, -2 frequency only, -3 both. Its ``attrs``
        hold the fences, by metric, for whoever keeps them.

    Examples
    --------
    >>> gold = pd.DataFrame({"Monetary": [10, 11, 12, 13, 900], "Frequency": [1, 2, 2, 2, 2]})
    >>> outlier_clusters(gold).tolist()
    [-2, 0, 0, 0, -1]
    """
    if gold.empty:
        return pd.Series(REGULAR, index=gold.index, name="Cluster", dtype="int32")
    fences = {name: iqr_fences(gold[name], factor) for name in ("Monetary", "Frequency")}
    far = {name: ~gold[name].astype(float).between(*ends) for name, ends in fences.items()}
    marks = (-1 * far["Monetary"] - 2 * far["Frequency"]).astype("int32").rename("Cluster")
    marks.attrs["fences"] = fences
    return marks


# ── exclusions ────────────────────────────────────────────────────────────
BULK, TEST = "bulk order", "test transaction"


def fit_exclusions(silver: IntoFrame, run_date: dt.date, options: Exclusions = Exclusions()) -> Any:
    """Name the customers whom the shop's filters keep out of the fit; each is assigned to a cluster all the same.

    Parameters
    ----------
    silver
        Rows of ``retail_transactions_silver`` in any frame that narwhals knows, eager or lazy.
    run_date
        Later sales are not seen.
    options
        What an order is too large from, and what a test is; all of it off by default.

    Returns
    -------
    frame
        Columns of ``fit_exclusions``, a row a customer and reason: how many invoices, and what they came to. Without
        any filter an empty pandas frame, and silver is not read; otherwise an eager frame of the kind of `silver`.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> options = rfm.exclusions.Exclusions(bulk_amount=1000)
    >>> found = rfm.exclusions.fit_exclusions(rfm.example("retail_transactions_silver"), datetime.date(2025, 10, 23), options)
    >>> found[["CustomerID", "Reason", "Invoices", "Amount"]].head(2)
      CustomerID      Reason  Invoices   Amount
    3      12430  bulk order         1  1127.96
    1      12716  bulk order         1  2736.72
    """
    table = TABLES["fit_exclusions"]
    if not options.on:
        return table.without_rows()
    invoices = _invoices(silver, run_date, options)
    found = [_customers(invoices.filter(rule), reason, run_date) for reason, rule in _rules(options).items()]
    return arrow_typed(table, nw.concat(found).select(table.names).sort(table.key).lazy().collect().to_native())


def headline(exclusions: Any) -> str:
    """Say how many customers are kept out of the fit, and why.

    Parameters
    ----------
    exclusions
        Columns of ``fit_exclusions``.

    Examples
    --------
    >>> import rfm
    >>> rfm.exclusions.headline(rfm.example("fit_exclusions"))
    'no customer is kept out of the fit'
    """
    rows = nw.from_native(exclusions, eager_only=True)
    reasons = rows["Reason"].to_list()
    if not reasons:
        return "no customer is kept out of the fit"
    each = ", ".join(f"{reasons.count(reason):,} for a {reason}" for reason in (BULK, TEST) if reason in reasons)
    return f"{rows['CustomerID'].n_unique():,} customer(s) kept out of the fit: {each}"


def _invoices(silver: Any, run_date: dt.date, options: Exclusions) -> nw.LazyFrame:
    """Return one row an invoice of a known customer: amount, pieces, and lines with a test's stock code."""
    lines: Any = nw.from_native(arrow_typed(TABLES["retail_transactions_silver"], silver)).lazy()
    dated = lines.with_columns(nw.col("InvoiceDate").cast(nw.Date))
    known = dated.filter(nw.col("InvoiceDate") <= nw.lit(run_date), ~nw.col("CustomerID").is_null(), ~nw.col("IsCancellation"))
    tests = nw.col("StockCode").str.contains(options.test_pattern) if options.test_pattern else nw.lit(value=False)
    marked = known.with_columns(Tests=tests.cast(nw.Int64), Quantity=nw.col("Quantity").cast(nw.Int64))
    return marked.group_by("CustomerID", "InvoiceNo").agg(nw.col("TotalPrice", "Quantity", "Tests").sum())


def _rules(options: Exclusions) -> dict[str, nw.Expr]:
    """Return, for each reason in force, which invoices are meant."""
    limits = {"TotalPrice": options.bulk_amount, "Quantity": options.bulk_quantity}
    bulk = [nw.col(name).cast(nw.Float64) > limit for name, limit in limits.items() if limit]
    tests = [nw.col("Tests") > 0] if options.test_pattern else []
    return {reason: nw.any_horizontal(*rules, ignore_nulls=True) for reason, rules in ((BULK, bulk), (TEST, tests)) if rules}


def _customers(invoices: nw.LazyFrame, reason: str, run_date: dt.date) -> nw.LazyFrame:
    """Return a row a customer with such invoices."""
    grouped = invoices.group_by("CustomerID").agg(nw.len().alias("Invoices"), nw.col("TotalPrice").sum())
    count = nw.col("Invoices").cast(nw.Int64)
    amount = nw.col("TotalPrice").cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2))
    return grouped.with_columns(Invoices=count, Amount=amount, Reason=nw.lit(reason), UpdateDate=nw.lit(run_date))
