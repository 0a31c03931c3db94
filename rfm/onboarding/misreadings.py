"""What can be read wrong without a sign of it: decimal marks, list prices, names of files, versions, ids of several people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import pandas as pd

from rfm.analysis.quality.anomalies import DOUBT
from rfm.onboarding.columns import MADE, PARTS, PERSON, VALUES, Match, name_score, plain_words, tokens_of, words_of
from rfm.onboarding.contradictions import ABILITY
from rfm.onboarding.formats import number_of, without_sign
from rfm.onboarding.kinds import UNSOLD
from rfm.onboarding.money import EXACT, Found, Lines, cash, differ, doubted, totals, worth
from rfm.onboarding.questions import Doubt, Finding, Option, Question

MOSTLY = 0.5  # share of the lines on which two columns of pieces are the same
ROUND, PIECES = ("00", "50"), 100  # ends of sums that are rounded; pieces on most lines of a shop that sells thousands
THOUSAND, HOLDS = 1000, 0.9
FEWEST, SAME = 20, (0.1, 0.95)  # lines with two prices, and the share of them on which they are the same
SHARED, ALONE = 0.3, 0.98  # ids with several names; with one in each shop
ENDING = re.compile(r"(?:[.][A-Za-z0-9]{1,7})+$")


def found(lines: Lines, kept: pd.Series) -> Found:
    """Yield doubts about lines that count, though they may mean something else."""
    counts = kept & (lines.amounts > 0)
    yield from marks_of_quantities(lines)
    taken_back = (lines.parsed(lines.matches["quantity"].column) < 0) if "quantity" in lines.matches else lines.amounts < 0
    yield from names_of_files(lines, counts, ~kept | (lines.amounts < 0) | taken_back)
    yield from versions(lines, counts)
    yield from shared_ids(lines, counts)


# ── decimal marks ─────────────────────────────────────────────────────
def marks_of_quantities(lines: Lines) -> Found:
    """Doubt quantities whose decimal mark is taken to separate thousands, as the prices have another one."""
    quantity, price, marks = lines.matches.get("quantity"), lines.matches.get("price"), lines.numbers
    if not quantity or not price or {"format.decimal", "format.thousands"} & lines.known.keys():
        return
    bare = {text: without_sign(text).lstrip("-") for text in lines.column("quantity")}
    mark = "," if marks.decimal == "." else "."
    marked = {text: one for text, one in bare.items() if re.fullmatch(rf"[0-9]{{1,3}}[{mark}][0-9]{{3}}", one)}
    written = any(marks.decimal in without_sign(text) for text in lines.column("price"))
    if not marked or not written or any(marks.decimal in one or one.count(mark) > (text in marked) for text, one in bare.items()):
        return
    where = lines.text("quantity").isin(set(marked))
    amounts = lines.parsed(price.column).abs() * lines.text("quantity").map(
        {text: number_of(one, marks.decimal, mark) or number_of(one, mark) for text, one in marked.items()}
    ).astype(float)
    if _are_decimals(list(bare.values()), list(marked.values())) or _a_thousand_times(lines, amounts[where]):
        said = f"quantities like {next(iter(marked.values()))} have another decimal mark than the prices, and can be read"
        said = f"{said} as a thousand times too much; write both with the same, or use the column of the line's amount alone"
        yield Doubt("numbers", said, cash(lines, amounts[where].sum()), 1.0)


def _are_decimals(numbers: list[str], marked: list[str]) -> bool:
    """Return True if numbers like 1.122 are weights: some begin with 0, or others are few pieces and these are not round."""
    plain = [int(one) for one in numbers if one.isdigit()]
    odd = sum(not one.endswith(ROUND) for one in marked)
    return any(one.startswith("0") for one in marked) or odd >= max(1, len(marked) / 2) and (not plain or median(plain) < PIECES)


def _a_thousand_times(lines: Lines, amounts: pd.Series) -> bool:
    """Return True if another column of money has a thousandth of the amounts."""
    used = {lines.matches[role].column for role in ("price", "quantity")}
    others = [lines.parsed(name)[amounts.index].abs() for name in lines.numeric.values if name not in used]
    return any(float(((one * THOUSAND / amounts - 1).abs() < 0.02).mean()) >= HOLDS for one in others)


# ── names of files ────────────────────────────────────────────────────
def names_of_files(lines: Lines, counts: pd.Series, marked: pd.Series) -> Found:
    """Doubt lines that count, of files whose names say that they are none of sales, if no line of the file says so as well."""
    files = lines.sources.astype(str)
    for name, word in _unsold(list(files.unique())).items():
        if not marked[files == name].any():
            said = f"of {name} look like sales, but its name says {word}; if they are not sales, remove the file"
            yield from doubted(lines, "files", counts & (files == name), said)


def names_of_sheets(sheets: Mapping[str, Sequence[str]], lines: Lines) -> Iterator[Finding]:
    """Yield findings about sheets that are read, by the names of those of each file; the lines do not say which is theirs."""
    if not {"customer_id", "price"} <= lines.matches.keys():
        return
    below = set(lines.sources[lines.amounts < 0].astype(str))  # of a sheet of returns, perhaps
    for name, read in sheets.items():
        for sheet, word in _unsold(read).items() if name not in below else ():
            said = f"{name}: lines of the sheet {sheet} look like sales, but its name says {word}"
            yield Finding("mend", "files", f"{said}; if they are not sales, remove the sheet")


def _unsold(names: Sequence[str]) -> dict[str, str]:
    """Return the names that say that their lines are no sales, with the word that does; "test" says so only beside others."""
    told = {name: word for name in names if (word := no_sales(name))}
    return {name: word for name, word in told.items() if plain_words(word) not in VALUES["trial"] or len(told) < len(names)}


def no_sales(name: str) -> str:
    """Return the word in the name of a file or a sheet that says that its lines are no sales; empty without one."""
    stem = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", ENDING.sub("", name.rpartition("/")[2]))  # OrderReturns
    return next((one for one in re.split(r"[\W\d_]+", stem) if one and _says_unsold(plain_words(one))), "")


def _says_unsold(word: str) -> bool:
    if word in VALUES["uncertain"] or word.endswith(ABILITY):
        return False
    begun = any(word.startswith(one) if one.isascii() else one in word for one in UNSOLD if len(one) > 4 or not one.isascii())
    return begun or word in UNSOLD or word in VALUES["proposed"]


# ── list price and price paid ─────────────────────────────────────────
def paid_prices(lines: Lines) -> Found:
    """Ask which price was paid, if a second one is the same on many lines, lower on others and higher on none."""
    price, quantity = lines.matches.get("price"), lines.matches.get("quantity")
    if not price or "columns.price" in lines.known or EXACT in price.reason:
        return
    used, pieces = lines.parsed(price.column), lines.parsed(quantity.column) if quantity else 1.0
    numeric = [name for name in lines.unmatched if name in lines.numeric.values]
    for column in (name for name in numeric if not VALUES["untaxed"].intersection(words_of(name))):
        other = lines.parsed(column)
        both = used.notna() & other.notna() & (used > 0)
        same, below = ((one(other, used) & both).sum() / max(both.sum(), 1) for one in (pd.Series.eq, pd.Series.lt))
        enough = both.sum() >= FEWEST and both.mean() >= HOLDS and float(other[both].min()) > 0
        if not enough or not SAME[0] <= same <= SAME[1] or same + below < 1:
            continue
        amounts = (other * pieces).where(~lines.orders.duplicated() | (not lines.money.total), 0.0)
        paid = Option(column, f"{column!r} was paid", *totals(lines, amounts.fillna(0.0)))
        counted = Option(price.column, f"{price.column!r} was paid", *totals(lines, lines.amounts))
        if differ(lines, paid, counted):
            why = f"{column!r} is the same as {price.column!r} on {same:.0%} of the lines, and lower on the others"
            yield Question("columns.price", "Which price was paid?", [paid, counted], why)
            return


# ── two columns for one role ──────────────────────────────────────────
def rival_columns(lines: Lines) -> Found:
    """Ask which of two columns has the quantity, the customer, the order or the day, if both fit and the results differ."""
    rules = {
        "quantity": ("Which pieces count?", _quantities),
        "customer_id": ("Which column is the customer?", _customers),
        "invoice": ("Which column is the order?", _orders),
        "invoice_date": ("Which column is the day of the sale?", _days),
    }
    for role, (asked, rule) in rules.items():
        chosen = lines.matches.get(role)
        if not chosen or f"columns.{role}" in lines.known:
            continue
        choices = (rule(lines, chosen, other) for other in lines.unmatched)
        if options := next(filter(None, choices), None):
            yield Question(f"columns.{role}", asked, options, "both fit, and their values differ")
        elif role == "customer_id" and chosen.sure == "unsure" and not _is_number(chosen.column):
            lone = Option(chosen.column, f"{chosen.column!r} is the customer", *totals(lines, lines.amounts))
            yield Question(f"columns.{role}", asked, [lone], chosen.reason)


def _is_number(column: str) -> bool:
    """Return True for a header such as ``id``, which speaks of nothing but numbers."""
    return all("number" in PARTS.get(one, frozenset()) for one in tokens_of(column))


def _quantities(lines: Lines, chosen: Match, other: str) -> list[Option]:
    """Return the choice between pieces ordered and pieces shipped: the same on most lines, so of the same kind."""
    price = lines.matches.get("price")
    if not price or EXACT in price.reason or name_score("refunded", other) or lines.facts[other].whole < HOLDS:
        return []
    used, pieces = lines.parsed(chosen.column), lines.parsed(other)
    telling = used.ne(used.mode().iloc[0]) if used.notna().any() else used.isna()  # many a column is 1 on most lines
    if other not in chosen.rivals and (telling.sum() < FEWEST or (pieces == used)[telling].mean() < MOSTLY):
        return []
    own = Option(chosen.column, f"{chosen.column!r} counts", *totals(lines, lines.amounts))
    rival = Option(other, f"{other!r} counts", *totals(lines, (lines.parsed(price.column) * pieces).fillna(0.0)))
    return [own, rival] if differ(lines, own, rival) else []


def _customers(lines: Lines, chosen: Match, other: str) -> list[Option]:
    """Return the choice between two ids that are named alike, unless each id of one has one of the other."""
    if min(name_score("customer_id", one) for one in (chosen.column, other)) < MADE:
        return []
    sold = (lines.amounts > 0) & (lines.filled[other] != "") & (lines.text("customer_id") != "")
    pairs = lines.filled[[chosen.column, other]][sold]
    counts = [len(pairs.drop_duplicates()), *pairs.nunique()]
    if len(pairs) < HOLDS * (lines.amounts > 0).sum() or not FEWEST / 4 <= min(counts) <= HOLDS * counts[0]:
        return []
    own = Option(chosen.column, f"{chosen.column!r} is the customer", *totals(lines, lines.amounts))
    rival = Option(other, f"{other!r} is the customer", cash(lines, lines.amounts[sold].sum()), counts[2])
    return [own, rival]


def _orders(lines: Lines, chosen: Match, other: str) -> list[Option]:
    """Return the choice between two numbers of orders that make another count of them."""
    sold = lines.amounts > 0
    counts = {column: lines.filled[column][sold].nunique() for column in (chosen.column, other)}
    if other not in chosen.rivals or max(counts.values()) <= (1 + float(DOUBT)) * min(counts.values()):
        return []
    money = totals(lines, lines.amounts)
    return [Option(column, f"{column!r} makes {count:,} orders", *money) for column, count in counts.items()]


def _days(lines: Lines, chosen: Match, other: str) -> list[Option]:
    """Return the choice between two days of a sale, of which both are named like one or none is."""
    if other not in chosen.rivals and (chosen.sure != "unsure" or lines.facts[other].dates < HOLDS):
        return []
    money = totals(lines, lines.amounts)
    samples = {column: next(iter(lines.values[column])) for column in (chosen.column, other)}
    return [Option(column, f"{column!r}, such as {sample}", *money) for column, sample in samples.items()]


# ── versions of an order ──────────────────────────────────────────────
def versions(lines: Lines, counts: pd.Series) -> Found:
    """Doubt orders that are in the files in several versions, of which all are added up."""
    if "invoice" not in lines.matches:
        return
    for column in (name for name in lines.unmatched if _is_version(name) and lines.facts[name].whole >= HOLDS):
        number, orders = lines.parsed(column), lines.text("invoice")
        earlier = (number < number.groupby(orders).transform("max")) & (orders != "")
        if earlier.any():
            said = (
                f"are of earlier versions of their orders by {column!r}, and are added to the last; export the last version alone"
            )
            money = lines.parsed(lines.matches["price"].column).abs()
            money = money * lines.parsed(lines.matches["quantity"].column).abs() if "quantity" in lines.matches else money
            changed = float(orders[earlier].nunique() / max(orders.nunique(), 1))
            amount = cash(lines, money[earlier & (counts | lines.money.total)].sum())
            yield Doubt("orders", f"{int(earlier.sum()):,} lines {said}", amount, changed)
            return


def _is_version(column: str) -> bool:
    """Return True for the version of an order: a word for it, and none but those of an order and its number beside it."""
    further = [one for one in tokens_of(column) if one not in VALUES["version"]]
    return len(further) < len(tokens_of(column)) and all({"order", "number"} & PARTS.get(one, frozenset()) for one in further)


# ── ids of several people ─────────────────────────────────────────────
def shared_ids(lines: Lines, counts: pd.Series) -> Found:
    """Doubt ids that have several names, as those of shops that each number their customers from 1."""
    ids = lines.text("customer_id")
    ids = ids[counts & (ids != "") & ~ids.isin(set(lines.nobody))]
    own = lines.matches["customer_id"].column
    for column in (name for name in lines.unmatched if name_score("customer_id", name) == PERSON):
        names = lines.filled[column][ids.index].map(plain_words)
        names = names[names != ""]
        several = names.groupby(ids[names.index]).nunique() > 1
        if len(names) < FEWEST or lines.facts[column].names < HOLDS or several.sum() < SHARED * len(several):
            continue
        where = counts & lines.text("customer_id").isin(set(several.index[several]))
        apart = next((one for one in _places(lines, ids.index) if _alone(names, ids, one)), None)
        why = f"; each {apart.name!r} numbers its own customers: export ids that are unique in all" if apart is not None else ""
        said = f"{int(several.sum()):,} of {len(several):,} customers in {own!r} have several names in {column!r}{why}"
        yield Doubt("customers", said, worth(lines, where), float(several.mean()))
        return


def _places(lines: Lines, index: pd.Index) -> Iterator[pd.Series]:
    """Yield columns of few values, such as shops: that of the role first."""
    store = [one.column for role, one in lines.matches.items() if role == "store"]
    few = [name for name in lines.values if 1 < len(lines.values[name]) <= FEWEST and name not in store]
    yield from (lines.filled[name][index].rename(name) for name in (*store, *few))


def _alone(names: pd.Series, ids: pd.Series, place: pd.Series) -> bool:
    """Return True if an id has one name in each place."""
    return bool((names.groupby([ids[names.index], place[names.index]]).nunique() <= 1).mean() >= ALONE)


RULES = (paid_prices, rival_columns)
