"""From clusters to segments: a name, a tier and an action for each; the rules are data, in `rules`."""

from __future__ import annotations

from rfm.analysis.segments.alternatives import SCORE_NAMES, WAYS, agreement, rfm_scores, segmentations, value_engagement
from rfm.analysis.segments.explain import cluster_labels, explain_customers, explanation
from rfm.analysis.segments.profiles import (
    SCHEMA,
    action_table,
    describe_clusters,
    describe_customers,
    headline,
    k_verdict,
    medians_of,
    model_artifacts,
    summarise_clusters,
    summarise_segments,
)
from rfm.analysis.segments.rules import (
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
    decisions,
    recommended_actions,
    segment_of,
)

__all__ = [
    "CLUSTER_NAMES",
    "DECISIONS",
    "ENGAGEMENTS",
    "METRICS",
    "RECOMMENDATIONS",
    "SCHEMA",
    "SCORE_NAMES",
    "SEGMENTS",
    "TIERS",
    "TIER_OF",
    "VALUE_TIERS",
    "WAYS",
    "Decision",
    "action_table",
    "agreement",
    "cluster_labels",
    "decisions",
    "describe_clusters",
    "describe_customers",
    "explain_customers",
    "explanation",
    "headline",
    "medians_of",
    "summarise_clusters",
    "summarise_segments",
    "value_engagement",
    "recommended_actions",
    "rfm_scores",
    "segment_of",
    "segmentations",
    "model_artifacts",
    "k_verdict",
]
