"""The contracts of the tables of customers, from gold on: part of `rfm.schema`, which everyone reads them from.

The contract of every table, in one place: the columns of the system are known here and nowhere else.

Code reads names and types from here, the lake checks every write against it, the report prints it and the
README's tables are tested against it.
"""

from __future__ import annotations

from rfm.contracts import Column, Table
from rfm.errors import ContractError, InputError, RfmError, SettingsError, StageError

# ── customer_tables ────────────────────────────────────────────────────────────

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
_SCORED = ("Recency", "Frequency", "Monetary")
_LABEL = Column("Cluster_Label", "STRING", "segment, and what tells clusters of one segment apart: which outliers, or the number")
_EXPLANATION = Column("Explanation", "STRING", "what the middle customer is like, and the cut-offs that give the segment")
_WAY = "segments (of the clusters), tiers (value and engagement) or scores (their names)"


def _statistics(total: str) -> tuple[Column, ...]:
    """Return the columns of a summary: a count, and average and median of each metric."""
    units = {"Monetary": "currency", "Frequency": "invoices", "Recency": "days"}
    values = (
        Column(f"{how}{metric}", "DOUBLE", f"{how.lower()} {metric}, rounded to 2", unit=unit)
        for metric, unit in units.items()
        for how in ("Average", "Median")
    )
    return Column(total, "BIGINT", "customers", unit="customers", bounds=(1, None)), *values


def _customers(*names: str) -> tuple[Column, ...]:
    """Return columns that count customers."""
    return tuple(Column(name, "BIGINT", _COUNTED[name], unit="customers", bounds=(0, None)) for name in names)


_COUNTED = {
    "Customers": "customers who went this way, or stayed",
    "Bought": "of those who changed: bought since",
    "TimePassed": "did not buy; the model of then gives them today's segment",
    "ModelChanged": "did not buy; the model of then gives them another",
    "Compared": "customers without a purchase since",
    "Renamed": "of them, those with another segment",
}

CUSTOMER_TABLES = (
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
    Table(
        "fit_exclusions",
        "a customer kept out of the fit on a run date, and a reason",
        ("CustomerID", "UpdateDate", "Reason"),
        (
            _CUSTOMER,
            _UPDATE,
            Column("Reason", "STRING", "bulk order or test transaction, as [exclusions] has it"),
            Column("Invoices", "BIGINT", "invoices that give the reason", unit="invoices", bounds=(1, None)),
            Column("Amount", "DECIMAL(18,2)", "what these invoices came to, exact", unit="currency", bounds=(0, None)),
        ),
    ),
    Table(
        "segment_movement",
        "a move from one segment to another over a period",
        ("UpdateDate", "Days", "From_Segment", "To_Segment"),
        (
            _UPDATE,
            Column("Days", "INT", "period asked for: 1, 7 or 30", unit="days"),
            Column("Since", "DATE", "run date that is compared with"),
            Column("From_Segment", "STRING", "segment then; empty for new customers"),
            Column("To_Segment", "STRING", "segment now"),
            *_customers("Customers"),
            Column("Revenue", "DECIMAL(18,2)", "sum of their Monetary today, exact", unit="currency", bounds=(0, None)),
            *_customers("Bought", "TimePassed", "ModelChanged"),
        ),
    ),
    Table(
        "segment_stability",
        "a run date",
        ("UpdateDate",),
        (
            _UPDATE,
            Column("Method", "STRING", "full: fitted afresh; warm: grown from the model of the run before"),
            Column("FittedOn", "DATE", "run date of the last full fit"),
            Column("Previous", "DATE", "run date that is compared with", nullable=True),
            Column("k", "INT", "number of clusters", bounds=(1, None)),
            Column("KMargin", "DOUBLE", "score of k over the best other, as a share; below 0: k is held", nullable=True),
            *_customers("Compared", "Renamed"),
            Column("RenamedShare", "DOUBLE", "Renamed / Compared", True, bounds=(0, 1)),
            Column("AdjustedRand", "DOUBLE", "of the clusters then and now of those compared; 1: the same", True, bounds=(-1, 1)),
            Column("Drift", "DOUBLE", "largest move of a centroid since, in standard deviations", True, bounds=(0, None)),
            Column("Silhouette", "DOUBLE", "mean silhouette of the fit", bounds=(-1, 1)),
        ),
    ),
    Table("cluster_summary", "a cluster", ("Cluster",), (_CLUSTER, *_statistics("Count"))),
    Table(
        "cluster_description_and_recommendation",
        "a cluster",
        ("Cluster",),
        (_CLUSTER, *_statistics("Count"), _SEGMENT, _TIER, _ACTION, _LABEL, _EXPLANATION),
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
            _EXPLANATION,
        ),
    ),
    Table(
        "customer_segmentations",
        "a customer as of the run date",
        ("CustomerID",),
        (
            _CUSTOMER,
            _UPDATE,
            Column("Segment", "STRING", "segment of the cluster"),
            Column("ValueTier", "STRING", "High, Growing or Base, by the monetary cut-offs"),
            Column("Engagement", "STRING", "Active & Engaged, At Risk, Developing or Inactive, by recency and frequency"),
            *(Column(f"{name[0]}Score", "INT", f"{name} score, 5 is best", bounds=(1, 5)) for name in _SCORED),
            Column("RFMScore", "STRING", "the three scores as digits, as 545"),
            Column("ScoreName", "STRING", "one of the eleven usual names, by the scores"),
        ),
    ),
    Table(
        "segmentation_agreement",
        "two ways to segment, on a run date",
        ("UpdateDate", "First", "Second"),
        (
            _UPDATE,
            Column("First", "STRING", _WAY),
            Column("Second", "STRING", _WAY),
            Column("AdjustedRand", "DOUBLE", "adjusted Rand index: 1 the same groups, 0 as chance has it", bounds=(-1, 1)),
            Column("SameShare", "DOUBLE", "customers in the group of Second that most of theirs in First are in", bounds=(0, 1)),
        ),
    ),
    Table(
        "customer_explanations",
        "a customer as of the run date",
        ("CustomerID",),
        (
            _CUSTOMER,
            _UPDATE,
            Column("Why", "STRING", "why the customer is in its segment, and what would change that, by the model of the day"),
            Column("Next_Segment", "STRING", "segment of the nearest cluster that has another one; none for outliers", True),
            Column("Distance", "DOUBLE", "from it: 0 on the border, 1 at the own centre; below 0 beyond", True, bounds=(-1, 1)),
        ),
    ),
)


# ── schema ────────────────────────────────────────────────────────────
__all__ = [
    "LANDING_COLUMNS",
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
