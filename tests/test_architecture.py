"""The code keeps to the plan of the house: who may import whom, who owns which library, how long a room is."""

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
from rfm import schema

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "rfm"

# ── the plan, as data; a module is written without the leading `rfm.` ──────────────────────────────
TREE = {  # floor: the rooms on it, each a module or a package
    "": {"agreement", "contract", "customer_tables", "dialect", "errors", "purchases", "schema", "sections"}
    | {"settings", "severity"},
    "core": {"backtest", "cleaning", "clustering", "exclusions", "figures", "guess", "metrics", "movement", "outliers", "quality"}
    | {"segments", "show", "trade"},
    "io": {"lake", "landing", "lineage", "prepare", "spark"},
    "run": {"backfill", "cli", "daily", "kernels", "record", "pages", "replay", "site", "stages", "storage", "template", "warm"}
    | {"arguments", "backtest", "example", "exports", "hooks", "lakes", "models", "notebook", "overview", "preflight", "publish"}
    | {"check", "release", "run_date", "runlog", "schedule", "score", "screen", "serve", "watch"},
}
GROUND = {
    "agreement": set(),
    "purchases": set(),
    "errors": set(),
    "contract": {"errors"},
    "customer_tables": {"contract"},
    "schema": {"contract", "customer_tables", "errors"},
    "sections": set(),
    "dialect": {"schema", "sections"},
    "settings": {"dialect", "errors", "schema", "sections"},
    "severity": {"errors"},
}  # a module of the ground: what it imports of rfm
TESTED_WITH = {
    "arguments": "cli",
    "contract": "schema",
    "customer_tables": "schema",
    "errors": "schema",
    "example": "reference",
    "record": "daily",
    "models": "score",
    "notebook": "daily",
    "overview": "runlog",
    "purchases": "movement",
    "lakes": "spark",
    "screen": "runlog",
    "sections": "settings",
    "severity": "quality",
    "watch": "lineage",
    "stages": "daily",
    "storage": "site",
    "template": "site",
    "warm": "kernels",
}  # a room that another room's tests cover
OWNERS = {  # library: the rooms that import it, and nobody else
    "papermill": {"run.notebook"},
    "nbclient": {"run.notebook"},
    "nbconvert": {"run.site"},
    "nbformat": {"run.template"},
    "jinja2": {"run.template"},
    "bleach": {"run.template"},
    "bs4": {"run.template"},
    "traitlets": {"run.site"},
    "ipykernel": {"run.warm"},
    "jupyter_client": {"run.kernels"},
    "typer": {"run.cli"},
    "rich": {"run.check", "run.cli", "run.screen"},
    "plotly": {"core.figures"},
    "xlsxwriter": {"run.exports"},
    "python_calamine": {"io.landing", "io.prepare"},
    "sklearn": {"core.clustering"},
    "clvkit": {"core.backtest"},
    "scipy": {"core.clustering"},
    "narwhals": {"core.cleaning", "core.exclusions", "core.metrics", "core.quality", "core.show", "core.trade"}
    | {"io.lake", "io.spark"},
    "pyspark": {"io.spark"},
    "deltalake": {"io.lake"},
    "botocore": {"io.lake"},
    "openlineage": {"io.lineage"},
    "polars": {"contract", "io.lake", "run.run_date", "sections"},
    "pyarrow": {"io.landing", "io.lake", "io.prepare", "io.spark", "purchases"},
    "fsspec": {"io.lake", "io.landing"},
    "pandera": {"contract"},
    "pydantic": {"dialect", "sections", "settings"},
    "pydantic_settings": {"settings"},
    "tomlkit": {"core.guess"},
}
NOT_IN_CORE = {"os", "io", "pathlib", "tempfile", "shutil", "subprocess", "socket", "time", "polars", "duckdb", "pyspark"}
CLOCKS = {"now", "today", "utcnow", "monotonic", "perf_counter", "time_ns"}  # read only on the floors io and run
ENGINE = re.compile(r"polars|duckdb|spark|sqlframe|ibis", re.IGNORECASE)
LONGEST = 250  # lines of a module
HARMLESS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If)
USER_ERRORS = {name for name, value in vars(schema).items() if isinstance(value, type) and issubclass(value, schema.RfmError)}


# ── reading the code ───────────────────────────────────────────────────────────────────────────────
def name_of(path: Path) -> str:
    """Return the name of a module without the leading `rfm.`; the door is empty."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
MODULES = [name for name in FILES if name]  # all but the door
CORE = [name for name in MODULES if name.startswith("core.")]
LOWER = [name for name in MODULES if re.match(r"core\.|io\.|contract$|schema$|settings$", name)]


def offenders(names: Iterable[str], found: Callable[[str], Any]) -> dict[str, Any]:
    """Return by module what a rule found to be wrong, all at once: an item a module costs more than the rule."""
    return {name: wrong for name in names if (wrong := found(name))}


@cache
def imports(name: str) -> frozenset[str]:
    """Return all modules that a module imports, wherever it does; those of rfm by their whole name."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: write the whole name of what you import, line {node.lineno}"
            found |= {target(f"{node.module}.{alias.name}", str(node.module)) for alias in node.names}
    return frozenset(found)


def target(whole: str, module: str) -> str:
    """Return the module that a `from` import names: the submodule if there is one."""
    return whole if whole.removeprefix("rfm.") in FILES else module


def own_imports(name: str) -> set[str]:
    """Return the modules of rfm that a module imports; the door is empty."""
    return {one.removeprefix("rfm").removeprefix(".") for one in imports(name) if one.split(".")[0] == "rfm"}


def room(name: str) -> str:
    """Return floor and room of a module: a package is one room."""
    return ".".join(name.split(".")[: 2 if name.split(".")[0] in TREE else 1])


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


# ── floors and rooms ───────────────────────────────────────────────────────────────────────────────
def test_every_room_of_the_plan_is_there_and_no_other():
    rooms = {f"{floor}.{name}".strip(".") for floor, names in TREE.items() for name in names}
    assert {room(name) for name in FILES} - TREE.keys() == rooms


def test_every_room_has_a_test_file():
    tested = {TESTED_WITH.get(name, name) for names in TREE.values() for name in names}
    assert [name for name in sorted(tested) if not (ROOT / "tests" / f"test_{name}.py").is_file()] == []


def libraries(name: str) -> set[str]:
    """Return the first part of all that a module imports."""
    return {one.split(".")[0] for one in imports(name)}


def test_core_and_io_import_the_ground_alone():
    def beyond(name: str) -> set[str]:
        return {one for one in own_imports(name) - GROUND.get(name, GROUND.keys()) if room(one) != room(name)}

    assert offenders(LOWER, beyond) == {}


def test_nothing_imports_the_command_line():
    others = [name for name in MODULES if room(name) != "run.cli"]
    assert offenders(others, lambda name: {one for one in own_imports(name) if one and room(one) == "run.cli"}) == {}


def test_only_its_owner_imports_a_library():
    def foreign(name: str) -> set[str]:
        return {one for one in libraries(name) & OWNERS.keys() if room(name) not in OWNERS[one]}

    assert offenders(MODULES, foreign) == {}


def test_owner_uses_what_it_owns():
    users = {library: {room(name) for name in FILES if library in libraries(name)} for library in OWNERS}
    assert users == OWNERS


def test_core_knows_no_files_no_clock_and_no_engine():
    assert offenders(CORE, lambda name: (libraries(name) & NOT_IN_CORE) | (called(name) & {"open"})) == {}


def test_core_names_no_engine():
    """Neither in a name nor in a text that is worked with; docstrings may say on which engines it runs."""

    def named(name: str) -> set[str]:
        return {part for node in ast.walk(TREES[name]) for part in words(node) if ENGINE.search(part)}

    assert offenders(CORE, named) == {}


def words(node: ast.AST) -> Iterator[str]:
    """Yield the names and texts of a node; a docstring is of the statement that holds it, and not among them."""
    if isinstance(node, ast.Expr):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
    yield from (str(value) for field in ("id", "attr", "name", "arg") if isinstance(value := getattr(node, field, None), str))


def test_extra_spark_brings_the_connect_client_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [one.split(">")[0] for one in project["optional-dependencies"]["spark"]] == ["pyspark-client"]
    assert not any("spark" in one for one in project["dependencies"])


@pytest.mark.spark
def test_the_connect_client_needs_no_whole_pyspark():
    behind = {re.split(r"[^\w-]", one)[0] for one in requires("pyspark-client") or () if "extra ==" not in one}
    assert behind & {"py4j", "pyspark"} == set()


@cache
def called(name: str) -> set[str]:
    """Return the names of all functions and methods that a module calls."""
    functions = [node.func for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
    return {
        one.attr if isinstance(one, ast.Attribute) else one.id for one in functions if isinstance(one, ast.Attribute | ast.Name)
    }


def test_clock_is_read_on_the_edges_only():
    inside = [name for name in LOWER if not name.startswith("io.")]
    assert offenders(inside, lambda name: called(name) & CLOCKS) == {}


def test_library_does_not_print():
    def printing(name: str) -> list[int]:
        calls = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)]
        return [one.lineno for one in calls if isinstance(one.func, ast.Name) and one.func.id == "print"]

    assert offenders(MODULES, printing) == {}


def test_nothing_is_called_utils():
    assert [path.name for path in PACKAGE.rglob("*") if "util" in path.stem or "helper" in path.stem] == []


def test_import_does_nothing_but_define():
    def strange(name: str) -> list[str]:
        return [ast.unparse(node) for node in TREES[name].body if not isinstance(node, HARMLESS) and not is_text(node)]

    assert offenders(MODULES, strange) == {}


def is_text(node: ast.stmt) -> bool:
    """Tell whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# ── length, types, docstrings ──────────────────────────────────────────────────────────────────────
def test_modules_are_short():
    lengths = {name: len(FILES[name].read_text(encoding="utf-8").splitlines()) for name in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_public_functions_are_typed():
    def untyped(name: str) -> list[str]:
        functions = list(public_functions(name))
        given = [f"{label}: {one.arg}" for label, function in functions for one in arguments(function) if not one.annotation]
        return given + [f"{label}: what it returns" for label, function in functions if not function.returns]

    assert offenders(MODULES, untyped) == {}


def test_modules_classes_and_public_functions_say_what_they_are():
    def silent(name: str) -> list[str]:
        classes = [(node.name, node) for node in TREES[name].body if isinstance(node, ast.ClassDef)]
        named = [("the module", TREES[name]), *classes, *public_functions(name)]
        return [label for label, node in named if not ast.get_docstring(node)]

    assert offenders(MODULES, silent) == {}


def test_public_functions_say_what_they_take():
    """One argument can be told by the sentence; of a command, the help of each option tells."""

    def silent(name: str) -> list[str]:
        several = [(label, function) for label, function in public_functions(name) if len(arguments(function)) > 1]
        return [label for label, function in several if not has(function, "Parameters") and not refers(function)]

    assert offenders([name for name in MODULES if room(name) != "run.cli"], silent) == {}


def test_public_functions_say_what_they_raise():
    """A section says it, or, of the insides of a room, the sentence."""

    def silent(name: str) -> list[str]:
        functions = [(label, function) for label, function in public_functions(name) if not has(function, "Raises")]
        errors = [(label, error, ast.get_docstring(one) or "") for label, one in functions for error in raised(one)]
        return [f"{label}: {error}" for label, error, said in errors if error not in said]

    assert offenders(MODULES, silent) == {}


def refers(function: ast.FunctionDef) -> bool:
    """Tell whether a docstring says whose parameters are meant."""
    return bool(re.search(r"[Pp]arameters as for `\w+`", ast.get_docstring(function) or ""))


def has(function: ast.FunctionDef, section: str) -> bool:
    """Tell whether a docstring has a section in numpydoc's way."""
    return f"{section}\n{'-' * len(section)}\n" in (ast.get_docstring(function) or "")


def raised(function: ast.FunctionDef) -> set[str]:
    """Return the errors for users that a function itself raises."""
    errors = (node.exc.func for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call))
    return {error.id for error in errors if isinstance(error, ast.Name)} & USER_ERRORS


# ── the door ───────────────────────────────────────────────────────────────────────────────────────
def test_door_is_small_and_every_name_leads_somewhere():
    assert dir(rfm) == sorted([*rfm.__all__, "__version__"])
    assert 12 <= len(rfm.__all__) <= 25
    assert all(getattr(rfm, name) is not None for name in rfm.__all__)
    with pytest.raises(AttributeError, match="'rfm' has no attribute 'metrix'"):
        _ = rfm.metrix


def test_door_tells_type_checkers_what_it_tells_users():
    guarded = next(node for node in TREES[""].body if isinstance(node, ast.If))
    assert ast.unparse(guarded.test) == "TYPE_CHECKING"
    assert {alias.name for node in guarded.body for alias in node.names} == set(rfm.__all__)


def test_door_opens_without_anything_heavy():
    program = "import json, sys, rfm; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = OWNERS.keys() | {"pandas", "numpy"}
    assert (set(json.loads(answer.stdout)) & heavy, answer.stderr) == (set(), "")
