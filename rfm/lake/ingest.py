"""Take landing files through the layers exactly once. The ledger ``landing_files`` says which content is in which layer.

The tables are written first and the ledger afterwards, by any number of runs at once. So a table may be ahead of the
ledger, and a file whose content in a table is not the one in the ledger is on its way: neither is an error.

Examples
--------
>>> import datetime, tempfile
>>> import rfm
>>> from rfm.datasets.sample import make_sample
>>> day, landing, tables = datetime.date(2025, 10, 23), tempfile.mkdtemp(), rfm.Lake(tempfile.mkdtemp())
>>> _ = make_sample(landing, days=2, lines=100, customers=20)
>>> new = rfm.ingest.new_files(tables, rfm.list_files(landing))
>>> rfm.ingest.write_bronze(tables, rfm.read_files(landing, new, day))
101
>>> new = rfm.ingest.files_to_clean(tables)
>>> silver, quarantine = rfm.clean(tables.read("retail_transactions_bronze", source_file=new))
>>> rfm.ingest.write_silver(tables, silver, quarantine, new)
{'bronze': 101, 'silver': 98, 'quarantine': 3}
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa

from rfm.contracts import BRONZE, LEDGER, QUARANTINE, RUN_WARNINGS, SILVER, TABLES
from rfm.dialect import RAW
from rfm.errors import REPAIR, ContractError, InputError, printable, redact
from rfm.lake.tables import DIGEST_BITS, Lake, revision_of, version_of
from rfm.landing.files import LandingFile
from rfm.words import N_, _

__all__ = [
    "Pending",
    "audit",
    "clear_restatements",
    "files_to_clean",
    "new_files",
    "processing_dates",
    "reconcile",
    "stop_if_refused",
    "warn",
    "write_bronze",
    "write_silver",
]

File = TypeVar("File", bound="str | LandingFile")
LAYERS = {"bronze": BRONZE, "silver": SILVER, "quarantine": QUARANTINE}
CHANGED = "changed"
LOST = "lost"  # rows of bronze that are gone for good, while silver or the quarantine holds them


# ── files ────────────────────────────────────────────────────────────
def new_files(lake: Lake, files: Iterable[File], *, restate: bool = False) -> list[File]:
    """Return the landing files, in order, whose present content is not known to be in bronze; ``restate`` adds changed ones."""
    known = _stamps(read_entries(lake, "bronze"))
    other = _stamps(changed_files(lake))
    due = set(other) if restate else half_restated(lake) if other else set()

    def is_new(file: File) -> bool:
        if isinstance(file, str):
            return file not in known or file in due
        return file.source_file in due or (file.bytes, file.token) != other.get(file.source_file, known.get(file.source_file))

    return [file for file in files if is_new(file)]


def files_to_clean(lake: Lake) -> Pending:
    """Return the landing files of which silver or the quarantine is not known to hold the content that bronze holds."""
    known = lake.rows(LEDGER).select("layer", "source_file", "version")
    bronze, silver, quarantine = (dict(known.filter(layer=layer).drop("layer").rows()) for layer in LAYERS)
    behind = {name for name, version in bronze.items() if {silver.get(name), quarantine.get(name)} != {version}}
    return Pending({name: bronze[name] for name in behind - (half_restated(lake) if behind else set())})


def write_bronze(
    lake: Lake,
    batches: Iterable[tuple[pa.Table, pa.Table | Iterable[pa.Table]]],
    *,
    restate: bool = False,
    refused: list[str] | None = None,
) -> int:
    """Write landing files to bronze exactly once; return the rows that were written.

    A changed file is recorded and left out, unless ``restate`` replaces it, or a run died while it restated it. With
    ``refused``, a file with the rows of another one is left out, too, and the list gets one line about each.
    """
    written = 0
    for files, rows in batches:
        read = _compare(lake, pl.DataFrame(files))
        due = read.filter(pl.col("new") | pl.col("changed") & (pl.lit(restate) | pl.col("begun")))
        if refused is not None and (same := repeated(lake, due, rows)):
            due = due.filter(~pl.col("source_file").is_in(list(same)))
            refused += same.values()
        put = lake.put_files(BRONZE, rows_of(rows, due, len(files)), _versions(lake, due))
        record_layer(lake, "bronze", due.select(files.column_names), put.held)
        _refresh(lake, read.filter(~pl.col("new") & ~pl.col("changed")))
        written += put.rows
    return written


def write_silver(lake: Lake, silver: pl.LazyFrame, quarantine: pl.LazyFrame, files: Sequence[str]) -> dict[str, int]:
    """Write cleaned landing files to silver and the quarantine exactly once; return the rows of the files by layer.

    ``files`` are those that `files_to_clean` returned. One that a table holds is left out, an earlier content is replaced.
    A row that breaks the contract, or a file whose rows do not add up, raises ContractError.
    """
    read = read_entries(lake, "bronze", files).drop("layer", "rows", "version")
    wanted = files.versions if isinstance(files, Pending) else versions_in_layer(lake, "bronze", files)
    cleaned = {"silver": silver, "quarantine": quarantine}
    held = {layer: lake.put_files(LAYERS[layer], rows, wanted).held for layer, rows in cleaned.items()}
    write_entries(lake, pl.concat(count_layer(lake, layer, read, versions) for layer, versions in held.items()))
    audit(lake)
    return reconcile(lake, files)


def reconcile(lake: Lake, files: Sequence[str] | None = None) -> dict[str, int]:
    """Return the rows of landing files by layer, by default of all files that reached silver and the quarantine.

    A file whose rows in bronze are not those in silver plus those in the quarantine raises ContractError.
    """
    if files is None:
        files = sorted(set.intersection(*(set(versions_in_layer(lake, layer)) for layer in ("silver", "quarantine"))))
    noted = lake.read(LEDGER, source_file=list(files)).filter(pl.col("layer").is_in([*LAYERS, LOST])).collect()
    if wrong := unbalanced(noted):
        raise ContractError(f"{lake.url}: {wrong}; run {REPAIR}")
    return totals(noted)


def _stamps(files: pl.DataFrame) -> dict[str, tuple[int, str | None]]:
    """Return size and token of files: what a listing shows of their content."""
    return {name: (size, token) for name, size, token in files.select("source_file", "bytes", "token").rows()}


def _compare(lake: Lake, read: pl.DataFrame) -> pl.DataFrame:
    """Add to each file whether it is new to bronze, changed, or half restated; record the changed ones."""
    names = read["source_file"].to_list()
    known = read_entries(lake, "bronze", names).select(
        "source_file", pl.col("version").alias("was"), pl.col("sha256").alias("old"), pl.col("processing_date").alias("day")
    )
    half = pl.col("source_file").is_in(list(half_restated(lake)) if len(known) else [])
    read = read.join(known, on="source_file", how="left", maintain_order="left")
    read = read.with_columns(begun=half, new=pl.col("old").is_null())
    read = read.with_columns(changed=~pl.col("new") & ((pl.col("old") != pl.col("sha256")) | pl.col("begun")))
    waits = read.filter("changed").with_columns(processing_date="day").drop("was", "old", "day", "begun", "new", "changed")
    if len(waits):
        rows = waits.with_columns(layer=pl.lit(CHANGED), rows=pl.lit(0), version=pl.lit(None, pl.Int64))
        lake.replace(LEDGER, rows, layer=CHANGED, source_file=waits["source_file"].to_list())
    return read


def _versions(lake: Lake, due: pl.DataFrame) -> dict[str, int]:
    held = lake.held(BRONZE, due.filter("changed")["source_file"].to_list())
    was = dict(due.filter("changed").select("source_file", "was").rows())
    seen = {name: revision_of(max(held.get(name, 1), version)) for name, version in was.items()}
    return {name: version_of(sha, seen.get(name, 0) + 1) for name, sha in due.select("source_file", "sha256").iter_rows()}


BOTH = N_("remove one of them, or put both into one file if both count")


def repeated(lake: Lake, due: pl.DataFrame, rows: pa.Table | Iterable[pa.Table]) -> dict[str, str]:
    """Return the files whose rows another file has, too, in bronze or before them here; each with why it is refused."""
    files = due["source_file"].to_list()
    known = read_entries(lake, "bronze").filter(~pl.col("source_file").is_in(files))
    empty, known = known.filter(pl.col("rows") == 0), known.filter(pl.col("rows") > 0)
    cleaned = read_entries(lake, "silver", empty["source_file"]).filter(pl.col("rows") > 0) if len(empty) else empty
    lost, large = empty.join(cleaned, on="source_file", how="semi"), not isinstance(rows, pa.Table)
    by_bytes = pl.concat([lost, known]) if large else lost  # of what damage took from bronze, or is too large to hold
    said = _said_twice(due.join(by_bytes.select("sha256", first="source_file"), on="sha256", maintain_order="left_right"))
    if large:
        return said
    found = _digests(pl.from_arrow(rows).lazy(), files)  # type: ignore[union-attr]  # a frame
    alike = known.filter(pl.col("rows").is_in(found["rows"].to_list()))["source_file"].to_list() if len(found) else []
    held = _digests(lake.rows(BRONZE, source_file=alike).lazy(), alike) if alike else found.head(0)
    first = pl.col("source_file").first().over("rows", "one", "two").alias("first")
    same = pl.concat([held, found]).with_columns(first).filter(pl.col("source_file").is_in(files))
    return said | _said_twice(same.filter(pl.col("source_file") != pl.col("first")))


def _said_twice(same: pl.DataFrame) -> dict[str, str]:
    said = _("{file}: has the same lines as {file2}, so it is not read")
    return {name: f"{said.format(file=name, file2=first)}; {_(BOTH)}" for name, first in same["source_file", "first"].rows()}


def _digests(rows: pl.LazyFrame, files: Sequence[str]) -> pl.DataFrame:
    """Return the number of rows of each file, in the order of the files, and two sums of the hashes of its rows."""
    sums = {name: (pl.struct(*RAW, "_rescued_data").hash(seed) % (1 << 40)).sum() for seed, name in enumerate(("one", "two"))}
    each = rows.group_by("source_file").agg(pl.len().cast(pl.Int64).alias("rows"), **sums).collect()
    named = pl.DataFrame({"source_file": files}, schema={"source_file": pl.String})
    return named.join(each, on="source_file", maintain_order="left")


def rows_of(rows: pa.Table | Iterable[pa.Table], due: pl.DataFrame, files: int) -> pl.DataFrame | Iterable[pa.Table]:
    """Return the rows of the files that are due."""
    if not isinstance(rows, pa.Table):
        return rows
    frame = pl.DataFrame(rows)
    return frame if len(due) == files else frame.filter(pl.col("source_file").is_in(due["source_file"].to_list()))


def _refresh(lake: Lake, same: pl.DataFrame) -> None:
    """Record the new tokens of files whose content is the same, so that they are not read again."""
    names = same["source_file"].to_list()
    if names:
        noted = read_entries(lake, "bronze", names).drop("token").join(same.select("source_file", "token"), on="source_file")
        lake.replace(LEDGER, noted, layer="bronze", source_file=names)
        clear_changed(lake, names)


# ── ledger ────────────────────────────────────────────────────────────
class Pending(list[str]):
    """Landing files to clean, with the version of each that bronze held when they were listed."""

    def __init__(self, versions: dict[str, int]) -> None:
        super().__init__(sorted(versions))
        self.versions = versions


def read_entries(lake: Lake, layer: str, files: Iterable[str] | None = None) -> pl.DataFrame:
    """Return the ledger's rows of a layer, of some files or of all."""
    some: dict[str, Any] = {} if files is None else {"source_file": list(files)}
    return lake.read(LEDGER, layer=layer, **some).collect()


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
    noted = lake.read(LEDGER).filter(pl.col("layer").is_in([*LAYERS, LOST])).collect()
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


# ── warnings ────────────────────────────────────────────────────────────
STAGE = "1_bronze"
OTHER_NOW = N_("{file}: its content changed after it was read ({n} bytes now)")
OLD_KEPT = N_("the tables keep the old one, run again with --restate to replace it")


def processing_dates(lake: Lake, run_date: dt.date) -> list[dt.date]:
    """Return the processing dates whose rows a run changed: its own, and those of the files that it restated."""
    return sorted({run_date, *_restated(lake)["processing_date"].to_list()})


def clear_restatements(lake: Lake) -> None:
    """Clear the restatements that reached every layer; call it when their days have been counted again."""
    clear_changed(lake, _restated(lake)["source_file"].to_list())


def warn(lake: Lake, run_date: dt.date, refused: Sequence[str], skipped: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Write what the first stage did not read (refused, changed, skipped files), and return it.

    ``skipped`` has severity and sentence of what is left; a sentence of severity ``note`` is kept, but is no warning.
    """
    now = changed_files(lake).sort("source_file").select("source_file", "bytes").rows()
    changed = [f"{_(OTHER_NOW).format(file=name, n=f'{size:,}')}; {_(OLD_KEPT)}" for name, size in now]
    said = [("refused_file", "error", line) for line in dict.fromkeys(refused)]
    said += [("changed_file", "warning", line) for line in changed]
    said += [("skipped_file", severity, line) for severity, line in skipped]
    said = [(kind, severity, printable(redact(line))) for kind, severity, line in said]
    rows = pl.DataFrame([(run_date, STAGE, *one) for one in said], schema=TABLES[RUN_WARNINGS].polars, orient="row")
    lake.replace(RUN_WARNINGS, rows, run_date=run_date, stage=STAGE)
    return [line for _, _, line in said]


def stop_if_refused(lake: Lake, run_date: dt.date, on_refused: str) -> None:
    """Stop a run before gold if a landing file was refused and the settings say so."""
    lines = lake.read(RUN_WARNINGS, run_date=run_date, stage=STAGE, severity="error").collect()["message"].to_list()
    nothing_else = not any(state.rows for state in lake.state([SILVER]).values())
    if lines and (on_refused == "before" or nothing_else):
        raise InputError(f"stopped before gold: {len(lines)} file(s) refused, the others are in silver: {'; '.join(lines)}")


def _restated(lake: Lake) -> pl.DataFrame:
    """Return the ledger's rows of changed files whose new content is in every layer."""
    changed = read_entries(lake, CHANGED)
    if changed.is_empty():
        return changed
    files = changed["source_file"].to_list()
    bronze, *others = (versions_in_layer(lake, layer, files) for layer in LAYERS)
    even = [name for name in files if all(other.get(name) == bronze.get(name) for other in others)]
    return changed.join(changed_files(lake), on="source_file", how="anti").filter(pl.col("source_file").is_in(even))
