"""What every verb of the command line shares: the app, the screen, the options."""

from __future__ import annotations

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
