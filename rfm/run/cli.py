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

import rfm
from rfm.errors import redacted, trouble
from rfm.run.arguments import assignments, day_of
from rfm.schema import RfmError
from rfm.settings import absolute

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
Restate = Annotated[bool, typer.Option("--restate", help="Replace what was read of files whose content changed since.")]


@app.command(epilog="Examples: `rfm daily` · `rfm daily --date 2025-10-23` · `rfm daily --landing s3://shop/daily_sales`")
def daily(
    date: Date = None,
    landing: Landing = None,
    lake: LakeUrl = None,
    reports: Reports = None,
    parameter: Parameters = None,
    restate: Restate = False,
    as_published: Annotated[
        str | None,
        typer.Option(
            "--as-published", metavar="DAY", help="Repeat a published day from its table versions; write nothing, compare."
        ),
    ] = None,
) -> None:
    """Run all stages for one day and publish its report."""
    settings = rfm.load_settings(date=date, landing=landing, lake=lake, reports=reports)
    if as_published:
        _say_replay(settings, day_of("--as-published", as_published))
        return
    given = assignments(parameter or []) | ({"restate": True} if restate else {})
    from rfm.run.daily import run

    with screen.status("starting"):
        record = run(settings, given, _say_stage)
    _say_warnings(record["warnings"])
    screen.print(f"{record['run_date']}: {record['headline']}. Report: {record['report']}", markup=False)
    if record["errors"]:
        raise typer.Exit(1)


@app.command(epilog="Example: `rfm backfill --from 2025-06-26 --to 2025-10-23`")
def backfill(
    first: Annotated[str, typer.Option("--from", help="First run date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last run date, YYYY-MM-DD.")],
    landing: Landing = None,
    lake: LakeUrl = None,
    restate: Restate = False,
) -> None:
    """Run many days without notebooks: the same tables as `rfm daily` of each day, in a fraction of the time."""
    settings = rfm.load_settings(landing=landing, lake=lake)
    begin, end = day_of("--from", first), day_of("--to", last)
    from rfm.run import backfill as runs
    from rfm.run.screen import with_bar

    total = len(runs.days(begin, end))
    *_, headline = (said for _, said in with_bar(runs.backfill(settings, begin, end, restate), total, screen))
    warnings, refused = runs.told(settings, begin, end)
    _say_warnings(warnings)
    screen.print(f"{total} day(s) up to {end}: {headline}. Tables: {settings.lake}", markup=False)
    if refused:
        raise typer.Exit(1)


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
    made = make_sample(settings.landing, days=days, end=day_of("--end", end), customers=customers, lines=lines, seed=seed)
    counts = f"{made.files} files, {made.lines:,} lines, {made.customers:,} customers"
    screen.print(f"{counts} up to {made.last_day}: {settings.landing}", markup=False)


@app.command(epilog="Example: `rfm upload --date 2025-10-23 --to s3://shop/daily_sales --landing /data/exports`")
def upload(
    to: Annotated[str, typer.Option("--to", help="Folder or URL that the files go to, each under its date.")],
    date: Date = None,
    landing: Landing = None,
) -> None:
    """Send a day's files to a bucket or folder, once; credentials come from the environment, a profile or a role."""
    settings, target = rfm.load_settings(date=date, landing=landing), absolute(to)
    from rfm.io import landing as files

    for sent in files.upload(settings.landing, target, files.run_date(settings), settings.files.pattern):
        said = "sent" if sent.new else "there already"
        screen.print(f"{said}: {sent.target} ({sent.bytes:,} bytes)", markup=False)


@app.command(epilog="Examples: `rfm status` · `rfm status --json`")
def status(
    lake: LakeUrl = None,
    reports: Reports = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show the last runs, how good and how fresh the data are, warnings, and the tables with their sizes.

    With `--json`: `runs`, newest first; `stages` of the newest run; `tables` by name (`version`, `rows`, `files`,
    `bytes`); `quality` (`processing_date`, `lines`, `dropped`, `dropped_share`, `broken`); `warnings`; `freshness`
    (`newest_file`, `newest_sale`, `newest_run`). The status of a run is done, failed, running or did not finish.
    """
    from rfm.run import overview
    from rfm.run import screen as drawn

    settings = rfm.load_settings(lake=lake, reports=reports)
    told = overview.overview(settings)
    if as_json:
        screen.print_json(json.dumps(told))
    else:
        screen.print(drawn.overview(told, settings.lake, settings.reports), soft_wrap=False)


@app.command(epilog="Examples: `rfm optimize` · `rfm optimize customer_rfm_kmeans_clustered_history`")
def optimize(
    tables: Annotated[list[str] | None, typer.Argument(help="Names of tables; all if not given.")] = None,
    lake: LakeUrl = None,
) -> None:
    """Join small files of the tables and remove files that no version of the last days needs."""
    settings = rfm.load_settings(lake=lake)
    home = rfm.Lake(settings.lake)
    for name in tables or home.state():
        done = home.optimize(name, settings.care.retain_days)
        screen.print(f"{name}: {done['before']} file(s) → {done['after']}, {done['removed']} old one(s) removed")


@app.command(epilog="Examples: `rfm release --export rows.csv --date 2025-10-23` · `rfm release rows.csv`")
def release(
    file: Annotated[str | None, typer.Argument(help="Quarantined rows, exported and put right.")] = None,
    export: Annotated[str | None, typer.Option("--export", metavar="FILE", help="Write the quarantined rows there.")] = None,
    date: Annotated[str | None, typer.Option("--date", help="Rows of that run date alone; the date of the release.")] = None,
    lake: LakeUrl = None,
) -> None:
    """Put quarantined rows right: export them, edit them in a spreadsheet, release them into silver."""
    settings = rfm.load_settings(lake=lake, date=date)
    from rfm.run import release as releases

    screen.print(releases.act(settings, file, export), markup=False)


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
        errors.print(redacted("\n".join([f"rfm: {error}", *getattr(error, "__notes__", ())])), markup=False)
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
    except Exception as error:
        if not (said := trouble(error)):
            raise
        errors.print(f"rfm: a bucket failed: {said}", markup=False)
        sys.exit(1)


def _say_replay(settings: Any, day: dt.date) -> None:
    """Repeat a published day and say whether it is the same; exit status 1 if not."""
    from rfm.run.replay import replay

    with screen.status(f"repeating {day}"):
        found = replay(settings, day)
    screen.print(str(found), markup=False)
    if found.differing:
        raise typer.Exit(1)


def _say_warnings(warnings: list[str]) -> None:
    """Say what a run warns of."""
    for warning in warnings:
        screen.print(f"[yellow]warning[/] {escape(warning)}")


def _say_stage(stage: Any) -> None:
    """Say that a stage is done."""
    mark = "[green]✓[/]" if stage["status"] == "done" else "[red]✗[/]"
    screen.print(f"{mark} {stage['name']:<12} {stage['title']:<36} {stage['seconds']:5.1f} s")
