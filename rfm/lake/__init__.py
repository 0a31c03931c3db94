"""The lake: tables that stay. Open the one that the settings name, on the engine that they name."""

from __future__ import annotations

from importlib import import_module

from rfm.errors import SettingsError
from rfm.lake.delta import scratch
from rfm.lake.tables import Lake, State
from rfm.settings import Settings, is_catalog_name

__all__ = ["Lake", "State", "open_lake", "scratch"]


def open_lake(settings: Settings) -> Lake:
    """Return the lake of the settings; its large tables are on the engine of the settings.

    Polars computes here, Spark on the Spark Connect server at ``remote``; without server or client it raises SettingsError.

    Examples
    --------
    >>> import rfm
    >>> settings = rfm.load_settings(lake="an/empty/folder")
    >>> tables = rfm.open_lake(settings)
    >>> tables.frame("customer_rfm_gold").columns.tolist()
    ['CustomerID', 'MaxInvoiceDate', 'Recency', 'Frequency', 'Monetary']
    """
    if settings.computes_here:
        return Lake(settings.lake, once=settings.files.overlap == "once")
    return import_module(f"rfm.lake.{settings.engine}").open_lake(settings)  # imports no other engine


def open_lake_log(settings: Settings, what: str) -> Lake:
    """Return the lake for work on Delta's log (past versions, releases), which is done here on every engine."""
    if is_catalog_name(settings.lake):
        raise SettingsError(
            f"lake {settings.lake}: {what} needs Delta's log, which a catalog keeps; name the tables' folder or URL"
        )
    return Lake(settings.lake, once=settings.files.overlap == "once")
