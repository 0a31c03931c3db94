"""Experiments: arms that are alike, intervals that hold, and power that is what was said before."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from rfm.analysis.experiments import HELD, SURE, WRITTEN, draw_arms, outcomes, smallest_effect, standard_error, uplift
from rfm.analysis.forecast import expected_within
from rfm.errors import SettingsError
from tests.analysis.test_backtest import sales


def shop(size: int, seed: int) -> pd.DataFrame:
    """Return customers whose orders follow their forecasts, with skewed spend."""
    draw = np.random.default_rng(seed)
    chance = draw.beta(1.2, 3.0, size)
    bought = (draw.random(size) < chance).astype(int)
    spend = draw.lognormal(4, 1, size)
    return pd.DataFrame(
        {
            "CustomerID": [str(10_000 + number) for number in range(size)],
            **{"OrderExpected": chance, "SpendExpected": chance * spend, "Bought": bought, "Orders": bought},
            "Revenue": bought * spend * draw.lognormal(0, 0.5, size),
        }
    )


def effect_power(expected: pd.Series, written: int, held: int, effect: float) -> float:
    """Return the chance that an effect on the share of buyers is found: that its interval lies above 0."""
    return float(norm.cdf(effect / standard_error(expected, written, held, effect) - norm.ppf((1 + SURE) / 2)))


def test_the_draw_depends_on_ids_and_key_alone():
    customers = shop(300, 1)
    arms = draw_arms(customers, 0.2, "spring")
    mixed = draw_arms(customers.sample(frac=1, random_state=2), 0.2, "spring")
    pd.testing.assert_series_equal(arms, mixed.reindex(arms.index))
    assert (arms == HELD).sum() == 60
    assert 0.05 < (arms != draw_arms(customers, 0.2, "summer")).mean() < 0.6


def test_both_arms_have_the_same_forecast():
    customers = shop(2000, 3)
    arms = draw_arms(customers, 0.2, "spring")
    means = customers.groupby(arms)["OrderExpected"].mean()
    assert abs(means[WRITTEN] - means[HELD]) < 0.003  # by chance alone it would be 0.01


@pytest.mark.parametrize("holdout", [0.001, 0.999])
def test_an_arm_of_one_is_refused(holdout):
    with pytest.raises(SettingsError, match="each arm needs at least 2"):
        draw_arms(shop(100, 1), holdout, "x")


def covered_and_found(customers: pd.DataFrame, splits: int, holdout: float, effect: float) -> tuple[dict[str, float], float]:
    """Return how often the interval of each measure covers 0, and how often a planted effect is found, over many splits."""
    draw, covered, found = np.random.default_rng(5), {"Bought": 0, "Orders": 0, "Revenue": 0}, 0
    for split in range(splits):
        arms = draw_arms(customers, holdout, str(split))
        for row in uplift(customers.assign(Arm=arms)).itertuples():
            covered[row.Measure] += not row.Found
        planted = customers["Bought"].to_numpy().copy()
        idle = np.flatnonzero((arms == WRITTEN).to_numpy() & (planted == 0))
        planted[draw.choice(idle, round(effect * (arms == WRITTEN).sum()), replace=False)] = 1
        found += bool(uplift(customers.assign(Arm=arms, Bought=planted))["Found"].iloc[0])
    return {name: times / splits for name, times in covered.items()}, found / splits


FEW_OR_MANY = pytest.mark.parametrize("splits", [60, pytest.param(1000, marks=pytest.mark.long)])


@FEW_OR_MANY
def test_intervals_cover_and_power_is_as_said(splits):
    customers, effect = shop(1000, 4), 0.05
    covered, found = covered_and_found(customers, splits, 0.5, effect)
    near = 0.02 if splits >= 1000 else 0.06
    assert {name: abs(part - 0.95) <= near for name, part in covered.items()} == dict.fromkeys(covered, True)
    said = effect_power(customers["OrderExpected"], 500, 500, effect)
    assert abs(found - said) <= (0.05 if splits >= 1000 else 0.13)


@pytest.mark.parametrize("written", [200, 800])
def test_standard_error_is_that_of_simulated_outcomes(written):
    held, rise, draw = 1000 - written, 0.1, np.random.default_rng(8)
    chance = draw.beta(2, 8, (4000, 1000)).clip(max=0.9)
    raised = np.arange(1000) < written
    unexplained = (draw.random(chance.shape) < chance + rise * raised) - chance
    error = np.sqrt(unexplained.var(axis=1).mean() * (1 / written + 1 / held))
    assert standard_error(chance.ravel(), written, held, rise) == pytest.approx(error, rel=0.01)
    assert standard_error(chance.ravel(), written, held) < 0.97 * error  # an effect makes the outcomes vary more


@pytest.mark.parametrize("bought", [0, 1])
@pytest.mark.parametrize("size", [4, 41, 1000])
def test_an_outcome_that_is_the_same_for_all_shows_no_effect(bought, size):
    customers = shop(size, 4).assign(Bought=bought, Orders=bought, Revenue=19.99 * bought)
    table = uplift(customers.assign(Arm=draw_arms(customers, 0.5, "spring")))
    assert not table["Found"].any()
    assert (table[["Uplift", "Low", "High"]].abs() < 1e-9).all(axis=None)


def test_one_large_order_makes_every_interval_as_wide():
    customers = shop(1000, 4)
    customers.loc[500, "Revenue"] = 100 * customers["Revenue"].sum()
    found = [uplift(customers.assign(Arm=draw_arms(customers, 0.2, str(key)))).set_index("Measure") for key in range(30)]
    widths = [table.loc["Revenue", "High"] - table.loc["Revenue", "Low"] for table in found]
    assert max(widths) < 1.01 * min(widths)
    assert {table.loc["Revenue", "Uplift"] > 0 for table in found} == {True, False}


@pytest.fixture(scope="module")
def real_lists(real_files: Path) -> dict[str, pd.DataFrame]:
    """Return lists of real customers with their forecasts of 29 January 2026 and what they bought in the 30 days after it."""
    start = dt.date(2026, 1, 29)
    lines = sales(real_files, start + dt.timedelta(days=30))
    bought = lines.groupby(["customer", "invoice"], as_index=False).agg(TotalPrice=("spent", "sum"), InvoiceDate=("date", "max"))
    bought = bought.rename(columns={"customer": "CustomerID", "invoice": "InvoiceNo"})
    before = bought[bought["InvoiceDate"] <= pd.Timestamp(start)]
    customers = outcomes(expected_within(before, start, 30), bought, start, start + dt.timedelta(days=30))
    last = customers["CustomerID"].map(before.groupby("CustomerID")["InvoiceDate"].max())
    silent = customers[last < pd.Timestamp(start) - pd.Timedelta(days=90)]
    drawn = {name: some.sample(1000, random_state=1) for name, some in (("any", customers), ("silent", silent))}
    return {"likely": customers.nlargest(1000, "OrderExpected")} | drawn


@pytest.mark.real
@FEW_OR_MANY
@pytest.mark.parametrize("name", ["any", "likely", "silent"])
def test_intervals_of_real_lists_cover_zero(real_lists, name, splits):
    customers = real_lists[name]
    covered, found = covered_and_found(customers, splits, 0.2, 0.05)
    many = splits >= 1000
    assert abs(covered["Bought"] - 0.95) <= (0.02 if many else 0.06)
    assert min(covered.values()) >= (
        0.93 if many else 0.88
    )  # a few large orders make the interval of money wider, never narrower
    assert abs(found - effect_power(customers["OrderExpected"], 800, 200, 0.05)) <= (0.05 if many else 0.13)


def test_the_smallest_effect_is_found_four_times_in_five():
    chance = shop(1000, 6)["OrderExpected"]
    assert effect_power(chance, 800, 200, smallest_effect(chance, 800, 200)) == pytest.approx(0.8, abs=1e-9)


def test_a_forecast_makes_the_interval_narrower():
    customers = shop(3000, 7)
    customers["Arm"] = draw_arms(customers, 0.5, "spring")
    blind = uplift(customers.assign(OrderExpected=0.3, SpendExpected=1.0)).set_index("Measure")
    seeing = uplift(customers).set_index("Measure")
    width = {name: frame["High"] - frame["Low"] for name, frame in (("blind", blind), ("seeing", seeing))}
    assert (width["seeing"] < width["blind"]).all()
