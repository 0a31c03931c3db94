"""Exports whose lines are not all sales: the revenue is right, or it is asked about or doubted in money."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from rfm.onboarding import check
from rfm.onboarding.profile import Profile
from rfm.onboarding.questions import Guess

TODAY = dt.date(2026, 11, 23)
Row = dict[str, Any]


class Item(NamedTuple):
    """A product of an order."""

    code: str
    name: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        """Amount of the line."""
        return self.quantity * self.price


class Order(NamedTuple):
    """An order of a made shop."""

    number: int
    items: list[Item]

    @property
    def head(self) -> Row:
        """What stands on each of its lines."""
        day = dt.date(2026, 3, 1) + dt.timedelta(days=self.number % 90)
        return {"Order": f"{5000 + self.number}", "Date": day.isoformat(), "Customer": f"K{self.number * 7 % 23:03}"}

    @property
    def total(self) -> Decimal:
        """Amount of all items."""
        return sum((one.amount for one in self.items), Decimal(0))

    def lines(self, **more: Callable[[Item], Any]) -> list[Row]:
        """Return its lines, with product, amount and further columns."""
        usual: Row = {"SKU": lambda one: one.code, "Item": lambda one: one.name, "Amount": lambda one: one.amount}
        return [self.head | {name: made(one) for name, made in (usual | more).items()} for one in self.items]

    def line(self, name: str, amount: Decimal, **more: Any) -> Row:
        """Return a line that is no item."""
        return self.head | {"SKU": "", "Item": name, "Amount": f"{amount:.2f}"} | more


def _item(seed: int) -> Item:
    product = (seed * seed + 13 * seed) % 41
    name, cents = ["Lamp", "Mug", "Box"][product % 3], 350 + 97 * product
    return Item(f"A-{100 + product}", f"{name} {product}", 1 + seed * 7 % 5, Decimal(cents) / 100)


ORDERS = [Order(number, [_item(number * 3 + i) for i in range(1 + number % 3)]) for number in range(90)]
SOLD = sum((one.total for one in ORDERS), Decimal(0))
PRICED = {"Qty": lambda one: one.quantity, "Price": lambda one: one.price}
BARE = {"SKU": lambda one: "", "Amount": lambda one: ""}


def rest(every: int = 9) -> list[Order]:
    """Return some of the orders, which are later taken back."""
    return [one for one in ORDERS if one.number % every == 4]


def worth(orders: list[Order]) -> Decimal:
    return sum((one.total for one in orders), Decimal(0))


KINDS: dict[str, tuple[Callable[[], Iterator[Row]], tuple[Decimal, ...]]] = {}


def kind(*right: Decimal) -> Callable[[Callable[[], Iterator[Row]]], Callable[[], Iterator[Row]]]:
    """Register an export, and its right revenues."""

    def register(made: Callable[[], Iterator[Row]]) -> Callable[[], Iterator[Row]]:
        KINDS[made.__name__] = (made, right)
        return made

    return register


# ── sums among the lines ───────────────────────────────────────────────────────────────────────────
@kind(SOLD)
def items_alone() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines()


@kind(SOLD)
def subtotal_tax_and_total_by_name() -> Iterator[Row]:
    for order in ORDERS:
        tax = (order.total / 5).quantize(Decimal("0.01"))
        yield from order.lines()
        yield order.line("Subtotal", order.total)
        yield order.line("VAT 20%", tax)
        yield order.line("TOTAL", order.total + tax)


@kind(SOLD)
def a_german_sum_with_a_code() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines()
        yield order.line("Summe", order.total, SKU="SUM")


@kind(SOLD)
def a_sum_in_an_unknown_language() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines()
        yield order.line("Hqxwv", order.total, SKU="ZZ")


@kind(SOLD)
def a_sum_with_quantity_and_price() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines(**PRICED)
        yield order.line("Total", order.total, Qty=1, Price=order.total)


@kind(SOLD, SOLD + sum(((one.total / 5).quantize(Decimal("0.01")) for one in ORDERS), Decimal(0)))
def a_journal_of_a_till() -> Iterator[Row]:
    for order in ORDERS:
        tax = (order.total / 5).quantize(Decimal("0.01"))
        yield from order.lines(RowType=lambda one: "ITEM")
        yield order.line("", tax, RowType="TAX")
        yield order.line("", order.total + tax, RowType="TENDER")


@kind(SOLD)
def cash_and_change() -> Iterator[Row]:
    for order in ORDERS:
        given = (order.total // 10 + 1) * 10
        yield from order.lines(Type=lambda one: "SALE")
        yield order.line("", given, Type="CASH")
        yield order.line("", order.total - given, Type="CHANGE")


@kind(SOLD)
def unknown_codes_of_a_journal() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines(Rec=lambda one: "10")
        yield order.line("", order.total, Rec="30")


@kind(SOLD)
def payments_below_0() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines(Rec=lambda one: "I")
        yield order.line("", -order.total, Rec="P")


@kind(SOLD)
def sums_without_quantity_and_price() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines(**PRICED)
        yield order.line("Subtotal", order.total, Qty="", Price="")


@kind(SOLD)
def two_rates_of_a_tax() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines()
        yield order.line("VAT 20%", order.items[0].amount / 5)
        if len(order.items) > 1:
            yield order.line("VAT 5%", (order.total - order.items[0].amount) / 20)


@kind(SOLD)
def a_sum_without_a_name() -> Iterator[Row]:
    for order in ORDERS:
        yield order.line("", order.total)
        yield from order.lines()


@kind(SOLD)
def invoices_and_their_payments() -> Iterator[Row]:
    for order in ORDERS:
        yield order.head | {"Type": "Invoice", "Amount": order.total}
        yield order.head | {"Order": f"P{order.number}", "Type": "Payment", "Amount": order.total}


# ── what was taken back ────────────────────────────────────────────────────────────────────────────
def taken_back(number: Callable[[Order], str], **more: Any) -> Iterator[Row]:
    """Yield all orders, and credit notes with amounts above 0 for some."""
    usual = {name: value[0] for name, value in more.items()}
    for order in ORDERS:
        yield from (line | usual for line in order.lines())
    for order in rest():
        back = {name: value[1](order) for name, value in more.items()}
        yield from (line | {"Order": number(order)} | back for line in order.lines())


@kind(SOLD)
def credit_notes_by_an_unknown_type() -> Iterator[Row]:
    yield from taken_back(lambda one: f"{8000 + one.number}", DocType=("INV", lambda one: "CRN"))


@kind(SOLD)
def credit_notes_by_a_letter() -> Iterator[Row]:
    yield from taken_back(lambda one: f"{8000 + one.number}", T=("S", lambda one: "R"))


@kind(SOLD)
def credit_notes_of_two_letters() -> Iterator[Row]:
    for line in taken_back(lambda one: f"GS-{8000 + one.number}"):
        yield line | {"Order": line["Order"] if line["Order"].startswith("GS") else f"RE-{line['Order']}"}


@kind(SOLD)
def credit_notes_by_their_number() -> Iterator[Row]:
    yield from taken_back(lambda one: f"CN-{8000 + one.number}")


@kind(SOLD)
def credit_notes_of_unknown_letters() -> Iterator[Row]:
    yield from taken_back(lambda one: f"QX{8000 + one.number}")


@kind(SOLD)
def credit_notes_that_name_an_invoice() -> Iterator[Row]:
    yield from taken_back(lambda one: f"{8000 + one.number}", Refers_to=("", lambda one: one.head["Order"]))


@kind(SOLD)
def a_quantity_below_0_beside_an_amount_above() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines(Qty=lambda one: one.quantity)
    for order in rest():
        yield from (line | {"Order": f"{8000 + order.number}"} for line in order.lines(Qty=lambda one: -one.quantity))


@kind(SOLD)
def an_amount_below_0_beside_a_quantity_above() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines(**PRICED)
    for order in rest():
        back = order.lines(Amount=lambda one: -one.amount, **PRICED)
        yield from (line | {"Order": f"{8000 + order.number}"} for line in back)


@kind(SOLD - worth(rest()))
def cancellations_and_new_bookings() -> Iterator[Row]:
    for order in ORDERS:
        yield from order.lines()
    for order in rest():
        for suffix, sign in (("S", -1), ("N", 1)):
            lines = order.lines(Amount=lambda one, sign=sign: sign * one.amount)
            yield from (line | {"Order": f"{line['Order']}-{suffix}"} for line in lines)


# ── units ──────────────────────────────────────────────────────────────────────────────────────────
def priced(lines: Callable[[Item], Row], *, amount: bool) -> Callable[[], Iterator[Row]]:
    """Return an export whose amounts are no plain products."""

    def made() -> Iterator[Row]:
        for order in ORDERS:
            for one, line in zip(order.items, order.lines(), strict=True):
                own = line | lines(one)
                yield own if amount else {name: value for name, value in own.items() if name != "Amount"}

    return made


UNITS: dict[str, Callable[[Item], Row]] = {
    "grams": lambda one: {"Weight (g)": one.quantity * 250, "Price per kg": one.price * 4},
    "a unit": lambda one: {"Qty": one.quantity * 250, "Unit": "g", "Price/kg": one.price * 4},
    "per 100": lambda one: {"Qty": one.quantity, "Unit price": one.price * 100, "Per": "100"},
    "some per 100": lambda one: {
        "Qty": one.quantity,
        "Unit price": one.price * (100 if one.quantity > 2 else 1),
        "Price unit": "100" if one.quantity > 2 else "1",
    },
    "packs": lambda one: {"Qty": one.quantity, "Pack size": "6", "Unit price": (one.price / 6).quantize(Decimal("0.000001"))},
}
for name, lines in UNITS.items():
    for amount in (True, False):
        KINDS[f"{name}, {'an' if amount else 'no'} amount"] = (priced(lines, amount=amount), (SOLD,))


UNITS_OF_A_PACK = {"Packs": lambda one: one.quantity, "Units per pack": lambda one: 6, "Price per unit": lambda one: one.price}


@kind()
def packs_of_six() -> Iterator[Row]:
    for order in ORDERS:
        yield from (order.head | {name: made(one) for name, made in UNITS_OF_A_PACK.items()} for one in order.items)


@kind(SOLD)
def kilograms_and_pieces() -> Iterator[Row]:
    for order in ORDERS:
        for one, line in zip(order.items, order.lines(**PRICED), strict=True):
            yield line | {"Unit": "kg" if one.quantity > 2 else "pcs"}


# ── lines that are no products ─────────────────────────────────────────────────────────────────────
@kind(SOLD)
def parts_of_a_set() -> Iterator[Row]:
    for order in ORDERS:
        for one, line in zip(order.items, order.lines(), strict=True):
            yield line | {"Parent SKU": ""}
            for part in "ab":
                yield line | {"SKU": f"{one.code}{part}", "Amount": f"{one.amount / 2:.3f}", "Parent SKU": one.code}


@kind(SOLD)
def parts_listed_below_a_set() -> Iterator[Row]:
    for order in ORDERS:
        for line in order.lines():
            yield line
            yield line | {"SKU": f"{line['SKU']}a", "Item": "- part"}


def extra(name: str, amount: Decimal = Decimal("4.90")) -> Callable[[], Iterator[Row]]:
    """Return an export with a line that is no product in half of the orders."""

    def made() -> Iterator[Row]:
        for order in ORDERS:
            yield from order.lines()
            if order.number % 2:
                yield order.line(name, amount)

    return made


for name in ("Shipping", "Versandkosten", "Frais de port", "Gastos de envío", "Gift card 25", "Geschenkgutschein", "Deposit",
             "Anzahlung", "Doprava PPL", "Standard shipping", "送料"):  # fmt: skip
    KINDS[f"line {name}"] = (extra(name), (SOLD,))


# ── discounts ──────────────────────────────────────────────────────────────────────────────────────
def reduced(name: str, shown: Callable[[int, Item], str], *, amount: bool) -> Callable[[], Iterator[Row]]:
    """Return an export with discounts of lines."""

    def made() -> Iterator[Row]:
        for order in ORDERS:
            for one in order.items:
                percent = 10 * (one.quantity % 3)
                left = (one.amount * (100 - percent) / 100).quantize(Decimal("0.01"))
                line = order.head | {"SKU": one.code, "Qty": one.quantity, "Price": one.price, name: shown(percent, one)}
                yield line | ({"Line total": left} if amount else {})

    return made


LEFT = sum(
    ((one.amount * (100 - 10 * (one.quantity % 3)) / 100).quantize(Decimal("0.01")) for order in ORDERS for one in order.items),
    Decimal(0),
)
DISCOUNTS: dict[str, tuple[str, Callable[[int, Item], str]]] = {
    "percent": ("Discount", lambda percent, one: str(percent)),
    "percent with its sign": ("Discount", lambda percent, one: f"{percent}%"),
    "share": ("Rabatt", lambda percent, one: f"{percent / 100}"),
    "money": ("Discount", lambda percent, one: f"{one.amount * percent / 100:.2f}"),
}
for name, (header, shown) in DISCOUNTS.items():
    for amount in (True, False):
        KINDS[f"discount in {name}, {'an' if amount else 'no'} amount"] = (reduced(header, shown, amount=amount), (LEFT,))


# ── who bought ─────────────────────────────────────────────────────────────────────────────────────
@kind()
def names_that_differ_by_case() -> Iterator[Row]:
    for order in ORDERS:
        name = f"Anna {'abcdefghijklmno'[order.number % 15]}miller"
        yield from (line | {"Customer": name.upper() if order.number % 4 else name} for line in order.lines())


RIGHT_AT_ONCE = {
    "items_alone", "subtotal_tax_and_total_by_name", "a_german_sum_with_a_code", "a_sum_in_an_unknown_language",
    "a_sum_with_quantity_and_price", "a_journal_of_a_till", "cash_and_change", "unknown_codes_of_a_journal", "payments_below_0",
    "sums_without_quantity_and_price", "credit_notes_of_two_letters", "credit_notes_by_their_number", "kilograms_and_pieces",
    "per 100, an amount", "some per 100, an amount", "packs, an amount", "discount in percent, an amount",
    "discount in share, an amount", "discount in money, an amount",
}  # fmt: skip


VARIANTS = {  # kinds that differ from another by a word or a number alone; `make test-long` tries them, too
    "a_german_sum_with_a_code", "a_sum_with_quantity_and_price", "cash_and_change", "credit_notes_by_a_letter",
    "credit_notes_by_their_number", "two_rates_of_a_tax", "grams, no amount", "a unit, an amount", "per 100, an amount",
    "some per 100, no amount", "packs, an amount", "discount in percent, no amount",
    "discount in percent with its sign, an amount", "discount in share, no amount", "discount in money, an amount",
    *(f"line {name}" for name in ("Shipping", "Frais de port", "Gastos de envío", "Geschenkgutschein", "Deposit", "Anzahlung",
                                  "Standard shipping", "送料")),
}  # fmt: skip


def often(*values: Any, rare: Iterable[Any]) -> list[Any]:
    """Return parameters, the rare ones for `make test-long` alone."""
    return [*values, *(pytest.param(*one, marks=pytest.mark.long) for one in rare)]


COMMON = [name for name in KINDS if name not in VARIANTS]
FURTHER = [pytest.param(name, marks=pytest.mark.whole) for name in COMMON[1::2]]  # in `make test-more`


@pytest.mark.parametrize("name", often(*COMMON[::2], *FURTHER, rare=[(name,) for name in sorted(VARIANTS)]))
def test_the_revenue_is_right_or_doubted(name, tmp_path: Path, monkeypatch):
    made, right = KINDS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exports").mkdir()
    pd.DataFrame(made()).to_csv("exports/sales.csv", index=False)
    found = check([str(tmp_path / "exports")], TODAY, {})
    said = [(one.weight, one.about, one.said, one.amount) for one in found.findings]
    assert found.status == (0 if name in RIGHT_AT_ONCE else 1), said
    assert found.status or found.trial and found.trial.revenue in right, said


# ── columns that tell what did not happen ──────────────────────────────────────────────────────────
def marked(column: str, value: str, usual: str = "") -> Profile:
    """Return the profile of an export with a column that is filled in some orders."""
    lines = [
        line | {column: value if order in rest() else usual}
        for order in ORDERS
        for line in order.lines(Qty=lambda one: one.quantity)
    ]
    return Profile(pd.DataFrame(lines).astype(str), ["sales.csv"], TODAY)


DAY = "2026-03-04"


@pytest.mark.parametrize(
    ("column", "value", "usual"),
    often(
        ("cancelled_at", f"{DAY} 10:00", ""), ("Stornodatum", "04.03.2026", ""), ("voided", "1", "0"),
        ("is_test", "true", "false"), ("Loeschkennzeichen", "X", ""), ("キャンセル日", DAY, ""),
        rare=[
            ("deleted_at", DAY, ""), ("Test order", "yes", ""), ("Annulée le", DAY, ""), ("Fecha de anulación", DAY, ""),
            ("Anulowano", DAY, ""), ("Дата отмены", DAY, ""), ("Training mode", "1", "0"),
        ],
    ),
)  # fmt: skip
def test_lines_that_a_column_marks_as_undone_do_not_count(column, value, usual):
    found = {one.setting: one.value for one in marked(column, value, usual).found if isinstance(one, Guess)}
    assert (found["columns.cancelled"], found["rules.cancellation"]) == (column, "flag")


@pytest.mark.parametrize(
    ("column", "value", "usual"),
    often(
        ("Qty Cancelled", "1", "0"), ("Chargeback date", DAY, ""), ("Voided by", "Maria", ""), ("Zwrot", "TAK", ""),
        ("Record state", "X", "A"), ("Dispute status", "lost", ""), ("Credit note no", "CN12", ""), ("Belegart", "GS", "RE"),
        rare=[
            ("Qty Refunded", "1", "0"), ("Returned quantity", "1", "0"), ("Rückgabemenge", "1", "0"), ("Sample", "Y", ""),
            ("Cancel reason", "too late", ""), ("Status flag", "D", ""), ("Order state", "C", ""), ("Exchange for", "A-1", ""),
            ("Payment state of the order", "open", "paid"), ("Payment method", "Test", "card"),
        ],
    ),
)  # fmt: skip
def test_what_a_column_tells_is_doubted_with_its_money(column, value, usual):
    profile = marked(column, value, usual)
    amounts = [one.amount for one in profile.doubts if one.about == "kinds"]
    assert amounts == [worth(rest())] or [one.setting for one in profile.questions] == ["rules.sold"]


@pytest.mark.parametrize(
    ("column", "value", "usual"),
    often(
        ("Payment type", "cash", "card"), ("Returning customer", "yes", "no"), ("Fulfillment status", "shipped", "delivered"),
        ("Shipping state", "CA", "NY"), ("Cancelled", "no", "no"), ("Latest price", "1", "2"),
        rare=[
            ("Customer type", "B2B", "private"), ("Returnable", "yes", "no"), ("Order type", "online", "store"),
            ("Colour", "red", "blue"),
            ("Delivery state", "pending", "delivered"),
        ],
    ),
)  # fmt: skip
def test_what_says_nothing_about_a_sale_is_no_doubt(column, value, usual):
    profile = marked(column, value, usual)
    assert (profile.doubts, profile.questions) == ([], [])


# ── patterns ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("extra", ["Tip", "Sales tax"])
def test_patterns_of_sums_and_extras_are_one(extra):
    rows = [row for order in ORDERS for row in (*order.lines(), order.line("Sales tax", order.total / 9))]
    rows += [order.line(extra, Decimal(2)) for order in ORDERS[::3]]
    profile = Profile(pd.DataFrame([row | {"SKU": ""} for row in rows], dtype=str), today=TODAY)
    (found,) = [one.value for one in profile.found if isinstance(one, Guess) and one.setting == "rules.other_lines"]
    assert re.search(found, "SALES TAX 8%")
    assert found.count("(?i)") == 1
    assert found.count("tax") == 1


# ── states under any name ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("header", "usual", "other", "found"),
    [
        ("Result", "SUCCESS", "FAIL", "columns.status"),
        ("Outcome", "Approved", "Declined", "columns.status"),
        ("Canc", "", "X", "columns.cancelled"),
        ("Stor.", "", "X", "columns.cancelled"),
        ("Colour", "Red", "Blue", ""),
        ("Delivery", "Delivered", "Pending", ""),
    ],
)
def test_states_are_known_by_their_values(header, usual, other, found):
    rows = [{"SKU": "", **order.line("Mug", order.total), header: other if order in rest() else usual} for order in ORDERS]
    profile = Profile(pd.DataFrame(rows, dtype=str), today=TODAY)
    chosen = {one.setting: one.value for one in profile.found if isinstance(one, Guess)}
    assert [name for name in ("columns.status", "columns.cancelled") if chosen.get(name) == header] == [found] * bool(found)
