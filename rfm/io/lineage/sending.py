"""Events on their way to a file or a server, sent by a thread so that no run waits for them or fails with them."""

from __future__ import annotations

import logging
import os
import queue
import threading
from pathlib import Path
from typing import Any

from rfm.errors import first_line
from rfm.io.lineage.moments import Moment, without_credentials

PATIENCE = 15.0  # seconds that the end of a run waits for the last event
CONFIGURED = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")


def told_where() -> bool:
    """Tell whether the client's own environment variables or files say where events go."""
    files = (Path.cwd() / "openlineage.yml", Path.home() / ".openlineage" / "openlineage.yml")
    return any(name.startswith(CONFIGURED) and value for name, value in os.environ.items()) or any(map(Path.is_file, files))


def switched_off() -> bool:
    """Tell whether the environment wants no events at all."""
    return os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true"


class Sender:
    """Sends the moments of one run, in order; after the first failure it gives up.

    Parameters
    ----------
    target
        File that takes the events, one a line, unless the environment names another place; of a URL
        (``s3://…``) the beginning of the names of files with one event each.
    """

    def __init__(self, target: str) -> None:
        self.target, self.trouble = target, ""
        self._queue: queue.SimpleQueue[Moment | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="lineage", daemon=True)
        self._off = switched_off()

    def send(self, moment: Moment) -> None:
        """Take a moment to be sent; return at once."""
        if self._off:
            return
        self._queue.put(moment)
        if self._thread.ident is None:
            self._thread.start()

    def close(self, patience: float = PATIENCE) -> list[str]:
        """Wait for the last event and return what `said` returns."""
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(patience)
        if self._thread.is_alive():
            self.trouble = self.trouble or f"no answer within {patience:g} seconds"
        return self.said()

    def said(self) -> list[str]:
        """Return what has gone wrong so far, in one line, or none; the same line however often it is asked."""
        return [f"lineage: events are not sent: {self.trouble}"] if self.trouble else []

    def _work(self) -> None:
        """Send what arrives until the end; an error of any kind is kept in words."""
        client = None
        while moment := self._queue.get():
            try:
                if not self.trouble:
                    client = client or open_client(self.target)
                    _emit(client, moment)
            except Exception as error:  # noqa: BLE001 (a run never fails with its lineage)
                self.trouble = without_credentials(f"{type(error).__name__}: {first_line(error)}")
        if client and not self.trouble:
            client.close(PATIENCE)


def open_client(target: str) -> Any:
    """Return OpenLineage's client, sending where the environment says, or else to files.

    Parameters
    ----------
    target
        As for `Sender`.
    """
    from openlineage.client import OpenLineageClient

    if "OPENLINEAGE_CLIENT_LOGGING" not in os.environ:
        logging.getLogger("openlineage").setLevel(logging.CRITICAL)  # a failure is told as a warning of the run
    if told_where():
        return OpenLineageClient()
    from openlineage.client.transport.file import FileConfig, FileTransport

    remote = "://" in target
    if not remote:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
    return OpenLineageClient(transport=FileTransport(FileConfig(target, append=not remote)))


def _emit(client: Any, moment: Moment) -> None:
    """Make the event of a moment and send it."""
    from rfm.io.lineage.events import event

    client.emit(event(moment))
