"""Where a site lies, a folder or a bucket: write its files, publish it to another place, serve it on this computer.

A page is built once, complete. `publishable_files` removes what may not leave the shop, such as the parts of a page
between ``<!--own:…-->`` and ``<!--/own-->``.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rfm import errors
from rfm.config import Publish
from rfm.dialect import Rules
from rfm.errors import InputError, SettingsError
from rfm.landing.decode import pseudonymize
from rfm.landing.files import check_bucket_reachable, filesystem, write_file
from rfm.report import customers as exports
from rfm.report.compare import PRODUCTS
from rfm.report.customers import renamed
from rfm.report.notebooks import FOLDER as NOTEBOOKS
from rfm.report.pages import BRIEF, PAGES


def reaching_site(reports: str) -> AbstractContextManager[None]:
    """Turn errors of the disk or the network into one line."""
    return errors.friendly_io_errors(f"{reports}: cannot be published to", "fix that first")


def open_site(reports: str) -> tuple[Any, str]:
    """Return the file system and the root of the site, without a cached listing."""
    try:
        fs, root = filesystem(reports)
    except SettingsError as error:
        raise InputError(f"{reports}: is neither a folder nor a known URL ({error})") from None
    return fs, root.rstrip("/")


def address_of(fs: Any, root: str) -> str:
    """Return where the front page of a site is: a path or a URL."""
    front: str = f"{root}/index.html"
    return front if "local" in fs.protocol else str(fs.unstrip_protocol(front))


def read_runs(fs: Any, root: str) -> dict[str, Any]:
    """Return the list of runs; an empty one for a new site."""
    check_bucket_reachable(fs, root)
    if not fs.exists(f"{root}/runs.json"):
        return {"runs": [], "newest": None}
    try:
        site = json.loads(fs.cat_file(f"{root}/runs.json"))
        for run, shape in ((site["newest"], NEWEST), *((run, ENTRY) for run in site["runs"])):
            _ = run_date_of(run), run["status"], _of_shape(run, shape)
        return site
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise InputError(f"{root}/runs.json: is not a list of runs ({type(error).__name__}); move it away") from error


def run_date_of(record: Mapping[str, Any]) -> str:
    """Return the run date, which becomes the name of a folder; raise InputError if it is no date."""
    given = record.get("run_date")
    try:
        return dt.date.fromisoformat(str(given)).isoformat()
    except ValueError:
        raise InputError(f"run record: run_date is {errors.shown(given)}, not a date like 2025-10-23") from None


def published_record(reports: str, day: dt.date) -> dict[str, Any]:
    """Return the record of a published day."""
    with reaching_site(reports):
        system, root = open_site(reports)
        place = f"{root}/{day}/run.json"
        if not system.exists(place):
            raise InputError(f"{reports}: no report of {day} is published; `rfm status` lists the days that are")
        text = system.cat_file(place)
    try:
        return _checked(json.loads(text), day)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, InputError) as error:
        raise InputError(f"{place}: is not a run record ({type(error).__name__}); publish the day again") from None


# of what each kind is, if it is there: the parts of a record, of the newest run in the list of runs, and of the others in it
SHAPE: dict[str, Any] = {
    **{"stages": list, "warnings": list, "errors": list, "status": str, "started": str, "seconds": int | float},
    **dict.fromkeys(("code", "parameters", "settings", "tables", "summary", "stability", "versions"), dict),
}
ENTRY: dict[str, Any] = {**SHAPE, "warnings": int, "segments": dict}
NEWEST: dict[str, Any] = {**SHAPE, "figures": dict}
NEVER_NULL = ("segments", "figures", "warnings")


def _of_shape(record: Mapping[str, Any], shape: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record whose parts are what they have to be; raise ValueError for another."""
    for name, kind in shape.items():
        found = record.get(name)
        if name in record and not isinstance(found, kind) and (found is not None or name in NEVER_NULL):
            raise ValueError(f"{name} is a {type(found).__name__}")
    summary = record.get("summary", {"segments": []}) if shape is NEWEST else record.get("summary") or {"segments": []}
    _ = [{**part} for part in (*(record.get("tables") or {}).values(), *summary["segments"])]
    if (started := record.get("started")) is not None:
        dt.datetime.fromisoformat(started)
    return record


def _checked(record: dict[str, Any], day: dt.date) -> dict[str, Any]:
    """Return the record if day, stages and settings are valid; a person may have edited it."""
    if run_date_of(record) != day.isoformat():
        raise ValueError(f"it is of {record['run_date']}")
    _of_shape(record, SHAPE)
    for stage in record.get("stages", ()):
        states = {**stage.get("reads", {}), **stage.get("writes", {})}
        _ = f"{stage['name']:s}", [int(state["version"]) for state in states.values()]
    for name in ("parameters", "settings"):
        _ = {**record.get(name, {})}
    Rules.model_validate(record.get("settings", {}).get("rules", {}))
    return record


# ── publish ────────────────────────────────────────────────────────────
MANIFEST = "published.json"  # at the target: the files sent there, and the hashes of their content
KEY = "RFM_PUBLISH_KEY"  # environment variable
SHORTEST_KEY = 16  # characters; a shorter one is found by trying
DAY = re.compile(r"(\d{4}-\d\d-\d\d)/(.+)")
OPEN = {*(page.file for page in PAGES if not page.private), *BRIEF, PRODUCTS, "run.json"}  # of a day; everybody may read them
CUSTOMERS = {page.file for page in PAGES if page.private}
OWN = re.compile(r"<!--own:(\w+)-->.*?<!--/own-->", re.DOTALL)


class Sent(NamedTuple):
    """What `publish` did: files sent, their bytes, number of files seen, files removed, the address."""

    sent: list[str]
    size: int
    seen: int
    removed: list[str]
    address: str


def publish(reports: str, target: str, choice: Publish) -> Sent:
    """Copy a site to another place: files that changed since the last time; what may no longer be seen there is removed."""
    publishable_files({}, choice)  # fails without a key before anything is sent
    with reaching_site(reports):
        home, root = open_site(reports)
        files = {path.removeprefix(f"{root}/"): path for path in home.find(root)}
    if "index.html" not in files:
        raise InputError(f"{reports}: no report is published yet; run `rfm daily` first")
    with reaching_site(target):
        there, place = open_site(target)
        if (there.protocol, place) == (home.protocol, root):
            raise InputError(f"{target}: is the site itself; publish it to another place")
        names = [name for name in files if _may_leave(name, choice)]
        parts = (publishable_files({name: home.cat_file(files[name]) for name in part}, choice) for part in _parts(names))
        return _send(there, place, names, parts, choice)


def publishable_files(files: Mapping[str, bytes], choice: Publish) -> dict[str, bytes]:
    """Return the files of a site that may be published, with hashed ids and without links to the files that may not."""
    given = {name: content for name, content in files.items() if _may_leave(name, choice)}
    hidden = {kind for kind, goes in (("customers", choice.customers), ("notebooks", _notebooks(choice))) if not goes}
    if choice.customers and choice.hash_ids:
        given = dict(_hashed(given))
    return {name: _without(content, hidden) if name.endswith(".html") else content for name, content in given.items()}


def _may_leave(name: str, choice: Publish) -> bool:
    """Return True if a file of the site may be published; an unknown file may not."""
    if name in {"index.html", "runs.json"} or name.startswith("assets/"):
        return True
    if not (found := DAY.fullmatch(name)):
        return False
    file = found[2]
    customers = file in CUSTOMERS or file.startswith(f"{exports.FOLDER}/")
    return file in OPEN or (customers and choice.customers) or (file.startswith(f"{NOTEBOOKS}/") and _notebooks(choice))


def _notebooks(choice: Publish) -> bool:
    """Return True if executed notebooks may be published: they show customer ids, which cannot be hashed."""
    return choice.customers and not choice.hash_ids


def _without(page: bytes, hidden: set[str]) -> bytes:
    """Return a page without the parts that link to hidden pages."""
    return OWN.sub(lambda found: "" if found[1] in hidden else found[0], page.decode()).encode() if hidden else page


def _hashed(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield files with each customer id as a keyed hash; the lists are written again from the file of all customers."""
    key = os.environ.get(KEY, "").encode()
    if len(key) < SHORTEST_KEY:
        raise SettingsError(
            f"[publish] hash_ids needs a key: set {KEY} in the environment to {SHORTEST_KEY} characters or more, and keep it"
        )
    for name, content in files.items():
        day, _, file = name.partition("/")
        if file in CUSTOMERS | {PAGES[0].file}:
            yield name, renamed(content.decode(), lambda id: pseudonymize(id, key)).encode()
        elif file == f"{exports.FOLDER}/{exports.ALL}.parquet":
            with tempfile.TemporaryDirectory(prefix="rfm-publish-") as folder:
                exports.rewrite_exports(content, Path(folder), dt.date.fromisoformat(day), key)
                yield from ((f"{day}/{exports.FOLDER}/{path.name}", path.read_bytes()) for path in sorted(Path(folder).iterdir()))
        elif not file.startswith(f"{exports.FOLDER}/"):
            yield name, content


def _parts(names: Iterable[str]) -> list[list[str]]:
    """Return names in the order in which they are sent, in groups that are read at once: assets, each day, the front page."""
    order = sorted(names, key=lambda name: (name == "index.html", not name.startswith("assets/"), name))
    return [list(part) for _, part in groupby(order, key=lambda name: name.partition("/")[0])]


def _send(fs: Any, root: str, names: list[str], parts: Iterable[Mapping[str, bytes]], choice: Publish) -> Sent:
    """Write the changed files to the target and remove the files that may no longer be there."""
    known, sent = _manifest(fs, root), {}
    there = {path.removeprefix(f"{root}/"): info["size"] for path, info in fs.find(root, detail=True).items()}
    if foreign := sorted((there.keys() & set(names)) - known.keys()):
        raise InputError(
            f"{root}: holds {len(foreign)} files that `rfm publish` did not send, such as {foreign[0]}; "
            "choose another place, or move them away"
        )
    days = {name.partition("/")[0] for name in names}
    gone = [name for name in known if name not in names and (not _may_leave(name, choice) or name.partition("/")[0] in days)]
    known |= {name: "" for name in names if name not in known}
    _note(fs, root, known)  # after an interruption the next run knows these files as its own
    for name in {*gone} & there.keys():
        fs.rm_file(f"{root}/{name}")
    for part in parts:
        for name, content in part.items():
            digest = hashlib.sha256(content).hexdigest()
            if known[name] != digest or there.get(name) != len(content):
                write_file(fs, f"{root}/{name}", content)
                known[name], sent[name] = digest, len(content)
    _note(fs, root, {name: digest for name, digest in known.items() if name not in gone})
    return Sent([*sent], sum(sent.values()), len(names), gone, address_of(fs, root))


def _manifest(fs: Any, root: str) -> dict[str, str]:
    """Return the files that were sent to a place, each with the hash of its content."""
    if not fs.exists(f"{root}/{MANIFEST}"):
        return {}
    try:
        return {str(name): str(digest) for name, digest in json.loads(fs.cat_file(f"{root}/{MANIFEST}")).items()}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{root}/{MANIFEST}: is not a list of published files ({error}); move it away") from None


def _note(fs: Any, root: str, files: Mapping[str, str]) -> None:
    """Write the list of files that were sent."""
    write_file(fs, f"{root}/{MANIFEST}", (json.dumps(dict(sorted(files.items())), indent=1) + "\n").encode())


# ── serve ────────────────────────────────────────────────────────────
HOST = "127.0.0.1"
LONGEST_PATH = 2000  # characters of an address; a longer one is no page
EVERY = 2000  # milliseconds between two checks of the list of runs
POLICY, SERVED_POLICY = "default-src 'none';", "default-src 'none'; connect-src 'self';"  # of a page as a file, and as served
RELOAD = f"""
let seen;
const look = async () => {{
  const answer = await fetch("/runs.json", {{ method: "HEAD", cache: "no-store" }}).catch(() => null);
  const landed = answer?.headers.get("Last-Modified");
  if (seen && landed && landed !== seen) location.reload();
  seen = landed ?? seen;
  setTimeout(look, {EVERY});
}};
look();
"""


def server(reports: str, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of the published site on localhost; the files stay unchanged, live reload is added to the responses."""
    if not (Path(reports) / "index.html").is_file():
        raise InputError(f"{reports}: no published report to serve; `rfm daily` makes one, `--reports` names its folder")
    try:
        return _Server((HOST, port), partial(_Pages, directory=reports))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise InputError(f"port {port} is taken or not allowed; name another: rfm serve --port {port + 1}") from None


def inject_live_reload(page: str) -> str:
    """Return a page that reloads when a run is published."""
    found = re.search(r"script-src 'nonce-([0-9a-f]+)'", page)
    if not found:
        return page
    return page.replace(POLICY, SERVED_POLICY, 1).replace("</head>", f'<script nonce="{found[1]}">{RELOAD}</script>\n</head>', 1)


class _Server(ThreadingHTTPServer):
    """A server that says nothing of a browser that leaves in the middle."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show what went wrong with a request, unless its sender left."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Pages(SimpleHTTPRequestHandler):
    """Serve the site on localhost with live reload; no request log, no other host name."""

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Send the headers and return the content."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        if "%00" in self.path or "\0" in self.path or len(self.path) > LONGEST_PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        address = self.path.partition("?")[0]
        path = Path(self.translate_path(self.path)) / ("index.html" if address.endswith("/") else "")
        if path.suffix != ".html" or not path.is_file():
            return super().send_head()
        content = inject_live_reload(path.read_text(encoding="utf-8")).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        self.end_headers()
        return io.BytesIO(content)

    def end_headers(self) -> None:
        """Let the browser cache only files whose names hold the hash of their content."""
        kept = "max-age=31536000, immutable" if getattr(self, "path", "").startswith("/assets/") else "no-cache"
        self.send_header("Cache-Control", kept)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Refuse to list folders."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
