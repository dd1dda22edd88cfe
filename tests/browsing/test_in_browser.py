"""The pages as a person uses them, in Chromium: searching, reading, marking, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.browsing.gold import Verdict
from tests.browsing.conftest import NAMES, NO_BLANKS, RIGHT_TO_LEFT, Site, make_hostile, served
from tests.standalone.browser import CHROMIUM, QUIET
from tests.world import WORK_URI, Canned, World

PATIENCE_MS = 30_000
COLOURS = "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
PAINTED = {
    "light": ["rgb(28, 32, 36)", "rgb(255, 255, 255)"],
    "dark": ["rgb(230, 233, 236)", "rgb(22, 25, 29)"],
}
PAPER = {"light": (255, 255, 255), "dark": (22, 25, 29)}
LEAST_INK = 2_000  # pixels; an empty result has about twice as many
MOST_SHADE = 90  # by which a part of a colour differs that is no ink
if CHROMIUM is None:
    pytest.skip("there is no Chromium; on Debian: apt-get install chromium", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site with hostile documents whose labels are the test's own."""
    from tests.browsing.conftest import badly

    world = World(tmp_path / "own", Canned(badly), work_uri=WORK_URI)
    make_hostile(world)
    world.run()
    (tmp_path / "index").mkdir()
    with served(world, tmp_path / "index") as site:
        yield site


class Visit:
    """A page of the browser that was let in, and what its console said."""

    def __init__(self, browser: Browser, site: Site, width: int = 1400, scheme: str = "light", script: bool = True):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type] # a literal at every caller
            java_script_enabled=script,
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.goto(site.address)

    def leave(self) -> None:
        """Nothing was complained of, no script of a document ran."""
        assert self.said == []
        assert self.page.title() != "owned"
        self.context.close()


@pytest.fixture
def visit(browser: Browser, own: Site) -> Iterator[Visit]:
    found = Visit(browser, own)
    yield found
    found.leave()


def press(page: Page, key: str) -> None:
    """A key on a page whose script has been read."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def test_search_filter_and_read(visit: Visit) -> None:
    """From a word to the document, its answer and its prompt."""
    page = visit.page
    page.get_by_label("Search in names").fill("club")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("status")).to_contain_text("0 answers")
    page.get_by_label("Search in names").fill("plain.txt")
    page.get_by_label("Analysis").select_option("classification")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("status")).to_contain_text("1 answer")
    page.get_by_role("link", name="plain.txt").click()
    expect(page.locator("#document pre")).to_have_text("The minutes of the meeting of the 100% _club_.")
    expect(page.locator("#prompt pre")).to_contain_text("<|begin_of_text|>")
    expect(page.locator("#prompt pre")).to_contain_text("The minutes of the meeting of the 100% _club_.")
    expect(page.locator("dl.facts")).to_contain_text("$0.0")


def test_mark_right_and_wrong(visit: Visit, own: Site) -> None:
    """A click says right; a choice and a click say what it should have been."""
    page, key = visit.page, own.key("classification", "plain.txt")
    page.goto(f"{own.url}/answers/{key.path}?analysis=classification")
    page.get_by_role("button", name="Right").click()
    expect(page.get_by_role("status")).to_contain_text("Stored as right")
    page.goto(f"{own.url}/answers/{key.path}")
    seen = page.locator("dl.values .label").inner_text()
    other = "news" if seen != "news" else "minutes"
    page.get_by_text("Wrong …").click()
    page.get_by_label("category").select_option(other)
    page.get_by_label("Note").fill("See the first line.")
    page.get_by_role("button", name="Wrong: store the correction").click()
    expect(page.get_by_role("status")).to_contain_text("Stored as wrong")
    assert [(one.verdict, one.corrected) for one in own.labels()] == [
        (Verdict.RIGHT, None),
        (Verdict.WRONG, f'{{"category":"{other}"}}'),
    ]
    page.goto(f"{own.url}/?marked=wrong")
    expect(page.locator("table.lines tbody tr")).to_have_count(1)


def test_keys(visit: Visit, own: Site) -> None:
    """j, k and Enter in the list; j, k, r, w and u at an answer; none of them while somebody types."""
    page = visit.page
    page.goto(f"{own.url}/?analysis=sentiment&marked=unmarked")
    names = page.locator("table.lines td.document a").all_inner_texts()
    for key in "jjk":
        page.keyboard.press(key)
    page.keyboard.press("j")
    press(page, "Enter")
    expect(page.locator("h1")).to_have_text(names[1])
    press(page, "j")
    expect(page.locator("h1")).to_have_text(names[2])
    press(page, "k")
    expect(page.locator("h1")).to_have_text(names[1])
    press(page, "r")
    expect(page.locator("h1")).to_have_text(names[2])
    press(page, "w")
    page.get_by_label("Note").fill("")
    page.get_by_label("Note").press_sequentially("just rewording")
    page.get_by_role("button", name="Wrong, and I do not know").click()
    expect(page.locator("h1")).to_have_text(names[3])
    press(page, "u")
    expect(page.locator("table.lines tbody tr")).to_have_count(len(names) - 2)
    assert [(one.verdict, one.note) for one in own.labels()] == [
        (Verdict.RIGHT, None),
        (Verdict.WRONG, "just rewording"),
    ]


def test_a_long_text_is_typed_as_it_is(visit: Visit, own: Site) -> None:
    """Lines, quotes and markup of a corrected summary are stored as they were typed."""
    page, key = visit.page, own.key("summarization", "hostile.txt")
    page.goto(f"{own.url}/answers/{key.path}")
    page.keyboard.press("w")
    page.get_by_label("summary").fill('Line "one"\n<b>two</b>')
    page.get_by_label("key_points").fill("a\nb")
    page.get_by_role("button", name="Wrong: store the correction").click()
    expect(page.get_by_role("status")).to_contain_text("Stored as wrong")
    assert own.labels()[0].corrected == '{"key_points":["a","b"],"summary":"Line \\"one\\"\\n<b>two</b>"}'


def test_without_script(browser: Browser, own: Site) -> None:
    """Everything but the keys works in a browser that runs none."""
    visit = Visit(browser, own, script=False)
    page, key = visit.page, own.key("sentiment", "plain.txt")
    page.get_by_label("Label").select_option(index=1)
    page.get_by_role("button", name="Show").click()
    assert page.locator("table.lines tbody tr").count() > 0
    page.goto(f"{own.url}/answers/{key.path}")
    page.get_by_role("button", name="Right").click()
    expect(page.get_by_role("status")).to_contain_text("Stored as right")
    visit.leave()


def painted(page: Page, file: Path) -> Image.Image:
    """What is seen of a page, which is also left in a file to be looked at."""
    page.screenshot(path=file)
    with Image.open(file) as found:
        return found.convert("RGB")


def refuse_blank(seen: Image.Image, scheme: str) -> None:
    """Most of it is paper of the scheme's colour, and some of it is ink that stands out from it."""
    paper = PAPER[scheme]
    colours: Any = seen.getcolors(seen.width * seen.height)
    pixels = sum(count for count, _ in colours)
    ink = sum(count for count, colour in colours if _contrast(colour, paper) > MOST_SHADE)
    assert max(colours)[1] == paper
    assert LEAST_INK < ink < pixels / 2
    mean = ImageStat.Stat(seen.convert("L")).mean[0]
    assert mean < 70 if scheme == "dark" else mean > 200


def _contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return max(abs(part - own) for part, own in zip(one, other, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1280])
def test_every_width_and_colour(browser: Browser, site: Site, tmp_path: Path, width: int, scheme: str) -> None:
    """No page is wider than its window or blank, dark is dark, text stands out, no script of a document runs."""
    visit = Visit(browser, site, width, scheme)
    page = visit.page
    names = ("hostile.txt", "long.txt", "titled.html", NAMES[0], "empty.txt", RIGHT_TO_LEFT, NO_BLANKS)
    places = ["/", "/?q=nothing+such&cost=x&after=y"]
    places += [f"/answers/{site.key('summarization', name).path}" for name in names]
    for number, place in enumerate(places):
        page.goto(site.url + place)
        page.keyboard.press("w")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        assert page.evaluate(COLOURS) == PAINTED[scheme]
        assert page.evaluate("document.title") != "owned"
        refuse_blank(painted(page, tmp_path / f"{number}.png"), scheme)
    visit.leave()


def box(page: Page, place: str) -> dict[str, float]:
    """Where the first element of a selector lies."""
    found = page.locator(place).first.bounding_box()
    assert found is not None
    return {**found}


def test_a_wide_window_has_it_side_by_side(browser: Browser, site: Site) -> None:
    """The filters stand in one row of equal heights; the document stays in view while its answer is corrected."""
    visit = Visit(browser, site, 1280)
    page = visit.page
    boxes = [one.bounding_box() for one in page.locator(".filters > label").locator("input, select").all()]
    assert len(boxes) == 8
    assert len({(one["y"], one["height"]) for one in boxes if one}) == 1
    page.goto(f"{site.url}/answers/{site.key('summarization', 'long.txt').path}")
    page.keyboard.press("w")
    document, answer = box(page, "#document pre"), box(page, "details.correct")
    assert document["x"] + document["width"] < answer["x"]
    page.get_by_label("Note").scroll_into_view_if_needed()
    assert box(page, "#document pre")["y"] >= 0
    visit.leave()


def test_a_narrow_window_has_it_one_below_the_other(browser: Browser, site: Site) -> None:
    """The answer follows the document, and every line of the list says what its numbers are."""
    visit = Visit(browser, site, 390)
    page = visit.page
    told = "one => getComputedStyle(one, '::before').content"
    assert "tokens" in str(page.locator("table.lines td.tokens").first.evaluate(told))
    page.goto(f"{site.url}/answers/{site.key('summarization', 'long.txt').path}")
    document, answer = box(page, "#document pre"), box(page, "#answer-title")
    assert document["y"] + document["height"] < answer["y"]
    visit.leave()


def test_a_text_from_right_to_left_is_set_so(browser: Browser, site: Site) -> None:
    """In the document and in the list; the prompt, which begins in English, is not."""
    visit = Visit(browser, site)
    page = visit.page
    page.goto(f"{site.url}/answers/{site.key('summarization', RIGHT_TO_LEFT).path}")
    direction = "one => getComputedStyle(one).direction"
    directions = [page.locator(one).evaluate(direction) for one in ("#document pre", "#prompt pre")]
    assert directions == ["rtl", "ltr"]
    visit.leave()


def test_the_keyboard_alone(browser: Browser, site: Site, tmp_path: Path) -> None:
    """Tab goes from the search to the filters in the order in which they stand, and what has the focus is seen."""
    visit = Visit(browser, site, 1280)
    page = visit.page
    before = painted(page, tmp_path / "before.png")
    press(page, "/")
    reached = []
    for _ in range(10):
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.innerText"))
        seen = painted(page, tmp_path / f"{reached[-1]}.png")
        assert ImageChops.difference(seen, before).getbbox() is not None
        before = seen
        page.keyboard.press("Tab")
    assert reached[:2] == ["q", "Show"]
    assert reached[2:] == ["analysis", "label", "run", "reason", "language", "marked", "cost", "order"]
    visit.leave()


def test_pages_of_a_long_document(visit: Visit, own: Site) -> None:
    """A long text is read in pages, and every chunk has a prompt of its own."""
    page, key = visit.page, own.key("summarization", "long.txt")
    page.goto(f"{own.url}/answers/{key.path}")
    expect(page.locator("#document .pager")).to_contain_text("page 1 of 4")
    page.locator("#document .pager").get_by_role("link", name="later").click()
    expect(page.locator("#document .pager")).to_contain_text("page 2 of 4")
    requests = page.locator("table.requests tbody tr")
    assert requests.count() > 3
    joined = requests.filter(has_text="joining")
    joined.get_by_role("link").click()
    expect(page.locator("table.requests tr[aria-current]")).to_contain_text("joining")
    expect(page.locator("#prompt pre")).not_to_contain_text("Sentence number 7 of the long report.")
