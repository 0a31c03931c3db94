"""A published day repeated from the versions in its record: the same to the digest, or one line that says what differs."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import deltalake
import pytest
from typer.testing import CliRunner

import rfm
from rfm.cli.options import app
from rfm.config import Cutoffs, Shop
from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.lake.tables import Lake
from rfm.pipeline import backfill, run_record
from rfm.pipeline.backfill import replay
from rfm.pipeline.chain import RESULTS, STAGES
from rfm.settings import Settings, load_settings

LAST = dt.date(2025, 10, 23)
DAYS = [LAST - dt.timedelta(days=days) for days in (3, 0)]
SILVER = "retail_transactions_silver"


def publish(settings: Settings, day: dt.date) -> None:
    """Run a day without notebooks and keep the record that `rfm daily` would."""
    lake, noted = Lake(settings.lake), run_record.new_record(settings, day, {})
    backfill.to_bronze(settings, lake, day)
    backfill.to_silver(settings, lake, day)
    stages = {stage.name: stage for stage in STAGES}
    calls = {"3_gold": backfill.to_gold, "4_clusters": backfill.to_clusters, "5_segments": backfill.to_segments}
    calls |= {"6_states": backfill.to_states}
    for name, call in calls.items():
        reads = run_record.states(lake, stages[name].reads)
        call(settings, lake, day)
        writes = run_record.states(lake, stages[name].writes)
        noted.stages.append(run_record.StageRecord(name, reads=reads, writes=writes))
    run_record.conclude(settings, rfm.Lake(settings.lake), noted)
    folder = Path(settings.reports) / str(day)
    folder.mkdir(parents=True, exist_ok=True)
    run_record.write_record(folder, noted)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a project with two published days; not to be written to."""
    root = tmp_path_factory.mktemp("project")
    make_sample(root / "landing", days=6, end=LAST, lines=1500, customers=120)
    given = load_settings(landing=str(root / "landing"), lake=str(root / "lake"), reports=str(root / "reports"))
    for day in DAYS:
        publish(given, day)
    return given


@pytest.fixture
def project(published: Settings, tmp_path: Path) -> Settings:
    """Return a copy of it."""
    shutil.copytree(Path(published.lake).parent, tmp_path / "copy")
    places = {name: str(tmp_path / "copy" / name) for name in ("landing", "lake", "reports")}
    return load_settings(**places)


def record_of(settings: Settings, day: dt.date) -> tuple[Path, dict]:
    """Return path and content of a day's record."""
    path = Path(settings.reports) / str(day) / "run.json"
    return path, json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("day", DAYS)
def test_a_published_day_repeated_is_identical(published, day):
    lake = Lake(published.lake)
    before = lake.state()
    found = replay(published, day)
    assert found.differing == []
    assert str(found).endswith(f"all {len(RESULTS) + 1} result tables are identical")
    assert lake.state() == before


def test_what_the_lake_has_become_since_does_not_matter(project):
    lake = Lake(project.lake)
    lake.replace("customer_rfm_gold", lake.read("customer_rfm_gold").head(3))
    deltalake.DeltaTable(f"{lake.url}/{SILVER}").delete("Quantity > 1")
    lake.replace("cluster_models", lake.read("cluster_models").head(0))
    for name in lake.state():
        lake.optimize(name)
    assert [replay(project, day).differing for day in DAYS] == [[], []]


def test_settings_of_the_day_count_not_those_of_today(project):
    changed = {"clusters": project.clusters.model_copy(update={"k_max": 5, "iqr_factor": 3.0})}
    changed |= {"cutoffs": Cutoffs(recency=0.5), "shop": Shop(currency="€")}
    assert replay(project.model_copy(update=changed), LAST).differing == []


def test_differing_tables_are_named_with_the_version_of_the_code(project):
    path, noted = record_of(project, LAST)
    noted["tables"]["segment_summary"]["sha256"] = "0" * 64
    noted["code"]["rfm"] = "0.0.1"
    path.write_text(json.dumps(noted), encoding="utf-8")
    told = str(replay(project, LAST))
    assert "1 result table(s) differ: segment_summary; made by rfm 0.0.1, this is " in told
    assert "\n" not in told


def test_other_versions_of_silver_give_other_results(project):
    path, noted = record_of(project, LAST)
    noted["stages"][0]["reads"][SILVER] = record_of(project, DAYS[0])[1]["stages"][0]["reads"][SILVER]
    path.write_text(json.dumps(noted), encoding="utf-8")
    assert "customer_rfm_gold" in replay(project, LAST).differing


@pytest.mark.parametrize("gone", ["files", "log"])
def test_versions_that_are_gone_are_one_line(project, gone):
    folder = Path(project.lake) / SILVER
    if gone == "log":
        Lake(project.lake).optimize(SILVER)
    for path in folder.glob("*.parquet" if gone == "files" else "_delta_log/*.json"):
        path.unlink()
    with pytest.raises(InputError, match="the versions that 2025-10-23 was made from are gone .*retain_days") as caught:
        replay(project, LAST)
    assert "\n" not in str(caught.value)


def test_an_unpublished_day_or_a_broken_record_is_one_line(project):
    with pytest.raises(InputError, match="no report of 2025-10-22 is published"):
        replay(project, LAST - dt.timedelta(days=1))
    path, noted = record_of(project, LAST)
    path.write_text(json.dumps(noted | {"stages": []}), encoding="utf-8")
    with pytest.raises(InputError, match="only whole runs can be repeated"):
        replay(project, LAST)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is not a run record"):
        replay(project, LAST)


def test_the_command_says_it_in_one_line_and_by_its_exit_status(project):
    places = ["--lake", project.lake, "--reports", project.reports]
    good = CliRunner().invoke(app, ["daily", "--as-published", str(LAST), *places])
    assert (good.exit_code, "identical" in good.stdout) == (0, True)
    path, noted = record_of(project, LAST)
    noted["tables"]["customer_rfm_gold"]["sha256"] = "0" * 64
    path.write_text(json.dumps(noted), encoding="utf-8")
    other = CliRunner().invoke(app, ["daily", "--as-published", str(LAST), *places])
    assert (other.exit_code, "differ: customer_rfm_gold" in other.stdout) == (1, True)
