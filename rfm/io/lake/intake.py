"""Landing files on their way through the layers: which are new, which are half-way, and do the rows add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl
import pyarrow as pa

from rfm.io.lake.tables import LEDGER, Lake
from rfm.schema import ContractError

BRONZE = "retail_transactions_bronze"
SILVER = "retail_transactions_silver"
QUARANTINE = "retail_transactions_quarantine"
LAYERS = {"bronze": BRONZE, "silver": SILVER, "quarantine": QUARANTINE}


def unseen(lake: Lake, files: Iterable[str]) -> list[str]:
    """Return the landing files, in order, that are not known to be in bronze.

    Parameters
    ----------
    lake
        The tables.
    files
        Paths under the landing folder.
    """
    known = set(_files(lake, "bronze"))
    return [file for file in files if file not in known]


def pending(lake: Lake) -> list[str]:
    """Return the landing files whose rows are in bronze, but not known to be in silver and the quarantine.

    Parameters
    ----------
    lake
        The tables.
    """
    return sorted(set(_files(lake, "bronze")) - _settled(lake))


def ingest(lake: Lake, batches: Iterable[tuple[pa.Table, pa.Table]]) -> int:
    """Append what was read from landing files to bronze, once.

    Parameters
    ----------
    lake
        The tables.
    batches
        Pairs of Arrow tables: the files (``landing_files`` without layer and rows) and their rows of
        ``retail_transactions_bronze``.

    Returns
    -------
    int
        Rows that bronze gained.
    """
    gained = 0
    for files, rows in batches:
        read = pl.DataFrame(files)
        gained += lake.append_once(BRONZE, pl.DataFrame(rows), read["source_file"].to_list())
        _note(lake, "bronze", read)
    return gained


def settle(lake: Lake, silver: pl.LazyFrame, quarantine: pl.LazyFrame, files: Sequence[str]) -> dict[str, int]:
    """Append the cleaned rows of landing files to silver and to the quarantine, once.

    Parameters
    ----------
    lake
        The tables.
    silver, quarantine
        Rows that keep the contracts, from the files; with a column ``source_file``.
    files
        Landing files that the rows come from. Those that a table holds already are left out.

    Returns
    -------
    dict
        Rows of the files in ``bronze``, ``silver`` and ``quarantine``.

    Raises
    ------
    ContractError
        If a row breaks the contract (nothing is written then), or rows(bronze) is not
        rows(silver) + rows(quarantine) for every file.
    """
    read = lake.read(LEDGER, layer="bronze", source_file=list(files)).drop("layer", "rows").collect()
    for layer, name, rows in (("silver", SILVER, silver), ("quarantine", QUARANTINE, quarantine)):
        lake.append_once(name, rows, files)
        _note(lake, layer, read)
    return balance(lake, files)


def balance(lake: Lake, files: Sequence[str] | None = None) -> dict[str, int]:
    """Return the rows of landing files by layer, and refuse to go on if they do not add up.

    Parameters
    ----------
    lake
        The tables.
    files
        All files that silver and the quarantine have if not given.

    Raises
    ------
    ContractError
        If rows(bronze) is not rows(silver) + rows(quarantine) for a file, naming it.
    """
    files = sorted(_settled(lake)) if files is None else list(files)
    rows = lake.read(LEDGER, source_file=files).collect().pivot("layer", index="source_file", values="rows")
    rows = rows.select("source_file", *(_column(rows, layer) for layer in LAYERS))
    odd = rows.filter(pl.col("bronze") != pl.col("silver") + pl.col("quarantine"))
    if len(odd):
        raise ContractError(
            f"{lake.url}: bronze = silver + quarantine fails for {len(odd)} file(s), first {odd.row(0, named=True)}; "
            "restore the tables, or start an empty lake and run again"
        )
    return rows.select(*LAYERS).sum().row(0, named=True)


def _files(lake: Lake, layer: str) -> list[str]:
    """Return the landing files that are known to be in a layer."""
    return lake.read(LEDGER, layer=layer).select("source_file").collect()["source_file"].to_list()


def _settled(lake: Lake) -> set[str]:
    """Return the landing files that are known to be in silver and in the quarantine."""
    return set(_files(lake, "silver")) & set(_files(lake, "quarantine"))


def _note(lake: Lake, layer: str, files: pl.DataFrame) -> None:
    """Note in the ledger how many rows of each file a layer holds, counted in the layer itlake."""
    if files.is_empty():
        return
    names = files["source_file"].to_list()
    held = lake.read(LAYERS[layer], source_file=names).group_by("source_file").agg(pl.len().alias("rows")).collect()
    noted = files.join(held, on="source_file", how="left").with_columns(pl.col("rows").fill_null(0), layer=pl.lit(layer))
    lake.replace(LEDGER, noted, layer=layer, source_file=names)


def _column(rows: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column of counts, zeros where the frame lacks it."""
    return pl.col(name).fill_null(0) if name in rows.columns else pl.lit(0, pl.Int64).alias(name)
