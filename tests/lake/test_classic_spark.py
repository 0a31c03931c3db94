"""The core on classic Spark with two workers: what Polars gives, also when one of them is killed at work."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
from pathlib import Path

import polars as pl
import pytest

from benchmarks import spark as bench
from benchmarks.cases import Inputs
from rfm.analysis.cleaning import clean
from rfm.analysis.metrics import rfm_metrics
from rfm.datasets.sample import make_sample
from rfm.landing.files import list_files
from rfm.landing.reader import read_files
from tests.conftest import ROOT

pytestmark = [pytest.mark.classic, pytest.mark.real]
AS_OF = dt.date(2025, 8, 24)  # sixty trading days


@pytest.fixture(scope="module")
def python() -> str:
    """Return the interpreter of an environment with the whole pyspark; skip, or fail where it is required, without one."""
    python = os.environ.get("RFM_CLASSIC_SPARK", "")
    if not python:
        stop = pytest.fail if "classic" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop("set RFM_CLASSIC_SPARK to the python of an environment with pyspark; .ci/run makes one")
    return python


@pytest.fixture(scope="module")
def bronze(real_files: Path) -> pl.DataFrame:
    files = [file.source_file for file in list_files(str(real_files), until=AS_OF)]
    tables = [rows for _, rows in read_files(str(real_files), files, AS_OF)]
    return pl.concat([pl.DataFrame(table) for table in tables])


@pytest.mark.long
def test_the_bench_finds_the_same(python: str, tmp_path: Path) -> None:
    make_sample(str(tmp_path / "landing"), days=5, customers=50, lines=400, end=AS_OF)
    inputs = Inputs(tmp_path, 0)
    bench.silver(inputs)
    polars, classic = (
        outcome(work()) for work, outcome in (make(inputs, tmp_path) for make in (bench.on_polars, bench.on_classic))
    )
    assert (classic.same, classic.units) == (polars.same, polars.units)
    assert classic.peak > 100  # of the JVM


@pytest.mark.parametrize("kill", [False, True], ids=["both", "one_killed"])
def test_tables_are_those_of_polars(python: str, bronze: pl.DataFrame, tmp_path: Path, kill: bool) -> None:
    bronze.write_parquet(tmp_path / "bronze.parquet")
    command = [python, str(ROOT / "tests" / "classic_spark.py"), str(tmp_path), str(AS_OF), *(["--kill"] if kill else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["alive"] == (1 if kill else 2)
    silver, quarantine = clean(bronze.lazy())
    wanted = {"silver": silver, "quarantine": quarantine, "gold": rfm_metrics(silver, AS_OF)}
    for name, frame in wanted.items():
        found, rows = pl.read_parquet(tmp_path / name / "*.parquet"), frame.collect()
        columns = rows.columns
        assert found.select(columns).cast(rows.schema).sort(columns).equals(rows.sort(columns)), name
        assert {column: found.schema[column] for column in columns if rows.schema[column] != found.schema[column]} == {}
