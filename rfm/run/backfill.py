"""The same calls as the notebooks', day after day, without notebooks: many days in minutes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import rfm
from rfm.core import movement, quality, segments
from rfm.run.runlog import BACKFILL, logged
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


def backfill(
    settings: Settings, first: dt.date, last: dt.date, restate: bool = False, refit: bool = False
) -> Iterator[tuple[dt.date, str]]:
    """Run every day from the first to the last; leave the tables that `rfm daily` of each day would leave.

    Parameters
    ----------
    settings
        Where things are; its run date is not used.
    first, last
        Run dates, both included.
    restate
        As for `run_day`.
    refit
        Fit the first day afresh; the others start from the day before.

    Yields
    ------
    tuple
        The day that is done, and its headline.
    """
    lake = rfm.open_lake(settings)
    for day in days(first, last):
        with logged(lake, day):
            headline = run_day(settings, lake, day, restate, refit and day == first)
        lake.tend(settings.care.optimize_every, settings.care.retain_days)
        yield day, headline


def told(settings: Settings, first: dt.date, last: dt.date) -> tuple[list[str], bool]:
    """Return what the runs of some days warned of, and whether a file was refused.

    Parameters
    ----------
    settings
        Where things are.
    first, last
        Run dates, both included.
    """
    said = rfm.open_lake(settings).frame("run_warnings", run_date=days(first, last))
    return list(dict.fromkeys(said["message"])), bool((said["severity"] == "error").any())


def results(settings: Settings, headlines: Mapping[dt.date, str]) -> list[dict[str, Any]]:
    """Return what the runs of some days came to, for machines.

    Parameters
    ----------
    settings
        Where the tables are.
    headlines
        Days with their headlines, as `backfill` yields them.
    """
    lake, days = rfm.open_lake(settings), list(headlines)
    said = lake.frame("run_warnings", run_date=days)
    runs = lake.frame("pipeline_runs", run_date=days, stage=BACKFILL).sort_values("started")

    def result(day: dt.date) -> dict[str, Any]:
        run, of_day = runs[runs["run_date"] == day].iloc[-1], said[said["run_date"] == day]
        messages = {kind: list(of_day.loc[of_day["severity"] == kind, "message"]) for kind in ("warning", "error")}
        counts = {"seconds": float(run["seconds"]), "lines_read": int(run["rows_read"]), "rows_written": int(run["rows_written"])}
        told = {"warnings": messages["warning"], "errors": messages["error"]}
        return {"run_date": day.isoformat(), "headline": headlines[day]} | counts | told

    return [result(day) for day in days]


def run_day(settings: Settings, lake: rfm.Lake, day: dt.date, restate: bool = False, refit: bool = False) -> str:
    """Run stages 1 to 5 for one run date; return the headline.

    Parameters
    ----------
    settings
        Where the landing files are, and the rules.
    lake
        The tables.
    day
        The run date.
    restate
        Put files whose content changed in the place of what was read of them.
    refit
        Fit afresh instead of starting from the run before.
    """
    to_bronze(settings, lake, day, restate)
    to_silver(settings, lake, day)
    silver = lake.read("retail_transactions_silver", until=day)
    rules = settings.rules
    gold = rfm.rfm_metrics(silver, day, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue)
    lake.replace("customer_rfm_gold", gold)
    to_clusters(settings, lake, day, refit)
    return to_segments(settings, lake, day)


def to_bronze(settings: Settings, lake: rfm.Lake, day: dt.date, restate: bool = False) -> None:
    """Ingest the new files that a run of the day sees: notebook 1; parameters as for `run_day`."""
    files = rfm.list_files(settings.landing, settings.files.pattern, until=day)
    new = rfm.intake.unseen(lake, files, restate=restate)
    codec, separator = settings.files.encoding, settings.files.separator
    columns = settings.columns
    reading = rfm.read_files(settings.landing, new, day, encoding=codec, separator=separator, columns=columns)
    rfm.intake.ingest(lake, reading, restate=restate)
    rfm.intake.warn(lake, day, reading.refused)


def to_silver(settings: Settings, lake: rfm.Lake, day: dt.date) -> None:
    """Clean what silver does not have yet, and count how good it was: notebook 2; parameters as for `run_day`."""
    new = rfm.intake.pending(lake)
    severities = quality.severities(rfm.SEVERITIES, settings.expectations)
    bronze = lake.read("retail_transactions_bronze", source_file=new)
    silver, quarantine = rfm.clean(bronze, severities=severities, dialect=settings.dialect)
    rfm.intake.settle(lake, silver, quarantine, new)
    count(settings, lake, rfm.intake.days(lake, day))
    rfm.intake.finish(lake)
    warn(settings, lake, day)
    results = lake.frame("expectation_results", processing_date=day)
    comparison = lake.frame("bronze_silver_dq_comparison", processing_date=day)
    quality.guard(results, comparison, settings.rules.max_dropped_share)
    rfm.intake.stop_if_refused(lake, day, settings.files.on_refused)


def count(settings: Settings, lake: rfm.Lake, processed: list[dt.date]) -> None:
    """Count how good the rows of some processing dates are: notebook 2.

    Parameters
    ----------
    settings, lake
        As for `run_day`.
    processed
        Processing dates, at least one.
    """
    severities = quality.severities(rfm.SEVERITIES, settings.expectations)
    arrived = rfm.judge(lake.read("retail_transactions_bronze", processing_date=processed), dialect=settings.dialect)
    kept = lake.read("retail_transactions_silver", processing_date=processed)
    lake.replace_each(quality.measure(arrived, kept, severities), processing_date=processed)


def warn(settings: Settings, lake: rfm.Lake, day: dt.date) -> None:
    """Write down what is odd about the run of a day: notebook 2; parameters as for `run_day`."""
    files = lake.frame("landing_files", layer="bronze", until=day)
    volume = lake.frame("daily_volume", until=day)
    odd = quality.warnings(day, files, volume, lake.frame("quality_metrics"), settings.quality)
    lake.replace("run_warnings", odd, run_date=day, stage="2_silver")


def to_clusters(settings: Settings, lake: rfm.Lake, day: dt.date, refit: bool = False) -> None:
    """Mark outliers, cluster the rest, keep the model: notebook 4; parameters as for `run_day`."""
    gold = lake.frame("customer_rfm_gold")
    options = settings.clusters
    earlier = rfm.Model.predecessor(lake.frame("cluster_models"), day, options, refit)
    yesterday = lake.frame("customer_rfm_kmeans_clustered_history", UpdateDate=[earlier.date] if earlier else [])
    outliers = rfm.outlier_clusters(gold, options.iqr_factor)
    excluded = rfm.exclusions.fit_exclusions(lake.read("retail_transactions_silver", until=day), day, settings.exclusions)
    left_out = list(excluded["CustomerID"])
    before = {"earlier": earlier, "yesterday": yesterday}
    clustered = rfm.cluster(gold, outliers, day, options, version=rfm.__version__, left_out=left_out, **before)
    lake.replace("customer_rfm_kmeans_clustered", clustered.customers)
    lake.replace("cluster_models", clustered.model.record, UpdateDate=day)
    lake.replace("fit_exclusions", excluded, UpdateDate=day)


def to_segments(settings: Settings, lake: rfm.Lake, day: dt.date) -> str:
    """Name clusters, customers and segments, keep the history: notebook 5; return the headline.

    Parameters as for `run_day`.
    """
    clustered = lake.frame("customer_rfm_kmeans_clustered", UpdateDate=day)
    models = rfm.Model.kept(lake.frame("cluster_models"), day)
    model, since = models[day], list(movement.since(models, day).values())
    history = lake.frame("customer_rfm_kmeans_clustered_history", UpdateDate=since)
    clusters = segments.summarise_clusters(clustered)
    medians, cutoffs, currency = segments.medians_of(clustered), settings.cutoffs, settings.shop.currency
    steady = (model.before, settings.clusters.name_band)
    described = segments.describe_clusters(clusters, medians, settings.recommendations, cutoffs, currency, *steady)
    model = model.named(described)
    customers = segments.describe_customers(clustered, described)
    summary = segments.summarise_segments(customers, cutoffs, currency)
    ways = segments.segmentations(customers, cutoffs)
    explanations = segments.explain_customers(customers, described, model, currency)
    results = {"cluster_summary": clusters, "cluster_description_and_recommendation": described, "segment_summary": summary}
    results |= {"customer_rfm_description_and_recommendation": customers}
    lake.replace_each(results | {"customer_segmentations": ways, "customer_explanations": explanations})
    dated = {"segmentation_agreement": segments.agreement(ways, day), "customer_rfm_kmeans_clustered_history": customers}
    dated |= {"segment_movement": movement.movement(customers, history, models, day)}
    lake.replace_each(dated | {"segment_stability": movement.stability(customers, history, models, day)}, UpdateDate=day)
    odd = quality.unsteady(day, lake.frame("segment_stability"), settings.quality)
    lake.replace("run_warnings", odd, run_date=day, stage="5_segments")
    lake.replace("cluster_models", model.record, UpdateDate=day)
    files = lake.frame("landing_files", layer="silver", until=day)
    rfm.keep_model(lake.url, day, segments.model_papers(model, described, medians, files, currency))
    return segments.headline(summary, currency)
