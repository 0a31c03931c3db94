"""Landing files in a folder or bucket: find them, read the dates in their names, and upload those of a day once."""

from __future__ import annotations

import datetime as dt
import fnmatch
import hashlib
import itertools
import mimetypes
import os
import re
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from rfm.errors import InputError, SettingsError, as_user_error, friendly_io_errors, reject_credentials

S3 = ("s3://", "s3a://")
# a dead endpoint is given up after about 20 seconds; a busy one is asked again
PATIENCE = {"connect_timeout": 4, "read_timeout": 6, "retries": {"mode": "standard", "total_max_attempts": 3}}


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a folder or URL, and the path on it; listings of buckets are not cached."""
    # Credentials and endpoint come from the environment, a profile or a role. botocore knows the region as
    # AWS_DEFAULT_REGION only, other tools as AWS_REGION.
    region = {"region_name": os.environ["AWS_REGION"]} if os.environ.get("AWS_REGION") else {}
    bucket = reject_credentials(url).startswith(S3)
    options = {"use_listings_cache": False, "skip_instance_cache": True, "config_kwargs": PATIENCE, "client_kwargs": region}
    try:
        system, root = fsspec.core.url_to_fs(url, **(options if bucket else {}))
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{url}: {error}; use a folder or an s3:// address") from None
    if bucket:
        system.retries = 1  # PATIENCE says how often; s3fs would do all of that five times
    return system, root


def write_file(fs: Any, path: str, content: bytes) -> None:
    """Write a file atomically: readers see the old content or the new."""
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


def check_bucket_reachable(system: fsspec.AbstractFileSystem, root: str) -> None:
    """Ask a bucket for one name under a path: unlike `exists`, that fails with the reason if the bucket is out of reach."""
    if "s3" in system.protocol:
        bucket, _, prefix = root.partition("/")
        system.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)


TOKENS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "created")  # of these the first that a file system gives
SITE = "runs.json"  # marks the folder of a published site
DATES_IN_NAMES = {  # patterns of dates, and their formats; the first that is a day counts
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}": "%Y-%m-%d",
    r"(?<![0-9])(?:19|20)[0-9]{2}_[0-9]{2}_[0-9]{2}(?![0-9])": "%Y_%m_%d",
    r"(?<![0-9])(?:19|20)[0-9]{2}[.][0-9]{2}[.][0-9]{2}(?![0-9])": "%Y.%m.%d",
    r"(?<![0-9])[0-9]{2}[.][0-9]{2}[.](?:19|20)[0-9]{2}(?![0-9])": "%d.%m.%Y",
    r"(?<![0-9])(?:19|20)[0-9]{6}(?=[0-9]{6}(?![0-9])|(?![0-9]))": "%Y%m%d",  # a time may follow
}

BETWEEN_DATES = re.compile(r"[\s_.-]*(?:to|until|bis|au|al|a|tot|til|till|do|–|—)?[\s_.-]*", re.IGNORECASE)  # in a range of days


class LandingFile(NamedTuple):
    """A landing file: its path under the folder, the date in its name, its size, and its token (ETag or time of change)."""

    source_file: str
    file_date: dt.date | None
    bytes: int
    token: str | None = None


def list_files(landing: str, pattern: str = "*_transactions.csv*", *, until: dt.date | None = None) -> list[LandingFile]:
    """List the landing files that a run of a date sees.

    They come in order of date and name, from the folder or URL itself or from folders in it. ``until`` leaves out files dated
    later. A folder that is missing, or holds no such file, raises SettingsError.

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
        raise as_user_error(error, f"{landing}: cannot be listed", "", ValueError) from None
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
    """Return the paths outside published sites, whose exports are no sales."""
    paths = list(paths)
    sites = tuple(path.removesuffix(SITE) for path in paths if path.endswith(f"/{SITE}"))
    return [path for path in paths if not path.startswith(sites)]


def _spelled(name: str) -> str:
    r"""Return a file's name with bytes that are not UTF-8 escaped, as in ``caf\xe9.csv``: no table can hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _token(info: dict[str, Any]) -> str | None:
    """Return the token of a file, which changes with its content, if the file system has one."""
    token = next((info[name] for name in TOKENS if info.get(name)), None)
    return None if token is None else str(token).strip('"')


def date_in(path: str) -> dt.date | None:
    """Return the date in a file's name, of a range of days the last; None if there is none."""
    name = PurePosixPath(path).name
    for pattern, form in DATES_IN_NAMES.items():
        found = [(one, day) for one in re.finditer(pattern, name) if (day := _day(one.group(), form))]
        for (one, day), (other, until) in itertools.pairwise(found):
            if until >= day and BETWEEN_DATES.fullmatch(name[one.end() : other.start()]):
                return until
        if found:
            return found[0][1]
    return None


def _day(text: str, form: str) -> dt.date | None:
    """Return a date; None if there is no such day."""
    with suppress(ValueError):
        return dt.datetime.strptime(text, form).date()
    return None


def has_files(landing: str) -> bool:
    """Return True if a landing folder holds any file that is not hidden."""
    system, root = filesystem(landing)
    with friendly_io_errors(f"{landing}: cannot be listed"):
        return any(not PurePosixPath(path).name.startswith(".") for path in system.find(root))


# ── upload ────────────────────────────────────────────────────────────
AGAIN = "correct that, then run again"


class Sent(NamedTuple):
    """An uploaded file: its path, its address, its size, and whether it is new there."""

    source_file: str
    target: str
    bytes: int
    new: bool


def upload(landing: str, to: str, date: dt.date, pattern: str = "*_transactions.csv*") -> list[Sent]:
    """Upload the files of a day to ``<to>/<date>/<file>``, each whole and once."""
    landing, to = landing.rstrip("/"), to.rstrip("/")
    if f"{to}/".startswith(f"{landing}/"):
        raise SettingsError(f"{to}: is in the landing folder itself, so a run would read the file twice; name another --to")
    files = _of_day(landing, date, pattern)
    with friendly_io_errors(f"{landing}: cannot be read", AGAIN):
        source, root = filesystem(landing)
        contents = [source.cat_file(f"{root}/{file.source_file}") for file in files]
    with friendly_io_errors(f"{to}: cannot be uploaded to", AGAIN):
        check_bucket_reachable(*filesystem(to))
        there = [_lies_at(to, date, file, content) for file, content in zip(files, contents, strict=True)]
        return [_sent(to, date, *one) for one in zip(files, contents, there, strict=True)]


def _of_day(landing: str, date: dt.date, pattern: str) -> list[LandingFile]:
    """Return the files of a day, which must differ in name."""
    files = list_files(landing, pattern)
    found = [file for file in files if file.file_date == date]
    names = [PurePosixPath(file.source_file).name for file in found]
    if not found:
        newest = max((file.file_date for file in files if file.file_date), default="without a date")
        raise SettingsError(f"{landing}: none of {len(files)} file(s) is of {date}, the newest is {newest}; correct --date")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{landing}: {', '.join(twice)} is there {names.count(twice[0])} times; keep one of each")
    return found


def _lies_at(to: str, date: dt.date, file: LandingFile, content: bytes) -> str | None:
    """Return the address of the same file under a target, None if there is none; refuse another file of its name."""
    system, root = filesystem(to)
    name = PurePosixPath(file.source_file).name
    for place in (f"{date}/{name}", name):
        if system.exists(f"{root}/{place}"):
            return _same(system, f"{root}/{place}", f"{to}/{place}", content)
    return None


def _same(system: Any, path: str, shown: str, content: bytes) -> str:
    """Return the address of a file if it has this content; refuse it otherwise."""
    size = int(system.info(path)["size"])
    if size == len(content) and hashlib.sha256(system.cat_file(path)).digest() == hashlib.sha256(content).digest():
        return shown
    raise InputError(
        f"{shown}: another file of this name is there ({size:,} bytes, here {len(content):,}); nothing was sent; "
        "rename yours, or remove that one"
    )


def _sent(to: str, date: dt.date, file: LandingFile, content: bytes, there: str | None) -> Sent:
    """Upload a file unless it is there already."""
    if there:
        return Sent(file.source_file, there, len(content), new=False)
    system, root = filesystem(to)
    place = f"{date}/{PurePosixPath(file.source_file).name}"
    try:
        _put(system, f"{root}/{place}", content)
    except FileExistsError:  # another upload was faster
        return Sent(file.source_file, _same(system, f"{root}/{place}", f"{to}/{place}", content), len(content), new=False)
    return Sent(file.source_file, f"{to}/{place}", len(content), new=True)


def _put(system: Any, path: str, content: bytes) -> None:
    """Write a new file whole; raise FileExistsError if there is one."""
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
