"""The pages of a run as data, and the builders of those about customers: tables in, values for a template out."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from rfm import contracts, words
from rfm.analysis import figures, migration
from rfm.analysis.forecast import FEWEST, first_day
from rfm.analysis.formatting import decimal, whole
from rfm.analysis.movement import TITLES, largest_moves, totals_by_day
from rfm.analysis.outliers import fences_of
from rfm.analysis.sales import ACTIVE_DAYS, kpis
from rfm.analysis.segments.explain import held_against
from rfm.analysis.segments.profiles import medians_of
from rfm.analysis.segments.rules import TIER_OF, plain_name
from rfm.analysis.states import STATES
from rfm.pipeline.chain import CLEAN, TABLES_STAND
from rfm.report import compare, customers, guide, pages_data
from rfm.report.filters import slug
from rfm.report.render import RunTables, drawn, exact, rows_of
from rfm.words import N_, _, ngettext

MOST_MOVES = 3
PRIVATE = "customers"  # value of the overview that names single customers, and stays on it
MONTH = 30  # days
KPIS = (  # field of `rfm.analysis.sales.Kpis`, label, form, note
    ("customers", N_("Customers"), "count", N_("with an order that counts")),
    ("active_customers", N_("Active customers"), "count", N_("bought in the last {n} days")),
    ("revenue", N_("Revenue"), "money", N_("of these customers so far")),
    ("orders", N_("Orders"), "count", N_("of these customers so far")),
    ("average_order", N_("Average order"), "money", N_("revenue by order")),
    ("one_time_share", N_("One-time buyers"), "share", N_("of customers have one order")),
)
BEFORE_RETURNS = N_(", before returns")  # on money: segments take them off, if the shop wants, but no other figure


def overview_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the overview; the front page shows those of the newest run, and draws its trends from `trend`."""
    moves = tables.frame(contracts.SEGMENT_MOVEMENT, UpdateDate=tables.day, Days=1)
    moved = None if moves.empty else entered(customers.customer_list(tables), moves["Since"].iloc[0])
    people = moved["customers"] if moved else 0
    counts = tables.frame(contracts.DQ_COMPARISON, processing_date=tables.day).set_index("layer")["total_records"]
    arrived, kept = (int(counts.get(layer, 0)) for layer in ("bronze", "silver"))
    renamed = tables.frame(contracts.SEGMENT_STABILITY, UpdateDate=tables.day)["RenamedShare"].dropna()
    to_call, one_by_one = customers.calls(tables)
    return {
        "calls": to_call,
        PRIVATE: one_by_one,
        "kpis": _kpis(tables),
        "entered": moved,
        "moves": largest_moves(moves, MOST_MOVES, tables.currency),
        "downloads": customers.downloads(customers.ENTERED, _("The list"), people) if people else [],
        "trend": {
            "dropped": (arrived - kept) / arrived if arrived else None,
            "renamed": None if renamed.empty else float(renamed.iloc[0]),
        },
        "earlier": _earlier(tables),
    }


def _earlier(tables: RunTables) -> list[dict[str, Any]]:
    """Return what the front page draws over time, of each earlier run date: not all have a published run."""
    stable = tables.frame(contracts.SEGMENT_STABILITY).set_index("UpdateDate")["RenamedShare"].dropna().to_dict()
    return [
        {"run_date": str(day)[:10], "customers": int(customers), "orders": int(orders), "revenue": str(revenue)}
        | {"named": int(named), "renamed": stable.get(pd.Timestamp(day).date())}
        for day, customers, orders, revenue, named in totals_by_day(tables.read(contracts.HISTORY), tables.day).to_numpy()
    ]


def _kpis(tables: RunTables) -> list[dict[str, Any]]:
    """Return each figure of `KPIS` with its value, and its values of yesterday and a month ago."""
    value = kpis(tables.orders, tables.day)._asdict()
    past = ((_("yesterday"), tables.day - dt.timedelta(days=1)), ("", tables.day - dt.timedelta(days=MONTH)))
    then = [(word, day, old) for word, day in past if (old := kpis(tables.orders, day)._asdict())["orders"]]
    more = _(BEFORE_RETURNS)
    return [
        {
            "name": name,
            "label": _(label),
            "form": form,
            "note": _(note, n=ACTIVE_DAYS) + more * (form == "money"),
            "value": exact(value[name]),
        }
        | {"past": [{"since": day.isoformat(), "word": word, "value": exact(old[name])} for word, day, old in then]}
        for name, label, form, note in KPIS
    ]


def entered(found: pd.DataFrame, since: dt.date) -> dict[str, Any]:
    """Return how many customers slipped into a dormant segment since a day, their revenue and their moves."""
    came = found[found["Entered_Risk"]].rename(columns={"Segment_Before": "from", "Cluster_Description": "to"})
    came = came.assign(revenue=came["Monetary"].map(Decimal))
    ways = came.groupby(["from", "to"], as_index=False).agg(customers=("revenue", "size"), revenue=("revenue", "sum"))
    ways = ways.sort_values(["revenue", "from", "to"], ascending=[False, True, True]).astype({"revenue": str})
    worth = sum(came["revenue"], Decimal(0))
    return {"since": since.isoformat(), "customers": len(came), "revenue": str(worth), "moves": ways.to_dict("records")}


# ── segments ────────────────────────────────────────────────────────────
SHARES = {
    "Cluster_Description": (N_("Segment"), "word"),
    "Customers": (N_("Customers"), "count"),
    "CustomerShare": (N_("Share of customers"), "share"),
    "Revenue": (N_("Revenue"), "money"),
    "RevenueShare": (N_("Share of revenue"), "share"),
}
PROFILES = {
    "Cluster": (N_("Cluster"), "text"),
    "Cluster_Description": (N_("Segment"), "word"),
    "MedianMonetary": (N_("Median spent"), "money"),
    "MedianFrequency": (N_("Median orders"), "count"),
    "MedianRecency": (N_("Median days since"), "count"),
}
SCORES = {
    "k": (N_("Clusters"), "count"),
    "silhouette": (N_("Silhouette"), "number"),
    "elbow": (N_("Elbow"), "number"),
    "score": (N_("Score"), "number"),
}
CURVE = {
    "Way": (N_("Way to forecast"), "word"),
    "Band": (N_("Forecast from"), "share"),
    "Customers": (N_("Customers"), "count"),
    "Forecast": (N_("Forecast share"), "share"),
    "Actual": (N_("Ordered"), "share"),
}
TYPICAL = ("Monetary", "Frequency", "Recency")


def segments_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the segments page."""
    summary = tables.frame(contracts.SEGMENT_SUMMARY)
    if summary.empty:
        return {"cards": [], "tiers": [], **segment_figures(tables), "foretold": [], "compare": {}}
    states, held = tables.frame(contracts.CUSTOMER_STATES, UpdateDate=tables.day), _held(tables)
    names = tables.frame(contracts.DESCRIBED_CUSTOMERS)["Cluster_Description"]
    waiting = names[(tables.held != "").to_numpy()].value_counts()
    cards = [
        {
            "segment": row["Cluster_Description"],
            "tier": row["Tier"],
            "customers": int(row["Customers"]),
            "customer_share": float(row["CustomerShare"]),
            "revenue": str(row["Revenue"]),
            "revenue_share": float(row["RevenueShare"]),
            "recommendation": row["Cluster_Recommendation"],
            "downloads": customers.downloads(slug(row["Cluster_Description"]), "", int(row["Customers"])),
            "explanation": row["Explanation"] if isinstance(row["Explanation"], str) else "",
            "fits": _fits(states, row["Cluster_Description"]),
            "held": held.get(row["Cluster_Description"], ""),
            "waiting": int(waiting.get(row["Cluster_Description"], 0)),
            "typical": {name: [float(row[f"Median{name}"]), float(row[f"Average{name}"])] for name in TYPICAL},
        }
        for row in summary.sort_values("Revenue", ascending=False).to_dict("records")
    ]
    tiers = list(dict.fromkeys(one["tier"] for one in cards))
    curve = tables.frame(contracts.RELIABILITY, UpdateDate=tables.day)  # none for a young shop
    return {
        "cards": cards,
        "tiers": tiers,
        "compare": compare.two_days(tables),
        **segment_figures(tables),
        **_notes(tables),
        "foretold": [drawn(figures.reliability(curve), table=curve, columns=CURVE)] if len(curve) else [],
    }


def _fits(states: pd.DataFrame, segment: str) -> dict[str, Any]:
    """Return how many customers of a segment have numbers of their own that give its name, and how many are in each state."""
    own = states[states["Segment"] == segment]
    counts = own["State"].value_counts()
    action = dict(zip(own["State"], own["Action"], strict=True))
    each = [{"state": state, "customers": int(counts[state]), "action": action[state]} for state in STATES if state in counts]
    return {"own": int((own["OwnSegment"] == plain_name(segment)).sum()), "states": each}


def _held(tables: RunTables) -> dict[str, str]:
    """Return the segments with a cluster that keeps an earlier name, each with the name that its medians alone give."""
    described = tables.frame(contracts.DESCRIBED_CLUSTERS)
    others = zip(described["Cluster_Description"], held_against(described, described), strict=True)
    return {segment: other for segment, other in others if other}


def segment_figures(tables: RunTables) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of the segments page that need no states, drawn once."""
    summary = tables.frame(contracts.SEGMENT_SUMMARY)
    if summary.empty:
        return {"differ": [], "found": []}
    draw = lambda: {"differ": _how_they_differ(tables, summary), "found": _how_they_were_found(tables)}
    return tables.once("segment figures", draw)


def _how_they_differ(tables: RunTables, summary: pd.DataFrame) -> list[dict[str, Any]]:
    described = tables.frame(contracts.DESCRIBED_CLUSTERS)
    clustered, scored = tables.frame(contracts.CLUSTERED), tables.frame(contracts.SEGMENTATIONS)
    shown = [
        drawn(
            figures.segment_shares(summary), _("Each segment's share of customers beside its share of revenue"), summary, SHARES
        ),
        drawn(figures.segment_treemap(summary, tables.currency), table=summary, columns=SHARES),
        drawn(figures.cluster_profiles(described, medians_of(clustered)), table=described, columns=PROFILES),
    ]
    if len(scored):
        shown.append(drawn(figures.score_map(scored, clustered, tables.currency)))
        shown.append(drawn(figures.agreement(scored)))
    return [*shown, drawn(figures.distributions(clustered, clustered["Cluster"]))]


def _notes(tables: RunTables) -> dict[str, Any]:
    """Return the frequency scores that nobody has, and the scores of the k that is kept and of a better one."""
    scored, (own, tried) = tables.frame(contracts.SEGMENTATIONS), _tried(tables)
    scores = {row["k"]: row["score"] for row in tried}
    best = max(scores, key=lambda k: scores[k])
    kept = {"k": own, "score": decimal(scores[own], 3), "better": best, "best": decimal(scores[best], 3)}
    empty = sorted({1, 2, 3, 4, 5} - set(scored["FScore"])) if len(scored) else []
    return {"empty": ", ".join(map(str, empty)), "kept": kept if scores[best] > scores[own] else None}


def _tried(tables: RunTables) -> tuple[int, list[dict[str, Any]]]:
    """Return the k of the run, and the scores of each k that was tried."""
    model = tables.frame(contracts.CLUSTER_MODELS, UpdateDate=tables.day).iloc[0]
    return int(model["k"]), json.loads(model["model"])["scores"]


def _how_they_were_found(tables: RunTables) -> list[dict[str, Any]]:
    clustered = tables.frame(contracts.CLUSTERED)
    k, tried = _tried(tables)
    scores = pd.DataFrame(tried)
    regular = clustered["Cluster"].where(clustered["Cluster"] < 0, 0)
    return [
        drawn(figures.outlier_fences(clustered, regular, fences_of(clustered, tables.clusters))),
        drawn(figures.k_selection(scores, k), table=scores, columns=SCORES),
        drawn(figures.clusters_3d(clustered), _("A point for each customer in the space of recency, orders and spending")),
        drawn(figures.boxes(clustered, clustered["Cluster"])),
    ]


# ── movement ────────────────────────────────────────────────────────────
PERIODS = {1: "day", 7: "week", 30: "month"}  # in days: the part of the page
MOST = 5  # sentences per period
SHARES_OF_STATES = {"From_State": (N_("State"), "word"), "Pairs": (N_("Seen"), "count")} | {one: (one, "share") for one in STATES}
OUTLOOK = {
    "State": (N_("State"), "word"),
    "Customers": (N_("Customers today"), "count"),
    "CustomersLater": (N_("In 30 days"), "count"),
    "Revenue": (N_("Spent so far"), "money"),
    "RevenueLater": (N_("In 30 days"), "money"),
    "Expected": (N_("Expected 30 days ago"), "count"),
    "Came": (N_("Came"), "count"),
}
MOVES = {
    "From_Segment": (N_("Was"), "word"),
    "To_Segment": (N_("Is now"), "word"),
    "Customers": (N_("Customers"), "count"),
    "Revenue": (N_("Brought so far"), "money"),
    "Bought": (N_("Bought again"), "count"),
    "TimePassed": (N_("Time passed"), "count"),
    "ModelChanged": (N_("Model changed"), "count"),
}
STEADY = {
    "UpdateDate": (N_("Run"), "day"),
    "Method": (N_("Model"), "word"),
    "k": (N_("Clusters"), "count"),
    "KMargin": (N_("Lead of k"), "share"),
    "Compared": (N_("Without a purchase"), "count"),
    "Renamed": (N_("Of them renamed"), "count"),
    "RenamedShare": (N_("Share"), "precise"),
    "Drift": (N_("Drift"), "number"),
    "Silhouette": (N_("Silhouette"), "number"),
}


def movement_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the movement page."""
    moves, stable = tables.frame(contracts.SEGMENT_MOVEMENT, UpdateDate=tables.day), _stability(tables)
    periods = [
        _period(tables, moves[moves["Days"] == days], id, _(TITLES[days]))
        for days, id in PERIODS.items()
        if (moves["Days"] == days).any()
    ]
    return {"first": not periods, "parts": [*periods, *_migration(tables), *stable]}


def _period(tables: RunTables, moves: pd.DataFrame, id: str, title: str) -> dict[str, Any]:
    moved = moves[moves["From_Segment"] != moves["To_Segment"]].sort_values("Customers", ascending=False)
    stayed = int(moves.loc[moves["From_Segment"] == moves["To_Segment"], "Customers"].sum())
    named = moved.assign(From_Segment=moved["From_Segment"].replace("", _("First purchase since")))
    return {
        "id": id,
        "title": title,
        "hint": ngettext(
            "Compared with the run of {day}. Of the customers of that run, {n} stayed in its segment.",
            "Compared with the run of {day}. Of the customers of that run, {n} stayed in their segment.",
            stayed,
            day=words.day(moves["Since"].iloc[0]),
            n=whole(stayed),
        ),
        "says": largest_moves(moves, MOST, tables.currency, int(moves["Days"].iloc[0])),
        "figures": [drawn(figures.movement(moves, TIER_OF), table=named, columns=MOVES)] if len(moved) else [],
    }


def _migration(tables: RunTables) -> list[dict[str, Any]]:
    """Return who will be in which state in a month; for a young shop, from which day on; nothing for a run of an older rfm."""
    found = tables.frame(contracts.MIGRATION, UpdateDate=tables.day)
    part = {"id": "migration", "title": _("Who will be where in a month")}
    if found.empty:
        first = first_day(tables.orders, tables.day)
        hint = _(migration.NOT_YET, day=words.day(first)) if first else _(migration.TOO_FEW, fewest=FEWEST)
        return [] if first and first <= tables.day else [part | {"hint": hint}]
    shares = migration.shares(found)
    table = rows_of(migration.outlook(found).round({"CustomersLater": 0, "Expected": 0}), OUTLOOK)
    shown = drawn(figures.migration(shares), table=shares, columns=SHARES_OF_STATES)
    hint, says = _(migration.HOW, few=migration.FEW), migration.in_words(found, tables.currency)
    return [part | {"hint": hint, "says": says, "table": table, "figures": [shown]}]


def _stability(tables: RunTables) -> list[dict[str, Any]]:
    runs = tables.frame(contracts.SEGMENT_STABILITY)
    runs = runs[runs["UpdateDate"] <= tables.day].sort_values("UpdateDate", ascending=False)
    if len(runs) < 2:
        return []
    hint = _("Customers without a purchase since the previous run should keep their segment; this is how many did not.")
    shown = drawn(figures.stability(runs), table=runs, columns=STEADY)
    return [{"id": "stability", "title": _("How steady the names are"), "hint": hint, "figures": [shown]}]


# ── how to read this ────────────────────────────────────────────────────────────
def guide_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the page *How to read this*, with the limits of the run."""
    return {"parts": guide.parts(tables.states.model_dump() | tables.clusters.model_dump())}


# ── pages ────────────────────────────────────────────────────────────
class Page(NamedTuple):
    """A page of a run: its template gets what ``build`` returns.

    It is built once the tables of the stage ``after`` are written, without such a stage at the end.
    """

    file: str
    label: str
    template: str
    build: Callable[[RunTables], dict[str, Any]]
    after: str = TABLES_STAND
    private: bool = True  # it shows single customers: published only if the shop opts in
    late: Callable[[RunTables], dict[str, Any]] | None = None  # further values, which need the tables of all stages


PAGES = (
    Page("index.html", N_("Overview"), "overview.html.j2", overview_page, private=False),
    Page("segments.html", N_("Segments"), "segments.html.j2", segments_page, private=False),
    Page("customers.html", N_("Customers"), "customers.html.j2", customers.customers_page),
    Page("movement.html", N_("Movement"), "movement.html.j2", movement_page, private=False),
    Page("campaigns.html", N_("Campaigns"), "campaigns.html.j2", pages_data.campaigns_page, private=False),
    Page("trade.html", N_("Trade"), "trade.html.j2", pages_data.trade_page, CLEAN.name, False, compare.products_of_groups),
    Page("quality.html", N_("Quality"), "quality.html.j2", pages_data.quality_page, after=CLEAN.name, private=False),
    Page("run.html", N_("Run"), "run.html.j2", pages_data.run_page, after="", private=False),
    Page(guide.FILE, N_("How to read this"), "guide.html.j2", guide_page, after="", private=False),
)
BRIEF = ("brief.pdf", "brief.html")  # of a run, see `rfm.report.brief`; they name no single customer
