"""The architecture as data: allowed imports, the owner of each heavy library, limits of size."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

import rfm
from benchmarks.code import FILES, PACKAGE, TREES, circles, functions, imports_of, lines

ROOT = Path(__file__).parents[1]

# ── the plan, as data; a module is written without the leading `rfm.` ──────────────────────────────
BASE = {  # a module that all rooms may import: what it imports of rfm itself
    "errors": set(),
    "schema.lines": set(),
    "schema": {"schema.lines"},
    "contracts": {"errors", "schema"},
    "dialect": set(),
    "words": set(),
    "config": {"dialect", "errors", "words"},
    "settings": {"config", "dialect", "errors"},
}
ROOMS = {  # a folder: the folders it may import, besides the base modules; a module stands for itself alone
    "analysis": set(),
    "landing": set(),
    "lake": {"landing"},
    "report": {"analysis", "landing", "lake", "pipeline.chain"},
    "pipeline": {"analysis", "landing", "lake", "report"},
    "onboarding": {"analysis", "landing", "lake", "pipeline"},
    "datasets": {"landing", "lake", "pipeline"},
    "cli": {"analysis", "datasets", "lake", "landing", "onboarding", "pipeline", "report"},
}
ROAD = {  # a part of `analysis`: its neighbours along the road of the data
    "dates": set(),
    "parsing": {"dates"},
    "meaning": {"parsing"},
    "cleaning": {"dates", "meaning", "parsing"},
    "metrics": {"dates"},
    "outliers": {"formatting"},
    "sales": set(),
    "clustering": {"metrics", "outliers"},
    "segments": {"clustering", "formatting", "metrics", "outliers"},
    "movement": {"clustering", "formatting", "metrics", "segments"},
    "states": {"forecast", "formatting", "segments"},
    "migration": {"forecast", "formatting", "states"},
    "quality": {"formatting", "parsing"},
    "backtest": {"formatting"},
    "forecast": {"backtest", "formatting"},
    "formatting": set(),
    "experiments": {"backtest", "formatting"},
    "figures": {"formatting", "outliers"},
}
OWNERS = {  # library: the modules or folders that import it, and nobody else
    "papermill": {"pipeline.notebooks"},
    "nbclient": {"pipeline.notebooks"},
    "mistune": {"report.notebooks"},
    "pygments": {"report.notebooks"},
    "nbformat": {"report.notebooks"},
    "bleach": {"report.notebooks"},
    "bs4": {"report.notebooks"},
    "jinja2": {"report.render"},
    "babel": {"words"},
    "xlsxwriter": {"report.customers"},
    "ipykernel": {"pipeline.warm"},
    "jupyter_client": {"pipeline.kernels"},
    "openlineage": {"pipeline.lineage"},
    "typer": {"cli"},
    "rich": {"cli", "onboarding.render"},
    "plotly": {"analysis.figures"},
    "matplotlib": {"analysis.figures.clusters", "analysis.figures.diagnostics", "report.brief"},
    "sklearn": {"analysis.clustering", "analysis.forecast", "analysis.movement", "analysis.segments.alternatives"},
    "threadpoolctl": {"analysis.clustering", "analysis.forecast"},
    "scipy": {"analysis.clustering", "analysis.experiments", "analysis.forecast"},
    "clvkit": {"pipeline.backtest"},
    "python_calamine": {"datasets", "landing.sheets"},
    "narwhals": {"analysis", "contracts", "lake.spark", "lake.tables"},
    "pyspark": {"lake.spark"},
    "deltalake": {"lake", "pipeline.release"},
    "botocore": {"lake.delta"},
    "polars": {
        "dialect",
        "contracts",
        "lake",
        "pipeline.release",
        "pipeline.repair",
        "pipeline.run_record",
        "pipeline.schedule",
        "schema",
    },
    "pyarrow": {"analysis.metrics", "datasets", "lake", "landing", "onboarding.sniff"},
    "filelock": {"pipeline.schedule"},
    "fsspec": {"landing", "onboarding.sniff"},
    "pandera": {"contracts", "schema"},
    "pydantic": {"config", "dialect", "settings"},
    "pydantic_settings": {"settings"},
    "tomlkit": {"onboarding"},
}
NOT_IN_ANALYSIS = {"os", "pathlib", "tempfile", "shutil", "subprocess", "socket", "time", "polars", "duckdb", "pyspark"}
MOST_FILES, LONGEST_MODULE, LONGEST_FUNCTION = 106, 400, 40
CLOCKS = {"now", "today", "utcnow", "monotonic", "perf_counter", "time_ns"}  # not read by what is pure
ENGINE = re.compile(r"polars|duckdb|spark|sqlframe|ibis", re.IGNORECASE)
HARMLESS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.If)
MODULES = [name for name in FILES if name]  # all but the door
ANALYSIS = [name for name in MODULES if name.startswith("analysis.")]


def offenders(names: Iterable[str], found: Callable[[str], Any]) -> dict[str, Any]:
    """Return the violations of a rule per module, for all modules at once."""
    return {name: wrong for name in names if (wrong := found(name))}


@cache
def libraries(name: str) -> frozenset[str]:
    """Return the top-level name of every import in a module, also inside functions."""
    nodes = list(ast.walk(TREES[name]))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return frozenset(
        one.split(".")[0] for one in plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    )


def inside(name: str, places: Iterable[str]) -> bool:
    """Return True if a module is one of the places or inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


# ── the tree ───────────────────────────────────────────────────────────────────────────────────────
def test_folders_are_those_of_the_plan():
    tops = {name.split(".")[0] for name in MODULES}
    assert tops == {name.split(".")[0] for name in BASE} | ROOMS.keys()
    assert {name.split(".")[1] for name in ANALYSIS} == ROAD.keys()


def test_base_modules_import_only_earlier_base_modules():
    assert offenders(BASE, lambda name: imports_of(name) - BASE[name]) == {}


def test_only_contracts_import_the_schema():
    assert [name for name in MODULES if "schema" in imports_of(name)] == ["contracts"]


def test_folders_import_only_what_the_plan_allows():
    def beyond(name: str) -> set[str]:
        room = name.split(".")[0]
        return {one for one in imports_of(name) if not inside(one, {room, *ROOMS[room], *BASE})}

    assert offenders([name for name in MODULES if name not in BASE], beyond) == {}


def test_analysis_imports_follow_the_road():
    def beyond(name: str) -> set[str]:
        part = name.split(".")[1]
        return {
            one for one in imports_of(name) if not inside(one, {f"analysis.{near}" for near in {part, *ROAD[part]}} | BASE.keys())
        }

    assert offenders(ANALYSIS, beyond) == {}


def test_no_module_imports_the_public_interface():
    assert [name for name in MODULES if "" in imports_of(name)] == []


def test_no_import_circle():
    assert circles() == []


def test_limits_of_size():
    assert len(FILES) <= MOST_FILES
    assert {name: size for name in FILES if (size := lines(name)) > LONGEST_MODULE} == {}
    assert {label: size for name in FILES for label, size in functions(name) if size > LONGEST_FUNCTION} == {}


# ── libraries ──────────────────────────────────────────────────────────────────────────────────────
def test_only_its_owner_imports_a_library():
    def foreign(name: str) -> set[str]:
        return {one for one in libraries(name) & OWNERS.keys() if not inside(name, OWNERS[one])}

    assert offenders(MODULES, foreign) == {}


def test_owner_uses_what_it_owns():
    unused = {(one, place) for one, places in OWNERS.items() for place in places}
    unused -= {(one, place) for one, place in unused if any(one in libraries(name) for name in MODULES if inside(name, [place]))}
    assert unused == set()


def test_analysis_imports_no_files_clock_or_engine():
    assert offenders(ANALYSIS, lambda name: (libraries(name) & NOT_IN_ANALYSIS) | (called(name) & {"open"})) == {}


def test_analysis_names_no_engine():
    """Neither in a name nor in a string; only docstrings may name engines."""

    def named(name: str) -> set[str]:
        return {part for node in ast.walk(TREES[name]) for part in words(node) if ENGINE.search(part)}

    assert offenders(ANALYSIS, named) == {}


def words(node: ast.AST) -> Iterator[str]:
    """Yield the names and strings of a node, without docstrings."""
    if isinstance(node, ast.Expr):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
    yield from (str(value) for field in ("id", "attr", "name", "arg") if isinstance(value := getattr(node, field, None), str))


def test_extra_spark_installs_only_the_connect_client():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [one.split(">")[0] for one in project["optional-dependencies"]["spark"]] == ["pyspark-client"]
    assert not any("spark" in one for one in project["dependencies"])


@pytest.mark.spark
def test_the_connect_client_does_not_need_full_pyspark():
    behind = {re.split(r"[^\w-]", one)[0] for one in requires("pyspark-client") or () if "extra ==" not in one}
    assert behind & {"py4j", "pyspark"} == set()


@cache
def called(name: str) -> set[str]:
    """Return the names of all functions and methods that a module calls."""
    functions = [node.func for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
    return {
        one.attr if isinstance(one, ast.Attribute) else one.id for one in functions if isinstance(one, ast.Attribute | ast.Name)
    }


def test_analysis_and_base_do_not_read_the_clock():
    pure = [name for name in MODULES if inside(name, {"analysis", *BASE})]
    assert offenders(pure, lambda name: called(name) & CLOCKS) == {}


def test_library_does_not_print():
    assert offenders(MODULES, lambda name: called(name) & {"print"} if "cli" not in name else False) == {}


def test_no_module_is_named_utils():
    assert [path.name for path in PACKAGE.rglob("*") if "util" in path.stem or "helper" in path.stem] == []


def test_imports_have_no_side_effects():
    def strange(name: str) -> list[str]:
        return [ast.unparse(node) for node in TREES[name].body if not isinstance(node, HARMLESS) and not is_text(node)]

    assert offenders(MODULES, strange) == {}


def is_text(node: ast.stmt) -> bool:
    """Return True if a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# ── types and docstrings ───────────────────────────────────────────────────────────────────────────
def public_functions(name: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions and methods of a module that users may call."""
    for node in TREES[name].body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = (method for method in node.body if isinstance(method, ast.FunctionDef))
            yield from ((f"{node.name}.{method.name}", method) for method in methods if not method.name.startswith("_"))


def arguments(function: ast.FunctionDef) -> list[ast.arg]:
    """Return the arguments of a function without self and cls."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return [one for one in named if one.arg not in {"self", "cls"}]


def test_public_functions_are_typed():
    def untyped(name: str) -> list[str]:
        functions = list(public_functions(name))
        given = [f"{label}: {one.arg}" for label, function in functions for one in arguments(function) if not one.annotation]
        return given + [f"{label}: what it returns" for label, function in functions if not function.returns]

    assert offenders(MODULES, untyped) == {}


def test_modules_classes_and_functions_have_docstrings():
    def silent(name: str) -> list[str]:
        classes = [(node.name, node) for node in TREES[name].body if isinstance(node, ast.ClassDef)]
        named = [("the module", TREES[name]), *classes, *public_functions(name)]
        return [label for label, node in named if not ast.get_docstring(node)]

    assert offenders(MODULES, silent) == {}


# ── the door ───────────────────────────────────────────────────────────────────────────────────────
def test_public_interface_is_small_and_every_name_exists():
    assert dir(rfm) == sorted([*rfm.__all__, "__version__"])
    assert len(rfm.__all__) <= 27
    assert all(getattr(rfm, name) is not None for name in rfm.__all__)
    with pytest.raises(AttributeError, match="'rfm' has no attribute 'metrix'"):
        _ = rfm.metrix


def test_type_checkers_see_every_public_name():
    guarded = next(node for node in TREES[""].body if isinstance(node, ast.If))
    assert ast.unparse(guarded.test) == "TYPE_CHECKING"
    assert {alias.asname or alias.name for node in guarded.body for alias in node.names} == {*rfm.__all__, "__version__"}


def test_import_rfm_loads_no_heavy_library():
    program = "import json, sys, rfm; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = OWNERS.keys() | {"pandas", "numpy"}
    assert (set(json.loads(answer.stdout)) & heavy, answer.stderr) == (set(), "")
