"""The same days so many times over: every copy of a line has an invoice and a customer of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks.cases import Inputs

DIGITS = "0123456789ABDEFGHIJKLMNOPQRSTUVWXYZ"  # no C, which marks a cancellation
SIXTY = DIGITS + DIGITS[10:].lower()
COPIES = ["".join(pair) for pair in product(DIGITS, DIGITS)]
LINE = ("Invoice", "StockCode", "Description", "Quantity", "Price", "Customer ID", "Country", "InvoiceDate")
YEAR = 525_461  # lines of the whole year in the public archive


def ten(inputs: Inputs) -> dict[str, Any]:
    """Prepare every day ten times over."""
    return {"lines": repeat(inputs.files, inputs.folder / "landing10", 10)}


def hundred(inputs: Inputs) -> dict[str, Any]:
    """Prepare so many copies of the days as make a hundred years."""
    return {"lines": repeat(inputs.files, inputs.folder / "landing100", ceil(100 * YEAR / _lines(inputs)))}


def lake(inputs: Inputs) -> dict[str, Any]:
    """Prepare a lake with bronze and silver of all days."""
    return _laid(inputs, "landing", "lake1")


def ten_million(inputs: Inputs) -> dict[str, Any]:
    """Prepare a lake with ten million lines and more in silver."""
    repeat(inputs.files, inputs.folder / "landing10m", ceil(10_300_000 / _lines(inputs)))
    found = _laid(inputs, "landing10m", "lake10m")
    shutil.rmtree(inputs.folder / "landing10m")
    return found


def before_ten(inputs: Inputs) -> dict[str, Any]:
    """Prepare a lake on the evening before the newest day: the same customers, ten times the history; the day is as ever."""
    from benchmarks import runs

    landing = inputs.folder / "landing_then_one"
    repeat(inputs.files[:-1], landing, 10, more_customers=False)
    repeat(inputs.files[-1:], inputs.folder / "newest", 1)
    shutil.copy(inputs.folder / "newest" / inputs.files[-1].name, landing)
    return runs.evening(inputs, "before10", landing)


def sampled(inputs: Inputs) -> dict[str, Any]:
    """Prepare the built-in sample."""
    from rfm.datasets.sample import make_sample

    return {"lines": make_sample(inputs.folder / "sampled").lines}


def _laid(inputs: Inputs, landing: str, name: str) -> dict[str, Any]:
    """Ingest and clean a folder of daily files."""
    import rfm
    from benchmarks.gold import arrived

    tables = rfm.Lake(str(inputs.folder / name))
    rfm.ingest.write_bronze(tables, arrived(inputs, landing))
    new = rfm.ingest.files_to_clean(tables)
    silver, quarantine = rfm.clean(tables.read("retail_transactions_bronze", source_file=new))
    return rfm.ingest.write_silver(tables, silver, quarantine, new)


def _lines(inputs: Inputs) -> int:
    """Return the lines of all days."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in inputs.files)


def repeat(files: Sequence[Path], folder: Path, times: int, *, more_customers: bool = True) -> int:
    """Write daily files with all their lines so many times over; return the lines.

    Parameters
    ----------
    files
        Daily files.
    folder
        Where the larger ones are written, under the same names.
    times
        Copies, the first with ids of its own as well; at most 1,225.
    more_customers
        Customers of each copy are its own; otherwise the same customers buy so many times as often.
    """
    folder.mkdir(parents=True)
    return sum(_larger(path, folder / path.name, times, more_customers) for path in files)


def _larger(path: Path, target: Path, times: int, more_customers: bool) -> int:
    """Write one file: each copy has its invoices in an order of its own, as a page that compresses to nothing proves nothing."""
    import polars as pl

    lines = pl.read_csv(path, infer_schema=False)
    invoices = lines["Invoice"].unique().sort()
    short = pl.DataFrame({"Invoice": invoices, "Short": [_short(invoice) for invoice in invoices]})
    lines = lines.join(short, on="Invoice", how="left", maintain_order="left")
    letter = pl.col("Invoice").str.extract("^([A-Za-z]*)")
    with target.open("wb") as file:
        for place, copy in enumerate(COPIES[:times]):
            customer = pl.col("Customer ID").str.replace(r"(?:[.]0)?$", f"{place if more_customers else 0:04}.0")
            ids = lines.with_columns(customer, Invoice=letter + pl.lit(copy) + pl.col("Short"))
            mixed = ids.sort(pl.col("Invoice").hash(place), maintain_order=True)
            mixed.select(LINE).write_csv(file, include_header=not place)
    return len(lines) * times


def _short(invoice: str) -> str:
    """Return the number of an invoice of six digits in four characters, the last digit as it is."""
    number = int("".join(filter(str.isdigit, invoice)))
    rest = number // 10 - 30_000  # 300000 to 2,000,000
    return "".join(SIXTY[rest // power % 60] for power in (3600, 60, 1)) + str(number % 10)
