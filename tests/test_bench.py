"""The benchmarks: one end to end on a tiny sample, baselines with equal results, ratios within one run."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from benchmarks import __main__ as bench
from benchmarks import gold, growth, kmeans, larger, measure, memory, peers, runs, steady, table
from benchmarks.cases import CASES, PREPARATIONS, Case, Inputs, chosen
from benchmarks.one import located
from rfm.datasets.sample import make_sample
from rfm.pipeline import notebooks

pytestmark = pytest.mark.no_cover  # other tests run the same code; following every line again costs half as much once more


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """Return a sample of twelve days in the layout of a benchmark."""
    folder = tmp_path_factory.mktemp("bench")
    make_sample(folder / "landing", days=12, end=dt.date(2025, 7, 12), customers=150, lines=3000)
    return Inputs(folder, 2)


def _run(seconds: float, same: dict | None = None, stages: tuple = ()) -> dict:
    run = {"seconds": seconds, "cpu": seconds, "imports": 0.5, "before": 90.0, "peak": 100.0 + seconds, "tree": 200.0}
    return run | {"same": same or {}, "units": 1000, "stages": list(stages)}


@pytest.mark.whole
def test_one_benchmark_from_end_to_end(tiny: Inputs, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("RFM_REAL_DATA", str(tiny.folder / "landing"))
    place = tmp_path / "out" / "bench.json"
    assert bench.main(["--only", "gold.exact", "gold.polars", "--runs", "1", "--json", str(place)]) == 0
    found = json.loads(place.read_text())
    assert [row["name"] for row in found["rows"]] == ["gold.exact", "gold.polars"]
    plain, ours = (found["runs"][name][0]["seconds"] for name in ("gold.exact", "gold.polars"))
    assert found["rows"][1]["ratio"] == pytest.approx(plain / ours)
    assert found["data"]["files"] == 12
    assert found["command"] == "python -m benchmarks --only gold.exact gold.polars --runs 1"
    printed = capsys.readouterr().out
    assert printed.strip() == place.with_suffix(".md").read_text().strip()
    assert "| gold.polars | CSV → gold, Polars | 1 |" in printed
    assert str(tmp_path) not in printed + place.read_text()


@pytest.mark.parametrize("ours", [gold.exact, gold.on_polars, gold.on_delta, gold.on_pandas])
def test_plain_pandas_gives_the_same_results(tiny: Inputs, tmp_path: Path, ours):
    results = []
    for make in (gold.plain, ours):
        work, outcome = make(tiny, tmp_path)
        results.append(outcome(work()))
    assert results[0] == results[1]
    assert results[0].same["customers"] > 100


def test_all_baselines_give_the_same_silver(tiny: Inputs, tmp_path: Path):
    rows = larger.lake(tiny)["silver"]
    found = []
    for make in (peers.pandas, peers.ours, peers.polars, peers.duckdb):
        work, outcome = make(tiny, tmp_path, lake="lake1")
        found.append(outcome(work()))
    assert found[1:] == found[:1] * 3
    assert found[0].units == rows
    assert found[0].same["customers"] > 100


def test_copies_of_a_day_have_own_invoices_and_customers(tiny: Inputs, tmp_path: Path):
    day = tiny.files[-1]
    larger.repeat([day], tmp_path / "more", 3)
    once, thrice = (pl.read_csv(path, infer_schema=False) for path in (day, tmp_path / "more" / day.name))
    same = ["StockCode", "Description", "Quantity", "Price", "Country", "InvoiceDate"]
    assert thrice.select(same).sort(same).equals(pl.concat([once.select(same)] * 3).sort(same))
    for column in ("Invoice", "Customer ID"):
        assert thrice[column].drop_nulls().n_unique() == 3 * once[column].drop_nulls().n_unique()
        assert thrice[column].null_count() == 3 * once[column].null_count()
    assert thrice["Invoice"].str.contains("^C?.{6}$").all()
    assert (thrice["Invoice"].str.starts_with("C").sum(), thrice["Customer ID"].str.ends_with(".0").all()) == (
        3 * once["Invoice"].str.starts_with("C").sum(),
        True,
    )


def test_growth_is_the_slope_of_the_logarithms():
    cases = [Case(f"a.{size}", "", "", (), "lines", series="a") for size in (1, 10)]
    measured = {f"a.{size}": [_run(float(seconds)) | {"units": size}] for size, seconds in ((1, 2), (10, 20))}
    found = table.growth(cases, measured)
    assert found["a"]["seconds"] == pytest.approx(1)
    assert 0 < found["a"]["memory"] < 0.1
    assert table.growth(cases[:1], measured) == {}


def test_memory_is_that_of_all_processes():
    child = "import sys; held = bytearray(40 << 20); sys.stdin.read()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE) as process, memory.watched(process.pid) as watch:
        end = time.monotonic() + 300
        while watch.most <= 45 and time.monotonic() < end:
            time.sleep(memory.EVERY)
        process.stdin.close()
        process.wait()
    assert 45 < watch.most < 150


def test_plain_loop_chooses_the_same_k(tiny: Inputs, tmp_path: Path):
    assert kmeans.customers(tiny)["customers"] > 50
    for pair in ((kmeans.plain, kmeans.ours), (kmeans.plain_silhouettes, kmeans.our_silhouettes)):
        plain, ours = (outcome(work()) for work, outcome in (make(tiny, tmp_path) for make in pair))
        assert plain == ours


@pytest.mark.whole
def test_backfill_and_plain_pandas_agree(tiny: Inputs, tmp_path: Path):
    work, outcome = runs.backfill(tiny, tmp_path)
    found = outcome(work())
    plain, sums = gold.plain(tiny, tmp_path)
    assert found.same == sums(plain()).same
    assert found.units == 2


@pytest.mark.long
def test_a_short_and_a_long_history_gain_the_same_rows(tiny: Inputs, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(growth, "SHORT", 3)
    assert growth.grown(tiny) == {"days": 9}
    outcomes = []
    for start in ("short", "long"):
        work, outcome = growth.days(tiny, tmp_path / start, start=start)
        outcomes.append(outcome(work()))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0].same["rows"] > 0


def test_foresight_renames_only_what_stays():
    chain, dates = steady.Chain(steady.OFF), [dt.date(2025, 7, 1 + i) for i in range(20)]
    names = {"back": "AAB" + "A" * 17, "for good": "A" * 10 + "B" * 10, "buys": "AB" * 10, "new": " " * 5 + "A" * 15}
    for place, day in enumerate(dates):
        chain.names[day] = pd.Series({one: name[place] for one, name in names.items() if name[place] != " "})
        chain.quiet[day] = chain.names[day].index.to_series().isin(["back", "for good"])
    found = steady.foreseen(chain)
    assert found.loc[2].tolist() == pytest.approx([1 / 2 / 19, 1 / 3 / 20])  # one of two quiet ones; one of three
    assert found.loc[16].tolist() == pytest.approx([0, (1 / 3 + 10 / 4) / 20])


def test_a_ratio_needs_its_baseline_in_the_same_run():
    cases = chosen(["gold.exact", "gold.polars"], full=False)
    measured = {"gold.exact": [_run(8.0), _run(4.0), _run(6.0)], "gold.polars": [_run(3.0), _run(1.0), _run(2.0)]}
    rows = table.rows(cases, measured)
    assert [(row.seconds, row.low, row.high, row.ratio) for row in rows] == [(6, 4, 8, None), (2, 1, 3, 3)]
    assert (rows[1].rate, rows[1].peak, rows[1].runs) == (500, 103, 3)
    assert table.rows(cases[1:], {"gold.polars": measured["gold.polars"]})[0].ratio is None


def test_no_time_is_reported_if_results_differ():
    cases = chosen(["gold.exact", "gold.polars"], full=False)
    measured = {"gold.exact": [_run(1.0, {"revenue": "10.00"})], "gold.polars": [_run(1.0, {"revenue": "10.01"})]}
    with pytest.raises(measure.BenchError, match="gold.polars found revenue 10.01, gold.exact found 10.00"):
        measure.agree(cases, measured)


def test_benchmarks_alternate_and_long_ones_run_less_often():
    cases = chosen(["silhouettes", "gold.exact"], full=False)
    measured = {case.name: [] for case in cases}
    order = []
    for case, _ in measure.turns(cases, measured, 0):
        order.append(case.name)
        measured[case.name].append(_run(11.0 if case.name == "gold.exact" else 1.0))
    assert order == ["gold.exact"] * 3 + ["silhouettes.plain", "silhouettes.ours"] * 5


def test_a_failing_benchmark_says_why_in_one_line(tmp_path: Path):
    with pytest.raises(measure.BenchError, match=r"customers failed: .*IndexError"):
        measure.call("customers", Inputs(tmp_path, 1))


def test_unknown_benchmarks_are_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        bench.main(["--only", "golf"])
    assert stopped.value.code == 2
    assert "no benchmark golf; there are daily.empty" in capsys.readouterr().err


def test_a_stage_is_split_by_papermill_timestamps():
    def mark(begun: float, ended: float) -> dict:
        times = {"start_time": begun, "end_time": ended}
        return {"papermill": {name: dt.datetime.fromtimestamp(value, dt.UTC).isoformat() for name, value in times.items()}}

    def cell(kind: str, source: str, begun: float, ended: float, *tags: str) -> dict:
        return {"cell_type": kind, "source": [source], "metadata": mark(begun, ended) | {"tags": list(tags)}}

    cells = [
        cell("markdown", "# Gold", 102, 102.5),
        cell("code", "date = ''", 102.5, 103, "parameters"),
        cell("code", "import rfm", 103, 104),
        cell("code", "gold = rfm.rfm_metrics(silver)", 104, 107),
    ]
    spent = notebooks.timings({"metadata": mark(100, 108), "cells": cells})
    found = runs.split({"name": "3_gold", "seconds": 9.0, "spent": spent})
    assert found == {"stage": "3_gold", "seconds": 9.0, "kernel": 3.0, "imports": 1.0, "work": 3.0, "rest": 2.0}
    split = table.stages({"daily.empty": [_run(12.0, stages=(found,))]})
    assert split == {"daily.empty": [found, {"stage": "outside", "seconds": 3.0}, {"stage": "overhead", "seconds": 9.0}]}


def test_every_case_can_be_made():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    for case in CASES:
        assert callable(located(case.make))
        assert case.against in ("", *names)
        assert case.needs in ("", *PREPARATIONS)
    assert not {case.name for case in chosen([], full=False) if case.full}
    assert len(chosen([], full=True)) == len(CASES)
