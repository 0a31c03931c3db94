"""How the files of a made shop are written: a spec, drawn from a seed, whose features can stand together."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import Any

from tests.onboarding.shop_words import LANGUAGES, MONTHS, words

NBSP, THIN, MINUS = "\u00a0", "\u202f", "\u2212"
SOLD = "sold"
NOT_SOLD = ("refunded", "failed", "pending", "voided", "draft")


@dataclass(frozen=True)
class Spec:
    """How a shop's files are written; the defaults are an export without anything unusual."""

    seed: int
    language: str = "English"
    # files
    split: str = "one"  # one, day, month, range, cumulative
    format: str = "csv"  # csv, txt, gz, zip, xlsx, ods, parquet, jsonl
    separator: str = ","
    encoding: str = "utf-8"
    quote_all: bool = False
    # lines
    layout: str = "lines"  # lines, orders, groups (blank below the first line), first (status and total on the first line)
    money: str = "unit"  # unit, amount, amount_quantity, both, unit_total, total
    scale: str = "small"  # small, large (thousands)
    quantities: str = "whole"  # whole, weight
    places: int = 2  # decimals of a unit price
    # numbers
    decimal: str = "."
    thousands: str = ""  # a mark, or "lakh"
    negative: str = "-"  # -, trailing, unicode, parentheses, guarded (an apostrophe against formulas)
    currency: str = ""  # a sign or code with its place, such as "€ " or " €"
    trimmed: bool = False  # 12.5 in place of 12.50
    typed: bool = True  # cells of a workbook are numbers and days, not texts
    # days
    dates: str = "iso"  # a key of DATES
    ambiguous: str = ""  # dates, currencies, ids (4.00638E+12): no reading of the files is certain
    # who and what
    orders: str = "number"  # number, letters (CA-…), hash (#…), daily, till, none
    customers: str = "number"  # number, code, zeros, float, email, email_case, phone
    walk_in: str | None = None  # what stands in place of a customer; None: nobody is unknown
    statuses: tuple[str, ...] = ()  # states of orders besides the sold ones
    returns: str = "none"  # none, quantity, prefix, type, type_negative, column
    same_number: bool = False  # a return has the number of its order
    # around the table
    distractors: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    shuffled: bool = False  # columns in random order


PLAIN = Spec(0)
DATES = {  # how days are written; "clock" has the time in a column of its own
    "iso": "%Y-%m-%d",
    "iso_time": "%Y-%m-%d %H:%M:%S",
    "zone": "%Y-%m-%dT%H:%M:%S+01:00",
    "slash_dmy": "%d/%m/%Y",
    "slash_dmy_time": "%d/%m/%Y %H:%M",
    "slash_mdy": "%m/%d/%Y",
    "slash_mdy_time": "%m/%d/%Y %H:%M",
    "dots": "%d.%m.%Y",
    "dots_short": "%d.%m.%y",
    "dots_time": "%d.%m.%Y %H:%M",
    "dashes_dmy": "%d-%m-%Y",
    "clock": "%d.%m.%Y",
    "compact": "%Y%m%d",
    "month_name": "%d {month} %Y",
    "epoch": "",
    "serial": "",
}
USUAL_DATES = {
    "English": ["slash_dmy", "slash_dmy_time", "slash_mdy", "slash_mdy", "slash_mdy_time"],
    "German": ["dots", "dots", "dots_short", "dots_time", "clock"],
    "Polish": ["dots", "dots_time", "dashes_dmy", "clock"],
    "Dutch": ["dashes_dmy", "dashes_dmy", "slash_dmy", "clock"],
}
CURRENCIES = {
    "English": ["$", "£", "US$ ", " USD", "₹"],
    "German": ["€", " €", " EUR", "EUR ", "CHF "],
    "Polish": [" zł", " PLN"],
    "Portuguese": ["R$ ", "R$", "€ ", " €"],
    "Spanish": [" €", "$", "€"],
}


# ── a spec from a seed ───────────────────────────────────────────────
def draw(seed: int) -> Spec:
    """Return the spec of a seed; each feature is drawn on its own, then put in accord with the others."""
    rng = random.Random(f"spec {seed}")
    pick, chance = rng.choice, lambda share: rng.random() < share
    language = pick(LANGUAGES)
    english = language == "English"
    separator = pick([",", ",", "\t"]) if english else pick([";", ";", ";", ",", "\t", "|"])
    decimal = "." if english or chance(0.25) else ","
    marks = {".": ["", "", ",", ",", "'", "lakh" if english else " "], ",": ["", "", ".", ".", " ", NBSP, THIN]}
    spec = Spec(
        seed,
        language,
        split=pick(["one"] * 5 + ["day"] * 2 + ["month"] * 2 + ["range", "cumulative"]),
        format=pick(["csv"] * 7 + ["txt", "xlsx", "xlsx", "gz"]),
        separator=separator,
        encoding=pick(["utf-8"] * 4 + ["utf-8-sig", "utf-8-sig", "cp1252", "cp1252", "latin-1", "utf-16"]),
        quote_all=chance(0.2),
        layout=pick(["lines"] * 5 + ["orders"] * 3 + ["groups", "first"]),
        money=pick(["unit"] * 4 + ["amount", "amount_quantity", "both", "both", "unit_total", "total"]),
        scale=pick(["small", "small", "large"]),
        quantities="weight" if chance(0.04) else "whole",
        places=4 if chance(0.04) else 2,
        decimal=decimal,
        thousands=pick(marks[decimal]),
        negative=pick(["-"] * 5 + ["trailing", "unicode", "parentheses"]),
        currency=pick(CURRENCIES.get(language, [" €", "€", "€ ", " EUR"])) if chance(0.3) else "",
        trimmed=chance(0.1),
        typed=chance(0.75),
        dates=pick(["iso", "iso_time", "iso_time", "zone", "compact", "month_name", "epoch", "serial"])
        if chance(0.4)
        else pick(USUAL_DATES.get(language, ["slash_dmy", "slash_dmy", "slash_dmy_time", "dashes_dmy", "clock"])),
        ambiguous=pick(["dates", "currencies"]) if chance(0.05) else "",
        orders=pick(["number"] * 4 + ["letters", "letters", "hash", "daily", "till", "none"]),
        customers=pick(["number"] * 3 + ["code"] * 3 + ["zeros", "float", "email", "email_case", "phone"]),
        walk_in=pick(["", "0", "NULL", r"\N", "N/A", "-", "word", "word"]) if chance(0.3) else None,
        statuses=tuple(rng.sample(NOT_SOLD, rng.randint(1, 3))) if chance(0.3) else (),
        returns=pick(["quantity", "quantity", "prefix", "type", "type_negative", "column"]) if chance(0.4) else "none",
        same_number=chance(0.3),
        distractors=tuple(rng.sample(DISTRACTORS, rng.randint(0, 8))),
        faults=tuple(rng.sample(FAULTS, pick([0, 0, 0, 1, 1, 2]))),
        shuffled=chance(0.5),
    )
    return sensible(dataclasses.replace(spec, **_rare(random.Random(f"rare {seed}"))))


def _rare(rng: random.Random) -> dict[str, Any]:
    """Return what few shops have: a seed that does not have it keeps its other features when the list grows."""
    if rng.random() < 0.85:
        return {}
    return rng.choice(
        [
            *({"format": one} for one in ("zip", "ods", "parquet", "jsonl")),
            {"format": "xlsx", "split": "one", "faults": ("two_sheets",)},
            {"format": "csv", "faults": ("records",)},
            {"returns": "quantity", "negative": "guarded", "format": "csv"},
            {"ambiguous": "ids", "customers": "number", "format": "csv"},
        ]
    )


DISTRACTORS = (
    "channel",
    "cost",
    "country",
    "currency",
    "discount",
    "email",
    "items",
    "line",
    "note",
    "payment",
    "phone",
    "points",
    "row",
    "shipped",
    "shipping",
    "tax",
    "warehouse",
)
FAULTS = ("titles", "total", "header_again", "trailing", "blank_lines", "nul", "twin_column", "sep_line", "cover_sheet")
TYPED = ("xlsx", "ods", "parquet", "jsonl")  # cells are numbers and days


def sensible(spec: Spec) -> Spec:
    """Return a spec whose features can stand together in one export."""
    put = dataclasses.replace
    if spec.format == "txt" and spec.separator in ",;":
        spec = put(spec, separator="\t")
    if spec.format in TYPED:
        spec = put(spec, encoding="utf-8", separator=",", quote_all=False, typed=spec.typed or spec.format != "xlsx")
        sheets = ("titles", "total", "header_again", "blank_lines", "twin_column", "cover_sheet", "two_sheets")
        fit = {"xlsx": sheets, "ods": sheets[:5]}.get(spec.format, ())
        spec = put(spec, faults=tuple(one for one in spec.faults if one in fit))
    else:
        unfit = {"cover_sheet", "two_sheets"} | ({"sep_line"} if spec.separator != ";" or spec.encoding == "utf-16" else set())
        unfit |= {"nul"} if spec.encoding == "utf-16" else set()
        spec = put(spec, typed=True, faults=tuple(one for one in spec.faults if one not in unfit))
    if spec.layout == "orders":  # one row per order
        spec = put(spec, money="total", quantities="whole", places=2)
        spec = put(spec, orders="number" if spec.orders == "none" else spec.orders)
    elif spec.layout in ("groups", "first") and spec.orders == "none":
        spec = put(spec, orders="number")
    if spec.money == "total" and spec.orders == "none":
        spec = put(spec, money="unit")
    if spec.money not in ("unit", "both", "unit_total"):
        spec = put(spec, places=2)
    if spec.scale == "small" or spec.trimmed and spec.thousands:
        spec = put(spec, thousands="")
    if spec.quantities == "weight" or spec.places != 2:
        spec = put(spec, trimmed=False)
    if spec.thousands == ",":
        spec = put(spec, decimal=".")
    if spec.orders in ("none", "daily", "till") or spec.money == "unit_total":
        spec = put(spec, same_number=False)
    if spec.orders in ("none", "letters") and spec.returns == "prefix":
        spec = put(spec, returns="quantity")
    if spec.returns not in ("quantity", "prefix", "type_negative"):
        spec = put(spec, negative="-")
    if spec.negative != "-" and spec.currency:
        spec = put(spec, currency="")
    if spec.walk_in and spec.customers == "phone":
        spec = put(spec, walk_in="")
    if spec.layout == "groups" and spec.walk_in == "":  # a blank means: as above
        spec = put(spec, walk_in="word")
    if spec.ambiguous == "dates":  # neither the names of the files nor the language may decide
        spec = put(spec, split="one", dates=spec.dates if spec.dates in ("slash_dmy", "slash_mdy") else "slash_dmy", typed=False)
    if spec.ambiguous == "ids":
        spec = put(spec, customers="number", typed=False, format="csv" if spec.format in TYPED else spec.format)
    if spec.ambiguous == "currencies":
        spec = put(spec, currency="")
    if spec.format in TYPED and spec.typed:
        spec = put(spec, currency="", thousands="", negative="-", trimmed=False, decimal=".")
        spec = put(spec, dates=spec.dates if spec.dates in ("iso", "iso_time") else "iso_time")
    try:
        _sample_text(spec).encode(spec.encoding)
    except UnicodeEncodeError:
        spec = put(spec, encoding="utf-8-sig")
    return spec


def _sample_text(spec: Spec) -> str:
    """Return the letters that the files of a spec may have."""
    roles = ("order", "date", "customer", "name", "quantity", "price", "amount", "total", "status", "type", *spec.distractors)
    said = [
        word
        for role in (*roles, "sold", *NOT_SOLD, "sale", "return", "walk_in", "title", "refund", "time", "sku", "till")
        for word in words(role, spec.language)
    ]
    return "".join([*said, MONTHS[spec.language], spec.currency, spec.thousands, MINUS if spec.negative == "unicode" else ""])


def described(spec: Spec) -> str:
    """Return what is unusual about a spec on one line."""
    unlike = {one.name: getattr(spec, one.name) for one in dataclasses.fields(spec)}
    return f"seed {spec.seed}: " + ", ".join(
        f"{name}={value!r}" for name, value in unlike.items() if value != getattr(PLAIN, name) and name != "seed"
    )


def features(spec: Spec) -> list[str]:
    """Return what is unusual about a spec, feature by feature."""
    found = []
    for one in dataclasses.fields(spec):
        value = getattr(spec, one.name)
        if isinstance(value, tuple):
            found += [f"{one.name}: {each}" for each in value]
        elif one.name != "seed" and value != getattr(PLAIN, one.name):
            found.append(f"{one.name}: {value!r}")
    return found
