"""The text of a shop's ``rfm.toml``: what differs from the defaults, each line with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rfm.core.guess.guesses import Guess
from rfm.dialect import Columns, Format
from rfm.sections import Landing, Rules, Section, Shop

SECTIONS: dict[str, Section] = {"shop": Shop(), "files": Landing(), "columns": Columns(), "format": Format(), "rules": Rules()}
NARROW = 44  # columns that settings take, at most, before their reasons


def default_of(setting: str) -> Any:
    """Return the default of a setting.

    Examples
    --------
    >>> default_of("format.decimal")
    '.'
    """
    section, _, name = setting.rpartition(".")
    return getattr(SECTIONS[section], name) if section else None


def offered(guesses: Iterable[Guess]) -> list[Guess]:
    """Return the guesses that differ from the defaults."""
    return [guess for guess in guesses if guess.value != default_of(guess.setting)]


def nested(guesses: Iterable[Guess]) -> dict[str, Any]:
    """Return guesses as settings, section by section.

    Examples
    --------
    >>> nested([Guess("format.decimal", ",", "sure", "")])
    {'format': {'decimal': ','}}
    """
    settings: dict[str, Any] = {}
    for guess in guesses:
        section, _, name = guess.setting.rpartition(".")
        (settings.setdefault(section, {}) if section else settings)[name] = guess.value
    return settings


def toml(guesses: Iterable[Guess]) -> str:
    """Return the text of a shop's file that says what differs from the defaults.

    Parameters
    ----------
    guesses
        Settings with their values; a reason becomes a comment, doubt is said there.

    Examples
    --------
    >>> print(toml([Guess("format.decimal", ",", "sure", "100% read so"), Guess("columns.invoice", "Invoice", "sure", "")]))
    [format]
    decimal = ","  # 100% read so
    """
    sections: dict[str, dict[str, Guess]] = {"": {}, **{name: {} for name in SECTIONS}}
    for guess in offered(guesses):
        section, _, name = guess.setting.rpartition(".")
        sections[section][name] = guess
    return "\n\n".join(_section(name, settings) for name, settings in sections.items() if settings)


def _section(name: str, settings: Mapping[str, Guess]) -> str:
    """Return a section of the file."""
    lines = {f"{setting} = {json.dumps(guess.value, ensure_ascii=False)}": guess for setting, guess in settings.items()}
    width = min(max(map(len, lines)), NARROW)
    told = [f"{line:<{width}}  # {_reason(guess)}" if _reason(guess) else line for line, guess in lines.items()]
    return "\n".join([f"[{name}]"] * bool(name) + told)


def _reason(guess: Guess) -> str:
    """Return what stands behind a setting."""
    doubt = "please check: " if guess.sure == "unsure" else ""
    return f"{doubt}{guess.reason}" if guess.reason else ""
