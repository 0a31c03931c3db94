"""Send the events of a run in the words of OpenLineage, to a file in the lake or to an OpenLineage server."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client import event_v2 as ol
from openlineage.client import facet_v2 as facets

from rfm.errors import first_line
from rfm.pipeline.lineage import (
    COLUMNS,
    FILTERS,
    JUDGED,
    NAMESPACE,
    Data,
    Origin,
    RunEvent,
    column_lineage,
    named,
    without_credentials,
)

PRODUCER = "urn:rfm"


def to_openlineage(event: RunEvent) -> ol.RunEvent:
    """Return the event for the client; a start names its datasets, an end describes them."""
    ol.set_producer(PRODUCER)
    starts, kind = event.kind == "START", "TASK" if event.parent else "JOB"
    about: dict[str, Any] = {"jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "RFM", kind)}
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
    said: dict[str, Any] = {"nominalTime": facets.nominal_time_run.NominalTimeRunFacet(f"{event.run_date}T00:00:00Z")}
    if event.parent:
        run_id, job = event.parent
        parent = facets.parent_run
        said["parent"] = parent.ParentRunFacet(parent.Run(run_id), parent.Job(NAMESPACE, job))
    if event.error:
        said["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(without_credentials(event.error), "PYTHON")
    return said


def _input(data: Data) -> ol.InputDataset:
    """Return a dataset that was read, with its rows and the results of the expectations."""
    said: dict[str, Any] = {}
    if data.rows is not None:
        said["inputStatistics"] = facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=data.rows)
    if data.results:
        quality = facets.data_quality_assertions_dataset
        said["dataQualityAssertions"] = quality.DataQualityAssertionsDatasetFacet([_assertion(row) for row in data.results])
    namespace, name = named(data.address)
    return ol.InputDataset(namespace, name, facets=_dataset_facets(data), inputFacets=said)


def _output(data: Data, inputs: tuple[Data, ...]) -> ol.OutputDataset:
    """Return a dataset that was written, with its rows and the lineage of its columns."""
    said: dict[str, Any] = {}
    if data.rows is not None:
        said["outputStatistics"] = facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=data.rows)
    known = _dataset_facets(data)
    if lineage := _columns(data.table, {each.table: named(each.address) for each in inputs}):
        known["columnLineage"] = lineage
    namespace, name = named(data.address)
    return ol.OutputDataset(namespace, name, facets=known, outputFacets=said)


def _dataset_facets(data: Data) -> dict[str, Any]:
    """Build the dataset facets: columns, address, version."""
    schema = facets.schema_dataset
    columns = [
        schema.SchemaDatasetFacetFields(name, type=kind, description=meaning)
        for name, kind, meaning in column_lineage(data.table)
    ]
    said: dict[str, Any] = {"schema": schema.SchemaDatasetFacet(columns)}
    namespace, name = named(data.address)
    uri = f"file://{name}" if namespace == "file" else f"{namespace}/{name}"
    said["dataSource"] = facets.datasource_dataset.DatasourceDatasetFacet(name=namespace, uri=uri)
    if data.version is not None:
        said["version"] = facets.dataset_version_dataset.DatasetVersionDatasetFacet(str(data.version))
    return said


def _columns(table: str, addresses: Mapping[str, tuple[str, str]]) -> Any:
    """Return the column lineage of a table, for the source tables that were read."""
    facet = facets.column_lineage_dataset
    origins = {name: origin for name, origin in COLUMNS.get(table, {}).items() if origin.table in addresses}
    if not origins:
        return None
    made = {name: facet.Fields(_input_fields(origin, "DIRECT", addresses)) for name, origin in origins.items()}
    chosen = FILTERS.get(table)
    return facet.ColumnLineageDatasetFacet(made, dataset=_input_fields(chosen, "INDIRECT", addresses) if chosen else [])


def _input_fields(origin: Origin, way: str, addresses: Mapping[str, tuple[str, str]]) -> list[Any]:
    """Return the columns that a column comes from, each with its transformation."""
    facet = facets.column_lineage_dataset
    done = [facet.Transformation(way, subtype=origin.kind, description=origin.how)]
    return [facet.InputField(*addresses[origin.table], column, transformations=done) for column in origin.columns]


def _assertion(row: Mapping[str, Any]) -> Any:
    """Return the result of an expectation."""
    return facets.data_quality_assertions_dataset.Assertion(
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
    if "OPENLINEAGE_CLIENT_LOGGING" not in os.environ:
        logging.getLogger("openlineage").setLevel(logging.CRITICAL)  # a failure becomes a warning of the run
    files = (Path.cwd() / "openlineage.yml", Path.home() / ".openlineage" / "openlineage.yml")
    if any(name.startswith(CONFIGURED) and value for name, value in os.environ.items()) or any(map(Path.is_file, files)):
        return OpenLineageClient()
    from openlineage.client.transport.file import FileConfig, FileTransport

    remote = "://" in target
    if not remote:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    return OpenLineageClient(transport=FileTransport(FileConfig(target, append=not remote)))
