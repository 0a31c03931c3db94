"""A past day again, from the versions of the tables that its published record names; tells whether the results are the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

import rfm
from rfm.errors import first_line
from rfm.io.lake import scratch
from rfm.run import backfill
from rfm.run.lakes import open_log
from rfm.run.record import GROUPS, digests
from rfm.run.stages import HISTORY, RESULTS, STAGES
from rfm.run.storage import published_record
from rfm.schema import InputError
from rfm.settings import Settings

SILVER, LEDGER, GOLD = "retail_transactions_silver", "landing_files", "customer_rfm_gold"
FROM_GOLD = ("3_gold", "4_clusters", "5_segments")


class Replay(NamedTuple):
    """What a second run of a published day gave.

    Parameters
    ----------
    run_date
        The day.
    silver
        Version of silver that it was made from.
    differing
        Result tables whose rows are not those of the record; empty if all are.
    made_by, now
        Versions of the code, then and now.
    """

    run_date: dt.date
    silver: int
    differing: list[str]
    made_by: str
    now: str

    def __str__(self) -> str:
        """Say it in one line."""
        told = f"{self.run_date} as published, from silver version {self.silver}: "
        if not self.differing:
            return f"{told}all {len(RESULTS) + 1} result tables are identical"
        changed = "" if self.made_by == self.now else f"; made by rfm {self.made_by}, this is {self.now}"
        return f"{told}{len(self.differing)} result table(s) differ: {', '.join(self.differing)}{changed}"


def replay(settings: Settings, day: dt.date) -> Replay:
    """Run gold to segments of a published day again, and compare; neither the lake nor the reports are written to.

    Parameters
    ----------
    settings
        Where the lake and the reports are. The settings that the results depend on are those of the record, where it has them.
    day
        Run date of a published report.

    Raises
    ------
    InputError
        If no report of the day is published, its record lacks what is needed, or the versions it names are gone.
    """
    record = published_record(settings.reports, day)
    settings = settings.model_copy(update=_as_then(settings, record))
    lake = open_log(settings, "a past day again")
    versions = _versions(settings.reports, record)
    with scratch("rfm-replay-") as folder:
        again = rfm.Lake(folder)
        _repeat(settings, lake, again, day, versions, record["parameters"].get("refit", False))
        found = digests(again, day)
    differing = [name for name, digest in found.items() if digest != record["tables"][name]["sha256"]]
    return Replay(day, versions[SILVER], differing, record["code"]["rfm"], rfm.__version__)


def _as_then(settings: Settings, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the groups of settings that the record keeps, typed."""
    kept = record.get("settings", {})
    try:
        groups = {name: type(getattr(settings, name)).model_validate(kept[name]) for name in GROUPS if name in kept}
    except ValueError as error:
        raise InputError(f"{settings.reports}: the record's settings cannot be ({error}); publish the day again") from None
    return {**groups, "recommendations": kept.get("recommendations", settings.recommendations)}


def _versions(reports: str, record: Mapping[str, Any]) -> dict[str, int]:
    """Return the version of each table that the stages from gold on read, and of those that keep earlier days."""
    try:
        stages = {stage["name"]: stage for stage in record["stages"]}
        reads = {name: state for stage in reversed(FROM_GOLD) for name, state in stages[stage]["reads"].items()}
        made = {name for stage in STAGES if stage.name in FROM_GOLD for name in stage.writes}
        kept = {name: record["tables"][name] for name in ("cluster_models", HISTORY)}
        outside = {name: state for name, state in reads.items() if name not in made}
        return {name: int(state["version"]) for name, state in (kept | outside).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{reports}: the record of {record.get('run_date')} lacks {error}; only whole runs can be repeated"
        ) from None


def _repeat(settings: Settings, lake: rfm.Lake, again: rfm.Lake, day: dt.date, versions: Mapping[str, int], refit: bool) -> None:
    """Make the result tables of a day in another lake, from the versions of this one."""
    try:
        for name in versions.keys() - {SILVER, LEDGER}:
            again.replace(name, lake.read(name, version=versions[name]))
        silver = lake.read(SILVER, until=day, version=versions[SILVER], ledger=versions.get(LEDGER))
        rules = settings.rules
        again.replace(GOLD, rfm.rfm_metrics(silver, day, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue))
        if settings.exclusions.on:
            again.replace(SILVER, silver)
    except (InputError, OSError) as error:
        raise InputError(
            f"{settings.lake}: the versions that {day} was made from are gone ({first_line(error)}); "
            "they are kept for [care] retain_days, so raise that for longer journeys"
        ) from None
    backfill.to_clusters(settings, again, day, refit)
    backfill.to_segments(settings, again, day)
