"""Small frames for the tests of the figures."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd

D = dt.date(2025, 6, 30)
MEDIANS = {"Monetary": 100.0, "Frequency": 3.0, "Recency": 25.0}
SCORES = pd.DataFrame({"k": [2, 3, 4], "silhouette": [0.5, 0.4, 0.2], "elbow": [0.0, 0.2, 0.0], "score": [0.6, 0.9, 0.2]})

ORDERS = pd.DataFrame(
    [
        ("1", "a", "2025-04-29", "EIRE", 1, 3, 1000),
        ("1", "b", "2025-05-20", "EIRE", 2, 5, 3000),
        ("2", "c", "2025-05-31", "Germany", 3, 4, 2000),
        (None, "d", "2025-05-31", "Germany", 1, 1, 500),
        ("1", "e", "2025-06-30", "EIRE", 4, 9, 4000),
    ],
    columns=["CustomerID", "InvoiceNo", "InvoiceDate", "Country", "Lines", "Units", "Cents"],
).astype({"InvoiceDate": "datetime64[s]"})
PRODUCTS = pd.DataFrame(
    [("85048", "BALL", Decimal("9.00"), 3), ("85049", "A <b>BOX</b> & MORE", Decimal("7.00"), 5)],
    columns=["StockCode", "Description", "Revenue", "Units"],
)
FLOW = pd.DataFrame(
    [
        ("arrived", "Lines that arrived", "start", Decimal("90.00"), 9),
        ("unreadable", "Unreadable", "step", Decimal("0.00"), 0),
        ("returns", "Returns set aside", "step", Decimal("20.00"), -1),
        ("guests", "Guests", "step", Decimal("-30.00"), -2),
        ("counted", "In the segments", "end", Decimal("80.00"), 6),
        ("repeated", "Counted: repeated lines", "note", Decimal("5.00"), 1),
    ],
    columns=["Step", "Label", "Kind", "Amount", "Lines"],
)
COUNTS = pd.DataFrame(
    [(D, "bronze", D, 9), (D, "silver", D, 7), (D, "bronze", dt.date(2025, 7, 1), 1), (None, "bronze", D, 2)],
    columns=["InvoiceDate", "layer", "processing_date", "total_records"],
)
VOLUME = pd.DataFrame(
    [(D - dt.timedelta(7 * week), f"{week}.csv", D, 100 - 10 * week) for week in range(9)]
    + [(D, "0.csv", dt.date(2025, 6, 29), 1)],  # an earlier reading of a file
    columns=["InvoiceDate", "source_file", "processing_date", "lines"],
)
CENTROIDS = [[1000.0, 10.0, 50.0], [250.0, 0.0, 150.0]]
WAYS = pd.DataFrame(
    [("10000", "Champions", "Champions", 5, 5), ("10001", "Champions", "Lost", 5, 5), ("10002", "Hibernating", "Lost", 1, 2)],
    columns=["CustomerID", "Segment", "ScoreName", "RScore", "FScore"],
)
MOVES = pd.DataFrame(
    [
        ("Champions", "Champions", 90, 0, 0, 0),
        ("Champions", "Hibernating", 5, 0, 4, 1),
        ("", "New Customers", 7, 0, 0, 0),
        ("Hibernating", "New Customers", 2, 2, 0, 0),
    ],
    columns=["From_Segment", "To_Segment", "Customers", "Bought", "TimePassed", "ModelChanged"],
)
SHARES = pd.DataFrame(
    [("active", 0.6, 0.4, 0.0, 1234, False), ("lost", 0.004, 0.0, 0.996, 12, True)],
    columns=["From_State", "active", "cooling", "lost", "Pairs", "Few"],
)
STEADY = pd.DataFrame(
    [(dt.date(2025, 6, 29), "full", np.nan, np.nan, 0.1), (D, "warm", 0.004, 0.98, 0.2)],
    columns=["UpdateDate", "Method", "RenamedShare", "AdjustedRand", "KMargin"],
)
BACKTEST = pd.DataFrame(
    [
        ("steady", 30, "auc", "", "", 0.7, 0.6, 0.8),
        ("steady", 60, "auc", "", "", 0.65, 0.6, 0.7),
        ("scores", 30, "auc", "", "", 0.6, 0.5, 0.65),
        ("scores", 60, "auc", "", "", 0.55, 0.5, 0.7),
        ("scores", 30, "auc", "steady", "", -0.1, -0.2, 0.0),
        ("all alike", 30, "auc", "", "", 0.5, 0.5, 0.5),
        ("steady", 30, "lift", "", "Lost", 0.5, 0.4, 0.7),
        ("steady", 30, "lift", "", "Champions", 2.0, 1.8, 2.2),
        ("steady", 30, "spend_lift", "", "Lost", 0.25, 0.2, 0.3),
        ("steady", 30, "spend_lift", "", "Champions", 3.0, 2.0, 4.0),
        ("scores", 30, "lift", "", "Lost", 1.0, 0.9, 1.1),
    ],
    columns=["way", "horizon", "measure", "against", "segment", "value", "low", "high"],
)


def customers_of(count: int) -> pd.DataFrame:
    """Return customers whose spend is 1.00, 2.00 …; each tenth is an outlier, each third of cluster 1."""
    n = np.arange(count)
    days = n % 90
    return pd.DataFrame(
        {
            "CustomerID": [f"{10000 + i}" for i in n],
            "MaxInvoiceDate": [D - dt.timedelta(days=int(day)) for day in days],
            "Recency": days.astype("int32"),
            "Frequency": (1 + n % 7).astype("int32"),
            "Monetary": [Decimal(f"{i + 1}.00") for i in n],
            "Cluster": np.select([n % 10 == 9, n % 3 == 0], [-1, 1], 0).astype("int32"),
            "UpdateDate": D,
        }
    )
