"""Bronze to silver and quarantine: every rule alone and mixed, on every engine, against plain Python."""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import narwhals as nw
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfm.analysis.cleaning import EXPECTATIONS, SEVERITIES, Expectation, clean, judge
from rfm.analysis.dates import PLACEHOLDERS
from rfm.contracts import TABLES
from rfm.dialect import RAW
from rfm.errors import InputError
from rfm.onboarding import sniff
from rfm.pipeline import lineage
from tests.conftest import ARRIVAL, ENGINES, Engine

LINE = dict(zip(RAW, ["489434", "85048", "BALL", "12", "6.95", "13085.0", "EIRE", "2025-06-26"], strict=True)) | ARRIVAL
DROPS = [name for name, severity in SEVERITIES.items() if severity == "drop"]
each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))


@pytest.fixture(params=["polars", pytest.param("pandas", marks=pytest.mark.long)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Run a test in Polars; the last test shows for less that pandas says the same of any lines."""
    return ENGINES[request.param]


def cleaned(engine: Engine, *changes: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    silver, quarantine = clean(engine.frame([LINE | change for change in changes]))
    return engine.collect(silver), engine.collect(quarantine)


def kept(engine: Engine, **change: Any) -> dict[str, Any]:
    silver, quarantine = cleaned(engine, change)
    assert quarantine.is_empty()
    return silver.row(0, named=True)


def refused(engine: Engine, **change: Any) -> list[str]:
    silver, quarantine = cleaned(engine, change)
    assert silver.is_empty()
    return quarantine["failed_expectations"][0].split(",")


@each_engine
def test_the_lines_one_can_add_up(engine: Engine, bronze_lines: list[dict]) -> None:
    silver, quarantine = map(engine.collect, clean(engine.frame(bronze_lines)))
    totals = ["83.40", "12.50", "0.00", "4.20", "18.00", "3.00", "5.00"]
    assert silver["TotalPrice"].to_list() == [Decimal(total) for total in totals]
    assert silver["CustomerID"].to_list() == ["13085"] * 3 + ["12346"] * 2 + [None, "12346"]
    assert quarantine["Invoice"].to_list() == ["C489503"]
    assert quarantine["failed_expectations"].to_list() == ["valid_quantity"]


def test_types_are_those_of_the_contract(engine: Engine) -> None:
    silver, quarantine = cleaned(engine, {}, {"Quantity": "0", "_rescued_data": "{}"})
    assert silver.schema == TABLES["retail_transactions_silver"].polars
    assert quarantine.schema == TABLES["retail_transactions_quarantine"].polars


def test_a_line_carries_everything(engine: Engine) -> None:
    assert kept(engine) == {
        "InvoiceNo": "489434",
        "StockCode": "85048",
        "Description": "BALL",
        "Quantity": 12,
        "UnitPrice": Decimal("6.95"),
        "CustomerID": "13085",
        "Country": "EIRE",
        "InvoiceDate": dt.date(2025, 6, 26),
        "IsCancellation": False,
        "TotalPrice": Decimal("83.40"),
        "Year": 2025,
        "Month": 6,
        "DayOfWeek": 5,
        "SurrogateKey": "489434_85048_12",
    } | {name: value for name, value in ARRIVAL.items() if name != "_rescued_data"}


BROKEN = [
    ("Invoice", None, "valid_invoice_no"),
    ("Invoice", "", "valid_invoice_no"),
    ("Invoice", "   ", "valid_invoice_no"),
    ("Invoice", "48943", "valid_invoice_no"),
    ("Invoice", "C4894340", "valid_invoice_no"),
    ("StockCode", None, "valid_stock_code"),
    ("StockCode", " ", "valid_stock_code"),
    ("Quantity", None, "valid_quantity"),
    ("Quantity", "", "valid_quantity"),
    ("Quantity", "0", "valid_quantity"),
    ("Quantity", "-12", "valid_quantity"),
    ("Quantity", "1.5", "valid_quantity"),
    ("Quantity", "a dozen", "valid_quantity"),
    ("Quantity", "1e3", "valid_quantity"),
    ("Quantity", "1234567890", "valid_quantity"),
    ("Quantity", "１２", "valid_quantity"),
    ("Price", None, "valid_unit_price"),
    ("Price", "", "valid_unit_price"),
    ("Price", "-0.01", "valid_unit_price"),
    ("Price", "-0.005", "valid_unit_price"),
    ("Price", "-53594.36", "valid_unit_price"),
    ("Price", "free", "valid_unit_price"),
    ("Price", "nan", "valid_unit_price"),
    ("Price", "inf", "valid_unit_price"),
    ("Price", "1,25", "valid_unit_price"),
    ("Price", "1.25 apples", "valid_unit_price"),
    ("Price", "1.2.5", "valid_unit_price"),
    ("Price", "99999999.995", "valid_unit_price"),
    ("Price", "100000000.00", "valid_unit_price"),
    ("InvoiceDate", None, "valid_invoice_date"),
    ("InvoiceDate", "", "valid_invoice_date"),
    ("InvoiceDate", "26/06/2025", "valid_invoice_date"),
    ("InvoiceDate", "20250626", "valid_invoice_date"),
    ("InvoiceDate", "2025-6-26", "valid_invoice_date"),
    ("InvoiceDate", "2025-02-29", "valid_invoice_date"),
    ("InvoiceDate", "2025-02-30", "valid_invoice_date"),
    ("InvoiceDate", "2025-04-31", "valid_invoice_date"),
    ("InvoiceDate", "2025-13-01", "valid_invoice_date"),
    ("InvoiceDate", "2025-00-10", "valid_invoice_date"),
    ("InvoiceDate", "2025-06-00", "valid_invoice_date"),
    ("InvoiceDate", "2025-06-261", "valid_invoice_date"),
    ("InvoiceDate", "1900-02-29", "valid_invoice_date"),
    ("InvoiceDate", "2100-02-29", "valid_invoice_date"),
    ("InvoiceDate", "0000-01-01", "valid_invoice_date"),
    ("InvoiceDate", "9999-12-31", "valid_invoice_date"),
]


@pytest.mark.parametrize("name", ENGINES)
def test_each_rule_broken_alone(name: str) -> None:
    changes = [{column: text} for column, text, _ in BROKEN]
    silver, quarantine = cleaned(ENGINES[name], *changes)
    assert silver.is_empty()
    assert quarantine["failed_expectations"].to_list() == [rule for *_, rule in BROKEN]
    assert [row[column] for row, (column, *_) in zip(quarantine.to_dicts(), BROKEN, strict=True)] == [
        text for _, text, _ in BROKEN
    ]


def test_all_rules_are_broken_somewhere() -> None:
    assert {rule for *_, rule in BROKEN} | {"valid_total_price"} == set(DROPS)


def test_rules_broken_together_are_all_named(engine: Engine) -> None:
    assert refused(engine, Invoice=None, Price="free") == ["valid_invoice_no", "valid_unit_price"]
    nothing = dict.fromkeys(RAW)
    assert refused(engine, **nothing) == [name for name in DROPS if name != "valid_total_price"]


def test_totals_beyond_the_contract_are_refused_alone(engine: Engine) -> None:
    assert kept(engine, Quantity="100", Price="99999999.99")["TotalPrice"] == Decimal("9999999999.00")
    assert refused(engine, Quantity="101", Price="99999999.99") == ["valid_total_price"]
    assert kept(engine, Quantity="999999999", Price="0.01")["TotalPrice"] == Decimal("9999999.99")


@each_engine
def test_total_beyond_64_bits_is_refused_its_neighbour_kept(engine: Engine) -> None:
    silver, quarantine = cleaned(engine, {"Quantity": "999999999", "Price": "99999999.99"}, {})
    assert silver["TotalPrice"].to_list() == [Decimal("83.40")]
    assert quarantine["failed_expectations"].to_list() == ["valid_total_price"]


@each_engine
def test_a_negative_total_beyond_64_bits_is_refused(engine: Engine) -> None:
    assert "valid_quantity" in refused(engine, Quantity="-999999999", Price="99999999.99")


ROUNDED = {
    "0": "0.00",
    "0.001": "0.00",
    "0.004999": "0.00",
    "0.005": "0.01",
    "0.015": "0.02",
    "0.995": "1.00",
    "1.005": "1.01",
    "2.675": "2.68",
    "12.345": "12.35",
    "1.0049999999999999": "1.00",
    "-0.004": "0.00",
    "+6.95": "6.95",
    "6.": "6.00",
    "6.9": "6.90",
    "007.10": "7.10",
    "99999999.994": "99999999.99",
}


def test_prices_round_half_up(engine: Engine) -> None:
    silver, _ = cleaned(engine, *({"Price": price, "Quantity": "1"} for price in ROUNDED))
    assert silver["UnitPrice"].to_list() == [Decimal(price) for price in ROUNDED.values()]
    assert silver["TotalPrice"].to_list() == silver["UnitPrice"].to_list()


@pytest.mark.parametrize("day", ["2024-02-29", "2000-02-29", "2025-12-31", "2026-01-01", "0001-01-02", "9999-12-30"])
def test_days_of_the_calendar_are_kept(engine: Engine, day: str) -> None:
    line, date = kept(engine, InvoiceDate=day), dt.date.fromisoformat(day)
    found = [line[name] for name in ("InvoiceDate", "Year", "Month", "DayOfWeek")]
    assert found == [date, date.year, date.month, date.isoweekday() % 7 + 1]


def test_sunday_is_day_one_and_saturday_day_seven(engine: Engine) -> None:
    silver, _ = cleaned(engine, *({"InvoiceDate": f"2025-06-{day}"} for day in range(22, 29)))
    assert silver["DayOfWeek"].to_list() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("text", ["2025-06-26 07:45:00", "2025-06-26T07:45", " 2025-06-26 "])
def test_a_time_after_the_date_does_not_matter(engine: Engine, text: str) -> None:
    assert kept(engine, InvoiceDate=text)["InvoiceDate"] == dt.date(2025, 6, 26)


IDS = {
    "13085.0": "13085",
    " 13085.0 ": "13085",
    "13085": "13085",
    "": None,
    "  ": None,
    None: None,
    "A-7": "A-7",
    "130.05": "130.05",
}


def test_customer_ids(engine: Engine) -> None:
    silver, _ = cleaned(engine, *({"CustomerID": text} for text in IDS))
    assert silver["CustomerID"].to_list() == list(IDS.values())


def test_blanks_around_text_go_and_empty_text_is_null(engine: Engine) -> None:
    line = kept(engine, Invoice=" 489434\t", StockCode=" 85048 ", Description=" ", Country="", Quantity=" 12.0 ", Price=" 6.95 ")
    assert line["SurrogateKey"] == "489434_85048_12"
    assert (line["Description"], line["Country"], line["UnitPrice"]) == (None, None, Decimal("6.95"))


def test_blanks_inside_text_stay(engine: Engine) -> None:
    assert kept(engine, Description=" RED  BALL ")["Description"] == "RED  BALL"


@pytest.mark.parametrize(("invoice", "cancelled"), [("C48943", True), ("c489434", True), ("A489434", False), ("489C434", False)])
def test_cancellations_start_with_c(engine: Engine, invoice: str, cancelled: bool) -> None:
    assert kept(engine, Invoice=invoice)["IsCancellation"] is cancelled


def test_warnings_drop_nothing_and_are_counted(engine: Engine) -> None:
    judged = judge(engine.frame([LINE, LINE | {"Country": "Unspecified"}, LINE | {"Country": None, "CustomerID": ""}]))
    found = engine.collect(judged).select("known_country", "complete_customer_id")
    assert found.rows() == [(True, True), (False, True), (False, False)]
    assert kept(engine, Country=None, CustomerID=None)["CustomerID"] is None


@each_engine
def test_verdicts_are_never_null(engine: Engine) -> None:
    judged = engine.collect(judge(engine.frame([dict.fromkeys(RAW) | ARRIVAL])))
    assert judged.select(pl.col(*SEVERITIES).is_null().any()).row(0) == (False,) * len(SEVERITIES)


@each_engine
def test_rules_of_ones_own(engine: Engine) -> None:
    rule = Expectation("no_balls", "not a ball", nw.col("Description") != "BALL")
    silver, quarantine = clean(engine.frame([LINE, LINE | {"Description": "BOX"}]), (*EXPECTATIONS, rule))
    assert engine.collect(silver)["Description"].to_list() == ["BOX"]
    assert engine.collect(quarantine)["failed_expectations"].to_list() == ["no_balls"]


def test_every_expectation_names_the_column_it_checks() -> None:
    columns = {rule.name: rule.column for rule in EXPECTATIONS}
    assert set(columns.values()) <= set(RAW)
    assert columns["valid_total_price"] == "Price"
    assert lineage.JUDGED == sniff.COLUMN == columns


def test_the_input_is_not_changed(bronze_lines: list[dict]) -> None:
    frame = pd.DataFrame(bronze_lines)
    before = frame.copy(deep=True)
    clean(frame)
    pd.testing.assert_frame_equal(frame, before)


@each_engine
def test_an_empty_frame_gives_two_empty_frames(engine: Engine) -> None:
    silver, quarantine = map(engine.collect, clean(engine.frame([])))
    assert (silver.height, silver.columns) == (0, TABLES["retail_transactions_silver"].names)
    assert (quarantine.height, quarantine.columns) == (0, TABLES["retail_transactions_quarantine"].names)


@each_engine
def test_missing_columns_are_named(engine: Engine) -> None:
    line = {name: text for name, text in LINE.items() if name not in ("Price", "Country")}
    with pytest.raises(InputError, match=r"lacks 2 column\(s\): Price, Country; rename"):
        clean(engine.frame([line]))


@each_engine
def test_columns_of_arrival_may_be_missing(engine: Engine) -> None:
    silver, quarantine = clean(engine.frame([{name: LINE[name] for name in RAW}]))
    assert engine.collect(silver).columns == TABLES["retail_transactions_silver"].names[:-3]
    assert engine.collect(quarantine).columns == [*RAW, "failed_expectations"]


def test_numbers_instead_of_text_are_read_in_pandas() -> None:
    silver, _ = clean(pd.DataFrame([LINE | {"Quantity": 12, "Price": 6.95, "CustomerID": 13085.0}]))
    assert silver["TotalPrice"].tolist() == [Decimal("83.40")]
    assert silver["CustomerID"].tolist() == ["13085"]


# ── any line at all: what the rules say in plain Python ────────────────────────────────────────────
def number(text: str | None, pattern: str) -> Decimal | None:
    plain = re.sub("^£|£$", "", (text or "").strip(" \t").removeprefix("'"))
    found = re.fullmatch(pattern, re.sub("^[.]", "0.", plain), re.ASCII)
    return Decimal(found.group()) if found else None


def day(text: str | None) -> dt.date | None:
    try:
        found = dt.datetime.strptime((text or "").strip(" \t")[:10], "%Y-%m-%d").date()
        return None if str(found) in PLACEHOLDERS else found
    except ValueError:
        return None


def oracle(line: dict[str, Any]) -> dict[str, Any] | str:
    """Return the line of silver, or the rules that it breaks."""
    text = {name: (line[name] or "").strip(" \t") or None for name in RAW}
    invoice, code, date = text["Invoice"], text["StockCode"], day(line["InvoiceDate"])
    quantity = number(line["Quantity"], r"[+-]?\d{1,9}(\.0*)?")
    price = number(line["Price"], r"[+-]?\d{1,8}(\.\d*)?")
    price = None if price is None else price.quantize(Decimal("0.01"), ROUND_HALF_UP)
    total = None if quantity is None or price is None else int(quantity) * price
    passed = {
        "valid_invoice_no": invoice is not None and len(invoice) in (6, 7),
        "valid_stock_code": code is not None,
        "valid_quantity": quantity is not None and quantity > 0,
        "valid_unit_price": price is not None and 0 <= price < 10**8,
        "valid_invoice_date": date is not None,
        "valid_total_price": total is None or abs(total) < 10**10,
    }
    if not all(passed.values()):
        return ",".join(name for name, good in passed.items() if not good)
    customer = text["CustomerID"] and re.sub(r"\.0$", "", text["CustomerID"])
    return {
        "InvoiceNo": invoice,
        "StockCode": code,
        "Description": text["Description"],
        "Quantity": int(quantity),
        "UnitPrice": abs(price),
        "CustomerID": customer or None,
        "Country": text["Country"],
        "InvoiceDate": date,
        "IsCancellation": invoice[0] in "Cc",
        "TotalPrice": abs(total),
        "Year": date.year,
        "Month": date.month,
        "DayOfWeek": date.isoweekday() % 7 + 1,
        "SurrogateKey": f"{invoice}_{code}_{int(quantity)}",
    }


def blanks(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Put blanks around some texts."""
    return st.builds(lambda left, text, right: left + text + right, *(st.sampled_from(["", "", " ", "\t "]), texts, st.just("")))


PLAIN = st.text("abC £é\"',_05.;\n", max_size=8).map(lambda text: text.replace("\n", "|"))
WHOLE = st.integers(-(10**9) + 1, 10**9 - 1) | st.integers(-3, 30)
PRICES = st.decimals(-5, 300, places=3) | st.decimals(0, 10**8, places=2) | st.decimals(0, 30, places=5)
DATES = st.dates().map(str) | st.builds(
    "{:04}-{:02}-{:02}".format, st.integers(1895, 2105), st.integers(0, 13), st.integers(27, 32)
)
LINES = st.fixed_dictionaries(
    {
        "Invoice": blanks(st.from_regex(r"\A[CcA]?[0-9]{5,7}\Z")) | PLAIN | st.none(),
        "StockCode": blanks(st.from_regex(r"\A[0-9]{5}[A-Z]?\Z")) | PLAIN | st.none(),
        "Description": PLAIN | st.none(),
        "Quantity": blanks(WHOLE.map(str)) | WHOLE.map("{}.0".format) | PLAIN | st.none(),
        "Price": blanks(PRICES.map("{:f}".format)) | PLAIN | st.none(),
        "CustomerID": blanks(st.integers(10000, 19999).map("{}.0".format)) | PLAIN | st.none(),
        "Country": st.sampled_from(["EIRE", "Unspecified", "", None]),
        "InvoiceDate": blanks(DATES) | PLAIN | st.none(),
    }
)


@settings(max_examples=settings.default.max_examples // 5)  # of many lines: a call has its price
@given(st.lists(LINES.map(lambda line: line | ARRIVAL), min_size=1, max_size=80))
def test_any_lines_fare_as_plain_python_says(lines: list[dict]) -> None:
    verdicts = [(line, oracle(line)) for line in lines]
    arrival = {name: value for name, value in ARRIVAL.items() if name != "_rescued_data"}
    silver = [verdict | arrival for _, verdict in verdicts if isinstance(verdict, dict)]
    quarantine = [line | {"failed_expectations": verdict} for line, verdict in verdicts if isinstance(verdict, str)]
    assert len(silver) + len(quarantine) == len(lines)
    for engine in ENGINES.values():
        found = [engine.collect(frame) for frame in clean(engine.frame(lines))]
        assert [frame.to_dicts() for frame in found] == [silver, quarantine]
        assert not mistyped(found[0], "retail_transactions_silver")
        assert not mistyped(found[1], "retail_transactions_quarantine")


def mistyped(rows: pl.DataFrame, table: str) -> list[str]:
    """Return the columns with another type than the contract's; pandas has none where all is null."""
    return [name for name, kind in TABLES[table].polars.items() if rows.schema[name] not in (kind, pl.Null)]
