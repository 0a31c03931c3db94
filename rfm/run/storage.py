"""Where a site is kept, a folder or a bucket: files written whole, and the list of its runs."""

from __future__ import annotations

import datetime as dt
import json
import mimetypes
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rfm import errors
from rfm.io.landing import filesystem, look
from rfm.schema import InputError, SettingsError
from rfm.sections import Rules


def reaching(reports: str) -> AbstractContextManager[None]:
    """Turn what goes wrong on a disk or a network into one line.

    Parameters
    ----------
    reports
        Address of the site, for the line.

    Raises
    ------
    InputError
        Instead of what went wrong.
    """
    return errors.reaching(f"{reports}: cannot be published to", "mend that first")


def open_site(reports: str) -> tuple[Any, str]:
    """Return the file system and the root of the site, without any remembered listing.

    Parameters
    ----------
    reports
        Folder or fsspec URL.

    Raises
    ------
    InputError
        If it is neither.
    """
    try:
        fs, root = filesystem(reports)
    except SettingsError as error:
        raise InputError(f"{reports}: is neither a folder nor a known URL ({error})") from None
    return fs, root.rstrip("/")


def write(fs: Any, path: str, content: bytes) -> None:
    """Write a file whole: readers see the old one or the new one.

    Parameters
    ----------
    fs
        File system.
    path, content
        Where, and the bytes.
    """
    if "local" not in fs.protocol:
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        return fs.pipe_file(path, content, **({"ContentType": kind} if "s3" in fs.protocol else {}))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{path}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_runs(fs: Any, root: str) -> dict[str, Any]:
    """Return the list of runs as it stands; an empty one for a new site.

    Parameters
    ----------
    fs, root
        File system and root of the site.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    look(fs, root)
    if not fs.exists(f"{root}/runs.json"):
        return {"runs": [], "newest": None}
    try:
        site = json.loads(fs.cat_file(f"{root}/runs.json"))
        _ = [run_date_of(run) for run in (site["newest"], *site["runs"])]
        return site
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{root}/runs.json: is not a list of runs ({error}); move it away") from error


def run_date_of(record: Mapping[str, Any]) -> str:
    """Return the run date, which becomes a folder's name, after a look that it is a date.

    Parameters
    ----------
    record
        The run record.

    Raises
    ------
    InputError
        If it is not.
    """
    given = record.get("run_date")
    try:
        return dt.date.fromisoformat(str(given)).isoformat()
    except ValueError:
        raise InputError(f"run record: run_date is {given!r}, not a date like 2025-10-23") from None


def published_record(reports: str, day: dt.date) -> dict[str, Any]:
    """Return the record of a published day.

    Parameters
    ----------
    reports
        Folder or URL of the site.
    day
        Run date.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    with reaching(reports):
        system, root = open_site(reports)
        place = f"{root}/{day}/run.json"
        if not system.exists(place):
            raise InputError(f"{reports}: no report of {day} is published; `rfm status` lists the days that are")
        text = system.cat_file(place)
    try:
        return _looked_through(json.loads(text), day)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise InputError(f"{place}: is not a run record ({type(error).__name__}: {error}); publish the day again") from None


def _looked_through(record: dict[str, Any], day: dt.date) -> dict[str, Any]:
    """Return a record whose day, stages and settings are what they must be: a person may have edited it."""
    if run_date_of(record) != day.isoformat():
        raise ValueError(f"it is of {record['run_date']}")
    for stage in record.get("stages", ()):
        states = {**stage.get("reads", {}), **stage.get("writes", {})}
        _ = f"{stage['name']:s}", [int(state["version"]) for state in states.values()]
    for name in ("parameters", "settings"):
        _ = {**record.get(name, {})}
    Rules.model_validate(record.get("settings", {}).get("rules", {}))
    return record
