"""The command line: help with examples, exit statuses, and one plain line on stderr for what a user can cause."""

from __future__ import annotations

import datetime as dt
import json
import os
import pty
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from rfm.cli import main, options
from rfm.cli.options import app
from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.lake.tables import Lake
from tests.conftest import NO_PAST

VERBS = ["daily", "backfill", "watch", "check", "init", "upload", "report", "publish", "serve", "campaign"]
VERBS += ["status", "verify", "repair", "optimize", "release", "score", "backtest", "sample", "prepare", "notebooks"]
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
GOLD = "customer_rfm_gold"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide_terminal: None) -> Path:
    """Work in an empty folder, with no setting in the environment, on a wide terminal."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_") and name not in NO_PAST]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def rfm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that runs `rfm` with arguments: exit status, what it said, what it complained of."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rfm", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def refused(rfm):
    """Return a function that runs `rfm`, expects a failure told in one line, and returns status and line."""

    def run(*arguments: str) -> tuple[int, str]:
        status, _, complaint = rfm(*arguments)
        assert complaint.startswith("rfm: ")
        assert complaint.count("\n") == 1, complaint
        assert "Traceback" not in complaint
        return status, complaint

    return run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six days of an invented shop and a lake that holds the first two; not to be written to."""
    folder = tmp_path_factory.mktemp("shop")
    make_sample(folder / "landing", days=6, lines=1500, customers=120)
    runner = CliRunner().invoke(
        app,
        ["backfill", "--from", "2025-10-18", "--to", "2025-10-19", "--landing", f"{folder}/landing", "--lake", f"{folder}/lake"],
    )
    assert runner.exit_code == 0, runner.output
    assert "2 day(s) up to 2025-10-19: " in runner.output
    assert f"Tables: {folder}/lake" in runner.output
    return folder


# ── help ───────────────────────────────────────────────────────────────────────────────────────────
def test_the_verbs_are_these():
    assert list(typer.main.get_command(app).commands) == VERBS


@pytest.mark.parametrize("arguments", [["--help"], []], ids=["asked", "no verb"])
def test_help_lists_every_verb(rfm, arguments):
    status, said, complaint = rfm(*arguments)
    assert (status, complaint) == (0, "")
    assert "Usage: rfm [OPTIONS] COMMAND" in said
    assert all(re.search(rf"\b{verb}\b", said) for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_says_what_it_does_and_gives_an_example(verb):
    shown = CliRunner().invoke(app, [verb, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Examples?: rfm {verb}", shown.output)
    command = typer.main.get_command(app).commands[verb]
    assert command.help.replace("`", "").split(".")[0] in " ".join(shown.output.split())
    assert all(option.help for option in command.params)


@pytest.mark.parametrize("arguments", [[], ["daily"], ["check"]], ids=["rfm", "daily", "check"])
def test_h_is_help(rfm, arguments):
    shown = rfm(*arguments, "-h")
    assert shown == rfm(*arguments, "--help")
    assert (shown[0], "Usage: rfm" in shown[1]) == (0, True)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_is_that_of_the_package(rfm, option):
    assert rfm(option) == (0, f"rfm {version('rfm')}\n", "")


def test_every_verb_stands_under_a_heading(rfm):
    assert [verb for verbs in options.PANELS.values() for verb in verbs] == VERBS
    said = rfm("--help")[1]
    assert [line.split(" ─")[0][3:] for line in said.splitlines() if line.startswith("╭─")] == ["Options", *options.PANELS]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_80_columns_without_python_types(verb):
    plain = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    shown = CliRunner(env=plain).invoke(app, [*filter(None, [verb]), "--help"])
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    assert [word for word in ("<str>", "<int>", "<bool>", "<float>", "list[", "\x1b") if word in shown.output] == []


def test_help_shows_what_a_default_is(rfm):
    said = " ".join(rfm("daily", "--help")[1].replace("│", " ").split())
    assert "FOLDER Folder or URL of the tables. [default: (data/lake)]" in said
    assert "[default: (the newest day that has a file)]" in said


def test_completion_knows_verbs_and_options_and_is_light(home):
    program = "import atexit, sys; from rfm.cli import main; heavy = {'pandas', 'polars', 'numpy', 'deltalake'}; "
    program += "atexit.register(lambda: print(sorted(heavy & sys.modules.keys()), file=sys.stderr)); main()"
    for words, found in {"rfm bac": ["backfill", "backtest"], "rfm daily --e": ["--engine"]}.items():
        given = {"_RFM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        command = [sys.executable, "-c", program]
        ended = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.stdout.split(), ended.stderr) == (found, "[]\n")


def test_completion_installs_itself(home):
    command = [sys.executable, "-c", "from rfm.cli import main; main()", "--install-completion", "bash"]
    surroundings = os.environ | {"HOME": str(home)}
    ended = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "completion installed" in ended.stdout) == (0, True)
    assert "complete -o default -F _rfm_completion rfm" in (home / ".bash_completions" / "rfm.sh").read_text()


# ── wrong use: status 2 ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["dayly"], "Did you mean 'daily'?"),
        (["daily", "--dat", "2025-10-23"], "No such option: --dat"),
        (["daily", "extra"], "extra"),
        (["daily", "--date"], "--date"),
        (["daily", "--date", "soon"], "setting date: "),
        (["daily", "--date", "2025-02-30"], "'2025-02-30'"),
        (["daily", "-p", "date"], "--parameter 'date' is not NAME=VALUE"),
        (["daily", "-p", "=5"], "--parameter '' is not NAME=VALUE"),
        (["daily", "--landing", "missing"], "missing: there is no such folder"),
        (["daily", "--landing", "nosuch://x"], "use a folder or an s3:// address"),
        (["backfill"], "Missing option '--from'"),
        (["backfill", "--from", "x", "--to", "2025-10-23"], "--from 'x' is not a date; write it as YYYY-MM-DD"),
        (["backfill", "--from", "2025-10-23", "--to", "23.10.2025"], "--to '23.10.2025' is not a date"),
        (["backfill", "--from", "2025-10-23", "--to", "2025-10-22"], "--to 2025-10-22 is before --from 2025-10-23"),
        (["backfill", "--from", "2025-10-23", "--to", "2025-10-23"], "data/landing: there is no such folder"),
        (["sample", "--days", "many"], "Invalid value for '--days'"),
        (["sample", "--days", "0"], "days is 0"),
        (["sample", "--end", "soon"], "--end 'soon' is not a date"),
    ],
)
def test_wrong_use_is_told_in_one_line_with_status_2(refused, arguments, said):
    status, complaint = refused(*arguments)
    assert status == 2
    assert said in complaint


def test_wrong_use_of_a_verb_points_to_its_help(refused):
    assert "see `rfm daily --help`" in refused("daily", "--nosuch")[1]
    assert "see `rfm --help`" in refused("nosuch")[1]


def test_an_empty_landing_folder(refused, home):
    (home / "landing").mkdir()
    (home / "landing" / "notes.txt").write_text("x")
    for arguments in (["daily"], ["backfill", "--from", "2025-10-23", "--to", "2025-10-23"]):
        status, complaint = refused(*arguments, "--landing", "landing")
        assert status == 2
        assert "(1 not like [files] pattern: notes.txt); put daily files there, or make some with `rfm sample`" in complaint


@pytest.mark.parametrize("verb", [["daily", "--date", "2025-10-17"], ["backfill", "--from", "2025-10-17", "--to", "2025-10-18"]])
def test_a_date_before_the_first_file(refused, shop, verb):
    status, complaint = refused(*verb, "--landing", f"{shop}/landing")
    assert status == 2
    assert "none of 6 file(s) is dated up to 2025-10-17; the first is of 2025-10-18" in complaint


@pytest.mark.parametrize(
    "verb", [["daily"], ["sample"], ["status"], ["optimize"], ["backfill", "--from", "2025-10-23", "--to", "2025-10-23"]]
)
@pytest.mark.parametrize(
    ("text", "said"), [("[clusters\n", "rfm.toml: cannot be read"), ("[clusters]\nsed = 1\n", "setting clusters.sed")]
)
def test_a_broken_settings_file_stops_every_verb(refused, home, verb, text, said):
    (home / "rfm.toml").write_text(text)
    status, complaint = refused(*verb)
    assert status == 2
    assert said in complaint


def test_an_unknown_notebook_parameter_names_the_meant_one(refused, shop, monkeypatch):
    monkeypatch.setenv("RFM_NOTEBOOKS", str(Path(__file__).parents[2] / "notebooks"))
    status, complaint = refused("daily", "--landing", f"{shop}/landing", "-p", "lakes=x")
    assert status == 2
    assert "unknown parameter 'lakes' (did you mean 'lake'?)" in complaint


# ── a run that fails: status 1 ─────────────────────────────────────────────────────────────────────
def test_a_lake_that_is_a_file(refused, shop, home):
    (home / "lake").write_text("I am a file")
    status, complaint = refused(
        "backfill", "--from", "2025-10-18", "--to", "2025-10-18", "--landing", f"{shop}/landing", "--lake", "lake"
    )
    assert status == 1
    assert f"{home}/lake/" in complaint


@pytest.mark.parametrize("verb", [["status"], ["optimize"], ["optimize", GOLD]])
def test_a_broken_table(refused, home, verb):
    log = home / "lake" / GOLD / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("{broken")
    status, complaint = refused(*verb, "--lake", "lake")
    assert status == 1
    assert f"{home}/lake/{GOLD}: the table cannot be read" in complaint


@pytest.mark.parametrize(
    ("name", "said"), [("nosuch", "there is no table nosuch"), (GOLD, f"there is no table {GOLD}; tables: none")]
)
def test_optimize_of_a_table_that_is_not_there(refused, name, said):
    status, complaint = refused("optimize", name)
    assert status == 1
    assert said in complaint


def test_a_landing_file_that_is_no_sales_file(refused, home):
    landing = home / "landing"
    landing.mkdir()
    (landing / "2025-10-23 [1]_transactions.csv").write_text("what\nis this\n")
    status, complaint = refused("backfill", "--from", "2025-10-23", "--to", "2025-10-23", "--landing", "landing")
    assert status == 1
    assert "1 file(s) refused, the others are in silver: 2025-10-23 [1]_transactions.csv: not a sales file" in complaint


def test_a_broken_list_of_runs(refused, home):
    (home / "reports").mkdir()
    (home / "reports" / "runs.json").write_text("{broken")
    status, complaint = refused("status")
    assert status == 1
    assert "runs.json: is not a list of runs" in complaint


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (PermissionError(13, "Permission denied", "/shop/lake"), 1, "rfm: /shop/lake: no permission; choose another folder"),
        (KeyboardInterrupt(), 130, "rfm: stopped with Ctrl-C; run the same day again to finish it"),
    ],
)
def test_no_permission_and_a_stop_by_hand(refused, monkeypatch, raised, status, said):
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(options, "load_settings", fail, raising=False)
    ended, complaint = refused("status")
    assert ended == status
    assert complaint.startswith(said)


SILVER_FILE = "/x/lake/retail_transactions_silver/part-0.parquet"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(28, "No space left on device"), "rfm: the disk is full; free some space, then run again"),
        (RuntimeError("Generic LocalFileSystem error: os error 28"), "rfm: the disk is full"),
        (OSError(30, "Read-only file system", "/x/lake"), "rfm: /x/lake: the disk is read-only; name another place"),
        (OSError(24, "Too many open files"), "rfm: too few files may be open at once; raise the limit, as with `ulimit -n 1024`"),
        (MemoryError(), "rfm: there is too little memory"),
        (RuntimeError("can't start new thread"), "rfm: there is too little memory"),
        (ImportError("x.so: failed to map segment from shared object"), "rfm: there is too little memory"),
        (
            FileNotFoundError(f"No such file or directory (os error 2): {SILVER_FILE}"),
            "rfm: retail_transactions_silver: a data file",
        ),
        (
            RuntimeError("parquet: File out of specification: x"),
            "rfm: a data file of the lake is missing or damaged; `rfm repair`",
        ),
        (
            type("PanicException", (BaseException,), {})("range.end as u64 <= self.size"),
            "rfm: a data file of the lake is missing",
        ),
    ],
)
def test_a_fault_of_the_ground_is_one_sentence(refused, monkeypatch, raised, said):
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(options, "load_settings", fail, raising=False)
    ended, complaint = refused("status")
    assert ended == 1
    assert complaint.startswith(said)
    assert complaint.count("\n") == 1


def test_a_defect_of_the_program_is_not_hidden(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(options, "load_settings", fail, raising=False)
    monkeypatch.setattr(sys, "argv", ["rfm", "status"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_the_process_itself_says_one_line(home):
    command = [sys.executable, "-c", "from rfm.cli import main; main()", "backfill", "--from", "x", "--to", "y"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "rfm: --from 'x' is not a date; write it as YYYY-MM-DD\n"


# ── what the verbs do ──────────────────────────────────────────────────────────────────────────────
SMALL = ["--days", "3", "--lines", "400", "--customers", "30", "--end", "2025-10-23"]


def test_sample_makes_daily_files_and_says_how_many(rfm, home):
    status, said, complaint = rfm("sample", *SMALL, "--landing", "small")
    assert (status, complaint) == (0, "")
    assert re.fullmatch(rf"3 files, \d+ lines, \d+ customers up to 2025-10-23: {home}/small\n", said)
    assert sorted(path.name for path in (home / "small").iterdir()) == [f"2025-10-{day}_transactions.csv" for day in (21, 22, 23)]


def test_the_same_seed_makes_the_same_files(rfm, home):
    for folder in ("a", "b"):
        rfm("sample", *SMALL, "--landing", folder)
    rfm("sample", *SMALL, "--landing", "c", "--seed", "1")
    content = {name: (home / name / "2025-10-23_transactions.csv").read_bytes() for name in "abc"}
    assert content["a"] == content["b"]
    assert content["a"] != content["c"]


def test_sample_if_empty_fills_only_an_empty_folder(rfm, home):
    landing = home / "data" / "landing"
    assert rfm("sample", "--if-empty", *SMALL)[1].startswith("3 files")
    for file in landing.iterdir():
        file.unlink()
    (landing / "2025-01-01_transactions.csv").write_text(HEADER)
    assert rfm("sample", "--if-empty", *SMALL) == (0, "", "")
    assert [path.name for path in landing.iterdir()] == ["2025-01-01_transactions.csv"]


def test_status_of_an_empty_lake(rfm, home):
    status, said, complaint = rfm("status")
    assert (status, complaint) == (0, "")
    assert "".join(said.split()) == f"Runsin{home}/reports:noneyetTablesin{home}/data/lake:noneyet"  # a long path is folded
    told = json.loads(rfm("status", "--json")[1])
    assert list(told) == ["runs", "stages", "tables", "quality", "warnings", "freshness"]
    assert not any(told[name] for name in ("runs", "stages", "tables", "quality", "warnings"))


def test_status_of_a_filled_lake(rfm, shop):
    status, said, _ = rfm("status", "--lake", f"{shop}/lake")
    assert status == 0
    rows = Lake(f"{shop}/lake").state()[GOLD].rows
    assert re.search(rf"{GOLD}\W+\d+\W+{rows}\b", said)
    assert all(name in said for name in Lake(f"{shop}/lake").state())


def test_status_as_json_of_a_filled_lake(rfm, shop):
    told = json.loads(rfm("status", "--json", "--lake", f"{shop}/lake")[1])
    assert set(told["tables"]) == set(Lake(f"{shop}/lake").state()) <= set(TABLES)
    assert told["tables"][GOLD]["rows"] == Lake(f"{shop}/lake").state()[GOLD].rows
    assert [(run["run_date"], run["stage"]) for run in told["runs"]] == [("2025-10-19", "backfill"), ("2025-10-18", "backfill")]


def test_status_shows_the_ten_newest_runs_and_json_all(rfm, home):
    days = [f"2025-10-{day:02}" for day in range(12, 0, -1)]
    runs = [
        {"run_date": day, "status": "done", "seconds": 1.5, "customers": 1234, "revenue": "9.50", "orders": 7} for day in days
    ]
    (home / "reports").mkdir()
    (home / "reports" / "runs.json").write_text(json.dumps({"newest": runs[0], "runs": runs}))
    said = rfm("status")[1]
    assert [day for day in days if day in said] == days[:10]
    assert "1,234" in said
    assert [run["run_date"] for run in json.loads(rfm("status", "--json")[1])["runs"]] == days


def test_optimize_tells_files_before_and_after(rfm, home, shop):
    lake = Lake(f"{home}/lake")
    for row in range(2):
        ledger = Lake(f"{shop}/lake").read("landing_files", layer="bronze").collect().slice(row, 1)
        lake.replace("landing_files", ledger, source_file=ledger["source_file"].to_list())
    before = lake.fingerprint("landing_files")
    assert rfm("optimize", "--lake", "lake") == (0, "landing_files: 2 file(s) → 1, 0 old one(s) removed\n", "")
    assert rfm("optimize", "landing_files", "--lake", "lake")[1].startswith("landing_files: 1 file(s) → 1")
    assert lake.fingerprint("landing_files") == before
    assert rfm("optimize", "--lake", "empty") == (0, "", "")


@pytest.fixture
def seen(monkeypatch, home) -> dict:
    """Let `rfm daily` run one stage in no time; return what it was given."""
    from rfm.pipeline import chain, daily, notebooks

    given = {}

    def run(settings, parameters, on_stage, kernels, on_begin, on_past):
        given.update(settings=settings, parameters=parameters)
        on_begin(chain.STAGES[0])
        on_past([dt.date(2025, 9, 23), dt.date(2025, 10, 16), dt.date(2025, 10, 22)])
        done = {"name": "1_bronze", "title": "everything", "seconds": 1.25, "status": "done"}
        on_stage(done | {"spent": {"work": 1.0}, "writes": {"landing_files": {"rows": 1234, "version": 7}}})
        found = {"warnings": ["a [red] name"], "errors": [], "headline": "5 customers"}
        return {"run_date": "2025-10-23", "report": "r/index.html", **found}

    monkeypatch.setattr(daily, "run", run)
    monkeypatch.setattr(notebooks, "check", lambda settings, parameters: None)  # parameters here are those of no notebook
    landing = home / "data" / "landing"
    landing.mkdir(parents=True)
    (landing / "2025-10-23_transactions.csv").touch()
    return given


def test_daily_passes_parameters_and_prints_the_result(rfm, home, seen):
    status, said, noted = rfm(
        "daily", "--date", "2025-10-23", "--lake", "x", "-p", "k=3", "-p", "name=a=b", "-p", "on=true", "-p", "date=2025"
    )
    assert status == 0
    assert seen["parameters"] == {"k": 3, "name": "a=b", "on": True, "date": 2025}
    assert (str(seen["settings"].date), seen["settings"].lake) == ("2025-10-23", f"{home}/x")
    begun, past, done, warned = noted.splitlines()
    assert begun.split() == ["…", "1_bronze", "everything", "that", "arrived"]
    assert past == "first run: also computing 2025-09-23, 2025-10-16 and 2025-10-22, for the comparison"
    assert done.split() == ["✓", "1_bronze", "everything", "1.2", "s"]
    assert warned == "warning a [red] name"
    assert said == "2025-10-23: 5 customers. Report: r/index.html\n"


@pytest.mark.parametrize("arguments", [["-q", "daily"], ["daily", "--quiet"], ["-q", "daily", "-v"]])
def test_quiet_leaves_the_result_and_counts_warnings(rfm, seen, arguments):
    said = "2025-10-23: 5 customers. 1 warning(s), see `rfm status`. Report: r/index.html\n"
    assert rfm(*arguments) == (0, said, "")


@pytest.mark.parametrize("arguments", [["-v", "daily"], ["daily", "--verbose"]])
def test_verbose_says_places_timings_and_tables(rfm, home, seen, arguments):
    _, said, noted = rfm(*arguments)
    assert said == "2025-10-23: 5 customers. Report: r/index.html\n"
    for detail in (
        "settings: no rfm.toml; engine polars",
        f"lake: {home}/data/lake",
        "  work: 1.00 s",
        "  landing_files: 1,234 rows",
    ):
        assert f"{detail}" in noted
    assert re.search(r"^[\d.]+ s in total$", noted, re.MULTILINE)


def test_quiet_and_verbose_end_with_their_command(rfm, home, seen):
    first = rfm("daily")
    for arguments in (["-q", "daily"], ["daily", "-v"]):
        assert rfm(*arguments) != first
        assert rfm("daily") == first


def test_daily_json_is_the_record_alone_on_stdout(rfm, seen):
    status, said, noted = rfm("daily", "--json")
    assert (status, "✓ 1_bronze" in noted) == (0, True)
    assert json.loads(said)["report"] == "r/index.html"


def test_catch_up_json_has_the_days_before_too(rfm, seen, monkeypatch):
    from rfm.pipeline import schedule

    late = schedule.CaughtUp(dt.date(2025, 10, 22), "no sale", False, ["an odd day"])
    monkeypatch.setattr(schedule, "catch_up", lambda settings: [late])
    status, said, noted = rfm("daily", "--catch-up", "--json")
    assert status == 1
    assert json.loads(said)["caught_up"] == [{"day": "2025-10-22", "said": "no sale", "well": False, "warnings": ["an odd day"]}]
    assert noted.splitlines()[:3] == ["… looking for missed days", "warning an odd day", "✗ 2025-10-22: no sale"]


def test_as_published_json_names_what_differs(rfm, monkeypatch):
    from rfm.pipeline import backfill, chain

    monkeypatch.setattr(backfill, "replay", lambda settings, day: backfill.Replay(day, 7, [GOLD], "0.1.0", "0.1.0"))
    status, said, noted = rfm("daily", "--as-published", "2025-10-22", "--json")
    expected = {"run_date": "2025-10-22", "silver": 7, "differing": [GOLD], "made_by": "0.1.0", "now": "0.1.0"}
    expected["compared"] = len(chain.RESULTS) + 1
    assert (status, json.loads(said), noted) == (1, expected, "")


def test_daily_says_something_before_heavy_imports(home):
    program = """if True:
        import os, sys
        from rfm.cli import main, options as console
        def status(said):
            print(said, sorted({"pandas", "polars", "numpy", "papermill", "deltalake"} & sys.modules.keys()), flush=True)
            os._exit(0)
        console.notes.status = status
        main()
    """
    ended = subprocess.run([sys.executable, "-c", program, "daily"], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("starting []\n", "")


def test_a_terminal_shows_the_running_stage_in_a_live_line(home):
    program = """if True:
        import time
        from rfm.pipeline import chain, daily, notebooks as preflight
        from rfm.cli import main
        def run(settings, parameters, on_stage, kernels, on_begin, on_past):
            on_begin(chain.STAGES[0])
            time.sleep(0.5)
            return {"run_date": "d", "report": "r", "warnings": [], "errors": [], "headline": "h"}
        daily.run = run
        preflight.check = lambda settings, parameters: None
        main()
    """
    ours, theirs = pty.openpty()
    surroundings = os.environ | {"TERM": "xterm", "RFM_KERNELS": "fresh"}
    command = [sys.executable, "-c", program, "daily", "--date", "2025-10-23"]
    with subprocess.Popen(command, env=surroundings, stderr=theirs, stdout=subprocess.PIPE) as ended:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other end is closed
            os.close(ours)
        said = ended.stdout.read()
    assert said == b"d: h. Report: r\n"
    live = [line for line in re.split(r"[\r\n]+", shown.decode()) if "1_bronze     everything that arrived" in line]
    assert live
    assert not any("…" in line for line in live)


def test_backfill_json_has_a_result_a_day(rfm, shop, home):
    arguments = ["--from", "2025-10-18", "--to", "2025-10-19", "--landing", f"{shop}/landing", "--lake", "new", "--json"]
    status, said, noted = rfm("backfill", *arguments)
    told = json.loads(said)
    assert (status, told["lake"]) == (0, f"{home}/new")
    assert [day["run_date"] for day in told["days"]] == ["2025-10-18", "2025-10-19"]
    assert sum(day["lines_read"] for day in told["days"]) == Lake(f"{home}/new").state()["retail_transactions_bronze"].rows
    assert [f"✓ {day['run_date']}: {day['headline']}" for day in told["days"]] == noted.splitlines()
    assert all((day["seconds"] > 0, day["warnings"], day["errors"]) == (True, [], []) for day in told["days"])


# ── the notebooks of the package ───────────────────────────────────────────────────────────────────
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_notebooks_are_copied_and_changed_ones_are_kept(rfm, home, monkeypatch):
    package = home / "package"
    (package / "notebooks").mkdir(parents=True)
    for name in ("notebooks/1_bronze.ipynb", "notebooks/3_gold.ipynb", "notebooks/README.md", "rfm.example.toml"):
        (package / name).write_text(f"{name} of the package")
    monkeypatch.setattr("rfm.pipeline.notebooks.packaged", lambda name: package / name)
    assert rfm("notebooks", "shop/mine")[1] == f"3 file(s) copied, 0 already there, 0 kept as changed: {home}/shop/mine\n"
    own, example = home / "shop" / "mine", home / "shop" / "rfm.example.toml"
    assert sorted(path.name for path in own.iterdir()) == ["1_bronze.ipynb", "3_gold.ipynb"]
    (own / "3_gold.ipynb").write_text("mine")
    (own / "1_bronze.ipynb").unlink()
    _, said, noted = rfm("notebooks", "shop/mine")
    assert said.startswith("1 file(s) copied, 1 already there, 1 kept as changed: ")
    assert noted == "kept, because they were changed: 3_gold.ipynb; --force replaces them\n"
    assert (own / "3_gold.ipynb").read_text() == "mine"
    rfm("notebooks", "shop/mine", "--force")
    assert (own / "3_gold.ipynb").read_text() == "notebooks/3_gold.ipynb of the package"
    assert example.read_text() == "rfm.example.toml of the package"


def test_own_notebooks_come_before_those_of_the_package(rfm, home):
    from rfm.settings import load_settings

    (home / "notebooks").mkdir()
    (home / "notebooks" / "thesis.ipynb").write_text("{}")  # not of the chain
    assert load_settings().notebooks == str(NOTEBOOKS)
    (home / "notebooks" / "3_gold.ipynb").write_text("{}")
    assert load_settings().notebooks == f"{home}/notebooks"


def test_missing_notebooks_are_named_before_anything_runs(refused, home, shop):
    (home / "mine").mkdir()
    (home / "mine" / "1_bronze.ipynb").write_bytes((NOTEBOOKS / "1_bronze.ipynb").read_bytes())
    (home / "rfm.toml").write_text('notebooks = "mine"\n')
    status, complaint = refused("daily", "--landing", f"{shop}/landing")
    assert status == 2
    assert (
        f"{home}/mine: there is no 2_silver.ipynb, 3_gold.ipynb, 4_clusters.ipynb, "
        "5_segments.ipynb, 6_states.ipynb, 7_report.ipynb; " in complaint
    )
    assert f"`rfm notebooks '{home}/mine'` copies what is missing" in complaint


def test_a_path_in_brackets_is_shown_as_it_is(rfm, home):
    said = rfm("sample", *SMALL, "--landing", "small [red]")[1]
    assert f"{home}/small [red]" in said
    assert f"{home}/lake [bold]: Delta tables cannot be stored" in rfm("status", "--lake", "lake [bold]")[2]
    assert f"Runs in {home}/reports [bold]: none yet" in rfm("status", "--reports", "reports [bold]")[1]
