"""A file larger than the memory that it may take: in pieces into bronze and silver, in one commit, whatever goes wrong."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import rfm
from rfm.errors import ContractError, InputError
from rfm.landing import decode, reader
from tests.conftest import ROOT

DAY = dt.date(2025, 6, 26)
NAME = f"{DAY}_transactions.csv"
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
BRONZE, SILVER = "retail_transactions_bronze", "retail_transactions_silver"
MB = 1 << 20
CHILD = """
import datetime as dt, pathlib, sys
import rfm
def most():  # kB; getrusage would give the peak of the parent where that is higher
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
lake, day, before = rfm.Lake(sys.argv[2]), dt.date(2025, 6, 26), most()
rfm.ingest.write_bronze(lake, rfm.read_files(sys.argv[1], rfm.list_files(sys.argv[1]), day))
ingested = most()
new = rfm.ingest.files_to_clean(lake)
silver, quarantine = rfm.clean(lake.read("retail_transactions_bronze", source_file=new))
rows = rfm.ingest.write_silver(lake, silver, quarantine, new)
gold = lake.replace("customer_rfm_gold", rfm.rfm_metrics(lake.read("retail_transactions_silver"), day))
peak = most()
print(rows["bronze"], rows["quarantine"], gold, before // 1024, ingested // 1024, peak // 1024)
"""


def lines(number: int, start: int = 0) -> str:
    """Return lines of many customers and products, one in a hundred without a quantity."""
    return "".join(
        f"{489434 + i // 20},{10000 + i * 7 % 4000},CHRISTMAS BALL OF COLOUR {i % 977},{i % 100},{i % 900 / 100:.2f},"
        f"{12000 + i // 20 * 31 % 5000}.0,United Kingdom,2025-06-{1 + i % 26:02d}\n"
        for i in range(start, start + number)
    )


def big(folder: Path, megabytes: int) -> int:
    """Write a file of some size into a landing folder; return its lines."""
    folder.mkdir()
    block = lines(20_000)
    copies = megabytes * MB // len(block) + 1
    with (folder / NAME).open("w", encoding="utf-8") as target:
        target.write(HEADER)
        target.writelines(block for _ in range(copies))
    return 20_000 * copies


@pytest.mark.parametrize(
    ("megabytes", "ingest_cap", "cap"),
    [pytest.param(40, 600, 1700, marks=pytest.mark.whole), pytest.param(400, 600, 2400, marks=pytest.mark.long)],
)
def test_the_memory_for_a_file_does_not_grow_with_it(tmp_path, megabytes, ingest_cap, cap):
    wanted = big(tmp_path / "landing", megabytes)
    command = [sys.executable, "-c", CHILD, str(tmp_path / "landing"), str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    bronze, quarantine, gold, _, ingested, peak = map(int, done.stdout.split())
    assert (bronze, quarantine, gold) == (wanted, wanted // 100, 1000)
    assert ingested < ingest_cap
    assert peak < cap


# ── exactly once, as any other file ────────────────────────────────────────────────────────────────
@pytest.fixture
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a landing folder with a file that is too large to hold."""
    monkeypatch.setattr(decode, "PIECE", 4096)
    monkeypatch.setattr(reader, "WHOLE_BYTES", 20_000)
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / NAME).write_text(HEADER + lines(1000))
    return tmp_path / "landing"


def ingest(lake: rfm.Lake, landing: Path, restate: bool = False) -> int:
    """Ingest what a run sees."""
    new = rfm.ingest.new_files(lake, rfm.list_files(str(landing)), restate=restate)
    return rfm.ingest.write_bronze(lake, rfm.read_files(str(landing), new, DAY), restate=restate)


def invoices(lake: rfm.Lake) -> pl.DataFrame:
    """Return what bronze holds, in order."""
    return lake.read(BRONZE).select("Invoice", "StockCode", "Quantity", "Description").collect()


def test_a_large_file_enters_bronze_in_one_commit_once(landing, tmp_path):
    lake = rfm.Lake(str(tmp_path / "lake"))
    assert [ingest(lake, landing), ingest(lake, landing)] == [1000, 0]
    assert lake.state()[BRONZE] == (1, 1000)
    again = rfm.read_files(str(landing), [NAME], DAY)
    assert rfm.ingest.write_bronze(lake, again) == 0  # whoever does not ask first
    assert lake.state()[BRONZE] == (1, 1000)


def test_a_large_file_that_changed_is_restated_in_one_commit(landing, tmp_path):
    lake = rfm.Lake(str(tmp_path / "lake"))
    ingest(lake, landing)
    (landing / NAME).write_text(HEADER + lines(900, 50))
    assert ingest(lake, landing) == 0
    assert ingest(lake, landing, restate=True) == 900
    assert lake.state()[BRONZE] == (2, 900)
    assert rfm.ingest.audit(lake)["bronze"] == 900


def test_a_large_file_that_changes_meanwhile_leaves_no_row(landing, tmp_path):
    lake = rfm.Lake(str(tmp_path / "lake"))
    ((files, pieces),) = rfm.read_files(str(landing), [NAME], DAY)
    (landing / NAME).write_text(HEADER + lines(1200))
    with pytest.raises(InputError, match="its content changed while it was read"):
        rfm.ingest.write_bronze(lake, [(files, pieces)])
    assert lake.state()[BRONZE] == (0, 0)
    assert ingest(lake, landing) == 1200


def test_a_large_file_is_written_again_after_a_conflict(landing, tmp_path, monkeypatch):
    lake, tries = rfm.Lake(str(tmp_path / "lake")), []
    module = sys.modules["rfm.lake.tables"]
    write = module._write

    def beaten(*given: object) -> int:
        tries.append(given)
        if len(tries) == 1:
            from deltalake.exceptions import CommitFailedError

            list(given[2])  # all rows went, then somebody was faster
            raise CommitFailedError
        return write(*given)

    monkeypatch.setattr(module, "_write", beaten)
    assert ingest(lake, landing) == 1000
    assert (len(tries), lake.state()[BRONZE]) == (2, (1, 1000))


def test_rows_that_break_the_contract_stop_the_commit(landing, tmp_path):
    lake = rfm.Lake(str(tmp_path / "lake"))
    ((files, pieces),) = rfm.read_files(str(landing), [NAME], DAY)
    half = (table if place < 3 else table.drop_columns("Country") for place, table in enumerate(pieces))
    with pytest.raises(ContractError, match="Country"):
        rfm.ingest.write_bronze(lake, [(files, half)])
    assert lake.state()[BRONZE] == (0, 0)
