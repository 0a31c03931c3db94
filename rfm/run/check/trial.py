"""A run of some files as far as gold, in a folder that is gone afterwards: what a run would make of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

import rfm
from rfm.core.quality.money import money_flow
from rfm.core.quality.reasons import Reason, reasons
from rfm.io.lake import scratch
from rfm.run import backfill
from rfm.run.check.places import Place
from rfm.run.check.sample import Tell
from rfm.run.run_date import newest
from rfm.schema import InputError
from rfm.settings import Settings

BRONZE, SILVER, QUARANTINE = "retail_transactions_bronze", "retail_transactions_silver", "retail_transactions_quarantine"


@dataclass
class Trial:
    """What a run made of files.

    Parameters
    ----------
    as_of
        Day of the newest sale that is not in the future; none if no line is a sale.
    lines, kept
        Lines that arrived, and that silver took.
    reasons
        Why the others did not.
    refused
        A line for each file that was not read.
    stopped
        Why the run would stop before gold; empty if it would not.
    volume
        ``daily_volume``: lines, invoices, customers and revenue by day and file.
    metrics
        ``quality_metrics``.
    ledger
        ``landing_files``.
    money
        `money_flow` of all lines.
    gold
        A row a customer.
    """

    as_of: dt.date | None = None
    lines: int = 0
    kept: int = 0
    reasons: list[Reason] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stopped: str = ""
    volume: pd.DataFrame = field(default_factory=pd.DataFrame)
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)
    ledger: pd.DataFrame = field(default_factory=pd.DataFrame)
    money: pd.DataFrame = field(default_factory=pd.DataFrame)
    gold: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def days(self) -> list[dt.date]:
        """Days with sales up to the last one that counts, in order."""
        return sorted(day for day in set(self.volume["InvoiceDate"]) if self.as_of and day <= self.as_of)

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """Steps of the money flow that leave lines out."""
        return self.money[(self.money["Kind"] == "step") & (self.money["Lines"] != 0)].to_dict("records")


def run(settings: Settings, place: Place, today: dt.date, tell: Tell) -> Trial:
    """Run files as far as gold.

    Parameters
    ----------
    settings
        Those to be tried; the lake is another.
    place
        The files.
    today
        Later sales are left out of gold.
    tell
        As for `rfm.run.check.check`.
    """
    with scratch("rfm-check-") as folder:
        lake = rfm.Lake(folder)
        trial = Trial(refused=_ingest(settings, lake, place, today, tell))
        tell("cleaning lines", 0, None)
        try:
            backfill.to_silver(settings, lake, today)
        except InputError as error:
            trial.stopped = str(error)
        tell("adding up sales", 0, None)
        _measure(settings, lake, trial, today)
        return trial


def _ingest(settings: Settings, lake: rfm.Lake, place: Place, today: dt.date, tell: Tell) -> list[str]:
    """Take files in as notebook 1 does; return why some were refused."""
    codec, separator = settings.files.encoding, settings.files.separator
    reading = rfm.read_files(place.landing, place.names, today, encoding=codec, separator=separator, columns=settings.columns)
    reading.told = lambda done: tell("reading files", done, len(place.names))
    reading.told(0)
    rfm.intake.ingest(lake, reading)
    return reading.refused


def _measure(settings: Settings, lake: rfm.Lake, trial: Trial, today: dt.date) -> None:
    """Fill in what came of it."""
    trial.ledger = lake.frame("landing_files", layer="bronze")
    trial.volume, trial.metrics = lake.frame("daily_volume"), lake.frame("quality_metrics")
    sizes = {name: state.rows for name, state in lake.state((BRONZE, SILVER)).items()}
    trial.lines, trial.kept = sizes.get(BRONZE, 0), sizes.get(SILVER, 0)
    trial.reasons = reasons(lake.read(QUARANTINE))
    past = [day for day in trial.volume["InvoiceDate"].dropna() if day <= today]
    trial.as_of = newest(past, today) or max(past, default=None)
    if trial.as_of:
        silver = lake.read(SILVER)
        rules: dict[str, Any] = {"stock_code_pattern": settings.rules.stock_code_pattern, "revenue": settings.rules.revenue}
        refused = rfm.judge(lake.read(QUARANTINE), dialect=settings.dialect)
        trial.money = money_flow(refused, silver, trial.as_of, **rules)
        gold = rfm.rfm_metrics(silver, trial.as_of, **rules)
        trial.gold = gold.collect().to_pandas(use_pyarrow_extension_array=True)
