"""Shared fixtures: a few rows that can be added up by hand, the engines, the real daily files."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from rfm import settings
from rfm.contracts import TABLES
from rfm.pipeline.notebooks import skip_slow_import

skip_slow_import()  # before any test file imports nbformat: three seconds a worker
NO_PAST = {"RFM_HISTORY__FIRST": "[]"}  # three more days in each first run; tests that need them say so
os.environ |= NO_PAST

ROOT = Path(__file__).parents[1]
FOREIGN = "lifetimes==0.11.3"  # MIT; its code is never imported
LONGEST = (
    "test_spark.py",
    "test_s3.py",
    "test_daily.py",
    "test_kills.py",
)  # come first, or a worker is left with one when the others are done

NEEDS = {"real_files": "real", "foreign_files": "foreign", "disk": "mount", "place": "whole"}  # fixture: mark

for name, examples in {"ci": 25, "long": 1000}.items():
    hypothesis_settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,
        derandomize=name == "ci",
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
hypothesis_settings.load_profile(os.environ.get("RFM_HYPOTHESIS", "ci"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest test files first; mark what needs data or a disk that not every machine has."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        for mark in {mark for fixture, mark in NEEDS.items() if fixture in getattr(item, "fixturenames", ())}:
            item.add_marker(mark)


@pytest.fixture(autouse=True, scope="session")
def without_the_shops_file() -> Iterator[None]:
    """Hide an rfm.toml in the clone from all tests."""
    found = settings.shop_file

    def shop_file() -> Path | None:
        return file if (file := found()) and file.parent != ROOT else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "shop_file", shop_file)
        yield


@pytest.fixture
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a terminal width of 200 columns, here and in processes that a test starts."""
    from rfm.cli import options

    monkeypatch.setenv("COLUMNS", "200")
    for each in (options.screen, options.errors, options.notes):
        monkeypatch.setattr(each, "_width", 200)  # set when the console is made, where COLUMNS is set then


# ── engines: every one makes a frame of rows, and gives any of its frames back as a Polars frame ───
class Engine(NamedTuple):
    frame: Callable[..., Any]
    collect: Callable[[Any], pl.DataFrame]
    load: Callable[[pl.DataFrame], Any]


def _columns(rows: list[dict], table: str) -> list[str]:
    return list(rows[0]) if rows else TABLES[table].names


def _pandas_frame(rows: list[dict], table: str = "retail_transactions_bronze") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=_columns(rows, table))


def _polars_frame(rows: list[dict], table: str = "retail_transactions_bronze") -> pl.LazyFrame:
    types = TABLES[table].polars
    return pl.LazyFrame(rows, schema={name: types.get(name) for name in _columns(rows, table)}, orient="row")


def _from_pandas(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(pa.Table.from_pandas(frame, preserve_index=False)))


ENGINES = {
    "pandas": Engine(_pandas_frame, _from_pandas, lambda rows: rows.to_pandas(use_pyarrow_extension_array=True)),
    "polars": Engine(_polars_frame, lambda frame: frame.collect(), pl.DataFrame.lazy),
}


# ── engines that answer queries: each test of them costs something, so rows come to them in batches ─────
def _arrow(rows: pl.DataFrame) -> pa.Table:
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def _to_duckdb(rows: pl.DataFrame) -> Any:
    duckdb = import_module("duckdb")  # its default connection, the one that narwhals unpivots on
    duckdb.execute("SET TimeZone = 'UTC'")
    return duckdb.from_arrow(_arrow(rows))


@cache
def sail_address(mode: str) -> str:
    """Start a Spark Connect server on loopback, once for all tests; skip, or fail where Spark is required, without it.

    All who use the address share a session, and with it the catalog that Sail keeps in memory.
    """
    try:
        from pysail.spark import SparkConnectServer
    except ImportError:
        stop = pytest.fail if "spark" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop("pysail is missing; `make setup` installs it")
    os.environ.setdefault("RUST_LOG", "error")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAIL_MODE", mode)
        server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _SERVERS.append(server)  # it ends with its object
    return f"sc://127.0.0.1:{server.listening_address[1]}/;session_id={uuid4()}"


_SERVERS: list[Any] = []


@cache
def spark_session() -> Any:
    from rfm.lake.spark import session

    return session(sail_address("local"))


def _to_spark(rows: pl.DataFrame) -> Any:
    from rfm.lake.spark import frame

    return frame(spark_session(), _arrow(rows))


QUERY_ENGINES = {
    "duckdb": Engine(
        lambda *rows: _to_duckdb(_polars_frame(*rows).collect()),
        lambda frame: pl.DataFrame(pl.from_arrow(frame.to_arrow_table())),
        _to_duckdb,
    ),
    "spark": Engine(
        lambda *rows: _to_spark(_polars_frame(*rows).collect()),
        lambda frame: pl.DataFrame(pl.from_arrow(frame.toArrow())),
        _to_spark,
    ),
}


@pytest.fixture(scope="session")
def engines() -> dict[str, Engine]:
    """Return all engines by name, for tests that compare them."""
    return ENGINES


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    """Run a test once per engine."""
    return ENGINES[request.param]


# ── lines to add up by hand ────────────────────────────────────────────────────────────────────────
_LINES = """
Invoice  StockCode Description Quantity Price  CustomerID Country     InvoiceDate
489434   85048     BALL        12       6.95   13085.0    EIRE        2025-06-26
489434   21232     BOX         10       1.25   13085.0    EIRE        2025-06-26
489500   PADS      PADS        1        0.001  13085.0    EIRE        2025-06-28
489501   22041A    FRAME       2        2.10   12346.0    Germany     2025-06-27
489501   POST      POSTAGE     1        18.00  12346.0    Germany     2025-06-27
489502   85048     BALL        3        1.00   -          Unspecified 2025-06-27
C489503  85048     BALL        -12      6.95   13085.0    EIRE        2025-06-28
C496350  22041A    FRAME       1        5.00   12346.0    Germany     2025-06-29
"""
ARRIVAL = {
    "_rescued_data": None,
    "ingestion_timestamp": dt.datetime(2025, 6, 30, 5, 0, tzinfo=dt.UTC),
    "source_file": "2025-06-30_transactions.csv",
    "processing_date": dt.date(2025, 6, 30),
}


def eight_lines() -> list[dict[str, Any]]:
    """Return eight lines of bronze.

    Seven reach silver, the cancellation with a negative quantity does not. Of the seven, four count as of
    2025-06-30: postage, the guest and the cancellation with a positive quantity do not. So customer 13085 has
    12 · 6.95 + 10 · 1.25 + 0.00 = 95.90 on two invoices, the last 2 days ago; 12346 has 4.20 on one, 3 days ago.
    """
    header, *lines = (line.split() for line in _LINES.strip().splitlines())
    texts = ([None if text == "-" else text for text in line] for line in lines)
    return [dict(zip(header, line, strict=True)) | ARRIVAL for line in texts]


@pytest.fixture
def bronze_lines() -> list[dict[str, Any]]:
    """Return the eight lines."""
    return eight_lines()


# ── the real daily files, and what an independent calculation got from them ────────────────────────
def unpack(packed: Path, folder: Path) -> None:
    """Unpack an archive of our own; Python knows filters since 3.11.4, and warns without one since 3.12."""
    with tarfile.open(packed) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)


def _real_data() -> Path:
    return Path(os.environ.get("RFM_REAL_DATA") or ROOT.parent / "shared" / "data" / "daily_sales.tar.xz")


@pytest.fixture(scope="session")
def real_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the real daily files; if they are missing, skip, or fail if they are required."""
    place = _real_data()
    if not place.exists():
        stop = pytest.fail if "real" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop("the real daily files are missing; set RFM_REAL_DATA to their archive or folder")
    if place.is_dir():
        return place
    folder = tmp_path_factory.mktemp("real")
    unpack(place, folder)
    return next(folder.rglob("*_transactions.csv")).parent


# ── other people's data: what the package lifetimes ships, unpacked, not installed ──────────────────
@pytest.fixture(scope="session")
def foreign_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the data sets of lifetimes; if they are missing, skip, or fail if they are required."""
    folder = tmp_path_factory.mktemp("foreign")
    wanted = ["--no-deps", "--only-binary", ":all:", "--quiet", "--retries", "0", "--timeout", "10", "--dest", str(folder)]
    done = subprocess.run([sys.executable, "-m", "pip", "download", *wanted, FOREIGN], capture_output=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        stop = pytest.fail if "foreign" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop(f"{FOREIGN} cannot be had; pip must reach an index")
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extractall(folder)
    return folder / "lifetimes" / "datasets"


@pytest.fixture(scope="session")
def expected() -> Callable[[dt.date], dict[str, Any]]:
    """Return a function that returns the results of the independent calculation as of a date."""
    folder = _real_data().parents[1] / "expected"
    return lambda date: json.loads((folder / f"{date}.json").read_text())
