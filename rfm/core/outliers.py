"""Customers too far out for K-means: marked, never dropped."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from rfm.schema import OUTLIER_LABELS

REGULAR, SPEND, FREQUENCY, BOTH = 0, -1, -2, -3
LABELS = OUTLIER_LABELS


class Fences(NamedTuple):
    """The range in which a value is regular, both ends included."""

    low: float
    high: float


def iqr_fences(values: pd.Series, factor: float = 1.5) -> Fences:
    """Return Tukey's fences: the quartiles, widened by a multiple of the interquartile range.

    Parameters
    ----------
    values
        Numbers, at least one.
    factor
        How many interquartile ranges beyond the quartiles are still regular.

    Returns
    -------
    Fences
        In the unit of the values; quantiles by linear interpolation.

    References
    ----------
    Tukey (1977), Exploratory Data Analysis.
    """
    q1, q3 = values.astype(float).quantile([0.25, 0.75])
    return Fences(q1 - factor * (q3 - q1), q3 + factor * (q3 - q1))


def outlier_clusters(gold: pd.DataFrame, factor: float = 1.5) -> pd.Series:
    """Mark the customers whose spend or frequency lies beyond the fences of all customers.

    Parameters
    ----------
    gold
        One row a customer with Monetary and Frequency.
    factor
        See `iqr_fences`.

    Returns
    -------
    pd.Series
        Cluster, named so, on the index of `gold`: 0 regular, -1 spend only, -2 frequency only, -3 both. Its ``attrs``
        hold the fences, by metric, for whoever keeps them.

    Examples
    --------
    >>> gold = pd.DataFrame({"Monetary": [10, 11, 12, 13, 900], "Frequency": [1, 2, 2, 2, 2]})
    >>> outlier_clusters(gold).tolist()
    [-2, 0, 0, 0, -1]
    """
    if gold.empty:
        return pd.Series(REGULAR, index=gold.index, name="Cluster", dtype="int32")
    fences = {name: iqr_fences(gold[name], factor) for name in ("Monetary", "Frequency")}
    far = {name: ~gold[name].astype(float).between(*ends) for name, ends in fences.items()}
    marks = (-1 * far["Monetary"] - 2 * far["Frequency"]).astype("int32").rename("Cluster")
    marks.attrs["fences"] = fences
    return marks
