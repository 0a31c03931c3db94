"""How papermill runs a notebook here: as always, but written when it is done and not twice a cell."""

from __future__ import annotations

from typing import Any

from papermill.engines import NBClientEngine, papermill_engines

NAME = "rfm"


class Engine(NBClientEngine):
    """Run a notebook as papermill does; it is saved before and after, however it ends."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **given: Any) -> Any:
        """Run the cells; parameters as for `NBClientEngine`."""
        save, nb_man.save = nb_man.save, lambda **_: None
        try:
            return super().execute_managed_notebook(nb_man, kernel_name, **given)
        finally:
            nb_man.save = save


def engine() -> str:
    """Make the engine known to papermill; return its name."""
    papermill_engines.register(NAME, Engine)
    return NAME
