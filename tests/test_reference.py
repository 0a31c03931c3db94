"""Examples in docstrings: every name that the door leads to has one, and all of them are true."""

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
    """Yield what users reach from the door, `rfm.clean` and `rfm.segments.headline` alike: functions, classes and modules."""
    for name in rfm.__all__:
        value = getattr(rfm, name)
        if callable(value) or isinstance(value, ModuleType):
            yield f"rfm.{name}", value
        if isinstance(value, ModuleType):
            yield from ((f"rfm.{name}.{part}", one) for part, one in members(value))


REACHED = dict(named())
FUNCTIONS = {name: value for name, value in REACHED.items() if not isinstance(value, type | ModuleType)}


def test_what_the_door_leads_to_says_what_it_is():
    first = {name: (inspect.getdoc(value) or "").split("\n\n", 1)[0] for name, value in REACHED.items()}
    assert [name for name, said in first.items() if not said.endswith(".")] == []


def test_every_function_of_the_door_has_an_example():
    shown = {name for name, value in FUNCTIONS.items() if "\nExamples\n--------\n" in (inspect.getdoc(value) or "")}
    in_a_row = {name for name in FUNCTIONS if name.startswith("rfm.ingest.")}  # they mean something one after the other only
    assert "\nExamples\n--------\n" in str(rfm.ingest.__doc__)
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
