"""The verbs for models: backtest, score."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rfm.errors import printable
from rfm.run.arguments import day_of
from rfm.run.cli.console import notes, screen
from rfm.run.cli.options import Engine, Json, LakeUrl, Remote, app, print_json, settings_of


@app.command(epilog="Examples: `rfm backtest` · `rfm backtest --from 2025-09-01 --to 2025-12-30 --every 14 --out backtest.csv`")
def backtest(
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First day.", show_default="30 days after the first sale")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last day.", show_default="30 days before the last sale")
    ] = None,
    every: Annotated[
        int, typer.Option(metavar="DAYS", help="Days from one to the next; with 1 the steady way is that of `rfm daily`.")
    ] = 7,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write all figures there, .csv or .json.")] = None,
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
    as_json: Json = False,
) -> None:
    """Segment past days in every way and say which way foretold best what came after.

    With `--json` it prints the `verdict`, in sentences, and the `results`, one a figure, as `--out` writes them.
    """
    settings = settings_of(lake=lake, engine=engine, remote=remote)
    begin, end = day_of("--from", first) if first else None, day_of("--to", last) if last else None
    with notes.status("segmenting past days"):
        from rfm.run import backtest as runs

        results = runs.backtest(settings, begin, end, every)
    if as_json:
        print_json(runs.as_dict(results))
    for said in [] if as_json else runs.told(results):
        screen.print(said, markup=False)
    if out:
        (notes if as_json else screen).print(f"{len(results)} figures: {runs.save(results, out)}", markup=False)


@app.command(epilog="Examples: `rfm score customers.csv` · `rfm score new_sales.csv --date 2025-10-23 --out scored.csv`")
def score(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV or Parquet: CustomerID, Monetary, Frequency, Recency; or sales lines.")
    ],
    date: Annotated[
        str | None, typer.Option("--date", metavar="DATE", help="Run date of the model.", show_default="the newest")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write the CSV there; else to the terminal.")] = None,
    lake: LakeUrl = None,
    engine: Engine = None,
    remote: Remote = None,
    as_json: Json = False,
) -> None:
    """Give the customers of a file a cluster, a segment, a tier and an action with a model that was kept.

    With `--json` it prints the `customers`, what is `said` of them, and `out`, the file they were written to, if any.
    """
    settings = settings_of(lake=lake, engine=engine, remote=remote)
    with notes.status("scoring"):
        from rfm.run import score as scoring

        found = scoring.score(settings, file, day_of("--date", date) if date else None)
    text = scoring.save(found.customers, out)
    if as_json:
        print_json({"said": found.said, "out": out, "customers": scoring.as_rows(found.customers)})
    else:
        typer.echo(printable(text, keep="\n") if sys.stdout.isatty() else text, nl=False)
    notes.print(found.said + (f": {out}" if out else ""), markup=False)
