"""A large file fetched from the web, once: a download that broke off goes on where it stopped."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from rfm.schema import InputError

PATIENCE = 30  # seconds without a byte
PIECE = 1 << 20  # bytes
COMPLETE = 416  # the answer to a range that begins at the end of the file


def download(url: str, folder: str | Path, sha256: str = "") -> tuple[Path, str]:
    """Fetch a file unless it is there, and tell its checksum.

    Parameters
    ----------
    url
        Its http or https address.
    folder
        Where it goes; made if missing. A file appears whole or not at all: what is not complete ends in ``.part``.
    sha256
        Checksum that the file must have, in hexadecimal; any if empty.

    Returns
    -------
    tuple
        Where the file lies, and its checksum.

    Raises
    ------
    InputError
        If the server cannot be reached or breaks off, or the checksum is another.
    """
    target = Path(folder) / (PurePosixPath(unquote(urlsplit(url).path)).name or "archive")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        part = target.with_name(target.name + ".part")
        _complete(url, part)
        _check(url, part, sha256)
        part.replace(target)
    return target, _check(str(target), target, sha256)


def _check(said: str, file: Path, sha256: str) -> str:
    """Return the checksum of a file; remove a file that has another than it must have."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if sha256 and found != sha256:
        file.unlink()
        remedy = "run again, and if that does not help, see whether the archive has changed"
        raise InputError(f"{said}: sha256 is {found}, not {sha256} as [archive] in rfm.toml says; it was removed: {remedy}")
    return found


def _complete(url: str, part: Path) -> None:
    """Fetch what is missing of a file."""
    had = part.stat().st_size if part.exists() else 0
    try:
        with _ask(url, had) as answer:
            goes_on = answer.status == http.client.PARTIAL_CONTENT and _starts(answer) == had
            with part.open("ab" if goes_on else "wb") as file:
                missing = _copy(answer, file)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != COMPLETE or not had:
            raise InputError(f"{url}: the server answers {error.code} {error.reason}; see `url` under [archive]") from None
        if not str(error.headers.get("Content-Range", "")).endswith(f"/{had}"):  # else all was there already
            part.unlink()
            _complete(url, part)
        return
    except (OSError, http.client.HTTPException) as error:
        raise InputError(_broken(url, part, str(getattr(error, "reason", None) or error or type(error).__name__))) from None
    if missing:
        raise InputError(_broken(url, part, f"{missing:,} bytes are missing"))


def _ask(url: str, start: int) -> Any:
    """Return the answer of a server that is asked for a file from a byte on."""
    headers = {"User-Agent": "rfm"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE)


def _starts(answer: Any) -> int | None:
    """Return the byte that a part of a file begins with."""
    found = re.match(r"bytes ([0-9]+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _copy(answer: Any, file: BinaryIO) -> int:
    """Write an answer to a file; return the bytes that were announced and did not come."""
    announced, come = int(answer.headers.get("Content-Length") or 0), 0
    while piece := answer.read(PIECE):
        come += file.write(piece)
    return max(announced - come, 0)


def _broken(url: str, part: Path, reason: str) -> str:
    """Say that a download broke off, and what is there."""
    had = part.stat().st_size if part.exists() else 0
    kept = f" after {had / 1e6:,.1f} MB; run again, it goes on from there" if had else ""
    byhand = "or fetch the file by another way and name it: `rfm prepare FILE`"
    return f"{url}: cannot be fetched ({reason}){kept or '; see whether this computer is online and run again'}, {byhand}"
