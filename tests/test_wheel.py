"""The wheel and the sdist: their files, and `rfm` from the wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rfm
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


def unpack_wheel(wheel: Path, site: Path) -> None:
    """Do what an installer does with a pure wheel."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)


def make_decoy(home: Path) -> None:
    """Write a kernel of the user's that cannot run; nobody's notebook may run by it."""
    decoy = home / ".local" / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    decoy.parent.mkdir(parents=True)
    decoy.write_text(json.dumps({"argv": ["false"], "display_name": "Python 3", "language": "python"}), encoding="utf-8")


def neutral() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RFM_", "JUPYTER"))} | NO_PAST


def from_wheel(site: Path) -> dict[str, str]:
    """Return the environment in which `rfm` is that of an unpacked wheel, with the dependencies of the tests."""
    return {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}  # the wheel comes before the clone


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


# ── what works from it; the run of a day is in test_places.py ──────────────────────────────────────
def test_notebooks_of_the_wheel_are_copied(wheel, tmp_path):
    unpack_wheel(wheel, tmp_path / "site")
    program = "import sys, rfm; assert rfm.__file__.startswith(sys.argv.pop(1)); from rfm.cli import main; main()"
    command = [sys.executable, "-c", program, str(tmp_path / "site"), "notebooks", str(tmp_path / "mine")]
    assert subprocess.run(command, cwd=tmp_path, env=neutral() | from_wheel(tmp_path / "site"), check=False).returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == {
        path.name: path.read_bytes() for path in NOTEBOOKS.glob("*.ipynb")
    }
