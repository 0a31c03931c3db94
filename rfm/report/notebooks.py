"""The cells of a notebook on a page: headings, tables, figures, and nothing that data can run.

nbconvert escapes nothing by itself, so everything that can hold data passes `safe_html` or ``| e`` in
``index.html.j2``.

Executed notebooks as pages, beside the notebooks, for whoever wants to see how a table was made.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from rfm.errors import InputError
from rfm.pipeline.stages import STAGES
from rfm.report.render import PLOTLY, TEMPLATE, figure, links, render

# ── cells ────────────────────────────────────────────────────────────
MIMES = [PLOTLY, "text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain"]
TAGS = frozenset(
    re.findall(
        r"\w+",
        "a b blockquote br caption code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol "
        "p pre s samp small span strong sub sup table tbody td tfoot th thead tr ul",
    )
)
ATTRIBUTES = {"alt", "colspan", "rowspan", "scope", "start", "title"}
NUMBER = re.compile(r"[-+−]?\W?\d[\d,]*(\.\d+)?(e[-+]?\d+)?\s?%?|nan|none|null|–|<na>|", re.IGNORECASE)
HEADING = re.compile(r"\A\s*(#{1,2}) +(.+?)\s*(?:\n|\Z)")


def read_notebook(text: str, name: str) -> Any:
    """Return a notebook from its text."""
    import nbformat

    try:
        return nbformat.reads(text, as_version=4)
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{name}: is not a notebook ({why}); run the chain again") from error


def headings(notebook: Any) -> tuple[str, list[dict[str, str]]]:
    """Take the title and the section headings out of the Markdown, and mark the cells with them."""
    title, under = "", ""
    parts: list[dict[str, str]] = []
    for step, cell in enumerate(notebook.cells, 1):
        found = HEADING.match(cell.source) if cell.cell_type == "markdown" else None
        if found and (len(found[1]) == 2 or not title):
            under = re.sub(r"[*`]", "", found[2])
            cell.source = cell.source[found.end() :]
            if len(found[1]) == 1:
                title = under = re.sub(r"^\d+\s*·\s*", "", under)
            else:
                parts.append({"id": f"part-{len(parts) + 1}", "title": under})
                cell.metadata["part"] = parts[-1]
        cell.metadata.update(step=step, under=under or title)
    return title, parts


def safe_html(dirty: str) -> str:
    """Keep harmless tags, show all others as text, and fit tables and headings into the page."""
    import bleach
    from bs4 import BeautifulSoup

    styleless = re.sub(r"(?is)<style\b.*?</style\s*>", "", dirty)
    clean = bleach.clean(styleless, tags=TAGS, attributes=_allowed, protocols={"http", "data"})
    soup = BeautifulSoup(clean, "html.parser")
    for heading in soup(["h1", "h2"]):
        heading.name = "h3"
    for image in soup("img", src=False):
        image.replace_with(str(image.get("alt", "")))
    for table in soup("table"):
        _set_table(table)
        names = [name for head in table("th")[:6] if (name := _text(head))]
        label = f"Table of {', '.join(names)}"
        box = {"class": "scroll card", "tabindex": "0", "role": "region", "aria-label": label}
        table.wrap(soup.new_tag("div", attrs=box))
    return str(soup)


def _allowed(tag: str, name: str, value: str) -> bool:
    """Say whether an attribute may stay: no outside address, no class, id or style that looks like ours."""
    value = html.unescape(value).strip().lower()
    if name == "href":
        return tag == "a" and not re.match(r"[^/?#]*:|[/\\\s]*[/\\]{2}", value)
    return value.startswith("data:image/") if name == "src" else name in ATTRIBUTES


def _set_table(table: Any) -> None:
    """Set pandas' index names beside the others, drop a nameless index, align columns of numbers."""
    _join_heads([row(["td", "th"]) for row in table.select("thead tr")])
    rows = [row(["td", "th"]) for row in table("tr")]
    body = [row(["td", "th"]) for row in table.select("tbody tr")]
    if body and len(rows) == len(body) + 1 and _is_running([_text(row[0]) for row in rows if row]):
        for row in rows:
            row.pop(0).decompose()
        body = rows[1:]
    for column in range(max(map(len, body), default=0)):
        if all(NUMBER.fullmatch(_text(row[column])) for row in body if len(row) > column):
            for row in (row for row in rows if len(row) > column):
                row[column]["class"] = "num"
    for head in table.select("thead th"):
        head.name = "th" if _text(head) else "td"  # a heading says something


def _join_heads(heads: list[list[Any]]) -> None:
    """Move the names of the index, which pandas puts into a second row, into the gaps of the first."""
    if len(heads) != 2 or len(heads[0]) != len(heads[1]):
        return
    if all(bool(_text(above)) != bool(_text(below)) for above, below in zip(*heads, strict=True)):
        for above, below in zip(*heads, strict=True):
            above.string = _text(above) or _text(below)
        heads[1][0].parent.decompose()


def _is_running(column: list[str]) -> bool:
    """Say whether a column has no name and counts 0, 1, 2: pandas' index when nobody chose one."""
    return column == ["", *map(str, range(len(column) - 1))]


def _text(cell: Any) -> str:
    return cell.get_text(strip=True)


CELL_FILTERS: dict[str, Callable[..., Any]] = {"safe_html": safe_html, "figure": figure}


# ── notebooks ────────────────────────────────────────────────────────────
FOLDER = "notebooks"  # of a run, beside its pages
HIDDEN = {"injected-parameters", "remove_cell", "papermill-error-cell-tag"}  # tags of cells not shown


def convert_notebooks(
    work: Path, made: Callable[[str, Callable[[], Any]], Any], given: Mapping[str, Any], record: Mapping[str, Any]
) -> list[str]:
    """Write the page of every executed notebook of a run, and return the names of their stages.

    The same notebook gives the same bytes. A notebook that is missing (the run stopped before) gets no page.
    """
    found = [stage.name for stage in STAGES if (work / f"{stage.name}.ipynb").is_file()]
    (work / FOLDER).mkdir(exist_ok=True)
    for name in found:
        page = _page(name, found, given, record, made(f"{name}.ipynb", partial(notebook_html, work, name)))
        (work / FOLDER / f"{name}.html").write_text(page, encoding="utf-8")
    return found


def notebook_html(work: Path, name: str) -> dict[str, Any]:
    """Return what the page of a notebook shows of it: cells, parts, title, file, whether there are figures; and its assets."""
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
