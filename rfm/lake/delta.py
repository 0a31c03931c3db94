"""Delta tables of a lake: options of a bucket, handles that are kept open, commits of checked rows, maintenance."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote, unquote

import deltalake
import polars as pl
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from rfm.config import VERSION
from rfm.contracts import TABLES, Table, conform
from rfm.errors import REPAIR, ContractError, InputError, as_user_error, explain_cloud_error, friendly_io_errors
from rfm.landing.files import S3, filesystem
from rfm.settings import NO_DELTA, NO_DELTA_ON_DISK, real_path

AMAZON = (".amazonaws.com", ".amazonaws.com.cn")
# A dead endpoint is given up after about 20 seconds, as in `rfm.landing.files`; a conflict of two writers is no failure.
PATIENCE = {"connect_timeout": "4s", "timeout": "20s", "max_retries": "5", "retry_timeout": "15s"}


def options(url: str) -> dict[str, str] | None:
    """Return delta-rs's storage options for the tables under a URL, None if it is no bucket."""
    # No key is among them: delta-rs looks for the credentials itself, where every client of S3 does, and renews them
    # when they expire. Commits are conditional puts, its default, so no lock table is needed.
    if not url.startswith(S3):
        return None
    session, client = _made()
    if not session.get_credentials():
        raise InputError(f"{url}: cannot be read ({explain_cloud_error('NoCredentials')})")
    meta = client.meta
    own = not meta.endpoint_url.endswith(AMAZON)  # a server of one's own, such as MinIO
    where = {"aws_endpoint_url": meta.endpoint_url} if own else {}
    http = {"aws_allow_http": "true"} if meta.endpoint_url.startswith("http://") else {}
    region = {"aws_region": os.environ.get("AWS_REGION") or meta.region_name.replace("aws-global", "us-east-1")}
    return {**PATIENCE, **where, **http, **region, "aws_force_credential_load": "true"}


def credentials(url: str) -> dict[str, Any] | None:
    """Return the keys of a bucket for Polars, which looks for them in fewer places than delta-rs."""
    found = _made()[0].get_credentials() if url.startswith(S3) else None
    if not found:
        return None
    keys = found.get_frozen_credentials()
    named = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key, "aws_session_token": keys.token}
    return {"max_retries": 5, **{name: value for name, value in named.items() if value}}


def _made() -> tuple[Any, Any]:
    """Return session and client of botocore, kept as long as the environment stays the same."""
    return _make(frozenset((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


@cache
def _make(environment: frozenset[tuple[str, str]]) -> tuple[Any, Any]:
    """Make session and client; the environment is the key of the cache."""
    import botocore.session  # not at the top: a lake in a folder does without

    session = botocore.session.get_session()
    return session, session.create_client("s3")


PLAIN = re.compile(r"[\w/.:@+=,~-]*", re.ASCII)  # addresses that delta-rs and Polars spell the same way


class _Decoded(deltalake.DeltaTable):
    """A handle whose file addresses are plain, as Polars reads them; delta-rs encodes them as in a URL."""

    def file_uris(self, *wanted: Any) -> list[str]:
        return [_as_polars_reads(uri) for uri in super().file_uris(*wanted)]

    @property
    def table_uri(self) -> str:
        return _as_polars_reads(super().table_uri)

    def deletion_vectors(self) -> Any:
        return pl.DataFrame(super().deletion_vectors()).with_columns(pl.col("filepath").map_elements(unquote, pl.String))


def _as_polars_reads(uri: str) -> str:
    return unquote(uri.removeprefix("file://"))


def scan(table: deltalake.DeltaTable, keys: dict[str, Any] | None) -> pl.LazyFrame:
    """Return the rows of a table in a folder or bucket."""
    if not PLAIN.fullmatch(table.table_uri):
        table, encoded = _Decoded.__new__(_Decoded), table
        table.__dict__ = encoded.__dict__
    return pl.scan_delta(table, storage_options=keys)


def scratch(prefix: str) -> TemporaryDirectory[str]:
    """Return a temporary folder for tables, elsewhere if Delta cannot use the name of the usual one."""
    odd = NO_DELTA_ON_DISK.search(real_path(gettempdir()))
    return TemporaryDirectory(prefix=prefix, dir="/var/tmp" if odd else None, ignore_cleanup_errors=True)


@dataclass(frozen=True)
class TableCache:
    """The tables under a folder or URL."""

    url: str
    _kept: dict[str, deltalake.DeltaTable] = field(default_factory=dict, repr=False, compare=False)

    def path(self, name: str) -> str:
        """Return the address of a table."""
        if name not in TABLES:
            raise InputError(f"there is no table {name}; tables: {', '.join(TABLES)}")
        return f"{self.url}/{name}"

    def open(self, name: str, version: int | None = None) -> deltalake.DeltaTable | None:
        """Return a handle on the newest or the given version of a table, None if there is no table."""
        # A handle on the newest version is kept: updating it costs a fraction of opening the table.
        path = self.path(name)
        try:
            if version is not None:
                return self._handle(name, version)
            if name in self._kept:
                if _moved_on(path, self._kept[name].version()):
                    self._kept[name].update_incremental()
            else:
                self._kept[name] = self._handle(name)
            return self._kept[name]
        except TableNotFoundError:
            with friendly_io_errors(f"{path}: cannot be listed", f"run {REPAIR}"):
                if "://" not in path and any(Path(path).glob("*.parquet")):
                    raise InputError(f"{path}: its log is gone; run {REPAIR}") from None
            return None
        except Exception as error:
            self._kept.pop(name, None)
            said = f"{path}: the table cannot be read"
            raise as_user_error(error, said, f"run {REPAIR}", DeltaError, ValueError) from None

    def forget(self, name: str) -> None:
        """Drop a kept handle: after a checkpoint a new one is smaller and quicker."""
        self._kept.pop(name, None)

    def existing(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on a table that must exist."""
        if table := self.open(name):
            return table
        raise InputError(
            f"{self.url}: there is no table {name}; tables: {', '.join(name for name in TABLES if self.open(name)) or 'none'}"
        )

    def ensure(self, name: str) -> deltalake.DeltaTable:
        """Return a handle on a table, created empty if it does not exist."""
        if table := self.open(name):
            return table
        try:
            given: dict[str, Any] = {"name": name, "description": TABLES[name].grain, "storage_options": options(self.url)}
            deltalake.DeltaTable.create(self._address(name), arrow_schema(TABLES[name]), mode="ignore", **given)
            self._kept[name] = self._handle(name)
        except CommitFailedError:
            raise
        except Exception as error:
            said, remedy = f"{self.path(name)}: no table can be made", "run again, or name another lake"
            raise as_user_error(error, said, remedy, DeltaError) from None
        return self._kept[name]

    def _address(self, name: str) -> str:
        """Return the address of a table as delta-rs spells it: a path in UTF-8 in any locale, a bucket as a URL."""
        path = self.path(name)
        scheme, parted, rest = path.partition("://")
        whole = rest if parted else real_path(path)
        if found := (NO_DELTA if parted else NO_DELTA_ON_DISK).search(whole):
            remedy = "name a folder whose whole path is without it: --lake, RFM_LAKE or `lake` in rfm.toml"
            raise InputError(f"{self.url}: Delta tables cannot be stored under a path with {found[0]!r} in it; {remedy}")
        return f"{scheme}://{quote(rest, safe='/=')}" if parted else whole

    def _handle(self, name: str, version: int | None = None) -> deltalake.DeltaTable:
        return deltalake.DeltaTable(self._address(name), version=version, storage_options=options(self.url))


def _moved_on(path: str, version: int) -> bool:
    """Return True if a table may have a version after this one; on a disk one look at the log tells."""
    following = Path(f"{path}/_delta_log/{version + 1:020}.json")
    return "://" in path or following.exists() or not following.parent.is_dir()


# ── commit ────────────────────────────────────────────────────────────
CHUNK_ROWS = 250_000
TRIES = 20
# A commit does not clean the log, which costs more the longer the log: `optimize` does that.
LEAN = deltalake.PostCommitHookProperties(cleanup_expired_logs=False)
MARK, MARKED = "userMetadata", f"rfm {VERSION}"  # in each commit of rows, which tells it from one of another program
Rows: TypeAlias = pl.DataFrame | pl.LazyFrame | Iterable[pa.Table]
Result = TypeVar("Result")


class Stream:
    """Rows on their way into a commit, checked piece by piece and counted."""

    def __init__(self, table: Table, rows: Rows) -> None:
        self.table, self.pieces, self.rows = table, _pieces(rows), 0
        self.refusal: ContractError | InputError | None = None  # Arrow streams carry an error's text, not the error

    def reader(self) -> pa.RecordBatchReader:
        """Return the rows as an Arrow stream with the schema of the contract."""
        return pa.RecordBatchReader.from_batches(arrow_schema(self.table), self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for piece in self.pieces:
                frame = conform(self.table, piece)
                self.rows += len(frame)
                yield from to_arrow(frame).to_batches()
        except (ContractError, InputError) as refusal:
            self.refusal = refusal
            raise


def _pieces(rows: Rows) -> Iterable[pl.DataFrame]:
    if isinstance(rows, pl.LazyFrame):
        return rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True, engine="streaming")
    frames = [rows] if isinstance(rows, pl.DataFrame) else map(pl.DataFrame, rows)
    return (piece for frame in frames for piece in frame.iter_slices(CHUNK_ROWS))


def to_arrow(rows: pl.DataFrame) -> pa.Table:
    """Return rows in types that every Delta reader knows."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a contract."""
    return to_arrow(pl.DataFrame(schema=table.polars)).schema


# escapes of a quoted text: Spark drops a doubled quote, and reads a backslash as the start of an escape
IN_DELTA, IN_SPARK = str.maketrans({"'": "''"}), str.maketrans({"'": "\\'", "\\": "\\\\"})


def sql_equals(column: str, value: dt.date | str | list[str] | list[dt.date], escapes: dict[int, str] = IN_DELTA) -> str:
    """Return the SQL condition that a column has a value or one of some values."""
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and value and isinstance(value[0], dt.date):  # delta-rs compares a date with a text by = alone
        return "(" + " OR ".join(sql_equals(column, one, escapes) for one in value) + ")"
    quoted = ", ".join("'" + str(one).translate(escapes) + "'" for one in values)
    return f"{column} IN ({quoted})" if isinstance(value, list) else f"{column} = {quoted}"


def commit_of(*ids: deltalake.Transaction) -> dict[str, Any]:
    """Return how rows are committed: with our mark, and with the ids of what is written."""
    properties = deltalake.CommitProperties(custom_metadata={MARK: MARKED}, app_transactions=list(ids))
    return {"commit_properties": properties, "post_commithook_properties": LEAN}


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn an error of the disk or the server into one line; what was committed before stays."""
    try:
        yield
    except CommitFailedError:
        raise
    except Exception as error:
        remedy = "see to room and rights there, then run again"
        raise as_user_error(error, f"{path}: cannot be written", remedy, DeltaError) from None


def retried(attempt: Callable[[], Result]) -> Result:
    """Return the result of an attempt, repeated while another writer was faster."""
    for turn in range(TRIES):
        try:
            return attempt()
        except CommitFailedError:
            time.sleep(0.05 * (turn + 1))
    return attempt()


# ── maintenance ────────────────────────────────────────────────────────────
RETAIN_DAYS = 7
SHORT_LOG = 20  # commits after which a checkpoint is written; until then every reader reads each of them
LOG_DAYS = 30  # Delta's default
KEEP_LOG = "delta.logRetentionDuration"
LEFTOVER = re.compile(r"\.(?:parquet|json)#[0-9]+$")  # files of killed writers, which Delta never removes


def optimize(handles: TableCache, name: str, retain_days: int = RETAIN_DAYS) -> dict[str, int]:
    """Join a table's small files, remove files that no version of the last days needs, and write a checkpoint."""
    before = len(handles.existing(name).file_uris())
    retried(lambda: handles.existing(name).optimize.compact())
    table = handles.existing(name)
    wanted = f"interval {retain_days} days"  # the log is kept as long as the files, where that is longer than the default
    if retain_days > LOG_DAYS and table.metadata().configuration.get(KEEP_LOG) != wanted:
        table.alter.set_table_properties({KEEP_LOG: wanted})
    removed = len(table.vacuum(retention_hours=24 * retain_days, dry_run=False, full=True))
    table.update_incremental()
    table.create_checkpoint()
    table.cleanup_metadata()
    handles.forget(name)
    removed += _sweep(handles.path(name), retain_days)
    return {"before": before, "after": len(handles.existing(name).file_uris()), "removed": removed}


def restore(table: deltalake.DeltaTable, version: int) -> bool:
    """Give a table the rows of an earlier version again; return False if some of them are gone."""
    try:
        table.restore(version, **commit_of())
    except DeltaError:
        return False
    return True


def maintain(handles: TableCache, every: int, retain_days: int = RETAIN_DAYS, names: Iterable[str] = TABLES) -> list[str]:
    """Optimize each table after ``every`` commits, and return their names; leave a table that is being written."""
    # In between a checkpoint keeps the log short.
    optimized = []
    for name in names if every else ():
        table = handles.open(name)
        if not table or table.version() < min(every, SHORT_LOG):
            continue
        version, last = table.version(), _checkpoint(handles.path(name))
        if version // every > last // every:
            try:
                optimize(handles, name, retain_days)
            except CommitFailedError:
                continue
            optimized.append(name)
        elif version - last >= SHORT_LOG:
            table.create_checkpoint()
            handles.forget(name)
    return optimized


def _checkpoint(path: str) -> int:
    system, root = filesystem(path)
    try:
        return int(json.loads(system.cat_file(f"{root}/_delta_log/_last_checkpoint"))["version"])
    except (FileNotFoundError, ValueError, KeyError):
        return 0


def _sweep(path: str, retain_days: int) -> int:
    """Remove old files of killed writers from a disk, and return how many; a bucket holds none."""
    if "://" in path:
        return 0
    oldest, removed = time.time() - retain_days * 86_400, 0
    with suppress(OSError):  # what cannot be listed now is removed another time
        for file in Path(path).rglob("*#*"):
            with suppress(OSError):  # another run renames or removes it at this moment
                if LEFTOVER.search(file.name) and file.stat().st_mtime < oldest:
                    file.unlink()
                    removed += 1
    return removed
