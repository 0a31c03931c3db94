"""Choosing k: ours against the plain loop over scikit-learn, on the customers of one day, and on many more like them.

Each is done with a few customers first, so that neither pays for what a process does once, such as finding the
libraries' threads.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from benchmarks.cases import Inputs, Outcome, Work

KS = range(2, 13)
DAY = dt.date(2026, 2, 28)  # of the real files: 3,552 customers
FEW = 1_000  # customers that each is tried with first


def customers(inputs: Inputs) -> dict[str, Any]:
    """Prepare the customers of `DAY`, or of the newest day, as a file, so that no benchmark pays for making them."""
    import pandas as pd
    import polars as pl

    import rfm
    from benchmarks.gold import arrived

    bronze = pl.concat([pl.DataFrame(rows) for _, rows in arrived(inputs)])
    gold = rfm.rfm_metrics(rfm.clean(bronze.lazy())[0], min(DAY, inputs.day())).collect().to_pandas().sort_values("CustomerID")
    pd.DataFrame(gold[["Monetary", "Frequency", "Recency"]].astype(float)).to_parquet(inputs.folder / "customers.parquet")
    return {"customers": len(gold)}


def ours(inputs: Inputs, scratch: Path, size: int = 0) -> Work:
    """Fit the k from 2 to 12 and score them as the daily run does, with two threads."""
    from rfm.analysis.clustering import fit_model

    customers = _read(inputs, size)
    fit_model(customers[:FEW], inputs.day())
    return lambda: fit_model(customers, inputs.day()), lambda model: _choice(model.scores, len(customers))


def plain(inputs: Inputs, scratch: Path, size: int = 0) -> Work:
    """Fit each k and call `silhouette_score` on all points, one thread; then weigh as SPEC.md says."""
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    customers = _read(inputs, size)

    def work(some: Any = customers) -> list[dict[str, Any]]:
        points = StandardScaler().fit_transform(some)
        fits = _fits(points)
        inertia = [fit.inertia_ for fit in fits]
        return _weigh(inertia, [silhouette_score(points, fit.labels_) for fit in fits])

    work(customers[:FEW])
    return work, lambda scores: _choice(scores, len(customers))


def _fits(points: Any) -> list[Any]:
    """Fit K-means for each k, ten starts as is usual, on one thread."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [KMeans(k, n_init=10, random_state=42, max_iter=1000).fit(points) for k in KS]


def _weigh(inertia: list[float], silhouettes: list[float]) -> list[dict[str, Any]]:
    """Return a row a k: 0.6 of the relative silhouette and 0.4 of the relative elbow."""
    low, high, most = min(inertia), max(inertia), max(silhouettes)
    across = [(k - KS[0]) / (KS[-1] - KS[0]) for k in KS]
    elbow = [abs(x + (i - low) / (high - low) - 1) / 2**0.5 for x, i in zip(across, inertia, strict=True)]
    score = [0.6 * s / most + 0.4 * e / max(elbow) for s, e in zip(silhouettes, elbow, strict=True)]
    return [{"k": k, "silhouette": s, "score": t} for k, s, t in zip(KS, silhouettes, score, strict=True)]


def _choice(scores: list[dict[str, Any]], count: int) -> Outcome:
    """Return the chosen k; other starts end in other, as good clusters, so silhouettes agree to two digits or so."""
    return Outcome({"k": int(max(scores, key=lambda row: row["score"])["k"])}, count)


def our_silhouettes(inputs: Inputs, scratch: Path) -> Work:
    """Compute eleven silhouettes in one pass over the distances, two threads; the fits are made before."""
    from rfm.analysis.clustering.k_selection import silhouettes

    points, labels = _labelled(inputs)
    return lambda: silhouettes(points, labels), lambda found: _rounded(found, len(points))


def plain_silhouettes(inputs: Inputs, scratch: Path) -> Work:
    """Call scikit-learn's `silhouette_score` once a clustering; the fits are made before."""
    from sklearn.metrics import silhouette_score

    points, labels = _labelled(inputs)
    return lambda: [silhouette_score(points, each) for each in labels], lambda found: _rounded(found, len(points))


def _labelled(inputs: Inputs) -> tuple[Any, list[Any]]:
    """Return scaled points and their labels for each k."""
    from sklearn.preprocessing import StandardScaler

    points = StandardScaler().fit_transform(_read(inputs))
    return points, [fit.labels_ for fit in _fits(points)]


def _rounded(found: Any, count: int) -> Outcome:
    """Return the silhouettes to nine digits."""
    return Outcome({"silhouettes": [round(float(value), 9) for value in found]}, count)


def _read(inputs: Inputs, size: int = 0) -> Any:
    """Return the customers that `customers` prepared, or so many like them: drawn with replacement, spend and days blurred."""
    import numpy as np
    import pandas as pd

    customers = pd.read_parquet(inputs.folder / "customers.parquet")
    if not size:
        return customers
    random = np.random.default_rng(1)
    drawn = customers.iloc[random.integers(0, len(customers), size)].reset_index(drop=True)
    spend, days = random.lognormal(0, 0.1, size), random.integers(-3, 4, size)
    return drawn.assign(Monetary=drawn["Monetary"] * spend, Recency=(drawn["Recency"] + days).clip(lower=0))
