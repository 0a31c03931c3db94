"""What every verb of the command line shares: the app, the screen, the options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.segment import Segment

from rfm.errors import printable


class Terminal(Console):
    """The one way to the terminal: what a file, its name or a setting says is shown, and never steers the terminal."""

    def print(self, *objects: Any, **given: Any) -> None:
        """Print texts, each in one line, and tables; parameters as for `Console`."""
        super().print(*(printable(one) if isinstance(one, str) else one for one in objects), **given)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Return what is drawn, without control characters but those that the console makes; parameters as for `Console`."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=printable(part.text, keep="\n"))


app = typer.Typer(
    help="Daily sales files in; a segment and an action for each customer out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
screen, errors = Terminal(soft_wrap=True, highlight=False), Terminal(stderr=True, soft_wrap=True, highlight=False)

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
