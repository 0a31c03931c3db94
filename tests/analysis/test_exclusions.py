"""Who is kept out of the fit: bulk orders and test transactions, off by default, counted and named, still assigned."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from rfm.analysis.clustering.fit import cluster
from rfm.analysis.outliers import fit_exclusions, headline
from rfm.config import Clusters, Exclusions
from rfm.contracts import TABLES, conform
from rfm.errors import SettingsError
from rfm.settings import load_settings

D = dt.date(2025, 6, 30)
LINES = [  # customer, invoice, code, pieces, amount, day, cancelled
    ("1", "500001", "85048", 900, "90.00", 26, False),
    ("1", "500001", "21232", 200, "30.00", 26, False),
    ("1", "500002", "21232", 1, "9.99", 27, False),
    ("2", "500003", "TEST001", 1, "4.50", 27, False),
    ("2", "500004", "TEST001", 5, "22.50", 28, False),
    ("3", "C50005", "85048", 9000, "9000.00", 28, True),
    ("4", "500006", "85048", 10, "500.00", 30, False),
    (None, "500007", "TEST001", 5000, "5000.00", 28, False),
]
BOTH = Exclusions(bulk_amount=119.99, bulk_quantity=1000, test_pattern="^TEST")


def rows(lines: list[tuple] = LINES) -> list[dict]:
    names = ("CustomerID", "InvoiceNo", "StockCode", "Quantity", "TotalPrice", "InvoiceDate", "IsCancellation")
    found = [dict(zip(names, line, strict=True)) for line in lines]
    return [
        row | {"TotalPrice": Decimal(row["TotalPrice"]), "InvoiceDate": dt.date(2025, 6, row["InvoiceDate"])} for row in found
    ]


def excluded(engine, options: Exclusions, day: dt.date = D) -> list[tuple]:
    found = fit_exclusions(engine.frame(rows(), "retail_transactions_silver"), day, options)
    return conform(TABLES["fit_exclusions"], found).rows()


def test_each_reason_is_counted_and_named(engine):
    assert excluded(engine, BOTH) == [
        ("1", D, "bulk order", 1, Decimal("120.00")),
        ("2", D, "test transaction", 2, Decimal("27.00")),
        ("4", D, "bulk order", 1, Decimal("500.00")),
    ]


def test_an_order_at_the_limit_is_no_bulk_order(engine):
    assert excluded(engine, Exclusions(bulk_amount=500)) == []
    assert [row[0] for row in excluded(engine, Exclusions(bulk_quantity=1099))] == ["1"]
    assert excluded(engine, Exclusions(bulk_quantity=1100)) == []


def test_later_sales_are_not_seen(engine):
    assert excluded(engine, Exclusions(bulk_amount=200), dt.date(2025, 6, 29)) == []


def test_off_by_default_and_silver_is_not_read():
    found = fit_exclusions(object(), D)
    assert conform(TABLES["fit_exclusions"], found).is_empty()
    assert headline(found) == "no customer is kept out of the fit"


def test_the_headline_counts_customers_and_reasons(engine):
    found = fit_exclusions(engine.frame(rows(), "retail_transactions_silver"), D, BOTH)
    assert headline(found) == "3 customer(s) kept out of the fit: 2 for a bulk order, 1 for a test transaction"


def test_who_is_left_out_shapes_no_cluster_and_gets_one():
    random = np.random.default_rng(2)
    days = random.integers(1, 90, 60)
    gold = pd.DataFrame({"CustomerID": [f"{n:03}" for n in range(60)], "Recency": days, "Frequency": random.integers(1, 9, 60)})
    gold["Monetary"] = random.uniform(10, 900, 60).round(2)
    gold["MaxInvoiceDate"] = [D - dt.timedelta(days=int(n)) for n in days]
    marks, options = pd.Series(0, index=gold.index), Clusters(k_max=5)
    without = cluster(gold[5:], marks[5:], D, options)
    found = cluster(gold, marks, D, options, left_out=["000", "001", "002", "003", "004"])
    assert found.model.centroids == without.model.centroids
    assert found.customers["Cluster"].tolist()[:5] == found.model.predict(gold[:5]).tolist()


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(SettingsError, match=r"exclusions\.test_pattern: is not a regular expression"):
        load_settings(exclusions={"test_pattern": "("})
