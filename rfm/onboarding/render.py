"""What `rfm check` and `rfm init` show: on a terminal, from eighty columns on, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table as Grid

from rfm.analysis.formatting import count, exact_amount, file_size
from rfm.dialect import BLANKS, Dialect
from rfm.errors import printable
from rfm.landing.decode import FORMATS
from rfm.onboarding import Report
from rfm.onboarding.dry_run import DryRun, guests
from rfm.onboarding.evidence import NOT_CANCELLED, WITHOUT
from rfm.onboarding.questions import CURRENCIES, Finding, Option, Question, default_of, option
from rfm.onboarding.sniff import Example

MARKS = {"note": "[dim]·[/]", "mend": "[yellow]![/]", "ask": "[yellow]?[/]", "unusable": "[red]✗[/]"}
SURE = {"sure": "[green]sure[/]", "likely": "likely", "unsure": "[yellow]unsure[/]"}
LABELS = {"invoice_date": "date", "customer_id": "customer", "stock_code": "product"}
SAMPLES, WIDEST_SAMPLE, WIDEST_NAME, WIDEST_ID = 3, 30, 24, 40
REST = 29  # width of a row besides the column's name and the samples
AROUND = {  # kinds of lines that are no sales
    "": "Lines around the table",
    "title": "Titles and notes",
    "header": "The header again",
    "total": "Totals",
    "record": "Records around the lines",
}
MOST_VALUES = 20  # of a column of states


def render(report: Report, width: int = 80) -> Group:
    """Return a report to print: what counts, what is left out, what is unsure, then how the files are read."""
    parts: list[Any] = [_files(report), summary(report)]
    if report.lines:
        parts += _section("Columns", _columns(report, width))
    if report.trial:
        parts += _section("Read as", _formats(report))
    if report.offer and report.changes:
        text = Syntax(_fitting(report.offer, width - 2), "toml", theme="ansi_dark", background_color="default", word_wrap=True)
        parts += _section("For rfm.toml", text)
    return Group(*parts)


def _fitting(toml: str, room: int) -> str:
    lines = toml.splitlines()
    return "\n".join(line[: room - 1] + "…" if len(line) > room > line.rfind("  # ") > 0 else line for line in lines)


def summary(report: Report) -> Group:
    """Return what counts, what is left out, what is unsure, and the verdict."""
    counted = report.trial and report.trial.lines
    parts = [*_counted(report), *_left_out(report)] if counted else []
    worth = [literal(one.said) for one in report.findings if one.about == "worth"]
    return Group(*parts, *_unsure(report), *_section("Verdict", *worth, _verdict(report)))


def _verdict(report: Report) -> str:
    if report.questions and report.status == 1:
        return f"[yellow]? Not certain: {count(len(report.questions), 'question')} marked ? to answer.[/]"
    if report.status:
        return ("[yellow]! Usable once the points marked ! are fixed.[/]", "[red]✗ Not usable yet.[/]")[report.status - 1]
    limit = _money(report.trial.limit, report.currency) if report.trial else ""
    fits = "with these settings" if report.changes else "as it is"
    return f"[green]✓ Good {fits}:[/] no doubt above {limit} (0.5 % of the revenue)."


def _section(heading: str, *parts: Any) -> list[Any]:
    return [f"\n[bold]{heading}[/]", *map(_indented, parts)]


def _indented(part: Any) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def _files(report: Report) -> str:
    names = report.place.names
    named = names[0] if len(names) == 1 else f"{len(names):,} files, {names[0]} … {names[-1]}"
    if not report.sample.glances:
        return f"[bold]{literal(named)}[/]"
    first = report.sample.first
    between = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar", " ": "blanks"}[first.between]
    total = sum(
        int(report.place.system.size(f"{report.place.root}/{name}") or 0) for name in names if name not in report.sample.refused
    )
    layout = "" if first.encoding in {one.label for one in FORMATS} else f", separated by {between}"
    return f"[bold]{literal(named)}[/]  [dim]{file_size(total)}, {first.encoding}{layout}[/]"


# ── what counts, what does not, what is unsure ───────────────────────
def _counted(report: Report) -> Iterator[Any]:
    """Yield the totals that the shop can compare with its own."""
    assert report.trial
    if not (found := report.trial.totals):
        return
    expected = report.expected is not None and not any(one.about == "expected" for one in report.findings)
    again = f"  [dim]{found.repeat_customers:,} of them with more than one order[/]"
    best = f"{_cut(found.best_customer, WIDEST_ID)}  [dim]{_money(found.best_revenue, report.currency)}[/]"
    grid = _grid("", "")
    grid.add_row("customers", f"[bold]{found.customers:,}[/]{again}")
    grid.add_row("orders", f"[bold]{found.orders:,}[/]")
    grid.add_row("revenue", f"[bold]{_money(found.revenue, report.currency)}[/]{'  [green]as expected[/]' if expected else ''}")
    grid.add_row("days", f"[bold]{found.first_day}[/] to [bold]{found.last_day}[/]")
    grid.add_row("best customer", best)
    yield from _section("What counts", grid)


def _left_out(report: Report) -> Iterator[Any]:
    """Yield the lines that do not count, by reason, and the values of columns of states."""
    trial = report.trial
    assert trial
    dropped = f"{trial.lines - trial.kept:,} of them in quarantine" if trial.kept < trial.lines else "none in quarantine"
    arrived = f"{trial.lines:,} lines arrived, {dropped}; {guests(trial):.0%} have no customer"
    yield from _section("Left out, and why", f"[dim]{arrived}[/]")
    grid = _grid("lines", "amount", "why", justify=("right", "right", "left"))
    for one in trial.left_out:
        codes = _codes(report) if one.step == "non_products" else ""
        grid.add_row(f"{one.lines:,}", _money(one.amount, report.currency), literal(one.said) + codes)
    for kind, found in trial.around.items():
        grid.add_row(f"{found.orders:,}", "", AROUND.get(kind, kind))
    if trial.left_out or trial.around:
        yield _indented(grid)
    for column, values in trial.values.items():
        yield from _values(report, column, values)
    if report.dropped:
        yield ""
        yield _indented(_dropped(report))


def _values(report: Report, column: str, values: Any) -> Iterator[Any]:
    """Yield each value of a column of states or kinds, with its lines and money, and what it is taken for."""
    assert report.trial
    grid = _grid("lines", "amount", column.replace("_", " "), "taken for", justify=("right", "right", "left", "left"))
    sign = "" if column == "currency" else report.currency
    for value, one in islice(values.items(), MOST_VALUES):
        meaning = taken_for(column, value, report.trial.dialect)
        said = f"[yellow]{meaning}[/]" if meaning == UNKNOWN else meaning
        grid.add_row(f"{one.orders:,}", _money(one.amount, sign), _cut(value, WIDEST_SAMPLE) or "[dim]blank[/]", said)
    yield ""
    yield _indented(grid)


UNKNOWN = "unknown, in quarantine"


def taken_for(column: str, value: str, dialect: Dialect) -> str:
    """Return what a state, a kind of lines or a currency is taken for."""
    rules, plain = dialect.rules, value.strip(BLANKS).lower()
    if column == "currency":
        rates = {name.lower(): rate for name, rate in dialect.currencies.items()}
        return f"money, at a rate of {rates[plain]:g}" if plain in rates else UNKNOWN
    lists = {"sold": rules.sold, "not sold": rules.not_sold, "paid back": rules.refunds}
    return next((said for said, values in lists.items() if plain in values), UNKNOWN)


def _dropped(report: Report) -> Grid:
    grid = _grid("lines", "broken rule", justify=("right", "left"))
    for one in report.dropped:
        example = f"[dim]{_example(one, len(report.place.names))}[/]"
        grid.add_row(f"{one.lines:,}", f"{one.rule}: {literal(one.meaning)}\n{example}")
    return grid


def _unsure(report: Report) -> Iterator[Any]:
    """Yield questions with their answers, and doubts with their money; then notes."""
    about = [one for one in report.findings if one.about != "worth" and one.weight != "ask"]
    doubts = [one for one in about if one.weight != "note" or one.amount is not None]
    if doubts or report.questions:
        yield from _section("Unsure")
    for question in report.questions:
        yield _indented(asked(question, report.currency, whole=report.lines is None or report.sample.first.whole))
    if doubts:
        yield _indented(_findings(doubts, report.currency))
    if notes := [one for one in about if one not in doubts]:
        yield from _section("Notes", _findings(notes, report.currency))


def asked(question: Question, currency: str, whole: bool = True) -> Group:
    """Return a question, its options with the totals they give, and how to answer it."""
    why = f"  [dim]{literal(question.why)}[/]" if question.why else ""
    grid = _grid("", "", "", "", justify=("right", "left", "right", "left"))
    currency = "" if question.setting == CURRENCIES else currency  # each answer has its own
    for number, one in enumerate(question.options, 1):
        grid.add_row(f"[bold]{number}[/]", literal(one.said), *_worth(one, currency))
    given = option(question.setting, question.options[0].value) if question.options else ""
    part = "" if whole or not any(one.revenue for one in question.options) else "[dim]totals of the lines looked at[/]\n"
    answer = f"{part}[dim]answer with[/] {literal(given)}" if given else part
    return Group(f"{MARKS['ask']} {literal(question.asked)}{why}", Padding(grid, (0, 0, 0, 2)), Padding(answer, (0, 0, 1, 2)))


def _worth(one: Option, currency: str) -> tuple[str, str]:
    money = _money(one.revenue, currency) if one.revenue is not None else ""
    return money, count(one.customers, "customer") if one.customers is not None else ""


def _findings(found: Sequence[Finding], currency: str) -> Grid:
    priced = any(one.amount is not None for one in found)
    grid = _grid("", *[""] * priced, "", justify=("left", *["right"] * priced, "left"))
    order = sorted(found, key=lambda one: (-list(MARKS).index(one.weight), -(one.amount or 0)))
    for one in order:
        money = [_money(one.amount, currency) if one.amount is not None else ""] * priced
        grid.add_row(MARKS[one.weight], *money, literal(one.said))
    return grid


# ── how the files are read ───────────────────────────────────────────
def _columns(report: Report, width: int) -> Grid:
    assert report.lines
    roles, grid = report.roles, _grid("column", "used as", "", "samples")
    names = [min(len(name), WIDEST_NAME) for name in report.lines.values]
    room = max(width - max(names, default=0) - REST, 20)
    for column, values in report.lines.values.items():
        role, match = roles.get(column, ("", None))
        said, sure = (_label(role), SURE[match.sure]) if match else ("[dim]not used[/]", "")
        grid.add_row(_cut(column, WIDEST_NAME), said, sure, _samples(values, room))
    for role in (one for one, said in WITHOUT.items() if said and one not in report.lines.matches):
        grid.add_row("[dim]none[/]", _label(role), "", f"[dim]{WITHOUT[role]}[/]")
    return grid


def _label(role: str) -> str:
    return LABELS.get(role, role.replace("_", " "))


def _samples(values: dict[str, int], room: int) -> str:
    text = " · ".join(one if len(one) <= WIDEST_SAMPLE else f"{one[: WIDEST_SAMPLE - 1]}…" for one in islice(values, SAMPLES))
    return _cut(text, room)


def _cut(text: str, most: int) -> str:
    text = printable(text)
    return literal(text if len(text) <= most else f"{text[: most - 1]}…")


def _formats(report: Report) -> Grid:
    """List how dates and numbers are written, what a cancellation is, and which codes count."""
    grid = _grid("", "", "")
    for guess in report.guesses:
        label, worded = _READ_AS.get(guess.setting, ("", None))
        if worded and (value := worded(report, guess.value)):
            doubt = f"  [dim]{literal(guess.reason)}[/]" if guess.sure == "unsure" else ""
            grid.add_row(label, literal(value) + doubt, SURE[guess.sure])
    return grid


def _number(report: Report, decimal: str) -> str:
    thousands = next(guess.value for guess in report.guesses if guess.setting == "format.thousands")
    return f"like 1{thousands}234{decimal}50"


def _date(report: Report, pattern: str) -> str:
    return f"{pattern}, like {next(iter(report.lines.column('invoice_date')), '')}" if report.lines else pattern


def _cancelled(report: Report, how: str) -> str:
    guesses = {guess.setting: guess for guess in report.guesses}
    pattern = str(guesses["rules.cancellation_pattern"].value)
    prefix = re.sub(r"[\^\[\]]", "", pattern).replace("Cc", "C")
    described = {"negative": "negative quantities or amounts", "flag": "lines marked as cancelled", "none": "none"}
    found = guesses["rules.cancellation"].reason != NOT_CANCELLED
    return described.get(how, f"invoices that begin with {prefix}") if found else "none found"


def _pattern(_: Report, pattern: str) -> str:
    """Return the shop's own pattern; empty for the default."""
    usual = {default_of("rules.invoice_pattern"), default_of("rules.stock_code_pattern")}
    return "" if pattern in usual else "any" if pattern == "." else pattern


_READ_AS: dict[str, tuple[str, Callable[[Report, Any], str]]] = {  # setting: its label, and how its value is worded
    "files.pattern": ("files named", lambda _, value: value),
    "format.date": ("dates", _date),
    "format.decimal": ("numbers", _number),
    "format.timezone": ("days of", lambda _, value: value),
    "rules.cancellation": ("cancellations", _cancelled),
    "rules.invoice_pattern": ("invoice numbers", _pattern),
    "rules.stock_code_pattern": ("product codes", _pattern),
    "shop.currency": ("currency", lambda _, value: value),
}


def _example(one: Example, files: int) -> str:
    place = (f"{_cut(one.file, 40)} " if files > 1 else "") + (f"line {one.line:,}: " if one.line else "for example ")
    held = "is empty" if one.value is None else _cut(repr(one.value), 50)
    return f"{place}{literal(one.column)} {held}".replace("  ", " ")


def _codes(report: Report) -> str:
    pattern = next((str(guess.value) for guess in report.guesses if guess.setting == "rules.stock_code_pattern"), "")
    codes = [code for code in report.lines.column("stock_code") if not re.search(pattern, code)] if report.lines else []
    return f" [dim]{literal(', '.join(codes[:5]))}{' …' if len(codes) > 5 else ''}[/]" if codes else ""


def _money(value: Any, currency: str) -> str:
    return literal(exact_amount(value, currency, minus="-"))


def _grid(*names: str, justify: Sequence[str] = ()) -> Grid:
    grid = Grid(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=any(names), pad_edge=False)
    for place, name in enumerate(names):
        grid.add_column(name, justify=justify[place] if justify else "left")  # type: ignore[arg-type]  # one of rich's words
    return grid


def literal(text: str) -> str:
    """Return a text from outside as one line without markup or terminal codes."""
    return escape(printable(text))


# ── JSON ─────────────────────────────────────────────────────────────
def to_json(report: Report) -> dict[str, Any]:
    """Return a report as values for JSON."""
    first, trial = report.sample.first if report.sample.glances else None, report.trial
    totals, lines = trial.totals if trial else None, {}
    if trial:
        counts = {"arrived": trial.lines, "kept": trial.kept, "dropped": trial.lines - trial.kept}
        lines = {**counts, "guests": round(guests(trial), 6)}
    return {
        "status": report.status,
        "counted": totals._asdict() if totals else {},
        "left_out": [one._asdict() for one in trial.left_out] if trial else [],
        "values": list(_values_json(trial)) if trial else [],
        "unsure": [finding._asdict() for finding in report.findings],
        "doubts_from": trial.limit if trial else None,
        "questions": [one._asdict() | {"options": [each._asdict() for each in one.options]} for one in report.questions],
        "expected": report.expected,
        "landing": report.place.landing,
        "files": report.place.names,
        "encoding": first.encoding if first else None,
        "separator": first.between if first else None,
        "columns": list(_columns_json(report)),
        "settings": [guess._asdict() for guess in report.guesses],
        "lines": lines,
        "dropped": [example._asdict() for example in report.dropped],
        "rfm_toml": report.offer,
    }


def _values_json(trial: DryRun) -> Iterator[dict[str, Any]]:
    for column, values in trial.values.items():
        for value, one in values.items():
            taken = taken_for(column, value, trial.dialect)
            yield {"column": column, "value": value, "lines": one.orders, "amount": one.amount, "taken_for": taken}


def _columns_json(report: Report) -> Iterator[dict[str, Any]]:
    for column, values in report.lines.values.items() if report.lines else ():
        role, match = report.roles.get(column, (None, None))
        why = {name: getattr(match, name, None) for name in ("sure", "reason")}
        yield {"column": column, "taken_for": role, **why, "samples": list(values)[:3]}
