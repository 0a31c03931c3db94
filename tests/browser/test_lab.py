"""JupyterLab as `make lab` starts it: in a browser, without a network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import nbformat
import pytest

import rfm

ROOT = Path(__file__).parents[2]
TOUR = "notebooks/0_tour.ipynb"
START = 120  # seconds, on a slow and busy machine


class Lab(NamedTuple):
    """A tab with JupyterLab, its folder, every requested address, and the server's log."""

    tab: Any
    folder: Path
    asked: list[str]
    log: Path

    @property
    def outside(self) -> list[str]:
        """Return the external addresses, and those with which the server checks for news and updates."""
        own = "/".join(self.asked[0].split("/")[:3])
        news = ("/lab/api/news", "/lab/api/update")
        return [url for url in self.asked if not url.startswith((own, "data:", "blob:")) or any(one in url for one in news)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the files that JupyterLab shows and may change."""
    folder = tmp_path_factory.mktemp("lab") / "my shop"
    for name in ("notebooks", ".jupyter"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for name in ("data", "reports"):
        (folder / name).mkdir()
    for file in ROOT.glob("rfm*.toml"):
        shutil.copy(file, folder)
    return folder


def recipe(folder: Path, options: str) -> str:
    """Return the commands of `make lab` for the environment of the tests, with another folder for the workspace."""
    (bin_folder := folder.parent / "bin").symlink_to(Path(sys.executable).parent)  # the checkout's path may have a blank
    given = [f"BIN={bin_folder}", f"VENV={folder.parent}", f"JUPYTER_OPTS={options}"]
    command = ["make", "--no-print-directory", "-n", "-o", f"{folder.parent}/lab", "lab", *given]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # `make test` hands its own on
    return subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout


def free_port() -> int:
    """Return a free port on loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return found.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    """Wait until a server listens on a port of loopback."""
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        with closing(socket.socket()) as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def lab(browser: Any, folder: Path) -> Iterator[Lab]:
    """Return JupyterLab with the kernel of the tour ready."""
    port, token, log = free_port(), uuid4().hex, folder.parent / "lab.log"
    own = {"HOME": str(folder.parent), "JUPYTER_TOKEN": token}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON", "RFM_"))}
    with log.open("w") as file:
        server = subprocess.Popen(
            ["bash", "-ec", recipe(folder, f"--no-browser --allow-root --port={port}")],
            cwd=folder,
            env={**environment, **own},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        wait_for(port, server, log)
        address, asked = f"http://127.0.0.1:{port}", []
        context.on("request", lambda request: asked.append(request.url))
        context.route(lambda url: not url.startswith((address, "data:", "blob:")), lambda route: route.abort())
        tab = context.new_page()
        tab.set_default_timeout(1000 * START)
        tab.goto(f"{address}/?token={token}")
        tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        yield Lab(tab, folder, asked, log)
        assert token not in log.read_text()
    finally:
        context.close()
        with suppress(ProcessLookupError):  # it did not start
            os.killpg(server.pid, 15)
        server.wait(timeout=START)


def new_cell(tab: Any, text: str) -> None:
    """Add a cell at the top of the tour and type a text into it."""
    tab.locator(".jp-Notebook .jp-Cell").first.click()
    for key in ("Escape", "a", "y", "Enter"):
        tab.keyboard.press(key)
    tab.keyboard.type(text)


def run_cell(tab: Any, text: str) -> str:
    """Run a new cell at the top of the tour and return what it printed."""
    new_cell(tab, text)
    tab.keyboard.press("Control+Enter")
    output = tab.locator(".jp-Cell.jp-mod-selected .jp-OutputArea-output")
    output.wait_for()
    return output.inner_text().strip()


def test_lab_opens_the_tour_and_the_project_folder(lab):
    assert lab.tab.locator(".lm-TabBar-tab.jp-mod-current .lm-TabBar-tabLabel").all_inner_texts().count("0_tour.ipynb") == 1
    assert lab.tab.locator(".jp-MarkdownCell h1").first.inner_text().startswith("The tour")
    names = lab.tab.locator(".jp-FileBrowser .jp-DirListing-itemName").all_inner_texts()
    assert {"data", "notebooks", "reports"} < {name.strip() for name in names}
    assert any(name.strip().endswith(".toml") for name in names)


def test_notebook_finds_rfm_toml_of_the_project(lab):
    assert run_cell(lab.tab, "import rfm\nprint(rfm.load_settings().landing)") == str(lab.folder / "data" / "landing")


def test_lab_shows_no_dialog_and_sends_no_request_outside(lab):
    assert lab.tab.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
    assert lab.outside == []


def test_tab_lists_the_library(lab):
    run_cell(lab.tab, "import rfm\nprint(1)")
    new_cell(lab.tab, "rfm.")
    lab.tab.keyboard.press("Tab")  # JupyterLab drops an answer that takes longer than a second
    lab.tab.wait_for_selector(".jp-Completer-item", timeout=10_000)
    listed = lab.tab.locator(".jp-Completer-item .jp-Completer-match").all_inner_texts()
    assert {name.strip(".") for name in listed} >= set(rfm.__all__)
    lab.tab.keyboard.press("Escape")


def test_shift_tab_shows_help_that_starts_with_text(lab):
    run_cell(lab.tab, "import rfm\nprint(1)")
    new_cell(lab.tab, "rfm.clean")
    lab.tab.keyboard.press("Shift+Tab")
    lab.tab.wait_for_selector(".jp-Tooltip")
    head = lab.tab.locator(".jp-Tooltip").inner_text().splitlines()[:10]
    assert rfm.clean.__doc__.splitlines()[0] in head
    lab.tab.keyboard.press("Escape")


# ── the notebooks that teach ────────────────────────────────────────────────────────────────────────
def run_all(lab: Lab, name: str) -> Any:
    """Open a notebook in a tab of its own, run all of its cells and return the tab."""
    address = "/".join(lab.asked[0].split("/")[:3])
    tab = lab.tab.context.new_page()
    tab.set_default_timeout(1000 * START)
    tab.goto(f"{address}/lab/workspaces/{name}/tree/notebooks/{name}.ipynb")
    tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    cells = sum(cell["cell_type"] == "code" for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4).cells)
    last = tab.locator(".jp-CodeCell .jp-InputPrompt").filter(has_text=f"[{cells}]:")
    last.wait_for(state="attached")
    tab.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    return tab


def test_the_tour_runs_to_its_end_with_each_figure(lab):
    tab = run_all(lab, "0_tour")
    wanted = sum("rfm.figures." in cell.source for cell in nbformat.read(ROOT / TOUR, 4).cells if cell.cell_type == "code")
    tab.locator(".jp-Notebook").first.press("Control+End")
    assert (
        tab.locator(
            ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText .ansi-red-fg"
        ).count()
        == 0
    )
    drawn = tab.evaluate(
        "[...document.querySelectorAll('.jp-OutputArea-output img')].filter(one => one.complete && one.naturalWidth > 300).length"
    )
    assert drawn == wanted


def test_a_slider_of_explore_changes_the_sizes(lab):
    tab = run_all(lab, "explore")
    tables = tab.locator(".jp-OutputArea-output table")
    tables.nth(1).wait_for()
    before = tables.nth(0).inner_text()
    spend = tab.get_by_role("slider").nth(1)
    spend.focus()
    for _ in range(12):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_function(
        "before => document.querySelectorAll('.jp-OutputArea-output table')[0].innerText !== before", arg=before
    )
    assert "in another segment" in tab.locator(".jp-OutputArea").nth(4).inner_text() or "in another segment" in tab.content()
    assert lab.outside == []
