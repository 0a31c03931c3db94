"""Every table as a pandera model: columns, types, nulls, bounds, units and key; the docstring says what one row is.

Importing pandera takes half a second, so only a frame that may break its contract, the tests and the reference import this
module. `rfm.contracts` reads the same description from `schema.json`, which `python tests/test_docs.py` writes.
"""

from __future__ import annotations

from typing import Annotated

import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.polars import DataFrameModel, Field, check

Money = Annotated[pl.Decimal, 18, 2]
Timestamp = Annotated[pl.Datetime, "us", "UTC"]

CURRENCY, CUSTOMERS, DAYS, INVOICES, PERCENT, ROWS = (
    {"unit": unit} for unit in ("currency", "customers", "days", "invoices", "%", "rows")
)

# columns that several tables share, under one name each: a Field remembers its own
CLUSTER = Field(ge=-3, description="0, 1, … by falling median Monetary; -1, -2, -3 are outliers")
CUSTOMER = Field(description="the customer")
EXPLANATION = Field(description="the median customer, and the cut-offs that give the segment")
INGESTED = Field(description="when the row was ingested, UTC")
PROCESSING_DATE = Field(description="run date of the run that ingested the rows")
RECOMMENDATION = Field(description="recommended action")
SEGMENT = Field(description="segment")
SOURCE_FILE = Field(description="path of the file under the landing folder")
TIER = Field(description="group of segments: premium, high value, active engagement, risk, growth and new")
UPDATE_DATE = Field(description="run date")

MODELS: dict[str, type[TableModel]] = {}
"""The models by the name of their table, in the order of the road."""


class TableModel(DataFrameModel):
    """The base of all models: a frame has exactly these columns, in this order."""

    # pandera's way is a nested class Config in every model; five lines more for each of them would say the same
    def __init_subclass__(cls, name: str = "", unique: list[str] | None = None) -> None:
        cls.Config = type("Config", (cls.Config,), {"name": name, "unique": unique, "strict": True, "ordered": True})
        super().__init_subclass__()
        if name:
            MODELS[name] = cls


class LandingFiles(TableModel, name="landing_files", unique=["source_file", "layer"]):
    """A landing file in a layer."""

    source_file: pl.String = SOURCE_FILE
    layer: pl.String = Field(description="bronze, silver or quarantine; changed: new content waits to be restated")
    file_date: pl.Date = Field(nullable=True, description="date in the file's name")
    bytes: pl.Int64 = Field(ge=0, metadata={"unit": "bytes"}, description="size when it was read")
    sha256: pl.String = Field(description="digest of the content when it was read")
    processing_date: pl.Date = Field(description="run date of the run that read it")
    rows: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows of the file in the layer")
    token: pl.String = Field(nullable=True, description="ETag or modification time when it was listed")
    version: pl.Int64 = Field(nullable=True, description="transaction of the content: times restated, and its digest")


class RunWarnings(TableModel, name="run_warnings", unique=["run_date", "stage", "kind", "message"]):
    """A warning of a run."""

    run_date: pl.Date = Field(description="run date of the run that warns")
    stage: pl.String = Field(description="notebook that warns, e.g. 1_bronze")
    kind: pl.String = Field(description="what it is about, e.g. refused_file")
    severity: pl.String = Field(description="warning or error; an error makes the run end with exit status 1")
    message: pl.String = Field(description="one line: what, how many, what to do")


class PipelineRuns(TableModel, name="pipeline_runs", unique=["run_id", "stage"]):
    """A stage of a run."""

    run_id: pl.String = Field(description="the run")
    run_date: pl.Date = Field(description="day that the run is for")
    stage: pl.String = Field(description="notebook, e.g. 1_bronze; `run` for all of them, `backfill` for a day without notebooks")
    status: pl.String = Field(description="running, done or failed; a killed run stays running")
    started: Timestamp = Field(description="start, UTC")
    seconds: pl.Float64 = Field(ge=0, metadata={"unit": "seconds"}, description="duration; 0 while it is running")
    rows_read: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows read")
    rows_written: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows written")
    versions: pl.String = Field(description="JSON: version of each table that it read and wrote")
    error: pl.String = Field(nullable=True, description="what went wrong, in one line")


class _Raw(TableModel):
    """The columns of a landing file, as text, and what did not fit them."""

    Invoice: pl.String = Field(nullable=True, description="raw text")
    StockCode: pl.String = Field(nullable=True, description="raw text")
    Description: pl.String = Field(nullable=True, description="raw text")
    Quantity: pl.String = Field(nullable=True, description="raw text")
    Price: pl.String = Field(nullable=True, description="raw text")
    CustomerID: pl.String = Field(nullable=True, description="raw text")
    Country: pl.String = Field(nullable=True, description="raw text")
    InvoiceDate: pl.String = Field(nullable=True, description="raw text")
    rescued: pl.String = Field(alias="_rescued_data", nullable=True, description="JSON of what did not fit the header")


class RetailTransactionsBronze(_Raw, name="retail_transactions_bronze"):
    """A line that arrived, as it arrived."""

    ingestion_timestamp: Timestamp = INGESTED
    source_file: pl.String = SOURCE_FILE
    processing_date: pl.Date = PROCESSING_DATE


class RetailTransactionsSilver(TableModel, name="retail_transactions_silver"):
    """An invoice line, clean and typed."""

    InvoiceNo: pl.String = Field(description="invoice, 6 or 7 characters unless the shop's rules differ")
    StockCode: pl.String = Field(description="product or special code")
    Description: pl.String = Field(nullable=True, description="product name")
    Quantity: pl.Int32 = Field(metadata={"unit": "items"}, description="items; below 0 for a return")
    UnitPrice: Annotated[pl.Decimal, 10, 2] = Field(ge=0, metadata=CURRENCY, description="price of one item, rounded half up")
    CustomerID: pl.String = Field(nullable=True, description="the customer; null for guests")
    Country: pl.String = Field(nullable=True, description="where the customer lives")
    InvoiceDate: pl.Date = Field(description="day of the sale")
    IsCancellation: pl.Boolean = Field(description="invoice starts with C or c unless the shop's rules differ")
    TotalPrice: Annotated[pl.Decimal, 12, 2] = Field(metadata=CURRENCY, description="Quantity × UnitPrice; below 0 for a return")
    Year: pl.Int32 = Field(description="year of InvoiceDate")
    Month: pl.Int32 = Field(ge=1, le=12, description="month of InvoiceDate")
    DayOfWeek: pl.Int32 = Field(ge=1, le=7, description="1 = Sunday … 7 = Saturday")
    SurrogateKey: pl.String = Field(description="InvoiceNo_StockCode_Quantity; may repeat")
    ingestion_timestamp: Timestamp = INGESTED
    source_file: pl.String = SOURCE_FILE
    processing_date: pl.Date = PROCESSING_DATE

    # bounds that hold for sales only, which Field(ge=…) cannot say
    @check("Quantity", statistics={"min_value": 1, "unless": "IsCancellation"})
    def at_least_1_unless_cancelled(cls, data: PolarsData) -> pl.LazyFrame:
        """Return True per row that sells something."""
        return data.lazyframe.select((pl.col("Quantity") >= 1) | pl.col("IsCancellation"))

    @check("TotalPrice", statistics={"min_value": 0, "unless": "IsCancellation"})
    def at_least_0_unless_cancelled(cls, data: PolarsData) -> pl.LazyFrame:
        """Return True per row that costs nothing or more."""
        return data.lazyframe.select((pl.col("TotalPrice") >= 0) | pl.col("IsCancellation"))


class RetailTransactionsQuarantine(_Raw, name="retail_transactions_quarantine"):
    """A line that silver refused, raw."""

    failed_expectations: pl.String = Field(description="names of the broken rules, separated by commas")
    ingestion_timestamp: Timestamp = INGESTED
    source_file: pl.String = SOURCE_FILE
    processing_date: pl.Date = PROCESSING_DATE


class ReleasedRows(TableModel, name="released_rows"):
    """A quarantined line that was put right by hand."""

    row_id: pl.String = Field(description="digest of the quarantined line, and its number among equal ones")
    release_id: pl.String = Field(description="digest of all lines that were released together")
    source_file: pl.String = SOURCE_FILE
    failed_expectations: pl.String = Field(description="names of the broken rules")
    raw_before: pl.String = Field(description="JSON of the line as it arrived")
    raw_after: pl.String = Field(description="JSON of the line as it was corrected")
    version: pl.Int64 = Field(description="transaction of the file's content that the line belongs to")
    released_timestamp: Timestamp = Field(description="when it was released, UTC")
    run_date: pl.Date = Field(description="run date of the release")


class CustomerRfmGold(TableModel, name="customer_rfm_gold", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    MaxInvoiceDate: pl.Date = Field(description="last purchase")
    Recency: pl.Int32 = Field(ge=0, metadata=DAYS, description="days from the last purchase to the run date; low is good")
    Frequency: pl.Int32 = Field(ge=1, metadata=INVOICES, description="distinct invoices")
    Monetary: Money = Field(ge=0, metadata=CURRENCY, description="sum of TotalPrice, exact")


class CustomerRfmKmeansClustered(CustomerRfmGold, name="customer_rfm_kmeans_clustered", unique=["CustomerID"]):
    """A customer as of the run date."""

    Cluster: pl.Int32 = CLUSTER
    UpdateDate: pl.Date = UPDATE_DATE


class CustomerRfmKmeansClusteredHistory(
    CustomerRfmKmeansClustered, name="customer_rfm_kmeans_clustered_history", unique=["CustomerID", "UpdateDate"]
):
    """A customer on a run date."""

    Cluster_Description: pl.String = SEGMENT


class ClusterModels(TableModel, name="cluster_models", unique=["UpdateDate"]):
    """A run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    k: pl.Int32 = Field(ge=1, description="number of clusters")
    model: pl.String = Field(description="JSON: scaler, centroids, scores of every k tried, code version")


class FitExclusions(TableModel, name="fit_exclusions", unique=["CustomerID", "UpdateDate", "Reason"]):
    """A customer kept out of the fit on a run date, and a reason."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Reason: pl.String = Field(description="bulk order or test transaction, as defined in [exclusions]")
    Invoices: pl.Int64 = Field(ge=1, metadata=INVOICES, description="invoices that give the reason")
    Amount: Money = Field(ge=0, metadata=CURRENCY, description="total of these invoices, exact")


class SegmentMovement(TableModel, name="segment_movement", unique=["UpdateDate", "Days", "From_Segment", "To_Segment"]):
    """A move from one segment to another over a period."""

    UpdateDate: pl.Date = UPDATE_DATE
    Days: pl.Int32 = Field(metadata=DAYS, description="length of the period: 1, 7 or 30")
    Since: pl.Date = Field(description="run date that it is compared with")
    From_Segment: pl.String = Field(description="segment then; empty for new customers")
    To_Segment: pl.String = Field(description="segment now")
    Customers: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="customers who moved this way, or stayed")
    Revenue: Money = Field(ge=0, metadata=CURRENCY, description="sum of their Monetary today, exact")
    Bought: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="of those who changed segment: bought since")
    TimePassed: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="did not buy; the earlier model too gives today's segment")
    ModelChanged: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="did not buy; the earlier model gives another segment")


class SegmentStability(TableModel, name="segment_stability", unique=["UpdateDate"]):
    """A run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    Method: pl.String = Field(description="full: fitted from scratch; warm: started from the model of the run before")
    FittedOn: pl.Date = Field(description="run date of the last full fit")
    Previous: pl.Date = Field(nullable=True, description="run date that it is compared with")
    k: pl.Int32 = Field(ge=1, description="number of clusters")
    KMargin: pl.Float64 = Field(nullable=True, description="score of k above the best other k, as a share; below 0: k is kept")
    Compared: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="customers without a purchase since")
    Renamed: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="of them, those with another segment")
    RenamedShare: pl.Float64 = Field(nullable=True, ge=0, le=1, description="Renamed / Compared")
    AdjustedRand: pl.Float64 = Field(nullable=True, ge=-1, le=1, description="of their clusters then and now; 1: the same")
    Drift: pl.Float64 = Field(nullable=True, ge=0, description="largest move of a centroid since, in standard deviations")
    Silhouette: pl.Float64 = Field(ge=-1, le=1, description="mean silhouette of the fit")


class ClusterSummary(TableModel, name="cluster_summary", unique=["Cluster"]):
    """A cluster."""

    Cluster: pl.Int32 = CLUSTER
    Count: pl.Int64 = Field(ge=1, metadata=CUSTOMERS, description="customers")
    AverageMonetary: pl.Float64 = Field(metadata=CURRENCY, description="average Monetary, rounded to 2")
    MedianMonetary: pl.Float64 = Field(metadata=CURRENCY, description="median Monetary, rounded to 2")
    AverageFrequency: pl.Float64 = Field(metadata=INVOICES, description="average Frequency, rounded to 2")
    MedianFrequency: pl.Float64 = Field(metadata=INVOICES, description="median Frequency, rounded to 2")
    AverageRecency: pl.Float64 = Field(metadata=DAYS, description="average Recency, rounded to 2")
    MedianRecency: pl.Float64 = Field(metadata=DAYS, description="median Recency, rounded to 2")


class ClusterDescriptionAndRecommendation(ClusterSummary, name="cluster_description_and_recommendation", unique=["Cluster"]):
    """A cluster."""

    Cluster_Description: pl.String = SEGMENT
    Tier: pl.String = TIER
    Cluster_Recommendation: pl.String = RECOMMENDATION
    Cluster_Label: pl.String = Field(description="segment, with the kind of outlier or a number where clusters share it")
    Explanation: pl.String = EXPLANATION


class CustomerRfmDescriptionAndRecommendation(
    CustomerRfmKmeansClusteredHistory, name="customer_rfm_description_and_recommendation", unique=["CustomerID"]
):
    """A customer as of the run date."""

    Tier: pl.String = TIER
    Cluster_Recommendation: pl.String = RECOMMENDATION


class SegmentSummary(TableModel, name="segment_summary", unique=["Cluster_Description"]):
    """A segment."""

    Cluster_Description: pl.String = SEGMENT
    Tier: pl.String = TIER
    Customers: pl.Int64 = Field(ge=1, metadata=CUSTOMERS, description="customers")
    AverageMonetary: pl.Float64 = Field(metadata=CURRENCY, description="average Monetary, rounded to 2")
    MedianMonetary: pl.Float64 = Field(metadata=CURRENCY, description="median Monetary, rounded to 2")
    AverageFrequency: pl.Float64 = Field(metadata=INVOICES, description="average Frequency, rounded to 2")
    MedianFrequency: pl.Float64 = Field(metadata=INVOICES, description="median Frequency, rounded to 2")
    AverageRecency: pl.Float64 = Field(metadata=DAYS, description="average Recency, rounded to 2")
    MedianRecency: pl.Float64 = Field(metadata=DAYS, description="median Recency, rounded to 2")
    CustomerShare: pl.Float64 = Field(ge=0, le=1, description="share of all customers")
    Revenue: Money = Field(ge=0, metadata=CURRENCY, description="sum of Monetary, exact")
    RevenueShare: pl.Float64 = Field(ge=0, le=1, description="share of all revenue")
    Cluster_Recommendation: pl.String = RECOMMENDATION
    Explanation: pl.String = EXPLANATION


class CustomerSegmentations(TableModel, name="customer_segmentations", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Segment: pl.String = Field(description="segment of the cluster")
    ValueTier: pl.String = Field(description="High, Growing or Base, by the monetary cut-offs")
    Engagement: pl.String = Field(description="Active & Engaged, At Risk, Developing or Inactive, by recency and frequency")
    RScore: pl.Int32 = Field(ge=1, le=5, description="Recency score, 5 is best")
    FScore: pl.Int32 = Field(ge=1, le=5, description="Frequency score, 5 is best")
    MScore: pl.Int32 = Field(ge=1, le=5, description="Monetary score, 5 is best")
    RFMScore: pl.String = Field(description="the three scores as digits, e.g. 545")
    ScoreName: pl.String = Field(description="one of the eleven usual names for the scores")


class SegmentationAgreement(TableModel, name="segmentation_agreement", unique=["UpdateDate", "First", "Second"]):
    """Two ways to segment, on a run date."""

    UpdateDate: pl.Date = UPDATE_DATE
    First: pl.String = Field(description="segments (of the clusters), tiers (value and engagement) or scores (their names)")
    Second: pl.String = Field(description="segments (of the clusters), tiers (value and engagement) or scores (their names)")
    AdjustedRand: pl.Float64 = Field(ge=-1, le=1, description="adjusted Rand index: 1 the same groups, 0 as expected by chance")
    SameShare: pl.Float64 = Field(ge=0, le=1, description="share of customers in the main Second group of their First group")


class CustomerExplanations(TableModel, name="customer_explanations", unique=["CustomerID"]):
    """A customer as of the run date."""

    CustomerID: pl.String = CUSTOMER
    UpdateDate: pl.Date = UPDATE_DATE
    Why: pl.String = Field(description="why the customer is in this segment, and what would change that")
    Next_Segment: pl.String = Field(nullable=True, description="segment of the nearest cluster of another one; null for outliers")
    Distance: pl.Float64 = Field(
        nullable=True, ge=-1, le=1, description="to it: 0 on the border, 1 at the own centre, < 0 beyond"
    )


class BronzeDailyQuality(TableModel, name="bronze_daily_quality", unique=["processing_date"]):
    """A processing date."""

    processing_date: pl.Date = PROCESSING_DATE
    total_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows")
    files_processed: pl.Int64 = Field(ge=0, metadata={"unit": "files"}, description="files they came from")
    distinct_invoice_date: pl.Int64 = Field(ge=0, metadata=DAYS, description="distinct invoice dates")
    valid_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that fit the header")
    null_invoices: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without invoice")
    null_stock_codes: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without stock code")
    null_customer_ids: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without customer")
    bad_quantities: pl.Int64 = Field(ge=0, metadata=ROWS, description="quantity 0 or below, not a return")
    bad_price: pl.Int64 = Field(ge=0, metadata=ROWS, description="price below 0")
    rescued_data_quality_score: pl.Float64 = Field(ge=0, le=100, metadata=PERCENT, description="100 × valid / total, 2 decimals")


class DailyCounts(TableModel, name="daily_counts", unique=["InvoiceDate", "layer", "processing_date"]):
    """An invoice date in a layer, by the run that ingested its rows."""

    InvoiceDate: pl.Date = Field(nullable=True, description="day of the sale; null where it could not be read")
    layer: pl.String = Field(description="bronze or silver")
    processing_date: pl.Date = PROCESSING_DATE
    total_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows")


class BronzeSilverDqComparison(TableModel, name="bronze_silver_dq_comparison", unique=["processing_date", "layer"]):
    """A processing date in a layer."""

    processing_date: pl.Date = PROCESSING_DATE
    layer: pl.String = Field(description="bronze or silver")
    total_records: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows")
    null_invoice: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without invoice")
    bad_invoice: pl.Int64 = Field(ge=0, metadata=ROWS, description="invoice of another form")
    null_stock_code: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without stock code")
    null_quantity: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without quantity")
    bad_quantity: pl.Int64 = Field(ge=0, metadata=ROWS, description="quantity 0 or below, not a return")
    null_invoice_date: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without invoice date")
    bad_price: pl.Int64 = Field(ge=0, metadata=ROWS, description="price below 0")
    null_customer_id: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows without customer")


class ExpectationResults(TableModel, name="expectation_results", unique=["processing_date", "expectation"]):
    """An expectation on a processing date."""

    processing_date: pl.Date = PROCESSING_DATE
    expectation: pl.String = Field(description="name of the rule")
    severity: pl.String = Field(description="drop, warn or fail")
    checked: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that were checked")
    failed: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that break the rule")


class QualityMetrics(TableModel, name="quality_metrics", unique=["processing_date", "metric", "column"]):
    """A measure of a column on a processing date."""

    processing_date: pl.Date = PROCESSING_DATE
    metric: pl.String = Field(description="completeness: non-null values; dropped, repeated_lines, repeated_keys: rows")
    column: pl.String = Field(description="measured column, * for the whole line")
    checked: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that were checked")
    counted: pl.Int64 = Field(ge=0, metadata=ROWS, description="rows that were counted")
    value: pl.Float64 = Field(ge=0, le=1, description="counted / checked")


class DailyVolume(TableModel, name="daily_volume", unique=["InvoiceDate", "source_file", "processing_date"]):
    """An invoice date in a landing file, lines that silver took."""

    InvoiceDate: pl.Date = Field(description="day of the sale")
    source_file: pl.String = SOURCE_FILE
    processing_date: pl.Date = PROCESSING_DATE
    lines: pl.Int64 = Field(ge=0, metadata=ROWS, description="invoice lines")
    invoices: pl.Int64 = Field(ge=0, metadata=INVOICES, description="distinct invoices")
    customers: pl.Int64 = Field(ge=0, metadata=CUSTOMERS, description="distinct customers")
    revenue: Money = Field(metadata=CURRENCY, description="sum of TotalPrice, exact")
