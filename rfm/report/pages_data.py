"""Run: which table was made from which, how long it took, with what.

Quality: what arrived, what was kept, why the rest was not, and what every table promises.

Trade: what the shop sold, to whom, and who came back; guests, who left no customer id, always apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rfm.analysis import figures, sales
from rfm.analysis.cleaning import judge
from rfm.analysis.quality.gate import money_flow
from rfm.contracts import TABLES
from rfm.report.render import SILVER, RunTables, drawn, rows_of

if TYPE_CHECKING:
    import pandas as pd

# ── lineage ────────────────────────────────────────────────────────────
LANDING = "landing files"
STEP, TOP, SPINE = 26, 20, 150  # of the drawing: between two rows, above the first, from the left to the marks


def lineage_page(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows."""
    record = tables.record
    return {
        "stages": [stage(noted) for noted in record.get("stages", ())],
        "graph": graph(record.get("stages", ())),
        "written": written(record.get("stages", ())),
        "versions": named(record.get("versions", {})),
        "parameters": named(nearby(record.get("parameters", {}))),
        "choices": named(record.get("settings", {})),
        "run_id": record.get("run_id", ""),
    }


def stage(noted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stage as a row: what it did, how long, how many rows; its notebook."""
    rows = {name: noted.get(name) for name in ("rows_read", "rows_written")}
    told = {name: noted.get(name) for name in ("name", "title", "status", "seconds")}
    return told | rows | {"notebook": f"notebooks/{noted['name']}.html"}


def written(stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each table that stages wrote: what one row is, version and rows in the end."""
    found = {name: state for stage in stages for name, state in stage.get("writes", {}).items()}
    return [{"name": name, "grain": TABLES[name].grain if name in TABLES else "", **state} for name, state in found.items()]


def graph(stages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tables under the stages that wrote them first, and a curve from each table to every later stage that read it."""
    rows: list[dict[str, Any]] = [{"label": LANDING, "kind": "table", "count": None}]
    for noted in stages:
        there = {row["label"] for row in rows}
        rows.append({"label": noted["name"], "kind": "stage", "count": None})
        new = [(name, state) for name, state in noted.get("writes", {}).items() if name not in there]
        rows += [{"label": name, "kind": "table", "count": state["rows"]} for name, state in new]
    at = {row["label"]: TOP + STEP * place for place, row in enumerate(rows)}
    ways = [(name, noted["name"]) for noted in stages for name in (noted.get("reads") or [LANDING]) if name in at]
    curves = [{"from": name, "to": reader, "d": curve(at[name], at[reader])} for name, reader in ways if at[name] < at[reader]]
    placed = [row | {"y": at[row["label"]]} for row in rows]
    return {"rows": placed, "curves": curves, "height": TOP + STEP * len(rows), "spine": SPINE}


def curve(start: int, end: int) -> str:
    """Return the path of a bow to the left of the spine, wider for a longer way."""
    reach = SPINE - 10 - min(SPINE - 16, 14 + 0.3 * (end - start))
    return f"M{SPINE - 10},{start}C{reach:.0f},{start} {reach:.0f},{end} {SPINE - 12},{end}"


def nearby(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with local paths as they look from the folder that holds them all, as ``data/lake``; else by name alone.

    Where a shop keeps its files is nobody's business who reads the page.
    """
    paths = {name: PurePath(value) for name, value in values.items() if isinstance(value, str) and PurePath(value).is_absolute()}
    above = [{folder for folder in path.parents if len(folder.parts) > 1} for path in paths.values()]
    shared = max(set.intersection(*above), key=lambda folder: len(folder.parts), default=None) if len(above) > 1 else None
    return {**values} | {name: str(path.relative_to(shared)) if shared else path.name for name, path in paths.items()}


def named(values: Mapping[str, Any]) -> list[list[str]]:
    """Return names and values as text; those of a group under ``group.name``."""
    flat: list[list[str]] = []
    for name, value in values.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        flat += [[f"{name}.{one}", str(other)] for one, other in inner] if inner else [[name, str(value)]]
    return [pair for pair in flat if pair[1] not in ("", "{}")]


# ── quality ────────────────────────────────────────────────────────────
QUARANTINE = "retail_transactions_quarantine"
SAMPLE = ("Invoice", "StockCode", "Description", "Quantity", "Price", "InvoiceDate")  # of a dropped line; no customer
FLOW = {"Label": ("Step", "text"), "Amount": ("Money", "exact"), "Lines": ("Lines", "count")}
LAYERS = {"InvoiceDate": ("Day", "day"), "layer": ("Layer", "text"), "total_records": ("Lines", "count")}
RATES = {
    "processing_date": ("Run", "day"),
    "expectation": ("Rule", "text"),
    "checked": ("Lines", "count"),
    "failed": ("Broken", "count"),
    "Passed": ("Passed", "precise"),
}
VOLUME = {
    "InvoiceDate": ("Day", "day"),
    "lines": ("Lines", "count"),
    "invoices": ("Invoices", "count"),
    "customers": ("Customers", "count"),
    "revenue": ("Revenue", "money"),
}
SAMPLES = 3  # lines shown of each reason


def quality_page(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows."""
    results = tables.frame("expectation_results")
    results = results[results["processing_date"] <= tables.day]
    return {
        "counts": counts(tables),
        "score": score(tables),
        "money": money(tables) if len(results) else [],
        "rules": rules(results),
        "reasons": reasons(tables),
        "over_time": over_time(tables, results) if len(results) else [],
        "contract": contract(),
    }


def counts(tables: RunTables) -> dict[str, int]:
    """Return the lines that arrived, were kept and were dropped, up to the run date; parameters as for `build`."""
    ledger = tables.frame("landing_files")
    lines = ledger.groupby("layer")["rows"].sum()
    arrived, kept, dropped = (int(lines.get(layer, 0)) for layer in ("bronze", "silver", "quarantine"))
    return {"files": int((ledger["layer"] == "bronze").sum()), "arrived": arrived, "kept": kept, "dropped": dropped}


def score(tables: RunTables) -> float | None:
    """Return the share of the run's new lines that fitted the header, in per cent; parameters as for `build`."""
    found = tables.frame("bronze_daily_quality", processing_date=tables.day)["rescued_data_quality_score"]
    return None if found.empty else float(found.iloc[0])


def money(tables: RunTables) -> list[dict[str, Any]]:
    """Return the money of all lines on its way to the revenue in the segments, to the cent; parameters as for `build`."""
    refused, silver = judge(tables.read(QUARANTINE), dialect=tables.settings.dialect), tables.read(SILVER)
    flow = money_flow(
        refused, silver, tables.day, stock_code_pattern=tables.rules.stock_code_pattern, revenue=tables.rules.revenue
    )
    return [drawn(figures.money_waterfall(flow, tables.currency), table=flow, columns=FLOW)]


def rules(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how often each expectation was checked and broken, over all runs and in the newest."""
    rows = []
    for (name, severity), found in results.groupby(["expectation", "severity"]):
        newest = found[found["processing_date"] == results["processing_date"].max()]
        checked, failed = int(found["checked"].sum()), int(found["failed"].sum())
        row = {"name": name, "severity": severity, "checked": checked, "failed": failed, "new": int(newest["failed"].sum())}
        rows.append(row | {"passed": 1 - failed / checked if checked else None})
    return sorted(rows, key=lambda row: (-row["failed"], row["name"]))


def reasons(tables: RunTables) -> list[dict[str, Any]]:
    """Return why lines were dropped, the most frequent reason first, each with some of its lines; parameters as for `build`."""
    rows = tables.frame(QUARANTINE)
    found = rows.groupby("failed_expectations").size().sort_values(ascending=False, kind="stable")
    samples = {why: rows[rows["failed_expectations"] == why].tail(SAMPLES)[list(SAMPLE)] for why in found.index}
    return [{"why": why.replace(",", ", "), "lines": int(found[why]), "sample": rows_of(samples[why])} for why in found.index]


def over_time(tables: RunTables, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the figures of the days; parameters as for `build`, and ``results``, rows of ``expectation_results``."""
    days, volume = tables.frame("daily_counts"), tables.frame("daily_volume")
    rates = results.assign(Passed=1 - results["failed"] / results["checked"].clip(lower=1)).iloc[::-1]
    return [
        drawn(figures.layers_by_day(days), table=days.sort_values("InvoiceDate", ascending=False), columns=LAYERS),
        drawn(figures.pass_rates(results), table=rates, columns=RATES),
        drawn(figures.refusals(results), table=rates[rates["severity"] == "drop"], columns=RATES),
        drawn(figures.weekday_volume(volume), table=volume.sort_values("InvoiceDate", ascending=False), columns=VOLUME),
    ]


def contract() -> list[dict[str, Any]]:
    """Return the contract of every table as the code has it: what a row is, its key, its columns."""
    return [
        {
            "name": table.name,
            "grain": table.grain,
            "key": list(table.key),
            "columns": [
                {"name": one.name, "type": one.type, "nullable": one.nullable, "unit": one.unit, "meaning": one.meaning}
                | {"bounds": ["" if bound is None else f"{bound:g}" for bound in one.bounds]}
                for one in table.columns
            ],
        }
        for table in TABLES.values()
    ]


# ── trade ────────────────────────────────────────────────────────────
BEST = 20  # products and countries shown

MONTHS = {
    "Period": ("Month", "month"),
    "Revenue": ("Revenue", "money"),
    "RevenueGrowth": ("Growth", "growth"),
    "Orders": ("Orders", "count"),
    "OrdersGrowth": ("Growth", "growth"),
    "Customers": ("Customers", "count"),
    "GuestRevenue": ("Guests' revenue", "money"),
    "GuestOrders": ("Guests' orders", "count"),
    "Complete": ("Whole month", "text"),
}
COMING = {"Month": ("Month", "month")} | {
    name: (name, "count") for name in ("New", "Returning", "Quiet", "Lapsed", "Lost", "Customers")
}
DAYS = {"Period": ("Day", "day")} | {
    name: MONTHS[name] for name in ("Revenue", "Orders", "Customers", "GuestRevenue", "GuestOrders")
}
COHORTS = {
    "Cohort": ("First bought in", "month"),
    "Age": ("Months later", "count"),
    "Size": ("Customers", "count"),
    "Customers": ("Bought again", "count"),
    "Share": ("Share", "share"),
}
GAPS = {"Days": ("Days between", "count"), "Purchases": ("Purchases", "count")}
COUNTRIES = {
    "Country": ("Country", "text"),
    "Revenue": ("Revenue", "money"),
    "RevenueShare": ("Share", "share"),
    "Orders": ("Orders", "count"),
    "Customers": ("Customers", "count"),
    "GuestRevenue": ("Guests' revenue", "money"),
}
PRODUCTS = {
    "StockCode": ("Code", "text"),
    "Description": ("Product", "text"),
    "Revenue": ("Revenue", "money"),
    "Units": ("Units", "count"),
    "GuestRevenue": ("Guests' revenue", "money"),
}
BASKETS = {"Who": ("Who", "text"), "Orders": ("Orders", "count")} | {
    f"{how}{what}": (f"{how} {what.lower()}", "money" if what == "Value" else "count")
    for what in ("Value", "Units", "Lines")
    for how in ("Median", "Average")
}


def trade_page(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows."""
    found = sales.kpis(tables.orders, tables.day)
    parts = [{"id": id, "title": title, "hint": hint, **part(tables)} for id, title, hint, part in PARTS] if found.orders else []
    guests = {"revenue": str(found.guest_revenue), "orders": found.guest_orders}
    return {"guests": guests, "parts": parts, "net": tables.rules.revenue == "net"}


def by_month(tables: RunTables) -> dict[str, Any]:
    """Return revenue and orders over time; parameters as for `build`."""
    months, days = (sales.periods(tables.orders, tables.day, unit) for unit in ("month", "day"))
    return {
        "figures": [
            drawn(figures.revenue_by_month(months, tables.currency), table=months.iloc[::-1], columns=MONTHS),
            drawn(figures.revenue_by_day(days, tables.currency), table=days.iloc[::-1], columns=DAYS),
        ]
    }


def coming(tables: RunTables) -> dict[str, Any]:
    """Return what became of all customers, month by month, and which cohorts came back; parameters as for `build`."""
    months, cohorts = sales.customer_months(tables.orders, tables.day), sales.cohorts(tables.orders, tables.day)
    gaps = sales.days_between(tables.orders, tables.day)
    return {
        "figures": [
            drawn(figures.customers_by_month(months), table=months.iloc[::-1], columns=COMING),
            drawn(figures.retention(cohorts), table=cohorts, columns=COHORTS),
            drawn(figures.purchase_gaps(gaps), table=gaps, columns=GAPS),
        ]
    }


def countries(tables: RunTables) -> dict[str, Any]:
    """Return the countries that brought most; parameters as for `build`."""
    found = sales.countries(tables.orders, tables.day)
    return {"figures": [drawn(figures.countries(found, tables.currency), table=found.head(BEST), columns=COUNTRIES)]}


def products(tables: RunTables) -> dict[str, Any]:
    """Return the products that brought most, and those sold most often; parameters as for `build`."""
    found = sales.products(tables.read(SILVER), tables.day, stock_code_pattern=tables.rules.stock_code_pattern)
    often = found.sort_values(["Units", "StockCode"], ascending=[False, True])
    return {
        "figures": [
            drawn(figures.best_products(found, "Revenue", tables.currency), table=found.head(BEST), columns=PRODUCTS),
            drawn(figures.best_products(found, "Units", tables.currency), table=often.head(BEST), columns=PRODUCTS),
        ]
    }


def baskets(tables: RunTables) -> dict[str, Any]:
    """Return how large an order is; parameters as for `build`."""
    found = sales.baskets(tables.orders, tables.day)
    return {"figures": [drawn(figures.basket_size(tables.orders), table=found, columns=BASKETS)]}


PARTS: tuple[tuple[str, str, str, Callable[[RunTables], dict[str, Any]]], ...] = (  # id, title, hint, builder
    ("months", "Revenue and orders", "Growth is against the month before, where both months are whole.", by_month),
    (
        "coming",
        "Who came, came back and stayed away",
        f"Quiet: not this month, but in the last {sales.LAPSED} days. Lapsed: not for longer. Lost: not for more than "
        f"{sales.LOST} days.",
        coming,
    ),
    ("countries", "Countries", "Of customers; what guests brought stands beside it.", countries),
    ("products", "Best products", "By what customers paid, and by how many they bought; guests stand in the tables.", products),
    ("baskets", "Size of an order", "The middle and the average order.", baskets),
)
