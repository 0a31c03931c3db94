"""Rules of evidence, each supported by the lines and contradicted by them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from rfm.onboarding.evidence import guesses
from rfm.onboarding.money import totals
from rfm.onboarding.profile import Profile

TODAY = dt.date(2026, 11, 23)
LINES = 60


def shop(known: dict[str, Any] | None = None, **columns: Any) -> Profile:
    """Return the profile of sixty lines, with settings that are known; a column is a text, or a function of the line."""
    usual = {
        "Order ID": lambda i: str(5000 + i),
        "Date": lambda i: f"2026-03-{1 + i % 28:02}",
        "Customer": lambda i: f"K{i % 17}",
        "Total": lambda i: f"{10 + i}.50",
    }
    made = {name.replace("_", " "): made for name, made in (usual | columns).items() if made is not None}
    rows = {name: [made(i) if callable(made) else made for i in range(LINES)] for name, made in made.items()}
    return Profile(pd.DataFrame(rows, dtype=object), ["orders.csv"], TODAY, known=known or {})


def values(profile: Profile) -> dict[str, Any]:
    """Return the settings that are guessed."""
    return {one.setting: one.value for one in guesses(profile)}


def several(i: int) -> str:
    return str(5000 + i // 3)


def buyer(i: int) -> str:
    return f"K{i // 3 % 7}"


def day(i: int) -> str:
    return f"2026-03-{1 + i // 3:02}"


def code(i: int) -> str:
    return f"A-{i % 5}"


def pieces(i: int) -> str:
    return str(1 + i % 4)


ORDERS = {"Order_ID": several, "Customer": buyer, "Date": day}


# ── the money ──────────────────────────────────────────────────────────────────────────────────────
def test_an_exact_price_beats_a_part_of_a_name():
    found = shop(Total=None, price=lambda i: f"{i}.75", total_items=lambda i: str(1 + i % 5)).matches
    assert (found["price"].column, "quantity" in found) == ("price", False)


def test_price_times_quantity_names_both():
    profile = shop(
        Total=None,
        A=lambda i: f"{1 + i % 7}.25",
        Qty=pieces,
        Worth=lambda i: f"{(1 + i % 7.0 + 0.25) * (1 + i % 4):.2f}",
    )
    named = shop(Total=lambda i: f"{(1 + i % 7 + 0.25) * (1 + i % 4):.2f}", Net=lambda i: f"{1 + i % 7}.25", Qty=pieces)
    assert (profile.matches["price"].column, named.matches["price"].column) == ("A", "Net")
    assert named.matches["quantity"].column == "Qty"
    assert "× quantity" in named.matches["price"].reason


def test_a_total_on_each_line_counts_once():
    same = shop(**ORDERS, SKU=code, Total=lambda i: f"{10 + i // 3}.50")
    each = shop(**ORDERS, SKU=code)
    assert (values(same)["rules.order_total"], values(each).get("rules.order_total", False)) == (True, False)
    assert float(same.amounts.sum()) == sum(10.5 + i for i in range(20))


def test_amounts_that_add_up_to_a_total_are_amounts_of_lines():
    total = lambda i: f"{sum(2.5 + (j % 11) for j in range(i // 3 * 3, i // 3 * 3 + 3)):.2f}"  # noqa: E731
    profile = shop(
        Order_ID=several,
        Customer=buyer,
        Date=day,
        Price=lambda i: f"{2.5 + i % 11:.2f}",
        Quantity=pieces,
        Total=total,
    )
    assert (profile.matches["price"].column, "quantity" in profile.matches) == ("Price", False)


@pytest.mark.parametrize(
    ("amount", "decimal", "thousands", "asked"),
    [
        (lambda i: f"{1 + i}.500", ",", ".", False),  # every group is round
        (lambda i: f"0.{100 + i}", ".", ",", False),
        (lambda i: f"{1 + i}.{237 + i}" if i % 3 else f"{300 + i}", ",", ".", False),  # those below a thousand go on above it
        (lambda i: f"{1 + i}.{237 + i}" if i % 3 else f"{1 + i}", ",", ".", True),  # kilograms, perhaps
        (lambda i: f"{1 + i}.{237 + i}", ",", ".", True),  # nobody knows
        (lambda i: f"${1 + i}.{237 + i}", ",", ".", True),  # nor with a sign of many currencies
        (lambda i: f"{1 + i}.{237 + i} ₫", ",", ".", False),  # dong have no decimals
        (lambda i: f"¥{1 + i},{237 + i}", ".", ",", False),
    ],
)
def test_a_mark_before_three_digits_is_decided_or_asked(amount, decimal, thousands, asked):
    profile = shop(Total=amount)
    found = values(profile)
    assert (found["format.decimal"], found["format.thousands"]) == (decimal, thousands)
    assert bool(profile.questions) == asked


@pytest.mark.parametrize("sign", ["", "$"])
@pytest.mark.parametrize(("decimal", "thousands", "revenue"), [(",", ".", 1000), (".", ",", 1)])
def test_an_answer_about_the_decimal_mark_fits_both_marks(sign, decimal, thousands, revenue):
    amount = lambda i: f"{sign}{1 + i}.{237 + i}" if i % 3 else f"{sign}{1 + i}"  # noqa: E731
    profile = shop(Total=amount)
    offered = {one.value: float(one.revenue) for one in profile.questions[0].options}
    answered = shop({"format.decimal": decimal}, Total=amount)
    found = values(answered)
    assert (found["format.decimal"], found["format.thousands"]) == (decimal, thousands)
    assert offered[decimal] == pytest.approx(answered.amounts.sum(), abs=0.01)
    assert answered.amounts.max() == pytest.approx(60.296 * revenue, abs=0.01)


def test_money_in_cents_is_told_in_whole_units():
    total = lambda i: str(1050 + 100 * i)  # noqa: E731
    cents = shop(Total=None, Amount_Cents=total)
    assert values(cents)["format.cents"]
    assert totals(cents, cents.amounts)[0] == totals(shop(), shop().amounts)[0] == 2400
    assert totals(one := shop(Total=total), one.amounts)[0] == 240_000


def test_decimals_of_prices_and_parts_of_pieces_are_kept():
    found = values(shop(Total=None, SKU=code, Unit_Price=lambda i: f"0.{1000 + i % 5}", Quantity=lambda i: f"{i}.25"))
    assert (found["format.price_decimals"], found["format.fractions"]) == (4, True)
    plain = values(shop(Total=None, SKU=code, Unit_Price=lambda i: f"{i % 5}.50", Quantity=pieces))
    assert not {"format.price_decimals", "format.fractions"} & plain.keys()


def test_several_currencies_are_never_added_up():
    one, two = shop(Currency="EUR"), shop(Currency=lambda i: ["EUR", "USD"][i % 2])
    assert (values(one)["currencies.EUR"], one.questions) == (1.0, [])
    (asked,) = two.questions
    assert (asked.setting, [option.value for option in asked.options]) == ("currencies", [{"EUR": 1.0}, {"USD": 1.0}])
    assert sum(option.revenue for option in asked.options) == sum(10.5 + i for i in range(LINES))
    assert [one.setting for one in shop(Total=lambda i: f"{'€$'[i % 2]}{i}.50").questions] == ["currencies"]


@pytest.mark.parametrize(
    ("header", "cents"), [("amountInCents", True), ("total_cents", True), ("Betrag", False), ("Accents_total", False)]
)
def test_a_header_says_that_amounts_are_in_cents(header, cents):
    found = values(shop(Total=None, **{header: lambda i: str(1000 + 7 * i)}))
    assert ("format.cents" in found) == cents


@pytest.mark.parametrize("untaxed", ["Amount excl. VAT", "Betrag ohne MwSt", "Montant HT", "Celkem bez DPH"])
def test_what_was_paid_comes_before_what_it_is_without_tax(untaxed):
    paid = {
        "Amount excl. VAT": "Amount incl. VAT",
        "Betrag ohne MwSt": "Betrag mit MwSt",
        "Montant HT": "Montant TTC",
        "Celkem bez DPH": "Celkem s DPH",
    }[untaxed]
    table = {"Order": range(40), "Date": "2025-03-04", "Customer": [f"K{i % 9}" for i in range(40)]}
    lines = pd.DataFrame(table | {untaxed: [f"{i}.10" for i in range(40)], paid: [f"{i}.90" for i in range(40)]}).astype(str)
    price = Profile(lines).matches["price"]
    assert (price.column, price.sure) == (paid, "sure")


@pytest.mark.parametrize("price", ["Unit EUR", "€/pcs", "£ each", "USD per unit", "Einzel €"])
def test_money_of_one_piece_is_a_price(price):
    profile = shop(**ORDERS, Total=None, **{"Pcs.": pieces, price: lambda i: f"{10 + i % 7}.50"})
    found = {role: profile.matches[role].column for role in ("price", "quantity")}
    assert (found, profile.questions) == ({"price": price, "quantity": "Pcs."}, [])


def test_money_without_a_name_beside_pieces_is_asked_for():
    profile = shop(**ORDERS, Total=None, **{"Pcs.": pieces}, Worth=lambda i: f"{10 + i % 7}.50")
    (asked,) = profile.questions
    amounts = [10.5 + i % 7 for i in range(LINES)]
    times = [amount * float(pieces(i)) for i, amount in enumerate(amounts)]
    assert [float(option.revenue) for option in asked.options] == [sum(amounts), sum(times)]


def test_a_list_of_customers_is_doubted():
    each = {"Order ID": None, "Customer": lambda i: f"K{i}"}
    for header, made in (("Orders_Count", pieces), ("Last_Order_Date", "2026-03-04")):
        profile = shop(**each, **{header: made}, **({"Date": None} if "Date" in header else {}))
        assert [one.amount for one in profile.doubts if one.about == "orders"] == [Decimal("2400.00")]
    assert not [one for one in shop(**{"Order ID": None}, Orders_Count=pieces).doubts if "one line" in one.said]


def test_lines_without_a_product_beside_others_are_doubted():
    profile = shop(**ORDERS, Item=lambda i: "" if i % 3 == 0 and i < 30 else f"Mug {i}")
    assert [one.said.split(" ")[0] for one in profile.doubts if one.about == "sums"] == ["10"]


# ── what was sold ──────────────────────────────────────────────────────────────────────────────────
def test_states_are_sorted_by_what_they_mean():
    profile = shop(Status=lambda i: ["Paid", "Paid", "Failed", "partially paid"][i % 4])
    found = values(profile)
    assert (found["columns.status"], found["rules.sold"], found["rules.not_sold"]) == (
        "Status",
        ("paid", "partially paid"),
        ("failed",),
    )
    assert [one.about for one in profile.doubts] == ["status"]


def test_invoices_that_await_their_payment_are_doubted():
    states = {"Status": lambda i: ["Paid", "Awaiting Payment", "Voided"][i % 3]}
    profile = shop(**states, Due_Date="2026-04-04")
    assert values(profile)["rules.not_sold"] == ("awaiting payment", "voided")
    assert [one.said.split(" ")[0] for one in profile.doubts if "await" in one.said] == ["20"]
    assert not [one for one in shop(**states).doubts if "await" in one.said]


def test_an_unknown_state_is_asked_for():
    (asked,) = shop(Status=lambda i: ["Paid", "Paid", "Zzyx"][i % 3]).questions
    assert (asked.setting, [option.value for option in asked.options]) == ("rules.sold", [["paid", "zzyx"], ["paid"]])


def test_kinds_that_repeat_sales_are_not_proposed():
    kinds = ["Invoice", "Zettel", "Zzyx"]  # the second has customer and amount of the first
    totals = {"Customer": lambda i: f"K{i // 3 % 7}", "Total": lambda i: f"{10 + i // 3 + 40 * (i % 3 == 2)}.50"}
    (asked,) = shop(Type=lambda i: kinds[i % 3], **totals).questions
    assert [option.value for option in asked.options] == [["invoice", "zzyx"], ["invoice", "zettel", "zzyx"], ["invoice"]]


def test_refund_lines_are_refunds_whatever_their_sign():
    found = values(shop(Type=lambda i: "Refund" if i % 10 == 9 else "Sale"))
    assert (found["columns.line_type"], found["rules.refunds"]) == ("Type", ("refund",))


@pytest.mark.parametrize(
    ("number", "total", "how"),
    [
        (lambda i: f"C{5000 + i}" if i % 10 == 9 else str(5000 + i), lambda i: f"{'-' if i % 10 == 9 else ''}{i}.50", "prefix"),
        (lambda i: f"CA-{5000 + i}" if i % 10 else f"US-{5000 + i}", lambda i: f"{i}.50", "negative"),
        (lambda i: f"C{5000 + i}", lambda i: f"{'-' if i % 10 == 9 else ''}{i}.50", "negative"),
        (lambda i: f"C{5000 + i - 1}" if i % 10 == 9 else str(5000 + i), lambda i: f"{i}.50", "prefix"),  # names another order
    ],
)
def test_letters_mark_cancellations_only_if_the_lines_say_so(number, total, how):
    assert values(shop(Order_ID=number, Total=total))["rules.cancellation"] == how


def test_lines_below_0_in_an_order_lower_it_if_they_say_so():
    below = lambda i: f"{'-2' if i % 3 == 2 else 10 + i}.50"  # noqa: E731
    text = lambda i: "Discount 20%" if i % 3 == 2 else "Mug"  # noqa: E731
    found = shop(**ORDERS, Total=None, Amount=below, SKU=code, Description=text)
    silent = shop(**ORDERS, Total=None, Amount=below, SKU=code, Description="Mug")
    assert values(found)["rules.discount_pattern"] == "(?i)(?:discount)"
    assert "rules.discount_pattern" not in values(silent)
    assert [one.about for one in silent.doubts] == ["returns"]


# ── which order, and who bought ────────────────────────────────────────────────────────────────────
def test_numbers_that_start_again_are_told_apart():
    again = shop(Order_ID=lambda i: str(1 + i % 4), Date=lambda i: f"2026-03-{1 + i // 4:02}")
    till = shop(Order_ID=lambda i: str(1 + i // 2), Till=lambda i: f"T{i % 2}", Date=lambda i: f"2026-03-{1 + i // 4:02}")
    assert values(again)["rules.invoice_restarts"] == "day"
    assert (values(till)["columns.store"], values(till)["rules.invoice_restarts"]) == ("Till", "never")
    assert "rules.invoice_restarts" not in values(shop())


def test_stand_ins_are_nobody():
    busy = shop(Customer=lambda i: ["Walk-in Customer", "0", "0", f"K{i % 20}"][i % 4])
    assert values(busy)["customers.nobody"] == ("0", "walk-in customer")
    assert [one.about for one in busy.doubts] == ["customers"]
    assert "customers.nobody" not in values(shop())


def test_a_number_that_buys_like_others_stays_a_customer():
    profile = shop(Customer=lambda i: str(i % 12))
    assert "customers.nobody" not in values(profile)
    assert [one.about for one in profile.doubts] == ["customers"]


def test_zero_is_nobody_unless_customers_are_numbered_from_it():
    profile = shop(Customer=lambda i: str(i % 12 and 700 + i % 12))
    assert values(profile)["customers.nobody"] == ("0",)
    assert "customers.nobody" not in values(shop(Customer=lambda i: f"{i % 12:010}"))


def test_one_customer_with_most_orders_is_asked_for():
    profile = shop(Customer=lambda i: "M1" if i % 2 else f"K{i}")
    assert [one.setting for one in profile.questions] == ["customers.nobody"]


def test_addresses_and_phone_numbers_are_compared_by_meaning():
    mails = values(shop(Customer=lambda i: f"User{i % 7}@example.org" if i % 2 else f"user{i % 7}@example.org"))
    phones = values(shop(Customer=lambda i: f"+49 30 {1000 + i % 9}" if i % 2 else f"030 {1000 + i % 9}"))
    assert (mails["customers.compare"], phones["customers.compare"]) == ("case", "phone")
    assert phones["customers.country_prefix"] == "49"
    assert "customers.compare" not in values(shop())
    written = ("ann{}@x.org", "Ann <ann{}@x.org>", "mailto:ann{}@x.org")
    (guess,) = [
        one for one in guesses(shop(Customer=lambda i: written[i % 3].format(i % 7))) if one.setting == "customers.compare"
    ]
    assert "joins 14 customers" in guess.reason


def test_ids_that_a_spreadsheet_changed_are_restored_or_doubted():
    lost = values(shop(Customer=lambda i: f"{i % 9:07}" if i % 2 else str(i % 9 or 9)))
    assert lost["customers.width"] == 7
    (doubt,) = shop(Customer=lambda i: f"4.0063{i % 9}E+12").doubts
    assert (doubt.about, doubt.amount) == ("customers", sum(10.5 + i for i in range(LINES)))


# ── where lines begin ──────────────────────────────────────────────────────────────────────────────
def test_blank_repeats_are_filled():
    first = lambda made: lambda i: "" if i % 3 else made(i)  # noqa: E731
    profile = shop(Order_ID=first(several), Customer=first(buyer), Date=first(day), Total=None, Amount=lambda i: f"{i}.50")
    assert values(profile)["files.fill_down"] == ("Order ID", "Date", "Customer")
    assert profile.text("customer_id").tolist() == [buyer(i) for i in range(LINES)]
    assert "files.fill_down" not in values(shop(Customer=lambda i: "" if i % 3 else "K1"))


def test_a_state_on_the_first_line_of_an_order_holds_for_all():
    state = lambda i: "" if i % 3 else ["paid", "failed"][i // 3 % 2]  # noqa: E731
    profile = shop(**ORDERS, Total=None, Amount=lambda i: f"{i}.50", Status=state)
    assert values(profile)["files.fill_down"] == ("Status",)
    assert values(profile)["rules.not_sold"] == ("failed",)


def test_orders_in_several_files_are_counted_once():
    lines = shop().lines
    twice = pd.concat([lines, lines], ignore_index=True)
    sources = pd.Series(["a.csv"] * LINES + ["b.csv"] * LINES)
    assert values(Profile(twice, today=TODAY, sources=sources))["files.overlap"] == "once"
    other = pd.concat([lines, lines.assign(**{"Order ID": [f"9{one}" for one in lines["Order ID"]]})], ignore_index=True)
    assert "files.overlap" not in values(Profile(other, today=TODAY, sources=sources))


def test_a_discount_that_is_not_taken_off_is_a_doubt():
    table = {"Order": range(40), "Date": "2025-03-04", "Customer": [f"K{i % 9}" for i in range(40)], "Price": "10.00"}
    lines = pd.DataFrame(table | {"Discount": ["5 %", "0", "", "0.00"] * 10}).astype(str)
    (doubt,) = [one for one in Profile(lines).doubts if one.about == "discount"]
    assert (doubt.said.split(" ")[0], doubt.amount) == ("10", Decimal("100.00"))
    assert not [one for one in Profile(lines, known={"columns.discount": "Discount"}).doubts if one.about == "discount"]


@pytest.mark.parametrize(
    ("header", "value", "doubted"),
    [
        ("discount_pct", "10%", True),
        ("Order discount", "-1.00", True),
        ("Discount code", "SPRING10", False),
        ("Discounts", "1.00", False),
    ],
)
def test_discounts_of_any_header_are_doubted_if_left_on(header, value, doubted):
    table = {"Order": range(40), "Date": "2025-03-04", "Customer": [f"K{i % 9}" for i in range(40)]}
    table |= {"Total": [f"{9 + i}.00" for i in range(40)], header: ["", value] * 20}
    if header == "Discounts":  # already taken off
        table |= {"Subtotal": [f"{i + 9 + i % 2 + 2}.00" for i in range(40)], "Shipping": "2.00"}
        table["Total"] = [f"{i + 9 + 4}.00" for i in range(40)]
    doubts = [one for one in Profile(pd.DataFrame(table).astype(str)).doubts if one.about == "discount"]
    assert bool(doubts) == doubted
