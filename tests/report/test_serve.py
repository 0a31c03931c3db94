"""The site served on this computer: the published files, pages that load themselves again, and nobody else's eyes."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from rfm.cli.options import app
from rfm.errors import InputError
from rfm.report import publish

NONCE = "0123456789abcdef"
PAGE = f"""<head><meta content="{publish.POLICY} script-src 'nonce-{NONCE}'"></head><body>€</body>"""


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Return a site of two pages, a list of runs and an asset."""
    for name in ("assets", "2025-10-23"):
        (tmp_path / name).mkdir()
    for name, text in {
        "index.html": PAGE,
        "2025-10-23/index.html": PAGE,
        "runs.json": "{}",
        "assets/page-1.css": "p{}",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def port(reports: Path) -> Iterator[int]:
    """Return where the site is served."""
    with publish.server(str(reports)) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()


def get(port: int, path: str, host: str = "", method: str = "GET") -> tuple[int, dict[str, str], str]:
    """Return status, headers and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.headers), text


@pytest.mark.parametrize("path", ["/", "/index.html", "/2025-10-23/", "/2025-10-23/index.html?from=mail"])
def test_pages_are_served_awake_and_stay_as_they_lie_there(reports, port, path):
    status, headers, text = get(port, path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert text == publish.inject_live_reload(PAGE)
    assert f'<script nonce="{NONCE}">' in text
    assert "connect-src 'self'" in text
    assert (reports / "index.html").read_text(encoding="utf-8") == PAGE


def test_list_of_runs_has_its_date_and_assets_are_cached(port):
    assert "Last-Modified" in get(port, "/runs.json", method="HEAD")[1]
    assert "immutable" in get(port, "/assets/page-1.css")[1]["Cache-Control"]
    assert get(port, "/runs.json")[1]["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/assets/", "/2025-10-24/", "/../conftest.py"])
def test_nothing_but_files_of_the_site_is_served(port, path):
    assert get(port, path)[0] == 404


def test_another_name_for_this_computer_gets_nothing(port):
    assert get(port, "/", host=f"evil.test:{port}")[0] == 403
    assert get(port, "/", host=f"localhost:{port}")[0] == 200


def test_page_without_the_projects_policy_is_left_alone():
    assert publish.inject_live_reload("<p>mine</p>") == "<p>mine</p>"


def test_port_that_is_taken_is_one_sentence(reports):
    with socket.socket() as taken:
        taken.bind((publish.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is taken .* rfm serve --port {port + 1}"):
            publish.server(str(reports), port)


def test_folder_without_a_site_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no published report to serve; `rfm daily` makes one"):
        publish.server(str(tmp_path))


def test_verb_says_where_and_ends_with_one_line(reports, monkeypatch):
    def stopped(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rfm.report.publish.ThreadingHTTPServer.serve_forever", stopped)
    answer = CliRunner().invoke(app, ["serve", "--port", "0", "--reports", str(reports)], catch_exceptions=False)
    first, last = answer.stdout.splitlines()
    assert first.startswith("Reports: http://127.0.0.1:")
    assert (last, answer.exit_code) == ("Stopped serving.", 0)


# ── requests of strangers ──────────────────────────────────────────────────────────────────────────
STRANGE = {
    "nul": b"GET /%00 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "nul in a page": b"GET /index.html%00.html HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "garbage": bytes(range(256)) + b"\r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "too long": b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    "a name too long": b"GET /" + b"a" * 5_000 + b".html HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
}


@pytest.mark.parametrize("request_", STRANGE.values(), ids=STRANGE)
def test_a_strange_request_leaves_no_traceback(port, capfd, request_):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            answer = client.recv(4096)
            assert not answer or answer.startswith((b"HTTP/1.0 4", b"<!DOCTYPE"))
    assert get(port, "/", host="localhost:1")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_client_that_resets_leaves_no_traceback(port, capfd):
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n")
        client.close()
    assert get(port, "/", host="localhost:1")[0] == 200
    assert "Traceback" not in capfd.readouterr().err
