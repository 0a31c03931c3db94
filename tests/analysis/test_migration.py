"""Who goes from state to state: shares and sums are those of plain pandas, and a past day knows nothing of what came later."""

from __future__ import annotations

import datetime as dt
from functools import cache

import numpy as np
import pandas as pd
import pytest

from rfm.analysis import migration, states
from rfm.analysis.forecast import first_day
from rfm.config import States
from rfm.contracts import TABLES, conform

START, LAST = dt.date(2025, 6, 1), dt.date(2025, 12, 28)
LIMITS = States(worth=1_000, new_days=20, quiet_days=30, lost_days=60, overdue=2.0)
MONTH = dt.timedelta(days=30)


def invented() -> pd.DataFrame:
    """Return the invoices of 160 customers in 210 days, some of whom stay away for months."""
    random = np.random.default_rng(8)
    rhythm, start = random.integers(5, 90, 160), random.integers(0, 120, 160)
    rows = []
    for customer in range(160):
        for day in np.cumsum([start[customer], *random.exponential(rhythm[customer], 12)]):
            rows.append((str(customer), START + dt.timedelta(days=int(day)), int(random.integers(100, 90_000)) / 100))
    frame = pd.DataFrame(rows, columns=["CustomerID", "InvoiceDate", "TotalPrice"])
    return frame[frame["InvoiceDate"] <= LAST].assign(InvoiceDate=lambda rows: pd.to_datetime(rows["InvoiceDate"]))


SHOP = invented()


@cache
def of_day(day: dt.date) -> pd.DataFrame:
    """Return Monetary and State of the customers of a day, by CustomerID, in plain pandas."""
    seen = SHOP[SHOP["InvoiceDate"] <= pd.Timestamp(day)]
    gold = seen.groupby("CustomerID").agg(Monetary=("TotalPrice", "sum"), Last=("InvoiceDate", "max")).reset_index()
    gold["Monetary"] = gold["Monetary"].round(2)
    gold["Recency"] = (pd.Timestamp(day) - gold["Last"]).dt.days
    return gold.assign(State=states.states_of(gold, seen, day, LIMITS)["State"]).set_index("CustomerID")


def table_of(day: dt.date, shop: pd.DataFrame = SHOP) -> pd.DataFrame:
    """Return ``state_migration`` of a day."""
    today = of_day(day).reset_index()
    return migration.migration(today, today, shop, day, LIMITS)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return the table of the last day, as it is written."""
    return conform(TABLES["state_migration"], table_of(LAST)).to_pandas(use_pyarrow_extension_array=True)


@pytest.mark.parametrize("since", [LAST, LAST - MONTH])
def test_every_number_is_that_of_plain_pandas(table, since):
    days = [since - n * MONTH for n in range(4)]
    steps = [of_day(then).join(of_day(after)["State"].rename("To")) for after, then in zip(days, days[1:], strict=False)]
    seen, now = pd.concat(steps), of_day(since)
    counts = pd.crosstab(seen["State"], seen["To"])
    money = pd.crosstab(seen["State"], seen["To"], seen["Monetary"], aggfunc="sum").fillna(0)
    sums = now.groupby("State")["Monetary"].agg(["size", "sum"])
    rows = table[table["Since"] == since].set_index(["From_State", "To_State"])
    assert len(rows) > 12
    for (here, there), row in rows.iterrows():
        share = counts.loc[here].get(there, 0) / counts.loc[here].sum()
        of_spend = money.loc[here].get(there, 0) / money.loc[here].sum()
        assert (row["Pairs"], row["Share"]) == (counts.loc[here].get(there, 0), round(share, 6))
        assert row["Customers"] == pytest.approx(sums["size"].get(here, 0) * share, abs=0.005001)
        assert row["Revenue"] == pytest.approx(sums["sum"].get(here, 0) * of_spend, abs=0.005001)


def test_what_came_is_what_happened(table):
    then = of_day(LAST - MONTH).join(of_day(LAST)["State"].rename("To"))
    counts, money = then.groupby(["State", "To"]).size(), then.groupby(["State", "To"])["Monetary"].sum()
    rows = table[table["Since"] < LAST].set_index(["From_State", "To_State"])
    assert rows["Came"][rows["Came"] > 0].astype(int).sort_index().to_dict() == counts.to_dict()
    assert rows["CameRevenue"][rows["Came"] > 0].to_dict() == pytest.approx(money.round(2).to_dict())
    assert table.loc[table["Since"] == LAST, ["Came", "CameRevenue"]].isna().all(axis=None)


def test_outlook_and_shares_add_up_to_the_customers(table):
    found, shares, now = migration.outlook(table).set_index("State"), migration.shares(table), of_day(LAST)
    sizes = now["State"].value_counts()
    assert found["Customers"].round().to_dict() == sizes.reindex(states.STATES, fill_value=0).to_dict()
    assert found["CustomersLater"].sum() == pytest.approx(len(now), abs=0.2)
    assert found[["Revenue", "RevenueLater"]].sum().tolist() == pytest.approx([now["Monetary"].sum()] * 2, abs=0.2)
    assert found["Came"].sum() == len(of_day(LAST - MONTH))
    assert shares[list(states.STATES)].sum(axis=1).tolist() == pytest.approx([1] * len(shares), abs=1e-5)
    assert (shares["Few"] == (shares["Pairs"] < 30)).all()


def test_words_are_those_of_the_sums(table):
    leaving, back, tried = migration.in_words(table, "£")
    now = table[table["Since"] == LAST]
    gone = now[~now["From_State"].isin(states.TO_CALL) & now["To_State"].isin(states.TO_CALL)]
    assert leaving.startswith(f"About {gone['Customers'].sum():.0f} of the ")
    assert leaving.endswith(f"They have brought £{gone['Revenue'].sum():,.0f} so far.")
    assert back.endswith("others will have come back.")
    assert tried.startswith("The same calculation 30 days ago was off by ")


def test_what_comes_later_changes_nothing():
    early, day = SHOP[SHOP["InvoiceDate"] <= "2025-10-29"], dt.date(2025, 10, 29)
    pd.testing.assert_frame_equal(table_of(day), table_of(day, early))


def test_a_state_that_nobody_was_in_is_kept():
    today = of_day(LAST).reset_index()
    strange = today.assign(State=today["State"].where(today.index != 0, "at risk"))
    seen = migration.migration(today, today, SHOP, LAST, LIMITS)
    assert "at risk" not in set(seen["From_State"])
    row = migration.migration(strange, strange, SHOP, LAST, LIMITS).query("From_State == 'at risk'").iloc[0]
    assert (row["To_State"], row["Pairs"], row["Share"], row["Customers"]) == ("at risk", 0, 1.0, 1.0)
    assert row["Revenue"] == today["Monetary"].iloc[0]


def test_a_young_shop_has_none_until_the_day_said():
    first = first_day(SHOP, LAST)
    assert first is not None
    assert len(table_of(first - dt.timedelta(days=1))) == 0
    found = table_of(first)
    assert len(found) > 0
    assert set(found["Since"]) == {first}
    assert len(migration.in_words(found)) == 2
    assert conform(TABLES["state_migration"], found)["Came"].null_count() == len(found)
