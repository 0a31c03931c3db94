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
them all; `stages` holds the calls of each. `show` shows a frame as people read it; `example` gives any table of an
invented shop, to try things on:

>>> import rfm
>>> gold = rfm.example("customer_rfm_gold")
>>> rfm.segments.medians_of(gold)
{'Monetary': 117.375, 'Frequency': 2.0, 'Recency': 8.0}
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_MODULES = {
    "ingest": "rfm.lake.ingest",
    "exclusions": "rfm.analysis.outliers",
    "quality": "rfm.analysis.quality",
    "segments": "rfm.analysis.segments",
    "movement": "rfm.analysis.movement",
    "figures": "rfm.analysis.figures",
    "stages": "rfm.pipeline.stages",
}  # name: the module it is
_NAMES = {
    "load_settings": "rfm.settings",
    "run_date": "rfm.pipeline.schedule",
    "list_files": "rfm.landing.files",
    "read_files": "rfm.landing.reader",
    "Lake": "rfm.lake.tables",
    "open_lake": "rfm.lake",
    "TABLES": "rfm.schema",
    "RfmError": "rfm.errors",
    "clean": "rfm.analysis.cleaning",
    "judge": "rfm.analysis.cleaning",
    "SEVERITIES": "rfm.analysis.cleaning",
    "rfm_metrics": "rfm.analysis.metrics",
    "outlier_clusters": "rfm.analysis.outliers",
    "cluster": "rfm.analysis.clustering",
    "Model": "rfm.analysis.clustering",
    "keep_model": "rfm.pipeline.models",
    "show": "rfm.analysis.formatting",
    "example": "rfm.datasets",
    "__version__": "rfm.config",
}  # name: the module that defines it
_RENAMED = {
    "intake": "rfm.ingest, and unseen, ingest, pending, settle, finish are new_files, write_bronze, files_to_clean, "
    "write_silver, clear_restatements there"
}
__all__ = [name for name in (*_NAMES, *_MODULES) if name != "__version__"]

if TYPE_CHECKING:
    from rfm.analysis import figures, movement, quality, segments
    from rfm.analysis import outliers as exclusions
    from rfm.analysis.cleaning import SEVERITIES, clean, judge
    from rfm.analysis.clustering import Model, cluster
    from rfm.analysis.formatting import show
    from rfm.analysis.metrics import rfm_metrics
    from rfm.analysis.outliers import outlier_clusters
    from rfm.config import VERSION as __version__
    from rfm.datasets import example
    from rfm.errors import RfmError
    from rfm.lake import Lake, ingest, open_lake
    from rfm.landing.files import list_files
    from rfm.landing.reader import read_files
    from rfm.pipeline import stages
    from rfm.pipeline.models import keep_model
    from rfm.pipeline.schedule import run_date
    from rfm.schema import TABLES
    from rfm.settings import load_settings


def __getattr__(name: str) -> Any:
    """Import what a name stands for when it is first used, so that ``import rfm`` is quick and quiet."""
    if name in _RENAMED:
        raise AttributeError(f"rfm.{name} is now {_RENAMED[name]}")
    if name in _MODULES:
        value = import_module(_MODULES[name])
    elif name in _NAMES:
        value = getattr(import_module(_NAMES[name]), "VERSION" if name == "__version__" else name)
    else:
        raise AttributeError(f"module 'rfm' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what users may use."""
    return [*__all__, "__version__"]
