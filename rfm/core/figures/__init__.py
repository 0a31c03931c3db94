"""One function a figure: frame in, figure out; never shows, never saves. Titles are the questions answered."""

from rfm.core.figures.customers import cluster_profiles, clusters_3d, k_selection, outlier_fences, segment_shares
from rfm.core.figures.data import arrivals, broken_expectations, distributions

__all__ = [
    "arrivals",
    "broken_expectations",
    "cluster_profiles",
    "clusters_3d",
    "distributions",
    "k_selection",
    "outlier_fences",
    "segment_shares",
]
