"""`rfm init` and the file it writes: no text of a shop's file becomes a setting, and what was set before stays."""

from __future__ import annotations

import datetime as dt
import io
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

import rfm.onboarding
from rfm.cli import data
from rfm.cli.options import app
from rfm.landing.files import list_files
from rfm.onboarding import SECTIONS, check, config_table, config_toml, without_empty_sections
from rfm.onboarding.evidence import guesses
from rfm.onboarding.profile import Profile
from rfm.onboarding.questions import Guess, nested
from rfm.settings import EXAMPLE_FILE, load_settings, packaged

TODAY = dt.date(2026, 11, 23)
ROOT = Path(__file__).parents[2]
ORIGINAL = packaged(EXAMPLE_FILE).read_text(encoding="utf-8")
COMMAND = '\n[on_failure]\ncommand = "touch ran"\n'
SHOP = "Beleg;Kunde;Artikel;Menge;Preis;Datum\n" + "".join(
    f"10{i};K{i % 7};A-{i % 5};{1 + i % 3};{i},50;{1 + i % 28:02}.0{1 + i // 28}.2026\n" for i in range(50)
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a shop's exports, and with no setting in the environment."""
    for name in [name for name in os.environ if name.upper().startswith("RFM_")]:
        monkeypatch.delenv(name)
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "Umsatz.csv").write_text(SHOP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*options: str, answers: str = "") -> str:
    """Run `rfm init`; return what it says."""
    shown = CliRunner().invoke(app, ["init", *options], input=answers)
    assert shown.exit_code == 0, shown.output
    return shown.output


def settings_of(found: list[Guess]) -> dict:
    """Return the guesses that differ from the defaults as the settings of a file."""
    return nested((guess.setting, guess.value) for guess in config_table(found))


def filled(text: str) -> dict:
    """Return what a file sets, section by section."""
    return {name: value for name, value in tomllib.loads(text).items() if value != {}}


# ── no text of a file becomes a setting ────────────────────────────────────────────────────────────
NAMES = [f"{section}.{name}" for section, model in SECTIONS.items() for name in type(model).model_fields] + ["landing", "lake"]
texts = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(["\n", "\r", COMMAND, '"', '"""', "'''", "\\", "#", "[", "]", "\x85", "\u2028", "\x00", "\x7f"])
    ).map("".join),
)
set_values = st.dictionaries(st.sampled_from(NAMES), st.tuples(texts, texts), min_size=1, max_size=8)


@given(set_values, st.sampled_from(["sure", "unsure"]))
@example({"shop.name": (COMMAND, COMMAND), "landing": ("\x00\x1b[31m", "\r[lake]")}, "sure")
def test_any_value_and_reason_are_the_settings_offered(values, sure):
    given = [Guess(name, value, sure, reason) for name, (value, reason) in values.items()]
    wanted = settings_of(given)
    assert tomllib.loads(config_toml(given)) == wanted
    assert filled(config_toml(given, ORIGINAL)) == wanted
    assert tomllib.loads(without_empty_sections(config_toml(given, ORIGINAL))) == wanted


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(texts, min_size=6, max_size=6, unique=True),
    st.lists(st.lists(texts, min_size=6, max_size=6), min_size=1, max_size=6),
)
@example(
    ["Kunde", "Datum", "Preis", "Artikel", "Menge", f"Beleg{COMMAND}"],
    [["K1", "2026-01-31", "1.50", f"A{COMMAND}", "1", f"R{COMMAND}"], ["K2", "2026-02-01", "2.50", "\r\n# b", "2", "\x00"]],
)
def test_any_header_and_any_field_are_the_settings_offered(header, rows):
    found = guesses(Profile(pd.DataFrame(rows, columns=header, dtype="string[pyarrow]"), ["a\nb [x].csv", '"""\r.csv']))
    assert filled(config_toml(found, ORIGINAL)) == settings_of(found)


def test_comments_show_what_cannot_be_seen():
    text = config_toml([Guess("shop.currency", "€", "sure", "a\nb\x1b[31m\u202ec\u2028d\x00")])
    assert text.splitlines()[1:] == [r'currency = "€"  # a\nb\x1b[31m\u202ec\u2028d\x00']
    assert len(config_toml([Guess("shop.currency", "€", "sure", "long " * 999)])) < 200


LESS = ("Tisch\nrund", '"]\n[lake', "A\x00\n\x1b]0;x\x07")  # than the others, which would be settings


@pytest.mark.parametrize(
    "code", [f"A-1{COMMAND}", "A\r\nlanding = 'x'", *(pytest.param(code, marks=pytest.mark.long) for code in LESS)]
)
def test_a_product_code_never_leaves_its_comment(home, code):
    lines = [f'10{i};K{i % 7};"{code.replace(chr(34), chr(34) * 2)}";1;{i},50;{1 + i % 28:02}.01.2026' for i in range(40)]
    (home / "exports" / "Umsatz.csv").write_text("\n".join([SHOP.splitlines()[0], *lines]), encoding="utf-8", newline="")
    init("exports", "--yes")
    written = tomllib.loads((home / "rfm.toml").read_text(encoding="utf-8"))
    assert written.keys() <= {"landing", "notebooks", *SECTIONS}
    assert (load_settings().on_failure.command, load_settings().columns.description) == ("", "Artikel")


# ── what was set before stays ──────────────────────────────────────────────────────────────────────
MINE = """# my own remarks
lake = "tables"  # on the large disk

[publish]
customers = true  # we may

[format]
decimal = "."   # as we had it
# thousands = ""                      # or "." "," " " "'"

[recommendations]
"Champions" = "Call them."  # Anna does
"""


def test_forced_init_keeps_comments_and_other_settings(home):
    (home / "rfm.toml").write_text(MINE)
    init("exports", "--yes", "--force")
    text = (home / "rfm.toml").read_text(encoding="utf-8")
    for kept in ("# my own remarks\n", 'lake = "tables"  # on the large disk\n', "customers = true  # we may\n", "# Anna does\n"):
        assert kept in text
    own = load_settings()
    assert (own.lake, own.publish.customers, own.recommendations) == (str(home / "tables"), True, {"Champions": "Call them."})
    assert (own.format.decimal, own.columns.customer_id, own.landing) == (",", "Kunde", str(home / "exports"))


def test_second_init_changes_nothing(home):
    init("exports", "--yes")
    text = (home / "rfm.toml").read_text(encoding="utf-8")
    init("exports", "--yes", "--force")
    assert (home / "rfm.toml").read_text(encoding="utf-8") == text


def test_forced_init_takes_back_what_no_longer_holds(home):
    (home / "rfm.toml").write_text('[files]\nseparator = "|"\npattern = "*.txt"\n[columns]\ndescription = "Text"\n')
    init("exports", "--yes", "--force")
    assert (load_settings().files.separator, load_settings().files.pattern) == ("auto", "Umsatz*.csv")
    assert load_settings().columns.description == "Artikel"


def test_a_new_file_shows_all_other_settings_as_comments(home):
    init("exports", "--yes")
    text = (home / "rfm.toml").read_text(encoding="utf-8")
    for line in ("# [on_failure]", '# when = "failed" ', "# seed = 42 ", 'customer_id = "Kunde" '):
        assert line in text
    assert '# customer_id = "Customer ID"' not in text
    assert len(text.splitlines()) == len(ORIGINAL.splitlines()) + len(type(SECTIONS["baseline"]).model_fields)


def test_a_commented_section_is_opened_when_it_is_set(home):
    text = config_toml([Guess("shop.currency", "€", "sure", "")], '# [shop]\n# name = "x"\n# currency = "£"  # sign\n# [files]\n')
    assert text == '[shop]\n# name = "x"\ncurrency = "€"  # sign\n# [files]'
    kept = config_toml([Guess("shop.currency", "€", "sure", "")], '[rules]\n# [shop]\n# currency = "£"\nrevenue = "net"\n')
    assert tomllib.loads(kept) == {"rules": {"revenue": "net"}, "shop": {"currency": "€"}}


def test_a_line_inside_a_text_is_no_comment():
    text = 'lake = """\n# landing = "x"\n"""\n'
    assert tomllib.loads(config_toml([Guess("landing", "here", "sure", "")], text)) == {
        "lake": '# landing = "x"\n',
        "landing": "here",
    }


# ── where it goes, the shop's name, and what comes next ────────────────────────────────────────────
def test_init_in_a_clone_leaves_every_tracked_file_alone(home, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    clone = home / "clone"
    clone.mkdir()
    for name in (".gitignore", "rfm.example.toml"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(clone)
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "state"]):
        subprocess.run([*git, *step], check=True, cwd=clone)
    init("../exports", "--yes")
    assert (clone / "rfm.toml").is_file()
    assert subprocess.run(["git", "status", "--porcelain"], capture_output=True, cwd=clone, check=True).stdout == b""


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop-2025", "Our shop"),
        ("corner-shop_exports", "Corner"),
        pytest.param("exports", "Our shop", marks=pytest.mark.long),
        pytest.param("daily_sales", "Our shop", marks=pytest.mark.long),
        pytest.param("müllers laden", "Müllers laden", marks=pytest.mark.long),
        pytest.param("x", "Our shop", marks=pytest.mark.long),
    ],
)
def test_name_of_the_shop_is_that_of_the_exports_if_it_is_one(home, folder, name):
    (home / "exports").rename(home / folder)
    init(folder, "--yes")
    assert load_settings().shop.name == name


def test_init_asks_for_the_name_of_the_shop(home):
    said = init("exports", answers="Ball & Dose\n" + "\n" * 30)
    assert "Name of the shop [Our shop]: " in said
    assert load_settings().shop.name == "Ball & Dose"
    assert "Name of the shop [Ball & Dose]" in init("exports", "--force", answers="\n" * 30)
    assert load_settings().shop.name == "Ball & Dose"


def test_last_line_is_the_command_that_works(home, monkeypatch):
    assert init("exports", "--yes").splitlines()[-1] == "Next: rfm daily"
    (home / "Makefile").write_text("daily:\n\techo of another project\n")
    assert init("exports", "--yes", "--force").splitlines()[-1] == "Next: rfm daily"
    monkeypatch.setattr(rfm.onboarding, "__file__", str(home / "rfm" / "onboarding" / "__init__.py"))  # this folder is the clone
    assert init("exports", "--yes", "--force").splitlines()[-1] == "Next: make daily"


def test_files_beside_their_reports_stay_the_only_ones(home):
    for name in ("east.csv", "west.csv"):
        (home / name).write_text(SHOP, encoding="utf-8")
    (home / "exports" / "Umsatz.csv").unlink()
    said = init("east.csv", "west.csv", "--yes")
    assert "put the files into a folder of their own" in said
    assert load_settings().files.pattern == "*.csv"
    made = home / "reports" / "2026-02-22" / "exports"
    made.mkdir(parents=True)
    (made / "customers.csv").write_text("CustomerID\n1\n")
    (home / "reports" / "runs.json").write_text("[]")
    assert [file.source_file for file in list_files(str(home), "*.csv")] == ["east.csv", "west.csv"]
    assert check(["."], TODAY).place.names == ["east.csv", "west.csv"]


# ── how far it is ──────────────────────────────────────────────────────────────────────────────────
def test_progress_is_drawn_on_a_terminal_alone(home, monkeypatch):
    shown = CliRunner().invoke(app, ["check", "exports"])
    assert shown.stderr == ""
    drawn = io.StringIO()
    monkeypatch.setattr(data, "errors", Console(file=drawn, force_terminal=True, width=100))
    told: list[tuple[str, int, int | None]] = []
    with data._progress() as tell:
        check(["exports"], TODAY, tell=lambda *step: told.append(step) or tell(*step))
    assert told[:4] == [("sampling files", 0, 1), ("reading files", 0, 1), ("reading files", 1, 1), ("cleaning lines", 0, None)]
    assert "adding up sales" in drawn.getvalue()


def test_first_sign_of_life_comes_before_heavy_imports(home):
    program = """
import sys
from rich.console import Console
from rfm.cli import app, data
class Screen:
    seen = None
    def write(self, text):
        if self.seen is None and "starting" in text:
            self.seen = sorted({"polars", "pandas", "deltalake", "pyarrow"} & sys.modules.keys())
        return len(text)
    def flush(self):
        pass
screen = Screen()
data.errors = Console(file=screen, force_terminal=True)
app(["check", "exports"], standalone_mode=False)
print(screen.seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# ── check says good with status 0, and no sample is mixed with a shop's files ───────────────────
def test_check_ends_with_0_where_it_says_good(home):
    first = CliRunner().invoke(app, ["check", "exports"])
    assert (first.exit_code, "Good with these settings" in first.output) == (0, True)
    init("exports", "--yes")
    then = CliRunner().invoke(app, ["check", "exports"])
    assert (then.exit_code, "Good as it is" in then.output) == (0, True)
    (home / "exports" / "Umsatz.csv").write_text(SHOP + "1;K1;A-1;x;x;31.01.2026\n" * 20, encoding="utf-8")
    odd = CliRunner().invoke(app, ["check", "exports"])
    assert (odd.exit_code, "Good" in odd.output) == (1, False)


@pytest.mark.parametrize(
    "told", ['landing = "exports"\n', '[files]\npattern = "Umsatz*.csv"\n', '[columns]\ncustomer_id = "Kunde"\n']
)
def test_no_sample_where_settings_are_for_a_shop(home, told):
    (home / "rfm.toml").write_text(told)
    assert CliRunner().invoke(app, ["sample", "--if-empty"]).exit_code == 0
    assert [path.name for path in home.rglob("*") if path.is_file() and path.name != "rfm.toml"] == ["Umsatz.csv"]


def test_no_sample_beside_files_of_any_name(home):
    (home / "exports").rename(home / "landing")
    (home / "data").mkdir()
    (home / "landing").rename(home / "data" / "landing")
    assert CliRunner().invoke(app, ["sample", "--if-empty"]).exit_code == 0
    assert [path.name for path in (home / "data" / "landing").iterdir()] == ["Umsatz.csv"]
