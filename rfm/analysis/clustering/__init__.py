"""Customers who behave alike: scaled, grouped by K-means with the best k, numbered by value."""

from __future__ import annotations

from rfm.analysis.clustering.fit import Clustering, cluster, fit_model
from rfm.analysis.clustering.k_selection import Fit, fit_each, score, silhouettes
from rfm.analysis.clustering.model import Model, features

__all__ = ["Clustering", "Fit", "Model", "cluster", "features", "fit_model", "fit_each", "score", "silhouettes"]
