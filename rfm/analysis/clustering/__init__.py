"""Customers who behave alike: scaled, grouped by K-means with the best k, numbered by value; saved as numbers and names.

The model of the run before keeps k, centroids and assignments steady.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rfm.analysis.clustering.k_selection import Fit, fit_each, score
from rfm.analysis.metrics import purchased_since
from rfm.analysis.outliers import marks_of
from rfm.config import Clusters
from rfm.errors import InputError

__all__ = ["Clustering", "Model", "cluster"]

FEATURES = ("Monetary", "Frequency", "Recency")
PIECE = 100_000  # customers whose distances to all centroids are in memory at once


# ── the model ───────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Model:
    """A fitted segmentation: numbers and names only, so that it can be saved as JSON and read by any language.

    Parameters
    ----------
    trained, fitted, previous
        Run dates, ISO: of the model, of the last fit from scratch, and of the model that this one started from (None after
        a fit from scratch).
    mean, scale
        Of Monetary, Frequency and Recency: a point is (value − mean) / scale.
    centroids
        k rows of the three features in their own units, cluster 0 first.
    scores
        k, inertia, silhouette, elbow and score of each k tried.
    fences
        Lowest and highest regular Monetary and Frequency; empty without an outlier rule.
    matched
        The previous model's number of each cluster, None for a new one. Empty after a fit from scratch.
    drift
        Distance of each matched centroid from the previous one, in standard deviations; None without a match.
    challenger
        Another k that scores better, and since which run date: ``{"k": 5, "since": "2025-10-23"}``.
    names, before
        Segment of each cluster by number as text, empty until stage 5; segment that it had in the previous model.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> model = rfm.Model.kept(rfm.example("cluster_models"), day)[day]
    >>> model.k, model.trained, model.previous
    (6, '2025-10-23', '2025-10-22')
    >>> model.predict(rfm.example("customer_rfm_gold").head(3)).tolist()
    [4, 3, 3]
    """

    trained: str
    k: int
    mean: list[float]
    scale: list[float]
    centroids: list[list[float]]
    scores: list[dict[str, float]]
    version: str
    fences: dict[str, list[float]] = field(default_factory=dict)
    fitted: str = ""
    previous: str | None = None
    matched: list[int | None] = field(default_factory=list)
    drift: list[float | None] = field(default_factory=list)
    challenger: dict[str, Any] | None = None
    before: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the model as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    @lru_cache(maxsize=1_000)  # a backfill reads the models of earlier days again for each day
    def from_json(cls, text: str) -> Model:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    @classmethod
    def predecessor(cls, models: pd.DataFrame, run_date: dt.date, options: Clusters, refit: bool = False) -> Model | None:
        """Return the model that a run starts from, the newest named one within ``gap_days``; None means to fit from scratch."""
        if refit or options.stability == "off":
            return None
        rows = sorted(zip(models["UpdateDate"], models["model"], strict=True), reverse=True)
        found = (cls.from_json(text) for date, text in rows if 0 < (run_date - date).days <= options.gap_days)
        return next((model for model in found if model.names), None)

    @classmethod
    def kept(cls, models: pd.DataFrame, run_date: dt.date) -> dict[dt.date, Model]:
        """Return the named models up to a run date by run date, oldest first, and that of the run date even if unnamed."""
        rows = sorted((date, text) for date, text in zip(models["UpdateDate"], models["model"], strict=True) if date <= run_date)
        found = {date: cls.from_json(text) for date, text in rows}
        return {date: model for date, model in found.items() if model.names or date == run_date}

    @property
    def date(self) -> dt.date:
        """The run date."""
        return dt.date.fromisoformat(self.trained)

    def named(self, described: pd.DataFrame) -> Model:
        """Return the model with the segment of each cluster, from ``cluster_description_and_recommendation``."""
        return replace(self, names=dict(zip(described["Cluster"].astype(str), described["Cluster_Description"], strict=True)))

    def predict(self, customers: pd.DataFrame) -> np.ndarray:
        """Return the cluster of each customer as int32: -1, -2 or -3 beyond the fences, else the nearest centroid."""
        values = features(customers)
        marks = self._fenced(values)
        return np.where(marks, marks, self._nearest(values)).astype(np.int32)

    def nearest(self, customers: pd.DataFrame) -> np.ndarray:
        """Return the cluster of the nearest centroid as int32, without regard to the fences."""
        return self._nearest(features(customers))

    def _nearest(self, values: np.ndarray) -> np.ndarray:
        return np.concatenate([self.distances(values[part]).argmin(axis=1) for part in pieces(len(values))]).astype(np.int32)

    def _fenced(self, values: np.ndarray) -> np.ndarray:
        """Return -1, -2 or -3 for rows of features beyond the fences, else 0."""
        return marks_of(dict(zip(FEATURES, values.T, strict=True)), self.fences)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Return rows of features in standard deviations from the mean."""
        return (values - self.mean) / self.scale

    def distances(self, values: np.ndarray) -> np.ndarray:
        """Return the distances of points of shape (n, 3) to all centroids in standard deviations, shape (n, k)."""
        from scipy.spatial.distance import cdist

        return cdist(self.scaled(values), self.scaled(np.asarray(self.centroids)))

    def segments(self, customers: pd.DataFrame) -> np.ndarray:
        """Return the segment of each customer; of a kind of outlier unknown to the model, that of the nearest cluster."""
        values = features(customers)
        nearest, marks = self._nearest(values), self._fenced(values)
        known = {int(cluster): name for cluster, name in self.names.items()}
        pairs = zip(np.where(marks, marks, nearest).tolist(), nearest.tolist(), strict=True)
        return np.array([known.get(own, known.get(near)) for own, near in pairs], object)

    @property
    def record(self) -> pd.DataFrame:
        """The model as a row of ``cluster_models``."""
        return pd.DataFrame({"UpdateDate": [self.date], "k": [self.k], "model": [self.to_json()]})


def features(customers: pd.DataFrame) -> np.ndarray:
    """Return Monetary, Frequency, Recency as floats, shape (customers, 3)."""
    return customers[list(FEATURES)].astype(float).to_numpy()


def pieces(rows: int) -> Iterator[slice]:
    """Yield the slices of at most `PIECE` rows, at least one, in which distances are computed to limit memory."""
    yield from (slice(first, first + PIECE) for first in range(0, max(rows, 1), PIECE))


# ── the fit ─────────────────────────────────────────────────────────────────────────────────────
class Clustering(NamedTuple):
    """Customers with their cluster, and the model that assigned it."""

    customers: pd.DataFrame
    model: Model


def cluster(
    gold: pd.DataFrame,
    outliers: pd.Series,
    run_date: dt.date,
    options: Clusters = Clusters(),
    *,
    version: str = "",
    earlier: Model | None = None,
    yesterday: pd.DataFrame | None = None,
    left_out: Collection[str] = (),
) -> Clustering:
    """Cluster customers by Monetary, Frequency and Recency; return ``customer_rfm_kmeans_clustered`` and the `Model`.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``; InputError if it is empty or of another date.
    outliers
        Marks of `rfm.outlier_clusters` on the index of `gold`; customers with 0 take part in the fit.
    earlier
        Model to start from, see `Model.predecessor`; None fits from scratch.
    yesterday
        Rows of ``customer_rfm_kmeans_clustered_history`` of the earlier model's run.
    left_out
        CustomerIDs that take no part in the fit but are assigned to a cluster.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> gold = rfm.example("customer_rfm_gold")
    >>> clustered = rfm.cluster(gold, rfm.outlier_clusters(gold), datetime.date(2025, 10, 23))
    >>> clustered.model.k
    6
    >>> int((clustered.customers["Cluster"] < 0).sum())
    68
    """
    _check(gold, run_date)
    gold = gold.sort_values("CustomerID", ignore_index=False)
    marks = outliers.reindex(gold.index).to_numpy(int)
    wanted = (marks == 0) & ~gold["CustomerID"].isin(left_out).to_numpy(bool)
    fitted = next(part for part in (gold[wanted], gold[marks == 0], gold) if len(part))
    model = fit_model(fitted, run_date, options, version=version, earlier=earlier)
    model = replace(model, fences={name: [*map(float, ends)] for name, ends in outliers.attrs.get("fences", {}).items()})
    clusters = marks.astype(np.int32)
    clusters[marks == 0] = assign(gold[marks == 0], model, yesterday, options.band)
    return Clustering(gold.assign(Cluster=clusters, UpdateDate=run_date), model)


def _check(gold: pd.DataFrame, run_date: dt.date) -> None:
    """Raise InputError if gold is empty or of another date."""
    if gold.empty:
        raise InputError(f"customer_rfm_gold has 0 customers as of {run_date}; check rules.stock_code_pattern and the files")
    last, days = gold.iloc[0][["MaxInvoiceDate", "Recency"]]
    if (as_of := pd.Timestamp(last).date() + dt.timedelta(days=int(days))) != run_date:
        raise InputError(f"customer_rfm_gold is as of {as_of}, not {run_date}; run the gold stage for {run_date} first")


DIGITS = 9  # of scaled values; further digits depend on the currency's unit
AT_ONCE = 4  # times `k_margin`: another k that is so much better takes over without waiting
HALF_LIFE = 14  # days in which the margin of the kept k halves, so that a chain of runs forgets where it began


def fit_model(
    customers: pd.DataFrame, run_date: dt.date, options: Clusters = Clusters(), *, version: str = "", earlier: Model | None = None
) -> Model:
    """Fit K-means for each k, choose one and number its clusters from 0 by falling median Monetary."""
    values = features(customers)
    values = values[np.lexsort(values.T)]  # the result must not depend on ids or on the order of rows
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    points = np.round((values - mean) / scale, DIGITS)
    start = (np.asarray(earlier.centroids) - mean) / scale if earlier else None
    fits = fit_each(points, options, start)
    if start is not None and len(start) in [len(one.centroids) for one in fits]:
        fits = [_limit_drift(one, points, start, options) if len(one.centroids) == len(start) else one for one in fits]
    else:
        earlier = None
    scores = score(points, fits, options.silhouette_weight)
    place, challenger = choose_k(scores, earlier, run_date, options)
    best = fits[place]
    medians = pd.Series(values[:, 0]).groupby(best.labels).median()
    order = medians.sort_values(ascending=False, kind="stable").index.to_numpy()
    model = Model(
        trained=run_date.isoformat(),
        k=len(order),
        mean=mean.tolist(),
        scale=scale.tolist(),
        centroids=(best.centroids[order] * scale + mean).tolist(),
        scores=scores.to_dict("records"),
        version=version,
        fitted=run_date.isoformat(),
        challenger=challenger,
    )
    return _link(model, earlier) if earlier else model


def _limit_drift(fit: Fit, points: np.ndarray, start: np.ndarray, options: Clusters) -> Fit:
    """Return the fit with no centroid further than ``max_drift`` from its start; all move by the same part of their way."""
    from scipy.spatial.distance import cdist

    moves = fit.centroids - start
    furthest = float(np.linalg.norm(moves, axis=1).max())
    if furthest <= options.max_drift:
        return fit
    centroids = start + moves * (options.max_drift / furthest)
    distances = cdist(points, centroids, "sqeuclidean")
    labels = distances.argmin(axis=1).astype(np.int32)
    if len(np.unique(labels)) < len(start):  # a cluster would be empty
        return fit
    return Fit(labels, centroids, float(distances.min(axis=1).sum()))


def choose_k(
    scores: pd.DataFrame, earlier: Model | None, run_date: dt.date, options: Clusters
) -> tuple[int, dict[str, Any] | None]:
    """Return the row of the k to use, and the better k that has not yet waited long enough, if there is one."""
    best = int(scores["score"].argmax())
    if earlier is None:
        return best, None
    kept = scores["k"].tolist().index(earlier.k)
    needed, found = (float(scores["score"][place]) for place in (kept, best))
    before = earlier.challenger or {"since": run_date.isoformat()}
    if best == kept:  # scores close to each other swap from day to day: such a day takes one off the wait, not all of it
        since = (dt.date.fromisoformat(before["since"]) + 2 * dt.timedelta(days=1)).isoformat()
        return kept, {**before, "since": since} if since <= run_date.isoformat() else None
    k, since = int(scores["k"][best]), before["since"]
    waited = (run_date - dt.date.fromisoformat(since)).days + 1
    margin = options.k_margin * 0.5 ** (waited / HALF_LIFE)
    if (waited >= options.k_days and found > needed * (1 + margin)) or found > needed * (1 + AT_ONCE * options.k_margin):
        return best, None
    return kept, {"k": k, "since": since}


def _link(model: Model, earlier: Model) -> Model:
    """Return the model with its clusters matched to those of the earlier one, so that centroids moved least in all."""
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


# ── assignment ───────────────────────────────────────────────────────────────────────────────────
def assign(gold: pd.DataFrame, model: Model, yesterday: pd.DataFrame | None, band: float) -> np.ndarray:
    """Return the cluster of each customer: the nearest, or yesterday's for a customer on a border without a purchase since."""
    if yesterday is None or yesterday.empty or model.previous is None:
        return model.nearest(gold)
    own, values = _yesterdays(gold, model, yesterday), features(gold)
    parts = [_near_enough(model.distances(values[part]), own[part], band) for part in pieces(len(own))]
    nearest, near_enough = map(np.concatenate, zip(*parts, strict=True))
    stays = pd.Series(np.where((own >= 0) & near_enough, own, -1))
    # Customers with equal metrics must be in the same cluster: where they do not all stay, all go to the nearest.
    alike = stays.groupby([gold[name].to_numpy(float) for name in FEATURES])
    together = (alike.transform("min") == alike.transform("max")) & (stays >= 0)
    return np.where(together, stays, nearest).astype(np.int32)


def _near_enough(distances: np.ndarray, own: np.ndarray, band: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest cluster of each customer, and True if none is nearer than the own by the band."""
    to_own = distances[np.arange(len(own)), own]
    return distances.argmin(axis=1), distances.min(axis=1) ** 2 >= (1 - band) * to_own**2


def _yesterdays(gold: pd.DataFrame, model: Model, yesterday: pd.DataFrame) -> np.ndarray:
    """Return today's number of each customer's cluster of yesterday; -1 for new customers and those who bought since."""
    number = {then: now for now, then in enumerate(model.matched) if then is not None}
    then = yesterday.set_index("CustomerID")["Cluster"].astype(int).map(number).reindex(gold["CustomerID"])
    return np.where(purchased_since(gold, yesterday), -1, then.fillna(-1)).astype(int)
