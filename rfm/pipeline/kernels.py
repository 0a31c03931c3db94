"""What runs the notebooks of a run: a folder, a kernel for each, and a worker beside them.

They are ordinary processes, or forks of one that has done the imports; ``RFM_KERNELS=fresh`` turns the forks off.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty
from threading import Thread
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from jupyter_client.utils import run_sync
from zmq import ZMQError

from rfm.errors import RfmError, SettingsError
from rfm.pipeline.schedule import is_running
from rfm.pipeline.warm import ENVIRONMENT, LATER_IMPORTS, WARM_IMPORTS, WarmProcess, work
from rfm.settings import Settings

MODES = ("forked", "fresh")
LONGEST_FOLDER = 80  # bytes; the path of a Unix socket has room for about a hundred
LEFT = re.compile(r"rfm-\w+-([0-9a-f]{6})-([0-9]+)-")  # folder of a run in the temporary directory: host and process


def run_folder(kind: str, **given: Any) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder of this process, and remove those that killed runs on this host left behind."""
    host = hashlib.blake2s(platform.node().encode(), digest_size=3).hexdigest()
    for left in Path(tempfile.gettempdir()).glob("rfm-*-*-*"):
        found = LEFT.match(left.name)
        if found and found[1] == host and not is_running(int(found[2])):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=f"rfm-{kind}-{host}-{os.getpid()}-", **given)


@contextmanager
def warm_kernels(imports: Sequence[str] = WARM_IMPORTS, later: Sequence[str] = LATER_IMPORTS) -> Iterator[Kernels]:
    """Yield the kernels of a run, forked where the platform can; the variables that imports read are read here."""
    forked = _mode(os.environ, sys.platform) == "forked"
    with run_folder("kernels", ignore_cleanup_errors=True) as folder:
        kernels = Kernels(Path(folder), WarmProcess(imports, later, folder) if forked else None)
        try:
            yield kernels
        finally:
            kernels.close()


def _mode(environ: Mapping[str, str], system: str) -> str:
    """Return the mode in ``RFM_KERNELS``, otherwise the default of the platform."""
    mode = environ.get("RFM_KERNELS") or ("forked" if system == "linux" else "fresh")
    if mode not in MODES or (mode == "forked" and not hasattr(os, "fork")):
        raise SettingsError(f"RFM_KERNELS={mode}: not possible here; use {' or '.join(MODES)}, or unset it")
    return mode


@contextmanager
def kernel_environment(settings: Settings) -> Iterator[None]:
    """Pass the engine to notebooks by the environment: its address may hold a token, and notebooks are saved."""
    before = {name: os.environ.get(name) for name in ("RFM_ENGINE", "RFM_REMOTE")}
    os.environ |= {"RFM_ENGINE": settings.engine, "RFM_REMOTE": settings.remote}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


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

    @contextmanager
    def worker(self, name: str, *given: Any) -> Iterator[Worker]:
        """Yield a worker that calls methods of ``module:class`` beside the notebooks, in a fork or else in a thread."""
        ours, theirs = Pipe()
        running = None
        if self.warm:
            with theirs:
                running = self.warm.fork({"env": dict(os.environ), "cwd": str(Path.cwd())}, theirs.fileno())
        else:
            Thread(target=work, args=(theirs,), daemon=True).start()
        try:
            with ours:
                worker = Worker(ours)
                worker.tell(name, *given)
                yield worker
        finally:
            if running:
                running.wait()

    def _drop_spare(self) -> None:
        if self._spare:
            run_sync(self._spare.shutdown_kernel)(now=True)
            self._spare = None

    def _start(self) -> _NotebookManager:
        """Start a kernel without waiting for it."""
        manager = _NotebookManager(self.folder, self.warm)
        run_sync(manager.start_kernel)()
        return manager


class Worker:
    """The run's end of a connection to a worker."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell(self, method: str, *given: Any) -> None:
        """Let the worker call a method, and do not wait; what goes wrong is lost."""
        with suppress(OSError):  # the worker has died, which `ask` reports
            self._connection.send((method, given, False))

    def ask(self, method: str, *given: Any) -> Any:
        """Return what a method returns, or raise what it raises."""
        try:
            self._connection.send((method, given, True))
            answer = self._connection.recv()
        except (OSError, EOFError):
            raise RfmError("the process that makes the pages died; run again, or set RFM_KERNELS=fresh") from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


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
