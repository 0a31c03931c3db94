"""Which column comes from which, and how: data for lineage, held against the contracts by a test."""

from __future__ import annotations

from typing import NamedTuple

from rfm.schema import LANDING_COLUMNS, TABLES

LANDING = "landing"
BRONZE, SILVER, QUARANTINE = (f"retail_transactions_{layer}" for layer in ("bronze", "silver", "quarantine"))
GOLD, CLUSTERED, DESCRIBED = "customer_rfm_gold", "customer_rfm_kmeans_clustered", "customer_rfm_description_and_recommendation"


class Origin(NamedTuple):
    """Where a column comes from.

    Parameters
    ----------
    table
        The table it is made from, or `LANDING`.
    columns
        Of that table.
    kind
        ``IDENTITY``, ``TRANSFORMATION`` or ``AGGREGATION``, as OpenLineage has it.
    how
        What is done to them, in a few words.
    """

    table: str
    columns: tuple[str, ...]
    kind: str
    how: str


def _same(table: str, *names: str) -> dict[str, Origin]:
    """Return the origins of columns that are carried on as they are."""
    return {name: Origin(table, (name,), "IDENTITY", "carried on") for name in names}


def _made(table: str, made: dict[str, tuple[str, str]], kind: str = "TRANSFORMATION") -> dict[str, Origin]:
    """Return the origins of columns that are made: name, the columns with blanks between, how."""
    return {name: Origin(table, tuple(columns.split()), kind, how) for name, (columns, how) in made.items()}


_ARRIVAL = ("ingestion_timestamp", "source_file", "processing_date")
_KEPT = ("CustomerID", "MaxInvoiceDate", "Recency", "Frequency", "Monetary")

COLUMNS: dict[str, dict[str, Origin]] = {
    BRONZE: {raw: Origin(LANDING, (name,), "IDENTITY", "read as text") for name, raw in LANDING_COLUMNS.items()},
    SILVER: _same(BRONZE, *_ARRIVAL)
    | _made(
        BRONZE,
        {
            "InvoiceNo": ("Invoice", "trimmed"),
            "StockCode": ("StockCode", "trimmed"),
            "Description": ("Description", "trimmed"),
            "Quantity": ("Quantity", "cast"),
            "UnitPrice": ("Price", "rounded"),
            "CustomerID": ("CustomerID", "trimmed, '.0' removed"),
            "Country": ("Country", "trimmed"),
            "InvoiceDate": ("InvoiceDate", "cast"),
            "IsCancellation": ("Invoice", "matched"),
            "TotalPrice": ("Quantity Price", "multiplied"),
            "Year": ("InvoiceDate", "year"),
            "Month": ("InvoiceDate", "month"),
            "DayOfWeek": ("InvoiceDate", "weekday"),
            "SurrogateKey": ("Invoice StockCode Quantity", "joined"),
        },
    ),
    QUARANTINE: _same(BRONZE, *LANDING_COLUMNS.values(), "_rescued_data", *_ARRIVAL)
    | _made(BRONZE, {"failed_expectations": ("Invoice StockCode Quantity Price InvoiceDate", "judged")}),
    GOLD: _same(SILVER, "CustomerID")
    | _made(
        SILVER,
        {
            "MaxInvoiceDate": ("InvoiceDate", "latest"),
            "Recency": ("InvoiceDate", "days since the latest"),
            "Frequency": ("InvoiceNo", "distinct"),
            "Monetary": ("TotalPrice", "summed"),
        },
        "AGGREGATION",
    ),
    CLUSTERED: _same(GOLD, *_KEPT) | _made(GOLD, {"Cluster": ("Monetary Frequency Recency", "clustered")}),
    DESCRIBED: _same(CLUSTERED, *_KEPT, "Cluster", "UpdateDate")
    | _made(
        CLUSTERED,
        {
            "Cluster_Description": ("Cluster Monetary Frequency Recency", "named by medians"),
            "Tier": ("Cluster Monetary Frequency Recency", "named by medians"),
            "Cluster_Recommendation": ("Cluster Monetary Frequency Recency", "named by medians"),
        },
    ),
}
"""Output table, output column, where it comes from."""

FILTERS: dict[str, Origin] = {
    SILVER: Origin(BRONZE, ("Invoice", "StockCode", "Quantity", "Price", "InvoiceDate"), "FILTER", "rules that drop a row"),
    GOLD: Origin(SILVER, ("CustomerID", "StockCode", "IsCancellation", "InvoiceDate"), "FILTER", "sales that count for RFM"),
}
"""Output table, the columns that decide which rows reach it."""

JUDGED: dict[str, str] = {
    "valid_invoice_no": "Invoice",
    "valid_stock_code": "StockCode",
    "valid_quantity": "Quantity",
    "valid_unit_price": "Price",
    "valid_invoice_date": "InvoiceDate",
    "known_country": "Country",
    "complete_customer_id": "CustomerID",
}
"""Expectation, the column of bronze that it judges; those of whole rows have none."""


def fields(table: str) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of each column of a table, or of a landing file."""
    if table == LANDING:
        return [(name, "STRING", "raw text") for name in LANDING_COLUMNS]
    return [(column.name, column.type, column.meaning) for column in TABLES[table].columns]
