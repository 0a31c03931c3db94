"""Where the files lie that somebody names: one folder for all of them, and their paths under it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from rfm.errors import reaching
from rfm.io.landing import filesystem
from rfm.io.landing.files import outside_reports
from rfm.schema import SettingsError
from rfm.settings import absolute


class Place(NamedTuple):
    """A folder, and the files in it that are meant.

    Parameters
    ----------
    landing
        Folder or URL.
    system, root
        As `rfm.io.landing.filesystem` gives them.
    names
        Paths under the folder.
    """

    landing: str
    system: Any
    root: str
    names: list[str]


def place(files: Sequence[str], pattern: str) -> Place:
    """Return where files lie.

    Parameters
    ----------
    files
        Paths or URLs of files, or of folders: of these the files that a run would see, or all if it saw none.
    pattern
        Of the names that a run sees.

    Raises
    ------
    SettingsError
        If one is not there, or a folder holds no file.
    """
    found = [one for file in files for one in _files(absolute(file), pattern)]
    folders = [one.rpartition("/")[0] for one in found]
    landing = folders[0] if len(set(folders)) == 1 else _common(folders)
    system, root = filesystem(landing)
    return Place(landing, system, root, [one.removeprefix(f"{landing}/") for one in dict.fromkeys(found)])


def _common(folders: Sequence[str]) -> str:
    """Return the folder that holds folders."""
    if any("://" in folder for folder in folders):
        return os.path.commonprefix([f"{folder}/" for folder in folders]).rpartition("/")[0]
    return os.path.commonpath(folders)


def _files(address: str, pattern: str) -> list[str]:
    """Return a file, or the files of a folder."""
    system, root = filesystem(address)
    with reaching(f"{address}: cannot be read"):
        there, folder = system.exists(root), system.isdir(root)
        names = sorted(system.find(root)) if folder else []
    if not there:
        raise SettingsError(f"{address}: there is no such file; correct its name")
    if not folder:
        return [address]
    shown = [name.removeprefix(root).lstrip("/") for name in outside_reports(names)]
    kept = [name for name in shown if not any(part.startswith(".") for part in PurePosixPath(name).parts)]
    if not kept:
        raise SettingsError(f"{address}: the folder holds no file; name one")
    seen = [name for name in kept if fnmatch.fnmatch(PurePosixPath(name).name, pattern)]
    return [f"{address}/{name}" for name in seen or kept]
