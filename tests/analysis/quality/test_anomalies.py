"""What a run warns of: hand-made pasts whose median and spread are known, and what must not alarm anybody."""

from __future__ import annotations

import datetime as dt
import math
import re
import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import rfm
from rfm.analysis import quality
from rfm.analysis.quality.anomalies import (
    LEAST_FACTOR,
    LEAST_SHARE,
    PER_SIGMA,
    YEAR,
    Repeated,
    overlaps,
    repeated_lines,
    shared_days,
    usual,
    usual_share,
    usual_volume,
)
from rfm.config import Quality
from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.errors import SettingsError
from rfm.lake.tables import Lake
from rfm.pipeline import daily
from rfm.pipeline.backfill import to_bronze, to_silver
from rfm.settings import load_settings
from tests.analysis.quality.test_baseline import DAY as RUN
from tests.analysis.quality.test_baseline import PATTERN, PLAIN, both, lines

D = dt.date(2025, 10, 23)  # a Thursday
DAY, WEEK = dt.timedelta(days=1), dt.timedelta(weeks=1)


def frame(table: str, rows: list[tuple]) -> pd.DataFrame:
    """Return rows as the lake gives them, columns that a row lacks filled with 0."""
    contract = TABLES[table]
    given = [dict(zip(contract.names, row, strict=False)) if isinstance(row, tuple) else row for row in rows]
    whole = pl.DataFrame([{name: row.get(name) for name in contract.names} for row in given], schema=contract.polars)
    return whole.to_pandas(use_pyarrow_extension_array=True)


def name_of(day: dt.date) -> str:
    return f"{day}_transactions.csv"


def ledger(days: Mapping[dt.date, int], run: dt.date | None = None) -> pd.DataFrame:
    """Return the ledger of one file a day; each was read on its day, or all by one run."""
    rows = [
        {"source_file": name_of(day), "layer": "bronze", "file_date": day, "rows": n, "processing_date": run or day}
        for day, n in days.items()
    ]
    return frame("landing_files", rows)


def volume_of(days: Mapping[dt.date, int], run: dt.date | None = None) -> pd.DataFrame:
    sold = {day: lines for day, lines in days.items() if lines}
    rows = [
        {"InvoiceDate": day, "source_file": name_of(day), "processing_date": run or day, "lines": n} for day, n in sold.items()
    ]
    return frame("daily_volume", rows)


def metrics_of(shares: Mapping[dt.date, float], metric: str = "dropped", rows: int = 1000) -> pd.DataFrame:
    whole = [
        {"processing_date": day, "metric": metric, "column": "*", "checked": rows, "counted": round(share * rows), "value": share}
        for day, share in shares.items()
    ]
    return frame("quality_metrics", whole)


def said(
    days: Mapping[dt.date, int], /, run_date: dt.date = D, run: dt.date | None = None, **limits: float
) -> dict[str, list[str]]:
    """Return the messages by kind for one file a day."""
    found = quality.warnings(run_date, ledger(days, run), volume_of(days, run), metrics_of({}), Quality(**limits))
    return found.groupby("kind")["message"].agg(list).to_dict()


def steady(weeks: int = 8, lines: int = 100, end: dt.date = D) -> dict[dt.date, int]:
    """Return days in order, all alike, up to a day."""
    return {end - i * DAY: lines for i in reversed(range(7 * weeks))}


# ── what is usual ──────────────────────────────────────────────────────────────────────────────────
def test_median_and_spread_are_known():
    found = usual([1, 2, 3, 4, 100], 0.1)  # deviations 2, 1, 0, 1, 97: median 1
    assert found == (3, PER_SIGMA, 5)
    assert found.z(3 + 2 * PER_SIGMA) == pytest.approx(2)
    assert found.z(3 - 2 * PER_SIGMA) == pytest.approx(-2)


def test_a_past_without_spread_gets_the_least():
    assert usual([5, 5, 5], 0.5) == (5, 0.5, 3)


def test_only_the_newest_of_the_past_count():
    assert usual([1000] * 60 + [1] * YEAR, 0.5) == (1, 0.5, YEAR)


def test_half_is_as_far_as_twice():
    found = usual_volume([99, 199, 399])  # 1 + lines: 100, 200, 400
    assert found.middle == pytest.approx(math.log(200))
    assert found.spread == pytest.approx(PER_SIGMA * math.log(2))
    assert usual_volume([99] * 6).spread == LEAST_FACTOR


def test_a_share_of_few_rows_varies_by_itself():
    assert usual_share([0.02] * 6, 100_000).spread == LEAST_SHARE
    assert usual_share([0.0] * 6, 8).spread == pytest.approx((0.1 * 0.9 / 8) ** 0.5)  # (0 · 8 + 1) / (8 + 2)


# ── volume ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_steady_past_warns_of_nothing():
    assert said(steady()) == {}


def test_no_warnings_keep_the_contract(tmp_path: Path):
    found = quality.warnings(D, ledger(steady()), volume_of(steady()), metrics_of({}))
    assert list(found.columns) == TABLES["run_warnings"].names
    lake = Lake(str(tmp_path))
    assert lake.replace("run_warnings", found, run_date=D, stage="2_silver") == 0
    assert lake.read("run_warnings").collect().schema == TABLES["run_warnings"].polars


@pytest.mark.parametrize(("z", "odd"), [(4.2, True), (3.8, False), (-3.8, False), (-4.2, True)])
def test_a_volume_is_odd_beyond_the_limit(z: float, odd: bool):
    lines = round(10_001 * math.exp(z * LEAST_FACTOR)) - 1
    found = said(steady(lines=10_000) | {D: lines})
    assert found.keys() == ({"volume"} if odd else set())


def test_the_sentence_says_day_lines_usual_and_what_to_do():
    (short,) = said(steady(lines=1000) | {D: 20})["volume"]
    assert short == (
        "2025-10-23 has 20 lines; 7 earlier Thursdays had about 1,000, 548 to 1,823 is usual (z -25.8, limit 4); "
        "see whether the file was cut off; a slow day can stay as it is"
    )
    (long,) = said(steady(lines=1000) | {D: 9000})["volume"]
    assert "2025-10-23 has 9,000 lines" in long
    assert "see whether lines came twice" in long


def test_a_weekday_is_compared_with_its_own_kind():
    weekly = {day: 20 if day.weekday() == 3 else 1000 for day in steady()}
    assert said(weekly) == {}
    assert "about 20" in said(weekly | {D: 1000})["volume"][0]


@pytest.mark.parametrize(("weeks", "odd"), [(6, False), (7, True)])
def test_fewer_than_six_weekdays_are_no_past(weeks: int, odd: bool):
    assert ("volume" in said(steady(weeks) | {D: 5})) == odd
    assert "volume" not in said(steady(weeks) | {D: 5}, history=weeks)


def test_the_limit_is_a_setting():
    days = steady() | {D: 160}  # z = ln(161 / 101) / 0.15 = 3.1
    assert said(days) == {}
    assert said(days, z=3.0).keys() == {"volume"}


def test_a_run_warns_of_what_it_brought_and_only_of_recent_days():
    days = steady(weeks=10) | {D - DAY: 5, D - 20 * DAY: 5}
    assert said(days) == {}  # yesterday's run has warned
    assert said(days, run=D)["volume"][0].startswith(f"{D - DAY} has 5 lines")
    assert len(said(days, run=D)["volume"]) == 1
    assert len(said(days, run=D, days=30)["volume"]) == 2


def test_a_run_of_a_past_day_does_not_see_later_days():
    before = said({day: n for day, n in steady().items() if day <= D - WEEK} | {D - WEEK: 5}, D - WEEK)
    later = {D - i * DAY: 100_000 for i in range(7)}
    seen = ledger(steady() | {D - WEEK: 5})
    seen = seen[seen["file_date"] <= D - WEEK]  # the lake's `until`
    volume = volume_of(steady() | later | {D - WEEK: 5})
    shares = metrics_of({D - i * DAY: 0.9 if i < 7 else 0.02 for i in range(30)})
    found = quality.warnings(D - WEEK, seen, volume, shares)
    assert before["volume"] == found["message"].tolist()


def test_an_earlier_reading_of_a_file_does_not_count():
    days = steady()
    twice = pd.concat([volume_of(days), volume_of({D: 5000}, run=D - DAY)])
    assert quality.warnings(D, ledger(days), twice, metrics_of({})).empty


def test_stragglers_do_not_put_a_day_to_the_test():
    days = steady() | {D - DAY: 1000}
    late = frame("daily_volume", [{"InvoiceDate": D - DAY, "source_file": name_of(D), "processing_date": D, "lines": 3}])
    found = quality.warnings(D, ledger(days), pd.concat([volume_of(days), late]), metrics_of({}))
    assert found.empty


# ── missing days, empty files, old data ────────────────────────────────────────────────────────────
def test_a_gap_is_named():
    days = {day: n for day, n in steady().items() if day not in (D - 2 * DAY, D - 3 * DAY)}
    (line,) = said(days)["missing_day"]
    assert line.startswith(
        "no file of 2025-10-20 (Monday), 2025-10-21 (Tuesday), though there are earlier and later ones; send it"
    )


def test_an_old_gap_is_old_news():
    days = {day: n for day, n in steady().items() if day != D - 20 * DAY}
    assert said(days) == {}
    assert said(days, days=21).keys() == {"missing_day"}


def test_a_weekday_on_which_the_shop_is_closed_is_no_gap():
    assert said({day: n for day, n in steady().items() if day.weekday() != 6}) == {}


def test_an_empty_file_on_a_day_that_sells_is_odd():
    (line,) = said(steady() | {D: 0})["empty_file"]
    assert line.startswith("2025-10-23_transactions.csv has no lines, 7 of 7 earlier Thursday files had some")


def test_empty_files_of_a_closed_weekday_are_not():
    assert said({day: n if day.weekday() != 3 else 0 for day, n in steady().items()}) == {}


@pytest.mark.parametrize(("age", "old"), [(0, False), (2, False), (3, True)])
def test_old_data(age: int, old: bool):
    found = said(steady(end=D - age * DAY))
    assert found.keys() == ({"freshness"} if old else set())
    if old:
        start = "the newest sale is of 2025-10-20, 3 days before the run date 2025-10-23, more than 2;"
        assert found["freshness"][0].startswith(start)
    assert said(steady(end=D - age * DAY), fresh_days=age) == {}


def test_a_date_in_the_future_does_not_make_data_fresh():
    days = steady(end=D - 5 * DAY)
    future = frame(
        "daily_volume",
        [{"InvoiceDate": D + 400 * DAY, "source_file": name_of(D - 5 * DAY), "processing_date": D - 5 * DAY, "lines": 1}],
    )
    found = quality.warnings(D, ledger(days), pd.concat([volume_of(days), future]), metrics_of({}))
    assert found["kind"].tolist() == ["freshness"]


def test_nothing_at_all():
    found = quality.warnings(D, ledger({}), volume_of({}), metrics_of({}))
    assert found["kind"].tolist() == ["freshness"]
    assert "no sale up to the run date" in found["message"][0]


# ── shares ─────────────────────────────────────────────────────────────────────────────────────────
def kinds(shares: pd.DataFrame, **limits: float) -> list[str]:
    return quality.warnings(D, ledger(steady()), volume_of(steady()), shares, Quality(**limits))["kind"].tolist()


def past(share: float, runs: int = 10) -> dict[dt.date, float]:
    return {D - (i + 1) * DAY: share for i in range(runs)}


@pytest.mark.parametrize(("metric", "kind"), [("dropped", "dropped_share"), ("repeated_keys", "repeated_keys")])
def test_a_share_far_above_its_past(metric: str, kind: str):
    assert kinds(metrics_of(past(0.02) | {D: 0.095}, metric)) == []  # 0.02 + 4 · 0.02
    assert kinds(metrics_of(past(0.02) | {D: 0.105}, metric)) == [kind]
    assert kinds(metrics_of(past(0.02, runs=5) | {D: 0.9}, metric)) == []
    assert kinds(metrics_of(past(0.9) | {D: 0.0}, metric)) == []


def test_the_sentence_of_a_share():
    found = quality.warnings(D, ledger(steady()), volume_of(steady()), metrics_of(past(0.02) | {D: 0.3}))
    assert found["message"].tolist() == [
        "30.0% of the run's 1,000 lines went to the quarantine; 10 earlier runs had about 2.0%, up to 10.0% is usual; "
        "see failed_expectations there"
    ]


def complete(known: float, described: float = 1.0, day: dt.date = D) -> pd.DataFrame:
    """Return how complete two columns are on a day, ten days after runs that knew four customers in five."""
    shares = {"CustomerID": past(0.8) | {day: known}, "Description": past(1.0) | {day: described}}
    return pd.concat([metrics_of(days, "completeness").assign(column=name) for name, days in shares.items()])


@pytest.mark.parametrize(
    ("known", "described", "columns"),
    [
        (0.75, 1.0, []),
        (0.6, 1.0, ["CustomerID"]),
        (1.0, 1.0, ["CustomerID"]),
        (0.8, 0.5, ["Description"]),
        (0.0, 0.0, ["CustomerID", "Description"]),
    ],
)
def test_a_column_that_is_emptier_or_fuller_than_ever_is_told(known: float, described: float, columns: list[str]):
    found = quality.warnings(D, ledger(steady()), volume_of(steady()), complete(known, described))
    assert [re.search("have a ([A-Za-z]+);", text).group(1) for text in found["message"]] == columns
    assert set(found["kind"]) <= {"completeness"}


def test_the_sentence_of_a_completeness():
    found = quality.warnings(D, ledger(steady()), volume_of(steady()), complete(0.6))
    assert found["message"].tolist() == [
        "60.0% of the run's 1,000 lines have a CustomerID; 10 earlier runs had about 80.0%, 72.0% to 88.0% is usual; "
        "see whether the export of this column changed"
    ]


def test_a_run_of_few_lines_needs_more():
    assert kinds(metrics_of(past(0.0) | {D: 0.25}, rows=8)) == []
    assert kinds(metrics_of(past(0.0) | {D: 0.25}, rows=1000)) == ["dropped_share"]


# ── the built-in sample and the lake ───────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    make_sample(folder)
    return folder


def run(landing: Path, lake: Path, day: dt.date, **given: object) -> pl.DataFrame:
    """Run the first two stages of a day and return what it warns of."""
    settings = load_settings(landing=str(landing), lake=str(lake), **given)
    to_bronze(settings, Lake(str(lake)), day)
    to_silver(settings, Lake(str(lake)), day)
    return Lake(str(lake)).read("run_warnings", run_date=day, stage="2_silver").collect()


def test_the_sample_warns_of_nothing_and_its_faults_are_found(landing: Path, tmp_path: Path):
    assert run(landing, tmp_path / "lake", D).is_empty()
    tomorrow = shutil.copytree(landing, tmp_path / "landing")
    header, *lines = (landing / name_of(D)).read_text("utf-8").splitlines()
    day = D + 2 * DAY
    cut = [line.replace(str(D), str(day)) for line in lines[:40]]
    (tomorrow / name_of(day)).write_text("\n".join([header, *cut]) + "\n", encoding="utf-8")
    found = run(tomorrow, tmp_path / "lake", day)
    assert sorted(found["kind"]) == ["missing_day", "volume"]
    assert run(tomorrow, tmp_path / "lake", day).equals(found)
    assert run(tomorrow, tmp_path / "lake", D).is_empty()  # a past day, run again, does not see what came later


def test_severities_of_the_shop_reach_the_tables(landing: Path, tmp_path: Path):
    day = dt.date(2025, 6, 26)
    run(landing, tmp_path / "lake", day, expectations={"complete_customer_id": "drop"}, rules={"max_dropped_share": 1.0})
    lake = Lake(str(tmp_path / "lake"))
    assert lake.read("retail_transactions_silver").collect()["CustomerID"].null_count() == 0
    assert rfm.ingest.reconcile(lake)["quarantine"] > 0
    with pytest.raises(SettingsError, match=r"did you mean 'complete_customer_id'"):
        run(landing, tmp_path / "other", day, expectations={"complete_customer": "drop"})
    with pytest.raises(SettingsError, match="expectations.known_country"):
        load_settings(expectations={"known_country": "ignore"})


def test_unknown_rule_stops_the_daily_run_before_it_starts(landing: Path, tmp_path: Path):
    settings = load_settings(landing=str(landing), lake=str(tmp_path / "lake"), expectations={"known_contry": "fail"})
    with pytest.raises(SettingsError, match=r"expectations: unknown rule 'known_contry' \(did you mean 'known_country'\?\)"):
        daily.run(settings)
    assert not (tmp_path / "lake").exists()


# ── lines that several files hold ─────────────────────────────────────────────────────────────────
def test_lines_that_earlier_files_hold_are_repeated():
    before = lines(*PLAIN[:10], run=RUN - DAY)
    other = [row.replace(" 1 10.00", " 2 10.00") for row in PLAIN[15:18]]  # of the same orders, as of another part of them
    again = lines(*[row.replace("10.00", "10.000") for row in PLAIN[5:15]], file="b.csv")
    silver = both(pd.concat([before, again, lines(*PLAIN[15:18], *other, file="c.csv")], ignore_index=True))[1]
    assert repeated_lines(silver, RUN, stock_code_pattern=PATTERN) == [Repeated("a.csv", "b.csv", 5, Decimal("50.00"))]
    assert repeated_lines(silver, RUN - DAY, stock_code_pattern=PATTERN) == []


def test_a_line_that_a_file_holds_twice_is_not_repeated():
    silver = both(pd.concat([lines(*PLAIN[:3], *PLAIN[:3]), lines(PLAIN[0], file="b.csv")], ignore_index=True))[1]
    assert repeated_lines(silver, RUN, stock_code_pattern=PATTERN) == [Repeated("a.csv", "b.csv", 1, Decimal("10.00"))]


def sold_in(*files: tuple[str, dt.date, str]) -> pd.DataFrame:
    """Return ``daily_volume``: file, run date and days of sale."""
    rows = [(dt.date(2026, 1, int(day)), name, run, Decimal("100.00")) for name, run, days in files for day in days.split()]
    return pd.DataFrame(rows, columns=["InvoiceDate", "source_file", "processing_date", "revenue"])


def test_days_that_several_files_hold_are_shared():
    before = RUN - DAY
    assert shared_days(RUN, sold_in(("a.csv", before, "3 4 5"), ("b.csv", RUN, "5 6"))) == [dt.date(2026, 1, 5)]
    assert shared_days(RUN, sold_in(("a.csv", before, "3 4 5"), ("b.csv", before, "5 6"), ("c.csv", RUN, "7"))) == []


def test_repeated_lines_are_a_warning_if_their_money_matters():
    volume = sold_in(("a.csv", RUN, "3"))
    twice = [Repeated("a.csv", "b.csv", 5, Decimal(50)), Repeated("a.csv", "c.csv", 1, Decimal(10))]
    (message,) = overlaps(RUN, twice, volume, "€")["message"]
    assert message.startswith("6 lines, €60.00, are in a.csv and in b.csv (and so in 1 other pair of files), and count twice; ")
    assert overlaps(RUN, [Repeated("a.csv", "b.csv", 1, Decimal("0.50"))], volume, "€").empty
    assert overlaps(RUN, [], volume.assign(revenue=-volume["revenue"])).empty  # a run of returns alone
