"""The warm process: it imports once and forks a kernel whenever it is asked.

A fork copies only the thread that asks for it, so this process imports and never computes. It is a process
of its own, because the caller may have threads; it has no name in the file system, and it ends, with its
kernels, when the caller closes its end of a socket, or dies. What is said (`rfm.pipeline.kernels` is the caller):

* the caller, for each kernel: a new socket, sent over the first one, and on it one line of JSON (``argv``,
  ``env``, ``cwd``), which the kernel reads;
* this process, on that socket, a line each: the kernel's process id, or what went wrong in the imports, and, when
  the kernel has ended, its exit code.
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
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

KERNEL_IMPORTS = (
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "tornado.platform.asyncio", "tornado.queues", "sqlite3"),
    *("IPython.core.completerlib", "IPython.core.pylabtools", "IPython.extensions.storemagic"),
)
"""What a kernel imports by itself before its first cell."""

ENVIRONMENT = {
    "PYTHONWARNINGS": "ignore:PySpark does not yet:FutureWarning",  # of its client, which pandera imports where it is
    "OPENBLAS_NUM_THREADS": "1",
    "_RJEM_MALLOC_CONF": "background_thread:false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Set for every kernel unless the caller has set them: no library starts a thread while it is imported. (One
exception is harmless: the thread of polars that deletes spilled files; without it they stay until swept.)"""

IMPORT_ENVIRONMENT = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
"""Set for the warm process unless the caller has: ipykernel sets it before matplotlib can be imported."""

REMEDY = "mend that or set RFM_KERNELS=fresh"
BOOT = "import sys; sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]]; from rfm.pipeline.fork_server import main; main()"


def skip_slow_import() -> None:
    """Keep jsonschema from importing a checker that nobody uses here.

    ``import nbformat`` (so papermill, nbconvert and plotly's first figure too) builds the grammar of
    ``rfc3987_syntax`` if it is installed, which takes over a second. Notebooks have no such field. Call this
    before the first of these imports; later it does nothing.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def main() -> None:
    """Import and serve; return only in a kernel, when it has been shut down."""
    number, folder, first, later = sys.argv[2:]
    control = socket.socket(fileno=int(number))
    control.set_inheritable(False)
    skip_slow_import()
    trouble = _import_all((*KERNEL_IMPORTS, *json.loads(first)), control)
    gc.collect()
    gc.freeze()  # the garbage collector of a kernel leaves the shared memory alone
    _become_kernel(_serve(control, folder, [] if trouble else json.loads(later), trouble))


def _import_all(names: Sequence[str], control: socket.socket) -> str:
    """Import modules, as long as the caller is there; return what went wrong, if anything did."""
    for name in names:
        if select.select([control], [], [], 0)[0] and not control.recv(1, socket.MSG_PEEK):
            os._exit(1)
        if trouble := _import(name):
            return trouble
    return ""


def _import(name: str) -> str:
    """Import a module; return in one line what went wrong, if anything did."""
    try:
        _load(name)
    except Exception as error:  # noqa: BLE001 (a module may fail as it likes; the caller reports it)
        return f"cannot import {name} ({type(error).__name__}: {' '.join(str(error).split())}); {REMEDY}"
    return f"importing {name} starts a thread, which a fork would lose; {REMEDY}" if threading.active_count() > 1 else ""


def _load(name: str) -> None:
    """Import a module, with ``package.*`` every module of a package, with ``module:name`` call a name for what it loads."""
    module, _, call = name.partition(":")
    package = importlib.import_module(module.removesuffix(".*"))
    if module.endswith(".*"):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    if call:
        getattr(package, call)()


def _serve(control: socket.socket, folder: str, later: list[str], trouble: str) -> socket.socket:
    """Fork for each socket that arrives, report ended kernels, import the rest; return the socket in the kernel only."""
    kernels: dict[int, socket.socket] = {}
    bell = _bell()
    while True:
        ready, _, _ = select.select([control, bell], [], [], 0 if later else None)
        if bell in ready:
            bell.recv(4096)
            _report_ended(kernels)
        if control in ready:
            channel = _receive(control) or _end(kernels, folder)
            if trouble:
                _refuse(channel, trouble)
                continue
            pid = os.fork()
            if pid == 0:
                _forget([control, bell, *kernels.values()])
                return channel
            os.setpgid(pid, pid)
            kernels[pid] = channel
            _say(channel, str(pid))
        elif later:
            trouble = _import(later.pop(0))
            if trouble or not later:
                later.clear()
                gc.freeze()


def _say(channel: socket.socket, line: str) -> None:
    """Send a line to the caller, who may have gone."""
    with suppress(OSError):
        channel.sendall(f"{line}\n".encode())


def _refuse(channel: socket.socket, trouble: str) -> None:
    """Tell why there is no kernel, after reading the request: a socket that is closed on unread text loses what was said."""
    with channel, channel.makefile() as lines:
        lines.readline()
        _say(channel, trouble)


def _bell() -> socket.socket:
    """Return a socket that becomes readable when a child ends."""
    bell, button = socket.socketpair()
    button.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(button.detach(), warn_on_full_buffer=False)
    return bell


def _receive(control: socket.socket) -> socket.socket | None:
    """Return the socket that the caller sent, or None when it has closed its end."""
    _, numbers, _, _ = socket.recv_fds(control, 1, 1)
    return socket.socket(fileno=numbers[0]) if numbers else None


def _report_ended(kernels: dict[int, socket.socket]) -> None:
    """Send the exit codes of ended kernels and kill what they left behind."""
    for pid in list(kernels):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with kernels.pop(pid) as channel:
                _say(channel, str(os.waitstatus_to_exitcode(status)))


def _end(kernels: Mapping[int, socket.socket], folder: str) -> NoReturn:
    """Kill the kernels and leave nothing behind."""
    for pid in kernels:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _forget(sockets: Sequence[socket.socket]) -> None:
    """Drop, in a kernel, what belongs to the warm process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (button := signal.set_wakeup_fd(-1)) >= 0:  # some Pythons forget it on their own when they fork
        os.close(button)
    for each in sockets:
        each.close()


def _become_kernel(channel: socket.socket) -> None:
    """Turn this fork into the kernel that was asked for and run it until it is shut down."""
    from ipykernel.kernelapp import IPKernelApp

    with channel, channel.makefile() as lines:
        request = json.loads(lines.readline())
    os.environ.clear()
    os.environ.update(request["env"], JPY_PARENT_PID=str(os.getppid()))
    time.tzset()
    os.chdir(request["cwd"])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # `random` does this by itself
    sys.argv = ["ipykernel_launcher", *request["argv"]]
    app = IPKernelApp.instance(parent_handle=os.getppid())  # so that it ends with the warm process
    app.initialize(sys.argv[1:])
    app.start()
    app.control_thread.stop()  # ipykernel stops its output first, for which one control thread in ten waits
    app.control_thread.join()
