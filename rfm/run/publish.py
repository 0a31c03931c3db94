"""Send a site to where others read it: what changed, the front page last, no customer unless the shop says so.

A page is made once, with everything. What leaves the house is chosen here: the files that show no single customer, and
of their pages what does not lead to one (the parts between ``<!--own:…-->`` and ``<!--/own-->`` of the templates).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from rfm.run import exports
from rfm.run.pages import PAGES
from rfm.run.pages.customers import renamed
from rfm.run.storage import open_site, reaching, write
from rfm.schema import InputError, SettingsError
from rfm.sections import Publish

MANIFEST = "published.json"  # at the target: the files that were sent there, and the hashes of their content
KEY = "RFM_PUBLISH_KEY"  # environment variable
DAY = re.compile(r"(\d{4}-\d\d-\d\d)/(.+)")
OPEN = {*(page.file for page in PAGES if not page.private), "run.json"}  # of a day, for everybody
CUSTOMERS = {page.file for page in PAGES if page.private}
OWN = re.compile(r"<!--own:(\w+)-->.*?<!--/own-->", re.DOTALL)


class Sent(NamedTuple):
    """What `publish` did: names of the files sent, their bytes, number of files seen, names removed, the address."""

    sent: list[str]
    size: int
    seen: int
    removed: list[str]
    address: str


def publish(reports: str, target: str, choice: Publish) -> Sent:
    """Send a site to another place: assets, then days, last the front page; only what changed since the last time.

    What was sent before and may no longer be seen there is removed; nothing else is. Stopped half-way, it may be run again.

    Parameters
    ----------
    reports
        Folder or fsspec URL of the site.
    target
        Folder or fsspec URL to send it to.
    choice
        Whether customers go with it.

    Returns
    -------
    Sent

    Raises
    ------
    InputError
        There is no site, one of the places cannot be reached, the target is the site itself, or holds files of others
        by the same names.
    SettingsError
        Ids are to be hashed and there is no key.
    """
    shared({}, choice)  # a missing key is known before anything is sent
    with reaching(reports):
        home, root = open_site(reports)
        files = {path.removeprefix(f"{root}/"): path for path in home.find(root)}
    if "index.html" not in files:
        raise InputError(f"{reports}: no report is published yet; run `rfm daily` first")
    with reaching(target):
        there, place = open_site(target)
        if (there.protocol, place) == (home.protocol, root):
            raise InputError(f"{target}: is the site itself; publish it to another place")
        names = [name for name in files if _leaves(name, choice)]
        parts = (shared({name: home.cat_file(files[name]) for name in part}, choice) for part in _parts(names))
        return _send(there, place, names, parts, choice)


def shared(files: Mapping[str, bytes], choice: Publish) -> dict[str, bytes]:
    """Return the files of a site that leave the house, in their form for others: hashed ids, no way to what stays.

    Parameters
    ----------
    files
        Path in the site and content.
    choice
        Whether customers go with it.

    Raises
    ------
    SettingsError
        Ids are to be hashed and there is no key.
    """
    given = {name: content for name, content in files.items() if _leaves(name, choice)}
    hidden = {kind for kind, goes in (("customers", choice.customers), ("notebooks", _notebooks(choice))) if not goes}
    if choice.customers and choice.hash_ids:
        given = dict(_hashed(given))
    return {name: _without(content, hidden) if name.endswith(".html") else content for name, content in given.items()}


def _leaves(name: str, choice: Publish) -> bool:
    """Tell whether a file of the site may leave the house; one that is not known stays."""
    if name in {"index.html", "runs.json"} or name.startswith("assets/"):
        return True
    if not (found := DAY.fullmatch(name)):
        return False
    file = found[2]
    customers = file in CUSTOMERS or file.startswith(f"{exports.FOLDER}/")
    return file in OPEN or (customers and choice.customers) or (file.startswith("notebooks/") and _notebooks(choice))


def _notebooks(choice: Publish) -> bool:
    """Tell whether the executed notebooks leave the house: they show ids, and nothing can hash those."""
    return choice.customers and not choice.hash_ids


def _without(page: bytes, hidden: set[str]) -> bytes:
    """Return a page without the parts that lead to what stays at home."""
    return OWN.sub(lambda found: "" if found[1] in hidden else found[0], page.decode()).encode() if hidden else page


def _hashed(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Return files with each customer id as a keyed hash; the exports are made again from the file of all customers."""
    key = os.environ.get(KEY, "").encode()
    if not key:
        raise SettingsError(f"[publish] hash_ids needs a key: set {KEY} in the environment, and keep it")
    for name, content in files.items():
        day, _, file = name.partition("/")
        if file in CUSTOMERS:
            yield name, renamed(content.decode(), lambda id: exports.disguised(id, key)).encode()
        elif file == f"{exports.FOLDER}/{exports.ALL}.parquet":
            with tempfile.TemporaryDirectory(prefix="rfm-publish-") as folder:
                exports.rewritten(content, Path(folder), dt.date.fromisoformat(day), key)
                yield from ((f"{day}/{exports.FOLDER}/{path.name}", path.read_bytes()) for path in sorted(Path(folder).iterdir()))
        elif not file.startswith(f"{exports.FOLDER}/"):
            yield name, content


def _parts(names: Iterable[str]) -> list[list[str]]:
    """Return names in the order in which they are sent, cut into what is read at once: assets, each day, the front page."""
    order = sorted(names, key=lambda name: (name == "index.html", not name.startswith("assets/"), name))
    return [list(part) for _, part in groupby(order, key=lambda name: name.partition("/")[0])]


def _send(fs: Any, root: str, names: list[str], parts: Iterable[Mapping[str, bytes]], choice: Publish) -> Sent:
    """Bring the target to what is wanted."""
    known, sent = _manifest(fs, root), {}
    there = {path.removeprefix(f"{root}/"): info["size"] for path, info in fs.find(root, detail=True).items()}
    if foreign := sorted((there.keys() & set(names)) - known.keys()):
        raise InputError(
            f"{root}: holds {len(foreign)} files that `rfm publish` did not send, such as {foreign[0]}; "
            "choose another place, or move them away"
        )
    days = {name.partition("/")[0] for name in names}
    gone = [name for name in known if name not in names and (not _leaves(name, choice) or name.partition("/")[0] in days)]
    known |= {name: "" for name in names if name not in known}
    _note(fs, root, known)  # should it end half-way, the next one knows what is its own
    for name in {*gone} & there.keys():
        fs.rm_file(f"{root}/{name}")
    for part in parts:
        for name, content in part.items():
            digest = hashlib.sha256(content).hexdigest()
            if known[name] != digest or there.get(name) != len(content):
                write(fs, f"{root}/{name}", content)
                known[name], sent[name] = digest, len(content)
    _note(fs, root, {name: digest for name, digest in known.items() if name not in gone})
    address = f"{root}/index.html" if "local" in fs.protocol else fs.unstrip_protocol(f"{root}/index.html")
    return Sent([*sent], sum(sent.values()), len(names), gone, address)


def _manifest(fs: Any, root: str) -> dict[str, str]:
    """Return the files that were sent to a place, each with the hash of its content; an InputError says that it is none."""
    if not fs.exists(f"{root}/{MANIFEST}"):
        return {}
    try:
        return {str(name): str(digest) for name, digest in json.loads(fs.cat_file(f"{root}/{MANIFEST}")).items()}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{root}/{MANIFEST}: is not a list of published files ({error}); move it away") from None


def _note(fs: Any, root: str, files: Mapping[str, str]) -> None:
    """Write the list of the files that were sent."""
    write(fs, f"{root}/{MANIFEST}", (json.dumps(dict(sorted(files.items())), indent=1) + "\n").encode())
