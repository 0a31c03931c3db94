"""Silver to gold: seven rows to add up by hand, and any rows against plain Python, on every engine."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfm.analysis.cleaning import clean
from rfm.analysis.metrics import rfm_metrics
from rfm.contracts import TABLES
from tests.conftest import ENGINES, Engine

D = dt.date(2025, 6, 30)
SILVER = "retail_transactions_silver"
SALE = {
    "CustomerID": "13085",
    "InvoiceNo": "489434",
    "StockCode": "85048",
    "InvoiceDate": dt.date(2025, 6, 26),
    "IsCancellation": False,
    "TotalPrice": Decimal("10.00"),
}


def gold_of(engine: Engine, *changes: dict[str, Any], as_of: dt.date = D, **options: Any) -> list[dict]:
    silver = engine.frame([SALE | change for change in changes], SILVER)
    return engine.collect(rfm_metrics(silver, as_of, **options)).to_dicts()


def test_the_lines_one_can_add_up(engine: Engine, bronze_lines: list[dict]) -> None:
    silver, _ = clean(engine.frame(bronze_lines))
    gold = engine.collect(rfm_metrics(silver, D))
    assert gold.schema == TABLES["customer_rfm_gold"].polars
    assert gold.rows() == [
        ("12346", dt.date(2025, 6, 27), 3, 1, Decimal("4.20")),
        ("13085", dt.date(2025, 6, 28), 2, 2, Decimal("95.90")),
    ]


def test_a_stock_code_with_blanks_around_counts_as_the_same(engine: Engine, bronze_lines: list[dict]) -> None:
    codes = ("47503J", "47503J ", " 47503J", "47503J\t")
    silver, _ = clean(engine.frame([bronze_lines[0] | {"StockCode": code} for code in codes]))
    assert engine.collect(silver)["StockCode"].to_list() == ["47503J"] * 4
    price = Decimal(bronze_lines[0]["Price"]) * int(bronze_lines[0]["Quantity"])
    assert [row["Monetary"] for row in engine.collect(rfm_metrics(silver, D)).to_dicts()] == [4 * price]


def test_later_sales_are_not_seen(engine: Engine, bronze_lines: list[dict]) -> None:
    silver, _ = clean(engine.frame(bronze_lines))
    gold = engine.collect(rfm_metrics(silver, dt.date(2025, 6, 26)))
    assert gold.rows() == [("13085", dt.date(2025, 6, 26), 0, 1, Decimal("95.90"))]


def test_the_run_date_itself_counts(engine: Engine) -> None:
    days = [{"InvoiceDate": D}, {"InvoiceDate": D + dt.timedelta(days=1), "InvoiceNo": "489435"}]
    assert [(row["Recency"], row["Frequency"]) for row in gold_of(engine, *days)] == [(0, 1)]


@pytest.mark.parametrize(
    ("last", "as_of", "days"),
    [
        ("2024-02-28", "2024-03-01", 2),
        ("2025-02-28", "2025-03-01", 1),
        ("1900-02-28", "1900-03-01", 1),
        ("2000-02-28", "2000-03-01", 2),
        ("2024-12-31", "2025-01-01", 1),
        ("2023-12-31", "2024-12-31", 366),
        ("2025-01-31", "2025-03-31", 59),
    ],
)
def test_recency_knows_the_calendar(engine: Engine, last: str, as_of: str, days: int) -> None:
    gold = gold_of(engine, {"InvoiceDate": dt.date.fromisoformat(last)}, as_of=dt.date.fromisoformat(as_of))
    assert gold[0]["Recency"] == days


NOT_COUNTED = {
    "guest": {"CustomerID": None},
    "cancellation": {"IsCancellation": True},
    "postage": {"StockCode": "POST"},
    "manual": {"StockCode": "M"},
    "six digits": {"StockCode": "850481"},
    "letters before": {"StockCode": "A85048"},
    "a digit after letters": {"StockCode": "85048A1"},
    "small pads": {"StockCode": "pads"},
}


@pytest.mark.parametrize("change", NOT_COUNTED.values(), ids=list(NOT_COUNTED))
def test_what_does_not_count(engine: Engine, change: dict[str, Any]) -> None:
    other = {"InvoiceNo": "489435", "InvoiceDate": D} | change
    assert gold_of(engine, {}, other) == gold_of(engine, {})


@pytest.mark.parametrize("code", ["15056BL", "15056bl", "85048", "PADS"])
def test_products_count(engine: Engine, code: str) -> None:
    assert gold_of(engine, {"StockCode": code})[0]["Monetary"] == Decimal("10.00")


def test_the_pattern_of_products_is_ones_own(engine: Engine) -> None:
    gold = gold_of(engine, {}, {"StockCode": "TEA-1"}, stock_code_pattern="^TEA")
    assert [row["Monetary"] for row in gold] == [Decimal("10.00")]


def test_an_invoice_of_many_lines_counts_once(engine: Engine) -> None:
    gold = gold_of(engine, {}, {"StockCode": "21232"}, {"InvoiceNo": "489435"})
    assert [(row["Frequency"], row["Monetary"]) for row in gold] == [(2, Decimal("30.00"))]


def test_no_cent_is_lost_in_large_sums(engine: Engine) -> None:
    gold = gold_of(engine, *[{"TotalPrice": Decimal("9999999999.99")}] * 300, {"TotalPrice": Decimal("0.01")})
    assert gold[0]["Monetary"] == Decimal("2999999999997.01")


def test_an_empty_frame_gives_an_empty_frame(engine: Engine) -> None:
    gold = engine.collect(rfm_metrics(engine.frame([], SILVER), D))
    assert (gold.height, gold.columns) == (0, TABLES["customer_rfm_gold"].names)


def test_nothing_that_counts_gives_an_empty_frame(engine: Engine) -> None:
    assert gold_of(engine, {"CustomerID": None}) == []


def test_the_input_is_not_changed() -> None:
    silver = pd.DataFrame([SALE, SALE | {"CustomerID": None}])
    before = silver.copy(deep=True)
    rfm_metrics(silver, D)
    pd.testing.assert_frame_equal(silver, before)


# ── any rows at all: the definition in plain Python ────────────────────────────────────────────────
def counts(row: dict[str, Any], as_of: dt.date) -> bool:
    code = row["StockCode"]
    product = code == "PADS" or (code[:5].isdigit() and (len(code) == 5 or code[5:].isalpha()))
    return row["CustomerID"] is not None and not row["IsCancellation"] and product and row["InvoiceDate"] <= as_of


def oracle(rows: list[dict], as_of: dt.date) -> list[tuple]:
    customers = defaultdict(list)
    for row in rows:
        if counts(row, as_of):
            customers[row["CustomerID"]].append(row)
    return [
        (
            customer,
            (last := max(row["InvoiceDate"] for row in lines)),
            (as_of - last).days,
            len({row["InvoiceNo"] for row in lines}),
            sum(row["TotalPrice"] for row in lines),
        )
        for customer, lines in sorted(customers.items())
    ]


DAYS = st.dates(dt.date(2023, 12, 1), dt.date(2025, 7, 31))
SALES = st.fixed_dictionaries(
    {
        "CustomerID": st.sampled_from(["12346", "13085", "9", None]),
        "InvoiceNo": st.sampled_from(["489434", "489435", "489436", "C489437"]),
        "StockCode": st.sampled_from(["85048", "15056bl", "PADS", "POST", "M", "850"]),
        "InvoiceDate": DAYS,
        "IsCancellation": st.booleans(),
        "TotalPrice": st.decimals(0, 10**6, places=2),
    }
)


@settings(max_examples=settings.default.max_examples // 2)
@given(st.lists(SALES, min_size=1, max_size=30), DAYS)
def test_any_rows_give_what_plain_python_says(rows: list[dict], as_of: dt.date) -> None:
    for engine in ENGINES.values():
        gold = engine.collect(rfm_metrics(engine.frame(rows, SILVER), as_of))
        assert gold.rows() == oracle(rows, as_of)
        assert gold.is_empty() or gold.schema == TABLES["customer_rfm_gold"].polars


@given(st.lists(SALES, min_size=1, max_size=30), DAYS, st.randoms(use_true_random=False))
def test_money_is_conserved_and_order_does_not_matter(rows: list[dict], as_of: dt.date, random: Any) -> None:
    gold = gold_of(ENGINES["polars"], *rows, as_of=as_of)
    assert sum(row["Monetary"] for row in gold) == sum(row["TotalPrice"] for row in rows if counts(row, as_of))
    random.shuffle(rows)
    assert gold_of(ENGINES["polars"], *rows, as_of=as_of) == gold


def test_dates_with_a_time_are_days() -> None:
    silver = pd.DataFrame([SALE]).assign(InvoiceDate=pd.to_datetime(["2025-06-26 23:59:59"]))
    assert pl.from_pandas(rfm_metrics(silver, D))["Recency"].to_list() == [4]
