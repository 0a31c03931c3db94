"""The same calls as the notebooks', day after day, without notebooks: many days in minutes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import rfm
from rfm.core import quality, segments
from rfm.schema import SettingsError
from rfm.settings import Settings


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return every day from the first to the last, both included.

    Parameters
    ----------
    first, last
        Run dates.

    Raises
    ------
    SettingsError
        If the last is before the first.
    """
    if last < first:
        raise SettingsError(f"--to {last} is before --from {first}; give the earlier day first")
    return [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]


def backfill(settings: Settings, first: dt.date, last: dt.date) -> Iterator[tuple[dt.date, str]]:
    """Run every day from the first to the last; leave the tables that `rfm daily` of each day would leave.

    Parameters
    ----------
    settings
        Where things are; its run date is not used.
    first, last
        Run dates, both included.

    Yields
    ------
    tuple
        The day that is done, and its headline.
    """
    lake = rfm.Lake(settings.lake)
    for day in days(first, last):
        yield day, run_day(settings, lake, day)


def run_day(settings: Settings, lake: rfm.Lake, day: dt.date) -> str:
    """Run stages 1 to 5 for one run date; return the headline.

    Parameters
    ----------
    settings
        Where the landing files are, and the rules.
    lake
        The tables.
    day
        The run date.
    """
    to_bronze(settings, lake, day)
    to_silver(settings, lake, day)
    silver = lake.read("retail_transactions_silver", until=day)
    gold = rfm.rfm_metrics(silver, day, stock_code_pattern=settings.rules.stock_code_pattern)
    lake.replace("customer_rfm_gold", gold)
    to_clusters(settings, lake, day)
    return to_segments(settings, lake, day)


def to_bronze(settings: Settings, lake: rfm.Lake, day: dt.date) -> None:
    """Ingest the new files that a run of the day sees: notebook 1; parameters as for `run_day`."""
    files = rfm.list_files(settings.landing, settings.files.pattern, until=day)
    new = rfm.intake.unseen(lake, [file.source_file for file in files])
    rfm.intake.ingest(lake, rfm.read_files(settings.landing, new, day))


def to_silver(settings: Settings, lake: rfm.Lake, day: dt.date) -> None:
    """Clean what silver does not have yet, and count how good it was: notebook 2; parameters as for `run_day`."""
    new = rfm.intake.pending(lake)
    silver, quarantine = rfm.clean(lake.read("retail_transactions_bronze", source_file=new))
    rfm.intake.settle(lake, silver, quarantine, new)
    arrived = rfm.judge(lake.read("retail_transactions_bronze", processing_date=day))
    kept = lake.read("retail_transactions_silver", processing_date=day)
    lake.replace_each(quality.measure(arrived, kept, rfm.SEVERITIES), processing_date=day)
    results = lake.frame("expectation_results", processing_date=day)
    comparison = lake.frame("bronze_silver_dq_comparison", processing_date=day)
    quality.guard(results, comparison, settings.rules.max_dropped_share)


def to_clusters(settings: Settings, lake: rfm.Lake, day: dt.date) -> None:
    """Mark outliers, cluster the rest, keep the model: notebook 4; parameters as for `run_day`."""
    gold = lake.frame("customer_rfm_gold")
    outliers = rfm.outlier_clusters(gold, settings.clusters.iqr_factor)
    clustered = rfm.cluster(gold, outliers, day, settings.clusters, version=rfm.__version__)
    lake.replace("customer_rfm_kmeans_clustered", clustered.customers)
    lake.replace("cluster_models", clustered.model.record, UpdateDate=day)


def to_segments(settings: Settings, lake: rfm.Lake, day: dt.date) -> str:
    """Name clusters, customers and segments, keep the history: notebook 5; return the headline.

    Parameters as for `run_day`.
    """
    clustered = lake.frame("customer_rfm_kmeans_clustered", UpdateDate=day)
    clusters = segments.summarise_clusters(clustered)
    described = segments.describe_clusters(clusters, segments.medians_of(clustered), settings.recommendations)
    customers = segments.describe_customers(clustered, described)
    summary = segments.summarise_segments(customers)
    lake.replace("cluster_summary", clusters)
    lake.replace("cluster_description_and_recommendation", described)
    lake.replace("customer_rfm_description_and_recommendation", customers)
    lake.replace("segment_summary", summary)
    lake.replace("customer_rfm_kmeans_clustered_history", customers, UpdateDate=day)
    return segments.headline(summary, settings.shop.currency)
