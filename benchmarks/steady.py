"""How steady segments are, day after day on the same files: chains begun on several days, and a fresh fit each day.

``python -m benchmarks.steady FOLDER [--from DAY ...] [--to DAY]`` prints the figures of each, how far chains agree, and how
steady the names of the fresh fits could be made by a rule that knows the future.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import rfm
from rfm.analysis import movement
from rfm.analysis.clustering import Model, features
from rfm.analysis.clustering.k_selection import silhouettes
from rfm.analysis.metrics import purchased_since
from rfm.config import Clusters

OFF = Clusters(stability="off")
FIRST, LAST = (dt.date(2025, 7, 26), dt.date(2025, 10, 1), dt.date(2025, 11, 15)), dt.date(2026, 2, 28)
PRICES = (1, 2, 4, 8, 16)  # of a change of name without a purchase, in customer-days with a name that is held
SETTLED, LATER = 60, (30, 47)  # days after which a chain must be steady, and two chains agree


def golds(folder: Path, first: dt.date, last: dt.date) -> Iterator[tuple[dt.date, pd.DataFrame]]:
    """Yield each day with its customers; the files are read and cleaned once."""
    files = [file.source_file for file in rfm.list_files(str(folder), until=last)]
    rows = pa.concat_tables(batch for _, batch in rfm.read_files(str(folder), files, last))
    silver = rfm.clean(pl.DataFrame(pl.from_arrow(rows)).lazy())[0].collect().lazy()
    for number in range((last - first).days + 1):
        day = first + dt.timedelta(days=number)
        yield day, rfm.rfm_metrics(silver, day).collect().to_pandas()


class Chain:
    """Runs day after day in memory: what stages 4 and 5 do."""

    def __init__(self, options: Clusters) -> None:
        self.options, self.models, self.yesterday, self.rows = options, {}, None, []
        self.names: dict[dt.date, pd.Series] = {}
        self.quiet: dict[dt.date, pd.Series] = {}

    def run(self, gold: pd.DataFrame, day: dt.date) -> None:
        """Run one day and note how steady it was."""
        records = pd.concat([model.record for model in self.models.values()] or [pd.DataFrame(columns=["UpdateDate", "model"])])
        earlier = Model.predecessor(records, day, self.options)
        outliers = rfm.outlier_clusters(gold, self.options.iqr_factor)
        found = rfm.cluster(gold, outliers, day, self.options, earlier=earlier, yesterday=self.yesterday)
        clusters, medians = rfm.segments.summarise_clusters(found.customers), rfm.segments.medians_of(found.customers)
        described = rfm.segments.describe_clusters(clusters, medians, before=found.model.before, band=self.options.name_band)
        before = self.yesterday if earlier else None
        customers = rfm.segments.describe_customers(found.customers, described, before, self.options.max_renamed)
        self.models = dict(list(self.models.items())[-1:]) | {day: found.model.named(described)}
        if self.yesterday is not None:
            row = movement.stability(customers, self.yesterday, self.models, day).iloc[0].to_dict()
            self.quiet[day] = pd.Series(~purchased_since(customers, self.yesterday), customers["CustomerID"])
            held = (rfm.segments.held_against(customers, described) != "").mean()
            self.rows.append({**row, **_fit(found), "NameHeld": float(held)})
        self.yesterday, self.names[day] = customers, customers.set_index("CustomerID")["Cluster_Description"]


def _fit(found: Any) -> dict[str, float]:
    """Return silhouette and inertia of the clusters as they are, customers on a border included."""
    regular = found.customers[found.customers["Cluster"] >= 0]
    points, labels = (features(regular) - found.model.mean) / found.model.scale, regular["Cluster"].to_numpy()
    means = pd.DataFrame(points).groupby(labels).transform("mean").to_numpy()
    return {"InCluster": float(((points - means) ** 2).sum()), "Held": float(silhouettes(points, [labels])[0])}


def compared(
    folder: Path, first: Sequence[dt.date] = FIRST, last: dt.date = LAST, steady: Clusters = Clusters()
) -> dict[str, Chain]:
    """Run a chain from each first day, and a fresh fit each day from the earliest; return them by name."""
    begins = {f"from {day}": day for day in first} | {"fresh": min(first)}
    chains = {name: Chain(OFF if name == "fresh" else steady) for name in begins}
    for day, gold in golds(folder, min(first), last):
        for name, chain in chains.items():
            if day >= begins[name]:
                chain.run(gold, day)
    return chains


def figures(chain: Chain) -> dict[str, float]:
    """Sum up a chain: renamed and held shares, number of k changes, fit."""
    days = pd.DataFrame(chain.rows)
    return {
        "days": len(days),
        "renamed_mean": float(days["RenamedShare"].mean()),
        "renamed_max": float(days["RenamedShare"].max()),
        f"renamed_max_after_{SETTLED}": float(days["RenamedShare"][SETTLED:].max()),
        "above_3": int((days["RenamedShare"] > 0.03).sum()),
        "held": float(days["NameHeld"].mean()),
        "held_max": float(days["NameHeld"].max()),
        "adjusted_rand": float(days["AdjustedRand"].mean()),
        "silhouette": float(days["Held"].mean()),
        "k_changes": int((np.diff(days["k"]) != 0).sum()),
    }


def agreement(one: Chain, other: Chain) -> dict[str, float]:
    """Return the share of customers with the same name in two chains, some days after the later one began."""
    begun = max(min(one.names), min(other.names))
    shares = {(day - begun).days: float((one.names[day] == other.names[day]).mean()) for day in one.names if day >= begun}
    return {f"after_{days}": shares[days] for days in LATER if days in shares} | {
        f"least_from_{LATER[0]}": min((share for age, share in shares.items() if age >= LATER[0]), default=float("nan"))
    }


def foreseen(chain: Chain) -> pd.DataFrame:
    """Return the least that any rule could hold at some shares of renamed, if it knew all names that the days will give."""
    # For each customer the cheapest path through the names: a day with another name than the chain's costs 1, a change of name
    # without a purchase costs a price; both as shares of the customers of their day.
    table = pd.DataFrame(chain.names)
    given = pd.factorize(table.to_numpy(object).ravel())[0].reshape(table.shape).T  # -1: no customer yet
    quiet = pd.DataFrame(chain.quiet).eq(True).reindex(index=table.index, columns=table.columns, fill_value=False).to_numpy().T
    wrong = (given[:, :, None] != np.arange(given.max() + 1)) & (given >= 0)[:, :, None]
    found = [_cheapest(wrong, quiet, price) for price in PRICES]
    return pd.DataFrame(found, columns=["renamed", "held"], index=pd.Index(PRICES, name="price of a change"))


def _cheapest(wrong: np.ndarray, quiet: np.ndarray, price: float) -> tuple[float, float]:
    """Return the mean shares of renamed and held of the cheapest paths: dynamic programming over days, customers, names."""
    there, asked = wrong.any(axis=2).sum(axis=1), np.maximum(quiet.sum(axis=1), 1)
    customers, cost, back = np.arange(wrong.shape[1]), wrong[0] / there[0], []
    for day in range(1, len(wrong)):
        least, change = cost.min(axis=1, keepdims=True), (quiet[day] * price / asked[day])[:, None]
        back.append(np.where(cost <= least + change, np.arange(wrong.shape[2]), cost.argmin(axis=1)[:, None]))
        cost = np.minimum(cost, least + change) + wrong[day] / there[day]
    path = [cost.argmin(axis=1)]
    for step in reversed(back):
        path.append(step[customers, path[-1]])
    names = np.array(path[::-1])
    held = [wrong[day, customers, own].sum() / there[day] for day, own in enumerate(names)]
    renamed = ((names[1:] != names[:-1]) & quiet[1:]).sum(axis=1) / asked[1:]
    return float(renamed.mean()), float(np.mean(held))


def main() -> None:
    """Print the figures."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    given.add_argument("--from", dest="first", type=dt.date.fromisoformat, nargs="+", default=FIRST)
    given.add_argument("--to", dest="last", type=dt.date.fromisoformat, default=LAST)
    asked = given.parse_args()
    chains = compared(asked.folder, asked.first, asked.last)
    steady = {name: chain for name, chain in chains.items() if name != "fresh"}
    pairs = {f"{one}, {other}": agreement(steady[one], steady[other]) for one, other in combinations(steady, 2)}
    print(pd.DataFrame({name: figures(chain) for name, chain in chains.items()}).round(4).to_string())  # noqa: T201
    print(pd.DataFrame(pairs).round(4).to_string())  # noqa: T201
    print(foreseen(chains["fresh"]).round(4).to_string())  # noqa: T201


if __name__ == "__main__":
    main()
