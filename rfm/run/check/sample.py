"""What the beginnings of files look like, before anything is known of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pandas as pd

from rfm.errors import reaching
from rfm.io.landing.glance import GLANCE, Glance, glance
from rfm.run.check.places import Place
from rfm.schema import InputError

Tell = Callable[[str, int, int | None], None]
MOST_FILES = 40  # that are looked into, from the first to the last, before all of them are read


@dataclass
class Sample:
    """Beginnings of files that have the same columns.

    Parameters
    ----------
    glances
        File, and what its beginning looks like.
    refused
        File, and why it is no table.
    others
        File whose header is another than that of most.
    """

    glances: dict[str, Glance] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)

    @property
    def first(self) -> Glance:
        """The first file of those that count."""
        return next(iter(self.glances.values()))

    @property
    def lines(self) -> pd.DataFrame:
        """Lines of all of them, as text under the names in the header."""
        frames = [one.lines.to_pandas(types_mapper=pd.ArrowDtype) for one in self.glances.values()]
        return pd.concat(frames, ignore_index=True)


def silent(what: str, done: int, of: int | None) -> None:
    """Tell nobody how far a check is; parameters as for `check`."""


def look(place: Place, tell: Tell = silent) -> Sample:
    """Look at the beginnings of files.

    Parameters
    ----------
    place
        Where they lie.
    tell
        Called with what is being done, how much of it is done, and how much there is.
    """
    sample, names = Sample(), spread(place.names, MOST_FILES)
    for done, name in enumerate(names):
        tell("looking at files", done, len(names))
        try:
            with reaching(f"{name}: cannot be read"):
                path = f"{place.root}/{name}"
                sample.glances[name] = glance(place.system, path, PurePosixPath(name).name, GLANCE // len(names))
        except InputError as error:
            sample.refused[name] = str(error)
    return _of_one_kind(sample)


def spread(names: Sequence[str], most: int) -> list[str]:
    """Return some of many names, from the first to the last.

    Parameters
    ----------
    names
        All.
    most
        How many are wanted at most.

    Examples
    --------
    >>> spread(["a", "b", "c", "d", "e"], 3)
    ['a', 'c', 'e']
    """
    if len(names) <= most:
        return list(names)
    return [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]


def _of_one_kind(sample: Sample) -> Sample:
    """Keep the files whose columns are those of most; note the others."""
    headers = [tuple(one.lines.column_names) for one in sample.glances.values()]
    usual = max(headers, key=headers.count, default=())
    for name, one in list(sample.glances.items()):
        if tuple(one.lines.column_names) != usual:
            sample.others[name] = one.header
            del sample.glances[name]
    return sample
