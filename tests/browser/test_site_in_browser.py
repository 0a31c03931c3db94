"""The site in a browser, opened from a folder, without network."""

from __future__ import annotations

import csv
import importlib.resources
import io
import os
import re
import shutil
from pathlib import Path
from threading import Thread
from typing import Any
from unicodedata import normalize

import pytest
from pypdf import PdfReader

import rfm
from rfm.report.pages import PAGES
from rfm.report.publish import server

FILES = [page.file for page in PAGES]
COUNT = (Path(__file__).parent / "count.js").read_text()
WIDTHS = (1280, 2560, 360)
UNDRAWN = ".canvas:not(.drawn)"


def read_through(tab: Any) -> None:
    """Scroll through a page until everything is drawn."""
    while left := tab.locator(UNDRAWN).count():
        tab.mouse.wheel(0, 1)
        tab.evaluate(f"document.querySelector('{UNDRAWN}')?.scrollIntoView({{behavior: 'instant'}})")
        tab.wait_for_function(f"left => document.querySelectorAll('{UNDRAWN}').length < left", arg=left)


def violations(tab: Any, **only: Any) -> list[str]:
    """Return the violations found by axe-core, one line per rule."""
    axe = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    tab.evaluate(axe.read_text(encoding="utf-8"))
    how = {"resultTypes": ["violations"], "preload": False, **only}
    found = tab.evaluate("how => axe.run(document, how)", how)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['target']} {one['nodes'][0]['failureSummary']}" for one in found]


def rows(tab: Any, table: str) -> list[list[str]]:
    """Return the texts of a table's visible rows."""
    return tab.eval_on_selector_all(f"{table} tbody tr", "rows => rows.map(row => [...row.children].map(cell => cell.innerText))")


def amount(text: str) -> float:
    """Return a displayed amount or count as a number."""
    return float(re.sub(r"[^\d.\-]", "", text.replace("−", "-")))


# ── every page, whole ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("page", ["front", *FILES])
def test_page_draws_everything_fits_and_is_accessible(built, visit, page):
    address = built.address("index.html", run=False) if page == "front" else built.address(page)
    tab, errors, outside = visit(address)
    read_through(tab)
    counted = tab.evaluate(COUNT)
    assert [row for row in counted if row[2] != row[3]] == []
    assert len({row[0] for row in counted}) == tab.locator(".canvas").count()
    assert violations(tab) == []
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
    tab.emulate_media(color_scheme="dark")
    assert violations(tab, runOnly=["color-contrast"]) == []
    assert (errors, outside) == ([], [])


# ── on paper, and without scripts ──────────────────────────────────────────────────────────────────
MOST_SHEETS = 6
AXES = """() => [...document.querySelectorAll(".canvas + script")]
  .flatMap((script) => Object.entries(JSON.parse(script.textContent).layout))
  .flatMap(([name, axis]) => /^[xy]axis/.test(name) && axis.title?.text ? [axis.title.text] : [])"""


def printed(tab: Any) -> tuple[int, str]:
    """Return the number of sheets of a page on paper, and the text on them, without blanks."""
    sheets = PdfReader(io.BytesIO(tab.pdf(prefer_css_page_size=True))).pages
    return len(sheets), normalize("NFKC", "".join("".join(sheet.extract_text().split()) for sheet in sheets))  # no ligatures


@pytest.mark.parametrize("page", ["front", *FILES])
def test_page_prints_all_figures_on_few_sheets(built, visit, page):
    address = built.address("index.html", run=False) if page == "front" else built.address(page)
    tab, errors, _ = visit(address, user_agent=None)  # as `chromium --headless --print-to-pdf` does
    figures = tab.locator(".canvas").count()
    titles = [*tab.locator("figcaption h3").all_inner_texts(), *tab.evaluate(AXES)]
    sheets, text = printed(tab)
    assert sheets <= MOST_SHEETS
    assert [title for title in titles if "".join(title.split()) not in text] == []
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator(".canvas.drawn").count() == figures
    assert [row for row in tab.evaluate(COUNT) if row[2] != row[3] and row[1] not in {"spaces", "points"}] == []
    wide = "all => all.filter((one) => one.getBoundingClientRect().width > 703 || !one.querySelector('svg.main-svg')).length"
    assert tab.eval_on_selector_all(".canvas", wide) == 0
    assert tab.locator(".plot:has(.canvas) .same:visible").count() == 0, "a table stands under its figure"
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.eval_on_selector_all(".canvas", "all => all.filter((one) => one.style.zoom || one.style.width).length") == 0
    assert errors == []


def test_a_reader_prints_figures_that_were_never_seen(built, visit):
    tab = visit(built.address("trade.html")).tab
    tab.mouse.move(9, 9)
    tab.wait_for_function("() => Boolean(window.Plotly)")
    titles = ["".join(title.split()) for title in tab.evaluate(AXES)]
    assert titles
    assert [title for title in titles if title not in printed(tab)[1]] == []


def test_print_by_the_keyboard_waits_for_the_figures(built, visit):
    tab = visit(built.address("trade.html")).tab
    tab.evaluate("window.print = () => { window.asked = Boolean(window.Plotly); }")
    tab.keyboard.press("Control+p")
    tab.wait_for_function("() => window.asked")


def test_print_before_the_figures_come_shows_their_tables(built, visit):
    tab = visit(built.address("trade.html")).tab
    figures = tab.locator(".plot:has(.canvas)").count()
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator(".plot table:visible").count() == figures
    assert tab.locator(".canvas:visible").count() == 0


@pytest.mark.parametrize("page", ["front", *FILES])
def test_without_scripts_each_figure_is_its_table(built, visit, page):
    address = built.address("index.html", run=False) if page == "front" else built.address(page)
    for width in (1280, 360):
        tab = visit(address, width, java_script_enabled=False).tab
        figures = tab.locator(".plot:has(.canvas)")
        shown = [figures.nth(place).locator("table:visible").count() for place in range(figures.count())]
        assert shown == [1] * len(shown)
        assert all(image.is_visible() for image in tab.locator(".plot img").all())


# ── the numbers are those of the tables ────────────────────────────────────────────────────────────
def test_numbers_on_overview_equal_the_lake(built, visit):
    tab, gold = visit(built.address("index.html")).tab, rfm.Lake(built.tables.settings.lake).frame("customer_rfm_gold")
    shown = tab.eval_on_selector_all(
        ".tiles > div", "all => all.map(one => [...one.children].slice(0, 2).map(part => part.innerText))"
    )
    values = {label.split("\n")[0]: amount(value) for label, value in shown}
    assert values["Customers"] == len(gold)
    assert values["Active customers"] == (gold["Recency"] < 30).sum()
    assert values["Orders"] == gold["Frequency"].sum()
    assert values["Revenue"] == pytest.approx(float(gold["Monetary"].sum()), abs=0.5)
    assert values["Average order"] == pytest.approx(float(gold["Monetary"].sum()) / gold["Frequency"].sum(), abs=0.005)
    assert values["One-time buyers"] == pytest.approx(100 * (gold["Frequency"] == 1).mean(), abs=0.5)
    summary = built.tables.frame("segment_summary").set_index("Cluster_Description")
    sizes = tab.eval_on_selector_all(
        ".segments > li", "all => all.map(one => [one.querySelector('h3').innerText, one.querySelector('.size b').innerText])"
    )
    assert {name: amount(size) for name, size in sizes} == summary["Customers"].to_dict()


# ── filters, search, ways ──────────────────────────────────────────────────────────────────────────
def test_segment_filter_shows_its_rows_and_is_in_the_address(built, visit):
    summary = built.tables.frame("segment_summary")
    tier = summary["Tier"].value_counts().index[0]
    wanted = summary[summary["Tier"] == tier]
    tab = visit(built.address("segments.html")).tab
    tab.select_option("select[name=tier]", tier)
    for each in (tab, visit(tab.url).tab):
        assert set(each.locator(".cards > li:visible h3").all_inner_texts()) == set(wanted["Cluster_Description"])
        assert f"{wanted['Customers'].sum():,} customers" in each.locator(".filters output").first.inner_text()
    tab.click("text=Show all")
    tab.wait_for_function(f"() => document.querySelectorAll('.cards > li:not([hidden])').length == {len(summary)}")


def test_calls_can_be_filtered_and_open_a_customer(built, visit):
    states = built.tables.frame("customer_states")
    calls = states[states["ToCall"].astype(bool) & (states["AtStake"] >= 200)]
    segment = calls["Segment"].value_counts().index[0]
    wanted = calls[calls["Segment"] == segment].sort_values(["AtStake", "CustomerID"], ascending=[False, True])
    tab = visit(built.address("index.html")).tab
    tab.fill("input[name=size]", "200")
    tab.select_option("select[name=segment]", segment)
    lines = tab.locator(".calls tbody tr:visible")
    assert lines.locator("th").all_inner_texts() == wanted["CustomerID"].tolist()
    said = tab.locator(".filters output").inner_text()
    assert said.startswith(f"{len(wanted):,} of {int(states['ToCall'].sum()):,} customers, ")
    assert amount(said.split(",", 1)[1]) == round(wanted["AtStake"].sum())
    lines.locator("a").first.click()
    assert tab.locator("#one-title").inner_text() == f"Customer {wanted['CustomerID'].iloc[0]}"


def test_segment_link_opens_its_card_and_back_returns(built, visit):
    tab = visit(built.address("index.html")).tab
    name = tab.locator(".segments h3 a").last.inner_text()
    tab.locator(".segments h3 a").last.click()
    tab.wait_for_url("**/segments.html#*")
    assert tab.locator(".cards > li:target h3").inner_text() == name
    tab.go_back()
    tab.wait_for_url("**/index.html")
    assert tab.locator(".pages [aria-current]").inner_text() == "Overview"


def test_customer_pages_show_the_rows_of_the_tables(built, visit):
    customers = built.tables.frame("customer_rfm_description_and_recommendation")
    segment = customers["Cluster_Description"].value_counts().index[-1]
    wanted = customers[customers["Cluster_Description"] == segment].set_index("CustomerID")
    tab = visit(built.address(f"customers.html#segment={segment.replace(' ', '+')}")).tab
    assert tab.locator(".filters output").inner_text().startswith(f"{len(wanted):,} of ")
    shown = {row[0]: row for row in rows(tab, ".grid")}
    assert len(shown) == min(50, len(wanted))
    for one, row in shown.items():
        assert (row[1], amount(row[4]), amount(row[6])) == (segment, wanted["Recency"][one], float(wanted["Monetary"][one]))
    tab.fill("input[name=q]", next(iter(shown)))
    assert [row[0] for row in rows(tab, ".grid")] == [next(iter(shown))]
    tab.locator(".grid tbody a").click()
    assert tab.locator("#one-title").inner_text() == f"Customer {next(iter(shown))}"
    tab.go_back()
    tab.wait_for_selector("#one", state="hidden")


def test_a_customer_has_a_line_of_purchases_and_segments(built, visit):
    orders = built.tables.orders.dropna(subset="CustomerID")
    id = orders["CustomerID"].value_counts().index[0]
    own = orders[orders["CustomerID"] == id]
    history = rfm.Lake(built.tables.settings.lake).frame("customer_rfm_kmeans_clustered_history", CustomerID=id)
    tab, errors, _ = visit(built.address(f"customers.html#customer={id}"), 360)
    assert tab.locator(".lanes .stems path").count() == len(own)
    assert tab.locator(".lanes .band:not(.of) rect").count() == history["Cluster_Description"].nunique()
    assert len(rows(tab, "#one .three")) == len(own)
    assert sum(amount(row[1]) for row in rows(tab, "#one .three")) == pytest.approx(own["Cents"].sum() / 100)
    assert tab.locator(".three .spells").last.inner_text().startswith(tab.locator(".tiles dd").nth(2).inner_text())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert (violations(tab), errors) == ([], [])


# ── two days, a segment and a state: from data in the page ─────────────────────────────────────────
def texts(tab: Any, table: str) -> list[str]:
    """Return the texts of all cells of a table."""
    return [text.split() for text in tab.locator(f"{table} :is(caption, th, td)").all_inner_texts()]


def test_the_script_compares_the_two_days_as_the_page_does(built, visit):
    drawn, bare = (visit(built.address("segments.html"), java_script_enabled=runs) for runs in (True, False))
    for table in ("#compare-totals", ".crossed"):
        assert texts(drawn.tab, table) == texts(bare.tab, table) != []
    assert bare.tab.locator(".pick").is_hidden()
    assert (drawn.errors, drawn.tab.locator("#compare-note").is_visible()) == ([], False)
    moves = built.tables.frame("segment_movement", UpdateDate=built.tables.day, Days=1)
    stayed = moves.loc[moves["From_Segment"] == moves["To_Segment"], "Customers"].sum()
    assert f"{stayed:,} stayed" in drawn.tab.locator(".pick output").inner_text()


def test_two_days_are_chosen_by_keyboard_and_in_the_address(built, visit):
    tab, errors, _ = visit(built.address("segments.html"), 360)
    day = str(built.tables.day)
    tab.select_option("select[name=tier]", index=1)
    tab.locator("select[name=then]").focus()
    tab.keyboard.press("ArrowUp")
    tab.wait_for_function("day => location.hash.includes(`then=${day}&now=${day}`)", arg=day)
    assert "tier=" in tab.url, "the choice of the other form is gone"
    again = visit(tab.url).tab
    for each in (tab, again):
        assert each.locator("select[name=then]").input_value() == day
        assert {row[1].split("\n")[-1] for row in rows(each, "#compare-totals")} == {"unchanged"}
        assert each.locator("#compare-moves").is_hidden()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert (violations(tab), errors) == ([], [])


def test_a_day_without_a_run_or_without_moves_is_said(built, visit):
    tab = visit(built.address("segments.html#then=1999-01-01&now=2000-01-01")).tab
    assert tab.locator("#compare-note").inner_text().startswith("There is no run of 1999-01-01; choose two of the 2 days")
    assert tab.locator("#compare-totals tbody tr").count() > 1
    page = built.root / str(built.tables.day) / "segments.html"
    far = page.with_name("segments-far.html")
    found = re.search(r'"days":\["([\d-]+)","([\d-]+)"\],"totals":(\[\[.*?\]\])', page.read_text())
    older = found[0].replace('"days":["', '"days":["2020-01-31","').replace('"totals":[', '"totals":[[],')
    far.write_text(page.read_text().replace(found[0], older).replace('"0 1"', '"1 2"'))
    tab = visit(f"{far.as_uri()}#then=2020-01-31&now={found[2]}").tab
    assert "The nearest two:" in tab.locator("#compare-note").inner_text()
    assert tab.locator("#compare-moves").is_hidden()
    tab.locator("#compare-note a").press("Enter")
    tab.wait_for_selector("#compare-moves", state="visible")
    assert f"then={found[1]}&now={found[2]}" in tab.url
    assert tab.locator("#compare-note").is_hidden()
    far.unlink()


def test_products_of_a_group_are_chosen_and_in_the_address(built, visit):
    found = built.tables.products_by_group
    chosen = found[(found["Segment"] != "") & (found["State"] != "")].iloc[0]
    own = found[(found["Segment"] == chosen["Segment"]) & (found["State"] == chosen["State"])]
    drawn, bare = (visit(built.address("trade.html"), java_script_enabled=runs) for runs in (True, False))
    assert texts(drawn.tab, ".bought") == texts(bare.tab, ".bought") != []
    drawn.tab.select_option("select[name=segment]", chosen["Segment"])
    drawn.tab.select_option("select[name=state]", chosen["State"])
    for tab in (drawn.tab, visit(drawn.tab.url, 360).tab):
        shown = rows(tab, ".bought")
        assert [row[1] for row in shown] == own["StockCode"].tolist()
        assert [amount(row[3]) for row in shown] == own["Units"].tolist()
        assert [amount(row[6]) for row in shown] == pytest.approx(own["Lift"], abs=0.051)
        assert tab.locator(".pick output").inner_text() == f"{chosen['GroupSize']:,} customers"
        assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert violations(drawn.tab) == []
    with drawn.tab.expect_download() as waiting:
        drawn.tab.click("a[download][href$='.csv']")
    assert "Lift against all customers" in Path(waiting.value.path()).read_text(encoding="utf-8-sig")


def test_download_holds_the_rows_of_the_tables(built, visit):
    tab = visit(built.address("customers.html")).tab
    with tab.expect_download() as waiting:
        tab.locator("a[download][href$='.csv']").first.click()
    with Path(waiting.value.path()).open(encoding="utf-8-sig", newline="") as file:
        listed = {row["Customer"]: row["Segment"] for row in csv.DictReader(file)}
    described = built.tables.frame("customer_rfm_description_and_recommendation")
    assert listed == dict(zip(described["CustomerID"], described["Cluster_Description"], strict=True))


def test_served_page_reloads_after_a_new_run(built, browser, tmp_path):
    site = shutil.copytree(built.root, tmp_path / "site")
    with server(str(site)) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        tab = browser.new_page()
        with tab.expect_response("**/runs.json"):
            tab.goto(f"http://127.0.0.1:{running.server_port}/")
        (site / "index.html").write_text((site / "index.html").read_text().replace("Newest run", "Newer run"))
        os.utime(site / "runs.json", (2e9, 2e9))
        tab.get_by_text("Newer run").wait_for()
        tab.close()
        running.shutdown()
