"""The verbs for models: backtest, score."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import rfm
from rfm.errors import printable
from rfm.run.arguments import day_of
from rfm.run.cli.options import Engine, LakeUrl, Remote, app, errors, screen


@app.command(epilog="Examples: `rfm backtest` · `rfm backtest --from 2025-09-01 --to 2025-12-30 --every 14 --out backtest.csv`")
def backtest(
    first: Annotated[str | None, typer.Option("--from", help="First day; 30 days after the first sale.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day; 30 days before the last sale.")] = None,
    every: Annotated[int, typer.Option(help="Days from one to the next; with 1 the steady way is that of `rfm daily`.")] = 7,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write all figures there, .csv or .json.")] = None,
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
) -> None:
    """Segment past days in every way and say which way foretold best what came after."""
    settings = rfm.load_settings(lake=lake, engine=engine, remote=remote)
    begin, end = day_of("--from", first) if first else None, day_of("--to", last) if last else None
    from rfm.run import backtest as runs

    with screen.status("segmenting past days"):
        results = runs.backtest(settings, begin, end, every)
    for said in runs.told(results):
        screen.print(said, markup=False)
    if out:
        screen.print(f"{len(results)} figures: {runs.save(results, out)}", markup=False)


@app.command(epilog="Examples: `rfm score customers.csv` · `rfm score new_sales.csv --date 2025-10-23 --out scored.csv`")
def score(
    file: Annotated[str, typer.Argument(help="CSV or Parquet: CustomerID, Monetary, Frequency, Recency; or sales lines.")],
    date: Annotated[str | None, typer.Option("--date", help="Run date of the model; the newest if not given.")] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the CSV there; else to the terminal.")] = None,
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
) -> None:
    """Give the customers of a file a cluster, a segment, a tier and an action with a model that was kept."""
    settings = rfm.load_settings(lake=lake, engine=engine, remote=remote)
    from rfm.run import score as scoring

    found = scoring.score(settings, file, day_of("--date", date) if date else None)
    text = scoring.save(found.customers, out)
    typer.echo(printable(text, keep="\n") if sys.stdout.isatty() else text, nl=False)
    errors.print(found.said + (f": {out}" if out else ""), markup=False)
