"""What stands for columns that a shop's files do not have, and what tells a cancellation and a line that did not fit."""

from __future__ import annotations

import narwhals as nw

from rfm.dialect import FLAG, RAGGED, YES, Columns, Dialect

NO_PRODUCT = "-"
GUEST = "guest"


def stand_ins(columns: Columns) -> dict[str, nw.Expr]:
    """Return invoice and product: where the files have none, one invoice a customer and day, and no product but all.

    Parameters
    ----------
    columns
        What the files call their columns; descriptions and countries are missing where the files have none.
    """
    day = nw.when(~nw.col("InvoiceDate").is_null()).then(nw.col("InvoiceDate").cast(nw.String)).otherwise(nw.lit(""))
    customer = nw.when(~nw.col("CustomerID").is_null()).then(nw.col("CustomerID")).otherwise(nw.lit(GUEST))
    return {
        "InvoiceNo": nw.col("InvoiceNo") if columns.invoice else nw.concat_str(customer, day, separator=" "),
        "StockCode": nw.col("StockCode") if columns.stock_code else nw.lit(NO_PRODUCT),
    }


def cancelled(dialect: Dialect, names: list[str]) -> nw.Expr:
    """Return whether a line is a cancellation, by the rule of the shop.

    Parameters
    ----------
    dialect
        The rule, and which columns there are.
    names
        Columns of the frame.
    """
    columns, rules = dialect.columns, dialect.rules
    below = nw.col("Quantity" if columns.quantity else "Cents") < 0
    flagged = f'^[{{]"{FLAG}": "(?i: *(?:{YES}) *)"'
    found = {
        "prefix": nw.col("InvoiceNo").str.contains(rules.cancellation_pattern) if columns.invoice else nw.lit(False),
        "negative": below,
        "flag": nw.col("_rescued_data").cast(nw.String).str.contains(flagged) if "_rescued_data" in names else nw.lit(False),
    }
    return nw.when(found[rules.cancellation]).then(nw.lit(True)).otherwise(nw.lit(False))


def quantity_and_cents(dialect: Dialect) -> dict[str, nw.Expr]:
    """Return quantity and price: without a quantity one piece for the amount, one returned where that is below 0.

    Parameters
    ----------
    dialect
        Whether the files have quantities and prices, and whether returns are kept; a piece without a price costs 1.
    """
    cents = nw.col("Cents") if dialect.columns.price else nw.lit(100).cast(nw.Int64)
    if dialect.columns.quantity:
        return {"Quantity": nw.col("Quantity"), "Cents": cents}
    returned = nw.col("IsCancellation") & (nw.col("Cents") < 0) if dialect.rules.keeps_returns else nw.lit(False)
    one = nw.when(returned).then(nw.lit(-1)).otherwise(nw.lit(1)).cast(nw.Int64)
    return {"Quantity": one, "Cents": nw.when(returned).then(-nw.col("Cents")).otherwise(cents)}


def fits_header(columns: Columns, names: list[str]) -> nw.Expr:
    """Return whether a line has the fields of its header; of a shop's own header, further columns are no fault.

    Parameters
    ----------
    columns, names
        As for `cancelled`.
    """
    if "_rescued_data" not in names:
        return nw.lit(True)
    text = nw.col("_rescued_data").cast(nw.String)
    odd = text.str.contains(RAGGED) if columns.own else ~text.is_null()
    return nw.when(odd).then(nw.lit(False)).otherwise(nw.lit(True))
