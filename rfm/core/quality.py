"""How good the data is: the quality tables, counted in one pass each, and the guard before gold.

The functions take the rows of any set of processing dates; a daily run gives the new rows only. Rows of
bronze come judged: with typed columns, and one boolean column an expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import narwhals as nw
import pandas as pd
from narwhals.typing import IntoFrameT

from rfm.schema import TABLES, InputError

DAY = "processing_date"
REPEATS = "unique_surrogate_key"  # a rule about rows together, which no expression of one row can hold


def bronze_quality(judged: IntoFrameT) -> IntoFrameT:
    """Count what arrived, per processing date.

    Parameters
    ----------
    judged
        Rows of bronze with their typed columns.

    Returns
    -------
    frame of the same kind
        Columns of ``bronze_daily_quality``.
    """
    rows: Any = nw.from_native(judged)
    counts = _counts(
        rows,
        [DAY],
        valid_records=nw.col("_rescued_data").is_null(),
        null_invoices=nw.col("InvoiceNo").is_null(),
        null_stock_codes=nw.col("StockCode").is_null(),
        null_customer_ids=nw.col("CustomerID").is_null(),
        bad_quantities=nw.col("Quantity") <= 0,
        bad_price=nw.col("Cents") < 0,
    )
    counts = counts.join(_distinct(rows, "source_file", "files_processed"), on=DAY, how="left")
    counts = counts.join(_distinct(rows, "InvoiceDate", "distinct_invoice_date"), on=DAY, how="left")
    percent = (nw.col("valid_records") * 100.0 / nw.col("total_records")).round(2)
    return _as("bronze_daily_quality", counts.with_columns(rescued_data_quality_score=percent))


def daily_counts(rows: IntoFrameT, layer: str) -> IntoFrameT:
    """Count rows per invoice date, and per processing date, so that a run counts its own rows only.

    Parameters
    ----------
    rows
        Judged rows of bronze, or rows of silver.
    layer
        ``bronze`` or ``silver``: what the rows are.

    Returns
    -------
    frame of the same kind
        Columns of ``daily_counts``; dates that could not be read are counted under null.
    """
    counts = _counts(nw.from_native(rows), [DAY, "InvoiceDate"])
    return _as("daily_counts", counts.with_columns(layer=nw.lit(layer)))


def dq_comparison(rows: IntoFrameT, layer: str) -> IntoFrameT:
    """Count the faults of a layer per processing date.

    Parameters
    ----------
    rows, layer
        As for `daily_counts`.

    Returns
    -------
    frame of the same kind
        Columns of ``bronze_silver_dq_comparison``.
    """
    frame: Any = nw.from_native(rows)
    price = "Cents" if "Cents" in frame.collect_schema().names() else "UnitPrice"
    counts = _counts(
        frame,
        [DAY],
        null_invoice=nw.col("InvoiceNo").is_null(),
        bad_invoice=~nw.col("InvoiceNo").str.len_chars().is_between(6, 7),
        null_stock_code=nw.col("StockCode").is_null(),
        null_quantity=nw.col("Quantity").is_null(),
        bad_quantity=nw.col("Quantity") <= 0,
        null_invoice_date=nw.col("InvoiceDate").is_null(),
        bad_price=nw.col(price) < 0,
        null_customer_id=nw.col("CustomerID").is_null(),
    )
    return _as("bronze_silver_dq_comparison", counts.with_columns(layer=nw.lit(layer)))


def expectation_results(judged: IntoFrameT, silver: IntoFrameT, severities: Mapping[str, str]) -> IntoFrameT:
    """Count, per processing date, how many rows each expectation saw and how many broke it.

    Parameters
    ----------
    judged
        Rows of bronze with one boolean column an expectation.
    silver
        Rows of silver of the same dates, for the rule that keys are unique.
    severities
        Name of each expectation: ``drop``, ``warn`` or ``fail``.

    Returns
    -------
    frame of the same kind
        Columns of ``expectation_results``.
    """
    broken = _counts(nw.from_native(judged), [DAY], **{name: ~nw.col(name) for name in severities})
    results = broken.unpivot(
        list(severities), index=[DAY, "total_records"], variable_name="expectation", value_name="failed"
    ).rename({"total_records": "checked"})
    results = nw.concat([results, _repeats(nw.from_native(silver)).select(results.collect_schema().names())])
    severity = nw.lit("warn")
    for name, value in severities.items():
        severity = nw.when(nw.col("expectation") == name).then(nw.lit(value)).otherwise(severity)
    return _as("expectation_results", results.with_columns(severity=severity))


def measure(judged: IntoFrameT, silver: IntoFrameT, severities: Mapping[str, str]) -> dict[str, IntoFrameT]:
    """Return all quality tables of the same processing dates, by name.

    Parameters
    ----------
    judged, silver, severities
        As for `expectation_results`.
    """

    def both(count: Callable[..., IntoFrameT]) -> IntoFrameT:
        return nw.concat([nw.from_native(count(judged, "bronze")), nw.from_native(count(silver, "silver"))]).to_native()

    return {
        "bronze_daily_quality": bronze_quality(judged),
        "daily_counts": both(daily_counts),
        "bronze_silver_dq_comparison": both(dq_comparison),
        "expectation_results": expectation_results(judged, silver, severities),
    }


def guard(results: pd.DataFrame, comparison: pd.DataFrame, max_dropped_share: float) -> float:
    """Return the share of rows that silver dropped, or stop the run before gold is touched.

    Parameters
    ----------
    results
        ``expectation_results`` of the run.
    comparison
        ``bronze_silver_dq_comparison`` of the run.
    max_dropped_share
        Largest share allowed.

    Raises
    ------
    InputError
        If a rule of severity ``fail`` is broken, or more rows were dropped than allowed.
    """
    if fatal := _broken(results, "fail"):
        raise InputError(f"stopped before gold: {fatal}; mend the files, or change the rule's severity")
    totals = comparison.groupby("layer")["total_records"].sum()
    rows, kept = int(totals.get("bronze", 0)), int(totals.get("silver", 0))
    share = (rows - kept) / rows if rows else 0.0
    if share > max_dropped_share:
        raise InputError(
            f"stopped before gold: {rows - kept} of {rows} rows dropped ({share:.1%}, limit {max_dropped_share:.0%}), "
            f"{_broken(results, 'drop')}; mend the files, or raise rules.max_dropped_share"
        )
    return share


def _broken(results: pd.DataFrame, severity: str) -> str:
    """Name the broken expectations of a severity with their counts, most broken first."""
    broken = results[(results["severity"] == severity) & (results["failed"] > 0)]
    counts = broken.groupby("expectation")["failed"].sum().sort_values(ascending=False)
    return ", ".join(f"{name} by {count} row(s)" for name, count in counts.items())


def _counts(rows: nw.LazyFrame, keys: list[str], **conditions: nw.Expr) -> nw.LazyFrame:
    """Count rows, and rows that meet each condition, per key."""
    ones = {f"_{name}": nw.when(met).then(nw.lit(1)).otherwise(nw.lit(0)) for name, met in conditions.items()}
    sums = [nw.col(f"_{name}").sum().alias(name) for name in conditions]
    marked = rows.with_columns(_rows=nw.lit(1), **ones)
    counts = marked.group_by(*keys).agg(nw.col("_rows").sum().alias("total_records"), *sums)
    return counts.with_columns(nw.col("total_records", *conditions).cast(nw.Int64))


def _distinct(rows: nw.LazyFrame, column: str, name: str) -> nw.LazyFrame:
    """Count the distinct values of a column per processing date, nulls aside."""
    pairs = rows.filter(~nw.col(column).is_null()).group_by(DAY, column).agg(nw.len())
    return pairs.group_by(DAY).agg(nw.len().alias(name))


def _repeats(silver: nw.LazyFrame) -> nw.LazyFrame:
    """Count rows whose surrogate key another row of the same processing date has already."""
    keys = silver.group_by(DAY, "SurrogateKey").agg(nw.len().alias("rows"))
    days = keys.group_by(DAY).agg(nw.col("rows").sum().alias("checked"), nw.len().alias("keys"))
    checked = nw.col("checked").cast(nw.Int64)
    return days.with_columns(expectation=nw.lit(REPEATS), checked=checked, failed=checked - nw.col("keys").cast(nw.Int64))


def _as(table: str, rows: nw.LazyFrame) -> Any:
    """Return the columns of a contract in its order, counts that a join missed as 0."""
    contract = TABLES[table]
    counts = [column.name for column in contract.columns if column.type == "BIGINT"]
    rows = rows.with_columns(nw.col(*counts).fill_null(0).cast(nw.Int64))
    return rows.select(contract.names).sort(*contract.key).to_native()
