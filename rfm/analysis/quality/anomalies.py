"""Warnings, as sentences, when a run differs from the shop's own past; they never stop a run.

The usual range is the median of the past ± limit × 1.4826 × MAD (median absolute deviation), which a few unusual days do not
move: the robust z-score of Iglewicz and Hoaglin (1993). Later days are ignored, so a repeated run gives the same warnings.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from rfm.analysis.formatting import exact_amount, whole
from rfm.analysis.quality.gate import COUNTED, eager_rows, exact_sum, with_steps
from rfm.config import Quality
from rfm.dialect import Rules
from rfm.errors import printable
from rfm.words import N_, _, ngettext

PER_SIGMA = 1.4826
LEAST_FACTOR = 0.15  # smallest spread of a logarithm: about a seventh more or less is always usual
LEAST_SHARE = 0.02  # smallest spread of a share: two in a hundred
YEAR = 52  # number of past values that count: a year of the same weekdays


class Usual(NamedTuple):
    """The usual range: median and spread of the past, and the number of past values."""

    middle: float
    spread: float
    past: int

    def z(self, value: float) -> float:
        """Return the distance of a value from the middle, in spreads."""
        return (value - self.middle) / self.spread


def usual(values: Sequence[float], least: float) -> Usual:
    """Return the usual range of the newest past values."""
    newest = np.asarray(values[-YEAR:], dtype=float)
    middle = float(np.median(newest))
    return Usual(middle, max(PER_SIGMA * float(np.median(np.abs(newest - middle))), least), len(newest))


def usual_volume(lines: Sequence[int]) -> Usual:
    """Return the usual range of log(1 + lines), because half a volume is as far off as twice."""
    return usual([float(value) for value in np.log1p(np.asarray(lines, dtype=float))], LEAST_FACTOR)


def usual_share(shares: Sequence[float], rows: int) -> Usual:
    """Return the usual range of a share, widened by the sampling error of a number of rows."""
    found = usual(shares, LEAST_SHARE)
    chance = (found.middle * rows + 1) / (rows + 2)
    return found._replace(spread=max(found.spread, (chance * (1 - chance) / rows) ** 0.5))


# ── stability of the segments ───────────────────────────────────────────
REMEDY = N_("see segment_movement for who moved and why"), N_("--refit fits from scratch")


class Figure(NamedTuple):
    """A figure of ``segment_stability``: its odd side, smallest spread, words and number format."""

    high_is_odd: bool
    least: float
    said: str
    form: str


FIGURES = {
    "RenamedShare": Figure(True, 0.0075, N_("{share} customers without a purchase who were renamed"), "{:.1%}"),
    "AdjustedRand": Figure(False, 0.01, N_("{n} adjusted Rand index against the run before"), "{:.3f}"),
    "Drift": Figure(True, 0.1, N_("{n} standard deviations that a centroid moved at most"), "{:.2f}"),
    "KMargin": Figure(False, 0.02, N_("{share} margin of k over the best other"), "{:.1%}"),
}


def unsteady(run_date: dt.date, stability: pd.DataFrame, limits: Quality | None = None) -> pd.DataFrame:
    """Return ``run_warnings`` of figures in ``segment_stability`` beyond their usual range; `limits` are ``[quality]``.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> rfm.quality.unsteady(datetime.date(2025, 10, 23), rfm.example("segment_stability"))["message"].tolist()
    []
    """
    limits = limits or Quality()
    seen = stability[stability["UpdateDate"] <= run_date].sort_values("UpdateDate")
    days = seen["UpdateDate"].tolist()
    known = {name: {day: value for day, value in zip(days, seen[name], strict=True) if pd.notna(value)} for name in FIGURES}
    found = [(name, _odd(known[name], run_date, figure, limits)) for name, figure in FIGURES.items()]
    return as_warnings(run_date, [(f"stability_{name}", said) for name, said in found if said], "5_segments")


def _odd(values: Mapping[dt.date, float], run_date: dt.date, figure: Figure, limits: Quality) -> str:
    """Return a sentence if a figure is beyond the usual, else an empty text."""
    past = [value for day, value in values.items() if day < run_date]
    if run_date not in values or len(past) < limits.history:
        return ""
    found, sign = usual(past, figure.least), 1 if figure.high_is_odd else -1
    value, limit = float(values[run_date]), found.middle + sign * limits.z * found.spread
    if (value - limit) * sign <= 0:
        return ""
    now, middle, end = (figure.form.format(number) for number in (value, found.middle, limit))
    up, down = (
        _("{n} earlier runs had about {figure}, up to {figure2} is usual"),
        _("{n} earlier runs had about {figure}, down to {figure2} is usual"),
    )
    usually = (up if figure.high_is_odd else down).format(n=found.past, figure=middle, figure2=end)
    return f"{_(figure.said).format(n=now, share=now)}; {usually}; {'; '.join(map(_, REMEDY))}"


# ── files, days and lines ───────────────────────────────────────────────
COLUMNS = ("run_date", "stage", "kind", "severity", "message")
TYPES = dict.fromkeys(COLUMNS, "string[pyarrow]") | {"run_date": "date32[day][pyarrow]"}
WEEKDAYS = (
    *(N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday")),
    *(N_("Saturday"), N_("Sunday")),
)
DAY = dt.timedelta(days=1)
CLOSED = 2  # a weekday counts as closed after this many days without sales
FEW = N_("see whether the file was cut off"), N_("a slow day can stay as it is")
MANY = N_("see whether lines came twice or of several days"), N_("a busy day can stay as it is")


class Share(NamedTuple):
    """A monitored share of lines: its metric, message and remedy, and whether low values are unusual too."""

    metric: str
    said: str
    remedy: str
    low_too: bool = False


SHARES = {  # by kind of warning; a metric of several columns is monitored column by column
    "dropped_share": Share(
        "dropped", N_("{share} of the run's {n} lines went to the quarantine"), N_("see failed_expectations there")
    ),
    "repeated_keys": Share(
        "repeated_keys",
        N_("{share} of the run's {n} lines repeat invoice, product and quantity of another"),
        N_("see whether a file holds its lines twice"),
    ),
    "completeness": Share(
        "completeness",
        N_("{share} of the run's {n} lines have a {column}"),
        N_("see whether the export of this column changed"),
        True,
    ),
}
MEASURE = ("metric", "column", "processing_date", "value", "checked")  # columns of ``quality_metrics``
Found = Iterator[tuple[str, ...]]  # kind, and the parts of the message


def warnings(
    run_date: dt.date, files: pd.DataFrame, volume: pd.DataFrame, metrics: pd.DataFrame, limits: Quality | None = None
) -> pd.DataFrame:
    """Return ``run_warnings``: what is unusual about a run, no row if all is usual.

    Parameters
    ----------
    files
        ``landing_files`` of layer bronze that the run sees.
    volume, metrics
        ``daily_volume`` of these files, and ``quality_metrics``.
    limits
        What counts as unusual: settings ``[quality]``.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 11, 1)
    >>> files, volume = rfm.example("landing_files"), rfm.example("daily_volume")
    >>> odd = rfm.quality.warnings(day, files, volume, rfm.example("quality_metrics"))
    >>> odd["message"].str.slice(0, 60).tolist()
    ['the newest sale is of 2025-10-23, 9 days before the run date']
    """
    limits = limits or Quality()
    # only the newest reading of each file counts
    seen = volume.merge(files[["source_file", "processing_date"]])
    seen = seen[seen["InvoiceDate"] <= run_date]
    found = [
        *_stale(run_date, seen, limits),
        *_missing(run_date, files, limits),
        *_empty(run_date, files, limits),
        *_odd_days(run_date, seen, limits),
        *_odd_shares(run_date, metrics, limits),
    ]
    return as_warnings(run_date, found)


def as_warnings(run_date: dt.date, found: Iterable[tuple[str, ...]], stage: str = "2_silver") -> pd.DataFrame:
    """Return kinds and the parts of their messages as rows of ``run_warnings``."""
    rows = [(run_date, stage, kind, "warning", "; ".join(parts)) for kind, *parts in found]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(TYPES)


def _stale(run_date: dt.date, volume: pd.DataFrame, limits: Quality) -> Found:
    """Warn if the newest sale is old."""
    newest = max(volume["InvoiceDate"], default=None)
    if newest is None:
        none = _("silver has no sale up to the run date {day}", day=run_date)
        yield "freshness", none, _("see whether the files hold sales of these days")
    elif (age := (run_date - newest).days) > limits.fresh_days:
        old = _("the newest sale is of {day}, {n} days before the run date {day2}, more than {n2}")
        old = old.format(day=newest, n=age, day2=run_date, n2=limits.fresh_days)
        yield "freshness", old, _("see why no newer sales arrived")


def _missing(run_date: dt.date, files: pd.DataFrame, limits: Quality) -> Found:
    """Warn of days without a file between the first and the newest file, unless the shop is closed on that weekday."""
    there = {day for day in files["file_date"].dropna() if day <= run_date}
    first, newest = min(there, default=run_date), max(there, default=run_date)
    days = [first + i * DAY for i in range((newest - first).days)]
    gaps = [day for day in days if day not in there and _recent(day, run_date, limits)]
    if news := [day for day in gaps if not _closed([past in there for past in days if _like(past, day)])]:
        item = _("{day} ({weekday})")
        named = ", ".join(item.format(day=day, weekday=_(WEEKDAYS[day.weekday()])) for day in news)
        missing = _("no file of {each}, though there are earlier and later ones", each=named)
        yield "missing_day", missing, _("send it, the next run takes it in, or for a closed day a file with only the header")


def _empty(run_date: dt.date, files: pd.DataFrame, limits: Quality) -> Found:
    """Warn of a file of this run without lines, unless the shop is closed on that weekday."""
    dated = [file for file in files.to_dict("records") if isinstance(file["file_date"], dt.date)]
    for file in dated:
        day = file["file_date"]
        if file["rows"] or file["processing_date"] != run_date or not _recent(day, run_date, limits):
            continue
        past = [other["rows"] > 0 for other in dated if _like(other["file_date"], day)]
        if past and not _closed(past):
            empty = _("{file} has no lines, {n} of {n2} earlier {weekday} files had some").format(
                file=file["source_file"], n=sum(past), n2=len(past), weekday=_(WEEKDAYS[day.weekday()])
            )
            yield "empty_file", empty, _("see whether it was cut off"), _("a closed day can stay so")


def _odd_days(run_date: dt.date, volume: pd.DataFrame, limits: Quality) -> Found:
    """Warn of days with an unusual number of lines for the weekday, at least half of them from this run."""
    lines, brought = _lines(volume), _lines(volume[volume["processing_date"] == run_date])
    for day in sorted(day for day in brought if 2 * brought[day] >= lines[day] and _recent(day, run_date, limits)):
        past = [lines[other] for other in sorted(lines) if _like(other, day)]
        if len(past) >= limits.history and (said := _odd_day(day, lines[day], past, limits.z)):
            yield "volume", said


def _odd_day(day: dt.date, lines: int, past: Sequence[int], z: float) -> str:
    """Return a sentence if a day has unusually few or many lines, else an empty text."""
    usual = usual_volume(past)
    found = usual.z(float(np.log1p(lines)))
    if abs(found) <= z:
        return ""
    low, middle, high = (round(np.expm1(usual.middle + step * usual.spread)) for step in (-z, 0, z))
    now = _("{day} has {n} lines", day=day, n=format(lines, ","))
    usually = _("{n} earlier {weekday}s had about {n2}, {n3} to {n4} is usual (z {n5}, limit {n6})")
    counted = {"n": usual.past, "n2": f"{middle:,}", "n3": f"{low:,}", "n4": f"{high:,}", "n5": f"{found:.1f}", "n6": f"{z:g}"}
    usually = usually.format(weekday=_(WEEKDAYS[day.weekday()]), **counted)
    return "; ".join([now, usually, *map(_, FEW if found < 0 else MANY)])


def _odd_shares(run_date: dt.date, metrics: pd.DataFrame, limits: Quality) -> Found:
    """Warn of shares that are unusual against earlier runs."""
    known = sorted(row for row in zip(*(metrics[name].tolist() for name in MEASURE), strict=True) if row[2] <= run_date)
    measures = [list(rows) for _, rows in groupby(known, itemgetter(0, 1))]
    for kind, share in SHARES.items():
        for *past, today in (rows for rows in measures if rows[0][0] == share.metric and rows[-1][2] == run_date):
            row, values = dict(zip(MEASURE, today, strict=True)), [value for _, _, _, value, _ in past]
            if len(past) >= limits.history and (said := _odd_share(share, row, values, limits.z)):
                yield kind, said


def _odd_share(share: Share, row: Mapping[str, Any], past: Sequence[float], z: float) -> str:
    """Return a sentence if a share is unusual, else an empty text."""
    usual = usual_share(past, row["checked"])
    low, high = max(usual.middle - z * usual.spread, 0.0), min(usual.middle + z * usual.spread, 1.0)
    if row["value"] <= high and not (share.low_too and row["value"] < low):
        return ""
    many = _(share.said).format(share=f"{row['value']:.1%}", n=f"{row['checked']:,}", column=row["column"])
    both = _("{n} earlier runs had about {share}, {share2} to {share3} is usual")
    one = _("{n} earlier runs had about {share}, up to {share3} is usual")
    shares = {"share": f"{usual.middle:.1%}", "share2": f"{low:.1%}", "share3": f"{high:.1%}"}
    return f"{many}; {(both if share.low_too else one).format(n=usual.past, **shares)}; {_(share.remedy)}"


def _lines(volume: pd.DataFrame) -> Counter[dt.date]:
    """Return the number of lines per invoice date."""
    days: Counter[dt.date] = Counter()
    for day, lines in zip(volume["InvoiceDate"], volume["lines"], strict=True):
        days[day] += int(lines)
    return days


def _recent(day: dt.date, run_date: dt.date, limits: Quality) -> bool:
    """Return True if a day is recent enough for a warning."""
    return day > run_date - limits.days * DAY


def _like(other: dt.date, day: dt.date) -> bool:
    """Return True if a day is an earlier one of the same weekday."""
    return other < day and other.weekday() == day.weekday()


def _closed(open_days: Sequence[bool]) -> bool:
    """Return True if a weekday is usually without sales."""
    return len(open_days) >= CLOSED and sum(open_days) * 2 < len(open_days)


# ── lines that several files hold ───────────────────────────────────────
LINE = ("InvoiceNo", "CustomerID", "InvoiceDate", "StockCode", "Quantity", "UnitPrice")
DOUBT = Decimal("0.005")  # of the revenue: a smaller doubt is none


class Repeated(NamedTuple):
    """Lines that two files hold, and their money."""

    one: str
    two: str
    lines: int
    amount: Decimal


def shared_days(run_date: dt.date, volume: pd.DataFrame) -> list[dt.date]:
    """Return the days of which both a run's file and another file hold sales, from ``daily_volume``."""
    own = volume.loc[volume["processing_date"] == run_date, "InvoiceDate"]
    held = volume.loc[volume["InvoiceDate"].isin(own), "InvoiceDate"]
    return sorted(held[held.duplicated()].unique())


def repeated_lines(silver: Any, run_date: dt.date, *, stock_code_pattern: str = Rules().stock_code_pattern) -> list[Repeated]:
    """Count lines of a run's files that other files hold too, per two files; `silver` has the rows of earlier runs as well."""
    rows = with_steps(silver, run_date, stock_code_pattern).with_columns(nw.col("processing_date").cast(nw.Date))
    kept = rows.filter(nw.col("Step") == COUNTED.name)
    lines, money, file, day = (nw.col(name) for name in ("lines", "TotalPrice", "source_file", "processing_date"))
    each = kept.group_by(*LINE, "source_file").agg(nw.len().alias("lines"), money.sum(), day.max())
    once = lines.max().alias("lines_once"), money.max().alias("money_once")
    same = each.group_by(*LINE).agg(lines.sum(), money.sum(), *once, day.max(), file.min().alias("one"), file.max().alias("two"))
    twice = same.filter(nw.col("one") != nw.col("two"), day == nw.lit(run_date))
    found = eager_rows(twice.group_by("one", "two").agg(nw.col("lines", "TotalPrice", "lines_once", "money_once").sum()))
    exact = [(exact_sum(row["TotalPrice"]), exact_sum(row["money_once"]), row) for row in found]
    pairs = (Repeated(row["one"], row["two"], int(row["lines"] - row["lines_once"]), all_ - one) for all_, one, row in exact)
    return sorted(pairs, key=lambda pair: (-pair.lines, pair.one, pair.two))


def overlaps(run_date: dt.date, twice: list[Repeated], volume: pd.DataFrame, currency: str = "") -> pd.DataFrame:
    """Return a row of ``run_warnings`` if the lines that count twice matter; `volume` is ``daily_volume``."""
    money, lines = sum(pair.amount for pair in twice), sum(pair.lines for pair in twice)
    matters = lines and money > DOUBT * volume.loc[volume["processing_date"] == run_date, "revenue"].sum()
    found = [("overlap", _said_twice(twice, lines, exact_amount(money, currency)), _(ONCE))] if matters else []
    return as_warnings(run_date, found)


ONCE = N_(
    'if they are the same sales, leave only the header in one of them and run with --restate, or set files.overlap = "once"'
)


def _said_twice(twice: list[Repeated], lines: int, money: str) -> str:
    """Say how many lines are in two files, naming the two that have most of them."""
    pairs = len(twice) - 1
    more = ngettext(" (and so in {n} other pair of files)", " (and so in {n} other pairs of files)", pairs, n=whole(pairs))
    return ngettext(
        "{n} line, {amount}, are in {file} and in {file2}{more}, and count twice",
        "{n} lines, {amount}, are in {file} and in {file2}{more}, and count twice",
        lines,
        n=whole(lines),
        amount=money,
        file=printable(twice[0].one),
        file2=printable(twice[0].two),
        more=more if pairs else "",
    )
