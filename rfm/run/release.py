"""`rfm release`: quarantined rows out to a file that people can edit, and back into silver when they pass the rules."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rfm
from rfm.core import quality
from rfm.errors import first_line
from rfm.io.lake import release as releases
from rfm.io.landing.customers import mask_of
from rfm.io.landing.encoding import utf8
from rfm.run import backfill
from rfm.run.exports import as_it_was, harmless
from rfm.run.lakes import open_log
from rfm.schema import LANDING_COLUMNS, InputError, SettingsError
from rfm.settings import Settings

RAW = tuple(LANDING_COLUMNS.values())
RELEASE = "`rfm release`"
NUMBER = re.compile("[+-]?[0-9]+(?:[.,][0-9]+)?")
Raw = dict[str, str | None]
SHOWN = ("row_id", "failed_expectations", *RAW, "_rescued_data", "source_file", "processing_date")


def act(settings: Settings, file: str | None, export_to: str | None) -> str:
    """Export or release; return what is to be said.

    Parameters
    ----------
    settings
        Where the lake is.
    file
        Rows that were put right.
    export_to
        File for the rows of the quarantine.

    Raises
    ------
    SettingsError
        If not exactly one of the two files is given.
    """
    if bool(file) == bool(export_to):
        raise SettingsError("give either a file to release, or --export and a file to write")
    return export(settings, str(export_to)) if export_to else release(settings, str(file))


def export(settings: Settings, path: str) -> str:
    """Write the rows of the quarantine to a CSV file, those of the run date alone if one is set; return what to say.

    Parameters
    ----------
    settings
        Where the lake is.
    path
        File to write; UTF-8 with a byte order mark, as spreadsheets want it.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    rows = releases.quarantined(open_log(settings, RELEASE)).to_dicts()
    wanted = [row for row in rows if settings.date in (None, row["processing_date"])]
    try:
        with Path(path).open("w", encoding="utf-8-sig", newline="", errors="replace") as target:
            writer = csv.DictWriter(target, SHOWN)
            writer.writeheader()
            writer.writerows({name: _cell(row[name]) for name in SHOWN} for row in wanted)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({first_line(error)}); name another file") from None
    return f"{len(wanted):,} quarantined row(s) in {path}; put them right there, then: rfm release {path}"


def release(settings: Settings, path: str) -> str:
    """Clean rows that were put right by the same rules, and move those that pass into silver; return what to say.

    Parameters
    ----------
    settings
        Where the lake is; the run date stands in the record, the newest processing date if none is set.
    path
        CSV file as `export` writes it; rows may be left out. ``row_id`` says which row is meant.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or names a row twice.
    """
    given, lake = _read(path), open_log(settings, RELEASE)
    late = releases.finish(lake, _cleaner(settings))
    rows = releases.quarantined(lake)
    found = {row["row_id"]: row for row in rows.to_dicts() if row["row_id"] in given}
    wanted = _masked(settings, {one: given[one] for one in found}, found)
    passing, broken = _judged(settings, wanted, found)
    day = settings.date or max((row["processing_date"] for row in found.values()), default=dt.date.min)
    releases.record(lake, rows.filter(rows["row_id"].is_in(list(passing))), passing, day)
    done = releases.finish(lake, _cleaner(settings))
    if moved := sorted({*late.days, *done.days}):
        backfill.count(settings, lake, moved)
    return _said(late.rows + done.rows, len(given) - len(found), len(found) - len(passing), broken)


def _read(path: str) -> dict[str, Raw]:
    """Return the raw values of each row of a file, by its id."""
    try:
        text = utf8(Path(path).read_bytes(), path).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({type(error).__name__}); name a file that `rfm release --export` wrote"
        ) from None
    head = text.partition("\n")[0]
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count)))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); export the rows again") from None
    if missing := [name for name in ("row_id", *RAW) if rows and name not in rows[0]]:
        raise InputError(f"{path}: lacks {len(missing)} column(s): {', '.join(missing)}; export the rows again")
    if twice := [one for one, count in Counter(row["row_id"] for row in rows).items() if count > 1]:
        raise InputError(f"{path}: {len(twice)} row(s) stand twice, first {twice[0]}; keep one of each")
    return {row["row_id"]: {name: as_it_was(row[name]) or None for name in RAW} for row in rows if row["row_id"]}


def _cell(value: Any) -> Any:
    """Return a value as it stands in the file: no spreadsheet runs a text, and a number stays one, to be put right."""
    return harmless(value) if isinstance(value, str) and not NUMBER.fullmatch(value) else value


def _cleaner(settings: Settings) -> Callable[[Any], Any]:
    """Return the function that parts rows of bronze, by the shop's severities."""
    severities = quality.severities(rfm.SEVERITIES, settings.expectations)
    return lambda rows: rfm.clean(rows, severities=severities, dialect=settings.dialect)


def _masked(settings: Settings, given: dict[str, Raw], found: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return rows in which a customer that was put in by hand is a hash, if the shop wants that; those of the quarantine are."""
    if not (mask := mask_of(settings.columns)):
        return given
    same = {one: row["CustomerID"] == found[one]["CustomerID"] for one, row in given.items()}
    return {one: row if same[one] else row | {"CustomerID": mask.one(row["CustomerID"])} for one, row in given.items()}


def _judged(settings: Settings, given: Mapping[str, Raw], found: Mapping[str, Raw]) -> tuple[dict[str, Raw], Counter[str]]:
    """Return the rows that pass the rules, and how often the others break which."""
    import pandas as pd

    if not given:
        return {}, Counter()
    rows = [{**values, "_rescued_data": found[one]["_rescued_data"], "source_file": one} for one, values in given.items()]
    _, refused = _cleaner(settings)(pd.DataFrame(rows))
    broken = Counter(name for names in refused["failed_expectations"] for name in names.split(","))
    left = set(refused["source_file"])
    return {one: values for one, values in given.items() if one not in left}, broken


def _said(released: int, unknown: int, refused: int, broken: Mapping[str, int]) -> str:
    """Say in one line what became of the rows."""
    parts = (
        f"{released:,} row(s) released into silver",
        f"{refused:,} still refused ({', '.join(f'{name} {count}' for name, count in broken.items())})" if refused else "",
        f"{unknown:,} no longer in the quarantine" if unknown else "",
    )
    return "; ".join(filter(None, parts)) + ". Gold follows with the next `rfm daily`"
