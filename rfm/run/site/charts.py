"""Small drawings that are part of a page, so that nothing has to load before they are seen."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, INSET = 240, 64, 4  # of a line, in units of its own


def line(points: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return values over time as the path of an SVG, from the first day to the last.

    Parameters
    ----------
    points
        Day and value, oldest first; at least two.

    Returns
    -------
    dict
        ``d``, the path; ``x`` and ``y`` of its last point.
    """
    days = [dt.date.fromisoformat(day).toordinal() for day, _ in points]
    values = [value for _, value in points]
    span, low, high = days[-1] - days[0] or 1, min(values), max(values)
    xs = [INSET + (WIDTH - 2 * INSET) * (day - days[0]) / span for day in days]
    ys = [HEIGHT / 2 if high == low else INSET + (HEIGHT - 2 * INSET) * (high - value) / (high - low) for value in values]
    return {"d": "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True)), "x": xs[-1], "y": ys[-1]}


def months(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a calendar of the months that have runs, newest first.

    Parameters
    ----------
    runs
        Rows of ``runs.json``.

    Returns
    -------
    list of dict
        ``name`` and ``weeks``: seven days each, Monday first; of a day ``number`` (0 outside the month) and its ``run``.
    """
    of = {run["run_date"]: run for run in runs}
    found = sorted({day[:7] for day in of}, reverse=True)
    return [_month(int(month[:4]), int(month[5:]), of) for month in found]


def _month(year: int, month: int, of: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weeks of a month with their runs."""
    days = calendar.Calendar().monthdayscalendar(year, month)
    weeks = [[{"number": day, "run": of.get(f"{year}-{month:02}-{day:02}")} for day in week] for week in days]
    return {"name": f"{dt.date(year, month, 1):%B %Y}", "weeks": weeks}
