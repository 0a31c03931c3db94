"""Overview: the figures of the day against yesterday and a month ago, what moved, what to do today."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rfm.core.movement import largest_moves
from rfm.core.segments.rules import CLUSTER_NAMES, DECISIONS
from rfm.core.trade import kpis
from rfm.core.trade.totals import ACTIVE_DAYS
from rfm.run import exports
from rfm.run.pages.tables import RunTables

if TYPE_CHECKING:
    import pandas as pd

MOST_MOVES = 3
RISK = frozenset([*(row.dormant for row in DECISIONS), *CLUSTER_NAMES.values()])  # segments of those who stay away
MONTH = 30  # days
KPIS = (  # field of `rfm.core.trade.Kpis`, what it is called, how it is shown, what it means
    ("customers", "Customers", "count", "with an order that counts"),
    ("active_customers", "Active customers", "count", f"bought in the last {ACTIVE_DAYS} days"),
    ("revenue", "Revenue", "money", "of these customers so far"),
    ("orders", "Orders", "count", "of these customers so far"),
    ("average_order", "Average order", "money", "revenue by order"),
    ("one_time_share", "One-time buyers", "share", "of customers have one order"),
)
BEFORE_RETURNS = ", before returns"  # said of money where returns are taken off in the segments alone


def build(tables: RunTables) -> dict[str, Any]:
    """Return what the overview shows; the front page shows the same of the newest run.

    Parameters
    ----------
    tables
        Of the run.

    Returns
    -------
    dict
        ``kpis``, each with its value and its earlier values; ``entered``, the moves into a risk segment since the
        run before; ``moves``, sentences; ``downloads``; ``trend``, what is kept of this run to be drawn over time.
    """
    moves = tables.frame("segment_movement", UpdateDate=tables.day, Days=1)
    moved = entered(moves)
    return {
        "kpis": figures_of(tables),
        "entered": moved,
        "moves": largest_moves(moves, MOST_MOVES, tables.currency),
        "downloads": downloads(moved),
        "trend": trend(tables),
    }


def downloads(moved: dict[str, Any] | None) -> list[dict[str, str]]:
    """Return the list of those who `entered` a risk segment, to take away; nothing where nobody did."""
    people = moved["customers"] if moved else 0
    return exports.downloads(exports.ENTERED, "The list", people) if people else []


def figures_of(tables: RunTables) -> list[dict[str, Any]]:
    """Return each figure of `KPIS` with its value, and its values of yesterday and a month ago; parameters as for `build`."""
    value = kpis(tables.orders, tables.day)._asdict()
    past = {word: tables.day - dt.timedelta(days=days) for word, days in (("yesterday", 1), ("", MONTH))}
    then = [(word, day, kpis(tables.orders, day)._asdict()) for word, day in past.items()]
    more = BEFORE_RETURNS if tables.rules.revenue == "net" else ""
    return [
        {"name": name, "label": label, "form": form, "note": note + more * (form == "money"), "value": plain(value[name])}
        | {
            "past": [
                {"since": day.isoformat(), "word": word, "value": plain(old[name])} for word, day, old in then if old["orders"]
            ]
        }
        for name, label, form, note in KPIS
    ]


def plain(value: Any) -> Any:
    """Return an amount as text, exact, and anything else as it is."""
    return str(value) if isinstance(value, Decimal) else value


def trend(tables: RunTables) -> dict[str, Any]:
    """Return the numbers of this run that the front page draws over time; parameters as for `build`."""
    counts = tables.frame("bronze_silver_dq_comparison", processing_date=tables.day).set_index("layer")["total_records"]
    arrived, kept = (int(counts.get(layer, 0)) for layer in ("bronze", "silver"))
    renamed = tables.frame("segment_stability", UpdateDate=tables.day)["RenamedShare"].dropna()
    return {
        "dropped": (arrived - kept) / arrived if arrived else None,
        "renamed": None if renamed.empty else float(renamed.iloc[0]),
    }


def entered(moves: pd.DataFrame) -> dict[str, Any] | None:
    """Return the customers who entered a risk segment since the run before: how many, their worth, from where to where.

    Parameters
    ----------
    moves
        Rows of ``segment_movement`` of one run date and one day.

    Returns
    -------
    dict or None
        ``since``, ``customers``, ``revenue`` and ``moves``, the most revenue first; None without an earlier run.
    """
    if moves.empty:
        return None
    came = moves[moves["To_Segment"].isin(RISK) & ~moves["From_Segment"].isin([*RISK, ""])]
    ways = [
        {"from": row["From_Segment"], "to": row["To_Segment"], "customers": int(row["Customers"]), "revenue": str(row["Revenue"])}
        for row in came.sort_values(["Revenue", "From_Segment", "To_Segment"], ascending=[False, True, True]).to_dict("records")
    ]
    worth = sum((Decimal(way["revenue"]) for way in ways), Decimal(0))
    people = sum(way["customers"] for way in ways)
    return {"since": moves["Since"].iloc[0].isoformat(), "customers": people, "revenue": str(worth), "moves": ways}
