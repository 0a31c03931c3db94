"""Tables become the pages of a run, notebooks pages beside them; runs become a site whose front page is written last."""

import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from fsspec.implementations.memory import MemoryFileSystem
from nbformat import v4

from rfm.config import Publish
from rfm.errors import InputError
from rfm.report import publish, site
from rfm.report.filters import PAGE_FILTERS
from rfm.report.notebooks import convert_notebooks, figure, headings, safe_html
from rfm.report.pages import PAGES
from rfm.report.render import assets
from rfm.settings import load_settings

PAYLOAD = "<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"
OUTSIDE = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)
CHART = {
    "data": [{"type": "bar", "x": [46, 168], "name": "</script><script>window.hacked=3</script>"}],
    "layout": {"title": {"text": "Who are they?<br><sup>by tier</sup>"}, "meta": {"alt": "Two bars"}},
    "config": {"plotlyServerURL": "https://plot.ly"},
}
SEGMENTS = [
    {
        "segment": name,
        "tier": tier,
        "customers": customers,
        "customer_share": share,
        "revenue": revenue,
        "revenue_share": brought,
        "median_monetary": "1234.50",
        "median_frequency": 4.0,
        "median_recency": 6.0,
        "recommendation": f"Talk to the {name}.",
    }
    for name, tier, customers, share, revenue, brought in (
        ("Hibernating", "growth and new", 60, 0.6, "1000.00", 0.1),
        ("Champions", "high value", 10, 0.1, "7000.00", 0.7),
        ("At Risk Customers", "risk", 30, 0.3, "2000.50", 0.2),
    )
]


def _output(**data):
    return v4.new_output("display_data", data={name.replace("__", "/"): value for name, value in data.items()})


def _notebook(*cells):
    top = v4.new_markdown_cell("# 6 · Report: the day in a page\n\nWhat happened.")
    tags = {"tags": ["injected-parameters"]}
    return v4.new_notebook(cells=[top, v4.new_code_cell("lake = '/srv/private'", metadata=tags), *cells])


def _day(date, customers=100, **more):
    stages = [{"name": "7_report", "status": "done", "seconds": 1.25, "reads": {}, "writes": {}}]
    summary = {
        "customers": customers,
        "revenue": "10000.50",
        "orders": 250,
        "segments": copy.deepcopy(SEGMENTS),
    }
    run = {"run_date": date, "status": "done", "started": "2026-11-23T07:00:00+00:00", "seconds": 14.2}
    return run | {"stages": stages, "summary": summary, "warnings": [], "code": {"rfm": "0.1.0"}} | more


@pytest.fixture
def work(tmp_path):
    """Return a work folder with one executed notebook: a figure, a frame, a picture, warnings, payloads."""
    chart = "application/vnd.plotly.v1+json"
    frame = "<style>td {}</style><table class='x'><thead><tr><th></th><th>name</th><th>n</th></tr></thead>"
    frame += "<tbody><tr><th>0</th><td>&lt;b&gt;</td><td>1,200</td></tr></tbody></table>"
    outputs = [
        _output(**{chart: CHART, "text__html": "<script src='https://cdn.plot.ly/p.js'></script>"}),
        _output(text__html=frame),
        _output(text__html=PAYLOAD),
        _output(text__markdown=PAYLOAD),
        _output(image__png="iVBORw0KGgo=", text__plain="<Figure>"),
        v4.new_output("stream", name="stdout", text=f"Wrote 3 rows. {PAYLOAD}"),
        v4.new_output("stream", name="stderr", text="UserWarning: for analysts only"),
    ]
    links = "[away](https://elsewhere.example/) [gold](gold.html)"
    part = v4.new_markdown_cell(f"## How large are they?\n\n{PAYLOAD}\n\n{links}")
    notebook = _notebook(part, v4.new_code_cell("figures.bars(summary)", outputs=outputs))
    folder = tmp_path / "work"
    folder.mkdir()
    nbformat.write(notebook, folder / "7_report.ipynb")
    (folder / "run.json").write_text("{}")
    return folder


@pytest.fixture
def page(work):
    """Return the page of a notebook."""
    return _notebook_page(work)


def _notebook_page(work, stage="7_report", **more):
    """Return the page of an executed notebook of a run."""
    record = _day("2025-10-23", **more)
    convert_notebooks(work, {**site._about(record), "menu": PAGES, "fresh": {}}, record, {})
    return (work / "notebooks" / f"{stage}.html").read_text(encoding="utf-8")


@pytest.fixture
def memory():
    """Return the in-memory file system, empty before and after."""
    MemoryFileSystem.store.clear()
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()


def _is_harmless(page):
    """Say whether a page runs nothing of its own: scripts carry the nonce or are data, no handlers."""
    soup = BeautifulSoup(page, "html.parser")
    scripts = [tag.get("nonce") or tag.get("type") == "application/json" for tag in soup("script")]
    return all(scripts) and not soup.find(lambda tag: any(name.startswith("on") for name in tag.attrs))


_BUILT: dict[str, dict[str, bytes]] = {}  # by record: what is in a work folder then


def _published(work, reports, record, *, again=False):
    """Build and publish a run whose lake is empty; what is shown comes from its record, so each is built once, or again."""
    key = json.dumps(record)
    if again or key not in _BUILT:
        site.build(load_settings(lake=str(work / "lake"), reports=str(reports)), work, record)
        _BUILT[key] = {str(path.relative_to(work)): path.read_bytes() for path in work.rglob("*") if path.is_file()}
    for name, content in _BUILT[key].items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(content)
    return site.publish(work, str(reports), record)


def _runs(reports):
    return [run["run_date"] for run in json.loads((reports / "runs.json").read_text())["runs"]]


def _front(reports):
    return (reports / "index.html").read_text(encoding="utf-8")


def test_page_has_no_outside_address_and_a_strict_policy(page):
    assert not OUTSIDE.search(page)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    nonce = re.search(r"script-src 'nonce-([0-9a-f]{32})';", policy)[1]
    assert policy.startswith("default-src 'none';")
    assert not re.search(r"script-src[^;]*unsafe", policy)
    scripts = re.findall(r"<script[^>]*>", page)
    assert len(scripts) == 3  # the one that draws, its words, the figure
    assert all(f'nonce="{nonce}"' in tag or tag == '<script type="application/json">' for tag in scripts)


def test_figure_stands_as_json_under_its_caption(page):
    text = re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    drawn = json.loads(text)
    name = "&lt;/script>&lt;script>window.hacked=3&lt;/script>"  # plotly would take a tag for markup
    assert drawn == {"data": [CHART["data"][0] | {"name": name}], "layout": {"meta": {"alt": "Two bars"}}}
    assert "<figcaption>Who are they? <small>by tier</small></figcaption>" in page
    assert 'aria-label="Two bars"' in page
    assert 'data-plotly="../../assets/plotly-' in page


def test_payloads_are_shown_and_not_run(page):
    assert page.count("&lt;script&gt;window.hacked=1&lt;/script&gt;") == 4
    assert _is_harmless(page)
    assert 'href="gold.html"' in page
    assert "elsewhere" not in page


def test_page_hides_parameters_and_warnings_and_has_one_h1(page):
    assert "/srv/private" not in page
    assert "for analysts only" not in page
    assert page.count("<h1") == 1
    assert '<h2 id="part-1">How large are they?</h2>' in page
    assert re.search(r'<img alt="How large are they\?" src="data:image/png;base64,', page)
    assert page.index("<summary>Show the code</summary>") < page.index('class="code"')


def test_overview_answers_who_brings_what_and_what_to_do(work, tmp_path):
    _published(work, tmp_path, _day("2025-10-23"))
    page = (tmp_path / "2025-10-23" / "index.html").read_text(encoding="utf-8")
    assert "70% of revenue comes from 10% of customers: Champions" in page
    shown = [heading.text for heading in BeautifulSoup(page, "html.parser").select(".segments h3")]
    assert shown == ["Champions", "At Risk Customers", "Hibernating"]
    assert "£7,000" in page
    assert "Talk to the Hibernating." in page


def test_same_run_gives_the_same_bytes(work, tmp_path):
    for reports in ("one", "other"):
        _published(work, tmp_path / reports, _day("2025-10-23"), again=True)
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")} for name in ("one", "other"))
    assert one == other


def test_notebook_page_has_run_line_and_the_way_on(work):
    nbformat.write(_notebook(), work / "3_gold.ipynb")
    tables = {"customer_rfm_gold": {"version": 3, "rows": 1500}}
    stages = [{"name": "3_gold", "status": "done", "seconds": 1.25, "reads": {}, "writes": tables}]
    text = _notebook_page(work, "3_gold", stages=stages)
    assert "<code>customer_rfm_gold</code> <b>1,500</b> rows" in text
    assert '<a rel="next" href="7_report.html">' in text
    assert '<a rel="prev" href="3_gold.html">' in _notebook_page(work)
    assert '<a href="../index.html">Overview</a>' in text


def test_failed_cell_is_named_without_its_traceback(work):
    error = v4.new_output("error", ename="InputError", evalue="no <b>file</b>", traceback=["secret line 12"])
    nbformat.write(_notebook(v4.new_code_cell("read()", outputs=[error])), work / "7_report.ipynb")
    text = _notebook_page(work, status="failed", summary=None)
    assert "InputError: no &lt;b&gt;file&lt;/b&gt;" in text
    assert "secret line 12" not in text
    assert "<h1>Report: the day in a page</h1>" in text


def test_values_of_the_record_are_escaped(work, tmp_path):
    record = _day("2025-10-23", warnings=[PAYLOAD], parameters={"shop": PAYLOAD, "currency": "<i>"})
    record["summary"]["segments"][1]["segment"] = record["summary"]["segments"][1]["recommendation"] = PAYLOAD
    _published(work, tmp_path / "reports", record)
    for path in (tmp_path / "reports").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert _is_harmless(text)
        assert "<i>" not in text
        assert "&lt;script&gt;window.hacked=1" in text


def test_broken_notebook_and_wrong_date_are_one_line(work, tmp_path):
    (work / "7_report.ipynb").write_text("not json")
    with pytest.raises(InputError, match=r"7_report\.ipynb: is not a notebook"):
        _notebook_page(work)
    with pytest.raises(InputError, match="run_date is '../x'"):
        site.publish(work, str(tmp_path), _day("../x"))


def test_publish_writes_day_assets_list_and_front_page(work, tmp_path):
    reports = tmp_path / "reports"
    assert _published(work, reports, _day("2025-10-23")) == str(reports / "index.html")
    written = {str(path.relative_to(reports)) for path in reports.rglob("*") if path.is_file()}
    shared = {f"assets/{name}" for name, _ in assets().values()}
    names = {page.file for page in PAGES} | {"run.json", "notebooks/7_report.ipynb", "notebooks/7_report.html"}
    names |= {f"exports/{name}" for name in ("customers.parquet", "customers.csv", "customers.xlsx")}
    day = {
        f"2025-10-23/{name}" for name in names | {"exports/entered-risk.csv", "exports/to-call.csv", "brief.html", "brief.pdf"}
    }
    assert written == shared | day | {"runs.json", "index.html"}
    front = _front(reports)
    assert not OUTSIDE.search(front)
    assert front.count("application/json") == 1  # what its script says, and no data
    assert "30 customers who have brought £2,000 so far are at risk" in front
    for link in re.findall(r'(?:href|src)="([^"#:]+)"', front):
        assert (reports / link).is_file()


def test_links_of_all_pages_lead_somewhere(work, tmp_path):
    reports = tmp_path / "reports"
    _published(work, reports, _day("2025-10-23"))
    for path in reports.rglob("*.html"):
        links = re.findall(r'(?:href|src|data-plotly)="([^"#:]+)["#]', path.read_text(encoding="utf-8"))
        assert [link for link in links if link != "gold.html" and not (path.parent / link).is_file()] == [], path


def test_same_day_again_replaces_the_day_and_keeps_one_entry(work, tmp_path):
    _published(work, tmp_path, _day("2025-10-23", customers=100))
    (tmp_path / "2025-10-23" / "note.txt").write_text("the shop's own")
    _published(work, tmp_path, _day("2025-10-23", customers=4321))
    assert _runs(tmp_path) == ["2025-10-23"]
    assert "4,321" in _front(tmp_path)
    assert (tmp_path / "2025-10-23" / "note.txt").is_file()
    assert not list(tmp_path.rglob("*.part"))


def test_older_day_published_later_keeps_the_headline(work, tmp_path):
    _published(work, tmp_path, _day("2025-10-23", customers=1500))
    _published(work, tmp_path, _day("2025-10-22", customers=1490))
    _published(work, tmp_path, _day("2025-10-24", status="failed", summary=None))
    assert _runs(tmp_path) == ["2025-10-24", "2025-10-23", "2025-10-22"]
    front = _front(tmp_path)
    assert "Newest run · 23 October 2025" in front
    rows = re.findall(r'<th scope="row"><a href="([^/]+)/', front)
    assert rows == _runs(tmp_path)


def test_first_run_without_figures_still_has_a_front_page(work, tmp_path):
    _published(work, tmp_path, _day("2025-10-23", status="failed", summary=None))
    assert "No segments yet" in _front(tmp_path)


def test_failure_leaves_front_page_and_earlier_days(work, tmp_path):
    _published(work, tmp_path, _day("2025-10-23"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and work not in path.parents}
    (tmp_path / "2025-10-24").write_text("in the way")
    with pytest.raises(InputError, match="cannot be published to"):
        _published(work, tmp_path, _day("2025-10-24", customers=9))
    assert {path: path.read_bytes() for path in before} == before


def test_front_page_is_written_last(work, tmp_path, monkeypatch):
    order, write = [], publish.write_file
    monkeypatch.setattr(site, "write_file", lambda fs, path, content: (order.append(path), write(fs, path, content)))
    _published(work, tmp_path, _day("2025-10-23"))
    names = [str(Path(path).relative_to(tmp_path)) for path in order]
    assert [name.split("/")[0] for name in names[:3]] == ["assets"] * 3
    assert names[-2:] == ["runs.json", "index.html"]


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": []}', '{"newest": {"run_date": "x"}, "runs": []}'])
def test_unreadable_list_of_runs_stops_before_any_write(work, tmp_path, content):
    (tmp_path / "runs.json").write_text(content)
    with pytest.raises(InputError, match=r"runs\.json: is not a list of runs .* move it away"):
        _published(work, tmp_path, _day("2025-10-23"))
    assert not (tmp_path / "index.html").exists()
    assert not (tmp_path / "2025-10-23").exists()


def test_publish_to_a_url(work, memory):
    for date in ("2025-10-22", "2025-10-23"):
        assert _published(work, "memory://shop/site", _day(date)) == "memory:///shop/site/index.html"
    assert memory.exists("/shop/site/2025-10-22/index.html")
    assert not memory.exists("/shop/site/2025-10-23/notebooks/7_report.ipynb")  # it shows customers
    assert not memory.exists("/shop/site/2025-10-23/customers.html")
    assert "customers.html" not in memory.cat_file("/shop/site/index.html").decode()
    site.publish(work, "memory://shop/site", _day("2025-10-23"), Publish(customers=True))
    assert memory.exists("/shop/site/2025-10-23/notebooks/7_report.ipynb")
    assert len(json.loads(memory.cat_file("/shop/site/runs.json"))["runs"]) == 2
    with pytest.raises(InputError, match="neither a folder nor a known URL"):
        site.publish(work, "nowhere://x", _day("2025-10-23"))


def test_bucket_gets_content_types_and_its_errors_are_one_line():
    sent = {}
    bucket = SimpleNamespace(protocol=("s3", "s3a"), pipe_file=lambda path, content, **more: sent.update({path: more}))
    publish.write_file(bucket, "shop/index.html", b"")
    assert sent == {"shop/index.html": {"ContentType": "text/html"}}
    missing = type("NoCredentialsError", (Exception,), {"__module__": "botocore.exceptions"})
    with pytest.raises(InputError, match="s3://shop: cannot be published to"), publish.reaching_site("s3://shop"):
        raise missing("no credentials")
    with pytest.raises(ZeroDivisionError), publish.reaching_site("s3://shop"):
        raise ZeroDivisionError


def test_tables_lose_a_nameless_index_and_align_numbers():
    head = "<thead><tr><th></th><th>name</th><th>n</th></tr></thead>"
    rows = "<tr><th>0</th><td>a</td><td>1,200.5</td></tr><tr><th>1</th><td>b</td><td>NaN</td></tr>"
    text = safe_html(f"<table class='x' style='color:red'>{head}<tbody>{rows}</tbody></table>")
    assert "<th>0</th>" not in text
    assert '<th class="num">n</th>' in text
    assert '<td>a</td><td class="num">1,200.5</td>' in text
    assert 'tabindex="0"' in text
    assert "style=" not in text


def test_tables_keep_a_named_index_beside_the_other_names():
    head = "<thead><tr><th></th><th>lines</th></tr><tr><th>rule</th><th></th></tr></thead>"
    text = safe_html(f"<table>{head}<tbody><tr><th>valid_price</th><td>12</td></tr></tbody></table>")
    assert text.count("<tr>") == 2
    assert '<th>rule</th><th class="num">lines</th>' in text
    assert "<th>valid_price</th>" in text


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example",
        "//a.example",
        "/\\a.example",
        "javascript:x",
        "java&#115;cript:x",
        "data:text/html,x",
    ],
)
def test_links_lead_nowhere_outside(address):
    assert safe_html(f'<a href="{address}">word</a>') == "<a>word</a>"


def test_headings_in_outputs_stay_below_those_of_the_page():
    assert safe_html("<h1 id='a'>words</h1>") == "<h3>words</h3>"


def test_figure_without_title_takes_the_heading_above():
    assert figure({"data": [], "layout": {"meta": 3}}, "How many?")["alt"] == "How many?"
    assert figure({}, "")["alt"] == "Figure"
    named = {"layout": {"title": {"text": "Tom &amp; <b>Jo</b>", "subtitle": {"text": "by day"}}}}
    assert figure(named)["title"] == "Tom & Jo"
    assert figure(named)["subtitle"] == "by day"


def test_headings_name_the_page_and_its_parts():
    sources = ("# 3 · Gold: one row\n\nwords", "## `Read`\nmore", "# Second title")
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(source) for source in sources])
    title, parts = headings(notebook)
    assert title == "Gold: one row"
    assert parts == [{"id": "part-1", "title": "Read"}]
    assert [cell.source.strip() for cell in notebook.cells] == ["words", "more", "# Second title"]


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("count", (1500,), "1,500"),
        ("count", (4.5,), "4.5"),
        ("count", (None,), "–"),
        ("count", (float("nan"),), "–"),
        ("money", ("1234567.89", "£"), "£1,234,568"),
        ("money", ("-12.5", "€"), "−€12.50"),
        ("share", (0.08,), "8%"),
        ("share", (0.004,), "0.4%"),
        ("share", (0.333,), "33%"),
        ("change", (10, 12, "count", ""), "▼ −2"),
        ("change", ("10.50", "9.25", "money", "£"), "▲ +£1.25"),
        ("change", (0.331, 0.32, "share", "£"), "▲ +1.1 points"),
        ("change", ("10.50", "10.50", "money", "£"), "unchanged"),
        ("change", (None, 3, "count", ""), "–"),
        ("form", ("1200.50", "money", "£"), "£1,200"),
        ("form", (-0.125, "growth", "£"), "−12.5%"),
        ("form", (0.99999, "precise", "£"), "99.99%"),
        ("form", ("2025-10-03", "day", "£"), "3 October 2025"),
        ("form", (True, "text", "£"), "yes"),
        ("form", (None, "text", "£"), "–"),
        ("freshness", ("2025-10-20", "2025-10-23"), "newest sale 3 days older"),
        ("json", ({"a": "</script>&"},), '{"a":"\\u003c/script\\u003e\\u0026"}'),
        ("day", ("2025-10-03",), "3 October 2025"),
        ("moment", (None,), "at an unknown time"),
        ("width", (0.1, [0.1, 0.4]), "25.00"),
        ("slug", ("high value",), "high-value"),
        ("note", ({"segments": []}, "£"), ""),
    ],
)
def test_numbers_and_dates_read_well(name, given, shown):
    assert PAGE_FILTERS[name](*given) == shown
