"""The contract of every table, in one place: the columns of the system are known here and nowhere else.

Code reads names and types from here, the lake checks every write against it, the report prints it and the
README's tables are tested against it.
"""

from __future__ import annotations

from rfm.contract import Column, Table
from rfm.customer_tables import CUSTOMER_TABLES, OUTLIER_LABELS
from rfm.errors import ContractError, InputError, RfmError, SettingsError, StageError

__all__ = [
    "LANDING_COLUMNS",
    "OUTLIER_LABELS",
    "TABLES",
    "ContractError",
    "InputError",
    "RfmError",
    "SettingsError",
    "StageError",
]

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
                Column("layer", "STRING", "bronze, silver or quarantine; changed: another content waits to be restated"),
                Column("file_date", "DATE", "date in the file's name", nullable=True),
                Column("bytes", "BIGINT", "size when it was read", unit="bytes", bounds=(0, None)),
                Column("sha256", "STRING", "digest of the content when it was read"),
                Column("processing_date", "DATE", "run date of the run that read it"),
                Column("rows", "BIGINT", "rows of the file in the layer", unit="rows", bounds=(0, None)),
                Column("token", "STRING", "ETag or modification time when it was listed", True),
                Column("version", "BIGINT", "transaction of the content in the layer: how often restated, and its digest", True),
            ),
        ),
        Table(
            "run_warnings",
            "a warning of a run",
            ("run_date", "stage", "kind", "message"),
            (
                Column("run_date", "DATE", "run date of the run that warns"),
                Column("stage", "STRING", "notebook that warns, as 1_bronze"),
                Column("kind", "STRING", "what it is about, as refused_file"),
                Column("severity", "STRING", "warning or error; an error makes the run end with exit status 1"),
                Column("message", "STRING", "one line: what, how many, what to do"),
            ),
        ),
        Table(
            "pipeline_runs",
            "a stage of a run",
            ("run_id", "stage"),
            (
                Column("run_id", "STRING", "the run"),
                Column("run_date", "DATE", "day that the run is for"),
                Column("stage", "STRING", "notebook, as 1_bronze; `run` for all of them, `backfill` for a day without notebooks"),
                Column("status", "STRING", "running, done or failed; a killed run stays running"),
                Column("started", "TIMESTAMP", "when, UTC"),
                Column("seconds", "DOUBLE", "how long; 0 while it is running", unit="seconds", bounds=(0, None)),
                *_counts("rows_read", "rows_written"),
                Column("versions", "STRING", "JSON: version of each table it read and wrote"),
                Column("error", "STRING", "what went wrong, in one line", nullable=True),
            ),
        ),
        Table("retail_transactions_bronze", "a line that arrived, as it arrived", (), (*_RAW, _RESCUED, *_ARRIVAL)),
        Table(
            "retail_transactions_silver",
            "an invoice line, clean and typed",
            (),
            (
                Column("InvoiceNo", "STRING", "invoice, 6 or 7 characters, or as the shop's rules have it"),
                Column("StockCode", "STRING", "product or special code"),
                Column("Description", "STRING", "product name", nullable=True),
                Column("Quantity", "INT", "items; below 0 for a return", unit="items", bounds=(1, None), unless="IsCancellation"),
                Column("UnitPrice", "DECIMAL(10,2)", "price of one item, rounded half up", unit="currency", bounds=(0, None)),
                Column("CustomerID", "STRING", "the customer; missing for guests", nullable=True),
                Column("Country", "STRING", "where the customer lives", nullable=True),
                Column("InvoiceDate", "DATE", "day of the sale"),
                Column("IsCancellation", "BOOLEAN", "invoice starts with C or c, or as the shop's rules have it"),
                Column(
                    *("TotalPrice", "DECIMAL(12,2)", "Quantity × UnitPrice, exact; below 0 for a return"),
                    unit="currency",
                    bounds=(0, None),
                    unless="IsCancellation",
                ),
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
        Table(
            "released_rows",
            "a quarantined line that was put right by hand",
            (),
            (
                Column("row_id", "STRING", "digest of the line in the quarantine, and its number among equal ones"),
                Column("release_id", "STRING", "digest of all lines that were released together"),
                Column("source_file", "STRING", "path of the file under the landing folder"),
                Column("failed_expectations", "STRING", "names of the rules that it broke"),
                Column("raw_before", "STRING", "JSON of the line as it arrived"),
                Column("raw_after", "STRING", "JSON of the line as it was put right"),
                Column("version", "BIGINT", "transaction of the file's content that the line belongs to"),
                Column("released_timestamp", "TIMESTAMP", "when, UTC"),
                Column("run_date", "DATE", "run date of the release"),
            ),
        ),
        *CUSTOMER_TABLES,
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
        Table(
            "quality_metrics",
            "a measure of a column on a processing date",
            ("processing_date", "metric", "column"),
            (
                _PROCESSING,
                Column("metric", "STRING", "completeness: values that are there; dropped, repeated_lines, repeated_keys: rows"),
                Column("column", "STRING", "column that was measured, * for the whole line"),
                *_counts("checked", "counted"),
                Column("value", "DOUBLE", "counted / checked", bounds=(0, 1)),
            ),
        ),
        Table(
            "daily_volume",
            "an invoice date in a landing file, lines that silver took",
            ("InvoiceDate", "source_file", "processing_date"),
            (
                Column("InvoiceDate", "DATE", "day of the sale"),
                Column("source_file", "STRING", "path of the file under the landing folder"),
                _PROCESSING,
                *_counts("lines", "invoices", "customers"),
                Column("revenue", "DECIMAL(18,2)", "sum of TotalPrice, exact", unit="currency"),
            ),
        ),
    )
}
