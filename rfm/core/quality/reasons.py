"""Why rows lie in the quarantine: each rule with its rows, and one of them as an example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import narwhals as nw

from rfm.dialect import RAGGED
from rfm.schema import LANDING_COLUMNS

FITS_HEADER = "fits_header"
"""Name under which the rows are told that had too few or too many fields; no other rule is counted of them."""


class Reason(NamedTuple):
    """A rule, how many rows of the quarantine break it, and the raw columns of one of them."""

    rule: str
    rows: int
    example: dict[str, Any]


def reasons(quarantine: Any) -> list[Reason]:
    """Return the rules that rows of the quarantine break, the most broken first.

    Parameters
    ----------
    quarantine
        Rows of ``retail_transactions_quarantine`` in any frame that narwhals knows.
    """
    rows: Any = nw.from_native(quarantine)
    ragged = nw.col("_rescued_data").str.contains(RAGGED)
    rows = rows.with_columns(_ragged=nw.when(ragged).then(nw.lit(True)).otherwise(nw.lit(False)))
    counts = _eager(rows.group_by("failed_expectations", "_ragged").agg(nw.len().alias("rows")))
    found: dict[str, Reason] = {}
    for group in sorted(counts.iter_rows(named=True), key=lambda one: (-one["rows"], one["failed_expectations"])):
        same = nw.col("failed_expectations") == group["failed_expectations"], nw.col("_ragged") == group["_ragged"]
        rules = [FITS_HEADER] if group["_ragged"] else group["failed_expectations"].split(",")
        _count(found, rules, group["rows"], _example(rows.filter(*same)))
    return sorted(found.values(), key=lambda one: -one.rows)


def _count(found: dict[str, Reason], rules: Iterable[str], rows: int, example: dict[str, Any]) -> None:
    """Add rows to the rules that they break; the first example stays."""
    for rule in rules:
        before = found.get(rule, Reason(rule, 0, example))
        found[rule] = before._replace(rows=before.rows + rows)


def _example(rows: Any) -> dict[str, Any]:
    """Return the raw columns of one row, the same each time."""
    columns = ("source_file", *LANDING_COLUMNS.values(), "_rescued_data")
    wanted = rows.select(*columns).sort(*columns, nulls_last=True).head(1)
    return dict(next(_eager(wanted).iter_rows(named=True)))


def _eager(rows: Any) -> Any:
    return rows.collect() if isinstance(rows, nw.LazyFrame) else rows
