"""What can be made of a site while the chain still runs: the pages whose tables stand, the notebooks that have run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from rfm.run import exports
from rfm.run.pages import PAGES, RunTables, customers
from rfm.run.site import notebooks
from rfm.run.stages import TABLES_STAND
from rfm.settings import Settings


class Ahead:
    """Make parts of a site in a thread beside the stages of a run; leaving the context drops what nobody waits for.

    Parameters
    ----------
    settings
        Where the lake is.
    work
        Folder of the run.
    """

    def __init__(self, settings: Settings, work: Path) -> None:
        self.settings, self.work = settings, work
        self._thread = ThreadPoolExecutor(1, "rfm-site")
        self._parts: dict[str, Future[Any]] = {}

    def __enter__(self) -> Ahead:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the part that is being made, and forget the others."""
        self._thread.shutdown(cancel_futures=True)

    def begin(self, record: Mapping[str, Any]) -> None:
        """Begin with what the newest stage of the record has made possible.

        Parameters
        ----------
        record
            The run record so far.
        """
        name = record["stages"][-1]["name"]
        tables = RunTables(self.settings, {**record, "stages": list(record["stages"])})
        for page in (page for page in PAGES if page.after == name):
            self._make(page.file, partial(page.build, tables))
        if name == TABLES_STAND:
            self._make(exports.FOLDER, partial(export, tables, self.work))
        self._make(f"{name}.ipynb", partial(notebooks.shown, self.work, name))

    def made(self, part: str, make: Callable[[], Any]) -> Any:
        """Return a part, waiting for it; one that was not begun is made now.

        Parameters
        ----------
        part
            Its name.
        make
            Makes it.
        """
        return self._parts[part].result() if part in self._parts else make()

    def _make(self, part: str, make: Callable[[], Any]) -> None:
        self._parts[part] = self._thread.submit(make)


def export(tables: RunTables, work: Path) -> None:
    """Write the exports of a run.

    Parameters
    ----------
    tables
        Of the run.
    work
        Its folder.
    """
    exports.write(customers.listing(tables), work / exports.FOLDER, tables.day)
