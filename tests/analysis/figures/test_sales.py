"""Figures of the sales: bars, lines and cells are the numbers of the frame."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from rfm.analysis import figures, sales
from tests.analysis.figures.frames import (
    ORDERS,
    PRODUCTS,
    D,
)


def test_revenue_by_month_compares_whole_months_only() -> None:
    customers, guests, growth = figures.revenue_by_month(sales.periods(ORDERS, D), "£").data
    assert (list(customers.x), list(customers.y)) == (["2025-04-01", "2025-05-01", "2025-06-01"], [10, 50, 40])
    assert list(guests.y) == [0, 5, 0]
    assert (list(growth.text), list(growth.y)) == (["part", "", "−20%"], [10, 55, 40])
    assert list(customers.marker.pattern.shape) == ["/", "", ""]
    assert [" part of a month" in text for text in customers.hovertext] == [True, False, False]


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
        "long lapsed": [0, 0, 0],
    }


def test_retention_leaves_the_future_empty() -> None:
    (heat,) = figures.retention(sales.cohorts(ORDERS, D)).data
    assert (list(heat.y), list(heat.x)) == (["May 25 · 1", "Apr 25 · 1"], [1, 2])
    assert [list(row) for row in heat.z] == [[0, None], [1, 1]]
    assert [list(row) for row in heat.text] == [["0", ""], ["100", "100"]]


def test_a_month_that_is_not_over_is_marked() -> None:
    (heat,) = figures.retention(sales.cohorts(ORDERS, dt.date(2025, 6, 29))).data
    assert [list(row) for row in heat.text] == [["0*", ""], ["100", "0*"]]


def test_value_of_a_cohort_adds_up_month_by_month() -> None:
    (heat,) = figures.cohort_value(sales.cohorts(ORDERS, dt.date(2025, 6, 29)), "£").data
    assert (list(heat.y), list(heat.x)) == (["May 25 · 1", "Apr 25 · 1"], [0, 1, 2])
    assert [list(row) for row in heat.z] == [[20, 20, None], [10, 40, 40]]
    assert [list(row) for row in heat.text] == [["20", "20*", ""], ["10", "40", "40*"]]


def test_value_of_a_cohort_is_in_units_of_two_digits() -> None:
    dear = ORDERS.assign(Cents=ORDERS["Cents"] * 123)
    figure = figures.cohort_value(sales.cohorts(dear, D), "£")
    assert figure.layout.title.text == "What has a new customer spent so far, in £100?"
    assert [list(row) for row in figure.data[0].text] == [["25", "25", ""], ["12", "49", "98"]]


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
