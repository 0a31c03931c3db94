"""However a history is cut into files and runs, and in whatever order they come, silver and gold are the same."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

import rfm
from rfm.datasets.sample import make_sample
from rfm.errors import SettingsError
from rfm.pipeline.backfill import to_bronze, to_silver
from rfm.settings import load_settings

pytestmark = pytest.mark.no_cover  # other tests run the same code; following every line again costs half as much once more

DAYS, LAST = 12, dt.date(2025, 10, 23)
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
ARRIVAL = ("ingestion_timestamp", "source_file", "processing_date")
SILVER, QUARANTINE, BRONZE = (f"retail_transactions_{layer}" for layer in ("silver", "quarantine", "bronze"))


class Split(NamedTuple):
    """A history cut into files, and the files that have arrived before each run, with its run date."""

    files: dict[str, list[str]]
    runs: list[tuple[dt.date, list[str]]]


def cut(lines: list[str], seed: int) -> Split:
    """Cut lines into files at random: several a day, with lines of other days, dated or not, in random order, some late."""
    chance = random.Random(seed)
    lines = chance.sample(lines, len(lines)) if seed % 2 else lines
    cuts = sorted(chance.sample(range(1, len(lines)), chance.randint(1, 15)))
    files: dict[str, list[str]] = {}
    for place, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(lines)], strict=True)):
        day = LAST - dt.timedelta(days=chance.randrange(DAYS))
        files[chance.choice([f"{day} {place}_transactions.csv", f"{day}/part {place}_transactions.csv"])] = lines[start:end]
    order = chance.sample(sorted(files), len(files))
    stops = sorted({*chance.sample(range(1, len(order) + 1), min(3, len(order))), len(order)})
    days = [LAST - dt.timedelta(days=chance.randrange(DAYS)) for _ in stops[:-1]] + [LAST]
    return Split(files, [(day, order[begin:end]) for day, begin, end in zip(days, [0, *stops], stops, strict=False)])


def played(split: Split, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Let the files arrive and run after each arrival; return silver, quarantine and gold, in one order."""
    settings = load_settings(landing=str(folder / "landing"), lake=str(folder / "lake"))
    lake = rfm.Lake(settings.lake)
    for day, files in split.runs:
        for name in files:
            place = folder / "landing" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(HEADER + "".join(split.files[name]), encoding="utf-8")
        try:
            to_bronze(settings, lake, day)
        except SettingsError:  # nothing is dated up to this day yet
            continue
        to_silver(settings, lake, day)
    gold = rfm.rfm_metrics(lake.read(SILVER, until=LAST), LAST).collect()
    tables = (*(lake.read(name).collect().drop(ARRIVAL) for name in (SILVER, QUARANTINE)), gold)
    return tuple(table.sort(table.columns) for table in tables)


@pytest.fixture(scope="module")
def as_it_came(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], tuple]:
    """Return all lines of a sample, and what they give as one file a day in one run."""
    folder = tmp_path_factory.mktemp("whole")
    make_sample(folder / "landing", days=DAYS, end=LAST, lines=1500, customers=120)
    texts = [path.read_text("utf-8").splitlines(keepends=True) for path in sorted((folder / "landing").iterdir())]
    assert {text[0] for text in texts} == {HEADER}
    return [line for text in texts for line in text[1:]], played(Split({}, [(LAST, [])]), folder)


@pytest.fixture
def check(as_it_came: tuple, tmp_path: Path) -> Callable[[int], None]:
    """Return a function that plays the split of a seed and compares."""

    def check(seed: int) -> None:
        for found, wanted, name in zip(played(cut(as_it_came[0], seed), tmp_path), as_it_came[1], ("s", "q", "g"), strict=True):
            assert found.equals(wanted), (seed, name)

    return check


@pytest.mark.parametrize("seed", [1, 2, 7])  # lines of one day together, or in any order
def test_random_splits_end_in_the_same_silver_and_gold(check, seed):
    check(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_random_splits_end_in_the_same_silver_and_gold(check, seed):
    check(seed)


@pytest.mark.long
@pytest.mark.real
def test_any_split_of_the_history_gives_the_same_gold(real_files, tmp_path):
    days = sorted(real_files.iterdir())[-DAYS * 5 :]
    lines = [line for path in days for line in path.read_text("utf-8").splitlines(keepends=True)[1:]]
    files = {f"{LAST} {place}_transactions.csv": path.read_text("utf-8").splitlines(True)[1:] for place, path in enumerate(days)}
    whole = played(Split(files, [(LAST, list(files))]), tmp_path / "whole")
    for seed in (0, 1):
        for found, wanted in zip(played(cut(lines, seed), tmp_path / str(seed)), whole, strict=True):
            assert found.equals(wanted)


def test_late_and_second_files_are_counted_by_the_next_run(as_it_came, tmp_path):
    lines, wanted = as_it_came
    parts = {f"{LAST}_transactions.csv": lines[900:], "2025-10-12_transactions.csv": lines[:500]}
    parts["2025-10-12 again_transactions.csv"] = lines[500:900]
    first, late, second = parts
    found = played(Split(parts, [(LAST, [first]), (LAST, [late]), (LAST, [second])]), tmp_path)
    assert all(one.equals(other) for one, other in zip(found, wanted, strict=True))
