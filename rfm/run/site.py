"""The HTML site: executed notebooks become pages, pages become a dated report, reports get a front page.

A page is made in two steps: nbconvert turns the cells into HTML (``template/index.html.j2``), then Jinja,
escaping everything, puts the page around them (``template/frame.html.j2`` and its children).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rfm.run.storage import open_site, reaching, read_runs, run_date_of, write
from rfm.run.template import TEMPLATE, assets, links, render
from rfm.run.template.cells import CELL_FILTERS, MIMES, PLOTLY, headings, read_notebook
from rfm.schema import InputError
from rfm.sections import Shop


class Page(NamedTuple):
    """A page of a run: the notebook it is made from, its file, its name in the menu."""

    stage: str
    file: str
    label: str


OVERVIEW = Page("6_report", "index.html", "Overview")
ROAD = (
    Page("1_bronze", "bronze.html", "Bronze"),
    Page("2_silver", "silver.html", "Silver"),
    Page("3_gold", "gold.html", "Gold"),
    Page("4_clusters", "clusters.html", "Clusters"),
    Page("5_segments", "segments.html", "Segments"),
    OVERVIEW,
)
HIDDEN = {"injected-parameters", "remove_cell", "papermill-error-cell-tag"}  # tags of cells not shown
PARTS = (("*.ipynb", "notebooks/"), ("*.html", ""), ("run.json", ""))  # what is published, and where to


def pages(work: Path, record: Mapping[str, Any]) -> list[Path]:
    """Write the HTML page of every executed notebook of a run, next to the notebook.

    The pages look for their assets in ``../assets``, where `publish` puts them. The same notebook and the
    same record give the same bytes. A notebook that is missing (the run stopped before) gets no page.

    Parameters
    ----------
    work
        Folder with the executed notebooks, named as in `ROAD`.
    record
        The run record: ``run_date`` and ``stages`` are needed, ``summary`` makes the overview.

    Returns
    -------
    list of Path
        The pages written, in the order of the road.

    Raises
    ------
    InputError
        No notebook is there, or one cannot be read.
    """
    found = [page for page in ROAD if (work / f"{page.stage}.ipynb").is_file()]
    if not found:
        raise InputError(f"{work}: 0 of {len(ROAD)} executed notebooks found; run the chain first")
    exporter = _exporter()
    for page in found:
        (work / page.file).write_text(_stage(work, page, found, record, exporter), encoding="utf-8")
    return [work / page.file for page in found]


def publish(work: Path, reports: str, record: Mapping[str, Any]) -> str:
    """Publish the pages of a run: assets, the day, the list of runs, and last the front page.

    Every file is written whole, nothing is deleted; a day published again replaces its files and its entry.

    Parameters
    ----------
    work
        Folder with the pages (`pages`), the executed notebooks and ``run.json``.
    reports
        Folder or fsspec URL (``s3://…``) of the site.
    record
        The run record.

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
    with reaching(reports):
        fs, root = open_site(reports)
        site = _with_run(read_runs(fs, root), record)
        for name, content in assets().values():
            if not fs.exists(f"{root}/assets/{name}"):
                write(fs, f"{root}/assets/{name}", content)
        for pattern, folder in PARTS:
            for path in sorted(work.glob(pattern)):
                write(fs, f"{root}/{day}/{folder}{path.name}", path.read_bytes())
        write(fs, f"{root}/runs.json", json.dumps(site, indent=1, ensure_ascii=False).encode())
        write(fs, f"{root}/index.html", _front(site).encode())
    return f"{root}/index.html" if "local" in fs.protocol else fs.unstrip_protocol(f"{root}/index.html")


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


def _stage(work: Path, page: Page, found: list[Page], record: Mapping[str, Any], exporter: Any) -> str:
    """Return the page of one notebook."""
    text = (work / f"{page.stage}.ipynb").read_text(encoding="utf-8")
    title, parts = headings(notebook := read_notebook(text, f"{page.stage}.ipynb"))
    about, cells = _about(record), exporter.from_notebook_node(notebook)[0]
    summary = about["summary"] if page == OVERVIEW and about["summary"]["segments"] else None
    own = {"cells": cells, "parts": parts, "drawn": PLOTLY in text, "title": title or page.label}
    given = links("../assets/", text + json.dumps(record, sort_keys=True, default=str))
    return render("stage.html.j2", about | given | _place(page, found, record) | own | {"summary": summary})


def _place(page: Page, found: list[Page], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a page stands: in the menu, on the road, in the run record."""
    at = found.index(page)
    return {
        "home": "../index.html",
        "here": page,
        "menu": sorted(found, key=lambda other: other != OVERVIEW),
        "before": found[at - 1] if at else None,
        "after": (*found, None)[at + 1],
        "eyebrow": page.label if page == OVERVIEW else f"Step {ROAD.index(page) + 1} of {len(ROAD)}",
        "stage": next((stage for stage in record.get("stages", ()) if stage["name"] == page.stage), None),
    }


def _front(site: Mapping[str, Any]) -> str:
    """Return the front page: the newest run that has figures, then all runs."""
    newest, runs = site["newest"], site["runs"]
    older = (run for run in runs if run["run_date"] < newest["run_date"] and run["customers"])
    own = {"home": "#content", "title": "Customer segments", "before": next(older, None), "runs": runs}
    return render("front.html.j2", newest | links("assets/", json.dumps(site, sort_keys=True)) | own)


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


def _exporter() -> Any:
    """Return nbconvert's exporter with the project's template and nothing from any network."""
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    config = Config()
    config.TemplateExporter.extra_template_basedirs = [str(TEMPLATE.parent)]
    config.TemplateExporter.template_name = TEMPLATE.name
    config.HTMLExporter.default_preprocessors = ["nbconvert.preprocessors.TagRemovePreprocessor"]
    config.HTMLExporter.exclude_anchor_links = True
    config.TagRemovePreprocessor.update(enabled=True, remove_cell_tags=HIDDEN)
    config.NbConvertBase.display_data_priority = MIMES
    exporter = HTMLExporter(config=config)
    for name, function in CELL_FILTERS.items():
        exporter.register_filter(name, function)
    return exporter


def _with_run(site: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the list of runs with this run in it, newest first, and in full the newest that has figures."""
    about, newest = _about(record), site["newest"]
    summary = about["summary"]
    entry = {name: about[name] for name in ("run_date", "status", "started", "seconds")}
    entry |= {name: summary.get(name) for name in ("customers", "revenue", "orders")}
    segments = {row["segment"]: row["customers"] for row in summary["segments"]}
    entry |= {"segments": segments, "warnings": len(about["warnings"])}
    runs = [run for run in site["runs"] if run["run_date"] != entry["run_date"]] + [entry]
    if not newest or (newest["run_date"] <= entry["run_date"] and summary["segments"]):
        newest = about
    return {"newest": newest, "runs": sorted(runs, key=lambda run: run["run_date"], reverse=True)}
