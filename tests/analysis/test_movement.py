"""Movement: moves, causes and stability, counted by hand."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from rfm.analysis.movement import largest_moves, margin, movement, since, stability
from rfm.analysis.quality.anomalies import unsteady
from rfm.contracts import TABLES

D = dt.date(2025, 6, 30)
DAY = dt.timedelta(days=1)


class Fake:
    """A model that gives every customer the same segment."""

    def __init__(self, segment: str = "B", previous: str | None = None) -> None:
        self.segment, self.previous, self.trained, self.fitted, self.k = segment, previous, D.isoformat(), "2025-06-29", 2
        self.scores = [{"k": 2, "score": 0.9, "silhouette": 0.5}, {"k": 3, "score": 0.6, "silhouette": 0.4}]
        self.drift = [0.01, None, 0.2]
        self.names = {"0": "A", "1": "B", "2": "C"}

    def segments(self, customers: pd.DataFrame) -> np.ndarray:
        return np.array([self.segment] * len(customers), dtype=object)


def customers(rows: str, day: dt.date) -> pd.DataFrame:
    """Return customers from lines of id, invoices, cluster and segment; each spent 10 an invoice."""
    ids, orders, clusters, names = zip(*(line.split() for line in rows.strip().splitlines()), strict=True)
    frame = pd.DataFrame({"CustomerID": ids, "Frequency": [int(n) for n in orders], "Cluster": [int(n) for n in clusters]})
    return frame.assign(MaxInvoiceDate=D - 9 * DAY, Monetary=frame["Frequency"] * 10, Cluster_Description=names, UpdateDate=day)


THEN = customers("a 1 0 A\nb 1 0 A\nc 1 0 A\nd 1 1 B\ne 1 0 A", D - DAY)
NOW = customers("a 2 1 B\nb 1 1 B\nc 1 2 C\nd 1 1 B\ne 1 0 A\nf 3 1 B", D)  # a bought, f is new
MODELS = {D - DAY: Fake("B"), D: Fake("C", previous="2025-06-29")}


def test_moves_and_causes_by_hand():
    found = movement(NOW, THEN, MODELS, D)
    assert found.columns.tolist() == TABLES["segment_movement"].names
    assert found[["UpdateDate", "Days", "Since"]].drop_duplicates().values.tolist() == [[D, 1, D - DAY]]
    assert found.drop(columns=["UpdateDate", "Days", "Since"]).values.tolist() == [
        ["", "B", 1, 30, 0, 0, 0],
        ["A", "A", 1, 10, 0, 0, 0],
        ["A", "B", 2, 30, 1, 1, 0],  # a bought; to b the model of then gives B as well
        ["A", "C", 1, 10, 0, 0, 1],
        ["B", "B", 1, 10, 0, 0, 0],
    ]
    assert (found["Customers"].sum(), found["Revenue"].sum()) == (len(NOW), NOW["Monetary"].sum())


def test_the_largest_moves_in_words():
    assert largest_moves(movement(NOW, THEN, MODELS, D)) == [
        "2 customers (£30) moved from A to B: 1 because they bought, 1 because time passed",
        "1 customer (£10) moved from A to C because the model changed",
    ]
    assert largest_moves(movement(NOW, THEN, MODELS, D), days=7) == []


def test_the_first_run_has_no_moves():
    found = movement(NOW, THEN.iloc[:0], {D: Fake()}, D)
    assert (len(found), found.columns.tolist()) == (0, TABLES["segment_movement"].names)
    assert largest_moves(found) == []


def test_each_period_looks_back_to_the_newest_run_old_enough():
    assert since([D - n * DAY for n in range(100)], D) == {1: D - DAY, 7: D - 7 * DAY, 30: D - 30 * DAY}
    assert since([D - 3 * DAY, D - 14 * DAY, D - 61 * DAY, D, D + DAY], D) == {1: D - 3 * DAY, 7: D - 14 * DAY}
    assert since([], D) == {}


def test_stability_of_a_day_by_hand():
    row = stability(NOW, THEN, MODELS, D).iloc[0]
    assert (row["Method"], row["FittedOn"], row["Previous"], row["k"]) == ("warm", D - DAY, D - DAY, 2)
    assert (row["Compared"], row["Renamed"], row["RenamedShare"]) == (4, 2, 0.5)  # b and c of b, c, d, e
    assert (row["KMargin"], row["Drift"], row["Silhouette"]) == (0.9 / 0.6 - 1, 0.2, 0.5)
    assert row["AdjustedRand"] < 1


def test_the_first_run_is_not_compared():
    row = stability(NOW, THEN.iloc[:0], {D: Fake()}, D).iloc[0]
    assert (row["Method"], row["Compared"], row["Renamed"]) == ("full", 0, 0)
    assert row[["Previous", "RenamedShare", "AdjustedRand"]].isna().all()


def test_the_margin_of_a_single_k_is_not_known():
    assert margin([{"k": 2, "score": 1.0}], 2) is None
    assert margin([{"k": 2, "score": 0.9}, {"k": 3, "score": 1.0}], 2) < 0


def runs(renamed: list[float]) -> pd.DataFrame:
    days = [D - (len(renamed) - 1 - n) * DAY for n in range(len(renamed))]
    steady = {"AdjustedRand": 0.99, "Drift": 0.02, "KMargin": 0.1}
    return pd.DataFrame({"UpdateDate": days, "RenamedShare": renamed}).assign(**steady)


def test_a_figure_that_leaves_its_usual_range_is_a_warning():
    found = unsteady(D, runs([0.003] * 8 + [0.09]))
    assert found["kind"].tolist() == ["stability_RenamedShare"]
    assert found["message"][0].startswith(
        "9.0% customers without a purchase who were renamed; 8 earlier runs had about 0.3%, up to 3.3%"
    )
    assert unsteady(D, runs([0.003] * 9)).empty
    assert unsteady(D, runs([0.003] * 3 + [0.09])).empty  # too young to know what is usual
    assert unsteady(D - DAY, runs([0.003] * 8 + [0.09])).empty  # later runs play no part
