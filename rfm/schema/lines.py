"""The models of files, runs and lines: ledger, bronze, silver and quarantine; and what all models share."""

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
INGESTED = Field(description="when the row was ingested, UTC")
PROCESSING_DATE = Field(description="run date of the run that ingested the rows")
SOURCE_FILE = Field(description="path of the file under the landing folder")


class TableModel(DataFrameModel):
    """The base of all models: a frame has exactly these columns, in this order."""

    # pandera's way is a nested class Config in every model; five lines more for each of them would say the same
    def __init_subclass__(cls, name: str = "", unique: list[str] | None = None) -> None:
        cls.Config = type("Config", (cls.Config,), {"name": name, "unique": unique, "strict": True, "ordered": True})
        super().__init_subclass__()


class LandingFiles(TableModel, name="landing_files", unique=["source_file", "layer"]):
    """A landing file in a layer."""

    source_file: pl.String = SOURCE_FILE
    layer: pl.String = Field(
        description="bronze, silver or quarantine; changed: content that waits; lost: bronze rows gone for good"
    )
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
    severity: pl.String = Field(description="note, warning or error; an error makes the run end with exit status 1")
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
    StockCode: pl.String = Field(description="product or special code; as of every text, blanks around it are gone")
    Description: pl.String = Field(nullable=True, description="product name")
    Quantity: pl.Int32 = Field(metadata={"unit": "items"}, description="items; below 0 for a return")
    UnitPrice: Annotated[pl.Decimal, 10, 2] = Field(ge=0, metadata=CURRENCY, description="price of one item, rounded half up")
    CustomerID: pl.String = Field(nullable=True, description="the customer; null for guests")
    Country: pl.String = Field(nullable=True, description="where the customer lives")
    InvoiceDate: pl.Date = Field(description="day of the sale")
    IsCancellation: pl.Boolean = Field(
        description="cancelled, not sold or paid back: invoice starts with C or c unless the shop's rules differ"
    )
    TotalPrice: Annotated[pl.Decimal, 12, 2] = Field(
        metadata=CURRENCY, description="what the line counts: Quantity × UnitPrice, less discounts; below 0 for a return"
    )
    Year: pl.Int32 = Field(description="year of InvoiceDate")
    Month: pl.Int32 = Field(ge=1, le=12, description="month of InvoiceDate")
    DayOfWeek: pl.Int32 = Field(ge=1, le=7, description="1 = Sunday … 7 = Saturday")
    SurrogateKey: pl.String = Field(description="InvoiceNo_StockCode_Quantity; may repeat")
    ingestion_timestamp: Timestamp = INGESTED
    source_file: pl.String = SOURCE_FILE
    processing_date: pl.Date = PROCESSING_DATE

    # a bound that holds for sales only, which Field(ge=…) cannot say
    @check("Quantity", statistics={"min_value": 1, "unless": "IsCancellation"})
    def at_least_1_unless_cancelled(cls, data: PolarsData) -> pl.LazyFrame:
        """Return True per row that sells something."""
        return data.lazyframe.select((pl.col("Quantity") >= 1) | pl.col("IsCancellation"))


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
