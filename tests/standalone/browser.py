"""Chromium without a window, and Airflow's pages in it as a person uses them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as NotShown

from tests.standalone.server import DAG, Server

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS, RELOADS = 120_000, 3


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with nothing open; without one on the machine the test is skipped."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        yield started
        started.close()


@contextmanager
def opened(server: Server, folder: Path) -> Iterator[Page]:
    """A page on which somebody has logged in; profile and screenshots lie in `folder`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            folder / "profile",
            executable_path=CHROMIUM,
            headless=True,
            args=QUIET,
            viewport={"width": 1400, "height": 1200},
        )
        page = browser.pages[0]
        page.set_default_timeout(PATIENCE_MS)
        _log_in(page, server)
        yield page
        browser.close()


def shown_at_last(page: Page, wanted: Locator) -> Locator:
    """On a busy machine Airflow's page was seen to stay without its grid; people reload it."""
    for _ in range(RELOADS):
        with suppress(NotShown):
            wanted.wait_for(timeout=30_000)
            break
        page.reload()
    return wanted


def _log_in(page: Page, server: Server) -> None:
    user, password = server.login()
    page.goto(server.url)
    page.get_by_label("Username").fill(user)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Welcome").first.wait_for()


class Form:
    """The trigger form. Of its sections one is open at a time: "Run Parameters" in the beginning."""

    def __init__(self, page: Page, server: Server) -> None:
        page.goto(f"{server.url}/dags/{DAG}")
        page.get_by_label("Trigger Dag").click()
        self.page, self.dialog = page, page.get_by_role("dialog")
        self.dialog.get_by_text("Run Parameters").wait_for()

    def open_section(self, title: str) -> None:
        self.dialog.get_by_text(title, exact=True).click()

    def fill(self, param: str, text: str) -> None:
        self._field(param).fill(text)

    def switch(self, param: str) -> None:
        """A switch hides its checkbox below what is drawn."""
        self._field(param).locator("xpath=ancestor::label").click()

    def offered(self, position: int) -> list[str]:
        """What the list at a position of the form offers; the list stays open."""
        self.list_at(position).press("ArrowDown")
        self.page.get_by_role("option").first.wait_for()
        return self.page.get_by_role("option").all_inner_texts()

    def choose(self, position: int, *options: str) -> None:
        for option in options:
            self.list_at(position).fill(option)
            self.list_at(position).press("Enter")
        self.list_at(position).press("Tab")

    def list_at(self, position: int) -> Locator:
        return self.dialog.get_by_role("combobox").nth(position)

    @property
    def button(self) -> Locator:
        return self.dialog.get_by_role("button", name="Trigger")

    def _field(self, param: str) -> Locator:
        return self.dialog.locator(f"[name=element_{param}]")
