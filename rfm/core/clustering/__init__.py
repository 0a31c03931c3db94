"""Customers who behave alike: scaled, grouped by K-means with the best k, numbered by value."""

from rfm.core.clustering.model import Clustering, Fit, Model, cluster, features, fit, kmeans, score
from rfm.core.clustering.silhouette import silhouettes

__all__ = ["Clustering", "Fit", "Model", "cluster", "features", "fit", "kmeans", "score", "silhouettes"]
