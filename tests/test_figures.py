"""Figures: every bar and point is a number of the frame, every title a question, nothing else is touched."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rfm.core import figures
from rfm.core.figures import style
from rfm.core.outliers import iqr_fences, outlier_clusters
from rfm.core.segments import TIERS, describe_clusters, describe_customers, medians_of, summarise_clusters, summarise_segments
from rfm.schema import TABLES

D = dt.date(2025, 6, 30)
MEDIANS = {"Monetary": 100.0, "Frequency": 3.0, "Recency": 25.0}
SCORES = pd.DataFrame({"k": [2, 3, 4], "silhouette": [0.5, 0.4, 0.2], "elbow": [0.0, 0.2, 0.0], "score": [0.6, 0.9, 0.2]})


def customers_of(count: int) -> pd.DataFrame:
    """Return customers whose spend is 1.00, 2.00 …; each tenth is an outlier, each third of cluster 1."""
    n = np.arange(count)
    days = n % 90
    return pd.DataFrame(
        {
            "CustomerID": [f"{10000 + i}" for i in n],
            "MaxInvoiceDate": [D - dt.timedelta(days=int(day)) for day in days],
            "Recency": days.astype("int32"),
            "Frequency": (1 + n % 7).astype("int32"),
            "Monetary": [Decimal(f"{i + 1}.00") for i in n],
            "Cluster": np.select([n % 10 == 9, n % 3 == 0], [-1, 1], 0).astype("int32"),
            "UpdateDate": D,
        }
    )


@pytest.fixture
def customers() -> pd.DataFrame:
    return customers_of(60)


@pytest.fixture
def ledger() -> pd.DataFrame:
    days = [dt.date(2025, 6, 29), dt.date(2025, 6, 30)]
    rows = [("a.csv", days[0]), ("b.csv", days[0]), ("c.csv", days[1]), ("undated.csv", None)]
    counted = {"bronze": [10, 5, 7, 99], "silver": [8, 5, 6, 98], "quarantine": [2, 0, 1, 1]}
    parts = [pd.DataFrame(rows, columns=["source_file", "file_date"]).assign(layer=layer, rows=n) for layer, n in counted.items()]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def results() -> pd.DataFrame:
    rows = [
        ("valid_quantity", "drop", 8, 1),
        ("known_country", "warn", 8, 3),
        ("valid_quantity", "drop", 3, 1),
        ("rate", "fail", 3, 0),
    ]
    return pd.DataFrame(rows, columns=["expectation", "severity", "checked", "failed"]).assign(processing_date=D)


@pytest.fixture
def described(customers: pd.DataFrame) -> pd.DataFrame:
    return describe_clusters(summarise_clusters(customers), medians_of(customers))


@pytest.fixture
def summary(customers: pd.DataFrame, described: pd.DataFrame) -> pd.DataFrame:
    return summarise_segments(describe_customers(customers, described))


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────
def test_arrivals_add_the_files_of_a_day(ledger: pd.DataFrame) -> None:
    figure = figures.arrivals(ledger)
    drawn = {bar.name: dict(zip(bar.x, bar.y, strict=True)) for bar in figure.data}
    assert drawn == {
        "arrived": {"2025-06-29": 15, "2025-06-30": 7},
        "kept in silver": {"2025-06-29": 13, "2025-06-30": 6},
    }


def test_broken_expectations_are_added_up_over_the_days(results: pd.DataFrame) -> None:
    (bars,) = figures.broken_expectations(results).data
    assert dict(zip(bars.y, bars.x, strict=True)) == {"rate": 0, "valid_quantity": 2, "known_country": 3}
    assert list(bars.text) == ["0 (0.00%), fail", "2 (18.18%), drop", "3 (37.50%), warn"]
    assert list(bars.marker.color) == [style.INK, style.RED, style.ORANGE]


def test_distributions_hold_every_customer_once(customers: pd.DataFrame) -> None:
    bars = figures.distributions(customers).data
    assert [sum(bar.y) for bar in bars] == [60, 60, 60]
    assert list(bars[1].y) == [9, 9, 9, 9, 8, 16]  # one to five invoices; six and seven share a class
    for bar in bars:
        assert len(bar.x) == len(bar.y) == len(bar.width) == len(bar.hovertext)


def test_distributions_of_customers_who_are_all_alike() -> None:
    gold = customers_of(1)
    gold = pd.concat([gold] * 5, ignore_index=True).assign(Monetary=Decimal("0.00"))
    assert [sum(bar.y) for bar in figures.distributions(gold).data] == [5, 5, 5]


def test_outlier_fences_show_every_customer_and_the_fences(customers: pd.DataFrame) -> None:
    gold = pd.concat([customers, customers.tail(1).assign(CustomerID="9", Monetary=Decimal("9999.00"))], ignore_index=True)
    marks = outlier_clusters(gold)
    (axes,) = figures.outlier_fences(gold, marks).axes
    assert [len(points.get_offsets()) for points in axes.collections] == [int((marks == mark).sum()) for mark in (0, -1, -2, -3)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["regular: 60", "spend: 1", "frequency: 0", "both: 0"]
    across, up = axes.lines
    assert across.get_ydata()[0] == pytest.approx(iqr_fences(gold["Monetary"]).high)
    assert up.get_xdata()[0] == pytest.approx(iqr_fences(gold["Frequency"]).high)


def test_k_selection_draws_the_scores() -> None:
    figure = figures.k_selection(SCORES, 3)
    assert {line.name for line in figure.data} == {"score", "silhouette", "elbow"}
    for line in figure.data:
        assert (list(line.x), list(line.y)) == (SCORES["k"].tolist(), SCORES[line.name].tolist())
    assert figure.layout.shapes[0].x0 == 3
    assert figure.layout.annotations[0].text == "chosen: 3"


def test_clusters_in_space_are_all_the_customers(customers: pd.DataFrame) -> None:
    figure = figures.clusters_3d(customers)
    assert {cloud.name: len(cloud.x) for cloud in figure.data} == {"outliers -1": 6, "cluster 0": 36, "cluster 1": 18}
    drawn = {point for cloud in figure.data for point in zip(cloud.x, cloud.y, cloud.z, strict=True)}
    assert drawn == set(customers[["Recency", "Frequency", "Monetary"]].astype(float).itertuples(index=False, name=None))


@pytest.mark.parametrize(("count", "shown"), [(5000, 5000), (5001, 2501), (10001, 3334)])
def test_more_than_5000_points_are_sampled_evenly(count: int, shown: int) -> None:
    figure = figures.clusters_3d(customers_of(count))
    assert sum(len(cloud.x) for cloud in figure.data) == shown


def test_segment_shares_are_those_of_the_summary(summary: pd.DataFrame) -> None:
    revenue, customers = figures.segment_shares(summary).data
    for bars, column in ((revenue, "RevenueShare"), (customers, "CustomerShare")):
        assert dict(zip(bars.y, bars.x, strict=True)) == dict(zip(summary["Cluster_Description"], summary[column], strict=True))
        assert sum(bars.x) == pytest.approx(1)


def test_cluster_profiles_are_multiples_of_the_median_customer(described: pd.DataFrame) -> None:
    (heat,) = figures.cluster_profiles(described, MEDIANS).data
    rows = described.set_index("Cluster").loc[[1, 0, -1]]
    assert list(heat.y) == [f"{cluster} · {name}" for cluster, name in rows["Cluster_Description"].items()]
    ratios = [[rows.loc[cluster, f"Median{name}"] / median for name, median in MEDIANS.items()] for cluster in rows.index]
    assert [list(row) for row in heat.text] == [[f"{ratio:.1f} ×" for ratio in row] for row in ratios]
    assert np.array(heat.z) == pytest.approx(np.log2(ratios))


def test_cluster_profiles_against_medians_of_zero(described: pd.DataFrame) -> None:
    (heat,) = figures.cluster_profiles(described, dict.fromkeys(MEDIANS, 0.0)).data
    assert np.isfinite(np.array(heat.z, dtype=float)).all()


# ── what holds for each ────────────────────────────────────────────────────────────────────────────
@pytest.fixture
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
    }
    return {name: (getattr(figures, name), given) for name, given in arguments.items()}


def title_of(figure: Any) -> str:
    return figure.layout.title.text if hasattr(figure, "layout") else figure.axes[0].get_title(loc="left")


def test_all_figures_are_tried(calls: dict) -> None:
    import inspect

    public = inspect.getmembers(figures, inspect.isfunction)
    assert {name for name, made in public if made.__module__.startswith(figures.__name__) and not name.startswith("_")} == set(
        calls
    )


def test_titles_are_questions(calls: dict) -> None:
    titles = [title_of(draw(*given)) for draw, given in calls.values()]
    assert all(title.endswith("?") for title in titles)
    assert len(set(titles)) == len(titles)


def test_frames_are_not_changed(calls: dict) -> None:
    for draw, given in calls.values():
        before = [part.copy() for part in given if hasattr(part, "copy")]
        draw(*given)
        for part, old in zip((part for part in given if hasattr(part, "copy")), before, strict=True):
            assert part.equals(old) if isinstance(part, (pd.DataFrame, pd.Series)) else part == old


def test_drawing_leaves_no_trace_in_plotly_or_matplotlib(calls: dict) -> None:
    import matplotlib as mpl
    import plotly.io
    from matplotlib import pyplot as plt

    open_before, parameters = plt.get_fignums(), dict(mpl.rcParams)
    defaults = plotly.io.templates.default, plotly.io.renderers.default
    for draw, given in calls.values():
        draw(*given)
    assert (plotly.io.templates.default, plotly.io.renderers.default) == defaults
    assert plt.get_fignums() == open_before
    assert dict(mpl.rcParams) == parameters


def test_drawing_prints_nothing(calls: dict, capsys: pytest.CaptureFixture) -> None:
    for draw, given in calls.values():
        draw(*given)
    assert capsys.readouterr() == ("", "")


def test_the_same_frame_gives_the_same_figure(calls: dict) -> None:
    plotly = [(draw, given) for name, (draw, given) in calls.items() if name != "outlier_fences"]
    for draw, given in plotly:
        assert draw(*given).to_json() == draw(*given).to_json()


def test_figures_are_plain_numbers_and_text(calls: dict) -> None:
    for name, (draw, given) in calls.items():
        if name != "outlier_fences":
            text = draw(*given).to_json()
            assert "bdata" not in text, name
            assert json.loads(text)["data"]


EMPTY = {
    "arrivals": (pd.DataFrame(columns=TABLES["landing_files"].names),),
    "broken_expectations": (pd.DataFrame(columns=TABLES["expectation_results"].names),),
    "distributions": (pd.DataFrame(columns=TABLES["customer_rfm_gold"].names),),
    "clusters_3d": (pd.DataFrame(columns=TABLES["customer_rfm_kmeans_clustered"].names),),
    "k_selection": (SCORES.head(0), 1),
    "segment_shares": (pd.DataFrame(columns=TABLES["segment_summary"].names),),
    "cluster_profiles": (pd.DataFrame(columns=TABLES["cluster_description_and_recommendation"].names), MEDIANS),
    "outlier_fences": (customers_of(0), outlier_clusters(customers_of(0))),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_first_run_with_nothing_to_show(name: str) -> None:
    figure = getattr(figures, name)(*EMPTY[name])
    assert title_of(figure).endswith("?")
    assert name == "outlier_fences" or all(not len(trace.y) or not sum(trace.y) for trace in figure.data)


def test_every_tier_has_a_colour_of_its_own() -> None:
    assert set(style.TIER_COLOURS) == set(TIERS)
    assert len(set(style.TIER_COLOURS.values())) == len(TIERS)
    assert len(set(style.CLUSTER_COLOURS)) == 12
