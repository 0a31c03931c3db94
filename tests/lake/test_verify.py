"""Damaged lakes: the very next run notices the damage and stops before gold; after `rfm repair` all is as if untouched.

The damage is a table: each kind of damage, done to each table for which it makes a difference.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import polars as pl
import pytest

from rfm.contracts import (
    BRONZE,
    CLUSTER_MODELS,
    DAILY_VOLUME,
    GOLD,
    HISTORY,
    LEDGER,
    PIPELINE_RUNS,
    QUARANTINE,
    RELEASED_ROWS,
    SEGMENT_SUMMARY,
    SILVER,
    TABLES,
)
from rfm.datasets.sample import make_sample
from rfm.errors import RfmError
from rfm.lake.tables import Lake
from rfm.pipeline import release
from rfm.pipeline.backfill import backfill
from rfm.pipeline.repair import repair, verify_lake
from rfm.settings import Settings, load_settings
from tests.forks import contents, differing

LAST = dt.date(2025, 10, 23)
DAYS = [LAST - dt.timedelta(days=back) for back in (3, 2, 1, 0)]
QUICK: dict[str, Any] = {"clusters": {"k_max": 4, "n_init": 1}, "care": {"optimize_every": 0}}


class Shop(NamedTuple):
    """A lake of three days that waits for the fourth, and the tables that an undisturbed fourth run leaves."""

    folder: Path
    undisturbed: dict[str, pl.DataFrame]


def settings_of(folder: Path, **more: Any) -> Settings:
    return load_settings(
        landing=str(folder / "landing"), lake=str(folder / "lake"), reports=str(folder / "reports"), **QUICK, **more
    )


def run(folder: Path, *days: dt.date) -> None:
    """Run some days, each in a call of its own, as every night does."""
    for day in days:
        list(backfill(settings_of(folder), day, day))


def release_a_row(folder: Path) -> None:
    """Correct and release a row of the quarantine."""
    settings, lake = settings_of(folder), Lake(str(folder / "lake"))
    rows = release.quarantined(lake)
    row = next(row for row in rows.sort("row_id").to_dicts() if row["Invoice"] and row["StockCode"])
    better = {name: row[name] for name in release.RAW} | {"Quantity": "2", "Price": "1.50", "InvoiceDate": "2025-10-20"}
    better |= {"Invoice": "489434", "CustomerID": "13085"}
    release.record_release(lake, rows.filter(row_id=row["row_id"]), {row["row_id"]: better}, DAYS[0])
    assert release.finish_release(lake, settings).rows == 1
    release.recount_quality(lake, settings, [row["processing_date"]])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Run three days: after the first a row is released, after the second tables are compacted, so that there are checkpoints."""
    folder = tmp_path_factory.mktemp("shop")
    make_sample(folder / "landing", days=4, end=LAST, lines=900, customers=60)
    (folder / "landing" / "2025-10-21_refused_transactions.csv").write_text("nothing,of,use\n1,2,3\n")
    run(folder, DAYS[0])
    release_a_row(folder)
    run(folder, *DAYS[:2])  # the first day again, with the released row
    lake = Lake(str(folder / "lake"))
    for name in lake.state():
        lake.optimize(name)
    run(folder, DAYS[2])
    assert verify_lake(settings_of(folder)) == []
    quiet = Path(shutil.copytree(folder, tmp_path_factory.mktemp("quiet") / "shop"))
    run(quiet, DAYS[3])
    return Shop(folder, contents(str(quiet / "lake")))


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check that finds damage not wait for other runs."""
    monkeypatch.setattr("rfm.lake.verify.PAUSE", 0.0)
    monkeypatch.setattr("rfm.lake.ledger.PAUSE", 0.0)


# ── kinds of damage ────────────────────────────────────────────────────────────────────────────────
def commits(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("*.json"))


def live(table: Path) -> list[Path]:
    """Return the data files of a table, the largest first."""
    paths = [Path(uri.removeprefix("file://")) for uri in deltalake.DeltaTable(str(table)).file_uris()]
    return sorted(paths, key=lambda path: (-path.stat().st_size, path.name))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def swap(table: Path) -> None:
    """Exchange the largest data file with one of another size, of this table or of another one."""
    one, *others = live(table)
    other = next(
        path
        for path in [*others, *live(table.parent / CLUSTER_MODELS), *live(table.parent / LEDGER)]
        if path.stat().st_size != one.stat().st_size
    )
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


KINDS: dict[str, Callable[[Path], Any]] = {
    "folder gone": shutil.rmtree,
    "log gone": lambda table: shutil.rmtree(table / "_delta_log"),
    "newest commit gone": lambda table: commits(table)[-1].unlink(),
    "newest commit empty": lambda table: os.truncate(commits(table)[-1], 0),
    "newest commit cut": lambda table: cut(commits(table)[-1]),
    "checkpoint cut": lambda table: cut(sorted((table / "_delta_log").glob("*.checkpoint.parquet"))[-1]),
    "checkpoint gone": lambda table: sorted((table / "_delta_log").glob("*.checkpoint.parquet"))[-1].unlink(),
    "data file gone": lambda table: live(table)[0].unlink(),
    "data file cut": lambda table: cut(live(table)[0]),
    "data file emptied": lambda table: os.truncate(live(table)[0], 0),
    "data files swapped": swap,
    "all data files gone": lambda table: [path.unlink() for path in live(table)],
}
EMPTY = {"fit_exclusions", "run_warnings"}  # tables without rows, or nearly, in such a small shop
EVERY = [
    (name, kind)
    for name in TABLES
    for kind in KINDS
    if not (name == "fit_exclusions" and (kind.startswith(("data", "all", "newest"))))
    and (name != RELEASED_ROWS or not kind.startswith("newest"))
]
FEW = [  # three kinds at a time, of tables that are repaired in different ways
    ((SILVER, "folder gone"), (CLUSTER_MODELS, "checkpoint cut"), (GOLD, "data file gone")),
    ((QUARANTINE, "newest commit empty"), (HISTORY, "folder gone"), (LEDGER, "log gone")),
]


def damaged(shop: Shop, folder: Path, *damage: tuple[str, str]) -> Path:
    """Return a copy of the shop with damaged tables."""
    copy = Path(shutil.copytree(shop.folder, folder / "copy"))
    for name, kind in damage:
        KINDS[kind](copy / "lake" / name)
    return copy


def is_noticed_and_repaired(shop: Shop, copy: Path, *names: str) -> None:
    """Show that the next run stops and names tables and remedy, that repair says what is gone, and that all else is back."""
    before = gold_of(copy)
    with pytest.raises(RfmError, match="`rfm repair`") as noticed:
        run(copy, DAYS[3])
    found = str(verify_lake(settings_of(copy)))
    assert [name for name in names if name not in found] == []
    assert any(name in str(noticed.value) for name in names)
    assert gold_of(copy) == before
    files = stored(copy)
    done = repair(settings_of(copy))
    assert verify_lake(settings_of(copy)) == [], done
    run(copy, DAYS[3])
    lost = {said.partition(":")[0] for said in done.gone}
    assert lost <= {PIPELINE_RUNS, RELEASED_ROWS}, done.gone
    found = differing(contents(str(copy / "lake")), shop.undisturbed)
    assert set(found) <= lost
    assert files - stored(copy) == set(), "a file that was there is gone"


def gold_of(copy: Path) -> list[str]:
    return sorted(path.name for path in (copy / "lake" / GOLD).rglob("*.parquet"))


def stored(copy: Path) -> set[str]:
    """Return the names of all data files, wherever they are now."""
    return {path.name.partition(".parquet")[0] for path in (copy / "lake").rglob("*.parquet*") if "checkpoint" not in path.name}


@pytest.mark.parametrize(
    "damage", [FEW[0], pytest.param(FEW[1], marks=pytest.mark.whole)], ids=lambda damage: " and ".join(name for name, _ in damage)
)
def test_damage_is_noticed_and_repaired(shop, tmp_path, damage):
    is_noticed_and_repaired(shop, damaged(shop, tmp_path, *damage), *(name for name, _ in damage))


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_every_kind_of_damage_is_noticed_and_repaired(shop, tmp_path, name, kind):
    is_noticed_and_repaired(shop, damaged(shop, tmp_path, (name, kind)), name)


# ── rows, models and records ───────────────────────────────────────────────────────────────────────
OTHERS = {"CustomerID": "reverse(CustomerID)"}  # customers change, lines and money stay
MORE = {"Quantity": "concat(Quantity, '1')"}


def lose_rows(table: Path, where: str) -> None:
    """Delete rows as another program does: by a commit, so that files and log agree."""
    assert deltalake.DeltaTable(str(table)).delete(where)["num_deleted_rows"] > 0


def set_values(table: Path, values: dict[str, str], where: str = "true") -> None:
    """Change rows as another program does; their number stays the same."""
    assert deltalake.DeltaTable(str(table)).update(values, predicate=where)["num_updated_rows"] > 0


def change_for_good(table: Path, values: dict[str, str]) -> None:
    """Change all rows, and remove the files of earlier versions."""
    set_values(table, values)
    deltalake.DeltaTable(str(table)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


def add_again(table: Path) -> None:
    """Append all rows once more."""
    deltalake.write_deltalake(str(table), deltalake.DeltaTable(str(table)).to_pyarrow_table(), mode="append")


def with_a_column(table: Path) -> None:
    rows = pl.read_delta(str(table)).with_columns(Mine=1)
    rows.write_delta(str(table), mode="overwrite", delta_write_options={"schema_mode": "overwrite"})


def exchange(lake: Path, one: str, other: str) -> None:
    (lake / one).rename(lake / "between")
    (lake / other).rename(lake / one)
    (lake / "between").rename(lake / other)


def models(lake: Path) -> list[Path]:
    return sorted(path for path in (lake / "models").rglob("*.json"))


BY_OTHERS: dict[str, tuple[str, Callable[[Path], Any]]] = {  # what is named, and what is done to the lake
    "customers of silver exchanged": (SILVER, lambda lake: set_values(lake / SILVER, OTHERS, "CustomerID IS NOT NULL")),
    "lines of silver deleted": (SILVER, lambda lake: lose_rows(lake / SILVER, "Quantity = 1")),
    "lines of silver doubled": (SILVER, lambda lake: add_again(lake / SILVER)),
    "lines of the quarantine deleted": (QUARANTINE, lambda lake: lose_rows(lake / QUARANTINE, "true")),
    "files of the ledger deleted": (LEDGER, lambda lake: lose_rows(lake / LEDGER, "layer = 'bronze'")),
    "a model cut": ("models", lambda lake: cut(models(lake)[-1])),
    "a model gone": ("models", lambda lake: models(lake)[0].unlink()),
    "all models gone": ("models", lambda lake: shutil.rmtree(lake / "models")),
    "history emptied": (HISTORY, lambda lake: lose_rows(lake / HISTORY, "true")),
    "a column of silver added": (SILVER, lambda lake: with_a_column(lake / SILVER)),
    "silver and quarantine exchanged": (SILVER, lambda lake: exchange(lake, SILVER, QUARANTINE)),
    "history and models exchanged": (HISTORY, lambda lake: exchange(lake, HISTORY, CLUSTER_MODELS)),
    "ledger and layers gone": (
        LEDGER,
        lambda lake: [shutil.rmtree(lake / name) for name in (LEDGER, BRONZE, SILVER, QUARANTINE)],
    ),
    "the note of the last run cut": ("tables.json", lambda lake: cut(lake / "tables.json")),
    "lines of bronze changed": (BRONZE, lambda lake: set_values(lake / BRONZE, {"Quantity": "'7'"}, "Quantity = '1'")),
    "lines of bronze changed, old files gone": (BRONZE, lambda lake: change_for_good(lake / BRONZE, MORE)),
    "customers of silver exchanged, old files gone": (SILVER, lambda lake: change_for_good(lake / SILVER, OTHERS)),
    "customers deleted": (GOLD, lambda lake: lose_rows(lake / GOLD, "Frequency = 1")),
    "customers changed": (GOLD, lambda lake: set_values(lake / GOLD, {"Frequency": "Frequency + 1"}, "true")),
    "names of segments changed": (SEGMENT_SUMMARY, lambda lake: lose_rows(lake / SEGMENT_SUMMARY, "true")),
    "history changed, old files gone": (HISTORY, lambda lake: change_for_good(lake / HISTORY, {"Monetary": "Monetary + 1"})),
    "the ledger changed": (LEDGER, lambda lake: set_values(lake / LEDGER, {"bytes": "bytes + 1"}, "true")),
    "the ledger changed, old files gone": (LEDGER, lambda lake: change_for_good(lake / LEDGER, {"bytes": "bytes + 1"})),
    "days of silver's volume deleted": (DAILY_VOLUME, lambda lake: lose_rows(lake / DAILY_VOLUME, "true")),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.long if at else pytest.mark.whole) for at, kind in enumerate(BY_OTHERS)]
)
def test_what_others_change_is_noticed_and_repaired(shop, tmp_path, kind):
    name, change = BY_OTHERS[kind]
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    change(copy / "lake")
    is_noticed_and_repaired(shop, copy, name)


def forget_ids(copy: Path) -> None:
    """Make the note of the last run one of an earlier version, which knew no ids of tables, and made no marks."""
    path = copy / "lake" / "tables.json"
    note = json.loads(path.read_text())
    for one in note["tables"].values():
        del one["id"]
    path.write_text(json.dumps(note))


@pytest.mark.long
def test_money_changed_before_marks_is_seen_by_verify(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    forget_ids(copy)
    set_values(copy / "lake" / SILVER, {"TotalPrice": "TotalPrice + 1.00"}, "Quantity = 1")
    (found,) = verify_lake(settings_of(copy))
    assert (found.table, "were counted" in found.what) == (SILVER, True)
    repair(settings_of(copy))
    run(copy, DAYS[3])
    assert differing(contents(str(copy / "lake")), shop.undisturbed) == []


@pytest.mark.long
def test_days_a_dead_run_left_uncounted_are_counted_next(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    lake = Lake(str(copy / "lake"))
    lake.replace(DAILY_VOLUME, lake.rows(DAILY_VOLUME).head(0), processing_date=DAYS[1])
    assert verify_lake(settings_of(copy)) == []
    run(copy, DAYS[3])
    assert differing(contents(str(copy / "lake")), shop.undisturbed) == []


@pytest.mark.whole
def test_a_renamed_file_is_not_counted_again_after_repair(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    name = f"{DAYS[1]}_transactions.csv"
    (copy / "landing" / name).rename(copy / "landing" / name.replace("_", " again_"))
    shutil.rmtree(copy / "lake" / BRONZE)
    assert "whose landing files are gone" in str(repair(settings_of(copy)).gone)
    with contextlib.suppress(RfmError):  # the file is refused, as its lines are there
        run(copy, DAYS[3])
    rows = [Lake(str(copy / "lake")).rows(SILVER, columns=["source_file"]), shop.undisturbed[SILVER].select("source_file")]
    assert (
        rows[0]["source_file"]
        .value_counts()
        .sort("source_file")
        .equals(rows[1]["source_file"].value_counts().sort("source_file"))
    )


@pytest.mark.whole
def test_a_ledger_comes_back_without_its_landing_files(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    (copy / "landing" / f"{DAYS[0]}_transactions.csv").unlink()
    shutil.rmtree(copy / "lake" / LEDGER)
    repair(settings_of(copy))
    assert verify_lake(settings_of(copy)) == []
    run(copy, DAYS[3])
    assert set(differing(contents(str(copy / "lake")), shop.undisturbed)) <= {LEDGER, PIPELINE_RUNS}


@pytest.mark.whole
def test_older_copies_of_ledger_and_layers_get_their_files_back(shop, tmp_path):
    young = Path(shutil.copytree(shop.folder, tmp_path / "young"))
    run(young, DAYS[3])
    for name in (LEDGER, BRONZE, SILVER, QUARANTINE):
        shutil.rmtree(young / "lake" / name)
        shutil.copytree(shop.folder / "lake" / name, young / "lake" / name)
    assert LEDGER in str(verify_lake(settings_of(young))[0])
    repair(settings_of(young))
    assert verify_lake(settings_of(young)) == []
    assert differing(contents(str(young / "lake")), shop.undisturbed) == []


@pytest.fixture(scope="module")
def other_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of another shop, which has run as many days, the last one twice, and kept none of its commits."""
    folder = tmp_path_factory.mktemp("other")
    make_sample(folder / "landing", days=4, end=LAST, lines=700, customers=50, seed=7)
    run(folder, *DAYS, LAST)
    for name in Lake(str(folder / "lake")).state():
        forget_commits(folder / "lake" / name)
    return folder


def forget_commits(table: Path) -> None:
    """Write a checkpoint and remove the commits before it, as Delta does after a month."""
    deltalake.DeltaTable(str(table)).create_checkpoint()
    for path in commits(table):
        path.unlink()


def test_a_table_that_was_made_anew_is_another_one(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    table = copy / "lake" / GOLD
    rows, version = pl.read_delta(str(table)), deltalake.DeltaTable(str(table)).version()
    shutil.rmtree(table)
    for _ in range(version + 1):
        rows.write_delta(str(table), mode="overwrite")
    forget_commits(table)
    (found,) = verify_lake(settings_of(copy))
    assert (found.table, "another table" in found.what) == (GOLD, True)


@pytest.mark.long
@pytest.mark.parametrize("names", [(LEDGER, BRONZE, SILVER, QUARANTINE), (BRONZE,), (SILVER,), (GOLD,), (HISTORY,)])
def test_tables_of_another_shop_are_noticed_and_repaired(shop, other_shop, tmp_path, names):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    for name in names:
        shutil.rmtree(copy / "lake" / name)
        shutil.copytree(other_shop / "lake" / name, copy / "lake" / name)
    is_noticed_and_repaired(shop, copy, names[0])


@pytest.mark.long
def test_a_lake_that_moved_is_as_it_was(shop, tmp_path):
    moved = Path(shutil.copytree(shop.folder, tmp_path / "moved"))
    assert verify_lake(settings_of(moved)) == []
    run(moved, DAYS[3])
    assert differing(contents(str(moved / "lake")), shop.undisturbed) == []


def test_files_that_others_join_and_remove_are_no_damage(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    for name in (BRONZE, SILVER, HISTORY):
        table = deltalake.DeltaTable(str(copy / "lake" / name))
        assert table.optimize.compact()["numFilesRemoved"] > 1
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        table.alter.set_table_properties({"delta.logRetentionDuration": "interval 40 days"})
    assert verify_lake(settings_of(copy)) == []


@pytest.mark.long
def test_a_lake_of_an_earlier_version_is_no_damage(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    forget_ids(copy)
    set_values(copy / "lake" / GOLD, {"Frequency": "Frequency"})  # as by an earlier version
    run(copy, DAYS[3])
    assert differing(contents(str(copy / "lake")), shop.undisturbed) == []
    set_values(copy / "lake" / QUARANTINE, {"failed_expectations": "'none'"})
    assert [one.table for one in verify_lake(settings_of(copy))] == [QUARANTINE]


@pytest.mark.long
def test_stages_by_hand_on_rows_of_others_are_undone(shop, tmp_path):
    copy = Path(shutil.copytree(shop.folder, tmp_path / "copy"))
    set_values(copy / "lake" / SILVER, OTHERS, "CustomerID IS NOT NULL")
    lake, name = Lake(str(copy / "lake")), f"{DAYS[1]}_transactions.csv"
    assert lake.put_files(SILVER, lake.rows(SILVER, source_file=name), lake.held(SILVER, [name]), again=True).rows
    is_noticed_and_repaired(shop, copy, SILVER)
