"""Clusters: the numbering, the model, poor inputs."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from rfm.analysis import clustering
from rfm.analysis.clustering import Clustering, Model, cluster
from rfm.analysis.outliers import outlier_clusters
from rfm.config import Clusters
from rfm.contracts import TABLES
from rfm.errors import InputError

D = dt.date(2025, 6, 30)
FEW = Clusters(k_min=2, k_max=6, n_init=2)
GROUPS = ((1000, 12, 5), (400, 6, 20), (90, 2, 60))  # spend, invoices, days


def gold_of(money: list[float], orders: list[int], days: list[int]) -> pd.DataFrame:
    recency = np.asarray(days, dtype="int32")
    return pd.DataFrame(
        {
            "CustomerID": [f"{12000 + n}" for n in range(len(money))],
            "MaxInvoiceDate": [D - dt.timedelta(days=int(n)) for n in recency],
            "Recency": recency,
            "Frequency": np.asarray(orders, dtype="int32"),
            "Monetary": np.asarray(money, dtype=float),
        }
    )


def three_groups(size: int = 20) -> pd.DataFrame:
    random = np.random.default_rng(7)
    spend, orders, days = (np.repeat(values, size) for values in zip(*GROUPS, strict=True))
    spend = spend * random.uniform(0.95, 1.05, len(spend))
    return gold_of(spend.round(2).tolist(), orders + random.integers(0, 2, len(orders)), days + random.integers(0, 3, len(days)))


def grouped(gold: pd.DataFrame, options: Clusters = FEW, **changes: object) -> Clustering:
    return cluster(gold, pd.Series(0, index=gold.index), D, options, **changes)


@pytest.fixture(scope="module")
def found() -> Clustering:
    return grouped(three_groups(), version="1.2.3")


# ── clusters ───────────────────────────────────────────────────────────────────────────────────────
def test_three_groups_are_found(found: Clustering) -> None:
    assert found.model.k == 3
    assert found.customers["Cluster"].tolist() == [0] * 20 + [1] * 20 + [2] * 20
    assert found.customers.columns.tolist() == TABLES["customer_rfm_kmeans_clustered"].names
    assert found.customers["UpdateDate"].unique().tolist() == [D]
    assert found.customers["Cluster"].dtype == np.int32


def test_the_best_score_wins_and_all_are_kept(found: Clustering) -> None:
    scores = pd.DataFrame(found.model.scores)
    assert scores["k"].tolist() == [2, 3, 4, 5, 6]
    assert scores.loc[scores["score"].idxmax(), "k"] == found.model.k


def test_scores_are_those_of_scikit_learn(found: Clustering) -> None:
    values = clustering.features(found.customers)
    points = (values - values.mean(axis=0)) / values.std(axis=0)
    for row, fit in zip(found.model.scores, clustering.fit_each(points, FEW), strict=True):
        assert row["inertia"] == pytest.approx(fit.inertia)
        assert row["silhouette"] == pytest.approx(silhouette_score(points, fit.labels), abs=1e-8)  # points are rounded first


def test_centroids_are_means_in_their_own_units(found: Clustering) -> None:
    means = found.customers.groupby("Cluster")[list(clustering.FEATURES)].mean().to_numpy()
    assert np.array(found.model.centroids) == pytest.approx(means)


def test_clusters_are_numbered_by_falling_median_spend() -> None:
    gold = three_groups()
    upside_down = gold.assign(Monetary=2000 - gold["Monetary"])
    result = grouped(upside_down)
    medians = result.customers.groupby("Cluster")["Monetary"].median()
    assert medians.is_monotonic_decreasing
    assert result.customers["Cluster"].tolist()[:20] == [result.model.k - 1] * 20


def test_money_a_hundred_times_larger_changes_no_cluster(found: Clustering) -> None:
    gold = three_groups()
    scaled = grouped(gold.assign(Monetary=gold["Monetary"] * 100))
    assert scaled.customers["Cluster"].tolist() == found.customers["Cluster"].tolist()


def test_the_order_of_rows_does_not_matter(found: Clustering) -> None:
    shuffled = grouped(three_groups().sample(frac=1, random_state=1), version="1.2.3")
    assert shuffled.model == found.model
    pd.testing.assert_frame_equal(shuffled.customers.reset_index(drop=True), found.customers.reset_index(drop=True))


def test_the_same_input_gives_the_same_model(found: Clustering) -> None:
    assert grouped(three_groups(), version="1.2.3").model == found.model


def test_outliers_keep_their_marks_and_stay_out_of_the_fit(found: Clustering) -> None:
    far = gold_of([90000.0, 50.0], [3, 400], [1, 1]).assign(CustomerID=["99998", "99999"])
    gold = pd.concat([three_groups(), far], ignore_index=True)
    marks = pd.Series([0] * 60 + [-1, -2], index=gold.index)
    result = cluster(gold, marks, D, FEW, version="1.2.3")
    assert result.customers["Cluster"].tolist() == [*found.customers["Cluster"], -1, -2]
    assert result.model == found.model


def test_marks_are_matched_by_index(found: Clustering) -> None:
    gold = three_groups()
    marks = pd.Series(0, index=gold.index)
    marks[5] = -3
    result = cluster(gold.sample(frac=1, random_state=2), marks.sample(frac=1, random_state=3), D, FEW)
    assert result.customers.loc[result.customers["Cluster"] == -3, "CustomerID"].tolist() == ["12005"]


def test_the_input_is_not_changed() -> None:
    gold, marks = three_groups(), pd.Series(0, index=range(60))
    before, marks_before = gold.copy(deep=True), marks.copy()
    cluster(gold, marks, D, FEW)
    pd.testing.assert_frame_equal(gold, before)
    pd.testing.assert_series_equal(marks, marks_before)


# ── the model ──────────────────────────────────────────────────────────────────────────────────────
def test_the_model_goes_through_json_and_back(found: Clustering) -> None:
    assert Model.from_json(found.model.to_json()) == found.model
    assert set(json.loads(found.model.to_json())) >= {"trained", "k", "mean", "scale", "centroids", "fences", "names"}
    assert (found.model.trained, found.model.version) == ("2025-06-30", "1.2.3")


def test_a_model_read_back_predicts_the_same_clusters(found: Clustering) -> None:
    again = Model.from_json(found.model.to_json()).predict(found.customers)
    assert again.tolist() == found.customers["Cluster"].tolist()
    assert again.dtype == np.int32


def test_new_customers_get_the_nearest_cluster(found: Clustering) -> None:
    new = pd.DataFrame({"Recency": [60, 4], "Frequency": [2, 13], "Monetary": [80.0, 990.0]})
    assert found.model.predict(new).tolist() == [2, 0]


def test_the_record_keeps_the_contract(found: Clustering) -> None:
    assert found.model.record.columns.tolist() == TABLES["cluster_models"].names
    assert found.model.record[["UpdateDate", "k"]].values.tolist() == [[D, 3]]
    assert Model.from_json(found.model.record["model"][0]) == found.model


def test_silhouette_weight_of_the_options_is_used() -> None:
    scores = pd.DataFrame(grouped(three_groups(), FEW.model_copy(update={"silhouette_weight": 0.25})).model.scores)
    silhouette, elbow = (scores[name] / scores[name].max() for name in ("silhouette", "elbow"))
    assert scores["score"].tolist() == pytest.approx((0.25 * silhouette + 0.75 * elbow).tolist())


# ── poor inputs ────────────────────────────────────────────────────────────────────────────────────
POOR = {
    "one customer": (gold_of([10.0], [1], [3]), 1),
    "two customers": (gold_of([10.0, 20.0], [1, 2], [3, 4]), 1),
    "all equal": (gold_of([10.0] * 9, [1] * 9, [3] * 9), 1),
    "two distinct": (gold_of([10.0, 20.0] * 5, [1, 2] * 5, [3, 4] * 5), 1),
    "three customers": (gold_of([10.0, 11.0, 500.0], [1, 1, 9], [3, 3, 50]), 2),
}


@pytest.mark.parametrize(("gold", "k"), POOR.values(), ids=list(POOR))
def test_few_customers_still_get_a_cluster_each(gold: pd.DataFrame, k: int) -> None:
    result = grouped(gold)
    assert result.model.k == k
    assert result.customers["Cluster"].tolist() == result.model.predict(gold).tolist()
    assert set(result.customers["Cluster"]) == set(range(k))
    assert Model.from_json(result.model.to_json()) == result.model


def test_fewer_distinct_points_than_k_max_try_fewer_k() -> None:
    gold = gold_of([10.0, 20.0, 400.0, 900.0] * 4, [1, 1, 8, 9] * 4, [60, 50, 3, 2] * 4)
    assert [row["k"] for row in grouped(gold).model.scores] == [2, 3]


def test_a_constant_metric_does_no_harm() -> None:
    gold = three_groups().assign(Recency=np.int32(0), MaxInvoiceDate=D)
    assert np.isfinite(grouped(gold).model.centroids).all()


def test_where_all_are_outliers_they_keep_their_marks() -> None:
    gold = gold_of([10.0, 20.0, 30.0], [1, 2, 3], [3, 4, 5])
    result = cluster(gold, pd.Series([-1, -2, -3]), D, FEW)
    assert result.customers["Cluster"].tolist() == [-1, -2, -3]


def test_no_customers_is_an_error() -> None:
    gold = three_groups().iloc[:0]
    with pytest.raises(InputError, match=r"customer_rfm_gold has 0 customers as of 2025-06-30; check rules\.stock_code_pattern"):
        cluster(gold, outlier_clusters(gold), D)


def test_gold_of_another_date_is_an_error() -> None:
    gold = three_groups()
    with pytest.raises(InputError, match="is as of 2025-06-30, not 2025-07-01; run the gold stage for 2025-07-01 first"):
        cluster(gold, pd.Series(0, index=gold.index), dt.date(2025, 7, 1))


def test_gold_with_dates_as_timestamps_is_of_its_date(found: Clustering) -> None:
    gold = three_groups()
    again = grouped(gold.assign(MaxInvoiceDate=pd.to_datetime(gold["MaxInvoiceDate"])), version="1.2.3")
    assert again.model == found.model


CUSTOMERS = st.lists(st.tuples(st.integers(0, 10**5), st.integers(1, 30), st.integers(0, 200)), min_size=1, max_size=30)


@given(CUSTOMERS)
def test_every_customer_has_a_cluster_that_the_model_knows(customers: list[tuple[int, int, int]]) -> None:
    money, orders, days = zip(*customers, strict=True)
    gold = gold_of([cents / 100 for cents in money], orders, days)
    marks = outlier_clusters(gold)
    result = cluster(gold, marks, D, Clusters(k_min=2, k_max=4, n_init=1))
    clusters = result.customers.sort_index()["Cluster"]
    assert clusters[marks < 0].tolist() == marks[marks < 0].tolist()
    regular = clusters[marks == 0]
    assert regular.isin(range(result.model.k)).all()
    assert regular.tolist() == result.model.predict(gold[marks == 0]).tolist()
