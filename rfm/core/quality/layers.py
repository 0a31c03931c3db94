"""The quality tables of the layers: what arrived, what was wrong with it, which expectation was broken how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
from narwhals.typing import IntoFrameT

from rfm.core.quality.counting import DAY, as_table, counts, distinct, ratio, repeats
from rfm.severity import REPEATS


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

    Examples
    --------
    >>> import rfm
    >>> table = rfm.quality.bronze_quality(rfm.judge(rfm.example("retail_transactions_bronze")))
    >>> table[["processing_date", "total_records", "files_processed", "null_customer_ids"]]
      processing_date  total_records  files_processed  null_customer_ids
    0      2025-10-22           3735               29                733
    1      2025-10-23            263                1                 48
    """
    rows: Any = nw.from_native(judged)
    counted = counts(
        rows,
        [DAY],
        valid_records=nw.col("FitsHeader"),
        null_invoices=nw.col("InvoiceNo").is_null(),
        null_stock_codes=nw.col("StockCode").is_null(),
        null_customer_ids=nw.col("CustomerID").is_null(),
        bad_quantities=(nw.col("Quantity") <= 0) & ~nw.col("IsReturn"),
        bad_price=nw.col("Cents") < 0,
    )
    counted = counted.join(distinct(rows, "source_file", "files_processed"), on=DAY, how="left")
    counted = counted.join(distinct(rows, "InvoiceDate", "distinct_invoice_date"), on=DAY, how="left")
    percent = ratio(nw.col("valid_records") * 100, nw.col("total_records"), 2)
    return as_table("bronze_daily_quality", counted.with_columns(rescued_data_quality_score=percent))


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

    Examples
    --------
    >>> import rfm
    >>> table = rfm.quality.daily_counts(rfm.example("retail_transactions_silver"), "silver")
    >>> table[["InvoiceDate", "layer", "total_records"]].tail(2)
       InvoiceDate   layer  total_records
    28  2025-10-22  silver            142
    29  2025-10-23  silver            258
    """
    counted = counts(nw.from_native(rows), [DAY, "InvoiceDate"])
    return as_table("daily_counts", counted.with_columns(layer=nw.lit(layer)))


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

    Examples
    --------
    >>> import rfm
    >>> table = rfm.quality.dq_comparison(rfm.example("retail_transactions_silver"), "silver")
    >>> table[["processing_date", "layer", "total_records", "bad_quantity"]]
      processing_date   layer  total_records  bad_quantity
    0      2025-10-22  silver           3641             0
    1      2025-10-23  silver            258             0
    """
    frame: Any = nw.from_native(rows)
    judged = "Cents" in frame.collect_schema().names()  # in silver every invoice fits, and a quantity below 0 is a return
    price, bad_invoice = ("Cents", ~nw.col("InvoiceFits")) if judged else ("UnitPrice", nw.col("InvoiceNo").is_null())
    returned = nw.col("IsReturn" if judged else "IsCancellation")
    counted = counts(
        frame,
        [DAY],
        null_invoice=nw.col("InvoiceNo").is_null(),
        bad_invoice=bad_invoice,
        null_stock_code=nw.col("StockCode").is_null(),
        null_quantity=nw.col("Quantity").is_null(),
        bad_quantity=(nw.col("Quantity") <= 0) & ~returned,
        null_invoice_date=nw.col("InvoiceDate").is_null(),
        bad_price=nw.col(price) < 0,
        null_customer_id=nw.col("CustomerID").is_null(),
    )
    return as_table("bronze_silver_dq_comparison", counted.with_columns(layer=nw.lit(layer)))


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

    Examples
    --------
    >>> import rfm
    >>> judged, silver = rfm.judge(rfm.example("retail_transactions_bronze")), rfm.example("retail_transactions_silver")
    >>> severities = rfm.quality.severities(rfm.SEVERITIES, {})
    >>> table = rfm.quality.expectation_results(judged, silver, severities)
    >>> table[["expectation", "severity", "checked", "failed"]].nlargest(2, "failed")
                 expectation severity  checked  failed
    14  complete_customer_id     warn     3735     733
    4         valid_quantity     drop     3735      93
    """
    names = [name for name in severities if name != REPEATS]
    broken = counts(nw.from_native(judged), [DAY], **{name: ~nw.col(name) for name in names})
    results = broken.unpivot(names, index=[DAY, "total_records"], variable_name="expectation", value_name="failed").rename(
        {"total_records": "checked"}
    )
    keys = repeats(nw.from_native(silver), ["SurrogateKey"]).with_columns(expectation=nw.lit(REPEATS))
    results = nw.concat([results, keys.select(results.collect_schema().names())])
    severity = nw.lit("warn")
    for name, value in severities.items():
        severity = nw.when(nw.col("expectation") == name).then(nw.lit(value)).otherwise(severity)
    return as_table("expectation_results", results.with_columns(severity=severity))
