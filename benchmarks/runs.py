"""The whole thing: the daily run stage by stage, the backfill, the sample maker."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.cases import ROOT, Inputs, Outcome, Work


def before(inputs: Inputs) -> dict[str, Any]:
    """Prepare a lake and a site as they are on the evening before the newest day, after as many days as are backfilled."""
    from rfm.pipeline.backfill import backfill

    settings, last = _settings(inputs, inputs.folder, "before"), inputs.day(-2)
    list(backfill(settings, _first(inputs, last - dt.timedelta(days=1)), last - dt.timedelta(days=1)))
    return evening(inputs, "before", inputs.landing)


def evening(inputs: Inputs, lake: str, landing: Path) -> dict[str, Any]:
    """Run `rfm daily` of the day before the newest one, so that the next run is one of many and not the first of a shop."""
    _run_daily(landing, inputs.folder / lake, _site(inputs, lake), {}, "--date", str(inputs.day(-2)))
    return {"report": _site(inputs, lake).is_dir()}


def _site(inputs: Inputs, lake: str) -> Path:
    """Return the folder of the site of a prepared lake."""
    return inputs.folder / f"{lake}-site"


def _first(inputs: Inputs, last: dt.date) -> dt.date:
    """Return the first of the days to backfill up to a last one."""
    return max(inputs.day(0), last - dt.timedelta(days=inputs.days - 1)) if inputs.days else inputs.day(0)


def _run_daily(landing: Path, lake: Path, reports: Path, environment: Mapping[str, str], *more: str) -> None:
    """Run `rfm daily` as a command."""
    places = {"landing": landing, "lake": lake, "reports": reports}
    command = [sys.executable, "-c", "from rfm.cli import main; main()", "daily", *more]
    command += [f"--{name}={folder}" for name, folder in places.items()]
    given = os.environ | {"RFM_NOTEBOOKS": str(ROOT / "notebooks")} | environment
    subprocess.run(command, check=True, capture_output=True, cwd=reports.parent, env=given)


def daily(inputs: Inputs, scratch: Path, *, start: str = "", kernels: str = "", landing: str = "landing") -> Work:
    """Run `rfm daily` from its start to its end, into an empty lake or a copy of a prepared one.

    Parameters
    ----------
    inputs, scratch
        As for every benchmark.
    start
        Name of a prepared lake.
    kernels
        ``fresh`` for ordinary kernels; as the run chooses if not given.
    landing
        Name of a prepared folder with daily files.
    """
    if start:
        shutil.copytree(inputs.folder / start, scratch / "lake")
        shutil.copytree(_site(inputs, start), scratch / "reports")
    places = (inputs.folder / landing).resolve(), scratch / "lake", scratch / "reports"
    run = lambda: _run_daily(*places, {"RFM_KERNELS": kernels} if kernels else {})
    return run, lambda _: _ran(scratch / "reports", 1 if start else len(inputs.files))


def backfill_day(inputs: Inputs, scratch: Path, *, start: str) -> Work:
    """Run `rfm backfill` of the newest day as a command, into a copy of a prepared lake: what `rfm daily` is compared with."""
    import rfm
    from benchmarks.gold import sums

    shutil.copytree(inputs.folder / start, scratch / "lake")
    folders = {"landing": inputs.landing.resolve(), "lake": scratch / "lake"}
    period = ["--from", str(inputs.day()), "--to", str(inputs.day())]
    command = [sys.executable, "-c", "from rfm.cli import main; main()", "backfill", *period]
    command += [f"--{name}={folder}" for name, folder in folders.items()]
    run = lambda: subprocess.run(command, check=True, capture_output=True, cwd=scratch, env=os.environ)
    return run, lambda _: Outcome(sums(rfm.Lake(str(scratch / "lake")).read("customer_rfm_gold").collect()), 1)


def orders(file: Path, lines: int) -> None:
    """Write the export of an invented shop: five lines an order, one further column, as `rfm check` has never seen it."""
    with file.open("w", encoding="utf-8") as export:
        export.write("Order No,Order Date,Customer No,Item Code,Item Name,Qty,Unit Price,Country,Channel\n")
        for line in range(lines):
            order, item = line // 5, line * 7919 % 4000
            day = f"2025-{1 + order * 31 % 12:02}-{1 + order * 17 % 28:02}"
            who, what = f"K{order * 7907 % 60_000:06}", f"SKU-{item:05},Product number {item}"
            price, channel = f"{1 + item * 37 % 4999 / 100:.2f}", "web" if order % 3 else "shop"
            export.write(f"{100_000 + order},{day},{who},{what},{1 + line % 9},{price},Germany,{channel}\n")


def check(_: Inputs, scratch: Path, *, lines: int = 1_000_000) -> Work:
    """Run `rfm check` on a large export of an unknown shop, from its start to its end."""
    orders(scratch / "orders.csv", lines)
    command = [sys.executable, "-c", "from rfm.cli import main; main()", "check", "orders.csv", "--json"]
    run = lambda: subprocess.run(command, check=False, capture_output=True, cwd=scratch, env=os.environ)
    return run, lambda done: Outcome({"counted": json.loads(done.stdout)["counted"]}, lines)


def _settings(inputs: Inputs, folder: Path, lake: str) -> Any:
    """Return settings with everything in one folder."""
    import rfm

    places = {"lake": str(folder / lake), "reports": str(folder / "reports"), "notebooks": str(ROOT / "notebooks")}
    return rfm.load_settings(landing=str(inputs.landing), **places)


def _ran(reports: Path, files: int) -> Outcome:
    """Return what a daily run found, and the split of its stages."""
    record = json.loads(max(reports.glob("*/run.json")).read_text())
    same = {name: record["summary"][name] for name in ("customers", "orders", "revenue")}
    return Outcome(same, files, [split(stage) for stage in record["stages"]])


def split(stage: Mapping[str, Any]) -> dict[str, Any]:
    """Part the seconds of a stage.

    Parameters
    ----------
    stage
        Of the run record: ``name``, ``seconds`` and ``spent``, see `rfm.pipeline.notebooks.timings`.

    Returns
    -------
    dict
        ``stage``, ``seconds`` and its parts: those of ``spent``, and ``rest`` (waiting for the kernel, parameters, text,
        files, papermill itself).
    """
    return {"stage": stage["name"], "seconds": stage["seconds"], **stage["spent"]} | {
        "rest": stage["seconds"] - sum(stage["spent"].values())
    }


def backfill(inputs: Inputs, scratch: Path) -> Work:
    """Backfill the last days into an empty lake; the first of them reads all files before it, too."""
    import rfm
    from benchmarks.gold import sums
    from rfm.pipeline.backfill import backfill, days

    first, last = _first(inputs, inputs.day()), inputs.day()
    settings = _settings(inputs, scratch, "lake")
    gold = lambda _: sums(rfm.Lake(settings.lake).read("customer_rfm_gold").collect())
    return lambda: list(backfill(settings, first, last)), lambda done: Outcome(gold(done), len(days(first, last)))


def sample(inputs: Inputs, scratch: Path, *, lines: int = 60_000, customers: int = 1500) -> Work:
    """Make the sample of a size."""
    from rfm.datasets.sample import make_sample

    made = lambda: make_sample(scratch / "sample", lines=lines, customers=customers)
    return made, lambda report: Outcome(
        {"lines": report.lines, "customers": report.customers, "bytes": report.bytes}, report.lines
    )
