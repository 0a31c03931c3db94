"""Stable clusters: what a run takes over from the run before, and what must not matter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.steady import compared, figures
from rfm.analysis import clustering
from rfm.analysis.clustering import Model, cluster, features
from rfm.analysis.outliers import outlier_clusters
from rfm.analysis.segments.profiles import describe_clusters, describe_customers, medians_of, summarise_clusters
from rfm.analysis.segments.rules import steady_segment
from rfm.config import Clusters

D = dt.date(2025, 6, 30)
DAY = dt.timedelta(days=1)
FEW = Clusters(k_min=2, k_max=5, n_init=2)
MEDIANS = {"Monetary": 100.0, "Frequency": 4.0, "Recency": 60.0}


def gold_of(customers: list[tuple[int, int, int]], day: dt.date = D) -> pd.DataFrame:
    cents, orders, days = (np.array(values) for values in zip(*customers, strict=True))
    return pd.DataFrame(
        {
            "CustomerID": [f"{12000 + n}" for n in range(len(cents))],
            "MaxInvoiceDate": [day - int(n) * DAY for n in days],
            "Recency": days.astype("int32"),
            "Frequency": orders.astype("int32"),
            "Monetary": cents / 100,
        }
    )


def run(gold: pd.DataFrame, day: dt.date = D, before: tuple[Model, pd.DataFrame] | None = None, options: Clusters = FEW):
    """Return the named model and the customers with their segments: what stages 4 and 5 do."""
    earlier, yesterday = before or (None, None)
    marks = outlier_clusters(gold, options.iqr_factor)
    found = cluster(gold, marks, day, options, earlier=earlier, yesterday=yesterday)
    summary = summarise_clusters(found.customers)
    described = describe_clusters(summary, medians_of(gold), before=found.model.before, band=options.band)
    return found.model.named(described), describe_customers(found.customers, described)


def some_customers(n: int = 60, seed: int = 5) -> list[tuple[int, int, int]]:
    random = np.random.default_rng(seed)
    columns = random.gamma(2, 9000, n).astype(int), random.poisson(3, n) + 1, random.integers(0, 90, n)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def segments(customers: pd.DataFrame) -> Mapping[str, str]:
    return customers.set_index("CustomerID")["Cluster_Description"].to_dict()


@pytest.fixture(scope="module")
def yesterday() -> tuple[Model, pd.DataFrame]:
    return run(gold_of(some_customers(), D - DAY), D - DAY)


def a_day_later(gold: pd.DataFrame) -> pd.DataFrame:
    return gold.assign(Recency=(gold["Recency"] + 1).astype("int32"))


# ── which run is the one before ────────────────────────────────────────────────────────────────────
def models(*dates: dt.date, names: Mapping[str, str] = {"0": "Champions"}) -> pd.DataFrame:
    plain = {"k": 1, "mean": [0.0] * 3, "scale": [1.0] * 3, "centroids": [[0.0] * 3], "scores": [], "version": ""}
    rows = [Model(trained=date.isoformat(), names=dict(names), **plain).record for date in dates]
    return pd.concat(rows) if rows else pd.DataFrame(columns=["UpdateDate", "k", "model"])


def predecessor(frame: pd.DataFrame, refit: bool = False, **options: object) -> dt.date | None:
    found = Model.predecessor(frame, D, Clusters(**options), refit)
    return found.date if found else None


def test_predecessor_is_the_newest_earlier_run():
    assert predecessor(models(D - 3 * DAY, D - DAY, D, D + DAY)) == D - DAY
    assert predecessor(models(D, D + DAY)) is None
    assert predecessor(models()) is None


def test_no_predecessor_after_a_gap_on_refit_or_if_off():
    assert predecessor(models(D - 7 * DAY)) == D - 7 * DAY
    assert predecessor(models(D - 8 * DAY)) is None
    assert predecessor(models(D - 8 * DAY), gap_days=8) == D - 8 * DAY
    assert predecessor(models(D - DAY), refit=True) is None
    assert predecessor(models(D - DAY), stability="off") is None


def test_an_unnamed_model_is_skipped():
    frame = pd.concat([models(D - 2 * DAY), models(D - DAY, names={})])
    assert predecessor(frame) == D - 2 * DAY
    assert list(Model.kept(frame, D)) == [D - 2 * DAY]
    assert list(Model.kept(frame, D - DAY)) == [D - 2 * DAY, D - DAY]


# ── k ──────────────────────────────────────────────────────────────────────────────────────────────
def choose(lead: float, since: dt.date | None = None) -> tuple[int, dict | None]:
    scores = pd.DataFrame({"k": [3, 4], "score": [0.8, 0.8 * (1 + lead)]})
    earlier = Model.from_json(models(D - DAY)["model"].iloc[0])
    challenger = {"k": 4, "since": since.isoformat()} if since else None
    earlier = Model(**{**earlier.__dict__, "k": 3, "challenger": challenger})
    place, now = clustering.choose_k(scores, earlier, D, Clusters(k_margin=0.05, k_days=3))
    return int(scores["k"][place]), now


def test_another_k_must_be_better_by_the_margin_for_some_days():
    assert choose(-0.01) == (3, None)
    assert choose(0.04) == (3, {"k": 4, "since": D.isoformat()})
    assert choose(0.06) == (3, {"k": 4, "since": D.isoformat()})
    assert choose(0.06, D - DAY) == (3, {"k": 4, "since": (D - DAY).isoformat()})
    assert choose(0.06, D - 2 * DAY) == (4, None)


def test_a_much_better_k_takes_over_at_once():
    assert choose(0.04, D - 2 * DAY)[0] == 3
    assert choose(0.21) == (4, None)


def test_the_margin_of_the_kept_k_halves_with_waiting():
    assert choose(0.026, D - 12 * DAY)[0] == 3
    assert choose(0.026, D - 13 * DAY) == (4, None)


def test_a_worse_day_takes_one_day_off_the_wait():
    assert choose(-0.01, D - 3 * DAY) == (3, {"k": 4, "since": (D - DAY).isoformat()})
    assert choose(-0.01, D - DAY) == (3, None)


# ── what is taken over ─────────────────────────────────────────────────────────────────────────────
def test_a_day_without_purchases_changes_almost_nothing(yesterday):
    model, customers = run(a_day_later(gold_of(some_customers(), D - DAY)), D, yesterday)
    assert (model.previous, model.fitted, model.k) == ("2025-06-29", "2025-06-29", yesterday[0].k)
    assert sorted(model.matched) == list(range(model.k))
    assert max(model.drift) <= FEW.max_drift + 1e-9
    moved = segments(customers).items() - segments(yesterday[1]).items()
    assert len(moved) <= 2


def test_a_centroid_drifts_over_several_days(yesterday):
    far = gold_of([(cents * 4 // 5, orders, days) for cents, orders, days in some_customers()])
    options = FEW.model_copy(update={"k_margin": 10.0, "max_drift": 0.05})
    once = run(far, D, yesterday, options)
    assert max(once[0].drift) == pytest.approx(0.05)
    start, after = (np.array(model.centroids) for model in (yesterday[0], once[0]))
    twice = run(a_day_later(far), D + DAY, once, options)
    assert np.array(twice[0].centroids)[:, 0].mean() < after[:, 0].mean() < start[:, 0].mean()


def test_without_a_band_the_nearest_cluster_is_assigned(yesterday):
    options = FEW.model_copy(update={"band": 0.0})
    gold = a_day_later(gold_of(some_customers(), D - DAY))
    model, customers = run(gold, D, yesterday, options)
    assert customers["Cluster"].tolist() == model.predict(customers).tolist()


def two_clusters(previous: str | None = "2025-06-29") -> Model:
    plain = {"mean": [0.0] * 3, "scale": [1.0] * 3, "scores": [], "version": ""}
    found = {"previous": previous, "matched": [1, 0]}
    return Model(trained="2025-06-30", k=2, centroids=[[100.0, 1, 10], [0.0, 1, 10]], **plain, **found)


def history_of(gold: pd.DataFrame, clusters: list[int]) -> pd.DataFrame:
    return gold.assign(Cluster=clusters)


def test_customers_are_assigned_in_pieces_as_all_at_once(yesterday, monkeypatch):
    gold = a_day_later(gold_of(some_customers(), D - DAY))
    model, _ = run(gold, D, yesterday)
    whole = clustering.assign(gold, model, yesterday[1], FEW.band).tolist()
    monkeypatch.setattr("rfm.analysis.clustering.PIECE", 7)
    assert clustering.assign(gold, model, yesterday[1], FEW.band).tolist() == whole
    assert model.nearest(gold).tolist() == model.distances(features(gold)).argmin(axis=1).tolist()
    assert model.nearest(gold.head(0)).tolist() == []


@pytest.mark.parametrize(("spend", "stays"), [(50.5, True), (51.0, True), (51.5, False), (70.0, False)])
def test_a_border_customer_stays_within_the_band(spend, stays):
    gold = gold_of([(int(spend * 100), 1, 10)])  # at 51 it is 49 from cluster 0 and 51 from cluster 1: squared, nearer by 8 %
    found = clustering.assign(gold, two_clusters(), history_of(gold, [0]), 0.1)  # yesterday's 0 is today's 1
    assert found.tolist() == [1 if stays else 0]


def test_buyers_and_new_customers_go_to_the_nearest():
    gold = gold_of([(5100, 1, 10), (5100, 1, 10)])
    before = history_of(gold.assign(Frequency=np.int32(2)), [0, 0])
    assert clustering.assign(gold, two_clusters(), before, 0.1).tolist() == [0, 0]
    assert clustering.assign(gold, two_clusters(), before.iloc[:0], 0.1).tolist() == [0, 0]
    assert clustering.assign(gold, two_clusters(previous=None), history_of(gold, [0, 0]), 0.1).tolist() == [0, 0]


def test_equal_customers_stay_together_or_go_together():
    gold = gold_of([(5100, 1, 10), (5100, 1, 10)])
    agreed, torn = history_of(gold, [0, 0]), history_of(gold, [0, 1])
    assert clustering.assign(gold, two_clusters(), agreed, 0.1).tolist() == [1, 1]
    assert clustering.assign(gold, two_clusters(), torn, 0.1).tolist() == [0, 0]
    assert clustering.assign(gold, two_clusters(), agreed.iloc[:1], 0.1).tolist() == [0, 0]  # one is new


# ── names ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("values", "before", "name"),
    [
        ((99, 8, 45), None, "Frequent Buyers"),
        ((99, 8, 45), "Champions", "Champions"),
        ((95, 8, 45), "Champions", "Frequent Buyers"),  # the band ends at 95
        ((205, 8, 45), "Champions", "Champions"),
        ((211, 8, 45), "Champions", "High Value Active"),
        ((150, 8.3, 45), "Champions", "Champions"),
        ((150, 8.5, 45), "Champions", "Super Frequent Active"),
        ((150, 8, 62), "Champions", "Champions"),
        ((150, 8, 63), "Champions", "Loyal Customers At Risk"),
        ((150, 8, 58), "Loyal Customers At Risk", "Loyal Customers At Risk"),
        ((150, 8, 57), "Loyal Customers At Risk", "Champions"),
        ((99, 8, 63), "Champions", "Loyal Customers At Risk"),  # each metric by itself: spend stays, days do not
        ((99, 8, 45), "a name of another version", "Frequent Buyers"),
    ],
)
def test_a_name_stays_within_the_band(values, before, name):
    assert steady_segment(values, MEDIANS, before=before, band=0.05) == name


def test_the_name_of_spend_outliers_who_are_dormant_stays_too():
    assert steady_segment((198, 4, 62), MEDIANS, -1, before="Premium Dormant Customers", band=0.05) == "Premium Dormant Customers"


def test_outlier_clusters_keep_their_names_too(yesterday):
    model, _ = run(a_day_later(gold_of(some_customers(), D - DAY)), D, yesterday)
    outliers = {name: segment for name, segment in yesterday[0].names.items() if int(name) < 0}
    assert outliers
    assert outliers.items() <= model.before.items()


# ── the model alone ────────────────────────────────────────────────────────────────────────────────
def test_the_model_alone_gives_the_segments(yesterday):
    model, customers = yesterday
    assert model.segments(customers).tolist() == customers["Cluster_Description"].tolist()
    assert model.predict(customers).tolist() == customers["Cluster"].tolist()
    assert Model.from_json(model.to_json()) == model


def test_an_unknown_kind_of_outlier_gets_the_nearest_segment():
    model = Model(
        **{**two_clusters().__dict__, "fences": {"Monetary": [0.0, 200.0]}, "names": {"0": "Champions", "1": "Hibernating"}}
    )
    assert model.predict(gold_of([(90000, 1, 10)])).tolist() == [-1]
    assert model.segments(gold_of([(90000, 1, 10)])).tolist() == ["Champions"]


# ── what must never matter ─────────────────────────────────────────────────────────────────────────
CUSTOMERS = st.lists(st.tuples(st.integers(1, 50_000), st.integers(1, 12), st.integers(1, 90)), min_size=4, max_size=25).flatmap(
    lambda some: st.lists(st.sampled_from(some), max_size=5).map(lambda twins: some + twins)
)


def chain(today: pd.DataFrame, then: pd.DataFrame, day: dt.date = D) -> list[Mapping[str, str]]:
    """Return the segments of two days, a full fit and what grows from it."""
    first = run(then, day - DAY)
    return [segments(first[1]), segments(run(today, day, first)[1])]


def both_days(customers: list[tuple[int, int, int]], buyers: set[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return yesterday's and today's customers: some have bought today, the others are a day older."""
    now = [(c + 2500, o + 1, 0) if n in buyers else (c, o, d + 1) for n, (c, o, d) in enumerate(customers)]
    return gold_of(now), gold_of(customers, D - DAY)


few = settings(max_examples=3)
BUYERS = st.sets(st.integers(0, 24), max_size=4)


@few
@given(CUSTOMERS, BUYERS, st.randoms(use_true_random=False))
def test_segments_do_not_depend_on_order_or_ids(customers, buyers, random):
    days = both_days(customers, buyers)
    plain = chain(*days)
    order = random.sample(range(len(customers)), len(customers))
    ids = random.sample([f"{n}" for n in range(100)], len(customers))
    assert chain(*(gold.iloc[order] for gold in days)) == plain
    renamed = chain(*(gold.assign(CustomerID=ids) for gold in days))
    assert [[found[ids[n]] for n in range(len(ids))] for found in renamed] == [list(found.values()) for found in plain]


@few
@given(CUSTOMERS, BUYERS)
def test_segments_do_not_depend_on_currency_unit_or_date(customers, buyers):
    days = both_days(customers, buyers)
    plain = chain(*days)
    assert chain(*(gold.assign(Monetary=(gold["Monetary"] * 100).round()) for gold in days)) == plain
    later = 365 * DAY
    assert chain(*(gold.assign(MaxInvoiceDate=gold["MaxInvoiceDate"] + later) for gold in days), D + later) == plain


@few
@given(CUSTOMERS, BUYERS)
def test_equal_customers_are_always_together(customers, buyers):
    for gold, found in zip(reversed(both_days(customers, buyers)), chain(*both_days(customers, buyers)), strict=True):
        named = gold.assign(segment=gold["CustomerID"].map(found))
        assert (named.groupby(["Monetary", "Frequency", "Recency"])["segment"].nunique() == 1).all()


# ── the real files ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.real
def test_some_real_days_are_steadier_than_fresh_fits(real_files: Path):
    steady, fresh = map(figures, compared(real_files, [dt.date(2025, 7, 20)], dt.date(2025, 7, 26)).values())
    assert steady["renamed_mean"] <= fresh["renamed_mean"]
    assert steady["renamed_mean"] < 0.03
    assert steady["silhouette"] > 0.9 * fresh["silhouette"]


@pytest.mark.long
@pytest.mark.real
def test_real_days_are_steady_from_any_first_day(real_files: Path):
    chains = compared(real_files)
    found = {name: figures(chain) for name, chain in chains.items()}
    fresh = found.pop("fresh")
    for steady in found.values():
        assert steady["above_3"] == 0
        assert steady["renamed_mean"] < fresh["renamed_mean"] / 4
