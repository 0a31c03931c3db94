"""The tables by name, on Delta: read, replace a day, append once; landing files taken in exactly once.

*Exactly once* rests on Delta's transaction ids: each landing file that a commit holds leaves its name in the
table's log, in the same commit as its rows. A run that died, is repeated or races another asks the log first.

The door to the tables: the lake that the settings name, on the engine that they name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rfm.errors import SettingsError
from rfm.lake.delta import scratch
from rfm.lake.tables import Lake, State
from rfm.settings import Settings, is_catalog_name

# ── lake ────────────────────────────────────────────────────────────
__all__ = ["Lake", "State", "open_lake", "scratch"]


# ── lakes ────────────────────────────────────────────────────────────
def open_lake(settings: Settings) -> Lake:
    """Return the tables, large ones on the engine of the settings.

    Parameters
    ----------
    settings
        ``engine`` polars computes here; spark reads and writes the layers through the Spark Connect server at ``remote``.

    Raises
    ------
    SettingsError
        If nobody answers there, or the client is not installed.

    Examples
    --------
    >>> import rfm
    >>> settings = rfm.load_settings(lake="an/empty/folder")
    >>> tables = rfm.open_lake(settings)
    >>> tables.frame("customer_rfm_gold").columns.tolist()
    ['CustomerID', 'MaxInvoiceDate', 'Recency', 'Frequency', 'Monetary']
    """
    if settings.engine == "polars":
        return Lake(settings.lake)
    from rfm.lake.spark import Cluster, SparkLake

    return SparkLake(settings.lake, Cluster(settings.remote, settings.lake, named=is_catalog_name(settings.lake)))


def open_lake_log(settings: Settings, what: str) -> Lake:
    """Return the tables for what goes by Delta's own log, past versions and releases, which is done here on every engine."""
    if is_catalog_name(settings.lake):
        raise SettingsError(
            f"lake {settings.lake}: {what} needs Delta's log, which a catalog keeps; name the tables' folder or URL"
        )
    return Lake(settings.lake)


@contextmanager
def kernel_environment(settings: Settings) -> Iterator[None]:
    """Let the notebooks of a run know its engine by the environment, as an address may hold a token and a notebook is kept."""
    before = {name: os.environ.get(name) for name in ("RFM_ENGINE", "RFM_REMOTE")}
    os.environ |= {"RFM_ENGINE": settings.engine, "RFM_REMOTE": settings.remote}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
