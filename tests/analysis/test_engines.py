"""One core, four engines: every rule on pandas, Polars, DuckDB and Spark, with equal rows, types and cents."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

import narwhals as nw
import polars as pl
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from rfm.analysis import quality
from rfm.analysis.cleaning import EXPECTATIONS, SEVERITIES, clean, judge
from rfm.analysis.meaning import LARGEST_TOTAL
from rfm.analysis.metrics import rfm_metrics
from rfm.analysis.parsing import money
from rfm.contracts import TABLES
from tests.analysis.test_cleaning import BROKEN, LINE, LINES, RAW, ROUNDED
from tests.conftest import ARRIVAL, ENGINES, QUERY_ENGINES, Engine

AS_OF = dt.date(2025, 7, 31)
FEW = settings(
    max_examples=max(settings.default.max_examples // 100, 1), phases=[Phase.explicit, Phase.generate]
)  # of many lines: a query has its price
PENCE = ("0.001", "0.005", "0.015", "1.005", "2.675", "12.345")
NAMES = {"silver": "retail_transactions_silver", "quarantine": "retail_transactions_quarantine", "gold": "customer_rfm_gold"}
each_query_engine = pytest.mark.parametrize("engine", QUERY_ENGINES.values(), ids=list(QUERY_ENGINES))
each_engine = pytest.mark.parametrize("engine", [*ENGINES.values(), *QUERY_ENGINES.values()], ids=[*ENGINES, *QUERY_ENGINES])

SOUND = st.fixed_dictionaries(
    {
        "Invoice": st.sampled_from(["489434", "489435", " 489436", "C489437", "c489438"]),
        "StockCode": st.sampled_from(["85048", "15056bl", "PADS", "POST", "M", "79323LP "]),
        "Description": st.sampled_from(["BALL", "£ é", "", None]),
        "Quantity": st.integers(1, 9).map(str) | st.integers(1, 10**4).map("{}.0".format),
        "Price": st.sampled_from(PENCE) | st.decimals(0, 300, places=3).map(str) | st.decimals(0, 9, places=9).map("{:f}".format),
        "CustomerID": st.sampled_from(["13085.0", "12346.0", "12347", "", None]),
        "Country": st.sampled_from(["EIRE", "Unspecified", None]),
        "InvoiceDate": st.dates(dt.date(2023, 12, 1), dt.date(2025, 8, 31)).map(str),
    }
)
ARRIVALS = st.sampled_from(
    [ARRIVAL | {"processing_date": day, "source_file": f"{day}.csv"} for day in (dt.date(2025, 7, 30), AS_OF)]
) | st.just(ARRIVAL | {"_rescued_data": "{}"})
BATCHES = st.lists(st.builds(lambda line, arrival: line | arrival, LINES | SOUND, ARRIVALS), min_size=30, max_size=60)


def road(engine: Engine, lines: list[dict]) -> dict[str, pl.DataFrame]:
    """Return all that the core makes of lines, by name; each step starts from a table, as in the lake."""
    bronze = engine.frame(lines)
    names = ("judged", "silver", "quarantine")
    made = {name: engine.collect(frame) for name, frame in zip(names, (judge(bronze), *clean(bronze)), strict=True)}
    judged, silver = engine.load(made["judged"]), engine.load(made["silver"])
    counted = quality.measure(judged, silver, SEVERITIES) | {"gold": rfm_metrics(silver, AS_OF)}
    return made | {name: engine.collect(frame) for name, frame in counted.items()}


def assert_same(found: dict[str, pl.DataFrame], wanted: dict[str, pl.DataFrame]) -> None:
    assert list(found) == list(wanted)
    for name, frame in wanted.items():
        assert sorted(found[name].rows(), key=repr) == sorted(frame.rows(), key=repr), name
        assert found[name].schema == frame.schema, name
    for name, table in {**NAMES, **{name: name for name in found if name in TABLES}}.items():
        assert found[name].schema == TABLES[table].polars, name


@each_query_engine
def test_the_lines_one_can_add_up(engine: Engine, bronze_lines: list[dict]) -> None:
    found = road(engine, bronze_lines)
    totals = {row["CustomerID"]: (row["Frequency"], row["Monetary"]) for row in found["gold"].to_dicts()}
    assert totals == {"13085": (2, Decimal("95.90")), "12346": (1, Decimal("4.20"))}
    assert found["quarantine"]["failed_expectations"].to_list() == ["valid_quantity"]
    assert found["daily_volume"]["revenue"].sum() == Decimal("126.10")


@each_engine
def test_every_cent_becomes_the_same_cent_of_money(engine: Engine) -> None:
    edges = [0, 1, 99, 100, 10**10 - 1, 2**39, LARGEST_TOTAL]
    cents = [sign * cent for sign in (1, -1) for cent in (*edges, *range(2_000), *range(LARGEST_TOTAL, 0, -(10**9 + 7)))]
    frame = nw.from_native(engine.load(pl.DataFrame({"cents": cents}))).with_columns(money=money(nw.col("cents"), 12))
    found = engine.collect(frame.to_native())
    assert found.schema["money"] == pl.Decimal(12, 2)
    assert all(value == Decimal(cent).scaleb(-2) for cent, value in found.select("cents", "money").rows())


@each_engine
def test_prices_are_rounded_half_up(engine: Engine) -> None:
    prices = ROUNDED | {price: str(Decimal(price).quantize(Decimal("0.01"), ROUND_HALF_UP)) for price in PENCE}
    silver = engine.collect(clean(engine.frame([LINE | {"Quantity": "1", "Price": price} for price in prices]))[0])
    assert sorted(silver["UnitPrice"]) == sorted(Decimal(cents) for cents in prices.values())
    assert silver["TotalPrice"].sum() == silver["UnitPrice"].sum()


@each_query_engine
def test_every_expectation_is_kept_and_broken_somewhere(engine: Engine) -> None:
    faults = [{"Price": "99999999.99", "Quantity": "101"}, {"Country": "Unspecified"}, *({name: None} for name in RAW)]
    judged = engine.collect(judge(engine.frame([LINE | fault for fault in ({}, *faults)])))
    for rule in EXPECTATIONS:
        assert sorted(set(judged[rule.name])) == [False, True], rule.name


@each_query_engine
def test_nothing_gives_nothing_of_the_right_types(engine: Engine) -> None:
    found = road(engine, [])
    assert {name: frame.height for name, frame in found.items()} == dict.fromkeys(found, 0)
    assert found["gold"].schema == TABLES["customer_rfm_gold"].polars
    assert found["silver"].schema == TABLES["retail_transactions_silver"].polars


@each_engine
def test_a_score_on_the_half_is_rounded_up(engine: Engine) -> None:
    lines = [LINE] * 797 + [LINE | {"_rescued_data": "{}"}] * 3  # 99.625 %
    judged = engine.load(ENGINES["polars"].collect(judge(ENGINES["polars"].frame(lines))))
    assert engine.collect(quality.bronze_quality(judged))["rescued_data_quality_score"].to_list() == [99.63]


@pytest.mark.no_cover  # the tests above run the same code; following every line again costs half as much once more
@FEW
@given(BATCHES)
def test_any_lines_fare_alike(lines: list[dict]) -> None:
    assume(len({line["Invoice"] for line in lines}) > 5)  # the first that are drawn are all alike
    lines = lines + [LINE | {column: text} for column, text, _ in BROKEN] + [LINE | {"Price": price} for price in ROUNDED]
    wanted = road(ENGINES["polars"], lines)
    for engine in QUERY_ENGINES.values():
        assert_same(road(engine, lines), wanted)
