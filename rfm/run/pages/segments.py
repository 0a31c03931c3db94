"""Segments: who they are, how they differ, how they were found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rfm.core import figures
from rfm.core.segments import medians_of
from rfm.run import exports
from rfm.run.pages.figures import drawn
from rfm.run.pages.tables import RunTables

if TYPE_CHECKING:
    import pandas as pd

CARD = (
    "Cluster_Description",
    "Tier",
    "Customers",
    "CustomerShare",
    "Revenue",
    "RevenueShare",
    "Cluster_Recommendation",
    "Explanation",
)
SHARES = {
    "Cluster_Description": ("Segment", "text"),
    "Customers": ("Customers", "count"),
    "CustomerShare": ("Share of customers", "share"),
    "Revenue": ("Revenue", "money"),
    "RevenueShare": ("Share of revenue", "share"),
}
PROFILES = {
    "Cluster": ("Cluster", "text"),
    "Cluster_Description": ("Segment", "text"),
    "MedianMonetary": ("Median spent", "money"),
    "MedianFrequency": ("Median orders", "count"),
    "MedianRecency": ("Median days since", "count"),
}
SCORES = {"k": ("Clusters", "count"), **{name: (name.capitalize(), "number") for name in ("silhouette", "elbow", "score")}}
TYPICAL = ("Monetary", "Frequency", "Recency")


def build(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows.

    Parameters
    ----------
    tables
        Of the run.

    Returns
    -------
    dict
        ``cards``, one a segment, the most revenue first; ``tiers``; ``differ`` and ``found``, figures.
    """
    summary = tables.frame("segment_summary")
    if summary.empty:
        return {"cards": [], "tiers": [], "differ": [], "found": []}
    cards = [card(row) for row in summary.sort_values("Revenue", ascending=False).to_dict("records")]
    tiers = list(dict.fromkeys(one["tier"] for one in cards))
    return {"cards": cards, "tiers": tiers, "differ": differ(tables, summary), "found": found(tables)}


def card(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of ``segment_summary`` as plain values."""
    segment, tier, customers, share, revenue, revenue_share, action, why = (row[name] for name in CARD)
    return {
        "segment": segment,
        "tier": tier,
        "customers": int(customers),
        "customer_share": float(share),
        "revenue": str(revenue),
        "revenue_share": float(revenue_share),
        "recommendation": action,
        "downloads": exports.downloads(exports.slug(segment), "", int(customers)),
        "explanation": why if isinstance(why, str) else "",
        "typical": {name: [float(row[f"Median{name}"]), float(row[f"Average{name}"])] for name in TYPICAL},
    }


def differ(tables: RunTables, summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the figures of how the segments differ; parameters as for `build`, and ``summary``, rows of ``segment_summary``."""
    described = tables.frame("cluster_description_and_recommendation")
    clustered, scored = tables.frame("customer_rfm_kmeans_clustered"), tables.frame("customer_segmentations")
    profiles = figures.cluster_profiles(described, medians_of(clustered))
    shown = [
        drawn(figures.segment_shares(summary), "Each segment's share of customers beside its share of revenue", summary, SHARES),
        drawn(figures.segment_treemap(summary, tables.currency), table=summary, columns=SHARES),
        drawn(profiles, "Medians of each cluster as multiples of the median customer's", described, PROFILES),
    ]
    if len(scored):
        shown.append(drawn(figures.score_map(scored, clustered, tables.currency)))
        shown.append(drawn(figures.agreement(scored)))
    return [*shown, drawn(figures.distributions(clustered, clustered["Cluster"]), "How customers are spread over the metrics")]


def found(tables: RunTables) -> list[dict[str, Any]]:
    """Return the figures of how the segments were found; parameters as for `build`."""
    import pandas as pd

    clustered = tables.frame("customer_rfm_kmeans_clustered")
    model = tables.frame("cluster_models", UpdateDate=tables.day).iloc[0]
    k, scores = int(model["k"]), pd.DataFrame(json.loads(model["model"])["scores"])
    regular = clustered["Cluster"].where(clustered["Cluster"] < 0, 0)
    fences = figures.outlier_fences(clustered, regular, tables.settings.clusters.iqr_factor)
    return [
        drawn(figures.clusters_3d(clustered), "A point for each customer in the space of recency, orders and spending"),
        drawn(figures.k_selection(scores, k), f"Scores of each number of clusters; {k} was chosen", scores, SCORES),
        drawn(fences, "Spending against orders of each customer, with the fences beyond which a customer is kept apart"),
        drawn(figures.boxes(clustered, clustered["Cluster"])),
    ]
