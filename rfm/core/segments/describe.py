"""Clusters, customers and segments in numbers and words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from rfm.core.segments.explain import cluster_labels, explanation
from rfm.core.segments.rules import ENGAGEMENTS, METRICS, TIER_OF, VALUE_TIERS, recommended_actions, steady_segment
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
    """
    if customers.empty:
        raise InputError("customer_rfm_kmeans_clustered has 0 customers of this run date; run the cluster stage for it first")
    summary = _statistics(customers, "Cluster", "Count")
    return summary[TABLES["cluster_summary"].names].sort_values("Cluster", ignore_index=True)


def medians_of(customers: pd.DataFrame) -> dict[str, float]:
    """Return the median Monetary, Frequency and Recency of all customers."""
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
    """
    actions = recommended_actions(recommendations or {})
    clusters, metrics = summary["Cluster"].tolist(), _medians(summary)
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


def _medians(summary: pd.DataFrame) -> list[list[float]]:
    """Return the median Monetary, Frequency and Recency of each row of a summary."""
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
    """
    words = described[["Cluster", "Cluster_Description", "Tier", "Cluster_Recommendation"]]
    joined = customers.merge(words, on="Cluster", how="left", validate="many_to_one")
    return joined[TABLES["customer_rfm_description_and_recommendation"].names]


def summarise_segments(customers: pd.DataFrame, cutoffs: Cutoffs = Cutoffs(), currency: str = "£") -> pd.DataFrame:
    """Describe each segment: how many, how good, what they bring, what to do, and why it is called so.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_description_and_recommendation``.
    cutoffs, currency
        As for `describe_clusters`.

    Returns
    -------
    pandas.DataFrame
        Columns of ``segment_summary``, most revenue first; Revenue is exact, its sum is that of Monetary.
    """
    words = customers.groupby("Cluster_Description")[["Tier", "Cluster_Recommendation"]].first().reset_index()
    summary = _statistics(customers, "Cluster_Description", "Customers").merge(words, on="Cluster_Description")
    revenue = customers.groupby("Cluster_Description")["Monetary"].sum()
    summary["Revenue"] = summary["Cluster_Description"].map(revenue)
    summary["CustomerShare"] = summary["Customers"] / len(customers)
    total = float(revenue.sum())
    summary["RevenueShare"] = summary["Revenue"].astype(float) / total if total else 0.0
    rows, medians = zip(_medians(summary), summary["Cluster_Description"], strict=True), medians_of(customers)
    summary["Explanation"] = [explanation(*row, medians, cutoffs, currency) for row in rows]
    summary = summary[TABLES["segment_summary"].names]
    return summary.sort_values(["Revenue", "Cluster_Description"], ascending=[False, True], ignore_index=True)


def headline(summary: pd.DataFrame, currency: str = "£") -> str:
    """Say in one sentence what a run found.

    Parameters
    ----------
    summary
        Columns of ``segment_summary``, most revenue first.
    currency
        Sign before an amount.
    """
    first, customers, revenue = summary.iloc[0], int(summary["Customers"].sum()), float(summary["Revenue"].sum())
    return (
        f"{customers:,} customers in {len(summary)} segments brought {currency}{revenue:,.0f}; "
        f"{first['Customers']:,} {first['Cluster_Description']} ({first['CustomerShare']:.0%}) "
        f"brought {first['RevenueShare']:.0%} of it"
    )


def action_table(summary: pd.DataFrame, currency: str = "£") -> pd.DataFrame:
    """Return the segments as people read them: size, value, the middle customer, the action.

    Parameters
    ----------
    summary
        Columns of ``segment_summary``.
    currency
        Sign before an amount.

    Returns
    -------
    pandas.DataFrame
        One row a segment, all cells formatted as text.
    """
    money = f"{currency}{{:,.0f}}".format
    return pd.DataFrame(
        {
            "Segment": summary["Cluster_Description"],
            "Tier": summary["Tier"],
            "Customers": summary["Customers"].map("{:,}".format),
            "Share": summary["CustomerShare"].map("{:.0%}".format),
            "Revenue": summary["Revenue"].astype(float).map(money),
            "Revenue share": summary["RevenueShare"].map("{:.0%}".format),
            "Median spend": summary["MedianMonetary"].map(money),
            "Median invoices": summary["MedianFrequency"].map("{:g}".format),
            "Median days since": summary["MedianRecency"].map("{:g}".format),
            "What to do": summary["Cluster_Recommendation"],
        }
    ).set_index("Segment")


def _statistics(customers: pd.DataFrame, by: str, count: str) -> pd.DataFrame:
    """Return count, averages and medians of the metrics per group, rounded to 2."""
    groups = customers[[by]].assign(**{name: customers[name].astype(float) for name in METRICS}).groupby(by)
    columns = {count: groups.size()}
    for name in METRICS:
        columns[f"Average{name}"] = groups[name].mean().round(2)
        columns[f"Median{name}"] = groups[name].median().round(2)
    return pd.DataFrame(columns).reset_index()


def value_engagement(gold: pd.DataFrame, cutoffs: Cutoffs = Cutoffs()) -> pd.DataFrame:
    """Put each customer into a value tier and an engagement, without any clustering.

    Parameters
    ----------
    gold
        One row a customer with Monetary, Frequency, Recency.
    cutoffs
        Multiples of the medians: growing and high spend, often, recent are the first ones.

    Returns
    -------
    pandas.DataFrame
        ValueTier (`VALUE_TIERS`) and Engagement (`ENGAGEMENTS`) on the index of `gold`.
    """
    medians = medians_of(gold)
    money, orders, days = (gold[name].astype(float) for name in METRICS)
    growing, high, _ = (multiple * medians["Monetary"] for multiple in cutoffs.monetary)
    value = np.select([money > high, money > growing], VALUE_TIERS[:2], VALUE_TIERS[2])
    recent, often = days < cutoffs.recency * medians["Recency"], orders > cutoffs.frequency[0] * medians["Frequency"]
    engagement = np.select([recent & often, ~recent & often, recent], ENGAGEMENTS[:3], ENGAGEMENTS[3])
    return pd.DataFrame({"ValueTier": value, "Engagement": engagement}, index=gold.index)
