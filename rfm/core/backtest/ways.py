"""The ways that are compared and what is measured of them, as data."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """A way to tell customers apart: by a segment's name, or by a number of which more is better."""

    STEADY = "K-means, steady"
    PLAIN = "K-means, afresh"
    TIERS = "value × engagement"
    SCORES = "RFM score names"
    ALIKE = "all alike"
    MONTH = "last month's spend"
    SUM = "RFM sum"
    ORDERS = "BG/NBD purchases"
    LIFETIME = "BG/NBD × Gamma-Gamma"


DEFAULT = Way.STEADY  # the one that `rfm daily` publishes
SEGMENTATIONS = (Way.STEADY, Way.PLAIN, Way.TIERS, Way.SCORES)
MEASURES = {
    "auc": "The chance that of two customers, one who buys again and one who does not, the first is ranked higher; "
    "equal ranks count a half. 0.5 is no better than a coin.",
    "spearman": "Correlation of the customers' ranks with the ranks of what they then spend; equal ones share the middle rank.",
    "explained": "Share of the differences in spending that are foretold: 1 − squared error of the forecast ÷ squared error of "
    "forecasting for everyone the mean of the earlier window. 0 for all alike, below 0 if worse than that.",
    "top_fifth": "Share of the revenue that comes from the fifth of the customers ranked highest; of a tie, a proportional part.",
    "lift": "How many of a segment buy again, over how many would if they were like everyone on that day.",
    "spend_lift": "What a segment spends, over what it would spend if it were like everyone on that day.",
    "share": "Share of the customers who are in the segment.",
    "renamed": "Of the customers who bought nothing since the run before, the share whose segment has another name; "
    "the horizon is the days between two runs.",
}
