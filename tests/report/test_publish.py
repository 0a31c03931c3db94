"""A site goes out: what changed and nothing else, the front page last, no customer unless the shop says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from rfm.cli.options import app
from rfm.config import Publish
from rfm.errors import InputError, SettingsError
from rfm.report import publish as publishing
from rfm.report.publish import MANIFEST, publish, publishable_files

DAYS = ("2025-10-22", "2025-10-23")
OPEN, ALL = Publish(), Publish(customers=True)
PAGE = 'a <!--own:customers--><a href="customers.html">c</a><!--/own--><!--own:notebooks--><a href="x.html">n</a><!--/own-->'


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Return a site of two days."""
    root = tmp_path / "reports"
    names = (
        "index.html",
        "run.html",
        "run.json",
        "customers.html",
        "exports/customers.csv",
        "notebooks/1_bronze.html",
        "strange.txt",
    )
    for name in [
        "index.html",
        "runs.json",
        "assets/page-1.css",
        "failed/2025-10-23/run.json",
        *(f"{day}/{name}" for day in DAYS for name in names),
    ]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE)
    return root


def names(root: Path) -> set[str]:
    """Return the files below a folder but for the list of those sent."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {MANIFEST}


PUBLIC = {"index.html", "runs.json", "assets/page-1.css"} | {
    f"{day}/{name}" for day in DAYS for name in ("index.html", "run.html", "run.json")
}
PRIVATE = {f"{day}/{name}" for day in DAYS for name in ("customers.html", "exports/customers.csv", "notebooks/1_bronze.html")}


def test_single_customers_stay_at_home_and_nothing_leads_to_them(reports, tmp_path):
    done = publish(str(reports), str(tmp_path / "out"), OPEN)
    assert names(tmp_path / "out") == PUBLIC == set(done.sent)
    assert (tmp_path / "out" / DAYS[0] / "run.html").read_text() == "a "
    assert (reports / DAYS[0] / "run.html").read_text() == PAGE


def test_customers_go_where_the_shop_says_so(reports, tmp_path):
    publish(str(reports), str(tmp_path / "out"), ALL)
    assert names(tmp_path / "out") == PUBLIC | PRIVATE
    assert (tmp_path / "out" / "index.html").read_text() == PAGE


def test_only_what_changed_is_sent(reports, tmp_path):
    publish(str(reports), str(tmp_path / "out"), OPEN)
    assert publish(str(reports), str(tmp_path / "out"), OPEN).sent == []
    (reports / DAYS[1] / "run.json").write_text("{}")
    (tmp_path / "out" / DAYS[0] / "run.html").unlink()
    done = publish(str(reports), str(tmp_path / "out"), OPEN)
    assert done.sent == [f"{DAYS[0]}/run.html", f"{DAYS[1]}/run.json"]
    assert (done.seen, done.size) == (len(PUBLIC), 4)


def test_assets_come_first_and_the_front_page_last(reports, tmp_path):
    sent = publish(str(reports), str(tmp_path / "out"), ALL).sent
    assert sent[0] == "assets/page-1.css"
    assert sent[-2:] == ["runs.json", "index.html"]
    assert sent[1:-2] == sorted(sent[1:-2])


def test_only_files_no_longer_public_are_removed(reports, tmp_path):
    out = tmp_path / "out"
    publish(str(reports), str(out), ALL)
    (out / "CNAME").write_text("shop.example")
    (reports / DAYS[1] / "run.html").unlink()
    for path in sorted((reports / DAYS[0]).rglob("*"), reverse=True):  # a day that home has no more stays published
        path.unlink() if path.is_file() else path.rmdir()
    done = publish(str(reports), str(out), OPEN)
    assert set(done.removed) == PRIVATE | {f"{DAYS[1]}/run.html"}
    assert names(out) == PUBLIC - {f"{DAYS[1]}/run.html"} | {"CNAME"}


def test_files_of_others_are_not_written_over(reports, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("theirs")
    with pytest.raises(InputError, match=r"holds 1 files that `rfm publish` did not send, such as index\.html"):
        publish(str(reports), str(tmp_path / "out"), OPEN)
    assert names(tmp_path / "out") == {"index.html"}


def test_publishing_that_died_goes_on(reports, tmp_path, monkeypatch):
    written, write = [], publishing.write_file

    def dies(fs, path, content):
        written.append(path)
        if len(written) == 4:
            raise OSError("no space left")
        write(fs, path, content)

    monkeypatch.setattr(publishing, "write_file", dies)
    with pytest.raises(InputError, match="no space left"):
        publish(str(reports), str(tmp_path / "out"), OPEN)
    assert "index.html" not in names(tmp_path / "out")
    monkeypatch.undo()
    publish(str(reports), str(tmp_path / "out"), OPEN)
    assert names(tmp_path / "out") == PUBLIC


def test_a_bucket_is_as_good_as_a_folder(reports):
    MemoryFileSystem.store.clear()
    assert publish(str(reports), "memory://shop/site", OPEN).address == "memory:///shop/site/index.html"
    assert publish(str(reports), "memory://shop/site", OPEN).sent == []
    assert {path.removeprefix("/shop/site/") for path in MemoryFileSystem().find("/shop/site")} == PUBLIC | {MANIFEST}
    MemoryFileSystem.store.clear()


def test_no_site_the_site_itself_and_a_spoiled_list_are_refused(reports, tmp_path):
    with pytest.raises(InputError, match="no report is published yet"):
        publish(str(tmp_path / "none"), str(tmp_path / "out"), OPEN)
    with pytest.raises(InputError, match="is the site itself"):
        publish(str(reports), str(reports), OPEN)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text("[]")
    with pytest.raises(InputError, match="is not a list of published files"):
        publish(str(reports), str(tmp_path / "out"), OPEN)


def test_hashing_needs_a_key_and_withholds_notebooks(monkeypatch):
    choice, files = (
        Publish(customers=True, hash_ids=True),
        {f"{DAYS[0]}/{name}": b"" for name in ("notebooks/x.html", "run.json")},
    )
    monkeypatch.delenv("RFM_PUBLISH_KEY", raising=False)
    with pytest.raises(SettingsError, match="hash_ids needs a key: set RFM_PUBLISH_KEY"):
        publishable_files(files, choice)
    monkeypatch.setenv("RFM_PUBLISH_KEY", "secret of sixteen")
    assert publishable_files(files, choice) == {f"{DAYS[0]}/run.json": b""}


def test_command_says_what_it_sent(reports, tmp_path):
    answer = CliRunner().invoke(app, ["publish", str(tmp_path / "out"), "--reports", str(reports)], catch_exceptions=False)
    assert answer.stdout.strip() == (
        f"Published {tmp_path}/out/index.html: 9 files sent (0.0 MB), 0 unchanged; without individual customers"
    )
    assert json.loads((tmp_path / "out" / MANIFEST).read_text()).keys() == PUBLIC
