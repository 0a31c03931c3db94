"""Kernels as notebooks are given them: started one ahead, ended without waiting for the end."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

from rfm.run.kernels.process import WarmProcess
from rfm.run.warm import ENVIRONMENT

LONGEST_FOLDER = 80  # bytes; the path of a Unix socket has room for about a hundred


class Kernels:
    """A kernel for each notebook of a run; leaving the context ends them all.

    Parameters
    ----------
    folder
        For the files and sockets by which one speaks with kernels.
    warm
        Process to fork from; without one, kernels are ordinary processes.
    """

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
        """Yield the arguments with which ``papermill.execute_notebook`` runs one notebook in a kernel of its own.

        Parameters
        ----------
        last
            No further notebook follows; otherwise the kernel of the next one starts beside this one's work.

        Raises
        ------
        RfmError
            If a module cannot be imported, or the warm process died.
        """
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
    """Start a kernel of this very interpreter, forked or fresh, whatever kernelspecs are installed.

    Parameters
    ----------
    folder, warm
        As for `Kernels`.
    """

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
    """Fork a kernel from a warm process; all else is as for a kernel started by ``Popen``.

    Parameters
    ----------
    warm
        The process.
    """

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
