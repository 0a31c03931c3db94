"""Find the landing files, on disk or in a bucket."""

from __future__ import annotations

import datetime as dt
import fnmatch
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rfm.errors import reaching, refusal
from rfm.io.landing.place import filesystem
from rfm.schema import SettingsError

TOKENS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")  # the first that a file system tells
SITE = "runs.json"  # stands in the folder of a published site
DATES_IN_NAMES = {  # how files write their date, the first that is a day: a pattern, and how it is read
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}": "%Y-%m-%d",
    r"(?<![0-9])(?:19|20)[0-9]{2}_[0-9]{2}_[0-9]{2}(?![0-9])": "%Y_%m_%d",
    r"(?<![0-9])(?:19|20)[0-9]{2}[.][0-9]{2}[.][0-9]{2}(?![0-9])": "%Y.%m.%d",
    r"(?<![0-9])[0-9]{2}[.][0-9]{2}[.](?:19|20)[0-9]{2}(?![0-9])": "%d.%m.%Y",
    r"(?<![0-9])(?:19|20)[0-9]{6}(?=[0-9]{6}(?![0-9])|(?![0-9]))": "%Y%m%d",  # a time may follow
}


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
    token
        What the file system changes with the content: the ETag of an object, the modification time of a file.
    """

    source_file: str
    file_date: dt.date | None
    bytes: int
    token: str | None = None


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

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import rfm
    >>> folder = tempfile.mkdtemp()
    >>> _ = pathlib.Path(folder, "2025-10-23_transactions.csv").write_text("Invoice")
    >>> [(file.source_file, file.bytes) for file in rfm.list_files(folder)]
    [('2025-10-23_transactions.csv', 7)]
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
    except Exception as error:
        raise refusal(error, f"{landing}: cannot be listed", "", ValueError) from None
    files = [
        LandingFile(_spelled(path.removeprefix(root).lstrip("/")), date_in(path), int(info["size"] or 0), _token(info))
        for path, info in ((path, found[path]) for path in outside_reports(found))
        if info["type"] == "file" and fnmatch.fnmatch(PurePosixPath(path).name, pattern)
    ]
    if not files:
        if "://" not in landing and not Path(root).exists():
            raise SettingsError(f"{landing}: there is no such folder; put daily files there, or make some with `rfm sample`")
        raise SettingsError(
            f"{landing}: holds no file like {pattern} ({len(found)} other file(s)); "
            "put daily files there, or make some with `rfm sample`"
        )
    return sorted(files, key=lambda file: (file.file_date or dt.date.min, file.source_file))


def outside_reports(paths: Iterable[str]) -> list[str]:
    """Return the paths that lie in no published site, whose tables are no sales: where reports lie beside the files.

    Examples
    --------
    >>> outside_reports(["shop/a.csv", "shop/reports/runs.json", "shop/reports/2026-01-31/exports/a.csv"])
    ['shop/a.csv']
    """
    paths = list(paths)
    sites = tuple(path.removesuffix(SITE) for path in paths if path.endswith(f"/{SITE}"))
    return [path for path in paths if not path.startswith(sites)]


def _spelled(name: str) -> str:
    r"""Return a file's name with its bytes that are no UTF-8 written out, as in ``caf\xe9.csv``: no table can hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _token(info: dict[str, Any]) -> str | None:
    """Return what a file system says of a file that changes with its content, if it says anything."""
    told = next((info[name] for name in TOKENS if info.get(name)), None)
    return None if told is None else str(told).strip('"')


def date_in(path: str) -> dt.date | None:
    """Return the date in a file's name, if there is one.

    Examples
    --------
    >>> date_in("sales-31.01.2026.csv") == date_in("20260131_sales.csv") == date_in("2026/2026-01-31_sales.csv")
    True
    """
    name = PurePosixPath(path).name
    for pattern, form in DATES_IN_NAMES.items():
        for found in re.findall(pattern, name):
            with suppress(ValueError):
                return dt.datetime.strptime(found, form).date()
    return None


def has_files(landing: str) -> bool:
    """Tell whether a landing folder holds any file, whatever its name; hidden ones do not count."""
    system, root = filesystem(landing)
    with reaching(f"{landing}: cannot be listed"):
        return any(not PurePosixPath(path).name.startswith(".") for path in system.find(root))
