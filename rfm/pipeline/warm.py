"""The process that imports once and forks: both ends of the line to it, the kernels and the workers that it becomes.

multiprocessing's fork server would hide which import failed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rfm.errors import RfmError, first_line
from rfm.pipeline.notebooks import skip_slow_import

START_TIMEOUT = 120.0  # seconds for the imports, on a slow and busy machine
DIED = "the process that forks them died; run again, or set RFM_KERNELS=fresh"
REMEDY = "fix that or set RFM_KERNELS=fresh"
BOOT = (
    "import gc, sys; gc.disable(); sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]];"
    "from rfm.pipeline.warm import serve; serve()"
)


# What a kernel itself imports before its first cell.
KERNEL_IMPORTS = (
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "tornado.platform.asyncio", "tornado.queues", "sqlite3"),
    *("IPython.core.completerlib", "IPython.core.pylabtools", "IPython.core.oinspect", "IPython.extensions.storemagic"),
    *("IPython.core.debugger", "ipykernel.debugger", "psutil", "tomllib"),
)
NEVER = ("debugpy",)  # the debugger, which every kernel would load for 0.1 s
# What the first notebooks and their first figure import. ``package.*`` means every module of a package, ``module:name``
# what the first call of a name loads.
WARM_IMPORTS = (
    *("numpy", "pandas", "pandas.io.formats.html", "pyarrow.pandas_compat", "polars", "narwhals", "deltalake"),
    *("narwhals._pandas_like.namespace", "narwhals._polars.namespace"),
    *("pydantic_settings", "nbformat", "plotly.graph_objects:Figure", "PIL.Image:preinit"),
    *("matplotlib.backends.backend_agg", "rfm.analysis.figures.*"),
    *("rfm.contracts", "rfm.settings", "rfm.analysis.*", "rfm.lake.*", "rfm.landing.*", "rfm.pipeline.stages"),
)
# What later notebooks import: loaded while the first run, in small pieces, because a kernel that is wanted waits for one.
LATER_IMPORTS = (
    *("scipy.sparse", "scipy.spatial.distance", "scipy.stats", "sklearn.utils", "sklearn.metrics", "sklearn.cluster"),
    *("pyarrow.dataset", "narwhals._polars.group_by", "plotly.io._renderers", "fsspec.implementations.local"),
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


# ── the run's side of the process that forks ────────────────────────────
# The run sends a new socket for each kernel, and on it one line of JSON (argv, env, cwd), which the kernel reads. On the
# same socket the warm process answers with the process id, or with what failed, and at the end with the exit code.
class Fork:
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
    def pid(self) -> int:
        """Wait for the fork and return its process id."""
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

    def fork(self, request: Mapping[str, Any], *connection: int) -> Fork:
        """Fork a kernel with ``argv``, or a worker with a connection, in ``env`` and ``cwd``; raise RfmError if that died."""
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"\n"], [theirs.fileno(), *connection])
            channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            channel.close()
            raise RfmError(f"kernels for the notebooks: {DIED}") from None
        self._forked = True
        return Fork(channel)

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
    sys.modules.update(dict.fromkeys(NEVER))  # type: ignore[arg-type]
    trouble = next(filter(None, map(_import, (*KERNEL_IMPORTS, *json.loads(first)))), "")
    channel, connection = _serve(control, folder, [] if trouble else json.loads(later), trouble)
    with channel, channel.makefile() as lines:
        request = json.loads(lines.readline())
    _move(request.pop("env"), request.pop("cwd"))
    work(Connection(connection[0])) if connection else _become_kernel(**request)


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


def _serve(control: socket.socket, folder: str, later: list[str], trouble: str) -> tuple[socket.socket, list[int]]:
    """Fork for each socket that arrives, report ended forks, import the rest; return the socket and more in a fork only."""
    kernels: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control], [], [], 0 if later else 0.05)
        _report_ended(kernels)
        if ready:
            _, numbers, _, _ = socket.recv_fds(control, 1, 2)
            if not numbers:  # the run has ended
                _report_ended(kernels, kill=True)
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(0)
            channel = socket.socket(fileno=numbers[0])
            if trouble:
                list(map(os.close, numbers[1:]))
                with channel, channel.makefile() as lines:
                    lines.readline()  # a socket closed on unread text loses what was sent
                    _say(channel, trouble)
                continue
            gc.freeze()  # the garbage collector of a kernel leaves the shared memory alone
            pid = os.fork()
            if pid == 0:
                for each in (control, *kernels.values()):
                    each.close()
                return channel, numbers[1:]
            list(map(os.close, numbers[1:]))
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


def _move(env: dict[str, str], cwd: str) -> None:
    """Give this fork the environment and the folder of the run."""
    os.environ.clear()
    os.environ.update(env, JPY_PARENT_PID=str(os.getppid()))
    time.tzset()
    os.chdir(cwd)
    gc.enable()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # `random` does this by itself


def _become_kernel(argv: list[str]) -> None:
    """Turn this fork into the kernel that was asked for and run it until it is shut down."""
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel_launcher", *argv]
    app = IPKernelApp.instance(parent_handle=os.getppid())  # so that it ends with the warm process
    app.initialize(sys.argv[1:])
    app.start()
    app.control_thread.stop()  # ipykernel stops its output first, for which one control thread in ten waits
    app.control_thread.join()


def work(connection: Connection) -> None:
    """Make an object by the first message, then call its methods, until the run closes the connection."""
    with connection, suppress(EOFError, ConnectionError):
        name, given, _ = connection.recv()
        try:
            worker, trouble = pkgutil.resolve_name(name)(*given), None
        except Exception as error:  # noqa: BLE001 (the run raises it)
            trouble = _portable(error)
        while True:
            method, given, wanted = connection.recv()
            try:
                answer = trouble or getattr(worker, method)(*given)
            except Exception as error:  # noqa: BLE001 (the run raises it)
                answer = _portable(error)
            if wanted:
                connection.send(answer)


def _portable(error: Exception) -> Exception:
    """Return an error that another process can read, with its traceback if it is none of ours."""
    if not isinstance(error, RfmError):
        error.add_note(traceback.format_exc())
    with suppress(Exception):
        return pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    return RuntimeError(f"{type(error).__name__}: {first_line(error)}")
