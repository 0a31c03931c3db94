"""What is measured, as data: a further benchmark is a further row of `CASES`.

Only the standard library is imported here: the driver must stay small, because Linux hands the peak memory of
a parent on to its children.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Inputs(NamedTuple):
    """What a benchmark is given: a folder with all that was prepared, and the days to backfill (0: all)."""

    folder: Path
    days: int

    @property
    def landing(self) -> Path:
        """The folder with the daily files."""
        return (self.folder / "landing").resolve()

    @property
    def files(self) -> list[Path]:
        """The daily files, oldest first."""
        return sorted(self.landing.rglob("*_transactions.csv"), key=lambda path: path.name)

    def day(self, place: int = -1) -> dt.date:
        """Return the date in the name of a file; the newest if no place is given."""
        found = DATE.search(self.files[place].name)
        return dt.date.fromisoformat(found[0] if found else "")


class Outcome(NamedTuple):
    """What a measured thing found.

    Parameters
    ----------
    same
        Figures that must be equal in every run of every case with the same `Case.agree`.
    units
        How many of `Case.unit` were worked on.
    stages
        Seconds of the parts, if it has parts.
    """

    same: dict[str, Any]
    units: int
    stages: list[dict[str, Any]] = []


Work = tuple[Callable[[], Any], Callable[[Any], Outcome]]
"""What a benchmark's function returns: the call that is timed, and what makes an outcome of its value."""


class Case(NamedTuple):
    """One row of the table.

    Parameters
    ----------
    name
        ``block.name``; the cases of a block are measured in turns.
    what
        In words, for the table.
    make
        ``module:function``; called with the inputs, an empty folder and `options`, it returns `Work`.
    imports
        Modules imported first: their seconds are reported, but not counted.
    unit
        What is counted; empty where a rate means nothing.
    agree
        Cases with the same text must find the same; a case's own runs always must.
    against
        Name of the baseline; the ratio is taken in the same run.
    needs
        What must be prepared, a key of `PREPARATIONS`.
    options
        Further arguments of the function.
    full
        Measured with ``--full`` only.
    series
        Cases of the same work at several sizes: how seconds and memory grow is fitted.
    python
        Environment, a key of `PYTHONS`; the project's own if not given.
    """

    name: str
    what: str
    make: str
    imports: tuple[str, ...]
    unit: str
    agree: str = ""
    against: str = ""
    needs: str = ""
    options: Mapping[str, Any] = {}
    full: bool = False
    series: str = ""
    python: str = ""

    @property
    def block(self) -> str:
        """The part of the name before the dot."""
        return self.name.split(".")[0]


PEERS = ROOT / ".bench"
PYTHONS = {"": Path(sys.executable), "peers": PEERS / "bin" / "python"}

PREPARATIONS = {
    "landing": "benchmarks.data:landing",
    "customers": "benchmarks.kmeans:customers",
    "before": "benchmarks.runs:before",
    "grown": "benchmarks.growth:grown",
    "landing10": "benchmarks.larger:ten",
    "landing100": "benchmarks.larger:hundred",
    "lake1": "benchmarks.larger:lake",
    "lake10m": "benchmarks.larger:ten_million",
    "before10": "benchmarks.larger:before_ten",
    "sampled": "benchmarks.larger:sampled",
    "silver": "benchmarks.spark:silver",
}

_CORE = ("polars", "pandas", "rfm.analysis.cleaning", "rfm.analysis.metrics", "rfm.landing.reader")
_LAKE = (*_CORE, "rfm.lake.ingest", "pandera.polars", "pandera.backends.polars.container")
_K = (
    "pandas",
    "rfm.analysis.clustering",
    "sklearn.cluster",
    "sklearn.metrics",
    "sklearn.preprocessing",
    "scipy.spatial.distance",
)

_POLARS = ("polars", "rfm.analysis.metrics", "rfm.lake")


def _peers(block: str, what: str, lake: str, full: bool) -> tuple[Case, ...]:
    """Return ours and all others of one size; whoever is against ours tells how many times as fast it is."""
    rows = (
        ("ours", "ours", _POLARS, ""),
        ("polars", "Polars by hand", ("polars",), ""),
        ("duckdb", "DuckDB SQL by hand", ("duckdb", "pandas", "pyarrow"), ""),
        ("openretailscience", "openretailscience", ("openretailscience.segmentation.rfm", "ibis.backends.duckdb"), "peers"),
        ("pandas", "pandas by hand", ("pandas", "pyarrow.parquet"), ""),
        ("lifetimes", "lifetimes", ("lifetimes.utils", "pyarrow.parquet"), "peers"),
    )
    against = lambda name: "" if name == "ours" else f"{block}.ours"
    given = {"needs": lake, "options": {"lake": lake}, "full": full}
    return tuple(
        Case(
            f"{block}.{name}", f"{what}, {who}", f"benchmarks.peers:{name}", imports, "lines", block, against(name), **given
        )._replace(series=f"silver → RFM, {who}", python=python)
        for name, who, imports, python in rows
    )


CASES: tuple[Case, ...] = (
    Case("daily.empty", "daily run, all files into an empty lake", "benchmarks.runs:daily", (), "", "gold"),
    Case(
        *("daily.backfill", "`rfm backfill` of the last day", "benchmarks.runs:backfill_day", (), "", "gold"),
        needs="before",
        options={"start": "before"},
    ),
    Case(
        *("daily.normal", "daily run, only the last day is new", "benchmarks.runs:daily", (), "", "gold"),
        against="daily.backfill",
        needs="before",
        options={"start": "before"},
    ),
    Case(
        *("daily.fresh", "the same with ordinary kernels", "benchmarks.runs:daily", (), "", "gold"),
        against="daily.normal",
        needs="before",
        options={"start": "before", "kernels": "fresh"},
        full=True,
    ),
    Case(
        *("daily.tenfold", "the same with ten times the history", "benchmarks.runs:daily", (), ""),
        against="daily.normal",
        needs="before10",
        options={"start": "before10", "landing": "landing_then_one"},
        full=True,
    ),
    Case(
        *("daily.sample", "daily run, the built-in sample into an empty lake", "benchmarks.runs:daily", (), ""),
        needs="sampled",
        options={"landing": "sampled"},
    ),
    Case("check.million", "`rfm check` of an unknown shop, 1,000,000 lines", "benchmarks.runs:check", (), "lines"),
    Case("gold.exact", "CSV → gold, pandas, the same work", "benchmarks.gold:exact", ("pandas",), "lines", "gold"),
    Case(
        *("gold.plain", "CSV → gold, pandas, floats and no quarantine", "benchmarks.gold:plain", ("pandas",), "lines", "gold"),
        against="gold.exact",
    ),
    Case("gold.polars", "CSV → gold, Polars", "benchmarks.gold:on_polars", _CORE, "lines", "gold", "gold.exact"),
    Case("gold.delta", "CSV → Delta lake → gold, Polars", "benchmarks.gold:on_delta", _LAKE, "lines", "gold", "gold.exact"),
    Case(
        *("gold.pandas", "CSV → gold, our core on pandas", "benchmarks.gold:on_pandas", ("pandas", *_CORE), "lines", "gold"),
        against="gold.exact",
    ),
    Case(
        *("scale.1", "CSV → Delta lake → gold", "benchmarks.gold:on_delta", _LAKE, "lines", "gold"),
        full=True,
        series="CSV → Delta lake → gold",
    ),
    Case(
        *("scale.10", "the same, every day ten times over", "benchmarks.gold:on_delta", _LAKE, "lines"),
        needs="landing10",
        options={"landing": "landing10"},
        full=True,
        series="CSV → Delta lake → gold",
    ),
    Case(
        *("scale.100", "the same, 52 million lines", "benchmarks.gold:on_delta", _LAKE, "lines"),
        needs="landing100",
        options={"landing": "landing100"},
        full=True,
        series="CSV → Delta lake → gold",
    ),
    *_peers("rfm", "silver → RFM", "lake1", full=False),
    *_peers("rfm10m", "10 million lines → RFM", "lake10m", full=True),
    Case("k.plain", "choosing k, plain loop", "benchmarks.kmeans:plain", _K, "customers", "k", needs="customers"),
    Case("k.ours", "choosing k", "benchmarks.kmeans:ours", _K, "customers", "k", "k.plain", "customers"),
    Case(
        *("k20000.plain", "the same of 20,000 customers, plain loop", "benchmarks.kmeans:plain", _K, "customers", "k20000"),
        needs="customers",
        options={"size": 20_000},
        full=True,
    ),
    Case(
        *("k20000.ours", "the same of 20,000 customers", "benchmarks.kmeans:ours", _K, "customers", "k20000", "k20000.plain"),
        needs="customers",
        options={"size": 20_000},
        full=True,
    ),
    Case(
        *("k1m.ours", "the same of 1,000,000 customers", "benchmarks.kmeans:ours", _K, "customers"),
        needs="customers",
        options={"size": 1_000_000},
        full=True,
    ),
    Case(
        *("silhouettes.plain", "eleven silhouettes, plain loop", "benchmarks.kmeans:plain_silhouettes", _K, "customers"),
        agree="silhouettes",
        needs="customers",
    ),
    Case(
        *("silhouettes.ours", "eleven silhouettes, one pass", "benchmarks.kmeans:our_silhouettes", _K, "customers"),
        agree="silhouettes",
        against="silhouettes.plain",
        needs="customers",
    ),
    Case(
        "backfill.days",
        "backfill without notebooks",
        "benchmarks.runs:backfill",
        (*_LAKE, *_K, "rfm.pipeline.backfill"),
        "days",
        "gold",
    ),
    Case(
        *(
            "growth.short",
            "ingest and clean after 20 days",
            "benchmarks.growth:days",
            (*_LAKE, "rfm.pipeline.backfill"),
            "days",
        ),
        agree="growth",
        needs="grown",
        options={"start": "short"},
        full=True,
    ),
    Case(
        *("growth.long", "the same after 240 days", "benchmarks.growth:days", (*_LAKE, "rfm.pipeline.backfill"), "days"),
        agree="growth",
        against="growth.short",
        needs="grown",
        options={"start": "long"},
        full=True,
    ),
    Case("sample.60k", "sample maker, 60,000 lines", "benchmarks.runs:sample", ("rfm.datasets.sample",), "lines"),
    Case(
        *("sample.1m", "sample maker, 1,000,000 lines", "benchmarks.runs:sample", ("rfm.datasets.sample",), "lines"),
        options={"lines": 1_000_000, "customers": 15_000},
    ),
    Case(
        *("spark.polars", "Parquet → gold, Polars", "benchmarks.spark:on_polars", _CORE, "lines", "spark"),
        needs="silver",
        full=True,
    ),
    Case(
        *("spark.sail", "the same on Sail", "benchmarks.spark:on_sail", (*_CORE, "rfm.lake.spark"), "lines", "spark"),
        against="spark.polars",
        needs="silver",
        full=True,
    ),
    Case(
        *("spark.classic", "the same on classic Spark", "benchmarks.spark:on_classic", (), "lines", "spark"),
        against="spark.polars",
        needs="silver",
        full=True,
    ),
    Case(
        *("spark.daily", "daily run on Sail, only the last day is new", "benchmarks.spark:daily", (), "", "gold"),
        against="daily.normal",
        needs="before",
        full=True,
    ),
)


def chosen(only: list[str], full: bool) -> list[Case]:
    """Return the cases that were named, by block or in full; all but the long ones if none was.

    Raises
    ------
    ValueError
        If a name is neither a case nor a block.
    """
    if strange := [name for name in only if not any(name in (case.name, case.block) for case in CASES)]:
        raise ValueError(f"no benchmark {strange[0]}; there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if (case.name in only or case.block in only if only else full or not case.full)]
