"""The memory of a process and of all that it started, together, looked at from outside while they run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EVERY = 0.1  # seconds


class Watch:
    """The most memory that a tree of processes had at one of the looks, in MB: shared pages are counted once (PSS)."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most, self.over = pid, 0.0, threading.Event()

    def look(self) -> None:
        """Look until it is over."""
        while not self.over.wait(EVERY):
            self.most = max(self.most, sum(map(_megabytes, tree(self.pid))))


@contextmanager
def watched(pid: int) -> Iterator[Watch]:
    """Watch a process and its descendants; without ``/proc`` there is nothing to see, and `most` stays 0."""
    watch = Watch(pid)
    thread = threading.Thread(target=watch.look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join()


def tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children: list[str] = []
    with suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            children += listed.read_text().split()
    return [pid, *(each for child in children for each in tree(int(child)))]


def _megabytes(pid: int) -> float:
    """Return the memory of a process; none where it is over."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0]) / 1024
    return 0.0
