"""Measures of customers with weights: every column of weights is a draw of the bootstrap, the first counts each customer once.

All functions take `weights` of shape (customers, draws) and return one value a draw.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ties(NamedTuple):
    """Customers in rising order of a number, and where each set of equal numbers starts."""

    order: np.ndarray
    starts: np.ndarray

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values per set of equals, shape (sets, draws)."""
        return np.add.reduceat(values[self.order], self.starts, axis=0)


def ties(numbers: np.ndarray) -> Ties:
    """Sort numbers and find the equal ones."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    return Ties(order, np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]))


def draw(customers: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each customer is drawn, shape (customers, 1 + draws); the first column counts everyone once.

    Parameters
    ----------
    customers
        How many there are; as many are drawn, with replacement.
    draws
        How many times.
    seed
        Of the generator: the same one gives the same draws.
    """
    drawn = np.random.default_rng(seed).multinomial(customers, np.full(customers, 1 / customers), size=draws)
    return np.vstack([np.ones(customers), drawn]).T.copy()


def auc(weights: np.ndarray, rank: Ties, bought: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve: the chance that a buyer is ranked above another, ties a half; 0.5 where undefined.

    Parameters
    ----------
    weights
        Shape (customers, draws).
    rank
        Ties of the ranking number.
    bought
        Who buys again.
    """
    buyers = rank.sums(weights * bought[:, None])
    others = rank.sums(weights) - buyers
    below = (buyers * (others.cumsum(axis=0) - others / 2)).sum(axis=0)
    return _ratio(below, buyers.sum(axis=0) * others.sum(axis=0), 0.5)


def middle_ranks(weights: np.ndarray, rank: Ties) -> np.ndarray:
    """Return the weighted rank of each customer, equal ones sharing the middle; parameters as for `auc`."""
    sums = rank.sums(weights)
    sizes = np.diff(np.r_[rank.starts, len(rank.order)])
    ranks = np.empty_like(weights)
    ranks[rank.order] = np.repeat(sums.cumsum(axis=0) - sums / 2, sizes, axis=0)
    return ranks


def spearman(weights: np.ndarray, rank: Ties, ranked: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation; 0 where either side is constant.

    Parameters
    ----------
    weights, rank
        As for `auc`.
    ranked
        `middle_ranks` of what is to be foretold.
    """
    sums, total, weighted = rank.sums(weights), weights.sum(axis=0), weights * ranked
    own = sums.cumsum(axis=0) - sums / 2  # weighted middle ranks have the mean total / 2
    common = (own * rank.sums(weighted)).sum(axis=0) - total**3 / 4
    spread = ((sums * own**2).sum(axis=0) - total**3 / 4) * ((weighted * ranked).sum(axis=0) - total**3 / 4)
    return _ratio(common, np.sqrt(np.maximum(spread, 0)), 0.0)


def explained(weights: np.ndarray, spent: np.ndarray, forecast: np.ndarray, mean: float) -> np.ndarray:
    """Return 1 − squared error of a forecast over that of one mean for all; 0 where there is nothing to explain.

    Parameters
    ----------
    weights
        Shape (customers, draws).
    spent, forecast
        Of each customer.
    mean
        What is forecast for everyone if all are alike.
    """
    return 1 - _ratio((spent - forecast) ** 2 @ weights, (spent - mean) ** 2 @ weights, 1.0)


def top_share(weights: np.ndarray, rank: Ties, spent: np.ndarray, part: float = 0.2) -> np.ndarray:
    """Return the share of spending by the part of the customers ranked highest, of a tie a proportional part.

    Parameters
    ----------
    weights, rank
        As for `auc`.
    spent
        Of each customer.
    part
        Which part of the customers.
    """
    sums, money = rank.sums(weights)[::-1], rank.sums(weights * spent[:, None])[::-1]
    wanted = part * sums.sum(axis=0)
    taken = np.clip(_ratio(wanted - (sums.cumsum(axis=0) - sums), sums, 0.0), 0, 1)
    return _ratio((taken * money).sum(axis=0), money.sum(axis=0), part)


def _ratio(above: np.ndarray, below: np.ndarray, otherwise: float) -> np.ndarray:
    """Divide; another value where the divisor is not above zero."""
    return np.divide(above, below, out=np.full(np.shape(above), otherwise, dtype=float), where=below > 0)
