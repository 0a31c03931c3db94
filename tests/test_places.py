"""Runs in folders with odd or long names, through links, from the wheel, and on terminals of any encoding."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import deltalake
import polars as pl
import pytest

import rfm
from rfm import cli
from rfm.cli import status
from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.lake import tables
from rfm.lake.delta import scan, scratch
from rfm.lake.tables import Lake
from rfm.pipeline import backfill, daily, release
from rfm.pipeline.backfill import replay
from rfm.pipeline.chain import STAGES
from rfm.report import site
from rfm.report.publish import publish
from rfm.settings import PATHS, Settings, load_settings
from tests.test_wheel import ROOT, built, from_wheel, make_decoy, neutral, unpack_wheel

LAST = dt.date(2025, 10, 23)
RFM = [sys.executable, "-c", "from rfm.cli import main; main()"]
GOLD, HISTORY = "customer_rfm_gold", "customer_rfm_kmeans_clustered_history"
QUARANTINE = "retail_transactions_quarantine"
NAMES = {
    "a blank": "my shop",
    "an umlaut": "Müller",
    "an accent of its own": "Mu\u0308ller",
    "quotes": 'o\'clock "x"',
    "a hash": "shop #1",
    "a percent sign": "100% %zz",
    "a question mark": "what?",
    "braces": "{x} {}",
    "an ampersand": "a&b;c",
    "a star": "*",
    "a dollar sign": "$HOME `x`",
    "angle brackets": "<x>",
    "colons": "a:b=c,d",
    "another script": "日本",
}
ALL = "my Mü '\"#1 %z ?{x}{}&;*$HOME <日>"
IMPOSSIBLE = {
    "[y]": "[",
    "a]": "]",
    "a%20b": "%20",
    "a|b": "|",
    "a^b": "^",
    "a\\b": "\\\\",
    "new\nline": "\\n",
    "caf\udce9": "\\udce9",
}


class Place(NamedTuple):
    """A run and its folder."""

    settings: Settings
    root: Path
    said: str
    env: dict[str, str]
    site: Path  # where the wheel is unpacked


# ── the tables, name by name ───────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_tables_are_in_the_given_folder(tmp_path, name):
    lake, gold = Lake(str(tmp_path / name / "lake")), rfm.example(GOLD)
    lake.replace(GOLD, gold)
    lake.replace(GOLD, gold.head(100))
    assert lake.optimize(GOLD)["after"] == 1
    assert (len(lake.rows(GOLD)), len(Lake(lake.url).rows(GOLD, version=1))) == (100, 400)
    assert (tables.rows_added(lake, GOLD, None), tables.rows_added(lake, GOLD, 1)) == (500, 100)
    some = gold["CustomerID"].head(100).iloc[7]
    assert lake.rows(GOLD, CustomerID=some)["CustomerID"].to_list() == [some]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(list((tmp_path / name / "lake" / GOLD).glob("*.parquet"))) == 2


@pytest.mark.parametrize(("odd", "twin"), [("what?", "whats"), ("*", "copy")])
def test_a_copy_beside_it_is_not_read_too(tmp_path, odd, twin):
    Lake(str(tmp_path / odd)).replace(GOLD, rfm.example(GOLD))
    shutil.copytree(tmp_path / odd, tmp_path / twin)
    assert len(Lake(str(tmp_path / odd)).rows(GOLD)) == 400


def test_files_of_other_days_are_not_opened_in_odd_folders(tmp_path):
    lake, rows = Lake(str(tmp_path / ALL)), rfm.example(HISTORY)
    lake.replace(HISTORY, rows[rows["UpdateDate"] < LAST], UpdateDate=LAST - dt.timedelta(days=1))
    early = list((tmp_path / ALL / HISTORY).glob("*.parquet"))
    lake.replace(HISTORY, rows[rows["UpdateDate"] == LAST], UpdateDate=LAST)
    early[0].unlink()
    assert len(lake.rows(HISTORY, UpdateDate=LAST)) == 400


def marked(size: int) -> str:
    """Return the log of a table with one file of three rows; the second row is marked as deleted, as Spark does."""
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    column = {"name": "x", "type": "long", "nullable": True, "metadata": {}}
    about = {"id": "1", "format": {"provider": "parquet", "options": {}}, "partitionColumns": [], "configuration": {}}
    vector = {"storageType": "i", "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000005c8Xg0rr91"}
    file = {"path": "a.parquet", "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
    actions = (
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"metaData": {**about, "schemaString": json.dumps({"type": "struct", "fields": [column]})}},
        {"add": {**file, "stats": '{"numRecords": 3}', "deletionVector": {**vector, "sizeInBytes": 34, "cardinality": 1}}},
    )
    return "\n".join(map(json.dumps, actions))


@pytest.mark.parametrize("name", ["plain", ALL])
def test_rows_marked_as_deleted_by_spark_are_not_read(tmp_path, name):
    (tmp_path / name / "_delta_log").mkdir(parents=True)
    with (tmp_path / name / "a.parquet").open("wb") as file:
        pl.DataFrame({"x": [1, 2, 3]}).write_parquet(file)
        log = marked(file.tell())
    (tmp_path / name / "_delta_log" / f"{0:020}.json").write_text(log, encoding="utf-8")
    assert scan(deltalake.DeltaTable(tmp_path / name), None).collect()["x"].to_list() == [1, 3]


@pytest.mark.parametrize(("name", "named"), IMPOSSIBLE.items())
def test_a_lake_path_that_delta_cannot_store_is_refused(tmp_path, name, named):
    lake = Lake(str(tmp_path / name / "lake"))
    with pytest.raises(InputError, match=re.escape(f"cannot be stored under a path with '{named}' in it; name a folder")):
        lake.replace(GOLD, rfm.example(GOLD))
    assert list(tmp_path.iterdir()) == []


def test_a_day_is_refused_before_anything_runs(tmp_path):
    make_sample(tmp_path / "landing", days=1, end=LAST, lines=100, customers=20)
    given = load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "[y]"), reports=str(tmp_path / "reports"))
    with pytest.raises(InputError, match=re.escape("cannot be stored under a path with '[' in it")):
        daily.run(given)
    assert [path.name for path in tmp_path.iterdir()] == ["landing"]


def test_a_link_to_an_unsupported_path_is_refused(tmp_path):
    (tmp_path / "a%20b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a%20b")
    with pytest.raises(InputError, match="with '%20' in it"):
        Lake(str(tmp_path / "link")).replace(GOLD, rfm.example(GOLD))


def test_dry_run_works_in_an_odd_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "[y]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "[y]"))
    with scratch("rfm-test-") as folder:
        assert Lake(folder).replace(GOLD, rfm.example(GOLD)) == 400
    assert not Path(folder).exists()


def test_landing_and_reports_may_have_brackets(tmp_path):
    odd = tmp_path / "[y] a%20b |^"
    make_sample(odd / "landing", days=2, end=LAST, lines=300, customers=60)
    given = load_settings(landing=str(odd / "landing"), lake=str(tmp_path / "lake"), reports=str(odd / "reports"))
    assert [day for day, _ in backfill.backfill(given, LAST, LAST)] == [LAST]
    assert set(Lake(given.lake).rows("landing_files")["source_file"]) == {path.name for path in (odd / "landing").iterdir()}
    (odd / "reports").mkdir()
    (odd / "reports" / "index.html").write_text("the front page", encoding="utf-8")
    assert "index.html" in publish(given.reports, str(odd / "away #1"), given.publish).sent
    assert (odd / "away #1" / "index.html").read_text(encoding="utf-8") == "the front page"


# ── the whole run ──────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Return a run of `rfm daily`, from the wheel, in a folder with an odd, long name, reached through a link."""
    base, site = tmp_path_factory.mktemp("place"), tmp_path_factory.mktemp("site")
    unpack_wheel(built(tmp_path_factory.mktemp("wheel"), ROOT, "wheel"), site)
    odd = base / ALL / ("long " * 30).strip()
    real, home, tmp = odd / "[y] a%20b |^" / "shop", odd / "home", odd / "tmp"
    for folder in (real, home, tmp):
        folder.mkdir(parents=True)
    root = base / "a link é"
    root.symlink_to(real)
    assert len(str(real)) > 200
    make_decoy(home)
    env = neutral() | {"HOME": str(home), "TMPDIR": str(tmp), "PWD": str(root)} | from_wheel(site)
    assert _command(["sample", "--days", "4", "--lines", "900", "--customers", "120"], root, env).returncode == 0
    ran = _command(["daily"], root, env)
    assert ran.returncode == 0, ran.stderr
    [lake] = (home / ".local" / "share" / "rfm").iterdir()  # no table can lie in brackets
    given = load_settings(**{name: str(root / path) for name, path in PATHS.items()} | {"lake": str(lake)}, date=LAST)
    return Place(given, root, (ran.stderr + ran.stdout).decode(), env, site)


def _command(verb: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a folder."""
    return subprocess.run([*RFM, *verb], cwd=folder, env=env, capture_output=True)


def test_a_day_runs_in_an_odd_folder(place):
    assert place.said.count("✓") == len(STAGES)
    assert place.said.splitlines()[-1].endswith(f"Report: {place.root.resolve()}/reports/index.html")
    assert f"Tables: {place.settings.lake}, because Delta cannot store them under {place.root.resolve()}" in place.said
    assert sorted(path.name for path in place.root.iterdir()) == ["data", "reports"]
    odd = place.root.resolve().parents[1]
    assert list((odd / "tmp").iterdir()) == []
    assert sorted(path.name for path in odd.iterdir()) == ["[y] a%20b |^", "home", "tmp"]
    assert sorted(path.name for path in odd.parents[1].iterdir()) == ["a link é", ALL]


def test_a_day_runs_from_the_wheel(place):
    ran = json.loads((place.root / "reports" / str(LAST) / "run.json").read_text("utf-8"))
    assert (ran["status"], ran["run_date"], ran["code"]["commit"]) == ("done", str(LAST), None)
    assert [stage["status"] for stage in ran["stages"]] == ["done"] * len(STAGES)
    assert (place.root / "reports" / str(LAST) / "notebooks" / "3_gold.html").is_file()


def test_a_folder_without_notebooks_runs_those_of_the_wheel(place):
    told = _command(["status", "--verbose"], place.root, place.env)
    assert f"notebooks: {place.site}/rfm/notebooks\n" in told.stderr.decode()


def test_pages_are_rebuilt_from_the_wheel(place):
    (place.root / "reports" / "index.html").unlink()
    done = _command(["report"], place.root, place.env)
    assert (done.returncode, done.stdout.decode()) == (0, f"Report: {place.root.resolve()}/reports/index.html\n")
    assert (place.root / "reports" / "index.html").is_file()


def test_odd_folder_gives_the_same_tables(place, tmp_path):
    shutil.copytree(place.settings.landing, tmp_path / "landing")
    plain = load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"), date=LAST)
    list(backfill.backfill(plain, LAST, LAST))
    for table in (GOLD, QUARANTINE, "customer_rfm_description_and_recommendation"):
        here, there = (
            Lake(given.lake).rows(table).select(pl.exclude("ingestion_timestamp")) for given in (place.settings, plain)
        )
        assert here.sort(pl.all()).equals(there.sort(pl.all())), table


def test_replay_works_in_an_odd_folder(place):
    assert replay(place.settings, LAST).differing == []


def test_report_and_publish_work_in_an_odd_folder(place):
    assert site.rebuild(place.settings, LAST).endswith("reports/index.html")
    target = place.root.parent / "sent %41 #2"
    assert "index.html" in publish(place.settings.reports, str(target), place.settings.publish).sent
    assert (target / "index.html").is_file()


def test_status_works_in_an_odd_folder(place):
    told = status.overview(place.settings)
    assert (told["runs"][0]["status"], told["tables"][GOLD]["rows"]) == ("done", len(Lake(place.settings.lake).rows(GOLD)))


def test_release_works_in_an_odd_folder(place):
    file = place.root / "rows #1.csv"
    lake = Lake(place.settings.lake)
    refused = len(lake.rows(QUARANTINE))
    assert refused > 0
    assert release.release_or_export(place.settings, None, str(file)).startswith(f"{refused} quarantined row(s) in ")
    assert release.release_or_export(place.settings, str(file), None)
    assert len(lake.rows(QUARANTINE)) == refused
    file.unlink()


# ── names of files ─────────────────────────────────────────────────────────────────────────────────
def test_a_file_name_that_is_not_utf8_is_refused(tmp_path):
    make_sample(tmp_path / "landing", days=2, end=LAST, lines=300, customers=60)
    source = sorted((tmp_path / "landing").iterdir())[0]
    shutil.copy(source, os.fsencode(tmp_path / "landing") + b"/2025-10-22 caf\xe9_transactions.csv")
    given = load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"))
    read = rfm.read_files(given.landing, rfm.list_files(given.landing), LAST)
    assert sum(files.num_rows for files, _ in read) == 2
    assert read.refused == ["2025-10-22 caf\\xe9_transactions.csv: its name is not UTF-8; rename it, then run again"]
    list(backfill.backfill(given, LAST, LAST))
    assert len(Lake(given.lake).rows("landing_files", layer="bronze")) == 2


# ── terminals ──────────────────────────────────────────────────────────────────────────────────────
def shown(verb: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the output of a command on a terminal with a given encoding."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["rfm", *verb])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit):
            cli.main()
        out.flush()
        err.flush()
    return (out.buffer.getvalue() + err.buffer.getvalue()).decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_output_works_in_any_terminal_encoding(place, encoding, monkeypatch):
    monkeypatch.chdir(place.root)
    for verb in (["--help"], ["daily", "--help"], ["check", "--help"], ["status"], ["daily", "--date", "1999-01-01"]):
        assert shown(verb, encoding, monkeypatch)


def test_marks_are_spelled_and_no_currency_runs_into_its_amount(monkeypatch):
    for encoding, written in {"ascii": "ok 3 ? M\\xfc ?12 ...", "utf-8": "✓ 3 £ Mü €12 …"}.items():
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", out)
        cli.spell_unknown_characters()
        cli.screen.print("✓ 3 £ Mü €12 …")
        out.flush()
        assert out.buffer.getvalue().decode(encoding).rstrip() == written  # type: ignore[attr-defined]


def test_a_locale_without_umlauts_reads_the_same_lake(place):
    plain = place.env | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ran = _command(["status"], place.root, plain)
    assert (ran.returncode, ran.stderr.count(b"\n")) == (0, 1)  # where the tables are
    assert GOLD.encode() in ran.stdout


def test_a_locale_without_umlauts_finds_the_same_lake(tmp_path):
    (tmp_path / "Mü").mkdir()
    program = "import os, rfm; os.write(1, os.fsencode(rfm.load_settings().lake))"
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path / "Mü", env=plain, capture_output=True)
    assert ran.stdout.decode() == str(tmp_path / "Mü" / "data" / "lake"), ran.stderr


def test_a_reader_that_leaves_gets_no_traceback(place):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*RFM, "status"], cwd=place.root, env=place.env, **streams) as ran:
        ran.stdout.close()
        assert ran.stderr.read().count(b"\n") == 1


def test_every_text_file_is_opened_as_utf8():
    command = [sys.executable, "-m", "ruff", "check", "--preview", "--select", "PLW1514", "--isolated", "rfm"]
    assert subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True).returncode == 0
