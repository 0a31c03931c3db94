"""The built-in sample: every feature the example data has, in its share, from the same bytes each time."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rfm.datasets import sample as making
from rfm.datasets.sample import SampleReport, make_sample
from rfm.errors import SettingsError

HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
INVOICE = pl.col("Invoice")
KNOWN = pl.col("Customer ID") != ""
CODE = pl.col("StockCode")
NAME = pl.col("Description")
NEGATIVE = pl.col("q") < 0
CANCELLED = INVOICE.str.starts_with("C")

SHARES = {  # feature: (expression, lowest and highest share of the lines)
    "no customer": (~KNOWN, 0.17, 0.25),
    "cancellations": (CANCELLED, 0.015, 0.026),
    "write-offs": (NEGATIVE & ~CANCELLED & ~KNOWN & (pl.col("Price") == "0.0"), 0.003, 0.008),
    "null descriptions": (NAME == "", 0.004, 0.012),
    "zero prices": (pl.col("Price") == "0.0", 0.004, 0.015),
    "given away": ((pl.col("Price") == "0.0") & KNOWN, 0.00003, 0.001),
    "three decimals": (pl.col("Price").str.contains(r"\.[0-9]{3}$"), 0.00003, 0.001),
    "letters": (CODE.str.contains("^[0-9]{5}[A-Z]+$"), 0.12, 0.25),
    "lower case": (CODE.str.contains("^[0-9]{5}[a-z]+$"), 0.0005, 0.005),
    "leading blank": (NAME.str.starts_with(" "), 0.001, 0.02),
    "trailing blank": (NAME.str.ends_with(" "), 0.08, 0.3),
    "comma": (NAME.str.contains(","), 0.01, 0.1),
    "quote": (NAME.str.contains('"'), 0.001, 0.05),
    "pound": (NAME.str.contains("£"), 0.0001, 0.01),
    "at home": (pl.col("Country") == "United Kingdom", 0.87, 0.95),
}


def read(folder: Path) -> pl.DataFrame:
    """Return all lines of a folder as text, with the quantity as a number (q) and the price (p)."""
    files = sorted(folder.glob("*.csv"))
    text = pl.concat([pl.read_csv(f, infer_schema=False).fill_null("") for f in files])
    return text.with_columns(q=pl.col("Quantity").cast(pl.Int64), p=pl.col("Price").cast(pl.Float64))


def digest(folder: Path) -> str:
    """Return a fingerprint of all names and bytes in a folder."""
    content = b"".join(f.name.encode() + f.read_bytes() for f in sorted(folder.iterdir()))
    return hashlib.sha256(content).hexdigest()


def counted(lines: pl.DataFrame) -> pl.DataFrame:
    """Return the purchases that count for RFM, as SPEC.md defines them."""
    product = CODE.str.contains("^([0-9]{5}[A-Za-z]*|PADS)$")
    return lines.filter(KNOWN & ~CANCELLED & (pl.col("q") > 0) & product)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleReport, pl.DataFrame]:
    folder = tmp_path_factory.mktemp("landing")
    report = make_sample(folder)
    return folder, report, read(folder)


def test_one_file_a_day_without_a_gap(sample):
    folder, report, lines = sample
    days = [dt.date(2025, 6, 26) + dt.timedelta(days=i) for i in range(120)]
    assert sorted(f.name for f in folder.iterdir()) == [f"{day}_transactions.csv" for day in days]
    assert (report.files, report.first_day, report.last_day) == (120, days[0], days[-1])
    assert set(lines["InvoiceDate"]) == {str(day) for day in days}


def test_report_says_what_was_written(sample):
    folder, report, lines = sample
    assert report.lines == len(lines)
    assert report.lines == pytest.approx(60_000, rel=0.01)
    assert report.customers == 1500 == counted(lines)["Customer ID"].n_unique()
    assert report.bytes == sum(f.stat().st_size for f in folder.iterdir())


def test_bytes_look_like_the_landing_files(sample):
    folder, _, lines = sample
    for file in folder.iterdir():
        raw = file.read_bytes()
        assert raw.startswith(f"{HEADER}\n".encode())
        assert raw.endswith(f",{file.name[:10]}\n".encode())
        assert b"\r" not in raw
    assert lines.filter(KNOWN)["Customer ID"].str.contains(r"^[0-9]{5}\.0$").all()
    assert lines["Quantity"].str.contains("^-?[1-9][0-9]*$").all()
    assert lines["Price"].str.contains(r"^-?(0|[1-9][0-9]*)\.([0-9]|[0-9]{0,2}[1-9])$").all()


@pytest.mark.parametrize("feature", SHARES)
def test_feature_is_there_in_its_share(sample, feature):
    expression, low, high = SHARES[feature]
    assert low < sample[2].select(expression.mean()).item() < high


def test_special_codes_and_countries_occur(sample):
    lines = sample[2]
    codes = {special["code"] for special in making.shop_data()["specials"]} | {"PADS"}
    assert codes <= set(lines["StockCode"])
    assert {"EIRE", "Unspecified"} < set(lines["Country"])
    assert 10 <= lines["Country"].n_unique() <= 15
    debts = lines.filter(INVOICE.str.starts_with("A"))
    assert debts.select("StockCode", "Customer ID").unique().rows() == [("B", "")]
    assert len(debts) == 3
    assert (debts["p"] < -1000).all()


def test_lines_repeat_exactly_but_rarely(sample):
    lines = sample[2]
    assert 0.009 < 1 - len(lines.unique()) / len(lines) < 0.018


def test_invoices_rise_and_stay_on_one_day_with_one_customer(sample):
    lines = sample[2].with_columns(number=INVOICE.str.strip_chars_start("AC").cast(pl.Int64))
    assert lines["Invoice"].str.contains("^[AC]?[0-9]{6}$").all()
    assert lines["number"].is_sorted()
    one = lines.group_by("number").agg(pl.col("Invoice", "InvoiceDate", "Customer ID", "Country").n_unique())
    assert one.drop("number").max().row(0) == (1, 1, 1, 1)
    assert lines.filter(KNOWN).group_by("Customer ID").agg(pl.col("Country").n_unique())["Country"].max() == 1


def test_cancellations_return_what_was_bought_before(sample):
    lines = sample[2].with_row_index("row")
    product = CANCELLED & CODE.str.contains("^[0-9]{5}")
    key = ["Customer ID", "StockCode", "Price"]
    returned = lines.filter(product).select(*key, "row", "q")
    bought = counted(lines).group_by(key).agg(first=pl.col("row").min(), most=pl.col("q").sum())
    both = returned.join(bought, on=key, how="left")
    assert len(returned) > 900
    assert both["first"].null_count() == 0
    assert (both["first"] < both["row"]).all()
    assert (-both["q"] <= both["most"]).all()
    assert (lines.filter(CANCELLED)["q"] < 0).all()


def test_customers_look_like_a_shops(sample):
    end = dt.date(2025, 10, 23)
    gold = (
        counted(sample[2])
        .group_by("Customer ID")
        .agg(
            recency=(end - pl.col("InvoiceDate").max().str.to_date()).dt.total_days(),
            frequency=INVOICE.n_unique(),
            monetary=(pl.col("q") * pl.col("p")).sum(),
        )
    )
    assert 0.3 < (gold["frequency"] == 1).mean() < 0.5
    assert 300 < gold["monetary"].median() < 700
    assert gold["monetary"].quantile(0.75) > 2 * gold["monetary"].median()
    assert gold["monetary"].mean() > 1.8 * gold["monetary"].median()
    assert 15 < gold["recency"].median() < 45
    assert gold["frequency"].max() > 25


def test_days_have_a_rhythm_and_a_rise(sample):
    daily = sample[2].group_by(pl.col("InvoiceDate").str.to_date().alias("day")).len().sort("day")
    saturday = daily.filter(pl.col("day").dt.weekday() == 6)["len"].mean()
    assert saturday < 0.6 * daily["len"].mean()
    assert daily["len"].tail(28).mean() > 1.3 * daily["len"].slice(35, 28).mean()
    assert daily["len"].min() > 50


def test_newcomers_arrive_all_along_and_some_customers_stop(sample):
    seen = (
        counted(sample[2])
        .group_by("Customer ID")
        .agg(first=pl.col("InvoiceDate").min(), last=pl.col("InvoiceDate").max(), visits=INVOICE.n_unique())
    )
    months = ("2025-07", "2025-08", "2025-09", "2025-10")
    assert all(seen["first"].str.starts_with(month).sum() > 50 for month in months)
    assert seen.filter((pl.col("visits") > 2) & (pl.col("last") < "2025-09-01")).height > 20


def test_same_arguments_give_the_same_bytes(tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        make_sample(tmp_path / name, days=5, customers=50, lines=2000, seed=seed)
    assert digest(tmp_path / "one") == digest(tmp_path / "again")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_default_sample_is_the_same_twice(sample, tmp_path):
    make_sample(tmp_path)
    assert digest(tmp_path) == digest(sample[0])


@pytest.mark.parametrize(
    ("days", "customers", "lines"),
    [(3, 1500, 1000), (1, 1, 100), (30, 40, 300), (2, 3000, 12_000), (4, 2, 9000)],
)
def test_size_is_a_parameter(tmp_path, days, customers, lines):
    report = make_sample(tmp_path, days=days, end=dt.date(2024, 3, 1), customers=customers, lines=lines)
    written = read(tmp_path)
    assert len(list(tmp_path.iterdir())) == report.files == days
    assert report.lines == len(written) == pytest.approx(lines, rel=0.05)
    assert counted(written)["Customer ID"].n_unique() == report.customers == min(customers, lines // 4)


def test_small_pieces_give_a_whole_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(making, "PIECE_LINES", 200)
    report = make_sample(tmp_path, days=3, customers=300, lines=6000)
    lines = read(tmp_path).with_columns(number=INVOICE.str.strip_chars_start("AC"))
    assert report.lines == len(lines) == pytest.approx(6000, rel=0.02)
    assert counted(lines)["Customer ID"].n_unique() == 300
    assert lines["number"].is_sorted()
    assert lines.group_by("number").agg(pl.col("Customer ID").n_unique())["Customer ID"].max() == 1
    rng = np.random.default_rng(1)
    shop = making.Shop(rng, making.draw_customers(rng, 300), making.make_catalogue())
    plan = making.plan_visits(shop, np.ones(3), 6000)
    assert max(len(piece) for _, piece in making._pieces(shop, plan)) < 250


def test_invoice_numbers_run_on_in_base_36_without_a_or_c():
    plain, extended = [480_000, 999_999], [0, 35, 36, 36**5, 24 * 36**5 - 1]
    numbers = np.array(plain + [1_000_000 + number for number in extended])
    text = making._invoice_text(numbers).to_pylist()
    assert text == ["480000", "999999", "B00000", "B0000Z", "B00010", "D00000", "ZZZZZZ"]
    assert text == sorted(text)
    assert not set("AC") & {chr(lead) for lead in making.LEADS}


def test_a_second_run_replaces_and_leaves_others_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "2025-10-23_transactions.csv").write_text("old")
    (tmp_path / "2025-10-23_transactions.csv.part").write_text("half")
    make_sample(str(tmp_path), days=1, lines=100, customers=5)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["2025-10-23_transactions.csv", "notes.txt"]
    assert (tmp_path / "2025-10-23_transactions.csv").read_text("utf-8").startswith(HEADER)


def test_a_killed_run_leaves_no_half_file(tmp_path, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "_text", die)
    with pytest.raises(KeyboardInterrupt):
        make_sample(tmp_path, days=2, lines=100)
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"days": 0}, "days is 0"),
        ({"customers": 0}, "customers is 0"),
        ({"lines": 99, "days": 1}, "from 100 to"),
        ({"lines": 1199}, "from 1200 to"),
        ({"lines": 6e4}, "lines is 60000.0"),
        ({"days": True}, "days is True"),
        ({"seed": -1}, "seed is -1"),
        ({"end": "2025-10-23"}, "give a date"),
        ({"end": dt.date(1, 1, 5)}, "give a date"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(tmp_path, wrong, word):
    with pytest.raises(SettingsError) as caught:
        make_sample(tmp_path / "new", **wrong)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="name another"):
        make_sample(tmp_path / "file")
