"""How far two ways of grouping the same customers agree, whatever the groups are called."""

from __future__ import annotations

from typing import Any


def crosstab(first: Any, second: Any) -> Any:
    """Count the customers of each pair of groups.

    Parameters
    ----------
    first, second
        Group of each customer, names or numbers, in the same order.

    Returns
    -------
    numpy.ndarray
        Of int64, one row a group of `first` and one column a group of `second`, both sorted.
    """
    import numpy as np
    import pandas as pd

    (rows, row_names), (columns, column_names) = (pd.factorize(pd.Series(groups), sort=True) for groups in (first, second))
    shape = len(row_names), len(column_names)
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def adjusted_rand(first: Any, second: Any) -> float:
    """Return the adjusted Rand index: 1 for the same groups, about 0 for groups that have nothing to do with each other.

    Of all pairs of customers, the share that both ways treat alike (together, or apart), corrected for chance.

    Parameters
    ----------
    first, second
        As for `crosstab`.

    Returns
    -------
    float
        At most 1; below 0 where they agree less than chance would. 1 where no two customers can disagree.

    References
    ----------
    Hubert and Arabie (1985), Journal of Classification 2.

    Examples
    --------
    >>> adjusted_rand(["a", "a", "b", "b"], [7, 7, 3, 3])
    1.0
    """
    table = crosstab(first, second)
    together, rows, columns, pairs = (_pairs(part) for part in (table, table.sum(1), table.sum(0), table.sum()))
    expected, most = rows * columns / pairs if pairs else 0.0, (rows + columns) / 2
    return (together - expected) / (most - expected) if most != expected else 1.0


def _pairs(sizes: Any) -> float:
    """Return how many pairs there are within groups of some sizes."""
    return float((sizes * (sizes - 1)).sum() / 2)
