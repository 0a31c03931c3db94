"""All silhouettes from one pass over the distances.

Silhouettes are most of the cost of choosing k when each k measures all distances anew. Here all k share one
pass: distances are summed per *cell*, the points that every clustering puts together, and cells add up to
clusters, so the figures are exact. Blocks of distances stay in the processor's cache, so memory does not grow with
the number of distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from rfm.core.clustering.threads import THREADS, alone

QUERIES = 512  # points whose silhouettes are taken together
BLOCK = (64, 1024)  # queries × points whose distances are in memory at once, a block a thread


class Cells(NamedTuple):
    """Points laid out for silhouettes of several clusterings.

    Parameters
    ----------
    points
        Shape (n, d).
    labels
        Cluster of each point in each clustering, shape (n, clusterings).
    ordered
        The points, those of a cell next to each other.
    starts
        Where each cell starts in `ordered`.
    member
        1 where a cell is part of a cluster: a matrix cells × clusters, a clustering each.
    """

    points: np.ndarray
    labels: np.ndarray
    ordered: np.ndarray
    starts: np.ndarray
    member: list[np.ndarray]


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
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(cell.max() + 1))
    labels = np.stack(labelings, axis=1)
    member = [np.eye(column.max() + 1)[column] for column in labels[order[starts]].T]
    return Cells(points, labels, points[order], starts, member)


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
    ordered = cells.ordered if rows is None else cells.ordered.astype(np.float32)
    rows = np.arange(len(cells.points)) if rows is None else rows
    sizes = [np.bincount(labels) for labels in cells.labels.T]

    def values(chunk: np.ndarray) -> np.ndarray:
        sums = _sums_per_cell(cells.points[chunk].astype(ordered.dtype), ordered, cells.starts)
        of_each = zip(cells.member, cells.labels[chunk].T, sizes, strict=True)
        return np.stack([_silhouettes(sums @ member, own, size) for member, own, size in of_each], axis=1)

    with alone("blas"), ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(values, [rows[i : i + QUERIES] for i in range(0, len(rows), QUERIES)])))


def _sums_per_cell(queries: np.ndarray, ordered: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the sum of distances from each query to the points of each cell, shape (queries, cells)."""
    sums = np.zeros((len(queries), len(starts)))
    for left in range(0, len(ordered), BLOCK[1]):
        block = ordered[left : left + BLOCK[1]]
        first, last = np.searchsorted(starts, [left, left + len(block)], side="left")
        first -= first == len(starts) or starts[first] > left  # the cell that began before this block
        within = np.maximum(starts[first:last] - left, 0)
        for top in range(0, len(queries), BLOCK[0]):
            distances = _distances(queries[top : top + BLOCK[0]], block)
            sums[top : top + BLOCK[0], first:last] += np.add.reduceat(distances, within, axis=1)
    return sums


def _distances(queries: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return Euclidean distances: exact, or of single precision by |x|² − 2xy + |y|²."""
    from scipy.spatial.distance import cdist

    if queries.dtype == float:
        return cdist(queries, points)
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
