"""The verbs that bring or send files: sample, prepare, upload, notebooks.

The verbs for models: backtest, score.

The verbs for a shop's own files: check, init.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rfm.cli.options import (
    Date,
    Engine,
    Json,
    LakeUrl,
    Landing,
    Remote,
    app,
    day_of,
    errors,
    notes,
    print_json,
    screen,
    settings_of,
)
from rfm.errors import SettingsError, printable
from rfm.settings import PATHS, absolute, root

if TYPE_CHECKING:
    from rfm.onboarding import Report


# ── files ────────────────────────────────────────────────────────────
@app.command(epilog="Examples: `rfm sample` · `rfm sample --days 30 --lines 5000 --customers 200 --landing /tmp/small`")
def sample(
    landing: Landing = None,
    days: Annotated[int, typer.Option(metavar="NUMBER", help="Number of daily files.")] = 120,
    end: Annotated[str, typer.Option(metavar="DATE", help="Date of the last file, YYYY-MM-DD.")] = "2025-10-23",
    customers: Annotated[int, typer.Option(metavar="NUMBER", help="Customers, about.")] = 1500,
    lines: Annotated[int, typer.Option(metavar="NUMBER", help="Lines in all, about.")] = 60_000,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Seed: the same one gives the same files.")] = 20100,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Do nothing where files lie already, or where settings are for files of a shop.")
    ] = False,
) -> None:
    """Make daily sales files of an invented shop."""
    settings = settings_of(landing=landing)
    from rfm.datasets.sample import make_sample
    from rfm.landing.files import has_files

    if if_empty and ((not landing and _is_of_a_shop(settings)) or has_files(settings.landing)):
        return
    made = make_sample(settings.landing, days=days, end=day_of("--end", end), customers=customers, lines=lines, seed=seed)
    counts = f"{made.files} files, {made.lines:,} lines, {made.customers:,} customers"
    screen.print(f"{counts} up to {made.last_day}: {settings.landing}", markup=False)


def _is_of_a_shop(settings: Any) -> bool:
    """Tell whether settings are for the files of a shop, among which an invented one has no business."""
    own = (section != type(section)() for section in (settings.files, settings.columns))
    return settings.landing != absolute(PATHS["landing"], root()) or any(own)


@app.command(epilog="Examples: `rfm prepare` · `rfm prepare online_retail_II.xlsx --sheet 'Year 2009-2010' --landing data/real`")
def prepare(
    workbook: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="online_retail_II.xlsx, its zip or its CSV; fetched as [archive] says if not given."),
    ] = None,
    landing: Landing = None,
    sheet: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Name of a sheet; may be repeated.", show_default="all")
    ] = None,
    start: Annotated[str, typer.Option(metavar="DATE", help="Calendar day of the first trading day, YYYY-MM-DD.")] = "2025-06-26",
) -> None:
    """Turn the public archive, Online Retail II, into daily files, one a trading day, replayed from a start date on."""
    settings = settings_of(landing=landing)
    with notes.status("making daily files"):
        from rfm.datasets.online_retail import prepare as make

        made = make(workbook or _fetched(settings), settings.landing, start=day_of("--start", start), sheets=sheet or ())
    screen.print(
        f"{made.files} files, {made.lines:,} lines, {made.first_day} to {made.last_day}: {settings.landing}", markup=False
    )
    if made.repeated:
        told = f"; on {len(made.differing)} of these days its lines differ" if made.differing else ""
        notes.print(f"{made.repeated:,} lines of days that an earlier sheet holds were left out{told}", markup=False)
    if made.others:
        notes.print(f"{made.others} other daily file(s) lie there too; move them away if they are of another shop", markup=False)


def _fetched(settings: Any) -> str:
    """Fetch the public archive beside the landing folder, unless it lies there; return where it is."""
    from rfm.datasets.online_retail import download

    file, checksum = download(settings.archive.url, Path(settings.landing).parent / "archive", settings.archive.sha256)
    pinned = "as pinned" if settings.archive.sha256 else "to pin it, put it into rfm.toml: [archive] sha256"
    notes.print(f"{file}: sha256 {checksum} ({pinned})", markup=False)
    return str(file)


@app.command(epilog="Example: `rfm upload --date 2025-10-23 --to s3://shop/daily_sales --landing /data/exports`")
def upload(
    to: Annotated[str, typer.Option("--to", metavar="FOLDER", help="Folder or URL that the files go to, each under its date.")],
    date: Date = None,
    landing: Landing = None,
) -> None:
    """Send a day's files to a bucket or folder, once; credentials come from the environment, a profile or a role."""
    settings = settings_of(date=date, landing=landing)
    from rfm.landing import files
    from rfm.pipeline.schedule import run_date

    target = absolute(to)
    for sent in files.upload(settings.landing, target, run_date(settings), settings.files.pattern):
        said = "sent" if sent.new else "there already"
        screen.print(f"{said}: {sent.target} ({sent.bytes:,} bytes)", markup=False)


@app.command(epilog="Examples: `rfm notebooks` · `rfm notebooks --force`")
def notebooks(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to.")] = Path("notebooks"),
    force: Annotated[bool, typer.Option("--force", help="Replace notebooks that were changed, too.")] = False,
) -> None:
    """Copy the notebooks of the chain into a folder, to be read and changed; a run in that place then uses them.

    A notebook that is there already and differs is left as it is; `rfm.example.toml` is copied beside the folder.
    """
    from rfm.pipeline.notebooks import copy_notebooks

    done = copy_notebooks(folder, force)
    if done.kept:
        notes.print(f"left as they are, since they differ: {', '.join(done.kept)}; --force replaces them", markup=False)
    counts = f"{len(done.new)} file(s) copied, {len(done.same)} there already, {len(done.kept)} left as changed"
    screen.print(f"{counts}: {folder.resolve()}", markup=False)


# ── models ────────────────────────────────────────────────────────────
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
        from rfm.pipeline import backfill

        results = backfill.run_backtest(settings, begin, end, every)
    if as_json:
        print_json(backfill.as_dict(results))
    for said in [] if as_json else backfill.results_text(results):
        screen.print(said, markup=False)
    if out:
        (notes if as_json else screen).print(f"{len(results)} figures: {backfill.save_results(results, out)}", markup=False)


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
        from rfm.pipeline import models

        found = models.score_customers(settings, file, day_of("--date", date) if date else None)
    text = models.save_scores(found.customers, out)
    if as_json:
        print_json({"said": found.said, "out": out, "customers": models.as_rows(found.customers)})
    else:
        typer.echo(printable(text, keep="\n") if sys.stdout.isatty() else text, nl=False)
    notes.print(found.said + (f": {out}" if out else ""), markup=False)


# ── shop ────────────────────────────────────────────────────────────
Files = Annotated[list[str], typer.Argument(metavar="FILE", help="Exports of one shop: files, folders or URLs; CSV or XLSX.")]


@app.command(epilog="Examples: `rfm check orders.csv` · `rfm check exports/ --json`")
def check(
    files: Files,
    as_json: Annotated[bool, typer.Option("--json", help="Everything that was found, for machines.")] = False,
) -> None:
    """Look at sales files as a run would: what they are taken for, what would be lost, what to set. Nothing is written."""
    with _progress() as tell:
        from rfm import onboarding

        report = onboarding.check(files, dt.date.today(), tell=tell)
    if as_json:
        from rfm.onboarding.render import to_json

        typer.echo(printable(json.dumps(to_json(report), indent=2, ensure_ascii=False, default=str), keep="\n"))
    else:
        from rfm.onboarding.render import render

        screen.print(render(report, screen.width), soft_wrap=False)
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
        from rfm import onboarding
        from rfm.onboarding import wizard
        from rfm.onboarding.render import render, summary_line

        target, today = wizard.refuse_if_there(force), dt.date.today()
        report = onboarding.check(files, today, {}, tell)
    screen.print(render(report, screen.width), soft_wrap=False)
    answers = {} if yes or not report.lines else _asked(report)
    chosen, tried = wizard.choices(report, answers), report
    if any(guess.value != chosen[guess.setting] for guess in report.guesses):
        with _progress() as tell:
            tried = onboarding.check(files, today, chosen, tell)
        screen.print(summary_line(tried), soft_wrap=False)
    if tried.status > 1:
        raise typer.Exit(tried.status)
    wizard.write_settings(target, report, answers)
    screen.print("", f"Written: {target}", *wizard.next_step(report).splitlines(), sep="\n", markup=False)


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
    from rfm.onboarding import wizard

    screen.print("", "[bold]Is this right?[/] Enter accepts the value in brackets, - means none.", sep="\n")
    answers: dict[str, Any] = {}
    for question in wizard.questions(report):
        if not wizard.unneeded(question.setting, answers):
            answers[question.setting] = _ask(question, report, answers)
    return answers


def _ask(question: Any, report: Report, answers: dict[str, Any]) -> str:
    """Ask one question until the answer makes sense."""
    from rfm.onboarding import wizard

    while True:
        try:
            guessed = str(question.guess.value) or wizard.NONE
            text = typer.prompt(f"  {question.asked} [{printable(guessed)}]", default=guessed, show_default=False)
            return wizard.answer(question, text, report, answers)
        except SettingsError as error:
            screen.print(f"  {error}", style="yellow", markup=False)
        except typer.Abort:
            if sys.stdin.isatty():
                raise
            raise SettingsError("nobody answered; give --yes to take all guesses") from None
