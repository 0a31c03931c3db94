"""The verbs around the pipeline: example data and notebooks, models, and a shop's own files."""

from __future__ import annotations

import datetime as dt
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rfm.cli.options import Json, Landing, app, day_of, errors, notes, option, print_json, screen, settings_of, with_settings
from rfm.errors import SettingsError, printable
from rfm.settings import PATHS, absolute, root

if TYPE_CHECKING:
    from rfm.onboarding import Report


@app.command(epilog="Examples: `rfm sample` · `rfm sample --days 30 --lines 5000 --customers 200 --landing /tmp/small`")
def sample(
    landing: Landing = None,
    days: Annotated[int, option("--days", "NUMBER", "Number of daily files.")] = 120,
    end: Annotated[str, option("--end", "DATE", "Date of the last file, YYYY-MM-DD.")] = "2025-10-23",
    customers: Annotated[int, option("--customers", "NUMBER", "Approximate number of customers.")] = 1500,
    lines: Annotated[int, option("--lines", "NUMBER", "Approximate number of lines in total.")] = 60_000,
    seed: Annotated[int, option("--seed", "NUMBER", "Random seed; the same seed gives the same files.")] = 20100,
    if_empty: Annotated[
        bool, option("--if-empty", None, "Do nothing if the folder has files, or if the settings are for a shop's own files.")
    ] = False,
) -> None:
    """Create daily sales files of an invented shop."""
    settings = settings_of(landing=landing)
    from rfm.datasets.sample import make_sample
    from rfm.landing.files import has_files

    own = settings.landing != absolute(PATHS["landing"], root()) or any(
        section != type(section)() for section in (settings.files, settings.columns)
    )
    if if_empty and ((not landing and own) or has_files(settings.landing)):
        return
    made = make_sample(settings.landing, days=days, end=day_of("--end", end), customers=customers, lines=lines, seed=seed)
    counts = f"{made.files} files, {made.lines:,} lines, {made.customers:,} customers"
    screen.print(f"{counts} up to {made.last_day}: {settings.landing}", markup=False)


@app.command(epilog="Examples: `rfm prepare` · `rfm prepare online_retail_II.xlsx --sheet 'Year 2009-2010' --landing data/real`")
@with_settings("landing")
def prepare(
    settings: Any,
    workbook: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="online_retail_II.xlsx, its zip or its CSV; downloaded from [archive] url if omitted."
        ),
    ] = None,
    sheet: Annotated[list[str] | None, option("--sheet", "NAME", "Name of a sheet; repeatable.", "all")] = None,
    start: Annotated[str, option("--start", "DATE", "Calendar day of the first trading day, YYYY-MM-DD.")] = "2025-06-26",
) -> None:
    """Convert the public data set Online Retail II into daily files, one per trading day, dated from --start on."""
    with notes.status("writing daily files"):
        from rfm.datasets import prepare as write

        made = write(workbook or _download(settings), settings.landing, start=day_of("--start", start), sheets=sheet or ())
    screen.print(
        f"{made.files} files, {made.lines:,} lines, {made.first_day} to {made.last_day}: {settings.landing}", markup=False
    )
    if made.repeated:
        differing = f"; on {len(made.differing)} of these days the lines differ" if made.differing else ""
        notes.print(f"{made.repeated:,} lines were left out, because an earlier sheet has their days{differing}", markup=False)
    if made.others:
        notes.print(f"the folder also has {made.others} other daily file(s); move them if they are another shop's", markup=False)


def _download(settings: Any) -> str:
    """Download the archive beside the landing folder, unless it is there; return its path."""
    from rfm.datasets import download

    file, checksum = download(settings.archive.url, Path(settings.landing).parent / "archive", settings.archive.sha256)
    pinned = "as pinned" if settings.archive.sha256 else "to pin it, set sha256 under [archive] in rfm.toml"
    notes.print(f"{file}: sha256 {checksum} ({pinned})", markup=False)
    return str(file)


@app.command(epilog="Example: `rfm upload --date 2025-10-23 --to s3://shop/daily_sales --landing /data/exports`")
@with_settings("date", "landing")
def upload(
    settings: Any,
    to: Annotated[str, option("--to", "FOLDER", "Target folder or URL; each file goes into a folder named by its date.")],
) -> None:
    """Upload a day's files to a bucket or folder, once; credentials come from the environment, a profile or a role."""
    from rfm.landing import files
    from rfm.pipeline.schedule import run_date

    target = absolute(to)
    for sent in files.upload(settings.landing, target, run_date(settings), settings.files.pattern):
        status = "sent" if sent.new else "already there"
        screen.print(f"{status}: {sent.target} ({sent.bytes:,} bytes)", markup=False)


@app.command(epilog="Examples: `rfm notebooks` · `rfm notebooks --force`")
def notebooks(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Target folder.")] = Path("notebooks"),
    force: Annotated[bool, option("--force", None, "Also replace notebooks that were changed.")] = False,
) -> None:
    """Copy the pipeline's notebooks into a folder, to read and change; runs in this folder then use them.

    Notebooks that were changed are kept. `rfm.example.toml` is copied beside the folder.
    """
    from rfm.pipeline.notebooks import copy_notebooks

    done = copy_notebooks(folder, force)
    if done.kept:
        notes.print(f"kept, because they were changed: {', '.join(done.kept)}; --force replaces them", markup=False)
    counts = f"{len(done.new)} file(s) copied, {len(done.same)} already there, {len(done.kept)} kept as changed"
    screen.print(f"{counts}: {folder.resolve()}", markup=False)


@app.command(epilog="Examples: `rfm backtest` · `rfm backtest --from 2025-09-01 --to 2025-12-30 --every 14 --out backtest.csv`")
@with_settings("lake", "engine", "remote")
def backtest(
    settings: Any,
    first: Annotated[str | None, option("--from", "DATE", "First day.", "30 days after the first sale")] = None,
    last: Annotated[str | None, option("--to", "DATE", "Last day.", "30 days before the last sale")] = None,
    every: Annotated[
        int, option("--every", "DAYS", "Days between evaluations; with 1, the method `steady` is that of `rfm daily`.")
    ] = 7,
    out: Annotated[str | None, option("--out", "FILE", "Write all results to this .csv or .json file.")] = None,
    as_json: Json = False,
) -> None:
    """Segment past days with every method, and report which method best predicted what followed; try the forecast, too.

    In round brackets is what other customers would change; in square ones, the worst and the best of the past windows that do
    not overlap, and their number: another season may differ by as much. `--json` prints the `verdict` in sentences, and the
    `results` and `forecasts`, one per figure; `--out` writes the same to a .json file, or the results to a .csv file.
    """
    begin, end = day_of("--from", first) if first else None, day_of("--to", last) if last else None
    with notes.status("segmenting past days"):
        from rfm.pipeline import backtest as runs

        results = runs.run_backtest(settings, begin, end, every)
        forecasts, _ = runs.run_forecasts(settings, begin, end, every)
    if as_json:
        print_json(runs.as_dict(results, forecasts))
    for sentence in [] if as_json else [*runs.results_text(results), *runs.forecast_text(forecasts)]:
        screen.print(sentence, markup=False)
    if out:
        found = f"{len(results)} results: {runs.save_results(results, forecasts, out)}"
        (notes if as_json else screen).print(found, markup=False)


@app.command(epilog="Examples: `rfm score customers.csv` · `rfm score new_sales.csv --date 2025-10-23 --out scored.csv`")
@with_settings("lake", "engine", "remote")
def score(
    settings: Any,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="CSV, Excel, JSON lines, Parquet: CustomerID, Monetary, Frequency, Recency; or sales."
        ),
    ],
    date: Annotated[str | None, option("--date", "DATE", "Run date of the model.", "the newest")] = None,
    out: Annotated[str | None, option("--out", "FILE", "Write the CSV to this file instead of the terminal.")] = None,
    as_json: Json = False,
) -> None:
    """Assign a cluster, segment, tier and action to the customers of a file, with a saved model.

    `--json` prints the `customers`, a summary (`said`) and `out`, the file they were written to, if any.
    """
    with notes.status("scoring"):
        from rfm.analysis.formatting import as_rows
        from rfm.pipeline import models

        found = models.score_customers(settings, file, day_of("--date", date) if date else None)
    text = models.save_scores(found.customers, out)
    if as_json:
        print_json({"said": found.said, "out": out, "customers": as_rows(found.customers)})
    else:
        typer.echo(printable(text, keep="\n") if sys.stdout.isatty() else text, nl=False)
    notes.print(found.said + (f": {out}" if out else ""), markup=False)


# ── check, init ──────────────────────────────────────────────────────
Files = Annotated[list[str], typer.Argument(metavar="FILE", help="Files, folders or URLs; CSV, Excel, Parquet, JSON lines.")]
Given = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting, such as columns.price=Total; repeatable.")
]
Expected = Annotated[
    str | None, option("--expect-revenue", "AMOUNT", "Revenue by your own count, such as 123456.78; differences are explained.")
]


@app.command(
    epilog="Examples: `rfm check orders.csv` · `rfm check exports/ --json` · `rfm check exports/ --expect-revenue 123456.78`"
    " · `rfm check exports/ --set columns.price=Total`"
)
def check(files: Files, given: Given = None, expect_revenue: Expected = None, as_json: Json = False) -> None:
    """Show what would count, what is left out and why, and what is unsure, with the money at stake. Nothing is written.

    The status is 1 if something is unsure, 2 if the files cannot be used. `--json` prints what is `counted`, `left_out` and
    `unsure`, the open `questions`, the `columns` and `settings`, and the text of `rfm_toml`.
    """
    with _progress() as tell:
        from rfm import onboarding
        from rfm.onboarding import questions, render

        chosen, expected = questions.assigned(given or []), _amount(expect_revenue)
        report = onboarding.check(files, dt.date.today(), tell=tell, given=chosen, expect=expected)
    if as_json:
        typer.echo(printable(json.dumps(render.to_json(report), indent=2, ensure_ascii=False, default=str), keep="\n"))
    else:
        screen.print(render.render(report, screen.width), soft_wrap=False)
    raise typer.Exit(report.status)


def _amount(text: str | None) -> Decimal | None:
    try:
        amount = Decimal(text.replace(",", "").replace("_", "")) if text else None
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount is not None and not amount.is_finite():
        raise SettingsError(f"--expect-revenue {text!r} is not an amount; write it as 123456.78")
    return amount


@app.command(
    epilog="Examples: `rfm init orders.csv` · `rfm init exports/ --yes` · `rfm init exports/ --yes --set columns.price=Total`"
)
def init(
    files: Files,
    given: Given = None,
    expect_revenue: Expected = None,
    yes: Annotated[bool, option("--yes", None, "Accept all guesses; write nothing if a question is open.")] = False,
    force: Annotated[bool, option("--force", None, "Change an existing rfm.toml; its other settings are kept.")] = False,
) -> None:
    """Create `rfm.toml` for a shop's own files in this folder; every guess is shown and can be changed."""
    from rfm import onboarding
    from rfm.onboarding import questions, render

    target, chosen, expected = onboarding.refuse_if_there(force), questions.assigned(given or []), _amount(expect_revenue)

    def read(known: dict[str, Any], answered: dict[str, Any]) -> Report:
        with _progress() as tell:
            return onboarding.check(files, dt.date.today(), known, tell, given=answered, expect=expected)

    report = read({}, chosen)
    screen.print(render.render(report, screen.width), soft_wrap=False)
    if yes and report.questions and report.status == 1:
        _stop_at(report, files)
    while report.questions and report.status == 1:
        chosen |= questions.flat({question.setting: _choose(question, report) for question in report.questions})
        report = read({}, chosen)
    answers = {} if yes or not report.lines else _ask_all(report)
    values, tried = onboarding.choices(report, answers), report
    if any(guess.value != values[guess.setting] for guess in report.guesses) or chosen.keys() - questions.assigned(given or []):
        tried = read(values, {})
        screen.print(render.summary(tried), soft_wrap=False)
    if tried.status > 1:
        why = next(one.said for one in tried.findings if one.weight == "unusable")
        screen.print("", f"Not written: {why}", sep="\n", markup=False)
        raise typer.Exit(tried.status)
    onboarding.write_settings(target, report, answers, tried, chosen)
    screen.print("", f"Written: {target}", *onboarding.next_step(report).splitlines(), sep="\n", markup=False)


def _stop_at(report: Report, files: list[str]) -> None:
    """Say how to answer the open questions, and end with status 1."""
    from rfm.onboarding.questions import option as answer

    answers = " ".join(answer(one.setting, one.options[0].value) for one in report.questions if one.options)
    said = f"Not written, because {len(report.questions)} question(s) marked ? are open. Answer with, for example:"
    screen.print("", said, f"rfm init {shlex.join(files)} --yes {answers}", sep="\n", markup=False)
    raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show progress on a terminal, from before the first import on; yield the function to report it."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(what: str, done: int, of: int | None) -> None:
            bar.update(task, description=f"{what} {done:,}/{of:,}" if of else what, completed=done, total=of)

        yield tell


def _choose(question: Any, report: Report) -> Any:
    from rfm.onboarding import questions, render

    screen.print(render.asked(question, report.currency))
    return _until_valid("  Your answer [1]", "1", lambda text: questions.chosen_option(question, text))


def _ask_all(report: Report) -> dict[str, Any]:
    from rfm import onboarding
    from rfm.onboarding import questions

    screen.print("", "[bold]Is this right?[/] Enter accepts the value in brackets, - means none.", sep="\n")
    answers: dict[str, Any] = {}
    columns = list(report.lines.lines.columns) if report.lines else []
    guesses = {guess.setting: guess for guess in (*report.guesses, onboarding.name_of(report.place.landing))}
    for setting, asked in questions.QUESTIONS.items():
        if setting in guesses and not questions.is_needless(setting, answers):
            guessed = str(guesses[setting].value) or questions.NONE
            take = partial(questions.answer, guesses[setting], columns=columns, answers=answers)
            answers[setting] = _until_valid(f"  {asked} [{printable(guessed)}]", guessed, take)
    return answers


def _until_valid(asked: str, default: str, take: Callable[[str], Any]) -> Any:
    while True:
        try:
            return take(typer.prompt(asked, default=default, show_default=False))
        except SettingsError as error:
            screen.print(f"  {error}", style="yellow", markup=False)
        except typer.Abort:
            if sys.stdin.isatty():
                raise
            raise SettingsError("no answer was given; --yes accepts all guesses") from None
