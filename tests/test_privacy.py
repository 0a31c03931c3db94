"""No data in words: what is planted in files and settings appears in no message, log, record or published page."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import xlsxwriter
from pyarrow import parquet

from rfm.cli import main
from rfm.contracts import PIPELINE_RUNS, RUN_WARNINGS
from rfm.datasets.sample import make_sample
from rfm.errors import InputError, RfmError, SettingsError, first_line, hide, redact, reject_credentials
from rfm.lake import Lake
from rfm.pipeline import backfill, daily
from rfm.pipeline.notebooks import _reason
from rfm.report import publish as site
from rfm.settings import load_settings
from tests.shop import run

DAY = dt.date(2025, 10, 23)
MAIL, NUMBER, TOKEN = "alice.smith@example.com", "0049 1713920", "tok-5f1c77aa"
PLANTED = ("alice.smith", "1713920", TOKEN)
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
CELLS = ["489434", "85048", "BALL", "12", "6.95", "13085", "EIRE", "2025-10-23"]


def hidden(text: str) -> bool:
    """Return True if nothing that was planted is in a text."""
    return not any(one in text for one in PLANTED)


def csv(*rows: list[str]) -> bytes:
    return "\n".join([",".join(row) for row in rows] + [""]).encode()


def workbook(*rows: list[str]) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate(rows):
            sheet.write_row(at, 0, row)
    return content.getvalue()


def columns(*rows: list[str]) -> bytes:
    content = io.BytesIO()
    parquet.write_table(pa.table({name: [row[at] for row in rows[1:]] for at, name in enumerate(rows[0])}), content)
    return content.getvalue()


def lines(*rows: list[str]) -> bytes:
    return "".join(json.dumps(dict(zip(rows[0], row, strict=True))) + "\n" for row in rows[1:]).encode()


def packed(*rows: list[str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.csv", csv(*rows))
    return content.getvalue()


FORMATS = {"csv": csv, "xlsx": workbook, "parquet": columns, "jsonl": lines, "zip": packed}


def with_plants(place: int) -> list[str]:
    """Return a line with what must not leave in one of its places, and around it."""
    row = list(CELLS)
    row[place], row[place - 1] = MAIL, NUMBER
    return row


def bad_files() -> dict[str, bytes]:
    """Return files that are refused, or whose lines are, with what must not leave in every place."""
    made = {}
    for suffix, write in FORMATS.items():
        for place in range(8):
            row = with_plants(place)
            named = [f"h{at}" if one in CELLS else one for at, one in enumerate(row)]  # no header: its first line is a sale
            made[f"none {suffix} {place}"] = write(named, row)
            lacking = [*HEADER.split(",")[:4], *named[4:]]  # a header that lacks columns, and has what looks like values
            made[f"lacks {suffix} {place}"] = write(lacking, row)
            made[f"lines {suffix} {place}"] = write(HEADER.split(","), row, with_plants(place - 3))
    made |= {
        f"cut {name}": content[:-20]
        for name, content in made.items()
        if "xlsx 2" in name or "parquet 2" in name or "zip 2" in name
    }
    made["prose"] = f"Dear {MAIL},\nyour number is {NUMBER}\n".encode()
    made["ragged"] = csv(HEADER.split(","), [MAIL, NUMBER], [*CELLS, MAIL, NUMBER])
    made["twice"] = csv([*HEADER.split(","), "Invoice", MAIL], [*CELLS, MAIL, NUMBER])
    made["spans"] = f'"{MAIL}\n",{HEADER}\n'.encode()
    made["json"] = json.dumps({"Invoice": MAIL, "Price": NUMBER}).encode()
    made["quote"] = csv(HEADER.split(","), [*CELLS[:2], f'"{MAIL}', *CELLS[3:]])
    return made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a shop after a run over files with what must not leave."""
    root = tmp_path_factory.mktemp("private")
    make_sample(str(root / "landing"), days=3, customers=60, lines=600, end=DAY)
    for name, content in bad_files().items():
        (root / "landing" / f"{name}_transactions.csv").write_bytes(content)
    places = {name: str(root / name) for name in ("landing", "lake", "reports")}
    run(load_settings(**places, rules={"max_dropped_share": 0.9}), DAY)
    return root


def test_files_are_refused_without_their_lines(shop):
    said = Lake(str(shop / "lake")).rows(RUN_WARNINGS)["message"].to_list()
    assert len(said) > 80
    assert [line for line in said if not hidden(line)] == []


def test_record_and_published_site_hold_no_lines(shop):
    (shop / "public").mkdir(exist_ok=True)
    site.publish(str(shop / "reports"), str(shop / "public"), load_settings().publish)
    files = [path for path in (shop / "public").rglob("*") if path.is_file()]
    texts = [path for path in files if path.name != "trade.html"]  # names of products and countries are shown there
    texts += [*shop.glob("work-*/run.json"), *(shop / "reports").glob("*.json")]
    assert {path.name for path in texts} >= {"index.html", "run.json", "runs.json", "quality.html"}
    assert [path for path in texts if not hidden(path.read_text("utf-8", "replace"))] == []


def test_the_log_and_the_terminal_hold_no_lines(shop, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["rfm", "status", "--json", "--lake", str(shop / "lake"), "--reports", str(shop / "reports")])
    with pytest.raises(SystemExit):
        main()
    assert hidden("".join(capsys.readouterr()))
    assert hidden(str(Lake(str(shop / "lake")).rows(PIPELINE_RUNS).to_dicts()))


def test_a_run_that_stops_says_no_line(tmp_path):
    (tmp_path / "landing").mkdir()
    for name, content in bad_files().items():
        (tmp_path / "landing" / f"{name}_transactions.csv").write_bytes(content)
    settings = load_settings(landing=str(tmp_path / "landing"), lake=str(tmp_path / "lake"))
    with pytest.raises(RfmError) as caught:
        list(backfill.backfill(settings, DAY, DAY))
    assert hidden(str(caught.value))


# ── settings ───────────────────────────────────────────────────────────────────────────────────────
SECRET = f"https://hooks.example.com/services/{TOKEN}"
WRONG = [
    {"engine": "spark", "remote": f"https://host:443/;token={TOKEN}"},
    {"engine": "spark", "remote": TOKEN},
    {"on_failure": {"webhook": f"ftp://hooks.example.com/{TOKEN}"}},
    {"on_failure": {"webhook": TOKEN}},
    {"on_failure": {"command": f"curl 'Bearer {TOKEN}"}},
    {"lake": f"https://{TOKEN}@host/x"},
    {"reports": f"s3://user:{TOKEN}@bucket"},
    {"customers": {"width": MAIL}},
    {"date": MAIL},
    *({section: {name: MAIL}} for section, name in [("clusters", "seed"), ("quality", "days"), ("format", "decimal")]),
    {"customers": {"nobody": {MAIL: NUMBER}}},
]


@pytest.mark.parametrize("given", WRONG, ids=[json.dumps(one)[:40] for one in WRONG])
def test_a_wrong_setting_is_refused_without_its_value(given):
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert hidden(str(caught.value))


@pytest.mark.parametrize(
    "name", ["RFM_REMOTE", "RFM_ON_FAILURE__WEBHOOK", "RFM_PUBLISH_KEY", "RFM_CUSTOMER_KEY", "RFM_WEBHOOK_SECRET"]
)
def test_a_secret_of_the_environment_is_masked_in_every_error(name, monkeypatch, capsys):
    monkeypatch.setenv(name, f"sc://host:15002/;token={TOKEN}" if name == "RFM_REMOTE" else f"https://h.example/{TOKEN}")
    said = f"cannot reach {__import__('os').environ[name]} today"
    assert all(hidden(one) for one in (redact(said), str(RfmError(said)), first_line(ValueError(said)), _reason("E", said)))
    monkeypatch.setattr("rfm.cli.options.load_settings", lambda **_: (_ for _ in ()).throw(InputError(said)))
    monkeypatch.setattr("sys.argv", ["rfm", "status"])
    with pytest.raises(SystemExit):
        main()
    assert hidden(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"https://{TOKEN}@host/x failed", "https://***@host/x failed"),
        (f"sc://host:1/;token={TOKEN};user_id=me", "sc://host:1/;token=***;user_id=me"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer ***"),
        (f"?api_key={TOKEN}&a=b", "?api_key=***&a=b"),
        (f"written by {MAIL}", "written by a***@example.com"),
        ("s3://bucket/a@b/c and host:9000/x", "s3://bucket/a@b/c and host:9000/x"),
        ("RFM_PUBLISH_KEY is needed; key of the model", "RFM_PUBLISH_KEY is needed; key of the model"),
    ],
)
def test_patterns_of_secrets_are_masked_and_nothing_else(said, shown):
    assert redact(said) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [("sc://host:15002", "sc://host:15002"), (SECRET, "https://hooks.example.com/***"), (TOKEN, "***")]
)
def test_of_a_secret_address_the_host_is_shown(value, shown):
    assert hide(value) == shown


@pytest.mark.parametrize("url", ["https://TOKEN@host/x", "https://user:pa/ss@host", "s3://k:s@bucket", "sc://t@host:1"])
def test_what_stands_before_the_host_is_a_login(url):
    with pytest.raises(SettingsError, match=r"://\*\*\*@\w+.*must not hold a password or a token"):
        reject_credentials(url)


def test_values_that_a_library_quotes_are_left_out():
    polars = f'conversion from `str` to `i64` failed in column \'x\' for 2 out of 2 values: ["{MAIL}", "{NUMBER}"]'
    spark = f"[CAST_INVALID_INPUT] The value '{NUMBER}' of the type STRING cannot be cast"
    assert hidden(first_line(ValueError(polars)) + first_line(ValueError(spark)) + _reason("ComputeError", polars))
    assert "column 'x' for 2 out of 2 values" in first_line(ValueError(polars))


@pytest.mark.parametrize(
    "hook", [{"webhook": f"https://127.0.0.1:9/{TOKEN} x"}, {"command": f"false {TOKEN}"}, {"command": f"ls /{TOKEN}"}]
)
def test_a_hook_that_fails_keeps_its_secrets(hook):
    given = load_settings(on_failure=hook).on_failure
    (said,) = daily.notify(given, {"status": "failed", "warnings": []})
    assert hidden(said)


def test_a_short_key_for_ids_is_refused(monkeypatch):
    choice = load_settings(publish={"customers": True, "hash_ids": True}).publish
    monkeypatch.setenv(site.KEY, "x")
    with pytest.raises(SettingsError, match="16 characters or more"):
        site.publishable_files({}, choice)
