"""Run: which table was made from which, how long it took, with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from rfm.run.pages.tables import RunTables
from rfm.schema import TABLES

LANDING = "landing files"
STEP, TOP, SPINE = 26, 20, 150  # of the drawing: between two rows, above the first, from the left to the marks


def build(tables: RunTables) -> dict[str, Any]:
    """Return what the page shows.

    Parameters
    ----------
    tables
        Of the run.

    Returns
    -------
    dict
        ``stages`` with seconds and rows; ``graph``, the drawing of the tables; ``versions``, ``parameters`` and
        ``choices``, names and values.
    """
    record = tables.record
    return {
        "stages": [stage(noted) for noted in record.get("stages", ())],
        "graph": graph(record.get("stages", ())),
        "written": written(record.get("stages", ())),
        "versions": named(record.get("versions", {})),
        "parameters": named(nearby(record.get("parameters", {}))),
        "choices": named(record.get("settings", {})),
        "run_id": record.get("run_id", ""),
    }


def stage(noted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stage as a row: what it did, how long, how many rows; its notebook."""
    rows = {name: noted.get(name) for name in ("rows_read", "rows_written")}
    told = {name: noted.get(name) for name in ("name", "title", "status", "seconds")}
    return told | rows | {"notebook": f"notebooks/{noted['name']}.html"}


def written(stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each table that stages wrote: what one row is, version and rows in the end."""
    found = {name: state for stage in stages for name, state in stage.get("writes", {}).items()}
    return [{"name": name, "grain": TABLES[name].grain if name in TABLES else "", **state} for name, state in found.items()]


def graph(stages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the tables under the stages that wrote them first, and a curve from each table to every later stage that read it.

    Parameters
    ----------
    stages
        Of the run record: ``name``, ``reads`` and ``writes``.

    Returns
    -------
    dict
        ``rows`` (``label``, ``kind``, ``y``, ``count`` of rows), ``curves`` (paths, ``from`` and ``to``), ``height``, ``spine``.
    """
    rows: list[dict[str, Any]] = [{"label": LANDING, "kind": "table", "count": None}]
    for noted in stages:
        there = {row["label"] for row in rows}
        rows.append({"label": noted["name"], "kind": "stage", "count": None})
        new = [(name, state) for name, state in noted.get("writes", {}).items() if name not in there]
        rows += [{"label": name, "kind": "table", "count": state["rows"]} for name, state in new]
    at = {row["label"]: TOP + STEP * place for place, row in enumerate(rows)}
    ways = [(name, noted["name"]) for noted in stages for name in (noted.get("reads") or [LANDING]) if name in at]
    curves = [{"from": name, "to": reader, "d": curve(at[name], at[reader])} for name, reader in ways if at[name] < at[reader]]
    placed = [row | {"y": at[row["label"]]} for row in rows]
    return {"rows": placed, "curves": curves, "height": TOP + STEP * len(rows), "spine": SPINE}


def curve(start: int, end: int) -> str:
    """Return the path of a bow to the left of the spine, wider for a longer way.

    Parameters
    ----------
    start, end
        Heights of its ends.
    """
    reach = SPINE - 10 - min(SPINE - 16, 14 + 0.3 * (end - start))
    return f"M{SPINE - 10},{start}C{reach:.0f},{start} {reach:.0f},{end} {SPINE - 12},{end}"


def nearby(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with local paths as they look from the folder that holds them all, as ``data/lake``; else by name alone.

    Where a shop keeps its files is nobody's business who reads the page.

    Parameters
    ----------
    values
        Paths, URLs and other values by name.
    """
    paths = {name: PurePath(value) for name, value in values.items() if isinstance(value, str) and PurePath(value).is_absolute()}
    above = [{folder for folder in path.parents if len(folder.parts) > 1} for path in paths.values()]
    shared = max(set.intersection(*above), key=lambda folder: len(folder.parts), default=None) if len(above) > 1 else None
    return {**values} | {name: str(path.relative_to(shared)) if shared else path.name for name, path in paths.items()}


def named(values: Mapping[str, Any]) -> list[list[str]]:
    """Return names and values as text; those of a group under ``group.name``.

    Parameters
    ----------
    values
        Plain values, or groups of them.
    """
    flat: list[list[str]] = []
    for name, value in values.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        flat += [[f"{name}.{one}", str(other)] for one, other in inner] if inner else [[name, str(value)]]
    return [pair for pair in flat if pair[1] not in ("", "{}")]
