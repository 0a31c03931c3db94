"""One run of a lake at a time, and no other verb that writes beside it: a lock that says who holds it, and outlives nobody.

On a disk the operating system holds the lock, and lets go of it when its process dies. In a bucket it is an object
that only one of two can make; one that a run left behind is taken over when its process is gone, or after `STALE`.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rfm.errors import InputError, reaching
from rfm.io.landing import filesystem
from rfm.settings import Settings, papers_of

LOCK = "run.lock"
STALE = dt.timedelta(hours=12)  # no day takes longer
Release = Callable[[], None]


class BusyError(InputError):
    """A lake on which another run is at work."""


@contextmanager
def locked(settings: Settings, work: dt.date | str) -> Iterator[None]:
    """Keep other runs from the lake while one is at work; in a place that is neither disk nor S3 it goes unguarded.

    Parameters
    ----------
    settings
        Where the lake is.
    work
        What is done, for those who find the lock: the run date of a run, or another verb, as ``rfm publish``; it needs no
        lock where no lake is.

    Raises
    ------
    BusyError
        If another run holds the lock: which day, which process, since when.
    """
    fs, root = filesystem(papers_of(settings.lake))
    place, shown, owner = f"{root}/{LOCK}", f"{papers_of(settings.lake)}/{LOCK}", _owner(work)
    if isinstance(work, str) and "local" in fs.protocol and not Path(root).is_dir():
        yield
        return
    with reaching(f"{shown}: cannot be written", "mend that first"):
        release = _in_bucket(fs, place, owner, shown) if "s3" in fs.protocol else _on_disk(fs, place, owner, shown)
    try:
        yield
    finally:
        release()


def _owner(work: dt.date | str) -> str:
    """Return who does what since when."""
    told = {
        "work": work if isinstance(work, str) else f"a run of {work}",
        "host": platform.node(),
        "process": os.getpid(),
        "since": dt.datetime.now(dt.UTC).isoformat(),
    }
    return json.dumps(told)


def _on_disk(fs: Any, place: str, owner: str, shown: str) -> Release:
    """Take the lock of a folder; return what lets go of it."""
    if "local" not in fs.protocol:
        return lambda: None
    import fcntl

    Path(place).parent.mkdir(parents=True, exist_ok=True)
    file = Path(place).open("a+", encoding="utf-8")  # noqa: SIM115 (it is closed by the release)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        with file:
            raise _busy(shown, file.read()) from None
    except OSError:
        pass  # a disk that knows no locks; the tables guard themselves
    file.truncate(0)
    file.write(owner)
    file.flush()

    def release() -> None:
        with file:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)

    return release


def _in_bucket(fs: Any, place: str, owner: str, shown: str) -> Release:
    """Take the lock of a bucket; return what lets go of it."""
    if not _put(fs, place, owner, IfNoneMatch="*"):
        held, tag = _held(fs, place)
        if not (tag and _is_stale(held) and _put(fs, place, owner, IfMatch=tag)):
            raise _busy(shown, held)

    def release() -> None:
        with suppress(OSError):  # the run is done; its lock will be stale
            if fs.cat_file(place).decode() == owner:
                fs.rm_file(place)

    return release


def _put(fs: Any, place: str, owner: str, **condition: str) -> bool:
    """Write the lock under a condition; tell whether it held."""
    try:
        fs.pipe_file(place, owner.encode(), **condition)
    except Exception as error:
        if "PreconditionFailed" in repr(error) + repr(error.__cause__) or "ConditionalRequestConflict" in repr(error.__cause__):
            return False
        raise
    return True


def _held(fs: Any, place: str) -> tuple[str, str]:
    """Return what stands in a lock and its ETag; nothing if it has been let go of meanwhile."""
    try:
        return fs.cat_file(place).decode(), fs.info(place)["ETag"]
    except FileNotFoundError:
        return "", ""


def _is_stale(held: str) -> bool:
    """Tell whether the process that holds a lock is gone from this host, or has held it for too long."""
    told = _told(held)
    if dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(told["since"]) > STALE:
        return True
    return told["host"] == platform.node() and _is_gone(told["process"])


def _is_gone(process: int) -> bool:
    """Tell whether there is no such process on this host."""
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)  # one of another user's is there
    return False


def _told(held: str) -> dict[str, Any]:
    """Return what a lock says of its owner; what cannot be read is of long ago."""
    unknown = {"work": "a run of an unknown day", "host": "an unknown host", "process": "?", "since": "2000-01-01T00:00:00+00:00"}
    with suppress(ValueError, TypeError):
        return unknown | json.loads(held)
    return unknown


def _busy(shown: str, held: str) -> BusyError:
    """Say who holds a lock."""
    told = _told(held)
    who = f"process {told['process']} on {told['host']}, since {told['since'][:16]}"
    remedy = "wait for its end and run again; a lock that a dead run left is taken over by itself"
    return BusyError(f"{shown}: {told['work']} is at work on these tables ({who}); {remedy}")
