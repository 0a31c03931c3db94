"""How steady segments are, day after day on the same files: our way against a fresh fit each day.

``python -m benchmarks.steady FOLDER [--from DAY] [--to DAY]`` prints the figures of both.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import rfm
from rfm.analysis import movement
from rfm.analysis.clustering.k_selection import silhouettes
from rfm.analysis.clustering.model import Model, features
from rfm.config import Clusters

OFF = Clusters(stability="off")
FIRST, LAST = dt.date(2025, 10, 1), dt.date(2026, 2, 28)


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

    def run(self, gold: pd.DataFrame, day: dt.date) -> None:
        """Run one day and note how steady it was."""
        records = pd.concat([model.record for model in self.models.values()] or [pd.DataFrame(columns=["UpdateDate", "model"])])
        earlier = Model.predecessor(records, day, self.options)
        outliers = rfm.outlier_clusters(gold, self.options.iqr_factor)
        found = rfm.cluster(gold, outliers, day, self.options, earlier=earlier, yesterday=self.yesterday)
        customers, self.models = self._named(found), dict(list(self.models.items())[-1:]) | {day: self.model}
        if self.yesterday is not None:
            row = movement.stability(customers, self.yesterday, self.models, day).iloc[0].to_dict()
            self.rows.append({**row, **_fit(found)})
        self.yesterday = customers

    def _named(self, found: Any) -> pd.DataFrame:
        """Name the clusters and return the customers with their segments."""
        clusters, medians = rfm.segments.summarise_clusters(found.customers), rfm.segments.medians_of(found.customers)
        described = rfm.segments.describe_clusters(clusters, medians, before=found.model.before, band=self.options.name_band)
        self.model = found.model.named(described)
        return rfm.segments.describe_customers(found.customers, described)


def _fit(found: Any) -> dict[str, float]:
    """Return silhouette and inertia of the clusters as they are, customers on a border included."""
    regular = found.customers[found.customers["Cluster"] >= 0]
    points, labels = (features(regular) - found.model.mean) / found.model.scale, regular["Cluster"].to_numpy()
    means = pd.DataFrame(points).groupby(labels).transform("mean").to_numpy()
    return {"InCluster": float(((points - means) ** 2).sum()), "Held": float(silhouettes(points, [labels])[0])}


def compared(folder: Path, first: dt.date = FIRST, last: dt.date = LAST, steady: Clusters = Clusters()) -> pd.DataFrame:
    """Run both ways; return a row a day for each, way and figures."""
    ways = {"fresh": Chain(OFF), "steady": Chain(steady)}
    for day, gold in golds(folder, first, last):
        for chain in ways.values():
            chain.run(gold, day)
    return pd.concat([pd.DataFrame(chain.rows).assign(way=way) for way, chain in ways.items()], ignore_index=True)


def figures(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Sum up each way: renamed shares, agreement, fit."""
    return {
        way: {
            "days": len(days),
            "renamed_mean": float(days["RenamedShare"].mean()),
            "renamed_max": float(days["RenamedShare"].max()),
            "above_3": int((days["RenamedShare"] > 0.03).sum()),
            "above_5": int((days["RenamedShare"] > 0.05).sum()),
            "adjusted_rand": float(days["AdjustedRand"].mean()),
            "silhouette": float(days["Held"].mean()),
            "k_changes": int((np.diff(days["k"]) != 0).sum()),
        }
        for way, days in rows.groupby("way", sort=False)
    }


def main() -> None:
    """Print the figures."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    given.add_argument("--from", dest="first", type=dt.date.fromisoformat, default=FIRST)
    given.add_argument("--to", dest="last", type=dt.date.fromisoformat, default=LAST)
    asked = given.parse_args()
    print(pd.DataFrame(figures(compared(asked.folder, asked.first, asked.last))).round(4).to_string())  # noqa: T201


if __name__ == "__main__":
    main()
