"""The environment: the locks are complete, and the installer finds a suitable Python and works without uv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = {"run": "requirements.lock", **{name: f"requirements-{name}.lock" for name in ("lab", "test", "dev")}}
HASHES = r"(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+"
PIN = re.compile(rf"^([a-z0-9][\w.-]*)==([^\s;]+)(?: ; [^\\\n]+?)? \\\n{HASHES}", re.MULTILINE)


def text_of(group: str) -> str:
    return (ROOT / LOCKS[group]).read_text(encoding="utf-8")


def pins(group: str) -> dict[str, set[str]]:
    """Return the pinned versions per package; some packages have several, for different Python versions."""
    found: dict[str, set[str]] = {}
    for name, version in PIN.findall(text_of(group)):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def wanted(group: str) -> list[Requirement]:
    """Return the requirements in pyproject.toml for a run and a dependency group."""
    listed = PROJECT["dependency-groups"][group]
    own = [Requirement(one) for one in listed if isinstance(one, str)]
    inner = [one for entry in listed if isinstance(entry, dict) for one in wanted(entry["include-group"])]
    return [Requirement(one) for one in PROJECT["project"]["dependencies"]] + own + inner


@pytest.mark.parametrize("group", LOCKS)
def test_lock_is_hashed_pins_without_addresses(group):
    text = text_of(group)
    assert PIN.sub("", text).strip() == ""
    assert len(pins(group)) > 100
    assert "://" not in text


@pytest.mark.parametrize("group", LOCKS)
def test_lock_fits_pyproject(group):
    locked = pins(group)
    missing = [str(one) for one in wanted(group) if not all(one.specifier.contains(v) for v in locked.get(one.name, {"0"}))]
    assert missing == [], "run `make lock`"


def test_each_lock_holds_the_one_before():
    for smaller, larger in (("run", "lab"), ("lab", "test"), ("test", "dev")):
        more = pins(larger)
        assert {name: more.get(name) for name in pins(smaller)} == pins(smaller), "run `make lock`"


@pytest.mark.parametrize("group", ["run", "lab", "test"])
def test_lock_holds_all_that_its_packages_need(group):
    """Nothing is resolved at install time, so a package that is not listed would be missing."""
    locked, lost = pins(group), []
    for package in wanted(group):
        waiting, seen = [package], set()
        while waiting:
            one = waiting.pop()
            name = canonicalize_name(one.name)
            if name not in locked:
                lost.append(f"{package.name}: {one}")
            if (key := (name, *sorted(one.extras))) not in seen:
                seen.add(key)
                waiting += needs(name, one.extras)
    assert lost == [], "run `make lock`"


def needs(name: str, extras: set[str]) -> list[Requirement]:
    """Return the requirements of an installed package on this machine; none for a package of other platforms."""
    try:
        listed = [Requirement(one) for one in distribution(name).requires or []]
    except PackageNotFoundError:
        return []
    places = [default_environment() | {"extra": extra} for extra in ("", *extras)]
    return [one for one in listed if not one.marker or any(one.marker.evaluate(place) for place in places)]


def test_installer_is_pinned_with_hashes():
    text = (ROOT / ".ci" / "uv.txt").read_text(encoding="utf-8")
    assert [name for name, _ in PIN.findall(text)] == ["uv"]
    assert PIN.sub("", text).strip() == ""


def test_conda_environment_installs_a_lock():
    [named] = re.findall(r"- -r (\S+)", (ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert named in LOCKS.values()


# ── the installer, among Pythons and uvs that only write down what they are asked ──────────────────
OLD = """#!/bin/sh
[ "$1" = --version ] && echo Python 3.9.2
exit 1
"""
FIT = """#!/bin/sh
case "$*" in
  --version) echo Python 3.12.1 ;;
  "-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip config"*) echo http://127.0.0.1:9/simple ;;
  "-m pip"*) echo "pip $*" >> called ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> called
echo "$UV_DEFAULT_INDEX" >> index
exit {status}
"""


@pytest.fixture
def installer(tmp_path):
    """Return a function that runs the installer in an empty folder, with the given programs on the PATH."""
    for folder in (".ci", ".jupyter"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "grep", "mkdir", "cp", "touch", "tail", "cat"):
        (tools / tool).symlink_to(shutil.which(tool))

    def run(group="run", python="", **programs):
        for name, script in programs.items():
            (tools / name.replace("_", ".")).write_text(script, encoding="utf-8")
            (tools / name.replace("_", ".")).chmod(0o755)
        done = subprocess.run(
            [tmp_path / ".ci" / "environment", group], env={"PATH": str(tools), "PYTHON": python}, capture_output=True, text=True
        )
        called = (tmp_path / "called").read_text() if (tmp_path / "called").exists() else ""
        return done.returncode, done.stdout + done.stderr, called

    return run


def test_newest_suitable_python_is_used_and_named(installer):
    status, said, _ = installer(python3=OLD, python3_12=FIT, uv=UV.format(status=0))
    assert status == 0, said
    assert "python3 (Python 3.9.2) does not fit, python3.12 does" in said
    assert "Creating the environment .venv with Python 3.12.1" in said


@pytest.mark.parametrize("python", ["", "python3"])
def test_no_suitable_python_is_an_error_with_a_remedy(installer, python):
    status, said, called = installer(python=python, python3=OLD, uv=UV.format(status=0))
    assert (status, called) == (2, "")
    assert "rfm needs Python 3.11 or newer" in said


def test_uv_installs_the_lock_and_resolves_nothing(installer, tmp_path):
    status, said, called = installer(python3=FIT, uv=UV.format(status=0))
    first, second = called.splitlines()
    assert status == 0, said
    assert "--no-deps --require-hashes -r requirements.lock" in first
    assert "--no-deps -e ." in second
    assert (tmp_path / "index").read_text().splitlines() == ["http://127.0.0.1:9/simple"] * 2  # pip's mirror
    assert (tmp_path / ".venv" / "run").exists()


def test_pip_installs_the_lock_if_uv_fails(installer):
    status, said, called = installer(python3=FIT, uv=UV.format(status=1))
    pips = [line for line in called.splitlines() if line.startswith("pip")]
    assert status == 0, said
    assert "trying pip" in said
    assert "--no-deps --require-hashes -r requirements.lock" in pips[0]
    assert "--no-deps -e ." in pips[1]


def test_a_larger_group_includes_the_smaller_ones(installer, tmp_path):
    installer("test", python3=FIT, uv=UV.format(status=0))
    assert {path.name for path in (tmp_path / ".venv").iterdir()} == {"bin", "etc", "made", "run", "lab", "test"}


@pytest.mark.parametrize("fault", ["interrupted", "moved"])
def test_a_broken_environment_is_created_again(installer, tmp_path, fault):
    installer(python3=FIT, uv=UV.format(status=0))
    made = tmp_path / ".venv" / "made"
    assert made.read_text().strip() == str(tmp_path.resolve())
    _, said, _ = installer()
    assert "Creating the environment" not in said
    made.write_text("/elsewhere\n") if fault == "moved" else made.unlink()
    _, said, _ = installer()
    assert "Creating the environment" in said


def test_another_python_creates_the_environment_again(installer):
    installer(python3=FIT, uv=UV.format(status=0))
    _, said, _ = installer(python="python3.13", python3_13=FIT.replace("3.12.1", "3.13.0"))
    assert "Creating the environment .venv with Python 3.13.0" in said


def test_make_passes_values_with_any_character(tmp_path):
    odd = """it's "$HOME" `x` & %20"""
    for name in ("Makefile", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name) if name == "Makefile" else (tmp_path / name / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "rfm").write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    (tmp_path / ".venv" / "bin" / "rfm").chmod(0o755)
    told = ["make", "-s", "-o", ".venv/run", "daily", f"LANDING={odd.replace('$', '$$')}", "DATE=2025-10-23"]
    shown = subprocess.run(told, cwd=tmp_path, capture_output=True, text=True)
    assert shown.stdout == f"daily|--date|2025-10-23|--landing|{odd}|", shown.stderr


@pytest.mark.parametrize("target", ["daily", "test"])
def test_targets_install_only_their_packages(target):
    env = {**os.environ, "MAKEFLAGS": ""}
    told = subprocess.run(
        ["make", "-n", "-W", "pyproject.toml", target], cwd=ROOT, env=env, capture_output=True, text=True
    ).stdout
    assert re.findall(r"\.ci/environment (\w+)", told) == [{"daily": "run"}.get(target, target)]
