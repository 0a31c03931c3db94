"""Choice of k: starts, order and equal customers, silhouettes and score, samples of many customers, ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from rfm.analysis.clustering import k_selection
from rfm.analysis.clustering.k_selection import Fit, cells_of, fit_each, score, silhouette_values, silhouettes
from rfm.config import Clusters

OPTIONS = Clusters(k_min=2, k_max=6)


def clouds(size: int, centres: int = 4, spread: float = 0.3, seed: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    points = random.normal(size=(centres, 3))[random.integers(0, centres, size)] + random.normal(0, spread, (size, 3))
    return (points - points.mean(axis=0)) / points.std(axis=0)


# ── K-means ────────────────────────────────────────────────────────────────────────────────────────
def test_starts_on_a_grid_are_as_good_as_plain_ones():
    from sklearn.cluster import KMeans

    points = clouds(1500, centres=5, spread=0.5)
    for fit in fit_each(points, Clusters(k_min=4, k_max=6)):
        plain = KMeans(len(fit.centroids), n_init=5, random_state=1).fit(points)
        assert fit.inertia == pytest.approx(plain.inertia_, rel=0.01)
        assert np.array_equal(fit.labels, ((points[:, None] - fit.centroids) ** 2).sum(axis=2).argmin(axis=1))


def test_one_thread_gives_the_same_bytes_as_several(monkeypatch):
    points = clouds(400)
    several = fit_each(points, OPTIONS)
    monkeypatch.setattr(k_selection, "THREADS", 1)
    for one, other in zip(fit_each(points, OPTIONS), several, strict=True):
        assert (one.labels.tobytes(), one.centroids.tobytes()) == (other.labels.tobytes(), other.centroids.tobytes())


def test_a_start_given_is_the_only_one_of_as_many_clusters():
    points = clouds(400)
    fits = fit_each(points, OPTIONS)
    poor = np.repeat(points[:1], 4, axis=0) + np.arange(12).reshape(4, 3) * 1e-3
    for one, other in zip(fits, fit_each(points, OPTIONS, start=poor), strict=True):
        assert (one.inertia == other.inertia) == (len(one.centroids) != 4)
    again = fit_each(points, OPTIONS, start=fits[2].centroids)[2]
    assert again.centroids == pytest.approx(fits[2].centroids, abs=0.02)
    assert again.inertia <= fits[2].inertia + 1e-9


@settings(max_examples=4)
@given(st.randoms(use_true_random=False))
def test_order_does_not_matter_and_equals_stay_together(random):
    points = np.repeat(np.round(clouds(120), 1), 2, axis=0)
    order = np.array(random.sample(range(len(points)), len(points)))
    for one, other in zip(fit_each(points, OPTIONS), fit_each(points[order], OPTIONS), strict=True):
        assert np.array_equal(one.labels[order], other.labels)
        assert np.array_equal(one.labels[::2], one.labels[1::2])


def test_few_distinct_points_need_no_grid():
    points = np.repeat(np.eye(3), 50, axis=0)
    assert [len(fit.centroids) for fit in fit_each(points, OPTIONS)] == [2]


# ── silhouettes ────────────────────────────────────────────────────────────────────────────────────
COORDINATES = st.integers(-5, 5).map(float) | st.floats(-3, 3).map(lambda value: round(value, 3))
POINTS = st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), min_size=4, max_size=25)


@st.composite
def labelled_points(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return points, some of them equal, and labelings with up to one cluster fewer than points."""
    points = np.array(draw(POINTS))
    labelings = []
    for k in draw(st.lists(st.integers(2, len(points) - 1), min_size=1, max_size=3)):
        free = draw(st.lists(st.integers(0, k - 1), min_size=len(points) - k, max_size=len(points) - k))
        labelings.append(np.array(draw(st.permutations([*range(k), *free]))))
    return points, labelings


@given(labelled_points())
def test_silhouettes_equal_scikit_learns(case: tuple[np.ndarray, list[np.ndarray]]) -> None:
    points, labelings = case
    expected = [silhouette_score(points, labels) for labels in labelings]
    assert silhouettes(points, labelings) == pytest.approx(expected, abs=1e-12)


@given(labelled_points(), st.integers(1, 5))
def test_silhouettes_do_not_depend_on_the_tiles(case: tuple[np.ndarray, list[np.ndarray]], side: int) -> None:
    points, labelings = case
    whole = silhouettes(points, labelings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(k_selection, "TILE", side)
        assert silhouettes(points, labelings) == pytest.approx(whole, abs=1e-12)


def test_silhouettes_of_many_points_in_small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    points, labelings = random.normal(size=(500, 3)), [random.integers(0, k, 500) for k in (2, 5, 9)]
    monkeypatch.setattr(k_selection, "TILE", 37)
    assert silhouettes(points, labelings) == pytest.approx([silhouette_score(points, labels) for labels in labelings], abs=1e-12)
    assert silhouettes(points, labelings).tobytes() == silhouettes(points, labelings).tobytes()


def test_a_single_cluster_has_silhouette_zero() -> None:
    assert silhouettes(np.eye(3), [np.zeros(3, int)]).tolist() == [0.0]


def test_a_silhouette_by_hand() -> None:
    points = np.array([[0.0], [1.0], [4.0]])  # a = 1 and 1, b = 4 and 3; the third is alone: 0
    assert silhouettes(points, [np.array([0, 0, 1])])[0] == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)


# ── score ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def three_fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """Return fits of k = 2, 3 and 4 with silhouettes of 0.5, 0.4 and 0.2 and an elbow at 3."""
    monkeypatch.setattr(k_selection, "silhouettes", lambda points, labelings: np.array([0.5, 0.4, 0.2]))
    return [Fit(np.zeros(9, int), np.zeros((k, 3)), inertia) for k, inertia in ((2, 100.0), (3, 40.0), (4, 20.0))]


def test_the_score_by_hand(three_fits: list[Fit]) -> None:
    table = score(np.zeros((9, 3)), three_fits)
    assert table["k"].tolist() == [2, 3, 4]
    assert table["inertia"].tolist() == [100.0, 40.0, 20.0]
    assert table["elbow"].tolist() == pytest.approx([0.0, abs(0.5 + 0.25 - 1) / 2**0.5, 0.0])
    assert table["score"].tolist() == pytest.approx([0.6, 0.6 * 0.8 + 0.4, 0.6 * 0.4])


def test_another_silhouette_weight_chooses_another_k(three_fits: list[Fit]) -> None:
    chosen = {weight: score(np.zeros((9, 3)), three_fits, weight).set_index("k")["score"].idxmax() for weight in (0.6, 0.9)}
    assert chosen == {0.6: 3, 0.9: 2}


def test_without_a_positive_silhouette_the_elbow_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k_selection, "silhouettes", lambda points, labelings: np.array([-0.1, -0.2]))
    fits = [Fit(np.zeros(4, int), np.zeros((k, 3)), 5.0) for k in (2, 3)]
    assert score(np.zeros((4, 3)), fits)["score"].tolist() == pytest.approx([0.4, 0.0])  # the elbow alone


# ── silhouettes of a sample ────────────────────────────────────────────────────────────────────────
def test_sampled_silhouettes_equal_the_exact_ones():
    points = clouds(900)
    cells = cells_of(points, [fit.labels for fit in fit_each(points, OPTIONS)])
    rows = np.random.default_rng(1).permutation(900)[:200]
    assert silhouette_values(cells, rows) == pytest.approx(silhouette_values(cells)[rows], abs=2e-4)
    assert silhouette_values(cells, rows).mean(axis=0) == pytest.approx(silhouette_values(cells)[rows].mean(axis=0), abs=1e-5)


def test_a_sample_may_be_taken_in_parts(monkeypatch):
    points = clouds(900)
    cells = cells_of(points, [fit.labels for fit in fit_each(points, OPTIONS)])
    rows = np.random.default_rng(1).permutation(900)[:200]
    whole = silhouette_values(cells, rows)
    monkeypatch.setattr(k_selection, "QUERIES", 64)
    assert silhouette_values(cells, rows) == pytest.approx(whole, abs=2e-4)


def test_all_rows_drawn_leave_no_error(monkeypatch):
    points = clouds(600)
    fits = fit_each(points, OPTIONS)
    exact = score(points, fits)
    monkeypatch.setattr(k_selection, "EXACT", 0)
    drawn = score(points, fits)
    assert drawn["rows"].tolist() == [600] * 5
    assert drawn["error"].tolist() == drawn["lead_error"].tolist() == [0.0] * 5
    assert drawn["score"].tolist() == pytest.approx(exact["score"].tolist(), abs=1e-5)


def test_a_clear_choice_needs_the_first_sample_only(monkeypatch):
    points = clouds(5000, spread=0.1)
    fits = fit_each(points, OPTIONS)
    exact = score(points, fits)
    monkeypatch.setattr(k_selection, "EXACT", 1000)
    monkeypatch.setattr(k_selection, "FIRST", 200)
    drawn = score(points, fits)
    assert drawn["rows"].unique().tolist() == [200]
    assert not drawn["tied"].any()
    assert drawn["score"].idxmax() == exact["score"].idxmax()
    assert ((drawn["silhouette"] - exact["silhouette"]).abs() <= 4 * drawn["error"] + 1e-6).all()


def test_a_close_choice_ends_as_a_tie_of_the_largest_sample(monkeypatch):
    points = clouds(3000)
    monkeypatch.setattr(k_selection, "EXACT", 1000)
    monkeypatch.setattr(k_selection, "FIRST", 50)
    monkeypatch.setattr(k_selection, "MOST", 400)
    labels = fit_each(points, OPTIONS)[2].labels
    fits = [Fit(labels, np.zeros((k, 3)), inertia) for k, inertia in ((2, 3.0), (3, 2.0), (4, 1.0))]  # no elbow at all
    drawn = score(points, fits)
    assert drawn["rows"].unique().tolist() == [400]
    assert drawn["tied"].sum() == 2
    assert drawn["tied"].dtype == bool


def test_the_standard_error_is_that_of_many_samples(monkeypatch):
    points = clouds(4000)
    fits = fit_each(points, OPTIONS)
    truth = silhouettes(points, [fit.labels for fit in fits])
    for name, value in {"EXACT": 1000, "FIRST": 250, "MOST": 250}.items():
        monkeypatch.setattr(k_selection, name, value)
    misses = []
    for seed in range(20):
        monkeypatch.setattr(k_selection, "SEED", seed)
        drawn = score(points, fits)
        misses.append(((drawn["silhouette"] - truth) / drawn["error"]).to_numpy())
    assert 0.5 < np.std(misses) < 1.6


@pytest.mark.long
def test_a_million_customers_stay_small_and_quick():
    import resource
    import time

    points = clouds(1_000_000, centres=6, spread=0.5)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()  # of all threads
    drawn = score(points, fit_each(points, Clusters()))
    assert time.process_time() - started < 180
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3 << 20  # kB
    assert drawn["rows"].max() <= k_selection.MOST
