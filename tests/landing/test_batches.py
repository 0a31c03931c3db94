"""Small files taken apart as one give the rows that each gives by itself; what is odd about one is told of that one."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rfm.config import Columns
from rfm.landing import reader
from rfm.landing.files import list_files
from rfm.landing.reader import read_files

D = dt.date(2025, 10, 23)
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
LINE = "489434,85048,CHRISTMAS BALL,12,6.95,13085.0,United Kingdom,2025-10-01"
PLAIN = f"{HEADER}\n{LINE}\n{LINE}\n"
ODD = {
    "another header": PLAIN.replace("Invoice,StockCode", "StockCode,Invoice"),
    "a further column": "\n".join(f"{line},x" for line in PLAIN.splitlines()),
    "a missing column": PLAIN.replace(",Price", ""),
    "a column twice": PLAIN.replace("Country", "Price"),
    "another separator": PLAIN.replace(",", ";"),
    "too few fields": f"{PLAIN}489434,85048\n",
    "too many fields": f"{PLAIN}{LINE},1,2\n",
    "a field of two lines": PLAIN.replace("CHRISTMAS BALL", '"CHRISTMAS\nBALL"'),
    "a quote never closed": f'{PLAIN}"{LINE}\n',
    "a quote opened at the end": f'{PLAIN}{LINE[:-10]}"2025',
    "nothing in the first field": f"{HEADER}\n{LINE[6:]}\n",
    "no line": f"{HEADER}\n",
    "no line end": PLAIN.rstrip(),
    "blank lines": f"\n{PLAIN}\n\n{LINE}\n\n",
    "ends of Windows": PLAIN.replace("\n", "\r\n"),
    "a header of two lines": PLAIN.replace("Country", '"Coun\ntry"'),
    "the line between files": PLAIN + ",".join(["\x1aend"] * 8) + f"\n{LINE}\n",
    "no sales": "a,b\n1,2\n",
    "a picture": "GIF89a",
    "a letter of Windows-1252": PLAIN.replace("BALL", "CAFÉ").encode("cp1252"),
    "UTF-16": PLAIN.encode("utf-16"),
    "gzip": gzip.compress(PLAIN.encode()),
    "nothing": b"",
}


def put(folder: str, contents: list[str | bytes]) -> str:
    for number, content in enumerate(contents):
        raw = content if isinstance(content, bytes) else content.encode()
        Path(folder, f"{number:03}_transactions.csv").write_bytes(raw)
    return folder


def read(folder: str, **options: object) -> tuple[list[dict], list[dict], list[str]]:
    """Return the ledger, the rows without the moment of their arrival, and what was refused."""
    reading = read_files(folder, list_files(folder), D, **options)  # type: ignore[arg-type]
    batches = [(pl.DataFrame(ledger).to_dicts(), pl.DataFrame(rows).to_dicts()) for ledger, rows in reading]
    ledger, rows = ([row for batch in batches for row in batch[part]] for part in (0, 1))
    assert all(row.pop("ingestion_timestamp") for row in rows)
    return ledger, rows, reading.refused


def read_alone(folder: str, **options: object) -> tuple[list[dict], list[dict], list[str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "FILES", 1)
        return read(folder, **options)


# ── how many at a time ─────────────────────────────────────────────────────────────────────────────
def test_small_files_are_taken_apart_some_at_a_time(tmp_path, monkeypatch):
    folder = put(str(tmp_path), [PLAIN] * 40)
    assert [len(group) for group in reader.batches(list_files(folder))] == [16, 16, 8]
    calls, inner = [], pyarrow.csv.read_csv
    monkeypatch.setattr(pyarrow.csv, "read_csv", lambda *given, **options: calls.append(1) or inner(*given, **options))
    read(folder)
    assert len(calls) == 3


def test_groups_are_small_and_large_files_stand_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "BYTES", 4 * len(PLAIN))
    folder = put(str(tmp_path), [PLAIN] * 5 + [PLAIN + 400 * f"{LINE}\n"] + [PLAIN] * 2)
    files = list_files(folder)
    assert [len(group) for group in reader.batches(files)] == [4, 1, 1, 2]
    assert [len(group) for group in reader.batches([file._replace(bytes=0) for file in files])] == [1] * 8
    assert [file for group in reader.batches(files) for file in group] == files
    assert list(reader.batches([])) == []


# ── the same rows ──────────────────────────────────────────────────────────────────────────────────
def test_plain_files_keep_their_names_and_order(tmp_path):
    folder = put(str(tmp_path), [f"{HEADER}\n" + LINE.replace("489434", f"{n}") + "\n" for n in range(20)])
    ledger, rows, refused = read(folder)
    assert [row["Invoice"] for row in rows] == [str(n) for n in range(20)]
    assert [row["source_file"] for row in rows] == [f"{n:03}_transactions.csv" for n in range(20)]
    assert (ledger, rows, refused) == read_alone(folder)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_odd_file_among_others_is_read_as_by_itself(tmp_path, odd, place):
    contents: list[str | bytes] = [PLAIN, PLAIN.replace("489434", "489435"), PLAIN]
    contents[place] = ODD[odd]
    folder = put(str(tmp_path), contents)
    assert read(folder) == read_alone(folder)


@pytest.mark.parametrize("odd", ODD)
def test_odd_files_that_are_alike_are_read_as_by_themselves(tmp_path, odd):
    folder = put(str(tmp_path), [ODD[odd]] * 3)
    assert read(folder) == read_alone(folder)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(sorted(ODD)) | st.just(""), min_size=2, max_size=6))
def test_any_files_are_read_as_by_themselves(picked):
    with TemporaryDirectory() as folder:
        put(folder, [ODD.get(name, PLAIN) for name in picked])
        assert read(folder) == read_alone(folder)


PARTS = st.sampled_from(["489434", '"', '""', ",", "\n", "\r\n", "é", " ", LINE, "\x1aend", "x", "12.5"])


@settings(max_examples=150)
@given(st.lists(st.lists(PARTS, max_size=30).map("".join), min_size=2, max_size=4))
def test_any_text_below_the_header_is_read_as_by_itself(bodies):
    with TemporaryDirectory() as folder:
        put(folder, [f"{HEADER}\n{body}" for body in bodies])
        assert read(folder) == read_alone(folder)


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_a_separator_that_is_set(tmp_path, separator):
    line = LINE.replace("CHRISTMAS BALL", "BALL").replace("United Kingdom", "EIRE").replace(",", separator)
    header = HEADER.replace("Customer ID", "Customer").replace(",", separator)
    folder = put(str(tmp_path), [f"{header}\n{line}\n"] * 3)
    found = read(folder, separator=separator, columns=Columns(customer_id="Customer"))
    assert len(found[1]) == 3
    assert found == read_alone(folder, separator=separator, columns=Columns(customer_id="Customer"))


def test_customers_are_hidden_as_in_a_file_by_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("RFM_CUSTOMER_KEY", "a key")
    folder = put(str(tmp_path), [PLAIN] * 3)
    found = read(folder, columns=Columns(hash_customers=True))
    assert {row["CustomerID"][:1] for row in found[1]} == {"c"}
    assert found == read_alone(folder, columns=Columns(hash_customers=True))
