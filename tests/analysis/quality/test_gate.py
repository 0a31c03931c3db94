"""The gate before gold, and where the money went: every line takes one step, and the steps add up to the cent."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from rfm.analysis import quality
from rfm.analysis.cleaning import SEVERITIES, clean, judge
from rfm.analysis.metrics import rfm_metrics
from rfm.analysis.quality.gate import money_flow
from rfm.errors import InputError
from rfm.landing.files import list_files
from rfm.landing.reader import read_files
from tests.conftest import Engine

D = dt.date(2025, 6, 30)


# ── the guard ──────────────────────────────────────────────────────────────────────────────────────
def results_of(**failed: int) -> pd.DataFrame:
    rows = [{"expectation": name, "severity": SEVERITIES.get(name, "fail"), "failed": n} for name, n in failed.items()]
    return pd.DataFrame(rows, columns=["expectation", "severity", "failed"])


def comparison_of(bronze: int, silver: int) -> pd.DataFrame:
    return pd.DataFrame({"layer": ["bronze", "silver"], "total_records": [bronze, silver]})


def test_the_guard_returns_the_share_dropped() -> None:
    assert quality.guard(results_of(valid_quantity=1), comparison_of(8, 7), 0.25) == 0.125


def test_the_guard_lets_the_limit_itself_pass() -> None:
    assert quality.guard(results_of(valid_quantity=2), comparison_of(8, 6), 0.25) == 0.25


def test_guard_above_the_limit_names_the_worst_rule_first() -> None:
    message = (
        r"3 of 8 rows dropped \(37\.5%, limit 25%\), valid_quantity by 2 row\(s\), valid_unit_price by 1 row\(s\);.*max_dropped"
    )
    with pytest.raises(InputError, match=message):
        quality.guard(results_of(valid_unit_price=1, valid_quantity=2, known_country=8), comparison_of(8, 5), 0.25)


def test_the_guard_stops_at_a_rule_that_must_not_fail() -> None:
    with pytest.raises(InputError, match=r"stopped before gold: one_currency by 1 row\(s\); correct"):
        quality.guard(results_of(one_currency=1), comparison_of(1000, 1000), 1.0)
    assert quality.guard(results_of(one_currency=0), comparison_of(10, 10), 0.0) == 0.0


@pytest.mark.parametrize("comparison", [comparison_of(0, 0), comparison_of(0, 0).iloc[:0]])
def test_the_guard_lets_a_run_without_rows_pass(comparison: Any) -> None:
    assert quality.guard(results_of(), comparison, 0.0) == 0.0


def test_the_guard_stops_when_nothing_is_left() -> None:
    with pytest.raises(InputError, match="8 of 8 rows dropped"):
        quality.guard(results_of(valid_quantity=8), comparison_of(8, 0).iloc[:1], 0.25)


# ── money ──────────────────────────────────────────────────────────────────────────────────────────
def flow_of(engine: Engine, lines: list[dict], as_of: dt.date = D) -> pd.DataFrame:
    silver, quarantine = clean(engine.frame(lines))
    return money_flow(judge(quarantine), silver, as_of)


def steps_of(flow: pd.DataFrame) -> dict[str, tuple[str, int]]:
    return {row.Step: (str(row.Amount), row.Lines) for row in flow.itertuples() if row.Lines}


def add_up(flow: pd.DataFrame) -> bool:
    """Tell whether start and steps make the end, in money and in lines."""
    before, end = flow[flow["Kind"].isin(["start", "step"])], flow[flow["Kind"] == "end"].iloc[0]
    return bool(before["Amount"].sum() == end["Amount"] and before["Lines"].sum() == end["Lines"])


def test_the_lines_one_can_add_up(engine: Engine, bronze_lines: list[dict]) -> None:
    flow = flow_of(engine, bronze_lines)
    assert steps_of(flow) == {
        "arrived": ("42.70", 8),  # the cancellation of 83.40 taken off
        "returns": ("83.40", -1),
        "guests": ("-3.00", -1),
        "cancellations": ("-5.00", -1),
        "non_products": ("-18.00", -1),
        "counted": ("100.10", 4),
        "customer_returns": ("-83.40", 1),
    }
    assert add_up(flow)


def test_each_refused_line_has_one_reason(engine: Engine, bronze_lines: list[dict]) -> None:
    sale = bronze_lines[0]
    bad = [{"Price": "free"}, {"Quantity": "-1", "Price": "-2"}, {"Price": "-3"}, {"Quantity": "0"}, {"Invoice": "1"}]
    flow = flow_of(engine, [sale, *(sale | change for change in bad)])
    found = steps_of(flow)
    assert {name: found[name] for name in ("unreadable", "returns", "bad_prices", "other_rules")} == {
        "unreadable": ("0.00", -1),
        "returns": ("-2.00", -1),
        "bad_prices": ("36.00", -1),
        "other_rules": ("-83.40", -2),
    }
    assert add_up(flow)


def test_lines_that_repeat_are_told_and_counted(engine: Engine, bronze_lines: list[dict]) -> None:
    sale = bronze_lines[0]
    found = steps_of(flow_of(engine, [sale, sale, sale, sale | {"Quantity": "1"}]))
    assert (found["repeated"], found["counted"]) == (("166.80", 2), ("257.15", 4))


def test_later_sales_are_a_step_of_their_own(engine: Engine, bronze_lines: list[dict]) -> None:
    flow = flow_of(engine, bronze_lines[:3], dt.date(2025, 6, 26))
    assert steps_of(flow) == {"arrived": ("95.90", 3), "later": ("0.00", -1), "counted": ("95.90", 2)}


def test_nothing_arrived(engine: Engine) -> None:
    flow = flow_of(engine, [])
    assert set(flow["Lines"]) == {0}
    assert set(flow["Amount"]) == {Decimal("0.00")}


def test_the_shop_says_what_a_product_is(engine: Engine, bronze_lines: list[dict]) -> None:
    silver, quarantine = clean(engine.frame(bronze_lines))
    flow = money_flow(judge(quarantine), silver, D, stock_code_pattern="^POST$")
    assert steps_of(flow)["counted"] == ("18.00", 1)


@pytest.mark.real
@pytest.mark.parametrize(
    ("day", "repeated"),
    [
        pytest.param(dt.date(2025, 7, 31), None),
        pytest.param(dt.date(2026, 2, 28), ("23151.91", 4200), marks=pytest.mark.long),
    ],
    ids=str,
)
def test_real_lines_lead_to_gold(real_files: Path, day: dt.date, repeated: tuple[str, int] | None) -> None:
    files = [file.source_file for file in list_files(str(real_files), until=day)]
    bronze = pl.DataFrame(pl.from_arrow(pa.concat_tables(batch for _, batch in read_files(str(real_files), files, day))))
    silver, quarantine = (frame.collect() for frame in clean(bronze.lazy()))
    flow = money_flow(judge(quarantine.lazy()), silver.lazy(), day)
    arrived = judge(bronze.lazy()).select(pl.col("TotalCents").sum()).collect().item()
    found = flow.set_index("Step")
    assert add_up(flow)
    assert (found.loc["arrived", "Amount"] * 100, found.loc["arrived", "Lines"]) == (arrived, bronze.height)
    assert found.loc["counted", "Amount"] == rfm_metrics(silver.lazy(), day).collect()["Monetary"].sum()
    assert repeated is None or steps_of(flow)["repeated"] == repeated


def test_lines_set_aside_are_no_share_of_the_dropped() -> None:
    results, comparison = results_of(valid_quantity=60), comparison_of(100, 40)
    assert quality.guard(results, comparison, 0.25, set_aside=50) == 0.2
    with pytest.raises(InputError, match=r"10 of 50 rows dropped"):
        quality.guard(results, comparison, 0.1, set_aside=50)
