"""Runs of the command on a disk that is really full, and under limits of the shell: one sentence, and the next run heals."""

from __future__ import annotations

import datetime as dt
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from rfm.cli.run import LEAST
from rfm.pipeline.backfill import backfill
from rfm.pipeline.repair import verify_lake
from rfm.report.site import published_runs
from rfm.settings import load_settings
from tests.forks import contents, differing
from tests.shop import three_days

LAST = dt.date(2025, 10, 23)
DAYS = ("backfill", "--from", "2025-10-22", "--to", "2025-10-23")
FULL = "the disk is full; free some space, then run again"
MEGABYTE = 1 << 20
SHOP_FILE = 'landing = "landing"\nlake = "disk/lake"\nreports = "disk/reports"\nclusters = {k_max = 4, n_init = 1}\n'


class Shop(NamedTuple):
    """A folder with an rfm.toml and the files of three days, and the tables of an undisturbed `rfm backfill` of two."""

    root: Path
    undisturbed: dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("shop")
    three_days(root / "landing", LAST)
    (root / "rfm.toml").write_text(SHOP_FILE)
    settings = load_settings(landing=str(root / "landing"), lake=str(root / "quiet"), clusters={"k_max": 4, "n_init": 1})
    list(backfill(settings, LAST - dt.timedelta(days=1), LAST))
    return Shop(root, contents(settings.lake))


@pytest.fixture
def disk(shop: Shop) -> Iterator[Path]:
    """Return the folder of lake and reports, which is a disk of its own with a megabyte."""
    place = shop.root / "disk"
    place.mkdir(exist_ok=True)
    if mount(place, "-t", "tmpfs", "-o", f"size={MEGABYTE}", "rfm"):
        stop = pytest.fail if "mount" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop("a disk that can be full needs the right to mount one")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def mount(place: Path, *how: str) -> int:
    """Mount a disk, or give one another size; return the exit status."""
    return subprocess.run(["mount", *how, str(place)], capture_output=True, check=False).returncode


def rfm(shop: Shop, *words: str, **limits: int) -> tuple[int, list[str]]:
    """Run the command under limits; return its exit status and the lines of its complaint."""

    def limit() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    command = [sys.executable, "-c", "from rfm.cli import main; main()", *words]
    given = {"capture_output": True, "text": True, "cwd": shop.root, "timeout": 300, "env": os.environ | {"COLUMNS": "300"}}
    done = subprocess.run(command, preexec_fn=limit, check=False, **given)
    assert "Traceback" not in done.stderr
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("rfm: ")]


def fill(disk: Path, left: int) -> Path:
    """Write a file that leaves ``left`` bytes free on a disk; return the file."""
    filler = disk / "filler"
    filler.write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - left))
    return filler


@pytest.mark.parametrize("left", [300_000, *(pytest.param(left, marks=pytest.mark.long) for left in range(0, 440_000, 40_000))])
def test_a_full_disk_stops_a_backfill_that_heals(shop, disk, left):
    filler = fill(disk, left)
    status, said = rfm(shop, *DAYS)
    assert (status, len(said)) == (1, 1), said
    assert FULL in said[0]
    filler.unlink()
    assert rfm(shop, *DAYS) == (0, [])
    assert differing(contents(str(disk / "lake")), shop.undisturbed) == []
    assert verify_lake(load_settings(landing=str(shop.root / "landing"), lake=str(disk / "lake"))) == []


@pytest.mark.long
@pytest.mark.parametrize("left", [100_000, 350_000, 900_000])
def test_a_full_disk_stops_a_daily_run_that_heals(shop, disk, left):
    assert mount(disk, "-o", f"remount,size={16 * MEGABYTE}") == 0
    filler = fill(disk, left)
    status, said = rfm(shop, "daily")
    assert (status, len(said)) == (1, 1), said
    assert FULL in said[0]
    assert (": stage " in said[0]) == (left < 900_000)  # with so much left, the pages are what finds no room
    reports = str(disk / "reports")
    assert not (disk / "reports" / "index.html").exists()
    filler.unlink()
    assert [run for run in published_runs(reports) if run["status"] == "done"] == []
    assert rfm(shop, "daily") == (0, [])
    assert [run["run_date"] for run in published_runs(reports) if run["status"] == "done"] == [str(LAST)]
    clean = load_settings(
        landing=str(shop.root / "landing"), lake=str(shop.root / f"daily{left}"), clusters={"k_max": 4, "n_init": 1}
    )
    list(backfill(clean, LAST, LAST))
    assert differing(contents(str(disk / "lake")), contents(clean.lake)) == []


@pytest.mark.long
@pytest.mark.parametrize("size", [2_048, 4_096, 8_192])
def test_a_limit_of_file_sizes_stops_a_run_that_heals(shop, tmp_path, size):
    status, said = rfm(shop, *DAYS, "--lake", str(tmp_path / "lake"), RLIMIT_FSIZE=size)  # needs no right to mount
    assert (status, len(said)) == (1, 1), said
    assert "no file may be that large; set `ulimit -f unlimited`" in said[0]
    assert rfm(shop, *DAYS, "--lake", str(tmp_path / "lake")) == (0, [])
    assert differing(contents(str(tmp_path / "lake")), shop.undisturbed) == []


@pytest.mark.parametrize("words", [DAYS, pytest.param(("daily",), marks=pytest.mark.long)])
@pytest.mark.parametrize("limit", LEAST)
def test_low_limits_of_the_shell_are_one_sentence(shop, words, limit):
    least, shown, _, remedy = LEAST[limit]
    status, said = rfm(shop, *words, **{limit: least // 2})
    assert (status, len(said)) == (1, 1)
    assert said[0].startswith(f"rfm: `{shown}` allows {least // 2:,} ")
    assert said[0].endswith(f"set `{remedy}`, then run again")


@pytest.mark.long
@pytest.mark.parametrize("limit", LEAST)
def test_the_least_limits_are_enough(shop, disk, limit):
    assert mount(disk, "-o", f"remount,size={64 * MEGABYTE}") == 0
    for words in (DAYS, ("daily",)):
        assert rfm(shop, *words, **{limit: LEAST[limit][0]}) == (0, [])
