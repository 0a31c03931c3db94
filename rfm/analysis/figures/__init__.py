"""One function a figure: frame in, figure out; never shows, never saves. Titles are the questions answered."""

from __future__ import annotations

from rfm.analysis.figures.customers import (
    boxes,
    centroids,
    cluster_profiles,
    clusters_3d,
    clusters_pairs,
    k_selection,
    outlier_fences,
    segment_shares,
)
from rfm.analysis.figures.quality import (
    arrivals,
    broken_expectations,
    distributions,
    layers_by_day,
    money_waterfall,
    pass_rates,
    refusals,
    weekday_volume,
)
from rfm.analysis.figures.sales import (
    basket_size,
    best_products,
    countries,
    customers_by_month,
    purchase_gaps,
    retention,
    revenue_by_day,
    revenue_by_month,
)
from rfm.analysis.figures.segments import agreement, foretold, movement, score_map, segment_lifts, segment_treemap, stability

__all__ = [
    "agreement",
    "arrivals",
    "basket_size",
    "best_products",
    "boxes",
    "broken_expectations",
    "centroids",
    "cluster_profiles",
    "clusters_3d",
    "clusters_pairs",
    "countries",
    "customers_by_month",
    "distributions",
    "foretold",
    "k_selection",
    "layers_by_day",
    "money_waterfall",
    "movement",
    "outlier_fences",
    "pass_rates",
    "purchase_gaps",
    "refusals",
    "retention",
    "revenue_by_day",
    "revenue_by_month",
    "score_map",
    "segment_lifts",
    "segment_shares",
    "segment_treemap",
    "stability",
    "weekday_volume",
]
