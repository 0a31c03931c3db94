"""The calls that do the work of each stage. Notebooks, backfill, replay, backtest and the dry run of `rfm check` share them.

Examples
--------
>>> import datetime, tempfile
>>> import rfm
>>> from rfm.datasets.sample import make_sample
>>> settings = rfm.load_settings(landing=tempfile.mkdtemp(), lake=tempfile.mkdtemp())
>>> _ = make_sample(settings.landing, days=2, lines=100, customers=20)
>>> lake, run_date = rfm.open_lake(settings), datetime.date(2025, 10, 23)
>>> rfm.stages.ingest_files(lake, settings, run_date).lines
101
>>> rfm.stages.clean_files(lake, settings)
{'bronze': 101, 'silver': 98, 'quarantine': 3}
>>> silver = lake.read("retail_transactions_silver", until=run_date)
>>> rfm.stages.customer_metrics(silver, settings, run_date).collect().columns
['CustomerID', 'MaxInvoiceDate', 'Recency', 'Frequency', 'Monetary']
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from rfm import contracts as tables
from rfm.analysis import forecast as forecasts
from rfm.analysis import migration, movement, states
from rfm.analysis.cleaning import clean, judge, severities_of
from rfm.analysis.clustering import Clustering, Model, cluster
from rfm.analysis.forecast.evaluate import forecast_reliability
from rfm.analysis.metrics import collected_purchases, rfm_metrics
from rfm.analysis.outliers import outlier_clusters
from rfm.analysis.quality import anomalies, baseline, gate
from rfm.analysis.quality.tables import measure
from rfm.analysis.segments import alternatives, explain, profiles
from rfm.config import VERSION
from rfm.contracts import BRONZE, CLUSTER_MODELS, CLUSTERED, HISTORY, LEDGER, OF_THE_DAY, QUARANTINE, RUN_WARNINGS, SILVER
from rfm.errors import InputError
from rfm.lake import Lake, ingest
from rfm.landing.files import list_files
from rfm.landing.reader import read_files
from rfm.pipeline import campaigns
from rfm.pipeline.chain import CLEAN, SEGMENT
from rfm.settings import Settings


# ── bronze ────────────────────────────────────────────────────────────
class Ingested(NamedTuple):
    """The new files, the lines they brought into bronze, why others were refused, sheets not read, and files left for now."""

    files: list[Any]
    lines: int
    refused: list[str]
    left_out: list[str]
    skipped: list[tuple[str, str]] = []  # severity and sentence


def ingest_files(
    lake: Lake,
    settings: Settings,
    run_date: dt.date | Sequence[dt.date],
    restate: bool = False,
    files: Sequence[Any] | None = None,
    progress: Callable[[int], None] | None = None,
    further: bool = True,
) -> Ingested:
    """Read the files that bronze does not have yet, of those dated up to the last run date, and write their lines once.

    ``further=False`` leaves out columns without a meaning, which only a lake that is kept needs.
    """
    until = run_date if isinstance(run_date, dt.date) else run_date[-1]
    seen = list_files(settings.landing, settings.files.pattern, until=until) if files is None else files
    new = ingest.new_files(lake, seen, restate=restate)
    reading = read_landing(settings, new, run_date, further)
    if progress:
        reading.progress = progress
    lines = ingest.write_bronze(lake, reading, restate=restate, refused=reading.refused)
    skipped = [*getattr(seen, "said", []), *(("warning", line) for line in reading.doubts)]
    return Ingested(new, lines, reading.refused, reading.left_out, skipped)


def read_landing(settings: Settings, files: Sequence[Any], run_date: dt.date | Sequence[dt.date], further: bool = True) -> Any:
    """Return landing files as `read_files` reads them, by the settings of the shop."""
    given = settings.files
    return read_files(
        settings.landing,
        files,
        run_date,
        encoding=given.encoding,
        separator=given.separator,
        columns=settings.columns,
        further=further,
        fill_down=given.fill_down,
        count_orders=settings.dialect.order,
        settle=0 if any(isinstance(file, str) for file in files) else given.settle_seconds,  # `rfm check` reads what is there
    )


# ── silver ────────────────────────────────────────────────────────────
def clean_files(lake: Lake, settings: Settings, files: Sequence[str] | None = None) -> dict[str, int]:
    """Clean the files that silver does not have yet; return their rows by layer."""
    new = ingest.files_to_clean(lake) if files is None else files
    valid, quarantined = clean_rows(lake, settings, new)
    return ingest.write_silver(lake, valid, quarantined, new)


def clean_rows(lake: Lake, settings: Settings, files: Sequence[str]) -> tuple[Any, Any]:
    """Return the rows of some files of bronze as those of silver and of the quarantine."""
    return cleaner(settings)(lake.read(BRONZE, source_file=files))


def cleaner(settings: Settings) -> Callable[[Any], tuple[Any, Any]]:
    """Return the function that parts rows of bronze, in a frame of any kind, by the rules of the shop."""
    chosen = severities_of(settings.dialect, settings.expectations)
    return partial(clean, severities=chosen, dialect=settings.dialect)


def count_quality(lake: Lake, settings: Settings, *run_dates: dt.date) -> dict[str, int]:
    """Measure the quality of the rows of one or more runs, and of earlier runs whose files were restated or not counted yet."""
    due = {*run_dates, *ingest.processing_dates(lake, run_dates[0]), *_miscounted(lake)}
    counted = recount_quality(lake, settings, sorted(due))
    ingest.clear_restatements(lake)
    return counted


def _miscounted(lake: Lake) -> list[dt.date]:
    """Return the processing dates of which silver holds other lines than were counted, as when a run died in between."""
    counted = lake.frame(tables.DAILY_VOLUME).groupby("processing_date")["lines"].sum()
    held = lake.frame(LEDGER, layer="silver").groupby("processing_date")["rows"].sum()
    odd = held.sub(counted, fill_value=0)
    return list(odd[odd != 0].index)


def recount_quality(lake: Lake, settings: Settings, processing_dates: list[dt.date]) -> dict[str, int]:
    """Write the quality tables of some processing dates; return their rows by table."""
    chosen = severities_of(settings.dialect, settings.expectations)
    arrived = judge(lake.read(BRONZE, processing_date=processing_dates), dialect=settings.dialect)
    kept = lake.read(SILVER, processing_date=processing_dates)
    return lake.replace_each(measure(arrived, kept, chosen), processing_date=processing_dates)


def warn_of_quality(lake: Lake, settings: Settings, run_date: dt.date) -> pd.DataFrame:
    """Write and return the warnings about lines, days and money far from the shop's own past, or from its settings' files."""
    files, volume = lake.frame(LEDGER, layer="bronze", until=run_date), lake.frame(tables.DAILY_VOLUME, until=run_date)
    found = [anomalies.warnings(run_date, files, volume, lake.frame(tables.QUALITY_METRICS), settings.quality)]
    if settings.baseline.made or settings.columns.extras:
        found.append(_departures(lake, settings, run_date))
    odd = pd.concat([*found, _overlaps(lake, settings, run_date, volume)], ignore_index=True)
    lake.replace(RUN_WARNINGS, odd, run_date=run_date, stage=CLEAN.name)
    return odd


def _departures(lake: Lake, settings: Settings, run_date: dt.date) -> pd.DataFrame:
    """Return the warnings of a run that leaves what its settings were made from."""
    rules, pattern = settings.rules, settings.rules.stock_code_pattern
    quarantined = judge(lake.read(QUARANTINE, processing_date=run_date), dialect=settings.dialect)
    kept = lake.read(SILVER, processing_date=run_date)
    found = baseline.facts(quarantined, kept, run_date, stock_code_pattern=pattern, revenue=rules.revenue)
    return baseline.departures(run_date, found, settings.baseline, settings.shop.currency)


def _overlaps(lake: Lake, settings: Settings, run_date: dt.date, volume: pd.DataFrame) -> pd.DataFrame:
    """Return a warning if lines of the run's files are in other files, too, as far as both hold sales of the same day."""
    days = anomalies.shared_days(run_date, volume) if settings.columns.invoice and settings.files.overlap == "add" else []
    silver = lake.read(SILVER, until=run_date, InvoiceDate=days)  # few days, mostly none
    twice = anomalies.repeated_lines(silver, run_date, stock_code_pattern=settings.rules.stock_code_pattern) if days else []
    return anomalies.overlaps(run_date, twice, volume, settings.shop.currency)


def check_quality(lake: Lake, settings: Settings, run_date: dt.date) -> float:
    """Return the share of the run's lines that were dropped; stop the run if it is too large, or files were refused."""
    results = lake.frame(tables.EXPECTATION_RESULTS, processing_date=run_date)
    comparison = lake.frame(tables.DQ_COMPARISON, processing_date=run_date)
    aside = gate.set_aside(lake.read(QUARANTINE, processing_date=run_date))
    share = gate.guard(results, comparison, settings.rules.max_dropped_share, aside)
    ingest.stop_if_refused(lake, run_date, settings.files.on_refused)
    return share


# ── gold ────────────────────────────────────────────────────────────
def customer_metrics(silver: Any, settings: Settings, run_date: dt.date) -> Any:
    """Return recency, frequency and monetary value per customer as of a date, by the rules of the shop."""
    rules = settings.rules
    return rfm_metrics(silver, run_date, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue)


# ── clusters ────────────────────────────────────────────────────────────
class Clustered(NamedTuple):
    """Customers with their cluster, the model, which customers are outliers, and who was kept out of the fit."""

    customers: pd.DataFrame
    model: Model
    outliers: pd.Series
    excluded: Any


def predecessor(lake: Lake, settings: Settings, run_date: dt.date, refit: bool = False) -> Clustering | None:
    """Return customers and model of the run that this one starts from; None for a full fit."""
    model = Model.predecessor(lake.frame(CLUSTER_MODELS), run_date, settings.clusters, refit)
    if not model:
        return None
    customers = lake.frame(HISTORY, UpdateDate=[model.date])
    if customers.empty:
        raise InputError(
            f"{HISTORY}: holds no customer of {model.date}, which has a model; `rfm repair` says what can be rebuilt"
        )
    return Clustering(customers, model)


def cluster_customers(
    gold: pd.DataFrame, excluded: Any, settings: Settings, run_date: dt.date, before: Clustering | None = None
) -> Clustered:
    """Mark outliers and cluster the other customers, from the clusters before if there are any."""
    outliers, left_out = outlier_clusters(gold, settings.clusters), list(excluded["CustomerID"])
    start: dict[str, Any] = {"earlier": before.model, "yesterday": before.customers} if before else {}
    found = cluster(gold, outliers, run_date, settings.clusters, version=VERSION, left_out=left_out, **start)
    return Clustered(found.customers, found.model, outliers, excluded)


def write_clusters(lake: Lake, clustered: Clustered, run_date: dt.date) -> int:
    """Write customers, model and exclusions of a run; return the number of customers."""
    written = lake.replace(CLUSTERED, clustered.customers)
    lake.replace(CLUSTER_MODELS, clustered.model.record, UpdateDate=run_date)
    lake.replace(tables.FIT_EXCLUSIONS, clustered.excluded, UpdateDate=run_date)
    return written


# ── segments ────────────────────────────────────────────────────────────
class NamedClusters(NamedTuple):
    """The clusters of a run with their segments, the model with these names, and the medians of all customers."""

    clusters: pd.DataFrame
    model: Model
    medians: dict[str, float]


def name_clusters(customers: pd.DataFrame, model: Model, settings: Settings) -> NamedClusters:
    """Assign each cluster a segment, a tier and an action; a cluster keeps its name unless its medians clearly moved."""
    medians, summary = profiles.medians_of(customers), profiles.summarise_clusters(customers)
    given = (settings.recommendations, settings.cutoffs, settings.shop.currency)
    steady: dict[str, Any] = {"before": model.before, "band": settings.clusters.name_band}
    clusters = profiles.describe_clusters(summary, medians, *given, **steady)
    return NamedClusters(clusters, model.named(clusters), medians)


def past_runs(lake: Lake, run_date: dt.date) -> tuple[dict[dt.date, Model], pd.DataFrame]:
    """Return the models of all runs up to the run date, and the customers of the runs that it is compared with."""
    models = Model.kept(lake.frame(CLUSTER_MODELS), run_date)
    return models, lake.frame(HISTORY, UpdateDate=list(movement.since(models, run_date).values()))


def segment_customers(
    clustered: pd.DataFrame, models: Mapping[dt.date, Model], history: pd.DataFrame, settings: Settings, run_date: dt.date
) -> tuple[NamedClusters, dict[str, pd.DataFrame]]:
    """Name clusters, customers and segments and compare them with the past; return the names and every table."""
    cutoffs, currency = settings.cutoffs, settings.shop.currency
    named = name_clusters(clustered, models[run_date], settings)
    before = history[history["UpdateDate"].astype(str) == named.model.previous]
    most, words = settings.clusters.max_renamed, settings.recommendations
    customers = profiles.describe_customers(clustered, named.clusters, before, most, words)
    ways = alternatives.segmentations(customers, cutoffs)
    return named, {
        tables.CLUSTER_SUMMARY: named.clusters,  # some of its columns
        tables.DESCRIBED_CLUSTERS: named.clusters,
        tables.DESCRIBED_CUSTOMERS: customers,
        tables.SEGMENT_SUMMARY: profiles.summarise_segments(customers, cutoffs, currency),
        tables.SEGMENTATIONS: ways,
        tables.EXPLANATIONS: explain.explain_customers(customers, named.clusters, named.model, currency),
        tables.AGREEMENT: alternatives.agreement(ways, run_date),
        HISTORY: customers,
        tables.SEGMENT_MOVEMENT: movement.movement(customers, history, models, run_date),
        tables.SEGMENT_STABILITY: movement.stability(customers, history, models, run_date),
    }


def write_segments(
    lake: Lake, settings: Settings, named: NamedClusters, frames: Mapping[str, pd.DataFrame], run_date: dt.date
) -> pd.DataFrame:
    """Write the tables of a run and its warnings, then the model with its names; return the warnings."""
    lake.replace_each({name: frames[name] for name in OF_THE_DAY})
    lake.replace_each({name: frames[name] for name in tables.OVER_TIME}, UpdateDate=run_date)
    odd = anomalies.unsteady(run_date, lake.frame(tables.SEGMENT_STABILITY), settings.quality)
    lake.replace(RUN_WARNINGS, odd, run_date=run_date, stage=SEGMENT.name)
    lake.replace(CLUSTER_MODELS, named.model.record, UpdateDate=run_date)  # last: a model with names says that the run is whole
    return odd


def model_documents(lake: Lake, settings: Settings, named: NamedClusters, run_date: dt.date) -> dict[str, str]:
    """Return model.json and the model card, as texts by file name."""
    files = lake.frame(LEDGER, layer="silver", until=run_date)
    currency, weight = settings.shop.currency, settings.clusters.silhouette_weight
    return profiles.model_artifacts(named.model, named.clusters, named.medians, files, currency, silhouette_weight=weight)


# ── states ────────────────────────────────────────────────────────────
def purchases(silver: Any, settings: Settings, run_date: dt.date) -> pd.DataFrame:
    """Return CustomerID, InvoiceNo, TotalPrice and InvoiceDate of each counted invoice up to the run date."""
    return collected_purchases(silver, run_date, stock_code_pattern=settings.rules.stock_code_pattern)


def state_customers(
    customers: pd.DataFrame, bought: pd.DataFrame, settings: Settings, run_date: dt.date
) -> dict[str, pd.DataFrame]:
    """Return every table of the single customer, by name: states, forecasts, and who goes from state to state."""
    forecast = forecasts.customer_forecast(bought, run_date, settings.shop.currency)
    own = (settings.states, settings.cutoffs, settings.recommendations, forecast)
    found = states.customer_states(customers, bought, run_date, *own)
    return {
        tables.CUSTOMER_STATES: found,
        tables.CUSTOMER_FORECAST: forecast,
        tables.RELIABILITY: forecast_reliability(bought, run_date),
        tables.MIGRATION: migration.migration(found, customers, bought, run_date, settings.states),
    }


def forecast_summary(forecast: pd.DataFrame, bought: pd.DataFrame, run_date: dt.date) -> str:
    """Return in a sentence how many customers are expected to order, or from which day there will be a forecast."""
    return forecasts.summary(forecast, bought, run_date)


def measure_campaigns(lake: Lake, bought: pd.DataFrame, run_date: dt.date) -> int:
    """Measure the campaigns that run, from the purchases, and write the results; return the number of campaigns."""
    return campaigns.measure(lake, bought, run_date)
