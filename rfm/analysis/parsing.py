"""Read numbers, prices and dates from text, as a shop writes them, with equal results on every engine.

Engines differ in rounding, in failing and in calendars. So a pattern guards each cast, money is counted in whole cents,
and text that does not match the settings is null: a point is never read as a comma.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import narwhals as nw

from rfm.analysis.dates import plain_dates
from rfm.dialect import BLANKS, Customers, Format

_WORDS = (
    "TL=TRY руб.=RUB руб=RUB р.=RUB грн.=UAH грн=UAH лв.=BGN лв=BGN дин.=RSD din.=RSD din=RSD kn=HRK Euro=EUR euros=EUR zl=PLN "
    "Kc=CZK forint=HUF dollars=USD rubles=RUB 元=CNY 円=JPY 원=KRW đ=VND DH=MAD dhs=AED "
    "درهم=AED د.إ=AED ر.س=SAR ريال=SAR جنيه=EGP S/=PEN S/.=PEN Bs=VES Bs.=VES "
    "сом=KGS тг=KZT тенге=KZT so'm=UZS so‘m=UZS SFr.=CHF Rs/-=INR"
)
CURRENCIES = {  # sign: code; a sign that several currencies share stands for the most common one
    **{"£": "GBP", "€": "EUR", "$": "USD", "¥": "JPY", "zł": "PLN", "kr": "SEK", "Fr.": "CHF", "₹": "INR", "R$": "BRL"},
    **{"US$": "USD", "A$": "AUD", "C$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "MX$": "MXN", "kr.": "DKK", "Kč": "CZK"},
    **{"Ft": "HUF", "lei": "RON", "RM": "MYR", "Rp": "IDR", "Rs.": "INR", "Rs": "INR", "₺": "TRY", "₽": "RUB", "₩": "KRW"},
    **{"฿": "THB", "₫": "VND", "₱": "PHP", "₪": "ILS", "₴": "UAH", "₦": "NGN", "₸": "KZT", "₼": "AZN", "₾": "GEL", "₵": "GHS"},
    **dict(one.split("=") for one in _WORDS.split()),
}
CODES = (
    "AED ARS AUD BDT BGN BHD BRL CAD CHF CLP CNY COP CRC CZK DKK DOP EGP EUR GBP GEL GHS GTQ HKD HRK HUF IDR ILS INR ISK JOD JPY "
    "KES KRW KWD KZT LKR MAD MXN MYR NGN NOK NZD OMR PEN PHP PKR PLN PYG QAR RON RSD RUB SAR SEK SGD THB TND TRY TWD UAH USD UYU "
    "VES VND ZAR"
)
"""Codes of currencies that are written beside an amount, of ISO 4217."""
SPACES = " \u00a0\u2009\u202f"  # between thousands, or a number and its currency
GROUPED = {" ": f"[{SPACES}]", "'": "['\u2019]"}  # with non-breaking spaces, and the typographic apostrophe
_MONEY = "|".join(re.escape(one) for one in sorted({*CURRENCIES, *CODES.split()}, key=lambda one: (-len(one), one)))
_OF_PIECES = "(?:pcs?|pieces?|units?|ea|x|stk|stück|szt|sztuk|ks|kpl|uds?|pz|buc|kom|adet|шт|штук|τεμ)[.]?|個|件|개"
AROUND_NUMBER = rf"(?i)^(?:{_MONEY})[{SPACES}]*|[{SPACES}]*(?:{_MONEY}|{_OF_PIECES})$"
"""A currency before or after a number, or a word for pieces, as a regular expression: ``USD 5``, ``5 pcs``, but not ``5€50``."""
ADDRESSED, AROUND_ADDRESS = "^(?:mailto: ?|[^<>]*<)[^<>@ ]+@[^<>@ ]+>?$", "^mailto: ?|^[^<>]*<|>$"
"""An e-mail address with more around it, such as ``Ann <ann@example.org>``, and that more."""
NO_VALUE = (r"\N", "NULL", "null", "N/A", "n/a", "#N/A", "NaN", "nan", "None", "none", "nil", "-", "--", "?")
"""Texts that stand for no value in exports."""
_NUMBERS, _DATE = ("Quantity", "Price"), "InvoiceDate"


def number_shape(decimal: str, thousands: str) -> str:
    """Return the regular expression of a whole number or decimal, with or without thousands separators."""
    mark = GROUPED.get(thousands, f"[{thousands}]")
    grouped = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|" if thousands else ""
    indian = f"[0-9]{{1,2}}(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}|" if thousands in (",", " ") else ""
    return f"[+-]?(?:{grouped}{indian}[0-9]+)(?:[{decimal}][0-9]*)?"


def normalize(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Add ``plain_…``: quantity and price as ``1234.50``, the date as ``2025-12-31``, what follows it as ``plain_time``."""
    # One with_columns per step: an engine that does not share common expressions would repeat each step many times.
    raw = {name: nw.col(f"raw_{name}") for name in (*_NUMBERS, _DATE)}
    rows = rows.with_columns(**{f"plain_{name}": text.str.strip_chars(BLANKS) for name, text in raw.items()})
    if not _is_plain(form):
        rows = rows.with_columns(_plain_number(nw.col(f"plain_{name}"), form) for name in _NUMBERS)
    return rows if (form.date, form.also, form.timezone) == ("%Y-%m-%d", (), "") else plain_dates(rows, form)


def _is_plain(form: Format) -> bool:
    """Return True if numbers are written as Python reads them."""
    return (form.decimal, form.thousands) == (".", "")


def _plain_number(text: nw.Expr, form: Format) -> nw.Expr:
    """Rewrite a number as ``1234.50``; null where its points and commas are not those of the settings."""
    if _is_plain(form):
        return text
    number = nw.when(text.str.contains(f"^{number_shape(form.decimal, form.thousands)}$")).then(text)
    mark = GROUPED.get(form.thousands, f"[{form.thousands}]")
    number = number.str.replace_all(mark, "") if form.thousands else number
    return number.str.replace_all(form.decimal, ".", literal=True)


_AROUND = f"()+-{SPACES}"
TIDY = (
    (f"[\0]|^[{BLANKS}{SPACES}]+|[{BLANKS}{SPACES}]+$", ""),
    ("^'", ""),
    ("[\u2212\u2013]", "-"),
    ("[.,]-(?:[^0-9]|$)", ""),
)
"""What is around a number: blanks, an apostrophe against formulas, other minus signs, ``12,-``."""


def tidy(rows: nw.LazyFrame, names: list[str], form: Format) -> nw.LazyFrame:
    """Rewrite numbers that have a currency, a sign behind them or parentheses as ``-1234.50``, in these columns of text."""
    # Each step uses each column as seldom as it can: an engine that merges steps repeats what is used twice.

    def bare(text: nw.Expr) -> nw.Expr:
        for pattern, better in TIDY:
            text = text.str.replace_all(pattern, better)
        return text

    def digits(text: nw.Expr) -> nw.Expr:
        text = text.str.strip_chars(_AROUND).str.replace_all(AROUND_NUMBER, "").str.strip_chars(_AROUND)
        text = text.str.replace_all(f"^[{form.decimal}]$", "?")  # a mark alone is no number
        return text.str.replace_all(f"^[{form.decimal}]", f"0{form.decimal}")

    def sign(text: nw.Expr) -> nw.Expr:  # more than one remains, and makes it no number
        return text.str.replace_all("[^()-]", "").str.replace_all("()", "-", literal=True)

    rows = rows.with_columns(bare(nw.col(name)).alias(name) for name in names)
    signs = {f"sign_{name}": sign(nw.col(name)) for name in names}
    rows = rows.with_columns(**signs, **{name: digits(nw.col(name)) for name in names})
    if not _is_plain(form):
        rows = rows.with_columns(_plain_number(nw.col(name), form).alias(name) for name in names)
    rows = rows.with_columns(nw.concat_str(f"sign_{name}", name).alias(name) for name in names)
    return rows.drop(*signs)


# ── casts ────────────────────────────────────────────────────────────
_WHOLE_NUMBER = "^[+-]?[0-9]{1,9}(?:[.]0*)?$"
_PRICE = "^[+-]?[0-9]{1,8}(?:[.][0-9]*)?$"
_PIECES = "^[+-]?[0-9]{1,9}(?:[.][0-9]*)?$"
_FLOAT_ERROR = 1e-7  # a half may be a little less as a float


def whole_number(text: nw.Expr) -> nw.Expr:
    """Cast a number as `plain_numbers` leaves it, such as ``12`` or ``12.0``, to an integer."""
    return text.str.strip_chars("+").cast(nw.Float64).cast(nw.Int64)  # not every engine reads a leading plus


def cents(price: nw.Expr) -> nw.Expr:
    """Cast a number as `plain_numbers` leaves it to whole cents, rounding half away from zero; null if there are too many."""
    # each use of the price costs: an engine that merges steps repeats all that it was made by
    long = price.str.contains("[.][0-9]{7}")
    return nw.when(long).then(_cents_of_text(price, long)).otherwise(half_up(_in_millionths(price), 10_000))


def _in_millionths(price: nw.Expr) -> nw.Expr:
    """Return prices with at most six decimals as whole numbers."""
    return (price.str.strip_chars("+").cast(nw.Float64) * 1_000_000).round(0).cast(nw.Int64)


def _cents_of_text(price: nw.Expr, long: nw.Expr) -> nw.Expr:
    """Return cents of prices with more decimals."""
    units = price.str.strip_chars("+-").str.replace_all("[.].*$", "").cast(nw.Int64)
    decimals = nw.when(long).then(price).str.replace_all("^[^.]*[.]", "").str.slice(0, 3).cast(nw.Int64)
    return sign_of(price.str.starts_with("-")) * (units * 100 + (decimals + 5) // 10)


def millionths(price: nw.Expr, decimals: int) -> nw.Expr:
    """Cast a number as `plain_numbers` leaves it to millionths, rounded half up to some decimals."""
    unit = 10 ** (6 - decimals)
    return half_up(_in_millionths(price), unit) * unit


def is_true(condition: nw.Expr) -> nw.Expr:
    """Return a condition that is never null: False where it cannot be known."""
    return nw.when(condition).then(nw.lit(True)).otherwise(nw.lit(False))


def sign_of(negative: nw.Expr) -> nw.Expr:
    """Return −1 where a condition holds, else 1."""
    return nw.when(negative).then(nw.lit(-1)).otherwise(nw.lit(1))


def half_up(number: nw.Expr, unit: int) -> nw.Expr:
    """Divide a whole number, rounding half away from zero."""
    return sign_of(number < 0) * ((number.abs() + unit // 2) // unit)


def whole_cents(amount: nw.Expr) -> nw.Expr:
    """Round an amount in cents, a float, half away from zero."""
    sign = sign_of(amount < 0)
    return sign * (sign * amount + 0.5 + _FLOAT_ERROR).floor().cast(nw.Int64)


def money(cents: nw.Expr, precision: int) -> nw.Expr:
    """Cast whole cents to DECIMAL(precision, 2), exactly up to twelve digits."""
    return (cents.cast(nw.Float64) * 0.01).cast(nw.Decimal(precision, 2))


# ── numbers of a line ─────────────────────────────────────────────────
def numbers(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Add Quantity and Cents, and Millionths of a price with more than two decimals, from ``plain_…`` and ``raw_…``."""
    pieces = nw.col("plain_Quantity")
    rows = plain_numbers(rows, {"plain_Quantity": _PIECES if form.fractions else _WHOLE_NUMBER, "plain_Price": _PRICE}, form)
    whole = nw.when(pieces.str.contains(_WHOLE_NUMBER)).then(pieces) if form.fractions else pieces
    rows = rows.with_columns(Quantity=whole_number(whole), Cents=_of_unit(cents(nw.col("plain_Price")), form))
    return _in_full(rows, form)


def _of_unit(amount: nw.Expr, form: Format) -> nw.Expr:
    """Return an amount that is written in cents, or as it is."""
    return half_up(amount, 100) if form.cents else amount


def plain_numbers(rows: nw.LazyFrame, shapes: Mapping[str, str], form: Format) -> nw.LazyFrame:
    """Leave what has a shape in columns of text, rewrite other numbers, and null what is none."""
    # Few numbers have a currency, another sign or parentheses: the others are looked at once.
    plain = {name: nw.col(name).str.contains(shape) for name, shape in shapes.items()}
    nothing, raw = nw.lit(None, nw.String), {name: nw.col(name.replace("plain_", "raw_")) for name in shapes}
    odd = {f"odd_{name}": nw.when(nw.col(f"is_{name}")).then(nothing).otherwise(raw[name]) for name in shapes}
    rows = rows.with_columns(**{f"is_{name}": fits for name, fits in plain.items()}).with_columns(**odd)
    rows = tidy(rows, list(odd), form)
    better = {
        name: nw.when(nw.col(f"odd_{name}").str.contains(shape)).then(nw.col(f"odd_{name}")) for name, shape in shapes.items()
    }
    rows = rows.with_columns(
        **{name: nw.when(nw.col(f"is_{name}")).then(nw.col(name)).otherwise(better[name]) for name in shapes}
    )
    return rows.drop(*odd, *(f"is_{name}" for name in shapes))


def _in_full(rows: nw.LazyFrame, form: Format) -> nw.LazyFrame:
    """Add prices in millionths; a quantity with decimals becomes one piece, at the amount of its line."""
    if (form.price_decimals, form.fractions) == (2, False):
        return rows
    price, pieces, quantity = nw.col("Millionths"), nw.col("Pieces"), nw.col("Quantity")
    rows = rows.with_columns(Millionths=_of_unit(millionths(nw.col("plain_Price"), form.price_decimals), form))
    if not form.fractions:
        return rows
    rows = rows.with_columns(
        Pieces=nw.when(quantity.is_null()).then(nw.col("plain_Quantity").str.strip_chars("+").cast(nw.Float64))
    )
    sign = sign_of(pieces < 0)
    rows = rows.with_columns(Amount=whole_cents(sign * pieces * price.cast(nw.Float64) / 10_000))
    parted = ~pieces.is_null()
    return rows.with_columns(
        Quantity=nw.when(parted).then(sign.cast(nw.Int64)).otherwise(quantity),
        Cents=nw.when(parted).then(nw.col("Amount")).otherwise(nw.col("Cents")),
        Millionths=nw.when(parted).then(nw.col("Amount") * 10_000).otherwise(price),
    ).drop("Pieces", "Amount")


def amounts(rows: nw.LazyFrame, names: list[str], form: Format) -> nw.LazyFrame:
    """Read the amounts of further columns as cents, 0 where there is none, and add AmountsFit."""
    rows = rows.with_columns(**{f"has_{name}": nw.col(name) != "" for name in names})
    rows = plain_numbers(rows, dict.fromkeys(names, _PRICE), form)
    rows = rows.with_columns(_of_unit(cents(nw.col(name)), form).abs().alias(name) for name in names)
    fit = [~nw.col(f"has_{name}") | ~nw.col(name).is_null() for name in names]
    rows = rows.with_columns(AmountsFit=nw.all_horizontal(*fit, ignore_nulls=False))
    return rows.with_columns(nw.col(name).fill_null(0) for name in names)


# ── further columns ────────────────────────────────────────────────────
def extra(key: str) -> nw.Expr:
    """Return the text of a further column, empty if there is none; other columns come later, so none can stand for it."""
    text = nw.col("_rescued_data").cast(nw.String)
    before = f'^[{{](?:"[^"]*": "[^"]*", )*?"{key}": "'
    found = nw.when(text.str.contains(before)).then(text.str.replace_all(before, "").str.replace_all('(?s)".*$', ""))
    return found.otherwise(nw.lit(""))


# ── customers ──────────────────────────────────────────────────────────
def customer_id(text: nw.Expr, customers: Customers) -> nw.Expr:
    """Return a customer's id as customers are compared; null for nobody."""
    given = text.str.strip_chars(f"{BLANKS}\0").str.replace_all("[.]0$", "")
    nobody = given.is_in(["", *NO_VALUE])
    if customers.nobody:
        nobody = nobody | given.str.to_lowercase().is_in(customers.nobody)
    plain = _address(given.str.to_lowercase().str.replace_all(f"[{BLANKS}]+", " ")) if customers.compare == "case" else given
    plain = _phone(given, customers.country_prefix) if customers.compare == "phone" else plain
    if customers.width:
        plain = nw.when(plain.str.contains("^[0-9]+$")).then(plain.str.zfill(customers.width)).otherwise(plain)
    return nw.when(~nobody).then(plain)


def _address(text: nw.Expr) -> nw.Expr:
    """Return the address alone of ``ann <ann@example.org>`` and ``mailto:ann@example.org``; other ids as they are."""
    return nw.when(text.str.contains(ADDRESSED)).then(text.str.replace_all(AROUND_ADDRESS, "")).otherwise(text)


def _phone(text: nw.Expr, prefix: str) -> nw.Expr:
    """Return the digits of a phone number, after + and the country's prefix if it is known; other ids as they are."""
    digits = text.str.replace_all("[(]0[)]|[^0-9+]", "").str.replace_all("^00", "+")
    if prefix:
        own = digits.str.replace_all(f"^[+]{prefix}", "").str.replace_all("^0+", "")
        digits = (
            nw.when(digits.str.contains(rf"^[+](?:{prefix})|^[^+]"))
            .then(nw.concat_str(nw.lit(f"+{prefix}"), own))
            .otherwise(digits)
        )
    return nw.when(text.str.contains("^[0-9+(][-0-9+()/. ]{4,}$")).then(digits).otherwise(text)
