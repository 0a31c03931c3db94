"""What is odd about a run's stability, measured against the shop's own past, in sentences."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import pandas as pd

from rfm.core.quality.past import usual
from rfm.core.quality.watch import COLUMNS, TYPES
from rfm.sections import Watch

STAGE = "5_segments"
REMEDY = "see segment_movement for who moved and why; --refit fits afresh"


class Figure(NamedTuple):
    """A figure of ``segment_stability``: which side is odd, the smallest spread, what to say of it and how."""

    high_is_odd: bool
    least: float
    said: str
    form: str


FIGURES = {
    "RenamedShare": Figure(True, 0.0075, "customers without a purchase who were renamed", "{:.1%}"),
    "AdjustedRand": Figure(False, 0.01, "adjusted Rand index against the run before", "{:.3f}"),
    "Drift": Figure(True, 0.1, "standard deviations that a centroid moved at most", "{:.2f}"),
    "KMargin": Figure(False, 0.02, "margin of k over the best other", "{:.1%}"),
}


def unsteady(run_date: dt.date, stability: pd.DataFrame, limits: Watch | None = None) -> pd.DataFrame:
    """Say which figures of a run's stability have left their usual range.

    Parameters
    ----------
    run_date
        The run date.
    stability
        Rows of ``segment_stability``; those of later runs are left out.
    limits
        What counts as odd: settings ``[quality]``; the defaults if not given.

    Returns
    -------
    pandas.DataFrame
        Columns of ``run_warnings``; no row if all is as usual.
    """
    limits = limits or Watch()
    seen = stability[stability["UpdateDate"] <= run_date].sort_values("UpdateDate")
    told = [(name, _odd(seen[["UpdateDate", name]].dropna(), run_date, figure, limits)) for name, figure in FIGURES.items()]
    rows = [(run_date, STAGE, f"stability_{name}", "warning", said) for name, said in told if said]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(TYPES)


def _odd(values: pd.DataFrame, run_date: dt.date, figure: Figure, limits: Watch) -> str:
    """Say how far a figure is from what is usual; nothing if it is not."""
    today, past = (values[values["UpdateDate"] == run_date].iloc[:, 1], values[values["UpdateDate"] < run_date].iloc[:, 1])
    if today.empty or len(past) < limits.history:
        return ""
    found, sign = usual(past.tolist(), figure.least), 1 if figure.high_is_odd else -1
    value, limit = float(today.iloc[0]), found.middle + sign * limits.z * found.spread
    if (value - limit) * sign <= 0:
        return ""
    now, middle, end = (figure.form.format(number) for number in (value, found.middle, limit))
    side = "up to" if figure.high_is_odd else "down to"
    return f"{now} {figure.said}; {found.past} earlier runs had about {middle}, {side} {end} is usual; {REMEDY}"
