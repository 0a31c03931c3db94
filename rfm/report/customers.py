"""The customers of a run: a page to search, sort and filter, and lists to download as CSV, Excel and Parquet."""

from __future__ import annotations

import datetime as dt
import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rfm import words
from rfm.analysis.formatting import escape_formulas
from rfm.analysis.metrics import purchased_since
from rfm.analysis.movement import comparable
from rfm.analysis.segments.rules import DORMANT, SEGMENTS, TIER_OF
from rfm.analysis.states import STATES, call_list, states_by_day
from rfm.contracts import (
    CUSTOMER_FORECAST,
    CUSTOMER_STATES,
    DESCRIBED_CLUSTERS,
    DESCRIBED_CUSTOMERS,
    EXPLANATIONS,
    HISTORY,
    SEGMENT_MOVEMENT,
    SEGMENTATIONS,
)
from rfm.landing.decode import pseudonymize
from rfm.pipeline.chain import EXPORTS as FOLDER
from rfm.report.filters import PAGE_FILTERS, slug
from rfm.report.render import RunTables
from rfm.words import N_, _, tell

ALL, ENTERED, CALLS = "customers", "entered-risk", "to-call"  # the lists that are no segment's
MOST_IN_EXCEL = 100_000  # rows; a longer list is for CSV and Parquet
TOLD = (  # columns with words of rfm, for the workbook; a CSV file is for programs too, and stays English
    *("Cluster_Description", "Tier", "State", "Held_Against", "Segment_Before", "ValueTier", "Engagement", "ScoreName"),
    *("Rhythm", "Drivers", "Action", "Why"),
)
LONGEST_SHEET_NAME = 31  # characters; Excel refuses more
COLUMNS: dict[str, tuple[str, int, str]] = {  # of a list: heading, width in Excel, number format
    "CustomerID": (N_("Customer"), 14, ""),
    "Cluster_Description": (N_("Segment"), 26, ""),
    "Tier": (N_("Tier"), 18, ""),
    "State": (N_("State"), 10, ""),
    "Held_Against": (N_("Name held; by its cluster today"), 28, ""),
    "Segment_Before": (N_("Segment in the run before"), 26, ""),
    "MaxInvoiceDate": (N_("Last purchase"), 14, "yyyy-mm-dd"),
    "Recency": (N_("Days since"), 11, "0"),
    "Frequency": (N_("Orders"), 9, "#,##0"),
    "Monetary": (N_("Spent"), 13, "#,##0.00"),
    "ValueTier": (N_("Value"), 11, ""),
    "Engagement": (N_("Engagement"), 18, ""),
    "RFMScore": (N_("RFM score"), 11, ""),
    "ScoreName": (N_("By score"), 20, ""),
    "Rhythm": (N_("Own rhythm"), 42, ""),
    "UsualSpend": (N_("Usual spend in 90 days"), 13, "#,##0.00"),
    "AtStake": (N_("At stake"), 13, "#,##0.00"),
    "Order30": (N_("Order within 30 days"), 11, "0%"),
    "Spend90": (N_("Expected in 90 days"), 13, "#,##0.00"),
    "Drivers": (N_("What drives that"), 50, ""),
    "Action": (N_("What to do"), 58, ""),
    "Why": (N_("Why here"), 60, ""),
}


def write_exports(customers: pd.DataFrame, folder: Path, day: dt.date) -> None:
    """Write the lists as CSV files and as one workbook, and all customers as Parquet; the same customers give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    customers = customers.reindex(columns=[*dict.fromkeys([*customers, *COLUMNS, "ToCall"])])  # a published file may be older
    customers.to_parquet(folder / f"{ALL}.parquet", index=False)
    safe = escape_formulas(customers[list(COLUMNS)])
    headed = safe.rename(columns={column: heading for column, (heading, *_more) in COLUMNS.items()})
    whole = customers.reset_index(drop=True)
    calls = call_list(whole.assign(ToCall=[value is True for value in whole["ToCall"]]).reset_index()).set_index("index")
    lists = [(N_("Customers"), whole.index), (N_("To call"), calls.index)]
    lists += [(N_("Entered risk"), whole.index[whole["Entered_Risk"].astype(bool)])]
    lists += [(str(segment), rows.index) for segment, rows in whole.groupby("Cluster_Description", sort=True)]
    for title, places in lists:
        headed.iloc[places].to_csv(folder / f"{slug(title)}.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    if len(customers) <= MOST_IN_EXCEL:
        _write_workbook(safe.assign(**{name: safe[name].map(tell) for name in TOLD}), lists, folder / f"{ALL}.xlsx", day)


def rewrite_exports(parquet: bytes, folder: Path, day: dt.date, key: bytes) -> None:
    """Write the lists of a run again with each customer id as a keyed hash."""
    customers = pd.read_parquet(io.BytesIO(parquet), dtype_backend="pyarrow")
    hashed = customers["CustomerID"].map(lambda id: pseudonymize(str(id), key))
    write_exports(customers.assign(CustomerID=hashed), folder, day)


def downloads(name: str, label: str, count: int) -> list[dict[str, str]]:
    """Return the files of a list that a page offers: address and label."""
    kinds = {"csv": "CSV"}
    if name == ALL:
        kinds |= ({"xlsx": "Excel"} if count <= MOST_IN_EXCEL else {}) | {"parquet": "Parquet"}
    return [{"href": f"{FOLDER}/{name}.{kind}", "label": f"{label}, {word}" if label else word} for kind, word in kinds.items()]


def _write_workbook(customers: pd.DataFrame, lists: Iterable[tuple[str, pd.Index]], path: Path, day: dt.date) -> None:
    """Write a workbook of constants with one sheet per list: fixed header, a width and a number format per column."""
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

    class Sheet(Worksheet):  # xlsxwriter takes 0.9 s for the cells of 3,500 customers in all lists, joined XML a tenth
        def _write_rows(self) -> None:
            super()._write_rows()
            self.fh.write("".join(rows[place] for place in self.places))

    with Workbook(path) as book:
        book.set_properties(
            {"title": _("Customers, run of {day}", day=words.day(day)), "created": dt.datetime.combine(day, dt.time())}
        )
        bold = book.add_format({"bold": True, "bottom": 1})
        forms = [book.add_format({"num_format": form}) if form else None for *_more, form in COLUMNS.values()]
        rows = _sheet_rows(customers, [form._get_xf_index() if form else 0 for form in forms])
        for title, places in lists:
            sheet = book.add_worksheet(tell(title)[:LONGEST_SHEET_NAME], Sheet)
            sheet.places = places
            sheet.freeze_panes(1, 1)
            for at, (heading, width, _form) in enumerate(COLUMNS.values()):
                sheet.set_column(at, at, width, forms[at])
                sheet.write_string(0, at, _(heading), bold)
            sheet.dim_rowmax = len(places)
            sheet.autofilter(0, 0, len(places), len(COLUMNS) - 1)


def _sheet_rows(customers: pd.DataFrame, styles: list[int]) -> list[str]:
    """Return each row as XML without its number, so that it fits into any sheet."""
    first = dt.date(1899, 12, 30)  # Excel counts days from here

    def cell(value: Any, style: int) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t xml:space="preserve">{html.escape(CONTROL.sub("", value), quote=False)}</t></is></c>'
        if value is None or value is pd.NA or value != value:  # noqa: PLR0124  # NaN
            return "<c/>"
        return f'<c s="{style}"><v>{(value - first).days if isinstance(value, dt.date) else value}</v></c>'

    columns = (map(cell, customers[name].tolist(), repeat(style)) for name, style in zip(COLUMNS, styles, strict=True))
    return [f"<row>{''.join(cells)}</row>" for cells in zip(*columns, strict=True)]


# ── page ────────────────────────────────────────────────────────────
MOST = 100_000  # customers on the page, the largest spenders
FIRST = 50  # of them in the page before any script runs
FIRST_COLUMNS = ("CustomerID", "Cluster_Description", "Tier", "State", "Recency", "Frequency", "Monetary", "RFMScore")
MOST_PURCHASES = 200  # of a customer, the newest
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # no XML may hold them
ROW = re.compile(r'(<th scope="row" class="id">)([^<]*)')  # customer ids in the page: in rows, and in its data
DATA = re.compile(r'(<script type="application/json" id="data"[^>]*>)([^<]*)')
CODED = {  # columns with few values, which the page holds once, and their names there
    "Cluster_Description": "segment",
    "Cluster_Label": "label",
    "ValueTier": "value",
    "Engagement": "engagement",
    "ScoreName": "scored",
    "State": "state",
    "Rhythm": "rhythm",
    "Action": "action",
    "OwnSegment": "own",
}


DISPLAYED = {"value", "engagement", "scored", "rhythm", "action", "own"}  # not looked up by name, so in the language at once
OF_STATE = ("State", "Rhythm", "UsualSpend", "AtStake", "ToCall", "Action", "OwnSegment")
OF_FORECAST = ("Order30", "Spend90", "Drivers")
MOST_CALLS = 500  # customers to call on the overview


def calls(tables: RunTables) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return who should be called, as counts and money by state, and the first of them one by one; nothing for an older run."""
    found = tables.frame(CUSTOMER_STATES, UpdateDate=tables.day)
    wanted = call_list(found)
    if wanted.empty:
        return {}, []
    forecast = tables.frame(CUSTOMER_FORECAST, UpdateDate=tables.day)  # none for a young shop
    money = wanted["AtStake"].map(lambda value: Decimal(str(value)))
    by_state = ((state, wanted["State"] == state) for state in STATES if state in {*wanted["State"]})
    grouped = wanted.assign(Money=money).groupby(["Segment", "State"], as_index=False)
    groups = grouped.agg(customers=("CustomerID", "size"), money=("Money", "sum"), action=("Action", "first"))
    groups = groups.rename(columns=str.lower).sort_values(["money", "segment", "state"], ascending=[False, True, True])
    excel = [{"href": f"{FOLDER}/{ALL}.xlsx", "label": _("All lists, Excel")}] if len(found) <= MOST_IN_EXCEL else []
    said = {
        "customers": len(wanted),
        "money": str(money.sum()),
        "expected": len(forecast) > 0,
        "unchanged": int((money == 0).sum()),
        "states": [{"state": name, "customers": int(own.sum()), "money": str(money[own].sum())} for name, own in by_state],
        "groups": groups.astype({"money": str}).to_dict("records"),
        "segments": sorted(set(wanted["Segment"])),
        "shown": min(len(wanted), MOST_CALLS),
        "files": downloads(CALLS, _("The list"), len(wanted)) + excel,
    }
    first = wanted.head(MOST_CALLS).merge(forecast[["CustomerID", "Order30"]], "left", "CustomerID")
    first["Held"] = first["CustomerID"].isin(tables.held.index[tables.held != ""])
    shown = ["CustomerID", "Segment", "State", "Rhythm", "AtStake", "Action", "Order30", "Held"]
    return said, first[shown].to_dict("records")


def customers_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the customers page."""
    found = customer_list(tables)
    shown = found.head(MOST)
    tiers = dict(zip(shown["Cluster_Description"], shown["Tier"], strict=True))
    labels, details = sorted(set(shown["Cluster_Label"])), _details(tables, shown)
    once = {name: TIER_OF[name] for name in details["names"] if name in TIER_OF}  # segments of earlier days
    return {
        "first": shown.head(FIRST)[[*FIRST_COLUMNS]].astype(str).to_dict("records"),
        "data": _columns(shown)
        | {"tiers": once | tiers, "slugs": {name: slug(name) for name in tiers}, "states": STATES}
        | {"told": words.told([*SEGMENTS, *(once | tiers).values(), *labels, *STATES])},
        "details": details,
        "segments": sorted(tiers),
        "tiers": sorted(set(tiers.values())),
        "states": [state for state in STATES if state in set(shown["State"])],
        "labels": labels if len(labels) > len(tiers) else [],
        "total": len(found),
        "more": len(found) - len(shown),
        "downloads": downloads(ALL, _("All customers"), len(found)),
    }


def customer_list(tables: RunTables) -> pd.DataFrame:
    """Return all customers of a run, the largest spenders first."""
    return tables.once(("customers", tables.day, *tables.versions.items()), lambda: _customer_list(tables))


def _customer_list(tables: RunTables) -> pd.DataFrame:
    ways = ["CustomerID", "ValueTier", "Engagement", "RFMScore", "ScoreName"]
    found = tables.frame(DESCRIBED_CUSTOMERS).merge(tables.frame(SEGMENTATIONS)[ways], "left", "CustomerID")
    found = found.merge(tables.frame(EXPLANATIONS)[["CustomerID", "Why"]], "left", "CustomerID")
    states = tables.frame(CUSTOMER_STATES, UpdateDate=tables.day)[["CustomerID", *OF_STATE]]  # none for an older run
    found = found.merge(states, "left", "CustomerID")
    forecast = tables.frame(CUSTOMER_FORECAST, UpdateDate=tables.day)[["CustomerID", *OF_FORECAST]]  # none for a young shop
    found = found.merge(forecast, "left", "CustomerID")
    described = tables.frame(DESCRIBED_CLUSTERS)
    labels = described.set_index("Cluster")[["Cluster_Label", "Cluster_Description"]]
    own = found["Cluster"].map(labels["Cluster_Description"]) == found["Cluster_Description"]
    found["Cluster_Label"] = found["Cluster"].map(labels["Cluster_Label"]).where(own)
    found["Held_Against"] = tables.held.to_numpy()  # in the order of the customers, which no merge has changed
    moves = tables.frame(SEGMENT_MOVEMENT, UpdateDate=tables.day, Days=1)
    then = tables.frame(HISTORY, UpdateDate=list(moves["Since"].head(1)))  # the run before; of no day: no rows
    before = then[["CustomerID", "Cluster_Description"]].rename(columns={"Cluster_Description": "Segment_Before"})
    found = found.merge(before, "left", "CustomerID").sort_values(["Monetary", "CustomerID"], ascending=[False, True])
    found["Cluster_Label"] = found["Cluster_Label"].fillna(found["Cluster_Description"])
    return found.assign(Entered_Risk=slipped(found, then)).reset_index(drop=True)


def slipped(found: pd.DataFrame, then: pd.DataFrame) -> pd.Series:
    """Return True per customer who is in a dormant segment, was in another in the run before, and bought nothing since."""
    was, now = found["Segment_Before"], found["Cluster_Description"]
    return now.isin(DORMANT) & was.notna() & ~was.isin(DORMANT) & ~purchased_since(found, then)


def _columns(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the rows as columns of numbers: ids as text, money in cents, names as positions in a list."""
    numbers = {
        "id": rows["CustomerID"].tolist(),
        "days": rows["Recency"].tolist(),
        "orders": rows["Frequency"].tolist(),
        "cents": [int(amount.scaleb(2)) for amount in rows["Monetary"]],
        "rfm": rows["RFMScore"].fillna("").tolist(),
    }
    coded = {name: pd.factorize(rows[column].fillna("").to_numpy(object), sort=True) for column, name in CODED.items()}
    names = {
        name: [tell(one) for one in found] if name in DISPLAYED else found.tolist() for name, (_codes, found) in coded.items()
    }
    held = np.flatnonzero(rows["Held_Against"] != "").tolist()
    return numbers | {name: codes.tolist() for name, (codes, _) in coded.items()} | {"names": names, "held": held}


def _details(tables: RunTables, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the details of each customer, in the order of the rows."""
    why, phrases = _pieces([tell(text) for text in rows["Why"].fillna("")])
    ids = rows["CustomerID"].tolist()
    past, runs, names = _spells(tables)
    states, days = _states_over_time(tables, runs)
    bought, earlier = _purchases(tables)
    left = {str(place): earlier[id] for place, id in enumerate(ids) if id in earlier}
    return {
        "why": why,
        "phrases": phrases,
        "history": [past.get(id, []) for id in ids],
        "runs": runs,
        "names": names,
        "states": [states.get(id, []) for id in ids],
        "days": days,
        "bought": [bought.get(id, []) for id in ids],
        "earlier": left,
        "forecast": _forecasts(rows),
    }


def _forecasts(rows: pd.DataFrame) -> list[list[Any]]:
    """Return, per customer with a forecast, the percentage who order within 30 days, the cents expected in 90, and why."""
    known = zip(*(rows[name].tolist() for name in OF_FORECAST), strict=True)
    return [[] if pd.isna(chance) else [round(100 * chance), round(100 * spend), tell(why)] for chance, spend, why in known]


STEP = 30  # days or more between two days whose states are shown


def _states_over_time(tables: RunTables, runs: list[str]) -> tuple[dict[str, list[int]], list[str]]:
    """Return the states of each customer as positions of first day and state, on the run dates about a month apart."""
    dates = comparable([dt.date.fromisoformat(run) for run in runs], tables.day)
    days = [day for day in dates if not 0 < (tables.day - day).days < STEP]
    found = states_by_day(
        tables.history(days, "Recency", "Monetary"), tables.orders.dropna(subset="CustomerID"), days, tables.states
    )
    found = found.sort_values(["CustomerID", "UpdateDate"], kind="stable")
    new = (found["CustomerID"] != found["CustomerID"].shift()) | (found["State"] != found["State"].shift())
    begun = found[new].assign(UpdateDate=found["UpdateDate"].map(days.index), State=found["State"].map(STATES.index))
    return _in_turn(begun[["CustomerID", "UpdateDate", "State"]].itertuples(index=False)), [day.isoformat() for day in days]


def _spells(tables: RunTables) -> tuple[dict[str, list[int]], list[str], list[str]]:
    """Return the spells of each customer as positions of first run and segment, then the runs and the segments."""
    names = ["CustomerID", "UpdateDate", "Cluster_Description"]
    rows = tables.read(HISTORY).select(names).sort(names[:2]).collect()
    rows = rows.filter(rows["UpdateDate"] <= tables.day)
    runs, segments = (sorted(rows[name].unique().to_list()) for name in names[1:])
    same = [rows[name].eq_missing(rows[name].shift()) for name in (names[0], names[2])]
    begins = rows.filter(~(same[0] & same[1]))
    run, segment = ({one: place for place, one in enumerate(found)} for found in (runs, segments))
    begun = ((id, run[day], segment[name]) for id, day, name in begins.iter_rows())
    return _in_turn(begun), [str(one) for one in runs], segments


def _purchases(tables: RunTables) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Return, per customer, age in days and cents of the newest purchases, and number and cents of the older ones."""
    rows = tables.orders[tables.orders["CustomerID"].notna()].sort_values(["InvoiceDate", "InvoiceNo"], ascending=False)
    place = rows.groupby("CustomerID").cumcount()
    days = (pd.Timestamp(tables.day) - rows["InvoiceDate"]).dt.days
    new, old = place < MOST_PURCHASES, rows[place >= MOST_PURCHASES].groupby("CustomerID")["Cents"].agg(["size", "sum"])
    bought = zip(rows["CustomerID"][new].tolist(), days[new].tolist(), rows["Cents"][new].tolist(), strict=True)
    return _in_turn(bought), {str(id): [int(size), int(cents)] for id, size, cents in old.itertuples()}


def _in_turn(rows: Iterable[tuple[str, int, int]]) -> dict[str, list[int]]:
    """Return the pairs of numbers of each customer, flattened into one list."""
    found: dict[str, list[int]] = {}
    for id, one, other in rows:
        found.setdefault(id, []).extend((int(one), int(other)))
    return found


def renamed(page: str, name: Callable[[str], str]) -> str:
    """Return a finished page with other customer ids."""

    def data(found: re.Match[str]) -> str:
        columns = json.loads(found[2])
        return f"{found[1]}{PAGE_FILTERS['json'](columns | {'id': [name(id) for id in columns['id']]})}"

    rows = ROW.sub(lambda found: f"{found[1]}{name(html.unescape(found[2]))}", page)
    return DATA.sub(data, rows, count=1)


def _pieces(sentences: list[str]) -> tuple[list[list[str | int]], list[str]]:
    """Split sentences after colons and semicolons; return them with a number for each shared piece, and those pieces."""
    cut = [re.split(r"(?<=[:;] )", sentence) for sentence in sentences]
    often = Counter(piece for parts in cut for piece in parts)
    phrases = [piece for piece, times in often.items() if times > 1]
    at = {phrase: place for place, phrase in enumerate(phrases)}
    return [[at.get(piece, piece) for piece in parts] for parts in cut], phrases
