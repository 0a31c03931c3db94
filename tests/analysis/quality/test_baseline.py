"""What the lines of files are worth, and warnings when a run leaves what the settings were made from."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import polars as pl
import pytest

from rfm.analysis.cleaning import clean, judge
from rfm.analysis.quality.baseline import (
    Orders,
    by_value,
    departures,
    explained,
    facts,
    order_faults,
    other_codes,
)
from rfm.analysis.quality.gate import money_flow
from rfm.config import Baseline
from rfm.contracts import BRONZE, TABLES
from rfm.dialect import Columns, Dialect, Rules

DAY = dt.date(2026, 1, 31)
OWN = Dialect(
    columns=Columns(invoice="Order"), rules=Rules(stock_code_pattern="^[A-Z]", invoice_pattern=".", cancellation="negative")
)
PATTERN = OWN.rules.stock_code_pattern
ASIDE = '{"_raw": "Total", "_line": 9, "_kind": "total"}'


def lines(*rows: str, file: str = "a.csv", run: dt.date = DAY) -> pd.DataFrame:
    """Return bronze: order, customer, date, quantity and price of each line."""
    found = []
    for row in rows:
        order, customer, date, quantity, price, *more = row.split()
        code = more[0] if more else "A1"
        line = {
            "Invoice": order,
            "StockCode": code,
            "Description": "Ball",
            "Quantity": quantity,
            "Price": price,
            "Country": "EIRE",
        }
        line |= {"CustomerID": None if customer == "-" else customer, "InvoiceDate": date}
        found.append(line | {"_rescued_data": None, "source_file": file, "processing_date": run})
    return pd.DataFrame(found)


def both(bronze: pd.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return judged rows of the quarantine, and silver; in Polars, as in a run, which is much faster."""
    records = bronze.astype(object).where(bronze.notna(), None).to_dict("records")
    rows = pl.DataFrame(records, schema={name: TABLES[BRONZE].polars[name] for name in bronze.columns})
    silver, quarantine = clean(rows, dialect=OWN)
    return judge(quarantine, dialect=OWN), silver


def facts_of(*frames: pd.DataFrame):
    return facts(*both(pd.concat(frames, ignore_index=True)), DAY, stock_code_pattern=PATTERN)


PLAIN = [f"{100 + i} K{i % 7} 2026-01-{1 + i % 28:02} 1 10.00" for i in range(40)]
BASE = Baseline(made=DAY, unread=0.0, guests=0.1, order_value=10.0, revenue_per_day=14.0)


# ── facts ──────────────────────────────────────────────────────────────────────────────────────────
def test_unreadable_lines_are_worth_the_average_line():
    found = facts_of(lines("1 K1 2026-01-02 2 10.00", "2 K2 2026-01-03 1 30.00", "3 K2 2026-01-03 1 1,250.00"))
    assert (found.total("lines"), found.total("unread"), found.unread_cents) == (3, 1, 2500)
    assert (found.total("orders"), found.total("days"), found.first) == (2, 2, dt.date(2026, 1, 2))


def test_a_shape_has_no_text_of_a_customer():
    secret = facts_of(lines("1 K1 2026-01-02 1 Müller-47"))
    assert secret.like == "price like xxxxxx-99"
    assert facts_of(lines("1 K1 tomorrow 1 1.00")).like == "date like xxxxxxxx"


def test_titles_totals_and_returns_are_no_unreadable_lines():
    total = lines("x - - x x").assign(_rescued_data=ASIDE)
    found = facts_of(lines("1 K1 2026-01-02 1 10.00", "2 K1 2026-01-02 -1 10.00"), total)
    assert (found.total("lines"), found.total("unread")) == (2, 0)


def test_lines_of_a_broken_rule_are_worth_what_they_say():
    found = facts_of(lines("1 K1 2026-01-02 1 10.00", "2 K1 tomorrow 3 5.00"))
    assert found.unread_cents == 1500


def test_guests_and_damaged_customers_have_their_money():
    found = facts_of(lines("1 - 2026-01-02 1 10.00", "2 4.00638E+12 2026-01-02 1 7.00", "3 E+12 2026-01-02 1 5.00"))
    assert (found.total("guests"), found.total("guest_cents")) == (1, 1000)
    assert (found.total("damaged"), found.total("damaged_cents")) == (1, 700)


# ── orders ─────────────────────────────────────────────────────────────────────────────────────────
def test_orders_with_several_customers_days_or_files_are_counted():
    first = lines("1 K1 2026-01-02 1 10.00", "1 K2 2026-01-02 1 5.00", "2 K1 2026-01-02 1 3.00", "2 K1 2026-01-04 1 3.00")
    second = lines("3 K1 2026-01-05 1 8.00", file="b.csv"), lines("3 K1 2026-01-05 1 8.00")
    silver = both(pd.concat([first, *second], ignore_index=True))[1]
    found = order_faults(silver, DAY, stock_code_pattern=PATTERN)
    assert found["customers"] == Orders(1, Decimal("15.00"))
    assert found["days"] == Orders(1, Decimal("6.00"))
    assert found["files"] == Orders(1, Decimal("8.00"))


def test_codes_that_are_no_products_are_counted_with_their_money():
    silver = both(lines("1 K1 2026-01-02 1 10.00", "1 K1 2026-01-02 2 4.00 9post"))[1]
    assert other_codes(silver, DAY, stock_code_pattern=PATTERN) == {"9post": Orders(1, Decimal("8.00"))}


def test_values_of_a_column_are_counted_most_lines_first():
    rescued = [f'{{"_status": "{state}", "_store": "S1"}}' for state in ("paid", "failed", "paid", "")]
    bronze = lines(*PLAIN[:4]).assign(_rescued_data=rescued)
    found = by_value(judge(bronze, dialect=OWN), "_status")
    assert list(found.items())[0] == ("paid", Orders(2, Decimal("20.00")))
    assert {value: one.orders for value, one in found.items()} == {"paid": 2, "failed": 1, "": 1}


POSTAGE = "Postage, fees, vouchers"


# ── an expected revenue ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("missing", "reasons"),
    [
        ("7.00", ("Guests",)),
        ("4.00", ("Postage, fees, vouchers",)),
        ("11.00", ("Guests", "Postage, fees, vouchers")),
        ("1.00", ()),
    ],
)
def test_a_difference_is_explained_by_one_reason_or_two(missing, reasons):
    refused, silver = both(lines("1 K1 2026-01-02 1 10.00", "2 - 2026-01-02 1 7.00", "3 K1 2026-01-02 1 4.00 9post"))
    flow = money_flow(refused, silver, DAY, stock_code_pattern=PATTERN)
    assert explained(flow, {}, Decimal(missing)) == reasons


def test_a_state_that_does_not_count_explains_a_difference():
    refused, silver = both(lines("1 K1 2026-01-02 1 10.00"))
    flow = money_flow(refused, silver, DAY, stock_code_pattern=PATTERN)
    assert explained(flow, {"status": {"failed": Orders(2, Decimal("5.00"))}}, Decimal("5.00")) == ("status 'failed'",)


# ── departures ─────────────────────────────────────────────────────────────────────────────────────
def said(*frames: pd.DataFrame) -> dict[str, str]:
    found = departures(DAY, facts_of(*frames), BASE, "€")
    return dict(zip(found["kind"], found["message"], strict=True))


def test_files_like_those_of_the_settings_give_no_warning():
    assert said(lines(*PLAIN)) == {}


def test_a_new_shape_of_prices_is_a_warning_with_money():
    odd = lines(*PLAIN[:36], *[f"{200 + i} K1 2026-01-04 1 1,250.00" for i in range(4)], file="b.csv")
    found = said(lines(*PLAIN), odd)
    assert found.keys() == {"baseline_unread"}
    assert found["baseline_unread"].startswith(
        "4 of 40 lines in b.csv, about €40.00, cannot be read or break a rule: price like 9,999.99"
    )


def test_a_few_unreadable_lines_of_little_money_are_no_warning():
    many = [f"{i} {row[4:]}" for i, row in enumerate(PLAIN * 6)]
    assert "baseline_unread" not in said(lines(*many, "999 K1 2026-01-02 1 10.0x"))


def test_more_guests_are_a_warning_with_money():
    guests = [" ".join([order, "-", *rest]) for order, _, *rest in (row.split() for row in PLAIN[:20])]
    found = said(lines(*guests, *PLAIN[20:]))
    assert found["baseline_guests"].startswith(
        "50% of the lines, €200.00, have no customer; it was 10% when the settings were made"
    )


@pytest.mark.parametrize(("price", "kind"), [("1000.00", "baseline_order_value"), ("0.10", "baseline_order_value")])
def test_orders_of_another_size_are_a_warning(price, kind):
    found = said(lines(*[row.replace("10.00", price) for row in PLAIN]))
    assert found.keys() == {kind}
    assert f"the average order is €{Decimal(price):,.2f}; it was €10.00" in found[kind]


def test_damaged_customers_are_a_warning():
    found = said(lines(*[row.replace(" K1 ", " 4.00638E+12 ") for row in PLAIN]))
    assert "rounded by a spreadsheet" in found["damaged_ids"]


def test_without_a_baseline_only_unknown_values_warn():
    odd = facts_of(lines(*PLAIN[:20], *[f"{200 + i} K1 2026-01-04 1 1,250.00" for i in range(20)]))
    assert departures(DAY, odd, Baseline()).empty
