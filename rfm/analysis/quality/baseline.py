"""What the lines of each file are worth, and warnings when a run leaves what the settings were made from, in money.

A warning compares file by file, so that one odd file shows in a run of many. Lines that cannot be read are valued at the
average line that counts. Nothing of a customer's line is repeated: digits are shown as 9, letters as x.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any, Literal, NamedTuple

import narwhals as nw
import pandas as pd

from rfm.analysis.formatting import exact_amount, whole
from rfm.analysis.parsing import is_true
from rfm.analysis.quality.anomalies import DOUBT, Found, as_warnings
from rfm.analysis.quality.gate import COUNTED, eager_rows, exact_sum, with_steps
from rfm.contracts import dated_silver
from rfm.dialect import AROUND, Rules
from rfm.words import N_, _, ngettext, nN_

DAMAGED = r"^[0-9](?:[.,][0-9]+)?[Ee][+]?[0-9]{1,2}$"  # a long number that a spreadsheet has rounded
UNKNOWN = {"known_status": "unknown_status", "known_currency": "unknown_currency"}  # rule: kind of warning
CHECKED = {  # rule of a line that cannot be read: its raw column, and what is said of a value and of none
    "valid_unit_price": ("raw_Price", N_("price like {shape}"), N_("no price")),
    "valid_quantity": ("raw_Quantity", N_("quantity like {shape}"), N_("no quantity")),
    "valid_invoice_date": ("raw_InvoiceDate", N_("date like {shape}"), N_("no date")),
    "valid_invoice_no": ("raw_Invoice", N_("order number like {shape}"), N_("no order number")),
    "valid_stock_code": ("raw_StockCode", N_("product code like {shape}"), N_("no product code")),
}
LARGEST_SHAPE = 24


class Facts(NamedTuple):
    """Counts and cents of lines per file, and what unreadable values look like."""

    files: pd.DataFrame
    like: str
    first: dt.date | None  # day of a sale that counts

    def total(self, name: str) -> int:
        """Return a count or an amount of all files."""
        return int(self.files[name].sum())

    @property
    def line_cents(self) -> float:
        """Average cents of a line that counts."""
        return self.total("cents") / max(self.total("counted"), 1)

    @property
    def unread_cents(self) -> int:
        """Return the money of lines that cannot be read or break a rule."""
        return self.total("known_cents") + round(self.total("unvalued") * self.line_cents)


NUMBERS = ("lines", "unread", "unvalued", "known_cents", *UNKNOWN.values(), "damaged", "damaged_cents")
NUMBERS += ("guests", "guest_cents", "counted", "cents", "orders", "days")


def facts(
    quarantined: Any,
    silver: Any,
    as_of: dt.date,
    *,
    stock_code_pattern: str = Rules().stock_code_pattern,
    revenue: Literal["gross", "net"] = "gross",
) -> Facts:
    """Count lines and money per file, from judged rows of the quarantine and rows of silver; parameters as for `money_flow`.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> quarantined, silver = rfm.judge(rfm.example("retail_transactions_quarantine")), rfm.example("retail_transactions_silver")
    >>> found = rfm.quality.facts(quarantined, silver, datetime.date(2025, 10, 23))
    >>> bool(found.total("cents") > 0)
    True
    """
    lost = _lost(nw.from_native(quarantined), stock_code_pattern)
    kept = with_steps(silver, as_of, stock_code_pattern, revenue)
    found: dict[str, dict[str, int]] = {}
    (days,) = eager_rows(kept.filter(nw.col("Step") == COUNTED.name).select(nw.col("InvoiceDate").min()))
    for file, named in (*_of_quarantined(lost), *_of_kept(kept)):
        of_file = found.setdefault(file, dict.fromkeys(NUMBERS, 0))
        for name, number in named.items():
            of_file[name] += number
    files = pd.DataFrame.from_dict(found, orient="index", columns=list(NUMBERS)).fillna(0).astype("int64")
    return Facts(files, _like(lost) if len(files) and files["unread"].sum() else "", days["InvoiceDate"])


def _lost(judged: Any, stock_code_pattern: str) -> Any:
    """Return the quarantined lines of products that are no returns, with their cents where these can be read."""
    if "_rescued_data" in judged.collect_schema().names():
        judged = nw.from_native(without_around(judged.to_native()))
    product = nw.col("StockCode").is_null() | nw.col("StockCode").str.contains(stock_code_pattern)
    returned = (nw.col("Quantity") < 0) & ~nw.col("TotalCents").is_null()
    return judged.filter(product, ~is_true(returned))


def without_around(quarantine: Any) -> Any:
    """Return quarantined rows without titles, totals and other lines around the sales."""
    around = nw.col("_rescued_data").cast(nw.String).str.contains(AROUND)
    found: Any = nw.from_native(quarantine).filter(~is_true(around))
    return found.to_native()


def _of_quarantined(lost: Any) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the counts of lines that cannot be read, per file."""
    cents = nw.col("TotalCents")
    unvalued = nw.when(cents.is_null()).then(nw.lit(1)).otherwise(nw.lit(0))
    rows = lost.with_columns(Unvalued=unvalued, Cents=nw.when(cents < 0).then(-cents).otherwise(cents))
    grouped = rows.group_by("source_file", "failed_expectations")
    for row in eager_rows(grouped.agg(nw.len().alias("Lines"), nw.col("Unvalued", "Cents").sum())):
        lines, rules = int(row["Lines"]), row["failed_expectations"] or ""
        money = {"unvalued": int(row["Unvalued"] or 0), "known_cents": int(row["Cents"] or 0)}
        if "known_currency" in rules:  # cents of another currency
            money = {"unvalued": lines, "known_cents": 0}
        kinds = {kind: lines for rule, kind in UNKNOWN.items() if rule in rules}
        yield row["source_file"], {"lines": lines, "unread": lines, **money, **kinds}


def _of_kept(kept: Any) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the counts of lines of silver, per file."""
    named = {"guests": ("guests", "guest_cents"), COUNTED.name: ("counted", "cents")}
    sums = nw.len().alias("Lines"), nw.col("TotalPrice").sum().alias("Amount")
    for row in eager_rows(kept.group_by("source_file", "Step").agg(*sums)):
        lines, cents = named.get(row["Step"], ("", ""))
        both = {lines: int(row["Lines"]), cents: _cents(row["Amount"])} if lines else {}
        yield row["source_file"], {"lines": int(row["Lines"]), **both}
    counted = kept.filter(nw.col("Step") == COUNTED.name)
    for row in eager_rows(counted.group_by("source_file").agg(nw.col("InvoiceNo", "InvoiceDate").n_unique())):
        yield row["source_file"], {"orders": int(row["InvoiceNo"]), "days": int(row["InvoiceDate"])}
    for row in eager_rows(counted.filter(nw.col("CustomerID").str.contains(DAMAGED)).group_by("source_file").agg(*sums)):
        yield row["source_file"], {"damaged": int(row["Lines"]), "damaged_cents": _cents(row["Amount"])}


def _cents(amount: Any) -> int:
    return int(exact_sum(amount) * 100)


def _like(lost: Any) -> str:
    """Return what most unreadable values look like: ``price like 9,999.99``."""
    rules = nw.col("failed_expectations")
    most: tuple[int, str] = (0, "")
    for rule, (raw, like, none) in CHECKED.items():
        shape = nw.col(raw).str.replace_all("[0-9]", "9").str.replace_all(r"\pL", "x")
        shapes = lost.filter(rules.str.contains(rule)).with_columns(Shape=shape).group_by("Shape").agg(nw.len().alias("Lines"))
        for row in eager_rows(shapes):
            text = "" if row["Shape"] is None else " ".join(str(row["Shape"]).split())[:LARGEST_SHAPE]
            most = max(most, (int(row["Lines"]), _(like).format(shape=text) if text else _(none)))
    return most[1]


def days_of(silver: Any) -> pd.DataFrame:
    """Count the lines of each InvoiceDate and source_file."""
    found = eager_rows(dated_silver(silver).group_by("InvoiceDate", "source_file").agg(nw.len().alias("lines")))
    return pd.DataFrame(found, columns=["InvoiceDate", "source_file", "lines"])


# ── what counts ─────────────────────────────────────────────────────────
class Totals(NamedTuple):
    """What counts, for the shop to compare with its own figures."""

    customers: int
    repeat_customers: int
    orders: int
    revenue: Decimal
    first_day: dt.date
    last_day: dt.date
    days: int
    best_customer: str
    best_revenue: Decimal


class LeftOut(NamedTuple):
    """A reason why lines do not count, with their number and money."""

    step: str
    said: str
    lines: int
    amount: Decimal


def left_out(flow: pd.DataFrame) -> list[LeftOut]:
    """Return the reasons why lines do not count, from `money_flow`."""
    steps = flow[(flow["Kind"] == "step") & (flow["Lines"] != 0)]
    return [LeftOut(one["Step"], one["Label"], -int(one["Lines"]), -one["Amount"]) for one in steps.to_dict("records")]


def totals(gold: pd.DataFrame, found: Facts, days: int) -> Totals:
    """Return what counts, from the customers of a day."""
    best = gold.sort_values(["Monetary", "CustomerID"], ascending=[False, True]).iloc[0]
    again, orders, last = int((gold["Frequency"] > 1).sum()), int(gold["Frequency"].sum()), max(gold["MaxInvoiceDate"])
    named = str(best["CustomerID"]), Decimal(best["Monetary"])
    return Totals(len(gold), again, orders, Decimal(gold["Monetary"].sum()), found.first or last, last, days, *named)


def explained(flow: pd.DataFrame, values: Mapping[str, Mapping[str, Orders]], missing: Decimal) -> tuple[str, ...]:
    """Return the reason, or the two, whose money is exactly the revenue that is missing (or too much, below 0)."""
    rows = flow[(flow["Kind"] != "start") & (flow["Kind"] != "end") & (flow["Amount"] != 0)].to_dict("records")
    parts = {one["Label"]: -one["Amount"] if one["Kind"] == "step" else -abs(one["Amount"]) for one in rows}
    for column, each in values.items():
        parts |= {f"{column} {value!r}": one.amount for value, one in each.items()}
    fitting = (some for n in (1, 2) for some in combinations(parts, n) if sum(parts[one] for one in some) == missing)
    return next(fitting, ())


# ── orders that are not one order ───────────────────────────────────────
class Orders(NamedTuple):
    """A number of orders or lines, and their money."""

    orders: int
    amount: Decimal


def order_faults(silver: Any, as_of: dt.date, *, stock_code_pattern: str = Rules().stock_code_pattern) -> dict[str, Orders]:
    """Count orders with several ``customers`` or ``days``, and those that several ``files`` hold, of the lines that count."""
    kept = with_steps(silver, as_of, stock_code_pattern)
    key, total = ("InvoiceNo", "CustomerID", "InvoiceDate"), nw.col("TotalPrice").sum()
    files = kept.filter(nw.col("Step") == COUNTED.name).group_by(*key, "source_file").agg(total)
    same = files.group_by(*key).agg(total, nw.len().alias("files"), nw.col("TotalPrice").max().alias("once"))
    ones = same.group_by("InvoiceNo").agg(total, nw.col("CustomerID", "InvoiceDate").n_unique())
    wrong = {
        "customers": ones.filter(nw.col("CustomerID") > 1),
        "days": ones.filter(nw.col("CustomerID") == 1, nw.col("InvoiceDate") > 1),
        "files": same.filter(nw.col("files") > 1),
    }
    return {name: _orders(found) for name, found in wrong.items()}


def _orders(found: Any) -> Orders:
    """Return the number of orders, and their money beyond that of the file that holds most of each."""
    beyond = ["TotalPrice"] + ["once"] * ("once" in found.collect_schema().names())
    (row,) = eager_rows(found.select(nw.len().alias("Orders"), nw.col(*beyond).sum()))
    amount, *once = (exact_sum(row[name]) for name in beyond)
    return Orders(int(row["Orders"]), amount - sum(once))


def other_codes(silver: Any, as_of: dt.date, *, stock_code_pattern: str = Rules().stock_code_pattern) -> dict[str, Orders]:
    """Return lines and money of each stock code that is no product, of sales to customers."""
    kept = with_steps(silver, as_of, stock_code_pattern)
    found = kept.filter(nw.col("Step") == "non_products").group_by("StockCode").agg(nw.len(), nw.col("TotalPrice").sum())
    return {row["StockCode"]: Orders(int(row["len"]), exact_sum(row["TotalPrice"])) for row in eager_rows(found)}


def by_value(judged: Any, key: str, money: str = "TotalCents") -> dict[str, Orders]:
    """Return lines and money of each value that `_rescued_data` has under a key, most lines first."""
    text = nw.col("_rescued_data").cast(nw.String)
    there: Any = nw.from_native(judged).filter(text.str.contains(f'"{key}": "'))
    rows = there.with_columns(Value=text.str.replace_all(f'^.*?"{key}": "', "").str.replace_all('".*$', ""))
    found = eager_rows(rows.group_by("Value").agg(nw.len(), *[nw.col(money).sum()] * bool(money)))
    each = {str(row["Value"] or ""): Orders(int(row["len"]), exact_sum(row.get(money), "TotalCents")) for row in found}
    return dict(sorted(each.items(), key=lambda one: (-one[1].orders, one[0])))


# ── a run against the baseline ──────────────────────────────────────────
SIGMAS, LEAST_SHIFT, FACTOR, LEAST_ORDERS = 3, 0.1, 3.0, 10
OTHER_FILES = N_("see whether the export of these files changed, and run `rfm check` on them")
UNKNOWN_VALUES = {  # by kind of warning: what is said, and where such a value is named
    "unknown_status": (
        nN_(
            "{n} line, about {amount}, have a status that no setting names, and do not count",
            "{n} lines, about {amount}, have a status that no setting names, and do not count",
        ),
        N_("add it to rules.sold, not_sold or refunds"),
    ),
    "unknown_currency": (
        nN_(
            "{n} line, about {amount}, have a currency that no setting names, and do not count",
            "{n} lines, about {amount}, have a currency that no setting names, and do not count",
        ),
        N_("add it to [currencies], with its rate"),
    ),
}


def departures(run_date: dt.date, found: Facts, baseline: Any, currency: str = "") -> pd.DataFrame:
    """Return ``run_warnings`` of a run whose money, customers or unreadable lines leave the ``[baseline]`` of the settings.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> quarantined, silver = rfm.judge(rfm.example("retail_transactions_quarantine")), rfm.example("retail_transactions_silver")
    >>> found, day = rfm.quality.facts(quarantined, silver, datetime.date(2025, 10, 23)), datetime.date(2025, 10, 23)
    >>> rfm.quality.departures(day, found, rfm.load_settings().baseline)["message"].tolist()
    []
    """
    money = found.total("cents") + found.unread_cents
    said = [
        *_unread(found, baseline, currency, money),
        *_unknown(found, currency),
        *_shares(found, baseline, currency),
        *_values(found, baseline, currency),
        *_damaged(found, currency, money),
    ]
    return as_warnings(run_date, said)


def _worth(cents: float, currency: str) -> str:
    return exact_amount(Decimal(round(cents)).scaleb(-2), currency)


def _in(files: pd.DataFrame, all_files: pd.DataFrame) -> str:
    """Name the file, or the first of several; empty if all files are meant."""
    if len(files) == len(all_files):
        return ""
    first, more = files.index[0], len(files) - 1
    if not more:
        return _(" in {file}", file=first)
    return ngettext(" in {file} and {n} other file", " in {file} and {n} other files", more, file=first, n=more)


def _unread(found: Facts, baseline: Any, currency: str, money: int) -> Found:
    """Warn of files of which more lines cannot be read than of those the settings were made from."""
    if baseline.unread is None:
        return
    usual = baseline.unread * found.files["lines"]
    odd = found.files[found.files["unread"] > usual + SIGMAS * usual**0.5]
    cents = (odd["known_cents"] + odd["unvalued"] * found.line_cents).sum()
    if cents > float(DOUBT) * money:
        counted = {"n": whole(int(odd["unread"].sum())), "n2": whole(int(odd["lines"].sum()))}
        like, worth = found.like or _("see failed_expectations"), _worth(cents, currency)
        read = _("{n} of {n2} lines{within}, about {amount}, cannot be read or break a rule: {like}")
        said = read.format(within=_in(odd, found.files), amount=worth, like=like, **counted)
        yield "baseline_unread", said, _(OTHER_FILES)


def _unknown(found: Facts, currency: str) -> Found:
    """Warn of lines whose status or currency the settings do not know; they do not count."""
    for kind, (said, remedy) in UNKNOWN_VALUES.items():
        if lines := found.total(kind):
            worth = _worth(lines * found.line_cents, currency)
            yield kind, ngettext(*said, lines, n=whole(lines), amount=worth), _(remedy)


def _shares(found: Facts, baseline: Any, currency: str) -> Found:
    """Warn of files in which the share of lines without a customer has changed."""
    if baseline.guests is None:
        return
    usual = baseline.guests
    spread = (usual * (1 - usual) / found.files["lines"].clip(lower=1)) ** 0.5
    share = found.files["guests"] / found.files["lines"].clip(lower=1)
    odd = found.files[((share - usual).abs() > LEAST_SHIFT) & ((share - usual).abs() > SIGMAS * spread + 1e-9)]
    odd = odd[odd["lines"] >= LEAST_ORDERS]
    if len(odd):
        now, cents = odd["guests"].sum() / odd["lines"].sum(), odd["guest_cents"].sum()
        many = _("{share} of the lines{within}, {amount}, have no customer")
        many = many.format(share=f"{now:.0%}", within=_in(odd, found.files), amount=_worth(cents, currency))
        before = _("it was {share} when the settings were made").format(share=f"{usual:.0%}")
        yield "baseline_guests", many, before, _(OTHER_FILES)


def _values(found: Facts, baseline: Any, currency: str) -> Found:
    """Warn of files whose average order, or revenue per day, is a multiple or a fraction of the usual."""
    measures: Mapping[str, tuple[float | None, str, str]] = {
        "order_value": (baseline.order_value, "orders", N_("the average order{within} is {amount}")),
        "revenue": (baseline.revenue_per_day, "days", N_("the revenue per day{within} is {amount}")),
    }
    files = found.files[found.files["orders"] >= LEAST_ORDERS]
    for kind, (usual, per, said) in measures.items():
        each = files["cents"] / files[per].clip(lower=1) / 100
        factor = FACTOR if kind == "order_value" else 2 * FACTOR
        odd = files[(each > usual * factor) | (each < usual / factor)] if usual else files[:0]
        if len(odd):
            now = _worth(odd["cents"].sum() / odd[per].sum(), currency)
            before = _("it was {amount} when the settings were made", amount=_worth((usual or 0) * 100, currency))
            said = _(said).format(within=_in(odd, found.files), amount=now)
            yield f"baseline_{kind}", said, before, _(OTHER_FILES)
            return  # the day follows its orders


def _damaged(found: Facts, currency: str, money: int) -> Found:
    """Warn of customers whose long numbers a spreadsheet has rounded: different customers become one."""
    if found.total("damaged_cents") > float(DOUBT) * money:
        lines, worth = found.total("damaged"), _worth(found.total("damaged_cents"), currency)
        said = ngettext(
            "{n} line, {amount}, have customers like {shape}, rounded by a spreadsheet, so different customers are one",
            "{n} lines, {amount}, have customers like {shape}, rounded by a spreadsheet, so different customers are one",
            lines,
            n=whole(lines),
            amount=worth,
            shape="9.99999E+99",
        )
        yield "damaged_ids", said, _("export them as text")
