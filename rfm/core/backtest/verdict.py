"""The backtest in words and as a table that people read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from rfm.core.backtest.ways import DEFAULT, SEGMENTATIONS


class Question(NamedTuple):
    """What a shop wants to know, the figure that answers it, and which end of it is good."""

    measure: str
    task: str
    figure: str
    form: str = "{:.3f}"
    best: str = "max"


QUESTIONS = (
    Question("auc", "To tell who buys again", "AUC"),
    Question("spearman", "To put customers in the order of what they will spend", "rank correlation"),
    Question("top_fifth", "To pick the fifth of the customers who bring most", "share of the revenue", "{:.1%}"),
    Question("explained", "To say how much each will spend", "share explained", "{:.1%}"),
    Question("renamed", "To keep the names of customers who bought nothing", "renamed from run to run", "{:.2%}", "min"),
)


def verdict(results: pd.DataFrame, default: str = DEFAULT) -> list[str]:
    """Say which way is best for what, and whether the default wins or loses.

    Parameters
    ----------
    results
        As `backtest` returns them.
    default
        The way that the house uses.

    Returns
    -------
    list of str
        Sentences: how much was tried, the default against each other way with segments, then one a question.
        Better and worse mean that the 95 % interval of the paired difference leaves 0 out.
    """
    others = [str(way) for way in SEGMENTATIONS if way != default and way in set(results["way"])]
    duels = [_duel(results, other, default) for other in others]
    return [_tried(results), *duels, *(_answer(results, question, default) for question in QUESTIONS)]


def comparison(results: pd.DataFrame) -> pd.DataFrame:
    """Return a row a way and a column a question and horizon: value and interval, as text.

    Parameters
    ----------
    results
        As `backtest` returns them.
    """
    whole = _whole(results)
    columns = {}
    for question in QUESTIONS:
        for horizon, rows in whole[whole["measure"] == question.measure].groupby("horizon"):
            texts = [_interval(row, question.form) for row in rows.itertuples()]
            columns[f"{question.figure}, {horizon} days"] = pd.Series(texts, index=rows["way"])
    return pd.DataFrame(columns).reindex(whole["way"].unique()).fillna("").rename_axis("way")


def lifts(results: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return a row a segment: way, segment, share of customers, lift in buying again and in spending with intervals, as text.

    Parameters
    ----------
    results
        As `backtest` returns them.
    horizon
        Days ahead.
    """
    rows = results[(results["segment"] != "") & (results["horizon"] == horizon) & results["way"].isin(SEGMENTATIONS)]
    texts = [_interval(row, "{:.1%}" if row.measure == "share" else "{:.2f}") for row in rows.itertuples()]
    wide = rows.assign(text=texts).pivot(index=["way", "segment"], columns="measure", values="text")
    order = rows[rows["measure"] == "lift"].sort_values(["way", "value"], ascending=[True, False])
    wide = wide.loc[pd.MultiIndex.from_frame(order[["way", "segment"]])]
    return wide[["share", "lift", "spend_lift"]].rename_axis(columns=None)


def _whole(results: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of whole ways, not of segments and not differences."""
    return results[(results["segment"] == "") & (results["against"] == "")]


def _tried(results: pd.DataFrame) -> str:
    """Say on how many days each way was tried."""
    rows = results[(results["measure"] == "auc") & (results["against"] == "")].drop_duplicates("horizon")
    tried = " and ".join(f"on {row.days} for the {row.horizon} days after them" for row in rows.itertuples())
    return f"Each way was tried on past days: {tried}."


def _duel(results: pd.DataFrame, other: str, default: str) -> str:
    """Say in how many figures the default is better or worse than another way with segments."""
    rows = results[(results["way"] == other) & (results["against"] == default) & (results["measure"] != "renamed")]
    worse, better = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    word = "loses to" if worse > better else "beats" if better > worse else "is level with"
    return (
        f"The default, {default}, {word} {other}: of {len(rows)} figures that foretell it is worse in {worse}, better in "
        f"{better} and not told apart in {len(rows) - worse - better}."
    )


def _answer(results: pd.DataFrame, question: Question, default: str) -> str:
    """Say which way answers a question best, which of those with segments, and how the default stands."""
    rows = _whole(results)
    rows = rows[(rows["measure"] == question.measure) & (rows["way"] != "all alike")]
    named = rows[rows["way"].isin(SEGMENTATIONS)]
    best, best_named = _best(rows, question), _best(named, question)
    said = f"{question.task}: {best} is best ({question.figure} {_values(rows, best, question)})"
    if best_named != best:
        said += f"; of the ways with segments, {best_named} ({_values(rows, best_named, question)})"
    if default not in (best, best_named):
        said += f"; the default, {default}, has {_values(rows, default, question)}"
        said += _how_far(results, question, best_named, default)
    return said + "."


def _best(rows: pd.DataFrame, question: Question) -> str:
    """Return the way with the best mean over the horizons."""
    means = rows.groupby("way", sort=False)["value"].mean()
    return str(means.idxmax() if question.best == "max" else means.idxmin())


def _values(rows: pd.DataFrame, way: str, question: Question) -> str:
    """Return the values of a way, one a horizon."""
    own = rows[rows["way"] == way]
    return " and ".join(f"{question.form.format(row.value)} over {row.horizon} days" for row in own.itertuples())


def _how_far(results: pd.DataFrame, question: Question, best: str, default: str) -> str:
    """Say over which horizons the default is surely behind the best way with segments."""
    rows = results[(results["way"] == best) & (results["against"] == default) & (results["measure"] == question.measure)]
    behind = rows[rows["low"] > 0 if question.best == "max" else rows["high"] < 0]
    if behind.empty:
        return ", not told apart"
    return ", behind" + (f" over {behind['horizon'].iloc[0]} days" if len(behind) < len(rows) else "")


def _interval(row: Sequence, form: str) -> str:
    """Return value and interval as text."""
    value, low, high = (form.format(getattr(row, name)) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
