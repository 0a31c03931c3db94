"""The ledger ``landing_files``: which content of a landing file is in which layer, and the audit of the layers against it.

The tables are written first and the ledger afterwards, by any number of runs at once. So a table may be ahead of the
ledger, and a file whose content in a table is not the one in the ledger is on its way: neither is an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from rfm.contracts import BRONZE, LEDGER, QUARANTINE, SILVER, TABLES
from rfm.errors import REPAIR, ContractError
from rfm.lake.tables import DIGEST_BITS, Lake, revision_of, version_of

LAYERS = {"bronze": BRONZE, "silver": SILVER, "quarantine": QUARANTINE}
# further kinds of entries: of a file with another content that waits; of rows of bronze that are gone for good, while silver or
# the quarantine holds them
CHANGED, LOST = "changed", "lost"


def read_ledger(lake: Lake, **wanted: Any) -> pl.DataFrame:
    """Return rows of the ledger; a version that is not known, which the table allows, is the first."""
    return lake.rows(LEDGER, **wanted).with_columns(pl.col("version").fill_null(1))


def read_entries(lake: Lake, layer: str, files: Iterable[str] | None = None) -> pl.DataFrame:
    """Return the ledger's rows of a layer, of some files or of all."""
    return read_ledger(lake, layer=layer, **({} if files is None else {"source_file": list(files)}))


def versions_in_layer(lake: Lake, layer: str, files: Iterable[str] | None = None) -> dict[str, int]:
    """Return the version (see `version_of`) of each file that a layer is known to hold."""
    return dict(read_entries(lake, layer, files).select("source_file", "version").rows())


def changed_files(lake: Lake) -> pl.DataFrame:
    """Return the ledger's rows of changed files whose new content is not in bronze."""
    changed = read_entries(lake, CHANGED)
    if changed.is_empty():
        return changed
    known = read_entries(lake, "bronze", changed["source_file"]).select("source_file", "sha256")
    return changed.join(known, on=["source_file", "sha256"], how="anti")


def half_restated(lake: Lake) -> set[str]:
    """Return the files whose restatement reached bronze but not the ledger, because a run died in between."""
    files = changed_files(lake)["source_file"].to_list()
    held, known = lake.held(BRONZE, files), versions_in_layer(lake, "bronze", files) if files else {}
    return {file for file in files if held.get(file) != known.get(file)}


def restated_files(lake: Lake) -> pl.DataFrame:
    """Return the ledger's rows of changed files whose new content is in every layer."""
    changed = read_entries(lake, CHANGED)
    if changed.is_empty():
        return changed
    files = changed["source_file"].to_list()
    bronze, *others = (versions_in_layer(lake, layer, files) for layer in LAYERS)
    even = [name for name in files if all(other.get(name) == bronze.get(name) for other in others)]
    return changed.join(changed_files(lake), on="source_file", how="anti").filter(pl.col("source_file").is_in(even))


def record_layer(lake: Lake, layer: str, files: pl.DataFrame, held: Mapping[str, int]) -> None:
    """Count the rows of each file in a layer, and write them to the ledger."""
    write_entries(lake, count_layer(lake, layer, files, held))


def count_layer(lake: Lake, layer: str, files: pl.DataFrame, held: Mapping[str, int]) -> pl.DataFrame:
    """Return the ledger's rows of files in a layer: rows counted in the table, and the version that it holds."""
    if files.is_empty():
        return TABLES[LEDGER].polars.to_frame()
    names = files["source_file"].to_list()
    rows = lake.count(LAYERS[layer], names)
    known = pl.DataFrame({"source_file": names, "version": pl.Series([held[name] for name in names], dtype=pl.Int64)})
    noted = files.join(rows, on="source_file", how="left").join(known, on="source_file", how="left")
    return _with_held_digest(noted.with_columns(pl.col("rows").fill_null(0), layer=pl.lit(layer)))


def write_entries(lake: Lake, noted: pl.DataFrame) -> None:
    """Replace the ledger's rows of the same files and layers in one commit."""
    if len(noted):
        layers, files = (noted[name].unique(maintain_order=True).to_list() for name in ("layer", "source_file"))
        lake.replace(LEDGER, noted, layer=layers, source_file=files)


def _with_held_digest(noted: pl.DataFrame) -> pl.DataFrame:
    """Correct the digest of files of which a layer holds another content, because another run was faster."""
    digests = []
    for sha, version in noted.select("sha256", "version").iter_rows():
        same = sha and (version < 1 << DIGEST_BITS or version == version_of(sha, revision_of(version)))
        digests.append(sha if same else f"{version & (1 << DIGEST_BITS) - 1:0{DIGEST_BITS // 4}x}")
    other = noted["sha256"] != pl.Series(digests, dtype=pl.String)
    token = pl.when(~other).then(pl.col("token"))
    return noted.with_columns(token, sha256=pl.Series(digests, dtype=pl.String))


def clear_changed(lake: Lake, files: Iterable[str]) -> None:
    """Remove the records that files have another content."""
    files = list(files)
    noted = read_entries(lake, CHANGED, files)["source_file"].to_list() if files else []
    if noted:
        lake.replace(LEDGER, pl.DataFrame(schema=TABLES[LEDGER].polars), layer=CHANGED, source_file=noted)


# ── audit ────────────────────────────────────────────────────────────
LOOKS, PAUSE = 4, 0.25  # another run may write between two looks; seconds


def audit(lake: Lake) -> dict[str, int]:
    """Return the rows that bronze, silver and quarantine hold; refuse to go on if files lost or gained rows."""
    for look in range(LOOKS):
        held, wrong = differences(lake)
        if not wrong:
            return held
        time.sleep(PAUSE * look)
    raise ContractError(f"{lake.url}: {wrong[0][1]}; run {REPAIR}")


def differences(lake: Lake, each: bool = False) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the rows of each layer, and the tables that differ from the ledger, each with how, as text."""
    # logs hold totals, so comparing them is cheap; rows are counted by file only where they differ, or if asked
    noted = read_ledger(lake, layer=[*LAYERS, LOST])
    states = lake.state(LAYERS.values())
    held = {layer: states[name].rows if name in states else 0 for layer, name in LAYERS.items()}
    same = held == totals(noted) and not each
    wrong = [] if same else [(name, said) for layer, name in LAYERS.items() if (said := _differing(lake, layer, name, noted))]
    odd = unbalanced(noted)
    return held, [(LEDGER, odd), *wrong] if odd else wrong


def totals(noted: pl.DataFrame) -> dict[str, int]:
    """Return the rows of each layer in the ledger."""
    return {layer: int(noted.filter(pl.col("layer") == layer)["rows"].sum()) for layer in LAYERS}


def unbalanced(noted: pl.DataFrame) -> str:
    """Return which files' rows do not add up, as text; files that are on their way are left out."""
    same = noted.join(noted.filter(layer="bronze"), on=["source_file", "version"], how="semi")
    files = same.group_by("source_file").agg(
        pl.col("layer").is_in(list(LAYERS)).sum().alias("layers"),
        *(pl.col("rows").filter(pl.col("layer") == layer).sum().alias(layer) for layer in (*LAYERS, LOST)),
    )
    through = files.filter(pl.col("layers") == len(LAYERS)).sort("source_file")
    odd = through.filter(pl.col("bronze") + pl.col(LOST) != pl.col("silver") + pl.col("quarantine"))
    first = odd.select("source_file", *LAYERS).head(1).to_dicts()
    return f"bronze = silver + quarantine fails for {len(odd)} file(s), first {first[0]}" if first else ""


def _differing(lake: Lake, layer: str, name: str, noted: pl.DataFrame) -> str:
    """Return of which file a layer holds another number of rows than the ledger, as text."""
    # A table is written before the ledger: only a later content than the ledger's is on its way.
    here = noted.filter(layer=layer).sort("source_file")
    both = here.join(lake.count(name).rename({"rows": "held"}), on="source_file", how="left", maintain_order="left")
    odd = both.with_columns(pl.col("held").fill_null(0)).filter(pl.col("rows") != pl.col("held"))
    for file, wanted, found, version in odd.select("source_file", "rows", "held", "version").rows():
        if revision_of(lake.held(name, [file]).get(file, 1)) <= revision_of(version):
            return f"{layer} holds {found} rows of {file}, but {wanted} were written ({len(odd)} such file(s))"
    return ""
