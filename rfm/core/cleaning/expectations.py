"""The expectations: rules that every row is held against, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import narwhals as nw

Severity = Literal["drop", "warn", "fail"]

LARGEST_PRICE = 10**10 - 1  # cents in DECIMAL(10,2)


@dataclass(frozen=True)
class Expectation:
    """A rule that every row is held against.

    Parameters
    ----------
    name
        As it stands in the quarantine's ``failed_expectations``.
    meaning
        The rule in words.
    passes
        Expression over the typed columns (see `judge`); a null counts as broken.
    severity
        ``drop`` puts the row into the quarantine, ``warn`` counts it, ``fail`` quarantines it and stops the run before gold.
    asks
        Name in ``[columns]`` of what the rule asks for: files without such a column are not asked.
    """

    name: str
    meaning: str
    passes: nw.Expr
    severity: Severity = "drop"
    asks: str = ""


EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation("valid_invoice_no", "6 or 7 characters, or as the shop says", nw.col("InvoiceFits")),
    Expectation("valid_stock_code", "not missing", ~nw.col("StockCode").is_null()),
    Expectation("valid_quantity", "a whole number above 0, or a return", (nw.col("Quantity") > 0) | nw.col("IsReturn")),
    Expectation("valid_unit_price", "a price of 0 or more", nw.col("Cents").is_between(0, LARGEST_PRICE)),
    Expectation("valid_invoice_date", "a day of the calendar", ~nw.col("InvoiceDate").is_null()),
    Expectation(
        "valid_total_price",
        "Quantity × UnitPrice has at most 12 digits",
        ~nw.col("TotalCents").is_null() | nw.col("Quantity").is_null() | nw.col("Cents").is_null(),
    ),
    Expectation(
        "known_country",
        "neither missing nor 'Unspecified'",
        ~nw.col("Country").is_null() & (nw.col("Country") != "Unspecified"),
        "warn",
        "country",
    ),
    Expectation("complete_customer_id", "a customer, not a guest", ~nw.col("CustomerID").is_null(), "warn"),
)

SEVERITIES: dict[str, Severity] = {rule.name: rule.severity for rule in EXPECTATIONS}
