"""All guesses about a shop's files together: what to set, how sure that is, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rfm.core.guess import rules
from rfm.core.guess.columns import Sure
from rfm.core.guess.dates import zones
from rfm.core.guess.lines import CHOSEN, LANDED, Lines
from rfm.core.guess.names import pattern_of
from rfm.core.guess.numbers import sign_in
from rfm.core.guess.words import ZONES
from rfm.dialect import CURRENCIES, FLAG, Columns
from rfm.dialect import plain as header_plain
from rfm.sections import Landing, Rules, Shop

NEEDED = ("customer_id", "invoice_date")
WITHOUT = {  # column that the files do not have: what stands for it
    "invoice": "a customer's day is one purchase",
    "stock_code": "every line counts",
    "quantity": "a price is the amount of its line",
    "price": "each piece or line counts 1",
    "description": "",
    "country": "",
}
MONEY = dict.fromkeys(ZONES.values(), "€") | {  # of a time zone
    "Europe/London": "£",
    "Europe/Zurich": "Fr.",
    "Europe/Warsaw": "zł",
    **dict.fromkeys(("Europe/Stockholm", "Europe/Oslo", "Europe/Copenhagen"), "kr"),
}
NOT_CANCELLED = "no cancelled line was seen"
MOSTLY = 0.99


class Guess(NamedTuple):
    """A setting, its value, how sure that is, and why.

    Parameters
    ----------
    setting
        Section and name, as ``columns.invoice``.
    value
        What to set; the default if nothing is to be set.
    sure, reason
        How sure that is, and why.
    """

    setting: str
    value: Any
    sure: Sure
    reason: str


def guesses(lines: Lines) -> list[Guess]:
    """Return a guess for each setting that files can tell."""
    parts = (_of_files(lines), _of_columns(lines), _of_format(lines), _of_rules(lines), _of_shop(lines))
    guessed = {guess.setting: guess for part in parts for guess in part}
    chosen = {name: Guess(name, value, "sure", CHOSEN) for name, value in lines.known.items()}
    return list((guessed | chosen).values())


def _of_files(lines: Lines) -> Iterator[Guess]:
    if lines.files:
        pattern = pattern_of(lines.files, Landing().pattern)
        said = _some(lines.files) if len(lines.files) < 3 else f"all {len(lines.files):,} files"
        yield Guess("files.pattern", pattern, "likely", f"finds {said}")
    yield Guess("files.encoding", lines.given["encoding"], "likely", "its letters make words this way")
    yield Guess("files.separator", lines.given["separator"], "sure", "stands between the fields")


def _of_columns(lines: Lines) -> Iterator[Guess]:
    for field, default in Columns().model_dump().items():
        found = lines.matches.get(field)
        if field == FLAG and not lines.flagged:
            yield Guess("columns.cancelled", "", "sure", "cancellations are told otherwise, or there are none")
        elif found:
            same = header_plain(found.column) == header_plain(str(default))
            yield Guess(f"columns.{field}", default if same else found.column, found.sure, found.reason)
        elif field in LANDED:
            sure: Sure = "unsure" if field in NEEDED else "likely"
            said = WITHOUT.get(field, "it is needed")
            yield Guess(f"columns.{field}", "", sure, "no such column" + (f": {said}" if said else ""))


def _of_format(lines: Lines) -> Iterator[Guess]:
    dates, numbers = lines.dates, lines.numbers
    if dates.pattern:
        sure: Sure = "unsure" if dates.other else "sure" if dates.share >= MOSTLY else "likely"
        yield Guess("format.date", dates.pattern, sure, dates.reason)
    certain: Sure = "sure" if numbers.sure and numbers.share >= MOSTLY else "likely" if numbers.sure else "unsure"
    said = "all prices read so" if numbers.share == 1 else f"{numbers.share:.1%} of prices and quantities read so"
    said = said if numbers.sure else "a mark stands before decimals or between thousands, both could be"
    yield Guess("format.decimal", numbers.decimal, certain, said)
    yield Guess("format.thousands", numbers.thousands, certain, said)
    yield from _of_zone(lines)


def _of_zone(lines: Lines) -> Iterator[Guess]:
    offsets = zones(lines.column("invoice_date"))
    if offsets.get("Z"):
        said = "times are in UTC, most customers in this zone" if lines.zone else "times are in UTC: name the shop's zone"
        yield Guess("format.timezone", lines.zone, "unsure", said)
    else:
        yield Guess("format.timezone", "", "sure", "times are those of the shop")


def _of_rules(lines: Lines) -> Iterator[Guess]:
    default = Rules()
    how, why, pattern = "prefix", NOT_CANCELLED, default.cancellation_pattern
    if lines.prefix:
        why = f"lines of invoices with {lines.prefix} are below 0"
        usual = re.search(pattern, lines.prefix) and len(lines.prefix) == 1
        pattern = pattern if usual else f"^{lines.prefix}"
    elif any(lines.negative):
        how, why = "negative", f"{sum(lines.negative):,} lines are below 0, and no letters mark their invoices"
    elif lines.flagged:
        how, why = "flag", f"{lines.flag_lines:,} lines say so"
    yield Guess("rules.cancellation", how, "likely", why)
    yield Guess("rules.cancellation_pattern", pattern, "likely", why)
    yield from _of_invoices(lines, default.invoice_pattern)
    yield from _of_codes(lines, default.stock_code_pattern)


def _of_invoices(lines: Lines, default: str) -> Iterator[Guess]:
    numbers = lines.column("invoice")
    if not numbers or _share(numbers, default) >= MOSTLY:
        yield Guess("rules.invoice_pattern", default, "sure", "fits the invoice numbers")
        return
    lengths = sorted({len(number) for number in numbers})
    yield Guess("rules.invoice_pattern", ".", "likely", f"they have {_span(lengths)} characters; this allows any")


def _of_codes(lines: Lines, default: str) -> Iterator[Guess]:
    codes = [code for code in lines.column("stock_code") if not rules.is_no_product(code)]
    if not codes or _share(dict.fromkeys(codes, 1), default) >= 0.9:
        yield Guess("rules.stock_code_pattern", default, "sure", "fits the codes of products")
    elif shapes := rules.shapes_of(codes):
        pattern = shapes[0] if len(shapes) == 1 else f"(?:{'|'.join(shapes)})"
        yield Guess("rules.stock_code_pattern", f"^{pattern}$", "likely", f"codes like {_some(codes)}")
    else:
        yield Guess("rules.stock_code_pattern", ".", "unsure", f"codes have no one shape ({_some(codes)}): all count")


def _of_shop(lines: Lines) -> Iterator[Guess]:
    money = lines.column("currency")
    codes = {code: sign for sign, code in CURRENCIES.items()}
    header = lines.matches["price"].column if "price" in lines.matches else ""
    told = codes.get(max(money, key=money.__getitem__).upper(), "") if money else ""
    if not header:
        yield Guess("shop.currency", "", "likely", "no prices: amounts are numbers of pieces or lines")
    elif sign := lines.numbers.sign or told or sign_in(header):
        yield Guess("shop.currency", sign, "sure", "stands beside the prices")
    elif lines.zone:
        yield Guess("shop.currency", MONEY[lines.zone], "likely", "that of the country of most customers")
    elif lines.numbers.decimal == ",":
        yield Guess("shop.currency", "€", "unsure", "no currency stands there; decimals are written with a comma")
    else:
        yield Guess("shop.currency", Shop().currency, "unsure", "no currency stands there")


def _share(values: Mapping[str, int], pattern: str) -> float:
    """Return the share of different values that a pattern finds."""
    return sum(bool(re.search(pattern, value)) for value in values) / len(values)


def _span(numbers: Sequence[int]) -> str:
    """Return the smallest and the largest number in words."""
    return f"{numbers[0]}" if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"


def _some(texts: Sequence[str]) -> str:
    """Return up to three texts, and that there are more."""
    return ", ".join(list(texts)[:3]) + (" …" if len(texts) > 3 else "")
