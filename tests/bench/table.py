"""What was measured as rows, and the rows as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from tests.bench.cases import Case
from tests.bench.measure import Measured

PARTS = ("seconds", "kernel", "imports", "work", "rest")
NOTES = """\
Seconds are medians over the runs, each in a fresh process; imports are not in them. A ratio compares medians of this
very run, of cases that were run in turns; results were compared before any time was told. Peak memory is that of the
process, or of the largest process that it started; the memory before the work (libraries, inputs) is part of it."""
SPLIT_NOTES = """\
Split by the times that papermill leaves in the executed notebooks. *kernel*: from the notebook's start to its first
cell and from its last cell to its end; the first stage waits here for the warm process, which imports everything once
for all kernels. *imports*: the cell with the imports and settings; with a warm process they are there already. *work*:
all other code cells. *rest*: parameters, text cells, reading and saving the notebook. *outside*: the whole run less its
stages: the record, digests of the tables, pages, publishing."""


class Row(NamedTuple):
    """One row of the table: seconds, memory in MB, `ratio` how many times faster than `against`."""

    name: str
    what: str
    runs: int
    seconds: float
    low: float
    high: float
    ratio: float | None
    against: str
    rate: float
    unit: str
    peak: float
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
        ratio=median(base) / middle if base else None,
        against=case.against if base else "",
        rate=runs[0]["units"] / middle,
        unit=case.unit,
        peak=max(run["peak"] for run in runs),
        before=median([run["before"] for run in runs]),
        imports=median([run["imports"] for run in runs]),
    )


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
    return [*split, {"stage": "outside", "seconds": median(outside)}]


def markdown(found: Mapping[str, Any]) -> str:
    """Return the report: machine, table, stages.

    Parameters
    ----------
    found
        What goes into the JSON, see `tests.bench.__main__`.
    """
    data, machine = found["data"], found["machine"]
    lines = [
        "# Benchmarks",
        f"{found['date']}, `{found['command']}`. Data: {data['what']}, {data['files']} files, {data['lines']:,} lines, "
        f"{data['first']} to {data['last']}. Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"load average {machine['load']:.1f} before the start{', noisy' if machine['load'] > machine['cores'] / 4 else ''}.",
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".",
        _grid(
            ("name", "what", "runs", "seconds", "least – most", "faster than", "per second", "peak MB", "before MB", "imports s"),
            [_cells(Row(**row)) for row in found["rows"]],
        ),
        NOTES,
    ]
    for name, split in found["stages"].items():
        table = _grid(("stage", *PARTS), [(part["stage"], *(_seconds(part.get(key)) for key in PARTS)) for part in split])
        lines += [f"## Stages of {name}", table]
    return "\n\n".join([*lines, *([SPLIT_NOTES] if found["stages"] else [])]) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    faster = f"{row.ratio:.2f} × {row.against}" if row.ratio else ""
    spread = f"{_seconds(row.low)} – {_seconds(row.high)}"
    rate = f"{row.rate:,.{0 if row.rate >= 10 else 2}f} {row.unit}" if row.unit else ""
    memory = f"{row.peak:,.0f}", f"{row.before:,.0f}"
    return row.name, row.what, str(row.runs), _seconds(row.seconds), spread, faster, rate, *memory, _seconds(row.imports)


def _seconds(value: float | None) -> str:
    """Return seconds with as many digits as mean something."""
    return "" if value is None else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _grid(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *body))
