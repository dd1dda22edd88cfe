"""The pages in Chromium, from the disk and without a network: what a person sees, reaches and prints."""

from __future__ import annotations

import pytest

from tests.reports.screens import DESK, PHONE, Open, chart_text_pixels

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


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [PHONE, 700, 863, 864, 1024, DESK, 1920])
def test_charts_fit_their_cards_and_their_readers(opened: Open, name: str, width: int) -> None:
    """One that stands alone is as wide as its card, on a phone and a desk; no text of any is tiny or giant."""
    page = opened(name, width)
    pixels = chart_text_pixels(page)
    assert len(pixels) > 20
    assert (min(pixels) >= 10.5, max(pixels) <= 18) == (True, True), (min(pixels), max(pixels))
    if width in (PHONE, DESK) and name != "index":
        room, drawn = (page.locator(f"#flow {one}").first.bounding_box() for one in (".card", "svg:visible"))
        assert room is not None
        assert drawn is not None
        assert drawn["width"] > 0.9 * room["width"]


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
    page.get_by_role("link", name="run", exact=True).first.click()
    assert page.title() == "Run run, docbatch"
    assert "Suspect: sentiment: label 'mixed' 80%" in page.locator("main").inner_text()
    page.get_by_role("link", name="All runs").click()
    assert page.title() == "All runs, docbatch"
