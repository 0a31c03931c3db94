"""The forecast: on simulated customers whose truth is known, and on real days that were not used to choose anything."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.metrics import brier_score_loss, roc_auc_score

from rfm.analysis import forecast
from rfm.analysis.forecast import (
    DAYS_BEFORE,
    HORIZON,
    SPEND_DAYS,
    BgNbd,
    customer_forecast,
    expected_within,
    first_day,
    fit_bgnbd,
    history_of,
    state_of,
)
from rfm.analysis.forecast.evaluate import Rule, comparison, evaluate, verdict
from tests.analysis.test_backtest import sales

START, TRUTH = dt.date(2025, 1, 1), BgNbd(0.9, 30.0, 0.6, 3.0)
AS_OF = START + dt.timedelta(days=210)


def simulate(customers: int, days: int, seed: int = 1) -> pd.DataFrame:
    """Return the invoices of customers who buy and leave as BG/NBD says, and spend as each is used to."""
    random = np.random.default_rng(seed)
    rates, leaves = random.gamma(TRUTH.r, 1 / TRUTH.alpha, customers), random.beta(TRUTH.a, TRUTH.b, customers)
    usual, at, rows = random.gamma(4, 25, customers), random.integers(0, days // 2, customers).astype(float), []
    here = np.arange(customers)
    while len(here):
        rows.append(np.column_stack([here, np.floor(at[here]), usual[here] * random.gamma(5, 0.2, len(here))]))
        if len(rows) > 1:  # after a repeat purchase
            here = here[random.random(len(here)) > leaves[here]]
        at[here] += random.exponential(1 / rates[here])
        here = here[at[here] < days]
    customer, day, spent = np.concatenate(rows).T
    dates = pd.Timestamp(START) + pd.to_timedelta(day, unit="D")
    ids = [f"{one:05.0f}" for one in customer]
    invoices = np.arange(len(ids)).astype(str)
    return pd.DataFrame({"CustomerID": ids, "InvoiceNo": invoices, "TotalPrice": spent, "InvoiceDate": dates})


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    """Return a year of 1,500 customers."""
    return simulate(1500, 365)


# ── BG/NBD ───────────────────────────────────────────────────────────────────────────────────────
def test_bgnbd_gives_the_published_chances_of_cdnow():
    cdnow = BgNbd(0.243, 4.414, 0.793, 2.426)  # in weeks
    chances = cdnow.order(np.array([0, 2, 9]), np.array([0, 30.43, 38]), np.array([38.86] * 3), 39)
    assert chances.round(2).tolist() == [0.14, 0.55, 0.91]


def test_bgnbd_finds_the_parameters_of_simulated_customers():
    now = state_of(history_of(simulate(6_000, 400), START + dt.timedelta(days=399)), START.toordinal() + 399)
    found = fit_bgnbd(*now.lives)
    assert found.r == pytest.approx(TRUTH.r, rel=0.15)
    assert found.alpha == pytest.approx(TRUTH.alpha, rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(TRUTH.a / (TRUTH.a + TRUTH.b), rel=0.15)
    gap = np.abs(found.order(*now.lives, 30) - TRUTH.order(*now.lives, 30))
    assert gap.mean() < 0.01


def test_bgnbd_expects_as_many_buyers_and_orders_as_come():
    shop, day = simulate(6_000, 400), START.toordinal() + 360
    history = history_of(shop, START + dt.timedelta(days=399))
    now = state_of(history, day)
    bought = forecast.bought_after(history, now, 30)[0] > 0
    chance, (repeats, _, age) = TRUTH.order(*now.lives, 30), now.lives
    assert chance.mean() == pytest.approx(bought.mean(), abs=0.01)
    rows = (history.day > day) & (history.day <= day + 30)
    assert (chance * TRUTH.orders_of_buyers(repeats, age, 30)).sum() == pytest.approx(rows.sum(), rel=0.06)


# ── the forecast of a shop ───────────────────────────────────────────────────────────────────────
def test_every_customer_gets_probabilities_and_an_amount(shop):
    found = customer_forecast(shop, AS_OF)
    known = shop.loc[shop["InvoiceDate"] <= pd.Timestamp(AS_OF), "CustomerID"]
    assert found["CustomerID"].tolist() == sorted(set(known))
    assert found["Order30"].between(0, 1).all()
    assert (found["Order30"] <= found["Order60"]).all()
    assert (found["Order60"] <= 1).all()
    assert (found[["Orders90", "Spend90"]] > 0).all(axis=None)
    assert found["Drivers"].str.fullmatch(".+ (raises|lowers) it; .+ (raises|lowers) it").all()


def test_spend_of_a_month_ago_is_that_of_the_customers_of_then(shop):
    found = customer_forecast(shop, AS_OF)
    first = shop.groupby("CustomerID")["InvoiceDate"].min().reindex(found["CustomerID"]).to_numpy()
    known = first <= np.datetime64(AS_OF - dt.timedelta(days=30))
    assert found["Spend90Before"].notna().tolist() == known.tolist()
    silent = found["Drivers"].str.contains("bought only once, 6[0-9] days")
    assert (found.loc[silent, "Spend90Before"] > found.loc[silent, "Spend90"]).all()


def test_any_window_is_forecast_as_that_of_30_days(shop):
    found, month, week = customer_forecast(shop, AS_OF), expected_within(shop, AS_OF, 30), expected_within(shop, AS_OF, 7)
    assert month["OrderExpected"].tolist() == found["Order30"].tolist()
    assert expected_within(shop, AS_OF, 90)["SpendExpected"].tolist() == found["Spend90"].tolist()
    assert (week["OrderExpected"] < month["OrderExpected"]).all()
    assert expected_within(shop, START, 30).empty


def test_what_happens_after_the_day_changes_nothing(shop):
    seen = shop[shop["InvoiceDate"] <= pd.Timestamp(AS_OF)]
    later = simulate(300, 365, seed=2).assign(InvoiceDate=pd.Timestamp(AS_OF) + pd.Timedelta(days=1), TotalPrice=1e6)
    assert_frame_equal(customer_forecast(pd.concat([later, seen]), AS_OF), customer_forecast(shop, AS_OF))


def test_order_of_the_rows_and_a_second_run_change_nothing(shop):
    first = customer_forecast(shop, AS_OF)
    assert_frame_equal(customer_forecast(shop, AS_OF), first)
    assert_frame_equal(customer_forecast(shop.sample(frac=1, random_state=3), AS_OF), first)


def test_a_shop_too_young_gets_none_and_the_day_of_the_first(shop):
    first = START + dt.timedelta(days=DAYS_BEFORE + HORIZON)
    assert first_day(shop, START + dt.timedelta(days=40)) == first
    assert customer_forecast(shop, first - dt.timedelta(days=1)).empty
    assert not customer_forecast(shop, first).empty


def test_summary_says_how_many_or_from_when(shop):
    first, found = START + dt.timedelta(days=DAYS_BEFORE + HORIZON), customer_forecast(shop, AS_OF)
    buyers, money = found["Order30"].sum(), found["Spend90"].sum()
    said = f"about {buyers:,.0f} of {len(found):,} customers will order within 30 days, and spend {money:,.0f} within 90"
    assert forecast.summary(found, shop, AS_OF) == said
    assert forecast.summary(found[:0], shop, first - dt.timedelta(days=1)) == f"no forecast yet: the first is on {first}"
    assert forecast.summary(found[:0], shop[:50], AS_OF) == "no forecast yet: fewer than 100 customers have bought"


def test_too_few_customers_get_no_forecast(shop):
    few = shop[shop["CustomerID"].isin(shop["CustomerID"].unique()[:99])]
    assert customer_forecast(few, AS_OF).empty
    assert first_day(few, AS_OF) is None
    assert customer_forecast(shop[:0], AS_OF).empty


def test_customers_who_never_return_get_no_forecast():
    once = simulate(300, 365).drop_duplicates("CustomerID")
    assert customer_forecast(once, AS_OF).empty


def test_orders_of_the_last_weeks_move_the_total(shop):
    seen = shop[shop["InvoiceDate"] <= pd.Timestamp(AS_OF)]
    weeks = seen["InvoiceDate"] > pd.Timestamp(AS_OF) - pd.Timedelta(days=forecast.RECENT)
    rest = seen["CustomerID"].isin(seen["CustomerID"].unique()[::3])
    quiet = customer_forecast(seen[~weeks | rest], AS_OF)
    usual = customer_forecast(seen, AS_OF).set_index("CustomerID").loc[quiet["CustomerID"]]
    assert quiet["Order30"].mean() < 0.9 * usual["Order30"].mean()


def test_a_large_shop_is_learned_from_a_part_of_its_customers(shop, monkeypatch):
    every = customer_forecast(shop, AS_OF)
    monkeypatch.setattr(forecast, "MOST", 800)
    part = customer_forecast(shop, AS_OF)
    assert part["CustomerID"].tolist() == every["CustomerID"].tolist()
    assert part["Order30"].corr(every["Order30"]) > 0.98


def test_drivers_say_what_raises_and_what_lowers(shop):
    found = customer_forecast(shop, AS_OF, "£")
    seen = shop[shop["InvoiceDate"] <= pd.Timestamp(AS_OF)].groupby("CustomerID")["InvoiceDate"]
    days, last = seen.nunique().to_numpy(), seen.max().to_numpy()
    likely = found[(days >= 5) & (found["Order30"] > 0.5)].iloc[0]
    assert f"bought on {days[likely.name]} of the last" in likely["Drivers"]
    single = found[(days == 1) & (last < np.datetime64(AS_OF) - np.timedelta64(90, "D"))].iloc[0]
    ago = (pd.Timestamp(AS_OF) - last[single.name]).days
    assert f"bought only once, {ago} days ago lowers it" in single["Drivers"]
    assert found["Drivers"].str.contains("spends £").any()


# ── against what happened ────────────────────────────────────────────────────────────────────────
DAYS = [START + dt.timedelta(days=day) for day in (200, 230, 260)]


@pytest.fixture(scope="module")
def tried(shop) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the measures and the curve of three days."""
    return evaluate(shop, DAYS, draws=40)


def figure(results: pd.DataFrame, way: Rule, measure: str, horizon: int = HORIZON, against: str = "") -> pd.Series:
    """Return one row of the results."""
    rows = results.query("way == @way and measure == @measure and horizon == @horizon and against == @against")
    return rows.iloc[0]


def test_forecast_of_simulated_customers_is_calibrated(tried):
    results, curve = tried
    assert figure(results, Rule.FORECAST, "calibration")["value"] < 0.04
    assert figure(results, Rule.FORECAST, "total")["value"] == pytest.approx(1, abs=0.1)
    assert figure(results, Rule.FORECAST, "total", SPEND_DAYS)["value"] == pytest.approx(1, abs=0.15)
    bands = curve[(curve["Way"] == Rule.FORECAST) & (curve["Customers"] > 200)]
    assert (bands["Forecast"] - bands["Actual"]).abs().max() < 0.08


def test_forecast_loses_nothing_where_bgnbd_is_the_truth(tried):
    results, _ = tried
    assert figure(results, Rule.FORECAST, "brier")["value"] < figure(results, Rule.BGNBD, "brier")["value"] + 0.003
    for simple in (Rule.RATE, Rule.RECENCY):
        assert figure(results, Rule.FORECAST, "brier")["value"] < figure(results, simple, "brier")["value"]
    assert figure(results, Rule.FORECAST, "error", SPEND_DAYS, Rule.NAIVE)["high"] < 0


def test_measures_are_those_of_scikit_learn(shop, tried):
    results, _ = tried
    wanted: list[tuple[float, float, float]] = []
    for day in DAYS:
        found = customer_forecast(shop, day)
        window = shop["InvoiceDate"].between(pd.Timestamp(day) + pd.Timedelta(days=1), pd.Timestamp(day) + pd.Timedelta(days=30))
        bought, chance = found["CustomerID"].isin(shop.loc[window, "CustomerID"]), found["Order30"]
        bands = (bought - chance).groupby((chance * 10).astype(int).clip(upper=9)).sum().abs()
        wanted.append((brier_score_loss(bought, chance), roc_auc_score(bought, chance), bands.sum() / len(found)))
    means = dict(zip(("brier", "auc", "calibration"), np.mean(wanted, axis=0), strict=True))
    assert {name: figure(results, Rule.FORECAST, name)["value"] for name in means} == pytest.approx(means, abs=1e-4)
    rows = pd.DataFrame([figure(results, Rule.FORECAST, name) for name in means])
    assert rows["windows"].tolist() == [3, 3, 3]  # the days are 30 days apart, as long as the windows
    assert rows["least"].tolist() == pytest.approx(np.min(wanted, axis=0).tolist(), abs=1e-4)
    assert rows["most"].tolist() == pytest.approx(np.max(wanted, axis=0).tolist(), abs=1e-4)


def test_verdict_says_whether_the_forecast_beats_bgnbd(tried):
    results, _ = tried
    read, *said = verdict(results)
    assert "on 3 past days" in read
    assert [line.partition(",")[0] for line in said] == ["Brier score", "Calibration error", "AUC"]
    better = results.assign(low=results["low"].where(results["against"] == "", 0.1), high=results["high"].clip(lower=0.2))
    assert [line.rpartition(": ")[2] for line in verdict(better)[1:]] == ["worse.", "worse.", "better."]
    assert verdict(results[:0])[0].startswith("There is no forecast of each customer to try")


def test_only_days_with_a_closed_window_are_measured(shop):
    last = shop["InvoiceDate"].max().date()
    closed = last - dt.timedelta(days=HORIZON)
    results, _ = evaluate(shop, [closed, closed + dt.timedelta(days=1), START], draws=5)
    assert set(results["days"]) == {1}
    results, curve = evaluate(shop, [last], draws=5)
    assert (len(results), len(curve)) == (0, 0)


def test_comparison_has_a_row_per_way_and_a_column_per_measure(tried):
    results, _ = tried
    table = comparison(results)
    assert table.index.tolist() == results["way"].unique().tolist()
    row = figure(results, Rule.FORECAST, "brier")
    value, low, high, least, most = (f"{row[name]:.3f}" for name in ("value", "low", "high", "least", "most"))
    text = f"{value} ({low} to {high}) [{least} to {most} in 3]"
    assert table.loc[Rule.FORECAST, "brier, 30 days"] == text
    assert table.loc[Rule.NAIVE, "brier, 30 days"] == ""


# ── the real shop: days from January on were not used to choose anything ─────────────────────────
@pytest.mark.real
def test_real_forecast_meets_its_targets_on_unused_days(real_files: Path):
    lines = sales(real_files, dt.date(2026, 2, 28))
    invoices = lines.groupby(["customer", "invoice"], as_index=False).agg(
        TotalPrice=("spent", "sum"), InvoiceDate=("date", "max")
    )
    shop = invoices.rename(columns={"customer": "CustomerID", "invoice": "InvoiceNo"})
    results, _ = evaluate(shop, [dt.date(2026, 1, day) for day in range(2, 30, 3)])
    assert figure(results, Rule.FORECAST, "calibration")["value"] < 0.03
    assert figure(results, Rule.FORECAST, "brier")["value"] < 0.163
    better = figure(results, Rule.FORECAST, "auc", against=Rule.BGNBD)
    assert better["value"] > 0.010
    assert better["low"] > 0
