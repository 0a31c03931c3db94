"""Trade: a few orders to add up by hand, on every engine; guests apart; the sums of gold."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from rfm.analysis import sales
from rfm.analysis.cleaning import clean
from rfm.analysis.metrics import rfm_metrics
from tests.conftest import ENGINES, Engine

SILVER = "retail_transactions_silver"
D = dt.date(2026, 3, 10)
_LINES = """
InvoiceNo CustomerID StockCode Description Quantity TotalPrice Country InvoiceDate
500001    1          85048     BALL        12       83.40      EIRE    2025-12-31
500001    1          15056BL   PARASOL     2        11.90      EIRE    2025-12-31
500002    2          15056bl   PARASOL     1        5.95       EIRE    2026-01-15
500003    1          85048     BALLS       1        7.00       EIRE    2026-01-31
500004    -          85048     BALL        3        21.00      France  2026-01-31
500005    2          85048     BALL        1        6.95       EIRE    2026-02-14
500006    1          POST      POSTAGE     1        18.00      EIRE    2026-02-14
C50007    1          85048     BALL        1        7.00       EIRE    2026-02-14
500008    3          85048     BALL        10       69.50      France  2026-03-01
500009    3          85048     BALL        1        6.95       France  2026-03-11
"""


def rows() -> list[dict[str, Any]]:
    """Return lines of silver: customer 1 bought twice, 2 twice, 3 once up to the run date; one guest."""
    header, *lines = (line.split() for line in _LINES.strip().splitlines())
    found = [dict(zip(header, line, strict=True)) for line in lines]
    return [
        row
        | {
            "CustomerID": None if row["CustomerID"] == "-" else row["CustomerID"],
            "Quantity": int(row["Quantity"]),
            "TotalPrice": Decimal(row["TotalPrice"]),
            "InvoiceDate": dt.date.fromisoformat(row["InvoiceDate"]),
            "IsCancellation": row["InvoiceNo"].startswith("C"),
        }
        for row in found
    ]


@pytest.fixture
def orders(engine: Engine) -> pd.DataFrame:
    return sales.orders(engine.frame(rows(), SILVER), D)


def test_an_order_is_an_invoice(orders: pd.DataFrame) -> None:
    assert orders["InvoiceNo"].tolist() == ["500001", "500002", "500003", "500004", "500005", "500008"]
    assert orders.loc[0, ["CustomerID", "Country", "Lines", "Units", "Cents"]].tolist() == ["1", "EIRE", 2, 14, 9530]
    assert orders["CustomerID"].tolist() == ["1", "2", "1", None, "2", "3"]


def test_every_engine_gives_the_same() -> None:
    one, other = (
        [make(engine.frame(rows(), SILVER), D) for make in (sales.orders, sales.products)] for engine in ENGINES.values()
    )
    for left, right in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(left, right)


def test_the_figures_of_a_run_and_of_an_earlier_one(orders: pd.DataFrame) -> None:
    assert sales.kpis(orders, D) == (3, 2, Decimal("184.70"), 5, Decimal("36.94"), pytest.approx(1 / 3), Decimal("21.00"), 1)
    assert sales.kpis(orders, dt.date(2026, 1, 30))[:6] == (2, 1, Decimal("101.25"), 2, Decimal("50.63"), 1.0)
    assert sales.kpis(orders, dt.date(2025, 1, 1)) == (0, 0, 0, 0, None, None, 0, 0)


def test_active_customers_bought_within_thirty_days(orders: pd.DataFrame) -> None:
    bought = dt.date(2025, 12, 31)
    assert sales.kpis(orders.head(1), bought + dt.timedelta(29)).active_customers == 1
    assert sales.kpis(orders.head(1), bought + dt.timedelta(30)).active_customers == 0


def test_months_and_their_growth(orders: pd.DataFrame) -> None:
    months = sales.periods(orders, D).set_index("Period")
    assert [f"{month:%Y-%m}" for month in months.index] == ["2025-12", "2026-01", "2026-02", "2026-03"]
    assert months["Revenue"].tolist() == [Decimal(text) for text in ("95.30", "12.95", "6.95", "69.50")]
    assert months["GuestRevenue"].tolist() == [Decimal(text) for text in ("0.00", "21.00", "0.00", "0.00")]
    assert months[["Orders", "Customers", "GuestOrders"]].to_numpy().tolist() == [[1, 1, 0], [2, 2, 1], [1, 1, 0], [1, 1, 0]]
    assert months["Complete"].tolist() == [False, True, True, False]  # the first sale was on the last day of December
    assert months["RevenueGrowth"].isna().tolist() == [True, True, False, True]
    assert months["RevenueGrowth"].iloc[2] == pytest.approx(6.95 / 12.95 - 1)
    assert months["GuestGrowth"].iloc[2] == -1


def test_a_month_that_ends_on_the_run_date_is_complete(orders: pd.DataFrame) -> None:
    assert sales.periods(orders, dt.date(2026, 1, 31))["Complete"].tolist() == [False, True]
    assert sales.periods(orders, dt.date(2026, 1, 30))["Complete"].tolist() == [False, False]


def test_days_without_sales_are_there(orders: pd.DataFrame) -> None:
    days = sales.periods(orders, D, "day")
    assert (len(days), days["Orders"].sum(), days["Complete"].all()) == (70, 5, True)
    assert days["Period"].iloc[-1] == D


def test_what_became_of_the_customers(orders: pd.DataFrame) -> None:
    months = sales.customer_months(orders, D, lapsed=31, long=50)
    assert months[["New", "Returning", "Quiet", "Lapsed", "LongLapsed"]].to_numpy().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],  # customer 1 was last seen 28 days before
        [1, 0, 1, 1, 0],  # 2 for 24 days, 1 for 38
    ]
    assert months["Customers"].tolist() == [1, 2, 2, 3]
    assert (months[["New", "Returning", "Quiet", "Lapsed", "LongLapsed"]].sum(axis=1) == months["Customers"]).all()
    assert sales.customer_months(orders, D, lapsed=31, long=37)["LongLapsed"].tolist() == [0, 0, 0, 1]


def test_cohorts_have_no_cell_in_the_future(orders: pd.DataFrame) -> None:
    cells = sales.cohorts(orders, D)
    found = {(f"{row.Cohort:%y-%m}", row.Age): (row.Size, row.Customers, row.Complete) for row in cells.itertuples()}
    assert found == {
        ("25-12", 0): (1, 1, True),
        ("25-12", 1): (1, 1, True),
        ("25-12", 2): (1, 0, True),
        ("25-12", 3): (1, 0, False),
        ("26-01", 0): (1, 1, True),
        ("26-01", 1): (1, 1, True),
        ("26-01", 2): (1, 0, False),
        ("26-03", 0): (1, 1, False),
    }


def test_value_of_a_cohort_is_its_spend_so_far_to_the_cent(orders: pd.DataFrame) -> None:
    known = orders[orders["CustomerID"].notna()].assign(Month=lambda rows: rows["InvoiceDate"].dt.to_period("M"))
    first = known["CustomerID"].map(known.groupby("CustomerID")["Month"].min())
    cells = sales.cohorts(orders, D)
    assert len(cells) > 5
    for row in cells.itertuples():
        start = pd.Period(row.Cohort, "M")
        spent = known.loc[(first == start) & (known["Month"] <= start + row.Age), "Cents"].sum()
        assert row.Value == Decimal(int(spent)).scaleb(-2) / row.Size
    assert cells["Value"].iloc[-1] == Decimal("69.50")


def test_days_between_purchases(orders: pd.DataFrame) -> None:
    assert sales.days_between(orders, D).to_numpy().tolist() == [[30, 1], [31, 1]]
    twice = pd.concat([orders, orders], ignore_index=True)  # two orders of a day are one purchase
    assert sales.days_between(twice, D).to_numpy().tolist() == [[30, 1], [31, 1]]


def test_countries_keep_guests_apart(orders: pd.DataFrame) -> None:
    found = sales.countries(orders, D).drop(columns="RevenueShare").to_numpy().tolist()
    assert found == [
        ["EIRE", Decimal("115.20"), 4, 2, Decimal("0.00"), 0],
        ["France", Decimal("69.50"), 1, 1, Decimal("21.00"), 1],
    ]


def test_products_have_the_name_that_most_lines_have(engine: Engine) -> None:
    found = sales.products(engine.frame(rows(), SILVER), D).to_numpy().tolist()
    assert found == [
        ["85048", "BALL", Decimal("166.85"), 24, Decimal("21.00"), 3, 5],
        ["15056BL", "PARASOL", Decimal("17.85"), 3, Decimal("0.00"), 0, 2],
    ]


def test_a_product_without_a_name_has_none(engine: Engine) -> None:
    nameless = [row | {"Description": None} for row in rows()]
    assert set(sales.products(engine.frame(nameless, SILVER), D)["Description"]) == {"(no description)"}


def test_how_large_an_order_is(orders: pd.DataFrame) -> None:
    customers, guests = sales.baskets(orders, D).to_dict("records")
    assert customers == {
        "Who": "customers",
        "Orders": 5,
        "MedianLines": 1,
        "AverageLines": 1.2,
        "MedianUnits": 1,
        "AverageUnits": 5.4,
        "MedianValue": 7.0,
        "AverageValue": 36.94,
    }
    assert (guests["Orders"], guests["MedianUnits"], guests["AverageValue"]) == (1, 3, 21)


def test_customers_bring_what_gold_says(engine: Engine, bronze_lines: list[dict]) -> None:
    silver, _ = clean(engine.frame(bronze_lines))
    day = dt.date(2025, 6, 30)
    gold = engine.collect(rfm_metrics(silver, day))
    found = sales.kpis(sales.orders(silver, day), day)
    assert (found.revenue, found.orders, found.customers) == (gold["Monetary"].sum(), gold["Frequency"].sum(), len(gold))
    assert (
        sales.products(silver, day)["Revenue"].sum()
        == found.revenue
        == sales.periods(sales.orders(silver, day), day)["Revenue"].sum()
    )
    assert found.guest_revenue == Decimal("3.00")


def test_nothing_sold(engine: Engine) -> None:
    none = sales.orders(engine.frame([], SILVER), D)
    tables = [sales.periods(none, D), sales.customer_months(none, D), sales.cohorts(none, D), sales.days_between(none, D)]
    tables += [none, sales.countries(none, D), sales.products(engine.frame([], SILVER), D), sales.periods(none, D, "day")]
    assert [len(table) for table in tables] == [0] * len(tables)
    assert sales.baskets(none, D)["Orders"].tolist() == [0, 0]
    assert sales.kpis(none, D).customers == 0


def test_only_guests(engine: Engine) -> None:
    guests = sales.orders(engine.frame([row | {"CustomerID": None} for row in rows()], SILVER), D)
    assert sales.kpis(guests, D)[:6] == (0, 0, 0, 0, None, None)
    assert sales.periods(guests, D)["GuestOrders"].sum() == 6
    assert sales.customer_months(guests, D).empty


def test_frames_are_not_changed(orders: pd.DataFrame) -> None:
    before = orders.copy()
    for make in (
        sales.kpis,
        sales.periods,
        sales.customer_months,
        sales.cohorts,
        sales.days_between,
        sales.countries,
        sales.baskets,
    ):
        make(orders, D)
    pd.testing.assert_frame_equal(orders, before)


# ── products of a segment and a state ──────────────────────────────────────────────────────────────
def test_products_of_groups_by_hand(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"CustomerID": ["1", "2", "3", "4"], "Segment": ["A", "A", "B", "B"], "State": ["lost", "lost", "lost", "new"]}
    customers = pd.DataFrame(groups)  # the fourth bought nothing that counts
    given = engine.frame(rows(), SILVER), customers, D
    monkeypatch.setattr(sales, "FEWEST", 2)
    found = sales.products_by_group(*given)
    columns = ["Segment", "State", "GroupSize", "StockCode", "Units", "Revenue", "Customers", "Share", "Lift"]
    ball, parasol = ["85048", 24, Decimal("166.85"), 3], ["15056BL", 3, Decimal("17.85"), 2]
    assert found[columns].to_numpy().tolist() == [
        ["", "", 4, *ball, 3 / 4, 1.0],
        ["", "", 4, *parasol, 2 / 4, 1.0],
        ["", "lost", 3, *ball, 1.0, 4 / 3],
        ["", "lost", 3, *parasol, 2 / 3, 4 / 3],
        *(
            [segment, state, 2, *row, 1.0, lift]
            for segment, state in (("A", ""), ("A", "lost"))
            for row, lift in ((["85048", 14, Decimal("97.35"), 2], 4 / 3), (parasol, 2.0))
        ),
    ]  # B: only one of its customers bought the ball
    assert found["Description"].unique().tolist() == ["BALL", "PARASOL"]
    assert sales.products_by_group(*given, most=1)["StockCode"].tolist() == ["85048"] * 4
    monkeypatch.setattr(sales, "FEWEST", 1)
    assert len(sales.products_by_group(*given)) == 10
    assert sales.products_by_group(given[0], customers.iloc[:0], D).empty
