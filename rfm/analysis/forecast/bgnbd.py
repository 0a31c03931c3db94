"""BG/NBD: how often customers buy, and after which purchase they leave (Fader, Hardie and Lee 2005)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class BgNbd(NamedTuple):
    """Rates of purchase are gamma distributed (r, alpha); the chance to leave after a purchase is beta distributed (a, b)."""

    r: float
    alpha: float
    a: float
    b: float

    def alive(self, repeats: np.ndarray, last: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Return the probability that customers have not left."""
        silent = ((self.alpha + age) / (self.alpha + last)) ** (self.r + repeats)
        return np.where(repeats > 0, 1 / (1 + self.a / (self.b + np.maximum(repeats, 1) - 1) * silent), 1.0)

    def order(self, repeats: np.ndarray, last: np.ndarray, age: np.ndarray, days: float) -> np.ndarray:
        """Return the probability of at least one purchase in the next days."""
        none = ((self.alpha + age) / (self.alpha + age + days)) ** (self.r + repeats)
        return self.alive(repeats, last, age) * (1 - none)

    def orders_of_buyers(self, repeats: np.ndarray, age: np.ndarray, days: float) -> np.ndarray:
        """Return the mean number of days with a purchase of those who buy at all in the next days."""
        from scipy.special import hyp2f1

        a = self.a if abs(self.a - 1) > 1e-6 else 1 + 1e-6  # the limit at 1
        none, part = (self.alpha + age) / (self.alpha + age + days), days / (self.alpha + age + days)
        top = a + self.b + repeats - 1
        # equation 10 of the paper for customers who have not left, after Euler's transformation, which does not overflow
        expected = top / (a - 1) * (1 - none ** (a - 1) * hyp2f1(a + self.b - 1 - self.r, a - 1, top, part))
        return expected / (1 - none ** (self.r + repeats))


def fit_bgnbd(repeats: np.ndarray, last: np.ndarray, age: np.ndarray) -> BgNbd:
    """Return the parameters of maximum likelihood, found on the distinct histories."""
    from scipy.optimize import minimize

    rows, times = np.unique(np.column_stack([repeats, last, age]).astype(float), axis=0, return_counts=True)
    unit = max(age.max(), 1) / 10  # the optimiser wants parameters of like size
    known = rows[:, 0], rows[:, 1] / unit, rows[:, 2] / unit, times / times.sum()
    found = minimize(_loss, np.zeros(4), args=known, method="L-BFGS-B", bounds=[(-7, 7)] * 4)
    r, alpha, a, b = np.exp(found.x)
    return BgNbd(float(r), float(alpha * unit), float(a), float(b))


def _loss(logs: np.ndarray, repeats: np.ndarray, last: np.ndarray, age: np.ndarray, weights: np.ndarray) -> float:
    """Return the negative mean log-likelihood, equation 6 of the paper."""
    from scipy.special import gammaln

    r, alpha, a, b = np.exp(logs)
    rate = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha)
    stay = gammaln(a + b) - gammaln(b) + gammaln(b + repeats) - gammaln(a + b + repeats)
    active = -(r + repeats) * np.log(alpha + age)
    left = np.log(a / (b + np.maximum(repeats, 1) - 1)) - (r + repeats) * np.log(alpha + last)
    either = np.where(repeats > 0, np.logaddexp(active, left), active)
    return -float(weights @ (rate + stay + either))
