"""What `rfm check` and `rfm init` show on a terminal of eighty columns, the questions of init, and the rfm.toml it writes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table as Grid

from rfm.analysis.formatting import count, exact_amount, file_size
from rfm.config import LANDING_COLUMNS, plain_name
from rfm.errors import SettingsError, friendly_io_errors, printable
from rfm.lake import Lake
from rfm.landing.decode import FORMATS
from rfm.landing.files import date_in
from rfm.onboarding import SECTIONS, Report, config_toml, default_of, without_empty_sections
from rfm.onboarding.dry_run import Finding, guests, repeated
from rfm.onboarding.guesses import NOT_CANCELLED, WITHOUT
from rfm.onboarding.questions import Guess
from rfm.onboarding.sniff import Example
from rfm.pipeline.schedule import OLDEST
from rfm.settings import EXAMPLE_FILE, PATHS, SHOP_FILE, absolute, packaged

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
    """Return the findings about files, and the verdict on them."""
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
    layout = "" if first.encoding in {one.label for one in FORMATS} else f", separated by {between}"
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


def literal(text: str) -> str:
    """Return a text from outside as one line without markup or terminal codes."""
    return escape(printable(text))


# ── questions and settings ───────────────────────────────────────────
NONE = "-"  # the answer for: the files have no such column
UNNAMED = "Our shop"
NO_NAME = re.compile(  # words in the name of a folder that are not the name of a shop
    r"\d+|(?:daily|my|new|old|our|the|all|sales|orders?|exports?|transactions?|invoices?|receipts?|data|files?|csv|xlsx|excel|raw|in|input"
    r"|inbox|landing|downloads?|desktop|documents|home|root|users?|tmp|temp|shop|store|stuff|test|rfm|umsatz|verk(?:ä|ae)ufe|ventes)",
    re.IGNORECASE,
)
ASKED = dict.fromkeys(("customer_id", "invoice_date", "price", "quantity", *LANDING_COLUMNS))  # the most important first
QUESTIONS = {  # setting: its question
    "shop.name": "Name of the shop",
    "shop.currency": "Currency sign",
    "files.pattern": "File names, as a pattern",
    **{f"columns.{name}": f"Column of the {LANDING_COLUMNS[name].meaning}" for name in ASKED},
    "format.date": "How dates are written",
    "format.decimal": "Decimal mark",
    "format.thousands": "Thousands mark",
    "format.timezone": "Time zone of the shop",
    "rules.invoice_pattern": "Invoice numbers, as a pattern",
    "rules.stock_code_pattern": "Product codes, as a pattern",
    "rules.cancellation": "How cancelled lines are marked: prefix, negative or flag",
    "columns.cancelled": "Column that marks cancelled lines",
    "rules.cancellation_pattern": "Invoice numbers of cancellations, as a pattern",
}


class Question(NamedTuple):
    """A setting, its question and its guess."""

    setting: str
    asked: str
    guess: Guess


def refuse_if_there(force: bool) -> Path:
    """Return the path of rfm.toml; SettingsError if it has settings already."""
    file = Path.cwd() / SHOP_FILE
    if not force and _settings_in(file):
        raise SettingsError(f"{file}: exists already; `rfm check` shows what would change, and --force changes it")
    return file


def _settings_in(file: Path) -> dict[str, Any]:
    """Return the settings in a file; empty without a file, or if it has only comments."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: cannot be read ({error}); correct it or move it") from None
    return {name: value for name, value in found.items() if value != {}}


def questions(report: Report) -> list[Question]:
    """Return the questions to ask."""
    guesses = {guess.setting: guess for guess in (*report.guesses, _name(report.place.landing))}
    return [Question(setting, asked, guesses[setting]) for setting, asked in QUESTIONS.items() if setting in guesses]


def _name(landing: str) -> Guess:
    """Guess the shop's name: as set already, or from the name of its folder."""
    named = [word for word in re.split(r"[\W_]+", PurePosixPath(landing).name) if not NO_NAME.fullmatch(word)]
    said = " ".join(named) if Path(landing) not in (Path.home(), Path.cwd()) else ""
    guessed = said[:1].upper() + said[1:] if len(said) > 2 else UNNAMED
    known = _settings_in(Path.cwd() / SHOP_FILE).get("shop", {}).get("name", guessed)
    return Guess("shop.name", known, "likely", "shown in the report")


def answer(question: Question, text: str, report: Report, answers: Mapping[str, Any]) -> str:
    """Return the value of a setting for an answer."""
    section, _, name = question.setting.partition(".")
    value = "" if text.strip() == NONE else text if name == "thousands" else text.strip()
    if section == "columns" and report.lines:
        header = {plain_name(column): column for column in report.lines.lines.columns}
        if value and plain_name(value) not in header:
            skip = f"; {NONE} for none" if name in WITHOUT else ""
            raise SettingsError(f"there is no such column; choose from {', '.join(header.values())}{skip}")
        return header[plain_name(value)] if value and value != question.guess.value else value
    try:
        beside = {"decimal": answers["format.decimal"]} if name == "thousands" else {}
        return str(getattr(type(SECTIONS[section])(**beside, **{name: value}), name))
    except ValueError as error:
        invalid: Any = error  # of pydantic
        raise SettingsError(invalid.errors()[0]["msg"].removeprefix("Value error, ")) from None


def is_needless(setting: str, answers: dict[str, Any]) -> bool:
    """Return True if earlier answers make a question needless."""
    how = answers.get("rules.cancellation", "prefix")
    return {
        "columns.cancelled": how != "flag",
        "rules.cancellation_pattern": how != "prefix",
        "rules.invoice_pattern": answers.get("columns.invoice") == "",
        "rules.stock_code_pattern": answers.get("columns.stock_code") == "",
    }.get(setting, False)


def choices(report: Report, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers, and the guesses of settings without an answer."""
    values = {guess.setting: answers.get(guess.setting, guess.value) for guess in report.guesses}
    if values.get("rules.cancellation") != "flag":
        values["columns.cancelled"] = ""
    return values


def write_settings(file: Path, report: Report, answers: Mapping[str, Any]) -> None:
    """Write rfm.toml: an existing file keeps its other settings, a new one starts as the commented example."""
    values, name, before = choices(report, answers), _name(report.place.landing), _settings_in(file)
    name = name._replace(value=answers.get(name.setting, name.value))
    pairs = [(guess, values[guess.setting]) for guess in report.guesses]
    # a changed value has no reason
    own = [guess if value == guess.value else Guess(guess.setting, value, "sure", "") for guess, value in pairs]
    wanted = [*_folders(report, before), name, *own]
    if file.exists():
        made = config_toml(wanted, file.read_text(encoding="utf-8"))
    else:
        made = without_empty_sections(config_toml(wanted, packaged(EXAMPLE_FILE).read_text(encoding="utf-8")))
    with friendly_io_errors(f"{file}: cannot be written"):
        file.write_text(f"{made}\n", encoding="utf-8")


def _folders(report: Report, before: Mapping[str, Any]) -> list[Guess]:
    """Return the folder of the files if it is not the default, and new folders if the lake has other files."""
    home, found, landing = Path.cwd(), [], report.place.landing
    places = {name: absolute(str(before.get(name, path)), home) for name, path in PATHS.items()}
    if landing != places["landing"]:
        near = "://" not in landing and Path(landing).is_relative_to(home)
        found.append(Guess("landing", str(Path(landing).relative_to(home)) if near else landing, "sure", "folder of the files"))
    lake, name = Path(places["lake"]), PurePosixPath(landing).name
    if lake.is_dir() and not set(Lake(str(lake)).frame("landing_files")["source_file"]) <= set(report.place.names):
        why = "because the default lake has other files"
        found += [Guess(kind, f"data/{name}_{kind}", "sure", why) for kind in ("lake", "reports")]
    return found


def next_step(report: Report) -> str:
    """Return the command to run next."""
    home, trial = Path.cwd(), report.trial
    odd = trial and trial.as_of and trial.as_of < OLDEST and not any(date_in(name) for name in report.place.names)
    command = "make daily" if (home / "Makefile").is_file() and home == Path(__file__).parents[2] else "rfm daily"
    day = f" --date {trial.as_of}" if odd and trial else ""
    moved = "Better: put the files into a folder of their own, such as data/landing, and run `rfm init` again.\n"
    return f"{moved if report.place.landing == str(home) else ''}Next: {'rfm daily' if day else command}{day}"
