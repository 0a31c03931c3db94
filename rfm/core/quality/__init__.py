"""How good the data is: the quality tables, the guard before gold, and warnings of what is odd.

The functions take the rows of any set of processing dates; a daily run gives the new rows only. Rows of
bronze come judged: with typed columns, and one boolean column an expectation.
"""

from rfm.core.quality.guard import guard
from rfm.core.quality.layers import bronze_quality, daily_counts, dq_comparison, expectation_results
from rfm.core.quality.measures import daily_volume, measure, quality_metrics
from rfm.core.quality.money import money_flow
from rfm.core.quality.steadiness import unsteady
from rfm.core.quality.watch import warnings
from rfm.severity import REPEATS, severities

__all__ = [
    "REPEATS",
    "bronze_quality",
    "daily_counts",
    "daily_volume",
    "dq_comparison",
    "expectation_results",
    "guard",
    "measure",
    "money_flow",
    "quality_metrics",
    "severities",
    "unsteady",
    "warnings",
]
