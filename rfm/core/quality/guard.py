"""What stops a run before gold: rules that must not be broken, and too many refused rows."""

from __future__ import annotations

import pandas as pd

from rfm.schema import InputError


def guard(results: pd.DataFrame, comparison: pd.DataFrame, max_dropped_share: float) -> float:
    """Return the share of rows that silver dropped, or stop the run before gold is touched.

    Parameters
    ----------
    results
        ``expectation_results`` of the run.
    comparison
        ``bronze_silver_dq_comparison`` of the run.
    max_dropped_share
        Largest share allowed.

    Raises
    ------
    InputError
        If a rule of severity ``fail`` is broken, or more rows were dropped than allowed.

    Examples
    --------
    >>> import rfm
    >>> results, comparison = rfm.example("expectation_results"), rfm.example("bronze_silver_dq_comparison")
    >>> round(rfm.quality.guard(results, comparison, max_dropped_share=0.25), 3)
    0.025
    """
    if fatal := _broken(results, "fail"):
        raise InputError(f"stopped before gold: {fatal}; mend the files, or change the rule's severity")
    totals = comparison.groupby("layer")["total_records"].sum()
    rows, kept = int(totals.get("bronze", 0)), int(totals.get("silver", 0))
    share = (rows - kept) / rows if rows else 0.0
    if share > max_dropped_share:
        raise InputError(
            f"stopped before gold: {rows - kept} of {rows} rows dropped ({share:.1%}, limit {max_dropped_share:.0%}), "
            f"{_broken(results, 'drop')}; mend the files, or raise rules.max_dropped_share"
        )
    return share


def _broken(results: pd.DataFrame, severity: str) -> str:
    """Name the broken expectations of a severity with their counts, most broken first."""
    broken = results[(results["severity"] == severity) & (results["failed"] > 0)]
    counts = broken.groupby("expectation")["failed"].sum().sort_values(ascending=False)
    return ", ".join(f"{name} by {count} row(s)" for name, count in counts.items())
