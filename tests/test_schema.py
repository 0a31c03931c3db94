"""The tables: models and schema agree with the specification, and a broken contract gives a one-line error."""

from __future__ import annotations

import datetime as dt
import inspect
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from rfm import contracts
from rfm import errors as errors_module
from rfm.contracts import TABLES, Column, check
from rfm.dialect import LANDING_COLUMNS
from rfm.errors import ContractError, InputError, RfmError, SettingsError, StageError, unknown
from rfm.schema import MODELS

DAY, MOMENT = dt.date(2025, 6, 26), dt.datetime(2025, 6, 26, tzinfo=dt.UTC)

RAW = "Invoice:STRING? StockCode:STRING? Description:STRING? Quantity:STRING? Price:STRING? CustomerID:STRING? "
RAW += "Country:STRING? InvoiceDate:STRING? _rescued_data:STRING? "
ARRIVAL = "ingestion_timestamp:TIMESTAMP source_file:STRING processing_date:DATE"
GOLD = "CustomerID:STRING MaxInvoiceDate:DATE Recency:INT Frequency:INT Monetary:DECIMAL(18,2)"
CLUSTERED = f"{GOLD} Cluster:INT UpdateDate:DATE"
STATISTICS = " ".join(f"{how}{metric}:DOUBLE" for metric in ("Monetary", "Frequency", "Recency") for how in ("Average", "Median"))
SUMMARY = f"Cluster:INT Count:BIGINT {STATISTICS}"
DESCRIBED = "Cluster_Description:STRING Tier:STRING Cluster_Recommendation:STRING"
PER_DAY = "processing_date:DATE layer:STRING total_records:BIGINT null_invoice:BIGINT bad_invoice:BIGINT null_stock_code:BIGINT "
PER_DAY += "null_quantity:BIGINT bad_quantity:BIGINT null_invoice_date:BIGINT bad_price:BIGINT null_customer_id:BIGINT"

# SPEC.md by hand: table → its columns in order, `name:TYPE`, with a question mark where null is allowed
SPEC = {
    "retail_transactions_bronze": RAW + ARRIVAL,
    "retail_transactions_silver": (
        "InvoiceNo:STRING StockCode:STRING Description:STRING? Quantity:INT UnitPrice:DECIMAL(10,2) CustomerID:STRING? "
        "Country:STRING? InvoiceDate:DATE IsCancellation:BOOLEAN TotalPrice:DECIMAL(12,2) Year:INT Month:INT DayOfWeek:INT "
        f"SurrogateKey:STRING {ARRIVAL}"
    ),
    "retail_transactions_quarantine": f"{RAW}failed_expectations:STRING {ARRIVAL}",
    "customer_rfm_gold": GOLD,
    "customer_rfm_kmeans_clustered": CLUSTERED,
    "customer_rfm_kmeans_clustered_history": f"{CLUSTERED} Cluster_Description:STRING",
    "cluster_summary": SUMMARY,
    "cluster_description_and_recommendation": f"{SUMMARY} {DESCRIBED} Cluster_Label:STRING Explanation:STRING",
    "customer_rfm_description_and_recommendation": f"{CLUSTERED} {DESCRIBED}",
    "segment_summary": (
        f"Cluster_Description:STRING Tier:STRING Customers:BIGINT {STATISTICS} CustomerShare:DOUBLE Revenue:DECIMAL(18,2) "
        "RevenueShare:DOUBLE Cluster_Recommendation:STRING Explanation:STRING"
    ),
    "bronze_daily_quality": (
        "processing_date:DATE total_records:BIGINT files_processed:BIGINT distinct_invoice_date:BIGINT valid_records:BIGINT "
        "null_invoices:BIGINT null_stock_codes:BIGINT null_customer_ids:BIGINT bad_quantities:BIGINT bad_price:BIGINT "
        "rescued_data_quality_score:DOUBLE"
    ),
    "daily_counts": "InvoiceDate:DATE? layer:STRING processing_date:DATE total_records:BIGINT",
    "bronze_silver_dq_comparison": PER_DAY,
}
KEYS = {
    "customer_rfm_gold": ("CustomerID",),
    "customer_rfm_kmeans_clustered": ("CustomerID",),
    "customer_rfm_kmeans_clustered_history": ("CustomerID", "UpdateDate"),
    "customer_rfm_description_and_recommendation": ("CustomerID",),
    "cluster_summary": ("Cluster",),
    "cluster_description_and_recommendation": ("Cluster",),
    "segment_summary": ("Cluster_Description",),
    "bronze_daily_quality": ("processing_date",),
    "bronze_silver_dq_comparison": ("processing_date", "layer"),
    "retail_transactions_silver": (),
}


def gold(**changed: object) -> pl.DataFrame:
    """Return two customers; `changed` replaces columns."""
    columns = {
        "CustomerID": ["12346", "12347"],
        "MaxInvoiceDate": [DAY, DAY],
        "Recency": pl.Series([0, 3], dtype=pl.Int32),
        "Frequency": pl.Series([1, 2], dtype=pl.Int32),
        "Monetary": pl.Series([Decimal("0.10"), Decimal("20.25")], dtype=pl.Decimal(18, 2)),
    }
    return pl.DataFrame(columns | changed)


def refusal(frame: pl.DataFrame, name: str = "customer_rfm_gold") -> str:
    """Return the error message of `check` for a frame."""
    with pytest.raises(ContractError) as caught:
        check(TABLES[name], frame)
    return str(caught.value)


# ── the tables ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", SPEC)
def test_a_table_has_the_columns_of_the_specification(name):
    found = " ".join(f"{column.name}:{column.type}{'?' if column.nullable else ''}" for column in TABLES[name].columns)
    assert found == SPEC[name]


def test_tables_beyond_the_specification_are_known():
    ledger, log = {"landing_files", "released_rows"}, {"pipeline_runs", "run_warnings"}
    measured = {"expectation_results", "quality_metrics", "daily_volume"}
    compared = {"customer_segmentations", "customer_explanations", "segmentation_agreement"}
    clusters = {"cluster_models", "fit_exclusions", "segment_movement", "segment_stability"}
    single = {"customer_states", "customer_forecast", "forecast_reliability", "state_migration"}  # of the single customer
    campaigns = {"campaigns", "campaign_members", "campaign_results"}
    assert set(TABLES) - set(SPEC) == ledger | log | measured | compared | clusters | single | campaigns


@pytest.mark.parametrize(("name", "key"), KEYS.items())
def test_keys(name, key):
    assert TABLES[name].key == key


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_consistent_and_documented(table):
    assert TABLES[table.name] is table
    assert table.grain
    assert len(set(table.names)) == len(table.names)
    assert set(table.key) <= set(table.names)
    assert all(column.meaning for column in table.columns)


@pytest.mark.parametrize(
    ("sql", "dtype"),
    [
        ("STRING", pl.String()),
        ("INT", pl.Int32()),
        ("BIGINT", pl.Int64()),
        ("DOUBLE", pl.Float64()),
        ("BOOLEAN", pl.Boolean()),
        ("DATE", pl.Date()),
        ("TIMESTAMP", pl.Datetime("us", "UTC")),
        ("DECIMAL(12,2)", pl.Decimal(12, 2)),
    ],
)
def test_the_polars_type_of_an_sql_type(sql, dtype):
    assert Column("x", sql, "a value").dtype == dtype


@pytest.mark.parametrize("name", TABLES)
def test_model_and_table_ask_for_the_same(name):
    schema = MODELS[name].to_schema()
    assert (schema.name, schema.strict, schema.ordered, tuple(schema.unique or ())) == (name, True, True, TABLES[name].key)
    assert {one: column.dtype.type for one, column in schema.columns.items()} == dict(TABLES[name].polars)
    assert [column.nullable for column in schema.columns.values()] == [column.nullable for column in TABLES[name].columns]


def test_every_table_has_a_name_in_capitals():
    named = [value for name, value in vars(contracts).items() if name.isupper() and isinstance(value, str)]
    assert sorted(named) == sorted(TABLES)


def test_landing_columns_are_those_of_bronze():
    headers = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
    assert ",".join(one.header for one in LANDING_COLUMNS.values()) == headers
    assert [one.bronze for one in LANDING_COLUMNS.values()] == TABLES["retail_transactions_bronze"].names[:8]


def test_contracts_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        TABLES["customer_rfm_gold"].key = ()
    with pytest.raises(AttributeError):
        TABLES["customer_rfm_gold"].columns[0].nullable = True


# ── check ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_valid_frame_returns_with_exact_decimals():
    checked = check(TABLES["customer_rfm_gold"], gold())
    assert checked.equals(gold())
    assert checked["Monetary"].to_list() == [Decimal("0.10"), Decimal("20.25")]
    assert checked["Monetary"].sum() == Decimal("20.35")


@pytest.mark.parametrize("name", TABLES)
def test_an_empty_frame_fulfils_every_contract(name):
    empty = pl.DataFrame(schema=TABLES[name].polars)
    assert check(TABLES[name], empty).schema == TABLES[name].polars


def test_the_frame_is_not_changed():
    before = gold()
    check(TABLES["customer_rfm_gold"], before)
    assert before.equals(gold())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"CustomerID": [None, "12347"]}, ["column CustomerID", "null", "in 1 row(s)"]),
        ({"Recency": pl.Series([-1, -5], dtype=pl.Int32)}, ["column Recency", "greater_than_or_equal_to(0)", "in 2 row(s)"]),
        ({"Frequency": pl.Series([0, 2], dtype=pl.Int32)}, ["column Frequency", "greater_than_or_equal_to(1)", "in 1 row(s)"]),
        ({"Recency": pl.Series([0, 3], dtype=pl.Int64)}, ["column Recency", "Int32"]),
        ({"Recency": ["0", "3"]}, ["column Recency", "Int32"]),
        ({"Monetary": [0.1, 20.25]}, ["column Monetary", "Decimal"]),
        ({"Monetary": pl.Series([Decimal("-0.01"), Decimal(1)], dtype=pl.Decimal(18, 2))}, ["column Monetary", "in 1 row(s)"]),
        ({"Monetary": pl.Series([Decimal("0.100"), Decimal(1)], dtype=pl.Decimal(18, 3))}, ["column Monetary", "Decimal"]),
        ({"CustomerID": ["12346", "12346"]}, ["CustomerID", "unique", "row(s)"]),
    ],
    ids=[
        "null",
        "below the bound",
        "zero orders",
        "wide integer",
        "text",
        "float",
        "negative money",
        "three decimals",
        "key twice",
    ],
)
def test_a_broken_rule_names_table_column_and_count(changed, said):
    message = refusal(gold(**changed))
    assert message.startswith("customer_rfm_gold: ")
    assert message.endswith("nothing was written")
    assert "\n" not in message
    assert all(word in message for word in said), message


def test_an_upper_bound_holds_too():
    share = {"processing_date": [DAY], **{name: [1] for name in TABLES["bronze_daily_quality"].names[1:-1]}}
    quality = pl.DataFrame(share | {"rescued_data_quality_score": [100.5]})
    assert "column rescued_data_quality_score breaks less_than_or_equal_to(100) in 1 row(s)" in refusal(
        quality, "bronze_daily_quality"
    )


def test_a_missing_extra_or_displaced_column_is_refused():
    assert "Monetary" in refusal(gold().drop("Monetary"))
    assert "Colour" in refusal(gold(Colour=["red", "blue"]))
    assert "column_ordered" in refusal(gold().select(reversed(gold().columns)))


def test_a_wrong_type_says_which_was_found():
    assert "column Recency breaks dtype('Int32') (found Int64)" in refusal(gold(Recency=[0, 3]))


def test_many_broken_rules_stay_one_line():
    message = refusal(gold(CustomerID=[None, None], Recency=["a", "b"], Frequency=["a", "b"], Monetary=["a", "b"]))
    assert "\n" not in message
    assert message.count("breaks") <= 3


def test_a_key_of_two_columns_counts_both():
    row = {
        "processing_date": [DAY, DAY],
        "expectation": ["a", "b"],
        "severity": ["drop", "drop"],
        "checked": [1, 1],
        "failed": [0, 1],
    }
    assert len(check(TABLES["expectation_results"], pl.DataFrame(row))) == 2
    message = refusal(pl.DataFrame(row | {"expectation": ["a", "a"]}), "expectation_results")
    assert "processing_date + expectation breaks multiple_fields_uniqueness in 2 row(s)" in message


def test_a_message_shows_no_value_of_a_customer():
    twice, below = gold(CustomerID=["12346", "12346"]), gold(Recency=pl.Series([-77, 0], dtype=pl.Int32))
    assert "column CustomerID breaks multiple_fields_uniqueness in 2 row(s)" in refusal(twice)
    assert "12346" not in refusal(twice)
    assert "-77" not in refusal(below)


# ── Polars and pandera ─────────────────────────────────────────────────────────────────────────────
def good(name: str) -> pl.DataFrame:
    """Return one row that fulfils the contract of a table."""
    made = {"STRING": "a", "INT": 1, "BIGINT": 1, "DOUBLE": 0.5, "BOOLEAN": False, "DATE": DAY, "TIMESTAMP": MOMENT}
    row = {column.name: made.get(column.type, Decimal("1.00")) for column in TABLES[name].columns}
    return pl.DataFrame([row], schema=TABLES[name].polars)


def wrong(name: str) -> Iterator[dict[str, pl.Expr]]:
    """Yield wrong values of the columns of a table: no value, a value below the least one, a value above the largest one."""
    columns = {column.name: column for column in TABLES[name].columns}
    types = TABLES[name].polars
    below, above = ({name: one.bounds[end] for name, one in columns.items() if one.bounds[end] is not None} for end in (0, 1))
    values = [dict.fromkeys((name for name, one in columns.items() if not one.nullable), None)]
    values += [{name: bound - 1 for name, bound in below.items()}, {name: bound + 1 for name, bound in above.items()}]
    yield from ({name: pl.lit(value).cast(types[name]).alias(name) for name, value in each.items()} for each in values if each)


def misshapen(name: str) -> Iterator[pl.DataFrame]:
    """Yield frames of a table with a key twice, and with columns out of order."""
    row = good(name)
    yield from [pl.concat([row, row])] if TABLES[name].key else []
    yield row.select(reversed(row.columns))


def named_in(error: SchemaErrors) -> set[str]:
    """Return the columns that break a rule."""
    return set(error.failure_cases["column"])


@pytest.mark.parametrize("name", TABLES)
def test_polars_and_pandera_agree(name):
    assert contracts._keeps(TABLES[name], good(name))
    assert MODELS[name].validate(good(name)).equals(good(name))
    for values in wrong(name):  # Polars is asked for each; pandera, which is slow, once, and has to name all
        assert [
            column for column, value in values.items() if contracts._keeps(TABLES[name], good(name).with_columns(value))
        ] == []
        with pytest.raises(SchemaErrors) as found:
            MODELS[name].validate(good(name).with_columns(*values.values()), lazy=True)
        assert values.keys() <= named_in(found.value)
    for frame in misshapen(name):
        assert not contracts._keeps(TABLES[name], frame), frame
        with pytest.raises(SchemaErrors):
            MODELS[name].validate(frame, lazy=True)


def test_bounds_of_sales_do_not_hold_for_cancellations():
    row = good("retail_transactions_silver").with_columns(pl.lit(-2, pl.Int32).alias("Quantity"))
    assert "column Quantity breaks at_least_1_unless_cancelled in 1 row(s)" in refusal(row, "retail_transactions_silver")
    returned = row.with_columns(IsCancellation=pl.lit(True))
    assert contracts._keeps(TABLES["retail_transactions_silver"], returned)
    assert MODELS["retail_transactions_silver"].validate(returned).equals(returned)


def test_pandera_decides_what_polars_leaves_open():
    """Only pandera treats NaN in a nullable column as null."""
    row = good("segment_stability").with_columns(KMargin=pl.lit(float("nan")))
    assert not contracts._keeps(TABLES["segment_stability"], row)
    assert len(check(TABLES["segment_stability"], row)) == 1


def test_a_valid_frame_is_written_without_pandera():
    program = """if True:
        import sys
        import polars as pl
        from rfm.contracts import TABLES, conform
        conform(TABLES["fit_exclusions"], pl.DataFrame(schema=TABLES["fit_exclusions"].polars))
        sys.exit("pandera" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ── unknown names, and errors ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["dat"], "unknown parameter 'dat' (did you mean 'date'?); allowed: date, lake"),
        (["zzz"], "unknown parameter 'zzz'; allowed: date, lake"),
        (["lakes", "zzz"], "unknown parameter 'lakes' (did you mean 'lake'?), 'zzz'; allowed: date, lake"),
    ],
)
def test_unknown_names_the_wrong_the_close_and_the_allowed(given, said):
    assert unknown("parameter", given, ["lake", "date"]) == said


def test_unknown_takes_iterators():
    assert unknown("table", iter(["gold"]), iter(["gold_"])) == "unknown table 'gold' (did you mean 'gold_'?); allowed: gold_"


@pytest.mark.parametrize(("error", "status"), [(SettingsError, 2), (InputError, 1), (ContractError, 1), (StageError, 1)])
def test_errors_know_their_exit_status(error, status):
    assert issubclass(error, RfmError)
    assert error("x").exit_status == status


def test_every_error_can_be_caught_as_rfm_error():
    errors = [kind for _, kind in inspect.getmembers(errors_module, inspect.isclass) if issubclass(kind, Exception)]
    assert len(errors) == 5
    assert all(issubclass(kind, RfmError) for kind in errors)
