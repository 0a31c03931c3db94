"""README, CONTRIBUTING and help say what is true. Run this file to write README's tables anew."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main

from rfm.run.cli import app
from rfm.run.stages import STAGES
from rfm.schema import TABLES
from rfm.settings import PATHS, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = dict(re.findall(r"^([a-z-]+):.*## (.*)$", MAKEFILE, re.MULTILINE))
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line]
VERBS = typer.main.get_command(app).commands


def tables() -> str:
    """Return README's table of tables, made from the contracts."""
    rows = [f"| `{table.name}` | {table.grain} | {_columns(table)} |" for table in TABLES.values()]
    return "\n".join(["| table | one row is | columns |", "|---|---|---|", *rows])


def _columns(table) -> str:
    keys = set(table.key)
    return ", ".join(f"**{name}**" if name in keys else name for name in table.names)


def targets() -> str:
    """Return README's table of targets, made from the Makefile's comments."""
    return "\n".join(
        ["| target | what it does |", "|---|---|", *(f"| `make {name}` | {text} |" for name, text in TARGETS.items())]
    )


MADE = {"tables": tables, "targets": targets}


def section(name: str, text: str = README) -> str:
    """Return what stands between the markers of a made section."""
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL).group(1).strip()


@pytest.mark.parametrize("name", MADE)
def test_tables_of_the_readme_are_those_of_the_code(name):
    assert section(name) == MADE[name]().strip(), "run `python tests/test_docs.py` to write it anew"


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_make_commands_of_the_readme_are_targets(line):
    words = shlex.split(line)[1:]
    assert [word for word in words if "=" not in word][0] in TARGETS
    assert all(f"$({word.split('=')[0]})" in MAKEFILE for word in words if "=" in word)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("rfm ")])
def test_rfm_commands_of_the_readme_are_understood(line):
    _, verb, *options = shlex.split(line)
    VERBS[verb].make_context(verb, options)  # raises for an option that does not exist


def test_verbs_of_the_readme_are_all_verbs():
    named = re.search(r"The `rfm` command: (.*); each has", README).group(1)
    assert set(re.findall(r"`rfm (\w+)`", named)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_an_example_that_is_understood(verb):
    assert VERBS[verb].help
    examples = re.findall(r"`(rfm [^`]*)`", VERBS[verb].epilog)
    assert examples
    for example in examples:
        VERBS[verb].make_context(verb, shlex.split(example)[2:])


def test_printed_stages_of_the_readme_are_the_stages():
    printed = re.findall(r"^✓ (\w+) +(.*?) +[\d.]+ s$", README, re.MULTILINE)
    assert printed == [(stage.name, stage.title) for stage in STAGES]


def test_the_road_lists_every_notebook():
    road = re.findall(r"^\| `(\w+)` \|", section_after("## The road"), re.MULTILINE)
    assert road == sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]_*.ipynb"))


def section_after(heading: str) -> str:
    """Return README's text under a heading."""
    return README.split(heading, 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_files_that_the_pages_name_exist():
    named = re.findall(r"`((?:rfm|tests|notebooks)/[\w/.]+)`", README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z-]+) ", shown, re.MULTILINE) == list(TARGETS)
    assert set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE).group(1).split()) == set(TARGETS)


def test_shop_file_lists_every_setting_with_its_default():
    text = (ROOT / "rfm.toml").read_text(encoding="utf-8")
    opened = tomllib.loads(re.sub(r"^# (?=[\w\"]+ = )", "", text, flags=re.MULTILINE))
    assert {name: opened[name] for name in PATHS} == PATHS
    for name in ("shop", "on_failure", "files", "rules", "clusters", "cutoffs"):
        assert opened[name] == Settings.model_fields[name].default.model_dump(mode="json")
    assert set(opened) == set(Settings.model_fields) - {"date"}


def test_lock_has_hashes_and_no_address():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][\w.-]*(?:\[[\w,]+\])?==", lock, re.MULTILINE)
    assert len(pins) > 100
    assert lock.count("--hash=sha256:") > len(pins)
    assert "://" not in lock


def test_conda_environment_installs_the_lock():
    assert "- -r requirements.lock" in (ROOT / "environment.yml").read_text(encoding="utf-8")


if __name__ == "__main__":
    for made, text in MADE.items():
        README = re.sub(
            rf"(<!-- {made} -->\n).*?(<!-- /{made} -->)", lambda m, t=text: f"{m[1]}{t()}\n{m[2]}", README, flags=re.DOTALL
        )
    (ROOT / "README.md").write_text(README, encoding="utf-8")
