"""Hooks: a command or a webhook gets the record of a failed or warned run; a failing hook is a warning."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from rfm.config import OnFailure
from rfm.errors import SettingsError
from rfm.pipeline import daily, run_record
from rfm.pipeline.daily import monitored
from rfm.settings import load_settings
from tests.loopback import listening

FAILED = {"run_date": "2025-10-23", "status": "failed", "error": "stage 3_gold failed", "warnings": []}
DONE = {"run_date": "2025-10-23", "status": "done", "warnings": []}


def script(tmp_path: Path, source: str) -> str:
    """Return the command that runs a few lines of Python."""
    path = tmp_path / "hook of mine.py"
    path.write_text(source)
    return shlex.join([sys.executable, str(path), str(tmp_path / "got.json")])


@pytest.fixture
def writer(tmp_path: Path) -> str:
    """Return a command that keeps what it gets."""
    return script(tmp_path, "import pathlib, sys\npathlib.Path(sys.argv[1]).write_text(sys.stdin.read())\n")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[Any]]]:
    """Return the address of a webhook on loopback, and what it has got."""
    got: list[Any] = []

    def keep(request: BaseHTTPRequestHandler, body: Any) -> int:
        got.append((request.headers["Content-Type"], request.headers.get("Authorization"), body))
        return 500 if "broken" in request.path else 200

    with listening(keep) as address:
        yield address, got


@pytest.mark.parametrize(
    ("when", "record", "called"),
    [
        ("failed", FAILED, True),
        ("failed", DONE, False),
        ("failed", DONE | {"warnings": ["late"]}, False),
        ("failed", DONE | {"warnings": ["no CSV"], "errors": ["no CSV"]}, True),
        ("warned", DONE | {"warnings": ["late"]}, True),
        ("warned", DONE, False),
        ("warned", FAILED, True),
    ],
)
def test_command_gets_the_record_when_it_is_wanted(writer, tmp_path, when, record, called):
    assert daily.notify(OnFailure(when=when, command=writer), record) == []
    got = tmp_path / "got.json"
    assert got.exists() == called
    assert not called or json.loads(got.read_text()) == record


def test_webhook_gets_record_and_secret_of_the_environment(webhook, monkeypatch):
    url, got = webhook
    monkeypatch.delenv(daily.SECRET, raising=False)
    assert daily.notify(OnFailure(webhook=f"{url}/hook"), FAILED) == []
    monkeypatch.setenv(daily.SECRET, "planted")
    assert daily.notify(OnFailure(webhook=f"{url}/hook"), FAILED) == []
    assert got == [("application/json", None, FAILED), ("application/json", "Bearer planted", FAILED)]


def test_both_are_called_and_each_failure_is_a_line(webhook, tmp_path):
    url, got = webhook
    command = script(tmp_path, "import sys\nsys.exit('no mail today')\n")
    said = daily.notify(OnFailure(command=command, webhook=f"{url}/broken/secret"), FAILED)
    assert said == [
        f"on_failure: command {sys.executable}: exit status 1 (no mail today)",
        "on_failure: webhook 127.0.0.1: HTTPError: HTTP Error 500: Internal Server Error",
    ]
    assert len(got) == 1


def test_a_command_that_is_not_there_is_a_line():
    (said,) = daily.notify(OnFailure(command="no-such-command --token secret"), FAILED)
    assert said.startswith("on_failure: command no-such-command: FileNotFoundError")
    assert "secret" not in said


def test_a_command_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(daily, "PATIENCE", 0.2)
    command = script(tmp_path, "import time\ntime.sleep(600)\n")
    assert daily.notify(OnFailure(command=command), FAILED) == [
        f"on_failure: command {sys.executable}: no end within 0.2 seconds"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"command": "echo 'half"}, "setting on_failure.command: is not a command"),
        ({"command": " "}, "setting on_failure.command: is not a command"),
        ({"webhook": "ftp://host/x"}, "setting on_failure.webhook: must start with http:// or https://"),
        ({"when": "always"}, "setting on_failure.when"),
    ],
)
def test_wrong_settings_are_refused(given, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(on_failure=given)


def test_a_failed_run_calls_hooks_and_their_failure_is_a_note(tmp_path, writer):
    places = {name: str(tmp_path / name) for name in ("landing", "lake", "reports", "notebooks")}
    settings = load_settings(**places, on_failure={"command": writer, "webhook": "http://127.0.0.1:9/x"})
    record = run_record.new_record(settings, dt.date(2025, 10, 23), {})
    with pytest.raises(SettingsError, match="x") as raised, monitored(settings, record):
        raise SettingsError("x: wrong")
    got = json.loads((tmp_path / "got.json").read_text())
    assert (got["status"], got["error"], got["run_id"]) == ("failed", "x: wrong", record.run_id)
    (note,) = raised.value.__notes__
    assert note.startswith("warning: on_failure: webhook 127.0.0.1: URLError")
