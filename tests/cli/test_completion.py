"""A kernel of this environment, as JupyterLab and other editors start it: it completes names at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rfm

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
HEAVY = {"pandas", "polars", "narwhals", "pyarrow", "sklearn", "deltalake", "plotly"}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a client of a kernel of the environment's kernelspec, for a user without settings of their own."""
    from jupyter_client.manager import start_new_kernel

    home = str(tmp_path_factory.mktemp("home"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "COV"))}
    manager, client = start_new_kernel(kernel_name="python3", env={**environment, "HOME": home})
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def value(kernel: Any) -> Callable[[str], str]:
    """Return a function that says what an expression is worth in the kernel."""

    def value(expression: str) -> str:
        reply = kernel.execute("import rfm, sys, time", user_expressions={"it": expression}, reply=True, timeout=60)
        return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]

    return value


def complete(kernel: Any, text: str) -> list[str]:
    return kernel.complete(text, reply=True, timeout=60)["content"]["matches"]


def test_kernel_is_that_of_the_environment(value):
    assert value("sys.prefix") == repr(sys.prefix)


def test_names_are_completed_at_once_without_jedi(kernel, value):
    before = float(value("time.process_time()"))
    assert {name.rpartition(".")[2] for name in complete(kernel, "rfm.")} >= set(rfm.__all__)
    assert float(value("time.process_time()")) - before < 0.5
    assert value("get_ipython().Completer.use_jedi") == "False", "`make setup` copies .jupyter/etc into the environment"


def test_completing_imports_nothing_heavy(kernel, value):
    complete(kernel, "rfm.")
    assert value(f"sorted({HEAVY} & set(sys.modules))") == "[]"


def test_names_of_a_module_of_the_road_are_completed(kernel):
    assert any("medians_of" in name for name in complete(kernel, "rfm.segments."))
