"""The terminal: results on standard output, all else on standard error; no text of a file can steer it, no encoding stops it.

What every verb of the command line shares: the app, the consoles, the options.

Results go to standard output (`screen`), all else to standard error: `errors`, and `notes`, which --quiet silences.

What is typed on the command line, as values.
"""

from __future__ import annotations

import codecs
import datetime as dt
import io
import json
import sys
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.segment import Segment
from typer.core import TyperGroup

from rfm.config import VERSION
from rfm.errors import SettingsError, printable
from rfm.settings import load_settings

# ── console ────────────────────────────────────────────────────────────
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


# ── options ────────────────────────────────────────────────────────────
PANELS = {  # heading in the help: its verbs, in their order
    "Run": ("daily", "backfill", "watch"),
    "Your own files": ("check", "init", "upload"),
    "Reports": ("report", "publish", "serve"),
    "Tables and models": ("status", "optimize", "release", "score", "backtest"),
    "Example data and notebooks": ("sample", "prepare", "notebooks"),
}
COMMON = ("quiet", "verbose", "help")  # options of `rfm` that may stand before and after the verb


class Verbs(TyperGroup):
    """The verbs, ordered under their headings, each with the common options."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        common = [param for param in self.params if param.name in COMMON]
        panels = {verb: panel for panel, verbs in PANELS.items() for verb in verbs}
        self.commands = {verb: self.commands[verb] for verb in (*panels, *self.commands) if verb in self.commands}
        for verb, command in self.commands.items():
            command.params = _plain([*command.params, *common])
            command.rich_help_panel = panels.get(verb)  # type: ignore[attr-defined]  # of typer's commands

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of `rfm` itself; parameters as for `TyperGroup`."""
        return _plain(super().get_params(ctx))


def _plain(params: list[Any]) -> list[Any]:
    """Let flags and arguments be shown by their names alone, without a Python type."""
    for param in params:
        if param.param_type_name == "argument":
            param.display_type = lambda ctx: ""
        elif param.is_flag:
            param.metavar = ""
    return params


app = typer.Typer(
    cls=Verbs,
    help="Daily sales files in; a segment and an action for each customer out.",
    epilog="Exit status: 0 done · 1 a run failed · 2 wrong use or settings · 130 stopped with Ctrl-C",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _say_version(wanted: bool) -> None:
    """Say the version and end."""
    if wanted:
        typer.echo(f"rfm {VERSION}")
        raise typer.Exit


def _be_quiet(context: typer.Context, wanted: bool) -> None:
    """Silence the notes; what stands after the verb adds to what stands before it."""
    notes.quiet = wanted or (notes.quiet and context.parent is not None)


def _be_verbose(context: typer.Context, wanted: bool) -> None:
    """Show details, as for `_be_quiet`."""
    notes.verbose = wanted or (notes.verbose and context.parent is not None)


def _help(context: typer.Context, wanted: bool) -> None:
    """Show the help and end."""
    if wanted and not context.resilient_parsing:
        typer.echo(context.get_help())
        raise typer.Exit


def _flag(*names: str, does: Any, told: str, first: bool = False) -> Any:
    """Return an option of `rfm` itself that stands alone."""
    return typer.Option(*names, callback=does, is_eager=first, expose_value=False, help=told, show_default=False)


@app.callback()
def _common(
    version: Annotated[bool, _flag("--version", "-V", does=_say_version, told="Show the version.", first=True)] = False,
    quiet: Annotated[bool, _flag("--quiet", "-q", does=_be_quiet, told="Show errors and results alone.")] = False,
    verbose: Annotated[bool, _flag("--verbose", "-v", does=_be_verbose, told="Show settings, paths and timings too.")] = False,
    help: Annotated[bool, _flag("--help", "-h", does=_help, told="Show this help.", first=True)] = False,
) -> None:
    """Declare the options of `rfm` itself."""


def _engines() -> list[str]:
    """Return what --engine can be, for the completion of a shell."""
    return ["polars", "spark"]


def _option(name: str, metavar: str | None, told: str, default: str | bool = True, **given: Any) -> Any:
    """Return an option that several verbs have; the default is what its help says."""
    return typer.Option(name, metavar=metavar, help=told, show_default=default, **given)


Date = Annotated[str | None, _option("--date", "DATE", "Run date, YYYY-MM-DD.", "the newest day that has a file")]
Landing = Annotated[str | None, _option("--landing", "FOLDER", "Folder or URL of the daily files.", "data/landing")]
LakeUrl = Annotated[str | None, _option("--lake", "FOLDER", "Folder or URL of the tables.", "data/lake")]
Reports = Annotated[str | None, _option("--reports", "FOLDER", "Folder or URL of the published reports.", "reports")]
Engine = Annotated[
    str | None,
    _option(
        "--engine", "NAME", "What computes the large tables: polars, or spark at --remote.", "polars", autocompletion=_engines
    ),
]
Remote = Annotated[str | None, _option("--remote", "URL", "Address of a Spark Connect server, sc://host:port.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A notebook parameter; may be repeated.")
]
Refit = Annotated[bool, _option("--refit", None, "Fit the clusters afresh instead of starting from the run before.")]
Restate = Annotated[bool, _option("--restate", None, "Replace what was read of files whose content changed since.")]
Json = Annotated[bool, _option("--json", None, "Print one JSON document; all else goes to standard error.")]


def settings_of(**given: Any) -> Any:
    """Return the settings in force; with --verbose say where they come from and what they lead to."""
    settings = load_settings(**given)
    from rfm.settings import PATHS, lake_of, root, shop_file

    folder = root()
    if settings.lake == lake_of(folder) != str(folder / PATHS["lake"]):
        notes.print(f"Tables: {settings.lake}, as Delta cannot keep them under {folder}", markup=False)
    if notes.verbose:
        notes.detail(f"settings: {shop_file() or 'no rfm.toml'}; engine {settings.engine}")
        for name in PATHS:
            notes.detail(f"{name}: {getattr(settings, name)}")
    return settings


def print_json(told: Any) -> None:
    """Print a result as one JSON document on standard output."""
    typer.echo(json.dumps(told, indent=2, default=str, allow_nan=False))


# ── arguments ────────────────────────────────────────────────────────────
def day_of(option: str, text: str) -> dt.date:
    """Return a date given on the command line."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} {text!r} is not a date; write it as YYYY-MM-DD") from None


def assignments(given: list[str]) -> dict[str, Any]:
    """Return NAME=VALUE pairs; a value that reads as JSON (a number, true) is that."""
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
