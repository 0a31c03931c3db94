"""Backtest the ways to segment and to forecast on past days of a lake, by the calls of the notebooks."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from rfm.analysis import backtest as core
from rfm.analysis.backtest import Snapshot, Way
from rfm.analysis.clustering import Clustering
from rfm.analysis.formatting import as_rows
from rfm.analysis.metrics import purchases
from rfm.analysis.outliers import fit_exclusions
from rfm.analysis.segments.alternatives import rfm_scores, value_engagement
from rfm.contracts import SILVER
from rfm.errors import InputError, SettingsError
from rfm.lake import open_lake
from rfm.pipeline import stages
from rfm.settings import Settings

COUNTED = ["CustomerID", "InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "IsCancellation", "TotalPrice"]


def run_backtest(settings: Settings, first: dt.date | None = None, last: dt.date | None = None, every: int = 7) -> pd.DataFrame:
    """Segment many past days in every way and measure how well each way predicted what followed."""
    silver, invoices = _sales(settings)
    days = past_days(invoices, first, last, every)
    return core.backtest(list(snapshots(settings, silver, invoices, days)), invoices)


def run_forecasts(
    settings: Settings, first: dt.date | None = None, last: dt.date | None = None, every: int = 7
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecast on many past days, and measure what came of it: the measures of each way, and its curve of reliability."""
    from rfm.analysis.forecast.evaluate import evaluate

    _, invoices = _sales(settings)
    return evaluate(invoices, past_days(invoices, first, last, every))


def _sales(settings: Settings) -> tuple[Any, pd.DataFrame]:
    """Return the columns of silver that count, and the counted invoices."""
    silver = open_lake(settings).rows(SILVER, until=dt.date.max, columns=COUNTED)
    if silver.is_empty():
        raise InputError(f"{settings.lake}: {SILVER} has 0 rows; run `rfm daily` first")
    return silver, purchases(silver, dt.date.max, stock_code_pattern=settings.rules.stock_code_pattern).to_pandas()


def results_text(results: pd.DataFrame) -> list[str]:
    """Return the verdict in sentences, and which way is left out, if one is."""
    missing = f"{Way.LIFETIME} is left out: clvkit is not installed; `pip install 'rfm[backtest]'` brings it"
    return core.verdict(results) + ([] if Way.LIFETIME in set(results["way"]) else [missing])


def forecast_text(forecasts: pd.DataFrame) -> list[str]:
    """Return in sentences how good the forecast of each customer is."""
    from rfm.analysis.forecast.evaluate import verdict

    return verdict(forecasts)


def as_dict(results: pd.DataFrame, forecasts: pd.DataFrame) -> dict[str, Any]:
    """Return verdict and figures for machines; a figure that there is none of is None."""
    said = [*results_text(results), *forecast_text(forecasts)]
    return {"verdict": said, "results": as_rows(results), "forecasts": as_rows(forecasts)}


def save_results(results: pd.DataFrame, forecasts: pd.DataFrame, file: str) -> str:
    """Write all figures to a file, the same bytes for the same figures; return its path. A CSV holds those of the segments."""
    path = Path(file)
    as_json = path.suffix == ".json"
    found = json.dumps(as_dict(results, forecasts), indent=1, ensure_ascii=False) + "\n" if as_json else ""
    text = found or results.to_csv(index=False)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SettingsError(f"--out {file}: cannot be written ({error.strerror})") from None
    return str(path)


def past_days(invoices: pd.DataFrame, first: dt.date | None, last: dt.date | None, every: int) -> list[dt.date]:
    """Return the days to segment."""
    dates, margin = pd.to_datetime(invoices["InvoiceDate"]), pd.Timedelta(days=min(core.HORIZONS))
    begin = pd.Timestamp(first) if first else dates.min() + margin
    end = pd.Timestamp(last) if last else dates.max() - margin
    if every < 1 or not begin <= end:
        raise SettingsError(f"no day is in {begin:%Y-%m-%d} to {end:%Y-%m-%d} every {every}; give other --from, --to, --every")
    return [day.date() for day in pd.date_range(begin, end, freq=f"{every}D")]


def snapshots(settings: Settings, silver: Any, invoices: pd.DataFrame, days: list[dt.date]) -> Iterator[Snapshot]:
    """Yield the result of every way on each day; the steady way starts from the model of the day before."""
    steady, chained = None, settings.clusters.stability == "steady"
    for day in days:
        gold = stages.customer_metrics(silver, settings, day).to_pandas(use_pyarrow_extension_array=True)
        excluded = fit_exclusions(silver, day, settings.exclusions)
        steady = clustered(settings, gold, excluded, day, steady if chained else None)
        runs = {Way.STEADY: steady, Way.PLAIN: clustered(settings, gold, excluded, day)}
        ways: dict[Way, Any] = {way: run.customers["Cluster_Label"].to_numpy() for way, run in runs.items()}
        customers = pd.Index(gold["CustomerID"])
        ways |= by_rules(settings, gold) | by_numbers(invoices, day, customers)
        yield Snapshot(day, pd.DataFrame({str(way): values for way, values in ways.items()}).set_axis(customers))


def by_rules(settings: Settings, gold: pd.DataFrame) -> dict[Way, Any]:
    """Return the segments that need no clustering: tiers, score names, and one for all."""
    tiers, scores = value_engagement(gold, settings.cutoffs), rfm_scores(gold)
    names = tiers["ValueTier"] + " · " + tiers["Engagement"]
    total = scores[["RScore", "FScore", "MScore"]].sum(axis=1)
    return {Way.TIERS: names, Way.SCORES: scores["ScoreName"], Way.ALIKE: "everyone", Way.SUM: total}


def by_numbers(invoices: pd.DataFrame, day: dt.date, customers: pd.Index) -> dict[Way, Any]:
    """Return the numbers that rank customers: last month's spend and, where its library is installed, what is expected."""
    month = min(core.HORIZONS)
    numbers = {Way.MONTH: core.spent_within(invoices, day, month, customers)}
    if fits_lifetimes():
        lifetimes = expected(invoices, day, month, customers).to_numpy()
        numbers |= {Way.ORDERS: lifetimes[:, 0], Way.LIFETIME: lifetimes[:, 1]}
    return numbers


def fits_lifetimes() -> bool:
    """Return True if clvkit, the library of the extra `backtest`, is installed."""
    return find_spec("clvkit") is not None


def expected(purchases: pd.DataFrame, day: dt.date, days: int, customers: pd.Index) -> pd.DataFrame:
    """Return the expected orders and spend of each customer in the next days, by BG/NBD and Gamma-Gamma."""
    from clvkit import BGNBD, CustomerBase, GammaGamma

    dates = pd.to_datetime(purchases["InvoiceDate"])
    log = pd.DataFrame({"customer_id": purchases["CustomerID"].to_numpy(object), "date": dates.to_numpy("datetime64[ns]")})
    log["amount"] = purchases["TotalPrice"].to_numpy(float)
    log = log[(log["date"] <= pd.Timestamp(day)) & (log["amount"] > 0)]
    base = CustomerBase.from_transactions(log, time_unit="D", collapse="D", observation_period_end=pd.Timestamp(day))
    with warnings.catch_warnings():  # the optimiser recovers from such steps
        warnings.simplefilter("ignore", RuntimeWarning)
        orders, worth = BGNBD().fit(base).predict(days), GammaGamma().fit(base).predict()
    found = pd.DataFrame({"orders": orders.to_pandas().squeeze(axis=1), "worth": worth.to_pandas().squeeze(axis=1)})
    return found.assign(spend=found["orders"] * found["worth"])[["orders", "spend"]].reindex(customers).fillna(0.0)


def clustered(
    settings: Settings, gold: pd.DataFrame, excluded: Any, run_date: dt.date, before: Clustering | None = None
) -> Clustering:
    """Cluster and name the customers of a day as stages 4 and 5 do; return them with segment and label, and the model."""
    found = stages.cluster_customers(gold, excluded, settings, run_date, before)
    named = stages.name_clusters(found.customers, found.model, settings)
    words = named.clusters[["Cluster", "Cluster_Description", "Cluster_Label"]]
    return Clustering(found.customers.merge(words, on="Cluster", how="left", validate="many_to_one"), named.model)
