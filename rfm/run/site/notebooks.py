"""Executed notebooks as pages, beside the notebooks, for whoever wants to see how a table was made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfm.run.stages import STAGES
from rfm.run.template import TEMPLATE, links, render
from rfm.run.template.cells import CELL_FILTERS, MIMES, PLOTLY, headings, read_notebook

if TYPE_CHECKING:
    from rfm.run.site.ahead import Ahead

FOLDER = "notebooks"  # of a run, beside its pages
HIDDEN = {"injected-parameters", "remove_cell", "papermill-error-cell-tag"}  # tags of cells not shown


def convert(ahead: Ahead, given: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Write the page of every executed notebook of a run, and return the names of their stages.

    The same notebook gives the same bytes. A notebook that is missing (the run stopped before) gets no page.

    Parameters
    ----------
    ahead
        The work folder with the executed notebooks, named as in `rfm.run.stages.STAGES`, and what has been made of them.
    given
        What the frame of every page of the run says.
    record
        The run record.
    """
    found = [stage.name for stage in STAGES if (ahead.work / f"{stage.name}.ipynb").is_file()]
    (ahead.work / FOLDER).mkdir(exist_ok=True)
    for name in found:
        page = _page(name, found, given, record, ahead.made(f"{name}.ipynb", partial(shown, ahead.work, name)))
        (ahead.work / FOLDER / f"{name}.html").write_text(page, encoding="utf-8")
    return found


def shown(work: Path, name: str) -> dict[str, Any]:
    """Return what the page of a notebook shows of it: cells, parts, title, file, whether there are figures; and its assets.

    Parameters
    ----------
    work
        Folder with the executed notebook.
    name
        Of its stage.
    """
    text = (work / f"{name}.ipynb").read_text(encoding="utf-8")
    title, parts = headings(notebook := read_notebook(text, f"{name}.ipynb"))
    cells = _exporter().from_notebook_node(notebook)[0]
    own = {"cells": cells, "parts": parts, "drawn": PLOTLY in text, "title": title or name, "file": f"{name}.ipynb"}
    return own | links("../../assets/", text)


def _page(name: str, found: list[str], given: Mapping[str, Any], record: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return the page of one notebook."""
    at, names = found.index(name), [stage.name for stage in STAGES]
    place = {
        "home": "../../index.html",
        "root": "../",
        "eyebrow": f"Notebook {names.index(name) + 1} of {len(names)}",
        "stage": next((stage for stage in record.get("stages", ()) if stage["name"] == name), None),
        "before": found[at - 1] if at else None,
        "after": (*found, None)[at + 1],
    }
    return render("notebook.html.j2", {**given, **own, **place})


@cache
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
