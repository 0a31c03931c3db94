"""Movement: who went from which segment to which, and how steady the names are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rfm.core import figures
from rfm.core.movement import largest_moves
from rfm.core.segments.rules import TIER_OF
from rfm.run.pages.figures import drawn
from rfm.run.pages.tables import RunTables

if TYPE_CHECKING:
    import pandas as pd

PERIODS = ((1, "day", "Since yesterday"), (7, "week", "In a week"), (30, "month", "In a month"))
MOST = 5  # sentences a period
MOVES = {
    "From_Segment": ("Was", "text"),
    "To_Segment": ("Is now", "text"),
    "Customers": ("Customers", "count"),
    "Revenue": ("Brought so far", "money"),
    "Bought": ("Bought again", "count"),
    "TimePassed": ("Time passed", "count"),
    "ModelChanged": ("Model changed", "count"),
}
STEADY = {
    "UpdateDate": ("Run", "day"),
    "Method": ("Model", "text"),
    "k": ("Clusters", "count"),
    "KMargin": ("Lead of k", "share"),
    "Compared": ("Without a purchase", "count"),
    "Renamed": ("Of them renamed", "count"),
    "RenamedShare": ("Share", "precise"),
    "Drift": ("Drift", "number"),
}


def build(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows.

    Parameters
    ----------
    tables
        Of the run.

    Returns
    -------
    dict
        ``parts``, one a period and one for the stability, each with ``id``, ``title``, ``hint``, ``says``, ``figures``.
    """
    moves, stable = tables.frame("segment_movement", UpdateDate=tables.day), stability(tables)
    periods = [
        period(tables, moves[moves["Days"] == days], id, title) for days, id, title in PERIODS if (moves["Days"] == days).any()
    ]
    return {"parts": [*periods, *stable]}


def period(tables: RunTables, moves: pd.DataFrame, id: str, title: str) -> dict[str, Any]:
    """Return the moves of a period in sentences, a figure and a table.

    Parameters
    ----------
    tables
        Of the run.
    moves
        Rows of ``segment_movement`` of the period.
    id, title
        Of the part of the page.
    """
    moved = moves[moves["From_Segment"] != moves["To_Segment"]].sort_values("Customers", ascending=False)
    named = moved.assign(From_Segment=moved["From_Segment"].replace("", "(new customer)"))
    return {
        "id": id,
        "title": title,
        "hint": f"Compared with the run of {moves['Since'].iloc[0]:%-d %B %Y}. Of those who were there then, "
        f"{moves.loc[moves['From_Segment'] == moves['To_Segment'], 'Customers'].sum():,} stayed where they were.",
        "says": largest_moves(moves, MOST, tables.currency, int(moves["Days"].iloc[0])),
        "figures": [drawn(figures.movement(moves, TIER_OF), table=named, columns=MOVES)] if len(moved) else [],
    }


def stability(tables: RunTables) -> list[dict[str, Any]]:
    """Return how steady the names were, run by run; nothing before the second run. Parameters as for `build`."""
    runs = tables.frame("segment_stability")
    runs = runs[runs["UpdateDate"] <= tables.day].sort_values("UpdateDate", ascending=False)
    if len(runs) < 2:
        return []
    hint = "Customers who bought nothing since the run before should keep the name of their segment; how many did not."
    shown = drawn(figures.stability(runs), table=runs, columns=STEADY)
    return [{"id": "stability", "title": "How steady the names are", "hint": hint, "figures": [shown]}]
