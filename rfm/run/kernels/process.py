"""The caller's side of the warm process, and a handle on each kernel that it forks."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from rfm.run.warm import BOOT, ENVIRONMENT, IMPORT_ENVIRONMENT
from rfm.schema import RfmError

START_TIMEOUT = 120.0  # seconds for the imports, on a slow and busy machine
DIED = "the process that forks them died; run again, or set RFM_KERNELS=fresh"


class ForkedKernel:
    """What ``subprocess.Popen`` is for a child: a handle on a process that is a child of the warm process.

    Parameters
    ----------
    channel
        Socket on which the warm process sends the kernel's process id, or why there is none, and when the kernel has
        ended its exit code.
    """

    stdin = stdout = stderr = None

    def __init__(self, channel: socket.socket) -> None:
        self.returncode: int | None = None
        self._channel = channel
        self._lines = channel.makefile("rb", buffering=0)

    @cached_property
    def _started(self) -> str:
        """What the warm process says first."""
        if not select.select([self._channel], [], [], START_TIMEOUT)[0]:
            return f"importing took longer than {START_TIMEOUT:.0f} seconds; mend that or set RFM_KERNELS=fresh"
        with suppress(ConnectionError):
            return self._lines.readline().decode().strip() or DIED
        return DIED

    @property
    def pid(self) -> int:
        """The process id, waited for; RfmError if the kernel could not be forked."""
        if not self._started.isdecimal():
            raise RfmError(f"kernels for the notebooks: {self._started}")
        return int(self._started)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the kernel runs."""
        if self.returncode is None and self._started.isdecimal() and not select.select([self._channel], [], [], 0)[0]:
            return None
        return self.wait()

    def wait(self) -> int:
        """Wait for the kernel to end and return its exit code."""
        if self.returncode is None:
            self.returncode = self._exit_code() if self._started.isdecimal() else -signal.SIGKILL
            self._lines.close()
            self._channel.close()
        return self.returncode

    def _exit_code(self) -> int:
        """Return the exit code; if none comes, the warm process was killed and its kernels with it."""
        with suppress(ConnectionError, ValueError):
            return int(self._lines.readline())
        return -signal.SIGKILL

    def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel alone, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, signum)


class WarmProcess:
    """The caller's side of the process that imports once and forks kernels.

    Parameters
    ----------
    imports, later
        What it imports before the first kernel and between kernels, see `rfm.run.kernels.warm_kernels`.
    folder
        Directory that it removes if it outlives the caller.
    """

    def __init__(self, imports: Sequence[str], later: Sequence[str], folder: str) -> None:
        self._kernels: list[ForkedKernel] = []
        self._control, theirs = socket.socketpair()
        with theirs:
            root = str(Path(__file__).parents[3])
            given = [root, str(theirs.fileno()), folder, json.dumps(imports), json.dumps(later)]
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, *given],
                env={**ENVIRONMENT, **IMPORT_ENVIRONMENT, **os.environ},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fork(self, request: Mapping[str, Any]) -> ForkedKernel:
        """Ask for a kernel with ``argv`` (list), ``env`` (mapping) and ``cwd`` (text); raise RfmError if that is too late."""
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"\n"], [theirs.fileno()])
            channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            channel.close()
            raise RfmError(f"kernels for the notebooks: {DIED}") from None
        self._kernels.append(ForkedKernel(channel))
        return self._kernels[-1]

    def close(self) -> None:
        """End the warm process and every kernel that still runs."""
        self._control.close()
        if not self._kernels:  # it may still import
            self._process.kill()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
