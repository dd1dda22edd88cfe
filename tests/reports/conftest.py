"""Pages on the disk, and Chromium to look at them without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from pipeline.reports.pages import run_page, trend_page
from pipeline.reports.trends import run_points
from tests.published import Output
from tests.reports.nights import HOSTILE, Night, figures_of
from tests.reports.screens import DESK, Open, told_request
from tests.standalone.browser import chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a plain and of a hostile night, and the trend."""
    made = tmp_path_factory.mktemp("pages")
    judged = {"quality": "suspect", "departures": ["sentiment: label 'mixed' 80%"]}
    nights = [Night("first", 60), Night("before", 44, day=1), Night("run", 110, day=2, replaced=judged)]
    (made / "run.html").write_bytes(run_page(figures_of(made / "plain", *nights)))
    with Output(made / "plain").catalog() as catalog:
        (made / "index.html").write_bytes(trend_page(run_points(catalog), {"run"}))
    hostile = Night("hostile", 55, hostile=HOSTILE, priced=False)
    (made / "hostile.html").write_bytes(run_page(figures_of(made / "hostile", hostile)))
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Browser, folder: Path) -> Iterator[Open]:
    """Opens a page of the folder offline, and fails when it says, asks or opens anything."""
    told: list[str] = []
    contexts = []

    def open_page(name: str, width: int = DESK, **options: Any) -> Page:
        context = browser.new_context(offline=True, viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: told.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: told.append(f"error: {error}"))
        page.on("dialog", lambda dialog: told.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: told_request(request.url, told))
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []
