"""Fast and fully isolated kernels for a chain of notebooks.

An ordinary kernel spends most of its life importing. Here one *warm process* does the imports once, while
the caller is busy with something else, and forks a real ipykernel for each notebook: `rfm.run.warm`.
A fork shares nothing that it changes, so no notebook sees another's variables, settings or modules; it is
there in tenths of a second and shares the memory of the libraries. The next kernel starts while a notebook
still runs, and one whose notebook is done ends by itself.

What a library reads from the environment while it is imported (``OMP_NUM_THREADS``, ``PYTHONPATH``) is read
when the context is entered; everything else a kernel finds as it was when the notebook before was started.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rfm.run.kernels.process import WarmProcess
from rfm.run.warm import skip_slow_import
from rfm.schema import SettingsError

if TYPE_CHECKING:
    from rfm.run.kernels.manager import Kernels

__all__ = ["LATER_IMPORTS", "WARM_IMPORTS", "skip_slow_import", "warm_kernels"]

WARM_IMPORTS = (
    *("numpy", "pandas", "pandas.io.formats.html", "pyarrow.pandas_compat", "polars", "narwhals", "deltalake"),
    *("pydantic_settings", "nbformat", "plotly.graph_objects:Figure"),
    *("rfm", "rfm.schema", "rfm.settings", "rfm.core.*", "rfm.io.lake.*", "rfm.io.landing.*", "rfm.run.lakes"),
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
    """Yield the kernels of a run, forked from a warm process.

    Parameters
    ----------
    imports, later
        Modules to import once for all kernels, see `WARM_IMPORTS` and `LATER_IMPORTS`.

    Yields
    ------
    Kernels
        They are there at once: the imports go on beside the caller's work, and the first notebook waits for them.
        Where a fork is not known to be safe (not on Linux) and with ``RFM_KERNELS=fresh`` they are ordinary kernels
        instead: the same results, later.

    Raises
    ------
    SettingsError
        If ``RFM_KERNELS`` is neither ``forked`` nor ``fresh``.
    """
    forked = _mode(os.environ, sys.platform) == "forked"
    with tempfile.TemporaryDirectory(prefix="rfm-", ignore_cleanup_errors=True) as folder:
        warm = WarmProcess(imports, later, folder) if forked else None
        try:
            from rfm.run.kernels.manager import Kernels  # while the warm process imports, too

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
