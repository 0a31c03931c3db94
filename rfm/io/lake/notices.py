"""What a run tells of its landing files: the days that it changed, the files that it refused or left as they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from rfm.errors import printable
from rfm.io.lake import ledger
from rfm.io.lake.tables import Lake
from rfm.schema import TABLES, InputError

STAGE = "1_bronze"


def days(lake: Lake, run_date: dt.date) -> list[dt.date]:
    """Return the processing dates whose rows a run changed: its own, and those of the files that it restated.

    Parameters
    ----------
    lake
        The tables.
    run_date
        Of the run.
    """
    return sorted({run_date, *_through(lake)["processing_date"].to_list()})


def finish(lake: Lake) -> None:
    """Forget the restatements that went all the way: call it when their days have been counted anew.

    Parameters
    ----------
    lake
        The tables.
    """
    ledger.forget_changed(lake, _through(lake)["source_file"].to_list())


def warn(lake: Lake, run_date: dt.date, refused: Sequence[str]) -> list[str]:
    """Write the warnings of the first stage: refused files, changed ones, and those that came twice; return them.

    Parameters
    ----------
    lake
        The tables.
    run_date
        Of the run.
    refused
        One line a file that could not be read.
    """
    changed = [
        f"{name}: its content changed after it was read ({size:,} bytes now); the tables keep the old one, "
        "run again with --restate to replace it"
        for name, size in ledger.waiting(lake).sort("source_file").select("source_file", "bytes").iter_rows()
    ]
    said = [("refused_file", "error", line) for line in dict.fromkeys(refused)]
    said += [("changed_file", "warning", line) for line in changed]
    said += [("repeated_file", "warning", line) for line in _twice(lake, run_date)]
    said = [(kind, severity, printable(line)) for kind, severity, line in said]
    rows = pl.DataFrame([(run_date, STAGE, *one) for one in said], schema=TABLES["run_warnings"].polars, orient="row")
    lake.replace("run_warnings", rows, run_date=run_date, stage=STAGE)
    return [line for _, _, line in said]


def _twice(lake: Lake, run_date: dt.date) -> list[str]:
    """Say which files that a run brought have the content of another file, both of which count."""
    files = ledger.entries(lake, "bronze").filter(pl.col("rows") > 0, pl.col("processing_date") <= run_date)
    came = files.sort("processing_date", "file_date", "source_file")
    later = came.with_columns(first=pl.col("source_file").first().over("sha256")).filter(
        pl.col("source_file") != pl.col("first"), pl.col("processing_date") == run_date
    )
    return [
        f"{name}: has the same content as {first}, so its {rows:,} line(s) count twice; "
        "if one of them is too many, leave only its header in it and run again with --restate"
        for name, first, rows in later.select("source_file", "first", "rows").iter_rows()
    ]


def stop_if_refused(lake: Lake, run_date: dt.date, on_refused: str) -> None:
    """Stop a run before gold if a landing file was refused and the settings want that.

    Parameters
    ----------
    lake
        The tables.
    run_date
        Of the run.
    on_refused
        ``before`` stops; ``after`` does only where silver holds nothing to go on with.

    Raises
    ------
    InputError
        Naming every file and the reason.
    """
    lines = lake.read("run_warnings", run_date=run_date, stage=STAGE, severity="error").collect()["message"].to_list()
    nothing_else = not any(state.rows for state in lake.state([ledger.SILVER]).values())
    if lines and (on_refused == "before" or nothing_else):
        raise InputError(f"stopped before gold: {len(lines)} file(s) refused, the others are in silver: {'; '.join(lines)}")


def _through(lake: Lake) -> pl.DataFrame:
    """Return the ledger's rows of changed files whose new content is in every layer."""
    changed = ledger.entries(lake, ledger.CHANGED)
    if changed.is_empty():
        return changed
    files = changed["source_file"].to_list()
    bronze, *others = (ledger.versions(lake, layer, files) for layer in ledger.LAYERS)
    even = [name for name in files if all(other.get(name) == bronze.get(name) for other in others)]
    return changed.join(ledger.waiting(lake), on="source_file", how="anti").filter(pl.col("source_file").is_in(even))
