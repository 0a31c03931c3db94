"""The verbs that run the chain: daily, backfill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.status import Status

from rfm.run.arguments import assignments, day_of
from rfm.run.cli.console import notes, screen
from rfm.run.cli.options import (
    Date,
    Engine,
    Json,
    LakeUrl,
    Landing,
    Parameters,
    Refit,
    Remote,
    Reports,
    Restate,
    app,
    print_json,
    settings_of,
)


@app.command(
    epilog="Examples: `rfm daily` · `rfm daily --date 2025-10-23` · `rfm daily --catch-up` · `rfm daily --json`"
    " · `rfm daily --landing s3://shop/daily_sales`"
)
def daily(
    date: Date = None,
    landing: Landing = None,
    lake: LakeUrl = None,
    reports: Reports = None,
    parameter: Parameters = None,
    restate: Restate = False,
    refit: Refit = False,
    engine: Engine = None,
    remote: Remote = None,
    as_published: Annotated[
        str | None,
        typer.Option(
            "--as-published", metavar="DATE", help="Repeat a published day from its table versions; write nothing, compare."
        ),
    ] = None,
    catching_up: Annotated[
        bool, typer.Option("--catch-up", help="First the days before that have a file and were never run, without notebooks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run all stages for one day and publish its report.

    With `--json` it prints the record of the run, as in `run.json`, with the address of the `report` and, with
    `--catch-up`, the days `caught_up`; with `--as-published` what was compared. A run that fails prints nothing there.
    """
    settings = settings_of(date=date, landing=landing, lake=lake, reports=reports, engine=engine, remote=remote)
    if as_published:
        _say_replay(settings, day_of("--as-published", as_published), as_json)
        return
    given = assignments(parameter or []) | {name: True for name, on in {"restate": restate, "refit": refit}.items() if on}
    if not run_chain(settings, given, catching_up, as_json):
        raise typer.Exit(1)


def run_chain(settings: Any, given: Mapping[str, Any], catching_up: bool = False, as_json: bool = False) -> bool:
    """Run a day, after the missed ones if wanted, and say how it went; tell whether all went well."""
    with notes.status("starting") as line:
        from rfm.run import preflight

        preflight.check(settings, given)  # before anything heavy is imported
        went = [_say_missed(one) for one in _missed(settings, line)] if catching_up else []
        from rfm.run.kernels import warm_kernels

        with warm_kernels() as kernels:  # they warm while the run itself is imported
            dated = _dated(settings)
            from rfm.run.daily import run

            record = run(dated, given, partial(_say_stage, line), kernels, partial(_say_begun, line))
    _say_warnings(record["warnings"])
    if as_json:
        print_json(record | {"caught_up": [one._asdict() for one in went]} if catching_up else record)
    else:
        counted = f" {len(record['warnings'])} warning(s), see `rfm status`." if notes.quiet and record["warnings"] else ""
        screen.print(f"{record['run_date']}: {record['headline']}.{counted} Report: {record['report']}", markup=False)
    return all(one.well for one in went) and not record["errors"]


def _dated(settings: Any) -> Any:
    """Return settings with their run date; say so if it is not from a file's name."""
    from rfm.run.run_date import NEWEST_SALE, named_date, newest_sale

    if found := named_date(settings):
        return settings.model_copy(update={"date": found})
    day = newest_sale(settings)
    notes.print(f"run date {day}: {NEWEST_SALE}")
    return settings.model_copy(update={"date": day})


def _missed(settings: Any, line: Status) -> Iterator[Any]:
    """Run the missed days, one by one."""
    _say_now(line, "looking for missed days")
    from rfm.run.schedule.missed import catch_up

    yield from catch_up(settings)


def _say_missed(one: Any) -> Any:
    """Say how a missed day went; return it."""
    _say_warnings(one.warnings)
    notes.print(f"[{'green]✓' if one.well else 'red]✗'}[/] {one.day}: {escape(one.said)}")
    return one


def _say_now(line: Status, doing: str) -> None:
    """Say what is being done: in the live line of a terminal, in a line of its own elsewhere."""
    line.update(escape(doing))
    if not notes.is_interactive:
        notes.print(f"… {doing}", markup=False)


@app.command(
    epilog="Examples: `rfm backfill --from 2025-06-26 --to 2025-10-23` · `rfm backfill --from 2025-10-22 --to 2025-10-23 --json`"
)
def backfill(
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First run date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last run date, YYYY-MM-DD.")],
    landing: Landing = None,
    lake: LakeUrl = None,
    restate: Restate = False,
    refit: Refit = False,
    engine: Engine = None,
    remote: Remote = None,
    as_json: Json = False,
) -> None:
    """Run many days without notebooks: the same tables as `rfm daily` of each day, in a fraction of the time.

    With `--json` it prints the `days`, each with `run_date`, `headline`, `seconds`, `lines_read`, `rows_written`, `warnings` and
    `errors`, and the `lake`.
    """
    settings = settings_of(landing=landing, lake=lake, engine=engine, remote=remote)
    begin, end = day_of("--from", first), day_of("--to", last)
    with notes.status("starting"):
        from rfm.run import backfill as runs
        from rfm.run.schedule.lock import locked
        from rfm.run.screen import with_bar

    total = len(runs.days(begin, end))
    with locked(settings, end):
        done = [_say_day(*one) for one in with_bar(runs.backfill(settings, begin, end, restate, refit), total, notes)]
    warnings, refused = runs.told(settings, begin, end)
    _say_warnings(warnings)
    if as_json:
        print_json({"days": runs.results(settings, dict(done)), "lake": settings.lake})
    else:
        screen.print(f"{total} day(s) up to {end}: {done[-1][1]}. Tables: {settings.lake}", markup=False)
    if refused:
        raise typer.Exit(1)


def _say_day(day: dt.date, headline: str) -> tuple[dt.date, str]:
    """Say that a day is done where no bar shows it; return both."""
    (notes.detail if notes.is_interactive else notes.out)(f"✓ {day}: {headline}")
    return day, headline


def _say_replay(settings: Any, day: dt.date, as_json: bool) -> None:
    """Repeat a published day and say whether it is the same; exit status 1 if not."""
    with notes.status(f"repeating {day}"):
        from rfm.run.replay import replay

        found = replay(settings, day)
    if as_json:
        print_json(found._asdict())
    else:
        screen.print(str(found), markup=False)
    if found.differing:
        raise typer.Exit(1)


def _say_warnings(warnings: list[str]) -> None:
    """Say what a run warns of."""
    for warning in warnings:
        notes.print(f"[yellow]warning[/] {escape(warning)}")


def _say_begun(line: Status, stage: Any) -> None:
    """Say which stage runs now."""
    _say_now(line, f"{stage.name:<12} {stage.title}")


def _say_stage(line: Status, stage: Mapping[str, Any]) -> None:
    """Say that a stage is done; with --verbose also what its seconds went into and what it wrote."""
    line.update("making and publishing the report")  # until the next stage begins, if there is one
    mark = "[green]✓[/]" if stage["status"] == "done" else "[red]✗[/]"
    notes.print(f"{mark} {stage['name']:<12} {stage['title']:<36} {stage['seconds']:5.1f} s")
    for part, seconds in stage.get("spent", {}).items():
        notes.detail(f"  {part}: {seconds:.2f} s")
    for table, state in stage.get("writes", {}).items():
        notes.detail(f"  {table}: {state['rows']:,} rows, version {state['version']}")
