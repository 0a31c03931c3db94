"""Lighthouse (npm, tried with 12.8.2) scores every page 95 or more on a laptop profile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from threading import Thread

import pytest

from rfm.report.pages import PAGES
from rfm.report.publish import server

LEAST = 95
KINDS = ("performance", "accessibility", "best-practices")
FLAGS = "--headless=new --no-sandbox --disable-gpu --enable-unsafe-swiftshader"


@pytest.fixture(scope="module")
def lighthouse() -> str:
    found = os.environ.get("RFM_LIGHTHOUSE") or shutil.which("lighthouse")
    if not found:
        pytest.skip("lighthouse is missing: npm install lighthouse@12.8.2, and RFM_LIGHTHOUSE=node_modules/.bin/lighthouse")
    return str(found)


@pytest.mark.long
@pytest.mark.parametrize("page", ["", *(page.file for page in PAGES)])
def test_page_is_fast_and_accessible(built, chromium, lighthouse, tmp_path: Path, page: str) -> None:
    with server(str(built.root)) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}/{f'{built.tables.day}/{page}' if page else ''}"
        asked = [
            lighthouse,
            address,
            "--preset=desktop",
            "--quiet",
            f"--chrome-flags={FLAGS}",
            f"--only-categories={','.join(KINDS)}",
        ]
        out = tmp_path / "scores.json"
        subprocess.run(
            [*asked, "--output=json", f"--output-path={out}"],
            env={**os.environ, "CHROME_PATH": chromium},
            check=True,
            capture_output=True,
            timeout=180,
        )
        running.shutdown()
    scores = {kind: round(100 * found["score"]) for kind, found in json.loads(out.read_text())["categories"].items()}
    assert min(scores.values()) >= LEAST, scores
