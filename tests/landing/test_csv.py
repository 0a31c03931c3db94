"""Malformed files, one fault each and mixtures: every line is in silver or in the quarantine, or its file is refused."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import re
import sys
import zipfile
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.analysis.cleaning import clean
from rfm.contracts import BRONZE, QUARANTINE, SILVER
from rfm.errors import InputError
from rfm.lake import ingest
from rfm.lake.tables import Lake
from rfm.landing.csv import parse, repeated
from rfm.landing.files import list_files
from rfm.landing.reader import read_files

DAY = dt.date(2025, 6, 26)
COLUMNS = ["Invoice", "StockCode", "Description", "Quantity", "Price", "Customer ID", "Country", "InvoiceDate"]
VALUES = ["489434", "85048", "BALL", "12", "6.95", "13085.0", "EIRE", "2025-06-26"]
HEADER, LINE = ",".join(COLUMNS), ",".join(VALUES)


def table(*lines: str, header: str = HEADER, end: str = "\n") -> bytes:
    """Return a file of a header, a good line and more lines."""
    return (end.join([header, LINE, *lines]) + end).encode()


def with_(**changed: str) -> str:
    """Return the good line with other values."""
    return ",".join({**dict(zip(COLUMNS, VALUES, strict=True)), **changed}.values())


def zipped(name: str) -> bytes:
    """Return a ZIP archive with one file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(name, table())
    return target.getvalue()


class Fate(NamedTuple):
    """What becomes of a file's lines: in silver, in the quarantine, and how many of these were rescued as raw text."""

    silver: int
    quarantine: int = 0
    rescued: int = 0


GOOD, ONE_BAD, ONE_RESCUED = Fate(1), Fate(1, 1), Fate(1, 1, 1)
READ: dict[str, tuple[bytes, Fate]] = {
    # nothing, or hardly anything
    "empty": (b"", Fate(0)),
    "blank": (b" \n\r\n\t\n", Fate(0)),
    "header alone": (HEADER.encode(), Fate(0)),
    "byte order mark alone": (b"\xef\xbb\xbf", Fate(0)),
    "gzip of nothing": (gzip.compress(b""), Fate(0)),
    "no last line end": (table()[:-1], GOOD),
    "blank lines before the header": (b"\n\r\n" + table(), GOOD),
    "a spreadsheet's line about the separator": (b"sep=,\r\n" + table(), GOOD),
    "blank lines between": (table("", "", LINE), Fate(2)),
    "a line of blanks": (table("   "), ONE_RESCUED),
    "end of file mark": (table("\x1a"), ONE_RESCUED),
    "zip": (zipped("sales.csv"), GOOD),
    # encodings
    "utf-8 with mark": (b"\xef\xbb\xbf" + table(), GOOD),
    "utf-16": (table().decode().encode("utf-16"), GOOD),
    "utf-16 cut in a character": (table().decode().encode("utf-16")[:-1], Fate(0, 1)),  # the mark stands in the date
    "windows": (table(with_(Description="£ BÄLLE")).decode().encode("cp1252"), Fate(2)),
    "windows and utf-8 mixed": (table(with_(Description="é")) + with_(Description="é").encode("cp1252"), Fate(3)),
    "bytes of no encoding": (table() + b"489434,85048,\x81\x8d,1,1,,,2025-06-26\n", Fate(2)),
    "nul in a field": (table(with_(Description="A\0B")), Fate(2)),
    "nul as an invoice": (table(with_(Invoice="\0")), ONE_BAD),
    "half a character at the end": (table() + LINE.encode() + b"\xc3", Fate(1, 1)),
    "another script": (table(with_(Description="مرحبا 你好 🎈")), Fate(2)),
    # line ends
    "crlf": (table(LINE, end="\r\n"), Fate(2)),
    "cr": (table(LINE, end="\r"), Fate(2)),
    "line ends mixed": (table(LINE).replace(b"\n", b"\r\n", 1) + LINE.encode() + b"\r", Fate(3)),
    # separators and columns
    "semicolons": (table().replace(b",", b";"), GOOD),
    "tabs": (table().replace(b",", b"\t"), GOOD),
    "bars": (table().replace(b",", b"|"), GOOD),
    "a line with another separator": (table(LINE.replace(",", ";")), ONE_RESCUED),
    "columns backwards": (
        b"".join(",".join(reversed(row)).encode() + b"\n" for row in (COLUMNS, VALUES)),
        GOOD,
    ),
    "lower case columns": (table(header=HEADER.lower()), GOOD),
    "blanks around columns": (table(header=HEADER.replace(",", " , ")), GOOD),
    "no country": (b"\n".join(",".join(r[:6] + r[7:]).encode() for r in (COLUMNS, VALUES)), GOOD),
    "an additional column": (f"{HEADER},Till\n{LINE},7\n".encode(), Fate(1)),
    "columns without a name": (f"{HEADER},,\n{LINE},,\n".encode(), GOOD),
    "the header again": (table(HEADER), ONE_RESCUED),
    # ragged lines
    "a line cut off": (table("489434,85048,BA"), ONE_RESCUED),
    "one field": (table("x"), ONE_RESCUED),
    "a field too many": (table(LINE + ",7"), ONE_RESCUED),
    "a field too few": (table(LINE.rpartition(",")[0]), ONE_RESCUED),
    "a comma unquoted": (table(with_(Description="BALL, RED")), ONE_RESCUED),
    "separators alone": (table(",,,,,,,"), ONE_RESCUED),
    "a total below": (table("Total,,,12"), ONE_RESCUED),
    "a remark below": (table("# made by the till"), ONE_RESCUED),
    "many ragged lines": (table(*["a,b"] * 50), Fate(1, 50, 50)),
    # quotes
    "a quoted comma": (table(with_(Description='"BALL, RED"')), Fate(2)),
    "a quoted quote": (table(with_(Description='"SAY ""HI"""')), Fate(2)),
    "a quoted line end": (table(with_(Description='"TWO\nLINES"')), Fate(2)),
    "a stray quote inside": (table(with_(Description='5" BALL')), Fate(2)),
    "two stray quotes that join two lines": (table(with_(Description='"A'), with_(Description='B"')), Fate(2, 1, 1)),
    "a quote never closed on the last line": (table(with_(Description='"BALL')), ONE_RESCUED),
    "a quote never closed": (table(with_(Description='"BALL'), LINE, with_(Description='"RED, WHITE"'), LINE), Fate(4, 1, 1)),
    "a quote never closed in a long file": (table(with_(Description='"BALL'), *[LINE] * 90), Fate(91, 1, 1)),
    "quotes never closed on many lines": (table(*[with_(Description='"BALL'), LINE] * 20), Fate(21, 20, 20)),
    "two fields of many lines": (table(with_(Description='"A\nB"', Country='"C\n\nD"'), LINE), Fate(3)),
    "a field of too many lines": (table(with_(Description='"A' + "\n" * 60 + 'B"')), Fate(1, 2, 2)),
    "a ragged line over two lines": (table('1,2,"A\nB"', LINE), Fate(2, 2, 2)),
    "a quoted line": (table(f'"{LINE}"'), ONE_RESCUED),
    # values
    "invoice missing": (table(with_(Invoice="")), ONE_BAD),
    "invoice too long": (table(with_(Invoice="48943400")), ONE_BAD),
    "stock code missing": (table(with_(StockCode=" ")), ONE_BAD),
    "quantity zero": (table(with_(Quantity="0")), ONE_BAD),
    "quantity in words": (table(with_(Quantity="twelve")), ONE_BAD),
    "quantity broken": (table(with_(Quantity="1.5")), ONE_BAD),
    "quantity huge": (table(with_(Quantity="9" * 30)), ONE_BAD),
    "quantity in another script": (table(with_(Quantity="١٢")), ONE_BAD),
    "price negative": (table(with_(Price="-0.01")), ONE_BAD),
    "price with a currency": (table(with_(Price="£6.95"), with_(Price="6.95 EUR")), Fate(3)),
    "price with a currency within": (table(with_(Price="6€95")), ONE_BAD),
    "price not a number": (table(with_(Price="NaN")), ONE_BAD),
    "price with an exponent": (table(with_(Price="1e3")), ONE_BAD),
    "total too large": (table(with_(Quantity="999999999", Price="99999999")), ONE_BAD),
    "date impossible": (table(with_(InvoiceDate="2025-02-30")), ONE_BAD),
    "date the other way": (table(with_(InvoiceDate="26/06/2025")), ONE_BAD),
    "date missing": (table(with_(InvoiceDate="")), ONE_BAD),
    "date with a time": (table(with_(InvoiceDate="2025-06-26 08:00:00")), Fate(2)),
    "a very long value": (table(with_(Description="x" * 300_000)), Fate(2)),
    "a formula": (table(with_(Description="=1+1")), Fate(2)),
    "everything wrong in a line": (table(with_(Invoice="", StockCode="", Quantity="x", Price="x", InvoiceDate="x")), ONE_BAD),
    # mixtures
    "gzip, utf-16, semicolons": (gzip.compress(table(LINE).replace(b",", b";").decode().encode("utf-16")), Fate(2)),
    "mark, crlf, ragged, bad": (b"\xef\xbb\xbf" + table("x", with_(Quantity="0"), end="\r\n"), Fate(1, 2, 1)),
    "quotes, windows, too many": (
        table(with_(Description='"£, £"'), LINE + ",,").decode().encode("cp1252"),
        Fate(2, 1, 1),
    ),
    "tabs, ragged, no last line end": ((HEADER + "\n" + LINE).replace(",", "\t").encode() + b"\na\tb", ONE_RESCUED),
    "gzip in two parts, cut line": (gzip.compress(table()) + gzip.compress(b"489434,85"), ONE_RESCUED),
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "xlsx": (zipped("xl/workbook.xml"), "an XLSX workbook"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), "an XLS workbook"),
    "zip cut off": (zipped("sales.csv")[:-9], "a ZIP archive that cannot be read"),
    "html": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
    "xml": (b'<?xml version="1.0"?><sales/>', "an XML document"),
    "json": (b'[{"Invoice": 489434}]', "a JSON document"),
    "parquet": (b"PAR1" + bytes(32), "a Parquet file"),
    "bzip2": (bz2.compress(table()), "a bzip2 archive"),
    "xz": (lzma.compress(table()), "an xz archive"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(32), "a picture"),
    "program": (b"\x7fELF" + bytes(32), "a program"),
    "gzip of a pdf": (gzip.compress(b"%PDF-1.4"), "a PDF document"),
    "gzip cut off": (gzip.compress(table(*[LINE] * 90))[:-9], "damaged gzip"),
    "zeros": (bytes(400), "not a sales file"),
    "prose": (b"Dear all,\nfind the sales attached.\n", "not a sales file, none of its 1 column(s) is known"),
    "no header": (LINE.encode(), "not a sales file"),
    "a required column missing": (table(header=HEADER.replace("Price", "Cost")), "lacks 1 required column(s): Price"),
    "two missing": (b"Invoice,StockCode,Description,Quantity,Country,Customer ID\n", "Price, InvoiceDate"),
    "a column twice": (table(header=HEADER.replace("Country", "price")), "appear twice"),
    "a header over two lines": (table(header=HEADER.replace("Customer ID", '"Customer\nID"')), "a column name spans lines"),
}


def named(label: str) -> str:
    """Return the file name of a case."""
    return f"{re.sub('[^a-z0-9]+', '-', label)}_transactions.csv"


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, list[str]]:
    """Take all files in, in one run; return the lake, and what was said of the refused files."""
    root = tmp_path_factory.mktemp("malformed")
    (root / "landing").mkdir()
    for label, (raw, _) in (READ | REFUSED).items():
        (root / "landing" / named(label)).write_bytes(raw)
    lake, folder = Lake(str(root / "lake")), str(root / "landing")
    reading = read_files(folder, ingest.new_files(lake, list_files(folder)), DAY)
    ingest.write_bronze(lake, reading)
    new = ingest.files_to_clean(lake)
    ingest.write_silver(lake, *clean(lake.read(BRONZE, source_file=new)), new)
    return lake, reading.refused


@pytest.fixture(scope="module")
def fates(landed: tuple[Lake, list[str]]) -> dict[str, Fate]:
    """Return what became of the lines of each file that was read."""
    rows = {name: landed[0].read(name).collect() for name in (SILVER, QUARANTINE, BRONZE)}
    rescued = rows[QUARANTINE].filter(pl.col("_rescued_data").is_not_null())
    counts = [dict(one.group_by("source_file").len().rows()) for one in (rows[SILVER], rows[QUARANTINE], rescued)]
    files = landed[0].read("landing_files", layer="bronze").collect()["source_file"]
    return {name: Fate(*(count.get(name, 0) for count in counts)) for name in files}


def test_there_are_many():
    assert len(READ | REFUSED) == len(READ) + len(REFUSED) >= 60
    assert len({named(label) for label in READ | REFUSED}) == len(READ | REFUSED)


@pytest.mark.parametrize("label", READ)
def test_every_line_is_in_silver_or_in_the_quarantine(fates, label):
    assert fates[named(label)] == READ[label][1]


@pytest.mark.parametrize("label", REFUSED)
def test_a_malformed_file_is_refused_by_name_and_reason(landed, fates, label):
    (said,) = [line for line in landed[1] if line.startswith(f"{named(label)}: ")]
    assert REFUSED[label][1] in said
    assert "\n" not in said
    assert named(label) not in fates


def test_rows_of_bronze_are_those_of_silver_and_quarantine(landed):
    total = ingest.reconcile(landed[0])
    assert total["bronze"] == total["silver"] + total["quarantine"] == sum(f.silver + f.quarantine for _, f in READ.values())


def test_rescued_lines_keep_their_text(landed):
    told = landed[0].read(BRONZE, source_file=named("a line cut off")).collect()["_rescued_data"].drop_nulls()
    assert json.loads(told[0]) == {"_raw": "489434,85048,BA", "_line": 3, "_fields": 3}


# ── made bytes ─────────────────────────────────────────────────────────────────────────────────────
PARTS = st.sampled_from(
    [LINE, HEADER, '"', ",", ";", "\n", "\r\n", "\r", "\0", "é", "x", " ", "489434,85048", "\ufeff", "{", "<"]
)
BYTES = st.binary(max_size=200) | st.lists(PARTS, max_size=25).map(lambda parts: "".join(parts).encode())


@given(head=st.sampled_from([b"", HEADER.encode() + b"\n", table()]), body=BYTES)
def test_made_bytes_are_read_whole_or_refused(head, body):
    try:
        rows = pl.DataFrame(parse(head + body, "x.csv"))
    except InputError as error:
        said = str(error)
        assert said.startswith("x.csv: ")
        assert "\n" not in said
        return
    silver, quarantine = clean(rows.lazy())
    assert len(silver.collect()) + len(quarantine.collect()) == len(rows)
    if head and b'"' not in body and b"\0" not in body and not body.startswith(b"\xef"):
        lines = [line for line in re.split(rb"\r\n|\n|\r", body) if line]
        assert len(rows) == len(lines) + (head == table())


@given(
    raw=BYTES,
    encoding=st.sampled_from(["utf-8", "cp1252", "utf-16-le", "latin-1"]),
    separator=st.sampled_from([",", ";", "\t", "|"]),
)
def test_made_bytes_under_any_setting_raise_only_input_errors(raw, encoding, separator):
    for content in (raw, HEADER.encode(encoding) + b"\n" + raw):
        try:
            assert parse(content, "x.csv", encoding, separator).column_names[-1] == "_rescued_data"
        except InputError as error:
            assert str(error).startswith("x.csv: ")  # noqa: PT017 - either way is right


def test_a_set_encoding_and_separator_win():
    raw = (HEADER + "\n" + with_(Description="日本")).replace(",", ";").encode("shift_jis")
    assert parse(raw, "x.csv", "shift_jis", ";").to_pylist()[0]["Description"] == "日本"
    with pytest.raises(InputError, match="not a sales file"):
        parse(raw, "x.csv", "shift_jis", "|")


def test_runs_of_blanks_are_one_separator():
    lines = [
        " " + "   ".join(COLUMNS).replace("Customer ID", "CustomerID"),
        f"  {'  '.join(VALUES)} ",
        "",
        " a   b ",
        '1 2 "A  B" 1 1 7 "x" d',
    ]
    rows = parse("\r\n".join([*lines, ""]).encode(), "x.txt", separator=" ").to_pylist()
    assert list(rows[0].values()) == [*VALUES, None]
    assert rows[1]["Description"] == "A  B"
    assert json.loads(rows[2]["_rescued_data"])["_raw"] == " a   b "


@pytest.mark.skipif(sys.version_info < (3, 11, 5), reason="the other pattern hangs there")
@given(text=st.text('a,"\r\n').map(str.encode))
def test_old_pythons_patterns_match_the_same_text(text):
    inner = rb'[^"\r\n]++|"[^"]*+"|(?<=[^,\r\n])"'
    new, old = (re.compile(repeated(inner, broken)).match(text).end() for broken in (False, True))
    assert new == old
