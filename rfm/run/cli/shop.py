"""The verbs for a shop's own files: check, init."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rfm.errors import printable
from rfm.run.cli.console import errors, screen
from rfm.run.cli.options import app
from rfm.schema import SettingsError

if TYPE_CHECKING:
    from rfm.run.check import Report

Files = Annotated[list[str], typer.Argument(metavar="FILE", help="Exports of one shop: files, folders or URLs; CSV or XLSX.")]


@app.command(epilog="Examples: `rfm check orders.csv` · `rfm check exports/ --json`")
def check(
    files: Files,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that was found, for machines.")] = False,
) -> None:
    """Look at sales files as a run would: what they are taken for, what would be lost, what to set. Nothing is written."""
    with _progress() as tell:
        from rfm.run import check as looking

        report = looking.check(files, dt.date.today(), tell=tell)
    if as_json:
        from rfm.run.check.told import as_dict

        typer.echo(printable(json.dumps(as_dict(report), indent=2, ensure_ascii=False, default=str), keep="\n"))
    else:
        from rfm.run.check.shown import shown

        screen.print(shown(report, screen.width), soft_wrap=False)
    raise typer.Exit(report.status)


@app.command(epilog="Examples: `rfm init orders.csv` · `rfm init exports/ --yes`")
def init(
    files: Files,
    yes: Annotated[bool, typer.Option("--yes", help="Take all guesses, ask nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Change the rfm.toml that is there; what it says of other things stays.")
    ] = False,
) -> None:
    """Write `rfm.toml` for a shop's own files into this folder, after asking; every guess is shown and can be changed."""
    with _progress() as tell:
        from rfm.run import check as looking
        from rfm.run.check import shopfile
        from rfm.run.check.shown import in_short, shown

        target, today = shopfile.refuse_if_there(force), dt.date.today()
        report = looking.check(files, today, {}, tell)
    screen.print(shown(report, screen.width), soft_wrap=False)
    answers = {} if yes or not report.lines else _asked(report)
    chosen, tried = shopfile.chosen(report, answers), report
    if any(guess.value != chosen[guess.setting] for guess in report.guesses):
        with _progress() as tell:
            tried = looking.check(files, today, chosen, tell)
        screen.print(in_short(tried), soft_wrap=False)
    if tried.status > 1:
        raise typer.Exit(tried.status)
    shopfile.write(target, report, answers)
    screen.print("", f"Written: {target}", *shopfile.next_step(report).splitlines(), sep="\n", markup=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Draw on a terminal what is being done, from before the first import on; yield what tells it."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(what: str, done: int, of: int | None) -> None:
            bar.update(task, description=f"{what} {done:,}/{of:,}" if of else what, completed=done, total=of)

        yield tell


def _asked(report: Report) -> dict[str, Any]:
    """Ask for each setting; return the answers."""
    from rfm.run.check import shopfile

    screen.print("", "[bold]Is this right?[/] Enter accepts the value in brackets, - means none.", sep="\n")
    answers: dict[str, Any] = {}
    for question in shopfile.questions(report):
        if not shopfile.needless(question.setting, answers):
            answers[question.setting] = _ask(question, report, answers)
    return answers


def _ask(question: Any, report: Report, answers: dict[str, Any]) -> str:
    """Ask one question until the answer makes sense."""
    from rfm.run.check import shopfile

    while True:
        try:
            guessed = str(question.guess.value) or shopfile.NONE
            text = typer.prompt(f"  {question.asked} [{printable(guessed)}]", default=guessed, show_default=False)
            return shopfile.answer(question, text, report, answers)
        except SettingsError as error:
            screen.print(f"  {error}", style="yellow", markup=False)
        except typer.Abort:
            if sys.stdin.isatty():
                raise
            raise SettingsError("nobody answered; give --yes to take all guesses") from None
