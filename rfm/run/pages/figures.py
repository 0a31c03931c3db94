"""Figures on a page: what the template needs to draw one, to name it, and to say the same in a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rfm.run.template.cells import figure

MOST_ROWS = 60  # of the table under a figure


def drawn(picture: Any, alt: str = "", table: Any = None, columns: Mapping[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return a figure as the template wants it.

    Parameters
    ----------
    picture
        A figure of `rfm.core.figures`.
    alt
        What is to be seen, in a sentence, for those who do not see it; the title if not given.
    table, columns
        Frame with the same numbers, to be shown under the figure, and its columns, as for `rows_of`.

    Returns
    -------
    dict
        ``title``, ``subtitle``, ``alt``, ``json``, ``height`` in pixels, ``table``.
    """
    given = {"height": picture.layout.height or 420, **figure(json.loads(picture.to_json()))}
    return given | {"alt": alt or given["alt"], "table": None if table is None else rows_of(table, columns)}


def rows_of(frame: Any, columns: Mapping[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    """Return a frame as plain rows with a heading and a form for each column.

    Parameters
    ----------
    frame
        A pandas frame; of a long one, the first rows.
    columns
        Columns to show, each with its heading and its form: text, count, number, money, exact, share, precise, growth,
        day or month.
        All as they are if not given.

    Returns
    -------
    dict
        ``head``, pairs of heading and form; ``rows``; ``more``, the number of rows left out.
    """
    columns = columns or {name: (str(name), "text") for name in frame.columns}
    shown = frame[list(columns)].head(MOST_ROWS).astype(object)
    rows = shown.where(shown.notna(), None).to_numpy().tolist()
    return {
        "head": list(columns.values()),
        "rows": [[_plain(value) for value in row] for row in rows],
        "more": len(frame) - len(shown),
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: numbers and truth as they are, all else as text."""
    return value if value is None or isinstance(value, bool | int | float) else str(value)
