"""The pages of a run as data: each a file, a name in the menu, a template and a builder, which makes what the template shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rfm.run.pages import customers, lineage, movement, overview, quality, segments, trade
from rfm.run.pages.tables import RunTables
from rfm.run.stages import TABLES_STAND

__all__ = ["PAGES", "Page", "RunTables", "customers"]


class Page(NamedTuple):
    """A page of a run.

    Parameters
    ----------
    file
        Its name in the folder of the run.
    label
        Its name in the menu.
    template
        A child of ``frame.html.j2``.
    build
        Makes what the template shows, plain values only, from the tables of the run.
    after
        The stage after which all that it shows stands, so that it can be made beside the later ones; none: the run's end.
    private
        Shows single customers, so it is published only where the shop says so.
    """

    file: str
    label: str
    template: str
    build: Callable[[RunTables], dict[str, Any]]
    after: str = TABLES_STAND
    private: bool = False


PAGES = (
    Page("index.html", "Overview", "overview.html.j2", overview.build),
    Page("segments.html", "Segments", "segments.html.j2", segments.build),
    Page("customers.html", "Customers", "customers.html.j2", customers.build, private=True),
    Page("movement.html", "Movement", "movement.html.j2", movement.build),
    Page("trade.html", "Trade", "trade.html.j2", trade.build, after="2_silver"),
    Page("quality.html", "Quality", "quality.html.j2", quality.build, after="2_silver"),
    Page("run.html", "Run", "run.html.j2", lineage.build, after=""),
)
