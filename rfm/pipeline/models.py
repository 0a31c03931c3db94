"""Saved models, one folder per run date in the lake, and the customers of a file assigned by one of them."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rfm.analysis.cleaning import clean
from rfm.analysis.clustering import Model
from rfm.analysis.formatting import escape_formulas
from rfm.analysis.segments.profiles import SCHEMA
from rfm.dialect import plain_name
from rfm.errors import InputError, friendly_io_errors
from rfm.lake.verify import MODEL_FILE, MODELS, NO_MODEL, kept_days
from rfm.landing.csv import parse
from rfm.landing.decode import to_utf8
from rfm.landing.files import filesystem, write_file
from rfm.landing.header import detect_separator
from rfm.pipeline.stages import customer_metrics
from rfm.settings import Settings, artifacts_dir


def keep_model(lake: str, run_date: dt.date, documents: Mapping[str, str]) -> str:
    """Write the documents of a model, each file in one step; a run of the same run date replaces them.

    ``documents`` are texts by file name, see `rfm.stages.model_documents`. Returns the folder, as seen from the lake.

    Examples
    --------
    >>> import datetime
    >>> import tempfile
    >>> import rfm
    >>> rfm.keep_model(tempfile.mkdtemp(), datetime.date(2025, 10, 23), {"model_card.md": "# Model"})
    'models/2025-10-23'
    """
    fs, root = filesystem(artifacts_dir(lake))
    folder = f"{MODELS}/{run_date}"
    with friendly_io_errors(f"{lake}/{folder}: cannot be written to", "fix that first"):
        for name, text in documents.items():
            write_file(fs, f"{root}/{folder}/{name}", text.encode())
    return folder


def read_model(lake: str, run_date: dt.date | None = None) -> dict[str, Any]:
    """Return the model of a run date, or of the newest one."""
    days = kept_days(lake)
    if not days:
        raise InputError(f"{lake}/{MODELS}: holds no model; {NO_MODEL}")
    if run_date and run_date not in days:
        raise InputError(
            f"{lake}/{MODELS}: holds no model of {run_date}, but {len(days)} from {days[0]} to {days[-1]}; name one of them"
        )
    fs, root = filesystem(artifacts_dir(lake))
    place = f"{MODELS}/{run_date or days[-1]}/{MODEL_FILE}"
    with friendly_io_errors(f"{lake}/{place}: cannot be read", NO_MODEL):
        text = fs.cat_file(f"{root}/{place}")
    try:
        document = json.loads(text)
        if document["schema"] == SCHEMA:
            return document
        found = f"schema {document['schema']!r}, this version reads {SCHEMA}"
    except (ValueError, KeyError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
    raise InputError(f"{lake}/{place}: cannot be read as a model ({found}); run its day again")


# ── customers of a file ──────────────────────────────────────────────
COLUMNS = ("CustomerID", "Monetary", "Frequency", "Recency")
LOWEST = {"Monetary": 0, "Frequency": 1, "Recency": 0}
SALES = ("Invoice", "StockCode", "Quantity", "Price", "InvoiceDate")  # columns of bronze by which sales lines are known
ASSIGNED = ["Cluster", "Cluster_Description", "Tier", "Cluster_Recommendation"]


class Scored(NamedTuple):
    """Customers with cluster, segment, tier and action, and a summary in one sentence."""

    customers: pd.DataFrame
    said: str


def score_customers(settings: Settings, file: str, run_date: dt.date | None = None) -> Scored:
    """Assign each customer of a file a cluster, a segment, a tier and an action."""
    model, names = _parsed(read_model(settings.lake, run_date))
    customers = _customers(settings, Path(file), dt.date.fromisoformat(model.trained))
    found = model.predict(customers)
    met = pd.Series(found).isin(names["Cluster"]).to_numpy()
    clusters = [int(one if known else near) for one, known, near in zip(found, met, model.nearest(customers), strict=True)]
    scored = customers.assign(Cluster=clusters).merge(names, on="Cluster", how="left", validate="many_to_one")
    beyond = int((found < 0).sum())
    said = f"{len(scored):,} customer(s) by the model of {model.trained}; {beyond:,} beyond its fences"
    return Scored(scored, said)


def save_scores(scored: pd.DataFrame, out: str | None) -> str:
    """Write customers as CSV to a file, whole, or return the CSV as text; no cell of it is a formula."""
    text = escape_formulas(scored).to_csv(index=False)
    if not out:
        return text
    with friendly_io_errors(f"{out}: cannot be written", "name another --out"):
        Path(out).write_text(text, encoding="utf-8")
    return ""


def _parsed(document: dict[str, Any]) -> tuple[Model, pd.DataFrame]:
    """Return the model of a JSON, and cluster, segment, tier and action; what a newer version added is left out."""
    known = {field.name for field in fields(Model)}
    try:
        model = Model(**{name: value for name, value in document["model"].items() if name in known})
        dt.date.fromisoformat(model.trained)
        return model, pd.DataFrame(document["clusters"])[ASSIGNED]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{MODEL_FILE}: cannot be used ({type(error).__name__}: {error}); run its day again") from None


def _customers(settings: Settings, file: Path, as_of: dt.date) -> pd.DataFrame:
    """Return the customers of a file, its numbers as numbers."""
    frame = _read(file, settings.files.encoding)
    names = {plain_name(str(name)): name for name in frame.columns}
    headers = settings.columns.headers
    sales = {plain_name(headers[raw]) for raw in SALES if headers[raw]}
    if not {plain_name(name) for name in COLUMNS} <= names.keys() and sales <= names.keys():
        return _measured(settings, file, as_of)
    if missing := [name for name in COLUMNS if plain_name(name) not in names]:
        found = ", ".join(map(str, frame.columns[:8])) or "none"
        wanted = f"give {', '.join(COLUMNS)}, or sales lines with {', '.join(filter(None, headers.values()))}"
        raise InputError(f"{file.name}: lacks {len(missing)} column(s): {', '.join(missing)}; found {found}; {wanted}")
    frame = frame[[names[plain_name(name)] for name in COLUMNS]].set_axis(list(COLUMNS), axis=1)
    frame = frame.assign(CustomerID=frame["CustomerID"].astype(str).str.removesuffix(".0"))
    return frame.assign(**{name: _numbers(frame[name], file.name, low) for name, low in LOWEST.items()})


def _read(file: Path, encoding: str) -> pd.DataFrame:
    """Return the rows of a Parquet file, or those of any other file as text."""
    try:
        if file.suffix.lower() in {".parquet", ".pq"}:
            return pd.read_parquet(file)
        text = to_utf8(file.read_bytes(), file.name, encoding)
        return pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False, sep=detect_separator(text))
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file; correct its name") from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{file.name}: is empty; give CSV, Excel, JSON lines or Parquet") from None
    except Exception as error:
        raise InputError(f"{file}: cannot be read ({type(error).__name__}); give CSV, Excel, JSON lines or Parquet") from None


def _numbers(values: pd.Series, file: str, low: float) -> pd.Series:
    """Return a column as numbers not below the lowest that makes sense."""
    numbers = pd.to_numeric(values.astype(str), errors="coerce")
    bad = ~(numbers.between(low, float("inf"), inclusive="left"))
    if bad.any():
        place = int(bad.to_numpy().argmax()) + 1
        counted = f"{int(bad.sum()):,} of {len(values):,} value(s) are not numbers of at least {low}"
        raise InputError(f"{file}: column {values.name}: {counted}, the first in row {place}; correct or remove them")
    return numbers.astype(float)


def _measured(settings: Settings, file: Path, as_of: dt.date) -> pd.DataFrame:
    """Return the metrics of sales lines, by the same rules as in a daily run."""
    lines = parse(file.read_bytes(), file.name, settings.files.encoding, settings.files.separator, settings.columns)
    arrived = {"ingestion_timestamp": pd.Timestamp(as_of, tz="UTC"), "source_file": file.name, "processing_date": as_of}
    silver, _ = clean(lines.to_pandas(types_mapper=pd.ArrowDtype).assign(**arrived), dialect=settings.dialect)
    gold = customer_metrics(silver, settings, as_of)
    if gold.empty:
        raise InputError(f"{file.name}: holds 0 sales of known customers up to {as_of}; see rules.stock_code_pattern and --date")
    return gold[list(COLUMNS)].astype({"CustomerID": str, "Monetary": float, "Frequency": float, "Recency": float})
