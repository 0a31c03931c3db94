"""Filters of the templates: how a number, a date, a sentence stand on a page.

They are given values of the run record and return text, which Jinja escapes.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
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
    shown = f"{100 * number:.{1 if 0 < abs(number) < Decimal('0.0995') else 0}f}%".replace(".0%", "%")
    return "0%" if shown == "-0%" else shown.replace("-", "−")


def _change(now: Decimal, before: Any, form: str, sign: str) -> str:
    """Return how far a figure has moved, with an arrow and a sign; a share in percentage points."""
    moved = now - Decimal(str(before))
    shown = {"money": lambda: _money(abs(moved), sign), "share": lambda: f"{100 * abs(moved):.1f} points"}
    amount = shown.get(form, lambda: _count(abs(moved)))()
    return f"{'▲ +' if moved > 0 else '▼ −'}{amount}" if moved and re.search("[1-9]", amount) else "unchanged"


def _freshness(sale: str | None, run_date: str) -> str:
    """Return how old the newest sale was at the run."""
    if not sale:
        return "no sales yet"
    days = (dt.date.fromisoformat(run_date) - dt.date.fromisoformat(sale)).days
    return "sales up to that day" if not days else f"newest sale {days} day{'s' * (days > 1)} older"


def _form(value: Any, form: str, currency: str) -> str:
    """Return a value of a table or a tile as it stands on a page; a form that is not known is text."""
    if form in FORMS:
        return FORMS[form](value, currency)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in (None, "") else str(value)


def _day(day: str) -> str:
    return f"{(date := dt.date.fromisoformat(day)).day} {date:%B %Y}"


def _short(day: str) -> str:
    return f"{(date := dt.date.fromisoformat(day)).day} {date:%b}"


def _moment(moment: str | None) -> str:
    return f"{_day(moment[:10])} at {moment[11:16]} UTC" if moment else "at an unknown time"


def _precise(number: Decimal) -> str:
    """Return a share to two decimals, never rounded up: 100% means all of them."""
    return f"{(100 * number).quantize(Decimal('0.01'), ROUND_FLOOR)}%"


_COUNT, _MONEY, _SHARE = _shown(_count), _shown(_money), _shown(_share)
FORMS: dict[str, Callable[[Any, str], str]] = {  # how a value is shown, and its currency, if it is money
    "count": lambda value, _: _COUNT(value),
    "number": lambda value, _: _shown(lambda number: f"{number:,.3f}")(value),
    "money": _MONEY,
    "exact": lambda value, sign: _shown(lambda number: f"{'−' * (number < 0)}{sign}{abs(number):,.2f}")(value),
    "share": lambda value, _: _SHARE(value),
    "precise": lambda value, _: _shown(_precise)(value),
    "day": lambda value, _: _day(value) if value else "–",
    "month": lambda value, _: f"{dt.date.fromisoformat(value):%B %Y}",
    "growth": lambda value, _: _shown(lambda number: f"{100 * number:+.1f}%".replace("-", "−"))(value),
}


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


def _json(value: Any) -> Any:
    """Return a value as JSON that is safe inside a script element."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def slug(segment: str) -> str:
    """Return the name of a segment as it stands in a file's name or an address."""
    return re.sub(r"[^a-z]+", "-", str(segment).lower()).strip("-")


PAGE_FILTERS: dict[str, Callable[..., Any]] = {
    "count": _COUNT,
    "money": _MONEY,
    "share": _SHARE,
    "change": _shown(_change),
    "form": _form,
    "json": _json,
    "freshness": _freshness,
    "precise": _shown(_precise),
    "seconds": _shown(lambda number: f"{number:.1f} s"),
    "width": _shown(lambda number, among: f"{100 * number / (Decimal(str(max(among))) or 1):.2f}"),
    "day": _day,
    "moment": _moment,
    "short": _short,
    "headline": headline,
    "note": note,
    "slug": slug,
}
