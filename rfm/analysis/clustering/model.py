"""A fitted segmentation as numbers and names: it assigns any customer to a cluster and a segment."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from rfm.analysis.outliers import marks_of
from rfm.config import Clusters

FEATURES = ("Monetary", "Frequency", "Recency")
PIECE = 100_000  # customers whose distances to all centroids are in memory at once


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
