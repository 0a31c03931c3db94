"""Choose k: fit K-means for every k in question, measure all silhouettes, weigh them against the elbow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from rfm.config import Clusters

# The libraries' own threads are limited to one in each of ours; otherwise they compete for the same cores.
THREADS = 2


# Starts are drawn and compared on a grid of weighted cell means; only the best are run to the end with all points. Plain
# `KMeans(n_init=10)` is simpler, but its eleven fits of 1,000,000 customers need 72 s of processor time instead of 8 s (1.3 s
# instead of 0.25 s for 20,000; 0.37 s instead of 0.11 s for the 3,072 of a real day). Its inertia is sometimes better and
# sometimes worse (by up to 1.3 %, equal at the chosen k), and 11 of the 3,072 would be in another published cluster.
MAX_ITER = 1000
WIDTH = 0.3  # of a grid cell, in standard deviations; halved until there are enough cells
ENOUGH = 20  # cells per cluster
ROUNDS = 12  # of Lloyd's algorithm on the grid, before the starts are compared
FINISHED = 3  # starts run to the end with all points: the best that differ
SAME = 4  # decimals of the relative inertia; starts that agree in them end in the same clusters


class Fit(NamedTuple):
    """One K-means: labels of the points, centroids in scaled units, inertia."""

    labels: np.ndarray
    centroids: np.ndarray
    inertia: float


class _Weighted(NamedTuple):
    """Points of shape (m, 3), and how often each counts."""

    points: np.ndarray
    weights: np.ndarray


def fit_each(points: np.ndarray, options: Clusters, start: np.ndarray | None = None) -> list[Fit]:
    """Fit K-means for each k that the points allow, or a single cluster; `start` is the only start of its own k."""
    # Equal points become one with a weight, in order of value: the result depends neither on ids nor on the order of rows.
    distinct, place = _distinct(points)
    most = min(options.k_max, len(distinct.points) - 1)
    if most < options.k_min:
        return [Fit(np.zeros(len(points), np.int32), points.mean(axis=0, keepdims=True), 0.0)]
    coarse = _coarse(distinct, ENOUGH * most)
    starts = _starts(coarse, most, options)

    def fit(k: int) -> Fit:
        found = _run(distinct, _best(coarse, starts[:, :k]) if start is None or len(start) != k else start[None])
        return found._replace(labels=found.labels[place])

    one_thread = {"initializer": threadpool_limits, "initargs": (1, "openmp")}
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS, **one_thread) as pool:
        return list(pool.map(fit, range(most, options.k_min - 1, -1)))[::-1]  # the longest first


def _distinct(points: np.ndarray) -> tuple[_Weighted, np.ndarray]:
    """Return the distinct points in order of value with their counts, and which of them each point is."""
    distinct, place, counts = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    return _Weighted(distinct, counts.astype(float)), place.ravel()


def _coarse(data: _Weighted, least: int) -> _Weighted:
    """Return the weighted means of the cells of a grid with at least `least` cells; return few points unchanged."""
    if len(data.points) <= least:
        return data
    width, cells = WIDTH, 0
    while cells < least:
        _, cell = _distinct(np.round(data.points / width))
        width, cells = width / 2, cell.max() + 1
    weights = np.bincount(cell, data.weights)
    sums = [np.bincount(cell, data.weights * column) for column in data.points.T]
    return _Weighted(np.stack(sums, axis=1) / weights[:, None], weights)


def _starts(coarse: _Weighted, k: int, options: Clusters) -> np.ndarray:
    """Draw starts by k-means++, shape (starts, k, 3); a smaller k takes the first centroids of each."""
    from sklearn.cluster import kmeans_plusplus

    random = np.random.RandomState(options.seed)
    drawn = (kmeans_plusplus(coarse.points, k, sample_weight=coarse.weights, random_state=random) for _ in range(options.n_init))
    return np.stack([centroids for centroids, _ in drawn])


def _best(coarse: _Weighted, starts: np.ndarray) -> np.ndarray:
    """Improve all starts by some rounds of Lloyd's algorithm on the grid; return the best that differ."""
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


def _run(data: _Weighted, starts: np.ndarray) -> Fit:
    """Run K-means from each start and keep the best."""
    from sklearn.cluster import KMeans

    waiting = iter(starts - data.points.mean(axis=0))  # scikit-learn centres the points, and only an array of its own
    model = KMeans(starts.shape[1], n_init=len(starts), init=lambda X, k, random_state: next(waiting), max_iter=MAX_ITER)
    model.fit(data.points, sample_weight=data.weights)
    return Fit(model.labels_, model.cluster_centers_, float(model.inertia_))


# ── silhouettes ──────────────────────────────────────────────────────────────────────────────────
# All clusterings share one pass over the distances: eleven silhouettes of 3,552 customers take 0.04 s, 32 times faster than
# scikit-learn's one by one. Distances are summed per cell (the points that every clustering puts together), and cells add up
# to clusters, so the figures are exact. A tile of distances fits into the processor's cache; they are never all in memory.
TILE = 256  # points per side of a tile; each thread holds one
QUERIES = 512  # points of a sample whose silhouettes are computed together


class Tile(NamedTuple):
    """Neighbouring points in the order of cells: which cell each is in, which clusters each cell is in."""

    points: np.ndarray
    inside: np.ndarray
    member: np.ndarray


class Cells(NamedTuple):
    """Points laid out for the silhouettes of several clusterings."""

    points: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    tiles: list[Tile]


def silhouettes(points: np.ndarray, labelings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean silhouette of each clustering."""
    return silhouette_values(cells_of(points, labelings)).mean(axis=0)


def cells_of(points: np.ndarray, labelings: Sequence[np.ndarray]) -> Cells:
    """Lay points out for `silhouette_values`."""
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
    """Return the silhouettes of all or some points in each clustering, shape (points, clusterings)."""
    sizes = [np.bincount(labels) for labels in cells.labels.T]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(THREADS) as pool:
        sums = _sums_of_all(cells, pool) if rows is None else _sums_of_some(cells, rows, pool)
    labels = cells.labels if rows is None else cells.labels[rows]
    each = np.split(sums, np.cumsum([len(size) for size in sizes])[:-1], axis=1)
    return np.stack([_silhouettes(*of) for of in zip(each, labels.T, sizes, strict=True)], axis=1)


def _sums_of_all(cells: Cells, pool: ThreadPoolExecutor) -> np.ndarray:
    """Return the sum of distances from each point to the points of each cluster, shape (points, clusters of all clusterings)."""
    from scipy.spatial.distance import cdist

    # Each thread takes every other row of tiles, always the same, so that sums do not depend on which thread is faster.
    def share(first: int) -> np.ndarray:
        whole = np.zeros((len(cells.points), cells.tiles[0].member.shape[1]))
        sums = np.split(whole, np.cumsum([len(tile.points) for tile in cells.tiles])[:-1])  # views, not copies
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
    """Return the same sums for some points, from distances in single precision."""

    def sums(chunk: np.ndarray) -> np.ndarray:
        queries = cells.points[chunk].astype(np.float32)
        found = np.zeros((len(chunk), cells.tiles[0].member.shape[1]))
        for tile in cells.tiles:
            distances = _distances(queries, tile.points.astype(np.float32))
            found += distances @ tile.inside.astype(np.float32) @ tile.member
        return found

    return np.concatenate(list(pool.map(sums, [rows[i : i + QUERIES] for i in range(0, len(rows), QUERIES)])))


def _distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return Euclidean distances as the root of |x|² − 2xy + |y|²."""
    squares = -2 * queries @ points.T + np.einsum("ij,ij->i", points, points)
    squares += np.einsum("ij,ij->i", queries, queries)[:, None]
    return np.sqrt(np.maximum(squares, 0))


def _silhouettes(sums: np.ndarray, own: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return silhouettes, given the sums of distances to each cluster, the own cluster and the sizes of all."""
    if len(sizes) < 2:
        return np.zeros(len(own))
    row = np.arange(len(own))
    within = sums[row, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[row, own] = np.inf
    between = means.min(axis=1)
    widest = np.maximum(within, between)
    return np.divide(between - within, widest, out=np.zeros_like(widest), where=(widest > 0) & (sizes[own] > 1))


# ── score ────────────────────────────────────────────────────────────────────────────────────────
EXACT = 100_000  # customers up to which every silhouette is measured
FIRST, MOST = 2_048, 16_384  # customers drawn beyond that, at first and at most
SURE = 2.0  # standard errors by which the best k must lead
SEED = 42
SILHOUETTE_WEIGHT = Clusters().silhouette_weight


def score(points: np.ndarray, fits: Sequence[Fit], silhouette_weight: float = SILHOUETTE_WEIGHT) -> pd.DataFrame:
    """Score each k by silhouette and elbow; above `EXACT` points, by the silhouettes of a sample."""
    labelings = [fit.labels for fit in fits]
    if len(points) <= EXACT:
        table = _weighed(fits, silhouettes(points, labelings), silhouette_weight)
        return table.assign(rows=len(points), error=0.0, lead_error=0.0, tied=False)
    # The sample is doubled until the best k leads every other by two standard errors of the difference (paired: all k
    # are measured on the same points), or it has reached its maximum and the best are tied.
    cells, order = cells_of(points, labelings), np.random.default_rng(SEED).permutation(len(points))
    values = silhouette_values(cells, order[:FIRST])
    table = _estimated(fits, values, len(points), silhouette_weight)
    while table["tied"].any() and len(values) < min(MOST, len(points)):
        values = np.concatenate([values, silhouette_values(cells, order[len(values) : 2 * len(values)])])
        table = _estimated(fits, values, len(points), silhouette_weight)
    return table


def mean_silhouette(points: np.ndarray, clusters: np.ndarray) -> float:
    """Return the mean silhouette of a clustering, 0 without points; above `EXACT` points, of a sample."""
    if not len(points):
        return 0.0
    cells = cells_of(points, [np.unique(clusters, return_inverse=True)[1]])
    drawn = np.random.default_rng(SEED).permutation(len(points))[:MOST] if len(points) > EXACT else None
    return float(silhouette_values(cells, drawn).mean())


def _weighed(fits: Sequence[Fit], found: np.ndarray, silhouette_weight: float) -> pd.DataFrame:
    """Return k, inertia, silhouette, elbow and score."""
    table = pd.DataFrame({"k": [len(fit.centroids) for fit in fits], "inertia": [fit.inertia for fit in fits]})
    table["silhouette"] = found
    table["elbow"] = (_unit(table["k"]) + _unit(table["inertia"]) - 1).abs() / np.sqrt(2)
    weighed = silhouette_weight * _relative(table["silhouette"]) + (1 - silhouette_weight) * _relative(table["elbow"])
    return table.assign(score=weighed)


def _estimated(fits: Sequence[Fit], values: np.ndarray, total: int, silhouette_weight: float) -> pd.DataFrame:
    """Return the scores from the silhouettes of a sample, shape (points, fits), with their standard errors."""
    table = _weighed(fits, values.mean(axis=0), silhouette_weight)
    best, most = table["score"].argmax(), table["silhouette"].argmax()
    mean, largest = values.mean(axis=0), max(values[:, most].mean(), np.finfo(float).tiny)
    relative = values / largest - values[:, [most]] * mean / largest**2  # how each point moves silhouette / max
    lead = silhouette_weight * (relative[:, [best]] - relative)
    table = table.assign(rows=len(values), error=_error(values, total), lead_error=_error(lead, total))
    behind = table["score"].max() - table["score"]
    return table.assign(tied=(behind <= SURE * table["lead_error"]) & (table.index != best))


def _error(values: np.ndarray, total: int) -> np.ndarray:
    """Return the standard error of the mean of each column, of points drawn without replacement from `total`."""
    rows = len(values)
    return values.std(axis=0, ddof=1) * np.sqrt((1 - rows / total) / rows)


def _unit(values: pd.Series) -> pd.Series:
    """Scale to [0, 1]; a constant becomes 0."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread else values * 0.0


def _relative(values: pd.Series) -> pd.Series:
    """Divide by the largest value; all are 0 where none is positive."""
    return values / values.max() if values.max() > 0 else values * 0.0


def margin(scores: Collection[Mapping[str, float]], k: int) -> float | None:
    """Return the lead of the chosen k's score over the best other score, as a share of the latter; None without another k.

    Examples
    --------
    >>> margin([{"k": 3, "score": 0.8}, {"k": 4, "score": 1.0}], 4)
    0.25
    """
    own = next(row["score"] for row in scores if row["k"] == k)
    best = max((row["score"] for row in scores if row["k"] != k), default=0.0)
    return own / best - 1 if best > 0 else None
