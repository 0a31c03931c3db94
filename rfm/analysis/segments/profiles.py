"""Describe clusters, customers and segments, and write the documents of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from rfm.analysis.clustering import Model
from rfm.analysis.clustering.k_selection import margin
from rfm.analysis.metrics import purchased_since
from rfm.analysis.segments.explain import cluster_labels, explanation
from rfm.analysis.segments.rules import METRICS, TIER_OF, recommended_actions, steady_segment
from rfm.config import Clusters, Cutoffs
from rfm.contracts import TABLES
from rfm.errors import InputError

MEDIANS = [f"Median{name}" for name in METRICS]


# ── clusters and customers ───────────────────────────────────────────────────────────────────────
def summarise_clusters(customers: pd.DataFrame) -> pd.DataFrame:
    """Return ``cluster_summary``: count, averages and medians of each cluster, rounded to 2.

    From ``customer_rfm_kmeans_clustered``; InputError if it has no customers.

    Examples
    --------
    >>> import rfm
    >>> clusters = rfm.segments.summarise_clusters(rfm.example("customer_rfm_kmeans_clustered"))
    >>> clusters[["Cluster", "Count", "MedianMonetary", "MedianFrequency", "MedianRecency"]].head(3)
       Cluster  Count  MedianMonetary  MedianFrequency  MedianRecency
    0       -3     21         1188.60              6.0            2.0
    1       -2     33          264.79              4.0            4.0
    2       -1     14          641.12              2.0            7.0
    """
    if customers.empty:
        raise InputError("customer_rfm_kmeans_clustered has 0 customers of this run date; run the cluster stage for it first")
    summary = _statistics(customers, "Cluster", "Count")
    return summary[TABLES["cluster_summary"].names].sort_values("Cluster", ignore_index=True)


def medians_of(customers: pd.DataFrame) -> dict[str, float]:
    """Return the median Monetary, Frequency and Recency of customers.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.medians_of(rfm.example("customer_rfm_gold"))
    {'Monetary': 117.375, 'Frequency': 2.0, 'Recency': 8.0}
    """
    return {name: float(customers[name].astype(float).median()) for name in METRICS}


def describe_clusters(
    summary: pd.DataFrame,
    medians: Mapping[str, float],
    recommendations: Mapping[str, str] | None = None,
    cutoffs: Cutoffs = Cutoffs(),
    currency: str = "£",
    before: Mapping[str, str] | None = None,
    band: float = 0.0,
) -> pd.DataFrame:
    """Return ``cluster_description_and_recommendation``: segment, tier, action and explanation of each cluster.

    Parameters
    ----------
    summary
        Columns of ``cluster_summary``.
    medians
        Of all customers, see `medians_of`.
    recommendations
        The shop's own actions by segment; SettingsError if a segment is unknown.
    cutoffs
        Multiples of the medians where the bands of the segments end.
    before
        Earlier segments of the clusters, by number as text: `Model.before`.
    band
        Share by which medians must pass a cut-off before a cluster changes its earlier segment.

    Examples
    --------
    >>> import rfm
    >>> customers = rfm.example("customer_rfm_kmeans_clustered")
    >>> clusters, medians = rfm.segments.summarise_clusters(customers), rfm.segments.medians_of(customers)
    >>> described = rfm.segments.describe_clusters(clusters, medians)
    >>> described[["Cluster", "Cluster_Description", "Tier"]].head(3)
       Cluster  Cluster_Description        Tier
    0       -3  Super VIP Champions     premium
    1       -2    High Value Active  high value
    2       -1   Ultra Big Spenders     premium
    """
    actions = recommended_actions(recommendations or {})
    clusters, metrics, earlier = summary["Cluster"].tolist(), summary[MEDIANS].to_numpy(float).tolist(), before or {}
    rows = zip(metrics, clusters, strict=True)
    names = [steady_segment(row, medians, cluster, cutoffs, earlier.get(str(cluster)), band) for row, cluster in rows]
    return summary.assign(
        Cluster_Description=names,
        Tier=[TIER_OF[name] for name in names],
        Cluster_Recommendation=[actions[name] for name in names],
        Cluster_Label=cluster_labels(clusters, names),
        Explanation=[explanation(*row, medians, cutoffs, currency) for row in zip(metrics, names, strict=True)],
    )


def describe_customers(
    customers: pd.DataFrame,
    described: pd.DataFrame,
    yesterday: pd.DataFrame | None = None,
    most: float = 1.0,
    recommendations: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return ``customer_rfm_description_and_recommendation``: customers with the segment, tier and action of their cluster.

    Parameters
    ----------
    customers, described
        Columns of ``customer_rfm_kmeans_clustered`` and ``cluster_description_and_recommendation``.
    yesterday
        Rows of ``customer_rfm_kmeans_clustered_history`` of the previous run; without it, every customer gets the name of
        the cluster.
    most
        Share of the customers without a purchase since then who may get another name; the largest spenders come first, the
        others keep their name until a later run.
    recommendations
        The shop's own actions by segment.

    Examples
    --------
    >>> import rfm
    >>> described = rfm.example("cluster_description_and_recommendation")
    >>> customers = rfm.segments.describe_customers(rfm.example("customer_rfm_kmeans_clustered"), described)
    >>> customers["Cluster_Description"].value_counts().head(3).to_dict()
    {'New Customers': 146, 'High Value Active': 81, 'Hibernating': 68}
    """
    words = described[["Cluster", "Cluster_Description", "Tier", "Cluster_Recommendation"]]
    joined = customers.merge(words, on="Cluster", how="left", validate="many_to_one")
    kept = _kept_names(joined, yesterday, most) if yesterday is not None and len(yesterday) else pd.Series(dtype=object)
    actions = recommended_actions(recommendations or {})
    joined.loc[kept.index, "Cluster_Description"] = kept
    joined.loc[kept.index, "Tier"] = kept.map(TIER_OF)
    joined.loc[kept.index, "Cluster_Recommendation"] = kept.map(actions)
    return joined[TABLES["customer_rfm_description_and_recommendation"].names]


def _kept_names(customers: pd.DataFrame, yesterday: pd.DataFrame, most: float) -> pd.Series:
    """Return the names of customers who have to wait for another one, on their index."""
    then = customers["CustomerID"].map(yesterday.set_index("CustomerID")["Cluster_Description"])
    quiet = ~purchased_since(customers, yesterday)
    waiting = customers[quiet & then.isin(TIER_OF).to_numpy() & (then != customers["Cluster_Description"]).to_numpy()]
    place = waiting["Monetary"].astype(float).rank(method="min", ascending=False)  # equal spend: together
    return then[place.index[place > max(1, most * quiet.sum())]]


def _statistics(customers: pd.DataFrame, by: str, count: str) -> pd.DataFrame:
    """Return count, averages and medians of the metrics per group, rounded to 2."""
    groups = customers[[by]].assign(**{name: customers[name].astype(float) for name in METRICS}).groupby(by)
    columns = {count: groups.size()}
    for name in METRICS:
        columns[f"Average{name}"] = groups[name].mean().round(2)
        columns[f"Median{name}"] = groups[name].median().round(2)
    return pd.DataFrame(columns).reset_index()


# ── segments ─────────────────────────────────────────────────────────────────────────────────────
def summarise_segments(customers: pd.DataFrame, cutoffs: Cutoffs = Cutoffs(), currency: str = "£") -> pd.DataFrame:
    """Return ``segment_summary``: size, averages, medians, revenue, action and explanation of each segment.

    From ``customer_rfm_description_and_recommendation``. Revenue is exact; the segment of most revenue is first.

    Examples
    --------
    >>> import rfm
    >>> segments = rfm.segments.summarise_segments(rfm.example("customer_rfm_description_and_recommendation"))
    >>> segments[["Cluster_Description", "Customers", "Revenue"]].head(3)
       Cluster_Description  Customers   Revenue
    0  Super VIP Champions         21  29723.66
    1    High Value Active         81  22480.17
    2        New Customers        152  11782.35
    """
    words = customers.groupby("Cluster_Description")[["Tier", "Cluster_Recommendation"]].first().reset_index()
    summary = _statistics(customers, "Cluster_Description", "Customers").merge(words, on="Cluster_Description")
    revenue = customers.groupby("Cluster_Description")["Monetary"].sum()
    summary["Revenue"] = summary["Cluster_Description"].map(revenue)
    summary["CustomerShare"] = summary["Customers"] / len(customers)
    total = float(revenue.sum())
    summary["RevenueShare"] = summary["Revenue"].astype(float) / total if total else 0.0
    rows = zip(summary[MEDIANS].to_numpy(float).tolist(), summary["Cluster_Description"], strict=True)
    medians = medians_of(customers)
    summary["Explanation"] = [explanation(*row, medians, cutoffs, currency) for row in rows]
    summary = summary[TABLES["segment_summary"].names]
    return summary.sort_values(["Revenue", "Cluster_Description"], ascending=[False, True], ignore_index=True)


def headline(summary: pd.DataFrame, currency: str = "£") -> str:
    """Summarise a run in one sentence, from ``segment_summary``.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.headline(rfm.example("segment_summary"))
    '400 customers in 8 segments brought £92,596; 21 Super VIP Champions (5%) brought 32% of it'
    """
    first, customers, revenue = summary.iloc[0], int(summary["Customers"].sum()), float(summary["Revenue"].sum())
    return (
        f"{customers:,} customers in {len(summary)} segments brought {currency}{revenue:,.0f}; "
        f"{first['Customers']:,} {first['Cluster_Description']} ({first['CustomerShare']:.0%}) "
        f"brought {first['RevenueShare']:.0%} of it"
    )


def action_table(summary: pd.DataFrame, currency: str = "£") -> pd.DataFrame:
    """Return ``segment_summary`` as a table for people, all cells formatted as text.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.action_table(rfm.example("segment_summary"))[["Customers", "Share", "Revenue"]].head(3)
                        Customers Share  Revenue
    Segment
    Super VIP Champions        21    5%  £29,724
    High Value Active          81   20%  £22,480
    New Customers             152   38%  £11,782
    """
    money = f"{currency}{{:,.0f}}".format
    return pd.DataFrame(
        {
            "Segment": summary["Cluster_Description"],
            "Tier": summary["Tier"],
            "Customers": summary["Customers"].map("{:,}".format),
            "Share": summary["CustomerShare"].map("{:.0%}".format),
            "Revenue": summary["Revenue"].astype(float).map(money),
            "Revenue share": summary["RevenueShare"].map("{:.0%}".format),
            "Median spend": summary["MedianMonetary"].map(money),
            "Median invoices": summary["MedianFrequency"].map("{:g}".format),
            "Median days since": summary["MedianRecency"].map("{:g}".format),
            "What to do": summary["Cluster_Recommendation"],
        }
    ).set_index("Segment")


# ── model documents ──────────────────────────────────────────────────────────────────────────────
SCHEMA = 1  # version of model.json; a reader rejects any other
WORDS = ["Cluster", "Count", *MEDIANS, "Cluster_Label", "Cluster_Description", "Tier", "Cluster_Recommendation"]
CARD = """\
# Model of {date}

**What it is for.** It puts a shop's customers into groups of similar spend, number of invoices and days since the last
purchase, each with a segment and a recommended action, so that people know whom to call first. It is not for decisions
about one person, such as credit or prices, and it is not a forecast: see the backtest.

**Data.** {lines:,} sales lines of {files:,} file(s), {first} to {last}; {customers:,} customers as of {date}. Guests,
cancellations and lines that are not products are not counted; amounts are in {currency}, returns are not subtracted.

**Method.** K-means on standardised Monetary, Frequency and Recency; {verdict}. {grown}

## Scores of each k
{scores}

Score = {weights}. The silhouette says how much nearer a customer is to its own
cluster than to the next, from −1 to 1; rows are the customers whose silhouette was measured, error its standard error.
It is that of the fits; `segment_stability` has that of the published clusters, in which some customers keep yesterday's.

## Clusters
{clusters}

Medians of all customers: {medians}. Clusters −1, −2 and −3 are beyond the fences and took no part in the fit.

## Fences
{fences}

## Limits
* A segment belongs to a cluster: its median customer gave the name, one at the edge may fit the next cluster as well.
* Recency counts from {date}: score customers as of that day, or soon after; an older model is a guess about today.
* Far beyond what the model has seen, the nearest cluster can be far away; `rfm score` counts such customers.

## How to use it
`rfm score customers.csv --date {date}` gives each customer of a file (CustomerID, Monetary, Frequency, Recency, or sales
lines) a cluster, a segment, a tier and an action. `model.json` beside this card holds numbers and words only:
`schema` (version of the format), `model` (a point is (value − mean) / scale; `centroids` in their own units, Monetary,
Frequency, Recency; `fences`), `medians`, `clusters` (number, customers, medians, segment, tier, action), `data`.
Made by rfm {version}.
"""


def model_artifacts(
    model: Model,
    described: pd.DataFrame,
    medians: Mapping[str, float],
    files: pd.DataFrame,
    currency: str = "£",
    *,
    silhouette_weight: float = Clusters().silhouette_weight,
) -> dict[str, str]:
    """Return the texts of ``model.json`` and ``model_card.md``, by file name.

    From ``cluster_description_and_recommendation``, the medians of all customers, the rows of ``landing_files`` in silver up
    to the run date, and the weight that k was chosen with.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> models = rfm.Model.kept(rfm.example("cluster_models"), day)
    >>> medians = rfm.segments.medians_of(rfm.example("customer_rfm_gold"))
    >>> described = rfm.example("cluster_description_and_recommendation")
    >>> documents = rfm.segments.model_artifacts(models[day], described, medians, rfm.example("landing_files"))
    >>> list(documents)
    ['model.json', 'model_card.md']
    """
    clusters = json.loads(described[WORDS].to_json(orient="records", force_ascii=False))
    dates = [str(date)[:10] for date in sorted(files["file_date"].dropna())] or [""]
    data = {"files": len(files), "lines": int(files["rows"].sum()), "first": dates[0], "last": dates[-1]}
    document = {"schema": SCHEMA, "model": asdict(model), "medians": dict(medians), "clusters": clusters, "data": data}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    card = _card(model, described, medians, data | {"currency": currency}, silhouette_weight)
    return {"model.json": text, "model_card.md": card}


def k_verdict(scores: list[dict[str, Any]], k: int) -> str:
    """Describe the choice of k from `Model.scores`: its score against the best other one, and how certain that is.

    Examples
    --------
    >>> import rfm
    >>> scores = [{"k": 3, "score": 0.8}, {"k": 4, "score": 1.0}]
    >>> rfm.segments.k_verdict(scores, 4)
    'k = 4, its score 25.0% ahead of that of k = 3, all silhouettes measured'
    """
    own = next((row for row in scores if row["k"] == k), None)
    others = sorted((row for row in scores if row["k"] != k), key=lambda row: -row["score"])
    if not own or not others:
        return f"k = {k}, the only one that the customers allow"
    lead = margin(scores, k) or 0.0
    said = f"k = {k}, its score {abs(lead):.1%} {'ahead of' if lead >= 0 else 'behind'} that of k = {others[0]['k']}"
    if not own.get("error"):
        return f"{said}, all silhouettes measured"
    level = [row["k"] for row in scores if row.get("tied") or row["score"] == max(own["score"], others[0]["score"])]
    tied = [other for other in level if other != k] if k in level else []
    sure = f"a tie with k = {', '.join(map(str, tied))}" if tied else "decided"
    return f"{said}: {sure} by the silhouettes of {own['rows']:,} customers drawn"


def _card(
    model: Model, described: pd.DataFrame, medians: Mapping[str, float], data: Mapping[str, Any], silhouette_weight: float
) -> str:
    """Fill in the card."""
    scores = pd.DataFrame(model.scores)
    origin = f"It grew from the model of {model.previous}" if model.previous else "It was fitted from scratch"
    fences = [f"* {name}: {low:,.2f} to {high:,.2f}" for name, (low, high) in model.fences.items()]
    return CARD.format(
        **data,
        weights=f"{silhouette_weight:g} · silhouette / largest + {1 - silhouette_weight:g} · elbow / largest",
        date=model.trained,
        version=model.version,
        customers=int(described["Count"].sum()),
        verdict=k_verdict(model.scores, model.k),
        grown=f"{origin}; the last full fit was that of {model.fitted or model.trained}.",
        scores=_grid(scores[[name for name in ("k", "silhouette", "error", "elbow", "score", "rows") if name in scores]]),
        clusters=_grid(described[[name for name in WORDS if name != "Cluster_Recommendation"]]),
        medians=", ".join(f"{name} {value:,.2f}" for name, value in medians.items()),
        fences="\n".join(fences) or "None.",
    )


def _grid(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table."""
    body = [[f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row] for row in frame.values.tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in (list(frame.columns), ["---"] * frame.shape[1], *body))
