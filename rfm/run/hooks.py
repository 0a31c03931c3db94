"""Who is told of a run that failed, or of one with warnings: a command, a webhook, as settings say."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from rfm.errors import first_line, redacted
from rfm.sections import OnFailure

PATIENCE = 60.0  # seconds that a hook may take
SECRET = "RFM_WEBHOOK_SECRET"  # environment variable, sent as a bearer token


def call(settings: OnFailure, record: Mapping[str, Any]) -> list[str]:
    """Give the record of a run to the hooks that want it.

    Parameters
    ----------
    settings
        Which hooks, and when.
    record
        The run record; hooks get it as JSON.

    Returns
    -------
    list of str
        A line for each hook that failed: a failing hook is a warning, never a failure.
    """
    failed = record["status"] == "failed" or record.get("errors")
    if not (failed or settings.when == "warned" and record["warnings"]):
        return []
    body = redacted(json.dumps(record, ensure_ascii=False, default=str)).encode()
    tried = [_troubles(settings.command, "command", _run, body), _troubles(settings.webhook, "webhook", _post, body)]
    return [redacted(f"on_failure: {trouble}") for trouble in tried if trouble]


def _troubles(target: str, kind: str, hook: Callable[[str, bytes], None], body: bytes) -> str:
    """Call a hook if there is one; return what went wrong, without the arguments or the path, which may be secret."""
    if not target:
        return ""
    shown = urlsplit(target).hostname if kind == "webhook" else shlex.split(target)[0]
    try:
        hook(target, body)
    except subprocess.TimeoutExpired:
        return f"{kind} {shown}: no end within {PATIENCE:g} seconds"
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        return f"{kind} {shown}: exit status {error.returncode}" + (f" ({said[-1]})" if said else "")
    except Exception as error:  # noqa: BLE001 (a hook may fail as it likes)
        return f"{kind} {shown}: {type(error).__name__}: {first_line(error)}"
    return ""


def _run(command: str, body: bytes) -> None:
    """Run a command, without a shell, with the record on its standard input."""
    subprocess.run(shlex.split(command), input=body, capture_output=True, timeout=PATIENCE, check=True)


def _post(url: str, body: bytes) -> None:
    """Post the record to a webhook."""
    headers = {"Content-Type": "application/json", "User-Agent": "rfm"}
    if secret := os.environ.get(SECRET):
        headers["Authorization"] = f"Bearer {secret}"
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 (settings allow http and https alone)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        answer.read()
