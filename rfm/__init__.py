"""rfm: daily sales files in, a segment and an action for each customer out.

The road, in order; each name below is where a sales line passes:

1. **bronze**    `list_files`, `read_files`: daily files become rows of text, nothing lost
2. **silver**    `clean`, `judge`, `quality`: text becomes types, refused rows go to the quarantine with reasons
3. **gold**      `rfm_metrics`: one row a customer with recency, frequency and monetary value
4. **clusters**  `outlier_clusters`, `exclusions`, `cluster`, `Model`: customers who behave alike
5. **segments**  `segments`, `keep_model`: a name, a tier and an action for each cluster; the model kept; `movement`
6. **report**    `figures`: the pictures of all that

`open_lake` opens the `Lake` that keeps the tables of every stage, `TABLES` is their contract, `load_settings` and
`run_date` say what and as of when. Every stage is also a notebook, and ``rfm daily`` on the command line runs
them all. `show` shows a frame as people read it; `example` gives any table of an
invented shop, to try things on:

>>> import rfm
>>> gold = rfm.example("customer_rfm_gold")
>>> rfm.segments.medians_of(gold)
{'Monetary': 117.375, 'Frequency': 2.0, 'Recency': 8.0}
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "load_settings": "rfm.settings",
    "run_date": "rfm.run.run_date",
    "list_files": "rfm.io.landing",
    "read_files": "rfm.io.landing",
    "Lake": "rfm.io.lake",
    "open_lake": "rfm.run.lakes",
    "intake": "rfm.io.lake",
    "TABLES": "rfm.schema",
    "RfmError": "rfm.schema",
    "clean": "rfm.core.cleaning",
    "judge": "rfm.core.cleaning",
    "SEVERITIES": "rfm.core.cleaning",
    "rfm_metrics": "rfm.core.metrics",
    "outlier_clusters": "rfm.core.outliers",
    "exclusions": "rfm.core",
    "cluster": "rfm.core.clustering",
    "Model": "rfm.core.clustering",
    "keep_model": "rfm.run.models",
    "quality": "rfm.core",
    "segments": "rfm.core",
    "movement": "rfm.core",
    "figures": "rfm.core",
    "show": "rfm.core.show",
    "example": "rfm.run.example",
}
__all__ = list(_WHERE)

if TYPE_CHECKING:
    from rfm.core import exclusions, figures, movement, quality, segments
    from rfm.core.cleaning import SEVERITIES, clean, judge
    from rfm.core.clustering import Model, cluster
    from rfm.core.metrics import rfm_metrics
    from rfm.core.outliers import outlier_clusters
    from rfm.core.show import show
    from rfm.io.lake import Lake, intake
    from rfm.io.landing import list_files, read_files
    from rfm.run.example import example
    from rfm.run.lakes import open_lake
    from rfm.run.models import keep_model
    from rfm.run.run_date import run_date
    from rfm.schema import TABLES, RfmError
    from rfm.settings import load_settings


def __getattr__(name: str) -> Any:
    """Import what a name stands for when it is first used, so that ``import rfm`` is quick and quiet."""
    if name not in _WHERE:
        raise AttributeError(f"module 'rfm' has no attribute '{name}'")
    where = _WHERE[name]
    value = import_module(f"{where}.{name}") if where == "rfm.core" else getattr(import_module(where), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what users may use."""
    return [*__all__, "__version__"]
