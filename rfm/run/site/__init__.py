"""The HTML site: the pages of a run from its tables, its executed notebooks beside them, and a front page over all runs."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rfm.run import exports
from rfm.run.pages import PAGES, Page, RunTables
from rfm.run.publish import shared
from rfm.run.site.ahead import Ahead, export
from rfm.run.site.front import front, with_run
from rfm.run.site.notebooks import FOLDER, convert
from rfm.run.storage import open_site, published_record, reaching, read_runs, run_date_of, write
from rfm.run.template import assets, links, render
from rfm.schema import InputError
from rfm.sections import Publish, Shop
from rfm.settings import Settings

PARTS = (  # what of a work folder goes where in the day's
    ("*.ipynb", f"{FOLDER}/"),
    (f"{FOLDER}/*.html", f"{FOLDER}/"),
    (f"{exports.FOLDER}/*", f"{exports.FOLDER}/"),
    ("*.html", ""),
    ("run.json", ""),
)
FIGURES = "figures.json"  # in the work folder: what the front page shows of the run


def build(settings: Settings, work: Path, record: Mapping[str, Any], ahead: Ahead | None = None) -> list[Path]:
    """Write the pages of a run, those of its executed notebooks, and its exports into its work folder.

    The pages are made from the tables as the run left them and from its record, so the same run gives the same
    bytes on any later day. They look for their assets in ``../assets``, where `publish` puts them.

    Parameters
    ----------
    settings
        Where the lake is; the shop.
    work
        Folder of the run, with its executed notebooks if there are any.
    record
        The run record.
    ahead
        What has been made beside the stages; nothing if not given.

    Returns
    -------
    list of Path
        The pages of the run, in the order of the menu.

    Raises
    ------
    InputError
        If the tables are gone, or a notebook cannot be read.
    """
    tables = RunTables(settings, record)
    given = _about(record) | {"menu": PAGES, "fresh": fresh(tables)}
    ahead = ahead or Ahead(settings, work)
    convert(ahead, given, record)
    for page in PAGES:
        shown = ahead.made(page.file, partial(page.build, tables))
        if page == PAGES[0]:
            (work / FIGURES).write_text(json.dumps(shown | {"fresh": given["fresh"]}), encoding="utf-8")
        (work / page.file).write_text(_page(page, given, shown), encoding="utf-8")
    ahead.made(exports.FOLDER, partial(export, tables, work))
    return [work / page.file for page in PAGES]


def publish(work: Path, reports: str, record: Mapping[str, Any], choice: Publish | None = None) -> str:
    """Publish the pages of a run: assets, the day, the list of runs, and last the front page.

    Every file is written whole, nothing is deleted; a day published again replaces its files and its entry. A folder gets
    everything: it is the shop's own. A URL is read by others, so it gets what ``[publish]`` lets out of the house, as from
    `rfm.run.publish`: without more, no single customer, no export, no executed notebook. Where the bucket is as closed as
    the lake, ``[publish] customers = true`` keeps them there.

    Parameters
    ----------
    work
        Folder with the pages (`build`), the executed notebooks and ``run.json``.
    reports
        Folder or fsspec URL (``s3://…``) of the site.
    record
        The run record.
    choice
        Of the shop, for a URL; nothing of single customers if not given.

    Returns
    -------
    str
        Address of the front page.

    Raises
    ------
    InputError
        The site cannot be reached or written, or its ``runs.json`` cannot be read.
    """
    day = run_date_of(record)
    figures = json.loads((work / FIGURES).read_text(encoding="utf-8")) if (work / FIGURES).is_file() else {}
    with reaching(reports):
        fs, root = open_site(reports)
        site = with_run(read_runs(fs, root), _about(record), figures)
        for name, content in assets().values():
            if not fs.exists(f"{root}/assets/{name}"):
                write(fs, f"{root}/assets/{name}", content)
        found = [(f"{day}/{folder}{path.name}", path) for pattern, folder in PARTS for path in sorted(work.glob(pattern))]
        files = {name: path.read_bytes() for name, path in found}
        files |= {"runs.json": json.dumps(site, indent=1, ensure_ascii=False).encode(), "index.html": front(site).encode()}
        for name, content in (files if "://" not in reports else shared(files, choice or Publish())).items():
            write(fs, f"{root}/{name}", content)
    return f"{root}/index.html" if "local" in fs.protocol else fs.unstrip_protocol(f"{root}/index.html")


def rebuild(settings: Settings, day: dt.date | None = None) -> str:
    """Make the pages of a published run again, from its tables as they were, without running anything.

    Parameters
    ----------
    settings
        Where the lake and the reports are.
    day
        Run date; the newest published if not given.

    Returns
    -------
    str
        Address of the front page.

    Raises
    ------
    InputError
        If no run is published for the day, or its tables are gone.
    """
    days = [run["run_date"] for run in published_runs(settings.reports) if run["status"] == "done"]
    if not (day or days):
        raise InputError(f"{settings.reports}: no report is published yet; run `rfm daily` first")
    record = published_record(settings.reports, day or dt.date.fromisoformat(days[0]))
    RunTables(settings, record).stand()
    with tempfile.TemporaryDirectory(prefix="rfm-report-") as folder:
        work = Path(folder)
        build(settings, work, record)
        return publish(work, settings.reports, record, settings.publish)


def published_runs(reports: str) -> list[dict[str, Any]]:
    """Return what the front page knows of every published run, newest first.

    Parameters
    ----------
    reports
        Folder or fsspec URL of the site.

    Raises
    ------
    InputError
        The site cannot be reached, or its ``runs.json`` cannot be read.
    """
    with reaching(reports):
        return read_runs(*open_site(reports))["runs"]


def fresh(tables: RunTables) -> dict[str, str | None]:
    """Return the newest days that the run knew: ``file``, by its name, and ``sale``.

    Parameters
    ----------
    tables
        Of the run.
    """
    files = tables.frame("landing_files", layer="bronze")["file_date"].dropna()
    sales = tables.frame("daily_counts", layer="silver")["InvoiceDate"].dropna()
    days = {"file": files, "sale": sales[sales <= tables.day]}
    return {name: None if found.empty else found.max().isoformat()[:10] for name, found in days.items()}


def _page(page: Page, given: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """Return a page of a run."""
    place = {"home": "../index.html", "root": "", "here": page, "title": page.label}
    nonce = links("../assets/", json.dumps([given, shown], sort_keys=True, default=str))
    return render(page.template, {**given, **place, **nonce, **shown})


def _about(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the frame of any page says about its run."""
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
