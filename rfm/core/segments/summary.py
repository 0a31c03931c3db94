"""Segments in numbers and words: the summary, its headline and the table of what to do."""

from __future__ import annotations

import pandas as pd

from rfm.core.segments.describe import medians_in, medians_of, statistics
from rfm.core.segments.explain import explanation
from rfm.schema import TABLES
from rfm.sections import Cutoffs


def summarise_segments(customers: pd.DataFrame, cutoffs: Cutoffs = Cutoffs(), currency: str = "£") -> pd.DataFrame:
    """Describe each segment: how many, how good, what they bring, what to do, and why it is called so.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_description_and_recommendation``.
    cutoffs, currency
        As for `rfm.segments.describe_clusters`.

    Returns
    -------
    pandas.DataFrame
        Columns of ``segment_summary``, most revenue first; Revenue is exact, its sum is that of Monetary.

    Examples
    --------
    >>> import rfm
    >>> segments = rfm.segments.summarise_segments(rfm.example("customer_rfm_description_and_recommendation"))
    >>> segments[["Cluster_Description", "Customers", "Revenue"]].head(3)
            Cluster_Description  Customers   Revenue
    0       Super VIP Champions         21  29723.66
    1         High Value Active         81  22480.17
    2  Dormant Ultra High Value         14  11943.99
    """
    words = customers.groupby("Cluster_Description")[["Tier", "Cluster_Recommendation"]].first().reset_index()
    summary = statistics(customers, "Cluster_Description", "Customers").merge(words, on="Cluster_Description")
    revenue = customers.groupby("Cluster_Description")["Monetary"].sum()
    summary["Revenue"] = summary["Cluster_Description"].map(revenue)
    summary["CustomerShare"] = summary["Customers"] / len(customers)
    total = float(revenue.sum())
    summary["RevenueShare"] = summary["Revenue"].astype(float) / total if total else 0.0
    rows, medians = zip(medians_in(summary), summary["Cluster_Description"], strict=True), medians_of(customers)
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

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.headline(rfm.example("segment_summary"))
    '400 customers in 7 segments brought £92,596; 21 Super VIP Champions (5%) brought 32% of it'
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

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.action_table(rfm.example("segment_summary"))[["Customers", "Share", "Revenue"]].head(3)
                             Customers Share  Revenue
    Segment
    Super VIP Champions             21    5%  £29,724
    High Value Active               81   20%  £22,480
    Dormant Ultra High Value        14    4%  £11,944
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
