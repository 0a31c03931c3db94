"""Does the ledger tell the truth: the rows that the tables themselves hold, against the rows that it noted.

The tables are written first and noted afterwards, by any number of runs at once. So a table may be ahead of the
ledger, and a file whose content in a table is not the one in the ledger is on its way; nothing is wrong then.
"""

from __future__ import annotations

import time

import polars as pl

from rfm.io.lake.ledger import LAYERS
from rfm.io.lake.tables import LEDGER, Lake
from rfm.schema import ContractError

LOOKS = 4  # another run may write between two looks
PAUSE = 0.25  # seconds


def audit(lake: Lake) -> dict[str, int]:
    """Return the rows of bronze, silver and quarantine, counted in the tables, and refuse to go on if files lost or gained rows.

    The totals stand in the tables' logs, so comparing them costs little, whatever the history. Only where they
    differ, rows are counted by file.

    Parameters
    ----------
    lake
        The tables.

    Raises
    ------
    ContractError
        Naming the layer and the first file whose rows are not those that were noted, or whose rows in bronze are
        not those in silver and the quarantine.
    """
    for look in range(LOOKS):
        noted = lake.read(LEDGER).filter(pl.col("layer").is_in(list(LAYERS))).collect()
        states = lake.state(LAYERS.values())
        held = {layer: states[name].rows if name in states else 0 for layer, name in LAYERS.items()}
        wrong = unbalanced(noted) or ("" if held == totals(noted) else _differing(lake, noted))
        if not wrong:
            return held
        time.sleep(PAUSE * look)
    raise ContractError(f"{lake.url}: {wrong}; restore the tables, or start an empty lake and run again")


def totals(noted: pl.DataFrame) -> dict[str, int]:
    """Return the rows of each layer that were noted.

    Parameters
    ----------
    noted
        Rows of the ledger.
    """
    return {layer: int(noted.filter(pl.col("layer") == layer)["rows"].sum()) for layer in LAYERS}


def unbalanced(noted: pl.DataFrame) -> str:
    """Say which file's rows do not add up; a file that a layer lacks, or of which it has another content, is on its way.

    Parameters
    ----------
    noted
        Rows of the ledger, of the layers alone.
    """
    files = noted.group_by("source_file").agg(
        pl.len().alias("layers"),
        pl.col("version").n_unique().alias("contents"),
        *(pl.col("rows").filter(pl.col("layer") == layer).sum().alias(layer) for layer in LAYERS),
    )
    through = files.filter(pl.col("layers") == len(LAYERS), pl.col("contents") == 1).sort("source_file")
    odd = through.filter(pl.col("bronze") != pl.col("silver") + pl.col("quarantine"))
    first = odd.select("source_file", *LAYERS).head(1).to_dicts()
    return f"bronze = silver + quarantine fails for {len(odd)} file(s), first {first[0]}" if first else ""


def _differing(lake: Lake, noted: pl.DataFrame) -> str:
    """Say which layer holds another number of rows of a file than was noted."""
    for layer, name in LAYERS.items():
        here = noted.filter(pl.col("layer") == layer).sort("source_file")
        rows = lake.count(name).rename({"rows": "held"})
        both = here.join(rows, on="source_file", how="left", maintain_order="left").with_columns(pl.col("held").fill_null(0))
        odd = both.filter(pl.col("rows") != pl.col("held")).select("source_file", "rows", "held", "version")
        for file, wanted, found, version in odd.rows():
            if lake.held(name, [file]).get(file) == (version or 1):
                return f"{layer} holds {found} rows of {file}, but {wanted} were written ({len(odd)} such file(s))"
    return ""
