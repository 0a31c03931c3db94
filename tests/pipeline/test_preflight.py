"""What is wrong is said before anything heavy is imported: settings, notebooks, landing files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rfm.errors import SettingsError
from rfm.pipeline import notebooks
from rfm.pipeline.chain import STAGES
from rfm.settings import load_settings
from tests.conftest import NO_PAST

ROOT = Path(__file__).parents[2]
HEAVY = {"polars", "pandas", "deltalake", "sklearn", "plotly", "scipy", "matplotlib", "papermill", "nbformat"}
PROGRAM = """
import json, os, sys
from pathlib import Path
from rfm.cli import main

for folder, options in json.load(sys.stdin):
    if not os.fork():  # a process each; what takes long is the start of Python
        os.chdir(folder)
        os.dup2(os.open("../said", os.O_CREAT | os.O_WRONLY), 2)
        sys.argv = ["rfm", "daily", *options]
        try:
            main()
        finally:
            Path("../imported").write_text(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
        sys.exit()
    Path(folder, "../status").write_text(str(os.waitstatus_to_exitcode(os.wait()[1])))
"""


def new_project(root: Path) -> Path:
    """Make a project with notebooks and a landing file."""
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    landing = root / "data" / "landing"
    landing.mkdir(parents=True)
    (landing / "2025-10-23_transactions.csv").write_text("Invoice\n")
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return new_project(tmp_path)


WRONG = {  # what is wrong: rfm.toml, options, and a part of the sentence
    "a setting": ("[clusters]\nsed = 1\n", [], "setting clusters.sed"),
    "a date": ("", ["--date", "yesterday"], "setting date"),
    "a file that is no TOML": ("[clusters\n", [], "rfm.toml: cannot be read"),
    "a rule": ('[expectations]\nknown_county = "drop"\n', [], "unknown rule 'known_county'"),
    "a key": ("[columns]\nhash_customers = true\n", [], "hash_customers needs a key"),
    "a landing folder that is missing": ('landing = "nowhere"\n', [], "nowhere: there is no such folder"),
    "a landing folder without a file": ('landing = "notebooks"\n', [], "notebooks: holds no file like"),
    "a day before all files": ("", ["--date", "2025-01-01"], "none of 1 file(s) is dated up to 2025-01-01"),
    "a missing notebook": ('notebooks = "data"\n', [], "data: there is no 1_bronze.ipynb, 2_silver.ipynb"),
    "a parameter": ("", ["-p", "dat=1"], "parameter"),
}


@pytest.fixture(scope="module")
def complained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run `rfm daily` in a project for each wrong use; return the projects; beside each is what came of it."""
    projects = {what: new_project(tmp_path_factory.mktemp("wrong") / "project") for what in WRONG}
    for what, (text, _, _) in WRONG.items():
        (projects[what] / "rfm.toml").write_text(text)
    asked = json.dumps([(str(projects[what]), options) for what, (_, options, _) in WRONG.items()])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RFM_")}
    subprocess.run([sys.executable, "-c", PROGRAM], input=asked, env=clean | NO_PAST, text=True, check=True, cwd=ROOT)
    return projects


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks")
@pytest.mark.parametrize("what", WRONG)
def test_wrong_use_is_said_before_a_heavy_import(complained, what):
    project, said = complained[what], WRONG[what][2]
    status, complaint = ((project.parent / name).read_text("utf-8") for name in ("status", "said"))
    assert (status, said in complaint, complaint.count("\n")) == ("2", True, 1), complaint
    assert set(json.loads((project.parent / "imported").read_text())) & HEAVY == set()
    assert sorted(path.name for path in project.iterdir()) == ["data", "notebooks", "rfm.toml"]  # and nothing was written


def test_each_notebook_gets_the_parameters_that_it_declares(project, monkeypatch):
    monkeypatch.chdir(project)
    found = notebooks.declared(load_settings(), ["date", "restate", "refit"])
    assert found.keys() == {stage.name for stage in STAGES}
    assert (found["1_bronze"], found["4_clusters"]) == (["date", "restate"], ["date", "refit"])
    with pytest.raises(SettingsError, match="refitt"):
        notebooks.declared(load_settings(), ["refitt"])


def test_papermill_is_imported_without_its_way_to_s3():
    program = "import sys; from rfm.pipeline import notebooks; notebooks._papermill(); print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"papermill", "boto3", "rfc3987_syntax.syntax_helpers", "botocore"} & set(answer.stdout.split()) == {"papermill"}
