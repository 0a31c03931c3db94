"""What a run read and wrote, and which column comes from which."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from rfm.analysis.cleaning import EXPECTATIONS
from rfm.contracts import BRONZE, CLUSTERED, DESCRIBED_CUSTOMERS, GOLD, QUARANTINE, SILVER, TABLES
from rfm.dialect import LANDING_COLUMNS, RAW
from rfm.errors import redact
from rfm.pipeline.stages import LANDING


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


def column_lineage(table: str) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of each column of a table, or of a landing file."""
    if table == LANDING:
        return [(one.header, "STRING", "raw text") for one in LANDING_COLUMNS.values()]
    return [(column.name, column.type, column.meaning) for column in TABLES[table].columns]


NAMESPACE = "rfm"
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:rfm")
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
