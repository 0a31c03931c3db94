"""A model to be kept: what `rfm score` needs as JSON, and a card in Markdown that says what the model is and is not for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import datetime as dt

SCHEMA = 1  # of the JSON; a reader refuses any other
STATISTICS = ["Cluster", "Count", "MedianMonetary", "MedianFrequency", "MedianRecency"]
WORDS = [*STATISTICS, "Cluster_Label", "Cluster_Description", "Tier", "Cluster_Recommendation"]
CARD = """\
# Model of {date}

**What it is for.** It puts a shop's customers into groups of similar spend, number of invoices and days since the last
purchase, each with a segment and a recommended action, so that people know whom to call first. It is not for decisions
about one person, such as credit or prices, and it foretells nothing by itself: see the backtest.

**Data.** {lines:,} sales lines of {files:,} file(s), {first} to {last}; {customers:,} customers as of {date}. Guests,
cancellations and what is no product are not counted; amounts are in {currency}, returns are not taken off.

**Method.** K-means on standardised Monetary, Frequency and Recency; {verdict}. {grown}

## Scores of each k
{scores}

Score = 0.6 · silhouette / largest + 0.4 · elbow / largest. The silhouette says how much nearer a customer is to its own
cluster than to the next, from −1 to 1; rows are the customers whose silhouette was measured, error its standard error.

## Clusters
{clusters}

The median customer of all: {medians}. Clusters −1, −2 and −3 lie beyond the fences and took no part in the fit.

## Fences
{fences}

## Limits
* A segment is that of a cluster: its middle customer earned the name, one at the edge may fit the neighbour as well.
* Recency counts from {date}: score customers as of that day, or soon after; an older model is a guess about today.
* Far beyond what the model has seen, the nearest cluster can be far away; `rfm score` counts such customers.

## How to use it
`rfm score customers.csv --date {date}` gives each customer of a file (CustomerID, Monetary, Frequency, Recency, or sales
lines) a cluster, a segment, a tier and an action. `model.json` beside this card holds numbers and words only:
`schema` (version of the format), `model` (a point is (value − mean) / scale; `centroids` in their own units, Monetary,
Frequency, Recency; `fences`), `medians`, `clusters` (number, customers, medians, segment, tier, action), `data`.
Made by rfm {version}.
"""


def model_papers(
    model: Any, described: pd.DataFrame, medians: Mapping[str, float], files: pd.DataFrame, currency: str = "£"
) -> dict[str, str]:
    """Return what is kept of a model: ``model.json`` and ``model_card.md``, by name.

    Parameters
    ----------
    model
        An `rfm.Model`.
    described
        Columns of ``cluster_description_and_recommendation``.
    medians
        Monetary, Frequency and Recency of the median customer.
    files
        Rows of ``landing_files`` in silver that the run sees.
    currency
        Sign before an amount.

    Examples
    --------
    >>> import datetime
    >>> import rfm
    >>> day = datetime.date(2025, 10, 23)
    >>> models = rfm.Model.kept(rfm.example("cluster_models"), day)
    >>> medians = rfm.segments.medians_of(rfm.example("customer_rfm_gold"))
    >>> described = rfm.example("cluster_description_and_recommendation")
    >>> papers = rfm.segments.model_papers(models[day], described, medians, rfm.example("landing_files"))
    >>> list(papers)
    ['model.json', 'model_card.md']
    """
    known = json.loads(model.to_json())
    clusters = json.loads(described[WORDS].to_json(orient="records", force_ascii=False))
    data = {"files": len(files), "lines": int(files["rows"].sum()), **_days(files["file_date"].dropna())}
    told = {"schema": SCHEMA, "model": known, "medians": dict(medians), "clusters": clusters, "data": data}
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    return {"model.json": text, "model_card.md": _card(known, described, medians, data, currency)}


def verdict(scores: list[dict[str, Any]], k: int) -> str:
    """Say which k was chosen, how its score stands against the best other, and how sure that is.

    Parameters
    ----------
    scores
        A row a k tried: k, score, and rows, error and tied where they are known.
    k
        The one chosen.

    Examples
    --------
    >>> import rfm
    >>> scores = [{"k": 3, "score": 0.8}, {"k": 4, "score": 1.0}]
    >>> rfm.segments.verdict(scores, 4)
    'k = 4, its score 20.0% ahead of that of k = 3, all silhouettes measured'
    """
    own = next((row for row in scores if row["k"] == k), None)
    others = sorted((row for row in scores if row["k"] != k), key=lambda row: -row["score"])
    if not own or not others:
        return f"k = {k}, the only one that the customers allow"
    lead = 1 - others[0]["score"] / own["score"] if own["score"] else 0.0
    said = f"k = {k}, its score {abs(lead):.1%} {'ahead of' if lead >= 0 else 'behind'} that of k = {others[0]['k']}"
    if not own.get("error"):
        return f"{said}, all silhouettes measured"
    level = [row["k"] for row in scores if row.get("tied") or row["score"] == max(own["score"], others[0]["score"])]
    tied = [other for other in level if other != k] if k in level else []
    sure = f"a tie with k = {', '.join(map(str, tied))}" if tied else "decided"
    return f"{said}: {sure} by the silhouettes of {own['rows']:,} customers drawn"


def _days(dates: pd.Series) -> dict[str, str]:
    """Return the first and the last day in the files' names."""
    first, last = (dates.min(), dates.max()) if len(dates) else ("", "")
    return {"first": _iso(first), "last": _iso(last)}


def _iso(day: dt.date | str) -> str:
    """Return a date as text."""
    return str(day)[:10]


def _card(model: Mapping[str, Any], described: pd.DataFrame, medians: Mapping[str, float], data: Any, currency: str) -> str:
    """Fill in the card."""
    scores = pd.DataFrame(model["scores"])
    grown = f"It grew from the model of {model['previous']}; " if model.get("previous") else "It was fitted afresh; "
    fences = [f"* {name}: {low:,.2f} to {high:,.2f}" for name, (low, high) in model.get("fences", {}).items()]
    return CARD.format(
        **data,
        date=model["trained"],
        version=model["version"],
        currency=currency,
        customers=int(described["Count"].sum()),
        verdict=verdict(model["scores"], model["k"]),
        grown=f"{grown}the last full fit was that of {model.get('fitted') or model['trained']}.",
        scores=_grid(scores[[name for name in ("k", "silhouette", "error", "elbow", "score", "rows") if name in scores]]),
        clusters=_grid(described[[name for name in WORDS if name != "Cluster_Recommendation"]]),
        medians=", ".join(f"{name} {value:,.2f}" for name, value in medians.items()),
        fences="\n".join(fences) or "None.",
    )


def _grid(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table."""
    body = [[f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row] for row in frame.values.tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in (list(frame.columns), ["---"] * frame.shape[1], *body))
