"""`notebooks/REFERENCE.md`, `rfm/schema.json` and `rfm.example.toml`, made from settings, commands, docstrings and tables."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import typer.main
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import rfm
from rfm.analysis import backtest, migration
from rfm.cli.options import app
from rfm.contracts import POLARS_TYPES, TABLES, Column
from rfm.datasets import sample
from rfm.dialect import Section
from rfm.pipeline import backfill
from rfm.schema import MODELS, TableModel
from rfm.settings import PATHS, Settings

HEAD = """\
# Reference

Made from the code by `python tests/test_docs.py`; a test compares. How to do things is in [README.md](README.md).

* [Settings](#settings): every line that `rfm.toml` can have
* [Commands](#commands): every verb of `rfm`, with its options
* [The library](#the-library): what `import rfm` gives to a notebook
* [Tables](#tables): every table of the lake, with its columns
"""
NOTEBOOK_MODULES = (backtest, backfill, migration, sample)
"""Modules that notebooks import in addition to `rfm`, and the one that says what is expected of the states."""
KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
LIMITS = {"ge": "{} or more", "gt": "above {}", "le": "{} or less", "lt": "below {}"}


# ── settings ───────────────────────────────────────────────────────────────────────────────────────
def settings() -> Iterator[str]:
    """Yield the settings, section by section: name, type, default, meaning."""
    yield "## Settings\n"
    yield (
        "The command line wins over the environment (`RFM_LANDING`, `RFM_CLUSTERS__SEED` …: two underscores between section\n"
        "and name), the environment over `rfm.toml`, and that over the defaults here.\n"
    )
    fields = Settings.model_fields
    alone = {name: field for name, field in fields.items() if not isinstance(field.default, Section | dict)}
    yield from table("At the top of the file", "", alone)
    for name, field in fields.items():
        if isinstance(field.default, Section):
            said = first_sentence(type(field.default)).split(": `[")[0].removesuffix(".")
            yield from table(f"[{name}]", said, type(field.default).model_fields)
    for name, field in fields.items():
        if isinstance(field.default, dict):
            values = typing.get_args(field.annotation)[1]
            yield f"### [{name}]\n\n{field.description}; each value is {kind(values, [])}.\n"


def table(heading: str, said: str, fields: dict[str, FieldInfo]) -> Iterator[str]:
    """Yield one section of the settings."""
    yield f"### {heading}\n"
    yield from [f"{said}.\n"] if said else []
    yield "| name | type | default | meaning |\n|---|---|---|---|"
    for name, field in fields.items():
        given = PATHS.get(name, field.default)
        default = "" if given is PydanticUndefined else f"`{written(given)}`"
        yield f"| `{name}` | {cell(kind(field.annotation, field.metadata))} | {cell(default)} | {cell(str(field.description))} |"
    yield ""


def kind(annotation: Any, metadata: list[Any]) -> str:
    """Return a type in the words of rfm.toml, with its limits."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        inner = [one for field in parts[1:] for one in getattr(field, "metadata", [field])]
        return kind(parts[0], [*inner, *metadata])
    if origin is typing.Literal:
        return " or ".join(f"`{written(part)}`" for part in parts)
    if origin is tuple and Ellipsis in parts:
        return f"list of {kind(parts[0], [])}"
    if origin is tuple:
        return f"{len(parts)} × {kind(parts[0], [])}"
    if origin in (typing.Union, types.UnionType):
        return kind(parts[0], metadata)
    limits = [form.format(getattr(one, name)) for one in metadata for name, form in LIMITS.items() if hasattr(one, name)]
    return ", ".join([KINDS.get(annotation, "date"), *limits])


def written(value: Any) -> str:
    """Format a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(written(one) for one in value)}]"
    if isinstance(value, str):
        return f'"{value}"'.replace("\t", "\\t")
    return "" if value is None else str(value)


def cell(text: str) -> str:
    """Escape a text for a table cell."""
    return text.replace("|", "\\|").replace("``", "")


EXAMPLE_HEAD = """\
# The settings of a shop, in the file rfm.toml. `rfm init` writes that file; a copy of rfm.example.toml works as well.
# Each line behind a # shows a default. To change one, remove the # before it, and the # before its [section] if there is one.
# The command line (--date, --landing, --lake, --reports) overrides this file, and so does the environment (RFM_LANDING,
# RFM_CLUSTERS__SEED …).
"""
EXAMPLES = {
    "expectations": 'known_country = "warn"',
    "currencies": "EUR = 1.0",
    "recommendations": '"Champions" = "Our own words for what to do with this segment."',
}


def example() -> str:
    """Return the content of `rfm.example.toml`: every setting with its default, as a comment."""
    fields = Settings.model_fields
    alone = {name: field for name, field in fields.items() if name != "date" and not isinstance(field.default, Section | dict)}
    parts = [EXAMPLE_HEAD, *(setting(name, field) for name, field in alone.items())]
    for name, field in sorted(fields.items(), key=lambda one: one[0] != "shop"):  # what a shop sets first
        if isinstance(field.default, Section):
            said = first_sentence(type(field.default)).split(": `[")[0]
            own = type(field.default).model_fields
            shown = [setting(one, own[one]) for one in own if own[one].default is not None]  # `rfm init` writes the others
        elif isinstance(field.default, dict):
            said = str(field.description)
            shown = [f"# {EXAMPLES[name]}"]
        else:
            continue
        parts += ["", commented(f"[{name}]", said[0].lower() + said[1:]), *shown]
    return "\n".join(parts) + "\n"


def setting(name: str, field: FieldInfo) -> str:
    """Return the line of a setting: its default, its values if there are few, and its meaning."""
    limited = typing.get_origin(field.annotation) is typing.Literal
    choices = f" ({kind(field.annotation, [])})".replace("`", "") if limited else ""
    return commented(f"# {name} = {written(PATHS.get(name, field.default))}", f"{field.description}{choices}")


def commented(line: str, said: str) -> str:
    """Return a line of TOML with a comment."""
    return f"{line:<36}  # {said}"


# ── commands ───────────────────────────────────────────────────────────────────────────────────────
def commands() -> Iterator[str]:
    """Yield the commands with their help, options and examples."""
    yield "## Commands\n"
    group = typer.main.get_command(app)
    yield f"{plain(group.epilog)}. Options of `rfm` itself; --quiet, --verbose and --help may stand after the verb too:\n"
    yield from (told(option) for option in group.params)
    yield ""
    for name, verb in group.commands.items():
        yield f"### rfm {name}\n\n{plain(verb.help)}\n"
        yield from (told(option) for option in verb.params if option.expose_value)
        yield "\n" + ", ".join(f"`{one}`" for one in re.findall(r"`(rfm [^`]*)`", verb.epilog or "")) + "\n"


def told(option: Any) -> str:
    """Return a line about an option or argument: names, type, help, default."""
    names = "/".join(option.opts) if option.param_type_name == "option" else ""
    default = option.show_default if isinstance(option.show_default, str) else option.default
    known = f" Default: {default}." if default not in (None, False) and not callable(default) else ""
    return f"* `{' '.join(filter(None, (names, option.metavar)))}`: {plain(option.help)}{known}"


def plain(text: str | None) -> str:
    """Return a help text on one line."""
    return " ".join((text or "").split())


# ── the library ────────────────────────────────────────────────────────────────────────────────────
def library() -> Iterator[str]:
    """Yield the public names of `rfm`, in the order of the stages."""
    yield "## The library\n"
    yield "Types stand in the code; `rfm.clean?` in a notebook shows the same as here.\n"
    for name in rfm.__all__:
        value = getattr(rfm, name)
        if isinstance(value, ModuleType):
            yield f"### rfm.{name}\n\n{docstring(value)}\n"
            yield from (f"#### {entry(f'rfm.{name}.{part}', one)}" for part, one in members(value))
        elif callable(value):
            yield f"### {entry(f'rfm.{name}', value)}"
            yield from methods(value)
        else:
            yield f"### rfm.{name}\n\nA table as data: {', '.join(f'`{key}`' for key in value)}.\n"


def entry(name: str, value: Any) -> str:
    """Return the entry of a name: its signature and its docstring."""
    return f"{name}\n\n`{name}{signature(value)}`\n\n{docstring(value)}\n"


def methods(value: Any) -> Iterator[str]:
    """Yield the public methods of a class, one line each."""
    own = vars(value).items() if isinstance(value, type) else ()
    said = {name: getattr(value, name) for name, one in own if not name.startswith("_")}
    functions = {name: one for name, one in said.items() if inspect.isroutine(one)}
    yield from (f"* `.{name}{signature(one)}`: {plain(first_sentence(one))}" for name, one in functions.items())
    yield from [""] if functions else []


def callables() -> Iterator[tuple[str, Any]]:
    """Yield the functions, classes and methods that notebooks call, with their names."""
    for module in [rfm, *NOTEBOOK_MODULES, *(one for name in rfm.__all__ if isinstance(one := getattr(rfm, name), ModuleType))]:
        for name, value in members(module):
            if not (isinstance(value, type) and issubclass(value, Exception)):
                yield f"{module.__name__}.{name}", value
                parts = vars(value) if isinstance(value, type) else {}
                yield from ((f"{name}.{part}", one) for part, one in parts.items() if part[0] != "_" and inspect.isfunction(one))


def members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and classes of a module or, for a package, of its modules."""
    for name in getattr(module, "__all__", vars(module)):
        value = getattr(module, name)
        here = getattr(value, "__module__", "") == module.__name__ or hasattr(module, "__all__")
        if not name.startswith("_") and here and callable(value):
            yield name, value


def signature(value: Any) -> str:
    """Return the parameters of a function or class, with defaults; empty for an error class."""
    if isinstance(value, type) and issubclass(value, Exception):
        return ""
    taken = inspect.signature(value).parameters.values()
    shown = [one.replace(annotation=one.empty) for one in taken if one.name != "self"]
    return str(inspect.Signature(shown))


def docstring(value: Any) -> str:
    """Convert a numpydoc docstring to Markdown: sections as lists, examples as code."""
    said, *sections = re.split(r"\n*^(\w+)\n-{3,}\n", inspect.getdoc(value) or "", flags=re.MULTILINE)
    parts = [f"**{name}**\n\n{body(name, text)}" for name, text in zip(sections[::2], sections[1::2], strict=True)]
    return "\n\n".join([fenced(said).replace("``", "`"), *parts]).rstrip()


def fenced(text: str) -> str:
    """Move examples in the prose into a code block."""
    return re.sub(r"((?:^>>> .*\n?)(?:^\S.*\n?)*)", r"```python\n\1\n```", text, flags=re.MULTILINE) if ">>> " in text else text


def body(name: str, text: str) -> str:
    """Return one section of a docstring."""
    if name == "Examples":
        return f"```python\n{text.rstrip()}\n```"
    entries = re.findall(r"^(\S.*)\n((?:[ ]+.*\n?|\n)*)", text + "\n", flags=re.MULTILINE)
    told = (f"* `{head}`: {plain(lines)}" if lines.strip() else f"* {head}" for head, lines in entries)
    return "\n".join(told).replace("``", "`")


def first_sentence(value: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    return plain((inspect.getdoc(value) or "").split("\n\n", 1)[0]).replace("``", "`")


# ── tables ─────────────────────────────────────────────────────────────────────────────────────────
def tables() -> Iterator[str]:
    """Yield the tables: the meaning of a row, the key, and each column with type, unit and meaning."""
    yield "## Tables\n"
    yield (
        "In the order of the road. `rfm.TABLES` holds the same as data, `rfm.schema.MODELS` as pandera models; every write is\n"
        "checked against them. Columns of the key are bold; in columns with *null* values may be missing.\n"
    )
    for one in TABLES.values():
        key = f"; the key is {' + '.join(f'`{name}`' for name in one.key)}" if one.key else "; rows may repeat"
        yield f"### {one.name}\n\nOne row is {one.grain}{key}.\n"
        yield "| column | type | unit | null | limits | meaning |\n|---|---|---|---|---|---|"
        for column in one.columns:
            name = f"**{column.name}**" if column.name in one.key else column.name
            null = "null" if column.nullable else ""
            yield f"| {name} | {column.type} | {column.unit} | {null} | {limits(column)} | {cell(column.meaning)} |"
        yield ""


def limits(column: Column) -> str:
    """Return the bounds of a column."""
    low, high = (None if bound is None else f"{bound:g}" for bound in column.bounds)
    bounds = f"{low} to {high}" if low and high else f"{low} or more" if low else f"{high} or less" if high else ""
    return bounds + (f" unless {column.unless}" if column.unless else "")


def described() -> str:
    """Return the content of `rfm/schema.json`: the models without pandera, one line per column."""
    return "{\n" + ",\n".join(_described(name, model) for name, model in MODELS.items()) + "\n}\n"


def _described(name: str, model: type[TableModel]) -> str:
    schema = model.to_schema()
    grain = str(schema.description)
    lines = ",\n  ".join(json.dumps(_column(one), ensure_ascii=False) for one in schema.columns.values())
    head = json.dumps({"grain": f"{grain[0].lower()}{grain[1:].removesuffix('.')}", "key": schema.unique or []})
    return f'"{name}": {head[:-1]}, "columns": [\n  {lines}\n]}}'


def _column(column: Any) -> dict[str, Any]:
    """Return a column of a pandera schema as arguments of `rfm.contracts.Column`, without defaults."""
    dtype, asked = column.dtype.type, {key: value for rule in column.checks for key, value in rule.statistics.items()}
    sql = {polars: name for name, polars in POLARS_TYPES.items()} | {"Datetime": "TIMESTAMP"}
    name = str(dtype.base_type())
    known = {
        "name": column.name,
        "type": f"DECIMAL({dtype.precision},{dtype.scale})" if name == "Decimal" else sql[name],
        "meaning": column.description,
        "nullable": column.nullable,
        "unit": (column.metadata or {}).get("unit"),
        "bounds": [asked.get("min_value"), asked.get("max_value")] if asked else None,
        "unless": asked.get("unless"),
    }
    return {key: value for key, value in known.items() if value}


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *settings(), *commands(), *library(), *tables()]).rstrip() + "\n"
