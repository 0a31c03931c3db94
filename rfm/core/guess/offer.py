"""The text of a shop's ``rfm.toml``: what differs from the defaults, each line with its reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import tomlkit
from tomlkit.items import InlineTable

from rfm.core.guess.guesses import Guess
from rfm.dialect import Columns, Format
from rfm.sections import Landing, Rules, Section, Shop

SECTIONS: dict[str, Section] = {"shop": Shop(), "files": Landing(), "columns": Columns(), "format": Format(), "rules": Rules()}
NARROW = 44  # columns that settings take, at most, before their reasons
WIDTH = 36  # and at least, in a file that has lines already
WIDEST = 120  # letters of a reason


def default_of(setting: str) -> Any:
    """Return the default of a setting.

    Examples
    --------
    >>> default_of("format.decimal")
    '.'
    """
    section, name = _parts(setting)
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
        section, name = _parts(guess.setting)
        (settings.setdefault(section, {}) if section else settings)[name] = guess.value
    return settings


def toml(guesses: Iterable[Guess], text: str = "") -> str:
    """Return the text of a shop's file with guesses set in it; all else that it says stays, its comments too.

    Parameters
    ----------
    guesses
        Settings with their values; a reason becomes a comment, doubt is said there. A default is only written where
        the file sets something else.
    text
        The file so far. Where a commented line holds a setting, that line is opened.

    Examples
    --------
    >>> print(toml([Guess("format.decimal", ",", "sure", "100% read so"), Guess("columns.invoice", "Invoice", "sure", "")]))
    [format]
    decimal = ","  # 100% read so
    """
    known = tomllib.loads(text)
    wanted = [guess for guess in guesses if guess.value != _set_in(known, guess.setting)]
    for guess in wanted:
        text = _opened(text, *_parts(guess.setting))
    document = tomlkit.parse(text)
    for section in ("", *SECTIONS):
        found = {name: guess for guess in wanted for at, name in [_parts(guess.setting)] if at == section}
        if found:
            _put(document, section, found, WIDTH if text else 0)
    return document.as_string().removesuffix("\n")


def _parts(setting: str) -> tuple[str, str]:
    """Return section and name of a setting."""
    section, _, name = setting.rpartition(".")
    return section, name


def _set_in(known: Mapping[str, Any], setting: str) -> Any:
    """Return what a file sets, or the default."""
    section, name = _parts(setting)
    return (known.get(section, {}) if section else known).get(name, default_of(setting))


def _opened(text: str, section: str, name: str) -> str:
    """Return a text in which the commented line of a setting, and of its section, is none any more, if nothing else changes."""
    lines, inside, before = text.split("\n"), ("", 0), _filled(tomllib.loads(text))
    for place, line in enumerate(lines):
        if header := re.match(r"(?:# *)?\[([\w-]+)\]", line):
            inside = header[1], place
        if inside[0] == section and re.match(rf"# *{name} *=", line):
            opened = {place, inside[1]} if section else {place}
            tried = "\n".join(one.lstrip("# ") if at in opened else one for at, one in enumerate(lines))
            with suppress(tomllib.TOMLDecodeError):  # a comment that is no setting, or one that is set elsewhere
                after = tomllib.loads(tried)
                (after[section] if section else after).pop(name, None)
                if _filled(after) == before:
                    return tried
    return text


def _filled(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without the sections that set nothing."""
    return {name: value for name, value in known.items() if value != {}}


def without_empty_sections(text: str) -> str:
    r"""Return the text of a shop's file in which the names of sections that set nothing are comments.

    Examples
    --------
    >>> print(without_empty_sections('[shop]\nname = "Mine"\n[files]\n# pattern = "*"'))
    [shop]
    name = "Mine"
    # [files]
    # pattern = "*"
    """
    known = tomllib.loads(text)
    return re.sub(r"(?m)^\[([\w-]+)\]", lambda found: found[0] if known.get(found[1]) else f"# {found[0]}", text)


def _put(document: tomlkit.TOMLDocument, section: str, found: Mapping[str, Guess], least: int) -> None:
    """Set the values of a section, a reason behind each."""
    new = section not in document
    if section and new:
        document[section] = tomlkit.table()
    table: Any = document[section] if section else document
    items = {name: tomlkit.item(guess.value) for name, guess in found.items()}
    width = max(min(max(len(f"{name} = {item.as_string()}") for name, item in items.items()), NARROW), least)
    for name, item in items.items():
        if (reason := _reason(found[name])) and not isinstance(table, InlineTable):  # which has no place for comments
            item.comment(reason)
            item.trivia.comment_ws = " " * (max(width - len(f"{name} = {item.as_string()}"), 0) + 2)
        table[name] = item


def _reason(guess: Guess) -> str:
    """Return what stands behind a setting, in one line: what cannot be seen, as line ends, is written out."""
    doubt = "please check: " if guess.sure == "unsure" else ""
    seen = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in f"{doubt}{guess.reason}")
    return (seen if len(seen) <= WIDEST else f"{seen[: WIDEST - 1]}…") if guess.reason else ""
