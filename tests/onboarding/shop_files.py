"""The landing files of a made shop, as bytes: texts, rows and tables, and the faults around them."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import random
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import xlsxwriter

from tests.onboarding.shop_orders import CENT, EMAIL, PHONE, Line, Order, Shop, spelled, user
from tests.onboarding.shop_spec import DATES, DISTRACTORS, MINUS, TYPED, Spec
from tests.onboarding.shop_words import MONTHS, words


def hash_of(text: str) -> int:
    """Return a number of a text that is the same in every process."""
    return sum(map(ord, text))


# ── texts ────────────────────────────────────────────────────────────
class Writer:
    """Values as the files of a spec have them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.native = spec.format in TYPED and spec.typed

    def amount(self, number: Decimal, places: int = 2, sign: bool = True) -> Any:
        """Return an amount of money."""
        if self.native:
            return number
        spec, digits = self.spec, f"{abs(number):.{places}f}"
        if spec.trimmed:
            digits = digits.rstrip("0").rstrip(".")
        whole, _, rest = digits.partition(".")
        text = self._grouped(whole) + (spec.decimal + rest if rest else "")
        if sign and spec.currency:
            text = text + spec.currency if spec.currency.startswith(" ") else spec.currency + text
        return self._signed(text) if number < 0 else text

    def number(self, number: Decimal) -> Any:
        """Return a quantity."""
        if self.native:
            return number
        if number == number.to_integral_value():
            return self._signed(f"{abs(number):.0f}") if number < 0 else f"{number:.0f}"
        text = f"{abs(number):.3f}".replace(".", self.spec.decimal)
        return self._signed(text) if number < 0 else text

    def _grouped(self, whole: str) -> str:
        mark = self.spec.thousands
        if mark == "lakh" and len(whole) > 3:
            head, tail = whole[:-3], whole[-3:]
            pairs = [head[max(at - 2, 0) : at] for at in range(len(head), 0, -2)][::-1]
            return ",".join([*pairs, tail])
        return f"{int(whole):,}".replace(",", mark if mark != "lakh" else ",") if mark else whole

    def _signed(self, text: str) -> str:
        return {"-": f"-{text}", "trailing": f"{text}-", "unicode": f"{MINUS}{text}", "guarded": f"'-{text}"}.get(
            self.spec.negative, f"({text})"
        )

    def day(self, moment: dt.datetime) -> Any:
        """Return a day, with its time where the format has one."""
        if self.native:
            return moment if self.spec.dates == "iso_time" else moment.date()
        if self.spec.dates == "epoch":
            return str(int(moment.replace(tzinfo=dt.UTC).timestamp()))
        if self.spec.dates == "serial":
            return str((moment.date() - dt.date(1899, 12, 30)).days)
        month = MONTHS[self.spec.language].split()[moment.month - 1]
        return moment.strftime(DATES[self.spec.dates].replace("{month}", month))

    def customer(self, order: Order) -> Any:
        """Return a customer, spelled as people type it; an order has the same spelling in every file."""
        if order.customer is None:
            stand_in = self.spec.walk_in or ""
            return words("walk_in", self.spec.language)[0] if stand_in == "word" else stand_in
        text = spelled(self.spec, order.customer)
        if self.spec.ambiguous == "ids":  # what a spreadsheet leaves of a number of 13 digits
            return f"{4_006_380_000_000 + 1_111_111_111 * order.customer:.5E}"
        at = hash_of(f"{order.number}{order.moment}")
        if self.spec.customers == "email_case":
            return [text, text, text.title(), text.upper()][at % 4]
        if self.spec.customers == "phone":
            return [text, f"{text[:3]} {text[3:6]} {text[6:]}", f"{text[:3]}-{text[3:]}"][at % 3]
        return Decimal(text) if self.native and self.spec.customers in ("number", "float") else text


def _distractor(name: str, order: Order, line: Line | None, index: int, row: int, to: Writer) -> Any:
    """Return a value that has nothing to do with what counts."""
    known, amount = order.customer is not None, line.amount if line else order.total
    whole = {"points": int(abs(order.total)) // 10, "row": row, "line": index + 1, "items": len(order.lines)}
    if name in whole:
        return to.number(Decimal(whole[name]))
    return {
        "email": lambda: EMAIL.format(user(order.customer)) if known else "",
        "phone": lambda: PHONE.format(order.customer * 7919) if known else "",
        "currency": lambda: order.currency,
        "country": lambda: ["DE", "FR", "GB"][(order.customer or 0) % 3],
        "tax": lambda: to.amount((amount - amount / Decimal("1.19")).quantize(CENT, ROUND_HALF_UP)),
        "shipping": lambda: to.amount(Decimal("4.90") if len(order.lines) < 3 else Decimal(0)),
        "discount": lambda: to.number(Decimal(0)),
        "cost": lambda: to.amount((abs(line.price if line else order.total) * Decimal("0.6")).quantize(CENT)),
        "shipped": lambda: to.day(order.moment + dt.timedelta(days=1 + len(order.lines))),
        "channel": lambda: "Web",
        "warehouse": lambda: f"W{1 + len(order.lines) % 3}",
        "payment": lambda: ["Visa", "PayPal"][len(order.lines) % 2],
        "note": lambda: "ok" if row % 9 == 0 else "",
    }[name]()


# ── rows ─────────────────────────────────────────────────────────────
ON_FIRST = {
    "groups": ("order", "date", "time", "customer", "till", "status", "type", "total", "refund"),
    "first": ("status", "total", "refund"),
}
QUANTIFIED, PRICED, AMOUNTED = (
    ("unit", "amount_quantity", "both", "unit_total", "total"),
    ("unit", "both", "unit_total"),
    ("amount", "both"),
)


def _roles(spec: Spec) -> list[str]:
    """Return the columns, in a usual order."""
    single = spec.layout == "orders"
    wanted = {
        "order": spec.orders != "none",
        "date": True,
        "time": spec.dates == "clock",
        "till": spec.orders == "till",
        "customer": True,
        "type": spec.returns.startswith("type"),
        "status": bool(spec.statuses),
        "sku": not single,
        "name": not single,
        "quantity": not single and spec.money in QUANTIFIED,
        "price": spec.money in PRICED,
        "amount": spec.money in ("amount", "amount_quantity", "both"),
        "total": spec.money in ("total", "unit_total"),
        "refund": spec.returns == "column",
    }
    own = [role for role, there in wanted.items() if there]
    unfit = {"line", "cost"} if single else {"items"} if spec.money == "total" else set()
    unfit |= {"email"} if spec.customers.startswith("email") else {"phone"} if spec.customers == "phone" else set()
    extra = [one for one in spec.distractors if one not in unfit]
    return [*own, *extra, *(["currency"] if spec.ambiguous == "currencies" and "currency" not in extra else [])]


def _headers(spec: Spec, rng: random.Random, roles: Sequence[str]) -> dict[str, str]:
    """Return a name for each column; no name comes twice."""
    found: dict[str, str] = {}
    for role in roles:
        free = [word for word in words(role, spec.language) if word.casefold() not in {one.casefold() for one in found.values()}]
        found[role] = rng.choice(free) if free else f"{words(role, spec.language)[0]} 2"
    return found


def _rows(orders: Iterable[Order], roles: Sequence[str], to: Writer) -> Iterator[dict[str, Any]]:
    """Yield a row per line, or per order."""
    spec, row = to.spec, 0
    for order in orders:
        customer = to.customer(order)
        for index, line in enumerate([None] if spec.layout == "orders" else order.lines):
            row += 1
            cells = {role: _distractor(role, order, line, index, row, to) for role in roles if role in DISTRACTORS}
            cells |= _order_cells(order, customer, to)
            if line:
                cells |= {"sku": line.sku, "name": line.name, "quantity": to.number(line.quantity)}
                cells |= {"price": to.amount(line.price, spec.places), "amount": to.amount(line.amount)}
            if index:
                cells |= dict.fromkeys(ON_FIRST.get(spec.layout, ()), "")
            yield {role: cells[role] for role in roles}


def _order_cells(order: Order, customer: str, to: Writer) -> dict[str, Any]:
    language = to.spec.language
    states = words(order.state, language)
    return {
        "order": Decimal(order.number) if to.native and order.number.isdigit() else order.number,
        "date": to.day(order.moment),
        "time": order.moment.strftime("%H:%M"),
        "till": order.till,
        "customer": customer,
        "type": words("return" if order.returned else "sale", language)[0],
        "status": states[hash_of(order.number) % len(states)],
        "total": to.amount(order.total),
        "refund": to.amount(order.refund),
    }


# ── files ────────────────────────────────────────────────────────────
def files_of(shop: Shop, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    spec, to = shop.spec, Writer(shop.spec)
    roles = _roles(spec)
    if spec.shuffled:
        rng.shuffle(roles)
    headers = _headers(spec, rng, roles)
    write = {"xlsx": _workbook, "ods": _open_document, "parquet": _parquet, "jsonl": _json_lines}.get(spec.format, _text)
    for name, orders in _parts(shop, rng):
        table = _table(spec, headers, list(_rows(orders, roles, to)), orders, to)
        yield f"{name}.{ENDINGS.get(spec.format, spec.format)}", write(spec, table)


ENDINGS = {"gz": "csv.gz"}


def _parts(shop: Shop, rng: random.Random) -> Iterator[tuple[str, list[Order]]]:
    """Yield the name of each file without its ending, and its orders."""
    spec, stem = shop.spec, rng.choice(words("file", shop.spec.language))
    days = sorted({order.moment.date() for order in shop.orders})
    styled = rng.choice([f"%Y-%m-%d_{stem}", f"{stem}_%Y%m%d", f"{stem} %d.%m.%Y"])
    if spec.split == "one":
        yield stem, shop.orders
    elif spec.split == "day":
        for day in days:
            yield day.strftime(styled), [order for order in shop.orders if order.moment.date() == day]
    elif spec.split == "cumulative":
        for until in (days[len(days) // 3], days[2 * len(days) // 3], days[-1]):
            yield until.strftime(f"{stem}_%Y-%m-%d"), [order for order in shop.orders if order.moment.date() <= until]
    else:
        for month in sorted({day.replace(day=1) for day in days}):
            some = [order for order in shop.orders if order.moment.date().replace(day=1) == month]
            last = max(order.moment.date() for order in some)
            name = f"{stem}_%Y-%m" if spec.split == "month" else f"{stem}_%Y-%m-%d_{last}"
            yield month.strftime(name), some


def _table(
    spec: Spec, headers: Mapping[str, str], rows: list[dict[str, Any]], orders: Sequence[Order], to: Writer
) -> list[list[Any]]:
    """Return the lines of a file: the header, the rows, and the faults around them."""
    names = list(headers.values())
    lines: list[list[Any]] = [list(row.values()) for row in rows]
    if "nul" in spec.faults:
        at = list(headers).index("customer")
        for line in lines[::17]:
            line[at] = f"{line[at]}\0\0" if line[at] else line[at]
    if "twin_column" in spec.faults:
        names, lines = (
            [*names, words("note", spec.language)[0], words("note", spec.language)[0]],
            [[*line, "", "x"] for line in lines],
        )
    if "header_again" in spec.faults:
        lines = [one for at, line in enumerate(lines) for one in ([names, line] if at and at % 40 == 0 else [line])]
    if "blank_lines" in spec.faults:
        lines = [one for at, line in enumerate(lines) for one in ([[], line] if at % 25 == 24 else [line])] + [[], []]
    if "total" in spec.faults:
        lines.append(_total_row(spec, headers, orders, len(names), to))
    if "titles" in spec.faults:
        return [[words("title", spec.language)[0]], ["2024-2025"], [], names, *lines]
    return [names, *lines]


def _total_row(spec: Spec, headers: Mapping[str, str], orders: Sequence[Order], width: int, to: Writer) -> list[Any]:
    row: list[Any] = [""] * width
    sums = {
        role: to.amount(sum((order.total for order in orders), Decimal(0))) for role in ("amount", "total") if role in headers
    }
    for role, text in sums.items():
        row[list(headers).index(role)] = text
    row[next(at for at, role in enumerate(headers) if role not in sums)] = words("label", spec.language)[0]
    return row


def _text(spec: Spec, table: list[list[Any]]) -> bytes:
    written, header = io.StringIO(), 3 if "titles" in spec.faults else 0
    if "sep_line" in spec.faults:
        written.write(f"sep={spec.separator}\r\n")
    quoting = csv.QUOTE_ALL if spec.quote_all else csv.QUOTE_MINIMAL
    writer = csv.writer(written, delimiter=spec.separator, quoting=quoting, lineterminator="\r\n")
    if "records" in spec.faults:
        table, header = [["HDR", "2024", "SALES"], *table, ["TRL", len(table) - 1]], header + 1
    for at, line in enumerate(table):
        writer.writerow([*line, ""] if "trailing" in spec.faults and at > header and line else line)
    raw = written.getvalue().encode(spec.encoding)
    if spec.format == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("export.csv", raw)
        return packed.getvalue()
    return gzip.compress(raw, 1, mtime=0) if spec.format == "gz" else raw


def _parquet(spec: Spec, table: list[list[Any]]) -> bytes:
    written = io.BytesIO()
    header, *rows = ([None if cell == "" else cell for cell in line] for line in table)
    pl.DataFrame(rows, schema=header, orient="row", infer_schema_length=None).write_parquet(written)
    return written.getvalue()


def _json_lines(spec: Spec, table: list[list[Any]]) -> bytes:
    def typed(value: Any) -> Any:
        number = isinstance(value, Decimal) and (int if value.as_tuple().exponent == 0 else float)
        return number(value) if number else None if value == "" else value

    header, *rows = table
    lines = [dict(zip(header, map(typed, row), strict=True)) for row in rows]
    return "".join(f"{json.dumps(line, default=str)}\n" for line in lines).encode()


def _open_document(spec: Spec, table: list[list[Any]]) -> bytes:
    def cell(value: Any) -> str:
        if isinstance(value, Decimal):
            return f'<table:table-cell office:value-type="float" office:value="{value}"/>'
        if isinstance(value, dt.date):
            return f'<table:table-cell office:value-type="date" office:date-value="{value.isoformat()}"/>'
        text = f"<text:p>{escape(value)}</text:p>" if value else ""
        return f'<table:table-cell office:value-type="string">{text}</table:table-cell>'

    rows = "".join(f"<table:table-row>{''.join(map(cell, line or ['']))}</table:table-row>" for line in table)
    kind, names = "application/vnd.oasis.opendocument.spreadsheet", "urn:oasis:names:tc:opendocument:xmlns"
    spaces = " ".join(f'xmlns:{name}="{names}:{name}:1.0"' for name in ("office", "table", "text"))
    sheet = f'<office:spreadsheet><table:table table:name="Data">{rows}</table:table></office:spreadsheet>'
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("mimetype", kind)
        entries = f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        archive.writestr(
            "META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{names}:manifest:1.0">{entries}</manifest:manifest>'
        )
        body = f"<office:document-content {spaces}><office:body>{sheet}</office:body></office:document-content>"
        archive.writestr("content.xml", f'<?xml version="1.0" encoding="UTF-8"?>{body}')
    return written.getvalue()


def _workbook(spec: Spec, table: list[list[Any]]) -> bytes:
    raw = io.BytesIO()
    with xlsxwriter.Workbook(raw, {"in_memory": True}) as book:
        if "cover_sheet" in spec.faults:
            book.add_worksheet("Info").write_row(0, 0, [words("title", spec.language)[0], "2024-2025"])
        if "two_sheets" in spec.faults:  # the second has its columns the other way round, in other letters
            header, half = table[0], len(table) // 2
            second = [[name.upper() for name in header], *table[half:]]
            _fill(book, "2", [line[::-1] for line in second], _fill(book, "1", table[:half]))
        else:
            _fill(book, "Data", table)
    return raw.getvalue()


def _fill(book: Any, name: str, table: list[list[Any]], formats: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """Write a sheet; return the formats of days and moments, for the next."""
    sheet = book.add_worksheet(name)
    day, moment = formats or (
        book.add_format({"num_format": "yyyy-mm-dd"}),
        book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
    )
    for at, line in enumerate(table):
        for column, value in enumerate(line):
            if isinstance(value, Decimal):
                sheet.write_number(at, column, float(value))
            elif isinstance(value, dt.datetime):
                sheet.write_datetime(at, column, value, moment)
            elif isinstance(value, dt.date):
                sheet.write_datetime(at, column, value, day)
            elif value != "":
                sheet.write_string(at, column, value)
    return day, moment
