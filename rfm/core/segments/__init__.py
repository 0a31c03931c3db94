"""From clusters to segments: a name, a tier and an action for each; the rules are data, in `rules`."""

from rfm.core.segments.card import SCHEMA, model_papers, verdict
from rfm.core.segments.describe import describe_clusters, describe_customers, medians_of, summarise_clusters
from rfm.core.segments.explain import cluster_labels, explanation
from rfm.core.segments.outlook import explain_customers
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
    decisions,
    recommended_actions,
    segment_of,
)
from rfm.core.segments.scores import SCORE_NAMES, rfm_scores
from rfm.core.segments.summary import action_table, headline, summarise_segments
from rfm.core.segments.ways import WAYS, agreement, segmentations, value_engagement

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
    "model_papers",
    "verdict",
]
