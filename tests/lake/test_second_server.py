"""A lake on an S3 server in Node, s3rver: it ignores conditional puts, so it is refused, or used without a lock."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.pipeline.backfill import backfill
from rfm.pipeline.repair import verify_lake
from rfm.pipeline.schedule import PROBED, locked
from rfm.settings import load_settings
from tests.forks import Forks, contents, differing
from tests.lake.test_s3 import answers, environment, free_port, until

pytestmark = [pytest.mark.s3, pytest.mark.long]

SERVER, LAST = "s3rver@3.7.1", dt.date(2025, 10, 23)
QUICK: dict[str, Any] = {"clusters": {"k_max": 4, "n_init": 1}, "care": {"optimize_every": 0, "lock": "none"}}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install and start s3rver with a bucket named shop; return the folder of its objects."""
    root = tmp_path_factory.mktemp("s3rver")
    npm = shutil.which("npm")
    wanted = [npm or "", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(root), SERVER]
    if not npm or subprocess.run(wanted, capture_output=True, check=False, timeout=300).returncode:
        stop = pytest.fail if "s3" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop(f"{SERVER} cannot be had; npm must reach a registry")
    port, data = free_port(), root / "data"
    data.mkdir()
    command = ["node", str(root / "node_modules" / ".bin" / "s3rver"), "-d", str(data), "-a", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen([*command, "--configure-bucket", "shop", "--silent"], stdout=subprocess.DEVNULL) as process:
        until(lambda: answers(port))
        keys = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_SESSION_TOKEN": None}
        plain = {"AWS_REGION": "us-east-1", "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
        with environment(f"http://127.0.0.1:{port}", **keys, **plain):
            for name in [name for name, value in keys.items() if value is None]:
                os.environ.pop(name, None)
            yield data / "shop"
        process.terminate()


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("landing")
    make_sample(folder, days=3, end=LAST, lines=240, customers=40)
    return str(folder)


def commits(bucket: Path) -> int:
    """Return the number of commits in a bucket's tables, by the files of the server."""
    return len([path for path in bucket.rglob("*.json._S3rver_object") if "_delta_log" in path.parts])


def test_a_server_that_ignores_conditional_puts_is_refused(bucket, landing):
    settings = load_settings(landing=landing, lake="s3://shop/refused")
    for _ in range(2):
        with pytest.raises(InputError, match=r"s3://shop/refused: its server ignores conditional puts.*lock = \"none\""):
            locked(settings, LAST).__enter__()
    assert [path.name for path in bucket.rglob(f"*{PROBED}*")] == []


def test_runs_that_are_killed_there_lose_nothing(bucket, landing, tmp_path):
    days = [LAST - dt.timedelta(days=1), LAST]
    quiet = load_settings(landing=landing, lake=str(tmp_path / "quiet"), **QUICK)
    settings = load_settings(landing=landing, lake="s3://shop/lake", reports=str(tmp_path / "reports"), **QUICK)
    for day in days:
        list(backfill(quiet, day, day))
    with Forks() as forks:
        given = {"landing": landing, "lake": settings.lake, "days": [str(day) for day in days]}
        killed = []
        for number in (3, 15, 30):
            pid = forks.start("run_days", **given)
            end = time.monotonic() + 120
            while commits(bucket) < number and time.monotonic() < end:
                time.sleep(0.01)
            killed.append((forks.kill(pid), commits(bucket)))
        assert forks.wait(forks.start("run_days", **given)) == 0
    assert [code for code, _ in killed] == [-signal.SIGKILL] * 3, killed  # an ended run has another code
    left = [found for _, found in killed]
    assert 3 <= left[0] < left[1] < left[2] < commits(bucket), "not in the midst of their work"
    assert verify_lake(settings) == []
    assert differing(contents(settings.lake), contents(quiet.lake)) == []
