"""The bundle for Databricks: what it names is there, it holds no host and no secret, and Databricks' own models take it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml

from rfm.cli.options import app
from tests.conftest import ROOT

TEXT = (ROOT / "databricks.yml").read_text(encoding="utf-8")
BUNDLE = yaml.safe_load(TEXT)
JOB = BUNDLE["resources"]["jobs"]["rfm_daily"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SECTIONS = {"bundle", "variables", "artifacts", "resources", "targets"}


def keys(node: Any) -> Iterator[str]:
    """Yield every key, at any depth."""
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keys(value)
    yield from node if isinstance(node, dict) else ()


def test_it_names_no_workspace_and_holds_no_secret() -> None:
    assert BUNDLE.keys() == SECTIONS
    assert not {"host", "workspace", "token", "password", "profile"} & set(keys(BUNDLE))
    assert BUNDLE["variables"]["remote"]["default"] == "{{secrets/shop/rfm_remote}}"
    assert not re.search(r"https?://|token=\w|dapi[0-9a-f]", TEXT)


def test_the_schedule_sleeps_until_somebody_wakes_it() -> None:
    assert JOB["schedule"]["pause_status"] == "PAUSED"
    assert JOB["max_concurrent_runs"] == 1


def test_every_variable_is_declared_and_used() -> None:
    assert set(re.findall(r"\$\{var\.(\w+)\}", TEXT)) == BUNDLE["variables"].keys()
    assert all(variable.keys() == {"description", "default"} for variable in BUNDLE["variables"].values())


def test_the_task_calls_a_command_that_is_there() -> None:
    (task,), (cluster,) = JOB["tasks"], JOB["job_clusters"]
    wheel = task["python_wheel_task"]
    verb, *given = wheel["parameters"]
    known = {option for parameter in typer.main.get_command(app).commands[verb].params for option in parameter.opts}
    assert {one for one in given if one.startswith("--")} <= known
    assert (wheel["package_name"], wheel["entry_point"]) == (PROJECT["name"], "rfm")
    assert wheel["entry_point"] in PROJECT["scripts"]
    assert task["job_cluster_key"] == cluster["job_cluster_key"]
    assert task["libraries"] == [{"whl": "./dist/*.whl"}]
    assert "--wheel-dir dist" in BUNDLE["artifacts"]["rfm"]["build"]
    assert cluster["new_cluster"]["spark_env_vars"].keys() == {"RFM_REMOTE", "RFM_NOTEBOOKS"}


CHECK = (
    "import json, sys; from databricks.bundles.jobs import Job; print(json.dumps(Job.from_dict(json.load(sys.stdin)).as_dict()))"
)


@pytest.mark.classic
@pytest.mark.parametrize("fault", [{}, {"shedule": {}}, {"schedule": {"pause_status": "PAUSED"}}, {"tasks": "daily"}])
def test_databricks_own_models_take_the_job(fault: dict[str, Any]) -> None:
    """Those of the package databricks-bundles, made from the schema of the bundles, which refuse what they do not know."""
    python = os.environ.get("RFM_CLASSIC_SPARK")
    if not python:
        stop = pytest.fail if "classic" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop("set RFM_CLASSIC_SPARK to the python of an environment with databricks-bundles; .ci/run makes one")
    given = json.dumps(JOB | fault)
    done = subprocess.run([python, "-c", CHECK], input=given, capture_output=True, text=True, timeout=600)
    if fault:
        assert "Error: " in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tasks"] == JOB["tasks"]
