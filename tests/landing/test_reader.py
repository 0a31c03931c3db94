"""Landing files: whatever arrives is read as text, rescued with its raw text, or refused by name."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import re
from pathlib import Path

import fsspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.contracts import TABLES
from rfm.errors import InputError, SettingsError
from rfm.landing import decode, files, reader
from rfm.landing.csv import parse
from rfm.landing.files import LandingFile, has_files, list_files
from rfm.landing.reader import StreamedRows, read_files

COLUMNS = ["Invoice", "StockCode", "Description", "Quantity", "Price", "Customer ID", "Country", "InvoiceDate"]
HEADER = ",".join(COLUMNS)
LINE = "489434,85048,CHRISTMAS BALL,12,6.95,13085.0,United Kingdom,2025-06-26"
VALUES = ["489434", "85048", "CHRISTMAS BALL", "12", "6.95", "13085.0", "United Kingdom", "2025-06-26"]
BRONZE = TABLES["retail_transactions_bronze"].names[:9]
DAY = dt.date(2025, 6, 26)


def rows(raw: bytes | str) -> list[dict]:
    """Return the rows of a file, given as bytes or text."""
    return parse(raw.encode() if isinstance(raw, str) else raw, "x.csv").to_pylist()


def csv(*lines: str, header: str = HEADER) -> str:
    """Return a file of lines."""
    return "\n".join([header, *lines]) + "\n"


def refusal(raw: bytes | str) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises(InputError) as caught:
        rows(raw)
    message = str(caught.value)
    assert message.startswith("x.csv: ")
    assert "\n" not in message
    return message


def put(folder: Path, *names: str, text: str = csv(LINE)) -> str:
    """Write files into a landing folder; return its path."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder)


def names(folder: str, **wanted: object) -> list[str]:
    """Return the names of the files that a run sees."""
    return [file.source_file for file in list_files(folder, **wanted)]


def read(folder: str, *files: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read files; return the ledger and the rows."""
    ledgers, tables = zip(*read_files(folder, files, DAY), strict=True)
    return pl.concat(map(pl.from_arrow, ledgers)), pl.concat(map(pl.from_arrow, tables))


# ── the bytes ──────────────────────────────────────────────────────────────────────────────────────
def test_a_line_becomes_a_row_of_text():
    table = parse(csv(LINE).encode(), "x.csv")
    assert table.column_names == BRONZE
    assert {str(kind) for kind in table.schema.types} == {"string"}
    assert list(table.to_pylist()[0].values()) == [*VALUES, None]


POUND = csv(LINE.replace("CHRISTMAS BALL", "£1 BÄLLE"))


@pytest.mark.parametrize(
    "raw",
    [
        POUND.encode(),
        POUND.encode("utf-8-sig"),
        POUND.encode("utf-16"),
        b"\xfe\xff" + POUND.encode("utf-16-be"),
        POUND.encode("cp1252"),
        gzip.compress(POUND.encode()),
        gzip.compress(POUND.encode("utf-16")),
        POUND.replace("\n", "\r\n").encode(),
        POUND.replace("\n", "\r").encode(),
        POUND.rstrip("\n").encode(),
        gzip.compress(POUND.encode()[:90]) + gzip.compress(POUND.encode()[90:]),
    ],
    ids=[
        "utf-8",
        "bom",
        "utf-16",
        "utf-16 big",
        "cp1252",
        "gzip",
        "gzip utf-16",
        "crlf",
        "cr",
        "no last line end",
        "gzip in parts",
    ],
)
def test_encodings(raw):
    assert [list(row.values()) for row in rows(raw)] == [["489434", "85048", "£1 BÄLLE", *VALUES[3:], None]]


def test_encodings_may_be_mixed_line_by_line():
    raw = csv(LINE).encode() + "1,2,é,1,1,,,2025-06-26\n".encode() + "1,2,é,1,1,,,2025-06-26\n".encode("cp1252")
    assert [row["Description"] for row in rows(raw)] == ["CHRISTMAS BALL", "é", "é"]


def test_bytes_that_no_encoding_knows_are_kept_as_a_mark():
    assert rows(csv(LINE).encode() + b"1,2,a\x81b,1,1,,,2025-06-26\n")[1]["Description"] == "a\ufffdb"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(separator):
    text = csv(separator.join(VALUES), header=separator.join(COLUMNS))
    assert list(rows(text)[0].values()) == [*VALUES, None]


def test_a_decimal_comma_stays_in_its_field():
    assert rows(csv("1;2;A;1;6,95;;;2025-06-26", header=";".join(COLUMNS)))[0]["Price"] == "6,95"


@pytest.mark.parametrize("damage", [lambda raw: raw[:-12], lambda raw: raw[:30], lambda raw: raw[:20] + b"\0\0\0\0" + raw[24:]])
def test_a_damaged_gzip_is_refused(damage):
    whole = gzip.compress(csv(*[LINE] * 50).encode())
    assert "damaged gzip" in refusal(damage(whole))


# ── the table ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("held", ["RED, WHITE", 'SAY ""HI""', "TWO\nLINES", "TWO\r\nLINES", " LEADING", "", "a;b\tc|d"])
def test_quoted_fields(held):
    found = rows(csv(f'1,2,"{held}",12,6.95,,,2025-06-26', LINE))
    assert found[0]["Description"] == (held.replace('""', '"') or None)
    assert [row["_rescued_data"] for row in found] == [None, None]
    assert found[1]["Invoice"] == "489434"


def test_empty_fields_are_null_and_other_texts_stay_as_they_are():
    found = rows(csv('001,"",NA, 12 ,nan,null,None,0x1'))[0]
    assert list(found.values()) == ["001", None, "NA", " 12 ", "nan", "null", "None", "0x1", None]


def test_columns_in_another_order():
    order = [COLUMNS.index(name) for name in reversed(COLUMNS)]
    text = csv(",".join(VALUES[i] for i in order), header=",".join(COLUMNS[i] for i in order))
    assert list(rows(text)[0].values()) == [*VALUES, None]


@pytest.mark.parametrize("spelt", ["customer_id", "CUSTOMER ID", "CustomerID", " Customer ID ", '"Customer ID"'])
def test_spellings_of_a_column(spelt):
    assert rows(csv(LINE, header=HEADER.replace("Customer ID", spelt)))[0]["CustomerID"] == "13085.0"


@pytest.mark.parametrize("optional", ["Description", "Country"])
def test_an_optional_column_may_be_missing(optional):
    keep = [i for i, name in enumerate(COLUMNS) if name != optional]
    found = rows(csv(",".join(VALUES[i] for i in keep), header=",".join(COLUMNS[i] for i in keep)))[0]
    assert found[optional] is None
    assert found["Invoice"] == "489434"
    assert found["_rescued_data"] is None


def test_additional_columns_are_kept_as_json():
    found = rows(csv(f"{LINE},£1,web", f"{LINE},,", f"{LINE},,shop", header=f"{HEADER},Coupon,Channel"))
    assert [row["_rescued_data"] for row in found] == ['{"Coupon": "£1", "Channel": "web"}', None, '{"Channel": "shop"}']
    assert [row["Invoice"] for row in found] == ["489434"] * 3


def test_columns_without_a_name_are_named_by_their_place():
    found = rows(csv(f"{LINE},,", f"{LINE},,note", header=f"{HEADER},,"))
    assert [row["_rescued_data"] for row in found] == [None, '{"column 10": "note"}']
    assert [row["Invoice"] for row in found] == ["489434", "489434"]


@pytest.mark.parametrize("line", [LINE + ",too,much", "489434,85048", '1,2,"RED', "x"])
def test_a_line_that_does_not_fit_is_rescued_with_its_raw_text(line):
    found = rows(csv(LINE, line)) if '"' not in line else rows(csv(LINE, line + '"'))
    assert len(found) == 2
    good, rescued = found
    assert good["_rescued_data"] is None
    assert all(rescued[name] is None for name in BRONZE[:8])
    told = json.loads(rescued["_rescued_data"])
    assert told["_raw"].startswith(line)
    assert told["_line"] == 3
    assert told["_fields"] == line.count(",") + 1


def test_every_bad_line_among_good_ones_is_kept():
    found = rows(csv(LINE, "a,b", LINE, "c", LINE + ",d", LINE))
    assert sum(row["_rescued_data"] is None for row in found) == 3
    assert [json.loads(row["_rescued_data"])["_raw"] for row in found[3:]] == ["a,b", "c", LINE + ",d"]


def test_blank_lines_are_no_rows():
    assert len(rows(csv(LINE, "", LINE, "", ""))) == 2


@pytest.mark.parametrize("raw", ["", "\n", "  \n\n", HEADER, HEADER + "\n", "\ufeff", HEADER + "\r\n\r\n"])
def test_a_file_without_lines_has_no_rows(raw):
    table = parse(raw.encode(), "x.csv")
    assert table.num_rows == 0
    assert table.column_names == BRONZE


def test_a_gzip_of_nothing_has_no_rows():
    assert rows(gzip.compress(b"")) == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\n", "not a sales file"),
        (b"PK\x03\x04\x14\0\x06\0binary", "not a sales file"),
        (b'{"Invoices": 5}\n', "not a sales file"),
        (LINE, "not a sales file"),
        (csv(LINE, header="a,b,c,d,e,f,g,h"), "wanted Invoice, StockCode"),
        (
            csv(LINE, header=HEADER.replace("Price", "Cost").replace("InvoiceDate", "When")),
            "lacks 2 required column(s): Price, InvoiceDate",
        ),
        (csv(LINE, header=HEADER.replace("Country", "Price")), "column(s) Price appear twice"),
        (csv(LINE, header=HEADER.replace("Country", "price")), "appear twice"),
    ],
)
def test_a_file_that_is_no_sales_file_is_refused(raw, said):
    assert said in refusal(raw)


def test_two_stray_quotes_do_not_swallow_a_line():
    found = rows(csv(LINE, '1,2,"A,1,1,,,2025-06-26', '3,4,B",1,1,,,2025-06-26', LINE))
    assert [row["Invoice"] for row in found] == ["489434", "3", "489434", None]
    assert json.loads(found[3]["_rescued_data"]) == {"_raw": '1,2,"A,1,1,,,2025-06-26', "_line": 3, "_fields": 8}


@pytest.mark.parametrize("after", [0, 1, 3, 200])
def test_a_quote_that_is_never_closed_takes_no_other_line_along(after):
    quoted = LINE.replace("CHRISTMAS BALL", '"RED, WHITE"')
    found = rows(csv(quoted, '1,2,"A,1,1,,,2025-06-26', *[LINE] * after, quoted, "x", quoted))
    assert sum(row["_rescued_data"] is None for row in found) == after + 3
    told = [json.loads(row["_rescued_data"]) for row in found if row["_rescued_data"]]
    assert [(line["_line"], line["_raw"]) for line in told] == [(3, '1,2,"A,1,1,,,2025-06-26'), (after + 5, "x")]


def test_a_field_of_two_lines_with_separators_stays_whole():
    assert rows(csv('1,2,"RED,\nWHITE, BLUE",1,1,,,2025-06-26'))[0]["Description"] == "RED,\nWHITE, BLUE"


FIELDS = st.text(alphabet=st.sampled_from('ab1 ,"\n\r;\t|£\0\\'), max_size=6)


@given(body=st.binary(max_size=120) | st.lists(FIELDS, max_size=30).map(lambda parts: ",".join(parts).encode()))
def test_bytes_below_a_header_raise_only_input_errors(body):
    try:
        table = parse(csv(LINE).encode() + body, "x.csv")
    except InputError as error:
        said = str(error)
        assert said.startswith("x.csv: ")
    else:
        assert table.column_names == BRONZE
        assert list(table.to_pylist()[0].values()) == [*VALUES, None]


WORDS = st.text(alphabet=st.sampled_from("ab1 ;|£"), max_size=5)


@given(lines=st.lists(st.lists(WORDS, min_size=1, max_size=11), max_size=12))
def test_every_line_is_accounted_for(lines):
    texts = [",".join(fields) for fields in lines]
    found = rows(csv(LINE, *texts))
    filled = [(text, fields) for text, fields in zip(texts, lines, strict=True) if text]
    assert len(found) == 1 + len(filled)
    good = [list(row.values())[:8] for row in found if row["_rescued_data"] is None][1:]
    assert good == [[field or None for field in fields] for _, fields in filled if len(fields) == 8]
    raw = [json.loads(row["_rescued_data"])["_raw"] for row in found if row["_rescued_data"]]
    assert raw == [text for text, fields in filled if len(fields) != 8]


# ── in pieces ──────────────────────────────────────────────────────────────────────────────────────
RECORDS = st.sampled_from(
    [
        LINE,
        '1,2,"A\nB",1,1,,,2025-06-26',
        '1,2,"A ""B"", C",1,1,,,d',
        '1,2,"A,1,1,,,d',
        '1,2,5" A,1,1,,,d',
        "x",
        '"',
        "",
        "1,2,é,,,,,",
    ]
)


@given(lines=st.lists(RECORDS, max_size=12), size=st.integers(1, 90), end=st.sampled_from(["\n", "\r\n"]), zipped=st.booleans())
def test_pieces_of_any_size_give_the_same_rows(lines, size, end, zipped):
    raw = end.join([HEADER, *lines]).encode("cp1252")
    raw = gzip.compress(raw) if zipped else raw
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "PIECE", size)
        cut = rows(raw)
    assert sorted(cut, key=repr) == sorted(rows(raw), key=repr)


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "shift_jis"])
def test_pieces_of_another_encoding_are_cut_between_characters(monkeypatch, codec):
    raw = csv(*[LINE.replace("BALL", "球")] * 40).encode(codec)
    monkeypatch.setattr(decode, "PIECE", 331)
    found = parse(raw, "x.csv", "auto" if codec == "utf-16" else codec).to_pylist()
    assert [row["Description"] for row in found] == ["CHRISTMAS 球"] * 40


def test_a_line_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(decode, "PIECE", 100)
    monkeypatch.setattr(decode, "LONGEST_LINE", 1000)
    assert "more than 0 MB without a line end" in refusal(csv(LINE, "x" * 2000))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file of a few lines be too large to hold."""
    monkeypatch.setattr(decode, "PIECE", 200)
    monkeypatch.setattr(reader, "WHOLE_BYTES", 1000)


def test_a_large_file_can_be_streamed_several_times(tmp_path, small):
    put(tmp_path, "1_transactions.csv", "3_transactions.csv")
    put(tmp_path, "2_transactions.csv", text=csv(*[LINE] * 400, "x"))
    (large, pieces), (files, whole) = read_files(str(tmp_path), [f"{i}_transactions.csv" for i in (1, 2, 3)], DAY)
    assert files["source_file"].to_pylist() == ["1_transactions.csv", "3_transactions.csv"]
    raw = (tmp_path / "2_transactions.csv").read_bytes()
    assert large.select(["bytes", "sha256"]).to_pylist() == [{"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}]
    assert isinstance(pieces, StreamedRows)
    for _ in range(2):
        tables = list(pieces)
        assert len(tables) > 10
        assert sum(table.num_rows for table in tables) == len(pl.DataFrame(pieces)) == 401
        assert {table.schema for table in tables} == {whole.schema}


@pytest.mark.parametrize("change", [lambda raw: raw.replace(b"BALL", b"BELL"), lambda raw: raw + raw])
def test_a_large_file_that_changed_since_it_was_read_is_refused(tmp_path, small, change):
    folder = put(tmp_path, "2_transactions.csv", text=csv(*[LINE] * 50))
    ((_, pieces),) = read_files(folder, ["2_transactions.csv"], DAY)
    (tmp_path / "2_transactions.csv").write_bytes(change((tmp_path / "2_transactions.csv").read_bytes()))
    with pytest.raises(InputError, match="2_transactions.csv: its content changed while it was read; nothing of it was written"):
        list(pieces)


def test_a_large_damaged_gzip_is_refused_before_a_row_is_read(tmp_path, small):
    put(tmp_path, "1_transactions.csv")
    (tmp_path / "2_transactions.csv.gz").write_bytes(gzip.compress(csv(*[LINE] * 50).encode())[:-6])
    reading = read_files(str(tmp_path), ["2_transactions.csv.gz", "1_transactions.csv"], DAY)
    assert [table.num_rows for _, table in reading] == [1]
    assert "damaged gzip" in reading.refused[0]


# ── the folder ─────────────────────────────────────────────────────────────────────────────────────
def test_files_come_in_order_of_date_and_name(tmp_path):
    put(tmp_path, "b_2025-06-27_transactions.csv", "2025-06-26/2025-06-26_transactions.csv", "2025-06-27_transactions.csv.gz")
    put(tmp_path, "shop_transactions.csv", "readme.txt", "2025-06-26.csv", ".hidden")
    assert names(str(tmp_path)) == [
        "shop_transactions.csv",
        "2025-06-26/2025-06-26_transactions.csv",
        "2025-06-27_transactions.csv.gz",
        "b_2025-06-27_transactions.csv",
    ]


def test_the_date_comes_from_the_name_not_from_the_folder(tmp_path):
    put(tmp_path, "2025-06-26/2025-07-01_transactions.csv", "2025-06-26/x_transactions.csv", "2025-02-30_transactions.csv")
    dates = {file.source_file: file.file_date for file in list_files(str(tmp_path))}
    assert dates == {
        "2025-06-26/2025-07-01_transactions.csv": dt.date(2025, 7, 1),
        "2025-06-26/x_transactions.csv": None,
        "2025-02-30_transactions.csv": None,
    }


def test_the_second_date_counts_if_the_first_is_impossible(tmp_path):
    put(tmp_path, "2025-99-99_2025-06-26_transactions.csv")
    assert list_files(str(tmp_path))[0].file_date == DAY


def test_a_run_sees_files_up_to_its_date_or_without_one(tmp_path):
    folder = put(tmp_path, *(f"2025-06-{day}_transactions.csv" for day in (26, 27, 28)), "late_transactions.csv")
    assert names(folder, until=dt.date(2025, 6, 27)) == [
        "late_transactions.csv",
        "2025-06-26_transactions.csv",
        "2025-06-27_transactions.csv",
    ]
    assert names(folder, until=dt.date(2025, 6, 1)) == ["late_transactions.csv"]
    assert len(names(folder)) == 4


def test_the_pattern_of_names_is_the_shops(tmp_path):
    folder = put(tmp_path, "2025-06-26_transactions.csv", "sales-1.txt")
    assert names(folder, pattern="sales-*.txt") == ["sales-1.txt"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (True, r"holds no file like \*_transactions\.csv\* \(1 not like \[files\] pattern: notes\.txt\)"),
        (False, "there is no such folder"),
    ],
    ids=["empty", "missing"],
)
def test_an_empty_or_missing_folder_says_what_to_do(tmp_path, made, said):
    folder = tmp_path / "landing"
    if made:
        put(folder, "notes.txt")
    with pytest.raises(SettingsError, match=rf"{said}; .*rfm sample") as caught:
        list_files(str(folder))
    assert str(folder) in str(caught.value)


def test_a_date_before_the_first_file_says_which_is_the_first(tmp_path):
    folder = put(tmp_path, "2025-06-27_transactions.csv", "2025-06-26_transactions.csv")
    with pytest.raises(SettingsError, match=r"none of 2 file\(s\) is dated up to 2025-06-25; the first is of 2025-06-26"):
        list_files(folder, until=dt.date(2025, 6, 25))


def test_an_unknown_kind_of_address_is_refused():
    with pytest.raises(SettingsError, match=r"nosuch://x: .*; use a folder or an s3:// address"):
        list_files("nosuch://x")


def test_a_folder_that_cannot_be_listed_is_an_input_error(monkeypatch):
    class Broken(fsspec.AbstractFileSystem):
        def find(self, *_: object, **__: object) -> None:
            raise OSError("the line is down")

    monkeypatch.setattr(files, "filesystem", lambda url: (Broken(skip_instance_cache=True), url))
    with pytest.raises(InputError, match=r"s3://shop: cannot be listed \(the line is down\)"):
        list_files("s3://shop")


def test_any_file_that_is_not_hidden_counts_as_one(tmp_path):
    landing = tmp_path / "landing"
    assert not has_files(str(landing))
    put(landing, ".gitignore")
    assert not has_files(str(landing))
    put(landing, "orders.csv")
    assert has_files(str(landing))


# ── reading files ──────────────────────────────────────────────────────────────────────────────────
def test_rows_know_their_file_and_their_run(tmp_path):
    folder = put(tmp_path, "2025-06-26_transactions.csv", "a/x_transactions.csv")
    ledger, table = read(folder, *names(folder))
    assert table.schema == TABLES["retail_transactions_bronze"].polars
    assert table["source_file"].to_list() == ["a/x_transactions.csv", "2025-06-26_transactions.csv"]
    assert table["processing_date"].to_list() == [DAY, DAY]
    assert table["ingestion_timestamp"].null_count() == 0
    raw = csv(LINE).encode()
    assert ledger.rows() == [
        ("a/x_transactions.csv", None, len(raw), hashlib.sha256(raw).hexdigest(), DAY, None),
        ("2025-06-26_transactions.csv", DAY, len(raw), hashlib.sha256(raw).hexdigest(), DAY, None),
    ]


@pytest.mark.parametrize(
    "name", ["a [1]_transactions.csv", "it's_transactions.csv", "a%20b?_transactions.csv", "ä b_transactions.csv"]
)
def test_names_are_names_not_patterns(tmp_path, name):
    folder = put(tmp_path, name, "a 1_transactions.csv")
    ledger, table = read(folder, name)
    assert name in names(folder)
    assert ledger["source_file"].to_list() == table["source_file"].to_list() == [name]


def test_a_file_without_rows_counts_as_seen(tmp_path):
    put(tmp_path, "1_transactions.csv", text="")
    put(tmp_path, "2_transactions.csv", text=HEADER)
    ledger, table = read(str(tmp_path), "1_transactions.csv", "2_transactions.csv")
    assert ledger["source_file"].to_list() == ["1_transactions.csv", "2_transactions.csv"]
    assert len(table) == 0


def test_no_files_give_nothing(tmp_path):
    assert list(read_files(str(tmp_path), [], DAY)) == []


def test_refused_files_are_named_and_the_others_are_read(tmp_path):
    put(tmp_path, "1_transactions.csv", text="what\nis this")
    put(tmp_path, "2_transactions.csv", "4_transactions.csv")
    put(tmp_path, "3_transactions.csv", text=csv(LINE, header=HEADER.replace("Price", "Cost")))
    reading = read_files(str(tmp_path), [f"{i}_transactions.csv" for i in (1, 2, 3, 4)], DAY)
    ((ledger, table),) = reading
    assert ledger["source_file"].to_pylist() == ["2_transactions.csv", "4_transactions.csv"]
    assert table.num_rows == 2
    assert [line.partition(":")[0] for line in reading.refused] == ["1_transactions.csv", "3_transactions.csv"]
    assert "not a sales file, none of its 1 column(s) is known" in reading.refused[0]
    assert "lacks 1 required column(s): Price" in reading.refused[1]
    assert "\n" not in "".join(reading.refused)


def test_a_file_that_vanished_is_refused_by_name(tmp_path):
    reading = read_files(str(tmp_path), ["gone_transactions.csv"], DAY)
    assert list(reading) == []
    assert re.match(
        r"gone_transactions\.csv: cannot be read \(No such file or directory\); see whether it is there", reading.refused[0]
    )


def test_going_through_a_reading_again_tells_refusals_once(tmp_path):
    reading = read_files(str(tmp_path), ["gone_transactions.csv"], DAY)
    assert (list(reading), list(reading), len(reading.refused)) == ([], [], 1)


# ── alike small files ──────────────────────────────────────────────────────────────────────────────
def read_all(landed: list[bytes], group: int, **settings: object) -> tuple[list, list, list]:
    """Return ledger, rows without their time, and refusals of files that are parsed as one in groups of a size."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe({f"/alike/{place}_transactions.csv": raw for place, raw in enumerate(landed)})
    files = [LandingFile(f"{place}_transactions.csv", None, len(raw)) for place, raw in enumerate(landed)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "GROUP_FILES", group)
        reading = read_files("memory://alike", files, DAY, **settings)
        ledger, tables = [], []
        for entries, table in reading:
            ledger += entries.to_pylist()
            tables += table.drop_columns("ingestion_timestamp").to_pylist()
    return ledger, sorted(tables, key=repr), reading.refused


SALES = st.lists(
    st.sampled_from([LINE, LINE.replace("489434", ""), '1,2,"A ""B"", C",1,1,7,,2025-06-26', "1,2,é,,,,,"]), max_size=4
)
ODD = st.lists(
    RECORDS | st.sampled_from(["Total,,,3", "Total,,,3,,,,", HEADER, '1,2,"never closed', "\x1aend", ",,,,,,,"]), max_size=3
)
HEADERS = st.sampled_from([HEADER] * 4 + [HEADER + ",", HEADER.replace(",", ";"), "Sales\n\n" + HEADER, f'"{HEADER}', "", "x,y"])
ALIKE = st.builds(lambda lines: "\n".join([HEADER, *lines, ""]).encode(), SALES)
OTHERS = st.builds(
    lambda header, lines, odd, end, codec, pack: pack(end.join([header, *lines, *odd]).encode(codec)),
    *(HEADERS, SALES, ODD, st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"])),
    st.sampled_from([bytes, bytes, gzip.compress, lambda raw: raw + b"\n"]),
)


@given(
    landed=st.lists(ALIKE | OTHERS, min_size=2, max_size=6) | st.lists(ALIKE, min_size=2, max_size=6),
    group=st.integers(2, 6),
    settings=st.sampled_from([{}, {"separator": ","}, {"fill_down": ("Invoice",), "count_orders": ("Invoice",)}]),
)
def test_files_parsed_as_one_have_the_rows_of_each_alone(landed, group, settings):
    assert read_all(landed, group, **settings) == read_all(landed, 1, **settings)


@pytest.mark.parametrize("odd", [None, "one field", "another header", "gzip"])
def test_only_alike_files_are_parsed_as_one(monkeypatch, odd):
    calls, parse_records = [], reader.read_records
    monkeypatch.setattr(reader, "read_records", lambda *given: calls.append(given) or parse_records(*given))
    last = {
        "one field": csv(LINE, "x").encode(),
        "another header": csv(header=HEADER + ",Till").encode(),
        "gzip": gzip.compress(csv(LINE).encode()),
    }
    found = read_all([csv(LINE, LINE).encode(), csv(LINE).encode(), last.get(odd, csv(LINE).encode())], 3)
    assert len(calls) == (0 if odd in ("another header", "gzip") else 1)
    assert found == read_all([csv(LINE, LINE).encode(), csv(LINE).encode(), last.get(odd, csv(LINE).encode())], 1)


def test_large_input_comes_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "BATCH_BYTES", 300)
    folder = put(tmp_path, *(f"{i}_transactions.csv" for i in range(7)))
    sizes = [(files.num_rows, table.num_rows) for files, table in read_files(folder, names(folder), DAY)]
    assert sizes == [(3, 3), (3, 3), (1, 1)]


def test_another_file_system():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe_file("/shop/daily/2025-06-26/2025-06-26_transactions.csv", csv(LINE, LINE).encode())
    system.pipe_file("/shop/daily/2025-06-27 [1]_transactions.csv", csv(LINE).encode())
    found = names("memory://shop/daily", until=DAY)
    assert found == ["2025-06-26/2025-06-26_transactions.csv"]
    ledger, table = read("memory://shop/daily", *names("memory://shop/daily"))
    assert table["source_file"].value_counts(sort=True).rows() == [(found[0], 2), ("2025-06-27 [1]_transactions.csv", 1)]
    assert ledger["bytes"].to_list() == [len(csv(LINE, LINE)), len(csv(LINE))]
    system.store.clear()
