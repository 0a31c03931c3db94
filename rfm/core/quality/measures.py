"""How complete, how repeated and how many: measures of each processing date, and the volume of each invoice date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import narwhals as nw
from narwhals.typing import IntoFrameT

from rfm.contract import arrow_typed
from rfm.core.quality.counting import DAY, as_table, counts, ratio, repeats
from rfm.core.quality.layers import bronze_quality, daily_counts, dq_comparison, expectation_results
from rfm.schema import LANDING_COLUMNS, TABLES

TYPED = {  # column of silver: the column of a judged row that is null where the text has no such value
    "InvoiceNo": "InvoiceNo",
    "StockCode": "StockCode",
    "Description": "Description",
    "Quantity": "Quantity",
    "UnitPrice": "Cents",
    "CustomerID": "CustomerID",
    "Country": "Country",
    "InvoiceDate": "InvoiceDate",
}
WHOLE_LINE = "*"
REFUSED = ("drop", "fail")  # severities whose rows silver does not take


def measure(judged: IntoFrameT, silver: IntoFrameT, severities: Mapping[str, str]) -> dict[str, IntoFrameT]:
    """Return all quality tables of the same processing dates, by name.

    Parameters
    ----------
    judged, silver, severities
        As for `expectation_results`.

    Examples
    --------
    >>> import rfm
    >>> judged, silver = rfm.judge(rfm.example("retail_transactions_bronze")), rfm.example("retail_transactions_silver")
    >>> list(rfm.quality.measure(judged, silver, rfm.SEVERITIES))[:3]
    ['bronze_daily_quality', 'daily_counts', 'bronze_silver_dq_comparison']
    """

    def both(count: Callable[..., IntoFrameT]) -> IntoFrameT:
        return nw.concat([nw.from_native(count(judged, "bronze")), nw.from_native(count(silver, "silver"))]).to_native()

    return {
        "bronze_daily_quality": bronze_quality(judged),
        "daily_counts": both(daily_counts),
        "bronze_silver_dq_comparison": both(dq_comparison),
        "expectation_results": expectation_results(judged, silver, severities),
        "quality_metrics": quality_metrics(judged, silver, severities),
        "daily_volume": daily_volume(silver),
    }


def quality_metrics(judged: IntoFrameT, silver: IntoFrameT, severities: Mapping[str, str]) -> IntoFrameT:
    """Measure completeness, repeats and refusals per processing date, as shares.

    Parameters
    ----------
    judged
        Rows of bronze with their raw and typed columns, and one boolean column an expectation.
    silver
        Rows of silver of the same dates.
    severities
        Name of each expectation, and what happens to a row that breaks it.

    Returns
    -------
    frame of the same kind
        Columns of ``quality_metrics``.

    Examples
    --------
    >>> import rfm
    >>> judged, silver = rfm.judge(rfm.example("retail_transactions_bronze")), rfm.example("retail_transactions_silver")
    >>> table = rfm.quality.quality_metrics(judged, silver, rfm.SEVERITIES)
    >>> table[["metric", "column", "checked", "counted", "value"]].head(2)
              metric      column  checked  counted     value
    12  completeness     Country     3735     3735  1.000000
    10  completeness  CustomerID     3735     3002  0.803748
    """
    rows: Any = nw.from_native(judged)
    lines = repeats(rows, [f"raw_{name}" for name in LANDING_COLUMNS.values()])
    keys = repeats(nw.from_native(silver), ["SurrogateKey"])
    parts = (
        _completeness(rows),
        _measured(_refused(rows, severities), "dropped", WHOLE_LINE),
        _measured(lines, "repeated_lines", WHOLE_LINE),
        _measured(keys, "repeated_keys", "SurrogateKey"),
    )
    shares = nw.concat([part.select(DAY, "metric", "column", "checked", "counted") for part in parts])
    return as_table("quality_metrics", shares.with_columns(value=ratio(nw.col("counted"), nw.col("checked"), 9)))


def _completeness(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Count the values that are there, per typed column."""
    there = counts(rows, [DAY], **{name: ~nw.col(source).is_null() for name, source in TYPED.items()})
    columns = there.unpivot(list(TYPED), index=[DAY, "total_records"], variable_name="column", value_name="counted")
    return columns.rename({"total_records": "checked"}).with_columns(metric=nw.lit("completeness"))


def _refused(rows: nw.LazyFrame, severities: Mapping[str, str]) -> nw.LazyFrame:
    """Count the rows that silver does not take."""
    kept = [
        nw.col(name) for name, severity in severities.items() if severity in REFUSED and name in rows.collect_schema().names()
    ]
    refused = ~nw.all_horizontal(*kept, ignore_nulls=False) if kept else nw.lit(False)
    return counts(rows, [DAY], failed=refused).rename({"total_records": "checked"})


def _measured(shares: nw.LazyFrame, metric: str, column: str) -> nw.LazyFrame:
    """Return counts of a processing date under the name of a metric and of a column."""
    return shares.rename({"failed": "counted"}).with_columns(metric=nw.lit(metric), column=nw.lit(column))


def daily_volume(silver: IntoFrameT) -> IntoFrameT:
    """Count lines, invoices, customers and revenue per invoice date and file.

    Parameters
    ----------
    silver
        Rows of silver; those of new files, as a file's figures never change.

    Returns
    -------
    frame of the same kind
        Columns of ``daily_volume``. The file is kept, so that a run of a past day counts the files that it sees.

    Examples
    --------
    >>> import rfm
    >>> table = rfm.quality.daily_volume(rfm.example("retail_transactions_silver"))
    >>> table[["InvoiceDate", "lines", "invoices", "customers", "revenue"]].tail(2)
       InvoiceDate  lines  invoices  customers  revenue
    28  2025-10-22    142        38         31  3940.39
    29  2025-10-23    258        69         53  6891.60
    """
    rows: Any = nw.from_native(arrow_typed(TABLES["retail_transactions_silver"], silver))
    day = ["InvoiceDate", "source_file", DAY]
    volume = rows.group_by(*day).agg(nw.len().alias("lines"), nw.col("TotalPrice").sum().alias("revenue"))
    for column, name in (("InvoiceNo", "invoices"), ("CustomerID", "customers")):
        values = rows.filter(~nw.col(column).is_null()).group_by(*day, column).agg(nw.len().alias("rows"))
        volume = volume.join(values.group_by(*day).agg(nw.len().alias(name)), on=day, how="left")
    money = nw.col("revenue").cast(nw.Decimal(38, 2)).cast(nw.Decimal(18, 2))
    return as_table("daily_volume", volume.with_columns(revenue=money))
