"""Lineage: events of the official client's own classes, to a file or a server; a run never fails with them."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import rfm
from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.errors import StageError
from rfm.pipeline import backfill, daily, lineage, run_record
from rfm.pipeline.chain import STAGES
from rfm.pipeline.daily import lineage_file, monitored
from rfm.pipeline.lineage import COLUMNS, FILTERS, JUDGED, LANDING, columns_of, named
from rfm.pipeline.notebooks import NotebookResult
from rfm.settings import Settings
from tests.loopback import listening

DAY = dt.date(2025, 10, 23)
RUN = lineage.run_id("2025-10-23", "2025-10-24T05:00:00+00:00")
START = lineage.RunEvent("START", "2025-10-24T05:00:00+00:00", RUN, "daily", "2025-10-23")
STEPS: dict[str, Callable[..., Any]] = {
    "1_bronze": backfill.to_bronze,
    "2_silver": backfill.to_silver,
    "3_gold": backfill.to_gold,
    "4_clusters": backfill.to_clusters,
    "5_segments": backfill.to_segments,
    "6_states": backfill.to_states,
    "7_report": lambda *_: None,
}
SILVER = "retail_transactions_silver"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what the environment and the home folder say about lineage out of the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE_DISABLED"):
        monkeypatch.delenv(name, raising=False)


class NoWorker:
    """What stands in the place of the worker where no page is built."""

    def tell(self, method: str, *given: Any) -> None:
        pass


class NoKernels:
    """What stands in the place of kernels where none is needed."""

    def kernel(self, last: bool = False) -> contextlib.AbstractContextManager[dict[str, Any]]:
        return contextlib.nullcontext({})


def run_stages(settings: Settings, fails: str = "") -> dict[str, Any]:
    """Run the stages of a day under watch, each by the calls of its notebook, without notebooks; one may fail."""

    def execute(notebook: Path, *_: Any) -> NotebookResult:
        if notebook.stem == fails:
            return NotebookResult("ValueError: on fire")
        STEPS[notebook.stem](settings, rfm.Lake(settings.lake), DAY)
        return NotebookResult(None)

    noted = run_record.new_record(settings, DAY, {})
    with pytest.MonkeyPatch.context() as patch, monitored(settings, noted) as watch:
        patch.setattr(daily, "execute", execute)
        given = {stage.name: {} for stage in STAGES}
        work = Path(settings.reports)
        daily._run_stages(watch, given, work, NoWorker(), NoKernels(), lambda stage: None, lambda stage: None, lambda days: None)
    return noted.to_json()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return the settings of a small shop, nothing run yet."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=8, lines=2500, customers=200)
    (root / "work").mkdir()
    places = {name: str(root / name) for name in ("landing", "lake", "reports", "notebooks")}
    (root / "reports").mkdir()
    return rfm.load_settings(date=DAY, **places)


@pytest.fixture(scope="module")
def noted(shop: Settings) -> dict[str, Any]:
    """Return the record of one good run."""
    return run_stages(shop)


def events_of(settings: Settings, noted: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events that a run left beside its tables."""
    return [
        json.loads(line) for line in Path(lineage_file(settings, noted["run_date"], noted["run_id"])).read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def events(shop: Settings, noted: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of the good run."""
    return events_of(shop, noted)


def complete(events: list[dict[str, Any]], stage: str) -> dict[str, Any]:
    """Return the last event of a stage."""
    return next(event for event in reversed(events) if event["job"]["name"] == f"daily.{stage}")


# ── a good run ─────────────────────────────────────────────────────────────────────────────────────
def test_every_stage_and_the_run_start_and_complete_in_order(events, noted):
    stages = [(f"daily.{stage.name}", kind) for stage in STAGES for kind in ("START", "COMPLETE")]
    assert [(event["job"]["name"], event["eventType"]) for event in events] == [
        ("daily", "START"),
        *stages,
        ("daily", "COMPLETE"),
    ]
    assert {event["job"]["namespace"] for event in events} == {"rfm"}
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)
    assert noted["warnings"] == []
    assert noted["status"] == "done"


def test_stages_name_the_run_as_their_parent(events, noted):
    assert {event["run"]["runId"] for event in (events[0], events[-1])} == {noted["run_id"]}
    for event in events[1:-1]:
        parent = event["run"]["facets"]["parent"]
        assert (parent["run"]["runId"], parent["job"]["name"]) == (noted["run_id"], "daily")
        assert event["run"]["runId"] == lineage.run_id(noted["run_id"], event["job"]["name"].removeprefix("daily."))


def test_datasets_tell_columns_version_and_rows(events, shop, noted):
    gold = complete(events, "3_gold")["outputs"][0]
    state = rfm.Lake(shop.lake).state(["customer_rfm_gold"])["customer_rfm_gold"]
    assert (gold["namespace"], gold["name"]) == ("file", f"{shop.lake}/customer_rfm_gold")
    assert [field["name"] for field in gold["facets"]["schema"]["fields"]] == TABLES["customer_rfm_gold"].names
    assert gold["facets"]["version"]["datasetVersion"] == str(state.version)
    assert gold["outputFacets"]["outputStatistics"]["rowCount"] == state.rows > 0


def test_each_line_is_counted_from_landing_to_silver(events):
    bronze, silver = complete(events, "1_bronze"), complete(events, "2_silver")
    landing = next(one for one in bronze["inputs"] if one["name"].endswith("/landing"))
    written = {
        Path(one["name"]).name: one["outputFacets"]["outputStatistics"]["rowCount"]
        for one in bronze["outputs"] + silver["outputs"]
    }
    read = landing["inputFacets"]["inputStatistics"]["rowCount"]
    assert read == written["retail_transactions_bronze"] == written[SILVER] + written["retail_transactions_quarantine"] > 0


def test_second_run_reads_no_new_line(shop, noted):
    again = run_stages(shop)
    assert [stage["rows_read"] for stage in again["stages"][:2]] == [0, 0]
    assert again["run_id"] != noted["run_id"]
    assert len(events_of(shop, again)) == 2 * (len(STAGES) + 1)


def test_expectations_are_assertions_on_lines_read_by_silver(events, shop):
    bronze = next(one for one in complete(events, "2_silver")["inputs"] if one["name"].endswith("_bronze"))
    told = {one["name"]: one for one in bronze["inputFacets"]["dataQualityAssertions"]["assertions"]}
    results = rfm.Lake(shop.lake).read("expectation_results", processing_date=DAY).collect().to_dicts()
    assert {name: one["success"] for name, one in told.items()} == {row["expectation"]: row["failed"] == 0 for row in results}
    assert told["valid_quantity"]["column"] == "Quantity"
    assert (told["valid_quantity"]["severity"], told["known_country"]["severity"]) == ("error", "warn")


# ── column lineage ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("table", ["retail_transactions_silver", "customer_rfm_gold", "retail_transactions_quarantine"])
def test_every_column_has_an_origin(table):
    assert list(COLUMNS[table]) != []
    assert set(COLUMNS[table]) == set(TABLES[table].names)


@pytest.mark.parametrize("table", COLUMNS)
def test_origins_are_columns_that_exist(table):
    assert set(COLUMNS[table]) <= set(TABLES[table].names)
    for origin in [*COLUMNS[table].values(), *([FILTERS[table]] if table in FILTERS else [])]:
        assert set(origin.columns) <= {name for name, _, _ in columns_of(origin.table)}
        assert origin.kind in {"IDENTITY", "TRANSFORMATION", "AGGREGATION", "FILTER"}


def test_judged_columns_are_those_of_bronze_and_rules_that_exist():
    assert set(JUDGED.values()) <= set(TABLES["retail_transactions_bronze"].names)
    assert set(JUDGED) <= set(rfm.SEVERITIES)


@pytest.mark.parametrize(("stage", "table"), [("2_silver", SILVER), ("3_gold", "customer_rfm_gold")])
def test_events_carry_the_lineage_of_every_typed_column(events, stage, table):
    output = next(one for one in complete(events, stage)["outputs"] if one["name"].endswith(f"/{table}"))
    told = output["facets"]["columnLineage"]["fields"]
    assert set(told) == set(TABLES[table].names)
    inputs = {(one["namespace"], one["name"]) for one in complete(events, stage)["inputs"]}
    for name, field in told.items():
        assert {(one["namespace"], one["name"]) for one in field["inputFields"]} <= inputs, name
        assert all(one["transformations"][0]["description"] for one in field["inputFields"]), name
    assert [one["field"] for one in told.get("TotalPrice", told.get("Monetary"))["inputFields"]] == (
        ["Quantity", "Price"] if table == SILVER else ["TotalPrice"]
    )


# ── a run that fails ───────────────────────────────────────────────────────────────────────────────
def test_failed_stage_and_run_tell_why(shop):
    with pytest.raises(StageError) as raised:
        run_stages(shop, fails="3_gold")
    newest = max((Path(shop.lake) / "_lineage" / "2025-10-23").iterdir(), key=lambda path: path.stat().st_mtime)
    *_, stage, run = [json.loads(line) for line in newest.read_text().splitlines()]
    assert [(event["job"]["name"], event["eventType"]) for event in (stage, run)] == [("daily.3_gold", "FAIL"), ("daily", "FAIL")]
    assert stage["run"]["facets"]["errorMessage"]["message"] == "ValueError: on fire"
    assert run["run"]["facets"]["errorMessage"]["message"] == str(raised.value)


# ── where events go ────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the address of a server on loopback, and what it has got."""
    got: list[dict[str, Any]] = []

    def keep(request: BaseHTTPRequestHandler, event: Any) -> int:
        got.append({"path": request.path, "key": request.headers.get("Authorization"), "event": event})
        return 201

    with listening(keep) as address:
        yield address, got


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Forget afterwards what the client writes into the environment."""
    import os

    before = dict(os.environ)
    yield monkeypatch
    for name in set(os.environ) - set(before):
        del os.environ[name]


def test_a_server_gets_the_events_with_the_key(server, clean_environment, tmp_path):
    url, got = server
    clean_environment.setenv("OPENLINEAGE_URL", url)
    clean_environment.setenv("OPENLINEAGE_API_KEY", "planted")
    sender = lineage.EventEmitter(str(tmp_path / "events.ndjson"))
    sender.send(START)
    assert sender.close() == []
    assert [(one["path"], one["key"], one["event"]["eventType"]) for one in got] == [
        ("/api/v1/lineage", "Bearer planted", "START")
    ]
    assert "planted" not in json.dumps(got[0]["event"])
    assert not (tmp_path / "events.ndjson").exists()


def test_the_transport_of_the_environment_wins(clean_environment, tmp_path):
    clean_environment.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    clean_environment.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "theirs"))
    clean_environment.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    sender = lineage.EventEmitter(str(tmp_path / "ours.ndjson"))
    sender.send(START)
    assert sender.close() == []
    assert (tmp_path / "theirs").is_file()
    assert not (tmp_path / "ours.ndjson").exists()


def test_a_url_gets_a_file_an_event():
    import fsspec

    sender = lineage.EventEmitter("memory://lake/_lineage/2025-10-23/run")
    sender.send(START)
    sender.send(START._replace(kind="COMPLETE"))
    assert sender.close() == []
    store = fsspec.filesystem("memory")
    kinds = [json.loads(store.cat_file(name))["eventType"] for name in sorted(store.find("/lake/_lineage/2025-10-23"))]
    assert kinds == ["START", "COMPLETE"]


def test_nothing_is_sent_where_it_is_switched_off(clean_environment, tmp_path):
    clean_environment.setenv("OPENLINEAGE_DISABLED", "true")
    sender = lineage.EventEmitter(str(tmp_path / "events.ndjson"))
    sender.send(START)
    assert sender.close() == []
    assert list(tmp_path.iterdir()) == []


def test_a_failing_transport_is_one_warning_and_no_failure(clean_environment, shop, tmp_path):
    clean_environment.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    clean_environment.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(tmp_path / "no" / "such" / "folder"))
    clean_environment.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    record = run_stages(shop)
    assert record["status"] == "done"
    assert len(record["warnings"]) == 1
    assert record["warnings"][0].startswith("lineage: events are not sent: RuntimeError: Failed to write to log file")


def test_a_server_that_does_not_answer_keeps_nobody_waiting(clean_environment, tmp_path, monkeypatch):

    release = threading.Event()
    monkeypatch.setattr(lineage, "to_openlineage", lambda event: release.wait(600))
    sender = lineage.EventEmitter(str(tmp_path / "events.ndjson"))
    sender.send(START)
    assert sender.close(patience=0.05) == ["lineage: events are not sent: no answer within 0.05 seconds"]
    release.set()


def test_many_addresses_are_shown_without_credentials():
    assert lineage.without_credentials("no such https://key:secret@host/path") == "no such https://host/path"
    assert named("s3://key:secret@shop/lake?token=secret") == ("s3://shop", "lake")
    assert named("/data/lake") == ("file", "/data/lake")


def test_addresses_of_events_carry_no_credentials():
    from openlineage.client.serde import Serde

    from rfm.pipeline.lineage import to_openlineage as event

    data = lineage.Data("customer_rfm_gold", "s3://key:secret@shop/lake/customer_rfm_gold", 3, 7)
    said = Serde.to_json(event(START._replace(kind="FAIL", outputs=(data,), error="s3://key:secret@shop/lake is gone")))
    assert "secret" not in said
    assert re.search(r'"message": "s3://shop/lake is gone"', said)


def test_same_run_same_id():
    assert RUN == lineage.run_id("2025-10-23", "2025-10-24T05:00:00+00:00") != lineage.run_id("2025-10-23", "other")
    assert LANDING not in TABLES
