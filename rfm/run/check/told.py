"""What `rfm check` found, for machines."""

from __future__ import annotations

from itertools import islice
from typing import Any

from rfm.run.check import Report
from rfm.run.check.findings import guests, repeated

SAMPLES = 3


def as_dict(report: Report) -> dict[str, Any]:
    """Return a report as what JSON knows, days and amounts as text.

    Parameters
    ----------
    report
        As `rfm.run.check.check` gives it.
    """
    return {
        "status": report.status,
        "landing": report.place.landing,
        "files": report.place.names,
        **_layout(report),
        "columns": _columns(report),
        "settings": [guess._asdict() for guess in report.guesses],
        "lines": _lines(report),
        "dropped": [example._asdict() for example in report.dropped],
        "sales": _sales(report),
        "findings": [finding._asdict() for finding in report.findings],
        "rfm_toml": report.offer,
    }


def _layout(report: Report) -> dict[str, Any]:
    if not report.sample.glances:
        return {"encoding": None, "separator": None}
    return {"encoding": report.sample.first.encoding, "separator": report.sample.first.between}


def _columns(report: Report) -> list[dict[str, Any]]:
    """Return each column with what it is taken for."""
    if not report.lines:
        return []
    roles = report.roles
    return [
        {
            "column": column,
            "taken_for": roles[column][0] if column in roles else None,
            "sure": roles[column][1].sure if column in roles else None,
            "reason": roles[column][1].reason if column in roles else None,
            "samples": list(islice(values, SAMPLES)),
        }
        for column, values in report.lines.values.items()
    ]


def _lines(report: Report) -> dict[str, Any]:
    trial = report.trial
    if not trial:
        return {}
    shares = {"guests": round(guests(trial), 6), "repeated": repeated(trial)}
    return {"arrived": trial.lines, "kept": trial.kept, "dropped": trial.lines - trial.kept, **shares}


def _sales(report: Report) -> dict[str, Any]:
    """Return what the lines add up to, and what is not counted of them."""
    trial = report.trial
    if not trial or not trial.as_of:
        return {}
    return {
        "customers": len(trial.gold),
        "repeat_customers": int((trial.gold["Frequency"] > 1).sum()),
        "purchases": int(trial.gold["Frequency"].sum()),
        "revenue": trial.gold["Monetary"].sum() if len(trial.gold) else 0,
        "first_day": trial.days[0],
        "last_day": trial.days[-1],
        "days": len(trial.days),
        "not_counted": [
            {"step": step["Step"], "lines": -int(step["Lines"]), "amount": -step["Amount"]} for step in trial.left_out
        ],
    }
