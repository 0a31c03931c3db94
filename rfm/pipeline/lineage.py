"""What a run read and wrote, and which column comes from which; sent in the words of OpenLineage to a file or a server."""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rfm.analysis.cleaning import EXPECTATIONS
from rfm.contracts import BRONZE, CLUSTERED, DESCRIBED_CUSTOMERS, GOLD, QUARANTINE, SILVER, TABLES
from rfm.dialect import LANDING_COLUMNS, RAW
from rfm.errors import first_line, redact
from rfm.pipeline.chain import LANDING

if TYPE_CHECKING:  # imported by the functions that need it: a third of a second
    from openlineage.client import event_v2 as ol


class Origin(NamedTuple):
    """Where a column comes from."""

    table: str
    columns: tuple[str, ...]
    kind: str
    how: str


def _same(table: str, *names: str) -> dict[str, Origin]:
    """Return the origins of columns that are copied."""
    return {name: Origin(table, (name,), "IDENTITY", "carried on") for name in names}


def _made(table: str, made: dict[str, tuple[str, str]], kind: str = "TRANSFORMATION") -> dict[str, Origin]:
    """Return the origins of derived columns: name, source columns separated by blanks, how."""
    return {name: Origin(table, tuple(columns.split()), kind, how) for name, (columns, how) in made.items()}


_ARRIVAL = ("ingestion_timestamp", "source_file", "processing_date")
_NAMED = ("Cluster_Description", "Tier", "Cluster_Recommendation")
_KEPT = ("CustomerID", "MaxInvoiceDate", "Recency", "Frequency", "Monetary")

COLUMNS: dict[str, dict[str, Origin]] = {
    BRONZE: {one.bronze: Origin(LANDING, (one.header,), "IDENTITY", "read as text") for one in LANDING_COLUMNS.values()},
    SILVER: _same(BRONZE, *_ARRIVAL)
    | _made(
        BRONZE,
        {one.silver: (one.bronze, "trimmed") for one in LANDING_COLUMNS.values()}
        | {
            "Quantity": ("Quantity", "cast"),
            "UnitPrice": ("Price", "rounded"),
            "CustomerID": ("CustomerID", "trimmed, '.0' removed"),
            "InvoiceDate": ("InvoiceDate", "cast"),
            "IsCancellation": ("Invoice", "matched"),
            "TotalPrice": ("Quantity Price", "multiplied"),
            "Year": ("InvoiceDate", "year"),
            "Month": ("InvoiceDate", "month"),
            "DayOfWeek": ("InvoiceDate", "weekday"),
            "SurrogateKey": ("Invoice StockCode Quantity", "joined"),
        },
    ),
    QUARANTINE: _same(BRONZE, *RAW, "_rescued_data", *_ARRIVAL)
    | _made(BRONZE, {"failed_expectations": ("Invoice StockCode Quantity Price InvoiceDate", "judged")}),
    GOLD: _same(SILVER, "CustomerID")
    | _made(
        SILVER,
        {
            "MaxInvoiceDate": ("InvoiceDate", "latest"),
            "Recency": ("InvoiceDate", "days since the latest"),
            "Frequency": ("InvoiceNo", "distinct"),
            "Monetary": ("TotalPrice", "summed"),
        },
        "AGGREGATION",
    ),
    CLUSTERED: _same(GOLD, *_KEPT) | _made(GOLD, {"Cluster": ("Monetary Frequency Recency", "clustered")}),
    DESCRIBED_CUSTOMERS: _same(CLUSTERED, *_KEPT, "Cluster", "UpdateDate")
    | _made(CLUSTERED, dict.fromkeys(_NAMED, ("Cluster Monetary Frequency Recency", "named by medians"))),
}
"""Output table, output column, where it comes from."""

DROPPED_BY = tuple(dict.fromkeys(rule.column for rule in EXPECTATIONS if rule.severity != "warn"))
FILTERS: dict[str, Origin] = {
    SILVER: Origin(BRONZE, DROPPED_BY, "FILTER", "rules that drop a row"),
    GOLD: Origin(SILVER, ("CustomerID", "StockCode", "IsCancellation", "InvoiceDate"), "FILTER", "sales that count for RFM"),
}
"""Output table, the columns that decide which rows reach it."""

JUDGED = {rule.name: rule.column for rule in EXPECTATIONS if rule.column}


def columns_of(table: str) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of each column of a table, or of a landing file."""
    if table == LANDING:
        return [(one.header, "STRING", "raw text") for one in LANDING_COLUMNS.values()]
    return [(column.name, column.type, column.meaning) for column in TABLES[table].columns]


NAMESPACE = "rfm"
PRODUCER = "urn:rfm"
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, PRODUCER)
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")


class Data(NamedTuple):
    """A table, or the landing folder, as a stage read or wrote it."""

    table: str
    address: str
    version: int | None = None
    rows: int | None = None
    results: tuple[Mapping[str, Any], ...] = ()


class RunEvent(NamedTuple):
    """The start or the end of a stage, or of the whole run."""

    kind: Literal["START", "COMPLETE", "FAIL"]
    time: str
    run_id: str
    job: str
    run_date: str
    parent: tuple[str, str] | None = None
    inputs: tuple[Data, ...] = ()
    outputs: tuple[Data, ...] = ()
    error: str = ""


def run_id(*parts: str) -> str:
    """Return the id of a run: the same parts give the same id."""
    return str(uuid.uuid5(_IDS, " ".join(parts)))


def without_credentials(text: str) -> str:
    """Return an address, or a text with addresses in it, without user and password."""
    return redact(_CREDENTIALS.sub("", text))


def named(address: str) -> tuple[str, str]:
    """Return namespace and name of a dataset, as OpenLineage names files and buckets."""
    scheme, sign, rest = without_credentials(address).partition("://")
    if not sign or scheme == "file":
        return "file", rest or scheme
    place, _, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{place}", path or "/"


# ── the words of OpenLineage ─────────────────────────────────────────
def to_openlineage(event: RunEvent) -> ol.RunEvent:
    """Return the event for the client; a start names its datasets, an end describes them."""
    from openlineage.client import event_v2 as ol
    from openlineage.client.facet_v2 import job_type_job

    ol.set_producer(PRODUCER)
    starts, kind = event.kind == "START", "TASK" if event.parent else "JOB"
    about: dict[str, Any] = {"jobType": job_type_job.JobTypeJobFacet("BATCH", "RFM", kind)}
    inputs = [ol.InputDataset(*named(data.address)) if starts else _input(data) for data in event.inputs]
    outputs = [ol.OutputDataset(*named(data.address)) if starts else _output(data, event.inputs) for data in event.outputs]
    return ol.RunEvent(
        eventType=ol.RunState[event.kind],
        eventTime=event.time,
        producer=PRODUCER,
        run=ol.Run(runId=event.run_id, facets=_run_facets(event)),
        job=ol.Job(namespace=NAMESPACE, name=event.job, facets=about),
        inputs=inputs,
        outputs=outputs,
    )


def _run_facets(event: RunEvent) -> dict[str, Any]:
    """Build the run facets: run date, parent run, error."""
    from openlineage.client.facet_v2 import error_message_run, nominal_time_run, parent_run

    said: dict[str, Any] = {"nominalTime": nominal_time_run.NominalTimeRunFacet(f"{event.run_date}T00:00:00Z")}
    if event.parent:
        run_id, job = event.parent
        said["parent"] = parent_run.ParentRunFacet(parent_run.Run(run_id), parent_run.Job(NAMESPACE, job))
    if event.error:
        said["errorMessage"] = error_message_run.ErrorMessageRunFacet(without_credentials(event.error), "PYTHON")
    return said


def _input(data: Data) -> ol.InputDataset:
    """Return a dataset that was read, with its rows and the results of the expectations."""
    from openlineage.client import event_v2 as ol
    from openlineage.client.facet_v2 import data_quality_assertions_dataset, input_statistics_input_dataset

    said: dict[str, Any] = {}
    if data.rows is not None:
        said["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=data.rows)
    if data.results:
        found = [_assertion(row) for row in data.results]
        said["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(found)
    namespace, name = named(data.address)
    return ol.InputDataset(namespace, name, facets=_dataset_facets(data), inputFacets=said)


def _output(data: Data, inputs: tuple[Data, ...]) -> ol.OutputDataset:
    """Return a dataset that was written, with its rows and the lineage of its columns."""
    from openlineage.client import event_v2 as ol
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    said: dict[str, Any] = {}
    if data.rows is not None:
        said["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=data.rows)
    known = _dataset_facets(data)
    if lineage := _columns(data.table, {each.table: named(each.address) for each in inputs}):
        known["columnLineage"] = lineage
    namespace, name = named(data.address)
    return ol.OutputDataset(namespace, name, facets=known, outputFacets=said)


def _dataset_facets(data: Data) -> dict[str, Any]:
    """Build the dataset facets: columns, address, version."""
    from openlineage.client.facet_v2 import dataset_version_dataset, datasource_dataset, schema_dataset

    columns = [
        schema_dataset.SchemaDatasetFacetFields(name, type=kind, description=meaning)
        for name, kind, meaning in columns_of(data.table)
    ]
    said: dict[str, Any] = {"schema": schema_dataset.SchemaDatasetFacet(columns)}
    namespace, name = named(data.address)
    uri = f"file://{name}" if namespace == "file" else f"{namespace}/{name}"
    said["dataSource"] = datasource_dataset.DatasourceDatasetFacet(name=namespace, uri=uri)
    if data.version is not None:
        said["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(data.version))
    return said


def _columns(table: str, addresses: Mapping[str, tuple[str, str]]) -> Any:
    """Return the column lineage of a table, for the source tables that were read."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    origins = {name: origin for name, origin in COLUMNS.get(table, {}).items() if origin.table in addresses}
    if not origins:
        return None
    made = {name: facet.Fields(_input_fields(origin, "DIRECT", addresses)) for name, origin in origins.items()}
    chosen = FILTERS.get(table)
    return facet.ColumnLineageDatasetFacet(made, dataset=_input_fields(chosen, "INDIRECT", addresses) if chosen else [])


def _input_fields(origin: Origin, way: str, addresses: Mapping[str, tuple[str, str]]) -> list[Any]:
    """Return the columns that a column comes from, each with its transformation."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    done = [facet.Transformation(way, subtype=origin.kind, description=origin.how)]
    return [facet.InputField(*addresses[origin.table], column, transformations=done) for column in origin.columns]


def _assertion(row: Mapping[str, Any]) -> Any:
    """Return the result of an expectation."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset

    return data_quality_assertions_dataset.Assertion(
        row["expectation"],
        success=row["failed"] == 0,
        column=JUDGED.get(row["expectation"]),
        severity="warn" if row["severity"] == "warn" else "error",  # which drops a row or stops the run
        name=row["expectation"],
        expected="0 rows",
        actual=f"{row['failed']} of {row['checked']} rows",
    )


# ── sending ────────────────────────────────────────────────────────────
CONFIGURED = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
PATIENCE = 15.0  # seconds that the end of a run waits for the last event


class EventEmitter:
    """Send the events of one run in order, in a thread that makes them those of the client; stop after the first failure."""

    def __init__(self, target: str) -> None:
        self.target, self.trouble = target, ""
        self._queue: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="lineage", daemon=True)
        self._off = os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true"

    def send(self, event: RunEvent) -> None:
        """Queue an event; return at once."""
        if self._off:
            return
        self._queue.put(event)
        if self._thread.ident is None:
            self._thread.start()

    def close(self, patience: float = PATIENCE) -> list[str]:
        """Wait for the last event; return what went wrong."""
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(patience)
        if self._thread.is_alive():
            self.trouble = self.trouble or f"no answer within {patience:g} seconds"
        return self.said()

    def said(self) -> list[str]:
        """Return what went wrong so far as one line, or no line."""
        return [f"lineage: events are not sent: {self.trouble}"] if self.trouble else []

    def _work(self) -> None:
        """Send events until the end; keep the first error as text."""
        client = None
        while event := self._queue.get():
            try:
                if not self.trouble:
                    client = client or open_client(self.target)
                    client.emit(to_openlineage(event))
            except Exception as error:  # noqa: BLE001 (a run never fails because of its lineage)
                self.trouble = without_credentials(f"{type(error).__name__}: {first_line(error)}")
        if client and not self.trouble:
            client.close(PATIENCE)


def open_client(target: str) -> Any:
    """Return OpenLineage's client, configured by the environment, or else writing to files."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport

    if "OPENLINEAGE_CLIENT_LOGGING" not in os.environ:
        logging.getLogger("openlineage").setLevel(logging.CRITICAL)  # a failure becomes a warning of the run
    files = (Path.cwd() / "openlineage.yml", Path.home() / ".openlineage" / "openlineage.yml")
    if any(name.startswith(CONFIGURED) and value for name, value in os.environ.items()) or any(map(Path.is_file, files)):
        return OpenLineageClient()
    remote = "://" in target
    if not remote:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    return OpenLineageClient(transport=FileTransport(FileConfig(target, append=not remote)))
