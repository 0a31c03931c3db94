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
