"""Whether an action helps: draw who is written to and who is held out, say what such a list can find, and measure the uplift.

The uplift is the difference of the two arms, adjusted by a forecast that was made before the start (CUPED). It is given once
the window that was set before the start is over: a figure that is looked at every day would find an effect too often.

The interval comes from the draw: it is as wide as the differences that other draws of the same list would give by chance.

Sources: Deng, Xu, Kohavi, Walker (2013), *Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data*; Imbens and Rubin (2015), *Causal inference for statistics*, chapter 9, for the draw within strata.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rfm import words
from rfm.analysis.backtest import bought_between
from rfm.analysis.formatting import amount, as_rows, decimal, number, share, whole
from rfm.errors import SettingsError
from rfm.words import _, ngettext

WRITTEN, HELD = "written to", "held out"
STRATUM = 20  # customers with similar forecasts among whom the arms are drawn
SURE, POWER = 0.95, 0.8  # of intervals; the chance with which `smallest_effect` is found
MEASURES = {"Bought": "OrderExpected", "Orders": "OrderExpected", "Revenue": "SpendExpected"}  # outcome: its forecast
LEAST = 2  # customers in each arm


def draw_arms(customers: pd.DataFrame, holdout: float, key: str) -> pd.Series:
    """Return the arm of each customer, `WRITTEN` or `HELD`: the same for the same customers and key, in any order of rows."""
    held = round(holdout * len(customers))
    if min(held, len(customers) - held) < LEAST:
        raise SettingsError(
            f"holdout: {holdout:g} of {len(customers)} customers leaves {held} held out and {len(customers) - held} written to; "
            f"each arm needs at least {LEAST}, so choose more customers or another share"
        )
    ids = customers["CustomerID"].astype(str)
    hashes = [hashlib.sha256(f"{key}\0{one}".encode()).hexdigest() for one in ids]
    order = pd.DataFrame({"forecast": customers["OrderExpected"].to_numpy(float), "hash": hashes}, index=customers.index)
    order = order.sort_values(["forecast", "hash"])
    order["stratum"] = np.arange(len(order)) // STRATUM
    order = order.sort_values(["stratum", "hash"], kind="stable")
    return pd.Series(np.where(_held_places(len(order), held), HELD, WRITTEN), index=order.index).reindex(customers.index)


def _held_places(size: int, held: int) -> np.ndarray:
    """Return True for the places of a list that are held out, spread evenly; in a stratum, the hash decides who has which."""
    # place n is held out where the running share passes the next whole number, so the counts are exact over all strata
    return np.diff(np.arange(size + 1) * held // size) > 0


# ── before the start ────────────────────────────────────────────────────────────
def smallest_effect(expected: Sequence[float] | pd.Series, written: int, held: int) -> float:
    """Return the smallest rise of the share of buyers that is found four times in five, in shares."""
    from scipy.stats import norm

    # This rise is `reach` standard errors of `standard_error`, which grows with it: a quadratic equation with one root above 0.
    reach, chance = norm.ppf((1 + SURE) / 2) + norm.ppf(POWER), np.asarray(expected, dtype=float)
    arms, part = reach**2 * (1 / written + 1 / held), written / (written + held)
    square, linear = 1 - arms * part * (1 - 2 * part), arms * part * (1 - 2 * chance.mean())
    return float((linear + np.sqrt(linear**2 + 4 * square * arms * _own_variance(chance))) / (2 * square))


def standard_error(expected: Sequence[float] | pd.Series, written: int, held: int, rise: float = 0.0) -> float:
    """Return the standard error of the difference of both arms' shares of buyers, if the campaign raises the share by a rise."""
    chance, part = np.asarray(expected, dtype=float), written / (written + held)
    variance = _own_variance(chance) + part * rise * (1 - 2 * chance.mean()) + part * rise**2 * (1 - 2 * part)
    return float(np.sqrt(variance * (1 / written + 1 / held)))


def _own_variance(chance: np.ndarray) -> float:
    """Return the variance of outcomes with these chances, without what the chances explain."""
    return float(max((chance * (1 - chance)).mean(), np.finfo(float).tiny))


# ── afterwards ────────────────────────────────────────────────────────────
def outcomes(members: pd.DataFrame, purchases: pd.DataFrame, start: dt.date, end: dt.date) -> pd.DataFrame:
    """Return the members with Bought (0 or 1), Orders and Revenue from the day after the start up to the end."""
    orders, revenue = bought_between(purchases, start, end, pd.Index(members["CustomerID"].to_numpy(object)))
    return members.assign(Bought=(orders > 0).astype(int), Orders=orders, Revenue=revenue.round(2))


def uplift(members: pd.DataFrame) -> pd.DataFrame:
    """Return, per outcome, the mean of both arms and the uplift per customer with its interval; Found if that is without 0."""
    members = members.sort_values(["OrderExpected", "CustomerID"])  # in the strata of the draw
    return pd.DataFrame([_difference(members, name, forecast) for name, forecast in MEASURES.items()])


def _difference(members: pd.DataFrame, name: str, forecast: str) -> dict[str, Any]:
    """Return the difference of the arms in one outcome, adjusted by its forecast, with the interval of the draw."""
    from scipy.stats import norm

    values, expected = members[name].to_numpy(float), members[forecast].to_numpy(float)
    written, centred = members["Arm"].to_numpy() == WRITTEN, expected - expected.mean()
    slope = float(centred @ values / (centred @ centred)) if centred @ centred > 0 else 0.0
    adjusted = values - slope * centred
    found = round(float(adjusted[written].mean() - adjusted[~written].mean()), 12)  # 0 where all customers did the same
    reach = float(norm.ppf((1 + SURE) / 2)) * _spread_of_draws(members, adjusted)
    means = {"Written": float(values[written].mean()), "HeldOut": float(values[~written].mean())}
    ends = {"Low": found - reach, "High": found + reach}
    return {"Measure": name, **means, "Uplift": found, **ends, "Found": not ends["Low"] <= 0 <= ends["High"]}


def _spread_of_draws(members: pd.DataFrame, values: np.ndarray) -> float:
    """Return the standard deviation of the difference of the arms over all draws of a list, if the campaign changes nothing.

    Both arms count in each draw, so a single large order makes it no narrower in one draw than in another, as it does where
    the spread is that within the arms as they were drawn.
    """
    held, starts = int((members["Arm"] == HELD).sum()), np.arange(0, len(values), STRATUM)
    parts = (np.ones(len(values)), _held_places(len(values), held), values - values.mean(), (values - values.mean()) ** 2)
    size, chosen, total, squares = (np.add.reduceat(part, starts, dtype=float) for part in parts)
    variance = np.maximum(squares - total**2 / size, 0.0) / np.maximum(size - 1, 1)
    return float(np.sqrt((chosen * (1 - chosen / size) * variance).sum()) * (1 / held + 1 / (len(values) - held)))


def with_results(campaigns: pd.DataFrame, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of ``campaigns``, each with its newest rows of ``campaign_results`` as Results."""
    by_name = results.groupby("Campaign")
    newest = {name: as_rows(rows[rows["UpdateDate"] == rows["UpdateDate"].max()]) for name, rows in by_name}
    return [row | {"Results": newest.get(row["Campaign"], [])} for row in as_rows(campaigns)]


# ── in words ────────────────────────────────────────────────────────────
def window(about: Mapping[str, Any]) -> str:
    """Return from when to when a campaign is measured."""
    if about["Closed"]:
        return _("from {day}, closed on {day2}", day=words.day(about["Start"]), day2=words.day(about["Closed"]))
    return _("from {day} until {day2}", day=words.day(about["Start"]), day2=words.day(about["Ends"]))


def before_the_start(about: Mapping[str, Any], arms: Mapping[str, int]) -> str:
    """Return what a list can find, in sentences."""
    people = _("{all} customers: {written} to write to, {held} held out.")
    people = people.format(all=whole(about["Customers"]), written=whole(arms[WRITTEN]), held=whole(arms[HELD]))
    expected = _("Without a campaign, {share} of them would order by {day}.")
    expected = expected.format(share=share(about["Expected"]), day=words.day(about["Ends"]))
    found = _("A change of {n} points or more is found four times in five.", n=decimal(100 * about["Smallest"], 1))
    return f"{people} {expected} {found}"


def result_in_words(about: Mapping[str, Any], written: int, currency: str) -> list[str]:
    """Return what is known of a campaign, from its newest results, in sentences."""
    if not about["Results"]:
        return [_("Not measured yet: the first run after {day} measures it.", day=words.day(about["Start"]))]
    bought, revenue = (next(row for row in about["Results"] if row["Measure"] == name) for name in ("Bought", "Revenue"))
    so_far = _(
        "{share} of those written to have ordered, {share2} of those held out; they spent {amount} and {amount2} per customer."
    ).format(
        share=share(bought["Written"]),
        share2=share(bought["HeldOut"]),
        amount=amount(revenue["Written"], currency),
        amount2=amount(revenue["HeldOut"], currency),
    )
    if bought["Uplift"] is None:
        left = (about["Ends"] - bought["UpdateDate"]).days
        unsure = ngettext(
            "Not yet sure: {n} more day until {day}. A difference that is read earlier would mislead.",
            "Not yet sure: {n} more days until {day}. A difference that is read earlier would mislead.",
            left,
            n=number(left),
            day=words.day(about["Ends"]),
        )
        return [so_far, unsure]
    points = {end.lower(): words.digits(f"{100 * bought[end]:+.1f}").replace("-", "−") for end in ENDS}
    none = _("It may have done nothing: such a list finds a change of {n} points or more.")
    none = none.format(n=decimal(100 * about["Smallest"], 1))
    verdict = none if bought["Low"] <= 0 <= bought["High"] else _("It changed how many order.")
    earned = {end.lower(): amount(revenue[end] * written, currency) for end in ENDS}
    uplift = _("Uplift {uplift} points of customers who order (95 % interval {low} to {high}).", **points)
    money = _("Earned {uplift} in all (95 % interval {low} to {high}), before what it cost.", **earned)
    return [so_far, f"{uplift} {verdict}", money]


ENDS = ("Uplift", "Low", "High")
