"""Every customer has exactly one state, by her own numbers and rhythm; who is worth it and silent is on the list."""

from __future__ import annotations

import datetime as dt
from statistics import median, median_grouped
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import rfm
from rfm.analysis import states
from rfm.analysis.figures.style import STATE_COLOURS
from rfm.analysis.segments.rules import PREMIUM, SEGMENTS, STATE_ACTIONS, TIER_OF, action_of, recommended_actions, segment_of
from rfm.config import States
from rfm.contracts import TABLES, conform
from rfm.errors import SettingsError

DAY = dt.date(2026, 2, 28)
OLD = 400  # days ago, the first purchase of the shop


def bought(*days_ago: int, id: str = "1") -> pd.DataFrame:
    """Return a customer's purchases, so many days before `DAY`."""
    days = [pd.Timestamp(DAY) - pd.Timedelta(days=ago) for ago in days_ago]
    return pd.DataFrame({"CustomerID": id, "InvoiceDate": days})


def shop(purchases: pd.DataFrame, spent: dict[str, float] | None = None, segment: str = "Champions") -> pd.DataFrame:
    """Return the described customers of some purchases, each with 100 spent unless said otherwise."""
    groups = purchases.groupby("CustomerID")["InvoiceDate"]
    customers = pd.DataFrame({"MaxInvoiceDate": groups.max(), "Frequency": groups.size()}).reset_index()
    recency = (pd.Timestamp(DAY) - customers["MaxInvoiceDate"]).dt.days
    money = customers["CustomerID"].map(spent or {}).fillna(100.0)
    named = {"Cluster_Description": segment, "Tier": TIER_OF[segment]}
    return customers.assign(Recency=recency, Monetary=money, **named)


def state_of(*days_ago: int, spent: float = 100, **limits: Any) -> str:
    """Return the state of one customer of a shop that began long ago."""
    others = pd.concat([bought(OLD, id=f"other {n}") for n in range(3)])
    purchases = pd.concat([others, bought(*days_ago)])
    found = states.states_of(shop(purchases, {"1": spent}), purchases, DAY, States(**limits))
    return str(found["State"].iloc[0])


# ── rules ──────────────────────────────────────────────────────────────────────────────────────────
CASES = {
    "first order 30 days ago": ((30,), {}, "new"),
    "first order 31 days ago": ((31,), {}, "active"),
    "second order today, first 12 days ago": ((12, 0), {}, "new"),
    "every 20 days, silent for 30": ((110, 90, 70, 50, 30), {}, "active"),
    "every 20 days, silent for 31": ((111, 91, 71, 51, 31), {}, "cooling"),
    "every 20 days, silent for 91, worth it": ((151, 131, 111, 91), {"spent": 900}, "at risk"),
    "every 20 days, silent for 91, not worth it": ((151, 131, 111, 91), {}, "cooling"),
    "every 20 days, silent for 90, worth it": ((150, 130, 110, 90), {"spent": 900}, "cooling"),
    "every 23 days, silent for 92, worth it": ((161, 138, 115, 92), {"spent": 900}, "cooling"),
    "every 22 days, silent for 92, worth it": ((158, 136, 114, 92), {"spent": 900}, "at risk"),
    "every 100 days, silent for 91": ((391, 291, 191, 91), {}, "cooling"),
    "bought once, silent for 91, worth it": ((91,), {"spent": 900}, "cooling"),
    "every 20 days, silent for 180": ((240, 220, 200, 180), {}, "cooling"),
    "every 20 days, silent for 181": ((241, 221, 201, 181), {"spent": 900}, "lost"),
    "every 60 days, silent for 181": ((361, 301, 241, 181), {}, "cooling"),
    "every 20 days, back after 181 lost days": ((262, 242, 222, 202, 20), {}, "won back"),
    "every 20 days, back after 180 days": ((241, 221, 201, 181, 1), {}, "active"),
    "back for 31 days": ((331, 311, 291, 271, 31, 10), {}, "active"),
    "back for 30 days, bought again": ((330, 310, 290, 270, 30, 10), {}, "won back"),
    "every day, silent for 10": ((13, 12, 11, 10), {"new_days": 0}, "active"),
    "every day, silent for 11": ((14, 13, 12, 11), {"new_days": 0}, "cooling"),
}


@pytest.mark.parametrize(("days", "given", "state"), CASES.values(), ids=CASES)
def test_state_of_a_customer(days, given, state):
    assert state_of(*days, **given) == state


def test_nobody_is_new_in_the_first_days_of_the_files():
    purchases = pd.concat([bought(40, id="1"), bought(20, id="2"), bought(10, id="3")])
    found = states.states_of(shop(purchases), purchases, DAY)
    assert found["State"].tolist() == ["active", "active", "new"]


def test_rules_pages_and_actions_know_the_same_states():
    assert {rule.state for rule in states.RULES} == {*states.STATES} == STATE_ACTIONS.keys() == STATE_COLOURS.keys()
    assert {*states.TO_CALL} < {*states.STATES}


def test_limits_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="must rise"):
        States(quiet_days=200)
    with pytest.raises(ValueError, match="must rise"):
        States(cooling=5)


HISTORIES = some.lists(some.lists(some.integers(0, 700), min_size=1, max_size=12), min_size=1, max_size=8)
LIMITS = some.builds(
    lambda days, gaps, **more: States(
        **dict(zip(("new_days", "quiet_days", "lost_days"), sorted(days), strict=True)),
        **dict(zip(("cooling", "overdue"), sorted(gaps), strict=True)),
        **more,
    ),
    some.tuples(*[some.integers(0, 400)] * 3),
    some.tuples(*[some.floats(0.1, 20)] * 2),
    worth=some.floats(0, 10),
    own_gaps=some.integers(1, 5),
)


@settings(max_examples=30, deadline=None)
@given(HISTORIES, some.lists(some.floats(0, 5000), min_size=8, max_size=8), LIMITS, some.sampled_from(SEGMENTS))
def test_no_worthy_silent_customer_is_missed(days, spent, limits, segment):
    purchases = pd.concat([bought(*own, id=str(place)) for place, own in enumerate(days)])
    customers = shop(purchases, {str(place): money for place, money in enumerate(spent)}, segment)
    found = states.customer_states(customers, purchases, DAY, limits)
    assert found["CustomerID"].tolist() == customers["CustomerID"].tolist()
    assert found["State"].isin(states.STATES).all()
    conform(TABLES["customer_states"], found.astype({"PurchaseDays": "int32"}))
    worthy = (customers["Monetary"] > limits.worth * (customers["Monetary"].median() or 1.0)) | (customers["Tier"] == PREMIUM)
    silent = worthy & (customers["Recency"] > limits.quiet_days)
    assert found.loc[silent, "ToCall"].all()
    assert not found.loc[~worthy, "ToCall"].any()


ORDER = ("active", "cooling", "at risk", "lost")


@settings(max_examples=20, deadline=None)
@given(some.lists(some.integers(0, 300), min_size=2, max_size=9), some.floats(1, 900))
def test_silence_alone_never_brings_a_customer_back(days, spent):
    later = {str(more): bought(*(ago + more for ago in days), id=str(more)) for more in range(0, 400, 25)}
    purchases = pd.concat([*later.values(), *(bought(OLD, id=f"other {n}") for n in range(20))])
    customers = shop(purchases, dict.fromkeys(later, spent))
    found = dict(zip(customers["CustomerID"], states.states_of(customers, purchases, DAY)["State"], strict=True))
    passed = [found[id] for id in later]
    ranks = [ORDER.index(state) for state in passed if state not in ("new", "won back")]
    assert ranks == sorted(ranks)
    assert not {"new", "won back"} & {*passed[2:]}


# ── the same numbers, one customer after another ───────────────────────────────────────────────────
@pytest.fixture(scope="module")
def example() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dt.date]:
    """Return described customers, counted invoices and states of a small shop, and its run date."""
    customers, found = (rfm.example(name) for name in ("customer_rfm_description_and_recommendation", "customer_states"))
    day = found["UpdateDate"].iloc[0]
    purchases = rfm.stages.purchases(rfm.example("retail_transactions_silver"), rfm.load_settings(), day)
    return customers, purchases, found, day


def test_rhythm_and_money_are_those_of_plain_python(example):
    customers, purchases, found, day = example
    dates = pd.to_datetime(purchases["InvoiceDate"]).dt.date
    visits = {id: sorted({*rows}) for id, rows in dates.groupby(purchases["CustomerID"])}
    gaps = {id: [(b - a).days for a, b in zip(own, own[1:], strict=False)] for id, own in visits.items()}
    alike = {n: [own[n - 1] for own in gaps.values() if len(own) >= n] for n in (1, 2)}
    usual = {n: round((median_grouped(own) * len(own) + 100 * 30) / (len(own) + 100), 1) for n, own in alike.items()}
    for customer, row in zip(customers.to_dict("records"), found.to_dict("records"), strict=True):
        own, spent = visits[row["CustomerID"]], float(customer["Monetary"])
        gap = median(gaps[row["CustomerID"]]) if len(own) > 2 else usual[len(own)]
        assert (row["PurchaseDays"], row["FirstPurchase"], row["OwnGap"]) == (len(own), own[0], len(own) > 2)
        assert row["UsualGap"] == pytest.approx(gap)
        assert row["Overdue"] == pytest.approx((day - own[-1]).days / max(gap, 7))
        assert row["UsualSpend"] == pytest.approx(spent / max((own[-1] - own[0]).days + gap, 90) * 90, abs=0.0051)
        assert row["AtStake"] == row["UsualSpend"]  # no forecast yet


def test_own_segment_is_that_of_the_decision_table(example):
    customers, _, found, _ = example
    medians = rfm.segments.medians_of(customers)
    rows = customers[["Monetary", "Frequency", "Recency"]].astype(float).to_numpy().tolist()
    assert found["OwnSegment"].tolist() == [segment_of(*row, medians) for row in rows]


def test_later_purchases_change_nothing(example):
    customers, purchases, _, day = example
    ahead = purchases.head(50).assign(InvoiceDate=pd.Timestamp(day) + pd.Timedelta(days=5))
    now = states.customer_states(customers, purchases, day)
    pd.testing.assert_frame_equal(states.customer_states(customers, pd.concat([purchases, ahead]), day), now)


def test_call_list_is_ordered_by_money_at_stake(example):
    calls = states.call_list(example[2])
    assert len(calls) == example[2]["ToCall"].sum() > 5
    assert calls["AtStake"].tolist() == sorted(calls["AtStake"], reverse=True)


def test_forecast_gives_the_money_at_stake(example):
    customers, purchases, found, day = example
    ids = customers["CustomerID"].tolist()
    forecast = pd.DataFrame({"CustomerID": ids[:3], "Spend90": [10.0, 90.0, 5.0], "Spend90Before": [100.0, 50.0, None]})
    given = states.customer_states(customers, purchases, day, forecast=forecast)
    assert given["AtStake"].tolist()[:2] == [90.0, 0.0]
    assert given["AtStake"].iloc[2] == pytest.approx(max(0, found["UsualSpend"].iloc[2] - 5))
    assert given["AtStake"].iloc[3] == found["UsualSpend"].iloc[3]


def test_rhythm_in_words():
    words = [states._in_words(*row) for row in ((5, 23.0, True, 96), (1, 40.8, False, 1), (2, 34.2, False, 0), (9, 1.0, True, 3))]
    assert words == [
        "usually every 23 days, silent for 96 days",
        "bought on 1 day, others come back after 41 days, silent for 1 day",
        "bought on 2 days, others come back after 34 days, silent for 0 days",
        "usually every day, silent for 3 days",
    ]


# ── actions ────────────────────────────────────────────────────────────────────────────────────────
def test_every_segment_and_state_has_an_action():
    for segment in SEGMENTS:
        for state in states.STATES:
            assert action_of(segment, state).endswith(".")


def test_dormant_vip_is_won_back_and_an_active_one_thanked():
    assert "thank-you" in action_of("Super VIP Champions", "active")
    assert action_of("VIP At Risk", "active") == action_of("Super VIP Champions", "active")
    assert "thank" not in action_of("Super VIP Champions", "at risk").lower()
    assert "second order" in action_of("New Customers", "new")
    assert "second order" not in action_of("New Customers", "active")


def test_own_actions_by_segment_and_by_segment_and_state():
    own = {"Champions": "Thank them.", "Champions / at risk": "Call them."}
    assert action_of("Champions", "active", own) == "Thank them."
    assert action_of("Champions", "at risk", own) == "Call them."
    assert action_of("Champions", "lost", own) == STATE_ACTIONS["lost"][""]
    assert recommended_actions(own)["Champions"] == "Thank them."
    assert recommended_actions(own).keys() == {*SEGMENTS}


def test_unknown_state_of_an_action_is_named():
    with pytest.raises(SettingsError, match=r"unknown state 'at rsk' \(did you mean 'at risk'\?\)"):
        recommended_actions({"Champions / at rsk": "Call them."})
