"""Match the columns of a file to roles, by the words of its header (`vocabulary.toml`) and by its values."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from rfm.config import LANDING_COLUMNS
from rfm.onboarding.formats import dates_of, number_of, numbers_of, without_sign

_VOCABULARY = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
WORDS = {role: tuple(words.split()) for role, words in _VOCABULARY["words"].items()}
NOBODY, FLAGS, NO_PRODUCT = (tuple(_VOCABULARY["values"][name].split()) for name in ("nobody", "flags", "no_product"))
ZONES = {country: zone for zone, countries in _VOCABULARY["zones"].items() for country in countries.split()}
MONEY = dict.fromkeys(ZONES.values(), "€") | _VOCABULARY["money"]


def plain_words(text: object) -> str:
    """Return a text in lower case, without accents, blanks and marks."""
    letters = unicodedata.normalize("NFD", str(text).casefold())
    return re.sub(r"[^0-9a-z]", "", letters)


Sure = Literal["sure", "likely", "unsure"]
Values = Mapping[str, int]
WORD, WEAK, PART, VALUE = 1.0, 0.6, 0.5, 0.5  # scores: a header that is a word, a vague word, contains a word; fitting values
VAGUE = frozenset({"name", "title", "data", "article", "item", "ticket", "type"})  # words that also mean other things
SHORTEST_PART = 4


class Role(NamedTuple):
    """A meaning that a column can have."""

    fits: Callable[[Values], float]  # share of the values that fit
    least: float  # share that is needed
    values: str  # what they are, in words
    by_values: float = 2.0  # share from which values alone decide; never, by default


class Match(NamedTuple):
    """A column that has a role, how sure that is, and why."""

    column: str
    sure: Sure
    reason: str


def _share(values: Values, test: Callable[[str], object]) -> float:
    rows = sum(values.values())
    return sum(count for value, count in values.items() if test(value)) / rows if rows else 0.0


def _dates(values: Values) -> float:
    return dates_of(values).share if any(re.search("[0-9]", value) for value in values) else 0.0


def _whole(values: Values) -> float:
    found = numbers_of(values)
    numbers = (number_of(without_sign(value), found.decimal, found.thousands) for value in values)
    whole = {value for value, number in zip(values, numbers, strict=True) if number is not None and number == int(number)}
    return _share(values, whole.__contains__)


def _fractions(values: Values) -> float:
    """Return a share above 0 only for numbers of which some have decimals."""
    numbers = numbers_of(values).share
    return numbers if numbers > 0.9 and _whole(values) < 0.9 else 0.0


def _identity(values: Values) -> float:
    """Return 0 for dates, for numbers with decimals and for sentences."""
    sentences = _share(values, lambda value: value.count(" ") > 3)
    # Digits alone could be dates without marks as well as ids
    digits = all(re.fullmatch("[0-9]+", value) for value in values)
    return 0.0 if _fractions(values) or (_dates(values) > 0.5 and not digits) else 1.0 - sentences


def _places(values: Values) -> float:
    return _share(values, lambda value: not re.search("[0-9]", value) and len(value) < 40)


ROLES: dict[str, Role] = {
    "invoice_date": Role(_dates, 0.3, "dates", 0.9),
    "price": Role(lambda values: numbers_of(values).share, 0.3, "numbers"),
    "amount": Role(lambda values: numbers_of(values).share, 0.3, "numbers", 0.9),
    "quantity": Role(_whole, 0.3, "whole numbers"),
    "invoice": Role(lambda values: min(_identity(values), _share(values, re.compile("[0-9]").search)), 0.8, "invoice numbers"),
    "stock_code": Role(_identity, 0.5, "codes"),
    "customer_id": Role(_identity, 0.5, "ids", 0.9),
    "country": Role(_places, 0.5, "places"),
    "cancelled": Role(
        lambda values: _share(values, lambda one: plain_words(one) in FLAGS) if len(values) <= 12 else 0.0, 0.8, "marks"
    ),
    "description": Role(lambda values: 1.0 - _dates(values), 0.5, "texts"),
    "currency": Role(lambda values: float(len(values) <= 20) * _places(values), 0.5, "currencies"),
}
ROLES |= {name: ROLES["description"] for name in LANDING_COLUMNS if name not in ROLES}


def match(columns: Mapping[str, Values]) -> dict[str, Match]:
    """Return the column of each role."""
    scores = {
        (role, column): found for role in ROLES for column, values in columns.items() if (found := _score(role, column, values))
    }
    matched: dict[str, Match] = {}
    for role, column in sorted(scores, key=lambda pair: (-scores[pair][0], list(ROLES).index(pair[0]))):
        if role not in matched and column not in {one.column for one in matched.values()}:
            matched[role] = _matched(role, column, scores)
    for role in ROLES:
        used = {one.column for one in matched.values()}
        if role not in matched and (lone := _lone(role, {name: columns[name] for name in columns if name not in used})):
            matched[role] = Match(lone, "unsure", f"no known name, but the only column of {ROLES[role].values}")
    return matched


def named_for(role: str, columns: Iterable[str]) -> str:
    """Return the column whose name fits a role best, whatever its values; empty if none does."""
    best = max(columns, key=lambda column: _word(role, plain_words(column)), default="")
    return best if _word(role, plain_words(best)) > PART else ""


def _score(role: str, column: str, values: Values) -> tuple[float, bool, float] | None:
    """Return the score of a column for a role, True if its header is a word of it, and the share of values that fit."""
    word = _word(role, plain_words(column))
    if not word or not values:
        return (word, word > PART, 0.0) if word > PART and not values else None
    fits = ROLES[role].fits(values)
    return (word + VALUE * fits, word > PART, fits) if fits >= ROLES[role].least else None


def _word(role: str, header: str) -> float:
    """Return how well a header fits the words of a role; 0 if not at all."""
    words = WORDS[role]
    if header in words:
        return (WEAK if header in VAGUE else WORD) - 0.1 * words.index(header) / len(words)
    parts = [word for word in words if len(word) >= SHORTEST_PART and (header.startswith(word) or header.endswith(word))]
    return PART * len(max(parts, key=len)) / len(header) if parts else 0.0


def _matched(role: str, column: str, scores: Mapping[tuple[str, str], tuple[float, bool, float]]) -> Match:
    _, word, fits = scores[role, column]
    rival = next((other for one, other in scores if one == role and other != column and _close(scores, role, column, other)), "")
    if rival:
        return Match(column, "unsure", f"{rival!r} fits as well")
    fitting = f"{'all' if fits == 1 else f'{fits:.0%} of'} values fit" if fits else "but the column is empty"
    sure: Sure = "sure" if fits >= 0.9 and _word(role, plain_words(column)) > WEAK else "likely"
    return Match(column, sure, f"{'the name fits' if word else 'the name is similar'}, {fitting}")


def _close(scores: Mapping[tuple[str, str], tuple[float, bool, float]], role: str, column: str, other: str) -> bool:
    """Return True if another column fits a role as well, and no other role better."""
    best = max(scores[pair][0] for pair in scores if pair[1] == other)
    return scores[role, other][0] >= scores[role, column][0] - 0.02 and scores[role, other][0] >= best


def _lone(role: str, columns: Mapping[str, Values]) -> str:
    """Return the only column whose values fit a role without a fitting name; empty if there is none or more than one."""
    test = _fractions if role == "amount" else ROLES[role].fits
    fitting = [column for column, values in columns.items() if values and test(values) >= ROLES[role].by_values]
    if role == "customer_id":  # there are several, and some buy again
        fitting = [column for column in fitting if 2 < len(columns[column]) < sum(columns[column].values())]
    return fitting[0] if len(fitting) == 1 else ""
