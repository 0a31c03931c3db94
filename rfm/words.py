"""The report in the reader's language: its words, numbers and dates.

English is written where it is used, as ``_("text")``; any other language is a file of translations in ``locale``. The language
belongs to the report that is being built. It is a context variable, set by `speaking`, so nothing of it is left for the next.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

LOCALE = Path(__file__).parent / "locale"
ENGLISH = "en"
_SHORT: Literal["abbreviated"] = "abbreviated"


class Language(NamedTuple):
    """The translations of a language, and how it writes numbers; English needs neither."""

    code: str = ENGLISH
    texts: Mapping[Any, tuple[str, ...]] = {}  # by msgid, or by context and msgid
    plurals: Mapping[str, str] = {}  # the second form of an English text → its first
    form: Callable[[int], int] = lambda number: int(number != 1)
    separators: Mapping[int, str] = {}  # for `str.translate`
    money: str = "{sign}{amount}"
    percent: str = "{number}%"


_LANGUAGE: ContextVar[str] = ContextVar("language", default=ENGLISH)


def languages() -> list[str]:
    """Return the languages that a report can be in."""
    return [ENGLISH, *sorted(file.stem for file in LOCALE.glob("*.po"))]


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Write in a language until the block ends."""
    token = _LANGUAGE.set(language)
    try:
        yield
    finally:
        _LANGUAGE.reset(token)


def language() -> str:
    """Return the language that is being written."""
    return _LANGUAGE.get()


def tag() -> str:
    """Return the language as a tag for scripts and documents."""
    return "en-GB" if language() == ENGLISH else language().replace("_", "-")


def _spoken() -> Language:
    return _read(_LANGUAGE.get())


@cache
def _read(language: str) -> Language:
    """Return a language from its file; a text without a translation stays English."""
    if language == ENGLISH:
        return Language()
    from gettext import c2py  # reads the rule of the plural

    from babel import Locale  # here, because English needs none of it
    from babel.messages.pofile import read_po

    with (LOCALE / f"{language}.po").open("rb") as file:
        catalog = read_po(file, locale=language)
    texts: dict[Any, tuple[str, ...]] = {}
    plurals: dict[str, str] = {}
    for message in catalog:
        one, *more = [message.id] if isinstance(message.id, str) else message.id
        forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))
        if one and all(forms) and not message.fuzzy:
            texts[(message.context, one) if message.context else one] = forms
            plurals.update(dict.fromkeys(more, one))
    locale = Locale.parse(language)
    symbols = locale.number_symbols["latn"]
    money, percent = (form.pattern.split(";")[0] for form in (locale.currency_formats["standard"], locale.percent_formats[None]))
    return Language(
        language,
        texts,
        plurals,
        c2py(catalog.plural_expr),
        str.maketrans({",": symbols["group"], ".": symbols["decimal"]}),
        re.sub("[#0,.]+", "{amount}", money).replace("¤", "{sign}"),
        re.sub("[#0,.]+", "{number}", percent),
    )


# ── texts ────────────────────────────────────────────────────────────
def gettext(text: str, /, **fields: Any) -> str:
    """Return a text in the language, with its ``{fields}`` filled in."""
    return _filled(_spoken().texts.get(text, (text,))[0], fields)


def pgettext(context: str, text: str, /, **fields: Any) -> str:
    """Return a text that means something else in another context."""
    return _filled(_spoken().texts.get((context, text), (text,))[0], fields)


def ngettext(one: str, many: str, number: Any, /, **fields: Any) -> str:
    """Return the form of a text that fits a number."""
    spoken, whole = _spoken(), number == int(number)
    forms = spoken.texts.get(one, (one, many))
    return _filled(forms[spoken.form(abs(int(number))) if whole else -1], fields)


def forms(one: str, many: str) -> list[str]:
    """Return all forms of a text, for a script to choose from."""
    return list(_spoken().texts.get(one, (one, many)))


def _filled(text: str, fields: Mapping[str, Any]) -> str:
    return text.format(**fields) if fields else text


def N_(text: str) -> str:  # noqa: N802  # as everybody calls it
    """Mark a constant for translation, which is translated where it is shown."""
    return text


def nN_(one: str, many: str) -> tuple[str, str]:  # noqa: N802
    """Mark both forms of a constant for translation."""
    return one, many


_ = gettext


# ── numbers and dates ────────────────────────────────────────────────────────────
def digits(number: str) -> str:
    """Return a number in English notation, such as ``1,234.5``, with the separators of the language."""
    return number.translate(_spoken().separators)


def money(amount: str, sign: str) -> str:
    """Return an amount with its currency sign where the language has it."""
    return _spoken().money.format(amount=amount, sign=sign).strip()


def percent(number: str) -> str:
    """Return a number with the percent sign."""
    return _spoken().percent.format(number=number)


def day(date: dt.date) -> str:
    """Return a day in full: ``23 October 2025``."""
    return f"{date.day} {date:%B %Y}" if language() == ENGLISH else _dated(date, "yMMMMd")


def short_day(date: dt.date) -> str:
    """Return a day without its year: ``23 Oct``."""
    return f"{date.day} {date:%b}" if language() == ENGLISH else _dated(date, "MMMd")


def month(date: dt.date) -> str:
    """Return a month: ``October 2025``."""
    return f"{date:%B %Y}" if language() == ENGLISH else _dated(date, "yMMMM")


def short_month(date: dt.date) -> str:
    """Return a month in few characters: ``Oct 25``."""
    return f"{date:%b %y}" if language() == ENGLISH else _dated(date, "MMMyy")


@lru_cache(maxsize=10_000)
def _in(language: str, date: dt.date, skeleton: str) -> str:
    from babel.dates import format_date, format_skeleton

    if skeleton == "yMMMMd":
        return format_date(date, "long", locale=language)
    return format_skeleton(skeleton, dt.datetime.combine(date, dt.time()), locale=language)


def _dated(date: dt.date, skeleton: str) -> str:
    return _in(language(), dt.date(date.year, date.month, date.day), skeleton)


def weekdays(width: Literal["wide", "abbreviated"] = "wide") -> list[str]:
    """Return the names of the days from Monday: ``wide``, or ``abbreviated`` to three letters."""
    if language() == ENGLISH:
        names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        return names if width == "wide" else [name[:3] for name in names]
    from babel.dates import get_day_names

    found = get_day_names(width, "stand-alone", language())
    return [found[day].rstrip(".") for day in range(7)]


def names_of_dates() -> dict[str, Any]:
    """Return the names of months and days, from January and Sunday, and the forms of dates, for plotly.js."""
    from babel import Locale
    from babel.dates import get_day_names, get_month_names

    spoken = language()
    months = {"months": get_month_names("wide", "format", spoken), "shortMonths": get_month_names(_SHORT, "format", spoken)}
    week = {"days": get_day_names("wide", "format", spoken), "shortDays": get_day_names(_SHORT, "format", spoken)}
    named = {name: [found[at] for at in range(1, 13)] for name, found in months.items()}
    named |= {name: [found[(at - 1) % 7] for at in range(7)] for name, found in week.items()}
    shapes = {"month": "yMMM", "dayMonth": "MMMd", "dayMonthYear": "yMMMd"}
    patterns = {name: Locale.parse(spoken).datetime_skeletons[skeleton].pattern for name, skeleton in shapes.items()}
    return named | {name: re.sub("d|MMM|y", lambda found: _D3[found[0]], shape) for name, shape in patterns.items()}


_D3 = {"d": "%-d", "MMM": "%b", "y": "%Y"}  # what d3, which plotly.js uses, calls day, month and year


# ── sentences of tables ────────────────────────────────────────────────────────────
# Tables and records hold English whatever the language of the report. A page finds the msgid that a sentence was made from,
# by its fields, and makes it again: so `rfm report` shows any day in any language.
_COUNT = r"[−+-]?\d[\d,]*(?:\.\d+)?"
_KEPT = ("file", "columns", "headings", "shape", "error")  # stay as they are: what comes from files and programs
_FIELDS = {  # a field by its name, without digits at the end: what it holds
    "n": _COUNT,
    "share": rf"{_COUNT}%",
    "figure": rf"{_COUNT}%?",
    "amount": r"[−+-]?[^\d−+-]{0,10}?\d[\d,]*(?:\.\d+)?(?: [kM])?",
    "day": r"\d{4}-\d\d-\d\d",
    "weekday": r"[A-Z][a-z]+day",
    "days": rf"{_COUNT} days?",
    "invoices": rf"{_COUNT} invoices?",
    "times": rf"once|twice|{_COUNT} times",
    "ago": rf"today|{_COUNT} days? ago",
    "within": "| in .+?",  # a file, or some, where not all are meant
    "more": r"| \(.+?\)",
    "why": ".+?",
    **dict.fromkeys(_KEPT, ".+?"),
}
_FIELD = re.compile(r"\{(\w+?)(\d*)\}")
_LEAST = 6  # letters that a sentence has of its own: fewer fit too much


def tell(text: Any) -> Any:
    """Return a text of a table in the language; one that was made from no msgid is returned unchanged."""
    return text if language() == ENGLISH or not isinstance(text, str) else _told(language(), text)


def told(texts: Iterable[str]) -> dict[str, str]:
    """Return what the language says for texts of tables, for a script; only of those that it says otherwise."""
    return {text: said for text in texts if (said := tell(text)) != text}


@lru_cache(maxsize=20_000)
def _told(language: str, text: str) -> str:
    texts = _spoken().texts
    if text in texts:
        return texts[text][0]
    if "; " in text:
        return "; ".join(map(tell, text.split("; ")))
    for sure, pattern, one, many in _patterns(language):
        if sure in text and (found := pattern.fullmatch(text)):
            fields = {name: _value(name, value) for name, value in found.groupdict().items()}
            number = float(re.sub(r"[^\d.]", "", found.groupdict().get("n", "2")))
            return ngettext(one, many, number, **fields) if many else gettext(one, **fields)
    return text


def _value(name: str, value: str) -> str:
    """Return the value of a field in the language, by the name of the field."""
    kind = name.rstrip("0123456789")
    if kind in _KEPT:
        return value
    if kind == "amount":
        minus, sign, number = re.fullmatch(r"([−+-]?)(\D*)(.+)", value).groups()  # type: ignore[union-attr]
        return minus + money(digits(number), sign)
    if kind in {"n", "share", "figure"}:
        number = digits(value.rstrip("%")).replace("-", "−")
        return percent(number) if value.endswith("%") else number
    if kind == "day":
        return day(dt.date.fromisoformat(value))
    if kind == "each":
        return ", ".join(map(tell, value.split(", ")))
    return tell(value)


@cache
def _patterns(language: str) -> list[tuple[str, re.Pattern[str], str, str]]:
    """Return what each msgid with fields looks like filled in, with a part that it always has; the most particular first."""
    spoken = _read(language)
    plural = {one: many for many, one in spoken.plurals.items()}
    found = []
    for shape, one in [(text, text) for text in spoken.texts if isinstance(text, str)] + [*spoken.plurals.items()]:
        fields = [name + number for name, number in _FIELD.findall(shape)]
        own = _FIELD.split(shape)[::3]
        sure = {name.rstrip("0123456789") for name in fields} <= _FIELDS.keys()
        if fields and len(fields) == len({*fields}) and (sure or sum(map(str.isalpha, "".join(own))) >= _LEAST):
            parts = (f"(?P<{name}>{_FIELDS.get(name.rstrip('0123456789'), '.+?')})" for name in (*fields, ""))
            pattern = "".join(re.escape(text) + part for text, part in zip(own, parts, strict=False))
            found.append((max(own, key=len), re.compile(pattern.removesuffix("(?P<>.+?)"), re.DOTALL), one, plural.get(one, "")))
    return sorted(found, key=lambda row: -sum(map(str.isalpha, row[1].pattern)))
