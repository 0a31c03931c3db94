"""Scale, choose k, fit, number the clusters by value; a model that is numbers only."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.core.clustering.silhouette import THREADS, silhouettes
from rfm.schema import InputError
from rfm.settings import Clusters

FEATURES = ("Monetary", "Frequency", "Recency")
SILHOUETTE_WEIGHT, ELBOW_WEIGHT = 0.6, 0.4
MAX_ITER = 1000


@dataclass(frozen=True)
class Model:
    """A fitted segmentation: numbers only, so it can be kept as JSON and read by anything.

    Parameters
    ----------
    trained
        Run date, ISO.
    k
        Number of clusters.
    mean, scale
        Of Monetary, Frequency and Recency: a point is (value − mean) / scale.
    centroids
        k rows of the three features in their own units, cluster 0 first.
    scores
        One row a k tried: k, inertia, silhouette, elbow, score.
    version
        Version of the code that fitted it.
    """

    trained: str
    k: int
    mean: list[float]
    scale: list[float]
    centroids: list[list[float]]
    scores: list[dict[str, float]]
    version: str

    def to_json(self) -> str:
        """Return the model as text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Model:
        """Return the model that `to_json` wrote."""
        return cls(**json.loads(text))

    def predict(self, customers: pd.DataFrame) -> np.ndarray:
        """Return the nearest cluster of each customer.

        Parameters
        ----------
        customers
            With columns Monetary, Frequency, Recency.

        Returns
        -------
        numpy.ndarray
            Of int32, one cluster a row, by Euclidean distance between scaled points.
        """
        points = (features(customers) - self.mean) / self.scale
        centroids = (np.asarray(self.centroids) - self.mean) / self.scale
        distances = ((points[:, None, :] - centroids[None]) ** 2).sum(axis=2)
        return distances.argmin(axis=1).astype(np.int32)

    @property
    def record(self) -> pd.DataFrame:
        """The model as a row of ``cluster_models``."""
        date = dt.date.fromisoformat(self.trained)
        return pd.DataFrame({"UpdateDate": [date], "k": [self.k], "model": [self.to_json()]})


class Clustering(NamedTuple):
    """Customers with their cluster, and the model that put them there."""

    customers: pd.DataFrame
    model: Model


def cluster(
    gold: pd.DataFrame, outliers: pd.Series, run_date: dt.date, options: Clusters = Clusters(), *, version: str = ""
) -> Clustering:
    """Group customers by what they spend, how often and how lately.

    Parameters
    ----------
    gold
        One row a customer, columns of ``customer_rfm_gold``.
    outliers
        Cluster of each row as `rfm.outlier_clusters` marks it; rows with 0 take part in the fit.
    run_date
        Becomes UpdateDate.
    options
        Range of k, starts and seed.
    version
        Version of the code, kept in the model.

    Returns
    -------
    Clustering
        The customers, columns of ``customer_rfm_kmeans_clustered``, and the `Model`.

    Raises
    ------
    InputError
        If there is no customer at all.
    """
    if gold.empty:
        raise InputError(f"customer_rfm_gold has 0 customers as of {run_date}; check rules.stock_code_pattern and the files")
    last, days = gold.iloc[0][["MaxInvoiceDate", "Recency"]]
    if (as_of := pd.Timestamp(last).date() + dt.timedelta(days=int(days))) != run_date:
        raise InputError(f"customer_rfm_gold is as of {as_of}, not {run_date}; run the gold stage for {run_date} first")
    gold = gold.sort_values("CustomerID", ignore_index=False)
    regular = outliers.reindex(gold.index) == 0
    fitted = gold[regular] if regular.any() else gold
    model = fit(fitted, run_date, options, version=version)
    labels = np.where(regular, model.predict(gold), outliers.reindex(gold.index)).astype(np.int32)
    return Clustering(gold.assign(Cluster=labels, UpdateDate=run_date), model)


def fit(customers: pd.DataFrame, run_date: dt.date, options: Clusters = Clusters(), *, version: str = "") -> Model:
    """Fit K-means with the best k and number the clusters from 0 by falling median Monetary.

    Parameters
    ----------
    customers
        Regular customers, at least one.
    run_date, options, version
        As for `cluster`.
    """
    values = features(customers)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    points = (values - mean) / scale
    fits = _fits(points, options)
    scores = score(points, fits)
    best = fits[int(scores["score"].argmax())]
    order = _by_value(values[:, 0], best.labels)
    return Model(
        trained=run_date.isoformat(),
        k=len(order),
        mean=mean.tolist(),
        scale=scale.tolist(),
        centroids=(best.centroids[order] * scale + mean).tolist(),
        scores=scores.to_dict("records"),
        version=version,
    )


def features(customers: pd.DataFrame) -> np.ndarray:
    """Return Monetary, Frequency, Recency as floats, shape (customers, 3)."""
    return customers[list(FEATURES)].astype(float).to_numpy()


class Fit(NamedTuple):
    """One K-means: labels of the points, centroids in scaled units, inertia."""

    labels: np.ndarray
    centroids: np.ndarray
    inertia: float


def _fits(points: np.ndarray, options: Clusters) -> list[Fit]:
    """Fit K-means for each k that the points allow; a single cluster where they allow none."""
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


def _by_value(monetary: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the labels in order of falling median Monetary."""
    return pd.Series(monetary).groupby(labels).median().sort_values(ascending=False, kind="stable").index.to_numpy()


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
