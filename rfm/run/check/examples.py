"""A line of a file for each rule that lines break, so that people can look at it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from rfm.core.cleaning import EXPECTATIONS
from rfm.core.quality.reasons import FITS_HEADER, Reason
from rfm.dialect import FIELDS
from rfm.io.landing.where import line_numbers
from rfm.run.check.places import Place
from rfm.settings import Settings

COLUMN = {  # rule: the raw column that it looks at
    "valid_invoice_no": "Invoice",
    "valid_stock_code": "StockCode",
    "valid_quantity": "Quantity",
    "valid_unit_price": "Price",
    "valid_total_price": "Price",
    "valid_invoice_date": "InvoiceDate",
    "known_country": "Country",
    "complete_customer_id": "CustomerID",
}
MEANINGS = {rule.name: rule.meaning for rule in EXPECTATIONS} | {FITS_HEADER: "as many fields as the header"}


class Example(NamedTuple):
    """Lines that break a rule, and one of them.

    Parameters
    ----------
    rule, meaning
        Its name, and the rule in words.
    lines
        How many break it.
    file, line
        Where one stands; no number if it was not found again.
    column, value
        What stands there.
    """

    rule: str
    meaning: str
    lines: int
    file: str
    line: int | None
    column: str
    value: str | None


def examples(reasons: Sequence[Reason], place: Place, settings: Settings, between: str) -> list[Example]:
    """Return an example for each reason.

    Parameters
    ----------
    reasons
        Why rows lie in the quarantine.
    place
        The files.
    settings
        With which they were read.
    between
        Their separator.
    """
    return [_example(reason, place, settings, between) for reason in reasons]


def _example(reason: Reason, place: Place, settings: Settings, between: str) -> Example:
    row, rule = reason.example, reason.rule
    rescued = json.loads(row["_rescued_data"] or "{}")
    file = str(row["source_file"])
    if rule == FITS_HEADER:
        return Example(rule, MEANINGS[rule], reason.rows, file, rescued.get("_line"), "", rescued.get("_raw"))
    raw = COLUMN.get(rule, "")
    path = f"{place.root}/{file}"
    (line,) = line_numbers(place.system, path, [row], settings.columns, between, settings.files.encoding)
    named = getattr(settings.columns, FIELDS[raw], raw) if raw else ""
    return Example(rule, MEANINGS.get(rule, ""), reason.rows, file, line, named, row.get(raw))
