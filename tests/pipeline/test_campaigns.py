"""Campaigns: both arms are kept, each run measures them, and nothing is said before its day."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import rfm
from rfm.analysis.experiments import HELD, WRITTEN
from rfm.cli.options import app
from rfm.datasets.sample import make_sample
from rfm.errors import RfmError
from rfm.pipeline import backfill, campaigns
from rfm.pipeline.campaigns import Choice
from rfm.settings import Settings

LAST = dt.date(2025, 10, 23)
START = LAST - dt.timedelta(days=10)
ALL = Choice()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a shop that has run up to ten days before its newest file."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=60, customers=200, lines=6000, end=LAST)
    settings = settings_in(root)
    backfill.run_day(settings, rfm.Lake(settings.lake), START)
    return root


@pytest.fixture
def shop(before: Path, tmp_path: Path) -> Settings:
    """Return a copy of the shop, to do as one likes with."""
    return settings_in(Path(shutil.copytree(before, tmp_path / "shop")))


def settings_in(root: Path, **more: Any) -> Settings:
    return rfm.load_settings(landing=str(root / "landing"), lake=str(root / "lake"), **more)


def new(shop: Settings, name: str = "spring", choice: Choice = ALL, holdout: float = 0.3, days: int = 7) -> str:
    return campaigns.new(shop, rfm.Lake(shop.lake), name, choice, holdout, days)


def run(shop: Settings, day: dt.date) -> rfm.Lake:
    lake = rfm.Lake(shop.lake)
    backfill.run_day(shop, lake, day)
    return lake


def by_hand(shop: Settings, members: pd.DataFrame, end: dt.date) -> pd.DataFrame:
    """Return orders and revenue per arm within the window, in plain pandas."""
    silver = rfm.Lake(shop.lake).frame("retail_transactions_silver")
    counts = silver["CustomerID"].notna() & ~silver["IsCancellation"] & silver["StockCode"].str.match(r"^\d{5}[A-Za-z]*$|^PADS$")
    day = pd.to_datetime(silver["InvoiceDate"]).dt.date
    rows = silver[counts & (day > START) & (day <= end)].merge(members, on="CustomerID")
    sums = rows.groupby("Arm").agg(
        Buyers=("CustomerID", "nunique"), Orders=("InvoiceNo", "nunique"), Revenue=("TotalPrice", "sum")
    )
    return sums.assign(Members=members["Arm"].value_counts())


def test_arms_are_kept_and_the_list_says_what_it_can_find(shop):
    said = new(shop)
    lake = rfm.Lake(shop.lake)
    members, about = lake.frame("campaign_members"), lake.frame("campaigns").iloc[0]
    assert members["Arm"].value_counts()[HELD] == round(0.3 * len(members))
    assert set(members["CustomerID"]) == set(lake.frame("customer_rfm_gold")["CustomerID"])
    assert (about["Start"], about["Ends"]) == (START, START + dt.timedelta(days=7))
    assert f"{len(members):,} customers" in said
    assert f"{100 * about['Smallest']:.1f} points" in said


def test_the_same_name_and_day_draw_the_same_arms(shop, tmp_path):
    other = settings_in(Path(shutil.copytree(Path(shop.lake).parent, tmp_path / "other")))
    drawn = []
    for settings in (shop, other):
        new(settings)
        drawn.append(rfm.Lake(settings.lake).frame("campaign_members"))
    pd.testing.assert_frame_equal(*drawn)


def test_runs_count_both_arms_and_withhold_the_difference(shop):
    new(shop)
    lake = run(shop, START + dt.timedelta(days=3))
    found = lake.frame("campaign_results").set_index("Measure")
    hand = by_hand(shop, lake.frame("campaign_members"), START + dt.timedelta(days=3))
    for arm, column in ((WRITTEN, "Written"), (HELD, "HeldOut")):
        own = hand.loc[arm]
        assert found.loc["Bought", column] == pytest.approx(own["Buyers"] / own["Members"])
        assert found.loc["Orders", column] == pytest.approx(own["Orders"] / own["Members"])
        assert found.loc["Revenue", column] == pytest.approx(float(own["Revenue"]) / own["Members"])
    assert found[["Uplift", "Low", "High"]].isna().all().all()
    (about,) = campaigns.listed(lake, "spring")
    assert "Not yet sure: 4 more days" in " ".join(campaigns.described(lake, about, shop))


def test_after_the_window_its_orders_alone_count(shop):
    new(shop)
    lake = run(shop, LAST)
    found = lake.frame("campaign_results").set_index("Measure")
    hand = by_hand(shop, lake.frame("campaign_members"), START + dt.timedelta(days=7))
    own = hand.loc[WRITTEN]
    assert found.loc["Revenue", "Written"] == pytest.approx(float(own["Revenue"]) / own["Members"])
    row = found.loc["Bought"]
    assert row["Low"] < row["Uplift"] < row["High"]
    assert row["Uplift"] == pytest.approx(row["Written"] - row["HeldOut"], abs=0.1)
    (about,) = campaigns.listed(lake, "spring")
    assert "95 % interval" in " ".join(campaigns.described(lake, about, shop))


def test_nobody_is_in_two_running_campaigns(shop):
    lake = rfm.Lake(shop.lake)
    new(shop, "first", Choice(states=("active",)))
    taken = campaigns.running_members(lake)
    new(shop, "second")
    assert not taken & set(lake.frame("campaign_members", Campaign="second")["CustomerID"])
    with pytest.raises(RfmError, match=r"0 customers are chosen; .* more are in a running campaign"):
        new(shop, "third")
    campaigns.close(lake, "first")
    new(shop, "third", Choice(top=20))
    assert set(lake.frame("campaign_members", Campaign="third")["CustomerID"]) <= taken


def test_a_closed_campaign_is_no_longer_measured(shop):
    new(shop)
    campaigns.close(rfm.Lake(shop.lake), "spring")
    lake = run(shop, LAST)
    assert lake.frame("campaign_results").empty
    assert campaigns.listed(lake, "spring")[0]["Closed"] == START


WRONG = [
    (("new", "x", "--segment", "Champion"), "--segment: "),
    (("new", "x", "--holdout", "all"), "--holdout 'all': is no share"),
    (("new", "x", "--top", "3"), "each arm needs at least 2"),
    (("new", "x", "--date", "2025-01-01"), "the tables hold 2025-10-13"),
    (("new",), "needs a NAME"),
    (("show", "nobody"), "there is no such campaign"),
    (("stop", "x"), "stop: is none of new, list, show, close"),
    (("new", "x", "--format", "mailchimp", "--out", "list.csv"), "give --contacts FILE"),
    (("new", "x", "--contacts", "none.csv"), "none.csv: cannot be read"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[said for _, said in WRONG])
def test_wrong_use_is_one_sentence(shop, words, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["campaign", *words, "--lake", shop.lake])
    assert isinstance(result.exception, RfmError)
    assert said in str(result.exception)


def test_the_list_is_in_the_columns_of_the_mail_program(shop, tmp_path):
    ids = rfm.Lake(shop.lake).frame("customer_rfm_gold")["CustomerID"].tolist()
    contacts = pd.DataFrame({"CustomerID": ids[:40], "Email": [f"{id}@shop.example" for id in ids[:39]] + [""], "Name": "=1+1"})
    contacts.to_csv(tmp_path / "contacts.csv", index=False)
    given = ["--contacts", str(tmp_path / "contacts.csv"), "--out", str(tmp_path / "list.csv"), "--lake", shop.lake]
    result = CliRunner().invoke(app, ["campaign", "new", "spring", "--format", "klaviyo", "--holdout", "25%", *given])
    assert result.exit_code == 0, result.output
    listed = pd.read_csv(tmp_path / "list.csv", dtype=str)
    members = rfm.Lake(shop.lake).frame("campaign_members")
    assert set(members["CustomerID"]) == set(ids[:39])  # who has no address is not drawn
    assert listed["External ID"].tolist() == [one.partition("@")[0] for one in listed["Email"]]
    assert set(listed["External ID"]) == set(members.loc[members["Arm"] == WRITTEN, "CustomerID"])
    assert set(listed["Name"]) == {"'=1+1"}
