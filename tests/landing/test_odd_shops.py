"""Odd settings and odd files: each ends in a report, or in one sentence that says what to change."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rfm
from rfm.dialect import Section
from rfm.errors import RfmError
from rfm.pipeline import backfill
from rfm.pipeline.schedule import named_date, newest_sale
from rfm.settings import Settings
from tests import shop

HEADER = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
DAY = dt.date(2026, 1, 31)
NONE = "invoice stock_code description quantity country"
THREE = "\n".join(["[columns]", *(f"{name} = ''" for name in NONE.split()), "customer_id = 'who'", "price = 'what'"])
THREE += "\ninvoice_date = 'when'\n"
SIGNS = "[shop]\nname = '店 <b>&'\ncurrency = ''"


def line(i: int, **changed: object) -> str:
    """Return one of many different lines."""
    usual = {"invoice": 500000 + i // 2, "code": 85048, "text": "BALL", "quantity": 1 + i % 7, "price": f"{1 + i % 9}.25"}
    usual |= {"customer": 10000 + i % 40, "country": "EIRE", "date": f"2026-01-{1 + i % 28:02}"}
    return ",".join(str(value) for value in (usual | changed).values())


def sales(rows: int = 200, header: str = HEADER, **changed: object) -> str:
    """Return a file of sales; what is changed is the same on each line."""
    return "\n".join([header, *(line(i, **changed) for i in range(rows))]) + "\n"


def amounts(rows: int = 120, header: str = "who,when,what", written: str = "c{c},2026-01-{d:02},{a}.50") -> str:
    """Return a file of customers, dates and amounts."""
    return "\n".join([header, *(written.format(c=i % 30, d=1 + i % 28, a=1 + i % 13) for i in range(rows))]) + "\n"


APART = amounts(written=" c{c}   2026-01-{d:02}  {a}.50 ", header=" who  when what")
BACK = amounts() + amounts(written="c{c},2026-01-{d:02},-{a}.50").partition("\n")[2]


class Odd(NamedTuple):
    """What rfm.toml says, the file, its name, and a part of the sentence it ends in; none if it ends in a report."""

    toml: str = ""
    file: str = sales(8)
    says: str = ""
    name: str = "2026-01-31_transactions.csv"


WRONG = {  # settings that cannot be: what rfm.toml says, and a part of the sentence
    "no toml": ("[shop\nname = 1", "rfm.toml: cannot be read"),
    "a setting twice": ("[shop]\nname = 'a'\nname = 'b'", "rfm.toml: cannot be read"),
    "a Windows path in quotes": ('landing = "C:\\Users\\me"', "rfm.toml: cannot be read"),
    "an unknown section": ("[shops]\nname = 'a'", "setting shops"),
    "an unknown setting": ("[shop]\nnam = 'a'", "setting shop.nam"),
    "a section as a text": ("shop = 'mine'", "setting shop"),
    "a list for a path": ("landing = ['a']", "setting landing"),
    "a number for a path": ("lake = 7", "setting lake"),
    "a number for a name": ("[shop]\nname = 7", "setting shop.name"),
    "an unknown engine": ("engine = 'duck'", "setting engine"),
    "Spark without an address": ("engine = 'spark'", "engine spark needs the address"),
    "a date that is none": ("date = '2026-02-30'", "setting date"),
    "a date in words": ("date = 'yesterday'", "setting date"),
    "an unknown separator": ("[files]\nseparator = ':'", "setting files.separator"),
    "an unknown encoding": ("[files]\nencoding = 'klingon'", "is not a text encoding"),
    "a column twice": ("[columns]\ninvoice = 'Price'", "have the same name"),
    "no customer": ("[columns]\ncustomer_id = ''", "setting columns.customer_id"),
    "no date": ("[columns]\ninvoice_date = ''", "setting columns.invoice_date"),
    "a flag without its rule": ("[columns]\ncancelled = 'void'", "go together"),
    "a flag's rule without it": ("[rules]\ncancellation = 'flag'", "go together"),
    "half a date": ("[format]\ndate = '%d.%m'", "must hold a year"),
    "a date with two days": ("[format]\ndate = '%d.%d.%Y'", "must hold a year"),
    "a date without marks": ("[format]\ndate = '%d%b%Y'", "must have something between"),
    "an unknown mark": ("[format]\ndecimal = ';'", "setting format.decimal"),
    "equal marks": ("[format]\nthousands = '.'", "are the same character"),
    "an unknown zone": ("[format]\ntimezone = 'Europe/Atlantis'", "is not a time zone"),
    "no pattern": ("[rules]\nstock_code_pattern = '(['", "is not a regular expression"),
    "a share above 1": ("[rules]\nmax_dropped_share = 25", "setting rules.max_dropped_share"),
    "an unknown revenue": ("[rules]\nrevenue = 'both'", "setting rules.revenue"),
    "two k": ("[clusters]\nk_min = 4\nk_max = 5", "k_max must be k_min, for a fixed k, or at least"),
    "k backwards": ("[clusters]\nk_min = 9\nk_max = 3", "k_max must be k_min"),
    "k of 0": ("[clusters]\nk_min = 0", "setting clusters.k_min"),
    "k of many": ("[clusters]\nk_max = 900", "setting clusters.k_max"),
    "a seed below 0": ("[clusters]\nseed = -1", "setting clusters.seed"),
    "k in words": ("[clusters]\nk_max = 'many'", "setting clusters.k_max"),
    "fences of nothing": ("[clusters]\niqr_factor = 0", "setting clusters.iqr_factor"),
    "cut-offs that fall": ("[cutoffs]\nmonetary = [4, 2, 1]", "must rise"),
    "two cut-offs of three": ("[cutoffs]\nmonetary = [1, 2]", "setting cutoffs.monetary"),
    "a cut-off without end": ("[cutoffs]\nrecency = inf", "setting cutoffs.recency"),
    "an unknown severity": ("[expectations]\nknown_country = 'shrug'", "setting expectations.known_country"),
    "a hook that is no command": ('[on_failure]\ncommand = "a \'b"', "is not a command"),
    "a password in an address": ("lake = 's3://me:secret@shop/lake'", ""),
}
QUICK = {  # files that are refused before much is done, or are small
    "an unknown rule": Odd("[expectations]\nknwon_country = 'drop'", says="knwon_country"),
    "an unknown segment": Odd("[recommendations]\nChampion = 'x'", says="Champion"),
    "a pattern of files that fits none": Odd("[files]\npattern = '*.xlsx'", says="holds no file like"),
    "a folder that is not there": Odd("landing = 'nowhere'", says="nowhere"),
    "ids to hash without a key": Odd("[columns]\nhash_customers = true", says="RFM_CUSTOMER_KEY"),
    "columns that the file does not have": Odd("[columns]\nprice = 'Preis'", says="Preis"),
    "a name without a day, days that cannot be": Odd(
        file=sales(8).replace("2026-", "1900-"), name="sales_transactions.csv", says="--date"
    ),
    "the wrong separator": Odd("[files]\nseparator = ' '", says="not a sales file"),
    "all dropped": Odd("[rules]\ninvoice_pattern = '^X'", says="max_dropped_share"),
    "another decimal mark": Odd("[format]\ndecimal = ','", says="max_dropped_share"),
    "another order of dates": Odd("[format]\ndate = '%d.%m.%Y'", says="max_dropped_share"),
    "a country that must be": Odd("[expectations]\nknown_country = 'fail'", sales(8, country=""), "known_country"),
    "nothing": Odd(file="", says="0 customers"),
    "a header alone": Odd(file=HEADER + "\n", says="0 customers"),
    "guests alone": Odd(file=sales(8, customer=""), says="0 customers"),
    "no product that counts": Odd("[rules]\nstock_code_pattern = '^Z'", says="0 customers"),
    "returns alone": Odd("[rules]\ncancellation = 'negative'", sales(8, quantity=-1), "0 customers"),
    "sales of tomorrow": Odd(file=sales(8, date="2026-02-01"), says="0 customers"),
}
SHOPS = {  # what ends in a report
    "one customer": Odd(file=sales(8, customer=7)),
    "two customers": Odd(file=sales(8, customer=7) + line(9) + "\n"),
    "one line": Odd(file=sales(1)),
    "customers alike": Odd(file=sales(80, quantity=1, price="5.00", date="2026-01-05")),
    "prices of 0": Odd(file=sales(80, price="0.00")),
    "huge amounts": Odd(file=sales(80, quantity=999, price="9999999.99")),
    "no country": Odd("[columns]\ncountry = ''", sales(80)),
    "hardly any product": Odd("[rules]\nstock_code_pattern = '85048'", sales(80)),
    "a fixed k": Odd("[clusters]\nk_min = 4\nk_max = 4", sales(80)),
    "k from 2 to 50": Odd("[clusters]\nk_max = 50", sales(80)),
    "names of another script": Odd(SIGNS, sales(80, text="日本", country="中国", customer="Ж")),
    "three columns apart by blanks": Odd(f"{THREE}[files]\nseparator = ' '", APART),
    "no price": Odd(THREE.replace("'what'", "''"), amounts()),
    "dollars": Odd(f"{THREE}[format]\nthousands = ','", amounts(written="c{c},2026-01-{d:02},${a}.50")),
    "net, and all sent back": Odd(f"{THREE}[rules]\ncancellation = 'negative'\nrevenue = 'net'", BACK),
}
assert len(WRONG) + len(QUICK) + len(SHOPS) >= 60


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no setting in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def end_of(home: Path, odd: Odd, publish: bool = False) -> str:
    """Run a shop; return the sentence in which that ended, or none after a run with a headline and customers."""
    (home / "data" / "landing").mkdir(parents=True, exist_ok=True)
    (home / "rfm.toml").write_text(odd.toml, encoding="utf-8")
    (home / "data" / "landing" / odd.name).write_text(odd.file, encoding="utf-8")
    try:
        wanted = rfm.load_settings()
        day = named_date(wanted) or newest_sale(wanted)
        if publish:
            shop.run(wanted, day)
            assert (home / "reports" / str(day) / "index.html").is_file()
        else:
            assert backfill.run_day(wanted, rfm.open_lake(wanted), day)
            assert not rfm.open_lake(wanted).frame("segment_summary").empty
    except RfmError as error:
        said = str(error)
        assert said.strip()
        assert "\n" not in said
        return said
    return ""


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings_are_told_in_a_sentence(home, name):
    toml, says = WRONG[name]
    said = end_of(home, Odd(toml))
    assert said
    assert says in said
    assert "secret" not in said


@pytest.mark.long
@pytest.mark.parametrize("name", QUICK)
def test_odd_shops_are_told_what_to_change(home, name):
    said = end_of(home, QUICK[name])
    assert said
    assert QUICK[name].says in said


@pytest.mark.long
@pytest.mark.parametrize("name", SHOPS)
def test_odd_shops_end_in_a_report(home, name):
    assert end_of(home, SHOPS[name], publish=True) == ""


@pytest.mark.parametrize("name", ["one customer", "three columns apart by blanks"])
def test_some_odd_shops_end_in_segments(home, name):
    assert end_of(home, SHOPS[name]) == ""


VALUES = (
    st.none() | st.booleans() | st.integers(-3, 60) | st.floats() | st.text(max_size=6) | st.lists(st.integers(0, 4), max_size=3)
)
SECTIONS = {name: type(field.default) for name, field in Settings.model_fields.items() if isinstance(field.default, Section)}
SETTINGS = [(section, name) for section, kind in SECTIONS.items() for name in kind.model_fields]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(SETTINGS), VALUES, max_size=3))
def test_any_values_of_settings_load_or_are_told_by_name(chosen):
    nested: dict[str, dict] = {}
    for (section, name), value in chosen.items():
        nested.setdefault(section, {})[name] = value
    try:
        rfm.load_settings(**nested)
    except RfmError as error:
        said = str(error)
        assert said.startswith("setting ")
        assert any(section in said for section, _ in chosen)
        assert "\n" not in said
