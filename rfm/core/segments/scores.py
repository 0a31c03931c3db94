"""The classic RFM scores, 1 to 5, and the eleven usual names: no clusters, no cut-offs, only how customers compare."""

from __future__ import annotations

import numpy as np
import pandas as pd

SCORE_NAMES: dict[int, tuple[str, ...]] = {  # recency score: the name by value score, 1 to 5
    5: ("New Customers", "Potential Loyalist", "Loyal Customers", "Champions", "Champions"),
    4: ("Promising", "Potential Loyalist", "Loyal Customers", "Champions", "Champions"),
    3: ("About To Sleep", "About To Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "At Risk"),
    1: ("Lost", "Lost", "At Risk", "Can't Lose Them", "Can't Lose Them"),
}
"""Five rows of five, so every customer has one name and no name is a remainder.

The names are the usual eleven. Their usual ranges overlap (those of the ``rfm`` package for R, say); each cell here
has a name whose usual range holds it, the narrower one where two do.
"""


def rfm_scores(gold: pd.DataFrame) -> pd.DataFrame:
    """Score each customer on recency, frequency and monetary value, and give the usual name.

    Parameters
    ----------
    gold
        One row a customer with Monetary, Frequency, Recency.

    Returns
    -------
    pandas.DataFrame
        RScore, FScore, MScore (1 to 5, 5 is best, see `quintile`; few days count as good), RFMScore ("545") and
        ScoreName, on the index of `gold`.

    References
    ----------
    Hughes (1994), Strategic Database Marketing.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.rfm_scores(rfm.example("customer_rfm_gold")).head(3)
       RScore  FScore  MScore RFMScore           ScoreName
    0       5       2       1      521  Potential Loyalist
    1       3       3       2      332      Need Attention
    2       5       3       4      534           Champions
    """
    scores = [quintile(values) for values in (-gold["Recency"].astype(float), gold["Frequency"], gold["Monetary"])]
    columns = dict(zip(("RScore", "FScore", "MScore"), scores, strict=True))
    names, digits = np.array([SCORE_NAMES[score] for score in range(1, 6)]), np.array(list("012345"), dtype=object)
    recency, frequency, monetary = scores
    columns["RFMScore"] = digits[recency] + digits[frequency] + digits[monetary]
    columns["ScoreName"] = names[recency - 1, value_score(frequency, monetary) - 1]
    return pd.DataFrame(columns, index=gold.index)


def value_score(frequency: np.ndarray, monetary: np.ndarray) -> np.ndarray:
    """Return the value score, 1 to 5: the mean of two scores, a half rounded up.

    Parameters
    ----------
    frequency, monetary
        Scores, 1 to 5.
    """
    return (frequency + monetary + 1) // 2


def quintile(values: pd.Series) -> np.ndarray:
    """Score values 1 to 5 by the fifth of the customers in which they stand; equal values get equal scores.

    A value stands at its mid-distribution rank: the share of customers below it and half the share of those equal to it.
    So nothing is broken by id or order, a value that a third of the customers share stands in the middle of its third,
    and a shift or another unit changes nothing. Without ties each score has a fifth of the customers; with ties the fifths
    are as even as equal scores allow, and one may stay empty.

    Parameters
    ----------
    values
        Numbers, more is better.

    Returns
    -------
    numpy.ndarray
        Of int32, shape (customers,).

    References
    ----------
    Parzen (2004), Statistical Science 19: the mid-distribution function.

    Examples
    --------
    >>> quintile(pd.Series([1, 1, 1, 2, 3, 4, 5, 8, 13, 21])).tolist()
    [1, 1, 1, 2, 3, 3, 4, 4, 5, 5]
    """
    _, place, counts = np.unique(values.astype(float).to_numpy(), return_inverse=True, return_counts=True)
    twice = 2 * np.cumsum(counts) - counts  # twice the number below, and once those equal: whole numbers
    return (5 * twice // (2 * max(1, len(values))) + 1).astype(np.int32)[place]
