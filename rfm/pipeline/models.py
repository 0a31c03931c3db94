"""Saved models, one folder per run date in the lake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from rfm.errors import friendly_io_errors
from rfm.landing.files import filesystem, write_file
from rfm.settings import artifacts_dir

FOLDER = "models"
PAPER = "model.json"
REMEDY = "run `rfm daily` for a day first, or name the lake with --lake"


def keep_model(lake: str, run_date: dt.date, documents: Mapping[str, str]) -> str:
    """Write the documents of a model, each file in one step; a run of the same run date replaces them.

    ``documents`` are texts by file name, see `rfm.stages.model_documents`. Returns the folder, as seen from the lake.

    Examples
    --------
    >>> import datetime
    >>> import tempfile
    >>> import rfm
    >>> rfm.keep_model(tempfile.mkdtemp(), datetime.date(2025, 10, 23), {"model_card.md": "# Model"})
    'models/2025-10-23'
    """
    fs, root = filesystem(artifacts_dir(lake))
    folder = f"{FOLDER}/{run_date}"
    with friendly_io_errors(f"{lake}/{folder}: cannot be written to", "fix that first"):
        for name, text in documents.items():
            write_file(fs, f"{root}/{folder}/{name}", text.encode())
    return folder


def kept_days(lake: str) -> list[dt.date]:
    """Return the run dates that have a model, oldest first."""
    fs, root = filesystem(artifacts_dir(lake))
    with friendly_io_errors(f"{lake}/{FOLDER}: cannot be listed", REMEDY):
        found = fs.find(f"{root}/{FOLDER}")
    names = [path.split("/")[-2] for path in found if path.endswith(f"/{PAPER}")]
    return sorted(dt.date.fromisoformat(name) for name in names)
