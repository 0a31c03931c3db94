"""Landing files: find them, on disk or in a bucket, and read them as text so that nothing is lost.

A line that does not fit the header is kept whole in ``_rescued_data``; a file that is not a sales file is
refused by name while the others go on.
"""

from __future__ import annotations

import csv
import datetime as dt
import fnmatch
import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.csv

from rfm.schema import LANDING_COLUMNS, InputError, SettingsError
from rfm.settings import Settings

REQUIRED = ("Invoice", "StockCode", "Quantity", "Price", "Customer ID", "InvoiceDate")
SEPARATORS = (",", ";", "\t", "|")
BATCH_BYTES = 64 << 20
DATE_IN_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
GZIP_MAGIC, UTF8_BOM, UTF16_BOMS = b"\x1f\x8b", b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


class LandingFile(NamedTuple):
    """A file that a run may read.

    Parameters
    ----------
    source_file
        Path under the landing folder.
    file_date
        Date in the file's name, if there is one.
    bytes
        Size.
    """

    source_file: str
    file_date: dt.date | None
    bytes: int


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """Return the file system of a folder or URL, and the path on it; bucket listings are never cached."""
    options = {"use_listings_cache": False, "skip_instance_cache": True} if url.startswith("s3://") else {}
    try:
        return fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{url}: {error}; use a folder or an s3:// address") from None


def list_files(landing: str, pattern: str = "*_transactions.csv*", *, until: dt.date | None = None) -> list[LandingFile]:
    """List the landing files that a run of a date sees.

    Parameters
    ----------
    landing
        Folder or URL; files may lie flat or in folders of their own.
    pattern
        Shell pattern of the file names.
    until
        Run date: files dated later are left out, files without a date in their name never are.

    Returns
    -------
    list of LandingFile
        In order of date and name.

    Raises
    ------
    SettingsError
        If the folder is missing, holds no such file, or none dated up to the run date.
    """
    files = _find(landing, pattern)
    seen = [file for file in files if until is None or file.file_date is None or file.file_date <= until]
    if not seen:
        first = min(file.file_date for file in files if file.file_date)
        raise SettingsError(f"{landing}: none of {len(files)} file(s) is dated up to {until}; the first is of {first}")
    return seen


def _find(landing: str, pattern: str) -> list[LandingFile]:
    """Return all landing files in order of date and name."""
    system, root = filesystem(landing)
    try:
        found = system.find(root, detail=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{landing}: cannot be listed ({error})") from None
    files = [
        LandingFile(path.removeprefix(root).lstrip("/"), _date_in(path), int(info["size"] or 0))
        for path, info in found.items()
        if info["type"] == "file" and fnmatch.fnmatch(PurePosixPath(path).name, pattern)
    ]
    if not files:
        raise SettingsError(
            f"{landing}: holds no file like {pattern} ({len(found)} other file(s)); "
            "put daily files there, or make some with `rfm sample`"
        )
    return sorted(files, key=lambda file: (file.file_date or dt.date.min, file.source_file))


def _date_in(path: str) -> dt.date | None:
    """Return the date in a file's name, if there is one."""
    for found in DATE_IN_NAME.findall(PurePosixPath(path).name):
        try:
            return dt.date.fromisoformat(found)
        except ValueError:
            continue
    return None


def run_date(settings: Settings) -> dt.date:
    """Return the run date: the one that was set, otherwise the newest date among the landing files' names.

    Raises
    ------
    SettingsError
        If none was set and no file has a date in its name, or there is no file.
    """
    if settings.date:
        return settings.date
    dates = [file.file_date for file in _find(settings.landing, settings.files.pattern) if file.file_date]
    if not dates:
        raise SettingsError(f"{settings.landing}: no file has a date (YYYY-MM-DD) in its name; give the run date with --date")
    return max(dates)


def has_files(settings: Settings) -> bool:
    """Tell whether the landing folder holds any landing file."""
    try:
        return bool(_find(settings.landing, settings.files.pattern))
    except SettingsError:
        return False


def read_files(landing: str, files: Iterable[str], run_date: dt.date) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Read landing files as text, some at a time.

    Parameters
    ----------
    landing
        Folder or URL.
    files
        Paths under it, as `list_files` gives them.
    run_date
        Becomes ``processing_date``.

    Yields
    ------
    tuple of pyarrow.Table
        What was read (``landing_files`` without layer and rows), and rows of ``retail_transactions_bronze``, at most about 64 MB of files.

    Raises
    ------
    InputError
        After all other files were read: naming every file that is not a sales file, and why.
    """
    system, root = filesystem(landing)
    refused, ledger, rows, size = [], [], [], 0
    for name in files:
        try:
            raw = system.cat_file(f"{root}/{name}")
            table = parse(raw, name)
        except (InputError, OSError) as error:
            refused.append(str(error))
            continue
        ledger.append((name, _date_in(name), len(raw), hashlib.sha256(raw).hexdigest(), run_date))
        rows.append(_arrived(table, name, run_date))
        size += len(raw)
        if size > BATCH_BYTES:
            yield _ledger(ledger), pa.concat_tables(rows)
            ledger, rows, size = [], [], 0
    if rows:
        yield _ledger(ledger), pa.concat_tables(rows)
    if refused:
        raise InputError(f"{len(refused)} file(s) refused, the others were read: {'; '.join(refused)}")


def _ledger(rows: list[tuple]) -> pa.Table:
    """Return rows of ``landing_files``, layer and rows aside."""
    types = [pa.string(), pa.date32(), pa.int64(), pa.string(), pa.date32()]
    names = ["source_file", "file_date", "bytes", "sha256", "processing_date"]
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, types, strict=True)], names)


def _arrived(table: pa.Table, name: str, run_date: dt.date) -> pa.Table:
    """Add when, from which file and in which run the rows came."""
    now = dt.datetime.now(dt.UTC)
    for column, value, kind in (
        ("ingestion_timestamp", now, pa.timestamp("us", "UTC")),
        ("source_file", name, pa.string()),
        ("processing_date", run_date, pa.date32()),
    ):
        table = table.append_column(column, pa.repeat(pa.scalar(value, kind), table.num_rows))
    return table


def parse(raw: bytes, name: str) -> pa.Table:
    """Turn the bytes of a landing file into rows of text.

    Parameters
    ----------
    raw
        Content; UTF-8, UTF-16 or Windows-1252, gzip or plain, separated by comma, semicolon, tab or bar.
    name
        For errors.

    Returns
    -------
    pyarrow.Table
        Columns of bronze up to ``_rescued_data``; empty texts are null. Lines with too few or too many fields
        have nulls and their raw text in ``_rescued_data``.

    Raises
    ------
    InputError
        If it is not a sales file: no table at all, or a required column is missing or twice.
    """
    text = _utf8(raw, name)
    if not text.strip():
        return _empty()
    separator, header = _header(text, name)
    bad: list[dict] = []
    table = _read_csv(text, header, separator, bad, name)
    wanted = {_plain(column): i for i, column in enumerate(header)}
    places = {column: wanted.get(_plain(column)) for column in LANDING_COLUMNS}
    columns = [table[i] if i is not None else pa.nulls(table.num_rows, pa.string()) for i in places.values()]
    extra = [i for i in range(len(header)) if i not in places.values()]
    good = pa.table([*columns, _extra_fields(table, header, extra)], _bronze_names())
    return pa.concat_tables([good, _rescued(bad)]) if bad else good


def _utf8(raw: bytes, name: str) -> bytes:
    """Return the content as UTF-8 without a byte order mark, ending with a line end."""
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise InputError(f"{name}: damaged gzip ({error}); send the file again") from None
    if raw.startswith(UTF16_BOMS):
        raw = raw.decode("utf-16", "replace").encode()
    raw = raw.removeprefix(UTF8_BOM)
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        raw = b"\n".join(_line_utf8(line) for line in raw.split(b"\n"))
    return raw if raw.endswith((b"\n", b"\r")) else raw + b"\n"


def _line_utf8(line: bytes) -> bytes:
    """Return a line as UTF-8, read as Windows-1252 where it is not UTF-8 already."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace").encode()
    return line


def _header(text: bytes, name: str) -> tuple[str, list[str]]:
    """Return the separator that fits, and the names in the first line."""
    first = text[: 1 << 16].decode("utf-8", "replace")
    known = {_plain(column) for column in LANDING_COLUMNS}
    found = [next(csv.reader(io.StringIO(first), delimiter=separator), []) for separator in SEPARATORS]
    matches = [len({_plain(column) for column in header} & known) for header in found]
    best = matches.index(max(matches))
    header, plain = [column.strip() for column in found[best]], [_plain(column) for column in found[best]]
    if not matches[best]:
        raise InputError(
            f"{name}: not a sales file, first line {first.splitlines()[0][:60]!r}; wanted {', '.join(LANDING_COLUMNS)}"
        )
    if missing := [column for column in REQUIRED if _plain(column) not in plain]:
        raise InputError(f"{name}: lacks {len(missing)} required column(s): {', '.join(missing)}; add them to the file")
    if twice := sorted({column for column in header if plain.count(_plain(column)) > 1}):
        raise InputError(f"{name}: column(s) {', '.join(twice)} stand twice; keep one of each")
    return SEPARATORS[best], header


def _plain(column: str) -> str:
    """Return a column name without case, blanks and underscores: ``Customer ID`` is ``customerid``."""
    return re.sub(r"[\s_]", "", column).casefold()


def _read_csv(text: bytes, header: list[str], separator: str, bad: list[dict], name: str) -> pa.Table:
    """Parse the lines below the header into columns of text; lines that do not fit go to `bad`."""

    def rescue(row: pyarrow.csv.InvalidRow) -> str:
        bad.append({"_raw": row.text, "_line": row.number, "_fields": row.actual_columns})
        return "skip"

    names = [str(i) for i in range(len(header))]
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text),
            # one block and one thread: line numbers are known, and no quoted newline is cut
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False, block_size=len(text)),
            parse_options=pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=rescue),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return pa.table([pa.array([], pa.string())] * len(header), names)
        raise InputError(f"{name}: cannot be read as a table ({error}); send the file again") from None


def _extra_fields(table: pa.Table, header: list[str], extra: list[int]) -> pa.Array:
    """Return, a row each, the JSON of the fields under columns that bronze does not know."""
    if not extra:
        return pa.nulls(table.num_rows, pa.string())
    names, columns = [header[i] for i in extra], [table[i].to_pylist() for i in extra]
    present = ({k: v for k, v in zip(names, row, strict=True) if v is not None} for row in zip(*columns, strict=True))
    return pa.array([json.dumps(fields, ensure_ascii=False) if fields else None for fields in present], pa.string())


def _rescued(bad: list[dict]) -> pa.Table:
    """Return rows of nulls with the raw text of the lines that did not fit."""
    nulls = [pa.nulls(len(bad), pa.string())] * len(LANDING_COLUMNS)
    return pa.table([*nulls, pa.array([json.dumps(line, ensure_ascii=False) for line in bad], pa.string())], _bronze_names())


def _empty() -> pa.Table:
    """Return no rows."""
    return pa.table([pa.array([], pa.string())] * (len(LANDING_COLUMNS) + 1), _bronze_names())


def _bronze_names() -> list[str]:
    """Return the columns of bronze that come from the file."""
    return [*LANDING_COLUMNS.values(), "_rescued_data"]
