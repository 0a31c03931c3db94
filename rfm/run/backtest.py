"""Past days segmented in every way, from silver in memory, and held against what came after."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import rfm
from rfm.core import backtest as core
from rfm.core import segments
from rfm.core.backtest import Snapshot, Way
from rfm.core.clustering import Clustering
from rfm.core.metrics import purchases
from rfm.schema import InputError, SettingsError
from rfm.settings import Settings

MISSING = "{way} is left out: clvkit is not installed; `pip install 'rfm[backtest]'` brings it"
COUNTED = ["CustomerID", "InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "IsCancellation", "TotalPrice"]


def backtest(settings: Settings, first: dt.date | None = None, last: dt.date | None = None, every: int = 7) -> pd.DataFrame:
    """Segment many past days in every way and measure what each way foretold.

    Parameters
    ----------
    settings
        Where the lake is, the rules, the clusters.
    first, last
        First and last day that is segmented; by default from 30 days after the first sale to 30 days before the last.
    every
        Days between two of them; the steady way starts from the one before, so 1 is what the daily run does.

    Returns
    -------
    pandas.DataFrame
        As `rfm.core.backtest.backtest` returns it.

    Raises
    ------
    InputError
        If the lake has no sales, or too few days of them.
    """
    silver = rfm.open_lake(settings).rows("retail_transactions_silver", columns=COUNTED)
    if silver.is_empty():
        raise InputError(f"{settings.lake}: retail_transactions_silver has 0 rows; run `rfm daily` first")
    invoices = purchases(silver, dt.date.max, stock_code_pattern=settings.rules.stock_code_pattern).to_pandas()
    days = past_days(invoices, first, last, every)
    return core.backtest(list(snapshots(settings, silver, invoices, days)), invoices)


def told(results: pd.DataFrame) -> list[str]:
    """Return what the backtest says in sentences, and which way is left out, if one is."""
    missing = [] if Way.LIFETIME in set(results["way"]) else [MISSING.format(way=Way.LIFETIME)]
    return core.verdict(results) + missing


def as_dict(results: pd.DataFrame) -> dict[str, Any]:
    """Return verdict and figures for machines; a figure that there is none of is None."""
    figures = results.astype(object).where(results.notna(), None)
    return {"verdict": told(results), "results": figures.to_dict("records")}


def save(results: pd.DataFrame, file: str) -> str:
    """Write all figures to a file, the same bytes for the same figures; return its path.

    Parameters
    ----------
    results
        As `backtest` returns them.
    file
        Where to; with the ending ``.json`` an object with `verdict` and `results`, else CSV.

    Raises
    ------
    SettingsError
        If it cannot be written.
    """
    path = Path(file)
    as_json = path.suffix == ".json"
    text = json.dumps(as_dict(results), indent=1, ensure_ascii=False) + "\n" if as_json else results.to_csv(index=False)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SettingsError(f"--out {file}: cannot be written ({error.strerror})") from None
    return str(path)


def past_days(invoices: pd.DataFrame, first: dt.date | None, last: dt.date | None, every: int) -> list[dt.date]:
    """Return the days to segment.

    Parameters
    ----------
    invoices
        With InvoiceDate.
    first, last, every
        As for `backtest`.

    Raises
    ------
    SettingsError
        If `every` is below 1 or there is no such day.
    """
    dates, margin = pd.to_datetime(invoices["InvoiceDate"]), pd.Timedelta(days=min(core.HORIZONS))
    begin = pd.Timestamp(first) if first else dates.min() + margin
    end = pd.Timestamp(last) if last else dates.max() - margin
    if every < 1 or not begin <= end:
        raise SettingsError(f"no day lies in {begin:%Y-%m-%d} to {end:%Y-%m-%d} every {every}; give other --from, --to, --every")
    return [day.date() for day in pd.date_range(begin, end, freq=f"{every}D")]


def snapshots(settings: Settings, silver: Any, invoices: pd.DataFrame, days: list[dt.date]) -> Iterator[Snapshot]:
    """Yield what every way says on each day; the steady way starts from the model of the day before.

    Parameters
    ----------
    settings
        As for `backtest`.
    silver
        Rows of ``retail_transactions_silver``, columns `COUNTED`.
    invoices
        One row an invoice.
    days
        Rising.
    """
    steady, chained = None, settings.clusters.stability == "steady"
    rules = settings.rules
    for day in days:
        gold = rfm.rfm_metrics(silver, day, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue)
        gold = gold.to_pandas(use_pyarrow_extension_array=True)
        left_out = list(rfm.exclusions.fit_exclusions(silver, day, settings.exclusions)["CustomerID"])
        steady = clustered(settings, gold, day, left_out, steady if chained else None)
        runs = {Way.STEADY: steady, Way.PLAIN: clustered(settings, gold, day, left_out)}
        ways: dict[Way, Any] = {way: run.customers["Cluster_Label"].to_numpy() for way, run in runs.items()}
        customers = pd.Index(gold["CustomerID"])
        ways |= by_rules(settings, gold) | by_numbers(gold, invoices, day, customers)
        yield Snapshot(day, pd.DataFrame({str(way): values for way, values in ways.items()}).set_axis(customers))


def by_rules(settings: Settings, gold: pd.DataFrame) -> dict[Way, Any]:
    """Return the segments that need no clustering: tiers, score names, and one for all.

    Parameters
    ----------
    settings
        As for `backtest`.
    gold
        Columns of ``customer_rfm_gold``.
    """
    tiers, scores = segments.value_engagement(gold, settings.cutoffs), segments.rfm_scores(gold)
    names = tiers["ValueTier"] + " · " + tiers["Engagement"]
    total = scores[["RScore", "FScore", "MScore"]].sum(axis=1)
    return {Way.TIERS: names, Way.SCORES: scores["ScoreName"], Way.ALIKE: "everyone", Way.SUM: total}


def by_numbers(gold: pd.DataFrame, invoices: pd.DataFrame, day: dt.date, customers: pd.Index) -> dict[Way, Any]:
    """Return the numbers that rank customers: last month's spend and, where its library is installed, what is expected.

    Parameters
    ----------
    gold
        Columns of ``customer_rfm_gold``.
    invoices
        One row an invoice.
    day
        The run date.
    customers
        CustomerIDs.
    """
    month = min(core.HORIZONS)
    numbers = {Way.MONTH: core.spent_within(invoices, day, month, customers)}
    if core.fits_lifetimes():
        expected = core.expected(invoices, day, month, customers).to_numpy()
        numbers |= {Way.ORDERS: expected[:, 0], Way.LIFETIME: expected[:, 1]}
    return numbers


def clustered(
    settings: Settings, gold: pd.DataFrame, day: dt.date, left_out: list[str], earlier: Clustering | None = None
) -> Clustering:
    """Cluster and name the customers of a day as stages 4 and 5 do; return them with segment and label, and the named model.

    Parameters
    ----------
    settings
        As for `backtest`.
    gold
        Columns of ``customer_rfm_gold``.
    day
        The run date.
    left_out
        CustomerIDs that take no part in the fit.
    earlier
        What this returned for the run before; none for a full fit.
    """
    options, before = settings.clusters, earlier.model if earlier else None
    outliers = rfm.outlier_clusters(gold, options.iqr_factor)
    rows = earlier.customers if earlier else None
    customers, model = rfm.cluster(gold, outliers, day, options, left_out=left_out, earlier=before, yesterday=rows)
    clusters, medians = segments.summarise_clusters(customers), segments.medians_of(customers)
    described = segments.describe_clusters(clusters, medians, None, settings.cutoffs, before=model.before, band=options.name_band)
    words = described[["Cluster", "Cluster_Description", "Cluster_Label"]]
    return Clustering(customers.merge(words, on="Cluster", how="left", validate="many_to_one"), model.named(described))
