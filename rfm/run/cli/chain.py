"""The verbs that run the chain: daily, backfill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

import rfm
from rfm.run.arguments import assignments, day_of
from rfm.run.cli.options import Date, Engine, LakeUrl, Landing, Parameters, Refit, Remote, Reports, Restate, app, screen


@app.command(
    epilog="Examples: `rfm daily` · `rfm daily --date 2025-10-23` · `rfm daily --catch-up` · `rfm daily --landing s3://shop/daily_sales`"
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
            "--as-published", metavar="DAY", help="Repeat a published day from its table versions; write nothing, compare."
        ),
    ] = None,
    catching_up: Annotated[
        bool, typer.Option("--catch-up", help="First the days before that have a file and were never run, without notebooks.")
    ] = False,
) -> None:
    """Run all stages for one day and publish its report."""
    settings = rfm.load_settings(date=date, landing=landing, lake=lake, reports=reports, engine=engine, remote=remote)
    if as_published:
        _say_replay(settings, day_of("--as-published", as_published))
        return
    given = assignments(parameter or []) | {name: True for name, on in {"restate": restate, "refit": refit}.items() if on}
    if not run_chain(settings, given, catching_up):
        raise typer.Exit(1)


def run_chain(settings: Any, given: Mapping[str, Any], catching_up: bool = False) -> bool:
    """Run a day, after the missed ones if wanted, and say how it went; tell whether all went well."""
    from rfm.run import preflight

    preflight.check(settings, given)  # before anything heavy is imported
    went = [_say_missed(one) for one in _missed(settings)] if catching_up else []
    from rfm.run.kernels import warm_kernels

    with screen.status("starting"), warm_kernels() as kernels:  # they warm while the run itself is imported
        dated = _dated(settings)
        from rfm.run.daily import run

        record = run(dated, given, _say_stage, kernels)
    _say_warnings(record["warnings"])
    screen.print(f"{record['run_date']}: {record['headline']}. Report: {record['report']}", markup=False)
    return all(went) and not record["errors"]


def _dated(settings: Any) -> Any:
    """Return settings with their run date; say so if it is not from a file's name."""
    from rfm.run.run_date import NEWEST_SALE, named_date, newest_sale

    if found := named_date(settings):
        return settings.model_copy(update={"date": found})
    day = newest_sale(settings)
    screen.print(f"run date {day}: {NEWEST_SALE}")
    return settings.model_copy(update={"date": day})


def _missed(settings: Any) -> Iterator[Any]:
    """Run the missed days, one by one."""
    from rfm.run.schedule.missed import catch_up

    with screen.status("looking for missed days"):
        yield from catch_up(settings)


def _say_missed(one: Any) -> bool:
    """Say how a missed day went; tell whether it went well."""
    _say_warnings(one.warnings)
    screen.print(f"[{'green]✓' if one.well else 'red]✗'}[/] {one.day}: {escape(one.said)}")
    return one.well


@app.command(epilog="Example: `rfm backfill --from 2025-06-26 --to 2025-10-23`")
def backfill(
    first: Annotated[str, typer.Option("--from", help="First run date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last run date, YYYY-MM-DD.")],
    landing: Landing = None,
    lake: LakeUrl = None,
    restate: Restate = False,
    refit: Refit = False,
    engine: Engine = None,
    remote: Remote = None,
) -> None:
    """Run many days without notebooks: the same tables as `rfm daily` of each day, in a fraction of the time."""
    settings = rfm.load_settings(landing=landing, lake=lake, engine=engine, remote=remote)
    begin, end = day_of("--from", first), day_of("--to", last)
    from rfm.run import backfill as runs
    from rfm.run.schedule.lock import locked
    from rfm.run.screen import with_bar

    total = len(runs.days(begin, end))
    with locked(settings, end):
        *_, headline = (said for _, said in with_bar(runs.backfill(settings, begin, end, restate, refit), total, screen))
    warnings, refused = runs.told(settings, begin, end)
    _say_warnings(warnings)
    screen.print(f"{total} day(s) up to {end}: {headline}. Tables: {settings.lake}", markup=False)
    if refused:
        raise typer.Exit(1)


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
