"""Quality: what arrived, what was kept, why the rest was not, and what every table promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rfm
from rfm.core import figures
from rfm.core.quality.money import money_flow
from rfm.run.pages.figures import drawn, rows_of
from rfm.run.pages.tables import SILVER, RunTables
from rfm.schema import TABLES

if TYPE_CHECKING:
    import pandas as pd

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


def build(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows.

    Parameters
    ----------
    tables
        Of the run.

    Returns
    -------
    dict
        ``counts`` of lines, ``score``; ``money``, from what arrived to what counts; ``rules``, how often each was
        broken; ``reasons`` with samples; ``over_time``, figures;
        ``contract``, every table with its columns.
    """
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
    refused, silver = rfm.judge(tables.read(QUARANTINE), dialect=tables.settings.dialect), tables.read(SILVER)
    flow = money_flow(
        refused, silver, tables.day, stock_code_pattern=tables.rules.stock_code_pattern, revenue=tables.rules.revenue
    )
    return [drawn(figures.money_waterfall(flow, tables.currency), table=flow, columns=FLOW)]


def rules(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how often each expectation was checked and broken, over all runs and in the newest.

    Parameters
    ----------
    results
        Rows of ``expectation_results``.
    """
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
