"""What a line means: which number and product it has, whether it was sold, paid back or reduced, and what it counts."""

from __future__ import annotations

import narwhals as nw

from rfm.analysis.parsing import amounts, extra, half_up, is_true, sign_of, whole_cents
from rfm.dialect import BLANKS, DISCOUNT_LINE, EXTRA_KEYS, FLAG, OTHER_LINE, YES, Dialect, Rules

LARGEST_PRICE, LARGEST_TOTAL = 10**10 - 1, 10**12 - 1  # cents in DECIMAL(10,2) and DECIMAL(12,2)


def invoice_and_product(dialect: Dialect) -> dict[str, nw.Expr]:
    """Return invoice and product; without such a column one invoice per customer and day, and the product ``-``."""
    columns, code = dialect.columns, nw.col("StockCode")
    day = nw.when(~nw.col("InvoiceDate").is_null()).then(nw.col("InvoiceDate").cast(nw.String)).otherwise(nw.lit(""))
    customer = nw.when(~nw.col("CustomerID").is_null()).then(nw.col("CustomerID")).otherwise(nw.lit("guest"))
    named = code if dialect.rules.code_required else nw.when(~code.is_null()).then(code).otherwise(nw.lit("-"))
    return {
        "InvoiceNo": nw.col("InvoiceNo") if columns.invoice else nw.concat_str(customer, day, separator=" "),
        "StockCode": named if columns.stock_code else nw.lit("-"),
    }


def with_extras(rows: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Add what further columns say: NotSold, Refund, Rate, amounts that lower a line, whether it is the order's first."""
    rules, found, rescued = dialect.rules, dialect.columns.extras, "_rescued_data" in rows.collect_schema().names()
    rows = rows.with_columns(NotSold=nw.lit(False), Refund=nw.lit(False))
    if rules.order_total or rules.order_amounts and {"refunded", "discount"} & found.keys():
        rows = rows.with_columns(FirstLine=(extra("_order_line") if rescued else nw.lit("")).is_in(["", "1"]))
    texts = {name: extra(EXTRA_KEYS[name]) if rescued else nw.lit("") for name in found if name != FLAG}
    if not texts:
        return rows
    rows = rows.with_columns(**{f"of_{name}": text.str.strip_chars(BLANKS) for name, text in texts.items()})
    if states := [nw.col(f"of_{name}").str.to_lowercase() for name in ("status", "line_type") if name in found]:
        lists = {
            "KnownStatus": [*rules.sold, *rules.not_sold, *rules.refunds],
            "NotSold": rules.not_sold,
            "Refund": rules.refunds,
        }
        within = {name: [state.is_in(values) for state in states] for name, values in lists.items()}
        known, *either = within.items()
        flags = {name: nw.any_horizontal(*tests, ignore_nulls=False) for name, tests in either}
        rows = rows.with_columns(**flags, KnownStatus=nw.all_horizontal(*known[1], ignore_nulls=False))
        rows = rows.with_columns(Refund=nw.col("Refund") & ~nw.col("NotSold"))
    if "currency" in found:
        rate: nw.Expr = nw.lit(None, nw.Float64)
        for code, worth in dialect.currencies.items():
            rate = nw.when(nw.col("of_currency").str.to_lowercase() == code.lower()).then(nw.lit(float(worth))).otherwise(rate)
        rows = rows.with_columns(Rate=rate).with_columns(KnownCurrency=~nw.col("Rate").is_null())
    taken_off = [f"of_{name}" for name in ("refunded", "discount") if name in found]
    return amounts(rows, taken_off, dialect.format) if taken_off else rows


def with_flags(rows: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Add the flags IsCancellation, IsReturn and InvoiceFits, and quantity and price in the shop's terms."""
    rules, columns, names = dialect.rules, dialect.columns, rows.collect_schema().names()
    fits = nw.col("InvoiceNo").str.contains(rules.invoice_pattern) if columns.invoice else nw.lit(True)
    cancelled = _is_cancellation(dialect, names) | nw.col("NotSold") | nw.col("Refund")
    rows = rows.with_columns(IsCancellation=cancelled, InvoiceFits=fits)
    rows = rows.with_columns(**_quantity_and_cents(dialect))
    if rules.refunds or rules.not_sold or rules.cancellation == "negative":
        rows = rows.with_columns(**_signed(rules, [name for name in ("Cents", "Millionths") if name in names]))
    returned = nw.col("IsCancellation") & (nw.col("Quantity") < 0) if rules.keeps_returns else nw.lit(False)
    return _numbered(rows.with_columns(IsReturn=returned), dialect)


def _is_cancellation(dialect: Dialect, names: list[str]) -> nw.Expr:
    """Return True for a cancellation, by the shop's rule."""
    columns, rules = dialect.columns, dialect.rules
    flagged = f'^[{{]"{FLAG}": "(?i: *(?:{YES}) *)"'
    below = [nw.col(name) < 0 for name, there in (("Quantity", columns.quantity), ("Cents", columns.price)) if there]
    prefixed = columns.invoice and rules.cancellation_pattern
    found = {
        "prefix": nw.col("InvoiceNo").str.contains(rules.cancellation_pattern) if prefixed else nw.lit(False),
        "negative": nw.any_horizontal(*below, ignore_nulls=True) if below else nw.lit(False),
        "flag": nw.col("_rescued_data").cast(nw.String).str.contains(flagged) if "_rescued_data" in names else nw.lit(False),
        "none": nw.lit(False),
    }
    return is_true(found[rules.cancellation])


def _quantity_and_cents(dialect: Dialect) -> dict[str, nw.Expr]:
    """Return quantity and price; without a quantity column one piece, and −1 for a return, which has an amount below 0."""
    cents = nw.col("Cents") if dialect.columns.price else nw.lit(100).cast(nw.Int64)
    if dialect.columns.quantity:
        return {"Quantity": nw.col("Quantity"), "Cents": cents}
    returned = nw.col("IsCancellation") & (nw.col("Cents") < 0) if dialect.rules.keeps_returns else nw.lit(False)
    return {"Quantity": sign_of(returned).cast(nw.Int64), "Cents": nw.when(returned).then(-nw.col("Cents")).otherwise(cents)}


def _signed(rules: Rules, prices: list[str]) -> dict[str, nw.Expr]:
    """Return quantity and prices with the sign that their line means: refunds are below 0, what was not sold is not."""
    back = nw.col("Refund")
    if rules.cancellation == "negative":
        back = back | nw.col("IsCancellation") & ~nw.col("NotSold")
    forced, pieces = back | nw.col("NotSold"), nw.col("Quantity").abs()
    quantity = nw.when(back).then(-pieces).otherwise(nw.when(nw.col("NotSold")).then(pieces).otherwise(nw.col("Quantity")))
    sizes = {name: nw.when(forced).then(nw.col(name).abs()).otherwise(nw.col(name)) for name in prices}
    return {"Quantity": quantity, **sizes}


def _numbered(rows: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Make order numbers unique where they start again: each period and each store has its own."""
    number = nw.col("InvoiceNo")
    width = {"never": 0, "year": 4, "month": 7, "day": 10}[dialect.rules.invoice_restarts]
    if width and dialect.columns.invoice:
        period = nw.col("InvoiceDate").cast(nw.String).str.slice(0, width)
        dated = nw.concat_str(number, period, separator=" ")
        rows = rows.with_columns(InvoiceNo=nw.when(~nw.col("InvoiceDate").is_null()).then(dated).otherwise(number))
    if dialect.columns.store:
        store = nw.col("of_store")
        rows = rows.with_columns(
            InvoiceNo=nw.when(store != "").then(nw.concat_str(number, store, separator=" ")).otherwise(number)
        )
    return rows


def priced(rows: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Add TotalCents, what the line counts: quantity × price, less what further lines and columns take off."""
    quantity, price, names = nw.col("Quantity"), nw.col("Cents"), rows.collect_schema().names()
    # compared as floats, because the product of integers may overflow
    fits = (quantity.cast(nw.Float64) * price.cast(nw.Float64)).abs() <= LARGEST_TOTAL
    total: nw.Expr = nw.when(fits).then(quantity) * price
    if "Millionths" in names:
        total = half_up(nw.when(fits).then(quantity) * nw.col("Millionths"), 10_000)
    if dialect.rules.order_total:
        total = nw.when(nw.col("FirstLine")).then(sign_of(quantity < 0) * price).otherwise(nw.lit(0)).cast(nw.Int64)
    rows = rows.with_columns(TotalCents=total)
    rows = _other_lines(rows, dialect.rules)
    rows = _lowered(rows, dialect)
    if "Rate" in names:
        known = nw.col("KnownCurrency")
        worth = {name: whole_cents(nw.col(name).cast(nw.Float64) * nw.col("Rate")) for name in ("Cents", "TotalCents")}
        rows = rows.with_columns(nw.when(known).then(cents).otherwise(nw.col(name)).alias(name) for name, cents in worth.items())
    drop = [name for name in rows.collect_schema().names() if name.startswith(("of_", "has_"))]
    return rows.drop(*drop, *({"NotSold", "Refund", "Millionths", "Rate", "FirstLine"} & set(names)))


def _other_lines(rows: nw.LazyFrame, rules: Rules) -> nw.LazyFrame:
    """Let lines that are discounts lower their order, and give lines that are no products the code of such."""

    def named(pattern: str) -> nw.Expr:
        found = (nw.col(name).str.contains(pattern) for name in ("StockCode", "Description"))
        return is_true(nw.any_horizontal(*found, ignore_nulls=True))

    code, total = nw.col("StockCode"), nw.col("TotalCents")
    if rules.other_lines:
        rows = rows.with_columns(StockCode=nw.when(named(rules.other_lines)).then(nw.lit(OTHER_LINE)).otherwise(code))
    if rules.other_lines or rules.not_sold:  # what is set aside needs neither quantity nor price
        aside = nw.col("NotSold") | (nw.col("StockCode") == OTHER_LINE)
        missing = {"Quantity": 1, "Cents": 0, "TotalCents": 0}
        rows = rows.with_columns(
            nw.when(aside & nw.col(name).is_null()).then(nw.lit(value)).otherwise(nw.col(name)).cast(nw.Int64).alias(name)
            for name, value in missing.items()
        )
    if not rules.discount_pattern:
        return rows
    below = named(rules.discount_pattern) & (total < 0) & ~nw.col("NotSold") & ~nw.col("Refund")
    rows = rows.with_columns(Less=is_true(below))
    less = nw.col("Less")
    values = {
        "Quantity": nw.when(less).then(nw.lit(1)).otherwise(nw.col("Quantity")),
        "Cents": nw.when(less).then(nw.lit(0)).otherwise(nw.col("Cents")),
        "StockCode": nw.when(less).then(nw.lit(DISCOUNT_LINE)).otherwise(code),
    }
    flags = {name: nw.col(name) & ~less for name in ("IsCancellation", "IsReturn")}
    return rows.with_columns(**values, **flags).drop("Less")


def _lowered(rows: nw.LazyFrame, dialect: Dialect) -> nw.LazyFrame:
    """Take the amounts of the columns refunded and discount off the lines that they belong to."""
    rules, columns, total = dialect.rules, dialect.columns, nw.col("TotalCents")
    taken = [columns.discount and "of_discount", rules.revenue == "net" and columns.refunded and "of_refunded"]
    less = [nw.col(name) for name in taken if name]
    if not less:
        return rows
    counts = ~nw.col("IsCancellation") & (nw.col("StockCode") != DISCOUNT_LINE)
    left = total - less[0] - (less[1] if len(less) > 1 else nw.lit(0))
    if rules.order_amounts:  # of the order, so they may be more than its first line
        return rows.with_columns(TotalCents=nw.when(counts & nw.col("FirstLine")).then(left).otherwise(total))
    positive = nw.when(left > 0).then(left).otherwise(nw.lit(0))
    return rows.with_columns(TotalCents=nw.when(counts & ~total.is_null()).then(positive).otherwise(total))
