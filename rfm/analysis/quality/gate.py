"""The gate before gold, the reasons why rows are in quarantine, and the revenue from arrived lines to segments."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import narwhals as nw
import pandas as pd

from rfm.analysis.parsing import is_true
from rfm.contracts import dated_silver, eager
from rfm.dialect import AROUND, LANDING_COLUMNS, RAGGED, RAW, Rules
from rfm.errors import InputError
from rfm.words import N_


def guard(results: pd.DataFrame, comparison: pd.DataFrame, max_dropped_share: float, set_aside: int = 0) -> float:
    """Return the share of rows that silver dropped, from ``expectation_results`` and ``bronze_silver_dq_comparison``.

    Rows that were set aside are in the quarantine, but no line that failed: `set_aside` counts them.

    Raises
    ------
    InputError
        If a row fails an expectation of severity ``fail``, or more rows were dropped than `max_dropped_share` allows.

    Examples
    --------
    >>> import rfm
    >>> results, comparison = rfm.example("expectation_results"), rfm.example("bronze_silver_dq_comparison")
    >>> round(rfm.quality.guard(results, comparison, max_dropped_share=0.25), 3)
    0.025
    """
    if fatal := _broken(results, "fail"):
        raise InputError(f"stopped before gold: {fatal}; correct the files, or change the rule's severity")
    totals = comparison.groupby("layer")["total_records"].sum()
    rows, kept = int(totals.get("bronze", 0)) - set_aside, int(totals.get("silver", 0))
    share = (rows - kept) / rows if rows else 0.0
    if share > max_dropped_share:
        raise InputError(
            f"stopped before gold: {rows - kept} of {rows} rows dropped ({share:.1%}, limit {max_dropped_share:.0%}), "
            f"{_broken(results, 'drop')}; correct the files, or how they are read (see `rfm check`), not rules.max_dropped_share"
        )
    return share


def set_aside(quarantine: Any) -> int:
    """Return how many quarantined rows are no sales lines, such as titles and totals."""
    rows: Any = nw.from_native(quarantine)
    around = nw.col("_rescued_data").cast(nw.String).str.contains(AROUND)
    counted = rows.filter(around).select(nw.len().alias("rows"))
    return int(eager_rows(counted)[0]["rows"])


def _broken(results: pd.DataFrame, severity: str) -> str:
    """Return the failed expectations of a severity with their counts, largest first."""
    broken = results[(results["severity"] == severity) & (results["failed"] > 0)]
    counts = broken.groupby("expectation")["failed"].sum().sort_values(ascending=False)
    return ", ".join(f"{name} by {count} row(s)" for name, count in counts.items())


# The reason of rows with too few or too many fields, whatever other rules they fail.
FITS_HEADER = "fits_header"


class QuarantineReason(NamedTuple):
    """A rule, the number of quarantined rows that fail it, and the raw columns of one of them."""

    rule: str
    rows: int
    example: dict[str, Any]


def quarantine_reasons(quarantine: Any) -> list[QuarantineReason]:
    """Return the rules that quarantined rows fail, with counts and an example, largest first."""
    rows: Any = nw.from_native(quarantine)
    rows = rows.with_columns(_ragged=is_true(nw.col("_rescued_data").str.contains(RAGGED)))
    counts = eager(rows.group_by("failed_expectations", "_ragged").agg(nw.len().alias("rows")))
    found: dict[str, QuarantineReason] = {}
    for group in sorted(counts.iter_rows(named=True), key=lambda one: (-one["rows"], one["failed_expectations"])):
        same = nw.col("failed_expectations") == group["failed_expectations"], nw.col("_ragged") == group["_ragged"]
        example = _example(rows.filter(*same))
        for rule in [FITS_HEADER] if group["_ragged"] else group["failed_expectations"].split(","):
            before = found.get(rule, QuarantineReason(rule, 0, example))
            found[rule] = before._replace(rows=before.rows + group["rows"])
    return sorted(found.values(), key=lambda one: -one.rows)


def _example(rows: Any) -> dict[str, Any]:
    """Return the raw columns of one row, always the same one."""
    columns = ("source_file", *RAW, "_rescued_data")
    wanted = rows.select(*columns).sort(*columns, nulls_last=True).head(1)
    return dict(next(eager(wanted).iter_rows(named=True)))


# ── money ───────────────────────────────────────────────────────────────
LINE = [one.silver for one in LANDING_COLUMNS.values()]


class Step(NamedTuple):
    """A reason to leave a line out: name, label and condition; the first that holds counts."""

    name: str
    label: str
    taken: nw.Expr


OLDER = Step("older", N_("Orders as older files have them"), nw.lit(True))
QUARANTINED = (  # the steps of quarantined lines
    Step("unreadable", N_("Unreadable"), nw.col("TotalCents").is_null()),
    Step("returns", N_("Returns set aside"), nw.col("Quantity") < 0),
    Step("bad_prices", N_("Prices below 0"), nw.col("Cents") < 0),
    Step("other_rules", N_("Other broken rules"), nw.lit(True)),
)
COUNTED = Step("counted", N_("In the segments"), nw.lit(True))
NONE = (Decimal("0.00"), 0)  # amount and lines
NOTES = {"customer_returns": N_("Not taken off: returns"), "repeated": N_("Counted: repeated lines")}


def _kept_steps(as_of: dt.date, stock_code_pattern: str, revenue: str = "gross") -> tuple[Step, ...]:
    """Return the steps of the lines of silver; the last are those that count."""
    cancelled, unpaid = nw.col("IsCancellation"), nw.col("TotalPrice") >= 0
    return (
        Step("later", N_("After the run date"), nw.col("InvoiceDate") > nw.lit(as_of)),
        Step("guests", N_("Guests"), nw.col("CustomerID").is_null()),
        Step("cancellations", N_("Other cancellations"), cancelled & unpaid if revenue == "net" else cancelled),
        Step("non_products", N_("Postage, fees, vouchers"), ~nw.col("StockCode").str.contains(stock_code_pattern)),
        COUNTED,
    )


def money_flow(
    quarantined: Any,
    silver: Any,
    as_of: dt.date,
    *,
    stock_code_pattern: str = Rules().stock_code_pattern,
    revenue: Literal["gross", "net"] = "gross",
    written: Any = None,
) -> pd.DataFrame:
    """Follow the money of every arrived line to the revenue in the segments.

    Parameters
    ----------
    quarantined
        Judged rows of ``retail_transactions_quarantine``.
    silver
        Rows of ``retail_transactions_silver``. The other parameters are those of `rfm_metrics`.
    written
        Rows of silver with the orders of older files that a newer file has too, if `silver` is without them.

    Returns
    -------
    pandas.DataFrame
        Step, Label, Kind, Amount (exact) and Lines: one ``start`` (all readable lines), each ``step`` that leaves lines out,
        as the change it makes, and one ``end`` (Monetary of gold), to which they add up. A ``note`` is information only.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> quarantined = rfm.judge(rfm.example("retail_transactions_quarantine"))
    >>> flow = rfm.quality.money_flow(quarantined, rfm.example("retail_transactions_silver"), datetime.date(2025, 10, 23))
    >>> flow[flow["Lines"] != 0][["Label", "Kind", "Amount", "Lines"]].head(4)
                    Label   Kind    Amount  Lines
    0  Lines that arrived  start  56861.03   3998
    2   Returns set aside   step   1757.27    -98
    3      Prices below 0   step  38811.55     -1
    6              Guests   step  -4406.44   -762
    """
    judged: Any = nw.from_native(quarantined)
    steps = _kept_steps(as_of, stock_code_pattern, revenue)
    kept = dated_silver(silver).with_columns(Step=_step(steps))
    left = _sums(judged.with_columns(Step=_step(QUARANTINED)), "TotalCents") | _sums(kept, "TotalPrice")
    if written is not None:
        (both,) = _sums(nw.from_native(written).with_columns(Step=nw.lit("")), "TotalPrice").values()
        here = [sum(each) for each in zip(NONE, *_sums(kept, "TotalPrice").values(), strict=True)]
        left["older"] = (both[0] - here[0], both[1] - here[1])
    changes = [(step, *left.get(step.name, NONE)) for step in (*[OLDER] * ("older" in left), *QUARANTINED, *steps[:-1])]
    out = [(step.name, step.label, "step", NONE[0] - amount, -lines) for step, amount, lines in changes]
    total = tuple(sum(values) for values in zip(NONE, *left.values(), strict=True))
    amount, lines = left.get(COUNTED.name, NONE)
    counted = kept.filter(nw.col("Step") == COUNTED.name)
    if (beyond := _beyond(counted)) or revenue == "net":  # Monetary does not fall below 0
        out, amount = [*out, ("beyond", N_("Returns beyond purchases"), "step", beyond, 0)], amount + beyond
    end = (COUNTED.name, COUNTED.label, "end", amount, lines)
    noted = _notes(judged, kept, counted, stock_code_pattern)
    notes = [(name, label, "note", *noted[name]) for name, label in NOTES.items()]
    found = [("arrived", N_("Lines that arrived"), "start", *total), *out, end, *notes]
    return pd.DataFrame(found, columns=["Step", "Label", "Kind", "Amount", "Lines"])


def _step(steps: tuple[Step, ...]) -> nw.Expr:
    """Return the name of the first step that holds for a line."""
    chosen = nw.lit(steps[-1].name)
    for step in reversed(steps[:-1]):
        chosen = nw.when(step.taken).then(nw.lit(step.name)).otherwise(chosen)
    return chosen


def with_steps(silver: Any, as_of: dt.date, stock_code_pattern: str, revenue: str = "gross") -> Any:
    """Return rows of silver with the name of the step that leaves each out, or of the lines that count."""
    return dated_silver(silver).with_columns(Step=_step(_kept_steps(as_of, stock_code_pattern, revenue)))


def _sums(rows: Any, amount: str) -> dict[str, tuple[Decimal, int]]:
    """Return the amount and number of lines of each step."""
    summed = rows.group_by("Step").agg(nw.col(amount).sum().alias("Amount"), nw.len().alias("Lines"))
    return {row["Step"]: (exact_sum(row["Amount"], amount), int(row["Lines"])) for row in eager_rows(summed)}


def _beyond(counted: Any) -> Decimal:
    """Return the amount of returns beyond purchases, which Monetary does not subtract."""
    customers = counted.filter(nw.col("TotalPrice") < 0).select("CustomerID").unique()
    customers = (
        counted.join(customers, on="CustomerID", how="inner")
        .group_by("CustomerID")
        .agg(nw.col("TotalPrice").sum().alias("Amount"))
    )
    return sum((max(-Decimal(row["Amount"]), Decimal(0)) for row in eager_rows(customers)), NONE[0])


def _notes(judged: Any, kept: Any, counted: Any, stock_code_pattern: str) -> dict[str, tuple[Decimal, int]]:
    """Return amount and lines of the notes: returns of known customers, and counted lines that repeat another."""
    product = nw.col("StockCode").str.contains(stock_code_pattern)
    back = judged.filter(nw.col("Quantity") < 0, ~nw.col("TotalCents").is_null(), ~nw.col("CustomerID").is_null(), product)
    returns = kept.filter(nw.col("Step") == "cancellations", nw.col("TotalPrice") < 0, product)
    parts = _sums(back.with_columns(Step=nw.lit("quarantine")), "TotalCents") | _sums(returns, "TotalPrice")
    returned = (sum((amount for amount, _ in parts.values()), NONE[0]), sum(lines for _, lines in parts.values()))
    lines = counted.group_by(*LINE).agg(nw.len().alias("Lines"), nw.col("TotalPrice").max().alias("Amount"))
    twice = [(row["Amount"], int(row["Lines"]) - 1) for row in eager_rows(lines.filter(nw.col("Lines") > 1))]
    repeated = (sum((amount * more for amount, more in twice), NONE[0]), sum(more for _, more in twice))
    return dict(zip(NOTES, (returned, repeated), strict=True))


def eager_rows(found: Any) -> list[dict[str, Any]]:
    """Return a small result as dictionaries."""
    return list(eager(found).iter_rows(named=True))


def exact_sum(value: Any, amount: str = "TotalPrice") -> Decimal:
    """Return a sum as an exact amount; null is 0."""
    if value is None or value != value:
        return NONE[0]
    return Decimal(int(value)).scaleb(-2) if amount == "TotalCents" else Decimal(value)
