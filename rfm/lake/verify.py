"""Find damage of a lake: each table against its log, the ledger, and what the last run left, noted in ``tables.json``.

`find_damage` lists the files of the lake and opens only tables that changed since they were noted, so every run calls it.
`compare_rows` reads rows, and `rfm verify` calls it too.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from rfm.contracts import CLUSTER_MODELS, DAILY_VOLUME, LEDGER, OVER_TIME, PIPELINE_RUNS, RELEASED_ROWS, SILVER, TABLES
from rfm.errors import REPAIR, ContractError, InputError, friendly_io_errors
from rfm.lake import ledger
from rfm.lake.delta import LEFTOVER, MARK, commit_of, restore
from rfm.lake.tables import Lake
from rfm.landing.files import filesystem, write_file
from rfm.settings import artifacts_dir

NOTE = "tables.json"  # in the lake: id, version, rows and data files of each table, and the models, at the end of the last run
MODELS, ASIDE = "models", "damaged"  # folders of the lake
MODEL_FILE = "model.json"  # in the folder of a run date among the models
NO_MODEL = "run `rfm daily` for a day first, or name the lake with --lake"
LOG = "_delta_log/"
GROWING = {*OVER_TIME, CLUSTER_MODELS, RELEASED_ROWS, PIPELINE_RUNS}  # tables that no run takes rows from
COMMIT = re.compile(r"_delta_log/([0-9]{20})\.json")
LOOKS, PAUSE = 3, 0.25  # another writer may commit between two looks; seconds


class Damage(NamedTuple):
    """What is damaged (a table, the models, the note of the last run), what is wrong with it, and what repairs it."""

    table: str
    what: str
    remedy: str = REPAIR

    def __str__(self) -> str:
        """Return the damage in one line."""
        return f"{self.table}: {self.what}; run {self.remedy}"


class Stored(NamedTuple):
    """Size of a stored file and, in a bucket, its ETag."""

    size: int
    tag: str = ""


def refuse_damage(lake: Lake, found: list[Damage]) -> None:
    """Stop a run on a damaged lake."""
    if found:
        more = f" ({len(found)} damages, also of {', '.join(dict.fromkeys(one.table for one in found[1:]))})" if found[1:] else ""
        said = f"{lake.url}: {found[0].table}: {found[0].what}{more}"
        raise ContractError(f"{said}; nothing is computed or published on a damaged lake; run {REPAIR}")


def find_damage(lake: Lake) -> list[Damage]:
    """Return what is damaged, as far as it shows without reading rows of tables that did not change."""
    found: list[Damage] = []
    for look in range(LOOKS):
        time.sleep(PAUSE * look)
        there = list_files(lake.url)
        noted, found = read_note(lake.url, there)
        found += [one for name in TABLES for one in _of_table(lake, name, there.get(name, {}), noted["tables"].get(name))]
        found += _of_models(lake.url, there.get(MODELS, {}), noted["models"])
        if not found and there:
            found = _of_ledger(lake, noted["landing_files"])
        if not found:
            break
    return found


# ── files ────────────────────────────────────────────────────────────
def list_files(url: str) -> dict[str, dict[str, Stored]]:
    """Return the files of each table and of the models, by their paths there; also the note itself, under its name."""
    system, root = filesystem(url)
    wanted = (*TABLES, MODELS)
    with friendly_io_errors(f"{url}: cannot be listed"):
        if "local" in system.protocol:
            found = {name: dict(_under(f"{root}/{name}")) for name in wanted}
            note = {NOTE: {"": Stored(0)}} if Path(f"{root}/{NOTE}").is_file() else {}
            return {name: files for name, files in found.items() if files} | note
        tables: dict[str, dict[str, Stored]] = {}
        for path, info in system.find(root, detail=True).items():
            name, _, rest = path.removeprefix(root).lstrip("/").partition("/")
            if name in (*wanted, NOTE):
                tables.setdefault(name, {})[rest] = Stored(int(info["size"] or 0), str(info.get("ETag", "")))
        return tables


def _under(folder: str, prefix: str = "") -> Iterator[tuple[str, Stored]]:
    """Yield path and size of the files in a folder of a disk; fsspec takes five times as long."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir():
            yield from _under(entry.path, f"{prefix}{entry.name}/")
        elif entry.is_file() and not entry.name.endswith(".part") and not LEFTOVER.search(entry.name):  # of a killed run
            yield prefix + entry.name, Stored(entry.stat().st_size)


def newest_commit(files: Mapping[str, Stored]) -> int | None:
    """Return the version of the newest commit in a table's log, None if it lists none."""
    return max((int(found[1]) for path in files if (found := COMMIT.fullmatch(path))), default=None)


def _commit(version: int) -> str:
    return f"{LOG}{version:020}.json"


def _log_of(files: Mapping[str, Stored]) -> str:
    log = sorted((path, stored.size) for path, stored in files.items() if path.startswith(LOG))
    return hashlib.sha256(repr(log).encode()).hexdigest()[:16]


def _tag(url: str, name: str, files: Mapping[str, Stored], version: int) -> str:
    """Return what tells a commit from another one of the same version: its ETag, on a disk its digest; empty if it is gone."""
    stored = files.get(_commit(version))
    if stored is None or stored.tag:
        return stored.tag if stored else ""
    system, root = filesystem(url)
    with friendly_io_errors(f"{url}/{name}: its log cannot be read"):
        return hashlib.sha256(system.cat_file(f"{root}/{name}/{_commit(version)}")).hexdigest()[:16]


# ── the note of the last run ────────────────────────────────────────────────────────────
EMPTY: dict[str, Any] = {"tables": {}, "models": {}, "landing_files": 0}


def read_note(url: str, there: Mapping[str, Mapping[str, Stored]]) -> tuple[dict[str, Any], list[Damage]]:
    """Return what the last run noted, and the damage of the note; a lake of an earlier version has none."""
    if NOTE not in there:
        return EMPTY, []
    system, root = filesystem(url)
    try:
        with friendly_io_errors(f"{url}/{NOTE}: cannot be read"):
            noted = json.loads(system.cat_file(f"{root}/{NOTE}"))
        for one in noted["tables"].values():
            _ = int(one["version"]), int(one["rows"]), one["commit"].lower(), one["log"].lower(), dict(one["files"])
        return {"tables": noted["tables"], "models": dict(noted["models"]), "landing_files": int(noted["landing_files"])}, []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return EMPTY, [Damage(NOTE, f"is not what a run notes ({type(error).__name__})")]


def note_tables(lake: Lake, from_scratch: bool = False) -> None:
    """Note version, rows and data files of each table, and the models, for the check of the next run."""
    there = list_files(lake.url)
    # a table whose log looks unchanged keeps its old note, which saves opening it
    before = EMPTY if from_scratch else read_note(lake.url, there)[0]
    tables = {name: _noted(lake, name, there[name], before["tables"].get(name)) for name in TABLES if name in there}
    models = {path: stored.size for path, stored in there.get(MODELS, {}).items()}
    files = lake.read(LEDGER, layer="bronze").select(pl.len()).collect().item()
    note = {"tables": {name: one for name, one in tables.items() if one}, "models": models, "landing_files": files}
    system, root = filesystem(lake.url)
    with friendly_io_errors(f"{lake.url}/{NOTE}: cannot be written", "fix that first"):
        write_file(system, f"{root}/{NOTE}", json.dumps(note).encode())


def _noted(lake: Lake, name: str, files: Mapping[str, Stored], before: dict[str, Any] | None) -> dict[str, Any] | None:
    if before and "id" in before and before["log"] == _log_of(files):
        return before
    if not (table := lake.open(name)):
        return None
    live, version = _live(table), table.version()
    tag = _tag(lake.url, name, files, version)
    known = {"id": table.metadata().id, "version": version, "rows": table.count()}
    return known | {"commit": tag, "log": _log_of(files), "files": live}


def _live(table: Any) -> dict[str, int]:
    return dict(pl.DataFrame(table.get_add_actions()).select("path", "size_bytes").rows())


# ── tables ────────────────────────────────────────────────────────────
def _of_table(lake: Lake, name: str, files: Mapping[str, Stored], noted: dict[str, Any] | None) -> list[Damage]:
    """Return what is wrong with a table, by the list of its files, its log, and what was noted."""
    if noted and noted["log"] == _log_of(files) and not lost_files(noted["files"], files):
        return []
    if not any(path.startswith(LOG) for path in files):
        wrong = "its log is gone" if files else "is gone" if noted else ""
        return [Damage(name, wrong)] if wrong else []
    newest = newest_commit(files)
    if newest is not None and not files[_commit(newest)].size:
        return [Damage(name, f"the commit of version {newest} is empty")]
    try:
        table = lake.open(name)
    except InputError as error:
        if REPAIR not in str(error):  # a bucket out of reach
            raise
        return [Damage(name, str(error).removeprefix(f"{lake.url}/{name}: ").removesuffix(f"; run {REPAIR}"))]
    if table is None:
        return [Damage(name, "its log is gone")]
    live = _live(table)
    wrong = _unlike_noted(lake, name, files, table, noted) if noted else ""
    if lost := lost_files(live, files):
        wrong = f"{len(lost)} of {len(live)} data file(s) are missing or have another size, first {lost[0]}"
    return [Damage(name, wrong)] if wrong else []


def lost_files(wanted: Mapping[str, int], files: Mapping[str, Stored]) -> list[str]:
    """Return the data files that are missing or have another size."""
    return [path for path, size in wanted.items() if path not in files or files[path].size != size]


def _unlike_noted(lake: Lake, name: str, files: Mapping[str, Stored], table: Any, noted: Mapping[str, Any]) -> str:
    """Return how a table lacks what the last run left in it, as text."""
    version, left = table.version(), noted["version"]
    if is_another(table, noted):
        return "is another table than the last run left, as of another lake"
    if version < left:
        return f"is at version {version}, but the last run left version {left}: its newest commits are gone"
    tag = _tag(lake.url, name, files, left)
    if tag and noted["commit"] and tag != noted["commit"]:
        return f"version {left} is not the one that the last run left"
    if unlike := unlike_contract(name, table):
        return unlike
    if strange := by_others(lake.url, name, files, noted):
        return f"another program changed its rows, in version {strange[0]}" + (" and later" if strange[1:] else "")
    rows = table.count()
    if rows != noted["rows"] and version == left or rows < noted["rows"] and name in GROWING:
        return f"holds {rows:,} rows, but the last run left {noted['rows']:,}"
    return ""


def is_another(table: Any, noted: Mapping[str, Any]) -> bool:
    """Return True if a table is not the one that was noted; Delta gives each an id when it is made."""
    return "id" in noted and noted["id"] != table.metadata().id  # notes of earlier versions have none


def by_others(url: str, name: str, files: Mapping[str, Stored], noted: Mapping[str, Any]) -> list[int]:
    """Return the versions since the last run that other programs made, without those that left all rows as they were."""
    since = noted["version"] if "id" in noted else newest_commit(files)  # earlier versions of rfm did not mark their commits
    return [version for version, ours in _changes(url, name, files, since) if not ours]


def _changes(url: str, name: str, files: Mapping[str, Stored], since: int | None) -> Iterator[tuple[int, bool]]:
    """Yield the commits after a version that changed rows, and whether they have our mark."""
    system, root = filesystem(url)
    commits = sorted(path for path in files if COMMIT.fullmatch(path) and (since is None or path > _commit(since)))
    for path in commits:
        with friendly_io_errors(f"{url}/{name}: its log cannot be read"):
            lines = system.cat_file(f"{root}/{name}/{path}").splitlines()
        try:
            actions = [one for line in lines for one in json.loads(line).items()]
            changed = any(kind in ("add", "remove") and one.get("dataChange", True) for kind, one in actions)  # not joined files
            ours = str(dict(actions).get("commitInfo", {}).get(MARK)).startswith("rfm ")
        except (ValueError, AttributeError):
            changed, ours = True, False
        if changed:
            yield int(path.removeprefix(LOG).partition(".")[0]), ours


def unlike_contract(name: str, table: Any) -> str:
    """Return how the columns of a table differ from its contract, as text."""
    held, wanted = dict(pl.scan_delta(table).collect_schema()), dict(TABLES[name].polars)
    odd = [column for column in held | wanted if held.get(column) != wanted.get(column)]
    return f"{len(odd)} column(s) are not those of its contract, first {odd[0]}" if odd else ""


def _of_models(url: str, files: Mapping[str, Stored], noted: Mapping[str, int]) -> list[Damage]:
    """Return the files of models that are gone, empty or, where their size changed, not JSON."""
    gone = [path for path in noted if path not in files]
    bad = [path for path, stored in files.items() if noted.get(path) != stored.size and not _readable(url, path, stored.size)]
    wrong = [f"{len(some)} file(s) {what}, first {min(some)}" for some, what in ((gone, "gone"), (bad, "unreadable")) if some]
    return [Damage(MODELS, " and ".join(wrong))] if wrong else []


def bad_models(url: str, there: bool = False) -> list[str]:
    """Return the paths of models that cannot be read and, unless only those ``there`` are wanted, of those that are gone."""
    listed = list_files(url)
    files, noted = listed.get(MODELS, {}), read_note(url, listed)[0]["models"]
    gone = [] if there else [path for path in noted if path not in files]
    return sorted(gone + [path for path, stored in files.items() if not _readable(url, path, stored.size)])


def _readable(url: str, path: str, size: int) -> bool:
    """Return True if a file of a model holds what it should: a JSON object, or any text."""
    if not path.endswith(".json") or not size:
        return bool(size)
    system, root = filesystem(url)
    try:
        with friendly_io_errors(f"{url}/{MODELS}/{path}: cannot be read"):
            return isinstance(json.loads(system.cat_file(f"{root}/{MODELS}/{path}")), dict)
    except (ValueError, InputError):
        return False


def kept_days(lake: str) -> list[dt.date]:
    """Return the run dates that have a model, oldest first."""
    system, root = filesystem(artifacts_dir(lake))
    with friendly_io_errors(f"{lake}/{MODELS}: cannot be listed", NO_MODEL):
        found = system.find(f"{root}/{MODELS}")
    return sorted(dt.date.fromisoformat(path.split("/")[-2]) for path in found if path.endswith(f"/{MODEL_FILE}"))


# ── rows ────────────────────────────────────────────────────────────
def _of_ledger(lake: Lake, files: int) -> list[Damage]:
    """Return where the ledger and the layers differ, by their totals."""
    noted = ledger.read_entries(lake, "bronze")
    if len(noted) < files:
        return [Damage(LEDGER, f"names {len(noted):,} files of bronze, but the last run left {files:,}")]
    return [Damage(name, wrong) for name, wrong in ledger.differences(lake)[1]]


def compare_rows(lake: Lake) -> list[Damage]:
    """Return where layers and ledger differ file by file, in rows, and silver in money from what was counted of it."""
    found = [Damage(name, wrong) for name, wrong in ledger.differences(lake, each=True)[1]]
    for file, _, money, _, revenue in (odd := odd_files(lake)).head(1).rows():
        said = f"holds {money:,} of {file}, but {revenue:,} were counted ({len(odd)} such file(s))"
        found.append(Damage(SILVER, said))
    return found


def odd_files(lake: Lake) -> pl.DataFrame:
    """Return the files of which silver has other money than was counted in as many rows; the next run counts other rows."""
    sums = [pl.len().alias("rows"), pl.col("TotalPrice").sum().alias("money")]
    silver = lake.read(SILVER).group_by("source_file").agg(*sums)
    wanted = [pl.col("lines").sum(), pl.col("revenue").sum()]
    counted = lake.read(DAILY_VOLUME).group_by("source_file").agg(*wanted)
    both = silver.join(counted, on="source_file").filter(pl.col("rows") == pl.col("lines"))
    return both.filter(pl.col("money") != pl.col("revenue")).sort("source_file").collect()


# ── set aside ────────────────────────────────────────────────────────────
def set_aside(url: str, path: str) -> str:
    """Move a file or folder of a lake to its folder of damaged ones; return the new path in the lake."""
    system, root = filesystem(url)
    names = (f"{ASIDE}/{path}" + (f".{number}" if number else "") for number in itertools.count())
    with friendly_io_errors(f"{url}/{path}: cannot be set aside", "fix that first"):
        target = next(name for name in names if not system.exists(f"{root}/{name}"))
        system.makedirs(f"{root}/{target}".rpartition("/")[0], exist_ok=True)
        system.mv(f"{root}/{path}", f"{root}/{target}", recursive=True)
    return target


def make_readable(url: str, name: str) -> list[str]:
    """Set aside what keeps a table from being read: a commit, checkpoints, data files, at the worst its folder; say what."""
    there = list_files(url)
    files, noted = there.get(name, {}), read_note(url, there)[0]["tables"].get(name, {})
    done = [set_aside(url, f"{name}/{path}") for path, stored in files.items() if COMMIT.fullmatch(path) and not stored.size]
    checkpoints = sorted((path for path in files if path.startswith(LOG) and "checkpoint" in path), reverse=True)
    while files and (table := _opened(url, name)) is None and checkpoints:
        done.append(set_aside(url, f"{name}/{checkpoints.pop(0)}"))
    if files and (table is None or unlike_contract(name, table) or is_another(table, noted)):
        return [*done, set_aside(url, name)]
    if lost := lost_files(_live(table), files) if files else []:
        done += [set_aside(url, f"{name}/{path}") for path in lost if path in files]
        table.repair(**commit_of())  # its log no longer names them
        done += [f"{name}/{path} (gone)" for path in lost if path not in files]
    return done


def take_back(url: str, name: str) -> int | None:
    """Undo what other programs did to a table's rows since the last run; return the version, -1 if it cannot be, or None."""
    there = list_files(url)
    files, noted = there.get(name, {}), read_note(url, there)[0]["tables"].get(name, {})
    table = _opened(url, name) if noted and files else None
    strange = by_others(url, name, files, noted) if table and not is_another(table, noted) else []
    if not table or not strange:
        return None
    last = strange[0] - 1
    theirs_alone = len(strange) == len(list(_changes(url, name, files, last)))  # a run may have built on their rows
    return last if theirs_alone and restore(table, last) else -1


def lost_spans(url: str, name: str, column: str) -> list[tuple[Any, Any]]:
    """Return the lowest and highest value of a column in what a table lost, for each data file; None where nothing says."""
    if not (table := _opened(url, name)):
        return []
    added, files = pl.DataFrame(table.get_add_actions(flatten=True)), list_files(url).get(name, {})
    lost = lost_files(_live(table), files)
    ends = [f"{end}.{column}" for end in ("min", "max")]
    known = added.with_columns(pl.lit(None).alias(end) for end in ends if end not in added.columns)
    return known.filter(pl.col("path").is_in(lost)).select(ends).rows() or [(None, None)]  # another program took rows


def _opened(url: str, name: str) -> Any:
    try:
        return Lake(url).open(name)
    except InputError as error:
        if isinstance(error.__context__, OSError) or REPAIR not in str(error):  # out of reach, which is no damage
            raise
        return None
