"""The caller's side of the warm process, and a handle on each kernel that it forks.

Kernels as notebooks are given them: started one ahead, ended without waiting for the end.

Fast and fully isolated kernels for a chain of notebooks.

An ordinary kernel spends most of its life importing. Here one *warm process* does the imports once, while
the caller is busy with something else, and forks a real ipykernel for each notebook: `rfm.pipeline.fork_server`.
A fork shares nothing that it changes, so no notebook sees another's variables, settings or modules; it is
there in tenths of a second and shares the memory of the libraries. The next kernel starts while a notebook
still runs, and one whose notebook is done ends by itself.

What a library reads from the environment while it is imported (``OMP_NUM_THREADS``, ``PYTHONPATH``) is read
when the context is entered; everything else a kernel finds as it was when the notebook before was started.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from jupyter_client.utils import run_sync
from zmq import ZMQError

from rfm.errors import RfmError, SettingsError
from rfm.pipeline.fork_server import BOOT, ENVIRONMENT, IMPORT_ENVIRONMENT

# ── process ────────────────────────────────────────────────────────────
START_TIMEOUT = 120.0  # seconds for the imports, on a slow and busy machine
DIED = "the process that forks them died; run again, or set RFM_KERNELS=fresh"


class ForkedKernel:
    """What ``subprocess.Popen`` is for a child: a handle on a process that is a child of the warm process."""

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
    """The caller's side of the process that imports once and forks kernels."""

    def __init__(self, imports: Sequence[str], later: Sequence[str], folder: str) -> None:
        self._kernels: list[ForkedKernel] = []
        self._control, theirs = socket.socketpair()
        with theirs:
            root = str(Path(__file__).parents[2])
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


# ── manager ────────────────────────────────────────────────────────────
LONGEST_FOLDER = 80  # bytes; the path of a Unix socket has room for about a hundred


class Kernels:
    """A kernel for each notebook of a run; leaving the context ends them all."""

    def __init__(self, folder: Path, warm: WarmProcess | None) -> None:
        self.folder, self.warm = folder, warm
        self._spare: NotebookKernelManager | None = None
        self._ending: list[NotebookKernelManager] = []

    def __enter__(self) -> Kernels:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the kernels that were asked to end, a few seconds; end them all."""
        for manager in self._ending:
            manager.end()
        if self._spare:
            run_sync(self._spare.shutdown_kernel)(now=True)

    @contextmanager
    def kernel(self, last: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the arguments with which ``papermill.execute_notebook`` runs one notebook in a kernel of its own."""
        manager = self._next()
        try:
            if self.warm:
                manager.wait_for_imports()
            self._spare = None if last else NotebookKernelManager.started(self.folder, self.warm)
            yield {"kernel_name": "python3", "language": "python", "km": manager}
        except BaseException:
            run_sync(manager.shutdown_kernel)()
            raise
        manager.ask_to_end()
        self._ending.append(manager)

    def _next(self) -> NotebookKernelManager:
        """Return the kernel that was started ahead, unless folder or environment have changed since, or else a new one."""
        spare, self._spare = self._spare, None
        if spare and spare.found == _surroundings():
            return spare
        if spare:
            run_sync(spare.shutdown_kernel)(now=True)
        return NotebookKernelManager.started(self.folder, self.warm)


def _surroundings() -> tuple[str, dict[str, str]]:
    """Return what a kernel finds: working directory and environment."""
    return str(Path.cwd()), dict(os.environ)


class NotebookKernelClient(AsyncKernelClient):
    """A client that takes the kernel as ready when it has answered on both ways, without listening for silence after that.

    Nobody else speaks with the kernel, and nbclient knows by itself to which request an answer belongs.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait for an answer and for what is published about it; RuntimeError if the kernel dies or ``timeout`` seconds pass."""
        end = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < end and await self.is_alive():
            self.kernel_info()
            with suppress(Empty):
                await self.get_shell_msg(timeout=1)
                await self.get_iopub_msg(timeout=0.2)
                return
        raise RuntimeError("the kernel did not start")


class NotebookKernelManager(AsyncKernelManager):
    """Start a kernel of this very interpreter, forked or fresh, whatever kernelspecs are installed."""

    def __init__(self, folder: Path, warm: WarmProcess | None) -> None:
        transport = "ipc" if os.name == "posix" and len(os.fsencode(folder)) <= LONGEST_FOLDER else "tcp"
        connection = str(folder / f"{uuid.uuid4().hex[:8]}.json")
        super().__init__(transport=transport, connection_file=connection, client_factory=NotebookKernelClient)
        self.found = _surroundings()
        self._client: AsyncKernelClient | None = None
        if warm:
            self.provisioner = ForkedProvisioner(parent=self, kernel_spec=self.kernel_spec, warm=warm)

    @classmethod
    def started(cls, folder: Path, warm: WarmProcess | None) -> NotebookKernelManager:
        """Start a kernel and return what speaks with it, without waiting for it; parameters as for `Kernels`."""
        manager = cls(folder, warm)
        run_sync(manager.start_kernel)()
        return manager

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel of the running interpreter."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")

    def client(self, **kwargs: Any) -> Any:
        """Return a client, as of any manager, and remember it."""
        self._client = super().client(**kwargs)
        return self._client

    def wait_for_imports(self) -> None:
        """Wait until the warm process has forked the kernel; RfmError if it could not."""
        forked: Any = self.provisioner
        _ = forked.process.pid

    def ask_to_end(self) -> None:
        """Ask the kernel to end, without waiting for it."""
        if self._client:
            self._client.stop_channels()
        with suppress(ZMQError):  # it died before anybody spoke with it
            run_sync(self.request_shutdown)()

    def end(self) -> None:
        """Wait for the end of a kernel that was asked to, kill it if it takes too long, and clean up."""
        run_sync(self.finish_shutdown)()
        run_sync(self.cleanup_resources)()

    async def _async_pre_start_kernel(self, **kw: Any) -> Any:
        environment = kw.pop("env", None) or os.environ
        return await super()._async_pre_start_kernel(env={**ENVIRONMENT, **environment}, **kw)


class ForkedProvisioner(LocalProvisioner):
    """Fork a kernel from a warm process; all else is as for a kernel started by ``Popen``."""

    def __init__(self, warm: WarmProcess, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warm = warm

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Ask for a kernel with the arguments, environment and working directory of this launch."""
        self.cwd = str(kwargs.get("cwd") or Path.cwd())
        forked: Any = self._warm.fork({"argv": cmd[2:], "env": kwargs["env"], "cwd": self.cwd})
        self.process = forked
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Signal the process group of the kernel, unless it has ended: its number may be another's by now."""
        if self.process and self.process.poll() is None:
            self.pid = self.pgid = self.process.pid
            await super().send_signal(signum)


# ── kernels ────────────────────────────────────────────────────────────
WARM_IMPORTS = (
    *("numpy", "pandas", "pandas.io.formats.html", "pyarrow.pandas_compat", "polars", "narwhals", "deltalake"),
    *("pydantic_settings", "nbformat", "plotly.graph_objects:Figure"),
    *("rfm", "rfm.contracts", "rfm.settings", "rfm.analysis.*", "rfm.lake.*", "rfm.landing.*", "rfm.lake"),
)
"""What the first notebooks of the chain import, and what their first figure imports behind the scenes;
``package.*`` stands for every module of a package, ``module:name`` for what a first call of a name loads."""

LATER_IMPORTS = (
    *("scipy.sparse", "scipy.spatial.distance", "scipy.stats", "sklearn.utils", "sklearn.metrics", "sklearn.cluster"),
    *("sklearn.preprocessing", "pyarrow.dataset"),
)
"""What only later notebooks import, while the first ones run; in pieces, as a kernel that is wanted waits for the end of one."""

MODES = ("forked", "fresh")


@contextmanager
def warm_kernels(imports: Sequence[str] = WARM_IMPORTS, later: Sequence[str] = LATER_IMPORTS) -> Iterator[Kernels]:
    """Yield the kernels of a run, forked from a warm process."""
    forked = _mode(os.environ, sys.platform) == "forked"
    with tempfile.TemporaryDirectory(prefix="rfm-", ignore_cleanup_errors=True) as folder:
        warm = WarmProcess(imports, later, folder) if forked else None
        try:
            pass  # while the warm process imports, too

            with Kernels(Path(folder), warm) as kernels:
                yield kernels
        finally:
            if warm:
                warm.close()


def _mode(environ: Mapping[str, str], platform: str) -> str:
    """Say which kernels are wanted: what ``RFM_KERNELS`` says, otherwise what the platform does well."""
    mode = environ.get("RFM_KERNELS") or ("forked" if platform == "linux" else "fresh")
    if mode not in MODES or (mode == "forked" and not hasattr(os, "fork")):
        raise SettingsError(f"RFM_KERNELS={mode}: not possible here; use {' or '.join(MODES)}, or unset it")
    return mode
