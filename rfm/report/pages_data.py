"""Builders of the pages about the shop and the run: Campaigns, Trade, Quality and Run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pandas as pd

from rfm.analysis import experiments, figures, sales
from rfm.analysis.cleaning import judge
from rfm.analysis.quality.gate import money_flow
from rfm.contracts import (
    BRONZE_QUALITY,
    CAMPAIGN_MEMBERS,
    CAMPAIGN_RESULTS,
    CAMPAIGNS,
    DAILY_COUNTS,
    DAILY_VOLUME,
    EXPECTATION_RESULTS,
    LEDGER,
    QUARANTINE,
    SILVER,
    TABLES,
)
from rfm.report.filters import slug
from rfm.report.render import RunTables, drawn, rows_of
from rfm.words import N_, _

if TYPE_CHECKING:
    from rfm.contracts import Column

# ── campaigns ────────────────────────────────────────────────────────────
OUTCOMES = {
    "Bought": N_("share of customers who ordered"),
    "Orders": N_("orders per customer"),
    "Revenue": N_("revenue per customer"),
}
COMPARED = {
    "What": (N_("What"), "text"),
    "Written": (N_("Written to"), "number"),
    "HeldOut": (N_("Held out"), "number"),
    "Uplift": (N_("Uplift"), "number"),
    "Low": (N_("At least"), "number"),
    "High": (N_("At most"), "number"),
}


def campaigns_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the campaigns page, the newest campaign first."""
    every = tables.frame(CAMPAIGNS).sort_values(["Start", "Campaign"], ascending=[False, True])
    members = tables.frame(CAMPAIGN_MEMBERS).groupby(["Campaign", "Arm"]).size()
    results = tables.frame(CAMPAIGN_RESULTS)
    known = experiments.with_results(every, results[results["UpdateDate"] <= tables.day])
    return {"parts": [_campaign(tables, about, members[about["Campaign"]].to_dict()) for about in known]}


def _campaign(tables: RunTables, about: dict[str, Any], arms: dict[str, int]) -> dict[str, Any]:
    compared = pd.DataFrame([row | {"What": _(OUTCOMES[row["Measure"]])} for row in about["Results"]])
    said = experiments.result_in_words(about, arms.get(experiments.WRITTEN, 0), tables.currency)
    return {
        "id": slug(about["Campaign"]) or "campaign",
        "title": about["Campaign"],
        "hint": _(
            "Measured {window}. Chosen: {selection}.",
            window=experiments.window(about),
            selection=about["Selection"] or _("all customers"),
        ),
        "says": [experiments.before_the_start(about, arms), *said],
        "table": rows_of(compared, COMPARED) if len(compared) else None,
    }


# ── lineage ────────────────────────────────────────────────────────────
LANDING = N_("landing files")
STEP, TOP, SPINE = 26, 20, 150  # of the drawing: between two rows, above the first, from the left to the marks


def run_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the run page."""
    record, stages = tables.record, tables.record.get("stages", ())
    shown = ("name", "title", "status", "seconds", "rows_read", "rows_written")
    states = {name: state for stage in stages for name, state in stage.get("writes", {}).items()}
    return {
        "stages": [{name: one.get(name) for name in shown} | {"notebook": f"notebooks/{one['name']}.html"} for one in stages],
        "graph": graph(stages),
        "written": [
            {"name": name, "grain": TABLES[name].grain if name in TABLES else "", **state} for name, state in states.items()
        ],
        "versions": _named(record.get("versions", {})),
        "parameters": _named(nearby(record.get("parameters", {}))),
        "choices": _named(record.get("settings", {})),
        "run_id": record.get("run_id", ""),
    }


def graph(stages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tables under the stages that wrote them first, and a curve from each table to every later stage that read it."""

    def bow(start: int, end: int) -> str:  # to the left of the spine, wider for a longer way
        reach = SPINE - 10 - min(SPINE - 16, 14 + 0.3 * (end - start))
        return f"M{SPINE - 10},{start}C{reach:.0f},{start} {reach:.0f},{end} {SPINE - 12},{end}"

    rows: list[dict[str, Any]] = [{"label": LANDING, "kind": "table", "count": None}]
    for noted in stages:
        there = {row["label"] for row in rows}
        rows.append({"label": noted["name"], "kind": "stage", "count": None})
        new = [(name, state) for name, state in noted.get("writes", {}).items() if name not in there]
        rows += [{"label": name, "kind": "table", "count": state["rows"]} for name, state in new]
    at = {row["label"]: TOP + STEP * place for place, row in enumerate(rows)}
    ways = [(name, noted["name"]) for noted in stages for name in (noted.get("reads") or [LANDING]) if name in at]
    curves = [{"from": name, "to": reader, "d": bow(at[name], at[reader])} for name, reader in ways if at[name] < at[reader]]
    placed = [row | {"y": at[row["label"]]} for row in rows]
    return {"rows": placed, "curves": curves, "height": TOP + STEP * len(rows), "spine": SPINE}


def nearby(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with local paths relative to the folder that holds them all, otherwise by name: readers need no more."""
    paths = {name: PurePath(value) for name, value in values.items() if isinstance(value, str) and PurePath(value).is_absolute()}
    above = [{folder for folder in path.parents if len(folder.parts) > 1} for path in paths.values()]
    shared = max(set.intersection(*above), key=lambda folder: len(folder.parts), default=None) if len(above) > 1 else None
    return {**values} | {name: str(path.relative_to(shared)) if shared else path.name for name, path in paths.items()}


def _named(values: Mapping[str, Any]) -> list[list[str]]:
    """Return names and values as text; the values of a group as ``group.name``."""
    flat: list[list[str]] = []
    for name, value in values.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        flat += [[f"{name}.{one}", str(other)] for one, other in inner] if inner else [[name, str(value)]]
    return [pair for pair in flat if pair[1] not in ("", "{}")]


# ── quality ────────────────────────────────────────────────────────────
SAMPLE = ("Invoice", "StockCode", "Description", "Quantity", "Price", "InvoiceDate")  # of a dropped line; no customer
FLOW = {"Label": (N_("Step"), "word"), "Amount": (N_("Money"), "exact"), "Lines": (N_("Lines"), "count")}
LAYERS = {"InvoiceDate": (N_("Day"), "day"), "layer": (N_("Layer"), "word"), "total_records": (N_("Lines"), "count")}
RATES = {
    "processing_date": (N_("Run"), "day"),
    "expectation": (N_("Rule"), "text"),
    "checked": (N_("Lines"), "count"),
    "failed": (N_("Broken"), "count"),
    "Passed": (N_("Passed"), "precise"),
}
VOLUME = {
    "InvoiceDate": (N_("Day"), "day"),
    "lines": (N_("Lines"), "count"),
    "invoices": (N_("Invoices"), "count"),
    "customers": (N_("Customers"), "count"),
    "revenue": (N_("Revenue"), "money"),
}
SAMPLES = 3  # lines shown of each reason


def quality_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the quality page; the score is the share of the run's new lines that fitted the header, in %."""
    results, ledger = tables.frame(EXPECTATION_RESULTS), tables.frame(LEDGER)
    results = results[results["processing_date"] <= tables.day]
    lines = ledger.groupby("layer")["rows"].sum()
    counts = {"arrived": "bronze", "kept": "silver", "dropped": "quarantine"}
    score = tables.frame(BRONZE_QUALITY, processing_date=tables.day)["rescued_data_quality_score"]
    return {
        "counts": {name: int(lines.get(layer, 0)) for name, layer in counts.items()}
        | {"files": int((ledger["layer"] == "bronze").sum())},
        "score": None if score.empty else float(score.iloc[0]),
        "money": money(tables) if len(results) else [],
        "rules": _rules(results),
        "reasons": _reasons(tables),
        "over_time": _over_time(tables, results) if len(results) else [],
        "contract": [
            {"name": table.name, "grain": table.grain, "key": list(table.key), "columns": [_column(one) for one in table.columns]}
            for table in TABLES.values()
        ],
    }


def money(tables: RunTables) -> list[dict[str, Any]]:
    """Return the figure of the money of all lines on its way to the revenue in the segments, to the cent."""
    quarantined, silver = judge(tables.read(QUARANTINE), dialect=tables.settings.dialect), tables.read(SILVER)
    flow = money_flow(
        quarantined, silver, tables.day, stock_code_pattern=tables.rules.stock_code_pattern, revenue=tables.rules.revenue
    )
    return [drawn(figures.money_waterfall(flow, tables.currency), table=flow, columns=FLOW)]


def _column(column: Column) -> dict[str, Any]:
    shown = {name: getattr(column, name) for name in ("name", "type", "nullable", "unit", "meaning")}
    return shown | {"bounds": ["" if bound is None else f"{bound:g}" for bound in column.bounds]}


def _rules(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how often each expectation was checked and failed, in all runs and in the newest."""
    rows = []
    for (name, severity), found in results.groupby(["expectation", "severity"]):
        newest = found[found["processing_date"] == results["processing_date"].max()]
        checked, failed = int(found["checked"].sum()), int(found["failed"].sum())
        row = {"name": name, "severity": severity, "checked": checked, "failed": failed, "new": int(newest["failed"].sum())}
        rows.append(row | {"passed": 1 - failed / checked if checked else None})
    return sorted(rows, key=lambda row: (-row["failed"], row["name"]))


def _reasons(tables: RunTables) -> list[dict[str, Any]]:
    """Return the reasons for dropped lines, the most frequent first, each with some of its lines."""
    rows = tables.frame(QUARANTINE)
    found = rows.groupby("failed_expectations").size().sort_values(ascending=False, kind="stable")
    samples = {why: rows[rows["failed_expectations"] == why].tail(SAMPLES)[list(SAMPLE)] for why in found.index}
    return [{"why": why.replace(",", ", "), "lines": int(found[why]), "sample": rows_of(samples[why])} for why in found.index]


def _over_time(tables: RunTables, results: pd.DataFrame) -> list[dict[str, Any]]:
    days, volume = tables.frame(DAILY_COUNTS), tables.frame(DAILY_VOLUME)
    rates = results.assign(Passed=1 - results["failed"] / results["checked"].clip(lower=1)).iloc[::-1]
    return [
        drawn(figures.layers_by_day(days), table=days.sort_values("InvoiceDate", ascending=False), columns=LAYERS),
        drawn(figures.pass_rates(results), table=rates, columns=RATES),
        drawn(figures.refusals(results), table=rates[rates["severity"] == "drop"], columns=RATES),
        drawn(figures.weekday_volume(volume), table=volume.sort_values("InvoiceDate", ascending=False), columns=VOLUME),
    ]


# ── trade ────────────────────────────────────────────────────────────
BEST = 20  # products and countries shown

MONTHS = {
    "Period": (N_("Month"), "month"),
    "Revenue": (N_("Revenue"), "money"),
    "RevenueGrowth": (N_("Growth"), "growth"),
    "Orders": (N_("Orders"), "count"),
    "OrdersGrowth": (N_("Growth"), "growth"),
    "Customers": (N_("Customers"), "count"),
    "GuestRevenue": (N_("Guests' revenue"), "money"),
    "GuestOrders": (N_("Guests' orders"), "count"),
    "Complete": (N_("Whole month"), "text"),
}
COMING = {
    "Month": (N_("Month"), "month"),
    "New": (N_("New"), "count"),
    "Returning": (N_("Returning"), "count"),
    "Quiet": (N_("Quiet"), "count"),
    "Lapsed": (N_("Lapsed"), "count"),
    "LongLapsed": (N_("Long lapsed"), "count"),
    "Customers": (N_("Customers"), "count"),
}
DAYS = {"Period": (N_("Day"), "day")} | {
    name: MONTHS[name] for name in ("Revenue", "Orders", "Customers", "GuestRevenue", "GuestOrders")
}
COHORTS = {
    "Cohort": (N_("First bought in"), "month"),
    "Age": (N_("Months later"), "count"),
    "Size": (N_("Customers"), "count"),
    "Customers": (N_("Bought again"), "count"),
    "Share": (N_("Share"), "share"),
    "Value": (N_("Spent so far, each"), "exact"),
}
GAPS = {"Days": (N_("Days between"), "count"), "Purchases": (N_("Purchases"), "count")}
COUNTRIES = {
    "Country": (N_("Country"), "text"),
    "Revenue": (N_("Revenue"), "money"),
    "RevenueShare": (N_("Share"), "share"),
    "Orders": (N_("Orders"), "count"),
    "Customers": (N_("Customers"), "count"),
    "GuestRevenue": (N_("Guests' revenue"), "money"),
}
PRODUCTS = {
    "StockCode": (N_("Code"), "text"),
    "Description": (N_("Product"), "text"),
    "Revenue": (N_("Revenue"), "money"),
    "Units": (N_("Units"), "count"),
    "GuestRevenue": (N_("Guests' revenue"), "money"),
}
BASKETS = {"Who": (N_("Who"), "word"), "Orders": (N_("Orders"), "count")} | {
    "MedianValue": (N_("Median value"), "money"),
    "AverageValue": (N_("Average value"), "money"),
    "MedianUnits": (N_("Median units"), "count"),
    "AverageUnits": (N_("Average units"), "count"),
    "MedianLines": (N_("Median lines"), "count"),
    "AverageLines": (N_("Average lines"), "count"),
}


def trade_page(tables: RunTables) -> dict[str, Any]:
    """Return the values of the trade page."""
    found = sales.kpis(tables.orders, tables.day)
    parts = [
        {"id": id, "title": _(title), "hint": _(hint, quiet=sales.LAPSED, long=sales.LONG_LAPSED), "figures": part(tables)}
        for id, title, hint, part in PARTS
        if found.orders
    ]
    guests = {"revenue": str(found.guest_revenue), "orders": found.guest_orders}
    return {"guests": guests, "parts": parts, "net": tables.rules.revenue == "net"}


def _by_month(tables: RunTables) -> list[dict[str, Any]]:
    months, days = (sales.periods(tables.orders, tables.day, unit) for unit in ("month", "day"))
    return [
        drawn(figures.revenue_by_month(months, tables.currency), table=months.iloc[::-1], columns=MONTHS),
        drawn(figures.revenue_by_day(days, tables.currency), table=days.iloc[::-1], columns=DAYS),
    ]


def _coming(tables: RunTables) -> list[dict[str, Any]]:
    months, cohorts = sales.customer_months(tables.orders, tables.day), sales.cohorts(tables.orders, tables.day)
    gaps = sales.days_between(tables.orders, tables.day)
    return [
        drawn(figures.customers_by_month(months), table=months.iloc[::-1], columns=COMING),
        drawn(figures.retention(cohorts), table=cohorts, columns=COHORTS),
        drawn(figures.cohort_value(cohorts, tables.currency), table=cohorts, columns=COHORTS),
        drawn(figures.purchase_gaps(gaps), table=gaps, columns=GAPS),
    ]


def _countries(tables: RunTables) -> list[dict[str, Any]]:
    found = sales.countries(tables.orders, tables.day)
    return [drawn(figures.countries(found, tables.currency), table=found.head(BEST), columns=COUNTRIES)]


def _products(tables: RunTables) -> list[dict[str, Any]]:
    found = sales.products(tables.read(SILVER), tables.day, stock_code_pattern=tables.rules.stock_code_pattern)
    often = found.sort_values(["Units", "StockCode"], ascending=[False, True])
    return [
        drawn(figures.best_products(found, "Revenue", tables.currency), table=found.head(BEST), columns=PRODUCTS),
        drawn(figures.best_products(found, "Units", tables.currency), table=often.head(BEST), columns=PRODUCTS),
    ]


def _baskets(tables: RunTables) -> list[dict[str, Any]]:
    found = sales.baskets(tables.orders, tables.day)
    return [drawn(figures.basket_size(tables.orders), table=found, columns=BASKETS)]


PARTS: tuple[tuple[str, str, str, Callable[[RunTables], list[dict[str, Any]]]], ...] = (  # id, title, hint, builder
    ("months", N_("Revenue and orders"), N_("Growth is against the month before, where both months are whole."), _by_month),
    (
        "coming",
        N_("Who came, came back and stayed away"),
        N_(
            "Quiet: no purchase this month, but one in the last {quiet} days. Lapsed: none for longer. Long lapsed: none for "
            "more than {long} days."
        ),
        _coming,
    ),
    ("countries", N_("Countries"), N_("Customers only; the revenue of guests is shown separately."), _countries),
    ("products", N_("Best products"), N_("By revenue and by units of customers; guests are in the tables."), _products),
    ("baskets", N_("Size of an order"), N_("The median and the average order."), _baskets),
)
