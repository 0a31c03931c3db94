"""The overview for a terminal of eighty columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid

from rfm.errors import printable

SHOWN = 10  # runs
COLOURS = {"done": "green", "failed": "red", "did not finish": "red", "running": "yellow", "warning": "yellow", "error": "red"}
SIZES = ("B", "kB", "MB", "GB", "TB")


def overview(told: Mapping[str, Any], lake: str, reports: str) -> Group:
    """Return how things stand, to be printed.

    Parameters
    ----------
    told
        As `rfm.run.overview.overview` returns it.
    lake, reports
        Where that is.
    """
    parts = [_runs(told["runs"][:SHOWN], reports), _troubles(told), _quality(told), _tables(told["tables"], lake)]
    return Group(*(line for part in parts if part for line in (part, "")))


def _runs(runs: Sequence[Mapping[str, Any]], reports: str) -> Any:
    """Return the last runs, newest first."""
    if not runs:
        return f"Runs in {literal(reports)}: none yet"
    columns = (
        ("day", "left"),
        ("how", "left"),
        ("status", "left"),
        ("seconds", "right"),
        ("lines in", "right"),
        ("customers", "right"),
    )
    rows = (
        (
            literal(run["run_date"]),
            literal(run["stage"]),
            _coloured(run["status"]),
            _number(run["seconds"]),
            _number(run["rows_read"]),
            _number(run["customers"]),
        )
        for run in runs
    )
    return _grid("Last runs", columns, rows)


def _troubles(told: Mapping[str, Any]) -> str:
    """Return what went wrong in the newest run, and the warnings of its day."""
    newest = told["runs"][0] if told["runs"] else {}
    lines = [f"{_coloured('failed')} {literal(newest['error'])}"] if newest.get("error") else []
    lines += [f"{_coloured(row['severity'])} {literal(row['message'])}" for row in told["warnings"]]
    return "\n".join(lines)


def _quality(told: Mapping[str, Any]) -> Any:
    """Return how good and how fresh the newest lines are."""
    quality, fresh = told["quality"], told["freshness"]
    if not quality:
        return ""
    dropped = f"{quality['dropped']:,} of {quality['lines']:,} lines dropped ({quality['dropped_share']:.1%})"
    days = ((name.removeprefix("newest_"), fresh[name] or "none yet") for name in ("newest_file", "newest_sale", "newest_run"))
    newest = "[bold]Newest[/]  " + ", ".join(f"{name} {day}" for name, day in days)
    said = f"[bold]Quality[/] {quality['processing_date']}: {dropped}"
    columns = (("broken expectation", "left"), ("severity", "left"), ("lines", "right"))
    rows = ((literal(row["expectation"]), literal(row["severity"]), _number(row["failed"])) for row in quality["broken"])
    broken: list[Any] = [_grid("", columns, rows), ""] if quality["broken"] else []
    return Group(said, *broken, newest)


def _tables(tables: Mapping[str, Mapping[str, int | None]], lake: str) -> Any:
    """Return the tables with their sizes."""
    if not tables:
        return f"Tables in {literal(lake)}: none yet"
    columns = (("table", "left"), ("v.", "right"), ("rows", "right"), ("files", "right"), ("size", "right"))
    rows = (
        (literal(name), _number(t["version"]), _number(t["rows"]), _number(t["files"]), size(t["bytes"]))
        for name, t in tables.items()
    )
    return _grid(f"Tables in {lake}", columns, rows)


def _grid(title: str, columns: Iterable[tuple[str, Any]], rows: Iterable[Iterable[str]]) -> Grid:
    """Return rows under a title."""
    grid = Grid(
        title=literal(title) or None, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for name, justify in columns:
        grid.add_column(name, justify=justify)
    for row in rows:
        grid.add_row(*row)
    return grid


def literal(text: str) -> str:
    r"""Return a text of others as one line that neither rich nor the terminal takes for more than text.

    Parameters
    ----------
    text
        Of a file, a file's name, a setting, a table.

    Examples
    --------
    >>> literal("[red]a\nb")
    '\\[red]a\\nb'
    """
    return escape(printable(text))


def _coloured(word: str) -> str:
    """Return a word in its colour."""
    return f"[{COLOURS[word]}]{word}[/]" if word in COLOURS else literal(word)


def _number(value: Any) -> str:
    """Return a number with its thousands parted, a dash where there is none, as in a list of runs that somebody edited."""
    if not isinstance(value, int | float):
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def size(count: int | None) -> str:
    """Return bytes in words of four characters or so.

    Examples
    --------
    >>> size(999), size(1_234_567)
    ('999 B', '1.2 MB')
    """
    if count is None:
        return "-"
    value, unit = float(count), 0
    while value >= 1000 and unit < len(SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {SIZES[unit]}" if unit else f"{count} B"


def with_bar(days: Iterable[Any], total: int, console: Console) -> Iterator[Any]:
    """Yield days with their headlines under a progress bar.

    Parameters
    ----------
    days
        Pairs of a day that is done and its headline.
    total
        How many there will be.
    console
        Where the bar is drawn, if it is a terminal.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_interactive) as bar:
        task = bar.add_task("backfill", total=total)
        for day, headline in days:
            bar.update(task, advance=1, description=day.isoformat())
            yield day, headline
