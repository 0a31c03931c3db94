"""What every verb shares: the app, the consoles and the options.

Results go to standard output (`screen`), everything else to standard error: `errors`, and `notes`, which --quiet silences.
"""

from __future__ import annotations

import codecs
import datetime as dt
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Annotated, Any, get_args, get_type_hints
from unicodedata import category

import typer
from rich.console import Console
from rich.segment import Segment
from typer.core import TyperGroup

from rfm.config import VERSION
from rfm.errors import SettingsError, printable, redact
from rfm.settings import Settings, load_settings

SPELLED = {"✓": "ok", "✗": "failed", "…": "...", "·": "-", "→": "->", "×": "x", "≥": ">=", "≤": "<="} | dict.fromkeys("−–—", "-")


def spell_unknown_characters() -> None:
    """Spell the characters that the terminal's encoding lacks, instead of failing."""
    codecs.register_error("rfm.spelled", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may be closed, or replaced
            stream.reconfigure(errors="rfm.spelled")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """Return a word, else ``?`` for a currency (a number would look like part of the amount), else the character's number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    texts = (
        SPELLED.get(one) or ("?" if category(one) == "Sc" else ascii(one)[1:-1]) for one in error.object[error.start : error.end]
    )
    return "".join(texts), error.end


class Terminal(Console):
    """A console that shows text from files and settings without letting it control the terminal."""

    def print(self, *objects: Any, **given: Any) -> None:
        """Print texts, each on one line, and tables; parameters as for `Console`."""
        super().print(*(printable(redact(one)) if isinstance(one, str) else one for one in objects), **given)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Render without control characters other than the console's own; parameters as for `Console`."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=printable(part.text, keep="\n"))


class Notes(Terminal):
    """Notes, neither errors nor results: none with --quiet, details only with --verbose."""

    verbose = False

    def detail(self, text: str) -> None:
        """Print a text if --verbose is given."""
        if self.verbose:
            self.print(text, style="dim", markup=False)


screen, errors = Terminal(soft_wrap=True, highlight=False), Terminal(stderr=True, soft_wrap=True, highlight=False)
notes = Notes(stderr=True, soft_wrap=True, highlight=False)


PANELS = {  # heading in the help: its verbs, in their order
    "Run": ("daily", "backfill", "watch"),
    "Your own files": ("check", "init", "upload"),
    "Reports": ("report", "publish", "serve"),
    "Campaigns": ("campaign",),
    "Tables and models": ("status", "verify", "repair", "optimize", "release", "score", "backtest"),
    "Example data and notebooks": ("sample", "prepare", "notebooks"),
}
COMMON = ("quiet", "verbose", "help")  # options of `rfm` that may come before or after the verb


class Verbs(TyperGroup):
    """The verbs, grouped under headings, each with the common options."""

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
    """Show flags and arguments by name only, without a Python type."""
    for param in params:
        if param.param_type_name == "argument":
            param.display_type = lambda ctx: ""
        elif param.is_flag:
            param.metavar = ""
    return params


app = typer.Typer(
    cls=Verbs,
    help="Turn daily sales files into customer segments and a recommended action for every customer.",
    epilog="Exit status: 0 done · 1 a run failed · 2 wrong use or settings · 130 stopped with Ctrl-C",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rfm {VERSION}")
        raise typer.Exit


def _set_note(context: typer.Context, param: typer.CallbackParam, wanted: bool) -> None:
    # The callback runs for `rfm` and again for the verb; the second must not undo the first
    setattr(notes, str(param.name), wanted or (getattr(notes, str(param.name)) and context.parent is not None))


def _show_help(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        typer.echo(context.get_help())
        raise typer.Exit


def _flag(*names: str, calls: Any, text: str, first: bool = False) -> Any:
    return typer.Option(*names, callback=calls, is_eager=first, expose_value=False, help=text, show_default=False)


@app.callback()
def _common(
    version: Annotated[bool, _flag("--version", "-V", calls=_show_version, text="Show the version.", first=True)] = False,
    quiet: Annotated[bool, _flag("--quiet", "-q", calls=_set_note, text="Show only errors and results.")] = False,
    verbose: Annotated[bool, _flag("--verbose", "-v", calls=_set_note, text="Also show settings, paths and timings.")] = False,
    help: Annotated[bool, _flag("--help", "-h", calls=_show_help, text="Show this help.", first=True)] = False,
) -> None:
    """Declare the options of `rfm` itself."""


# ── options that several verbs share ─────────────────────────────────
def option(name: str, metavar: str | None, text: str, default: str | bool = True, **given: Any) -> Any:
    """Return an option of a verb; the help shows the default in words."""
    return typer.Option(name, metavar=metavar, help=text, show_default=default, **given)


Landing = Annotated[str | None, option("--landing", "FOLDER", "Folder or URL of the daily files.", "data/landing")]
ENGINES = get_args(Settings.model_fields["engine"].annotation)
_ENGINE: dict[str, Any] = {"default": ENGINES[0], "autocompletion": lambda: list(ENGINES)}
SETTINGS: dict[str, Any] = {
    "date": Annotated[str | None, option("--date", "DATE", "Run date, YYYY-MM-DD.", "the newest day that has a file")],
    "landing": Landing,
    "lake": Annotated[str | None, option("--lake", "FOLDER", "Folder or URL of the tables.", "data/lake")],
    "reports": Annotated[str | None, option("--reports", "FOLDER", "Folder or URL of the published reports.", "reports")],
    "engine": Annotated[str | None, option("--engine", "NAME", f"Engine for large tables: {', or '.join(ENGINES)}.", **_ENGINE)],
    "remote": Annotated[str | None, option("--remote", "URL", "Spark Connect server for --engine spark, sc://host:port.")],
}
Json = Annotated[bool, option("--json", None, "Print one JSON document; other messages go to standard error.")]


def with_settings(*names: str, **own: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb the options that set some settings (some in words of its own), and the settings as its first argument."""
    options = {name: SETTINGS[name] for name in names} | own

    def take(verb: Callable[..., None]) -> Callable[..., None]:
        @wraps(verb)
        def taking(**given: Any) -> None:
            verb(settings_of(**{name: given.pop(name) for name in options}), **given)

        hints = get_type_hints(verb, include_extras=True) | options
        declared = list(inspect.signature(verb).parameters.values())[1:]
        needed = [one for one in declared if one.default is one.empty]
        others = [one for one in declared if one.default is not one.empty]
        shared = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in options]
        order = [one.replace(annotation=hints[one.name], kind=one.KEYWORD_ONLY) for one in (*needed, *shared, *others)]
        taking.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]  # read by typer
        taking.__annotations__ = hints
        return taking

    return take


def settings_of(**given: Any) -> Any:
    """Return the settings; with --verbose print where they come from and the paths."""
    settings = load_settings(**given)
    from rfm.settings import PATHS, lake_of, root, shop_file

    folder = root()
    if settings.lake == lake_of(folder) != str(folder / PATHS["lake"]):
        notes.print(f"Tables: {settings.lake}, because Delta cannot store them under {folder}", markup=False)
    if notes.verbose:
        notes.detail(f"settings: {shop_file() or 'no rfm.toml'}; engine {settings.engine}")
        for name in PATHS:
            notes.detail(f"{name}: {getattr(settings, name)}")
    return settings


def print_json(result: Any) -> None:
    """Print a result as one JSON document on standard output."""
    typer.echo(json.dumps(result, indent=2, default=str, allow_nan=False))


def day_of(option: str, text: str) -> dt.date:
    """Parse a date given on the command line."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} {text!r} is not a date; write it as YYYY-MM-DD") from None
