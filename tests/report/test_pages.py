"""The pages of a run say what its tables say, now and later; nothing of the data runs on them."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import json
import re
import shutil
import zipfile
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import deltalake
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from typer.testing import CliRunner

import rfm
from rfm.analysis import movement
from rfm.analysis.figures.style import TIER_COLOURS
from rfm.analysis.migration import in_words
from rfm.analysis.segments.rules import SEGMENTS
from rfm.cli.options import app
from rfm.config import Publish
from rfm.contracts import CAMPAIGN_RESULTS, TABLES
from rfm.datasets.sample import make_sample
from rfm.errors import InputError
from rfm.pipeline.chain import STAGES
from rfm.report import compare, customers, pages_data, render, site
from rfm.report import pages as overview
from rfm.report.filters import PAGE_FILTERS
from rfm.report.pages import PAGES
from rfm.report.publish import OWN, publish
from rfm.report.render import TEMPLATE, RunTables, assets, rows_of
from rfm.report.site import index_page
from rfm.settings import Settings
from tests.analysis.test_migration import LAST as GROWN
from tests.analysis.test_migration import table_of
from tests.shop import run

LAST = dt.date(2025, 10, 23)
DAYS = [LAST - dt.timedelta(days=days) for days in (1, 0)]
NASTY = {
    "script": "</script><script>window.hacked=1</script>",
    "quotes": "\"' onload='window.hacked=2'",
    "turned": "\u202egnp.exe\u202c \u2066\u200f",
    "long": "LAMP " * 2000,
    "formula": "=cmd|' /C calc'!A0",
}
ID = re.compile(r"(?<!\d)90\d{5}(?!\d)")
OUTSIDE = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)


def with_telling_ids(landing: Path) -> None:
    """Put 90 before each customer id, so that no other number of the site is one."""
    for path in landing.glob("*.csv"):
        path.write_text(re.sub(r",(\d{5}\.0),", r",90\1,", path.read_text()))


def spoil(landing: Path) -> None:
    """Give products of the newest file, and a line that is refused, names that mean harm."""
    path = sorted(landing.glob("*.csv"))[-1]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, name in zip(rows, NASTY.values(), strict=False):
        known = {"Customer ID": "9012999.0", "Country": name[:40], "StockCode": f"99{rows.index(row):03}"}
        row.update(known, Description=name, Quantity="9000", Price="9.00")
    rows.append({**rows[0], "Quantity": "-1", "Description": NASTY["script"]})
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[dict[str, Any]]]:
    """Return a shop after two days, and their records; not to be written to."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=40, end=LAST, lines=3000, customers=150)
    with_telling_ids(root / "landing")
    spoil(root / "landing")
    settings = rfm.load_settings(**{name: str(root / name) for name in ("landing", "lake", "reports")})
    return settings, [run(settings, day) for day in DAYS]


@pytest.fixture(scope="module")
def tables(project: tuple[Settings, list[dict[str, Any]]]) -> RunTables:
    """Return the tables of the newest run."""
    return RunTables(project[0], project[1][-1])


@pytest.fixture(scope="module")
def pages(project: tuple[Settings, list[dict[str, Any]]]) -> dict[str, BeautifulSoup]:
    """Return the pages of the newest run, and the front page as ``front``, as they were published."""
    reports = Path(project[0].reports)
    paths = {page.file: reports / str(LAST) / page.file for page in PAGES} | {"front": reports / "index.html"}
    return {name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for name, path in paths.items()}


@pytest.fixture
def copied(project: tuple[Settings, list[dict[str, Any]]], tmp_path: Path) -> Settings:
    """Return a copy of the shop, to do as one likes with."""
    root = shutil.copytree(Path(project[0].lake).parent, tmp_path / "copy")
    return rfm.load_settings(**{name: str(root / name) for name in ("landing", "lake", "reports")})


# ── states a month ahead ───────────────────────────────────────────────────────────────────────────
def test_a_young_shop_says_when_states_are_foretold(pages, tables):
    orders = tables.orders.dropna(subset="CustomerID")
    firsts = orders.groupby("CustomerID")["InvoiceDate"].min().sort_values()
    first = max(firsts.iloc[0] + pd.Timedelta(days=45), firsts.iloc[99]) + pd.Timedelta(days=30)
    assert first > pd.Timestamp(LAST)
    hint = pages["movement.html"].select_one("section:has(#migration) .hint").text
    assert hint == f"The shop is too young to say. This will be here from {first:%-d %B %Y} on."


def test_states_a_month_ahead_are_those_of_the_table(tmp_path):
    settings, found = rfm.load_settings(lake=str(tmp_path)), table_of(GROWN)
    rfm.Lake(settings.lake).replace("state_migration", found)
    (part,) = overview._migration(RunTables(settings, {"run_date": str(GROWN)}))
    now, before = (rows for _, rows in sorted(found.groupby("Since"), reverse=True))
    rows = {row[0]: row[1:] for row in part["table"]["rows"]}
    assert len(rows) == 6
    for state, row in rows.items():
        here, there = now[now["From_State"] == state], now[now["To_State"] == state]
        came = before[before["To_State"] == state]
        wanted = [here["Customers"].sum(), round(there["Customers"].sum()), here["Revenue"].sum(), there["Revenue"].sum()]
        wanted += [round(came["Customers"].sum()), came["Came"].sum()] if len(came) else [None, None]
        assert row == pytest.approx(wanted, abs=0.001)
    assert (part["says"], len(part["figures"][0]["table"]["rows"])) == (in_words(found, "£"), now["From_State"].nunique())


# ── the numbers are those of the tables ────────────────────────────────────────────────────────────
def test_figures_of_the_overview_are_those_of_the_tables(tables):
    shown = {figure["name"]: figure["value"] for figure in overview.overview_page(tables)["kpis"]}
    gold = rfm.Lake(tables.settings.lake).frame("customer_rfm_gold")
    assert (shown["customers"], shown["orders"]) == (len(gold), gold["Frequency"].sum())
    assert Decimal(shown["revenue"]) == gold["Monetary"].sum()
    assert shown["active_customers"] == (gold["Recency"] < 30).sum()
    assert shown["one_time_share"] == pytest.approx((gold["Frequency"] == 1).mean())
    assert shown["average_order"] == str((gold["Monetary"].sum() / int(gold["Frequency"].sum())).quantize(Decimal("0.01")))


def test_orders_before_returns_are_labelled_so(project, tables):
    rules = {"rules": tables.rules.model_dump() | {"revenue": "net"}}
    net = RunTables(project[0], project[1][-1] | {"settings": project[1][-1].get("settings", {}) | rules})
    for one in (tables, net):
        notes = {figure["name"]: figure["note"] for figure in overview.overview_page(one)["kpis"]}
        assert {name for name, note in notes.items() if note.endswith(", before returns")} == {"revenue", "average_order"}
    assert (pages_data.trade_page(tables)["net"], pages_data.trade_page(net)["net"]) == (False, True)


def test_change_since_yesterday_is_against_its_tables(project, tables):
    then = {figure["name"]: figure["past"][0] for figure in overview.overview_page(tables)["kpis"]}
    assert (then["customers"]["word"], then["customers"]["since"]) == ("yesterday", str(DAYS[0]))
    assert then["customers"]["value"] == project[1][0]["summary"]["customers"]
    assert then["revenue"]["value"] == project[1][0]["summary"]["revenue"]


@pytest.mark.parametrize("page", ["index.html", "front"])
def test_tiles_and_segments_stand_in_the_page_before_any_script(pages, tables, page):
    shown = [tile.find_all("dd")[0].text for tile in pages[page].select(".tiles > div")]
    gold, summary = tables.frame("customer_rfm_gold"), tables.frame("segment_summary")
    assert shown[0] == f"{len(gold):,}"
    counts = {card.h3.text: int(card.select_one(".size b").text.replace(",", "")) for card in pages[page].select(".segments li")}
    assert counts == dict(zip(summary["Cluster_Description"], summary["Customers"].astype(int), strict=True))


def test_cards_hold_the_rows_of_the_summary(pages, tables):
    summary = tables.frame("segment_summary").set_index("Cluster_Description")
    cards = pages["segments.html"].select(".cards > li")
    assert {card["data-segment"]: int(card["data-size"]) for card in cards} == summary["Customers"].astype(int).to_dict()
    assert all(summary["Cluster_Recommendation"][card["data-segment"]] in card.text for card in cards)


def test_compared_segments_are_those_of_the_history(pages, tables):
    page, history = pages["segments.html"], rfm.Lake(tables.settings.lake).frame("customer_rfm_kmeans_clustered_history")
    data = data_of(page, "picks")
    assert (data["days"], [*data["moves"]]) == ([str(day) for day in DAYS], ["0 1"])
    then, now = (history[history["UpdateDate"] == day].set_index("CustomerID") for day in DAYS)
    for found, day in zip(data["totals"], (then, now), strict=True):
        sums = day.groupby("Cluster_Description")["Monetary"].agg(["size", "sum"])
        told = {
            data["names"][name]: (people, Decimal(cents) / 100) for name, people, cents in zip(*[iter(found)] * 3, strict=True)
        }
        assert told == {name: (people, money) for name, people, money in sums.itertuples()}
    was = then["Cluster_Description"].reindex(now.index).fillna("")
    wanted = now.groupby([was, now["Cluster_Description"]])["Monetary"].agg(["size", "sum"])
    names = [*data["names"], ""]
    ways = zip(*[iter(data["moves"]["0 1"])] * 4, strict=True)
    moved = {(names[one], names[other]): (people, Decimal(cents) / 100) for one, other, people, cents in ways}
    assert moved == {way: (people, money) for way, people, money in wanted.itertuples()}


def test_compared_segments_can_be_read_before_any_script(pages, tables):
    page, summary = pages["segments.html"], tables.frame("segment_summary").set_index("Cluster_Description")
    lines = {
        row.th.text: [cell.contents[0].split(" → ")[1] for cell in row("td")] for row in page.select("#compare-totals tbody tr")
    }
    money, share = PAGE_FILTERS["money"], lambda value: f"{100 * value:.1f}%"
    for name, row in summary.iterrows():
        shown = [f"{row['Customers']:,}", share(row["CustomerShare"]), money(row["Revenue"], "£"), share(row["RevenueShare"])]
        assert lines[name] == shown
    assert lines["All customers"][0] == f"{summary['Customers'].sum():,}"
    assert [option["value"] for option in page.select(".pick option")] == []
    moves = tables.frame("segment_movement", UpdateDate=LAST, Days=1)
    cells = [cell.contents[0].text for cell in page.select(".crossed td") if cell.contents]
    assert sorted(cells) == sorted(f"{count:,}" for count in moves["Customers"])


def test_compared_days_keep_the_page_small_after_years(monkeypatch):
    days = [dt.date(2025, 10, 23) - dt.timedelta(days=back) for back in range(1500)]
    rows = [(day, name, 100 + place, Decimal("1234567.89")) for day in reversed(days) for place, name in enumerate(SEGMENTS[:9])]
    totals = pd.DataFrame(rows, columns=["UpdateDate", "Segment", "Customers", "Revenue"])
    totals = totals.assign(CustomerShare=0.1, RevenueShare=0.1)
    kept = movement.comparable(days, days[0])
    ways = [
        (*pair, was, now, 123, Decimal("1234567.89"))
        for pair in combinations(kept, 2)
        for was in SEGMENTS[:9]
        for now in SEGMENTS[:5]
    ]
    moves = pd.DataFrame(ways, columns=["Since", "UpdateDate", "From_Segment", "To_Segment", "Customers", "Revenue"])
    monkeypatch.setattr(compare.movement, "segment_totals", lambda *_: totals)
    monkeypatch.setattr(compare.movement, "moves_between", lambda _: moves)
    shown = compare.two_days(SimpleNamespace(read=lambda _: None, history=lambda *_: None, day=days[0]))
    assert len(json.dumps(shown["data"], separators=(",", ":"))) < 300_000
    assert (shown["data"]["days"][-1], shown["data"]["days"][0]) == (str(days[0]), str(days[-1]))
    assert shown["then"] == str(days[30])
    assert [way["from"] for way in shown["grid"]["rows"]] == [*SEGMENTS[:9]]


def test_first_run_has_nothing_to_compare():
    empty = pd.DataFrame(columns=["UpdateDate", "Cluster_Description", "Monetary"])
    assert compare.two_days(SimpleNamespace(read=lambda _: empty, day=LAST)) == {}


# ── states ─────────────────────────────────────────────────────────────────────────────────────────
def test_calls_are_those_worth_it_who_are_silent(tables, pages):
    people = tables.frame("customer_rfm_description_and_recommendation").merge(
        tables.frame("customer_states"), "left", "CustomerID"
    )
    spent = people["Monetary"].astype(float)
    worth = (spent > 2 * spent.median()) | (people["Tier"] == "premium")
    calls = people[worth & people["State"].isin(["cooling", "at risk", "lost"])].sort_values("AtStake", ascending=False)
    shown, rows = customers.calls(tables)
    assert shown["customers"] == len(calls) > 5
    assert Decimal(shown["money"]) == sum(Decimal(f"{value:.2f}") for value in calls["AtStake"])
    for one in shown["states"]:
        own = calls[calls["State"] == one["state"]]
        assert (one["customers"], Decimal(one["money"])) == (len(own), sum(Decimal(f"{value:.2f}") for value in own["AtStake"]))
    assert sum(one["customers"] for one in shown["states"]) == len(calls)
    assert shown["unchanged"] == (calls["AtStake"] == 0).sum()
    assert {row["CustomerID"] for row in rows} == set(calls["CustomerID"])
    assert [row["AtStake"] for row in rows] == calls["AtStake"].tolist()
    lines = pages["index.html"].select(".calls tbody tr")
    assert [line.th.text for line in lines] == [row["CustomerID"] for row in rows]
    assert f"{len(calls)} customers" in pages["index.html"].select_one("section[aria-labelledby=call] .key").text
    tiles = pages["front"].select("section[aria-labelledby=call] .states > div")
    assert [int(tile.dd.contents[0]) for tile in tiles] == [one["customers"] for one in shown["states"]]


def test_list_of_calls_is_in_the_files(project, tables):
    listed = pd.read_csv(Path(project[0].reports) / str(LAST) / customers.FOLDER / "to-call.csv", dtype={"Customer": str})
    shown, rows = customers.calls(tables)
    assert listed["Customer"].tolist() == [row["CustomerID"] for row in rows]
    assert listed["At stake"].tolist() == [row["AtStake"] for row in rows]
    assert listed["What to do"].tolist() == [row["Action"] for row in rows]
    book = Path(project[0].reports) / str(LAST) / customers.FOLDER / "customers.xlsx"
    assert (
        pd.read_excel(book, "To call", engine="calamine", dtype={"Customer": str})["Customer"].tolist()
        == listed["Customer"].tolist()
    )


def test_cards_say_how_far_the_name_fits(tables, pages):
    people = tables.frame("customer_rfm_description_and_recommendation")
    medians = rfm.segments.medians_of(people)
    rows = people[["Monetary", "Frequency", "Recency"]].astype(float).to_numpy().tolist()
    own = pd.Series([rfm.segments.segment_of(*row, medians) for row in rows])
    fits = (own == people["Cluster_Description"].tolist()).groupby(people["Cluster_Description"].tolist()).sum().to_dict()
    states = tables.frame("customer_states").merge(people[["CustomerID", "Cluster_Description"]], "left", "CustomerID")
    action = rfm.segments.action_of
    for card in overview.segments_page(tables)["cards"]:
        assert all(one["action"] == action(card["segment"], one["state"]) for one in card["fits"]["states"])
        assert card["fits"]["own"] == fits[card["segment"]]
        counts = states.loc[states["Cluster_Description"] == card["segment"], "State"].value_counts().to_dict()
        assert {one["state"]: one["customers"] for one in card["fits"]["states"]} == counts
        text = pages["segments.html"].select_one(f"li[data-segment='{card['segment']}'] .why").text
        assert f"{card['fits']['own']} of {card['customers']} by their own numbers" in text


def test_segment_with_a_held_name_says_so(tables, monkeypatch):
    described = tables.frame("cluster_description_and_recommendation").iloc[:2]
    held = described.assign(
        Explanation=["spends 2 × the median", "spends; held by the dead band, the cut-offs alone give Champions"]
    )
    monkeypatch.setattr(RunTables, "frame", lambda self, name, **equal: held)
    assert overview._held(tables) == {described["Cluster_Description"].iloc[-1]: "Champions"}


def test_a_kept_k_a_held_name_and_an_empty_score_are_told(tables, monkeypatch):
    found = RunTables.frame
    model = tables.frame("cluster_models", UpdateDate=tables.day).iloc[[0]]
    scores = json.loads(model["model"].iloc[0])["scores"]
    kept, best = sorted(scores, key=lambda row: row["score"])[-2:]
    people = tables.frame("customer_rfm_description_and_recommendation")
    other = people["Cluster_Description"].iloc[-1]
    assert other != people["Cluster_Description"].iloc[0]
    changed = {
        "cluster_models": model.assign(k=kept["k"]),
        "customer_segmentations": tables.frame("customer_segmentations").query("FScore != 2"),
        "customer_rfm_description_and_recommendation": people.assign(
            Cluster_Description=[other, *people["Cluster_Description"].iloc[1:]]
        ),
    }
    monkeypatch.setattr(RunTables, "frame", lambda self, name, **equal: changed.get(name, found(self, name, **equal)))
    fresh = replace(tables, _kept={})  # nothing is kept of the tables as they were
    page = overview.segments_page(fresh)
    assert "2" in page["empty"]
    said = {"k": kept["k"], "score": f"{kept['score']:.3f}", "better": best["k"], "best": f"{best['score']:.3f}"}
    assert page["kept"] == said
    assert {card["segment"]: card["waiting"] for card in page["cards"]}[other] == 1
    listed = customers.customer_list(fresh).set_index("CustomerID")["Held_Against"]
    assert listed[people["CustomerID"].iloc[0]] == people["Cluster_Description"].iloc[0]


def test_older_run_without_states_has_no_list(tables, monkeypatch):
    empty = tables.frame("customer_states").head(0)
    found = RunTables.frame
    monkeypatch.setattr(
        RunTables, "frame", lambda self, name, **equal: empty if name == "customer_states" else found(self, name, **equal)
    )
    older = replace(tables, _kept={})
    assert customers.calls(older) == ({}, [])
    assert customers.customer_list(older)["State"].isna().all()
    assert all(card["fits"]["states"] == [] for card in overview.segments_page(older)["cards"])


def test_money_on_quality_ends_at_the_revenue_of_the_segments(tables):
    rows = {label: Decimal(amount) for label, amount, _ in pages_data.money(tables)[0]["table"]["rows"]}
    assert rows["In the segments"] == tables.frame("customer_rfm_gold")["Monetary"].sum()


def test_products_of_each_group_are_those_of_the_sales(project, pages, tables):
    lake = rfm.Lake(tables.settings.lake)
    silver = lake.rows("retail_transactions_silver", until=LAST).to_pandas()
    counted = silver["StockCode"].str.contains(tables.rules.stock_code_pattern) & ~silver["IsCancellation"]
    lines = silver[counted & silver["CustomerID"].notna()].assign(Product=lambda rows: rows["StockCode"].str.upper())
    states = lake.rows("customer_states").to_pandas()
    chosen = data_of(pages["trade.html"], "picks")
    forms = pages["trade.html"].select(".pick select")
    segments, conditions = ([option["value"] for option in form("option")] for form in forms)
    assert len(chosen["groups"]) > 6
    bought = lines.groupby("Product")["CustomerID"].nunique()
    for group, (size, *numbers) in chosen["groups"].items():
        segment, state = (names[int(at)] for names, at in zip((segments, conditions), group.split(), strict=True))
        own = states[(states["Segment"] == segment) | (segment == "")]
        own = own[(own["State"] == state) | (state == "")]
        sums = lines[lines["CustomerID"].isin(own["CustomerID"])].groupby("Product")
        wanted = sums.agg(Units=("Quantity", "sum"), Money=("TotalPrice", "sum"), People=("CustomerID", "nunique"))
        wanted = wanted[wanted["People"] >= 3].reset_index().sort_values(["Money", "Product"], ascending=[False, True]).head(20)
        told = [(chosen["products"][row[0]][0], *row[1:]) for row in zip(*[iter(numbers)] * 5, strict=True)]
        lift = wanted["People"] / len(own) / (wanted["Product"].map(bought) / len(states))
        whole = zip(wanted["Product"], wanted["Units"], wanted["Money"] * 100, wanted["People"], strict=True)
        assert (size, [row[:4] for row in told]) == (len(own), [*whole]), group
        assert [row[4] for row in told] == pytest.approx(100 * lift, abs=0.51), group


def test_list_of_products_is_that_of_the_page_and_safe(project, pages, tables):
    path = Path(project[0].reports) / str(LAST) / pages["trade.html"].select_one("a[download]")["href"]
    listed = pd.read_csv(path, dtype={"Code": str})
    found = tables.products_by_group
    assert listed["Code"].tolist() == found["StockCode"].tolist()
    assert [Decimal(f"{value:.2f}") for value in listed["Revenue"]] == found["Revenue"].tolist()
    assert listed["State"].tolist() == found["State"].replace("", "all").tolist()
    nasty = pd.DataFrame([found.iloc[0]]).assign(Description=NASTY["formula"])
    compare.write_products(SimpleNamespace(products_by_group=nasty), path.parent)
    assert pd.read_csv(path)["Product"].tolist() == [f"'{NASTY['formula']}"]


def test_products_can_be_read_before_any_script(pages, tables):
    found = tables.products_by_group
    state = pages["trade.html"].select_one(".pick")["data-state"]
    first = found[(found["Segment"] == "") & (found["State"] == state)]
    rows = [[cell.text for cell in row(["th", "td"])] for row in pages["trade.html"].select(".bought tbody tr")]
    assert [row[1] for row in rows] == first["StockCode"].tolist()
    assert [row[2] for row in rows] == [PAGE_FILTERS["money"](value, "£") for value in first["Revenue"]]


def people(*rows: tuple[str, str | None, str, str, int]) -> pd.DataFrame:
    """Return customers: id, segment before, segment now, spent, days since the last purchase."""
    table = pd.DataFrame(rows, columns=["CustomerID", "Segment_Before", "Cluster_Description", "Monetary", "Recency"])
    bought = [LAST - dt.timedelta(days=days) for days in table["Recency"]]
    return table.assign(Frequency=2, Monetary=table["Monetary"].map(Decimal), MaxInvoiceDate=bought)


def test_entered_counts_who_slipped_into_risk():
    now = people(
        ("1", "Champions", "Champions", "9000.00", 9),
        ("2", "Champions", "Loyal Customers At Risk", "100.10", 90),
        ("3", "Champions", "Loyal Customers At Risk", "200.00", 80),
        ("4", "Super VIP Champions", "VIP At Risk", "5000.05", 90),
        ("5", "At Risk Customers", "Cannot Lose Them", "70.00", 90),  # at risk before
        ("6", None, "At Risk Customers", "20.00", 0),  # new
        ("7", "VIP At Risk", "Champions", "40.00", 0),
        ("8", "New Customers", "At Risk Customers", "33.00", 0),  # by a purchase today
    )
    then = now[now["CustomerID"] != "6"].assign(MaxInvoiceDate=now["MaxInvoiceDate"].replace(LAST, DAYS[0]))
    found = overview.entered(now.assign(Entered_Risk=customers.slipped(now, then)), DAYS[0])
    assert (found["since"], found["customers"], found["revenue"]) == (str(DAYS[0]), 3, "5300.15")
    ways = [(move["from"], move["to"], move["customers"], move["revenue"]) for move in found["moves"]]
    assert ways == [
        ("Super VIP Champions", "VIP At Risk", 1, "5000.05"),
        ("Champions", "Loyal Customers At Risk", 2, "300.10"),
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            {"lake": "/srv/shop/data/lake", "reports": "/srv/shop/reports", "date": "2025-10-23"},
            ["data/lake", "reports", "2025-10-23"],
        ),
        ({"lake": "/srv/lake", "landing": "/mnt/files", "refit": True}, ["lake", "files", True]),
        ({"lake": "s3://shop/lake", "reports": "/home/anna/reports"}, ["s3://shop/lake", "reports"]),
        ({"lake": "/srv/shop", "reports": "/srv/shop/reports"}, ["shop", "shop/reports"]),
    ],
    ids=["together", "apart", "one alone", "one in the other"],
)
def test_run_page_shows_no_path_of_this_computer(given, shown):
    assert [*pages_data.nearby(given).values()] == shown
    assert pages_data.nearby({}) == {}


def test_graph_has_every_table_once_and_every_reader(tables):
    drawn = pages_data.graph(tables.record["stages"])
    labels = [row["label"] for row in drawn["rows"]]
    assert len(labels) == len(set(labels))
    assert set(labels) == {
        pages_data.LANDING,
        *(stage.name for stage in STAGES),
        *(name for one in STAGES for name in one.writes if name != CAMPAIGN_RESULTS),  # no campaign runs
    }
    ways = {(curve["from"], curve["to"]) for curve in drawn["curves"]}
    assert {
        ("retail_transactions_silver", "3_gold"),
        ("customer_rfm_gold", "4_clusters"),
        (pages_data.LANDING, "1_bronze"),
    } <= ways


def test_contract_on_quality_is_the_code(pages):
    entries = pages["quality.html"].select("section[aria-labelledby=contract] .entry")
    shown = {entry.summary.code.text: [row.code.text for row in entry.select("tbody tr")] for entry in entries}
    assert shown == {name: table.names for name, table in TABLES.items()}


# ── customers: the page, the files to take away, what leaves the house ───────────────────────────────
def data_of(page: BeautifulSoup, id: str = "data") -> dict[str, Any]:
    """Return the data of a script of the page."""
    return json.loads(page.select_one(f"script#{id}").string)


def test_customers_on_the_page_are_those_of_the_tables(pages, tables):
    data, gold = data_of(pages["customers.html"]), tables.frame("customer_rfm_description_and_recommendation")
    names = [data["names"]["segment"][place] for place in data["segment"]]
    found = sorted(zip(data["id"], names, data["days"], data["orders"], data["cents"], strict=True))
    wanted = gold[["CustomerID", "Cluster_Description", "Recency", "Frequency", "Monetary"]].itertuples(index=False)
    assert found == sorted((id, name, days, orders, int(100 * spent)) for id, name, days, orders, spent in wanted)
    assert data["cents"] == sorted(data["cents"], reverse=True)


def test_customers_can_be_read_before_any_script(pages, tables):
    rows = pages["customers.html"].select(".grid tbody tr")
    assert [row.th.text for row in rows] == data_of(pages["customers.html"])["id"][: customers.FIRST]
    assert len(rows) == min(customers.FIRST, len(tables.frame("customer_rfm_gold")))


def test_purchases_of_a_customer_add_up_to_what_it_spent(pages):
    data, details = (data_of(pages["customers.html"], id) for id in ("data", "details"))
    assert [sum(bought[1::2]) for bought in details["bought"]] == data["cents"]
    assert [len(bought) // 2 for bought in details["bought"]] == data["orders"]
    assert [bought[0] for bought in details["bought"]] == data["days"]


def test_history_of_a_customer_is_that_of_the_table(pages, tables):
    data, details = (data_of(pages["customers.html"], id) for id in ("data", "details"))
    history = tables.frame("customer_rfm_kmeans_clustered_history").sort_values("UpdateDate")
    segments = history.groupby("CustomerID")["Cluster_Description"].agg(list)
    for id, spells in zip(data["id"], details["history"], strict=True):
        ends = [*spells[2::2], len(details["runs"])]
        told = [
            details["names"][name] for at, name, end in zip(spells[::2], spells[1::2], ends, strict=True) for _ in range(at, end)
        ]
        assert told == segments[id], id


def test_states_of_a_customer_are_those_of_each_run(project, tables, monkeypatch):
    monkeypatch.setattr(customers, "STEP", 1)
    shown = customers.customers_page(tables)
    data, details = shown["data"], shown["details"]
    assert details["days"] == [str(day) for day in DAYS]
    runs = [RunTables(project[0], record).frame("customer_states").set_index("CustomerID")["State"] for record in project[1]]
    for id, spells in zip(data["id"], details["states"], strict=True):
        begun = dict(zip(spells[::2], spells[1::2], strict=True))
        told = [
            data["states"][begun[max(first for first in begun if first <= at)]] if min(begun) <= at else None for at in (0, 1)
        ]
        assert told == [states.get(id) for states in runs], id


def test_why_of_a_customer_is_put_together_again(pages, tables):
    data, details = (data_of(pages["customers.html"], id) for id in ("data", "details"))
    why = tables.frame("customer_explanations").set_index("CustomerID")["Why"]
    told = ["".join(details["phrases"][piece] if isinstance(piece, int) else piece for piece in one) for one in details["why"]]
    assert told == [why[id] for id in data["id"]]


def test_many_customers_and_purchases_are_cut_with_a_word(tables, monkeypatch):
    monkeypatch.setattr(customers, "MOST", 10)
    monkeypatch.setattr(customers, "MOST_PURCHASES", 1)
    shown = customers.customers_page(tables)
    data, details = shown["data"], shown["details"]
    assert (len(data["id"]), shown["more"]) == (10, shown["total"] - 10)
    left = [details["earlier"].get(str(row), [0, 0]) for row in range(10)]
    assert [1 + count for count, _ in left] == data["orders"]
    assert [bought[1] + cents for bought, (_, cents) in zip(details["bought"], left, strict=True)] == data["cents"]


def test_downloads_of_the_pages_are_there_and_hold_the_rows(project, pages, tables):
    day = Path(project[0].reports) / str(LAST)
    links = [link["href"] for page in PAGES for link in pages[page.file].select("a[download][href]")]
    assert [link for link in links if not (day / link).is_file()] == []
    summary = tables.frame("segment_summary").set_index("Cluster_Description")["Customers"]
    for segment, count in summary.items():
        assert f"exports/{render.slug(segment)}.csv" in links
        assert len(pd.read_csv(day / customers.FOLDER / f"{render.slug(segment)}.csv")) == count
    moves = overview.overview_page(tables)["entered"]
    assert len(pd.read_csv(day / customers.FOLDER / "entered-risk.csv")) == moves["customers"]


def read_all(root: Path) -> str:
    """Return all text of a site, that of packed files too."""
    packed = [zipfile.ZipFile(path) for path in root.rglob("*.xlsx")]
    texts = [path.read_bytes() for path in root.rglob("*") if path.suffix in {".html", ".json", ".csv"}]
    texts += [book.read(name) for book in packed for name in book.namelist()]
    texts += [pd.read_parquet(path).to_csv().encode() for path in root.rglob("*.parquet")]
    return "\n".join(text.decode() for text in texts)


def test_published_site_names_no_customer_and_breaks_no_link(project, tables, tmp_path):
    ids = set(tables.frame("customer_rfm_gold")["CustomerID"])
    assert ids <= set(ID.findall(read_all(Path(project[0].reports))))  # the search finds them where they are
    publish(project[0].reports, str(tmp_path), Publish())
    assert ids & set(ID.findall(read_all(tmp_path))) == set()  # other numbers of that form stand in digests
    for path in tmp_path.rglob("*.html"):
        links = re.findall(r'(?:href|src|data-plotly)="([^"#:]+)["#]', path.read_text())
        assert [link for link in links if not (path.parent / link).is_file()] == [], path


def test_published_ids_are_hashes_where_the_shop_wants_it(project, pages, tables, tmp_path, monkeypatch):
    plain = set(tables.frame("customer_rfm_gold")["CustomerID"])
    monkeypatch.setenv("RFM_PUBLISH_KEY", "secret of sixteen")
    publish(project[0].reports, str(tmp_path), Publish(customers=True, hash_ids=True))
    assert plain & set(ID.findall(read_all(tmp_path))) == set()
    page = BeautifulSoup((tmp_path / str(LAST) / "customers.html").read_text(), "html.parser")
    ids = [customers.pseudonymize(id, b"secret of sixteen") for id in data_of(pages["customers.html"])["id"]]
    assert data_of(page)["id"] == ids
    assert [row.th.text for row in page.select(".grid tbody tr")] == ids[: customers.FIRST]
    assert pd.read_csv(tmp_path / str(LAST) / "exports" / "customers.csv")["Customer"].tolist() == ids


# ── harmless, whatever the data holds ──────────────────────────────────────────────────────────────
def test_nothing_of_the_data_runs_or_leaves_its_place(pages):
    for name, page in pages.items():
        nonce = re.search(r"script-src 'nonce-([0-9a-f]{32})'", str(page))[1]
        assert [tag for tag in page("script") if tag.get("nonce") != nonce] == [], name
        assert not page.find(lambda tag: any(attribute.startswith("on") for attribute in tag.attrs)), name
        assert not OUTSIDE.search(str(page).replace("http://www.w3.org", "")), name


def test_nasty_product_names_are_shown_as_they_are(pages):
    products = {row("td")[0].text for row in pages["trade.html"].select("section[aria-labelledby=products] tbody tr")}
    assert {name.strip() for name in NASTY.values()} <= {name.strip() for name in products}


def test_json_of_a_figure_cannot_close_its_script(pages):
    for name, page in pages.items():
        for tag in page.select("script[type='application/json']"):
            assert not re.search("[<>&]", tag.string), name
            json.loads(tag.string)


def test_open_pages_name_customers_only_in_parts_for_the_shop(project, tables):
    ids = set(tables.frame("customer_rfm_gold")["CustomerID"])
    open_pages = [f"{LAST}/{page.file}" for page in PAGES if not page.private] + ["index.html", f"{LAST}/brief.html"]
    named = {name for name in open_pages if ids & set(ID.findall((Path(project[0].reports) / name).read_text()))}
    assert named == {f"{LAST}/index.html"}
    assert not ids & set(ID.findall(OWN.sub("", (Path(project[0].reports) / str(LAST) / "index.html").read_text())))


def test_template_trusts_nothing_but_its_own():
    text = "".join(path.read_text() for path in TEMPLATE.glob("*.j2"))
    assert set(re.findall(r"[^{|]*\|\s*safe\b", text)) == {" drawn.json | safe", " cells | safe"}


# ── one look ───────────────────────────────────────────────────────────────────────────────────────
def test_headings_go_down_one_by_one_from_a_single_first(pages):
    for name, page in pages.items():
        levels = [int(tag.name[1]) for tag in page(re.compile("^h[1-6]$"))]
        assert levels[0] == 1, name
        assert levels.count(1) == 1, name
        assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)), name


def test_every_figure_has_words_and_every_id_is_alone(pages):
    for name, page in pages.items():
        assert all(tag["aria-label"].strip() for tag in page.select(".canvas, svg[role=img]")), name
        assert all(tag["alt"].strip() for tag in page("img")), name
        ids = [tag["id"] for tag in page(id=True)]
        assert len(ids) == len(set(ids)), name
        named = [one for tag in page(attrs={"aria-labelledby": True}) for one in tag["aria-labelledby"].split()]
        assert set(named) <= set(ids), name


def test_one_menu_marks_where_one_is(pages):
    menus = {name: [link.get("aria-label", link.text) for link in page.select(".pages a")] for name, page in pages.items()}
    *labels, guide = (page.label for page in PAGES)
    assert {tuple(menu) for menu in menus.values()} == {(*labels, "All runs", guide)}
    for page in PAGES:
        (here,) = pages[page.file].select(".pages a[aria-current=page]")
        assert here.get("aria-label", here.text) == page.label
        assert pages[page.file].select_one(".asof time")["datetime"] == str(LAST)


def test_tiers_have_the_colours_of_the_figures():
    css = assets()["page.css"][1].decode()
    for tier, colour in TIER_COLOURS.items():
        assert re.findall(rf"\.{tier.replace(' ', '-')} {{ --tier: (#\w+); }}", css) == [colour]


def test_pages_are_small_and_plotly_is_there_once(project):
    reports = Path(project[0].reports)
    own = sum(len(content) for name, (_, content) in assets().items() if "plotly" not in name)
    assert own < 70_000
    assert len(list(reports.rglob("plotly*"))) == 1
    assert max(path.stat().st_size for path in reports.rglob("*.html")) + own < 1_500_000


def test_diagnostics_on_segments_are_small_described_images(pages, tables):
    shown = {image.find_parent("figure").h3.text: image for image in pages["segments.html"].select("figure img")}
    assert list(shown) == [
        "How do the clusters differ from the median customer?",
        "How are recency, frequency and spending spread?",
        "Which customers are too far out for K-means?",
        "How many clusters?",
    ]
    for image in shown.values():
        kind, _, content = image["src"].partition(",")
        png = base64.b64decode(content)
        assert kind == "data:image/png;base64"
        assert [int.from_bytes(png[at : at + 4]) for at in (16, 20)] == [int(image[side]) for side in ("width", "height")]
        assert len(png) <= 60_000
    regular = (tables.frame("customer_rfm_kmeans_clustered")["Cluster"] >= 0).sum()
    assert f"regular: {regular:,}" in shown["Which customers are too far out for K-means?"]["alt"]


def test_long_tables_are_cut_with_a_word(tables):
    found = rows_of(tables.frame("customer_rfm_gold"), {"Recency": ("Days", "count")})
    assert (len(found["rows"]), found["more"]) == (60, len(tables.frame("customer_rfm_gold")) - 60)


# ── any day, later ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.whole
def test_report_makes_a_past_day_again_from_its_own_versions(project, copied):
    day = Path(copied.reports) / str(DAYS[0])
    before = {path.name: path.read_text() for path in day.glob("*.html")}
    for path in day.glob("*.html"):
        path.unlink()
    given = ["report", "--date", str(DAYS[0]), "--lake", copied.lake, "--reports", copied.reports]
    answer = CliRunner().invoke(app, given, catch_exceptions=False)
    assert answer.stdout.strip() == f"Report: {copied.reports}/index.html"
    again = {path.name: path.read_text() for path in day.glob("*.html")}
    assert before.keys() == again.keys()
    numbers = [re.findall(r"<dd>(.*?)</dd>", text["index.html"]) for text in (before, again)]
    assert numbers[0] == numbers[1]
    assert json.loads((Path(copied.reports) / "runs.json").read_text())["newest"]["run_date"] == str(LAST)


def test_a_past_day_is_drawn_with_its_own_settings(project):
    changed = {"clusters": {"iqr_factor": 9.0}, "states": {"lost_days": 777}}
    sections = {name: getattr(project[0], name).model_copy(update=values) for name, values in changed.items()}
    tables = RunTables(project[0].model_copy(update=sections), project[1][-1])
    assert tables.clusters.iqr_factor == 1.5
    assert "777" not in str(overview.guide_page(tables))


def test_report_takes_the_newest_day_if_none_is_given(copied, monkeypatch):
    monkeypatch.setattr(site, "build", lambda settings, work, record: (work / "index.html").write_text(record["run_date"]))
    page = Path(copied.reports) / str(LAST) / "index.html"
    assert site.rebuild(copied) == f"{copied.reports}/index.html"
    assert page.read_text() == str(LAST)


def test_versions_that_are_gone_are_one_sentence(copied):
    table = deltalake.DeltaTable(f"{copied.lake}/segment_summary")
    table.vacuum(0, enforce_retention_duration=False, dry_run=False)
    said = rf"{DAYS[0]}: the tables of that run are gone .*rfm daily --date {DAYS[0]}"
    with pytest.raises(InputError, match=said):
        site.rebuild(copied, DAYS[0])


def test_report_without_a_run_says_so(tmp_path):
    with pytest.raises(InputError, match="no report is published yet; run `rfm daily` first"):
        site.rebuild(rfm.load_settings(lake=str(tmp_path / "lake"), reports=str(tmp_path)))


def test_front_page_of_many_runs_stays_small_and_leads_to_each(project):
    listed = json.loads((Path(project[0].reports) / "runs.json").read_text())
    many = [{**listed["runs"][0], "run_date": str(LAST - dt.timedelta(days=back)), "customers": back} for back in range(1000)]
    many[500]["customers"] = 9999
    text = index_page({**listed, "runs": many})
    page = BeautifulSoup(text, "html.parser")
    assert len(text) < 160_000
    assert {link["href"] for link in page.select(".month a")} == {f"{run['run_date']}/index.html" for run in many}
    assert len(page.select(".months")[0].select(".month")) == 6
    assert [fold.summary.text for fold in page.select("details:has(.month)")] == [
        f"Earlier days of {year}" for year in (2025, 2024, 2023)
    ]
    rows = [cell.a["href"][:10] for cell in page.select(".runs tbody th")]
    assert rows[:30] == [run["run_date"] for run in many[:30]]
    assert rows[30:33] == ["2025-09-23", "2025-08-31", "2025-07-31"]
    assert "The newest runs, and the last of each month before" in page.text
    trends = [trend.path["d"].count("L") for trend in page.select(".trends li")]
    assert len(trends) >= 3
    assert max(trends) <= 122
    assert page.select_one(".trends path")["d"].count(",4.0") == 1, "the peak is lost"


def test_days_computed_without_a_report_are_drawn_but_not_linked(project):
    listed = json.loads((Path(project[0].reports) / "runs.json").read_text())
    [earlier] = listed["newest"]["figures"]["earlier"]
    then = project[1][0]["summary"]
    assert (earlier["run_date"], earlier["named"]) == (str(DAYS[0]), len(then["segments"]))
    assert {name: earlier[name] for name in ("customers", "orders", "revenue")}.items() <= then.items()
    both, alone = (BeautifulSoup(index_page({**listed, "runs": listed["runs"][:some]}), "html.parser") for some in (2, 1))
    assert [len(one.select(".month a")) for one in (both, alone)] == [2, 1]
    assert [one.text for one in alone.select(".month td > span")] == [str(DAYS[0].day)]
    assert "1 outlined day was computed for the comparison" in alone.text
    assert "outlined" not in both.text
    points = [one.select(".trends li:first-child circle") for one in (both, alone)]
    assert [len(one) for one in points] == [2, 2]
    assert points[0] == points[1]
