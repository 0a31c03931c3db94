"""Show the result of `rfm check`: on a terminal of eighty columns, or as JSON."""

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
from rfm.errors import printable
from rfm.onboarding import Report, default_of
from rfm.onboarding.dry_run import Finding, guests, repeated
from rfm.onboarding.guesses import NOT_CANCELLED, WITHOUT
from rfm.onboarding.sniff import WORKBOOK, Example

# ── on a terminal ────────────────────────────────────────────────────
MARKS = {"note": "[dim]·[/]", "mend": "[yellow]![/]", "unusable": "[red]✗[/]"}
SURE = {"sure": "[green]sure[/]", "likely": "likely", "unsure": "[yellow]unsure[/]"}
LABELS = {"invoice_date": "date", "customer_id": "customer", "stock_code": "product"}
SAMPLES, WIDEST_SAMPLE, WIDEST_NAME = 3, 30, 24
REST = 29  # width of a row besides the column's name and the samples
VERDICTS = ("[green]✓ Good as it is.[/]", "[yellow]! Usable once the points marked ! are fixed.[/]", "[red]✗ Not usable yet.[/]")


def render(report: Report, width: int = 80) -> Group:
    """Return a report to print."""
    parts: list[Any] = [_files(report)]
    if report.lines:
        parts += [_heading("Columns"), _indented(_columns(report, width))]
    if report.trial:
        parts += [_heading("Read as"), _indented(_formats(report))]
    if report.trial and report.trial.lines:
        parts += [_heading("Lines"), *_lines(report), *_sales(report)]
    parts.append(summary(report))
    if report.offer and report.changes:
        text = Syntax(_fitting(report.offer, width - 2), "toml", theme="ansi_dark", background_color="default", word_wrap=True)
        parts += [_heading("For rfm.toml"), _indented(text)]
    return Group(*parts)


def _fitting(toml: str, room: int) -> str:
    """Shorten the comments of lines that are too long, so that no line wraps."""
    lines = toml.splitlines()
    return "\n".join(line[: room - 1] + "…" if len(line) > room > line.rfind("  # ") > 0 else line for line in lines)


def summary(report: Report) -> Group:
    """Return the findings about files, and whether they can be used."""
    found = [one for one in report.findings if one.about != "worth"]
    listed: list[Any] = [_heading("Findings"), _indented(_findings(found))] if found else []
    worth = [_indented(literal(one.said)) for one in report.findings if one.about == "worth"]
    changed = report.status == 0 and report.changes
    verdict = "[green]✓ Good with these settings.[/]" if changed else VERDICTS[report.status]
    return Group(*listed, _heading("Summary"), *worth, _indented(verdict))


def _heading(text: str) -> str:
    return f"\n[bold]{text}[/]"


def _indented(part: Any) -> Padding:
    return Padding(part, (0, 0, 0, 2))


def _files(report: Report) -> str:
    """Describe the files in one line."""
    names = report.place.names
    named = names[0] if len(names) == 1 else f"{len(names):,} files, {names[0]} … {names[-1]}"
    if not report.sample.glances:
        return f"[bold]{literal(named)}[/]"
    first = report.sample.first
    between = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar", " ": "blanks"}[first.between]
    total = sum(int(report.place.system.size(f"{report.place.root}/{name}") or 0) for name in names)
    layout = "" if first.encoding in (WORKBOOK, "Parquet") else f", separated by {between}"
    return f"[bold]{literal(named)}[/]  [dim]{file_size(total)}, {first.encoding}{layout}[/]"


def _columns(report: Report, width: int) -> Grid:
    """List the columns with their roles, and samples if there is room."""
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
    """Describe what a cancellation is."""
    guesses = {guess.setting: guess for guess in report.guesses}
    pattern = str(guesses["rules.cancellation_pattern"].value)
    prefix = re.sub(r"[\^\[\]]", "", pattern).replace("Cc", "C")
    described = {"negative": "negative quantities or amounts", "flag": "lines marked as cancelled"}
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


def _lines(report: Report) -> Iterator[Any]:
    """Yield how many lines are kept, and why the others are dropped."""
    assert report.trial
    lines, kept = report.trial.lines, report.trial.kept
    dropped = f"{lines - kept:,} dropped ({(lines - kept) / lines:.1%})" if kept < lines else "none dropped"
    yield _indented(f"{lines:,} arrived, {kept:,} kept, {dropped}")
    if report.dropped:
        grid = _grid("", "", justify=("right", "left"))
        for one in report.dropped:
            example = f"[dim]{_example(one, len(report.place.names))}[/]"
            grid.add_row(f"{one.lines:,}", f"{one.rule}: {literal(one.meaning)}\n{example}")
        yield ""
        yield _indented(grid)


def _example(one: Example, files: int) -> str:
    """Return the place and the value of a line that breaks a rule."""
    place = (f"{_cut(one.file, 40)} " if files > 1 else "") + (f"line {one.line:,}: " if one.line else "for example ")
    held = "is empty" if one.value is None else _cut(repr(one.value), 50)
    return f"{place}{literal(one.column)} {held}".replace("  ", " ")


def _sales(report: Report) -> Iterator[Any]:
    """Yield the totals of the lines, and what is not counted."""
    trial = report.trial
    if not trial or not trial.as_of:
        return
    currency = next((str(guess.value) for guess in report.guesses if guess.setting == "shop.currency"), "")
    gold, days = trial.gold, trial.days
    total = _money(gold["Monetary"].sum() if len(gold) else 0, currency)
    counted = f"{count(len(gold), 'customer')}, {count(int(gold['Frequency'].sum()), 'purchase')}, {total}"
    yield _heading("Sales")
    yield _indented(f"{counted}, on {count(len(days), 'day')} from {days[0]} to {days[-1]}")
    yield _indented(f"guests on {guests(trial):.0%} of the lines; {count(repeated(trial), 'line')} repeat another")
    if trial.left_out:
        grid = _grid("lines", "amount", "not counted", justify=("right", "right", "left"))
        for step in trial.left_out:
            label = literal(str(step["Label"])) + (_codes(report) if step["Step"] == "non_products" else "")
            grid.add_row(f"{-int(step['Lines']):,}", _money(-step["Amount"], currency), label)
        yield ""
        yield _indented(grid)


def _codes(report: Report) -> str:
    """Return the most frequent stock codes that do not count."""
    pattern = next((str(guess.value) for guess in report.guesses if guess.setting == "rules.stock_code_pattern"), "")
    codes = [code for code in report.lines.column("stock_code") if not re.search(pattern, code)] if report.lines else []
    return f" [dim]{literal(', '.join(codes[:5]))}{' …' if len(codes) > 5 else ''}[/]" if codes else ""


def _money(value: Any, currency: str) -> str:
    return literal(exact_amount(value, currency, minus="-"))


def _findings(found: Sequence[Finding]) -> Grid:
    """List findings, the most severe first."""
    grid = _grid("", "")
    for one in sorted(found, key=lambda one: -list(MARKS).index(one.weight)):
        grid.add_row(MARKS[one.weight], literal(one.said))
    return grid


def _grid(*names: str, justify: Sequence[str] = ()) -> Grid:
    """Return an empty table without borders."""
    grid = Grid(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=any(names), pad_edge=False)
    for place, name in enumerate(names):
        grid.add_column(name, justify=justify[place] if justify else "left")  # type: ignore[arg-type]  # one of rich's words
    return grid


# ── as JSON ──────────────────────────────────────────────────────────
def to_json(report: Report) -> dict[str, Any]:
    """Return a report as values for JSON."""
    first = report.sample.first if report.sample.glances else None
    return {
        "status": report.status,
        "landing": report.place.landing,
        "files": report.place.names,
        "encoding": first.encoding if first else None,
        "separator": first.between if first else None,
        "columns": _columns_json(report),
        "settings": [guess._asdict() for guess in report.guesses],
        "lines": _lines_json(report),
        "dropped": [example._asdict() for example in report.dropped],
        "sales": _sales_json(report),
        "findings": [finding._asdict() for finding in report.findings],
        "rfm_toml": report.offer,
    }


def _columns_json(report: Report) -> list[dict[str, Any]]:
    if not report.lines:
        return []
    found = []
    for column, values in report.lines.values.items():
        role, match = report.roles.get(column, (None, None))
        why = {"sure": match.sure, "reason": match.reason} if match else {"sure": None, "reason": None}
        found.append({"column": column, "taken_for": role, **why, "samples": list(islice(values, SAMPLES))})
    return found


def _lines_json(report: Report) -> dict[str, Any]:
    trial = report.trial
    if not trial:
        return {}
    shares = {"guests": round(guests(trial), 6), "repeated": repeated(trial)}
    return {"arrived": trial.lines, "kept": trial.kept, "dropped": trial.lines - trial.kept, **shares}


def _sales_json(report: Report) -> dict[str, Any]:
    trial = report.trial
    if not trial or not trial.as_of:
        return {}
    left_out = [{"step": step["Step"], "lines": -int(step["Lines"]), "amount": -step["Amount"]} for step in trial.left_out]
    return {
        "customers": len(trial.gold),
        "repeat_customers": int((trial.gold["Frequency"] > 1).sum()),
        "purchases": int(trial.gold["Frequency"].sum()),
        "revenue": trial.gold["Monetary"].sum() if len(trial.gold) else 0,
        "first_day": trial.days[0],
        "last_day": trial.days[-1],
        "days": len(trial.days),
        "not_counted": left_out,
    }


def literal(text: str) -> str:
    """Return a text from outside as one line without markup or terminal codes."""
    return escape(printable(text))
