"""Rules of evidence: each looks at the lines of a sample and yields settings, questions and doubts about one subject."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from rfm.config import FLAG, YES, Columns, Rules, plain_name
from rfm.onboarding import identity, money
from rfm.onboarding.columns import DISCOUNT, is_no_product, meaning_of, plain_words
from rfm.onboarding.formats import shapes_of
from rfm.onboarding.money import Found, Lines, cash, some, weighty
from rfm.onboarding.questions import Doubt, Guess, Option, Question

MOSTLY, MOST_LINES = 0.9, 0.99
LETTERS = re.compile(r"^([A-Za-z]{1,4})(?=[-_]?[0-9])")
NOT_CANCELLED = "no cancelled line was found"


# ── where lines begin ─────────────────────────────────────────────────
def blank_repeats(lines: Lines) -> Found:
    """Fill what stands on the first line of an order alone."""
    if filled := lines.fill_down:
        yield Guess("files.fill_down", filled, "likely", "filled on the first line of each order alone")


# ── what was sold ─────────────────────────────────────────────────────
def statuses(lines: Lines) -> Found:
    """List what became of orders, and ask what unknown words mean."""
    if state := identity.event_of(lines):
        yield from identity.events(lines, state)
        return
    meant: dict[str, str] = {}
    columns = []
    for role in ("status", "line_type"):
        values = lines.column(role)
        if not values or role == "status" and not any(map(meaning_of, values)) and len(values) < 2:
            continue
        columns.append(role)
        for value in values:
            meant[value] = _meaning(value, role, lines)
        if (lines.text(role) == "").any():
            meant[""] = "sold"
    if not columns:
        return
    for role in columns:
        yield Guess(f"columns.{role}", lines.matches[role].column, "sure", lines.matches[role].reason)
    for name in ("sold", "not_sold", "refunds"):
        listed = tuple(dict.fromkeys(value.lower() for value, meaning in meant.items() if meaning == name))
        yield Guess(f"rules.{name}", listed, "likely", _worth_of(lines, columns, listed))
    unknown = [value for value, meaning in meant.items() if not meaning]
    amount = _amount_of(lines, columns, unknown)
    if unknown and (weighty(lines, amount) or len(unknown) == len(meant)):
        options = [
            Option([*sold_of(meant), *map(str.lower, unknown)], f"{some(unknown)} counts"),
            Option(list(sold_of(meant)), f"{some(unknown)} does not"),
        ]
        yield Question("rules.sold", f"Do lines with {some(unknown)} count as sold?", options, "the words are not known")
    elif unknown:
        yield Doubt("status", f"{some(unknown)} is not known, and does not count", cash(amount))
    half = [value for role in columns for value in lines.column(role) if meaning_of(value) == "open"]
    if half:
        yield Doubt("status", f"{some(half)} counts as sold", cash(_amount_of(lines, columns, half)))


def sold_of(meant: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values that count, in lower case."""
    return tuple(dict.fromkeys(value.lower() for value, meaning in meant.items() if meaning == "sold"))


def _meaning(value: str, role: str, lines: Lines) -> str:
    """Return the list that a value belongs to; empty if it is unknown."""
    meaning = meaning_of(value)
    if role == "status" and meaning == "refunds":
        below = lines.amounts[lines.text(role) == value] < 0
        return "refunds" if below.any() else "not_sold"
    if role == "line_type" and plain_words(value) in REFUND_TYPES:
        return "refunds"
    return "sold" if meaning == "open" else meaning


REFUND_TYPES = frozenset({"refund", "refunded", "erstattet", "reembolso", "rimborso", "remboursement"})


def _amount_of(lines: Lines, roles: Sequence[str], values: Sequence[str]) -> float:
    wanted = set(map(str.lower, values))
    return float(sum(lines.amounts[lines.text(role).str.lower().isin(wanted)].abs().sum() for role in roles))


def _worth_of(lines: Lines, roles: Sequence[str], values: Sequence[str]) -> str:
    found = sum(int(lines.text(role).str.lower().isin(set(values)).sum()) for role in roles)
    return f"{found:,} lines, {cash(_amount_of(lines, roles, values)):,}" if values else "no such value"


def refunds(lines: Lines) -> Found:
    """Name the column of what was paid back."""
    if "refunded" in lines.matches and lines.facts[lines.matches["refunded"].column].largest > 0:
        yield Guess("columns.refunded", lines.matches["refunded"].column, "likely", "taken off if revenue is net")


def cancellations(lines: Lines) -> Found:
    """Say how cancelled lines are marked, by what the lines show alone."""
    prefix, how, why, pattern = _prefix(lines), "negative", NOT_CANCELLED, ""
    flags = lines.column(FLAG)
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
    yield Guess("columns.cancelled", lines.matches[FLAG].column if marked else "", "sure", why)
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
    return ""


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


def discounts(lines: Lines) -> Found:
    """Let lines below 0 lower their order, if their words say so and the rest of the order is more."""
    below = pd.Series(lines.negative, index=lines.filled.index)
    sums = lines.amounts.groupby(lines.orders).transform("sum")
    inside = below & (sums > 0) & ("invoice" in lines.matches)
    named = lines.text("description") + " " + lines.text("stock_code")
    words = sorted(
        {
            word
            for text in named[inside].unique()
            for word in re.findall(r"[^\W\d_]+", text.lower())
            if plain_words(word) in DISCOUNT
        }
    )
    if words:
        pattern = f"(?i)(?:{'|'.join(map(re.escape, words))})"
        lowered = inside & named.str.contains(pattern)
        if lowered.sum() == (named.str.contains(pattern)).sum():
            yield Guess("rules.discount_pattern", pattern, "likely", f"{int(lowered.sum()):,} lines below 0 lower their order")
            return
    if inside.any() and weighty(lines, float(lines.amounts[inside].sum())):
        yield Doubt(
            "returns",
            "lines below 0 stand in orders with sales; they count as returns",
            cash(float(-lines.amounts[inside].sum())),
        )


# ── when ──────────────────────────────────────────────────────────────
def swapped_days(lines: Lines) -> Found:
    """Refuse days of which a spreadsheet has swapped a part."""
    if lines.dates.swapped:
        said = "a part of the dates was read in another order by a spreadsheet: days up to 12 one way, later days the other"
        yield Question(
            "format.date", "How are dates written?", [Option(lines.dates.pattern, "export the dates again, as 2025-12-31")], said
        )
    elif lines.dates.also:
        yield Guess("format.also", lines.dates.also, "likely", "the other dates are written so")


Rule = Callable[[Lines], Found]
RULES: tuple[Rule, ...] = (
    blank_repeats, *money.RULES,
    statuses, refunds, cancellations, invoice_numbers, product_codes, discounts,
    *identity.RULES, swapped_days,
)  # fmt: skip
