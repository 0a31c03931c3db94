"""What a contract is: columns, types, units, bounds, key and grain of a table; how a frame is held to it."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rfm.errors import ContractError, first_line

if TYPE_CHECKING:
    import pandas as pd
    import pandera.polars
    import polars as pl


@dataclass(frozen=True)
class Column:
    """One column of a contract."""

    name: str
    type: str
    meaning: str = ""
    nullable: bool = False
    unit: str = ""
    bounds: tuple[float | None, float | None] = (None, None)
    unless: str = ""

    @property
    def limits(self) -> dict[str, pl.Expr]:
        """What the bounds ask of a row, by the name of the check."""
        import polars as pl

        free = pl.col(self.unless) if self.unless else pl.lit(False)
        low, high = self.bounds
        asked = {f"greater_than_or_equal_to({low})": pl.col(self.name) >= low} if low is not None else {}
        asked |= {f"less_than_or_equal_to({high})": pl.col(self.name) <= high} if high is not None else {}
        return {name: rule | free for name, rule in asked.items()}


@dataclass(frozen=True)
class Table:
    """The contract of one table."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    @property
    def polars(self) -> pl.Schema:
        """Names and Polars types of the columns, in order."""
        import polars as pl

        return pl.Schema({column.name: _polars_type(column.type) for column in self.columns})

    def without_rows(self) -> pd.DataFrame:
        """Return no row, as a pandas frame with Arrow types."""
        return self.polars.to_frame().to_pandas(use_pyarrow_extension_array=True)


def arrow_typed(table: Table, frame: Any) -> Any:
    """Return a pandas frame with Arrow types, nulls as nulls; a frame of any other kind as it is."""
    if not hasattr(type(frame), "convert_dtypes"):  # of the type: some frames have every name, as a column
        return frame
    if frame.empty:
        return table.without_rows()
    return frame.convert_dtypes(dtype_backend="pyarrow")


def _polars_type(sql: str) -> pl.DataType:
    """Return the Polars type for the name of an SQL type."""
    import polars as pl

    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", sql):
        return pl.Decimal(*map(int, decimal.groups()))
    return {
        "STRING": pl.String(),
        "INT": pl.Int32(),
        "BIGINT": pl.Int64(),
        "DOUBLE": pl.Float64(),
        "BOOLEAN": pl.Boolean(),
        "DATE": pl.Date(),
        "TIMESTAMP": pl.Datetime("us", "UTC"),
    }[sql]


def conform(table: Table, rows: pl.DataFrame | pl.LazyFrame | pd.DataFrame) -> pl.DataFrame:
    """Return rows as the contract of a table wants them: columns in order, types exact, rules checked."""
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
    """Tell whether a cast changes no value, or fails."""
    import polars as pl

    same_scale = isinstance(found, pl.Decimal) and isinstance(wanted, pl.Decimal) and found.scale == wanted.scale
    clock = isinstance(found, pl.Datetime) and isinstance(wanted, pl.Datetime) and found.time_zone == wanted.time_zone
    return found == pl.Null or found.is_integer() and wanted.is_integer() or same_scale or clock


@cache
def contract(table: Table) -> pandera.polars.DataFrameSchema:
    """Return the pandera schema of a table."""
    import pandera.polars as pa

    def checks(column: Column) -> list[pa.Check]:
        return [pa.Check(lambda data, rule=rule: data.lazyframe.select(rule), error=name) for name, rule in column.limits.items()]

    columns = {
        column.name: pa.Column(dtype, checks(column), nullable=column.nullable)
        for column, dtype in zip(table.columns, table.polars.dtypes(), strict=True)
    }
    return pa.DataFrameSchema(columns, strict=True, ordered=True, unique=list(table.key) or None)


def check(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame if it keeps the contract of a table."""
    if _keeps(table, frame):
        return frame
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Spark's client, which pandera imports wherever it is installed
        import pandera.errors

    try:
        return contract(table).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        raise ContractError(f"{table.name}: {_broken(table, errors.failure_cases)}; nothing was written") from None


def _keeps(table: Table, frame: pl.DataFrame) -> bool:
    """Tell in one pass whether a frame plainly keeps a contract; pandera, twenty times slower, judges and words all others."""
    import polars as pl

    if frame.schema != table.polars or not frame.width:
        return False
    rules = [pl.col(column.name).is_not_null() for column in table.columns if not column.nullable]
    rules += [pl.col(column.name).is_not_nan() for column in table.columns if column.type == "DOUBLE"]
    rules += [rule for column in table.columns for rule in column.limits.values()]
    kept = frame.select(rule.all().alias(str(place)) for place, rule in enumerate(rules))
    return all(kept.row(0)) and not (table.key and frame.select(table.key).is_duplicated().any())


def _broken(table: Table, cases: pl.DataFrame) -> str:
    """Say which rules of a table a pandera failure report names, and in how many rows, or by what, they are broken."""
    import polars as pl

    twice = pl.when(pl.col("check") == "multiple_fields_uniqueness").then(pl.lit(" + ".join(table.key)))
    named = cases.with_columns(pl.coalesce("column", twice.otherwise("failure_case")))
    counts = named.group_by("column", "check", maintain_order=True).agg(pl.count("index"), pl.first("failure_case")).head(3)
    return ", ".join(
        f"column {column} breaks {rule} " + (f"in {rows} row(s)" if rows else f"(found {str(found).splitlines()[0]})")
        for column, rule, rows, found in counts.rows()
    )
