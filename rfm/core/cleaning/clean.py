"""Bronze to silver and quarantine: text becomes types, and every row is kept in one of the two.

Written once against narwhals, so a pandas frame gives pandas frames back, a Polars lazy frame lazy frames,
a DuckDB or Spark frame the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
from narwhals.typing import IntoFrameT

from rfm.core.cleaning.casts import calendar_date, cents, money, whole_number
from rfm.core.cleaning.expectations import EXPECTATIONS, Expectation
from rfm.core.cleaning.notation import in_plain
from rfm.core.cleaning.standins import cancelled, fits_header, quantity_and_cents, stand_ins
from rfm.core.cleaning.zones import local_day
from rfm.dialect import BLANKS, Dialect
from rfm.schema import LANDING_COLUMNS, TABLES, InputError

LARGEST_TOTAL = 10**12 - 1  # cents in DECIMAL(12,2)


def clean(
    bronze: IntoFrameT,
    expectations: tuple[Expectation, ...] | None = None,
    severities: Mapping[str, str] | None = None,
    dialect: Dialect = Dialect(),
) -> tuple[IntoFrameT, IntoFrameT]:
    """Type every row of bronze and part the good from the refused.

    Parameters
    ----------
    bronze
        Rows of ``retail_transactions_bronze`` in any frame that narwhals knows, eager or lazy. The columns
        that say where a row came from may be missing; they are carried on where they are there.
    expectations
        The rules; `EXPECTATIONS` if not given.
    severities
        Name of a rule and its severity, where it is not the rule's own: the shop's choice.
    dialect
        How the shop writes its lines, and which columns it has: ``settings.dialect``.

    Returns
    -------
    silver
        Rows that keep all rules of severity ``drop`` or ``fail``, typed as ``retail_transactions_silver``.
    quarantine
        The other rows, raw, with the names of the broken rules in ``failed_expectations``.

    Raises
    ------
    InputError
        If a column of the landing file is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> line = dict(Invoice="489434", StockCode="85048", Description="BALL", Quantity="12", Price="6.955",
    ...             CustomerID="13085.0", Country="EIRE", InvoiceDate="2025-06-26")
    >>> silver, quarantine = clean(pd.DataFrame([line, line | {"Quantity": "-1"}]))
    >>> silver[["CustomerID", "UnitPrice", "TotalPrice"]].to_dict("records")
    [{'CustomerID': '13085', 'UnitPrice': Decimal('6.96'), 'TotalPrice': Decimal('83.52')}]
    >>> quarantine["failed_expectations"].tolist()
    ['valid_quantity']
    """
    rows: Any = nw.from_native(judge(bronze, expectations, dialect))
    chosen = severities or {}
    names = [rule.name for rule in _rules(expectations) if chosen.get(rule.name, rule.severity) != "warn"]
    good = nw.all_horizontal(*(nw.col(name) for name in names), ignore_nulls=False)
    return _silver(rows.filter(good)).to_native(), _quarantine(rows.filter(~good), names).to_native()


def judge(bronze: IntoFrameT, expectations: tuple[Expectation, ...] | None = None, dialect: Dialect = Dialect()) -> IntoFrameT:
    """Type every row of bronze and hold it against every expectation.

    Parameters
    ----------
    bronze, expectations, dialect
        As for `clean`.

    Returns
    -------
    frame of the same kind
        Raw text under the prefix ``raw_``; the typed columns of silver, null where the text has no such
        value; prices in whole cents (``Cents``, ``TotalCents``); what the rules say of the row (``IsCancellation``,
        ``IsReturn``, ``InvoiceFits``, ``FitsHeader``); one boolean column an expectation.

    Examples
    --------
    >>> import rfm
    >>> judged = rfm.judge(rfm.example("retail_transactions_bronze"))
    >>> int((~judged["valid_quantity"]).sum())
    98
    """
    rows = _typed(_as_text(bronze), dialect)
    return rows.with_columns(**{rule.name: _verdict(rule, dialect) for rule in _rules(expectations)}).to_native()


def _rules(given: tuple[Expectation, ...] | None) -> tuple[Expectation, ...]:
    """Return the expectations to use; an empty tuple is a choice, None is not."""
    return EXPECTATIONS if given is None else given


def _verdict(rule: Expectation, dialect: Dialect) -> nw.Expr:
    """Return whether a row keeps a rule, never null; a rule about a column that the files do not have is kept."""
    if rule.asks and not getattr(dialect.columns, rule.asks):
        return nw.lit(True)
    return nw.when(rule.passes).then(nw.lit(True)).otherwise(nw.lit(False))


def _typed(raw: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Keep the raw text under the prefix ``raw_`` and add the typed columns."""
    form = dialect.format
    rows = in_plain(raw.rename({name: f"raw_{name}" for name in LANDING_COLUMNS.values()}), form)
    rows = rows.with_columns(
        InvoiceNo=_text("raw_Invoice"),
        StockCode=_text("raw_StockCode"),
        Description=_text("raw_Description"),
        Quantity=whole_number(nw.col("plain_Quantity")),
        Cents=cents(nw.col("plain_Price")),
        CustomerID=_present(nw.col("raw_CustomerID").str.strip_chars(BLANKS).str.replace_all(r"[.]0$", "")),
        Country=_text("raw_Country"),
        InvoiceDate=calendar_date(nw.col("plain_InvoiceDate")),
    )
    rows = local_day(rows, form.timezone) if form.timezone else rows
    rows = rows.drop("plain_Quantity", "plain_Price", "plain_InvoiceDate").with_columns(**stand_ins(dialect.columns))
    return _ruled(rows, dialect).with_columns(TotalCents=_total(nw.col("Quantity"), nw.col("Cents")))


def _ruled(rows: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Add what the shop's rules say of a typed row."""
    names = rows.collect_schema().names()
    rows = rows.with_columns(
        IsCancellation=cancelled(dialect, names),
        InvoiceFits=nw.col("InvoiceNo").str.contains(dialect.rules.invoice_pattern) if dialect.columns.invoice else nw.lit(True),
        FitsHeader=fits_header(dialect.columns, names),
    ).with_columns(**quantity_and_cents(dialect))
    returned = nw.col("IsCancellation") & (nw.col("Quantity") < 0) if dialect.rules.keeps_returns else nw.lit(False)
    return rows.with_columns(IsReturn=returned)


def _total(quantity: nw.Expr, cents: nw.Expr) -> nw.Expr:
    """Return quantity × cents, null beyond the contract; held against it as floats, which do not overflow."""
    fits = (quantity.cast(nw.Float64) * cents.cast(nw.Float64)).is_between(-LARGEST_TOTAL, LARGEST_TOTAL)
    return nw.when(fits).then(quantity) * cents


def _as_text(bronze: Any) -> nw.LazyFrame:
    """Return a lazy frame whose landing columns are text with true nulls."""
    present = nw.from_native(bronze).collect_schema().names()
    if missing := [name for name in LANDING_COLUMNS.values() if name not in present]:
        raise InputError(f"bronze lacks {len(missing)} column(s): {', '.join(missing)}; rename the file's columns to these")
    if hasattr(type(bronze), "convert_dtypes"):
        bronze = _arrow(bronze)
    return nw.from_native(bronze).with_columns(nw.col(*LANDING_COLUMNS.values()).cast(nw.String))


def _arrow(bronze: Any) -> Any:
    """Return a pandas frame with Arrow types, where a missing text is null, not NaN, and text is text even without a row."""
    bronze = bronze.convert_dtypes(dtype_backend="pyarrow")
    return bronze.astype(dict.fromkeys(LANDING_COLUMNS.values(), "large_string[pyarrow]"))


def _text(name: str) -> nw.Expr:
    """Return a text column without blanks around it, null where nothing is left."""
    return _present(nw.col(name).str.strip_chars(BLANKS))


def _present(text: nw.Expr) -> nw.Expr:
    """Return null for an empty text."""
    return nw.when(text != "").then(text)


def _silver(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Return the columns of silver from judged rows that keep every rule."""
    weekday = nw.col("InvoiceDate").dt.weekday()  # 1 = Monday … 7 = Sunday; on Spark Sunday may be 0
    rows = rows.with_columns(
        Quantity=nw.col("Quantity").cast(nw.Int32),
        UnitPrice=money(nw.col("Cents"), 10),
        TotalPrice=money(nw.col("TotalCents"), 12),
        Year=nw.col("InvoiceDate").dt.year().cast(nw.Int32),
        Month=nw.col("InvoiceDate").dt.month().cast(nw.Int32),
        DayOfWeek=(weekday - (weekday // 7) * 7 + 1).cast(nw.Int32),
        SurrogateKey=nw.concat_str("InvoiceNo", "StockCode", nw.col("Quantity").cast(nw.String), separator="_"),
    )
    return rows.select(_present_columns(rows, "retail_transactions_silver"))


def _quarantine(rows: nw.LazyFrame, names: list[str]) -> nw.LazyFrame:
    """Return the raw columns of judged rows and the names of the rules they break."""
    broken = (nw.when(~nw.col(name)).then(nw.lit(name)) for name in names)
    rows = rows.with_columns(failed_expectations=nw.concat_str(*broken, separator=",", ignore_nulls=True))
    rows = rows.drop(*(name for name in LANDING_COLUMNS.values() if name in rows.collect_schema().names()))
    rows = rows.rename({f"raw_{name}": name for name in LANDING_COLUMNS.values()})
    return rows.select(_present_columns(rows, "retail_transactions_quarantine"))


def _present_columns(rows: nw.LazyFrame, table: str) -> list[str]:
    """Return the columns of a contract that a frame has, in the contract's order."""
    present = set(rows.collect_schema().names())
    return [name for name in TABLES[table].names if name in present]
