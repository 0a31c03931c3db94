"""Guess the settings for a shop's files from the names of the files and from their lines, each with a reason."""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from rfm.analysis.parsing import CURRENCIES
from rfm.config import FLAG, LANDING_COLUMNS, YES, Columns, Files, Rules, Shop
from rfm.config import plain_name as header_plain
from rfm.onboarding.columns import MONEY, NO_PRODUCT, NOBODY, ZONES, Match, Sure, match, plain_words
from rfm.onboarding.formats import Dates, Numbers, dates_of, number_of, numbers_of, sign_in, without_sign, zones

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


# ── lines ────────────────────────────────────────────────────────────
LANDED = (*LANDING_COLUMNS, FLAG)
SEEN = 2000  # different values of a column that are looked at
GROWS = "it grows with the quantity, so it is the amount of the line"
CHOSEN = "as chosen"


class Profile:
    """Lines of a shop's files, and the facts derived from them, each when it is needed."""

    def __init__(
        self,
        lines: pd.DataFrame,
        files: Sequence[str] = (),
        today: dt.date | None = None,
        *,
        encoding: str = "auto",
        separator: str = "auto",
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self.lines, self.files, self.today, self.known = lines, files, today, known or {}
        self.given = {"encoding": encoding, "separator": separator}

    @cached_property
    def values(self) -> dict[str, dict[str, int]]:
        """Values of each column, with their counts."""
        stripped = {name: self.lines[name].dropna().astype("string").str.strip() for name in self.lines}
        return {name: column[column != ""].value_counts().to_dict() for name, column in stripped.items()}

    @cached_property
    def matches(self) -> dict[str, Match]:
        """Column of each role; the amount of a line serves as price where there is no price per piece."""
        chosen = {field: self._named(str(self.known[f"columns.{field}"])) for field in LANDED if f"columns.{field}" in self.known}
        free = {name: dict(islice(values.items(), SEEN)) for name, values in self.values.items() if name not in chosen.values()}
        found = {role: one for role, one in match(free).items() if role not in chosen}
        found |= {role: Match(column, "sure", CHOSEN) for role, column in chosen.items() if column}
        if "columns.price" in self.known:
            return found
        amount, price = found.pop("amount", None), found.get("price")
        if price and amount and "quantity" not in found:
            price = None
        if not price and amount:
            found["price"] = amount
            found.pop("quantity", None)
        elif price and "quantity" in found and self._totals(price.column, found):
            reason = f"{price.reason}; {GROWS}"
            found["price"] = price._replace(sure="likely", reason=reason)
            found.pop("quantity")
        return found

    def _named(self, column: str) -> str:
        """Return the column that a setting names; empty if the files do not have it."""
        return next((name for name in self.values if header_plain(name) == header_plain(column)), "")

    def _totals(self, price: str, found: Mapping[str, Match]) -> bool:
        """Return True if a price is the amount of a line."""
        product = found.get("stock_code") or found.get("description")
        if not product:
            return False
        numbers = {"price": price, "quantity": found["quantity"].column}
        columns = {name: self._parsed(column) for name, column in numbers.items()}
        return totals_for_prices(pd.DataFrame({"product": self.lines[product.column], **columns}).dropna())

    def _parsed(self, column: str) -> pd.Series:
        marks = numbers_of(self.values[column])[:2]
        numbers = {text: number_of(without_sign(text), *marks) for text in self.lines[column].dropna().unique()}
        return self.lines[column].map(numbers).astype(float)

    def column(self, role: str) -> dict[str, int]:
        """Return the values of a role's column with their counts; empty without such a column."""
        return self.values[self.matches[role].column] if role in self.matches else {}

    @cached_property
    def dates(self) -> Dates:
        """How dates are written."""
        if pattern := self.known.get("format.date"):
            return Dates(pattern, 1.0, "", CHOSEN)
        return dates_of(self.column("invoice_date"), self.today)

    @cached_property
    def numbers(self) -> Numbers:
        """How prices and quantities are written."""
        price, both = numbers_of(self.column("price")), dict(self.column("price"))
        for value, count in self.column("quantity").items():
            both[value] = both.get(value, 0) + count
        marks = {mark: self.known[f"format.{mark}"] for mark in ("decimal", "thousands") if f"format.{mark}" in self.known}
        found = numbers_of(both)._replace(sign=price.sign)
        return found._replace(**marks, sure=True) if marks else found

    @cached_property
    def negative(self) -> list[bool]:
        """Return True for each line with a negative quantity or amount."""
        columns = [self.matches[role].column for role in ("quantity", "price") if role in self.matches]
        marks = (self.numbers.decimal, self.numbers.thousands)
        found = [negatives(self.lines[name].fillna("").astype(str).tolist(), *marks) for name in columns]
        return [any(line) for line in zip(*found, strict=True)] if found else []

    @cached_property
    def zone(self) -> str:
        """Time zone of the most frequent country; empty if unknown."""
        countries = self.column("country")
        return ZONES.get(plain_words(max(countries, key=countries.__getitem__)), "") if countries else ""

    @cached_property
    def flagged(self) -> bool:
        """Whether only a column of flags marks cancelled lines."""
        return bool(self.flag_lines) and not (self.prefix or any(self.negative))

    @cached_property
    def flag_lines(self) -> int:
        """Number of lines that the column of flags marks as cancelled."""
        return sum(lines for value, lines in self.column(FLAG).items() if re.fullmatch(YES, value.strip(), re.IGNORECASE))

    @cached_property
    def prefix(self) -> str:
        """Letters before the invoice numbers of cancellations; empty if there are none."""
        if "invoice" not in self.matches or not any(self.negative):
            return ""
        invoices = self.lines[self.matches["invoice"].column].fillna("").astype(str).tolist()
        return cancel_prefix(invoices, self.negative)


# ── rules ────────────────────────────────────────────────────────────
LEAST_OF_SHAPE = 0.02  # share of the codes that a shape must have to be one of products
MOST_SHAPES = 5
MOSTLY = 0.9
LETTERS = re.compile(r"^([A-Za-z]{1,4})(?=[-_]?[0-9])")


def negatives(numbers: Sequence[str], decimal: str, thousands: str) -> list[bool]:
    """Return True for each text that is a negative number."""
    known = {text: (number_of(without_sign(text), decimal, thousands) or 0) < 0 for text in set(numbers)}
    return [known[text] for text in numbers]


def cancel_prefix(invoices: Sequence[str], negative: Sequence[bool]) -> str:
    """Return the letters before the numbers of cancelled invoices; empty if no letters mark them."""
    starts = [found[1] if (found := LETTERS.match(invoice)) else "" for invoice in invoices]
    lines, below = Counter(starts), Counter(start for start, back in zip(starts, negative, strict=True) if back)
    marks = [start for start in lines if start and below[start] >= MOSTLY * lines[start]]
    rest = sum(lines.values()) - sum(lines[mark] for mark in marks)
    return max(marks, key=lines.__getitem__) if marks and rest else ""


def shapes_of(codes: Sequence[str]) -> list[str]:
    """Return regular expressions for the shapes of product codes, the most frequent first; none if there are too many."""
    products = [code for code in codes if not is_no_product(code)]
    shapes = Counter(map(_shape, products))
    frequent = [shape for shape, count in shapes.most_common() if count >= LEAST_OF_SHAPE * len(products)]
    covered = sum(shapes[shape] for shape in frequent)
    return frequent if len(frequent) <= MOST_SHAPES and covered >= MOSTLY * len(products) else []


def _shape(code: str) -> str:
    """Return a regular expression for codes like this one: letters, digits and the marks between them."""
    return "".join(map(_part, re.findall("[0-9]+|[A-Za-z]+|[^0-9A-Za-z]", code.strip())))


def _part(part: str) -> str:
    if part.isascii() and part.isalnum():
        return "[0-9]+" if part.isdigit() else "[A-Za-z]+"
    return f"[{part}]" if part in ".+*?()|${}" else f"\\{part}" if part in "^[]\\" else part


def is_no_product(code: str) -> bool:
    """Return True if a stock code is known to be postage, a fee, a voucher or similar."""
    bare = plain_words(code)
    return any(bare == word or len(word) > 3 and bare.startswith(word) for word in NO_PRODUCT)


def placeholder_customers(customers: Mapping[str, int]) -> dict[str, int]:
    """Return the ids that mean no customer, with their numbers of lines."""
    nobody = {one for one in customers if plain_words(one.removesuffix(".0")) in NOBODY or one.strip() in NOBODY}
    return {one: lines for one, lines in customers.items() if one in nobody}


def totals_for_prices(lines: pd.DataFrame) -> bool:
    """Return True if prices are amounts of lines: for one product, they grow with the quantity."""
    sold = lines[(lines["quantity"] > 0) & (lines["price"] > 0)].drop_duplicates()
    groups = sold.groupby("product")
    several = sold[(groups["quantity"].transform("nunique") > 1)]
    if several["product"].nunique() < 3:
        return False
    each = several.assign(each=several["price"] / several["quantity"]).groupby("product")[["price", "each"]]
    spread = each.std() / each.mean()
    return bool((spread["each"] < 0.5 * spread["price"]).mean() > 0.7)


# ── guesses ──────────────────────────────────────────────────────────
WITHOUT = {name: one.without for name, one in LANDING_COLUMNS.items() if one.without is not None}
NOT_CANCELLED = "no cancelled line was found"
MOST_LINES = 0.99


class Guess(NamedTuple):
    """A setting, its value, how sure that is, and why."""

    setting: str
    value: Any
    sure: Sure
    reason: str


def guesses(lines: Profile) -> list[Guess]:
    """Return a guess for each setting that can be derived from files."""
    parts = (_of_files(lines), _of_columns(lines), _of_format(lines), _of_rules(lines), _of_shop(lines))
    guessed = {guess.setting: guess for part in parts for guess in part}
    chosen = {name: Guess(name, value, "sure", CHOSEN) for name, value in lines.known.items()}
    return list((guessed | chosen).values())


def _of_files(lines: Profile) -> Iterator[Guess]:
    if lines.files:
        pattern = pattern_of(lines.files, Files().pattern)
        found = _some(lines.files) if len(lines.files) < 3 else f"all {len(lines.files):,} files"
        yield Guess("files.pattern", pattern, "likely", f"finds {found}")
    yield Guess("files.encoding", lines.given["encoding"], "likely", "accented letters are readable this way")
    yield Guess("files.separator", lines.given["separator"], "sure", "separates the fields")


def _of_columns(lines: Profile) -> Iterator[Guess]:
    for field, default in Columns().model_dump().items():
        found = lines.matches.get(field)
        if field == FLAG and not lines.flagged:
            yield Guess("columns.cancelled", "", "sure", "cancellations are marked in another way, or there are none")
        elif found:
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
    certain: Sure = "sure" if numbers.sure and numbers.share >= MOST_LINES else "likely" if numbers.sure else "unsure"
    reason = f"{'all' if numbers.share == 1 else f'{numbers.share:.1%} of'} prices and quantities can be read this way"
    reason = reason if numbers.sure else "the mark could separate decimals or thousands"
    yield Guess("format.decimal", numbers.decimal, certain, reason)
    yield Guess("format.thousands", numbers.thousands, certain, reason)
    if zones(lines.column("invoice_date")).get("Z"):
        reason = "times are in UTC; most customers are in this zone" if lines.zone else "times are in UTC: set the shop's zone"
        yield Guess("format.timezone", lines.zone, "unsure", reason)
    else:
        yield Guess("format.timezone", "", "sure", "times are in the shop's own time zone")


def _of_rules(lines: Profile) -> Iterator[Guess]:
    default = Rules()
    how, why, pattern = "prefix", NOT_CANCELLED, default.cancellation_pattern
    if lines.prefix:
        why = f"lines of invoices that begin with {lines.prefix} are negative"
        usual = re.search(pattern, lines.prefix) and len(lines.prefix) == 1
        pattern = pattern if usual else f"^{lines.prefix}"
    elif any(lines.negative):
        how, why = "negative", f"{sum(lines.negative):,} lines are negative, and no letters mark their invoices"
    elif lines.flagged:
        how, why = "flag", f"{lines.flag_lines:,} lines are marked as cancelled"
    yield Guess("rules.cancellation", how, "likely", why)
    yield Guess("rules.cancellation_pattern", pattern, "likely", why)
    numbers = lines.column("invoice")
    if not numbers or _share(numbers, default.invoice_pattern) >= MOST_LINES:
        yield Guess("rules.invoice_pattern", default.invoice_pattern, "sure", "fits the invoice numbers")
    else:
        lengths = sorted({min(map(len, numbers)), max(map(len, numbers))})
        why = f"invoice numbers have {' to '.join(map(str, lengths))} characters; this allows any number"
        yield Guess("rules.invoice_pattern", ".", "likely", why)
    yield from _of_codes(lines, default.stock_code_pattern)


def _of_codes(lines: Profile, default: str) -> Iterator[Guess]:
    codes = [code for code in lines.column("stock_code") if not is_no_product(code)]
    if not codes or _share(dict.fromkeys(codes, 1), default) >= 0.9:
        yield Guess("rules.stock_code_pattern", default, "sure", "fits the product codes")
    elif shapes := shapes_of(codes):
        pattern = shapes[0] if len(shapes) == 1 else f"(?:{'|'.join(shapes)})"
        yield Guess("rules.stock_code_pattern", f"^{pattern}$", "likely", f"codes like {_some(codes)}")
    else:
        yield Guess("rules.stock_code_pattern", ".", "unsure", f"codes have many shapes ({_some(codes)}): all count as products")


def _of_shop(lines: Profile) -> Iterator[Guess]:
    money = lines.column("currency")
    codes = {code: sign for sign, code in CURRENCIES.items()}
    header = lines.matches["price"].column if "price" in lines.matches else ""
    coded = codes.get(max(money, key=money.__getitem__).upper(), "") if money else ""
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


def _share(values: Mapping[str, int], pattern: str) -> float:
    """Return the share of distinct values that match a pattern."""
    return sum(bool(re.search(pattern, value)) for value in values) / len(values)


def _some(texts: Sequence[str]) -> str:
    return ", ".join(list(texts)[:3]) + (" …" if len(texts) > 3 else "")
