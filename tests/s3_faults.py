"""Faults of an object store on request: a server between the library and another one that speaks S3.

It is a process of its own, as delta-rs holds the lock of the one that calls it while it lists. `FaultyServer` starts it and
tells it over `/-/` what is to fail: requests are counted from 0, and from ``at`` on ``times`` of them fail.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.request import urlopen

KINDS = ("slowdown", "error", "reset", "lost", "slow", "stale")  # "lost": the work is done, its answer gets lost
REFUSALS = {"slowdown": (503, "SlowDown"), "error": (500, "InternalError")}
OWN = ("transfer-encoding", "connection", "date", "server", "expect")  # headers that are not passed on
CONTROL, KEYS = "/-/", re.compile(rb"<Key>.*?</Key>")


class FaultyServer:
    """A process that passes requests on to a server, for a `with` block."""

    def __init__(self, behind: str) -> None:
        self.behind = behind

    def __enter__(self) -> FaultyServer:
        command = [sys.executable, __file__, self.behind.partition("://")[2]]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)

    def fail(self, *faults: tuple[int, int, str], seconds: float = 1.0) -> None:
        """Count from 0 again, and let requests fail: each fault is the first request, how many, and the kind."""
        urlopen(f"{self.address}{CONTROL}", json.dumps({"faults": faults, "seconds": seconds}).encode()).read()

    def seen(self) -> dict[str, Any]:
        """Return the requests that were counted, and those that failed."""
        return json.loads(urlopen(f"{self.address}{CONTROL}").read())


class _Passing(BaseHTTPRequestHandler):
    """Passes each request on, unless it is its turn to fail."""

    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    behind = ""
    seconds, faults = 0.0, ()  # of the class, as all that follows
    seen: ClassVar[list[str]] = []
    failed: ClassVar[list[str]] = []
    listings: ClassVar[dict[str, bytes]] = {}  # the newest answer to each listing

    def setup(self) -> None:
        super().setup()
        self.server_behind = http.client.HTTPConnection(self.behind)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == CONTROL:
            return self._control(content)
        request = f"{self.command} {self.path.partition('&X-Amz')[0]}"
        self.seen.append(request)
        kind = self._due(request)
        if kind == "slow":
            time.sleep(self.seconds)
        if kind in REFUSALS:
            status, code = REFUSALS[kind]
            said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Reduce your request rate.</Message></Error>"
            return self._answer(status, {"Content-Type": "application/xml"}, said.encode())
        if kind == "reset":
            return self._reset()
        status, headers, answer = self._ask(content)
        if kind == "lost":
            return self._reset()
        if "list-type=2" in self.path and status == 200:
            before = self.listings.get(request, answer)
            if KEYS.findall(before) != KEYS.findall(answer) and self._due(request, stale=True):
                answer = before
            self.listings[request] = answer
        return self._answer(status, headers, answer)

    def _due(self, request: str, stale: bool = False) -> str:
        """Return how a request fails, if it is its turn; a listing is stale at the first one that has changed by then."""
        for fault in self.faults:
            first, times, kind = fault
            if len(self.seen) > first and times > 0 and (kind == "stale") == stale:
                fault[1] -= 1
                self.failed.append(f"{len(self.seen) - 1} {kind} {request}")
                return kind
        return ""

    def _ask(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        self.server_behind.request(self.command, self.path, content, _passed_on(self.headers))
        answer = self.server_behind.getresponse()
        return answer.status, _passed_on(answer.headers), answer.read()

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _reset(self) -> None:
        """End the connection as a router does that lost it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _control(self, content: bytes) -> None:
        kind = type(self)
        if content:
            wanted = json.loads(content)
            kind.faults, kind.seconds = wanted["faults"], wanted["seconds"]
            for past in (self.seen, self.failed, self.listings):
                past.clear()
        self._answer(200, {}, json.dumps({"seen": self.seen, "failed": self.failed}).encode())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any


def _passed_on(headers: Any) -> dict[str, str]:
    """Return the headers that one server leaves to the other."""
    return {name: value for name, value in headers.items() if name.lower() not in OWN}


if __name__ == "__main__":
    _Passing.behind = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Passing)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
