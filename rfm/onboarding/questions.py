"""What is guessed about files, and what the files leave open: settings with reasons, questions with options, doubts."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import tomlkit

from rfm.dialect import LANDING_COLUMNS, NEUTRAL, Section, plain_name
from rfm.errors import SettingsError, shown, unknown
from rfm.onboarding.columns import Sure
from rfm.settings import Settings

SECTIONS: dict[str, Section] = {
    name: Settings.model_fields[name].default for name in ("shop", "files", "columns", "format", "rules", "customers", "baseline")
}
CHOSEN = "as chosen"  # reason of a setting that the user gives
CURRENCIES = "currencies"  # a section whose names are those of currencies, each with its rate


def parts(setting: str) -> tuple[str, str]:
    """Return section and name of a setting."""
    section, _, name = setting.rpartition(".")
    return section, name


def default_of(setting: str, own: bool = False) -> Any:
    """Return the default of a setting; None for a rule that a shop with columns of its own has to name."""
    section, name = parts(setting)
    if own and section == "rules" and name in NEUTRAL:
        return None
    return getattr(SECTIONS[section], name) if section in SECTIONS else None


def listed(value: Any) -> Any:
    """Return a value as in rfm.toml, which has no tuples."""
    return list(value) if isinstance(value, tuple) else value


def same(one: Any, other: Any) -> bool:
    """Return True for equal values; a list equals a tuple."""
    return bool(listed(one) == listed(other))


def nested(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return settings section by section."""
    settings: dict[str, Any] = {}
    for setting, value in values:
        section, name = parts(setting)
        (settings.setdefault(section, {}) if section else settings)[name] = value
    return settings


class Guess(NamedTuple):
    """A setting, its value, how sure that is, why, and what it changes in money or customers."""

    setting: str
    value: Any
    sure: Sure
    reason: str
    effect: str = ""


class Option(NamedTuple):
    """An answer to a question: the value of the setting, its meaning, and the totals that it leads to."""

    value: Any
    said: str
    revenue: Decimal | None = None
    customers: int | None = None


class Question(NamedTuple):
    """A setting that the files leave open: the question, its answers, the most likely first, and why it is asked."""

    setting: str
    asked: str
    options: list[Option]
    why: str = ""


def own(lines: Any) -> list[Question]:
    """Return the question that is asked of a profile without a column of money."""
    if "price" in lines.matches:
        return []
    counted = "piece" if "quantity" in lines.matches else "line"
    said = f"none: each {counted} counts as 1, so amounts are counts of {counted}s"
    return [
        Question("columns.price", "Which column has the price, or the amount?", [Option("", said)], "no column looks like money")
    ]


class Doubt(NamedTuple):
    """Something that may be read wrong, and the money at stake in the lines of the sample."""

    about: str
    said: str
    amount: Decimal
    share: float = 0.0  # of the customers or orders that it changes


Weight = Literal["note", "mend", "ask", "unusable"]
STATUS: dict[Weight, int] = {"note": 0, "mend": 1, "ask": 1, "unusable": 2}


class Finding(NamedTuple):
    """A sentence about the files, how much it weighs, its subject, and the money at stake, if that is known."""

    weight: Weight
    about: str
    said: str
    amount: Decimal | None = None


# ── questions of the terminal ────────────────────────────────────────
NONE = "-"  # the answer for: the files have no such column
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
    "rules.cancellation": "How cancelled lines are marked: prefix, negative, flag or none",
    "columns.cancelled": "Column that marks cancelled lines",
    "rules.cancellation_pattern": "Invoice numbers of cancellations, as a pattern",
}


def answer(guess: Guess, text: str, columns: Sequence[str], answers: Mapping[str, Any]) -> str:
    """Return the value of a setting for an answer; columns are those of the files."""
    section, _, name = guess.setting.partition(".")
    value = "" if text.strip() == NONE else text if name == "thousands" else text.strip()
    if section == "columns" and columns:
        header = {plain_name(column): column for column in columns}
        if value and plain_name(value) not in header:
            optional = name in LANDING_COLUMNS and LANDING_COLUMNS[name].without is None
            skip = "" if optional else f"; {NONE} for none"
            raise SettingsError(f"there is no such column; choose from {', '.join(header.values())}{skip}")
        return header[plain_name(value)] if value and value != guess.value else value
    try:
        beside = {"decimal": answers["format.decimal"]} if name == "thousands" else {}
        return str(getattr(type(SECTIONS[section])(**beside, **{name: value}), name))
    except ValueError as error:
        raise SettingsError(_invalid(error)[0]["msg"]) from None


def chosen_option(question: Question, text: str) -> Any:
    """Return the value of the option that is named by its number, or by its value."""
    values = {str(number): one.value for number, one in enumerate(question.options, 1)}
    values |= {str(one.value): one.value for one in question.options}
    if text.strip() not in values:
        raise SettingsError(f"answer with a number from 1 to {len(question.options)}")
    return values[text.strip()]


def is_needless(setting: str, answers: Mapping[str, Any]) -> bool:
    """Return True if earlier answers make a question needless."""
    how = answers.get("rules.cancellation", "prefix")
    return {
        "columns.cancelled": how != "flag",
        "rules.cancellation_pattern": how != "prefix",
        "rules.invoice_pattern": answers.get("columns.invoice") == "",
        "rules.stock_code_pattern": answers.get("columns.stock_code") == "",
    }.get(setting, False)


# ── answers on the command line ──────────────────────────────────────
def assigned(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the settings of ``--set NAME=VALUE``: a value as in rfm.toml, or else plain text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, text = (part.strip() for part in pair.partition("="))
        known = [f"{section}.{one}" for section, model in SECTIONS.items() for one in type(model).model_fields]
        if not sign:
            raise SettingsError(f"--set {pair!r} is not NAME=VALUE, such as columns.price=Total")
        if name not in known and CURRENCIES not in (name, parts(name)[0]):
            raise SettingsError(f"--set: {unknown('setting', [name], known)}")
        found |= flat({name: _value(text, default_of(name))})
    for section, values in nested(found.items()).items():
        _check(section, values)
    return found


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the rate of each currency as a setting of its own."""
    rates = values.get(CURRENCIES, {})
    own = {name: value for name, value in values.items() if name != CURRENCIES}
    return own | {f"{CURRENCIES}.{name}": rate for name, rate in rates.items()}


def is_answered(question: Question, known: Mapping[str, Any]) -> bool:
    """Return True if the settings that are known answer a question."""
    rates = question.setting == CURRENCIES and any(parts(name)[0] == CURRENCIES for name in known)
    return rates or question.setting in known


def _value(text: str, default: Any) -> Any:
    """Return a value as in rfm.toml; text needs no quotation marks, a list no brackets if it has one value."""
    value: Any = text
    with suppress(tomllib.TOMLDecodeError):
        value = tomllib.loads(f"value = {text}")["value"]
    if isinstance(default, str) and not isinstance(value, str):
        return text
    return tuple(value if isinstance(value, list) else [value]) if isinstance(default, tuple) else value


def _check(section: str, values: Mapping[str, Any]) -> None:
    if section not in SECTIONS:
        return
    try:
        type(SECTIONS[section])(**values)
    except ValueError as error:
        for one in _invalid(error):
            if one["loc"]:  # others are about several settings, of which the files decide the rest
                raise SettingsError(f"--set {section}.{one['loc'][0]}: {one['msg']}, found {shown(one['input'])}") from None


def _invalid(error: Any) -> list[dict[str, Any]]:
    """Return what is wrong with values, by an error of pydantic."""
    return [one | {"msg": one["msg"].removeprefix("Value error, ")} for one in error.errors()]


def option(setting: str, value: Any) -> str:
    """Return the option of `rfm init` that answers a question: ``--set columns.price="Order Total"``."""
    if isinstance(value, dict):
        return " ".join(option(f"{setting}.{name}", one) for name, one in value.items())
    text = str(value) if isinstance(value, str) else tomlkit.item(value).as_string()
    return f"--set {setting}={shlex.quote(text)}"
