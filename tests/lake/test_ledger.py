"""The tables' own rows against the ledger: what is wrong is found, what is only on its way is not."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import polars as pl
import pytest

import rfm
from rfm.datasets.sample import make_sample
from rfm.errors import ContractError
from rfm.lake import ingest, ledger
from rfm.lake.tables import Lake
from rfm.pipeline.backfill import to_bronze, to_silver
from rfm.settings import load_settings

LAST = dt.date(2025, 10, 23)
BRONZE, SILVER, QUARANTINE = "retail_transactions_bronze", "retail_transactions_silver", "retail_transactions_quarantine"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three days and the lake of their run; not to be written to."""
    folder = tmp_path_factory.mktemp("shop")
    make_sample(folder / "landing", days=3, end=LAST, lines=600, customers=60)
    settings = load_settings(landing=str(folder / "landing"), lake=str(folder / "lake"))
    to_bronze(settings, rfm.Lake(settings.lake), LAST)
    to_silver(settings, rfm.Lake(settings.lake), LAST)
    return folder


@pytest.fixture
def lake(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return a copy of that lake; an audit that fails does not wait for other runs."""
    monkeypatch.setattr("rfm.lake.ledger.PAUSE", 0.0)
    return Lake(str(shutil.copytree(whole / "lake", tmp_path / "lake")))


def rows(lake: Lake, name: str) -> pl.DataFrame:
    return lake.read(name).collect()


def test_rows_are_those_of_the_tables(lake: Lake):
    found = ingest.audit(lake)
    assert found == {"bronze": rows(lake, BRONZE).height, "silver": rows(lake, SILVER).height, "quarantine": found["quarantine"]}
    assert found["bronze"] == found["silver"] + found["quarantine"]
    assert found["quarantine"] > 0


def test_an_empty_lake_adds_up(tmp_path: Path):
    assert ingest.audit(Lake(str(tmp_path))) == {"bronze": 0, "silver": 0, "quarantine": 0}


def test_a_version_that_is_not_known_is_the_first(lake: Lake):
    noted = rows(lake, "landing_files").with_columns(version=pl.lit(None, pl.Int64))
    lake.replace("landing_files", noted)
    assert set(ledger.versions_in_layer(lake, "silver").values()) == {1}
    assert ingest.files_to_clean(lake) == []
    lake.replace("landing_files", noted.with_columns(rows=pl.col("rows") + (pl.col("layer") == "bronze")))
    with pytest.raises(ContractError, match=r"bronze = silver \+ quarantine fails for 3 file"):
        ingest.reconcile(lake)


@pytest.mark.parametrize(("name", "layer"), [(BRONZE, "bronze"), (SILVER, "silver"), (QUARANTINE, "quarantine")])
def test_lost_and_doubled_rows_are_found(lake: Lake, name: str, layer: str):
    before = rows(lake, name)
    for changed in (before.tail(-1), pl.concat([before, before])):
        lake.replace(name, changed)
        with pytest.raises(
            ContractError, match=rf"{layer} holds \d+ rows of 2025-10-2\d_transactions.csv, but \d+ were written"
        ) as it:
            ingest.audit(lake)
        assert "\n" not in str(it.value)
    lake.replace(name, before)
    assert ingest.audit(lake)[layer] == before.height


def test_a_ledger_that_does_not_add_up_is_found(lake: Lake):
    noted = rows(lake, "landing_files")
    first = (pl.col("layer") == "silver") & (pl.col("source_file") == "2025-10-21_transactions.csv")
    lake.replace("landing_files", noted.with_columns(rows=pl.when(first).then(pl.col("rows") + 1).otherwise(pl.col("rows"))))
    with pytest.raises(ContractError, match=r"bronze = silver \+ quarantine fails for 1 file\(s\), first.*2025-10-21"):
        ingest.audit(lake)


@pytest.mark.parametrize("layers", [["quarantine"], ["silver", "quarantine"], ["bronze", "silver", "quarantine"]])
def test_a_file_that_another_run_is_writing_is_not_wrong(lake: Lake, layers: list[str]):
    """A run writes the rows first and notes them afterwards; in between the tables are ahead of the ledger."""
    noted = rows(lake, "landing_files")
    ahead = pl.col("layer").is_in(layers) & (pl.col("source_file") == "2025-10-21_transactions.csv")
    lake.replace("landing_files", noted.filter(~ahead))
    assert ingest.audit(lake)["bronze"] == rows(lake, BRONZE).height


def test_a_file_with_another_content_than_noted_is_on_its_way(lake: Lake):
    file = "2025-10-21_transactions.csv"
    half = rows(lake, SILVER).filter(pl.col("source_file") == file).tail(-1)
    version = lake.held(SILVER, [file])[file] + (1 << 40)
    lake.put_files(SILVER, half, {file: version})
    assert ingest.audit(lake)["silver"] == rows(lake, SILVER).height


def test_a_write_between_two_looks_is_waited_for(lake: Lake, monkeypatch: pytest.MonkeyPatch):
    before = rows(lake, BRONZE)
    lake.replace(BRONZE, before.tail(-1))
    monkeypatch.setattr("time.sleep", lambda _: lake.replace(BRONZE, before))
    assert ingest.audit(lake)["bronze"] == before.height


def test_every_run_is_audited(whole: Path, lake: Lake, tmp_path: Path):
    lake.replace(QUARANTINE, rows(lake, QUARANTINE).tail(-1))
    settings = load_settings(landing=str(whole / "landing"), lake=lake.url)
    with pytest.raises(ContractError, match="quarantine holds"):
        to_silver(settings, lake, LAST)
