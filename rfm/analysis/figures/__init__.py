"""One function per figure: it takes frames and returns a figure, and neither shows nor saves it.

Static diagnostics are matplotlib figures, in the notebooks and on the site; those to turn or hover are plotly's.
Every title is the question that the figure answers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfm.analysis.figures.clusters import *  # noqa: F403
    from rfm.analysis.figures.diagnostics import *  # noqa: F403
    from rfm.analysis.figures.sales import *  # noqa: F403
    from rfm.analysis.figures.segments import *  # noqa: F403

_FUNCTIONS = {  # module: its figures; a module is imported at the first use, because plotly and matplotlib are slow
    "clusters": (
        "centroids",
        "cluster_profiles",
        "clusters_pairs",
        "distributions",
        "k_selection",
        "outlier_fences",
        "segment_states",
    ),
    "diagnostics": (
        *("arrivals", "broken_expectations", "foretold", "reliability", "segment_lifts"),
        *("layers_by_day", "money_waterfall", "pass_rates", "refusals", "weekday_volume"),
    ),
    "sales": (
        *("basket_size", "best_products", "cohort_value", "countries", "customers_by_month"),
        *("purchase_gaps", "retention", "revenue_by_day", "revenue_by_month"),
    ),
    "segments": (
        *("agreement", "boxes", "clusters_3d", "migration", "movement"),
        *("score_map", "segment_shares", "segment_treemap", "stability"),
    ),
}
_MODULE_OF = {name: module for module, names in _FUNCTIONS.items() for name in names}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    """Import the module of a figure when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the figures."""
    return __all__
