"""The notebooks: all stages have the same form and run by hand; the tour gives the committed outputs."""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import rfm
from rfm.contracts import TABLES
from rfm.datasets.sample import make_sample
from rfm.pipeline.chain import STAGES, Stage
from rfm.pipeline.kernels import warm_kernels
from rfm.pipeline.notebooks import parameters_of, skip_slow_import

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
TOUR = FOLDER / "0_tour.ipynb"

# ── the form of a stage notebook, as data ──────────────────────────────────────────────────────────
SECTIONS = ["Read", "Measure", "Look", "Check and write"]
GIVEN = ["date", "landing", "lake"]  # parameters of every stage
KINDS = {
    "1_bronze": "Bronze",
    "2_silver": "Silver",
    "3_gold": "Gold",
    "4_clusters": "Clusters",
    "5_segments": "Segments",
    "6_states": "States",
    "7_report": "Report",
}
REFUSED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.For, ast.AsyncFor, ast.While)
LIBRARIES = {"rfm", "pandas"}
LONGEST = 8  # lines of a cell
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CHECKED = "nbval-check-output"  # tag of a cell whose output must be the committed one

each_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


def notebook(name: str) -> dict[str, Any]:
    """Return a committed notebook, the source of each cell as one string."""
    found = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return found | {"cells": [cell | {"source": "".join(cell["source"])} for cell in found["cells"]]}


def code(stage: Stage) -> list[str]:
    """Return the sources of a stage's code cells."""
    return [cell["source"] for cell in notebook(stage.name)["cells"] if cell["cell_type"] == "code"]


def trees(stage: Stage) -> list[ast.AST]:
    """Return all syntax nodes of a stage's code; a magic is not Python and fails here."""
    return [node for source in code(stage) for node in ast.walk(ast.parse(source))]


# ── form ───────────────────────────────────────────────────────────────────────────────────────────
def test_chain_is_the_numbered_notebooks():
    assert sorted(path.stem for path in FOLDER.glob("[1-9]_*.ipynb")) == [stage.name for stage in STAGES] == list(KINDS)


@each_stage
def test_title_says_number_stage_and_what_it_is(stage):
    title = f"# {stage.name[0]} · {KINDS[stage.name]}: {stage.title}"
    first, sentence, header = notebook(stage.name)["cells"][0]["source"].split("\n\n", 2)
    assert first == title
    assert re.fullmatch(r"[A-Z].*\.", sentence)
    assert header.startswith("| reads | writes | one row is |\n|---|---|---|\n| ")


@each_stage
def test_title_names_the_tables_that_the_run_records(stage):
    row = notebook(stage.name)["cells"][0]["source"].splitlines()[-1]
    reads, writes, grain = (cell.strip() for cell in row.strip("|").split("|"))
    named = [re.findall(r"`(\w+)`", cell) for cell in (reads, writes)]
    assert named == [list(stage.reads), list(stage.writes)]
    assert {*stage.reads, *stage.writes} <= TABLES.keys()
    assert grain.startswith(("a ", "an "))


@each_stage
def test_sections_stand_in_order(stage):
    texts = [cell["source"] for cell in notebook(stage.name)["cells"] if cell["cell_type"] == "markdown"]
    assert [line[3:] for text in texts for line in text.splitlines() if line.startswith("## ")] == SECTIONS


@each_stage
def test_a_sentence_stands_before_every_code_cell(stage):
    cells = notebook(stage.name)["cells"]
    for before, cell in zip(cells, cells[1:], strict=False):
        if cell["cell_type"] == "code":
            assert before["cell_type"] == "markdown", cell["source"]
            assert re.search(r"^[A-Z*].*\.$", before["source"], re.MULTILINE), before["source"]
    assert cells[-1]["cell_type"] == "code"


@each_stage
def test_cells_are_short_and_without_functions_or_loops(stage):
    assert [source for source in code(stage) if len(source.splitlines()) > LONGEST] == []
    assert [type(node).__name__ for node in trees(stage) if isinstance(node, REFUSED)] == []


@each_stage
def test_imports_are_few_and_in_one_cell(stage):
    importing = [source for source in code(stage) if re.search(r"^(import|from) ", source, re.MULTILINE)]
    assert importing == [code(stage)[1]]
    found = {alias.name for node in trees(stage) if isinstance(node, ast.Import) for alias in node.names}
    assert "rfm" in found <= LIBRARIES
    assert not any(isinstance(node, ast.ImportFrom) for node in trees(stage))


@each_stage
def test_one_cell_holds_the_parameters_literals_with_a_comment(stage):
    tagged = [cell["source"] for cell in notebook(stage.name)["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    assert tagged == [code(stage)[0]]
    for line in tagged[0].splitlines():
        name, value, comment = re.fullmatch(r"(\w+) = (.+?)  # (.+)", line).groups()
        ast.literal_eval(value)
        assert "=" not in comment, f"papermill cannot see {name}"
    assert parameters_of(FOLDER / f"{stage.name}.ipynb")[:3] == GIVEN


@each_stage
def test_settings_come_from_the_parameters(stage):
    assert "settings = rfm.load_settings(date=date, landing=landing, lake=lake)" in code(stage)[1]


@each_stage
def test_last_cell_says_what_was_written(stage):
    *_, last = ast.parse(code(stage)[-1]).body
    assert ast.unparse(last).startswith("print(f")


@each_stage
def test_no_path_is_absolute(stage):
    texts = [node.value for node in trees(stage) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [text for text in texts if text.startswith(("/", "~", "file:")) or "\\" in text] == []


@each_stage
def test_committed_without_outputs_in_one_format(stage):
    text = (FOLDER / f"{stage.name}.ipynb").read_text(encoding="utf-8")
    found = json.loads(text)
    assert text == json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    assert found["metadata"]["kernelspec"] == KERNEL
    assert found["metadata"].keys() == {"kernelspec", "language_info"}
    cells = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(cells)
    assert len({cell["id"] for cell in found["cells"]}) == len(found["cells"])


# ── by hand, as they stand ─────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], Any]]:
    """Run the notebooks in order, unchanged, in the notebooks folder of a new project."""
    skip_slow_import()
    import papermill

    root = tmp_path_factory.mktemp("project")
    shutil.copytree(FOLDER, root / "notebooks")
    shutil.copy(ROOT / "rfm.example.toml", root)  # as in a fresh clone, which has no rfm.toml
    make_sample(root / "data" / "landing", days=12, lines=4000, customers=250)
    folder, done = root / "notebooks", {}
    with warm_kernels() as kernels, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("RFM_")]:
            patch.delenv(name)
        for stage in STAGES:
            with contextlib.chdir(folder), kernels.kernel() as kernel:
                done[stage.name] = papermill.execute_notebook(f"{stage.name}.ipynb", None, progress_bar=False, **kernel)
        yield root, done, kernels


by_hand_marks = pytest.mark.filterwarnings("ignore::DeprecationWarning:nbclient")


@by_hand_marks
def test_notebooks_run_by_hand_fill_the_lake_of_their_project(by_hand):
    root = by_hand[0]
    lake = rfm.Lake(str(root / "data" / "lake"))
    written = {name for stage in STAGES for name in stage.writes}
    campaigns = {"campaigns", "campaign_members", "campaign_results"}
    of_people = {"pipeline_runs", "released_rows"} | campaigns  # runs and people write these
    assert lake.state().keys() == written - campaigns == TABLES.keys() - of_people
    gold, summary = (lake.read(name).collect() for name in ("customer_rfm_gold", "segment_summary"))
    assert summary["Customers"].sum() == len(gold) == 250
    assert summary["Revenue"].sum() == gold["Monetary"].sum()
    dates = lake.read("customer_rfm_kmeans_clustered").select(pl.col("UpdateDate").cast(pl.String).unique()).collect()
    assert dates.to_series().to_list() == ["2025-10-23"]


@by_hand_marks
def test_notebooks_run_by_hand_leave_nothing_else_behind(by_hand):
    root = by_hand[0]
    assert {path.name for path in root.iterdir()} == {"data", "notebooks", "rfm.example.toml"}
    assert {path.name for path in (root / "data").iterdir()} == {"landing", "lake"}
    assert {path.name for path in (root / "notebooks").iterdir()} == {path.name for path in FOLDER.iterdir()}


@by_hand_marks
@each_stage
def test_every_cell_runs_without_a_warning(by_hand, stage):
    cells = [cell for cell in by_hand[1][stage.name].cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(code(stage)) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert [output.output_type for output in cells[-1].outputs] == ["stream"]


@by_hand_marks
@each_stage
def test_every_stage_shows_a_table_and_a_figure(by_hand, stage):
    shown = [output.data for cell in by_hand[1][stage.name].cells for output in cell.get("outputs", ()) if "data" in output]
    assert any("text/html" in data for data in shown)
    if stage.name != "1_bronze":
        assert any(data.keys() & {"application/vnd.plotly.v1+json", "image/png"} for data in shown)


# ── any order of days ──────────────────────────────────────────────────────────────────────────────
EARLIER = "2025-10-20"


@pytest.mark.long
@by_hand_marks
def test_earlier_day_run_later_has_the_same_results(by_hand, tmp_path):
    import papermill

    shutil.copytree(by_hand[0], tmp_path / "project")
    folder, lake = tmp_path / "project" / "notebooks", rfm.Lake(str(tmp_path / "project" / "data" / "lake"))
    for stage in STAGES:
        with contextlib.chdir(folder), by_hand[2].kernel() as kernel:
            papermill.execute_notebook(f"{stage.name}.ipynb", None, {"date": EARLIER}, progress_bar=False, **kernel)
    day = dt.date.fromisoformat(EARLIER)
    seen = pl.scan_csv(by_hand[0] / "data" / "landing" / "*.csv", infer_schema=False).filter(pl.col("InvoiceDate") <= EARLIER)
    silver, _ = rfm.clean(seen.rename({"Customer ID": "CustomerID"}))
    assert_frame_equal(lake.rows("customer_rfm_gold"), rfm.rfm_metrics(silver, day).collect(), check_dtypes=False)
    segmented = lake.rows("customer_rfm_kmeans_clustered_history")["UpdateDate"]
    assert sorted(set(segmented)) == [day, dt.date(2025, 10, 23)]


# ── the tour ───────────────────────────────────────────────────────────────────────────────────────
def test_tour_shows_its_outputs_in_order():
    cells = [cell for cell in notebook("0_tour")["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert [cell["source"] for cell in cells if not cell["outputs"]] == []
    assert sum(CHECKED in cell["metadata"].get("tags", ()) for cell in cells) >= 15
    assert notebook("0_tour")["metadata"]["kernelspec"] == KERNEL


def test_a_code_host_shows_each_figure_of_the_tour():
    cells = notebook("0_tour")["cells"]
    for place, cell in enumerate(cells):
        kinds = {kind for output in cell.get("outputs", ()) for kind in output.get("data", ())}
        assert ("image/png" in kinds) == cell["source"].lstrip("\n").splitlines()[-1].startswith("rfm.figures.")
        if "image/png" in kinds:
            assert cells[place + 1]["source"].startswith("*What to see*")


def test_words_of_the_tour_are_its_figures():
    shown = {cell["source"]: cell["outputs"] for cell in notebook("0_tour")["cells"] if cell["cell_type"] == "code"}
    found = {name: "".join(map(str, out)) for source, out in shown.items() for name in TOLD if name in source}
    assert {name: told in found[name] for name, told in TOLD.items()} == dict.fromkeys(TOLD, True)


TOLD = {  # in the source of a cell: in its output, and in the sentences beside it
    "quarantined[[": "twelve",
    "recency {": "recency 19, frequency 3",
    "scaling.round": "2.06",
    "silhouette_score(": "0.27",
    "Cluster_Recommendation'": "At Risk Customers",
}


def test_each_question_of_the_tour_has_its_answer_below():
    cells = notebook("0_tour")["cells"]
    asked = [place for place, cell in enumerate(cells) if re.search(r"^\d\. .*\?$", cell["source"], re.MULTILINE)]
    answers = [cells[place + 1] for place in asked]
    assert len(asked) == 5
    assert all(cell["cell_type"] == "code" and cell["outputs"] and len(cell["source"].splitlines()) <= 2 for cell in answers)
    assert "Champions" in str(answers[1]["outputs"])


def test_campaigns_explains_what_it_computes(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    exec("\n".join(cell["source"] for cell in notebook("campaigns")["cells"] if cell["cell_type"] == "code"), names)
    assert 4 <= names["found"]["Found"].sum() <= 18  # about one in twenty of 200, as its text says
    assert names["customers"].groupby("Arm")["OrderExpected"].mean().diff().abs().max() < 0.01


def test_explore_renames_and_clusters_again():
    pieces = {
        cell["source"].split("(")[0]: cell["source"] for cell in notebook("explore")["cells"] if cell["cell_type"] == "code"
    }
    shown: list[Any] = []
    names: dict[str, Any] = {"display": shown.append}
    exec('lake = "no/such/lake"', names)
    for source in pieces.values():
        if "interact(" not in source and not source.startswith("lake ="):
            exec(source, names)
    day = names["dates"][-1]
    names["by_cutoffs"](day, 1.0, 1.0, 1.0)
    names["by_cutoffs"](day, 2.0, 1.0, 1.0)
    names["by_k"](day, 3)
    first, stricter, three = (one.data for one in shown)
    assert stricter["difference"].abs().sum() > first["difference"].abs().sum()  # the first: names that the day before holds
    assert three["changed"].sum() == first["changed"].sum() == (names["history"]["UpdateDate"] == day).sum()
    assert len(three[three["changed"] > 0]) <= 3 + 3


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_headings_make_a_table_of_contents(path):
    texts = [cell["source"] for cell in notebook(path.stem)["cells"] if cell["cell_type"] == "markdown"]
    levels = [len(marks) for text in texts for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert len(levels) >= 5


@pytest.mark.whole
def test_tour_gives_the_committed_outputs():
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(FOLDER), *options, str(TOUR)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER, timeout=1800, check=False)
    cells = sum(cell["cell_type"] == "code" for cell in notebook("0_tour")["cells"])
    assert answer.returncode == 0, answer.stdout
    assert f"{cells} passed" in answer.stdout
