"""The verbs that bring or send files: sample, prepare, upload, notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import rfm
from rfm.run.arguments import day_of
from rfm.run.cli.console import notes, screen
from rfm.run.cli.options import Date, Landing, app, settings_of
from rfm.settings import PATHS, absolute, root


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
    from rfm.io.landing import has_files
    from rfm.io.prepare import make_sample

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
        from rfm.io.prepare.archive import prepare as make

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
    from rfm.io.prepare.download import download

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
    from rfm.io import landing as files

    target = absolute(to)
    for sent in files.upload(settings.landing, target, rfm.run_date(settings), settings.files.pattern):
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
    from rfm.run.notebook.folder import copy

    done = copy(folder, force)
    if done.kept:
        notes.print(f"left as they are, since they differ: {', '.join(done.kept)}; --force replaces them", markup=False)
    counts = f"{len(done.new)} file(s) copied, {len(done.same)} there already, {len(done.kept)} left as changed"
    screen.print(f"{counts}: {folder.resolve()}", markup=False)
