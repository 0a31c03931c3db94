"""Security: a shop with hostile texts in files, file names and settings; all of its outputs are checked."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import nbformat
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from papermill.parameterize import parameterize_notebook
from rich.syntax import Syntax
from rich.table import Table

import rfm
from rfm.analysis import formatting
from rfm.cli import main
from rfm.cli.options import Terminal
from rfm.datasets import download
from rfm.datasets.sample import make_sample
from rfm.errors import UNSEEN, InputError, SettingsError, printable
from rfm.lake.delta import sql_equals
from rfm.landing.csv import parse
from rfm.pipeline import backfill, lineage
from rfm.pipeline.notebooks import _reason
from rfm.report.pages import PAGES
from rfm.report.publish import published_record
from rfm.report.render import RunTables, drawn
from rfm.report.site import _about, _page, freshness
from rfm.settings import Settings, load_settings
from tests.shop import run

LAST = dt.date(2025, 10, 23)
DAYS = [LAST - dt.timedelta(days=1), LAST]
HEADER = ["Invoice", "StockCode", "Description", "Quantity", "Price", "Customer ID", "Country", "InvoiceDate"]
FIELDS = ["invoice", "stock_code", "description", "quantity", "price", "customer_id", "country", "invoice_date"]
HARMLESS = "word"
HOSTILE = (
    "<script>hacked()</script>",
    '</script><img src="http://evil.example/x" onerror="hacked()">',
    "\"' onmouseover='hacked()' x=\"",
    "</title></style><base href='//evil.example'>",
    "<a href='javascript:hacked()'>here</a>",
    "![](http://evil.example/x.png) [here](javascript:hacked()) **bold** | `x`",
    "\x1b[2J\x1b[31mred\x1b]52;c;ZXZpbA==\x07\x1b]8;;http://evil.example\x1b\\",
    "\x9b2J\x08\x08\x7f\x85",
    "\u202egnp.exe\u2066\u200b\u2028",
    "a\r\n2025-10-23: all is well",
    "nul\x00end",
    '=HYPERLINK("http://evil.example")',
    "box;=1+1\t@SUM(A1)",
    "{{7*7}}{% for x in ().__class__ %} ${7*7} {0} %s %(x)s",
    "$(touch hacked) `touch hacked` ; touch hacked | touch hacked",
    "../../../hacked",
    "[red]x[/] [link=http://evil.example]x[/link] [/]",
    "it's \\' OR 1=1; --",
    "<!--own:customers--><!--/own-->]]>",
    "\\u003cscript\\u003e \\",
)
ASIDE = {  # what a customer's id begins with, and a letter that sorts alike
    '=HYPERLINK("http://evil.example/': "Y",
    "@SUM(": "Z",
}
NAMES = [text.replace("/", "|").replace("\0", "") for text in HOSTILE]  # as much of it as a file's name can hold
MOST = settings.default.max_examples  # more with RFM_HYPOTHESIS=long
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(HOSTILE)


# ── two shops, the same but for their texts ────────────────────────────────────────────────────────
class Shop(NamedTuple):
    """A shop after a run, its run record and its texts."""

    root: Path
    settings: Settings
    record: dict[str, Any]
    texts: tuple[str, ...]


def plant(landing: Path, texts: tuple[str, ...], heads: list[str], aside: list[str], names: list[str]) -> None:
    """Write files with the texts in every field, header and file name."""

    def text(value: str, place: int = 0) -> str:
        return texts[(zlib.crc32(value.encode()) + place) % len(texts)]

    def line(row: list[str]) -> list[str]:
        invoice, code, _, quantity, price, customer, country, date = row
        if customer:
            customer = f"{aside[zlib.crc32(customer.encode()) % 5] if zlib.crc32(customer.encode()) % 5 < 2 else ''}{customer}"
        known = customer and f"{customer.removesuffix('.0')}{text(customer)}"
        return [f"{invoice}{text(invoice)}", f"{code}{text(code)}", text(code), quantity, price, known, text(country), date]

    for place, path in enumerate(sorted(landing.glob("*.csv"))):
        with path.open(newline="") as file:
            _, *rows = csv.reader(file)
        bad = [[row[at] if at != field else texts[place] for at in range(8)] for field in (3, 4, 7) for row in rows[:1]]
        with path.with_name(f"{path.name[:10]}_{names[place]}_transactions.csv").open("w", newline="") as file:
            csv.writer(file).writerows([[*heads, texts[-1]], *([*line(row), texts[place]] for row in rows + bad)])
            csv.writer(file).writerow([*line(rows[0]), "too", "many", texts[place]])
        path.unlink()
    whole = sorted(landing.iterdir())[-1]
    shutil.copy(whole, whole.with_name(f"2025-10-23_{names[-1]}_transactions.csv"))  # is refused, by its name
    whole.with_name(f"2025-10-23_{names[-2]}_transactions.csv").write_text(f"{texts[0]}\n{texts[6]}\n")  # is refused, too


def shop_with(root: Path, texts: tuple[str, ...], aside: list[str], names: list[str]) -> Shop:
    make_sample(str(root / "landing"), days=8, customers=60, lines=500, end=LAST)
    heads = [f"{text} {name}" for text, name in zip((texts[0], *texts[11:14], *texts[2:6]), HEADER, strict=True)]
    plant(root / "landing", texts, heads, aside, names)
    settings = rfm.load_settings(
        **{name: str(root / name) for name in ("landing", "lake", "reports")},
        columns=dict(zip(FIELDS, heads, strict=True)),
        rules={"invoice_pattern": "(?s)^.", "stock_code_pattern": "(?s)^[0-9]", "max_dropped_share": 0.9},
        shop={"name": printable(texts[1]), "currency": "$'{}\"%"},
        recommendations={segment: texts[at % len(texts)] for at, segment in enumerate(rfm.segments.TIER_OF)},
    )
    backfill.run_day(settings, rfm.Lake(settings.lake), DAYS[0])
    return Shop(root, settings, run(settings, LAST), texts)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return a shop with a harmless word in place of each hostile text."""
    words = tuple(f"{HARMLESS}{place}" for place in range(len(HOSTILE)))
    return shop_with(tmp_path_factory.mktemp("shop") / "in", words, list(ASIDE.values()), list(words))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return a shop with hostile texts in every field, header and name; tests must not change it."""
    return shop_with(tmp_path_factory.mktemp("shop") / "in", HOSTILE, list(ASIDE), NAMES)


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────
class Structure(HTMLParser):
    """The tags of a page, their attribute names, the attribute values that a browser acts on, and the page's data."""

    ACTED_ON = ("href", "src", "action", "style", "class", "nonce", "type", "content", "http-equiv", "rel", "data-plotly")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.data: list[str] = []
        self._data = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._data = tag == "script" and found.get("type") == "application/json"
        acted = {name: found[name] for name in self.ACTED_ON if name in found and "description" not in found.values()}
        self.tags.append((tag, sorted(found), {name: re.sub("[0-9a-f]{32}", "NONCE", str(one)) for name, one in acted.items()}))

    def handle_endtag(self, tag: str) -> None:
        self._data = False
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if self._data:
            self.data.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", data))


def pages_of(shop: Shop) -> dict[str, Structure]:
    reports = Path(shop.settings.reports)
    return {str(path.relative_to(reports)): Structure(path.read_text()) for path in sorted(reports.rglob("*.html"))}


def test_pages_have_the_tags_and_addresses_of_a_harmless_shop(hostile, harmless):
    found, wanted = pages_of(hostile), pages_of(harmless)
    assert found.keys() == wanted.keys()
    for name, page in found.items():
        assert page.tags == wanted[name].tags, name


def test_page_data_is_valid_and_contains_no_markup(hostile):
    islands = [(name, text) for name, page in pages_of(hostile).items() for text in page.data]
    assert len(islands) > 10
    for name, text in islands:
        json.loads(text)
        assert not re.search("[<>&]", text), name
        markup = re.search(r"\\u003c(?!/?(?:b|i|br|extra)\\u003e)", text)  # except plotly's
        assert not markup or "customers" in name or text.startswith('{"products":'), name  # which a script shows as text


def test_texts_are_shown_unchanged(hostile):
    page = (Path(hostile.settings.reports) / str(LAST) / "trade.html").read_text()
    assert "&lt;script&gt;hacked()&lt;/script&gt;" in page
    assert "{{7*7}}{% for x in ().__class__ %} ${7*7} {0} %s %(x)s" in page


def pages_with(tables: RunTables, texts: list[str]) -> Iterator[str]:
    """Yield the pages of a run with every text of the shop replaced by one of the given texts."""

    def one_of(found: re.Match[str]) -> str:
        return texts[int(found[1]) % len(texts)]

    def put(value: Any) -> Any:
        if isinstance(value, str):
            return value if value.startswith('{"data"') else re.sub(rf"[YZ]?\d*{HARMLESS}(\d+)", one_of, value)
        if isinstance(value, Mapping):
            return {put(name): put(one) for name, one in value.items()}
        return [put(one) for one in value] if isinstance(value, list | tuple) else value

    given = _about(tables.record) | {"menu": PAGES, "fresh": freshness(tables)}
    for page in PAGES:
        yield _page(page, {**put(given), "menu": PAGES}, put(_shown(tables, page)))


def _shown(tables: RunTables, page: Any) -> Any:
    key = "shown", page.file
    if key not in SHOWN:
        SHOWN[key] = page.build(tables)
    return SHOWN[key]


SHOWN: dict[Any, Any] = {}  # what the pages show, made once for all examples


@settings(max_examples=MOST // 2)
@given(texts=st.lists(TEXT, min_size=1, max_size=7))
def test_no_text_changes_the_structure_of_pages(harmless, texts):
    tables = RunTables(harmless.settings, harmless.record)
    if "tags" not in SHOWN:
        SHOWN["tags"] = [Structure(page).tags for page in pages_with(tables, [HARMLESS])]
    for page, tags in zip(pages_with(tables, texts), SHOWN["tags"], strict=True):
        found = Structure(page)
        assert found.tags == tags
        for island in found.data:
            json.loads(island)


@settings(max_examples=MOST)
@given(text=TEXT)
def test_any_name_in_a_figure_is_text(text):
    names = pl.DataFrame({"Country": [text], "Revenue": [1.0], "Customers": [1]}).to_pandas()
    island = drawn(rfm.figures.countries(names))["json"]
    assert not re.search("[<>&]", island)
    shown = json.loads(island)["data"][1]["text"][0]
    assert not re.search("<", shown)


# ── files ──────────────────────────────────────────────────────────────────────────────────────────
def test_no_file_is_written_outside_and_no_command_runs(hostile, harmless):
    def tree(shop: Shop, folder: str) -> list[str]:
        found = (path.relative_to(shop.root / folder) for path in (shop.root / folder).rglob("*") if path.is_file())
        return sorted(re.sub("[0-9a-f]{10}", "HASH", str(path)) for path in found)

    assert {path.name for path in hostile.root.iterdir()} == {path.name for path in harmless.root.iterdir()}
    assert [path.name for path in hostile.root.parent.iterdir()] == ["in"]
    assert tree(hostile, "reports") == tree(harmless, "reports")
    assert not [path for path in (*hostile.root.rglob("*hacked"), *Path().glob("hacked*")) if path.name == "hacked"]


def test_records_are_json_with_the_original_texts(hostile):
    folder = Path(hostile.settings.reports)
    record = json.loads((folder / str(LAST) / "run.json").read_text())
    assert record["settings"]["recommendations"] == dict(hostile.settings.recommendations)
    assert record["parameters"]["shop"] == hostile.settings.shop.name
    assert json.loads((folder / "runs.json").read_text())["newest"]["shop"] == hostile.settings.shop.name
    assert len(record["warnings"]) >= 2
    assert not [line for line in record["warnings"] if UNSEEN.search(line)]


def test_no_cell_of_an_export_is_a_formula(hostile):
    folder = Path(hostile.settings.reports) / str(LAST) / "exports"
    ids = set()
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        ids |= {cell for cell in cells if "HYPERLINK" in cell}
        parts = [part for cell in cells for part in re.split("[;\t\r\n]", cell)]
        assert not [part for part in parts if re.match("[=+@]|-(?![0-9.]+$)", part)], path.name
    assert ids
    for path in folder.glob("*.xlsx"):
        with zipfile.ZipFile(path) as book:
            texts = [book.read(name).decode() for name in book.namelist() if name.endswith(".xml")]
        assert not [text for text in texts if re.search("<f>|<f |<hyperlink|externalLink", text)]


@settings(max_examples=MOST)
@given(TEXT)
def test_escaped_formulas_are_restored_on_release(text):
    told = formatting.harmless(text)
    assert not re.search(r"(?:^|[;\t\r\n])[=+\-@]", told)
    assert formatting.as_it_was(told) == text


# ── the terminal ───────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def said(hostile, tmp_path, monkeypatch, capsys, wide_terminal):
    """Return a function that runs a command in an empty folder and returns its output."""
    monkeypatch.chdir(tmp_path)
    settings = hostile.settings
    dump = settings.model_dump(mode="json")
    text = "\n".join(
        f"[{section}]\n" + "".join(f"{json.dumps(name)} = {json.dumps(value)}\n" for name, value in dump[section].items())
        for section in ("columns", "rules", "shop", "recommendations")
    )
    places = "".join(f"{name} = {json.dumps(dump[name])}\n" for name in ("landing", "lake", "reports"))
    (tmp_path / "rfm.toml").write_text(places + text.replace("\x7f", "\\u007f"))

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["rfm", *arguments])
        with pytest.raises(SystemExit):
            main()
        out, err = capsys.readouterr()
        return out + err

    return call


def test_commands_print_no_control_sequences(said, hostile, tmp_path):
    landing, rows = hostile.settings.landing, str(tmp_path / "rows.csv")
    (tmp_path / "customers.csv").write_text("CustomerID,Monetary\n\x1b[2J,x\n")
    shutil.copytree(hostile.settings.lake, tmp_path / "lake")
    verbs = {
        ("status",): "has the same lines",
        ("check", landing): "dropped",
        ("release", "--export", rows): "quarantined row(s)",
        ("upload", "--date", str(LAST), "--to", str(tmp_path / "up")): "sent",
        ("daily", "-p", "x\x1b[2J=1"): "unknown parameter",
        ("daily", "--date", "\x1b[2J"): "setting date",
        ("score", "customers.csv"): "lacks 2 column(s)",
        ("backfill", "--from", str(LAST), "--to", str(LAST), "--lake", str(tmp_path / "lake")): "warning",
    }
    for verb, part in verbs.items():
        text = said(*verb)
        assert part in text, (verb, text)
        assert not UNSEEN.search(text.replace("\n", "")), (verb, UNSEEN.search(text.replace("\n", "")))
        assert not re.search("^2025-10-23: all is well", text, re.MULTILINE), verb
        assert "Traceback" not in text


def test_json_of_commands_has_no_control_characters(said, hostile):
    for verb in (("status", "--json"), ("check", hostile.settings.landing, "--json")):
        text = said(*verb)
        assert json.loads(text)
        assert not UNSEEN.search(text.replace("\n", "")), verb
    names = [column["column"] for column in json.loads(text)["columns"]]
    assert hostile.settings.columns.country in names  # as it is, once it was read


@pytest.mark.parametrize("text", HOSTILE)
def test_a_colour_terminal_gets_only_colour_sequences(text):
    file = io.StringIO()
    terminal = Terminal(file=file, force_terminal=True, width=60)
    grid = Table()
    grid.add_row(text.replace("[", "\\["), style="red")
    for one in (text, grid, Syntax(text, "toml")):
        terminal.print(one, markup=False)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue())
    assert not UNSEEN.search(plain.replace("\n", ""))
    assert len(plain.splitlines()) >= 3


@settings(max_examples=MOST)
@given(TEXT)
def test_a_printable_text_is_one_line_and_json_keeps_it(text):
    assert len(f"x{printable(text)}".splitlines()) == 1
    assert printable(printable(text)) == printable(text)
    assert json.loads(printable(json.dumps([text], ensure_ascii=False))) == [text]


def test_errors_are_one_line_in_every_output(tmp_path):
    error = InputError("a.csv: bad\n2025-10-23: all is well\x1b[2J\udce9")
    assert str(error) == "a.csv: bad\\n2025-10-23: all is well\\u001b[2J\\udce9"
    assert "\x1b" not in _reason("ValueError", "no\x1b[2J")
    sender = lineage.EventEmitter(str(tmp_path / "run.ndjson"))
    address = "/landing/\n{}\x1b[2J'"
    data = (lineage.Data(lineage.LANDING, address),)
    sender.send(
        lineage.RunEvent("FAIL", "2025-10-23T05:00:00Z", lineage.run_id("a"), "daily", "2025-10-23", None, data, (), str(error))
    )
    assert sender.close() == []
    (event,) = map(json.loads, (tmp_path / "run.ndjson").read_text().splitlines())
    assert event["run"]["facets"]["errorMessage"]["message"] == str(error)
    assert event["inputs"][0]["name"] == address


# ── queries, patterns, parameters, names ───────────────────────────────────────────────────────────
def test_a_delta_condition_matches_only_its_own_text(tmp_path):
    names = [text.replace("\0", "") for text in HOSTILE]
    deltalake.write_deltalake(str(tmp_path), pl.DataFrame({"source_file": names}))
    for name in names:
        new = pl.DataFrame({"source_file": [name]})
        deltalake.write_deltalake(str(tmp_path), new, mode="overwrite", predicate=sql_equals("source_file", name))
    assert sorted(pl.read_delta(str(tmp_path))["source_file"]) == sorted(names)


@pytest.mark.parametrize("pattern", ["(?<=a)b", r"(a)\1", "(?>a)", r"\Z", "a{,3}", "(a{1000}){1000}", "[", "a(?!b)"])
@pytest.mark.parametrize("setting", ["stock_code_pattern", "invoice_pattern", "cancellation_pattern"])
def test_a_pattern_that_polars_cannot_run_is_a_wrong_setting(setting, pattern):
    with pytest.raises(SettingsError, match=f"setting rules.{setting}: is not a regular expression"):
        load_settings(rules={setting: pattern})


@pytest.mark.parametrize("shop", [{"name": "a\nb"}, {"name": "\x1b[2J"}, {"currency": "<b>"}, {"currency": "\u202e"}])
def test_a_shop_name_is_one_line(shop):
    with pytest.raises(SettingsError, match="setting shop"):
        load_settings(shop=shop)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_notebook_parameter_is_never_code(text):
    cell = nbformat.v4.new_code_cell("date = ''", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": ""}, "papermill": {}}
    )
    given_ = {"date": text, "more": {text: [text, None, True]}}
    injected = parameterize_notebook(notebook, given_, kernel_name="python3", language="python").cells[1].source
    found: dict[str, Any] = {}
    exec(injected, found)  # noqa: S102  # as the kernel does
    assert {name: found[name] for name in given_} == given_


def test_line_ends_in_a_field_are_read_quickly():
    row = '489434,85048,"BALL\r\nBOX",12,6.95,13085.0,EIRE,2025-10-23\r\n'
    other = "489434,85048,BALL,12,6.95,13085.0,EIRE,2025-10-23\r\n"
    text = ",".join(HEADER) + "\r\n" + row + 40 * other  # fewer lines than a field may span
    assert parse(text.encode(), "a.csv")["Description"].to_pylist() == ["BALL\r\nBOX", *["BALL"] * 40]


def test_an_archive_is_kept_in_its_folder_whatever_its_address(tmp_path, monkeypatch):
    monkeypatch.setattr("rfm.datasets._resume", lambda url, part: part.write_bytes(b"x"))
    target, _ = download("https://evil.example/..%2f..%2fhacked.zip", tmp_path / "archive", "")
    assert target == tmp_path / "archive" / "hacked.zip"
    assert download("https://evil.example/", tmp_path / "archive", "")[0] == tmp_path / "archive" / "archive"


# ── what a person may have edited ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text", ["[]", '"x"', "{}", '{"run_date": "../../x"}', "\x1b[2J", '{"run_date": "2025-10-23", "stages": 7}']
)
def test_an_edited_record_gives_a_one_line_error(hostile, tmp_path, text):
    (tmp_path / str(LAST)).mkdir()
    (tmp_path / str(LAST) / "run.json").write_text(text)
    with pytest.raises(InputError, match="is not a run record"):
        published_record(str(tmp_path), LAST)
