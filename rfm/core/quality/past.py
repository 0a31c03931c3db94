"""What is usual, told by the past alone: median and median absolute deviation, which a few odd days do not move.

A value's distance from the median in units of 1.4826 × MAD is the robust z-score of Iglewicz and Hoaglin (1993); the factor
makes the unit a standard deviation where values are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

PER_SIGMA = 1.4826
LEAST_FACTOR = 0.15  # spread of a logarithm that is never called odd: about a seventh more or less
LEAST_SHARE = 0.02  # the same for shares: two in a hundred
YEAR = 52  # of the past, so many values count: a year of the same weekdays


class Usual(NamedTuple):
    """What is usual: the middle of the past, how far values lie from it, and how many there were."""

    middle: float
    spread: float
    past: int

    def z(self, value: float) -> float:
        """Return how many spreads a value lies above the middle; below it is negative."""
        return (value - self.middle) / self.spread


def usual(values: Sequence[float], least: float) -> Usual:
    """Return what is usual of the newest values of the past.

    Parameters
    ----------
    values
        At least one, oldest first.
    least
        Smallest spread, so that a past without any does not make everything odd.
    """
    newest = np.asarray(values[-YEAR:], dtype=float)
    middle = float(np.median(newest))
    return Usual(middle, max(PER_SIGMA * float(np.median(np.abs(newest - middle))), least), len(newest))


def usual_volume(lines: Sequence[int]) -> Usual:
    """Return what is usual of log(1 + lines): volumes differ by factors, and half is as far as twice."""
    return usual([float(value) for value in np.log1p(np.asarray(lines, dtype=float))], LEAST_FACTOR)


def usual_share(shares: Sequence[float], rows: int) -> Usual:
    """Return what is usual of a share, with the chance that a run of few rows leaves to it.

    Parameters
    ----------
    shares
        Of earlier runs, oldest first.
    rows
        Of this run: a share of few rows varies by itself (standard error, with Laplace's rule of succession).
    """
    found = usual(shares, LEAST_SHARE)
    chance = (found.middle * rows + 1) / (rows + 2)
    return found._replace(spread=max(found.spread, (chance * (1 - chance) / rows) ** 0.5))
