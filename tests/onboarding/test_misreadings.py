"""What can be read wrong without a sign of it, and what looks like it but is not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from rfm.onboarding.identity import placeholder_customers
from rfm.onboarding.misreadings import names_of_sheets
from rfm.onboarding.profile import Profile
from tests.onboarding.test_evidence import LINES, ORDERS, TODAY, buyer, day, shop


def said(profile: Profile, about: str) -> list[str]:
    """Return the sentences of the doubts about a subject."""
    return [one.said for one in profile.doubts if one.about == about]


ITEMS: dict[str, Any] = ORDERS | {"Total": None, "Item": lambda i: f"Article {i % 7}"}


# ── decimal marks ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("quantity", "doubted"),
    [
        (lambda i: f"0.{100 + 7 * i}", True),
        (lambda i: f"1.{122 + 7 * i}" if i % 2 else "2", True),
        (lambda i: f"1.{100 + 50 * (i % 9)}" if i % 2 else "40", False),
        (lambda i: f"1.{122 + 7 * i}" if i % 2 else "640", False),
        (lambda i: f"0,{100 + 7 * i}", False),
    ],
)
def test_weights_with_another_mark_than_prices_are_doubted(quantity, doubted):
    profile = shop(**ITEMS, Quantity=quantity, Price=lambda i: f"{10 + 7 * i % 90},49")
    (*found,) = [one for one in profile.doubts if one.about == "numbers"]
    assert [one.share for one in found] == [1.0] * doubted


# ── two columns for one role ───────────────────────────────────────────────────────────────────────
PRICED = ITEMS | {"Price": lambda i: f"{10 + 7 * i % 90}.49"}


def asked(known: dict[str, Any] | None = None, **columns: Any) -> dict[str, list[Any]]:
    """Return the questions about the columns of a shop: the answers of each."""
    profile = shop(known, **(PRICED | columns))
    return {one.setting: [each.value for each in one.options] for one in profile.questions}


@pytest.mark.parametrize("names", [("Qty Ordered", "Qty Shipped"), ("Bestellmenge", "Liefermenge"), ("Quantity", "Invoiced")])
def test_pieces_ordered_or_shipped_are_asked_for(names):
    shipped = dict.fromkeys(names, lambda i: str(2 + i % 4)) | {names[0]: lambda i: str(2 + i % 4 + (i % 9 == 0))}
    assert asked(**shipped) == {"columns.quantity": list(names)}
    assert asked({"columns.quantity": names[1]}, **shipped) == {}
    assert asked(**dict.fromkeys(names, lambda i: str(2 + i % 4))) == {}


@pytest.mark.parametrize("other", [lambda i: "1" if i % 8 else "3", lambda i: str(1 + i % 3), lambda i: "0"])
def test_a_number_often_as_large_as_the_pieces_is_no_rival(other):
    assert asked(Quantity=lambda i: "1" if i % 5 else "2", Parcels=other) == {}


def test_two_customers_are_asked_for_unless_they_are_one():
    assert asked(Customer=None, Client=lambda i: f"K{i % 7}", Buyer=lambda i: f"B{i % 20}") == {
        "columns.customer_id": ["Client", "Buyer"]
    }
    assert asked(Customer=None, Client=lambda i: f"K{i % 7}", Buyer=lambda i: f"B{i % 7}") == {}
    assert asked(Customer_Email=lambda i: f"a{i % 20}@example.org", Customer_Name=lambda i: f"Ann {'BCDEFGH'[i % 7]}") == {}


def test_two_order_numbers_are_asked_for_if_counts_differ():
    two = {"Order_ID": lambda i: f"{100 + i // 2}", "Invoice_No": lambda i: f"{900 + i}", "Customer": lambda i: f"K{i // 2 % 7}"}
    assert asked(**two) == {"columns.invoice": ["Invoice No", "Order ID"]}
    assert asked(**(two | {"Order_ID": lambda i: f"{100 + i}"})) == {}


def test_two_days_of_a_sale_are_asked_for():
    earlier = lambda i: f"2026-02-{1 + i % 28:02}"  # noqa: E731
    assert asked(Date=None, Sale_Date=day, Purchase_Date=earlier) == {"columns.invoice_date": ["Purchase Date", "Sale Date"]}
    assert asked(Date=None, Sale_Date=day, Purchase_Date=day) == {}


@pytest.mark.parametrize("name", ["Operator", "Sales_Rep", "Batch"])
def test_ids_of_which_no_name_says_whose_they_are_are_asked_for(name):
    column = name.replace("_", " ")
    assert asked(Customer=None, **{name: buyer}) == {"columns.customer_id": [column]}
    assert asked({"columns.customer_id": column}, Customer=None, **{name: buyer}) == {}
    assert asked(Customer=None, ID=buyer) == {}


def test_days_of_which_no_name_says_what_they_are_are_asked_for():
    later = lambda i: f"2026-04-{1 + i % 28:02}"  # noqa: E731
    assert asked(Date=None, First_Visit=day, Last_Visit=later) == {"columns.invoice_date": ["First Visit", "Last Visit"]}


# ── names of files ─────────────────────────────────────────────────────────────────────────────────
def in_files(first: str, second: str) -> Profile:
    """Return the profile of lines of two files."""
    sources = pd.Series([first] * (LINES - 10) + [second] * 10)
    return Profile(shop().lines, [first, second], TODAY, sources=sources)


@pytest.mark.parametrize(
    "name", ["returns_2025.csv", "shop/CancelledOrders.xlsx", "Retouren.csv", "Angebote 2025.csv", "test.csv"]
)
def test_a_file_whose_name_says_that_it_has_no_sales_is_doubted(name):
    (doubt,) = [one for one in in_files("orders.csv", name).doubts if one.about == "files"]
    assert (doubt.said.startswith(f"10 lines of {name} look like sales"), doubt.amount) == (
        True,
        sum(10.5 + i for i in range(50, 60)),
    )


def test_a_file_that_tells_its_returns_apart_is_no_doubt():
    below = lambda i: f"{'-' * (i > 50)}{10 + i}.50"  # noqa: E731
    profile = Profile(shop(Total=below).lines, ["returns.csv"], TODAY, sources=pd.Series(["sales_and_returns.csv"] * LINES))
    assert not said(profile, "files")
    back = lambda much: lambda i: f"{'-' * (i > 50)}{much(i)}"  # noqa: E731
    columns = ITEMS | {"Quantity": back(lambda i: 1 + i % 4), "Price": back(lambda i: f"{10 + 7 * i % 90}.49")}
    profile = Profile(shop(**columns).lines, [], TODAY, sources=pd.Series(["sales_and_returns.csv"] * LINES))
    assert not said(profile, "files")


def test_names_of_files_of_sales_are_not_doubted():
    for name in (
        "latest.csv",
        "household.csv",
        "returning_customers.csv",
        "sample.csv",
        "international.csv",
        "spending.csv",
        "masters.csv",
    ):
        assert not said(in_files("orders.csv", name), "files")
    assert not said(in_files("Test 1.csv", "test2.csv"), "files")
    assert said(in_files("returns1.csv", "returns2.csv"), "files")


def test_a_sheet_whose_name_says_that_it_has_no_sales_is_doubted():
    found = [one.said for one in names_of_sheets({"": ["Sales", "Retouren"], "b.xlsx": ["Sheet1"]}, shop())]
    assert [one.split(";")[0] for one in found] == [": lines of the sheet Retouren look like sales, but its name says Retouren"]
    below = shop(Total=lambda i: f"{'-' * (i > 50)}{10 + i}.50")
    assert not list(names_of_sheets({"": ["Sales", "Retouren"]}, below))


# ── list price and price paid ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("other", "asked"),
    [
        (lambda i: f"{10 + 7 * i % 90}.00" if i % 3 else "5.00", True),
        (lambda i: f"{10 + 7 * i % 90}.00" if i % 3 else "995.00", False),
        (lambda i: f"{10 + 7 * i % 90}.00", False),
        (lambda i: f"{5 + 7 * i % 90}.00", False),
        (lambda i: "0.00" if i % 3 else f"{10 + 7 * i % 90}.00", False),
    ],
)
def test_a_second_price_that_is_lower_on_some_lines_is_asked_for(other, asked):
    profile = shop(**ITEMS, Quantity=lambda i: str(1 + i % 4), Price=lambda i: f"{10 + 7 * i % 90}.00", Final=other)
    found = [one.options[0].value for one in profile.questions if one.setting == "columns.price"]
    assert found == ["Final"] * asked


@pytest.mark.parametrize(("lines", "less"), [(1, 132), (2, 66)])  # of an order, each with its total
def test_a_paid_amount_that_is_lower_on_some_orders_is_asked_for(lines, less):
    total = lambda i: 20 + i // lines % 60  # noqa: E731
    paid = lambda i: f"{total(i) - 11 * (i // lines % 5 == 0)}.00"  # noqa: E731
    orders = {"Order_ID": lambda i: f"{900 + i // lines}", "Customer": lambda i: f"K{i // lines % 9}", "Date": "2026-03-02"}
    profile = shop(**orders, Total=lambda i: f"{total(i)}.00", Paid=paid)
    (asked,) = profile.questions
    assert [one.value for one in asked.options] == ["Paid", "Total"]
    assert asked.options[1].revenue - asked.options[0].revenue == less


# ── versions of an order ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("header", ["Version", "Order_revision", "Fassung", "révision"])
def test_earlier_versions_of_orders_are_doubted(header):
    profile = shop(**ORDERS, **{header: lambda i: str(1 + i % 3)})
    (found,) = said(profile, "orders")
    assert found.startswith("40 lines are of earlier versions of their orders")
    assert not said(shop(**{header: "1"}), "orders")
    assert not said(shop(**ORDERS, App_version=lambda i: str(1 + i % 3)), "orders")


# ── ids of several people ──────────────────────────────────────────────────────────────────────────
def test_ids_that_start_again_in_each_shop_are_doubted():
    ids = {"Customer_No": lambda i: str(1 + i // 3 % 10), "Customer": None}
    names = lambda i: f"{'ABC'[i % 3]} {chr(97 + i // 3 % 10)}"  # noqa: E731
    (found,) = [
        one for one in said(shop(**ids, Customer_name=names, Branch=lambda i: f"S{i % 3}"), "customers") if "names" in one
    ]
    assert found.startswith("10 of 10 customers in 'Customer No' have several names in 'Customer name'; each 'Branch' numbers")
    same = lambda i: f"Ann {chr(97 + i // 3 % 10)}"  # noqa: E731
    assert not [one for one in said(shop(**ids, Customer_name=same), "customers") if "names" in one]


@pytest.mark.parametrize(
    ("tax_number", "counted"),
    [
        ("999999990", False),
        ("XAXX010101000", False),
        ("222222222222", False),
        ("9999999999999", False),
        ("66.666.666-6", False),
        ("000.000.000-00", False),
        ("200.000.000-00", True),
        ("XAXX010101001", True),
    ],
)
def test_the_tax_number_of_a_final_consumer_is_no_customer(tax_number, counted):
    assert bool(placeholder_customers({tax_number: 1})) != counted


# ── order numbers ──────────────────────────────────────────────────────────────────────────────────
def test_unused_order_numbers_among_totals_are_doubted():
    number = lambda i: "Day total" if i % 3 == 2 else str(50100 + i if i % 6 < 3 else 50100 + i // 3 * 3)  # noqa: E731
    only = lambda made: lambda i: "" if i % 3 == 2 else made(i)  # noqa: E731
    columns = {"Order ID": None, "Ticket": number, "Customer": only(buyer), "Date": day, "Item": only(lambda i: f"A {i % 7}")}
    profile = shop(**columns)
    assert "invoice" not in profile.matches
    (found,) = said(profile, "orders")
    assert found.endswith("set columns.invoice if 'Ticket' tells")
