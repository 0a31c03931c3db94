"""What happened, as plain data, before it becomes an event: light enough for the run to make on its way."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from rfm.errors import redacted

NAMESPACE = "rfm"
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:rfm")
_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")


class Data(NamedTuple):
    """A table, or the landing folder, as a stage read or wrote it.

    Parameters
    ----------
    table
        Name of the table; ``landing`` for the landing folder.
    address
        Folder or URL.
    version
        Of the table's log, where known.
    rows
        Rows read or written, where known.
    results
        Rows of ``expectation_results`` that tell how good the data are.
    """

    table: str
    address: str
    version: int | None = None
    rows: int | None = None
    results: tuple[Mapping[str, Any], ...] = ()


class Moment(NamedTuple):
    """The start or the end of a stage, or of the whole run.

    Parameters
    ----------
    kind
        What happened.
    time
        When, in ISO format with its time zone.
    run_id, job
        Of the stage, or of the whole run.
    run_date
        The run date.
    parent
        Run and job that the stage is a part of; none for the whole run.
    inputs, outputs
        What was read and written.
    error
        What went wrong, in one line.
    """

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
    """Return the id of a run: the same parts give the same id.

    Parameters
    ----------
    *parts
        Run date and start for a run; its id and the stage's name for a stage.

    Examples
    --------
    >>> run_id("2025-10-23", "2025-10-24T05:00:00+00:00") == run_id("2025-10-23", "2025-10-24T05:00:00+00:00")
    True
    """
    return str(uuid.uuid5(_IDS, " ".join(parts)))


def without_credentials(text: str) -> str:
    """Return an address, or a text with addresses in it, without user and password.

    Examples
    --------
    >>> without_credentials("s3://key:secret@shop/lake")
    's3://shop/lake'
    """
    return redacted(_CREDENTIALS.sub("", text))


def named(address: str) -> tuple[str, str]:
    """Return namespace and name of a dataset, as OpenLineage names files and buckets.

    Examples
    --------
    >>> named("s3://shop/lake/customer_rfm_gold"), named("/data/lake/customer_rfm_gold")
    (('s3://shop', 'lake/customer_rfm_gold'), ('file', '/data/lake/customer_rfm_gold'))
    """
    scheme, sign, rest = without_credentials(address).partition("://")
    if not sign or scheme == "file":
        return "file", rest or scheme
    place, _, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{place}", path or "/"
