"""Count who moved between segments since an earlier run and why, and measure how stable the segments are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from decimal import Decimal
from itertools import combinations
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from rfm.analysis.clustering import Model, features
from rfm.analysis.clustering.k_selection import margin, mean_silhouette
from rfm.analysis.formatting import amount, whole
from rfm.analysis.metrics import purchased_since
from rfm.contracts import TABLES, arrow_typed, eager, typed_rows
from rfm.words import N_, _, ngettext, tell

TITLES = {1: N_("Since yesterday"), 7: N_("In a week"), 30: N_("In a month")}  # of a period, in days
PERIODS = tuple(TITLES)
CAUSES = {  # column of ``segment_movement``: how it is worded
    "Bought": N_("because they bought"),
    "TimePassed": N_("because time passed"),
    "ModelChanged": N_("because the model changed"),
}
SEGMENT = "Cluster_Description"
# Ages in days of the run dates of which each pair is compared: near ones densely, as readers ask for them.
AGES = (*range(8), 14, 21, *range(30, 361, 30), *range(540, 3601, 180))


def since(dates: Collection[dt.date], run_date: dt.date) -> dict[int, dt.date]:
    """Return the earlier run date that each of `PERIODS` looks back to.

    It is the newest one that is at least as old as the period, and at most twice as old or a week. A period without such a
    run is left out.

    Examples
    --------
    >>> since([dt.date(2025, 6, 1), dt.date(2025, 6, 20), dt.date(2025, 6, 29)], dt.date(2025, 6, 30))
    {1: datetime.date(2025, 6, 29), 7: datetime.date(2025, 6, 20)}
    """
    ages = {(run_date - date).days: date for date in dates}
    nearest = {days: min((age for age in ages if days <= age <= max(2 * days, 7)), default=None) for days in PERIODS}
    return {days: ages[age] for days, age in nearest.items() if age is not None}


def totals_by_day(history: Any, run_date: dt.date) -> pd.DataFrame:
    """Return customers, orders, revenue and number of segments of each run date before one, oldest first.

    ``history`` is a frame of any engine with the columns of ``customer_rfm_kmeans_clustered_history``.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> history = rfm.example("customer_rfm_kmeans_clustered_history")
    >>> rfm.movement.totals_by_day(history, datetime.date(2025, 10, 23))[["customers", "orders", "named"]]
       customers  orders  named
    0        376     858      7
    """
    sums = {"customers": nw.len(), "orders": nw.col("Frequency").sum(), "revenue": nw.col("Monetary").sum()}
    sums["named"] = nw.col(SEGMENT).n_unique()
    return _summed(history, nw.col("UpdateDate") < nw.lit(run_date), ["UpdateDate"], sums)


def _summed(history: Any, chosen: nw.Expr, by: list[str], sums: dict[str, nw.Expr]) -> pd.DataFrame:
    """Return sums over groups of chosen rows of a frame of any engine, in the order of the groups."""
    found: Any = nw.from_native(history, pass_through=False).filter(chosen).group_by(*by).agg(**sums).sort(*by)
    return eager(found).to_pandas()


def segment_totals(history: Any, run_date: dt.date) -> pd.DataFrame:
    """Return customers and revenue of each segment, and its shares of both, on each run date up to one, oldest first.

    ``history`` is a frame of any engine with the columns of ``customer_rfm_kmeans_clustered_history``.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> history = rfm.example("customer_rfm_kmeans_clustered_history")
    >>> totals = rfm.movement.segment_totals(history, datetime.date(2025, 10, 23))
    >>> totals[["UpdateDate", "Segment", "Customers", "Revenue"]].head(2)
       UpdateDate             Segment  Customers  Revenue
    0  2025-10-22   At Risk Customers         49  6196.81
    1  2025-10-22  Dormant High Value         22  7166.65
    """
    sums = {"Customers": nw.len(), "Revenue": nw.col("Monetary").sum()}
    table = _summed(history, nw.col("UpdateDate") <= nw.lit(run_date), ["UpdateDate", SEGMENT], sums)
    size, money = table["Customers"].astype("int64"), table["Revenue"].astype(float)
    days = pd.to_datetime(table["UpdateDate"]).dt.date
    shares = {"CustomerShare": size / size.groupby(days).transform("sum")}
    shares["RevenueShare"] = money / money.groupby(days).transform("sum").replace(0, 1)
    found = pd.DataFrame({"UpdateDate": days, "Segment": table[SEGMENT].astype(object), "Customers": size})
    return found.assign(Revenue=[Decimal(str(amount)) for amount in table["Revenue"]], **shares).reset_index(drop=True)


def comparable(dates: Collection[dt.date], run_date: dt.date) -> list[dt.date]:
    """Return the run dates of which each pair is compared, oldest first: the newest of each of `AGES`, and the oldest of all.

    Examples
    --------
    >>> days = [dt.date(2025, 6, 30) - dt.timedelta(days=back) for back in range(20)]
    >>> [day.day for day in comparable(days, days[0])]
    [11, 16, 23, 24, 25, 26, 27, 28, 29, 30]
    """
    past = [date for date in dates if date <= run_date]
    newest = {max((date for date in past if (run_date - date).days >= age), default=run_date) for age in AGES}
    return sorted({*newest, min(past, default=run_date)} & {*past})


def moves_between(history: pd.DataFrame) -> pd.DataFrame:
    """Return the moves between the segments of each two run dates of some rows of the history.

    From_Segment is empty for customers who are only in the later run, To_Segment for those only in the earlier one. Revenue
    is what these customers had brought by the later run date.

    Examples
    --------
    >>> import rfm
    >>> moves = rfm.movement.moves_between(rfm.example("customer_rfm_kmeans_clustered_history"))
    >>> moves[["From_Segment", "To_Segment", "Customers", "Revenue"]].head(1)
            From_Segment         To_Segment  Customers  Revenue
    0  At Risk Customers  At Risk Customers         47  5915.76
    """
    of = (history["CustomerID"], pd.to_datetime(history["UpdateDate"]).dt.date, history[SEGMENT])
    (customer, ids), (day, days), (segment, names) = (pd.factorize(one.to_numpy(object), sort=True) for one in of)
    there, cents = np.full((len(days), len(ids)), len(names)), np.zeros((len(days), len(ids)))
    there[day, customer] = segment
    cents[day, customer] = [int(Decimal(str(amount)).scaleb(2)) for amount in history["Monetary"]]
    labels, wide = [*names, ""], len(names) + 1
    rows = []
    for then, now in combinations(range(len(days)), 2):
        way = there[then] * wide + there[now]
        counts, sums = np.bincount(way, minlength=wide**2), np.bincount(way, cents[now], wide**2)
        rows += [
            (days[then], days[now], labels[at // wide], labels[at % wide], int(counts[at]), Decimal(int(sums[at])).scaleb(-2))
            for at in np.flatnonzero(counts[:-1]).tolist()  # the last: in neither run
        ]
    return pd.DataFrame(rows, columns=["Since", "UpdateDate", "From_Segment", "To_Segment", "Customers", "Revenue"])


def movement(customers: pd.DataFrame, history: pd.DataFrame, models: Mapping[dt.date, Model], run_date: dt.date) -> pd.DataFrame:
    """Return ``segment_movement``: customers by segment now and a day, a week and a month ago, and the causes of their moves.

    A move is caused by a purchase if the customer bought since then; by time if the earlier model, given today's metrics,
    assigns today's segment; otherwise by the change of the model. The causes add up to Customers where the segment changed,
    and are 0 elsewhere. From_Segment is empty for new customers.

    Parameters
    ----------
    customers
        Of today, columns of ``customer_rfm_description_and_recommendation``.
    history
        Rows of ``customer_rfm_kmeans_clustered_history`` of the days that `since` returns; others are ignored.
    models
        Model of each run date, see `rfm.Model.kept`.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> models = rfm.Model.kept(rfm.example("cluster_models"), day)
    >>> history = rfm.example("customer_rfm_kmeans_clustered_history")
    >>> moves = rfm.movement.movement(rfm.example("customer_rfm_description_and_recommendation"), history, models, day)
    >>> moves[["Days", "Since", "From_Segment", "To_Segment", "Customers"]].tail(2)
        Days       Since         From_Segment           To_Segment  Customers
    15     1  2025-10-22        New Customers        New Customers        127
    16     1  2025-10-22  Super VIP Champions  Super VIP Champions         20
    """
    contract = TABLES["segment_movement"]
    tables = []
    for days, date in since(models, run_date).items():
        moves = _movement(customers, history[history["UpdateDate"] == date], models[date])
        tables.append(moves.assign(UpdateDate=run_date, Days=days, Since=date))
    return pd.concat(tables, ignore_index=True)[contract.names] if tables else arrow_typed(contract, pd.DataFrame())


def _movement(customers: pd.DataFrame, earlier: pd.DataFrame, model: Model) -> pd.DataFrame:
    """Count the moves since one earlier run."""
    then = customers["CustomerID"].map(earlier.set_index("CustomerID")[SEGMENT]).fillna("")
    now, bought = customers[SEGMENT], purchased_since(customers, earlier)
    moved = ((then != now) & (then != "")).to_numpy(bool)
    given = earlier["Cluster"].astype(int).astype(str).map(model.names)  # a customer who waited for this name moved by the model
    fitted = customers["CustomerID"].isin(earlier["CustomerID"][given == earlier[SEGMENT]]).to_numpy(bool)
    timed = ~bought & fitted & (model.segments(customers) == now.to_numpy(object))
    causes = {"Bought": moved & bought, "TimePassed": moved & timed, "ModelChanged": moved & ~bought & ~timed}
    rows = pd.DataFrame({"From_Segment": then, "To_Segment": now, "Customers": 1, "Revenue": customers["Monetary"], **causes})
    return rows.groupby(["From_Segment", "To_Segment"], as_index=False).sum()


def largest_moves(movement: pd.DataFrame, n: int = 3, currency: str = "£", days: int = 1) -> list[str]:
    """Describe the largest moves of a period (one of `PERIODS`) in a sentence each, most customers first.

    Examples
    --------
    >>> import rfm
    >>> rfm.movement.largest_moves(rfm.example("segment_movement"), n=1)
    ['8 customers (£8,080) moved from Dormant Ultra High Value to Ultra Big Spenders because the model changed']
    """
    moved = movement[(movement["Days"] == days) & ~movement["From_Segment"].isin([""])]
    moved = moved[moved["From_Segment"] != moved["To_Segment"]]
    largest = moved.sort_values(["Customers", "From_Segment", "To_Segment"], ascending=[False, True, True]).head(n)
    return [_sentence(row, currency) for row in largest.to_dict("records")]


def _sentence(row: Mapping[str, Any], currency: str) -> str:
    """Describe one move."""
    causes = {_(why): row[cause] for cause, why in CAUSES.items() if row[cause]}
    several = ": " + ", ".join(f"{whole(n)} {why}" for why, n in causes.items())
    moved = ngettext(
        "{n} customer ({amount}) moved from {before} to {now}",
        "{n} customers ({amount}) moved from {before} to {now}",
        row["Customers"],
        n=whole(row["Customers"]),
        amount=amount(row["Revenue"], currency, whole_from=0),
        before=tell(row["From_Segment"]),
        now=tell(row["To_Segment"]),
    )
    return moved + several if len(causes) > 1 else _("{move} {why}", move=moved, why=[*causes][0])


def stability(customers: pd.DataFrame, history: pd.DataFrame, models: Mapping[dt.date, Model], run_date: dt.date) -> pd.DataFrame:
    """Return ``segment_stability``, one row: how stable the segments are compared with the run before.

    It compares customers without a purchase since then: how many changed segment, and the adjusted Rand index of their
    clusters then and now. The silhouette is that of the clusters as published, with customers who kept yesterday's and those
    kept out of the fit, but without outliers; those in ``cluster_models`` are of the fits. Parameters as for `movement`.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> models = rfm.Model.kept(rfm.example("cluster_models"), day)
    >>> history = rfm.example("customer_rfm_kmeans_clustered_history")
    >>> steady = rfm.movement.stability(rfm.example("customer_rfm_description_and_recommendation"), history, models, day)
    >>> steady[["Method", "k", "Compared"]]
      Method  k  Compared
    0   warm  6       347
    """
    from sklearn.metrics import adjusted_rand_score

    model, regular = models[run_date], customers[customers["Cluster"] >= 0]
    before = since(models, run_date).get(1)
    earlier = history[history["UpdateDate"] == before].set_index("CustomerID")
    quiet = customers[~purchased_since(customers, earlier.reset_index())]
    then = earlier.reindex(quiet["CustomerID"])
    renamed = int((then[SEGMENT].to_numpy(object) != quiet[SEGMENT].to_numpy(object)).sum())
    clusters = then["Cluster"].to_numpy(int), quiet["Cluster"].to_numpy(int)
    row = {
        "UpdateDate": run_date,
        "Method": "warm" if model.previous else "full",
        "FittedOn": dt.date.fromisoformat(model.fitted),
        "Previous": before,
        "k": model.k,
        "KMargin": margin(model.scores, model.k),
        "Compared": len(quiet),
        "Renamed": renamed,
        "RenamedShare": renamed / len(quiet) if len(quiet) else None,
        "AdjustedRand": adjusted_rand_score(*clusters) if len(quiet) else None,
        "Drift": max((moved for moved in model.drift if moved is not None), default=None),
        "Silhouette": mean_silhouette(model.scaled(features(regular)), regular["Cluster"].to_numpy(int)),
    }
    return typed_rows(TABLES["segment_stability"], [row])
