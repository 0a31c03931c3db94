"""Landing files in a folder or bucket: find them, read the dates in their names, and upload those of a day once."""

from __future__ import annotations

import datetime as dt
import fnmatch
import hashlib
import itertools
import mimetypes
import os
import re
import signal
import stat
import uuid
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec

from rfm.errors import InputError, SettingsError, as_user_error, friendly_io_errors, reject_credentials
from rfm.words import N_, _

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


# Names that a file has while it is sent (1), and names of files that are not sales (0), as patterns; a folder may have them too
TEMPORARY = {
    r"\..+\.[A-Za-z0-9]{6}": 1,  # rsync
    r"(?i).+\.(?:filepart|part|partial|tmp|temp|crdownload|download|opdownload|uploading)": 1,  # WinSCP, scp, FTP, browsers
    r"[.].*": 0,  # macOS, vim, LibreOffice, and whatever else is hidden
    r"~\$.*|#.*#|.*~|(?i:.*\.sw[a-p]|thumbs\.db|desktop\.ini)": 0,  # Office, Emacs, editors' copies, Windows
}
SENDING = N_("still being sent, as the name says")
HIDDEN, OTHER = "hidden or temporary, as the name says", "not like [files] pattern"
TWICE, OUTSIDE = "a link to what is read itself", "read through a link that leads out of the landing folder"
NOWHERE, CLOSED = N_("a link to nothing, or no file"), N_("may not be read")
REMEDIES = {
    SENDING: N_("a run reads it when it has its own name: {each}"),
    NOWHERE: N_("remove it: {each}"),
    CLOSED: N_("give the right to, then run again: {each}"),
}
SEVERITY = {SENDING: "warning", NOWHERE: "warning", CLOSED: "error"}  # of what is left; otherwise it is only noted
NAMED = 3  # files that a sentence names


class LandingFile(NamedTuple):
    """A landing file: its path under the folder, the date in its name, its size, and its token (ETag or time of change)."""

    source_file: str
    file_date: dt.date | None
    bytes: int
    token: str | None = None


class Listing(list[LandingFile]):
    """The landing files that are read; ``left`` names what is not, by reason."""

    left: Mapping[str, list[str]] = {}

    @property
    def said(self) -> list[tuple[str, str]]:
        """Severity and sentence of each reason."""
        some = [(why, names) for why, names in self.left.items() if names]
        said = [(why, _("{n} file(s) {why}", n=len(names), why=_(why)), _advised(why, names)) for why, names in some]
        return [(SEVERITY.get(why, "note"), f"{many}{advice}") for why, many, advice in said]


def _advised(why: str, names: list[str]) -> str:
    """Return what to do about files, if there is anything, and their names."""
    return f"; {_(REMEDIES[why], each=shown(names))}" if why in REMEDIES else f": {shown(names)}"


def shown(names: list[str]) -> str:
    """Return the first names of some, and how many more there are."""
    *first, last = names[:NAMED]
    more = len(names) - NAMED
    return ", ".join([*first, _("{file} and {n} more").format(file=last, n=f"{more:,}") if more > 0 else last])


def list_files(landing: str, pattern: str = "*_transactions.csv*", *, until: dt.date | None = None) -> Listing:
    """List the landing files that a run of a date sees.

    They come in order of date and name, from the folder or URL itself or from folders in it, also through links. Files with a
    name that senders and editors give while they work are left out; ``left`` of the result names them. ``until`` leaves out files
    dated later. A folder that is missing, or holds no such file, raises SettingsError.

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
    seen = Listing(file for file in files if until is None or file.file_date is None or file.file_date <= until)
    seen.left = files.left
    if not seen:
        first = min(file.file_date for file in files if file.file_date)
        raise SettingsError(f"{landing}: none of {len(files)} file(s) is dated up to {until}; the first is of {first}")
    return seen


def _find(landing: str, pattern: str) -> Listing:
    """Return all landing files in order of date and name."""
    system, root = filesystem(landing)
    found, left = walk(landing)
    kept = []
    for path in outside_reports(found):
        name = spelled(path.removeprefix(root).lstrip("/"))
        if why := temporary(name) or ("" if fnmatch.fnmatch(PurePosixPath(name).name, pattern) else OTHER):
            left[why].append(name)
        else:
            kept.append(LandingFile(name, date_in(name), int(found[path]["size"] or 0), _token(found[path])))
    if not kept:
        if "://" not in landing and not Path(root).exists():
            raise SettingsError(f"{landing}: there is no such folder; put daily files there, or make some with `rfm sample`")
        others = "; ".join(f"{len(some)} {why}{_advised(why, some)}" for why, some in left.items() if some) or "it is empty"
        raise SettingsError(
            f"{landing}: holds no file like {pattern} ({others}); put daily files there, or make some with `rfm sample`"
        )
    files = Listing(sorted(kept, key=lambda file: (file.file_date or dt.date.min, file.source_file)))
    files.left = left
    return files


def temporary(name: str) -> str:
    """Return what a path under a landing folder says of its file: that it is being sent, or no sales file; else nothing."""
    for part in reversed(PurePosixPath(name).parts):
        if (sent := next((sent for form, sent in TEMPORARY.items() if re.fullmatch(form, part)), None)) is not None:
            return SENDING if sent else HIDDEN
    return ""


def walk(landing: str) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Return all files under a folder or URL, each with its size and time, and what cannot be reached, by reason."""
    system, root = filesystem(landing)
    try:
        if "local" in system.protocol:
            return _walk_disk(root) if Path(root).is_dir() else ({}, defaultdict(list))
        return {path: info for path, info in system.find(root, detail=True).items() if info["type"] == "file"}, defaultdict(list)
    except Exception as error:
        raise as_user_error(error, f"{landing}: cannot be listed", REMEDIES[CLOSED].partition(":")[0], ValueError) from None


def _walk_disk(root: str) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Return the files in a folder; links are followed last, each to what is not there already."""
    top = os.path.realpath(root)
    found: dict[str, dict[str, Any]] = {}
    left: dict[str, list[str]] = defaultdict(list)
    seen, waiting = set(), deque([(root, top, False)])
    while waiting:
        path, real, linked = waiting.popleft()
        name = spelled(path.removeprefix(root).lstrip("/"))
        if linked and (real in seen or f"{top}/".startswith(f"{real.rstrip('/')}/")):
            left[TWICE].append(name)
            continue
        try:
            status = Path(path).stat()
            inside = sorted(os.scandir(path), key=attrgetter("name")) if stat.S_ISDIR(status.st_mode) else []
        except PermissionError:
            if path == root:
                raise
            left[CLOSED].append(name)
            continue
        except OSError:  # a link to nothing, or a file that was renamed in this moment
            left[NOWHERE] += [name] * linked
            continue
        seen.add(real)
        links = [entry for entry in inside if entry.is_symlink()]
        here = [(f"{path}/{entry.name}", f"{real}/{entry.name}", False) for entry in inside if not entry.is_symlink()]
        waiting.extendleft(reversed(here))
        waiting.extend((f"{path}/{entry.name}", os.path.realpath(entry), True) for entry in links)
        if stat.S_ISREG(status.st_mode):
            found[path] = {"size": status.st_size, "mtime": status.st_mtime}
            left[OUTSIDE] += [name] * (not real.startswith(f"{top}/"))
        elif not stat.S_ISDIR(status.st_mode):
            left[NOWHERE].append(name)
    return found, left


def still_arriving(path: str, file: LandingFile) -> str:
    """Return by what a file on a disk shows that it is not whole yet; nothing if it seems to be."""
    status = Path(path).stat()
    if file.token and (status.st_size, str(status.st_mtime)) != (file.bytes, file.token):
        return _("{file}: changes while it is read", file=file.source_file)
    writing = _("{file}: is open in a program that writes it", file=file.source_file)
    return writing if _is_being_written(path) else ""


def _is_being_written(path: str) -> bool:
    """Return True if a program on this computer has a file open to write it; False also where the system does not tell."""
    try:
        import fcntl

        with Path(path).open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored: who opens the file now must not end this run
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except (OSError, ImportError, AttributeError):  # another's file, a network disk, another system
        return False
    return False


def outside_reports(paths: Iterable[str]) -> list[str]:
    """Return the paths outside published sites, whose exports are no sales."""
    paths = list(paths)
    sites = tuple(path.removesuffix(SITE) for path in paths if path.endswith(f"/{SITE}"))
    return [path for path in paths if not path.startswith(sites)]


def spelled(name: str) -> str:
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
    with suppress(ValueError):
        return dt.datetime.strptime(text, form).date()
    return None


def has_files(landing: str) -> bool:
    """Return True if a landing folder holds any file that is not hidden."""
    _, root = filesystem(landing)
    return any(not temporary(path.removeprefix(root).lstrip("/")) for path in walk(landing)[0])


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
