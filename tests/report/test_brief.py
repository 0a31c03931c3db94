"""The brief: two pages and a mail that say what the tables say, the same bytes each time, and nothing about a single customer."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.figure import Figure
from pypdf import PdfReader

import rfm
from rfm.config import OnDone, Publish
from rfm.datasets.sample import make_sample
from rfm.pipeline.backfill import backfill
from rfm.pipeline.daily import send_brief
from rfm.report import brief, site
from rfm.report.pages import PAGES
from rfm.report.publish import publish
from rfm.report.render import RunTables
from rfm.settings import Settings
from rfm.words import speaking, tell
from tests.conftest import ROOT
from tests.loopback import listening
from tests.shop import run
from tests.warned import warnings_of_a_run

LAST = dt.date(2025, 10, 23)
LONG = {  # all that may be long, at its longest
    "shop": "Shop of $x_1$ & <b>sons</b> " * 4,
    "headline": "W" * 300,
    "note": "much to say " * 60,
    "warnings": ["file.csv: 12 lines have another number of fields than the header, which is too many; " * 6]
    * brief.MOST_WARNINGS,
    "more_warnings": 7,
    "moves": {
        title: ["1,234 customers (£1,234,567) moved from Ultra High Value At Risk to Dormant Ultra High Value " * 3] * 3
        for title in "abc"
    },
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, Any]]:
    """Return a shop after two days, and the record of the second, which is published."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=40, end=LAST, lines=3000, customers=150)
    settings = rfm.load_settings(**{name: str(root / name) for name in ("landing", "lake", "reports")})
    list(backfill(settings, LAST - dt.timedelta(days=1), LAST - dt.timedelta(days=1)))
    return settings, run(settings, LAST)


def files(settings: Settings) -> dict[str, bytes]:
    return {name: Path(settings.reports, LAST.isoformat(), name).read_bytes() for name in ("brief.pdf", "brief.html")}


def text_of(pdf: bytes) -> str:
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages))


def said(settings: Settings, record: dict[str, Any]) -> dict[str, Any]:
    """Return what the brief of a run says."""
    from rfm.report.pages import overview_page

    tables = RunTables(settings, record)
    return brief.brief_of(tables, site._about(record), overview_page(tables))


def test_both_files_say_what_the_tables_say(shop):
    settings, _ = shop
    lake = rfm.open_lake(settings)
    described = lake.frame("customer_rfm_description_and_recommendation")
    states = lake.frame("customer_states")
    moves = lake.frame("segment_movement")
    moved = moves[(moves["UpdateDate"] == LAST) & (moves["Days"] == 1) & (moves["From_Segment"] != "")]
    moved = moved[moved["From_Segment"] != moved["To_Segment"]].sort_values("Customers", ascending=False)
    mail = re.sub(r"\s+", " ", BeautifulSoup(files(settings)["brief.html"], "html.parser").get_text(" "))
    for text in (text_of(files(settings)["brief.pdf"]), mail):
        assert f"{len(described):,}" in text
        for name, rows in described.groupby("Cluster_Description"):
            money = sum(rows["Monetary"], Decimal(0))
            assert name in text
            assert f"{len(rows):,} customers" in text
            assert f"£{money:,.0f}" in text or f"£{money:,.2f}" in text
        calls = states[states["ToCall"]]
        group = calls.groupby(["Segment", "State"])["AtStake"].agg(["size", "sum"]).nlargest(1, "sum")
        (segment, state), (people, stake) = group.index[0], group.iloc[0]
        assert f"{segment}, {state}" in text
        assert f"{people:,.0f} customer" in text
        assert f"£{stake:,.0f} at stake" in text or f"£{stake:,.2f} at stake" in text
        assert len(moved)
        assert f"{moved.iloc[0]['Customers']:,} customer" in text


def test_figures_of_the_brief_are_those_of_pandas(shop):
    settings, record = shop
    silver = rfm.open_lake(settings).frame("retail_transactions_silver")
    counted = silver[
        silver["CustomerID"].notna() & ~silver["IsCancellation"] & silver["StockCode"].str.match(r"^\d{5}[A-Za-z]*$|^PADS$")
    ]
    orders = counted.groupby("InvoiceNo").agg(
        day=("InvoiceDate", "max"), who=("CustomerID", "first"), money=("TotalPrice", "sum")
    )
    recent = orders[pd.to_datetime(orders["day"]).dt.date > LAST - dt.timedelta(days=30)]
    values = {tile["label"]: tile["value"] for tile in said(settings, record)["tiles"]}
    assert values["Orders"] == f"{len(orders):,}"
    assert values["Customers"] == f"{orders['who'].nunique():,}"
    assert values["Active customers"] == f"{recent['who'].nunique():,}"
    assert values["Revenue"] == f"£{sum(orders['money'], Decimal(0)):,.0f}"


def test_calls_of_the_brief_are_those_of_pandas(shop):
    settings, record = shop
    states = rfm.open_lake(settings).frame("customer_states")
    states = states[states["ToCall"].astype(bool)]
    cents = (states["AtStake"] * 100).round().astype(int).groupby([states["Segment"], states["State"]]).agg(["size", "sum"])
    wanted = cents.sort_values("sum", ascending=False).head(brief.MOST_CALLS)
    calls = said(settings, record)["calls"]
    assert [call["who"] for call in calls] == [", ".join(group) for group in wanted.index]
    assert [int(call["customers"].split()[0].replace(",", "")) for call in calls] == wanted["size"].tolist()
    shown = [float(call["money"].strip("£").replace(",", "")) for call in calls]
    assert shown == pytest.approx(wanted["sum"] / 100, abs=0.51)
    assert all(call["who"] in text_of(files(settings)["brief.pdf"]) for call in calls)


AGAIN = """
import json, pathlib, sys, rfm
from rfm.report import brief, pages, render, site
record = json.load(sys.stdin)
tables = render.RunTables(rfm.load_settings(lake=sys.argv[1], reports=sys.argv[2]), record)
said = brief.brief_of(tables, site._about(record), pages.overview_page(tables))
for name, content in brief.write_brief(said).items():
    pathlib.Path(sys.argv[3], name).write_bytes(content)
"""


def test_a_brief_built_again_is_the_same_bytes(shop, tmp_path):
    settings, record = shop
    given = json.dumps(record, default=str)
    command = [sys.executable, "-c", AGAIN, settings.lake, settings.reports, str(tmp_path)]
    subprocess.run(command, input=given, text=True, check=True, env={"PYTHONHASHSEED": "7"})  # that of this process is another
    assert {name: (tmp_path / name).read_bytes() for name in files(settings)} == files(settings)


def test_pdf_has_two_pages_of_a4_title_language_and_fonts(shop):
    content = files(shop[0])["brief.pdf"]
    found = PdfReader(io.BytesIO(content))
    assert len(content) < 300_000
    assert [tuple(map(round, page.mediabox[2:])) for page in found.pages] == [(595, 842)] * 2
    assert found.trailer["/Root"]["/Lang"] == "en-GB"
    assert found.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"]
    assert found.metadata["/Title"] == "Online Retail: customers on 23 October 2025"
    fonts = [font.get_object() for page in found.pages for font in page["/Resources"]["/Font"].values()]
    assert {font["/Subtype"] for font in fonts} == {"/Type3"}  # its glyphs are in the file
    assert not any(page.images for page in found.pages)


def test_mail_has_no_script_and_loads_nothing(shop):
    content = files(shop[0])["brief.html"]
    soup = BeautifulSoup(content, "html.parser")
    assert len(content) < 100_000
    assert not soup(["script", "link", "img", "style"])
    assert not re.search(rb"(src|href|url\()", content)


def test_nothing_leaves_its_page_however_long(shop):
    full = said(*shop)
    segment, call = (
        full["segments"][0],
        {"who": "x" * 200, "customers": "1,234 customers", "money": "£1,234,567", "action": "y " * 300},
    )
    full |= LONG | {"segments": [segment | {"action": "z " * 300}] * brief.MOST_SEGMENTS, "calls": [call] * brief.MOST_CALLS}
    for page in (brief._first_page(full), brief._second_page(full)):
        assert beyond(page) == []
    written = brief.write_brief(full)
    assert len(PdfReader(io.BytesIO(written["brief.pdf"])).pages) == 2
    assert max(map(len, written["brief.html"].splitlines())) < 998  # the longest line that a mail may have


def beyond(page: Figure) -> list[str]:
    """Return the texts that are not wholly on the page, or run into the footer."""
    renderer = page.canvas.get_renderer() if hasattr(page.canvas, "get_renderer") else page._get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in page.texts]
    footer = next(box for text, box in boxes if "Made by rfm" in text)
    edges = brief.EDGE - 1, brief.WIDTH - brief.EDGE + 1
    return [
        text[:40]
        for text, box in boxes
        if box.x0 < edges[0]
        or box.x1 > edges[1]
        or box.y1 > brief.HEIGHT
        or (box.y0 < footer.y1 - 1 and "Made by rfm" not in text)
    ]


def test_a_shop_without_customers_has_a_brief(tmp_path):
    settings = rfm.load_settings(lake=str(tmp_path / "lake"))
    record = {"run_date": LAST.isoformat(), "status": "done", "warnings": [], "summary": {"segments": []}}
    content = brief.write_brief(said(settings, record))
    assert "No segments yet" in text_of(content["brief.pdf"])


def test_brief_is_published_and_names_no_customer(shop, tmp_path):
    settings, _ = shop
    publish(settings.reports, str(tmp_path / "open"), Publish())
    ids = set(rfm.open_lake(settings).frame("customer_rfm_gold")["CustomerID"].astype(str))
    sent = {name: (tmp_path / "open" / LAST.isoformat() / name).read_bytes() for name in ("brief.pdf", "brief.html")}
    assert sent == files(settings)
    for text in (text_of(sent["brief.pdf"]), sent["brief.html"].decode()):
        assert not ids & set(re.findall(r"\d{5}", text))


# ── sent after a run ────────────────────────────────────────────────────────────
KEEP = """
import os, pathlib, sys
pdf, html = (pathlib.Path(os.environ[name]) for name in ("RFM_BRIEF_PDF", "RFM_BRIEF_HTML"))
pathlib.Path(sys.argv[1]).write_bytes(pdf.read_bytes() + html.read_bytes() + sys.stdin.buffer.read())
"""


def test_a_command_gets_both_files_and_the_record(shop, tmp_path):
    settings, record = shop
    (tmp_path / "keep.py").write_text(KEEP)
    command = shlex.join([sys.executable, str(tmp_path / "keep.py"), str(tmp_path / "got")])
    record = record | {"report": "index.html"}
    assert send_brief(OnDone(command=command), record, Path(settings.reports, LAST.isoformat())) == []
    body = json.dumps(record, ensure_ascii=False, default=str).encode()
    assert (tmp_path / "got").read_bytes() == b"".join(files(settings).values()) + body


def test_a_webhook_gets_a_text_and_both_files(shop):
    settings, record = shop
    got: list[Any] = []
    with listening(lambda request, body: got.append(body) or 200) as address:
        folder = Path(settings.reports, LAST.isoformat())
        assert send_brief(OnDone(webhook=f"{address}/chat"), record | {"report": "index.html"}, folder) == []
    (message,) = got
    assert message["text"].splitlines()[-1] == "2025-10-23: index.html"
    assert message["brief_html"].encode() == files(settings)["brief.html"]
    assert len(message["brief_pdf"]) > len(files(settings)["brief.pdf"])


def test_the_mail_of_the_how_to_holds_both_files(shop, tmp_path):
    how_to = (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8")
    source = next(code for code in re.findall(r"```python\n(.*?)```", how_to, re.DOTALL) if "EmailMessage" in code)
    folder = Path(shop[0].reports, LAST.isoformat())
    given = {"RFM_BRIEF_PDF": str(folder / "brief.pdf"), "RFM_BRIEF_HTML": str(folder / "brief.html")}
    sent = subprocess.run([sys.executable, "-c", source], env=given, capture_output=True, check=True).stdout
    mail = message_from_bytes(sent, policy=policy.default)
    (attached,) = mail.iter_attachments()
    assert attached.get_content() == files(shop[0])["brief.pdf"]
    assert mail.get_body(("html",)).get_content().strip() == files(shop[0])["brief.html"].decode().strip()


def test_a_failing_hook_is_a_warning_without_its_path(shop):
    settings, record = shop
    hooks = OnDone(webhook="http://127.0.0.1:9/services/secret")
    (line,) = send_brief(hooks, record | {"report": "index.html"}, Path(settings.reports, LAST.isoformat()))
    assert line.startswith("on_done: webhook 127.0.0.1: URLError")
    assert "secret" not in line


# ── in another language ────────────────────────────────────────────────────────────
ENGLISH_WORDS = frozenset(
    re.findall(
        r"\w+",
        "about above active after again against and any are average because been before below best between both bought "
        "bring brought but call came campaign changed column come comes cooling could count counted countries country "
        "customer customers date days did distinct does drawn each earlier every expected few file files first for "
        "found from further given group groups has have held here how if into is it its january february march june "
        "july october december kept largest last later least less line lines lost made many may mean missing "
        "month months more most move moved movement newest next no nobody not number of often on once one only open or "
        "order orders other others our out over overview own page pages product products purchase purchases quality "
        "quarantined rate read reason recommended revenue risk row rows rule rules run runs score search share shares "
        "should show shown silent since sold some spend spent stage stages started state than that the their them then "
        "there these they this those time times to today took total trade typical unchanged until up usual usually "
        "value warning warnings way week weeks were what when where whether which who whom whose why with "
        "within without won would written year yesterday yet you your ",
    )
)
UNSHOWN = {
    *re.findall(
        r"\w+", "branchvalues family hovertemplate ids mode names parents slugs states template tickformat tiers told type"
    )
}  # in data
SETTINGS = re.compile(r'\w+\.\w+ = "\w+"|\(column \d+\)')  # what is written in them


@pytest.fixture(scope="module")
def german(shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the shop, built again in German, as of a run that warned of all there is to warn of."""
    reports = shutil.copytree(shop[0].reports, tmp_path_factory.mktemp("german") / "reports")
    kept = reports / LAST.isoformat() / "run.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"warnings": warnings_of_a_run()}))
    site.rebuild(rfm.load_settings(lake=shop[0].lake, reports=str(reports), shop={"language": "de"}))
    return reports


def shown_in(page: Path) -> list[str]:
    """Return all texts that a page shows or reads aloud, those of its figures and scripts too."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    data = [json.loads(tag.string) for tag in soup("script", type="application/json")]
    for tag in soup(["script", "style", "code"]):
        tag.decompose()
    read = [tag[name] for tag in soup(True) for name in ("aria-label", "title", "alt", "placeholder") if tag.get(name)]
    return [*soup.stripped_strings, *read, *(text for one in data for text in texts_in(one))]


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for name, one in value.items() if name not in UNSHOWN for text in texts_in(one))
        yield from texts_in([*value.get("dictionary", {}).values()])
    elif isinstance(value, list):
        yield from (text for one in value for text in texts_in(one))
    elif isinstance(value, str):
        yield value


def english_in(texts: Iterable[str]) -> dict[str, str]:
    """Return the English words of texts; names of columns and rules, and of the sample's products, are none."""
    shown = [(text, SETTINGS.sub("", text)) for text in texts]
    words = {word: text for text, said in shown for word in re.findall(r"(?<![\w{.`])[A-Za-z][a-z]+(?![\w}]|\.[a-z])", said)}
    return {word: text for word, text in words.items() if word.lower() in ENGLISH_WORDS}


@pytest.mark.parametrize("file", ["../index.html", "index.html", "quality.html"])
def test_a_german_page_shows_every_warning(german, file):
    shown = BeautifulSoup((german / LAST.isoformat() / file).read_text(encoding="utf-8"), "html.parser").find(class_="notice")
    warned = warnings_of_a_run()
    with speaking("de"):
        assert [item.get_text() for item in shown("li")] == [tell(line) for line in warned]


@pytest.mark.parametrize("file", ["../index.html", *(page.file for page in PAGES), "brief.html"])
def test_a_german_page_has_no_english_word(german, file):
    page = german / LAST.isoformat() / file
    texts = shown_in(page)
    assert '<html lang="de">' in page.read_text(encoding="utf-8")
    assert len(texts) > 20
    assert english_in(texts) == {}


def test_a_german_page_writes_numbers_and_dates_in_german(german):
    pages = [german / "index.html", *sorted((german / LAST.isoformat()).glob("*.html"))]
    texts = [text for page in pages for text in shown_in(page)]
    assert [text for text in texts if re.search(r"£ ?\d|\d%", text)] == []
    assert {"23. Oktober 2025"} <= {*texts}


def test_the_german_brief_is_german(german):
    pdf = (german / LAST.isoformat() / "brief.pdf").read_bytes()
    text = text_of(pdf)
    assert "Wer sie sind, und was zu tun ist" in text
    assert PdfReader(io.BytesIO(pdf)).trailer["/Root"]["/Lang"] == "de"
    assert english_in(text.split()) == {}


def test_the_german_workbook_has_german_sheets_and_headings(german):
    book = pd.ExcelFile(german / LAST.isoformat() / "exports" / "customers.xlsx", engine="calamine")
    assert {"Kunden", "Anrufen", "Neu im Risiko"} <= {*map(str, book.sheet_names)}
    rows = pd.read_excel(book, "Kunden")
    assert english_in([*rows.columns, *(str(one) for one in rows.head(20).to_numpy().ravel())]) == {}


def test_data_for_programs_stays_english(shop, german):
    for file in ("exports/customers.csv", "exports/to-call.csv"):
        assert (german / LAST.isoformat() / file).read_bytes() == Path(shop[0].reports, LAST.isoformat(), file).read_bytes()
