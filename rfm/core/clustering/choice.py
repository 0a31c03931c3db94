"""Weigh which k is best: silhouettes and elbow; of very many customers from a sample, as large as the choice needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rfm.core.clustering.kmeans import Fit, fit_each
from rfm.core.clustering.silhouette import in_cells, silhouette_values, silhouettes

__all__ = ["EXACT", "Fit", "fit_each", "score"]

SILHOUETTE_WEIGHT, ELBOW_WEIGHT = 0.6, 0.4
EXACT = 100_000  # customers up to which every silhouette is measured
FIRST, MOST = 2_048, 16_384  # customers measured beyond that, at first and at most
SURE = 2.0  # standard errors by which the best k must lead
SEED = 42


def score(points: np.ndarray, fits: Sequence[Fit]) -> pd.DataFrame:
    """Weigh silhouette and elbow of each k.

    Up to `EXACT` points all silhouettes are measured. Beyond, those of points drawn without replacement, each
    against all points; their number is doubled until the best k leads every other by two standard errors of the
    difference (paired: all k are measured on the same points), or the maximum is reached and it is a tie.

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
        scaled to [0, 1], to the line through the first and the last),
        score = 0.6 · silhouette / max + 0.4 · elbow / max, rows (points whose silhouette was measured), error
        (standard error of the silhouette), lead_error (that of the lead of the best k's score over this one) and
        tied (whether a sample cannot tell it from the best); both errors are 0 where all were measured.
    """
    labelings = [fit.labels for fit in fits]
    if len(points) <= EXACT:
        return _weighed(fits, silhouettes(points, labelings)).assign(rows=len(points), error=0.0, lead_error=0.0, tied=False)
    cells, order = in_cells(points, labelings), np.random.default_rng(SEED).permutation(len(points))
    values = silhouette_values(cells, order[:FIRST])
    table = _estimated(fits, values, len(points))
    while table["tied"].any() and len(values) < min(MOST, len(points)):
        values = np.concatenate([values, silhouette_values(cells, order[len(values) : 2 * len(values)])])
        table = _estimated(fits, values, len(points))
    return table


def _weighed(fits: Sequence[Fit], found: np.ndarray) -> pd.DataFrame:
    """Return k, inertia, silhouette, elbow and score."""
    table = pd.DataFrame({"k": [len(fit.centroids) for fit in fits], "inertia": [fit.inertia for fit in fits]})
    table["silhouette"] = found
    table["elbow"] = (_unit(table["k"]) + _unit(table["inertia"]) - 1).abs() / np.sqrt(2)
    table["score"] = SILHOUETTE_WEIGHT * _relative(table["silhouette"]) + ELBOW_WEIGHT * _relative(table["elbow"])
    return table


def _estimated(fits: Sequence[Fit], values: np.ndarray, total: int) -> pd.DataFrame:
    """Return the scores from the silhouettes of a sample, shape (rows, fits), with their standard errors."""
    table = _weighed(fits, values.mean(axis=0))
    best, most = table["score"].argmax(), table["silhouette"].argmax()
    mean, largest = values.mean(axis=0), max(values[:, most].mean(), np.finfo(float).tiny)
    relative = values / largest - values[:, [most]] * mean / largest**2  # how each row moves silhouette / max
    lead = SILHOUETTE_WEIGHT * (relative[:, [best]] - relative)
    table = table.assign(rows=len(values), error=_error(values, total), lead_error=_error(lead, total))
    behind = table["score"].max() - table["score"]
    return table.assign(tied=(behind <= SURE * table["lead_error"]) & (table.index != best))


def _error(values: np.ndarray, total: int) -> np.ndarray:
    """Return the standard error of the mean of each column, of rows drawn without replacement from so many."""
    rows = len(values)
    return values.std(axis=0, ddof=1) * np.sqrt((1 - rows / total) / rows)


def _unit(values: pd.Series) -> pd.Series:
    """Scale to [0, 1]; a constant becomes 0."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread else values * 0.0


def _relative(values: pd.Series) -> pd.Series:
    """Divide by the largest value; all zero where none is positive."""
    return values / values.max() if values.max() > 0 else values * 0.0
