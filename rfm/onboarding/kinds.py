"""Which kind a line is: an item that was sold, the sum of other lines, a payment, a refund, or no product."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.onboarding import identity
from rfm.onboarding.columns import HEAD, TELLING, VALUES, is_other, meaning_of, name_score, plain_words, tokens_of, words_of
from rfm.onboarding.money import HOLDS, Found, Lines, cash, doubted, some, weighty, worth
from rfm.onboarding.questions import Doubt, Guess, Option, Question

BETWEEN, AROUND = r"[\W\d_]+", r"[\d\s%.,:()/@+-]*"  # words of a text; what may stand around them
FEWEST, MOST_ORDERS, MOST_KINDS = 5, 500, 9  # orders that show a relation; of the sample
BESIDE = 0.8  # share of orders with other lines
TOLERANCE, LARGEST_SHARE = 0.021, 0.35
UNSOLD = (*TELLING["undone"], *TELLING["returned"], *TELLING["unsold"])
UNNAMED = "\0"  # the kind of lines without a product


# ── lines that are sums of others ─────────────────────────────────────
class Sums(NamedTuple):
    """Kinds of lines that add up others: the column that tells them, empty for the product; their values, and how sure."""

    column: str = ""
    values: Mapping[str, str] = {}
    pattern: str = ""
    where: pd.Series = pd.Series(dtype=bool)


def sums_of(lines: Lines) -> Sums:
    """Return the lines whose amounts are the sum of other lines of their order, or a share of it."""
    for column in _columns_of_kinds(lines):
        kinds = lines.filled[column]
        if found := _adding_up(kinds, lines):
            return Sums(column, found, where=kinds.isin(set(found)))
    for role in ("description", "stock_code"):
        texts = lines.text(role)
        kinds = _candidates(_keys(texts).mask(unnamed(lines), UNNAMED), lines.orders)
        if found := {one: how for one, how in _adding_up(kinds, lines).items() if one}:
            where = kinds.isin(set(found) - {UNNAMED})
            return Sums("", found, _pattern_of(texts[where]) if where.any() else "", where)
    return Sums()


def _columns_of_kinds(lines: Lines) -> Iterator[str]:
    """Yield the columns of few values that differ within orders, and have no other meaning."""
    used = {one.column for role, one in lines.matches.items() if role not in ("status", "line_type", "store")}
    for name, values in lines.values.items():
        numbered = len(values) > MOST_KINDS or lines.filled[name].nunique() < 2 or name_score("quantity", name) >= HEAD
        if name in used or numbered:
            continue
        if int((lines.filled[name].groupby(lines.orders).nunique() > 1).sum()) >= FEWEST:
            yield name


def _keys(texts: pd.Series) -> pd.Series:
    """Return the letters of texts, in lower case."""
    return texts.map({text: plain_words(re.sub(BETWEEN, "", text)) for text in texts.unique()})


def says_sum(text: str) -> bool:
    """Return True if all words of a text are those of a sum, a tax or a payment."""
    words = words_of(text)
    return bool(words) and (VALUES["sums"].issuperset(words) or "".join(words) in VALUES["sums"])


def _candidates(keys: pd.Series, orders: pd.Series) -> pd.Series:
    """Return the kind of each line: its key, if that stands once in many orders or says that it is a sum; else blank."""
    sizes = orders.map(orders.value_counts())
    several = int((sizes > 1).groupby(orders).first().sum())
    rows, beside = keys.value_counts(), (sizes > 1).groupby(keys).mean()
    per_order = orders.groupby(keys).nunique()
    fits = [one for one in rows.index if one and per_order[one] >= FEWEST and beside[one] >= BESIDE]
    words = [one for one in fits if says_sum(one)]
    others = [one for one in fits if one not in words and rows[one] == per_order[one] >= several / 2]
    return keys.where(keys.isin({*words[:6], *others[:3]}), "")


def _adding_up(kinds: pd.Series, lines: Lines) -> dict[str, str]:
    """Return the kinds whose amounts are sums or shares of others in their order, or say so; with how that is known."""
    orders = pd.Series(pd.factorize(lines.orders)[0], index=kinds.index)
    some_of = orders < MOST_ORDERS
    groups = lines.amounts[some_of].groupby([orders[some_of], kinds[some_of]])
    amounts, counts = groups.sum().unstack(fill_value=0.0), groups.size().unstack(fill_value=0)
    place = orders.groupby(orders).cumcount().groupby(kinds).mean()
    ordered = sorted(counts, key=lambda one: (counts[one].sum(), -place[one]))
    found: dict[str, str] = {}
    if len(ordered) < 2:
        return found
    for size in (1, 2):
        for group in combinations(ordered, size):
            rest = [one for one in ordered if one not in found and one not in group]
            if rest and not found.keys() & set(group) and (how := _relation(amounts, counts, list(group), rest)):
                found |= dict.fromkeys(group, how)
    for one in ordered:
        rest = [other for other in ordered if other != one and not says_sum(other)]
        beside = (counts[rest][counts[one] > 0] > 0).any(axis=1).mean() if rest else 0.0
        if one not in found and says_sum(one) and beside >= BESIDE:
            found[one] = "word"
    return {one: "word and sum" if how == "share" and says_sum(one) else how for one, how in found.items()}


def _relation(amounts: pd.DataFrame, counts: pd.DataFrame, group: list[str], rest: Sequence[str]) -> str:
    """Return how the amounts of some kinds follow from those of others: their sum, a share of it; empty if not at all."""
    there = (counts[group] > 0).any(axis=1)
    sums, share = amounts.loc[there, group].sum(axis=1), ""
    others = [one for one in rest if meaning_of(one) not in ("not_sold", "refunds", "open")]
    for size in range(1, len(others) + 1 if there.sum() >= FEWEST else 0):
        for chosen in combinations(others, size):
            items = amounts.loc[there, list(chosen)].sum(axis=1)
            if items.round(2).nunique() < FEWEST or (items <= 0).mean() > 0.1:
                continue
            fewer = counts[group].sum().max() <= counts.loc[there, list(chosen)].sum().max()
            opposite = there.mean() >= BESIDE and _near(-sums, items)
            if fewer and (_near(sums, items) or opposite):
                return "sum"
            ratio = float((sums / items.where(items != 0)).median())
            if TOLERANCE < ratio < LARGEST_SHARE and len(group) == 1 and _near(sums, ratio * items):
                share = "share"
    return share


def _near(left: pd.Series, right: pd.Series) -> bool:
    return float(((left - right).abs() <= TOLERANCE).mean()) >= HOLDS


def _pattern_of(texts: pd.Series) -> str:
    """Return a pattern for texts that have the words of some, and any numbers around them."""
    words = dict.fromkeys(BETWEEN.join(map(re.escape, filter(None, re.split(BETWEEN, text.lower())))) for text in texts.unique())
    return f"(?i)^{AROUND}(?:{'|'.join(words)}){AROUND}$"


def other_lines(lines: Lines) -> Found:
    """Set aside lines that are sums of others, or no products; doubt it where the amounts do not show it."""
    sums, extras, texts = lines.sums, _extras(lines), lines.text("description")
    said = {"share": "are a fixed share of others, such as a tax", "word": "look like sums of others, but do not add up"}
    for how, meaning in said.items():
        if values := [one for one, found in sums.values.items() if found == how]:
            kinds = lines.filled[sums.column] if sums.column else _keys(texts).where(sums.where, "")
            amount = worth(lines, kinds.isin(set(values)))
            yield Doubt("sums", f"lines like {some(values)} {meaning}, and do not count", amount)
    if UNNAMED in sums.values:
        yield from doubted(lines, "sums", unnamed(lines), "without a product are sums of others, and count")
    gifts = _named_as(texts, VALUES["gifts"]) & ~extras
    yield from doubted(lines, "products", gifts, "are gift cards, and count; see rules.other_lines")
    named = some(list(texts[extras].unique()))
    yield from doubted(lines, "products", extras, f"like {named} are no products, and do not count; see rules.other_lines")
    patterns = [one for one in (sums.pattern, _pattern_of(texts[extras]) if extras.any() else "") if one]
    if patterns:
        where = extras | sums.where if sums.pattern else extras
        reason = f"{int(where.sum()):,} lines are sums of others, or no products"
        kinds_of = dict.fromkeys(one.removeprefix("(?i)") for one in patterns)  # flags stand once, at the start
        yield Guess("rules.other_lines", f"(?i){'|'.join(kinds_of)}", "likely", reason)
    paid = _named_as(texts, VALUES["deposits"])
    yield from doubted(lines, "deposits", paid, "are deposits or final invoices; both count, so a sale may count twice")


def _extras(lines: Lines) -> pd.Series:
    """Return the lines without a product code whose text says that they are no product, such as shipping."""
    texts, codes = lines.text("description"), lines.text("stock_code")
    words = VALUES["extras"] | VALUES["gifts"]
    bare = (codes == "") | _named_as(codes, words)
    several = lines.orders.map(lines.orders.value_counts()) > 1
    return _named_as(texts, words) & bare & (several if (codes == "").all() else True) & (lines.amounts > 0)


def unnamed(lines: Lines) -> pd.Series:
    """Return the lines without a product."""
    return (lines.text("description") == "") & (lines.text("stock_code") == "")


def _named_as(texts: pd.Series, words: frozenset[str]) -> pd.Series:
    """Return for each text whether its first or last words are among some."""

    def begins(text: str) -> bool:
        tokens = words_of(text)
        return any(
            "".join(part) in words for size in range(1, min(len(tokens), 3) + 1) for part in (tokens[:size], tokens[-size:])
        )

    return texts.map({text: begins(text) for text in texts.unique()}).astype(bool)


# ── what was sold ─────────────────────────────────────────────────────
def states_of(lines: Lines) -> dict[str, tuple[str, str]]:
    """Return the columns that say what became of a line, or which kind it is, by their roles, each with a reason."""
    found = {role: (one.column, one.reason) for role in ("status", "line_type") if (one := lines.matches.get(role))}
    if "status" not in found and (column := _states_by_value(lines)):
        found["status"] = (column, "its values are states, of which some say that nothing was sold")
    columns = {column for column, _ in found.values()}
    if lines.sums.column and lines.sums.column not in columns:
        found["line_type"] = (lines.sums.column, "some kinds of lines are sums of others")
    elif "line_type" not in found and (column := _unknown_types(lines)):
        found["line_type"] = (column, "the name fits, but its values are not known")
    elif "status" in found and "line_type" not in found and (column := _second_state(lines, found["status"][0])):
        found["line_type"] = (column, "it says more than the other state")
    return found


def _states_by_value(lines: Lines) -> str:
    """Return a column without a use whose values are states, some of them of lines that were not sold; empty if none is."""
    for column in lines.unmatched:
        values = lines.values[column]
        meant = {meaning_of(one) for one in values}
        known = sum(count for value, count in values.items() if meaning_of(value))
        told = "not_sold" in meant and {"sold", "open"} & meant and len(values) <= MOST_KINDS
        if told and known >= BESIDE * sum(values.values()) and not is_other(column):
            return column
    return ""


def _second_state(lines: Lines, status: str) -> str:
    """Return a second state of an order, such as of its payment, by which lines are not sold that the first one counts."""
    sold = lines.filled[status].map(meaning_of).isin(("sold", "open"))
    for column, values in lines.values.items():
        meant = {one: meaning_of(one) for one in values}
        named = column != status and name_score("status", column) >= HEAD
        known = values and all(meant.values()) and VALUES["refund_types"].isdisjoint(map(plain_words, values))
        if named and known and (lines.filled[column].map(meant)[sold] == "not_sold").any():
            return column
    return ""


def _unknown_types(lines: Lines) -> str:
    """Return a column named like a kind of lines whose values are not known; empty if there is none."""
    for column in lines.unmatched:
        values = lines.values[column]
        few = 2 <= len(values) <= MOST_KINDS and VALUES["channels"].isdisjoint(map(plain_words, values))
        if few and name_score("line_type", column) >= HEAD:
            return column
    return ""


def statuses(lines: Lines) -> Found:
    """List what became of orders, and ask what unknown words mean."""
    if state := identity.event_of(lines):
        yield from identity.events(lines, state)
        return
    meant: dict[str, str] = {}
    columns = []
    for role, (column, reason) in states_of(lines).items():
        values = lines.values[column]
        if not values or role == "status" and not any(map(meaning_of, values)) and len(values) < 2:
            continue
        columns.append(column)
        meant |= {value: _meaning(value, role, column, lines) for value in values}
        if (lines.filled[column] == "").any():
            meant[""] = "not_sold" if column == lines.sums.column and "" in lines.sums.values else "sold"
        yield Guess(f"columns.{role}", column, "sure", reason)
    if not columns:
        return
    for name in ("sold", "not_sold", "refunds"):
        listed = tuple(dict.fromkeys(value.lower() for value, meaning in meant.items() if meaning == name))
        yield Guess(f"rules.{name}", listed, "likely", _worth_of(lines, columns, listed))
    unknown = [value for value, meaning in meant.items() if not meaning]
    amount = float(_amounts_of(lines, columns, unknown).sum())
    if unknown and (weighty(lines, amount) or len(unknown) == len(meant)):
        yield _asked_of(lines, columns, meant, unknown)
    elif unknown:
        yield Doubt("status", f"{some(unknown)} is not known, and does not count", cash(lines, amount))
    half = [value for column in columns for value in lines.values[column] if meaning_of(value) == "open"]
    if half:
        yield Doubt("status", f"{some(half)} counts as sold", cash(lines, _amounts_of(lines, columns, half).sum()))


def _asked_of(lines: Lines, columns: Sequence[str], meant: Mapping[str, str], unknown: Sequence[str]) -> Question:
    """Ask which of the unknown values count, with the money of each."""
    known = list(dict.fromkeys(value.lower() for value, meaning in meant.items() if meaning == "sold"))
    likely = [one for one in unknown if not _seems_unsold(one) and not _sold_again(one, lines, columns, meant)]
    first = list(unknown[:1]) if len(unknown) > 1 and len(unknown) == len(meant) else []
    options = []
    for chosen in (likely, list(unknown), first)[: 3 if likely != list(unknown) else None]:
        said = f"{some(chosen)} counts" if len(chosen) == len(unknown) else f"{some(chosen)} alone counts"
        one = Option([*known, *map(str.lower, chosen)], said if chosen else f"{some(unknown)} does not")
        options += [one] if one not in options else []
    money = "; ".join(f"{one}: {_worth_of(lines, columns, [one.lower()])}" for one in unknown[:6])
    return Question("rules.sold", f"Do lines with {some(unknown)} count as sold?", options, f"not known: {money}")


def _sold_again(value: str, lines: Lines, columns: Sequence[str], meant: Mapping[str, str]) -> bool:
    """Return True if the lines of a kind repeat customer and amount of those sold, as delivery notes repeat invoices."""
    pairs = lines.text("customer_id") + "\0" + lines.amounts.astype(str)
    for kinds in (lines.filled[column] for column in columns):
        sold = {kind for kind in kinds.unique() if kind and kind != value and meant[kind] == "sold"}
        if (kinds == value).any() and pairs[kinds == value].isin(pairs[kinds.isin(sold)]).mean() >= BESIDE:
            return True
    return False


def _seems_unsold(value: str) -> bool:
    """Return True if a word of an unknown state is that of an order that was not sold, or begins so."""
    return any(meaning_of(one) in ("not_sold", "refunds") or one.startswith(UNSOLD) for one in words_of(value))


def _meaning(value: str, role: str, column: str, lines: Lines) -> str:
    """Return the list that a value belongs to; empty if it is unknown."""
    if column == lines.sums.column:
        return "not_sold" if value in lines.sums.values else meaning_of(value) or "sold"
    meaning = meaning_of(value)
    if role == "status" and meaning == "refunds":
        below = lines.amounts[lines.filled[column] == value] < 0
        return "refunds" if below.any() else "not_sold"
    if role == "line_type" and plain_words(value) in VALUES["refund_types"]:
        return "refunds"
    if not meaning and "rules.sold" in lines.known:  # it is answered, which values count
        return "sold" if value.lower() in lines.known["rules.sold"] else "not_sold"
    return "sold" if meaning == "open" else meaning


def _amounts_of(lines: Lines, columns: Sequence[str], values: Sequence[str]) -> pd.Series:
    """Return the amounts of the lines with some values, whatever their signs; of a line once for each column that has one."""
    wanted = set(map(str.lower, values))
    return pd.concat([lines.amounts[lines.filled[column].str.lower().isin(wanted)].abs() for column in columns])


def _worth_of(lines: Lines, columns: Sequence[str], values: Sequence[str]) -> str:
    amounts = _amounts_of(lines, columns, values)
    return f"{len(amounts):,} lines, {cash(lines, amounts.sum()):,}" if values else "no such value"


def refunds(lines: Lines) -> Found:
    """Name the column of what was paid back."""
    if "refunded" in lines.matches and lines.facts[lines.matches["refunded"].column].largest > 0:
        yield Guess("columns.refunded", lines.matches["refunded"].column, "likely", "taken off if revenue is net")


def discounts(lines: Lines) -> Found:
    """Let lines below 0 lower their order, if their words say so and the rest of the order is more."""
    below = lines.amounts < 0
    if len(lines.sums.where):
        below &= ~lines.sums.where
    sums = lines.amounts.groupby(lines.orders).transform("sum")
    inside = below & (sums > 0) & ("invoice" in lines.matches)
    named = lines.text("description") + " " + lines.text("stock_code")
    words = {word for text in named[inside].unique() for word in re.findall(r"[^\W\d_]+", text.lower())}
    if words := {word for word in words if plain_words(word) in VALUES["discount"]}:
        pattern = f"(?i)(?:{'|'.join(map(re.escape, sorted(words)))})"
        reduces = named.str.contains(pattern)
        lowered = inside & reduces
        if lowered.sum() == reduces.sum():
            yield Guess("rules.discount_pattern", pattern, "likely", f"{int(lowered.sum()):,} lines below 0 lower their order")
            return
    if inside.any() and weighty(lines, float(lines.amounts[inside].sum())):
        yield Doubt("returns", "lines below 0 stand in orders with sales; they count as returns", worth(lines, inside))


def discounts_left_on(lines: Lines) -> Found:
    """Doubt discounts that are not taken off: a column does not say if the amounts are before it, and of what it is a part."""
    if "columns.discount" in lines.known or "discount" in lines.known_export.get("columns", {}):
        return
    used = {one.column for role, one in lines.matches.items() if role != "discount"} | {lines.money.explained}
    for column in lines.facts:
        named = name_score("discount", column) >= HEAD or VALUES["reductions"].intersection(tokens_of(column))
        texts = lines.filled[column]
        if column not in used and named and texts.str.fullmatch(r"[^A-Za-z]{0,4}[\d.,'\s]+[^A-Za-z]{0,2}|").mean() >= HOLDS:
            given = texts.str.contains("[1-9]", na=False)
            if not _taken_off(lines, column, given):
                yield from doubted(lines, "discount", given, f"have a {column!r} that is not taken off; see columns.discount")


def _taken_off(lines: Lines, column: str, given: pd.Series) -> bool:
    """Return True if the amounts are those of another column less the discount, and perhaps with two further ones."""
    some_of = given & (given.cumsum() <= MOST_ORDERS)
    values = lines.numeric.values[some_of].fillna(0.0)
    if column not in values or some_of.sum() < FEWEST or "price" not in lines.matches:
        return False
    less, whole = values[column].abs().to_numpy(), lines.amounts[some_of].to_numpy()
    others = values.drop(columns=[column, lines.matches["price"].column], errors="ignore").to_numpy()
    for at, before in enumerate(others.T):
        further = np.insert(np.delete(others, at, axis=1), 0, 0.0, axis=1)  # and none, which is two further ones of 0
        for place, one in enumerate(further.T):
            sums = one[:, None] + further[:, place + bool(place) :]  # with each that comes later, at once
            near = np.abs((whole - (before - less))[:, None] - sums) <= TOLERANCE
            if (near.mean(axis=0) >= HOLDS).any():
                return True
    return False


RULES = (other_lines, statuses, refunds, discounts, discounts_left_on)
