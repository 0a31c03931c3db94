"""Filters of the templates: how a number, a date, a sentence stand on a page.

They are given values of the run record and return text, which Jinja escapes.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any


def _shown(form: Callable[..., str]) -> Callable[..., str]:
    """Return a filter that shows a number by `form` and anything else as a dash."""

    def shown(value: Any, *more: Any) -> str:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            return "–"
        return form(number, *more) if number.is_finite() else "–"

    return shown


def _count(number: Decimal) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def _money(number: Decimal, sign: str) -> str:
    return f"{'−' * (number < 0)}{sign}{abs(number):,.{0 if abs(number) >= 1000 else 2}f}"


def _share(number: Decimal) -> str:
    return f"{100 * number:.{1 if 0 < number < Decimal('0.0995') else 0}f}%".replace(".0%", "%")


def _change(now: Decimal, before: Any, sign: str) -> str:
    moved = now - Decimal(str(before))
    amount = _money(abs(moved), sign) if sign else _count(abs(moved))
    return f"{'+' if moved > 0 else '−'}{amount}" if moved else "no change"


def _day(day: str) -> str:
    return f"{(date := dt.date.fromisoformat(day)).day} {date:%B %Y}"


def _moment(moment: str | None) -> str:
    return f"{_day(moment[:10])} at {moment[11:16]} UTC" if moment else "at an unknown time"


_COUNT, _MONEY, _SHARE = _shown(_count), _shown(_money), _shown(_share)


def headline(summary: Mapping[str, Any] | None) -> str:
    """Return the run in a sentence: the segment that brings the largest share of revenue."""
    if not summary or not summary["segments"]:
        return "No segments yet" if summary else ""
    top = max(summary["segments"], key=lambda row: row["revenue_share"])
    money, people = _SHARE(top["revenue_share"]), _SHARE(top["customer_share"])
    return f"{money} of revenue comes from {people} of customers: {top['segment']}"


def note(summary: Mapping[str, Any], currency: str) -> str:
    """Return what is at stake in the risk tier, in a sentence; nothing if nobody is in it.

    Parameters
    ----------
    summary
        Of a run record: its ``segments`` with ``tier``, ``customers`` and ``revenue``.
    currency
        Sign before an amount.
    """
    risk = [row for row in summary["segments"] if row["tier"] == "risk"]
    if not risk:
        return ""
    worth = _MONEY(sum(Decimal(str(row["revenue"])) for row in risk), currency)
    people = _COUNT(sum(row["customers"] for row in risk))
    return f"{people} customers who have brought {worth} so far are at risk of leaving: win them back first."


PAGE_FILTERS: dict[str, Callable[..., str]] = {
    "count": _COUNT,
    "money": _MONEY,
    "share": _SHARE,
    "change": _shown(_change),
    "seconds": _shown(lambda number: f"{number:.1f} s"),
    "width": _shown(lambda number, among: f"{100 * number / (Decimal(str(max(among))) or 1):.2f}"),
    "day": _day,
    "moment": _moment,
    "headline": headline,
    "note": note,
    "slug": lambda text: re.sub(r"[^a-z]+", "-", str(text).lower()).strip("-"),
}
