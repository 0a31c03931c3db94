"""Silver to orders and products: the two passes over the lines, on any engine."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import narwhals as nw
import pandas as pd

from rfm.contract import arrow_typed
from rfm.schema import TABLES
from rfm.sections import Rules

UNNAMED = "(no description)"
PATTERN = Rules().stock_code_pattern


def orders(silver: Any, as_of: dt.date, *, stock_code_pattern: str = PATTERN) -> pd.DataFrame:
    """Return one row an order: an invoice of a customer, or of a guest.

    Parameters
    ----------
    silver
        Rows of ``retail_transactions_silver`` in any frame that narwhals knows, eager or lazy.
    as_of
        Run date: later sales are not seen.
    stock_code_pattern
        Which stock codes are products, as a regular expression.

    Returns
    -------
    pandas.DataFrame
        CustomerID (missing for guests), InvoiceNo, InvoiceDate (datetime64), Country, Lines, Units and Cents (whole
        cents, so that sums are exact), by date, customer and invoice.
    """
    grouped = _sold(silver, as_of, stock_code_pattern).group_by("CustomerID", "InvoiceNo")
    found = grouped.agg(
        nw.col("InvoiceDate").max(),
        nw.col("Country").max(),
        nw.len().alias("Lines"),
        nw.col("Quantity").sum().alias("Units"),
        nw.col("TotalPrice").sum(),
    )
    rows = _collected(found.sort("InvoiceDate", "CustomerID", "InvoiceNo", nulls_last=True)).reset_index(drop=True)
    return rows[["CustomerID", "InvoiceNo", "InvoiceDate", "Country", "Lines", "Units", "Cents"]]


def products(silver: Any, as_of: dt.date, *, stock_code_pattern: str = PATTERN) -> pd.DataFrame:
    """Return one row a product, the one that brought most first.

    Parameters
    ----------
    silver, as_of, stock_code_pattern
        As for `orders`. ``15056BL`` and ``15056bl`` are one product.

    Returns
    -------
    pandas.DataFrame
        StockCode; Description, the one most lines have, of several the first by alphabet; Revenue and Units of customers;
        GuestRevenue and GuestUnits; Lines of both.
    """
    rows = _sold(silver, as_of, stock_code_pattern).with_columns(Guest=nw.col("CustomerID").is_null())
    found = rows.group_by("StockCode", "Description", "Guest").agg(
        nw.len().alias("Lines"), nw.col("Quantity").sum().alias("Units"), nw.col("TotalPrice").sum()
    )
    named = _collected(found)
    named["StockCode"] = named["StockCode"].str.upper()
    table = apart(named, "StockCode", {"Units": "Units", "Revenue": "Cents"}).join(named.groupby("StockCode")["Lines"].sum())
    table["Description"] = _usual_name(named).reindex(table.index).fillna(UNNAMED)
    table = with_money(table.reset_index()).sort_values(["Revenue", "StockCode"], ascending=[False, True], ignore_index=True)
    return table[["StockCode", "Description", "Revenue", "Units", "GuestRevenue", "GuestUnits", "Lines"]]


def _usual_name(named: pd.DataFrame) -> pd.Series:
    """Return the description that most lines of each stock code have."""
    lines = named.dropna(subset="Description").groupby(["StockCode", "Description"], as_index=False)["Lines"].sum()
    first = lines.sort_values(["Lines", "Description"], ascending=[False, True]).drop_duplicates("StockCode")
    return first.set_index("StockCode")["Description"]


def _sold(silver: Any, as_of: dt.date, stock_code_pattern: str) -> Any:
    """Return the lines that count: products sold up to a date, to customers and to guests."""
    rows: Any = nw.from_native(arrow_typed(TABLES["retail_transactions_silver"], silver))
    dated = rows.with_columns(nw.col("InvoiceDate").cast(nw.Date))
    return dated.filter(
        nw.col("InvoiceDate") <= nw.lit(as_of), ~nw.col("IsCancellation"), nw.col("StockCode").str.contains(stock_code_pattern)
    )


def _collected(found: Any) -> pd.DataFrame:
    """Return a small result as plain pandas, alike from every engine: money in whole cents, whole numbers as int64."""
    cents = (nw.col("TotalPrice").cast(nw.Decimal(38, 2)).cast(nw.Float64) * 100).round(0).cast(nw.Int64)
    found = found.with_columns(nw.col("Lines", "Units").cast(nw.Int64), Cents=cents).drop("TotalPrice")
    rows = (found.collect() if isinstance(found, nw.LazyFrame) else found).to_pandas()
    whole = dict.fromkeys(("Lines", "Units", "Cents"), "int64")
    texts = dict.fromkeys(rows.columns.intersection(["CustomerID", "InvoiceNo", "Country", "StockCode", "Description"]), object)
    rows = rows.astype(whole | texts | ({"InvoiceDate": "datetime64[s]"} if "InvoiceDate" in rows else {}))
    return rows.assign(**{name: rows[name].where(rows[name].notna(), None) for name in texts})


def apart(rows: pd.DataFrame, key: str, sums: dict[str, str]) -> pd.DataFrame:
    """Add up columns per key, those of guests under names of their own.

    Parameters
    ----------
    rows
        With the key, the columns, and Guest.
    key
        Column that names a row of the answer.
    sums
        Name of a sum, and the column that is summed.
    """
    guests = rows["Guest"].astype(bool)
    parts = {"": rows[~guests], "Guest": rows[guests]}
    found = {f"{who}{name}": part.groupby(key)[column].sum() for who, part in parts.items() for name, column in sums.items()}
    return pd.DataFrame(found).fillna(0).astype("int64").rename_axis(key)


def with_money(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns called …Revenue hold exact amounts instead of whole cents."""
    return table.assign(**{name: table[name].map(money).astype(object) for name in table.columns if name.endswith("Revenue")})


def money(cents: int) -> Decimal:
    """Return whole cents as an exact amount."""
    return Decimal(int(cents)).scaleb(-2)
