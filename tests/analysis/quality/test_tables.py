"""The quality tables: hand-made rows with counts known beforehand."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from rfm.analysis import quality
from rfm.analysis.cleaning import SEVERITIES, clean, judge
from rfm.analysis.quality.tables import TYPED
from rfm.config import severities
from rfm.contracts import TABLES
from rfm.errors import InputError, SettingsError
from tests.analysis.quality.test_gate import comparison_of
from tests.conftest import ENGINES, Engine, eight_lines

FIRST, SECOND = dt.date(2025, 6, 30), dt.date(2025, 7, 1)


def eleven_lines() -> list[dict]:
    """Return the eight lines and, of the next run, three: one whole, one rescued, one with every fault."""
    later = eight_lines()[0] | {"processing_date": SECOND, "source_file": "2025-07-01_transactions.csv"}
    faults = {"Invoice": None, "StockCode": "", "Quantity": "x", "Price": "-1", "CustomerID": None, "InvoiceDate": "2025-02-30"}
    return [*eight_lines(), later, later | {"_rescued_data": "{}", "Invoice": "12345"}, later | faults]


@pytest.fixture
def lines() -> list[dict]:
    return eleven_lines()


@pytest.fixture(params=["polars", pytest.param("pandas", marks=pytest.mark.long)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Run a test in Polars; all tables of pandas are those of `tables`."""
    return ENGINES[request.param]


@pytest.fixture(scope="module", params=list(ENGINES))
def tables(request: pytest.FixtureRequest) -> dict[str, pl.DataFrame]:
    engine = ENGINES[request.param]
    bronze = engine.frame(eleven_lines())
    measured = quality.measure(judge(bronze), clean(bronze)[0], SEVERITIES)
    return {name: engine.collect(frame) for name, frame in measured.items()}


def test_tables_keep_their_contracts(tables: dict[str, pl.DataFrame]) -> None:
    assert len(tables) == 6
    for name, frame in tables.items():
        assert frame.schema == TABLES[name].polars, name


def test_bronze_quality(tables: dict[str, pl.DataFrame]) -> None:
    assert tables["bronze_daily_quality"].rows(named=True) == [
        {
            "processing_date": FIRST,
            "total_records": 8,
            "files_processed": 1,
            "distinct_invoice_date": 4,
            "valid_records": 8,
            "null_invoices": 0,
            "null_stock_codes": 0,
            "null_customer_ids": 1,
            "bad_quantities": 1,
            "bad_price": 0,
            "rescued_data_quality_score": 100.0,
        },
        {
            "processing_date": SECOND,
            "total_records": 3,
            "files_processed": 1,
            "distinct_invoice_date": 1,
            "valid_records": 2,
            "null_invoices": 1,
            "null_stock_codes": 1,
            "null_customer_ids": 1,
            "bad_quantities": 0,
            "bad_price": 1,
            "rescued_data_quality_score": 66.67,
        },
    ]


@pytest.mark.parametrize(("rescued", "of", "score"), [(1, 3, 66.67), (2, 3, 33.33), (1, 7, 85.71), (7, 7, 0.0), (0, 1, 100.0)])
def test_the_score_is_rounded_to_two(engine: Engine, lines: list[dict], rescued: int, of: int, score: float) -> None:
    rows = [lines[0] | {"_rescued_data": "{}"}] * rescued + [lines[0]] * (of - rescued)
    table = engine.collect(quality.bronze_quality(judge(engine.frame(rows))))
    assert table["rescued_data_quality_score"].to_list() == [score]


def test_daily_counts(tables: dict[str, pl.DataFrame]) -> None:
    counts = {row[:3]: row[3] for row in tables["daily_counts"].rows()}
    days = {day: dt.date(2025, 6, day) for day in (26, 27, 28, 29)}
    assert counts == {
        (days[26], "bronze", FIRST): 2,
        (days[27], "bronze", FIRST): 3,
        (days[28], "bronze", FIRST): 2,
        (days[29], "bronze", FIRST): 1,
        (days[26], "bronze", SECOND): 2,
        (None, "bronze", SECOND): 1,
        (days[26], "silver", FIRST): 2,
        (days[27], "silver", FIRST): 3,
        (days[28], "silver", FIRST): 1,
        (days[29], "silver", FIRST): 1,
        (days[26], "silver", SECOND): 1,
    }


def test_comparison_of_the_layers(tables: dict[str, pl.DataFrame]) -> None:
    found = {(row["processing_date"], row["layer"]): row for row in tables["bronze_silver_dq_comparison"].to_dicts()}
    faults = {key: {name: n for name, n in row.items() if isinstance(n, int) and n} for key, row in found.items()}
    everything = ("null_invoice", "bad_invoice", "null_stock_code", "null_quantity", "null_invoice_date", "bad_price")
    assert faults == {
        (FIRST, "bronze"): {"total_records": 8, "bad_quantity": 1, "null_customer_id": 1},
        (FIRST, "silver"): {"total_records": 7, "null_customer_id": 1},
        (SECOND, "bronze"): {"total_records": 3, **dict.fromkeys(everything, 1), "null_customer_id": 1},
        (SECOND, "silver"): {"total_records": 1},
    }


def test_expectations(tables: dict[str, pl.DataFrame]) -> None:
    results = {row[:2]: row[2:] for row in tables["expectation_results"].rows()}
    assert results == {
        (FIRST, "valid_invoice_no"): ("drop", 8, 0),
        (FIRST, "valid_stock_code"): ("drop", 8, 0),
        (FIRST, "valid_quantity"): ("drop", 8, 1),
        (FIRST, "valid_unit_price"): ("drop", 8, 0),
        (FIRST, "valid_invoice_date"): ("drop", 8, 0),
        (FIRST, "valid_total_price"): ("drop", 8, 0),
        (FIRST, "known_country"): ("warn", 8, 1),
        (FIRST, "complete_customer_id"): ("warn", 8, 1),
        (FIRST, "unique_surrogate_key"): ("warn", 7, 0),
        (SECOND, "valid_invoice_no"): ("drop", 3, 2),
        (SECOND, "valid_stock_code"): ("drop", 3, 1),
        (SECOND, "valid_quantity"): ("drop", 3, 1),
        (SECOND, "valid_unit_price"): ("drop", 3, 1),
        (SECOND, "valid_invoice_date"): ("drop", 3, 1),
        (SECOND, "valid_total_price"): ("drop", 3, 0),
        (SECOND, "known_country"): ("warn", 3, 0),
        (SECOND, "complete_customer_id"): ("warn", 3, 1),
        (SECOND, "unique_surrogate_key"): ("warn", 1, 0),
    }


def test_repeated_keys_are_counted_a_day(engine: Engine, lines: list[dict]) -> None:
    bronze = engine.frame([lines[0]] * 3 + [lines[1], lines[8]])
    results = engine.collect(quality.expectation_results(judge(bronze), clean(bronze)[0], SEVERITIES))
    repeats = results.filter(pl.col("expectation") == quality.REPEATS)
    assert repeats.select("processing_date", "checked", "failed").rows() == [(FIRST, 4, 2), (SECOND, 1, 0)]


def metrics_of(table: pl.DataFrame, metric: str) -> dict[tuple[dt.date, str], tuple[int, int]]:
    rows = table.filter(pl.col("metric") == metric).select("processing_date", "column", "checked", "counted").rows()
    return {row[:2]: row[2:] for row in rows}


def test_completeness_counts_the_values_that_are_there(tables: dict[str, pl.DataFrame]) -> None:
    found = metrics_of(tables["quality_metrics"], "completeness")
    whole = dict.fromkeys(TYPED, (8, 8)) | {"CustomerID": (8, 7)}
    second = dict.fromkeys(TYPED, (3, 2)) | {"Description": (3, 3), "Country": (3, 3), "UnitPrice": (3, 3)}  # -1 is a price
    assert found == {(FIRST, name): n for name, n in whole.items()} | {(SECOND, name): n for name, n in second.items()}


def test_the_value_of_a_metric_is_the_share(tables: dict[str, pl.DataFrame]) -> None:
    rows = tables["quality_metrics"].to_dicts()
    assert rows
    assert [row for row in rows if row["value"] != round(row["counted"] / row["checked"], 9)] == []


def test_dropped_is_what_the_quarantine_gets(tables: dict[str, pl.DataFrame]) -> None:
    assert metrics_of(tables["quality_metrics"], "dropped") == {(FIRST, "*"): (8, 1), (SECOND, "*"): (3, 2)}


def test_repeated_lines_and_keys(engine: Engine, lines: list[dict]) -> None:
    other_price, guest = lines[0] | {"Price": "7.00"}, lines[5]
    bronze = engine.frame([lines[0], lines[0], lines[0], other_price, guest, guest, lines[8]])
    table = engine.collect(quality.quality_metrics(judge(bronze), clean(bronze)[0], SEVERITIES))
    assert metrics_of(table, "repeated_lines") == {(FIRST, "*"): (6, 3), (SECOND, "*"): (1, 0)}
    assert metrics_of(table, "repeated_keys") == {(FIRST, "SurrogateKey"): (6, 4), (SECOND, "SurrogateKey"): (1, 0)}


def test_daily_volume(tables: dict[str, pl.DataFrame]) -> None:
    found = {(row["InvoiceDate"].day, row["processing_date"]): row for row in tables["daily_volume"].to_dicts()}
    figures = {key: [row[name] for name in ("lines", "invoices", "customers")] for key, row in found.items()}
    assert figures == {
        (26, FIRST): [2, 1, 1],
        (27, FIRST): [3, 2, 1],
        (28, FIRST): [1, 1, 1],
        (29, FIRST): [1, 1, 1],
        (26, SECOND): [1, 1, 1],
    }
    assert [str(found[day, FIRST]["revenue"]) for day in (26, 27, 28, 29)] == ["95.90", "25.20", "0.00", "5.00"]
    assert sum(row["lines"] for row in found.values()) == sum(
        tables["daily_counts"].filter(pl.col("layer") == "silver")["total_records"]
    )


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_no_rows_give_empty_tables(engine: Engine) -> None:
    bronze = engine.frame([])
    for name, frame in quality.measure(judge(bronze), clean(bronze)[0], SEVERITIES).items():
        rows = engine.collect(frame)
        assert (rows.height, rows.columns) == (0, TABLES[name].names)


# ── severities ─────────────────────────────────────────────────────────────────────────────────────
def test_the_shops_severities_win() -> None:
    assert severities(SEVERITIES, {}) == {**SEVERITIES, quality.REPEATS: "warn"}
    found = severities(SEVERITIES, {"known_country": "drop", quality.REPEATS: "fail"})
    assert found == {**SEVERITIES, "known_country": "drop", quality.REPEATS: "fail"}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"known_contry": "drop"},
            r"unknown rule 'known_contry' \(did you mean 'known_country'\?\); allowed: complete",
        ),
        ({"valid_quantity": "warn"}, "valid_quantity: it drops what silver cannot hold; use drop or fail, not warn"),
        ({"unique_surrogate_key": "drop"}, "nobody knows which row of a key is right; use warn or fail, not drop"),
    ],
)
def test_severities_that_cannot_be_are_refused(chosen: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        severities(SEVERITIES, chosen)


@pytest.mark.parametrize(("severity", "refused"), [("warn", 1), ("drop", 2), pytest.param("fail", 2, marks=pytest.mark.long)])
def test_a_severity_decides_where_a_row_goes(engine: Engine, lines: list[dict], severity: str, refused: int) -> None:
    chosen = severities(SEVERITIES, {"known_country": severity})
    bronze = engine.frame(lines[:8])
    silver, quarantine = clean(bronze, severities=chosen)
    measured = quality.measure(judge(bronze), silver, chosen)
    kept, reasons = engine.collect(silver), engine.collect(quarantine)["failed_expectations"].to_list()
    assert (len(reasons), len(kept)) == (refused, 8 - refused)
    assert ("known_country" in reasons) == (severity != "warn")
    assert metrics_of(engine.collect(measured["quality_metrics"]), "dropped") == {(FIRST, "*"): (8, refused)}
    results = engine.collect(measured["expectation_results"]).filter(pl.col("expectation") == "known_country")
    assert results.select("severity", "checked", "failed").rows() == [(severity, 8, 1)]


def test_a_rule_that_must_not_fail_stops_the_run(engine: Engine, lines: list[dict]) -> None:
    chosen = severities(SEVERITIES, {"known_country": "fail"})
    bronze = engine.frame(lines[:8])
    results = quality.expectation_results(judge(bronze), clean(bronze, severities=chosen)[0], chosen)
    with pytest.raises(InputError, match=r"stopped before gold: known_country by 1 row\(s\)"):
        quality.guard(engine.collect(results).to_pandas(), comparison_of(8, 6), 1.0)
