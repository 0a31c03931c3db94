"""Fast and fully isolated kernels for a chain of notebooks.

An ordinary kernel spends most of its life importing. Here one *warm process* does the imports once, while
the caller is busy with something else, and then forks a real ipykernel for each notebook: `rfm.run.warm`.
A fork shares nothing that it changes, so no notebook sees another's variables, settings or modules; it is
there in tenths of a second and shares the memory of the libraries.

What a library reads from the environment while it is imported (``OMP_NUM_THREADS``, ``PYTHONPATH``) is read
when the context is entered; everything else a kernel finds as it was when its notebook was started.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from rfm.run.warm import BOOT, ENVIRONMENT, IMPORT_ENVIRONMENT, READY, skip_slow_import
from rfm.schema import RfmError, SettingsError

__all__ = ["WARM_IMPORTS", "skip_slow_import", "warm_kernels"]

WARM_IMPORTS = (
    *("numpy", "pandas", "pandas.io.formats.html", "pyarrow", "polars", "narwhals", "deltalake"),
    *("pandera.polars", "pandera.backends.polars.container", "pydantic_settings"),
    *("scipy.spatial.distance", "sklearn.cluster", "sklearn.preprocessing"),
    *("matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    *("nbformat", "plotly.graph_objects", "plotly.io", "plotly.offline"),
    *("rfm", "rfm.schema", "rfm.settings", "rfm.core.*", "rfm.io.lake", "rfm.io.landing"),
)
"""What the notebooks of the chain import, and what their first figure and first check import behind the
scenes; ``package.*`` stands for every module of a package."""

MODES = ("forked", "fresh")
START_TIMEOUT = 120.0  # seconds for the imports, on a slow and busy machine
DIED = "kernels for the notebooks: the process that forks them died; run again, or set RFM_KERNELS=fresh"
LONGEST_FOLDER = 80  # characters; the path of a Unix socket has room for about a hundred


@contextmanager
def warm_kernels(imports: Sequence[str] = WARM_IMPORTS) -> Iterator[dict[str, Any]]:
    """Yield the arguments with which ``papermill.execute_notebook`` forks its kernel from a warm process.

    Parameters
    ----------
    imports
        Modules to import once for all kernels, see `WARM_IMPORTS`.

    Yields
    ------
    dict
        Keyword arguments. They are there at once: the imports go on beside the caller's work, and the first
        notebook waits for them. Where a fork is not known to be safe (not on Linux) and with
        ``RFM_KERNELS=fresh`` they start ordinary kernels instead: the same results, later.

    Raises
    ------
    SettingsError
        If ``RFM_KERNELS`` is neither ``forked`` nor ``fresh``.
    RfmError
        At the first notebook, if a module cannot be imported.
    """
    forked = _mode(os.environ, sys.platform) == "forked"
    with tempfile.TemporaryDirectory(prefix="rfm-", ignore_cleanup_errors=True) as folder:
        warm = WarmProcess(imports, folder) if forked else None
        try:
            manager = type("KernelManager", (NotebookKernelManager,), {"folder": Path(folder), "warm": warm})
            yield {"kernel_name": "python3", "language": "python", "kernel_manager_class": manager}
        finally:
            if warm:
                warm.close()


def _mode(environ: Mapping[str, str], platform: str) -> str:
    """Say which kernels are wanted: what ``RFM_KERNELS`` says, otherwise what the platform does well."""
    mode = environ.get("RFM_KERNELS") or ("forked" if platform == "linux" else "fresh")
    if mode not in MODES or (mode == "forked" and not hasattr(os, "fork")):
        raise SettingsError(f"RFM_KERNELS={mode}: not possible here; use {' or '.join(MODES)}, or unset it")
    return mode


class NotebookKernelManager(AsyncKernelManager):
    """Start kernels of this very interpreter, forked or fresh, whatever kernelspecs are installed."""

    folder: Path
    warm: "WarmProcess | None"

    def __init__(self, **kwargs: Any) -> None:
        """Reserve a connection file and, for a forked kernel, wait until the warm process is ready."""
        transport = "ipc" if os.name == "posix" and len(str(self.folder)) <= LONGEST_FOLDER else "tcp"
        connection = self.folder / f"{uuid.uuid4().hex[:8]}.json"
        super().__init__(transport=transport, connection_file=str(connection), **kwargs)
        if self.warm:
            self.warm.wait_until_ready()
            self.provisioner = ForkedProvisioner(parent=self, kernel_spec=self.kernel_spec)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel of the running interpreter."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")

    async def _async_pre_start_kernel(self, **kw: Any) -> Any:
        environment = kw.pop("env", None) or os.environ
        return await super()._async_pre_start_kernel(env={**ENVIRONMENT, **environment}, **kw)


class ForkedProvisioner(LocalProvisioner):
    """Fork kernels from the warm process of the manager; all else is as for a kernel started by ``Popen``."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a kernel with the arguments, environment and working directory of this launch."""
        self.cwd = str(kwargs.get("cwd") or Path.cwd())
        manager: Any = self.parent
        self.process = manager.warm.fork({"argv": cmd[2:], "env": kwargs["env"], "cwd": self.cwd})
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Signal the process group of the kernel, unless it has ended: its number may be another's by now."""
        if self.process and self.process.poll() is None:
            await super().send_signal(signum)


class ForkedKernel:
    """What ``subprocess.Popen`` is for a child: a handle on a process that is a child of the warm process.

    Parameters
    ----------
    channel
        Socket on which the warm process sends the kernel's process id and, when it has ended, its exit code.
    """

    stdin = stdout = stderr = None

    def __init__(self, channel: socket.socket) -> None:
        self.returncode: int | None = None
        self._channel = channel
        self._lines = channel.makefile("rb", buffering=0)
        self.pid = self._number()

    def _number(self) -> int:
        """Return the next number; if no more come, the warm process was killed and its kernels with it."""
        with suppress(ConnectionError, ValueError):
            return int(self._lines.readline())
        return -signal.SIGKILL

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the kernel runs."""
        if self.returncode is None and select.select([self._channel], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        """Wait for the kernel to end and return its exit code."""
        if self.returncode is None:
            self.returncode = self._number()
            self._lines.close()
            self._channel.close()
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel alone, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, signum)


class WarmProcess:
    """The caller's side of the process that imports once and forks kernels.

    Parameters
    ----------
    imports
        What it imports, see `WARM_IMPORTS`.
    folder
        Directory that it removes if it outlives the caller.
    """

    def __init__(self, imports: Sequence[str], folder: str) -> None:
        self._answer = ""
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_TIMEOUT)
        with theirs:
            root = str(Path(__file__).parents[2])
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, root, str(theirs.fileno()), folder, *imports],
                env={**ENVIRONMENT, **IMPORT_ENVIRONMENT, **os.environ},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait for the imports, at most `START_TIMEOUT` seconds; raise RfmError if one failed."""
        with self._lock:
            self._answer = self._answer or self._hear()
        if self._answer != READY:
            raise RfmError(f"kernels for the notebooks: {self._answer}; mend that or set RFM_KERNELS=fresh")

    def _hear(self) -> str:
        try:
            with self._control.makefile() as lines:
                return lines.readline().strip() or "the process that imports for them died"
        except TimeoutError:
            return f"importing took longer than {START_TIMEOUT:.0f} seconds"

    def fork(self, request: Mapping[str, Any]) -> ForkedKernel:
        """Fork a kernel with ``argv`` (list), ``env`` (mapping) and ``cwd`` (text); raise RfmError if that is too late."""
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"\n"], [theirs.fileno()])
            channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            channel.close()
            raise RfmError(DIED) from None
        kernel = ForkedKernel(channel)
        if kernel.pid < 0:
            kernel.wait()
            raise RfmError(DIED)
        return kernel

    def close(self) -> None:
        """End the warm process and every kernel that still runs."""
        self._control.close()
        if self._answer != READY:
            self._process.kill()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
