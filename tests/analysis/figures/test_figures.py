"""What holds for every figure: its title is a question, it changes nothing, and an empty frame is no error."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import rfm
from rfm.analysis import figures, sales
from rfm.analysis.outliers import outlier_clusters
from rfm.analysis.segments.rules import TIER_OF
from tests.analysis.figures.frames import (
    BACKTEST,
    CENTROIDS,
    COUNTS,
    FLOW,
    MEDIANS,
    MOVES,
    ORDERS,
    PRODUCTS,
    SCORES,
    SHARES,
    STEADY,
    VOLUME,
    WAYS,
    D,
)

RELIABLE = pd.DataFrame(
    {"Way": "forecast", "Band": [0.1, 0.3], "Customers": [40, 9], "Forecast": [0.12, 0.31], "Actual": [0.1, 0.4]}
)
STATIC = {
    *("arrivals", "broken_expectations", "centroids", "cluster_profiles", "clusters_pairs", "distributions", "foretold"),
    *("k_selection", "outlier_fences", "reliability", "segment_lifts", "segment_states"),
}


@pytest.fixture(scope="module")
def calls(
    customers: pd.DataFrame, ledger: pd.DataFrame, results: pd.DataFrame, described: pd.DataFrame, summary: pd.DataFrame
) -> dict[str, tuple[Callable[..., Any], tuple]]:
    """Return each figure's function with arguments."""
    arguments = {
        "arrivals": (ledger,),
        "broken_expectations": (results,),
        "distributions": (customers,),
        "outlier_fences": (customers, outlier_clusters(customers)),
        "k_selection": (SCORES, 3),
        "clusters_3d": (customers,),
        "segment_shares": (summary,),
        "cluster_profiles": (described, MEDIANS),
        "revenue_by_month": (sales.periods(ORDERS, D), "£"),
        "revenue_by_day": (sales.periods(ORDERS, D, "day"), "£"),
        "customers_by_month": (sales.customer_months(ORDERS, D),),
        "retention": (sales.cohorts(ORDERS, D),),
        "purchase_gaps": (sales.days_between(ORDERS, D),),
        "countries": (sales.countries(ORDERS, D), "£"),
        "best_products": (PRODUCTS, "Units"),
        "basket_size": (ORDERS,),
        "money_waterfall": (FLOW, "£"),
        "pass_rates": (results,),
        "refusals": (results,),
        "layers_by_day": (COUNTS,),
        "weekday_volume": (VOLUME,),
        "boxes": (customers, outlier_clusters(customers)),
        "clusters_pairs": (customers,),
        "centroids": (CENTROIDS, [500.0, 5.0, 100.0], [250.0, 5.0, 50.0], ["0 · Champions", "1 · Hibernating"]),
        "segment_treemap": (summary, "£"),
        "score_map": (WAYS, customers, "£"),
        "agreement": (WAYS,),
        "movement": (MOVES, TIER_OF),
        "stability": (STEADY,),
        "cohort_value": (sales.cohorts(ORDERS, D), "£"),
        "migration": (SHARES,),
        "foretold": (BACKTEST, "auc"),
        "segment_lifts": (BACKTEST, "steady", 30),
        "segment_states": (rfm.example("customer_states"),),
        "reliability": (RELIABLE,),
    }
    return {name: (getattr(figures, name), given) for name, given in arguments.items()}


class Drawn(NamedTuple):
    """All figures, drawn once, and what that left behind."""

    figures: dict[str, Any]
    changed: list[str]
    printed: tuple[str, str]
    before: Any
    after: Any


def traces() -> Any:
    """Return what a library keeps for all figures."""
    defaults = plotly.io.templates.default, plotly.io.renderers.default
    return plt.get_fignums(), dict(mpl.rcParams), defaults


@pytest.fixture(scope="module")
def drawn(calls: dict) -> Drawn:
    made, changed, before = {}, [], traces()
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as errors:
        for name, (draw, given) in calls.items():
            old = deepcopy(given)
            made[name] = draw(*given)
            changed += [name for part, kept in zip(given, old, strict=True) if not same(part, kept)]
    return Drawn(made, changed, (out.getvalue(), errors.getvalue()), before, traces())


def same(part: Any, old: Any) -> bool:
    return part.equals(old) if isinstance(part, (pd.DataFrame, pd.Series)) else part == old


@pytest.fixture(scope="module")
def shown(drawn: Drawn) -> dict[str, Any]:
    """Return what each figure shows."""
    return {name: shown_by(figure) for name, figure in drawn.figures.items()}


def emptied(name: str, given: tuple) -> tuple:
    """Return the arguments of a figure without any row."""
    if name == "centroids":
        return ([], *given[1:])
    return tuple(part.head(0) if hasattr(part, "head") else part for part in given)


def title_of(figure: Any) -> str:
    """Return the first line of a title; a second one explains."""
    return figure.get_suptitle() if isinstance(figure, Figure) else figure.layout.title.text.partition("<br>")[0]


def shown_by(figure: Any) -> Any:
    """Return what a figure shows: the pixels of matplotlib's, the JSON of plotly's."""
    if isinstance(figure, go.Figure):
        return figure.to_json()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def amounts(figure: Any) -> Iterator[float]:
    """Yield the numbers that a figure draws, whatever the kind of its traces."""
    if isinstance(figure, Figure):
        drawn = [part for axes in figure.axes for part in (*axes.patches, *axes.lines, *axes.collections, *axes.images)]
        yield from (1.0 for _ in drawn)
        return
    for trace in figure.data:
        given = trace.to_plotly_json()
        along = "x" if given.get("orientation") == "h" else "y"
        lists = [given.get(name) for name in ("z" if trace.type == "heatmap" else along, "values", "median")]
        lists.append(given.get("link", {}).get("value"))
        yield from (one for row in filter(None, map(flat, lists)) for one in row if isinstance(one, int | float))


def flat(values: Any) -> list[Any]:
    """Return the values of a list, or of a list of lists."""
    rows = [] if values is None else list(values)
    return [one for row in rows for one in (row if isinstance(row, list | tuple) else [row])]


def test_every_figure_is_tried(calls: dict) -> None:
    assert set(figures.__all__) == set(dir(figures)) == set(calls)


def test_a_figure_is_drawn_by_one_library(drawn: Drawn) -> None:
    made = drawn.figures
    assert {name for name, figure in made.items() if isinstance(figure, Figure)} == STATIC
    assert {name for name, figure in made.items() if isinstance(figure, go.Figure)} == set(figures.__all__) - STATIC


def test_titles_are_questions(drawn: Drawn) -> None:
    titles = [*map(title_of, drawn.figures.values())]
    assert all(title.endswith("?") for title in titles)
    assert len(set(titles)) == len(titles)


def test_frames_are_not_changed(drawn: Drawn) -> None:
    assert drawn.changed == []


def test_drawing_leaves_no_trace_in_plotly_or_matplotlib(drawn: Drawn, shown: dict) -> None:
    assert shown
    assert drawn.before == drawn.after == traces()


def test_a_library_is_imported_when_a_figure_needs_it() -> None:
    heavy = "sorted({'matplotlib', 'matplotlib.pyplot', 'plotly'} & sys.modules.keys())"
    program = f"import sys; from rfm.analysis import figures; print({heavy}); figures.best_products; print({heavy})"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["[]", "['plotly']"]


def test_a_name_that_is_no_figure_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'pie'"):
        _ = figures.pie


def test_drawing_prints_nothing(drawn: Drawn) -> None:
    assert drawn.printed == ("", "")


@pytest.mark.whole
def test_the_same_frame_gives_the_same_figure(calls: dict, shown: dict) -> None:
    for name, (draw, given) in calls.items():
        assert shown_by(draw(*given)) == shown[name], name


def test_figures_are_plain_numbers_and_text(shown: dict) -> None:
    for name in shown.keys() - STATIC:
        assert "bdata" not in shown[name], name
        assert json.loads(shown[name])["data"]


def test_full_frames_draw_amounts(drawn: Drawn) -> None:
    assert [name for name, figure in drawn.figures.items() if not any(amounts(figure))] == []


@pytest.mark.parametrize("name", figures.__all__)
def test_an_empty_frame_draws_no_amount(name: str, calls: dict) -> None:
    draw, given = calls[name]
    figure = draw(*emptied(name, given))
    assert title_of(figure).endswith("?")
    assert not any(amounts(figure))
    assert shown_by(figure)


@pytest.mark.parametrize("name", sorted(STATIC))
def test_an_empty_static_figure_says_so(name: str, calls: dict) -> None:
    draw, given = calls[name]
    figure = draw(*emptied(name, given))
    assert [text.get_text() for text in figure.axes[0].texts] == ["no data yet"]
    assert figure.alt.endswith("No data yet.")


def test_figures_of_one_row(calls: dict) -> None:
    for draw, given in calls.values():
        figure = draw(*(part.head(1) if hasattr(part, "head") else part for part in given))
        assert title_of(figure).endswith("?")
        assert shown_by(figure)


@pytest.mark.parametrize("name", sorted(STATIC))
def test_static_figures_have_one_size_and_no_cut_text(name: str, calls: dict) -> None:
    draw, given = calls[name]
    figure = draw(*given)
    figure.draw_without_rendering()
    whole, tight = figure.bbox_inches, figure.get_tightbbox()
    assert whole.width == 8
    assert (tight.x0 >= 0, tight.y0 >= 0, tight.x1 <= whole.x1, tight.y1 <= whole.y1) == (True,) * 4


def test_figures_need_few_kinds_of_traces(drawn: Drawn) -> None:
    made = [figure for name, figure in drawn.figures.items() if name not in STATIC]
    kinds = {trace.type for figure in made for trace in figure.data}
    assert kinds == {"bar", "box", "heatmap", "sankey", "scatter", "scatter3d", "treemap"}
