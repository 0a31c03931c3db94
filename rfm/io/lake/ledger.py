"""The ledger of landing files: which content of which file is in which layer, and which other content waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from rfm.io.lake.once import DIGEST_BITS, revision_of, version_of
from rfm.io.lake.tables import LEDGER, Lake
from rfm.schema import TABLES

BRONZE = "retail_transactions_bronze"
SILVER = "retail_transactions_silver"
QUARANTINE = "retail_transactions_quarantine"
LAYERS = {"bronze": BRONZE, "silver": SILVER, "quarantine": QUARANTINE}
CHANGED = "changed"


class Pending(list[str]):
    """Landing files that wait to be cleaned, and which content of them bronze had when they were asked for.

    Parameters
    ----------
    versions
        File and transaction version in bronze.
    """

    def __init__(self, versions: dict[str, int]) -> None:
        super().__init__(sorted(versions))
        self.versions = versions


def entries(lake: Lake, layer: str, files: Iterable[str] | None = None) -> pl.DataFrame:
    """Return the ledger's rows of a layer.

    Parameters
    ----------
    lake
        The tables.
    layer
        A key of `LAYERS`, or `CHANGED`.
    files
        Landing files; all if not given.
    """
    some: dict[str, Any] = {} if files is None else {"source_file": list(files)}
    return lake.read(LEDGER, layer=layer, **some).collect()


def versions(lake: Lake, layer: str, files: Iterable[str] | None = None) -> dict[str, int]:
    """Return the transaction version of each file that a layer is known to hold; parameters as for `entries`."""
    known = entries(lake, layer, files).select("source_file", pl.col("version").fill_null(1))
    return dict(known.rows())


def versions_each(lake: Lake) -> list[dict[str, int]]:
    """Return what `versions` returns of all files, for each of `LAYERS`, from one look at the ledger."""
    known = lake.rows(LEDGER).select("layer", "source_file", pl.col("version").fill_null(1))
    return [dict(known.filter(layer=layer).drop("layer").rows()) for layer in LAYERS]


def waiting(lake: Lake) -> pl.DataFrame:
    """Return the ledger's rows of changed files that bronze does not have with that content."""
    changed = entries(lake, CHANGED)
    if changed.is_empty():
        return changed
    known = entries(lake, "bronze", changed["source_file"]).select("source_file", "sha256")
    return changed.join(known, on=["source_file", "sha256"], how="anti")


def begun(lake: Lake) -> set[str]:
    """Return the files whose restatement reached bronze, but not the ledger: a run died in between."""
    files = waiting(lake)["source_file"].to_list()
    held, known = lake.held(BRONZE, files), versions(lake, "bronze", files) if files else {}
    return {file for file in files if held.get(file) != known.get(file)}


def note(lake: Lake, layer: str, files: pl.DataFrame, held: Mapping[str, int]) -> None:
    """Note how many rows of each file a layer holds; parameters as for `counted`."""
    write(lake, counted(lake, layer, files, held))


def counted(lake: Lake, layer: str, files: pl.DataFrame, held: Mapping[str, int]) -> pl.DataFrame:
    """Return what is to be noted of a layer: how many rows of each file it holds, counted there, and of which content.

    Parameters
    ----------
    lake
        The tables.
    layer
        A key of `LAYERS`.
    files
        Rows of ``landing_files`` without layer, rows and version.
    held
        Transaction version of each file in the layer.
    """
    if files.is_empty():
        return TABLES[LEDGER].polars.to_frame()
    names = files["source_file"].to_list()
    rows = lake.count(LAYERS[layer], names)
    known = pl.DataFrame(
        {"source_file": names, "version": [held[name] for name in names]}, schema_overrides={"version": pl.Int64}
    )
    noted = files.join(rows, on="source_file", how="left").join(known, on="source_file", how="left")
    return _as_held(noted.with_columns(pl.col("rows").fill_null(0), layer=pl.lit(layer)))


def write(lake: Lake, noted: pl.DataFrame) -> None:
    """Write rows of the ledger in the place of those of the same files and layers, in one commit.

    Parameters
    ----------
    lake
        The tables.
    noted
        As `counted` returns them.
    """
    if len(noted):
        layers, files = (noted[name].unique(maintain_order=True).to_list() for name in ("layer", "source_file"))
        lake.replace(LEDGER, noted, layer=layers, source_file=files)


def _as_held(noted: pl.DataFrame) -> pl.DataFrame:
    """Correct the digest where a layer holds another content than the one that was read: another run was faster."""
    digests = [
        sha if version < 1 << DIGEST_BITS or version == version_of(sha, revision_of(version)) else _digest(version)
        for sha, version in noted.select("sha256", "version").iter_rows()
    ]
    other = noted["sha256"] != pl.Series(digests, dtype=pl.String)
    token = pl.when(~other).then(pl.col("token"))
    return noted.with_columns(token, sha256=pl.Series(digests, dtype=pl.String))


def _digest(version: int) -> str:
    """Return the first digits of a content's digest from its transaction version."""
    return f"{version & (1 << DIGEST_BITS) - 1:0{DIGEST_BITS // 4}x}"


def note_changed(lake: Lake, files: pl.DataFrame) -> None:
    """Note that files have another content than the one in bronze.

    Parameters
    ----------
    lake
        The tables.
    files
        Rows of ``landing_files`` without layer, rows and version; the processing date is that of the rows in bronze.
    """
    if len(files):
        rows = files.with_columns(layer=pl.lit(CHANGED), rows=pl.lit(0), version=pl.lit(None, pl.Int64))
        lake.replace(LEDGER, rows, layer=CHANGED, source_file=files["source_file"].to_list())


def forget_changed(lake: Lake, files: Iterable[str]) -> None:
    """Remove the notes that files have another content.

    Parameters
    ----------
    lake
        The tables.
    files
        Landing files.
    """
    files = list(files)
    noted = entries(lake, CHANGED, files)["source_file"].to_list() if files else []
    if noted:
        lake.replace(LEDGER, pl.DataFrame(schema=TABLES[LEDGER].polars), layer=CHANGED, source_file=noted)
