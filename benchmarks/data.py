"""The daily files that are measured: the real ones where they are, otherwise the built-in sample."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

from benchmarks.cases import ROOT, Inputs


def landing(inputs: Inputs) -> dict[str, Any]:
    """Lay out the daily files under ``landing`` and say what they are.

    Returns
    -------
    dict
        ``what`` they are, how many ``files``, ``lines``, and the ``first`` and ``last`` day.
    """
    place = Path(os.environ.get("RFM_REAL_DATA") or ROOT.parent / "shared" / "data" / "daily_sales.tar.xz")
    if place.exists():
        (inputs.folder / "landing").symlink_to(_unpacked(place, inputs.folder / "unpacked").resolve())
    else:
        from rfm.datasets.sample import make_sample

        make_sample(inputs.folder / "landing")
    what = "real daily files" if place.is_file() else "daily files of RFM_REAL_DATA" if place.is_dir() else "built-in sample"
    lines = sum(path.read_bytes().count(b"\n") - 1 for path in inputs.files)
    return {"what": what, "files": len(inputs.files), "lines": lines, "first": str(inputs.day(0)), "last": str(inputs.day())}


def _unpacked(place: Path, folder: Path) -> Path:
    """Return the folder with the daily files of an archive, or the folder itself."""
    if place.is_dir():
        return place
    with tarfile.open(place) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python has it since 3.11.4
        archive.extractall(folder)
    return folder
