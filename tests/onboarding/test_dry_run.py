"""`rfm check` and `rfm init` on files of other shops: what is found, what is offered, and that a run does well with it."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import rfm
from benchmarks.runs import orders
from rfm.cli import main
from rfm.cli.options import app
from rfm.datasets.sample import make_sample
from rfm.onboarding import check, columns
from rfm.onboarding.questions import QUESTIONS
from rfm.pipeline import backfill
from rfm.settings import load_settings

TODAY = dt.date(2026, 11, 23)
GOLD = "customer_rfm_gold"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no setting in the environment, on a terminal of eighty columns."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def repeat(header: str, line: Callable[[int], str], rows: int = 120, encoding: str = "utf-8") -> bytes:
    """Return a file of many lines."""
    return "\n".join([header, *map(line, range(rows))]).encode(encoding)


def german(i: int) -> str:
    sign = "-" if i % 40 == 5 else ""
    sold = f"{sign}{1 + i % 3};{i % 3}.{100 + i % 7},50;{1 + i % 28:02}.{1 + i % 9:02}.2026"
    return f"{'ST' if sign else ''}{4000 + i};K{i % 23:03};A-{i % 30:03};Stück {i % 30};{sold}"


def american(i: int) -> str:
    order, status = i // 2, "refunded" if i % 40 == 5 else "paid"
    when = f"{1 + order % 9}/{1 + order % 28}/2026 {1 + order % 12}:05 PM"
    return f"#{1000 + order},{when},u{order % 23}@example.com,TS-{i % 30:04},{1 + i % 3},{i % 50}.99,{status}"


def french(i: int) -> str:
    sold = f"{-1 if i % 40 == 5 else 2}\t{1 + i % 9} {100 + i % 50},50\tFrance"
    return f"FA{2000 + i}\t{1 + i % 28:02}/{1 + i % 9:02}/2026\tC{i % 23:03}\tREF{i % 30:04}\t{sold}"


FILES: dict[str, tuple[bytes, int, dict]] = {  # name: content, exit status, and of the settings offered
    "Verkäufe_2026.csv": (
        repeat("Belegnr;Kundennr;Artikelnr;Bezeichnung;Menge;Einzelpreis;Datum", german, encoding="cp1252"),
        0,
        {
            "format": {"date": "%d.%m.%Y", "decimal": ",", "thousands": "."},
            "rules": {"cancellation_pattern": "^ST", "invoice_pattern": ".", "stock_code_pattern": ""},
            "shop": {"currency": "€"},
        },
    ),
    "orders_export_1.csv": (
        repeat("Name,Created at,Email,Lineitem sku,Lineitem quantity,Lineitem price,Financial Status", american),
        0,
        {
            "columns": {
                "invoice": "Name",
                "invoice_date": "Created at",
                "customer_id": "Email",
                "stock_code": "Lineitem sku",
                "quantity": "Lineitem quantity",
                "price": "Lineitem price",
                "status": "Financial Status",
                "country": "",
                "description": "",
            },
            "format": {"date": "%m/%d/%Y"},
        },
    ),
    "ventes.txt": (
        repeat(
            "N° de commande\tDate de commande\tCode client\tRéférence\tQuantité\tPrix unitaire\tPays", french, encoding="utf-16"
        ),
        0,
        {
            "format": {"date": "%d/%m/%Y", "decimal": ",", "thousands": " "},
            "rules": {"cancellation": "negative", "stock_code_pattern": ""},
            "shop": {"currency": "€"},
        },
    ),
    "orders.csv": (  # orders without lines, times in UTC
        repeat(
            "order_id|user_id|country|created_at|total",
            lambda i: f"{70000 + i}|{i % 23}|DE|2026-{1 + i % 9:02}-{1 + i % 28:02}T23:30:00Z|{i % 90}.99",
        ),
        1,
        {
            "columns": {
                "invoice": "order_id",
                "customer_id": "user_id",
                "invoice_date": "created_at",
                "price": "total",
                "quantity": "",
                "stock_code": "",
                "description": "",
            },
            "format": {"timezone": "Europe/Berlin"},
        },
    ),
    "payments.csv": (
        repeat("customer,date,amount", lambda i: f"{i % 23},2026{1 + i % 9:02}{1 + i % 28:02},{i % 90}.99"),
        1,
        {
            "columns": {
                "customer_id": "customer",
                "invoice_date": "date",
                "price": "amount",
                "invoice": "",
                "quantity": "",
                "stock_code": "",
                "country": "",
                "description": "",
            },
            "format": {"date": "%Y%m%d"},
        },
    ),
    "dollars.csv": (
        repeat("customer,date,amount", lambda i: f"{i % 23},2026-01-{1 + i % 28:02},${i}.99"),
        1,
        {"shop": {"currency": "$"}, "format": {"thousands": ","}},
    ),
}
USELESS: dict[str, tuple[bytes, str]] = {  # name: content, and what is said of it
    "sales.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "empty.csv": (b"", "is empty"),
    "header.csv": (
        b"Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n",
        "no line below the header",
    ),
    "countries.csv": (b"code,name,capital\nDE,Germany,Berlin\nFR,France,Paris\n", "no column for the date of the sale"),
    "no header.csv": (repeat("7,2026-01-31,1.99", lambda i: f"{i % 23},2026-01-{1 + i % 28:02},{i}.99"), "no header"),
    "colons.csv": (repeat("customer:date:amount", lambda i: f"{i % 23}:2026-01-31:{i}.99"), "only one column"),
    "page.html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
}


RARE = ("orders.csv", "payments.csv", "dollars.csv")  # more of the same


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long if name in RARE else ()) for name in FILES])
def test_foreign_files_are_understood(home, name):
    content, status, wanted = FILES[name]
    (home / name).write_bytes(content)
    report = check([name], TODAY)
    offer = tomllib.loads(report.offer)
    assert report.status == status, report.findings
    assert {section: {name: offer[section][name] for name in values} for section, values in wanted.items()} == wanted
    assert (report.trial.lines, report.trial.lines - report.trial.kept) == (120, 3 if name.startswith("Verk") else 0)
    assert sum(report.trial.volume["lines"]) == report.trial.kept


def test_a_state_of_orders_paid_back_is_noted_with_its_money(home):
    (home / "orders.csv").write_bytes(FILES["orders_export_1.csv"][0])
    notes = [one.said for one in check(["orders.csv"], TODAY).findings if (one.weight, one.about) == ("note", "status")]
    worth = f"{sum((1 + i % 3) * (i % 50 + 0.99) for i in range(5, 120, 40)):.2f}"
    said = f"refunded does not count: 3 lines worth {worth}; move it to rules.sold to count the sale that was paid back later"
    assert notes == [said]


@pytest.mark.parametrize("name", USELESS)
def test_files_of_another_kind_get_one_sentence(home, name):
    content, said = USELESS[name]
    (home / name).write_bytes(content)
    report = check([name], TODAY)
    told = [one.said for one in report.findings if one.weight == "unusable"]
    assert (report.status, len(told), said in told[0]) == (2, 1, True), told


# ── what is offered makes a run end in the right gold ──────────────────────────────────────────────
SHOP = """Beleg;Kunde;Artikelnr;Bezeichnung;Stück;Einzelpreis;Land;Datum
1001;17;A-01;Ball;2;1.000,50;Deutschland;31.01.2026
1001;17;VERSAND;Versand;1;4,90;Deutschland;31.01.2026
1002;17;A-02;Dose;10;0,25;Deutschland;15.02.2026
1003;18;A-01;Ball;1;1.000,50;Österreich;16.02.2026
1004;;A-02;Dose;4;0,25;Deutschland;20.02.2026
GS1005;17;A-01;Ball;-1;1.000,50;Deutschland;21.02.2026
1006;18;A-02;Dose;x;0,25;Österreich;22.02.2026
"""


def gold_of(landing: Path, day: dt.date, **given: object) -> pd.DataFrame:
    """Run a day with the settings in force; return gold."""
    lake = rfm.Lake(str(landing.parent / "lake"))
    wanted = load_settings(landing=str(landing), lake=lake.url, **given)
    backfill.to_bronze(wanted, lake, day)
    backfill.to_silver(wanted, lake, day)
    rules = wanted.rules
    silver = lake.read("retail_transactions_silver", until=day)
    found = rfm.rfm_metrics(silver, day, stock_code_pattern=rules.stock_code_pattern, revenue=rules.revenue).collect()
    return found.to_pandas().astype({"Monetary": str})[["CustomerID", "Recency", "Frequency", "Monetary"]]


def test_offered_settings_make_a_run_end_in_gold(home):
    (home / "landing").mkdir()
    (home / "landing" / "Umsatz 2026-02.csv").write_text(SHOP, encoding="cp1252")
    report = check(["landing"], TODAY)
    (home / "rfm.toml").write_text(report.offer + "\nmax_dropped_share = 0.5\n")  # [rules] is the last section
    # 17: 2 · 1000.50 + 10 · 0.25 on two invoices, the postage aside; 18: 1000.50 on one, 6 days before
    found = gold_of(home / "landing", dt.date(2026, 2, 22))
    assert found.to_dict("list") == {
        "CustomerID": ["17", "18"],
        "Recency": [7, 6],
        "Frequency": [2, 1],
        "Monetary": ["2003.50", "1000.50"],
    }
    assert report.trial.gold["Monetary"].sum() == Decimal("3004.00")
    assert [(one.rule, one.lines, one.line, one.column, one.value) for one in report.dropped] == [
        ("valid_quantity", 2, 8, "Stück", "x")
    ]
    again = check(["landing"], TODAY)  # with these settings in force
    assert ([*again.changes], [one.about for one in again.findings if one.weight != "note"]) == ([], ["lines"])


def test_missing_column_of_rfm_toml_is_reported(home):
    (home / "sales.csv").write_text("customer,date,amount\n7,2026-01-31,1.5\n")
    (home / "rfm.toml").write_text('[columns]\ncustomer_id = "client"\n')
    report = check(["sales.csv"], TODAY)
    assert "rfm.toml sets columns.customer_id = 'client', but the files have no such column" in report.findings[0].said


# ── odd things ─────────────────────────────────────────────────────────────────────────────────────
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"


def daily(*lines: str) -> str:
    """Return a file of the default kind: customer, date, quantity, price a line."""
    rows = (line.split() for line in lines)
    return HEADER + "".join(
        f"{489434 + i},85048,BALL,{quantity},{price},{customer},EIRE,{date}\n"
        for i, (customer, date, quantity, price) in enumerate(rows)
    )


ODD = ["0 2026-01-01 1 1", "0 2026-01-02 1 1", "7 2026-01-01 1 1", "8 2026-02-01 1 1", "7 2027-01-01 1 1", "7 1900-01-01 1 -"]
ODD_SAID = [
    "1 lines are dated after today, up to 2027-01-01",
    "no sale for 29 days, from 2026-01-02 to 2026-02-01",
    "1 of 6 lines cannot be read or break a rule",
]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (ODD, ODD_SAID),
        (
            [f"7 1985-01-01 1 {price}" for price in range(150, 180)],
            ["may be in pence or cents", "30 lines are dated before 1990"],
        ),
    ],
)
def test_unusual_lines_are_reported(home, lines, said):
    (home / "2026-02-01_transactions.csv").write_text(daily(*lines))
    told = [one.said for one in check(["2026-02-01_transactions.csv"], TODAY).findings]
    assert [one for one in said if not any(one in sentence for sentence in told)] == [], told


def test_repeated_and_different_files_are_reported(home):
    (home / "2026-01-01_transactions.csv").write_text(daily("7 2026-01-01 1 1"))
    (home / "2026-01-02_transactions.csv").write_text(daily("7 2026-01-01 1 1"))
    (home / "2026-01-03_transactions.csv").write_text("code,name\n1,2\n")
    (home / "2026-01-04_transactions.csv").write_text(daily("7 2026-01-05 1 1"))
    said = " ".join(one.said for one in check([str(home)], TODAY).findings)
    assert "2026-01-02_transactions.csv: has the same lines as 2026-01-01_transactions.csv, so it is not read" in said
    assert "2026-01-03_transactions.csv has other columns than most files ('code,name')" in said
    assert "1 of 2 files have sales after the day in their name, such as 2026-01-04_transactions.csv up to 2026-01-05" in said


def test_the_daily_files_of_the_sample_need_nothing(home):
    from rfm.datasets.sample import make_sample

    make_sample(home / "landing", days=3, lines=900, customers=90)
    report = check(["landing"], TODAY)
    assert (report.status, report.offer) == (0, "")
    assert report.findings[-1].said.startswith("Worth a try, but more days would be better: ")


def test_a_workbook_is_read_like_a_file_sheet_by_sheet(home):
    (home / "landing").mkdir()
    with xlsxwriter.Workbook(home / "landing" / "Orders.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        for name, day in (("2025", 1), ("2026", 2)):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["Customer", "Date", "Amount"])
            for row in range(1, 4):
                sheet.write_row(row, 0, [row, dt.date(2026, 1, day), 1.25 * row])
        book.add_worksheet("Notes").write(0, 0, "made by the till")
    report = check(["landing/Orders.xlsx"], TODAY)
    assert (report.trial.lines, report.trial.kept, report.sample.first.encoding) == (6, 6, "a workbook")
    assert "Orders.xlsx: sheets that are not read: Notes (has no table)" in [one.said for one in report.findings]
    (home / "rfm.toml").write_text(report.offer)
    found = gold_of(home / "landing", dt.date(2026, 1, 2))
    assert found.to_dict("list") == {
        "CustomerID": ["1", "2", "3"],
        "Recency": [0, 0, 0],
        "Frequency": [2, 2, 2],
        "Monetary": ["2.50", "5.00", "7.50"],
    }


# ── the command ────────────────────────────────────────────────────────────────────────────────────
def test_check_shows_all_in_eighty_columns(home):
    (home / "Umsatz.csv").write_text(SHOP, encoding="cp1252")
    shown = CliRunner().invoke(app, ["check", "Umsatz.csv"])
    assert shown.exit_code == 1
    assert max(map(len, shown.output.splitlines())) <= 80
    for part in ("Windows-1252, separated by semicolon", "Kunde        customer", "7 lines arrived"):
        assert part in shown.output
    assert "For rfm.toml" in shown.output


def test_check_json_has_the_same_results(home):
    (home / "Umsatz.csv").write_text(SHOP, encoding="cp1252")
    shown = CliRunner().invoke(app, ["check", "Umsatz.csv", "--json"])
    told = json.loads(shown.stdout)
    assert (shown.exit_code, told["status"]) == (1, 1)
    assert told["lines"] == {"arrived": 7, "kept": 5, "dropped": 2, "guests": 0.142857}
    assert (told["counted"]["customers"], told["counted"]["orders"], told["counted"]["revenue"]) == (2, 3, "3004.00")
    assert {one["column"]: one["taken_for"] for one in told["columns"]}["Stück"] == "quantity"
    assert tomllib.loads(told["rfm_toml"])["format"]["decimal"] == ","
    assert [path.name for path in home.iterdir()] == ["Umsatz.csv"]  # nothing was written


def test_check_of_a_missing_file_is_wrong_use(home, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["rfm", "check", "nothing.csv"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, "there is no such file" in capsys.readouterr().err) == (2, True)


def test_init_writes_a_file_that_can_be_loaded(home):
    (home / "exports").mkdir()
    (home / "exports" / "Umsatz.csv").write_text(SHOP, encoding="cp1252")
    shown = CliRunner().invoke(app, ["init", "exports/Umsatz.csv", "--yes"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.endswith("Next: rfm daily\n")
    loaded = load_settings()
    assert (loaded.landing, loaded.format.decimal, loaded.columns.customer_id) == (str(home / "exports"), ",", "Kunde")
    assert Path(loaded.notebooks, "1_bronze.ipynb").is_file()


def test_init_asks_again_after_an_invalid_answer(home):
    (home / "Umsatz.csv").write_text(SHOP, encoding="cp1252")
    answers = {"shop.name": "Ball & Dose", "shop.currency": "Fr.", "columns.customer_id": "Kundin\nKUNDE", "columns.country": "-"}
    typed = [answers.get(setting, "") for setting in QUESTIONS if setting != "columns.cancelled"]
    shown = CliRunner().invoke(app, ["init", "Umsatz.csv"], input="\n".join([*typed, ""]))
    assert shown.exit_code == 0, shown.output
    assert "there is no such column; choose from Beleg, Kunde, " in " ".join(shown.output.split())
    loaded = load_settings()
    assert (loaded.shop.name, loaded.shop.currency, loaded.columns.country) == ("Ball & Dose", "Fr.", "")
    assert (loaded.columns.customer_id, loaded.columns.quantity) == ("Kunde", "Stück")


def test_init_without_answers_names_the_option_yes(home, monkeypatch, capsys):
    (home / "countries.csv").write_bytes(USELESS["countries.csv"][0])
    monkeypatch.setattr("sys.argv", ["rfm", "init", "countries.csv"])
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, "--yes accepts all guesses" in capsys.readouterr().err) == (2, True)


def test_init_changes_an_existing_file_only_with_force(home, monkeypatch, capsys):
    (home / "Umsatz.csv").write_text(SHOP, encoding="cp1252")
    (home / "rfm.toml").write_text('[shop]\nname = "Mine"\n')
    monkeypatch.setattr("sys.argv", ["rfm", "init", "Umsatz.csv", "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, "--force changes it" in capsys.readouterr().err) == (2, True)
    assert load_settings().shop.name == "Mine"
    assert CliRunner().invoke(app, ["init", "Umsatz.csv", "--yes", "--force"]).exit_code == 0
    assert load_settings().columns.customer_id == "Kunde"


def test_init_replaces_a_file_of_comments(home):
    (home / "Umsatz.csv").write_text(SHOP, encoding="cp1252")
    shutil.copy(Path(__file__).parents[2] / "rfm.example.toml", home / "rfm.toml")
    assert CliRunner().invoke(app, ["init", "Umsatz.csv", "--yes"]).exit_code == 0
    assert load_settings().columns.customer_id == "Kunde"


def test_init_names_a_new_lake_if_one_has_other_files(home):
    (home / "exports").mkdir()
    (home / "exports" / "2026-01-31_sales.csv").write_text(SHOP, encoding="cp1252")
    make_sample(home / "data" / "landing", days=2, lines=100, customers=20)
    backfill.to_bronze(load_settings(), rfm.Lake(str(home / "data" / "lake")), dt.date(2025, 10, 23))
    assert CliRunner().invoke(app, ["init", "exports", "--yes"]).exit_code == 0
    own = load_settings()
    assert (own.lake, own.reports) == (f"{home}/data/exports_lake", f"{home}/data/exports_reports")


def test_init_of_useless_files_writes_nothing(home):
    (home / "countries.csv").write_bytes(USELESS["countries.csv"][0])
    assert CliRunner().invoke(app, ["init", "countries.csv", "--yes"]).exit_code == 2
    assert not (home / "rfm.toml").exists()


def test_an_archive_that_is_refused_says_why(home):
    with zipfile.ZipFile(home / "sales.zip", "w") as packed:
        packed.writestr("a.csv", repeat("order_id,customer_id,order_date,total", lambda i: f"{i},K{i % 9},2026-03-04,{i}.50"))
        packed.writestr("terms.pdf", "%PDF-1.4")
    shown = CliRunner().invoke(app, ["check", "sales.zip"])
    assert (shown.exit_code, "a PDF document" in " ".join(shown.output.split())) == (2, True)


# ── any way of writing is guessed right ──────────────────────────────────────────────────────────────
LANGUAGE = {"customer_id": 0, "invoice_date": 0, "price": 0, "quantity": 0, "invoice": 0, "stock_code": 0}
DATES = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%y")
NUMBERS = ((".", ""), (",", ""), (",", "."), (".", ","), (",", " "), (".", "'"))
VAGUE = {
    "name",
    "ticket",
    "bon",
    "data",
    "article",
    "artikel",
    "item",
    "piece",
    "client",
    "cliente",
    "items",
    "count",
    "day",
    "dag",
    "dia",
    "tag",
}


@st.composite
def shops(draw):
    """Return a file written in a random way, and that way."""
    known = {
        role: [word for word in columns.WORDS[role] if sum(word in other for other in columns.WORDS.values()) == 1]
        for role in LANGUAGE
    }
    names = {role: draw(st.sampled_from([word for word in sure if word not in VAGUE])) for role, sure in known.items()}
    date, (decimal, thousands) = draw(st.sampled_from(DATES)), draw(st.sampled_from(NUMBERS))
    between = draw(st.sampled_from([one for one in (",", ";", "\t", "|") if one not in (decimal, thousands)]))
    order = draw(st.permutations(list(names)))
    cents = draw(st.lists(st.integers(1, 9_999_999), min_size=12, max_size=12))
    start = dt.date(2025, 1, 1) + dt.timedelta(days=draw(st.integers(0, 365)))

    def written(i: int) -> dict[str, str]:
        day = start + dt.timedelta(days=i * 3)
        price = f"{cents[i] / 100:,.2f}".replace(",", "_").replace(".", decimal).replace("_", thousands)
        return {"customer_id": f"K{i % 4}", "invoice_date": day.strftime(date), "price": price, "quantity": f"{1 + i % 3}"} | {
            "invoice": f"{500001 + i}",
            "stock_code": f"{20000 + i}",
        }

    lines = [between.join(written(i)[role] for role in order) for i in range(12)]
    return "\n".join([between.join(names[role] for role in order), *lines]), names, (date, decimal, thousands)


@settings(
    max_examples=settings().max_examples // 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shops())
def test_any_way_of_writing_is_guessed_right(shop):
    from rfm.onboarding.evidence import guesses as guessed
    from rfm.onboarding.profile import Profile
    from rfm.onboarding.sniff import _table

    text, names, (date, decimal, thousands) = shop
    seen = _table(text.encode() + b"\n", True, "sales.csv", "", "auto")
    guesses = {guess.setting: guess for guess in guessed(Profile(seen.lines.to_pandas(), today=TODAY))}
    plainly = {"columns." + role: name for role, name in names.items()} | {"format.date": date, "format.decimal": decimal}
    wrong = {
        setting: guesses[setting]
        for setting, value in plainly.items()
        if columns.plain_words(guesses[setting].value) != columns.plain_words(value) and guesses[setting].value != value
    }
    assert wrong == {}


# ── the real days, written another way ─────────────────────────────────────────────────────────────
@pytest.mark.real
def test_real_days_in_another_format_give_the_same_gold(home, real_files):
    days = sorted(real_files.glob("*_transactions.csv"))[:5]
    (home / "plain" / "landing").mkdir(parents=True)
    (home / "own" / "landing").mkdir(parents=True)
    for path in days:
        text = path.read_bytes()
        (home / "plain" / "landing" / path.name).write_bytes(text)
        lines = pd.read_csv(io.BytesIO(text), dtype=str)
        lines["Price"] = lines["Price"].str.replace(".", ",", regex=False)
        lines["InvoiceDate"] = pd.to_datetime(lines["InvoiceDate"]).dt.strftime("%d.%m.%Y")
        lines.columns = ["Rechnungsnr.", "Artikel", "Bezeichnung", "Menge", "Preis", "Kunde", "Land", "Datum"]
        lines.to_csv(home / "own" / "landing" / f"Verkauf_{path.name[:10]}.csv", sep=";", index=False, encoding="cp1252")
    last = dt.date.fromisoformat(days[-1].name[:10])
    wanted = gold_of(home / "plain" / "landing", last)
    report = check(["own/landing"], TODAY)
    (home / "rfm.toml").write_text(report.offer)
    pd.testing.assert_frame_equal(gold_of(home / "own" / "landing", last), wanted)
    assert (len(report.trial.gold), report.trial.gold["Frequency"].sum()) == (len(wanted), wanted["Frequency"].sum())


# ── a large file ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.long
def test_a_million_lines_are_checked_in_ten_seconds(home):
    orders(home / "orders.csv", 1_000_000)
    used = "print(sum(resource.getrusage(0)[:2]), resource.getrusage(0).ru_maxrss, file=sys.stderr)"
    code = f"import atexit, resource, sys\nfrom rfm.cli import main\natexit.register(lambda: {used})\nmain()"
    done = subprocess.run([sys.executable, "-c", code, "check", "orders.csv", "--json"], capture_output=True, text=True)
    told, (seconds, memory) = json.loads(done.stdout), map(float, done.stderr.split()[-2:])
    assert (told["lines"]["arrived"], told["lines"]["dropped"], told["counted"]["orders"]) == (1_000_000, 0, 200_000)
    assert seconds < 10
    assert memory < 1 << 20  # KB
