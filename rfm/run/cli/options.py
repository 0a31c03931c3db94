"""What every verb of the command line shares: the app, the screen, the options."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Daily sales files in; a segment and an action for each customer out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
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


screen, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)

Date = Annotated[
    str | None, typer.Option("--date", help="Run date, YYYY-MM-DD; the newest day in the landing folder if not given.")
]
Landing = Annotated[str | None, typer.Option("--landing", help="Folder or URL of the daily files.")]
LakeUrl = Annotated[str | None, typer.Option("--lake", help="Folder or URL of the tables.")]
Engine = Annotated[str | None, typer.Option("--engine", help="What computes the large tables: polars, or spark at --remote.")]
Remote = Annotated[str | None, typer.Option("--remote", help="Address of a Spark Connect server, sc://host:port.")]
Reports = Annotated[str | None, typer.Option("--reports", help="Folder or URL of the published reports.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A notebook parameter; may be repeated.")
]
Refit = Annotated[bool, typer.Option("--refit", help="Fit the clusters afresh instead of starting from the run before.")]
Restate = Annotated[bool, typer.Option("--restate", help="Replace what was read of files whose content changed since.")]
