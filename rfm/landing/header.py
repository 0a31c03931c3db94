"""Where the table of a file is: its separator, its header below titles, and the lines around it that are no sales."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import count, islice
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rfm.dialect import LANDING_COLUMNS, Columns, plain_name
from rfm.errors import DATA, InputError
from rfm.words import N_, _

AUTO, BLANK = "auto", " "
SEND_AGAIN = N_("send the file again")
SEPARATORS = (",", ";", "\t", "|")
USUAL = Columns().headers
OPTIONAL = [one.bronze for one in LANDING_COLUMNS.values() if one.without == ""]  # may be missing, unless the shop names them
BEFORE_HEADER = re.compile(rb"\s*(?:sep=.[\r\n]+\s*)?")  # blank lines, and the line for spreadsheets
FIRST_LINE = re.compile(rb"[^\r\n]*(?:\r\n|[\r\n])?")
FIRST_BYTES, FIRST_LINES, BELOW = 1 << 16, 50, 30  # where the header is looked for, and the lines below that confirm it
HEAD = FIRST_LINES + BELOW
LOOKED_AT, MOST_COLUMNS = 100_000, 2000  # characters of a line that tell what it is; columns of a file


class Rows(NamedTuple):
    """Rows of a file: the names in its header, one text column per name, the lines that are no rows, and where they stand."""

    header: list[str]
    table: pa.Table
    bad: list[dict]
    lines: int | list[int] = 0  # the lines before the rows, or the line of each row
    first: bool = False  # whether a table begins here


class Layout(NamedTuple):
    """Separator of a file, the names in its header, the lines above it, and the bytes up to the table."""

    separator: str
    header: list[str]
    above: tuple[bytes, ...] = ()
    size: int = 0


# ── lines ────────────────────────────────────────────────────────────
def skip_preamble(text: bytes) -> bytes:
    """Return a text from its first line on, empty if it is not reached yet."""
    return text[BEFORE_HEADER.match(text).end() :]  # type: ignore[union-attr]  # matches anything


def first_line(text: bytes) -> bytes:
    """Return the first line of a text, with its end."""
    return FIRST_LINE.match(text).group()  # type: ignore[union-attr]  # matches anything


def head_of(text: bytes, last: bool = True) -> list[bytes] | None:
    """Return the first lines of a text; None if it is too short to have them all. However a text is cut, they are the same."""
    found = (line[0] for line in islice(FIRST_LINE.finditer(text, 0, FIRST_BYTES), HEAD + 1))
    lines = [line for line in found if line.endswith((b"\r", b"\n"))]
    if len(lines) <= HEAD and len(text) <= FIRST_BYTES and not last:
        return None
    if len(text) > FIRST_BYTES and lines and lines[-1].endswith(b"\r"):
        lines.pop()  # the rest of its end may come
    return lines[:HEAD] or [first_line(text)]


def whitespace_reader(lines: Iterable[str], separator: str) -> Any:
    """Return a `csv` reader of lines; where blanks separate, a run of them counts as one."""
    lines = (line[:LOOKED_AT] for line in lines)  # a longer field is an error of `csv`
    if separator != BLANK:
        return csv.reader(lines, delimiter=separator)
    return csv.reader((line.strip(" \r\n") for line in lines), delimiter=BLANK, skipinitialspace=True)


def cells_of(text: str, separator: str) -> list[str]:
    """Return the cells of a line of text."""
    return next(whitespace_reader([text.replace("\0", "")], separator), [])


def _rows_of(lines: Sequence[bytes], separator: str) -> tuple[list[list[str]], list[int]]:
    """Return the rows in lines that are not blank, and the number of lines up to the end of each."""
    reader = whitespace_reader((line.decode("utf-8", "replace").replace("\0", "") for line in lines), separator)
    found = [(row, reader.line_num) for row in reader if row]
    return [row for row, _ in found], [end for _, end in found]


# ── separator ────────────────────────────────────────────────────────
def detect_separator(text: bytes, names: Collection[str] = (), blanks: bool = False) -> str:
    """Return the separator of a text."""
    # The one that yields the most of the names in a line; then the one that splits the most lines into as many columns as
    # the header. Blanks, if they may separate, come last.
    first = {separator: len(plain_names(_first_record(text, separator)).intersection(names)) for separator in SEPARATORS}
    if 2 * max(first.values()) > len(names) and len(best := _most(first)) == 1:
        return best[0]
    lines = head_of(text) or []
    rows = {separator: _rows_of(lines, separator)[0] for separator in SEPARATORS}
    best = _most({one: max((len(plain_names(row).intersection(names)) for row in rows[one]), default=0) for one in rows})
    if len(best) == 1:
        return best[0]
    separator = max(best, key=lambda one: _fit(rows[one]))
    return BLANK if blanks and not _fit(rows[separator])[0] and _fit(_rows_of(lines, BLANK)[0])[0] else separator


def _most(counts: dict[str, int]) -> list[str]:
    return [one for one, count in counts.items() if count == max(counts.values())]


def _fit(rows: list[list[str]]) -> tuple[bool, int, int]:
    """Return whether most lines have as many columns as the header, more than one; how many columns, and how many such lines."""
    rows = rows[find_header(rows) :]
    width = len(_as_wide(rows[0], rows[1 : 1 + BELOW])) if rows else 0
    fitting = sum(len(row) == width for row in rows)
    return width > 1 and 2 * fitting >= len(rows), width, fitting


def _first_record(text: bytes, separator: str) -> list[str]:
    lines = io.TextIOWrapper(io.BytesIO(text[:FIRST_BYTES]), "utf-8", "replace")  # decoded as far as they are read
    return next(whitespace_reader(lines, separator), [])


# ── header ───────────────────────────────────────────────────────────
VALUE = re.compile(r"^[-+(]?[0-9][0-9.,:/TZ -]*\)?$")  # a number or a date


def find_header(rows: Sequence[Sequence[str]], wanted: Collection[str] = ()) -> int:
    """Return the place of the header among the first rows of a file; 0 if none looks like one."""
    places = range(len(rows[:FIRST_LINES]))
    if not wanted:
        return next((at for at in places if _is_header(at, rows)), 0)
    found = 0, 0
    for at in places:
        found = max(found, (len(plain_names(rows[at]).intersection(wanted)), -at))
        if found[0] == len(wanted):
            break
    return -found[1]


def _is_header(at: int, rows: Sequence[Sequence[str]]) -> bool:
    """Return True if a row names the columns of the rows below it, and holds no value itself."""
    row, below = [cell.strip() for cell in rows[at]], [one for one in rows[at + 1 : at + 1 + BELOW] if any(one)]
    if sum(map(bool, row)) < 2 or not below or any(VALUE.search(cell) or at and _is_numeric(cell) for cell in row):
        return False
    width = Counter(map(len, below)).most_common(1)[0][0]
    typical = [one for one in below if len(one) == width]
    nameless = [
        place
        for place in range(width)
        if 2 * sum(bool(one[place].strip()) for one in typical) > len(typical) and not "".join(row[place : place + 1])
    ]
    return len(row) in (width, width - 1, width + 1) and len(nameless) <= 1


def join_headers(rows: Sequence[list[str]]) -> list[list[str]]:
    """Return rows with names of two rows in the lower: groups above (``Order, , Customer``), names below (``ID, Date, ID``)."""
    found = list(rows)
    for at, (groups, names) in enumerate(zip(rows, rows[1:FIRST_LINES], strict=False)):
        cells = [*map(str.strip, groups), *[""] * (len(names) - len(groups))]
        if len(cells) == len(names) and _groups(cells, names) and _is_header(at + 1, rows):
            whole = [next((one for one in reversed(cells[: place + 1]) if one), "") for place in range(len(names))]
            pairs = zip(whole, names, strict=True)
            found[at] = []  # no header itself
            found[at + 1] = [name if plain_name(one) in plain_name(name) else f"{one} {name.strip()}" for one, name in pairs]
            break
    return found


def _groups(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Return True if a row has the groups of the names below it: merged cells, blank but for the first, or repeated."""
    there = [place for place, cell in enumerate(cells) if cell]
    again = any(cell and cell == after for cell, after in zip(cells, cells[1:], strict=False))
    if len(there) < 2 or len(there) == len(cells) and not again or any(map(_is_numeric, cells)):
        return False
    merged = again or there[-1] - there[0] >= len(there)
    several = len(plain_names(names)) < len(names)
    return merged and (several or again or len(there) > 2) and all(map(str.strip, names))


def _is_numeric(cell: str) -> bool:
    """Return True if a third of a cell is digits, as in ``€ 12.00`` and ``Jan 3, 2025``."""
    return 3 * sum(map(str.isdigit, cell)) >= len(cell) > 0


def place_header(lines: Sequence[bytes], separator: str, wanted: Collection[str] = ()) -> Layout:
    """Return the place of the header in the first lines of a file, and one name for each field of the lines below."""
    if wanted and (usual := _usual_rows(lines, separator, wanted)):
        rows, ends = usual
    else:
        rows, ends = _rows_of(lines, separator)
        if not rows:
            return Layout(separator, [], (), len(lines[0]))
        joined = join_headers(rows) if separator != BLANK else rows
        if not wanted or _met(joined, wanted) >= _met(rows, wanted):  # settings may name the lower row alone
            rows = joined
    at = 0 if separator == BLANK else find_header(rows, wanted)
    header = _as_wide(rows[at], rows[at + 1 : at + 1 + BELOW])
    return Layout(separator, header, tuple(lines[: ends[at] - 1]), sum(map(len, lines[: ends[at]])))


def _usual_rows(lines: Sequence[bytes], separator: str, wanted: Collection[str]) -> tuple[list[list[str]], list[int]] | None:
    """Return the first rows of a file if the very first has all wanted names, as the daily files of most shops do."""
    rows, ends = _rows_of(lines[: BELOW + 2], separator)
    end = len(rows) - (len(lines) > BELOW + 2) or 1  # the last may go on below
    return (rows[:end], ends[:end]) if _met(rows[:1], wanted) == len(wanted) else None


def _met(rows: Sequence[Sequence[str]], wanted: Collection[str]) -> int:
    """Return the most of the wanted names that a row has."""
    return max((len(plain_names(row).intersection(wanted)) for row in rows[:FIRST_LINES]), default=0)


def _as_wide(header: list[str], below: Sequence[Sequence[str]]) -> list[str]:
    """Return a header with or without a last name that is empty, as the lines below end with a separator or not."""
    width, widths = len(header), Counter(len(row) for row in below if row[0] != header[0])  # not the header again
    longer = sum(len(row) == width + 1 and not row[-1].strip() for row in below)
    if widths[width] or not below:
        return header
    if 2 * longer >= len(below):
        return [*header, ""]
    return header[:-1] if not header[-1].strip() and 2 * widths[width - 1] >= len(below) else header


def layout_of(lines: Sequence[bytes], name: str, separator: str, columns: Columns) -> Layout:
    """Return the separator that fits, the names in the header and the lines above it; refuse a file that is not one of sales."""
    if separator == AUTO:
        separator = detect_separator(b"".join(lines), _wanted(columns))
    layout = place_header(lines, separator, plain_names(required(columns)))
    header = check_header(layout.header, name, columns)
    if re.search(r"[\r\n]", "".join(header)):
        raise InputError(_("{file}: a column name spans lines", file=name) + "; " + _("write the header in one line"))
    return layout._replace(header=header)


def check_header(found: list[str], name: str, columns: Columns) -> list[str]:
    """Return the names in a header, each once; refuse a header that is not one of sales."""
    if len(found) > MOST_COLUMNS:
        said = _("{file}: {n} columns, and at most {n2} are read")
        said = said.format(file=name, n=f"{len(found):,}", n2=f"{MOST_COLUMNS:,}")
        raise InputError(said + "; " + _("export fewer"))
    wanted, names = _wanted(columns), Counter(map(plain_name, found))
    if not wanted.keys() & names.keys():
        said = _("{file}: not a sales file, none of its {n} column(s) is known", file=name, n=len(found))
        known = _("wanted {columns}, or what [columns] in rfm.toml calls them", columns=", ".join(wanted.values()))
        raise InputError(f"{said}; {known}")  # without the first line, which may be a sale
    header = with_places(found)
    headings = ", ".join(f"column {i}" if DATA.search(one) else one[:40] for i, one in enumerate(header[:50], 1))
    shown = _("found {headings}", headings=headings)
    if missing := [name for name in required(columns) if plain_name(name) not in plain_names([*found, *header])]:
        said = _("{file}: lacks {n} required column(s): {columns}", file=name, n=len(missing), columns=", ".join(missing))
        raise InputError("; ".join([said, shown, _("say under [columns] in rfm.toml what the file calls them")]))
    if twice := [name for plain, name in wanted.items() if names[plain] > 1]:
        said = _("{file}: column(s) {columns} appear twice", file=name, columns=", ".join(twice))
        raise InputError("; ".join([said, shown, _("keep one, or set the name with its place")]))
    return header


def with_places(found: Sequence[str]) -> list[str]:
    """Return the names in a header; those that are empty or not unique with their place."""
    names = [column.strip() or f"column {place}" for place, column in enumerate(found, 1)]
    seen = Counter(map(plain_name, names))
    return [name if seen[plain_name(name)] == 1 else f"{name} (column {place})" for place, name in enumerate(names, 1)]


def required(columns: Columns) -> list[str]:
    """Return the names that a header must have."""
    named = [name for raw, name in columns.headers.items() if raw not in OPTIONAL or name != USUAL[raw]]
    return [name for name in (*named, *columns.extras.values()) if name]


def plain_names(names: Iterable[str]) -> set[str]:
    """Return names as headers are compared."""
    return {plain_name(name) for name in names}


def _wanted(columns: Columns) -> dict[str, str]:
    """Return the names that a header may have, by their plain form."""
    return {plain_name(column): column for column in (*columns.headers.values(), *columns.extras.values()) if column}


# ── lines that are no sales ──────────────────────────────────────────
TOTALS = (
    "total|totals|grand total|sub ?total|sum|summe|gesamt|gesamtsumme|gesamtbetrag|zwischensumme|total g[ée]n[ée]ral|sous-total|"
    "total general|totale|totale complessivo|totaal|eindtotaal|total geral|razem|suma|suma końcowa|celkem|součet|spolu|súčet|"
    "summa|totalt|yhteensä|i alt|sum i alt|összesen|ukupno|toplam|genel toplam|σύνολο|итого|всего|разом|всього|jumlah|"
    'tổng|tổng cộng|合计|总计|合計|総計|합계|총계|المجموع|الإجمالي|סך הכל|סה"כ'
)
TOTAL = re.compile(rf"^\W*(?:{TOTALS})[\s:.()0-9-]*$", re.IGNORECASE)
RECORD = re.compile(r"^(?:HDR|HEADER|HEAD|TRL|TRAILER|TRLR|TLR|FTR|FOOTER|EOF)$", re.IGNORECASE)  # before and after the lines


def kind_of(cells: Sequence[str | None], header: Sequence[str], ragged: bool = False) -> str:
    """Return what a row is that is no sale: empty, the header again, a total, a record of the program; nothing for others."""
    texts = [(cell or "").strip() for cell in cells]
    if not any(texts):
        return "empty" if len(texts) > 1 else ""
    while ragged and not texts[-1]:
        texts.pop()
    pairs = [(text, name) for text, name in zip(texts, header, strict=False) if text]
    if len(pairs) > 1 and len(texts) >= len(header) - 1 and all(plain_name(text) == plain_name(name) for text, name in pairs):
        return "header"
    if ragged and RECORD.search(texts[0]):
        return "record"
    named = next((text for text in texts if any(map(str.isalpha, text))), "")
    return "total" if TOTAL.search(named) else ""


def set_apart(rows: Rows, columns: Columns, separator: str = ",") -> Rows:
    """Return rows without repeated headers, totals and records, which become lines that are no rows, with their kind."""
    bad = []
    for line in rows.bad:
        kind = kind_of(cells_of(line["_raw"], separator), rows.header, ragged=True)
        bad.append(_apart(line["_raw"], line["_line"], kind) if kind else line)
    places = {plain_name(name): place for place, name in enumerate(rows.header)}
    named = [places.get(plain_name(one)) for one in (columns.invoice_date, columns.invoice) if one]
    suspects = _suspects([rows.table[place] for place in named if place is not None])
    cells = [list(row.values()) for row in rows.table.take(pa.array(suspects)).to_pylist()] if len(suspects) else []
    kinds = {int(at): (kind, row) for at, row in zip(suspects, cells, strict=True) if (kind := kind_of(row, rows.header))}
    if not kinds:
        return rows._replace(bad=bad)
    lines = lines_of(rows)
    bad += [line_apart(cells, lines[at], kind, separator) for at, (kind, cells) in kinds.items()]
    kept = np.setdiff1d(np.arange(rows.table.num_rows), list(kinds))
    bad.sort(key=itemgetter("_line"))
    return Rows(rows.header, rows.table.take(pa.array(kept)), bad, [lines[at] for at in kept], rows.first)


def _suspects(columns: list[Any]) -> Any:
    """Return the rows without a date or an order number, or with a date that holds no digit: none of them is a whole sale."""
    if not columns or not len(columns[0]):
        return []
    dates = columns[0]
    ends = pc.min_max(dates).as_py()
    if not any(column.null_count for column in columns) and ends["min"] >= "0" and ends["max"] < ":":
        return []  # all of them begin with a digit
    odd = pc.invert(pc.fill_null(pc.match_substring_regex(dates, "[0-9]"), False))
    for column in columns:
        odd = pc.or_(odd, pc.is_null(column))
    return np.flatnonzero(odd.to_numpy(zero_copy_only=False))


def lines_of(rows: Rows) -> list[int]:
    """Return the line of each row."""
    if not isinstance(rows.lines, int):
        return rows.lines
    among = {line["_line"] for line in rows.bad}
    return list(islice((line for line in count(rows.lines + 1) if line not in among), rows.table.num_rows))


def text_rows(header: list[str], rows: list[list[str]]) -> Rows:
    """Return rows of text as columns, with empty fields as null."""
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    arrays = [pa.array([valid(text) or None for text in column], pa.string()) for column in columns]
    return Rows(header, numbered(arrays), [])


def numbered(arrays: list[pa.Array]) -> pa.Table:
    """Return a table of columns that are known by their place."""
    return pa.table(arrays, [str(place) for place in range(len(arrays))])


def valid(text: str) -> str:
    """Return text without halves of characters, which UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _apart(text: str, line: int, kind: str) -> dict:
    """Return a line that is no row, with its kind if it is none of sales."""
    return {"_raw": text, "_line": line} | ({"_kind": kind} if kind else {})


def line_apart(cells: Sequence[str | None], line: int, kind: str, separator: str = ",") -> dict:
    """Return a row as a line that is none of sales."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="").writerow(["" if cell is None else cell for cell in cells])
    return _apart(text.getvalue(), line, kind)


def above_of(layout: Layout) -> list[dict]:
    """Return the lines above a header as lines that are no rows, with their kind unless they look like sales."""
    texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in layout.above]
    lines = [(text, line, cells_of(text, layout.separator)) for line, text in enumerate(texts, 1)]
    return [_apart(text, line, kind_above(row, layout.header)) for text, line, row in lines if any(map(str.strip, row))]


def kind_above(row: Sequence[str], header: Sequence[str]) -> str:
    """Return the kind of a line above a header; nothing for one with values, which may be a sale under another header."""
    cells = [cell.strip() for cell in row if cell.strip()]
    values = sum(bool(VALUE.search(cell)) for cell in cells)
    if RECORD.search(cells[0]):
        return "record"
    return "" if values > 1 and len(cells) >= max(3, len(header) // 2) else "title"
