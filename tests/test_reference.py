"""Docstrings: every public name of `rfm` has an example, and every example is true."""

from __future__ import annotations

import doctest
import inspect
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import rfm
from tests.reference import members

ROOT = Path(__file__).parents[1]
FILES = [path for path in sorted((ROOT / "rfm").rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES]


def named() -> Iterator[tuple[str, object]]:
    """Yield all public functions, classes and modules, both `rfm.clean` and `rfm.segments.headline`."""
    for name in rfm.__all__:
        value = getattr(rfm, name)
        if callable(value) or isinstance(value, ModuleType):
            yield f"rfm.{name}", value
        if isinstance(value, ModuleType):
            yield from ((f"rfm.{name}.{part}", one) for part, one in members(value))


REACHED = dict(named())
FUNCTIONS = {name: value for name, value in REACHED.items() if not isinstance(value, type | ModuleType)}


def test_every_public_name_has_a_docstring():
    first = {name: (inspect.getdoc(value) or "").split("\n\n", 1)[0] for name, value in REACHED.items()}
    assert [name for name, said in first.items() if not said.endswith(".")] == []


def test_every_public_function_has_an_example():
    shown = {name for name, value in FUNCTIONS.items() if "\nExamples\n--------\n" in (inspect.getdoc(value) or "")}
    in_a_row = {name for name in FUNCTIONS if name.startswith(("rfm.ingest.", "rfm.stages."))}  # shown one after the other
    assert all("\nExamples\n--------\n" in str(module.__doc__) for module in (rfm.ingest, rfm.stages))
    assert FUNCTIONS.keys() - shown == in_a_row


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    report: list[str] = []
    runner, finder = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE), doctest.DocTestFinder(exclude_empty=True)
    found = [one for one in finder.find(import_module(name)) if one.examples]
    for one in found:
        runner.run(one, out=report.append)
    assert found
    assert report == [], "".join(report)
