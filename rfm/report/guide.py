"""The terms of the report, each explained once: the page *How to read this*, which headings link to, and the brief's footnote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from rfm.analysis import outliers
from rfm.analysis.formatting import number
from rfm.words import N_, _

FILE = "guide.html"


class Term(NamedTuple):
    """A term with its explanation, which may have fields for settings of the run."""

    name: str
    text: str


GROUPS: dict[str, dict[str, Term]] = {  # title of a part: its terms by anchor
    N_("The three numbers"): {
        "recency": Term(
            N_("Recency"),
            N_("Days from the last purchase to the run date. It runs the other way than the other two numbers: small is good."),
        ),
        "frequency": Term(N_("Frequency"), N_("Number of different orders, not of lines or items.")),
        "monetary": Term(N_("Monetary"), N_("What a customer has spent in all with the orders that count.")),
        "score": Term(
            N_("Score"),
            N_(
                "Each of the three numbers as a grade from 1 to 5 among all customers; 5 is best, for recency too. 545 "
                "says: bought very lately, often, and spent most. Customers with equal numbers share a grade, so a grade "
                "may be empty: most customers of a young shop have one order."
            ),
        ),
    },
    N_("Who and what counts"): {
        "run-date": Term(
            N_("Run date"),
            N_("The day that a run computes. It is chosen, so a past day can be computed again with the same result."),
        ),
        "as-of": Term(N_("As of"), N_("Counted up to and including this day; what was sold later does not count yet.")),
        "customer": Term(
            N_("Customers"), N_("Customers have at least one order that counts: no cancellations, guests, postage or fees.")
        ),
        "revenue": Term(N_("Revenue"), N_("Revenue is the sum of these orders.")),
        "guest": Term(N_("Guest"), N_("An order without a customer id. It counts for the shop, but for no customer or segment.")),
        "quarantine": Term(
            N_("Quarantine"),
            N_(
                "Lines that break a rule. They are kept as they arrived, with the reason, and count nowhere: the lines that"
                " arrived are those that were kept and those in quarantine."
            ),
        ),
    },
    N_("Groups of customers"): {
        "cluster": Term(
            N_("Cluster"),
            N_(
                "Customers whose three numbers are alike, found by K-means. Clusters are numbered from 0 by falling median spend."
            ),
        ),
        "k": Term(
            N_("k, the number of clusters"),
            N_(
                "Every k from {k_min} to {k_max} is tried and scored. The best one is taken; the k of the day before is "
                "kept unless another is clearly better for several days."
            ),
        ),
        "silhouette": Term(
            N_("Silhouette"), N_("How well the clusters are separated, on average: 1 is far apart, 0 is touching.")
        ),
        "outlier": Term(N_("Outlier"), outliers.IN_WORDS),
        "segment": Term(
            N_("Segment"),
            N_(
                "A segment is the name of a cluster of customers with similar recency (days since the last order, small is "
                "good), frequency (number of orders) and monetary value (total spent); it describes the typical customer of"
                " the cluster."
            ),
        ),
        "tier": Term(N_("Tier"), N_("A group of segments: premium, high value, active engagement, risk, growth and new.")),
        "dormant": Term(
            N_("Dormant segment"),
            N_(
                "A segment whose typical customer has been silent for longer than the typical customer of the shop, such as "
                "Hibernating or VIP At Risk."
            ),
        ),
        "held-name": Term(
            N_("Held name"),
            N_(
                "A segment keeps its earlier name while its numbers are near a limit (the dead band), and a customer who bought "
                "nothing may wait some days for another name, so that names do not change all at once. Where the numbers of "
                "today alone give another name, the page says that it is held."
            ),
        ),
        "movement": Term(
            N_("Movement"),
            N_("A movement has one of three causes: the customer bought, time passed, or the model of the clusters changed."),
        ),
    },
    N_("Customer by customer"): {
        "rhythm": Term(
            N_("Own rhythm"),
            N_(
                "The usual gap is the median number of days between the days on which a customer buys; for a customer with "
                "too few purchases, that of customers alike who came back."
            ),
        ),
        "state": Term(
            N_("State"),
            N_(
                "What a customer's own numbers say, measured by their own rhythm and never by a cluster. New: the first "
                "order is at most {new_days} days ago. Won back: the same since the return from a long silence. Cooling: "
                "silent for more than {cooling} usual gaps, or for more than {quiet_days} days. At risk: worth keeping, "
                "bought on more than {own_gaps} days, and silent for more than {overdue} usual gaps and more than "
                "{quiet_days} days. Lost: silent for more than {overdue} usual gaps and more than {lost_days} days. "
                "Active: everybody else. A usual gap below {shortest_gap} days counts as {shortest_gap}."
            ),
        ),
        "forecast": Term(
            N_("Forecast"),
            N_(
                "The chance that a customer orders within 30 days, and the spend to expect within 90, learned from the "
                "shop's own past. The page on segments shows whether earlier forecasts came true."
            ),
        ),
        "at-stake": Term(
            N_("At stake"),
            N_(
                "How much less is expected of customers in the next 90 days than a month ago; without a forecast, what they "
                "usually spend in 90 days."
            ),
        ),
    },
    N_("Campaigns"): {
        "campaign": Term(
            N_("Campaign"), N_("Customers chosen on a run date, of whom some are written to and the others are held out.")
        ),
        "held-out": Term(
            N_("Held out"), N_("Drawn at random and not written to, they show what would have happened without the campaign.")
        ),
        "uplift": Term(
            N_("Uplift"),
            N_(
                "The difference between both groups, adjusted by the forecast made before the start. It is an estimate: the"
                " truth lies within its interval in 95 of 100 campaigns. An interval with 0 in it says that it may have "
                "done nothing."
            ),
        ),
    },
}
TERMS = {anchor: term for terms in GROUPS.values() for anchor, term in terms.items()}
FOOTNOTE = ("customer", "revenue", "segment", "movement", "at-stake")  # what the brief explains
HEADINGS = {term.name: anchor for anchor, term in TERMS.items()} | {  # other headings that mean a term
    **{"Was": "segment", "Is now": "segment", "Segments": "segment", "Clusters": "k", "Lead of k": "k", "Elbow": "k"},
    **{"Median spent": "monetary", "Median orders": "frequency", "Median days since": "recency", "Spent": "monetary"},
    **{"Days since": "recency", "Orders": "frequency", "Run": "run-date", "Forecast share": "forecast", "Written to": "campaign"},
    **{"Forecast from": "forecast", "Order in 30 days": "forecast", "Guests' revenue": "guest", "Guests' orders": "guest"},
    **{"Drift": "held-name", "Model changed": "movement", "Time passed": "movement", "Quarantined": "quarantine"},
}


def parts(limits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the terms with their explanations, in groups; the limits are settings that the explanations name."""
    fields = {name: number(value) for name, value in limits.items() if isinstance(value, int | float)}
    return [
        {"title": _(title), "terms": [(anchor, _(term.name), _(term.text, **fields)) for anchor, term in terms.items()]}
        for title, terms in GROUPS.items()
    ]


def footnote(held: str = "") -> str:
    """Return the explanations at the foot of the brief; given a mark of held names, also what it means."""
    said = [_(TERMS[anchor].text) for anchor in FOOTNOTE]
    return " ".join(said + [_("{mark} The name is held for now.", mark=held)] * bool(held))


def linked(text: str, anchor: str, root: str = "") -> Markup:
    """Return a term as a link to its explanation."""
    return Markup(f'<a class="term" href="{root}{FILE}#{anchor}">{escape(text)}</a>') if anchor else escape(text)
