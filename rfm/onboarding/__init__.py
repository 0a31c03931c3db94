"""Check a shop's own files before the first run, and write what they need into rfm.toml.

Settings are guessed from the beginnings of the files; then the files are run up to gold with them, in a temporary folder.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import PurePosixPath
from typing import Any

import tomlkit
from tomlkit.items import InlineTable

from rfm.config import Columns, Customers, Files, Format, Rules, Section, Shop, plain_name
from rfm.errors import SettingsError
from rfm.onboarding import dry_run
from rfm.onboarding.columns import Match
from rfm.onboarding.dry_run import STATUS, DryRun, Finding, sample_findings, try_files
from rfm.onboarding.guesses import Profile, guesses
from rfm.onboarding.questions import Guess
from rfm.onboarding.sniff import Example, Input, Sample, Tell, example_of, look_at, silent
from rfm.onboarding.sniff import input_of as place
from rfm.settings import Settings, load_settings

__all__ = ["Example", "Finding", "Guess", "Report", "check", "to_json"]


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

    @property
    def status(self) -> int:
        """0 good, 1 something to fix, 2 unusable."""
        return max((STATUS[one.weight] for one in self.findings), default=0)

    @property
    def roles(self) -> dict[str, tuple[str, Match]]:
        """Role of each column that is used, with its match."""
        return {match.column: (role, match) for role, match in self.lines.matches.items()} if self.lines else {}

    @property
    def offer(self) -> str:
        """Text for ``rfm.toml``; empty if the defaults fit, or if no settings can help."""
        hopeless = any(one.weight == "unusable" and one.about in ("columns", "lines") for one in self.findings)
        return "" if hopeless else config_toml(self.guesses)


def check(files: Sequence[str], today: dt.date, chosen: Mapping[str, Any] | None = None, tell: Tell = silent) -> Report:
    """Read files as a run would, with the settings in force or those chosen."""
    settings = load_settings()
    where = place(files, settings.files.pattern)
    sample = look_at(where, tell)
    if not sample.glances:
        refused = [Finding("unusable", "files", reason) for reason in sample.refused.values()]
        return Report(where, sample, None, [], None, refused, [])
    first, names = sample.first, [PurePosixPath(name).name for name in where.names if name not in sample.refused]
    known, gone = _in_force(settings, sample) if chosen is None else (dict(chosen), [])
    lines = Profile(
        sample.lines, names, today, encoding=first.codec, separator=first.separator, known=known, sources=sample.sources
    )
    found_out = guesses(lines)
    found = [*gone, *sample_findings(sample, lines)]
    changes = [guess for guess in config_table(found_out) if guess.value != attrgetter(guess.setting)(settings)]
    report = Report(where, sample, lines, found_out, None, found, changes)
    return report if report.status == STATUS["unusable"] else _tried(report, today, tell)


def _tried(report: Report, today: dt.date, tell: Tell) -> Report:
    """Add the results of a dry run to a report."""
    try:
        settings = load_settings(**nested(report.guesses))
    except SettingsError as error:
        wrong = Finding("unusable", "settings", str(error))
        return replace(report, findings=[*report.findings, wrong])
    trial = try_files(settings, report.place, today, tell)
    found = [*report.findings, *dry_run.trial_findings(trial, settings, today), dry_run.worth(trial)]
    dropped = [example_of(reason, report.place, settings, report.sample.first.between) for reason in trial.reasons]
    return replace(report, trial=trial, findings=found, dropped=dropped)


def _in_force(settings: Settings, sample: Sample) -> tuple[dict[str, Any], list[Finding]]:
    """Return the chosen settings, and findings about chosen columns that the files do not have."""
    names = [f"{section}.{name}" for section in SECTIONS for name in getattr(settings, section).model_fields_set]
    chosen: dict[str, Any] = {name: attrgetter(name)(settings) for name in names}
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
        found.append({"column": column, "taken_for": role, **why, "samples": list(values)[:3]})
    return found


def _lines_json(report: Report) -> dict[str, Any]:
    trial = report.trial
    if not trial:
        return {}
    shares = {"guests": round(dry_run.guests(trial), 6), "repeated": dry_run.repeated(trial)}
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


# ── the text of rfm.toml ─────────────────────────────────────────────
SECTIONS: dict[str, Section] = {
    "shop": Shop(),
    "files": Files(),
    "columns": Columns(),
    "format": Format(),
    "rules": Rules(),
    "customers": Customers(),
}
NARROW = 44  # most columns before the reasons
WIDTH = 36  # fewest columns before the reasons, in a file that has lines already
WIDEST = 120  # characters of a reason


def default_of(setting: str) -> Any:
    """Return the default of a setting."""
    section, name = _parts(setting)
    return getattr(SECTIONS[section], name) if section in SECTIONS else None


def config_table(guesses: Iterable[Guess]) -> list[Guess]:
    """Return the guesses that differ from the defaults."""
    return [guess for guess in guesses if guess.value != default_of(guess.setting)]


def nested(guesses: Iterable[Guess]) -> dict[str, Any]:
    """Return guesses as settings, section by section."""
    settings: dict[str, Any] = {}
    for guess in guesses:
        section, name = _parts(guess.setting)
        (settings.setdefault(section, {}) if section else settings)[name] = guess.value
    return settings


def config_toml(guesses: Iterable[Guess], text: str = "") -> str:
    """Set guesses in the text of rfm.toml; everything else stays, including comments."""
    known = tomllib.loads(text)
    wanted = [guess for guess in guesses if guess.value != _set_in(known, guess.setting)]
    for guess in wanted:
        text = _opened(text, *_parts(guess.setting))
    document = tomlkit.parse(text)
    for section in ("", *SECTIONS, "currencies"):
        found = {name: guess for guess in wanted for at, name in [_parts(guess.setting)] if at == section}
        if found:
            _put(document, section, found, WIDTH if text else 0)
    return document.as_string().removesuffix("\n")


def _parts(setting: str) -> tuple[str, str]:
    section, _, name = setting.rpartition(".")
    return section, name


def _set_in(known: Mapping[str, Any], setting: str) -> Any:
    section, name = _parts(setting)
    return (known.get(section, {}) if section else known).get(name, default_of(setting))


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
    items = {name: tomlkit.item(guess.value) for name, guess in found.items()}
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
