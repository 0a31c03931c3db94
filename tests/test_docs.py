"""Commands, links, settings and code on all pages are true. Run this file to write the reference again."""

from __future__ import annotations

import datetime as dt
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main

import rfm
from rfm.cli.options import app
from rfm.pipeline.chain import STAGES
from rfm.settings import EXAMPLE_FILE, PATHS, Settings, load_settings
from tests.reference import callables, described, example, page, signature

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
LOCK, ENVIRONMENT = ((ROOT / ".ci" / name).read_text(encoding="utf-8").replace("${", "$$") for name in ("lock", "environment"))
TARGETS = dict(re.findall(r"^([a-z-]+):.*## (.*)$", MAKEFILE, re.MULTILINE))
PAGES = {  # every page that people read
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
    + ("notebooks/README.md", "notebooks/REFERENCE.md")
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]
VERBS = typer.main.get_command(app).commands
OPTIONS = {name for option in typer.main.get_command(app).params for name in option.opts}  # of `rfm` itself


REFERENCE, DESCRIPTION = ROOT / "notebooks" / "REFERENCE.md", ROOT / "rfm" / "schema.json"
EXAMPLE = ROOT / EXAMPLE_FILE


# ── pages as data: their commands, blocks and links ────────────────────────────────────────────────
def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, on all pages."""
    return [code for text in PAGES.values() for found, code in BLOCK.findall(text) if found == language]


def commands(program: str) -> list[str]:
    """Return every command of a program that a page shows, in a code block or in a sentence."""
    spans = [span for text in PAGES.values() for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", BLOCK.sub("", text))]
    lines = [line for text in PAGES.values() for _, code in BLOCK.findall(text) for line in code.splitlines()]
    found = (re.search(rf"(?:^|[\s/=]){program} (.+)", line) for line in [*spans, *lines])
    return sorted({re.split(r"\s(?:#|>>|\||&&)", match[1])[0].strip() for match in found if match})


def slug(heading: str) -> str:
    """Return a heading's anchor."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(page: str) -> list[tuple[str, str]]:
    """Return file and anchor of every local link of a page; the file is empty for a link within the page."""
    found = re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", PAGES[page]))
    return [(path, anchor) for path, _, anchor in (link.partition("#") for link in found if "://" not in link)]


def leads_somewhere(page: str, path: str, anchor: str) -> bool:
    """Return True if a link's file exists and contains its heading."""
    target = (ROOT / page).parent / path if path else ROOT / page
    if not target.exists() or not anchor:
        return target.exists()
    text = BLOCK.sub("", target.read_text(encoding="utf-8"))
    return anchor in {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def test_reference_is_made_of_the_code():
    assert PAGES["notebooks/REFERENCE.md"] == page(), "run `python tests/test_docs.py` to write it anew"


def test_description_of_the_tables_is_made_of_the_models():
    assert DESCRIPTION.read_text(encoding="utf-8") == described(), "run `python tests/test_docs.py` to write it anew"


def test_signatures_in_help_are_short():
    """JupyterLab shows the signature, with the repr of each default, above the help text."""
    found = dict(callables())
    defaults = {name: [one.default for one in inspect.signature(value).parameters.values()] for name, value in found.items()}
    assert [name for name, value in found.items() if len(signature(value)) > 200] == []
    assert [name for name, given in defaults.items() for one in given if not inspect.isclass(one) and len(repr(one)) > 40] == []
    assert {"rfm.clean", "Lake.state"} < set(found)


def test_command_blocks_hold_only_known_programs():
    known = {"make", "rfm", ".venv/bin/rfm", ".venv/bin/pre-commit", "cd", "git", "pip", "export", "source"}
    known |= {"systemctl", "chromium"}
    lines = [line for code in blocks("bash") for line in code.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if line.split()[0] not in known] == []


@pytest.mark.parametrize("line", commands("make"))
def test_make_commands_on_the_pages_are_targets(line):
    words = shlex.split(line)
    assert {word for word in words if "=" not in word} <= TARGETS.keys()
    given = [word.split("=")[0] for word in words if "=" in word]
    assert [name for name in given if not re.search(rf"\$\({name}\)|\$\${name}\b", f"{MAKEFILE}{LOCK}{ENVIRONMENT}")] == []


@pytest.mark.parametrize("line", commands("rfm"))
def test_rfm_commands_on_the_pages_are_valid(line):
    verb, *options = shlex.split(line)
    if options:
        VERBS[verb].make_context(verb, options)  # raises for an option that does not exist
    assert verb in VERBS.keys() | OPTIONS


@pytest.mark.parametrize("text", blocks("toml"))
def test_settings_on_the_pages_are_valid(text, tmp_path, monkeypatch):
    (tmp_path / "rfm.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_settings()


def test_export_of_the_how_to_is_read_correctly(tmp_path, monkeypatch):
    header = re.search(r"`(Rechnungsnr;[\w;]+)`", PAGES["notebooks/README.md"])[1]
    (tmp_path / "rfm.toml").write_text(next(text for text in blocks("toml") if "Rechnungsnr" in text), encoding="utf-8")
    (tmp_path / "data" / "landing").mkdir(parents=True)
    file = tmp_path / "data" / "landing" / "2026-01-31_verkauf.csv"
    file.write_text(f"{header}\n536365;85123A;2;1.234,50;17850;31.01.2026\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    found = rfm.list_files(settings.landing, settings.files.pattern)
    [(_, rows)] = rfm.read_files(settings.landing, found, dt.date(2026, 1, 31), columns=settings.columns)
    silver, _ = rfm.clean(rows.to_pandas(), dialect=settings.dialect)
    assert rfm.show(silver[["CustomerID", "TotalPrice", "InvoiceDate"]]).to_numpy().tolist() == [
        ["17850", "2,469.00", "2026-01-31"]
    ]


def test_a_rule_or_segment_is_added_in_one_place(tmp_path):
    shutil.copytree(ROOT / "rfm", tmp_path / "rfm", ignore=shutil.ignore_patterns("__pycache__"))
    own = re.search(r"own = (Expectation\(.*\))\n", PAGES["notebooks/README.md"])[1]
    rules, segments = tmp_path / "rfm/analysis/cleaning.py", tmp_path / "rfm/analysis/segments/rules.py"
    rules.write_text(rules.read_text().replace("\n)\n\nSEVERITIES", f"\n    {own},\n)\n\nSEVERITIES"))
    segments.write_text(segments.read_text().replace('"New Customers"', '"Newcomers"'))
    program = """if True:
        import pandas as pd, rfm
        line = dict(Invoice="489434", StockCode="85048", Description="BALL", Quantity="51", Price="1", CustomerID="13085",
                    Country="EIRE", InvoiceDate="2025-06-26", _rescued_data=None, source_file="a", processing_date="2025-06-26")
        severities = rfm.quality.severities(rfm.SEVERITIES, {"plausible_quantity": "drop"})
        silver, quarantine = rfm.clean(pd.DataFrame([line]), severities=severities)
        results = rfm.quality.expectation_results(rfm.judge(pd.DataFrame([line])), silver, severities)
        print(results.set_index("expectation").loc["plausible_quantity", "failed"], *quarantine["failed_expectations"])
        name = rfm.segments.segment_of(1, 1, 1, {"Monetary": 2, "Frequency": 2, "Recency": 2})
        print(name, rfm.segments.TIER_OF[name].replace(" ", "_"), len(rfm.segments.recommended_actions({})[name]) > 9)
    """
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    said = done.stdout.split() if done.returncode == 0 else pytest.fail(done.stderr)
    assert said == ["1", "plausible_quantity", "Newcomers", "growth_and_new", "True"]


@pytest.mark.whole
def test_a_column_of_the_files_is_added_in_three_places(tmp_path):
    shutil.copytree(ROOT / "rfm", tmp_path / "rfm", ignore=shutil.ignore_patterns("__pycache__"))
    date, text = "    invoice_date: ", "    Channel: pl.String = Field(nullable=True, description='where it was sold')\n    "
    changes = {
        "dialect.py": {date: f'    channel: str = _raw("Channel", "sales channel", "")\n{date}'},
        "schema/lines.py": {"    rescued: ": f"{text}rescued: ", "    IsCancellation: ": f"{text}IsCancellation: "},
        "onboarding/vocabulary.toml": {"currency = ": 'channel = "channel kanal"\ncurrency = '},
    }
    for name, changed in changes.items():
        file = tmp_path / "rfm" / name
        for old, new in changed.items():
            file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    describe = "from tests.reference import described; open('rfm/schema.json', 'w', encoding='utf-8').write(described())"
    program = """if True:
        import rfm
        from rfm.landing.csv import parse
        from rfm.onboarding.columns import match
        header = "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate"
        line = "489434,85048,BALL,12,6.95,13085,EIRE,2025-06-26"
        for end, value in ((",Channel", ", web "), ("", "")):
            silver, _ = rfm.clean(parse(f"{header}{end}\\n{line}{value}\\n".encode(), "x.csv").to_pandas())
            print(silver["Channel"].fillna("none").item())
        print(match({"Kanal": {"web": 3}})["channel"].sure)
    """
    surroundings = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for code in (describe, program):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["web", "none", "sure"]


@pytest.mark.parametrize("code", [code for code in blocks("python") if ">>>" not in code and "RFM_BRIEF" not in code])
def test_python_of_the_pages_runs(code):  # that of a hook needs a brief: tests/report/test_brief.py
    exec(code, {})


def test_readme_lists_every_command():
    named = re.search(r"The `rfm` command: (.*); each has", README).group(1)
    assert set(re.findall(r"`rfm (\w+)`", named)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_and_valid_examples(verb):
    assert VERBS[verb].help
    examples = re.findall(r"`(rfm [^`]*)`", VERBS[verb].epilog)
    assert examples
    for line in examples:
        VERBS[verb].make_context(verb, shlex.split(line)[2:])


def test_newcomer_runs_commands_that_the_readme_has():
    stranger = (ROOT / ".ci" / "stranger").read_text(encoding="utf-8")
    headings = set(re.findall(r"\bblock '(.*?)'", stranger))
    assert headings
    assert [name for name in headings if f"\n{name}\n" not in f"\n{README}" or "```bash" not in README.split(name, 1)[1]] == []


def test_printed_stages_of_the_readme_are_the_stages():
    printed = re.findall(r"^✓ (\w+) +(.*?) +[\d.]+ s$", README, re.MULTILINE)
    assert printed == [(stage.name, stage.title) for stage in STAGES]


def test_the_road_lists_every_notebook():
    road = re.findall(r"^\| `(\w+)` \|", section_after("## The road"), re.MULTILINE)
    assert road == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]_*.ipynb"))


def test_picture_of_the_road_names_every_stage():
    drawn = re.findall(r'class="n"[^>]*>([\w ]+)<', (ROOT / "notebooks" / "road.svg").read_text(encoding="utf-8"))
    assert drawn == ["landing", *(stage.name.replace("_", " ") for stage in STAGES)]


def section_after(heading: str) -> str:
    """Return the README's text under a heading."""
    return README.split(heading, 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert [link for link in links(page) if not leads_somewhere(page, *link)] == []


def test_readme_leads_to_every_page():
    reached = {path for path, _ in links("README.md")}
    assert PAGES.keys() - reached == {"README.md"}


def test_architecture_page_names_every_room_and_stage():
    page = PAGES["ARCHITECTURE.md"]
    rooms = {path.name for path in (ROOT / "rfm").iterdir() if (path / "__init__.py").is_file()}
    base = {path.stem for path in (ROOT / "rfm").glob("*.py")} - {"__init__"}
    assert {name for name in rooms | base if f"`{name}`" not in page} == set()
    assert re.findall(r"^\| `(\d_\w+)` \|", page, re.MULTILINE) == [stage.name for stage in STAGES]


def test_readme_is_short():
    assert len(BLOCK.sub("", README).split()) <= 900


def test_names_of_tests_are_short():
    found = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    ]
    assert [name for name in found if len(name) > 60] == []


def test_files_that_the_pages_name_exist():
    named = re.findall(r"`((?:rfm|tests|notebooks)/[\w/.]+)`", "".join(PAGES.values()))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE) == list(TARGETS)
    assert set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE).group(1).split()) == set(TARGETS)


def test_make_lets_python_store_bytecode():
    """With PYTHONDONTWRITEBYTECODE, every process would compile all libraries again, which takes ten seconds."""
    command = ["make", "--silent", "--eval", "show: ; @env", "show"]
    surroundings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    shown = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True).stdout
    assert "PATH=" in shown
    assert "PYTHONDONTWRITEBYTECODE" not in shown


def test_shop_file_lists_every_setting_with_its_default():
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text == example(), "run `python tests/test_docs.py` to write it anew"
    opened = tomllib.loads(re.sub(r"^# (?=[\w\"]+ = )", "", text, flags=re.MULTILINE))
    assert {name: opened[name] for name in PATHS} == PATHS
    for name in ("shop", "on_failure", "files", "rules", "clusters", "cutoffs"):
        assert opened[name] == Settings.model_fields[name].default.model_dump(mode="json")
    assert set(opened) == set(Settings.model_fields) - {"date"}


if __name__ == "__main__":
    if DESCRIPTION.read_text(encoding="utf-8") != (now := described()):
        DESCRIPTION.write_text(now, encoding="utf-8")
        os.execv(sys.executable, [sys.executable, *sys.argv])  # what is made below is made of the tables that this process read
    REFERENCE.write_text(page(), encoding="utf-8")
    EXAMPLE.write_text(example(), encoding="utf-8")
