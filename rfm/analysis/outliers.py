"""Customers kept out of the K-means fit: outliers, and by choice those with bulk orders or test transactions.

None of them is dropped: each still gets a cluster.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
from narwhals.typing import IntoFrame

from rfm.analysis.formatting import amount, count
from rfm.config import Clusters, Exclusions
from rfm.contracts import TABLES, arrow_typed, dated_silver
from rfm.words import N_, _

__all__ = ["Fences", "fit_exclusions", "headline", "iqr_fences", "outlier_clusters"]

REGULAR, SPEND, FREQUENCY, BOTH = 0, -1, -2, -3
LABELS = {
    SPEND: N_("{segment} (spend outlier)"),
    FREQUENCY: N_("{segment} (frequency outlier)"),
    BOTH: N_("{segment} (spend and frequency outlier)"),
}
MARKS = {"Monetary": SPEND, "Frequency": FREQUENCY}  # a customer beyond the fences of both has the sum


class Fences(NamedTuple):
    """The range of regular values, both ends included."""

    low: float
    high: float


def iqr_fences(values: pd.Series, factor: float = Clusters().iqr_factor) -> Fences:
    """Return the fences of Tukey (1977): the quartiles, widened by `factor` times the interquartile range.

    Examples
    --------
    >>> import pandas
    >>> iqr_fences(pandas.Series([1, 2, 3, 4, 5]))
    Fences(low=-1.0, high=7.0)
    """
    q1, q3 = values.astype(float).quantile([0.25, 0.75])
    return Fences(q1 - factor * (q3 - q1), q3 + factor * (q3 - q1))


def fences_of(gold: pd.DataFrame, options: Clusters = Clusters()) -> dict[str, Fences]:
    """Return the fences of Monetary and Frequency over all customers: the outlier rule."""
    return {name: iqr_fences(gold[name], options.iqr_factor) for name in MARKS}


IN_WORDS = N_(  # with the settings of `Clusters` as fields
    "A customer whose spending or orders are more than {iqr_factor} interquartile ranges beyond the quartiles. "
    "Outliers would distort the clusters, so they have their own: −1 for spending, −2 for orders, −3 for both. "
    "Nobody is dropped."
)


def marks_of(values: Mapping[str, Any], fences: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Return 0, -1, -2 or -3 for each customer; a metric without fences has no outliers."""
    marks = np.zeros(len(values["Monetary"]), np.int32)
    for name, (low, high) in fences.items():
        marks += MARKS[name] * ~((low <= values[name]) & (values[name] <= high))
    return marks


def words_of(mark: int, fences: Mapping[str, Sequence[float]], currency: str) -> str:
    """Return the kind of an outlier and what would be regular: ``a spend outlier (regular is up to £500)``."""
    if len(fences) < len(MARKS):
        return _(_KINDS[mark])
    high = {"amount": amount(fences["Monetary"][1], currency), "invoices": count(fences["Frequency"][1], "invoice")}
    return _(_REGULAR[mark]).format(**high)


_KINDS = {SPEND: N_("a spend outlier"), FREQUENCY: N_("a frequency outlier"), BOTH: N_("a spend and frequency outlier")}
_REGULAR = {
    SPEND: N_("a spend outlier (regular is up to {amount})"),
    FREQUENCY: N_("a frequency outlier (regular is up to {invoices})"),
    BOTH: N_("a spend and frequency outlier (regular is up to {amount} and {invoices})"),
}


def outlier_clusters(gold: pd.DataFrame, options: Clusters | float = Clusters()) -> pd.Series:
    """Mark customers whose spend or frequency is beyond the fences of all customers.

    `options` are ``settings.clusters``; a number stands for their ``iqr_factor``.

    Returns
    -------
    pd.Series
        Cluster, on the index of `gold`: 0 regular, -1 spend only, -2 frequency only, -3 both. Its ``attrs["fences"]``
        are the fences by metric; `cluster` keeps them in the model.

    Examples
    --------
    >>> gold = pd.DataFrame({"Monetary": [10, 11, 12, 13, 900], "Frequency": [1, 2, 2, 2, 2]})
    >>> outlier_clusters(gold).tolist()
    [-2, 0, 0, 0, -1]
    """
    if gold.empty:
        return pd.Series(REGULAR, index=gold.index, name="Cluster", dtype="int32")
    fences = fences_of(gold, options if isinstance(options, Clusters) else Clusters(iqr_factor=options))
    marks = marks_of({name: gold[name].astype(float).to_numpy() for name in fences}, fences)
    outliers = pd.Series(marks, index=gold.index, name="Cluster")
    outliers.attrs["fences"] = fences
    return outliers


# ── exclusions ──────────────────────────────────────────────────────────
BULK, TEST = "bulk order", "test transaction"


def fit_exclusions(silver: IntoFrame, run_date: dt.date, options: Exclusions = Exclusions()) -> Any:
    """Return ``fit_exclusions``: the customers whom the shop's filters keep out of the fit; each still gets a cluster.

    The filters read the rows of ``retail_transactions_silver`` up to the run date; all are off by default. The result is an
    eager frame of the kind of `silver`; without any filter it is an empty pandas frame, and silver is not read.

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
    """Summarise ``fit_exclusions`` in a sentence: how many customers are kept out of the fit, and why.

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
    """Return one row per invoice of a known customer: amount, pieces, and number of test lines."""
    dated = dated_silver(silver).lazy()
    known = dated.filter(nw.col("InvoiceDate") <= nw.lit(run_date), ~nw.col("CustomerID").is_null(), ~nw.col("IsCancellation"))
    tests = nw.col("StockCode").str.contains(options.test_pattern) if options.test_pattern else nw.lit(value=False)
    marked = known.with_columns(Tests=tests.cast(nw.Int64), Quantity=nw.col("Quantity").cast(nw.Int64))
    return marked.group_by("CustomerID", "InvoiceNo").agg(nw.col("TotalPrice", "Quantity", "Tests").sum())


def _rules(options: Exclusions) -> dict[str, nw.Expr]:
    """Return the filter of invoices for each reason that is switched on."""
    limits = {"TotalPrice": options.bulk_amount, "Quantity": options.bulk_quantity}
    bulk = [nw.col(name).cast(nw.Float64) > limit for name, limit in limits.items() if limit]
    tests = [nw.col("Tests") > 0] if options.test_pattern else []
    return {reason: nw.any_horizontal(*rules, ignore_nulls=True) for reason, rules in ((BULK, bulk), (TEST, tests)) if rules}


def _customers(invoices: nw.LazyFrame, reason: str, run_date: dt.date) -> nw.LazyFrame:
    """Return one row per customer of these invoices."""
    grouped = invoices.group_by("CustomerID").agg(nw.len().alias("Invoices"), nw.col("TotalPrice").sum())
    count = nw.col("Invoices").cast(nw.Int64)
    amount = nw.col("TotalPrice").cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2))
    return grouped.with_columns(Invoices=count, Amount=amount, Reason=nw.lit(reason), UpdateDate=nw.lit(run_date))
