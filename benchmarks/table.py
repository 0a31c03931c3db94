"""What was measured as rows, and the rows as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log
from statistics import linear_regression, median
from typing import Any, NamedTuple

from benchmarks.cases import Case
from benchmarks.measure import Measured

MEMORY = ("peak MB", "all processes MB", "before MB")
PARTS = ("seconds", "kernel", "imports", "work", "rest")
NOTES = """\
Seconds are medians over the runs, each in a fresh process; imports are not in them. *CPU s* is what all cores worked in them
(median), which tells more where others use the machine. A ratio compares medians of this
very run, of cases that were run in turns; results were compared before any time was told. *peak* is the most memory (resident,
as the system counts it) of the process, or of the largest one that it started, with libraries and inputs, which *before* tells;
*all processes* is the sum over the process and all that it started, looked at ten times a second, shared pages once."""
GROWTH_NOTES = """\
Seconds ~ units to the power of *seconds*, by least squares of the logarithms: 1 is twice the time for twice the data.
The same for the peak memory."""
SPLIT_NOTES = """\
Split as in `run.json`, by the times that papermill leaves in the executed notebooks. *kernel*: waiting for it, from the
notebook's start to its first cell and from its last cell to its end; the first stage waits here for the warm process,
which imports everything once for all kernels. *imports*: the cell with the imports and settings; with a warm process
they are there already. *work*: all other code cells. *rest*: parameters, text cells, reading and saving the notebook.
*outside*: the whole command less its stages: its own start and imports, the record, digests of the tables, and what is
left of pages and exports, most of which are made beside the stages. *overhead*: the whole command less all *work*."""


class Row(NamedTuple):
    """One row of the table: seconds, memory in MB, `ratio` how many times faster than `against`."""

    name: str
    what: str
    runs: int
    seconds: float
    low: float
    high: float
    cpu: float
    ratio: float | None
    cpu_ratio: float | None
    against: str
    rate: float
    unit: str
    peak: float
    tree: float
    before: float
    imports: float


def rows(cases: Sequence[Case], measured: Measured) -> list[Row]:
    """Return a row a case; a ratio only where the baseline was measured in the same run."""
    return [_row(case, measured) for case in cases]


def _row(case: Case, measured: Measured) -> Row:
    """Return the row of one case."""
    runs = measured[case.name]
    seconds = [run["seconds"] for run in runs]
    middle, base = median(seconds), [run["seconds"] for run in measured.get(case.against, [])]
    return Row(
        *(case.name, case.what, len(runs), middle, min(seconds), max(seconds)),
        cpu=_cpu(runs),
        ratio=median(base) / middle if base else None,
        cpu_ratio=_cpu(measured[case.against]) / _cpu(runs) if base else None,
        against=case.against if base else "",
        rate=runs[0]["units"] / middle,
        unit=case.unit,
        peak=max(run["peak"] for run in runs),
        tree=max(run["tree"] for run in runs),
        before=median([run["before"] for run in runs]),
        imports=median([run["imports"] for run in runs]),
    )


def _cpu(runs: Sequence[Mapping[str, Any]]) -> float:
    """Return the median of the seconds that the cores worked; never 0."""
    return max(median([run["cpu"] for run in runs]), 0.01)


def growth(cases: Sequence[Case], measured: Measured) -> dict[str, dict[str, float]]:
    """Return, for each series of several sizes, the exponents by which seconds and peak memory grow with the units."""
    sizes: dict[str, list[tuple[int, float, float]]] = {}
    for case in cases:
        runs = measured[case.name]
        size = runs[0]["units"], median([run["seconds"] for run in runs]), max(run["peak"] for run in runs)
        sizes.setdefault(case.series, []).append(size)
    several = {name: list(zip(*found, strict=True)) for name, found in sizes.items() if name and len(found) > 1}
    return {
        name: {"seconds": _exponent(units, seconds), "memory": _exponent(units, peaks)}
        for name, (units, seconds, peaks) in several.items()
    }


def _exponent(units: Sequence[float], found: Sequence[float]) -> float:
    """Return the slope of the logarithms."""
    return linear_regression([log(each) for each in units], [log(each) for each in found]).slope


def stages(measured: Measured) -> dict[str, list[dict[str, Any]]]:
    """Return, for each case with stages, the median of each part of each stage, and what lay outside them."""
    return {name: _stages(runs) for name, runs in measured.items() if runs[0]["stages"]}


def _stages(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the medians of one case."""
    split = [
        {"stage": first["stage"]} | {part: median([run["stages"][i][part] for run in runs]) for part in PARTS}
        for i, first in enumerate(runs[0]["stages"])
    ]
    outside = [run["seconds"] - sum(stage["seconds"] for stage in run["stages"]) for run in runs]
    overhead = [run["seconds"] - sum(stage["work"] for stage in run["stages"]) for run in runs]
    return [*split, {"stage": "outside", "seconds": median(outside)}, {"stage": "overhead", "seconds": median(overhead)}]


def markdown(found: Mapping[str, Any]) -> str:
    """Return the report: machine, table, stages.

    Parameters
    ----------
    found
        What goes into the JSON, see `benchmarks.__main__`.
    """
    data, machine = found["data"], found["machine"]
    lines = [
        "# Benchmarks",
        f"{found['date']}, `{found['command']}`. Data: {data['what']}, {data['files']} files, {data['lines']:,} lines, "
        f"{data['first']} to {data['last']}. Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"load average {machine['load']:.1f} before the start{', noisy' if machine['load'] > machine['cores'] / 4 else ''}.",
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".",
        _grid(
            ("name", "what", "runs", "seconds", "least – most", "CPU s", "faster than", "per second", *MEMORY, "imports s"),
            [_cells(Row(**row)) for row in found["rows"]],
        ),
        NOTES,
    ]
    if found["growth"]:
        grown = [(name, *(f"{each:.2f}" for each in fitted.values())) for name, fitted in found["growth"].items()]
        lines += ["## Growth", _grid(("series", "seconds", "memory"), grown), GROWTH_NOTES]
    for name, split in found["stages"].items():
        table = _grid(("stage", *PARTS), [(part["stage"], *(_seconds(part.get(key)) for key in PARTS)) for part in split])
        lines += [f"## Stages of {name}", table]
    return "\n\n".join([*lines, *([SPLIT_NOTES] if found["stages"] else [])]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    faster = f"{row.ratio:.2f} × {row.against} (CPU {row.cpu_ratio:.2f} ×)" if row.ratio else ""
    spread = f"{_seconds(row.low)} – {_seconds(row.high)}"
    rate = f"{row.rate:,.{0 if row.rate >= 10 else 2}f} {row.unit}" if row.unit else ""
    memory = f"{row.peak:,.0f}", f"{row.tree:,.0f}", f"{row.before:,.0f}"
    return (
        row.name,
        row.what,
        str(row.runs),
        _seconds(row.seconds),
        spread,
        _seconds(row.cpu),
        faster,
        rate,
        *memory,
        _seconds(row.imports),
    )


def _seconds(value: float | None) -> str:
    """Return seconds with as many digits as mean something."""
    return "" if value is None else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _grid(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body))
