"""Whatever request to a bucket fails over three days: a run survives, or says why; the tables end as undisturbed ones."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import polars as pl
import pytest

from rfm.errors import RfmError
from rfm.pipeline.backfill import backfill
from rfm.pipeline.repair import verify_lake
from rfm.settings import Settings, load_settings
from tests.forks import contents, differing
from tests.lake.test_s3 import KEY, TOKEN, environment, server  # noqa: F401 a fixture
from tests.s3_faults import KINDS, FaultyServer
from tests.shop import three_days

pytestmark = pytest.mark.s3

LAST, SEED = dt.date(2025, 10, 23), 16
QUICK: dict[str, Any] = {"clusters": {"k_max": 4, "n_init": 1}, "files": {"settle_seconds": 0}}
REQUESTS = 1200  # that a run makes at least
GIVE_UP = 60  # requests in a row that fail: more than all the tries of four writers
PATIENCE = 300  # seconds after which a run must have ended, whatever happened
PARTS = 10
HEALED = [kind for kind in KINDS if kind != "stale"]  # S3 promises fresh listings, so no client asks twice


class Bucket(NamedTuple):
    """A bucket behind a server that fails on request, its landing files, and the tables of an undisturbed run."""

    server: FaultyServer
    files: list[Path]
    undisturbed: dict[str, pl.DataFrame]


def run(settings: Settings) -> str:
    """Run three days; return what stopped them, if something did."""
    started = time.monotonic()
    try:
        list(backfill(settings, LAST - dt.timedelta(days=2), LAST))
        said = ""
    except RfmError as failed:
        said = str(failed)
        assert said
        assert "\n" not in said
        assert not {secret for secret in (KEY, TOKEN) if secret in said}
    assert time.monotonic() - started < PATIENCE, said
    return said


@pytest.fixture(scope="module")
def bucket(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:  # noqa: F811
    root = tmp_path_factory.mktemp("shop")
    three_days(root / "landing", LAST)
    assert (
        run(load_settings(landing=str(root / "landing"), lake=str(root / "lake"), reports=str(root / "reports"), **QUICK)) == ""
    )
    with FaultyServer(server) as faulty, environment(server):
        yield Bucket(faulty, sorted((root / "landing").iterdir()), tables(str(root / "lake")))


@pytest.fixture
def settings(bucket: Bucket, server: str, tmp_path: Path) -> Iterator[Settings]:  # noqa: F811
    """Return the settings of a shop whose landing folder and lake are in the bucket, behind the server that fails."""
    client, shop = boto3.client("s3"), boto3.resource("s3").Bucket("shop")
    client.create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    for file in bucket.files:
        client.put_object(Bucket="shop", Key=f"daily/{file.name}", Body=file.read_bytes())
    with environment(bucket.server.address):
        bucket.server.fail()
        yield load_settings(landing="s3://shop/daily", lake="s3://shop/lake", reports=str(tmp_path / "reports"), **QUICK)
    shop.objects.delete()
    shop.delete()


def tables(lake: str) -> dict[str, pl.DataFrame]:
    """Return the rows of all tables; a bucket marks its files otherwise than a disk."""
    found = contents(lake)
    return found | {"landing_files": found["landing_files"].drop("token")}


def places(seed: int, number: int) -> list[int]:
    """Return requests, spread over the whole run."""
    chosen, step = random.Random(seed), REQUESTS // number
    return [turn * step + chosen.randrange(step) for turn in range(number)]


def test_requests_that_fail_once_are_tried_again(bucket, settings):
    bucket.server.fail((0, 1, "stale"), (120, GIVE_UP, "slowdown"))
    assert run(settings), "a server that always refuses went unnoticed"
    assert {said.split()[1] for said in bucket.server.seen()["failed"]} == {"stale", "slowdown"}
    once = list(zip(places(SEED, len(HEALED)), [1] * len(HEALED), HEALED, strict=True))
    bucket.server.fail(*once, seconds=0.5)
    assert run(settings) == "", bucket.server.seen()["failed"]
    assert len(bucket.server.seen()["failed"]) == len(HEALED)
    bucket.server.fail()
    assert differing(tables(settings.lake), bucket.undisturbed) == []


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_sixty_faults_of_a_bucket_lose_nothing(bucket, settings, part):
    *first, last = places(SEED + part, 6)
    kinds = KINDS[part % 6 :] + KINDS[: part % 6]
    once, lasting = [(place, 1, kind) for place, kind in zip(first, kinds[:5], strict=True)], (last, GIVE_UP, kinds[5])
    said = []
    for faults in (once, [lasting]):
        bucket.server.fail(*faults, seconds=1.0)
        said.append(run(settings))
        assert bucket.server.seen()["failed"], faults
    bucket.server.fail()
    assert run(settings) == "", said
    assert verify_lake(settings) == [], said
    assert differing(tables(settings.lake), bucket.undisturbed) == [], said
