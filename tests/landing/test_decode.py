"""Landing files of every format give the same text: CSV, Parquet and JSON lines; customer ids get one keyed hash."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import hmac
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm import contracts as tables
from rfm.analysis.cleaning import clean
from rfm.dialect import Columns
from rfm.errors import InputError
from rfm.lake import ingest
from rfm.lake.tables import Lake
from rfm.landing import decode, reader
from rfm.landing.csv import parse
from rfm.landing.decode import Mask, pseudonymize, to_utf8
from rfm.landing.files import list_files
from rfm.landing.header import detect_separator
from rfm.landing.reader import StreamedRows, read_files
from rfm.onboarding import check

DAY = dt.date(2025, 6, 26)
COLUMNS = ["Invoice", "StockCode", "Description", "Quantity", "Price", "Customer ID", "Country", "InvoiceDate"]
SALE = ["489434", "85048", "BALL, RED", 12, 6.95, 13085, "EIRE", "2025-06-26"]
GUEST = ["C489435", "85048", 'SAY "É"', -1, 7.0, None, "EIRE", "2025-06-26 08:00:00"]
BRONZE = ["Invoice", "StockCode", "Description", "Quantity", "Price", "CustomerID", "Country", "InvoiceDate"]


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """Return a Parquet file of columns."""
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, **options)
    return target.getvalue()


def sales(*lines: list[Any], **further: Any) -> dict[str, Any]:
    """Return lines as columns, with more columns or others."""
    return dict(zip(COLUMNS, map(list, zip(*lines, strict=True)), strict=True)) | further


def json_lines(*lines: list[Any] | str) -> bytes:
    """Return lines as JSON objects, texts as they are."""
    texts = [line if isinstance(line, str) else json.dumps(dict(zip(COLUMNS, line, strict=True))) for line in lines]
    return "".join(f"{text}\n" for text in texts).encode()


def text_of(value: pa.Array) -> list[str | None]:
    """Return the text that a column of a Parquet file has in bronze."""
    count = len(value)
    raw = parquet(sales(*[SALE] * count, Description=value))
    return parse(raw, "x.parquet")["Description"].to_pylist()


def refusal(raw: bytes, name: str) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        parse(raw, name)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ── the same day in every format ───────────────────────────────────────────────────────────────────
def land(folder: Path, frame: pl.DataFrame) -> dict[str, Path]:
    """Write a day in each format, each into a folder of its own."""
    ways = {
        "csv": lambda path: frame.write_csv(path),
        "parquet": lambda path: frame.write_parquet(path, row_group_size=700),
        "jsonl": lambda path: frame.write_ndjson(path),
        "jsonl.gz": lambda path: path.write_bytes(gzip.compress(frame.write_ndjson().encode())),
    }
    for kind, write in ways.items():
        (folder / kind).mkdir()
        write(folder / kind / f"2025-06-26_transactions.{kind}")
    return {kind: folder / kind for kind in ways}


def through(folder: Path, pattern: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take a folder in; return bronze and silver, without the file's name and the time of its arrival."""
    lake = Lake(str(folder / "lake"))
    reading = read_files(str(folder), list_files(str(folder), pattern), DAY)
    ingest.write_bronze(lake, reading)
    new = ingest.files_to_clean(lake)
    ingest.write_silver(lake, *clean(lake.read(tables.BRONZE, source_file=new)), new)
    assert reading.refused == []
    bronze, silver = (lake.rows(name).drop("source_file", "ingestion_timestamp") for name in (tables.BRONZE, tables.SILVER))
    return bronze, silver.sort(silver.columns)


def test_a_day_is_the_same_as_csv_parquet_and_json_lines(tmp_path):
    lines = [
        [f"{489434 + i}", "85048", f'BALL "{i}", É', i % 7 + 1, i / 4 + 0.05, 13085 + i if i % 3 else None, "EIRE", DAY]
        for i in range(2000)
    ]
    frame = pl.DataFrame(lines, schema=COLUMNS, orient="row").with_columns(Till=pl.col("Quantity") > 3)
    folders = land(tmp_path, frame)
    bronze, silver = through(folders["csv"], "*_transactions.csv*")
    assert (len(bronze), len(silver)) == (2000, 2000)
    assert set(bronze["_rescued_data"]) == {'{"Till": "true"}', '{"Till": "false"}'}
    for kind in ("parquet", "jsonl", "jsonl.gz"):
        found = through(folders[kind], f"*_transactions.{kind}")
        assert found[0].equals(bronze), kind
        assert found[1].equals(silver), kind


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_check_reads_a_folder_of_the_format(tmp_path, kind):
    lines = [[f"{489434 + i}", "85048", "BALL", 2, 1.5, 13085 + i % 50, "EIRE", f"2025-06-{i % 28 + 1:02}"] for i in range(400)]
    lines[6][7] = "2025-02-30"
    folder = land(tmp_path, pl.DataFrame(lines, schema=COLUMNS, orient="row"))[kind]
    report = check([str(folder)], DAY + dt.timedelta(days=9))
    settings = {one.setting: one.value for one in report.guesses}
    assert (report.status, settings["files.pattern"]) == (0, f"*_transactions.{kind}")
    assert [(one.rule, one.line) for one in report.dropped] == [("valid_invoice_date", 7)]


# ── Parquet ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array(["x", "", None]), ["x", None, None]),
        (pa.array(["x", "y", None]).dictionary_encode(), ["x", "y", None]),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array([b"x", b"\xff", None]), ["x", "\ufffd", None]),
        (pa.array([12, None, -3], pa.int32()), ["12", None, "-3"]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (
            pa.array([12.0, 6.95, None, math.nan, 1e-7, 1e20, math.inf]),
            ["12", "6.95", None, None, "0.0000001", f"1{'0' * 20}", "inf"],
        ),
        (pa.array([6.95, 12], pa.float32()), ["6.95", "12"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([Decimal("6.90"), Decimal("0.00")], pa.decimal128(9, 2)), ["6.90", "0.00"]),
        (pa.array([Decimal("0.0000000001")], pa.decimal128(20, 10)), ["0.0000000001"]),
        (pa.array([DAY, None]), ["2025-06-26", None]),
        (pa.array([dt.datetime(2025, 6, 26), dt.datetime(2025, 6, 26, 8, 5)]), ["2025-06-26", "2025-06-26 08:05:00"]),
        (pa.array([dt.datetime(2025, 6, 26, 8, 0, 0, 5000)], pa.timestamp("ms")), ["2025-06-26 08:00:00.005"]),
        (pa.array([dt.datetime(2025, 6, 26)], pa.timestamp("ns", "UTC")), ["2025-06-26 00:00:00Z"]),
        (pa.array([dt.datetime(2025, 6, 26, 8)], pa.timestamp("us", "Europe/London")), ["2025-06-26 09:00:00+0100"]),
        (pa.array([dt.time(8, 5)], pa.time64("us")), ["08:05:00"]),
        (pa.array([["é", None], None]), ['["é", null]', None]),
        (pa.array([{"a": 1, "on": DAY}]), ['{"a": 1, "on": "2025-06-26"}']),
        (pa.nulls(2), [None, None]),
    ],
    ids=str,
)
def test_parquet_values_are_text_as_in_csv(column, text):
    assert text_of(column) == text


def test_parquet_columns_are_named_and_kept_as_in_csv():
    raw = parquet({"menge": [12]} | {name: [value] for name, value in zip(COLUMNS, SALE, strict=True) if name != "Quantity"})
    [row] = parse(raw, "x.parquet", columns=Columns(quantity="Menge")).to_pylist()
    assert row["Quantity"] == "12"
    [row] = parse(parquet(sales(SALE, Till=[7], Note=[None])), "x.parquet").to_pylist()
    assert row["_rescued_data"] == '{"Till": "7"}'


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (parquet(sales(SALE))[:-30], "a Parquet file that cannot be read"),
        (b"", "a Parquet file that cannot be read"),
        (b"Invoice,StockCode\n", "a Parquet file that cannot be read"),
        (parquet({"a": [1]}), "not a sales file, none of its 1 column(s) is known; wanted Invoice"),
        (parquet({name: [1] for name in COLUMNS if name != "Price"}), "lacks 1 required column(s): Price"),
        (parquet({**sales(SALE), "price": [1]}), "appear twice"),
    ],
    ids=["cut off", "empty", "text", "no sales", "a missing column", "a column twice"],
)
def test_a_parquet_file_that_is_no_sales_file_is_refused(raw, said):
    assert said in refusal(raw, "x.parquet")


def test_a_broken_parquet_file_is_refused_and_the_others_go_on(tmp_path):
    raw = parquet(sales(*[SALE] * 3000), compression="none", use_dictionary=False)
    (tmp_path / "1_transactions.parquet").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "2_transactions.parquet").write_bytes(raw[:2000] + b"\xff" * 400 + raw[2400:])
    (tmp_path / "3_transactions.parquet").write_bytes(raw)
    reading = read_files(str(tmp_path), list_files(str(tmp_path), "*.parquet"), DAY)
    assert [file for files, _ in reading for file in files["source_file"].to_pylist()][-1] == "3_transactions.parquet"
    assert reading.refused[0].startswith("1_transactions.parquet: a Parquet file that cannot be read (")
    assert reading.refused[0].endswith("send the file again")


def test_a_large_parquet_file_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "ROWS", 100)
    monkeypatch.setattr(reader, "WHOLE_BYTES", 20_000)
    raw = parquet(sales(*[SALE] * 1000), row_group_size=250)
    (tmp_path / "x_transactions.parquet").write_bytes(raw)
    [(files, rows)] = read_files(str(tmp_path), ["x_transactions.parquet"], DAY)
    assert isinstance(rows, StreamedRows)
    assert files["sha256"].to_pylist() == [hashlib.sha256(raw).hexdigest()]
    assert {table.num_rows for table in rows} <= {0, 50, 100}
    assert sum(table.num_rows for table in rows) == 1000


# ── JSON lines ─────────────────────────────────────────────────────────────────────────────────────
def test_json_lines_keep_their_digits_and_further_keys():
    line = json.dumps(dict(zip(COLUMNS, SALE, strict=True)))[:-1]
    raw = json_lines(
        SALE,
        line.replace("6.95", "6.950").replace("13085", "13085.0") + ', "Till": {"no": 7.0, "on": true}, "Tip": 1e-7}',
        GUEST,
    )
    first, second, guest = parse(raw, "x.jsonl").to_pylist()
    assert [first[name] for name in BRONZE] == ["489434", "85048", "BALL, RED", "12", "6.95", "13085", "EIRE", "2025-06-26"]
    assert (second["Price"], second["CustomerID"]) == ("6.950", "13085")
    assert json.loads(second["_rescued_data"]) == {"Till": '{"no": 7.0, "on": true}', "Tip": "0.0000001"}
    assert (guest["CustomerID"], guest["Price"], guest["Description"], guest["_rescued_data"]) == (None, "7", 'SAY "É"', None)


BROKEN = ["{", '{"Invoice": 1', "[1, 2]", "7", "null", "x,y", '{"a": 1, "a": 2}', "[" * 5000, '"']


@pytest.mark.parametrize("line", BROKEN, ids=range(len(BROKEN)))
def test_a_line_that_is_no_object_is_kept_whole(line):
    raw = json_lines(SALE, "", line, GUEST)
    rows = parse(raw, "x.jsonl").to_pylist()
    assert [row["Invoice"] for row in rows] == ["489434", "C489435", None]
    assert json.loads(rows[-1]["_rescued_data"]) == {"_raw": line, "_line": 3}
    assert parse(json_lines(line, SALE), "x.ndjson.gz").num_rows == 2
    _, quarantine = clean(pl.DataFrame(pl.from_arrow(parse(raw, "x.jsonl"))).lazy())
    assert line in [json.loads(text or "{}").get("_raw") for text in quarantine.collect()["_rescued_data"]]


def test_json_lines_are_known_by_content_in_any_encoding():
    raw = json_lines(SALE, GUEST)
    wanted = parse(raw, "x.jsonl")
    for other in (b"\xef\xbb\xbf" + raw, b"\n " + raw, gzip.compress(raw), raw.replace(b"\n", b"\r\n"), raw.rstrip()):
        assert parse(other, "x_transactions.csv").equals(wanted)
    assert parse(raw.decode().encode("utf-16"), "x.jsonl").equals(wanted)
    assert "a JSON document" in refusal(b'{\n"Invoices": []}', "x.csv")


def test_json_keys_of_later_lines_are_kept(monkeypatch):
    monkeypatch.setattr(decode, "PIECE", 300)
    late = json.dumps({**dict(zip(COLUMNS, SALE, strict=True)), "Till": "é\ud800"})
    rows = parse(json_lines(*[SALE] * 20, late, SALE), "x.jsonl").to_pylist()
    assert [row["_rescued_data"] for row in rows if row["_rescued_data"]] == ['{"Till": "é?"}']
    assert len(rows) == 22


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b'{"a": 1}\n', "not a sales file"), (b"x\ny\n", "not a sales file"), (b'{"Invoice": 1}\n', "lacks 5 required column(s)")],
)
def test_json_lines_without_sales_are_refused(raw, said):
    assert said in refusal(raw, "x.jsonl")


def test_an_empty_json_lines_file_has_no_rows():
    assert parse(b"", "x.jsonl").num_rows == parse(b"\n", "x.jsonl").num_rows == 0


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@given(
    st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "x", "y\ud800"]), VALUES, max_size=9), max_size=8), st.integers(1, 400)
)
def test_any_json_objects_are_read_without_loss(objects, size):
    raw = json_lines(SALE) + "".join(json.dumps(one) + "\n" for one in objects).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "PIECE", max(size, len(json_lines(SALE))))
        rows = parse(raw, "x.jsonl").to_pylist()
    assert len(rows) == 1 + len(objects)
    invoices = [one.get("Invoice") for one in objects]  # empty objects are set apart, below the rows of their piece
    assert sum(bool(row["Invoice"]) for row in rows[1:]) == sum(one not in (None, "") and one == one for one in invoices)


@given(
    st.binary(max_size=200),
    st.sampled_from(["x.jsonl", "x.parquet", "x.csv"]),
    st.sampled_from([b"PAR1", b"{", json_lines(SALE)]),
)
def test_any_bytes_raise_nothing_but_an_input_error(raw, name, start):
    for content in (raw, start + raw):
        try:
            assert parse(content, name).column_names[-1] == "_rescued_data"
        except InputError as error:
            assert str(error).startswith(f"{name}: ")  # noqa: PT017 - either way is right


# ── as CSV text ────────────────────────────────────────────────────────────────────────────────────
def test_every_format_can_be_had_as_csv_text():
    wanted = parse(json_lines(SALE, GUEST), "x.jsonl")
    for raw, name in ((json_lines(SALE, GUEST), "x.jsonl"), (parquet(sales(SALE, GUEST)), "x.parquet")):
        assert parse(to_utf8(raw, name), "x.csv").equals(wanted)


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        (b"a;b;c\n1,5;2,5;3,5\n", ";"),
        (b"a,b\n1,2\n", ","),
        (b"a\tb, c\n1\t2\n", "\t"),
        (b"a|b\n1|2\n", "|"),
        (b"CustomerID\n1\n2\n", ","),
        (b"a  b c\n1 2   3\n", " "),
    ],
)
def test_separator_of_a_text(text, separator):
    assert detect_separator(text, blanks=True) == separator
    assert detect_separator(text) == separator.replace(" ", ",")


def test_names_of_columns_decide_the_separator():
    text = b"Invoice;Price,a,b,c,d\n1;2,3,4,5,6\n"
    assert detect_separator(text) == ","
    assert detect_separator(text, {"invoice"}) == ";"


# ── customers ──────────────────────────────────────────────────────────────────────────────────────
def test_customers_are_hashed_in_every_format(monkeypatch):
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "key")
    columns = Columns(hash_customers=True)
    for raw, name in ((json_lines(SALE, "13085"), "x.jsonl"), (parquet(sales(SALE, Till=[7])), "x.parquet")):
        table = parse(raw, name, columns=columns)
        assert table["CustomerID"].to_pylist()[0] == pseudonymize("13085", b"key")
        assert "13085" not in str(table.to_pylist())


@given(st.text(min_size=1, alphabet="0123456789ABCé-"), st.binary(min_size=1))
def test_published_hashes_stay_joinable_with_earlier_ones(customer, key):
    earlier = "c" + hmac.new(key, customer.encode(), hashlib.sha256).hexdigest()[:16]
    assert pseudonymize(customer, key) == pseudonymize(f" {customer}.0 ", key) == Mask(key).one(customer) == earlier


def test_an_id_without_a_letter_or_digit_is_no_customer():
    assert [pseudonymize(text, b"key") for text in ("", " ", ".0")] == [""] * 3
