"""What every table holds, for the code that must not wait for pandera, and the check of a frame before it is written.

`schema.json` beside this file is made from the models in `rfm.schema`, the place to change a table.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfm.errors import ContractError, first_line

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

LEDGER, RUN_WARNINGS, PIPELINE_RUNS = "landing_files", "run_warnings", "pipeline_runs"
BRONZE, SILVER = "retail_transactions_bronze", "retail_transactions_silver"
QUARANTINE, RELEASED_ROWS = "retail_transactions_quarantine", "released_rows"
GOLD, CLUSTERED, HISTORY = "customer_rfm_gold", "customer_rfm_kmeans_clustered", "customer_rfm_kmeans_clustered_history"
CLUSTER_MODELS, FIT_EXCLUSIONS = "cluster_models", "fit_exclusions"
SEGMENT_MOVEMENT, SEGMENT_STABILITY = "segment_movement", "segment_stability"
CLUSTER_SUMMARY, DESCRIBED_CLUSTERS = "cluster_summary", "cluster_description_and_recommendation"
DESCRIBED_CUSTOMERS, SEGMENT_SUMMARY = "customer_rfm_description_and_recommendation", "segment_summary"
SEGMENTATIONS, AGREEMENT, EXPLANATIONS = "customer_segmentations", "segmentation_agreement", "customer_explanations"
BRONZE_QUALITY, DAILY_COUNTS, DQ_COMPARISON = "bronze_daily_quality", "daily_counts", "bronze_silver_dq_comparison"
EXPECTATION_RESULTS, QUALITY_METRICS, DAILY_VOLUME = "expectation_results", "quality_metrics", "daily_volume"
QUALITY_TABLES = (BRONZE_QUALITY, DAILY_COUNTS, DQ_COMPARISON, EXPECTATION_RESULTS, QUALITY_METRICS, DAILY_VOLUME)
OF_THE_DAY = (CLUSTER_SUMMARY, DESCRIBED_CLUSTERS, DESCRIBED_CUSTOMERS, SEGMENT_SUMMARY, SEGMENTATIONS, EXPLANATIONS)
CUSTOMER_STATES, CUSTOMER_FORECAST, RELIABILITY = "customer_states", "customer_forecast", "forecast_reliability"
MIGRATION = "state_migration"
CAMPAIGNS, CAMPAIGN_MEMBERS, CAMPAIGN_RESULTS = "campaigns", "campaign_members", "campaign_results"
OVER_TIME = (AGREEMENT, HISTORY, SEGMENT_MOVEMENT, SEGMENT_STABILITY)

POLARS_TYPES = {"STRING": "String", "INT": "Int32", "BIGINT": "Int64", "DOUBLE": "Float64", "BOOLEAN": "Boolean", "DATE": "Date"}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: str
    meaning: str
    nullable: bool = False
    unit: str = ""
    bounds: tuple[float | None, float | None] = (None, None)
    unless: str = ""

    @property
    def dtype(self) -> pl.DataType:
        """The Polars type of the column's SQL type."""
        import polars as pl

        if self.type.startswith("DECIMAL"):
            return pl.Decimal(*map(int, re.findall(r"\d+", self.type)))
        return pl.Datetime("us", "UTC") if self.type == "TIMESTAMP" else getattr(pl, POLARS_TYPES[self.type])()


@dataclass(frozen=True)
class Table:
    """One table: what a row is, which columns name it, and all columns in order."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    @cached_property
    def polars(self) -> pl.Schema:
        """Names and Polars types of the columns, in order."""
        import polars as pl

        return pl.Schema({column.name: column.dtype for column in self.columns})

    @cached_property
    def rules(self) -> list[pl.Expr]:
        """What holds for all rows: no null, no NaN, no value out of bounds; made once, as every write asks for it."""
        import polars as pl

        rules = [pl.col(column.name).is_not_null() for column in self.columns if not column.nullable]
        rules += [pl.col(column.name).is_not_nan() for column in self.columns if column.type == "DOUBLE"]
        for column in self.columns:
            low, high = column.bounds
            free = pl.col(column.unless) if column.unless else pl.lit(False)
            rules += [(pl.col(column.name) >= low) | free] if low is not None else []
            rules += [(pl.col(column.name) <= high) | free] if high is not None else []
        return [rule.all().alias(str(place)) for place, rule in enumerate(rules)]

    def without_rows(self) -> pd.DataFrame:
        """Return an empty pandas frame with Arrow types."""
        return self.polars.to_frame().to_pandas(use_pyarrow_extension_array=True)


def _columns(described: list[dict[str, Any]]) -> tuple[Column, ...]:
    return tuple(Column(**{**one, "bounds": tuple(one.get("bounds", (None, None)))}) for one in described)


TABLES = {
    name: Table(name, one["grain"], tuple(one["key"]), _columns(one["columns"]))
    for name, one in json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8")).items()
}
"""The tables by name, in the order of the pipeline."""


# ── checks ────────────────────
def arrow_typed(table: Table, frame: Any) -> Any:
    """Return a pandas frame with Arrow types, nulls as nulls; a frame of any other kind as it is."""
    if not hasattr(type(frame), "convert_dtypes"):  # of the type: some frames have every name, as a column
        return frame
    return table.without_rows() if frame.empty else frame.convert_dtypes(dtype_backend="pyarrow")


def dated_silver(silver: Any) -> Any:
    """Return rows of silver, in a frame of any kind, as a narwhals frame of the same types, without times of day."""
    import narwhals as nw

    rows: Any = nw.from_native(arrow_typed(TABLES[SILVER], silver))
    return rows.with_columns(nw.col("InvoiceDate").cast(nw.Date))


def eager(rows: Any) -> Any:
    """Return a narwhals frame that is not lazy."""
    import narwhals as nw

    return rows.collect() if isinstance(rows, nw.LazyFrame) else rows


def typed_rows(table: Table, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a pandas frame with a table's columns and types, also where all values of a column are missing."""
    import pandas as pd

    types = table.without_rows().dtypes
    return pd.DataFrame(rows, dtype=object).astype(types)[types.index.tolist()]


def conform(table: Table, rows: pl.DataFrame | pl.LazyFrame | pd.DataFrame) -> pl.DataFrame:
    """Return rows with the columns of a table in order and their exact types, once `check` has passed them."""
    import polars as pl

    frame = rows.collect() if isinstance(rows, pl.LazyFrame) else rows if isinstance(rows, pl.DataFrame) else pl.from_pandas(rows)
    wanted = table.polars
    if missing := [column for column in wanted if column not in frame.columns]:
        raise ContractError(f"{table.name}: {len(missing)} column(s) missing: {', '.join(missing)}; nothing was written")
    try:
        frame = frame.select(
            pl.col(column).cast(dtype) if _safe(frame[column].dtype, dtype) else column for column, dtype in wanted.items()
        )
    except pl.exceptions.InvalidOperationError as error:
        raise ContractError(f"{table.name}: {first_line(error)}; nothing was written") from None
    return check(table, frame)


def _safe(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Return True if a cast changes no value, or fails."""
    import polars as pl

    same_scale = isinstance(found, pl.Decimal) and isinstance(wanted, pl.Decimal) and found.scale == wanted.scale
    clock = isinstance(found, pl.Datetime) and isinstance(wanted, pl.Datetime) and found.time_zone == wanted.time_zone
    return found == pl.Null or found.is_integer() and wanted.is_integer() or same_scale or clock


def check(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame that keeps the contract of a table; pandera judges each one that does not plainly keep it."""
    if _keeps(table, frame):
        return frame
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the Spark client, which pandera imports where it is installed
        import pandera.errors

        from rfm import schema
    try:
        return schema.MODELS[table.name].validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        raise ContractError(f"{table.name}: {_failures(table, errors.failure_cases)}; nothing was written") from None


# Polars alone needs 3 ms for silver of 400,000 rows and 0.3 ms for a small table, pandera 29 ms and 5 ms, and its import
# half a second in every process: a frame without fault, which is nearly every one, does not wait for it.
def _keeps(table: Table, frame: pl.DataFrame) -> bool:
    """Return True if a frame has the exact columns, no null, no value out of bounds and no key twice."""
    if frame.schema != table.polars or not frame.width:
        return False
    return all(frame.select(table.rules).row(0)) and not (table.key and frame.select(table.key).is_duplicated().any())


def _failures(table: Table, cases: pl.DataFrame) -> str:
    """Return column, rule and rows of pandera's first failure cases, without a value, which may be a customer's."""
    import polars as pl

    whole = cases.with_columns(pl.col("schema_context") == "DataFrameSchema")
    counts = whole.group_by("schema_context", "column", "check", maintain_order=True)
    said = []
    for of_table, column, rule, rows, case in counts.agg(pl.count("index"), pl.first("failure_case")).head(3).rows():
        found = str(case).splitlines()[0]
        name = column if not of_table else " + ".join(table.key) if rows else found
        said.append(f"column {name} breaks {rule} " + (f"in {rows} row(s)" if rows else f"(found {found})"))
    return ", ".join(said)
