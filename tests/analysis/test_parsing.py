"""Other people's files: any columns, dates and numbers, from raw file to gold, added up by hand; no cent is lost."""

from __future__ import annotations

import csv
import datetime as dt
import hmac
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfm.analysis import quality
from rfm.analysis.cleaning import SEVERITIES, clean, judge
from rfm.analysis.metrics import rfm_metrics
from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.dialect import LANDING_COLUMNS, RAW, Columns, Dialect, Format, Rules, plain_name
from rfm.errors import InputError, SettingsError
from rfm.lake.tables import Lake
from rfm.landing.csv import parse
from rfm.landing.decode import Mask
from rfm.pipeline import release
from rfm.pipeline.backfill import backfill
from rfm.settings import Settings, load_settings
from tests import shop as run_shop
from tests.analysis.test_engines import assert_same
from tests.conftest import ARRIVAL, ENGINES, QUERY_ENGINES, Engine

D = dt.date(2026, 1, 5)
FEW = settings(max_examples=settings.default.max_examples // 5)  # of many values each
LINE = dict(zip(RAW, ["489434", "85048", "BALL", "12", "6.95", "13085.0", "EIRE", "2025-06-26"], strict=True)) | ARRIVAL


# ── shops, from raw file to gold ───────────────────────────────────────────────────────────────────
class Shop(NamedTuple):
    """A shop: its file, what its rfm.toml says, its customers (recency, frequency, monetary) and why lines were refused."""

    file: str
    settings: dict[str, Any]
    gold: dict[str, tuple[int, int, str]]
    refused: list[str] = []
    encoding: str = "utf-8"


EXAMPLE_RULES = {  # a shop with headers of its own has to name them
    name: getattr(Rules(), name) for name in ("stock_code_pattern", "invoice_pattern", "cancellation", "cancellation_pattern")
}
SHOPS = {
    "German export": Shop(
        # 2 · 1.234,50 + 1 · 0,005 → 2469.00 + 0.01; Müller's 3 · 9,99 = 29.97; C1003 is a cancellation; 30.02. is no day
        """Rechnungs-Nr;Artikel;Bezeichnung;Menge;Einzelpreis;Kunde;Land;Rechnungsdatum
100001;12345;Stühle für Gäste;2;1.234,50;K1;Österreich;31.12.2025
100001;12346;Kleber;1;0,005;K1;Österreich;31.12.2025
100002;12345a;Löffel;3;9,99;Müller;Deutschland;1.1.2026 10:15
C10003;12345;Stühle;-1;1.234,50;K1;Österreich;02.01.2026
100004;12345;Stühle;1;1.234,50;K1;Österreich;30.02.2026
100005;12345;Stühle;1;1234.50;K1;Österreich;03.01.2026
100006;PORTO;Versand;1;4,90;K1;Österreich;03.01.2026
""",
        {
            "columns": {
                "invoice": "Rechnungs-Nr",
                "stock_code": "Artikel",
                "description": "Bezeichnung",
                "quantity": "Menge",
                "price": "Einzelpreis",
                "customer_id": "Kunde",
                "country": "Land",
                "invoice_date": "Rechnungsdatum",
            },
            "format": {"date": "%d.%m.%Y", "decimal": ",", "thousands": "."},
            "rules": EXAMPLE_RULES,
        },
        {"K1": (5, 1, "2469.01"), "Müller": (4, 1, "29.97")},
        ["valid_quantity", "valid_invoice_date", "valid_unit_price"],
        "cp1252",
    ),
    "US export, returns below 0, net": Shop(
        # ann 1,250.00 + 2 · 10.00 − 1 · 10.00 = 1,260.00, the return is no purchase; bob gave back more than he bought here
        """Order ID,SKU,Qty,Unit Price,E-mail,Order Date
#1,TEA-1,1,"1,250.00",ann@example.com,12/31/2025 11:30 PM
#2,TEA-2,2,10.00,ann@example.com,1/2/2026
#3,TEA-2,-1,10.00,ann@example.com,1/4/2026
#4,TEA-2,1,10.00,bob@example.com,1/3/2026
#5,TEA-2,-3,10.00,bob@example.com,1/3/2026
#6,TEA-2,-3,10.00,cid@example.com,1/3/2026
#7,,1,10.00,dot@example.com,1/3/2026
""",
        {
            "columns": {
                "invoice": "Order ID",
                "stock_code": "SKU",
                "description": "",
                "quantity": "Qty",
                "price": "Unit Price",
                "customer_id": "E-mail",
                "country": "",
                "invoice_date": "Order Date",
            },
            "format": {"date": "%m/%d/%Y", "thousands": ","},
            "rules": {
                "invoice_pattern": "^#[0-9]+$",
                "cancellation": "negative",
                "revenue": "net",
                "stock_code_pattern": "^TEA",
                "code_required": True,
            },
        },
        {"ann@example.com": (3, 2, "1260.00"), "bob@example.com": (2, 1, "0.00")},
        ["valid_stock_code"],
    ),
    "orders without lines, a flag": Shop(
        # A 20.5 + 30 = 50.50 on two orders of one day; the cancelled 99 does not count; B 0.10
        """order;status;total;client;created
1;ok;20.5;A;2026-01-04T08:00:00
2;;30;A;2026-01-04T18:00:00
3;Cancelled;99;A;2026-01-05
4;ok;0.10;B;2026-01-01
""",
        {
            "columns": {
                "invoice": "order",
                "stock_code": "",
                "description": "",
                "quantity": "",
                "price": "total",
                "customer_id": "client",
                "country": "",
                "invoice_date": "created",
                "cancelled": "status",
            },
            "rules": {"invoice_pattern": "^[0-9]+$", "cancellation": "flag"},
        },
        {"A": (1, 2, "50.50"), "B": (4, 1, "0.10")},
    ),
    "customer, date, amount": Shop(
        # 00001: 11.77 + 5.00 on one day, so one purchase, and 12.00 of the year before; C9 does not start a cancellation
        """id date amount
00001 19970101 11.77
00001 19970101 5.00
00001 19961231 12.00
C9 19970103 0.99
00003 19970103 -7.00
""".replace(" ", "\t"),
        {
            "columns": {
                **dict.fromkeys(["invoice", "stock_code", "description", "quantity", "country"], ""),
                "customer_id": "ID",
                "invoice_date": "Date",
                "price": "Amount",
            },
            "format": {"date": "%Y%m%d"},
            "rules": {"cancellation": "none"},
        },
        {"00001": (10596, 2, "28.77"), "C9": (10594, 1, "0.99")},
        ["valid_unit_price"],
    ),
    "customer, date, amount, returns below 0, net": Shop(
        # 10 + 10 − 4.50, taken off although it came back on another day
        "who|when|what\nA|31-Dec-25|10\nA|1-Jan-26|10\nA|02-January-26|-4.5\n",
        {
            "columns": {
                **dict.fromkeys(["invoice", "stock_code", "description", "quantity", "country"], ""),
                "customer_id": "who",
                "invoice_date": "when",
                "price": "what",
            },
            "format": {"date": "%d-%b-%y"},
            "rules": {"cancellation": "negative", "revenue": "net"},
        },
        {"A": (4, 2, "15.50")},
    ),
    "everything at once": Shop(
        # A: 1.000,00 + 0,01 − 0,50, of which 999 is flagged; 23:30 in UTC is the next day in Berlin; B was flagged alone
        """Kunde;Betrag;Zeit;Storno
A;1.000,00;31.Dez.25 23:30;
A;0,005;02.Jan.26 10:00+01:00;nein
A;999,00;02.Jan.26 10:00Z;Ja
A;-0,50;03.Jan.26;ja
A;1000.00;03.Jan.26;
B;5,00;03.Jan.26;wahr
""",
        {
            "columns": {
                **dict.fromkeys(["invoice", "stock_code", "description", "quantity", "country"], ""),
                "customer_id": "Kunde",
                "price": "Betrag",
                "invoice_date": "Zeit",
                "cancelled": "Storno",
            },
            "format": {"date": "%d.%b.%y", "decimal": ",", "thousands": ".", "timezone": "Europe/Berlin"},
            "rules": {"cancellation": "flag", "revenue": "net"},
        },
        {"A": (3, 2, "999.51")},
        ["valid_unit_price"],
    ),
}
each_shop = pytest.mark.parametrize("shop", SHOPS.values(), ids=list(SHOPS))


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where no rfm.toml lies."""
    monkeypatch.chdir(tmp_path)


def bronze_of(shop: Shop, settings: Settings) -> list[dict[str, Any]]:
    """Return the rows of bronze that a shop's file gives."""
    raw = shop.file.encode(shop.encoding)
    rows = parse(raw, "sales.csv", settings.files.encoding, settings.files.separator, settings.columns).to_pylist()
    return [row | {name: value for name, value in ARRIVAL.items() if name not in row} for row in rows]


@each_shop
def test_a_shop_from_raw_file_to_gold(shop: Shop) -> None:
    settings = load_settings(**shop.settings)
    lines, rules = bronze_of(shop, settings), settings.rules
    for engine in ENGINES.values():
        silver, quarantine = map(engine.collect, clean(engine.frame(lines), dialect=settings.dialect))
        found = rfm_metrics(engine.load(silver), D, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue)
        customers = {row["CustomerID"]: row for row in engine.collect(found).to_dicts()}
        wanted = {name: (days, times, Decimal(spent)) for name, (days, times, spent) in shop.gold.items()}
        assert {name: (row["Recency"], row["Frequency"], row["Monetary"]) for name, row in customers.items()} == wanted
        assert quarantine["failed_expectations"].to_list() == shop.refused
        assert len(silver) + len(quarantine) == len(lines)


@pytest.mark.parametrize("name", ["duckdb", pytest.param("spark", marks=pytest.mark.long)])
def test_every_engine_says_the_same_of_a_shop_with_everything(name: str) -> None:
    shop = SHOPS["everything at once"]
    settings = load_settings(**shop.settings | {"format": shop.settings["format"] | {"timezone": ""}})
    found, wanted = (cleaned(engine, bronze_of(shop, settings), settings) for engine in (QUERY_ENGINES[name], ENGINES["polars"]))
    assert_same(found, wanted)


def cleaned(engine: Engine, lines: list[dict], settings: Settings) -> dict[str, pl.DataFrame]:
    """Return silver, quarantine and gold of a shop's lines, by name."""
    rules = settings.rules
    silver, quarantine = map(engine.collect, clean(engine.frame(lines), dialect=settings.dialect))
    gold = rfm_metrics(engine.load(silver), D, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue)
    return {"silver": silver, "quarantine": quarantine, "gold": engine.collect(gold)}


def measured(lines: list[dict], settings: Settings) -> dict[str, pl.DataFrame]:
    """Return silver and the quality tables of a shop's lines, by name."""
    engine = ENGINES["polars"]
    bronze, dialect = engine.frame(lines), settings.dialect
    judged, silver = engine.collect(judge(bronze, dialect=dialect)), engine.collect(clean(bronze, dialect=dialect)[0])
    counted = quality.measure(engine.load(judged), engine.load(silver), SEVERITIES)
    return {"silver": silver} | {name: engine.collect(frame) for name, frame in counted.items()}


def test_what_the_files_do_not_have_is_not_held_against_them() -> None:
    shop = SHOPS["customer, date, amount"]
    settings = load_settings(**shop.settings)
    made = measured(bronze_of(shop, settings), settings)
    broken = {row["expectation"]: row["failed"] for row in made["expectation_results"].to_dicts() if row["failed"]}
    assert broken == {"valid_unit_price": 1, "unique_surrogate_key": 1}  # two purchases of a customer on a day are alike
    (counts,) = made["bronze_daily_quality"].to_dicts()
    assert (counts["null_invoices"], counts["null_stock_codes"], counts["bad_quantities"], counts["bad_price"]) == (0, 0, 0, 1)
    assert counts["rescued_data_quality_score"] == 100
    faults = made["bronze_silver_dq_comparison"].filter(layer="bronze").drop("processing_date", "layer", "total_records")
    assert sum(faults.row(0)) == 1


def test_a_return_that_silver_keeps_is_no_bad_quantity() -> None:
    shop = SHOPS["US export, returns below 0, net"]
    settings = load_settings(**shop.settings)
    made = measured(bronze_of(shop, settings), settings)
    assert made["bronze_daily_quality"]["bad_quantities"].to_list() == [0]
    assert made["bronze_silver_dq_comparison"]["bad_quantity"].to_list() == [0, 0]
    back = made["silver"].filter("IsCancellation")
    assert back["TotalPrice"].to_list() == [Decimal("-10.00"), Decimal("-30.00"), Decimal("-30.00")]
    assert made["silver"].schema == TABLES["retail_transactions_silver"].polars


def test_the_money_flow_of_net_revenue_adds_up_to_gold() -> None:
    shop = SHOPS["US export, returns below 0, net"]
    settings = load_settings(**shop.settings)
    silver, quarantine = clean(ENGINES["pandas"].frame(bronze_of(shop, settings)), dialect=settings.dialect)
    judged = judge(quarantine, dialect=settings.dialect)
    flow = quality.money_flow(judged, silver, D, stock_code_pattern="^TEA", revenue="net").set_index("Step")
    amounts = flow[flow["Kind"] != "note"]["Amount"]
    assert amounts["arrived"] == Decimal("1220.00")  # 1,250 + 20 − 10 + 10 − 30 − 30 + 10
    assert amounts["beyond"] == Decimal("50.00")  # bob 20, cid 30
    assert amounts["counted"] == Decimal("1260.00") == amounts.drop("counted").sum()


def test_further_columns_fit_the_header_and_ragged_lines_do_not() -> None:
    shop = SHOPS["orders without lines, a flag"]
    settings = load_settings(**shop.settings)
    lines = bronze_of(shop._replace(file=shop.file + "5;ok;1;A\n"), settings)
    assert [line["_rescued_data"] for line in lines[:3]] == ['{"cancelled": "ok"}', None, '{"cancelled": "Cancelled"}']
    judged = ENGINES["polars"].collect(judge(ENGINES["polars"].frame(lines), dialect=settings.dialect))
    assert judged["FitsHeader"].to_list() == [True] * 4 + [False]
    assert judged["IsCancellation"].to_list() == [False, False, True, False, False]
    assert [line["Price"] for line in lines] == ["20.5", "30", "99", "0.10", None]


# ── any amount, any day, any way to write it ───────────────────────────────────────────────────────
FORMATS = [(decimal, thousands) for decimal in ".," for thousands in ("", ".", ",", " ", "'") if thousands != decimal]
AMOUNTS = st.decimals(0, 10**8 - 1, places=2) | st.decimals(0, 10**4, places=3) | st.integers(0, 10**6).map(Decimal)


def written(amount: Decimal, decimal: str, thousands: str, blank: str) -> str:
    """Return an amount as a shop writes it."""
    whole, _, cents = f"{amount:f}".partition(".")
    grouped = f"{int(whole):,}".replace(",", blank if thousands == " " else thousands)
    return grouped + (decimal + cents if cents else "")


@FEW
@given(st.lists(AMOUNTS, min_size=30, max_size=90), st.sampled_from(FORMATS), st.sampled_from(" \u00a0\u202f"))
def test_any_amount_in_any_format_reads_back(amounts: list[Decimal], form: tuple[str, str], blank: str) -> None:
    dialect = Dialect(format=Format(decimal=form[0], thousands=form[1]))
    lines = [LINE | {"Quantity": "1", "Price": written(amount, *form, blank)} for amount in amounts]
    wanted = [amount.quantize(Decimal("0.01"), ROUND_HALF_UP) for amount in amounts]
    for engine in ENGINES.values():
        silver, quarantine = map(engine.collect, clean(engine.frame(lines), dialect=dialect))
        assert quarantine.is_empty()
        assert silver["UnitPrice"].to_list() == wanted
        assert silver["TotalPrice"].to_list() == wanted


BESIDE = [
    "1,234.50 TL",
    "1,234.50 руб.",
    "1,234.50 лв",
    "1,234.50円",
    "1,234.50 Kč",
    "$1,234.50",
    "-$1,234.50",
    "£ 1,234.50",
    "1,234.50\u202f€",
    "1,234.50 EUR",
    "CHF 1,234.50",
    "1,234.50 kr",
    " ¥1,234.5 ",
]


@pytest.mark.parametrize("name", [*ENGINES, "duckdb"])
def test_a_currency_beside_a_price_is_taken_off(name: str) -> None:
    engine = (ENGINES | QUERY_ENGINES)[name]
    lines = [LINE | {"Quantity": "1", "Price": text} for text in BESIDE]
    judged = engine.collect(judge(engine.frame(lines), dialect=Dialect(format=Format(thousands=","))))
    assert judged["Cents"].to_list() == [-123450 if text.startswith("-") else 123450 for text in BESIDE]
    assert judged["raw_Price"].to_list() == BESIDE


MISWRITTEN = {  # what looks like a number in another format is refused, not taken for a hundred times as much
    (",", "."): ["1.25", "1234.5", "12.34,5", "1.2345,0", "1,234.50", "1.234.5", ",", "1,2,3", "5€50", "1 234,5"],
    (".", ","): ["1,25", "1,2345", "12,34.5", "1.234,50", ",123", "1,234,5"],
    (",", ""): ["1.25", "1.234,5"],
    (".", " "): ["1 25", "1  234", "1,234"],
}


@pytest.mark.parametrize("form", MISWRITTEN, ids=repr)
def test_a_number_in_another_format_is_refused(form: tuple[str, str]) -> None:
    lines = [LINE | {"Price": text} for text in MISWRITTEN[form]]
    for engine in ENGINES.values():
        silver, quarantine = clean(engine.frame(lines), dialect=Dialect(format=Format(decimal=form[0], thousands=form[1])))
        assert engine.collect(silver).is_empty()
        assert set(engine.collect(quarantine)["failed_expectations"]) == {"valid_unit_price"}
        assert engine.collect(quarantine)["Price"].to_list() == MISWRITTEN[form]


PATTERNS = ["%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%b-%Y", "%b %d, %Y", "%Y%m%d", "%d%m%Y", "%d.%m.%y", "%y%m%d", "%d %b %y"]
TIMES = ["", " 23:59", "T07:45:00", ", 10:15 PM"]
DAYS = st.dates(dt.date(1970, 1, 1), dt.date(2068, 12, 31))


@given(
    st.lists(DAYS, min_size=3, max_size=12), st.sampled_from(PATTERNS), st.sampled_from(["", " 23:59", "T07:45:00", ", 10:15 PM"])
)
def test_any_day_in_any_pattern_reads_back(days: list[dt.date], pattern: str, time: str) -> None:
    assert_days_read_back(ENGINES["polars"], days, pattern, time)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_reads_back_in_pandas(pattern: str) -> None:
    assert_days_read_back(
        ENGINES["pandas"], [dt.date(1999, 12, 31), dt.date(2024, 2, 29), dt.date(2025, 1, 1)], pattern, " 23:59"
    )


def assert_days_read_back(engine: Engine, days: list[dt.date], pattern: str, time: str) -> None:
    texts = [text for day in days for text in (day.strftime(pattern), loosely(day.strftime(pattern), pattern))]
    silver, _ = clean(engine.frame([LINE | {"InvoiceDate": text + time} for text in texts]), dialect=dated(pattern))
    assert engine.collect(silver)["InvoiceDate"].to_list() == [day for day in days for _ in range(2)]


def dated(pattern: str, **more: str) -> Dialect:
    return Dialect(format=Format(date=pattern, **more))


def loosely(text: str, pattern: str) -> str:
    """Return a date without the zeros before day and month, where something stands between them and the year has four digits."""
    if pattern.replace("%", "").isalpha() or "%y" in pattern:
        return text
    return text.removeprefix("0").replace(".0", ".").replace("/0", "/")


NO_DAYS = {
    "%d.%m.%Y": [
        "31.04.2025",
        "29.02.2025",
        "1.1.25",
        "2025-01-01",
        "00.01.2025",
        "1/1/2025",
        "1.13.2025",
        "1.1.20255",
        "",
        None,
    ],
    "%m/%d/%Y": ["31/12/2025", "12-31-2025", "02/30/2025"],
    "%Y%m%d": ["2025011", "20251301", "202501011", "2025-01-01"],
    "%a %d.%m.%Y": ["Mo 31.04.2025", "Mo"],
    "%d-%b-%Y": ["31-Feb-2025", "1-Foo-2025", "Dec-31-2025"],
}


@pytest.mark.parametrize("pattern", NO_DAYS)
def test_what_is_no_day_in_the_pattern_is_refused(pattern: str) -> None:
    lines = [LINE | {"InvoiceDate": text} for text in NO_DAYS[pattern]]
    for engine in ENGINES.values():
        silver, quarantine = map(engine.collect, clean(engine.frame(lines), dialect=dated(pattern)))
        assert silver.is_empty()
        assert set(quarantine["failed_expectations"]) == {"valid_invoice_date"}


COMMON = [("%a %d %b %Y", ""), ({"fractions": True},)]  # of dates and of amounts, what has most to read


def on_each_engine(*values: Any) -> list[Any]:
    """Return parameters with each engine; a query has its price, so `make test` asks DuckDB for what has most to read alone."""
    marks = () if values in COMMON else (pytest.mark.long,)
    return [*((*values, name) for name in ENGINES), pytest.param(*values, "duckdb", marks=marks)]


WRITTEN = {  # pattern, language of the months: dates of 3 March 2025
    ("%a %d.%m.%Y", ""): ["Mo 03.03.2025", "Mo., 3.3.2025", "(Mo) 03.03.2025 10:05"],
    ("%a %d %b %Y", ""): ["Mon, 3 Mar 2025", "lunes 3 de marzo de 2025", "lundi 3 mars 2025", "Mon, 03 Mar 2025 10:00:00 +0000"],
    ("%a %b %d %Y", ""): ["Monday, March 3, 2025", "Mon Mar 03 2025"],
    ("%d %b %Y", ""): ["3rd March 2025", "3 de marzo de 2025", "3. März 2025", "3rd of March 2025"],
    ("%d %b %Y", "ru"): ["3 марта 2025 г."],
    ("%Y年%m月%d日", ""): ["2025年3月3日", "2025年03月03日 10:05"],
    ("%Y%m%d", ""): ["20250303101500"],
}


@pytest.mark.parametrize(("pattern", "months", "name"), [each for pattern in WRITTEN for each in on_each_engine(*pattern)])
def test_dates_with_weekdays_and_ordinals(name: str, pattern: str, months: str) -> None:
    engine, texts = (ENGINES | QUERY_ENGINES)[name], WRITTEN[pattern, months]
    silver, _ = clean(engine.frame([LINE | {"InvoiceDate": text} for text in texts]), dialect=dated(pattern, months=months))
    assert engine.collect(silver)["InvoiceDate"].to_list() == [dt.date(2025, 3, 3)] * len(texts)


CENTS: list[dict[str, Any]] = [{}, {"price_decimals": 4}, {"fractions": True}]


@pytest.mark.parametrize(("more", "name"), [each for more in CENTS for each in on_each_engine(more)])
def test_amounts_in_cents_are_divided_once(name: str, more: dict[str, Any]) -> None:
    engine, prices = (ENGINES | QUERY_ENGINES)[name], {"1999": 1999, "100": 100, "7": 7, "1,999 cents": None, "-250": -250}
    lines = [LINE | {"Quantity": "2", "Price": price} for price in prices]
    judged = engine.collect(judge(engine.frame(lines), dialect=Dialect(format=Format(cents=True, **more))))
    assert judged["Cents"].to_list() == list(prices.values())
    assert judged["TotalCents"].to_list()[:3] == [3998, 200, 14]


def test_months_have_names_in_several_languages() -> None:
    texts = [
        "1. März 2025",
        "1. Mai 2025",
        "1. mai 2025",
        "1. okt 2025",
        "1. Dez. 2025",
        "1. août 2025",
        "1. JUIN 2025",
        "1. janv. 2025",
    ]
    silver, _ = clean(ENGINES["polars"].frame([LINE | {"InvoiceDate": text} for text in texts]), dialect=dated("%d. %b %Y"))
    assert ENGINES["polars"].collect(silver)["Month"].to_list() == [3, 5, 5, 10, 12, 8, 6, 1]


# ── moments and the days they belong to ────────────────────────────────────────────────────────────
BERLIN = {  # summer time began on 2025-03-30 at 01:00 UTC and ended on 2025-10-26 at 01:00 UTC
    "2025-12-31T22:59:59Z": "2025-12-31",
    "2025-12-31T23:00:00Z": "2026-01-01",
    "2025-12-31 23:30": "2026-01-01",
    "2025-06-30 21:59:59.999 UTC": "2025-06-30",
    "2025-06-30 22:00 UTC": "2025-07-01",
    "2025-03-29T23:30:00+00:00": "2025-03-30",
    "2025-03-30T21:59:00Z": "2025-03-30",
    "2025-03-30T22:01:00Z": "2025-03-31",
    "2025-10-25T22:30:00Z": "2025-10-26",
    "2025-10-26T22:30:00Z": "2025-10-26",
    "2025-10-26T23:30:00Z": "2025-10-27",
    "2025-12-31T18:30:00-05:00": "2026-01-01",
    "2025-12-31T20:30:00-0130": "2025-12-31",
    "2026-01-01T05:00+09": "2025-12-31",
    "2024-02-28 23:10:00Z": "2024-02-29",
    "2025-12-31 11:15 PM": "2026-01-01",
    "2025-12-31 12:15 am": "2025-12-31",
    "2025-12-31": "2025-12-31",
    "2025-12-31 25:30": "2026-01-01",
    "2025-12-31 99:30": None,
    "2025-12-31 at night": None,
    "2025-02-30T10:00:00Z": None,
}


def test_a_moment_belongs_to_the_day_of_the_shops_zone(engine: Engine) -> None:
    lines = [LINE | {"InvoiceDate": text, "Description": text} for text in BERLIN]
    silver, quarantine = map(engine.collect, clean(engine.frame(lines), dialect=dated("%Y-%m-%d", timezone="Europe/Berlin")))
    found = dict(silver.select("Description", pl.col("InvoiceDate").cast(pl.String)).rows())
    assert found == {text: day for text, day in BERLIN.items() if day}
    assert set(quarantine["InvoiceDate"]) == {text for text, day in BERLIN.items() if not day}


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "America/Sao_Paulo"]
MOMENTS = st.datetimes(dt.datetime(1995, 1, 2), dt.datetime(2040, 12, 30)) | st.datetimes(
    dt.datetime(2011, 12, 28),
    dt.datetime(2012, 1, 2),  # Samoa went over the date line
)


@FEW
@given(st.lists(MOMENTS, min_size=20, max_size=60), st.sampled_from(ZONES), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y"]))
def test_any_moment_in_any_zone(moments: list[dt.datetime], zone: str, pattern: str) -> None:
    lines = [LINE | {"InvoiceDate": moment.strftime(f"{pattern} %H:%M:%SZ")} for moment in moments]
    silver, _ = clean(ENGINES["polars"].frame(lines), dialect=dated(pattern, timezone=zone))
    wanted = [moment.replace(tzinfo=dt.UTC, second=0).astimezone(ZoneInfo(zone)).date() for moment in moments]
    assert ENGINES["polars"].collect(silver)["InvoiceDate"].to_list() == wanted


# ── settings that cannot be ────────────────────────────────────────────────────────────────────────
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"columns": {"invoice": "Id", "customer_id": "ID "}}, "setting columns: invoice and customer_id have the same name"),
    ({"columns": {"customer_id": " "}}, "setting columns.customer_id: "),
    ({"columns": {"cancelled": "Storno"}}, 'cancellation = "flag" and columns.cancelled'),
    ({"rules": {"cancellation": "flag"}}, 'cancellation = "flag" and columns.cancelled'),
    ({"rules": {"invoice_pattern": "("}}, "setting rules.invoice_pattern: is not a regular expression"),
    ({"format": {"date": "%d.%m"}}, "setting format.date: must hold a year"),
    ({"format": {"date": "%d.%m.%Y.%y"}}, "setting format.date: must hold a year"),
    ({"format": {"date": "%Y%b%d"}}, "setting format.date: must have something between"),
    ({"format": {"date": "dd.mm.yyyy"}}, "setting format.date: must hold a year"),
    ({"format": {"decimal": ",", "thousands": ","}}, "setting format: thousands and decimal are the same character"),
    ({"format": {"decimal": ";"}}, "setting format.decimal: "),
    (
        {"format": {"timezone": "UTC"}, "engine": "spark", "remote": "sc://h"},
        "format: timezone needs engine polars",
    ),
    ({"format": {"timezone": "Berlin"}}, "setting format.timezone: is not a time zone"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said for _, said in WRONG])
def test_settings_that_cannot_be_are_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_time_in_the_pattern_is_left_out() -> None:
    assert Format(date="%d.%m.%Y %H:%M").date == "%d.%m.%Y"
    assert Format(date="%Y-%m-%dT%H:%M:%S").date == "%Y-%m-%d"


def test_without_products_the_pattern_does_not_apply() -> None:
    assert load_settings(columns={"stock_code": ""}, rules={"stock_code_pattern": "^TEA"}).rules.stock_code_pattern == ""
    assert load_settings(rules={"stock_code_pattern": "^TEA"}).rules.stock_code_pattern == "^TEA"


def test_settings_name_every_column_of_bronze() -> None:
    assert list(Columns().headers) == list(RAW)
    assert list(Columns().headers.values()) == [one.header for one in LANDING_COLUMNS.values()]
    assert not Columns().own
    assert Columns(price="Total").own


def test_names_ignore_case_blanks_underscores_and_bom() -> None:
    assert plain_name("\ufeffCustomer ID") == plain_name("customer_id") == "customerid"


# ── headers that do not fit ────────────────────────────────────────────────────────────────────────
HEADERS = [
    ("a,b\n1,2\n", {}, "sales.csv: not a sales file, none of its 2 column(s) is known; wanted Invoice, "),
    (
        "Datum;Kunde;Betrag\n",
        {"price": "Summe"},
        "lacks 1 required column(s): Summe; found Datum, Kunde, Betrag; say under",
    ),
    ("Datum;Kunde;Betrag\n", {"country": "Land"}, "lacks 1 required column(s): Land; found Datum, Kunde, Betrag"),
    ("Datum;Kunde;Betrag\n", {"cancelled": "Storno"}, "lacks 1 required column(s): Storno; found"),
    (
        "Datum;Kunde;Betrag;betrag\n",
        {},
        "column(s) Betrag appear twice; found Datum, Kunde, Betrag (column 3), betrag (column 4)",
    ),
]
SHORT = dict.fromkeys(["invoice", "stock_code", "description", "quantity", "country"], "")
SHORT |= {"customer_id": "Kunde", "invoice_date": "Datum", "price": "Betrag"}


@pytest.mark.parametrize(("text", "change", "said"), HEADERS, ids=[said for *_, said in HEADERS])
def test_a_header_that_does_not_fit_is_shown(text: str, change: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text.encode(), "sales.csv", columns=Columns(**SHORT | change) if "Datum" in text else Columns())
    assert said in str(caught.value)


def test_unnamed_columns_may_be_missing_extra_ones_are_kept() -> None:
    rows = parse(b"Kunde,DATUM,be trag,Note\nA,d,1,hello\n", "sales.csv", columns=Columns(**SHORT)).to_pylist()
    wanted = dict.fromkeys(RAW) | {"CustomerID": "A", "InvoiceDate": "d", "Price": "1", "_rescued_data": '{"Note": "hello"}'}
    assert rows == [wanted]


# ── end to end: the same shop, with files of its own ───────────────────────────────────────────────
GERMAN = {
    "files": {"pattern": "*.csv", "separator": ";"},
    "columns": dict(zip(LANDING_COLUMNS, ["Beleg", "Artikel", "Text", "Menge", "Preis", "Kunde", "Land", "Datum"], strict=True)),
    "format": {"date": "%d.%m.%Y", "decimal": ",", "thousands": "."},
    "rules": EXAMPLE_RULES,
}
LAST = dt.date(2025, 10, 23)
SECRET = "K-4711-Pfannkuchen"


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two days of an invented shop."""
    folder = tmp_path_factory.mktemp("landing")
    make_sample(folder, days=2, end=LAST, lines=900, customers=90)
    return folder


def german(landing: Path, to: Path, extra: str = "") -> Path:
    """Write the files of a shop as a German one would, some lines more in the last."""
    to.mkdir()
    for file in sorted(landing.iterdir()):
        rows = list(csv.reader(file.read_text("utf-8").splitlines()))[1:]
        lines = [GERMAN["columns"].values(), *([*row[:4], comma(row[4]), *row[5:7], day(row[7])] for row in rows)]
        text = "\n".join(";".join(line) for line in lines) + "\n" + (extra if file.name.startswith(str(LAST)) else "")
        date = dt.date.fromisoformat(file.name[:10])
        (to / f"Umsatz-{date:%d.%m.%Y}.csv").write_bytes(text.encode("cp1252"))
    return to


def comma(price: str) -> str:
    """Return a price with a comma, and with points where it is large."""
    return f"{Decimal(price):,}".translate(str.maketrans(",.", ".,"))


def day(text: str) -> str:
    return f"{dt.date.fromisoformat(text):%d.%m.%Y}"


@pytest.mark.whole
def test_german_export_gives_the_same_tables(landing: Path, tmp_path: Path) -> None:
    usual = load_settings(landing=str(landing), lake=str(tmp_path / "usual"))
    own = load_settings(landing=str(german(landing, tmp_path / "umsatz")), lake=str(tmp_path / "own"), **GERMAN)
    assert [said for _, said in backfill(usual, LAST, LAST)] == [said for _, said in backfill(own, LAST, LAST)]
    names = {"customer_rfm_gold", "customer_rfm_description_and_recommendation", "expectation_results"}
    names |= {"bronze_daily_quality", "bronze_silver_dq_comparison", "daily_counts", "quality_metrics"}
    usual_lake, own_lake = Lake(usual.lake), Lake(own.lake)
    assert {name: own_lake.fingerprint(name) for name in names} == {name: usual_lake.fingerprint(name) for name in names}
    raw = own_lake.frame("retail_transactions_quarantine").iloc[0]
    assert (raw["Price"], raw["InvoiceDate"][2:6]) == (raw["Price"].replace(".", ","), ".10.")  # as it came
    release_of_a_corrected_row(own, tmp_path)


def release_of_a_corrected_row(settings: Settings, folder: Path) -> None:
    """Put one row of the quarantine right, in the shop's own format."""
    release.export(settings, str(folder / "rows.csv"))
    rows = list(csv.DictReader((folder / "rows.csv").read_text("utf-8-sig").splitlines()))[:1]
    rows[0] |= {"Invoice": "489434", "Quantity": "2", "Price": "1.234,50", "InvoiceDate": "22.10.2025"}
    with (folder / "right.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert release.release(settings, str(folder / "right.csv")).startswith("1 row(s) released into silver.")
    silver = Lake(settings.lake).read("retail_transactions_silver").filter(pl.col("UnitPrice") == Decimal("1234.50"))
    assert silver.select("TotalPrice", "InvoiceDate").collect().rows() == [(Decimal("2469.00"), dt.date(2025, 10, 22))]


# ── customers without ids ──────────────────────────────────────────────────────────────────────────
PLANTED = f"489999;85048;BALL;1;1,00;{SECRET};Deutschland;23.10.2025\n"  # a line that counts
PLANTED += f"489998;85048;BALL;-1;1,00;{SECRET};Deutschland;23.10.2025\n"  # one for the quarantine
PLANTED += f"489997;85048;{SECRET};1\n"  # one that does not fit the header


def hidden(landing: Path, folder: Path) -> Settings:
    """Return settings of the German shop with hashed customers, and an id in every kind of line."""
    columns = GERMAN["columns"] | {"hash_customers": True}
    places = {name: str(folder / name) for name in ("lake", "reports")}
    return load_settings(landing=str(german(landing, folder / "umsatz", PLANTED)), **places, **GERMAN | {"columns": columns})


def test_no_table_report_or_export_holds_the_id_of_a_customer(
    landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "salt and pepper")
    settings = hidden(landing, tmp_path)
    (tmp_path / "umsatz" / "Umsatz-23.10.2025-2.csv").write_text(f"{SECRET};1;2\n")  # a file without a header
    run_shop.run(settings, LAST)
    known = Mask(b"salt and pepper").one(SECRET)
    lake = Lake(settings.lake)
    assert known in lake.frame("customer_rfm_gold")["CustomerID"].tolist()
    assert len(lake.frame("retail_transactions_bronze", CustomerID=[known])) == 2
    release.export(settings, str(tmp_path / "reports" / "rows.csv"))
    tables = {name: lake.frame(name).to_csv() for name in lake.state()}
    assert [name for name, text in tables.items() if SECRET in text] == []
    files = [file for place in ("lake", "reports") for file in (tmp_path / place).rglob("*") if file.is_file()]
    assert [file.name for file in files if SECRET.encode() in file.read_bytes()] == []
    assert len(files) > 40
    assert any(known.encode() in file.read_bytes() for file in files if file.suffix == ".html")


def test_hashing_without_a_key_is_refused_in_one_sentence(landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RFM_CUSTOMER_KEY", raising=False)
    with pytest.raises(SettingsError, match=r"^\[columns\] hash_customers needs a key: set RFM_CUSTOMER_KEY in the environment"):
        next(backfill(hidden(landing, tmp_path), LAST, LAST))


def test_hash_depends_on_id_and_key_not_on_notation() -> None:
    mask = Mask(b"key")
    assert mask.one("13085.0") == mask.one(" 13085 ") == "c" + hmac.new(b"key", b"13085", "sha256").hexdigest()[:16]
    assert mask.one("13085") != Mask(b"other").one("13085")
    assert [mask.one(text) for text in (None, "", " ")] == [None] * 3
    assert mask(pa.array(["a", None, "b", "a"])).to_pylist() == [mask.one("a"), None, mask.one("b"), mask.one("a")]


def test_a_customer_put_in_by_hand_is_hashed_on_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "key")
    settings = load_settings(columns={"hash_customers": True})
    found = {"row": {"CustomerID": "c0123456789abcdef"}, "other": {"CustomerID": None}}
    given = {"row": {"CustomerID": "c0123456789abcdef"}, "other": {"CustomerID": SECRET}}
    wanted = [{"CustomerID": "c0123456789abcdef"}, {"CustomerID": Mask(b"key").one(SECRET)}]
    assert list(release._masked(settings, given, found).values()) == wanted
