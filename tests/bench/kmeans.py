"""Choosing k: ours against the plain loop over scikit-learn, on the customers of the newest day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.cases import Inputs, Outcome, Work

KS = range(2, 13)


def customers(inputs: Inputs) -> dict[str, Any]:
    """Prepare the regular customers of the newest day as a file, so that no benchmark pays for making them."""
    import pandas as pd

    import rfm
    from tests.bench.gold import on_polars

    gold = on_polars(inputs, inputs.folder)[0]()[0].to_pandas()
    regular = gold[rfm.outlier_clusters(gold) == 0].sort_values("CustomerID")
    pd.DataFrame(regular[["Monetary", "Frequency", "Recency"]].astype(float)).to_parquet(inputs.folder / "customers.parquet")
    return {"customers": len(regular)}


def ours(inputs: Inputs, scratch: Path) -> Work:
    """Fit the k from 2 to 12 and score them as the daily run does, with two threads."""
    from rfm.core.clustering import fit

    regular = _read(inputs)
    return lambda: fit(regular, inputs.day()), lambda model: _choice(model.scores, len(regular))


def plain(inputs: Inputs, scratch: Path) -> Work:
    """Fit each k and call `silhouette_score` on all points, one thread; then weigh as SPEC.md says."""
    from sklearn.metrics import silhouette_score
    from sklearn.preprocessing import StandardScaler

    regular = _read(inputs)

    def work() -> list[dict[str, Any]]:
        points = StandardScaler().fit_transform(regular)
        fits = _fits(points)
        inertia = [fit.inertia_ for fit in fits]
        return _weigh(inertia, [silhouette_score(points, fit.labels_) for fit in fits])

    return work, lambda scores: _choice(scores, len(regular))


def _fits(points: Any) -> list[Any]:
    """Fit K-means for each k with the settings of the daily run, on one thread."""
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
    """Return the chosen k and all silhouettes to six digits."""
    best = max(scores, key=lambda row: row["score"])
    return Outcome({"k": int(best["k"]), "silhouettes": [round(float(row["silhouette"]), 6) for row in scores]}, count)


def our_silhouettes(inputs: Inputs, scratch: Path) -> Work:
    """Compute eleven silhouettes in one pass over the distances, two threads; the fits are made before."""
    from rfm.core.clustering import silhouettes

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


def _read(inputs: Inputs) -> Any:
    """Return the customers that `customers` prepared."""
    import pandas as pd

    return pd.read_parquet(inputs.folder / "customers.parquet")
