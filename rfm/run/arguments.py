"""What is typed on the command line, as values."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from rfm.schema import SettingsError


def day_of(option: str, text: str) -> dt.date:
    """Return a date given on the command line.

    Parameters
    ----------
    option
        For the error.
    text
        What was typed.

    Raises
    ------
    SettingsError
        If it is no date.
    """
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} {text!r} is not a date; write it as YYYY-MM-DD") from None


def assignments(given: list[str]) -> dict[str, Any]:
    """Return NAME=VALUE pairs; a value that reads as JSON (a number, true) is that.

    Raises
    ------
    SettingsError
        If one is no such pair.
    """
    pairs = [pair.partition("=") for pair in given]
    if wrong := [name for name, sign, _ in pairs if not sign or not name]:
        raise SettingsError(f"--parameter {wrong[0]!r} is not NAME=VALUE")
    return {name: _value(text) for name, _, text in pairs}


def _value(text: str) -> Any:
    """Return JSON as what it says, any other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text
