"""Rules of evidence about identity: which lines are one order, and who bought."""

from __future__ import annotations

import pandas as pd
import pytest

from rfm.onboarding.identity import placeholder_customers
from rfm.onboarding.profile import Profile
from tests.onboarding.test_evidence import LINES, ORDERS, TODAY, shop, values


def files(*parts: Profile) -> Profile:
    """Return the profile of several files, the lines of each those of a profile."""
    names = [f"orders_2026-0{place}-01.csv" for place, part in enumerate(parts, 1) for _ in range(len(part.lines))]
    return Profile(pd.concat([one.lines for one in parts], ignore_index=True), today=TODAY, sources=pd.Series(names))


# ── which order ────────────────────────────────────────────────────────────────────────────────────
def test_later_files_with_other_states_overlap():
    found = values(files(shop(Status="Pending"), shop(Status="Paid")))
    assert (found["files.overlap"], found["rules.not_sold"]) == ("once", ("pending",))


def test_files_of_two_shops_do_not_overlap():
    profile = files(shop(), shop(Customer=lambda i: f"L{i % 13}"))
    assert "files.overlap" not in values(profile)
    (doubt,) = [one for one in profile.doubts if one.about == "orders"]
    assert "set columns.store" in doubt.said
    assert doubt.amount == 2 * sum(10.5 + i for i in range(LINES))


@pytest.mark.parametrize("header", ["Billing Doc.", "Doc No", "Payment ID", "Transaction", "Txn", "Receipt", "Número de orden"])
def test_order_numbers_of_many_names_are_found(header):
    profile = shop(**{"Order ID": None, header: lambda i: f"9{i:04}"})
    assert values(profile)["columns.invoice"] == header


@pytest.mark.parametrize(
    ("customer", "period"), [(lambda i: f"K{i % 15}", "never"), (lambda i: f"K{i % 17}", "month")], ids=["paid twice", "again"]
)
def test_numbers_start_again_if_customers_differ(customer, period):
    profile = shop(
        Order_ID=lambda i: str(5000 + i % 30), Date=lambda i: f"2026-0{3 + i // 30}-{1 + i % 28:02}", Customer=customer
    )
    assert values(profile).get("rules.invoice_restarts", "never") == period


STATES = ["Created", "Paid", "Shipped"]


def happened(**columns) -> Profile:
    """Return the profile of a line for each state of an order."""
    usual = {"Total": lambda i: f"{9 + i // 3}.50", "Status": lambda i: STATES[i % 3]}
    return shop(**ORDERS | usual | columns)


def test_what_happened_to_an_order_counts_it_once():
    found = values(happened())
    assert (found["rules.sold"], found["rules.not_sold"]) == (("paid",), ("created", "shipped"))
    assert (found["rules.order_total"], "rules.invoice_restarts" in found) == (False, False)
    each = values(happened(Total=lambda i: f"{9 + i}.50"))  # lines of an order, with states of their own
    assert "rules.order_total" not in each


def test_orders_that_were_paid_back_later_are_doubted():
    profile = happened(Status=lambda i: "Refunded" if i % 3 == 2 and i < 9 else STATES[i % 3])
    (doubt,) = [one for one in profile.doubts if one.about == "status"]
    assert ("3 orders" in doubt.said, float(doubt.amount)) == (True, 9.5 + 10.5 + 11.5)


# ── who bought ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "stands"),
    [
        ("Online Customer", True), ("Kasse 1", True), ("POS 2", True), ("Cash Sale", True), ("Cliente genérico", True),
        ("Caja 3", True), ("Klient detaliczny", True), ("Розничный покупатель", True), ("現金", True),
        ("Kunde 12", False), ("Guest 10234", False), ("Johnny Cash", False), ("Anna", False), ("Order 7", False),
    ],
)  # fmt: skip
def test_tills_and_kinds_of_customers_are_nobody(name, stands):
    assert bool(placeholder_customers({name: 3})) == stands


def test_one_who_buys_unlike_others_is_doubted():
    often = shop(Customer=lambda i: "K99" if i % 5 == 0 else f"K{i % 29}", Order_ID=str)
    word = shop(Customer=lambda i: "Market" if i % 10 == 0 else f"K{i % 27}", Order_ID=str)
    assert [one.about for one in (*often.doubts, *word.doubts)] == ["customers", "customers"]
    assert not shop(Customer=lambda i: f"K{i % 27}", Order_ID=str).doubts


def test_ids_that_lost_zeros_in_one_file_are_joined():
    spelled = ["{:05}", "{}", "{}.0"]
    parts = [
        shop(Customer=lambda i, form=form: form.format(100 + i % 17), Order_ID=lambda i, form=form: f"{form}{i}")
        for form in spelled
    ]
    assert values(files(*parts))["customers.width"] == 5
    mixed = shop(Customer=lambda i: ["0456", "456", "00123", "123"][i % 4] if i % 2 else f"{700 + i}")
    assert "customers.width" not in values(mixed)
    assert [one.about for one in mixed.doubts] == ["customers"]


def test_names_that_differ_by_case_or_blanks_are_doubted():
    names = ["Anna Moss", "ANNA MOSS", "anna  moss", "Bert Lund"]
    profile = shop(Customer=lambda i: names[i % 4])
    (doubt,) = profile.doubts
    assert ("2 customers differ" in doubt.said, doubt.amount) == (True, sum(10.5 + i for i in range(LINES) if i % 4 < 3))
    assert not shop(Customer=lambda i: names[i % 2 * 3]).doubts


def mail(i: int) -> str:
    return f"buyer{i % 17}@example.com"


def said_of(profile: Profile, about: str) -> list[str]:
    return [one.said for one in profile.doubts if one.about == about]


@pytest.mark.parametrize(
    ("first", "second", "doubted"),
    [("{}", "CUST-{}", True), ("C{}", "K-{}", True), ("C{}", "C{}", False), ("{}", "CUST-9{}", False)],
)
def test_ids_with_a_prefix_in_one_file_are_doubted(first, second, doubted):
    parts = [
        shop(Customer=lambda i, form=form: form.format(1000 + i % 17), Order_ID=lambda i, place=place: f"{place}{i:04}")
        for place, form in ((5, first), (6, second))
    ]
    profile = files(*parts)
    assert [one.said.partition(" with")[0] for one in profile.doubts] == ["17 customers have ids"] * doubted


@pytest.mark.parametrize(
    ("address", "doubted"),
    [(mail, True), (lambda i: mail(i) if i < 30 else f"new{i % 23}@example.com", False), (lambda i: "a@example.com", False)],
    ids=["changed", "other", "shared"],
)
def test_one_address_of_several_customers_is_doubted(address, doubted):
    profile = shop(Customer=lambda i: str((7000 if i < 30 else 8000) + i % (17 if i < 30 or doubted else 23)), Email=address)
    assert [one.partition(" customers")[0] for one in said_of(profile, "customers")] == ["17"] * doubted


@pytest.mark.parametrize(("every", "asked", "doubted"), [(2, True, 0), (10, False, 1), (1000, False, 0)])
def test_an_address_knows_customers_without_an_id(every, asked, doubted):
    profile = shop(Customer=lambda i: "" if i % every == 1 else str(1000 + i % 17), Email=mail)
    options = [[option.value for option in one.options] for one in profile.questions if one.setting == "columns.customer_id"]
    assert options == [["Email", "Customer"]] * asked
    assert len([one for one in said_of(profile, "customers") if "do not count" in one]) == doubted


def test_addresses_without_a_column_of_customers_are_no_doubt():
    profile = shop(Customer=lambda i: f"{i}.50", Zzz=mail, Yyy=mail)
    assert "customer_id" not in profile.matches
    assert not said_of(profile, "customers")


# ── orders as a whole ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"Zzz": lambda i: f"Q{i:04}", "Date": "2026-03-02"}, "43 orders are merged"),
        ({"Zzz": lambda i: f"Q{i:04}"}, ""),  # nothing is merged
        ({"Zzz": lambda i: f"Q{i % 17}", "Date": "2026-03-02"}, ""),  # a number of the customer
        ({"Zzz": lambda i: f"Q{i:04}", "Date": "2026-03-02", "Product": lambda i: f"Mug {i % 7}"}, ""),  # a number of the line
        ({"Zzz": lambda i: f"Q{i:04}", "Date": "2026-03-02", "Product": str}, "43 orders are merged"),  # no products
        ({"Total": lambda i: f"{0 if i % 17 == 3 else i + 1}.00", "Order ID": str}, "4 orders have no money"),
    ],
)  # fmt: skip
def test_orders_that_merge_or_have_no_money_are_doubted(columns, said):
    doubts = [one for one in shop(**{"Order ID": None} | columns).doubts if one.about == "orders"]
    assert [said in one.said and one.share > 0.005 for one in doubts] == [True] * bool(said)


@pytest.mark.parametrize(("factor", "doubted"), [(100, True), (1000, True), (3, False), (10, False)])
def test_a_file_in_another_unit_is_doubted(factor, doubted):
    profile = files(shop(), shop(Order_ID=lambda i: str(6000 + i), Total=lambda i: f"{(10 + i) * factor}.50"))
    assert [f"about {factor} times" in one for one in said_of(profile, "prices")] == [True] * doubted
