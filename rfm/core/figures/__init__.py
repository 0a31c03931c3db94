"""One function a figure: frame in, figure out; never shows, never saves. Titles are the questions answered."""

from rfm.core.figures.backtest import foretold, segment_lifts
from rfm.core.figures.baskets import basket_size, best_products, countries
from rfm.core.figures.clusters import boxes, centroids, clusters_pairs
from rfm.core.figures.customers import cluster_profiles, clusters_3d, k_selection, outlier_fences, segment_shares
from rfm.core.figures.data import arrivals, broken_expectations, distributions
from rfm.core.figures.quality import layers_by_day, money_waterfall, pass_rates, refusals, weekday_volume
from rfm.core.figures.segments import agreement, movement, score_map, segment_treemap, stability
from rfm.core.figures.trade import customers_by_month, purchase_gaps, retention, revenue_by_day, revenue_by_month

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
