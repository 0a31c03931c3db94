"""How the quality tables count: rows that meet conditions per key, in one pass, in the columns of a contract."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from rfm.schema import TABLES

DAY = "processing_date"


def counts(rows: nw.LazyFrame, keys: list[str], **conditions: nw.Expr) -> nw.LazyFrame:
    """Count rows, and rows that meet each condition, per key.

    Parameters
    ----------
    rows
        Any rows.
    keys
        Columns whose values together are a row of the answer.
    **conditions
        Name of a count, and what a row must meet to be in it.
    """
    ones = {f"_{name}": nw.when(met).then(nw.lit(1)).otherwise(nw.lit(0)) for name, met in conditions.items()}
    sums = [nw.col(f"_{name}").sum().alias(name) for name in conditions]
    marked = rows.with_columns(_rows=nw.lit(1), **ones)
    counted = marked.group_by(*keys).agg(nw.col("_rows").sum().alias("total_records"), *sums)
    return counted.with_columns(nw.col("total_records", *conditions).cast(nw.Int64))


def distinct(rows: nw.LazyFrame, column: str, name: str) -> nw.LazyFrame:
    """Count the distinct values of a column per processing date, nulls aside.

    Parameters
    ----------
    rows
        Any rows with a processing date.
    column, name
        What is counted, and what the count is called.
    """
    pairs = rows.filter(~nw.col(column).is_null()).group_by(DAY, column).agg(nw.len())
    return pairs.group_by(DAY).agg(nw.len().alias(name))


def repeats(rows: nw.LazyFrame, columns: list[str]) -> nw.LazyFrame:
    """Count rows, and rows that another row of the same processing date equals already.

    An engine that takes the parts one after the other holds a tenth of the rows at once.

    Parameters
    ----------
    rows
        Any rows with a processing date.
    columns
        What must be the same in both. The first is a text, by whose last character the rows are parted.

    Returns
    -------
    frame of the same kind
        Processing date, ``checked`` and ``failed``.
    """
    pieces = [rows.filter(piece).group_by(DAY, *columns).agg(nw.len().alias("rows")) for piece in _by_end(columns[0])]
    found = nw.concat([each.group_by(DAY).agg(nw.col("rows").sum(), nw.len().alias("different")) for each in pieces])
    days = found.group_by(DAY).agg(nw.col("rows", "different").sum())
    checked = nw.col("rows").cast(nw.Int64)
    return days.select(DAY, checked=checked, failed=checked - nw.col("different").cast(nw.Int64))


def _by_end(column: str) -> list[nw.Expr]:
    """Part rows by the last character of a text."""
    digits = [nw.col(column).str.ends_with(digit) for digit in "0123456789"]
    other = nw.when(nw.col(column).str.contains("[0-9]$")).then(nw.lit(False)).otherwise(nw.lit(True))
    return [*digits, other]


def ratio(part: nw.Expr, whole: nw.Expr, digits: int) -> nw.Expr:
    """Return one whole number divided by another, rounded half up at so many decimals.

    Engines divide and round in the last bit each its own way, so the rounding is done in integers.

    Parameters
    ----------
    part, whole
        Whole numbers of 0 or more, and more than 0.
    digits
        Decimals.
    """
    scale = 10**digits
    return ((part * (2 * scale) // whole + 1) // 2 / scale).round(digits)


def as_table(table: str, rows: nw.LazyFrame) -> Any:
    """Return the columns of a contract in its order, counts that a join missed as 0.

    Parameters
    ----------
    table, rows
        Name of the table, and what is to stand there.
    """
    contract = TABLES[table]
    whole = [column.name for column in contract.columns if column.type == "BIGINT"]
    rows = rows.with_columns(nw.col(*whole).fill_null(0).cast(nw.Int64))
    return rows.select(contract.names).sort(*contract.key).to_native()
