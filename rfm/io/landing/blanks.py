"""Fields that blanks keep apart, as many as line the columns up: each run of them is one separator."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any

from rfm.io.landing.encoding import after_last_line
from rfm.io.landing.records import MARK, Records, repeated

BLANK = " "
_QUOTED = rb'"%s"(?![^ \r\n])' % repeated(rb'[^"\r\n]|""')
_FIELD = rb'(?:%s|[^ "\r\n][^ \r\n]*+)' % _QUOTED
_GAP = re.compile(rb"((?<![^ \r\n])%s)(?: ++|(?![^\r\n]))| ++" % _QUOTED)
_RUN = re.compile(rb"  ++")
_ENDS = re.compile(rb"(?<![^\r\n]) | (?![^\r\n])")


def spaced(text: bytes, width: int, last: bool) -> Records:
    """Return the lines of a text with one blank between two fields; the lines that have not as many as the header are marked.

    Parameters
    ----------
    text
        Lines below the header, from the start of a line; a quoted field may hold blanks, but no line end.
    width
        Fields of the header.
    last
        Whether the file ends with this text.
    """
    end = len(text) if last else after_last_line(text)
    ragged: dict[bytes, bytes] = {}

    def mark(line: re.Match[bytes]) -> bytes:
        name = b"%s-%d" % (MARK, len(ragged))
        ragged[name] = line.group()
        return name

    fits = rb"(?:%s ++){%d}%s" % (_FIELD, width - 1, _FIELD)
    marked = re.sub(rb"(?<![^\r\n])(?! *+(?:%s *+)?[\r\n])[^\r\n]++" % fits, mark, text[:end])
    return Records(single(marked), ragged, text[end:])


def single(text: bytes) -> bytes:
    r"""Return text with one blank for each run of them outside quotes, and none at the ends of lines.

    Examples
    --------
    >>> single(b' 00001  "Ann  B"   3 \n')
    b'00001 "Ann  B" 3\n'
    """
    text = _GAP.sub(rb"\1 ", text) if b'"' in text else _RUN.sub(b" ", text)
    return _ENDS.sub(b"", text)


def reader(lines: Iterable[str], separator: str) -> Any:
    """Return a reader of lines as the `csv` module has it, which takes a run of blanks for one if they separate.

    Parameters
    ----------
    lines
        Text.
    separator
        One character.
    """
    if separator != BLANK:
        return csv.reader(lines, delimiter=separator)
    return csv.reader((line.strip(" \r\n") for line in lines), delimiter=BLANK, skipinitialspace=True)
