"""All silhouettes from one pass over the distances.

Silhouettes are most of the cost of choosing k when each k measures all distances anew. Here all k share one
pass, in which each distance is measured once for both its points: distances are summed per *cell*, the points that every
clustering puts together, and cells add up to clusters, so the figures are exact. Tiles of distances stay in the processor's
cache, so memory does not grow with the number of distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from rfm.core.clustering.threads import THREADS, alone

TILE = 256  # points a side of the distances that are in memory at once, a tile a thread
QUERIES = 512  # points of a sample whose silhouettes are taken together


class Tile(NamedTuple):
    """Points that are next to each other in the order of cells.

    Parameters
    ----------
    points
        Shape (t, d).
    inside
        1 where a point is in a cell: a matrix points × cells.
    member
        1 where a cell is part of a cluster: a matrix cells × clusters of all clusterings.
    """

    points: np.ndarray
    inside: np.ndarray
    member: np.ndarray


class Cells(NamedTuple):
    """Points laid out for silhouettes of several clusterings.

    Parameters
    ----------
    points
        Shape (n, d).
    labels
        Cluster of each point in each clustering, shape (n, clusterings).
    order
        The points' places in the order of cells.
    tiles
        The points in that order.
    """

    points: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    tiles: list[Tile]


def silhouettes(points: np.ndarray, labelings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean silhouette of each clustering, all from one pass over the distances.

    Parameters
    ----------
    points
        Shape (n, d).
    labelings
        Cluster of each point, numbered from 0, once a clustering.

    Returns
    -------
    numpy.ndarray
        One mean a clustering, equal to scikit-learn's `silhouette_score` up to rounding; 0 for a clustering
        with a single cluster.

    References
    ----------
    Rousseeuw (1987), Journal of Computational and Applied Mathematics 20.
    """
    return silhouette_values(in_cells(points, labelings)).mean(axis=0)


def in_cells(points: np.ndarray, labelings: Sequence[np.ndarray]) -> Cells:
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
    """Return the silhouette of some points among all, in each clustering.

    Parameters
    ----------
    cells
        The points, see `in_cells`.
    rows
        Which points. Of all points, if not given, distances are exact; of some, they are taken from products of
        matrices in single precision (an error of 1e-7 in the mean, far below that of the sample).

    Returns
    -------
    numpy.ndarray
        Shape (rows, clusterings), each in [-1, 1].
    """
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
