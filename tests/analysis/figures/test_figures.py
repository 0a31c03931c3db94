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

from rfm.analysis import figures, sales
from rfm.analysis.figures import style
from rfm.analysis.outliers import iqr_fences, outlier_clusters
from rfm.analysis.segments.profiles import (
    describe_clusters,
    describe_customers,
    medians_of,
    summarise_clusters,
    summarise_segments,
)
from rfm.analysis.segments.rules import TIER_OF, TIERS
from rfm.contracts import TABLES

D = dt.date(2025, 6, 30)
MEDIANS = {"Monetary": 100.0, "Frequency": 3.0, "Recency": 25.0}
SCORES = pd.DataFrame({"k": [2, 3, 4], "silhouette": [0.5, 0.4, 0.2], "elbow": [0.0, 0.2, 0.0], "score": [0.6, 0.9, 0.2]})


TRIED_WITH_THE_BACKTEST = {"foretold", "segment_lifts"}
ORDERS = pd.DataFrame(
    [
        ("1", "a", "2025-04-29", "EIRE", 1, 3, 1000),
        ("1", "b", "2025-05-20", "EIRE", 2, 5, 3000),
        ("2", "c", "2025-05-31", "Germany", 3, 4, 2000),
        (None, "d", "2025-05-31", "Germany", 1, 1, 500),
        ("1", "e", "2025-06-30", "EIRE", 4, 9, 4000),
    ],
    columns=["CustomerID", "InvoiceNo", "InvoiceDate", "Country", "Lines", "Units", "Cents"],
).astype({"InvoiceDate": "datetime64[s]"})
PRODUCTS = pd.DataFrame(
    [("85048", "BALL", Decimal("9.00"), 3), ("85049", "A <b>BOX</b> & MORE", Decimal("7.00"), 5)],
    columns=["StockCode", "Description", "Revenue", "Units"],
)
FLOW = pd.DataFrame(
    [
        ("arrived", "Lines that arrived", "start", Decimal("90.00"), 9),
        ("unreadable", "Unreadable", "step", Decimal("0.00"), 0),
        ("returns", "Returns set aside", "step", Decimal("20.00"), -1),
        ("guests", "Guests", "step", Decimal("-30.00"), -2),
        ("counted", "In the segments", "end", Decimal("80.00"), 6),
        ("repeated", "Counted: repeated lines", "note", Decimal("5.00"), 1),
    ],
    columns=["Step", "Label", "Kind", "Amount", "Lines"],
)
COUNTS = pd.DataFrame(
    [(D, "bronze", D, 9), (D, "silver", D, 7), (D, "bronze", dt.date(2025, 7, 1), 1), (None, "bronze", D, 2)],
    columns=["InvoiceDate", "layer", "processing_date", "total_records"],
)
VOLUME = pd.DataFrame(
    [(D - dt.timedelta(7 * week), f"{week}.csv", D, 100 - 10 * week) for week in range(9)]
    + [(D, "0.csv", dt.date(2025, 6, 29), 1)],  # an earlier reading of a file
    columns=["InvoiceDate", "source_file", "processing_date", "lines"],
)
CENTROIDS = [[1000.0, 10.0, 50.0], [250.0, 0.0, 150.0]]
WAYS = pd.DataFrame(
    [("10000", "Champions", "Champions", 5, 5), ("10001", "Champions", "Lost", 5, 5), ("10002", "Hibernating", "Lost", 1, 2)],
    columns=["CustomerID", "Segment", "ScoreName", "RScore", "FScore"],
)
MOVES = pd.DataFrame(
    [
        ("Champions", "Champions", 90, 0, 0, 0),
        ("Champions", "Hibernating", 5, 0, 4, 1),
        ("", "New Customers", 7, 0, 0, 0),
        ("Hibernating", "New Customers", 2, 2, 0, 0),
    ],
    columns=["From_Segment", "To_Segment", "Customers", "Bought", "TimePassed", "ModelChanged"],
)
STEADY = pd.DataFrame(
    [(dt.date(2025, 6, 29), "full", np.nan, np.nan, 0.1), (D, "warm", 0.004, 0.98, 0.2)],
    columns=["UpdateDate", "Method", "RenamedShare", "AdjustedRand", "KMargin"],
)


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
    assert list(bars.marker.color) == [style.PURPLE, style.RED, style.ORANGE]


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
    figure = figures.outlier_fences(gold, marks)
    assert [len(points.x) for points in figure.data] == [int((marks == mark).sum()) for mark in (0, -1, -2, -3)]
    assert [points.name for points in figure.data] == ["regular: 60", "spend: 1", "frequency: 0", "both: 0"]
    across, up = figure.layout.shapes
    assert across.y0 == pytest.approx(iqr_fences(gold["Monetary"]).high)
    assert up.x0 == pytest.approx(iqr_fences(gold["Frequency"]).high)


def test_k_selection_draws_the_scores() -> None:
    figure = figures.k_selection(SCORES, 3)
    assert {line.name for line in figure.data} == {"score", "silhouette", "elbow"}
    for line in figure.data:
        assert (list(line.x), list(line.y)) == (SCORES["k"].tolist(), SCORES[line.name].tolist())
    assert figure.layout.shapes[0].x0 == 3
    assert figure.layout.annotations[0].text == "chosen: 3, 33.3% ahead of 2"


def test_k_selection_shows_how_sure_a_sample_is() -> None:
    silhouette = figures.k_selection(SCORES.assign(error=[0.01, 0.02, 0.0]), 2).data[1]
    assert (silhouette.name, list(silhouette.error_y.array)) == ("silhouette", [0.02, 0.04, 0.0])
    assert figures.k_selection(SCORES.assign(error=0.0), 2).data[1].error_y.array is None
    assert figures.k_selection(SCORES, 2).layout.annotations[0].text == "chosen: 2, 50.0% behind 3"


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
    assert [name.replace("<br>", " ") for name in heat.y] == [f"{n} · {label}" for n, label in rows["Cluster_Label"].items()]
    ratios = [[rows.loc[cluster, f"Median{name}"] / median for name, median in MEDIANS.items()] for cluster in rows.index]
    assert [list(row) for row in heat.text] == [[f"{ratio:.1f} ×" for ratio in row] for row in ratios]
    assert np.array(heat.z) == pytest.approx(np.log2(ratios))


def test_cluster_profiles_against_medians_of_zero(described: pd.DataFrame) -> None:
    (heat,) = figures.cluster_profiles(described, dict.fromkeys(MEDIANS, 0.0)).data
    assert np.isfinite(np.array(heat.z, dtype=float)).all()


# ── numbers of the trade, the quality and the segments ─────────────────────────────────────────────
def test_revenue_by_month_compares_whole_months_only() -> None:
    customers, guests, growth = figures.revenue_by_month(sales.periods(ORDERS, D), "£").data
    assert (list(customers.x), list(customers.y)) == (["2025-04-01", "2025-05-01", "2025-06-01"], [10, 50, 40])
    assert list(guests.y) == [0, 5, 0]
    assert (list(growth.text), list(growth.y)) == (["part", "", "-20%"], [10, 55, 40])
    assert list(customers.marker.pattern.shape) == ["/", "", ""]


def test_revenue_by_day_has_a_mean_of_seven_days() -> None:
    dots, customers, guests = figures.revenue_by_day(sales.periods(ORDERS, D, "day")).data
    assert (len(dots.x), sum(dots.y)) == (63, 100)
    assert (customers.y[5], customers.y[6], guests.y[-1]) == (None, 1, 0)


def test_customers_by_month_add_up() -> None:
    bars = figures.customers_by_month(sales.customer_months(ORDERS, D)).data
    assert {bar.name: list(bar.y) for bar in bars} == {
        "came back": [0, 1, 1],
        "new": [1, 1, 0],
        "quiet": [0, 0, 1],
        "lapsed": [0, 0, 0],
        "lost": [0, 0, 0],
    }


def test_retention_leaves_the_future_empty() -> None:
    (heat,) = figures.retention(sales.cohorts(ORDERS, D)).data
    assert (list(heat.y), list(heat.x)) == (["May 25 · 1", "Apr 25 · 1"], [1, 2])
    assert [list(row) for row in heat.z] == [[0, None], [1, 1]]
    assert [list(row) for row in heat.text] == [["0", ""], ["100", "100"]]


def test_a_month_that_is_not_over_is_marked() -> None:
    (heat,) = figures.retention(sales.cohorts(ORDERS, dt.date(2025, 6, 29))).data
    assert [list(row) for row in heat.text] == [["0*", ""], ["100", "0*"]]


def test_purchase_gaps_are_weeks_and_the_median() -> None:
    figure = figures.purchase_gaps(pd.DataFrame({"Days": [1, 7, 8, 400], "Purchases": [2, 1, 3, 1]}))
    (bars,) = figure.data
    assert (bars.y[0], bars.y[1], bars.y[-1], sum(bars.y)) == (3, 3, 1, 7)
    assert figure.layout.annotations[0].text == "half within 8 days"


def test_countries_beyond_ten_are_one_bar() -> None:
    table = pd.DataFrame(
        {"Country": [f"C{n}" for n in range(12)], "Revenue": [Decimal(20 - n) for n in range(12)], "Customers": 1}
    )
    bars, names, labels = figures.countries(table, "£").data
    assert list(bars.x) == [*range(20, 10, -1), 10 + 9]
    assert (names.text[-1], labels.text[0], labels.text[-1]) == ("2 others", "£20 · 1 customer", "£19 · 2 customers")


def test_best_products_are_in_order_and_their_names_are_text() -> None:
    bars, names, labels = figures.best_products(PRODUCTS, "Units").data
    assert (list(bars.x), list(labels.text)) == ([5, 3], ["5", "3"])
    assert list(names.text) == ["A &lt;b&gt;BOX&lt;/b&gt; &amp; MORE", "BALL"]
    assert list(figures.best_products(PRODUCTS, "Revenue", "£").data[2].text) == ["£9", "£7"]


def test_basket_sizes_are_shares_of_the_orders_of_each() -> None:
    lines = figures.basket_size(ORDERS).data
    assert [line.name for line in lines] == ["customers", "guests"] * 3
    assert [sum(line.y) for line in lines] == pytest.approx([1] * 6)


def test_the_waterfall_ends_where_its_last_step_does() -> None:
    bars, names, labels = figures.money_waterfall(FLOW, "£").data
    assert list(names.text) == ["Lines that arrived", "Returns set aside", "Guests", "In the segments", "Counted: repeated lines"]
    assert list(zip(bars.base, bars.x, strict=True)) == [(0, 90), (90, 20), (80, 30), (0, 80), (0, 5)]
    assert list(labels.text)[:3] == ["£90 · 9 lines", "+£20 · 1 lines", "−£30 · 2 lines"]


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


def test_boxes_with_and_without_outliers(customers: pd.DataFrame) -> None:
    drawn = figures.boxes(customers, pd.Series([-1] + [0] * 59)).data
    assert [box.y[0] for box in drawn] == ["without outliers", "all customers"] * 3
    assert [(box.lowerfence[0], box.upperfence[0]) for box in drawn[:2]] == [(2, 60), (1, 60)]


def test_pairs_are_all_the_customers(customers: pd.DataFrame) -> None:
    clouds = figures.clusters_pairs(customers).data
    assert sum(len(cloud.x) for cloud in clouds) == 3 * 60
    assert sum(len(cloud.x) for cloud in figures.clusters_pairs(customers_of(1501)).data) == 3 * 751


def test_centroids_are_in_standard_deviations() -> None:
    (heat,) = figures.centroids(CENTROIDS, [500.0, 5.0, 100.0], [250.0, 5.0, 50.0], ["0", "1"]).data
    assert (list(heat.y), [list(row) for row in heat.z]) == (["1", "0"], [[-1, -1, 1], [2, 1, -1]])


def test_the_treemap_holds_the_revenue(summary: pd.DataFrame) -> None:
    (area,) = figures.segment_treemap(summary).data
    values = dict(zip(area.ids, area.values, strict=True))
    assert sum(value for name, value in values.items() if name.startswith("tier ")) == float(summary["Revenue"].sum())
    assert all(values[row.Cluster_Description] == float(row.Revenue) for row in summary.itertuples())


def test_the_score_map_counts_customers(customers: pd.DataFrame) -> None:
    (heat,) = figures.score_map(WAYS, customers, "£").data
    assert (heat.text[4][4], heat.text[1][0], heat.z[0][0]) == ("£2<br>2", "£3<br>1", None)


def test_agreement_adds_up_to_a_hundred_in_a_row() -> None:
    (heat,) = figures.agreement(WAYS).data
    assert (list(heat.y), list(heat.x)) == (["Hibernating<br>1", "Champions<br>2"], ["Lost", "Champions"])
    assert [list(row) for row in heat.text] == [["100", ""], ["50", "50"]]


def test_movement_leaves_out_who_stayed() -> None:
    (flow,) = figures.movement(MOVES, TIER_OF).data
    assert list(flow.node.label) == [
        "first purchase · 7",
        "Champions · 5",
        "Hibernating · 2",
        "Hibernating · 5",
        "New Customers · 9",
    ]
    assert list(zip(flow.link.source, flow.link.target, flow.link.value, strict=True)) == [(0, 4, 7), (1, 3, 5), (2, 4, 2)]
    assert flow.link.customdata[1] == "Champions to Hibernating: 5 (4 time passed, 1 model changed)"
    assert flow.node.color[1] == style.TIER_COLOURS["high value"]


def test_stability_marks_the_full_fits() -> None:
    renamed, rand, lead = figures.stability(STEADY).data
    assert (list(renamed.y), list(rand.y), list(lead.y)) == ([None, 0.004], [None, 0.98], [0.1, 0.2])
    assert list(renamed.marker.symbol) == ["diamond", "circle"]


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0, "£0"),
        (999.4, "£999"),
        (999.6, "£1.0 k"),
        (9_999.6, "£10 k"),
        (999_400, "£999 k"),
        (999_600, "£1.00 M"),
        (-1234, "−£1.2 k"),
    ],
)
def test_amounts_are_short(amount: float, said: str) -> None:
    assert style.short(amount, "£") == said


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
    }
    return {name: (getattr(figures, name), given) for name, given in arguments.items()}


def title_of(figure: Any) -> str:
    return figure.layout.title.text if hasattr(figure, "layout") else figure.axes[0].get_title(loc="left")


def test_all_figures_are_tried(calls: dict) -> None:
    import inspect

    public = inspect.getmembers(figures, inspect.isfunction)
    own = {name for name, made in public if made.__module__.startswith(figures.__name__) and not name.startswith("_")}
    assert own - TRIED_WITH_THE_BACKTEST == set(calls)


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
    for draw, given in calls.values():
        assert draw(*given).to_json() == draw(*given).to_json()


def test_figures_are_plain_numbers_and_text(calls: dict) -> None:
    for name, (draw, given) in calls.items():
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


EMPTY |= {
    "revenue_by_month": (sales.periods(ORDERS.head(0), D),),
    "revenue_by_day": (sales.periods(ORDERS.head(0), D, "day"),),
    "customers_by_month": (sales.customer_months(ORDERS.head(0), D),),
    "retention": (sales.cohorts(ORDERS.head(0), D),),
    "purchase_gaps": (sales.days_between(ORDERS.head(0), D),),
    "countries": (sales.countries(ORDERS.head(0), D),),
    "best_products": (PRODUCTS.head(0),),
    "basket_size": (ORDERS.head(0),),
    "money_waterfall": (FLOW.head(0),),
    "pass_rates": (pd.DataFrame(columns=TABLES["expectation_results"].names),),
    "refusals": (pd.DataFrame(columns=TABLES["expectation_results"].names),),
    "layers_by_day": (COUNTS.head(0),),
    "weekday_volume": (VOLUME.head(0),),
    "boxes": (customers_of(0), outlier_clusters(customers_of(0))),
    "clusters_pairs": (customers_of(0),),
    "centroids": ([], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], []),
    "segment_treemap": (pd.DataFrame(columns=TABLES["segment_summary"].names),),
    "score_map": (WAYS.head(0), customers_of(0)),
    "agreement": (WAYS.head(0),),
    "movement": (MOVES.head(0), TIER_OF),
    "stability": (STEADY.head(0),),
}
UNLIKE = {"movement", "segment_treemap", "score_map"}  # no lists of bars and points


@pytest.mark.parametrize("name", EMPTY)
def test_a_first_run_with_nothing_to_show(name: str) -> None:
    figure = getattr(figures, name)(*EMPTY[name])
    assert title_of(figure).endswith("?")
    assert name in UNLIKE or not any(sum(trace.y) for trace in figure.data if trace.y is not None and len(trace.y))


def test_every_empty_frame_is_tried(calls: dict) -> None:
    assert set(EMPTY) == set(calls)


def test_figures_of_one_row(calls: dict) -> None:
    for draw, given in calls.values():
        title = title_of(draw(*(part.head(1) if hasattr(part, "head") else part for part in given)))
        assert title.endswith("?")


def test_figures_need_few_kinds_of_traces(calls: dict) -> None:
    kinds = {trace.type for draw, given in calls.values() for trace in draw(*given).data}
    assert kinds == {"bar", "box", "heatmap", "sankey", "scatter", "scatter3d", "treemap"}


def test_every_tier_has_a_colour_of_its_own() -> None:
    assert set(style.TIER_COLOURS) == set(TIERS)
    assert len(set(style.TIER_COLOURS.values())) == len(TIERS)
    assert len(set(style.CLUSTER_COLOURS)) == 12
