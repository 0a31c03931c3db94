"""Where the notebooks of the chain lie: in the shop's own folder, or in the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from rfm.errors import reaching
from rfm.run.stages import STAGES
from rfm.schema import SettingsError
from rfm.settings import EXAMPLE_FILE, PATHS, Settings, packaged


class Copied(NamedTuple):
    """Names of files that were copied, that were there already, and that were left because they differ."""

    new: list[str]
    same: list[str]
    kept: list[str]


def chain_of(settings: Settings) -> Path:
    """Return the folder with the notebooks of the chain.

    Raises
    ------
    SettingsError
        Naming the notebooks that are missing there.
    """
    folder = Path(settings.notebooks)
    if missing := [f"{stage.name}.ipynb" for stage in STAGES if not (folder / f"{stage.name}.ipynb").is_file()]:
        remedy = f"`rfm notebooks '{folder}'` copies what is missing, or set `notebooks` to the folder of the chain"
        raise SettingsError(f"{folder}: there is no {', '.join(missing)}; {remedy}")
    return folder


def copy(folder: Path, force: bool = False) -> Copied:
    """Copy the notebooks of the package into a folder, and `rfm.example.toml` beside it.

    Parameters
    ----------
    folder
        Made if it is missing.
    force
        Replace files that differ, too.
    """
    files = {folder / source.name: source for source in sorted(packaged(PATHS["notebooks"]).glob("*.ipynb"))}
    if (example := packaged(EXAMPLE_FILE)).is_file():
        files[folder.parent / EXAMPLE_FILE] = example
    done = Copied([], [], [])
    with reaching(f"{folder}: cannot be written", "name another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for target, source in files.items():
            if target.is_file() and target.read_bytes() == source.read_bytes():
                done.same.append(target.name)
            elif target.exists() and not force:
                done.kept.append(target.name)
            else:
                shutil.copyfile(source, target)
                done.new.append(target.name)
    return done
