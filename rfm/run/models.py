"""The models kept: a folder a run date under the lake, with ``model.json`` for machines and a card for people."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from rfm.core.segments import SCHEMA
from rfm.errors import reaching
from rfm.io.landing import filesystem
from rfm.run.storage import write
from rfm.schema import InputError
from rfm.settings import papers_of

FOLDER = "models"
PAPER = "model.json"
REMEDY = "run `rfm daily` for a day first, or name the lake with --lake"


def keep_model(lake: str, run_date: dt.date, papers: Mapping[str, str]) -> str:
    """Write what is kept of a run date's model, each file whole; a run of the same day replaces it.

    Parameters
    ----------
    lake
        Folder or URL of the tables.
    run_date
        The run date.
    papers
        Texts by file name, see `rfm.segments.model_papers`.

    Returns
    -------
    str
        The folder, as seen from the lake.

    Examples
    --------
    >>> import datetime
    >>> import tempfile
    >>> import rfm
    >>> rfm.keep_model(tempfile.mkdtemp(), datetime.date(2025, 10, 23), {"model_card.md": "# Model"})
    'models/2025-10-23'
    """
    fs, root = filesystem(papers_of(lake))
    folder = f"{FOLDER}/{run_date}"
    with reaching(f"{lake}/{folder}: cannot be written to", "mend that first"):
        for name, text in papers.items():
            write(fs, f"{root}/{folder}/{name}", text.encode())
    return folder


def kept_model(lake: str, date: dt.date | None = None) -> dict[str, Any]:
    """Return the model of a run date, or of the newest one.

    Parameters
    ----------
    lake
        Folder or URL of the tables.
    date
        Run date.

    Returns
    -------
    dict
        What ``model.json`` holds: schema, model, medians, clusters, data.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    days = kept_days(lake)
    if not days:
        raise InputError(f"{lake}/{FOLDER}: holds no model; {REMEDY}")
    if date and date not in days:
        raise InputError(
            f"{lake}/{FOLDER}: holds no model of {date}, but {len(days)} from {days[0]} to {days[-1]}; name one of them"
        )
    fs, root = filesystem(papers_of(lake))
    place = f"{FOLDER}/{date or days[-1]}/{PAPER}"
    with reaching(f"{lake}/{place}: cannot be read", REMEDY):
        text = fs.cat_file(f"{root}/{place}")
    return _read(text, f"{lake}/{place}")


def kept_days(lake: str) -> list[dt.date]:
    """Return the run dates that have a model, oldest first."""
    fs, root = filesystem(papers_of(lake))
    with reaching(f"{lake}/{FOLDER}: cannot be listed", REMEDY):
        found = fs.find(f"{root}/{FOLDER}")
    names = [path.split("/")[-2] for path in found if path.endswith(f"/{PAPER}")]
    return sorted(dt.date.fromisoformat(name) for name in names)


def _read(text: bytes, place: str) -> dict[str, Any]:
    """Return a model's JSON if it is one of ours."""
    try:
        told = json.loads(text)
        if told["schema"] == SCHEMA:
            return told
        found = f"schema {told['schema']!r}, this version reads {SCHEMA}"
    except (ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    raise InputError(f"{place}: is no model that can be read ({found}); run its day again")
