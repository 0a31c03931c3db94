"""What is odd about what a run made of files, and whether they are worth segmenting, in sentences."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Literal, NamedTuple

from rfm.io.landing.files import date_in
from rfm.run.check.trial import Trial
from rfm.run.run_date import NEWEST_SALE, OLDEST
from rfm.settings import Settings

Weight = Literal["note", "mend", "unusable"]
STATUS: dict[Weight, int] = {"note": 0, "mend": 1, "unusable": 2}
UNREAD = ("unreadable", "bad_prices", "other_rules")  # steps of the money flow that no shop means
MEND_SHARE = 0.01  # of the lines that are lost to them
LONG_GAP, MANY_GUESTS, MANY_TWICE = 7, 0.5, 0.02
FEW_CUSTOMERS, FEW_DAYS, FEW_AGAIN = 50, 60, 0.1


class Finding(NamedTuple):
    """Something to know, how much it weighs, and where there is one what it is about."""

    weight: Weight
    about: str
    said: str


def of_trial(trial: Trial, settings: Settings, today: dt.date) -> Iterator[Finding]:
    """Yield what a run would say.

    Parameters
    ----------
    trial
        What it made of the files.
    settings
        Those it had.
    today
        Sales after it are odd.
    """
    for said in trial.refused:
        yield Finding("mend" if trial.lines else "unusable", "files", said)
    if trial.stopped:
        yield Finding("mend", "lines", trial.stopped)
    if trial.refused and not trial.lines:
        return
    if not trial.as_of:
        said = "no line is a sale that a run could count" if trial.lines else "no line below the header"
        yield Finding("unusable", "lines", said)
        return
    yield from _of_loss(trial)
    yield from _of_days(trial, today)
    yield from _of_names(trial)
    yield from _of_copies(trial)
    yield from _of_guests(trial)


def _of_loss(trial: Trial) -> Iterator[Finding]:
    """Say whether more lines are lost than cancellations explain."""
    lost = -int(trial.money.set_index("Step")["Lines"].reindex(UNREAD).fillna(0).sum())
    if lost > MEND_SHARE * trial.lines and not trial.stopped:
        yield Finding("mend", "lines", f"{lost:,} of {trial.lines:,} lines cannot be read or break a rule; see above which")


def _of_days(trial: Trial, today: dt.date) -> Iterator[Finding]:
    """Say what is odd about the days of the sales."""
    lines = trial.volume.groupby("InvoiceDate")["lines"].sum()
    later, early = lines[lines.index > today], lines[lines.index < OLDEST]
    if len(later):
        yield Finding("mend", "dates", f"{int(later.sum()):,} lines are dated after today, up to {max(later.index)}")
    if len(early):
        said = f"{int(early.sum()):,} lines are dated before 1990, as {min(early.index)}: what programs write for no date"
        yield Finding("mend", "dates", said)
    days = [day for day in sorted(lines.index) if OLDEST <= day <= today]
    gaps = [(after - before, before, after) for before, after in zip(days, days[1:], strict=False)]
    usual = sorted(gap.days for gap, _, _ in gaps)[(len(gaps) - 1) // 2] if gaps else 1
    long = [gap for gap in gaps if gap[0].days > max(LONG_GAP, 4 * usual)]
    if long:
        gap, before, after = max(long)
        more = f", and {len(long) - 1} other gaps" if len(long) > 1 else ""
        said = f"no sale for {gap.days - 1} days, from {before} to {after}{more}; a holiday, or days that are missing?"
        yield Finding("note", "dates", said)


def _of_names(trial: Trial) -> Iterator[Finding]:
    """Say whether files have a day in their names, and hold sales up to it."""
    newest = trial.volume.groupby("source_file")["InvoiceDate"].max()
    dated = {name: day for name in newest.index if (day := date_in(name))}
    if not dated:
        odd = trial.as_of and trial.as_of < OLDEST
        said = f"no file name has a date: give the run date, rfm daily --date {trial.as_of}"
        yield Finding("note", "files", said if odd else f"run date {trial.as_of}: {NEWEST_SALE}")
    wrong = [name for name, day in dated.items() if newest[name] > day]
    if wrong:
        said = f"{len(wrong):,} of {len(dated):,} files hold sales after the day in their name, as {wrong[0]}"
        yield Finding("note", "files", f"{said} up to {newest[wrong[0]]}")


def _of_copies(trial: Trial) -> Iterator[Finding]:
    """Say which files and lines came twice."""
    same = trial.ledger.groupby("sha256")["source_file"].apply(list)
    for names in (names for names in same if len(names) > 1):
        yield Finding("mend", "copies", f"{' and '.join(sorted(names)[:3])} hold the same; a run would count both, keep one")
    counted, checked = _metric(trial, "repeated_lines")
    if counted > MANY_TWICE * checked:
        yield Finding("note", "copies", f"{counted:,} lines ({counted / checked:.1%}) repeat another line; a run counts them all")


def _of_guests(trial: Trial) -> Iterator[Finding]:
    counted, checked = _metric(trial, "completeness", "CustomerID")
    if checked and counted < (1 - MANY_GUESTS) * checked:
        yield Finding("note", "customers", f"{1 - counted / checked:.0%} of the lines have no customer, and do not count")


def _metric(trial: Trial, metric: str, column: str = "*") -> tuple[int, int]:
    """Return what a measure counted, and among how many."""
    found = trial.metrics[(trial.metrics["metric"] == metric) & (trial.metrics["column"] == column)]
    return int(found["counted"].sum()), int(found["checked"].sum())


def guests(trial: Trial) -> float:
    """Return the share of lines without a customer."""
    counted, checked = _metric(trial, "completeness", "CustomerID")
    return 1 - counted / checked if checked else 0.0


def repeated(trial: Trial) -> int:
    """Return the lines that repeat another."""
    return _metric(trial, "repeated_lines")[0]


def worth(trial: Trial) -> Finding:
    """Say in a sentence whether the result is worth segmenting.

    Parameters
    ----------
    trial
        What a run made of the files.
    """
    if trial.gold.empty or not trial.as_of:
        return Finding("unusable", "worth", "Nothing to segment: no sale of a known customer counts.")
    customers, again = len(trial.gold), int((trial.gold["Frequency"] > 1).sum())
    first = min((day for day in trial.volume["InvoiceDate"] if day >= OLDEST), default=trial.as_of)
    days = (trial.as_of - first).days + 1
    counted = f"{customers:,} customers over {days:,} days, {again:,} of them ({again / customers:.0%}) bought more than once"
    if customers < FEW_CUSTOMERS:
        return Finding("note", "worth", f"Too few for segments that mean something: {counted}.")
    if days < FEW_DAYS:
        return Finding("note", "worth", f"Worth a try, and better with more days: {counted}.")
    if again < FEW_AGAIN * customers:
        return Finding("note", "worth", f"Segments will differ by spend and recency only: {counted}.")
    return Finding("note", "worth", f"Worth segmenting: {counted}.")
