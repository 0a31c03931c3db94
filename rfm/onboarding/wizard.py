"""The questions of `rfm init`, and the rfm.toml that it writes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from rfm.config import plain_name
from rfm.errors import SettingsError, friendly_io_errors
from rfm.lake import Lake
from rfm.landing.files import date_in
from rfm.onboarding import SECTIONS, Report, config_toml, without_empty_sections
from rfm.onboarding.guesses import WITHOUT, Guess
from rfm.pipeline.schedule import OLDEST
from rfm.settings import EXAMPLE_FILE, PATHS, SHOP_FILE, absolute, packaged

NONE = "-"  # the answer for: the files have no such column
UNNAMED = "Our shop"
NO_NAME = re.compile(  # words in the name of a folder that are not the name of a shop
    r"\d+|(?:daily|my|new|old|our|the|all|sales|orders?|exports?|transactions?|invoices?|receipts?|data|files?|csv|xlsx|excel|raw|in|input"
    r"|inbox|landing|downloads?|desktop|documents|home|root|users?|tmp|temp|shop|store|stuff|test|rfm|umsatz|verk(?:ä|ae)ufe|ventes)",
    re.IGNORECASE,
)
QUESTIONS = {  # setting: what is asked
    "shop.name": "Name of the shop",
    "shop.currency": "Currency sign",
    "files.pattern": "File names, as a pattern",
    "columns.customer_id": "Column of the customer",
    "columns.invoice_date": "Column of the date",
    "columns.price": "Column of the price or amount",
    "columns.quantity": "Column of the quantity",
    "columns.invoice": "Column of the invoice or order number",
    "columns.stock_code": "Column of the product code",
    "columns.description": "Column of the product name",
    "columns.country": "Column of the country",
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
