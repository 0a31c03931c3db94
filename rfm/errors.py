"""What goes wrong, and how it is said: one line that names file, column, count and remedy."""

from __future__ import annotations

from collections.abc import Iterable


class RfmError(Exception):
    """Something a user can mend; the message names file, column, count and remedy in one line."""

    exit_status = 1


class SettingsError(RfmError):
    """Wrong use or wrong settings: the run has not started."""

    exit_status = 2


class InputError(RfmError):
    """A file, a folder or a lake that cannot be read as it is."""


class ContractError(RfmError):
    """A frame that breaks the contract of the table it was to be written to."""


class StageError(RfmError):
    """A stage of the run that failed."""


def unknown(kind: str, given: Iterable[str], allowed: Iterable[str]) -> str:
    """Say which names are unknown, and which are meant or allowed.

    Parameters
    ----------
    kind
        What the names are of, for the sentence.
    given, allowed
        Names that are unknown, and those that are known.

    Examples
    --------
    >>> unknown("parameter", ["dat"], ["date", "lake"])
    "unknown parameter 'dat' (did you mean 'date'?); allowed: date, lake"
    """
    from difflib import get_close_matches

    allowed = sorted(allowed)
    said = []
    for name in given:
        close = get_close_matches(name, allowed, 1)
        said.append(f"'{name}'" + (f" (did you mean '{close[0]}'?)" if close else ""))
    return f"unknown {kind} {', '.join(said)}; allowed: {', '.join(allowed)}"


def first_line(error: Exception) -> str:
    """Return the first line of an error's message.

    Parameters
    ----------
    error
        Any error, with or without a message.
    """
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
