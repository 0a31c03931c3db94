"""The tables of a small invented shop in memory, for examples and first tries."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from rfm.contracts import TABLES, Table
from rfm.datasets.sample import make_sample
from rfm.dialect import Section
from rfm.errors import InputError, unknown
from rfm.lake.delta import scratch
from rfm.lake.tables import Lake
from rfm.pipeline.backfill import backfill
from rfm.settings import Settings, load_settings

RUN_DATES = (dt.date(2025, 10, 22), dt.date(2025, 10, 23))


def example(table: str) -> pd.DataFrame:
    """Return a table of a small invented shop; no file is kept.

    The table is one of `rfm.TABLES`, with Arrow types. The shop sold to 400 customers for 30 days and was segmented on the last
    two, 2025-10-22 and 2025-10-23. The first call makes the tables, which takes some seconds; every call returns a new frame.

    Examples
    --------
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_gold")
    >>> best = gold.sort_values("Monetary", ascending=False).head(2)
    >>> best[["CustomerID", "Recency", "Frequency", "Monetary"]]
        CustomerID  Recency  Frequency  Monetary
    398      13543        1          7   3705.66
    158      12822        0         36   2833.25
    """
    if table not in _tables():
        raise InputError(unknown("table", [table], _tables()))
    return _tables()[table].copy()


@cache
def _tables() -> dict[str, pd.DataFrame]:
    """Create the shop's files, run two days on them with the default settings, and keep the tables in memory."""
    with scratch("rfm-example-") as folder:
        make_sample(Path(folder, "landing"), days=30, end=RUN_DATES[-1], customers=400, lines=4_000)
        # the default of every section, whatever rfm.toml says
        sections = {name: one.default for name, one in Settings.model_fields.items() if isinstance(one.default, Section)}
        settings = load_settings(landing=f"{folder}/landing", lake=f"{folder}/lake", engine="polars", **sections)
        list(backfill(settings, *RUN_DATES))
        lake = Lake(settings.lake)
        return {name: _sorted(lake.rows(name), TABLES[name]) for name in lake.state()}


def _sorted(rows: Any, table: Table) -> pd.DataFrame:
    """Return the rows of a table in the same order each time."""
    # A table that one run writes as a whole is in order already
    whole = table.key and not any(column.type == "DATE" for column in table.columns if column.name in table.key)
    ordered = rows if whole else rows.sort(list(table.key) or rows.columns)
    return ordered.to_pandas(use_pyarrow_extension_array=True)
