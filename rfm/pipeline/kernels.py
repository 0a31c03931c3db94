"""Kernels for the notebooks of a run: ordinary ones, or forks of one process that has done the imports.

A fork saves the imports (``RFM_KERNELS=fresh`` turns it off). multiprocessing's fork server hides which import failed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from jupyter_client.utils import run_sync
from zmq import ZMQError

from rfm.errors import RfmError, SettingsError
from rfm.pipeline.notebooks import skip_slow_import

MODES = ("forked", "fresh")
START_TIMEOUT = 120.0  # seconds for the imports, on a slow and busy machine
LONGEST_FOLDER = 80  # bytes; the path of a Unix socket has room for about a hundred
DIED = "the process that forks them died; run again, or set RFM_KERNELS=fresh"
REMEDY = "fix that or set RFM_KERNELS=fresh"
BOOT = (
    "import gc, sys; gc.disable(); sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]];"
    "from rfm.pipeline.kernels import serve; serve()"
)

# What a kernel itself imports before its first cell.
KERNEL_IMPORTS = (
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "tornado.platform.asyncio", "tornado.queues", "sqlite3"),
    *("IPython.core.completerlib", "IPython.core.pylabtools", "IPython.extensions.storemagic"),
)
# What the first notebooks and their first figure import. ``package.*`` means every module of a package, ``module:name``
# what the first call of a name loads.
WARM_IMPORTS = (
    *("numpy", "pandas", "pandas.io.formats.html", "pyarrow.pandas_compat", "polars", "narwhals", "deltalake"),
    *("pydantic_settings", "nbformat", "plotly.graph_objects:Figure"),
    *("matplotlib.backends.backend_agg", "rfm.analysis.figures.*"),
    *("rfm.contracts", "rfm.settings", "rfm.analysis.*", "rfm.lake.*", "rfm.landing.*"),
)
# What later notebooks import: loaded while the first run, in small pieces, because a kernel that is wanted waits for one.
LATER_IMPORTS = (
    *("scipy.sparse", "scipy.spatial.distance", "scipy.stats", "sklearn.utils", "sklearn.metrics", "sklearn.cluster"),
    "pyarrow.dataset",
)
# Defaults for every kernel: no library starts a thread while it is imported, which a fork would lose. (One thread is
# harmless: that of polars which deletes spilled files; without it they stay.)
ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore:PySpark does not yet:FutureWarning",  # of its client, which pandera imports where it is installed
    "OPENBLAS_NUM_THREADS": "1",
    "_RJEM_MALLOC_CONF": "background_thread:false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # ipykernel sets it, but too late for the imports
}


# ── kernels of a run ────────────────────────────────────────────────────
@contextmanager
def warm_kernels(imports: Sequence[str] = WARM_IMPORTS, later: Sequence[str] = LATER_IMPORTS) -> Iterator[Kernels]:
    """Yield the kernels of a run, forked where the platform can; the variables that imports read are read here."""
    forked = _mode(os.environ, sys.platform) == "forked"
    with tempfile.TemporaryDirectory(prefix="rfm-", ignore_cleanup_errors=True) as folder:
        kernels = Kernels(Path(folder), WarmProcess(imports, later, folder) if forked else None)
        try:
            yield kernels
        finally:
            kernels.close()


def _mode(environ: Mapping[str, str], platform: str) -> str:
    """Return the mode in ``RFM_KERNELS``, otherwise the default of the platform."""
    mode = environ.get("RFM_KERNELS") or ("forked" if platform == "linux" else "fresh")
    if mode not in MODES or (mode == "forked" and not hasattr(os, "fork")):
        raise SettingsError(f"RFM_KERNELS={mode}: not possible here; use {' or '.join(MODES)}, or unset it")
    return mode


class Kernels:
    """One kernel per notebook, the next one started ahead; leaving the context ends them all."""

    def __init__(self, folder: Path, warm: WarmProcess | None) -> None:
        self.folder, self.warm = folder, warm
        self._spare: _NotebookManager | None = None
        self._ending: list[_NotebookManager] = []

    def close(self) -> None:
        """Wait a few seconds for the kernels that were asked to end, then end them all."""
        try:
            for manager in self._ending:
                manager.end()
            self._drop_spare()
        finally:
            if self.warm:
                self.warm.close()

    @contextmanager
    def kernel(self, last: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the arguments with which ``papermill.execute_notebook`` runs one notebook in a kernel of its own."""
        manager = self._spare or self._start()
        self._spare = None
        try:
            if self.warm:
                _ = manager.provisioner.process.pid  # type: ignore[union-attr] # waits for the imports
            self._spare = None if last else self._start()
            yield {"kernel_name": "python3", "language": "python", "km": manager}
        except BaseException:
            run_sync(manager.shutdown_kernel)()
            self._drop_spare()  # the next run may have another folder and environment
            raise
        manager.ask_to_end()
        self._ending.append(manager)

    def _drop_spare(self) -> None:
        if self._spare:
            run_sync(self._spare.shutdown_kernel)(now=True)
            self._spare = None

    def _start(self) -> _NotebookManager:
        """Start a kernel without waiting for it."""
        manager = _NotebookManager(self.folder, self.warm)
        run_sync(manager.start_kernel)()
        return manager


class _NotebookClient(AsyncKernelClient):
    """A client that is ready once the kernel has answered on both channels; no other client uses the kernel."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        end = time.monotonic() + (timeout or float("inf"))
        while time.monotonic() < end and await self.is_alive():
            self.kernel_info()
            with suppress(Empty):
                await self.get_shell_msg(timeout=1)
                await self.get_iopub_msg(timeout=0.2)
                return
        raise RuntimeError("the kernel did not start")


class _NotebookManager(AsyncKernelManager):
    """Start a kernel of the running interpreter, forked or fresh, whatever kernelspecs are installed."""

    def __init__(self, folder: Path, warm: WarmProcess | None) -> None:
        transport = "ipc" if os.name == "posix" and len(os.fsencode(folder)) <= LONGEST_FOLDER else "tcp"
        connection = str(folder / f"{uuid.uuid4().hex[:8]}.json")
        super().__init__(transport=transport, connection_file=connection, client_factory=_NotebookClient)
        self._client: AsyncKernelClient | None = None
        if warm:
            self.provisioner = _ForkedProvisioner(parent=self, kernel_spec=self.kernel_spec, warm=warm)

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")

    def client(self, **kwargs: Any) -> Any:
        self._client = super().client(**kwargs)
        return self._client

    def ask_to_end(self) -> None:
        """Ask the kernel to end, without waiting for it."""
        if self._client:
            self._client.stop_channels()
        with suppress(ZMQError):  # it died before a client used it
            run_sync(self.request_shutdown)()

    def end(self) -> None:
        """Wait for a kernel that was asked to end, kill it if that takes too long, and clean up."""
        run_sync(self.finish_shutdown)()
        run_sync(self.cleanup_resources)()

    async def _async_pre_start_kernel(self, **kw: Any) -> Any:
        environment = kw.pop("env", None) or os.environ
        return await super()._async_pre_start_kernel(env={**ENVIRONMENT, **environment}, **kw)


# ── the run's side of the process that forks ────────────────────────────
# The run sends a new socket for each kernel, and on it one line of JSON (argv, env, cwd), which the kernel reads. On the
# same socket the warm process answers with the process id, or with what failed, and at the end with the exit code.
class _ForkedProvisioner(LocalProvisioner):
    """Fork a kernel from the warm process; all else is as for a kernel started by ``Popen``."""

    def __init__(self, warm: WarmProcess, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._warm = warm

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        self.cwd = str(kwargs.get("cwd") or Path.cwd())
        self.process = self._warm.fork({"argv": cmd[2:], "env": kwargs["env"], "cwd": self.cwd})  # type: ignore[assignment]
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Signal the process group of the kernel, unless it has ended: another process may have its number by now."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signum)


class _ForkedKernel:
    """The interface of ``subprocess.Popen`` for a child of the warm process."""

    stdin = stdout = stderr = None

    def __init__(self, channel: socket.socket) -> None:
        self.returncode: int | None = None
        self._channel = channel
        self._lines = channel.makefile("rb", buffering=0)

    @cached_property
    def _started(self) -> str:
        """The first line from the warm process: a process id, or what failed."""
        if not select.select([self._channel], [], [], START_TIMEOUT)[0]:
            return f"importing took longer than {START_TIMEOUT:.0f} seconds; {REMEDY}"
        with suppress(ConnectionError):
            return self._lines.readline().decode().strip() or DIED
        return DIED

    @property
    def pid(self) -> int:  # waits for the fork
        if not self._started.isdecimal():
            raise RfmError(f"kernels for the notebooks: {self._started}")
        return int(self._started)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the kernel runs."""
        running = self.returncode is None and self._started.isdecimal()
        return None if running and not select.select([self._channel], [], [], 0)[0] else self.wait()

    def wait(self) -> int:
        """Wait for the kernel to end and return its exit code."""
        if self.returncode is None:
            self.returncode = -signal.SIGKILL  # without an exit code the warm process was killed, and its kernels with it
            with suppress(ConnectionError, ValueError):
                self.returncode = int(self._lines.readline()) if self._started.isdecimal() else self.returncode
            self._lines.close()
            self._channel.close()
        return self.returncode


class WarmProcess:
    """The process that imports once and forks kernels; it ends, with its kernels, when the socket to it is closed."""

    def __init__(self, imports: Sequence[str], later: Sequence[str], folder: str) -> None:
        self._forked = False
        self._control, theirs = socket.socketpair()
        with theirs:
            given = [str(Path(__file__).parents[2]), str(theirs.fileno()), folder, json.dumps(imports), json.dumps(later)]
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, *given],
                env={**ENVIRONMENT, **os.environ},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def fork(self, request: Mapping[str, Any]) -> _ForkedKernel:
        """Ask for a kernel with ``argv`` (list), ``env`` (mapping) and ``cwd`` (text); raise RfmError if the process died."""
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"\n"], [theirs.fileno()])
            channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            channel.close()
            raise RfmError(f"kernels for the notebooks: {DIED}") from None
        self._forked = True
        return _ForkedKernel(channel)

    def close(self) -> None:
        """End the warm process and every kernel that still runs."""
        self._control.close()
        if not self._forked:  # it may still import
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        self._process.kill()
        self._process.wait()


# ── the process that forks: it imports and never computes, because a fork copies only the thread that asks for it ──
def serve() -> None:
    """Import and serve; return only in a kernel, when it has been shut down."""
    number, folder, first, later = sys.argv[2:]
    control = socket.socket(fileno=int(number))
    control.set_inheritable(False)
    skip_slow_import()
    trouble = next(filter(None, map(_import, (*KERNEL_IMPORTS, *json.loads(first)))), "")
    channel = _serve(control, folder, [] if trouble else json.loads(later), trouble)
    with channel, channel.makefile() as lines:
        request = json.loads(lines.readline())
    _become_kernel(**request)


def _import(name: str) -> str:
    """Import a module; return in one line what failed, or an empty text."""
    try:
        _load(name)
    except Exception as error:  # noqa: BLE001 (a module may fail as it likes; the run reports it)
        return f"cannot import {name} ({type(error).__name__}: {' '.join(str(error).split())}); {REMEDY}"
    return f"importing {name} starts a thread, which a fork would lose; {REMEDY}" if threading.active_count() > 1 else ""


def _load(name: str) -> None:
    """Import a module, with ``package.*`` every module of a package, with ``module:name`` call the name."""
    module, _, call = name.partition(":")
    package = importlib.import_module(module.removesuffix(".*"))
    if module.endswith(".*"):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    if call:
        getattr(package, call)()


def _serve(control: socket.socket, folder: str, later: list[str], trouble: str) -> socket.socket:
    """Fork for each socket that arrives, report ended kernels, import the rest; return the socket in a kernel only."""
    kernels: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control], [], [], 0 if later else 0.05)
        _report_ended(kernels)
        if ready:
            _, numbers, _, _ = socket.recv_fds(control, 1, 1)
            if not numbers:  # the run has ended
                _report_ended(kernels, kill=True)
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(0)
            channel = socket.socket(fileno=numbers[0])
            if trouble:
                with channel, channel.makefile() as lines:
                    lines.readline()  # a socket closed on unread text loses what was sent
                    _say(channel, trouble)
                continue
            gc.freeze()  # the garbage collector of a kernel leaves the shared memory alone
            pid = os.fork()
            if pid == 0:
                for each in (control, *kernels.values()):
                    each.close()
                return channel
            os.setpgid(pid, pid)
            kernels[pid] = channel
            _say(channel, str(pid))
        elif later and (trouble := _import(later.pop(0))):
            later.clear()


def _say(channel: socket.socket, line: str) -> None:
    with suppress(OSError):  # the run may have gone
        channel.sendall(f"{line}\n".encode())


def _report_ended(kernels: dict[int, socket.socket], kill: bool = False) -> None:
    """Send the exit codes of ended (or killed) kernels and kill the processes that they left behind."""
    for pid in list(kernels):
        if kill:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        ended, status = os.waitpid(pid, 0 if kill else os.WNOHANG)
        if ended:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with kernels.pop(pid) as channel:
                _say(channel, str(os.waitstatus_to_exitcode(status)))


def _become_kernel(argv: list[str], env: dict[str, str], cwd: str) -> None:
    """Turn this fork into the kernel that was asked for and run it until it is shut down."""
    from ipykernel.kernelapp import IPKernelApp

    os.environ.clear()
    os.environ.update(env, JPY_PARENT_PID=str(os.getppid()))
    time.tzset()
    os.chdir(cwd)
    gc.enable()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # `random` does this by itself
    sys.argv = ["ipykernel_launcher", *argv]
    app = IPKernelApp.instance(parent_handle=os.getppid())  # so that it ends with the warm process
    app.initialize(sys.argv[1:])
    app.start()
    app.control_thread.stop()  # ipykernel stops its output first, for which one control thread in ten waits
    app.control_thread.join()
