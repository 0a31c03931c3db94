"""What the names of a shop's files have in common: a pattern that finds them, and the day in them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from itertools import takewhile

DATED = "[0-9]+(?:[-._ ][0-9]+)*"  # days, months and numbers of files
ENDING = re.compile(r"(?:[.](?:csv|txt|tsv|xlsx|gz))+$", re.IGNORECASE)


def pattern_of(names: Sequence[str], default: str) -> str:
    """Return a shell pattern that finds files named like these: the default if it does.

    Parameters
    ----------
    names
        Names of files, without their folders.
    default
        Pattern in force.

    Examples
    --------
    >>> pattern_of(["sales_20260131.csv", "sales_20260201.csv"], "*_transactions.csv*")
    'sales_*.csv'
    >>> pattern_of(["Export.xlsx"], "*_transactions.csv*")
    'Export*.xlsx'
    """
    if all(fnmatch.fnmatch(name, default) for name in names):
        return default
    stems = [re.sub(DATED, "*", ENDING.sub("", name)) for name in names]
    start = _beginning(stems).rstrip("*") if len(set(stems)) > 1 else ""
    stem = stems[0] if len(set(stems)) == 1 else f"{start}*"
    endings = sorted({found.group() if (found := ENDING.search(name)) else "" for name in names})
    ending = endings[0] if len(endings) == 1 else _beginning(endings) + "*"
    stem = stem if "*" in stem else f"{stem}*"
    return re.sub(r"[*]{2,}", "*", _literal(stem) + ending)


def _beginning(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    alike = (letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False)))
    return "".join(alike)


def _literal(stem: str) -> str:
    """Return a stem in which brackets and question marks stand for any sign."""
    return re.sub(r"[\[\]?]", "?", stem)
