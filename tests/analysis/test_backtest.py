"""The backtest: measures compared with scikit-learn and scipy, figures by hand, one real day from the raw files."""

from __future__ import annotations

import ast
import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import rfm
from rfm.analysis.backtest import (
    MEASURES,
    SEGMENTATIONS,
    Snapshot,
    Way,
    apart,
    auc,
    backtest,
    bootstrap_weights,
    comparison,
    explained,
    lifts,
    middle_ranks,
    outcomes,
    spearman,
    spent_within,
    tied_ranks,
    top_share,
    training_day,
    verdict,
)
from rfm.analysis.metrics import purchases as purchases_of
from rfm.analysis.segments.explain import cluster_labels
from rfm.cli.options import app
from rfm.datasets.sample import make_sample
from rfm.errors import InputError, SettingsError
from rfm.pipeline import backtest as past_days
from rfm.pipeline.backfill import backfill, to_bronze, to_silver
from rfm.pipeline.backtest import expected, fits_lifetimes

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "backtest.ipynb"
MONTH = 30


# ── measures, against other people's code; a weight of two is the same customer twice ──────────────
@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights of five draws, a number with ties and what was spent, of 60 customers."""
    random = np.random.default_rng(1)
    return bootstrap_weights(60, 4, seed=7), random.integers(0, 6, 60).astype(float), random.integers(0, 4, 60) * 10.0


def each_draw(weights: np.ndarray, *columns: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """Return the columns once a draw, each customer as often as drawn."""
    return [tuple(np.repeat(column, times.astype(int)) for column in columns) for times in weights.T]


def test_first_draw_is_everyone_once_and_every_draw_is_as_large(drawn):
    weights, *_ = drawn
    assert weights.shape == (60, 5)
    assert set(weights[:, 0]) == {1.0}
    assert set(weights.sum(axis=0)) == {60.0}
    assert (bootstrap_weights(60, 4, seed=7) == weights).all()


def test_auc_is_that_of_scikit_learn(drawn):
    weights, number, spent = drawn
    wanted = [roc_auc_score(bought, ranked) for bought, ranked in each_draw(weights, spent > 0, number)]
    assert auc(weights, tied_ranks(number), spent > 0) == pytest.approx(wanted, abs=1e-12)


def test_spearman_is_that_of_scipy(drawn):
    weights, number, spent = drawn
    wanted = [spearmanr(*pair).statistic for pair in each_draw(weights, number, spent)]
    assert spearman(weights, tied_ranks(number), middle_ranks(weights, tied_ranks(spent))) == pytest.approx(wanted, abs=1e-12)


def test_explained_is_one_minus_the_relative_squared_error(drawn):
    weights, number, spent = drawn
    wanted = [1 - ((a - b) ** 2).sum() / ((a - 12) ** 2).sum() for a, b in each_draw(weights, spent, number)]
    assert explained(weights, spent, number, 12.0) == pytest.approx(wanted)


def test_top_share_takes_a_proportional_part_of_a_tie():
    weights, spent = np.ones((5, 1)), np.array([10.0, 20.0, 30.0, 40.0, 100.0])
    assert top_share(weights, tied_ranks(np.array([1.0, 2, 3, 4, 5])), spent) == pytest.approx([0.5])
    assert top_share(weights, tied_ranks(np.array([1.0, 2, 3, 5, 5])), spent) == pytest.approx([0.35])
    assert top_share(weights, tied_ranks(np.zeros(5)), spent) == pytest.approx([0.2])


def test_measures_are_neutral_without_purchases():
    weights, nobody = np.ones((3, 1)), np.zeros(3)
    same = tied_ranks(nobody)
    assert auc(weights, same, nobody > 0) == [0.5]
    assert spearman(weights, same, middle_ranks(weights, same)) == [0.0]
    assert explained(weights, nobody, nobody, 0.0) == [0.0]
    assert top_share(weights, same, nobody) == [0.2]


# ── four customers to add up by hand: what was learned on the first day is held against the second ─
DAYS = [dt.date(2025, 7, 1), dt.date(2025, 7, 31)]


@pytest.fixture
def purchases() -> pd.DataFrame:
    """Return invoices: after the first day A and B buy, for 30 and 10; after the second A and C, for 60 and 20."""
    rows = [("A", "07-01", 5), ("B", "06-30", 5), ("C", "06-29", 5), ("D", "06-28", 5), ("A", "07-02", 30), ("B", "07-31", 10)]
    rows += [("A", "08-01", 60), ("C", "08-30", 20), ("D", "08-31", 1000)]
    frame = pd.DataFrame(rows, columns=["CustomerID", "InvoiceDate", "TotalPrice"])
    return frame.assign(InvoiceDate=pd.to_datetime("2025-" + frame["InvoiceDate"]))


@pytest.fixture
def snapshots() -> list[Snapshot]:
    """Return the second day as the first: A and B are good, C and D are bad; the number ranks them in turn."""
    ways = pd.DataFrame({Way.STEADY: list("ggbb"), Way.TIERS: list("gbgb"), Way.MONTH: [4.0, 3, 2, 1]}, index=list("ABCD"))
    return [Snapshot(DAYS[0], ways), Snapshot(DAYS[1], ways.assign(**{Way.TIERS: list("gbbb")}))]


def value(results: pd.DataFrame, way: str, measure: str, segment: str = "", against: str = "") -> float:
    """Return one figure."""
    wanted = {"way": way, "measure": measure, "segment": segment, "against": against}
    (row,) = results[(results[list(wanted)] == pd.Series(wanted)).all(axis=1)].itertuples()
    return row.value


def test_outcomes_count_from_the_next_day_to_the_last(purchases):
    found = outcomes(purchases, DAYS[1], MONTH, pd.Index(list("ABCD")))
    assert found["bought"].tolist() == [True, False, True, False]
    assert found["spent"].tolist() == [60, 0, 20, 0]
    assert spent_within(purchases, DAYS[1], MONTH, pd.Index(["B", "A"])).tolist() == [10, 30]


def test_figures_add_up_by_hand(snapshots, purchases):
    results = backtest(snapshots, purchases, [MONTH], draws=50)
    assert value(results, Way.STEADY, "auc") == 0.5  # A and D stand right, B and C wrong
    assert value(results, Way.MONTH, "auc") == 0.75
    assert value(results, Way.STEADY, "lift", "g") == 1.0
    assert value(results, Way.STEADY, "spend_lift", "g") == 1.5  # 60 of 40 that two average customers spend
    assert value(results, Way.TIERS, "lift", "g") == 2.0
    assert value(results, Way.TIERS, "share", "b") == 0.75
    error, alike = 40**2 + 20**2 + 20**2 + 0, 50**2 + 10**2 + 10**2 + 10**2  # forecast: g 20, b 0; alike: 10
    assert value(results, Way.STEADY, "explained") == round(1 - error / alike, 6)
    assert value(results, Way.STEADY, "top_fifth") == 0.3  # 0.8 of A and B, half of it A's
    assert value(results, Way.TIERS, "renamed") == 0.5  # of C and D, who bought nothing, C
    assert value(results, Way.TIERS, "lift", "g") / value(results, Way.STEADY, "lift", "g") == 2
    assert value(results, Way.MONTH, "auc", against=Way.STEADY) == 0.25
    assert set(results["measure"]) == set(MEASURES)
    assert (results["low"] <= results["high"]).all()
    assert set(results.loc[results["measure"] != "renamed", "days"]) == {1}


def test_windows_that_do_not_overlap_are_counted_back():
    days = [DAYS[0] + dt.timedelta(days=7 * week) for week in range(10)]
    assert apart(days, 30) == [9, 4]
    assert apart(days[::-1], 14) == [0, 2, 4, 6, 8]
    assert apart([], 30) == []


def test_least_and_most_are_those_of_separate_windows(snapshots, purchases):
    """Of three windows, the one in the middle overlaps both others."""
    week, ways = DAYS[1] + dt.timedelta(days=7), snapshots[1].ways
    later = purchases.assign(InvoiceDate=purchases["InvoiceDate"] + pd.Timedelta(days=MONTH))
    both = pd.concat([purchases, later[later["InvoiceDate"] > "2025-08-31"]])
    many = [*snapshots, Snapshot(week, ways), Snapshot(DAYS[1] + dt.timedelta(days=MONTH), ways)]
    results = backtest(many, both, [MONTH], draws=5)
    figure = results[(results["way"] == Way.STEADY) & (results["measure"] == "auc")].iloc[0]
    pairs = (many[:2], [many[1], many[3]])  # each with the day that it learns from
    alone = [value(backtest(pair, both, [MONTH], draws=1), Way.STEADY, "auc") for pair in pairs]
    assert (figure["days"], figure["windows"]) == (3, 2)
    assert (figure["least"], figure["most"]) == (min(alone), max(alone))
    only = backtest(snapshots, purchases, [MONTH], draws=5)
    measured = only[only["measure"] != "renamed"]
    assert set(measured["windows"]) == {1}
    assert measured["least"].tolist() == measured["most"].tolist() == measured["value"].tolist()


def test_nothing_is_learned_from_a_window_that_is_open():
    assert training_day(DAYS, DAYS[1], 30) == DAYS[0]
    assert training_day(DAYS, DAYS[1], 31) is None


def test_the_forecast_does_not_know_what_comes(snapshots, purchases):
    """Purchases after the day change what is measured, never the order of the segments that was learned."""
    changed = purchases.assign(TotalPrice=purchases["TotalPrice"].where(purchases["InvoiceDate"] < "2025-08-01", 1.0))
    spent = np.array([1.0, 0, 1, 0])
    found = value(backtest(snapshots, changed, [MONTH], draws=1), Way.STEADY, "explained")
    assert found == round(1 - ((spent - [20, 20, 0, 0]) ** 2).sum() / ((spent - 10) ** 2).sum(), 6)


def test_too_short_a_history_is_an_error(snapshots, purchases):
    with pytest.raises(InputError, match="0 of 2 days have both 90 days of sales after them"):
        backtest(snapshots, purchases, [90])


def test_rows_in_another_order_change_nothing(snapshots, purchases):
    pd.testing.assert_frame_equal(
        backtest(snapshots, purchases, [MONTH], draws=20), backtest(snapshots, purchases[::-1], [MONTH], draws=20)
    )


# ── words ──────────────────────────────────────────────────────────────────────────────────────────
def made_up(steady: float, tiers: float, sure: bool) -> pd.DataFrame:
    """Return results in which the default and the tiers have some AUC."""
    rows = [(way, MONTH, measure, "", "", steady if way == Way.STEADY else tiers) for way in (Way.STEADY, Way.TIERS)
            for measure in ("auc", "spearman", "top_fifth", "explained", "renamed")]  # fmt: skip
    rows += [(Way.TIERS, MONTH, "auc", "", Way.STEADY, tiers - steady)]
    frame = pd.DataFrame(rows, columns=["way", "horizon", "measure", "segment", "against", "value"])
    margin = 0.001 if sure else 1.0
    ends = {"low": frame["value"] - margin, "high": frame["value"] + margin}
    return frame.assign(**ends, days=1, least=frame["value"] - 0.2, most=frame["value"] + 0.1, windows=4)


def test_verdict_says_so_if_the_default_loses():
    tried, seasons, duel, auc_said, *_ = verdict(made_up(0.6, 0.7, sure=True))
    assert seasons.endswith("Of the windows of 30 days, 4 do not overlap; in them the AUC of the default was 0.400 to 0.700.")
    assert duel.startswith("The default, K-means, steady, loses to value × engagement: of 1 forecast figures it is worse in 1")
    assert auc_said.startswith("To predict who buys again: value × engagement is best (AUC 0.700 over 30 days); the default")
    assert auc_said.endswith("has 0.600 over 30 days, behind.")


def test_verdict_respects_the_interval():
    _, _, duel, auc_said, *_ = verdict(made_up(0.6, 0.7, sure=False))
    assert "is level with value × engagement" in duel
    assert auc_said.endswith("over 30 days, too close to call.")


def test_verdict_says_so_if_the_default_wins():
    _, _, duel, auc_said, *_ = verdict(made_up(0.8, 0.7, sure=True))
    assert "beats value × engagement" in duel
    assert auc_said == "To predict who buys again: K-means, steady is best (AUC 0.800 over 30 days)."


# ── the command and the notebook, on an invented shop ──────────────────────────────────────────────
@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> rfm.settings.Settings:
    """Return the settings of a lake with 100 days of an invented shop in silver."""
    root = tmp_path_factory.mktemp("shop")
    make_sample(root / "landing", days=100, lines=6000, customers=300)
    settings = rfm.load_settings(landing=str(root / "landing"), lake=str(root / "lake"))
    return in_silver(settings, rfm.run_date(settings))


def in_silver(settings: rfm.settings.Settings, day: dt.date) -> rfm.settings.Settings:
    """Run the first two stages of a day."""
    lake = rfm.Lake(settings.lake)
    to_bronze(settings, lake, day)
    to_silver(settings, lake, day)
    return settings


def output(*arguments: str) -> str:
    """Return the output of the command."""
    answer = CliRunner().invoke(app, ["backtest", *arguments])
    assert answer.exception is None, answer.exception
    return answer.stdout


@pytest.fixture(scope="module")
def results(shop) -> pd.DataFrame:
    """Return the figures of that shop, every ten days."""
    return past_days.run_backtest(shop, every=10)


@pytest.fixture(scope="module")
def forecasts(shop) -> pd.DataFrame:
    """Return the figures of the forecasts of that shop, every ten days."""
    return past_days.run_forecasts(shop, every=10)[0]


@pytest.mark.whole
def test_command_gives_the_same_bytes_as_the_call(shop, results, forecasts, tmp_path):
    said = output("--lake", shop.lake, "--every", "10", "--out", str(tmp_path / "command.csv"))
    past_days.save_results(results, forecasts, str(tmp_path / "call.csv"))
    assert (tmp_path / "command.csv").read_bytes() == (tmp_path / "call.csv").read_bytes()
    assert said.splitlines()[:-1] == past_days.results_text(results) + past_days.forecast_text(forecasts)
    without = set() if fits_lifetimes() else {Way.ORDERS, Way.LIFETIME}
    assert set(results["way"]) == {str(way) for way in Way} - without


def test_a_missing_way_is_named(snapshots, purchases):
    assert past_days.results_text(backtest(snapshots, purchases, [MONTH], draws=5))[-1].endswith(
        "`pip install 'rfm[backtest]'` brings it"
    )


def test_words_and_figures_go_into_one_json_file(snapshots, purchases, forecasts, tmp_path):
    results = backtest(snapshots, purchases, [MONTH], draws=5)
    found = json.loads(Path(past_days.save_results(results, forecasts, str(tmp_path / "all.json"))).read_text())
    assert found["verdict"] == past_days.results_text(results) + past_days.forecast_text(forecasts)
    assert found["forecasts"] == forecasts.to_dict("records")
    assert found["results"] == results.to_dict("records")
    with pytest.raises(SettingsError, match="cannot be written"):
        past_days.save_results(results, forecasts, str(tmp_path / "nowhere" / "all.csv"))


def test_backtest_json_holds_verdict_and_every_figure(results, forecasts, monkeypatch):
    monkeypatch.setattr(past_days, "run_backtest", lambda *_: results)
    monkeypatch.setattr(past_days, "run_forecasts", lambda *_: (forecasts, None))
    found = json.loads(output("--json"))
    assert found["verdict"] == past_days.results_text(results) + past_days.forecast_text(forecasts)
    assert len(found["forecasts"]) == len(forecasts)
    assert len(found["results"]) == len(results)
    for row, figure in zip(found["results"], results.to_dict("records"), strict=True):
        assert row == {name: None if pd.isna(value) else value for name, value in figure.items()}


def test_a_range_without_days_is_an_error(shop, tmp_path):
    with pytest.raises(SettingsError, match="no day is in 2025-09-02 to 2025-09-01 every 7"):
        past_days.run_backtest(shop, dt.date(2025, 9, 2), dt.date(2025, 9, 1))
    with pytest.raises(InputError, match="has 0 rows; run `rfm daily` first"):
        past_days.run_backtest(rfm.load_settings(lake=str(tmp_path)))


def test_steady_way_is_what_the_daily_runs_leave(shop):
    days = [rfm.run_date(shop) - dt.timedelta(days=1), rfm.run_date(shop)]
    *_, _ = backfill(shop, *days)
    lake = rfm.Lake(shop.lake)
    silver = lake.read("retail_transactions_silver").collect()
    invoices = purchases_of(silver, days[1]).to_pandas()
    for snapshot in past_days.snapshots(shop, silver, invoices, days):
        history = lake.frame("customer_rfm_kmeans_clustered_history", UpdateDate=snapshot.day).set_index("CustomerID")
        named = history.drop_duplicates("Cluster").sort_values("Cluster")[["Cluster", "Cluster_Description"]]
        labels = dict(zip(named["Cluster"], cluster_labels(*(named[name] for name in named)), strict=True))
        assert snapshot.ways[Way.STEADY].to_dict() == history["Cluster"].map(labels).to_dict()


def cells() -> list[str]:
    """Return the sources of the notebook's code cells."""
    return ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_notebook_has_the_form_of_the_others():
    text = NOTEBOOK.read_text()
    found = json.loads(text)
    assert text == json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in found["cells"] if cell["cell_type"] == "code")
    assert max(len(source.splitlines()) for source in cells()) <= 8
    refused = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.For, ast.While)
    assert not any(isinstance(node, refused) for source in cells() for node in ast.walk(ast.parse(source)))
    for before, cell in zip(found["cells"], found["cells"][1:], strict=False):
        assert cell["cell_type"] != "code" or before["cell_type"] == "markdown"
    assert found["cells"][1]["metadata"]["tags"] == ["parameters"]


def test_notebook_runs_and_shows_what_the_command_says(shop, monkeypatch, capsys):
    monkeypatch.setenv("RFM_LAKE", shop.lake)
    names: dict[str, object] = {}
    parameters, *rest = cells()
    for source in [parameters.replace("every = 7", "every = 10"), *rest]:
        exec(source, names)
    said = (past_days.results_text(names["results"]), past_days.forecast_text(names["forecasts"]))
    assert capsys.readouterr().out == "".join("\n\n".join(lines) + "\n" for lines in said)


def test_tables_and_figures_hold_every_way_and_segment(results):
    assert comparison(results).index.tolist() == results["way"].unique().tolist()
    segments = lifts(results, MONTH)
    assert set(segments.index.get_level_values("way")) == {str(way) for way in SEGMENTATIONS}
    figure = rfm.figures.foretold(results, "auc")
    drawn = [len(points[0].get_xdata()) for points in figure.axes[0].containers]
    assert set(drawn) == {len(results["way"].unique()) - 1}
    names = rfm.figures.segment_lifts(results, Way.SCORES, MONTH).axes[0].get_yticklabels()
    assert [name.get_text() for name in names] == segments.loc[str(Way.SCORES)].index.tolist()


@pytest.mark.skipif(not fits_lifetimes(), reason="clvkit, the extra `backtest`, is not installed")
def test_lifetimes_expect_more_of_frequent_recent_buyers():
    random = np.random.default_rng(3)
    buyers = np.repeat(np.arange(80), random.integers(1, 12, 80)).astype(str)
    days = pd.Timestamp("2025-07-01") + pd.to_timedelta(random.integers(0, 120, len(buyers)), unit="D")
    log = pd.DataFrame({"CustomerID": buyers, "InvoiceDate": days, "TotalPrice": random.gamma(4, 25, len(buyers))})
    seen = expected(log, dt.date(2025, 10, 31), MONTH, pd.Index(["nobody", *sorted(set(buyers))]))
    counts = log.groupby("CustomerID").size()
    assert seen.loc["nobody"].tolist() == [0, 0]
    assert (seen.iloc[1:] > 0).all(axis=None)
    assert spearmanr(seen["orders"].iloc[1:], counts).statistic > 0.5


# ── one real day, from the raw files by plain pandas ───────────────────────────────────────────────
LEARNED, DAY, END = dt.date(2025, 10, 31), dt.date(2025, 11, 30), dt.date(2025, 12, 31)


def sales(folder: Path, until: dt.date = END) -> pd.DataFrame:
    """Return the lines that count for gold, straight from the files up to the last day that matters."""
    files = [file for file in sorted(folder.glob("*.csv")) if file.name[:10] <= str(until)]
    lines = pd.concat([pd.read_csv(file, dtype=str) for file in files])
    quantity, price = lines["Quantity"].astype(int), lines["Price"].astype(float).round(2)
    product = lines["StockCode"].str.fullmatch("[0-9]{5}[A-Za-z]*|PADS")
    counted = lines["Customer ID"].notna() & (quantity > 0) & (price >= 0) & ~lines["Invoice"].str.upper().str.startswith("C")
    frame = pd.DataFrame({"customer": lines["Customer ID"].str.removesuffix(".0"), "date": pd.to_datetime(lines["InvoiceDate"])})
    return frame.assign(invoice=lines["Invoice"], spent=quantity * price)[counted & product]


def labels(lines: pd.DataFrame, day: dt.date, way: str) -> pd.Series:
    """Return the segment of each customer as of a day."""
    seen = lines[lines["date"] <= pd.Timestamp(day)].groupby("customer")
    gold = seen.agg(Monetary=("spent", "sum"), Frequency=("invoice", "nunique"), MaxInvoiceDate=("date", "max"))
    gold["Recency"] = (pd.Timestamp(day) - gold["MaxInvoiceDate"]).dt.days
    gold = gold.rename_axis("CustomerID").reset_index()
    if way == Way.SCORES:
        return rfm.segments.rfm_scores(gold)["ScoreName"].set_axis(gold["CustomerID"])
    if way == Way.TIERS:
        return rfm.segments.value_engagement(gold).agg(" · ".join, axis=1).set_axis(gold["CustomerID"])
    gold["Monetary"] = gold["Monetary"].round(2)
    customers = rfm.cluster(gold, rfm.outlier_clusters(gold), day).customers
    clusters = rfm.segments.summarise_clusters(customers)
    named = rfm.segments.describe_clusters(clusters, rfm.segments.medians_of(customers)).set_index("Cluster")
    return customers.set_index("CustomerID")["Cluster"].map(named["Cluster_Label"])


def after(lines: pd.DataFrame, day: dt.date, customers: pd.Index) -> pd.Series:
    """Return what customers spent in the 30 days after a day; missing where they bought nothing."""
    window = lines[(lines["date"] > pd.Timestamp(day)) & (lines["date"] <= pd.Timestamp(day) + pd.Timedelta(days=MONTH))]
    return window.groupby("customer")["spent"].sum().reindex(customers)


@pytest.fixture(scope="module")
def real(real_files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the lines of the real files, and what the command says of one day."""
    root = tmp_path_factory.mktemp("real")
    settings = rfm.load_settings(landing=str(real_files), lake=str(root / "lake"))
    in_silver(settings, END)
    output("--lake", settings.lake, "--from", str(LEARNED), "--to", str(DAY), "--every", "30", "--out", str(root / "day.csv"))
    return sales(real_files), pd.read_csv(root / "day.csv", keep_default_na=False)


@pytest.mark.real
@pytest.mark.parametrize("way", [Way.PLAIN, Way.TIERS, Way.SCORES])
def test_figures_of_a_real_day_from_the_raw_files(real, way):
    lines, results = real
    then, now = labels(lines, LEARNED, way), labels(lines, DAY, way)
    taught, spent = after(lines, LEARNED, then.index), after(lines, DAY, now.index)
    rates, means = taught.notna().groupby(then).mean(), taught.fillna(0).groupby(then).mean()
    chance = now.map(rates).fillna(taught.notna().mean())
    amount = now.map(means).fillna(taught.fillna(0).mean())
    alike = ((spent.fillna(0) - taught.fillna(0).mean()) ** 2).sum()
    wanted = {
        "auc": roc_auc_score(spent.notna(), chance),
        "spearman": spearmanr(amount, spent.fillna(0)).statistic,
        "explained": 1 - ((spent.fillna(0) - amount) ** 2).sum() / alike,
    }
    assert {name: value(results, way, name) for name in wanted} == pytest.approx(wanted, abs=1e-6)
    lift = spent.notna().groupby(now).mean() / spent.notna().mean()
    spend_lift = spent.fillna(0).groupby(now).mean() / spent.fillna(0).mean()
    for segment, share in now.value_counts(normalize=True).items():
        wanted = {"lift": lift[segment], "spend_lift": spend_lift[segment], "share": share}
        assert {name: value(results, way, name, segment) for name in wanted} == pytest.approx(wanted, abs=1e-6)
    still = then.index[taught.isna()]
    assert value(results, way, "renamed") == pytest.approx((then[still] != now[still]).mean(), abs=1e-6)


@pytest.mark.real
def test_last_months_spend_of_a_real_day_from_the_raw_files(real):
    lines, results = real
    customers = labels(lines, DAY, Way.SCORES).index
    month, spent = after(lines, LEARNED, customers).fillna(0), after(lines, DAY, customers)
    ranked = pd.DataFrame({"month": month, "spent": spent.fillna(0)}).groupby("month")["spent"].agg(["mean", "size", "sum"])[::-1]
    before = ranked["size"].cumsum() - ranked["size"]
    taken = (0.2 * len(customers) - before).clip(0, ranked["size"])
    wanted = {
        "auc": roc_auc_score(spent.notna(), month),
        "spearman": spearmanr(month, spent.fillna(0)).statistic,
        "top_fifth": (taken * ranked["mean"]).sum() / spent.sum(),
    }
    assert {name: value(results, Way.MONTH, name) for name in wanted} == pytest.approx(wanted, abs=1e-6)
