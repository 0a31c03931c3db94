"""Scale, choose k, fit, number the clusters by value; afresh, or from the model of the run before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.core.clustering import steady
from rfm.core.clustering.choice import fit_each, score
from rfm.core.clustering.model import Model, features
from rfm.schema import InputError
from rfm.sections import Clusters

DIGITS = 9  # of scaled values: what lies beyond depends on the currency's unit


class Clustering(NamedTuple):
    """Customers with their cluster, and the model that put them there."""

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
        Range of k, starts and seed; how steady the clusters are.
    version
        Version of the code, kept in the model.
    earlier
        Model to start from, see `Model.predecessor`; a full fit if there is none.
    yesterday
        Rows of ``customer_rfm_kmeans_clustered_history`` of the earlier model's run.
    left_out
        CustomerIDs that take no part in the fit; they get a cluster all the same.

    Returns
    -------
    Clustering
        The customers, columns of ``customer_rfm_kmeans_clustered``, and the `Model`.

    Raises
    ------
    InputError
        If there is no customer at all, or gold is of another date.

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
    model = fit(fitted, run_date, options, version=version, earlier=earlier)
    model = replace(model, fences={name: [*map(float, ends)] for name, ends in outliers.attrs.get("fences", {}).items()})
    clusters = marks.astype(np.int32)
    clusters[marks == 0] = steady.assigned(gold[marks == 0], model, yesterday, options.band)
    return Clustering(gold.assign(Cluster=clusters, UpdateDate=run_date), model)


def _check(gold: pd.DataFrame, run_date: dt.date) -> None:
    """Raise InputError if gold is empty or of another date."""
    if gold.empty:
        raise InputError(f"customer_rfm_gold has 0 customers as of {run_date}; check rules.stock_code_pattern and the files")
    last, days = gold.iloc[0][["MaxInvoiceDate", "Recency"]]
    if (as_of := pd.Timestamp(last).date() + dt.timedelta(days=int(days))) != run_date:
        raise InputError(f"customer_rfm_gold is as of {as_of}, not {run_date}; run the gold stage for {run_date} first")


def fit(
    customers: pd.DataFrame,
    run_date: dt.date,
    options: Clusters = Clusters(),
    *,
    version: str = "",
    earlier: Model | None = None,
) -> Model:
    """Fit K-means for each k, choose one and number its clusters from 0 by falling median Monetary.

    Neither ids nor the order of rows nor the currency's unit play a part.

    Parameters
    ----------
    customers
        Regular customers, at least one.
    run_date, options, version, earlier
        As for `cluster`; an earlier k that is not tried today means a full fit.
    """
    values = features(customers)
    values = values[np.lexsort(values.T)]
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0
    points = np.round((values - mean) / scale, DIGITS)
    start = (np.asarray(earlier.centroids) - mean) / scale if earlier else None
    fits = fit_each(points, options, start)
    if start is not None and len(start) in [len(one.centroids) for one in fits]:
        fits = steady.limited(fits, points, start, options)
    else:
        earlier = None
    scores = score(points, fits)
    place, challenger = steady.choose(scores, earlier, run_date, options)
    best = fits[place]
    order = _by_value(values[:, 0], best.labels)
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
    return steady.grown(model, earlier) if earlier else model


def _by_value(monetary: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the labels in order of falling median Monetary."""
    return pd.Series(monetary).groupby(labels).median().sort_values(ascending=False, kind="stable").index.to_numpy()
