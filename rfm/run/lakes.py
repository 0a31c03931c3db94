"""The door to the tables: the lake that the settings name, on the engine that they name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rfm.io.lake import Lake
from rfm.schema import SettingsError
from rfm.settings import Settings, is_catalog_name


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
    from rfm.io.lake.spread import SpreadLake
    from rfm.io.spark import Cluster

    return SpreadLake(settings.lake, Cluster(settings.remote, settings.lake, named=is_catalog_name(settings.lake)))


def open_log(settings: Settings, what: str) -> Lake:
    """Return the tables for what goes by Delta's own log, past versions and releases, which is done here on every engine.

    Parameters
    ----------
    settings
        Where the tables are.
    what
        What is wanted, for the sentence.

    Raises
    ------
    SettingsError
        If the tables are those of a catalog, which keeps their log to itself.
    """
    if is_catalog_name(settings.lake):
        raise SettingsError(
            f"lake {settings.lake}: {what} needs Delta's log, which a catalog keeps; name the tables' folder or URL"
        )
    return Lake(settings.lake)


@contextmanager
def told_to_kernels(settings: Settings) -> Iterator[None]:
    """Let the notebooks of a run know its engine by the environment, as an address may hold a token and a notebook is kept.

    Parameters
    ----------
    settings
        Of the run.
    """
    before = {name: os.environ.get(name) for name in ("RFM_ENGINE", "RFM_REMOTE")}
    os.environ |= {"RFM_ENGINE": settings.engine, "RFM_REMOTE": settings.remote}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
