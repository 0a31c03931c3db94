"""What a line means, by the settings of a shop: what was sold, paid back, reduced, and what it counts; on each engine."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfm.analysis.cleaning import clean
from rfm.analysis.metrics import rfm_metrics
from rfm.contracts import BRONZE, TABLES
from rfm.dialect import EXTRA_KEYS, Columns, Customers, Dialect, Format, Rules
from tests.conftest import ARRIVAL, ENGINES, Engine

NEUTRAL = {"stock_code_pattern": "", "invoice_pattern": ".", "cancellation": "negative", "code_required": False}
LINE = {
    "Invoice": "1",
    "StockCode": "TEA",
    "Description": "Tea",
    "Quantity": "2",
    "Price": "5.00",
    "CustomerID": "ann",
    "Country": "Eire",
    "InvoiceDate": "2025-06-26",
} | ARRIVAL
D = dt.date(2025, 12, 31)
each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))


@pytest.fixture(params=["polars", pytest.param("pandas", marks=pytest.mark.long)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Run a test in Polars; that pandas says the same of any lines, a test below shows for less."""
    return ENGINES[request.param]


def rules(**given: Any) -> Rules:
    return Rules(**{**NEUTRAL, **given})


def shop(columns: dict[str, str] | None = None, **given: Any) -> Dialect:
    return Dialect(columns=Columns(**(columns or {})), **{"rules": rules(), **given})


def line(_extra: dict[str, str] | None = None, **change: str | None) -> dict[str, Any]:
    return LINE | {"_rescued_data": json.dumps(_extra, ensure_ascii=False) if _extra else None} | change


def cleaned(engine: Engine, dialect: Dialect, *lines: dict[str, Any], **more: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    silver, quarantine = clean(engine.frame(list(lines)), dialect=dialect, **more)
    found = engine.collect(silver), engine.collect(quarantine)
    assert len(found[0]) + len(found[1]) == len(lines)
    return found


def kept(engine: Engine, dialect: Dialect, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    silver, quarantine = cleaned(engine, dialect, *lines)
    assert quarantine["failed_expectations"].to_list() == []
    return silver.to_dicts()


def spent(engine: Engine, dialect: Dialect, *lines: dict[str, Any], pattern: str = "") -> Decimal:
    silver = pl.DataFrame(kept(engine, dialect, *lines))
    gold = rfm_metrics(silver, D, stock_code_pattern=pattern, revenue=dialect.rules.revenue)
    return sum(gold["Monetary"], Decimal(0))


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────
PLAIN, EUROPE, US, INDIA = Format(), Format(decimal=",", thousands="."), Format(thousands=","), Format(thousands=",")
SHAPES = [
    (PLAIN, "12.50", "12.50"),
    (PLAIN, "(12.50)", "-12.50"),
    (PLAIN, "12.50-", "-12.50"),
    (PLAIN, "\u221212.50", "-12.50"),
    (PLAIN, "\u201312.50", "-12.50"),
    (PLAIN, "'-12.50", "-12.50"),
    (PLAIN, "'12.50", "12.50"),
    (PLAIN, "+12.50", "12.50"),
    (PLAIN, "$12.50", "12.50"),
    (PLAIN, "-$12.50", "-12.50"),
    (PLAIN, "$-12.50", "-12.50"),
    (PLAIN, "($12.50)", "-12.50"),
    (PLAIN, "US$ 12.50", "12.50"),
    (PLAIN, "12.50 kr.", "12.50"),
    (PLAIN, "Rs.12.50", "12.50"),
    (PLAIN, "CHF 12.50", "12.50"),
    (PLAIN, "12.50\u00a0z\u0142", "12.50"),
    (PLAIN, "12.-", "12.00"),
    (PLAIN, ".50", "0.50"),
    (PLAIN, "-.50", "-0.50"),
    (PLAIN, "\x0012.50", "12.50"),
    (PLAIN, "1,250.00", None),
    (PLAIN, "12-50", None),
    (PLAIN, "5\u20ac50", None),
    (PLAIN, "--5", None),
    (PLAIN, "-(5)", None),
    (PLAIN, "3 pcs", "3.00"),
    (PLAIN, "2x", "2.00"),
    (PLAIN, "5 apples", None),
    (PLAIN, "-", None),
    (EUROPE, "R$ 1.234,50", "1234.50"),
    (EUROPE, "1.234,50-", "-1234.50"),
    (EUROPE, "(1.234,50 \u20ac)", "-1234.50"),
    (EUROPE, "12,-", "12.00"),
    (EUROPE, "12,5 Stk.", "12.50"),
    (EUROPE, "12,50- EUR", "-12.50"),
    (EUROPE, "1,234.50", None),
    (US, "$1,234.50", "1234.50"),
    (US, "(1,234.50)", "-1234.50"),
    (INDIA, "\u20b91,23,456.00", "123456.00"),
    (INDIA, "1,23,45,678.00", "12345678.00"),
    (INDIA, "1,2,3456.00", None),
]


@pytest.mark.parametrize("form", [PLAIN, EUROPE, US], ids=["plain", "europe", "us"])
def test_shapes_of_numbers_with_every_sign(engine: Engine, form: Format) -> None:
    shapes = [(text, value) for of, text, value in SHAPES if of == form]
    lines = [line(Quantity="1", Price=text, Invoice=str(place)) for place, (text, _) in enumerate(shapes)]
    silver, quarantine = cleaned(engine, shop(format=form), *lines)
    found = {int(row["InvoiceNo"]): str(row["TotalPrice"]) for row in silver.to_dicts()}
    assert {place: found.get(place) for place in range(len(shapes))} == {place: value for place, (_, value) in enumerate(shapes)}
    assert len(quarantine) == sum(value is None for _, value in shapes)


def test_prices_of_four_decimals_are_multiplied_first(engine: Engine) -> None:
    lines = [line(Quantity="2000", Price="0.0125"), line(Quantity="-3", Price="0.0050"), line(Quantity="3", Price="1.005")]
    totals = [str(row["TotalPrice"]) for row in kept(engine, shop(format=Format(price_decimals=4)), *lines)]
    assert totals == ["25.00", "-0.02", "3.02"]
    assert [str(row["TotalPrice"]) for row in kept(engine, shop(), *lines)] == ["20.00", "-0.03", "3.03"]


def test_a_weighed_line_is_one_piece_at_its_amount(engine: Engine) -> None:
    lines = [line(Quantity="0.350", Price="12.90"), line(Quantity="-1.5", Price="2.01"), line(Quantity="3", Price="2.00")]
    found = kept(engine, shop(format=Format(fractions=True)), *lines)
    assert [(row["Quantity"], str(row["UnitPrice"]), str(row["TotalPrice"])) for row in found] == [
        (1, "4.52", "4.52"),
        (-1, "3.02", "-3.02"),
        (3, "2.00", "6.00"),
    ]
    assert cleaned(engine, shop(), lines[0])[1]["failed_expectations"].to_list() == ["valid_quantity"]


# ── dates ──────────────────────────────────────────────────────────────────────────────────────────
DATES = [
    (Format(date="serial"), "45834", "2025-06-26"),
    (Format(date="serial"), "45834.75", "2025-06-26"),
    (Format(date="serial"), "60", None),
    (Format(date="epoch"), "1750896000", "2025-06-26"),
    (Format(date="epoch_ms"), "1750982399999", "2025-06-26"),
    (Format(date="epoch", timezone="Europe/Berlin"), "1750975200", "2025-06-27"),
    (Format(date="%G-W%V"), "2025-W26", "2025-06-23"),
    (Format(date="%G-W%V"), "2026W01", "2025-12-29"),
    (Format(date="%G-W%V", timezone="Europe/Berlin"), "2025-W26", "2025-06-23"),
    (Format(date="%d.%m.%Y", also=("%Y-%m-%d", "serial")), "26.06.2025", "2025-06-26"),
    (Format(date="%d.%m.%Y", also=("%Y-%m-%d", "serial")), "2025-06-26 10:00", "2025-06-26"),
    (Format(date="%d.%m.%Y", also=("%Y-%m-%d", "serial")), "45834", "2025-06-26"),
    (Format(date="%d.%m.%Y", also=("%Y-%m-%d",)), "6/26/2025", None),
    (Format(date="%d %b %Y", months="pl"), "26 czerwca 2025", "2025-06-26"),
    (Format(date="%d %b %Y", months="pl"), "1 Maj 2025", "2025-05-01"),
    (Format(date="%d %b %Y", months="tr"), "26 Haz 2025", "2025-06-26"),
    (Format(date="%d %b %Y", months="ru"), "26 \u0438\u044e\u043d\u044f 2025", "2025-06-26"),
    (Format(date="%d %b %Y", months="fi"), "26 maaliskuuta 2025", "2025-03-26"),
    (Format(date="%d %b %Y", months="pl"), "26 June 2025", None),
    (Format(), "1900-01-01", None),
    (Format(), "9999-12-31 00:00:00", None),
    (Format(), "0000-00-00", None),
    (Format(date="%d.%m.%Y"), "01.01.1970", None),
]


def by_first(rows: list[tuple[Any, str, str | None]]) -> Iterator[tuple[Any, list[tuple[str, str | None]]]]:
    """Yield what stands first in rows, each once, with the rest of its rows: they are cleaned together."""
    for first in dict.fromkeys(row[0] for row in rows):
        yield first, [row[1:] for row in rows if row[0] == first]


@each_engine
def test_dates_of_many_kinds(engine: Engine) -> None:
    for form, texts in by_first(DATES):
        lines = [line(InvoiceDate=text, Invoice=str(place)) for place, (text, _) in enumerate(texts)]
        silver, quarantine = cleaned(engine, shop(format=form), *lines)
        found = {int(row["InvoiceNo"]): str(row["InvoiceDate"]) for row in silver.to_dicts()}
        assert [(text, found.get(place)) for place, (text, _) in enumerate(texts)] == texts
        assert set(quarantine["failed_expectations"]) <= {"valid_invoice_date"}


def test_kept_month_names_are_those_of_the_cldr() -> None:
    from babel import Locale

    from rfm.dialect import month_names

    for language, months in month_names().items():
        known = Locale.parse(language).months
        for number, names in enumerate(months, 1):
            wanted = {known[kind][width][number] for kind in ("format", "stand-alone") for width in ("wide", "abbreviated")}
            assert (language, set(names.split("|"))) == (language, {name.lower().rstrip(".").strip() for name in wanted})


# ── customers ──────────────────────────────────────────────────────────────────────────────────────
IDS = [
    (Customers(), "13085.0", "13085"),
    (Customers(), "NULL", None),
    (Customers(), r"\N", None),
    (Customers(), "#N/A", None),
    (Customers(), " - ", None),
    (Customers(), "\x0017\x00", "17"),
    (Customers(), "Ann@Shop.com", "Ann@Shop.com"),
    (Customers(nobody=("Walk-in Customer", "0")), "WALK-IN customer ", None),
    (Customers(nobody=("Walk-in Customer", "0")), "0.0", None),
    (Customers(nobody=("Walk-in Customer", "0")), "10", "10"),
    (Customers(compare="case"), " Ann@Shop.com", "ann@shop.com"),
    (Customers(compare="case"), "Ann M. <Ann@Shop.com>", "ann@shop.com"),
    (Customers(compare="case"), "mailto:ann@shop.com", "ann@shop.com"),
    (Customers(compare="case"), "Ann <3", "ann <3"),
    (Customers(compare="phone", country_prefix="49"), "+49 (0)30 901-820", "+4930901820"),
    (Customers(compare="phone", country_prefix="49"), "0049 30 901820", "+4930901820"),
    (Customers(compare="phone", country_prefix="49"), "030/901820", "+4930901820"),
    (Customers(compare="phone", country_prefix="49"), "+33 1 4020 5050", "+33140205050"),
    (Customers(compare="phone"), "030 901 820", "030901820"),
    (Customers(compare="phone"), "K-17 Miller", "K-17 Miller"),
    (Customers(width=6), "123", "000123"),
    (Customers(width=6), "A12", "A12"),
]


@each_engine
def test_ids_that_mean_the_same_customer(engine: Engine) -> None:
    for customers, texts in by_first(IDS):
        found = kept(engine, shop(customers=customers), *(line(CustomerID=text) for text, _ in texts))
        assert [(text, row["CustomerID"]) for (text, _), row in zip(texts, found, strict=True)] == texts


# ── what was sold ──────────────────────────────────────────────────────────────────────────────────
STATUS = rules(sold=("Paid", ""), not_sold=("failed",), refunds=("refund",), revenue="net")


def test_status_decides_what_counts(engine: Engine) -> None:
    states = ["PAID ", "", "Failed", "refund", "who knows"]
    lines = [line({"_status": state}, Invoice=str(place)) for place, state in enumerate(states)]
    silver, quarantine = cleaned(engine, shop({"status": "State"}, rules=STATUS), *lines)
    found = [(row["IsCancellation"], row["Quantity"], str(row["TotalPrice"])) for row in silver.sort("InvoiceNo").to_dicts()]
    assert found == [(False, 2, "10.00"), (False, 2, "10.00"), (True, 2, "10.00"), (True, -2, "-10.00")]
    assert quarantine["failed_expectations"].to_list() == ["known_status"]
    assert str(rfm_metrics(silver, D, stock_code_pattern="", revenue="net")["Monetary"][0]) == "10.00"


def test_status_and_type_are_both_asked(engine: Engine) -> None:
    pairs = [("paid", "refund"), ("failed", "refund"), ("paid", "paid"), ("paid", "gift")]
    lines = [line({"_status": one, "_line_type": other}, Invoice=str(place)) for place, (one, other) in enumerate(pairs)]
    silver, quarantine = cleaned(engine, shop({"status": "State", "line_type": "Type"}, rules=STATUS), *lines)
    assert [str(total) for total in silver.sort("InvoiceNo")["TotalPrice"]] == ["-10.00", "10.00", "10.00"]
    assert len(quarantine) == 1


@pytest.mark.parametrize(("quantity", "price"), [("2", "5"), ("-2", "5"), ("2", "-5"), ("-2", "-5")])
def test_refunds_take_off_whatever_their_sign(engine: Engine, quantity: str, price: str) -> None:
    back = line({"_line_type": "Refund"}, Quantity=quantity, Price=price)
    [found] = kept(engine, shop({"line_type": "Type"}, rules=STATUS), back)
    assert (found["Quantity"], str(found["UnitPrice"]), str(found["TotalPrice"])) == (-2, "5.00", "-10.00")


def test_a_negative_price_is_a_return_too(engine: Engine) -> None:
    dialect = shop(rules=rules(revenue="net"))
    assert spent(engine, dialect, line(), line(Quantity="1", Price="-3.00")) == Decimal("7.00")
    assert spent(engine, shop(), line(), line(Quantity="1", Price="-3.00")) == Decimal("10.00")


def test_forged_keys_in_other_columns_mean_nothing(engine: Engine) -> None:
    forged = {"_status": "paid", "note": 'x", "_status": "failed', "_status ": "failed"}
    [found] = kept(engine, shop({"status": "State"}, rules=STATUS), line(forged))
    assert not found["IsCancellation"]
    silver, _ = cleaned(engine, shop({"status": "State"}, rules=STATUS), line({"note": '", "_status": "paid'}))
    assert not silver["IsCancellation"].any()


# ── amounts of orders, discounts, other lines ──────────────────────────────────────────────────────
def test_the_total_of_an_order_counts_once(engine: Engine) -> None:
    lines = [line({"_order_line": str(place)}, Price="30.00", Quantity=str(place)) for place in (1, 2, 3)]
    assert spent(engine, shop(rules=rules(order_total=True)), *lines) == Decimal("30.00")


@pytest.mark.parametrize(("amount", "left"), [("2.50", "17.50"), ("25", "0.00"), ("", "20.00"), ("-2.50", "17.50")])
def test_amounts_paid_back_are_taken_off_net(engine: Engine, amount: str, left: str) -> None:
    lines = [line({"_refunded": amount, "_order_line": str(place)}) for place in (1, 2)]
    columns = {"refunded": "Refunded"}
    assert spent(engine, shop(columns, rules=rules(revenue="net")), *lines) == Decimal(left)
    assert spent(engine, shop(columns), *lines) == Decimal("20.00")


def test_discounts_of_orders_and_of_lines(engine: Engine) -> None:
    lines = [line({"_discount": "12.00", "_order_line": str(place)}) for place in (1, 2)]
    columns = {"discount": "Discount"}
    assert spent(engine, shop(columns), *lines) == Decimal("8.00")
    assert spent(engine, shop(columns, rules=rules(order_amounts=False)), *lines) == Decimal("0.00")
    _, refused = cleaned(engine, shop(columns), line({"_discount": "10 %"}))
    assert refused["failed_expectations"].to_list() == ["valid_amounts"]


def test_discount_lines_lower_their_order(engine: Engine) -> None:
    dialect = shop(rules=rules(discount_pattern="(?i)^(?:disc|voucher)"))
    minus = line(StockCode=None, Description="Voucher SUMMER", Quantity="1", Price="-4.00")
    *_, found = kept(engine, dialect, line(), minus)
    assert (found["StockCode"], found["Quantity"], str(found["TotalPrice"]), found["IsCancellation"]) == (
        "DISCOUNT",
        1,
        "-4.00",
        False,
    )
    assert spent(engine, dialect, line(), minus) == Decimal("6.00")
    assert spent(engine, dialect, line(), minus | {"Price": "-40.00"}) == Decimal("0.00")
    assert spent(engine, dialect, line(), minus | {"Price": "4.00"}) == Decimal("14.00")


def test_lines_that_are_no_products(engine: Engine) -> None:
    dialect = shop(rules=rules(other_lines="(?i)shipping|^GIFT"))
    lines = [line(), line(StockCode="S1", Description="Shipping cost"), line(StockCode="GIFT-50")]
    assert [row["StockCode"] for row in kept(engine, dialect, *lines)] == ["TEA", "~", "~"]
    assert spent(engine, dialect, *lines, pattern="[^~]") == Decimal("10.00")


def test_a_line_without_code_counts_if_none_is_required(engine: Engine) -> None:
    assert [row["StockCode"] for row in kept(engine, shop(), line(StockCode=None))] == ["-"]
    _, refused = cleaned(engine, shop(rules=rules(code_required=True)), line(StockCode=None))
    assert refused["failed_expectations"].to_list() == ["valid_stock_code"]


# ── order numbers, currencies ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("restarts", "numbers"), [("never", 1), ("year", 2), ("month", 3), ("day", 4)])
def test_order_numbers_that_start_again(engine: Engine, restarts: str, numbers: int) -> None:
    days = ["2024-06-26", "2025-06-26", "2025-07-01", "2025-07-02"]
    found = kept(engine, shop(rules=rules(invoice_restarts=restarts)), *(line(InvoiceDate=day) for day in days))
    assert len({row["InvoiceNo"] for row in found}) == numbers


def test_each_store_has_its_own_order_numbers(engine: Engine) -> None:
    lines = [line({"_store": store}) for store in ("M1", "M2", "")]
    found = kept(engine, shop({"store": "Till"}, rules=rules(invoice_restarts="year")), *lines)
    assert [row["InvoiceNo"] for row in found] == ["1 2025 M1", "1 2025 M2", "1 2025"]


def test_currencies_are_never_added_up(engine: Engine) -> None:
    dialect = shop({"currency": "Currency"}, currencies={"EUR": 1.0, "USD": 0.915})
    lines = [line({"_currency": code}, Invoice=code or "-") for code in ("EUR", "usd", "GBP", "")]
    silver, quarantine = cleaned(engine, dialect, *lines)
    assert [str(total) for total in silver.sort("InvoiceNo")["TotalPrice"]] == ["10.00", "9.15"]
    assert quarantine["failed_expectations"].to_list() == ["known_currency"] * 2


# ── everything at once ─────────────────────────────────────────────────────────────────────────────
TEXT = st.sampled_from(
    ["", "1", "-2", "(3.50)", "0.5", "x", "refund", "failed", "paid", "EUR", "NULL", "2025-06-26", "Voucher", "1,5-"]
)
LINES = st.fixed_dictionaries({name: st.none() | TEXT for name in LINE if name not in ARRIVAL} | {
    "_rescued_data": st.fixed_dictionaries(dict.fromkeys([*EXTRA_KEYS.values(), "_order_line"], TEXT)).map(json.dumps)
})  # fmt: skip
ALL = Dialect(
    columns=Columns(**{name: name.title() for name in EXTRA_KEYS}),
    format=Format(date="%d.%m.%Y", also=("%Y-%m-%d", "serial"), price_decimals=4, fractions=True, decimal=",", thousands="."),
    rules=rules(
        cancellation="flag", sold=("paid", ""), not_sold=("failed",), refunds=("refund",), discount_pattern="Voucher",
        other_lines="x", order_total=True, invoice_restarts="month", revenue="net",
    ),
    customers=Customers(nobody=("1",), compare="phone", country_prefix="49", width=5),
    currencies={"EUR": 1.0, "": 2.0},
)  # fmt: skip


OTHER = Dialect(  # what the first leaves out
    columns=ALL.columns,
    rules=rules(sold=("paid", "EUR", "1", ""), order_amounts=False, discount_pattern="1", invoice_restarts="year"),
    customers=Customers(compare="case"),
    currencies={"EUR": 1.0, "": 2.0, "1": 0.5},
)


@settings(max_examples=settings.default.max_examples // 4)
@given(st.lists(LINES.map(lambda one: ARRIVAL | one), min_size=1, max_size=20))
def test_nothing_is_lost_whatever_the_settings(lines: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(lines, schema=TABLES[BRONZE].polars, orient="row")
    for dialect in (ALL, shop(), Dialect()):
        silver, quarantine = clean(frame, dialect=dialect)
        assert len(silver) + len(quarantine) == len(lines)
        assert set(silver.filter(~pl.col("IsCancellation") & (pl.col("StockCode") != "DISCOUNT"))["Quantity"] > 0) <= {True}


@pytest.mark.whole
@settings(max_examples=max(settings.default.max_examples // 12, 2))  # of many lines: a call has its price
@given(st.lists(LINES.map(lambda one: ARRIVAL | one), min_size=60, max_size=90))
def test_pandas_says_the_same_whatever_the_settings(lines: list[dict[str, Any]]) -> None:
    for dialect in (ALL, OTHER):
        found, wanted = (cleaned(ENGINES[name], dialect, *lines) for name in ("pandas", "polars"))
        assert [one.to_dicts() for one in found] == [one.to_dicts() for one in wanted]
