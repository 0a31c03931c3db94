"""Whatever call fails over three days: an error in words, then one clean run, then the tables of an undisturbed run."""

from __future__ import annotations

import datetime as dt
import random
import shutil
from collections.abc import Iterator
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
QUICK: dict[str, Any] = {"clusters": {"k_max": 4, "n_init": 1}, "care": {"optimize_every": 4}}
FEW, ROWS, MANY = 30, 3, 300  # `make test`: faults, and how many rows of them; `make test-long`


class Shop(NamedTuple):
    """A landing folder of three days, what an undisturbed run leaves, and the calls that it makes."""

    landing: Path
    undisturbed: dict[str, pl.DataFrame]
    calls: list[str]


def settings_of(landing: Path, root: Path) -> Settings:
    return load_settings(landing=str(landing), lake=str(root / "lake"), reports=str(root / "reports"), **QUICK)


def run(settings: Settings) -> None:
    """Run two days together, and the third as its night does."""
    list(backfill(settings, LAST - dt.timedelta(days=2), LAST - dt.timedelta(days=1)))
    list(backfill(settings, LAST, LAST))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("shop")
    three_days(root / "landing", LAST)
    with faults(root) as seen:
        run(settings_of(root / "landing", root))
    return Shop(root / "landing", contents(str(root / "lake")), seen.seen)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check that finds damage not wait for other runs."""
    monkeypatch.setattr("rfm.lake.verify.PAUSE", 0.0)
    monkeypatch.setattr("rfm.lake.ingest.PAUSE", 0.0)


def survives(shop: Shop, root: Path, *points: tuple[int, str]) -> list[str]:
    """Let a call fail, and in the next run another one; run again, and compare; return which calls failed, and what was said."""
    landing = Path(shutil.copytree(shop.landing, root / "landing"))  # the calls to it count, too
    settings, done = settings_of(landing, root), []
    for place, error in points:
        said = ""
        with faults(root, place, error) as fault:
            try:
                run(settings)
            except RfmError as failed:
                said = str(failed)
                assert "\n" not in said
        done.append(f"call {place}, {fault.failed}: {error}: {said}")
    run(settings)
    assert differing(contents(settings.lake), shop.undisturbed) == [], done
    assert verify_lake(settings) == [], done
    left = [path for path in root.rglob("*") if path.name.endswith(".part") or LEFTOVER.search(path.name)]
    assert left == [], done
    shutil.rmtree(root)
    return done


def points(shop: Shop, number: int, seed: int) -> Iterator[tuple[int, str]]:
    """Yield calls, spread over the whole run, each with one of the errors in turn."""
    step = len(shop.calls) / number
    for turn in range(number):
        yield int((turn + random.Random(f"{seed} {turn}").random()) * step), ERRORS[turn % len(ERRORS)]


@pytest.mark.parametrize("row", range(ROWS))
def test_a_run_survives_a_row_of_faults(shop, tmp_path, row):
    assert len(shop.calls) > MANY
    done = survives(shop, tmp_path / "run", *list(points(shop, FEW, SEED))[row::ROWS])
    assert sum(not said.endswith(": ") for said in done) > len(done) // 4, "hardly any fault stopped a run"


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_a_run_survives_three_hundred_faults(shop, tmp_path, part):
    for point in list(points(shop, MANY, SEED + 1))[part::10]:
        survives(shop, tmp_path / "run", point)
