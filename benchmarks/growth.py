"""Does a day's ingest and clean cost more when there is more history? The same three days after 20 and after 240 others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.cases import Inputs, Outcome, Work

SHORT, LONG, MEASURED = 20, 240, 3  # days before, and days that are measured


def grown(inputs: Inputs) -> dict[str, Any]:
    """Prepare two lakes that end on the same day, one with 20 days behind it, one with 240; each day with the care of a run."""
    last = len(inputs.files) - MEASURED
    for name, first in (("long", max(0, last - LONG)), ("short", max(0, last - SHORT))):
        _run(inputs, name, first, last)
    return {"days": last}


def _run(inputs: Inputs, name: str, first: int, last: int) -> None:
    """Ingest and clean some days, day after day, into a lake; the files before them are not there for it."""
    import rfm
    from rfm.pipeline.backfill import to_bronze, to_silver

    landing = inputs.folder / f"landing_{name}"
    landing.mkdir()
    for path in inputs.files[first:]:
        shutil.copy(path, landing)
    settings = rfm.load_settings(landing=str(landing), lake=str(inputs.folder / name))
    lake = rfm.Lake(settings.lake)
    for place in range(first, last):
        to_bronze(settings, lake, inputs.day(place))
        to_silver(settings, lake, inputs.day(place))
        lake.maintain(settings.care.optimize_every, settings.care.retain_days)


def days(inputs: Inputs, scratch: Path, *, start: str) -> Work:
    """Ingest and clean three days on top of a prepared lake.

    Parameters
    ----------
    inputs, scratch
        As for every benchmark.
    start
        ``short`` or ``long``.
    """
    import rfm
    from rfm.pipeline.backfill import to_bronze, to_silver

    shutil.copytree(inputs.folder / start, scratch / "lake")
    settings = rfm.load_settings(landing=str(inputs.folder / f"landing_{start}"), lake=str(scratch / "lake"))
    lake = rfm.Lake(settings.lake)
    lake.state()  # opens the tables
    before = _rows(lake)

    def work() -> int:
        for place in range(-MEASURED, 0):
            to_bronze(settings, lake, inputs.day(place))
            to_silver(settings, lake, inputs.day(place))
        return _rows(lake)

    return work, lambda rows: Outcome({"rows": rows - before}, MEASURED)


def _rows(lake: Any) -> int:
    """Return the rows of silver."""
    return lake.state(["retail_transactions_silver"])["retail_transactions_silver"].rows
