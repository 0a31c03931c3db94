"""Movement: moves, causes and stability, counted by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from rfm.analysis.movement import (
    comparable,
    largest_moves,
    margin,
    movement,
    moves_between,
    segment_totals,
    since,
    stability,
)
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

    def scaled(self, values: np.ndarray) -> np.ndarray:
        return values / [10, 1, 1]

    def segments(self, customers: pd.DataFrame) -> np.ndarray:
        return np.array([self.segment] * len(customers), dtype=object)


def customers(rows: str, day: dt.date) -> pd.DataFrame:
    """Return customers from lines of id, invoices, cluster and segment; each spent 10 an invoice."""
    ids, orders, clusters, names = zip(*(line.split() for line in rows.strip().splitlines()), strict=True)
    frame = pd.DataFrame({"CustomerID": ids, "Frequency": [int(n) for n in orders], "Cluster": [int(n) for n in clusters]})
    return frame.assign(
        MaxInvoiceDate=D - 9 * DAY, Recency=9, Monetary=frame["Frequency"] * 10, Cluster_Description=names, UpdateDate=day
    )


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


PAST = pd.concat([THEN.assign(CustomerID=[*"abcdg"]), NOW, NOW.assign(UpdateDate=D + DAY)])  # g is in the first run only


def test_totals_of_each_day_by_hand():
    found = segment_totals(PAST, D)
    assert found[["UpdateDate", "Segment", "Customers", "Revenue"]].to_numpy().tolist() == [
        [D - DAY, "A", 4, 40],
        [D - DAY, "B", 1, 10],
        [D, "A", 1, 10],
        [D, "B", 4, 70],
        [D, "C", 1, 10],
    ]
    assert found["CustomerShare"].tolist() == [4 / 5, 1 / 5, 1 / 6, 4 / 6, 1 / 6]
    assert found["RevenueShare"].tolist() == [4 / 5, 1 / 5, 1 / 9, 7 / 9, 1 / 9]
    assert segment_totals(PAST, D - 2 * DAY).empty


def test_moves_between_two_days_by_hand():
    found = moves_between(PAST[PAST["UpdateDate"] <= D].assign(Monetary=lambda rows: rows["Monetary"] + 0.07))
    assert found.to_numpy().tolist() == [
        [D - DAY, D, "A", "B", 2, Decimal("30.14")],
        [D - DAY, D, "A", "C", 1, Decimal("10.07")],
        [D - DAY, D, "A", "", 1, Decimal("0.00")],  # g is no longer counted
        [D - DAY, D, "B", "B", 1, Decimal("10.07")],
        [D - DAY, D, "", "A", 1, Decimal("10.07")],
        [D - DAY, D, "", "B", 1, Decimal("30.07")],
    ]
    assert len(moves_between(PAST).drop_duplicates(["Since", "UpdateDate"])) == 3
    assert moves_between(PAST.iloc[:0]).empty


def test_compared_days_are_near_each_other_lately_and_few():
    days = comparable([D - n * DAY for n in range(1000)] + [D + DAY], D)
    ages = [(D - day).days for day in reversed(days)]
    assert ages[:12] == [0, 1, 2, 3, 4, 5, 6, 7, 14, 21, 30, 60]
    assert (ages[-1], len(ages)) == (999, 26)
    assert {*since([D - n * DAY for n in range(1000)], D).values()} <= {*days}
    assert comparable([D - 40 * DAY, D], D) == [D - 40 * DAY, D]
    assert comparable([], D) == []


def test_stability_of_a_day_by_hand():
    row = stability(NOW, THEN, MODELS, D).iloc[0]
    assert (row["Method"], row["FittedOn"], row["Previous"], row["k"]) == ("warm", D - DAY, D - DAY, 2)
    assert (row["Compared"], row["Renamed"], row["RenamedShare"]) == (4, 2, 0.5)  # b and c of b, c, d, e
    assert (row["KMargin"], row["Drift"]) == (0.9 / 0.6 - 1, 0.2)
    assert row["AdjustedRand"] < 1


def test_silhouette_is_that_of_the_published_clusters():
    outlier = NOW.assign(Cluster=[1, 1, 2, 0, 0, -1])  # f is beyond the fences
    points = outlier[["Monetary", "Frequency", "Recency"]].to_numpy(float)[:5] / [10, 1, 1]
    found = stability(outlier, THEN, MODELS, D)["Silhouette"].iloc[0]
    assert found == pytest.approx(silhouette_score(points, outlier["Cluster"][:5]))
    assert stability(NOW.assign(Cluster=-1), THEN, MODELS, D)["Silhouette"].iloc[0] == 0


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
