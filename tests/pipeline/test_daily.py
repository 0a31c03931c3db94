"""The daily run: twice the same, the same as backfill, stopped at the first failure, right on the real files."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from bs4 import BeautifulSoup
from polars.testing import assert_frame_equal

import rfm
from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.errors import SettingsError, StageError
from rfm.pipeline import chain as stages_of
from rfm.pipeline import daily
from rfm.pipeline.backfill import backfill, from_gold, replay, to_bronze, to_silver
from rfm.pipeline.kernels import warm_kernels
from rfm.pipeline.notebooks import parameters_of
from rfm.pipeline.schedule import run_first
from rfm.report.pages import BRIEF, PAGES
from rfm.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:nbclient")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAST = [dt.date(2025, 10, day) for day in (15, 21)]  # of the first run: seven days and one before it
DAYS = [dt.date(2025, 10, day) for day in (22, 23)]  # the last two of the sample's twelve
NEWEST = DAYS[-1].isoformat()
NAMES = [stage.name for stage in stages_of.STAGES]
FROM_GOLD_ON = tuple(name for stage in stages_of.STAGES[2:] for name in stage.writes)
KEPT = tuple(name for stage in stages_of.STAGES[:2] for name in stage.writes) + (
    "cluster_models",
    "customer_rfm_kmeans_clustered_history",
)  # tables that hold every day
STEADY = tuple(name for name in TABLES if name != "pipeline_runs")  # the log of runs is never the same twice
OF_CAMPAIGNS = {"campaigns", "campaign_members", "campaign_results"}  # none without a campaign
OF_AGE = {"customer_forecast", "forecast_reliability", "state_migration"}  # empty for a shop that is too young
QUIET = {"fit_exclusions", "run_warnings", "released_rows"} | OF_CAMPAIGNS | OF_AGE  # empty on days without trouble
OUTSIDE = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)
OLD, NEW = dt.date(2025, 7, 31), dt.date(2025, 12, 31)  # run dates of the real data
RULES = ("valid_invoice_no", "valid_stock_code", "valid_quantity", "valid_unit_price", "valid_invoice_date")
METRICS = ("Recency", "Frequency", "Monetary")


# ── a small project: landing, lake, reports, notebooks, each of its own ────────────────────────────
def place(root: Path, date: dt.date | None = None, **given: Any) -> Settings:
    """Return the settings of a project in a folder."""
    where = {"landing": "data/landing", "lake": "data/lake", "reports": "reports", "notebooks": "notebooks"}
    return rfm.load_settings(date=date, **{name: str(root / path) for name, path in where.items()} | given)


def fingerprints(root: Path, names: Any = STEADY) -> dict[str, str]:
    """Return a digest of the rows of each table, their ingestion time included."""
    lake = rfm.Lake(place(root).lake)
    return {name: lake.fingerprint(name) for name in names}


def site_bytes(root: Path) -> dict[str, bytes]:
    """Return every published file; what is kept of failed runs is not published."""
    files = (path for path in (root / "reports").rglob("*") if path.is_file())
    named = {path.relative_to(root / "reports").as_posix(): path.read_bytes() for path in files}
    return {name: content for name, content in named.items() if not name.startswith("failed/")}


@pytest.fixture(scope="module")
def shared() -> Iterator[Callable[[], Any]]:
    """Let runs fork from one warm process, as the notebooks of one run do; saves seconds a run."""
    with warm_kernels() as kernel:
        yield lambda: contextlib.nullcontext(kernel)


@pytest.fixture(scope="module")
def run(shared: Callable[[], Any]) -> Callable[..., dict[str, Any]]:
    """Return a function that runs a day as `rfm daily` does, from the project's folder."""

    def run_day(root: Path, date: dt.date | None = None, *more: Any, **given: Any) -> dict[str, Any]:
        with contextlib.chdir(root), pytest.MonkeyPatch.context() as patch:
            patch.setattr(daily, "warm_kernels", shared)
            return daily.run(place(root, date), *more, **given)

    return run_day


class Chain(NamedTuple):
    """A project after its first two days, each run once; tests run nothing in it."""

    root: Path
    records: list[dict[str, Any]]
    announced: list[Sequence[dt.date]]  # the past that the first run said it would compute


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with twelve daily files and nothing else."""
    root = tmp_path_factory.mktemp("project")
    make_sample(root / "data" / "landing", days=12, lines=2400, customers=150)
    shutil.copytree(NOTEBOOKS, root / "notebooks")
    return root


@pytest.fixture(scope="module")
def chain(project: Path, shared: Callable[[], Any], run: Callable[..., dict[str, Any]]) -> Chain:
    """Run two days one after the other, the first with a past, the last without saying which day."""
    announced: list[Sequence[dt.date]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daily, "warm_kernels", shared)
        first = daily.run(place(project, DAYS[0], history={"first": [30, 7, 1]}), on_past=announced.append)
    return Chain(project, [first, run(project)], announced)


@pytest.fixture
def copied(chain: Chain, tmp_path: Path) -> Path:
    """Return a copy of the project after two days, to do as one likes with."""
    return Path(shutil.copytree(chain.root, tmp_path / "copy"))


# ── a day that works ───────────────────────────────────────────────────────────────────────────────
def test_run_date_is_the_newest_day_unless_given(chain):
    assert [record["run_date"] for record in chain.records] == [day.isoformat() for day in DAYS]


def test_days_without_notebooks_leave_the_tables_of_daily_runs(chain, tmp_path):
    settings = place(chain.root, lake=str(tmp_path / "lake"))
    by_day, at_once = rfm.Lake(place(chain.root).lake), rfm.Lake(settings.lake)
    to_bronze(settings, at_once, DAYS[0])
    to_silver(settings, at_once, DAYS[0])
    assert [one.day for one in run_first(settings, PAST) if one.well] == PAST
    from_gold(settings, at_once, DAYS[0])
    assert [day for day, _ in backfill(settings, DAYS[1], DAYS[1])] == DAYS[1:]
    for name in STEADY:
        one, other = (lake.read(name).drop("ingestion_timestamp", strict=False).collect() for lake in (by_day, at_once))
        assert len(one) or name in QUIET, f"{name} is empty, which proves nothing"
        assert_frame_equal(one, other, check_row_order=False, check_exact=True)


# ── a first run ────────────────────────────────────────────────────────────────────────────────────
def test_a_first_run_has_a_past_and_says_which(chain):
    record, settings = chain.records[0], place(chain.root)
    lake = rfm.Lake(settings.lake)
    assert chain.announced == [PAST]
    assert (record["first_days"], record["warnings"]) == ([str(day) for day in PAST], [])
    assert record["stability"]["chain"] == [str(day) for day in (*PAST, DAYS[0])]
    assert set(lake.read("landing_files").collect()["processing_date"]) == {*DAYS}, "files belong to the run that read them"
    lines = sum(len(path.read_bytes().splitlines()) - 1 for path in Path(settings.landing).iterdir())
    assert len(lake.rows("retail_transactions_bronze")) == lines
    assert set(lake.rows("segment_movement", UpdateDate=DAYS[0])["Days"]) == {1, 7}
    site = json.loads((chain.root / "reports" / "runs.json").read_text())
    assert {*record["first_days"]} <= {day["run_date"] for day in site["newest"]["figures"]["earlier"]}
    assert str(replay(settings, DAYS[0])).endswith("result tables are identical")


# ── the record of a run ────────────────────────────────────────────────────────────────────────────
def test_record_names_run_parameters_and_versions(chain):
    record = chain.records[-1]
    settings = place(chain.root)
    assert (record["status"], record["code"]["rfm"]) == ("done", rfm.__version__)
    assert dt.datetime.fromisoformat(record["started"]).tzinfo
    given = {"date": NEWEST, "landing": settings.landing, "lake": settings.lake, "reports": settings.reports}
    assert given.items() <= record["parameters"].items()
    assert record["versions"].keys() >= {"python", "polars", "deltalake", "papermill", "scikit-learn"}
    assert record["versions"]["polars"] == version("polars")


def test_record_counts_tables_rows_and_seconds_of_each_stage(chain):
    stages = chain.records[-1]["stages"]
    assert [stage["name"] for stage in stages] == NAMES
    for stage, noted in zip(stages_of.STAGES, stages, strict=True):
        assert {*noted["reads"]} == {*stage.reads} - OF_CAMPAIGNS
        assert {*noted["writes"]} == {*stage.writes} - OF_CAMPAIGNS
        states = noted["reads"] | noted["writes"]
        assert all(state["version"] >= 0 and (state["rows"] > 0 or name in QUIET) for name, state in states.items())
        assert noted["seconds"] > 0
    assert sum(stage["seconds"] for stage in stages) == pytest.approx(chain.records[-1]["seconds"], abs=0.01)


def test_record_rows_add_up_from_stage_to_stage(chain):
    bronze, silver, gold = ({name: state["rows"] for name, state in s["writes"].items()} for s in chain.records[-1]["stages"][:3])
    kept, refused = silver["retail_transactions_silver"], silver["retail_transactions_quarantine"]
    assert bronze["retail_transactions_bronze"] == kept + refused
    assert gold["customer_rfm_gold"] == chain.records[-1]["summary"]["customers"] > 0


def test_record_has_a_hash_of_each_result_table(chain):
    tables, lake = chain.records[-1]["tables"], rfm.Lake(place(chain.root).lake)
    history = "customer_rfm_kmeans_clustered_history"
    assert tables.keys() == {*stages_of.RESULTS, history}
    for name in stages_of.RESULTS:
        assert tables[name]["sha256"] == lake.fingerprint(name), name
    assert tables[history]["sha256"] == lake.fingerprint(history, UpdateDate=DAYS[-1])


def test_published_record_is_the_record_returned(chain):
    for record in chain.records:
        published = json.loads((chain.root / "reports" / record["run_date"] / "run.json").read_text())
        assert published == {name: value for name, value in record.items() if name != "report"}
        assert record["report"] == str(chain.root / "reports" / "index.html")


# ── the report ─────────────────────────────────────────────────────────────────────────────────────
def test_every_day_has_a_page_and_a_notebook_for_each_stage(chain):
    pages = {page.file for page in PAGES}
    for day in DAYS:
        folder = chain.root / "reports" / day.isoformat()
        beside = {"run.json", "notebooks", "exports", "products-by-segment.csv", *BRIEF}
        assert {path.name for path in folder.iterdir()} == pages | beside
        kept = {path.name for path in (folder / "notebooks").iterdir()}
        assert kept == {f"{name}{kind}" for name in NAMES for kind in (".ipynb", ".html")}


def test_front_page_counts_are_those_of_the_lake(chain):
    page = BeautifulSoup((chain.root / "reports" / "index.html").read_text(encoding="utf-8"), "html.parser")
    shown = {card.h3.text: int(card.select_one(".size b").text.replace(",", "")) for card in page.select(".segments li")}
    summary = rfm.Lake(place(chain.root).lake).frame("segment_summary")
    assert shown == dict(zip(summary["Cluster_Description"], summary["Customers"].astype(int), strict=True))
    actions = {card.h3.text: card.select_one(".todo").text for card in page.select(".segments li")}
    for name, action in zip(summary["Cluster_Description"], summary["Cluster_Recommendation"], strict=True):
        assert action in actions[name]


def test_pages_name_no_outside_address(chain):
    pages = list((chain.root / "reports").rglob("*.html"))
    assert len(pages) == (len(NAMES) + len(PAGES) + 1) * len(DAYS) + 1  # and the brief
    assert [page.name for page in pages if OUTSIDE.search(page.read_text(encoding="utf-8"))] == []


# ── what is refused before anything runs ───────────────────────────────────────────────────────────
@pytest.fixture
def untouched(project: Path, tmp_path: Path) -> Path:
    """Return a project with daily files and notebooks, in which nothing has run."""
    shutil.copytree(project / "data" / "landing", tmp_path / "data" / "landing")
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    return tmp_path


def test_unknown_parameter_is_refused_with_a_suggestion(untouched, run):
    said = r"unknown parameter 'dat' \(did you mean 'date'\?\); allowed: date, lake, landing, refit, restate"
    with pytest.raises(SettingsError, match=said):
        run(untouched, parameters={"dat": NEWEST})
    assert not (untouched / "data" / "lake").exists()
    assert not (untouched / "reports").exists()


def test_missing_notebook_is_refused(untouched, run):
    (untouched / "notebooks" / "4_clusters.ipynb").unlink()
    with pytest.raises(SettingsError, match="notebooks: there is no 4_clusters.ipynb; `rfm notebooks"):
        run(untouched)
    assert not (untouched / "data" / "lake").exists()


def test_date_before_the_first_file_is_refused(untouched, run):
    with pytest.raises(SettingsError, match=r"none of 12 file\(s\) is dated up to 2025-10-11; the first is of 2025-10-12"):
        run(untouched, dt.date(2025, 10, 11))
    assert not (untouched / "data" / "lake").exists()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('date = ""  # run date\nlake = ""', ["date", "lake"]),
        ("top: int = 3  # how many\nratio = -0.5", ["top", "ratio"]),
        ("# nothing to set", []),
    ],
)
def test_parameters_are_the_names_their_cell_assigns(tmp_path, source, names):
    path = write_notebook(tmp_path / "one.ipynb", {"tags": ["parameters"]}, source)
    assert parameters_of(path) == names


@pytest.mark.parametrize(("tags", "source"), [([], "date = 1"), (["parameters"], "date =")])
def test_notebook_without_readable_parameters_is_refused(tmp_path, tags, source):
    path = write_notebook(tmp_path / "one.ipynb", {"tags": tags}, source)
    with pytest.raises(SettingsError, match=r"one.ipynb: no parameters can be read .*; tag its first code cell `parameters`"):
        parameters_of(path)


def write_notebook(path: Path, metadata: dict[str, Any], source: str) -> Path:
    """Write a notebook of one code cell."""
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "metadata": metadata, "source": source}]}))
    return path


# ── a day that fails ───────────────────────────────────────────────────────────────────────────────
def spoil(root: Path, stage: str, source: str) -> None:
    """Give a stage a parameter `till`, and a cell after its imports."""
    path = root / "notebooks" / f"{stage}.ipynb"
    notebook = json.loads(path.read_text())
    cell = {"cell_type": "code", "id": "spoilt", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    given = next(cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", ()))
    given["source"] = [*given["source"], '\ntill = ""  # number of a till']
    at = next(i for i, cell in enumerate(notebook["cells"]) if "".join(cell["source"]).startswith("## Read"))
    notebook["cells"].insert(at, cell)
    path.write_text(json.dumps(notebook))


def stop_at_drops(root: Path) -> None:
    """Allow hardly a row to be dropped, and leave something behind that an earlier failure had kept."""
    (root / "rfm.toml").write_text("[rules]\nmax_dropped_share = 0.001\n")
    kept = root / "reports" / "failed" / NEWEST
    kept.mkdir(parents=True)
    (kept / "3_gold.ipynb").write_text("{}")


class Way(NamedTuple):
    """A way to fail: what is done to the project, the stage that fails, its reason, its parameters."""

    prepare: Callable[[Path], None]
    stage: str
    reason: str
    parameters: dict[str, Any]


WAYS = {
    "cell": Way(
        lambda root: spoil(root, "3_gold", 'raise ValueError(f"till {till}\\nis on fire")'),
        "3_gold",
        r"ValueError: till 7 is on fire",
        {"till": 7},
    ),
    "data": Way(
        stop_at_drops,
        "2_silver",
        r"stopped before gold: \d+ of \d+ rows dropped \([0-9.]+%, limit 0%\), valid_quantity by \d+ row\(s\)"
        r"; correct the files, or how they are read \(see `rfm check`\), not rules.max_dropped_share",
        {},
    ),
    "kernel": Way(
        lambda root: spoil(root, "1_bronze", "import os\n\nos._exit(7)"),
        "1_bronze",
        r"the kernel died or did not answer \(DeadKernelError\), as when memory is short; run it by hand to see more",
        {},
    ),
}


class Failure(NamedTuple):
    """What a failed run left behind."""

    root: Path
    way: Way
    message: str
    stages: list[tuple[str, str]]

    @property
    def kept(self) -> Path:
        """The folder where the failed run is kept."""
        return self.root / "reports" / "failed" / NEWEST


@pytest.fixture(scope="module", params=WAYS)
def failure(request, chain, run, tmp_path_factory) -> Failure:
    """Fail, in each way, in a project that has two good days behind it."""
    way, stages = WAYS[request.param], []
    root = Path(shutil.copytree(chain.root, tmp_path_factory.mktemp(request.param) / "copy"))
    way.prepare(root)
    with pytest.raises(StageError) as raised:
        run(root, DAYS[-1], way.parameters, lambda stage: stages.append((stage["name"], stage["status"])))
    return Failure(root, way, str(raised.value), stages)


def test_failure_says_in_one_line_which_stage_why_and_where(failure):
    notebook = failure.kept / f"{failure.way.stage}.ipynb"
    said = f"{NEWEST}: stage {failure.way.stage} failed: {failure.way.reason}; its notebook: {re.escape(str(notebook))}"
    assert re.fullmatch(said, failure.message)
    assert notebook.is_file()


def test_failure_stops_the_later_stages(failure, chain):
    done = NAMES[: NAMES.index(failure.way.stage)]
    assert failure.stages == [*((name, "done") for name in done), (failure.way.stage, "failed")]
    assert fingerprints(failure.root, FROM_GOLD_ON) == fingerprints(chain.root, FROM_GOLD_ON)


def test_failure_leaves_the_site_as_it_was(failure, chain):
    assert site_bytes(failure.root) == site_bytes(chain.root)


def test_failure_keeps_record_and_notebooks_of_this_run_alone(failure):
    ran = [name for name, _ in failure.stages]
    assert {path.name for path in failure.kept.iterdir()} == {"run.json", *(f"{name}.ipynb" for name in ran)}
    record = json.loads((failure.kept / "run.json").read_text())
    assert (record["status"], record["stages"][-1]["name"]) == ("failed", failure.way.stage)
    assert re.fullmatch(failure.way.reason, record["stages"][-1]["error"])


def test_failed_notebook_shows_the_error(failure):
    notebook = json.loads((failure.kept / f"{failure.way.stage}.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    said = [f"{one['ename']}: {' '.join(one['evalue'].split())}" for one in outputs if one["output_type"] == "error"]
    assert len(said) == (failure.way is not WAYS["kernel"])  # a kernel that is gone cannot say why; the record says so
    assert all(re.search(failure.way.reason, error) for error in said)


@pytest.mark.whole
def test_a_past_day_run_again_after_a_failure_gives_what_it_gave(chain, copied, run):
    before, then = fingerprints(chain.root, KEPT), chain.records[0]
    spoil(copied, "1_bronze", "raise SystemExit")
    said = "1_bronze failed: SystemExit: the notebook ended before its last cell; its notebook cannot be kept in "
    (copied / "reports" / "failed").write_text("a file is in the way")
    with pytest.raises(StageError, match=said):
        run(copied, DAYS[0])
    (copied / "reports" / "failed").unlink()
    shutil.copytree(NOTEBOOKS, copied / "notebooks", dirs_exist_ok=True)
    record = run(copied, DAYS[0])
    assert fingerprints(copied, KEPT) == before
    now, once = ({name: table["sha256"] for name, table in each["tables"].items()} for each in (record, then))
    of_the_day = once.keys() - {"cluster_models"}  # which holds every day
    assert {name: now[name] for name in of_the_day} == {name: once[name] for name in of_the_day}
    for name in ("customer_rfm_gold", "customer_rfm_kmeans_clustered", "segment_summary"):
        assert record["tables"][name]["sha256"] != chain.records[-1]["tables"][name]["sha256"], name
    assert record["summary"] == then["summary"]
    site = json.loads((copied / "reports" / "runs.json").read_text())
    assert [one["run_date"] for one in site["runs"]] == [day.isoformat() for day in reversed(DAYS)]
    assert site["newest"]["run_date"] == NEWEST


# ── the real files, against an independent calculation ─────────────────────────────────────────────
def facts(lake: rfm.Lake, day: dt.date) -> dict[str, Any]:
    """Return, from the tables, what the independent calculation says of a run date."""
    rows = {name: lake.read(f"retail_transactions_{name}", until=day).collect() for name in ("bronze", "silver", "quarantine")}
    broken = rows["quarantine"]["failed_expectations"].str.split(",").explode().value_counts()
    gold = lake.read("customer_rfm_gold").collect()
    money, orders = (gold[name].cast(pl.Float64) for name in ("Monetary", "Frequency"))
    return {
        "run_date": day.isoformat(),
        "files": rows["bronze"]["source_file"].n_unique(),
        "bronze_rows": len(rows["bronze"]),
        "dropped_by": dict.fromkeys(RULES, 0) | dict(broken.rows()),
        "silver_rows": len(rows["silver"]),
        "silver_cancellations": rows["silver"]["IsCancellation"].sum(),
        "customers": len(gold),
        "sum_monetary": str(gold["Monetary"].sum()),
        "sum_frequency": gold["Frequency"].sum(),
        "median": {name: round(gold[name].cast(pl.Float64).median(), 2) for name in METRICS},
        "monetary_quartiles": [round(money.quantile(q, "linear"), 2) for q in (0.25, 0.75)],
        "frequency_quartiles": [orders.quantile(q, "linear") for q in (0.25, 0.75)],
    }


def groups(lake: rfm.Lake) -> dict[int, dict[str, Any]]:
    """Return the described clusters by number, as the independent calculation writes them."""
    rows = lake.frame("cluster_description_and_recommendation").set_index("Cluster").to_dict("index")
    medians = {number: {f"median_{name.lower()}": row[f"Median{name}"] for name in METRICS} for number, row in rows.items()}
    return {n: {"customers": row["Count"], **medians[n], "segment": row["Cluster_Description"]} for n, row in rows.items()}


def wanted(given: dict[str, Any]) -> dict[str, Any]:
    """Return what the independent calculation got of everything up to gold, as `facts` puts it."""
    return {
        name: given[name] for name in given.keys() - {"rows_counted_for_rfm", "customers_by_outlier_cluster", "kmeans_n_init_10"}
    }


def wanted_groups(given: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return its clusters: outliers exact, the others as near as another optimum that is as good may lie."""
    found = given["kmeans_n_init_10"]
    outliers = {row["cluster"]: near(row, rel=1e-9, customers=0) for row in found["outlier_clusters"]}
    regular = {
        n: near(row, rel=0.02, customers=0.01 * given["customers"])
        for n, row in enumerate(found["clusters_by_falling_median_monetary"])
    }
    return outliers | regular


def near(row: dict[str, Any], rel: float, customers: float) -> dict[str, Any]:
    """Return a cluster to compare with; a median between two cents (447.695, 1855.365) may be rounded to either."""
    medians = {name: pytest.approx(value, rel=rel, abs=0.0101) for name, value in row.items() if name.startswith("median")}
    return {"customers": pytest.approx(row["customers"], abs=customers), **medians, "segment": row["segment"]}


@pytest.fixture(scope="module")
def real_backfill(real_files, tmp_path_factory) -> rfm.Lake:
    """Run every real day up to the first of the two dates without notebooks."""
    settings = rfm.load_settings(landing=str(real_files), lake=str(tmp_path_factory.mktemp("backfill")))
    *_, (last, _) = backfill(settings, dt.date(2025, 6, 26), OLD)
    assert last == OLD
    return rfm.Lake(settings.lake)


@pytest.mark.real
def test_backfill_of_the_real_days_meets_the_expected(real_backfill, expected):
    assert facts(real_backfill, OLD) == wanted(expected(OLD))


@pytest.mark.real
def test_daily_meets_the_expected_also_on_an_earlier_date(real_files, real_backfill, expected, run, tmp_path):
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "landing").symlink_to(real_files)
    lake = rfm.Lake(place(tmp_path).lake)
    for day in (NEW, OLD):
        record = run(tmp_path, day)
        assert facts(lake, day) == wanted(expected(day))
        assert groups(lake) == wanted_groups(expected(day))
        assert record["summary"]["customers"] == expected(day)["customers"]
    assert record["tables"]["customer_rfm_gold"]["sha256"] == real_backfill.fingerprint("customer_rfm_gold")


@pytest.mark.real
@pytest.mark.long
def test_backfill_of_half_a_real_year_meets_the_expected(real_files, expected, tmp_path):
    settings = rfm.load_settings(landing=str(real_files), lake=str(tmp_path / "lake"))
    assert len(list(backfill(settings, dt.date(2025, 6, 26), NEW))) == 189
    assert facts(rfm.Lake(settings.lake), NEW) == wanted(expected(NEW))
