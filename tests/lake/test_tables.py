"""The lake: every write is checked and whole, every landing file is there once, whoever dies or races."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import deltalake
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake.exceptions import CommitFailedError

from rfm.analysis.cleaning import clean
from rfm.contracts import BRONZE, QUARANTINE, SILVER, TABLES, conform
from rfm.errors import ContractError, InputError
from rfm.lake import delta, ingest, ledger, open_lake
from rfm.lake.tables import LEDGER, Lake, State, newest_per_order
from rfm.landing.files import list_files
from rfm.landing.reader import read_files
from rfm.pipeline import stages
from rfm.settings import load_settings

GOLD, HISTORY = "customer_rfm_gold", "customer_rfm_kmeans_clustered_history"
DAY = dt.date(2025, 6, 26)
NEXT = dt.date(2025, 6, 27)
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
GOOD = "489434,85048,BALL,12,6.95,13085.0,EIRE,2025-06-26"
BAD = "489435,85048,BALL,-1,6.95,13085.0,EIRE,2025-06-26"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Return an empty lake."""
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def landing(tmp_path: Path) -> str:
    """Return a landing folder with two days: three lines, one of them bad, and two good ones."""
    folder = tmp_path / "landing"
    folder.mkdir()
    put(folder, "2025-06-26_transactions.csv", GOOD, GOOD, BAD)
    put(folder, "2025-06-27_transactions.csv", GOOD, GOOD)
    return str(folder)


def put(folder: Path, name: str, *lines: str) -> None:
    """Write a landing file."""
    (folder / name).write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")


def batches(landing: str, *files: str, day: dt.date = DAY) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Read landing files, all if none is named."""
    return read_files(landing, files or [file.source_file for file in list_files(landing)], day)


def settled(lake: Lake) -> dict[str, int]:
    """Clean what is pending and settle it."""
    new = ingest.files_to_clean(lake)
    return ingest.write_silver(lake, *clean(lake.read(BRONZE, source_file=new)), new)


def count(lake: Lake, name: str, **wanted: object) -> int:
    """Return the number of rows of a table."""
    return lake.read(name, **wanted).select(pl.len()).collect().item()


def rows_by_file(lake: Lake, name: str) -> dict[str, int]:
    """Return the rows of each landing file in a table."""
    return dict(lake.read(name).group_by("source_file").len().collect().rows())


def noted(lake: Lake, layer: str) -> dict[str, int]:
    """Return what the ledger says of a layer."""
    return dict(lake.read(LEDGER, layer=layer).select("source_file", "rows").collect().rows())


def gold(**changed: object) -> pl.DataFrame:
    """Return two customers."""
    columns = {"CustomerID": ["1", "2"], "MaxInvoiceDate": [DAY, DAY], "Recency": [0, 3], "Frequency": [1, 2]}
    money = {"Monetary": pl.Series([Decimal("0.10"), Decimal("20.25")], dtype=pl.Decimal(12, 2))}
    return pl.DataFrame(columns | money | changed)


def history(day: dt.date, *customers: str) -> pl.DataFrame:
    """Return customers on a run date."""
    one = gold().head(1).drop("CustomerID")
    more = one.with_columns(Cluster=0, UpdateDate=day, Cluster_Description=pl.lit("Champions"))
    return pl.DataFrame({"CustomerID": customers}).join(more, how="cross")


# ── read and replace ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", [BRONZE, GOLD, LEDGER])
def test_a_missing_table_is_empty_with_its_columns(lake, name):
    assert lake.read(name).collect().schema == TABLES[name].polars
    assert lake.frame(name).columns.tolist() == TABLES[name].names
    assert not Path(lake.url).exists()


def test_what_was_written_is_read(lake):
    assert lake.replace(GOLD, gold()) == 2
    read = lake.read(GOLD).collect()
    assert read.schema == TABLES[GOLD].polars
    assert read.sort("CustomerID")["Monetary"].to_list() == [Decimal("0.10"), Decimal("20.25")]


def test_pandas_and_lazy_frames_are_written_alike(lake):
    lake.replace(GOLD, gold())
    frame, digest = lake.frame(GOLD), lake.fingerprint(GOLD)
    assert isinstance(frame, pd.DataFrame)
    lake.replace(GOLD, frame)
    assert lake.fingerprint(GOLD) == digest
    lake.replace(GOLD, gold().lazy())
    assert lake.fingerprint(GOLD) == digest


def test_decimals_stay_exact(lake):
    money = ["0.01", "0.10", "9999999999999999.99", "8673383.33"]
    customers = [str(i) for i in range(4)]
    one = gold().head(1).drop("CustomerID", "Monetary")
    wanted = pl.DataFrame({"CustomerID": customers, "Monetary": [Decimal(m) for m in money]}).join(one, how="cross")
    lake.replace(GOLD, wanted)
    assert [str(m) for m in lake.read(GOLD).sort("CustomerID").collect()["Monetary"]] == money
    assert [str(m) for m in lake.frame(GOLD).sort_values("CustomerID")["Monetary"]] == money


def test_replace_puts_the_new_rows_in_place_of_all(lake):
    lake.replace(GOLD, gold())
    lake.replace(GOLD, gold().tail(1))
    assert lake.read(GOLD).collect()["CustomerID"].to_list() == ["2"]
    assert lake.replace(GOLD, gold().clear()) == 0
    assert count(lake, GOLD) == 0


def test_replace_of_a_day_leaves_the_other_days(lake):
    lake.replace(HISTORY, history(DAY, "1", "2"), UpdateDate=DAY)
    lake.replace(HISTORY, history(NEXT, "1"), UpdateDate=NEXT)
    lake.replace(HISTORY, history(DAY, "3"), UpdateDate=DAY)
    kept = lake.read(HISTORY).sort("UpdateDate").select("UpdateDate", "CustomerID").collect()
    assert kept.rows() == [(DAY, "3"), (NEXT, "1")]


def test_replace_with_rows_of_another_day_is_refused(lake):
    lake.replace(HISTORY, history(DAY, "1"), UpdateDate=DAY)
    with pytest.raises(InputError, match="cannot be written .*Invalid data found: 1 row"):
        lake.replace(HISTORY, history(NEXT, "2"), UpdateDate=DAY)
    assert lake.read(HISTORY).collect()["CustomerID"].to_list() == ["1"]


def test_replace_takes_lists_and_texts_with_quotes(lake):
    files = ["it's_transactions.csv", 'a"b', "plain"]
    one = {"layer": "bronze", "file_date": None, "bytes": 1, "sha256": "x", "processing_date": DAY, "rows": 1}
    one |= {"token": None, "version": None}
    ledger = pl.DataFrame([{"source_file": name} | one for name in files])
    lake.replace(LEDGER, ledger, layer="bronze", source_file=files)
    lake.replace(LEDGER, ledger.head(2).with_columns(rows=2), layer="bronze", source_file=files[:2])
    assert noted(lake, "bronze") == {files[0]: 2, files[1]: 2, files[2]: 1}


def test_read_takes_values_and_lists(lake):
    lake.replace(HISTORY, pl.concat([history(DAY, "1", "2"), history(NEXT, "1")]))
    assert count(lake, HISTORY, UpdateDate=DAY) == 2
    assert count(lake, HISTORY, UpdateDate=[DAY, NEXT], CustomerID="1") == 2
    assert count(lake, HISTORY, CustomerID=[]) == 0


def test_read_of_an_earlier_version(lake):
    lake.replace(GOLD, gold())
    before = lake.state([GOLD])[GOLD].version
    lake.replace(GOLD, gold().head(1))
    assert count(lake, GOLD, version=before) == 2
    assert count(lake, GOLD) == 1


def test_replace_each_writes_lazy_and_eager_frames(lake):
    written = lake.replace_each({GOLD: gold().lazy(), HISTORY: history(DAY, "1")})
    assert written == {GOLD: 2, HISTORY: 1}
    assert (count(lake, GOLD), count(lake, HISTORY)) == (2, 1)


# ── what is refused ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Recency": ["0", "3"]}, "column Recency"),
        ({"Recency": [0.0, 1.7]}, "column Recency"),
        ({"Recency": [0, 2**40]}, "2 out of 2|1 out of 2|conversion|Recency"),
        ({"Monetary": [0.1, 0.2]}, "column Monetary"),
        ({"Monetary": ["0.10", "0.20"]}, "column Monetary"),
        ({"CustomerID": [1, 2]}, "column CustomerID"),
        ({"CustomerID": ["1", "1"]}, "CustomerID"),
        ({"MaxInvoiceDate": ["2025-06-26", "2025-06-26"]}, "column MaxInvoiceDate"),
        ({"CustomerID": pl.Series(["1", "2"], dtype=pl.Categorical)}, "column CustomerID"),
        ({"Frequency": [None, 2]}, "column Frequency"),
    ],
    ids=["text", "1.7", "overflow", "float", "text money", "number", "key", "date text", "categorical", "null"],
)
def test_a_frame_that_breaks_the_contract_is_not_written(lake, changed, said):
    lake.replace(GOLD, gold())
    before = lake.state([GOLD])
    with pytest.raises(ContractError, match=said) as caught:
        lake.replace(GOLD, gold(**changed))
    assert str(caught.value).startswith(f"{GOLD}: ")
    assert str(caught.value).endswith("nothing was written")
    assert "\n" not in str(caught.value)
    assert lake.state([GOLD]) == before


def test_missing_columns_are_named(lake):
    with pytest.raises(ContractError, match=r"customer_rfm_gold: 2 column\(s\) missing: Recency, Monetary"):
        lake.replace(GOLD, gold().drop("Recency", "Monetary"))


def test_conform_orders_drops_and_narrows_columns():
    found = conform(
        TABLES[GOLD], gold(Colour=["red", "blue"]).select("Colour", "Monetary", pl.all().exclude("Colour", "Monetary"))
    )
    assert found.schema == TABLES[GOLD].polars


def test_a_table_that_nobody_knows_is_refused_by_name(lake):
    for verb in (lake.read, lake.optimize, lambda name: lake.replace(name, gold())):
        with pytest.raises((InputError, KeyError), match="golden"):
            verb("golden")


@pytest.mark.parametrize("text", ["{broken", "", '{"commitInfo":{}}\n'])
def test_an_unreadable_table_is_an_input_error_in_one_line(lake, text):
    log = Path(lake.url) / GOLD / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text(text)
    for verb in (lambda: lake.read(GOLD), lambda: lake.state(), lambda: lake.replace(GOLD, gold()), lambda: lake.optimize(GOLD)):
        with pytest.raises(InputError, match="the table cannot be read .*; run `rfm repair`") as caught:
            verb()
        assert f"{lake.url}/{GOLD}" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_lake_that_is_a_file_is_an_input_error_in_one_line(tmp_path):
    (tmp_path / "lake").write_text("I am a file")
    lake = Lake(str(tmp_path / "lake"))
    with pytest.raises(InputError) as caught:
        lake.replace(GOLD, gold())
    assert "no table can be made" in str(caught.value)
    assert str(tmp_path / "lake") in str(caught.value)
    assert "\n" not in str(caught.value)


# ── once ───────────────────────────────────────────────────────────────────────────────────────────
def test_ingest_writes_every_line_with_its_file(lake, landing):
    assert ingest.write_bronze(lake, batches(landing)) == 5
    assert rows_by_file(lake, BRONZE) == {"2025-06-26_transactions.csv": 3, "2025-06-27_transactions.csv": 2}
    assert noted(lake, "bronze") == rows_by_file(lake, BRONZE)


def test_a_second_ingest_of_the_same_files_writes_nothing(lake, landing):
    ingest.write_bronze(lake, batches(landing))
    before = lake.state([BRONZE])
    assert ingest.write_bronze(lake, batches(landing, day=NEXT)) == 0
    assert lake.state([BRONZE]) == before
    assert ingest.new_files(lake, ["2025-06-26_transactions.csv", "new.csv"]) == ["new.csv"]


def test_of_old_and_new_files_the_new_are_written(lake, landing):
    ingest.write_bronze(lake, batches(landing, "2025-06-26_transactions.csv"))
    assert ingest.write_bronze(lake, batches(landing)) == 2
    assert rows_by_file(lake, BRONZE) == {"2025-06-26_transactions.csv": 3, "2025-06-27_transactions.csv": 2}


def test_a_file_without_rows_is_seen_and_settled_once(lake, landing):
    put(Path(landing), "2025-06-28_transactions.csv")
    assert ingest.write_bronze(lake, batches(landing, "2025-06-28_transactions.csv")) == 0
    assert noted(lake, "bronze") == {"2025-06-28_transactions.csv": 0}
    assert ingest.new_files(lake, ["2025-06-28_transactions.csv"]) == []
    assert settled(lake) == {"bronze": 0, "silver": 0, "quarantine": 0}
    assert ingest.files_to_clean(lake) == []


def test_nothing_to_ingest_or_to_settle_is_no_error(lake):
    assert ingest.write_bronze(lake, []) == 0
    assert settled(lake) == {"bronze": 0, "silver": 0, "quarantine": 0}
    assert ingest.new_files(lake, ["a"]) == ["a"]


def test_settle_keeps_bronze_equal_to_silver_and_quarantine(lake, landing):
    ingest.write_bronze(lake, batches(landing))
    assert ingest.files_to_clean(lake) == ["2025-06-26_transactions.csv", "2025-06-27_transactions.csv"]
    assert settled(lake) == {"bronze": 5, "silver": 4, "quarantine": 1}
    assert (count(lake, BRONZE), count(lake, SILVER), count(lake, QUARANTINE)) == (5, 4, 1)
    assert ingest.files_to_clean(lake) == []
    assert ingest.reconcile(lake) == {"bronze": 5, "silver": 4, "quarantine": 1}
    assert lake.read(SILVER).select(pl.col("TotalPrice").sum()).collect().item() == Decimal("333.60")


def test_settling_again_writes_nothing(lake, landing):
    ingest.write_bronze(lake, batches(landing))
    settled(lake)
    before = lake.state([SILVER, QUARANTINE])
    files = ["2025-06-26_transactions.csv", "2025-06-27_transactions.csv"]
    assert ingest.write_silver(lake, *clean(lake.read(BRONZE)), files) == {"bronze": 5, "silver": 4, "quarantine": 1}
    assert lake.state([SILVER, QUARANTINE]) == before


def test_settle_refuses_rows_that_do_not_add_up(lake, landing):
    ingest.write_bronze(lake, batches(landing))
    silver, quarantine = clean(lake.read(BRONZE))
    with pytest.raises(ContractError, match=r"bronze = silver \+ quarantine fails for 1 file\(s\).*2025-06-26") as caught:
        ingest.write_silver(lake, silver, quarantine.head(0), ingest.files_to_clean(lake))
    assert "\n" not in str(caught.value)
    with pytest.raises(ContractError, match="fails for 1 file"):
        ingest.reconcile(lake)


def test_a_bad_row_of_silver_changes_neither_table(lake, landing):
    ingest.write_bronze(lake, batches(landing))
    silver, quarantine = clean(lake.read(BRONZE))
    with pytest.raises(ContractError, match="retail_transactions_silver: column Quantity .*; nothing was written"):
        ingest.write_silver(lake, silver.with_columns(Quantity=pl.lit(0, pl.Int32)), quarantine, ingest.files_to_clean(lake))
    assert (count(lake, SILVER), count(lake, QUARANTINE)) == (0, 0)
    assert settled(lake) == {"bronze": 5, "silver": 4, "quarantine": 1}


def test_a_bad_row_of_bronze_is_not_written(lake, landing):
    files, rows = next(iter(batches(landing)))
    with pytest.raises(ContractError, match="retail_transactions_bronze: .*Quantity"):
        ingest.write_bronze(lake, [(files, pl.from_arrow(rows).with_columns(Quantity=pl.lit(1)).to_arrow())])
    assert count(lake, BRONZE) == 0
    assert ingest.new_files(lake, ["2025-06-26_transactions.csv"]) == ["2025-06-26_transactions.csv"]
    assert ingest.write_bronze(lake, batches(landing)) == 5


def test_file_names_with_quotes_blanks_and_brackets(lake, landing):
    odd = ["it's [1]_transactions.csv", 'a "b"_transactions.csv', "ä b_transactions.csv"]
    for name in odd:
        put(Path(landing), name, GOOD, BAD)
    assert ingest.write_bronze(lake, batches(landing, *odd)) == 6
    assert settled(lake) == {"bronze": 6, "silver": 3, "quarantine": 3}
    assert noted(lake, "silver") == dict.fromkeys(odd, 1)
    assert ingest.write_bronze(lake, batches(landing, *odd)) == 0


def test_until_leaves_out_what_came_in_later_files(lake, landing):
    put(Path(landing), "undated_transactions.csv", GOOD)
    ingest.write_bronze(lake, batches(landing, day=NEXT))
    settled(lake)
    assert [count(lake, SILVER, until=DAY - dt.timedelta(days=days)) for days in (-1, 0, 1)] == [5, 3, 1]
    assert count(lake, BRONZE, until=DAY) == 4
    assert count(lake, SILVER) == 5


# ── crashes and races ──────────────────────────────────────────────────────────────────────────────
def test_the_next_run_repairs_a_crash_before_the_ledger(lake, landing):
    files, rows = next(iter(batches(landing)))
    names = files["source_file"].to_pylist()
    assert lake.put_files(BRONZE, pl.from_arrow(rows), dict.fromkeys(names, 1)).rows == 5  # and here it died
    again = Lake(lake.url)
    assert ingest.new_files(again, names) == names
    assert ingest.write_bronze(again, batches(landing)) == 0
    assert ingest.new_files(again, names) == []
    assert noted(again, "bronze") == dict(zip(names, (3, 2), strict=True))


@pytest.mark.parametrize("died", [SILVER, QUARANTINE])
@pytest.mark.parametrize("noting", [False, True])
def test_a_crash_while_settling_is_repaired_by_the_next_run(lake, landing, died, noting):
    ingest.write_bronze(lake, batches(landing))
    silver, quarantine = clean(lake.read(BRONZE))
    files = ingest.files_to_clean(lake)
    lake.put_files(died, silver if died == SILVER else quarantine, files.versions)
    if noting:
        read = lake.read(LEDGER, layer="bronze").drop("layer", "rows").collect()
        ledger.record_layer(lake, "silver" if died == SILVER else "quarantine", read, files.versions)
    again = Lake(lake.url)
    assert ingest.files_to_clean(again) == files
    assert settled(again) == {"bronze": 5, "silver": 4, "quarantine": 1}
    assert ingest.files_to_clean(again) == []
    assert (count(again, SILVER), count(again, QUARANTINE)) == (4, 1)


def _ingest_all(lake: str, landing: str, gate) -> None:  # noqa: ANN001 - a barrier of threads or processes
    """Ingest every file in a commit of its own, all racers at once."""
    files = [file.source_file for file in list_files(landing)]
    home = Lake(lake)
    gate.wait()
    for name in files:
        ingest.write_bronze(home, read_files(landing, [name], DAY))


def _race(kind: type, gate: object, lake: Lake, landing: str) -> list:
    """Let three racers ingest the same files; return them when they are done."""
    for i in range(6):
        put(Path(landing), f"race {i}_transactions.csv", *[GOOD] * (i + 1))
    racers = [kind(target=_ingest_all, args=(lake.url, landing, gate)) for _ in range(3)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(600)
    return racers


def _each_line_once(lake: Lake) -> None:
    wanted = {f"race {i}_transactions.csv": i + 1 for i in range(6)}
    wanted |= {"2025-06-26_transactions.csv": 3, "2025-06-27_transactions.csv": 2}
    assert rows_by_file(lake, BRONZE) == wanted
    assert noted(lake, "bronze") == wanted
    assert count(lake, LEDGER) == len(wanted)


@pytest.mark.long  # as in test_concurrency.py, by processes that are not forks
def test_three_processes_ingest_each_line_once(lake, landing):
    context = multiprocessing.get_context("spawn")
    racers = _race(context.Process, context.Barrier(3), lake, landing)
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    _each_line_once(lake)


def test_three_threads_ingest_each_line_once(lake, landing):
    _race(threading.Thread, threading.Barrier(3), lake, landing)
    _each_line_once(lake)


@pytest.mark.parametrize("before", [0, 2])
def test_of_two_that_replace_a_table_at_once_one_stands(lake, monkeypatch, before):
    if before:
        lake.replace(GOLD, gold())
    else:
        lake.handle(GOLD)
    write, faster = deltalake.write_deltalake, [Lake(lake.url)]

    def outrun(table, *given, **options):
        if faster:
            faster.pop().replace(GOLD, gold())
        return write(table, *given, **options)

    monkeypatch.setattr(deltalake, "write_deltalake", outrun)
    lake.replace(GOLD, gold())
    assert lake.rows(GOLD).sort("CustomerID").equals(conform(TABLES[GOLD], gold()).sort("CustomerID"))


def test_a_conflict_is_tried_again_a_limited_number_of_times(monkeypatch):
    turns: list[int] = []
    monkeypatch.setattr(delta.time, "sleep", lambda seconds: None)

    def attempt() -> int:
        turns.append(1)
        if len(turns) < 3:
            raise CommitFailedError("somebody was faster")
        return len(turns)

    assert delta.retried(attempt) == 3
    monkeypatch.setattr(delta, "TRIES", 0)
    turns.clear()
    with pytest.raises(CommitFailedError):
        delta.retried(attempt)


# ── care ───────────────────────────────────────────────────────────────────────────────────────────
def test_state_is_version_and_rows_of_the_tables_there_are(lake):
    assert lake.state() == {}
    lake.replace(GOLD, gold())
    assert lake.state() == {GOLD: State(1, 2)}
    assert lake.state([HISTORY]) == {}


def test_a_kept_handle_sees_what_others_wrote(lake):
    lake.replace(GOLD, gold())
    Lake(lake.url).replace(GOLD, gold().head(1))
    assert count(lake, GOLD) == 1
    assert lake.state() == {GOLD: State(2, 1)}


def test_a_fingerprint_does_not_depend_on_the_order_of_rows(lake):
    lake.replace(GOLD, gold())
    digest = lake.fingerprint(GOLD)
    lake.replace(GOLD, gold().reverse())
    assert lake.fingerprint(GOLD) == digest
    lake.replace(GOLD, gold(Recency=[0, 4]))
    assert lake.fingerprint(GOLD) != digest


def test_a_fingerprint_of_a_table_without_a_key(lake, landing):
    put(Path(landing), "x_transactions.csv", BAD, GOOD)
    ingest.write_bronze(lake, batches(landing, "x_transactions.csv"))
    digest = lake.fingerprint(BRONZE)
    rows = lake.read(BRONZE).collect().reverse()
    lake.replace(BRONZE, rows)
    assert lake.fingerprint(BRONZE) == digest


def test_a_fingerprint_of_a_day(lake):
    lake.replace(HISTORY, history(DAY, "1"), UpdateDate=DAY)
    digest = lake.fingerprint(HISTORY, UpdateDate=DAY)
    lake.replace(HISTORY, history(NEXT, "1"), UpdateDate=NEXT)
    assert lake.fingerprint(HISTORY, UpdateDate=DAY) == digest
    assert lake.fingerprint(HISTORY) != digest


def test_optimize_joins_files_and_keeps_rows(lake, landing):
    for name in ("2025-06-26_transactions.csv", "2025-06-27_transactions.csv"):
        ingest.write_bronze(lake, batches(landing, name))
    digest = lake.fingerprint(BRONZE)
    assert lake.optimize(BRONZE) == {"before": 2, "after": 1, "removed": 0}
    assert lake.fingerprint(BRONZE) == digest
    assert lake.optimize(BRONZE)["before"] == 1
    assert ingest.write_bronze(lake, batches(landing)) == 0  # the checkpoint keeps which files are there


def test_optimize_of_a_missing_table_names_the_others(lake):
    with pytest.raises(InputError, match="there is no table customer_rfm_gold; tables: none"):
        lake.optimize(GOLD)
    lake.replace(HISTORY, history(DAY, "1"))
    with pytest.raises(InputError, match=f"there is no table customer_rfm_gold; tables: {HISTORY}"):
        lake.optimize(GOLD)


STALE = {
    "compact": lambda table: table.optimize.compact(),
    "overwrite": lambda table: deltalake.write_deltalake(table, pa.table({"x": [100]}), mode="overwrite"),
}


@pytest.mark.parametrize("second", STALE.values(), ids=STALE)
def test_deltalake_raises_a_conflict_after_a_compaction(tmp_path, second):
    """deltalake 1.6.6 commits both and doubles every row; the lock file must never hold such a version."""
    path = str(tmp_path / "t")
    for i in range(4):
        deltalake.write_deltalake(path, pa.table({"x": [i]}), mode="append")
    first, stale = deltalake.DeltaTable(path), deltalake.DeltaTable(path)
    first.optimize.compact()
    with pytest.raises(CommitFailedError):
        second(stale)
    assert pl.scan_delta(path).collect()["x"].sort().to_list() == [0, 1, 2, 3]


# ── files that overlap ─────────────────────────────────────────────────────────────────────────────
EXPORTS = {  # file: order, amount
    "2025-06-26_transactions.csv": [("1", "10"), ("2", "20")],
    "2025-06-27_transactions.csv": [("1", "10"), ("2", "25"), ("3", "30")],
    "2025-06-28_transactions.csv": [("2", "0"), ("4", "40")],
}
MONEY = [30, 65, 80]  # of each day, counting each order as the newest file has it


@pytest.mark.parametrize("batches", [[0, 1, 2], [2, 1, 0], [[0, 1, 2]], [[1, 2], 0], [0, [2, 1]]])
def test_an_order_counts_as_the_newest_file_has_it(tmp_path, batches):
    landing = tmp_path / "landing"
    landing.mkdir()
    rules = {"invoice_pattern": ".", "stock_code_pattern": ""}
    settings = load_settings(
        lake=str(tmp_path / "lake"), landing=str(landing), columns={"quantity": ""}, files={"overlap": "once"}, rules=rules
    )
    lake, names = open_lake(settings), list(EXPORTS)
    for batch in batches:
        for place in batch if isinstance(batch, list) else [batch]:
            lines = [f"{order},P,B,1,{amount},K{order},EIRE,2025-06-26" for order, amount in EXPORTS[names[place]]]
            put(landing, names[place], *lines)
        stages.ingest_files(lake, settings, DAY + dt.timedelta(2))
        assert set(stages.clean_files(lake, settings)) == {"bronze", "silver", "quarantine"}
    days = [DAY + dt.timedelta(one) for one in range(3)]
    gold = [stages.customer_metrics(lake.read(SILVER, until=day), settings, day).collect() for day in days]
    assert [int(one["Monetary"].sum()) for one in gold] == MONEY
    assert lake.count(SILVER)["rows"].sum() == 7  # the table has every line


def test_engines_agree_which_file_is_the_newest(engine):
    lines = [("1", "a", "x", 1), ("1", "a", "y", 2), ("1", None, "x", 3), ("2", "a", "z", 4)]
    names = ("InvoiceNo", "CustomerID", "source_file", "TotalPrice")
    rows = [dict(zip(names, one, strict=True)) | {"InvoiceDate": DAY} for one in lines]
    ranks = pl.DataFrame({"source_file": ["y", "x"], "Rank": [1, 2]})
    found = engine.collect(newest_per_order(engine.load(pl.DataFrame(rows)), engine.load(ranks)))
    assert sorted(map(int, found["TotalPrice"])) == [1, 3, 4]
