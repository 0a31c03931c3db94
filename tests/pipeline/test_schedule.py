"""Runs that happen by themselves: one at a time, the missed days too, and as soon as a file has landed."""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import rfm
from rfm import cli
from rfm.config import History
from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.lake.tables import Lake
from rfm.pipeline import backfill as backfill_of
from rfm.pipeline import daily, schedule, stages
from rfm.pipeline.backfill import backfill
from rfm.pipeline.models import kept_days
from rfm.pipeline.schedule import BusyError, catch_up, first_days, locked, missed, poll, run_first
from rfm.report.publish import Sent
from rfm.settings import Settings
from tests.forks import contents, differing

ROOT = Path(__file__).parents[2]
DAY = dt.date(2025, 10, 23)
DAYS = [DAY - dt.timedelta(days=i) for i in (3, 2, 1, 0)]


def place(root: Path, **given: Any) -> Settings:
    """Return the settings of a project in a folder."""
    where = {name: str(root / name) for name in ("landing", "lake", "reports")}
    return rfm.load_settings(**where, notebooks=str(ROOT / "notebooks"), **given)


# ── one at a time ──────────────────────────────────────────────────────────────────────────────────
def test_second_run_is_told_who_holds_the_lock_until_it_ends(tmp_path):
    settings = place(tmp_path)
    with locked(settings, DAY):
        with pytest.raises(BusyError, match=rf"run.lock: a run of {DAY} is at work .*process \d+ on .*, since 20") as caught:
            locked(settings, DAYS[0]).__enter__()
        assert "\n" not in str(caught.value)
        with locked(place(tmp_path / "other"), DAY):
            pass
    with pytest.raises(ZeroDivisionError), locked(settings, DAY):
        _ = 1 / 0
    with locked(settings, DAY):
        pass


def test_lock_of_a_run_that_was_killed_holds_nobody_up(tmp_path):
    program = """import datetime as dt, sys, time, rfm; from rfm.pipeline.schedule import locked
with locked(rfm.load_settings(lake=sys.argv[1]), dt.date(2025, 10, 23)):
    print("in", flush=True)
    time.sleep(600)"""
    settings = place(tmp_path)
    with subprocess.Popen([sys.executable, "-c", program, settings.lake], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "in\n"
        with pytest.raises(BusyError, match=f"process {run.pid} on"):
            locked(settings, DAY).__enter__()
        run.send_signal(signal.SIGKILL)
        run.wait()
        with locked(settings, DAY):
            pass


def test_daily_run_and_backfill_do_not_meet_another_run(tmp_path, monkeypatch):
    make_sample(tmp_path / "landing", days=2, lines=200, customers=20)
    settings = place(tmp_path)
    monkeypatch.setattr(daily, "warm_kernels", lambda: pytest.MonkeyPatch.context())  # none is needed
    with locked(settings, DAY), pytest.raises(BusyError):
        daily.run(settings)
    with locked(settings, DAY):
        ended = CliRunner().invoke(
            cli.app, ["backfill", "--from", f"{DAY}", "--to", f"{DAY}", "--landing", settings.landing, "--lake", settings.lake]
        )
    assert isinstance(ended.exception, BusyError)
    assert not (tmp_path / "lake" / "retail_transactions_bronze").exists()


@pytest.mark.parametrize("verb", [["report"], ["publish", "out"], ["release", "rows.csv"]], ids=lambda verb: verb[0])
def test_verbs_that_touch_what_runs_write_take_the_lock(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen, command = [], [*verb, "--lake", "lake"]
    monkeypatch.setattr("rfm.report.site.rebuild", lambda *_: seen.append(_held(settings)))
    monkeypatch.setattr("rfm.report.publish.publish", lambda *_: seen.append(_held(settings)) or Sent([], 0, 0, [], "out"))
    monkeypatch.setattr("rfm.pipeline.release.release_or_export", lambda *_: seen.append(_held(settings)) or "released")
    settings = place(tmp_path)
    with locked(settings, DAY):
        ended = CliRunner().invoke(cli.app, command)
    assert (type(ended.exception), seen) == (BusyError, [])
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    assert seen == [f"`rfm {verb[0]}`"]


def _held(settings: Settings) -> str:
    """Return who is at work, as another run is told."""
    with pytest.raises(BusyError, match="run.lock: (.+) is at work on these tables") as caught:
        locked(settings, DAY).__enter__()
    return re.search("run.lock: (.+) is at work", str(caught.value))[1]


def test_where_no_lake_is_no_verb_makes_one(tmp_path):
    with locked(place(tmp_path), "`rfm publish`"):
        assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("held", "stale"),
    [
        ({"process": 2**22 + 1}, True),
        ({}, False),
        ({"host": "elsewhere", "process": 1}, False),
        ({"host": "elsewhere", "since": "2025-10-23T00:00:00+00:00"}, True),
        ("not JSON", True),
    ],
    ids=["process gone", "process there", "another host", "too long ago", "unreadable"],
)
def test_lock_of_a_bucket_is_stale_without_process_or_too_old(held, stale):
    text = held if isinstance(held, str) else json.dumps(json.loads(schedule._owner(DAY)) | held)
    assert schedule._is_stale(text) is stale


# ── the days that were missed ──────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shop of four days, of which the first was run; the third has only lines that are dropped."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=4, lines=600, customers=60)
    odd = root / "landing" / f"{DAYS[2]}_transactions.csv"
    odd.write_text(re.sub(r",[1-9][0-9]*,([0-9.]+,)", r",-1,\1", odd.read_text(encoding="utf-8")), encoding="utf-8")
    list(backfill(place(root), DAYS[0], DAYS[0]))
    return root


def test_missed_days_run_in_order_also_after_one_that_fails(shop, monkeypatch):
    settings = place(shop)
    assert missed(settings) == DAYS[1:3]
    assert missed(place(shop, date=DAYS[1])) == []
    ran = []
    monkeypatch.setattr(daily, "run", lambda settings, *_: ran.append(settings) or RECORD)
    ended = CliRunner().invoke(
        cli.app,
        [
            "daily",
            "--catch-up",
            *(word for name in ("landing", "lake", "reports") for word in (f"--{name}", getattr(settings, name))),
        ],
    )
    assert (ended.exit_code, len(ran)) == (1, 1)
    assert f"✓ {DAYS[1]}: " in ended.output
    assert re.search(rf"✗ {DAYS[2]}: .*dropped", ended.output)
    assert f"{DAY}: all well. Report: here" in ended.output
    assert kept_days(settings.lake) == DAYS[:2]
    assert missed(settings) == [DAYS[2]]  # tried again the next time


RECORD = {"run_date": f"{DAY}", "headline": "all well", "report": "here", "warnings": [], "errors": []}


def test_catching_up_waits_for_nobody(shop):
    with locked(place(shop), DAY), pytest.raises(BusyError):
        list(catch_up(place(shop)))


# ── the past of a first run ────────────────────────────────────────────────────────────────────────
OVER_TIME = ("customer_rfm_kmeans_clustered_history", "cluster_models", "segment_movement", "segment_stability")
BACK = [DAY - dt.timedelta(days=days) for days in (7, 1)]


def ingested(root: Path, **given: Any) -> Settings:
    """Return settings of a shop whose files a first run of its newest day has read and cleaned."""
    settings = place(root, **given)
    backfill_of.to_bronze(settings, Lake(settings.lake), DAY)
    backfill_of.to_silver(settings, Lake(settings.lake), DAY)
    return settings


@pytest.fixture(scope="module")
def ten_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shop of ten days, read and cleaned; not to be written to."""
    root = tmp_path_factory.mktemp("ten")
    make_sample(root / "landing", days=10, lines=1000, customers=80)
    ingested(root)
    return root


@pytest.fixture
def young(ten_days: Path, tmp_path: Path) -> Settings:
    """Return settings with a copy of that shop."""
    return place(Path(shutil.copytree(ten_days, tmp_path / "young")), history={"first": [30, 7, 1]})


def test_a_shop_of_ten_days_gets_the_days_it_had(young):
    lake = Lake(young.lake)
    assert first_days(young, lake, DAY) == BACK
    assert first_days(young, lake, DAY - dt.timedelta(days=9)) == []
    assert first_days(young.model_copy(update={"history": History(first=())}), lake, DAY) == []
    assert first_days(young.model_copy(update={"history": History(first=(3, 9, 3, 10))}), lake, DAY) == [
        DAY - dt.timedelta(days=days) for days in (9, 3)
    ]
    assert first_days(young, lake, dt.date.min + dt.timedelta(days=3)) == []


def test_one_file_has_the_days_of_its_sales_unless_dated(ten_days, tmp_path):
    parts = [path.read_text("utf-8").splitlines(keepends=True) for path in sorted((ten_days / "landing").iterdir())]
    whole = "".join(parts[0][:1] + [line for part in parts for line in part[1:]])
    for name, days in {"all_transactions.csv": BACK, f"{DAY}_transactions.csv": []}.items():
        root = tmp_path / name
        (root / "landing").mkdir(parents=True)
        (root / "landing" / name).write_text(whole, "utf-8")
        settings = ingested(root, files={"settle_seconds": 0}, history={"first": [30, 7, 1]})
        assert first_days(settings, Lake(settings.lake), DAY) == days


def test_only_a_shop_without_another_day_gets_a_past(young):
    lake = Lake(young.lake)
    assert [(one.day, one.well) for one in run_first(young, BACK[:1])] == [(BACK[0], True)]
    assert first_days(young, lake, DAY) == BACK[1:], "a killed first run does not go on"
    list(backfill(young, DAYS[0], DAYS[0]))
    assert first_days(young, lake, DAY) == []


@pytest.mark.whole
def test_a_past_is_what_backfill_of_its_days_leaves(young, tmp_path):
    settings = place(Path(shutil.copytree(Path(young.lake).parent, tmp_path / "other")))
    assert all(one.well for one in run_first(young, BACK))
    for day in BACK:
        list(backfill(settings, day, day))
    past, other = (Lake(each.lake) for each in (young, settings))
    for name in OVER_TIME:
        assert past.fingerprint(name) == other.fingerprint(name), name
        assert len(past.rows(name))
    assert not past.open("customer_rfm_gold"), "the run writes it, not its past"
    log = past.rows("pipeline_runs")
    assert set(log.select("run_date", "stage", "status").rows()) == {(day, "backfill", "done") for day in BACK}


@pytest.mark.long
def test_backfill_over_a_past_leaves_what_it_leaves_without(young, tmp_path):
    settings = place(Path(shutil.copytree(Path(young.lake).parent, tmp_path / "other")))
    list(run_first(young, [DAYS[1], DAYS[2]]))
    for each in (young, settings):
        list(backfill(each, DAY, DAY))
        list(backfill(each, DAYS[0], DAY))
    assert differing(contents(young.lake), contents(settings.lake)) == []


def test_an_early_day_that_fails_is_said_and_the_next_runs(young, monkeypatch):
    fit = stages.cluster_customers

    def odd(gold: Any, excluded: Any, settings: Settings, run_date: dt.date, before: Any = None) -> Any:
        if run_date == BACK[0]:
            raise InputError("too odd")
        return fit(gold, excluded, settings, run_date, before)

    monkeypatch.setattr(stages, "cluster_customers", odd)
    done = list(run_first(young, BACK))
    assert [(one.day, one.well) for one in done] == [(BACK[0], False), (BACK[1], True)]
    assert done[0].said == "too odd"
    assert kept_days(young.lake) == BACK[1:]


# ── as soon as a file has landed ───────────────────────────────────────────────────────────────────
class Place:
    """A landing place that is looked at a few times, until Ctrl-C."""

    def __init__(self, *looks: tuple[int, ...], answers: tuple[bool, ...] = ()) -> None:
        self.looks, self.answers, self.number, self.acts = looks, list(answers), -1, []

    def look(self) -> tuple[int, ...]:
        self.number += 1
        return self.looks[self.number]

    def act(self) -> bool:
        self.acts.append(self.number)
        return self.answers.pop(0) if self.answers else True

    def pause(self) -> None:
        if self.number == len(self.looks) - 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("looks", "answers", "acts"),
    [
        ([(), (), ()], (), []),
        ([(5,), (5,), (5,), (5,)], (), [1]),
        ([(5,), (5,), (5, 1), (5, 7), (5, 7), (5, 7)], (), [1, 4]),
        ([(5,), (5,), (), (5,), (5,)], (), [1]),
        ([(5,), (5,), (5,), (5,)], (False, True), [1, 2]),
    ],
    ids=["nothing there", "there at the start", "one more, that grows", "out of reach for a while", "busy at first"],
)
def test_watch_acts_once_on_what_has_stopped_growing(looks, answers, acts):
    place = Place(*looks, answers=answers)
    poll(place.look, place.act, place.pause)
    assert place.acts == acts


def test_watch_says_errors_once_runs_what_lands_and_ends(tmp_path, monkeypatch, capsys):
    settings, pauses, ran = place(tmp_path), [], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            make_sample(settings.landing, days=1, lines=100, customers=10)
        if len(pauses) == 6:
            raise KeyboardInterrupt

    def run(settings: Settings, *_: Any) -> dict[str, Any]:
        ran.append(len(pauses))
        raise InputError("it went wrong")

    monkeypatch.setenv("RFM_KERNELS", "fresh")  # no process that is waited for
    monkeypatch.setattr(schedule.time, "sleep", pause)
    monkeypatch.setattr(daily, "run", run)
    cli.app(["watch", "--every", "5", "--landing", settings.landing, "--lake", settings.lake], standalone_mode=False)
    said = capsys.readouterr()
    assert (pauses, ran) == ([5] * 6, [3])
    assert re.findall(r"^rfm: .*(?=there is no such folder|it went wrong)", said.err, re.MULTILINE) == [
        f"rfm: {settings.landing}: ",
        "rfm: ",
    ]
    assert "Stopped watching." in said.err


# ── the workflow ───────────────────────────────────────────────────────────────────────────────────
WORKFLOW = (ROOT / ".github" / "workflows" / "daily.yml").read_text(encoding="utf-8")
STEPS = yaml.safe_load(WORKFLOW)["jobs"]["daily"]["steps"]


def test_workflow_pins_its_actions_and_names_its_secrets():
    assert [step["uses"] for step in STEPS if not re.fullmatch(r"actions/[\w/-]+@v\d+", step.get("uses", "actions/x@v1"))] == []
    told = [value for step in STEPS for value in step.get("env", {}).values()]
    assert all(re.fullmatch(r"\$\{\{ (secrets|vars|inputs)\.\w+ \}\}", value) for value in told)
    assert [step["run"] for step in STEPS if "${{" in step.get("run", "")] == []  # nothing of theirs is run as a command


def test_commands_of_the_workflow_are_understood():
    verbs = typer.main.get_command(cli.app).commands
    lines = [shlex.split(step["run"].split(" ${")[0])[1:] for step in STEPS if ".venv/bin/rfm" in step.get("run", "")]
    assert [words[0] for words in lines] == ["upload", "daily", "publish"]
    for verb, *options in lines:
        verbs[verb].make_context(verb, options)
