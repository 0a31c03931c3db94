"""What is guessed about files, and what the files leave open: settings with reasons, questions with options, doubts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from rfm.onboarding.columns import Sure


class Guess(NamedTuple):
    """A setting, its value, how sure that is, why, and what it changes in money or customers."""

    setting: str
    value: Any
    sure: Sure
    reason: str
    effect: str = ""


class Option(NamedTuple):
    """An answer to a question: the value of the setting, its meaning, and the totals that it leads to."""

    value: Any
    said: str
    revenue: Decimal | None = None
    customers: int | None = None


class Question(NamedTuple):
    """A setting that the files leave open: the question, its answers, the most likely first, and why it is asked."""

    setting: str
    asked: str
    options: list[Option]
    why: str = ""


class Doubt(NamedTuple):
    """Something that may be read wrong, and the money at stake in the lines of the sample; None: unknown."""

    about: str
    said: str
    amount: Decimal | None = None
