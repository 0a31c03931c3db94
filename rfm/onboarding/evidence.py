"""Rules of evidence: each looks at the lines of a sample and yields settings, questions and doubts about one subject."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from rfm.config import YES, Columns, Rules, plain_name
from rfm.onboarding import kinds, money
from rfm.onboarding.columns import NOBODY, is_no_product, plain_words
from rfm.onboarding.contradictions import credit_prefix, undone_flag
from rfm.onboarding.formats import shapes_of
from rfm.onboarding.money import Found, Lines, cash, some, totals, weighty
from rfm.onboarding.questions import Doubt, Guess, Option, Question

MOSTLY, MOST_LINES = 0.9, 0.99
LETTERS = re.compile(r"^([A-Za-z]{1,4})(?=[-_]?[0-9])")
SCIENTIFIC = re.compile(r"[0-9][.,][0-9]+E[+][0-9]+", re.IGNORECASE)
TELEPHONE = re.compile(r"[+(]?[0-9][0-9 ().\-/]{5,19}")
NOT_CANCELLED = "no cancelled line was found"
NO_VALUE = {plain_words(one) for one in ("NULL", "N/A", "#N/A", "NaN", "None", "nil")} | {""}


# ── where lines begin and files overlap ───────────────────────────────
def blank_repeats(lines: Lines) -> Found:
    """Fill what stands on the first line of an order alone."""
    if filled := lines.fill_down:
        yield Guess("files.fill_down", filled, "likely", "filled on the first line of each order alone")


def overlaps(lines: Lines) -> Found:
    """Count orders once that several files have."""
    if lines.all_sources.nunique() < 2 or not {"invoice", "invoice_date", "customer_id"} <= lines.matches.keys():
        return
    names = [lines.matches[role].column for role in ("invoice", "invoice_date", "customer_id")]
    keys = lines.lines[names].assign(file=lines.all_sources).drop_duplicates()
    files = keys[keys[names[0]].notna()].groupby(names, observed=True)["file"].nunique()
    twice = int((files > 1).sum())
    if twice > 0.02 * len(files):
        yield Guess("files.overlap", "once", "likely", f"{twice:,} of {len(files):,} orders are in several files")


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


# ── which order ───────────────────────────────────────────────────────
PERIODS = {"never": 0, "year": 4, "month": 7, "day": 10}  # characters of a day


def restarts(lines: Lines) -> Found:
    """Tell orders apart whose numbers start again each day, or in each till."""
    if "invoice" not in lines.matches:
        return
    sold = (lines.amounts > 0) & (lines.text("invoice") != "")
    numbers, days = lines.text("invoice")[sold], lines.days[sold]
    buyers = days + "\0" + lines.text("customer_id")[sold]
    stores = {name: lines.filled[name][sold] for name in [_store(lines)] if name}
    found = {}
    for store in ("", *stores):
        for period, size in PERIODS.items():
            key = numbers + "\0" + days.str[:size] + ("\0" + stores[store] if store else "")
            several = buyers.groupby(key).nunique() > 1
            found[store, period] = float(several.mean()) if len(several) else 0.0
    if found["", "never"] < 0.02:
        return
    store, period = next(
        (one for one in sorted(found, key=lambda one: (list(PERIODS).index(one[1]), one[0])) if found[one] <= 0.02), ("", "")
    )
    if not period:
        store, period = min(found, key=lambda one: (found[one], list(PERIODS).index(one[1])))
        mixed = numbers[buyers.groupby(numbers).transform("nunique") > 1]
        yield Doubt(
            "orders",
            f"{found[store, period]:.0%} of the order numbers have several customers or days",
            cash(float(lines.amounts[mixed.index].sum())),
        )
    if found["", "never"] >= 0.2 or store:
        if store:
            yield Guess("columns.store", store, "likely", "each shop or till has order numbers of its own")
        yield Guess("rules.invoice_restarts", period, "likely", f"{found['', 'never']:.0%} of the order numbers come again")


def _store(lines: Lines) -> str:
    return lines.matches["store"].column if "store" in lines.matches else ""


# ── who bought ────────────────────────────────────────────────────────
def stand_ins(lines: Lines) -> Found:
    """Leave out ids that stand for no customer, by their words or by what they do; doubt it where that is money."""
    found = list(placeholder_customers(lines.column("customer_id")))
    orders = lines.orders.groupby(lines.text("customer_id")).nunique().drop("", errors="ignore").sort_values(ascending=False)
    others = orders.drop(found, errors="ignore")
    kept = [one for one in found if one[-1:].isdigit() and not _is_busy(orders, others, one)]
    nobody = tuple(dict.fromkeys(one.lower() for one in found if one not in kept))
    if nobody:
        yield Guess("customers.nobody", nobody, "likely", f"{some(nobody)} is no customer")
    for ids, said in (
        (kept, "is counted as a customer, but can stand for none"),
        (set(found) - set(kept), "is counted as no customer"),
    ):
        amount = float(lines.amounts[lines.text("customer_id").isin(set(ids))].abs().sum())
        if ids and weighty(lines, amount):
            yield Doubt("customers", f"{some(list(ids))} {said}; see customers.nobody", cash(amount))
    if len(others) > 20 and others.iloc[0] >= max(20 * others.median(), 5 * others.iloc[1]):
        yield _ask_of(lines, str(others.index[0]), nobody)


def _is_busy(orders: pd.Series, others: pd.Series, one: str) -> bool:
    """Return True if a number has more orders than any customer, and three times those of most."""
    return others.empty or orders.get(one, 0) > others.iloc[0] and orders[one] >= 3 * others.median()


def _ask_of(lines: Lines, top: str, nobody: Sequence[str]) -> Question:
    amounts = lines.amounts.where(lines.text("customer_id") != top, 0.0)
    options = [
        Option([*nobody, top.lower()], f"{top} is nobody", *totals(lines, amounts)[::-2]),
        Option(list(nobody), f"{top} is a customer", *totals(lines, lines.amounts)[::-2]),
    ]
    why = "it has far more orders than any other"
    return Question("customers.nobody", f"Does {top} stand for all customers without a name?", options, why)


def placeholder_customers(customers: Mapping[str, int]) -> dict[str, int]:
    """Return the ids that mean no customer, with their numbers of lines."""

    def stands(one: str) -> bool:
        plain = plain_words(one.strip().removesuffix(".0"))
        return plain in NOBODY and plain not in NO_VALUE or one.strip() == "-1" or bool(re.fullmatch("0+(?:[.]0+)?", one.strip()))

    return {one: count for one, count in customers.items() if stands(one)}


def damaged_ids(lines: Lines) -> Found:
    """Warn of ids that a spreadsheet has rounded, and restore leading zeros."""
    customers = lines.column("customer_id")
    broken = [one for one in customers if SCIENTIFIC.fullmatch(one)]
    if broken and sum(map(customers.__getitem__, broken)) >= 0.01 * sum(customers.values()):
        amount = float(lines.amounts[lines.text("customer_id").isin(set(broken))].abs().sum())
        yield Doubt(
            "customers",
            f"ids like {broken[0]} were rounded by a spreadsheet, so several customers are one; export them as text",
            cash(amount),
        )
    digits = [one for one in customers if one.isdigit()]
    width = max(map(len, digits), default=0)
    short = {one for one in digits if len(one) < width}
    zeros = {one for one in digits if len(one) == width and one.startswith("0")}
    if len(digits) >= MOSTLY * len(customers) and zeros and short and not any(one.startswith("0") for one in short):
        joined = sum(one.zfill(width) in zeros for one in short)
        if joined:
            yield Guess("customers.width", width, "likely", f"leading zeros are lost in places; this joins {joined:,} customers")


def spellings(lines: Lines) -> Found:
    """Compare e-mail addresses and phone numbers as one, however they are written."""
    customers = lines.column("customer_id")
    if not customers:
        return
    if sum(count for one, count in customers.items() if "@" in one) >= 0.5 * sum(customers.values()):
        joined = len(customers) - len({one.lower() for one in customers})
        yield Guess("customers.compare", "case", "likely", f"e-mail addresses; this joins {joined:,} customers")
        return
    nobody = placeholder_customers(customers)
    known = [one for one in customers if one not in nobody]
    same = Counter(one.lower() for one in known)
    differ = {one for one in known if same[one.lower()] > 1}
    if differ:
        said = f"{len(differ):,} customers differ from another by letter case alone; see customers.compare"
        yield Doubt("customers", said, cash(float(lines.amounts[lines.text("customer_id").isin(differ)].abs().sum())))
    written = [one for one in known if TELEPHONE.fullmatch(one)]
    if len(written) < MOSTLY * len(known) or not any(re.search(r"[ ()/+\-]", one) for one in written):
        return
    prefix = _country_prefix(written)
    joined = len(known) - len({_dialled(one, prefix) for one in known})
    if joined:
        yield Guess("customers.compare", "phone", "likely", f"phone numbers; this joins {joined:,} customers")
        if prefix:
            yield Guess("customers.country_prefix", prefix, "likely", f"numbers begin with +{prefix} or 0")


def _dialled(number: str, prefix: str) -> str:
    digits = re.sub("[^0-9]", "", re.sub(r"^\s*[+]", "00", number))
    return re.sub(f"^(?:00{prefix}|0)" if prefix else "^00", "", digits).lstrip("0")


def _country_prefix(numbers: Sequence[str]) -> str:
    """Return the digits after + that, removed, join the most numbers with those that begin with 0."""
    abroad = [re.sub("[^0-9]", "", one) for one in numbers if one.strip().startswith("+")]
    home = {re.sub("[^0-9]", "", one).lstrip("0") for one in numbers if not one.strip().startswith("+")}
    counts = Counter(one[:size] for one in abroad for size in (1, 2, 3) if one[size:].lstrip("0") in home)
    return counts.most_common(1)[0][0] if counts else ""


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


# The order of the rules is that in which a reader would settle them: where lines begin and files overlap, the money, which kind a
# line is, which order it belongs to, who bought, and when. It matters twice. Of two guesses of one setting the later wins, of two
# questions the earlier is asked, so a rule that knows more stands where its answer is kept. And the contradictions, which
# `Profile` asks after all of these, weigh only the lines that still count by what was settled.
Rule = Callable[[Lines], Found]
RULES: tuple[Rule, ...] = (
    blank_repeats, overlaps, *money.RULES,
    *kinds.RULES, cancellations, invoice_numbers, product_codes, restarts,
    stand_ins, damaged_ids, spellings, swapped_days,
)  # fmt: skip
