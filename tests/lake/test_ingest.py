"""A file whose content changed after it was read: noticed at no cost, refused by default, replaced all the way if wanted."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import rfm
from rfm.cli.options import app
from rfm.contracts import BRONZE, QUARANTINE, SILVER
from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.lake import ingest, ledger
from rfm.lake.tables import LEDGER, Lake, revision_of
from rfm.landing.files import list_files
from rfm.landing.reader import read_files
from rfm.pipeline import backfill, stages
from rfm.settings import Settings, load_settings

DAY, NEXT = dt.date(2025, 6, 26), dt.date(2025, 6, 27)
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
GOOD = "489434,85048,BALL,12,6.95,13085.0,EIRE,2025-06-26"
BAD = "489435,85048,BALL,-1,6.95,13085.0,EIRE,2025-06-26"
NAME, OTHER = "2025-06-26_transactions.csv", "2025-06-26_b_transactions.csv"


def put(shop: Settings, name: str, *lines: str) -> None:
    """Write a landing file."""
    Path(shop.landing).mkdir(exist_ok=True)
    (Path(shop.landing) / name).write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")


def run(shop: Settings, day: dt.date = DAY, *, restate: bool = False) -> list[str]:
    """Run the first two stages, without the warnings of the second; return what the first one warns of."""
    lake = Lake(shop.lake)
    backfill.to_bronze(shop, lake, day, restate)
    stages.clean_files(lake, shop)
    stages.count_quality(lake, shop, day)
    return lake.read("run_warnings", run_date=day, stage="1_bronze").collect()["message"].to_list()


def held(shop: Settings) -> dict[str, tuple[int, int, int]]:
    """Return the rows of each file in bronze, silver and quarantine."""
    counts = [
        dict(Lake(shop.lake).read(name).group_by("source_file").len().collect().rows()) for name in (BRONZE, SILVER, QUARANTINE)
    ]
    return {name: tuple(count.get(name, 0) for count in counts) for name in counts[0]}  # type: ignore[misc]


def place(root: Path) -> Settings:
    """Return the settings of a shop in a folder."""
    return load_settings(landing=str(root / "landing"), lake=str(root / "lake"), rules={"max_dropped_share": 1.0})


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a shop with two files of a day in the tables; not to be written to."""
    root = tmp_path_factory.mktemp("begun")
    settings = place(root)
    put(settings, NAME, GOOD, GOOD, BAD)
    put(settings, OTHER, GOOD.replace("EIRE", "Germany"))
    assert run(settings) == []
    return root


@pytest.fixture
def shop(begun: Path, tmp_path: Path) -> Settings:
    """Return a copy of that shop: three lines, one of them bad, and a good one."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return place(tmp_path)


# ── what is noticed ────────────────────────────────────────────────────────────────────────────────
def test_an_unchanged_listing_opens_no_file(shop):
    assert ingest.new_files(Lake(shop.lake), list_files(shop.landing)) == []


def test_a_file_that_only_looks_changed_is_read_once_more(shop):
    os.utime(Path(shop.landing) / NAME, (1, 1))
    assert [file.source_file for file in ingest.new_files(Lake(shop.lake), list_files(shop.landing))] == [NAME]
    before = held(shop)
    assert run(shop) == []
    assert ingest.new_files(Lake(shop.lake), list_files(shop.landing)) == []
    assert held(shop) == before


def test_a_changed_file_is_refused_and_read_only_once(shop):
    put(shop, NAME, GOOD)
    before = held(shop)
    for day in (DAY, NEXT):
        (said,) = run(shop, day)
        assert said.startswith(f"{NAME}: its content changed after it was read (")
        assert said.endswith("run again with --restate to replace it")
        assert ingest.new_files(Lake(shop.lake), list_files(shop.landing)) == []
    assert held(shop) == before


def test_a_file_that_came_twice_is_refused_until_it_differs(shop):
    put(shop, "2025-06-27_transactions.csv", GOOD, GOOD, BAD)
    for name in ("2025-06-27_b_transactions.csv", "2025-06-27_c_transactions.csv"):
        put(shop, name)  # only a header: nothing counts twice
    (said,) = run(shop, NEXT)
    assert said.startswith(f"2025-06-27_transactions.csv: has the same lines as {NAME}, so it is not read; remove one of them")
    assert "2025-06-27_transactions.csv" not in held(shop)
    assert run(shop, NEXT) == [said]
    assert run(shop, DAY) == []
    put(shop, "2025-06-27_transactions.csv", GOOD)
    assert run(shop, NEXT) == []
    assert held(shop)["2025-06-27_transactions.csv"] == (1, 1, 0)


def test_of_two_equal_files_of_one_run_the_first_is_read(tmp_path):
    settings = load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"), rules={"max_dropped_share": 1.0})
    for name in (NAME, OTHER):
        put(settings, name, GOOD)
    (said,) = run(settings)
    assert said.startswith(f"{NAME}: has the same lines as {OTHER}, so")


def test_same_size_and_another_content_is_noticed(shop):
    put(shop, NAME, GOOD.replace("12", "13"), GOOD, BAD)
    assert len(run(shop)) == 1


def test_a_file_with_its_old_content_again_gives_no_warning(shop):
    put(shop, NAME, GOOD)
    assert len(run(shop)) == 1
    put(shop, NAME, GOOD, GOOD, BAD)
    assert run(shop) == []
    assert Lake(shop.lake).read(LEDGER, layer="changed").collect().is_empty()


# ── what is restated ───────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("lines", "refused_first"),
    [
        pytest.param(lines, refused, id=f"{name}-{refused}", marks=[pytest.mark.long] * (refused != (name in ("one", "none"))))
        for name, lines in {"one": [GOOD], "bad": [BAD], "more": [GOOD] * 5 + [BAD] * 2, "none": []}.items()
        for refused in (False, True)
    ],
)
def test_restated_rows_and_money_follow(shop, refused_first, lines):
    put(shop, NAME, *lines)
    if refused_first:
        run(shop)
    assert run(shop, NEXT, restate=True) == []
    good, bad = lines.count(GOOD), lines.count(BAD)
    expected = {NAME: (good + bad, good, bad)} if lines else {}
    assert held(shop) == expected | {OTHER: (1, 1, 0)}
    silver = Lake(shop.lake).read(SILVER).collect()
    assert silver["TotalPrice"].sum() == Decimal("83.40") * (good + 1)
    assert ingest.reconcile(Lake(shop.lake)) == {"bronze": good + bad + 1, "silver": good + 1, "quarantine": bad}
    assert ingest.new_files(Lake(shop.lake), list_files(shop.landing), restate=True) == []
    assert ingest.files_to_clean(Lake(shop.lake)) == []


def test_restating_twice_or_without_a_change_does_nothing(shop):
    run(shop, restate=True)
    versions = Lake(shop.lake).held(BRONZE, [NAME])
    assert revision_of(versions[NAME]) == 1
    for lines in ([GOOD], [GOOD, GOOD]):
        put(shop, NAME, *lines)
        run(shop, restate=True)
        run(shop, restate=True)
    assert {revision_of(Lake(shop.lake).held(name, [NAME])[NAME]) for name in (BRONZE, SILVER, QUARANTINE)} == {3}
    assert held(shop)[NAME] == (2, 2, 0)


def test_gold_of_the_next_run_follows(shop):
    put(shop, NAME, GOOD)
    run(shop, NEXT, restate=True)
    gold = rfm.rfm_metrics(Lake(shop.lake).read(SILVER, until=NEXT), NEXT).collect()
    assert gold["Monetary"].to_list() == [Decimal("166.80")]


def test_the_day_that_brought_the_old_rows_is_counted_anew(shop):
    put(shop, NAME, GOOD)
    run(shop, NEXT, restate=True)
    counted = Lake(shop.lake).read("bronze_daily_quality").sort("processing_date").collect()
    assert counted.select("processing_date", "total_records").rows() == [(DAY, 1), (NEXT, 1)]
    counts = Lake(shop.lake).read("daily_counts", layer="bronze").collect()
    assert counts["total_records"].sum() == 2
    assert Lake(shop.lake).read(LEDGER, layer="changed").collect().is_empty()


# ── crashes and races ──────────────────────────────────────────────────────────────────────────────
DEATHS: dict[str, tuple[Any, str]] = {
    "before bronze": (Lake, "put_files"),
    "before the ledger": (ledger, "record_layer"),
    "before silver": (ingest, "write_silver"),
    "before the counts": (ingest, "processing_dates"),
    "before the end": (ingest, "clear_restatements"),
}


@pytest.mark.parametrize("restate", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_restatement_that_died_is_repaired_by_the_next_run(shop, monkeypatch, death, restate):
    put(shop, NAME, GOOD)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*death, die)
        with pytest.raises(KeyboardInterrupt):
            run(shop, NEXT, restate=True)
    begun = death != DEATHS["before bronze"]
    assert len(run(shop, NEXT, restate=restate)) == (not begun and not restate)
    assert held(shop) == {NAME: (1, 1, 0) if begun or restate else (3, 2, 1), OTHER: (1, 1, 0)}
    assert ingest.files_to_clean(Lake(shop.lake)) == []
    total = Lake(shop.lake).read("bronze_daily_quality").select(pl.col("total_records").sum()).collect().item()
    assert total == sum(bronze for bronze, _, _ in held(shop).values())


def test_between_silver_and_quarantine(shop, monkeypatch):
    put(shop, NAME, GOOD, BAD)
    whole = Lake.put_files

    def only_silver(lake: Lake, name: str, *rest: Any) -> Any:
        if name == QUARANTINE:
            raise KeyboardInterrupt
        return whole(lake, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "put_files", only_silver)
        with pytest.raises(KeyboardInterrupt):
            run(shop, NEXT, restate=True)
    assert ingest.files_to_clean(Lake(shop.lake)) == [NAME]
    run(shop, NEXT)
    assert held(shop)[NAME] == (2, 1, 1)


def test_four_restate_at_once_and_each_line_is_there_once(shop):
    put(shop, NAME, *[GOOD] * 4, BAD)
    put(shop, OTHER, GOOD, BAD)
    gate = threading.Barrier(4)

    def restate() -> None:
        gate.wait()
        backfill.to_bronze(shop, Lake(shop.lake), NEXT, restate=True)
        lake = Lake(shop.lake)
        new = ingest.files_to_clean(lake)
        ingest.write_silver(lake, *rfm.clean(lake.read(BRONZE, source_file=new)), new)

    racers = [threading.Thread(target=restate) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(600)
    run(shop, NEXT)
    assert held(shop) == {NAME: (5, 4, 1), OTHER: (2, 1, 1)}
    assert ingest.reconcile(Lake(shop.lake)) == {"bronze": 7, "silver": 5, "quarantine": 2}


def test_a_slow_run_with_the_old_content_takes_nothing_back(shop):
    old = list(read_files(shop.landing, list_files(shop.landing), DAY))
    put(shop, NAME, GOOD)
    run(shop, NEXT, restate=True)
    ingest.write_bronze(Lake(shop.lake), old)
    run(shop, NEXT)
    assert held(shop)[NAME] == (1, 1, 0)


# ── refused files ──────────────────────────────────────────────────────────────────────────────────
def test_a_refused_file_is_tried_again_until_it_is_right(shop):
    bad = Path(shop.landing) / "2025-06-27_transactions.csv"
    bad.write_bytes(b"%PDF-1.7")
    put(shop, "2025-06-27_b_transactions.csv", GOOD.replace("489434", "489440"))
    for _ in range(2):
        (said,) = run(shop, NEXT)
        assert said == f"{bad.name}: not a sales file but a PDF document; export it as CSV and send it again"
        assert backfill.warnings_of(shop, NEXT, NEXT) == ([said], True)
    assert held(shop)["2025-06-27_b_transactions.csv"] == (1, 1, 0)
    put(shop, bad.name, *[GOOD.replace("489434", order) for order in ("489441", "489442")])
    assert run(shop, NEXT) == []
    assert held(shop)[bad.name] == (2, 2, 0)
    assert backfill.warnings_of(shop, NEXT, NEXT)[1] is False


def test_a_refused_file_stops_before_gold_if_set_so(shop):
    (Path(shop.landing) / "x_transactions.csv").write_text("what is this", encoding="utf-8")
    strict = shop.model_copy(update={"files": shop.files.model_copy(update={"on_refused": "before"})})
    backfill.to_bronze(strict, Lake(strict.lake), DAY)
    with pytest.raises(InputError, match=r"stopped before gold: 1 file\(s\) refused, the others are in silver: x_transactions"):
        backfill.to_silver(strict, Lake(strict.lake), DAY)


@pytest.mark.parametrize(
    ("name", "value"), [("encoding", "klingon"), ("encoding", "base64"), ("separator", "::"), ("on_refused", "never")]
)
def test_wrong_settings_of_files_are_refused(name, value):
    with pytest.raises(rfm.RfmError, match=f"files.{name}"):
        load_settings(files={name: value})


# ── the command ────────────────────────────────────────────────────────────────────────────────────
def test_backfill_ends_with_status_1_after_a_refused_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_sample(tmp_path / "landing", days=1, lines=600, customers=80)
    (file,) = (tmp_path / "landing").iterdir()
    command = ["backfill", "--from", file.name[:10], "--to", file.name[:10], "--landing", "landing", "--lake", "lake"]
    first = CliRunner().invoke(app, command)
    assert (first.exit_code, "warning" in first.output and "refused" in first.output) == (0, False)
    file.write_text("".join(file.read_text("utf-8").splitlines(keepends=True)[:-9]), encoding="utf-8")
    (tmp_path / "landing" / "x_transactions.csv").write_bytes(b"%PDF-1.7")
    done = CliRunner().invoke(app, [*command, "--restate"])
    assert done.exit_code == 1, done.output
    assert "x_transactions.csv: not a sales file but a PDF document" in done.output.replace("\n", "")
    assert Lake("lake").read(BRONZE).select(pl.len()).collect().item() == len(file.read_text("utf-8").splitlines()) - 1
    exported = CliRunner().invoke(app, ["release", "--export", "rows.csv", "--lake", "lake"])
    assert (exported.exit_code, (tmp_path / "rows.csv").is_file()) == (0, True)
    again = CliRunner().invoke(app, ["release", "rows.csv", "--lake", "lake"])
    assert "0 row(s) released into silver" in again.output
