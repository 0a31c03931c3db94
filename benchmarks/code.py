"""Measure the library's code: files, lines, docstrings, lengths and imports. `make stats` prints the figures.

The figures show whether the code still fits the plan in ARCHITECTURE.md; `tests/test_architecture.py` holds the limits.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "rfm"
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef


def module_name(path: Path) -> str:
    """Return the dotted name of a module without the leading `rfm.`; the door is empty."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


@cache
def imports_of(name: str) -> set[str]:
    """Return the modules of rfm that a module imports, wherever it does; a package stands for its `__init__`."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one.removeprefix("rfm.") in FILES else str(node.module) for one in whole}
    return {one.removeprefix("rfm").removeprefix(".") for one in found if one.split(".")[0] == "rfm"}


def circles() -> list[list[str]]:
    """Return groups of modules that import each other, directly or through others (strongly connected components)."""
    reached = {name: _reached(name) for name in TREES}
    groups = {frozenset(b for b in reached[a] if a in reached[b]) for a in TREES}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reached(start: str) -> set[str]:
    """Return every module that a module imports, directly or through others."""
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in imports_of(todo.pop()) & TREES.keys() - found:
            found.add(name)
            todo.append(name)
    return found


def imported_once() -> list[str]:
    """Return the modules, without packages' `__init__`, that exactly one other module imports."""
    used = Counter(target for name in TREES for target in imports_of(name) if target != name)
    return sorted(name for name, path in FILES.items() if path.name != "__init__.py" and used[name] == 1)


def functions(name: str) -> Iterator[tuple[str, int]]:
    """Yield the functions and methods of a module with their lines, without the docstring."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name}.{node.name}", node.end_lineno - node.lineno + 1 - _docstring(node)  # type: ignore[operator]


def _docstring(node: ast.AST) -> int:
    """Return the lines of the docstring of a module, a class or a function."""
    first = node.body[0] if isinstance(node, DOCUMENTED) and node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return first.end_lineno - first.lineno + 1  # type: ignore[operator]
    return 0


def lines(name: str) -> int:
    """Return the lines of a module."""
    return len(FILES[name].read_text(encoding="utf-8").splitlines())


def main() -> None:
    """Print the figures."""
    longest = max((lines(name), name) for name in FILES)
    function, length = max((one for name in FILES for one in functions(name)), key=lambda one: one[1])
    modules = [name for name, path in FILES.items() if path.name != "__init__.py"]
    once = imported_once()
    print(f"Python files in rfm/      {len(FILES)}")
    print(f"lines                     {sum(map(lines, FILES)):,}")
    print(f"  of them docstrings      {sum(_docstring(node) for tree in TREES.values() for node in ast.walk(tree)):,}")
    print(f"longest module            {longest[0]} ({longest[1]})")
    print(f"longest function          {length} ({function})")
    print(f"imported by one other     {len(once)} of {len(modules)} modules, {len(once) / len(modules):.0%}")
    print(f"import circles            {len(circles())}")


if __name__ == "__main__":
    main()
