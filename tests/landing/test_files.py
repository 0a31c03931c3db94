"""The run date: as it was set, as the names of the files say, or that of the newest sale in them."""

from __future__ import annotations

import datetime as dt
import io
import random
from pathlib import Path

import pytest
import xlsxwriter
from typer.testing import CliRunner

import rfm
from rfm.cli.options import app
from rfm.errors import SettingsError
from rfm.landing import csv
from rfm.landing.files import date_in
from rfm.onboarding import check
from rfm.pipeline import daily
from rfm.pipeline.schedule import missed, named_date, newest_sale, run_date
from rfm.settings import load_settings

ROOT = Path(__file__).parents[2]
HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate,Note"
FORMS = {"date": "%d.%m.%Y", "decimal": ","}


@pytest.fixture(autouse=True)
def landing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty project; return its landing folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "landing"
    folder.mkdir(parents=True)
    return folder


def put(landing: Path, name: str, *days: str, quantity: int = 1) -> None:
    """Write a file with a sale a day."""
    lines = (f'{489434 + i},85048,BALL,{quantity},1.50,13085,EIRE,{day},"a, b"' for i, day in enumerate(days))
    (landing / name).write_text("\n".join([HEADER, *lines, ""]), encoding="utf-8")


def sold(**given: object) -> dt.date:
    """Return the day of the newest sale in all CSV and XLSX files."""
    return newest_sale(load_settings(files={"pattern": "*.*"}, **given))


def test_run_date_is_the_one_set_or_the_newest_in_the_names(landing):
    for name in ("2025-06-28_transactions.csv", "2025-06-26_transactions.csv", "x_transactions.csv"):
        put(landing, name, "2026-01-31")
    assert run_date(load_settings()) == dt.date(2025, 6, 28)
    assert run_date(load_settings(date="2025-06-27")) == dt.date(2025, 6, 27)


def test_the_newest_sale_gives_the_date_if_no_name_does(landing):
    put(landing, "a_transactions.csv", "2025-03-03", "2025-02-01")
    put(landing, "b_transactions.csv", "2025-03-01")
    with pytest.warns(UserWarning, match="run date 2025-03-03: newest sale in the files, as no file name has a date"):
        assert rfm.run_date(load_settings()) == dt.date(2025, 3, 3)
    assert named_date(load_settings()) is None
    assert missed(load_settings()) == []  # no file is of a day of its own


@pytest.mark.parametrize("odd", ["9999-12-31", "1900-01-01", "1970-01-01", "2025-02-30", "", "soon", "0001-01-01"])
def test_a_day_that_cannot_be_is_no_run_date(landing, odd):
    put(landing, "a.csv", "2025-03-01", odd, "2025-02-01", odd)
    assert sold() == dt.date(2025, 3, 1)


def test_only_such_days_ask_for_a_date(landing):
    put(landing, "a.csv", "9999-12-31", "1900-01-01")
    with pytest.raises(SettingsError, match=r"no file has a date in its name, .* give the run date with --date") as caught:
        sold()
    assert "\n" not in str(caught.value)


def test_a_line_that_silver_drops_is_no_sale(landing):
    put(landing, "a.csv", "2025-03-01")
    put(landing, "b.csv", "2025-03-09", quantity=-1)
    put(landing, "c.csv", "2025-03-08", quantity=0)
    assert sold() == dt.date(2025, 3, 1)


def test_a_file_that_a_run_refuses_is_passed_over(landing):
    put(landing, "a.csv", "2025-03-01")
    (landing / "b.csv").write_text("name,capital\nFrance,Paris\n")
    (landing / "c.csv").write_bytes(b"%PDF-1.7\n")
    assert sold() == dt.date(2025, 3, 1)


def test_the_shops_way_to_write_is_read(landing):
    (landing / "a.csv").write_text("Kunde;Datum;Betrag\n17;03.02.2026;1,50\n18;01.03.2026 23:10;2,00\n", encoding="utf-16")
    columns = {"customer_id": "Kunde", "invoice_date": "Datum", "price": "Betrag"}
    columns |= dict.fromkeys(("invoice", "stock_code", "quantity", "description", "country"), "")
    assert sold(columns=columns, format=FORMS) == dt.date(2026, 3, 1)
    assert sold(columns=columns | {"hash_customers": True}, format=FORMS) == dt.date(2026, 3, 1)  # and no key is asked for


def test_a_flag_of_cancellation_is_seen(landing):
    (landing / "a.csv").write_text("who,day,money,gone\n17,2026-02-03,1.50,\n18,2026-03-01,-2.00,yes\n")
    columns = {"customer_id": "who", "invoice_date": "day", "price": "money", "cancelled": "gone"}
    columns |= dict.fromkeys(("invoice", "stock_code", "quantity", "description", "country"), "")
    rules = {"cancellation": "flag"}
    settings = load_settings(columns=columns, rules=rules, files={"pattern": "*.csv"})
    silver, _ = rfm.clean(_bronze(settings), dialect=settings.dialect)
    assert newest_sale(settings) == max(silver["InvoiceDate"])


def _bronze(settings):
    import polars as pl

    files = rfm.list_files(settings.landing, settings.files.pattern)
    [(_, rows)] = rfm.read_files(settings.landing, files, dt.date(2026, 4, 1), columns=settings.columns)
    return pl.DataFrame(pl.from_arrow(rows))


def test_a_workbook_has_a_newest_sale_too(landing):
    with xlsxwriter.Workbook(landing / "orders.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER.split(","))
        for row, day in enumerate((dt.date(2026, 2, 1), dt.date(2026, 2, 3), dt.date(2026, 2, 2)), 1):
            sheet.write_row(row, 0, [489434 + row, "85048", "BALL", 1, 1.5, 17, "EIRE", day, "-"])
    assert sold() == dt.date(2026, 2, 3)


def test_check_and_run_name_the_same_day(landing):
    rng = random.Random(7)
    days = [str(dt.date(2025, 1, 1) + dt.timedelta(days=rng.randrange(400))) for _ in range(300)]
    put(landing, "a.csv", *days[:150], "9999-12-31", "1900-01-01")
    put(landing, "b.csv", *days[150:])
    report = check([str(landing)], dt.date.today())
    assert report.trial.as_of == sold() == dt.date.fromisoformat(max(days))


def test_a_piece_without_a_newer_day_is_not_cleaned(landing, monkeypatch):
    put(landing, "a.csv", "2025-03-03")
    put(landing, "b.csv", *["2025-03-02"] * 3, "2025-03-03")
    from rfm.analysis import cleaning

    sizes, clean = [], cleaning.clean
    monkeypatch.setattr(cleaning, "clean", lambda rows, **given: sizes.append(len(rows)) or clean(rows, **given))
    assert (sold(), sizes) == (dt.date(2025, 3, 3), [1])


def test_further_columns_are_not_read_for_a_date(landing, monkeypatch):
    put(landing, "a.csv", "2025-03-03")
    seen, pieces = [], csv.iter_tables
    monkeypatch.setattr(csv, "iter_tables", lambda *given, **named: (seen.append(one) or one for one in pieces(*given, **named)))
    assert sold() == dt.date(2025, 3, 3)
    assert seen[0]["_rescued_data"].null_count == 1
    [whole] = pieces(io.BytesIO((landing / "a.csv").read_bytes()), "a.csv", csv.ReadOptions())
    assert whole["_rescued_data"].to_pylist() == ['{"Note": "a, b"}']


def test_files_that_lack_a_column_are_no_fault_of_their_dates(landing):
    put(landing, "a.csv", "2025-03-03")
    with pytest.raises(SettingsError, match=r"no file can be read; a\.csv: lacks 1 required column\(s\): Preis"):
        run_date(load_settings(landing=str(landing), files={"pattern": "*.csv"}, columns={"price": "Preis"}))


def test_daily_takes_the_newest_sale_and_says_so_first(landing, monkeypatch):
    put(landing, "a_transactions.csv", "2025-03-03")
    seen = []

    def run(settings, parameters, on_stage, kernels, on_begin, on_past):
        seen.append(settings.date)
        return {"run_date": str(settings.date), "report": "r", "warnings": [], "errors": [], "headline": "1 customer"}

    monkeypatch.setattr(daily, "run", run)
    monkeypatch.setenv("RFM_KERNELS", "fresh")
    shown = CliRunner().invoke(app, ["daily"], env={"RFM_NOTEBOOKS": str(ROOT / "notebooks")})
    said = "run date 2025-03-03: newest sale in the files, as no file name has a date"
    assert (shown.exit_code, shown.output.splitlines()[0], seen) == (0, said, [dt.date(2025, 3, 3)]), shown.output
    put(landing, "2025-03-04_transactions.csv", "2025-03-03")
    again = CliRunner().invoke(app, ["daily"], env={"RFM_NOTEBOOKS": str(ROOT / "notebooks")})
    assert (again.output.splitlines()[0], seen[1]) == ("2025-03-04: 1 customer. Report: r", dt.date(2025, 3, 4))


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2025-01-01_2025-01-31.csv", (2025, 1, 31)),
        ("orders 20250101-20250131.csv", (2025, 1, 31)),
        ("orders_01.01.2025 bis 31.01.2025.csv", (2025, 1, 31)),
        ("2025-01-01 to 2025-01-31_transactions.csv", (2025, 1, 31)),
        ("2025-01-31_2025-01-01.csv", (2025, 1, 31)),  # made on a day, from a day
        ("2025-01-05 copy of 2025-02-01.csv", (2025, 1, 5)),
        ("2025-02-30_2025-01-05.csv", (2025, 1, 5)),
        ("2025-01-05.csv", (2025, 1, 5)),
    ],
)
def test_a_range_in_a_name_is_its_last_day(name, day):
    assert date_in(name) == dt.date(*day)
