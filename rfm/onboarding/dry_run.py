"""Run a shop's files up to gold in a temporary folder, and report what is unusual about the files and the result."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pandas as pd

from rfm.analysis.cleaning import judge, severities_of
from rfm.analysis.formatting import count, exact_amount
from rfm.analysis.quality import anomalies, baseline, tables
from rfm.analysis.quality.baseline import Facts, LeftOut, Orders, Totals
from rfm.analysis.quality.gate import QuarantineReason, guard, money_flow, set_aside
from rfm.analysis.quality.gate import quarantine_reasons as reasons
from rfm.config import REPEATS
from rfm.contracts import BRONZE, QUARANTINE, SILVER
from rfm.dialect import EXTRA_KEYS, OTHER_LINE, Dialect
from rfm.errors import InputError
from rfm.lake import Lake
from rfm.lake.delta import scratch
from rfm.landing.files import date_in
from rfm.onboarding.columns import TELLING, is_no_product, named_for, plain_words
from rfm.onboarding.formats import dates_of, number_of, without_sign, zones
from rfm.onboarding.money import GROWS
from rfm.onboarding.profile import Profile
from rfm.onboarding.questions import Finding
from rfm.onboarding.sniff import Input, Sample, Tell, grouped_column, header_for, shortened
from rfm.pipeline import stages
from rfm.pipeline.schedule import NEWEST_SALE, OLDEST, newest
from rfm.settings import Settings

NEEDED = {"customer_id": "the customer", "invoice_date": "the date of the sale"}
NAMED = NEEDED | {"price": "price or amount"}
VALUE = re.compile(r"^[-+]?[0-9][0-9.,:/ -]*$")  # in place of a column name
ONE_CUSTOMER = 0.2  # of the lines
CENT = Decimal("0.01")


def sample_findings(sample: Sample, lines: Profile, asked: Collection[str] = ()) -> Iterator[Finding]:
    """Yield findings about the beginnings of files; a setting that is asked for needs none."""
    for name, said in sample.others.items():
        yield Finding("mend", "columns", f"{name} {said}")
    if why := ("columns", sample.spread) if sample.spread else _of_header(sample, lines):
        yield Finding("unusable", *why)
        return
    for role, match in lines.matches.items():
        if match.sure == "unsure" and f"columns.{role}" not in asked:
            meaning = NAMED.get(role, role.replace("_", " "))
            yield Finding("mend", "columns", f"{match.column!r} is used as {meaning}: {match.reason}; please check")
    if not lines.dates.pattern:
        column, reason = lines.matches["invoice_date"].column, lines.dates.reason
        yield Finding("unusable", "dates", f"column {column!r}: {reason}; write days like 2025-12-31")
    if lines.dates.other and "format.date" not in asked:
        said = f"day and month could be swapped: dates are read as {lines.dates.pattern}, but {lines.dates.other} fits as well"
        yield Finding("mend", "dates", f"{said}; please check")
    if not (lines.numbers.sure or {"format.decimal", "format.thousands"} & set(asked)):
        said = f"numbers are read with {lines.numbers.decimal!r} as decimal mark, but it could separate thousands"
        yield Finding("mend", "numbers", f"{said}; please check")
    for name, one in sample.glances.items():
        if left := [f"{sheet} ({why})" for sheet, why in one.sheets.items() if why != "read"]:
            yield Finding("note", "files", f"{name}: sheets that are not read: {', '.join(left)}")
    yield from _of_zones(lines)
    yield from _of_prices(lines)
    yield from _of_customers(lines)


def _of_header(sample: Sample, lines: Profile) -> tuple[str, str] | None:
    """Return why the header, or the lines below it, cannot be used, and which of them it is; None if they can."""
    cells = list(sample.first.lines.column_names)
    missing = {role: named for role, named in NEEDED.items() if role not in lines.matches}
    named = [match for match in lines.matches.values() if match.sure != "unsure" and not VALUE.search(match.column)]
    if any(VALUE.search(cell) for cell in cells) and not named:
        said = "no header: the first line has values; add a line with the column names above it"
        return "columns", f"{said}{header_for(sample.first.header)}"
    if len(cells) == 1:
        return "columns", "only one column; remove lines above the header, and separate fields by comma, semicolon, tab or bar"
    if lines.lines.empty and len(missing) < len(NEEDED):
        return "lines", "no line below the header; use files that have sales"
    for role in NAMED.keys() - lines.matches.keys():
        if column := named_for(role, [name for name in cells if lines.values[name]]):
            values, reason = lines.values[column], "check whether another column of the export has them"
            reason = dates_of(values).reason if role == "invoice_date" else reason
            return "columns", f"column {column!r} is named like {NAMED[role]}, but its values do not fit: {reason}"
    if "customer_id" in missing and (column := grouped_column(lines.sample)):
        said = f"customers stand in rows of their own above their lines, in {column!r}"
        return "columns", f"{said}; export a list with a column of customers"
    if missing:
        wanted, there = " or ".join(missing.values()), shortened(", ".join(cells))
        return "columns", f"no column for {wanted} among {there}; set it under [columns], or export it"
    return None


def _of_zones(lines: Profile) -> Iterator[Finding]:
    offsets = zones(lines.column("invoice_date"))
    if offsets.get("Z") and not lines.zone:
        said = "times are in UTC, so a late sale can count on another day; set format.timezone to the shop's time zone"
        yield Finding("mend", "times", said)
    elif len(offsets) > 2:
        yield Finding("note", "times", f"times have {len(offsets)} different offsets ({', '.join(sorted(offsets)[:4])})")


def _of_prices(lines: Profile) -> Iterator[Finding]:
    """Check whether there are prices, their scale, and whether they are amounts of lines."""
    if "price" not in lines.matches or "format.cents" in {*lines.known, *(getattr(one, "setting", "") for one in lines.found)}:
        return
    if GROWS in lines.matches["price"].reason:
        yield Finding("note", "prices", f"{lines.matches['price'].column!r} is not a price per piece: {GROWS}")
    column, values, marks = lines.matches["price"].column, lines.column("price"), (lines.numbers.decimal, lines.numbers.thousands)
    numbers = pd.Series({value: number_of(without_sign(value), *marks) for value in values}, dtype=float).dropna()
    whole_and_large = len(numbers) > 20 and bool((numbers == numbers.round()).all()) and numbers.abs().median() >= 100
    if whole_and_large:
        said = f"{column!r} may be in pence or cents (median {numbers.median():,.0f})"
        yield Finding("mend", "prices", f"{said}, but a run reads pounds, euros …; please check")


def _of_customers(lines: Profile) -> Iterator[Finding]:
    customers = lines.column("customer_id")
    rows = sum(customers.values()) or 1
    top = max((one for one in customers if one not in lines.nobody), key=customers.__getitem__, default="")
    if len(customers) > 20 and customers[top] > ONE_CUSTOMER * rows:
        said = f"customer {top!r} has {customers[top] / rows:.0%} of the lines; check whether that is one customer"
        yield Finding("mend", "customers", said)
    if any("@" in one for one in list(customers)[:100]):
        said = "customers are e-mail addresses; set columns.hash_customers = true to keep them out of all tables"
        yield Finding("note", "customers", said)


# ── findings in the dry run ──────────────────────────────────────────
LONG_GAP, MANY_GUESTS = 7, 0.5
FEW_CUSTOMERS, FEW_DAYS, FEW_AGAIN = 50, 60, 0.1
FAULTS = {  # of orders
    "customers": "have several customers; see whether order numbers start again, and set rules.invoice_restarts",
    "days": "have lines of several days; see whether order numbers start again, and set rules.invoice_restarts",
    "files": 'are in several files, and count each time; set files.overlap = "once" if the files overlap',
}


def doubt(trial: DryRun, about: str, said: str, amount: Decimal, share: float = 0.0) -> Finding:
    """Return a finding that weighs as its money, or its share of customers or orders: less than `DOUBT` is only a note."""
    return Finding("note" if abs(amount) < trial.limit and share < anomalies.DOUBT else "mend", about, said, abs(amount))


def trial_findings(trial: DryRun, today: dt.date) -> Iterator[Finding]:
    """Yield findings about the result of a dry run."""
    for reason in trial.refused:
        yield Finding("mend" if trial.lines else "unusable", "files", reason)
    if trial.stopped:
        yield Finding("mend", "lines", trial.stopped)
    if trial.refused and not trial.lines:
        return
    if not trial.as_of or not trial.facts:
        said = "no line is a sale that counts" if trial.lines else "no line below the header"
        yield Finding("unusable", "lines", said)
        return
    yield from _of_money(trial, trial.facts)
    yield from _of_days(trial, today)
    yield from _of_names(trial)
    if guests(trial) > MANY_GUESTS:
        yield Finding("note", "customers", f"{guests(trial):.0%} of the lines have no customer, and do not count")


def _of_money(trial: DryRun, found: Facts) -> Iterator[Finding]:
    """Yield doubts about money: lines that cannot be read, odd orders, repeated lines, damaged customers."""
    if lines := found.total("unread"):
        known = found.total("known_cents")
        worth = "" if known == found.unread_cents else ", each valued at the average line"
        said = f"{lines:,} of {trial.lines:,} lines cannot be read or break a rule ({found.like}){worth}; see the rules above"
        yield doubt(trial, "lines", said.replace(" ()", ""), _money(found.unread_cents))
    for about, (orders, amount) in trial.faults.items():
        if orders:
            yield doubt(trial, "orders", f"{count(orders, 'order')} {FAULTS[about]}", amount)
    (again,) = trial.money[trial.money["Step"] == "repeated"].to_dict("records")
    if again["Lines"]:
        said = f"{count(again['Lines'], 'line')} repeat another; a run counts them all"
        yield doubt(trial, "copies", said, again["Amount"])
    if lines := found.total("damaged"):
        said = f"{count(lines, 'line')} have customers like 9.99999E+99, rounded by a spreadsheet: different customers become one"
        yield doubt(trial, "customers", f"{said}; export them as text", _money(found.total("damaged_cents")))
    for value, one in trial.values.get("status", {}).items():
        if value.lower() in trial.dialect.rules.not_sold and plain_words(value).startswith(TELLING["returned"]):
            said = f"{value} does not count: {count(one.orders, 'line')} worth {exact_amount(one.amount)}"
            yield Finding("note", "status", f"{said}; move it to rules.sold to count the sale that was paid back later")
    yield from _of_steps(trial)


def _of_steps(trial: DryRun) -> Iterator[Finding]:
    """Yield doubts about product codes that do not count, though no word says that they are no products."""
    known = {code for code in trial.codes if code.startswith(OTHER_LINE) or is_no_product(code)}
    codes = {code: one for code, one in trial.codes.items() if code not in known}
    if codes:
        amount = sum((one.amount for one in codes.values()), Decimal(0))
        named = ", ".join(map(repr, sorted(codes, key=lambda code: -abs(codes[code].amount))[:3]))
        said = f"{count(len(codes), 'product code')} such as {named} do not fit rules.stock_code_pattern, and do not count"
        yield doubt(trial, "products", said, amount)
    if not trial.revenue:
        yield Finding("mend", "prices", "the revenue is 0; see which column has the price")


def _money(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _of_days(trial: DryRun, today: dt.date) -> Iterator[Finding]:
    lines = trial.volume.groupby("InvoiceDate")["lines"].sum()
    later, early = lines[lines.index > today], lines[lines.index < OLDEST]
    if len(later):
        yield Finding("mend", "dates", f"{int(later.sum()):,} lines are dated after today, up to {max(later.index)}")
    if len(early):
        said = f"{int(early.sum()):,} lines are dated before 1990, such as {min(early.index)}"
        yield Finding("mend", "dates", f"{said}: some programs write this for no date")
    days = [day for day in sorted(lines.index) if OLDEST <= day <= today]
    gaps = [(after - before, before, after) for before, after in zip(days, days[1:], strict=False)]
    usual = sorted(gap.days for gap, _, _ in gaps)[(len(gaps) - 1) // 2] if gaps else 1
    long = [gap for gap in gaps if gap[0].days > max(LONG_GAP, 4 * usual)]
    if long:
        gap, before, after = max(long)
        more = f", and {len(long) - 1} other gaps" if len(long) > 1 else ""
        said = f"no sale for {gap.days - 1} days, from {before} to {after}{more}; a holiday, or missing files?"
        yield Finding("note", "dates", said)


def _of_names(trial: DryRun) -> Iterator[Finding]:
    """Check whether files have a day in their names, and sales up to that day."""
    newest = trial.volume.groupby("source_file")["InvoiceDate"].max()
    dated = {name: day for name in newest.index if (day := date_in(name))}
    if not dated:
        odd = trial.as_of and trial.as_of < OLDEST
        said = f"no file name has a date: set the run date with rfm daily --date {trial.as_of}"
        yield Finding("note", "files", said if odd else f"run date {trial.as_of}: {NEWEST_SALE}")
    wrong = [name for name, day in dated.items() if newest[name] > day]
    if wrong:
        said = f"{len(wrong):,} of {len(dated):,} files have sales after the day in their name, such as {wrong[0]}"
        yield Finding("note", "files", f"{said} up to {newest[wrong[0]]}")


def guests(trial: DryRun) -> float:
    """Return the share of lines without a customer."""
    return trial.facts.total("guests") / max(trial.lines, 1) if trial.facts else 0.0


def worth(trial: DryRun) -> Finding:
    """Return a sentence about whether the result is worth segmenting."""
    if trial.gold.empty or not trial.as_of:
        return Finding("unusable", "worth", "No customers to segment: no sale of a known customer counts.")
    customers, again = len(trial.gold), int((trial.gold["Frequency"] > 1).sum())
    first = min((day for day in trial.volume["InvoiceDate"] if day >= OLDEST), default=trial.as_of)
    days = (trial.as_of - first).days + 1
    counted = f"{customers:,} customers over {days:,} days, {again:,} of them ({again / customers:.0%}) bought more than once"
    if customers < FEW_CUSTOMERS:
        return Finding("note", "worth", f"Too few customers for meaningful segments: {counted}.")
    if days < FEW_DAYS:
        return Finding("note", "worth", f"Worth a try, but more days would be better: {counted}.")
    if again < FEW_AGAIN * customers:
        return Finding("note", "worth", f"Segments will differ by spend and recency only: {counted}.")
    return Finding("note", "worth", f"Worth segmenting: {counted}.")


def unexpected(trial: DryRun, expected: Decimal, currency: str) -> Finding | None:
    """Return how the revenue differs from the expected one, and what explains it to the cent; None if it does not."""
    missing = expected - trial.revenue
    if abs(missing) <= CENT / 2:
        return None
    fit = baseline.explained(trial.money, trial.values, missing)
    counted, wanted, more = (exact_amount(each, currency, minus="-") for each in (trial.revenue, expected, abs(missing)))
    said = f"the revenue is {counted}, {more} {'less' if missing > 0 else 'more'} than the {wanted} that you expect"
    why = f"; that is exactly {' and '.join(fit)}" if fit else "; no reason to leave lines out, and no two, explain it"
    return Finding("mend", "expected", said + why, abs(missing))


# ── the dry run ──────────────────────────────────────────────────────
@dataclass
class DryRun:
    """The result of running files up to gold."""

    as_of: dt.date | None = None
    lines: int = 0
    kept: int = 0
    reasons: list[QuarantineReason] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stopped: str = ""
    volume: pd.DataFrame = field(default_factory=pd.DataFrame)
    money: pd.DataFrame = field(default_factory=pd.DataFrame)
    gold: pd.DataFrame = field(default_factory=pd.DataFrame)
    facts: Facts | None = None
    faults: dict[str, Orders] = field(default_factory=dict)
    codes: dict[str, Orders] = field(default_factory=dict)  # that are no products
    values: dict[str, dict[str, Orders]] = field(default_factory=dict)  # of the columns of states, kinds and currencies
    around: dict[str, Orders] = field(default_factory=dict)  # kinds of lines that are no sales: titles, totals
    dialect: Dialect = Dialect()

    @property
    def revenue(self) -> Decimal:
        """Money that counts."""
        return Decimal(self.gold["Monetary"].sum()) if len(self.gold) else Decimal(0)

    @property
    def limit(self) -> Decimal:
        """Money from which a doubt matters."""
        return max((anomalies.DOUBT * self.revenue).quantize(CENT), CENT)

    @property
    def days(self) -> list[dt.date]:
        """Days with sales up to the last one that counts, in order."""
        return sorted(day for day in set(self.volume["InvoiceDate"]) if self.as_of and day <= self.as_of)

    @property
    def totals(self) -> Totals | None:
        """What counts, for the shop to compare with its own figures; None if nothing does."""
        return baseline.totals(self.gold, self.facts, len(self.days)) if len(self.gold) and self.facts else None

    @property
    def left_out(self) -> list[LeftOut]:
        """Reasons why lines do not count."""
        return baseline.left_out(self.money) if len(self.money) else []


def try_files(settings: Settings, place: Input, today: dt.date, tell: Tell) -> DryRun:
    """Run files up to gold in a temporary folder."""
    with scratch("rfm-check-") as folder:
        lake = Lake(folder, once=settings.files.overlap == "once")
        trial = DryRun(refused=_ingest(settings, lake, place, today, tell), dialect=settings.dialect)
        tell("cleaning lines", 0, None)
        stages.clean_files(lake, settings)
        tell("adding up sales", 0, None)
        _measure(settings, lake, trial, today)
        return trial


def _ingest(settings: Settings, lake: Lake, place: Input, today: dt.date, tell: Tell) -> list[str]:
    """Take files in as notebook 1 does; return why some, or some of their sheets, are not read."""

    def progress(done: int) -> None:
        tell("reading files", done, len(place.names))

    progress(0)
    there = settings.model_copy(update={"landing": place.landing})
    further = not settings.columns.own  # a line of the example's header with a further column does not fit it
    found = stages.ingest_files(lake, there, today, files=place.names, progress=progress, further=further)
    return [*found.refused, *found.left_out]


def _measure(settings: Settings, lake: Lake, trial: DryRun, today: dt.date) -> None:
    sizes = {name: state.rows for name, state in lake.state((BRONZE, SILVER)).items()}
    trial.lines, trial.kept = sizes.get(BRONZE, 0), sizes.get(SILVER, 0)
    judged = judge(lake.read(QUARANTINE), dialect=settings.dialect)
    silver = lake.read(SILVER, until=dt.date.max)
    trial.volume, trial.reasons = baseline.days_of(silver), reasons(baseline.without_around(lake.read(QUARANTINE)))
    trial.around = baseline.by_value(lake.read(QUARANTINE), "_kind", money="")
    trial.stopped = _stopped(settings, lake, judged)
    past = [day for day in trial.volume["InvoiceDate"].dropna() if day <= today]
    trial.as_of = newest(past, today) or max(past, default=None)
    if trial.as_of:
        refused = baseline.without_around(judged)
        pattern, revenue = settings.rules.stock_code_pattern, settings.rules.revenue
        given: Any = {"stock_code_pattern": pattern, "revenue": revenue}
        written = lake.read(SILVER) if lake.once else None
        trial.money = money_flow(refused, silver, trial.as_of, **given, written=written)
        trial.facts = baseline.facts(refused, silver, trial.as_of, **given)
        trial.faults = baseline.order_faults(silver, trial.as_of, stock_code_pattern=pattern) if settings.columns.invoice else {}
        trial.codes = baseline.other_codes(silver, trial.as_of, stock_code_pattern=pattern) if settings.columns.stock_code else {}
        trial.values = _values(settings, lake)
        gold = stages.customer_metrics(silver, settings, trial.as_of)
        trial.gold = gold.collect().to_pandas(use_pyarrow_extension_array=True)


def _stopped(settings: Settings, lake: Lake, arrived: Any) -> str:
    """Return why a run would stop before gold; empty if it would not."""
    # only quarantined rows are counted: a run counts all, for a fifth of the time of a check
    kept = lake.read(SILVER)
    chosen = severities_of(settings.dialect, settings.expectations)
    results = tables.expectation_results(arrived, kept if chosen[REPEATS] == "fail" else kept.head(0), chosen)
    sizes = lake.state((BRONZE, SILVER))
    if BRONZE not in sizes:  # no file was read
        return ""
    totals = pd.DataFrame({"layer": ["bronze", "silver"], "total_records": [sizes[name].rows for name in (BRONZE, SILVER)]})
    try:
        guard(results.collect().to_pandas(), totals, settings.rules.max_dropped_share, set_aside(lake.read(QUARANTINE)))
    except InputError as error:
        return str(error)
    return ""


def _values(settings: Settings, lake: Lake) -> dict[str, dict[str, Orders]]:
    columns = [name for name in ("status", "line_type", "currency") if getattr(settings.columns, name)]
    arrived = judge(lake.read(BRONZE), dialect=settings.dialect) if columns else None
    return {name: baseline.by_value(arrived, EXTRA_KEYS[name]) for name in columns}
