"""Look at the published site on this computer; an open page loads itself again when a run lands."""

from __future__ import annotations

import errno
import io
import re
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

from rfm.schema import InputError

HOST = "127.0.0.1"
EVERY = 2000  # milliseconds between two looks at the list of runs
POLICY, WIDER = (
    "default-src 'none';",
    "default-src 'none'; connect-src 'self';",
)  # of a page as it lies there; as it is served
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
    """Return a server of the published site, for this computer alone; ``serve_forever`` starts it.

    The files stay as they are: what makes a page load itself again is added on the way.

    Parameters
    ----------
    reports
        Folder of the site.
    port
        Where; any free one if 0.

    Raises
    ------
    InputError
        No site lies there, or the port is taken.
    """
    if not (Path(reports) / "index.html").is_file():
        raise InputError(f"{reports}: no published report to serve; `rfm daily` makes one, `--reports` names its folder")
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Pages, directory=reports))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise InputError(f"port {port} is taken or not allowed; name another: rfm serve --port {port + 1}") from None


def awake(page: str) -> str:
    """Return a page that loads itself again when a run lands.

    Parameters
    ----------
    page
        As it was published: its policy lets in scripts with its nonce, and no connection.
    """
    found = re.search(r"script-src 'nonce-([0-9a-f]+)'", page)
    if not found:
        return page
    return page.replace(POLICY, WIDER, 1).replace("</head>", f'<script nonce="{found[1]}">{RELOAD}</script>\n</head>', 1)


class _Pages(SimpleHTTPRequestHandler):
    """The files of a site, its pages awake; says nothing on the terminal, answers no other name than this computer's."""

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Send what stands before the content, and return the content."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        address = self.path.partition("?")[0]
        path = Path(self.translate_path(self.path)) / ("index.html" if address.endswith("/") else "")
        if path.suffix != ".html" or not path.is_file():
            return super().send_head()
        content = awake(path.read_text(encoding="utf-8")).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        self.end_headers()
        return io.BytesIO(content)

    def end_headers(self) -> None:
        """Let the browser keep what is named by its content, and nothing else."""
        kept = "max-age=31536000, immutable" if self.path.startswith("/assets/") else "no-cache"
        self.send_header("Cache-Control", kept)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Show no folders, only pages."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""
