"""Check a shop's own files before the first run, and write what they need into rfm.toml.

Settings are guessed from the beginnings of the files; then the files are run up to gold with them, in a temporary folder.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Any

import tomlkit
from tomlkit.items import InlineTable

from rfm.dialect import LANDING_COLUMNS, plain_name
from rfm.errors import SettingsError, friendly_io_errors
from rfm.lake import Lake
from rfm.landing.files import date_in
from rfm.onboarding import dry_run, questions
from rfm.onboarding.columns import VALUES, Match, plain_words
from rfm.onboarding.dry_run import DryRun, sample_findings, try_files
from rfm.onboarding.evidence import guesses
from rfm.onboarding.misreadings import names_of_sheets
from rfm.onboarding.profile import Profile
from rfm.onboarding.questions import SECTIONS, STATUS, Finding, Guess, Question, default_of, listed, nested, parts, same
from rfm.onboarding.sniff import Example, Input, Sample, Tell, example_of, input_of, look_at, silent
from rfm.pipeline.schedule import OLDEST
from rfm.settings import EXAMPLE_FILE, PATHS, SHOP_FILE, Settings, absolute, load_settings, packaged

__all__ = ["Example", "Finding", "Guess", "Report", "check"]


@dataclass(frozen=True)
class Report:
    """How files are understood, and what a run would make of them."""

    place: Input
    sample: Sample
    lines: Profile | None
    guesses: list[Guess]
    trial: DryRun | None
    findings: list[Finding]
    changes: list[Guess]  # guesses that differ from the settings in force
    dropped: list[Example] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    expected: Decimal | None = None  # revenue, by the shop's own count

    @property
    def status(self) -> int:
        """0 good, 1 something to fix or to answer, 2 unusable."""
        return max((STATUS[one.weight] for one in self.findings), default=0)

    @property
    def roles(self) -> dict[str, tuple[str, Match]]:
        """Role of each column that is used, with its match."""
        return {match.column: (role, match) for role, match in self.lines.used.items()} if self.lines else {}

    @property
    def currency(self) -> str:
        """Sign before an amount."""
        return next((str(guess.value) for guess in self.guesses if guess.setting == "shop.currency"), "")

    @property
    def offer(self) -> str:
        """Text for ``rfm.toml``; empty if the defaults fit, or if no settings can help."""
        hopeless = any(one.weight == "unusable" and one.about in ("columns", "lines") for one in self.findings)
        return "" if hopeless else config_toml(self.guesses)


def check(
    files: Sequence[str],
    today: dt.date,
    chosen: Mapping[str, Any] | None = None,
    tell: Tell = silent,
    *,
    given: Mapping[str, Any] | None = None,
    expect: Decimal | None = None,
) -> Report:
    """Read files as a run would, with the settings in force or those chosen, and with those given before all."""
    settings = load_settings()
    where = input_of(files, settings.files.pattern)
    sample = look_at(where, tell)
    if not sample.glances:
        refused = [Finding("unusable", "files", reason) for reason in sample.refused.values()]
        return Report(where, sample, None, [], None, refused, [])
    first, names = sample.first, [PurePosixPath(name).name for name in where.names if name not in sample.refused]
    known, gone = _in_force(settings, sample) if chosen is None else (dict(chosen), [])
    known |= _there(given or {}, sample)
    lines = Profile(
        sample.lines, names, today, encoding=first.codec, separator=first.separator, known=known, sources=sample.sources
    )
    found_out, asked = guesses(lines), lines.questions
    found = [*gone, *sample_findings(sample, lines, {one.setting for one in asked})]
    sheets = {name: [sheet for sheet, why in one.sheets.items() if why == "read"] for name, one in sample.glances.items()}
    found += names_of_sheets(sheets, lines)
    found += [Finding("ask", parts(one.setting)[1], one.asked) for one in asked]
    changes = [guess for guess in config_table(found_out) if not same(guess.value, _value_in(settings, guess.setting))]
    report = Report(where, sample, lines, found_out, None, found, changes, questions=asked, expected=expect)
    return report if report.status == STATUS["unusable"] else _tried(report, today, tell)


def _there(given: Mapping[str, Any], sample: Sample) -> dict[str, Any]:
    """Return settings with the headers of columns as the files have them; SettingsError for a column that they lack."""
    header = {plain_name(name): name for name in sample.first.lines.column_names}
    found = dict(given)
    for name, value in given.items():
        if name.startswith("columns.") and isinstance(value, str) and value:
            if plain_name(value) not in header:
                raise SettingsError(f"--set {name}: there is no column {value!r}; choose from {', '.join(header.values())}")
            found[name] = header[plain_name(value)]
    return found


def _value_in(settings: Settings, setting: str) -> Any:
    """Return the value of a setting in force; None for a currency without a rate."""
    section, name = parts(setting)
    return settings.currencies.get(name) if section == questions.CURRENCIES else attrgetter(setting)(settings)


def _tried(report: Report, today: dt.date, tell: Tell) -> Report:
    """Add the results of a dry run to a report; a question is taken to have its first answer."""
    likely = {one.setting: one.options[0].value for one in report.questions if one.options}
    tried = questions.flat({guess.setting: guess.value for guess in report.guesses} | likely)
    try:
        settings = load_settings(**nested(tried.items()))
    except SettingsError as error:
        wrong = Finding("unusable", "settings", str(error))
        return replace(report, findings=[*report.findings, wrong])
    trial = try_files(settings, report.place, today, tell)
    found = [*report.findings, *dry_run.trial_findings(trial, today), *_doubts(report, trial), dry_run.worth(trial)]
    if report.expected is not None and (other := dry_run.unexpected(trial, report.expected, report.currency)):
        found.append(other)
    dropped = [example_of(reason, report.place, settings, report.sample.first.between) for reason in trial.reasons]
    return replace(report, trial=trial, findings=found, dropped=dropped)


def _doubts(report: Report, trial: DryRun) -> list[Finding]:
    """Return what the guesses leave in doubt; money in the sample stands for that of all lines."""
    assert report.lines
    more = Decimal(max(trial.lines, 1)) / max(len(report.lines.lines), 1)
    return [dry_run.doubt(trial, one.about, one.said, one.amount * more, one.share) for one in report.lines.doubts]


def _in_force(settings: Settings, sample: Sample) -> tuple[dict[str, Any], list[Finding]]:
    """Return the chosen settings, and findings about chosen columns that the files do not have."""
    sections = [section for section in SECTIONS if section != "baseline"]
    names = [f"{section}.{name}" for section in sections for name in getattr(settings, section).model_fields_set]
    chosen: dict[str, Any] = {name: attrgetter(name)(settings) for name in names}
    chosen |= {f"{questions.CURRENCIES}.{name}": rate for name, rate in settings.currencies.items()}
    header = {plain_name(name) for name in sample.first.lines.column_names}
    if not settings.columns.stock_code:
        chosen.pop("rules.stock_code_pattern", None)  # it has no effect then
    gone = {
        name: value
        for name, value in chosen.items()
        if name.startswith("columns.") and isinstance(value, str) and value and plain_name(value) not in header
    }
    said = "but the files have no such column; another one was guessed"
    found = [Finding("mend", "columns", f"rfm.toml sets {name} = {value!r}, {said}") for name, value in gone.items()]
    return {name: value for name, value in chosen.items() if name not in gone}, found


# ── the text of rfm.toml ─────────────────────────────────────────────
NARROW = 44  # most columns before the reasons
WIDTH = 36  # fewest columns before the reasons, in a file that has lines already
WIDEST = 120  # characters of a reason


def config_table(guesses: Iterable[Guess]) -> list[Guess]:
    """Return the guesses that differ from the defaults, which are those of a shop with its own columns if it has some."""
    guesses = list(guesses)
    own = _has_own_columns(guesses)
    return [guess for guess in guesses if not same(guess.value, default_of(guess.setting, own))]


def _has_own_columns(guesses: Iterable[Guess]) -> bool:
    columns = [(guess, default_of(guess.setting)) for guess in guesses if parts(guess.setting)[0] == "columns"]
    return any(guess.value != default for guess, default in columns if parts(guess.setting)[1] in LANDING_COLUMNS)


def config_toml(guesses: Iterable[Guess], text: str = "", answered: Collection[str] = ()) -> str:
    """Set guesses in the text of rfm.toml; everything else stays, including comments. Answers are set even if usual."""
    known, guesses = tomllib.loads(text), list(guesses)
    own = _has_own_columns(guesses)
    wanted = [guess for guess in guesses if not same(guess.value, _set_in(known, guess.setting, guess.setting in answered, own))]
    for guess in wanted:
        text = _opened(text, *parts(guess.setting))
    document = tomlkit.parse(text)
    for section in ("", *SECTIONS, questions.CURRENCIES):
        found = {name: guess for guess in wanted for at, name in [parts(guess.setting)] if at == section}
        if found:
            _put(document, section, found, WIDTH if text else 0)
    return document.as_string().removesuffix("\n")


def _set_in(known: Mapping[str, Any], setting: str, answered: bool, own: bool) -> Any:
    """Return the value of a setting in a text; its default without one, or None for an answer, which is written then."""
    section, name = parts(setting)
    return (known.get(section, {}) if section else known).get(name, None if answered else default_of(setting, own))


def _opened(text: str, section: str, name: str) -> str:
    """Uncomment the line of a setting, and of its section, if that changes no other setting."""
    lines, inside, before = text.split("\n"), ("", 0), _filled(tomllib.loads(text))
    for number, line in enumerate(lines):
        if header := re.match(r"(?:# *)?\[([\w-]+)\]", line):
            inside = header[1], number
        if inside[0] == section and re.match(rf"# *{name} *=", line):
            opened = {number, inside[1]} if section else {number}
            tried = "\n".join(one.lstrip("# ") if at in opened else one for at, one in enumerate(lines))
            with suppress(tomllib.TOMLDecodeError):  # not a setting, or set elsewhere
                after = tomllib.loads(tried)
                (after[section] if section else after).pop(name, None)
                if _filled(after) == before:
                    return tried
    return text


def _filled(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without empty sections."""
    return {name: value for name, value in known.items() if value != {}}


def without_empty_sections(text: str) -> str:
    """Comment out the names of empty sections."""
    known = tomllib.loads(text)
    return re.sub(r"(?m)^\[([\w-]+)\]", lambda found: found[0] if known.get(found[1]) else f"# {found[0]}", text)


def _put(document: tomlkit.TOMLDocument, section: str, found: Mapping[str, Guess], least: int) -> None:
    """Set the values of a section, each with its reason as a comment."""
    new = section not in document
    if section and new:
        document[section] = tomlkit.table()
    table: Any = document[section] if section else document
    items = {name: tomlkit.item(listed(guess.value)) for name, guess in found.items()}
    width = max(min(max(len(f"{name} = {item.as_string()}") for name, item in items.items()), NARROW), least)
    for name, item in items.items():
        if (reason := _reason(found[name])) and not isinstance(table, InlineTable):  # an inline table cannot hold comments
            item.comment(reason)
            item.trivia.comment_ws = " " * (max(width - len(f"{name} = {item.as_string()}"), 0) + 2)
        table[name] = item


def _reason(guess: Guess) -> str:
    """Return the comment of a setting on one line; line ends and other invisible characters are escaped."""
    doubt = "please check: " if guess.sure == "unsure" else ""
    seen = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in f"{doubt}{guess.reason}")
    return (seen if len(seen) <= WIDEST else f"{seen[: WIDEST - 1]}…") if guess.reason else ""


# ── rfm.toml and its folders ─────────────────────────────────────────
UNNAMED = "Our shop"


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
    return _filled(found)


def name_of(landing: str) -> Guess:
    """Guess the shop's name: as set already, or from the name of its folder."""
    folder = PurePosixPath(landing).name if Path(landing) not in (Path.home(), Path.cwd()) else ""
    words = [word for word in re.split(r"[\W_]+", folder) if not word.isdecimal()]
    said = " ".join(word for word in words if plain_words(word) not in VALUES["no_name"])
    guessed = said[:1].upper() + said[1:] if len(said) > 2 else UNNAMED
    known = _settings_in(Path.cwd() / SHOP_FILE).get("shop", {}).get("name", guessed)
    return Guess("shop.name", known, "likely", "shown in the report")


def choices(report: Report, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers, and the guesses of settings without an answer."""
    values = {guess.setting: answers.get(guess.setting, guess.value) for guess in report.guesses}
    if values.get("rules.cancellation") != "flag":
        values["columns.cancelled"] = ""
    return values


def write_settings(file: Path, report: Report, answers: Mapping[str, Any], tried: Report, given: Collection[str] = ()) -> None:
    """Write rfm.toml: an existing file keeps its other settings, a new one starts as the commented example."""
    values, name, before = choices(report, answers), name_of(report.place.landing), _settings_in(file)
    name = name._replace(value=answers.get(name.setting, name.value))
    pairs = [(guess, values[guess.setting]) for guess in report.guesses]
    # a changed value has no reason
    own = [guess if value == guess.value else Guess(guess.setting, value, "sure", "") for guess, value in pairs]
    wanted = [*_folders(report, before), name, *own, *_baseline(tried.trial)]
    if file.exists():
        made = config_toml(wanted, file.read_text(encoding="utf-8"), given)
    else:
        made = without_empty_sections(config_toml(wanted, packaged(EXAMPLE_FILE).read_text(encoding="utf-8"), given))
    with friendly_io_errors(f"{file}: cannot be written"):
        file.write_text(f"{made}\n", encoding="utf-8")


def _baseline(trial: DryRun | None) -> list[Guess]:
    """Return what the files are like, for runs to warn when later ones are not."""
    if not trial or not trial.totals or not trial.facts:
        return []
    found, (lines, totals) = trial.facts, (max(trial.facts.total("lines"), 1), trial.totals)
    values = {
        "made": totals.last_day,
        "unread": round(found.total("unread") / lines, 4),
        "guests": round(found.total("guests") / lines, 4),
        "order_value": round(float(totals.revenue) / max(totals.orders, 1), 2),
        "revenue_per_day": round(float(totals.revenue) / max(found.total("days"), 1), 2),
    }
    return [Guess(f"baseline.{name}", value, "sure", "") for name, value in values.items()]


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
