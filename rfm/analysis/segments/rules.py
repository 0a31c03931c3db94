"""The rules that name segments, as data: the decision table, the tiers and the recommended actions.

To add or rename a segment, edit `DECISIONS` and `ACTIONS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from rfm.config import Cutoffs
from rfm.errors import SettingsError, unknown

METRICS = ("Monetary", "Frequency", "Recency")


class Decision(NamedTuple):
    """A row of the decision table: bands as multiples of the medians, low < value <= high, and the names of both kinds."""

    monetary: tuple[float, float]
    frequency: tuple[float, float]
    recent: str
    dormant: str


_ANY = math.inf
DECISIONS: tuple[Decision, ...] = (
    Decision((2, _ANY), (2, _ANY), "Super VIP Champions", "VIP At Risk"),
    Decision((4, _ANY), (1, 2), "Ultra High Value Active", "Ultra High Value At Risk"),
    Decision((4, _ANY), (-_ANY, 1), "Ultra Big Spenders", "Dormant Ultra High Value"),
    Decision((2, 4), (1, 2), "High Value Active", "High Value At Risk"),
    Decision((2, 4), (-_ANY, 1), "Big Spenders", "Dormant High Value"),
    Decision((1, 2), (2, _ANY), "Super Frequent Active", "Super Frequent At Risk"),
    Decision((1, 2), (1, 2), "Champions", "Loyal Customers At Risk"),
    Decision((1, 2), (-_ANY, 1), "Potential Loyalists", "At Risk Customers"),
    Decision((-_ANY, 1), (2, _ANY), "Frequent Low Value", "At Risk Frequent"),
    Decision((-_ANY, 1), (1, 2), "Frequent Buyers", "Cannot Lose Them"),
    Decision((-_ANY, 1), (-_ANY, 1), "New Customers", "Hibernating"),
)
CLUSTER_NAMES = {(-1, "Dormant High Value"): "Premium Dormant Customers"}  # by cluster and plain name

AT_RISK, PREMIUM = "risk", "premium"
# Tier: its segments, with the recommended action for each; for who is not active, see STATE_ACTIONS.
ACTIONS: dict[str, dict[str, str]] = {
    PREMIUM: {
        "Super VIP Champions": "White-glove service: a personal account manager, early previews and a thank-you.",
        "VIP At Risk": "Call them this week: the account manager asks what is missing and brings a personal offer.",
        "Ultra High Value Active": "White-glove service and previews; suggest a standing order to raise frequency.",
        "Ultra High Value At Risk": "Account manager wins them back with a preview and terms for the next large order.",
        "Ultra Big Spenders": "Account manager follows up the large order; offer previews and a second occasion to buy.",
        "Dormant Ultra High Value": "Account manager asks after the last large order; invite to a preview.",
    },
    "high value": {
        "High Value Active": "Premium recommendations and cross-sell; enrol in loyalty rewards.",
        "High Value At Risk": "Win-back campaign with premium recommendations and a reward on the next order.",
        "Champions": "Loyalty rewards and premium recommendations; ask for a review or a referral.",
        "Big Spenders": "Cross-sell to the large order; loyalty rewards for coming back soon.",
        "Loyal Customers At Risk": "Personal offer before they drift away; remind them of their loyalty rewards.",
        "Dormant High Value": "Reactivation incentive on what they bought; premium recommendations by mail.",
        "Premium Dormant Customers": "Personal reactivation by the account manager: they once bought far more than others.",
    },
    "active engagement": {
        "Super Frequent Active": "Upsell to larger sets; loyalty rewards that grow with the basket.",
        "Potential Loyalists": "Build frequency: a subscription or a reward on the third order.",
        "Frequent Buyers": "Upsell with bundles; subscription for what they buy again and again.",
        "Frequent Low Value": "Upsell and bundles; free delivery above a larger basket.",
    },
    AT_RISK: {
        "Cannot Lose Them": "Personal offer and a question: they came often, and are about to be lost.",
        "Super Frequent At Risk": "Win-back campaign now: they used to come often; a personal offer on their usual goods.",
        "At Risk Customers": "Win-back campaign with a reactivation incentive that ends soon.",
        "At Risk Frequent": "Reactivation incentive on their usual goods; ask why they stopped.",
    },
    "growth and new": {
        "New Customers": "Onboarding: how to order, what others love, a trial offer for the second order.",
        "Hibernating": "One reactivation mail with a trial offer; then only the season's catalogue.",
    },
}
TIERS: dict[str, tuple[str, ...]] = {tier: tuple(segments) for tier, segments in ACTIONS.items()}
SEGMENTS: tuple[str, ...] = tuple(name for names in TIERS.values() for name in names)
TIER_OF: dict[str, str] = {name: tier for tier, names in TIERS.items() for name in names}
RECOMMENDATIONS: dict[str, str] = {name: action for segments in ACTIONS.values() for name, action in segments.items()}
# Segments of customers who have not bought lately.
DORMANT = frozenset([*(row.dormant for row in DECISIONS), *CLUSTER_NAMES.values()])

# State of a customer: the action by tier, and for every other tier. An active customer gets the action of the segment.
STATE_ACTIONS: dict[str, dict[str, str]] = {
    "new": {
        PREMIUM: "Thank them in person for a large first order; an account manager helps with the second.",
        "": "Onboarding: how to order, what others love, a trial offer for the second order.",
    },
    "active": {},
    "won back": {
        PREMIUM: "The account manager welcomes them back, asks what was missing, and makes the next order easy.",
        "": "Welcome them back with a reward on the next order; no other offer for now.",
    },
    "cooling": {
        PREMIUM: "The account manager calls with what is new in their usual goods: they are later than usual.",
        "": "Remind them of their usual goods and of what is new: they are later than usual.",
    },
    "at risk": {
        PREMIUM: "Call them this week: the account manager asks what is missing and brings a personal offer.",
        "": "Win-back campaign now, with a personal offer on their usual goods.",
    },
    "lost": {
        PREMIUM: "One personal call: ask why they left, and offer terms for coming back.",
        "": "One reactivation mail with a trial offer; then only the season's catalogue.",
    },
}
ONGOING = {"New Customers": "Build the habit: suggest what goes with their last order."}  # active, but new no longer
AND = " / "  # between segment and state, in `[recommendations]`

VALUE_TIERS = ("High", "Growing", "Base")
ENGAGEMENTS = ("Active & Engaged", "At Risk", "Developing", "Inactive")


@cache
def decisions(cutoffs: Cutoffs = Cutoffs()) -> tuple[Decision, ...]:
    """Return `DECISIONS` with the shop's own multiples instead of 1, 2 and 4.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.decisions()[0]
    Decision(monetary=(2.0, inf), frequency=(2.0, inf), recent='Super VIP Champions', dormant='VIP At Risk')
    """
    money: dict[float, float] = dict(zip((1, 2, 4), cutoffs.monetary, strict=True))
    orders: dict[float, float] = dict(zip((1, 2), cutoffs.frequency, strict=True))

    def own(band: tuple[float, float], multiples: Mapping[float, float]) -> tuple[float, float]:
        return multiples.get(band[0], band[0]), multiples.get(band[1], band[1])

    return tuple(row._replace(monetary=own(row.monetary, money), frequency=own(row.frequency, orders)) for row in DECISIONS)


def segment_of(
    monetary: float,
    frequency: float,
    recency: float,
    medians: Mapping[str, float],
    cluster: int = 0,
    cutoffs: Cutoffs = Cutoffs(),
) -> str:
    """Return the segment of a customer, or of a cluster by its medians, relative to the medians of all customers.

    Recency is in days. The number of the cluster matters for dormant spend outliers (-1): they have their own segment.

    Examples
    --------
    >>> segment_of(1500, 8, 45, {"Monetary": 800, "Frequency": 4, "Recency": 60})
    'Champions'
    """
    m, f = medians["Monetary"], medians["Frequency"]
    found = next(row for row in decisions(cutoffs) if within(monetary, row.monetary, m) and within(frequency, row.frequency, f))
    name = found.recent if recency < cutoffs.recency * medians["Recency"] else found.dormant
    return CLUSTER_NAMES.get((cluster, name), name)


def steady_segment(
    values: Sequence[float],
    medians: Mapping[str, float],
    cluster: int = 0,
    cutoffs: Cutoffs = Cutoffs(),
    before: str | None = None,
    band: float = 0.0,
) -> str:
    """Return the segment of a cluster; it keeps its earlier one while its medians are within a band around the cut-offs."""
    # Each metric by itself: a value just beyond the limits of the earlier segment counts as within them.
    money, orders, days = values
    if before in TIER_OF:
        row, limit = decision_of(before, cutoffs), cutoffs.recency * medians["Recency"]
        money = _moved_within(money, row.monetary, medians["Monetary"], band)
        orders = _moved_within(orders, row.frequency, medians["Frequency"], band)
        if abs(days - limit) < band * limit:
            days = math.nextafter(limit, 0) if before == row.recent else limit
    return segment_of(money, orders, days, medians, cluster, cutoffs)


def _moved_within(value: float, limits: tuple[float, float], median: float, band: float) -> float:
    """Return the nearest value within the limits for a value just beyond them."""
    low, high = (limit if math.isinf(limit) else limit * median for limit in limits)
    if low * (1 - band) < value <= low:
        return math.nextafter(low, math.inf)
    return high if high < value <= high * (1 + band) else value


def decision_of(segment: str, cutoffs: Cutoffs = Cutoffs()) -> Decision:
    """Return the row of the decision table with a segment."""
    return next(row for row in decisions(cutoffs) if plain_name(segment) in row[2:])


def plain_name(segment: str) -> str:
    """Return the name of a segment in the decision table; it differs for those of `CLUSTER_NAMES` only."""
    return next((name for (_, name), own in CLUSTER_NAMES.items() if own == segment), segment)


def within(value: Any, band: tuple[float, float], median: float) -> Any:
    """Return True if low · median < value <= high · median; of a column, True per row."""
    low, high = (limit if math.isinf(limit) else limit * median for limit in band)
    return (low < value) & (value <= high)


def recommended_actions(own: Mapping[str, str]) -> dict[str, str]:
    """Return the action of every segment: the shop's own, otherwise that of `RECOMMENDATIONS`.

    SettingsError if there is no such segment, or no such state in a key ``segment / state``, which `action_of` reads.

    Examples
    --------
    >>> import rfm
    >>> rfm.segments.recommended_actions({"Champions": "Call them."})["Champions"]
    'Call them.'
    """
    pairs = [key.partition(AND) for key in own]
    if strange := {segment for segment, _, _ in pairs} - set(SEGMENTS):
        raise SettingsError(f"recommendations: {unknown('segment', sorted(strange), SEGMENTS)}")
    if strange := {state for _, sign, state in pairs if sign} - STATE_ACTIONS.keys():
        raise SettingsError(f"recommendations: {unknown('state', sorted(strange), STATE_ACTIONS)}")
    return {**RECOMMENDATIONS, **{key: action for key, action in own.items() if AND not in key}}


def action_of(segment: str, state: str, own: Mapping[str, str] = {}) -> str:
    """Return the action for the customers of a segment in a state.

    The shop's own for ``segment / state`` comes first. An active customer gets the action of the segment, or of its recent
    counterpart where the segment is a dormant one; any other state has its own action, by tier.

    Examples
    --------
    >>> action_of("Super VIP Champions", "at risk")
    'Call them this week: the account manager asks what is missing and brings a personal offer.'
    >>> action_of("Champions", "at risk", {"Champions / at risk": "Send the spring catalogue."})
    'Send the spring catalogue.'
    """
    if chosen := own.get(f"{segment}{AND}{state}"):
        return chosen
    if by_tier := STATE_ACTIONS[state]:
        return by_tier.get(TIER_OF[segment], by_tier[""])
    return own.get(segment) or {**RECOMMENDATIONS, **ONGOING}[decision_of(segment).recent]
