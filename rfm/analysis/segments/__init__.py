"""From clusters to segments: a name, a tier and an action for each; the rules are data, in `rules`."""

from __future__ import annotations

from rfm.analysis.segments.alternatives import (
    SCORE_NAMES,
    WAYS,
    agreement,
    own_segments,
    rfm_scores,
    segmentations,
    value_engagement,
)
from rfm.analysis.segments.explain import cluster_labels, explain_customers, explanation, held_against
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
    action_of,
    decisions,
    recommended_actions,
    segment_of,
)

__all__ = ["SCORE_NAMES", "WAYS", "agreement", "own_segments", "rfm_scores", "segmentations", "value_engagement"]
__all__ += ["cluster_labels", "explain_customers", "explanation"]
__all__ += ["SCHEMA", "action_table", "describe_clusters", "describe_customers", "held_against", "headline", "k_verdict"]
__all__ += ["medians_of", "model_artifacts", "summarise_clusters", "summarise_segments"]
__all__ += ["CLUSTER_NAMES", "DECISIONS", "ENGAGEMENTS", "METRICS", "RECOMMENDATIONS", "SEGMENTS", "TIERS", "TIER_OF"]
__all__ += ["VALUE_TIERS", "Decision", "action_of", "decisions", "recommended_actions", "segment_of"]
