"""Figures of the quality: bars, lines and points are the numbers of the frame."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from rfm.analysis import figures
from tests.analysis.figures.frames import (
    COUNTS,
    FLOW,
    VOLUME,
    D,
)


def test_the_waterfall_ends_where_its_last_step_does() -> None:
    bars, names, labels = figures.money_waterfall(FLOW, "£").data
    assert list(names.text) == ["Lines that arrived", "Returns set aside", "Guests", "In the segments", "Counted: repeated lines"]
    assert list(zip(bars.base, bars.x, strict=True)) == [(0, 90), (90, 20), (80, 30), (0, 80), (0, 5)]
    assert list(labels.text)[:3] == ["£90 · 9 lines", "+£20 · 1 line", "−£30 · 2 lines"]


def test_pass_rates_name_the_newest(results: pd.DataFrame) -> None:
    later = results.assign(processing_date=D + dt.timedelta(1), failed=0)
    lines = {
        line.name: list(line.y) for line in figures.pass_rates(pd.concat([results.iloc[[0, 1, 3]], later.iloc[[0, 1, 3]]])).data
    }
    assert lines == {"known_country: 100.0%": [0.625, 1], "valid_quantity: 100.0%": [0.875, 1], "1 never broken": [1, 1]}


def test_refusals_are_of_rules_that_drop(results: pd.DataFrame) -> None:
    assert [(bar.name, list(bar.y)) for bar in figures.refusals(results).data] == [("valid_quantity: 2", [1, 1])]


def test_layers_by_day_add_the_runs() -> None:
    assert {bar.name: (list(bar.x), list(bar.y)) for bar in figures.layers_by_day(COUNTS).data} == {
        "bronze: arrived": (["2025-06-30"], [10]),
        "silver: kept": (["2025-06-30"], [7]),
    }


def test_weekdays_have_their_range_and_the_newest_days() -> None:
    box, points = figures.weekday_volume(VOLUME).data
    assert (list(box.x), list(box.lowerfence), list(box.median), list(box.upperfence)) == (["Mon"], [20], [60], [100])
    assert list(points.y) == [40, 50, 60, 70, 80, 90, 100]
