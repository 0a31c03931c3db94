"""Frames that several tests of the figures need."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from rfm.analysis.segments.profiles import (
    describe_clusters,
    describe_customers,
    medians_of,
    summarise_clusters,
    summarise_segments,
)
from tests.analysis.figures.frames import D, customers_of


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return customers_of(60)


@pytest.fixture(scope="module")
def ledger() -> pd.DataFrame:
    days = [dt.date(2025, 6, 29), dt.date(2025, 6, 30)]
    rows = [("a.csv", days[0]), ("b.csv", days[0]), ("c.csv", days[1]), ("undated.csv", None)]
    counted = {"bronze": [10, 5, 7, 99], "silver": [8, 5, 6, 98], "quarantine": [2, 0, 1, 1]}
    parts = [pd.DataFrame(rows, columns=["source_file", "file_date"]).assign(layer=layer, rows=n) for layer, n in counted.items()]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    rows = [
        ("valid_quantity", "drop", 8, 1),
        ("known_country", "warn", 8, 3),
        ("valid_quantity", "drop", 3, 1),
        ("rate", "fail", 3, 0),
    ]
    return pd.DataFrame(rows, columns=["expectation", "severity", "checked", "failed"]).assign(processing_date=D)


@pytest.fixture(scope="module")
def described(customers: pd.DataFrame) -> pd.DataFrame:
    return describe_clusters(summarise_clusters(customers), medians_of(customers))


@pytest.fixture(scope="module")
def summary(customers: pd.DataFrame, described: pd.DataFrame) -> pd.DataFrame:
    return summarise_segments(describe_customers(customers, described))
