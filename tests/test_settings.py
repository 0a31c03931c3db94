"""Settings: precedence of the sources, relative paths, and one-line errors."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from rfm.dialect import NEUTRAL, Columns, Dialect, Format, Rules
from rfm.errors import SettingsError
from rfm.settings import EXAMPLE_FILE, PATHS, Settings, absolute, artifacts_dir, load_settings, packaged, shop_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without settings in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(folder: Path, text: str) -> Path:
    """Write an rfm.toml."""
    (folder / "rfm.toml").write_text(text, encoding="utf-8")
    return folder / "rfm.toml"


def refusal(**given: object) -> str:
    """Return the one-line error for wrong settings."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert caught.value.exit_status == 2
    return message


# ── who wins ───────────────────────────────────────────────────────────────────────────────────────
def test_the_defaults_are_those_of_the_specification(home):
    settings = load_settings()
    assert settings.date is None
    paths = {name: str(home / path) for name, path in PATHS.items()} | {"notebooks": str(packaged("notebooks"))}
    assert {name: getattr(settings, name) for name in PATHS} == paths
    assert (settings.clusters.k_min, settings.clusters.k_max, settings.clusters.iqr_factor) == (2, 12, 1.5)
    assert (settings.shop.name, settings.shop.currency, settings.recommendations) == ("Online Retail", "£", {})
    assert settings.rules.max_dropped_share == 0.25
    assert settings.files.pattern == "*_transactions.csv*"


def test_path_from_call_then_environment_then_file(home, monkeypatch):
    write(home, 'lake = "from_file"')
    assert load_settings().lake == str(home / "from_file")
    monkeypatch.setenv("RFM_LAKE", "from_environment")
    assert load_settings().lake == str(home / "from_environment")
    assert load_settings(lake="from_call").lake == str(home / "from_call")


def test_nested_value_from_call_then_environment_then_file(home, monkeypatch):
    write(home, "[clusters]\nseed = 1\n")
    assert load_settings().clusters.seed == 1
    monkeypatch.setenv("RFM_CLUSTERS__SEED", "2")
    assert load_settings().clusters.seed == 2
    assert load_settings(clusters={"seed": 3}).clusters.seed == 3


def test_sources_are_merged_value_by_value(home, monkeypatch):
    write(home, '[clusters]\nseed = 1\nn_init = 5\n[shop]\nname = "Corner"\n')
    monkeypatch.setenv("RFM_CLUSTERS__SEED", "2")
    settings = load_settings(clusters={"k_max": 8})
    assert (settings.clusters.seed, settings.clusters.n_init, settings.clusters.k_max, settings.clusters.k_min) == (2, 5, 8, 2)
    assert (settings.shop.name, settings.shop.currency) == ("Corner", "£")


def test_one_path_in_the_file_keeps_the_other_defaults(home):
    write(home, 'landing = "arrivals"')
    assert load_settings().landing == str(home / "arrivals")
    assert load_settings().lake == str(home / "data/lake")


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_values_of_the_call_count_as_not_given(home, empty):
    write(home, 'date = 2025-07-01\nlake = "tables"')
    settings = load_settings(date=empty, lake=empty)
    assert (settings.date, settings.lake) == (dt.date(2025, 7, 1), str(home / "tables"))


def test_empty_values_of_the_file_count_as_not_given(home):
    write(home, 'date = ""\nlake = ""\n[shop]\ncurrency = ""\n')
    assert (load_settings().date, load_settings().lake) == (None, str(home / "data/lake"))
    assert load_settings().shop.currency == ""  # a shop may want no sign


def test_empty_values_of_the_environment_count_as_not_given(home, monkeypatch):
    write(home, 'lake = "tables"')
    monkeypatch.setenv("RFM_LAKE", "")
    monkeypatch.setenv("RFM_DATE", "")
    assert (load_settings().lake, load_settings().date) == (str(home / "tables"), None)


@pytest.mark.parametrize("given", ["2025-10-23", dt.date(2025, 10, 23)])
def test_a_date_is_a_date_or_its_text(given):
    assert load_settings(date=given).date == dt.date(2025, 10, 23)


def test_a_date_from_the_environment(monkeypatch):
    monkeypatch.setenv("RFM_DATE", "2025-10-23")
    assert load_settings().date == dt.date(2025, 10, 23)


def test_a_section_shows_what_is_not_the_default():
    own = Dialect(columns=Columns(price="Preis"), rules=Rules(revenue="net"))
    assert (repr(Dialect()), repr(own)) == ("Dialect()", "Dialect(columns=Columns(price='Preis'), rules=Rules(revenue='net'))")


def test_the_shops_own_recommendations(home):
    write(home, '[recommendations]\n"Champions" = "Call them."\n')
    assert load_settings().recommendations == {"Champions": "Call them."}


def test_the_shops_own_cut_offs(home):
    write(home, "[cutoffs]\nmonetary = [1, 3, 9]\nrecency = 0.5\n")
    cutoffs = load_settings().cutoffs
    assert (cutoffs.monetary, cutoffs.frequency, cutoffs.recency) == ((1, 3, 9), (1, 2), 0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"monetary": [1, 1, 4]}, "setting cutoffs.monetary: must rise from one multiple to the next, found [1, 1, 4]"),
        ({"frequency": [2]}, "setting cutoffs.frequency.1: Field required, found [2]"),
        ({"recency": 0}, "setting cutoffs.recency: Input should be greater than 0, found 0"),
    ],
)
def test_cut_offs_that_do_not_rise_are_refused(given, said):
    assert refusal(cutoffs=given) == said


# ── where relative paths start ─────────────────────────────────────────────────────────────────────
def test_relative_paths_start_where_they_are_given(home, monkeypatch):
    write(home, 'lake = "tables"')
    below = home / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.setenv("RFM_REPORTS", "pages")
    settings = load_settings(notebooks="mine")
    assert settings.lake == str(home / "tables")
    assert settings.landing == str(home / "data/landing")
    assert settings.reports == str(below / "pages")
    assert settings.notebooks == str(below / "mine")


def test_the_nearest_file_counts(home, monkeypatch):
    write(home, "")
    below = home / "a"
    below.mkdir()
    assert shop_file(below) == home / "rfm.toml"
    near = write(below, "")
    monkeypatch.chdir(below)
    assert shop_file() == near


def test_paths_start_at_the_example_without_rfm_toml(home, monkeypatch):
    (home / "rfm.example.toml").write_text("[clusters]\nseed = 7\n")
    below = home / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)  # a notebook by hand in a fresh clone
    (below / "1_bronze.ipynb").touch()
    assert {name: getattr(load_settings(), name) for name in PATHS} == {name: str(home / path) for name, path in PATHS.items()}
    assert (load_settings().clusters.seed, shop_file()) == (42, None)  # an example sets nothing
    assert artifacts_dir("main.shop") == str(home / "data" / "main.shop")


def test_rfm_toml_above_a_project_is_ignored(home, monkeypatch):
    write(home, "[clusters]\nseed = 1\n")
    clone = home / "clone"
    clone.mkdir()
    (clone / "rfm.example.toml").touch()
    monkeypatch.chdir(clone)
    assert (load_settings().clusters.seed, load_settings().lake) == (42, str(clone / "data/lake"))


def test_the_commented_original_is_found():
    assert packaged(EXAMPLE_FILE).read_bytes() == (Path(__file__).parents[1] / "rfm.example.toml").read_bytes()


def test_a_folder_named_rfm_toml_is_ignored(tmp_path):
    (tmp_path / "rfm.toml").mkdir()
    assert shop_file(tmp_path) is None


@pytest.mark.parametrize("url", ["s3://shop/daily sales", "s3://shop/daily sales/", "memory://x"])
def test_urls_lose_only_their_last_slash(url):
    assert absolute(url) == url.rstrip("/")
    assert load_settings(landing=url).landing == url.rstrip("/")


def test_absolute_paths(home):
    assert absolute("/a/../b") == "/b"
    assert absolute("x", Path("/y")) == "/y/x"
    assert absolute("~/x") == str(Path.home() / "x")
    assert absolute(".") == str(home)


# ── what is refused ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lakes": "x"}, ["lakes"]),
        ({"clusters": {"sed": 1}}, ["clusters.sed: there is no such setting; did you mean clusters.seed?"]),
        ({"date": "2025-13-01"}, ["date", "2025-13-01"]),
        ({"date": "2025-02-30"}, ["date", "2025-02-30"]),
        ({"date": "yesterday"}, ["date: must be a date, YYYY-MM-DD", "yesterday"]),
        ({"clusters": {"seed": "many"}}, ["clusters.seed", "many"]),
        ({"clusters": {"seed": -1}}, ["clusters.seed", "-1"]),
        ({"clusters": {"k_min": 5, "k_max": 6}}, ["clusters", "at least k_min + 2"]),
        ({"clusters": {"k_min": 1}}, ["clusters.k_min"]),
        ({"clusters": 3}, ["clusters", "3"]),
        ({"rules": {"max_dropped_share": 25}}, ["rules.max_dropped_share", "25"]),
        ({"rules": {"stock_code_pattern": "("}}, ["rules.stock_code_pattern", "not a regular expression"]),
        ({"landing": 5}, ["landing", "5"]),
        ({"recommendations": {"Champions": 5}}, ["recommendations.Champions", "5"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(given, said):
    message = refusal(**given)
    assert all(word in message for word in said), message


def test_all_wrong_settings_are_named_at_once():
    message = refusal(date="soon", clusters={"seed": "many"})
    assert "setting date" in message
    assert "setting clusters.seed" in message


@pytest.mark.parametrize(("name", "value"), [("RFM_DATE", "soon"), ("RFM_CLUSTERS__SEED", "many"), ("RFM_CLUSTERS", "{")])
def test_a_wrong_value_of_the_environment_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert name.removeprefix("RFM_").replace("__", ".").lower() in refusal()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("landing = ", "rfm.toml"),
        ("[clusters\nseed = 1", "rfm.toml"),
        ("seed = 1\n", "seed"),
        ("[cluster]\nseed = 1\n", "cluster"),
        ("date = 2025-02-30\n", "rfm.toml"),
        ("date = 'soon'\n", "date"),
        ("lake = ['a']\n", "setting lake: Input should be a valid string, found ['a']"),
        ("reports = 5\n", "setting reports: Input should be a valid string, found 5"),
        ("[clusters]\nseed = 'many'\n", "clusters.seed"),
    ],
)
def test_a_wrong_file_is_named(home, text, said):
    write(home, text)
    assert said in refusal()


def test_a_file_that_is_not_utf8_is_named(home):
    (home / "rfm.toml").write_bytes(b'[shop]\ncurrency = "\xa3"\n')
    assert "rfm.toml" in refusal()


def test_settings_cannot_be_changed():
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.lake = "other"
    with pytest.raises(ValidationError):
        settings.clusters.seed = 7


def test_settings_of_the_same_sources_are_equal():
    assert load_settings() == load_settings()
    assert isinstance(load_settings(), Settings)


# ── what lines mean ────────────────────────────────────────────────────────────────────────────────
OWN = {"invoice": "Order", "customer_id": "Buyer"}


def test_own_columns_get_rules_that_say_nothing():
    rules = load_settings(columns=OWN).rules
    assert {name: getattr(rules, name) for name in NEUTRAL} == NEUTRAL
    assert rules.model_fields_set == set()
    assert load_settings(columns={"hash_customers": True}).rules == Rules()


def test_rules_that_are_named_stay_as_they_are():
    rules = load_settings(columns=OWN, rules={"stock_code_pattern": "^TEA", "cancellation": "none"}).rules
    assert (rules.stock_code_pattern, rules.cancellation, rules.invoice_pattern) == ("^TEA", "none", ".")
    assert rules.model_fields_set == {"stock_code_pattern", "cancellation"}


@pytest.mark.parametrize(
    ("pattern", "discount", "other", "wanted"),
    [
        ("^TEA", "^D", "", "^TEA|^DISCOUNT$"),
        ("", "^D", "", ""),
        ("", "", "post", "[^~]"),
        ("^TEA", "^D", "post", "^TEA|^DISCOUNT$"),
        (".", "^D", "post", "[^~]"),
    ],
)
def test_product_codes_hold_discounts_but_no_other_lines(pattern, discount, other, wanted):
    given = {"stock_code_pattern": pattern, "discount_pattern": discount, "other_lines": other}
    rules = load_settings(columns=OWN, rules=given).rules
    assert rules.stock_code_pattern == wanted
    assert load_settings(columns=OWN, rules=given | {"stock_code_pattern": wanted}).rules == rules


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rules": {"sold": ["paid"]}}, "rules: sold, not_sold or refunds, and the column of their values"),
        ({"columns": {"status": "State"}}, "go together"),
        ({"columns": {"status": "S"}, "rules": {"sold": ["Paid"], "not_sold": [" paid"]}}, "have 'paid' twice"),
        ({"columns": {"currency": "Cur"}}, "currencies: the rates and columns.currency go together"),
        ({"currencies": {"EUR": 1}}, "go together"),
        ({"columns": {"currency": "Cur"}, "currencies": {"EUR": 0}}, "currencies.EUR: Input should be greater than 0"),
        ({"columns": {"status": "Invoice"}}, "invoice and status have the same name"),
        ({"format": {"also": ["%Y-%m-%d"]}}, "holds a pattern twice, or that of format.date"),
        ({"format": {"also": ["%d.%m"]}}, "must hold a year"),
        ({"format": {"months": "xx"}}, "is not one of en, de"),
        ({"format": {"price_decimals": 7}}, "less than or equal to 6"),
        ({"rules": {"discount_pattern": "("}}, "is not a regular expression"),
        ({"rules": {"other_lines": "post", "stock_code_pattern": "^[^0-9]"}}, "must not match ~"),
        ({"customers": {"country_prefix": "+49"}}, "country_prefix"),
    ],
)
def test_settings_of_lines_that_contradict_are_refused(given, said):
    assert said in refusal(**given)


def test_further_columns_have_an_order():
    columns = Columns(store="Till", status="State", cancelled="Off")
    assert columns.extras == {"cancelled": "Off", "status": "State", "store": "Till"}
    assert columns.own
    assert columns.headers == Columns().headers


@pytest.mark.parametrize("date", ["serial", "epoch", "epoch_ms", "%G-W%V"])
def test_dates_that_are_numbers_are_formats_too(date):
    assert Format(date=date, also=["%d.%m.%Y %H:%M"]).also == ("%d.%m.%Y",)


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("quality", "days", 10**10),
        ("clusters", "seed", 2**32),
        ("clusters", "n_init", 10**9),
        ("care", "retain_days", 10**9),
        *(("history", "first", days) for days in ([0], [-1], [10**6], 7, "week")),
        ("quality", "z", float("inf")),
        ("files", "settle_seconds", float("nan")),
        *(("files", "encoding", codec) for codec in ("idna", "punycode", "base64", "rot13", "undefined", "unicode_escape")),
        *(("rules", "stock_code_pattern", pattern) for pattern in ("(?<=1)2", "(?<!1)2", "(?=x)", r"(a)\1")),
        ("exclusions", "test_pattern", "(?<=1)2"),
    ],
)
def test_a_value_that_no_run_can_use_is_refused(section, name, value):
    with pytest.raises(SettingsError, match=f"setting {section}.{name}: "):
        load_settings(**{section: {name: value}})
