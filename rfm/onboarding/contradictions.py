"""What the lines say against the settings: columns without a use, numbers of orders, signs and copies that tell of no sale."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from rfm.dialect import FLAG, LANDING_COLUMNS, YES
from rfm.onboarding.columns import (
    MADE,
    PARTS,
    ROLES,
    TELLING,
    VALUES,
    WORDS,
    facts_of,
    is_other,
    meaning_of,
    name_score,
    plain_words,
    tokens_of,
)
from rfm.onboarding.kinds import FEWEST, MOST_KINDS, unnamed
from rfm.onboarding.money import Found, Lines, cash, doubted
from rfm.onboarding.questions import Doubt

STATE_WORDS = frozenset((*WORDS["status"], *WORDS["line_type"]))
OTHER_PARTS = frozenset({"customer", "product", "other", "price", "unit"})
BULLET = r"^(?:[-–•·↳*>+]|└)"  # before the parts of a set
ABILITY = ("able", "returning")  # what can be, and customers who come again
SHORTEST_STEM, LISTED = 5, 20
BESIDE, MOST_OF, NEAR = 0.8, 0.98, 0.45  # shares of numbers, of lines; of a factor
COPIED, MINORITY = 0.6, 0.5  # share of the lines of refunds that repeat a sale; most lines that are refunds
SUFFIX = re.compile(r"[-_/ ]?[A-Za-z]{1,4}$")
LETTERS = re.compile(r"^[A-Za-z]{1,4}(?=[-_]?[0-9])")


def found(lines: Lines, settled: Mapping[str, Any], kept: pd.Series) -> Found:
    """Yield doubts about lines that count by the settings, though something says that they are no sales."""
    counts = kept & (lines.amounts > 0)
    for column in unused_columns(lines, settled):
        telling = ("have a value", filled_in(lines, column)) if tells(column) else None
        if said := telling or _referring(lines, column) or _state(lines, column):
            why, where = said
            yield from doubted(lines, "kinds", where & counts, f"that count {why} in {column!r}, which is not used")
    for column in _states(settled):
        if (said := _copies(lines, column)) and column != lines.sums.column:
            yield from doubted(lines, "kinds", said[1] & counts, f"that count {said[0]} in {column!r}")
    listed = lines.text("description").str.match(BULLET)
    if listed.sum() >= FEWEST and not listed.all():
        yield from doubted(lines, "kinds", listed & counts, "that count are listed below another, as parts of it are")
    yield from _of_numbers(lines, counts)
    yield from _of_signs(lines, counts)
    yield from _of_orders(lines, counts, list(unused_columns(lines, settled)))
    yield from _of_files(lines, counts)
    yield from _of_nothing(lines, kept)
    yield from _of_invoices(lines, settled)
    yield from _of_counts(lines)
    yield from _of_unnamed(lines, counts)


def kept_lines(lines: Lines, settled: Mapping[str, Any]) -> pd.Series:
    """Return the lines that count by the settings, whatever their amounts."""
    counts = pd.Series(True, index=lines.filled.index)
    out = {*settled.get("rules.not_sold", ()), *settled.get("rules.refunds", ())}
    for column in _states(settled):
        counts &= ~lines.filled[column].str.lower().isin(out)
    if settled.get("rules.cancellation") == "prefix" and settled.get("rules.cancellation_pattern"):
        counts &= ~lines.text("invoice").str.contains(settled["rules.cancellation_pattern"])
    if flag := settled.get("columns.cancelled"):
        counts &= ~lines.filled[flag].str.fullmatch(f"(?i:{YES})")
    return counts & ~lines.sums.where if len(lines.sums.where) else counts


def _states(settled: Mapping[str, Any]) -> list[str]:
    return [str(settled[name]) for name in ("columns.status", "columns.line_type") if settled.get(name)]


def unused_columns(lines: Lines, settled: Mapping[str, Any]) -> Iterator[str]:
    """Yield the columns that no setting names."""
    used = {one.column for role, one in lines.matches.items() if role in LANDING_COLUMNS}
    used |= {str(value) for name, value in {**settled, **lines.known}.items() if name.startswith("columns.")}
    yield from (name for name in lines.values if name not in used and lines.filled[name].nunique() > 1)


# ── columns that tell ─────────────────────────────────────────────────
def tells(column: str, *kinds: str) -> bool:
    """Return True if a header says that something was undone, given back or a part of another."""
    tokens = [one for one in tokens_of(column) if not one.endswith(ABILITY)]
    stems = [stem for kind in kinds or TELLING for stem in TELLING[kind]]
    long = [stem for stem in stems if len(stem) >= SHORTEST_STEM or not stem.isascii()]
    return bool(set(tokens) & set(stems)) or any(stem in "".join(tokens) for stem in long)


def filled_in(lines: Lines, column: str) -> pd.Series:
    """Return the lines whose value says yes: a date, a word, a number that is not 0."""
    texts = lines.filled[column]
    plain = texts.map({text: plain_words(text).strip("0") for text in texts.unique()})
    told = (plain != "") & ~plain.isin(VALUES["nothing"])
    usual = texts.mode().iloc[0]
    return told & (texts != usual) if told.mean() > 0.5 else told


def _state(lines: Lines, column: str) -> tuple[str, pd.Series] | None:
    """Return the lines with an unusual state, or that repeat others as refunds do, by a column of few values."""
    texts, values = lines.filled[column], lines.values[column]
    tokens = tokens_of(column)
    further = [one for one in tokens if one not in STATE_WORDS]
    if len(values) > MOST_KINDS:
        return None
    tried = texts.map({one: plain_words(one) in VALUES["trial"] for one in texts.unique()}).astype(bool)
    if tried.any() and not tried.all():
        return ("are tests", tried)
    elsewhere = VALUES["elsewhere"].intersection(further) or any(PARTS.get(one, frozenset()) & OTHER_PARTS for one in further)
    paying = VALUES["paying"].intersection(further) and all(map(meaning_of, values))
    if len(further) < len(tokens) and (paying or not elsewhere):
        fine = ("sold",) if paying else ("sold", "open")  # an open payment is none
        known = {one: meaning_of(one) in fine or plain_words(one) in VALUES["channels"] for one in values}
        return ("have an unusual value", (texts != texts.mode().iloc[0]) & ~texts.map(known).fillna(True).astype(bool))
    return _copies(lines, column)


def _copies(lines: Lines, column: str) -> tuple[str, pd.Series] | None:
    """Return the lines with a value of which most repeat sales of others."""
    texts = lines.filled[column]
    usual = texts.mode().iloc[0]
    copies = (one for one in lines.values[column] if one != usual and repeats(lines, texts == one))
    return next(((f"repeat others, as refunds and payments do, with {one!r}", texts == one) for one in copies), None)


def _referring(lines: Lines, column: str) -> tuple[str, pd.Series] | None:
    """Return the lines that name another order, or another product of their order."""
    texts = lines.filled[column]
    there, values = texts != "", set(lines.values[column])
    if there.mean() > 0.9 or len(values) < 3:
        return None
    for role, said in (("invoice", "name another order"), ("stock_code", "name another product")):
        own, known = lines.text(role), set(lines.column(role))
        if len(values & known) >= 0.8 * len(values) and (own[there] != texts[there]).all():
            return (said, there)
    return None


# ── lines that repeat others ──────────────────────────────────────────
def repeats(lines: Lines, where: pd.Series) -> bool:
    """Return True if most of some lines repeat a sale of the same customer, product and amount, and others do not."""
    product = lines.text("stock_code") + "\0" + lines.text("description")
    keys = lines.text("customer_id") + "\0" + product + "\0" + lines.amounts.abs().round(2).astype(str)
    others, few = keys[~where], where.sum() >= FEWEST and where.mean() <= MINORITY
    return bool(few and keys[where].isin(set(others)).mean() >= max(COPIED, 2 * others.duplicated(keep=False).mean()))


def credit_prefix(lines: Lines) -> str:
    """Return the letters before the numbers of lines that repeat sales, if they are usual for credit notes."""
    return next((one for one, where in _prefixes(lines) if one.lower() in VALUES["credit_notes"] and repeats(lines, where)), "")


def _prefixes(lines: Lines) -> Iterator[tuple[str, pd.Series]]:
    starts = lines.text("invoice").str.extract(f"({LETTERS.pattern})", expand=False).fillna("")
    rows = starts.value_counts()
    for one in rows.index[1:] if len(rows) <= MOST_KINDS else ():
        yield one, starts == one


def _of_numbers(lines: Lines, counts: pd.Series) -> Found:
    """Doubt orders whose numbers are usual for credit notes, or name another order."""
    for start, where in _prefixes(lines):
        if start and (start.lower() in VALUES["credit_notes"] or repeats(lines, where & counts)):
            said = f"that count have invoices that begin with {start}, as credit notes do; see rules.cancellation"
            yield from doubted(lines, "kinds", where & counts, said)
    numbers = lines.text("invoice")
    bases = {one: SUFFIX.sub("", one) for one in lines.column("invoice")}
    known = {one: base for one, base in bases.items() if base != one and base in bases}
    if known:
        where = numbers.isin({*known, *known.values()})
        said = "that count have numbers of orders that others name, as cancellations do"
        yield from doubted(lines, "kinds", where & counts, said)


def _of_signs(lines: Lines, counts: pd.Series) -> Found:
    """Doubt lines with a number below 0 in a column of quantities or amounts."""
    for column in lines.numeric.values:
        if max(name_score(role, column) for role in ("quantity", "amount")) < 0.5:
            continue
        below = lines.parsed(column) < 0
        yield from doubted(lines, "kinds", below & counts, f"that count are below 0 in {column!r}")


# ── orders and files as a whole ───────────────────────────────────────
def _of_orders(lines: Lines, counts: pd.Series, columns: Sequence[str]) -> Found:
    """Doubt that a customer's day is one order, if a column without a use has several numbers on it."""
    if "invoice" in lines.matches or "invoice_date" not in lines.matches:
        return
    who = (lines.text("customer_id") + "\0" + lines.days)[counts & (lines.text("customer_id") != "")]
    texts = [lines.text(role) for role in ("stock_code", "description") if role in lines.matches]
    items = any(1 < one.nunique() < len(one) for one in texts)  # products are sold again; numbers of orders are not
    for column in columns:
        numbers = lines.filled[column][who.index]
        there = numbers[numbers != ""]
        facts = facts_of(there.value_counts().to_dict())  # the whole column has totals of days as well
        single = there.is_unique and items  # a number of lines
        dates = facts.dates > 0.5 and name_score("invoice", column) < MADE  # numbers such as 50100 can be days of a spreadsheet
        if single or is_other(column) or dates or facts.emails or ROLES["invoice"].fits(facts) < BESIDE:
            continue
        one_buyer = who[there.index].groupby(there).nunique() <= 1
        orders = there.groupby(who[there.index]).nunique()
        merged = orders[orders > 1]
        if len(there) >= MOST_OF * len(who) and len(merged) and one_buyer.mean() >= MOST_OF and len(one_buyer) >= len(orders):
            more = int((merged - 1).sum())
            said = f"{more:,} orders are merged with others of their customer's day; set columns.invoice if {column!r} tells"
            amount = lines.amounts[who.index[who.isin(merged.index)]].sum()
            yield Doubt("orders", said, cash(lines, amount), more / len(one_buyer))
            return


def _of_files(lines: Lines, counts: pd.Series) -> Found:
    """Doubt a file whose amounts are about a hundred or a thousand times those of the others, such as cents."""
    amounts, files = lines.amounts[counts], lines.sources[counts]
    middle = amounts.groupby(files).median()[files.value_counts() >= FEWEST]
    least = float(middle.min()) if len(middle) > 1 else 0.0
    for name, value in middle.items():
        factor = next((one for one in (100, 1000) if least and NEAR < value / least / one < 1 / NEAR), 0)
        if factor:
            said = f"the amounts of {name} are about {factor} times those of other files; see whether they are in cents"
            yield Doubt("prices", said, cash(lines, amounts[files == name].sum()), 1.0)


def _of_nothing(lines: Lines, kept: pd.Series) -> Found:
    """Doubt orders and customers without any money, such as free samples."""
    kept = kept & (lines.text("customer_id") != "")
    nothing = lines.parsed(lines.matches["price"].column)[kept] == 0
    free = [nothing.groupby(one[kept]).all() for one in (lines.orders, lines.text("customer_id"))]
    orders, customers = (int(one.sum()) for one in free)
    if orders and orders < len(free[0]):
        said = f"{orders:,} orders have no money, such as free samples, and count; {customers:,} customers have no others"
        yield Doubt("orders", said, cash(lines, 0.0), max(float(one.mean()) for one in free))


def _of_invoices(lines: Lines, settled: Mapping[str, Any]) -> Found:
    """Doubt that invoices which await their payment, by a column of when it is due, are no sales."""
    if not any(VALUES["due"] & {*tokens_of(name), "".join(tokens_of(name))} for name in lines.values):
        return
    for column in _states(settled):
        left = {one for one in lines.values[column] if one.lower() in settled.get("rules.not_sold", ())}
        awaited = {one for one in left if any(stem in plain_words(one) for stem in VALUES["awaited"])}
        said = "are invoices that await their payment, and do not count; see rules.sold"
        yield from doubted(lines, "status", lines.filled[column].isin(awaited), said)


def _of_counts(lines: Lines) -> Found:
    """Doubt files with one line a customer and no orders, of which a column counts them: a list of customers is none of sales."""
    customers = lines.text("customer_id")
    once = len(customers) >= LISTED and customers.is_unique and "invoice" not in lines.matches
    for column in lines.values if once else ():
        tokens, facts = tokens_of(column), lines.facts[column]
        says = (
            any("order" in PARTS.get(one, ()) for one in tokens)
            and VALUES["counted"].intersection(tokens)
            or tokens == ["frequency"]
        )
        last = facts.dates > BESIDE and bool(VALUES["latest"].intersection(tokens))
        if last or says and facts.money and facts.whole >= BESIDE:
            said = f"each customer has one line, and {column!r} tells of several orders; export a line for each order"
            yield Doubt("orders", said, cash(lines, lines.amounts.abs().sum()), 1.0)
            return


def _of_unnamed(lines: Lines, counts: pd.Series) -> Found:
    """Doubt lines without a product in orders that have others with one, as sums of an order do."""
    bare = unnamed(lines) & counts
    named = (counts & ~bare).groupby(lines.orders).transform("sum") > 0
    if {"description", "stock_code"} & lines.matches.keys() and not len(lines.sums.where):
        yield from doubted(lines, "sums", bare & named, "that count have no product, beside others of their order that have one")


def undone_flag(lines: Lines) -> str:
    """Return the column that marks lines as cancelled, by a date or a yes; empty if there is none."""
    columns = [lines.matches[FLAG].column] if FLAG in lines.matches else []
    columns += [one for one in lines.unmatched if tells(one, "undone")]
    return next((one for one in columns if _marks(lines.values[one]) and not _counts_pieces(one)), "")


def _counts_pieces(column: str) -> bool:
    """Return True for a header like "cancelled quantity", of which a part of a line can be meant."""
    return any({"quantity", "amount"} & PARTS.get(one, frozenset()) or one in WORDS["quantity"] for one in tokens_of(column))


def _marks(values: Mapping[str, int]) -> bool:
    """Return True if some values mean cancelled, and the others mean nothing."""
    yes = sum(count for value, count in values.items() if re.fullmatch(YES, value, re.IGNORECASE))
    no = sum(count for value, count in values.items() if plain_words(value).strip("0") in {"", *VALUES["nothing"]})
    return bool(yes) and yes + no == sum(values.values())
