"""What is wrong with settings, notebooks and landing files, said before anything heavy is imported or run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rfm.errors import unknown
from rfm.io.landing import list_files
from rfm.io.landing.customers import mask_of
from rfm.run.notebook import parameters_of
from rfm.run.notebook.folder import chain_of
from rfm.run.stages import STAGES
from rfm.schema import SettingsError
from rfm.settings import Settings

GIVEN = ("date", "landing", "lake")  # parameters that a run gives to each notebook that has them


def check(settings: Settings, parameters: Mapping[str, Any]) -> None:
    """Check what a run needs.

    Parameters
    ----------
    settings
        Where things are, and the run date if one was set.
    parameters
        Further notebook parameters by name.

    Raises
    ------
    SettingsError
        For a rule that does not exist, a severity that cannot be, a missing key, a missing notebook, a parameter that
        no notebook has, and if there is no file to read.
    """
    if settings.expectations:
        from rfm.core.cleaning import SEVERITIES
        from rfm.severity import severities

        severities(SEVERITIES, settings.expectations)
    mask_of(settings.columns)
    list_files(settings.landing, settings.files.pattern, until=settings.date)
    declared(settings, (*GIVEN, *parameters))


def declared(settings: Settings, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each stage, the wanted parameters that its notebook declares.

    Parameters
    ----------
    settings
        Where the notebooks are.
    wanted
        Names of parameters.

    Raises
    ------
    SettingsError
        If no notebook has one of them, or a notebook cannot be read.
    """
    chain = chain_of(settings)
    found = {stage.name: parameters_of(chain / f"{stage.name}.ipynb") for stage in STAGES}
    known = set().union(*found.values())
    if strange := [name for name in wanted if name not in known]:
        raise SettingsError(unknown("parameter", strange, known))
    return {name: [one for one in wanted if one in names] for name, names in found.items()}
