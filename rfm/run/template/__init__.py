"""The template of the site: nbconvert's for the cells, Jinja's for the pages round them, style and script.

A new kind of page is one more child of ``frame.html.j2``; pieces that pages share are in ``parts.html.j2``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from rfm.run.template.filters import PAGE_FILTERS

TEMPLATE = Path(__file__).parent
OWN = ("page.css", "draw.js", "filter.js", "customers.js")  # assets of our own


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return a page, with everything escaped but the cells.

    Parameters
    ----------
    template
        Name of a child of ``frame.html.j2``.
    values
        What the page shows.

    Returns
    -------
    str
        The HTML.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Any:
    """Return Jinja with our filters; it keeps what it has compiled, so pages share the frame."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(loader=FileSystemLoader(TEMPLATE), autoescape=True, trim_blocks=True)
    environment.filters.update(PAGE_FILTERS)
    return environment


def links(folder: str, content: str) -> dict[str, Any]:
    """Return the addresses of the assets, and the nonce of a page.

    Parameters
    ----------
    folder
        Where the assets lie, seen from the page; ends with a slash.
    content
        Everything that is shown. The nonce is its hash: the same page again, and no content can name its own.

    Returns
    -------
    dict
        ``assets``, name → address, and ``nonce``.
    """
    nonce = hashlib.sha256(content.encode()).hexdigest()[:32]
    return {"assets": {name: folder + hashed for name, (hashed, _) in assets().items()}, "nonce": nonce}


@cache
def assets() -> dict[str, tuple[str, bytes]]:
    """Return the files all pages share.

    Returns
    -------
    dict
        Name → (name with a hash of the content, so that a browser may keep it for ever; content).
    """
    plotly = files("plotly") / "package_data" / "plotly.min.js"
    paths = (*(TEMPLATE / name for name in OWN), plotly)
    return {path.name: (_hashed(path.name, content := path.read_bytes()), content) for path in paths}


def _hashed(name: str, content: bytes) -> str:
    stem, dot, kind = name.partition(".")
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:10]}{dot}{kind}"
