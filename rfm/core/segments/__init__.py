"""From clusters to segments: a name, a tier and an action for each; the rules are data, in `rules`."""

from rfm.core.segments.describe import (
    action_table,
    describe_clusters,
    describe_customers,
    headline,
    medians_of,
    summarise_clusters,
    summarise_segments,
    value_engagement,
)
from rfm.core.segments.rules import (
    CLUSTER_NAMES,
    DECISIONS,
    ENGAGEMENTS,
    METRICS,
    RECOMMENDATIONS,
    SEGMENTS,
    TIER_OF,
    TIERS,
    VALUE_TIERS,
    Decision,
    recommended_actions,
    segment_of,
)

__all__ = [
    "CLUSTER_NAMES",
    "DECISIONS",
    "ENGAGEMENTS",
    "METRICS",
    "RECOMMENDATIONS",
    "SEGMENTS",
    "TIERS",
    "TIER_OF",
    "VALUE_TIERS",
    "Decision",
    "action_table",
    "describe_clusters",
    "describe_customers",
    "headline",
    "medians_of",
    "summarise_clusters",
    "summarise_segments",
    "value_engagement",
    "recommended_actions",
    "segment_of",
]
