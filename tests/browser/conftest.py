"""A site, and a browser without network."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rfm
from rfm.datasets.sample import make_sample
from rfm.pipeline import backfill
from rfm.report.render import RunTables
from tests.shop import run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]  # draws in space without a graphics card
DAYS = 24
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


class Built(NamedTuple):
    """A published site and the data of its latest run."""

    root: Path
    tables: RunTables

    def address(self, page: str, run: bool = True) -> str:
        """Return the address of a page of the latest run, or of the site."""
        return f"{(self.root / str(self.tables.day) if run else self.root).as_uri()}/{page}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the browser; if it is missing, skip, or fail if it is required."""
    found = os.environ.get("RFM_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        stop = pytest.fail if "browser" in os.environ.get("RFM_REQUIRE", "").split(",") else pytest.skip
        stop("no Chromium is installed; install it, or set RFM_CHROMIUM to one")
    return str(found)


@pytest.fixture(scope="session", params=["sample", pytest.param("real", marks=[pytest.mark.real, pytest.mark.long])])
def built(chromium: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the site after a few days of the sample; in the long tests, of real days too."""
    root = tmp_path_factory.mktemp("site")
    settings = rfm.load_settings(**{name: str(root / name) for name in ("landing", "lake", "reports")})
    *_, before, last = land(root / "landing", request)
    backfill.run_day(settings, rfm.Lake(settings.lake), before)
    return Built(Path(settings.reports), RunTables(settings, run(settings, last)))


def land(landing: Path, request: pytest.FixtureRequest) -> list[dt.date]:
    """Write daily files into a folder and return their days."""
    if request.param == "real":
        landing.mkdir()
        for path in sorted(request.getfixturevalue("real_files").glob("*.csv"))[:DAYS]:
            shutil.copy(path, landing)
    else:
        make_sample(landing, days=DAYS, lines=8000, customers=600)
    return [dt.date.fromisoformat(path.name[:10]) for path in sorted(landing.glob("*.csv"))]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """Return a browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


class Watched(NamedTuple):
    """A tab, its errors, and the external addresses it requested."""

    tab: Any
    errors: list[str]
    outside: list[str]


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Watched]]:
    """Return a function that opens an address in a new tab, without network."""
    contexts = []

    def visit(address: str, width: int = 1280, scheme: str = "light", **more: Any) -> Watched:
        given = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "user_agent": PERSON} | more
        context = browser.new_context(accept_downloads=True, **given)
        contexts.append(context)
        watched = Watched(context.new_page(), [], [])
        watched.tab.set_default_timeout(300_000)
        watched.tab.on("console", lambda said: watched.errors.append(said.text) if said.type == "error" else None)
        watched.tab.on("pageerror", lambda error: watched.errors.append(str(error)))
        context.route(
            lambda url: not url.startswith("file:"), lambda route: watched.outside.append(route.request.url) or route.abort()
        )
        watched.tab.goto(address)
        return watched

    yield visit
    for context in contexts:
        context.close()
