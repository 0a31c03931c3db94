"""Online Retail II: workbooks in its layout become daily files, byte for byte; an interrupted download resumes."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from rfm import cli
from rfm.datasets import START, ArchiveReport, download, prepare
from rfm.errors import InputError, SettingsError

HEADER = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]
LANDED = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
SHEETS = ("Year 2009-2010", "Year 2010-2011")
UK = "United Kingdom"


def at(day: int, hour: int = 9) -> dt.datetime:
    """Return an hour of a day of December 2010."""
    return dt.datetime(2010, 12, day, hour, 26)


FIRST = [
    [489434, 85048, '15CM BALL, 7"', 12, at(1), 6.95, 13085, UK],
    [489434, "79323P", " PINK LIGHTS ", 12, at(1), 0.001, 13085, UK],
    ["C489449", 22041, "", -1, at(3), 2.1, None, "EIRE"],
    ["A506401", "B", "Adjust bad debt", 1, at(3), -53594.36, None, UK],
]
OVERLAP = [[489500, 21733, 22467, 1, at(6), 18, 12346, UK], [489501, "15056bl", "£5 BOX", 2, at(6, 14), 1234567.5, 12346, UK]]
LAST = [[581587, "POST", "POSTAGE", 1, at(9), 18.0, 12680, "France"]]
DAYS = {
    "2025-06-26": '489434,85048,"15CM BALL, 7""",12,6.95,13085.0,United Kingdom,2025-06-26\n'
    "489434,79323P, PINK LIGHTS ,12,0.001,13085.0,United Kingdom,2025-06-26\n",
    "2025-06-27": "C489449,22041,,-1,2.1,,EIRE,2025-06-27\nA506401,B,Adjust bad debt,1,-53594.36,,United Kingdom,2025-06-27\n",
    "2025-06-28": "489500,21733,22467,1,18.0,12346.0,United Kingdom,2025-06-28\n"
    "489501,15056bl,£5 BOX,2,1234567.5,12346.0,United Kingdom,2025-06-28\n",
    "2025-06-29": "581587,POST,POSTAGE,1,18.0,12680.0,France,2025-06-29\n",
}


def workbook(path: Path, sheets: Mapping[str, list[list[Any]]], header: list[str] = HEADER) -> Path:
    """Write a workbook in the archive's layout."""
    with xlsxwriter.Workbook(path, {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm"}) as book:
        for name, lines in sheets.items():
            sheet = book.add_worksheet(name)
            for i, line in enumerate([header, *lines]):
                sheet.write_row(i, 0, line)
    return path


def comma_separated(path: Path, lines: list[list[Any]]) -> Path:
    """Write lines as the usual CSV of the archive holds them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *([*line[:6], f"{line[6]}.0" if line[6] else "", line[7]] for line in lines)])
    return path


def landed(folder: Path) -> dict[str, str]:
    """Return the text of each daily file below its header, by day."""
    files = {path.name: path.read_bytes().decode() for path in folder.iterdir()}
    assert all(text.startswith(LANDED) for text in files.values())
    return {name.removesuffix("_transactions.csv"): text.removeprefix(LANDED) for name, text in files.items()}


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Return a workbook of two sheets that overlap by a day."""
    return workbook(tmp_path / "online_retail_II.xlsx", {SHEETS[0]: FIRST + OVERLAP, SHEETS[1]: OVERLAP + LAST})


# ── workbooks, and the usual CSV ───────────────────────────────────────────────────────────────────
def test_trading_days_of_both_sheets_become_consecutive_days(both, tmp_path):
    report = prepare(both, str(tmp_path / "landing"))
    assert landed(tmp_path / "landing") == DAYS
    assert report == ArchiveReport(4, 7, START, dt.date(2025, 6, 29), repeated=2, differing=[], others=0)


@pytest.mark.parametrize(("sheet", "lines", "days"), [(SHEETS[0], 6, 3), (SHEETS[1], 3, 2)])
def test_one_sheet_and_another_start(both, tmp_path, sheet, lines, days):
    report = prepare(both, str(tmp_path / "landing"), start=dt.date(2024, 2, 29), sheets=[sheet])
    assert (report.lines, report.files, report.first_day, report.repeated) == (lines, days, dt.date(2024, 2, 29), 0)
    assert min(landed(tmp_path / "landing")) == "2024-02-29"


def test_csv_with_the_overlap_twice_gives_the_same_files(tmp_path):
    source = comma_separated(tmp_path / "online_retail_II.csv", FIRST + OVERLAP + FIRST[2:] + OVERLAP + LAST)
    assert prepare(source, str(tmp_path / "landing")).repeated == 4
    assert landed(tmp_path / "landing") == DAYS


def test_zip_archive_and_the_names_of_the_first_edition(tmp_path):
    former = [{"Invoice": "InvoiceNo", "Price": "UnitPrice", "Customer ID": "CustomerID"}.get(name, name) for name in HEADER]
    book = workbook(tmp_path / "Online Retail.xlsx", {"Online Retail": FIRST + OVERLAP + LAST}, former)
    with zipfile.ZipFile(tmp_path / "online retail.zip", "w") as packed:
        packed.write(book, book.name)
    prepare(tmp_path / "online retail.zip", str(tmp_path / "landing"))
    assert landed(tmp_path / "landing") == DAYS


def test_day_with_other_lines_in_a_later_sheet_is_reported(tmp_path):
    book = workbook(tmp_path / "book.xlsx", {SHEETS[0]: FIRST + OVERLAP, SHEETS[1]: OVERLAP[:1] + LAST})
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "2020-01-01_transactions.csv").write_text(LANDED)
    report = prepare(book, str(tmp_path / "landing"))
    assert (report.repeated, report.differing, report.others) == (1, [dt.date(2010, 12, 6)], 1)
    assert landed(tmp_path / "landing") == {"2020-01-01": "", **DAYS}


def real_workbook(path: Path, files: list[Path]) -> Path:
    """Put daily files together again, in two sheets that overlap by a day."""
    half = len(files) // 2
    sheets = {SHEETS[0]: files[: half + 1], SHEETS[1]: files[half:]}
    return workbook(path, {name: [line for file in days for line in real_lines(file)] for name, days in sheets.items()})


def real_lines(file: Path) -> Iterator[list[Any]]:
    """Return the lines of a daily file as the archive's cells: numbers where it has numbers."""
    with file.open(encoding="utf-8", newline="") as opened:
        for line in csv.DictReader(opened):
            numbers = {name: float(line[name]) for name in ("Quantity", "Price", "Customer ID") if line[name]}
            numbers |= {name: int(line[name]) for name in ("Invoice", "StockCode", "Description") if line[name].isdigit()}
            when = dt.datetime.fromisoformat(line["InvoiceDate"]) - dt.timedelta(days=5684) + dt.timedelta(minutes=477)
            yield [when if name == "InvoiceDate" else numbers.get(name, line[name] or None) for name in HEADER]


@pytest.mark.real
@pytest.mark.parametrize("days", [3, pytest.param(400, marks=pytest.mark.long)])
def test_real_days_come_back_byte_for_byte(real_files, tmp_path, days):
    files = sorted(real_files.rglob("*_transactions.csv"))[:days]
    report = prepare(real_workbook(tmp_path / "book.xlsx", files), str(tmp_path / "landing"))
    assert report.repeated > 0
    assert [name.name for name in sorted((tmp_path / "landing").iterdir())] == [file.name for file in files]
    assert [f.name for f in files if f.read_bytes() != (tmp_path / "landing" / f.name).read_bytes()] == []


# ── what is refused ────────────────────────────────────────────────────────────────────────────────
def refusal(source: Path, folder: Path | str, **given: Any) -> str:
    """Return the one line with which a source is refused."""
    with pytest.raises((InputError, SettingsError)) as caught:
        prepare(source, str(folder), **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column Invoice, StockCode"),
        (b"PK\3\4 and no more", "is not a readable workbook"),
        (b"\xff\xfe\0", "is not a CSV in UTF-8"),
        (",".join(HEADER).encode(), "has no line below its header"),
        (b"Invoice,Price\n1,2\n", "has no column StockCode, Description, Quantity, Customer ID, Country, InvoiceDate"),
        ((",".join(HEADER) + "\n1,2,3\n").encode(), "line 2: has 3 of 8 fields"),
        (
            (",".join(HEADER) + "\n1,2,3,4,1/12/2010 8:26,5,6,UK\n").encode(),
            "line 2: InvoiceDate is not a date",
        ),
    ],
)
def test_source_that_is_no_archive_is_refused(tmp_path, content, said):
    (tmp_path / "x.csv").write_bytes(content)
    assert said in refusal(tmp_path / "x.csv", tmp_path / "landing")
    assert not (tmp_path / "landing").exists()


def test_csv_out_of_order_is_refused_rather_than_half_taken(tmp_path):
    source = comma_separated(tmp_path / "x.csv", [FIRST[0], FIRST[2], FIRST[1]])
    assert "2010-12-01 occurs twice, with different lines; sort the file" in refusal(source, tmp_path / "landing")


def test_sheets_places_and_addresses_that_are_not_there(both, tmp_path):
    assert "unknown sheet 'Year 2010' (did you mean" in refusal(both, tmp_path / "landing", sheets=["Year 2010"])
    assert "cannot be read" in refusal(tmp_path / "none.xlsx", tmp_path / "landing")
    assert "rfm upload" in refusal(both, "s3://shop/landing")
    assert "the folder cannot be created" in refusal(both, both / "landing")
    assert "is not a workbook" in refusal(comma_separated(tmp_path / "x.csv", LAST), tmp_path / "landing", sheets=["x"])


# ── fetching it ────────────────────────────────────────────────────────────────────────────────────
CONTENT = bytes(range(256)) * 40
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


class Web:
    """A server on loopback with one file, that notes the ranges asked for and can break off."""

    def __init__(self, content: bytes) -> None:
        self.content, self.asked, self.breaks_at, self.ranges = content, [], None, True

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer as a web server does."""
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.split("=")[1].rstrip("-")) if asked and self.ranges else 0
        if "missing" in handler.path:
            return handler.send_error(404)
        if start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            return handler.end_headers()
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        handler.wfile.write(self.content[start : self.breaks_at])
        return None


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Web, str]]:
    """Return a server and its address."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    one = Web(CONTENT)
    methods = {"do_GET": lambda self: one.answer(self), "log_message": lambda *_: None}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (BaseHTTPRequestHandler,), methods)) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one, f"http://127.0.0.1:{http.server_port}/public/502/online+retail+ii.zip"
        http.shutdown()
        thread.join()


def complaint(call: Callable[..., Any], *given: Any) -> str:
    """Return the one line with which a download ends."""
    with pytest.raises(InputError) as caught:
        call(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_file_is_fetched_once_and_its_checksum_told(web, tmp_path):
    server, url = web
    assert download(url, tmp_path / "archive", CHECKSUM) == (tmp_path / "archive" / "online+retail+ii.zip", CHECKSUM)
    assert download(url, tmp_path / "archive") == (tmp_path / "archive" / "online+retail+ii.zip", CHECKSUM)
    assert (server.asked, [path.name for path in (tmp_path / "archive").iterdir()]) == ([None], ["online+retail+ii.zip"])


@pytest.mark.parametrize("ranges", [True, False], ids=["in parts", "whole only"])
def test_interrupted_download_resumes(web, tmp_path, ranges):
    server, url = web
    server.breaks_at = 4000
    assert "missing) after 0.0 MB; run again to resume" in complaint(download, url, tmp_path)
    assert not (tmp_path / "online+retail+ii.zip").exists()
    server.breaks_at, server.ranges = None, ranges
    file, _ = download(url, tmp_path, CHECKSUM)
    assert (file.read_bytes(), server.asked) == (CONTENT, [None, "bytes=4000-"])


@pytest.mark.parametrize(("there", "asked"), [(CONTENT, 1), (CONTENT + b"more", 2)], ids=["all of it", "of another file"])
def test_complete_part_is_kept_and_a_longer_one_replaced(web, tmp_path, there, asked):
    server, url = web
    (tmp_path / "online+retail+ii.zip.part").write_bytes(there)
    assert download(url, tmp_path)[1] == CHECKSUM
    assert len(server.asked) == asked


def test_another_checksum_is_refused_and_the_file_removed(web, tmp_path):
    said = complaint(download, web[1], tmp_path, "0" * 64)
    assert CHECKSUM in said
    assert "not 0000" in said
    assert list(tmp_path.iterdir()) == []


def test_server_without_the_file_or_out_of_reach(web, tmp_path):
    assert "the server answers 404" in complaint(download, web[1].replace("ii", "missing"), tmp_path)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        said = complaint(download, f"http://127.0.0.1:{taken.getsockname()[1]}/x.zip", tmp_path)
    assert "cannot be downloaded" in said
    assert "check the internet connection and run again, or name a copy of the file" in said


# ── the verb ───────────────────────────────────────────────────────────────────────────────────────
def test_verb_downloads_and_prepares(web, both, tmp_path, monkeypatch, capsys):
    server, url = web
    server.content = both.read_bytes()
    monkeypatch.setenv("RFM_ARCHIVE__URL", url)
    checksum = hashlib.sha256(server.content).hexdigest()
    assert cli.app(["prepare", "--landing", str(tmp_path / "data" / "landing")], standalone_mode=False) in (0, None)
    said, noted = capsys.readouterr()
    assert f"sha256 {checksum} (to pin it, set sha256 under [archive] in rfm.toml)" in noted
    assert "4 files, 7 lines, 2025-06-26 to 2025-06-29" in said
    assert "2 lines were left out, because an earlier sheet has their days" in noted
    assert landed(tmp_path / "data" / "landing") == DAYS
    assert (tmp_path / "data" / "archive" / "online+retail+ii.zip").is_file()
