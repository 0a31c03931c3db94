"""Take landing files through the layers exactly once; `rfm.lake.ledger` keeps which content is in which layer.

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
from collections.abc import Iterable, Sequence
from typing import TypeVar

import polars as pl
import pyarrow as pa

from rfm.contracts import BRONZE, LEDGER, RUN_WARNINGS, SILVER, TABLES
from rfm.dialect import RAW
from rfm.errors import REPAIR, ContractError, InputError, printable, redact
from rfm.lake import ledger
from rfm.lake.ledger import CHANGED, LAYERS, LOST, audit
from rfm.lake.tables import Lake, revision_of, version_of
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


# ── files ────────────────────────────────────────────────────────────
def new_files(lake: Lake, files: Iterable[File], *, restate: bool = False) -> list[File]:
    """Return the landing files, in order, whose present content is not known to be in bronze; ``restate`` adds changed ones."""
    known = _stamps(ledger.read_entries(lake, "bronze"))
    other = _stamps(ledger.changed_files(lake))
    due = set(other) if restate else ledger.half_restated(lake) if other else set()

    def is_new(file: File) -> bool:
        if isinstance(file, str):
            return file not in known or file in due
        return file.source_file in due or (file.bytes, file.token) != other.get(file.source_file, known.get(file.source_file))

    return [file for file in files if is_new(file)]


class Pending(list[str]):
    """Landing files to clean, with the version of each that bronze held when they were listed."""

    def __init__(self, versions: dict[str, int]) -> None:
        super().__init__(sorted(versions))
        self.versions = versions


def files_to_clean(lake: Lake) -> Pending:
    """Return the landing files of which silver or the quarantine is not known to hold the content that bronze holds."""
    known = ledger.read_ledger(lake).select("layer", "source_file", "version")
    bronze, silver, quarantine = (dict(known.filter(layer=layer).drop("layer").rows()) for layer in LAYERS)
    behind = {name for name, version in bronze.items() if {silver.get(name), quarantine.get(name)} != {version}}
    return Pending({name: bronze[name] for name in behind - (ledger.half_restated(lake) if behind else set())})


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
        ledger.record_layer(lake, "bronze", due.select(files.column_names), put.held)
        _refresh(lake, read.filter(~pl.col("new") & ~pl.col("changed")))
        written += put.rows
    return written


def write_silver(lake: Lake, silver: pl.LazyFrame, quarantine: pl.LazyFrame, files: Sequence[str]) -> dict[str, int]:
    """Write cleaned landing files to silver and the quarantine exactly once; return the rows of the files by layer.

    ``files`` are those that `files_to_clean` returned. One that a table holds is left out, an earlier content is replaced.
    A row that breaks the contract, or a file whose rows do not add up, raises ContractError.
    """
    read = ledger.read_entries(lake, "bronze", files).drop("layer", "rows", "version")
    wanted = files.versions if isinstance(files, Pending) else ledger.versions_in_layer(lake, "bronze", files)
    cleaned = {"silver": silver, "quarantine": quarantine}
    held = {layer: lake.put_files(LAYERS[layer], rows, wanted).held for layer, rows in cleaned.items()}
    ledger.write_entries(lake, pl.concat(ledger.count_layer(lake, layer, read, versions) for layer, versions in held.items()))
    audit(lake)
    return reconcile(lake, files)


def reconcile(lake: Lake, files: Sequence[str] | None = None) -> dict[str, int]:
    """Return the rows of landing files by layer, by default of all files that reached silver and the quarantine.

    A file whose rows in bronze are not those in silver plus those in the quarantine raises ContractError.
    """
    if files is None:
        files = sorted(set.intersection(*(set(ledger.versions_in_layer(lake, layer)) for layer in ("silver", "quarantine"))))
    noted = ledger.read_ledger(lake, layer=[*LAYERS, LOST], source_file=list(files))
    if wrong := ledger.unbalanced(noted):
        raise ContractError(f"{lake.url}: {wrong}; run {REPAIR}")
    return ledger.totals(noted)


def _stamps(files: pl.DataFrame) -> dict[str, tuple[int, str | None]]:
    """Return size and token of files: what a listing shows of their content."""
    return {name: (size, token) for name, size, token in files.select("source_file", "bytes", "token").rows()}


def _compare(lake: Lake, read: pl.DataFrame) -> pl.DataFrame:
    """Add to each file whether it is new to bronze, changed, or half restated; record the changed ones."""
    names = read["source_file"].to_list()
    known = ledger.read_entries(lake, "bronze", names).select(
        "source_file", pl.col("version").alias("was"), pl.col("sha256").alias("old"), pl.col("processing_date").alias("day")
    )
    half = pl.col("source_file").is_in(list(ledger.half_restated(lake)) if len(known) else [])
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
    known = ledger.read_entries(lake, "bronze").filter(~pl.col("source_file").is_in(files))
    empty, known = known.filter(pl.col("rows") == 0), known.filter(pl.col("rows") > 0)
    cleaned = ledger.read_entries(lake, "silver", empty["source_file"]).filter(pl.col("rows") > 0) if len(empty) else empty
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
        known = ledger.read_entries(lake, "bronze", names).drop("token")
        noted = known.join(same.select("source_file", "token"), on="source_file")
        lake.replace(LEDGER, noted, layer="bronze", source_file=names)
        ledger.clear_changed(lake, names)


# ── warnings ────────────────────────────────────────────────────────────
STAGE = "1_bronze"
OTHER_NOW = N_("{file}: its content changed after it was read ({n} bytes now)")
OLD_KEPT = N_("the tables keep the old one, run again with --restate to replace it")


def processing_dates(lake: Lake, run_date: dt.date) -> list[dt.date]:
    """Return the processing dates whose rows a run changed: its own, and those of the files that it restated."""
    return sorted({run_date, *ledger.restated_files(lake)["processing_date"].to_list()})


def clear_restatements(lake: Lake) -> None:
    """Clear the restatements that reached every layer; call it when their days have been counted again."""
    ledger.clear_changed(lake, ledger.restated_files(lake)["source_file"].to_list())


def warn(lake: Lake, run_date: dt.date, refused: Sequence[str], skipped: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Write what the first stage did not read (refused, changed, skipped files), and return it.

    ``skipped`` has severity and sentence of what is left; a sentence of severity ``note`` is kept, but is no warning.
    """
    now = ledger.changed_files(lake).sort("source_file").select("source_file", "bytes").rows()
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
