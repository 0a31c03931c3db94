"""Match the columns of a file to roles, by their values first and by the words of their headers (`vocabulary.toml`)."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from rfm.analysis.parsing import CODES
from rfm.dialect import LANDING_COLUMNS
from rfm.onboarding.formats import CLOCK, date_of, dates_of, days_in, number_of, numbers_of, without_sign

FOLDED = str.maketrans(
    {"ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d", "ı": "i", "æ": "ae", "Æ": "ae", "œ": "oe", "º": "", "ª": ""}
)


def plain_words(text: object) -> str:
    """Return a text in lower case, without accents, blanks and marks; letters of every script stay."""
    if (plain := str(text)).isascii():
        return re.sub(r"[\W_]", "", plain.lower())
    letters = unicodedata.normalize("NFD", plain.translate(FOLDED).casefold())
    kept = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFC", kept))


def words_of(text: str) -> list[str]:
    """Return the words of a text, as they are compared."""
    return [plain_words(one) for one in re.split(r"[\W\d_]+", text) if one]


VOCABULARY = tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))


def _plain(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(plain_words, text.split()))))


WORDS = {role: _plain(words) for role, words in VOCABULARY["words"].items()}
STATUSES = {meaning: frozenset(_plain(words)) for meaning, words in VOCABULARY["statuses"].items()}
VALUES = {name: frozenset(_plain(words)) for name, words in VOCABULARY["values"].items()}
TELLING = {name: _plain(words) for name, words in VOCABULARY["telling"].items()}
ZONES = {country: zone for zone, countries in VOCABULARY["zones"].items() for country in countries.split()}
MONEY = dict.fromkeys(ZONES.values(), "€") | VOCABULARY["money"]
_MEANT = [(word, part) for part, languages in VOCABULARY["parts"].items() for word in _plain(" ".join(languages.values()))]
PARTS = {word: frozenset(part for one, part in _MEANT if one == word) for word, _ in _MEANT}

Sure = Literal["sure", "likely", "unsure"]
Values = Mapping[str, int]
Scores = dict[tuple[str, str], tuple[float, bool, float]]
WORD, MADE, WEAK, HEAD, PART, FITS = 1.0, 0.9, 0.6, 0.5, 0.25, 0.5  # of a header: a word, made of parts, vague …; of values
CONTACT, PERSON = 0.7, 0.65  # an address is an id if there is no other; the name of a person, if there is no address
SHORTEST_PART, FEW, SEEN = 4, 20, 2000
VAGUE, UNTAXED, INCLUSIVE = (VALUES[name] for name in ("vague", "untaxed", "inclusive"))
IN_MONEY = re.compile(rf"(?i)[$€£¥]|(?<![^\W\d_])(?:{'|'.join(CODES.split())})(?![^\W\d_])")  # a currency in a header
LESS = 0.03  # what was paid comes before what it is without tax
GRAMMAR: dict[str, list[list[frozenset[str]]]] = {  # role: parts that it needs, and parts that it may have
    role: [[frozenset(parts.split()) for parts in form] for form in forms] for role, forms in VOCABULARY["grammar"].items()
}
PERSONS = (frozenset({"customer", "name"}), frozenset({"customer", "name"}))


# ── facts about the values ────────────────────────────────────────────
class Facts(NamedTuple):
    """What the values of a column are like; shares are of its filled rows."""

    rows: int
    distinct: int
    numbers: float
    whole: float
    places: int  # decimals of most numbers that have any
    negative: float
    largest: float
    counting: bool  # 1, 2, 3 …: each once
    long_digits: bool  # ids: all of the same many digits
    dates: float
    names: float  # texts without digits
    sentences: float
    digits: float  # with a digit
    emails: float
    codes: float  # of currencies
    states: float  # words for the state of an order, or the kind of a line
    flags: float

    @property
    def constant(self) -> bool:
        """True for one value on many rows."""
        return self.distinct == 1 and self.rows >= FEW

    @property
    def counts(self) -> float:
        """Share of numbers, if they are no row numbers and no ids."""
        return 0.0 if self.counting or self.long_digits else self.numbers

    @property
    def money(self) -> bool:
        """True if the values can be amounts."""
        return self.counts >= 0.9


def facts_of(values: Values) -> Facts:
    """Return the facts about the values of a column, from at most 2,000 of them."""
    seen = dict(islice(values.items(), SEEN))
    found = numbers_of(seen)
    numbers = {one: number_of(without_sign(one), found.decimal, found.thousands) for one in seen}
    known = sorted(number for number in numbers.values() if number is not None)
    whole = {one for one, number in numbers.items() if number is not None and number == int(number)}
    digits = {one for one in seen if re.search(r"\d", one)}
    places = [len(one.rpartition(found.decimal)[2]) for one in map(without_sign, seen) if found.decimal in one]
    steps = [after - before for before, after in zip(known, known[1:], strict=False)]
    counting = (
        len(known) >= FEW and len(whole) == len(seen) and set(values.values()) == {1} and steps.count(1.0) >= 0.95 * len(steps)
    )
    lengths = {len(one) for one in seen}
    return Facts(
        sum(values.values()), len(values), found.share, _share(seen, whole.__contains__),
        max(set(places), key=places.count) if places else 0,
        _share(seen, lambda one: (numbers[one] or 0) < 0), max(known, default=0.0), counting,
        len(seen) > 5 and lengths <= {max(lengths, default=0)} and min(lengths, default=0) >= 8 and all(map(str.isdigit, seen)),
        dates_of(seen).share if digits else 0.0,
        _share(seen, lambda one: one not in digits and len(one) < 40), _share(seen, lambda one: one.count(" ") > 3),
        _share(seen, digits.__contains__), _share(seen, lambda one: "@" in one),
        _share(seen, lambda one: re.fullmatch("[A-Za-z]{3}", one) and len(values) <= FEW),
        _share(seen, lambda one: len(values) <= 30 and bool(meaning_of(one))),
        _share(seen, lambda one: len(values) <= 12 and plain_words(one) in VALUES["flags"]),
    )  # fmt: skip


def _share(values: Values, test: Callable[[str], object]) -> float:
    rows = sum(values.values())
    return sum(count for value, count in values.items() if test(value)) / rows if rows else 0.0


@cache
def meaning_of(value: str) -> str:
    """Return what a status or a kind of line means: a key of `STATUSES`; empty if unknown."""
    plain = plain_words(re.sub(r"^wc-", "", value.strip()))
    return next((meaning for meaning, words in STATUSES.items() if plain in words), "")


@lru_cache(maxsize=1 << 14)
def is_no_product(code: str) -> bool:
    """Return True if a stock code is known to be postage, a fee, a voucher or similar."""
    bare = plain_words(code)
    return any(bare == word or len(word) > 3 and bare.startswith(word) for word in VALUES["no_product"])


# ── roles ─────────────────────────────────────────────────────────────
class Role(NamedTuple):
    """A meaning that a column can have."""

    fits: Callable[[Facts], float]  # share of the values that fit
    least: float  # share that is needed
    values: str  # what they are, in words
    alone: float = 2.0  # share from which values alone decide; never, by default


class Match(NamedTuple):
    """A column that has a role, how sure that is, and why."""

    column: str
    sure: Sure
    reason: str
    rivals: tuple[str, ...] = ()  # other columns that fit as well


def _identity(facts: Facts) -> float:
    """Return 0 for dates, for numbers with decimals and for row numbers."""
    decimals = facts.numbers > 0.9 and facts.whole < 0.9
    return 0.0 if decimals or facts.dates > 0.5 and facts.whole < 0.9 else 1.0 - facts.sentences


def _buyer(facts: Facts) -> float:
    """Return how well values identify a customer: an id or an address better than the name of a person."""
    return _identity(facts) * (0.5 if facts.constant else 1.0) * (1.0 - 0.1 * max(0.0, facts.names - facts.emails))


ROLES: dict[str, Role] = {
    "invoice_date": Role(lambda facts: facts.dates, 0.3, "dates", 0.9),
    "price": Role(lambda facts: facts.counts, 0.3, "numbers"),
    "amount": Role(lambda facts: facts.counts, 0.3, "numbers with decimals", 0.9),
    "quantity": Role(lambda facts: facts.counts, 0.3, "numbers"),
    "invoice": Role(lambda facts: min(_identity(facts), facts.digits), 0.8, "invoice numbers"),
    "stock_code": Role(_identity, 0.5, "codes"),
    "customer_id": Role(_buyer, 0.5, "ids", 0.9),
    "country": Role(lambda facts: facts.names, 0.5, "places"),
    "cancelled": Role(lambda facts: facts.flags, 0.8, "marks"),
    "description": Role(lambda facts: 1.0 - facts.dates, 0.5, "texts"),
    "currency": Role(lambda facts: facts.codes or float(facts.distinct <= FEW) * facts.names, 0.5, "currencies"),
    "status": Role(lambda facts: max(facts.states, 0.6 * float(facts.distinct <= 30) * facts.names), 0.5, "states"),
    "line_type": Role(lambda facts: facts.states, 0.5, "kinds of lines"),
    "refunded": Role(lambda facts: facts.numbers, 0.9, "amounts"),
    "discount": Role(lambda facts: facts.numbers, 0.9, "amounts"),
    "store": Role(lambda facts: float(facts.distinct <= max(FEW, facts.rows // FEW)), 0.5, "shops"),
}
ROLES |= {name: ROLES["description"] for name in LANDING_COLUMNS if name not in ROLES}


def match(columns: Mapping[str, Values], facts: Mapping[str, Facts] | None = None) -> dict[str, Match]:
    """Return the column of each role."""
    facts = facts or {name: facts_of(values) for name, values in columns.items()}
    pairs = ((role, column) for role in ROLES for column in facts)
    scores = {pair: found for pair in pairs if (found := _score(*pair, facts[pair[1]]))}
    scores |= _less_unknown({pair: scores[pair] for pair in scores if pair[0] == "customer_id"}, columns)
    matched: dict[str, Match] = {}
    for role, column in sorted(scores, key=lambda pair: (-scores[pair][0], list(ROLES).index(pair[0]))):
        if role not in matched and column not in {one.column for one in matched.values()}:
            matched[role] = _matched(role, column, scores, columns)
    for role in ROLES:
        used = {one.column for one in matched.values()}
        free = {name: one for name, one in facts.items() if name not in used}
        if role not in matched and (lone := _lone(role, free, columns)):
            dates = sum(one.dates > HEAD for one in facts.values()) if role == "invoice_date" else 0
            said = f"no known name, but the {'earliest' if dates > 1 else 'only'} column of {ROLES[role].values}"
            matched[role] = Match(lone, "likely" if dates == 1 else "unsure", said)
    return matched


def _less_unknown(scores: Scores, columns: Mapping[str, Values]) -> Scores:
    """Return the scores of addresses that few lines have, which come after a name that more of them have."""
    known = {pair: sum(columns[pair[1]].values()) for pair in scores}
    most = max(known.values(), default=0)
    few = {pair: 1 - known[pair] / most for pair in scores if known[pair] < 0.8 * most and name_score(*pair) <= CONTACT}
    return {pair: (scores[pair][0] - less, *scores[pair][1:]) for pair, less in few.items()}


def _same(one: Values, other: Values) -> bool:
    """Return True if two columns have the same values, but for the time of a day, so that it does not matter which is used."""
    return sum(one.values()) == sum(other.values()) and (one == other or days_in(one) == days_in(other))


def named_for(role: str, columns: Iterable[str]) -> str:
    """Return the column whose name fits a role best, whatever its values; empty if none does."""
    best = max(columns, key=lambda column: name_score(role, column), default="")
    return best if name_score(role, best) > PART else ""


def _score(role: str, column: str, facts: Facts) -> tuple[float, bool, float] | None:
    """Return the score of a column for a role, True if its header is a word of it, and the share of values that fit."""
    word = name_score(role, column)
    if not word or not facts.rows:
        return (word, word > HEAD, 0.0) if word > HEAD and not facts.rows else None
    fits = ROLES[role].fits(facts) or (facts.numbers if role in ("price", "amount") and word >= MADE else 0.0)
    return (word + FITS * fits, word > HEAD, fits) if fits >= ROLES[role].least else None


@cache
def name_score(role: str, column: str) -> float:
    """Return how well a header fits a role; 0 if not at all."""
    column = _of_one_piece(column)
    words, header, tokens = WORDS.get(role, ()), plain_words(column), tokens_of(column)
    less = LESS if UNTAXED.intersection(re.split(r"[\W_]+", column.lower())) else 0.0
    for name in (header, "".join(tokens)):
        if name in words:
            return (WEAK if name in VAGUE else WORD) - less - 0.1 * words.index(name) / len(words)
    if header in WORDS["other"] or role == "description" and header in WORDS["line_type"]:
        return 0.0
    flat = _parts(column)
    if role == "customer_id" and (contact := _is_contact(tokens)):
        return contact
    if role == "customer_id" and _is_made(flat, *PERSONS):
        return PERSON
    if role == "status" and _is_state(tokens):
        return WORD
    if any(_is_made(flat, *form) for form in GRAMMAR.get(role, ())):
        return MADE - less
    if is_other(column):
        return 0.0
    needed = next((needs for needs, _ in GRAMMAR.get(role, ())), frozenset())
    heads = [one for one in (flat[:1], flat[-1:]) if one and len(needed) == 1 and one[0] & needed]
    if heads or any(token in words and token not in VAGUE for token in (tokens[:1] + tokens[-1:])):
        return HEAD if all(flat) else PART
    similar = [word for word in words if len(word) >= SHORTEST_PART and (header.startswith(word) or header.endswith(word))]
    return PART if similar else 0.0


def _of_one_piece(column: str) -> str:
    """Return ``Unit EUR`` and ``€/pcs``, which are prices, with one name for all currencies; any other header unchanged."""
    beside = [plain for word in re.split(r"[\W_]+", IN_MONEY.sub(" ", column)) if (plain := plain_words(word))]
    counted = beside and all({"unit", "quantity"} & PARTS.get(one, frozenset()) for one in beside)
    return " ".join(["incurrency", *beside]) if counted and IN_MONEY.search(column) else column


def _is_contact(tokens: Sequence[str]) -> float:
    """Return the score of an address of the customer: ``Email``, ``Buyer e-mail``, ``E-Mail (Rechnung)``; 0 if it is none."""
    name, words = "".join(one for one in tokens if one not in VALUES["billed"]), WORDS["contact"]
    for place, word in enumerate(words):
        beside = name.removesuffix(word) if name.endswith(word) else name.removeprefix(word)
        if beside != name and (not beside or all("customer" in one for one in _parts_of(beside) or [frozenset()])):
            return CONTACT - 0.1 * place / len(words)
    return 0.0


def _is_state(tokens: Sequence[str]) -> bool:
    """Return True for the state of an order: ``Estado de la orden``."""
    beside = [one for one in tokens if one not in WORDS["status"]]
    return len(beside) < len(tokens) and all("order" in PARTS.get(one, ()) for one in beside)


def is_other(column: str) -> bool:
    """Return True if a header names something that no role needs, such as a tax."""
    exact = {plain_words(column), "".join(tokens_of(column))}
    if exact & set(WORDS["other"]):
        return True
    if any(exact & set(words) for words in WORDS.values()):
        return False
    return any("other" in one for one in _parts(column))


@cache
def tokens_of(column: str) -> list[str]:
    """Return the words of a header, without those that join them and without "incl. VAT"."""
    split = re.sub(r"(?<=[a-zà-ÿ]{3})(?=[A-Z][a-zà-ÿ])", " ", re.sub(r"\(\s*-.*\)", "", column.strip()))  # Quantity (- Refund)
    split = re.sub(r"(?i)\bs (?=dph)", "incl ", split)  # Celkem s DPH
    tokens = [plain for word in re.split(r"[\W_]+", split) if (plain := plain_words(word))]
    if INCLUSIVE.intersection(tokens):
        tokens = [one for one in tokens if one in INCLUSIVE or "other" not in PARTS.get(one, ())]
    kept = [one for one in tokens if PARTS.get(one) != frozenset({"filler"}) and one not in INCLUSIVE]
    return kept or tokens


@cache
def _parts(column: str) -> list[frozenset[str]]:
    """Return the meanings of each part of a header; empty ones for what is unknown."""
    tokens = tokens_of(column)
    if not all(map(_parts_of, tokens)) and (joined := _parts_of("".join(tokens))):
        return list(joined)
    return [one for token in tokens for one in _parts_of(token) or (frozenset(),)]


@cache
def _parts_of(token: str) -> tuple[frozenset[str], ...] | None:
    """Return the meanings of the parts of a word, such as an order and a date; None for an unknown word."""
    if found := PARTS.get(token):
        return (found,)
    for cut in range(len(token) - 1, 0, -1):
        left, rest = token[:cut], token[cut:]
        known = PARTS.get(left) or PARTS.get(left.removesuffix("s")) or PARTS.get(left.removesuffix("n"))
        short = token.isascii() and (len(left) < (2 if "number" in PARTS.get(left, ()) else 3) or len(rest) < 2)
        if known and not short and (others := _parts_of(rest)):
            return (known, *others)
    return None


def _is_made(parts: list[frozenset[str]], needs: frozenset[str], may: frozenset[str]) -> bool:
    """Return True if all parts of a header are those that a role needs or may have."""
    met = [need for need in needs if any(need in part for part in parts)]
    return bool(parts) and len(met) == len(needs) and all(part & (needs | may) for part in parts)


def _matched(role: str, column: str, scores: Scores, columns: Mapping[str, Values]) -> Match:
    _, word, fits = scores[role, column]
    rivals = [other for one, other in scores if one == role and other != column and _close(scores, role, column, other)]
    if rivals := [one for one in rivals if not _same(columns[one], columns[column])]:
        return Match(column, "unsure", f"{rivals[0]!r} fits as well", tuple(rivals))
    fitting = f"{'all' if fits == 1 else f'{fits:.0%} of'} values fit" if fits else "but the column is empty"
    sure: Sure = "sure" if fits >= 0.9 and name_score(role, column) > WEAK else "likely"
    return Match(column, sure, f"{'the name fits' if word else 'the name is similar'}, {fitting}")


def _close(scores: Scores, role: str, column: str, other: str) -> bool:
    """Return True if another column fits a role as well, and no other role better."""
    best = max(scores[pair][0] for pair in scores if pair[1] == other)
    return scores[role, other][0] >= scores[role, column][0] - 0.02 and scores[role, other][0] >= best


def _lone(role: str, columns: Mapping[str, Facts], values: Mapping[str, Values]) -> str:
    """Return the only column whose values fit a role without a fitting name, of dates the earliest; empty if there is none."""
    free = {name: facts for name, facts in columns.items() if facts.rows and (role == "invoice_date" or not is_other(name))}
    if role == "amount":
        fitting = [name for name, facts in free.items() if facts.money and facts.whole < 0.9]
    else:
        fitting = [name for name, facts in free.items() if ROLES[role].fits(facts) >= ROLES[role].alone]
    if role == "invoice_date":  # numbers of days are dates only below such a name
        fitting = [name for name in fitting if free[name].whole < 0.9 or free[name].dates > 0.99]
        fitting = [min(fitting, key=lambda name: _middle(values[name]))] if fitting and values else fitting
    if role == "customer_id":  # there are several, and some buy again
        fitting = [name for name in fitting if 2 < free[name].distinct < free[name].rows]
    return fitting[0] if len(fitting) == 1 else ""


def _middle(values: Values) -> tuple[bool, float]:
    """Return the average day of a column of dates; those of which the pattern is unknown come last."""
    pattern, months = (found := dates_of(values)).pattern, found.months
    days = [day.toordinal() for one in values if (day := date_of(CLOCK.sub("", one.strip()), pattern, months))]
    return not days, sum(days) / max(len(days), 1)
