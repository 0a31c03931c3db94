"""The wheel and the sdist: their files, and `rfm` running from the wheel in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import rfm
from rfm.pipeline.stages import STAGES
from tests.conftest import NO_PAST, unpack

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rfm"
NOTEBOOKS = ROOT / "notebooks"
SEEN_BY_TESTS = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml", "environment.yml"}


def built(folder: Path, source: Path, kind: str) -> Path:
    """Build the wheel or the sdist of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"), ROOT, "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    unpack(built(folder / "packed", ROOT, "sdist"), folder)
    return folder / f"rfm-{rfm.__version__}"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs `rfm` from the wheel in an empty folder, with the dependencies of the tests."""
    site, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("shop")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)  # what an installer does with a pure wheel
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RFM_", "JUPYTER"))}
    decoy = home / ".local" / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"  # nobody's notebook may run by it
    decoy.parent.mkdir(parents=True)
    decoy.write_text(json.dumps({"argv": ["false"], "display_name": "Python 3", "language": "python"}), encoding="utf-8")
    # the wheel comes before the clone
    surroundings = kept | NO_PAST | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "HOME": str(home)}
    program = "import sys, rfm; assert rfm.__file__.startswith(sys.argv.pop(1)); from rfm.cli import main; main()"

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", program, str(site), *arguments]
        return subprocess.run(command, cwd=home, env=surroundings, capture_output=True, text=True, timeout=300, check=False)

    run.site, run.home = site, home
    return run


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel by name, without the metadata of its build."""
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


# ── what is in them ────────────────────────────────────────────────────────────────────────────────
def test_wheel_holds_the_package_and_the_notebooks(wheel):
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    package = {path.relative_to(ROOT).as_posix() for path in files}
    notebooks = {f"rfm/notebooks/{path.name}" for path in NOTEBOOKS.glob("*.ipynb")}
    templates = {f"rfm/report/templates/{name}" for name in ("page.css", "cells.html.j2", "draw.js")}
    assert {"rfm/py.typed", "rfm/schema.json", "rfm/datasets/catalogue.toml", *templates} <= package
    found = {name for name in contents(wheel) if not name.startswith("rfm-")}
    example = {f"rfm/{path.name}" for path in ROOT.glob("rfm.example.toml")}
    assert found == package | notebooks | example
    assert contents(wheel)["rfm/notebooks/3_gold.ipynb"] == (NOTEBOOKS / "3_gold.ipynb").read_bytes()


def test_version_is_defined_once(wheel):
    assert wheel.name == f"rfm-{rfm.__version__}-py3-none-any.whl"
    assert f"\nVersion: {rfm.__version__}\n".encode() in contents(wheel)[f"rfm-{rfm.__version__}.dist-info/METADATA"]
    assert rfm.__version__ not in (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("dependencies")[0]


def test_sdist_holds_the_tests_and_no_shop_files(sdist):
    names = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*") if path.suffix in {".py", ".js", ".txt"}}
    assert tests | SEEN_BY_TESTS | {f"notebooks/{path.name}" for path in NOTEBOOKS.glob("*.*")} <= names
    assert [name for name in names if name.startswith(("data/", "reports/", ".venv/")) or name == "rfm.toml"] == []


def test_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    assert contents(built(tmp_path / "again", sdist, "wheel")) == contents(wheel)


# ── what works from it ─────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def ran(installed) -> dict:
    """Return the record of a run of a small sample from the wheel."""
    small = ["--days", "2", "--lines", "400", "--customers", "40"]
    assert installed("sample", *small).returncode == 0
    done = installed("daily", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_day_runs_from_the_wheel_in_an_empty_folder(installed, ran):
    assert (ran["status"], ran["run_date"], ran["code"]["commit"]) == ("done", "2025-10-23", None)
    assert [stage["status"] for stage in ran["stages"]] == ["done"] * len(STAGES)
    assert ran["report"] == f"{installed.home}/reports/index.html"
    assert (installed.home / "reports" / "2025-10-23" / "notebooks" / "3_gold.html").is_file()
    assert sorted(path.name for path in installed.home.iterdir() if not path.name.startswith(".")) == ["data", "reports"]


def test_a_folder_without_notebooks_runs_those_of_the_wheel(installed, ran):
    assert f"notebooks: {installed.site}/rfm/notebooks\n" in installed("status", "--verbose").stderr


def test_pages_are_rebuilt_from_the_wheel(installed, ran):
    (installed.home / "reports" / "index.html").unlink()
    done = installed("report")
    assert (done.returncode, done.stdout) == (0, f"Report: {installed.home}/reports/index.html\n")
    assert (installed.home / "reports" / "index.html").is_file()


def test_notebooks_of_the_wheel_are_copied(installed, tmp_path):
    done = installed("notebooks", str(tmp_path / "mine"))
    assert done.returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == {
        path.name: path.read_bytes() for path in NOTEBOOKS.glob("*.ipynb")
    }
