"""The verbs that look after the tables, and the overview of `rfm status`, which fits a terminal of eighty columns."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table as Grid

from rfm.cli.options import Json, app, notes, option, print_json, screen, with_settings
from rfm.contracts import DAILY_COUNTS, DQ_COMPARISON, EXPECTATION_RESULTS, LEDGER, PIPELINE_RUNS, RUN_WARNINGS
from rfm.errors import REPAIR, printable
from rfm.pipeline.chain import BACKFILL, RUN

if TYPE_CHECKING:
    from rfm.lake import Lake
    from rfm.settings import Settings


@app.command(epilog="Examples: `rfm status` · `rfm status --json`")
@with_settings("lake", "reports", "engine", "remote")
def status(settings: Any, as_json: Json = False) -> None:
    """Show the last runs, warnings, data quality and freshness, and the size of the tables.

    `--json` prints `runs`, newest first; `stages` of the newest run; `tables` by name (`version`, `rows`, `files`,
    `bytes`); `quality` (`processing_date`, `lines`, `dropped`, `dropped_share`, `broken`); `warnings`; `freshness`
    (`newest_file`, `newest_sale`, `newest_run`). The status of a run is done, failed, running or did not finish.
    """
    found = overview(settings)
    if as_json:
        print_json(found)
    else:
        screen.print(render_overview(found, settings.lake, settings.reports), soft_wrap=False)


@app.command(epilog="Examples: `rfm optimize` · `rfm optimize customer_rfm_kmeans_clustered_history`")
@with_settings("lake", "engine", "remote")
def optimize(
    settings: Any,
    tables: Annotated[list[str] | None, typer.Argument(metavar="TABLE", help="Tables to compact.", show_default="all")] = None,
) -> None:
    """Compact the tables: join small files, and delete files that no recent version needs."""
    from rfm.lake import open_lake

    home = open_lake(settings)
    for name in tables or home.state():
        done = home.optimize(name, settings.care.retain_days)
        counts = f"{done['before']} file(s) → {done['after']}, {done['removed']} old one(s) removed" if done else "done in Spark"
        screen.print(f"{name}: {counts}")


@app.command(epilog="Examples: `rfm verify` · `rfm verify --json`")
@with_settings("lake", "reports", "engine", "remote")
def verify(settings: Any, as_json: Json = False) -> None:
    """Check the tables against their logs, the ledger and each other, the models, and the records of published runs.

    The status is 1 if something is damaged. `--json` prints the `damage`, each with `table`, `what` and `remedy`.
    """
    with notes.status("checking the tables"):
        from rfm.pipeline import repair as repairs

        found = repairs.verify_lake(settings)
    if as_json:
        print_json({"lake": settings.lake, "damage": [one._asdict() for one in found]})
    else:
        lines = [str(one) for one in found] or [f"No damage: {settings.lake}"]
        screen.print(*lines, sep="\n", markup=False)
    if found:
        raise typer.Exit(1)


@app.command(epilog="Examples: `rfm repair --dry-run` · `rfm repair`")
@with_settings("landing", "lake", "reports")
def repair(
    settings: Any,
    dry_run: Annotated[bool, option("--dry-run", None, "Show what is damaged and what would be done; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Rebuild damaged tables from the landing files and from each other; what is damaged is set aside, nothing is deleted.

    The status is 1 if rows cannot come back, or damage is left. `--json` prints the `damage` that was found, the `steps`,
    what is `gone` for good, and the damage that is `left`.
    """
    from rfm.pipeline import repair as repairs
    from rfm.pipeline.schedule import locked

    with nullcontext() if dry_run else locked(settings, REPAIR), notes.status("checking the tables") as line:
        done = repairs.repair(settings, dry_run, line.update)
        left = done.found if dry_run else repairs.verify_lake(settings)
    if as_json:
        print_json({"damage": done.found, "steps": done.steps, "gone": done.gone, "left": left})
    else:
        would = "would " if dry_run else "did "
        lines = [f"damage: {one.table}: {one.what}" for one in done.found]
        lines = lines or [f"No damage that {REPAIR} repairs: {settings.lake}"]
        lines += [f"{would}{step}" for step in done.steps] + [f"cannot come back: {one}" for one in done.gone]
        lines += [] if dry_run else [f"left: {one}" for one in left]
        screen.print(*lines, sep="\n", markup=False)
    if done.gone or left:
        raise typer.Exit(1)


_DAY = Annotated[str | None, option("--date", "DATE", "Export rows of this run date only; or the date of the release.")]


@app.command(epilog="Examples: `rfm release --export rows.csv --date 2025-10-23` · `rfm release rows.csv`")
@with_settings("lake", "engine", "remote", date=_DAY)
def release(
    settings: Any,
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="The exported rows, corrected.")] = None,
    export: Annotated[str | None, option("--export", "FILE", "Write the quarantined rows to this file.")] = None,
) -> None:
    """Correct quarantined rows: export them, edit them in a spreadsheet, release them into silver."""
    from rfm.pipeline import release as releases
    from rfm.pipeline.schedule import locked

    with nullcontext() if export else locked(settings, "`rfm release`"):
        screen.print(releases.release_or_export(settings, file, export), markup=False)


MOST_RUNS = 50
RESULTS = ("customers", "revenue", "orders", "warnings")  # in the reports' list of runs, but not in the log


def overview(settings: Settings) -> dict[str, Any]:
    """Return runs, tables, quality and freshness as values for JSON."""
    from rfm.lake import open_lake
    from rfm.lake.tables import table_sizes
    from rfm.report.site import published_runs

    lake = open_lake(settings)
    logged = sorted(_rows(lake, PIPELINE_RUNS), key=lambda row: row["started"], reverse=True)
    whole = [row for row in logged if row["stage"] in (RUN, BACKFILL)]
    runs = _runs(whole, published_runs(settings.reports))
    newest = whole[0]["run_id"] if whole else None
    newest_date = max((run["run_date"] for run in runs if run["status"] in ("done", "failed")), default=None)
    warnings = _rows(lake, RUN_WARNINGS)
    found = {
        "runs": runs[:MOST_RUNS],
        "stages": _stages([row for row in logged if row["run_id"] == newest]),
        "tables": {name: size._asdict() for name, size in table_sizes(lake).items()},
        "quality": _quality(lake),
        "warnings": [row for row in warnings if str(row["run_date"]) == newest_date and row["severity"] != "note"],
        "freshness": _freshness(lake, runs),
    }
    return json.loads(json.dumps(found, default=lambda moment: moment.isoformat()))


def _rows(lake: Lake, name: str, **equal: Any) -> list[dict[str, Any]]:
    return lake.read(name, **equal).collect().to_dicts()


def _runs(logged: list[dict[str, Any]], published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the runs of the log with those of the reports; the older ones are in the reports only."""
    reports = {(run["run_date"], _second(run.get("started"))): run for run in published}
    runs = []
    for row in logged:
        report = reports.pop((str(row["run_date"]), _second(row["started"])), {})
        runs.append(_run(row) | {name: report.get(name) for name in RESULTS})
    known = ("run_date", "status", "started", "seconds", *RESULTS)
    older = [dict.fromkeys(_run({})) | {"stage": RUN} | {name: run.get(name) for name in known} for run in reports.values()]
    return sorted(runs + older, key=lambda run: _second(run["started"]) or run["run_date"], reverse=True)


def _run(row: dict[str, Any]) -> dict[str, Any]:
    names = ("run_id", "run_date", "stage", "status", "started", "seconds", "rows_read", "rows_written", "error")
    run = {name: row.get(name) for name in names}
    if row.get("status") == "running":
        from rfm.pipeline.schedule import may_be_alive

        process = json.loads(row["versions"]).get("process", {})
        alive = may_be_alive(process.get("host", ""), process.get("id"), row["started"])
        run["status"] = "running" if alive else "did not finish"
    return run | ({"run_date": str(run["run_date"])} if run["run_date"] else {})


def _second(moment: Any) -> str:
    """Return a moment in UTC to the second, as text that sorts."""
    moment = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S") if moment else ""


def _stages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("stage", "status", "seconds", "rows_read", "rows_written", "error")
    stages = sorted((row for row in rows if row["stage"] not in (RUN, BACKFILL)), key=lambda row: row["stage"])
    return [{name: row[name] for name in names} for row in stages]


def _quality(lake: Lake) -> dict[str, Any]:
    """Return the quality of the newest processing date's lines; empty before the first run."""
    results = _rows(lake, EXPECTATION_RESULTS)
    if not results:
        return {}
    day = max(row["processing_date"] for row in results)
    counts = {row["layer"]: row["total_records"] for row in _rows(lake, DQ_COMPARISON, processing_date=day)}
    lines, kept = counts.get("bronze", 0), counts.get("silver", 0)
    broken = [row for row in results if row["processing_date"] == day and row["failed"]]
    return {
        "processing_date": day,
        "lines": lines,
        "dropped": lines - kept,
        "dropped_share": (lines - kept) / lines if lines else 0.0,
        "broken": [{name: row[name] for name in ("expectation", "severity", "checked", "failed")} for row in broken],
    }


def _freshness(lake: Lake, runs: list[dict[str, Any]]) -> dict[str, Any]:
    files = [row["file_date"] for row in _rows(lake, LEDGER, layer="bronze") if row["file_date"]]
    sales = [row["InvoiceDate"] for row in _rows(lake, DAILY_COUNTS, layer="silver") if row["InvoiceDate"]]
    done = [run["run_date"] for run in runs if run["status"] == "done"]
    days = {"newest_file": files, "newest_sale": sales, "newest_run": done}
    return {name: max(found, default=None) for name, found in days.items()}


# ── how it is shown ──────────────────────────────────────────────────
SHOWN = 10  # runs
COLOURS = {"done": "green", "failed": "red", "did not finish": "red", "running": "yellow", "warning": "yellow", "error": "red"}


def render_overview(found: Mapping[str, Any], lake: str, reports: str) -> Group:
    """Return an overview to print."""
    runs, tables = _render_runs(found["runs"][:SHOWN], reports), _tables(found["tables"], lake)
    parts = [runs, _problems(found), _render_quality(found), tables]
    return Group(*(line for part in parts if part for line in (part, "")))


def _render_runs(runs: Sequence[Mapping[str, Any]], reports: str) -> Any:
    if not runs:
        return f"Runs in {literal(reports)}: none yet"
    right = ("seconds", "lines in", "customers")
    columns = [(name, "right" if name in right else "left") for name in ("day", "stage", "status", *right)]
    measures = ("seconds", "rows_read", "customers")
    rows = (
        (literal(run["run_date"]), literal(run["stage"]), _coloured(run["status"]), *(_number(run[name]) for name in measures))
        for run in runs
    )
    return _grid("Last runs", columns, rows)


def _problems(found: Mapping[str, Any]) -> str:
    newest = found["runs"][0] if found["runs"] else {}
    lines = [f"{_coloured('failed')} {literal(newest['error'])}"] if newest.get("error") else []
    lines += [f"{_coloured(row['severity'])} {literal(row['message'])}" for row in found["warnings"]]
    return "\n".join(lines)


def _render_quality(found: Mapping[str, Any]) -> Any:
    quality, fresh = found["quality"], found["freshness"]
    if not quality:
        return ""
    dropped = f"{quality['dropped']:,} of {quality['lines']:,} lines dropped ({quality['dropped_share']:.1%})"
    days = ((name.removeprefix("newest_"), fresh[name] or "none yet") for name in ("newest_file", "newest_sale", "newest_run"))
    newest = "[bold]Newest[/]  " + ", ".join(f"{name} {day}" for name, day in days)
    headline = f"[bold]Quality[/] {quality['processing_date']}: {dropped}"
    columns = (("broken expectation", "left"), ("severity", "left"), ("lines", "right"))
    rows = ((literal(row["expectation"]), literal(row["severity"]), _number(row["failed"])) for row in quality["broken"])
    broken: list[Any] = [_grid("", columns, rows), ""] if quality["broken"] else []
    return Group(headline, *broken, newest)


def _tables(tables: Mapping[str, Mapping[str, int | None]], lake: str) -> Any:
    if not tables:
        return f"Tables in {literal(lake)}: none yet"
    from rfm.analysis.formatting import file_size

    columns = (("table", "left"), ("v.", "right"), ("rows", "right"), ("files", "right"), ("size", "right"))
    rows = (
        (literal(name), _number(t["version"]), _number(t["rows"]), _number(t["files"]), file_size(t["bytes"]))
        for name, t in tables.items()
    )
    return _grid(f"Tables in {lake}", columns, rows)


def _grid(title: str, columns: Iterable[tuple[str, Any]], rows: Iterable[Iterable[str]]) -> Grid:
    grid = Grid(
        title=literal(title) or None, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), header_style="dim"
    )
    for name, justify in columns:
        grid.add_column(name, justify=justify)
    for row in rows:
        grid.add_row(*row)
    return grid


def literal(text: str) -> str:
    """Return a text from outside as one line without markup or terminal codes."""
    return escape(printable(text))


def _coloured(word: str) -> str:
    return f"[{COLOURS[word]}]{word}[/]" if word in COLOURS else literal(word)


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
