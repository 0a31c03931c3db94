"""From the same Parquet files of silver to one row a customer: ours, three by hand, two packages made for it.

Everybody counts the same rows and finds the same sums, lifetimes apart: it counts days with a purchase, after the first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cases import Inputs, Outcome, Work

SILVER = "retail_transactions_silver"
PRODUCTS = "^(?:[0-9]{5}[A-Za-z]*|PADS)$"
NEEDED = ["CustomerID", "InvoiceNo", "InvoiceDate", "IsCancellation", "StockCode", "TotalPrice"]


def files(inputs: Inputs, lake: str) -> list[str]:
    """Return the Parquet files of silver in a prepared lake."""
    return sorted(map(str, (inputs.folder / lake / SILVER).rglob("*.parquet")))


def ours(inputs: Inputs, scratch: Path, *, lake: str) -> Work:
    """Read the Delta table and measure."""
    import rfm

    tables = rfm.Lake(str(inputs.folder / lake))
    return lambda: rfm.rfm_metrics(tables.read(SILVER, until=inputs.day()), inputs.day()).collect(), _found(inputs, lake)


def polars(inputs: Inputs, scratch: Path, *, lake: str) -> Work:
    """Write the query by hand for Polars: lazily, streaming, invoices first."""
    import polars as pl

    def work() -> Any:
        rows = pl.scan_parquet(files(inputs, lake)).filter(
            pl.col("InvoiceDate") <= inputs.day(),
            pl.col("CustomerID").is_not_null(),
            ~pl.col("IsCancellation"),
            pl.col("StockCode").str.contains(PRODUCTS),
        )
        invoices = rows.group_by("CustomerID", "InvoiceNo").agg(pl.sum("TotalPrice"), pl.max("InvoiceDate"))
        gold = invoices.group_by("CustomerID").agg(
            Recency=(inputs.day() - pl.max("InvoiceDate")).dt.total_days(), Frequency=pl.len(), Monetary=pl.sum("TotalPrice")
        )
        return gold.sort("CustomerID").collect(engine="streaming")

    return work, _found(inputs, lake)


def duckdb(inputs: Inputs, scratch: Path, *, lake: str) -> Work:
    """Write the query by hand in SQL for DuckDB, invoices first."""
    import duckdb as engine

    query = """
        SELECT CustomerID, ?::DATE - max(day) AS Recency, count(*) AS Frequency, sum(spent) AS Monetary
        FROM (SELECT CustomerID, InvoiceNo, max(InvoiceDate) AS day, sum(TotalPrice) AS spent
              FROM read_parquet(?)
              WHERE InvoiceDate <= ? AND CustomerID IS NOT NULL AND NOT IsCancellation AND regexp_matches(StockCode, ?)
              GROUP BY ALL)
        GROUP BY CustomerID ORDER BY CustomerID"""
    given = lambda: [str(inputs.day()), files(inputs, lake), inputs.day(), PRODUCTS]
    work = lambda: engine.connect().sql(query, params=given()).to_arrow_table().to_pandas()
    return work, _found(inputs, lake)


def pandas(inputs: Inputs, scratch: Path, *, lake: str) -> Work:
    """Write it by hand for pandas, the needed columns alone."""
    return lambda: _customers(_sold(inputs, lake), inputs.day()), _found(inputs, lake)


def _customers(sold: Any, day: dt.date) -> Any:
    """Return recency, frequency and monetary value of each customer."""
    gold = sold.groupby("CustomerID").agg(
        last=("InvoiceDate", "max"), Frequency=("InvoiceNo", "nunique"), Monetary=("TotalPrice", "sum")
    )
    return gold.assign(Recency=(day - gold["last"]).map(lambda past: past.days))


def _sold(inputs: Inputs, lake: str) -> Any:
    """Return the lines that count as a pandas frame."""
    import pandas as pd

    lines = pd.concat([pd.read_parquet(file, columns=NEEDED) for file in files(inputs, lake)])
    product, known = lines["StockCode"].str.contains(PRODUCTS), lines["CustomerID"].notna()
    return lines[product & known & ~lines["IsCancellation"] & (lines["InvoiceDate"] <= inputs.day())]


def openretailscience(inputs: Inputs, scratch: Path, *, lake: str) -> Work:
    """Segment by openretailscience's `RFMSegmentation`, on the files, not on a frame: its faster way."""
    import ibis
    from openretailscience.segmentation.rfm import RFMSegmentation

    names = {"customer_id": "CustomerID", "transaction_id": "InvoiceNo"}
    names |= {"transaction_date": "InvoiceDate", "unit_spend": "TotalPrice"}

    def work() -> Any:
        rows = ibis.duckdb.connect().read_parquet(files(inputs, lake))
        day = rows.InvoiceDate <= inputs.day()
        sold = rows.filter(day, rows.CustomerID.notnull(), ~rows.IsCancellation, rows.StockCode.re_search(PRODUCTS))
        return RFMSegmentation(sold.rename(names), str(inputs.day())).df

    same = {"recency_days": "Recency", "frequency": "Frequency", "monetary": "Monetary"}
    return work, lambda scored: _found(inputs, lake)(scored.rename(columns=same))


def lifetimes(inputs: Inputs, scratch: Path, *, lake: str) -> Work:
    """Summarise by lifetimes' `summary_data_from_transaction_data`."""
    from lifetimes.utils import summary_data_from_transaction_data

    def work() -> Any:
        sold = _sold(inputs, lake).astype({"TotalPrice": float})
        return summary_data_from_transaction_data(
            sold, "CustomerID", "InvoiceDate", "TotalPrice", observation_period_end=str(inputs.day())
        )

    return work, lambda summary: Outcome({"customers": len(summary)}, _rows(inputs, lake))


def _found(inputs: Inputs, lake: str) -> Callable[[Any], Outcome]:
    """Return what makes the sums that all must find from a table of customers."""
    from benchmarks.gold import sums

    return lambda gold: Outcome(sums(gold), _rows(inputs, lake))


def _rows(inputs: Inputs, lake: str) -> int:
    """Return the rows of silver."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in files(inputs, lake))
