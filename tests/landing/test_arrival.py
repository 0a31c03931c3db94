"""Files on their way: sent, edited, linked, locked, or here under two names."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import re
import struct
import time
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rfm.contracts import BRONZE, RUN_WARNINGS, SILVER
from rfm.dialect import Columns
from rfm.errors import RfmError
from rfm.lake import Lake, ingest
from rfm.landing import files, sheets
from rfm.landing.files import list_files, temporary
from rfm.landing.reader import FileReader, read_files
from rfm.onboarding import check
from rfm.pipeline import backfill
from rfm.pipeline.run_record import RunRecord, add_warnings
from rfm.pipeline.stages import ingest_files
from rfm.settings import Settings, load_settings

DAY = dt.date(2025, 6, 26)
NAME, OTHER = "2025-06-26_transactions.csv", "2025-06-25_transactions.csv"
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
LINES = "489434,85048,BALL,12,6.95,13085.0,EIRE,2025-06-26\n489435,85048,BOX,1,2.10,13086.0,EIRE,2025-06-26\n"
WHOLE = HEADER + LINES
SENT = [".{}.Xy12Ab", "{}.filepart", "{}.part", "{}.tmp", "{}.partial", "{}.crdownload", "{}.download"]
EDITED = [".#{}", "{}~", "#{}#", ".{}.swp", "._{}", ".DS_Store", ".~lock.{}#", "~${}", ".hidden/{}", "Thumbs.db"]


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """Return the settings of a shop with one whole file."""
    settings = load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"))
    put(settings, NAME, WHOLE)
    return settings


def put(settings: Settings, name: str, text: str) -> Path:
    """Write a file into the landing folder."""
    path = Path(settings.landing) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def arrive(settings: Settings) -> tuple[list[str], dict[str, list[str]]]:
    """Run the first stage; return the files in bronze, and what the run's record says, by kind."""
    lake = Lake(settings.lake)
    backfill.to_bronze(settings, lake, DAY)
    record = RunRecord(DAY, "", "done", "")
    add_warnings(lake, record)
    said = {"warnings": record.warnings, "errors": record.errors or [], "noted": record.noted or []}
    return sorted(lake.count(BRONZE)["source_file"]), said


# ── names ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", SENT + EDITED)
def test_a_temporary_name_is_ignored_and_named(shop, name):
    put(shop, name.format(NAME), HEADER + "489499" + LINES[6:])
    read, said = arrive(shop)
    assert read == [NAME]
    kind = "warnings" if name in SENT else "noted"
    assert [name.format(NAME) in line and line.startswith("1 file(s)") for line in said[kind]] == [True]
    assert sum(map(len, said.values())) == 1


@pytest.mark.parametrize(
    "name", ["2025-06-26_transactions.csv.gz", "a.b_transactions.csv", "part_transactions.csv", "x/y.part.csv"]
)
def test_a_name_of_its_own_is_none(name):
    assert temporary(name) == ""


def test_a_folder_with_nothing_else_says_what_there_is(shop):
    (Path(shop.landing) / NAME).rename(Path(shop.landing) / f"{NAME}.filepart")
    with pytest.raises(RfmError, match=rf"holds no file like .*\(1 still being sent.*{NAME}\.filepart\)"):
        list_files(shop.landing)


def test_other_files_are_counted_in_the_record_only(shop):
    for number in range(5):
        put(shop, f"notes {number}.txt", "x")
    _, said = arrive(shop)
    assert said["warnings"] == []
    assert said["noted"] == ["5 file(s) not like [files] pattern: notes 0.txt, notes 1.txt, notes 2.txt and 2 more"]


# ── files that are not whole yet ───────────────────────────────────────────────────────────────────
def test_a_young_file_that_ends_within_a_line_waits(shop):
    path = put(shop, OTHER, WHOLE[:-5])
    read, said = arrive(shop)
    assert (read, said["errors"]) == ([NAME], [])
    assert said["warnings"][0].startswith(f"{OTHER}: changed 0 seconds ago and ends within a line; left for the next run")
    path.write_text(HEADER + "489436" + LINES[6:])
    assert arrive(shop) == ([OTHER, NAME], {"warnings": [], "errors": [], "noted": []})


@pytest.mark.parametrize(("end", "doubted"), [(12, True), (11, True), (9, True), (13, False), (14, False)])
def test_an_amount_that_may_be_cut_is_read_and_doubted(shop, end, doubted):
    line = "{},85048,BALL,2,13085.0,EIRE,2025-06-25,16.95\n"
    lines = "".join(map(line.format, range(489500, 489512)))
    text = "Invoice,StockCode,Description,Quantity,Customer ID,Country,InvoiceDate,Price\n" + lines
    path = put(shop, OTHER, text[: end - 14] if end < 14 else text)
    os.utime(path, (1, 1))
    read, said = arrive(shop)
    assert (read, said["errors"]) == ([OTHER, NAME], [])
    wanted = f"{OTHER}: the last line has no end, and its last number fewer decimals than those above; if it was cut, "
    assert [one.startswith(wanted) for one in said["warnings"]] == [True] * doubted


def test_doubts_stand_in_the_order_of_the_files(tmp_path):
    lines = "".join(f"{number},X,2,13085,2025-06-25,16.95\n" for number in range(12))
    for number in range(40):  # in groups, which threads read
        (tmp_path / f"{number:02}.csv").write_text(f"Invoice,StockCode,Quantity,Customer ID,InvoiceDate,Price\n{lines}"[:-2])
    columns = Columns(description="", country="")
    reading = read_files(str(tmp_path), sorted(path.name for path in tmp_path.iterdir()), DAY, columns=columns, settle=0)
    list(reading)
    assert [said.partition(":")[0] for said in reading.doubts] == [f"{number:02}.csv" for number in range(40)]


@pytest.mark.parametrize(("settle", "age", "text"), [(0, 0, WHOLE[:-5]), (5, 9, WHOLE[:-5]), (5, 0, WHOLE)])
def test_a_file_that_is_whole_as_far_as_seen_is_read(shop, settle, age, text):
    path = put(shop, OTHER, text.replace("4894", "4895"))
    os.utime(path, (time.time() - age,) * 2)
    files = shop.files.model_copy(update={"settle_seconds": settle})
    assert arrive(shop.model_copy(update={"files": files}))[0] == [OTHER, NAME]


@pytest.mark.skipif(not hasattr(__import__("fcntl"), "F_SETLEASE"), reason="only Linux tells who writes a file")
def test_a_file_that_a_program_writes_waits_at_any_age(shop):
    path = put(shop, OTHER, HEADER + "489436" + LINES[6:])
    os.utime(path, (1, 1))
    with path.open("a"):
        read, said = arrive(shop)
    assert read == [NAME]
    assert said["warnings"] == [f"{OTHER}: is open in a program that writes it; left for the next run"]
    assert arrive(shop)[0] == [OTHER, NAME]


def test_a_file_that_grows_while_it_is_read_waits(shop, monkeypatch):
    path, looks, look = put(shop, OTHER, HEADER + "489436" + LINES[6:]), [], files.still_arriving

    def grown(*given: object) -> str:
        looks.append(given)
        if len(looks) == 3:  # the first file had two looks, this one is before the second
            path.write_text(WHOLE * 2)
        return look(*given)

    monkeypatch.setattr("rfm.landing.reader.still_arriving", grown)
    monkeypatch.setattr("rfm.landing.reader.THREADS", 1)
    put(shop, NAME, WHOLE)
    found = ingest_files(Lake(shop.lake), shop, DAY, files=list_files(shop.landing)[::-1])
    assert found.skipped == [("warning", f"{OTHER}: changes while it is read; left for the next run")]


# ── the same lines twice ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("copy", ["plain", "gzip", "latin-1", "semicolons", "other order"])
def test_the_same_lines_under_a_second_name_are_refused(shop, copy, together):
    text = WHOLE.replace("BOX", "BÖX")
    put(shop, NAME, text)
    if not together:
        arrive(shop)
    again = Path(shop.landing) / f"2025-06-27_{NAME[11:]}"
    bytes_of = {
        "plain": text.encode(),
        "gzip": gzip.compress(text.encode()),
        "latin-1": text.encode("latin-1"),
        "semicolons": text.replace(",", ";").encode(),
        "other order": "".join([HEADER, *reversed(text.removeprefix(HEADER).splitlines(keepends=True))]).encode(),
    }
    again.write_bytes(bytes_of[copy])
    shop = shop.model_copy(update={"date": DAY + dt.timedelta(days=1)})
    lake = Lake(shop.lake)
    backfill.to_bronze(shop, lake, DAY + dt.timedelta(days=1))
    (said,) = lake.rows(RUN_WARNINGS, run_date=DAY + dt.timedelta(days=1)).rows(named=True)
    assert (said["severity"], lake.count(BRONZE).rows()) == ("error", [(NAME, 2)])
    assert said["message"] == f"{again.name}: has the same lines as {NAME}, so it is not read; {ingest.BOTH}"


def test_files_that_share_some_lines_are_both_read(shop):
    put(shop, OTHER, HEADER + LINES.replace("BOX", "BOXES"))
    assert arrive(shop)[0] == [OTHER, NAME]


MANY = [f"4894{n},8504{n % 7},BALL,{n},{n}.50,1308{n % 5}.0,EIRE,2025-06-26" for n in range(40, 60)]
ALIKE = {  # what is done to the lines, and how many of them are the same sales
    "the last line is missing": (lambda lines: lines[:-1], 19),
    "prices have three decimals": (lambda lines: [line.replace(".50,", ".500,") for line in lines], 20),
    "trailing blanks": (lambda lines: [f"{line}  " for line in lines], 20),
    "a line of commas": (lambda lines: [*lines, ",,,,,,,"], 20),
}


def overlaps(settings: Settings, name: str, lines: list[str]) -> list[str]:
    """Read a second file with some lines a day after the first; return the warnings of lines that count twice."""
    put(settings, NAME, HEADER + "\n".join(MANY) + "\n")
    for day in (DAY, DAY + dt.timedelta(days=1)):
        lake = Lake(settings.lake, once=settings.files.overlap == "once")
        backfill.to_bronze(settings, lake, day)
        backfill.to_silver(settings, lake, day)
        put(settings, name, HEADER + "\n".join(lines) + "\n")
    return lake.rows(RUN_WARNINGS, run_date=day, kind="overlap")["message"].to_list()


@pytest.mark.parametrize("how", [next(iter(ALIKE)), *(pytest.param(how, marks=pytest.mark.long) for how in [*ALIKE][1:])])
def test_nearly_the_same_lines_under_a_second_name_are_a_warning(shop, how):
    change, same = ALIKE[how]
    (said,) = overlaps(shop, "2025-06-27_transactions.csv", change(MANY))
    money = sum(Decimal(n) * (n + Decimal("0.5")) for n in range(40, 40 + same))
    assert said.startswith(f"{same} lines, £{money:,.2f}, are in {NAME} and in 2025-06-27_transactions.csv, and count twice; ")


def test_lines_that_count_twice_go_as_the_warning_says(shop):
    assert overlaps(shop, "2025-06-27_transactions.csv", MANY[:-1])
    put(shop, "2025-06-27_transactions.csv", HEADER)
    backfill.to_bronze(shop, Lake(shop.lake), DAY + dt.timedelta(days=1), restate=True)
    backfill.to_silver(shop, Lake(shop.lake), DAY + dt.timedelta(days=1))
    assert Lake(shop.lake).rows(SILVER)["source_file"].unique().to_list() == [NAME]
    assert not len(Lake(shop.lake).rows(RUN_WARNINGS, kind="overlap"))


RIGHT = {  # lines of another file that are sales of their own
    "order numbers start again the next day": [line.replace("06-26", "06-27") for line in MANY],
    "orders of the day continued": [line.replace(",BALL,", ",BOX,").replace(",8504", ",9504") for line in MANY],
    "customers of another till": [line.replace(",1308", ",2308") for line in MANY],
}


@pytest.mark.parametrize("how", [next(iter(RIGHT)), *(pytest.param(how, marks=pytest.mark.long) for how in [*RIGHT][1:])])
def test_sales_of_their_own_are_no_lines_twice(shop, how):
    assert overlaps(shop, "2025-06-27_transactions.csv", RIGHT[how]) == []


def test_exports_that_overlap_by_setting_are_no_lines_twice(shop):
    once = shop.model_copy(update={"files": shop.files.model_copy(update={"overlap": "once"})})
    assert overlaps(once, "2025-06-27_transactions.csv", MANY[:-1]) == []


# ── links and rights ───────────────────────────────────────────────────────────────────────────────
def test_links_are_followed_and_each_file_read_once(shop, tmp_path):
    away, landing = tmp_path / "away", Path(shop.landing)
    away.mkdir()
    (away / OTHER).write_text(HEADER + "489437" + LINES[6:])
    (landing / "folder").symlink_to(away)
    (landing / "latest_transactions.csv").symlink_to(landing / NAME)
    (landing / "round").symlink_to(landing)
    (landing / "up").symlink_to(tmp_path)
    (landing / "gone_transactions.csv").symlink_to(tmp_path / "gone")
    (landing / "again").symlink_to(away)
    read, said = arrive(shop)
    assert read == [NAME, f"again/{OTHER}"]
    assert said["warnings"] == ["1 file(s) a link to nothing, or no file; remove it: gone_transactions.csv"]
    assert sorted(said["noted"]) == [
        f"1 file(s) read through a link that leads out of the landing folder: again/{OTHER}",
        "4 file(s) a link to what is read itself: folder, latest_transactions.csv, round and 1 more",
    ]


def test_what_is_no_file_is_named_and_does_not_block(shop):
    os.mkfifo(Path(shop.landing) / OTHER)
    read, said = arrive(shop)
    assert read == [NAME]
    assert OTHER in said["warnings"][0]


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take the right to list some folders away, also from root."""
    names: list[str] = []
    listed = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name in names:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return names


def test_a_folder_that_may_not_be_entered_is_an_error(shop, closed):
    put(shop, f"inner/{OTHER}", WHOLE)
    closed.append("inner")
    read, said = arrive(shop)
    assert read == [NAME]
    assert said["errors"] == ["1 file(s) may not be read; give the right to, then run again: inner"]


def test_a_landing_folder_that_may_not_be_read_is_no_empty_one(shop, closed):
    closed.append("landing")
    with pytest.raises(RfmError, match=r"landing: cannot be listed \(.*Permission denied.*\); give the right to, then run again"):
        list_files(shop.landing)


# ── limits: one file never stops the others ────────────────────────────────────────────────────────
FAR = '<row r="1"><c r="A1"><v>1</v></c></row><row r="{row}"><c{gap}r={quote}{cell}{quote}><v>1</v></c></row>'
FAR_CELLS = {
    "as Excel writes it": FAR.format(row=1048576, gap=" ", quote='"', cell="XFD1048576"),
    "single quotes": FAR.format(row=1048576, gap=" ", quote="'", cell="XFD1048576"),
    "a line end before": FAR.format(row=1048576, gap="\n", quote='"', cell="XFD1048576"),
    "lower case": FAR.format(row=1048576, gap=" ", quote='"', cell="xfd1048576"),
    "below any sheet": FAR.format(row=99999999, gap=" ", quote='"', cell="XFD99999999"),
    "a prefix": '<x:row r="1"><x:c r="A1"/></x:row><x:row><x:c s="1" r="XFD1048576"/></x:row>',
}


def book(**parts: str | bytes) -> bytes:
    """Return a workbook with these parts."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", "")
        for name, text in parts.items():
            packed.writestr(name, text)
    return content.getvalue()


def record(kind: int, *numbers: int) -> bytes:
    """Return a record of an XLSB workbook."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
    return head + bytes([4 * len(numbers)]) + struct.pack(f"<{len(numbers)}I", *numbers)


EMPTY = "<table:table><table:table-row>{}</table:table-row></table:table>"
VALUE = '<table:table-cell office:value-type="float"/>'
TOO_LARGE = {
    **{f"xlsx, {name}": book(**{"xl/worksheets/sheet1.xml": cells}) for name, cells in FAR_CELLS.items()},
    "xlsx, another part": book(**{"other/place.xml": FAR_CELLS["single quotes"]}),
    "xlsb, cells": book(**{"xl/worksheets/sheet1.bin": record(129) + record(0, 1048575) + record(2, 16383)}),
    "xlsb, declared": book(**{"xl/worksheets/sheet1.bin": record(129) + record(148, 0, 1048575, 0, 16383)}),
    "ods, columns": book(
        **{"content.xml": EMPTY.format('<table:table-cell table:number-columns-repeated="900000000"/>' + VALUE)}
    ),
    "ods, rows": book(
        **{
            "content.xml": '<table:table-row table:number-rows-repeated="2000000000"></table:table-row>'
            + EMPTY.format(VALUE)[14:]
        }
    ),
    "columns": ",".join(f"c{number}" for number in range(3000)).encode() + b"," + WHOLE.encode(),
}


@pytest.mark.parametrize("content", TOO_LARGE.values(), ids=TOO_LARGE)
def test_odd_workbooks_are_refused_and_the_rest_is_read(shop, content):
    (Path(shop.landing) / OTHER).write_bytes(content)
    read, said = arrive(shop)
    assert read == [NAME]
    assert len(said["errors"]) == 1
    assert re.match(f"{OTHER}: (a workbook of more than 50 million cells|3,008 columns, and at most 2,000)", said["errors"][0])


def test_cells_repeated_behind_the_last_value_are_no_size():
    tail = '<table:table-cell table:number-columns-repeated="16000"/>'
    rows = '<table:table-row table:number-rows-repeated="1048000">' + tail + "</table:table-row>"
    assert sheets._extent_of_ods((EMPTY.format(VALUE + tail)[:-14] + rows).encode()) == (1, 1, 1)


@pytest.mark.parametrize("where", [b"{}a,%s\n", b'{}a,"%s\n', b"%s\n{}"], ids=["ragged", "never closed", "above the header"])
def test_a_long_line_is_looked_at_once(shop, where):
    raw = where.replace(b"{}", WHOLE.encode()).replace(b"%s", b"x" * 300_000)
    (Path(shop.landing) / OTHER).write_bytes(raw)
    begun = time.process_time()
    arrive(shop)
    assert time.process_time() - begun < 20  # it took minutes


@pytest.fixture
def broken(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that lets the reader of a second file end in an error that is no Exception."""

    def break_by(kind: str) -> None:
        def rows(reader: FileReader, *given: Any) -> Any:
            if reader.name == OTHER:
                raise type(kind, (BaseException,), {})("Alice")
            return read(reader, *given)

        read = FileReader.rows
        put(shop, OTHER, WHOLE.replace("4894", "4895"))
        monkeypatch.setattr(FileReader, "rows", rows)

    return break_by


def test_a_file_that_breaks_its_reader_does_not_stop_the_others(shop, broken):
    broken("PanicException")
    read, said = arrive(shop)
    assert read == [NAME]
    why = "cannot be read (PanicException); see whether it is there, whole, and may be read, then run again"
    assert said["errors"] == [f"{OTHER}: {why}"]


def test_what_ends_the_process_is_no_fault_of_a_file(shop, broken):
    broken("Cancelled")
    with pytest.raises(BaseException, match="Alice"):
        arrive(shop)


def test_a_name_in_latin_1_is_refused_by_a_printable_name(shop):
    raw = os.fsencode(shop.landing) + b"/2025-06-25_caf\xe9_transactions.csv"
    Path(os.fsdecode(raw)).write_text(WHOLE)
    read, said = arrive(shop)
    assert read == [NAME]
    assert said["errors"] == [r"2025-06-25_caf\xe9_transactions.csv: its name is not UTF-8; rename it, then run again"]
    report = check([shop.landing], DAY)
    assert any(r"caf\xe9" in one.said for one in report.findings)
    assert report.sample.glances.keys() == {NAME}
