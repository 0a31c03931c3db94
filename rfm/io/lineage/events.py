"""Moments of a run as OpenLineage events, in the client's own classes. Importing this takes 0.6 seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openlineage.client import event_v2 as ol
from openlineage.client import facet_v2 as facets

from rfm.io.lineage.columns import COLUMNS, FILTERS, JUDGED, Origin, fields
from rfm.io.lineage.moments import NAMESPACE, Data, Moment, named, without_credentials

PRODUCER = "urn:rfm"
SEVERITIES = {"warn": "warn"}  # all others stop a row or the run


def event(moment: Moment) -> ol.RunEvent:
    """Return the event of a moment; a start names its datasets, an end tells all about them."""
    ol.set_producer(PRODUCER)
    starts = moment.kind == "START"
    inputs = [_named(data, ol.InputDataset) if starts else _input(data) for data in moment.inputs]
    outputs = [_named(data, ol.OutputDataset) if starts else _output(data, moment.inputs) for data in moment.outputs]
    return ol.RunEvent(
        eventType=ol.RunState[moment.kind],
        eventTime=moment.time,
        producer=PRODUCER,
        run=ol.Run(runId=moment.run_id, facets=_run_facets(moment)),
        job=ol.Job(namespace=NAMESPACE, name=moment.job, facets=_job_facets(moment)),
        inputs=inputs,
        outputs=outputs,
    )


def _named(data: Data, kind: type) -> Any:
    """Return a dataset by its name alone."""
    return kind(*named(data.address))


def _run_facets(moment: Moment) -> dict[str, Any]:
    """Return what is said of a run: the day it is for, what it is a part of, what went wrong."""
    said: dict[str, Any] = {"nominalTime": facets.nominal_time_run.NominalTimeRunFacet(f"{moment.run_date}T00:00:00Z")}
    if moment.parent:
        run_id, job = moment.parent
        parent = facets.parent_run
        said["parent"] = parent.ParentRunFacet(parent.Run(run_id), parent.Job(NAMESPACE, job))
    if moment.error:
        said["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(without_credentials(moment.error), "PYTHON")
    return said


def _job_facets(moment: Moment) -> dict[str, Any]:
    """Return what is said of a job: a batch, the whole run or a stage of it."""
    kind = "TASK" if moment.parent else "JOB"
    return {"jobType": facets.job_type_job.JobTypeJobFacet("BATCH", "RFM", kind)}


def _input(data: Data) -> ol.InputDataset:
    """Return a dataset that was read, with its rows and how good they were."""
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
    """Return what is said of a dataset: its columns, where it lies, which version."""
    schema = facets.schema_dataset
    columns = [
        schema.SchemaDatasetFacetFields(name, type=kind, description=meaning) for name, kind, meaning in fields(data.table)
    ]
    said: dict[str, Any] = {"schema": schema.SchemaDatasetFacet(columns)}
    namespace, name = named(data.address)
    uri = f"file://{name}" if namespace == "file" else f"{namespace}/{name}"
    said["dataSource"] = facets.datasource_dataset.DatasourceDatasetFacet(name=namespace, uri=uri)
    if data.version is not None:
        said["version"] = facets.dataset_version_dataset.DatasetVersionDatasetFacet(str(data.version))
    return said


def _columns(table: str, addresses: Mapping[str, tuple[str, str]]) -> Any:
    """Return the lineage of a table's columns, as far as the tables they come from were read."""
    facet = facets.column_lineage_dataset
    origins = {name: origin for name, origin in COLUMNS.get(table, {}).items() if origin.table in addresses}
    if not origins:
        return None
    made = {name: facet.Fields(_input_fields(origin, "DIRECT", addresses)) for name, origin in origins.items()}
    chosen = FILTERS.get(table)
    return facet.ColumnLineageDatasetFacet(made, dataset=_input_fields(chosen, "INDIRECT", addresses) if chosen else [])


def _input_fields(origin: Origin, way: str, addresses: Mapping[str, tuple[str, str]]) -> list[Any]:
    """Return the columns that a column comes from, each with what is done to it."""
    facet = facets.column_lineage_dataset
    done = [facet.Transformation(way, subtype=origin.kind, description=origin.how)]
    return [facet.InputField(*addresses[origin.table], column, transformations=done) for column in origin.columns]


def _assertion(row: Mapping[str, Any]) -> Any:
    """Return an expectation's result: kept by every row, or not."""
    return facets.data_quality_assertions_dataset.Assertion(
        row["expectation"],
        success=row["failed"] == 0,
        column=JUDGED.get(row["expectation"]),
        severity=SEVERITIES.get(row["severity"], "error"),
        name=row["expectation"],
        expected="0 rows",
        actual=f"{row['failed']} of {row['checked']} rows",
    )
