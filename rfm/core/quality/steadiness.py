"""What is odd about a run's stability, measured against the shop's own past, in sentences."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
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

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> rfm.quality.unsteady(datetime.date(2025, 10, 23), rfm.example("segment_stability"))["message"].tolist()
    []
    """
    limits = limits or Watch()
    seen = stability[stability["UpdateDate"] <= run_date].sort_values("UpdateDate")
    days = seen["UpdateDate"].tolist()
    told = [(name, _odd(_known(days, seen[name]), run_date, figure, limits)) for name, figure in FIGURES.items()]
    rows = [(run_date, STAGE, f"stability_{name}", "warning", said) for name, said in told if said]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(TYPES)


def _known(days: list[dt.date], values: pd.Series) -> dict[dt.date, float]:
    """Return the values of the days that have one."""
    return {day: value for day, value in zip(days, values.tolist(), strict=True) if pd.notna(value)}


def _odd(values: Mapping[dt.date, float], run_date: dt.date, figure: Figure, limits: Watch) -> str:
    """Say how far a figure is from what is usual; nothing if it is not."""
    past = [value for day, value in values.items() if day < run_date]
    if run_date not in values or len(past) < limits.history:
        return ""
    found, sign = usual(past, figure.least), 1 if figure.high_is_odd else -1
    value, limit = float(values[run_date]), found.middle + sign * limits.z * found.spread
    if (value - limit) * sign <= 0:
        return ""
    now, middle, end = (figure.form.format(number) for number in (value, found.middle, limit))
    side = "up to" if figure.high_is_odd else "down to"
    return f"{now} {figure.said}; {found.past} earlier runs had about {middle}, {side} {end} is usual; {REMEDY}"
