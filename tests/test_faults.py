"""Whatever call fails over three days: an error in words, then one clean run, then the tables of an undisturbed run."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from rfm.errors import RfmError
from rfm.lake.delta import LEFTOVER
from rfm.pipeline.backfill import backfill
from rfm.pipeline.repair import verify_lake
from rfm.settings import Settings, load_settings
from tests.faults import ERRORS, faults
from tests.forks import contents, differing
from tests.shop import three_days

LAST, SEED = dt.date(2025, 10, 23), 16
DAYS = [LAST - dt.timedelta(days=back) for back in (2, 1, 0)]
QUICK: dict[str, Any] = {"clusters": {"k_min": 3, "k_max": 3, "n_init": 1}, "care": {"optimize_every": 4}}
FEW = {"days together": 6, "a night": 6}  # faults of `make test`
MANY = 300  # of `make test-long`


class Shop(NamedTuple):
    """What is there before some days run, what an undisturbed run of them leaves, and the calls that it makes."""

    before: Path
    days: list[dt.date]
    undisturbed: dict[str, pl.DataFrame]
    calls: list[str]


def settings_of(root: Path) -> Settings:
    return load_settings(landing=str(root / "landing"), lake=str(root / "lake"), reports=str(root / "reports"), **QUICK)


def run(root: Path, days: list[dt.date]) -> None:
    list(backfill(settings_of(root), days[0], days[-1]))


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shop]:
    """Run two days together, and the third as its night does."""
    root, found, before = tmp_path_factory.mktemp("shop"), {}, tmp_path_factory.mktemp("before")
    three_days(root / "landing", LAST)
    for name, days in (("days together", DAYS[:2]), ("a night", DAYS[2:])):
        copy = Path(shutil.copytree(root, before / name))
        with faults(root) as seen:
            run(root, days)
        found[name] = Shop(copy, days, contents(str(root / "lake")), seen.seen)
    return found


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check that finds damage not wait for other runs."""
    monkeypatch.setattr("rfm.lake.verify.PAUSE", 0.0)
    monkeypatch.setattr("rfm.lake.ledger.PAUSE", 0.0)


def survives(shop: Shop, root: Path, points: Mapping[int, str]) -> list[str]:
    """Let calls fail, run again until none does, and compare; return which calls failed, and what was said."""
    left, done = dict(points), []
    while left:
        shutil.copytree(shop.before, root)  # with the landing folder: the calls to it count, too
        before = len(done)
        while failed := run_with(shop, root, left):
            done += failed
        assert len(done) > before, f"{left} were not reached"
        is_undisturbed(shop, root, done)
        shutil.rmtree(root)
    return done


def run_with(shop: Shop, root: Path, left: dict[int, str]) -> list[str]:
    """Run with the faults that are left; return which calls failed, and what the run said, if the last of them stopped it."""
    said = ""
    with faults(root, left) as found:
        try:
            run(root, shop.days)
        except RfmError as stopped:
            said = str(stopped)
            assert said
            assert "\n" not in said
    said_by = dict.fromkeys(found.failed, "") | dict.fromkeys(found.failed[-1:], said)
    return [f"call {place}, {found.seen[place]}: {left.pop(place)}: {text}" for place, text in said_by.items()]


def is_undisturbed(shop: Shop, root: Path, done: list[str]) -> None:
    """Hold a lake against the one that nothing disturbed."""
    assert differing(contents(str(root / "lake")), shop.undisturbed) == [], done
    assert verify_lake(settings_of(root)) == [], done
    left = [path for path in root.rglob("*") if path.name.endswith(".part") or LEFTOVER.search(path.name)]
    assert left == [], done


def points(shop: Shop, number: int, seed: int) -> Iterator[tuple[int, str]]:
    """Yield calls, spread over the whole run, each with one of the errors in turn."""
    step = len(shop.calls) / number
    for turn in range(number):
        yield int((turn + random.Random(f"{seed} {turn}").random()) * step), ERRORS[turn % len(ERRORS)]


@pytest.mark.parametrize("name", ["a night", pytest.param("days together", marks=pytest.mark.whole)])
def test_a_run_survives_a_row_of_faults(shops, tmp_path, name):
    shop = shops[name]
    assert len(shop.calls) > MANY
    done = survives(shop, tmp_path / "run", dict(points(shop, FEW[name], SEED)))
    assert len(done) == FEW[name]
    assert sum(not said.endswith(": ") for said in done) > len(done) // 4, "hardly any fault stopped a run"


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("name", FEW)
def test_a_run_survives_three_hundred_faults(shops, tmp_path, name, part):
    for point in list(points(shops[name], MANY // 2, SEED + 1))[part::10]:
        survives(shops[name], tmp_path / "run", dict([point]))
