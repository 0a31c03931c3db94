"""Warnings of a run, one of each kind or more, made by the functions that make them."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl

from rfm.analysis import quality
from rfm.analysis.quality.anomalies import Repeated, overlaps, unsteady
from rfm.analysis.quality.baseline import NUMBERS, Facts, departures
from rfm.config import Baseline
from rfm.contracts import TABLES
from rfm.dialect import Columns
from rfm.errors import InputError
from rfm.lake.ingest import OLD_KEPT, OTHER_NOW, _said_twice
from rfm.landing.decode import detect_format
from rfm.landing.files import CLOSED, NOWHERE, SENDING, LandingFile, Listing, still_arriving
from rfm.landing.header import check_header
from rfm.landing.reader import CUT, LEFT, SEND_AGAIN

RUN = dt.date(2025, 10, 23)  # a Thursday
DAY = dt.timedelta(days=1)


def warnings_of_a_run() -> list[str]:
    """Return the messages of ``run_warnings`` of an unlucky day."""
    return [*dict.fromkeys([*_of_days(), *_of_shares(), *_of_segments(), *_of_money(), *_of_files(), *_of_refused()])]


def _warned(found: pd.DataFrame) -> list[str]:
    return found["message"].tolist()


def _frame(table: str, rows: list[dict]) -> pd.DataFrame:
    names, schema = TABLES[table].names, TABLES[table].polars
    return pl.DataFrame([{name: row.get(name) for name in names} for row in rows], schema=schema).to_pandas(
        use_pyarrow_extension_array=True
    )


def _of_days() -> Iterator[str]:
    """Yield warnings of days: a missing one, an empty file, few lines, many lines, old sales, and none at all."""
    usual = {RUN - i * DAY: 100 for i in range(1, 56)}
    for lines, without, run in ((5, 0, RUN), (4000, 3, RUN), (0, 0, RUN), (100, 0, RUN + 9 * DAY)):
        days = {day: n for day, n in {**usual, RUN: lines}.items() if not without or day != RUN - without * DAY}
        rows = [
            {"source_file": f"{day}.csv", "layer": "bronze", "file_date": day, "InvoiceDate": day, "rows": n, "lines": n}
            | {"processing_date": day}
            for day, n in days.items()
        ]
        ledger, volume = _frame("landing_files", rows), _frame("daily_volume", [row for row in rows if row["lines"]])
        yield from _warned(quality.warnings(run, ledger, volume, _frame("quality_metrics", [])))
    yield from _warned(quality.warnings(RUN, ledger[:0], volume[:0], _frame("quality_metrics", [])))


def _of_shares() -> list[str]:
    rows = [
        {"processing_date": RUN - i * DAY, "metric": metric, "column": "Description", "checked": 1000, "value": 0.1 if i else 0.9}
        for metric in ("dropped", "repeated_keys", "completeness")
        for i in range(9)
    ]
    empty = _frame("landing_files", []), _frame("daily_volume", [])
    return _warned(quality.warnings(RUN, *empty, _frame("quality_metrics", rows)))


def _of_segments() -> list[str]:
    past, now = (0.003, 0.99, 0.02, 0.1), (0.09, 0.2, 3.5, -0.4)
    names = ("RenamedShare", "AdjustedRand", "Drift", "KMargin")
    rows = [dict(zip(("UpdateDate", *names), (RUN - i * DAY, *(past if i else now)), strict=True)) for i in range(9)]
    return _warned(unsteady(RUN, pd.DataFrame(rows)))


def _of_money() -> Iterator[str]:
    """Yield warnings in money: files that leave the baseline, some of them or all, and lines in several files."""
    base = Baseline(made=RUN, unread=0.01, guests=0.1, order_value=10, revenue_per_day=100)
    counts = {"lines": 1234, "unread": 300, "unvalued": 300, "unknown_status": 1, "unknown_currency": 12, "damaged": 7}
    counts |= {"guests": 900, "guest_cents": 123456, "damaged_cents": 9_000_000, "counted": 34, "orders": 30, "days": 1}
    for odd, usual, like, cents in (
        (1, 0, "price like 9.999,99", 9_000_000),
        (1, 2, "", 0),
        (2, 2, "no date", 5),
        (4, 1, "", 50),
    ):
        files = pd.DataFrame(0, index=[f"{n}.csv" for n in range(odd + usual)], columns=list(NUMBERS))
        files.loc[files.index[:odd], [*counts]] = np.array([*counts.values()])
        files.loc[files.index[:odd], "cents"] = cents
        files.loc[files.index[odd:], ["lines", "guests", "counted", "orders", "cents", "days"]] = 100, 10, 90, 90, 90_000, 9
        yield from _warned(departures(RUN, Facts(files, like, RUN), base, "£"))
    by_day = base.model_copy(update={"order_value": None})
    yield from _warned(departures(RUN, Facts(files.assign(cents=9_000_000), "", RUN), by_day, "£"))
    volume = pd.DataFrame({"processing_date": [RUN], "revenue": [Decimal(100)]})
    for n in (1, 2, 4):
        pairs = [Repeated("a.csv", f"{i}.csv", n, Decimal("1234.50")) for i in range(n)]
        yield from _warned(overlaps(RUN, pairs, volume, "£"))


def _of_files() -> Iterator[str]:
    """Yield what is left in the landing folder, and what changed there."""
    listing = Listing([LandingFile("a.csv", RUN, 1)])
    listing.left = {SENDING: ["a.part"], NOWHERE: ["b.csv", "c.csv"], CLOSED: [f"{n}.csv" for n in range(9)]}
    yield from (said for _, said in listing.said)
    yield f"{still_arriving(__file__, LandingFile('a.csv', RUN, 1, 'before'))}; {LEFT}"
    yield f"{CUT.format(file='a.csv')}; {SEND_AGAIN}"
    yield f"{OTHER_NOW.format(file='a.csv', n='1,234')}; {OLD_KEPT}"
    yield from _said_twice(pl.DataFrame({"source_file": ["a.csv"], "first": ["b.csv"]})).values()


def _of_refused() -> Iterator[str]:
    """Yield why files are refused: other formats, and headers that do not fit."""

    def why(act: Callable[[], object]) -> Iterator[str]:
        try:
            act()
        except InputError as error:
            yield str(error)

    for start in (b"%PDF-", b"Rar!\x1a\x07", b"\x89PNG\r\n", b"<html", b"MZ\x90\x00"):
        yield from why(lambda start=start: detect_format(io.BytesIO(start), "a.csv"))
    columns = Columns(country="Land", customer_id="Kunde")
    for header in (["x", "y"], ["Invoice", "StockCode"], ["Price", "price"], ["x"] * 3000):
        yield from why(lambda header=header: check_header(header, "a.csv", columns))
