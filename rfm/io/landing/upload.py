"""Send a day's files to where the landing files lie, under their date, once."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import uuid
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rfm.errors import InputError, SettingsError, reaching
from rfm.io.landing.files import LandingFile, list_files
from rfm.io.landing.place import filesystem, look

AGAIN = "mend that, then run again"


class Sent(NamedTuple):
    """A file of the day, and where it lies now.

    Parameters
    ----------
    source_file
        Path under the landing folder.
    target
        Address under which it lies.
    bytes
        Size.
    new
        Whether it was sent; if not, the same file lay there already.
    """

    source_file: str
    target: str
    bytes: int
    new: bool


def upload(landing: str, to: str, date: dt.date, pattern: str = "*_transactions.csv*") -> list[Sent]:
    """Send the files of a day to ``<to>/<date>/<file>``, each whole and once.

    Parameters
    ----------
    landing
        Folder or URL with the daily files.
    to
        Folder or URL; a file that lies there flat or under the date, with the same size and content, is not sent again.
    date
        The day: files with it in their name are sent.
    pattern
        Shell pattern of the file names.

    Raises
    ------
    SettingsError
        If there is no file of the day, two have one name, or `to` lies in the landing folder itself.
    InputError
        If another file of that name lies there (nothing is sent then), or a place cannot be reached.
    """
    landing, to = landing.rstrip("/"), to.rstrip("/")
    if f"{to}/".startswith(f"{landing}/"):
        raise SettingsError(f"{to}: lies in the landing folder itself, so a run would read the file twice; name another --to")
    files = _of_day(landing, date, pattern)
    with reaching(f"{landing}: cannot be read", AGAIN):
        source, root = filesystem(landing)
        contents = [source.cat_file(f"{root}/{file.source_file}") for file in files]
    with reaching(f"{to}: cannot be uploaded to", AGAIN):
        look(*filesystem(to))
        there = [_lies_at(to, date, file, content) for file, content in zip(files, contents, strict=True)]
        return [_sent(to, date, *one) for one in zip(files, contents, there, strict=True)]


def _of_day(landing: str, date: dt.date, pattern: str) -> list[LandingFile]:
    """Return the files of the day."""
    files = list_files(landing, pattern)
    found = [file for file in files if file.file_date == date]
    names = [_name(file) for file in found]
    if not found:
        newest = max((file.file_date for file in files if file.file_date), default="without a date")
        raise SettingsError(f"{landing}: none of {len(files)} file(s) is of {date}, the newest is {newest}; correct --date")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{landing}: {', '.join(twice)} lies there {names.count(twice[0])} times; keep one of each")
    return found


def _name(file: LandingFile) -> str:
    """Return the name of a file without its folders."""
    return PurePosixPath(file.source_file).name


def _lies_at(to: str, date: dt.date, file: LandingFile, content: bytes) -> str | None:
    """Return where under a target the same file lies already, if it does; refuse another one of its name."""
    system, root = filesystem(to)
    for place in (f"{date}/{_name(file)}", _name(file)):
        if system.exists(f"{root}/{place}"):
            return _same(system, f"{root}/{place}", f"{to}/{place}", content)
    return None


def _same(system: Any, path: str, shown: str, content: bytes) -> str:
    """Return the address of a file with this content; refuse one with another."""
    size = int(system.info(path)["size"])
    if size == len(content) and hashlib.sha256(system.cat_file(path)).digest() == hashlib.sha256(content).digest():
        return shown
    raise InputError(
        f"{shown}: another file of this name lies there ({size:,} bytes, here {len(content):,}); nothing was sent; "
        "rename yours, or remove that one"
    )


def _sent(to: str, date: dt.date, file: LandingFile, content: bytes, there: str | None) -> Sent:
    """Send a file unless it lies there already."""
    if there:
        return Sent(file.source_file, there, len(content), new=False)
    system, root = filesystem(to)
    place = f"{date}/{_name(file)}"
    try:
        _put(system, f"{root}/{place}", content)
    except FileExistsError:  # somebody was faster
        return Sent(file.source_file, _same(system, f"{root}/{place}", f"{to}/{place}", content), len(content), new=False)
    return Sent(file.source_file, f"{to}/{place}", len(content), new=True)


def _put(system: Any, path: str, content: bytes) -> None:
    """Write a new file whole; raise FileExistsError where there is one."""
    if "local" not in system.protocol:
        return system.pipe_file(path, content, mode="create")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    part = Path(path).with_name(f".{uuid.uuid4().hex}.part")  # no pattern of landing files fits it
    try:
        part.write_bytes(content)
        os.link(part, path)
    except PermissionError:  # a disk without hard links
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return None
