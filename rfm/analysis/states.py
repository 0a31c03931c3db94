"""The state of each customer by her own numbers and her own rhythm, and who should be called.

No cluster and no model decides a state, so it changes only by a purchase, by time, or by a rule's limit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from statistics import median_grouped
from typing import NamedTuple

import numpy as np
import pandas as pd

from rfm.analysis.formatting import count, number
from rfm.analysis.segments.alternatives import own_segments
from rfm.analysis.segments.rules import PREMIUM, action_of
from rfm.config import Cutoffs, States
from rfm.contracts import TABLES
from rfm.words import _, ngettext


class Rule(NamedTuple):
    """A row of the table of states: a state, and its conditions as measure, relation and name of the limit in `States`."""

    state: str
    conditions: tuple[tuple[str, str, str], ...] = ()


ABOVE, UP_TO = "above", "up to"
OWN_RHYTHM = ("PurchaseDays", ABOVE, "own_gaps")  # without one, nobody is clearly overdue
# The first rule whose conditions all hold gives the state; the last has none, so that every customer has exactly one.
RULES = (
    Rule("new", (("SinceFirst", UP_TO, "new_days"),)),
    Rule("lost", (("Recency", ABOVE, "lost_days"), ("Overdue", ABOVE, "overdue"))),
    Rule("won back", (("SinceReturn", UP_TO, "new_days"),)),
    Rule("at risk", (("Worth", ABOVE, "worth"), ("Recency", ABOVE, "quiet_days"), ("Overdue", ABOVE, "overdue"), OWN_RHYTHM)),
    Rule("cooling", (("Overdue", ABOVE, "cooling"),)),
    Rule("cooling", (("Recency", ABOVE, "quiet_days"),)),
    Rule("active"),
)
STATES = ("new", "active", "won back", "cooling", "at risk", "lost")  # in the order in which pages show them
TO_CALL = ("cooling", "at risk", "lost")  # called if the customer is worth it
WEIGHT = 100  # gaps of usual_gap days that count beside those of a group
HORIZON = 90  # days of expected spend


def rhythms(purchases: pd.DataFrame, as_of: dt.date, limits: States = States()) -> pd.DataFrame:
    """Return per customer, by CustomerID: first purchase, purchase days, usual gap, and the return from the last long silence.

    Parameters
    ----------
    purchases
        CustomerID and InvoiceDate of each counted invoice, see `rfm.stages.purchases`; later ones are ignored.
    as_of
        Count up to this day; an earlier day gives the rhythms of that day.

    Returns
    -------
    pd.DataFrame
        FirstPurchase, PurchaseDays, UsualGap in days, OwnGap (True if UsualGap is the median of the customer's own gaps, False
        if it is that of customers with as many purchase days who came back), Returned (NaT without such a return).

    Examples
    --------
    >>> days = ["2025-06-01", "2025-06-11", "2025-06-23", "2025-06-30"]
    >>> purchases = pd.DataFrame({"CustomerID": ["1", "1", "1", "2"], "InvoiceDate": pd.to_datetime(days)})
    >>> rhythms(purchases, dt.date(2025, 6, 30))[["PurchaseDays", "UsualGap", "OwnGap"]].to_dict("list")
    {'PurchaseDays': [3, 1], 'UsualGap': [11.0, 29.8], 'OwnGap': [True, False]}
    """
    visits = _visits(purchases, as_of)
    groups = visits.groupby("CustomerID", sort=True)
    found = pd.DataFrame(
        {"FirstPurchase": groups["Day"].min(), "PurchaseDays": groups.size(), "UsualGap": groups["Gap"].median()}
    )
    found["OwnGap"] = found["PurchaseDays"] > limits.own_gaps
    alike = _gaps_alike(visits, limits)
    found["UsualGap"] = found["UsualGap"].where(found["OwnGap"], found["PurchaseDays"].map(alike))
    found["Returned"] = _returns(visits, alike, limits).reindex(found.index)
    return found


def _visits(purchases: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Return one row per customer and purchase day, with its number from 0 and the days since the one before."""
    seen = pd.DataFrame({"CustomerID": purchases["CustomerID"], "Day": pd.to_datetime(purchases["InvoiceDate"])})
    seen = seen[seen["Day"] <= pd.Timestamp(as_of)].drop_duplicates().sort_values(["CustomerID", "Day"], ignore_index=True)
    groups = seen.groupby("CustomerID")
    return seen.assign(Place=groups.cumcount(), Gap=groups["Day"].diff().dt.days)


def _gaps_alike(visits: pd.DataFrame, limits: States) -> dict[int, float]:
    """Return, by number of purchase days, the median days until the next one of those who came back."""
    # Steady, as a change moves hundreds of customers at once: the median is interpolated within the day (grouped, as
    # statistics calls it), and counts beside `WEIGHT` gaps of usual_gap days, which matter in a young shop.
    gaps = {place: visits.loc[visits["Place"] == place, "Gap"].tolist() for place in range(1, limits.own_gaps + 1)}
    sums = {place: len(own) * median_grouped(own) if own else 0.0 for place, own in gaps.items()}
    return {place: round((sums[place] + WEIGHT * limits.usual_gap) / (len(gaps[place]) + WEIGHT), 1) for place in gaps}


def _returns(visits: pd.DataFrame, alike: Mapping[int, float], limits: States) -> pd.Series:
    """Return, per customer who was lost by the rule before a purchase, the day of the last such purchase."""
    ids, place, gap = (visits[name].to_numpy() for name in ("CustomerID", "Place", "Gap"))
    back = []
    for row in np.flatnonzero(gap - 1 > limits.lost_days):
        before = gap[row - place[row] + 1 : row]
        usual = np.median(before) if place[row] > limits.own_gaps else alike[place[row]]
        if (gap[row] - 1) / max(usual, limits.shortest_gap) > limits.overdue:
            back.append(row)
    return visits.iloc[back].assign(CustomerID=ids[back]).groupby("CustomerID")["Day"].max()


def states_of(customers: pd.DataFrame, purchases: pd.DataFrame, as_of: dt.date, limits: States = States()) -> pd.DataFrame:
    """Return State and what gives it, on the index of `customers`: `rhythms`, SinceFirst, SinceReturn, Overdue and Worth.

    Overdue is Recency in usual gaps, Worth the spend in medians. `customers` has columns of ``customer_rfm_gold`` of the
    same day; those of the history and an earlier day give the states of that day. Nobody is new whose first purchase is in
    the first days of the files: an earlier one may not be in them.

    Examples
    --------
    >>> import rfm
    >>> day = dt.date(2025, 10, 23)
    >>> purchases = rfm.stages.purchases(rfm.example("retail_transactions_silver"), rfm.load_settings(), day)
    >>> found = rfm.states.states_of(rfm.example("customer_rfm_gold"), purchases, day)
    >>> found["State"].value_counts().to_dict()
    {'active': 319, 'cooling': 81}
    """
    rhythm = rhythms(purchases, as_of, limits).reindex(customers["CustomerID"]).set_index(customers.index)
    today, money = pd.Timestamp(as_of), customers["Monetary"].astype(float)
    silent, first = customers["Recency"].astype(float), rhythm["FirstPurchase"]
    known = first >= first.min() + pd.Timedelta(days=limits.new_days)
    found = rhythm.assign(
        Recency=silent,
        SinceFirst=(today - first).dt.days.where(known),
        SinceReturn=(today - rhythm["Returned"]).dt.days,
        Overdue=silent / rhythm["UsualGap"].clip(lower=limits.shortest_gap),
        Worth=money / (money.median() or 1.0),
    )
    return found.assign(State=_first_match(found, limits))


def states_by_day(
    history: pd.DataFrame, purchases: pd.DataFrame, days: Collection[dt.date], limits: States = States()
) -> pd.DataFrame:
    """Return CustomerID, UpdateDate and State of the customers of some run dates, by the purchases known today, oldest first.

    ``history`` has columns of ``customer_rfm_kmeans_clustered_history``, ``purchases`` those of `rhythms`.

    Examples
    --------
    >>> import rfm
    >>> days = [dt.date(2025, 10, 22), dt.date(2025, 10, 23)]
    >>> purchases = rfm.stages.purchases(rfm.example("retail_transactions_silver"), rfm.load_settings(), days[1])
    >>> found = rfm.states.states_by_day(rfm.example("customer_rfm_kmeans_clustered_history"), purchases, days)
    >>> found["State"].value_counts().to_dict()
    {'active': 627, 'cooling': 149}
    """
    both = pd.concat([history["CustomerID"].astype(object), purchases["CustomerID"].astype(object)])
    codes, _ = pd.factorize(both)  # numbers sort and group faster than text
    bought = pd.DataFrame({"CustomerID": codes[len(history) :], "InvoiceDate": pd.to_datetime(purchases["InvoiceDate"])})
    dates, rows = pd.to_datetime(history["UpdateDate"]).dt.date, history.assign(CustomerID=codes[: len(history)])
    parts = [pd.DataFrame({"CustomerID": [], "UpdateDate": [], "State": []}, dtype=object)]
    for day in sorted(days):
        own = rows[dates == day]
        names = history.loc[own.index, "CustomerID"].astype(object)
        state = states_of(own, bought, day, limits)["State"].astype(object)
        parts.append(pd.DataFrame({"CustomerID": names, "UpdateDate": day, "State": state}))
    return pd.concat(parts, ignore_index=True)


def _first_match(found: pd.DataFrame, limits: States) -> np.ndarray:
    """Return the state that the first matching rule gives."""

    def holds(measure: str, relation: str, limit: str) -> pd.Series:
        value = found[measure]  # NaN holds for neither
        return value > getattr(limits, limit) if relation == ABOVE else value <= getattr(limits, limit)

    met = [np.logical_and.reduce([holds(*one) for one in rule.conditions]) for rule in RULES if rule.conditions]
    return np.select(met, [rule.state for rule in RULES if rule.conditions], RULES[-1].state)


def customer_states(
    customers: pd.DataFrame,
    purchases: pd.DataFrame,
    run_date: dt.date,
    limits: States = States(),
    cutoffs: Cutoffs = Cutoffs(),
    actions: Mapping[str, str] | None = None,
    forecast: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return ``customer_states``: state, rhythm, action and money at stake of each customer, and who should be called.

    Parameters
    ----------
    customers
        Columns of ``customer_rfm_description_and_recommendation``.
    purchases
        See `rhythms`.
    limits
        Section ``[states]`` of ``rfm.toml``.
    cutoffs
        Of the decision table, for the segment that a customer's own numbers give.
    actions
        The shop's own actions, by segment or by ``segment / state``.
    forecast
        CustomerID, and the spend expected within 90 days now and a month ago as Spend90 and Spend90Before. Without it, what a
        customer usually spends in 90 days is at stake.

    Examples
    --------
    >>> import rfm
    >>> states = rfm.example("customer_states")
    >>> states[["State", "Rhythm"]].iloc[0].tolist()
    ['active', 'bought on 1 day, others come back after 13 days, silent for 0 days']
    """
    found = states_of(customers, purchases, run_date, limits)
    worth = (found["Worth"] > limits.worth) | (customers["Tier"] == PREMIUM)
    bought = pd.to_datetime(customers["MaxInvoiceDate"]) - found["FirstPurchase"]
    # in 90 days: all spend over the days from first to last purchase and one usual gap
    usual = customers["Monetary"].astype(float) / (bought.dt.days + found["UsualGap"]).clip(lower=HORIZON) * HORIZON
    pairs = [*zip(customers["Cluster_Description"], found["State"], strict=True)]
    chosen = {pair: action_of(*pair, actions or {}) for pair in {*pairs}}
    table = found.assign(
        CustomerID=customers["CustomerID"],
        UpdateDate=run_date,
        Segment=customers["Cluster_Description"],
        FirstPurchase=found["FirstPurchase"].dt.date,
        Rhythm=[_in_words(*row) for row in found[["PurchaseDays", "UsualGap", "OwnGap", "Recency"]].itertuples(index=False)],
        OwnSegment=own_segments(customers, cutoffs),
        UsualSpend=usual.round(2),
        AtStake=_at_stake(customers["CustomerID"], usual, forecast).round(2),
        ToCall=worth & found["State"].isin(TO_CALL),
        Action=[chosen[pair] for pair in pairs],
    )
    return table[TABLES["customer_states"].names]


def call_list(states: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``customer_states`` of those who should be called, the most money at stake first.

    Examples
    --------
    >>> import rfm
    >>> calls = rfm.states.call_list(rfm.example("customer_states"))
    >>> calls[["State", "Rhythm"]].iloc[0].tolist()
    ['cooling', 'usually every 7 days, silent for 13 days']
    """
    rows = states[states["ToCall"].astype(bool)]
    return rows.sort_values(["AtStake", "CustomerID"], ascending=[False, True], ignore_index=True)


def _at_stake(ids: pd.Series, usual: pd.Series, forecast: pd.DataFrame | None) -> pd.Series:
    """Return what is expected of each customer now less than a month ago, or without a forecast the usual spend."""
    if forecast is None or forecast.empty:
        return usual
    expected = forecast.set_index("CustomerID")[["Spend90", "Spend90Before"]].astype(float).reindex(ids).set_axis(ids.index)
    return (expected["Spend90Before"].fillna(usual) - expected["Spend90"].fillna(0.0)).clip(lower=0)


def _in_words(purchase_days: int, gap: float, own: bool, silent: float) -> str:
    """Describe a rhythm: ``usually every 23 days, silent for 96 days``."""
    days = count(silent, "day")
    if own:
        every = _("usually every {n} days, silent for {days}") if gap != 1 else _("usually every day, silent for {days}")
        return every.format(n=number(gap), days=days)
    return ngettext(
        "bought on {days2}, others come back after {n} day, silent for {days}",
        "bought on {days2}, others come back after {n} days, silent for {days}",
        round(gap),
        days2=count(purchase_days, "day"),
        n=number(round(gap)),
        days=days,
    )
