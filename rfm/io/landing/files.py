"""Find the landing files, on disk or in a bucket, and read them some at a time."""

from __future__ import annotations

import datetime as dt
import fnmatch
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

import fsspec
import pyarrow as pa

from rfm.io.landing.parse import parse
from rfm.schema import InputError, SettingsError
from rfm.settings import Settings

BATCH_BYTES = 64 << 20
DATE_IN_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class LandingFile(NamedTuple):
    """A file that a run may read.

    Parameters
    ----------
    source_file
        Path under the landing folder.
    file_date
        Date in the file's name, if there is one.
    bytes
        Size.
    """

    source_file: str
    file_date: dt.date | None
    bytes: int


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a folder or URL, and the path on it; bucket listings are never cached.

    Raises
    ------
    SettingsError
        If there is no file system for such a URL.
    """
    options = {"use_listings_cache": False, "skip_instance_cache": True} if url.startswith("s3://") else {}
    try:
        return fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{url}: {error}; use a folder or an s3:// address") from None


def list_files(landing: str, pattern: str = "*_transactions.csv*", *, until: dt.date | None = None) -> list[LandingFile]:
    """List the landing files that a run of a date sees.

    Parameters
    ----------
    landing
        Folder or URL; files may lie flat or in folders of their own.
    pattern
        Shell pattern of the file names.
    until
        Run date: files dated later are left out, files without a date in their name never are.

    Returns
    -------
    list of LandingFile
        In order of date and name.

    Raises
    ------
    SettingsError
        If the folder is missing, holds no such file, or none dated up to the run date.
    """
    files = _find(landing, pattern)
    seen = [file for file in files if until is None or file.file_date is None or file.file_date <= until]
    if not seen:
        first = min(file.file_date for file in files if file.file_date)
        raise SettingsError(f"{landing}: none of {len(files)} file(s) is dated up to {until}; the first is of {first}")
    return seen


def _find(landing: str, pattern: str) -> list[LandingFile]:
    """Return all landing files in order of date and name."""
    system, root = filesystem(landing)
    try:
        found = system.find(root, detail=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{landing}: cannot be listed ({error})") from None
    files = [
        LandingFile(path.removeprefix(root).lstrip("/"), _date_in(path), int(info["size"] or 0))
        for path, info in found.items()
        if info["type"] == "file" and fnmatch.fnmatch(PurePosixPath(path).name, pattern)
    ]
    if not files:
        raise SettingsError(
            f"{landing}: holds no file like {pattern} ({len(found)} other file(s)); "
            "put daily files there, or make some with `rfm sample`"
        )
    return sorted(files, key=lambda file: (file.file_date or dt.date.min, file.source_file))


def _date_in(path: str) -> dt.date | None:
    """Return the date in a file's name, if there is one."""
    for found in DATE_IN_NAME.findall(PurePosixPath(path).name):
        try:
            return dt.date.fromisoformat(found)
        except ValueError:
            continue
    return None


def run_date(settings: Settings) -> dt.date:
    """Return the run date: the one that was set, otherwise the newest date among the landing files' names.

    Raises
    ------
    SettingsError
        If none was set and no file has a date in its name, or there is no file.
    """
    if settings.date:
        return settings.date
    dates = [file.file_date for file in _find(settings.landing, settings.files.pattern) if file.file_date]
    if not dates:
        raise SettingsError(f"{settings.landing}: no file has a date (YYYY-MM-DD) in its name; give the run date with --date")
    return max(dates)


def has_files(settings: Settings) -> bool:
    """Tell whether the landing folder holds any landing file."""
    try:
        return bool(_find(settings.landing, settings.files.pattern))
    except SettingsError:
        return False


def read_files(landing: str, files: Iterable[str], run_date: dt.date) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Read landing files as text, some at a time.

    Parameters
    ----------
    landing
        Folder or URL.
    files
        Paths under it, as `list_files` gives them.
    run_date
        Becomes ``processing_date``.

    Yields
    ------
    tuple of pyarrow.Table
        What was read (``landing_files`` without layer and rows), and rows of ``retail_transactions_bronze``, of at
        most about 64 MB of files.

    Raises
    ------
    InputError
        After all other files were read: naming every file that is not a sales file, and why.
    """
    system, root = filesystem(landing)
    refused, ledger, rows, size = [], [], [], 0
    for name in files:
        try:
            raw = system.cat_file(f"{root}/{name}")
            table = parse(raw, name)
        except (InputError, OSError) as error:
            refused.append(str(error))
            continue
        ledger.append((name, _date_in(name), len(raw), hashlib.sha256(raw).hexdigest(), run_date))
        rows.append(_arrived(table, name, run_date))
        size += len(raw)
        if size > BATCH_BYTES:
            yield _ledger(ledger), pa.concat_tables(rows)
            ledger, rows, size = [], [], 0
    if rows:
        yield _ledger(ledger), pa.concat_tables(rows)
    if refused:
        raise InputError(f"{len(refused)} file(s) refused, the others were read: {'; '.join(refused)}")


def _ledger(rows: list[tuple]) -> pa.Table:
    """Return rows of ``landing_files``, layer and rows aside."""
    types = [pa.string(), pa.date32(), pa.int64(), pa.string(), pa.date32()]
    names = ["source_file", "file_date", "bytes", "sha256", "processing_date"]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names)


def _arrived(table: pa.Table, name: str, run_date: dt.date) -> pa.Table:
    """Add when, from which file and in which run the rows came."""
    now = dt.datetime.now(dt.UTC)
    for column, value, kind in (
        ("ingestion_timestamp", now, pa.timestamp("us", "UTC")),
        ("source_file", name, pa.string()),
        ("processing_date", run_date, pa.date32()),
    ):
        table = table.append_column(column, pa.repeat(pa.scalar(value, kind), table.num_rows))
    return table
