"""Rules of evidence about identity: which lines are one order, and who bought."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd

from rfm.analysis.parsing import ADDRESSED, AROUND_ADDRESS, NO_VALUE
from rfm.landing.files import date_in
from rfm.onboarding.columns import PARTS, VALUES, meaning_of, plain_words
from rfm.onboarding.money import Found, Lines, cash, some, totals, weighty, worth
from rfm.onboarding.questions import Doubt, Guess, Option, Question

MOSTLY, MUCH = 0.9, 0.2
MOST_IDS, FEW_LETTERS = 5, 5  # of an address; kinds of letters before ids
SCIENTIFIC = re.compile(r"[0-9][.,][0-9]+E[+][0-9]+", re.IGNORECASE)
TELEPHONE = re.compile(r"[+(]?[0-9][0-9 ().\-/]{5,19}")


# ── which order ───────────────────────────────────────────────────────
def overlaps(lines: Lines) -> Found:
    """Count orders once that several files have; those of which a later file has less are no repeats, such as returns."""
    if lines.all_sources.nunique() < 2 or not {"invoice", "invoice_date", "customer_id"} <= lines.matches.keys():
        return
    names = [lines.matches[role].column for role in ("invoice", "invoice_date", "customer_id")]
    files = lines.all_sources.astype(str)
    rank = {name: place for place, name in enumerate(sorted(files.unique(), key=lambda one: (str(date_in(one) or ""), one)))}
    there = lines.lines[names].assign(file=files.map(rank))[lines.lines[names[0]].notna()]
    sizes = there.groupby([*names, "file"], observed=True).size().reset_index(level="file", name="lines")
    orders = sizes.groupby(names, observed=True)["lines"]
    several, shared = orders.size() > 1, there.drop_duplicates().groupby(names[0], observed=True)["file"].nunique() > 1
    twice = int((several & (orders.last() >= orders.first())).sum())
    if twice > 0.02 * len(several) and twice >= 0.5 * max(several.sum(), shared.sum()):
        said = f"{twice:,} of {len(several):,} orders are in several files; the newest counts"
        yield Guess("files.overlap", "once", "likely", said)


PERIODS = {"never": 0, "year": 4, "month": 7, "day": 10}  # characters of a day


def restarts(lines: Lines) -> Found:
    """Tell orders apart whose numbers start again each day, or in each till."""
    if "invoice" not in lines.matches or event_of(lines):
        return
    sold = (lines.amounts > 0) & (lines.text("invoice") != "")
    numbers, days, customers = (one[sold] for one in (lines.text("invoice"), lines.days, lines.text("customer_id")))
    buyers = customers.where(customers != "", "\0" + days)  # an order that one customer pays on two days is one order
    stores = {one.column: lines.filled[one.column][sold] for role, one in lines.matches.items() if role == "store"}
    found = {}
    for store in ("", *stores):
        for period, size in PERIODS.items():
            key = numbers + "\0" + days.str[:size] + ("\0" + stores[store] if store else "")
            several = buyers.groupby(key).nunique() > 1
            found[store, period] = float(several.mean()) if len(several) else 0.0
    if found["", "never"] < 0.02:
        return
    rank = list(PERIODS).index
    enough = [one for one in found if found[one] <= 0.02]
    if enough:
        store, period = min(enough, key=lambda one: (rank(one[1]), one[0]))
    else:
        store, period = min(found, key=lambda one: (found[one], rank(one[1])))
        mixed = numbers[buyers.groupby(numbers).transform("nunique") > 1]
        of_file = buyers.groupby(numbers + "\0" + lines.sources[sold].astype(str)).nunique() > 1
        shops = lines.sources.nunique() > 1 and of_file.mean() <= 0.02
        why = "; each file has its own, as of several shops: add a column with the shop, and set columns.store" if shops else ""
        said = f"{found[store, period]:.0%} of the order numbers have several customers{why}"
        yield Doubt("orders", said, cash(lines, lines.amounts[mixed.index].sum()))
    if found["", "never"] >= 0.2 or store:
        if store:
            yield Guess("columns.store", store, "likely", "each shop or till has order numbers of its own")
        yield Guess("rules.invoice_restarts", period, "likely", f"{found['', 'never']:.0%} of the order numbers come again")


def event_of(lines: Lines) -> str:
    """Return the state that each order has once, if lines are what happened to orders: paid, shipped …; else an empty text."""
    role = next((one for one in ("status", "line_type") if one in lines.matches), "")
    if not role or not {"invoice", "price"} <= lines.matches.keys():
        return ""
    table = pd.DataFrame({"state": lines.text(role), "product": lines.text("stock_code") + lines.text("description")})
    table["amount"], table["buyer"] = lines.parsed(lines.matches["price"].column), lines.text("customer_id")
    orders = table.groupby(lines.text("invoice"))
    sizes, kinds = orders.size(), orders.nunique()
    several = sizes > 1
    same = (kinds["state"] == sizes) & (kinds[["product", "amount", "buyer"]] <= 1).all(axis=1)
    if several.sum() < max(5, 0.5 * len(sizes)) or same[several].mean() < 0.95:
        return ""
    states = table["state"].value_counts()
    found = [one for one in states.index if one and meaning_of(one) in ("sold", "open", "") and states[one] >= 0.8 * len(sizes)]
    return str(max(found, key=lambda one: (meaning_of(one) == "sold", states[one]), default=""))


def events(lines: Lines, state: str) -> Found:
    """Count each order of a list of what happened to orders by one state; doubt those that were cancelled or paid back later."""
    role = "status" if "status" in lines.matches else "line_type"
    states = lines.text(role)
    others = tuple(dict.fromkeys(one.lower() for one in states if one.lower() != state.lower()))
    yield Guess(f"columns.{role}", lines.matches[role].column, "sure", lines.matches[role].reason)
    why = f"a line for each state of an order; each is counted when it is {state}"
    yield Guess("rules.sold", (state.lower(),), "likely", why)
    yield Guess("rules.not_sold", others, "likely", "the same orders in other states")
    yield Guess("rules.order_total", False, "likely", "one line of each order counts")
    early = states.map(plain_words).isin(VALUES["early"])  # before a sale
    back = lines.text("invoice")[states.map(meaning_of).isin(("not_sold", "refunds")) & ~early]
    never = set(lines.text("invoice")) - set(lines.text("invoice")[states == state])
    amounts = lines.parsed(lines.matches["price"].column).groupby(lines.text("invoice")).first()
    for orders, said in (
        (set(back), "were cancelled or paid back later, but count"),
        (never, f"were never {state}, and do not count"),
    ):
        if orders:
            yield Doubt("status", f"{len(orders):,} orders {said}", cash(lines, amounts[list(orders)].abs().sum()))


# ── who bought ────────────────────────────────────────────────────────
def stand_ins(lines: Lines) -> Found:
    """Leave out ids that stand for no customer, by their words or by what they do; doubt it where that is money."""
    found = list(lines.nobody)
    buyers = lines.text("customer_id").where(~lines.text("customer_id").isin(NO_VALUE), "")
    orders = lines.orders.groupby(buyers).nunique().drop("", errors="ignore").sort_values(ascending=False)
    others = orders.drop(found, errors="ignore")
    numbers = [one for one in found if not any(map(str.isalpha, one)) and not _is_busy(orders, others, one)]
    counted = any(re.fullmatch("0*1(?:[.]0+)?", one) for one in others.index)  # from 0, so that this is a customer
    kept = [one for one in numbers if one.strip("0.") or counted]
    nobody = tuple(dict.fromkeys(one.lower() for one in found if one not in kept))
    if nobody:
        yield Guess("customers.nobody", nobody, "likely", f"{some(nobody)} is no customer")
    left_out = [one for one in found if one not in kept]
    for ids, said in ((kept, "is counted as a customer, but can stand for none"), (left_out, "is counted as no customer")):
        amount = worth(lines, lines.text("customer_id").isin(ids))
        if ids and weighty(lines, float(amount)):
            yield Doubt("customers", f"{some(ids)} {said}; see customers.nobody", amount)
    if len(others) > 20 and others.iloc[0] >= max(20 * others.median(), 5 * others.iloc[1]):
        yield _ask_of(lines, str(others.index[0]), nobody)
    elif len(others) >= 10 and (odd := _odd_buyers(lines, others)):
        said = f"{some(odd)} buys unlike any other customer, and can stand for several; see customers.nobody"
        yield Doubt("customers", said, worth(lines, lines.text("customer_id").isin(odd)))


def _odd_buyers(lines: Lines, orders: pd.Series) -> list[str]:
    """Return customers with many orders, far more than the next or several on one day, and words among numbers."""
    bought = pd.DataFrame({"who": lines.text("customer_id"), "day": lines.days, "order": lines.orders}).drop_duplicates()
    again = bought.groupby(["who", "day"]).size() > 1
    busy, usual = again.groupby(level="who").mean(), orders.median()
    rest = again[~again.index.get_level_values("who").isin(orders.index[:3])].mean()
    crowded = [one for one in orders.index[:3] if orders[one] >= max(5, 3 * usual) and busy[one] >= 0.3 and rest <= 0.05]
    alone = [orders.index[0]] if orders.iloc[0] >= max(3 * orders.iloc[1], 5 * usual) else []
    words = [one for one in orders.index if not re.search("[0-9]", one)]
    words = [one for one in words if orders[one] >= 2 * usual] if len(words) <= 0.05 * len(orders) else []
    return list(dict.fromkeys(map(str, (*crowded, *alone, *words))))


def _is_busy(orders: pd.Series, others: pd.Series, one: str) -> bool:
    """Return True if a number has more orders than any customer, and three times those of most."""
    return others.empty or orders.get(one, 0) > others.iloc[0] and orders[one] >= 3 * others.median()


def _ask_of(lines: Lines, top: str, nobody: Sequence[str]) -> Question:
    amounts = lines.amounts.where(lines.text("customer_id") != top, 0.0)
    options = [
        Option([*nobody, top.lower()], f"{top} is nobody", *totals(lines, amounts)),
        Option(list(nobody), f"{top} is a customer", *totals(lines, lines.amounts)),
    ]
    why = "it has far more orders than any other"
    return Question("customers.nobody", f"Does {top} stand for all customers without a name?", options, why)


def placeholder_customers(customers: Mapping[str, int]) -> dict[str, int]:
    """Return the ids that mean no customer, with their numbers of lines."""

    def stands(one: str) -> bool:
        plain = plain_words(one.strip().removesuffix(".0"))
        named = plain in VALUES["nobody"] and one.strip() not in NO_VALUE or _is_made_of(one)
        return named or one.strip() == "-1" or bool(re.fullmatch("[0./-]*0(?:[.]0+)?", one.strip()))

    return {one: count for one, count in customers.items() if stands(one)}


def _is_made_of(customer: str) -> bool:
    """Return True for a till or a kind of customer: ``Kasse 1``, ``Online Customer``; all its words are of such names."""
    words = [plain_words(one) for one in re.findall(r"[^\W\d_]+|[0-9]+", customer)]
    further = [one for one in words if one not in VALUES["stand_ins"]]
    beside = {"customer", "order", "filler"}
    return len(further) < len(words) and all(one.isdigit() and len(one) < 3 or PARTS.get(one, beside) < beside for one in further)


def damaged_ids(lines: Lines) -> Found:
    """Warn of ids that a spreadsheet has rounded, and restore leading zeros."""
    customers = lines.column("customer_id")
    broken = [one for one in customers if SCIENTIFIC.fullmatch(one)]
    if broken and sum(map(customers.__getitem__, broken)) >= 0.01 * sum(customers.values()):
        said = f"ids like {broken[0]} were rounded by a spreadsheet, so several customers are one; export them as text"
        yield Doubt("customers", said, worth(lines, lines.text("customer_id").isin(broken)))
    whole = lines.text("customer_id").str.replace(r"[.]0$", "", regex=True)
    spelled = pd.DataFrame({"id": whole, "plain": whole.str.lstrip("0"), "file": lines.sources.astype(str)}).drop_duplicates()
    spelled = spelled[spelled["id"].str.isdigit() & (spelled["plain"] != "")]
    each = spelled.groupby("plain")["id"].nunique()
    joined = int((each > 1).sum())
    if not joined or spelled["id"].nunique() < MOSTLY * whole[whole != ""].nunique():
        return
    width, zeros = int(spelled["id"].str.len().max()), spelled["id"].str.startswith("0")
    alike = bool((spelled["id"][zeros].str.len() == width).all())
    if alike or (spelled.groupby(["plain", "file"])["id"].nunique() == 1).all():
        yield Guess("customers.width", width, "likely", f"leading zeros are lost in places; this joins {joined:,} customers")
    else:
        said = f"{joined:,} customers are written with and without leading zeros; customers.width = {width} joins them"
        yield Doubt("customers", said, worth(lines, whole.str.lstrip("0").isin(each.index[each > 1])))


def further_ids(lines: Lines) -> Found:
    """Doubt customers of several ids: with letters before them in some files, or with one address in another column."""
    if "customer_id" not in lines.matches:
        return
    customers = lines.text("customer_id")
    sold = (lines.amounts > 0) & (customers != "") & ~customers.isin(set(lines.nobody))
    yield from _prefixed(lines, customers[sold])
    for column in (one for one in lines.unmatched if lines.facts[one].emails >= MOSTLY):
        address = lines.filled[column].str.lower()
        yield from _addressed(lines, column, address.where(~sold, ""))
        several = _several(customers[sold & (address != "")], address)
        if several:
            joined = sum(several.values()) - len(several)
            said = f"{joined:,} customers have the address of another in {column!r}; their ids may have changed"
            yield _of_ids(lines, said, sold & address.isin(set(several)), joined)


def _several(ids: pd.Series, keys: pd.Series) -> dict[str, int]:
    """Return the keys that have several ids, with their numbers; those of very many are shared."""
    counts = ids.groupby(keys[ids.index]).nunique()
    return {str(key): int(count) for key, count in counts.items() if 1 < count <= MOST_IDS}


def _of_ids(lines: Lines, said: str, where: pd.Series, joined: int) -> Doubt:
    return Doubt(
        "customers", said, worth(lines, where & (lines.amounts > 0)), joined / max(lines.text("customer_id").nunique(), 1)
    )


def _prefixed(lines: Lines, customers: pd.Series) -> Found:
    """Doubt ids that are the same but for letters before them, which no file has both ways."""
    parts = customers.str.extract(r"^(?P<letters>\D*)0*(?P<number>\d+)$").dropna().assign(file=lines.sources.astype(str))
    files = parts.groupby("letters")["file"].unique()
    if not 1 < len(files) <= FEW_LETTERS:
        return
    numbers = parts.groupby("letters")["number"].agg(set)
    for one, other in combinations(numbers.sort_index().index, 2):
        both = numbers[one] & numbers[other]
        apart = not set(files[one]) & set(files[other])
        if apart and len(both) >= max(3, 0.3 * min(len(numbers[one]), len(numbers[other]))):
            where = parts["number"].isin(both) & parts["letters"].isin([one, other])
            said = f"{len(both):,} customers have ids with {(other or one)!r} before them in some files, and without in others"
            yield _of_ids(lines, said, where.reindex(lines.filled.index, fill_value=False), len(both))


def _addressed(lines: Lines, column: str, address: pd.Series) -> Found:
    """Ask for the customer, if many lines of nobody have an address in another column."""
    named = (address != "") & (lines.amounts > 0)
    amount = float(lines.amounts[named].sum())
    if not weighty(lines, amount) or address[named].nunique() < FEW_LETTERS:
        return
    current = lines.matches["customer_id"].column
    said = f"{int(named.sum()):,} lines without a customer in {current!r} have one in {column!r}"
    if amount <= MUCH * float(lines.amounts.clip(lower=0.0).sum()):
        yield _of_ids(lines, f"{said}, and do not count", named, address[named].nunique())
        return
    everyone = lines.filled[column][(lines.amounts > 0) & (lines.filled[column] != "")].str.lower()
    without = f"{current!r} is the customer; lines without one do not count"
    options = [
        Option(column, f"{column!r} is the customer", cash(lines, lines.amounts[everyone.index].sum()), everyone.nunique()),
        Option(current, without, *totals(lines, lines.amounts.where(~named, 0.0))),
    ]
    yield Question("columns.customer_id", "Which column is the customer?", options, said)


def spellings(lines: Lines) -> Found:
    """Compare e-mail addresses and phone numbers as one, however they are written."""
    customers = lines.column("customer_id")
    if not customers:
        return
    if sum(count for one, count in customers.items() if "@" in one) >= 0.5 * sum(customers.values()):
        alone = {re.sub(AROUND_ADDRESS, "", one) if re.search(ADDRESSED, one) else one for one in map(str.lower, customers)}
        joined = len(customers) - len(alone)
        yield Guess("customers.compare", "case", "likely", f"e-mail addresses; this joins {joined:,} customers")
        return
    known = [one for one in customers if one not in lines.nobody]
    written = [one for one in known if TELEPHONE.fullmatch(one)]
    if len(written) < MOSTLY * len(known) or not any(re.search(r"[ ()/+\-]", one) for one in written):
        yield from _of_names(lines, known)
        return
    prefix = _country_prefix(written)
    joined = len(known) - len({_dialled(one, prefix) for one in known})
    if joined:
        yield Guess("customers.compare", "phone", "likely", f"phone numbers; this joins {joined:,} customers")
        if prefix:
            yield Guess("customers.country_prefix", prefix, "likely", f"numbers begin with +{prefix} or 0")


def _of_names(lines: Lines, known: Sequence[str]) -> Found:
    """Doubt customers that differ by letter case and blanks alone."""
    plain = {one: " ".join(one.lower().split()) for one in known}
    several = {one for one, count in Counter(plain.values()).items() if count > 1}
    if several and "customers.compare" not in lines.known:
        joined = len(known) - len(set(plain.values()))
        said = f'{joined:,} customers differ from another by letter case or blanks alone; customers.compare = "case" joins them'
        yield Doubt("customers", said, worth(lines, lines.text("customer_id").map(plain).isin(several)))


def _dialled(number: str, prefix: str) -> str:
    digits = re.sub("[^0-9]", "", re.sub(r"^\s*[+]", "00", number))
    return re.sub(f"^(?:00{prefix}|0)" if prefix else "^00", "", digits).lstrip("0")


def _country_prefix(numbers: Sequence[str]) -> str:
    """Return the digits after + that, removed, join the most numbers with those that begin with 0."""
    abroad = [re.sub("[^0-9]", "", one) for one in numbers if one.strip().startswith("+")]
    home = {re.sub("[^0-9]", "", one).lstrip("0") for one in numbers if not one.strip().startswith("+")}
    counts = Counter(one[:size] for one in abroad for size in (1, 2, 3) if one[size:].lstrip("0") in home)
    return counts.most_common(1)[0][0] if counts else ""


RULES = (overlaps, restarts, stand_ins, damaged_ids, further_ids, spellings)
