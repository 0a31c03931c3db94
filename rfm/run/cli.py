"""The `rfm` command: thin; every verb calls one function. Exit status 0 done, 1 a run failed, 2 wrong use."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

import rfm
from rfm.schema import RfmError, SettingsError

app = typer.Typer(
    help="Daily sales files in; a segment and an action for each customer out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
STOPPED = 130  # exit status after Ctrl-C
UsageError: Any = typer.BadParameter.__base__  # click's, or that of the copy of click in newer typers
screen, errors = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)

Date = Annotated[
    str | None, typer.Option("--date", help="Run date, YYYY-MM-DD; the newest day in the landing folder if not given.")
]
Landing = Annotated[str | None, typer.Option("--landing", help="Folder or URL of the daily files.")]
LakeUrl = Annotated[str | None, typer.Option("--lake", help="Folder or URL of the tables.")]
Reports = Annotated[str | None, typer.Option("--reports", help="Folder or URL of the published reports.")]
Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A notebook parameter; may be repeated.")
]


@app.command(epilog="Examples: `rfm daily` · `rfm daily --date 2025-10-23` · `rfm daily --landing s3://shop/daily_sales`")
def daily(
    date: Date = None,
    landing: Landing = None,
    lake: LakeUrl = None,
    reports: Reports = None,
    parameter: Parameters = None,
) -> None:
    """Run all stages for one day and publish its report."""
    settings = rfm.load_settings(date=date, landing=landing, lake=lake, reports=reports)
    given = _assignments(parameter or [])
    from rfm.run.daily import run

    with screen.status("starting"):
        record = run(settings, given, _say_stage)
    for warning in record["warnings"]:
        screen.print(f"[yellow]warning[/] {escape(warning)}")
    screen.print(f"{record['run_date']}: {record['headline']}. Report: {record['report']}", markup=False)


@app.command(epilog="Example: `rfm backfill --from 2025-06-26 --to 2025-10-23`")
def backfill(
    first: Annotated[str, typer.Option("--from", help="First run date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last run date, YYYY-MM-DD.")],
    landing: Landing = None,
    lake: LakeUrl = None,
) -> None:
    """Run many days without notebooks: the same tables as `rfm daily` of each day, in a fraction of the time."""
    settings = rfm.load_settings(landing=landing, lake=lake)
    begin, end = _day("--from", first), _day("--to", last)
    from rfm.run import backfill as runs

    total, headline = len(runs.days(begin, end)), ""
    for day, said in _with_bar(runs.backfill(settings, begin, end), total):
        last, headline = day.isoformat(), said
    screen.print(f"{total} day(s) up to {last}: {headline}. Tables: {settings.lake}", markup=False)


@app.command(epilog="Examples: `rfm sample` · `rfm sample --days 30 --lines 5000 --customers 200 --landing /tmp/small`")
def sample(
    landing: Landing = None,
    days: Annotated[int, typer.Option(help="Number of daily files.")] = 120,
    end: Annotated[str, typer.Option(help="Date of the last file, YYYY-MM-DD.")] = "2025-10-23",
    customers: Annotated[int, typer.Option(help="Customers, about.")] = 1500,
    lines: Annotated[int, typer.Option(help="Lines in all, about.")] = 60_000,
    seed: Annotated[int, typer.Option(help="Seed: the same one gives the same files.")] = 20100,
    if_empty: Annotated[bool, typer.Option("--if-empty", help="Do nothing where files lie already.")] = False,
) -> None:
    """Make daily sales files of an invented shop."""
    from rfm.io.landing import has_files
    from rfm.io.prepare import make_sample

    settings = rfm.load_settings(landing=landing)
    if if_empty and has_files(settings):
        return
    made = make_sample(settings.landing, days=days, end=_day("--end", end), customers=customers, lines=lines, seed=seed)
    counts = f"{made.files} files, {made.lines:,} lines, {made.customers:,} customers"
    screen.print(f"{counts} up to {made.last_day}: {settings.landing}", markup=False)


@app.command(epilog="Examples: `rfm status` · `rfm status --json`")
def status(
    lake: LakeUrl = None,
    reports: Reports = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show the last runs and the tables: versions, rows."""
    from rfm.run.site import published_runs

    settings = rfm.load_settings(lake=lake, reports=reports)
    tables = {name: state._asdict() for name, state in rfm.Lake(settings.lake).state().items()}
    runs = published_runs(settings.reports)
    if as_json:
        screen.print_json(json.dumps({"runs": runs, "tables": tables}))
        return
    screen.print(_grid(f"Runs in {settings.reports}", [_run_row(run) for run in runs[:10]]))
    screen.print(_grid(f"Tables in {settings.lake}", [{"table": name, **state} for name, state in tables.items()]))


@app.command(epilog="Examples: `rfm optimize` · `rfm optimize customer_rfm_kmeans_clustered_history`")
def optimize(
    tables: Annotated[list[str] | None, typer.Argument(help="Names of tables; all if not given.")] = None,
    lake: LakeUrl = None,
) -> None:
    """Join small files of the tables and remove files that no version of the last week needs."""
    home = rfm.Lake(rfm.load_settings(lake=lake).lake)
    for name in tables or home.state():
        done = home.optimize(name)
        screen.print(f"{name}: {done['before']} file(s) → {done['after']}, {done['removed']} old one(s) removed")


def main() -> None:
    """Run the command line; say what went wrong in one line, without a traceback."""
    with _plain_words():
        status = app(sys.argv[1:] or ["--help"], prog_name="rfm", standalone_mode=False)
        if status == STOPPED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(status)


@contextmanager
def _plain_words() -> Iterator[None]:
    """Turn an error that a user can cause into one line and an exit status."""
    try:
        yield
    except RfmError as error:
        errors.print(f"rfm: {error}", markup=False)
        sys.exit(error.exit_status)
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else "rfm"
        errors.print(f"rfm: {error.format_message().rstrip('.')}; see `{command} --help`", markup=False)
        sys.exit(error.exit_code)
    except PermissionError as error:
        errors.print(f"rfm: {error.filename}: no permission; choose another folder or change its rights", markup=False)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        errors.print("rfm: stopped by hand; run the same day again to finish it")
        sys.exit(STOPPED)


def _day(option: str, text: str) -> dt.date:
    """Return a date given on the command line."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} {text!r} is not a date; write it as YYYY-MM-DD") from None


def _assignments(given: list[str]) -> dict[str, Any]:
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


def _say_stage(stage: Any) -> None:
    """Say that a stage is done."""
    mark = "[green]✓[/]" if stage["status"] == "done" else "[red]✗[/]"
    screen.print(f"{mark} {stage['name']:<12} {stage['title']:<36} {stage['seconds']:5.1f} s")


def _with_bar(days: Iterator[Any], total: int) -> Iterator[Any]:
    """Yield from an iterator under a progress bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=screen) as bar:
        task = bar.add_task("backfill", total=total)
        for day, headline in days:
            bar.update(task, advance=1, description=day.isoformat())
            yield day, headline


def _run_row(run: dict[str, Any]) -> dict[str, Any]:
    """Return what the status shows of a run."""
    return {name: run.get(name) for name in ("run_date", "status", "seconds", "customers", "revenue", "orders", "warnings")}


def _grid(title: str, rows: list[dict[str, Any]]) -> Grid | str:
    """Return rows as a table for the terminal."""
    if not rows:
        return f"{escape(title)}: none yet"
    grid = Grid(*rows[0], title=escape(title), title_justify="left")
    for row in rows:
        grid.add_row(*(f"{value:,}" if isinstance(value, int) else escape(str(value)) for value in row.values()))
    return grid
