"""Look at a shop's own files before the first run: what they are taken for, what would be lost, what to set.

A guess is made of the beginnings of the files (`rfm.core.guess`), then the files are run as far as gold with the guessed
settings, in a folder that is gone afterwards; nothing is written anywhere else.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import rfm
from rfm.core.guess.columns import Match
from rfm.core.guess.guesses import Guess, guesses
from rfm.core.guess.lines import Lines
from rfm.core.guess.offer import SECTIONS, nested, offered, toml
from rfm.dialect import plain
from rfm.run.check import findings as telling
from rfm.run.check.beginnings import of_sample
from rfm.run.check.examples import Example, examples
from rfm.run.check.findings import STATUS, Finding
from rfm.run.check.places import Place, place
from rfm.run.check.sample import Sample, Tell, look, silent
from rfm.run.check.trial import Trial, run
from rfm.schema import SettingsError
from rfm.settings import Settings

__all__ = ["Example", "Finding", "Guess", "Report", "check"]


@dataclass(frozen=True)
class Report:
    """What files are taken for, and what a run would make of them.

    Parameters
    ----------
    place, sample, lines
        Where they lie, how they begin, and what was found out of that.
    guesses
        Settings, those that somebody chose among them.
    trial
        What a run made of them; nothing was tried if they cannot be used.
    findings
        What is odd, and last whether they are worth segmenting.
    changes
        Settings that differ from those in force.
    dropped
        Why lines would be dropped, and an example of each.
    """

    place: Place
    sample: Sample
    lines: Lines | None
    guesses: list[Guess]
    trial: Trial | None
    findings: list[Finding]
    changes: list[Guess]
    dropped: list[Example] = field(default_factory=list)

    @property
    def status(self) -> int:
        """0 good, 1 something is to be mended, 2 unusable."""
        return max((STATUS[one.weight] for one in self.findings), default=0)

    @property
    def roles(self) -> dict[str, tuple[str, Match]]:
        """What each column is taken for, and how sure that is; those that are not used are left out."""
        return {match.column: (role, match) for role, match in self.lines.matches.items()} if self.lines else {}

    @property
    def offer(self) -> str:
        """Text for ``rfm.toml``; empty if the defaults do, or nothing can."""
        hopeless = any(one.weight == "unusable" and one.about in ("columns", "lines") for one in self.findings)
        return "" if hopeless else toml(self.guesses)


def check(files: Sequence[str], today: dt.date, chosen: Mapping[str, Any] | None = None, tell: Tell = silent) -> Report:
    """Look at files as a run would.

    Parameters
    ----------
    files
        Paths or URLs of files or folders; those of one shop.
    today
        Sales after it are odd.
    chosen
        Settings that somebody chose, as ``columns.invoice``; those that ``rfm.toml`` sets if not given.
    tell
        Called with what is being done, how much of it is done, and how much there is if that is known.

    Raises
    ------
    SettingsError
        If a file is not there, or ``rfm.toml`` is wrong.
    """
    settings = rfm.load_settings()
    where = place(files, settings.files.pattern)
    sample = look(where, tell)
    if not sample.glances:
        refused = [Finding("unusable", "files", said) for said in sample.refused.values()]
        return Report(where, sample, None, [], None, refused, [])
    first, names = sample.first, [PurePosixPath(name).name for name in where.names if name not in sample.refused]
    known, gone = _in_force(settings, sample) if chosen is None else (dict(chosen), [])
    lines = Lines(sample.lines, names, today, encoding=first.codec, separator=first.separator, known=known)
    found_out = guesses(lines)
    found = [*gone, *of_sample(sample, lines)]
    changes = [guess for guess in offered(found_out) if guess.value != _value(settings, guess.setting)]
    report = Report(where, sample, lines, found_out, None, found, changes)
    return report if report.status == STATUS["unusable"] else _tried(report, today, tell)


def _tried(report: Report, today: dt.date, tell: Tell) -> Report:
    """Return a report with what a run would make of the files."""
    try:
        settings = rfm.load_settings(**nested(report.guesses))
    except SettingsError as error:
        wrong = Finding("unusable", "settings", str(error))
        return replace(report, findings=[*report.findings, wrong])
    trial = run(settings, report.place, today, tell)
    told = [*report.findings, *telling.of_trial(trial, settings, today), telling.worth(trial)]
    dropped = examples(trial.reasons, report.place, settings, report.sample.first.between)
    return replace(report, trial=trial, findings=told, dropped=dropped)


def _in_force(settings: Settings, sample: Sample) -> tuple[dict[str, Any], list[Finding]]:
    """Return the settings that somebody chose, and what of them the files do not have.

    Parameters
    ----------
    settings
        Those in force.
    sample
        Beginnings of the files.
    """
    chosen = {
        f"{section}.{name}": getattr(getattr(settings, section), name)
        for section in SECTIONS
        for name in getattr(settings, section).model_fields_set
    }
    header = {plain(name) for name in sample.first.lines.column_names}
    if not settings.columns.stock_code:
        chosen.pop("rules.stock_code_pattern", None)  # which is emptied then
    gone = {
        name: value
        for name, value in chosen.items()
        if name.startswith("columns.") and isinstance(value, str) and value and plain(value) not in header
    }
    said = [
        Finding("mend", "columns", f"rfm.toml says {name} = {value!r}, which is no column here; guessed anew")
        for name, value in gone.items()
    ]
    return {name: value for name, value in chosen.items() if name not in gone}, said


def _value(settings: Settings, setting: str) -> object:
    """Return the value in force of a setting."""
    section, _, name = setting.rpartition(".")
    return getattr(getattr(settings, section) if section else settings, name)
