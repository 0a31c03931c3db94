"""Small files with the same header, taken apart as one: a reader of CSV takes longer to begin than to read a day's file."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, takewhile

import pyarrow as pa
import pyarrow.compute as pc

from rfm.io.landing.customers import mask_of
from rfm.io.landing.encoding import GZIP_MAGIC, utf8
from rfm.io.landing.files import LandingFile
from rfm.io.landing.header import beginning, from_header, layout_of
from rfm.io.landing.parse import as_bronze, read_records, records_of
from rfm.io.landing.source import Content, Source, stamped

FILES, BYTES = 16, 1 << 20  # taken apart as one, at most
PACKED = (GZIP_MAGIC, b"PK")  # files whose text may be far longer than they are
END = b"\x1aend"  # in every field of the line between two files


def in_groups(files: Iterable[LandingFile]) -> Iterator[list[LandingFile]]:
    """Yield files in order, small ones some at a time; a file of unknown size stands alone.

    Parameters
    ----------
    files
        As `list_files` gives them.
    """
    group: list[LandingFile] = []
    size = 0
    for file in files:
        size += file.bytes or BYTES
        if group and (size > BYTES or len(group) == FILES):
            yield group
            group, size = [], file.bytes or BYTES
        group.append(file)
    if group:
        yield group


def together(sources: Sequence[Source], run_date: dt.date) -> tuple[list[Content], pa.Table] | None:
    """Return contents and rows of small files, the same rows as each gives by itself.

    Parameters
    ----------
    sources
        The files.
    run_date
        Becomes ``processing_date``.

    Returns
    -------
    tuple or None
        None if one cannot be read, headers differ or a line does not fit: then each is to be read by itself, which says why.
    """
    try:
        contents = (source.system.cat_file(source.path) for source in sources)
        raws = list(takewhile(lambda raw: not raw.startswith(PACKED), contents))
        if len(raws) < len(sources):
            return None
        texts = [from_header(utf8(raw, source.name, source.encoding)) for raw, source in zip(raws, sources, strict=True)]
        found = _rows(texts, sources[0])
    except Exception:  # whatever it is, it is told of the file that it is about when that is read by itself
        return None
    if found is None:
        return None
    table, counts = found
    files = [(source.name, count) for source, count in zip(sources, counts, strict=True)]
    return [Content(len(raw), hashlib.sha256(raw).hexdigest()) for raw in raws], stamped(table, files, run_date)


def _rows(texts: Sequence[bytes], like: Source) -> tuple[pa.Table, list[int]] | None:
    """Return the rows of texts and how many each has; none where one has another header or a line that does not fit."""
    first = beginning(texts[0])
    if not first or any(beginning(text) != first or END in text for text in texts):
        return None
    layout = layout_of(first, like.name, like.separator, like.columns)
    end = layout.separator.encode().join([END] * len(layout.header)) + b"\n"
    records = records_of(b"".join(text[len(first) :] + end for text in texts), layout, last=True)
    table, bad = read_records(records, layout, 1, like.name)
    ends = pc.fill_null(pc.equal(table[0], END.decode()), False)
    places = pc.indices_nonzero(ends).to_pylist()
    if bad or records.ragged or len(places) != len(texts):
        return None
    counts = [place - before - 1 for before, place in pairwise([-1, *places])]
    rows = table.filter(pc.invert(ends))
    return as_bronze(rows, layout.header, [], like.columns, mask_of(like.columns)), counts
