"""Landing, lake and reports in a bucket: moto's server on loopback, started here; no secret in any output."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import hashlib
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest

import rfm
from rfm import cli
from rfm.datasets.sample import make_sample
from rfm.errors import InputError, SettingsError, StageError, explain_cloud_error, redact
from rfm.lake import delta
from rfm.lake.delta import TableCache
from rfm.lake.tables import Lake
from rfm.landing import decode, reader
from rfm.landing.files import Sent, upload
from rfm.landing.reader import StreamedRows
from rfm.pipeline import daily
from rfm.pipeline.backfill import replay
from rfm.pipeline.schedule import BusyError, locked
from rfm.report import site
from rfm.settings import Settings, load_settings

pytestmark = [pytest.mark.s3, pytest.mark.filterwarnings("ignore::DeprecationWarning:nbclient")]

KEY, TOKEN = "pl4nt3d/s3cr3t+key", "pl4nt3d//s3ss10n+t0k3n=="
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAME = "{}_transactions.csv"
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
BRONZE = "retail_transactions_bronze"


# ── a bucket, and what the environment says of it ──────────────────────────────────────────────────
@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Return the address of a server that speaks S3: a process of its own, as delta-rs holds this one's lock while it lists."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: answers(port))
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def free_port() -> int:
    """Return a port of this host on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(port: int) -> bool:
    """Tell whether somebody listens at a port of this host."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(true: Callable[[], bool], seconds: float = 600.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so after {seconds:g} seconds"
        time.sleep(0.05)


@contextlib.contextmanager
def environment(endpoint: str, **more: str | None) -> Iterator[None]:
    """Let the environment name an endpoint and plant secrets in it; nothing else of it speaks of buckets."""
    told = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "eu-west-2",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    told |= {
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**told, **more}.items():
            if value is not None:
                patch.setenv(name, value)
        yield


@pytest.fixture
def s3(server: str) -> Iterator[Any]:
    """Return another client's view of an empty bucket named shop."""
    with environment(server):
        client = boto3.client("s3")
        made = boto3.resource("s3").Bucket("shop")
        with contextlib.suppress(client.exceptions.NoSuchBucket):
            made.objects.delete()
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        yield client


def put(s3: Any, key: str, content: str | bytes) -> None:
    """Put an object into the bucket as any other program would."""
    s3.put_object(Bucket="shop", Key=key, Body=content)


def day_file(invoice: int, date: str) -> str:
    """Return a file of two lines."""
    lines = (f"{invoice},85048,BALL,{quantity},6.95,13085.0,EIRE,{date}\n" for quantity in (1, 2))
    return HEADER + "".join(lines)


def names(landing: str, **more: Any) -> list[str]:
    """Return the landing files that are found."""
    return [file.source_file for file in rfm.list_files(landing, **more)]


# ── landing ────────────────────────────────────────────────────────────────────────────────────────
def test_dated_and_flat_layouts_are_read_and_odd_names_too(s3):
    keys = ["2025-10-21/" + NAME.format("2025-10-21"), NAME.format("2025-10-22"), "old files/2025-10-20 [1] £_transactions.csv"]
    for number, key in enumerate(keys):
        put(s3, f"daily/{key}", day_file(489434 + number, "2025-10-20"))
    put(s3, "daily/", "")  # folder markers of some programs
    put(s3, "daily/2025-10-21/", "")
    put(s3, "daily2/" + NAME.format("2025-10-19"), "another prefix")
    found = rfm.list_files("s3://shop/daily")
    assert [file.source_file for file in found] == [keys[2], keys[0], keys[1]]
    reading = rfm.read_files("s3://shop/daily", found, dt.date(2025, 10, 22))
    rows = pl.concat([pl.DataFrame(table) for _, table in reading])
    assert rows.group_by("source_file").len().sort("source_file").rows() == sorted((key, 2) for key in keys)
    assert reading.refused == []


def test_a_file_put_after_a_listing_is_seen_by_the_next(s3):
    put(s3, "daily/" + NAME.format("2025-10-21"), HEADER)
    assert names("s3://shop/daily") == [NAME.format("2025-10-21")]
    put(s3, "daily/" + NAME.format("2025-10-22"), HEADER)
    assert names("s3://shop/daily") == [NAME.format("2025-10-21"), NAME.format("2025-10-22")]
    s3.delete_object(Bucket="shop", Key="daily/" + NAME.format("2025-10-21"))
    assert names("s3://shop/daily/") == [NAME.format("2025-10-22")]


def test_a_vanished_object_is_refused_and_the_others_go_on(s3):
    put(s3, "daily/" + NAME.format("2025-10-21"), day_file(489434, "2025-10-21"))
    reading = rfm.read_files("s3://shop/daily", ["gone.csv", NAME.format("2025-10-21")], dt.date(2025, 10, 22))
    assert [rows.num_rows for _, rows in reading] == [2]
    assert len(reading.refused) == 1
    assert reading.refused[0].startswith("gone.csv: cannot be read")


# ── lake ───────────────────────────────────────────────────────────────────────────────────────────
def ingest_day(landing: str, lake: str, date: str = "2025-10-22") -> None:
    """Ingest what a run of a day sees, as backfill does."""
    from rfm.pipeline.backfill import to_bronze

    settings = load_settings(landing=landing, lake=lake)
    to_bronze(settings, rfm.Lake(settings.lake), dt.date.fromisoformat(date))


def test_what_two_writers_do_to_one_table_is_not_lost(s3):
    table = "segment_summary"
    rows = [dict.fromkeys(rfm.TABLES[table].names)]
    one, other = rfm.Lake("s3://shop/lake"), rfm.Lake("s3://shop/lake")
    frame = pl.DataFrame(rows, schema=rfm.TABLES[table].polars).clear()
    assert one.replace(table, frame) == other.replace(table, frame) == one.replace(table, frame) == 0
    assert one.state([table]) == other.state([table])
    assert one.state([table])[table].version == 3
    assert other.read(table).collect().equals(frame)


def test_a_profile_is_enough_for_everything(s3, server, tmp_path):
    put(s3, "daily/" + NAME.format("2025-10-21"), day_file(489434, "2025-10-21"))
    (tmp_path / "keys").write_text("[shop]\naws_access_key_id = AKID\naws_secret_access_key = other\n")
    (tmp_path / "config").write_text(f"[profile shop]\nregion = eu-west-2\nendpoint_url = {server}\n")
    nothing = dict.fromkeys(("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "keys")}
    with environment("", **nothing, **files, AWS_PROFILE="shop", AWS_ENDPOINT_URL=None):
        ingest_day("s3://shop/daily", "s3://shop/lake")
        lake = rfm.Lake("s3://shop/lake")
        assert lake.frame(BRONZE)["Invoice"].tolist() == ["489434"] * 2
        assert lake.frame(BRONZE, source_file=NAME.format("2025-10-21")).shape[0] == 2
        assert site.published_runs("s3://shop/reports") == []


@pytest.mark.parametrize("name", ["my shop Mü", "#1?", "100% [y]*", "{x}&a=b+c|^'\""])
def test_tables_lie_under_the_very_prefix_that_was_named(s3, name):
    lake, gold = Lake(f"s3://shop/{name}/lake"), rfm.example("customer_rfm_gold")
    lake.replace("customer_rfm_gold", gold)
    lake.replace("customer_rfm_gold", gold.head(7))
    assert (len(lake.rows("customer_rfm_gold")), len(lake.rows("customer_rfm_gold", version=1))) == (7, 400)
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket="shop")["Contents"]]
    assert {key.partition("/lake/")[0] for key in keys} == {name}
    assert lake.optimize("customer_rfm_gold")["after"] == 1
    assert delta._checkpoint(f"{lake.url}/customer_rfm_gold") == 2


def test_a_prefix_that_delta_would_decode_is_refused(s3):
    with pytest.raises(InputError, match="cannot be stored under a path with '%20' in it"):
        Lake("s3://shop/a%20b").replace("customer_rfm_gold", rfm.example("customer_rfm_gold"))
    assert "Contents" not in s3.list_objects_v2(Bucket="shop")


def test_options_of_a_handle_hold_no_key(s3, server):
    options = delta.options("s3://shop/lake")
    assert options
    assert options["aws_endpoint_url"] == server
    assert options["aws_allow_http"] == "true"
    assert options["aws_region"] == "eu-west-2"
    assert not {KEY, TOKEN, "AKID"} & set(options.values())
    assert delta.options("/data/lake") is delta.credentials("/data/lake") is None
    with environment("", AWS_ENDPOINT_URL=None, AWS_REGION=None):
        options = delta.options("s3://shop/lake")
        assert options
        assert "aws_endpoint_url" not in options
        assert "aws_allow_http" not in options
    assert KEY not in repr(rfm.Lake("s3://shop/lake").read(BRONZE))


def race(landing: str, lake: str, gate: Any) -> None:
    """Ingest all files with the others: a process of its own."""
    gate.wait()
    ingest_day(landing, lake)


@pytest.mark.parametrize(("racers", "files"), [(3, 8), pytest.param(6, 40, marks=pytest.mark.long)])
def test_runs_at_once_ingest_each_line_once(s3, racers, files):
    for number in range(files):
        put(s3, f"daily/{number} 2025-10-21_transactions.csv", day_file(489000 + number, "2025-10-21"))
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(racers)
    runs = [context.Process(target=race, args=("s3://shop/daily", "s3://shop/lake", gate)) for _ in range(racers)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(600)
    assert [run.exitcode for run in runs] == [0] * racers
    lake = rfm.Lake("s3://shop/lake")
    found = lake.read(BRONZE).group_by("source_file").len().collect()
    assert dict(found.rows()) == {f"{number} 2025-10-21_transactions.csv": 2 for number in range(files)}
    assert sorted(lake.frame("landing_files", layer="bronze")["source_file"]) == sorted(found["source_file"])


def two_stages(lake: str, date: str, restate: bool = False) -> dict[str, int]:
    """Run the first two stages in buckets; return the rows of the layers."""
    from rfm.pipeline.backfill import to_bronze, to_silver

    settings = load_settings(landing="s3://shop/daily", lake=lake, rules={"max_dropped_share": 1.0})
    home = rfm.Lake(lake)
    to_bronze(settings, home, dt.date.fromisoformat(date), restate)
    to_silver(settings, home, dt.date.fromisoformat(date))
    return rfm.ingest.reconcile(home)


def test_a_large_object_is_read_in_pieces(s3, monkeypatch):
    monkeypatch.setattr(decode, "PIECE", 8192)
    monkeypatch.setattr(reader, "PIECE", 8192)
    monkeypatch.setattr(reader, "WHOLE_BYTES", 20_000)
    content = gzip.compress((HEADER + "489434,85048,BALL,1,6.95,13085.0,EIRE,2025-10-20\n" * 2000).encode())
    put(s3, "daily/" + NAME.format("2025-10-21"), content)
    reading = rfm.read_files("s3://shop/daily", rfm.list_files("s3://shop/daily"), dt.date(2025, 10, 22))
    ((files, rows),) = reading
    assert isinstance(rows, StreamedRows)
    assert files["sha256"].to_pylist() == [hashlib.sha256(content).hexdigest()]
    assert [sum(table.num_rows for table in rows) for _ in range(2)] == [2000, 2000]


def test_restatement_and_release_work_in_a_bucket(s3, tmp_path):
    from rfm.pipeline import release

    name, lake = NAME.format("2025-10-21"), "s3://shop/lake"
    put(s3, f"daily/{name}", day_file(489434, "2025-10-21"))
    assert two_stages(lake, "2025-10-21") == {"bronze": 2, "silver": 2, "quarantine": 0}
    put(s3, f"daily/{name}", day_file(489434, "2025-10-21").replace("BALL,2", "BALL,-2"))
    assert two_stages(lake, "2025-10-21", restate=True) == {"bronze": 2, "silver": 1, "quarantine": 1}
    settings = load_settings(landing="s3://shop/daily", lake=lake)
    assert release.release_or_export(settings, None, str(tmp_path / "rows.csv")).startswith("1 quarantined row(s)")
    rows = (tmp_path / "rows.csv").read_text("utf-8-sig").replace("BALL,-2", "BALL,2")
    (tmp_path / "rows.csv").write_text(rows, "utf-8-sig")
    for released in (1, 0):
        assert release.release_or_export(settings, str(tmp_path / "rows.csv"), None).startswith(
            f"{released} row(s) released into silver"
        )
    assert rfm.ingest.reconcile(rfm.Lake(lake)) == {"bronze": 2, "silver": 2, "quarantine": 0}


def test_a_table_in_a_bucket_is_cared_for_when_it_is_due(s3):
    home, handles, models = rfm.Lake("s3://shop/lake"), TableCache("s3://shop/lake"), ["cluster_models"]
    for day in (DAY, DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=2)):
        home.replace(models[0], pl.DataFrame({"UpdateDate": [day], "k": [2], "model": ["{}"]}), UpdateDate=day)
    assert delta.maintain(handles, 10, names=models) == []
    assert delta.maintain(handles, 3, names=models) == models
    assert delta.maintain(handles, 3, names=models) == []  # the checkpoint is seen
    assert home.read(models[0]).collect().height == 3


# ── upload ─────────────────────────────────────────────────────────────────────────────────────────
DAY = dt.date(2025, 10, 23)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Return a folder with the files of two days."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for date in ("2025-10-22", "2025-10-23"):
        (folder / NAME.format(date)).write_text(day_file(489434, date))
    return folder


@pytest.fixture(params=["bucket", "folder", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return somewhere to upload to."""
    if request.param == "bucket":
        request.getfixturevalue("s3")
    yield {"bucket": "s3://shop/daily", "folder": str(tmp_path / "target"), "memory": "memory://upload/daily"}[request.param]
    if request.param == "memory":
        from fsspec.implementations.memory import MemoryFileSystem

        MemoryFileSystem.store.clear()


def test_upload_sends_a_day_once(exported, target):
    there = f"{target}/2025-10-23/{NAME.format(DAY)}"
    size = (exported / NAME.format(DAY)).stat().st_size
    assert upload(str(exported), target, DAY) == [Sent(NAME.format(DAY), there, size, new=True)]
    assert upload(str(exported), f"{target}/", DAY) == [Sent(NAME.format(DAY), there, size, new=False)]
    assert [rows.num_rows for _, rows in rfm.read_files(target, names(target), DAY)] == [2]
    assert names(target) == [f"2025-10-23/{NAME.format(DAY)}"]


def test_upload_refuses_another_file_of_the_same_name(exported, target):
    upload(str(exported), target, DAY)
    (exported / "b 2025-10-23_transactions.csv").write_text(HEADER)
    (exported / NAME.format(DAY)).write_text(day_file(500000, "2025-10-23"))  # of the same size
    with pytest.raises(InputError, match=r"another file of this name is there \(.* bytes, here .*nothing was sent; rename"):
        upload(str(exported), target, DAY)
    assert names(target) == [f"2025-10-23/{NAME.format(DAY)}"]


def test_upload_sees_what_lies_flat(exported, s3):
    put(s3, f"daily/{NAME.format(DAY)}", (exported / NAME.format(DAY)).read_bytes())
    assert [(sent.target, sent.new) for sent in upload(str(exported), "s3://shop/daily", DAY)] == [
        (f"s3://shop/daily/{NAME.format(DAY)}", False)
    ]


@pytest.mark.parametrize("same", [True, False])
def test_upload_beside_another_upload_sends_once(exported, target, monkeypatch, same):

    module = sys.modules["rfm.landing.files"]
    upload(str(exported), target, DAY)
    if not same:
        (exported / NAME.format(DAY)).write_text(HEADER)
    monkeypatch.setattr(module, "_lies_at", lambda *_: None)  # as if it had looked before the other was done
    with contextlib.nullcontext() if same else pytest.raises(InputError, match="another file"):
        assert [sent.new for sent in upload(str(exported), target, DAY)] == [False]
    assert names(target) == [f"2025-10-23/{NAME.format(DAY)}"]


def test_upload_to_a_disk_without_hard_links(exported, tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert [sent.new for sent in upload(str(exported), str(tmp_path / "target"), DAY)] == [True]
    assert [path.name for path in (tmp_path / "target" / "2025-10-23").iterdir()] == [NAME.format(DAY)]


def test_upload_says_what_is_wrong(exported, tmp_path):
    with pytest.raises(SettingsError, match=r"none of 2 file\(s\) is of 2025-10-24, the newest is 2025-10-23; correct --date"):
        upload(str(exported), str(tmp_path / "target"), dt.date(2025, 10, 24))
    with pytest.raises(SettingsError, match="is in the landing folder itself"):
        upload(str(exported), f"{exported}/sent", DAY)
    (exported / "again").mkdir()
    shutil.copy(exported / NAME.format(DAY), exported / "again")
    with pytest.raises(SettingsError, match=r"2025-10-23_transactions.csv is there 2 times; keep one"):
        upload(str(exported), str(tmp_path / "target"), DAY)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be uploaded to"):
        upload(str(exported), str(tmp_path / "file"), dt.date(2025, 10, 22))


# ── the command line: one line for whatever is wrong ───────────────────────────────────────────────
@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs `rfm` in an empty folder: exit status, what it said, what it complained of."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rfm", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert KEY not in out + err
        assert TOKEN not in out + err
        return int(ended.value.code or 0), out, err

    return run


def test_upload_on_the_command_line(s3, exported, command):
    ask = ("upload", "--date", "2025-10-22", "--to", "s3://shop/daily", "--landing", str(exported))
    where = "s3://shop/daily/2025-10-22/2025-10-22_transactions.csv"
    size = (exported / NAME.format("2025-10-22")).stat().st_size
    assert command(*ask)[:2] == (0, f"sent: {where} ({size} bytes)\n")
    assert command(*ask)[:2] == (0, f"already there: {where} ({size} bytes)\n")
    assert command("upload", "--to", "s3://shop/daily", "--landing", str(exported))[1].startswith(
        "sent: s3://shop/daily/2025-10-23/"
    )
    (exported / NAME.format("2025-10-22")).write_text(HEADER)
    status, _, complaint = command(*ask)
    assert (status, complaint.count("\n")) == (1, 1)


class Refusing(BaseHTTPRequestHandler):
    """A server that refuses everything and repeats the token in its answer, as S3 does."""

    body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>%s</Token-0></Error>"
    status = 400

    def answer(self) -> None:
        body = self.body.replace(b"%s", TOKEN.encode()) if self.command != "HEAD" else b""
        self.send_response(self.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_POST = answer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Denying(Refusing):
    """A server that lets nobody in."""

    body, status = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 403


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()
        thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Listen and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield f"http://127.0.0.1:{one.getsockname()[1]}"


@contextlib.contextmanager
def closed() -> Iterator[str]:
    """Name a port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{one.getsockname()[1]}"


NOBODY = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_SESSION_TOKEN": None}
WRONG = {  # what is wrong: the server, the environment, what is said of it
    "expired": (lambda: served(Refusing), {}, "the credentials are not accepted; renew them"),
    "denied": (lambda: served(Denying), {}, "access is denied; ask for the right"),
    "closed": (closed, {}, "the server cannot be reached; see AWS_ENDPOINT_URL"),
    "nobody": (closed, NOBODY, "no credentials were found; set AWS_ACCESS_KEY_ID"),
    "profile": (closed, {**NOBODY, "AWS_PROFILE": "none"}, "no credentials were found"),
}
USES = {  # what is a bucket: the command
    "landing": ("daily", "--landing", "s3://shop/daily"),
    "lake": ("status", "--lake", "s3://shop/lake"),
    "reports": ("status", "--reports", "s3://shop/reports"),
    "target": ("upload", "--to", "s3://shop/daily", "--landing", "exports"),
}


def one_line(answer: tuple[int, str, str], said: str) -> None:
    """Hold an answer of the command line against what it should say."""
    status, _, complaint = answer
    assert status in (1, 2)
    assert complaint.startswith("rfm: s3://shop")
    assert said in complaint
    assert complaint.count("\n") == 1
    assert "\x1b" not in complaint


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_bucket_out_of_reach_is_told_in_one_line(command, exported, wrong, use):
    server, more, said = WRONG[wrong]
    with server() as endpoint, environment(endpoint, **more):
        one_line(command(*USES[use]), said)


@pytest.mark.parametrize("use", USES)
def test_a_missing_bucket_is_told_in_one_line(s3, command, exported, use):
    one_line(command(*(word.replace("shop/", "shopless/") for word in USES[use])), "there is no such bucket")


@pytest.mark.long
@pytest.mark.parametrize("use", USES)
def test_a_silent_server_is_given_up_in_time(command, exported, use):
    with silent() as endpoint, environment(endpoint):
        started = time.monotonic()
        one_line(command(*USES[use]), "the server does not answer in time")
        assert time.monotonic() - started < 30


def test_a_silent_server_is_said_to_be_silent(command, exported, monkeypatch):
    monkeypatch.setattr(delta, "PATIENCE", {**delta.PATIENCE, "timeout": "500ms", "max_retries": "0"})
    with silent() as endpoint, environment(endpoint):
        one_line(command(*USES["lake"]), "the server does not answer in time")


@pytest.mark.parametrize("where", ["landing", "lake", "reports"])
def test_a_password_in_an_address_is_refused_and_not_repeated(command, monkeypatch, tmp_path, where):
    for address in ("s3://AKID:hidden/key+1@shop/x", "ftp://me:hidden@host/x"):
        with pytest.raises(SettingsError, match=r"://\*\*\*@.*a URL must not hold a password") as refused:
            load_settings(**{where: address})
        assert "hidden" not in str(refused.value)
        monkeypatch.setenv(f"RFM_{where.upper()}", address)
        status, out, complaint = command("status")
        assert (status, complaint.count("\n"), "hidden" in out + complaint) == (2, 1, False)
        monkeypatch.delenv(f"RFM_{where.upper()}")
        (tmp_path / "rfm.toml").write_text(f'{where} = "{address}"\n')
        assert "hidden" not in "".join(command("status")[1:])
        (tmp_path / "rfm.toml").unlink()
    assert load_settings(**{where: "sftp://host:22/a@b/"}).model_dump()[where] == "sftp://host:22/a@b"


def test_trouble_is_told_from_mistakes():
    assert explain_cloud_error(ZeroDivisionError("division by zero")) is None
    assert (
        explain_cloud_error("ComputeError: <Code>SignatureDoesNotMatch</Code>")
        == "the credentials are not accepted; renew them and run again"
    )
    assert redact("nothing to hide") == "nothing to hide"
    assert redact("<Token-0>abc</Token-0> and <Token-0>cut of") == "<Token-0>*** and <Token-0>***"


# ── a whole run in buckets, and no secret anywhere ─────────────────────────────────────────────────
def settings_of(notebooks: Path, **more: str) -> Settings:
    """Return the settings of a project that keeps everything in a bucket."""
    return load_settings(
        landing="s3://shop/daily", lake="s3://shop/lake", reports="s3://shop/reports", notebooks=str(notebooks), **more
    )


def everything(client: Any, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of a folder, every object of the bucket and every table as text."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
    for item in client.list_objects_v2(Bucket="shop")["Contents"]:
        yield item["Key"], client.get_object(Bucket="shop", Key=item["Key"])["Body"].read()
    lake = rfm.Lake("s3://shop/lake")
    for name in lake.state():
        yield name, str(lake.read(name).collect().to_dicts()).encode()


def leaks(found: Iterator[tuple[str, bytes]]) -> list[str]:
    """Return where a secret stands, as it is or written for a URL."""
    from urllib.parse import quote

    secrets = [secret.encode() for one in (KEY, TOKEN) for secret in (one, quote(one, safe=""), quote(one))]
    return [name for name, content in found if any(secret in content for secret in secrets)]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which a run does everything that it does on the disk, and keeps its work."""
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    kept = iter(range(9))

    def folder(kind: str) -> Any:
        made = tmp_path / f"{kind}{next(kept)}"
        made.mkdir()
        return contextlib.nullcontext(str(made))

    monkeypatch.setattr(daily, "run_folder", folder)
    return tmp_path


@pytest.mark.parametrize("again", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_repeated_run_in_buckets_changes_nothing(s3, workplace, capfd, again):
    make_sample(workplace / "sample", days=2, lines=800, customers=100)
    for date in (dt.date(2025, 10, 22), dt.date(2025, 10, 23)):
        upload(str(workplace / "sample"), "s3://shop/daily", date)
    first = daily.run(settings_of(NOTEBOOKS))
    lake = rfm.Lake("s3://shop/lake")
    before = {name: lake.fingerprint(name) for name in ("retail_transactions_silver", "customer_rfm_gold", "segment_summary")}
    assert first["report"] == "s3://shop/reports/index.html"
    assert [run["run_date"] for run in site.published_runs("s3://shop/reports")] == ["2025-10-23"]
    second = daily.run(settings_of(NOTEBOOKS)) if again else first
    assert {name: lake.fingerprint(name) for name in before} == before
    assert second["tables"].keys() == first["tables"].keys()
    assert [second["tables"][name]["sha256"] for name in first["tables"]] == [one["sha256"] for one in first["tables"].values()]
    assert lake.state()[BRONZE].rows == sum(len(path.read_text().splitlines()) - 1 for path in (workplace / "sample").iterdir())
    assert str(replay(settings_of(NOTEBOOKS), dt.date(2025, 10, 23))).endswith("result tables are identical")
    found = dict(everything(s3, workplace))
    assert {"reports/index.html", "reports/2025-10-23/run.json", BRONZE} <= found.keys()
    assert leaks(iter(found.items())) == []
    said = capfd.readouterr()
    assert leaks(iter([("said", json.dumps([first, second, said.out, said.err]).encode())])) == []


def test_a_failed_run_shows_no_secret_of_a_notebook(s3, workplace, capfd):
    put(s3, "daily/" + NAME.format("2025-10-23"), day_file(489434, "2025-10-23"))
    shutil.copytree(NOTEBOOKS, workplace / "notebooks")
    place = workplace / "notebooks" / "2_silver.ipynb"
    notebook = json.loads(place.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    cells[-1]["source"] = (
        "import os\nkeys = os.environ['AWS_SECRET_ACCESS_KEY'] + os.environ['AWS_SESSION_TOKEN']\n"
        "print(keys)\nraise RuntimeError(keys)"
    )
    place.write_text(json.dumps(notebook))
    with pytest.raises(StageError, match=r"stage 2_silver failed: RuntimeError: \*\*\*\*\*\*; its notebook: ") as failed:
        daily.run(settings_of(workplace / "notebooks"))
    kept = Path(str(failed.value).rpartition(" its notebook: ")[2])
    assert kept.is_file()
    assert "******" in kept.read_text()
    assert kept.is_relative_to(workplace)
    assert leaks(everything(s3, workplace)) == []
    said = capfd.readouterr()
    assert leaks(iter([("said", (said.out + said.err + str(failed.value)).encode())])) == []


# ── one run at a time ──────────────────────────────────────────────────────────────────────────────
def test_a_lock_in_a_bucket_admits_one_and_outlives_no_owner(s3):
    settings = load_settings(lake="s3://shop/lake")
    with locked(settings, DAY):
        with pytest.raises(BusyError, match=f"s3://shop/lake/run.lock: a run of {DAY} is at work"):
            locked(settings, DAY).__enter__()
        put(s3, "lake/run.lock", json.dumps({"host": "elsewhere", "process": 1, "since": "2025-10-23T05:00:00+00:00"}))
        with locked(settings, DAY):
            pass
        put(s3, "lake/run.lock", "of somebody else")
    assert s3.get_object(Bucket="shop", Key="lake/run.lock")["Body"].read() == b"of somebody else"


def test_a_bucket_is_asked_once_whether_conditional_puts_hold(s3):
    settings, keys = (
        load_settings(lake="s3://shop/lake"),
        lambda: {one["Key"] for one in s3.list_objects_v2(Bucket="shop")["Contents"]},
    )
    with locked(settings, DAY):
        assert keys() == {"lake/run.lock", "lake/conditional_puts"}
    before = s3.head_object(Bucket="shop", Key="lake/conditional_puts")["LastModified"]
    with locked(settings, DAY):
        pass
    assert s3.head_object(Bucket="shop", Key="lake/conditional_puts")["LastModified"] == before


def test_lock_none_writes_no_lock(s3):
    with locked(load_settings(lake="s3://shop/lake", care={"lock": "none"}), DAY):
        assert "Contents" not in s3.list_objects_v2(Bucket="shop")


def test_lock_in_a_bucket_out_of_reach_is_told_in_one_line(s3):
    with pytest.raises(InputError, match="s3://nowhere/lake/run.lock: cannot be written .there is no such bucket"):
        locked(load_settings(lake="s3://nowhere/lake"), DAY).__enter__()
