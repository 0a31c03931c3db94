"""Customers who behave alike: scaled, grouped by K-means with the best k, numbered by value."""

from rfm.core.clustering.choice import Fit, fit_each, score
from rfm.core.clustering.fitting import Clustering, cluster, fit
from rfm.core.clustering.model import Model, features
from rfm.core.clustering.silhouette import silhouettes

__all__ = ["Clustering", "Fit", "Model", "cluster", "features", "fit", "fit_each", "score", "silhouettes"]
