"""Which way of segmenting foretells anything: segments of past days, held against what came after."""

from rfm.core.backtest.future import Snapshot, outcomes, spent_within
from rfm.core.backtest.lifetime import expected, fits_lifetimes
from rfm.core.backtest.score import DRAWS, HORIZONS, backtest, learned_on
from rfm.core.backtest.verdict import comparison, lifts, verdict
from rfm.core.backtest.ways import DEFAULT, MEASURES, SEGMENTATIONS, Way

__all__ = [
    "DEFAULT",
    "DRAWS",
    "HORIZONS",
    "MEASURES",
    "SEGMENTATIONS",
    "Snapshot",
    "Way",
    "backtest",
    "comparison",
    "expected",
    "fits_lifetimes",
    "learned_on",
    "lifts",
    "outcomes",
    "spent_within",
    "verdict",
]
