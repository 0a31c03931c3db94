"""The sample as a whole: arguments checked, invoices numbered, lines turned into text, files written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.io.prepare.catalogue import COUNTRIES, make_catalogue
from rfm.io.prepare.customers import Plan, Shop, apportion, draw_customers, plan_visits, weigh_days
from rfm.io.prepare.trade import LINE, make_lines
from rfm.schema import SettingsError

HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
PIECE_LINES = 250_000  # what is held in memory at once, in lines
MOST_DAYS, MOST_LINES, MOST_SEED = 36_500, 1_000_000_000, 2**63
DEBT_EVERY = 40  # one bad debt is adjusted (an A-invoice) every so many days, from the second day on

FIRST_INVOICE, PLAIN_INVOICES = 480_000, 1_000_000
DIGITS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
LEADS = np.frombuffer(b"BDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)  # without A and C, which are MARKS
MARKS = pa.array(["", "C", "A"])  # before the number: a sale, a cancellation, an adjustment


class SampleReport(NamedTuple):
    """What `make_sample` wrote: counts, days and bytes; `customers` are those with at least one purchase."""

    files: int
    lines: int
    customers: int
    first_day: date
    last_day: date
    bytes: int


def make_sample(
    folder: str | Path,
    *,
    days: int = 120,
    end: date = date(2025, 10, 23),
    customers: int = 1500,
    lines: int = 60_000,
    seed: int = 20100,
) -> SampleReport:
    """Write a made-up shop's daily files, one a calendar day, ending on `end`.

    Memory is bounded by `PIECE_LINES` and by about sixty bytes a customer and twenty a visit. Measured: 10 M
    lines in 277 MB at about 1 M lines/s (207 MB with 365 days and 100,000 customers, 310 MB with 30 days and
    a million). Files of the same name are replaced, others are left alone. Invoices count up from 480000 in six digits and go on
    from 999999 to B00000 in base 36, so that numbers stay distinct and, as text, keep rising; none begins
    with C or A but cancellations and adjustments.

    Parameters
    ----------
    folder : str or Path
        Where the `YYYY-MM-DD_transactions.csv` go; made if missing. A file appears whole or not at all.
    days : int
        Calendar days, so files. Every day has a file.
    end : date
        The last day.
    customers : int
        Customers with at least one purchase; at most a quarter of the lines.
    lines : int
        Lines in all files together, met within one per cent from about a thousand lines and ten days on; over
        fewer days up to two per cent are missing, for only what was bought before can be returned.
    seed : int
        The same arguments give the same bytes.

    Returns
    -------
    SampleReport
        Files, lines, customers, first and last day, bytes.

    Raises
    ------
    SettingsError
        If an argument is out of range or `folder` cannot be made.
    """
    folder = Path(folder)
    _check(days, end, customers, lines, seed)
    _make_folder(folder)
    rng, dates = np.random.default_rng(seed), [end - timedelta(days=days - 1 - i) for i in range(days)]
    shop = Shop(rng, draw_customers(rng, min(customers, lines // 4)), make_catalogue())
    plan = plan_visits(shop, weigh_days(rng, dates), lines)
    rows = size = 0
    for day, pieces in groupby(_pieces(shop, plan), key=itemgetter(0)):
        texts = (_text(shop, piece, dates[day]) for _, piece in pieces)
        more, wide = _write(folder / f"{dates[day]}_transactions.csv", texts)
        rows, size = rows + more, size + wide
    return SampleReport(days, rows, len(shop.people), dates[0], end, size)


def _check(days: int, end: date, customers: int, lines: int, seed: int) -> None:
    """Refuse arguments no sample can be made from."""
    _check_whole("days", days, 1, MOST_DAYS)
    _check_whole("customers", customers, 1, MOST_LINES)
    _check_whole("seed", seed, 0, MOST_SEED)
    _check_whole("lines", lines, max(100, 10 * days), MOST_LINES)
    if type(end) is not date or end.toordinal() <= days:
        raise SettingsError(f"sample: end is {end!r}; give a date at least {days} days into the calendar")


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"sample: {name} is {value!r}; give a whole number from {low} to {high}")


def _make_folder(folder: Path) -> None:
    """Make the folder where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"sample: no folder at {folder} ({error.strerror}); name another") from error


def _portions(plan: Plan) -> Iterator[tuple[int, np.ndarray, dict[str, int]]]:
    """Cut the plan into (day, visitors, budget), a day in as many portions as PIECE_LINES asks for."""
    for day, (start, stop) in enumerate(zip(plan.bounds[:-1], plan.bounds[1:], strict=True)):
        budget = {sort: int(lines[day]) for sort, lines in plan.budget.items()}
        count = 1 + sum(budget.values()) // PIECE_LINES
        parts = {sort: apportion(np.ones(count), lines) for sort, lines in budget.items()}
        for i, crowd in enumerate(np.array_split(plan.visitors[start:stop], count)):
            debts = int(day % DEBT_EVERY == 1 and i == 0)
            yield day, crowd, {sort: int(lines[i]) for sort, lines in parts.items()} | {"debts": debts}


def _pieces(shop: Shop, plan: Plan) -> Iterator[tuple[int, np.ndarray]]:
    """Give (day, LINEs) in the order of days and invoices, numbered from FIRST_INVOICE on."""
    pool, first = np.empty(0, LINE), FIRST_INVOICE
    for day, crowd, budget in _portions(plan):
        lines, pool = make_lines(shop, crowd, budget, pool)
        lines["invoice"], first = _numbered(shop.rng, lines["invoice"], first)
        yield day, lines[np.argsort(lines["invoice"], kind="stable")]


def _numbered(rng: np.random.Generator, invoices: np.ndarray, first: int) -> tuple[np.ndarray, int]:
    """Renumber invoices from `first` on, in an order of chance; return also the next free number."""
    labels, position = np.unique(invoices, return_inverse=True)
    return first + rng.permutation(len(labels))[position], first + len(labels)


def _text(shop: Shop, lines: np.ndarray, day: date) -> tuple[int, pa.Buffer]:
    """Turn lines into CSV without a header, and count them."""
    starts = np.diff(lines["invoice"], prepend=-1) > 0
    number, tail = _invoice_fields(shop, lines[starts], day)
    row = pa.array(np.cumsum(starts) - 1)  # the invoice of each line
    item = shop.goods.text.take(pa.array(lines["item"]))
    quantity = pa.array(np.ascontiguousarray(lines["quantity"])).cast(pa.string())
    fields = (number.take(row), item, quantity, _price_text(lines["mills"]), tail.take(row))
    text = pc.binary_join_element_wise(*fields, ",")
    end = pc.sum(pc.binary_length(text)).as_py() or 0
    return len(text), (text.buffers()[2] or pa.py_buffer(b""))[:end]


def _invoice_fields(shop: Shop, heads: np.ndarray, day: date) -> tuple[pa.Array, pa.Array]:
    """Write what all lines of an invoice share, from the first of each: its number, and buyer, country, date."""
    join = pc.binary_join_element_wise
    number = join(MARKS.take(pa.array(heads["kind"])), _invoice_text(heads["invoice"]), "")
    buyer = join(pa.array(shop.people["id"][heads["customer"]]).cast(pa.string()), ".0", "")
    buyer = pc.if_else(pa.array(heads["customer"] < 0), "", buyer)
    country = pa.array(list(COUNTRIES)).take(pa.array(heads["country"]))
    return number, join(buyer, country, f"{day}\n", ",")


def _invoice_text(numbers: np.ndarray) -> pa.Array:
    """Write six characters: decimal below a million, then base 36 from B00000 on with a lead of LEADS."""
    plain = numbers < PLAIN_INVOICES
    rest, text = np.where(plain, numbers, numbers - PLAIN_INVOICES), np.empty((len(numbers), 6), "u1")
    for place in range(5, 0, -1):
        rest, digit = np.divmod(rest, np.where(plain, 10, 36))
        text[:, place] = DIGITS[digit]
    text[:, 0] = np.where(plain, DIGITS[rest], LEADS[rest])
    return pa.array(text.view("S6").ravel()).cast(pa.string())


def _price_text(mills: np.ndarray) -> pa.Array:
    """Write thousandths of a pound as pounds, in as few decimals as they need but at least one."""
    mills, price = np.unique(mills, return_inverse=True)
    return pa.array([str(m / 1000) for m in mills.tolist()], pa.string()).take(pa.array(price))


def _write(path: Path, texts: Iterable[tuple[int, pa.Buffer]]) -> tuple[int, int]:
    """Write a day under a temporary name, then give it its own; return its lines and bytes."""
    part, rows = path.with_name(path.name + ".part"), 0
    with part.open("wb") as file:
        size = file.write(HEADER.encode())
        for count, text in texts:
            rows, size = rows + count, size + file.write(text)
    part.replace(path)
    return rows, size
