"""Strangers' bytes: whatever stands in a file, a name or the environment, the answer is a result or an error in words.

About 100 examples in all; RFM_HYPOTHESIS=long makes 2,000.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rfm
from rfm.datasets.sample import make_sample
from rfm.errors import RfmError
from rfm.lake import Lake
from rfm.landing.files import list_files
from rfm.landing.reader import read_files
from rfm.pipeline import backfill, models
from rfm.pipeline.release import release_or_export
from rfm.report import site
from rfm.report.publish import published_record
from rfm.settings import load_settings
from tests.shop import run

DAY = dt.date(2025, 10, 23)
SHARE = 12 if settings.default.max_examples < 100 else 220  # examples of each of nine kinds
few = settings(max_examples=SHARE)
JUNK = st.binary(max_size=60) | st.sampled_from(
    [
        b"",
        b"\0",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b"1e999",
        b'"' * 3,
        b"\n\n",
        b"=",
        b"NaN",
        b"[" * 5000,
        b"-1",
        b"9" * 400,
        b"\xed\xa0\x80",
    ]
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a shop after a run."""
    root = tmp_path_factory.mktemp("bytes")
    make_sample(str(root / "landing"), days=2, customers=40, lines=300, end=DAY)
    run(of(root), DAY)
    return root


def of(root: Path) -> rfm.settings.Settings:
    """Return the settings of a shop in a folder."""
    return load_settings(**{name: str(root / name) for name in ("landing", "lake", "reports")})


def mutated(good: bytes, places: list[tuple[float, bytes]]) -> bytes:
    """Return bytes with some of them replaced."""
    for place, junk in places:
        at = int(place * len(good))
        good = good[:at] + junk + good[at + len(junk) // 2 :]
    return good


CHANGES = st.lists(st.tuples(st.floats(0, 1), JUNK), min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def in_words(work: Callable[[], object]) -> None:
    """Do something that may fail in words only."""
    said = "done"
    with suppress(RfmError):
        try:
            work()
        except RfmError as error:
            said = str(error)
            raise
    assert said
    assert "\n" not in said


@few
@given(CHANGES | JUNK)
def test_any_rfm_toml(tmp_path_factory, changes):
    example = (Path(__file__).parents[1] / "rfm.example.toml").read_bytes()
    uncommented = b"\n".join(line.removeprefix(b"# ") if b" = " in line else line for line in example.splitlines())
    folder = tmp_path_factory.mktemp("toml")
    (folder / "rfm.toml").write_bytes(changes if isinstance(changes, bytes) else mutated(uncommented, changes))
    with mock.patch("pathlib.Path.cwd", return_value=folder):
        in_words(load_settings)


NAMES = [f"RFM_{name.upper()}" for name in ("date", "engine", "remote", "landing", "lake", "reports", "clusters", "currencies")]
NAMES += ["RFM_CLUSTERS__SEED", "RFM_QUALITY__DAYS", "RFM_FILES__ENCODING", "RFM_RULES__STOCK_CODE_PATTERN", "RFM_FORMAT__DATE"]
NAMES += ["RFM_ON_FAILURE__WEBHOOK", "RFM_ON_FAILURE__COMMAND", "RFM_FILES__SETTLE_SECONDS", "RFM_COLUMNS__PRICE", "RFM_X__Y"]


@few
@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20).filter(lambda text: "\0" not in text) | st.just("1" * 400)))
def test_any_environment(environment):
    usable = {name: text for name, text in environment.items() if not any("\ud800" <= one <= "\udfff" for one in text)}
    with mock.patch.dict(os.environ, usable):
        in_words(load_settings)


@few
@given(
    CHANGES,
    st.sampled_from([".csv", ".csv.gz", ".jsonl", ".xlsx", ".zip", ".parquet"]),
    st.sampled_from(["auto", "utf-16", "cp1252"]),
)
def test_any_landing_file(shop, tmp_path_factory, changes, suffix, encoding):
    good = next((shop / "landing").glob("*.csv")).read_bytes()[:3000]
    folder = tmp_path_factory.mktemp("files")
    (folder / f"a{suffix}").write_bytes(mutated(good if suffix == ".csv" else PACKED[suffix](good), changes))
    reading = read_files(str(folder), [f"a{suffix}"], DAY, encoding=encoding)
    rows = [rows.num_rows for _, rows in reading]
    assert len(rows) + len(reading.refused) == 1


def _zip(good: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", good)
    return content.getvalue()


def _table(good: bytes, method: str) -> bytes:
    import polars as pl

    content = io.BytesIO()
    getattr(pl.read_csv(good.rpartition(b"\n")[0], infer_schema=False), method)(content)
    return content.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".csv.gz": __import__("gzip").compress,
    ".zip": _zip,
    **{
        f".{form}": lambda good, way=way: _table(good, way)
        for form, way in {"jsonl": "write_ndjson", "xlsx": "write_excel", "parquet": "write_parquet"}.items()
    },
}


@few
@given(st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & {*name} and name not in (b".", b"..")))
def test_any_name_of_a_file(shop, tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(b"x\n")
    (folder / "good.csv").write_bytes(next((shop / "landing").glob("*.csv")).read_bytes())
    found = list_files(str(folder), "*")
    reading = read_files(str(folder), found, DAY)
    assert sum(files.num_rows for files, _ in reading) == 1
    assert len(reading.refused) + sum(map(len, found.left.values())) == 1
    assert str(reading.refused).encode()


@few
@given(st.data())
def test_any_run_record(shop, data):
    place = shop / "reports" / str(DAY) / "run.json"
    good = place.read_text("utf-8")
    try:
        record = json.loads(good)
        at = record
        for _ in range(data.draw(st.integers(0, 3))):
            if isinstance(at, dict) and at and isinstance(at[key := data.draw(st.sampled_from(sorted(at)))], dict | list):
                at = at[key]
        if isinstance(at, dict) and at:
            at[data.draw(st.sampled_from(sorted(at)))] = data.draw(VALUES)
        text = json.dumps(record).encode() if data.draw(st.booleans()) else mutated(good.encode(), data.draw(CHANGES))
        place.write_bytes(text)
        in_words(lambda: published_record(str(shop / "reports"), DAY))
        if SHARE > 100 and data.draw(st.integers(0, 9)) == 0:  # seconds each
            in_words(lambda: site.rebuild(of(shop), DAY))
        in_words(lambda: backfill._versions("", published_record(str(shop / "reports"), DAY)))
    finally:
        place.write_text(good, "utf-8")


@few
@given(st.data())
def test_any_list_of_runs(shop, data):
    place = shop / "reports" / "runs.json"
    good = place.read_text("utf-8")
    try:
        runs = json.loads(good)
        part = runs[data.draw(st.sampled_from(["newest", "runs"]))]
        part = part[0] if isinstance(part, list) else part
        part[data.draw(st.sampled_from(sorted(part)))] = data.draw(VALUES)
        place.write_bytes(json.dumps(runs).encode() if data.draw(st.booleans()) else mutated(good.encode(), data.draw(CHANGES)))

        def shown() -> None:
            from rfm.cli.status import overview, render_overview

            render_overview(overview(of(shop)), "lake", "reports")
            site.index_page(site.read_runs(*site.open_site(str(shop / "reports"))))

        in_words(shown)
    finally:
        place.write_text(good, "utf-8")


CUSTOMERS = b"CustomerID,Monetary,Frequency,Recency\n13085,10.5,2,3\n13086,7,1,9\n"


@few
@given(CHANGES)
def test_any_saved_model(shop, tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("score")
    (folder / "customers.csv").write_bytes(CUSTOMERS)
    (place,) = (shop / "lake").rglob(f"{DAY}/model.json")
    good = place.read_bytes()
    try:
        place.write_bytes(mutated(good, changes))
        in_words(lambda: models.score_customers(of(shop), str(folder / "customers.csv"), DAY))
    finally:
        place.write_bytes(good)


@few
@given(CHANGES)
def test_any_file_to_score(shop, tmp_path_factory, changes):
    file = tmp_path_factory.mktemp("score") / "customers.csv"
    file.write_bytes(mutated(CUSTOMERS, changes))
    in_words(lambda: models.score_customers(of(shop), str(file), DAY))


@few
@given(CHANGES)
def test_any_file_of_corrected_rows(shop, tmp_path_factory, changes):
    file = tmp_path_factory.mktemp("release") / "rows.csv"
    release_or_export(of(shop), None, str(file))
    file.write_bytes(mutated(file.read_bytes(), changes))
    in_words(lambda: release_or_export(of(shop), str(file), None))
    assert Lake(str(shop / "lake")).state()
