"""Executed notebooks as pages: headings, code, tables and figures, with nothing of their data that a browser would run."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rfm.errors import InputError
from rfm.pipeline.chain import STAGES
from rfm.report.render import PLOTLY, figure, links, render
from rfm.words import _

FOLDER = "notebooks"  # of a run, beside its pages
HIDDEN = {"injected-parameters", "remove_cell", "papermill-error-cell-tag"}  # tags of cells not shown
MIMES = [PLOTLY, "text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/plain"]
_TAGS = (
    "a b blockquote br caption code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol "
    "p pre s samp small span strong sub sup table tbody td tfoot th thead tr ul"
)
TAGS = frozenset(_TAGS.split())
ATTRIBUTES = {"alt", "colspan", "rowspan", "scope", "start", "title"}
NUMBER = re.compile(r"[-+−]?\W?\d[\d,]*(\.\d+)?(e[-+]?\d+)?\s?%?|nan|none|null|–|<na>|", re.IGNORECASE)
ANSI = re.compile(r"\x1b\[(.*?)([@-~])")  # colours of a terminal
HEADING = re.compile(r"\A\s*(#{1,2}) +(.+?)\s*(?:\n|\Z)")


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


def safe_html(dirty: str) -> Markup:
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
        label = _("Table of {names}", names=", ".join(names))
        box = {"class": "scroll card", "tabindex": "0", "role": "region", "aria-label": label}
        table.wrap(soup.new_tag("div", attrs=box))
    return Markup(str(soup))


def _allowed(tag: str, name: str, value: str) -> bool:
    """Return True if an attribute may stay: no outside address, no class, id or style that looks like ours."""
    value = html.unescape(value).strip().lower()
    if name == "href":
        return tag == "a" and not re.match(r"[^/?#]*:|[/\\\s]*[/\\]{2}", value)
    return value.startswith("data:image/") if name == "src" else name in ATTRIBUTES


def _set_table(table: Any) -> None:
    """Set pandas' index names beside the others, drop a nameless index, align columns of numbers."""
    _join_heads([row(["td", "th"]) for row in _inside(table, "thead", "tr")])
    rows = [row(["td", "th"]) for row in table("tr")]
    body = [row(["td", "th"]) for row in _inside(table, "tbody", "tr")]
    running = ["", *map(str, range(len(body)))]  # the default index of pandas: no name, then 0, 1, 2
    if body and [_text(row[0]) for row in rows if row] == running:
        for row in rows:
            row.pop(0).decompose()
        body = rows[1:]
    for column in range(max(map(len, body), default=0)):
        if all(NUMBER.fullmatch(_text(row[column])) for row in body if len(row) > column):
            for row in (row for row in rows if len(row) > column):
                row[column]["class"] = "num"
    for head in _inside(table, "thead", "th"):
        head.name = "th" if _text(head) else "td"  # a heading says something


def _join_heads(heads: list[list[Any]]) -> None:
    """Move the names of the index, which pandas puts into a second row, into the gaps of the first."""
    if len(heads) != 2 or len(heads[0]) != len(heads[1]):
        return
    if all(bool(_text(above)) != bool(_text(below)) for above, below in zip(*heads, strict=True)):
        for above, below in zip(*heads, strict=True):
            above.string = _text(above) or _text(below)
        heads[1][0].parent.decompose()


def _inside(table: Any, part: str, tag: str) -> list[Any]:
    """Return the tags in a part of a table; the first `select` of BeautifulSoup builds its parser for 0.1 s."""
    return [found for place in table(part) for found in place(tag)]


def _text(cell: Any) -> str:
    return cell.get_text(strip=True)


@cache
def _renderer() -> Callable[[str], str]:
    import mistune

    plugins = ["strikethrough", "table", "url", "task_lists", "def_list"]
    return mistune.create_markdown(escape=False, plugins=plugins)  # type: ignore[return-value]


def _highlight(source: str) -> Markup:
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.python import PythonLexer

    return Markup(highlight(source, PythonLexer(), HtmlFormatter()))


CELL_FILTERS: dict[str, Callable[..., Any]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "figure": figure,
    "highlight": _highlight,
    "markdown": lambda source: safe_html(_renderer()(source)),
    "no_ansi": lambda text: ANSI.sub("", text),
    "safe_html": safe_html,
    "shown_kind": lambda data: next((kind for kind in MIMES if kind in data), None),
}


def convert_notebooks(work: Path, given: Mapping[str, Any], record: Mapping[str, Any], done: Mapping[str, Any]) -> None:
    """Write the page of every executed notebook of a run, from what is done of it; a run that stopped before has fewer."""
    found = [stage.name for stage in STAGES if (work / f"{stage.name}.ipynb").is_file()]
    (work / FOLDER).mkdir(exist_ok=True)
    for name in found:
        page = _page(name, found, given, record, done.get(f"{name}.ipynb") or notebook_html(work, name))
        (work / FOLDER / f"{name}.html").write_text(page, encoding="utf-8")


def notebook_html(work: Path, name: str) -> dict[str, Any]:
    """Return what the page of a notebook shows of it, and the page's assets."""
    file = f"{name}.ipynb"
    text = (work / file).read_text(encoding="utf-8")
    title, parts = headings(notebook := _read_notebook(text, file))
    shown = [cell for cell in notebook.cells if not HIDDEN & set(cell.metadata.get("tags", ()))]
    cells = render("cells.html.j2", {"cells": shown, "plotly": PLOTLY}, CELL_FILTERS)
    return {"cells": cells, "parts": parts, "title": title or name, "file": file} | links("../../assets/", text)


def _read_notebook(text: str, name: str) -> Any:
    """Return a notebook from its text, unvalidated: papermill wrote it."""
    from nbformat import v4

    try:
        notebook = v4.reads(text)
        _cells = [cell.source for cell in notebook.cells]
        return notebook
    except (ValueError, KeyError, AttributeError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{name}: is not a notebook ({why}); run the chain again") from error


def _page(name: str, found: list[str], given: Mapping[str, Any], record: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return the page of one notebook."""
    at, names = found.index(name), [stage.name for stage in STAGES]
    place = {
        "home": "../../index.html",
        "root": "../",
        "eyebrow": _("Notebook {n} of {all}", n=names.index(name) + 1, all=len(names)),
        "stage": next((stage for stage in record.get("stages", ()) if stage["name"] == name), None),
        "before": found[at - 1] if at else None,
        "after": (*found, None)[at + 1],
    }
    return render("notebook.html.j2", {**given, **own, **place})
