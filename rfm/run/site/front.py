"""The front page over all runs, made from ``runs.json`` alone: the newest run's overview, and a small row for every run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rfm.run.pages import PAGES
from rfm.run.site.charts import line, months
from rfm.run.template import links, render

FOUND = ("customers", "revenue", "orders")
TRENDS = (  # what of each run is drawn over time: name, title, how it is shown
    ("customers", "Customers", "count"),
    ("revenue", "Revenue", "money"),
    ("named", "Segments", "count"),
    ("dropped", "Lines put aside", "share"),
    ("renamed", "Moved without buying", "share"),
)


def with_run(site: Mapping[str, Any], about: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the list of runs with this run in it, newest first, and in full the newest that has figures.

    Parameters
    ----------
    site
        The list so far.
    about
        What the frame of the run's pages says.
    figures
        What the front page shows of the run: the overview, and ``trend``, numbers by name for its row.
    """
    summary, newest = about["summary"], site["newest"]
    entry = {name: about[name] for name in ("run_date", "status", "started", "seconds")}
    entry |= {name: summary.get(name) for name in FOUND} | figures.get("trend", {})
    segments = {row["segment"]: row["customers"] for row in summary["segments"]}
    entry |= {"segments": segments, "named": len(segments) or None, "warnings": len(about["warnings"])}
    runs = [run for run in site["runs"] if run["run_date"] != entry["run_date"]] + [entry]
    if not newest or (newest["run_date"] <= entry["run_date"] and summary["segments"]):
        newest = {**about, "figures": dict(figures)}
    return {"newest": newest, "runs": sorted(runs, key=lambda run: run["run_date"], reverse=True)}


def front(site: Mapping[str, Any]) -> str:
    """Return the front page."""
    newest, runs = site["newest"], site["runs"]
    figures = {"menu": PAGES, "kpis": [], "entered": None, "fresh": {}, **newest.get("figures", {})}
    own = {
        "home": "#content",
        "root": f"{newest['run_date']}/",
        "title": "Customer segments",
        "runs": runs,
        "months": months(runs),
        "trends": [_trend(runs, *trend) for trend in TRENDS if sum(run.get(trend[0]) is not None for run in runs) > 1],
    }
    given = links("assets/", json.dumps(site, sort_keys=True))
    return render("front.html.j2", {**newest, **figures, **given, **own})


def _trend(runs: list[Mapping[str, Any]], name: str, title: str, form: str) -> dict[str, Any]:
    """Return a figure of the runs over time."""
    known = [(run["run_date"], float(run[name])) for run in reversed(runs) if run.get(name) is not None]
    return {"title": title, "form": form, "first": known[0], "last": known[-1], "path": line(known)}
