"""Guesses from the words of a header and from values: columns, dates, numbers, rules, file names."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfm.dialect import FLAG, LANDING_COLUMNS, Format
from rfm.onboarding import columns as words
from rfm.onboarding import config_table, config_toml
from rfm.onboarding.columns import is_no_product, match
from rfm.onboarding.evidence import cancel_prefix, pattern_of
from rfm.onboarding.evidence import guesses as guessed
from rfm.onboarding.formats import MARKS, PATTERNS, date_of, dates_of, number_of, numbers_of, shapes_of, zones
from rfm.onboarding.identity import placeholder_customers
from rfm.onboarding.money import totals_for_prices
from rfm.onboarding.profile import Profile
from rfm.onboarding.questions import nested

TODAY = dt.date(2026, 11, 23)


def settings(guesses):
    """Return guesses as settings, section by section."""
    return nested((guess.setting, guess.value) for guess in guesses)


def counts(*values: str) -> dict[str, int]:
    """Return values with how often each is there."""
    return dict(Counter(values))


# ── the table of words ─────────────────────────────────────────────────────────────────────────────
def test_words_are_compared_in_their_plain_letters():
    assert [word for word in words.PARTS if words.plain_words(word) != word or not word] == []


def test_every_column_that_can_be_set_has_words():
    assert {*LANDING_COLUMNS, FLAG} <= set(words.WORDS)


def test_no_word_stands_twice_for_a_column():
    assert [word for role in words.WORDS.values() for word, times in Counter(role).items() if times > 1] == []


HEADERS = {  # language: header of customer, invoice, product, name, quantity, price, country, date
    "English": "Customer ID;Order No.;SKU;Product Name;Qty;Unit Price;Country;Order Date",
    "German": "Kunden-Nr.;Rechnungsnummer;Artikelnummer;Bezeichnung;Menge;Einzelpreis;Land;Rechnungsdatum",
    "French": "Code client;N° de commande;Référence;Désignation;Quantité;Prix unitaire;Pays;Date de commande",
    "Spanish": "Nº cliente;Número de factura;Código artículo;Descripción;Cantidad;Precio unitario;País;Fecha",
    "Italian": "Codice cliente;Numero fattura;Codice articolo;Descrizione;Quantità;Prezzo unitario;Paese;Data fattura",
    "Dutch": "Klantnummer;Factuurnummer;Artikelcode;Omschrijving;Aantal;Stukprijs;Land;Factuurdatum",
}
ROLES = ("customer_id", "invoice", "stock_code", "description", "quantity", "price", "country", "invoice_date")
ROWS = (
    ("17", "1001", "A-1", "Ball", "1", "1.50", "X", "2025-01-31"),
    ("18", "1002", "B-2", "Box", "2", "9.95", "Y", "2025-02-01"),
)


@pytest.mark.parametrize("language", HEADERS)
def test_columns_are_known_by_their_names_in_any_order(language):
    header = HEADERS[language].split(";")
    columns = {name: counts(*values) for name, values in zip(header, zip(*ROWS, strict=True), strict=True)}
    found = match(dict(reversed(columns.items())))
    assert {role: one.column for role, one in found.items()} == dict(zip(ROLES, header, strict=True))
    assert {one.sure for one in found.values()} == {"sure"}


def test_a_name_does_not_count_against_the_values():
    found = match(
        {"Datum": counts("offen", "bezahlt"), "Tag": counts("31.01.2025"), "Betrag": counts("1,50"), "Kunde": counts("7")}
    )
    assert found["invoice_date"].column == "Tag"


def test_unknown_names_are_matched_by_values_and_unsure():
    found = match({"a": counts("7", "7", "8", "9"), "b": counts("2025-01-31", "2025-02-01"), "c": counts("1.50", "2.25", "3")})
    assert {role: (one.column, one.sure) for role, one in found.items()} == {
        "customer_id": ("a", "unsure"),
        "invoice_date": ("b", "likely"),
        "amount": ("c", "unsure"),
    }


def test_two_columns_that_fit_equally_are_unsure():
    found = match({"Created at": counts("2025-01-31"), "Paid at": counts("2025-02-01")})["invoice_date"]
    assert (found.column, found.sure, found.reason) == ("Created at", "unsure", "'Paid at' fits as well")


# ── dates ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("values", "pattern", "other"),
    [
        (["2025-01-31"], "%Y-%m-%d", ""),
        (["31.1.2025 08:26", "1.2.2025"], "%d.%m.%Y", ""),
        (["1/31/2025 8:26 PM"], "%m/%d/%Y", ""),
        (["31/01/25"], "%d/%m/%y", ""),
        (["20250131"], "%Y%m%d", ""),
        (["31 Dez 2025", "1 März 2025"], "%d %b %Y", ""),
        (["Jan 31, 2025"], "%b %d, %Y", ""),
        (["2025-01-31T22:30:00Z"], "%Y-%m-%d", ""),
        (["01/02/2025", "03/04/2025"], "%d/%m/%Y", "%m/%d/%Y"),  # nobody can tell
        ([f"{day:02}/03/2025" for day in range(1, 11)], "%d/%m/%Y", ""),  # ten days of March, not of ten months
        ([f"03/{day:02}/2025" for day in range(1, 11)], "%m/%d/%Y", ""),
        (["01/12/2026", "02/11/2026"], "%m/%d/%Y", ""),  # the first of December is still to come
    ],
)
def test_dates_are_read_by_the_pattern_that_fits(values, pattern, other):
    found = dates_of(counts(*values), TODAY)
    assert (found.pattern, found.other, found.share) == (pattern, other, 1.0)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_of_dates_is_one_that_a_run_knows(pattern):
    assert Format(date=pattern).date == pattern


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (["1736931600", "1736935200.5"], "epoch"),
        (["1736931600000"], "epoch_ms"),
        (["45672", "45673,25"], "serial"),
        (["2025-W03", "2025-W04"], "%G-W%V"),
        (["soon"], ""),
        (["12", "13"], ""),
    ],
)
def test_days_that_programs_count_are_known(values, pattern):
    assert dates_of(counts(*values)).pattern == pattern


def test_a_second_pattern_is_added_if_shapes_exclude_each_other():
    found = dates_of(counts("2025-01-13", "2025-01-14", "15.01.2025"))
    assert (found.pattern, found.also, found.swapped) == ("%Y-%m-%d", ("%d.%m.%Y",), False)
    assert dates_of(counts("13/01/2025", "14/01/2025", "01/15/2025")).also == ()  # 02/03/2025 could be either


def test_days_that_a_spreadsheet_swapped_are_no_second_pattern():
    early = [f"2025-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 13)]
    late = [f"{day}/01/2025" for day in range(13, 29)]
    found = dates_of(counts(*early, *late))
    assert (found.also, found.swapped) == ((), True)


def test_utc_offsets_of_times_are_counted():
    assert zones(counts("2025-01-31T22:30:00Z", "2025-01-31 22:30 +0100", "2025-01-31")) == {"Z": 1, "+0100": 1}


def test_a_date_that_is_none_is_not_read():
    assert date_of("30.02.2025", "%d.%m.%Y") is None


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("values", "decimal", "thousands", "sure", "sign"),
    [
        (["1.50", "12"], ".", "", True, ""),
        (["1,50", "12"], ",", "", True, ""),
        (["1.234,50", "12"], ",", ".", True, ""),
        (["1,234.50", "12"], ".", ",", True, ""),
        (["1 234,50"], ",", " ", True, ""),
        (["1\u202f234,50"], ",", " ", True, ""),
        (["1'234.50"], ".", "'", True, ""),
        (["1.234"], ".", "", False, ""),  # one and a bit, or more than a thousand
        (["€ 1,50", "€ 2,00"], ",", "", True, "€"),
        (["1.50 USD"], ".", ",", True, "$"),
        (["12", "13"], ".", "", True, ""),
    ],
)
def test_numbers_are_read_by_the_marks_that_fit(values, decimal, thousands, sure, sign):
    assert numbers_of(counts(*values)) == (decimal, thousands, 1.0, sure, sign)


@given(st.integers(-(10**8), 10**8), st.sampled_from(MARKS))
def test_a_number_written_with_marks_is_read_with_them(cents, marks):
    decimal, thousands = marks
    text = f"{cents / 100:,.2f}".replace(",", "_").replace(".", decimal).replace("_", thousands)
    assert number_of(text, decimal, thousands) == cents / 100


# ── rules ──────────────────────────────────────────────────────────────────────────────────────────
def test_letters_of_cancellations_have_negative_lines():
    assert cancel_prefix(["1001", "1002", "ST1003", "ST1004", "A1005"], [False, False, True, True, False]) == "ST"
    assert cancel_prefix(["FA1", "FA2"], [False, True]) == ""


def test_codes_have_a_few_shapes_or_none():
    assert shapes_of([f"SKU-{i:04}" for i in range(60)]) == ["[A-Za-z]+-[0-9]+"]
    assert shapes_of([f"{'x-' * i}{i}" for i in range(60)]) == []
    assert not is_no_product("85048")


def test_ids_that_stand_for_no_customer_are_counted():
    assert placeholder_customers({"17": 5, "Guest": 2, "0.0": 1}) == {"Guest": 2, "0.0": 1}


def test_prices_that_grow_with_the_quantity_are_amounts():
    products, quantities = [1, 2, 3] * 4, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    lines = pd.DataFrame({"product": products, "quantity": quantities, "price": [5.0] * 12})
    assert not totals_for_prices(lines)
    assert totals_for_prices(lines.assign(price=lines["quantity"] * 5.0))


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["2025-10-23_transactions.csv", "2025-10-24_transactions.csv.gz"], "*_transactions.csv*"),
        (["sales_20260131.csv", "sales_20260201.csv"], "sales_*.csv"),
        (["sales-31.01.2026.csv"], "sales-*.csv"),
        (["orders.csv"], "orders*.csv"),
        (["orders (1).xlsx", "orders (2).xlsx"], "orders (*).xlsx"),
        (["north-1.csv", "south-2.csv"], "*.csv"),
        (["a.csv", "a.csv.gz"], "a*.csv*"),
        (["[new] 1.csv"], "?new? *.csv"),
    ],
)
def test_the_pattern_of_names_finds_them(names, pattern):
    assert pattern_of(names, "*_transactions.csv*") == pattern
    assert pattern_of(names, pattern) == pattern  # which finds them all


# ── all together ───────────────────────────────────────────────────────────────────────────────────
LINES = pd.DataFrame(
    {
        "Rechnungsnr.": ["R1001", "R1001", "R1002", "GS1003"],
        "Artikel-Nr.": ["SKU-01", "VERSAND", "SKU-02", "SKU-01"],
        "Menge": ["1", "1", "3", "-1"],
        "Einzelpreis": ["1.012,50", "4,90", "0,85", "1.012,50"],
        "Kundennummer": ["17", "17", None, "17"],
        "Land": ["Deutschland", "Deutschland", "Österreich", "Deutschland"],
        "Datum": ["31.01.2025", "31.01.2025", "01.02.2025", "02.02.2025"],
        "Bemerkung": [None, "eilt", None, None],
    }
)


def test_guesses_that_differ_from_the_defaults_are_offered():
    guesses = guessed(Profile(LINES, ["Umsatz_2025-02.csv"], TODAY))
    assert settings(config_table(guesses)) == {
        "files": {"pattern": "Umsatz_*.csv"},
        "columns": {
            "invoice": "Rechnungsnr.",
            "stock_code": "Artikel-Nr.",
            "description": "",
            "quantity": "Menge",
            "price": "Einzelpreis",
            "customer_id": "Kundennummer",
            "country": "Land",
            "invoice_date": "Datum",
        },
        "format": {"date": "%d.%m.%Y", "decimal": ",", "thousands": "."},
        "rules": {
            "cancellation": "prefix",
            "cancellation_pattern": "^GS",
            "invoice_pattern": ".",
            "stock_code_pattern": "^[A-Za-z]+-[0-9]+$",
        },
        "shop": {"currency": "€"},
    }
    assert tomllib.loads(config_toml(guesses)) == settings(config_table(guesses))


def test_chosen_settings_are_not_guessed():
    chosen = {"columns.customer_id": "Bemerkung", "format.decimal": ".", "rules.cancellation": "negative"}
    guesses = {guess.setting: guess for guess in guessed(Profile(LINES, today=TODAY, known=chosen))}
    assert {name: guesses[name].value for name in chosen} == chosen
    assert {guesses[name].reason for name in chosen} == {"as chosen"}


@pytest.mark.parametrize(
    ("column", "values", "setting", "value"),
    [
        ("Amount", ["1.5", "2.5", "3.5", "4.5"], "columns.quantity", ""),  # an amount beside a quantity wins over no price
        ("Price", ["1.5", "2.5", "3.5", "4.5"], "columns.quantity", "Quantity"),
        ("Price (€)", ["1.5", "2.5", "3.5", "4.5"], "shop.currency", "€"),
    ],
)
def test_price_and_amount(column, values, setting, value):
    lines = pd.DataFrame({"Customer": ["1", "2", "3", "1"], "Date": ["2025-01-31"] * 4, "Quantity": ["1", "2", "1", "3"]})
    guesses = {guess.setting: guess for guess in guessed(Profile(lines.assign(**{column: values}), today=TODAY))}
    assert guesses[setting].value == value


def test_a_column_of_flags_marks_cancellations_last():
    lines = pd.DataFrame({"Customer": ["1", "2"], "Date": ["2025-01-31"] * 2, "Total": ["1.5", "2.5"], "Storno": ["nein", "ja"]})
    offer = settings(config_table(guessed(Profile(lines, today=TODAY))))
    assert (offer["columns"]["cancelled"], offer["rules"]["cancellation"]) == ("Storno", "flag")
    below = lines.assign(Total=["1.5", "-2.5"])
    assert "cancelled" not in settings(config_table(guessed(Profile(below, today=TODAY))))["columns"]


def test_times_in_utc_belong_to_the_zone_of_most_customers():
    lines = pd.DataFrame(
        {"Client": ["1", "2"], "Date": ["2025-01-31T23:30:00Z"] * 2, "Total": ["1.5", "2.5"], "Pays": ["France"] * 2}
    )
    zone = next(guess for guess in guessed(Profile(lines, today=TODAY)) if guess.setting == "format.timezone")
    assert (zone.value, zone.sure) == ("Europe/Paris", "unsure")
