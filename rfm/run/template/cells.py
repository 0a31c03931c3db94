"""The cells of a notebook on a page: headings, tables, figures, and nothing that data can run.

nbconvert escapes nothing by itself, so everything that can hold data passes `safe_html` or ``| e`` in
``index.html.j2``.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from rfm.schema import InputError

PLOTLY = "application/vnd.plotly.v1+json"
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
DRAWN = re.compile(r"<(?!/?(?:b|i|br|extra)>)")  # what plotly would take for markup that no figure of ours has, as a link
HEADING = re.compile(r"\A\s*(#{1,2}) +(.+?)\s*(?:\n|\Z)")


def read_notebook(text: str, name: str) -> Any:
    """Return a notebook from its text.

    Parameters
    ----------
    text
        Content of the file.
    name
        Name of the file, for the error.

    Returns
    -------
    nbformat.NotebookNode
        The notebook, in format 4.

    Raises
    ------
    InputError
        The text is not a notebook.
    """
    import nbformat

    try:
        return nbformat.reads(text, as_version=4)
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{name}: is not a notebook ({why}); run the chain again") from error


def headings(notebook: Any) -> tuple[str, list[dict[str, str]]]:
    """Take the title and the section headings out of the Markdown, and mark the cells with them.

    Parameters
    ----------
    notebook
        An executed notebook; its cells are changed.

    Returns
    -------
    tuple
        The title without its number, and ``id`` and ``title`` of each section.
    """
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
    """Keep harmless tags, show all others as text, and fit tables and headings into the page.

    Parameters
    ----------
    dirty
        HTML of an output or of Markdown, with whatever the data brought along.

    Returns
    -------
    str
        HTML without scripts, styles, classes, ids and outside addresses.
    """
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


def figure(drawn: Mapping[str, Any], under: str = "") -> dict[str, str]:
    """Return a plotly figure as caption and JSON; the caption is page text, so it wraps and is read aloud.

    Parameters
    ----------
    drawn
        The figure as plotly writes it into a notebook; ``layout.meta.alt`` may describe it in words.
    under
        Heading it stands under, which names it if it has no title.

    Returns
    -------
    dict
        ``title``, ``subtitle``, ``alt`` and ``json``, the last safe inside a script element.
    """
    layout = dict(drawn.get("layout", {}))
    head, more = _titles(layout.pop("title", None))
    meta = layout.get("meta")
    said = meta.get("alt") if isinstance(meta, Mapping) else None
    content = DRAWN.sub("&lt;", json.dumps({"data": drawn.get("data", []), "layout": layout}, separators=(",", ":")))
    for char in "<>&":
        content = content.replace(char, f"\\u{ord(char):04x}")
    alt = said or f"{head or under} {more}".strip() or "Figure"
    return {"title": head or under, "subtitle": more, "alt": alt, "json": content}


def _titles(title: Any) -> tuple[str, str]:
    """Return title and subtitle as plain text: plotly keeps them as markup, parted by ``<br>`` or by name."""
    title = title if isinstance(title, Mapping) else {"text": title}
    below = (title.get("subtitle") or {}).get("text") or ""
    lines = [*re.split(r"<br\s*/?>", title.get("text") or ""), below]
    head, *rest = [html.unescape(re.sub(r"<[^>]*>", "", line)).strip() for line in lines]
    return head, " ".join(filter(None, rest))


CELL_FILTERS: dict[str, Callable[..., Any]] = {"safe_html": safe_html, "figure": figure}
