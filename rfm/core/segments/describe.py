"""Clusters and customers in numbers and words."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from rfm.core.segments.explain import cluster_labels, explanation
from rfm.core.segments.rules import METRICS, TIER_OF, recommended_actions, steady_segment
from rfm.schema import TABLES, InputError
from rfm.sections import Cutoffs


def summarise_clusters(customers: pd.DataFrame) -> pd.DataFrame:
    """Describe each cluster by count, average and median.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_kmeans_clustered``.

    Returns
    -------
    pandas.DataFrame
        Columns of ``cluster_summary``, one row a cluster, averages and medians rounded to 2.

    Raises
    ------
    InputError
        If there is no customer.

    Examples
    --------
    >>> import rfm
    >>> clusters = rfm.segments.summarise_clusters(rfm.example("customer_rfm_kmeans_clustered"))
    >>> clusters[["Cluster", "Count", "MedianMonetary", "MedianFrequency", "MedianRecency"]].head(3)
       Cluster  Count  MedianMonetary  MedianFrequency  MedianRecency
    0       -3     21         1188.60              6.0            2.0
    1       -2     33          264.79              4.0            4.0
    2       -1     14          641.12              2.0            7.0
    """
    if customers.empty:
        raise InputError("customer_rfm_kmeans_clustered has 0 customers of this run date; run the cluster stage for it first")
    summary = statistics(customers, "Cluster", "Count")
    return summary[TABLES["cluster_summary"].names].sort_values("Cluster", ignore_index=True)


def medians_of(customers: pd.DataFrame) -> dict[str, float]:
    """Return the median Monetary, Frequency and Recency of all customers.

    Parameters
    ----------
    customers
        One row a customer with the three metrics.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.medians_of(rfm.example("customer_rfm_gold"))
    {'Monetary': 117.375, 'Frequency': 2.0, 'Recency': 8.0}
    """
    return {name: float(customers[name].astype(float).median()) for name in METRICS}


def describe_clusters(
    summary: pd.DataFrame,
    medians: Mapping[str, float],
    recommendations: Mapping[str, str] | None = None,
    cutoffs: Cutoffs = Cutoffs(),
    currency: str = "£",
    before: Mapping[str, str] | None = None,
    band: float = 0.0,
) -> pd.DataFrame:
    """Give each cluster its segment, tier and recommended action, and say why.

    Parameters
    ----------
    summary
        Columns of ``cluster_summary``.
    medians
        Of all customers, see `medians_of`.
    recommendations
        The shop's own words for some segments.
    cutoffs
        The shop's own multiples of the medians where the bands of the segments end.
    currency
        Sign before an amount.
    before
        Segments that the clusters had in the run before, by number as text: `Model.before`.
    band
        Share by which medians must pass a cut-off before the segment changes, see `steady_segment`.

    Returns
    -------
    pandas.DataFrame
        Columns of ``cluster_description_and_recommendation``.

    Raises
    ------
    SettingsError
        If a recommendation is for a segment that does not exist.

    Examples
    --------
    >>> import rfm
    >>> customers = rfm.example("customer_rfm_kmeans_clustered")
    >>> clusters, medians = rfm.segments.summarise_clusters(customers), rfm.segments.medians_of(customers)
    >>> described = rfm.segments.describe_clusters(clusters, medians)
    >>> described[["Cluster", "Cluster_Description", "Tier"]].head(3)
       Cluster  Cluster_Description        Tier
    0       -3  Super VIP Champions     premium
    1       -2    High Value Active  high value
    2       -1   Ultra Big Spenders     premium
    """
    actions = recommended_actions(recommendations or {})
    clusters, metrics = summary["Cluster"].tolist(), medians_in(summary)
    held = [(before or {}).get(str(cluster)) for cluster in clusters]
    rows = zip(metrics, clusters, held, strict=True)
    names = [steady_segment(values, medians, cluster, cutoffs, name, band) for values, cluster, name in rows]
    return summary.assign(
        Cluster_Description=names,
        Tier=[TIER_OF[name] for name in names],
        Cluster_Recommendation=[actions[name] for name in names],
        Cluster_Label=cluster_labels(clusters, names),
        Explanation=[explanation(*row, medians, cutoffs, currency) for row in zip(metrics, names, strict=True)],
    )


def medians_in(summary: pd.DataFrame) -> list[list[float]]:
    """Return the median Monetary, Frequency and Recency of each row of a summary.

    Parameters
    ----------
    summary
        Columns of ``cluster_summary`` or ``segment_summary``.
    """
    return summary[[f"Median{name}" for name in METRICS]].to_numpy(float).tolist()


def describe_customers(customers: pd.DataFrame, described: pd.DataFrame) -> pd.DataFrame:
    """Give each customer the segment, tier and action of its cluster.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_kmeans_clustered``.
    described
        Columns of ``cluster_description_and_recommendation``.

    Returns
    -------
    pandas.DataFrame
        Columns of ``customer_rfm_description_and_recommendation``, a row for every customer.

    Examples
    --------
    >>> import rfm
    >>> described = rfm.example("cluster_description_and_recommendation")
    >>> customers = rfm.segments.describe_customers(rfm.example("customer_rfm_kmeans_clustered"), described)
    >>> customers["Cluster_Description"].value_counts().head(3).to_dict()
    {'New Customers': 146, 'High Value Active': 81, 'Hibernating': 68}
    """
    words = described[["Cluster", "Cluster_Description", "Tier", "Cluster_Recommendation"]]
    joined = customers.merge(words, on="Cluster", how="left", validate="many_to_one")
    return joined[TABLES["customer_rfm_description_and_recommendation"].names]


def statistics(customers: pd.DataFrame, by: str, count: str) -> pd.DataFrame:
    """Return count, averages and medians of the metrics per group, rounded to 2.

    Parameters
    ----------
    customers
        One row a customer with the metrics.
    by
        Column that names the group.
    count
        What the number of customers is called.
    """
    groups = customers[[by]].assign(**{name: customers[name].astype(float) for name in METRICS}).groupby(by)
    columns = {count: groups.size()}
    for name in METRICS:
        columns[f"Average{name}"] = groups[name].mean().round(2)
        columns[f"Median{name}"] = groups[name].median().round(2)
    return pd.DataFrame(columns).reset_index()
