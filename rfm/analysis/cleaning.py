"""Bronze to silver: cast raw text to typed columns and split the rows into valid and quarantined ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import narwhals as nw
from narwhals.typing import IntoFrameT

from rfm.analysis.dates import calendar_date, local_day
from rfm.analysis.meaning import LARGEST_PRICE, invoice_and_product, priced, with_extras, with_flags
from rfm.analysis.parsing import customer_id, is_true, money, normalize, numbers
from rfm.config import severities
from rfm.contracts import SILVER, TABLES
from rfm.dialect import BLANKS, LANDING_COLUMNS, RAGGED, RAW, Columns, Dialect
from rfm.errors import InputError

# ── expectations ────────────────────────────────────────────────────────
Severity = Literal["drop", "warn", "fail"]


@dataclass(frozen=True)
class Expectation:
    """A rule for every row: what a valid row has, what happens to one that fails, which raw column it checks; a null fails."""

    name: str
    meaning: str
    passes: nw.Expr
    severity: Severity = "drop"
    column: str = ""
    optional: str = ""  # field of `Columns`; every row passes if the shop has no such column


EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation("valid_invoice_no", "6 or 7 characters, or as the shop says", nw.col("InvoiceFits"), column="Invoice"),
    Expectation("valid_stock_code", "not missing", ~nw.col("StockCode").is_null(), column="StockCode"),
    Expectation(
        "valid_quantity", "a whole number above 0, or a return", (nw.col("Quantity") > 0) | nw.col("IsReturn"), column="Quantity"
    ),
    Expectation("valid_unit_price", "a price of 0 or more", nw.col("Cents").is_between(0, LARGEST_PRICE), column="Price"),
    Expectation("valid_invoice_date", "a day of the calendar", ~nw.col("InvoiceDate").is_null(), column="InvoiceDate"),
    Expectation(
        "valid_total_price",
        "Quantity × UnitPrice has at most 12 digits",
        ~nw.col("TotalCents").is_null() | nw.col("Quantity").is_null() | nw.col("Cents").is_null(),
        column="Price",
    ),
    Expectation(
        "known_country",
        "neither missing nor 'Unspecified'",
        ~nw.col("Country").is_null() & (nw.col("Country") != "Unspecified"),
        "warn",
        column="Country",
        optional="country",
    ),
    Expectation("complete_customer_id", "a customer, not a guest", ~nw.col("CustomerID").is_null(), "warn", "CustomerID"),
)

SEVERITIES: dict[str, Severity] = {rule.name: rule.severity for rule in EXPECTATIONS}

FURTHER = {  # rules of shops with these columns: any of them switches the rule on
    ("status", "line_type"): Expectation("known_status", "its status and type are in a list of [rules]", nw.col("KnownStatus")),
    ("currency",): Expectation("known_currency", "its currency has a rate in [currencies]", nw.col("KnownCurrency")),
    ("refunded", "discount"): Expectation("valid_amounts", "amounts paid back or taken off are numbers", nw.col("AmountsFit")),
}


def expectations_of(dialect: Dialect) -> tuple[Expectation, ...]:
    """Return the rules for the lines of a shop: those of all shops, and those of its further columns."""
    return (*EXPECTATIONS, *(rule for names, rule in FURTHER.items() if dialect.columns.extras.keys() & names))


def severities_of(dialect: Dialect, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the severity of each rule for the lines of a shop, with those that it chose itself first."""
    return severities({rule.name: rule.severity for rule in expectations_of(dialect)}, chosen)


_STRINGS = {column.name for column in TABLES[SILVER].columns if column.type == "STRING"}
TEXTS = {one.silver: one.bronze for one in LANDING_COLUMNS.values() if one.silver in _STRINGS}  # trimmed text, from bronze


# ── casts and rules ─────────────────────────────────────────────────────
def clean(
    bronze: IntoFrameT,
    expectations: tuple[Expectation, ...] | None = None,
    severities: Mapping[str, str] | None = None,
    dialect: Dialect = Dialect(),
) -> tuple[IntoFrameT, IntoFrameT]:
    """Cast bronze rows to typed columns; return valid rows and quarantined rows.

    Parameters
    ----------
    bronze
        Rows of ``retail_transactions_bronze`` in any frame that narwhals supports, eager or lazy; the columns about the
        origin of a row are optional. InputError if a column of the landing file is missing.
    severities
        Severity by rule name, where it differs from the rule's own.
    dialect
        How the shop writes its lines and which columns it has: ``settings.dialect``.

    Returns
    -------
    silver
        Rows that pass all rules of severity ``drop`` or ``fail``, typed as ``retail_transactions_silver``.
    quarantine
        The other rows, raw, with the names of the failed rules in ``failed_expectations``.

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
    rules = expectations_of(dialect) if expectations is None else expectations
    names = [rule.name for rule in rules if chosen.get(rule.name, rule.severity) != "warn"]
    valid = nw.all_horizontal(*(nw.col(name) for name in names), ignore_nulls=False)
    return _silver(rows.filter(valid)).to_native(), _quarantine(rows.filter(~valid), names).to_native()


def judge(bronze: IntoFrameT, expectations: tuple[Expectation, ...] | None = None, dialect: Dialect = Dialect()) -> IntoFrameT:
    """Cast bronze rows to typed columns and add one boolean column per expectation; parameters as for `clean`.

    The result has the raw text with the prefix ``raw_``; the typed columns of silver, null where the text has no valid
    value; prices in whole cents (``Cents``, ``TotalCents``); the flags ``IsCancellation``, ``IsReturn``, ``InvoiceFits`` and
    ``FitsHeader``; and one boolean column per expectation, never null.

    Examples
    --------
    >>> import rfm
    >>> judged = rfm.judge(rfm.example("retail_transactions_bronze"))
    >>> int((~judged["valid_quantity"]).sum())
    98
    """
    rules = expectations_of(dialect) if expectations is None else expectations
    rows = _typed(_as_text(bronze), dialect)
    return rows.with_columns(**{rule.name: _passes(rule, dialect) for rule in rules}).to_native()


def _passes(rule: Expectation, dialect: Dialect) -> nw.Expr:
    """Evaluate a rule to a non-null boolean; a rule on an absent column passes."""
    if rule.optional and not getattr(dialect.columns, rule.optional):
        return nw.lit(True)
    return is_true(rule.passes)


def _typed(raw: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Rename raw text to ``raw_…`` and add the typed columns."""
    form = dialect.format
    rows = normalize(raw.rename({name: f"raw_{name}" for name in RAW}), form)
    rows = rows.with_columns(**{silver: _text(f"raw_{bronze}") for silver, bronze in TEXTS.items()})
    rows = numbers(rows, form).with_columns(
        CustomerID=customer_id(nw.col("raw_CustomerID"), dialect.customers),
        InvoiceDate=calendar_date(nw.col("plain_InvoiceDate")),
    )
    rows = local_day(rows, form.timezone) if form.timezone else rows
    rows = rows.drop("plain_Quantity", "plain_Price", "plain_InvoiceDate").with_columns(
        **invoice_and_product(dialect), FitsHeader=_fits_header(dialect.columns, raw.collect_schema().names())
    )
    return priced(with_flags(with_extras(rows, dialect), dialect), dialect)


def _as_text(bronze: Any) -> nw.LazyFrame:
    """Return bronze with its landing columns as text and nulls."""
    present = nw.from_native(bronze).collect_schema().names()
    if missing := [name for name in RAW if name not in present]:
        raise InputError(f"bronze lacks {len(missing)} column(s): {', '.join(missing)}; rename the file's columns to these")
    if hasattr(type(bronze), "convert_dtypes"):
        # pandas with Arrow types: missing text is null, not NaN, and a column without rows is text too
        bronze = bronze.convert_dtypes(dtype_backend="pyarrow")
        bronze = bronze.astype(dict.fromkeys(RAW, "large_string[pyarrow]"))
    return nw.from_native(bronze).with_columns(nw.col(*RAW).cast(nw.String))


def _text(name: str) -> nw.Expr:
    """Strip blanks around text; null if it is empty then."""
    text = nw.col(name).str.strip_chars(BLANKS)
    return nw.when(text != "").then(text)


def _silver(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Return the columns of silver from judged rows that pass."""
    # 1 = Monday … 7 = Sunday, but Sunday is 0 on some engines
    weekday = nw.col("InvoiceDate").dt.weekday()
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
    """Return the raw columns of judged rows that fail, with the names of the rules."""
    broken = (nw.when(~nw.col(name)).then(nw.lit(name)) for name in names)
    rows = rows.with_columns(failed_expectations=nw.concat_str(*broken, separator=",", ignore_nulls=True))
    rows = rows.drop(*(name for name in RAW if name in rows.collect_schema().names()))
    rows = rows.rename({f"raw_{name}": name for name in RAW})
    return rows.select(_present_columns(rows, "retail_transactions_quarantine"))


def _present_columns(rows: nw.LazyFrame, table: str) -> list[str]:
    """Return the columns of a table that a frame has, in the table's order."""
    present = set(rows.collect_schema().names())
    return [name for name in TABLES[table].names if name in present]


_BY_THE_READER = '^[{]"_(?:order_line|filled)": '  # what the reader noted, in files with the columns of the example


def _fits_header(columns: Columns, names: list[str]) -> nw.Expr:
    """Return True for a line with the fields of its header; a shop that names its columns may have further ones."""
    if "_rescued_data" not in names:
        return nw.lit(True)
    text = nw.col("_rescued_data").cast(nw.String)
    odd = text.str.contains(RAGGED) if columns.own else ~text.is_null() & ~text.str.contains(_BY_THE_READER)
    return ~is_true(odd)
