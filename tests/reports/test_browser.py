"""The pages in Chromium, from the disk and without a network: what a person sees, reaches and prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.reports.pages import run_page, trend_page
from pipeline.reports.trends import run_points
from tests.published import Output
from tests.reports.nights import HOSTILE, Night, figures_of
from tests.standalone.browser import CHROMIUM, QUIET

PHONE, DESK = 390, 1280
LEAST_CONTRAST = 4.5  # WCAG 2.2 AA for text
PAGES = ("run", "hostile", "index")

# Every visible text with its colour, and the colour that is painted below it.
COLOURS = """() => {
    const seen = [];
    const below = element => {
        for (let one = element; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (colour !== 'rgba(0, 0, 0, 0)') return colour;
        }
        return getComputedStyle(document.documentElement).backgroundColor;
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        if (element.closest('svg')) seen.push([style.fill, below(element.closest('svg').parentElement)]);
        else seen.push([style.color, below(element)]);
    }
    return [...new Set(seen.map(JSON.stringify))].map(JSON.parse);
}"""
# Bars against the card that they stand on, and the numbers that stand in them.
FILLS = """() => [...new Set([...document.querySelectorAll('svg path[fill^="var"]')].map(
    one => getComputedStyle(one).fill))]"""

# How far the content reaches; the names of columns, which a phone shows beside each cell, are cut away there.
RIGHT = """() => Math.max(...[...document.querySelectorAll('main *')].filter(one => !one.closest('thead')).map(
    one => one.getBoundingClientRect().right))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a plain and of a hostile night, and the trend."""
    made = tmp_path_factory.mktemp("pages")
    nights = [Night("before", 44), Night("run", 110, day=1, replaced={"departures": ["sentiment: label 'mixed' 80%"]})]
    (made / "run.html").write_bytes(run_page(figures_of(made / "plain", *nights)))
    with Output(made / "plain").catalog() as catalog:
        (made / "index.html").write_bytes(trend_page(run_points(catalog), {"run"}))
    hostile = Night("hostile", 55, hostile=HOSTILE, priced=False)
    (made / "hostile.html").write_bytes(run_page(figures_of(made / "hostile", hostile)))
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=QUIET)
        yield started
        started.close()


Open = Callable[..., Page]


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
        page.on("request", lambda request: _told_request(request.url, told))
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []


def _told_request(url: str, told: list[str]) -> None:
    if not url.startswith(("file:", "data:,")):
        told.append(f"request: {url}")


def contrast(one: str, other: str) -> float:
    """As WCAG has it, of two `rgb(…)`."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [float(one) / 255 for one in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_has_to_be_pushed_aside(opened: Open, name: str, width: int) -> None:
    """No page is wider than its window, with all that can be opened open, and no text is cut by it."""
    page = opened(name, width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(RIGHT) <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_text_can_be_read(opened: Open, name: str, scheme: str) -> None:
    """Texts and numbers in bars have a contrast of 4.5, bars of 3 against what they stand on, in light and in dark."""
    page = opened(name, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    card, paper = (
        page.evaluate(f"getComputedStyle(document.querySelector('{one}')).backgroundColor")
        for one in (".card", "html, body")
    )
    colours = page.evaluate(COLOURS)
    assert len(colours) > 3
    inside = page.evaluate("getComputedStyle(document.body).backgroundColor")
    texts = [(text, below) for text, below in colours if text != inside]
    assert [(one, contrast(*one)) for one in texts if contrast(*one) < LEAST_CONTRAST] == []
    fills = page.evaluate(FILLS)
    assert fills
    assert [one for one in fills if contrast(one, inside) < LEAST_CONTRAST or contrast(one, card) < 3] == []
    assert (_luminance(inside) > 0.5) == (scheme == "light"), paper


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", PAGES)
def test_every_chart_says_what_it_shows(opened: Open, name: str, width: int) -> None:
    """A chart is an image with a text for readers of the screen, who find its figures in a table below it."""
    page = opened(name, width)
    charts = page.locator("svg:visible").count()
    assert charts >= 4
    labels = page.locator('[role="img"][aria-label]').evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(labels) == charts
    assert page.locator("svg:not([aria-hidden=true])").count() == 0
    assert all(len(label) > 20 for label in labels)
    assert page.locator("figure table").count() == charts
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == page.locator("main").count() == 1


def test_everything_is_reached_by_the_keyboard(opened: Open) -> None:
    """Tab comes to every link, fold and command in their order, each with a ring around it; Enter opens a fold."""
    page = opened("run")
    wanted = page.locator("a[href], summary, pre").count()
    rings = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        rings.append(
            page.evaluate("[document.activeElement.tagName, getComputedStyle(document.activeElement).outlineStyle]")
        )
    assert {tag for tag, _ in rings} == {"A", "SUMMARY", "PRE"}
    assert {ring for _, ring in rings} == {"solid"}
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("one => one.open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white_and_has_all_of_it(opened: Open, scheme: str) -> None:
    """Printed, whatever the screen is: dark on white, no links for the screen, and the figures below every chart."""
    page = opened("run", color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type] # one of the two
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.locator("figure table").first.evaluate("one => one.getBoundingClientRect().height") > 0
    assert len(page.pdf()) > 10_000


def test_no_text_runs(opened: Open) -> None:
    """Whatever documents are called and models write: nothing runs, and all of it is there to be read."""
    page = opened("hostile", PHONE)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.mouse.move(200, 400)
    assert page.evaluate("window.ran") is None
    assert page.locator("script, img, iframe, object, b, [onerror], [onmouseover]").count() == 0
    targets = page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert all(one.startswith("#") or one == "index.html" for one in targets)
    assert "<script>window.ran = true</script>" in page.locator("body").inner_text()
    assert "$" not in page.locator("#cost").inner_text()


def test_the_trend_leads_to_the_runs_and_back(opened: Open) -> None:
    """By links of the folder that both lie in."""
    page = opened("index", PHONE)
    page.get_by_role("link", name="run", exact=True).click()
    assert page.title() == "Run run, docbatch"
    assert "Suspect: sentiment: label 'mixed' 80%" in page.locator("main").inner_text()
    page.get_by_role("link", name="All runs").click()
    assert page.title() == "All runs, docbatch"
