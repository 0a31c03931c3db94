"""Scale, choose k, fit, number the clusters by value; a model that is numbers only."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.core.clustering.choice import fit_each, score
from rfm.schema import InputError
from rfm.sections import Clusters

FEATURES = ("Monetary", "Frequency", "Recency")


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
    fits = fit_each(points, options)
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


def _by_value(monetary: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the labels in order of falling median Monetary."""
    return pd.Series(monetary).groupby(labels).median().sort_values(ascending=False, kind="stable").index.to_numpy()
