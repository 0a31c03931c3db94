"""The contract of every table, in one place: the columns of the system are known here and nowhere else.

Code reads names and types from here, the lake checks every write against it, the report prints it and the
README's tables are tested against it.
"""

from __future__ import annotations

from rfm.contract import Column, Table
from rfm.errors import ContractError, InputError, RfmError, SettingsError, StageError

__all__ = ["LANDING_COLUMNS", "TABLES", "ContractError", "InputError", "RfmError", "SettingsError", "StageError"]

# ── the columns of a landing file, and the raw names they get in bronze ────────────────────────────
LANDING_COLUMNS = {
    "Invoice": "Invoice",
    "StockCode": "StockCode",
    "Description": "Description",
    "Quantity": "Quantity",
    "Price": "Price",
    "Customer ID": "CustomerID",
    "Country": "Country",
    "InvoiceDate": "InvoiceDate",
}

_RAW = tuple(Column(name, "STRING", "raw text", nullable=True) for name in LANDING_COLUMNS.values())
_ARRIVAL = (
    Column("ingestion_timestamp", "TIMESTAMP", "when the row was ingested, UTC"),
    Column("source_file", "STRING", "path of the file under the landing folder"),
    Column("processing_date", "DATE", "run date of the run that ingested the row"),
)
_RESCUED = Column("_rescued_data", "STRING", "JSON of what did not fit the header", nullable=True)
_CUSTOMER = Column("CustomerID", "STRING", "the customer")
_METRICS = (
    Column("MaxInvoiceDate", "DATE", "last purchase"),
    Column("Recency", "INT", "days from the last purchase to the run date; small is good", unit="days", bounds=(0, None)),
    Column("Frequency", "INT", "distinct invoices", unit="invoices", bounds=(1, None)),
    Column("Monetary", "DECIMAL(18,2)", "sum of TotalPrice, exact", unit="currency", bounds=(0, None)),
)
_CLUSTER = Column("Cluster", "INT", "0, 1, … by falling median Monetary; -1, -2, -3 are outliers", bounds=(-3, None))
_UPDATE = Column("UpdateDate", "DATE", "run date")
_SEGMENT = Column("Cluster_Description", "STRING", "segment")
_TIER = Column("Tier", "STRING", "group of segments: premium, high value, active engagement, risk, growth and new")
_ACTION = Column("Cluster_Recommendation", "STRING", "recommended action")


def _statistics(total: str) -> tuple[Column, ...]:
    """Return the columns of a summary: a count, and average and median of each metric."""
    units = {"Monetary": "currency", "Frequency": "invoices", "Recency": "days"}
    values = (
        Column(f"{how}{metric}", "DOUBLE", f"{how.lower()} {metric}, rounded to 2", unit=unit)
        for metric, unit in units.items()
        for how in ("Average", "Median")
    )
    return Column(total, "BIGINT", "customers", unit="customers", bounds=(1, None)), *values


def _counts(*names: str) -> tuple[Column, ...]:
    """Return columns that count rows."""
    return tuple(Column(name, "BIGINT", name.replace("_", " "), unit="rows", bounds=(0, None)) for name in names)


_PROCESSING = Column("processing_date", "DATE", "run date of the run that ingested the rows")
_LAYER = Column("layer", "STRING", "bronze or silver")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "landing_files",
            "a landing file in a layer",
            ("source_file", "layer"),
            (
                Column("source_file", "STRING", "path of the file under the landing folder"),
                Column("layer", "STRING", "bronze, silver or quarantine"),
                Column("file_date", "DATE", "date in the file's name", nullable=True),
                Column("bytes", "BIGINT", "size when it was read", unit="bytes", bounds=(0, None)),
                Column("sha256", "STRING", "digest of the content when it was read"),
                Column("processing_date", "DATE", "run date of the run that read it"),
                Column("rows", "BIGINT", "rows of the file in the layer", unit="rows", bounds=(0, None)),
            ),
        ),
        Table("retail_transactions_bronze", "a line that arrived, as it arrived", (), (*_RAW, _RESCUED, *_ARRIVAL)),
        Table(
            "retail_transactions_silver",
            "an invoice line, clean and typed",
            (),
            (
                Column("InvoiceNo", "STRING", "invoice, 6 or 7 characters"),
                Column("StockCode", "STRING", "product or special code"),
                Column("Description", "STRING", "product name", nullable=True),
                Column("Quantity", "INT", "items", unit="items", bounds=(1, None)),
                Column("UnitPrice", "DECIMAL(10,2)", "price of one item, rounded half up", unit="currency", bounds=(0, None)),
                Column("CustomerID", "STRING", "the customer; missing for guests", nullable=True),
                Column("Country", "STRING", "where the customer lives", nullable=True),
                Column("InvoiceDate", "DATE", "day of the sale"),
                Column("IsCancellation", "BOOLEAN", "invoice starts with C or c"),
                Column("TotalPrice", "DECIMAL(12,2)", "Quantity × UnitPrice, exact", unit="currency", bounds=(0, None)),
                Column("Year", "INT", "year of InvoiceDate"),
                Column("Month", "INT", "month of InvoiceDate", bounds=(1, 12)),
                Column("DayOfWeek", "INT", "1 = Sunday … 7 = Saturday", bounds=(1, 7)),
                Column("SurrogateKey", "STRING", "InvoiceNo_StockCode_Quantity; may repeat"),
                *_ARRIVAL,
            ),
        ),
        Table(
            "retail_transactions_quarantine",
            "a line that silver refused, raw",
            (),
            (
                *_RAW,
                _RESCUED,
                Column("failed_expectations", "STRING", "names of the broken rules, separated by commas"),
                *_ARRIVAL,
            ),
        ),
        Table("customer_rfm_gold", "a customer as of the run date", ("CustomerID",), (_CUSTOMER, *_METRICS)),
        Table(
            "customer_rfm_kmeans_clustered",
            "a customer as of the run date",
            ("CustomerID",),
            (_CUSTOMER, *_METRICS, _CLUSTER, _UPDATE),
        ),
        Table(
            "customer_rfm_kmeans_clustered_history",
            "a customer on a run date",
            ("CustomerID", "UpdateDate"),
            (_CUSTOMER, *_METRICS, _CLUSTER, _UPDATE, _SEGMENT),
        ),
        Table(
            "cluster_models",
            "a run date",
            ("UpdateDate",),
            (
                _UPDATE,
                Column("k", "INT", "number of clusters", bounds=(1, None)),
                Column("model", "STRING", "JSON: scaler, centroids, scores of every k tried, code version"),
            ),
        ),
        Table("cluster_summary", "a cluster", ("Cluster",), (_CLUSTER, *_statistics("Count"))),
        Table(
            "cluster_description_and_recommendation",
            "a cluster",
            ("Cluster",),
            (_CLUSTER, *_statistics("Count"), _SEGMENT, _TIER, _ACTION),
        ),
        Table(
            "customer_rfm_description_and_recommendation",
            "a customer as of the run date",
            ("CustomerID",),
            (_CUSTOMER, *_METRICS, _CLUSTER, _UPDATE, _SEGMENT, _TIER, _ACTION),
        ),
        Table(
            "segment_summary",
            "a segment",
            ("Cluster_Description",),
            (
                _SEGMENT,
                _TIER,
                *_statistics("Customers"),
                Column("CustomerShare", "DOUBLE", "share of all customers", bounds=(0, 1)),
                Column("Revenue", "DECIMAL(18,2)", "sum of Monetary, exact", unit="currency", bounds=(0, None)),
                Column("RevenueShare", "DOUBLE", "share of all revenue", bounds=(0, 1)),
                _ACTION,
            ),
        ),
        Table(
            "bronze_daily_quality",
            "a processing date",
            ("processing_date",),
            (
                _PROCESSING,
                *_counts("total_records", "files_processed", "distinct_invoice_date", "valid_records"),
                *_counts("null_invoices", "null_stock_codes", "null_customer_ids", "bad_quantities", "bad_price"),
                Column("rescued_data_quality_score", "DOUBLE", "100 × valid / total, rounded to 2", unit="%", bounds=(0, 100)),
            ),
        ),
        Table(
            "daily_counts",
            "an invoice date in a layer, by the run that ingested its rows",
            ("InvoiceDate", "layer", "processing_date"),
            (
                Column("InvoiceDate", "DATE", "day of the sale; missing where it could not be read", nullable=True),
                _LAYER,
                _PROCESSING,
                *_counts("total_records"),
            ),
        ),
        Table(
            "bronze_silver_dq_comparison",
            "a processing date in a layer",
            ("processing_date", "layer"),
            (
                _PROCESSING,
                _LAYER,
                *_counts("total_records", "null_invoice", "bad_invoice", "null_stock_code", "null_quantity"),
                *_counts("bad_quantity", "null_invoice_date", "bad_price", "null_customer_id"),
            ),
        ),
        Table(
            "expectation_results",
            "an expectation on a processing date",
            ("processing_date", "expectation"),
            (
                _PROCESSING,
                Column("expectation", "STRING", "name of the rule"),
                Column("severity", "STRING", "drop, warn or fail"),
                *_counts("checked", "failed"),
            ),
        ),
    )
}
