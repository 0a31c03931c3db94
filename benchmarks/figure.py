"""The README's picture from the kept figures: ``python -m benchmarks.figure reports/bench/bench.json .github/bench.png``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BLOCK = "rfm10m"
OURS, OTHERS, TEXT = "#0b6e6e", "#b9c2c9", "#333333"


def draw(found: Mapping[str, Any], place: Path) -> None:
    """Draw how long everybody takes for ten million lines, and write beside each bar the time and the memory.

    Parameters
    ----------
    found
        What `benchmarks` keeps as JSON.
    place
        Picture to write.
    """
    import matplotlib.pyplot as plt

    rows = sorted((row for row in found["rows"] if row["name"].startswith(f"{BLOCK}.")), key=lambda row: -row["seconds"])
    seconds, ours = [row["seconds"] for row in rows], [row["name"] == f"{BLOCK}.ours" for row in rows]
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.3), layout="constrained")
    names = ["rfm" if us else row["what"].split(", ")[1] for row, us in zip(rows, ours, strict=True)]
    bars = axes.barh(names, seconds, color=[OURS if us else OTHERS for us in ours])
    axes.bar_label(bars, [f" {row['seconds']:.1f} s · {row['peak']:,.0f} MB" for row in rows], color=TEXT)
    axes.set_xlim(0, max(seconds) * 1.35)
    axes.set_title("How long from 10 million lines to recency, frequency and spend?", loc="left", color=TEXT)
    cores = found["machine"]["cores"]
    axes.set_xlabel(f"seconds, median of runs in turns on {cores} cores · peak memory of the process", color=TEXT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(place, dpi=150)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
