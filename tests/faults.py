"""Faults on request: chosen calls to the file system, or to Delta, fail with an error of one's choice.

Patched are the calls of Python code (`open`, `write`, `stat`, `scandir`, `listdir`, `mkdir`, `rename`, `replace`, `unlink`,
`fsync`) with a path under a folder, and the calls into delta-rs, which fail before or after they did their work. Not covered:
single system calls inside delta-rs and Polars, which are native code.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deltalake
import pytest

from rfm.lake.delta import TableCache

ERRORS = ("ENOSPC", "EACCES", "EIO", "ENOENT")
OS_CALLS = ("stat", "scandir", "listdir", "mkdir", "rename", "replace", "unlink", "fsync", "link", "rmdir")
WRITES = set("wax+")


@dataclass
class Faults:
    """Counts the calls that concern a folder; those whose numbers are keys of ``errors`` fail."""

    root: str
    errors: Mapping[int, str]
    seen: list[str] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def count(self, call: str, path: object, inside: bool = False) -> None:
        """Count a call; raise if it is its turn."""
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not (inside or text.startswith(self.root)):
            return
        place = len(self.seen)
        self.seen.append(f"{call} {Path(text).name}")
        if place in self.errors:
            self.failed.append(place)
            number = getattr(errno, self.errors[place])
            raise OSError(number, os.strerror(number), text)


class _Written:
    """A file whose writes count."""

    def __init__(self, file: Any, faults: Faults, path: object) -> None:
        self._file, self._faults, self._path = file, faults, path

    def write(self, content: Any) -> int:
        self._faults.count("write", self._path)
        return self._file.write(content)

    def __enter__(self) -> _Written:
        self._file.__enter__()
        return self

    def __exit__(self, *given: Any) -> Any:
        return self._file.__exit__(*given)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def faults(root: Path, errors: Mapping[int, str] | None = None) -> Iterator[Faults]:
    """Let the calls with some numbers, of those that concern a folder, fail."""
    found = Faults(str(root), errors or {})
    with pytest.MonkeyPatch.context() as patch:
        for name in OS_CALLS:
            patch.setattr(os, name, _counted(found, name, getattr(os, name)))
        opened = builtins.open

        def open_(path: Any, mode: str = "r", *given: Any, **more: Any) -> Any:
            found.count("open", path)
            file = opened(path, mode, *given, **more)
            return _Written(file, found, path) if WRITES & set(mode) and str(path).startswith(found.root) else file

        patch.setattr(builtins, "open", open_)
        patch.setattr(io, "open", open_)
        _patch_delta(patch, found)
        yield found


def _counted(found: Faults, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any = ".", *given: Any, **more: Any) -> Any:
        found.count(name, path)
        return real(path, *given, **more)

    return call


def _patch_delta(patch: pytest.MonkeyPatch, found: Faults) -> None:
    """Let calls into delta-rs count twice: before their work, and after it, when an answer gets lost."""

    def around(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            found.count(f"before {name}", "", inside=True)
            result = real(*given, **more)
            found.count(f"after {name}", "", inside=True)
            return result

        return call

    patch.setattr(deltalake, "write_deltalake", around("write", deltalake.write_deltalake))
    patch.setattr(deltalake.DeltaTable, "create", around("create", deltalake.DeltaTable.create))
    patch.setattr(deltalake.DeltaTable, "update_incremental", around("update", deltalake.DeltaTable.update_incremental))
    patch.setattr(TableCache, "_handle", around("open table", TableCache._handle))
