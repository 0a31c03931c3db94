"""Values as text on a page, in its language: the filters of the templates, and what the scripts say."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from rfm import words
from rfm.analysis import formatting
from rfm.analysis.segments.rules import AT_RISK
from rfm.report.guide import linked
from rfm.words import N_, _, ngettext, nN_, tell


def _shown(form: Callable[..., str]) -> Callable[..., str]:
    """Return a filter that formats a number and shows anything else as a dash."""

    def shown(value: Any, *more: Any) -> str:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            return "–"
        return form(number, *more) if number.is_finite() else "–"

    return shown


def _money(number: Decimal, sign: str) -> str:
    return formatting.amount(number, sign, whole_from=1000)


def _change(now: Decimal, before: Any, form: str, sign: str) -> str:
    """Return the change of a figure with an arrow and a sign; of a share in percentage points."""
    moved = now - Decimal(str(before))
    points = formatting.decimal(100 * abs(moved), 1)
    shown = {"money": lambda: _money(abs(moved), sign), "share": lambda: _("{n} points", n=points)}
    amount = shown.get(form, lambda: formatting.number(abs(moved)))()
    return f"{'▲ +' if moved > 0 else '▼ −'}{amount}" if moved and re.search("[1-9]", amount) else _("unchanged")


def _freshness(sale: str | None, run_date: str) -> str:
    """Return the age of the newest sale at the run, in words."""
    if not sale:
        return _("no sales yet")
    days = (dt.date.fromisoformat(run_date) - dt.date.fromisoformat(sale)).days
    older = ngettext("newest sale {n} day older", "newest sale {n} days older", days, n=formatting.number(days))
    return older if days else _("sales up to that day")


def _form(value: Any, form: str, currency: str) -> str:
    """Format a value of a table or a tile; an unknown form is text."""
    if form in AMOUNTS:
        return AMOUNTS[form](value, currency)
    if form in FORMS:
        return FORMS[form](value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return "–" if value in (None, "") else str(value)


def _day(day: str) -> str:
    return words.day(dt.date.fromisoformat(day))


def _short(day: str) -> str:
    return words.short_day(dt.date.fromisoformat(day))


def _moment(moment: str | None) -> str:
    """Return the day and time of a moment, in UTC."""
    return _("{day} at {time} UTC", day=_day(moment[:10]), time=moment[11:16]) if moment else _("at an unknown time")


def _precise(number: Decimal) -> str:
    """Return a share to two decimals, never rounded up: 100% means all of them."""
    return words.percent(words.digits(f"{(100 * number).quantize(Decimal('0.01'), ROUND_FLOOR)}"))


_COUNT, _MONEY, _SHARE = _shown(formatting.number), _shown(_money), _shown(formatting.share)
AMOUNTS = {"money": _MONEY, "exact": _shown(formatting.exact_amount)}  # a value and the currency sign → text
FORMS: dict[str, Callable[[Any], str]] = {  # a value → text
    "count": _COUNT,
    "number": _shown(lambda number: formatting.decimal(number, 3)),
    "share": _SHARE,
    "precise": _shown(_precise),
    "tenths": _shown(formatting.exact_share),
    "growth": _shown(formatting.growth),
    "day": lambda value: _day(value) if value else "–",
    "month": lambda value: words.month(dt.date.fromisoformat(value)),
    "word": lambda value: tell(value) or "–",  # what rfm itself names: a segment, a state
}


def headline(summary: Mapping[str, Any] | None) -> str:
    """Return a sentence about the segment with the largest share of revenue."""
    if not summary or not summary["segments"]:
        return _("No segments yet") if summary else ""
    top = max(summary["segments"], key=lambda row: row["revenue_share"])
    money, people = _SHARE(top["revenue_share"]), _SHARE(top["customer_share"])
    text = _("{money} of revenue comes from {people} of customers: {segment}")
    return text.format(money=money, people=people, segment=tell(top["segment"]))


def note(summary: Mapping[str, Any], currency: str) -> str:
    """Return a sentence about the risk tier; empty if it has no customers."""
    risk = [row for row in summary["segments"] if row["tier"] == AT_RISK]
    if not risk:
        return ""
    worth = _MONEY(sum(Decimal(str(row["revenue"])) for row in risk), currency)
    people = sum(row["customers"] for row in risk)
    return ngettext(
        "{n} customer who has brought {amount} so far is at risk of leaving: win them back first.",
        "{n} customers who have brought {amount} so far are at risk of leaving: win them back first.",
        people,
        n=_COUNT(people),
        amount=worth,
    )


def _typical(segment: Mapping[str, Any], currency: str) -> str:
    """Return what the median customer of a segment did."""
    orders = ngettext("{n} order", "{n} orders", segment["median_frequency"], n=_COUNT(segment["median_frequency"]))
    text = _("{amount} spent, {orders}, the last {ago}")
    return text.format(
        amount=_MONEY(segment["median_monetary"], currency), orders=orders, ago=formatting.ago(segment["median_recency"])
    )


def _by_state(states: Sequence[Mapping[str, Any]]) -> str:
    """Return how many customers are in each state."""
    return ", ".join(_("{n} {state}", n=_COUNT(one["customers"]), state=tell(one["state"])) for one in states)


def _json(value: Any) -> Any:
    """Return a value as JSON that is safe inside a script element."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def slug(segment: str) -> str:
    """Return the name of a segment for file names and addresses."""
    return re.sub(r"[^a-z]+", "-", str(segment).lower()).strip("-")


PAGE_FILTERS: dict[str, Callable[..., Any]] = {
    "count": _COUNT,
    "money": _MONEY,
    "share": _SHARE,
    "change": _shown(_change),
    "form": _form,
    "json": _json,
    "freshness": _freshness,
    "precise": FORMS["precise"],
    "seconds": _shown(lambda number: f"{formatting.decimal(number, 1)} s"),
    "width": _shown(lambda number, among: f"{100 * number / (Decimal(str(max(among))) or 1):.2f}"),
    "day": _day,
    "moment": _moment,
    "short": _short,
    "headline": headline,
    "note": note,
    "slug": slug,
    "linked": linked,
    "told": tell,
    "typical": _typical,
    "by_state": _by_state,
}


# ── scripts ────────────────────────────────────────────────────────────
SAID = {  # by the name that a script asks for
    "allAtStake": N_("{n} of {all} customers, {money} at stake"),
    "segments": N_("{n} of {all} segments, {sum} customers"),
    "page": N_("Page {page} of {pages}"),
    "held": N_("name held"),
    "span": N_("{from} to {to}"),
    "overTime": N_("Over time"),
    "purchases": N_("Purchases"),
    "itsSegments": N_("Segments"),
    "itsStates": N_("States, about once a month"),
    "day": N_("Day"),
    "amount": N_("Amount"),
    "fourWays": N_("Four ways to see it"),
    "byCluster": N_("By cluster"),
    "byValue": N_("By value and engagement"),
    "byOwn": N_("By own numbers"),
    "byScore": N_("By score"),
    "expect": N_("What to expect"),
    "order30": N_("Order within 30 days"),
    "spend90": N_("Spend within 90 days"),
    "drivers": N_("What drives that"),
    "allCustomers": N_("All customers"),
    "customer": N_("Customer {id}"),
    "unknown": N_("There is no such customer on this page."),
    "segment": N_("Segment"),
    "state": N_("State"),
    "spent": N_("Spent"),
    "orders": N_("Orders"),
    "last": N_("Last purchase"),
    "onTheDay": N_("on the day of the run"),
    "why": N_("Why here"),
    "todo": N_("What to do"),
    "everySegment": N_("All segments"),
    "everyState": N_("all states"),
    "newCustomer": N_("First purchase since"),
    "gone": N_("No longer counted"),
    "unchanged": N_("unchanged"),
    "points": N_("{n} points"),
    "moved": N_("{moved} moved to another segment, {stayed} stayed, {came} are new"),
    "noRun": N_("There is no run of {day}; choose two of the {days} days in the lists."),
    "tooFar": N_("Who moved is in this page for days with ✓ only. The nearest two:"),
}
COUNTED = {
    "customers": nN_("{n} customer", "{n} customers"),
    "some": nN_("{some} of {n} customer", "{some} of {n} customers"),
    "runs": nN_("{n} run", "{n} runs"),
    "earlier": nN_("and {n} earlier purchase, {money} together", "and {n} earlier purchases, {money} together"),
    "seen": nN_("seen {n} time", "seen {n} times"),
    "before": nN_("{n} day before the run", "{n} days before the run"),
}
BUTTONS = (  # of a figure, as plotly.js calls them
    N_("Download plot as a PNG"),
    N_("Zoom"),
    N_("Pan"),
    N_("Zoom in"),
    N_("Zoom out"),
    N_("Autoscale"),
    N_("Reset axes"),
    N_("Orbital rotation"),
    N_("Turntable rotation"),
    N_("Reset camera to default"),
    N_("Reset camera to last save"),
    N_("Double-click to zoom back out"),
)


def words_of_scripts() -> dict[str, Any]:
    """Return what the scripts of a page say, and how they write numbers and dates."""
    spoken = words.language()
    said: dict[str, Any] = {name: _(text) for name, text in SAID.items()} | {
        name: words.forms(*two) for name, two in COUNTED.items()
    }
    said |= {"locale": words.tag(), "money": words.money("{amount}", "{sign}"), "percent": words.percent("{number}")}
    return said if spoken == words.ENGLISH else said | {"plotly": _plotly(spoken)}


def _plotly(spoken: str) -> dict[str, Any]:
    """Return plotly.js's settings of a language."""
    dictionary = {text: _(text) for text in BUTTONS}
    separators = {"decimal": words.digits("."), "thousands": words.digits(",")}
    return {"locale": spoken, "locales": {spoken: {"dictionary": dictionary, "format": words.names_of_dates() | separators}}}
