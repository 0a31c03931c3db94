"""The verbs for the lake: status, optimize, release."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

import rfm
from rfm.run.cli.console import screen
from rfm.run.cli.options import Engine, Json, LakeUrl, Remote, Reports, app, print_json, settings_of


@app.command(epilog="Examples: `rfm status` · `rfm status --json`")
def status(
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
    reports: Reports = None,
    as_json: Json = False,
) -> None:
    """Show the last runs, how good and how fresh the data are, warnings, and the tables with their sizes.

    With `--json`: `runs`, newest first; `stages` of the newest run; `tables` by name (`version`, `rows`, `files`,
    `bytes`); `quality` (`processing_date`, `lines`, `dropped`, `dropped_share`, `broken`); `warnings`; `freshness`
    (`newest_file`, `newest_sale`, `newest_run`). The status of a run is done, failed, running or did not finish.
    """
    from rfm.run import overview
    from rfm.run import screen as drawn

    settings = settings_of(lake=lake, reports=reports, engine=engine, remote=remote)
    told = overview.overview(settings)
    if as_json:
        print_json(told)
    else:
        screen.print(drawn.overview(told, settings.lake, settings.reports), soft_wrap=False)


@app.command(epilog="Examples: `rfm optimize` · `rfm optimize customer_rfm_kmeans_clustered_history`")
def optimize(
    tables: Annotated[list[str] | None, typer.Argument(metavar="TABLE", help="Names of tables.", show_default="all")] = None,
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
) -> None:
    """Join small files of the tables and remove files that no version of the last days needs."""
    settings = settings_of(lake=lake, engine=engine, remote=remote)
    home = rfm.open_lake(settings)
    for name in tables or home.state():
        done = home.optimize(name, settings.care.retain_days)
        told = f"{done['before']} file(s) → {done['after']}, {done['removed']} old one(s) removed" if done else "done in Spark"
        screen.print(f"{name}: {told}")


@app.command(epilog="Examples: `rfm release --export rows.csv --date 2025-10-23` · `rfm release rows.csv`")
def release(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="Quarantined rows, exported and put right.")] = None,
    export: Annotated[str | None, typer.Option("--export", metavar="FILE", help="Write the quarantined rows there.")] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Rows of that run date alone; the date of the release.")
    ] = None,
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
) -> None:
    """Put quarantined rows right: export them, edit them in a spreadsheet, release them into silver."""
    settings = settings_of(lake=lake, date=date, engine=engine, remote=remote)
    from rfm.run import release as releases
    from rfm.run.schedule.lock import locked

    with nullcontext() if export else locked(settings, "`rfm release`"):
        screen.print(releases.act(settings, file, export), markup=False)
