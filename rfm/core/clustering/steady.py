"""Steady from day to day: the earlier model is the start, k and the customers on a border stay unless there is a clear reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from rfm.core.clustering.kmeans import Fit
from rfm.core.clustering.model import FEATURES, Model, features, pieces
from rfm.purchases import bought_since
from rfm.sections import Clusters

AT_ONCE = 4  # times the margin of k: nothing is gained by waiting


def limited(fits: Sequence[Fit], points: np.ndarray, start: np.ndarray, options: Clusters) -> list[Fit]:
    """Return the fits, that of the earlier k with no centroid further than ``max_drift`` from where it started.

    Where one would go further, all go the same part of their way, the rest on the days that follow.

    Parameters
    ----------
    fits
        One K-means a k; that of the earlier k begun at the earlier centroids.
    points
        Scaled features, shape (customers, 3).
    start
        Earlier centroids, scaled like the points, shape (k, 3).
    options
        As for `cluster`.
    """
    return [_limited(fit, points, start, options) if len(fit.centroids) == len(start) else fit for fit in fits]


def _limited(fit: Fit, points: np.ndarray, start: np.ndarray, options: Clusters) -> Fit:
    """Return the fit with its centroids no further than ``max_drift`` from where they started."""
    from scipy.spatial.distance import cdist

    moves = fit.centroids - start
    furthest = float(np.linalg.norm(moves, axis=1).max())
    if furthest <= options.max_drift:
        return fit
    centroids = start + moves * (options.max_drift / furthest)
    distances = cdist(points, centroids, "sqeuclidean")
    labels = distances.argmin(axis=1).astype(np.int32)
    if len(np.unique(labels)) < len(start):  # on the way, a cluster would be empty
        return fit
    return Fit(labels, centroids, float(distances.min(axis=1).sum()))


def choose(
    scores: pd.DataFrame, earlier: Model | None, run_date: dt.date, options: Clusters
) -> tuple[int, dict[str, Any] | None]:
    """Return the place of the k to use, and the k that challenges it, if one does.

    Another k takes over when its score has been better by ``k_margin`` for ``k_days`` days, or at once when it is better by
    four times that: then the clusters of the run before no longer fit.

    Parameters
    ----------
    scores
        As `score` gives them.
    earlier
        Model of the run before; none for a full fit, where the best score wins.
    run_date, options
        As for `cluster`.
    """
    best = int(scores["score"].argmax())
    if earlier is None:
        return best, None
    kept = scores["k"].tolist().index(earlier.k)
    needed, found = (float(scores["score"][place]) for place in (kept, best))
    if found <= needed * (1 + options.k_margin):
        return kept, None
    k, before = int(scores["k"][best]), earlier.challenger or {}
    since = before["since"] if before.get("k") == k else run_date.isoformat()
    waited = (run_date - dt.date.fromisoformat(since)).days + 1
    if waited >= options.k_days or found > needed * (1 + AT_ONCE * options.k_margin):
        return best, None
    return kept, {"k": k, "since": since}


def grown(model: Model, earlier: Model) -> Model:
    """Return a model that knows which it grew from: clusters matched so that their centroids moved least in all.

    Parameters
    ----------
    model
        Of today.
    earlier
        Of the run before.

    References
    ----------
    Kuhn (1955), Naval Research Logistics Quarterly 2: the assignment problem.
    """
    from scipy.optimize import linear_sum_assignment

    moves = model.distances(np.asarray(earlier.centroids)).T
    pairs = {int(now): int(then) for now, then in zip(*linear_sum_assignment(moves), strict=True)}
    matched = [pairs.get(cluster) for cluster in range(model.k)]
    names = {cluster: earlier.names.get(str(then)) for cluster, then in [*pairs.items(), (-1, -1), (-2, -2), (-3, -3)]}
    return replace(
        model,
        fitted=earlier.fitted,
        previous=earlier.trained,
        matched=matched,
        drift=[None if then is None else float(moves[cluster, then]) for cluster, then in enumerate(matched)],
        before={str(cluster): name for cluster, name in names.items() if name},
    )


def assigned(gold: pd.DataFrame, model: Model, yesterday: pd.DataFrame | None, band: float) -> np.ndarray:
    """Return the cluster of each customer: the nearest, or the earlier one of a customer who stays on a border.

    Who bought nothing since the run before keeps the earlier cluster unless another is nearer by the band. Customers with
    equal metrics are treated as one: where they do not all stay, all go to the nearest.

    Parameters
    ----------
    gold
        One row a customer, no outlier among them.
    model
        Of today, matched to the earlier one.
    yesterday
        Rows of ``customer_rfm_kmeans_clustered_history`` of the run before; none after a full fit.
    band
        Share of the squared distance to the earlier cluster's centroid; squared distances are what K-means makes small.
    """
    if yesterday is None or yesterday.empty or model.previous is None:
        return model.nearest(gold)
    own, values = _earlier(gold, model, yesterday), features(gold)
    parts = [_weighed(model.distances(values[part]), own[part], band) for part in pieces(len(own))]
    nearest, near_enough = map(np.concatenate, zip(*parts, strict=True))
    stays = pd.Series(np.where((own >= 0) & near_enough, own, -1))
    alike = stays.groupby([gold[name].to_numpy(float) for name in FEATURES])
    together = (alike.transform("min") == alike.transform("max")) & (stays >= 0)
    return np.where(together, stays, nearest).astype(np.int32)


def _weighed(distances: np.ndarray, own: np.ndarray, band: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest cluster of each customer, and whether the own one is near enough to stay."""
    to_own = distances[np.arange(len(own)), own]
    return distances.argmin(axis=1), distances.min(axis=1) ** 2 >= (1 - band) * to_own**2


def _earlier(gold: pd.DataFrame, model: Model, yesterday: pd.DataFrame) -> np.ndarray:
    """Return today's number of each customer's earlier cluster; -1 where the customer bought since, or has none."""
    number = {then: now for now, then in enumerate(model.matched) if then is not None}
    then = yesterday.set_index("CustomerID")["Cluster"].astype(int).map(number).reindex(gold["CustomerID"])
    return np.where(bought_since(gold, yesterday), -1, then.fillna(-1)).astype(int)
