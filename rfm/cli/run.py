"""The verbs that run the pipeline, publish its reports, and keep campaigns."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status

from rfm.cli.options import Json, app, day_of, errors, notes, option, print_json, screen, with_settings
from rfm.errors import RfmError, SettingsError

Parameters = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A notebook parameter; repeatable.")
]
Refit = Annotated[bool, option("--refit", None, "Train new clusters instead of starting from the previous run's.")]
Restate = Annotated[bool, option("--restate", None, "Read files again whose content has changed, and replace their rows.")]


@app.command(
    epilog="Examples: `rfm daily` · `rfm daily --date 2025-10-23` · `rfm daily --catch-up` · `rfm daily --json`"
    " · `rfm daily --landing s3://shop/daily_sales`"
)
@with_settings("date", "landing", "lake", "reports", "engine", "remote")
def daily(
    settings: Any,
    parameter: Parameters = None,
    restate: Restate = False,
    refit: Refit = False,
    as_published: Annotated[
        str | None, option("--as-published", "DATE", "Repeat a published day from its table versions and compare; write nothing.")
    ] = None,
    catching_up: Annotated[
        bool, option("--catch-up", None, "First run earlier days that have a file and were never run, without notebooks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run all stages for one day and publish its report.

    `--json` prints the record of the run, as in `run.json`, with the address of the `report` and, with `--catch-up`, the days
    `caught_up`; with `--as-published` it prints the comparison. A failed run prints no JSON.
    """
    if as_published:
        _print_replay(settings, day_of("--as-published", as_published), as_json)
        return
    given = _assignments(parameter or []) | {name: True for name, on in {"restate": restate, "refit": refit}.items() if on}
    if not run_chain(settings, given, catching_up, as_json):
        raise typer.Exit(1)


LEAST = {  # limits of the shell; where they are lower, native code ends a run without a word, or waits for ever
    "RLIMIT_AS": (4 * 1024**3, "ulimit -v", "bytes of memory", "ulimit -v unlimited"),
    "RLIMIT_NOFILE": (128, "ulimit -n", "open files", "ulimit -n 1024"),
}


def refuse_low_limits() -> None:
    """Raise an error if the shell allows a run less memory or fewer open files than the smallest one needs."""
    try:
        import resource
    except ImportError:  # on Windows there are no such limits
        return
    for name, (least, shown, of_what, remedy) in LEAST.items():
        given = resource.getrlimit(getattr(resource, name))[0]
        if given != resource.RLIM_INFINITY and given < least:
            raise RfmError(f"`{shown}` allows {given:,} {of_what}, a run needs {least:,}; set `{remedy}`, then run again")


def run_chain(settings: Any, given: Mapping[str, Any], catching_up: bool = False, as_json: bool = False) -> bool:
    """Run a day, after the missed days if asked for, and print the results; return True if all succeeded."""
    refuse_low_limits()
    with notes.status("starting") as line:
        from rfm.pipeline import notebooks

        notebooks.check(settings, given)  # before anything heavy is imported
        caught_up = _run_missed(settings, line) if catching_up else []
        from rfm.pipeline.kernels import warm_kernels

        with warm_kernels() as kernels:  # they start while the run itself is imported
            dated = _dated(settings)
            from rfm.pipeline.daily import run

            begun = lambda stage: _print_progress(line, f"{stage.name:<12} {stage.title}")
            record = run(dated, given, partial(_print_stage, line), kernels, begun, partial(_print_past, line))
    _print_warnings(record["warnings"])
    if as_json:
        print_json(record | {"caught_up": [one._asdict() for one in caught_up]} if catching_up else record)
    else:
        warned = f" {len(record['warnings'])} warning(s), see `rfm status`." if notes.quiet and record["warnings"] else ""
        screen.print(f"{record['run_date']}: {record['headline']}.{warned} Report: {record['report']}", markup=False)
    return all(one.well for one in caught_up) and not record["errors"]


def _dated(settings: Any) -> Any:
    """Return settings with a run date; print it if it is not from a file's name."""
    from rfm.pipeline.schedule import dated

    found, said = dated(settings)
    if said:
        notes.print(said)
    return settings.model_copy(update={"date": found})


def _assignments(given: list[str]) -> dict[str, Any]:
    """Parse NAME=VALUE pairs; a value that is JSON (a number, true) is read as such."""
    pairs = [pair.partition("=") for pair in given]
    if wrong := [name for name, sign, _ in pairs if not sign or not name]:
        raise SettingsError(f"--parameter {wrong[0]!r} is not NAME=VALUE")
    return {name: _value(text) for name, _, text in pairs}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _run_missed(settings: Any, line: Status) -> list[Any]:
    _print_progress(line, "looking for missed days")
    from rfm.pipeline.schedule import catch_up

    done = []
    for one in catch_up(settings):
        _print_warnings(one.warnings)
        notes.print(f"[{'green]✓' if one.well else 'red]✗'}[/] {one.day}: {escape(one.said)}")
        done.append(one)
    return done


def _print_past(line: Status, run_dates: Sequence[dt.date]) -> None:
    *most, last = map(str, run_dates)
    shown = f"{', '.join(most)} and {last}" if most else last
    line.update(f"computing {shown}")
    notes.print(f"first run: also computing {shown}, for the comparison", markup=False)


def _print_progress(line: Status, doing: str) -> None:
    """Show what is being done: in the live line of a terminal, on a line of its own elsewhere."""
    line.update(escape(doing))
    if not notes.is_interactive:
        notes.print(f"… {doing}", markup=False)


@app.command(
    epilog="Examples: `rfm backfill --from 2025-06-26 --to 2025-10-23` · `rfm backfill --from 2025-10-22 --to 2025-10-23 --json`"
)
@with_settings("landing", "lake", "engine", "remote")
def backfill(
    settings: Any,
    first: Annotated[str, option("--from", "DATE", "First run date, YYYY-MM-DD.")],
    last: Annotated[str, option("--to", "DATE", "Last run date, YYYY-MM-DD.")],
    restate: Restate = False,
    refit: Refit = False,
    as_json: Json = False,
) -> None:
    """Run many days without notebooks: the same tables as `rfm daily` for each day, in a fraction of the time.

    `--json` prints the `lake` and the `days`, each with `run_date`, `headline`, `seconds`, `lines_read`, `rows_written`,
    `warnings` and `errors`.
    """
    begin, end = day_of("--from", first), day_of("--to", last)
    refuse_low_limits()
    with notes.status("starting"):
        from rfm.pipeline import backfill as runs
        from rfm.pipeline.schedule import locked

    total = len(runs.days(begin, end))
    with locked(settings, end):
        done = dict(_shown(runs.backfill(settings, begin, end, restate, refit), total))
    warnings, refused = runs.warnings_of(settings, begin, end)
    _print_warnings(warnings)
    if as_json:
        print_json({"days": runs.results(settings, done), "lake": settings.lake})
    else:
        screen.print(f"{total} day(s) up to {end}: {done[end]}. Tables: {settings.lake}", markup=False)
    if refused:
        raise typer.Exit(1)


def _shown(days: Iterable[tuple[dt.date, str]], total: int) -> Iterator[tuple[dt.date, str]]:
    """Yield days and their headlines, each shown: by a progress bar in a terminal, on a line of its own elsewhere."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=notes, disable=not notes.is_interactive) as bar:
        task = bar.add_task("backfill", total=total)
        for day, headline in days:
            bar.update(task, advance=1, description=day.isoformat())
            (notes.detail if notes.is_interactive else notes.out)(f"✓ {day}: {headline}")
            yield day, headline


def _print_replay(settings: Any, day: dt.date, as_json: bool) -> None:
    """Repeat a published day and print whether it is the same; exit status 1 if not."""
    with notes.status(f"repeating {day}"):
        from rfm.pipeline.backfill import replay

        found = replay(settings, day)
    if as_json:
        print_json(found._asdict())
    else:
        screen.print(str(found), markup=False)
    if found.differing:
        raise typer.Exit(1)


def _print_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        notes.print(f"[yellow]warning[/] {escape(warning)}")


def _print_stage(line: Status, stage: Mapping[str, Any]) -> None:
    """Print that a stage is done; with --verbose also how its time was spent and what it wrote."""
    line.update("building and publishing the report")  # until the next stage starts, if there is one
    mark = "[green]✓[/]" if stage["status"] == "done" else "[red]✗[/]"
    notes.print(f"{mark} {stage['name']:<12} {stage['title']:<36} {stage['seconds']:5.1f} s")
    for part, seconds in stage.get("spent", {}).items():
        notes.detail(f"  {part}: {seconds:.2f} s")
    for table, state in stage.get("writes", {}).items():
        notes.detail(f"  {table}: {state['rows']:,} rows, version {state['version']}")


@app.command(epilog="Examples: `rfm watch` · `rfm watch --every 300 --landing s3://shop/daily_sales`")
@with_settings("landing", "lake", "reports", "engine", "remote")
def watch(settings: Any, every: Annotated[float, option("--every", "SECONDS", "Seconds between checks.", min=1)] = 30) -> None:
    """Run `rfm daily --catch-up` now, and again whenever a new file is complete; stop with Ctrl-C."""
    from rfm.pipeline.schedule import BusyError, wait_for_files

    def complain(message: str) -> None:
        errors.print(f"rfm: {message}", markup=False)

    def act() -> bool:
        try:
            run_chain(settings, {}, catching_up=True)
        except BusyError as error:
            complain(str(error))
            return False
        except RfmError as error:
            complain(str(error))
        return True

    notes.print(f"Watching {settings.landing} every {every:g} s (stop with Ctrl-C)", markup=False)
    wait_for_files(settings, act, every, complain)
    notes.print("Stopped watching.")


# ── report, publish, serve ───────────────────────────────────────────
@app.command(epilog="Examples: `rfm report` · `rfm report --date 2025-10-22`")
@with_settings("date", "lake", "reports", "engine", "remote")
def report(settings: Any) -> None:
    """Rebuild the pages of a published day from the table versions of that day."""
    with notes.status("building the pages"):
        from rfm.pipeline.schedule import locked
        from rfm.report import site

        with locked(settings, "`rfm report`"):
            made = site.rebuild(settings, settings.date)
    screen.print(f"Report: {made}", markup=False)


@app.command(epilog="Examples: `rfm publish s3://shop/site` · `rfm publish ../pages`")
@with_settings("reports", "lake")
def publish(
    settings: Any,
    url: Annotated[str, typer.Argument(metavar="URL", help="Target: s3://…, another URL, or a folder (of GitHub Pages, say).")],
) -> None:
    """Send the reports to a bucket or folder: only changes, and no individual customers unless [publish] allows it."""
    with notes.status("sending what changed"):
        from rfm.pipeline.schedule import locked
        from rfm.report.publish import publish as send
        from rfm.settings import absolute

        with locked(settings, "`rfm publish`"):
            done = send(settings.reports, absolute(url), settings.publish)
    counts = f"{len(done.sent):,} files sent ({done.size / 1e6:,.1f} MB), {done.seen - len(done.sent):,} unchanged"
    counts += f", {len(done.removed):,} removed" if done.removed else ""
    withheld = {(False, False): "without individual customers", (True, True): "customer ids hashed, without notebooks"}
    shown = settings.publish.customers, settings.publish.customers and settings.publish.hash_ids
    included = withheld.get(shown, "with all customers")
    screen.print(f"Published {done.address}: {counts}; {included}", markup=False)


@app.command(epilog="Examples: `rfm serve` · `rfm serve --port 9000`")
@with_settings("reports")
def serve(
    settings: Any,
    port: Annotated[int, option("--port", "NUMBER", "Port on this computer; 0 takes any free one.", min=0, max=65535)] = 8765,
) -> None:
    """Serve the published reports to a browser on this computer; pages reload after a new run. Stop with Ctrl-C."""
    from rfm.report.publish import server

    with server(settings.reports, port) as running, suppress(KeyboardInterrupt):
        screen.print(f"Reports: http://127.0.0.1:{running.server_port}/ (stop with Ctrl-C)", markup=False)
        running.serve_forever()
    screen.print("Stopped serving.")


# ── campaigns ────────────────────────────────────────────────────────
ACTIONS = ("new", "list", "show", "close")
FORMATS = ("plain", "mailchimp", "klaviyo")


@app.command(
    epilog="Examples: `rfm campaign new spring --state 'at risk' --holdout 20% --out spring.csv` · `rfm campaign list` · "
    "`rfm campaign show spring` · `rfm campaign close spring`"
)
@with_settings("date", "lake")
def campaign(
    settings: Any,
    action: Annotated[str, typer.Argument(metavar="ACTION", help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}.")] = "list",
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the campaign.", show_default=False)] = "",
    segment: Annotated[
        list[str] | None, option("--segment", "NAME", "Only customers of this segment; repeatable.", "all")
    ] = None,
    state: Annotated[list[str] | None, option("--state", "NAME", "Only customers in this state; repeatable.", "all")] = None,
    top: Annotated[int, option("--top", "NUMBER", "Only this many, by the money at stake.", "all", min=0)] = 0,
    holdout: Annotated[str, option("--holdout", "SHARE", "Share of the customers who are not written to.")] = "20%",
    days: Annotated[int, option("--days", "NUMBER", "Days after the run date in which orders count.", min=1, max=366)] = 30,
    again: Annotated[bool, option("--again", None, "Also choose customers who are in a running campaign.")] = False,
    out: Annotated[str, option("--out", "FILE", "Write the customers to write to into this CSV file.")] = "",
    form: Annotated[str, option("--format", "NAME", f"Columns of that file: {', '.join(FORMATS)}.")] = FORMATS[0],
    contacts: Annotated[str, option("--contacts", "FILE", "CSV with CustomerID, Email and more; only these are chosen.")] = "",
    as_json: Json = False,
) -> None:
    """Write to some customers, hold others out at random, and see whether it helped.

    `new` draws both groups from the tables of the run date and keeps them. Each later run counts their orders; the difference,
    with its interval, is shown once the days are over. `show` says what is known, and with --out writes the list again.
    `close` ends a campaign. `--json` prints the `campaigns` with their newest `results`.
    """
    _check_words(action, name, form, out)
    from rfm.lake import open_lake_log
    from rfm.pipeline import campaigns
    from rfm.pipeline.schedule import locked

    if out:
        campaigns.check_export(form, contacts)
    lake = open_lake_log(settings, "`rfm campaign`")
    with locked(settings, "`rfm campaign`") if action in ("new", "close") else nullcontext():
        if action == "new":
            choice = campaigns.Choice(tuple(segment or ()), tuple(state or ()), top, again, contacts)
            screen.print(campaigns.new(settings, lake, name, choice, _share(holdout), days), markup=False)
        elif action == "close":
            campaigns.close(lake, name)
    about = campaigns.listed(lake, name)
    if out:
        written = campaigns.export(lake, name, out, form, contacts)
        notes.print(f"{written:,} customers to write to: {out}", markup=False)
    if as_json:
        print_json({"campaigns": about})
    elif action != "new":
        screen.print(*(line for one in about for line in campaigns.described(lake, one, settings)), sep="\n", markup=False)


def _check_words(action: str, name: str, form: str, out: str) -> None:
    if action not in ACTIONS or form not in FORMATS:
        wrong, known = (action, ACTIONS) if action not in ACTIONS else (form, FORMATS)
        raise SettingsError(f"{wrong}: is none of {', '.join(known)}")
    if bool(name) != (action != "list") or (out and not name):
        raise SettingsError(f"campaign {action}: {'takes no' if name else 'needs a'} NAME")


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise SettingsError(f"--holdout {text!r}: is no share; write it as 20% or 0.2")
    return value
