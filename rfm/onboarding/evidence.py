"""Rules of evidence: each looks at the lines of a sample and yields settings, questions and doubts about one subject."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from rfm.config import YES, Columns, Rules, plain_name
from rfm.onboarding import identity, kinds, money
from rfm.onboarding.columns import is_no_product
from rfm.onboarding.contradictions import credit_prefix, undone_flag
from rfm.onboarding.formats import CLOCK, date_of, shapes_of
from rfm.onboarding.money import Found, Lines, cash, some
from rfm.onboarding.questions import Doubt, Guess, Option, Question

MOSTLY, MOST_LINES = 0.9, 0.99
LETTERS = re.compile(r"^([A-Za-z]{1,4})(?=[-_]?[0-9])")
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
    starts = {one: begins[1] for one in numbers if (begins := LETTERS.match(one))}
    for start, count in Counter(starts.values()).items():
        named = sum(one.removeprefix(start).lstrip("-_") in numbers for one, begins in starts.items() if begins == start)
        if count <= 0.3 * len(numbers) and named >= 0.5 * count:
            return start
    return "" if any(lines.negative) else credit_prefix(lines)


def cancel_prefix(invoices: Sequence[str], negative: Sequence[bool]) -> str:
    """Return the letters of invoices of which most are negative; empty if there are none, or most invoices have them."""
    starts = [found[1] if (found := LETTERS.match(invoice)) else "" for invoice in invoices]
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
        yield Question(
            "format.date", "How are dates written?", [Option(lines.dates.pattern, "export the dates again, as 2025-12-31")], said
        )
    elif said_twice := _two_orders(lines):
        yield said_twice
    elif lines.dates.also:
        yield Guess("format.also", lines.dates.also, "likely", "the other dates are written so")


SWAPPED = {"%m": "%d", "%d": "%m"}


def _two_orders(lines: Lines) -> Doubt | None:
    """Doubt days of files that write day and month in another order than the rest: most of them are read wrong, not refused."""
    pattern = lines.dates.pattern
    other = re.sub("%[md]", lambda one: SWAPPED[one.group()], pattern)
    if other == pattern or lines.dates.also:
        return None
    texts = lines.text("invoice_date")
    unread = texts.isin([text for text in texts[lines.days == ""].unique() if date_of(CLOCK.sub("", text), other)])
    if unread.sum() < 5:
        return None
    files = list(lines.sources[unread].astype(str).unique())
    where = f" in {some(files)}" if any(files) else ""
    said = f"dates have two orders of day and month: {pattern}, and {other} on at least {int(unread.sum()):,} lines{where}"
    worth = cash(float(lines.amounts[lines.sources.astype(str).isin(files)].abs().sum()))
    return Doubt("dates", f"{said}; export all of them as 2025-12-31", worth)


# The order of the rules is that in which a reader would settle them: where lines begin, the money, which kind a line is,
# which order it belongs to, who bought, and when. It matters twice. Of two guesses of one setting the later wins, of two
# questions the earlier is asked, so a rule that knows more stands where its answer is kept. And the contradictions, which
# `Profile` asks after all of these, weigh only the lines that still count by what was settled.
Rule = Callable[[Lines], Found]
RULES: tuple[Rule, ...] = (
    blank_repeats, *money.RULES, *kinds.RULES,
    cancellations, invoice_numbers, product_codes,
    *identity.RULES, swapped_days,
)  # fmt: skip
