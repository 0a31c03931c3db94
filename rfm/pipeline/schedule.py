"""When a run starts: its run date, missed days, waiting for files, and the lock that allows one run at a time."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rfm.errors import InputError, RfmError, SettingsError, friendly_io_errors
from rfm.landing.files import filesystem, list_files
from rfm.settings import Settings, artifacts_dir

if TYPE_CHECKING:
    from rfm.lake import Lake

# The text of the lock names its owner. On a disk the operating system holds a second file, and frees it when the process
# dies. In a bucket only one run can create the object; a lock left behind is taken over when its
# process is gone, or after LONGEST.
LOCK = "run.lock"
PROBED = "conditional_puts"  # object beside the lock, once the bucket's server was seen to keep the conditions of puts
LONGEST = dt.timedelta(hours=12)  # no run takes longer
Release = Callable[[], None]


class BusyError(InputError):
    """The lake is locked by another run."""


@contextmanager
def locked(settings: Settings, work: dt.date | str) -> Iterator[None]:
    """Keep other runs from the lake during one; a place that is neither a disk nor S3 has no lock."""
    fs, root = filesystem(artifacts_dir(settings.lake))
    place, shown, owner = f"{root}/{LOCK}", f"{artifacts_dir(settings.lake)}/{LOCK}", _owner(work)
    if settings.care.lock == "none" or (isinstance(work, str) and "local" in fs.protocol and not Path(root).is_dir()):
        yield
        return
    with friendly_io_errors(f"{shown}: cannot be written", "fix that first"):
        if "s3" in fs.protocol:
            _refuse_unconditional(fs, root, artifacts_dir(settings.lake))
        release = _in_bucket(fs, place, owner, shown) if "s3" in fs.protocol else _on_disk(fs, place, owner, shown)
    try:
        yield
    finally:
        release()


def _owner(work: dt.date | str) -> str:
    """Return who holds the lock, as JSON."""
    holder = {
        "work": work if isinstance(work, str) else f"a run of {work}",
        "host": platform.node(),
        "process": os.getpid(),
        "since": dt.datetime.now(dt.UTC).isoformat(),
    }
    return json.dumps(holder)


def _on_disk(fs: Any, place: str, owner: str, shown: str) -> Release:
    """Take the lock of a folder; return the function that releases it."""
    if "local" not in fs.protocol:
        return lambda: None
    from filelock import FileLock, Timeout  # not at the top: the checks before a run do without

    text, lock = Path(place), FileLock(f"{place}.held")
    text.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise _busy(shown, text.read_text(encoding="utf-8") if text.is_file() else "") from None
    except OSError:
        pass  # a disk that knows no locks; the tables guard themselves
    text.write_text(owner, encoding="utf-8")

    def release() -> None:
        text.write_text("", encoding="utf-8")
        lock.release()

    return release


def _in_bucket(fs: Any, place: str, owner: str, shown: str) -> Release:
    """Take the lock of a bucket; return the function that releases it."""
    if not _put(fs, place, owner, IfNoneMatch="*"):
        held, tag = _held(fs, place)
        if not (tag and _is_stale(held) and _put(fs, place, owner, IfMatch=tag)):
            raise _busy(shown, held)

    def release() -> None:
        with suppress(OSError):  # the run is done; its lock will be stale
            if fs.cat_file(place).decode() == owner:
                fs.rm_file(place)

    return release


def _refuse_unconditional(fs: Any, root: str, shown: str) -> None:
    """Refuse a server that writes an object although it is there; a bucket is asked once, and remembers the answer."""
    # the lock of runs and the commits of tables both rest on it
    if fs.exists(f"{root}/{PROBED}"):
        return
    probe = f"{root}/{PROBED}.{uuid.uuid4().hex}"
    try:
        holds = _put(fs, probe, PROBED, IfNoneMatch="*") and not _put(fs, probe, PROBED, IfNoneMatch="*")
    except OSError as error:
        if "NotImplemented" not in repr(error) + repr(error.__cause__):
            raise
        holds = False
    with suppress(OSError):
        fs.rm_file(probe)
    if not holds:
        remedy = 'use a server that keeps them or, if only one program ever writes there, set lock = "none" under [care]'
        raise InputError(f"{shown}: its server ignores conditional puts, so two runs at once would damage the tables; {remedy}")
    fs.pipe_file(f"{root}/{PROBED}", b"hold")


def _put(fs: Any, place: str, owner: str, **condition: str) -> bool:
    """Write the lock under a condition; return True if the condition was met."""
    try:
        fs.pipe_file(place, owner.encode(), **condition)
    except Exception as error:
        if "PreconditionFailed" in repr(error) + repr(error.__cause__) or "ConditionalRequestConflict" in repr(error.__cause__):
            return False
        raise
    return True


def _held(fs: Any, place: str) -> tuple[str, str]:
    """Return the text and the ETag of a lock; empty texts if it was released meanwhile."""
    try:
        return fs.cat_file(place).decode(), fs.info(place)["ETag"]
    except FileNotFoundError:
        return "", ""


def _is_stale(held: str) -> bool:
    """Return True if the process that holds a lock is gone from this host, or has held it for too long."""
    holder = _holder(held)
    since = dt.datetime.fromisoformat(holder["since"])
    return dt.datetime.now(dt.UTC) - since > LONGEST or not may_be_alive(holder["host"], holder["process"], since)


def may_be_alive(host: str, process: int, since: dt.datetime) -> bool:
    """Return True if a run may still go on: by its process on this host, by its age elsewhere."""
    if host != platform.node():
        return dt.datetime.now(dt.UTC) - since < LONGEST
    return is_running(process)


def is_running(process: int) -> bool:
    """Return True if a process of this host is there."""
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # the process of another user is there
    return True


def _holder(held: str) -> dict[str, Any]:
    """Return the owner that a lock names; an unreadable one is of long ago."""
    unknown = {"work": "a run of an unknown day", "host": "an unknown host", "process": "?", "since": "2000-01-01T00:00:00+00:00"}
    with suppress(ValueError, TypeError):
        return unknown | json.loads(held)
    return unknown


def _busy(shown: str, held: str) -> BusyError:
    """Return the error that names the owner of a lock."""
    holder = _holder(held)
    who = f"process {holder['process']} on {holder['host']}, since {holder['since'][:16]}"
    remedy = "wait for its end and run again; a lock that a dead run left is taken over by itself"
    return BusyError(f"{shown}: {holder['work']} is at work on these tables ({who}); {remedy}")


# ── missed ────────────────────────────────────────────────────────────
class CaughtUp(NamedTuple):
    """A missed day: its headline or error, whether it succeeded, and its warnings."""

    day: dt.date
    said: str
    well: bool
    warnings: list[str]


def missed(settings: Settings) -> list[dt.date]:
    """Return the days before the run date that have a landing file of their own and were never run to the end."""
    from rfm.lake.verify import kept_days

    if not (newest := named_date(settings)):
        return []  # no file is of a day
    files = list_files(settings.landing, settings.files.pattern, until=newest)
    return sorted({file.file_date for file in files if file.file_date} - {newest, *kept_days(settings.lake)})


def catch_up(settings: Settings) -> Iterator[CaughtUp]:
    """Run each missed day without notebooks, the oldest first; a day that fails does not keep the next from running."""
    from rfm.pipeline import backfill

    for run_date in missed(settings):
        try:
            with locked(settings, run_date):
                *_, (_, headline) = backfill.backfill(settings, run_date, run_date)
            warnings, refused = backfill.warnings_of(settings, run_date, run_date)
            yield CaughtUp(run_date, headline, not refused, warnings)
        except BusyError:
            raise
        except RfmError as error:
            yield CaughtUp(run_date, str(error), False, [])


# ── the past of a first run ────────────────────────────────────────────
def first_days(settings: Settings, lake: Lake, run_date: dt.date) -> list[dt.date]:
    """Return the days of ``[history] first`` that a first run still has to compute: those on which there were sales already."""
    from rfm.lake.verify import kept_days

    back = [days for days in settings.history.first if days < run_date.toordinal()]
    wanted = [run_date - dt.timedelta(days=days) for days in back]
    done = set(kept_days(settings.lake)) if wanted else set()
    if not done <= set(wanted):  # a run that was killed leaves some of them
        return []
    return [day for day in wanted if day not in done and _had_sales(lake, day)]


def _had_sales(lake: Lake, day: dt.date) -> bool:
    """Return True if a customer had bought something by a day, in files dated up to it."""
    from rfm.contracts import DAILY_VOLUME

    volume = lake.frame(DAILY_VOLUME, until=day)
    return bool(volume.loc[volume["InvoiceDate"] <= day, "customers"].any())


def run_first(settings: Settings, days: Iterable[dt.date]) -> Iterator[CaughtUp]:
    """Run earlier days on what silver holds, the oldest first; a day that fails does not keep the next from running."""
    from rfm.lake import open_lake
    from rfm.pipeline import backfill
    from rfm.pipeline.run_record import logged, written_versions
    from rfm.pipeline.stages import Ingested

    lake = open_lake(settings)
    held = backfill.kept_latest(settings, lake)  # never written, as the run itself overwrites these tables
    for day in days:
        try:
            with logged(lake, day, written_versions(lake)):
                headline = backfill.run_day(settings, held, day, ahead=Ingested([], 0, [], []))
            yield CaughtUp(day, headline, True, [])
        except RfmError as error:
            yield CaughtUp(day, str(error), False, [])


# ── waiting ────────────────────────────────────────────────────────────
def wait_for_files(settings: Settings, act: Callable[[], bool], every: float, say: Callable[[str], None]) -> None:
    """Run whenever a landing file is new or changed and has not grown for one interval; once at the start, too."""
    said: list[str] = []

    def look() -> tuple[Any, ...]:
        try:
            found = tuple(list_files(settings.landing, settings.files.pattern))
            said.clear()
            return found
        except RfmError as error:
            if said != [str(error)]:
                said[:] = [str(error)]
                say(str(error))
            return ()

    poll(look, act, lambda: time.sleep(every))


def poll(look: Callable[[], tuple[Any, ...]], act: Callable[[], bool], pause: Callable[[], None]) -> None:
    """Act on what is seen, once it is the same in two looks and not what was acted on before, until Ctrl-C in a pause."""
    before: tuple[Any, ...] = ()
    done: tuple[Any, ...] = ()
    while True:
        seen = look()
        if seen and seen == before and seen != done and act():
            done = seen
        before = seen
        try:
            pause()
        except KeyboardInterrupt:
            return


# ── run_date ────────────────────────────────────────────────────────────
OLDEST = dt.date(1990, 1, 1)  # sales before are odd: 1899, 1900 and 1970 are what programs write for no date
NEWEST_SALE = "newest sale in the files, as no file name has a date"
DATE = "InvoiceDate"


def run_date(settings: Settings) -> dt.date:
    """Return the run date: the one that was set, or the newest day in the names of the landing files.

    Where no name has a date, it is the day of the newest sale in the files, and a Python warning says so. Days
    before 1990 or after today do not count for that. Without any date it raises SettingsError.

    Examples
    --------
    >>> import rfm
    >>> settings = rfm.load_settings(date="2025-10-23")
    >>> rfm.run_date(settings)
    datetime.date(2025, 10, 23)
    """
    found, said = dated(settings)
    if said:
        warnings.warn(said, stacklevel=2)
    return found


def dated(settings: Settings) -> tuple[dt.date, str]:
    """Return the run date, and a notice if neither a setting nor a file name has it."""
    if found := named_date(settings):
        return found, ""
    found = newest_sale(settings)
    return found, f"run date {found}: {NEWEST_SALE}"


def named_date(settings: Settings) -> dt.date | None:
    """Return the run date that was set, or the newest one in a file's name, if there is any; no file is opened."""
    if settings.date:
        return settings.date
    files = list_files(settings.landing, settings.files.pattern)
    return max((file.file_date for file in files if file.file_date), default=None)


def newest(days: Iterable[dt.date], today: dt.date) -> dt.date | None:
    """Return the newest of some days on which a shop can have sold, if there is any."""
    return max((day for day in days if OLDEST <= day <= today), default=None)


def newest_sale(settings: Settings) -> dt.date:
    """Return the day of the newest line in the landing files that silver would keep."""
    found, today = OLDEST - dt.timedelta(days=1), dt.date.today()
    refused: list[str] = []
    for rows in _pieces(settings, refused):
        found = next(_newer(settings, rows, found, today), found)
    if found < OLDEST and refused:
        raise SettingsError(f"{settings.landing}: no file can be read; {refused[0]}")
    if found < OLDEST:
        raise SettingsError(
            f"{settings.landing}: no file has a date in its name, and no sale one between {OLDEST} and today; "
            "give the run date with --date"
        )
    return found


def _pieces(settings: Settings, refused: list[str]) -> Iterator[Any]:
    """Yield the lines of all files, some megabytes at a time; record why a run would refuse a file."""
    from rfm.landing.csv import ReadOptions, iter_tables

    system, root = filesystem(settings.landing)
    files, columns = settings.files, settings.columns.model_copy(update={"hash_customers": False})  # the rows are not kept
    options = ReadOptions(files.encoding, files.separator, columns, further=False, fill_down=files.fill_down)
    for file in list_files(settings.landing, files.pattern):
        try:
            with system.open(f"{root}/{file.source_file}", "rb") as source:
                yield from iter_tables(source, file.source_file, options)
        except InputError as error:
            refused.append(str(error))


def _newer(settings: Settings, rows: Any, than: dt.date, today: dt.date) -> Iterator[dt.date]:
    """Yield days newer than one of which silver would keep a line, the newest first; only lines of such days are cleaned."""
    import polars as pl  # heavy, and needless where a file's name has a date

    from rfm.analysis.cleaning import clean, judge

    lines = pl.DataFrame(pl.from_arrow(rows))
    dates = judge(lines.unique(DATE), dialect=settings.dialect).select(f"raw_{DATE}", DATE).drop_nulls().rows()
    while day := newest((one for _, one in dates if one > than), today):
        of_day = lines.filter(pl.col(DATE).is_in([text for text, one in dates if one == day]))
        silver, _ = clean(of_day, severities=settings.expectations, dialect=settings.dialect)
        if len(silver):
            yield day
        dates = [(text, one) for text, one in dates if one != day]
