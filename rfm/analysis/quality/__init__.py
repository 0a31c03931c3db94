"""How good the data is: the quality tables, the guard before gold, and warnings of what is odd.

The functions take the rows of any set of processing dates; a daily run gives the new rows only. Rows of
bronze come judged: with typed columns, and one boolean column an expectation.
"""

from __future__ import annotations

from rfm.analysis.quality.anomalies import unsteady, warnings
from rfm.analysis.quality.gate import guard, money_flow
from rfm.analysis.quality.tables import (
    bronze_quality,
    daily_counts,
    daily_volume,
    dq_comparison,
    expectation_results,
    measure,
    quality_metrics,
)
from rfm.config import REPEATS, severities

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
