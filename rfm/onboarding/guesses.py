"""Guess the settings for a shop's files from the names of the files and from their lines, each with a reason."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence

from rfm.analysis.parsing import CODES
from rfm.config import EXTRA_KEYS, FLAG, LANDING_COLUMNS, Columns, Files, Shop
from rfm.config import plain_name as header_plain
from rfm.onboarding.columns import MONEY, Sure
from rfm.onboarding.evidence import NOT_CANCELLED as NOT_CANCELLED
from rfm.onboarding.evidence import some
from rfm.onboarding.formats import SIGN_OF, sign_in, without_sign, zones
from rfm.onboarding.money import GROWS as GROWS
from rfm.onboarding.profile import CHOSEN, LANDED
from rfm.onboarding.profile import Profile as Profile
from rfm.onboarding.questions import Guess

# ── file names ───────────────────────────────────────────────────────
DATED = "[0-9]+(?:[-._ ][0-9]+)*"  # days, months and numbers of files
ENDING = re.compile(r"(?:[.](?:csv|txt|tsv|xlsx|gz))+$", re.IGNORECASE)


def pattern_of(names: Sequence[str], default: str) -> str:
    """Return a shell pattern that finds files with such names: the default if it does."""
    if all(fnmatch.fnmatch(name, default) for name in names):
        return default
    stems = [re.sub(DATED, "*", ENDING.sub("", name)) for name in names]
    start = os.path.commonprefix(stems).rstrip("*") if len(set(stems)) > 1 else ""
    stem = stems[0] if len(set(stems)) == 1 else f"{start}*"
    endings = sorted({found.group() if (found := ENDING.search(name)) else "" for name in names})
    ending = endings[0] if len(endings) == 1 else os.path.commonprefix(endings) + "*"
    stem = stem if "*" in stem else f"{stem}*"
    # Brackets and question marks have a meaning in patterns: ? matches any character, so these as well
    return re.sub(r"[*]{2,}", "*", re.sub(r"[\[\]?]", "?", stem) + ending)


# ── guesses ──────────────────────────────────────────────────────────
WITHOUT = {name: one.without for name, one in LANDING_COLUMNS.items() if one.without is not None}
MOST_LINES = 0.99


def guesses(lines: Profile) -> list[Guess]:
    """Return a guess for each setting that can be derived from files."""
    found = (one for one in lines.found if isinstance(one, Guess))
    parts = (_of_files(lines), _of_columns(lines), _of_format(lines), found, _of_export(lines), _of_shop(lines))
    guessed = {guess.setting: guess for part in parts for guess in part}
    chosen = {name: Guess(name, value, "sure", CHOSEN) for name, value in lines.known.items()}
    return list((guessed | chosen).values())


def _of_files(lines: Profile) -> Iterator[Guess]:
    if lines.files:
        pattern = pattern_of(lines.files, Files().pattern)
        found = some(lines.files) if len(lines.files) < 3 else f"all {len(lines.files):,} files"
        yield Guess("files.pattern", pattern, "likely", f"finds {found}")
    yield Guess("files.encoding", lines.given["encoding"], "likely", "accented letters are readable this way")
    yield Guess("files.separator", lines.given["separator"], "sure", "separates the fields")


def _of_columns(lines: Profile) -> Iterator[Guess]:
    for field, default in Columns().model_dump().items():
        found = lines.matches.get(field)
        if field == FLAG or field in EXTRA_KEYS:  # only if the lines say that it is needed
            continue
        if found:
            same = header_plain(found.column) == header_plain(str(default))
            yield Guess(f"columns.{field}", default if same else found.column, found.sure, found.reason)
        elif field in LANDED:
            sure: Sure = "likely" if field in WITHOUT else "unsure"
            effect = WITHOUT.get(field, "it is required")
            yield Guess(f"columns.{field}", "", sure, "no such column" + (f": {effect}" if effect else ""))


def _of_format(lines: Profile) -> Iterator[Guess]:
    dates, numbers = lines.dates, lines.numbers
    if dates.pattern:
        sure: Sure = "unsure" if dates.other else "sure" if dates.share >= MOST_LINES else "likely"
        yield Guess("format.date", dates.pattern, sure, dates.reason)
    if "%b" in "".join((dates.pattern, *dates.also)) and dates.months:
        yield Guess("format.months", dates.months, "likely", "names of months")
    certain: Sure = "sure" if numbers.sure and numbers.share >= MOST_LINES else "likely" if numbers.sure else "unsure"
    reason = f"{'all' if numbers.share == 1 else f'{numbers.share:.1%} of'} prices and quantities can be read this way"
    reason = reason if numbers.sure else "the mark could separate decimals or thousands"
    yield Guess("format.decimal", numbers.decimal, certain, reason)
    thousands = numbers.thousands or _other_mark(lines)
    yield Guess(
        "format.thousands",
        thousands,
        certain,
        reason if thousands == numbers.thousands else "none seen so far; it can be no other",
    )
    if zones(lines.column("invoice_date")).get("Z"):
        reason = "times are in UTC; most customers are in this zone" if lines.zone else "times are in UTC: set the shop's zone"
        yield Guess("format.timezone", lines.zone, "unsure", reason)
    else:
        yield Guess("format.timezone", "", "sure", "times are in the shop's own time zone")


def _other_mark(lines: Profile) -> str:
    """Return the mark of thousands that is yet to come, if the decimal mark is certain; empty for the columns of the example."""
    numbers, usual = lines.numbers, {header_plain(name) for name in Columns().headers.values()}
    named = {header_plain(lines.matches[role].column) for role in LANDING_COLUMNS if role in lines.matches}
    seen = any(numbers.decimal in without_sign(value) for value in lines.column("price"))
    if not seen or not numbers.sure or named >= usual:
        return ""
    return "," if numbers.decimal == "." else "."


def _of_export(lines: Profile) -> Iterator[Guess]:
    for section in ("files", "rules"):
        for name, value in lines.known_export.get(section, {}).items():
            yield Guess(f"{section}.{name}", value, "sure", f"the export of {lines.export}")


def _of_shop(lines: Profile) -> Iterator[Guess]:
    money = lines.column("currency")
    header = lines.matches["price"].column if "price" in lines.matches else ""
    code = max(money, key=money.__getitem__).upper() if money else ""
    coded = SIGN_OF.get(code, code if code in CODES.split() else "")
    if not header:
        yield Guess("shop.currency", "", "likely", "no prices: amounts are counts of pieces or lines")
    elif sign := lines.numbers.sign or coded or sign_in(header):
        yield Guess("shop.currency", sign, "sure", "written beside the prices")
    elif lines.zone:
        yield Guess("shop.currency", MONEY[lines.zone], "likely", "the currency of most customers' country")
    elif lines.numbers.decimal == ",":
        yield Guess("shop.currency", "€", "unsure", "no currency is written; decimals have a comma")
    else:
        yield Guess("shop.currency", Shop().currency, "unsure", "no currency is written")
