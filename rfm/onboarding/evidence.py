"""Guess the settings for a shop's files: by rules of evidence, each about one subject, and by the names of the files."""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from rfm.analysis.parsing import CODES
from rfm.config import Files, Shop
from rfm.dialect import EXTRA_KEYS, FLAG, LANDING_COLUMNS, YES, Columns, Rules, plain_name
from rfm.onboarding import identity, kinds, misreadings, money
from rfm.onboarding.columns import MONEY, Sure, is_no_product
from rfm.onboarding.contradictions import LETTERS, credit_prefix, undone_flag
from rfm.onboarding.formats import CLOCK, SIGN_OF, date_of, shapes_of, sign_in, without_sign, zones
from rfm.onboarding.money import Found, Lines, some, worth
from rfm.onboarding.questions import CHOSEN, Doubt, Guess, Option, Question

MOSTLY, MOST_LINES = 0.9, 0.99
NOT_CANCELLED = "no cancelled line was found"


# ── where lines begin ─────────────────────────────────────────────────
def blank_repeats(lines: Lines) -> Found:
    """Fill what stands on the first line of an order alone."""
    if filled := lines.fill_down:
        yield Guess("files.fill_down", filled, "likely", "filled on the first line of each order alone")


# ── what was taken back, and what is a product ────────────────────────
def cancellations(lines: Lines) -> Found:
    """Say how cancelled lines are marked, by what the lines show alone."""
    prefix, how, why, pattern = _prefix(lines), "negative", NOT_CANCELLED, ""
    flag = undone_flag(lines)
    flags = lines.values[flag] if flag else {}
    flagged = sum(count for value, count in flags.items() if re.fullmatch(YES, value, re.IGNORECASE))
    marked = bool(flagged) and not (prefix or any(lines.negative))
    if prefix:
        how, why = "prefix", f"lines of invoices that begin with {prefix} are taken back"
        pattern = Rules().cancellation_pattern if prefix.upper() == "C" else f"^{prefix}"
    elif marked:
        how, why = "flag", f"{flagged:,} lines are marked as cancelled"
    elif any(lines.negative):
        why = f"{sum(lines.negative):,} lines are negative, and no letters mark their invoices"
    elif _of_the_example(lines):
        how, pattern = "prefix", Rules().cancellation_pattern
    yield Guess("columns.cancelled", flag if marked else "", "sure", why)
    yield Guess("rules.cancellation", how, "likely", why)
    yield Guess("rules.cancellation_pattern", pattern, "likely", why)


def _prefix(lines: Lines) -> str:
    """Return the letters before the numbers of cancelled invoices; empty if no letters mark them."""
    invoices = lines.text("invoice").tolist()
    if marked := cancel_prefix(invoices, lines.negative):
        return marked
    numbers = set(invoices)
    starts = {one: begins[0] for one in numbers if (begins := LETTERS.match(one))}
    for start, count in Counter(starts.values()).items():
        named = sum(one.removeprefix(start).lstrip("-_") in numbers for one, begins in starts.items() if begins == start)
        if count <= 0.3 * len(numbers) and named >= 0.5 * count:
            return start
    return "" if any(lines.negative) else credit_prefix(lines)


def cancel_prefix(invoices: Sequence[str], negative: Sequence[bool]) -> str:
    """Return the letters of invoices of which most are negative; empty if there are none, or most invoices have them."""
    starts = [found[0] if (found := LETTERS.match(invoice)) else "" for invoice in invoices]
    lines, below = Counter(starts), Counter(start for start, back in zip(starts, negative, strict=True) if back)
    marks = [start for start in lines if start and below[start] >= MOSTLY * lines[start]]
    rest = sum(lines.values()) - sum(lines[mark] for mark in marks)
    return max(marks, key=lines.__getitem__) if marks and rest else ""


def _of_the_example(lines: Lines) -> bool:
    """Return True if the headers, or all numbers and codes, are those of the example, whose rules then hold."""
    invoices, codes = list(lines.column("invoice")), list(lines.column("stock_code"))
    usual = {plain_name(header) for header in Columns().headers.values()}
    named = usual <= {plain_name(one.column) for one in lines.matches.values()}
    least = (0.5, 0.5) if named else (MOST_LINES, MOSTLY)
    fits = (_share(invoices, r"^[Cc]?[0-9]{6}$"), _share(codes, r"^[0-9]{5}[A-Za-z]*$"))
    return bool(invoices and codes) and fits[0] >= least[0] and fits[1] >= least[1]


def _share(values: Sequence[str], pattern: str) -> float:
    return sum(bool(re.search(pattern, value)) for value in values) / max(len(values), 1)


def invoice_numbers(lines: Lines) -> Found:
    """Keep the pattern of the example for its numbers alone."""
    usual = Rules().invoice_pattern
    if "invoice" not in lines.matches or _of_the_example(lines):
        yield Guess("rules.invoice_pattern", usual if _of_the_example(lines) else ".", "sure", "fits the invoice numbers")
    else:
        yield Guess("rules.invoice_pattern", ".", "likely", "any number is valid")


def product_codes(lines: Lines) -> Found:
    """Offer a pattern of products only if what it leaves out is known to be none."""
    codes, default = lines.text("stock_code"), Rules().stock_code_pattern
    if "stock_code" not in lines.matches:
        return
    blank = codes == ""
    if blank.any():
        yield Guess("rules.code_required", False, "likely", f"{int(blank.sum()):,} lines have no product code, and count")
    if _of_the_example(lines) and _leaves_out(lines, default) <= 0.02:
        yield Guess("rules.stock_code_pattern", default, "sure", "fits the product codes")
        return
    products = [code for code in lines.column("stock_code") if not is_no_product(code)]
    known = [code for code in lines.column("stock_code") if is_no_product(code)]
    shapes = shapes_of(products) if known else []
    pattern = f"^{shapes[0]}$" if len(shapes) == 1 else f"^(?:{'|'.join(shapes)})$"
    if shapes and all(re.search(pattern, code) for code in products) and not any(re.search(pattern, code) for code in known):
        yield Guess("rules.stock_code_pattern", pattern, "likely", f"codes like {some(products)}; not {some(known)}")
    else:
        yield Guess("rules.stock_code_pattern", "", "likely", "all codes count as products")


def _leaves_out(lines: Lines, pattern: str) -> float:
    """Return the share of the sales of codes that a pattern leaves out, apart from those known to be no products."""
    fits = {code: bool(re.search(pattern, code)) or is_no_product(code) for code in lines.column("stock_code")}
    out = ~lines.text("stock_code").map(fits).fillna(True).astype(bool)
    sold = lines.amounts.clip(lower=0.0)
    return float(sold[out].sum()) / (float(sold.sum()) or 1.0)


# ── when ──────────────────────────────────────────────────────────────
def swapped_days(lines: Lines) -> Found:
    """Refuse days of which a spreadsheet has swapped a part."""
    if lines.dates.swapped:
        said = "a part of the dates was read in another order by a spreadsheet: days up to 12 one way, later days the other"
        options = [Option(lines.dates.pattern, "export the dates again, as 2025-12-31")]
        yield Question("format.date", "How are dates written?", options, said)
    elif said_twice := _two_orders(lines):
        yield said_twice
    elif lines.dates.also:
        yield Guess("format.also", lines.dates.also, "likely", "the other dates are written so")


SWAPPED = {"%m": "%d", "%d": "%m"}


def _two_orders(lines: Lines) -> Doubt | None:
    """Doubt days of files that write day and month in another order than the rest: most of them are read wrong, not refused."""
    pattern = lines.dates.pattern
    other = re.sub("%[md]", lambda one: SWAPPED[one.group()], pattern)
    if other == pattern or "%b" in pattern or lines.dates.also:  # the name of a month says which is the day
        return None
    texts = lines.text("invoice_date")
    unread = texts.isin([text for text in texts[lines.days == ""].unique() if date_of(CLOCK.sub("", text), other)])
    if unread.sum() < 5:
        return None
    files = list(lines.sources[unread].astype(str).unique())
    where = f" in {some(files)}" if any(files) else ""
    said = f"dates have two orders of day and month: {pattern}, and {other} on at least {int(unread.sum()):,} lines{where}"
    return Doubt("dates", f"{said}; export all of them as 2025-12-31", worth(lines, lines.sources.astype(str).isin(files)))


# The order of the rules is that in which a reader would settle them: where lines begin, the money, which kind a line is,
# which order it belongs to, who bought, and when. It matters twice. Of two guesses of one setting the later wins, of two
# questions the earlier is asked, so a rule that knows more stands where its answer is kept. And the contradictions, which
# `Profile` asks after all of these, weigh only the lines that still count by what was settled.
Rule = Callable[[Lines], Found]
RULES: tuple[Rule, ...] = (
    blank_repeats, *money.RULES, *misreadings.RULES, *kinds.RULES,
    cancellations, invoice_numbers, product_codes,
    *identity.RULES, swapped_days,
)  # fmt: skip


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


def guesses(lines: Lines) -> list[Guess]:
    """Return a guess for each setting that can be derived from files."""
    found = (one for one in lines.found if isinstance(one, Guess))
    given = {f"{part}.{name}": value for part in ("files", "rules") for name, value in lines.known_export.get(part, {}).items()}
    export = [Guess(name, value, "sure", f"the export of {lines.export}") for name, value in given.items()]
    parts = (_of_files(lines), _of_columns(lines), _of_format(lines), found, export, _of_shop(lines))
    guessed = {guess.setting: guess for part in parts for guess in part}
    chosen = {name: Guess(name, value, "sure", CHOSEN) for name, value in lines.known.items()}
    return list((guessed | chosen).values())


def _of_files(lines: Lines) -> Iterator[Guess]:
    if lines.files:
        pattern = pattern_of(lines.files, Files().pattern)
        found = some(lines.files) if len(lines.files) < 3 else f"all {len(lines.files):,} files"
        yield Guess("files.pattern", pattern, "likely", f"finds {found}")
    yield Guess("files.encoding", lines.encoding, "likely", "accented letters are readable this way")
    yield Guess("files.separator", lines.separator, "sure", "separates the fields")


def _of_columns(lines: Lines) -> Iterator[Guess]:
    for field, default in Columns().model_dump().items():
        found = lines.matches.get(field)
        if field == FLAG or field in EXTRA_KEYS:  # only if the lines say that it is needed
            continue
        if found:
            same = plain_name(found.column) == plain_name(str(default))
            yield Guess(f"columns.{field}", default if same else found.column, found.sure, found.reason)
        elif field in LANDING_COLUMNS:
            sure: Sure = "likely" if field in WITHOUT else "unsure"
            effect = WITHOUT.get(field, "it is required")
            yield Guess(f"columns.{field}", "", sure, "no such column" + (f": {effect}" if effect else ""))


def _of_format(lines: Lines) -> Iterator[Guess]:
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
    reason = reason if thousands == numbers.thousands else "none seen so far; it can be no other"
    yield Guess("format.thousands", thousands, certain, reason)
    if zones(lines.column("invoice_date")).get("Z"):
        reason = "times are in UTC; most customers are in this zone" if lines.zone else "times are in UTC: set the shop's zone"
        yield Guess("format.timezone", lines.zone, "unsure", reason)
    else:
        yield Guess("format.timezone", "", "sure", "times are in the shop's own time zone")


def _other_mark(lines: Lines) -> str:
    """Return the mark of thousands that is yet to come, if the decimal mark is certain; empty for the columns of the example."""
    numbers, usual = lines.numbers, {plain_name(name) for name in Columns().headers.values()}
    named = {plain_name(lines.matches[role].column) for role in LANDING_COLUMNS if role in lines.matches}
    seen = any(numbers.decimal in without_sign(value) for value in lines.column("price"))
    if not seen or not numbers.sure or named >= usual:
        return ""
    return "," if numbers.decimal == "." else "."


def _of_shop(lines: Lines) -> Iterator[Guess]:
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
