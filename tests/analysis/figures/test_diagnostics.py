"""Figures of files, rules, money and backtest: bars, points, lines and cells are the numbers of the frame."""

from __future__ import annotations

import base64
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import StepPatch

from rfm.analysis import figures
from rfm.analysis.figures import diagnostics, style
from tests.analysis.figures.frames import BACKTEST, COUNTS, FLOW, VOLUME, D, customers_of


def heights(bars: StepPatch) -> dict[str, int]:
    """Return the height of each bar by the day in its middle; days without a bar have none."""
    values, edges, _ = bars.get_data()
    days = [str(np.datetime64(round(day), "D")) for day in (edges[1:] + edges[:-1]) / 2]
    return {day: int(value) for day, value in zip(days, values, strict=True) if not np.isnan(value)}


def spans(points: ErrorbarContainer) -> list[tuple[float, float, float]]:
    """Return low, value and high of each point."""
    line, _, (bars,) = points
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    return [(low, value, high) for value, (low, high) in zip(line.get_xdata(), ends, strict=True)]


# ── data ───────────────────────────────────────────────────────────────────────────────────────────
def test_arrivals_add_the_files_of_a_day(ledger: pd.DataFrame) -> None:
    (axes,) = figures.arrivals(ledger).axes
    assert {bars.get_label(): heights(bars) for bars in axes.patches} == {
        "arrived": {"2025-06-29": 15, "2025-06-30": 7},
        "kept in silver": {"2025-06-29": 13, "2025-06-30": 6},
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("date in the file's name", "lines")


def test_arrivals_before_silver_are_one_series(ledger: pd.DataFrame) -> None:
    (axes,) = figures.arrivals(ledger[ledger["layer"] == "bronze"]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["arrived"]


def test_a_missing_day_of_arrivals_leaves_a_gap(ledger: pd.DataFrame) -> None:
    late = ledger.assign(file_date=ledger["file_date"].replace(D, D + dt.timedelta(5)))
    assert heights(figures.arrivals(late).axes[0].patches[0]) == {str(D - dt.timedelta(1)): 15, str(D + dt.timedelta(5)): 7}


def test_broken_expectations_are_added_up_over_the_days(results: pd.DataFrame) -> None:
    (axes,) = figures.broken_expectations(results).axes
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True)) == {
        "rate": 0,
        "valid_quantity": 2,
        "known_country": 3,
    }
    assert [text.get_text() for text in axes.texts] == ["0 (0.00%), fail", "2 (18.18%), drop", "3 (37.50%), warn"]
    assert axes.get_xlabel() == "rows that failed"


def test_labels_of_broken_expectations_fit_the_figure(results: pd.DataFrame) -> None:
    figure = figures.broken_expectations(results.assign(checked=10**9, failed=10**6))
    figure.draw_without_rendering()
    assert max(text.get_window_extent().x1 for text in figure.axes[0].texts) <= figure.bbox.x1


# ── backtest ───────────────────────────────────────────────────────────────────────────────────────
def test_foretold_draws_each_way_and_horizon_with_its_interval() -> None:
    (axes,) = figures.foretold(BACKTEST, "auc").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["steady", "scores"]
    assert {points.get_label(): spans(points) for points in axes.containers} == {
        "30 days": [(0.6, 0.7, 0.8), (0.5, 0.6, 0.65)],
        "60 days": [(0.6, 0.65, 0.7), (0.5, 0.55, 0.7)],
    }
    assert [round(place) for points in axes.containers for place in points[0].get_ydata()] == [0, 1, 0, 1]
    assert axes.get_xlabel() == "AUC"
    assert axes.lines[0].get_xdata() == [0.5, 0.5]


@pytest.mark.parametrize("measure", diagnostics.FORETOLD)
def test_each_measure_asks_its_question(measure: str) -> None:
    figure = figures.foretold(BACKTEST.assign(measure=measure), measure)
    title, axis, form, alike = diagnostics.FORETOLD[measure]
    assert (figure.get_suptitle(), figure.axes[0].get_xlabel()) == (title, axis)
    assert figure.axes[0].lines[0].get_xdata() == [alike, alike]
    assert figure.axes[0].xaxis.get_major_formatter()(0.25) == format(0.25, form)


def test_segment_lifts_are_sorted_by_who_buys_again() -> None:
    (axes,) = figures.segment_lifts(BACKTEST, "steady", 30).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Champions", "Lost"]
    assert {points.get_label(): spans(points) for points in axes.containers} == {
        "buy again": [(0.4, 0.5, 0.7), (1.8, 2.0, 2.2)],
        "spend": [(0.2, 0.25, 0.3), (2.0, 3.0, 4.0)],
    }
    assert [round(place) for place in axes.containers[0][0].get_ydata()] == [1, 0]


# ── in a notebook ──────────────────────────────────────────────────────────────────────────────────
def test_jupyter_shows_an_image_with_a_text(ledger: pd.DataFrame) -> None:
    data, metadata = DisplayFormatter().format(figures.arrivals(ledger))
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "How many lines did each day's file bring? From 6 to 15 lines per day."
    assert metadata["image/png"]["alt"] == data["text/plain"]


def test_the_image_is_small_and_the_same_each_time() -> None:
    first, again = (DisplayFormatter().format(figures.clusters_pairs(customers_of(600)))[0]["image/png"] for _ in range(2))
    assert first == again
    assert len(base64.b64decode(first)) < 64_000


def test_a_dark_style_of_the_user_leaves_the_text_readable(ledger: pd.DataFrame) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"text.color": "white", "axes.labelcolor": "white", "xtick.color": "white", "axes.facecolor": "black"}):
        figure = figures.arrivals(ledger)
        figure.draw_without_rendering()
    (axes,) = figure.axes
    labels = [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_legend().get_texts()]
    assert {mpl.colors.to_hex(label.get_color()) for label in labels} == {style.INK}
    assert (axes.get_facecolor(), figure.get_facecolor()) == ((1, 1, 1, 1), (1, 1, 1, 1))


# ── figures to hover ───────────────────────────────────────────────────────────────────────────────
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
