"""Threads: as many of ours as the work has parts, and one of the libraries' own in each, or they get in each other's way.

All silhouettes from one pass over the distances.

Silhouettes are most of the cost of choosing k when each k measures all distances anew. Here all k share one
pass, in which each distance is measured once for both its points: distances are summed per *cell*, the points that every
clustering puts together, and cells add up to clusters, so the figures are exact. Tiles of distances stay in the processor's
cache, so memory does not grow with the number of distances.

K-means for each k, by scikit-learn: equal customers weighted, starts compared on a coarse picture first.

Weigh which k is best: silhouettes and elbow; of very many customers from a sample, as large as the choice needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rfm.config import Clusters

# ── threads ────────────────────────────────────────────────────────────
THREADS = 2


def alone(library: str) -> Any:
    """Keep the libraries' own threads down to one, from now on or, as a context, for a while."""
    return _pools().limit(limits=1, user_api=library)


@cache
def _pools() -> Any:
    """Find the libraries' threads, once: that takes some milliseconds."""
    import sklearn.cluster  # noqa: F401  # loaded first, and scipy with it, so that they are found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


# ── silhouette ────────────────────────────────────────────────────────────
TILE = 256  # points a side of the distances that are in memory at once, a tile a thread
QUERIES = 512  # points of a sample whose silhouettes are taken together


class Tile(NamedTuple):
    """Points that are next to each other in the order of cells."""

    points: np.ndarray
    inside: np.ndarray
    member: np.ndarray


class Cells(NamedTuple):
    """Points laid out for silhouettes of several clusterings."""

    points: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    tiles: list[Tile]


def silhouettes(points: np.ndarray, labelings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean silhouette of each clustering, all from one pass over the distances."""
    return silhouette_values(cells_of(points, labelings)).mean(axis=0)


def cells_of(points: np.ndarray, labelings: Sequence[np.ndarray]) -> Cells:
    """Lay points out for `silhouette_values`; parameters as for `silhouettes`."""
    import pandas as pd

    cell = np.zeros(len(points), np.int64)
    for labels in labelings:
        cell = pd.factorize(cell * (int(labels.max()) + 1) + labels)[0]
    order, labels = np.argsort(cell, kind="stable"), np.stack(labelings, axis=1)
    ones = [np.eye(size) for size in labels.max(axis=0) + 1]

    def tile(rows: np.ndarray) -> Tile:
        new = np.diff(cell[rows], prepend=-1) != 0
        member = np.hstack([one[own] for one, own in zip(ones, labels[rows[new]].T, strict=True)])
        return Tile(points[rows], np.eye(new.sum())[new.cumsum() - 1], member)

    return Cells(points, labels, order, [tile(order[top : top + TILE]) for top in range(0, len(points), TILE)])


def silhouette_values(cells: Cells, rows: np.ndarray | None = None) -> np.ndarray:
    """Return the silhouette of some points among all, in each clustering."""
    sizes = [np.bincount(labels) for labels in cells.labels.T]
    with alone("blas"), ThreadPoolExecutor(THREADS) as pool:
        if rows is None:
            rows = np.arange(len(cells.points))
            sums = _sums_of_all(cells, pool)
        else:
            sums = _sums_of_some(cells, rows, pool)
    each = np.split(sums, np.cumsum([len(size) for size in sizes])[:-1], axis=1)
    return np.stack([_silhouettes(*of) for of in zip(each, cells.labels[rows].T, sizes, strict=True)], axis=1)


def _sums_of_all(cells: Cells, pool: ThreadPoolExecutor) -> np.ndarray:
    """Return the sum of distances from each point to the points of each cluster, shape (points, clusters of all clusterings).

    Each thread takes every other row of tiles, always the same, so that sums do not depend on which is faster.
    """
    from scipy.spatial.distance import cdist

    def share(first: int) -> np.ndarray:
        whole = np.zeros((len(cells.points), cells.tiles[0].member.shape[1]))
        sums = np.split(whole, np.cumsum([len(tile.points) for tile in cells.tiles])[:-1])  # parts of it, not copies
        for top in range(first, len(cells.tiles), THREADS):
            one = cells.tiles[top]
            for left, other in enumerate(cells.tiles[top:], top):
                distances = cdist(one.points, other.points)
                sums[top] += distances @ other.inside @ other.member
                if left > top:
                    sums[left] += distances.T @ one.inside @ one.member
        return whole

    ordered = sum(pool.map(share, range(THREADS)))
    found = np.empty_like(ordered)
    found[cells.order] = ordered
    return found


def _sums_of_some(cells: Cells, rows: np.ndarray, pool: ThreadPoolExecutor) -> np.ndarray:
    """Return the same of some points, from distances of single precision."""

    def sums(chunk: np.ndarray) -> np.ndarray:
        queries = cells.points[chunk].astype(np.float32)
        found = np.zeros((len(chunk), cells.tiles[0].member.shape[1]))
        for tile in cells.tiles:
            distances = _distances(queries, tile.points.astype(np.float32))
            found += distances @ tile.inside.astype(np.float32) @ tile.member
        return found

    return np.concatenate(list(pool.map(sums, [rows[i : i + QUERIES] for i in range(0, len(rows), QUERIES)])))


def _distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return Euclidean distances by |x|² − 2xy + |y|²."""
    squares = np.einsum("ij,ij->i", points, points)
    found = (-2 * queries) @ points.T
    found += squares
    found += np.einsum("ij,ij->i", queries, queries)[:, None]
    return np.sqrt(np.maximum(found, 0, out=found), out=found)


def _silhouettes(sums: np.ndarray, own: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the silhouettes of some points, given their sums of distances to each cluster."""
    if len(sizes) < 2:
        return np.zeros(len(own))
    row = np.arange(len(own))
    within = sums[row, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[row, own] = np.inf
    between = means.min(axis=1)
    widest = np.maximum(within, between)
    return np.divide(between - within, widest, out=np.zeros_like(widest), where=(widest > 0) & (sizes[own] > 1))


# ── kmeans ────────────────────────────────────────────────────────────
MAX_ITER = 1000
WIDTH = 0.3  # of the coarse picture's cells, in standard deviations; halved until there are enough of them
ROUNDS = 12  # of Lloyd's on the coarse picture, by which time it is seen which starts are good
FINISHED = 3  # starts run to the end: the best that differ
SAME = 4  # decimals of the relative inertia in which starts agree that go to the same end
FEW = 12_000  # points up to which two k at a time would only wait for each other's Python
ENOUGH = 20  # cells a cluster


class Fit(NamedTuple):
    """One K-means: labels of the points, centroids in scaled units, inertia."""

    labels: np.ndarray
    centroids: np.ndarray
    inertia: float


class Weighted(NamedTuple):
    """Points that count more than once: shape (m, 3), and how often each counts."""

    points: np.ndarray
    weights: np.ndarray


def fit_each(points: np.ndarray, options: Clusters, start: np.ndarray | None = None) -> list[Fit]:
    """Fit K-means for each k that the points allow; a single cluster where they allow none.

    Equal points become one with a weight, in order of value, so neither ids nor the order of rows play a part. The
    starts are k-means++ of the largest k, of which a smaller k takes the first; all are begun on a coarse picture, the
    weighted means of cells 0.3 standard deviations wide, and the three best that differ are run to the end with all points.
    That is as good as starts on all points (on real days and eight seeds, inertia 0.21 % above the least of 120 starts,
    theirs 0.16 %) in less than half the time, and of many customers in a fraction.
    """
    distinct, place = _distinct(points)
    most = min(options.k_max, len(distinct.points) - 1)
    if most < options.k_min:
        return [Fit(np.zeros(len(points), np.int32), points.mean(axis=0, keepdims=True), 0.0)]
    coarse = _coarse(distinct, ENOUGH * most)
    starts = _starts(coarse, most, options)

    def fit(k: int) -> Fit:
        begun = _promising(coarse, starts[:, :k]) if start is None or len(start) != k else start[None]
        found = _run(distinct, k, begun)
        return found._replace(labels=found.labels[place])

    threads = THREADS if len(distinct.points) > FEW else 1
    with alone("blas"), ThreadPoolExecutor(threads, initializer=alone, initargs=("openmp",)) as pool:
        return list(pool.map(fit, range(most, options.k_min - 1, -1)))[::-1]  # the longest first


def _starts(coarse: Weighted, k: int, options: Clusters) -> np.ndarray:
    """Return k-means++ starts, shape (starts, k, 3); the first so many centroids of each are a start of a smaller k.

    Arthur and Vassilvitskii (2007), SODA.
    """
    from sklearn.cluster import kmeans_plusplus

    random = np.random.RandomState(options.seed)
    drawn = (kmeans_plusplus(coarse.points, k, sample_weight=coarse.weights, random_state=random) for _ in range(options.n_init))
    return np.stack([centroids for centroids, _ in drawn])


def _promising(coarse: Weighted, starts: np.ndarray) -> np.ndarray:
    """Return the best starts, moved by some rounds of Lloyd's on the coarse picture; of those that go to the same end, one.

    All starts move in step, for a call of scikit-learn costs more than the work on so few points.
    """
    from scipy.spatial.distance import cdist

    count, k, _ = starts.shape
    centroids, first = starts.reshape(-1, 3).copy(), k * np.arange(count)
    masses = np.repeat(np.c_[coarse.weights, coarse.points * coarse.weights[:, None]].T, count, axis=1)
    for _ in range(ROUNDS):
        nearest = cdist(coarse.points, centroids, "sqeuclidean").reshape(-1, count, k).argmin(axis=2) + first
        weights, *sums = (np.bincount(nearest.ravel(), mass, len(centroids)) for mass in masses)
        np.divide(np.stack(sums, axis=1), weights[:, None], out=centroids, where=weights[:, None] > 0)
    inertia = coarse.weights @ cdist(coarse.points, centroids, "sqeuclidean").reshape(-1, count, k).min(axis=2)
    _, best = np.unique(np.round(inertia / inertia.min(), SAME), return_index=True)
    return centroids.reshape(starts.shape)[best[:FINISHED]]


def _run(data: Weighted, k: int, starts: np.ndarray) -> Fit:
    """Run K-means from each start and keep the best."""
    from sklearn import config_context
    from sklearn.cluster import KMeans

    waiting = iter(starts - data.points.mean(axis=0))  # scikit-learn moves the points there first
    model = KMeans(k, n_init=len(starts), init=lambda X, k, random_state: next(waiting), max_iter=MAX_ITER)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # what is passed here is sound, and fits are short
        model.fit(data.points, sample_weight=data.weights)
    return Fit(model.labels_, model.cluster_centers_, float(model.inertia_))


def _distinct(points: np.ndarray) -> tuple[Weighted, np.ndarray]:
    """Return the distinct points in order of value, with their counts, and which of them each point is."""
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    new = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    place = np.empty(len(points), np.intp)
    place[order] = np.cumsum(new) - 1
    return Weighted(ordered[new], np.bincount(place).astype(float)), place


def _coarse(data: Weighted, least: int) -> Weighted:
    """Return the weighted means of the cells of a grid, as coarse as leaves enough of them; of few points, the points."""
    if len(data.points) <= least:
        return data
    width, cells = WIDTH, 0
    while cells < least:
        _, cell = _distinct(np.round(data.points / width))
        width, cells = width / 2, cell.max() + 1
    weights = np.bincount(cell, data.weights)
    sums = [np.bincount(cell, data.weights * column) for column in data.points.T]
    return Weighted(np.stack(sums, axis=1) / weights[:, None], weights)


# ── choice ────────────────────────────────────────────────────────────
__all__ = ["EXACT", "Fit", "fit_each", "score"]

SILHOUETTE_WEIGHT, ELBOW_WEIGHT = 0.6, 0.4
EXACT = 100_000  # customers up to which every silhouette is measured
FIRST, MOST = 2_048, 16_384  # customers measured beyond that, at first and at most
SURE = 2.0  # standard errors by which the best k must lead
SEED = 42


def score(points: np.ndarray, fits: Sequence[Fit]) -> pd.DataFrame:
    """Weigh silhouette and elbow of each k.

    Up to `EXACT` points all silhouettes are measured. Beyond, those of points drawn without replacement, each
    against all points; their number is doubled until the best k leads every other by two standard errors of the
    difference (paired: all k are measured on the same points), or the maximum is reached and it is a tie.
    """
    labelings = [fit.labels for fit in fits]
    if len(points) <= EXACT:
        return _weighed(fits, silhouettes(points, labelings)).assign(rows=len(points), error=0.0, lead_error=0.0, tied=False)
    cells, order = cells_of(points, labelings), np.random.default_rng(SEED).permutation(len(points))
    values = silhouette_values(cells, order[:FIRST])
    table = _estimated(fits, values, len(points))
    while table["tied"].any() and len(values) < min(MOST, len(points)):
        values = np.concatenate([values, silhouette_values(cells, order[len(values) : 2 * len(values)])])
        table = _estimated(fits, values, len(points))
    return table


def _weighed(fits: Sequence[Fit], found: np.ndarray) -> pd.DataFrame:
    """Return k, inertia, silhouette, elbow and score."""
    table = pd.DataFrame({"k": [len(fit.centroids) for fit in fits], "inertia": [fit.inertia for fit in fits]})
    table["silhouette"] = found
    table["elbow"] = (_unit(table["k"]) + _unit(table["inertia"]) - 1).abs() / np.sqrt(2)
    table["score"] = SILHOUETTE_WEIGHT * _relative(table["silhouette"]) + ELBOW_WEIGHT * _relative(table["elbow"])
    return table


def _estimated(fits: Sequence[Fit], values: np.ndarray, total: int) -> pd.DataFrame:
    """Return the scores from the silhouettes of a sample, shape (rows, fits), with their standard errors."""
    table = _weighed(fits, values.mean(axis=0))
    best, most = table["score"].argmax(), table["silhouette"].argmax()
    mean, largest = values.mean(axis=0), max(values[:, most].mean(), np.finfo(float).tiny)
    relative = values / largest - values[:, [most]] * mean / largest**2  # how each row moves silhouette / max
    lead = SILHOUETTE_WEIGHT * (relative[:, [best]] - relative)
    table = table.assign(rows=len(values), error=_error(values, total), lead_error=_error(lead, total))
    behind = table["score"].max() - table["score"]
    return table.assign(tied=(behind <= SURE * table["lead_error"]) & (table.index != best))


def _error(values: np.ndarray, total: int) -> np.ndarray:
    """Return the standard error of the mean of each column, of rows drawn without replacement from so many."""
    rows = len(values)
    return values.std(axis=0, ddof=1) * np.sqrt((1 - rows / total) / rows)


def _unit(values: pd.Series) -> pd.Series:
    """Scale to [0, 1]; a constant becomes 0."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread else values * 0.0


def _relative(values: pd.Series) -> pd.Series:
    """Divide by the largest value; all zero where none is positive."""
    return values / values.max() if values.max() > 0 else values * 0.0
