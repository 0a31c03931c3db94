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
from rfm.pipeline.stages import STAGES
from rfm.settings import load_settings
from tests.conftest import NO_PAST

ROOT = Path(__file__).parents[2]
HEAVY = {"polars", "pandas", "deltalake", "sklearn", "plotly", "scipy", "matplotlib", "papermill", "nbformat"}
PROGRAM = """
import json, sys
from rfm.cli import main
sys.argv = ["rfm", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with notebooks and a landing file."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    landing = tmp_path / "data" / "landing"
    landing.mkdir(parents=True)
    (landing / "2025-10-23_transactions.csv").write_text("Invoice\n")
    return tmp_path


def daily(project: Path, *options: str, **environ: str) -> tuple[int, str, set[str]]:
    """Return exit status and complaint of `rfm daily`, and what it imported."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RFM_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "daily", *options],
        cwd=project,
        env=clean | NO_PAST | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr, set(json.loads(done.stdout.splitlines()[-1]))


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


@pytest.mark.parametrize("what", WRONG)
def test_wrong_use_is_said_before_a_heavy_import(project, what):
    text, options, said = WRONG[what]
    (project / "rfm.toml").write_text(text)
    status, complaint, imported = daily(project, *options)
    assert (status, said in complaint, complaint.count("\n")) == (2, True, 1), complaint
    assert imported & HEAVY == set()
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
