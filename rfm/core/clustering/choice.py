"""Fit K-means for every k and weigh which k is best."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.core.clustering.silhouette import THREADS, silhouettes
from rfm.sections import Clusters

SILHOUETTE_WEIGHT, ELBOW_WEIGHT = 0.6, 0.4
MAX_ITER = 1000


class Fit(NamedTuple):
    """One K-means: labels of the points, centroids in scaled units, inertia."""

    labels: np.ndarray
    centroids: np.ndarray
    inertia: float


def fit_each(points: np.ndarray, options: Clusters) -> list[Fit]:
    """Fit K-means for each k that the points allow; a single cluster where they allow none.

    Parameters
    ----------
    points
        Scaled features, shape (customers, 3).
    options
        Range of k, starts and seed.
    """
    distinct = len(np.unique(points, axis=0))
    ks = range(options.k_min, min(options.k_max, distinct - 1) + 1)
    if not ks:
        return [Fit(np.zeros(len(points), np.int32), points.mean(axis=0, keepdims=True), 0.0)]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda k: kmeans(points, k, options), ks))


def kmeans(points: np.ndarray, k: int, options: Clusters) -> Fit:
    """Fit one K-means, several starts, fixed seed, one thread (more only get in each other's way here).

    Parameters
    ----------
    points
        Scaled features, shape (customers, 3).
    k
        Number of clusters.
    options
        Starts and seed.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = KMeans(k, n_init=options.n_init, random_state=options.seed, max_iter=MAX_ITER).fit(points)
    return Fit(model.labels_, model.cluster_centers_, float(model.inertia_))


def score(points: np.ndarray, fits: Sequence[Fit]) -> pd.DataFrame:
    """Weigh silhouette and elbow of each k.

    Parameters
    ----------
    points
        Scaled, shape (n, 3).
    fits
        One K-means a k, k rising.

    Returns
    -------
    pandas.DataFrame
        One row a k: k, inertia, silhouette in [-1, 1], elbow (distance of the point (k, inertia), both
        scaled to [0, 1], to the line through the first and the last), and
        score = 0.6 · silhouette / max + 0.4 · elbow / max.
    """
    table = pd.DataFrame({"k": [len(fit.centroids) for fit in fits], "inertia": [fit.inertia for fit in fits]})
    table["silhouette"] = silhouettes(points, [fit.labels for fit in fits])
    table["elbow"] = (_unit(table["k"]) + _unit(table["inertia"]) - 1).abs() / np.sqrt(2)
    table["score"] = SILHOUETTE_WEIGHT * _relative(table["silhouette"]) + ELBOW_WEIGHT * _relative(table["elbow"])
    return table


def _unit(values: pd.Series) -> pd.Series:
    """Scale to [0, 1]; a constant becomes 0."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread else values * 0.0


def _relative(values: pd.Series) -> pd.Series:
    """Divide by the largest value; all zero where none is positive."""
    return values / values.max() if values.max() > 0 else values * 0.0
