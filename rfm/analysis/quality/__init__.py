"""Data quality: tables per processing date, the gate before gold, and warnings of what is unusual.

The functions take rows of any processing dates; a daily run passes only the new ones. Rows of bronze come from `rfm.judge`.
"""

from __future__ import annotations

from rfm.analysis.quality.anomalies import unsteady, warnings
from rfm.analysis.quality.baseline import departures, facts
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

__all__ = ["REPEATS", "departures", "facts", "guard", "measure", "money_flow", "severities", "unsteady", "warnings"]
__all__ += ["bronze_quality", "daily_counts", "daily_volume", "dq_comparison", "expectation_results", "quality_metrics"]
