"""Experiments: arms that are alike, intervals that hold, and power that is what was said before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from rfm.analysis.experiments import HELD, SURE, WRITTEN, _error, draw_arms, smallest_effect, uplift
from rfm.errors import SettingsError


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
    return float(norm.cdf(effect / _error(expected, written, held) - norm.ppf((1 + SURE) / 2)))


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


@pytest.mark.parametrize("splits", [60, pytest.param(1000, marks=pytest.mark.long)])
def test_intervals_cover_and_power_is_as_said(splits):
    customers, effect, draw = shop(1000, 4), 0.05, np.random.default_rng(5)
    covered, found = {"Bought": 0, "Orders": 0, "Revenue": 0}, 0
    for split in range(splits):
        arms = draw_arms(customers, 0.5, str(split))
        for row in uplift(customers.assign(Arm=arms)).itertuples():
            covered[row.Measure] += not row.Found
        planted = customers["Bought"].to_numpy().copy()
        idle = np.flatnonzero((arms == WRITTEN).to_numpy() & (planted == 0))
        planted[draw.choice(idle, round(effect * (arms == WRITTEN).sum()), replace=False)] = 1
        found += bool(uplift(customers.assign(Arm=arms, Bought=planted))["Found"][0])
    near = 0.02 if splits >= 1000 else 0.06
    assert {name: abs(times / splits - 0.95) <= near for name, times in covered.items()} == dict.fromkeys(covered, True)
    said = effect_power(customers["OrderExpected"], 500, 500, effect)
    assert abs(found / splits - said) <= (0.05 if splits >= 1000 else 0.13)


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
