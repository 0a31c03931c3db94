"""Which column of a file is which: by the words of its header and by its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from rfm.core.guess.dates import dates_of
from rfm.core.guess.numbers import number_of, numbers_of, without_sign
from rfm.core.guess.words import FLAGS, WORDS, plain

Sure = Literal["sure", "likely", "unsure"]
Values = Mapping[str, int]
WORD, WEAK, PART, VALUE = 1.0, 0.6, 0.5, 0.5  # what counts: a header that is a word, a vague word, one that holds it; values
VAGUE = frozenset({"name", "title", "data", "article", "item", "ticket", "type"})  # words that are used for other things, too
SHORTEST_PART = 4


class Role(NamedTuple):
    """What a column can be taken for.

    Parameters
    ----------
    fits
        Share of a column's values that such a column may hold.
    least
        Share below which the header's word does not count.
    said
        What the values are, for the reason.
    by_values
        Share from which the values alone tell, if only one column has them; above 1: never.
    """

    fits: Callable[[Values], float]
    least: float
    said: str
    by_values: float = 2.0


class Match(NamedTuple):
    """A column taken for something."""

    column: str
    sure: Sure
    reason: str


def _share(values: Values, test: Callable[[str], object]) -> float:
    """Return the share of values that pass a test."""
    rows = sum(values.values())
    return sum(count for value, count in values.items() if test(value)) / rows if rows else 0.0


def _dates(values: Values) -> float:
    return dates_of(values).share if any(re.search("[0-9]", value) for value in values) else 0.0


def _numbers(values: Values) -> float:
    return numbers_of(values).share


def _whole(values: Values) -> float:
    found = numbers_of(values)
    numbers = (number_of(without_sign(value), found.decimal, found.thousands) for value in values)
    whole = {value for value, number in zip(values, numbers, strict=True) if number is not None and number == int(number)}
    return _share(values, whole.__contains__)


def _fractions(values: Values) -> float:
    """Return 1 for numbers of which some have decimals."""
    numbers = _numbers(values)
    return numbers if numbers > 0.9 and _whole(values) < 0.9 else 0.0


def _identity(values: Values) -> float:
    """Return 0 for dates, for numbers with decimals and for sentences."""
    spoken = _share(values, lambda value: value.count(" ") > 3)
    return 0.0 if _fractions(values) or (_dates(values) > 0.5 and not _plain_numbers(values)) else 1.0 - spoken


def _plain_numbers(values: Values) -> bool:
    """Tell whether all values are digits alone, which dates without marks could be, too."""
    return all(re.fullmatch("[0-9]+", value) for value in values)


def _number_of_paper(values: Values) -> float:
    """Return the share of values of identities that hold a digit."""
    return min(_identity(values), _share(values, lambda value: re.search("[0-9]", value)))


def _places(values: Values) -> float:
    return _share(values, lambda value: not re.search("[0-9]", value) and len(value) < 40)


def _flags(values: Values) -> float:
    return _share(values, lambda value: plain(value) in FLAGS) if len(values) <= 12 else 0.0


ROLES: dict[str, Role] = {
    "invoice_date": Role(_dates, 0.3, "dates", 0.9),
    "price": Role(_numbers, 0.3, "numbers"),
    "amount": Role(_numbers, 0.3, "numbers", 0.9),
    "quantity": Role(_whole, 0.3, "whole numbers"),
    "invoice": Role(_number_of_paper, 0.8, "numbers of invoices"),
    "stock_code": Role(_identity, 0.5, "codes"),
    "customer_id": Role(_identity, 0.5, "ids", 0.9),
    "country": Role(_places, 0.5, "places"),
    "cancelled": Role(_flags, 0.8, "marks"),
    "description": Role(lambda values: 1.0 - _dates(values), 0.5, "texts"),
    "currency": Role(lambda values: float(len(values) <= 20) * _places(values), 0.5, "currencies"),
}


def match(columns: Mapping[str, Values]) -> dict[str, Match]:
    """Return which column is taken for what.

    Parameters
    ----------
    columns
        Name of each column, and its values with how often each is there, the missing ones left out.

    Returns
    -------
    dict
        By role (see `ROLES`); a column is taken once, a role may stay without one.
    """
    scores = {
        (role, column): found for role in ROLES for column, values in columns.items() if (found := _score(role, column, values))
    }
    taken: dict[str, Match] = {}
    for role, column in sorted(scores, key=lambda pair: (-scores[pair][0], list(ROLES).index(pair[0]))):
        if role not in taken and column not in {one.column for one in taken.values()}:
            taken[role] = _matched(role, column, scores)
    for role in ROLES:
        if role not in taken and (lone := _lone(role, {name: columns[name] for name in columns if not _used(name, taken)})):
            taken[role] = Match(lone, "unsure", f"no known name, but the only {ROLES[role].said}")
    return taken


def named_for(role: str, columns: Iterable[str]) -> str:
    """Return the column whose name says a role best, whatever its values; empty if none does.

    Parameters
    ----------
    role
        A key of `ROLES`.
    columns
        Names.
    """
    best = max(columns, key=lambda column: _word(role, plain(column)), default="")
    return best if _word(role, plain(best)) > PART else ""


def _used(column: str, taken: Mapping[str, Match]) -> bool:
    return column in {one.column for one in taken.values()}


def _score(role: str, column: str, values: Values) -> tuple[float, bool, float] | None:
    """Return how well a column fits a role, whether its header is a word for it, and the share of values that fit."""
    word = _word(role, plain(column))
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
    """Return a column taken for a role, with how sure that is and why."""
    _, word, fits = scores[role, column]
    rival = next((other for one, other in scores if one == role and other != column and _close(scores, role, column, other)), "")
    said = f"{'all' if fits == 1 else f'{fits:.0%} of'} values fit" if fits else "but empty"
    if rival:
        return Match(column, "unsure", f"{rival!r} could be it as well")
    sure: Sure = "sure" if fits >= 0.9 and _word(role, plain(column)) > WEAK else "likely"
    return Match(column, sure, f"{'named so' if word else 'named like it'}, {said}")


def _close(scores: Mapping[tuple[str, str], tuple[float, bool, float]], role: str, column: str, other: str) -> bool:
    """Tell whether another column fits a role as well, and no other role better."""
    best = max(scores[pair][0] for pair in scores if pair[1] == other)
    return scores[role, other][0] >= scores[role, column][0] - 0.02 and scores[role, other][0] >= best


def _lone(role: str, columns: Mapping[str, Values]) -> str:
    """Return the only column whose values tell a role by themselves; empty if there is none or more than one."""
    test = _fractions if role == "amount" else ROLES[role].fits
    fitting = [column for column, values in columns.items() if values and test(values) >= ROLES[role].by_values]
    if role == "customer_id":
        fitting = [column for column in fitting if _repeats(columns[column])]
    return fitting[0] if len(fitting) == 1 else ""


def _repeats(values: Values) -> bool:
    """Tell whether values are many, and some of them come again."""
    return 2 < len(values) < sum(values.values())
