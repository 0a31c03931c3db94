"""rfm turns daily sales files into customer segments and a recommended action for every customer.

In the order in which a sales line passes:

1. **bronze**    `list_files`, `read_files`: daily files become rows of text; none is lost
2. **silver**    `clean`, `judge`, `quality`: text becomes types; rejected rows go to the quarantine with reasons
3. **gold**      `rfm_metrics`: recency, frequency and monetary value per customer
4. **clusters**  `outlier_clusters`, `exclusions`, `cluster`, `Model`: groups of customers with similar behaviour
5. **segments**  `segments`, `keep_model`: name, tier and action of each cluster; the saved model; `movement`
6. **states**    `states`: the rhythm and the state of each customer, whom to call
7. **report**    `figures`: charts of all results

`open_lake` opens the `Lake` with the tables of all stages, `TABLES` describes them; `load_settings` and `run_date`
give the settings and the day. ``rfm daily`` runs all stages, each of which is also a notebook; `stages` has the
calls of each. `show` formats a frame for readers; `example` returns any table of a sample shop:

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
    "states": "rfm.analysis.states",
    "figures": "rfm.analysis.figures",
    "schema": "rfm.schema",
    "stages": "rfm.pipeline.stages",
}  # name: its module
_NAMES = {
    "load_settings": "rfm.settings",
    "run_date": "rfm.pipeline.schedule",
    "list_files": "rfm.landing.files",
    "read_files": "rfm.landing.reader",
    "Lake": "rfm.lake.tables",
    "open_lake": "rfm.lake",
    "TABLES": "rfm.contracts",
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
_INTAKE = "unseen, ingest, pending, settle, finish are new_files, write_bronze, files_to_clean, write_silver, clear_restatements"
__all__ = [name for name in (*_NAMES, *_MODULES) if name != "__version__"]

if TYPE_CHECKING:
    from rfm import schema
    from rfm.analysis import figures, movement, quality, segments, states
    from rfm.analysis import outliers as exclusions
    from rfm.analysis.cleaning import SEVERITIES, clean, judge
    from rfm.analysis.clustering import Model, cluster
    from rfm.analysis.formatting import show
    from rfm.analysis.metrics import rfm_metrics
    from rfm.analysis.outliers import outlier_clusters
    from rfm.config import VERSION as __version__
    from rfm.contracts import TABLES
    from rfm.datasets import example
    from rfm.errors import RfmError
    from rfm.lake import Lake, ingest, open_lake
    from rfm.landing.files import list_files
    from rfm.landing.reader import read_files
    from rfm.pipeline import stages
    from rfm.pipeline.models import keep_model
    from rfm.pipeline.schedule import run_date
    from rfm.settings import load_settings


def __getattr__(name: str) -> Any:
    """Import a name on first use, so that ``import rfm`` stays quick."""
    if name == "intake":
        raise AttributeError(f"rfm.intake is now rfm.ingest, and {_INTAKE} there")
    if name in _MODULES:
        value = import_module(_MODULES[name])
    elif name in _NAMES:
        value = getattr(import_module(_NAMES[name]), "VERSION" if name == "__version__" else name)
    else:
        raise AttributeError(f"module 'rfm' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
