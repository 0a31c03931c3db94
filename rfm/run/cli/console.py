"""The terminal: results on standard output, all else on standard error; no text of a file can steer it, no encoding stops it."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from rfm.errors import printable

SPELLED = {
    "✓": "ok",
    "✗": "failed",
    "…": "...",
    "·": "-",
    "→": "->",
    "−": "-",
    "–": "-",
    "—": "-",
    "×": "x",
    "≥": ">=",
    "≤": "<=",
}


def spell_unknown_characters() -> None:
    """Let no character stop a verb: what the terminal's encoding lacks is spelled."""
    codecs.register_error("rfm.spelled", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may be closed, or another's
            stream.reconfigure(errors="rfm.spelled")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return what to write for the characters that cannot be encoded: a word, for a currency ``?``, else the number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(SPELLED.get(each) or _number(each) for each in unknown), error.end


def _number(character: str) -> str:
    """Return a character by its number; that of a currency would look like a part of the amount."""
    return "?" if unicodedata.category(character) == "Sc" else character.encode("ascii", "backslashreplace").decode()


class Terminal(Console):
    """The one way to the terminal: what a file, its name or a setting says is shown, and never steers the terminal."""

    def print(self, *objects: Any, **given: Any) -> None:
        """Print texts, each in one line, and tables; parameters as for `Console`."""
        super().print(*(printable(one) if isinstance(one, str) else one for one in objects), **given)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Return what is drawn, without control characters but those that the console makes; parameters as for `Console`."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=printable(part.text, keep="\n"))


class Notes(Terminal):
    """What is said beside errors and results: nothing with --quiet, details only with --verbose."""

    verbose = False

    def detail(self, said: str) -> None:
        """Say what only --verbose shows."""
        if self.verbose:
            self.print(said, style="dim", markup=False)


screen, errors = Terminal(soft_wrap=True, highlight=False), Terminal(stderr=True, soft_wrap=True, highlight=False)
notes = Notes(stderr=True, soft_wrap=True, highlight=False)
