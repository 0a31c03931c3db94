"""The model kept, and customers of a file scored with it: CSV, Parquet, sales lines; wrong files refused in one line."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import rfm
from rfm.analysis import segments
from rfm.cli.options import app
from rfm.errors import InputError
from rfm.pipeline.models import keep_model, kept_days, read_model, score_customers

D = dt.date(2025, 10, 23)
MODEL = rfm.Model(
    trained=str(D),
    k=2,
    mean=[500.0, 4.0, 40.0],
    scale=[400.0, 3.0, 30.0],
    centroids=[[900.0, 8.0, 10.0], [100.0, 1.0, 70.0]],
    scores=[{"k": 2, "silhouette": 0.5, "elbow": 0.1, "score": 0.9}, {"k": 3, "silhouette": 0.4, "elbow": 0.2, "score": 0.81}],
    version="0.1.0",
    fences={"Monetary": [-100.0, 2000.0], "Frequency": [-3.0, 15.0]},
)
NEW = "Customer ID,monetary,FREQUENCY,Recency\n17.0,950,9,4\n18,90.5,1,80\n19,9000,3,5\n20,100,99,60\n"


def described() -> pd.DataFrame:
    customers = pd.DataFrame(
        {
            "Cluster": [-1, 0, 1],
            "Monetary": [5000.0, 900.0, 100.0],
            "Frequency": [9, 8, 1],
            "Recency": [5, 10, 70],
        }
    )
    clusters = segments.summarise_clusters(customers)
    return segments.describe_clusters(clusters, segments.medians_of(customers))


@pytest.fixture
def lake(tmp_path: Path) -> str:
    files = pd.DataFrame({"rows": [10, 20], "file_date": [dt.date(2025, 10, 22), D]})
    papers = segments.model_artifacts(MODEL, described(), {"Monetary": 500.0, "Frequency": 4.0, "Recency": 40.0}, files)
    keep_model(str(tmp_path / "lake"), D, papers)
    return str(tmp_path / "lake")


def scored(lake: str, file: Path, text: str, date: dt.date | None = None) -> pd.DataFrame:
    file.write_text(text, encoding="utf-8")
    return score_customers(rfm.load_settings(lake=lake), str(file), date).customers


# ── what is kept ───────────────────────────────────────────────────────────────────────────────────
def test_the_model_is_kept_as_json_and_comes_back(lake: str):
    told = read_model(lake)
    assert sorted(told) == ["clusters", "data", "medians", "model", "schema"]
    assert rfm.Model(**told["model"]) == MODEL
    assert told["data"] == {"files": 2, "lines": 30, "first": "2025-10-22", "last": "2025-10-23"}
    assert [row["Cluster"] for row in told["clusters"]] == [-1, 0, 1]


def test_the_card_says_what_it_is_and_nothing_of_the_machine(lake: str):
    card = (Path(lake) / "models" / str(D) / "model_card.md").read_text(encoding="utf-8")
    for said in ("30 sales lines of 2 file(s)", "k = 2, its score 11.1% ahead of that of k = 3", "Monetary: -100.00 to 2,000.00"):
        assert said in card
    assert lake not in card + json.dumps(read_model(lake))


def test_a_model_that_grew_or_was_a_tie_says_so():
    scores = [{"k": 2, "score": 0.8, "error": 0.01, "rows": 16384, "tied": True}, {"k": 3, "score": 0.81, "tied": False}]
    assert segments.k_verdict(scores, 2) == (
        "k = 2, its score 1.2% behind that of k = 3: a tie with k = 3 by the silhouettes of 16,384 customers drawn"
    )
    assert segments.k_verdict(scores[:1], 2) == "k = 2, the only one that the customers allow"


def test_a_second_run_of_the_day_replaces_the_model(lake: str):
    keep_model(lake, D, {"model.json": json.dumps({"schema": 1, "model": "new"})})
    assert read_model(lake, D)["model"] == "new"
    assert kept_days(lake) == [D]
    assert list((Path(lake) / "models" / str(D)).glob("*.part")) == []


# ── scoring ────────────────────────────────────────────────────────────────────────────────────────
def test_customers_get_cluster_and_segment(lake: str, tmp_path: Path):
    found = scored(lake, tmp_path / "new.csv", NEW)
    assert found["CustomerID"].tolist() == ["17", "18", "19", "20"]
    assert found["Cluster"].tolist() == [0, 1, -1, 0]  # no -2 was met: the nearest
    words = described().set_index("Cluster")
    assert found["Cluster_Description"].tolist() == words.loc[[0, 1, -1, 0], "Cluster_Description"].tolist()
    assert found.notna().all(axis=None)


def test_parquet_and_other_separators_say_the_same(lake: str, tmp_path: Path):
    found = scored(lake, tmp_path / "new.csv", NEW)
    pd.testing.assert_frame_equal(scored(lake, tmp_path / "semi.csv", NEW.replace(",", ";")), found)
    place = tmp_path / "new.parquet"
    found[["CustomerID", "Monetary", "Frequency", "Recency"]].to_parquet(place)
    pd.testing.assert_frame_equal(score_customers(rfm.load_settings(lake=lake), str(place)).customers, found)


def test_sales_lines_are_measured_as_of_the_models_date(lake: str, tmp_path: Path):
    lines = (
        "Invoice,StockCode,Description,Quantity,Price,Customer ID,Country,InvoiceDate\n"
        "500001,85048,BALL,10,9.00,17.0,EIRE,2025-10-13\n"
        "500002,21232,BOX,1,1.50,17.0,EIRE,2025-10-20\n"
        "500003,21232,BOX,9,9.50,18.0,EIRE,2025-10-24\n"
    )
    found = scored(lake, tmp_path / "2025-10-24_transactions.csv", lines)
    assert found[["CustomerID", "Monetary", "Frequency", "Recency"]].values.tolist() == [["17", 91.5, 2.0, 3.0]]


WRONG = {
    "a column missing": ("CustomerID,Monetary,Frequency\n1,2,3\n", r"^new\.csv: lacks 1 column\(s\): Recency; found CustomerID"),
    "a text": (NEW + "21,many,1,1\n", r"column Monetary: 1 of 5 value\(s\) are not numbers of at least 0, the first in row 5; "),
    "too small": (NEW + "21,1,0,1\n", r"column Frequency: 1 of 5 value\(s\) are not numbers of at least 1, the first in row 5"),
    "infinite": (NEW + "21,1,1,inf\n", r"column Recency: 1 of 5 value\(s\) are not numbers"),
    "empty": ("", r"new\.csv: is empty; give CSV"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_file_is_refused_in_one_line(lake: str, tmp_path: Path, text: str, said: str):
    with pytest.raises(InputError, match=said) as error:
        scored(lake, tmp_path / "new.csv", text)
    assert "\n" not in str(error.value)


def test_a_model_that_is_not_there_is_named(lake: str, tmp_path: Path):
    with pytest.raises(InputError, match="holds no model of 2025-10-22, but 1 from 2025-10-23 to 2025-10-23; name one of them"):
        scored(lake, tmp_path / "new.csv", NEW, dt.date(2025, 10, 22))
    with pytest.raises(InputError, match="holds no model; run `rfm daily`"):
        scored(str(tmp_path), tmp_path / "new.csv", NEW)
    keep_model(lake, D, {"model.json": '{"schema": 99}'})
    with pytest.raises(InputError, match="schema 99, this version reads 1"):
        scored(lake, tmp_path / "new.csv", NEW)


def test_the_command_writes_csv_and_tells_of_extremes(lake: str, tmp_path: Path):
    (tmp_path / "new.csv").write_text(NEW, encoding="utf-8")
    done = CliRunner().invoke(app, ["score", str(tmp_path / "new.csv"), "--lake", lake])
    assert done.exit_code == 0
    assert (
        done.stdout.splitlines()[0]
        == "CustomerID,Monetary,Frequency,Recency,Cluster,Cluster_Description,Tier,Cluster_Recommendation"
    )
    out = tmp_path / "out.csv"
    done = CliRunner().invoke(app, ["score", str(tmp_path / "new.csv"), "--lake", lake, "--out", str(out)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert len(out.read_text(encoding="utf-8").splitlines()) == 5


def test_score_json_holds_the_rows_of_the_csv(lake: str, tmp_path: Path):
    (tmp_path / "new.csv").write_text(NEW, encoding="utf-8")
    command = ["score", str(tmp_path / "new.csv"), "--lake", lake]
    rows = pd.read_csv(io.StringIO(CliRunner().invoke(app, command).stdout))
    told = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert pd.DataFrame(told["customers"]).astype(rows.dtypes).equals(rows)
    assert (told["out"], told["said"].split(" by ")[0]) == (None, f"{len(rows)} customer(s)")
    written = json.loads(CliRunner().invoke(app, [*command, "--json", "--out", str(tmp_path / "out.csv")]).stdout)
    assert written == told | {"out": str(tmp_path / "out.csv")}
    assert pd.read_csv(tmp_path / "out.csv").equals(rows)
