"""The site of a shop: the pages of a run, its executed notebooks and downloads, and a front page over all runs."""

from __future__ import annotations

import calendar
import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from rfm import words
from rfm.config import Publish, Shop
from rfm.contracts import DAILY_COUNTS, LEDGER
from rfm.errors import InputError
from rfm.landing.files import write_file
from rfm.pipeline.chain import SEGMENT, TABLES_STAND
from rfm.report import compare, customers, notebooks
from rfm.report.notebooks import FOLDER, convert_notebooks
from rfm.report.pages import PAGES, PRIVATE, Page, segment_figures
from rfm.report.publish import address_of, open_site, publishable_files, published_record, reaching_site, read_runs, run_date_of
from rfm.report.render import RunTables, assets, links, render
from rfm.settings import Settings
from rfm.words import ENGLISH, N_, _, speaking

WIDTH, HEIGHT, INSET = 240, 64, 4  # of a sparkline, in its own units
FEW = 12  # points that are marked, as the line between them says nothing
MANY = 120  # points of a longer line
NEWEST, MONTHS = 30, 6  # runs in the table one by one, and months that are open in the calendar; older ones are folded


def sparkline(points: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return values over time as the path of an SVG line."""
    points = _sampled(points)
    days = [dt.date.fromisoformat(day).toordinal() for day, _ in points]
    values = [value for _, value in points]
    span, low, high = days[-1] - days[0] or 1, min(values), max(values)
    xs = [INSET + (WIDTH - 2 * INSET) * (day - days[0]) / span for day in days]
    ys = [HEIGHT / 2 if high == low else INSET + (HEIGHT - 2 * INSET) * (high - value) / (high - low) for value in values]
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return {"d": path, "points": list(zip(xs, ys, strict=True))[-1 if len(xs) > FEW else 0 :]}


def _sampled(points: Sequence[tuple[str, float]]) -> Sequence[tuple[str, float]]:
    """Return the ends of a long line and the lowest and the highest point of each stretch, so that no peak is lost."""
    if len(points) <= MANY:
        return points
    size, value = -(-2 * len(points) // MANY), lambda at: points[at][1]
    parts = [range(start, min(start + size, len(points))) for start in range(0, len(points), size)]
    kept = {0, len(points) - 1, *(pick(part, key=value) for part in parts for pick in (min, max))}
    return [points[at] for at in sorted(kept)]


def month_labels(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a calendar of the months that have days, published or only computed, newest first."""
    of, months = {run["run_date"]: run for run in runs}, []
    for month in sorted({day[:7] for day in of}, reverse=True):
        first = dt.date.fromisoformat(f"{month}-01")
        days = calendar.Calendar().monthdayscalendar(first.year, first.month)
        weeks = [[{"number": day, "run": of.get(f"{month}-{day:02}")} for day in week] for week in days]
        months.append({"name": words.month(first), "year": month[:4], "weeks": weeks})
    return months


def _by_year(months: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the newest months together, and older ones by year."""
    older = groupby(months[MONTHS:], key=itemgetter("year"))
    return [{"year": "", "months": months[:MONTHS]}, *({"year": year, "months": list(some)} for year, some in older)]


def _listed(runs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the newest runs, and the last of each month before."""
    older = groupby(runs[NEWEST:], key=lambda run: run["run_date"][:7])
    return [*runs[:NEWEST], *(next(some) for _, some in older)]


# ── front page ────────────────────────────────────────────────────────────
FOUND = ("customers", "revenue", "orders")
TRENDS = (  # figures of a run drawn over time: name, title, form
    ("customers", N_("Customers"), "count"),
    ("revenue", N_("Revenue"), "money"),
    ("named", N_("Segments"), "count"),
    ("dropped", N_("Lines quarantined"), "share"),
    ("renamed", N_("Moved without buying"), "share"),
)


def with_run(site: Mapping[str, Any], about: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the list of runs with this run added, newest first, and the newest run with segments in full."""
    summary, newest = about["summary"], site["newest"]
    entry = {name: about[name] for name in ("run_date", "status", "started", "seconds")}
    entry |= {name: summary.get(name) for name in FOUND} | figures.get("trend", {})
    segments = {row["segment"]: row["customers"] for row in summary["segments"]}
    entry |= {"segments": segments, "named": len(segments) or None, "warnings": len(about["warnings"])}
    runs = [run for run in site["runs"] if run["run_date"] != entry["run_date"]] + [entry]
    if not newest or (newest["run_date"] <= entry["run_date"] and summary["segments"]):
        newest = {**about, "figures": dict(figures)}
    return {"newest": newest, "runs": sorted(runs, key=lambda run: run["run_date"], reverse=True)}


def index_page(site: Mapping[str, Any]) -> str:
    """Return the front page, in the language of the newest run."""
    with speaking((site["newest"] or {}).get("figures", {}).get("language", ENGLISH)):
        newest, runs = site["newest"], site["runs"]
        figures = {"menu": PAGES, "kpis": [], "calls": {}, "entered": None, "fresh": {}, **newest.get("figures", {})}
        published = {run["run_date"] for run in runs}
        computed = [{**day, "computed": True} for day in figures.get("earlier", ()) if day["run_date"] not in published]
        days = sorted([*runs, *computed], key=lambda day: day["run_date"], reverse=True)
        own = {
            "home": "#content",
            "root": f"{newest['run_date']}/",
            "title": _("Customer segments"),
            "runs": runs,
            "days": days,
            "computed": len(computed),
            "listed": _listed(runs),
            "calendar": _by_year(month_labels(days)),
            "weekdays": words.weekdays(),
            "trends": [_trend(days, *trend) for trend in TRENDS if sum(day.get(trend[0]) is not None for day in days) > 1],
        }
        given = links("assets/", json.dumps(site, sort_keys=True))
        return render("front.html.j2", {**newest, **figures, **given, **own})


def _trend(runs: list[Mapping[str, Any]], name: str, title: str, form: str) -> dict[str, Any]:
    """Return one figure of all days over time."""
    known = [(run["run_date"], float(run[name])) for run in reversed(runs) if run.get(name) is not None]
    return {"title": _(title), "form": form, "first": known[0], "last": known[-1], "path": sparkline(known)}


# ── site of a run ────────────────────────────────────────────────────────────
LATE = "late "  # before the name of a page: its values that need the tables of the last stage


def parts_after(settings: Settings, work: Path, record: Mapping[str, Any], kept: dict[Any, Any]) -> dict[str, Any]:
    """Return the parts of a site whose tables the newest stage of a record has completed, for `build`."""
    stage, tables = record["stages"][-1]["name"], RunTables(settings, record, kept)
    with speaking(settings.shop.language):
        found: dict[str, Any] = {page.file: page.build(tables) for page in PAGES if page.after == stage}
        if stage == SEGMENT.name:
            segment_figures(tables)  # kept for its page, which also waits for the states
        if stage == TABLES_STAND:
            found |= {f"{LATE}{page.file}": page.late(tables) for page in PAGES if page.late}
            export(tables, work)
            found[customers.FOLDER] = True
        return found | {f"{stage}.ipynb": notebooks.notebook_html(work, stage)}


def export(tables: RunTables, work: Path) -> None:
    """Write the exports of a run."""
    customers.write_exports(customers.customer_list(tables), work / customers.FOLDER, tables.day)
    compare.write_products(tables, work)


PARTS = (  # files of a work folder, and their folder in that of the day
    ("*.ipynb", f"{FOLDER}/"),
    (f"{FOLDER}/*.html", f"{FOLDER}/"),
    (f"{customers.FOLDER}/*", f"{customers.FOLDER}/"),
    ("*.html", ""),
    ("brief.pdf", ""),
    (compare.PRODUCTS, ""),
    ("run.json", ""),
)
FIGURES = "figures.json"  # in the work folder: the figures of the run for the front page


def build(
    settings: Settings,
    work: Path,
    record: Mapping[str, Any],
    parts: Mapping[str, Any] | None = None,
    kept: dict[Any, Any] | None = None,
) -> list[Path]:
    """Write the pages of a run, its executed notebooks and its downloads into its work folder; the same bytes on any day."""
    with speaking(settings.shop.language):
        return _build(RunTables(settings, record, {} if kept is None else kept), work, parts or {})


def _build(tables: RunTables, work: Path, done: Mapping[str, Any]) -> list[Path]:
    from rfm.report.brief import brief_of, write_brief  # here, because matplotlib's PDF takes half a second to import

    record = tables.record
    given = _about(record) | {"menu": PAGES, "fresh": freshness(tables)}
    convert_notebooks(work, given, record, done)
    for page in PAGES:
        shown = {**(done.get(page.file) or page.build(tables))}
        if page.late:
            shown |= done.get(f"{LATE}{page.file}") or page.late(tables)
        if page == PAGES[0]:
            of_all = {name: value for name, value in shown.items() if name != PRIVATE}
            front = of_all | {"fresh": given["fresh"], "brief": True, "language": tables.settings.shop.language}
            (work / FIGURES).write_text(json.dumps(front), encoding="utf-8")
            for name, content in write_brief(brief_of(tables, given, shown)).items():
                (work / name).write_bytes(content)
        (work / page.file).write_text(_page(page, given, shown), encoding="utf-8")
    if customers.FOLDER not in done:
        export(tables, work)
    return [work / page.file for page in PAGES]


def publish(work: Path, reports: str, record: Mapping[str, Any], choice: Publish | None = None) -> str:
    """Publish the pages of a run: assets, the day, the list of runs, and last the front page; return its address."""
    # A folder belongs to the shop and gets everything; others may read a URL, so it gets only what ``[publish]`` allows.
    day = run_date_of(record)
    figures = json.loads((work / FIGURES).read_text(encoding="utf-8")) if (work / FIGURES).is_file() else {}
    with reaching_site(reports):
        fs, root = open_site(reports)
        site = with_run(read_runs(fs, root), _about(record), figures)
        for name, content in assets().values():
            if not fs.exists(f"{root}/assets/{name}"):
                write_file(fs, f"{root}/assets/{name}", content)
        found = [(f"{day}/{folder}{path.name}", path) for pattern, folder in PARTS for path in sorted(work.glob(pattern))]
        files = {name: path.read_bytes() for name, path in found}
        files |= {"runs.json": json.dumps(site, indent=1, ensure_ascii=False).encode(), "index.html": index_page(site).encode()}
        for name, content in (files if "://" not in reports else publishable_files(files, choice or Publish())).items():
            write_file(fs, f"{root}/{name}", content)
    return address_of(fs, root)


def rebuild(settings: Settings, day: dt.date | None = None) -> str:
    """Build the pages of a published run again from the versions of its tables, without running the chain."""
    days = [run["run_date"] for run in published_runs(settings.reports) if run["status"] == "done"]
    if not (day or days):
        raise InputError(f"{settings.reports}: no report is published yet; run `rfm daily` first")
    record = published_record(settings.reports, day or dt.date.fromisoformat(days[0]))
    RunTables(settings, record).check_day()
    with tempfile.TemporaryDirectory(prefix="rfm-report-") as folder:
        work = Path(folder)
        build(settings, work, record)
        return publish(work, settings.reports, record, settings.publish)


def published_runs(reports: str) -> list[dict[str, Any]]:
    """Return the entries of all published runs, newest first."""
    with reaching_site(reports):
        return read_runs(*open_site(reports))["runs"]


def freshness(tables: RunTables) -> dict[str, str | None]:
    """Return the newest days as of the run: ``file``, by its name, and ``sale``."""
    files = tables.frame(LEDGER, layer="bronze")["file_date"].dropna()
    sales = tables.frame(DAILY_COUNTS, layer="silver")["InvoiceDate"].dropna()
    days = {"file": files, "sale": sales[sales <= tables.day]}
    return {name: None if found.empty else found.max().isoformat()[:10] for name, found in days.items()}


def _page(page: Page, given: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """Return a page of a run."""
    place = {"home": "../index.html", "root": "", "here": page, "title": _(page.label)}
    nonce = links("../assets/", json.dumps([{**given, "menu": page.file}, shown], sort_keys=True, default=str))
    return render(page.template, {**given, **place, **nonce, **shown})


def _about(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about a run that every page shows."""
    given, shop = record.get("parameters", {}), Shop()
    return {
        "run_date": run_date_of(record),
        "shop": given.get("shop") or shop.name,
        "currency": given.get("currency") or shop.currency,
        "code": dict(record.get("code", {})),
        "warnings": list(record.get("warnings", ())),
        "summary": {"segments": [], **(record.get("summary") or {})},
        **{name: record.get(name) for name in ("status", "started", "seconds")},
    }
