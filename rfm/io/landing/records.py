"""Text of a landing file → whole records: a quoted field may hold line ends, a quote that is never closed may not.

The patterns follow pyarrow's reader: a quote opens a field only at its start, two quotes inside stand for one, and a
quote anywhere else is text.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import NamedTuple

from rfm.io.landing.encoding import after_last_line

RECORD_LINES = 50
"""A quoted field that is open for more lines was never closed."""
LINES = re.compile(rb"(?:[^\r\n]*+(?>\r\n|[\r\n])){%d}" % RECORD_LINES)  # (?>: no end of a line is tried in two ways
LINE_END = re.compile(rb"[\r\n]")
MARK = b"\x1aragged"


class Records(NamedTuple):
    """Whole records.

    Parameters
    ----------
    text
        Lines that a reader of CSV takes apart into records; a mark stands in the place of each ragged line.
    ragged
        Mark, and the line that opens a quoted field which makes no record of the file.
    rest
        Beginning of a record that is not whole yet.
    """

    text: bytes
    ragged: dict[bytes, bytes]
    rest: bytes


class _Patterns(NamedTuple):
    """Patterns for a separator: a quoted field; all up to a quoted field that spans lines; a record."""

    quoted: re.Pattern[bytes]
    closed: re.Pattern[bytes]
    record: re.Pattern[bytes]


def repeated(pattern: bytes, broken: bool = sys.version_info < (3, 11, 5)) -> bytes:
    """Return a pattern for another one, repeated as often as it fits, that never goes back.

    Parameters
    ----------
    pattern
        What is repeated.
    broken
        Whether ``(…)*+`` can run for ever, as in Python before 3.11.5; what is used then takes more memory.
    """
    return b"(?>(?:%s)*)" % pattern if broken else b"(?:%s)*+" % pattern


@cache
def _patterns(separator: bytes) -> _Patterns:
    """Return the patterns for a separator; none of them goes back on its steps, so none is slow on any text."""
    start = b'"(?<![^%s\\r\\n]")' % re.escape(separator)
    stray = b'(?<=[^%s\\r\\n])"' % re.escape(separator)
    quoted = start + b'[^"]*+%s"' % repeated(b'""[^"]*+')
    in_line = start + b'[^"\\r\\n]*+%s"' % repeated(b'""[^"\\r\\n]*+')
    return _Patterns(
        re.compile(quoted),
        re.compile(repeated(b'[^"]++|%s|%s' % (in_line, stray))),
        re.compile(repeated(b'[^"\\r\\n]++|%s|%s' % (quoted, stray)) + b"(?=[\\r\\n])"),
    )


def whole(text: bytes, separator: bytes, width: int, last: bool) -> Records:
    """Return the whole records of a text, with the lines marked that open a quoted field but make no record.

    Such a line is one whose quoted field is never closed, or is closed by the quote of a later line: its record has
    another number of fields than the header, or one field holds line ends and as many separators as a line. The line
    is ragged by itself; the lines after it are read on their own.

    Parameters
    ----------
    text
        Lines below the header, from the start of a record.
    separator
        One character.
    width
        Fields of the header.
    last
        Whether the file ends with this text.
    """
    end = len(text) if last else after_last_line(text)
    if b'"' not in text:
        return Records(text[:end], {}, text[end:])
    ragged: dict[bytes, bytes] = {}
    find, parts, kept, place = _patterns(separator), [], 0, 0
    while (opened := find.closed.match(text, place, end).end()) < end:  # type: ignore[union-attr]  # matches anything
        start = 1 + max(text.rfind(b"\n", place, opened), text.rfind(b"\r", place, opened), place - 1)
        long = LINES.match(text, opened, end)
        record = find.record.match(text, start, long.end() if long else end)
        if not (record or long or last):
            end = start
        elif record and _fits(record.group(), separator, width, find.quoted):
            place = record.end()
        else:
            place = LINE_END.search(text, opened).start()  # type: ignore[union-attr]  # ends with one
            mark = b"%s %d" % (MARK, len(ragged))
            ragged[mark] = text[start:place]
            parts += [text[kept:start], mark]
            kept = place
    return Records(b"".join([*parts, text[kept:end]]), ragged, text[end:])


def fields(record: bytes, separator: bytes) -> int:
    """Return the number of fields of a record.

    Parameters
    ----------
    record
        Text of it.
    separator
        One character.
    """
    return 1 + _patterns(separator).quoted.sub(b"", record).count(separator)


def _fits(record: bytes, separator: bytes, width: int, quoted: re.Pattern[bytes]) -> bool:
    """Tell whether a record has as many fields as the header, and none of them holds a line."""
    found = quoted.findall(record)
    joined = any(LINE_END.search(field) and field.count(separator) >= width - 1 for field in found)
    return not joined and fields(record, separator) == width
