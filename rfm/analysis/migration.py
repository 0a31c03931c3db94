"""Who goes from state to state within 30 days, learned from the shop's own past, and who will be where 30 days from now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from rfm.analysis.forecast import DIGITS, first_day
from rfm.analysis.formatting import amount, exact_share, whole
from rfm.analysis.states import STATES, TO_CALL, states_of
from rfm.config import States
from rfm.contracts import TABLES
from rfm.words import N_, _

STEP, STEPS = 30, 3  # days from one state to the next; newest closed steps that are learned from
EACH = np.eye(len(STATES))  # each state alone
FEW = 30  # steps from a state that say little
HOW = N_(
    "Counted on up to three past days, a month apart: where were the customers of each state 30 days later? The same shares are "
    "expected of the customers of today; new customers are not in it. The number below a state says how often it was seen: fewer "
    "than {few} times (*) is too few to rely on, and a state that was never seen is drawn as if all stay. Money moves by the "
    "shares of money, so that a few large customers can decide a small state. The last columns of the table are what was "
    "expected 30 days ago, and what came."
)
NOT_YET = N_("The shop is too young to say. This will be here from {day} on.")
TOO_FEW = N_(
    "There is too little to say it from. This needs {fewest} customers who have bought, and 75 days since the first sale."
)


def migration(
    states: pd.DataFrame, customers: pd.DataFrame, purchases: pd.DataFrame, run_date: dt.date, limits: States = States()
) -> pd.DataFrame:
    """Return ``state_migration``: which part of each state went where within 30 days, and who will be where 30 days from now.

    It is learned from the purchases alone, with the states as of each past day, so it does not matter when the shop has run.
    Rows of 30 days ago hold what was expected then, and what has come. Spend moves by the shares of spend, not of customers,
    because those who spend more come back more.

    Parameters
    ----------
    states, customers
        Columns State of ``customer_states`` and Monetary of ``customer_rfm_gold``, each with CustomerID, of the run date.
    purchases
        Invoices, see `rfm.stages.purchases`.

    Returns
    -------
    pd.DataFrame
        None while the shop is too young: a state is compared from 45 days after the first sale on, as for the forecast.

    Examples
    --------
    >>> customer = np.repeat(np.arange(150), 4)
    >>> day = pd.Timestamp("2025-06-01") + pd.to_timedelta((customer * 7 + np.tile([0, 9, 30, 60], 150)) % 120, unit="D")
    >>> shop = pd.DataFrame({"CustomerID": customer.astype(str), "TotalPrice": 25.0, "InvoiceDate": day})
    >>> today = state_as_of(shop, dt.date(2025, 9, 28))
    >>> found = migration(today, today, shop, dt.date(2025, 9, 28))
    >>> found.groupby(["Since", "From_State"])["Share"].sum().round(3).unique().tolist()
    [1.0]
    """
    table, first = TABLES["state_migration"], first_day(purchases, run_date)
    if first is None or run_date < first:
        return table.without_rows()
    dates, spent = pd.to_datetime(purchases["InvoiceDate"]), purchases["TotalPrice"].astype(float)
    codes, names = pd.factorize(purchases["CustomerID"])  # numbers group faster than text
    bought = pd.DataFrame({"CustomerID": codes, "InvoiceDate": dates, "TotalPrice": spent})
    days = [run_date - dt.timedelta(days=STEP * back) for back in range(STEPS + 2)]
    past = [state_as_of(bought, day, limits) for day in days[1:] if day >= first - dt.timedelta(days=STEP)]
    today = customers[["CustomerID", "Monetary"]].merge(states[["CustomerID", "State"]], on="CustomerID")
    today["CustomerID"] = names.get_indexer(today["CustomerID"])
    line = [one.set_index("CustomerID").astype({"Monetary": float}) for one in (today, *past)]
    parts = [_expected(line[: STEPS + 1]).assign(Since=run_date)]
    if len(line) > 2:  # noqa: PLR2004
        parts.append(_expected(line[1:], _steps(line[:2])).assign(Since=days[1]))
    found = pd.concat(parts, ignore_index=True).assign(UpdateDate=run_date)
    return found[table.names].astype({"Came": "Int32", "CameRevenue": "Float64"})  # of nulls alone, too


def state_as_of(purchases: pd.DataFrame, as_of: dt.date, limits: States = States()) -> pd.DataFrame:
    """Return CustomerID, Monetary and State of each customer on a past day, from what was bought by then."""
    seen = purchases[purchases["InvoiceDate"] <= pd.Timestamp(as_of)]
    groups = seen.groupby("CustomerID")
    silent = (pd.Timestamp(as_of) - groups["InvoiceDate"].max()).dt.days
    spent = groups["TotalPrice"].sum().round(2).clip(lower=0)  # to the cent, as in gold
    found = pd.DataFrame({"Monetary": spent, "Recency": silent}).reset_index()
    return found.assign(State=states_of(found, seen, as_of, limits)["State"])[["CustomerID", "Monetary", "State"]]


def _steps(line: Sequence[pd.DataFrame]) -> np.ndarray:
    """Return how many customers went from which state to which, and what they had spent, from states from new to old."""
    ways = np.zeros((2, *EACH.shape))
    for after, then in pairwise(line):
        place = _places(then) * len(EACH) + _places(after.reindex(then.index))
        ways += [np.bincount(place, weights, EACH.size).reshape(EACH.shape) for weights in (None, then["Monetary"])]
    return ways


def _places(of_day: pd.DataFrame) -> np.ndarray:
    """Return the place of each customer's state among all states."""
    return pd.Categorical(of_day["State"], STATES).codes.astype(int)


def _expected(line: Sequence[pd.DataFrame], came: np.ndarray | None = None) -> pd.DataFrame:
    """Return the shares of the steps between states from new to old, what they make of the newest, and what came of it."""
    steps, place = _steps(line), _places(line[0])
    sums = np.stack([np.bincount(place, weights, len(EACH)) for weights in (None, line[0]["Monetary"])])[:, :, None]
    whole = steps.sum(axis=2, keepdims=True)
    share, of_spend = np.divide(steps, whole, out=np.stack([EACH, EACH]), where=whole > 0)  # where nobody was, all stay
    of_spend = np.where(whole[1] > 0, of_spend, share)
    customers, revenue = (sums * [share, of_spend]).round(2)
    columns = {"Pairs": steps[0].astype(int), "Share": share.round(DIGITS), "Customers": customers, "Revenue": revenue}
    columns |= {"Came": came[0].astype(int), "CameRevenue": came[1].round(2)} if came is not None else {}
    ends = {"From_State": np.repeat(STATES, len(EACH)), "To_State": np.tile(STATES, len(EACH))}
    found = pd.DataFrame(ends | {name: values.ravel() for name, values in columns.items()})
    known = (found[[name for name in columns if name != "Share"]] > 0).any(axis=1)
    return found[known] if came is not None else found[known].assign(Came=None, CameRevenue=None)


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per state of today: how often its way was seen, and the share that was in each state 30 days later."""
    now = table[table["Since"] == table["Since"].max()]
    wide = now.pivot(index="From_State", columns="To_State", values="Share").reindex(index=STATES, columns=STATES)
    found = wide.dropna(how="all").fillna(0.0)
    seen = now.groupby("From_State")["Pairs"].sum().reindex(found.index)
    return found.assign(Pairs=seen, Few=seen < FEW).rename_axis(columns=None).reset_index()


def outlook(table: pd.DataFrame) -> pd.DataFrame:
    """Return per state its customers and their spend so far, today and 30 days from now; what was expected, and who came."""
    newest = table["Since"].max()
    now, before = table[table["Since"] == newest], table[table["Since"] < newest]
    measures = ["Customers", "Revenue"]
    today, later = (now.groupby(side)[measures].sum() for side in ("From_State", "To_State"))
    found = today.reindex(STATES).join(later.rename(columns="{}Later".format), how="left").fillna(0.0)
    if len(before):
        found = found.join(before.groupby("To_State")[["Customers", "Came"]].sum().set_axis(["Expected", "Came"], axis=1))
    return found.reindex(columns=[*found.columns[:4], "Expected", "Came"]).rename_axis("State").reset_index()


def in_words(table: pd.DataFrame, currency: str = "") -> list[str]:
    """Describe ``state_migration``: who will leave and who will come back, and how right the calculation was a month ago."""
    now = table[table["Since"] == table["Since"].max()]
    away, gone = now["From_State"].isin(TO_CALL), now["To_State"].isin(TO_CALL)

    def people(rows: pd.DataFrame) -> str:
        return whole(rows["Customers"].sum())

    leaving = _(
        "About {n} of the {all} customers who are new, active or won back today will be cooling, at risk or lost in {days} "
        "days. They have brought {amount} so far.",
        n=people(now[~away & gone]),
        all=people(now[~away]),
        days=STEP,
        amount=amount(float(now.loc[~away & gone, "Revenue"].sum()), currency),
    )
    lines = [leaving, _("About {n} of the {all} others will have come back.", n=people(now[away & ~gone]), all=people(now[away]))]
    tried = outlook(table)[["Expected", "Came"]].fillna(0.0).astype(float)
    if everyone := tried["Came"].sum():
        wrong = (tried["Expected"] - tried["Came"]).clip(lower=0).sum()
        said = _(
            "The same calculation {days} days ago was off by {n} of {all} customers ({share}), over the totals of the states.",
            **{"days": STEP, "n": whole(wrong), "all": whole(everyone), "share": exact_share(wrong / everyone)},
        )
        lines.append(said)
    return lines
