"""What a reader chooses on a page, from data that is in the page: two run dates on *Segments*, a segment and a state on *Trade*.

A script draws the choice; without it, the page shows the one that is built here.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from rfm.analysis import movement
from rfm.analysis.formatting import escape_formulas
from rfm.analysis.segments.rules import SEGMENTS
from rfm.analysis.states import STATES
from rfm.contracts import HISTORY
from rfm.report.render import RunTables, exact
from rfm.words import told

MOST_TOTALS, MOST_MOVES = 8000, 7000  # rows in the page, 20 bytes each: a segment on a day, a move between two; the newest


def two_days(tables: RunTables) -> dict[str, Any]:
    """Return the segments of each run date, who moved between some of them, and the pair that is shown first."""
    totals = movement.segment_totals(tables.read(HISTORY), tables.day)
    days = sorted({*totals["UpdateDate"]})
    if len(days) < 2:
        return {}
    kept = movement.comparable(days, days[-1])
    moves = _newest(movement.moves_between(tables.history(kept, movement.SEGMENT, "Monetary")), MOST_MOVES)
    periods = movement.since(days[:-1], days[-1])
    then = periods[max(periods)] if periods else kept[0]
    sizes = totals.groupby("UpdateDate").size().iloc[::-1].cumsum()
    shown = sorted({*sizes.index[sizes <= MOST_TOTALS], *kept})
    names = sorted({*totals["Segment"]}, key=_place)
    return {
        "then": then.isoformat(),
        "now": days[-1].isoformat(),
        "rows": _changes(totals, names, then, days[-1]),
        "grid": _grid(moves[(moves["Since"] == then) & (moves["UpdateDate"] == days[-1])], names),
        "data": _packed(totals, moves, names, shown),
    }


def _newest(moves: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the moves of the newest pairs of run dates, of each pair all or none."""
    pair = ["UpdateDate", "Since"]
    found = moves.sort_values(pair, ascending=False, kind="stable", ignore_index=True)
    return found[found.groupby(pair, sort=False).cumcount(ascending=False) + found.index < most]


def _place(segment: str) -> tuple[int, str]:
    """Return the place of a segment: from premium to new, as the rules list them."""
    return (SEGMENTS.index(segment) if segment in SEGMENTS else len(SEGMENTS)), segment


WAYS = ("then", "now")


def _changes(totals: pd.DataFrame, names: list[str], *days: dt.date) -> list[dict[str, Any]]:
    """Return each segment with its numbers of two run dates, and all customers together."""
    nobody = {"Customers": 0, "CustomerShare": 0.0, "Revenue": Decimal(0), "RevenueShare": 0.0}
    own = [totals[totals["UpdateDate"] == day].set_index("Segment")[[*nobody]].to_dict("index") for day in days]
    every = [{name: sum(row[name] for row in found.values()) for name in nobody} for found in own]
    rows = [(name, [found.get(name, nobody) for found in own]) for name in names if any(name in found for found in own)]
    return [
        {
            "segment": name,
            **{way: {part: exact(value) for part, value in one.items()} for way, one in zip(WAYS, pair, strict=True)},
        }
        for name, pair in [*rows, ("", every)]
    ]


def _grid(moves: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Return the moves of a pair as a grid: from a segment, or none, in each row; to a segment, or none, in each column."""
    cells = {(one.From_Segment, one.To_Segment): (int(one.Customers), str(one.Revenue)) for one in moves.itertuples()}
    rows, columns = ([name for name in [*names, ""] if any(way[side] == name for way in cells)] for side in (0, 1))
    return {"to": columns, "rows": [{"from": row, "cells": [cells.get((row, to)) for to in columns]} for row in rows]}


def _packed(totals: pd.DataFrame, moves: pd.DataFrame, names: list[str], days: list[dt.date]) -> dict[str, Any]:
    """Return numbers without names: per day segment, customers and cents in turn; per pair from, to, customers and cents."""
    place = {name: at for at, name in enumerate([*names, ""])}
    of_day: dict[dt.date, list[int]] = {day: [] for day in days}
    for day, name, customers, revenue in totals[["UpdateDate", "Segment", "Customers", "Revenue"]].itertuples(index=False):
        if day in of_day:
            of_day[day] += [place[name], customers, int(revenue.scaleb(2))]
    at = {day: number for number, day in enumerate(days)}
    of_pair: dict[str, list[int]] = {}
    for then, now, source, target, customers, revenue in moves.itertuples(index=False):
        cells = of_pair.setdefault(f"{at[then]} {at[now]}", [])
        cells += [place[source], place[target], customers, int(revenue.scaleb(2))]
    shown = [day.isoformat() for day in days]
    return {"names": names, "told": told(names), "days": shown, "totals": [*of_day.values()], "moves": of_pair}


# ── products of a segment and a state ───────────────────────────────────
PRODUCTS = "products-by-segment.csv"  # of a run; it names no single customer
FIRST_STATE = "at risk"  # what these used to buy is shown first
LISTED = {  # of `sales.products_by_group`: heading in the file
    "Segment": "Segment",
    "State": "State",
    "GroupSize": "Customers of the group",
    "StockCode": "Code",
    "Description": "Product",
    "Units": "Pieces",
    "Revenue": "Revenue",
    "Customers": "Customers who bought it",
    "Share": "Share of the group",
    "Lift": "Lift against all customers",
}


def products_of_groups(tables: RunTables) -> dict[str, Any]:
    """Return the products of each segment in each state, and those that are shown first; nothing for an older run."""
    found = tables.products_by_group
    if found.empty:
        return {"chosen": {}}
    segments = ["", *sorted({*found["Segment"]} - {""}, key=_place)]
    states = ["", *(state for state in STATES if state in {*found["State"]})]
    state = FIRST_STATE if FIRST_STATE in states else ""
    codes = [*dict.fromkeys(found["StockCode"])]
    names = found.drop_duplicates("StockCode")["Description"].tolist()
    place, groups = {code: at for at, code in enumerate(codes)}, {}
    for (segment, condition), rows in found.groupby(["Segment", "State"]):
        numbers = [int(rows["GroupSize"].iloc[0])]
        for row in rows.itertuples():
            cents, lift = int(row.Revenue.scaleb(2)), round(100 * row.Lift)
            numbers += [place[row.StockCode], row.Units, cents, row.Customers, lift]
        groups[f"{segments.index(segment)} {states.index(condition)}"] = numbers
    first = found[(found["Segment"] == "") & (found["State"] == state)]
    return {
        "chosen": {
            "segments": segments[1:],
            "states": states[1:],
            "state": state,
            "size": int(first["GroupSize"].iloc[0]),
            "rows": first.assign(Revenue=first["Revenue"].astype(str), Lift=first["Lift"].round(2)).to_dict("records"),
            "data": {"products": [[*pair] for pair in zip(codes, names, strict=True)], "groups": groups}
            | {"told": told([*segments, *states])},
            "file": PRODUCTS,
        }
    }


def write_products(tables: RunTables, folder: Path) -> None:
    """Write the products of each segment in each state as a CSV file, safe in a spreadsheet; "all" stands for each of them."""
    found = tables.products_by_group
    if found.empty:
        return
    named = {name: found[name].replace("", "all") for name in ("Segment", "State")}
    rows = found.assign(Revenue=found["Revenue"].astype(float), **named).round({"Share": 4, "Lift": 2})
    safe = escape_formulas(rows[[*LISTED]]).rename(columns=LISTED)
    safe.to_csv(folder / PRODUCTS, index=False, encoding="utf-8-sig", lineterminator="\r\n")
